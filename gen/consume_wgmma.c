/* consume_wgmma.c: the warpgroups that multiply: descriptors of operands, products, main loops, and the walk
 * from tile to tile.
 */
#include "gen/wgmma.h"

enum { ADDRESS_MASK = (1 << 18) - 1 /* what a descriptor holds of a shared address */ };

/* ---- operands ---- */

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
static const GenBoxPlan *multiplied_x(const Wgmma *g) { return wgmma_rounds(g) ? &g->h->rounded : &g->h->x; }

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
    if (wgmma_rounds(g)) emit(k, ADD_S32, m, m, imm(h->rounded_offset));
    g->x_desc = descriptor(g, "x_desc", multiplied_x(g), m);
    g->w_desc = descriptor(g, "w_desc", &h->w, n);
}

/* Bytes to k-step `step`. */
static int step_bytes(const GenBoxPlan *o, int step)
{
    if (o->col) return step * o->step_bytes;
    return step / 4 * o->atom_bytes + step % 4 * o->step_bytes;
}

/* ---- products ---- */

/* The row of the table for 64 x n, which stand in the order of n. */
static PtxOp wgmma_op(const Wgmma *g)
{
    bool f16 = g->plan->config.w == GEN_F16;
    PtxOp by_descriptor = f16 ? PTX_WGMMA_F16_N8 : PTX_WGMMA_BF16_N8,
          from_registers = f16 ? PTX_WGMMA_A_F16_N8 : PTX_WGMMA_A_BF16_N8;
    return (PtxOp)((g->h->x_way == GEN_X_REGISTERS ? from_registers : by_descriptor) + (g->wgmma_n / 8 - 1));
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
    if (wgmma_rounds(g)) emit(k, MUL_WIDE_U32, m->x_at, g->x_tile, imm(h->rounded.tile_bytes / 16));
    emit(k, ADD_S64, m->x_at, wgmma_rounds(g) ? m->x_at : m->w_at, g->x_desc);
    emit(k, ADD_S64, m->w_at, m->w_at, g->w_desc);
    for (int step = 0; step < g->plan->k_steps; step++)
        for (int i = first; i < last; i++) {
            int x = x_bytes(g, step, i), w = w_bytes(g, step, i);
            PtxArg x_desc = m->x_at, w_desc = m->w_at;
            if (x) emit(k, ADD_S64, x_desc = m->x, m->x_at, imm(x / 16));
            if (w) emit(k, ADD_S64, w_desc = m->w, m->w_at, imm(w / 16));
            multiply_step(g, span(g->acc, i * h->acc_regs, g->wgmma_n / 2), x_desc, w_desc,
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
    emit(k, ADD_S32, r.barrier, g->smem, imm(wgmma_empty_offset(g)));
    emit(k, SETP_LT_U32, r.p, teller(g), imm(g->h->releases));
    if (wgmma_shares_loads(g)) emit(k, MAPA, r.barrier, r.barrier, released_block(g));
    return r;
}

static void release(Wgmma *g, const Release *r, PtxArg slot, PtxArg p)
{
    PtxArg to = at(g->gemm->word_scratch, 1);
    emit(g->k, MAD_LO_S32, to, slot, imm(8), r->barrier);
    if (wgmma_shares_loads(g)) emit_if(g->k, p, MBARRIER_ARRIVE_CLUSTER, mem(to, 0));
    else emit_if(g->k, p, MBARRIER_ARRIVE, mem(to, 0));
}

/* ---- main loop ---- */

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

/* Waits until the k-block in a slot has come. */
static void wait_full(Wgmma *g, GenRing r)
{
    gen_wgmma_wait(g, "wait_full", gen_wgmma_slot_barrier(g, r, wgmma_full_offset(g)), r.phase);
}

/* One turn: waits for a k-block, multiplies it, and releases the slot whose products are done. */
static void consume_block(Consumer *c)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    bool late = g->h->loop_waits > 0;
    wait_full(g, g->ring);
    if (wgmma_rounds(g)) gen_wgmma_round(g, g->ring.slot, c->block);
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
    gen_wgmma_advance(g, g->ring, wgmma_stages(g));
    emit(k, ADD_S32, c->block, c->block, imm(1));
}

/* The k-blocks from `block` on, in step. */
static void main_loop(Consumer *c, PtxArg loop)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    bool skewed = wgmma_skew(g) > 0; /* there may be no more k-blocks */
    PtxArg done = ptx_label(k, "main_loop_done");
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
        gen_wgmma_named_barrier(g, other, BAR_TURN, 2, 2 * GEN_WG_THREADS, true);
        emit(k, LABEL, alone);
    }
    if (g->h->loop_waits) {
        emit(k, WGMMA_WAIT, imm(0));
        release(g, &c->release, c->before, c->release.p);
    }
}

/* A main loop for each width. What a narrower tile lacks of the accumulators is zeros. */
static void main_loops(Consumer *c)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    const GenWgmmaPlan *h = g->h;
    PtxArg multiplied = ptx_label(k, "multiplied");
    for (int i = 0; i <= g->plan->config.even; i++) {
        PtxArg other = gen_even_unless(g, GEN_EVEN_COLS * i);
        g->wgmma_n = h->wgmma_n - GEN_EVEN_COLS * i;
        main_loop(c, gen_wgmma_label(g, "main_loop"));
        for (int a = 0; a < g->plan->regs_acc; a++)
            if (a % h->acc_regs >= g->wgmma_n / 2) emit(k, MOV_F32, at(g->acc, a), imm(0));
        emit(k, BRA, multiplied);
        emit(k, LABEL, other);
    }
    emit(k, LABEL, multiplied);
}

/* ---- x by way of registers ---- */

/* Waits for the k-block at hand, and reads its first two k-steps of x. */
static void read_first(Consumer *c)
{
    Wgmma *g = c->g;
    wait_full(g, g->ring);
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
    gen_wgmma_advance(g, g->ring, wgmma_stages(g));
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

/* ---- halves out of step ---- */

enum { HALF_A, HALF_B };

/* c->ahead = the slot at hand; waits until skew_blocks k-blocks from there on have come. */
static void look_ahead(Consumer *c, bool wait)
{
    Wgmma *g = c->g;
    emit(g->k, MOV_B32, c->ahead.slot, g->ring.slot);
    emit(g->k, MOV_B32, c->ahead.phase, g->ring.phase);
    for (int i = 0; wait && i < wgmma_skew(g); i++) {
        wait_full(g, c->ahead);
        gen_wgmma_advance(g, c->ahead, wgmma_stages(g));
    }
    if (wait) emit(g->k, MOV_B32, c->ahead.slot, g->ring.slot);
}

/* Half `half` of the next skew_blocks k-blocks, a group each, or one for all; `first`: of a tile. */
static void multiply_half(Consumer *c, int half, bool first, bool group_each)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    int blocks = wgmma_skew(g);
    look_ahead(c, half == HALF_A); /* for B they have come */
    emit(k, WGMMA_FENCE);
    for (int i = 0; i < blocks; i++) {
        emit(k, SETP_NE_U32, c->product.add, g->consumer, first && i == 0 ? g->consumer : imm(-1));
        multiply(g, &c->product, c->ahead, half, half + 1);
        if (group_each || i == blocks - 1) emit(k, WGMMA_COMMIT);
        gen_wgmma_advance(g, c->ahead, wgmma_stages(g));
    }
}

/* The first skew_blocks k-blocks of a tile, a group each, are done in turn: their slots are free. */
static void finish_blocks(Consumer *c)
{
    Wgmma *g = c->g;
    for (int left = wgmma_skew(g); left > 0; left--) {
        emit(g->k, WGMMA_WAIT, imm(left - 1));
        release(g, &c->release, g->ring.slot, c->release.p);
        gen_wgmma_advance(g, g->ring, wgmma_stages(g));
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
    int blocks = wgmma_skew(g);
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

/* ---- from tile to tile ---- */

static void store_tile(Wgmma *g)
{
    if (wgmma_shares_k(g)) gen_wgmma_exchange(g);
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
    emit(k, DIV_U32, turns, g->ring.slot, imm(wgmma_stages(g)));
    emit(k, REM_U32, g->ring.slot, g->ring.slot, imm(wgmma_stages(g)));
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
    if (wgmma_rounds(g)) gen_wgmma_round_setup(g);
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
    if (wgmma_skew(g)) {
        c.ahead = gen_wgmma_ring(g, "slot_ahead", "phase_ahead");
        c.in_step = word(g, "k_blocks_in_step");
        emit(k, SUB_S32, c.in_step, g->k_blocks, imm(wgmma_skew(g)));
    }
    return c;
}

static void consume_tile(Consumer *c)
{
    Wgmma *g = c->g;
    gen_wgmma_tile_place(g);
    if (g->plan->config.swap) gen_swapped_begin(g);
    else gen_wgmma_store_begin(g);
    if (wgmma_skew(g)) {
        multiply_half(c, HALF_B, true, true);
        finish_blocks(c);
    }
    emit(g->k, MOV_B32, c->block, imm(wgmma_skew(g)));
    ptx_section(g->k, "main loop: one k-block a turn");
    if (g->plan->config.pingpong)
        gen_wgmma_named_barrier(g, g->consumer, BAR_TURN, 2, 2 * GEN_WG_THREADS, false);
    if (g->h->x_way == GEN_X_REGISTERS) main_loop_converted(c);
    else if (wgmma_even(g)) main_loops(c);
    else main_loop(c, ptx_label(g->k, "main_loop"));
    if (wgmma_skew(g)) turn_out_of_step(c);
    else store_tile(g);
}

static void consume_tiles(Consumer *c, PtxArg end)
{
    Wgmma *g = c->g;
    PtxKernel *k = g->k;
    PtxArg next = ptx_label(k, "consume_tile"), done = ptx_label(k, "consumed");
    bool skewed = wgmma_skew(g) > 0, pingpong = g->plan->config.pingpong;
    if (pingpong) pingpong_begin(g);
    if (skewed) multiply_half(c, HALF_A, true, false);
    emit(k, LABEL, next);
    gen_wgmma_leave_without_tile(g, skewed ? done : end);
    consume_tile(c);
    gen_wgmma_next_tile(g);
    if (pingpong) skip_blocks(g, g->k_blocks);
    emit(k, BRA, next);
    if (!skewed) return;
    emit(k, LABEL, done);
    emit(k, WGMMA_WAIT, imm(0)); /* half A of the zeros behind the last tile */
    emit(k, BRA, end);
}

void gen_wgmma_consume(Wgmma *g, PtxArg end)
{
    PtxKernel *k = g->k;
    g->wgmma_n = g->h->wgmma_n;
    consumer_place(g);
    Consumer c = consumer_setup(g);
    if (g->plan->config.swap) gen_swapped_setup(g);
    else gen_wgmma_store_setup(g);
    gen_wgmma_wait_for_cluster(g);
    emit(k, GRID_WAIT);
    emit(k, MOV_B32, g->ring.slot, imm(0));
    emit(k, MOV_B32, g->ring.phase, imm(0));
    gen_wgmma_first_tile(g);
    if (!wgmma_shares_k(g)) {
        consume_tiles(&c, end);
        return;
    }
    consume_tile(&c);
    emit(k, BRA, g->leave);
}
