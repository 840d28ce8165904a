/* problem.c: matrices to a kernel and back. Device memory is asked for first: a problem too large for the
 * device is refused before the host works on it. */
#include "cli/problem.h"
#include "cli/device.h"
#include "cli/parallel.h"
#include "cli/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- matrices ---- */

/* What an operand is, from the kernel's header. */
typedef struct Layout {
    bool used;
    GenType type;
    ts_layout layout;
    int64_t rows, cols;
    int align_bytes; /* of its pitch */
} Layout;

static Layout layout_of(const Problem *p, OperandId id)
{
    const ts_kernel_info *i = &p->info;
    const Shape *s = &p->shape;
    switch (id) {
    case OPERAND_X: return (Layout){true, device_type(i->x), i->x_layout, s->m, s->k, i->x_align};
    case OPERAND_W: return (Layout){true, device_type(i->w), i->w_layout, s->n, s->k, i->w_align};
    case OPERAND_BIAS:
        return (Layout){i->takes_bias && !p->without_bias, device_type(i->bias), TS_ROW_MAJOR, 1, s->n, 1};
    case OPERAND_R: return (Layout){i->takes_r, device_type(i->y), TS_ROW_MAJOR, s->m, s->n, 1};
    default: return (Layout){true, device_type(i->y), i->y_layout, s->m, s->n, i->y_align};
    }
}

static int64_t round_up(int64_t n, int64_t step) { return step > 1 ? (n + step - 1) / step * step : n; }

/* The image of an operand in device memory: itself, transposed, or with gaps between its elements. */
enum { STRIDED_GAP = 3 };

/* The image's shape and pitch, without data. */
static Matrix image_shape(const Layout *l)
{
    int64_t step = l->align_bytes / gen_type_bytes(l->type), gapped = l->cols * STRIDED_GAP;
    switch (l->layout) {
    case TS_COLUMN_MAJOR:
        return (Matrix){.type = l->type, .rows = l->cols, .cols = l->rows, .pitch = round_up(l->rows, step)};
    case TS_STRIDED: return (Matrix){.type = l->type, .rows = l->rows, .cols = gapped, .pitch = gapped + 2};
    default:
        return (Matrix){.type = l->type, .rows = l->rows, .cols = l->cols, .pitch = round_up(l->cols, step)};
    }
}

static bool image_create(const Layout *l, Matrix *image, Error *error)
{
    Matrix shape = image_shape(l);
    return matrix_create(image, shape.type, shape.rows, shape.cols, shape.pitch, error);
}

static bool allocate_on_device(Problem *p, OperandId id, Error *error)
{
    Layout l = layout_of(p, id);
    p->operand[id].used = l.used;
    if (!l.used) return true;
    Matrix shape = image_shape(&l);
    int64_t bytes;
    if (__builtin_mul_overflow(shape.rows, shape.pitch, &bytes) ||
        __builtin_mul_overflow(bytes, (int64_t)gen_type_bytes(l.type), &bytes))
        return refuse(error, "out of memory: %lld x %lld elements are more than can be addressed",
                      (long long)l.rows, (long long)l.cols);
    return device_check(ts_malloc(p->context, (size_t)bytes, &p->operand[id].device), error);
}

static bool allocate_on_host(Problem *p, OperandId id, Error *error)
{
    Layout l = layout_of(p, id);
    if (!l.used) return true;
    if (l.layout == TS_ROW_MAJOR) return image_create(&l, &p->operand[id].host, error);
    return matrix_create(&p->operand[id].host, l.type, l.rows, l.cols, 0, error);
}

/* A kernel whose blocks share tiles needs it; it may hold anything. */
static bool allocate_workspace(Problem *p, Error *error)
{
    ts_linear_args args = problem_arguments(p);
    return device_check(ts_kernel_workspace(p->kernel, &args, &p->workspace_bytes), error) &&
           device_check(ts_malloc(p->context, p->workspace_bytes, &p->workspace), error);
}

bool problem_create(Problem *p, Error *error)
{
    GenError gen_error;
    p->info.struct_size = sizeof p->info;
    if (!device_check(ts_kernel_get_info(p->kernel, &p->info), error)) return false;
    if (!gen_expr_parse(p->info.epilogue, &p->epilogue, &gen_error))
        return refuse(error, "the kernel's epilogue: %s", gen_error.text);
    for (int id = 0; id < N_OPERANDS; id++)
        if (!allocate_on_device(p, id, error)) return false;
    if (!allocate_workspace(p, error)) return false;
    for (int id = 0; id < N_OPERANDS; id++)
        if (!allocate_on_host(p, id, error)) return false;
    return true;
}

void problem_free(Problem *p)
{
    for (int id = 0; id < N_OPERANDS; id++) {
        ts_free(p->context, p->operand[id].device);
        matrix_free(&p->operand[id].host);
    }
    ts_free(p->context, p->workspace);
    matrix_free(&p->x_rounded);
}

/* ---- inputs ---- */

void problem_randomise(Problem *p, uint64_t seed)
{
    for (int id = 0; id < N_OPERANDS; id++)
        if (p->operand[id].used && id != OPERAND_Y)
            random_fill(&p->operand[id].host, seed, (uint64_t)id,
                        id == OPERAND_W ? 1 / sqrt((double)p->shape.k) : 1);
}

typedef struct Take {
    Matrix *to;
    const NpyArray *from;
    _Atomic bool overflowed;
} Take;

static void take_row(void *context, int64_t row)
{
    Take *t = context;
    void *to = matrix_row(t->to, row);
    for (int64_t j = 0; j < t->to->cols; j++) {
        double value = element_get(t->from->type, t->from->data, row * t->to->cols + j);
        element_set(t->to->type, to, j, value);
        if (isfinite(value) && !isfinite(element_get(t->to->type, to, j))) t->overflowed = true;
    }
}

bool problem_take(Problem *p, OperandId id, const NpyArray *array, const char *path, Error *error)
{
    Take take = {&p->operand[id].host, array, false};
    if (take.to->data) parallel_for(take.to->rows, take_row, &take);
    if (!take.overflowed) return true;
    return refuse(error, "%s holds numbers that are too large for %s; try --dtype bf16", path,
                  gen_type_name(take.to->type));
}

/* ---- the kernel ---- */

static void *image_element(const Layout *l, const Matrix *image, int64_t i, int64_t j)
{
    bool transposed = l->layout == TS_COLUMN_MAJOR;
    int64_t row = transposed ? j : i, col = transposed ? i : j * STRIDED_GAP;
    return (char *)matrix_row(image, row) + col * gen_type_bytes(l->type);
}

/* Copies the elements of a host matrix to its image, or back. */
static void move_elements(const Layout *l, Matrix *image, Matrix *host, bool back)
{
    size_t bytes = (size_t)gen_type_bytes(l->type);
    for (int64_t i = 0; i < l->rows; i++)
        for (int64_t j = 0; j < l->cols; j++) {
            char *at_host = (char *)matrix_row(host, i) + (size_t)j * bytes,
                 *at_image = image_element(l, image, i, j);
            memcpy(back ? at_host : at_image, back ? at_image : at_host, bytes);
            if (back) memset(at_image, MATRIX_POISON, bytes);
        }
}

static bool upload(Problem *p, OperandId id, Error *error)
{
    Layout l = layout_of(p, id);
    Operand *op = &p->operand[id];
    Matrix image = {0};
    if (!op->used || !op->host.data) return true;
    if (l.layout == TS_ROW_MAJOR)
        return device_check(ts_copy_to_device(p->context, op->device, op->host.data, matrix_bytes(&op->host)),
                            error);
    if (!image_create(&l, &image, error)) return false;
    move_elements(&l, &image, &op->host, false);
    bool good =
        device_check(ts_copy_to_device(p->context, op->device, image.data, matrix_bytes(&image)), error);
    matrix_free(&image);
    return good;
}

/* What is left of an image when its elements are taken out and poisoned is what it was before, or something
 * was written between them. */
bool problem_download(Problem *p, Error *error)
{
    Layout l = layout_of(p, OPERAND_Y);
    Operand *y = &p->operand[OPERAND_Y];
    Matrix image = {0};
    if (!y->host.data) return true;
    if (l.layout == TS_ROW_MAJOR)
        return device_check(ts_copy_to_host(p->context, y->host.data, y->device, matrix_bytes(&y->host)),
                            error);
    if (!image_create(&l, &image, error)) return false;
    bool good = device_check(ts_copy_to_host(p->context, image.data, y->device, matrix_bytes(&image)), error);
    if (good) move_elements(&l, &image, &y->host, true);
    const unsigned char *byte = image.data;
    for (size_t i = 0; good && i < matrix_bytes(&image); i++)
        if (byte[i] != MATRIX_POISON) good = refuse(error, "the kernel wrote between the elements of y");
    matrix_free(&image);
    return good;
}

static ts_matrix view(const Problem *p, OperandId id, ts_dtype dtype)
{
    const Operand *op = &p->operand[id];
    Layout l = layout_of(p, id);
    int64_t pitch = image_shape(&l).pitch;
    ts_matrix matrix = ts_matrix_make(op->device, pitch, dtype);
    if (l.layout == TS_COLUMN_MAJOR) matrix.row_stride = 1, matrix.col_stride = pitch;
    if (l.layout == TS_STRIDED) matrix.col_stride = STRIDED_GAP;
    return matrix;
}

ts_linear_args problem_arguments(const Problem *p)
{
    const Operand *op = p->operand;
    ts_linear_args a = ts_linear_args_make();
    a.m = p->shape.m, a.n = p->shape.n, a.k = p->shape.k;
    a.x = view(p, OPERAND_X, p->info.x);
    a.w = view(p, OPERAND_W, p->info.w);
    a.y = view(p, OPERAND_Y, p->info.y);
    if (op[OPERAND_R].used) a.r = view(p, OPERAND_R, p->info.y);
    a.bias = op[OPERAND_BIAS].device;
    a.bias_dtype = p->info.bias;
    a.s = p->s, a.t = p->t;
    a.workspace = p->workspace, a.workspace_bytes = p->workspace_bytes;
    return a;
}

static bool launch(Problem *p, ts_stream stream, ts_timer *timer, float *milliseconds, Error *error)
{
    ts_linear_args args = problem_arguments(p);
    return device_check(ts_timer_start(timer, stream), error) &&
           device_check(ts_kernel_launch(p->kernel, &args, stream), error) &&
           device_check(ts_timer_stop(timer, stream), error) &&
           device_check(ts_stream_synchronize(p->context, stream), error) &&
           device_check(ts_timer_milliseconds(timer, milliseconds), error);
}

/* The first launch is the one whose output is looked at. Quick kernels are launched some times more, because
 * the first launch also pays for what the driver puts off. */
static bool launch_and_download(Problem *p, ts_stream stream, ts_timer *timer, Error *error)
{
    const double enough_milliseconds = 20;
    const int enough_launches = 10;
    Operand *y = &p->operand[OPERAND_Y];
    Layout l = layout_of(p, OPERAND_Y);
    Matrix shape = image_shape(&l);
    size_t bytes = matrix_bytes(&shape);
    float once = 0;
    if (bytes && !device_check(ts_fill(p->context, y->device, MATRIX_POISON, bytes), error)) return false;
    if (!launch(p, stream, timer, &once, error)) return false;
    if (!problem_download(p, error)) return false;
    p->milliseconds = once;
    double sum = once;
    for (int i = 1; i < enough_launches && sum < enough_milliseconds; i++, sum += once) {
        if (!launch(p, stream, timer, &once, error)) return false;
        p->milliseconds = fmin(p->milliseconds, once);
    }
    return true;
}

static bool round_x(Problem *p, Error *error)
{
    const Matrix *x = &p->operand[OPERAND_X].host, *w = &p->operand[OPERAND_W].host;
    matrix_free(&p->x_rounded);
    return x->type == w->type || matrix_rounded(x, w->type, &p->x_rounded, error);
}

bool problem_run(Problem *p, Error *error)
{
    ts_stream stream = NULL;
    ts_timer *timer = NULL;
    if (!round_x(p, error)) return false;
    for (int id = 0; id < N_OPERANDS; id++)
        if (id != OPERAND_Y && !upload(p, (OperandId)id, error)) return false;
    if (!device_check(ts_stream_create(p->context, &stream), error)) return false;
    bool good = device_check(ts_timer_create(p->context, &timer), error) &&
                launch_and_download(p, stream, timer, error);
    ts_timer_destroy(timer);
    ts_stream_destroy(p->context, stream);
    return good;
}

/* ---- results ---- */

Linear problem_linear(const Problem *p)
{
    const Operand *op = p->operand;
    return (Linear){
        .x = p->info.x == p->info.w ? &op[OPERAND_X].host : &p->x_rounded,
        .w = &op[OPERAND_W].host,
        .bias = op[OPERAND_BIAS].used ? &op[OPERAND_BIAS].host : NULL,
        .r = op[OPERAND_R].used ? &op[OPERAND_R].host : NULL,
        .epilogue = &p->epilogue,
        .s = p->s,
        .t = p->t,
    };
}

bool problem_output(const Problem *p, NpyArray *array, Error *error)
{
    const Matrix *y = &p->operand[OPERAND_Y].host;
    *array = (NpyArray){.type = y->type == GEN_F16 ? GEN_F16 : GEN_F32,
                        .dims = 2,
                        .shape = {y->rows, y->cols},
                        .elements = y->rows * y->cols};
    if (!array->elements) return true;
    array->data = malloc((size_t)array->elements * (size_t)gen_type_bytes(array->type));
    if (!array->data) return refuse(error, "out of memory for the output");
    for (int64_t i = 0; i < y->rows; i++)
        for (int64_t j = 0; j < y->cols; j++)
            element_set(array->type, array->data, i * y->cols + j, element_get(y->type, matrix_row(y, i), j));
    return true;
}
