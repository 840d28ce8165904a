/* shares.h: which tiles are shared among blocks along k, and among how many blocks. One rule for the launch
 * and for the workspace that a config asks for; no symbols, so that a runtime without the generator has it
 * too. */
#ifndef GEN_SHARES_H
#define GEN_SHARES_H

#include <stdint.h>

typedef struct GenShares {
    int64_t tiles, blocks; /* the first `tiles` tiles are shared by the first `blocks` blocks; 0: none are */
} GenShares;

/* Fitted by hand (docs/tuning-mma.md). */
enum {
    /* Adding one partial to a tile takes as long as multiplying this much of k: so shares are at least as
     * many times as long as a tile has. */
    GEN_SHARES_SUM_K = 160,
    GEN_SHARES_FULL = 95, /* a turn that keeps so many percent of the workers busy is left as it is */
    GEN_SHARES_EVEN = 90, /* as many blocks a tile, all alike, if that keeps so many percent of them busy */
};

/* `workers`: blocks that keep the device busy. The tiles of full turns have a block each; those left over are
 * shared: the same number of blocks a tile where that comes out well, or else all workers, which cut tiles
 * anywhere. */
static inline GenShares gen_shares(int64_t tiles, int64_t k, int tile_k, int64_t workers)
{
    const GenShares none = {0, 0};
    if (workers < 1) return none;
    int64_t rest = tiles % workers, k_blocks = (k + tile_k - 1) / tile_k, most = 1;
    if (rest * 100 >= workers * GEN_SHARES_FULL || rest == 0) return none;
    while ((most + 1) * (most + 1) * GEN_SHARES_SUM_K <= k) most++;
    int64_t even = workers / rest, blocks = even * rest;
    if (blocks * 100 < workers * GEN_SHARES_EVEN) blocks = workers;
    if (most > k_blocks) most = k_blocks;
    if (blocks > rest * most) blocks = rest * most;
    if (blocks <= rest || rest * k_blocks > INT32_MAX) return none;
    return (GenShares){rest, blocks};
}

#endif
