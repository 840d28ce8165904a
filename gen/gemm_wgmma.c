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
 * nothing; y is stored by its own way (store_swapped.c). The blocks of a cluster may then share a tile, each
 * with a range of its k-blocks: such a cluster has this one tile and ends.
 */
#include "gen/wgmma.h"

#include <stdio.h>

enum {
    ADDRESS_MASK = (1 << 18) - 1, /* what a descriptor holds of a shared address */
    BAR_ALL = 0,                  /* named barriers: all threads; one a consumer; one a turn in pingpong */
    BAR_CONSUMER = 1,
    BAR_TURN = 4,
};

static PtxArg word(Wgmma *g, const char *name) { return ptx_reg(g->k, PTX_B32, name); }
static PtxArg wide(Wgmma *g, const char *name) { return ptx_reg(g->k, PTX_B64, name); }
static bool clusters(const Wgmma *g) { return g->h->cluster > 1; }
static bool shares_loads(const Wgmma *g) { return g->h->load_sharers > 1; }
static bool shares_k(const Wgmma *g) { return g->plan->config.cluster_k > 1; }
static int skew(const Wgmma *g) { return g->plan->config.skew_blocks; }
static bool rounds(const Wgmma *g) { return g->h->x_way == GEN_X_ROUNDED; }
static int stages(const Wgmma *g) { return g->plan->config.stages; }

PtxArg gen_wgmma_label(Wgmma *g, const char *name)
{
    char text[48];
    snprintf(text, sizeof text, "%s_%d", name, g->n_labels++);
    return ptx_label(g->k, text);
}

/* ---- barriers ---- */

/* full[0]; empty[0] stands behind all full ones. */
static int full_offset(const Wgmma *g) { return g->h->barrier_offset; }
static int empty_offset(const Wgmma *g) { return g->h->barrier_offset + 8 * stages(g); }

void gen_wgmma_wait(Wgmma *g, const char *name, PtxArg barrier, PtxArg parity)
{
    PtxArg again = gen_wgmma_label(g, name);
    emit(g->k, LABEL, again);
    emit(g->k, MBARRIER_TRY_WAIT, g->p, barrier, parity);
    emit_unless(g->k, g->p, BRA, again);
}

/* One of the named barriers base, base + 1, ... by the consumer: their numbers are constants. */
static void named_barrier(Wgmma *g, PtxArg which, int base, int count, int threads, bool arrive)
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
    named_barrier(g, g->consumer, BAR_CONSUMER, g->h->consumers, GEN_WG_THREADS, false);
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
    for (int i = 0; i < stages(g); i++) {
        emit(k, MBARRIER_INIT, mem(g->smem, full_offset(g) + 8 * i), imm(1));
        emit(k, MBARRIER_INIT, mem(g->smem, empty_offset(g) + 8 * i),
             imm(g->h->releases * g->h->release_warps * (g->plan->config.pingpong ? 1 : g->h->consumers)));
    }
    if (g->h->tma_store) gen_wgmma_store_barriers(g);
    emit(k, FENCE_MBARRIER_INIT);
    emit(k, PREFETCH_MAP, mem(g->x_map, 0));
    emit(k, PREFETCH_MAP, mem(g->w_map, 0));
    if (g->h->tma_store) emit(k, PREFETCH_MAP, mem(g->y_map, 0));
    emit(k, LABEL, ready);
    if (!shares_loads(g)) emit(k, BAR_SYNC, imm(BAR_ALL));
    if (clusters(g))
        emit(k, CLUSTER_ARRIVE); /* this block runs, and has barriers: waited for before their use */
}

/* Where loads are shared, the barriers of all blocks are there. */
static void wait_for_cluster(Wgmma *g)
{
    if (shares_loads(g)) emit(g->k, CLUSTER_WAIT);
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
static PtxArg slot_barrier(Wgmma *g, GenRing r, int offset)
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
    emit(k, MAX_S32, g->k_blocks, g->k_blocks, imm(skew(g) ? 2 * skew(g) : 1));
    if (shares_k(g)) share_k_blocks(g);
    emit(k, ADD_S32, g->tiles_m, g->gemm->m, imm(tile_m - 1));
    emit(k, DIV_U32, g->tiles_m, g->tiles_m, imm(tile_m));
    emit(k, ADD_S32, g->tiles_n, g->gemm->n, imm(tile_n - 1));
    emit(k, DIV_U32, g->tiles_n, g->tiles_n, imm(tile_n));
    emit(k, MUL_LO_S32, g->group_tiles, g->tiles_n, imm(c->group_m));
    emit(k, MUL_LO_S32, g->tiles, g->tiles_n, g->tiles_m);
    if (!shares_k(g))
        emit(k, MOV_SPECIAL, g->tile_step = word(g, "tile_step"),
             special(clusters(g) ? PTX_NCLUSTERID_X : PTX_NCTAID_X));
    g->tile = word(g, "tile");
    g->row0 = word(g, "row0");
    g->col0 = word(g, "col0");
}

static void cluster_tile(Wgmma *g)
{
    emit(g->k, MOV_SPECIAL, g->tile, special(clusters(g) ? PTX_CLUSTERID_X : PTX_CTAID_X));
}

/* In pingpong consumers take tiles by turns. */
void gen_wgmma_first_tile(Wgmma *g)
{
    cluster_tile(g);
    if (g->plan->config.pingpong) emit(g->k, MAD_LO_S32, g->tile, g->consumer, g->tile_step, g->tile);
}

void gen_wgmma_next_tile(Wgmma *g)
{
    emit(g->k, ADD_S32, g->tile, g->tile, g->tile_step);
    if (g->plan->config.pingpong) emit(g->k, ADD_S32, g->tile, g->tile, g->tile_step);
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
    emit(k, DIV_U32, group, g->tile, g->group_tiles);
    emit(k, MUL_LO_S32, rest, group, g->group_tiles);
    emit(k, SUB_S32, rest, g->tile, rest);
    emit(k, AND_B32, odd, group, imm(1));
    emit(k, MUL_LO_S32, group, group, imm(c->group_m)); /* its first row of tiles */
    emit(k, SUB_S32, height, g->tiles_m, group);
    emit(k, MIN_U32, height, height, imm(c->group_m));
    emit(k, DIV_U32, g->col0, rest, height);
    emit(k, MUL_LO_S32, height, g->col0, height);
    emit(k, SUB_S32, rest, rest, height);
    emit(k, ADD_S32, g->row0, group, rest);
    emit(k, SETP_NE_U32, g->p, odd, imm(0));
    emit(k, SUB_S32, height, g->tiles_n, g->col0);
    emit(k, SUB_S32, height, height, imm(1));
    emit(k, SELP_B32, g->col0, height, g->col0, g->p);
    if (c->cluster_m > 1) emit(k, MAD_LO_S32, g->row0, g->row0, imm(c->cluster_m), g->rank_m);
    if (c->cluster_n > 1) emit(k, MAD_LO_S32, g->col0, g->col0, imm(c->cluster_n), g->rank_n);
    emit(k, MUL_LO_S32, g->row0, g->row0, imm(c->tile_m));
    emit(k, MUL_LO_S32, g->col0, g->col0, imm(c->tile_n));
}

/* ---- the producer ---- */

typedef struct Source {
    const GenBoxPlan *plan;
    const char *name;
    PtxArg map, first; /* b64: tensor map; b32: row0 or col0 */
    PtxArg end;        /* b32: m or n */
    int sharers;       /* blocks of the cluster that have it in common, and load shares of it */
    PtxArg sharer;     /* b32: which of them this block is */
    bool once;         /* it is read once: L2 may forget it first */
    PtxArg share;      /* b32: bytes in a slot to this block's share */
    PtxArg origin;     /* b32: of this block's share along m or n */
    PtxArg left; /* b32, signed: elements from there to the end; PTX_NONE: there is one box along m or n */
    PtxArg mask; /* b16: the sharers, by their ranks in the cluster */
} Source;

/* The sharers of x have ranks side by side, those of W cluster_n apart. */
static PtxArg sharers_mask(Wgmma *g, const Source *s, bool of_x)
{
    const GenConfig *c = &g->plan->config;
    PtxArg bits = at(g->gemm->word_scratch, 0), shift = g->rank_n;
    PtxArg mask = ptx_reg(g->k, PTX_B16, of_x ? "x_mask" : "w_mask");
    int all = 0;
    for (int i = 0; i < s->sharers; i++) all |= 1 << (of_x ? i : i * c->cluster_n);
    if (c->cluster_m == 1 || c->cluster_n == 1) {
        emit(g->k, MOV_B16, mask, imm(all));
        return mask;
    }
    emit(g->k, MOV_B32, bits, imm(all));
    if (of_x) emit(g->k, MUL_LO_S32, shift = at(g->gemm->word_scratch, 1), g->rank_m, imm(c->cluster_n));
    emit(g->k, SHL_B32, bits, bits, shift);
    emit(g->k, CVT_U16_U32, mask, bits);
    return mask;
}

static void source_setup(Wgmma *g, Source *s, bool of_x)
{
    char name[32];
    s->origin = s->first;
    snprintf(name, sizeof name, "%s_left", s->name);
    if (s->plan->row_boxes > 1) s->left = word(g, name);
    if (s->sharers == 1) return;
    snprintf(name, sizeof name, "%s_share", s->name);
    s->share = word(g, name);
    snprintf(name, sizeof name, "%s_origin", s->name);
    s->origin = word(g, name);
    s->sharer = of_x ? g->rank_n : g->rank_m;
    s->mask = sharers_mask(g, s, of_x);
    emit(g->k, MUL_LO_S32, s->share, s->sharer, imm(s->plan->share_bytes));
}

static void source_place(Wgmma *g, const Source *s)
{
    if (s->sharers > 1) emit(g->k, MAD_LO_S32, s->origin, s->sharer, imm(s->plan->share_step), s->first);
    if (s->left.kind) emit(g->k, SUB_S32, s->left, s->end, s->origin);
}

/* bytes += what comes to a slot of this source: boxes that begin before the end, and the first one of each
 * share in any case. For if a block sent nothing to another one, that could go round the ring while this one
 * still waits for a third to release the slot. */
static void add_bytes(Wgmma *g, const Source *s, PtxArg bytes)
{
    PtxKernel *k = g->k;
    const GenBoxPlan *o = s->plan;
    PtxArg boxes = at(g->gemm->word_scratch, 0), shares = at(g->gemm->word_scratch, 1);
    int each = o->k_boxes * o->box_bytes;
    if (!s->left.kind) {
        emit(k, ADD_S32, bytes, bytes, imm(s->sharers * each));
        return;
    }
    emit(k, SUB_S32, boxes, s->end, s->first);
    emit(k, ADD_S32, boxes, boxes, imm(o->row_step - 1));
    emit(k, MAX_S32, boxes, boxes,
         imm(s->sharers > 1 ? 0 : o->row_step)); /* tiles of a cluster may lie behind the end */
    emit(k, DIV_U32, boxes, boxes, imm(o->row_step));
    emit(k, MIN_U32, boxes, boxes, imm(s->sharers * o->row_boxes));
    emit(k, MAD_LO_S32, bytes, boxes, imm(each), bytes);
    if (s->sharers == 1) return;
    emit(k, ADD_S32, shares, boxes, imm(o->row_boxes - 1));
    emit(k, DIV_U32, shares, shares, imm(o->row_boxes)); /* that have such boxes */
    emit(k, SUB_S32, shares, imm(s->sharers), shares);
    emit(k, MAD_LO_S32, bytes, shares, imm(each), bytes);
}

static void load_box(Wgmma *g, const Source *s, PtxArg guard, PtxArg box, PtxArg corner, PtxArg full)
{
    PtxKernel *k = g->k;
    if (s->sharers > 1) emit_if(k, guard, TMA_LOAD_MULTICAST, box, s->map, corner, full, s->mask);
    else if (s->once) emit_if(k, guard, TMA_LOAD_HINT, box, s->map, corner, full, g->evict_first);
    else emit_if(k, guard, TMA_LOAD, box, s->map, corner, full);
}

/* This block's boxes of a k-block, whose first k is `along`, to the slot at `slot_at`: the first, and those
 * that begin before the end. */
static void load_boxes(Wgmma *g, const Source *s, PtxArg slot_at, PtxArg along, PtxArg full)
{
    PtxKernel *k = g->k;
    const GenBoxPlan *o = s->plan;
    PtxArg to = slot_at, corner = span(g->gemm->word_scratch, 2, 2);
    if (s->sharers > 1) emit(k, ADD_S32, to = at(g->gemm->word_scratch, 0), slot_at, s->share);
    for (int row = 0; row < o->row_boxes; row++) {
        if (row) emit(k, SETP_GT_S32, g->p, s->left, imm(row * o->row_step));
        emit(k, ADD_S32, at(corner, o->col ? 0 : 1), s->origin, imm(row * o->row_step));
        for (int i = 0; i < o->k_boxes; i++) {
            emit(k, ADD_S32, at(corner, o->col ? 1 : 0), along, imm(i * o->k_step));
            load_box(g, s, row ? g->p : PTX_NONE,
                     mem(to, o->smem_offset + row * o->row_stride + i * o->k_stride), corner, full);
        }
    }
}

typedef struct Producer {
    Wgmma *g;
    Source source[2];
    PtxArg along, left; /* b32: first k of the next k-block; k-blocks left of the tile */
    PtxArg slot_at;     /* b32: shared address of the slot */
    PtxArg bytes;       /* b32: that come to a slot */
} Producer;

static void produce_block(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    PtxArg barriers = slot_barrier(g, g->ring, 0);
    gen_wgmma_wait(g, "wait_empty", mem(barriers, empty_offset(g)), g->ring.phase);
    PtxArg full = mem(barriers, full_offset(g));
    emit(k, MBARRIER_EXPECT_TX, full, p->bytes);
    emit(k, MAD_LO_S32, p->slot_at, g->ring.slot, imm(g->plan->stage_bytes), g->smem);
    for (int i = 0; i < 2; i++) load_boxes(g, &p->source[i], p->slot_at, p->along, full);
    emit(k, ADD_S32, p->along, p->along, imm(g->plan->config.tile_k));
    gen_wgmma_advance(g, g->ring, stages(g));
}

static Producer producer_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    Producer p = {
        g,
        {{.plan = &g->h->x,
          .name = "x",
          .map = g->x_map,
          .first = g->row0,
          .end = g->gemm->m,
          .sharers = c->cluster_n},
         {.plan = &g->h->w,
          .name = "w",
          .map = g->w_map,
          .first = g->col0,
          .end = g->gemm->n,
          .sharers = c->cluster_m,
          .once = c->swap}},
        .along = word(g, "k_first"),
        .left = word(g, "k_blocks_left"),
        .slot_at = word(g, "slot_at"),
        .bytes = word(g, "bytes_to_come"),
    };
    for (int i = 0; i < 2; i++) source_setup(g, &p.source[i], i == 0);
    if (c->swap) emit(k, CREATE_POLICY, g->evict_first = wide(g, "evict_first"));
    emit(k, MOV_B32, g->ring.slot, imm(0));
    emit(k, MOV_B32, g->ring.phase, imm(1)); /* the ring is empty: the phase before the first is over */
    return p;
}

/* The tile's place and its k-blocks. Without k the first one comes from behind its end. */
static void produce_begin(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    gen_wgmma_tile_place(g);
    emit(k, MOV_B32, p->bytes, imm(0));
    for (int i = 0; i < 2; i++) source_place(g, &p->source[i]), add_bytes(g, &p->source[i], p->bytes);
    emit(k, SETP_EQ_U32, g->p, g->gemm->depth, imm(0));
    emit(k, SELP_B32, p->along, imm(g->plan->config.tile_k), imm(0), g->p);
    if (shares_k(g)) emit(k, MAD_LO_S32, p->along, g->first_k_block, imm(g->plan->config.tile_k), p->along);
    emit(k, MOV_B32, p->left, g->k_blocks);
}

static void produce_blocks(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    PtxArg fill = ptx_label(k, "produce_block");
    emit(k, LABEL, fill);
    produce_block(p);
    emit(k, SUB_S32, p->left, p->left, imm(1));
    emit(k, SETP_NE_U32, g->p, p->left, imm(0));
    emit_if(k, g->p, BRA, fill);
}

/* This block's shared memory lives until the others have released all its slots: then none of them has
 * anything to do with it any more. Slots of zeros nobody releases. */
static void wait_for_releases(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    ptx_comment(k, "the other blocks are done with this one's slots");
    for (int i = skew(g); i < stages(g); i++) {
        PtxArg barriers = slot_barrier(g, g->ring, 0);
        gen_wgmma_wait(g, "wait_released", mem(barriers, empty_offset(g)), g->ring.phase);
        gen_wgmma_advance(g, g->ring, stages(g));
    }
}

static void leave_without_tile(Wgmma *g, PtxArg to)
{
    emit(g->k, SETP_GE_U32, g->p, g->tile, g->tiles);
    emit_if(g->k, g->p, BRA, to);
}

/* All k-blocks of all tiles. The first tile's place is found while the kernel before may still run. */
static void produce_tiles(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    PtxArg next = ptx_label(k, "produce_tile"), done = ptx_label(k, "all_produced");
    leave_without_tile(g, done);
    produce_begin(p);
    emit(k, GRID_WAIT);
    emit(k, LABEL, next);
    produce_blocks(p);
    emit(k, ADD_S32, g->tile, g->tile, g->tile_step);
    leave_without_tile(g, done);
    produce_begin(p);
    emit(k, BRA, next);
    emit(k, LABEL, done);
    for (int i = 0; i < skew(g); i++) produce_block(p); /* of zeros: `along` stands behind the end of k */
    if (shares_loads(g)) wait_for_releases(p);
}

/* A tile that the cluster shares is its only one. */
static void produce(Wgmma *g)
{
    ptx_section(g->k, "the producer");
    Producer p = producer_setup(g);
    cluster_tile(g);
    if (!shares_k(g)) {
        produce_tiles(&p);
        return;
    }
    produce_begin(&p);
    emit(g->k, GRID_WAIT);
    produce_blocks(&p);
}

/* The warpgroup that does not multiply: one thread of its first warp is the producer, and one of each of the
 * next warps stores for a consumer. */
static void copying_warpgroup(Wgmma *g, PtxArg end)
{
    PtxKernel *k = g->k;
    PtxArg stores = ptx_label(k, "stores");
    PtxArg helper = ptx_reg(k, PTX_PRED, "p_helper");
    ptx_section(k, "the warpgroup that copies: a thread of each warp");
    if (g->h->regs_producer) emit(k, SETMAXNREG_DEC, imm(g->h->regs_producer));
    wait_for_cluster(g);
    emit(k, SETP_GE_U32, helper, g->gemm->tid, imm(32));
    emit(k, ELECT, g->p);
    emit_unless(k, g->p, BRA, end);
    emit_if(k, helper, BRA, g->h->tma_store ? stores : end);
    produce(g);
    if (!g->h->tma_store) return;
    emit(k, BRA, end);
    emit(k, LABEL, stores);
    gen_wgmma_store_thread(g, end);
}

/* ---- the consumers: operands ---- */

/* Descriptor of a tile at shared address `at` (PTX ISA 9.7.15.5.1.2): bits 0-13 address, 16-29 leading and
 * 32-45 stride byte offset, all in 16 bytes; 62-63 = 1: swizzled by 128 bytes. Eight rows are 1024 bytes. In
 * a cluster a block's own addresses have its rank in bits 24 and up, which would get into the offset. */
static PtxArg descriptor(Wgmma *g, const char *name, const GenBoxPlan *o, PtxArg address)
{
    PtxArg desc = wide(g, name);
    int64_t fixed = 1LL << 62 | (int64_t)(1024 / 16) << 32 | (int64_t)(o->lbo_bytes / 16) << 16;
    emit(g->k, AND_B32, address, address, imm(ADDRESS_MASK));
    emit(g->k, SHR_U32, address, address, imm(4));
    emit(g->k, CVT_U64_U32, desc, address);
    emit(g->k, ADD_S64, desc, desc, imm(fixed));
    return desc;
}

/* Bytes from the start of a tile to row `first` (of m or n) of it. */
static int row_bytes(const GenBoxPlan *o, int first)
{
    return o->col ? first / 64 * o->atom_bytes : first * 128;
}

/* The tile that wgmma reads x from. */
static const GenBoxPlan *multiplied_x(const Wgmma *g) { return rounds(g) ? &g->h->rounded : &g->h->x; }

static void operand_descriptors(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenWgmmaPlan *h = g->h;
    PtxArg m = word(g, "part_m"), n = word(g, "part_n");
    int parts_n = g->plan->config.pingpong ? 1 : g->plan->config.warps_n;
    emit(k, DIV_U32, m, g->consumer, imm(parts_n));
    emit(k, REM_U32, n, g->consumer, imm(parts_n));
    if (g->plan->config.pingpong) emit(k, MOV_B32, m, imm(0));
    emit(k, MAD_LO_S32, m, m, imm(row_bytes(&h->x, h->wg_m)), g->smem);
    emit(k, MAD_LO_S32, n, n, imm(row_bytes(&h->w, h->wg_n)), g->smem);
    emit(k, ADD_S32, n, n, imm(h->w.smem_offset));
    if (rounds(g)) emit(k, ADD_S32, m, m, imm(h->rounded_offset));
    g->x_desc = descriptor(g, "x_desc", multiplied_x(g), m);
    g->w_desc = descriptor(g, "w_desc", &h->w, n);
}

/* Bytes to k-step `step`. */
static int step_bytes(const GenBoxPlan *o, int step)
{
    if (o->col) return step * o->step_bytes;
    return step / 4 * o->atom_bytes + step % 4 * o->step_bytes;
}

/* ---- the consumers: products ---- */

/* The row of the table for 64 x n, which stand in the order of n. */
static PtxOp wgmma_op(const Wgmma *g)
{
    bool f16 = g->plan->config.w == GEN_F16;
    PtxOp by_descriptor = f16 ? PTX_WGMMA_F16_N8 : PTX_WGMMA_BF16_N8,
          from_registers = f16 ? PTX_WGMMA_A_F16_N8 : PTX_WGMMA_A_BF16_N8;
    return (PtxOp)((g->h->x_way == GEN_X_REGISTERS ? from_registers : by_descriptor) +
                   (g->h->wgmma_n / 8 - 1));
}

/* Registers of a k-block's products. */
typedef struct Product {
    PtxArg x_at, w_at; /* b64: descriptors in the slot */
    PtxArg x, w;       /* b64: at a k-step */
    PtxArg add;        /* predicate: the first k-step adds to what is there */
    PtxArg yes;        /* predicate, true: the others always do */
} Product;

/* Bytes to k-step `step` of wgmma `i`, in x and in W: the side with 64 rows a wgmma moves on with i. */
static int x_bytes(const Wgmma *g, int step, int i)
{
    const GenBoxPlan *o = multiplied_x(g);
    return step_bytes(o, step) + (g->plan->config.swap ? 0 : row_bytes(o, 64 * i));
}
static int w_bytes(const Wgmma *g, int step, int i)
{
    const GenBoxPlan *o = &g->h->w;
    return step_bytes(o, step) + (g->plan->config.swap ? row_bytes(o, 64 * i) : 0);
}

/* acc += A B^T of 64 rows of A, which x is, or W if they are swapped, and wgmma_n of B. */
static void multiply_step(Wgmma *g, PtxArg acc, PtxArg x, PtxArg w, PtxArg add)
{
    const GenConfig *c = &g->plan->config;
    PtxArg x_col = imm(g->h->x.col), w_col = imm(g->h->w.col);
    PtxArg of_x[] = {PTX_NONE, acc, x, w, add, x_col, w_col},
           of_w[] = {PTX_NONE, acc, w, x, add, w_col, x_col};
    ptx_emit(g->k, __FILE__, __LINE__, wgmma_op(g), PTX_NONE, false, 6, c->swap ? of_w : of_x);
}

/* Two k-steps, a group, of x in registers and the W of a slot. */
static void multiply_converted(Wgmma *g, Product *m, int first_step)
{
    PtxKernel *k = g->k;
    const GenWgmmaPlan *h = g->h;
    emit(k, WGMMA_FENCE);
    for (int step = first_step; step < first_step + 2; step++) {
        PtxArg w = m->w_at;
        if (step) emit(k, ADD_S64, w = m->w, m->w_at, imm(w_bytes(g, step, 0) / 16));
        for (int i = 0; i < h->wgmmas; i++) {
            PtxArg args[] = {PTX_NONE,
                             span(g->acc, i * h->acc_regs, h->acc_regs),
                             gen_wgmma_x_fragment(g, step, i),
                             w,
                             step ? m->yes : m->add,
                             imm(h->w.col)};
            ptx_emit(k, __FILE__, __LINE__, wgmma_op(g), PTX_NONE, false, 5, args);
        }
    }
    emit(k, WGMMA_COMMIT);
}

/* All k-steps of the k-block in slot r.slot, for the wgmmas first .. last - 1 of this consumer's rows. */
static void multiply(Wgmma *g, Product *m, GenRing r, int first, int last)
{
    PtxKernel *k = g->k;
    const GenWgmmaPlan *h = g->h;
    emit(k, MUL_WIDE_U32, m->w_at, r.slot, imm(g->plan->stage_bytes / 16));
    if (rounds(g)) emit(k, MOV_B64, m->x_at, g->x_desc);
    else emit(k, ADD_S64, m->x_at, m->w_at, g->x_desc);
    emit(k, ADD_S64, m->w_at, m->w_at, g->w_desc);
    for (int step = 0; step < g->plan->k_steps; step++)
        for (int i = first; i < last; i++) {
            int x = x_bytes(g, step, i), w = w_bytes(g, step, i);
            PtxArg x_desc = m->x_at, w_desc = m->w_at;
            if (x) emit(k, ADD_S64, x_desc = m->x, m->x_at, imm(x / 16));
            if (w) emit(k, ADD_S64, w_desc = m->w, m->w_at, imm(w / 16));
            multiply_step(g, span(g->acc, i * h->acc_regs, h->acc_regs), x_desc, w_desc,
                          step ? m->yes : m->add);
        }
}

/* This consumer has read a slot: each block whose producer filled it is told so, by a thread of its own. Of
 * those that x came from, thread i tells the i-th, and then of those that W came from; where blocks share
 * both, a block is told twice what it loaded for itself. */
typedef struct Release {
    PtxArg barrier; /* b32: empty[0], in this thread's block of the cluster */
    PtxArg p;       /* predicate: this thread tells one */
} Release;

/* Which of the threads that tell this one is, of its consumer or of its warp. */
static PtxArg teller(const Wgmma *g) { return g->h->release_warps > 1 ? g->gemm->lane : g->thread; }

/* The rank of the block that this thread tells; any one of the cluster, if it tells none. */
static PtxArg released_block(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    PtxArg block = at(g->gemm->word_scratch, 0), of_w = at(g->gemm->word_scratch, 1);
    emit(k, AND_B32, block, teller(g), imm((c->cluster_n > 1 ? c->cluster_n : c->cluster_m) - 1));
    if (c->cluster_m == 1 || c->cluster_n == 1) return block;
    emit(k, MAD_LO_S32, block, g->rank_m, imm(c->cluster_n), block);
    emit(k, AND_B32, of_w, teller(g), imm(c->cluster_m - 1)); /* all of them, whichever comes first */
    emit(k, MAD_LO_S32, of_w, of_w, imm(c->cluster_n), g->rank_n);
    emit(k, SETP_LT_U32, g->p, teller(g), imm(c->cluster_n));
    emit(k, SELP_B32, block, block, of_w, g->p);
    return block;
}

static Release release_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    Release r = {word(g, "empty_at"), ptx_reg(k, PTX_PRED, "p_release")};
    emit(k, ADD_S32, r.barrier, g->smem, imm(empty_offset(g)));
    emit(k, SETP_LT_U32, r.p, teller(g), imm(g->h->releases));
    if (shares_loads(g)) emit(k, MAPA, r.barrier, r.barrier, released_block(g));
    return r;
}

static void release(Wgmma *g, const Release *r, PtxArg slot, PtxArg p)
{
    PtxArg to = at(g->gemm->word_scratch, 1);
    emit(g->k, MAD_LO_S32, to, slot, imm(8), r->barrier);
    if (shares_loads(g)) emit_if(g->k, p, MBARRIER_ARRIVE_CLUSTER, mem(to, 0));
    else emit_if(g->k, p, MBARRIER_ARRIVE, mem(to, 0));
}

/* ---- the consumers: main loop ---- */

typedef struct Consumer {
    Wgmma *g;
    Product product;
    Release release;
    PtxArg block;    /* b32: k-blocks of this tile that are multiplied */
    PtxArg before;   /* b32: the slot before this one */
    PtxArg p_before; /* predicate: it is to be released by this thread */
    PtxArg in_step;  /* b32: k-blocks before the last ones, where halves are out of step */
    GenRing ahead;   /* of a half that is ahead of the other */
} Consumer;

/* One turn: waits for a k-block, multiplies it, and releases the slot whose products are done. */
static void consume_block(Consumer *c)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    bool late = g->h->loop_waits > 0;
    gen_wgmma_wait(g, "wait_full", slot_barrier(g, g->ring, full_offset(g)), g->ring.phase);
    if (rounds(g)) gen_wgmma_round(g, g->ring.slot);
    emit(k, SETP_NE_U32, c->product.add, c->block, imm(0));
    emit(k, WGMMA_FENCE);
    multiply(g, &c->product, g->ring, 0, g->h->wgmmas);
    emit(k, WGMMA_COMMIT);
    emit(k, WGMMA_WAIT, imm(g->h->loop_waits));
    if (late) {
        emit(k, AND_PRED, c->p_before, c->release.p, c->product.add);
        release(g, &c->release, c->before, c->p_before);
        emit(k, MOV_B32, c->before, g->ring.slot);
    } else {
        release(g, &c->release, g->ring.slot, c->release.p);
    }
    gen_wgmma_advance(g, g->ring, stages(g));
    emit(k, ADD_S32, c->block, c->block, imm(1));
}

/* The k-blocks from `block` on, in step. */
static void main_loop(Consumer *c)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    bool skewed = skew(g) > 0; /* there may be no more k-blocks */
    PtxArg loop = ptx_label(k, "main_loop"), done = ptx_label(k, "main_loop_done");
    PtxArg last = skewed ? c->in_step : g->k_blocks;
    if (g->h->loop_waits) emit(k, MOV_B32, c->before, imm(0));
    if (skewed) emit(k, SETP_GE_U32, g->p, c->block, last);
    if (skewed) emit_if(k, g->p, BRA, done);
    emit(k, LABEL, loop);
    consume_block(c);
    emit(k, SETP_LT_U32, g->p, c->block, last);
    emit_if(k, g->p, BRA, loop);
    if (skewed) emit(k, LABEL, done);
    if (g->plan->config.pingpong) { /* the other's turn; if it has no tile, it does not come */
        PtxArg alone = gen_wgmma_label(g, "alone");
        PtxArg other = at(g->gemm->word_scratch, 0);
        emit(k, ADD_S32, other, g->tile, g->tile_step);
        emit(k, SETP_GE_U32, g->p, other, g->tiles);
        emit_if(k, g->p, BRA, alone);
        emit(k, SUB_S32, other, imm(1), g->consumer);
        named_barrier(g, other, BAR_TURN, 2, 2 * GEN_WG_THREADS, true);
        emit(k, LABEL, alone);
    }
    if (g->h->loop_waits) {
        emit(k, WGMMA_WAIT, imm(0));
        release(g, &c->release, c->before, c->release.p);
    }
}

/* ---- the consumers: x by way of registers ---- */

/* Waits for the k-block at hand, and reads its first two k-steps of x. */
static void read_first(Consumer *c)
{
    Wgmma *g = c->g;
    gen_wgmma_wait(g, "wait_full", slot_barrier(g, g->ring, full_offset(g)), g->ring.phase);
    gen_wgmma_x_slot(g, g->ring.slot);
    gen_wgmma_x_read(g, 0);
}

/* Two k-steps are read while those before are multiplied, whose registers are others; so the first ones of a
 * k-block under the last ones of the one before, whose slot is released then. */
static void main_loop_converted(Consumer *c)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    Product *m = &c->product;
    PtxArg loop = ptx_label(k, "main_loop"), done = ptx_label(k, "main_loop_done");
    read_first(c);
    emit(k, LABEL, loop);
    emit(k, SETP_NE_U32, m->add, c->block, imm(0));
    emit(k, MUL_WIDE_U32, m->w_at, g->ring.slot, imm(g->plan->stage_bytes / 16));
    emit(k, ADD_S64, m->w_at, m->w_at, g->w_desc);
    for (int step = 0; step < g->plan->k_steps; step += 2) {
        if (step >= 4) emit(k, WGMMA_WAIT, imm(1));
        if (step) gen_wgmma_x_read(g, step);
        multiply_converted(g, m, step);
    }
    emit(k, MOV_B32, c->before, g->ring.slot);
    gen_wgmma_advance(g, g->ring, stages(g));
    emit(k, ADD_S32, c->block, c->block, imm(1));
    emit(k, SETP_GE_U32, g->p, c->block, g->k_blocks);
    emit_if(k, g->p, BRA, done);
    emit(k, WGMMA_WAIT, imm(1));
    read_first(c);
    emit(k, WGMMA_WAIT, imm(0));
    release(g, &c->release, c->before, c->release.p);
    emit(k, BRA, loop);
    emit(k, LABEL, done);
    emit(k, WGMMA_WAIT, imm(0));
    release(g, &c->release, c->before, c->release.p);
}

/* ---- the consumers: halves out of step ---- */

enum { HALF_A, HALF_B };

/* c->ahead = the slot at hand; waits until skew_blocks k-blocks from there on have come. */
static void look_ahead(Consumer *c, bool wait)
{
    Wgmma *g = c->g;
    emit(g->k, MOV_B32, c->ahead.slot, g->ring.slot);
    emit(g->k, MOV_B32, c->ahead.phase, g->ring.phase);
    for (int i = 0; wait && i < skew(g); i++) {
        gen_wgmma_wait(g, "wait_full", slot_barrier(g, c->ahead, full_offset(g)), c->ahead.phase);
        gen_wgmma_advance(g, c->ahead, stages(g));
    }
    if (wait) emit(g->k, MOV_B32, c->ahead.slot, g->ring.slot);
}

/* Half `half` of the next skew_blocks k-blocks, a group each, or one for all; `first`: of a tile. */
static void multiply_half(Consumer *c, int half, bool first, bool group_each)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    int blocks = skew(g);
    look_ahead(c, half == HALF_A); /* for B they have come */
    emit(k, WGMMA_FENCE);
    for (int i = 0; i < blocks; i++) {
        emit(k, SETP_NE_U32, c->product.add, g->consumer, first && i == 0 ? g->consumer : imm(-1));
        multiply(g, &c->product, c->ahead, half, half + 1);
        if (group_each || i == blocks - 1) emit(k, WGMMA_COMMIT);
        gen_wgmma_advance(g, c->ahead, stages(g));
    }
}

/* The first skew_blocks k-blocks of a tile, a group each, are done in turn: their slots are free. */
static void finish_blocks(Consumer *c)
{
    Wgmma *g = c->g;
    for (int left = skew(g); left > 0; left--) {
        emit(g->k, WGMMA_WAIT, imm(left - 1));
        release(g, &c->release, g->ring.slot, c->release.p);
        gen_wgmma_advance(g, g->ring, stages(g));
    }
}

static void store_half(Consumer *c, int half)
{
    Wgmma *g = c->g;
    gen_wgmma_store_chunks(g, half * g->h->row_chunks, (half + 1) * g->h->row_chunks);
}

static void turn_out_of_step(Consumer *c)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    int blocks = skew(g);
    ptx_section(k, "the tile's end: half A, then B under the store of A");
    multiply_half(c, HALF_A, false, false);
    multiply_half(c, HALF_B, false, true);
    gen_wgmma_store_bias(g);
    emit(k, WGMMA_WAIT, imm(blocks));
    store_half(c, HALF_A);
    finish_blocks(c);
    ptx_section(k, "the next tile's beginning: half A under the store of B, then B");
    multiply_half(c, HALF_A, true, false);
    store_half(c, HALF_B);
}

/* ---- the consumers: from tile to tile ---- */

static void store_tile(Wgmma *g)
{
    if (shares_k(g)) gen_swapped_exchange(g);
    ptx_section(g->k, "z = acc + bias; y = the epilogue of z; one store an output");
    if (g->plan->config.swap) {
        gen_swapped_store(g);
        return;
    }
    gen_wgmma_store_bias(g);
    gen_wgmma_store_chunks(g, 0, g->h->chunks);
}

/* In pingpong a consumer skips the k-blocks of the other's tile. */
static void skip_blocks(Wgmma *g, PtxArg blocks)
{
    PtxKernel *k = g->k;
    PtxArg turns = at(g->gemm->word_scratch, 0);
    emit(k, ADD_S32, g->ring.slot, g->ring.slot, blocks);
    emit(k, DIV_U32, turns, g->ring.slot, imm(stages(g)));
    emit(k, REM_U32, g->ring.slot, g->ring.slot, imm(stages(g)));
    emit(k, AND_B32, turns, turns, imm(1));
    emit(k, XOR_B32, g->ring.phase, g->ring.phase, turns);
}

/* The second consumer begins with the second tile; the first one has the first turn. */
static void pingpong_begin(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg skipped = word(g, "skipped"), first = gen_wgmma_label(g, "first");
    emit(k, MUL_LO_S32, skipped, g->k_blocks, g->consumer);
    skip_blocks(g, skipped);
    emit(k, SETP_EQ_U32, g->p, g->consumer, imm(0));
    emit_if(k, g->p, BRA, first);
    emit(k, BAR_ARRIVE, imm(BAR_TURN), imm(2 * GEN_WG_THREADS));
    emit(k, LABEL, first);
}

static void consumer_place(Wgmma *g)
{
    PtxKernel *k = g->k;
    ptx_section(k, "a consumer: its number, its thread, its operands");
    if (g->h->regs_producer) emit(k, SETMAXNREG_INC, imm(g->h->regs_consumer));
    g->consumer = word(g, "consumer");
    g->thread = word(g, "consumer_thread");
    emit(k, SUB_S32, g->consumer, g->warpgroup, imm(1));
    emit(k, AND_B32, g->thread, g->gemm->tid, imm(GEN_WG_THREADS - 1));
    operand_descriptors(g);
    if (g->h->x_way == GEN_X_REGISTERS) gen_wgmma_x_setup(g);
    if (rounds(g)) gen_wgmma_round_setup(g);
    g->acc = ptx_regs(k, PTX_F32, "acc", g->plan->regs_acc);
}

static Consumer consumer_setup(Wgmma *g)
{
    PtxKernel *k = g->k;
    Consumer c = {.g = g, .release = release_setup(g), .block = word(g, "k_block")};
    c.product = (Product){wide(g, "x_slot"),
                          wide(g, "w_slot"),
                          wide(g, "x_step"),
                          wide(g, "w_step"),
                          ptx_reg(k, PTX_PRED, "p_add"),
                          ptx_reg(k, PTX_PRED, "p_yes")};
    emit(k, SETP_EQ_U32, c.product.yes, g->consumer, g->consumer);
    if (g->h->loop_waits || g->h->x_way == GEN_X_REGISTERS) c.before = word(g, "slot_before");
    if (g->h->loop_waits) c.p_before = ptx_reg(k, PTX_PRED, "p_before");
    if (skew(g)) {
        c.ahead = gen_wgmma_ring(g, "slot_ahead", "phase_ahead");
        c.in_step = word(g, "k_blocks_in_step");
        emit(k, SUB_S32, c.in_step, g->k_blocks, imm(skew(g)));
    }
    return c;
}

static void consume_tile(Consumer *c)
{
    Wgmma *g = c->g;
    gen_wgmma_tile_place(g);
    if (g->plan->config.swap) gen_swapped_begin(g);
    else gen_wgmma_store_begin(g);
    if (skew(g)) {
        multiply_half(c, HALF_B, true, true);
        finish_blocks(c);
    }
    emit(g->k, MOV_B32, c->block, imm(skew(g)));
    ptx_section(g->k, "main loop: one k-block a turn");
    if (g->plan->config.pingpong) named_barrier(g, g->consumer, BAR_TURN, 2, 2 * GEN_WG_THREADS, false);
    if (g->h->x_way == GEN_X_REGISTERS) main_loop_converted(c);
    else main_loop(c);
    if (skew(g)) turn_out_of_step(c);
    else store_tile(g);
}

static void consume_tiles(Consumer *c, PtxArg end)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    PtxArg next = ptx_label(k, "consume_tile"), done = ptx_label(k, "consumed");
    bool skewed = skew(g) > 0, pingpong = g->plan->config.pingpong;
    if (pingpong) pingpong_begin(g);
    if (skewed) multiply_half(c, HALF_A, true, false);
    emit(k, LABEL, next);
    leave_without_tile(g, skewed ? done : end);
    consume_tile(c);
    gen_wgmma_next_tile(g);
    if (pingpong) skip_blocks(g, g->k_blocks);
    emit(k, BRA, next);
    if (!skewed) return;
    emit(k, LABEL, done);
    emit(k, WGMMA_WAIT, imm(0)); /* half A of the zeros behind the last tile */
    emit(k, BRA, end);
}

static void consume(Wgmma *g, PtxArg end)
{
    PtxKernel *k = g->k;
    consumer_place(g);
    Consumer c = consumer_setup(g);
    if (g->plan->config.swap) gen_swapped_setup(g);
    else gen_wgmma_store_setup(g);
    wait_for_cluster(g);
    emit(k, GRID_WAIT);
    emit(k, MOV_B32, g->ring.slot, imm(0));
    emit(k, MOV_B32, g->ring.phase, imm(0));
    gen_wgmma_first_tile(g);
    if (!shares_k(g)) {
        consume_tiles(&c, end);
        return;
    }
    consume_tile(&c);
    emit(k, BRA, g->leave);
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
    if (clusters(g)) cluster_place(g);
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
    consume(&g, end);
    emit(g.k, LABEL, producer_label);
    copying_warpgroup(&g, end);
    emit(g.k, LABEL, end);
    if (!shares_k(&g)) return;
    ptx_section(g.k, "with the consumers, which exchange their sums: all have begun; all parts are there");
    emit(g.k, BAR_WARP_SYNC);
    emit(g.k, CLUSTER_WAIT);
    gen_wgmma_cluster_sync(&g);
    emit(g.k, LABEL, g.leave);
}
