/* reference.c: a float64 matrix product in cache blocks.
 *
 *     for each tile of 128 x 128 outputs            by whichever thread is free
 *         for each block of 128 along k
 *             pack x and w into panels              float64, [k][4] and [k][8], zeros behind the edges
 *             for each 4 x 8 outputs                accumulators stay in registers along the block
 *                 acc += x panel * w panel
 *         visit(tile)
 *
 * Panels of x and w take 128 KB each, which fits in L2. The innermost function is compiled twice on x86-64,
 * once for AVX2 with FMA; the processor says which to call.
 */
#include "cli/reference.h"
#include "cli/parallel.h"

#include <string.h>

enum { TILE = REFERENCE_TILE, DEPTH = 128, MICRO_ROWS = 4, MICRO_COLS = 8, LANES = 4 };

typedef double Lanes __attribute__((vector_size(LANES * sizeof(double))));

typedef struct Panels {
    _Alignas(64) double x[TILE / MICRO_ROWS][DEPTH][MICRO_ROWS];
    _Alignas(64) double w[TILE / MICRO_COLS][DEPTH][MICRO_COLS];
} Panels;

/* acc[4][8] += x panel * w panel, over `depth` steps of k; rows of acc are TILE apart. */
typedef void Micro(const double *x, const double *w, int depth, double *acc);

static inline __attribute__((always_inline)) void micro(const double *x, const double *w, int depth,
                                                        double *acc)
{
    Lanes sum[MICRO_ROWS][2];
    for (int i = 0; i < MICRO_ROWS; i++) memcpy(sum[i], acc + i * TILE, sizeof sum[i]);
    for (int k = 0; k < depth; k++, x += MICRO_ROWS, w += MICRO_COLS) {
        Lanes w0, w1;
        memcpy(&w0, w, sizeof w0);
        memcpy(&w1, w + LANES, sizeof w1);
        for (int i = 0; i < MICRO_ROWS; i++) {
            sum[i][0] += x[i] * w0;
            sum[i][1] += x[i] * w1;
        }
    }
    for (int i = 0; i < MICRO_ROWS; i++) memcpy(acc + i * TILE, sum[i], sizeof sum[i]);
}

static void micro_plain(const double *x, const double *w, int depth, double *acc) { micro(x, w, depth, acc); }

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static void micro_avx2(const double *x, const double *w, int depth,
                                                           double *acc)
{
    micro(x, w, depth, acc);
}

static Micro *micro_for_this_cpu(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? micro_avx2 : micro_plain;
}
#else
static Micro *micro_for_this_cpu(void) { return micro_plain; }
#endif

/* Rows row .. row+rows-1 of m, columns k .. k+depth-1, into panels of `width` rows, rows innermost. */
static void pack(const Matrix *m, int64_t row, int rows, int64_t k, int depth, int width, double *panels)
{
    for (int i = 0; i < TILE; i++) {
        double *to = panels + (int64_t)(i / width) * DEPTH * width + i % width;
        const void *from = i < rows ? matrix_row(m, row + i) : NULL;
        for (int j = 0; j < depth; j++) to[j * width] = from ? element_get(m->type, from, k + j) : 0;
    }
}

static void multiply(const Panels *p, int depth, Micro *micro_kernel, ReferenceTile *tile)
{
    for (int i = 0; i < tile->rows; i += MICRO_ROWS)
        for (int j = 0; j < tile->cols; j += MICRO_COLS)
            micro_kernel(p->x[i / MICRO_ROWS][0], p->w[j / MICRO_COLS][0], depth, &tile->acc[i][j]);
}

typedef struct Visit {
    const Linear *linear;
    void (*visit)(void *context, const ReferenceTile *tile);
    void *context;
    Micro *micro_kernel;
} Visit;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int at_most(int64_t n, int limit) { return n < limit ? (int)n : limit; }

static void make_tile(void *context, int64_t index)
{
    const Visit *v = context;
    const Matrix *x = v->linear->x, *w = v->linear->w;
    int64_t tiles_across = ceil_div(w->rows, TILE);
    ReferenceTile tile = {
        .index = index, .row = index / tiles_across * TILE, .col = index % tiles_across * TILE};
    tile.rows = at_most(x->rows - tile.row, TILE);
    tile.cols = at_most(w->rows - tile.col, TILE);
    Panels panels;
    for (int64_t k = 0; k < x->cols; k += DEPTH) {
        int depth = at_most(x->cols - k, DEPTH);
        pack(x, tile.row, tile.rows, k, depth, MICRO_ROWS, panels.x[0][0]);
        pack(w, tile.col, tile.cols, k, depth, MICRO_COLS, panels.w[0][0]);
        multiply(&panels, depth, v->micro_kernel, &tile);
    }
    v->visit(v->context, &tile);
}

int64_t reference_tiles(const Linear *linear)
{
    return ceil_div(linear->x->rows, TILE) * ceil_div(linear->w->rows, TILE);
}

void reference_visit(const Linear *linear, void (*visit)(void *context, const ReferenceTile *tile),
                     void *context)
{
    Visit v = {linear, visit, context, micro_for_this_cpu()};
    parallel_for(reference_tiles(linear), make_tile, &v);
}

double reference_output(const Linear *linear, int64_t row, int64_t col, double acc)
{
    const Matrix *bias = linear->bias, *r = linear->r;
    GenExprInputs in = {.acc = acc, .s = linear->s, .t = linear->t};
    if (bias) in.bias = element_get(bias->type, bias->data, col);
    if (r) in.r = element_get(r->type, matrix_row(r, row), col);
    return gen_expr_eval(linear->epilogue, &in);
}
