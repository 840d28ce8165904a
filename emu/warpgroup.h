/* warpgroup.h: what the four warps of a warpgroup do together: wgmma and setmaxnreg (PTX
 * ISA 9.7.15, 9.7.19.5).
 *
 * Each warp executes its instructions at its own time. The first to come to a step writes it into the group's
 * log, the others must come to the same instruction with the same operands. A wgmma happens when all four
 * have issued it, at once or by the wait that covers it, in the order of the log.
 */
#ifndef EMU_WARPGROUP_H
#define EMU_WARPGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct Block;
struct Warp;
struct Inst;

enum { GROUP_WARPS = 4, GROUP_STEPS = 256 };

typedef struct GroupStep {
    const struct Inst *in;
    uint64_t a, b; /* wgmma: descriptors; a: 0, if A is in registers */
    bool wgmma, accumulate;
    uint32_t read_clock; /* a commit: when somebody has waited for it first (race.h) */
} GroupStep;

typedef struct Warpgroup {
    GroupStep step[GROUP_STEPS];  /* by number % GROUP_STEPS */
    uint32_t commit[GROUP_STEPS]; /* step of each commit, by number % GROUP_STEPS */
    uint32_t n, n_commits;        /* so far */
    uint32_t at[GROUP_WARPS];     /* next step of each warp */
    uint32_t executed, read;      /* steps before this one have happened; have been waited for by some warp */
    int actor, reader;            /* race.h */
} Warpgroup;

/* The registers of one warp that wgmma holds from its issue to the wait: accumulators, and those that A is in. */
typedef struct HeldRegisters {
    uint32_t *state;  /* [register, of fp32, then of 32 bits] TOUCHED, FENCED, or the step in flight + IN_FLIGHT */
    float *value;     /* [fp32 register][lane], while in flight */
    int n_f32, n;     /* registers: of fp32, all */
    int in_flight;
    uint32_t commits; /* by this warp */
} HeldRegisters;

/* ---- the log (warpgroup.c) ---- */
void warpgroups_new_block(struct Block *b);
Warpgroup *warpgroup_of(struct Warp *w);
/* Takes the warp to its next step. False: it must wait for the others, and comes again. */
bool warpgroup_step(struct Warp *w, GroupStep step, uint32_t *number);
bool warpgroup_passed(const Warpgroup *g, uint32_t step); /* all four warps have */
/* The last lanes of a warp have returned. */
void warpgroup_end_warp(struct Warp *w);

/* ---- registers that wgmma holds (wgmma.c) ---- */
bool held_open(struct Warp *w);
void held_close(struct Warp *w);
void held_new_block(struct Warp *w);
/* An instruction other than wgmma touches some of them. */
void held_touch(struct Warp *w, const struct Inst *in);

#endif
