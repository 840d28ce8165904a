/* race.c: vector clocks over the granules of shared memory. See race.h. */
#include "emu/race.h"

#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 0xFFFFFFFFu /* a clock that nobody knows of */
#define OWN       0xFFFFFFFEu /* what a warp knows of itself: everything that has happened */

/* ---- clocks ---- */

bool clocks_open(Clocks *c, int n_warps, int n_others)
{
    size_t n = (size_t)(n_warps + n_others);
    *c = (Clocks){.n = (int)n, .n_warps = n_warps};
    c->now = calloc(n + 2 * n * (size_t)n_warps, sizeof *c->now);
    if (c->now) c->knows = c->now + n;
    return c->now != NULL && n <= RACE_ACTORS;
}

void clocks_close(Clocks *c) { free(c->now); }

uint32_t *clocks_known(const Clocks *c, int warp) { return c->knows + 2 * (size_t)c->n * (size_t)warp; }

bool clocks_new_cluster(Clocks *c)
{
    uint32_t latest = 0;
    for (int a = 0; a < c->n; a++)
        if (c->now[a] > latest) latest = c->now[a];
    bool anew = latest > UINT32_MAX / 2;
    if (anew) latest = 0;
    c->first = latest + 1;
    for (int a = 0; a < c->n; a++) c->now[a] = c->first;
    for (int i = 0; i < 2 * c->n * c->n_warps; i++) c->knows[i] = latest;
    for (int w = 0; w < c->n_warps; w++) clocks_known(c, w)[w] = OWN;
    return anew;
}

static void join(uint32_t *to, const uint32_t *from, int n)
{
    for (int i = 0; i < n; i++) to[i] = to[i] > from[i] ? to[i] : from[i];
}

void clocks_release(Clocks *c, int warp, uint32_t *to)
{
    join(to, clocks_known(c, warp), 2 * c->n);
    to[warp] = c->now[warp]++; /* it was OWN */
}

void clocks_acquire(Clocks *c, int warp, const uint32_t *from)
{
    join(clocks_known(c, warp), from, 2 * c->n);
}

uint32_t clocks_done(Clocks *c, int actor) { return c->now[actor]++; }

void clocks_learn(Clocks *c, uint32_t *knowledge, int actor, uint32_t clock)
{
    uint32_t *known = knowledge + actor, *visible = known + c->n;
    if (clock > *known) *known = clock;
    if (clock > *visible) *visible = clock;
}

void clocks_fence_proxy(Clocks *c, int warp) { clocks_known(c, warp)[c->n + warp] = c->now[warp]++; }

/* ---- granules ---- */

static uint32_t writer_id(int actor, int lane, uint32_t pc)
{
    return (uint32_t)lane | (uint32_t)actor << 5 | pc << 15;
}
static int writer_actor(uint32_t writer) { return writer >> 5 & (RACE_ACTORS - 1); }

bool races_open(Races *r, Clocks *clocks, uint32_t shared_bytes, int n_warps, int first_actor, int n_groups,
                int first_group)
{
    size_t n = (shared_bytes + GRANULE - 1) / GRANULE;
    *r = (Races){.clocks = clocks,
                 .n_granules = (uint32_t)n,
                 .n_warps = n_warps,
                 .n_readers = n_warps + n_groups,
                 .first_actor = first_actor};
    for (int i = 0; i < r->n_readers; i++)
        r->reader[i] = i < n_warps ? first_actor + i : first_group + i - n_warps;
    if (!n) return true;
    /* one block of zeros: clocks start at 1, so 0 is before everything */
    uint32_t *table = calloc(n * (2 + (size_t)r->n_readers), sizeof *table);
    if (!table) return false;
    r->writer_clock = table;
    r->writer = table + n;
    for (int i = 0; i < r->n_readers; i++) r->read[i] = table + n * (2 + (size_t)i);
    return true;
}

void races_close(Races *r)
{
    free(r->writer_clock);
    r->writer_clock = NULL;
}

void races_forget(Races *r)
{
    if (r->writer_clock)
        memset(r->writer_clock, 0, r->n_granules * (2 + (size_t)r->n_readers) * sizeof(uint32_t));
}

/* ---- the ordinary case: one pass without branches over the granules ---- */

static bool writes_known(const Races *r, const uint32_t *known, uint32_t first, uint32_t n)
{
    const uint32_t *clock = r->writer_clock + first, *writer = r->writer + first;
    bool ok = true;
    for (uint32_t g = 0; g < n; g++) ok &= clock[g] <= known[writer_actor(writer[g])];
    return ok;
}

static bool reads_known(const Races *r, const uint32_t *known, uint32_t first, uint32_t n)
{
    bool ok = true;
    for (int i = 0; i < r->n_readers; i++) {
        const uint32_t *read = r->read[i] + first, clock = known[r->reader[i]];
        for (uint32_t g = 0; g < n; g++) ok &= read[g] <= clock;
    }
    return ok;
}

/* ---- the rare case: which granule, and who ---- */

static Conflict with_write(const Races *r, int warp, uint32_t g)
{
    uint32_t who = r->writer[g];
    Conflict c = {.granule = g, .actor = writer_actor(who), .lane = who & 31, .pc = who >> 15};
    c.with = WITH_UNFENCED_WRITE;
    if (r->writer_clock[g] > clocks_known(r->clocks, warp)[c.actor]) c.with = WITH_WRITE;
    if (r->writer_clock[g] == IN_FLIGHT) c.with = WITH_WORK_IN_FLIGHT;
    return c;
}

static Conflict with_read(const Races *r, int i, uint32_t g)
{
    return (Conflict){r->read[i][g] == IN_FLIGHT ? WITH_READ_IN_FLIGHT : WITH_READ, g, r->reader[i], -1, 0};
}

/* visible: the knowledge that earlier writes are held against. */
static Conflict find_conflict(const Races *r, int warp, const uint32_t *visible, uint32_t first, uint32_t n,
                              bool writing)
{
    const uint32_t *known = clocks_known(r->clocks, warp);
    for (uint32_t g = first; g < first + n; g++) {
        if (r->writer_clock[g] > visible[writer_actor(r->writer[g])]) return with_write(r, warp, g);
        for (int i = 0; writing && i < r->n_readers; i++)
            if (r->read[i][g] > known[r->reader[i]]) return with_read(r, i, g);
    }
    return (Conflict){0};
}

static uint32_t granules(uint32_t offset, uint32_t bytes)
{
    return (offset % GRANULE + bytes + GRANULE - 1) / GRANULE;
}

/* A read in flight stays one. */
static void mark_read(uint32_t *read, uint32_t clock, uint32_t n)
{
    for (uint32_t g = 0; g < n; g++) read[g] = read[g] > clock ? read[g] : clock;
}

Conflict races_read(Races *r, int warp, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    const uint32_t *known = clocks_known(r->clocks, warp);
    if (!writes_known(r, known, first, n)) return find_conflict(r, warp, known, first, n, false);
    mark_read(r->read[warp - r->first_actor] + first, r->clocks->now[warp], n);
    return (Conflict){0};
}

static Conflict claim(Races *r, int warp, const uint32_t *visible, uint32_t id, uint32_t clock,
                      uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    if (!writes_known(r, visible, first, n) || !reads_known(r, clocks_known(r->clocks, warp), first, n))
        return find_conflict(r, warp, visible, first, n, true);
    for (uint32_t g = first; g < first + n; g++) {
        r->writer_clock[g] = clock;
        r->writer[g] = id;
    }
    return (Conflict){0};
}

Conflict races_write(Races *r, int warp, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, warp, clocks_known(r->clocks, warp), writer_id(warp, lane, pc), r->clocks->now[warp],
                 offset, bytes);
}

Conflict races_copy_issued(Races *r, int warp, int as, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, warp, clocks_known(r->clocks, warp), writer_id(as, lane, pc), IN_FLIGHT, offset, bytes);
}

Conflict races_load_issued(Races *r, int warp, int as, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, warp, clocks_known(r->clocks, warp) + r->clocks->n, writer_id(as, lane, pc), IN_FLIGHT,
                 offset, bytes);
}

void races_copy_landed(Races *r, int as, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    for (uint32_t g = first; g < first + n; g++) r->writer_clock[g] = r->clocks->now[as];
}

Conflict races_async_read(const Races *r, int warp, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    const uint32_t *visible = clocks_known(r->clocks, warp) + r->clocks->n;
    if (writes_known(r, visible, first, n)) return (Conflict){0};
    return find_conflict(r, warp, visible, first, n, false);
}

void races_mark_read(Races *r, int reader, uint32_t offset, uint32_t bytes)
{
    races_read_done(r, reader, IN_FLIGHT, offset, bytes);
}

void races_read_done(Races *r, int reader, uint32_t clock, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    for (uint32_t g = first; g < first + n; g++) r->read[reader][g] = clock;
}
