/* race.h: who may touch which byte of shared memory, decided by vector clocks.
 *
 * Everything of a cluster that acts on its own is an actor with a clock: its warps, block by block; its
 * warpgroups, for what their wgmma read; its mbarriers, for the TMA loads that they count. Each warp knows a
 * latest clock of every actor. A release leaves that knowledge at a barrier and moves the warp's clock on; an
 * acquire takes what lies there. For every granule of 2 bytes the last write (clock, actor, lane,
 * instruction) and the last read of each reader (clock, lane) are kept; an access is ordered behind another
 * one if its warp knows of that one's clock. So a race is found whatever the interleaving was.
 *
 * Lanes of one warp: a warp knows of itself what its lanes did before they last met, by bar.warp.sync or any
 * other barrier. What came since is ordered for the lane alone that did it, and an arrival hands it over only if
 * no other lane did anything since.
 *
 * What works by itself owns its granules from issue until its warp has waited: their clock is then IN_FLIGHT,
 * which nobody ever knows of, so that every access, also by the warp itself, is found by the one comparison.
 *
 * The generic and the async proxy: knowledge has two halves, of what is known and of what of it is visible to
 * the async proxy. They differ in the clocks of warps alone: a warp's writes become visible by its own
 * fence.proxy.async, to others once they are told. What TMA and wgmma read must be visible to their warp; the
 * rest of the machinery is one.
 */
#ifndef EMU_RACE_H
#define EMU_RACE_H

#include <stdbool.h>
#include <stdint.h>

enum { GRANULE = 2, RACE_WARPS = 32, RACE_READERS = RACE_WARPS + RACE_WARPS / 4, RACE_ACTORS = 1024 };

/* Knowledge: [0, n) the clocks known of, [n, 2n) those visible to the async proxy. */
typedef struct Clocks {
    int n, n_warps;   /* actors; the first are warps */
    uint32_t first;   /* clock of this cluster */
    uint32_t *now;    /* [actor] */
    uint32_t *knows;  /* [warp][2n] */
    uint32_t *fenced; /* [warp] its clock when all lanes that wrote had fenced last */
    uint32_t *wrote;  /* [warp] lanes that did since it met or handed that over */
    uint32_t *read;   /* [warp] the same */
} Clocks;

typedef struct Races {
    Clocks *clocks;
    uint32_t n_granules;
    int n_warps, n_readers;       /* of the block: readers are its warps, then its warpgroups */
    int first_actor;              /* the one that is warp 0 */
    int reader[RACE_READERS];     /* actor of each reader */
    uint32_t *writer_clock;       /* [granule] */
    uint32_t *writer;             /* [granule] lane | actor << 5 | pc << 15 */
    uint32_t *read[RACE_READERS]; /* [reader][granule] clock */
    uint8_t *read_lane[RACE_WARPS]; /* [warp][granule] lane of that read, or SEVERAL_LANES since it met */
} Races;

enum { ALL_OF_WARP = 32, SEVERAL_LANES = ALL_OF_WARP }; /* in place of a lane */

/* How an access collides with an earlier one. */
typedef struct Conflict {
    enum {
        NO_CONFLICT,
        WITH_WORK_IN_FLIGHT,
        WITH_WRITE,
        WITH_UNFENCED_WRITE,
        WITH_READ,
        WITH_READ_IN_FLIGHT
    } with;
    uint32_t granule;
    int actor, lane; /* lane: -1 when it is not known, or one of several */
    uint32_t pc;     /* of the write or copy */
} Conflict;

bool clocks_open(Clocks *c, int n_warps, int n_others);
void clocks_close(Clocks *c);
/* The next cluster's actors come after everything; true when the clocks began anew and races must forget. */
bool clocks_new_cluster(Clocks *c);
uint32_t *clocks_known(const Clocks *c, int warp); /* 2n; the second half is what is visible */
void clocks_release(Clocks *c, int warp, uint32_t lanes, uint32_t *to); /* lanes: that arrive */
/* All lanes of a warp have met. */
void clocks_meet(Clocks *c, int warp);
/* All lanes have what they read, and any may hand that over. */
void clocks_reads_done(Clocks *c, int warp);
void clocks_acquire(Clocks *c, int warp, const uint32_t *from);
/* An actor has done something: the clock of that, for those who wait for it. */
uint32_t clocks_done(Clocks *c, int actor);
void clocks_learn(Clocks *c, uint32_t *knowledge, int actor, uint32_t clock);
void clocks_fence_proxy(Clocks *c, int warp);

/* groups: actors of the block's warpgroups start at first_group */
bool races_open(Races *r, Clocks *clocks, uint32_t shared_bytes, int n_warps, int first_actor, int n_groups,
                int first_group);
void races_close(Races *r);
void races_forget(Races *r);

/* Offsets and sizes in bytes, of an access that lies inside the array; warp: the actor; lane: ALL_OF_WARP for
 * what lanes do together. */
Conflict races_read(Races *r, int warp, int lane, uint32_t offset, uint32_t bytes);
Conflict races_write(Races *r, int warp, int lane, uint32_t pc, uint32_t offset, uint32_t bytes);
/* A write by itself: in flight from issue until it has landed. `as`: who writes, for whom `warp` issues it.
 */
Conflict races_copy_issued(Races *r, int warp, int as, int lane, uint32_t pc, uint32_t offset,
                           uint32_t bytes);
void races_copy_landed(Races *r, int as, uint32_t offset, uint32_t bytes);
/* The same in the async proxy: what it overwrites must be visible there. */
Conflict races_load_issued(Races *r, int warp, int as, int lane, uint32_t pc, uint32_t offset,
                           uint32_t bytes);
/* A read in the async proxy, by the block's reader: checked, and marked in flight until it is done. The lane is
 * that of a warp which reads, not of a warpgroup. */
Conflict races_async_read(const Races *r, int warp, int lane, uint32_t offset, uint32_t bytes);
void races_mark_read(Races *r, int reader, int lane, uint32_t offset, uint32_t bytes);
void races_read_done(Races *r, int reader, uint32_t clock, uint32_t offset, uint32_t bytes);

#endif
