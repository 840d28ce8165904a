/* convert_wgmma.c: x of another type than W's, on its way from its slots to the registers that wgmma
 * multiplies.
 *
 * TMA brings x as it is in memory. Each warp reads the 16 rows that it multiplies of each 64, two k-steps at
 * a time, and rounds them to W's type. A lane's part of such a fragment of 64 rows x 16 k (PTX
 * ISA 9.7.15.5.1.1):
 *
 *     register i     row lane / 4 + 8 (i % 2)     k: 2 (lane % 4) + 8 (i / 2), and the next
 *
 * 16-bit x comes by ldmatrix. Of fp32 a lane reads the pair: 16 lanes at a time, whose 4 rows begin at the
 * same banks. In rows of 128 bytes, whose chunks are XORed with the row, lanes of odd rows take the other
 * k-step of the two first; then the 16 pairs have all banks, and these lanes exchange the two k-steps in
 * registers.
 */
#include "gen/wgmma.h"

enum { ROW_BYTES = GEN_SWIZZLE_BYTES, STEP_K = 16, PAIR_STEPS = 2, FRAGMENT_REGS = 4 };

/* Bytes to the rows of 128 bytes that pair `pair` of k-steps is in. */
static int pair_offset(const Wgmma *g, int pair)
{
    return pair * PAIR_STEPS * STEP_K * gen_type_bytes(g->plan->config.x) / ROW_BYTES * g->h->x.atom_bytes;
}

/* Where this lane reads in rows 0 .. 63: its row and the chunk there, and what is left within that. */
static void lane_place(Wgmma *g, PtxArg row, PtxArg chunk, PtxArg rest)
{
    PtxKernel *k = g->k;
    if (!wgmma_x_f32(g)) { /* of a row of a matrix for ldmatrix: 16 rows, then the same 8 k on */
        emit(k, AND_B32, row, g->gemm->lane, imm(15));
        emit(k, SHR_U32, chunk, g->gemm->lane, imm(4));
        emit(k, MOV_B32, rest, imm(0));
        return;
    }
    emit(k, SHR_U32, row, g->gemm->lane, imm(2));
    emit(k, AND_B32, rest, row, imm(1));
    emit(k, SETP_NE_U32, g->x_odd = ptx_reg(k, PTX_PRED, "p_odd_row"), rest, imm(0));
    emit(k, AND_B32, chunk, g->gemm->lane, imm(3));
    emit(k, SHR_U32, chunk, chunk, imm(1));
    emit(k, MAD_LO_S32, chunk, rest, imm(4), chunk); /* an odd row: the other k-step */
    emit(k, AND_B32, rest, g->gemm->lane, imm(1));
    emit(k, SHL_B32, rest, rest, imm(3));
}

void gen_wgmma_x_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    PtxArg row = at(g->gemm->word_scratch, 0), chunk = at(g->gemm->word_scratch, 1),
           rest = at(g->gemm->word_scratch, 2), first = at(g->gemm->word_scratch, 3);
    ptx_comment(k, "where this lane reads x in slot 0, at two k-steps in two places each");
    g->x_read = ptx_regs(k, PTX_B32, "x_read", X_PLACES);
    g->x_at = ptx_regs(k, PTX_B32, "x_at", X_PLACES);
    g->x_raw = ptx_regs(k, PTX_F32, "x_raw", 2);
    g->x_halves = ptx_regs(k, PTX_B16, "x_halves", 2);
    g->x_words = ptx_regs(k, PTX_B32, "x_word", PAIR_STEPS);
    g->x_fragments = ptx_regs(k, PTX_B32, "x_fragment", 2 * g->h->wgmmas * PAIR_STEPS * FRAGMENT_REGS);
    lane_place(g, row, chunk, rest);
    emit(k, SHR_U32, first, g->thread, imm(5)); /* this warp's rows */
    emit(k, MAD_LO_S32, row, first, imm(16), row);
    gen_swizzled_offset(g->gemm, ROW_BYTES, first, row, chunk);
    emit(k, ADD_S32, first, first, rest);
    emit(k, DIV_U32, row, g->consumer, imm(c->warps_n));
    emit(k, MAD_LO_S32, row, row, imm(g->h->wg_m * ROW_BYTES), g->smem);
    for (int i = 0; i < X_PLACES; i++) {
        emit(k, XOR_B32, at(g->x_read, i), first, imm(i * 2 * GEN_CHUNK_BYTES));
        emit(k, ADD_S32, at(g->x_read, i), at(g->x_read, i), row);
    }
}

void gen_wgmma_x_slot(Wgmma *g, PtxArg slot)
{
    for (int i = 0; i < X_PLACES; i++)
        emit(g->k, MAD_LO_S32, at(g->x_at, i), slot, imm(g->plan->stage_bytes), at(g->x_read, i));
}

/* Both k-steps of a pair, from fp32: k 0 and 8 on of either are two places. */
static void read_wide(Wgmma *g, int offset, PtxArg to)
{
    PtxKernel *k = g->k;
    for (int reg = 0; reg < FRAGMENT_REGS; reg++) {
        int row8 = reg % 2 * 8 * ROW_BYTES;
        for (int step = 0; step < PAIR_STEPS; step++) {
            emit(k, LD_SHARED_V2_F32, g->x_raw, mem(at(g->x_at, 2 * step + reg / 2), offset + row8));
            gen_round_pair(g->gemm, g->plan->config.w, at(g->x_words, step), at(g->x_raw, 0),
                           at(g->x_raw, 1));
        }
        emit(k, SELP_B32, at(to, reg), at(g->x_words, 1), at(g->x_words, 0), g->x_odd);
        emit(k, SELP_B32, at(to, FRAGMENT_REGS + reg), at(g->x_words, 0), at(g->x_words, 1), g->x_odd);
    }
}

/* A k-step, from 16-bit elements of the other type. */
static void read_narrow(Wgmma *g, PtxArg from, PtxArg to)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    emit(k, LDMATRIX_X4, to, from);
    for (int reg = 0; reg < FRAGMENT_REGS; reg++)
        gen_convert_pair(g->gemm, c->x, c->w, at(to, reg), g->x_halves, g->x_raw);
}

PtxArg gen_wgmma_x_fragment(const Wgmma *g, int step, int wgmma)
{
    int pair = step / PAIR_STEPS % 2, place = (pair * g->h->wgmmas + wgmma) * PAIR_STEPS + step % PAIR_STEPS;
    return span(g->x_fragments, place * FRAGMENT_REGS, FRAGMENT_REGS);
}

void gen_wgmma_x_read(Wgmma *g, int step)
{
    int pair = step / PAIR_STEPS, regs = PAIR_STEPS * FRAGMENT_REGS;
    for (int i = 0; i < g->h->wgmmas; i++) {
        int offset = pair_offset(g, pair) + i * 64 * ROW_BYTES;
        PtxArg to = gen_wgmma_x_fragment(g, step, i);
        if (wgmma_x_f32(g)) read_wide(g, offset, span(to, 0, regs));
        else
            for (int s = 0; s < PAIR_STEPS; s++)
                read_narrow(g, mem(at(g->x_at, pair % 2 * PAIR_STEPS + s), offset),
                            gen_wgmma_x_fragment(g, step + s, i));
    }
}
