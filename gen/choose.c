/* choose.c: the configurations worth offering, the shipped set, and the choice among them. */
#include "gen/internal.h"
#include "gen/plan.h"
#include "gen/shares.h"

#include <string.h>

/* Tiles, best first for large problems. `rate` is the share of the tensor cores' peak that the main loop
 * reached on 1024x8192x8192 (docs/tuning-mma.md), in percent, and x32_rate with x in f32
 * (0: it needs too many registers for that); `narrow`: listed in all widths of copies; `split`: also listed
 * with blocks that share tiles; `lines`: for rows that begin inside a line of 128 bytes (copy.h). */
/* clang-format off */
static const struct Tile { int m, n, k, warps_m, warps_n, stages, rate, x32_rate; bool narrow, split, lines; } tile_table[] = {
    {128, 256,  64, 2, 4, 3, 82,  0, false, true,  false},
    {256, 128,  64, 4, 2, 3, 81,  0, false, false, false},
    {256, 160,  32, 4, 2, 3, 81,  0, false, true,  false},
    {256, 176,  32, 4, 2, 3, 77,  0, false, false, false},
    {128, 256,  32, 2, 4, 4, 79, 69, false, true,  false},
    {256, 128,  32, 4, 2, 4, 79,  0, false, false, false},
    {128, 256,  32, 2, 4, 3, 77, 71, false, false, false},
    {128, 128,  64, 2, 2, 3, 72,  0, false, true,  false},
    {128, 128,  64, 2, 4, 3, 65, 45, true,  true,  false},
    {128, 128,  32, 2, 4, 3, 64, 34, true,  true,  false},
    {128, 128,  32, 2, 2, 3, 69, 54, false, false, false},
    {64,  256,  32, 1, 4, 4, 66, 59, false, false, false},
    {128, 128,  32, 2, 4, 5, 65, 34, false, false, false},
    {96,  128,  64, 2, 4, 3, 60, 48, true,  true,  false},
    {112,  96,  64, 1, 4, 4, 57, 38, false, false, false},
    {112,  96, 128, 1, 4, 3, 59,  0, false, false, false},
    {96,  128,  64, 2, 2, 4, 67,  0, false, true,  false},
    {128,  96,  64, 2, 2, 4, 67,  0, false, false, false},
    {128,  64,  64, 2, 2, 4, 60, 41, false, true,  false},
    {64,  128,  64, 2, 2, 4, 61, 43, false, true,  false},
    {128,  64,  32, 2, 2, 4, 56, 40, false, false, false},
    {64,  128,  32, 2, 2, 4, 55, 41, false, false, false},
    {64,   64,  64, 2, 2, 3, 50, 38, true,  true,  false},
    {64,   64,  32, 2, 2, 3, 44, 33, false, false, false}, /* these three are the tiles of the Triton kernel that tilesmith replaces */
    {64,   32,  32, 2, 2, 3, 30, 22, false, false, false},
    {32,   32,  32, 2, 1, 2, 24, 18, true,  false, false},
    {32,   64,  64, 1, 4, 4, 36, 27, false, false, false},
    {64,   32, 128, 2, 2, 3, 36, 24, false, false, false},
    {32,   64, 128, 1, 4, 3, 36, 24, false, true,  false},
    {32,  128, 128, 1, 4, 3, 39, 26, false, false, false},
    {16,   64, 128, 1, 4, 4, 22, 16, false, true,  false},
    {16,  128,  64, 1, 8, 4, 26, 18, false, false, false},
    {16,   32,  64, 1, 4, 4, 14, 10, false, false, false},
    {16,   32,  32, 1, 1, 4, 10,  7, false, false, false},
    {96,  128,  64, 2, 2, 5, 67,  0, false, false, true},
    {128,  64,  64, 2, 2, 5, 62,  0, false, false, true},
    {64,  128,  64, 2, 2, 5, 61,  0, false, false, true},
    {64,  128,  64, 2, 2, 4, 58,  0, false, false, true},
    {64,   64,  64, 2, 2, 5, 50,  0, false, false, true},
    {64,   64,  64, 2, 2, 2, 47, 39, false, false, false}, /* gen_baseline(), which is the last */
};
/* clang-format on */
enum { N_TILES = sizeof tile_table / sizeof *tile_table };

static void set_tile(GenConfig *c, const struct Tile *t)
{
    c->tile_m = t->m;
    c->tile_n = t->n;
    c->tile_k = t->k;
    c->warps_m = t->warps_m;
    c->warps_n = t->warps_n;
    c->stages = t->stages;
    c->lines = t->lines;
    c->group_m = t->lines ? 4 : 8; /* measured: docs/tuning-mma.md */
}

/* Copies and stores below 16 bytes, for rows that allow no more. */
static const struct Narrow {
    int x_copy, w_copy, y_store;
} narrow_table[] = {{8, 8, 8}, {4, 4, 4}, {2, 2, 2}, {16, 2, 2}, {2, 16, 16}, {16, 4, 2}};
enum { N_NARROW = sizeof narrow_table / sizeof *narrow_table };

/* The i-th tile that is listed in all widths; NULL behind the last. */
static const struct Tile *narrow_tile(int i)
{
    for (int t = 0; t < N_TILES; t++)
        if (tile_table[t].narrow && i-- == 0) return &tile_table[t];
    return NULL;
}

/* The i-th tile that is listed with blocks that share it; NULL behind the last. */
static const struct Tile *split_tile(int i)
{
    for (int t = 0; t < N_TILES; t++)
        if (tile_table[t].split && i-- == 0) return &tile_table[t];
    return NULL;
}

static int count_split_tiles(void)
{
    int n = 0;
    while (split_tile(n)) n++;
    return n;
}

bool gen_has_wgmma(const GenArch *arch) { return arch->sm == 90 && arch->suffix == 'a'; }

bool gen_listed(const GenArch *arch, GenType type, int i, GenConfig *config)
{
    if (i < 0) return false;
    gen_config_default(arch, type, config);
    if (gen_has_wgmma(arch)) {
        if (gen_wgmma_tile(i, config)) return true;
        i -= gen_wgmma_tile_count();
    }
    if (i < N_TILES) {
        set_tile(config, &tile_table[i]);
        return true;
    }
    i -= N_TILES;
    if (split_tile(i)) {
        set_tile(config, split_tile(i));
        config->split = true;
        return true;
    }
    i -= count_split_tiles();
    const struct Tile *tile = narrow_tile(i / N_NARROW);
    const struct Narrow *width = &narrow_table[i % N_NARROW];
    if (!tile) return false;
    set_tile(config, tile);
    config->x_copy_bytes = width->x_copy;
    config->w_copy_bytes = width->w_copy;
    config->y_store_bytes = width->y_store;
    return true;
}

/* ---- the shipped set, ptx_out/: for sm_90a what README's problems take, and one of each other kind ---- */

bool gen_shipped(int i, GenConfig *config)
{
    static const char *const names[] = {
        "mma_sm80_f16_128x256x64_w2x4_s3",
        "mma_sm80_bf16_128x256x64_w2x4_s3",
        "mma_sm80_f16_128x128x32_w2x4_s3",
        "mma_sm80_bf16_64x64x64_w2x2_s3",
        "mma_sm86_f16_128x128x32_w2x4_s3",
        "mma_sm86_bf16_128x128x32_w2x4_s3",
        "mma_sm89_f16_128x256x32_w2x4_s4",
        "mma_sm89_bf16_128x256x32_w2x4_s4",
        "mma_sm89_f16_256x160x32_w4x2_s3",
        "mma_sm89_f16_128x256x32_w2x4_s3_xf32",
        "mma_sm89_f16_128x128x32_w2x4_s3",
        "mma_sm89_bf16_128x128x32_w2x4_s3",
        "mma_sm89_f16_64x64x32_w2x2_s3",
        "mma_sm89_bf16_64x32x32_w2x2_s3",
        "mma_sm89_f16_32x32x32_w2x1_s2",
        "mma_sm89_bf16_16x64x128_w1x4_s4",
        "mma_sm89_f16_64x64x64_w2x2_s3_vx2_vw2_vy2",
        "mma_sm89_f16_128x128x32_w2x4_s3_e_z_gelu",
        "wgmma_sm90a_f16_128x256x64_w2x1_s4_g16",
        "wgmma_sm90a_bf16_128x256x64_w2x1_s4_g16",
        "wgmma_sm90a_f16_128x256x64_w2x1_s4_g16_even1_last",
        "wgmma_sm90a_f16_200x256x64_w1x2_s3_g14_swap",
        "wgmma_sm90a_f16_256x200x64_w2x1_s3_k1",
        "wgmma_sm90a_f16_256x168x64_w2x1_s3_cm2_k1_near_once",
        "wgmma_sm90a_bf16_256x128x64_w2x1_s4_cm2",
        "wgmma_sm90a_f16_128x128x64_w2x1_s5_g12_pingpong",
        "wgmma_sm90a_f16_168x128x64_w1x2_s4_g13_pingpong_swap",
        "wgmma_sm90a_bf16_128x64x128_w2x1_s4_wcol",
        "wgmma_sm90a_f16_64x32x128_w1x1_s6",
        "wgmma_sm90a_f16_192x128x64_w3x1_s4_vy2",
        "wgmma_sm90a_f16_192x96x64_w3x1_s6_ck2",
        "wgmma_sm90a_f16_8x64x128_w1x1_s12_swap",
        "wgmma_sm90a_f16_16x32x128_w1x1_s11_swap",
        "wgmma_sm90a_f16_16x64x128_w1x1_s7_ck2_swap",
        "wgmma_sm90a_f16_64x128x128_w1x2_s4_ck2_swap",
        "wgmma_sm90a_f16_72x128x64_w1x2_s7_cm2_cn4_swap",
        "wgmma_sm90a_f16_168x64x64_w1x1_s7_vy2_cm2_near_swap",
        "wgmma_sm90a_bf16_64x64x128_w1x1_s6_swap",
        "wgmma_sm90a_f16_128x256x64_w2x1_s3_xf32_yf32_g16",
        "wgmma_sm90a_f16_16x64x128_w1x1_s6_xf32_yf32_ck2_swap",
    };
    GenError error;
    if (i < 0 || i >= (int)(sizeof names / sizeof *names)) return false;
    return gen_config_parse(names[i], config, &error);
}

/* ---- the choice ---- */

int gen_row_align(GenType type, int64_t rows, int64_t elems)
{
    int64_t bits = GEN_LINE_BYTES | (rows > 1 ? gen_type_bytes(type) * elems : 0);
    return (int)(bits & -bits);
}

double gen_matrix_bytes(const GenProblem *p)
{
    double m = (double)p->m, n = (double)p->n, k = (double)p->k;
    return m * k * gen_type_bytes(p->x) + n * k * gen_type_bytes(p->w) + m * n * gen_type_bytes(p->y);
}

static double mma_total_ns(const GenEstimate *e, double work_ns)
{
    const double not_hidden = 0.18;
    bool by_memory = e->dram_ns > work_ns;
    return e->start_ns + (by_memory ? e->dram_ns + not_hidden * work_ns : work_ns + not_hidden * e->dram_ns);
}

bool gen_cuts_lines(GenLayout layout, int align_bytes)
{
    return layout == GEN_LAYOUT_ROW && align_bytes < GEN_LINE_BYTES;
}

bool gen_problem_cuts_lines(const GenProblem *p)
{
    return gen_cuts_lines(p->x_layout, p->x_align_bytes) || gen_cuts_lines(p->w_layout, p->w_align_bytes);
}

/* Wavefronts of shared memory for 16 of k: those in which a warp reads fragments of `rows` rows, by ldmatrix,
 * by words, or by two words for one; dealt rows meet no conflicts. And those in which a row arrives, one a
 * line of 128 bytes; rows that begin inside a chunk lie in one more. */
static double read_wavefronts(int copy_bytes, int rows)
{
    double least = rows / 4.0;
    if (copy_bytes >= GEN_CHUNK_BYTES) return least;
    return least * (copy_bytes < 4 ? 2 : 1) * (gen_deal(copy_bytes, rows) > 1 ? 1 : 1.5);
}
static double fill_wavefronts(int copy_bytes, int tile_k)
{
    double lines = tile_k * 2.0 / GEN_LINE_BYTES;
    return (lines + (copy_bytes < GEN_CHUNK_BYTES)) * 16 / tile_k;
}

/* Time of a k-block whose rows begin inside chunks: shared memory's, where fragments are read by words. What
 * cp.async gathers by pieces of chunks, or goes through registers, takes about twice as long as chunks do. */
static double narrow_tensor_ns(const struct Tile *t, const GenConfig *c, double tensor_ns)
{
    const double wavefront_ns = 0.71, longer_rows = 0.85, by_pieces = 1.8, by_elements = 2.5;
    int narrowest = c->x_copy_bytes < c->w_copy_bytes ? c->x_copy_bytes : c->w_copy_bytes;
    bool words = c->x == c->w && c->x_layout == GEN_LAYOUT_ROW && c->w_layout == GEN_LAYOUT_ROW;
    if (narrowest >= GEN_CHUNK_BYTES) return tensor_ns;
    if (!words) return tensor_ns * (narrowest < 4 ? by_elements : by_pieces);
    double fill =
        t->m * fill_wavefronts(c->x_copy_bytes, t->k) + t->n * fill_wavefronts(c->w_copy_bytes, t->k);
    double read = read_wavefronts(c->x_copy_bytes, t->m / t->warps_m) +
                  read_wavefronts(c->w_copy_bytes, t->n / t->warps_n);
    double ns = wavefront_ns * (t->warps_m * t->warps_n * read + fill) * t->k / 16;
    if (t->k > 64) ns *= longer_rows;
    return ns > tensor_ns ? ns : tensor_ns;
}

/* Time of a problem under a tile of the mma back end, counted in multiply-adds at the full rate of one SM
 * (0.42 ps on an H200): what the busiest SM has to do, k-block by k-block, and then tile by tile the
 * epilogue; and what memory takes to give x and W and to take y, most of it meanwhile. However small, a
 * k-block takes about 0.36 us, and what a warp takes to round an x of another 16 bits; rows that begin inside
 * a line of 128 bytes slow the copies, those that begin inside 16 bytes much more (docs/tuning-mma.md). A
 * pure function of its arguments. */
static GenEstimate estimate(const GenProblem *p, const struct Tile *t, const GenConfig *c)
{
    const double least_block_ns = 360, output_ns = 0.11, mac_ns = 0.42e-3, cut_rows = 0.15, dram_bytes = 3300,
                 beside_wgmma = 1.02, rounded_ns = 0.027, alone_ns = 0.08;
    int rate = p->x == GEN_F32 ? t->x32_rate : t->rate;
    GenEstimate e = {.tiles = gen_ceil_div(p->m, t->m) * gen_ceil_div(p->n, t->n),
                     .k_blocks = gen_ceil_div(p->k, t->k),
                     .latency_ns = least_block_ns,
                     .dram_ns = gen_matrix_bytes(p) / dram_bytes,
                     .start_ns = 2200};
    e.waves = gen_ceil_div(e.tiles, p->sm_count > 0 ? p->sm_count : 1);
    e.tensor_ns = mac_ns * t->m * t->n * t->k * 100 / rate;
    if (p->x != p->w && p->x != GEN_F32) { /* each warp that reads x rounds it, by halves */
        double elems = (double)t->m / t->warps_m * t->k;
        e.latency_ns += alone_ns * elems;
        e.tensor_ns += rounded_ns * elems * t->warps_m * t->warps_n;
    }
    if (gen_problem_cuts_lines(p) && !t->lines) e.tensor_ns *= 1 + cut_rows * 64 / (t->k > 64 ? t->k : 64);
    e.tensor_ns = narrow_tensor_ns(t, c, e.tensor_ns);
    e.epilogue_ns = output_ns * t->m * t->n;
    /* blocks of one SM run side by side: its latency is that of one of them */
    double block_ns = (double)e.waves * e.tensor_ns;
    if (block_ns < e.latency_ns) block_ns = e.latency_ns;
    e.total_ns = mma_total_ns(&e, (double)e.k_blocks * block_ns + (double)e.waves * e.epilogue_ns);
    if (gen_has_wgmma(p->arch)) e.total_ns *= beside_wgmma; /* of two that are about as good wgmma's is */
    return e;
}

static int copy_bytes(int align_bytes)
{
    return align_bytes >= 16 ? 16 : align_bytes >= 8 ? 8 : align_bytes >= 4 ? 4 : 2;
}

/* A column-major operand that cp.async cannot move is gathered, and what is gathered goes by elements. */
static void set_layout(GenLayout layout, GenType type, bool converts, GenLayout *field, int *bytes)
{
    bool by_elements = layout == GEN_LAYOUT_COL && (converts || *bytes < 4);
    *field = by_elements ? GEN_LAYOUT_ANY : layout;
    if (*bytes < gen_type_bytes(type)) *bytes = gen_type_bytes(type);
    if (*field == GEN_LAYOUT_ANY) *bytes = gen_type_bytes(type);
}

static void set_layouts(const GenProblem *p, GenConfig *c)
{
    set_layout(p->x_layout, p->x, p->x != p->w, &c->x_layout, &c->x_copy_bytes);
    set_layout(p->w_layout, p->w, false, &c->w_layout, &c->w_copy_bytes);
    set_layout(p->y_layout, p->y, true, &c->y_layout, &c->y_store_bytes);
}

/* What goes through registers needs many of them: of the large tiles only some are good then
 * (docs/tuning-mma.md). */
static bool suits(const struct Tile *t, const GenConfig *c)
{
    if (t->lines && (c->x_copy_bytes < 16 || c->w_copy_bytes < 16)) return false;
    bool gathers = (c->x_layout == GEN_LAYOUT_ANY && c->x_copy_bytes == 2) ||
                   (c->w_layout == GEN_LAYOUT_ANY && c->w_copy_bytes == 2);
    if (gathers && !t->narrow && t->m * t->n >= 64 * 64) return false;
    return c->x != GEN_F32 || t->x32_rate > 0;
}

/* The best so far, best first. */
typedef struct Ranking {
    GenCandidate *at;
    int n, most;
} Ranking;

static bool ranks(const Ranking *r, const GenEstimate *e)
{
    return r->n < r->most || e->total_ns < r->at[r->n - 1].estimate.total_ns;
}

/* A tile that is fitted to a problem may be one of the list. */
static bool is_ranked(const Ranking *r, const GenConfig *config, const GenEstimate *e)
{
    char name[GEN_MAX_NAME], other[GEN_MAX_NAME];
    for (int i = 0; i < r->n; i++) {
        if (r->at[i].estimate.total_ns != e->total_ns) continue;
        gen_config_name(config, name);
        gen_config_name(&r->at[i].config, other);
        if (strcmp(name, other) == 0) return true;
    }
    return false;
}

static void rank(Ranking *r, const GenConfig *config, const GenEstimate *e)
{
    if (!ranks(r, e) || is_ranked(r, config, e)) return;
    int i = r->n < r->most ? r->n++ : r->n - 1;
    for (; i > 0 && e->total_ns < r->at[i - 1].estimate.total_ns; i--) r->at[i] = r->at[i - 1];
    r->at[i] = (GenCandidate){*config, *e};
}

bool gen_may_share(int64_t m, int64_t n, int64_t k)
{
    const int64_t most_outputs = 1 << 20, least_k = 1024;
    return k >= least_k && m <= most_outputs && m * n <= most_outputs;
}

static GenShares shares_of(const GenProblem *p, const GenConfig *c, const GenPlan *plan)
{
    int64_t tiles = gen_ceil_div(p->m, c->tile_m) * gen_ceil_div(p->n, c->tile_n);
    return gen_shares(tiles, p->k, c->tile_k, (int64_t)p->sm_count * plan->busy_blocks);
}

/* Of the blocks that share tiles: 0, if none do. */
static uint64_t shares_bytes(const GenShares *s, const GenPlan *plan)
{
    return (uint64_t)s->blocks * (uint64_t)(plan->slot_bytes + GEN_FLAG_BYTES);
}

/* The estimate `e` of the tile without sharing becomes that of its blocks' ranges of k-blocks. The sums are
 * handed over one part of a tile after the other (docs/tuning-mma.md). */
static void estimate_shares(const GenProblem *p, const struct Tile *t, const GenShares *s, GenEstimate *e)
{
    const double meet_ns = 5000, output_ns = 0.05;
    double parts = (double)s->blocks / (double)s->tiles;
    double hand_over_ns = meet_ns + output_ns * t->m * t->n * (parts - 1);
    double side_by_side = (double)gen_ceil_div(s->blocks, p->sm_count), least = e->latency_ns;
    double block_ns = side_by_side * e->tensor_ns > least ? side_by_side * e->tensor_ns : least;
    e->k_blocks = gen_ceil_div(s->tiles * e->k_blocks, s->blocks);
    e->total_ns = mma_total_ns(e, (double)e->k_blocks * block_ns + e->epilogue_ns + hand_over_ns);
}

/* Tiles that all are shared, for they keep less than half of the SMs busy. Where there are more, the exchange
 * costs what the idle SMs do (docs/tuning-mma.md). */
static void rank_split(const GenProblem *p, GenConfig candidate, Ranking *r, GenError *error)
{
    GenPlan plan;
    if (!p->workspace_bytes || !gen_may_share(p->m, p->n, p->k)) return;
    candidate.split = true;
    for (int i = 0; split_tile(i); i++) {
        const struct Tile *t = split_tile(i);
        GenEstimate e = estimate(p, t, &candidate);
        set_tile(&candidate, t);
        if (!suits(t, &candidate) || e.tiles * 2 > p->sm_count || !gen_plan(&candidate, &plan, error))
            continue;
        GenShares shares = shares_of(p, &candidate, &plan);
        if (!shares.blocks || shares.tiles != e.tiles) continue;
        if (shares_bytes(&shares, &plan) > p->workspace_bytes) continue;
        estimate_shares(p, t, &shares, &e);
        rank(r, &candidate, &e);
    }
}

/* The runtime puts tiles along n into y of the grid. */
static bool fits_grid(const GenProblem *p, const GenConfig *c, GenError *error)
{
    enum { MOST_GRID_Y = 65535 };
    return gen_ceil_div(p->n, c->tile_n) <= MOST_GRID_Y ||
           gen_fail(error,
                    "n=%lld columns make more than %d tiles of %d: take the rows of W in several calls",
                    (long long)p->n, MOST_GRID_Y, c->tile_n);
}

static void rank_mma(const GenProblem *p, GenConfig candidate, Ranking *r, GenError *error)
{
    for (int i = 0; i < N_TILES; i++) {
        if (!suits(&tile_table[i], &candidate) || (tile_table[i].lines && !gen_problem_cuts_lines(p)))
            continue;
        set_tile(&candidate, &tile_table[i]);
        GenEstimate e = estimate(p, &tile_table[i], &candidate);
        if (ranks(r, &e) && fits_grid(p, &candidate, error) && gen_config_check(&candidate, error))
            rank(r, &candidate, &e);
    }
}

/* How y leaves: TMA would store what is behind the last column, if that ends inside 16 bytes; of swapped
 * tiles the rest is stored by elements. */
static bool plan_wgmma_candidate(const GenProblem *p, GenConfig *c, GenPlan *plan, GenError *error)
{
    int given = c->y_store_bytes, y_bytes = gen_type_bytes(p->y);
    bool whole = given == 16 && p->n * y_bytes % 16 == 0;
    if (c->swap && c->y_layout == GEN_LAYOUT_ROW) c->y_store_bytes = 16;
    else if (!whole && given == 16) c->y_store_bytes = 8;
    bool good = gen_plan(c, plan, error);
    if (!good || !c->swap || whole || !plan->g.tma_store) return good;
    c->y_store_bytes = y_bytes;
    return gen_plan(c, plan, error);
}

/* Tiles of different widths, where they are of use and the tile allows them. */
static void make_even(const GenProblem *p, GenConfig *c, GenPlan *plan)
{
    GenConfig even = *c;
    GenPlan its;
    GenError error;
    even.even = gen_wgmma_even(p, plan);
    if (!even.even || !gen_plan(&even, &its, &error)) return;
    *c = even;
    *plan = its;
}

static void rank_wgmma_tile(const GenProblem *p, GenConfig *candidate, Ranking *r, GenError *error)
{
    GenPlan plan;
    gen_wgmma_set_group(p, candidate);
    if (!plan_wgmma_candidate(p, candidate, &plan, error)) return;
    make_even(p, candidate, &plan);
    plan.config.ends = candidate->ends =
        gen_wgmma_ends(p, &plan); /* which no number of the plan depends on */
    GenEstimate e = gen_wgmma_estimate(p, &plan);
    gen_wgmma_set_hints(p, &plan, &e, candidate);
    rank(r, candidate, &e);
}

/* The tiles of the list, and those that are fitted to the problem. */
static void rank_wgmma(const GenProblem *p, GenConfig candidate, Ranking *r, GenError *error)
{
    const int given = candidate.y_store_bytes;
    for (int i = 0; gen_wgmma_tile(i, &candidate); i++, candidate.y_store_bytes = given)
        rank_wgmma_tile(p, &candidate, r, error);
    for (int i = 0; i < gen_wgmma_fitted_count(); i++, candidate.y_store_bytes = given)
        if (gen_wgmma_fitted(p, i, &candidate)) rank_wgmma_tile(p, &candidate, r, error);
}

/* The config with all that the problem says, and no tile yet. */
static bool set_problem(const GenProblem *p, GenConfig *c, GenError *error)
{
    gen_config_default(p->arch, p->w, c);
    c->x = p->x;
    c->bias = p->bias;
    c->y = p->y;
    c->x_copy_bytes = copy_bytes(p->x_align_bytes);
    c->w_copy_bytes = copy_bytes(p->w_align_bytes);
    c->y_store_bytes = copy_bytes(p->y_align_bytes);
    set_layouts(p, c);
    return !p->epilogue || gen_config_set_epilogue(c, p->epilogue, error);
}

int gen_rank(const GenProblem *p, GenCandidate *candidates, int most, GenError *error)
{
    GenConfig candidate;
    Ranking r = {.at = candidates, .most = most};
    if (!set_problem(p, &candidate, error)) return 0;
    rank_mma(p, candidate, &r, error);
    rank_split(p, candidate, &r, error);
    if (gen_has_wgmma(p->arch)) rank_wgmma(p, candidate, &r, error);
    return r.n; /* 0: *error says why the last candidate was refused */
}

bool gen_baseline(const GenProblem *p, GenConfig *config, GenError *error)
{
    if (!set_problem(p, config, error)) return false;
    set_tile(config, &tile_table[N_TILES - 1]);
    return gen_config_check(config, error);
}

bool gen_choose(const GenProblem *p, GenConfig *config, GenError *error)
{
    GenCandidate best;
    if (!gen_rank(p, &best, 1, error)) return false;
    *config = best.config;
    return true;
}

/* ---- tiles that blocks share ---- */

/* As the runtime shares them out. */
uint64_t gen_workspace_bytes(const GenConfig *c, const GenProblem *p)
{
    GenPlan plan;
    GenError error;
    if (!c->split || !gen_plan(c, &plan, &error)) return 0;
    GenShares shares = shares_of(p, c, &plan);
    return shares_bytes(&shares, &plan);
}
