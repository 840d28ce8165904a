/* mbarrier.c: barriers in shared memory, PTX ISA 9.7.13.15. See mbarrier.h.
 *
 *     a phase ends when no arrival is missing and no byte is expected; then the next one begins
 *     try_wait.parity P says yes when the phase under way has the other parity: the one before has ended
 */
#include "emu/execs.h"

#include <string.h>

#define NOT_READY 0xFFFFFFFFu

enum { MAX_TX_BYTES = (1 << 20) - 1, MAX_COUNT = (1 << 20) - 1, MBARRIER_BYTES = 8 };

/* ---- the table of a block ---- */

static uint32_t *knowledge_of(const Block *b, int i)
{
    return b->mbarriers.knowledge + 2 * (size_t)b->cluster->clocks.n * (size_t)i;
}

void mbarriers_open(Block *b, uint32_t *knowledge, uint32_t *remote)
{
    b->mbarriers.knowledge = knowledge;
    b->mbarriers.remote = remote;
}

void mbarriers_new_block(Block *b)
{
    b->mbarriers.n = 0;
    memset(b->mbarriers.remote, 0, (size_t)b->cluster->clocks.n_warps * sizeof *b->mbarriers.remote);
}

void mbarriers_drop(Block *b)
{
    for (int i = 0; i < b->mbarriers.n; i++) {
        const Mbarrier *m = &b->mbarriers.barrier[i];
        races_copy_landed(&b->races, m->init_actor, m->offset, MBARRIER_BYTES);
    }
}

static Mbarrier *find(Block *b, uint32_t offset)
{
    for (int i = 0; i < b->mbarriers.n; i++)
        if (b->mbarriers.barrier[i].offset == offset) return &b->mbarriers.barrier[i];
    return NULL;
}

static const uint32_t *known(const Warp *w) { return clocks_known(&w->block->cluster->clocks, w->actor); }

static bool made_it(const Warp *w, int lane, const Mbarrier *m)
{
    return m->init_actor == w->actor && m->init_lane == lane;
}

/* The mbarrier at an address of block b, which the warp knows to be initialised. */
static Mbarrier *find_for(Warp *w, int lane, Block *b, uint32_t address)
{
    uint32_t offset = shared_offset(w, lane, address, MBARRIER_BYTES, MBARRIER_BYTES, "uses an mbarrier of");
    Mbarrier *m = find(b, offset);
    if (!m) trap(w, lane, TRAP_BARRIER, "there is no initialised mbarrier at byte %u of smem", offset);
    if (known(w)[m->init_actor] < m->init_clock && !made_it(w, lane, m))
        trap(w, lane, TRAP_RACE,
             "the mbarrier at byte %u of smem was initialised by thread %d at line %d, with no barrier "
             "between",
             offset, m->init_actor % b->n_warps * LANES + m->init_lane,
             w->block->program->inst[m->init_pc].line);
    return m;
}

Mbarrier *mbarrier_for_copy(Warp *w, int lane, Block *b, uint32_t address)
{
    Mbarrier *m = find_for(w, lane, b, address);
    bool ready = m->ready_clock != NOT_READY &&
                 (known(w)[m->init_actor] >= m->ready_clock || made_it(w, lane, m));
    if (!ready)
        trap(w, lane, TRAP_BARRIER,
             "the initialisation of the mbarrier at byte %u of smem is not known to be visible to copies: no "
             "fence.mbarrier_init (or fence.proxy.async) stands between",
             m->offset);
    return m;
}

/* ---- initialisation ---- */

static void init(Warp *w, int lane, uint32_t address, uint32_t count)
{
    Block *b = w->block;
    Cluster *c = b->cluster;
    Mbarriers *all = &b->mbarriers;
    uint32_t offset = shared_offset(w, lane, address, MBARRIER_BYTES, MBARRIER_BYTES, "makes an mbarrier of");
    if (count < 1 || count > MAX_COUNT)
        trap(w, lane, TRAP_BARRIER, "an mbarrier cannot wait for %u arrivals", count);
    if (all->n == MAX_MBARRIERS)
        trap(w, lane, TRAP_BARRIER, "the emulator follows no more than %d mbarriers a block", MAX_MBARRIERS);
    Conflict conflict = races_copy_issued(&b->races, w->actor, w->actor, lane, c->pc, offset, MBARRIER_BYTES);
    if (conflict.with) trap_race(w, lane, &conflict, b, "makes an mbarrier of");
    Mbarrier *m = &all->barrier[all->n];
    *m = (Mbarrier){.offset = offset,
                    .expected = count,
                    .pending = count,
                    .actor = c->clocks.n - (b->rank + 1) * MAX_MBARRIERS + all->n,
                    .init_actor = w->actor,
                    .init_lane = lane,
                    .init_pc = c->pc,
                    .init_clock = c->clocks.now[w->actor],
                    .ready_clock = NOT_READY,
                    .arriving = knowledge_of(b, 2 * all->n),
                    .done = knowledge_of(b, 2 * all->n + 1)};
    memset(m->arriving, 0, 4 * (size_t)c->clocks.n * sizeof *m->arriving);
    all->n++;
}

void exec_MBARRIER_INIT(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t address[LANES];
    const uint32_t *count = read_row(w, in, 1);
    shared_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) init(w, (int)l, address[l], count[l]);
}

void mbarriers_fence(Warp *w, uint32_t lanes)
{
    Mbarriers *all = &w->block->mbarriers;
    for (int i = 0; i < all->n; i++) {
        Mbarrier *m = &all->barrier[i];
        if (m->init_actor == w->actor && (lanes >> m->init_lane & 1) && m->ready_clock == NOT_READY)
            m->ready_clock = w->block->cluster->clocks.now[w->actor];
    }
}

void exec_FENCE_MBARRIER_INIT(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)in;
    mbarriers_fence(w, lanes);
}

/* ---- arrivals ---- */

static void settle(Cluster *c, Mbarrier *m)
{
    if (m->pending || m->tx_bytes) return;
    memcpy(m->done, m->arriving, 2 * (size_t)c->clocks.n * sizeof *m->done);
    m->pending = m->expected;
    m->phase++;
    c->events++;
}

static void expect(Warp *w, int lane, Mbarrier *m, uint32_t bytes)
{
    m->tx_bytes += bytes;
    if (m->tx_bytes > MAX_TX_BYTES)
        trap(w, lane, TRAP_BARRIER, "the mbarrier at byte %u of smem would expect %lld B; it can count %d",
             m->offset, (long long)m->tx_bytes, MAX_TX_BYTES);
}

/* `together`: lanes that arrive by this instruction. */
static void arrive(Warp *w, int lane, uint32_t together, Mbarrier *m)
{
    Cluster *c = w->block->cluster;
    if (!m->pending)
        trap(w, lane, TRAP_BARRIER,
             "all %u arrivals of phase %u of the mbarrier at byte %u of smem have come already (%lld B are "
             "missing)",
             m->expected, m->phase, m->offset, (long long)m->tx_bytes);
    m->pending--;
    clocks_release(&c->clocks, w->actor, together, m->arriving);
    c->events++;
    settle(c, m);
}

void exec_MBARRIER_ARRIVE(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t address[LANES];
    shared_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) arrive(w, (int)l, lanes, find_for(w, (int)l, w->block, address[l]));
}

void exec_MBARRIER_EXPECT_TX(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t address[LANES];
    const uint32_t *bytes = read_row(w, in, 1);
    shared_addresses(w, in, 0, address);
    EACH_LANE(l, lanes)
    {
        Mbarrier *m = find_for(w, (int)l, w->block, address[l]);
        expect(w, (int)l, m, bytes[l]);
        arrive(w, (int)l, lanes, m);
    }
}

/* An arrival in another block: that block must live, and must know of it before it ends. */
static void arrive_remotely(Warp *w, int lane, uint32_t together, uint32_t address)
{
    const Clocks *clocks = &w->block->cluster->clocks;
    Block *b = cluster_block(w, lane, &address);
    if (!b->live)
        trap(w, lane, TRAP_LIFETIME, "arrives at an mbarrier of block %d of the cluster, which has ended",
             b->rank);
    if (b != w->block) b->mbarriers.remote[w->actor] = clocks->now[w->actor];
    arrive(w, lane, together, find_for(w, lane, b, address));
}

void exec_MBARRIER_ARRIVE_CLUSTER(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t address[LANES];
    shared_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) arrive_remotely(w, (int)l, lanes, address[l]);
}

void mbarrier_complete_bytes(Cluster *c, Mbarrier *m, uint32_t bytes)
{
    m->landed_clock = clocks_done(&c->clocks, m->actor);
    clocks_learn(&c->clocks, m->arriving, m->actor, m->landed_clock);
    m->tx_bytes -= bytes;
    c->events++;
    settle(c, m);
}

/* ---- waiting ---- */

static bool ended(Warp *w, int lane, Mbarrier *m, uint32_t parity)
{
    if (parity > 1) trap(w, lane, TRAP_BARRIER, "a parity is 0 or 1, not %u", parity);
    if ((m->phase & 1) == parity) return false;
    clocks_acquire(&w->block->cluster->clocks, w->actor, m->done);
    return true;
}

void exec_MBARRIER_TRY_WAIT(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t address[LANES], *p = write_row(w, in, 0), yes = 0;
    const uint32_t *parity = read_row(w, in, 2);
    shared_addresses(w, in, 1, address);
    EACH_LANE(l, lanes)
    {
        Mbarrier *m = find_for(w, (int)l, w->block, address[l]);
        if (ended(w, (int)l, m, parity[l])) {
            yes |= 1u << l;
        } else {
            w->mbarrier = m;
            w->mbarrier_phase = m->phase;
        }
    }
    if (lanes & ~yes) wait_at(w, AT_MBARRIER, false);
    *p = (*p & ~lanes) | yes;
}

/* ---- the end of a block ---- */

/* The latest clock of an actor that any warp of the block knows. */
static uint32_t block_knows(const Block *b, int actor)
{
    uint32_t latest = 0;
    for (int i = 0; i < b->n_warps; i++) {
        uint32_t clock = known(&b->warp[i])[actor];
        if (clock > latest) latest = clock;
    }
    return latest;
}

void mbarriers_end_block(Warp *last)
{
    Block *b = last->block;
    for (int i = 0; i < b->mbarriers.n; i++) {
        const Mbarrier *m = &b->mbarriers.barrier[i];
        if (m->landed_clock > block_knows(b, m->actor))
            trap(last, 0, TRAP_LIFETIME,
                 "the block ends, and has not waited for the TMA loads that the mbarrier at byte %u of its "
                 "smem counts",
                 m->offset);
    }
    for (int a = 0; a < b->cluster->clocks.n_warps; a++)
        if (b->mbarriers.remote[a] > block_knows(b, a))
            trap(last, 0, TRAP_LIFETIME,
                 "the block ends, and has not waited for what warp %d of block %d of the cluster did here, "
                 "an arrival at an mbarrier or a store",
                 a % b->n_warps, a / b->n_warps);
}
