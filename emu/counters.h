/* counters.h: what a profiler would count, per launch and since the last reset.
 *
 * The named counters come first, then one `op.ROW` for each row of the instruction table: how many warp
 * instructions of that row had a lane to work for.
 */
#ifndef EMU_COUNTERS_H
#define EMU_COUNTERS_H

#include <stdint.h>

#include "gen/ptx/ptx.h"

/* clang-format off */
#define COUNTERS(X) \
X(instructions,                 "warp instructions issued, also those whose guard is false everywhere") \
X(branches_diverged,            "branches that split a warp") \
X(shared_wavefronts,            "passes that shared memory needed: loads, stores, ldmatrix, stmatrix, cp.async") \
X(shared_wavefronts_ideal,      "passes that it would need without bank conflicts") \
X(ldmatrix_conflicts,           "wavefronts beyond the ideal, of ldmatrix") \
X(stmatrix_conflicts,           "wavefronts beyond the ideal, of stmatrix") \
X(cp_async_conflicts,           "wavefronts beyond the ideal, of the writes of cp.async") \
X(shared_load_conflicts,        "wavefronts beyond the ideal, of ld.shared") \
X(shared_store_conflicts,       "wavefronts beyond the ideal, of st.shared") \
X(global_load_requests,         "warp instructions that load from global memory, cp.async among them") \
X(global_load_sectors,          "32-byte sectors that they touch") \
X(global_store_requests,        "warp instructions that store to global memory") \
X(global_store_sectors,         "32-byte sectors that they touch") \
X(global_bytes_loaded,          "bytes read, summed over lanes") \
X(global_bytes_stored,          "bytes written, summed over lanes") \
X(global_elements_stored,       "registers written, summed over lanes: a packed pair is one, a vector its count") \
X(tma_bytes_loaded,             "bytes of boxes read by TMA loads, those outside the tensor not among them") \
X(tma_bytes_stored,             "bytes of boxes written by TMA stores, likewise") \
X(mma,                          "mma.sync") \
X(wgmma,                        "wgmma.mma_async, once a warp") \
X(ldmatrix,                     "ldmatrix") \
X(stmatrix,                     "stmatrix") \
X(cp_async,                     "cp.async") \
X(barriers,                     "bar.sync and bar.arrive, once a warp")
/* clang-format on */

#define X(name, text) COUNT_##name,
enum { COUNTERS(X) N_NAMED_COUNTERS, N_COUNTERS = N_NAMED_COUNTERS + PTX_N_OPS };
#undef X

typedef struct Counters { uint64_t value[N_COUNTERS]; } Counters;

static inline void count(Counters *c, int which, uint64_t n) { c->value[which] += n; }
static inline void count_op(Counters *c, int op) { c->value[N_NAMED_COUNTERS + op]++; }
void counters_add(Counters *sum, const Counters *more);
/* Adds to what the exported emu_counter_* functions show. Call with the driver's lock held. */
void counters_publish(const Counters *of_launch);

/* 32-byte sectors that the lanes' accesses touch. */
int count_sectors(const uint64_t *address, uint32_t bytes, uint32_t lanes);
/* Passes through the 32 banks of 4 bytes for accesses of 4, 8 or 16 (or fewer than 4) bytes a lane. A pass
 * serves 128 bytes: 32, 16 or 8 lanes in order. `ideal` gets the passes without conflicts. */
int count_wavefronts(const uint32_t *address, uint32_t bytes, uint32_t lanes, int *ideal);

#endif
