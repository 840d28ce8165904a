/* gemm_wgmma.c: the back end for wgmma and TMA (sm_90a), persistent and warp-specialised. A block is one
 * warpgroup that copies, of which one thread is the producer, and one to three consumer warpgroups, which
 * multiply:
 *
 *     producer                       ring of stages                  consumer
 *     for each tile, each k-block:                                   for each tile, each k-block:
 *       wait empty[slot]     <------- arrive, one a consumer -------   (wgmma has read the slot)
 *       expect_tx full[slot]
 *       TMA x, W into slot   ------- bytes complete full[slot] ---->   wait full[slot]
 *                                                                      wgmma, asynchronous
 *                                                                    epilogue; y to a thread that
 *                                                                    stores it (store_wgmma.c)
 *
 * full[] counts one arrival and the bytes of a k-block; empty[] counts one arrival a consumer, of each block
 * that the slot's data went to: in a cluster, x or W is loaded in shares and sent to both blocks, so that
 * both must be done with a slot. Tiles are dealt out in a fixed order; the producer runs ahead into the next
 * tile while the consumers store this one.
 *
 * Cooperating consumers have parts of one tile. So that the tensor cores do not wait for the epilogue, with
 * skew_blocks = b a consumer's two halves of 64 rows, A and B, are out of step where one tile meets the next:
 *
 *     tensor cores   ... A and B    A: last b   B: last b     A: first b    B: first b   A and B ...
 *     this thread                               store A       store B
 *
 * Then the k-blocks of a tile's end and of the next one's beginning are held in the ring twice as long, and
 * no more of them are held than there are stages. Behind its last tile the producer loads b k-blocks of
 * zeros.
 *
 * In pingpong each consumer has whole tiles, the two take turns in the main loop, and one stores while the
 * other multiplies.
 *
 * x of another type than W's is rounded on its way from a slot: into registers, from which wgmma multiplies
 * (convert_wgmma.c), or, with swapped operands, into shared memory (round_wgmma.c).
 *
 * With swapped operands rows of W stand where rows of x do otherwise, so that tiles of few rows of x waste
 * nothing; y is stored by its own way (store_swapped.c).
 *
 * The blocks of a cluster may share a tile, each with a range of its k-blocks: such a cluster has this one
 * tile and ends. At the tile's end they exchange sums (exchange_wgmma.c), and each finishes a part of it.
 */
#include "gen/wgmma.h"

#include <stdio.h>

PtxArg gen_wgmma_label(Wgmma *g, const char *name)
{
    char text[48];
    snprintf(text, sizeof text, "%s_%d", name, g->n_labels++);
    return ptx_label(g->k, text);
}

/* ---- barriers ---- */

void gen_wgmma_wait(Wgmma *g, const char *name, PtxArg barrier, PtxArg parity)
{
    PtxArg again = gen_wgmma_label(g, name);
    emit(g->k, LABEL, again);
    emit(g->k, MBARRIER_TRY_WAIT, g->p, barrier, parity);
    emit_unless(g->k, g->p, BRA, again);
}

/* One of the named barriers base, base + 1, ... by the consumer: their numbers are constants. */
void gen_wgmma_named_barrier(Wgmma *g, PtxArg which, int base, int count, int threads, bool arrive)
{
    PtxArg done = gen_wgmma_label(g, "met");
    for (int i = 0; i < count; i++) {
        PtxArg next = gen_wgmma_label(g, "other");
        bool last = i == count - 1;
        if (!last) emit(g->k, SETP_NE_U32, g->p, which, imm(i));
        if (!last) emit_if(g->k, g->p, BRA, next);
        if (arrive) emit(g->k, BAR_ARRIVE, imm(base + i), imm(threads));
        else emit(g->k, BAR_SYNC_SOME, imm(base + i), imm(threads));
        if (!last) emit(g->k, BRA, done);
        if (!last) emit(g->k, LABEL, next);
    }
    emit(g->k, LABEL, done);
}

void gen_wgmma_meet(Wgmma *g)
{
    gen_wgmma_named_barrier(g, g->consumer, BAR_CONSUMER, g->h->consumers, GEN_WG_THREADS, false);
}

void gen_wgmma_cluster_sync(Wgmma *g)
{
    emit(g->k, CLUSTER_ARRIVE);
    emit(g->k, CLUSTER_WAIT);
}

static void init_barriers(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg ready = ptx_label(k, "barriers_ready");
    ptx_section(k, "one thread sets up the barriers; nobody goes on before");
    emit(k, SETP_NE_U32, g->p, g->gemm->tid, imm(0));
    emit_if(k, g->p, BRA, ready);
    for (int i = 0; i < wgmma_stages(g); i++) {
        emit(k, MBARRIER_INIT, mem(g->smem, wgmma_full_offset(g) + 8 * i), imm(1));
        emit(k, MBARRIER_INIT, mem(g->smem, wgmma_empty_offset(g) + 8 * i),
             imm(g->h->releases * g->h->release_warps * (g->plan->config.pingpong ? 1 : g->h->consumers)));
    }
    if (g->h->tma_store) gen_wgmma_store_barriers(g);
    emit(k, FENCE_MBARRIER_INIT);
    emit(k, PREFETCH_MAP, mem(g->x_map, 0));
    emit(k, PREFETCH_MAP, mem(g->w_map, 0));
    if (g->h->tma_store) emit(k, PREFETCH_MAP, mem(g->y_map, 0));
    emit(k, LABEL, ready);
    if (!wgmma_shares_loads(g)) emit(k, BAR_SYNC, imm(BAR_ALL));
    if ((wgmma_shares_loads(g) || wgmma_shares_k(g)) && !g->h->exchange_in_ring)
        emit(k, CLUSTER_ARRIVE); /* this block runs, and has barriers: waited for before their use */
}

/* Where loads are shared, the barriers of all blocks are there. */
void gen_wgmma_wait_for_cluster(Wgmma *g)
{
    if (wgmma_shares_loads(g)) emit(g->k, CLUSTER_WAIT);
}

/* ---- the ring ---- */

GenRing gen_wgmma_ring(Wgmma *g, const char *slot, const char *phase)
{
    return (GenRing){word(g, slot), word(g, phase)};
}

void gen_wgmma_advance(Wgmma *g, GenRing r, int slots)
{
    PtxKernel *k = g->k;
    PtxArg flip = at(g->gemm->word_scratch, 0);
    emit(k, ADD_S32, r.slot, r.slot, imm(1));
    emit(k, SETP_EQ_U32, g->p, r.slot, imm(slots));
    emit(k, SELP_B32, r.slot, imm(0), r.slot, g->p);
    emit(k, SELP_B32, flip, imm(1), imm(0), g->p);
    emit(k, XOR_B32, r.phase, r.phase, flip);
}

/* word_scratch[1] = smem + 8 slot */
PtxArg gen_wgmma_slot_barrier(Wgmma *g, GenRing r, int offset)
{
    PtxArg to = at(g->gemm->word_scratch, 1);
    emit(g->k, MAD_LO_S32, to, r.slot, imm(8), g->smem);
    return mem(to, offset);
}

/* ---- tiles ---- */

/* Of a tile that the cluster's blocks share, each has as many k-blocks as the others, the first ones one
 * more; those that would have none have one from behind the end of k, of zeros. */
static void share_k_blocks(Wgmma *g)
{
    PtxKernel *k = g->k;
    int k_sharers = g->plan->config.cluster_k;
    PtxArg share = at(g->gemm->word_scratch, 0), extra = at(g->gemm->word_scratch, 1),
           more = at(g->gemm->word_scratch, 2);
    g->first_k_block = word(g, "first_k_block");
    emit(k, DIV_U32, share, g->k_blocks, imm(k_sharers));
    emit(k, REM_U32, extra, g->k_blocks, imm(k_sharers));
    emit(k, MIN_U32, g->first_k_block, g->rank, extra);
    emit(k, MAD_LO_S32, g->first_k_block, share, g->rank, g->first_k_block);
    emit(k, SETP_LT_U32, g->p, g->rank, extra);
    emit(k, SELP_B32, more, imm(1), imm(0), g->p);
    emit(k, ADD_S32, g->k_blocks, share, more);
    emit(k, MAX_S32, g->k_blocks, g->k_blocks, imm(1));
}

static void tile_walk(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    int tile_m = c->tile_m * c->cluster_m, tile_n = c->tile_n * c->cluster_n;
    ptx_section(k, "tiles, of a cluster each, and k-blocks");
    g->k_blocks = word(g, "k_blocks");
    g->tiles = word(g, "tiles");
    g->tiles_m = word(g, "tiles_m");
    g->tiles_n = word(g, "tiles_n");
    g->group_tiles = word(g, "group_tiles");
    emit(k, ADD_S32, g->k_blocks, g->gemm->depth, imm(c->tile_k - 1));
    emit(k, DIV_U32, g->k_blocks, g->k_blocks, imm(c->tile_k));
    /* behind the end of k come zeros: without k one block of them, and enough for both ends of a tile */
    emit(k, MAX_S32, g->k_blocks, g->k_blocks, imm(wgmma_skew(g) ? 2 * wgmma_skew(g) : 1));
    if (wgmma_shares_k(g)) share_k_blocks(g);
    emit(k, ADD_S32, g->tiles_m, g->gemm->m, imm(tile_m - 1));
    emit(k, DIV_U32, g->tiles_m, g->tiles_m, imm(tile_m));
    emit(k, ADD_S32, g->tiles_n, g->gemm->n, imm(tile_n - 1));
    emit(k, DIV_U32, g->tiles_n, g->tiles_n, imm(tile_n));
    emit(k, MUL_LO_S32, g->group_tiles, g->tiles_n, imm(c->group_m));
    emit(k, MUL_LO_S32, g->tiles, g->tiles_n, g->tiles_m);
    if (!wgmma_shares_k(g))
        emit(k, MOV_SPECIAL, g->tile_step = word(g, "tile_step"),
             special(wgmma_clusters(g) ? PTX_NCLUSTERID_X : PTX_NCTAID_X));
    if (wgmma_even(g)) gen_even_walk(g);
    g->tile = word(g, "tile");
    g->row0 = word(g, "row0");
    g->col0 = word(g, "col0");
}

void gen_wgmma_cluster_tile(Wgmma *g)
{
    emit(g->k, MOV_SPECIAL, g->tile, special(wgmma_clusters(g) ? PTX_CLUSTERID_X : PTX_CTAID_X));
}

/* In pingpong consumers take tiles by turns. */
void gen_wgmma_first_tile(Wgmma *g)
{
    gen_wgmma_cluster_tile(g);
    if (g->plan->config.pingpong) emit(g->k, MAD_LO_S32, g->tile, g->consumer, g->tile_step, g->tile);
}

void gen_wgmma_next_tile(Wgmma *g)
{
    emit(g->k, ADD_S32, g->tile, g->tile, g->tile_step);
    if (g->plan->config.pingpong) emit(g->k, ADD_S32, g->tile, g->tile, g->tile_step);
}

TilePart gen_wgmma_part(const Wgmma *g)
{
    TilePart all = {g->tile, g->tiles_m, g->tiles_n, g->group_tiles};
    return wgmma_even(g) ? g->part : all;
}

/* row0, col0 of the tile: down the columns of a group of group_m rows of tiles, then the next column; every
 * other group from right to left. Tiles that are multiplied at one time, or one after the other, share rows
 * of x or W in L2.
 */
void gen_wgmma_tile_place(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    PtxArg group = at(g->gemm->word_scratch, 0), height = at(g->gemm->word_scratch, 1),
           rest = at(g->gemm->word_scratch, 2), odd = at(g->gemm->word_scratch, 3);
    TilePart part = gen_wgmma_part(g);
    if (wgmma_even(g)) gen_even_part(g);
    emit(k, DIV_U32, group, part.tile, part.group_tiles);
    emit(k, MUL_LO_S32, rest, group, part.group_tiles);
    emit(k, SUB_S32, rest, part.tile, rest);
    if (wgmma_even(g)) emit(k, ADD_S32, group, group, g->part_group);
    emit(k, AND_B32, odd, group, imm(1));
    emit(k, MUL_LO_S32, group, group, imm(c->group_m)); /* its first row of tiles */
    emit(k, SUB_S32, height, part.end, group);
    emit(k, MIN_U32, height, height, imm(c->group_m));
    emit(k, DIV_U32, g->col0, rest, height);
    emit(k, MUL_LO_S32, height, g->col0, height);
    emit(k, SUB_S32, rest, rest, height);
    emit(k, ADD_S32, g->row0, group, rest);
    emit(k, SETP_NE_U32, g->p, odd, imm(0));
    emit(k, SUB_S32, height, part.columns, g->col0);
    emit(k, SUB_S32, height, height, imm(1));
    emit(k, SELP_B32, g->col0, height, g->col0, g->p);
    if (c->cluster_m > 1) emit(k, MAD_LO_S32, g->row0, g->row0, imm(c->cluster_m), g->rank_m);
    if (c->cluster_n > 1) emit(k, MAD_LO_S32, g->col0, g->col0, imm(c->cluster_n), g->rank_n);
    emit(k, MUL_LO_S32, g->row0, g->row0, imm(c->tile_m));
    if (wgmma_even(g)) gen_even_columns(g);
    else emit(k, MUL_LO_S32, g->col0, g->col0, imm(c->tile_n));
}

void gen_wgmma_leave_without_tile(Wgmma *g, PtxArg to)
{
    emit(g->k, SETP_GE_U32, g->p, g->tile, g->tiles);
    emit_if(g->k, g->p, BRA, to);
}

/* ---- the kernel ---- */

static PtxArg map_address(Wgmma *g, const char *name, PtxArg param)
{
    PtxArg address = wide(g, name);
    emit(g->k, PARAM_ADDRESS, address, param);
    emit(g->k, CVTA_PARAM, address, address);
    return address;
}

/* This block in its cluster, which has rows of cluster_n blocks. */
static void cluster_place(Wgmma *g)
{
    const GenConfig *c = &g->plan->config;
    g->rank = g->rank_m = g->rank_n = word(g, "cluster_rank");
    emit(g->k, MOV_SPECIAL, g->rank, special(PTX_CLUSTER_RANK));
    if (c->cluster_m == 1 || c->cluster_n == 1) return;
    emit(g->k, DIV_U32, g->rank_m = word(g, "rank_m"), g->rank, imm(c->cluster_n));
    emit(g->k, REM_U32, g->rank_n = word(g, "rank_n"), g->rank, imm(c->cluster_n));
}

static void place(Wgmma *g)
{
    PtxKernel *k = g->k;
    ptx_section(k, "this thread, its warpgroup, its block in the cluster");
    g->gemm->tid = word(g, "thread");
    g->gemm->lane = word(g, "lane");
    g->warpgroup = word(g, "warpgroup");
    g->smem = word(g, "smem_base");
    g->p = ptx_reg(k, PTX_PRED, "p");
    emit(k, MOV_SPECIAL, g->gemm->tid, special(PTX_TID_X));
    emit(k, AND_B32, g->gemm->lane, g->gemm->tid, imm(31));
    emit(k, SHR_U32, g->warpgroup, g->gemm->tid, imm(7));
    emit(k, SHFL_IDX, g->warpgroup, g->warpgroup, imm(0)); /* the same in all lanes, as ptxas now knows */
    if (wgmma_clusters(g)) cluster_place(g);
    emit(k, MOV_SHARED, g->smem, shared_array());
    g->x_map = map_address(g, "x_map_at", g->gemm->x_map_param);
    g->w_map = map_address(g, "w_map_at", g->gemm->w_map_param);
    if (g->h->tma_store) g->y_map = map_address(g, "y_map_at", g->gemm->y_map_param);
}

void gen_gemm_wgmma(Gemm *gemm)
{
    Wgmma g = {.gemm = gemm, .k = gemm->k, .plan = gemm->p, .h = &gemm->p->g};
    const GenConfig *c = &gemm->p->config;
    PtxArg producer_label = ptx_label(g.k, "producer"), end = ptx_label(g.k, "end");
    g.leave = ptx_label(g.k, "leave");
    if (g.h->cluster > 1) g.k->cluster = g.h->cluster;
    ptx_comment(g.k, "block tile %dx%dx%d, %d consumers of %dx%d, %d stages of %d B", c->tile_m, c->tile_n,
                c->tile_k, g.h->consumers, g.h->wg_m, g.h->wg_n, c->stages, g.plan->stage_bytes);
    place(&g);
    init_barriers(&g);
    ptx_section(g.k, "the next kernel may start; the one before may still run, until griddepcontrol.wait");
    emit(g.k, GRID_LAUNCH);
    gen_problem_size(gemm);
    tile_walk(&g);
    g.ring = gen_wgmma_ring(&g, "slot", "phase");
    emit(g.k, SETP_EQ_U32, g.p, g.warpgroup, imm(0));
    emit_if(g.k, g.p, BRA, producer_label);
    gen_wgmma_consume(&g, end);
    emit(g.k, LABEL, producer_label);
    gen_wgmma_copy(&g, end);
    emit(g.k, LABEL, end);
    if (!wgmma_shares_k(&g)) return;
    ptx_section(g.k, "with the consumers, which exchange their sums: all have begun; all parts are there");
    emit(g.k, BAR_WARP_SYNC);
    gen_wgmma_wait_for_exchange(&g);
    emit(g.k, LABEL, g.leave);
}
