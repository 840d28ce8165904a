/* large.c: x, and then y, of more than 2^31 elements, on a GPU with TILESMITH_TEST_DRIVER=libcuda.so.1. Some
 * rows are compared with float64, those at both ends and around the 2^31st element among them; that all the
 * others were written shows in the poison that was there before.
 */
#include "cli/device.h"
#include "cli/random.h"
#include "tests/kit.h"

#include <math.h>

enum { CHECKED_ROWS = 256 };

typedef struct Large {
    Shape shape;
    Matrix x, w, bias, y;
    ts_device_ptr dx, dw, dbias, dy;
} Large;

static bool create(ts_context *context, Large *l, Error *why)
{
    Shape s = l->shape;
    bool good =
        matrix_create(&l->x, GEN_F16, s.m, s.k, 0, why) && matrix_create(&l->w, GEN_F16, s.n, s.k, 0, why) &&
        matrix_create(&l->bias, GEN_F16, 1, s.n, 0, why) && matrix_create(&l->y, GEN_F16, s.m, s.n, 0, why) &&
        device_check(ts_malloc(context, matrix_bytes(&l->x), &l->dx), why) &&
        device_check(ts_malloc(context, matrix_bytes(&l->w), &l->dw), why) &&
        device_check(ts_malloc(context, matrix_bytes(&l->bias), &l->dbias), why) &&
        device_check(ts_malloc(context, matrix_bytes(&l->y), &l->dy), why);
    if (!good) return false;
    random_fill(&l->x, 3, 0, 1);
    random_fill(&l->w, 3, 1, 1 / sqrt((double)s.k));
    random_fill(&l->bias, 3, 2, 1);
    return device_check(ts_copy_to_device(context, l->dx, l->x.data, matrix_bytes(&l->x)), why) &&
           device_check(ts_copy_to_device(context, l->dw, l->w.data, matrix_bytes(&l->w)), why) &&
           device_check(ts_copy_to_device(context, l->dbias, l->bias.data, matrix_bytes(&l->bias)), why) &&
           device_check(ts_fill(context, l->dy, MATRIX_POISON, matrix_bytes(&l->y)), why);
}

static void destroy(ts_context *context, Large *l)
{
    ts_free(context, l->dx), ts_free(context, l->dw), ts_free(context, l->dbias), ts_free(context, l->dy);
    matrix_free(&l->x), matrix_free(&l->w), matrix_free(&l->bias), matrix_free(&l->y);
}

static bool call(ts_context *context, Large *l, Error *why)
{
    ts_linear_args args = ts_linear_args_make();
    args.m = l->shape.m, args.n = l->shape.n, args.k = l->shape.k;
    args.x = ts_matrix_make(l->dx, l->shape.k, TS_F16);
    args.w = ts_matrix_make(l->dw, l->shape.k, TS_F16);
    args.y = ts_matrix_make(l->dy, l->shape.n, TS_F16);
    args.bias = l->dbias, args.bias_dtype = TS_F16;
    args.s = 2;
    return device_check(ts_linear(context, &args, NULL), why) &&
           device_check(ts_stream_synchronize(context, NULL), why) &&
           device_check(ts_copy_to_host(context, l->y.data, l->dy, matrix_bytes(&l->y)), why);
}

/* Rows first .. of a matrix, as one of its own. */
static Matrix rows_of(const Matrix *m, int64_t first)
{
    Matrix part = *m;
    part.data = matrix_row(m, first);
    part.rows = CHECKED_ROWS;
    return part;
}

static bool check_rows(const Large *l, int64_t first, Error *why)
{
    GenExpr epilogue;
    GenError gen_error;
    Verdict v;
    gen_expr_parse(GEN_DEFAULT_EPILOGUE, &epilogue, &gen_error);
    Matrix x = rows_of(&l->x, first), y = rows_of(&l->y, first);
    Linear linear = {.x = &x, .w = &l->w, .bias = &l->bias, .epilogue = &epilogue, .s = 2};
    if (!verify(&linear, &y, &v, why)) return false;
    return v.ok || refuse(why, "rows from %lld on are wrong: rel_err %.2e, %lld elements off",
                          (long long)first, v.rel_err, (long long)v.n_mismatches);
}

static bool all_written(const Large *l, Error *why)
{
    const uint16_t *y = l->y.data;
    for (int64_t i = 0; i < l->y.rows * l->y.cols; i++)
        if (y[i] == 0xffff) return refuse(why, "element %lld was not written", (long long)i);
    return true;
}

static void run(ts_context *context, const char *what, Shape shape)
{
    Large l = {.shape = shape};
    Error why = {""};
    int64_t widest = shape.k > shape.n ? shape.k : shape.n, at_2_31 = INT64_C(1) << 31;
    bool good = create(context, &l, &why) && call(context, &l, &why) && check_rows(&l, 0, &why) &&
                check_rows(&l, at_2_31 / widest - CHECKED_ROWS / 2, &why) &&
                check_rows(&l, shape.m - CHECKED_ROWS, &why) && all_written(&l, &why);
    ok(good, "%s of %lld elements, %lldx%lldx%lld%s%s", what, (long long)(shape.m * widest),
       (long long)shape.m, (long long)shape.n, (long long)shape.k, good ? "" : ": ", why.text);
    destroy(context, &l);
}

int main(void)
{
    if (!kit_on_gpu()) return skip_all("this needs 4.3 GB and a GPU");
    ts_context *context = kit_context("89");
    if (!context) return 1;
    run(context, "x", (Shape){66000, 40, 32808});
    run(context, "x, its rows aligned to 2 bytes,", (Shape){66000, 40, 32809});
    run(context, "y", (Shape){66000, 32808, 40});
    ts_context_destroy(context);
    return done();
}
