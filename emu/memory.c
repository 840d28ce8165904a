/* memory.c: loads and stores, and the checks that every access of any file goes through.
 *
 * Shared memory: naturally aligned, inside the launch's dynamic array, ordered behind what other warps did
 * (race.c). Global memory: naturally aligned, inside one live allocation; what blocks read of each other's
 * writes must have been handed over (publish.c). Stores of different threads to one place of global memory
 * are not followed.
 */
#include "emu/execs.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/* ---- checks ---- */

static _Noreturn void trap_shared_range(Warp *w, int lane, uint32_t address, uint32_t bytes, const char *verb)
{
    uint32_t size = w->block->launch->shared_bytes;
    int64_t offset = (int64_t)address - SHARED_BASE;
    if (address >> CLUSTER_SHIFT)
        trap(w, lane, TRAP_OUT_OF_BOUNDS,
             "%s %u B of shared memory at 0x%x, an address of the cluster's window (mapa), as only arrivals, "
             "TMA loads and .shared::cluster take it",
             verb, bytes, address);
    if (offset < 0)
        trap(w, lane, TRAP_OUT_OF_BOUNDS,
             "%s %u B of shared memory at 0x%x, which is before the array (it starts at 0x%x)", verb, bytes,
             address, SHARED_BASE);
    trap(w, lane, TRAP_OUT_OF_BOUNDS,
         "%s %u B of shared memory at byte %lld of smem, %lld B behind the end of its %u B", verb, bytes,
         (long long)offset, (long long)(offset + bytes - size), size);
}

uint32_t shared_offset(Warp *w, int lane, uint32_t address, uint32_t bytes, uint32_t align, const char *verb)
{
    uint32_t offset = address - SHARED_BASE, size = w->block->launch->shared_bytes;
    if (address & (align - 1))
        trap(w, lane, TRAP_MISALIGNED, "%s %u B of shared memory at 0x%x, which is not a multiple of %u",
             verb, bytes, address, align);
    if (offset >= size || bytes > size - offset) trap_shared_range(w, lane, address, bytes, verb);
    return offset;
}

/* In a cluster, of a block's own shared memory too: as the block itself knows it. */
uint32_t shared_window(const Block *b)
{
    return b->cluster->n_blocks > 1 ? (uint32_t)(b->rank + 1) << CLUSTER_SHIFT : 0;
}

static uint32_t own_address(const Warp *w, uint32_t address)
{
    const uint32_t inside = (1u << CLUSTER_SHIFT) - 1;
    return (address & ~inside) == shared_window(w->block) ? address & inside : address;
}

Block *cluster_block(Warp *w, int lane, uint32_t *address)
{
    Cluster *c = w->block->cluster;
    uint32_t window = *address >> CLUSTER_SHIFT;
    *address &= (1u << CLUSTER_SHIFT) - 1;
    if (!window) return w->block;
    if (window > (uint32_t)c->n_blocks)
        trap(w, lane, TRAP_OUT_OF_BOUNDS, "the address is in block %u of a cluster of %d", window - 1,
             c->n_blocks);
    return c->block[window - 1];
}

/* What holds the bytes: "the cp.async of line 12 (thread 3) to it is in flight". */
static void describe_work(const Warp *w, const Conflict *c, const char *thread, char *out, size_t bytes)
{
    const Inst *in = &w->block->program->inst[c->pc];
    if (in->op == PTX_MBARRIER_INIT)
        snprintf(out, bytes, "which belongs to the mbarrier of line %d", in->line);
    else if (in->op == PTX_TMA_LOAD || in->op == PTX_TMA_LOAD_HINT || in->op == PTX_TMA_LOAD_MULTICAST)
        snprintf(out, bytes, "while the TMA load of line %d to it is in flight", in->line);
    else snprintf(out, bytes, "while the cp.async of line %d (%s) to it is in flight", in->line, thread);
}

static void describe_actor(const Warp *w, const Conflict *c, char *out, size_t bytes)
{
    const Cluster *cluster = w->block->cluster;
    const int warps = w->block->n_warps, index = c->actor % warps, rank = c->actor / warps;
    int n = 0;
    if (c->actor >= cluster->clocks.n_warps) {
        bool read = c->with == WITH_READ || c->with == WITH_READ_IN_FLIGHT;
        snprintf(out, bytes, "%s", read ? "a wgmma" : "a TMA load");
        return;
    }
    if (c->lane < 0) n = snprintf(out, bytes, "warp %d", index);
    else n = snprintf(out, bytes, "thread %d", index * LANES + c->lane);
    if (rank != w->block->rank) snprintf(out + n, bytes - (size_t)n, " of block %d of the cluster", rank);
}

_Noreturn void trap_race(Warp *w, int lane, const Conflict *c, const Block *b, const char *verb)
{
    long long byte = (long long)c->granule * GRANULE;
    int line = w->block->program->inst[c->pc].line;
    const char *missing = c->actor == w->actor ? "bar.warp.sync" : "barrier";
    char who[64], work[160], where[64] = "smem";
    if (b != w->block) snprintf(where, sizeof where, "the smem of block %d of the cluster", b->rank);
    describe_actor(w, c, who, sizeof who);
    switch (c->with) {
    case WITH_WORK_IN_FLIGHT:
        describe_work(w, c, who, work, sizeof work);
        trap(w, lane, TRAP_RACE, "%s byte %lld of %s %s", verb, byte, where, work);
    case WITH_WRITE:
        trap(w, lane, TRAP_RACE, "%s byte %lld of %s, which %s wrote at line %d, with no %s between", verb, byte,
             where, who, line, missing);
    case WITH_UNFENCED_WRITE:
        trap(w, lane, TRAP_RACE,
             "%s byte %lld of %s, which %s wrote at line %d, with no fence.proxy.async of its own before the "
             "barrier",
             verb, byte, where, who, line);
    case WITH_READ_IN_FLIGHT:
        trap(w, lane, TRAP_RACE, "%s byte %lld of %s, which %s reads: nobody has waited for that", verb, byte,
             where, c->actor >= w->block->cluster->clocks.n_warps ? who : "a TMA store");
    default:
        trap(w, lane, TRAP_RACE, "%s byte %lld of %s, which %s read, with no %s between", verb, byte, where, who,
             missing);
    }
}

/* For this lane, or ALL_OF_WARP. */
static unsigned char *shared_read(Warp *w, int lane, int reader, uint32_t address, uint32_t bytes)
{
    uint32_t offset = shared_offset(w, lane, address, bytes, bytes, "reads");
    Conflict c = races_read(&w->block->races, w->actor, reader, offset, bytes);
    if (c.with) trap_race(w, lane, &c, w->block, "reads");
    return w->block->shared + offset;
}

unsigned char *shared_for_read(Warp *w, int lane, uint32_t address, uint32_t bytes)
{
    return shared_read(w, lane, lane, address, bytes);
}

const unsigned char *shared_for_matrix(Warp *w, int lane, uint32_t address, uint32_t bytes)
{
    return shared_read(w, lane, ALL_OF_WARP, address, bytes);
}

unsigned char *shared_for_write(Warp *w, int lane, uint32_t address, uint32_t bytes)
{
    uint32_t offset = shared_offset(w, lane, address, bytes, bytes, "writes");
    Block *b = w->block;
    Conflict c = races_write(&b->races, w->actor, lane, b->cluster->pc, offset, bytes);
    if (c.with) trap_race(w, lane, &c, b, "writes");
    w->unfenced |= 1u << lane;
    return b->shared + offset;
}

void shared_for_copy(Warp *w, int lane, uint32_t address, uint32_t bytes)
{
    uint32_t offset = shared_offset(w, lane, address, bytes, bytes, "copies to");
    Block *b = w->block;
    Conflict c = races_copy_issued(&b->races, w->actor, w->actor, lane, b->cluster->pc, offset, bytes);
    if (c.with) trap_race(w, lane, &c, b, "copies to");
    w->unfenced |= 1u << lane;
}

/* A fence makes visible what its own lanes wrote; the clock is the warp's, so all that did must have fenced.
 */
void exec_FENCE_PROXY_ASYNC(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)in;
    w->unfenced &= ~lanes;
    mbarriers_fence(w, lanes);
    if (!w->unfenced) clocks_fence_proxy(&w->block->cluster->clocks, w->actor);
}

/* PTX ISA 9.7.9.23. */
void exec_MAPA(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t *to = write_row(w, in, 0);
    const uint32_t *address = read_row(w, in, 1), *rank = read_row(w, in, 2);
    EACH_LANE(l, lanes)
    {
        if (rank[l] >= (uint32_t)w->block->cluster->n_blocks)
            trap(w, (int)l, TRAP_OUT_OF_BOUNDS, "there is no block %u in a cluster of %d", rank[l],
                 w->block->cluster->n_blocks);
        uint32_t own = own_address(w, address[l]);
        if (own >> CLUSTER_SHIFT)
            trap(w, (int)l, TRAP_OUT_OF_BOUNDS, "0x%x is not an address of the own block's shared memory",
                 address[l]);
        to[l] = (rank[l] + 1) << CLUSTER_SHIFT | own;
    }
}

static const DeviceRange *find_range(Block *b, uint64_t address)
{
    for (int i = 0; i < 4; i++)
        if (address - b->recent[i].base < b->recent[i].bytes) return &b->recent[i];
    const DeviceRange *found = device_find(address);
    if (!found) return NULL;
    DeviceRange *slot = &b->recent[b->next_recent++ & 3];
    *slot = *found;
    return slot;
}

/* Where an allocation has them. */
static unsigned char *allocated_bytes(Warp *w, int lane, uint64_t address, uint32_t bytes, const char *verb)
{
    const DeviceRange *range = find_range(w->block, address);
    uint64_t offset = range ? address - range->base : 0;
    if (range && bytes <= range->bytes - offset) return range->host + offset;
    char where[128];
    device_describe(address, bytes, where, sizeof where);
    trap(w, lane, TRAP_OUT_OF_BOUNDS, "%s %u B of global memory at 0x%llx, %s", verb, bytes,
         (unsigned long long)address, where);
}

unsigned char *global_bytes(Warp *w, int lane, uint64_t address, uint32_t bytes, uint32_t align,
                            const char *verb)
{
    if (address & (align - 1))
        trap(w, lane, TRAP_MISALIGNED, "%s %u B of global memory at 0x%llx, which is not a multiple of %u",
             verb, bytes, (unsigned long long)address, align);
    if ((w->block->launch->early || w->block->program->may_start_early) && !(w->grid_waited >> lane & 1))
        trap(w, lane, TRAP_RACE,
             "%s %u B of global memory at 0x%llx, and has not met griddepcontrol.wait: "
             "the kernel before may still run",
             verb, bytes, (unsigned long long)address);
    return allocated_bytes(w, lane, address, bytes, verb);
}

/* ---- parameters ---- */

static void load_param(Warp *w, const Inst *in, uint32_t lanes, uint32_t bytes)
{
    unsigned char *to = write_row(w, in, 0);
    const unsigned char *from = w->block->launch->params + in->arg[1].imm;
    EACH_LANE(l, lanes) memcpy(to + l * bytes, from, bytes);
}

void exec_LD_PARAM_B32(Warp *w, const Inst *in, uint32_t lanes) { load_param(w, in, lanes, 4); }
void exec_LD_PARAM_B64(Warp *w, const Inst *in, uint32_t lanes) { load_param(w, in, lanes, 8); }
void exec_LD_PARAM_F32(Warp *w, const Inst *in, uint32_t lanes) { load_param(w, in, lanes, 4); }

/* The address of a parameter, in its state space, and as a generic one. */
void exec_PARAM_ADDRESS(Warp *w, const Inst *in, uint32_t lanes)
{
    uint64_t *to = write_row(w, in, 0);
    EACH_LANE(l, lanes) to[l] = PARAM_BASE + (uint64_t)in->arg[1].imm;
}

void exec_CVTA_PARAM(Warp *w, const Inst *in, uint32_t lanes)
{
    uint64_t *to = write_row(w, in, 0);
    const uint64_t *from = read_row(w, in, 1);
    EACH_LANE(l, lanes) to[l] = PARAM_WINDOW + from[l];
}

/* ---- cache policies, PTX ISA 9.7.9.18: hints at performance alone ---- */

static const uint64_t EVICT_FIRST = 0x7E45054D0EF10000; /* its bits are nobody's business */

void exec_CREATE_POLICY(Warp *w, const Inst *in, uint32_t lanes)
{
    uint64_t *policy = write_row(w, in, 0);
    EACH_LANE(l, lanes) policy[l] = EVICT_FIRST;
}

void check_policies(Warp *w, const Inst *in, int arg, uint32_t lanes)
{
    const uint64_t *policy = read_row(w, in, arg);
    EACH_LANE(l, lanes)
    if (policy[l] != EVICT_FIRST)
        trap(w, (int)l, TRAP_POLICY, "0x%llx is no cache policy that createpolicy made",
             (unsigned long long)policy[l]);
}

/* ---- global memory ---- */

void global_addresses(const Warp *w, const Inst *in, int arg, uint64_t address[LANES])
{
    const uint64_t *base = (const uint64_t *)(w->registers + in->arg[arg].row);
    for (int l = 0; l < LANES; l++) address[l] = base[l] + (uint64_t)in->arg[arg].imm;
}

const unsigned char *global_for_read(Warp *w, int lane, uint64_t address, uint32_t bytes, uint32_t align,
                                     const char *verb)
{
    const Block *b = w->block;
    Publications *p = b->cluster->publications;
    uint64_t writer;
    if (p && !publications_known(p, &b->acquired, b->index, w->index, address, &writer))
        trap(w, lane, TRAP_RACE, "reads global memory at 0x%llx, which block %llu wrote and has not handed over",
             (unsigned long long)address, (unsigned long long)writer);
    return global_bytes(w, lane, address, bytes, align, verb);
}

/* Vector accesses of `n` registers, which are consecutive rows. */
static void load_global(Warp *w, const Inst *in, uint32_t lanes, uint32_t bytes, uint32_t n)
{
    uint64_t address[LANES];
    unsigned char *to = write_row(w, in, 0);
    Counters *c = &w->block->counters;
    global_addresses(w, in, 1, address);
    count(c, COUNT_global_load_requests, 1);
    count(c, COUNT_global_load_sectors, (uint64_t)count_sectors(address, bytes * n, lanes));
    count(c, COUNT_global_bytes_loaded, (uint64_t)count_lanes(lanes) * bytes * n);
    EACH_LANE(l, lanes) {
        const unsigned char *from = global_for_read(w, (int)l, address[l], bytes * n, bytes * n, "reads");
        for (uint32_t i = 0; i < n; i++) memcpy(to + (i * LANES + l) * bytes, from + i * bytes, bytes);
    }
}

static _Noreturn void no_memory(Warp *w, int lane)
{
    trap(w, lane, TRAP_RACE, "the host has no memory to follow what blocks write");
}

static void note_write(Warp *w, int lane, uint64_t address, uint32_t bytes)
{
    const Block *b = w->block;
    Publications *p = b->cluster->publications;
    if (p && !publications_wrote(p, &b->races, b->index, w->index, address, bytes)) no_memory(w, lane);
}

static void store_global(Warp *w, const Inst *in, uint32_t lanes, uint32_t bytes, uint32_t n)
{
    uint64_t address[LANES];
    const unsigned char *from = read_row(w, in, 1);
    Counters *c = &w->block->counters;
    global_addresses(w, in, 0, address);
    count(c, COUNT_global_store_requests, 1);
    count(c, COUNT_global_store_sectors, (uint64_t)count_sectors(address, bytes * n, lanes));
    count(c, COUNT_global_bytes_stored, (uint64_t)count_lanes(lanes) * bytes * n);
    count(c, COUNT_global_elements_stored, (uint64_t)count_lanes(lanes) * n);
    EACH_LANE(l, lanes) {
        unsigned char *to = global_bytes(w, (int)l, address[l], bytes * n, bytes * n, "writes");
        for (uint32_t i = 0; i < n; i++) memcpy(to + i * bytes, from + (i * LANES + l) * bytes, bytes);
        note_write(w, (int)l, address[l], bytes * n);
    }
}

#define LOAD_GLOBAL(form, bytes, n)                                                                           \
    void exec_LD_GLOBAL_##form(Warp *w, const Inst *in, uint32_t lanes) { load_global(w, in, lanes, bytes, n); }
#define LOAD_GLOBAL_HINT(form, bytes, n)                                                                      \
    void exec_LD_GLOBAL_##form(Warp *w, const Inst *in, uint32_t lanes)                                       \
    {                                                                                                         \
        check_policies(w, in, 2, lanes);                                                                      \
        load_global(w, in, lanes, bytes, n);                                                                  \
    }
LOAD_GLOBAL(B16, 2, 1)
LOAD_GLOBAL(V4_B32, 4, 4)
LOAD_GLOBAL(V4_F32, 4, 4)
LOAD_GLOBAL(F32, 4, 1)
LOAD_GLOBAL_HINT(V4_HINT, 4, 4)
LOAD_GLOBAL(NC_B16, 2, 1)
LOAD_GLOBAL(NC_B32, 4, 1)
LOAD_GLOBAL(NC_V4_B32, 4, 4)
LOAD_GLOBAL(NC_V4_F32, 4, 4)
LOAD_GLOBAL(NC_F32, 4, 1)
LOAD_GLOBAL_HINT(NC_V4_HINT, 4, 4)

/* L2 is not modelled; to ask it for what is not there is an error of a generator's. To ask it for what the kernel
 * before may still write is no access: there it is coherent. */
void exec_PREFETCH_L2(Warp *w, const Inst *in, uint32_t lanes)
{
    uint64_t address[LANES];
    global_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) allocated_bytes(w, (int)l, address[l], 1, "asks L2 for");
}

void exec_ST_GLOBAL_B16(Warp *w, const Inst *in, uint32_t lanes) { store_global(w, in, lanes, 2, 1); }
void exec_ST_GLOBAL_B32(Warp *w, const Inst *in, uint32_t lanes) { store_global(w, in, lanes, 4, 1); }
void exec_ST_GLOBAL_B64(Warp *w, const Inst *in, uint32_t lanes) { store_global(w, in, lanes, 8, 1); }
void exec_ST_GLOBAL_F32(Warp *w, const Inst *in, uint32_t lanes) { store_global(w, in, lanes, 4, 1); }
void exec_ST_GLOBAL_V2_B32(Warp *w, const Inst *in, uint32_t lanes) { store_global(w, in, lanes, 4, 2); }
void exec_ST_GLOBAL_V4_B32(Warp *w, const Inst *in, uint32_t lanes) { store_global(w, in, lanes, 4, 4); }

void exec_LD_GLOBAL_CG_V4_F32(Warp *w, const Inst *in, uint32_t lanes) { load_global(w, in, lanes, 4, 4); }
void exec_ST_GLOBAL_V4_F32(Warp *w, const Inst *in, uint32_t lanes) { store_global(w, in, lanes, 4, 4); }

/* ---- between blocks ---- */

/* Blocks on other host threads write what is waited for here: they get the processor, and a wait for one that
 * has trapped ends. Blocks start in order, so a wait for a lower one always ends. */
static void give_way(Warp *w, int lane)
{
    const Cluster *c = w->block->cluster;
    sched_yield();
    if (*c->lowest_trapped < c->index)
        trap(w, lane, TRAP_DEADLOCK, "waits for other blocks, and one of them has trapped");
}

void exec_LD_ACQUIRE_GPU_B64(Warp *w, const Inst *in, uint32_t lanes)
{
    Block *b = w->block;
    uint64_t address[LANES], *to = write_row(w, in, 0);
    global_addresses(w, in, 1, address);
    give_way(w, first_lane(lanes));
    EACH_LANE(l, lanes) {
        uint64_t *from = (uint64_t *)global_bytes(w, (int)l, address[l], 8, 8, "reads");
        to[l] = __atomic_load_n(from, __ATOMIC_ACQUIRE);
        if (!publications_acquire(b->cluster->publications, &b->acquired, w->index, address[l], &to[l]))
            no_memory(w, (int)l);
    }
}

void exec_ST_RELEASE_GPU_B64(Warp *w, const Inst *in, uint32_t lanes)
{
    const Block *b = w->block;
    Publications *p = b->cluster->publications;
    uint64_t address[LANES];
    const uint64_t *from = read_row(w, in, 1);
    global_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) {
        uint64_t *to = (uint64_t *)global_bytes(w, (int)l, address[l], 8, 8, "writes");
        if (!publications_release(p, &b->races, &b->acquired, b->index, w->index, address[l], from[l], *to))
            no_memory(w, (int)l);
        __atomic_store_n(to, from[l], __ATOMIC_RELEASE);
    }
}

/* ---- shared memory ---- */

void shared_addresses(const Warp *w, const Inst *in, int arg, uint32_t address[LANES])
{
    const uint32_t *base = (const uint32_t *)(w->registers + in->arg[arg].row);
    for (int l = 0; l < LANES; l++) address[l] = own_address(w, base[l] + (uint32_t)in->arg[arg].imm);
}

void count_shared(Warp *w, const uint32_t address[LANES], uint32_t bytes, uint32_t lanes, int conflicts)
{
    int ideal, passes = count_wavefronts(address, bytes, lanes, &ideal);
    count(&w->block->counters, COUNT_shared_wavefronts, (uint64_t)passes);
    count(&w->block->counters, COUNT_shared_wavefronts_ideal, (uint64_t)ideal);
    count(&w->block->counters, conflicts, (uint64_t)(passes - ideal));
}

static void load_shared(Warp *w, const Inst *in, uint32_t lanes, uint32_t bytes, uint32_t n)
{
    uint32_t address[LANES];
    unsigned char *to = write_row(w, in, 0);
    shared_addresses(w, in, 1, address);
    EACH_LANE(l, lanes) {
        const unsigned char *from = shared_for_read(w, (int)l, address[l], bytes * n);
        for (uint32_t i = 0; i < n; i++) memcpy(to + (i * LANES + l) * bytes, from + i * bytes, bytes);
    }
    count_shared(w, address, bytes * n, lanes, COUNT_shared_load_conflicts);
}

static void store_shared(Warp *w, const Inst *in, uint32_t lanes, uint32_t bytes, uint32_t n)
{
    uint32_t address[LANES];
    const unsigned char *from = read_row(w, in, 1);
    shared_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) {
        unsigned char *to = shared_for_write(w, (int)l, address[l], bytes * n);
        for (uint32_t i = 0; i < n; i++) memcpy(to + i * bytes, from + (i * LANES + l) * bytes, bytes);
    }
    count_shared(w, address, bytes * n, lanes, COUNT_shared_store_conflicts);
}

/* ---- the shared memory of another block of the cluster ---- */

/* One that has begun, as the warp knows, and has not ended. */
static Block *living_block(Warp *w, int lane, uint32_t *address)
{
    Block *b = cluster_block(w, lane, address);
    const Clocks *clocks = &w->block->cluster->clocks;
    bool begun = b == w->block;
    for (int i = 0; i < b->n_warps && !begun; i++)
        begun = clocks_known(clocks, w->actor)[b->warp[i].actor] >= clocks->first;
    if (!begun)
        trap(w, lane, TRAP_LIFETIME,
             "writes to shared memory of block %d of the cluster, which may not have begun: no barrier of the "
             "cluster stands before",
             b->rank);
    if (!b->live)
        trap(w, lane, TRAP_LIFETIME, "writes to shared memory of block %d of the cluster, which has ended", b->rank);
    if (b != w->block) b->mbarriers.remote[w->actor] = clocks->now[w->actor];
    return b;
}

void exec_ST_CLUSTER_V4_F32(Warp *w, const Inst *in, uint32_t lanes)
{
    enum { BYTES = 16 };
    uint32_t address[LANES];
    const uint32_t(*from)[LANES] = read_row(w, in, 1);
    shared_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) {
        Block *b = living_block(w, (int)l, &address[l]);
        uint32_t offset = shared_offset(w, (int)l, address[l], BYTES, BYTES, "writes");
        Conflict c = races_write(&b->races, w->actor, (int)l, b->cluster->pc, offset, BYTES);
        if (c.with) trap_race(w, (int)l, &c, b, "writes");
        for (int i = 0; i < BYTES / 4; i++) memcpy(b->shared + offset + 4 * i, &from[i][l], 4);
    }
    w->unfenced |= lanes;
    count_shared(w, address, BYTES, lanes, COUNT_shared_store_conflicts);
}

void exec_LD_SHARED_V4_F32(Warp *w, const Inst *in, uint32_t lanes) { load_shared(w, in, lanes, 4, 4); }
void exec_LD_SHARED_V2_F32(Warp *w, const Inst *in, uint32_t lanes) { load_shared(w, in, lanes, 4, 2); }
void exec_ST_SHARED_F32(Warp *w, const Inst *in, uint32_t lanes) { store_shared(w, in, lanes, 4, 1); }
void exec_LD_SHARED_B16(Warp *w, const Inst *in, uint32_t lanes) { load_shared(w, in, lanes, 2, 1); }
void exec_LD_SHARED_V2_B32(Warp *w, const Inst *in, uint32_t lanes) { load_shared(w, in, lanes, 4, 2); }
void exec_LD_SHARED_V4_B32(Warp *w, const Inst *in, uint32_t lanes) { load_shared(w, in, lanes, 4, 4); }
void exec_ST_SHARED_V2_F32(Warp *w, const Inst *in, uint32_t lanes) { store_shared(w, in, lanes, 4, 2); }
void exec_ST_SHARED_V2_B32(Warp *w, const Inst *in, uint32_t lanes) { store_shared(w, in, lanes, 4, 2); }
void exec_LD_SHARED_B32(Warp *w, const Inst *in, uint32_t lanes) { load_shared(w, in, lanes, 4, 1); }
void exec_ST_SHARED_B32(Warp *w, const Inst *in, uint32_t lanes) { store_shared(w, in, lanes, 4, 1); }
void exec_ST_SHARED_V4_B32(Warp *w, const Inst *in, uint32_t lanes) { store_shared(w, in, lanes, 4, 4); }
