/* choose_fitted.c: tiles of the wgmma back end that are on no list, because they are made for a problem: so
 * many rows of tiles share m out evenly, and as many columns of them n as give each SM one block, or a few
 * one after the other; or, of many rows and few columns, all of these. They are ranked beside those of the
 * list.
 */
#include "gen/internal.h"
#include "gen/plan.h"

/* A way to make them, once for each number of rows of tiles. */
typedef struct FittedWay {
    int from_m, to_m;
    int from_tiles, to_tiles; /* rows of tiles */
    bool swap;
    int sharers_w, sharers_x, sharers_k; /* blocks of a cluster that share loads, or k */
    int most_waves;                      /* tiles that an SM has, one after the other */
    int step_n;                          /* tile_n is a multiple of it */
    int most_ring_bytes;                 /* more are no faster (docs/tuning-wgmma.md) */
    bool near;                           /* sharers are but near each other */
} FittedWay;

enum {
    ALL = 227 << 10,  /* of shared memory */
    FEW_COLUMNS = 128 /* which leave room for 128 k */
};

/* clang-format off */
static const FittedWay ways[] = {
    /* m from, to   tiles    swap   W  x  k  waves step_n ring */
    {   1,   128,   1, 1,    true,  1, 1, 1,   1,     8,  ALL, false},
    {   1,    80,   1, 1,    true,  1, 1, 1,  32,     8,  ALL, false},
    {   1,   128,   1, 1,    true,  1, 1, 2,   1,     8,  144 << 10, false},
    { 129,   256,   1, 1,    true,  1, 1, 2,   1,    64,  ALL, false},
    {  65,   256,   1, 1,    true,  1, 4, 1,   1,    64,  ALL, false},
    {  97,  4096,   2, 24,   true,  1, 1, 1,  32,    64,  ALL, false},
    {  97,  1536,   2, 6,    true,  1, 1, 2,   1,    64,  ALL, false},
    {  97,  2048,   2, 8,    true,  2, 1, 1,   1,    64,  ALL, false},
    {  97,  2048,   2, 8,    true,  1, 4, 1,   1,    64,  ALL, false},
    {  97,  2048,   2, 8,    true,  2, 2, 1,   1,    64,  ALL, false},
    {  97,  2048,   2, 8,    true,  2, 4, 1,   1,    64,  ALL, false},
    {  65,   256,   1, 1,    false, 1, 1, 1,   1,     8,  ALL, false},
    {  65,   256,   1, 1,    false, 1, 1, 2,   1,    16,  ALL, false},
    { 129,  1024,   2, 4,    false, 1, 1, 1,   1,     8,  ALL, false},
};

/* With each of the clusters below. */
static const FittedWay near_ways[] = {
    {  97,  2048,   2, 24,   true,  1, 1, 1,   1,    64,  ALL, true},
    {  97,  2048,   2, 24,   false, 1, 1, 1,   1,     8,  ALL, true},
};
/* clang-format on */

static const struct NearCluster {
    int along_m, along_n;
} near_clusters[] = {{2, 1}, {1, 2}, {4, 1}, {2, 2}, {1, 4}, {4, 2}, {2, 4}};

/* A way to make tiles that have all columns, or a cluster's two have, so that x is read from memory once; for
 * each number of warpgroups that may have 64 rows of it each. */
typedef struct NarrowWay {
    int from_n, to_n;
    int sharers_x, sharers_k;
} NarrowWay;

static const NarrowWay narrow_ways[] = {
    {1, 256, 1, 1},
    {1, 256, 1, 2},
    {65, 512, 2, 1},
};

/* A way to make tiles of so many rows that share all columns out. */
typedef struct TallWay {
    int tile_m;
    bool pingpong;
} TallWay;

static const TallWay tall_ways[] = {{256, false}, {128, true}};

/* A way to make swapped tiles for many rows and any columns; in clusters, where rows begin inside a line of
 * 128 bytes. Pingpong of them hides y beneath a long k only. */
typedef struct WideWay {
    int from_m, from_k, tile_n;
    bool pingpong;
    int sharers_w, sharers_x;
} WideWay;

/* clang-format off */
static const WideWay wide_ways[] = {
    {2048,   1, 256, false, 1, 1},
    {1025,   1, 256, false, 2, 1},
    {1025,   1, 256, false, 1, 2},
    {1025,   1, 256, false, 2, 2},
    {1025,   1, 256, false, 2, 4},
    {1025,   1, 192, false, 2, 1},
    {1025,   1, 128, false, 1, 4},
    {1025,   1, 128, false, 2, 2},
    {1025, 512, 128, true,  1, 1},
    {1025, 512, 128, true,  1, 2},
};
/* clang-format on */
enum {
    N_LISTED_WAYS = sizeof ways / sizeof *ways,
    N_NEAR_CLUSTERS = sizeof near_clusters / sizeof *near_clusters,
    N_WAYS = N_LISTED_WAYS + sizeof near_ways / sizeof *near_ways * N_NEAR_CLUSTERS,
    MOST_TILES = 24, /* the largest to_tiles */
    N_NARROW_WAYS = sizeof narrow_ways / sizeof *narrow_ways,
    MOST_WARPGROUPS = 3,
    N_TALL_WAYS = sizeof tall_ways / sizeof *tall_ways,
    MOST_MORE_WAVES = 2, /* that a tall way may make, than the fewest */
    N_WIDE_WAYS = sizeof wide_ways / sizeof *wide_ways,
    MOST_COLUMNS = 8 /* of swapped tiles for many rows: any number from one on */
};

int gen_wgmma_fitted_count(void)
{
    return N_WAYS * MOST_TILES + N_NARROW_WAYS * MOST_WARPGROUPS + N_TALL_WAYS * MOST_MORE_WAVES +
           MOST_COLUMNS + N_WIDE_WAYS;
}

static FittedWay way_at(int i)
{
    int near = i - N_LISTED_WAYS;
    if (near < 0) return ways[i];
    FittedWay way = near_ways[near / N_NEAR_CLUSTERS];
    way.sharers_w = near_clusters[near % N_NEAR_CLUSTERS].along_m;
    way.sharers_x = near_clusters[near % N_NEAR_CLUSTERS].along_n;
    return way;
}

/* The way to fit a problem, its numbers, and the plan of the config once that has stages. */
typedef struct Fit {
    const FittedWay *way;
    const GenProblem *p;
    int tiles_m, tile_m, tile_n;
    GenPlan plan;
} Fit;

/* Whether the way is for so many rows of so many tiles. To be near is better than to share
 * W, unless rows begin inside a line of 128 bytes: requests for such are not answered together. */
static bool set_tiles_m(Fit *f, int tiles_m)
{
    const FittedWay *way = f->way;
    bool cut = gen_problem_cuts_lines(f->p);
    f->tiles_m = tiles_m;
    if (way->near ? cut : way->sharers_w > 1 && !cut) return false;
    if (tiles_m < way->from_tiles || tiles_m > way->to_tiles) return false;
    return f->p->m >= way->from_m && f->p->m <= way->to_m && f->tiles_m % way->sharers_w == 0;
}

/* Swapped, few different ones, so that calls whose m changes find their kernels loaded; but from 65 to 128,
 * and in several rows of tiles, those behind the end cost too much. */
static bool set_tile_m(Fit *f)
{
    enum { MOST = 256, LEAST_OF_MANY = 40 };
    int64_t m = f->p->m, each = gen_ceil_div(m, f->tiles_m);
    bool closely = f->tiles_m > 1 || m <= 16 || (m > 64 && m <= 128);
    f->tile_m = (int)gen_whole(each, !f->way->swap ? 64 : closely ? 8 : 16);
    return f->tile_m <= MOST && gen_ceil_div(m, f->tile_m) == f->tiles_m &&
           (!f->way->swap || f->tiles_m == 1 || f->tile_m >= LEAST_OF_MANY);
}

/* Columns that accumulators find registers for; swapped, three warpgroups of 64, or two of 128. In several
 * waves few, which leave room for 128 k. */
static int most_columns(const Fit *f)
{
    enum { TWO_MOST_ROWS = 200 };
    if (f->way->step_n == 8 && f->way->most_waves > 1) return FEW_COLUMNS;
    if (f->way->step_n == 64) return f->tile_m <= TWO_MOST_ROWS ? 256 : 192;
    if (f->way->swap || f->tile_m <= 128) return 256;
    return f->tile_m == 192 ? 240 : 200;
}

/* As few waves of tiles as may be; none, if the way's waves have no room for them. */
static bool set_tile_n(Fit *f)
{
    enum { LEAST = 24 };
    const FittedWay *way = f->way;
    int cluster = way->sharers_w * way->sharers_x * way->sharers_k, most = most_columns(f);
    int64_t places = gen_cluster_places(f->p->sm_count, cluster) / way->sharers_k;
    for (int waves = 1; waves <= way->most_waves; waves++) {
        int64_t tiles_n = waves * places / f->tiles_m / way->sharers_x * way->sharers_x;
        int64_t n = gen_ceil_div(f->p->n, tiles_n > 0 ? tiles_n : 1);
        n = gen_whole(n < LEAST ? LEAST : n, way->step_n);
        if (n > most) continue;
        f->tile_n = (int)n;
        return true;
    }
    return false;
}

/* Side by side, of 64 columns each, or two of 128. */
static int swapped_warpgroups(int tile_n) { return tile_n == 256 ? 2 : tile_n / 64; }

/* Warpgroups of 64 rows each, or two of 128; or, where three have not enough registers, side by side. */
static void set_warpgroups(const Fit *f, GenConfig *c)
{
    enum { THREE_MOST_N = 200 };
    c->warps_m = c->warps_n = 1;
    if (c->swap) c->warps_n = f->way->step_n < 64 ? 1 : swapped_warpgroups(c->tile_n);
    else if (c->tile_m == 192 && c->tile_n > THREE_MOST_N) c->warps_n = 2;
    else c->warps_m = c->tile_m == 256 ? 2 : c->tile_m / 64;
    c->skew_blocks = c->tile_m == 256 && !c->swap && c->cluster_k == 1 && c->x == c->w ? 1 : 0;
}

/* As many as find room, but not fewer than `least`. */
static bool set_stages(GenConfig *c, GenPlan *plan, int most_ring_bytes, bool exchange_in_ring, int least)
{
    enum { MOST = 12 };
    GenError error;
    for (c->stages = MOST; c->stages >= least; c->stages--)
        if (gen_plan(c, plan, &error) && plan->ring_bytes <= most_ring_bytes &&
            plan->g.exchange_in_ring == exchange_in_ring)
            return true;
    return false;
}

/* Where blocks share k, stages enough are worth more than not to wait for the other blocks' main loops. */
static bool set_enough_stages_of(Fit *f, GenConfig *c, int tile_k)
{
    enum { LEAST = 3, LEAST_NARROW_K128 = 4, ENOUGH = 5, FEW_ROWS = 64 };
    int least = tile_k == 128 && c->tile_n <= FEW_COLUMNS ? LEAST_NARROW_K128 : LEAST,
        ring_bytes = f->way->most_ring_bytes;
    c->tile_k = tile_k;
    if (c->cluster_k == 1) return set_stages(c, &f->plan, ring_bytes, false, least);
    return set_stages(c, &f->plan, ring_bytes, false, f->p->m > FEW_ROWS ? ENOUGH : least) ||
           set_stages(c, &f->plan, ring_bytes, true, LEAST);
}

/* Small tiles are better off with half as many, longer k-blocks; but where loads are shared, stages count
 * more. */
static int swapped_tile_k(int tile_m, int tile_n, bool shared)
{
    enum { SMALL_M = 88, SMALL_SHARED_M = 48 };
    return tile_n == 64 && tile_m <= (shared ? SMALL_SHARED_M : SMALL_M) ? 128 : 64;
}

/* Tiles that lie side by side, one row of them, read W once: by 256 bytes of a row, of which memory gives 2
 * to 4 % more a second than of 128 (docs/tuning-wgmma.md). */
static int tile_k(const Fit *f)
{
    bool shared = f->way->sharers_w * f->way->sharers_x > 1 && !f->way->near;
    if (!f->way->swap) return 64;
    if (f->way->step_n == 8) return f->way->sharers_k == 1 || f->tile_n <= FEW_COLUMNS ? 128 : 64;
    return swapped_tile_k(f->tile_m, f->tile_n, shared);
}

/* Of 64 k where there is no room for 128, if blocks share k, or x is wide: other tiles of 16 bits are no
 * better for it. */
static bool set_enough_stages(Fit *f, GenConfig *c)
{
    enum { FEW_WIDE_ROWS = 32 };
    bool wide = gen_type_bytes(f->p->x) > gen_type_bytes(f->p->w) && f->p->m > FEW_WIDE_ROWS;
    int long_k = tile_k(f);
    return set_enough_stages_of(f, c, long_k) ||
           (long_k > 64 && (wide || f->way->sharers_k > 1) && set_enough_stages_of(f, c, 64));
}

/* A group has all rows of swapped tiles, or, of more than 16, an even share: so W is read as few times as may
 * be, and a wave is about square. */
static int group_rows(int tiles_m)
{
    enum { LEAST = 8, MOST = 16 };
    return tiles_m <= LEAST ? LEAST : (int)gen_ceil_div(tiles_m, gen_ceil_div(tiles_m, MOST));
}

/* Rows of y that divide into chunks of 16 or 32 bytes alone, 104 or 152 columns, take too long. */
static bool stored_in_slivers(const GenPlan *plan)
{
    enum { MOST_CHUNKS = 8 };
    return plan->g.chunked && plan->g.row_chunks > MOST_CHUNKS;
}

/* Stages for a tile that is not swapped, and 8, 16, ... columns more, up to `most_n`, where it would be
 * stored in slivers. */
static bool set_stored_width(GenConfig *c, int most_n, int most_ring_bytes, int least_stages)
{
    GenPlan plan;
    for (; c->tile_n <= most_n; c->tile_n += 8) {
        if (!set_stages(c, &plan, most_ring_bytes, false, least_stages)) return false;
        if (!stored_in_slivers(&plan)) return true;
    }
    return false;
}

/* One of `tiles` rows of them. */
static bool fit(const GenProblem *p, const FittedWay *way, int tiles, GenConfig *c)
{
    enum { PLAIN_GROUP_M = 8 };
    Fit f = {.way = way, .p = p};
    if (!set_tiles_m(&f, tiles) || !set_tile_m(&f) || !set_tile_n(&f)) return false;
    c->swap = f.way->swap;
    c->tile_m = f.tile_m;
    c->tile_n = f.tile_n;
    c->cluster_m = f.way->sharers_w;
    c->cluster_n = f.way->sharers_x;
    c->cluster_k = f.way->sharers_k;
    c->near = f.way->near;
    c->group_m = c->swap ? group_rows(f.tiles_m) : PLAIN_GROUP_M;
    for (;; c->tile_n += f.way->step_n) {
        set_warpgroups(&f, c);
        if (!set_enough_stages(&f, c)) return false;
        if (!stored_in_slivers(&f.plan)) return true;
    }
}

/* Many rows to a column. With few columns 128 k at a time are better, and more bytes on their way are no
 * faster. */
static bool fit_narrow(const GenProblem *p, const NarrowWay *way, int warpgroups, GenConfig *c)
{
    enum {
        ROWS = 4,
        GROUP_M = 8,
        LONG_N = 32,
        LONG_RING_BYTES = 160 << 10,
        LEAST = 4,
        MOST_OUTPUTS = 256 * 192
    };
    if (p->n < way->from_n || p->n > way->to_n || p->m < ROWS * p->n) return false;
    c->swap = false;
    c->tile_m = 64 * warpgroups;
    c->tile_n = (int)gen_whole(gen_ceil_div(p->n, way->sharers_x), way->sharers_k > 1 ? 16 : 8);
    c->tile_k = warpgroups == 1 && c->tile_n <= LONG_N ? 128 : 64;
    int ring_bytes = c->tile_k == 128 ? LONG_RING_BYTES : ALL;
    c->warps_m = warpgroups;
    c->warps_n = 1;
    c->cluster_m = 1;
    c->cluster_n = way->sharers_x;
    c->cluster_k = way->sharers_k;
    c->group_m = GROUP_M;
    c->skew_blocks = 0;
    return set_stored_width(c, MOST_OUTPUTS / c->tile_m, ring_bytes, LEAST);
}

/* How long tiles are that share a side out evenly, in steps of 8 and no more than `most`: as few waves of
 * them as may be, and `more`. There are `others` beside each, and clusters have `sharers` along the side. */
static int share(int64_t side, int most, int64_t others, int sharers, int places, int more)
{
    int64_t least_tiles = gen_whole(gen_ceil_div(side, most), sharers),
            waves = gen_ceil_div(least_tiles * others, places) + more,
            tiles = waves * places / others / sharers * sharers;
    return (int)gen_whole(gen_ceil_div(side, tiles), 8);
}

/* Of many rows, side by side; pingpong hides the epilogues of several waves. */
static bool fit_tall(const GenProblem *p, const TallWay *way, int more_waves, GenConfig *c)
{
    enum {
        FROM_M = 1025,
        FROM_N = 257,
        MOST_N = 200,
        MOST_STORED_N = 256,
        LEAST_N = 64,
        GROUP_M = 8,
        PINGPONG_GROUP_M = 12,
        LEAST = 3
    };
    int places = gen_cluster_places(p->sm_count, 1);
    if (p->m < FROM_M || p->n < FROM_N) return false;
    c->swap = false;
    c->pingpong = way->pingpong;
    c->tile_m = way->tile_m;
    c->tile_n = share(p->n, MOST_N, gen_ceil_div(p->m, way->tile_m), 1, places, more_waves);
    c->tile_k = 64;
    c->warps_m = 2;
    c->warps_n = 1;
    c->cluster_m = c->cluster_n = c->cluster_k = 1;
    c->group_m = way->pingpong ? PINGPONG_GROUP_M : GROUP_M;
    c->skew_blocks = !way->pingpong && c->x == c->w ? 1 : 0;
    return c->tile_n >= LEAST_N && set_stored_width(c, MOST_STORED_N, ALL, LEAST);
}

/* Swapped tiles of tile_n columns, of many rows that their rows share out. */
static bool fit_rows(const GenProblem *p, const WideWay *way, GenConfig *c)
{
    enum { LEAST_M = 16, MOST_M = 200, LEAST = 3 };
    GenPlan plan;
    int places = gen_cluster_places(p->sm_count, way->sharers_w * way->sharers_x), tile_n = way->tile_n;
    int64_t columns = gen_whole(gen_ceil_div(p->n, tile_n), way->sharers_x);
    int m = share(p->m, MOST_M, columns, way->sharers_w, places, 0);
    if (m < LEAST_M) return false;
    c->pingpong = way->pingpong;
    c->swap = true;
    c->tile_m = m;
    c->tile_n = tile_n;
    c->tile_k = swapped_tile_k(m, tile_n, way->sharers_w * way->sharers_x > 1);
    c->warps_m = 1;
    c->warps_n = swapped_warpgroups(tile_n);
    c->cluster_m = way->sharers_w;
    c->cluster_n = way->sharers_x;
    c->cluster_k = 1;
    c->group_m = group_rows((int)gen_ceil_div(p->m, m));
    c->skew_blocks = 0;
    return set_stages(c, &plan, ALL, false, LEAST);
}

/* All columns in so many tiles; of 64 few, which are small. */
static bool fit_columns(const GenProblem *p, int columns, GenConfig *c)
{
    enum { ROWS = 4, STEP_N = 64, MOST_N = 256, MOST_SMALL = 4 };
    int64_t n = gen_whole(gen_ceil_div(p->n, columns), STEP_N);
    if (p->m < ROWS * p->n || n > MOST_N || gen_ceil_div(p->n, n) != columns) return false;
    return (n > STEP_N || columns <= MOST_SMALL) &&
           fit_rows(p, &(WideWay){.tile_n = (int)n, .sharers_w = 1, .sharers_x = 1}, c);
}

static bool fit_wide(const GenProblem *p, const WideWay *way, GenConfig *c)
{
    if (p->m < way->from_m || p->k < way->from_k ||
        (way->sharers_w * way->sharers_x > 1 && !gen_problem_cuts_lines(p)))
        return false;
    return fit_rows(p, way, c);
}

bool gen_wgmma_fitted(const GenProblem *p, int i, GenConfig *c)
{
    int narrow = i - N_WAYS * MOST_TILES, tall = narrow - N_NARROW_WAYS * MOST_WARPGROUPS,
        columns = tall - N_TALL_WAYS * MOST_MORE_WAVES, wide = columns - MOST_COLUMNS;
    if (p->m == 0 || p->n == 0) return false; /* nothing to share out */
    c->backend = GEN_BACKEND_WGMMA;
    c->min_blocks = 0;
    c->even = 0;
    c->near = c->pingpong = c->ends = c->once = c->last = false;
    if (narrow < 0) {
        FittedWay way = way_at(i / MOST_TILES);
        return fit(p, &way, i % MOST_TILES + 1, c);
    }
    if (tall < 0)
        return fit_narrow(p, &narrow_ways[narrow / MOST_WARPGROUPS], narrow % MOST_WARPGROUPS + 1, c);
    if (columns < 0) return fit_tall(p, &tall_ways[tall / MOST_MORE_WAVES], tall % MOST_MORE_WAVES, c);
    return wide < 0 ? fit_columns(p, columns + 1, c) : fit_wide(p, &wide_ways[wide], c);
}
