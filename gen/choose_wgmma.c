/* choose_wgmma.c: the configurations of the wgmma back end worth offering, and what a problem costs under
 * one. */
#include "gen/internal.h"
#include "gen/plan.h"

#include <stdio.h>

/* Tiles, as names of configurations have them; best first for large problems. group_m: so many rows of tiles as
 * make a wave of an H200 about square, which reads least. What each is for: docs/tuning.md. */
static const char *const tiles[] = {
    /* many rows */
    "128x256x64_w2x1_s4_g16",
    "256x144x64_w2x1_s3_k1",
    "256x128x64_w2x1_s4",
    "256x176x64_w2x1_s3_k1",
    "192x192x64_w3x1_s3_g12",
    "192x128x64_w3x1_s4",
    "128x192x64_w2x1_s4_g12",
    "128x176x64_w2x1_s4_g12",
    "128x160x64_w2x1_s5_g12",
    "128x128x64_w2x1_s5_g12_pingpong",
    "128x128x64_w2x1_s6_g12",
    "128x128x128_w2x1_s3_g12",
    "192x96x64_w3x1_s5",
    "128x112x64_w2x1_s6_g12",
    "128x96x64_w2x1_s6",
    "128x80x64_w2x1_s7",
    "64x256x64_w2x1_s4_g16_pingpong",
    "128x64x64_w2x1_s8",
    "128x64x128_w2x1_s4",
    "64x128x64_w2x1_s6_g16_pingpong",
    "64x192x64_w1x1_s6_g16",
    "64x128x128_w1x1_s4_g16",
    "64x96x128_w1x1_s4_g16",
    "64x64x128_w2x1_s4_g12_pingpong",
    "64x64x128_w1x1_s5_g12",
    "64x48x128_w1x1_s6_g12",
    "64x32x128_w1x1_s6",
    "64x16x128_w1x1_s8",
    "64x8x128_w1x1_s8",
    /* clusters that share loads: for rows that begin inside a line of 128 bytes, and few tiles */
    "128x256x64_w2x1_s4_g16_cm2",
    "256x128x64_w2x1_s4_cn2",
    "192x192x64_w3x1_s3_g12_cm2",
    "128x128x64_w2x1_s6_g12_cm2",
    "128x128x64_w2x1_s6_g12_cn2",
    "128x96x64_w2x1_s6_cn2",
    "128x72x64_w2x1_s7_cm2_cn2",
    "128x64x64_w2x1_s8_cm2",
    "128x64x64_w2x1_s8_cn2",
    "72x128x64_w1x2_s7_cm2_cn4_swap",
    /* few rows of x, on the side of wgmma that has any multiple of 8: as many blocks of 64 or 128 rows of W as
     * there are SMs, the blocks of a cluster sharing k where there are fewer; or two blocks on an SM, so that
     * one begins while another ends */
    "8x64x128_w1x1_s12_swap",
    "8x64x128_w1x1_s8_ck2_swap",
    "8x64x128_w1x1_s5_o2_ck2_swap",
    "8x128x128_w1x2_s6_swap",
    "8x128x128_w1x2_s6_ck2_swap",
    "8x128x128_w1x2_s6_ck4_swap",
    "16x64x128_w1x1_s11_swap",
    "16x64x128_w1x1_s7_ck2_swap",
    "16x64x128_w1x1_s7_ck4_swap",
    "16x64x128_w1x1_s7_ck8_swap",
    "16x64x128_w1x1_s5_o2_ck2_swap",
    "16x128x128_w1x2_s6_swap",
    "16x128x128_w1x2_s5_ck2_swap",
    "16x128x128_w1x2_s5_ck4_swap",
    "32x64x128_w1x1_s8_swap",
    "32x64x128_w1x1_s8_ck2_swap",
    "32x128x128_w1x2_s5_swap",
    "32x128x128_w1x2_s5_ck2_swap",
    "64x64x128_w1x1_s6_swap",
    "64x64x128_w1x1_s6_ck2_swap",
    "64x64x128_w1x1_s6_ck4_swap",
    "64x64x128_w1x1_s3_o2_ck2_swap",
    "64x128x128_w1x2_s4_swap",
    "64x128x128_w1x2_s4_ck2_swap",
    "64x128x64_w1x2_s8_ck2_swap",
    "64x128x64_w1x2_s8_ck4_swap",
    "112x128x64_w1x2_s6_swap",
    "168x64x64_w1x1_s6_swap",
    "128x128x64_w1x2_s5_ck2_swap",
    "128x128x64_w1x2_s5_ck4_swap",
};
enum { N_TILES = sizeof tiles / sizeof *tiles };

bool gen_wgmma_tile(int i, GenConfig *c)
{
    char name[GEN_MAX_NAME];
    GenConfig tile;
    GenError error;
    if (i < 0 || i >= N_TILES) return false;
    snprintf(name, sizeof name, "wgmma_sm90a_f16_%s", tiles[i]);
    if (!gen_config_parse(name, &tile, &error)) return false;
    c->backend = tile.backend;
    c->tile_m = tile.tile_m;
    c->tile_n = tile.tile_n;
    c->tile_k = tile.tile_k;
    c->warps_m = tile.warps_m;
    c->warps_n = tile.warps_n;
    c->stages = tile.stages;
    c->group_m = tile.group_m;
    c->min_blocks = tile.min_blocks;
    c->cluster_m = tile.cluster_m;
    c->cluster_n = tile.cluster_n;
    c->cluster_k = tile.cluster_k;
    c->skew_blocks = tile.skew_blocks;
    c->pingpong = tile.pingpong;
    c->swap = tile.swap;
    return true;
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static double larger(double a, double b) { return a > b ? a : b; }

/* A k-block takes as long as the slowest of what works on it at one time: the tensor cores, shared memory
 * (TMA writes it, wgmma reads x once and W once for each 64 rows), L2, which gives more to an SM when few
 * ask, and the latency of a load, spread over the stages. Rows that begin inside a line of 128 bytes cost L2
 * almost twice. */
static double estimate_block(const GenProblem *p, const GenPlan *plan, GenEstimate *e)
{
    const double tensor_macs = 3300, smem_bytes = 240, l2_bytes = 91, few = 1.5, cut_rows = 1.7,
                 latency = 1600;
    const GenConfig *c = &plan->config;
    double wgmmas = (double)c->tile_m * c->tile_n / (64 * plan->g.wgmma_n), filled = plan->stage_bytes;
    double read = wgmmas * 2 * (64 + plan->g.wgmma_n) * c->tile_k;
    e->tensor_ns = (double)c->tile_m * c->tile_n * c->tile_k / tensor_macs;
    e->smem_ns = (read + filled) / smem_bytes;
    e->l2_ns = filled / (e->tiles > 100 ? l2_bytes : few * l2_bytes);
    if (p->x_layout == GEN_LAYOUT_ROW && p->k % 64) e->l2_ns *= cut_rows;
    e->latency_ns = latency / c->stages;
    return larger(larger(e->tensor_ns, e->smem_ns), larger(e->l2_ns, e->latency_ns));
}

/* Waves of tiles, k-block by k-block and then the epilogue, which pingpong hides but for the last; no faster
 * than memory gives x and W and takes y. Constants are fitted to an H200 (docs/tuning.md). */
GenEstimate gen_wgmma_estimate(const GenProblem *p, const GenPlan *plan)
{
    const double output = 0.068, hidden = 0.15, start = 1100, dram_bytes = 2700;
    const GenConfig *c = &plan->config;
    double m = (double)p->m, n = (double)p->n, k = (double)p->k;
    GenEstimate e = {.tiles = ceil_div(p->m, c->tile_m) * ceil_div(p->n, c->tile_n),
                     .k_blocks = ceil_div(p->k, c->tile_k),
                     .dram_ns = 2 * (m * k + n * k + m * n) / dram_bytes,
                     .start_ns = start + 2 * c->tile_k};
    e.waves = ceil_div(e.tiles, p->sm_count > 0 ? p->sm_count : 1);
    e.epilogue_ns = (double)c->tile_m * c->tile_n * output * (c->pingpong && e.waves > 1 ? hidden : 1);
    double work = (double)e.waves * ((double)e.k_blocks * estimate_block(p, plan, &e) + e.epilogue_ns);
    e.total_ns = e.start_ns + larger(work, e.dram_ns);
    return e;
}
