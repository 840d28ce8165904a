/* produce_wgmma.c: the warpgroup that copies: the producer, which has TMA load x and W into the ring of
 * stages, and the threads that store y (store_wgmma.c).
 *
 * A tile comes in boxes (plan.h). In a cluster each block loads its share of the rows that others need, too,
 * for all of them.
 */
#include "gen/wgmma.h"

#include <stdio.h>

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
    PtxArg left; /* b32, signed: elements from there to where boxes may begin; PTX_NONE: there is one box
                    along m or n */
    PtxArg rest; /* b32, with `ends`: rows from the origin to the box that ends with the matrix; less than 0
                    if there is none, for a box ends there anyway */
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
    if (of_x && g->plan->config.ends) s->rest = word(g, "x_rest");
    if (s->sharers == 1) return;
    snprintf(name, sizeof name, "%s_share", s->name);
    s->share = word(g, name);
    snprintf(name, sizeof name, "%s_origin", s->name);
    s->origin = word(g, name);
    s->sharer = of_x ? g->rank_n : g->rank_m;
    s->mask = sharers_mask(g, s, of_x);
    emit(g->k, MUL_LO_S32, s->share, s->sharer, imm(s->plan->row_boxes * s->plan->box_bytes));
}

/* Where rows end inside a box, that box is another one, which ends with them: for TMA takes longer to fill
 * rows behind the end than to load rows a second time. Both bring the same bytes to the same places. */
static void rest_place(Wgmma *g, const Source *s)
{
    PtxKernel *k = g->k;
    int step = s->plan->row_step;
    PtxArg part = at(g->gemm->word_scratch, 0);
    emit(k, REM_U32, part, s->left, imm(step));
    emit(k, SUB_S32, s->rest, s->left, imm(step)); /* less than 0, if there is not one whole box */
    emit(k, SETP_EQ_U32, g->p, part, imm(0));
    emit_if(k, g->p, MOV_B32, s->rest, imm(-1));
    emit(k, SETP_GE_S32, g->p, s->left, imm(s->plan->row_boxes * step));
    emit_if(k, g->p, MOV_B32, s->rest, imm(-1));
}

static void source_place(Wgmma *g, const Source *s)
{
    int share = s->plan->row_boxes * s->plan->row_step;
    if (s->sharers > 1) emit(g->k, MAD_LO_S32, s->origin, s->sharer, imm(share), s->first);
    if (s->left.kind) emit(g->k, SUB_S32, s->left, s->end, s->origin);
    if (s->left.kind && s->plan->reach) emit(g->k, ADD_S32, s->left, s->left, imm(s->plan->reach));
    if (s->rest.kind) rest_place(g, s);
}

/* bytes += what comes to a slot of this source: boxes that begin before the end, or behind it by less than
 * the plan's reach, and the first one of each share in any case. For if a block sent nothing to another one,
 * that could go round the ring while this one still waits for a third to release the slot. */
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
    emit(k, ADD_S32, boxes, boxes, imm(o->row_step - 1 + o->reach));
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

/* The box whose place along m or n stands in word_scratch, where its coordinates do, whose first k is
 * `along`, to `offset` bytes behind `to`; without `full` to L2. */
static void load_box(Wgmma *g, const Source *s, PtxArg guard, PtxArg to, int offset, PtxArg along,
                     PtxArg full)
{
    PtxKernel *k = g->k;
    const GenBoxPlan *o = s->plan;
    PtxArg corner = span(g->gemm->word_scratch, 2, 2);
    for (int i = 0; i < o->k_boxes; i++) {
        PtxArg box = mem(to, o->smem_offset + offset + i * o->atom_bytes);
        emit(k, ADD_S32, at(corner, o->col ? 1 : 0), along, imm(i * o->box_elems));
        if (!full.kind) emit_if(k, guard, TMA_PREFETCH, s->map, corner);
        else if (s->sharers > 1) emit_if(k, guard, TMA_LOAD_MULTICAST, box, s->map, corner, full, s->mask);
        else if (s->once) emit_if(k, guard, TMA_LOAD_HINT, box, s->map, corner, full, g->evict_first);
        else emit_if(k, guard, TMA_LOAD, box, s->map, corner, full);
    }
}

/* This block's boxes of a k-block, whose first k is `along`, to the slot at `slot_at`, or without `full` to
 * L2: the first, and those that begin before the end or within reach of it. With `ends` those that end there.
 */
static void load_boxes(Wgmma *g, const Source *s, PtxArg slot_at, PtxArg along, PtxArg full)
{
    PtxKernel *k = g->k;
    const GenBoxPlan *o = s->plan;
    PtxArg to = slot_at, row = at(g->gemm->word_scratch, o->col ? 2 : 3),
           rest_to = at(g->gemm->word_scratch, 0);
    if (s->sharers > 1) emit(k, ADD_S32, to = at(g->gemm->word_scratch, 0), slot_at, s->share);
    for (int i = 0; i < o->row_boxes; i++) {
        int more_than = s->rest.kind ? (i + 1) * o->row_step - 1 : i * o->row_step;
        if (i) emit(k, SETP_GT_S32, g->p, s->left, imm(more_than));
        emit(k, ADD_S32, row, s->origin, imm(i * o->row_step));
        load_box(g, s, i ? g->p : PTX_NONE, to, i * o->box_bytes, along, full);
    }
    if (!s->rest.kind) return;
    emit(k, SETP_GE_S32, g->p, s->rest, imm(0));
    emit(k, ADD_S32, row, s->origin, s->rest);
    emit(k, MAD_LO_S32, rest_to, s->rest, imm(GEN_SWIZZLE_BYTES), to);
    load_box(g, s, g->p, rest_to, 0, along, full);
}

enum { OF_X, OF_W };

typedef struct Producer {
    Wgmma *g;
    Source source[2];
    PtxArg p_last;      /* predicate, of several tiles, where they read x for the last time: this one does */
    PtxArg along, left; /* b32: first k of the next k-block; k-blocks left of the tile */
    PtxArg slot_at;     /* b32: shared address of the slot */
    PtxArg bytes;       /* b32: that come to a slot */
} Producer;

static void produce_block(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    PtxArg barriers = gen_wgmma_slot_barrier(g, g->ring, 0);
    gen_wgmma_wait(g, "wait_empty", mem(barriers, wgmma_empty_offset(g)), g->ring.phase);
    PtxArg full = mem(barriers, wgmma_full_offset(g));
    emit(k, MBARRIER_EXPECT_TX, full, p->bytes);
    emit(k, MAD_LO_S32, p->slot_at, g->ring.slot, imm(g->plan->stage_bytes), g->smem);
    for (int i = 0; i < 2; i++) load_boxes(g, &p->source[i], p->slot_at, p->along, full);
    emit(k, ADD_S32, p->along, p->along, imm(g->plan->config.tile_k));
    gen_wgmma_advance(g, g->ring, wgmma_stages(g));
}

/* A block has several tiles, one after the other, and L2 forgets what the last ones read. */
static bool has_last_tiles(const GenConfig *c) { return c->last && c->cluster_k == 1; }

/* Where there are few tiles along m, all at work at one time, L2 need not keep W: so it keeps x. */
static bool forgets_w(const GenConfig *c) { return c->once || ((c->swap || c->cluster_k > 1) && !c->last); }

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
          .sharers = g->h->x_sharers,
          .once = c->last && c->cluster_k > 1},
         {.plan = &g->h->w,
          .name = "w",
          .map = g->w_map,
          .first = g->col0,
          .end = g->gemm->n,
          .sharers = g->h->w_sharers,
          .once = forgets_w(c)}},
        .along = word(g, "k_first"),
        .left = word(g, "k_blocks_left"),
        .slot_at = word(g, "slot_at"),
        .bytes = word(g, "bytes_to_come"),
    };
    for (int i = 0; i < 2; i++) source_setup(g, &p.source[i], i == OF_X);
    if (has_last_tiles(c)) p.p_last = ptx_reg(k, PTX_PRED, "p_last");
    if (c->last || forgets_w(c)) emit(k, CREATE_POLICY, g->evict_first = wide(g, "evict_first"));
    emit(k, MOV_B32, g->ring.slot, imm(0));
    emit(k, MOV_B32, g->ring.phase, imm(1)); /* the ring is empty: the phase before the first is over */
    return p;
}

/* Of a group of rows of tiles, the last wave reads x for the last time. */
static void find_last(Producer *p)
{
    Wgmma *g = p->g;
    PtxArg next = at(g->gemm->word_scratch, 0);
    TilePart part = gen_wgmma_part(g);
    emit(g->k, REM_U32, next, part.tile, part.group_tiles);
    emit(g->k, ADD_S32, next, next, g->tile_step);
    emit(g->k, SETP_GE_U32, p->p_last, next, part.group_tiles);
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
    if (wgmma_shares_k(g))
        emit(k, MAD_LO_S32, p->along, g->first_k_block, imm(g->plan->config.tile_k), p->along);
    emit(k, MOV_B32, p->left, g->k_blocks);
    if (has_last_tiles(&g->plan->config)) find_last(p);
}

/* L2 is asked for W's first k-blocks, each by one of the blocks that have this tile of W. x may be what the
 * kernel before this one writes, and in L2 for that; weights come from memory. */
static void ask_ahead(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    PtxArg again = ptx_label(k, "ask_ahead"), done = ptx_label(k, "asked_ahead");
    PtxArg along = at(g->gemm->word_scratch, 1);
    if (!g->h->ahead_blocks) return;
    PtxArg block = word(g, "ahead");
    ptx_comment(k, "while the kernel before this one ends, L2 is asked for W");
    emit(k, DIV_U32, block, g->row0, imm(g->plan->config.tile_m));
    emit(k, LABEL, again);
    emit(k, SETP_GE_U32, g->p, block, imm(g->h->ahead_blocks));
    emit_if(k, g->p, BRA, done);
    emit(k, MAD_LO_S32, along, block, imm(g->plan->config.tile_k), p->along);
    load_boxes(g, &p->source[OF_W], PTX_NONE, along, PTX_NONE);
    emit(k, ADD_S32, block, block, g->tiles_m);
    emit(k, BRA, again);
    emit(k, LABEL, done);
}

static void produce_blocks(Producer *p, const char *name)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    PtxArg fill = ptx_label(k, name);
    emit(k, LABEL, fill);
    produce_block(p);
    emit(k, SUB_S32, p->left, p->left, imm(1));
    emit(k, SETP_NE_U32, g->p, p->left, imm(0));
    emit_if(k, g->p, BRA, fill);
}

/* L2 forgets W first, so that it keeps the x of a group of rows of tiles while waves of them read it. In the
 * last of these it forgets x, and keeps W, with which the next group begins. */
static void produce_hinted(Producer *p)
{
    PtxKernel *k = p->g->k;
    PtxArg last = ptx_label(k, "x_for_the_last_time"), done = ptx_label(k, "tile_produced");
    emit_if(k, p->p_last, BRA, last);
    p->source[OF_W].once = true;
    produce_blocks(p, "produce_block");
    emit(k, BRA, done);
    emit(k, LABEL, last);
    p->source[OF_W].once = false;
    p->source[OF_X].once = true;
    produce_blocks(p, "produce_last_block");
    p->source[OF_X].once = false;
    emit(k, LABEL, done);
}

/* This block's shared memory lives until the others have released all its slots: then none of them has
 * anything to do with it any more. Slots of zeros nobody releases. */
static void wait_for_releases(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    ptx_comment(k, "the other blocks are done with this one's slots");
    for (int i = wgmma_skew(g); i < wgmma_stages(g); i++) {
        PtxArg barriers = gen_wgmma_slot_barrier(g, g->ring, 0);
        gen_wgmma_wait(g, "wait_released", mem(barriers, wgmma_empty_offset(g)), g->ring.phase);
        gen_wgmma_advance(g, g->ring, wgmma_stages(g));
    }
}

/* All k-blocks of all tiles. The first tile's place is found while the kernel before may still run. */
static void produce_tiles(Producer *p)
{
    Wgmma *g = p->g;
    PtxKernel *k = g->k;
    PtxArg next = ptx_label(k, "produce_tile"), done = ptx_label(k, "all_produced");
    gen_wgmma_leave_without_tile(g, done);
    produce_begin(p);
    ask_ahead(p);
    emit(k, GRID_WAIT);
    emit(k, LABEL, next);
    if (has_last_tiles(&g->plan->config)) produce_hinted(p);
    else produce_blocks(p, "produce_block");
    emit(k, ADD_S32, g->tile, g->tile, g->tile_step);
    gen_wgmma_leave_without_tile(g, done);
    produce_begin(p);
    emit(k, BRA, next);
    emit(k, LABEL, done);
    for (int i = 0; i < wgmma_skew(g); i++)
        produce_block(p); /* of zeros: `along` stands behind the end of k */
    if (wgmma_shares_loads(g)) wait_for_releases(p);
}

/* A tile that the cluster shares is its only one. */
static void produce(Wgmma *g)
{
    ptx_section(g->k, "the producer");
    Producer p = producer_setup(g);
    gen_wgmma_cluster_tile(g);
    if (!wgmma_shares_k(g)) {
        produce_tiles(&p);
        return;
    }
    produce_begin(&p);
    ask_ahead(&p);
    emit(g->k, GRID_WAIT);
    produce_blocks(&p, "produce_block");
}

/* One thread of each warp behind the first stores for a consumer, of a tile that the cluster shares once its
 * sums are exchanged. */
static void store(Wgmma *g, PtxArg end)
{
    if (!wgmma_shares_k(g)) {
        gen_wgmma_store_thread(g, end);
        return;
    }
    gen_wgmma_wait_for_exchange(g);
    gen_wgmma_leave_unless_finisher(g);
    emit(g->k, ELECT, g->p);
    emit_unless(g->k, g->p, BRA, g->leave);
    gen_wgmma_store_thread(g, g->leave);
    emit(g->k, BRA, g->leave);
}

/* The warpgroup that does not multiply: one thread of its first warp is the producer, and one of each of the
 * next warps stores for a consumer. */
void gen_wgmma_copy(Wgmma *g, PtxArg end)
{
    PtxKernel *k = g->k;
    PtxArg stores = ptx_label(k, "stores");
    PtxArg helper = ptx_reg(k, PTX_PRED, "p_helper");
    ptx_section(k, "the warpgroup that copies: a thread of each warp");
    if (g->h->regs_producer) emit(k, SETMAXNREG_DEC, imm(g->h->regs_producer));
    gen_wgmma_wait_for_cluster(g);
    emit(k, SETP_GE_U32, helper, g->gemm->tid, imm(32));
    PtxArg helpers = g->h->tma_store ? stores : end;
    if (wgmma_shares_k(g)) emit_if(k, helper, BRA, helpers); /* whole warps, for the cluster's barriers */
    emit(k, ELECT, g->p);
    emit_unless(k, g->p, BRA, end);
    if (!wgmma_shares_k(g)) emit_if(k, helper, BRA, helpers);
    produce(g);
    if (!g->h->tma_store) return;
    emit(k, BRA, end);
    emit(k, LABEL, stores);
    store(g, end);
}
