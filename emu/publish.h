/* publish.h: what blocks of one launch may know of each other's writes to global memory.
 *
 * Blocks run one after another on a host thread, so that data is there which on a GPU need not be. Here it is
 * followed who may read it: each write is kept with its block, warp and that warp's clock (race.h). A release
 * at an address takes along what its warp knows of its block, and was given of others; an acquire that reads
 * its value there gives that to a warp of another block, and a bar.sync to the others that wait at it. A read
 * of another block's write is a race unless the warp has been given it. And a block that looks for the first
 * time finds what was there before: writes of others may take their time.
 *
 * Only kernels with a release or an acquire have this table; they have no clusters. Places are granules of
 * 16 bytes, with their last writer. Host threads share the table, which has a lock.
 */
#ifndef EMU_PUBLISH_H
#define EMU_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/race.h"

typedef struct Publications Publications;

/* What a block has seen by a release: what block `from` did until these clocks; given to these warps, which are
 * none when it has looked but once. */
typedef struct Acquired {
    uint64_t from;
    size_t release; /* its number */
    uint32_t warps;
    uint32_t clock[RACE_WARPS];
} Acquired;

typedef struct AcquiredList {
    Acquired *item;
    int n, capacity;
} AcquiredList;

Publications *publications_new(void); /* NULL: no memory */
void publications_free(Publications *p);

/* Warp `warp` of block `block`, whose races are `r`; false when there is no memory for it. */
bool publications_wrote(Publications *p, const Races *r, uint64_t block, int warp, uint64_t address,
                        uint32_t bytes);
/* `given`: to the block. `before` is what stands there until then. */
bool publications_release(Publications *p, const Races *r, const AcquiredList *given, uint64_t block, int warp,
                          uint64_t address, uint64_t value, uint64_t before);
/* *value: what stands there; becomes what is found. */
bool publications_acquire(Publications *p, AcquiredList *list, int warp, uint64_t address, uint64_t *value);
/* Whether a warp may read there; if not, *writer is the block that wrote. */
bool publications_known(Publications *p, const AcquiredList *list, uint64_t block, int warp, uint64_t address,
                        uint64_t *writer);
/* The warps of the mask have met. */
void acquired_barrier(AcquiredList *list, uint32_t warps);

#endif
