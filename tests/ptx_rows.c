/* ptx_rows.c: every row of gen/ptx/ops.h does what the PTX ISA says.
 *
 * Each file of tests/ptx/ is a kernel of a few rows: a lane reads 32 words, and writes 32. Here stands what
 * each should write, in plain C that shares nothing with the emulator. Every file runs on the emulator over
 * random and special inputs and is compared with that; and with TILESMITH_TEST_DRIVER=libcuda.so.1 also on
 * a GPU, compared with the emulator. How closely says the last comment line at the top of the file:
 *
 *     exact                        every bit
 *     ulp N [, abs X]              floats: within N units in the last place, or within X
 *     any NaN equals any NaN       words are floats
 *
 * At the end every row must have been covered by some file; of the rows of wgmma, which differ in N alone,
 * some of each type.
 */
#include "gen/ptx/ptx.h"
#include "tests/emu_driver.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { WORDS = 32, BLOCKS = 48, MAX_LANES = BLOCKS * 256, UNTOUCHED = 0x5EED5EED };

typedef uint32_t Words[WORDS];

/* ---- numbers, by arithmetic rather than by bits ---- */

static float f32(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static uint32_t bits(float f)
{
    uint32_t b;
    memcpy(&b, &f, 4);
    return b;
}
static float flushed(float f) { return fabsf(f) < 0x1p-126f ? copysignf(0, f) : f; }

/* A 16-bit float with this many bits of mantissa: 10 is f16, 7 is bf16. */
static double narrow_value(uint16_t h, int mantissa)
{
    int exponent_bits = 15 - mantissa, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (h >> mantissa) & ((1 << exponent_bits) - 1), fraction = h & ((1 << mantissa) - 1);
    double sign = h & 0x8000 ? -1 : 1;
    if (exponent == 2 * bias + 1) return fraction ? NAN : sign * INFINITY;
    if (!exponent) return sign * ldexp(fraction, 1 - bias - mantissa);
    return sign * ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
}

/* The nearest 16-bit float, ties to even: the values are in the order of their bits, so walk there. */
static uint16_t narrow_bits(float f, int mantissa)
{
    if (isnan(f)) return 0x7FFF;
    uint16_t sign = signbit(f) ? 0x8000 : 0, low = 0,
             infinity = (uint16_t)(((1 << (15 - mantissa)) - 1) << mantissa);
    double x = fabs((double)f),
           beyond = ldexp(narrow_value((uint16_t)(infinity - (1 << mantissa)), mantissa), 1);
    for (int bit = 14; bit >= 0; bit--) /* the largest value that is not above x */
        if ((low | 1 << bit) <= infinity && narrow_value((uint16_t)(low | 1 << bit), mantissa) <= x)
            low |= (uint16_t)(1 << bit);
    if (low == infinity) return sign | low;
    double below = narrow_value(low, mantissa),
           above = low + 1 == infinity ? beyond : narrow_value((uint16_t)(low + 1), mantissa);
    bool up = x - below > above - x || (x - below == above - x && (low & 1));
    return (uint16_t)(sign | (low + up));
}

/* ---- what each file computes: a block of `n` lanes ---- */

typedef struct Block {
    int n, index;
    const Words *in;
    Words *out;
} Block;

#define EACH(lane)                                                                      \
    for (int lane = 0; lane < b->n; lane++)                                             \
        for (const uint32_t *in = b->in[lane], *once = in; once; once = NULL)           \
            for (uint32_t *out = b->out[lane]; out; out = NULL)

static void integer(const Block *b)
{
    EACH(l) {
        uint32_t a = in[0], c = in[1], d = in[2], nonzero = c | 1;
        int32_t sa = (int32_t)a, sc = (int32_t)c;
        const uint32_t wanted[] = {a + c,
                                   a - 7,
                                   a - c,
                                   5 - c,
                                   a - 2147483647u,
                                   a * c,
                                   a * 96,
                                   a * c + d,
                                   a * 48 + d,
                                   a / nonzero,
                                   a / 3,
                                   a % nonzero,
                                   a % 10,
                                   a < c ? a : c,
                                   a < 16 ? a : 16,
                                   (uint32_t)(sa < sc ? sa : sc),
                                   (uint32_t)(sa < -1 ? sa : -1),
                                   (uint32_t)(sa > sc ? sa : sc),
                                   (uint32_t)(sa > 0 ? sa : 0)};
        memcpy(out, wanted, sizeof wanted);
    }
}

static void wide_results(const uint32_t *in, uint64_t result[8])
{
    uint64_t a = in[0] | (uint64_t)in[1] << 32, c = in[2] | (uint64_t)in[3] << 32;
    uint32_t amount = in[4] & 127;
    const uint64_t r[] = {a + c,
                          a - c,
                          a * c,
                          a * c + a,
                          (uint64_t)in[0] * in[2],
                          (uint64_t)in[0] * in[2] + a,
                          amount > 63 ? 0 : a << amount,
                          a + 0x100000001};
    memcpy(result, r, sizeof r);
}

static void wide_prepare(Words *in, int n)
{
    for (int l = 0; l < n; l++) {
        uint64_t result[8];
        wide_results(in[l], result);
        memcpy(in[l] + 5, result, sizeof result);
    }
}

static void wide(const Block *b)
{
    EACH(l) {
        uint64_t result[8], a = in[0] | (uint64_t)in[1] << 32;
        wide_results(in, result);
        for (int i = 0; i < 8; i++) {
            out[2 * i] = 0;
            out[2 * i + 1] = (uint32_t)result[i];
        }
        out[16] = 1;
        out[17] = 0;
        out[18] = (uint32_t)(a * 26);
        out[19] = a != 0;
        out[20] = (uint32_t)a & ~15u;
    }
}

static void logic(const Block *b)
{
    EACH(l) {
        uint32_t a = in[0], c = in[1], amount = c & 63;
        const uint32_t wanted[] = {a & c,
                                   a & 0xFF00,
                                   a | c,
                                   a | 1,
                                   a ^ c,
                                   ~a,
                                   amount < 32 ? a << amount : 0,
                                   c < 32 ? a << c : 0,
                                   a << 7,
                                   amount < 32 ? a >> amount : 0,
                                   c < 32 ? a >> c : 0,
                                   a >> 31,
                                   (uint32_t)(((uint64_t)c << 32 | a) >> (c & 31)),
                                   (uint32_t)(((uint64_t)c << 32 | a) >> 16)};
        memcpy(out, wanted, sizeof wanted);
    }
}

static void compare(const Block *b)
{
    EACH(l) {
        uint32_t a = in[0], c = in[1];
        int32_t sa = (int32_t)a, sc = (int32_t)c;
        float x = f32(a), y = f32(c);
        bool before = (int32_t)in[2] < 0, differ = a != c, less = x < y;
        const uint32_t wanted[] = {a == c,
                                   a == 1,
                                   differ,
                                   a < c,
                                   a<32, a >= c, sa<sc, sa<0, sa >= sc, sa> sc, sa> - 1, sa> sc && before,
                                   a == c && before,
                                   before && differ,
                                   differ ? a : c,
                                   before && sa < sc ? 7 : c,
                                   less,
                                   less ? a : c,
                                   x < 2 ? bits(1) : c,
                                   before && sa < sc};
        memcpy(out, wanted, sizeof wanted);
    }
}

/* NaN, or the lower one; -0 is lower than +0. */
static float lower(float a, float b)
{
    if (isnan(a) || isnan(b)) return NAN;
    if (a == 0 && b == 0) return signbit(a) ? a : b;
    return a < b ? a : b;
}

static void floats(const Block *b)
{
    EACH(l) {
        float x = f32(in[0]), y = f32(in[1]), z = f32(in[2]);
        const float wanted[] = {
            x + y,         x + 1,          x - y,          1 - y,           x * y,    x * f32(0xBFB8AA3B),
            fmaf(x, y, z), fmaf(x, 2, 1),  x / y,          1 / y,           fabsf(x), -x,
            lower(x, y),   lower(x, 0.0f), -lower(-x, -y), -lower(-x, 0.0f),
            isnan(x) ? y : isnan(y) ? x : lower(x, y)};
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) out[i] = bits(wanted[i]);
    }
}

static void ex2(const Block *b)
{
    EACH(l) for (int i = 0; i < 8; i++) out[i] = bits(flushed((float)exp2l(flushed(f32(in[i])))));
}
static void rcp(const Block *b)
{
    EACH(l) for (int i = 0; i < 8; i++) out[i] = bits(flushed((float)(1.0L / flushed(f32(in[i])))));
}
static void lg2(const Block *b)
{
    EACH(l) for (int i = 0; i < 8; i++) {
        float x = flushed(f32(in[i]));
        out[i] = bits(x == 0 ? -INFINITY : flushed((float)log2l(x)));
    }
}
static void hyperbolic(const Block *b)
{
    EACH(l) for (int i = 0; i < 8; i++) out[i] = bits((float)tanhl(f32(in[i])));
}

static void convert(const Block *b)
{
    EACH(l) {
        float x = f32(in[0]), y = f32(in[1]);
        uint32_t f16_x = narrow_bits(x, 10), f16_y = narrow_bits(y, 10), bf16_x = narrow_bits(x, 7),
                 bf16_y = narrow_bits(y, 7);
        const uint32_t wanted[] = {f16_x,
                                   bf16_x,
                                   f16_x << 16 | f16_y,
                                   bf16_x << 16 | bf16_y,
                                   bits((float)narrow_value((uint16_t)in[0], 10)),
                                   bits((float)narrow_value((uint16_t)(in[0] >> 16), 10)),
                                   in[0],
                                   in[0],
                                   in[1],
                                   in[0],
                                   0x7F800000,
                                   in[0],
                                   0xFFFFFFFE,
                                   in[1],
                                   0xFFFFFFFB,
                                   0x3C00 | bf16_x << 16,
                                   (in[0] & 0xffff) | in[1] << 16};
        memcpy(out, wanted, sizeof wanted);
    }
}

static void special_registers(const Block *b)
{
    EACH(l) {
        const uint32_t wanted[] = {(uint32_t)l, (uint32_t)b->index, (uint32_t)b->n,
                                   BLOCKS,      (uint32_t)l % 32,   1, 0, 0};
        memcpy(out, wanted, sizeof wanted);
    }
}

static uint32_t param_a = 0xA1B2C3D4;
static float param_b = -1.5f;
static uint64_t param_c = 0x0123456789ABCDEF;

static void shuffle(const Block *b)
{
    EACH(l)
    {
        const uint32_t wanted[] = {b->in[in[1] & 31][0], b->in[5][0], b->in[(l + 1) & 31][1]};
        memcpy(out, wanted, sizeof wanted);
    }
}

static void params(const Block *b)
{
    EACH(l) {
        const uint32_t wanted[] = {param_a, bits(param_b), (uint32_t)param_c, (uint32_t)(param_c >> 32)};
        memcpy(out, wanted, sizeof wanted);
    }
}

static void global(const Block *b)
{
    EACH(l) {
        const uint32_t wanted[] = {in[0],  in[1], (in[2] & 0xFFFF) | (in[3] & 0xFFFF0000),
                                   in[31], in[4], in[3], in[6], in[5], in[6], in[5],
                                   in[8],  in[9], in[10], in[11], in[12], in[13],
                                   in[12], in[13], in[14], in[15],
                                   in[20], in[21], in[22], in[23],
                                   in[2],  in[1],  in[12], in[13], in[8],  in[9], in[20], in[21]};
        memcpy(out, wanted, sizeof wanted);
    }
}

static void between_blocks(const Block *b)
{
    EACH(l) {
        const uint32_t key[] = {0x89ABCDEF, 0x01234567};
        memcpy(out, in, 16);
        memcpy(out + 4, key, 8);
        memcpy(out + 6, in + 4, 8);
        if (b->index) memcpy(out + 8, b->in[l - b->n], 16);
    }
}

static void shared(const Block *b)
{
    EACH(l) {
        memcpy(out, b->in[31 - l], 16);
        out[4] = b->in[l ^ 5][0];
        memcpy(out + 6, b->in[31 - l], 8);
        out[8] = b->in[31 - l][0] >> 16 | in[0] << 16;
        out[9] = b->in[31 - l][2];
        for (int i = 0; i < 4; i++) out[12 + i] = b->in[2 * (l & 15) + i / 2][2 + i % 2];
        for (int i = 0; i < 2; i++) out[16 + i] = b->in[2 * (l & 15) + i][0];
    }
}

/* For each size, what the neighbour copied in its first group, and in its second. */
static void cp_async(const Block *b)
{
    EACH(l) {
        const uint32_t *from = b->in[l ^ 1];
        uint32_t *to = out;
        for (uint32_t size = 16; size >= 4; size /= 2) {
            uint32_t bytes = from[0] & (2 * size - 1), words = size / 4;
            if (bytes > size) bytes = size;
            memset(to, 0, 2 * size);
            memcpy(to, from + 4, bytes);
            memcpy(to + words, from + 4 + words, size == 4 ? bytes : size);
            to += 2 * words;
        }
        (void)in;
    }
}

static uint32_t matrix_word(const Block *b, int matrix, int lane)
{
    int row = (5 * (8 * matrix + lane / 4) + 3) % 32;
    return b->in[row][lane % 4];
}

/* Of the transposed matrix: elements (2t, g) and (2t + 1, g) of the one in memory. */
static uint32_t transposed_word(const Block *b, int matrix, int l)
{
    uint32_t word = 0;
    for (int i = 0; i < 2; i++) {
        int row = l % 4 * 2 + i, col = l / 4;
        uint32_t pair_ = matrix_word(b, matrix, row * 4 + col / 2); /* lane 4 row + col / 2 holds it untransposed */
        word |= (pair_ >> 16 * (col % 2) & 0xFFFF) << 16 * i;
    }
    return word;
}

static void ldmatrix(const Block *b)
{
    EACH(l) {
        for (int i = 0; i < 4; i++) out[i] = matrix_word(b, i, l);
        for (int i = 0; i < 2; i++) out[4 + i] = matrix_word(b, i, l);
        out[6] = matrix_word(b, 0, l);
        for (int i = 0; i < 6; i++) out[8 + i] = transposed_word(b, i % 4, l);
        (void)in;
    }
}

/* Word i of row r of the transposed matrix in the lanes' word `word`: its elements are of column r. */
static uint32_t transposed_row(const Block *b, int word, int r, int i)
{
    uint32_t half[2];
    for (int e = 0; e < 2; e++) half[e] = b->in[(2 * i + e) * 4 + r / 2][word] >> 16 * (r & 1) & 0xffff;
    return half[0] | half[1] << 16;
}

/* The place of row r; the words there come from the lanes that hold the row. */
static void stmatrix(const Block *b)
{
    for (int r = 0; r < 32; r++) {
        uint32_t *line = b->out[(5 * r + 3) % 32];
        for (int i = 0; i < 4; i++) {
            int lane = r % 8 * 4 + i;
            line[i] = b->in[lane][r / 8];
            line[4 + i] = r < 16 ? b->in[lane][6 + r / 8] : line[i];
            line[8 + i] = transposed_row(b, r / 8, r % 8, i);
            line[12 + i] = r < 16 ? transposed_row(b, 6 + r / 8, r % 8, i) : line[8 + i];
        }
    }
}

/* Element (row, column) of an operand whose register i of lane l holds a pair. */
static double element_a(const Block *b, int mantissa, int m, int k)
{
    int lane = m % 8 * 4 + k % 8 / 2, reg = m / 8 + 2 * (k / 8);
    return narrow_value((uint16_t)(b->in[lane][reg] >> 16 * (k & 1)), mantissa);
}
static double element_b(const Block *b, int mantissa, int k, int n)
{
    int lane = n * 4 + k % 8 / 2, reg = k / 8;
    return narrow_value((uint16_t)(b->in[lane][4 + reg] >> 16 * (k & 1)), mantissa);
}

static void mma(const Block *b, int mantissa)
{
    EACH(l) for (int i = 0; i < 4; i++) {
        int m = l / 4 + 8 * (i / 2), n = 2 * (l % 4) + i % 2;
        double sum = 0;
        for (int k = 0; k < 16; k++) sum += element_a(b, mantissa, m, k) * element_b(b, mantissa, k, n);
        float once = (float)(sum + f32(in[6 + i]));
        out[i] = bits(once);
        out[4 + i] = bits((float)(sum + once));
    }
}
static void mma_f16(const Block *b) { mma(b, 10); }
static void mma_bf16(const Block *b) { mma(b, 7); }

/* Half `i` of the words [first, first + n) of all lanes, which stand behind each other. */
static double half_of(const Block *b, int mantissa, int first, int n, int i)
{
    return narrow_value((uint16_t)(b->in[i / 2 / n][first + i / 2 % n] >> 16 * (i & 1)), mantissa);
}

typedef enum Order { BY_ROWS, BY_COLUMNS, REGISTERS } Order;

typedef struct Product {
    int n, b_words; /* of B, per lane; A is in words 0 to 3, B in those behind */
    Order a, b;
    int to; /* the word of the first result */
} Product;

/* Which half of the words of all lanes an element of A is. In registers (PTX ISA 9.7.15.5.1.1) rows 8 apart and then k 8
 * apart are the next register. */
static int half_of_a(Order order, int m, int k)
{
    int lane = m / 16 * 32 + m % 8 * 4 + k % 8 / 2, reg = m % 16 / 8 + k / 8 * 2;
    return order == REGISTERS ? 8 * lane + 2 * reg + k % 2 : order == BY_COLUMNS ? 64 * k + m : 16 * m + k;
}

/* A product of a warpgroup: what each lane holds of A and B is the matrix row by row, or column by column. */
static void wgmma_product(const Block *b, int mantissa, const Product *p, bool add)
{
    EACH(l) for (int i = 0; i < p->n / 2; i++) {
        int m = l / 32 * 16 + l % 32 / 4 + 8 * (i / 2 % 2), n = 8 * (i / 4) + 2 * (l % 4) + i % 2;
        double sum = 0;
        for (int k = 0; k < 16; k++)
            sum += half_of(b, mantissa, 0, 4, half_of_a(p->a, m, k)) *
                   half_of(b, mantissa, 4, p->b_words, p->b == BY_COLUMNS ? p->n * k + n : 16 * n + k);
        out[p->to + i] = bits((float)(sum + (add ? f32(in[6 + i]) : 0)));
    }
}

static void wgmma(const Block *b, int mantissa)
{
    static const Product product[] = {
        {8, 2, BY_ROWS, BY_ROWS, 0}, {24, 2, BY_ROWS, BY_COLUMNS, 4}, {32, 2, BY_COLUMNS, BY_COLUMNS, 16}};
    for (int i = 0; i < 3; i++) wgmma_product(b, mantissa, &product[i], i == 2);
}
static void wgmma_a(const Block *b, int mantissa)
{
    wgmma_product(b, mantissa, &(Product){8, 2, REGISTERS, BY_ROWS, 0}, false);
    wgmma_product(b, mantissa, &(Product){24, 2, REGISTERS, BY_COLUMNS, 4}, true);
}
static void wgmma_atoms(const Block *b)
{
    wgmma_product(b, 10, &(Product){64, 4, BY_COLUMNS, BY_COLUMNS, 0}, false);
}
static void wgmma_f16(const Block *b) { wgmma(b, 10); }
static void wgmma_bf16(const Block *b) { wgmma(b, 7); }
static void wgmma_a_f16(const Block *b) { wgmma_a(b, 10); }
static void wgmma_a_bf16(const Block *b) { wgmma_a(b, 7); }

static void control(const Block *b)
{
    EACH(l) {
        uint32_t odd = in[0] & 1, n = in[1] & 15;
        out[0] = odd ? 101 : 102;
        out[1] = odd ? 10 : 20;
        out[2] = n * (n + 1) / 2;
        if (odd) out[3] = 3;
    }
}

static void barrier(const Block *b)
{
    EACH(l) {
        const uint32_t *next = b->in[(l + 32) % b->n];
        out[0] = next[0];
        out[1] = next[1];
        out[2] = b->in[l ^ 32][0];
        if (l >= 64) out[3] = b->in[(l ^ 32) - 64][0];
        (void)in;
    }
}

static void mbarrier(const Block *b)
{
    EACH(l)
    {
        const uint32_t *next = b->in[(l + 32) % b->n];
        const uint32_t wanted[] = {next[0], next[1], (uint32_t)l / 32};
        memcpy(out, wanted, sizeof wanted);
        (void)in;
    }
}

static void cluster(const Block *b)
{
    EACH(l)
    {
        const uint32_t *other = b->in[b->index % 2 ? l - b->n : l + b->n];
        const uint32_t wanted[] = {
            (uint32_t)b->index % 2, (uint32_t)b->index / 2, BLOCKS / 2, (uint32_t)l, 1, 2};
        memcpy(out, wanted, sizeof wanted);
        memcpy(out + 6, other, 16);
        (void)in;
    }
}

static void setmaxnreg(const Block *b) { EACH(l) out[0] = in[0] + (l >= 128); }

/* The row, its chunks of four words in the order of the swizzle; the first of them is put together anew. */
static void tma(const Block *b)
{
    EACH(l)
    {
        const uint32_t *even = b->in[l - b->index % 2 * b->n];
        for (int i = 0; i < 32; i++) out[i] = in[4 * (i / 4 ^ l % 8) + i % 4];
        out[0] = in[4];
        out[1] = even[4];
        out[2] = in[20];
        out[3] = 0;
    }
}

/* Rows of the cluster's matrix are the words of two lanes each. */
static void multicast(const Block *b)
{
    const Words *first = b->in - b->index % 2 * b->n;
    for (int l = 0; l < b->n; l++)
        for (int i = 0; i < 8; i++) b->out[l][i] = first[2 * l + i / 4][4 + i % 4];
}

/* ---- inputs ---- */

static uint64_t random_state;
static uint32_t draw(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32) ^ (uint32_t)(random_state >> 13);
}

static uint32_t pick(const uint32_t *from, size_t n) { return from[draw() % n]; }
#define PICK(array) pick(array, sizeof array / sizeof *array)

static uint32_t any_word(void)
{
    static const uint32_t integers[] = {
        0, 1, 2, 3, 15, 16, 31, 32, 33, 63, 64, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFFFFFE};
    static const uint32_t floats_[] = {0,          0x80000000, 0x3F800000, 0xBF800000, 0x7F800000,
                                       0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001, /* 0 1 inf NaN */
                                       0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000,
                                       0x80800000, 0x00800001, 0x7F7FFFFF, 0xFF7FFFFF, /* tiny, huge */
                                       0x477FE000, 0x477FEFFF, 0x477FF000, 0x47800000, 0x33000000,
                                       0x33000001, 0x33800000, 0x387FC000, 0x387FE000, /* f16 edges */
                                       0x7F7F7FFF, 0x7F7F8000, 0x3F808000, 0x3F818000, 0x3F801000,
                                       0x3F803000, 0x3F7FFFFF, 0x3F800001, /* ties */
                                       0x42FC0000, 0x43000000, 0xC2FC0000, 0xC2FC8000, 0xC3150000,
                                       0xC3160000, 0x7E800000, 0x7F000000}; /* ex2, rcp edges */
    switch (draw() % 5) {
    case 0: return draw();
    case 1: return PICK(integers);
    case 2: return PICK(floats_);
    case 3: return bits((float)(int32_t)draw() * 0x1p-28f); /* -8 .. 8 */
    default: return draw() % 48;
    }
}

static uint32_t pair(uint16_t (*one)(void))
{
    uint32_t low = one();
    return low | (uint32_t)one() << 16;
}
static uint16_t f16_integer(void) { return narrow_bits((float)(int)(draw() % 17) - 8, 10); }
static uint16_t bf16_integer(void) { return narrow_bits((float)(int)(draw() % 17) - 8, 7); }
static uint16_t f16_real(void) { return narrow_bits((float)(int32_t)draw() * 0x1p-30f, 10); } /* -2 .. 2 */
static uint16_t bf16_real(void) { return narrow_bits((float)(int32_t)draw() * 0x1p-30f, 7); }
static uint16_t f16_special(void)
{
    static const uint32_t values[] = {0, 0, 0, 0x8000, 0x3C00, 0xBC00, 0x4000, 0x7C00, 0xFC00, 0x7E00};
    return draw() % 4 ? (uint16_t)pick(values, 6) : (uint16_t)PICK(values);
}
static uint16_t bf16_special(void)
{
    static const uint32_t values[] = {0, 0, 0, 0x8000, 0x3F80, 0xBF80, 0x4000, 0x7F80, 0xFF80, 0x7FC0};
    return draw() % 4 ? (uint16_t)pick(values, 6) : (uint16_t)PICK(values);
}

/* ---- the files ---- */

typedef struct File {
    const char *name;
    void (*wanted)(const Block *);
    void (*prepare)(Words *in, int n); /* completes the inputs */
    uint16_t (*half)(void);            /* inputs are pairs of these, and C small integers */
    bool real;                         /* the file's absolute bound holds, not "exact" */
    int threads, shared_bytes;
    bool maps; /* takes tensor maps of `in` and `out` */
    bool wide; /* the first one has rows of two lanes, swizzled */
} File;

static const File files[] = {
    {"integer", integer, .threads = 32},
    {"wide", wide, .prepare = wide_prepare, .threads = 32},
    {"logic", logic, .threads = 32},
    {"compare", compare, .threads = 32},
    {"float", floats, .threads = 32},
    {"ex2", ex2, .threads = 32},
    {"rcp", rcp, .threads = 32},
    {"lg2", lg2, .threads = 32},
    {"tanh", hyperbolic, .threads = 32},
    {"convert", convert, .threads = 32},
    {"special", special_registers, .threads = 32},
    {"shuffle", shuffle, .threads = 32},
    {"params", params, .threads = 32},
    {"global", global, .threads = 32},
    {"between_blocks", between_blocks, .threads = 32},
    {"shared", shared, .threads = 32, .shared_bytes = 1024},
    {"cp_async", cp_async, .threads = 32, .shared_bytes = 2048},
    {"ldmatrix", ldmatrix, .threads = 32, .shared_bytes = 512},
    {"stmatrix", stmatrix, .threads = 32, .shared_bytes = 512},
    {"mma_f16", mma_f16, .half = f16_integer, .threads = 32},
    {"mma_f16", mma_f16, .half = f16_special, .threads = 32},
    {"mma_f16", mma_f16, .half = f16_real, .real = true, .threads = 32},
    {"mma_bf16", mma_bf16, .half = bf16_integer, .threads = 32},
    {"mma_bf16", mma_bf16, .half = bf16_special, .threads = 32},
    {"mma_bf16", mma_bf16, .half = bf16_real, .real = true, .threads = 32},
    {"wgmma_f16", wgmma_f16, .half = f16_integer, .threads = 128, .shared_bytes = 4096},
    {"wgmma_f16", wgmma_f16, .half = f16_special, .threads = 128, .shared_bytes = 4096},
    {"wgmma_f16", wgmma_f16, .half = f16_real, .real = true, .threads = 128, .shared_bytes = 4096},
    {"wgmma_bf16", wgmma_bf16, .half = bf16_integer, .threads = 128, .shared_bytes = 4096},
    {"wgmma_bf16", wgmma_bf16, .half = bf16_special, .threads = 128, .shared_bytes = 4096},
    {"wgmma_bf16", wgmma_bf16, .half = bf16_real, .real = true, .threads = 128, .shared_bytes = 4096},
    {"wgmma_a_f16", wgmma_a_f16, .half = f16_integer, .threads = 128, .shared_bytes = 4096},
    {"wgmma_a_f16", wgmma_a_f16, .half = f16_special, .threads = 128, .shared_bytes = 4096},
    {"wgmma_a_f16", wgmma_a_f16, .half = f16_real, .real = true, .threads = 128, .shared_bytes = 4096},
    {"wgmma_a_bf16", wgmma_a_bf16, .half = bf16_integer, .threads = 128, .shared_bytes = 4096},
    {"wgmma_a_bf16", wgmma_a_bf16, .half = bf16_special, .threads = 128, .shared_bytes = 4096},
    {"wgmma_a_bf16", wgmma_a_bf16, .half = bf16_real, .real = true, .threads = 128, .shared_bytes = 4096},
    {"wgmma_atoms", wgmma_atoms, .half = f16_integer, .threads = 128, .shared_bytes = 4096},
    {"control", control, .threads = 32},
    {"barrier", barrier, .threads = 128, .shared_bytes = 512},
    {"mbarrier", mbarrier, .threads = 128, .shared_bytes = 520},
    {"cluster", cluster, .threads = 64, .shared_bytes = 16 + 64 * 16},
    {"setmaxnreg", setmaxnreg, .threads = 256},
    {"tma", tma, .threads = 32, .shared_bytes = 16392, .maps = true},
    {"multicast", multicast, .threads = 32, .shared_bytes = 8200, .maps = true, .wide = true},
};
enum { N_FILES = sizeof files / sizeof *files };

static void make_inputs(const File *f, Words *in, int n)
{
    for (int l = 0; l < n; l++)
        for (int i = 0; i < WORDS; i++)
            in[l][i] = !f->half ? any_word() : i < 6 ? pair(f->half) : bits((float)(int)(draw() % 33) - 16);
    if (f->prepare) f->prepare(in, n);
}

/* What the file promises. */
typedef struct Bound {
    int ulp;
    double abs;
    bool nan_is_nan;
} Bound;

static Bound read_bound(const PtxKernel *k, const File *f)
{
    Bound bound = {0};
    const char *line = k->n_header ? k->header[k->n_header - 1] : "", *at;
    bound.nan_is_nan = strstr(line, "any NaN") != NULL;
    if ((at = strstr(line, "ulp ")) != NULL) bound.ulp = atoi(at + 4);
    if ((at = strstr(line, "abs ")) != NULL && (f->real || bound.ulp)) bound.abs = atof(at + 4);
    return bound;
}

/* Bits of a float as integers in the order of the values. */
static int64_t ordered(uint32_t b) { return b & 0x80000000 ? -(int64_t)(b & 0x7FFFFFFF) : (int64_t)b; }

static bool agree(uint32_t got, uint32_t wanted, const Bound *bound)
{
    if (got == wanted) return true;
    if (bound->nan_is_nan && isnan(f32(got)) && isnan(f32(wanted))) return true;
    if (isnan(f32(got)) || isnan(f32(wanted))) return false;
    if (bound->ulp && llabs(ordered(got) - ordered(wanted)) <= bound->ulp) return true;
    return bound->abs > 0 && fabs((double)f32(got) - f32(wanted)) <= bound->abs;
}

/* ---- running ---- */

static char *read_text(const char *name)
{
    char path[256], *text = NULL;
    snprintf(path, sizeof path, "tests/ptx/%s.ptx", name);
    FILE *f = fopen(path, "r");
    if (!f) return NULL;
    if (fseek(f, 0, SEEK_END) == 0) {
        long n = ftell(f);
        rewind(f);
        text = n < 0 ? NULL : calloc(1, (size_t)n + 1);
        if (text && fread(text, 1, (size_t)n, f) != (size_t)n) text[0] = 0;
    }
    fclose(f);
    return text;
}

static bool passed(int r, const char *what)
{
    if (r) note("%s failed with %d", what, r);
    return !r;
}
#define DO(call) (passed(call, #call))

/* Of rows of the words of so many lanes, in boxes of 32 rows of 32 words. */
static bool rows_map(const Driver *d, TensorMapBytes *map, uint64_t address, int lanes, int lanes_a_row,
                     int swizzle)
{
    enum { UINT32 = 2 };
    uint64_t dim[2] = {WORDS * (uint64_t)lanes_a_row, (uint64_t)(lanes / lanes_a_row)},
             stride[1] = {sizeof(Words) * (uint64_t)lanes_a_row};
    uint32_t box[2] = {WORDS, 32}, step[2] = {1, 1};
    return DO(d->encode_map(map, UINT32, 2, address, dim, stride, box, step, 0, swizzle, 0, 0));
}

static bool run(const Driver *d, const File *f, const char *text, const Words *in, Words *out, int lanes)
{
    void *module = NULL, *function;
    uint64_t device_in = 0, device_out = 0;
    size_t bytes = sizeof(Words) * (size_t)lanes;
    TensorMapBytes map[3];
    void *of_words[] = {&device_in, &device_out, &param_a, &param_b, &param_c};
    void *of_maps[] = {&device_in, &device_out, &map[0], &map[1], &map[2]};
    bool ok = DO(d->load(&module, text, 0, NULL, NULL)) && DO(d->function(&function, module, f->name)) &&
              DO(d->alloc(&device_in, bytes)) && DO(d->alloc(&device_out, bytes)) &&
              DO(d->to_device(device_in, in, bytes)) && DO(d->fill32(device_out, UNTOUCHED, bytes / 4)) &&
              (!f->maps || (rows_map(d, &map[0], device_in, lanes, f->wide ? 2 : 1, f->wide ? 3 : 0) &&
                            rows_map(d, &map[1], device_in, lanes, 1, 3) &&
                            rows_map(d, &map[2], device_out, lanes, 1, 3))) &&
              DO(d->launch(function, BLOCKS, 1, 1, (unsigned)f->threads, 1, 1, (unsigned)f->shared_bytes,
                           NULL, f->maps ? of_maps : of_words, NULL)) &&
              DO(d->synchronize()) && DO(d->to_host(out, device_out, bytes));
    if (device_in) d->release(device_in);
    if (device_out) d->release(device_out);
    if (module) d->unload(module);
    return ok;
}

static bool same(const File *f, const Words *got, const Words *wanted, const Words *in, int lanes,
                 const Bound *bound)
{
    int wrong = 0;
    for (int l = 0; l < lanes; l++)
        for (int i = 0; i < WORDS; i++) {
            if (agree(got[l][i], wanted[l][i], bound) || wrong++ >= 5) continue;
            note("%s: lane %d word %d: got 0x%08x (%g), wanted 0x%08x (%g); inputs 0x%08x 0x%08x 0x%08x",
                 f->name, l, i, got[l][i], f32(got[l][i]), wanted[l][i], f32(wanted[l][i]), in[l][0],
                 in[l][1], in[l][2]);
        }
    return !wrong;
}

static bool covered[PTX_N_OPS];

/* The rows of wgmma differ in N alone: one stands for all of its type, with A by descriptor or in registers. */
static PtxOp stands_for(PtxOp op)
{
    static const PtxOp first[] = {PTX_WGMMA_F16_N8, PTX_WGMMA_BF16_N8, PTX_WGMMA_A_F16_N8, PTX_WGMMA_A_BF16_N8};
    for (int i = 0; ptx_is_wgmma(op) && i < 4; i++)
        if (op >= first[i] && op < first[i] + 32) return first[i];
    return op;
}

/* Code for sm_90a runs on sm_90 alone, other code on its target and everything later. */
static bool runs_on(const Driver *d, const PtxKernel *k)
{
    enum { COMPUTE_CAPABILITY_MAJOR = 75, COMPUTE_CAPABILITY_MINOR = 76 };
    int major = 0, minor = 0;
    d->device_attribute(&major, COMPUTE_CAPABILITY_MAJOR, 0);
    d->device_attribute(&minor, COMPUTE_CAPABILITY_MINOR, 0);
    int sm = 10 * major + minor;
    return k->sm_suffix ? k->sm == sm : k->sm <= sm;
}

static void test_file(const File *f, const Driver *emulator, void *context, const Driver *gpu,
                      void *gpu_context)
{
    static Words in[MAX_LANES], wanted[MAX_LANES], got[MAX_LANES], from_gpu[MAX_LANES];
    int lanes = BLOCKS * f->threads;
    char *text = read_text(f->name);
    PtxKernel *k = ptx_parse(text ? text : "");
    Bound bound = read_bound(k, f);
    ok(text && !k->error[0] && ptx_check(k), "tests/ptx/%s.ptx parses %s", f->name, k->error);
    for (int i = 0; i < k->n_inst; i++) covered[stands_for(k->inst[i].op)] = true;
    make_inputs(f, in, lanes);
    for (int i = 0; i < lanes * WORDS; i++) wanted[i / WORDS][i % WORDS] = UNTOUCHED;
    for (int b = 0; b < BLOCKS; b++)
        f->wanted(&(Block){f->threads, b, in + b * f->threads, wanted + b * f->threads});
    emulator->context_set(context);
    bool ran = run(emulator, f, text, in, got, lanes);
    ok(ran && same(f, got, wanted, in, lanes, &bound), "%s on the emulator is as C says", f->name);
    if (gpu && runs_on(gpu, k)) {
        gpu->context_set(gpu_context);
        bool also = run(gpu, f, text, in, from_gpu, lanes);
        ok(ran && also && same(f, from_gpu, got, in, lanes, &bound), "%s on the GPU is as on the emulator",
           f->name);
    }
    ptx_free(k);
    free(text);
}

static bool open_device(Driver *d, const char *path, void **context)
{
    char name[128];
    if (!driver_open(d, path) || !DO(d->init(0)) || !DO(d->context_create(context, 0, 0))) return false;
    if (d->device_name(name, sizeof name, 0) == 0) note("%s: %s", path, name);
    return true;
}

int main(void)
{
    Driver emulator, gpu;
    setenv("TILESMITH_EMU_SM", "90", 1);
    void *context = NULL, *gpu_context = NULL;
    const char *gpu_path = getenv("TILESMITH_TEST_DRIVER");
    /* the GPU's first: a loaded emulator would be taken for what libcuda.so.1 means */
    if (gpu_path && !open_device(&gpu, gpu_path, &gpu_context)) {
        printf("Bail out! %s does not work\n", gpu_path);
        return 1;
    }
    if (!open_device(&emulator, emulator_path(), &context)) {
        printf("Bail out! the emulator %s does not work\n", emulator_path());
        return 1;
    }
    for (int i = 0; i < N_FILES; i++) {
        random_state = 20 + (uint64_t)i;
        test_file(&files[i], &emulator, context, gpu_path ? &gpu : NULL, gpu_context);
    }
    for (int op = 0; op < PTX_N_OPS; op++)
        ok(covered[stands_for((PtxOp)op)], "row %s is in some file of tests/ptx", ptx_op_info[op].name);
    emulator.context_set(context);
    emulator.context_destroy(context);
    if (gpu_context) gpu.context_destroy(gpu_context);
    return done();
}
