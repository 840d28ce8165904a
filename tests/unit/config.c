/* Config names parse back; plans refuse what cannot work, in a sentence with the numbers; every listed
 * config makes a kernel that the parser reads back to the same text. */
#include "gen/gen.h"
#include "gen/internal.h"
#include "gen/plan.h"
#include "gen/ptx/ptx.h"
#include "tests/tap.h"

#include <stdlib.h>

static void names(void)
{
    static const char *const good[] = {
        "mma_sm89_f16_128x128x32_w2x4_s3",
        "mma_sm80_bf16_128x256x64_w2x4_s3_biasf32_yf32_g4_vx8_vw4_vy4_o1",
        "mma_sm86_f16_64x64x32_w2x2_s3_biasbf16",
        "mma_sm89_f16_64x64x32_w2x2_s3_e_z_s_z_tanh_c3f000000_mul_add_mul",
        "wgmma_sm90a_f16_16x128x128_w1x2_s5_yf32_ck4_swap_e_z",
    };
    static const struct {
        const char *name, *why;
    } bad[] = {
        {"", "starts with no back end"},
        {"mma", "is not an arch"},
        {"mma_sm75_f16_128x128x32_w2x4_s3", "'sm75' is not an arch"},
        {"mma_sm89_f17_128x128x32_w2x4_s3", "'f17' is not an element type"},
        {"mma_sm89_f16_128x128_w2x4_s3", "tile MxNxK"},
        {"mma_sm89_f16_128x128x032_w2x4_s3", "tile MxNxK"},
        {"mma_sm89_f16_128x128x32_2x4_s3", "warps wMxN"},
        {"mma_sm89_f16_128x128x32_w2x4_sx", "stages sN"},
        {"mma_sm89_f16_128x128x32_w2x4", "stages sN"},
        {"mma_sm89_f16_128x128x32_w2x4_s3_q7", "'q7' is not a field"},
        {"mma_sm89_f16_128x128x32_w2x4_s3_g8", "is spelled 'mma_sm89_f16_128x128x32_w2x4_s3'"},
        {"mma_sm89_f16_128x128x32_w2x4_s3_vw4_vx8", "is spelled"},
        {"mma_sm89_f16_128x128x32_w2x4_s3_", "is spelled"},
        {"mma_sm89_f16_128x128x32_w2x4_s3_e_z_add", "makes no sense"},
        {"wgmma_sm90a_f16_16x128x128_w1x2_s5_swap_ck4", "_ck4_swap'"},
        {"wgmma_sm90a_f16_16x128x128_w1x2_s5_ck1_swap", "_s5_swap'"},
        {"mma_sm89_f16_128x128x32_w2x4_s3_e_z_z", "leaves 2 values"},
    };
    GenConfig config;
    GenError error;
    char name[GEN_MAX_NAME];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        bool parsed = gen_config_parse(good[i], &config, &error);
        if (!ok(parsed, "%s parses", good[i])) note("%s", error.text);
        gen_config_name(&config, name);
        is_str(name, good[i], "and names itself so");
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bool parsed = gen_config_parse(bad[i].name, &config, &error);
        if (!ok(!parsed && strstr(error.text, bad[i].why), "'%s' is refused: %s", bad[i].name, bad[i].why))
            note("got: %s", error.text);
    }
}

static void refusal(const char *name, const char *why)
{
    GenConfig config;
    GenError error = {""};
    bool parsed = gen_config_parse(name, &config, &error), fits = parsed && gen_config_check(&config, &error);
    if (!ok(parsed && !fits && strstr(error.text, why), "%s is refused: %s", name, why))
        note("got: %s", error.text);
}

static void refusals(void)
{
    refusal("mma_sm89_f16_128x128x64_w2x4_s4",
            "stages=4 of 128x128x64 needs 131584 B of shared memory; sm_89 allows 101376");
    refusal("mma_sm89_f32_128x128x32_w2x4_s3", "w cannot be f32");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_xf32_xcol", "treat it as strided both ways (xany)");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_wcol_vw2", "treat it as strided both ways (wany)");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_xany", "x_copy_bytes=2");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_xf32_vx2", "its copies are at least 4 bytes");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_ycol", "a column-major y is not written");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_yany", "y_store_bytes=2");
    refusal("mma_sm89_f16_48x64x32_w3x1_s3_xcol", "powers of 2");
    refusal("mma_sm89_f16_128x128x48_w2x4_s3", "tile_k=48 is not 32, 64 or 128");
    refusal("mma_sm89_f16_120x128x32_w2x4_s3", "tile_m=120 is not a multiple of 16");
    refusal("mma_sm89_f16_128x300x32_w2x4_s3", "tile_n=300 is not a multiple of 8 up to 256");
    refusal("mma_sm89_f16_128x128x32_w4x4_s3", "makes 16 warps");
    refusal("mma_sm89_f16_48x128x32_w2x4_s3", "tile_m=48 does not split over 2 warps");
    refusal("mma_sm89_f16_64x40x32_w2x2_s3", "tile_n=40 does not split over 2 warps");
    refusal("mma_sm89_f16_128x128x32_w1x2_s3", "needs about");
    refusal("mma_sm89_f16_64x64x32_w2x2_s7", "stages=7 is not from 2 to 6");
    refusal("mma_sm89_f16_64x64x32_w2x2_s1", "stages=1 is not from 2 to 6");
    refusal("mma_sm89_f16_64x64x32_w2x2_s3_vx3", "x_copy_bytes=3");
    refusal("mma_sm89_f16_64x64x32_w2x2_s3_vy3", "y_store_bytes=3");
    refusal("mma_sm89_f16_64x64x32_w2x2_s3_g99", "group_m=99");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_o3", "min_blocks=3 do not fit");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_cm2", "are of the wgmma back end, not of mma");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_pingpong", "are of the wgmma back end, not of mma");
    refusal("wgmma_sm89_f16_128x128x64_w2x1_s3", "an instruction of sm_90a alone");
    refusal("wgmma_sm90_f16_128x128x64_w2x1_s3", "an instruction of sm_90a alone");
    refusal("wgmma_sm90a_f16_128x128x32_w2x1_s3", "tile_k=32 is not 64 or 128");
    refusal("wgmma_sm90a_f16_96x128x64_w1x1_s3", "tile_m=96 is not a multiple of 64");
    refusal("wgmma_sm90a_f16_64x8x64_w1x1_s17", "stages=17 is not from 2 to 16");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_split",
            "split, blocks that share tiles along k, is of the mma back end");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s3_xf32_xcol", "from rows (not xcol)");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s3_xbf16_pingpong", "x of another type than W's (f16)");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_xf32_swap", "is rounded by one warpgroup");
    refusal("wgmma_sm90a_f16_8x64x64_w1x1_s4_xf32_swap", "or 8 with tile_k=128");
    refusal("wgmma_sm90a_f16_24x64x128_w1x1_s4_xbf16_swap", "16 rows at a time");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s3_vx8", "TMA reads rows aligned to 16 bytes");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s3_xany_vx2", "aligned to 16 bytes");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s3_cm3",
            "a cluster of 3x1 is not 1, 2 or 4 blocks along m and n");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s3_cm4_cn4", "at most 8 in all");
    refusal("wgmma_sm90a_f16_64x128x64_w2x1_s3", "does not split over 2 warpgroups of 64 rows");
    refusal("wgmma_sm90a_f16_128x88x64_w1x2_s3", "does not split over 2 warpgroups of 8 columns");
    refusal("wgmma_sm90a_f16_256x128x64_w2x2_s3", "1 to 3 have enough registers");
    refusal("wgmma_sm90a_f16_192x128x64_w3x1_s3_pingpong", "a game of 2 warpgroups");
    refusal("wgmma_sm90a_f16_64x96x64_w1x1_s3_wcol", "loaded by 64 along its columns");
    refusal("wgmma_sm90a_f16_128x64x64_w2x1_s3_wcol_cm2", "its tile has 64 for 2 blocks");
    refusal("wgmma_sm90a_f16_128x256x64_w2x1_s5", "and the way of y need");
    refusal("wgmma_sm90a_f16_192x256x64_w3x1_s3", "registers");
    refusal("wgmma_sm90a_f16_256x256x64_w2x1_s3", "registers a thread");
    refusal("wgmma_sm90a_f16_128x192x64_w2x1_s4_k1", "two halves of 64; these have 64x192");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_k1_pingpong", "skew_blocks=1 needs cooperating warpgroups");
    refusal("wgmma_sm90a_f16_256x128x64_w2x1_s3_k2", "there are 3 stages");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s3_o4", "registers");
    refusal("mma_sm89_f16_64x64x32_w2x2_s3_lines", "tile_k is 64");
    refusal("mma_sm89_f16_64x64x64_w2x2_s3_vw8_lines", "lines of 128 bytes of W if it is row-major");
    refusal("mma_sm89_f16_64x64x64_w2x2_s3_xf32_lines", "lines of 128 bytes of x if it is row-major");
    refusal("mma_sm89_f16_64x64x64_w2x2_s2_lines", "there are 2 stages");
    refusal("mma_sm89_f16_32x32x64_w1x1_s3_lines", "multiples of 8 apart; 32 threads copy 4 at once");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_lines",
            "lines, slots that hold lines of memory, is of the mma back end");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_swap", "are of the wgmma back end, not of mma");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_ck2", "are of the wgmma back end, not of mma");
    refusal("wgmma_sm90a_f16_12x128x64_w1x2_s4_swap", "tile_m=12 is not a multiple of 8");
    refusal("wgmma_sm90a_f16_16x88x64_w1x2_s4_swap", "does not split over 2 warpgroups of 8 columns each");
    refusal("wgmma_sm90a_f16_16x40x64_w1x1_s4_wcol_swap", "its tile has 40 for 1 blocks");
    refusal("wgmma_sm90a_f16_16x128x64_w2x1_s4_swap", "each warpgroup has all rows of x: 2x1");
    refusal("wgmma_sm90a_f16_16x128x64_w1x1_s4_pingpong_swap", "a game of 2 warpgroups");
    refusal("wgmma_sm90a_f16_16x256x64_w1x1_s4_k1_swap", "a consumer's wgmmas stay in step");
    refusal("wgmma_sm90a_f16_256x192x64_w2x1_s3_xbf16",
            "needs about 244 registers a thread; it can have 232");
    refusal("wgmma_sm90a_f16_200x256x64_w1x2_s3_swap_e_z_r_add", "needs about 236 registers");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_cm2_ck2_swap",
            "share k (cluster_k=2), or x and W (2x1), not both");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_ck3_swap", "cluster_k=3 is not 1, 2, 4 or 8");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_swap_once", "L2 forgets W first anyway");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_ck2_once", "L2 forgets W first anyway");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_cm2_once", "once: of what blocks of a cluster (2x1) load");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_once_last", "the one or the other");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_cn2_last", "last: of what blocks of a cluster (1x2) load");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_cn2_swap_last",
            "last: of what blocks of a cluster (1x2) load");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_swap_ends", "ends: x is loaded in one box");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_xcol_ends", "ends: x is column-major");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_ends", "are of the wgmma back end, not of mma");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_cn2_even1", "without clusters and swapped operands");
    refusal("wgmma_sm90a_f16_128x128x64_w1x2_s4_even1", "one above the other");
    refusal("wgmma_sm90a_f16_256x128x64_w2x1_s4_k1_even1", "warpgroups in step");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_xf32_even1", "for x of W's type");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_yf32_even1", "as 16-bit elements");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_vy8_even1", "stored by TMA");
    refusal("wgmma_sm90a_f16_128x64x64_w2x1_s4_even1", "in two chunks or more");
    refusal("wgmma_sm90a_f16_128x176x64_w2x1_s4_even1", "a multiple of 16 columns; these have 88");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_even4", "lacks less than a chunk of y, which has 64 columns");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_even1", "are of the wgmma back end, not of mma");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_near", "are of the wgmma back end, not of mma");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_near", "near: blocks of a cluster are near each other");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_ck2_near", "near: blocks of a cluster are near each other");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_cm2_even1_near", "without clusters and swapped operands");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_last", "are of the wgmma back end, not of mma");
    refusal("mma_sm89_f16_128x128x32_w2x4_s3_once", "are of the wgmma back end, not of mma");
    refusal("wgmma_sm90a_f16_128x128x64_w2x1_s4_ck2_pingpong", "a cluster that shares k has one tile");
    refusal("wgmma_sm90a_f16_256x128x64_w2x1_s3_ck2_k1", "a cluster that shares k has one tile");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_vy8_swap", "y_store_bytes=8 is not 16 or 2");
    refusal("wgmma_sm90a_f16_16x128x64_w1x2_s4_xcol_swap", "loaded by 64 along its columns");
    refusal("wgmma_sm90a_f16_64x128x128_w1x2_s5_ck4_swap", "need 245840 B of shared memory");
}

/* A kernel that may start before the one before it ends waits for that before it touches memory: in the text
 * no access stands before the first wait. */
static bool waits_first(const char *text)
{
    static const char *const accesses[] = {"ld.global", "st.global", "cp.async", "ld.acquire", "st.release"};
    const char *wait = strstr(text, "    griddepcontrol.wait;");
    if (!strstr(text, "// early_start: yes\n")) return !wait;
    if (strstr(text, "ld.global.nc"))
        return false; /* the kernel before may write there while this one runs */
    for (size_t i = 0; wait && i < sizeof accesses / sizeof *accesses; i++) {
        const char *access = strstr(text, accesses[i]);
        if (access && access < wait) return false;
    }
    return wait != NULL;
}

/* One that did not parse would end the list before its end. */
static void wgmma_tiles(void)
{
    GenConfig config;
    GenError error;
    gen_config_default(gen_arch_find("sm_90a"), GEN_F16, &config);
    int n = gen_wgmma_tile_count(), good = 0;
    for (int i = 0; i < n; i++) good += gen_wgmma_tile(i, &config) && gen_config_check(&config, &error);
    ok(good == n, "%d of %d wgmma tiles of the list are good", good, n);
    ok(!gen_wgmma_tile(n, &config) && !gen_wgmma_tile(-1, &config), "and there are no others");
    config.x = GEN_F32;
    for (n = good = 0; gen_wgmma_tile(n, &config); n++) good += gen_config_check(&config, &error);
    ok(n > 10 && good == n, "%d of %d tiles for x in f32 are good", good, n);
}

static int64_t waves_of(const GenProblem *p, const GenConfig *c, int tile_m, int tile_n)
{
    int cluster = c->cluster_m * c->cluster_n * c->cluster_k;
    int64_t tiles_m = gen_whole(gen_ceil_div(p->m, tile_m), c->cluster_m),
            tiles_n = gen_whole(gen_ceil_div(p->n, tile_n), c->cluster_n);
    int64_t places = cluster > 2 ? gen_ceil_div((int64_t)p->sm_count * 10, 11) : p->sm_count;
    return gen_ceil_div(tiles_m * tiles_n, places / c->cluster_k);
}

/* Eights of columns that no 3 to 11 divide, whose y TMA would store 16 or 32 bytes at a time. */
static bool in_slivers(int tile_n)
{
    static const int eights[] = {13, 17, 19, 23, 26, 29, 31};
    for (size_t i = 0; i < sizeof eights / sizeof *eights; i++)
        if (tile_n == 8 * eights[i]) return true;
    return false;
}

/* setmaxnreg.inc to less than a thread starts with is not allowed. */
static bool registers_grow(const GenConfig *c)
{
    GenError error;
    GenPlan plan;
    if (!gen_plan(c, &plan, &error)) return false;
    int started = 65536 / plan.threads / plan.blocks_per_sm / 8 * 8;
    return !plan.g.regs_producer || plan.g.regs_consumer >= started;
}

/* A tile has all columns, or two that share x have them, and no more. */
static bool has_all_columns(const GenProblem *p, const GenConfig *c)
{
    enum { STEP = 16 };
    int64_t columns = c->tile_n * c->cluster_n;
    return !c->swap && p->m >= 4 * p->n && c->cluster_m == 1 && columns >= p->n &&
           (columns - p->n < STEP * c->cluster_n || in_slivers(c->tile_n - 8));
}

/* With fewer columns a tile there would be more waves of them, or slivers: there is one, or of many rows
 * some, and beside few rows of narrow tiles. */
static bool fits(const GenProblem *p, const GenConfig *c)
{
    GenError error;
    int64_t waves = waves_of(p, c, c->tile_m, c->tile_n), tiles_m = gen_ceil_div(p->m, c->tile_m);
    bool rows_of_tiles = c->swap && tiles_m > 1, shares_loads = c->cluster_m * c->cluster_n > 1;
    bool narrow = c->swap && p->m <= 80 && c->tile_n <= 128 && (c->tile_k == 128 || c->x == GEN_F32);
    int step = !c->swap ? 8 * c->cluster_k : rows_of_tiles || shares_loads || c->tile_m > 128 ? 64 : 8;
    bool some = !shares_loads && c->cluster_k == 1 && (p->m > 512 || rows_of_tiles || narrow);
    int64_t most_waves = !some ? 1 : p->m > 1024 ? INT64_MAX : 32;
    bool few_rows_behind = p->m > 512 || c->tile_m * tiles_m < p->m + 64 * tiles_m;
    return gen_config_check(c, &error) && registers_grow(c) && few_rows_behind && waves <= most_waves &&
           (c->swap || c->y == GEN_F32 || !in_slivers(c->tile_n)) &&
           (c->tile_n <= 32 || c->tile_n == step || waves_of(p, c, c->tile_m, c->tile_n - step) > waves ||
            (!c->swap && in_slivers(c->tile_n - step)));
}

/* Or with fewer rows a swapped tile. */
static bool fits_rows(const GenProblem *p, const GenConfig *c)
{
    enum { LEAST_M = 16, STEP = 8 };
    int64_t waves = waves_of(p, c, c->tile_m, c->tile_n);
    return c->swap && p->m > 1024 && c->tile_m >= LEAST_M && c->tile_n % 64 == 0 &&
           waves_of(p, c, c->tile_m - STEP, c->tile_n) > waves;
}

static int fitted_ways(const GenProblem *p, GenConfig *config)
{
    int made = 0;
    for (int way = 0; way < gen_wgmma_fitted_count(); way++) made += gen_wgmma_fitted(p, way, config);
    return made;
}

static void fitted_tiles(void)
{
    static const int64_t rows[] = {1, 9, 64, 100, 128, 160, 256, 300, 700, 3000, 5000, 20000},
                         columns[] = {64, 1000, 2560, 5120, 14336, 32000};
    int made = 0, good = 0;
    GenConfig config;
    GenError error;
    GenProblem p = {.arch = gen_arch_find("sm_90a"), .k = 4096, .w_align_bytes = 128};
    gen_config_default(p.arch, GEN_F16, &config);
    for (int i = 0; i < 12 * 6 * 4; i++) {
        p.m = rows[i % 12], p.n = columns[i / 12 % 6], p.sm_count = i / 72 % 2 ? 132 : 114;
        p.x = config.x = i / 144 ? GEN_F32 : GEN_F16;
        p.x_align_bytes = i % 3 ? 128 : 16;
        for (int way = 0; way < gen_wgmma_fitted_count(); way++) {
            if (!gen_wgmma_fitted(&p, way, &config)) continue;
            made++;
            good += (has_all_columns(&p, &config) || fits_rows(&p, &config))
                        ? gen_config_check(&config, &error)
                        : fits(&p, &config);
        }
    }
    ok(made > 200 && good == made, "%d of %d tiles that are fitted to a problem make whole waves", good,
       made);
    p.x = config.x = GEN_F16, p.x_align_bytes = p.w_align_bytes = 128;
    p.n = 5120, p.m = 8192;
    int whole_lines = fitted_ways(&p, &config);
    p.w_align_bytes = 16;
    ok(whole_lines > 0 && fitted_ways(&p, &config) > whole_lines,
       "clusters, too, to many rows that begin inside a line");
    p.m = 1, p.n = INT32_MAX;
    ok(!fitted_ways(&p, &config), "none are fitted to more columns than the SMs have room for");
}

/* y of a grid ends at 65535 tiles along n. */
static void many_columns(void)
{
    GenConfig config;
    GenError error;
    GenProblem p = {.arch = gen_arch_find("sm_80"), .m = 16, .n = 8400000, .k = 64, .sm_count = 108};
    p.x_align_bytes = p.w_align_bytes = p.y_align_bytes = 16;
    bool chosen = gen_choose(&p, &config, &error);
    ok(chosen && gen_ceil_div(p.n, config.tile_n) <= 65535, "8400000 columns: tiles of %d", config.tile_n);
    p.n = 20000000;
    chosen = gen_choose(&p, &config, &error);
    ok(!chosen && strstr(error.text, "in several calls"), "20000000: %s", error.text);
}

/* For 16x4096x4096 a tile of the list is fitted, too. */
static void nothing_twice(void)
{
    enum { MOST = 200 };
    static GenCandidate ranked[MOST];
    char name[GEN_MAX_NAME], other[GEN_MAX_NAME];
    GenError error;
    GenProblem p = {.arch = gen_arch_find("sm_90a"), .sm_count = 132, .m = 16, .n = 4096, .k = 4096};
    p.x_align_bytes = p.w_align_bytes = p.y_align_bytes = 128;
    int n = gen_rank(&p, ranked, MOST, &error), twice = 0;
    for (int i = 0; i < n; i++) {
        gen_config_name(&ranked[i].config, name);
        for (int j = 0; j < i; j++) {
            gen_config_name(&ranked[j].config, other);
            twice += strcmp(name, other) == 0;
        }
    }
    ok(n > 60 && n < MOST && !twice, "%d configs are ranked, %d of them twice", n, twice);
}

/* Whatever is set for a problem once a tile is planned: even, ends, once, last. */
static void ranked_are_good(void)
{
    enum { MOST = 200 };
    static GenCandidate ranked[MOST];
    static const int64_t rows[] = {1, 16, 40, 70, 100, 200, 268, 1000, 1549, 4096};
    int all = 0, good = 0;
    GenError error;
    for (size_t i = 0; i < 8 * sizeof rows / sizeof *rows; i++) {
        GenProblem p = {
            .arch = gen_arch_find("sm_90a"), .sm_count = 132, .m = rows[i / 8], .n = 4096, .k = 4096};
        p.x = p.y = i & 1 ? GEN_F32 : GEN_F16;
        p.x_layout = i & 2 ? GEN_LAYOUT_COL : GEN_LAYOUT_ROW;
        p.x_align_bytes = p.w_align_bytes = p.y_align_bytes = i & 4 ? 16 : 128;
        int n = gen_rank(&p, ranked, MOST, &error);
        for (int c = 0; c < n; c++) good += gen_config_check(&ranked[c].config, &error);
        all += n;
    }
    ok(all > 4000 && good == all, "%d of %d ranked configs are good", good, all);
}

/* A block's threads get equal shares when it starts; setmaxnreg deals out no more than those, or it would
 * wait for ever. All tiles are tried with up to three blocks on an SM. */
static void registers_of_a_block(void)
{
    GenConfig config;
    GenError error;
    GenPlan plan;
    int tried = 0, good = 0;
    gen_config_default(gen_arch_find("sm_90a"), GEN_F16, &config);
    for (int i = 0; i < 4 * gen_wgmma_tile_count(); i++) {
        gen_wgmma_tile(i / 4, &config);
        config.min_blocks = i % 4;
        for (config.stages = 2; config.stages < 8; config.stages++) {
            if (!gen_plan(&config, &plan, &error) || !plan.g.regs_producer) continue;
            int warpgroups = plan.threads / 128,
                started = 65536 / 128 / plan.blocks_per_sm / warpgroups / 8 * 8;
            tried++;
            good += plan.g.regs_producer + plan.g.consumers * plan.g.regs_consumer <= warpgroups * started;
        }
    }
    ok(tried > 100 && good == tried, "of %d blocks, %d have the registers that their warpgroups ask for",
       tried, good);
}

/* Each listed config: its name parses back to it, and its kernel's text to the same text, twice. */
static void listed(const GenArch *arch, GenType type)
{
    GenConfig config, back;
    GenError error;
    int written = 0;
    for (int i = 0; gen_listed(arch, type, i, &config); i++) {
        char name[GEN_MAX_NAME], *text, *again = NULL, *other;
        gen_config_name(&config, name);
        ok(gen_config_parse(name, &back, &error) && memcmp(&config, &back, sizeof config) == 0,
           "%s parses back to an equal config", name);
        if (!gen_config_check(&config, &error)) continue;
        if (!ok(gen_kernel(&config, &text, NULL, &error), "%s is written", name)) {
            note("%s", error.text);
            continue;
        }
        PtxKernel *k = ptx_parse(text);
        bool same = !k->error[0] && ptx_check(k) && ptx_print(k, &again, NULL) && strcmp(text, again) == 0;
        if (!ok(same, "%s: parse and print give the same text", name)) note("%s", k->error);
        gen_kernel(&config, &other, NULL, &error);
        ok(strcmp(text, other) == 0, "%s: writing it again gives the same bytes", name);
        if (!waits_first(text)) ok(false, "%s touches no memory before the kernel before it has ended", name);
        ptx_free(k);
        free(text);
        free(again);
        free(other);
        written++;
    }
    ok(written >= 20, "%s %s: %d kernels written", arch->name, gen_type_name(type), written);
    char *pack;
    if (ok(gen_pack_kernel(arch, GEN_F32, GEN_F16, true, &pack, NULL, &error), "so is the packing one")) {
        ok(waits_first(pack), "which waits like the others");
        free(pack);
    }
}

/* Whatever y_store_bytes says: swapped tiles of few rows do. */
static bool stores_elements(const GenConfig *config)
{
    GenPlan plan;
    GenError error;
    return config->swap && gen_plan(config, &plan, &error) && !plan.g.tma_store;
}

static void choices(void)
{
    static const int64_t sizes[] = {0, 1, 16, 100, 1024, 8192};
    enum { N_SIZES = sizeof sizes / sizeof *sizes };
    GenConfig config;
    GenError error;
    for (int a = 0; a < gen_arch_count(); a++)
        for (int i = 0; i < N_SIZES * N_SIZES * N_SIZES; i++) {
            GenProblem p = {.arch = gen_arch_at(a),
                            .sm_count = 128,
                            .m = sizes[i % N_SIZES],
                            .n = sizes[i / N_SIZES % N_SIZES],
                            .k = sizes[i / N_SIZES / N_SIZES]};
            p.x_align_bytes = 16 >> i % 4;
            p.w_align_bytes = 16;
            p.y_align_bytes = 2;
            bool chosen = gen_choose(&p, &config, &error) && gen_config_check(&config, &error);
            bool honours = config.x_copy_bytes <= p.x_align_bytes &&
                           (config.y_store_bytes == 2 || stores_elements(&config));
            if (!chosen || !honours)
                ok(false, "%s %lldx%lldx%lld: a config that works is chosen", p.arch->name, (long long)p.m,
                   (long long)p.n, (long long)p.k);
        }
    ok(true, "each problem gets a config that works and that its alignment allows");
    GenProblem p = {.arch = gen_arch_at(2),
                    .sm_count = 128,
                    .m = 64,
                    .n = 64,
                    .k = 64,
                    .w = GEN_F32,
                    .x_align_bytes = 16,
                    .w_align_bytes = 16,
                    .y_align_bytes = 16};
    ok(!gen_choose(&p, &config, &error) && strstr(error.text, "w cannot be f32"),
       "what no config can do is refused: %s", error.text);
}

/* With a workspace, blocks share few tiles of a long k: on a chip without wgmma. */
static void sharing(void)
{
    GenProblem p = {.arch = gen_arch_find("sm_89"), .sm_count = 128, .m = 512, .n = 512, .k = 8192};
    GenConfig config;
    GenError error;
    p.x_align_bytes = p.w_align_bytes = p.y_align_bytes = 128;
    ok(gen_choose(&p, &config, &error) && !config.split, "without a workspace no tiles are shared");
    p.workspace_bytes = 1 << 20;
    ok(gen_choose(&p, &config, &error) && !config.split, "nor with one that is too small");
    p.workspace_bytes = 1 << 30;
    ok(gen_choose(&p, &config, &error) && config.split &&
           gen_workspace_bytes(&config, &p) <= p.workspace_bytes,
       "with one they are");
    p.m = 0;
    ok(gen_choose(&p, &config, &error) && !config.split, "none, where there are none");
    p.m = p.n = p.k = 4096;
    ok(gen_choose(&p, &config, &error) && !config.split, "but not where there are tiles for all SMs");
}

static int power_of_2(int64_t bytes) { return (int)(bytes & -bytes) < 128 ? (int)(bytes & -bytes) : 128; }

typedef struct PackingCase {
    const char *arch;
    int64_t m, n, k;
    bool x, w; /* what is packed */
} PackingCase;

/* Of matrices without gaps, on a chip with 132 SMs. */
static GenProblem without_gaps(const char *arch, GenType x, int64_t m, int64_t n, int64_t k)
{
    GenProblem p = {.arch = gen_arch_find(arch), .sm_count = 132, .x = x, .m = m, .n = n, .k = k};
    p.x_align_bytes = m > 1 ? power_of_2(gen_type_bytes(x) * k) : 128;
    p.w_align_bytes = power_of_2(2 * k);
    p.y_align_bytes = power_of_2(2 * n);
    return p;
}

/* Whether that is so, of x of a type, both operands laid out alike and without gaps, but those that the
 * layout says. */
static void packing_case(const PackingCase *c, GenType type, GenLayout layout)
{
    bool x, w;
    GenProblem p = without_gaps(c->arch, type, c->m, c->n, c->k);
    p.x_layout = p.w_layout = layout;
    gen_choose_packing(&p, &x, &w);
    ok(x == c->x && w == c->w, "%s %lldx%lldx%lld, x of %s, layout %s: x %d and W %d packed", c->arch,
       (long long)p.m, (long long)p.n, (long long)p.k, gen_type_name(type), gen_layout_name(layout), c->x,
       c->w);
}

/* What was fastest on an H200, or nearly (docs/tuning-mma.md). */
static void packing(void)
{
    static const PackingCase cases[] = {
        {"sm_80", 333, 4097, 2050, true, false},   {"sm_90a", 333, 4097, 2050, true, true},
        {"sm_80", 512, 11008, 4094, true, false},  {"sm_90a", 4, 8192, 4095, true, false},
        {"sm_80", 4095, 4095, 4095, true, true},   {"sm_90a", 4095, 4095, 65, true, true},
        {"sm_80", 16, 4096, 4095, false, false},   {"sm_90a", 16, 4096, 4095, false, false},
        {"sm_80", 128, 1024, 1026, false, false},  {"sm_90a", 128, 1024, 1026, true, true},
        {"sm_80", 65, 129, 257, false, false},     {"sm_80", 1501, 1502, 201, true, true},
        {"sm_80", 4096, 4096, 4096, false, false}, {"sm_90a", 1, 4097, 4097, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        packing_case(&cases[i], GEN_F16, GEN_LAYOUT_ROW);
}

/* Gaps between the elements of rows, which tiles read one by one. */
static void packing_of_gaps(void)
{
    static const PackingCase cases[] = {
        {"sm_80", 4096, 4096, 4096, true, true},
        {"sm_90a", 4096, 4096, 4096, true, true},
        {"sm_80", 16, 4096, 4096, true, true},
        {"sm_90a", 128, 4096, 4096, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        packing_case(&cases[i], GEN_F16, GEN_LAYOUT_ANY);
}

/* The same where x is f32, and bf16. */
static void packing_of_types(void)
{
    static const PackingCase f32[] = {
        {"sm_80", 4096, 4096, 4096, true, false},  {"sm_90a", 4096, 4096, 4096, false, false},
        {"sm_80", 512, 11008, 4096, true, false},  {"sm_90a", 512, 11008, 4096, true, false},
        {"sm_80", 8192, 8192, 8192, true, false},  {"sm_90a", 8192, 8192, 8192, true, false},
        {"sm_80", 2048, 2048, 2048, false, false}, {"sm_90a", 2048, 2048, 2048, false, false},
        {"sm_80", 1000, 1000, 1000, true, false},  {"sm_90a", 1000, 1024, 1024, false, false},
        {"sm_80", 128, 4096, 4096, true, false},   {"sm_90a", 100, 5000, 5000, true, false},
        {"sm_90a", 40, 2048, 8192, true, false},   {"sm_90a", 8, 14336, 4096, false, false},
        {"sm_90a", 2048, 5120, 2048, true, false}, {"sm_90a", 4096, 1024, 4096, false, false},
        {"sm_80", 32, 4096, 11008, false, false},  {"sm_90a", 32, 4096, 11008, false, false},
        {"sm_80", 16, 4096, 4096, false, false},   {"sm_90a", 16, 4096, 4096, false, false},
        {"sm_80", 512, 512, 8192, false, false},   {"sm_90a", 16384, 1024, 1024, false, false},
        {"sm_80", 333, 4097, 2050, true, false},   {"sm_90a", 4095, 4095, 4095, true, true},
        {"sm_80", 16, 4096, 4095, false, false},   {"sm_90a", 200, 3003, 1003, true, true},
    };
    static const PackingCase bf16[] = {
        {"sm_80", 4096, 4096, 4096, true, false}, {"sm_90a", 4096, 4096, 4096, false, false},
        {"sm_80", 1000, 1000, 1000, true, false}, {"sm_90a", 1000, 1000, 1000, false, false},
        {"sm_80", 16, 4096, 4096, false, false},  {"sm_90a", 16, 4096, 4096, false, false},
        {"sm_80", 333, 4097, 2050, true, false},  {"sm_90a", 1001, 1001, 1001, true, true},
        {"sm_90a", 64, 2048, 8192, true, false},  {"sm_90a", 2048, 2048, 2048, false, false},
        {"sm_90a", 100, 5000, 5000, true, false}, {"sm_90a", 1024, 14336, 4096, true, false},
    };
    for (size_t i = 0; i < sizeof f32 / sizeof *f32; i++) packing_case(&f32[i], GEN_F32, GEN_LAYOUT_ROW);
    for (size_t i = 0; i < sizeof bf16 / sizeof *bf16; i++) packing_case(&bf16[i], GEN_BF16, GEN_LAYOUT_ROW);
}

/* Blocks of a cluster are near each other where L2 answers them together, and share loads where rows begin
 * inside lines of 128 bytes. */
static void clusters(void)
{
    static const struct {
        int64_t m, n, k;
        bool near, shares;
    } cases[] = {
        {768, 1024, 4096, true, false},   {192, 4096, 4096, true, false},   {512, 11008, 4096, true, false},
        {1000, 1000, 1000, false, true},  {5000, 5000, 5000, false, true},  {16, 4096, 4096, false, false},
        {4096, 4096, 4096, false, false}, {8192, 8192, 8192, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        GenConfig config;
        GenError error;
        GenProblem p = without_gaps("sm_90a", GEN_F16, cases[i].m, cases[i].n, cases[i].k);
        bool chosen = gen_choose(&p, &config, &error);
        bool shares = config.cluster_m * config.cluster_n > 1 && !config.near;
        ok(chosen && config.near == cases[i].near && shares == cases[i].shares,
           "%lldx%lldx%lld: near %d, shares loads %d", (long long)p.m, (long long)p.n, (long long)p.k,
           config.near, shares);
    }
}

/* L2 is told to forget W first where that leaves it x; tiles of different widths fill the last wave; and the
 * last box of x ends with its rows where it would have many behind the end. */
static void hints_and_widths(void)
{
    static const struct {
        int64_t m, n, k;
        bool once, last;
        int even;
        bool ends;
    } cases[] = {
        {512, 11008, 4096, true, false, 0, false},   {4096, 4096, 4096, false, true, 1, false},
        {4096, 11008, 4096, false, true, 0, false},  {1024, 8192, 8192, false, true, 1, false},
        {1024, 512, 512, false, false, 0, false},    {8192, 8192, 8192, false, false, 0, false},
        {4096, 4096, 1024, false, false, 0, false},  {2048, 2048, 2048, false, false, 0, false},
        {4096, 4096, 11008, false, false, 1, false}, {4100, 4096, 4096, false, true, 0, false},
        {100, 5120, 5120, false, false, 0, true},    {128, 5120, 5120, false, false, 0, false},
        {100, 14336, 4096, true, false, 0, true},    {500, 6144, 4096, true, false, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        GenConfig config;
        GenError error;
        GenProblem p = without_gaps("sm_90a", GEN_F16, cases[i].m, cases[i].n, cases[i].k);
        bool chosen = gen_choose(&p, &config, &error);
        ok(chosen && config.once == cases[i].once && config.last == cases[i].last &&
               config.even == cases[i].even && config.ends == cases[i].ends,
           "%lldx%lldx%lld: once %d, last %d, even %d, ends %d", (long long)p.m, (long long)p.n,
           (long long)p.k, cases[i].once, cases[i].last, cases[i].even, cases[i].ends);
    }
}

/* The choice for an H200: 1000 x n x 1024, all f16 and aligned to lines but for what `change` does. */
#define CHOSEN(beginning, change)                                                                            \
    do {                                                                                                     \
        GenProblem p = {                                                                                     \
            .arch = gen_arch_for_device(9, 0), .sm_count = 132, .m = 1000, .n = 1024, .k = 1024};            \
        GenConfig config;                                                                                    \
        GenError error;                                                                                      \
        char name[GEN_MAX_NAME] = "";                                                                        \
        p.x_align_bytes = p.w_align_bytes = p.y_align_bytes = 128;                                           \
        change;                                                                                              \
        if (gen_choose(&p, &config, &error)) gen_config_name(&config, name);                                 \
        ok(strncmp(name, beginning, strlen(beginning)) == 0, "%s: %s", #change, name);                       \
    } while (0)

/* Few rows want tiles of few rows, also where memory decides. */
static void choices_for_few_rows(void)
{
    static const int64_t shapes[][3] = {
        {1, 8192, 8192}, {16, 4096, 4096}, {8, 14336, 4096}, {16, 28672, 8192}};
    for (int a = 0; a < gen_arch_count(); a++)
        for (int i = 0; i < 4; i++) {
            GenProblem p = {.arch = gen_arch_at(a), .sm_count = 128};
            GenConfig config;
            GenError error;
            char name[GEN_MAX_NAME] = "";
            p.m = shapes[i][0], p.n = shapes[i][1], p.k = shapes[i][2];
            p.x_align_bytes = p.w_align_bytes = p.y_align_bytes = 128;
            if (gen_choose(&p, &config, &error)) gen_config_name(&config, name);
            ok(name[0] && config.tile_m <= 16, "%s: %lldx%lldx%lld: %s", p.arch->name, (long long)p.m,
               (long long)p.n, (long long)p.k, name);
        }
}

static void choices_on_hopper(void)
{
    CHOSEN("wgmma_sm90a_f16_", (void)0);
    CHOSEN("wgmma_sm90a_bf16_", p.x = p.w = p.y = GEN_BF16);
    CHOSEN("wgmma_sm90a_f16_128x256x64_w2x1_s4_g16", (p.m = 4096, p.n = 4096, p.k = 4096));
    CHOSEN("wgmma_", p.w_layout = GEN_LAYOUT_COL);
    CHOSEN("wgmma_", p.y = GEN_F32);
    CHOSEN("wgmma_sm90a_f16_16x32x128_w1x1_s11_swap", (p.m = 16, p.n = 4096, p.k = 4096));
    CHOSEN("wgmma_sm90a_f16_16x40x128_w1x1_s11_swap", (p.m = 10, p.n = p.k = 5120));
    CHOSEN("wgmma_sm90a_f16_72x128x64_w1x2_s7_cm2_cn4_swap",
           (p.n = p.k = 1000, p.x_align_bytes = p.w_align_bytes = 16));
    CHOSEN("wgmma_", p.x = GEN_F32);
    CHOSEN("wgmma_", p.x = GEN_BF16);
    CHOSEN("wgmma_sm90a_f16_128x256x64_w2x1_s3_xf32_yf32_g16", (p.m = p.n = p.k = 2048, p.x = p.y = GEN_F32));
    CHOSEN("wgmma_sm90a_f16_8x64x128_w1x1_s8_xf32_ck2_swap", (p.m = 4, p.n = p.k = 4096, p.x = GEN_F32));
    CHOSEN("mma_", (p.x = GEN_F32, p.x_layout = GEN_LAYOUT_COL));
    CHOSEN("mma_", p.x_align_bytes = 8);
    CHOSEN("mma_", p.w_layout = GEN_LAYOUT_ANY);
    GenProblem p = {.arch = gen_arch_for_device(9, 0), .sm_count = 132, .m = 1000, .n = 1023, .k = 1024};
    GenConfig config;
    GenError error;
    p.x_align_bytes = p.w_align_bytes = p.y_align_bytes = 16;
    ok(gen_choose(&p, &config, &error) && (config.y_store_bytes < 16 || stores_elements(&config)),
       "1023 columns are not stored by TMA");
    ok(!gen_arch_for_device(8, 9)->suffix && !gen_arch_for_device(10, 0)->suffix,
       "sm_90a is for sm_90 alone");
}

int main(void)
{
    names();
    wgmma_tiles();
    fitted_tiles();
    many_columns();
    nothing_twice();
    ranked_are_good();
    registers_of_a_block();
    sharing();
    packing();
    packing_of_types();
    packing_of_gaps();
    hints_and_widths();
    clusters();
    choices_for_few_rows();
    choices_on_hopper();
    refusals();
    for (int a = 0; a < gen_arch_count(); a++) {
        listed(gen_arch_at(a), GEN_F16);
        listed(gen_arch_at(a), GEN_BF16);
    }
    choices();
    return done();
}
