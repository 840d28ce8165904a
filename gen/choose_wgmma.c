/* choose_wgmma.c: the configurations of the wgmma back end worth offering, and what a problem costs under
 * one. */
#include "gen/internal.h"
#include "gen/plan.h"

/* Tiles, best first for large problems. group_m: so many rows of tiles as make a wave of an H200 about
 * square, which reads least (docs/tuning.md). */
/* clang-format off */
static const struct WgmmaTile { int m, n, k, warps_m, warps_n, stages, group_m, skew; bool pingpong; } tile_table[] = {
    {128, 256,  64, 2, 1, 4, 16, 0, false},
    {256, 144,  64, 2, 1, 3,  8, 1, false},
    {256, 128,  64, 2, 1, 4,  8, 0, false},
    {256, 176,  64, 2, 1, 3,  8, 1, false},
    {192, 192,  64, 3, 1, 3, 12, 0, false},
    {192, 128,  64, 3, 1, 4,  8, 0, false},
    {128, 192,  64, 2, 1, 4, 12, 0, false},
    {128, 176,  64, 2, 1, 4, 12, 0, false},
    {128, 160,  64, 2, 1, 5, 12, 0, false},
    {128, 128,  64, 2, 1, 5, 12, 0, true},
    {128, 128,  64, 2, 1, 6, 12, 0, false},
    {128, 128, 128, 2, 1, 3, 12, 0, false},
    {192,  96,  64, 3, 1, 5,  8, 0, false},
    {128, 112,  64, 2, 1, 6, 12, 0, false},
    {128,  96,  64, 2, 1, 6,  8, 0, false},
    {128,  80,  64, 2, 1, 7,  8, 0, false},
    {64,  256,  64, 2, 1, 4, 16, 0, true},
    {128,  64,  64, 2, 1, 8,  8, 0, false},
    {128,  64, 128, 2, 1, 4,  8, 0, false},
    {64,  128,  64, 2, 1, 6, 16, 0, true},
    {64,  192,  64, 1, 1, 6, 16, 0, false},
    {64,  128, 128, 1, 1, 4, 16, 0, false},
    {64,   96, 128, 1, 1, 4, 16, 0, false},
    {64,   64, 128, 2, 1, 4, 12, 0, true},
    {64,   64, 128, 1, 1, 5, 12, 0, false},
    {64,   48, 128, 1, 1, 6, 12, 0, false},
    {64,   32, 128, 1, 1, 6,  8, 0, false},
    {64,   16, 128, 1, 1, 8,  8, 0, false},
    {64,    8, 128, 1, 1, 8,  8, 0, false},
};

/* Tiles with swapped operands, for few rows of x, and the last two for few tiles. As many blocks of 64 or 128
 * rows of W as there are SMs, the blocks of a cluster sharing k where there are fewer, and as many stages as
 * shared memory holds; or half of that, for two blocks on an SM, so that one begins while another ends. Not
 * measured yet: they are listed, and used where they are named, but gen_rank() leaves them out. */
static const struct SwappedTile { int m, n, k, warps_n, stages, cluster_k, min_blocks; } swapped_table[] = {
    {  8,  64, 128, 1, 12, 1, 0},
    {  8,  64, 128, 1, 12, 2, 0},
    {  8, 128, 128, 2,  6, 1, 0},
    {  8, 128, 128, 2,  6, 4, 0},
    { 16,  64, 128, 1, 11, 1, 0},
    { 16,  64, 128, 1, 11, 2, 0},
    { 16,  64, 128, 1, 10, 8, 0},
    { 16,  64, 128, 1,  5, 1, 2},
    { 16,  64, 128, 1,  5, 2, 2},
    { 16,  64, 128, 1,  5, 4, 2},
    { 16, 128, 128, 2,  6, 1, 0},
    { 16, 128, 128, 2,  5, 4, 0},
    { 32,  64, 128, 1,  9, 1, 0},
    { 32,  64, 128, 1,  9, 2, 0},
    { 32, 128, 128, 2,  5, 1, 0},
    { 32, 128, 128, 2,  5, 4, 0},
    { 64,  64, 128, 1,  7, 1, 0},
    { 64,  64, 128, 1,  6, 2, 0},
    { 64,  64, 128, 1,  6, 8, 0},
    { 64,  64, 128, 1,  3, 2, 2},
    { 64,  64, 128, 1,  3, 4, 2},
    { 64, 128, 128, 2,  4, 1, 0},
    { 64, 128, 128, 2,  4, 4, 0},
    {128, 128,  64, 2,  5, 2, 0},
    {128, 128,  64, 2,  5, 8, 0},
};
/* clang-format on */
enum {
    N_TILES = sizeof tile_table / sizeof *tile_table,
    N_SWAPPED = sizeof swapped_table / sizeof *swapped_table
};

bool gen_wgmma_swapped_tile(int i, GenConfig *c)
{
    if (i < 0 || i >= N_SWAPPED) return false;
    const struct SwappedTile *t = &swapped_table[i];
    c->backend = GEN_BACKEND_WGMMA;
    c->swap = true;
    c->tile_m = t->m;
    c->tile_n = t->n;
    c->tile_k = t->k;
    c->warps_m = 1;
    c->warps_n = t->warps_n;
    c->stages = t->stages;
    c->cluster_k = t->cluster_k;
    c->min_blocks = t->min_blocks;
    return true;
}

bool gen_wgmma_tile(int i, GenConfig *c)
{
    if (i < 0 || i >= N_TILES) return false;
    const struct WgmmaTile *t = &tile_table[i];
    c->backend = GEN_BACKEND_WGMMA;
    c->tile_m = t->m;
    c->tile_n = t->n;
    c->tile_k = t->k;
    c->warps_m = t->warps_m;
    c->warps_n = t->warps_n;
    c->stages = t->stages;
    c->group_m = t->group_m;
    c->skew_blocks = t->skew;
    c->pingpong = t->pingpong;
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
    double wgmmas = (double)c->tile_m / 64 * c->tile_n / plan->g.wg_n, filled = plan->stage_bytes;
    double read = wgmmas * 2 * (64 + plan->g.wg_n) * c->tile_k;
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
