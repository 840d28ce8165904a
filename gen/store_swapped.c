/* store_swapped.c: from the accumulators of a consumer to y, where rows of W are on wgmma's side of 64 rows.
 *
 * The accumulators hold y transposed. Warp w of the warpgroup has rows 16w .. 16w+15 of the 64 (PTX ISA
 * 9.7.15.5.1.1), lane l
 *
 *                            rows of x, 8j + 2(l%4), +1
 *     row of W l/4           acc[4j]    acc[4j+1]
 *     row of W l/4 + 8       acc[4j+2]  acc[4j+3]
 *
 * and rows of W are columns of y. The four of a j, a group of 8 rows of y, are finished together. Few rows
 * are stored element by element, eight lanes side by side: nobody waits for a buffer, and y may lie as it
 * likes. Of many rows each wgmma's 64 columns are a chunk, which stmatrix writes transposed to a buffer with
 * rows of 128 bytes, swizzled. From there a thread of the copying warpgroup stores it by TMA, or, where TMA
 * cannot, warps copy its rows (store_wgmma.c).
 *
 * Of blocks that share k each finishes its groups (exchange_wgmma.c), neighbours: their rows begin where
 * those of the block before end.
 */
#include "gen/wgmma.h"

enum { GROUP_ROWS = 8, HALF_COLS = 8, WGMMA_COLS = 64, UNMIXED = 4 };

static bool uses_r(const Wgmma *g) { return g->plan->epilogue.uses_r; }
static int turns(const Wgmma *g) { return g->h->finisher_groups; }

/* col += those of the tile before this consumer's; in pingpong it has all of them. */
static void add_columns_before(Wgmma *g, PtxArg col)
{
    if (!g->plan->config.pingpong) emit(g->k, MAD_LO_S32, col, g->consumer, imm(g->h->wg_n), col);
}

/* From this lane's first column: that of element e (0 to 3) of a group of wgmma i. */
static int column(int i, int e) { return WGMMA_COLS * i + e / 2 * HALF_COLS; }

/* ---- what stays the same for all tiles ---- */

static void declare(Wgmma *g)
{
    PtxKernel *k = g->k;
    gen_wgmma_store_declare(g);
    g->bias = ptx_regs(k, PTX_F32, "bias", 2 * g->h->wgmmas);
    g->p_rows = ptx_regs(k, PTX_PRED, "p_rows", 2);
    if (!g->h->chunked) g->y_at = ptx_regs(k, PTX_B64, "y_at", 2);
    if (g->h->chunked) g->packed = ptx_regs(k, PTX_B32, "packed", 4);
    if (g->h->chunked && !g->h->tma_store) g->p_row = ptx_reg(k, PTX_PRED, "p_row");
    if (uses_r(g)) g->r_at = ptx_regs(k, PTX_B64, "r_at", 2);
}

/* This lane's first row and column: of the groups that its block finishes. */
static void lane_place(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg warp = at(g->gemm->word_scratch, 0);
    g->lane_row = word(g, "lane_row");
    g->lane_col = word(g, "lane_col");
    emit(k, AND_B32, g->lane_row, g->gemm->lane, imm(3));
    emit(k, SHL_B32, g->lane_row, g->lane_row, imm(1));
    if (wgmma_shares_k(g)) emit(k, MAD_LO_S32, g->lane_row, g->rank, imm(GROUP_ROWS * turns(g)), g->lane_row);
    emit(k, SHR_U32, warp, g->thread, imm(5));
    emit(k, SHR_U32, g->lane_col, g->gemm->lane, imm(2));
    emit(k, MAD_LO_S32, g->lane_col, warp, imm(16), g->lane_col);
    add_columns_before(g, g->lane_col);
}

/* Where this lane writes to a buffer: lane l has row l%8 of the 8x8 elements l/8 of four, of which the first
 * two are a group of rows, in columns 16w and 16w + 8, and the others the next group. */
static void chunk_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg row = at(g->gemm->word_scratch, 0), column = at(g->gemm->word_scratch, 1),
           group = at(g->gemm->word_scratch, 2);
    gen_wgmma_out_setup(g);
    g->stage_at = word(g, "stage_at");
    emit(k, AND_B32, row, g->gemm->lane, imm(7));
    emit(k, SHR_U32, group, g->gemm->lane, imm(4));
    emit(k, MAD_LO_S32, row, group, imm(GROUP_ROWS), row);
    emit(k, SHR_U32, column, g->gemm->lane, imm(3));
    emit(k, AND_B32, column, column, imm(1));
    emit(k, SHR_U32, group, g->thread, imm(5));
    emit(k, MAD_LO_S32, column, group, imm(2), column);
    gen_swizzled_offset(g->gemm, GEN_SWIZZLE_BYTES, g->stage_at, row, column);
    emit(k, ADD_S32, g->stage_at, g->stage_at, g->store_at);
}

void gen_swapped_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    ptx_section(k, "the way of y: this lane's rows and columns");
    declare(g);
    lane_place(g);
    gen_wgmma_bias_base(g);
    if (g->h->chunked) chunk_setup(g);
    else g->y_pitch = gen_wgmma_stride_bytes(g, "y_pitch", g->gemm->ldy_param);
    if (g->h->chunked && !g->h->tma_store) gen_wgmma_piece_setup(g);
    else if (g->plan->config.y_layout == GEN_LAYOUT_ANY)
        g->y_col_step = gen_wgmma_stride_bytes(g, "y_col_step", g->gemm->csy_param);
    if (uses_r(g)) g->r_pitch = gen_wgmma_stride_bytes(g, "r_pitch", g->gemm->ldr_param);
    gen_epilogue_begin(&g->epilogue, g->gemm);
    if (g->h->wg_n % (2 * HALF_COLS))
        g->epilogue.group_sigmoids = false; /* a lane's second column may be nobody's */
}

/* ---- a tile begins ---- */

static void load_bias(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg from = g->gemm->wide_scratch;
    emit(k, MAD_WIDE_U32, from, g->col, imm(g->plan->bias_bytes), g->bias_base);
    for (int i = 0; i < g->h->wgmmas; i++)
        for (int half = 0; half < 2; half++) {
            int col = column(i, 2 * half);
            emit(k, SETP_GT_AND_S32, g->p_col, g->cols_left, imm(col), g->p_bias);
            gen_load_element(g->gemm, g->plan->config.bias, at(g->bias, 2 * i + half),
                             mem(from, col * g->plan->bias_bytes), g->p_col);
        }
}

/* row, col, rows_left, cols_left of this lane's first element. The last of a consumer's wgmmas may have more
 * rows of W than belong to it. */
static void lane_origin(Wgmma *g)
{
    PtxKernel *k = g->k;
    emit(k, ADD_S32, g->row, g->row0, g->lane_row);
    emit(k, ADD_S32, g->col, g->col0, g->lane_col);
    emit(k, SUB_S32, g->rows_left, g->gemm->m, g->row);
    emit(k, SUB_S32, g->cols_left, g->gemm->n, g->col);
    if (g->h->wg_n % WGMMA_COLS == 0) return;
    PtxArg own = at(g->gemm->word_scratch, 0);
    emit(k, SUB_S32, own, imm(g->h->wg_n), g->lane_col);
    add_columns_before(g, own);
    emit(k, MIN_S32, g->cols_left, g->cols_left, own);
}

void gen_swapped_begin(Wgmma *g)
{
    lane_origin(g);
    load_bias(g);
}

/* ---- to y ---- */

/* Where this lane's first two rows stand in y or r: from the first column on, or col_step apart. */
static void first_rows(Wgmma *g, PtxArg rows, PtxArg base, PtxArg pitch, PtxArg col_step)
{
    PtxKernel *k = g->k;
    PtxArg first = at(rows, 0), factor = g->gemm->wide_scratch;
    emit(k, LD_PARAM_B64, first, mem(base, 0));
    emit(k, CVT_U64_U32, factor, g->row);
    emit(k, MAD_LO_S64, first, factor, pitch, first);
    emit(k, CVT_U64_U32, factor, g->col);
    if (col_step.kind == PTX_ARG_NONE) emit(k, MAD_LO_S64, first, factor, imm(g->plan->y_bytes), first);
    else emit(k, MAD_LO_S64, first, factor, col_step, first);
    emit(k, ADD_S64, at(rows, 1), first, pitch);
}

/* To those of the block's next group. */
static void next_rows(Wgmma *g, PtxArg rows, PtxArg pitch)
{
    for (int i = 0; i < 2; i++) emit(g->k, MAD_LO_S64, at(rows, i), pitch, imm(GROUP_ROWS), at(rows, i));
}

/* p_col: element e of a group of wgmma i lies in y. */
static PtxArg inside(Wgmma *g, int i, int e)
{
    emit(g->k, SETP_GT_AND_S32, g->p_col, g->cols_left, imm(column(i, e)), at(g->p_rows, e % 2));
    return g->p_col;
}

static void load_residual(Wgmma *g, int i)
{
    for (int e = 0; e < GROUP_ACC; e++)
        gen_load_element(g->gemm, g->plan->config.y, at(g->r, e),
                         mem(at(g->r_at, e % 2), column(i, e) * g->plan->y_bytes), inside(g, i, e));
}

/* The place of element e of a group of wgmma i. */
static PtxArg element_place(Wgmma *g, int i, int e)
{
    PtxArg row = at(g->y_at, e % 2), to = g->gemm->wide_scratch;
    if (g->y_col_step.kind == PTX_ARG_NONE) return mem(row, column(i, e) * g->plan->y_bytes);
    emit(g->k, MAD_LO_S64, to, g->y_col_step, imm(column(i, e)), row);
    return mem(to, 0);
}

static void store_element(Wgmma *g, PtxArg to, PtxArg y, PtxArg p)
{
    GenType type = g->plan->config.y;
    PtxArg rounded = g->gemm->elem;
    if (type == GEN_F32) {
        emit_if(g->k, p, ST_GLOBAL_F32, to, y);
        return;
    }
    gen_round(g->gemm, type, rounded, y);
    emit_if(g->k, p, ST_GLOBAL_B16, to, rounded);
}

/* y of a group of wgmma i. */
static void finish_group(Wgmma *g, int i, int turn)
{
    PtxArg acc = wgmma_group_acc(g, i, turn);
    EpilogueElements x = {.n = GROUP_ACC, .rows = 2, .y = g->y, .z = g->z, .r = g->r};
    if (uses_r(g)) load_residual(g, i);
    for (int e = 0; e < GROUP_ACC; e++) {
        x.acc[e] = at(acc, e);
        x.bias[e] = at(g->bias, 2 * i + e / 2);
        emit(g->k, ADD_F32, at(g->z, e), x.acc[e], x.bias[e]);
    }
    gen_epilogue(&g->epilogue, &x);
}

/* This lane's rows of group `turn` that lie in y; its places move on from the group before. */
static void begin_group(Wgmma *g, int turn)
{
    int row = GROUP_ROWS * turn;
    ptx_comment(g->k, "rows from %d on", row);
    for (int i = 0; i < 2; i++) emit(g->k, SETP_GT_S32, at(g->p_rows, i), g->rows_left, imm(row + i));
    if (turn && !g->h->chunked) next_rows(g, g->y_at, g->y_pitch);
    if (turn && uses_r(g)) next_rows(g, g->r_at, g->r_pitch);
}

static void store_elements(Wgmma *g)
{
    first_rows(g, g->y_at, g->gemm->y_param, g->y_pitch, g->y_col_step);
    for (int turn = 0; turn < turns(g); turn++) {
        begin_group(g, turn);
        for (int i = 0; i < g->h->wgmmas; i++) {
            finish_group(g, i, turn);
            for (int e = 0; e < GROUP_ACC; e++)
                store_element(g, element_place(g, i, e), at(g->y, e), inside(g, i, e));
        }
    }
}

/* Each warp has written columns of the chunk, and copies rows of it. */
static void copy_chunk(Wgmma *g, int i)
{
    PtxKernel *k = g->k;
    gen_wgmma_meet(g);
    emit(k, MOV_B32, g->row, g->row0);
    emit(k, MOV_B32, g->col, g->col0);
    add_columns_before(g, g->col);
    gen_wgmma_store_rows(g, i);
    lane_origin(g);
    gen_wgmma_meet(g);
}

/* Two groups at a time; a last one alone. ptxas mixes the instructions of all groups, and then several tiles
 * of 152 rows and more need three registers too many: it does not across a meeting of the warp. */
static void store_chunk(Wgmma *g, int i)
{
    PtxKernel *k = g->k;
    PtxArg to = at(g->gemm->word_scratch, 0);
    if (uses_r(g)) first_rows(g, g->r_at, g->gemm->r_param, g->r_pitch, PTX_NONE);
    gen_wgmma_out_wait(g);
    for (int turn = 0; turn < turns(g); turn++) {
        bool odd = turn % 2, last = turn == turns(g) - 1;
        if (turn && turn % UNMIXED == 0) emit(k, BAR_WARP_SYNC);
        begin_group(g, turn);
        finish_group(g, i, turn);
        for (int half = 0; half < 2; half++)
            gen_round_pair(g->gemm, g->plan->config.y, at(g->packed, 2 * odd + half), at(g->y, 2 * half),
                           at(g->y, 2 * half + 1));
        if (!odd && !last) continue;
        emit(k, ADD_S32, to, g->out_at, g->stage_at);
        PtxArg place = mem(to, (turn - odd) * GROUP_ROWS * GEN_SWIZZLE_BYTES);
        if (odd) emit(k, STMATRIX_X4_TRANS, place, g->packed);
        else emit(k, STMATRIX_X2_TRANS, place, span(g->packed, 0, 2));
    }
    if (g->h->tma_store) gen_wgmma_out_hand_over(g);
    else copy_chunk(g, i);
}

void gen_swapped_store(Wgmma *g)
{
    if (g->h->chunked) {
        for (int i = 0; i < g->h->wgmmas; i++) store_chunk(g, i);
        return;
    }
    if (uses_r(g)) first_rows(g, g->r_at, g->gemm->r_param, g->r_pitch, PTX_NONE);
    store_elements(g);
}
