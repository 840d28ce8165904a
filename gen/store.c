/* store.c: from accumulator fragments to y. Each output is made in registers and stored to y once; only its
 * final bits pass through shared memory, where fragments become whole rows.
 *
 * Lane l of a warp holds, of each 16x8 mma tile (PTX ISA 9.7.14.5.8):
 *
 *                 columns 2(l%4), +1
 *     row l/4       c0  c1
 *     row l/4 + 8   c2  c3
 *
 * Storing that directly would write 16 bytes of a row at a time, half a sector. So, for each 16 rows of its
 * warp tile, a warp
 *
 *     z = acc + bias, y = epilogue, rounded, to its own 16 rows of shared memory
 *     waits for its lanes
 *     copies them to y in pieces of y_piece_bytes, lanes along the rows
 *
 * with two such buffers in turn, so that one wait is enough. Pieces are loaded before the next 16 rows are
 * worked out and stored behind them, with no branch in between, which hides the latency of shared memory.
 * Rows of a buffer stand at an odd multiple of 8 elements: no bank conflicts. Bias is read once a column and
 * kept. Rows and columns behind the edge are not stored; a piece that the last column cuts is stored element
 * by element, in a loop.
 *
 * Where rows of x were dealt (copy.h), those of a buffer go to rows of y that are as far apart; where W's
 * were, a lane's columns of as many mma tiles lie side by side.
 */
#include "gen/gemm.h"

#include <stdio.h>

typedef struct Store {
    Gemm *g;
    PtxKernel *k;
    const GenPlan *p;
    Epilogue epilogue;
    PtxArg acc;
    /* as fragments lie */
    PtxArg row, col;             /* b32: of this lane's first element */
    PtxArg rows_left, cols_left; /* b32, signed: from there to the end of y */
    PtxArg bias;                 /* f32[2 * mma_n]: of its columns */
    PtxArg r_at, r_row;          /* b64: this row of r at this lane's first column; a row in bytes */
    PtxArg stage_at;             /* b32: where this lane's first element goes in buffer 0 */
    /* as rows are copied out */
    PtxArg piece_at;               /* b32: this lane's piece of buffer 0 */
    PtxArg piece_rows, piece_cols; /* b32, signed: rows and columns from there to the end of y */
    PtxArg y_at, y_row, y_step;    /* b64: its place in y; a row in bytes; from turn to turn in bytes */
    PtxArg part_step;              /* b64: when the columns of y have a stride: from part to part of a row */
    PtxArg piece;                  /* b32: the pieces of a batch */
    PtxArg ragged;                 /* predicate, of the block: the last column cuts a piece */
    PtxArg p_row, p_col, p_ragged;
    /* while cut pieces are stored; b32, b32, b64, b32 */
    PtxArg cut_at, cut_rows, cut_y, cut_turns; /* as piece_at, piece_rows and y_at; turns that are left */
    PtxArg z, r, y;                            /* f32[4] */
} Store;

/* ---- pieces ---- */

/* 16 rows are copied in turns of 32 / y_row_lanes rows, each in y_row_parts parts. A lane has one piece of
 * each. */
static int rows_a_turn(const Store *s) { return 32 / s->p->y_row_lanes; }
static int row_tile_pieces(const Store *s) { return 16 / rows_a_turn(s) * s->p->y_row_parts; }

/* The row of the warp tile that stands in row `row` of the buffer of row tile i. */
static int row_of(const Store *s, int i, int row) { return gen_dealt(s->p->x.deal, 16 * i + row); }

/* Rows from turn to turn, and how many turns are that far apart: with deals, those of eight rows. */
static int turn_rows(const Store *s) { return rows_a_turn(s) * s->p->x.deal; }
static int even_turns(const Store *s)
{
    int rows = s->p->x.deal > 1 && rows_a_turn(s) <= 8 ? 8 : 16;
    return rows_a_turn(s) < rows ? rows / rows_a_turn(s) : 1;
}

/* at += so many rows */
static void add_rows(Store *s, PtxArg at_, PtxArg row_bytes, int rows)
{
    emit(s->k, MAD_LO_S64, at_, row_bytes, imm(rows), at_);
}

/* Registers of a piece; less than a word takes one too. */
static int piece_words(const Store *s) { return (s->p->y_piece_bytes + 3) / 4; }

/* Pieces that are on their way together: as many as there are registers for, up to four. */
static int batch_pieces(const Store *s)
{
    int room = (s->p->regs_limit - s->p->regs_estimate) / piece_words(s), pieces = row_tile_pieces(s);
    if (pieces > 4) pieces = 4;
    return room < 1 ? 1 : room < pieces ? room : pieces;
}

/* ---- addresses ---- */

static PtxArg word_reg(Store *s, const char *name) { return ptx_reg(s->k, PTX_B32, name); }

static void declare(Store *s)
{
    PtxKernel *k = s->k;
    s->row = word_reg(s, "row");
    s->col = word_reg(s, "col");
    s->rows_left = word_reg(s, "rows_left");
    s->cols_left = word_reg(s, "cols_left");
    s->stage_at = word_reg(s, "stage_at");
    s->piece_at = word_reg(s, "piece_at");
    s->piece_rows = word_reg(s, "piece_rows");
    s->piece_cols = word_reg(s, "piece_cols");
    s->piece =
        ptx_regs(k, s->p->y_piece_bytes == 2 ? PTX_B16 : PTX_B32, "piece", batch_pieces(s) * piece_words(s));
    s->ragged = ptx_reg(k, PTX_PRED, "ragged");
    s->p_row = ptx_reg(k, PTX_PRED, "p_row");
    s->p_col = ptx_reg(k, PTX_PRED, "p_col");
    s->p_ragged = ptx_reg(k, PTX_PRED, "p_ragged");
    s->z = ptx_regs(k, PTX_F32, "z", EPILOGUE_WIDTH);
    s->y = ptx_regs(k, PTX_F32, "y", EPILOGUE_WIDTH);
    if (s->p->epilogue.uses_r) s->r = ptx_regs(k, PTX_F32, "r", EPILOGUE_WIDTH);
}

/* row, col and what is left of y from there; `row` and `col` come in as places inside the warp tile. */
static void place(Store *s, PtxArg row, PtxArg col, PtxArg rows_left, PtxArg cols_left)
{
    PtxKernel *k = s->k;
    emit(k, MAD_LO_S32, row, s->g->warp_m, imm(s->p->warp_m), row);
    emit(k, ADD_S32, row, row, s->g->row0);
    emit(k, SUB_S32, rows_left, s->g->m, row);
    emit(k, MAD_LO_S32, col, s->g->warp_n, imm(s->p->warp_n), col);
    emit(k, ADD_S32, col, col, s->g->col0);
    emit(k, SUB_S32, cols_left, s->g->n, col);
}

/* The parameters of y or r; col_stride is PTX_NONE where columns are adjacent. */
typedef struct MatrixParams {
    PtxArg base, pitch, col_stride;
} MatrixParams;

/* at = base + row * pitch + col * (bytes or column stride), and row_bytes = pitch, in bytes */
static void matrix_place(Store *s, const char *name, MatrixParams params, PtxArg row, PtxArg col, PtxArg *at_,
                         PtxArg *row_bytes)
{
    PtxKernel *k = s->k;
    char text[48];
    snprintf(text, sizeof text, "%s_row", name);
    PtxArg row64 = ptx_reg(k, PTX_B64, text);
    snprintf(text, sizeof text, "%s_at", name);
    *at_ = ptx_reg(k, PTX_B64, text);
    snprintf(text, sizeof text, "%s_row_bytes", name);
    *row_bytes = ptx_reg(k, PTX_B64, text);
    emit(k, LD_PARAM_B64, *at_, mem(params.base, 0));
    emit(k, LD_PARAM_B64, *row_bytes, mem(params.pitch, 0));
    emit(k, MUL_LO_S64, *row_bytes, *row_bytes, imm(s->p->y_bytes));
    emit(k, CVT_U64_U32, row64, row);
    emit(k, MAD_LO_S64, *at_, row64, *row_bytes, *at_);
    if (params.col_stride.kind == PTX_ARG_NONE) {
        emit(k, MAD_WIDE_U32, *at_, col, imm(s->p->y_bytes), *at_);
        return;
    }
    emit(k, LD_PARAM_B64, s->part_step = ptx_reg(k, PTX_B64, "y_32_cols"), mem(params.col_stride, 0));
    emit(k, MUL_LO_S64, s->part_step, s->part_step, imm(s->p->y_bytes));
    emit(k, CVT_U64_U32, row64, col);
    emit(k, MAD_LO_S64, *at_, row64, s->part_step, *at_);
    emit(k, MUL_LO_S64, s->part_step, s->part_step, imm(32));
}

/* This warp's buffers in shared memory. */
static PtxArg warp_buffers(Store *s)
{
    PtxKernel *k = s->k;
    PtxArg warp = word_reg(s, "warp_stage"), smem = word_reg(s, "smem_stage");
    emit(k, SHR_U32, warp, s->g->tid, imm(5));
    emit(k, MOV_SHARED, smem, shared_array());
    emit(k, MAD_LO_S32, warp, warp, imm(2 * s->p->y_buffer_bytes), smem);
    return warp;
}

static void fragment_places(Store *s)
{
    PtxKernel *k = s->k;
    PtxArg buffers = warp_buffers(s);
    emit(k, SHR_U32, s->row, s->g->lane, imm(2));
    emit(k, AND_B32, s->col, s->g->lane, imm(3));
    emit(k, MUL_LO_S32, s->col, s->col, imm(2 * s->p->w.deal));
    emit(k, MAD_LO_S32, s->stage_at, s->row, imm(s->p->y_pitch_bytes), buffers);
    emit(k, MAD_LO_S32, s->stage_at, s->col, imm(s->p->y_bytes), s->stage_at);
    if (s->p->x.deal > 1) emit(k, MUL_LO_S32, s->row, s->row, imm(s->p->x.deal));
    place(s, s->row, s->col, s->rows_left, s->cols_left);
    if (s->p->epilogue.uses_r)
        matrix_place(s, "r", (MatrixParams){s->g->r_param, s->g->ldr_param, PTX_NONE}, s->row, s->col,
                     &s->r_at, &s->r_row);
    s->piece_at = buffers;
}

static void piece_places(Store *s)
{
    PtxKernel *k = s->k;
    const GenPlan *p = s->p;
    PtxArg row = word_reg(s, "piece_row"), col = word_reg(s, "piece_col");
    int lanes = p->y_row_lanes;
    emit(k, DIV_U32, row, s->g->lane, imm(lanes));
    emit(k, REM_U32, col, s->g->lane, imm(lanes));
    emit(k, MUL_LO_S32, col, col, imm(p->y_piece_elems));
    emit(k, MAD_LO_S32, s->piece_at, row, imm(p->y_pitch_bytes), s->piece_at);
    PtxArg from_col = p->y_row_idle ? at(s->g->word_scratch, 0) : col;
    if (p->y_row_idle) emit(k, MIN_S32, from_col, col, imm(p->warp_n - p->y_piece_elems));
    emit(k, MAD_LO_S32, s->piece_at, from_col, imm(p->y_bytes), s->piece_at);
    PtxArg warp_cols = word_reg(s, "piece_warp_cols");
    if (p->y_row_idle) emit(k, SUB_S32, warp_cols, imm(p->warp_n), col);
    if (p->x.deal > 1) {
        PtxArg place_in_buffer = row;
        row = word_reg(s, "dealt_piece_row");
        gen_dealt_row(s->g, p->x.deal, row, place_in_buffer);
    }
    place(s, row, col, s->piece_rows, s->piece_cols);
    if (p->y_row_idle) emit(k, MIN_S32, s->piece_cols, s->piece_cols, warp_cols);
    matrix_place(s, "y", (MatrixParams){s->g->y_param, s->g->ldy_param, s->g->csy_param}, row, col, &s->y_at,
                 &s->y_row);
    s->y_step = ptx_reg(k, PTX_B64, "y_turn_bytes");
    emit(k, MUL_LO_S64, s->y_step, s->y_row, imm(turn_rows(s)));
}

/* Whether the last column of y lies in this block's tile and cuts a piece. */
static void find_ragged(Store *s)
{
    PtxKernel *k = s->k;
    PtxArg rest = word_reg(s, "ragged_elems"), cols = word_reg(s, "tile_cols");
    if (s->p->y_piece_elems == 1) return;
    s->cut_at = word_reg(s, "cut_at");
    s->cut_rows = word_reg(s, "cut_rows");
    s->cut_turns = word_reg(s, "cut_turns");
    s->cut_y = ptx_reg(k, PTX_B64, "cut_y");
    emit(k, SUB_S32, cols, s->g->n, s->g->col0);
    emit(k, SETP_LT_S32, s->ragged, cols, imm(s->p->config.tile_n));
    emit(k, AND_B32, rest, s->g->n, imm(s->p->y_piece_elems - 1));
    emit(k, SETP_GT_AND_S32, s->ragged, rest, imm(0), s->ragged);
}

/* ---- bias: each column of the tile once, from a thread to those that want it ---- */

/* Elements of the tile's bias that a thread loads, as many apart as there are threads. */
static int bias_loads(const GenPlan *p) { return (p->config.tile_n + p->threads - 1) / p->threads; }

/* A null bias is a bias of zeros. */
void gen_bias_load(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenPlan *p = g->p;
    PtxArg from = ptx_reg(k, PTX_B64, "bias_from"), col = ptx_reg(k, PTX_B32, "bias_col"),
           left = ptx_reg(k, PTX_B32, "bias_left"), given = ptx_reg(k, PTX_PRED, "p_bias");
    ptx_section(k, "bias of the tile's columns");
    g->bias_raw = ptx_regs(k, p->config.bias == GEN_F32 ? PTX_F32 : PTX_B16, "bias_raw", bias_loads(p));
    emit(k, ADD_S32, col, g->col0, g->tid);
    emit(k, SUB_S32, left, g->n, col);
    emit(k, LD_PARAM_B64, from, mem(g->bias_param, 0));
    emit(k, SETP_NE_B64, given, from, imm(0));
    emit(k, MAD_WIDE_U32, from, col, imm(p->bias_bytes), from);
    for (int i = 0; i < bias_loads(p); i++) {
        emit(k, SETP_GT_AND_S32, g->p_scratch, left, imm(i * p->threads), given);
        gen_load_raw(g, p->config.bias, at(g->bias_raw, i), mem(from, i * p->threads * p->bias_bytes),
                     g->p_scratch);
    }
}

void gen_bias_share(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenPlan *p = g->p;
    PtxArg to = ptx_reg(k, PTX_B32, "bias_to");
    emit(k, MOV_SHARED, to, shared_array());
    emit(k, MAD_LO_S32, to, g->tid, imm(4), to);
    for (int i = 0; i < bias_loads(p); i++) {
        PtxArg raw = at(g->bias_raw, i), value = p->config.bias == GEN_F32 ? raw : at(g->f32_scratch, 0);
        if (p->config.bias != GEN_F32) gen_widen(g, p->config.bias, value, raw);
        emit(k, SETP_LT_U32, g->p_scratch, g->tid, imm(p->config.tile_n - i * p->threads));
        emit_if(k, g->p_scratch, ST_SHARED_F32, mem(to, p->bias_offset + 4 * i * p->threads), value);
    }
}

/* A lane has neighbouring columns in pairs: two of one column tile; or, where W's rows are dealt to `deal`
 * tiles, those at the same place of two tiles. The first column of pair `pair`, from this lane's first on: */
static int pair_col(const Store *s, int pair)
{
    int deal = s->p->w.deal;
    return pair / deal * deal * 8 + pair % deal * 2;
}

/* Element e of pair `pair`, in rows `half` of row tile i. */
static PtxArg pair_acc(const Store *s, int i, int half, int pair, int e)
{
    int deal = s->p->w.deal, place = 2 * (pair % deal) + e, tile = pair / deal * deal + place % deal;
    return at(s->acc, (i * s->p->mma_n + tile) * 4 + 2 * half + place / deal);
}

/* Of this lane's columns. */
static void read_bias(Store *s)
{
    PtxKernel *k = s->k;
    PtxArg from = word_reg(s, "bias_at"), smem = word_reg(s, "bias_smem");
    s->bias = ptx_regs(k, PTX_F32, "bias", 2 * s->p->mma_n);
    emit(k, MOV_SHARED, smem, shared_array());
    emit(k, SUB_S32, from, s->col, s->g->col0);
    emit(k, MAD_LO_S32, from, from, imm(4), smem);
    for (int j = 0; j < s->p->mma_n; j++)
        emit(k, LD_SHARED_V2_F32, span(s->bias, 2 * j, 2), mem(from, s->p->bias_offset + 4 * pair_col(s, j)));
}

/* ---- fragments to shared memory ---- */

/* Two neighbours, rounded, to this lane's place of pair `pair` in the rows `half` of a buffer. */
static void stage_pair(Store *s, PtxArg low, PtxArg high, int buffer, int half, int pair)
{
    const GenPlan *p = s->p;
    PtxArg to = mem(s->stage_at, buffer * p->y_buffer_bytes + half * 8 * p->y_pitch_bytes +
                                     pair_col(s, pair) * p->y_bytes);
    if (p->config.y == GEN_F32) {
        emit(s->k, ST_SHARED_V2_F32, to, span(low, 0, 2));
        return;
    }
    gen_round_pair(s->g, p->config.y, at(s->g->word_scratch, 0), low, high);
    emit(s->k, ST_SHARED_B32, to, at(s->g->word_scratch, 0));
}

static void load_residual(Store *s, int e, int col)
{
    emit(s->k, SETP_GT_AND_S32, s->p_col, s->cols_left, imm(col), s->p_row);
    gen_load_element(s->g, s->p->config.y, at(s->r, e), mem(s->r_at, col * s->p->y_bytes), s->p_col);
}

/* Pairs first .. first+pairs-1 of rows `half` of row tile i: z = acc + bias, y = f(z). */
static void finish(Store *s, int i, int half, int first, int pairs)
{
    EpilogueElements x = {.n = 2 * pairs, .rows = 1, .y = s->y, .z = s->z, .r = s->r};
    for (int e = 0; e < x.n; e++) {
        int pair = first + e / 2;
        x.acc[e] = pair_acc(s, i, half, pair, e % 2);
        x.bias[e] = at(s->bias, 2 * pair + e % 2);
        if (s->p->epilogue.uses_r) load_residual(s, e, pair_col(s, pair) + e % 2);
        emit(s->k, ADD_F32, at(s->z, e), x.acc[e], x.bias[e]);
    }
    gen_epilogue(&s->epilogue, &x);
    for (int t = 0; t < pairs; t++)
        stage_pair(s, at(s->y, 2 * t), at(s->y, 2 * t + 1), i % 2, half, first + t);
}

static void stage_rows(Store *s, int i)
{
    for (int half = 0; half < 2; half++) {
        ptx_comment(s->k, "rows l/4 + %d of this warp's places", 16 * i + 8 * half);
        int row = row_of(s, i, 8 * half), next = row_of(s, i, 8 * half + 8);
        if (s->p->epilogue.uses_r) emit(s->k, SETP_GT_S32, s->p_row, s->rows_left, imm(row));
        for (int j = 0; j < s->p->mma_n; j += 2) finish(s, i, half, j, s->p->mma_n - j < 2 ? 1 : 2);
        if (s->p->epilogue.uses_r) add_rows(s, s->r_at, s->r_row, next - row);
    }
}

/* ---- shared memory to y ---- */

/* The registers of piece `piece` of a row tile. */
static PtxArg piece_regs(const Store *s, int piece)
{
    return span(s->piece, piece % batch_pieces(s) * piece_words(s), piece_words(s));
}

static int part_cols(const Store *s, int part) { return part * 32 * s->p->y_piece_elems; }

/* Where part `part` of the row at `row_at` of y goes. */
static PtxArg part_of_row(Store *s, PtxArg row_at, int part)
{
    PtxArg at_ = s->g->wide_scratch;
    if (s->part_step.kind == PTX_ARG_NONE || part == 0) return mem(row_at, part * 32 * s->p->y_piece_bytes);
    emit(s->k, ADD_S64, at_, part == 1 ? row_at : at_, s->part_step);
    return mem(at_, 0);
}

/* Lanes that are left over in the last part of a row read nothing there; in the only part, another's piece.
 */
static void load_pieces(Store *s, int i, int first, int last)
{
    const GenPlan *p = s->p;
    for (int piece = first; piece < last; piece++) {
        int row = piece / p->y_row_parts * rows_a_turn(s), part = piece % p->y_row_parts,
            col = part_cols(s, part);
        int offset = i % 2 * p->y_buffer_bytes + row * p->y_pitch_bytes + col * p->y_bytes;
        bool idle = p->y_row_idle && part > 0;
        if (idle) emit(s->k, SETP_GT_S32, s->p_col, s->piece_cols, imm(col));
        gen_load_piece(s->g, idle ? s->p_col : PTX_NONE, piece_regs(s, piece), mem(s->piece_at, offset));
    }
}

/* Moves y_at on from row `row` of the buffer of row tile i. */
static void to_next_turn(Store *s, int i, int row)
{
    int rows = row_of(s, i, row + rows_a_turn(s)) - row_of(s, i, row);
    if (rows == turn_rows(s)) emit(s->k, ADD_S64, s->y_at, s->y_at, s->y_step);
    else add_rows(s, s->y_at, s->y_row, rows);
}

static void store_pieces(Store *s, int i, int first, int last)
{
    const GenPlan *p = s->p;
    for (int piece = first; piece < last; piece++) {
        int row = piece / p->y_row_parts * rows_a_turn(s), part = piece % p->y_row_parts;
        if (part == 0) emit(s->k, SETP_GT_S32, s->p_row, s->piece_rows, imm(row_of(s, i, row)));
        PtxArg to = part_of_row(s, s->y_at, part);
        emit(s->k, SETP_GT_AND_S32, s->p_col, s->piece_cols, imm(part_cols(s, part) + p->y_piece_elems - 1),
             s->p_row);
        gen_store_piece(s->g, s->p_col, to, piece_regs(s, piece));
        if (part == p->y_row_parts - 1) to_next_turn(s, i, row);
    }
}

/* Of rows `first` on of the buffer of row tile i, in turns that are equally far apart, the pieces that the
 * last column cuts. */
static void store_cut_turns(Store *s, int i, int first)
{
    const GenPlan *p = s->p;
    PtxKernel *k = s->k;
    char text[32];
    snprintf(text, sizeof text, "cut_%d_%d", i, first);
    PtxArg cut = ptx_label(k, text);
    emit(k, ADD_S32, s->cut_at, s->piece_at, imm(i % 2 * p->y_buffer_bytes + first * p->y_pitch_bytes));
    emit(k, ADD_S32, s->cut_rows, s->piece_rows, imm(-row_of(s, i, first)));
    emit(k, ADD_S64, s->cut_y, s->y_at, imm(0));
    if (first) add_rows(s, s->cut_y, s->y_row, row_of(s, i, first) - row_of(s, i, 0));
    emit(k, MOV_B32, s->cut_turns, imm(even_turns(s)));
    emit(k, LABEL, cut);
    emit(k, PRAGMA_NOUNROLL);
    emit(k, SETP_GT_S32, s->p_row, s->cut_rows, imm(0));
    for (int part = 0; part < p->y_row_parts; part++) {
        int col = part_cols(s, part);
        PtxArg to = part_of_row(s, s->cut_y, part), from = mem(s->cut_at, col * p->y_bytes);
        emit(k, SETP_LT_AND_S32, s->p_ragged, s->piece_cols, imm(col + p->y_piece_elems), s->p_row);
        gen_copy_cut_piece(s->g, s->piece_cols, col, s->p_ragged, s->p_col, to, from);
    }
    emit(k, ADD_S32, s->cut_at, s->cut_at, imm(rows_a_turn(s) * p->y_pitch_bytes));
    emit(k, ADD_S32, s->cut_rows, s->cut_rows, imm(-turn_rows(s)));
    emit(k, ADD_S64, s->cut_y, s->cut_y, s->y_step);
    emit(k, ADD_S32, s->cut_turns, s->cut_turns, imm(-1));
    emit(k, SETP_GT_S32, s->p_row, s->cut_turns, imm(0));
    emit_if(k, s->p_row, BRA, cut);
}

/* Of the 16 rows of row tile i, the pieces that the last column cuts. Few tiles have one. */
static void store_cut_pieces(Store *s, int i)
{
    char text[32];
    if (s->p->y_piece_elems == 1) return;
    snprintf(text, sizeof text, "whole_%d", i);
    PtxArg whole = ptx_label(s->k, text);
    emit_unless(s->k, s->ragged, BRA, whole);
    for (int row = 0; row < 16; row += even_turns(s) * rows_a_turn(s)) store_cut_turns(s, i, row);
    emit(s->k, LABEL, whole);
}

/* Copies row tile i, and works out the next one: while the first pieces are on their way, if registers allow.
 */
static void copy_rows(Store *s, int i)
{
    int pieces = row_tile_pieces(s), batch = batch_pieces(s);
    store_cut_pieces(s, i);
    for (int first = 0; first < pieces; first += batch) {
        int last = first + batch < pieces ? first + batch : pieces;
        load_pieces(s, i, first, last);
        if (batch > 1 && first == 0 && i + 1 < s->p->mma_m) stage_rows(s, i + 1);
        store_pieces(s, i, first, last);
    }
    if (batch == 1 && i + 1 < s->p->mma_m) stage_rows(s, i + 1);
}

void gen_store(Gemm *g, PtxArg acc)
{
    Store s = {.g = g, .k = g->k, .p = g->p, .acc = acc};
    PtxKernel *k = g->k;
    ptx_section(k, "store: when all copies have landed and all warps are here, the ring is free");
    emit(k, CP_ASYNC_WAIT, imm(0));
    emit(k, BAR_SYNC, imm(0));
    if (!g->p->bias_early) {
        gen_bias_share(g);
        emit(k, BAR_SYNC, imm(0));
    }
    declare(&s);
    fragment_places(&s);
    piece_places(&s);
    find_ragged(&s);
    read_bias(&s);
    gen_epilogue_begin(&s.epilogue, g);
    ptx_section(k, "z = acc + bias; y = the epilogue of z; one store an output");
    stage_rows(&s, 0);
    for (int i = 0; i < g->p->mma_m; i++) {
        emit(k, BAR_WARP_SYNC);
        copy_rows(&s, i);
    }
}
