/* choose_fitted.c: tiles of the wgmma back end that are on no list, because they are made for a problem: so
 * that each SM has one block, or, of many rows of x, all SMs have as many. They are ranked beside those of
 * the list.
 */
#include "gen/internal.h"
#include "gen/plan.h"

/* So many tiles along m, and along n as many as there are places left for. */
typedef struct FittedWay {
    int from_m, to_m;
    bool swap;
    int k_sharers;
    int tiles_m;         /* 0: as many as tiles of 256 rows make */
    int most_waves;
    int step_n;          /* tile_n is a multiple of it */
    int most_ring_bytes; /* more are no faster (docs/tuning.md) */
} FittedWay;

/* clang-format off */
static const FittedWay ways[GEN_WGMMA_FITTED] = {
    /* m from, to  swap  k  tiles_m waves step_n  ring */
    {   1,   128, true,  1,    1,     1,     8,   227 << 10},
    {   1,   128, true,  2,    1,     1,     8,   144 << 10},
    { 129,   256, true,  2,    1,     1,    64,   227 << 10},
    {  65,   256, false, 1,    1,     1,     8,   227 << 10},
    {  65,   256, false, 2,    1,     1,    16,   227 << 10},
    { 257,   512, true,  1,    2,     4,    64,   227 << 10},
    { 385,   768, true,  1,    3,     4,    64,   227 << 10},
    { 513,  1024, true,  1,    4,     4,    64,   227 << 10},
    { 641,  1280, true,  1,    5,     4,    64,   227 << 10},
    { 769,  1536, true,  1,    6,     4,    64,   227 << 10},
    { 897,  1792, true,  1,    7,     4,    64,   227 << 10},
    {1025,  2048, true,  1,    8,     4,    64,   227 << 10},
    { 129,   512, false, 1,    2,     1,     8,   227 << 10},
    { 257,   768, false, 1,    3,     1,     8,   227 << 10},
    { 385,  1024, false, 1,    4,     1,     8,   227 << 10},
    {1025,  4096, false, 1,    0,     4,     8,   227 << 10},
};
/* clang-format on */

static int tiles_m(const FittedWay *way, int64_t m)
{
    return way->tiles_m ? way->tiles_m : (int)gen_ceil_div(m, 256);
}

/* Swapped, few different ones, so that calls whose m changes find their kernels loaded; but from 65 to 128, and in several
 * rows of tiles, those behind the end cost too much. */
static int rows(const FittedWay *way, int64_t m)
{
    if (!way->swap) return (int)gen_whole(gen_ceil_div(m, tiles_m(way, m)), 64);
    int64_t each = gen_ceil_div(m, way->tiles_m);
    return (int)gen_whole(each, way->tiles_m > 1 || m <= 16 || (m > 64 && m <= 128) ? 8 : 16);
}

/* Columns that accumulators find registers for; swapped, three warpgroups of 64. */
static int most_columns(const FittedWay *way, int tile_m)
{
    if (way->step_n == 64) return 192;
    if (way->swap || tile_m <= 128) return 256;
    return tile_m == 192 ? 240 : 200;
}

/* As few waves of tiles as may be; more than `most` columns, if the way's waves have no room for them. */
static int64_t columns(const FittedWay *way, const GenProblem *p, int most)
{
    enum { LEAST = 24 };
    int64_t n = p->n, blocks = (int64_t)way->k_sharers * tiles_m(way, p->m);
    for (int waves = 1; waves <= way->most_waves; waves++) {
        int64_t places = waves * p->sm_count / blocks;
        n = gen_ceil_div(p->n, places > 0 ? places : 1);
        n = gen_whole(n < LEAST ? LEAST : n, way->step_n);
        if (n <= most) break;
    }
    return n;
}

/* Warpgroups of 64 rows each, or two of 128; or, where three have not enough registers, side by side. */
static void set_warpgroups(const FittedWay *way, GenConfig *c)
{
    enum { THREE_MOST_N = 200 };
    c->warps_m = c->warps_n = 1;
    if (c->swap) c->warps_n = way->step_n == 64 ? c->tile_n / 64 : 1;
    else if (c->tile_m == 192 && c->tile_n > THREE_MOST_N) c->warps_n = 2;
    else c->warps_m = c->tile_m == 256 ? 2 : c->tile_m / 64;
    c->skew_blocks = c->tile_m == 256 && !c->swap && c->cluster_k == 1 && c->x == c->w ? 1 : 0;
}

/* As many as find room, but not fewer than `least`. */
static bool set_stages(const FittedWay *way, GenConfig *c, bool exchange_in_ring, int least)
{
    enum { MOST = 12 };
    GenError error;
    GenPlan plan;
    for (c->stages = MOST; c->stages >= least; c->stages--)
        if (gen_plan(c, &plan, &error) && plan.ring_bytes <= way->most_ring_bytes &&
            plan.g.exchange_in_ring == exchange_in_ring)
            return true;
    return false;
}

/* Where blocks share k, stages enough are worth more than not to wait for the other blocks' main loops. */
static bool set_enough_stages(const FittedWay *way, const GenProblem *p, GenConfig *c)
{
    enum { LEAST = 3, SWAPPED_LEAST = 4, ENOUGH = 5, FEW_ROWS = 64 };
    int least = way->swap ? SWAPPED_LEAST : LEAST;
    if (c->cluster_k == 1) return set_stages(way, c, false, least);
    return set_stages(way, c, false, p->m > FEW_ROWS ? ENOUGH : least) || set_stages(way, c, true, LEAST);
}

bool gen_wgmma_fitted(const GenProblem *p, int i, GenConfig *c)
{
    const FittedWay *way = &ways[i];
    if (p->m < way->from_m || p->m > way->to_m) return false;
    int tile_m = rows(way, p->m), most_n = most_columns(way, tile_m);
    int64_t tile_n = columns(way, p, most_n);
    if (tile_n > most_n) return false;
    c->backend = GEN_BACKEND_WGMMA;
    c->swap = way->swap;
    c->tile_m = tile_m;
    c->tile_n = (int)tile_n;
    c->tile_k = c->swap && c->tile_n <= 128 && way->step_n == 8 ? 128 : 64;
    c->cluster_m = c->cluster_n = 1;
    c->cluster_k = way->k_sharers;
    c->group_m = 8;
    c->min_blocks = 0;
    c->even = 0;
    c->pingpong = c->ends = c->once = c->last = false;
    set_warpgroups(way, c);
    return set_enough_stages(way, p, c);
}
