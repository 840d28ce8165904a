/* tensor.c: ldmatrix, stmatrix and mma.sync, with the fragment maps of the PTX ISA.
 *
 * In all maps g = lane >> 2 (the "groupID") and t = lane & 3 (the "threadID_in_group").
 */
#include "emu/execs.h"

#include <string.h>

#include "emu/half.h"

/* ---- ldmatrix, PTX ISA 9.7.14.5.15 ----
 *
 * Lanes 8j .. 8j+7 give the addresses of the rows of matrix j, 16 bytes each; the other lanes' addresses
 * are not used. In register j, lane l receives the pair of columns (2t, 2t+1) of row g:
 *
 *     row 0:  lane 0: c0 c1   lane 1: c2 c3   lane 2: c4 c5   lane 3: c6 c7
 *     row 1:  lane 4: c0 c1   ...
 *
 * With .trans the matrices are transposed: the lane receives rows 2t and 2t+1 of column g. */
static void transpose(uint32_t word[LANES])
{
    uint16_t from[64], to[64];
    memcpy(from, word, sizeof from);
    for (int i = 0; i < 64; i++) to[i % 8 * 8 + i / 8] = from[i];
    memcpy(word, to, sizeof to);
}

static void load_matrices(Warp *w, const Inst *in, int n, bool transposed)
{
    uint32_t address[LANES], *out = write_row(w, in, 0), word[4][LANES];
    uint32_t rows = n == 4 ? ALL_LANES : (1u << 8 * n) - 1;
    shared_addresses(w, in, 1, address);
    for (int r = 0; r < 8 * n; r++) {
        const unsigned char *row = shared_for_matrix(w, r, address[r], 16);
        memcpy(&word[r / 8][r % 8 * 4], row, 16);
    }
    for (int i = 0; i < n && transposed; i++) transpose(word[i]);
    memcpy(out, word, sizeof word[0] * (size_t)n);
    count(&w->block->counters, COUNT_ldmatrix, 1);
    count_shared(w, address, 16, rows, COUNT_ldmatrix_conflicts);
}

void exec_LDMATRIX_X1(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, load_matrices(w, in, 1, false); }
void exec_LDMATRIX_X2(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, load_matrices(w, in, 2, false); }
void exec_LDMATRIX_X4(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, load_matrices(w, in, 4, false); }
void exec_LDMATRIX_X2_TRANS(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, load_matrices(w, in, 2, true); }
void exec_LDMATRIX_X4_TRANS(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, load_matrices(w, in, 4, true); }

/* ---- stmatrix, PTX ISA 9.7.14.5.16: the way back ---- */

static void store_matrices(Warp *w, const Inst *in, int n, bool transposed)
{
    uint32_t address[LANES], word[4][LANES];
    uint32_t rows = n == 4 ? ALL_LANES : (1u << 8 * n) - 1;
    memcpy(word, read_row(w, in, 1), sizeof word[0] * (size_t)n);
    for (int i = 0; i < n && transposed; i++) transpose(word[i]);
    shared_addresses(w, in, 0, address);
    for (int r = 0; r < 8 * n; r++)
        memcpy(shared_for_write(w, r, address[r], 16), &word[r / 8][r % 8 * 4], 16);
    w->unfenced = ALL_LANES; /* each lane's register is in it */
    count(&w->block->counters, COUNT_stmatrix, 1);
    count_shared(w, address, 16, rows, COUNT_stmatrix_conflicts);
}

void exec_STMATRIX_X2(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, store_matrices(w, in, 2, false); }
void exec_STMATRIX_X4(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, store_matrices(w, in, 4, false); }
void exec_STMATRIX_X2_TRANS(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, store_matrices(w, in, 2, true); }
void exec_STMATRIX_X4_TRANS(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, store_matrices(w, in, 4, true); }

/* ---- mma.m16n8k16, PTX ISA 9.7.14.5.8 ----
 *
 *     A 16x16, 4 registers of 2:  a0 a1 = (g, 2t..)      a2 a3 = (g+8, 2t..)
 *                                 a4 a5 = (g, 2t+8..)    a6 a7 = (g+8, 2t+8..)
 *     B 16x8,  2 registers of 2:  b0 b1 = (2t.., g)      b2 b3 = (2t+8.., g)
 *     C 16x8,  4 registers:       c0 c1 = (g, 2t..)      c2 c3 = (g+8, 2t..)
 *
 * Numerics: the products of f16 or bf16 are exact in double; the 16 of an element are added in the order
 * of k, in double, then C; the sum is rounded once to fp32, to nearest even. The ISA leaves order and
 * intermediate precision open.
 */
typedef double Row8 __attribute__((vector_size(64)));
typedef float (*Widen)(uint16_t);

static inline __attribute__((always_inline)) void widen_a(const uint32_t a[4][LANES], double out[16][16],
                                                          Widen widen)
{
    for (int i = 0; i < 4; i++)
        for (int l = 0; l < LANES; l++) {
            double *to = &out[(l >> 2) + 8 * (i & 1)][2 * (l & 3) + 8 * (i >> 1)];
            to[0] = widen((uint16_t)a[i][l]);
            to[1] = widen((uint16_t)(a[i][l] >> 16));
        }
}

static inline __attribute__((always_inline)) void widen_b(const uint32_t b[2][LANES], double out[16][8],
                                                          Widen widen)
{
    for (int i = 0; i < 2; i++)
        for (int l = 0; l < LANES; l++) {
            int k = 2 * (l & 3) + 8 * i, n = l >> 2;
            out[k][n] = widen((uint16_t)b[i][l]);
            out[k + 1][n] = widen((uint16_t)(b[i][l] >> 16));
        }
}

static inline __attribute__((always_inline)) void multiply(Warp *w, const Inst *in, Widen widen)
{
    double a[16][16], b[16][8] __attribute__((aligned(64)));
    Row8 row[16];
    float result[4][LANES];
    const float(*c)[LANES] = read_row(w, in, 3);
    widen_a(read_row(w, in, 1), a, widen);
    widen_b(read_row(w, in, 2), b, widen);
    for (int m = 0; m < 16; m++) {
        Row8 sum = {0};
        for (int k = 0; k < 16; k++) sum += a[m][k] * *(const Row8 *)b[k];
        row[m] = sum;
    }
    for (int i = 0; i < 4; i++)
        for (int l = 0; l < LANES; l++)
            result[i][l] = canonical((float)(row[(l >> 2) + 8 * (i >> 1)][2 * (l & 3) + (i & 1)] + c[i][l]));
    memcpy(write_row(w, in, 0), result, sizeof result);
    count(&w->block->counters, COUNT_mma, 1);
}

void exec_MMA_F16(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, multiply(w, in, f32_of_f16); }
void exec_MMA_BF16(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, multiply(w, in, f32_of_bf16); }
