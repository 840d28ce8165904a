/* tma.c: copies of boxes of a tensor by the TMA. See tma.h.
 *
 * A box is box[1] rows of box[0] elements. In shared memory they stand row behind row, each place swizzled by
 * its address; what lies outside the tensor is zero there, counts among the bytes of a load, and is not
 * written by a store, but for the rest of the 16 bytes of global memory that a row ends in: an H200 writes those
 * too (and so say others: triton issue 11583).
 */
#include "emu/execs.h"

#include <stdlib.h>
#include <string.h>

enum { NO_GROUP = 0xFFFFFFFF, BOX_ALIGN = 128, MOST_BOX = 256 };

/* ---- the map ---- */

static uint32_t row_bytes(const TensorMap *m) { return (uint32_t)m->box[0] * m->element_bytes; }
static uint32_t box_bytes(const TensorMap *m) { return row_bytes(m) * m->box[1]; }

static void read_map(Warp *w, int lane, uint64_t address, TensorMap *map)
{
    const unsigned char *from;
    uint64_t offset = address - PARAM_WINDOW - PARAM_BASE;
    int param_bytes = w->block->program->kernel->param_bytes;
    if (offset < (uint64_t)param_bytes && offset + TENSOR_MAP_BYTES <= (uint64_t)param_bytes &&
        offset % 64 == 0)
        from = w->block->launch->params + offset;
    else from = global_bytes(w, lane, address, TENSOR_MAP_BYTES, 64, "reads a tensor map in");
    memcpy(map, from, sizeof *map);
    if (map->magic != TENSOR_MAP_MAGIC)
        trap(w, lane, TRAP_TENSOR_MAP, "there is no tensor map at 0x%llx", (unsigned long long)address);
    if (map->rank != 2)
        trap(w, lane, TRAP_TENSOR_MAP, "the tensor map has %d dimensions; the copy is of 2", map->rank);
    for (int i = 0; i < 2; i++)
        if (map->box[i] < 1 || map->box[i] > MOST_BOX)
            trap(w, lane, TRAP_TENSOR_MAP, "the tensor map has a box of %u; 1 to %d are possible", map->box[i], MOST_BOX);
    if (map->swizzle_bits && row_bytes(map) != 16u << map->swizzle_bits)
        trap(w, lane, TRAP_TENSOR_MAP, "the emulator copies no box of %u B a row in a swizzle of %u B",
             row_bytes(map), 16u << map->swizzle_bits);
}

void exec_PREFETCH_MAP(Warp *w, const Inst *in, uint32_t lanes)
{
    uint64_t address[LANES];
    TensorMap map;
    global_addresses(w, in, 0, address);
    EACH_LANE(l, lanes) read_map(w, (int)l, address[l], &map);
}

/* Elements of the box up to the end of the 16 bytes that element `to` - 1 stands in. */
static uint32_t whole_pieces(const Transfer *t, uint32_t to)
{
    uint32_t elems = 16 / t->map.element_bytes, end = (uint32_t)(t->column + (int32_t)to);
    uint32_t more = (elems - end % elems) % elems;
    return to + more < t->map.box[0] ? to + more : t->map.box[0];
}

/* The part of a row of the box that a copy reads from or writes to global memory: elements [from, to). */
static void inside(const Transfer *t, uint32_t row, uint32_t *from, uint32_t *to)
{
    const TensorMap *m = &t->map;
    int64_t y = (int64_t)t->row + row, last = (int64_t)m->dim[0] - t->column, first = -(int64_t)t->column;
    *from = *to = 0;
    if (y < 0 || y >= (int64_t)m->dim[1] || last <= 0 || first >= m->box[0]) return;
    *from = first > 0 ? (uint32_t)first : 0;
    *to = last < m->box[0] ? (uint32_t)last : m->box[0];
    if (t->store) *to = whole_pieces(t, *to);
}

/* Where that part stands in global memory. */
static unsigned char *in_tensor(const Transfer *t, uint32_t row, uint32_t from, uint32_t to, const char *verb)
{
    const TensorMap *m = &t->map;
    int64_t y = (int64_t)t->row + row, x = (int64_t)t->column + from;
    uint64_t address = m->base + (uint64_t)y * m->stride[0] + (uint64_t)x * m->element_bytes;
    return global_bytes(t->warp, t->lane, address, (to - from) * m->element_bytes, m->element_bytes, verb);
}

/* Traps before anything moves when a part of the box lies in the tensor but in no allocation. */
static void check_tensor(const Transfer *t)
{
    for (uint32_t row = 0; row < t->map.box[1]; row++) {
        uint32_t from, to;
        inside(t, row, &from, &to);
        if (from < to) in_tensor(t, row, from, to, t->store ? "stores" : "loads");
    }
}

/* The 16-byte chunk `chunk` of a row, as an offset in the block's array. */
static uint32_t chunk_offset(const Transfer *t, uint32_t row, uint32_t chunk)
{
    return swizzled(t->address + row * row_bytes(&t->map) + 16 * chunk, t->map.swizzle_bits) - SHARED_BASE;
}

/* ---- the list of what is under way ---- */

void transfers_new_cluster(Cluster *c)
{
    static const uint32_t patience[] = {1, 2, 8, 64, 1u << 30};
    if (c->program->uses_mbarriers) c->transfers.patience = patience[cluster_draw(c) % 5];
    else c->transfers.patience = 2;
    for (int i = 0; i < c->transfers.n; i++) free(c->transfers.at[i].data);
    c->transfers.n = 0;
}

void transfers_close(Cluster *c)
{
    for (int i = 0; i < c->transfers.n; i++) free(c->transfers.at[i].data);
    free(c->transfers.at);
}

static Transfer *add(Warp *w, int lane, const Transfer *t)
{
    Transfers *all = &w->block->cluster->transfers;
    if (all->n == all->capacity) {
        int bigger = all->capacity ? 2 * all->capacity : 32;
        Transfer *moved = realloc(all->at, (size_t)bigger * sizeof *moved);
        if (!moved) trap(w, lane, TRAP_ASYNC_COPY, "the host has no memory for more copies in flight");
        all->at = moved;
        all->capacity = bigger;
    }
    all->at[all->n] = *t;
    return &all->at[all->n++];
}

static void drop(Transfers *all, int i)
{
    free(all->at[i].data);
    all->at[i] = all->at[--all->n];
}

static void common_operands(Transfer *t, Warp *w, const Inst *in, int lane, int map_arg)
{
    const uint64_t *map = read_row(w, in, map_arg);
    const uint32_t(*corner)[LANES] = read_row(w, in, map_arg + 1);
    *t = (Transfer){.warp = w, .lane = (uint8_t)lane, .pc = w->block->cluster->pc};
    read_map(w, lane, map[lane], &t->map);
    t->column = (int32_t)corner[0][lane];
    t->row = (int32_t)corner[1][lane];
}

/* ---- loads ---- */

/* Loads that are done, and whose phase has ended. */
static void forget_loads(Transfers *all)
{
    for (int i = all->n - 1; i >= 0; i--)
        if (all->at[i].done && all->at[i].mbarrier->phase != all->at[i].phase) drop(all, i);
}

/* Whether load `o` brings row `row` of load `t`, too: from the same place to the same place, counted together. */
static bool brings_row(const Transfer *o, const Transfer *t, uint32_t row)
{
    int64_t rows_before = (int64_t)t->row - o->row, at = rows_before + row;
    return !o->store && o->mbarrier == t->mbarrier && o->phase == t->phase && o->column == t->column &&
           (int64_t)t->address - o->address == rows_before * row_bytes(&t->map) && at >= 0 && at < o->map.box[1] &&
           memcmp(&o->map, &t->map, sizeof o->map) == 0;
}

static bool comes_anyway(const Transfers *all, const Transfer *t, uint32_t row)
{
    for (int i = 0; i < all->n; i++)
        if (brings_row(&all->at[i], t, row)) return true;
    return false;
}

/* The rows first .. last - 1, into which nothing else may be under way. */
static void claim_rows(Warp *w, int lane, const Transfer *t, uint32_t first, uint32_t last)
{
    Block *b = t->block;
    uint32_t offset = t->address - SHARED_BASE + first * row_bytes(&t->map), bytes = (last - first) * row_bytes(&t->map);
    if (first == last) return;
    Conflict conflict = races_load_issued(&b->races, w->actor, t->mbarrier->actor, lane, t->pc, offset, bytes);
    if (conflict.with) trap_race(w, lane, &conflict, b, "loads to");
    poison(b->shared + offset, bytes);
}

static void issue_load(Warp *w, int lane, Transfer t, Block *b, uint32_t address, uint32_t mbarrier)
{
    Cluster *c = w->block->cluster;
    uint32_t claimed = 0;
    shared_offset(w, lane, address, box_bytes(&t.map), BOX_ALIGN, "loads");
    if (!b->live)
        trap(w, lane, TRAP_LIFETIME,
             "loads into the shared memory of block %d of the cluster, which has ended", b->rank);
    t.block = b;
    t.address = address;
    t.mbarrier = mbarrier_for_copy(w, lane, b, mbarrier);
    t.phase = t.mbarrier->phase;
    t.first = (uint32_t)(cluster_draw(c) % t.map.box[1]);
    check_tensor(&t);
    forget_loads(&c->transfers);
    for (uint32_t row = 0; row < t.map.box[1]; row++) {
        if (!comes_anyway(&c->transfers, &t, row)) continue;
        claim_rows(w, lane, &t, claimed, row);
        claimed = row + 1;
    }
    claim_rows(w, lane, &t, claimed, t.map.box[1]);
    add(w, lane, &t);
}

void exec_TMA_LOAD_HINT(Warp *w, const Inst *in, uint32_t lanes)
{
    check_policies(w, in, 4, lanes);
    exec_TMA_LOAD(w, in, lanes);
}

void exec_TMA_LOAD(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t to[LANES], mbarrier[LANES];
    shared_addresses(w, in, 0, to);
    shared_addresses(w, in, 3, mbarrier);
    EACH_LANE(l, lanes)
    {
        Transfer t;
        Block *b = cluster_block(w, (int)l, &to[l]), *of_barrier = cluster_block(w, (int)l, &mbarrier[l]);
        common_operands(&t, w, in, (int)l, 1);
        if (b != of_barrier)
            trap(w, (int)l, TRAP_BARRIER,
                 "the mbarrier is in block %d of the cluster, the box goes to block %d", of_barrier->rank,
                 b->rank);
        issue_load(w, (int)l, t, b, to[l], mbarrier[l]);
    }
}

void exec_TMA_LOAD_MULTICAST(Warp *w, const Inst *in, uint32_t lanes)
{
    Cluster *c = w->block->cluster;
    uint32_t to[LANES], mbarrier[LANES];
    const uint16_t *blocks = read_row(w, in, 4);
    shared_addresses(w, in, 0, to);
    shared_addresses(w, in, 3, mbarrier);
    EACH_LANE(l, lanes)
    {
        Transfer t;
        if (!blocks[l] || blocks[l] >> c->n_blocks)
            trap(w, (int)l, TRAP_OUT_OF_BOUNDS, "the mask 0x%x does not name blocks of a cluster of %d",
                 blocks[l], c->n_blocks);
        common_operands(&t, w, in, (int)l, 1);
        cluster_block(w, (int)l, &to[l]); /* the place counts, in every block named */
        cluster_block(w, (int)l, &mbarrier[l]);
        EACH_LANE(rank, blocks[l]) issue_load(w, (int)l, t, c->block[rank], to[l], mbarrier[l]);
    }
}

/* L2 is not modelled. To ask it for what the kernel before may still write is no access: there it is coherent. */
void exec_TMA_PREFETCH(Warp *w, const Inst *in, uint32_t lanes)
{
    EACH_LANE(l, lanes)
    {
        Transfer t;
        common_operands(&t, w, in, (int)l, 0);
    }
}

static void land_row(Transfer *t)
{
    const TensorMap *m = &t->map;
    uint32_t row = (t->first + t->landed++) % m->box[1], from, to, n = row_bytes(m);
    unsigned char line[256 * 8];
    memset(line, m->fill_nan ? 0xFF : 0, n);
    inside(t, row, &from, &to);
    if (from < to)
        memcpy(line + from * m->element_bytes, in_tensor(t, row, from, to, "loads"),
               (to - from) * m->element_bytes);
    for (uint32_t chunk = 0; chunk < n / 16; chunk++) {
        uint32_t offset = chunk_offset(t, row, chunk);
        memcpy(t->block->shared + offset, line + 16 * chunk, 16);
        races_copy_landed(&t->block->races, t->mbarrier->actor, offset, 16);
    }
    count(&t->warp->block->counters, COUNT_tma_bytes_loaded, (to - from) * m->element_bytes);
}

/* Some rows land; all of them, and the copy is done. */
static void step_load(Cluster *c, int i)
{
    Transfer *t = &c->transfers.at[i];
    uint32_t left = t->map.box[1] - t->landed, rows = 1 + (uint32_t)(cluster_draw(c) % left);
    for (uint32_t r = 0; r < rows; r++) land_row(t);
    mbarrier_complete_bytes(c, t->mbarrier, rows * row_bytes(&t->map));
    t->done = rows == left;
}

/* ---- stores ---- */

static void each_chunk(Transfer *t, void (*act)(Transfer *t, uint32_t offset))
{
    for (uint32_t row = 0; row < t->map.box[1]; row++)
        for (uint32_t chunk = 0; chunk < row_bytes(&t->map) / 16; chunk++)
            act(t, chunk_offset(t, row, chunk));
}

static void check_chunk(Transfer *t, uint32_t offset)
{
    Conflict conflict = races_async_read(&t->block->races, t->warp->actor, t->lane, offset, 16);
    if (conflict.with) trap_race(t->warp, t->lane, &conflict, t->block, "stores");
}

static void mark_chunk(Transfer *t, uint32_t offset)
{
    races_mark_read(&t->block->races, t->warp->index, t->lane, offset, 16);
}

static void free_chunk(Transfer *t, uint32_t offset)
{
    races_read_done(&t->block->races, t->warp->index, t->block->races.clocks->now[t->warp->actor], offset,
                    16);
}

void exec_TMA_STORE(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t from[LANES];
    shared_addresses(w, in, 2, from);
    EACH_LANE(l, lanes)
    {
        Transfer t;
        common_operands(&t, w, in, (int)l, 0);
        t.store = true;
        t.block = w->block;
        t.address = from[l];
        t.group = NO_GROUP;
        shared_offset(w, (int)l, from[l], box_bytes(&t.map), BOX_ALIGN, "stores");
        check_tensor(&t);
        each_chunk(&t, check_chunk);
        each_chunk(&t, mark_chunk);
        t.data = malloc(box_bytes(&t.map));
        if (!t.data) trap(w, (int)l, TRAP_ASYNC_COPY, "the host has no memory for more copies in flight");
        add(w, (int)l, &t);
    }
}

void exec_TMA_STORE_HINT(Warp *w, const Inst *in, uint32_t lanes)
{
    check_policies(w, in, 3, lanes);
    exec_TMA_STORE(w, in, lanes);
}

static void read_box(Transfer *t)
{
    unsigned char *to = t->data;
    for (uint32_t row = 0; row < t->map.box[1]; row++)
        for (uint32_t chunk = 0; chunk < row_bytes(&t->map) / 16; chunk++, to += 16)
            memcpy(to, t->block->shared + chunk_offset(t, row, chunk), 16);
    t->read = true;
}

static void write_box(Transfer *t)
{
    const TensorMap *m = &t->map;
    for (uint32_t row = 0; row < m->box[1]; row++) {
        uint32_t from, to;
        inside(t, row, &from, &to);
        if (from == to) continue;
        uint32_t n = (to - from) * m->element_bytes;
        memcpy(in_tensor(t, row, from, to, "stores"), t->data + row * row_bytes(m) + from * m->element_bytes,
               n);
        count(&t->warp->block->counters, COUNT_tma_bytes_stored, n);
    }
    t->written = true;
}

static void step_store(Transfers *all, int i)
{
    Transfer *t = &all->at[i];
    if (!t->read) read_box(t);
    else write_box(t);
    if (t->written && t->read_waited) drop(all, i);
}

/* Every lane that commits closes a group, empty or not. */
void exec_BULK_COMMIT(Warp *w, const Inst *in, uint32_t lanes)
{
    Transfers *all = &w->block->cluster->transfers;
    (void)in;
    for (int i = 0; i < all->n; i++) {
        Transfer *t = &all->at[i];
        if (t->store && t->warp == w && (lanes >> t->lane & 1) && t->group == NO_GROUP)
            t->group = w->bulk_groups[t->lane];
    }
    EACH_LANE(l, lanes) w->bulk_groups[l]++;
}

static void finish(Transfer *t, bool read_only)
{
    if (!t->read) read_box(t);
    if (!t->read_waited) each_chunk(t, free_chunk);
    t->read_waited = true;
    if (!read_only && !t->written) write_box(t);
}

/* Finishes the waiting lanes' groups but for the latest `pending` of each. What they have read may still be
 * read by a store that is not waited for. */
static void wait_groups(Warp *w, uint32_t lanes, uint32_t pending, bool read_only)
{
    Transfers *all = &w->block->cluster->transfers;
    for (int i = all->n - 1; i >= 0; i--) {
        Transfer *t = &all->at[i];
        if (!t->store || t->warp != w || !(lanes >> t->lane & 1) || t->group == NO_GROUP) continue;
        if (t->group + pending >= w->bulk_groups[t->lane]) continue;
        finish(t, read_only);
        if (t->written) drop(all, i);
    }
    for (int i = 0; i < all->n; i++)
        if (all->at[i].store && all->at[i].warp == w && !all->at[i].read_waited)
            each_chunk(&all->at[i], mark_chunk);
}

void exec_BULK_WAIT_READ(Warp *w, const Inst *in, uint32_t lanes)
{
    wait_groups(w, lanes, (uint32_t)in->arg[0].imm, true);
}

void exec_BULK_WAIT(Warp *w, const Inst *in, uint32_t lanes)
{
    wait_groups(w, lanes, (uint32_t)in->arg[0].imm, false);
}

/* ---- moving on, and the ends ---- */

/* Something is left to do by itself; a store stays listed until it is waited for. */
static bool moves(const Transfer *t) { return t->store ? !t->written : !t->done; }

bool transfers_step(Cluster *c)
{
    Transfers *all = &c->transfers;
    int n = 0, chosen = -1;
    for (int i = 0; i < all->n; i++)
        if (moves(&all->at[i]) && cluster_draw(c) % (uint64_t)++n == 0) chosen = i;
    if (chosen < 0) return false;
    if (!all->at[chosen].store) step_load(c, chosen);
    else step_store(all, chosen);
    return true;
}

void transfers_end_lanes(Warp *w, uint32_t lanes)
{
    const Transfers *all = &w->block->cluster->transfers;
    for (int i = 0; i < all->n; i++) {
        const Transfer *t = &all->at[i];
        if (t->store && t->warp == w && (lanes >> t->lane & 1) && !t->read_waited)
            trap(w, t->lane, TRAP_LIFETIME,
                 "the thread ends, and has not waited until the TMA store of line %d has read shared memory",
                 w->block->program->inst[t->pc].line);
    }
}

void transfers_end_block(Warp *last)
{
    const Transfers *all = &last->block->cluster->transfers;
    for (int i = 0; i < all->n; i++)
        if (!all->at[i].store && !all->at[i].done && all->at[i].block == last->block)
            trap(last, 0, TRAP_LIFETIME, "the block ends while the TMA load of line %d into it is in flight",
                 last->block->program->inst[all->at[i].pc].line);
}

/* The results of stores that were read in time are there when the kernel has ended. */
void transfers_end_cluster(Cluster *c)
{
    while (transfers_step(c)) continue;
}
