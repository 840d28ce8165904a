/* operands.c: one allocation, cut into sets; the numbers are a block of random bits, over and over. */
#include "dispatch/operands.h"

#include <stdlib.h>

enum {
    ROTATION_BYTES = 300000000, /* of all sets together, more than any L2 */
    MAX_SETS = 512,
    SET_ALIGN_BYTES = 256,
    BLOCK_ELEMS = 1048573, /* a prime: rows of different blocks do not repeat each other */
};

typedef enum OperandId { X, W, BIAS, R, Y } OperandId;

typedef struct Wanted {
    bool used;
    const ts_matrix *matrix;
    int64_t rows, cols;
} Wanted;

static Wanted wanted(const ts_linear_args *args, const ts_matrix *bias, OperandId id)
{
    switch (id) {
    case X: return (Wanted){args->k > 0, &args->x, args->m, args->k};
    case W: return (Wanted){args->k > 0, &args->w, args->n, args->k};
    case BIAS: return (Wanted){bias->dtype != 0, bias, 1, args->n};
    case R: return (Wanted){args->r.dtype != 0, &args->r, args->m, args->n};
    default: return (Wanted){true, &args->y, args->m, args->n};
    }
}

static ts_matrix bias_matrix(const ts_linear_args *args)
{
    return ts_matrix_make(args->bias, args->n, args->bias_dtype);
}

/* From the first element to behind the last. */
static ts_status span_bytes(const Wanted *w, uint64_t *bytes)
{
    const ts_matrix *m = w->matrix;
    int64_t down = 0, right = 0, last, span;
    bool over = (w->rows > 1 && __builtin_mul_overflow(w->rows - 1, m->row_stride, &down)) ||
                (w->cols > 1 && __builtin_mul_overflow(w->cols - 1, m->col_stride, &right)) || down < 0 ||
                right < 0 || __builtin_add_overflow(down, right, &last) ||
                __builtin_mul_overflow(last + 1, (int64_t)rt_dtype_bytes(m->dtype), &span);
    if (over || span > INT64_MAX / 16)
        return rt_fail(
            TS_ERROR_INVALID_ARGUMENT, "%lld x %lld elements with strides %lld and %lld cannot be addressed",
            (long long)w->rows, (long long)w->cols, (long long)m->row_stride, (long long)m->col_stride);
    *bytes = (uint64_t)span;
    return TS_OK;
}

/* Each operand begins as far behind a multiple of 16 as the caller's does. */
static ts_status lay_out(RtOperands *o)
{
    const ts_matrix bias = bias_matrix(&o->args);
    for (int id = 0; id < RT_N_OPERANDS; id++) {
        Wanted w = wanted(&o->args, &bias, (OperandId)id);
        uint64_t bytes;
        o->used[id] = w.used;
        if (!w.used) continue;
        ts_status status = span_bytes(&w, &bytes);
        if (status) return status;
        size_t behind = w.matrix->data % RT_MAX_ALIGN_BYTES;
        o->offset[id] = o->set_bytes + behind;
        o->set_bytes += (behind + bytes + SET_ALIGN_BYTES - 1) / SET_ALIGN_BYTES * SET_ALIGN_BYTES;
    }
    return TS_OK;
}

/* As many sets as are wanted, or as many as there is memory for. */
static ts_status allocate(RtOperands *o)
{
    size_t most = (ROTATION_BYTES + o->set_bytes - 1) / o->set_bytes;
    for (o->sets = most > MAX_SETS ? MAX_SETS : (int)most;; o->sets /= 2) {
        ts_status status = ts_malloc(o->context, o->set_bytes * (size_t)o->sets, &o->base);
        if (status != TS_ERROR_OUT_OF_MEMORY || o->sets == 1) return status;
    }
}

/* ---- numbers ---- */

static uint64_t next_random(uint64_t *state) /* xorshift64 (Marsaglia 2003) */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A number of random sign and mantissa whose exponent is `exponent` or one of the two below it. */
static uint32_t random_number(ts_dtype type, int exponent, uint64_t *state)
{
    uint64_t bits = next_random(state);
    uint32_t sign = bits & 1;
    int e = exponent - (int)(bits >> 1) % 3;
    if (type == TS_F16) return sign << 15 | (uint32_t)(e + 15) << 10 | (uint32_t)(bits >> 20 & 0x3ff);
    uint32_t single = sign << 31 | (uint32_t)(e + 127) << 23 | (uint32_t)(bits >> 20 & 0x7fffff);
    return type == TS_BF16 ? single >> 16 : single;
}

/* Sums of k products are then of about 1. The least exponent of f16 is -14. */
static int exponent_of(const ts_linear_args *args, OperandId id)
{
    int exponent = 0;
    if (id != W) return 0;
    for (int64_t k = args->k; k > 1 && exponent > -12; k /= 4) exponent--;
    return exponent;
}

static void fill_block(void *block, ts_dtype type, int exponent)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < BLOCK_ELEMS; i++) {
        uint32_t number = random_number(type, exponent, &state);
        if (type == TS_F32) ((uint32_t *)block)[i] = number;
        else ((uint16_t *)block)[i] = (uint16_t)number;
    }
}

static ts_status upload(const RtOperands *o, int id, const Wanted *w, const void *block)
{
    size_t block_bytes = BLOCK_ELEMS * (size_t)rt_dtype_bytes(w->matrix->dtype);
    uint64_t bytes;
    ts_status status = span_bytes(w, &bytes);
    for (int set = 0; set < o->sets && !status; set++) {
        ts_device_ptr at = o->base + (uint64_t)set * o->set_bytes + o->offset[id];
        for (uint64_t done = 0; done < bytes && !status; done += block_bytes)
            status = ts_copy_to_device(o->context, at + done, block,
                                       bytes - done < block_bytes ? (size_t)(bytes - done) : block_bytes);
    }
    return status;
}

static ts_status fill(const RtOperands *o)
{
    const ts_matrix bias = bias_matrix(&o->args);
    void *block = malloc(BLOCK_ELEMS * sizeof(uint32_t));
    ts_status status = block ? TS_OK : rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for random numbers");
    for (int id = 0; id < Y && !status; id++) {
        Wanted w = wanted(&o->args, &bias, (OperandId)id);
        if (!w.used) continue;
        fill_block(block, w.matrix->dtype, exponent_of(&o->args, (OperandId)id));
        status = upload(o, id, &w, block);
    }
    free(block);
    return status;
}

/* ---- */

ts_status rt_operands_create(RtOperands *o, ts_context *context, const ts_linear_args *args)
{
    *o = (RtOperands){.context = context, .args = *args};
    ts_status status = lay_out(o);
    if (!status) status = allocate(o);
    return status ? status : fill(o);
}

void rt_operands_free(RtOperands *o)
{
    if (o->context) ts_free(o->context, o->base);
    *o = (RtOperands){0};
}

ts_linear_args rt_operands_args(const RtOperands *o, int64_t i)
{
    ts_linear_args args = o->args;
    ts_device_ptr set = o->base + (uint64_t)(i % o->sets) * o->set_bytes;
    args.x.data = o->used[X] ? set + o->offset[X] : 0;
    args.w.data = o->used[W] ? set + o->offset[W] : 0;
    args.bias = o->used[BIAS] ? set + o->offset[BIAS] : 0;
    args.r.data = o->used[R] ? set + o->offset[R] : 0;
    args.y.data = set + o->offset[Y];
    return args;
}
