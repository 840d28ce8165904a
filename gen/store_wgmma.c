/* store_wgmma.c: from the accumulators of a consumer warpgroup to y, in chunks of 64 rows by some columns.
 *
 * Warp w of the warpgroup holds rows 16w .. 16w+15 of each wgmma's 64 (PTX ISA 9.7.15.5.1.1), lane l
 *
 *                    columns 8j + 2(l%4), +1
 *     row l/4        acc[4j]    acc[4j+1]
 *     row l/4 + 8    acc[4j+2]  acc[4j+3]
 *
 * so that for each chunk
 *
 *     consumer (each warp)                   two buffers             storing thread
 *     z = acc + bias, y = epilogue, rounded
 *     wait empty                   <---- arrive, when y is read ---
 *     y to the buffer, fence
 *     arrive full                  ------------------------------>   wait full
 *                                                                    TMA: the box, without what is
 *                                                                    behind an edge
 *
 * Rows lie in a buffer as TMA wants them, free of bank conflicts (plan_wgmma.c). Where TMA cannot store, a
 * warp copies its own rows from the buffer to y, lanes along the rows, and nobody waits for anybody. The bias
 * of a tile is loaded before its main loop and put into shared memory behind it.
 */
#include "gen/wgmma.h"

static bool uses_r(const Wgmma *g) { return g->plan->epilogue.uses_r; }
static bool pairs_of_tiles(const Wgmma *g) { return g->plan->y_bytes == 2; }
/* Addresses for the 32 bytes from 0, 32, ... on of a row: one will do where they are not swizzled. */
static int stage_places(const Wgmma *g) { return g->h->chunk_swizzled ? GEN_SWIZZLE_BYTES / 32 : 1; }

/* Column tiles of y as f32 that are made ready together. */
enum { F32_TILES = 4 };

/* Words of packed y of a chunk that a lane holds. */
static int chunk_words(const Wgmma *g) { return (g->h->chunk_cols + 15) / 16 * 4; }

/* A chunk: of wgmma i of this consumer's tile, so many column tiles of 8 from the first on. */
typedef struct Chunk {
    int block, first, tiles;
} Chunk;

static Chunk chunk_at(const Wgmma *g, int chunk)
{
    if (g->plan->config.swap) return (Chunk){0, chunk * 8, 8};
    int tiles = g->h->chunk_cols / 8, first = chunk % g->h->row_chunks * tiles,
        left = g->h->finish_n / 8 - first;
    return (Chunk){chunk / g->h->row_chunks, first, left < tiles ? left : tiles};
}

/* ---- the buffers ---- */

enum { OUT_FULL = 0, WARPS = 4 };

/* A consumer's barriers: of all buffers those that say full, then those that say empty. */
static int out_empty(const Wgmma *g) { return 8 * g->h->out_buffers; }
static int out_barrier_bytes(const Wgmma *g) { return 2 * 8 * g->h->out_buffers; }

void gen_wgmma_store_barriers(Wgmma *g)
{
    for (int i = 0; i < g->h->consumers; i++)
        for (int buffer = 0; buffer < g->h->out_buffers; buffer++) {
            int at_ = g->h->out_barrier_offset + i * out_barrier_bytes(g) + 8 * buffer;
            emit(g->k, MBARRIER_INIT, mem(g->smem, at_ + OUT_FULL), imm(WARPS));
            emit(g->k, MBARRIER_INIT, mem(g->smem, at_ + out_empty(g)), imm(1));
        }
}

/* Where the buffers of consumer g->consumer and their barriers are. */
static void out_place(Wgmma *g)
{
    emit(g->k, MAD_LO_S32, g->store_at, g->consumer, imm(g->h->out_buffers * g->h->chunk_bytes), g->smem);
    emit(g->k, ADD_S32, g->store_at, g->store_at, imm(g->h->store_offset));
    emit(g->k, MAD_LO_S32, g->out_barriers, g->consumer, imm(out_barrier_bytes(g)), g->smem);
    emit(g->k, ADD_S32, g->out_barriers, g->out_barriers, imm(g->h->out_barrier_offset));
}

/* word_scratch[1] = the barriers of the buffer at hand */
static PtxArg out_barrier(Wgmma *g, int which)
{
    PtxArg to = at(g->gemm->word_scratch, 1);
    emit(g->k, MAD_LO_S32, to, g->out.slot, imm(8), g->out_barriers);
    return mem(to, which);
}

static void next_buffer(Wgmma *g) { gen_wgmma_advance(g, g->out, g->h->out_buffers); }

/* ---- what stays the same for all tiles ---- */

void gen_wgmma_store_declare(Wgmma *g)
{
    PtxKernel *k = g->k;
    g->z = ptx_regs(k, PTX_F32, "z", EPILOGUE_WIDTH);
    g->y =
        ptx_regs(k, PTX_F32, "y", pairs_of_tiles(g) || g->plan->config.swap ? EPILOGUE_WIDTH : F32_TILES * 2);
    if (uses_r(g)) g->r = ptx_regs(k, PTX_F32, "r", EPILOGUE_WIDTH);
    g->p_col = ptx_reg(k, PTX_PRED, "p_col");
    g->row = word(g, "row");
    g->col = word(g, "col");
    g->rows_left = word(g, "rows_left");
    g->cols_left = word(g, "cols_left");
    g->bias_base = wide(g, "bias_base");
    g->p_bias = ptx_reg(k, PTX_PRED, "p_bias");
}

void gen_wgmma_bias_base(Wgmma *g)
{
    emit(g->k, LD_PARAM_B64, g->bias_base, mem(g->gemm->bias_param, 0));
    emit(g->k, SETP_NE_B64, g->p_bias, g->bias_base, imm(0));
}

static void declare(Wgmma *g)
{
    PtxKernel *k = g->k;
    gen_wgmma_store_declare(g);
    g->bias = ptx_regs(k, PTX_F32, "bias", g->h->chunk_cols / 4);
    if (pairs_of_tiles(g)) g->packed = ptx_regs(k, PTX_B32, "packed", chunk_words(g));
    if (wgmma_even(g)) g->kept = ptx_regs(k, PTX_B32, "kept", gen_even_kept_words(g));
    g->p_row = ptx_reg(k, PTX_PRED, "p_row");
}

void gen_wgmma_out_setup(Wgmma *g)
{
    g->store_at = word(g, "store_at");
    g->out_barriers = word(g, "out_barriers");
    out_place(g);
    g->out = gen_wgmma_ring(g, "out_slot", "out_phase");
    g->out_at = word(g, "out_at");
    emit(g->k, MOV_B32, g->out.slot, imm(0));
    emit(g->k, MOV_B32, g->out.phase, imm(1)); /* the buffers are empty */
    g->first_lane = ptx_reg(g->k, PTX_PRED, "p_first_lane");
    emit(g->k, SETP_EQ_U32, g->first_lane, g->gemm->lane, imm(0));
}

static int bias_loads(const Wgmma *g) { return (g->h->finish_n + GEN_WG_THREADS - 1) / GEN_WG_THREADS; }

static void bias_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg lane_cols = at(g->gemm->word_scratch, 0);
    g->bias_raw = ptx_regs(k, PTX_F32, "bias_raw", bias_loads(g));
    g->bias_at = word(g, "bias_at");
    g->bias_pair = word(g, "bias_pair");
    gen_wgmma_bias_base(g);
    emit(k, MAD_LO_S32, g->bias_pair, g->consumer, imm(4 * g->h->finish_n), g->smem);
    emit(k, ADD_S32, g->bias_pair, g->bias_pair, imm(g->h->bias_offset));
    emit(k, MAD_LO_S32, g->bias_at, g->thread, imm(4), g->bias_pair);
    emit(k, AND_B32, lane_cols, g->gemm->lane, imm(3));
    emit(k, MAD_LO_S32, g->bias_pair, lane_cols, imm(8), g->bias_pair);
}

/* Of f32 16 lanes write 32 bytes of four rows each at once, of which two swizzled ones stand at the same
 * banks. So lanes of odd rows write those of two column tiles further first. */
static bool odd_rows_cross(const Wgmma *g) { return !pairs_of_tiles(g) && g->h->chunk_swizzled; }

/* Where this lane writes to a buffer. 16-bit y, by stmatrix: lane l gives row l%16 and 16-byte column l/16 of
 * the 16x16 elements that four matrices are; f32: its own two elements. */
static void stage_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg row = at(g->gemm->word_scratch, 0), column = at(g->gemm->word_scratch, 1),
           warp = at(g->gemm->word_scratch, 2), first = at(g->gemm->word_scratch, 3);
    g->stage_at = ptx_regs(k, PTX_B32, "stage_at", stage_places(g));
    emit(k, SHR_U32, warp, g->thread, imm(5));
    if (pairs_of_tiles(g)) {
        emit(k, AND_B32, row, g->gemm->lane, imm(15));
        emit(k, SHR_U32, column, g->gemm->lane, imm(4));
    } else {
        emit(k, SHR_U32, row, g->gemm->lane, imm(2));
        emit(k, AND_B32, column, g->gemm->lane, imm(3));
        emit(k, SHR_U32, column, column, imm(1));
    }
    emit(k, MAD_LO_S32, row, warp, imm(16), row);
    if (g->h->chunk_swizzled) {
        gen_swizzled_offset(g->gemm, GEN_SWIZZLE_BYTES, first, row, column);
    } else {
        emit(k, SHL_B32, first, column, imm(4));
        emit(k, MAD_LO_S32, first, row, imm(g->h->chunk_row_bytes), first);
    }
    emit(k, ADD_S32, first, first, g->store_at);
    if (!pairs_of_tiles(g)) {
        emit(k, AND_B32, column, g->gemm->lane, imm(1));
        emit(k, MAD_LO_S32, first, column, imm(8), first);
    }
    if (odd_rows_cross(g)) {
        g->y_odd = ptx_reg(k, PTX_PRED, "p_y_odd");
        emit(k, SHR_U32, row, g->gemm->lane, imm(2));
        emit(k, AND_B32, row, row, imm(1));
        emit(k, SETP_NE_U32, g->y_odd, row, imm(0));
        emit(k, MUL_LO_S32, row, row, imm(32 * 2));
        emit(k, XOR_B32, first, first, row);
    }
    /* 32 bytes further along the row: below the swizzle's carry an XOR */
    for (int i = 0; i < stage_places(g); i++) emit(k, XOR_B32, at(g->stage_at, i), first, imm(32 * i));
}

/* Where it writes the 32 bytes `place` of its row in the buffer at hand: in word_scratch[0]. */
static PtxArg stage_place(Wgmma *g, int place)
{
    PtxArg to = at(g->gemm->word_scratch, 0);
    emit(g->k, ADD_S32, to, g->out_at, at(g->stage_at, g->h->chunk_swizzled ? place : 0));
    return mem(to, g->h->chunk_swizzled ? 0 : 32 * place);
}

PtxArg gen_wgmma_stride_bytes(Wgmma *g, const char *name, PtxArg param)
{
    PtxArg bytes = wide(g, name);
    emit(g->k, LD_PARAM_B64, bytes, mem(param, 0));
    emit(g->k, MUL_LO_S64, bytes, bytes, imm(g->plan->y_bytes));
    return bytes;
}

/* Lanes along a row of a buffer, rows that a warp copies in a turn, and in all. */
static int row_lanes(const Wgmma *g)
{
    int pieces = GEN_SWIZZLE_BYTES / g->plan->y_piece_bytes;
    return pieces < 32 ? pieces : 32;
}
static int turn_rows(const Wgmma *g) { return 32 / row_lanes(g); }
static int warp_rows(const Wgmma *g) { return g->h->chunk_rows / WARPS; }

void gen_wgmma_piece_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg warp = at(g->gemm->word_scratch, 0);
    g->y_at = wide(g, "y_at");
    g->piece_row = word(g, "piece_row");
    g->piece_col = word(g, "piece_col");
    g->piece_at = word(g, "piece_at");
    g->turn_row = word(g, "turn_row");
    g->y_pitch = gen_wgmma_stride_bytes(g, "y_pitch", g->gemm->ldy_param);
    if (g->plan->config.y_layout == GEN_LAYOUT_ANY)
        g->y_col_step = gen_wgmma_stride_bytes(g, "y_col_step", g->gemm->csy_param);
    emit(k, SHR_U32, warp, g->thread, imm(5));
    emit(k, DIV_U32, g->piece_row, g->gemm->lane, imm(row_lanes(g)));
    emit(k, MAD_LO_S32, g->piece_row, warp, imm(warp_rows(g)), g->piece_row);
    emit(k, REM_U32, g->piece_col, g->gemm->lane, imm(row_lanes(g)));
    emit(k, MUL_LO_S32, g->piece_col, g->piece_col, imm(g->plan->y_piece_elems));
}

void gen_wgmma_store_setup(Wgmma *g)
{
    ptx_section(g->k, "the way of y: bias, buffers");
    declare(g);
    bias_setup(g);
    gen_wgmma_out_setup(g);
    stage_setup(g);
    if (!g->h->tma_store) gen_wgmma_piece_setup(g);
    if (uses_r(g)) g->r_pitch = gen_wgmma_stride_bytes(g, "r_pitch", g->gemm->ldr_param);
    if (uses_r(g)) g->r_at = wide(g, "r_at");
    gen_epilogue_begin(&g->epilogue, g->gemm);
}

/* ---- a tile begins ---- */

/* row, col = origin of this consumer's part of the tile; of that what this block finishes */
static void consumer_origin(Wgmma *g, PtxArg row, PtxArg col)
{
    PtxKernel *k = g->k;
    int parts_n = g->plan->config.warps_n;
    if (g->plan->config.pingpong) {
        emit(k, MOV_B32, row, g->row0);
        emit(k, MOV_B32, col, g->col0);
        return;
    }
    emit(k, DIV_U32, row, g->consumer, imm(parts_n));
    emit(k, MAD_LO_S32, row, row, imm(g->h->wg_m), g->row0);
    emit(k, REM_U32, col, g->consumer, imm(parts_n));
    emit(k, MAD_LO_S32, col, col, imm(g->h->wg_n), g->col0);
    if (g->h->finishers > 1) emit(k, MAD_LO_S32, col, g->rank, imm(g->h->finish_n), col);
}

static void load_bias(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg col = at(g->gemm->word_scratch, 0), left = at(g->gemm->word_scratch, 1),
           from = g->gemm->wide_scratch;
    emit(k, ADD_S32, col, g->col, g->thread);
    emit(k, MAD_WIDE_U32, from, col, imm(g->plan->bias_bytes), g->bias_base);
    emit(k, SUB_S32, left, g->gemm->n, col);
    for (int i = 0; i < bias_loads(g); i++) {
        emit(k, SETP_GT_AND_S32, g->p_col, left, imm(GEN_WG_THREADS * i), g->p_bias);
        gen_load_element(g->gemm, g->plan->config.bias, at(g->bias_raw, i),
                         mem(from, GEN_WG_THREADS * i * g->plan->bias_bytes), g->p_col);
    }
}

void gen_wgmma_store_begin(Wgmma *g)
{
    consumer_origin(g, g->row, g->col);
    load_bias(g);
}

/* Between two meetings: all have read the bias of the tile before, and none reads this one's too early. */
void gen_wgmma_store_bias(Wgmma *g)
{
    PtxKernel *k = g->k;
    gen_wgmma_meet(g);
    for (int i = 0; i < bias_loads(g); i++) {
        bool all = GEN_WG_THREADS * (i + 1) <= g->h->finish_n;
        PtxArg to = mem(g->bias_at, 4 * GEN_WG_THREADS * i);
        if (!all) emit(k, SETP_LT_U32, g->p, g->thread, imm(g->h->finish_n - GEN_WG_THREADS * i));
        if (all) emit(k, ST_SHARED_F32, to, at(g->bias_raw, i));
        else emit_if(k, g->p, ST_SHARED_F32, to, at(g->bias_raw, i));
    }
    gen_wgmma_meet(g);
}

/* ---- a chunk: to shared memory ---- */

/* Four elements of rows half * 8 + l/4 of the wgmma i: columns of tiles j and j + 1, or of one and then two.
 */
static void load_residual(Wgmma *g, int i, int half, int j, int n)
{
    PtxKernel *k = g->k;
    PtxArg row = at(g->gemm->word_scratch, 2), col = at(g->gemm->word_scratch, 3),
           from = g->gemm->wide_scratch;
    emit(k, SHR_U32, row, g->thread, imm(5));
    emit(k, SHL_B32, row, row, imm(4));
    emit(k, ADD_S32, row, row, g->row);
    emit(k, SHR_U32, col, g->gemm->lane, imm(2));
    emit(k, ADD_S32, row, row, col);
    emit(k, ADD_S32, row, row, imm(64 * i + 8 * half));
    emit(k, AND_B32, col, g->gemm->lane, imm(3));
    emit(k, MAD_LO_S32, col, col, imm(2), g->col);
    emit(k, LD_PARAM_B64, g->r_at, mem(g->gemm->r_param, 0));
    emit(k, CVT_U64_U32, from, row);
    emit(k, MAD_LO_S64, g->r_at, from, g->r_pitch, g->r_at);
    emit(k, MAD_WIDE_U32, g->r_at, col, imm(g->plan->y_bytes), g->r_at);
    emit(k, SUB_S32, g->rows_left, g->gemm->m, row);
    emit(k, SUB_S32, g->cols_left, g->gemm->n, col);
    emit(k, SETP_GT_S32, g->p_row, g->rows_left, imm(0));
    for (int e = 0; e < n; e++) {
        int at_col = 8 * (j + e / 2) + e % 2;
        emit(k, SETP_GT_AND_S32, g->p_col, g->cols_left, imm(at_col), g->p_row);
        gen_load_element(g->gemm, g->plan->config.y, at(g->r, e), mem(g->r_at, at_col * g->plan->y_bytes),
                         g->p_col);
    }
}

/* y of tiles j .. j + n/2 - 1 in row half `half` of wgmma i. */
static void finish(Wgmma *g, int i, int half, int j, int n, PtxArg y)
{
    EpilogueElements x = {.n = n, .rows = 1, .y = y, .z = g->z, .r = g->r};
    if (uses_r(g)) load_residual(g, i, half, j, n);
    for (int e = 0; e < n; e++) {
        x.acc[e] = at(g->acc, i * g->h->acc_regs + (j + e / 2) * 4 + 2 * half + e % 2);
        x.bias[e] = at(g->bias, 2 * ((j + e / 2) % (g->h->chunk_cols / 8)) + e % 2);
        emit(g->k, ADD_F32, at(g->z, e), x.acc[e], x.bias[e]);
    }
    gen_epilogue(&g->epilogue, &x);
}

/* Tiles j and, if `both`, j + 1, of 16-bit y, packed as stmatrix takes them: four words, or two. */
static void pack_pair(Wgmma *g, int i, int j, bool both, PtxArg packed)
{
    for (int half = 0; half < 2; half++) {
        finish(g, i, half, j, both ? 4 : 2, g->y);
        for (int t = 0; t < 1 + both; t++)
            gen_round_pair(g->gemm, g->plan->config.y, at(packed, 2 * t + half), at(g->y, 2 * t),
                           at(g->y, 2 * t + 1));
    }
}

static void load_chunk_bias(Wgmma *g, Chunk c)
{
    for (int j = 0; j < c.tiles; j++)
        emit(g->k, LD_SHARED_V2_F32, span(g->bias, 2 * j, 2), mem(g->bias_pair, 4 * 8 * (c.first + j)));
}

void gen_wgmma_out_wait(Wgmma *g)
{
    if (g->h->tma_store) gen_wgmma_wait(g, "wait_out", out_barrier(g, out_empty(g)), g->out.phase);
    emit(g->k, MUL_LO_S32, g->out_at, g->out.slot, imm(g->h->chunk_bytes));
}

/* Column tiles behind a chunk. */
static int tiles_behind(const Wgmma *g, Chunk c) { return g->h->finish_n / 8 - c.first - c.tiles; }

/* Of tiles that may be narrower (even_wgmma.c). */
static void move_words(Wgmma *g, Chunk c)
{
    if (tiles_behind(g, c) == c.tiles) gen_even_keep(g, c.tiles);
    if (tiles_behind(g, c) == 0) gen_even_move(g, c.tiles);
}

static bool few_registers(const Wgmma *g)
{
    enum { MANY = 176 };
    return g->plan->config.pingpong && g->h->wgmmas * g->h->acc_regs >= MANY;
}

static void pack_pairs(Wgmma *g, Chunk c, int from, int to)
{
    for (int j = from; j < to; j += 2)
        pack_pair(g, c.block, c.first + j, j + 1 < c.tiles, span(g->packed, 2 * j, 4));
}

static void write_pairs(Wgmma *g, Chunk c, int from, int to)
{
    for (int j = from; j < to; j += 2) {
        PtxArg place = stage_place(g, j / 2);
        if (j + 1 < c.tiles) emit(g->k, STMATRIX_X4, place, span(g->packed, 2 * j, 4));
        else emit(g->k, STMATRIX_X2, place, span(g->packed, 2 * j, 2));
    }
}

/* All is made ready in registers before the buffer is waited for; or half of it, where accumulators leave
 * few. */
static void stage_pairs(Wgmma *g, Chunk c)
{
    int ready = few_registers(g) ? c.tiles / 4 * 2 : c.tiles;
    pack_pairs(g, c, 0, ready);
    if (wgmma_even(g)) move_words(g, c);
    gen_wgmma_out_wait(g);
    write_pairs(g, c, 0, ready);
    pack_pairs(g, c, ready, c.tiles);
    write_pairs(g, c, ready, c.tiles);
}

/* y of `tiles` column tiles in the order in which this lane writes them. */
static void cross(Wgmma *g, int tiles)
{
    PtxArg first = at(g->z, 0);
    for (int e = 0; e < 2 * (tiles - 2); e++) {
        PtxArg near = at(g->y, e), far = at(g->y, 4 + e);
        emit(g->k, SELP_F32, first, far, near, g->y_odd);
        emit(g->k, SELP_F32, far, near, far, g->y_odd);
        emit(g->k, MOV_F32, near, first);
    }
}

/* Where tile j goes that no other one crosses. */
static PtxArg lone_place(Wgmma *g, int j)
{
    PtxArg to = at(g->gemm->word_scratch, 0);
    emit(g->k, SELP_B32, to, at(g->stage_at, j + 2), at(g->stage_at, j), g->y_odd);
    emit(g->k, ADD_S32, to, to, g->out_at);
    return mem(to, 0);
}

/* `tiles` column tiles from j on of a chunk, in row half `half`. */
static void stage_f32_tiles(Wgmma *g, Chunk c, int half, int j, int tiles)
{
    bool crosses = odd_rows_cross(g);
    for (int t = 0; t < tiles; t += 2)
        finish(g, c.block, half, c.first + j + t, t + 1 < tiles ? 4 : 2, span(g->y, 2 * t, EPILOGUE_WIDTH));
    if (crosses) cross(g, tiles);
    for (int t = 0; t < tiles; t++) {
        bool lone = crosses && t < 2 && t + 2 >= tiles;
        PtxArg to = lone ? lone_place(g, j + t) : stage_place(g, j + t);
        emit(g->k, ST_SHARED_V2_F32, mem(to, to.imm + half * 8 * g->h->chunk_row_bytes),
             span(g->y, 2 * t, 2));
    }
}

static void stage_f32(Wgmma *g, Chunk c)
{
    gen_wgmma_out_wait(g);
    for (int j = 0; j < c.tiles; j += F32_TILES)
        for (int half = 0; half < 2; half++)
            stage_f32_tiles(g, c, half, j, c.tiles - j < F32_TILES ? c.tiles - j : F32_TILES);
}

/* ---- a chunk: to y ---- */

/* Each warp says that its rows are there, for the proxy that TMA reads through. */
void gen_wgmma_out_hand_over(Wgmma *g)
{
    emit(g->k, FENCE_PROXY_ASYNC);
    emit(g->k, BAR_WARP_SYNC);
    emit_if(g->k, g->first_lane, MBARRIER_ARRIVE, out_barrier(g, OUT_FULL));
    next_buffer(g);
}

static void store_box(Wgmma *g, Chunk c, PtxArg corner)
{
    PtxKernel *k = g->k;
    PtxArg from = g->out_at;
    gen_wgmma_wait(g, "wait_y", out_barrier(g, OUT_FULL), g->out.phase);
    emit(k, ADD_S32, at(corner, 0), g->col, imm(8 * c.first));
    if (wgmma_even(g) && tiles_behind(g, c) == 0) emit(k, SUB_S32, at(corner, 0), at(corner, 0), g->lacks);
    emit(k, ADD_S32, at(corner, 1), g->row, imm(64 * c.block));
    emit(k, MAD_LO_S32, from, g->out.slot, imm(g->h->chunk_bytes), g->store_at);
    if (g->plan->config.last) emit(k, TMA_STORE_HINT, g->y_map, corner, mem(from, 0), g->evict_first);
    else emit(k, TMA_STORE, g->y_map, corner, mem(from, 0));
    emit(k, BULK_COMMIT);
    emit(k, BULK_WAIT_READ, imm(0));
    emit(k, MBARRIER_ARRIVE, out_barrier(g, out_empty(g)));
    next_buffer(g);
}

static void store_boxes(Wgmma *g, PtxArg corner)
{
    gen_wgmma_tile_place(g);
    consumer_origin(g, g->row, g->col);
    for (int i = 0; i < g->h->chunks; i++) store_box(g, chunk_at(g, i), corner);
}

static void store_tiles(Wgmma *g, PtxArg corner)
{
    PtxKernel *k = g->k;
    PtxArg next = ptx_label(k, "store_tile"), done = ptx_label(k, "all_stored");
    emit(k, LABEL, next);
    gen_wgmma_leave_without_tile(g, done);
    store_boxes(g, corner);
    gen_wgmma_next_tile(g);
    emit(k, BRA, next);
    emit(k, LABEL, done);
}

void gen_wgmma_store_thread(Wgmma *g, PtxArg end)
{
    PtxKernel *k = g->k;
    PtxArg corner = ptx_regs(k, PTX_B32, "corner", 2);
    ptx_section(k, "a thread that stores, for the consumer of its warp's number");
    emit(k, SHR_U32, g->consumer, g->gemm->tid, imm(5));
    emit(k, SUB_S32, g->consumer, g->consumer, imm(1));
    emit(k, SETP_GE_U32, g->p, g->consumer, imm(g->h->consumers));
    emit_if(k, g->p, BRA, end);
    out_place(g);
    if (g->plan->config.last) emit(k, CREATE_POLICY, g->evict_first);
    emit(k, GRID_WAIT);
    emit(k, MOV_B32, g->out.slot, imm(0));
    emit(k, MOV_B32, g->out.phase, imm(0));
    gen_wgmma_first_tile(g);
    if (wgmma_shares_k(g)) store_boxes(g, corner);
    else store_tiles(g, corner);
    emit(k, BULK_WAIT, imm(0));
}

/* One piece of y, or the elements of it that lie before the last column. */
static void store_piece(Wgmma *g, PtxArg to, PtxArg from, PtxArg left)
{
    PtxKernel *k = g->k;
    int elems = g->plan->y_piece_elems, bytes = g->plan->y_piece_bytes;
    PtxArg piece = bytes == 2 ? g->gemm->elem : span(g->gemm->word_scratch, 0, bytes / 4);
    emit(k, SETP_GT_AND_S32, g->p_col, left, imm(elems - 1), g->p_row);
    gen_load_piece(g->gemm, g->p_col, piece, from);
    gen_store_piece(g->gemm, g->p_col, to, piece);
    if (elems == 1) return;
    PtxArg whole = gen_wgmma_label(g, "whole");
    emit(k, SETP_GE_S32, g->p, left, imm(elems));
    emit_if(k, g->p, BRA, whole);
    gen_copy_cut_piece(g->gemm, left, 0, g->p_row, g->p_col, to, from);
    emit(k, LABEL, whole);
}

/* This lane's first piece of the chunk: its place in y, and how many rows and columns there are from there
 * on. */
static void first_piece(Wgmma *g, Chunk c)
{
    PtxKernel *k = g->k;
    PtxArg row = at(g->gemm->word_scratch, 0), col = at(g->gemm->word_scratch, 1),
           factor = g->gemm->wide_scratch;
    emit(k, ADD_S32, row, g->piece_row, g->row);
    emit(k, ADD_S32, row, row, imm(64 * c.block));
    emit(k, ADD_S32, col, g->piece_col, g->col);
    emit(k, ADD_S32, col, col, imm(8 * c.first));
    emit(k, LD_PARAM_B64, g->y_at, mem(g->gemm->y_param, 0));
    emit(k, CVT_U64_U32, factor, row);
    emit(k, MAD_LO_S64, g->y_at, factor, g->y_pitch, g->y_at);
    emit(k, CVT_U64_U32, factor, col);
    if (g->y_col_step.kind == PTX_ARG_NONE)
        emit(k, MAD_LO_S64, g->y_at, factor, imm(g->plan->y_bytes), g->y_at);
    else emit(k, MAD_LO_S64, g->y_at, factor, g->y_col_step, g->y_at);
    emit(k, SUB_S32, g->rows_left, g->gemm->m, row);
    emit(k, SUB_S32, g->cols_left, g->gemm->n, col);
    emit(k, SUB_S32, col, imm(c.tiles * 8), g->piece_col); /* of the chunk */
    emit(k, MIN_S32, g->cols_left, g->cols_left, col);
}

/* piece_at = its place in the buffer at hand, in the row of this turn. */
static void piece_source(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg row = at(g->gemm->word_scratch, 0), byte = at(g->gemm->word_scratch, 1),
           chunk = at(g->gemm->word_scratch, 2);
    emit(k, ADD_S32, row, g->piece_row, g->turn_row);
    emit(k, MUL_LO_S32, byte, g->piece_col, imm(g->plan->y_bytes));
    emit(k, SHR_U32, chunk, byte, imm(4));
    gen_swizzled_offset(g->gemm, GEN_SWIZZLE_BYTES, g->piece_at, row, chunk);
    emit(k, AND_B32, byte, byte, imm(15));
    emit(k, ADD_S32, byte, byte, g->store_at);
    emit(k, ADD_S32, byte, byte, g->out_at);
    emit(k, ADD_S32, g->piece_at, g->piece_at, byte);
}

/* Of the row of this turn, the part that 32 lanes cover, or the one behind it: half a row further, in the
 * buffer an XOR. */
static void store_part(Wgmma *g, int part)
{
    PtxKernel *k = g->k;
    int cols = part * 32 * g->plan->y_piece_elems;
    PtxArg left = part ? at(g->gemm->word_scratch, 0) : g->cols_left, from = g->piece_at,
           to = mem(g->y_at, cols * g->plan->y_bytes);
    if (part) emit(k, ADD_S32, left, g->cols_left, imm(-cols));
    if (part) emit(k, XOR_B32, from, from, imm(GEN_SWIZZLE_BYTES / 2));
    if (part && g->y_col_step.kind != PTX_ARG_NONE) {
        emit(k, MAD_LO_S64, g->gemm->wide_scratch, g->y_col_step, imm(cols), g->y_at);
        to = mem(g->gemm->wide_scratch, 0);
    }
    store_piece(g, to, mem(from, 0), left);
}

static void store_turn(Wgmma *g)
{
    PtxKernel *k = g->k;
    int parts = GEN_SWIZZLE_BYTES / g->plan->y_piece_bytes / row_lanes(g);
    emit(k, SETP_GT_S32, g->p_row, g->rows_left, imm(0));
    piece_source(g);
    for (int part = 0; part < parts; part++) store_part(g, part);
    emit(k, MAD_LO_S64, g->y_at, g->y_pitch, imm(turn_rows(g)), g->y_at);
    emit(k, SUB_S32, g->rows_left, g->rows_left, imm(turn_rows(g)));
    emit(k, ADD_S32, g->turn_row, g->turn_row, imm(turn_rows(g)));
}

void gen_wgmma_store_rows(Wgmma *g, int chunk)
{
    PtxKernel *k = g->k;
    PtxArg turn = gen_wgmma_label(g, "store_rows");
    int turns = warp_rows(g) / turn_rows(g), at_once = 8; /* which wait for shared memory together */
    while (turns % at_once) at_once--;
    first_piece(g, chunk_at(g, chunk));
    emit(k, MOV_B32, g->turn_row, imm(0));
    emit(k, LABEL, turn);
    emit(k, PRAGMA_NOUNROLL);
    for (int i = 0; i < at_once; i++) store_turn(g);
    emit(k, SETP_LT_U32, g->p, g->turn_row, imm(warp_rows(g)));
    emit_if(k, g->p, BRA, turn);
}

static void store_chunk(Wgmma *g, int chunk)
{
    Chunk c = chunk_at(g, chunk);
    ptx_comment(g->k, "rows from %d, columns from %d on", 64 * c.block, 8 * c.first);
    load_chunk_bias(g, c);
    if (pairs_of_tiles(g)) stage_pairs(g, c);
    else stage_f32(g, c);
    if (g->h->tma_store) {
        gen_wgmma_out_hand_over(g);
        return;
    }
    emit(g->k, BAR_WARP_SYNC); /* each warp has written the rows that it copies */
    gen_wgmma_store_rows(g, chunk);
    next_buffer(g);
}

void gen_wgmma_store_chunks(Wgmma *g, int first, int last)
{
    for (int i = first; i < last; i++) store_chunk(g, i);
}
