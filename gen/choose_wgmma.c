/* choose_wgmma.c: the configurations of the wgmma back end worth offering, and what a problem costs under
 * one. */
#include "gen/internal.h"
#include "gen/plan.h"

#include <math.h>
#include <stdio.h>

/* Tiles, as names of configurations have them; best first for large problems. With many more, 500 problems would
 * take 1.5 % less in the geometric mean, by the estimates below. group_m: so many rows of tiles as make a wave of an
 * H200 about square, which reads least. */
static const char *const tiles[] = {
    /* many rows */
    "128x256x64_w2x1_s4_g16",
    "256x200x64_w2x1_s3_k1",
    "256x168x64_w2x1_s3_k1",
    "256x176x64_w2x1_s3_k1",
    "256x128x64_w2x1_s4",
    "128x224x64_w2x1_s4_g12",
    "128x200x64_w2x1_s5_g12",
    "192x192x64_w3x1_s3_g12",
    "192x128x64_w3x1_s4",
    "128x192x64_w2x1_s4_g12",
    "128x160x64_w2x1_s5_g12",
    "128x128x64_w2x1_s5_g12_pingpong",
    "128x128x64_w2x1_s6_g12",
    "192x96x64_w3x1_s5",
    "128x112x64_w2x1_s6_g12",
    "128x96x64_w2x1_s6",
    "128x64x64_w2x1_s8",
    "128x64x128_w2x1_s4",
    "64x128x64_w2x1_s6_g16_pingpong",
    "64x88x64_w1x1_s9_g12",
    "64x96x128_w1x1_s4_g16",
    "64x64x128_w1x1_s5_g12",
    "64x48x128_w1x1_s6_g12",
    "64x32x128_w1x1_s6",
    "64x16x128_w1x1_s8",
    "64x8x128_w1x1_s8",
    /* clusters that share loads: for rows that begin inside a line of 128 bytes */
    "256x128x64_w2x1_s4_cn2",
    "192x192x64_w3x1_s3_g12_cm2",
    "128x128x64_w2x1_s6_g12_cn2",
    "128x64x64_w2x1_s8_cn2",
    "72x128x64_w1x2_s7_cm2_cn4_swap",
    /* few rows of x, on the side of wgmma that has any multiple of 8: as many blocks of 64 or 128 rows of W as
     * there are SMs, the blocks of a cluster sharing k where there are fewer; or two blocks on an SM, so that
     * one begins while another ends */
    "8x64x128_w1x1_s12_swap",
    "8x64x128_w1x1_s8_ck2_swap",
    "8x64x128_w1x1_s5_o2_ck2_swap",
    "16x64x128_w1x1_s7_ck2_swap",
    "16x64x128_w1x1_s7_ck8_swap",
    "16x64x128_w1x1_s5_o2_ck2_swap",
    "32x64x128_w1x1_s8_swap",
    "32x64x128_w1x1_s8_ck2_swap",
    "64x64x128_w1x1_s6_swap",
    "64x64x128_w1x1_s6_ck2_swap",
    "96x64x64_w1x1_s9_ck4_swap",
    "104x64x64_w1x1_s9_swap",
    "112x64x64_w1x1_s9_ck2_swap",
    "128x64x64_w1x1_s8_ck2_swap",
    "128x64x64_w1x1_s8_ck4_swap",
    "160x64x64_w1x1_s6_ck2_swap",
    "64x128x128_w1x2_s4_swap",
    "64x128x128_w1x2_s4_ck2_swap",
    "80x128x64_w1x2_s7_swap",
    "112x128x64_w1x2_s6_swap",
    "152x128x64_w1x2_s5_swap",
    "176x128x64_w1x2_s4_swap",
    "168x64x64_w1x1_s6_swap",
    "128x128x64_w1x2_s5_ck2_swap",
    "160x192x64_w1x3_s3_swap",
};

/* For x of another type than W's, which reads and writes more of shared memory: fewer stages fit where it is f32. */
static const char *const converting_tiles[] = {
    "128x256x64_w2x1_s3_g16",
    "128x256x64_w2x1_s3_g16_cn2",
    "128x192x64_w2x1_s3_g12_cn2",
    "128x168x64_w2x1_s3_g12_cn2",
    "128x128x64_w2x1_s4_g12",
    "128x128x64_w2x1_s4_g12_cn2",
    "128x128x64_w2x1_s4_cn4",
    "128x64x64_w2x1_s4_cn2",
    "64x256x64_w1x1_s4_g16",
    "64x192x64_w1x1_s5_g16",
    "64x128x64_w1x1_s6_g16",
    "64x64x64_w1x1_s8_g12",
    "64x64x128_w1x1_s4_g12",
    "64x32x128_w1x1_s5",
    "64x16x128_w1x1_s5",
    "8x64x128_w1x1_s8_swap",
    "8x64x128_w1x1_s8_ck2_swap",
    "8x64x128_w1x1_s4_o2_ck2_swap",
    "16x64x128_w1x1_s7_swap",
    "16x64x128_w1x1_s6_ck2_swap",
    "16x64x128_w1x1_s6_ck8_swap",
    "16x64x128_w1x1_s3_o2_ck2_swap",
    "32x64x128_w1x1_s5_swap",
    "32x64x128_w1x1_s5_ck2_swap",
    "64x64x128_w1x1_s3_ck2_swap",
};
enum {
    N_TILES = sizeof tiles / sizeof *tiles,
    N_CONVERTING = sizeof converting_tiles / sizeof *converting_tiles,
};

int gen_wgmma_tile_count(void) { return N_TILES; }

/* As many as fit. */
static void add_stages(GenConfig *c)
{
    enum { MOST = 12 };
    GenError error;
    GenConfig more = *c;
    while (more.stages++ < MOST && gen_config_check(&more, &error)) *c = more;
}

bool gen_wgmma_tile(int i, GenConfig *c)
{
    char name[GEN_MAX_NAME];
    GenConfig tile;
    GenError error;
    bool converts = c->x != c->w;
    if (i < 0 || i >= (converts ? N_CONVERTING : N_TILES)) return false;
    snprintf(name, sizeof name, "wgmma_sm90a_f16_%s", (converts ? converting_tiles : tiles)[i]);
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
    c->even = 0;
    c->ends = c->once = c->last = false;
    if (converts && c->x != GEN_F32 && !c->swap) add_stages(c);
    return true;
}

enum { SECTOR_BYTES = 32 /* of a line, which L2 and memory give and take one by one */ };

static double larger(double a, double b) { return a > b ? a : b; }
static double smaller(double a, double b) { return a < b ? a : b; }

/* How a problem's tiles fall on the chip. */
typedef struct Spread {
    int64_t tiles, blocks; /* the cluster's blocks share a tile along k, or not */
    int64_t places;        /* blocks that run at one time, if there are so many */
    int side_by_side;      /* of them, on the busiest SM */
} Spread;

/* Clusters of more than two find no room on all SMs: of an H200's 132 they use 120. */
int gen_cluster_places(int sm_count, int cluster)
{
    int sms = sm_count > 0 ? sm_count : 1;
    return cluster > 2 ? (sms * 10 + 10) / 11 : sms;
}

static Spread spread(const GenProblem *p, const GenConfig *c, int cluster)
{
    int64_t usable = gen_cluster_places(p->sm_count, cluster);
    int at_once = c->min_blocks > 1 ? c->min_blocks : 1;
    Spread s = {.tiles = gen_ceil_div(p->m, (int64_t)c->tile_m * c->cluster_m) * c->cluster_m *
                         gen_ceil_div(p->n, (int64_t)c->tile_n * c->cluster_n) * c->cluster_n,
                .places = usable * at_once};
    s.blocks = s.tiles * c->cluster_k;
    s.side_by_side = s.blocks > usable ? at_once : 1;
    return s;
}

/* Blocks side by side that ask for the same rows at one time are answered together: so neighbours share the larger matrix.
 * That is W, but where x has more rows: there a group is one row of tiles, if they all run at one time, or W is read by
 * few of them. Clusters share loads by themselves. */
void gen_wgmma_set_group(const GenProblem *p, GenConfig *c)
{
    enum { FEW_COLUMNS = 4 };
    Spread s = spread(p, c, c->cluster_k);
    bool few = gen_ceil_div(p->n, c->tile_n) <= FEW_COLUMNS || s.blocks <= s.places;
    if (p->m > p->n && few && c->cluster_m * c->cluster_n == 1) c->group_m = 1;
}

/* How many of an operand's rows begin inside a line of 128 bytes, for they ask for two lines each: of rows 64 bytes off every
 * second one. Those 16 bytes off ask for parts of sectors, and count so much more. */
static double cut_rows(GenLayout layout, int align_bytes)
{
    const double sectors = 1.92;
    double share = gen_cuts_lines(layout, align_bytes) ? 1 - (double)align_bytes / GEN_LINE_BYTES : 0;
    return align_bytes < SECTOR_BYTES ? sectors * share : share;
}

/* What a block asks of L2 for a k-block, of x and W such shares, where a row that begins inside a line counts so much more. */
typedef struct Shares {
    double x, w;
} Shares;

static double asked_bytes(const GenProblem *p, const GenPlan *plan, Shares of, double cut_row)
{
    double x = 1 + cut_row * cut_rows(p->x_layout, p->x_align_bytes),
           w = 1 + cut_row * cut_rows(p->w_layout, p->w_align_bytes);
    return plan->g.x.tile_bytes * x * of.x + plan->g.w.tile_bytes * w * of.w;
}

/* How many of `kinds` are among so many that are drawn at random. */
static double distinct(double kinds, double draws)
{
    return kinds < 1 ? 0 : kinds * (1 - pow(1 - 1 / kinds, draws));
}

/* Blocks on SMs of one GPC that ask for the same lines at one time are answered together: what gets to L2, for each block. A
 * cluster is on one GPC, which has room for so many; where the others are is chance. */
static double merged_bytes(const GenProblem *p, const GenPlan *plan, const Spread *s)
{
    enum { GPC_SMS = 16 };
    const GenConfig *c = &plan->config;
    double clusters = (double)GPC_SMS / plan->g.cluster, at_once = (double)s->places / plan->g.cluster,
           rows = (double)gen_ceil_div(p->m, (int64_t)c->tile_m * c->cluster_m),
           columns = (double)gen_ceil_div(p->n, (int64_t)c->tile_n * c->cluster_n);
    if (s->tiles > s->places) { /* a wave of them: a part of a group, or several groups */
        double group = smaller(rows, c->group_m);
        columns = smaller(columns, larger(1, at_once / group));
        rows = smaller(rows, larger(group, at_once / columns));
    }
    Shares of = {distinct(rows, clusters) * c->cluster_m * c->cluster_k / GPC_SMS,
                 distinct(columns, clusters) * c->cluster_n * c->cluster_k / GPC_SMS};
    return asked_bytes(p, plan, of, 0);
}

static double stage_bytes(const GenPlan *plan) { return plan->g.x.tile_bytes + plan->g.w.tile_bytes; }

/* L2, where rows begin inside a line: by what an SM asks for, or all do. Only blocks that share loads ask together. */
static double estimate_l2_cut(const GenProblem *p, const GenPlan *plan, double side_by_side, double running)
{
    const double sm_bytes = 175, all_bytes = 20000, sm_cut_row = 1.25, cut_row = 0.64;
    Shares loaded = {1.0 / plan->g.x_sharers, 1.0 / plan->g.w_sharers};
    return larger(side_by_side * asked_bytes(p, plan, loaded, sm_cut_row) / sm_bytes,
                  running * asked_bytes(p, plan, loaded, cut_row) / all_bytes);
}

/* L2: what an SM is sent, and what of that all ask for, less what is merged. */
static double estimate_l2(const GenProblem *p, const GenPlan *plan, const Spread *s, double merged)
{
    const double whole_sm_bytes = 173, merged_all_bytes = 25800, apart = 1.257;
    const GenConfig *c = &plan->config;
    double running = (double)(s->blocks < s->places ? s->blocks : s->places);
    if (gen_problem_cuts_lines(p)) return estimate_l2_cut(p, plan, s->side_by_side, running);
    double ns = s->side_by_side * stage_bytes(plan) / whole_sm_bytes + running * merged / merged_all_bytes;
    return c->cluster_k > 1 && p->m > c->tile_m ? apart * ns : ns;
}

/* Rows behind the end of a matrix, in the last box that TMA loads of them: of the last tile along m, or n. */
static int rows_behind(const GenBoxPlan *o, int64_t rows)
{
    int part = (int)(rows % o->row_step);
    return o->col || !part ? 0 : o->row_step - part;
}

/* TMA takes its time for each box and each row, most to fill one of those behind the end, which comes to 16 bytes a
 * clock. The tiles that have them wait; of several waves an SM has its share of them. */
static double boxes_ns(const GenProblem *p, const GenPlan *plan, int64_t waves)
{
    /* less than the 25 and 5 that a box and a row take: some is hidden; most, if the others' requests are merged */
    const double box_ns = 14, row_ns = 0.7, fill_ns = 2.8, cut_ns = 0.26, near_fill = 0.2;
    const GenConfig *c = &plan->config;
    const GenBoxPlan *of_x = &plan->g.x, *of_w = &plan->g.w;
    double x_boxes = of_x->row_boxes * of_x->k_boxes, w_boxes = of_w->row_boxes * of_w->k_boxes;
    double rows = x_boxes * of_x->row_step + w_boxes * of_w->row_step;
    double cut = x_boxes * of_x->row_step * cut_rows(p->x_layout, p->x_align_bytes) +
                 w_boxes * of_w->row_step * cut_rows(p->w_layout, p->w_align_bytes);
    double x = c->ends ? 0 : rows_behind(of_x, p->m) * of_x->k_boxes, w = rows_behind(of_w, p->n) * of_w->k_boxes;
    if (waves > 1) {
        x /= (double)gen_ceil_div(p->m, c->tile_m);
        w /= (double)gen_ceil_div(p->n, c->tile_n);
    }
    double fill = c->near ? near_fill * fill_ns : fill_ns;
    return larger(box_ns * (x_boxes + w_boxes), row_ns * rows + cut_ns * cut + fill * (x + w));
}

/* How much what works on a k-block at one time is in each other's way: less, where clusters merge most requests. */
static double disturbance(const GenPlan *plan, double merged)
{
    const double usual = 0.153, calm = 0.065, few = 0.38;
    bool near = plan->config.near && plan->g.cluster > 2;
    return near && merged < few * stage_bytes(plan) ? calm : usual;
}

static double square(double x) { return x * x; }

/* What it takes warps to read x of another type from its slots and to round it, ahead of their products: a lone warpgroup
 * shows all of it, and of several the more, the shorter the products of the others are that cover it. */
static double reading_ns(const GenPlan *plan, double products_ns)
{
    const double read_f32 = 0.0285, read = 0.0224;
    const GenConfig *c = &plan->config;
    double ns = (c->x == GEN_F32 ? read_f32 : read) * 64 * plan->g.wgmmas * c->tile_k;
    int others = plan->g.consumers - 1;
    return others ? ns * ns / (products_ns / plan->g.consumers * others) : ns;
}

/* A k-block takes as long as the slowest of what works on it at one time: the tensor cores, shared memory
 * (TMA writes it, wgmma reads both sides), L2, and the latency of a load, spread over the stages. They disturb each other, and
 * blocks that share loads wait for each other, the longer the more they are. L2 gives more to a block that has a TPC, two SMs,
 * for itself. */
static double estimate_block(const GenProblem *p, const GenPlan *plan, const Spread *s, GenEstimate *e)
{
    const double tensor_macs = 3398, least_n = 52, smem_bytes = 307, latency = 1300, each_other = 0.008, rounded = 0.0516,
                 beneath = 0.96, by_turns = 1.15, pingpong = 1.042, alone = 0.62;
    const GenConfig *c = &plan->config;
    const GenWgmmaPlan *g = &plan->g;
    double wgmmas = g->wgmmas * (c->pingpong ? 1 : g->consumers), k = c->tile_k, n = s->side_by_side,
           merged = merged_bytes(p, plan, s);
    e->tensor_ns = n * wgmmas * 64 * larger(g->wgmma_n, least_n) * k / tensor_macs;
    if (g->x_way == GEN_X_REGISTERS && g->wgmmas > 1) e->tensor_ns *= by_turns;
    if (g->x_way == GEN_X_REGISTERS) e->tensor_ns += n * reading_ns(plan, e->tensor_ns / n);
    if (c->pingpong) e->tensor_ns *= pingpong;
    if (g->x_way == GEN_X_ROUNDED) /* while nothing is multiplied, or beneath the products of the k-block before */
        e->tensor_ns += n * rounded * (g->loop_waits ? beneath : 1) * c->tile_m * k;
    e->smem_ns = n * (wgmmas * 2 * (64 + g->wgmma_n) * k + plan->stage_bytes) / smem_bytes;
    e->l2_ns = larger(estimate_l2(p, plan, s, merged), n * boxes_ns(p, plan, e->waves));
    if (2 * s->blocks <= p->sm_count && !c->near) e->l2_ns *= alone;
    e->latency_ns = latency / c->stages;
    double slowest = larger(larger(e->tensor_ns, e->smem_ns), larger(e->l2_ns, e->latency_ns)),
           together = sqrt(square(e->tensor_ns) + square(e->smem_ns) + square(e->l2_ns) + square(e->latency_ns));
    return (slowest + disturbance(plan, merged) * (together - slowest)) * (1 + each_other * log2(g->load_sharers));
}

/* Of a tile: y by TMA, by elements, or by the warps that wrote it to shared memory, chunk by chunk. Blocks that share k
 * finish parts of it, once they have exchanged their sums. Pingpong hides most of it, but for the last tile's, beneath the
 * main loop of the next tile, as far as that takes as long. */
static double estimate_epilogue(const GenPlan *plan, int64_t waves, double main_loop_ns)
{
    const double tma = 0.072, elements = 0.125, warps = 0.3, seen = 0.13, seen_swapped = 0.5, begin = 509, exchange = 287,
                 each_more = 1080, exchanged = 0.0995, chunk = 198;
    const GenConfig *c = &plan->config;
    double outputs = (double)c->tile_m * c->tile_n,
           ns = outputs * (plan->g.tma_store ? tma : c->swap ? elements : warps);
    if (plan->g.chunked) ns = larger(ns, chunk * plan->g.chunks);
    if (c->cluster_k > 1)
        return ns / plan->g.finishers + begin + exchange + each_more * (c->cluster_k - 2) + exchanged * outputs;
    ns += begin;
    if (!c->pingpong) return ns;
    double shows = larger((c->swap ? seen_swapped : seen) * ns, (ns - main_loop_ns) / 2);
    return (ns + (double)(waves - 1) * shows) / (double)waves;
}

static double memory_ns(double bytes)
{
    const double dram_bytes = 4320; /* a ns, as copies reach */
    return bytes / dram_bytes;
}

static double w_bytes(const GenProblem *p) { return (double)p->n * (double)p->k * gen_type_bytes(p->w); }
static double x_bytes(const GenProblem *p) { return (double)p->m * (double)p->k * gen_type_bytes(p->x); }

/* Where all tiles run at one time, what is not multicast is in part read again: W for another row of tiles, and x for
 * another column. */
static double again_bytes(const GenProblem *p, const GenConfig *c, const Spread *s)
{
    const double again = 0.25;
    double w = p->m > c->tile_m && c->cluster_m == 1 ? w_bytes(p) : 0;
    double x = p->m > c->tile_m && p->n > c->tile_n && c->cluster_n == 1 ? x_bytes(p) : 0;
    return s->blocks <= s->places ? again * (w + x) : 0;
}

/* What memory takes to give x and W and to take y. Two SMs, a TPC, take no more from memory than one: where each block has
 * rows of W, or of x, of its own, the TPC that has most of them decides. */
static double estimate_memory(const GenProblem *p, const GenConfig *c, const Spread *s)
{
    const double tpc_bytes = 71;
    int64_t sms = p->sm_count > 0 ? p->sm_count : 1;
    double all = memory_ns(gen_matrix_bytes(p) + again_bytes(p, c, s));
    double own = p->m <= c->tile_m   ? (double)c->tile_n * gen_type_bytes(p->w)
                 : p->n <= c->tile_n ? (double)c->tile_m * gen_type_bytes(p->x)
                                     : 0;
    double blocks = (double)gen_ceil_div(2 * s->blocks, sms);
    return larger(all, blocks * own * (double)p->k / c->cluster_k / tpc_bytes);
}

/* Before the first tile, and behind the last. Of blocks side by side some of the next kernel are there already, and have
 * asked for their W. */
static double estimate_start(const GenProblem *p, const GenPlan *plan, const Spread *s)
{
    const double start = 520, cluster_start = 385, beside = 430;
    double early = s->side_by_side > 1 && p->m <= plan->config.tile_m ? beside : 0;
    return start + (plan->g.cluster > 1 ? cluster_start : 0) - early;
}

/* Work, and what memory takes meanwhile: they hinder each other more the more alike they are. */
static double work_and_memory(double work, double memory)
{
    const double hindrance = 0.184;
    double longer = larger(work, memory), shorter = work + memory - longer;
    return longer + hindrance * shorter * shorter / longer;
}

/* Columns of the busiest SM's tiles, of those that whole tiles would have, where a tile may be so much narrower: as
 * even_wgmma.c deals them out. */
static double even_columns(const GenProblem *p, const GenConfig *c, const Spread *s, int even)
{
    int64_t waves = gen_ceil_div(s->tiles, s->places), tiles_m = gen_ceil_div(p->m, c->tile_m),
            tiles_n = gen_ceil_div(p->n, c->tile_n);
    int64_t height = tiles_m < c->group_m ? tiles_m : c->group_m, groups = (waves * s->places - s->tiles) / height;
    double narrow = (double)p->n / (double)(tiles_n + 1), whole = (double)p->n / (double)tiles_n;
    if (!groups || narrow < c->tile_n - GEN_EVEN_COLS * even) return 1;
    int64_t rows = groups * height < tiles_m ? groups * height : tiles_m;
    double turns = (double)(rows * (tiles_n + 1) / s->places);
    return (turns * narrow + ((double)waves - turns) * whole) / ((double)waves * c->tile_n);
}

int gen_wgmma_even(const GenProblem *p, const GenPlan *plan)
{
    enum { MOST = 2, LEAST_COLS = 192 /* the fewer a tile has, the more its rows of x count */ };
    const double enough = 0.98;
    const GenConfig *c = &plan->config;
    Spread s = spread(p, c, plan->g.cluster);
    if (c->tile_n < LEAST_COLS || s.tiles <= s.places) return 0;
    for (int even = 1; even <= MOST; even++)
        if (even_columns(p, c, &s, even) <= enough) return even;
    return 0;
}

bool gen_wgmma_ends(const GenProblem *p, const GenPlan *plan)
{
    enum { LEAST = 12 /* what fewer cost is less than the one more box, which each k-block asks for */ };
    const GenBoxPlan *x = &plan->g.x;
    int64_t last_share = p->m % ((int64_t)x->row_boxes * x->row_step); /* which has a whole box before the last one */
    return p->m <= plan->config.tile_m && last_share > x->row_step && rows_behind(x, p->m) >= LEAST &&
           !gen_cuts_lines(p->x_layout, p->x_align_bytes);
}

/* What is saved counts little: idle SMs leave power to the others (docs/tuning-wgmma.md). */
static double even_work(const GenProblem *p, const GenConfig *c, const Spread *s)
{
    const double worth = 0.3;
    return c->even ? 1 - worth * (1 - even_columns(p, c, s, c->even)) : 1;
}

/* Tiles side by side write parts of the same lines of y, or even of the same sectors, unless their width is a multiple of
 * them: memory takes that much longer to take y. */
static double estimate_shared_lines(const GenProblem *p, const GenConfig *c)
{
    const double line = 0.14, sector = 0.295;
    int bytes = c->tile_n * gen_type_bytes(p->y);
    double all = memory_ns((double)p->m * (double)p->n * gen_type_bytes(p->y));
    if (p->n <= c->tile_n || c->y_layout != GEN_LAYOUT_ROW) return 0;
    return bytes % SECTOR_BYTES ? sector * all : bytes % GEN_LINE_BYTES ? line * all : 0;
}

/* Waves of blocks, k-block by k-block and then the epilogue; and what memory takes to give x and W and to take
 * y, most of it meanwhile. Constants are fitted to an H200 (docs/choice.md). */
GenEstimate gen_wgmma_estimate(const GenProblem *p, const GenPlan *plan)
{
    const GenConfig *c = &plan->config;
    Spread s = spread(p, c, plan->g.cluster);
    GenEstimate e = {.tiles = s.tiles,
                     .waves = gen_ceil_div(s.blocks, s.places),
                     .k_blocks = gen_ceil_div(gen_ceil_div(p->k, c->tile_k), c->cluster_k),
                     .dram_ns = estimate_memory(p, c, &s),
                     .start_ns = estimate_start(p, plan, &s)};
    double main_loop_ns = (double)e.k_blocks * estimate_block(p, plan, &s, &e);
    e.epilogue_ns = estimate_epilogue(plan, e.waves, main_loop_ns);
    double work = (double)e.waves * (main_loop_ns + e.epilogue_ns);
    work *= even_work(p, c, &s);
    e.total_ns = e.start_ns + work_and_memory(work, e.dram_ns) + estimate_shared_lines(p, c);
    return e;
}

/* All tiles read W at one time: once. Or there are waves of them, for which L2 keeps the x of a group of rows of tiles, if
 * it need not keep W; less W than that is there in any case. Or tiles have all columns, and read x for the last time. */
void gen_wgmma_set_hints(const GenProblem *p, const GenPlan *plan, const GenEstimate *e, GenConfig *c)
{
    const double once_bytes = 16 << 20, last_bytes = 32 << 20, kept_bytes = 24 << 20;
    int64_t group_rows = (int64_t)c->tile_m * c->group_m, rows = p->m < group_rows ? p->m : group_rows;
    double group_bytes = (double)rows * (double)p->k * gen_type_bytes(p->x);
    if (plan->g.load_sharers > 1) return;
    bool forgets_w = c->swap || c->cluster_k > 1;
    c->once = !forgets_w && e->waves == 1 && w_bytes(p) >= once_bytes;
    c->last = (!forgets_w && e->waves > 1 && w_bytes(p) >= last_bytes && group_bytes <= kept_bytes) ||
              (p->n <= c->tile_n && p->m > c->tile_m && p->m > p->n && !c->once);
}
