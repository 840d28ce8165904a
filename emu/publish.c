/* publish.c: the table of writes, a hash table by granule, and the list of releases. See publish.h. */
#include "emu/publish.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { GRANULE_BYTES = 16, FIRST_CAPACITY = 4096 };

typedef struct Write {
    uint64_t granule; /* 0: an empty place */
    uint64_t block;
    uint32_t clock;
    int warp;
} Write;

typedef struct Release {
    uint64_t address, value, before;
    AcquiredList what; /* of its own block first */
} Release;

struct Publications {
    pthread_mutex_t lock;
    Write *write;
    size_t n_writes, write_capacity; /* a power of 2, at least twice as many */
    Release *release;
    size_t n_releases, release_capacity;
};

Publications *publications_new(void)
{
    Publications *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->write_capacity = FIRST_CAPACITY;
    p->write = calloc(p->write_capacity, sizeof *p->write);
    if (p->write) return p;
    publications_free(p);
    return NULL;
}

void publications_free(Publications *p)
{
    if (!p) return;
    pthread_mutex_destroy(&p->lock);
    for (size_t i = 0; i < p->n_releases; i++) free(p->release[i].what.item);
    free(p->write);
    free(p->release);
    free(p);
}

/* Where a granule stands, or the empty place for it. */
static Write *find(Write *table, size_t capacity, uint64_t granule)
{
    size_t i = (size_t)(granule * 0x9E3779B97F4A7C15u >> 20) & (capacity - 1);
    while (table[i].granule && table[i].granule != granule) i = (i + 1) & (capacity - 1);
    return &table[i];
}

static bool grow(Publications *p)
{
    size_t capacity = 2 * p->write_capacity;
    Write *table = calloc(capacity, sizeof *table);
    if (!table) return false;
    for (size_t i = 0; i < p->write_capacity; i++)
        if (p->write[i].granule) *find(table, capacity, p->write[i].granule) = p->write[i];
    free(p->write);
    p->write = table;
    p->write_capacity = capacity;
    return true;
}

static bool note_write(Publications *p, Write w)
{
    if (2 * (p->n_writes + 1) > p->write_capacity && !grow(p)) return false;
    Write *place = find(p->write, p->write_capacity, w.granule);
    if (!place->granule) p->n_writes++;
    *place = w;
    return true;
}

bool publications_wrote(Publications *p, const Races *r, uint64_t block, int warp, uint64_t address,
                        uint32_t bytes)
{
    bool good = true;
    uint32_t clock = r->clocks->now[r->first_actor + warp];
    pthread_mutex_lock(&p->lock);
    for (uint64_t g = address / GRANULE_BYTES; g <= (address + bytes - 1) / GRANULE_BYTES; g++)
        good = good && note_write(p, (Write){g, block, clock, warp});
    pthread_mutex_unlock(&p->lock);
    return good;
}

static bool note_release(Publications *p, const Release *release)
{
    if (p->n_releases == p->release_capacity) {
        size_t bigger = p->release_capacity ? 2 * p->release_capacity : 64;
        Release *moved = realloc(p->release, bigger * sizeof *moved);
        if (!moved) return false;
        p->release = moved;
        p->release_capacity = bigger;
    }
    p->release[p->n_releases++] = *release;
    return true;
}

static bool add(AcquiredList *list, Acquired what)
{
    if (list->n == list->capacity) {
        int bigger = list->capacity ? 2 * list->capacity : 8;
        Acquired *moved = realloc(list->item, (size_t)bigger * sizeof *moved);
        if (!moved) return false;
        list->item = moved;
        list->capacity = bigger;
    }
    list->item[list->n++] = what;
    return true;
}

/* What the warp knows of its own block, and what it was given of others. */
static bool collect(AcquiredList *what, const Races *r, const AcquiredList *given, uint64_t block, int warp)
{
    const int actor = r->first_actor + warp;
    const uint32_t *known = clocks_known(r->clocks, actor) + r->first_actor;
    Acquired own = {.from = block};
    memcpy(own.clock, known, (size_t)r->n_warps * sizeof *known);
    own.clock[warp] = clocks_done(r->clocks, actor);
    bool good = add(what, own);
    for (int i = 0; i < given->n && good; i++)
        if (given->item[i].warps >> warp & 1) good = add(what, given->item[i]);
    return good;
}

bool publications_release(Publications *p, const Races *r, const AcquiredList *given, uint64_t block, int warp,
                          uint64_t address, uint64_t value, uint64_t before)
{
    Release release = {.address = address, .value = value, .before = before};
    bool good = collect(&release.what, r, given, block, warp);
    pthread_mutex_lock(&p->lock);
    good = good && note_release(p, &release);
    pthread_mutex_unlock(&p->lock);
    if (!good) free(release.what.item);
    return good;
}

/* The latest release of this value at this address, or NULL. */
static const Release *find_release(const Publications *p, uint64_t address, uint64_t value)
{
    for (size_t i = p->n_releases; i-- > 0;)
        if (p->release[i].address == address && p->release[i].value == value) return &p->release[i];
    return NULL;
}

/* Whether the block has looked there before: then the warp is given it. */
static bool give(AcquiredList *list, size_t release, int warp)
{
    bool seen = false;
    for (int i = 0; i < list->n; i++) {
        if (list->item[i].release != release) continue;
        list->item[i].warps |= 1u << warp;
        seen = true;
    }
    return seen;
}

static bool look(AcquiredList *list, const Release *release, size_t number, int warp, uint64_t *value)
{
    bool good = true;
    if (give(list, number, warp)) return true;
    *value = release->before;
    for (int i = 0; i < release->what.n && good; i++) {
        Acquired a = release->what.item[i];
        a.release = number, a.warps = 0;
        good = add(list, a);
    }
    return good;
}

bool publications_acquire(Publications *p, AcquiredList *list, int warp, uint64_t address, uint64_t *value)
{
    pthread_mutex_lock(&p->lock);
    const Release *release = find_release(p, address, *value);
    bool good = !release || look(list, release, (size_t)(release - p->release), warp, value);
    pthread_mutex_unlock(&p->lock);
    return good;
}

static bool given(const AcquiredList *list, const Write *w, int warp)
{
    for (int i = 0; i < list->n; i++) {
        const Acquired *a = &list->item[i];
        if (a->from == w->block && (a->warps >> warp & 1) && w->clock <= a->clock[w->warp]) return true;
    }
    return false;
}

bool publications_known(Publications *p, const AcquiredList *list, uint64_t block, int warp, uint64_t address,
                        uint64_t *writer)
{
    pthread_mutex_lock(&p->lock);
    Write w = *find(p->write, p->write_capacity, address / GRANULE_BYTES);
    pthread_mutex_unlock(&p->lock);
    *writer = w.block;
    return !w.granule || w.block == block || given(list, &w, warp);
}

void acquired_barrier(AcquiredList *list, uint32_t warps)
{
    for (int i = 0; i < list->n; i++)
        if (list->item[i].warps & warps) list->item[i].warps |= warps;
}
