/* problem.c: matrices to a kernel and back. Device memory is asked for first: a problem too large for the
 * device is refused before the host works on it. */
#include "cli/problem.h"
#include "cli/parallel.h"
#include "cli/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static GenType type_of(ts_dtype dtype)
{
    GenType type = GEN_F32;
    gen_type_parse(ts_dtype_name(dtype), &type);
    return type;
}

static bool check(ts_status status, Error *error)
{
    return status == TS_OK || refuse(error, "%s", ts_last_error());
}

/* ---- matrices ---- */

/* What an operand is, from the kernel's header. */
typedef struct Layout {
    bool used;
    GenType type;
    int64_t rows, cols;
    int align_bytes; /* of its rows */
} Layout;

static Layout layout_of(const Problem *p, OperandId id)
{
    const ts_kernel_info *i = &p->info;
    const Shape *s = &p->shape;
    switch (id) {
    case OPERAND_X: return (Layout){true, type_of(i->x), s->m, s->k, i->x_align};
    case OPERAND_W: return (Layout){true, type_of(i->w), s->n, s->k, i->w_align};
    case OPERAND_BIAS: return (Layout){i->takes_bias && !p->without_bias, type_of(i->bias), 1, s->n, 1};
    case OPERAND_R: return (Layout){i->takes_r, type_of(i->y), s->m, s->n, i->y_align};
    default: return (Layout){true, type_of(i->y), s->m, s->n, i->y_align};
    }
}

static int64_t pitch_of(const Layout *l)
{
    int64_t step = l->align_bytes / gen_type_bytes(l->type);
    return step > 1 ? (l->cols + step - 1) / step * step : l->cols;
}

static bool allocate_on_device(Problem *p, OperandId id, Error *error)
{
    Layout l = layout_of(p, id);
    size_t elements, bytes;
    p->operand[id].used = l.used;
    if (!l.used) return true;
    if (__builtin_mul_overflow(l.rows, pitch_of(&l), &elements) ||
        __builtin_mul_overflow(elements, (size_t)gen_type_bytes(l.type), &bytes))
        return refuse(error, "out of memory: %lld x %lld elements are more than can be addressed",
                      (long long)l.rows, (long long)l.cols);
    return check(ts_malloc(p->context, bytes, &p->operand[id].device), error);
}

static bool allocate_on_host(Problem *p, OperandId id, Error *error)
{
    Layout l = layout_of(p, id);
    return !l.used || matrix_create(&p->operand[id].host, l.type, l.rows, l.cols, pitch_of(&l), error);
}

bool problem_create(Problem *p, Error *error)
{
    GenError gen_error;
    p->info.struct_size = sizeof p->info;
    if (!check(ts_kernel_get_info(p->kernel, &p->info), error)) return false;
    if (!gen_expr_parse(p->info.epilogue, &p->epilogue, &gen_error))
        return refuse(error, "the kernel's epilogue: %s", gen_error.text);
    for (int id = 0; id < N_OPERANDS; id++)
        if (!allocate_on_device(p, id, error)) return false;
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

static bool upload(Problem *p, Operand *op, Error *error)
{
    size_t bytes = matrix_bytes(&op->host);
    return !bytes || check(ts_copy_to_device(p->context, op->device, op->host.data, bytes), error);
}

static ts_matrix view(const Operand *op, ts_dtype dtype)
{
    return ts_matrix_make(op->device, op->host.pitch, dtype);
}

static ts_linear_args arguments(const Problem *p)
{
    const Operand *op = p->operand;
    ts_linear_args a = ts_linear_args_make();
    a.m = p->shape.m, a.n = p->shape.n, a.k = p->shape.k;
    a.x = view(&op[OPERAND_X], p->info.x);
    a.w = view(&op[OPERAND_W], p->info.w);
    a.y = view(&op[OPERAND_Y], p->info.y);
    if (op[OPERAND_R].used) a.r = view(&op[OPERAND_R], p->info.y);
    a.bias = op[OPERAND_BIAS].device;
    a.bias_dtype = p->info.bias;
    a.s = p->s, a.t = p->t;
    return a;
}

static bool launch(Problem *p, ts_stream stream, ts_timer *timer, float *milliseconds, Error *error)
{
    ts_linear_args args = arguments(p);
    return check(ts_timer_start(timer, stream), error) &&
           check(ts_kernel_launch(p->kernel, &args, stream), error) &&
           check(ts_timer_stop(timer, stream), error) &&
           check(ts_stream_synchronize(p->context, stream), error) &&
           check(ts_timer_milliseconds(timer, milliseconds), error);
}

/* The first launch is the one whose output is looked at. Quick kernels are launched some times more, because
 * the first launch also pays for what the driver puts off. */
static bool launch_and_download(Problem *p, ts_stream stream, ts_timer *timer, Error *error)
{
    const double enough_milliseconds = 20;
    const int enough_launches = 10;
    Operand *y = &p->operand[OPERAND_Y];
    size_t bytes = matrix_bytes(&y->host);
    float once = 0;
    if (bytes && !check(ts_fill(p->context, y->device, MATRIX_POISON, bytes), error)) return false;
    if (!launch(p, stream, timer, &once, error)) return false;
    if (bytes && !check(ts_copy_to_host(p->context, y->host.data, y->device, bytes), error)) return false;
    p->milliseconds = once;
    double sum = once;
    for (int i = 1; i < enough_launches && sum < enough_milliseconds; i++, sum += once) {
        if (!launch(p, stream, timer, &once, error)) return false;
        p->milliseconds = fmin(p->milliseconds, once);
    }
    return true;
}

bool problem_run(Problem *p, Error *error)
{
    ts_stream stream = NULL;
    ts_timer *timer = NULL;
    for (int id = 0; id < N_OPERANDS; id++)
        if (id != OPERAND_Y && !upload(p, &p->operand[id], error)) return false;
    if (!check(ts_stream_create(p->context, &stream), error)) return false;
    bool good = check(ts_timer_create(p->context, &timer), error) &&
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
        .x = &op[OPERAND_X].host,
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
