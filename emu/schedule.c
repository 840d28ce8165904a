/* schedule.c: which warp of a cluster goes on, and for how long; everything is drawn from the cluster's seed.
 *
 * A runnable warp is drawn at random and executes a random number of instructions; how long
 * such bursts may be is drawn once a cluster, so that both fine and coarse interleavings come up. A warp
 * stops where it must wait and at its end. Copies of the TMA move on between bursts, now and then or only
 * when no warp can: that too is drawn once a cluster. A warp whose try_wait said no stands aside until the
 * phase ends; sometimes it is answered no once more. When nobody can go on and nothing is under way, warps at
 * a try_wait get some more answers, in case they have something else to do; then it is a deadlock.
 */
#include "emu/machine.h"

#include <stdio.h>

/* splitmix64 */
uint64_t cluster_draw(Cluster *c)
{
    uint64_t z = c->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void wait_at(Warp *w, Wait wait, bool again)
{
    const Cluster *c = w->block->cluster;
    w->wait = wait;
    w->wait_pc = c->pc;
    w->wait_event = c->events;
    w->retry = again;
}

static bool ready(const Warp *w)
{
    switch (w->wait) {
    case NOT_WAITING: return true;
    case AT_BARRIER: return false; /* barrier.c lets it go */
    case AT_MBARRIER: return w->mbarrier->phase != w->mbarrier_phase;
    case AT_CLUSTER:
    case AT_WARPGROUP:
    case AT_REGISTERS: break;
    }
    return w->block->cluster->events != w->wait_event;
}

typedef struct Warps {
    Warp *at[MAX_CLUSTER * MAX_WARPS];
    uint32_t n;
} Warps;

static void sort_warps(const Cluster *c, Warps *can_run, Warps *at_mbarrier, Warps *stuck)
{
    can_run->n = at_mbarrier->n = stuck->n = 0;
    for (int b = 0; b < c->n_blocks; b++)
        for (int i = 0; i < c->block[b]->n_warps; i++) {
            Warp *w = &c->block[b]->warp[i];
            if (!w->alive) continue;
            Warps *to = ready(w) ? can_run : w->wait == AT_MBARRIER ? at_mbarrier : stuck;
            to->at[to->n++] = w;
        }
}

static size_t describe_wait(const Warp *w, char *out, size_t bytes)
{
    char who[48], what[80] = "";
    int line = w->block->program->inst[w->wait_pc].line, n = snprintf(who, sizeof who, "warp %d", w->index);
    if (w->block->rank)
        snprintf(who + n, sizeof who - (size_t)n, " of block %d of the cluster", w->block->rank);
    switch (w->wait) {
    case AT_BARRIER: snprintf(what, sizeof what, "bar.sync %d", w->barrier); break;
    case AT_MBARRIER:
        snprintf(what, sizeof what, "line %d for the mbarrier at byte %u of smem", line, w->mbarrier->offset);
        break;
    case AT_CLUSTER: snprintf(what, sizeof what, "barrier.cluster.wait"); break;
    case AT_REGISTERS: snprintf(what, sizeof what, "line %d for registers", line); break;
    case AT_WARPGROUP: snprintf(what, sizeof what, "line %d for its warpgroup", line); break;
    case NOT_WAITING: break;
    }
    return (size_t)snprintf(out, bytes, "%s at %s", who, what);
}

static _Noreturn void deadlock(Cluster *c, const Warps *at_mbarrier, const Warps *stuck)
{
    char text[240];
    size_t n = 0;
    Warp *first = at_mbarrier->n ? at_mbarrier->at[0] : stuck->at[0];
    for (uint32_t i = 0; i < at_mbarrier->n + stuck->n && n < sizeof text - 100; i++) {
        const Warp *w = i < at_mbarrier->n ? at_mbarrier->at[i] : stuck->at[i - at_mbarrier->n];
        if (n) n += (size_t)snprintf(text + n, sizeof text - n, ", ");
        n += describe_wait(w, text + n, sizeof text - n);
    }
    c->pc = first->wait_pc;
    trap(first, first_lane(first->alive), TRAP_DEADLOCK,
         "every warp waits at a barrier that the others do not reach: %s", text);
}

/* Nobody can go on: a try_wait answers no once more, unless that has been done in vain often enough. */
static Warp *answer_no(Cluster *c, const Warps *at_mbarrier)
{
    enum { ANSWERS = 16 };
    if (c->events != c->idle_event) c->idle = 0;
    c->idle_event = c->events;
    if (!at_mbarrier->n || c->idle++ >= ANSWERS * (int)at_mbarrier->n) return NULL;
    return at_mbarrier->at[cluster_draw(c) % at_mbarrier->n];
}

/* NULL when all warps have ended. */
static Warp *draw_warp(Cluster *c)
{
    enum { SELDOM = 64 };
    Warps can_run, at_mbarrier, stuck;
    for (;;) {
        sort_warps(c, &can_run, &at_mbarrier, &stuck);
        if (can_run.n && at_mbarrier.n && cluster_draw(c) % SELDOM == 0)
            return at_mbarrier.at[cluster_draw(c) % at_mbarrier.n];
        if (can_run.n) return can_run.at[cluster_draw(c) % can_run.n];
        if (!at_mbarrier.n && !stuck.n) return NULL;
        if (transfers_step(c)) continue;
        Warp *w = answer_no(c, &at_mbarrier);
        if (w) return w;
        deadlock(c, &at_mbarrier, &stuck);
    }
}

/* The last lanes of a warp have returned. */
static void end_warp(Warp *w)
{
    Block *b = w->block;
    b->live--;
    b->cluster->events++;
    if (!b->live) {
        transfers_end_block(w);
        mbarriers_end_block(w);
    }
    barriers_settle(b);
    cluster_barrier_settle(b->cluster);
}

void schedule(Cluster *c)
{
    static const uint32_t longest_burst[] = {1, 4, 16, 64, 256};
    uint32_t longest = longest_burst[cluster_draw(c) % 5];
    Warp *w;
    while ((w = draw_warp(c)) != NULL) {
        uint32_t burst = 1 + (uint32_t)(cluster_draw(c) % longest);
        w->wait = NOT_WAITING;
        while (burst-- && w->alive && !w->wait) machine_step(c, w);
        if (!w->alive) end_warp(w);
        if (c->transfers.n && cluster_draw(c) % c->transfers.patience == 0) transfers_step(c);
    }
}
