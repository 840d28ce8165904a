/* barrier.c: the barriers that hardware counts: bar.sync and bar.arrive of a block, barrier.cluster. */
#include "emu/execs.h"

#include <string.h>

/* ---- bar.sync, bar.arrive, PTX ISA 9.7.13.1 ----
 *
 * A barrier is for all warps of the block that have not ended, or for as many threads as the instruction
 * says; a warp counts as 32. The last to arrive opens it for those who wait, and it begins anew. */

void barriers_open(Block *b, uint32_t *knowledge)
{
    for (int i = 0; i < N_BARRIERS; i++)
        b->barrier[i].knowledge = knowledge + 2 * (size_t)b->cluster->clocks.n * (size_t)i;
}

static void reset(Block *b, NamedBarrier *n)
{
    n->arrived = n->waiting = 0;
    memset(n->knowledge, 0, 2 * (size_t)b->cluster->clocks.n * sizeof *n->knowledge);
}

void barriers_new_block(Block *b)
{
    for (int i = 0; i < N_BARRIERS; i++) reset(b, &b->barrier[i]);
}

static bool complete(const Block *b, const NamedBarrier *n)
{
    if (n->threads) return (uint32_t)count_lanes(n->arrived) * LANES == n->threads;
    for (int i = 0; i < b->n_warps; i++)
        if (b->warp[i].alive && !(n->arrived >> i & 1)) return false;
    return true;
}

static void settle(Block *b, NamedBarrier *n)
{
    if (!n->arrived || !complete(b, n)) return;
    EACH_LANE(i, n->waiting)
    {
        b->warp[i].wait = NOT_WAITING;
        clocks_acquire(&b->cluster->clocks, b->warp[i].actor, n->knowledge);
    }
    acquired_barrier(&b->acquired, n->waiting);
    reset(b, n);
    b->cluster->events++;
}

void barriers_settle(Block *b)
{
    for (int i = 0; i < N_BARRIERS; i++) settle(b, &b->barrier[i]);
}

static void arrive(Warp *w, int id, uint32_t threads, bool waits)
{
    Block *b = w->block;
    NamedBarrier *n = &b->barrier[id];
    uint32_t self = 1u << w->index;
    if (threads % LANES)
        trap(w, 0, TRAP_BARRIER, "a barrier is for whole warps; %u threads are not a multiple of 32",
             threads);
    if (threads > (uint32_t)b->n_warps * LANES)
        trap(w, 0, TRAP_BARRIER, "barrier %d is for %u threads; the block has %d", id, threads, b->n_threads);
    if (n->arrived && n->threads != threads)
        trap(w, 0, TRAP_BARRIER, "barrier %d is for %u threads here, for %u where another warp arrived", id,
             threads, n->threads);
    if (n->arrived & self) trap(w, 0, TRAP_BARRIER, "the warp has arrived at barrier %d already", id);
    n->threads = threads;
    n->arrived |= self;
    clocks_release(&b->cluster->clocks, w->actor, ALL_LANES, n->knowledge);
    count(&b->counters, COUNT_barriers, 1);
    if (waits) {
        n->waiting |= self;
        w->barrier = id;
        wait_at(w, AT_BARRIER, false);
    }
    settle(b, n);
}

void exec_BAR_SYNC(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)lanes;
    arrive(w, (int)in->arg[0].imm, 0, true);
}

void exec_BAR_SYNC_SOME(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)lanes;
    arrive(w, (int)in->arg[0].imm, (uint32_t)in->arg[1].imm, true);
}

void exec_BAR_ARRIVE(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)lanes;
    arrive(w, (int)in->arg[0].imm, (uint32_t)in->arg[1].imm, false);
}

/* ---- barrier.cluster, PTX ISA 9.7.13.3: for all warps of the cluster that have not ended ---- */

static bool all_arrived(const Cluster *c)
{
    bool any = false;
    for (int r = 0; r < c->n_blocks; r++)
        for (int i = 0; i < c->block[r]->n_warps; i++) {
            const Warp *w = &c->block[r]->warp[i];
            if (w->alive && w->cluster_barrier != ARRIVED) return false;
            any |= w->alive != 0;
        }
    return any;
}

void cluster_barrier_settle(Cluster *c)
{
    if (!all_arrived(c)) return;
    size_t bytes = 2 * (size_t)c->clocks.n * sizeof *c->arriving;
    memcpy(c->arrived, c->arriving, bytes);
    memset(c->arriving, 0, bytes);
    for (int r = 0; r < c->n_blocks; r++)
        for (int i = 0; i < c->block[r]->n_warps; i++) c->block[r]->warp[i].cluster_barrier = OPENED;
    c->events++;
}

void exec_CLUSTER_ARRIVE(Warp *w, const Inst *in, uint32_t lanes)
{
    Cluster *c = w->block->cluster;
    (void)in;
    if (w->cluster_barrier != AWAY)
        trap(w, first_lane(lanes), TRAP_BARRIER, "the warp has arrived already, and has not waited since");
    w->cluster_barrier = ARRIVED;
    clocks_release(&c->clocks, w->actor, ALL_LANES, c->arriving);
    cluster_barrier_settle(c);
}

void exec_CLUSTER_WAIT(Warp *w, const Inst *in, uint32_t lanes)
{
    Cluster *c = w->block->cluster;
    (void)in;
    if (w->cluster_barrier == AWAY)
        trap(w, first_lane(lanes), TRAP_BARRIER, "the warp waits without having arrived");
    if (w->cluster_barrier == ARRIVED) {
        wait_at(w, AT_CLUSTER, true);
        return;
    }
    w->cluster_barrier = AWAY;
    clocks_acquire(&c->clocks, w->actor, c->arrived);
}
