/* async.c: cp.async, as late as the ISA allows (PTX ISA 9.7.9.25.3).
 *
 * Issuing only checks and queues: the source is read, and shared memory written, when the issuing thread
 * waits for the copy's group, and not before. From issue to then the bytes count as in flight, and any
 * access to them is a race. Groups belong to threads, so each lane has its own count of commits:
 *
 *     copies:   c c c | c c | c            groups of this lane: 2, so wait_group 1 lands the first
 *               group 0 | 1   | not committed: no wait reaches it
 */
#include "emu/execs.h"

#include <stdlib.h>
#include <string.h>

enum { NOT_COMMITTED = 0xFFFFFFFF };

/* A host without memory ends the block as the machine's own failure. */
static bool reserve(CopyQueue *q, int more)
{
    if (q->n + more <= q->capacity) return true;
    int bigger = q->capacity ? 2 * q->capacity : 512;
    Copy *moved = realloc(q->copy, (size_t)bigger * sizeof *moved);
    if (!moved) return false;
    q->copy = moved;
    q->capacity = bigger;
    return true;
}

static void count_copies(Warp *w, const uint32_t *shared, const uint64_t *global,
                         const uint32_t *source_bytes, uint32_t bytes, uint32_t lanes)
{
    Counters *c = &w->block->counters;
    uint32_t reading = 0, total = 0;
    EACH_LANE(l, lanes) {
        total += source_bytes[l];
        if (source_bytes[l]) reading |= 1u << l;
    }
    count(c, COUNT_cp_async, 1);
    count(c, COUNT_global_load_requests, 1);
    count(c, COUNT_global_load_sectors, (uint64_t)count_sectors(global, bytes, reading));
    count(c, COUNT_global_bytes_loaded, total);
    count_shared(w, shared, bytes, lanes, COUNT_cp_async_conflicts);
}

static void issue(Warp *w, const Inst *in, uint32_t lanes, uint32_t bytes)
{
    CopyQueue *q = &w->copies;
    uint32_t shared[LANES];
    uint64_t global[LANES];
    const uint32_t *source_bytes = read_row(w, in, 2);
    shared_addresses(w, in, 0, shared);
    global_addresses(w, in, 1, global);
    if (!reserve(q, LANES))
        trap(w, first_lane(lanes), TRAP_ASYNC_COPY, "the host has no memory for more copies in flight");
    EACH_LANE(l, lanes) {
        if (source_bytes[l] > bytes)
            trap(w, (int)l, TRAP_ASYNC_COPY, "source size %u is more than the %u B copied", source_bytes[l],
                 bytes);
        if (source_bytes[l]) global_for_read(w, (int)l, global[l], source_bytes[l], bytes, "copies");
        shared_for_copy(w, (int)l, shared[l], bytes);
        q->copy[q->n++] = (Copy){.source = global[l],
                                 .shared = shared[l],
                                 .group = NOT_COMMITTED,
                                 .lane = (uint8_t)l,
                                 .bytes = (uint8_t)bytes,
                                 .source_bytes = (uint8_t)source_bytes[l]};
    }
    count_copies(w, shared, global, source_bytes, bytes, lanes);
}

void exec_CP_ASYNC_CG_16(Warp *w, const Inst *in, uint32_t lanes) { issue(w, in, lanes, 16); }
void exec_CP_ASYNC_CA_8(Warp *w, const Inst *in, uint32_t lanes) { issue(w, in, lanes, 8); }
void exec_CP_ASYNC_CA_4(Warp *w, const Inst *in, uint32_t lanes) { issue(w, in, lanes, 4); }

/* Every lane that commits closes a group, empty or not. */
void exec_CP_ASYNC_COMMIT(Warp *w, const Inst *in, uint32_t lanes)
{
    CopyQueue *q = &w->copies;
    (void)in;
    int i = q->committed;
    bool all = true;
    for (; i < q->n; i++) {
        if (q->copy[i].group != NOT_COMMITTED) continue;
        if (lanes >> q->copy[i].lane & 1) q->copy[i].group = q->groups[q->copy[i].lane];
        else all = false;
    }
    if (all) q->committed = q->n;
    EACH_LANE(l, lanes) q->groups[l]++;
}

static void land(Warp *w, const Copy *c)
{
    Block *b = w->block;
    uint32_t offset = c->shared - SHARED_BASE;
    unsigned char *to = b->shared + offset;
    memset(to, 0, c->bytes);
    if (c->source_bytes)
        memcpy(to, global_bytes(w, c->lane, c->source, c->source_bytes, c->bytes, "copies"), c->source_bytes);
    races_copy_landed(&b->races, w->actor, offset, c->bytes);
}

/* Lands the waiting lanes' groups but for the latest `pending` of each. */
void exec_CP_ASYNC_WAIT(Warp *w, const Inst *in, uint32_t lanes)
{
    CopyQueue *q = &w->copies;
    uint32_t pending = (uint32_t)in->arg[0].imm;
    int kept = 0, committed = 0;
    for (int i = 0; i < q->n; i++) {
        const Copy c = q->copy[i];
        bool waited =
            c.group != NOT_COMMITTED && (lanes >> c.lane & 1) && c.group + pending < q->groups[c.lane];
        if (waited) land(w, &c);
        else q->copy[kept++] = c;
        if (i < q->committed) committed = kept;
    }
    q->n = kept;
    q->committed = committed;
}

/* At the end of a block: what nobody waited for is never seen, and its bytes are free for the next block. */
void copies_drop(Warp *w)
{
    for (int i = 0; i < w->copies.n; i++)
        races_copy_landed(&w->block->races, w->actor, w->copies.copy[i].shared - SHARED_BASE,
                          w->copies.copy[i].bytes);
    w->copies.n = w->copies.committed = 0;
}
