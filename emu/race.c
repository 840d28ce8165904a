/* race.c: vector clocks over the granules of shared memory. See race.h. */
#include "emu/race.h"

#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 0xFFFFFFFFu /* a clock that nobody knows of */

/* ---- clocks ---- */

bool clocks_open(Clocks *c, int n_warps, int n_others)
{
    size_t n = (size_t)(n_warps + n_others);
    *c = (Clocks){.n = (int)n, .n_warps = n_warps};
    c->now = calloc(n + (2 * n + 3) * (size_t)n_warps, sizeof *c->now);
    if (c->now) {
        c->knows = c->now + n;
        c->fenced = c->knows + 2 * n * (size_t)n_warps;
        c->wrote = c->fenced + n_warps;
        c->read = c->wrote + n_warps;
    }
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
    for (int w = 0; w < c->n_warps; w++) c->fenced[w] = latest, c->wrote[w] = c->read[w] = 0;
    return anew;
}

static void join(uint32_t *to, const uint32_t *from, int n)
{
    for (int i = 0; i < n; i++) to[i] = to[i] > from[i] ? to[i] : from[i];
}

/* What a warp did until now becomes known to who has this. */
static void tell_of_itself(Clocks *c, int warp, uint32_t *to)
{
    uint32_t *visible = &to[c->n + warp];
    to[warp] = c->now[warp]++;
    if (c->fenced[warp] > *visible) *visible = c->fenced[warp];
    c->wrote[warp] = c->read[warp] = 0;
}

void clocks_release(Clocks *c, int warp, uint32_t lanes, uint32_t *to)
{
    join(to, clocks_known(c, warp), 2 * c->n);
    if (!((c->wrote[warp] | c->read[warp]) & ~lanes)) tell_of_itself(c, warp, to);
}

void clocks_meet(Clocks *c, int warp) { tell_of_itself(c, warp, clocks_known(c, warp)); }

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

void clocks_fence_proxy(Clocks *c, int warp) { c->fenced[warp] = c->now[warp]++; }

void clocks_reads_done(Clocks *c, int warp) { c->read[warp] = 0; }

static uint32_t mask_of(int lane) { return lane == ALL_OF_WARP ? ~0u : 1u << lane; }

/* ---- granules ---- */

static uint32_t writer_id(int actor, int lane, uint32_t pc)
{
    return (uint32_t)lane | (uint32_t)actor << 5 | pc << 15;
}
static int writer_actor(uint32_t writer) { return writer >> 5 & (RACE_ACTORS - 1); }

/* For each granule: the writer, and of readers clocks and, of warps, lanes. */
static size_t table_bytes(const Races *r)
{
    return (2 + (size_t)r->n_readers) * sizeof(uint32_t) + (size_t)r->n_warps;
}

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
    uint32_t *table = calloc(n * table_bytes(r), 1);
    if (!table) return false;
    r->writer_clock = table;
    r->writer = table + n;
    for (int i = 0; i < r->n_readers; i++) r->read[i] = table + n * (2 + (size_t)i);
    uint8_t *lanes = (uint8_t *)(table + n * (2 + (size_t)r->n_readers));
    for (int i = 0; i < n_warps; i++) r->read_lane[i] = lanes + n * (size_t)i;
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
        memset(r->writer_clock, 0, r->n_granules * table_bytes(r));
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

/* A write that the warp knows of may not be visible to the async proxy. */
static Conflict with_write(uint32_t who, uint32_t g, uint32_t clock, bool known)
{
    Conflict c = {.granule = g, .actor = writer_actor(who), .lane = who & 31, .pc = who >> 15};
    c.with = clock == IN_FLIGHT ? WITH_WORK_IN_FLIGHT : known ? WITH_UNFENCED_WRITE : WITH_WRITE;
    return c;
}

static Conflict with_read(const Races *r, int i, uint32_t g)
{
    bool of_warp = i < r->n_warps && r->read_lane[i][g] != SEVERAL_LANES;
    return (Conflict){r->read[i][g] == IN_FLIGHT ? WITH_READ_IN_FLIGHT : WITH_READ, g, r->reader[i],
                      of_warp ? r->read_lane[i][g] : -1, 0};
}

/* Who accesses, and what of its knowledge earlier writes are held against: of what is visible, or of all. */
typedef struct Access {
    int warp, lane;
    const uint32_t *known, *visible;
} Access;

static Access access_of(const Races *r, int warp, int lane, bool async)
{
    const uint32_t *known = clocks_known(r->clocks, warp);
    return (Access){warp, lane, known, async ? known + r->clocks->n : known};
}

static bool is_async(const Access *a) { return a->visible != a->known; }

/* What a lane wrote itself is ordered for it, and visible to the async proxy behind its fence; what lanes do
 * together there, they do behind the fence of each. */
static bool own_write(const Races *r, const Access *a, uint32_t who, uint32_t clock)
{
    bool same_lane = (int)(who & 31) == a->lane;
    if (writer_actor(who) != a->warp || clock == IN_FLIGHT) return false;
    if (!is_async(a)) return same_lane;
    return (same_lane || a->lane == ALL_OF_WARP) && clock <= r->clocks->fenced[a->warp];
}

static bool write_is_known(const Access *a, uint32_t who, uint32_t clock)
{
    bool same_lane = writer_actor(who) == a->warp && (int)(who & 31) == a->lane;
    return same_lane || clock <= a->known[writer_actor(who)];
}

static bool own_read(const Races *r, const Access *a, int i, uint32_t g)
{
    return r->reader[i] == a->warp && r->read[i][g] != IN_FLIGHT && r->read_lane[i][g] == a->lane;
}

static Conflict find_conflict(const Races *r, const Access *a, uint32_t first, uint32_t n, bool writing)
{
    for (uint32_t g = first; g < first + n; g++) {
        uint32_t who = r->writer[g], clock = r->writer_clock[g];
        if (clock > a->visible[writer_actor(who)] && !own_write(r, a, who, clock))
            return with_write(who, g, clock, write_is_known(a, who, clock));
        for (int i = 0; writing && i < r->n_readers; i++)
            if (r->read[i][g] > a->known[r->reader[i]] && !own_read(r, a, i, g)) return with_read(r, i, g);
    }
    return (Conflict){0};
}

static uint32_t granules(uint32_t offset, uint32_t bytes)
{
    return (offset % GRANULE + bytes + GRANULE - 1) / GRANULE;
}

/* A read in flight stays one. Of several lanes' reads since they met none is the last. */
static void mark_read(uint32_t *read, uint8_t *lanes, uint32_t met, uint32_t clock, int lane, uint32_t n)
{
    for (uint32_t g = 0; g < n; g++) {
        bool another = read[g] > met && lanes[g] != lane;
        lanes[g] = (uint8_t)(another ? SEVERAL_LANES : lane);
        read[g] = read[g] > clock ? read[g] : clock;
    }
}

Conflict races_read(Races *r, int warp, int lane, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    Access a = access_of(r, warp, lane, false);
    if (!writes_known(r, a.known, first, n)) {
        Conflict c = find_conflict(r, &a, first, n, false);
        if (c.with) return c;
    }
    int reader = warp - r->first_actor;
    mark_read(r->read[reader] + first, r->read_lane[reader] + first, a.known[warp], r->clocks->now[warp], lane, n);
    r->clocks->read[warp] |= mask_of(lane);
    return (Conflict){0};
}

static Conflict claim(Races *r, Access a, uint32_t id, uint32_t clock, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    if (!writes_known(r, a.visible, first, n) || !reads_known(r, a.known, first, n)) {
        Conflict c = find_conflict(r, &a, first, n, true);
        if (c.with) return c;
    }
    for (uint32_t g = first; g < first + n; g++) {
        r->writer_clock[g] = clock;
        r->writer[g] = id;
    }
    r->clocks->wrote[a.warp] |= mask_of(a.lane);
    return (Conflict){0};
}

Conflict races_write(Races *r, int warp, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, access_of(r, warp, lane, false), writer_id(warp, lane, pc), r->clocks->now[warp], offset, bytes);
}

Conflict races_copy_issued(Races *r, int warp, int as, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, access_of(r, warp, lane, false), writer_id(as, lane, pc), IN_FLIGHT, offset, bytes);
}

Conflict races_load_issued(Races *r, int warp, int as, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, access_of(r, warp, lane, true), writer_id(as, lane, pc), IN_FLIGHT, offset, bytes);
}

void races_copy_landed(Races *r, int as, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    for (uint32_t g = first; g < first + n; g++) r->writer_clock[g] = r->clocks->now[as];
}

Conflict races_async_read(const Races *r, int warp, int lane, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    Access a = access_of(r, warp, lane, true);
    return writes_known(r, a.visible, first, n) ? (Conflict){0} : find_conflict(r, &a, first, n, false);
}

void races_mark_read(Races *r, int reader, int lane, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE;
    if (reader < r->n_warps) {
        memset(r->read_lane[reader] + first, lane, granules(offset, bytes));
        r->clocks->read[r->reader[reader]] |= mask_of(lane);
    }
    races_read_done(r, reader, IN_FLIGHT, offset, bytes);
}

void races_read_done(Races *r, int reader, uint32_t clock, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    for (uint32_t g = first; g < first + n; g++) r->read[reader][g] = clock;
}
