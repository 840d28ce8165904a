/* verify.c: each tile of the reference is compared by the thread that made it, into a record of its own;
 * the records are added up in order, so that the figures do not depend on the threads. */
#include "cli/verify.h"
#include "cli/parallel.h"

#include <math.h>
#include <stdlib.h>

enum { JUDGED_TOGETHER = 64 }; /* elements, from which on the norm says something */

typedef struct TileVerdict {
    double error_squares, wanted_squares, max_abs_err;
    int64_t n_mismatches;
    int n_shown;
    Mismatch shown[VERIFY_MAX_SHOWN];
} TileVerdict;

typedef struct Verify {
    const Linear *linear;
    const Matrix *y;
    double half_ulp, absolute; /* terms of the bound */
    double *x_norms, *w_norms; /* of rows */
    TileVerdict *tile;
} Verify;

/* Storing rounds by at most this, relative to the value. */
static double half_ulp(GenType type)
{
    switch (type) {
    case GEN_F16: return 0x1p-11;
    case GEN_BF16: return 0x1p-8;
    default: return 0x1p-18; /* float32 output shows the accumulation, not the storing */
    }
}

double verify_rel_err_limit(GenType type)
{
    switch (type) {
    case GEN_F16: return 4e-4;
    case GEN_BF16: return 3e-3;
    default: return 1e-5;
    }
}

/* ---- the bound of one element ---- */

static double storing_bound(const Verify *v, double wanted)
{
    return 1.25 * v->half_ulp * fabs(wanted) + v->absolute;
}

/* Costs two more evaluations of the epilogue; few elements need it. */
static double accumulation_bound(const Verify *v, int64_t row, int64_t col, double acc, double wanted)
{
    double acc_error = 0x1p-20 * v->x_norms[row] * v->w_norms[col];
    if (!isfinite(acc_error)) acc_error = 0; /* the inputs hold infinities or NaNs: so do acc and wanted */
    double above = fabs(reference_output(v->linear, row, col, acc + acc_error) - wanted);
    double below = fabs(reference_output(v->linear, row, col, acc - acc_error) - wanted);
    return fmax(above, below);
}

static bool element_ok(GenType type, double got, double wanted, double bound)
{
    if (isnan(wanted)) return isnan(got);
    if (isfinite(got) && isfinite(wanted)) return fabs(got - wanted) <= bound;
    if (isnan(got)) return false;
    /* An infinity on one side or both: right if something within the bound is stored as what was got. */
    double outward = element_round(type, wanted + copysign(bound, wanted));
    double nearest = element_round(type, wanted);
    return got == outward || got == nearest;
}

static void compare_element(const Verify *v, TileVerdict *t, int64_t row, int64_t col, double acc)
{
    double got = element_get(v->y->type, matrix_row(v->y, row), col);
    double wanted = reference_output(v->linear, row, col, acc);
    double bound = storing_bound(v, wanted);
    bool good = element_ok(v->y->type, got, wanted, bound);
    if (!good) {
        bound += accumulation_bound(v, row, col, acc, wanted);
        good = element_ok(v->y->type, got, wanted, bound);
    }
    if (!good && t->n_mismatches++ < VERIFY_MAX_SHOWN)
        t->shown[t->n_shown++] = (Mismatch){row, col, isnan(got) ? NAN : got, wanted, bound};
    if (good && !(isfinite(got) && isfinite(wanted))) return; /* equal infinities or NaNs have no distance */
    double error = fabs(got - wanted);
    t->error_squares += error * error;
    t->wanted_squares += wanted * wanted;
    t->max_abs_err = isnan(error) || error > t->max_abs_err ? error : t->max_abs_err;
}

static void compare_tile(void *context, const ReferenceTile *tile)
{
    const Verify *v = context;
    TileVerdict *t = &v->tile[tile->index];
    for (int i = 0; i < tile->rows; i++)
        for (int j = 0; j < tile->cols; j++)
            compare_element(v, t, tile->row + i, tile->col + j, tile->acc[i][j]);
}

/* ---- the whole ---- */

typedef struct Norms {
    const Matrix *m;
    double *norm;
} Norms;

static void row_norm(void *context, int64_t row)
{
    const Norms *n = context;
    const void *elements = matrix_row(n->m, row);
    double squares = 0;
    for (int64_t j = 0; j < n->m->cols; j++) {
        double e = element_get(n->m->type, elements, j);
        squares += e * e;
    }
    n->norm[row] = sqrt(squares);
}

static double *row_norms(const Matrix *m)
{
    Norms n = {m, calloc((size_t)m->rows + 1, sizeof(double))};
    if (n.norm && m->data) parallel_for(m->rows, row_norm, &n);
    return n.norm;
}

static void add_tile(Verdict *sum, double squares[2], const TileVerdict *t)
{
    squares[0] += t->error_squares;
    squares[1] += t->wanted_squares;
    if (isnan(t->max_abs_err) || t->max_abs_err > sum->max_abs_err) sum->max_abs_err = t->max_abs_err;
    sum->n_mismatches += t->n_mismatches;
    for (int i = 0; i < t->n_shown && sum->n_shown < VERIFY_MAX_SHOWN; i++)
        sum->shown[sum->n_shown++] = t->shown[i];
}

/* The rounding of subnormals, 2^-25 an element, is no error of the kernel. */
static double rel_err_limit(const Matrix *y, double wanted_norm)
{
    double elements = (double)y->rows * (double)y->cols;
    double spacing = y->type == GEN_F16 && wanted_norm > 0 ? 0x1p-25 * sqrt(elements) / wanted_norm : 0;
    return elements < JUDGED_TOGETHER ? INFINITY : verify_rel_err_limit(y->type) + spacing;
}

static void judge(const Verify *v, int64_t n_tiles, Verdict *verdict)
{
    double squares[2] = {0, 0}; /* of the error, of the reference */
    for (int64_t i = 0; i < n_tiles; i++) add_tile(verdict, squares, &v->tile[i]);
    /* Where the reference is 0 everywhere, the error itself is judged. */
    verdict->rel_err = squares[1] > 0 ? sqrt(squares[0] / squares[1]) : sqrt(squares[0]);
    if (isnan(verdict->rel_err)) verdict->rel_err = NAN; /* without a sign */
    verdict->rel_err_limit = rel_err_limit(v->y, sqrt(squares[1]));
    verdict->padding_written = !matrix_padding_intact(v->y);
    verdict->ok = verdict->n_mismatches == 0 && verdict->rel_err <= verdict->rel_err_limit &&
                  !verdict->padding_written;
}

bool verify(const Linear *linear, const Matrix *y, Verdict *verdict, Error *error)
{
    *verdict = (Verdict){0};
    int64_t n_tiles = reference_tiles(linear);
    Verify v = {.linear = linear, .y = y, .half_ulp = half_ulp(y->type)};
    v.absolute = 0x1p-14 * (1 + fabs(linear->s) + fabs(linear->t));
    v.x_norms = row_norms(linear->x);
    v.w_norms = row_norms(linear->w);
    v.tile = calloc((size_t)n_tiles + 1, sizeof *v.tile);

    bool have_memory = v.x_norms && v.w_norms && v.tile;
    if (have_memory) {
        reference_visit(linear, compare_tile, &v);
        judge(&v, n_tiles, verdict);
    } else {
        refuse(error, "out of memory while verifying");
    }
    free(v.x_norms);
    free(v.w_norms);
    free(v.tile);
    return have_memory;
}
