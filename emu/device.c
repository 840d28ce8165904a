/* device.c: the table of allocations of global memory, sorted by address, live and freed ones alike.
 *
 * Addresses are handed out upwards. When the reserved range is used up, the records of freed allocations
 * are dropped and the gaps between live ones serve again.
 */
#include "emu/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "emu/machine.h"

enum { ALIGN = 256, GUARD = 64 * 1024 };

typedef struct Table {
    uint64_t base, reserved; /* the address range */
    uint64_t next;           /* where the next allocation goes */
    uint64_t total, used;    /* bytes of memory */
    DeviceRange *range;
    int n, capacity;
} Table;

static Table table;

bool device_memory_open(uint64_t memory_bytes)
{
    for (uint64_t bytes = 1ull << 40; bytes >= 2 * memory_bytes; bytes /= 2) {
        void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) continue;
        table.base = (uint64_t)(uintptr_t)p;
        table.next = (table.base + GUARD) | ALIGN;
        table.reserved = bytes;
        table.total = memory_bytes;
        return true;
    }
    return false;
}

uint64_t device_memory_total(void) { return table.total; }
uint64_t device_memory_free(void) { return table.total - table.used; }
bool device_owns(uint64_t address) { return address - table.base < table.reserved; }

/* Index of the last range that starts at or below the address, or -1. */
static int range_below(uint64_t address)
{
    int low = 0, high = table.n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (table.range[middle].base <= address) low = middle + 1;
        else high = middle;
    }
    return low - 1;
}

/* The next aligned address behind a range and its guard. */
static uint64_t behind(uint64_t base, uint64_t bytes)
{
    return (base + bytes + GUARD + ALIGN - 1) / ALIGN * ALIGN;
}

/* Where an allocation of this many bytes can stand; 0 when nowhere. */
static uint64_t place(uint64_t bytes)
{
    uint64_t end = table.base + table.reserved - GUARD;
    if (table.next <= end && bytes <= end - table.next) return table.next;
    int live = 0;
    for (int i = 0; i < table.n; i++)
        if (table.range[i].host) table.range[live++] = table.range[i];
    table.n = live;
    uint64_t at = table.base + GUARD;
    for (int i = 0; i < table.n && table.range[i].base < at + bytes + GUARD; i++)
        at = behind(table.range[i].base, table.range[i].bytes);
    return at <= end && bytes <= end - at ? at : 0;
}

static bool insert(DeviceRange range)
{
    if (table.n == table.capacity) {
        int bigger = table.capacity ? 2 * table.capacity : 64;
        DeviceRange *moved = realloc(table.range, (size_t)bigger * sizeof *moved);
        if (!moved) return false;
        table.range = moved;
        table.capacity = bigger;
    }
    int at = range_below(range.base) + 1;
    memmove(table.range + at + 1, table.range + at, (size_t)(table.n - at) * sizeof *table.range);
    table.range[at] = range;
    table.n++;
    return true;
}

uint64_t device_alloc(uint64_t bytes, void *owner)
{
    if (bytes > device_memory_free()) return 0;
    uint64_t base = place(bytes);
    unsigned char *host = base ? malloc(bytes) : NULL;
    if (!host || !insert((DeviceRange){base, bytes, host, owner})) {
        free(host);
        return 0;
    }
    poison(host, bytes);
    table.used += bytes;
    uint64_t after = behind(base, bytes);
    if (after > table.next)
        table.next = after | ALIGN; /* an odd multiple: aligned as promised, and no better */
    return base;
}

static void release(DeviceRange *range)
{
    free(range->host);
    range->host = NULL;
    table.used -= range->bytes;
}

bool device_release(uint64_t base, const void *owner)
{
    int i = range_below(base);
    if (i < 0 || table.range[i].base != base || !table.range[i].host) return false;
    if (owner && table.range[i].owner != owner) return false;
    release(&table.range[i]);
    return true;
}

void device_release_all(const void *owner)
{
    for (int i = 0; i < table.n; i++)
        if (table.range[i].host && table.range[i].owner == owner) release(&table.range[i]);
}

const DeviceRange *device_find(uint64_t address)
{
    int i = range_below(address);
    if (i < 0 || !table.range[i].host || address - table.range[i].base >= table.range[i].bytes) return NULL;
    return &table.range[i];
}

unsigned char *device_bytes(uint64_t address, uint64_t bytes)
{
    const DeviceRange *range = device_find(address);
    uint64_t offset = range ? address - range->base : 0;
    return range && bytes <= range->bytes - offset ? range->host + offset : NULL;
}

void device_describe(uint64_t address, uint64_t bytes, char *out, size_t out_bytes)
{
    int i = range_below(address);
    const DeviceRange *below = i >= 0 ? &table.range[i] : NULL;
    const DeviceRange *above = i + 1 < table.n ? &table.range[i + 1] : NULL;
    uint64_t offset = below ? address - below->base : 0;
    if (!device_owns(address)) {
        snprintf(out, out_bytes, "which is not a device address");
    } else if (below && !below->host && offset < below->bytes) {
        snprintf(out, out_bytes, "%llu B into an allocation of %llu B that has been freed",
                 (unsigned long long)offset, (unsigned long long)below->bytes);
    } else if (below && (!above || offset < below->bytes || offset - below->bytes <= above->base - address)) {
        uint64_t behind = offset + bytes - below->bytes;
        snprintf(out, out_bytes, "%llu B behind the end of an allocation of %llu B",
                 (unsigned long long)behind, (unsigned long long)below->bytes);
    } else if (above) {
        snprintf(out, out_bytes, "%llu B before an allocation of %llu B",
                 (unsigned long long)(above->base - address), (unsigned long long)above->bytes);
    } else {
        snprintf(out, out_bytes, "where nothing is allocated");
    }
}
