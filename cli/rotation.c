/* rotation.c: one allocation, cut into sets; host memory holds the numbers once. */
#include "cli/rotation.h"
#include "cli/device.h"
#include "cli/random.h"
#include "cli/verify.h"

#include <math.h>
#include <string.h>

/* ---- what a kernel wants ---- */

typedef struct Wanted {
    bool used, by_columns;
    GenType type;
    int64_t rows, cols;
} Wanted;

/* A kernel for any strides gets rows. */
static bool columns(ts_layout layout) { return layout == TS_COLUMN_MAJOR; }

static Wanted wanted_by(const ts_kernel_info *info, Shape s, OperandId id)
{
    switch (id) {
    case OPERAND_X: return (Wanted){true, columns(info->x_layout), device_type(info->x), s.m, s.k};
    case OPERAND_W: return (Wanted){true, columns(info->w_layout), device_type(info->w), s.n, s.k};
    case OPERAND_BIAS: return (Wanted){info->takes_bias, false, device_type(info->bias), 1, s.n};
    case OPERAND_R: return (Wanted){info->takes_r, false, device_type(info->y), s.m, s.n};
    default: return (Wanted){true, columns(info->y_layout), device_type(info->y), s.m, s.n};
    }
}

static bool has(const Rotation *r, const ts_kernel_info *info)
{
    if (!r->base) return false;
    for (int id = 0; id < N_OPERANDS; id++) {
        Wanted w = wanted_by(info, r->shape, (OperandId)id);
        if (w.used != r->used[id]) return false;
        if (w.used && (w.type != r->type[id] || w.by_columns != r->by_columns[id])) return false;
    }
    return true;
}

static bool pitch_fits(Wanted w, int align_bytes)
{
    int64_t lines = w.by_columns ? w.cols : w.rows, length = w.by_columns ? w.rows : w.cols;
    return lines <= 1 || length * gen_type_bytes(w.type) % align_bytes == 0;
}

bool rotation_fits(Shape s, const ts_kernel_info *info)
{
    return pitch_fits(wanted_by(info, s, OPERAND_X), info->x_align) &&
           pitch_fits(wanted_by(info, s, OPERAND_W), info->w_align) &&
           pitch_fits(wanted_by(info, s, OPERAND_Y), info->y_align);
}

/* ---- memory ---- */

/* Places the operands of one set. */
static bool lay_out(Rotation *r, const ts_kernel_info *info, Error *error)
{
    r->set_bytes = 0;
    for (int id = 0; id < N_OPERANDS; id++) {
        Wanted w = wanted_by(info, r->shape, (OperandId)id);
        size_t bytes;
        r->used[id] = w.used;
        r->type[id] = w.type;
        r->by_columns[id] = w.by_columns;
        r->offset[id] = r->set_bytes;
        if (!w.used) continue;
        if (__builtin_mul_overflow(w.rows * gen_type_bytes(w.type), w.cols, &bytes) || bytes > SIZE_MAX / 16)
            return refuse(error, "out of memory: %lld x %lld elements are more than can be addressed",
                          (long long)w.rows, (long long)w.cols);
        r->set_bytes += (bytes + ROTATION_ALIGN_BYTES - 1) / ROTATION_ALIGN_BYTES * ROTATION_ALIGN_BYTES;
    }
    return true;
}

/* As many sets as are wanted, or as many as there is memory for. */
static bool allocate(Rotation *r, Error *error)
{
    size_t wanted = (ROTATION_BYTES + r->set_bytes - 1) / r->set_bytes;
    r->sets = wanted > ROTATION_MAX_SETS ? ROTATION_MAX_SETS : (int)wanted;
    for (;; r->sets /= 2) {
        ts_status status = ts_malloc(r->context, r->set_bytes * (size_t)r->sets, &r->base);
        if (status == TS_OK) return true;
        if (status != TS_ERROR_OUT_OF_MEMORY || r->sets == 1) return device_check(status, error);
    }
}

/* y has no numbers of its own; its host matrix is where results are looked at. */
static bool fill_host(Rotation *r, const ts_kernel_info *info, uint64_t seed, Error *error)
{
    for (int id = 0; id < N_OPERANDS; id++) {
        Wanted w = wanted_by(info, r->shape, (OperandId)id);
        if (!w.used) continue;
        int64_t rows = w.by_columns ? w.cols : w.rows, cols = w.by_columns ? w.rows : w.cols;
        if (!matrix_create(&r->host[id], w.type, rows, cols, 0, error)) return false;
        if (id != OPERAND_Y)
            random_fill(&r->host[id], seed, (uint64_t)id, id == OPERAND_W ? 1 / sqrt((double)r->shape.k) : 1);
    }
    return true;
}

static ts_device_ptr address(const Rotation *r, int64_t set, int id)
{
    return r->base + (uint64_t)set * r->set_bytes + r->offset[id];
}

static bool upload(Rotation *r, Error *error)
{
    for (int set = 0; set < r->sets; set++)
        for (int id = 0; id < N_OPERANDS; id++) {
            const Matrix *m = &r->host[id];
            if (r->used[id] && id != OPERAND_Y &&
                !device_check(ts_copy_to_device(r->context, address(r, set, id), m->data, matrix_bytes(m)),
                              error))
                return false;
        }
    return true;
}

bool rotation_fill(Rotation *r, const ts_kernel_info *info, uint64_t seed, Error *error)
{
    if (has(r, info)) return true;
    rotation_free(r);
    if (lay_out(r, info, error) && allocate(r, error) && fill_host(r, info, seed, error) && upload(r, error))
        return true;
    rotation_free(r);
    return false;
}

void rotation_free(Rotation *r)
{
    ts_free(r->context, r->base);
    r->base = 0;
    for (int id = 0; id < N_OPERANDS; id++) matrix_free(&r->host[id]);
}

/* ---- calls ---- */

static ts_matrix view(const Rotation *r, int64_t set, int id)
{
    if (!r->used[id]) return (ts_matrix){0};
    ts_matrix matrix = ts_matrix_make(address(r, set, id), r->host[id].pitch, device_dtype(r->type[id]));
    if (r->by_columns[id]) matrix.row_stride = 1, matrix.col_stride = r->host[id].pitch;
    return matrix;
}

static ts_linear_args arguments(const Rotation *r, int64_t i)
{
    ts_linear_args a = ts_linear_args_make();
    int64_t set = i % r->sets;
    a.m = r->shape.m, a.n = r->shape.n, a.k = r->shape.k;
    a.x = view(r, set, OPERAND_X);
    a.w = view(r, set, OPERAND_W);
    a.y = view(r, set, OPERAND_Y);
    a.r = view(r, set, OPERAND_R);
    a.bias = view(r, set, OPERAND_BIAS).data;
    a.bias_dtype = device_dtype(r->type[OPERAND_BIAS]);
    return a;
}

ts_status rotation_launch(const Rotation *r, const ts_kernel *kernel, int64_t i, float s, float t,
                          ts_stream stream)
{
    ts_linear_args args = arguments(r, i);
    ts_kernel_info info = {.struct_size = sizeof info};
    args.s = s, args.t = t;
    args.workspace = r->workspace, args.workspace_bytes = r->workspace_bytes;
    if (!r->of_library) return ts_kernel_launch(kernel, &args, stream);
    ts_status status = ts_kernel_get_info(kernel, &info);
    args.epilogue = info.epilogue;
    return status ? status : ts_linear(r->context, &args, stream);
}

double rotation_call_bytes(const Rotation *r)
{
    double bytes = 0;
    for (int id = 0; id < N_OPERANDS; id++)
        if (r->used[id]) bytes += (double)matrix_bytes(&r->host[id]);
    return bytes;
}

/* ---- checking ---- */

/* No kernel stores the poison: the only NaN that the hardware makes has another pattern. */
static int64_t count_unwritten(const Matrix *y)
{
    const size_t bytes = (size_t)gen_type_bytes(y->type);
    const unsigned char *at = y->data;
    const unsigned char poison[8] = {MATRIX_POISON, MATRIX_POISON, MATRIX_POISON, MATRIX_POISON};
    int64_t count = 0;
    for (int64_t i = 0; i < y->rows * y->cols; i++)
        count += memcmp(at + (size_t)i * bytes, poison, bytes) == 0;
    return count;
}

static double element(const Rotation *r, OperandId id, int64_t row, int64_t col)
{
    const Matrix *m = &r->host[id];
    return r->by_columns[id] ? element_get(m->type, matrix_row(m, col), row)
                             : element_get(m->type, matrix_row(m, row), col);
}

/* x is rounded to w's type on its way in. */
static double product(const Rotation *r, int64_t row, int64_t col)
{
    GenType type = r->type[OPERAND_W];
    double sum = 0;
    for (int64_t k = 0; k < r->shape.k; k++)
        sum += element_round(type, element(r, OPERAND_X, row, k)) * element(r, OPERAND_W, col, k);
    return sum;
}

/* The first samples are the corners, where tiles end. */
static double sample_error(const Rotation *r, const Linear *linear, uint64_t seed)
{
    enum { SAMPLES = 1024, STREAM = 99 };
    const Shape s = r->shape;
    double error = 0, norm = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        uint64_t pick = random_bits(seed, STREAM, i) % (uint64_t)(s.m * s.n);
        int64_t row = i < 4 ? (i & 1 ? s.m - 1 : 0) : (int64_t)pick / s.n;
        int64_t col = i < 4 ? (i & 2 ? s.n - 1 : 0) : (int64_t)pick % s.n;
        double wanted = reference_output(linear, row, col, product(r, row, col));
        double got = element(r, OPERAND_Y, row, col);
        error += (got - wanted) * (got - wanted);
        norm += wanted * wanted;
    }
    return norm > 0 ? sqrt(error / norm) : sqrt(error);
}

bool rotation_check(Rotation *r, const Linear *scalars, uint64_t seed, bool (*launch)(void *, Error *),
                    void *context, double *rel_err, Error *error)
{
    Matrix *y = &r->host[OPERAND_Y];
    Linear linear = *scalars;
    linear.x = &r->host[OPERAND_X];
    linear.w = &r->host[OPERAND_W];
    linear.bias = r->used[OPERAND_BIAS] ? &r->host[OPERAND_BIAS] : NULL;
    linear.r = r->used[OPERAND_R] ? &r->host[OPERAND_R] : NULL;
    ts_device_ptr at = address(r, 0, OPERAND_Y);
    size_t bytes = matrix_bytes(y);
    if (!device_check(ts_fill(r->context, at, MATRIX_POISON, bytes), error) || !launch(context, error) ||
        !device_check(ts_copy_to_host(r->context, y->data, at, bytes), error))
        return false;
    int64_t unwritten = count_unwritten(y);
    if (unwritten) return refuse(error, "wrong: %lld elements of y were not written", (long long)unwritten);
    *rel_err = sample_error(r, &linear, seed);
    /* A sample may be few numbers: rounding to storage alone can cost a single one half as much again. */
    double limit = 1.5 * verify_rel_err_limit(y->type);
    return *rel_err <= limit ||
           refuse(error, "wrong: rel_err %.3e against float64 is over %.1e", *rel_err, limit);
}
