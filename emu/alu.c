/* alu.c: everything that computes lane by lane: moves, conversions, integers, logic, comparison, fp32.
 *
 * One line a row: its types and its meaning as an expression over a, b, c. All 32 lanes are computed and
 * those of the mask are written: loops of 32 without branches, which compilers vectorise.
 *
 * fp32 is IEEE with subnormals, rounded to nearest even; results that are NaN are the hardware's
 * 0x7FFFFFFF. The .approx.ftz functions are computed in double and rounded once, with subnormal inputs and
 * results flushed to zeros of their sign: closer than the bounds that the ISA allows hardware.
 */
#include "emu/execs.h"

#include <math.h>
#include <string.h>

#include "emu/half.h"

/* ---- writing results ---- */

static void put(Warp *w, const Inst *in, uint32_t lanes, const void *out, uint32_t bytes)
{
    unsigned char *to = write_row(w, in, 0);
    if (lanes == ALL_LANES) memcpy(to, out, bytes * LANES);
    else
        EACH_LANE(l, lanes) memcpy(to + l * bytes, (const unsigned char *)out + l * bytes, bytes);
}

static void put_predicate(Warp *w, const Inst *in, uint32_t lanes, uint32_t value)
{
    uint32_t *p = write_row(w, in, 0);
    *p = (*p & ~lanes) | (value & lanes);
}

/* ---- shapes of rows: name, type of the result, types of the operands, meaning ---- */

#define UNARY(name, D, A, meaning)                                \
    void exec_##name(Warp *w, const Inst *in, uint32_t lanes)     \
    {                                                             \
        D out[LANES];                                             \
        const A *ra = read_row(w, in, 1);                         \
        for (int l = 0; l < LANES; l++) {                         \
            A a = ra[l];                                          \
            out[l] = (D)(meaning);                                \
        }                                                         \
        put(w, in, lanes, out, sizeof(D));                        \
    }

#define BINARY(name, D, A, B, meaning)                            \
    void exec_##name(Warp *w, const Inst *in, uint32_t lanes)     \
    {                                                             \
        D out[LANES];                                             \
        const A *ra = read_row(w, in, 1);                         \
        const B *rb = read_row(w, in, 2);                         \
        for (int l = 0; l < LANES; l++) {                         \
            A a = ra[l];                                          \
            B b = rb[l];                                          \
            out[l] = (D)(meaning);                                \
        }                                                         \
        put(w, in, lanes, out, sizeof(D));                        \
    }

#define TERNARY(name, D, A, C, meaning)                           \
    void exec_##name(Warp *w, const Inst *in, uint32_t lanes)     \
    {                                                             \
        D out[LANES];                                             \
        const A *ra = read_row(w, in, 1), *rb = read_row(w, in, 2);   \
        const C *rc = read_row(w, in, 3);                         \
        for (int l = 0; l < LANES; l++) {                         \
            A a = ra[l], b = rb[l];                               \
            C c = rc[l];                                          \
            out[l] = (D)(meaning);                                \
        }                                                         \
        put(w, in, lanes, out, sizeof(D));                        \
    }

#define COMPARE_WITH(name, A, meaning, combine)                   \
    void exec_##name(Warp *w, const Inst *in, uint32_t lanes)     \
    {                                                             \
        uint32_t out = 0;                                         \
        const A *ra = read_row(w, in, 1), *rb = read_row(w, in, 2);   \
        for (int l = 0; l < LANES; l++) {                         \
            A a = ra[l], b = rb[l];                               \
            out |= (uint32_t)(meaning) << l;                      \
        }                                                         \
        put_predicate(w, in, lanes, out combine);                 \
    }
#define COMPARE(name, A, meaning)     COMPARE_WITH(name, A, meaning, )
#define COMPARE_AND(name, A, meaning) COMPARE_WITH(name, A, meaning, &read_predicate(w, in, 3))

#define SELECT(name, D)                                           \
    void exec_##name(Warp *w, const Inst *in, uint32_t lanes)     \
    {                                                             \
        D out[LANES];                                             \
        const D *ra = read_row(w, in, 1), *rb = read_row(w, in, 2);   \
        uint32_t p = read_predicate(w, in, 3);                    \
        for (int l = 0; l < LANES; l++) out[l] = p >> l & 1 ? ra[l] : rb[l]; \
        put(w, in, lanes, out, sizeof(D));                        \
    }

/* ---- meanings that take more than an operator ---- */

static inline float flush(float f) { return fabsf(f) < 0x1p-126f ? copysignf(0, f) : f; }

static inline float approx_rcp(float a) { return canonical(flush((float)(1 / (double)flush(a)))); }
static inline float approx_ex2(float a) { return canonical(flush((float)exp2((double)flush(a)))); }
static inline float approx_lg2(float a)
{
    a = flush(a);
    return canonical(a == 0 ? -INFINITY : flush((float)log2((double)a)));
}
static inline float approx_tanh(float a) { return canonical((float)tanh((double)a)); }

/* The operand that is a number, if only one is. */
static inline float min_number(float a, float b)
{
    if (a != a) return canonical(b);
    if (b != b) return a;
    return a < b || (a == b && signbit(a)) ? a : b;
}
/* NaN if either is; -0 is below +0. */
static inline float min_nan(float a, float b)
{
    if (a != a || b != b) return canonical(NAN);
    return a < b || (a == b && signbit(a)) ? a : b;
}
static inline float max_nan(float a, float b)
{
    if (a != a || b != b) return canonical(NAN);
    return a > b || (a == b && !signbit(a)) ? a : b;
}

static inline uint32_t pack(uint16_t low, uint16_t high) { return low | (uint32_t)high << 16; }

/* clang-format off */

/* ---- moves and conversions ---- */
UNARY(MOV_B16,           uint16_t, uint16_t, a)
UNARY(MOV_B32,           uint32_t, uint32_t, a)
UNARY(MOV_B64,           uint64_t, uint64_t, a)
UNARY(MOV_F32,           uint32_t, uint32_t, a)
UNARY(MOV_F32_BITS,      uint32_t, uint32_t, a)
UNARY(MOV_BITS_F32,      uint32_t, uint32_t, a)
UNARY(CVT_U64_U32,       uint64_t, uint32_t, a)
UNARY(CVT_U32_U64,       uint32_t, uint64_t, a)
UNARY(CVT_U16_U32,       uint16_t, uint32_t, a)
UNARY(CVT_F32_F16,       float,    uint16_t, canonical(f32_of_f16(a)))
/* the first source goes to the upper half */
UNARY(CVT_F16_F32,       uint16_t, float,    f16_of_f32(a))
UNARY(CVT_BF16_F32,      uint16_t, float,    bf16_of_f32(a))
BINARY(CVT_F16X2_F32,    uint32_t, float, float, pack(f16_of_f32(b), f16_of_f32(a)))
BINARY(CVT_BF16X2_F32,   uint32_t, float, float, pack(bf16_of_f32(b), bf16_of_f32(a)))

/* ---- integers: everything wraps ---- */
BINARY(ADD_S32,          uint32_t, uint32_t, uint32_t, a + b)
BINARY(ADD_S64,          uint64_t, uint64_t, uint64_t, a + b)
BINARY(SUB_S32,          uint32_t, uint32_t, uint32_t, a - b)
BINARY(SUB_S64,          uint64_t, uint64_t, uint64_t, a - b)
BINARY(MUL_LO_S32,       uint32_t, uint32_t, uint32_t, a * b)
BINARY(MUL_LO_S64,       uint64_t, uint64_t, uint64_t, a * b)
BINARY(MUL_WIDE_U32,     uint64_t, uint32_t, uint32_t, (uint64_t)a * b)
TERNARY(MAD_LO_S32,      uint32_t, uint32_t, uint32_t, a * b + c)
TERNARY(MAD_LO_S64,      uint64_t, uint64_t, uint64_t, a * b + c)
TERNARY(MAD_WIDE_U32,    uint64_t, uint32_t, uint64_t, (uint64_t)a * b + c)
/* by zero is unspecified: a wild value */
BINARY(DIV_U32,          uint32_t, uint32_t, uint32_t, b ? a / b : POISON_32)
BINARY(REM_U32,          uint32_t, uint32_t, uint32_t, b ? a % b : POISON_32)
BINARY(MIN_U32,          uint32_t, uint32_t, uint32_t, a < b ? a : b)
BINARY(MIN_S32,          int32_t,  int32_t,  int32_t,  a < b ? a : b)
BINARY(MAX_S32,          int32_t,  int32_t,  int32_t,  a > b ? a : b)
BINARY(AND_B32,          uint32_t, uint32_t, uint32_t, a & b)
BINARY(OR_B32,           uint32_t, uint32_t, uint32_t, a | b)
BINARY(XOR_B32,          uint32_t, uint32_t, uint32_t, a ^ b)
/* amounts above the width give what the width gives */
BINARY(AND_B64,          uint64_t, uint64_t, uint64_t, a & b)
TERNARY(SHF_R_WRAP_B32,  uint32_t, uint32_t, uint32_t, (uint32_t)(((uint64_t)b << 32 | a) >> (c & 31)))
BINARY(SHL_B32,          uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a << b)
BINARY(SHR_U32,          uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a >> b)
BINARY(SHL_B64,          uint64_t, uint64_t, uint32_t, b > 63 ? 0 : a << b)

/* ---- comparison and selection ---- */
COMPARE(SETP_EQ_U32,     uint32_t, a == b)
COMPARE(SETP_NE_U32,     uint32_t, a != b)
COMPARE(SETP_LT_U32,     uint32_t, a < b)
COMPARE(SETP_GE_U32,     uint32_t, a >= b)
COMPARE(SETP_LT_S32,     int32_t,  a < b)
COMPARE(SETP_GE_S32,     int32_t,  a >= b)
COMPARE(SETP_GT_S32,     int32_t,  a > b)
COMPARE_AND(SETP_EQ_AND_U32, uint32_t, a == b)
COMPARE_AND(SETP_LT_AND_S32, int32_t,  a < b)
COMPARE_AND(SETP_GT_AND_S32, int32_t,  a > b)
COMPARE(SETP_NE_B64,     uint64_t, a != b)
COMPARE(SETP_LT_F32,     float,    a < b)
SELECT(SELP_B32,         uint32_t)
SELECT(SELP_F32,         uint32_t)

/* ---- fp32 ---- */
BINARY(ADD_F32,          float, float, float, canonical(a + b))
BINARY(SUB_F32,          float, float, float, canonical(a - b))
BINARY(MUL_F32,          float, float, float, canonical(a * b))
TERNARY(FMA_F32,         float, float, float, canonical(fmaf(a, b, c)))
BINARY(DIV_F32,          float, float, float, canonical(a / b))
UNARY(ABS_F32,           uint32_t, uint32_t, a & 0x7FFFFFFF)
UNARY(NEG_F32,           uint32_t, uint32_t, a ^ 0x80000000)
BINARY(MIN_F32,          float, float, float, min_number(a, b))
BINARY(MIN_NAN_F32,      float, float, float, min_nan(a, b))
BINARY(MAX_NAN_F32,      float, float, float, max_nan(a, b))
UNARY(RCP_APPROX,        float, float, approx_rcp(a))
UNARY(LG2_APPROX,        float, float, approx_lg2(a))
UNARY(EX2_APPROX,        float, float, approx_ex2(a))
UNARY(TANH_APPROX,       float, float, approx_tanh(a))
/* clang-format on */

/* ---- the odd ones ---- */

void exec_AND_PRED(Warp *w, const Inst *in, uint32_t lanes)
{
    put_predicate(w, in, lanes, read_predicate(w, in, 1) & read_predicate(w, in, 2));
}

/* The first register of the list is the lower half. */
void exec_PACK_B32(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t out[LANES];
    const uint16_t *half = read_row(w, in, 1);
    for (int l = 0; l < LANES; l++) out[l] = pack(half[l], half[LANES + l]);
    put(w, in, lanes, out, sizeof out[0]);
}

void exec_UNPACK_B32(Warp *w, const Inst *in, uint32_t lanes)
{
    uint16_t *half = write_row(w, in, 0);
    const uint32_t *from = read_row(w, in, 1);
    EACH_LANE(l, lanes) {
        half[l] = (uint16_t)from[l];
        half[LANES + l] = (uint16_t)(from[l] >> 16);
    }
}

static uint32_t special_value(const Warp *w, PtxSpecial s, uint32_t lane)
{
    const Block *b = w->block;
    uint32_t thread = (uint32_t)w->index * LANES + lane;
    switch (s) {
    case PTX_TID_X: return thread % b->launch->block[0];
    case PTX_CTAID_X: return b->coordinate[0];
    case PTX_CTAID_Y: return b->coordinate[1];
    case PTX_CTAID_Z: return b->coordinate[2];
    case PTX_NTID_X: return b->launch->block[0];
    case PTX_NCTAID_X: return b->launch->grid[0];
    case PTX_LANEID: return lane;
    case PTX_WARPID: return (uint32_t)w->index;
    case PTX_CLUSTER_RANK: return (uint32_t)b->rank;
    case PTX_CLUSTERID_X: return b->coordinate[0] / b->launch->cluster;
    case PTX_NCLUSTERID_X: return b->launch->grid[0] / b->launch->cluster;
    case PTX_N_SPECIALS: break; /* no default: the compiler names a register that ops.h has gained */
    }
    return POISON_32;
}

void exec_MOV_SPECIAL(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t out[LANES];
    for (uint32_t l = 0; l < LANES; l++) out[l] = special_value(w, (PtxSpecial)in->arg[1].imm, l);
    put(w, in, lanes, out, sizeof out[0]);
}

void exec_MOV_SHARED(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t out[LANES];
    for (int l = 0; l < LANES; l++) out[l] = shared_window(w->block) | SHARED_BASE;
    put(w, in, lanes, out, sizeof out[0]);
}

/* PTX ISA 9.7.9.6: each lane reads the register of the lane that it names. */
void exec_SHFL_IDX(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t out[LANES];
    const uint32_t *from = read_row(w, in, 1), *lane = read_row(w, in, 2);
    for (int l = 0; l < LANES; l++) out[l] = from[lane[l] & 31];
    put(w, in, lanes, out, sizeof out[0]);
}
