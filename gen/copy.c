/* copy.c: operands from global to shared memory; what and why is told in copy.h. */
#include "gen/copy.h"

#include <stdio.h>

enum {
    CHUNK_ELEMS = GEN_CHUNK_BYTES / 2,
    LINE_CHUNKS = GEN_LINE_BYTES / GEN_CHUNK_BYTES,
    ASK_BLOCKS = 4, /* k-blocks ahead of the loads */
};

static PtxArg copy_reg(Gemm *g, const GenCopy *c, PtxClass cls, const char *what, int count)
{
    char name[48];
    snprintf(name, sizeof name, "%s_%s", c->name, what);
    return count ? ptx_regs(g->k, cls, name, count) : ptx_reg(g->k, cls, name);
}

static int pieces(const GenCopy *c) { return GEN_CHUNK_BYTES / c->plan->copy_bytes; }

/* ---- addresses ---- */

static void declare(Gemm *g, GenCopy *c)
{
    const GenOperandPlan *p = c->plan;
    c->row = copy_reg(g, c, PTX_B32, "copy_row", 0);
    c->part = copy_reg(g, c, PTX_B32, "part", 0);
    c->pointer = copy_reg(g, c, PTX_B64, "ptr", p->passes);
    c->at = copy_reg(g, c, PTX_B32, "copy_at", p->swizzle_period);
    c->to = copy_reg(g, c, PTX_B32, "copy_to", p->swizzle_period);
    c->left = copy_reg(g, c, PTX_B32, "left", 0);
    if (p->layout != GEN_LAYOUT_ROW) c->advance = copy_reg(g, c, PTX_B64, "advance", 0);
    if (p->layout == GEN_LAYOUT_ANY) c->step = copy_reg(g, c, PTX_B64, "step", 0);
    if (p->lines) {
        c->line = copy_reg(g, c, PTX_B32, "line", 0);
        c->line_begins = copy_reg(g, c, PTX_PRED, "line_begins", 0);
    }
    if (p->last_pass_rows < p->rows_per_pass) c->last_pass = copy_reg(g, c, PTX_PRED, "last_pass", 0);
    if (g->p->threads % p->row_parts) c->takes_part = copy_reg(g, c, PTX_PRED, "takes_part", 0);
    if (p->staged) {
        c->have = copy_reg(g, c, PTX_PRED, "have", p->part_elems);
        c->raw = copy_reg(g, c, p->type == GEN_F32 ? PTX_F32 : PTX_B16, "raw",
                          p->part_elems * p->passes * g->p->raw_sets);
    } else {
        c->size = copy_reg(g, c, PTX_B32, "size", pieces(c));
        if (p->layout == GEN_LAYOUT_COL) c->extent_size = copy_reg(g, c, PTX_B32, "extent_size", pieces(c));
    }
}

static void load_pitch(Gemm *g, const GenCopy *c, PtxArg base, PtxArg pitch)
{
    emit(g->k, LD_PARAM_B64, base, mem(c->base_param, 0));
    emit(g->k, LD_PARAM_B64, pitch, mem(c->pitch_param, 0));
    emit(g->k, MUL_LO_S64, pitch, pitch, imm(c->plan->elem_bytes));
}

/* In a register called name: the low half of the address of row `row` of the tile. */
static PtxArg row_address(Gemm *g, const GenCopy *c, const char *name, PtxArg row)
{
    char pitch_name[24];
    snprintf(pitch_name, sizeof pitch_name, "%.16s_pitch", name);
    PtxArg low = copy_reg(g, c, PTX_B32, name, 0), pitch = copy_reg(g, c, PTX_B32, pitch_name, 0);
    emit(g->k, LD_PARAM_B64, g->wide_scratch, mem(c->pitch_param, 0));
    emit(g->k, CVT_U32_U64, pitch, g->wide_scratch);
    emit(g->k, MUL_LO_S32, pitch, pitch, imm(c->plan->elem_bytes));
    emit(g->k, LD_PARAM_B64, g->wide_scratch, mem(c->base_param, 0));
    emit(g->k, CVT_U32_U64, low, g->wide_scratch);
    emit(g->k, ADD_S32, g->bits_scratch, c->first, row);
    emit(g->k, MAD_LO_S32, low, g->bits_scratch, pitch, low);
    return low;
}

PtxArg gen_copy_line_begin(Gemm *g, const GenCopy *c, const char *name, PtxArg row)
{
    PtxArg begin = row_address(g, c, name, row);
    emit(g->k, SHR_U32, begin, begin, imm(4));
    emit(g->k, AND_B32, begin, begin, imm(LINE_CHUNKS - 1));
    return begin;
}

PtxArg gen_copy_row_begin(Gemm *g, const GenCopy *c, const char *name, PtxArg row)
{
    PtxArg begin = row_address(g, c, name, row);
    emit(g->k, AND_B32, begin, begin, imm(GEN_CHUNK_BYTES - 1));
    return begin;
}

/* Lines: d of this thread's chunk, and where that stands in a slot. */
static PtxArg line_place(Gemm *g, GenCopy *c)
{
    PtxKernel *k = g->k;
    PtxArg chunk = copy_reg(g, c, PTX_B32, "chunk", 0);
    c->line_begin = gen_copy_line_begin(g, c, "line_begin", c->row);
    emit(k, SUB_S32, c->line, c->part, c->line_begin);
    emit(k, SETP_GE_S32, c->line_begins, c->line, imm(0));
    emit(k, AND_B32, chunk, c->line, imm(LINE_CHUNKS - 1));
    return chunk;
}

static void shared_places(Gemm *g, GenCopy *c, PtxArg smem)
{
    PtxKernel *k = g->k;
    const GenOperandPlan *p = c->plan;
    PtxArg row = copy_reg(g, c, PTX_B32, "swizzle_row", 0), chunk = c->part, base = smem;
    emit(k, DIV_U32, c->row, g->tid, imm(p->row_parts));
    emit(k, REM_U32, c->part, g->tid, imm(p->row_parts));
    if (p->part_bytes < GEN_CHUNK_BYTES) {
        chunk = copy_reg(g, c, PTX_B32, "chunk", 0), base = copy_reg(g, c, PTX_B32, "half_base", 0);
        emit(k, SHR_U32, chunk, c->part, imm(1));
        emit(k, AND_B32, base, c->part, imm(1));
        emit(k, MAD_LO_S32, base, base, imm(p->part_bytes), smem);
    }
    if (p->lines) chunk = line_place(g, c);
    if (p->words) emit(k, MAD_LO_S32, at(c->at, 0), g->tid, imm(GEN_CHUNK_BYTES), base);
    for (int i = 0; i < p->swizzle_period && !p->words; i++) {
        emit(k, ADD_S32, row, c->row, imm(i * p->rows_per_pass));
        gen_swizzled_offset(g, p->row_bytes, at(c->at, i), row, chunk);
        emit(k, ADD_S32, at(c->at, i), at(c->at, i), base);
    }
    if (c->takes_part.kind != PTX_ARG_NONE)
        emit(k, SETP_LT_U32, c->takes_part, c->row, imm(p->rows_per_pass));
    if (c->last_pass.kind != PTX_ARG_NONE) emit(k, SETP_LT_U32, c->last_pass, c->row, imm(p->last_pass_rows));
}

/* To the tile's k-block at which this segment begins, where blocks share tiles. */
static void skip_k_blocks(Gemm *g, const GenCopy *c, PtxArg base, PtxArg wide)
{
    PtxArg first = g->segment.first_block;
    if (first.kind == PTX_ARG_NONE) return;
    if (c->advance.kind == PTX_ARG_NONE) {
        emit(g->k, MAD_WIDE_U32, base, first, imm(g->p->config.tile_k * c->plan->elem_bytes), base);
        return;
    }
    emit(g->k, CVT_U64_U32, wide, first);
    emit(g->k, MAD_LO_S64, base, wide, c->advance, base);
}

/* One pointer a pass: base + row * pitch + chunk, along k. Rows behind the end are those from the first on
 * again: a copy is slow when many threads read the same row. */
static void row_pointers(Gemm *g, GenCopy *c, PtxArg base, PtxArg pitch)
{
    PtxKernel *k = g->k;
    const GenOperandPlan *p = c->plan;
    PtxArg row = copy_reg(g, c, PTX_B32, "row", 0), last = copy_reg(g, c, PTX_B32, "row_last", 0);
    PtxArg inside = copy_reg(g, c, PTX_B32, "row_inside", 0), wide = copy_reg(g, c, PTX_B64, "row64", 0),
           place = PTX_NONE;
    if (p->layout == GEN_LAYOUT_ANY) {
        emit(k, LD_PARAM_B64, c->step, mem(c->step_param, 0));
        emit(k, MUL_LO_S64, c->step, c->step, imm(p->elem_bytes));
        emit(k, MUL_LO_S64, c->advance, c->step, imm(g->p->config.tile_k));
        emit(k, CVT_U64_U32, wide, c->part);
        emit(k, MUL_LO_S64, wide, wide, imm(p->part_elems));
        emit(k, MAD_LO_S64, base, wide, c->step, base);
    } else {
        emit(k, MAD_WIDE_U32, base, c->part, imm(p->part_elems * p->elem_bytes), base);
    }
    if (p->lines) { /* from the row back to the line in which it begins */
        emit(k, MUL_WIDE_U32, wide, c->line_begin, imm(GEN_CHUNK_BYTES));
        emit(k, SUB_S64, base, base, wide);
    }
    skip_k_blocks(g, c, base, wide);
    if (p->deal > 1) place = copy_reg(g, c, PTX_B32, "place", 0);
    else emit(k, ADD_S32, row, c->row, c->first);
    emit(k, SUB_S32, last, c->extent, imm(1));
    for (int i = 0; i < p->passes; i++) {
        if (p->deal > 1) {
            emit(k, ADD_S32, place, c->row, imm(i * p->rows_per_pass));
            gen_dealt_row(g, p->deal, row, place);
            emit(k, ADD_S32, row, row, c->first);
        } else if (i) emit(k, ADD_S32, row, row, imm(p->rows_per_pass));
        emit(k, SUB_S32, inside, row, c->extent);
        emit(k, MIN_U32, inside, row, inside); /* before the end the difference is negative, so large */
        emit(k, MIN_U32, inside, inside, last);
        emit(k, CVT_U64_U32, wide, inside);
        emit(k, MAD_LO_S64, at(c->pointer, i), wide, pitch, base);
    }
}

/* sizes[i] = bytes of piece i of a chunk of which `left` elements are there */
static void piece_sizes(Gemm *g, const GenCopy *c, PtxArg sizes, PtxArg left)
{
    int elems = c->plan->copy_bytes / 2;
    for (int i = 0; i < pieces(c); i++) {
        PtxArg size = at(sizes, i);
        emit(g->k, ADD_S32, size, left, imm(-i * elems));
        emit(g->k, MAX_S32, size, size, imm(0));
        emit(g->k, MIN_S32, size, size, imm(elems));
        emit(g->k, SHL_B32, size, size, imm(1));
    }
}

/* One pointer a pass: base + row * pitch + chunk, along m or n. */
static void col_pointers(Gemm *g, GenCopy *c, PtxArg base, PtxArg pitch)
{
    PtxKernel *k = g->k;
    const GenOperandPlan *p = c->plan;
    PtxArg along = copy_reg(g, c, PTX_B32, "along", 0), row = copy_reg(g, c, PTX_B32, "row", 0);
    PtxArg wide = copy_reg(g, c, PTX_B64, "row64", 0);
    emit(k, SHL_B32, along, c->part, imm(3));
    emit(k, ADD_S32, along, along, c->first);
    emit(k, MAD_WIDE_U32, base, along, imm(p->elem_bytes), base);
    emit(k, SUB_S32, along, c->extent, along);
    piece_sizes(g, c, c->extent_size, along);
    emit(k, MUL_LO_S64, c->advance, pitch, imm(g->p->config.tile_k));
    skip_k_blocks(g, c, base, wide);
    for (int i = 0; i < p->passes; i++) {
        emit(k, ADD_S32, row, c->row, imm(i * p->rows_per_pass));
        emit(k, CVT_U64_U32, wide, row);
        emit(k, MAD_LO_S64, at(c->pointer, i), wide, pitch, base);
    }
}

/* The line that this thread asks for. With GEN_ASK_SHARERS sharers the block whose tile is number j along n has every row
 * of the tile whose number is j modulo that. */
static void ask_place(Gemm *g, GenCopy *c, PtxArg base, PtxArg pitch)
{
    PtxKernel *k = g->k;
    const GenOperandPlan *p = c->plan;
    PtxArg sharer = copy_reg(g, c, PTX_B32, "ask_sharer", 0), row = copy_reg(g, c, PTX_B32, "ask_row", 0);
    PtxArg rows_left = copy_reg(g, c, PTX_B32, "ask_rows_left", 0), line = copy_reg(g, c, PTX_B32, "ask_line", 0);
    c->asks = copy_reg(g, c, PTX_PRED, "asks", 0);
    c->ask_at = copy_reg(g, c, PTX_B64, "ask_at", 0);
    emit(k, SETP_LT_U32, c->asks, g->tid, imm(p->rows / GEN_ASK_SHARERS * p->ask_lines));
    emit(k, DIV_U32, sharer, g->col0, imm(g->p->config.tile_n));
    emit(k, AND_B32, sharer, sharer, imm(GEN_ASK_SHARERS - 1));
    emit(k, DIV_U32, row, g->tid, imm(p->ask_lines));
    emit(k, MAD_LO_S32, row, row, imm(GEN_ASK_SHARERS), sharer);
    emit(k, SUB_S32, rows_left, c->extent, c->first);
    emit(k, SETP_LT_AND_S32, c->asks, row, rows_left, c->asks);
    emit(k, ADD_S32, row, row, c->first);
    emit(k, CVT_U64_U32, c->ask_at, row);
    emit(k, MAD_LO_S64, c->ask_at, c->ask_at, pitch, base);
    emit(k, REM_U32, line, g->tid, imm(p->ask_lines));
    emit(k, MAD_WIDE_U32, c->ask_at, line, imm(GEN_LINE_BYTES), c->ask_at);
}

void gen_copy_ask(Gemm *g, const GenCopy *c, PtxArg k_rest)
{
    const GenConfig *config = &g->p->config;
    int block_bytes = config->tile_k * c->plan->elem_bytes;
    if (!c->plan->ask_lines) return;
    emit(g->k, SETP_GT_AND_S32, g->p_scratch, k_rest, imm((ASK_BLOCKS + 2) * config->tile_k - 1), c->asks);
    emit_if(g->k, g->p_scratch, PREFETCH_L2, mem(c->ask_at, (config->stages + ASK_BLOCKS) * block_bytes));
    emit(g->k, ADD_S64, c->ask_at, c->ask_at, imm(block_bytes));
}

void gen_copy_setup(Gemm *g, GenCopy *c, PtxArg smem)
{
    PtxArg base = copy_reg(g, c, PTX_B64, "base", 0), pitch = copy_reg(g, c, PTX_B64, "pitch", 0);
    declare(g, c);
    shared_places(g, c, smem);
    load_pitch(g, c, base, pitch);
    if (c->plan->ask_lines) ask_place(g, c, base, pitch);
    if (c->plan->layout == GEN_LAYOUT_COL) col_pointers(g, c, base, pitch);
    else row_pointers(g, c, base, pitch);
}

void gen_copy_turn(Gemm *g, GenCopy *c, PtxArg slot)
{
    for (int i = 0; i < c->plan->swizzle_period; i++) emit(g->k, ADD_S32, at(c->to, i), at(c->at, i), slot);
}

/* Row and chunk are worked out from the thread again: cheaper than keeping them over the main loop. */
void gen_copy_sizes(Gemm *g, GenCopy *c, PtxArg k_rest, bool lead)
{
    PtxKernel *k = g->k;
    const GenOperandPlan *p = c->plan;
    if (p->layout == GEN_LAYOUT_COL) {
        emit(k, DIV_U32, c->left, g->tid, imm(p->row_parts));
        emit(k, SUB_S32, c->left, k_rest, c->left);
        return;
    }
    if (!p->lines) emit(k, REM_U32, c->left, g->tid, imm(p->row_parts));
    emit(k, MAD_LO_S32, c->left, p->lines ? c->line : c->left, imm(-p->part_elems), k_rest);
    if (lead) emit(k, SUB_S32, c->left, c->left, imm(g->p->config.tile_k));
    if (!p->staged && !p->words) piece_sizes(g, c, c->size, c->left);
    for (int i = 0; p->staged && i < p->part_elems; i++)
        emit(k, SETP_GT_S32, at(c->have, i), c->left, imm(i));
}

/* ---- by cp.async ---- */

static void copy_piece(Gemm *g, int bytes, PtxArg guard, PtxArg to, PtxArg from, PtxArg size)
{
    if (bytes == 16) emit_if(g->k, guard, CP_ASYNC_CG_16, to, from, size);
    if (bytes == 8) emit_if(g->k, guard, CP_ASYNC_CA_8, to, from, size);
    if (bytes == 4) emit_if(g->k, guard, CP_ASYNC_CA_4, to, from, size);
}

/* Of a column-major operand the end of m or n cuts chunks in every k-block, and the end of k whole rows. */
static PtxArg col_size(Gemm *g, GenCopy *c, int pass, int piece, bool sized)
{
    if (!sized) return at(c->extent_size, piece);
    emit(g->k, SETP_GT_S32, g->p_scratch, c->left, imm(pass * c->plan->rows_per_pass));
    emit(g->k, SELP_B32, at(c->size, piece), at(c->extent_size, piece), imm(0), g->p_scratch);
    return at(c->size, piece);
}

/* Rows may have more parts than fit into the threads evenly; the last pass may have fewer rows than threads;
 * line 0 may have chunks that belong to no k-block. */
static PtxArg guard_of(Gemm *g, const GenCopy *c, int pass, bool first)
{
    bool fewer = pass == c->plan->passes - 1 && c->last_pass.kind != PTX_ARG_NONE;
    PtxArg guard = fewer ? c->last_pass : c->takes_part;
    if (!first || !c->plan->lines) return guard;
    if (guard.kind == PTX_ARG_NONE) return c->line_begins;
    emit(g->k, AND_PRED, g->p_scratch, c->line_begins, guard);
    return g->p_scratch;
}

static PtxArg place_of(const GenCopy *c, int pass, GenCopyPlace to)
{
    const GenOperandPlan *p = c->plan;
    int turn = pass % p->swizzle_period;
    return mem(at(to.base, turn),
               to.offset + p->smem_offset + (pass - turn) * p->rows_per_pass * p->row_bytes);
}

/* To the same chunk of the next k-block. */
static void advance(Gemm *g, const GenCopy *c, int pass)
{
    bool constant = c->advance.kind == PTX_ARG_NONE;
    PtxArg step = constant ? imm((int64_t)g->p->config.tile_k * c->plan->elem_bytes) : c->advance;
    emit(g->k, ADD_S64, at(c->pointer, pass), at(c->pointer, pass), step);
}

/* Words: the aligned chunk in which the pass's pointer lies, and sizes[0] = what of it lies before the end of
 * k. */
static PtxArg chunk_around(Gemm *g, GenCopy *c, int pass, bool sized)
{
    PtxArg begin = g->bits_scratch;
    if (sized) {
        emit(g->k, CVT_U32_U64, begin, at(c->pointer, pass));
        emit(g->k, AND_B32, begin, begin, imm(GEN_CHUNK_BYTES - 1));
        emit(g->k, SHR_U32, begin, begin, imm(1));
        emit(g->k, ADD_S32, begin, begin, c->left);
        piece_sizes(g, c, c->size, begin);
    }
    emit(g->k, AND_B64, g->wide_scratch, at(c->pointer, pass), imm(-GEN_CHUNK_BYTES));
    return g->wide_scratch;
}

void gen_copy_async(Gemm *g, GenCopy *c, int pass, GenCopyPlace place, bool sized, bool first)
{
    int bytes = c->plan->copy_bytes;
    PtxArg guard = guard_of(g, c, pass, first), to = place_of(c, pass, place),
           from = c->plan->words ? chunk_around(g, c, pass, sized) : at(c->pointer, pass);
    for (int i = 0; i < pieces(c); i++) {
        PtxArg size = c->plan->layout == GEN_LAYOUT_COL ? col_size(g, c, pass, i, sized)
                      : sized                           ? at(c->size, i)
                                                        : imm(bytes);
        copy_piece(g, bytes, guard, mem(to, to.imm + i * bytes), mem(from, i * bytes), size);
    }
    advance(g, c, pass);
}

/* ---- through registers ---- */

static PtxArg raw_of(const GenCopy *c, int pass, int set)
{
    return span(c->raw, c->plan->part_elems * (set * c->plan->passes + pass), c->plan->part_elems);
}

static void load_raw(Gemm *g, const GenCopy *c, PtxArg to, PtxArg from, PtxArg guard)
{
    if (c->plan->type == GEN_F32) emit_load(g, guard, F32, to, from);
    else emit_load(g, guard, B16, to, from);
}

static void load_elements(Gemm *g, GenCopy *c, PtxArg raw, PtxArg from, bool sized)
{
    PtxKernel *k = g->k;
    const GenOperandPlan *p = c->plan;
    bool strided = p->layout == GEN_LAYOUT_ANY,
         vectors = p->type == GEN_F32 && p->align_bytes == 16 && !strided;
    for (int i = 0; vectors && !sized && i < p->part_elems; i += 4)
        emit_load(g, PTX_NONE, V4_F32, span(raw, i, 4), mem(from, i * p->elem_bytes));
    if (vectors && !sized) return;
    if (strided) emit(k, ADD_S64, g->wide_scratch, from, imm(0));
    for (int i = 0; i < p->part_elems; i++) {
        PtxArg to = at(raw, i), guard = sized ? at(c->have, i) : PTX_NONE;
        if (sized && p->type == GEN_F32) emit(k, MOV_F32, to, immf(0));
        if (sized && p->type != GEN_F32) emit(k, MOV_B16, to, imm(0));
        load_raw(g, c, to, strided ? mem(g->wide_scratch, 0) : mem(from, i * p->elem_bytes), guard);
        if (strided && i + 1 < p->part_elems) emit(k, ADD_S64, g->wide_scratch, g->wide_scratch, c->step);
    }
}

void gen_copy_load(Gemm *g, GenCopy *c, int pass, int set, bool sized)
{
    PtxArg raw = raw_of(c, pass, set), from = at(c->pointer, pass);
    load_elements(g, c, raw, from, sized);
    advance(g, c, pass);
}

/* A raw element as fp32. */
static PtxArg as_f32(Gemm *g, const GenCopy *c, PtxArg raw, PtxArg scratch)
{
    if (c->plan->type == GEN_F32) return raw;
    gen_widen(g, c->plan->type, scratch, raw);
    return scratch;
}

/* Two neighbours, rounded to W's type, in one word. */
static void stage_pair(Gemm *g, const GenCopy *c, PtxArg word, PtxArg pair)
{
    GenType to = g->p->config.w;
    if (c->plan->type == to) {
        emit(g->k, PACK_B32, word, pair);
        return;
    }
    PtxArg low = as_f32(g, c, at(pair, 0), at(g->f32_scratch, 0)),
           high = as_f32(g, c, at(pair, 1), at(g->f32_scratch, 1));
    gen_round_pair(g, to, word, low, high);
}

void gen_copy_store(Gemm *g, GenCopy *c, int pass, int set, GenCopyPlace place)
{
    PtxKernel *k = g->k;
    PtxArg raw = raw_of(c, pass, set), word = g->word_scratch, guard = guard_of(g, c, pass, false),
           to = place_of(c, pass, place);
    int words = c->plan->part_bytes / 4;
    for (int i = 0; i < words; i++) stage_pair(g, c, at(word, i), span(raw, 2 * i, 2));
    if (words == 4) emit_if(k, guard, ST_SHARED_V4_B32, to, word);
    else emit_if(k, guard, ST_SHARED_V2_B32, to, span(word, 0, 2));
}

int gen_copy_reach(const Gemm *g, const GenCopy *c)
{
    return (c->plan->staged ? g->p->config.tile_k : 0) + (c->plan->words ? CHUNK_ELEMS : 0);
}
