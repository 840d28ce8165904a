/* split.c: kernels whose blocks share tiles along k (stream-K; split-K is a case of it), so that few tiles,
 * or those of the last turn, keep all SMs busy.
 *
 * All k-blocks of all tiles stand in one row, tile by tile. The first `sharing` blocks share those of the
 * first tiles evenly, a range each; every block behind them has one tile:
 *
 *     tiles     |           0           |           1           |           2           |     12 k-blocks a tile
 *     blocks    |        0        |        1        |        2        |        3        |     share = 9
 *                                        ^           ^
 *                                        2nd: 3 of tile 0; 1st: 6 of tile 1
 *
 * A block walks its range from the end to the beginning, a tile at a time:
 *
 *     the head of a tile whose end is another's    hand the sum over: accumulators -> workspace, flag
 *     whole tiles                                  store
 *     the tail of a tile whose head is another's   wait for what others hand over, add it, store
 *
 * So epilogue and store come once a tile, behind the full sum. A block only waits for blocks of lower number.
 * Those start earlier, and hand over first of all, so that it cannot wait for ever however few run at once,
 * and mostly need not wait at all. What they hand over is added in one order: the result is the same in each
 * run.
 *
 * Workspace: a slot for each sharing block, the accumulators of a tile as lanes hold them, 16 bytes a lane
 * side by side; behind the slots a flag for each. A flag says "here" by a key of 64 bits, and "not yet" by
 * anything else, so that the workspace may hold anything before; who has waited puts 0, so that the next
 * launch waits again. The key is a NaN in all types, of a pattern that no arithmetic makes.
 *
 * One register lives over the main loop: the end of what is left of the range. All else is computed again.
 */
#include "gen/gemm.h"

#include <stdio.h>

#define FLAG_KEY INT64_C(0x7FD1FFD27FD3FFD5)

static PtxArg word_reg(Gemm *g, const char *name) { return ptx_reg(g->k, PTX_B32, name); }

static void declare(Gemm *g)
{
    GenSegment *s = &g->segment;
    s->range_end = word_reg(g, "range_end");
    s->k_blocks = word_reg(g, "k_blocks");
    s->block = word_reg(g, "block");
    s->tile = word_reg(g, "tile");
    s->tile_begin = word_reg(g, "tile_begin");
    s->begin = word_reg(g, "segment_begin");
    s->rows_of_tiles = word_reg(g, "rows_of_tiles");
    s->group_tiles = word_reg(g, "group_tiles");
    s->first_block = word_reg(g, "first_k_block");
    s->sharing = word_reg(g, "sharing");
    s->value = word_reg(g, "range_value");
    s->reached = word_reg(g, "reached");
    s->slot = ptx_reg(g->k, PTX_B64, "slot_at");
    s->flag = ptx_reg(g->k, PTX_B64, "flag_at");
    s->key = ptx_reg(g->k, PTX_B64, "flag_key");
    s->seen = ptx_reg(g->k, PTX_B64, "flag_seen");
    s->part = ptx_regs(g->k, PTX_F32, "part", 4 * g->p->parts_at_once);
}

/* ---- ranges ---- */

/* With k = 0 a tile has one k-block, of nothing. */
static void load_k_blocks(Gemm *g)
{
    PtxArg k_blocks = g->segment.k_blocks;
    emit(g->k, LD_PARAM_B32, k_blocks, mem(g->k_param, 0));
    emit(g->k, ADD_S32, k_blocks, k_blocks, imm(g->p->config.tile_k - 1));
    emit(g->k, DIV_U32, k_blocks, k_blocks, imm(g->p->config.tile_k));
    emit(g->k, MAX_S32, k_blocks, k_blocks, imm(1));
}

/* begin = where the range of s->block begins,
 *     min(block, sharing) * share + min(block, extra) + (block - min(block, sharing)) * k_blocks
 * The first `extra` blocks have one k-block more than `share`. Behind the last block it is where that one
 * ends. */
static void range_begin(Gemm *g, PtxArg begin)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    emit(k, LD_PARAM_B32, s->sharing, mem(g->sharing_param, 0));
    emit(k, MIN_U32, s->sharing, s->block, s->sharing);
    emit(k, LD_PARAM_B32, s->value, mem(g->extra_param, 0));
    emit(k, MIN_U32, begin, s->block, s->value);
    emit(k, LD_PARAM_B32, s->value, mem(g->share_param, 0));
    emit(k, MAD_LO_S32, begin, s->sharing, s->value, begin);
    emit(k, SUB_S32, s->value, s->block, s->sharing);
    emit(k, MAD_LO_S32, begin, s->value, s->k_blocks, begin);
}

void gen_split_begin(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    declare(g);
    ptx_section(k, "this block's range of k-blocks: its end");
    load_k_blocks(g);
    emit(k, MOV_SPECIAL, s->block, special(PTX_CTAID_X));
    emit(k, ADD_S32, s->block, s->block, imm(1));
    range_begin(g, s->range_end);
    emit(k, LABEL, ptx_label(k, "segment"));
}

/* What is summed here of the tile in which the rest of the range ends, and which tile that is. */
static void find_segment(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    load_k_blocks(g);
    emit(k, MOV_SPECIAL, s->block, special(PTX_CTAID_X));
    range_begin(g, s->begin);
    emit(k, ADD_S32, s->tile, s->range_end, imm(-1));
    emit(k, DIV_U32, s->tile, s->tile, s->k_blocks);
    emit(k, MUL_LO_S32, s->tile_begin, s->tile, s->k_blocks);
    emit(k, MAX_S32, s->begin, s->begin, s->tile_begin);
}

/* Tiles go down each column of a group of rows before the next column, as the blocks of other kernels do
 * (gemm.c). */
void gen_split_place(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    const GenConfig *c = &g->p->config;
    PtxArg rows = s->rows_of_tiles, cols = s->group_tiles, group = s->value;
    find_segment(g);
    emit(k, ADD_S32, rows, g->m, imm(c->tile_m - 1));
    emit(k, DIV_U32, rows, rows, imm(c->tile_m));
    emit(k, ADD_S32, cols, g->n, imm(c->tile_n - 1));
    emit(k, DIV_U32, cols, cols, imm(c->tile_n));
    emit(k, LD_PARAM_B32, group, mem(g->group_param, 0));
    emit(k, MUL_LO_S32, cols, cols, group); /* tiles of a group */
    emit(k, DIV_U32, g->row0, s->tile, cols);
    emit(k, REM_U32, s->tile, s->tile, cols);
    emit(k, MUL_LO_S32, g->row0, g->row0, group);
    emit(k, SUB_S32, rows, rows, g->row0);
    emit(k, MIN_U32, rows, rows, group); /* of this group */
    emit(k, DIV_U32, g->col0, s->tile, rows);
    emit(k, REM_U32, s->tile, s->tile, rows);
    emit(k, ADD_S32, g->row0, g->row0, s->tile);
    emit(k, MUL_LO_S32, g->row0, g->row0, imm(c->tile_m));
    emit(k, MUL_LO_S32, g->col0, g->col0, imm(c->tile_n));
}

void gen_split_depth(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    int tile_k = g->p->config.tile_k;
    emit(k, SUB_S32, s->first_block, s->begin, s->tile_begin);
    emit(k, MAD_LO_S32, g->depth, s->first_block, imm(-tile_k), g->depth);
    emit(k, SUB_S32, s->value, s->range_end, s->begin);
    emit(k, MUL_LO_S32, s->value, s->value, imm(tile_k));
    emit(k, MIN_U32, g->depth, g->depth, s->value);
}

/* ---- what blocks hand to each other ---- */

/* This lane's part of the slot of s->block. */
static void slot_place(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    emit(k, LD_PARAM_B64, s->slot, mem(g->parts_param, 0));
    emit(k, MAD_WIDE_U32, s->slot, s->block, imm(g->p->slot_bytes), s->slot);
    emit(k, MAD_WIDE_U32, s->slot, g->tid, imm(16), s->slot);
}

/* Its flag. */
static void flag_place(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    emit(k, LD_PARAM_B64, s->flag, mem(g->parts_param, 0));
    emit(k, LD_PARAM_B32, s->value, mem(g->sharing_param, 0));
    emit(k, MAD_WIDE_U32, s->flag, s->value, imm(g->p->slot_bytes), s->flag);
    emit(k, MAD_WIDE_U32, s->flag, s->block, imm(GEN_FLAG_BYTES), s->flag);
}

/* The 16 bytes of this lane's mma tile `i`. */
static PtxArg part_at(const Gemm *g, int i) { return mem(g->segment.slot, (int64_t)16 * g->p->threads * i); }

/* The barrier orders all threads' stores before the flag. */
static void hand_over(Gemm *g, PtxArg acc)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    ptx_comment(k, "the end of the tile is another's");
    slot_place(g);
    for (int i = 0; i < g->p->regs_acc / 4; i++)
        emit(k, ST_GLOBAL_V4_F32, part_at(g, i), span(acc, 4 * i, 4));
    flag_place(g);
    emit(k, MOV_B64, s->key, imm(FLAG_KEY));
    emit(k, CP_ASYNC_WAIT, imm(0));
    emit(k, BAR_SYNC, imm(0));
    emit(k, SETP_EQ_U32, g->p_scratch, g->tid, imm(0));
    emit_if(k, g->p_scratch, ST_RELEASE_GPU_B64, mem(s->flag, 0), s->key);
}

/* To the block before s->block; and back to `label` while that one does not have the tile's first k-block. */
static void previous_block(Gemm *g) { emit(g->k, ADD_S32, g->segment.block, g->segment.block, imm(-1)); }

static void repeat(Gemm *g, PtxArg label)
{
    const GenSegment *s = &g->segment;
    range_begin(g, s->reached);
    emit(g->k, SETP_LT_U32, g->p_scratch, s->tile_begin, s->reached);
    emit_if(g->k, g->p_scratch, BRA, label);
}

/* One thread waits for the blocks before this one; the barrier passes on what it has seen. */
static void wait_for_parts(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    PtxArg next = ptx_label(k, "next_flag"), wait = ptx_label(k, "wait_for_flag"),
           here = ptx_label(k, "parts_are_here");
    emit(k, SETP_NE_U32, g->p_scratch, g->tid, imm(0));
    emit_if(k, g->p_scratch, BRA, here);
    emit(k, MOV_B64, s->key, imm(FLAG_KEY));
    emit(k, LABEL, next);
    previous_block(g);
    flag_place(g);
    emit(k, LABEL, wait);
    emit(k, LD_ACQUIRE_GPU_B64, s->seen, mem(s->flag, 0));
    emit(k, SETP_NE_B64, g->p_scratch, s->seen, s->key);
    emit_if(k, g->p_scratch, BRA, wait);
    emit(k, MOV_B64, s->seen, imm(0));
    emit(k, ST_GLOBAL_B64, mem(s->flag, 0), s->seen);
    repeat(g, next);
    emit(k, LABEL, here);
    emit(k, BAR_SYNC, imm(0));
}

/* Mma tiles first .. last-1 of all parts. */
static void add_parts(Gemm *g, PtxArg acc, int first, int last)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    char name[32];
    snprintf(name, sizeof name, "add_%d", first);
    PtxArg add = ptx_label(k, name);
    emit(k, MOV_SPECIAL, s->block, special(PTX_CTAID_X));
    emit(k, LABEL, add);
    previous_block(g);
    slot_place(g);
    for (int i = first; i < last; i++)
        emit(k, LD_GLOBAL_CG_V4_F32, span(s->part, 4 * (i - first), 4), part_at(g, i));
    for (int i = 4 * first; i < 4 * last; i++)
        emit(k, ADD_F32, at(acc, i), at(acc, i), at(s->part, i - 4 * first));
    repeat(g, add);
}

static void add_all_parts(Gemm *g, PtxArg acc)
{
    int n = g->p->regs_acc / 4, step = g->p->parts_at_once;
    ptx_comment(g->k, "the head of the tile is another's, or others'");
    wait_for_parts(g);
    for (int i = 0; i < n; i += step) add_parts(g, acc, i, i + step < n ? i + step : n);
}

/* A register on its way over the store would be one too many for large tiles: one thread leaves the word
 * here. */
static PtxArg word_in_smem(Gemm *g)
{
    emit(g->k, MOV_SHARED, g->segment.value, shared_array());
    return mem(g->segment.value, g->p->turn_offset);
}

void gen_split_exchange(Gemm *g, PtxArg acc)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    PtxArg ours = ptx_label(k, "tile_is_ours"), whole = ptx_label(k, "tile_is_whole");
    ptx_section(k, "parts of this tile that other blocks sum");
    PtxArg word = word_in_smem(g);
    emit(k, SETP_EQ_U32, g->p_scratch, g->tid, imm(0));
    emit_if(k, g->p_scratch, ST_SHARED_B32, word, s->begin);
    emit(k, ADD_S32, s->value, s->tile_begin, s->k_blocks);
    emit(k, SETP_EQ_U32, g->p_scratch, s->range_end, s->value);
    emit_if(k, g->p_scratch, BRA, ours);
    hand_over(g, acc);
    emit(k, BRA, ptx_label(k, "next_segment"));
    emit(k, LABEL, ours);
    emit(k, SETP_EQ_U32, g->p_scratch, s->tile_begin, s->begin);
    emit_if(k, g->p_scratch, BRA, whole);
    add_all_parts(g, acc);
    emit(k, LABEL, whole);
}

/* The barrier: shared memory is free for the next segment. */
void gen_split_end(Gemm *g, PtxArg end)
{
    PtxKernel *k = g->k;
    const GenSegment *s = &g->segment;
    ptx_section(k, "what is left of the range");
    emit(k, LABEL, ptx_label(k, "next_segment"));
    emit(k, LD_SHARED_B32, s->range_end, word_in_smem(g));
    load_k_blocks(g);
    emit(k, MOV_SPECIAL, s->block, special(PTX_CTAID_X));
    range_begin(g, s->begin);
    emit(k, SETP_EQ_U32, g->p_scratch, s->range_end, s->begin);
    emit_if(k, g->p_scratch, BRA, end);
    emit(k, BAR_SYNC, imm(0));
    emit(k, BRA, ptx_label(k, "segment"));
}
