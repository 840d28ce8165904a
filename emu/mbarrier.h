/* mbarrier.h: barriers in shared memory (PTX ISA 9.7.13.15).
 *
 * The 8 bytes of an mbarrier are opaque: what it holds stands here, and the bytes themselves belong to nobody
 * (race.h), so that any other access to them is a trap. An mbarrier is an actor: what the TMA loads wrote
 * that it counts is known to those who have waited for it, and to nobody else.
 */
#ifndef EMU_MBARRIER_H
#define EMU_MBARRIER_H

#include <stdbool.h>
#include <stdint.h>

struct Block;
struct Cluster;
struct Warp;

enum { MAX_MBARRIERS = 64 }; /* of a block */

typedef struct Mbarrier {
    uint32_t offset;            /* in its block's array */
    uint32_t expected, pending; /* arrivals of a phase, and those still missing */
    int64_t tx_bytes;           /* expected of copies, and not yet there */
    uint32_t phase;             /* phases that have ended */
    int actor;
    int init_actor, init_lane; /* who initialised it, where and when */
    uint32_t init_pc, init_clock;
    uint32_t ready_clock;      /* when it became visible to the async proxy; NOT_READY before */
    uint32_t landed_clock;     /* of the last bytes that it counted */
    uint32_t *arriving, *done; /* knowledge: of the phase under way, of the one before */
} Mbarrier;

typedef struct Mbarriers {
    int n;
    Mbarrier barrier[MAX_MBARRIERS];
    uint32_t *knowledge; /* storage of 2 a barrier */
    uint32_t
        *remote; /* [warp of the cluster] its clock when it arrived or stored here last from another block */
} Mbarriers;

void mbarriers_open(struct Block *b, uint32_t *knowledge, uint32_t *remote);
void mbarriers_new_block(struct Block *b);
/* At the end of a cluster: the bytes are free for the next block. */
void mbarriers_drop(struct Block *b);
/* The last warp of the block has ended: nothing may still be on its way here. */
void mbarriers_end_block(struct Warp *last);
/* The lanes' own mbarriers become visible to the async proxy. */
void mbarriers_fence(struct Warp *w, uint32_t lanes);
/* The mbarrier that a TMA load of `w` signals, in block b. */
Mbarrier *mbarrier_for_copy(struct Warp *w, int lane, struct Block *b, uint32_t address);
/* Bytes of a load have landed. */
void mbarrier_complete_bytes(struct Cluster *c, Mbarrier *m, uint32_t bytes);

#endif
