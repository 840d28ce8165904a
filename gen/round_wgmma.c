/* round_wgmma.c: x of another type than W's where operands are swapped: rounded into shared memory.
 *
 * Few rows of x are wgmma's B, which it reads from shared memory alone. So the consumer's threads read them
 * from the slot, round them, and write them as TMA would have: rows of 128 bytes, swizzled: into two
 * tiles by turns, if there are slots for it, so that one k-block is rounded while the one before is
 * multiplied. What stood in a tile before has been, for no more groups of wgmma are under way than there are
 * other tiles.
 *
 * A thread has 8 k of a row at a time, 16 bytes in W's type. Of fp32 these are two chunks side by side; the
 * upper lanes of eight read the second one first, so that together they have all banks.
 */
#include "gen/wgmma.h"

enum { ROW_BYTES = GEN_SWIZZLE_BYTES, ROW_THREADS = 8, PASS_ROWS = GEN_WG_THREADS / ROW_THREADS, WORDS = 4 };

static int tile_rows(const Wgmma *g) { return g->plan->config.tile_m; }

/* Bytes of the slot to 64 k, of which a row of the rounded tile has 128 bytes. */
static int slot_atom_bytes(const Wgmma *g) { return (wgmma_x_f32(g) ? 2 : 1) * g->h->x.atom_bytes; }

/* place = where this thread's row begins in a tile: with 8 rows half of the threads have the second 64 k. */
static void row_place(Wgmma *g, PtxArg place, PtxArg row, PtxArg chunk, int atom_bytes)
{
    PtxKernel *k = g->k;
    PtxArg atom = at(g->gemm->word_scratch, 3);
    gen_swizzled_offset(g->gemm, ROW_BYTES, place, row, chunk);
    if (tile_rows(g) >= PASS_ROWS) return;
    emit(k, SHR_U32, atom, g->thread, imm(6));
    emit(k, MAD_LO_S32, place, atom, imm(atom_bytes), place);
}

void gen_wgmma_round_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg row = at(g->gemm->word_scratch, 0), column = at(g->gemm->word_scratch, 1),
           chunk = at(g->gemm->word_scratch, 2), half = g->gemm->bits_scratch;
    ptx_comment(k, "where this thread reads x in slot 0, and writes it in W's type");
    g->x_from = word(g, "x_from");
    g->x_to = word(g, "x_to");
    g->x_tile = word(g, "x_tile");
    g->x_raw = ptx_regs(k, PTX_F32, "x_raw", 2 * WORDS);
    g->x_halves = ptx_regs(k, PTX_B16, "x_halves", 2);
    g->x_words = ptx_regs(k, PTX_B32, "x_word", 2 * WORDS);
    emit(k, SHR_U32, row, g->thread, imm(3));
    if (tile_rows(g) < PASS_ROWS) emit(k, AND_B32, row, row, imm(7));
    emit(k, AND_B32, column, g->thread, imm(ROW_THREADS - 1));
    row_place(g, g->x_to, row, column, g->h->rounded.atom_bytes);
    emit(k, ADD_S32, g->x_to, g->x_to, g->smem);
    if (wgmma_x_f32(g)) { /* 32 k in 128 bytes: columns 0 to 3, and 4 to 7 behind them */
        emit(k, SHR_U32, half, column, imm(2));
        emit(k, AND_B32, chunk, column, imm(3));
        emit(k, MAD_LO_S32, chunk, chunk, imm(2), half);
        row_place(g, g->x_from, row, chunk, slot_atom_bytes(g));
        emit(k, MAD_LO_S32, g->x_from, half, imm(g->h->x.atom_bytes), g->x_from);
        emit(k, SETP_NE_U32, g->x_odd = ptx_reg(k, PTX_PRED, "p_upper"), half, imm(0));
    } else {
        row_place(g, g->x_from, row, column, slot_atom_bytes(g));
    }
    emit(k, ADD_S32, g->x_from, g->x_from, g->smem);
}

/* words[0 .. 3] = 8 k of fp32, from the chunk at `from` and the other one of its pair. */
static void read_wide(Wgmma *g, PtxArg from, PtxArg other, int offset)
{
    PtxKernel *k = g->k;
    PtxArg first = span(g->x_raw, 0, WORDS), second = span(g->x_raw, WORDS, WORDS), words = g->x_words;
    emit(k, LD_SHARED_V4_F32, first, mem(from, offset));
    emit(k, LD_SHARED_V4_F32, second, mem(other, offset));
    for (int i = 0; i < WORDS; i++)
        gen_round_pair(g->gemm, g->plan->config.w, at(words, WORDS + i), at(g->x_raw, 2 * i),
                       at(g->x_raw, 2 * i + 1));
    for (int i = 0; i < WORDS; i++) /* the upper lanes have the halves the other way round */
        emit(k, SELP_B32, at(words, i), at(words, WORDS + (i + 2) % WORDS), at(words, WORDS + i), g->x_odd);
}

static void read_narrow(Wgmma *g, PtxArg from, int offset)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    emit(k, LD_SHARED_V4_B32, span(g->x_words, 0, WORDS), mem(from, offset));
    for (int i = 0; i < WORDS; i++)
        gen_convert_pair(g->gemm, c->x, c->w, at(g->x_words, i), g->x_halves, g->x_raw);
}

void gen_wgmma_round(Wgmma *g, PtxArg slot, PtxArg block)
{
    PtxKernel *k = g->k;
    const GenBoxPlan *rounded = &g->h->rounded;
    PtxArg from = at(g->gemm->word_scratch, 0), other = at(g->gemm->word_scratch, 1),
           to = at(g->gemm->word_scratch, 2);
    int rows = tile_rows(g), passes = rows * g->plan->config.tile_k / (8 * GEN_WG_THREADS);
    emit(k, AND_B32, g->x_tile, block, imm(g->h->rounded_tiles - 1));
    emit(k, MAD_LO_S32, to, g->x_tile, imm(rounded->tile_bytes), g->x_to);
    emit(k, MAD_LO_S32, from, slot, imm(g->plan->stage_bytes), g->x_from);
    if (wgmma_x_f32(g)) emit(k, XOR_B32, other, from, imm(GEN_CHUNK_BYTES));
    for (int i = 0; i < passes; i++) {
        int row = i * PASS_ROWS % rows, atom = i * PASS_ROWS / rows,
            offset = atom * slot_atom_bytes(g) + row * ROW_BYTES;
        if (wgmma_x_f32(g)) read_wide(g, from, other, offset);
        else read_narrow(g, from, offset);
        emit(k, ST_SHARED_V4_B32,
             mem(to, g->h->rounded_offset + atom * rounded->atom_bytes + row * ROW_BYTES),
             span(g->x_words, 0, WORDS));
    }
    emit(k, FENCE_PROXY_ASYNC);
    gen_wgmma_meet(g);
}
