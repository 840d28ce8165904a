/* linear.c: ts_linear() with matrices as applications have them: every combination of types, every pair of
 * layouts, base addresses off by 1 to 8 elements, strided outputs. Each output against float64; what lies
 * between the outputs must stay as it was. On the emulator, or on a GPU with
 * TILESMITH_TEST_DRIVER=libcuda.so.1.
 */
#include "cli/device.h"
#include "cli/random.h"
#include "tests/kit.h"

#include <math.h>
#include <string.h>

/* Where element (i, j) of a matrix stands in its memory: offset + i * row_stride + j * col_stride. */
typedef struct View {
    int64_t offset, row_stride, col_stride;
} View;

typedef struct Case {
    Shape shape;
    GenType x, w, bias, y;
    View x_view, w_view, y_view;
    bool workspace; /* gives one; it must be asked for and used */
} Case;

static const Shape odd = {37, 75, 101}, even = {48, 72, 104};

static View by_rows(int64_t offset, int64_t cols) { return (View){offset, cols, 1}; }
static View by_columns(int64_t offset, int64_t rows) { return (View){offset, 1, rows}; }
static View gapped(int64_t cols) { return (View){1, 3 * cols + 2, 3}; }

static Case plain_case(Shape s)
{
    return (Case){s,    GEN_F16, GEN_F16, GEN_F16, GEN_F16, by_rows(0, s.k), by_rows(0, s.k), by_rows(0, s.n),
                  false};
}

/* ---- one case ---- */

/* A matrix twice: dense on the host, and as its view lies in device memory. */
typedef struct Tensor {
    Matrix dense;
    View view;
    char *image;
    size_t bytes;
    ts_device_ptr device;
} Tensor;

static char *element(const Tensor *t, int64_t i, int64_t j)
{
    int64_t at = t->view.offset + i * t->view.row_stride + j * t->view.col_stride;
    return t->image + at * gen_type_bytes(t->dense.type);
}

typedef enum Move { TO_IMAGE, FROM_IMAGE, TAKE_FROM_IMAGE } Move; /* what is taken leaves poison */

static void move(Tensor *t, Move how)
{
    size_t bytes = (size_t)gen_type_bytes(t->dense.type);
    for (int64_t i = 0; i < t->dense.rows; i++)
        for (int64_t j = 0; j < t->dense.cols; j++) {
            char *dense = (char *)matrix_row(&t->dense, i) + (size_t)j * bytes;
            if (how == TO_IMAGE) memcpy(element(t, i, j), dense, bytes);
            else memcpy(dense, element(t, i, j), bytes);
            if (how == TAKE_FROM_IMAGE) memset(element(t, i, j), MATRIX_POISON, bytes);
        }
}

static bool tensor_create(ts_context *context, Tensor *t, GenType type, int64_t rows, int64_t cols, View view,
                          Error *why)
{
    *t = (Tensor){.view = view};
    if (!matrix_create(&t->dense, type, rows, cols, 0, why)) return false;
    t->bytes = (size_t)(view.offset + (rows - 1) * view.row_stride + (cols - 1) * view.col_stride + 1) *
               (size_t)gen_type_bytes(type);
    t->image = malloc(t->bytes);
    if (!t->image) return refuse(why, "out of memory");
    memset(t->image, MATRIX_POISON, t->bytes);
    return device_check(ts_malloc(context, t->bytes, &t->device), why);
}

static void tensor_free(ts_context *context, Tensor *t)
{
    ts_free(context, t->device);
    matrix_free(&t->dense);
    free(t->image);
}

static bool tensor_fill(ts_context *context, Tensor *t, uint64_t stream, double scale, Error *why)
{
    random_fill(&t->dense, 11, stream, scale);
    move(t, TO_IMAGE);
    move(t, FROM_IMAGE); /* where elements share a place, the last one stands there */
    return device_check(ts_copy_to_device(context, t->device, t->image, t->bytes), why);
}

/* Takes the outputs out; what is left must be the poison that was there before. */
static bool tensor_take(ts_context *context, Tensor *t, Error *why)
{
    if (!device_check(ts_copy_to_host(context, t->image, t->device, t->bytes), why)) return false;
    move(t, TAKE_FROM_IMAGE);
    for (size_t i = 0; i < t->bytes; i++)
        if ((unsigned char)t->image[i] != MATRIX_POISON)
            return refuse(why, "byte %zu beside the outputs was written", i);
    return true;
}

static ts_matrix matrix_of(const Tensor *t)
{
    int64_t offset_bytes = t->view.offset * gen_type_bytes(t->dense.type);
    return (ts_matrix){t->device + (uint64_t)offset_bytes, t->view.row_stride, t->view.col_stride,
                       device_dtype(t->dense.type)};
}

typedef struct Tensors {
    Tensor x, w, bias, y;
} Tensors;

static bool create_all(ts_context *context, const Case *c, Tensors *t, Error *why)
{
    Shape s = c->shape;
    return tensor_create(context, &t->x, c->x, s.m, s.k, c->x_view, why) &&
           tensor_create(context, &t->w, c->w, s.n, s.k, c->w_view, why) &&
           tensor_create(context, &t->bias, c->bias, 1, s.n, by_rows(0, s.n), why) &&
           tensor_create(context, &t->y, c->y, s.m, s.n, c->y_view, why) &&
           tensor_fill(context, &t->x, 0, 1, why) &&
           tensor_fill(context, &t->w, 1, 1 / sqrt((double)s.k), why) &&
           tensor_fill(context, &t->bias, 2, 1, why);
}

/* Calls with the workspace that is asked for, poisoned, and looks whether something was written there. */
static bool call_with_workspace(ts_context *context, ts_linear_args *args, Error *why)
{
    uint64_t first = 0, poison;
    memset(&poison, MATRIX_POISON, sizeof poison);
    if (!device_check(ts_linear_workspace(context, args, &args->workspace_bytes), why)) return false;
    if (!args->workspace_bytes) return refuse(why, "no workspace was asked for");
    bool good = device_check(ts_malloc(context, args->workspace_bytes, &args->workspace), why) &&
                device_check(ts_fill(context, args->workspace, MATRIX_POISON, args->workspace_bytes), why) &&
                device_check(ts_linear(context, args, NULL), why) &&
                device_check(ts_copy_to_host(context, &first, args->workspace, sizeof first), why);
    ts_free(context, args->workspace);
    return good && (first != poison || refuse(why, "the workspace was not used"));
}

static bool call(ts_context *context, const Case *c, Tensors *t, Error *why)
{
    ts_linear_args args = ts_linear_args_make();
    args.m = c->shape.m, args.n = c->shape.n, args.k = c->shape.k;
    args.x = matrix_of(&t->x), args.w = matrix_of(&t->w), args.y = matrix_of(&t->y);
    args.bias = t->bias.device, args.bias_dtype = device_dtype(c->bias);
    args.s = 2;
    return device_check(ts_copy_to_device(context, t->y.device, t->y.image, t->y.bytes), why) &&
           (c->workspace ? call_with_workspace(context, &args, why)
                         : device_check(ts_linear(context, &args, NULL), why)) &&
           device_check(ts_stream_synchronize(context, NULL), why) && tensor_take(context, &t->y, why);
}

static bool judge(const Case *c, Tensors *t, Error *why)
{
    GenExpr epilogue;
    GenError gen_error;
    Matrix x; /* as the kernel multiplies it */
    Verdict v;
    if (!matrix_rounded(&t->x.dense, c->w, &x, why)) return false;
    gen_expr_parse(GEN_DEFAULT_EPILOGUE, &epilogue, &gen_error);
    Linear linear = {.x = &x, .w = &t->w.dense, .bias = &t->bias.dense, .epilogue = &epilogue, .s = 2};
    bool verified = verify(&linear, &t->y.dense, &v, why);
    matrix_free(&x);
    if (!verified || v.ok) return verified;
    return refuse(why, "wrong: rel_err %.2e, %lld elements off", v.rel_err, (long long)v.n_mismatches);
}

static void run(ts_context *context, const Case *c, const char *what)
{
    Tensors t = {0};
    Error why = {""};
    bool good = create_all(context, c, &t, &why) && call(context, c, &t, &why) && judge(c, &t, &why);
    ok(good, "%s, %lldx%lldx%lld, x %s w %s bias %s y %s%s%s", what, (long long)c->shape.m,
       (long long)c->shape.n, (long long)c->shape.k, gen_type_name(c->x), gen_type_name(c->w),
       gen_type_name(c->bias), gen_type_name(c->y), good ? "" : ": ", why.text);
    tensor_free(context, &t.x), tensor_free(context, &t.w), tensor_free(context, &t.bias),
        tensor_free(context, &t.y);
}

/* ---- the sweep ---- */

static const GenType types[] = {GEN_F16, GEN_BF16, GEN_F32};

static void all_types(ts_context *context, Shape s)
{
    for (int i = 0; i < 3 * 2 * 3 * 3; i++) {
        Case c = plain_case(s);
        c.x = types[i % 3], c.w = types[i / 3 % 2], c.bias = types[i / 6 % 3], c.y = types[i / 18];
        run(context, &c, "types");
    }
}

static View view_of(int layout, int64_t rows, int64_t cols)
{
    return layout == 0 ? by_rows(0, cols) : layout == 1 ? by_columns(0, rows) : gapped(cols);
}

static void all_layouts(ts_context *context, Shape s, GenType x)
{
    static const char *const name[] = {"row", "col", "any"};
    char what[64];
    for (int i = 0; i < 27; i++) {
        int lx = i % 3, lw = i / 3 % 3, ly = i / 9;
        Case c = plain_case(s);
        c.x = x;
        c.x_view = view_of(lx, s.m, s.k), c.w_view = view_of(lw, s.n, s.k), c.y_view = view_of(ly, s.m, s.n);
        snprintf(what, sizeof what, "layouts x %s w %s y %s", name[lx], name[lw], name[ly]);
        run(context, &c, what);
    }
}

/* Each operand off by itself, and all of them differently. */
static void all_offsets(ts_context *context, Shape s, GenType x, bool columns)
{
    char what[64];
    for (int i = 0; i < 4 * 8; i++) {
        int which = i / 8, by = i % 8 + 1, all = which == 3;
        Case c = plain_case(s);
        c.x = x;
        if (columns) c.x_view = by_columns(0, s.m), c.w_view = by_columns(0, s.n);
        if (which == 0 || all) c.x_view.offset = by;
        if (which == 1 || all) c.w_view.offset = all ? 9 - by : by;
        if (which == 2 || all) c.y_view.offset = all ? (by + 3) % 8 + 1 : by;
        snprintf(what, sizeof what, "%s off by %d%s",
                 all          ? "all"
                 : which == 0 ? "x"
                 : which == 1 ? "W"
                              : "y",
                 by, columns ? ", column-major" : "");
        run(context, &c, what);
    }
}

/* Rows at a wider pitch, and one row many times. */
static void strides(ts_context *context, Shape s)
{
    Case c = plain_case(s);
    c.x_view.row_stride = s.k + 16, c.w_view.row_stride = s.k + 3, c.y_view.row_stride = s.n + 5;
    run(context, &c, "wide rows");
    c.x_view.row_stride = 0;
    run(context, &c, "x is one row");
}

/* Large enough to be worth it: both operands, and each by itself. */
static void packing(ts_context *context, Shape s)
{
    Case c = plain_case(s);
    c.workspace = true;
    run(context, &c, "x and W packed");
    c = plain_case((Shape){s.m, s.n, (s.k + 7) / 8 * 8});
    c.workspace = true;
    c.x_view.offset = 3;
    run(context, &c, "x packed");
    c.x_view.offset = 0, c.w_view.row_stride += 1, c.w_view.offset = 1;
    c.x = c.w = c.y = c.bias = GEN_BF16;
    run(context, &c, "W packed");
}

/* Column-major: columns are packed. */
static void packing_columns(ts_context *context, Shape s)
{
    Case c = plain_case(s);
    c.workspace = true;
    c.w_view = by_columns(0, s.n);
    run(context, &c, "x packed, and columns of W");
    c.x_view = by_columns(3, s.m + 2);
    run(context, &c, "columns of x packed, and of W");
    c.w_view = by_rows(1, s.k);
    c.x = c.w = c.y = c.bias = GEN_BF16;
    run(context, &c, "columns of x packed, and W");
    c.x_view = by_columns(0, (s.m + 7) / 8 * 8);
    c.w_view = by_columns(5, s.n);
    run(context, &c, "columns of W packed");
}

/* x of another type than W's is rounded where it is packed: rows or columns that begin anywhere, W's too. */
static void packing_odd_types(ts_context *context, Shape s)
{
    static const GenType type[][2] = {{GEN_F32, GEN_F16}, {GEN_F32, GEN_BF16}, {GEN_BF16, GEN_F16}};
    for (int i = 0; i < 3; i++) {
        Case c = plain_case(s);
        c.workspace = true;
        c.x = type[i][0], c.w = c.bias = c.y = type[i][1];
        c.x_view = (View){1, s.k + 3, 1};
        run(context, &c, "odd x packed, as W's type");
        c.w_view = (View){2, s.k + 1, 1};
        run(context, &c, "odd x packed, as W's type, and W");
        c.x_view = by_columns(0, s.m + 1);
        run(context, &c, "columns of x packed, as W's type, and W");
        c.x_view = gapped(s.k);
        run(context, &c, "x with gaps packed, as W's type, and W");
    }
}

/* Gaps between the elements of rows. */
static void packing_gaps(ts_context *context, Shape s)
{
    Case c = plain_case(s);
    c.workspace = true;
    c.w_view = gapped(s.k);
    run(context, &c, "W with gaps packed");
    c.x_view = (View){0, 2, 3 * s.m + 1};
    run(context, &c, "x and W with gaps packed");
    c.x_view = by_columns(0, s.m + 2);
    run(context, &c, "columns of x packed, and W with gaps");
}

/* And aligned rows, which many columns of y read. */
static void packing_types(ts_context *context, Shape s)
{
    Case c = plain_case(s);
    c.workspace = true;
    c.x = c.y = GEN_F32;
    run(context, &c, "x packed, as W's type");
}

/* Few rows of x, many of W, which would take as long to pack as to multiply. */
static void packing_x(ts_context *context)
{
    Case c = plain_case((Shape){50, 3002, 1030});
    ts_linear_args args = ts_linear_args_make();
    size_t bytes = 0;
    c.workspace = true;
    c.w_view = (View){1, c.shape.k + 2, 1};
    run(context, &c, "x packed, W in place");
    args.m = c.shape.m, args.n = c.shape.n, args.k = c.shape.k;
    args.x = ts_matrix_make(1 << 20, args.k, TS_F16);
    args.w = ts_matrix_make((1 << 21) + 2, args.k + 2, TS_F16);
    args.y = ts_matrix_make(1 << 24, args.n, TS_F16);
    ts_linear_workspace(context, &args, &bytes);
    if (!kit_on_gpu()) ok(bytes == 50 * 1088 * 2, "%zu B are asked for: 50 rows of 17 lines", bytes);
}

/* The config that is taken with so much workspace. */
static bool takes_split(ts_context *context, ts_linear_args args, size_t workspace_bytes)
{
    const ts_kernel *kernel = NULL;
    ts_kernel_info info = {.struct_size = sizeof info};
    args.workspace = workspace_bytes ? 1 << 20 : 0, args.workspace_bytes = workspace_bytes;
    ok(ts_linear_prepare(context, &args, &kernel) == TS_OK, "prepared: %s", ts_last_error());
    if (kernel) ts_kernel_get_info(kernel, &info);
    note("with a workspace of %zu B: %s", workspace_bytes, info.config);
    return kernel && strstr(info.config, "_split");
}

/* Few tiles and a long k: blocks share them where there is a workspace for it, and where the pin says so. On
 * a chip with wgmma clusters do that, without one. */
static void sharing(ts_context *context)
{
    Case c = plain_case((Shape){16, 72, 8192});
    ts_device_info info = {.struct_size = sizeof info};
    ts_linear_args args = ts_linear_args_make();
    size_t bytes;
    c.workspace = true;
    ts_context_set_config(context, "mma_sm80_f16_16x64x128_w1x4_s4_split");
    run(context, &c, "tiles shared as pinned");
    ts_context_set_config(context, NULL);
    ts_context_get_info(context, &info);
    if (info.compute_major == 9) return;
    args.m = 16, args.n = 72, args.k = 8192;
    args.x = ts_matrix_make(0, 8192, TS_F16), args.w = ts_matrix_make(0, 8192, TS_F16),
    args.y = ts_matrix_make(0, 72, TS_F16);
    ts_linear_workspace(context, &args, &bytes);
    ok(bytes > 0, "%zu B are asked for", bytes);
    ok(takes_split(context, args, bytes) && takes_split(context, args, 3 * bytes), "and used");
    ok(!takes_split(context, args, bytes / 2) && !takes_split(context, args, 0),
       "or else tiles are not shared");
    run(context, &c, "tiles shared");
}

/* A workspace that is too small is not used; one at a wrong address is refused. */
static void workspaces(ts_context *context)
{
    ts_linear_args args = ts_linear_args_make();
    size_t bytes = 1;
    args.m = args.n = args.k = 64;
    args.x = ts_matrix_make(0, 64, TS_F16), args.w = ts_matrix_make(0, 64, TS_F16),
    args.y = ts_matrix_make(0, 64, TS_F16);
    ok(ts_linear_workspace(context, &args, &bytes) == TS_OK && bytes == 0, "aligned rows need no workspace");
    args.workspace = 4096 + 64, args.workspace_bytes = 1 << 20;
    ok(ts_linear(context, &args, NULL) == TS_ERROR_INVALID_ARGUMENT, "refused: %s", ts_last_error());
    args.m = args.n = args.k = 4095, args.workspace = 4096, args.workspace_bytes = 256;
    args.x = ts_matrix_make(0, 4095, TS_F16), args.w = ts_matrix_make(0, 4095, TS_F16),
    args.y = ts_matrix_make(0, 4095, TS_F16);
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK, "a workspace of 256 B is not used");
    ts_linear_workspace(context, &args, &bytes);
    ok(bytes == 2ul * 4095 * 4096 * 2, "two packed matrices take %zu B", bytes);
    ok(ts_linear_workspace(context, &args, NULL) == TS_ERROR_INVALID_ARGUMENT, "refused: %s",
       ts_last_error());
}

static void sweep(ts_context *context, Shape s)
{
    all_types(context, s);
    all_layouts(context, s, GEN_F16);
    all_layouts(context, s, GEN_F32);
    for (int columns = 0; columns < 2; columns++) {
        all_offsets(context, s, GEN_F16, columns);
        all_offsets(context, s, GEN_F32, columns);
    }
    strides(context, s);
}

int main(void)
{
    ts_context *context = kit_context("89");
    if (!context) return 1;
    sweep(context, odd);
    sweep(context, even);
    if (kit_on_gpu()) sweep(context, (Shape){333, 520, 1030});
    workspaces(context);
    packing(context, (Shape){1501, 1502, 401});
    packing_columns(context, (Shape){501, 603, 403});
    packing_x(context);
    packing_odd_types(context, (Shape){501, 1502, 408});
    packing_gaps(context, (Shape){1501, 1502, 408});
    packing_types(context, (Shape){130, 3000, 2056});
    sharing(context);
    if (kit_on_gpu()) packing(context, (Shape){4095, 4095, 4095});
    if (kit_on_gpu()) packing_columns(context, (Shape){1001, 3003, 2001});
    ts_context_destroy(context);
    return done();
}
