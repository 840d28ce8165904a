/* race.h: who may touch which byte of shared memory, decided by vector clocks.
 *
 * Each warp has a clock; vc[w][u] is the latest clock of warp u of which warp w knows. A barrier joins
 * the vectors of those that meet there and moves their clocks on. For every granule of 2 bytes the last
 * write (clock, warp, lane, instruction) and the last read of each warp (clock) are kept; an access is
 * ordered behind another one if its warp knows of that one's clock. So a race is found whatever the
 * interleaving was. Lanes of one warp are taken as ordered.
 *
 * A cp.async owns its granules from issue to landing: its writer clock is then IN_FLIGHT, which nobody
 * ever knows of, so that every access, also by the warp itself, is found by the one comparison.
 */
#ifndef EMU_RACE_H
#define EMU_RACE_H

#include <stdbool.h>
#include <stdint.h>

enum { GRANULE = 2, RACE_WARPS = 32 };

typedef struct Races {
    uint32_t n_granules;
    int n_warps;
    uint32_t *writer_clock;        /* [granule] */
    uint32_t *writer;              /* [granule] lane | warp << 5 | pc << 10 */
    uint32_t *read[RACE_WARPS];    /* [warp][granule] clock */
    uint32_t clock[RACE_WARPS];
    uint32_t vc[RACE_WARPS][RACE_WARPS];
} Races;

/* How an access collides with an earlier one. */
typedef struct Conflict {
    enum { NO_CONFLICT, WITH_COPY_IN_FLIGHT, WITH_WRITE, WITH_READ } with;
    uint32_t granule;
    int warp, lane; /* lane: -1 when it is not known */
    uint32_t pc;    /* of the write or copy */
} Conflict;

bool races_open(Races *r, uint32_t shared_bytes, int n_warps);
void races_close(Races *r);
void races_new_block(Races *r); /* forgets all: the new block's warps come after everything */

/* Offsets and sizes in bytes, of an access that lies inside the array. */
Conflict races_read(Races *r, int warp, uint32_t offset, uint32_t bytes);
Conflict races_write(Races *r, int warp, int lane, uint32_t pc, uint32_t offset, uint32_t bytes);
Conflict races_copy_issued(Races *r, int warp, int lane, uint32_t pc, uint32_t offset, uint32_t bytes);
void races_copy_landed(Races *r, int warp, uint32_t offset, uint32_t bytes);
/* The warps of the mask have met at a barrier. */
void races_barrier(Races *r, uint32_t warps);

#endif
