/* race.c: vector clocks over the granules of shared memory. See race.h. */
#include "emu/race.h"

#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT 0xFFFFFFFFu /* a writer clock that nobody knows of */
#define OWN       0xFFFFFFFEu /* what a warp knows of itself: everything that has happened */

static uint32_t writer_id(int warp, int lane, uint32_t pc)
{
    return (uint32_t)lane | (uint32_t)warp << 5 | pc << 10;
}
static int writer_warp(uint32_t writer) { return writer >> 5 & 31; }

bool races_open(Races *r, uint32_t shared_bytes, int n_warps)
{
    size_t n = (shared_bytes + GRANULE - 1) / GRANULE;
    memset(r, 0, sizeof *r);
    r->n_granules = (uint32_t)n;
    r->n_warps = n_warps;
    if (!n) return true;
    /* one block of zeros: clocks start at 1, so 0 is before everything */
    uint32_t *table = calloc(n * (2 + (size_t)n_warps), sizeof *table);
    if (!table) return false;
    r->writer_clock = table;
    r->writer = table + n;
    for (int w = 0; w < n_warps; w++) r->read[w] = table + n * (2 + (size_t)w);
    return true;
}

void races_close(Races *r)
{
    free(r->writer_clock);
    r->writer_clock = NULL;
}

static void forget_everything(Races *r)
{
    if (r->writer_clock)
        memset(r->writer_clock, 0, r->n_granules * (2 + (size_t)r->n_warps) * sizeof(uint32_t));
    memset(r->clock, 0, sizeof r->clock);
}

void races_new_block(Races *r)
{
    uint32_t latest = 0;
    for (int w = 0; w < r->n_warps; w++)
        if (r->clock[w] > latest) latest = r->clock[w];
    if (latest > UINT32_MAX / 2) {
        forget_everything(r);
        latest = 0;
    }
    for (int w = 0; w < r->n_warps; w++) {
        r->clock[w] = latest + 1;
        for (int u = 0; u < r->n_warps; u++) r->vc[w][u] = u == w ? OWN : latest;
    }
}

/* ---- the ordinary case: one pass without branches over the granules ---- */

static bool writes_known(const Races *r, int warp, uint32_t first, uint32_t n)
{
    const uint32_t *vc = r->vc[warp], *clock = r->writer_clock + first, *writer = r->writer + first;
    bool known = true;
    for (uint32_t g = 0; g < n; g++) known &= clock[g] <= vc[writer_warp(writer[g])];
    return known;
}

static bool reads_known(const Races *r, int warp, uint32_t first, uint32_t n)
{
    bool known = true;
    for (int u = 0; u < r->n_warps; u++) {
        const uint32_t *read = r->read[u] + first, clock = r->vc[warp][u];
        for (uint32_t g = 0; g < n; g++) known &= read[g] <= clock;
    }
    return known;
}

/* ---- the rare case: which granule, and who ---- */

static Conflict find_conflict(const Races *r, int warp, uint32_t first, uint32_t n, bool writing)
{
    for (uint32_t g = first; g < first + n; g++) {
        uint32_t who = r->writer[g];
        Conflict c = {.granule = g, .warp = writer_warp(who), .lane = who & 31, .pc = who >> 10};
        c.with = r->writer_clock[g] == IN_FLIGHT ? WITH_COPY_IN_FLIGHT : WITH_WRITE;
        if (r->writer_clock[g] > r->vc[warp][c.warp]) return c;
        for (int u = 0; writing && u < r->n_warps; u++)
            if (r->read[u][g] > r->vc[warp][u]) return (Conflict){WITH_READ, g, u, -1, 0};
    }
    return (Conflict){0};
}

static uint32_t granules(uint32_t offset, uint32_t bytes)
{
    return (offset % GRANULE + bytes + GRANULE - 1) / GRANULE;
}

Conflict races_read(Races *r, int warp, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    uint32_t *read = r->read[warp] + first, clock = r->clock[warp];
    if (!writes_known(r, warp, first, n)) return find_conflict(r, warp, first, n, false);
    for (uint32_t g = 0; g < n; g++) read[g] = clock;
    return (Conflict){0};
}

static Conflict claim(Races *r, int warp, int lane, uint32_t pc, uint32_t clock, uint32_t offset,
                      uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes), id = writer_id(warp, lane, pc);
    if (!writes_known(r, warp, first, n) || !reads_known(r, warp, first, n))
        return find_conflict(r, warp, first, n, true);
    for (uint32_t g = first; g < first + n; g++) {
        r->writer_clock[g] = clock;
        r->writer[g] = id;
    }
    return (Conflict){0};
}

Conflict races_write(Races *r, int warp, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, warp, lane, pc, r->clock[warp], offset, bytes);
}

Conflict races_copy_issued(Races *r, int warp, int lane, uint32_t pc, uint32_t offset, uint32_t bytes)
{
    return claim(r, warp, lane, pc, IN_FLIGHT, offset, bytes);
}

void races_copy_landed(Races *r, int warp, uint32_t offset, uint32_t bytes)
{
    uint32_t first = offset / GRANULE, n = granules(offset, bytes);
    for (uint32_t g = first; g < first + n; g++) r->writer_clock[g] = r->clock[warp];
}

void races_barrier(Races *r, uint32_t warps)
{
    uint32_t join[RACE_WARPS] = {0};
    for (int w = 0; w < r->n_warps; w++) {
        if (!(warps >> w & 1)) continue;
        for (int u = 0; u < r->n_warps; u++) {
            uint32_t known = u == w ? r->clock[w] : r->vc[w][u];
            if (known > join[u]) join[u] = known;
        }
    }
    for (int w = 0; w < r->n_warps; w++) {
        if (!(warps >> w & 1)) continue;
        for (int u = 0; u < r->n_warps; u++)
            if (u != w) r->vc[w][u] = join[u];
        r->clock[w]++;
    }
}
