/* plan.c: from choices to numbers, told in order: fields, warps, shared memory, copies, registers,
 * occupancy. What cannot work is refused where its number appears. */
#include "gen/plan.h"
#include "gen/internal.h"

#include <string.h>

static bool one_of(int value, const int *set, int n)
{
    for (int i = 0; i < n; i++)
        if (set[i] == value) return true;
    return false;
}

/* What every back end asks. */
static bool check_common(const GenConfig *c, GenError *error)
{
    static const int copies[] = {16, 8, 4, 2};
    if (c->w == GEN_F32) return gen_fail(error, "the tensor cores multiply f16 or bf16; w cannot be f32");
    if (c->tile_n % 8 || c->tile_n > 256)
        return gen_fail(error, "tile_n=%d is not a multiple of 8 up to 256", c->tile_n);
    if (c->y_layout == GEN_LAYOUT_COL)
        return gen_fail(error, "a column-major y is not written; treat it as strided both ways (yany)");
    if (c->y_layout == GEN_LAYOUT_ANY && c->y_store_bytes != gen_type_bytes(c->y))
        return gen_fail(error,
                        "y has two strides, so that it is stored element by element: say y_store_bytes=%d",
                        gen_type_bytes(c->y));
    if (c->group_m < 1 || c->group_m > 64)
        return gen_fail(error, "group_m=%d is not from 1 to 64", c->group_m);
    if (!one_of(c->x_copy_bytes, copies, 4))
        return gen_fail(error, "x_copy_bytes=%d is not 16, 8, 4 or 2", c->x_copy_bytes);
    if (!one_of(c->w_copy_bytes, copies, 4))
        return gen_fail(error, "w_copy_bytes=%d is not 16, 8, 4 or 2", c->w_copy_bytes);
    if (!one_of(c->y_store_bytes, copies, 4) || c->y_store_bytes < gen_type_bytes(c->y))
        return gen_fail(error, "y_store_bytes=%d is not 16, 8, 4 or 2 and at least one element of %s",
                        c->y_store_bytes, gen_type_name(c->y));
    return true;
}

static bool check_fields(const GenConfig *c, GenError *error)
{
    static const int tile_k[] = {32, 64, 128};
    if (!one_of(c->tile_k, tile_k, 3)) return gen_fail(error, "tile_k=%d is not 32, 64 or 128", c->tile_k);
    if (c->tile_m % 16 || c->tile_m > 256)
        return gen_fail(error, "tile_m=%d is not a multiple of 16 up to 256", c->tile_m);
    if (c->stages < 2 || c->stages > 6) return gen_fail(error, "stages=%d is not from 2 to 6", c->stages);
    if (c->cluster_m * c->cluster_n * c->cluster_k != 1 || c->skew_blocks || c->even || c->pingpong ||
        c->swap || c->ends || c->once || c->last || c->near)
        return gen_fail(error, "clusters, near, skew, even, pingpong, swap, ends, once and last are of the wgmma back end, "
                               "not of mma");
    return true;
}

static bool plan_warps(const GenConfig *c, GenPlan *p, GenError *error)
{
    p->warps = c->warps_m * c->warps_n;
    p->threads = 32 * p->warps;
    if (p->warps < 1 || p->warps > 8)
        return gen_fail(error, "warps=%dx%d makes %d warps; a block has 1 to 8", c->warps_m, c->warps_n,
                        p->warps);
    if (c->tile_m % (16 * c->warps_m))
        return gen_fail(error, "tile_m=%d does not split over %d warps of 16 rows each", c->tile_m,
                        c->warps_m);
    if (c->tile_n % (8 * c->warps_n))
        return gen_fail(error, "tile_n=%d does not split over %d warps of 8 columns each", c->tile_n,
                        c->warps_n);
    p->warp_m = c->tile_m / c->warps_m;
    p->warp_n = c->tile_n / c->warps_n;
    p->mma_m = p->warp_m / 16;
    p->mma_n = p->warp_n / 8;
    p->k_steps = c->tile_k / 16;
    return true;
}

static int min_int(int a, int b) { return a < b ? a : b; }
static int max_int(int a, int b) { return a > b ? a : b; }
static bool power_of_2(int n) { return (n & (n - 1)) == 0; }

/* The way of 16 rows of a warp tile through shared memory to y. */
static void plan_store(const GenConfig *c, GenPlan *p)
{
    int row_bytes = p->warp_n * p->y_bytes;
    p->y_piece_bytes = min_int(c->y_store_bytes, row_bytes / 2); /* so that 32 lanes cover at most 16 rows */
    p->y_piece_elems = p->y_piece_bytes / p->y_bytes;
    int row_pieces = row_bytes / p->y_piece_bytes;
    p->y_row_lanes = 1;
    while (p->y_row_lanes < min_int(row_pieces, 32)) p->y_row_lanes *= 2;
    p->y_row_parts = (row_pieces + p->y_row_lanes - 1) / p->y_row_lanes;
    p->y_row_idle = row_pieces != p->y_row_lanes * p->y_row_parts;
    /* Four lanes write 8 y of a row, others the rows below: an odd multiple of that keeps them in banks of their own. */
    int unit = 8 * p->y_bytes;
    p->y_pitch_bytes = row_bytes / unit % 2 ? row_bytes : row_bytes + unit;
    p->y_buffer_bytes = 16 * p->y_pitch_bytes;
}

/* What the layout and the type of an operand ask of its copies and its tile. */
static bool check_operand(const GenOperandPlan *o, const char *name, int tile, int warp_tile, GenError *error)
{
    if (o->align_bytes < o->elem_bytes)
        return gen_fail(error, "%s is %s; its copies are at least %d bytes", name, gen_type_name(o->type),
                        o->elem_bytes);
    if (o->layout == GEN_LAYOUT_ANY && o->align_bytes != o->elem_bytes)
        return gen_fail(error,
                        "%s has two strides, so that it is copied element by element: say %s_copy_bytes=%d",
                        name, name, o->elem_bytes);
    if (o->layout != GEN_LAYOUT_COL) return true;
    if (o->staged)
        return gen_fail(error,
                        "a column-major %s of %s aligned to %d B does not go by cp.async; treat it as "
                        "strided both ways (%sany)",
                        name, gen_type_name(o->type), o->align_bytes, name);
    if (power_of_2(tile) && power_of_2(warp_tile)) return true;
    return gen_fail(error,
                    "a column-major %s needs a tile and a warp tile that are powers of 2, not %d and %d",
                    name, tile, warp_tile);
}

/* x, if its type is another one. Blocks that share tiles do not run side by side. */
static int ask_lines(const GenConfig *c, const GenPlan *p, const GenOperandPlan *o)
{
    int lines = c->tile_k * o->elem_bytes / GEN_LINE_BYTES;
    bool ask = o->type != c->w && o->layout == GEN_LAYOUT_ROW && !c->split;
    return ask && o->rows / GEN_ASK_SHARERS * lines <= p->threads ? lines : 0;
}

/* `tile`, `warp_tile`: how much of m or n the operand's tile spans, and a warp's part of it. */
static void plan_operand(const GenConfig *c, const GenPlan *p, GenOperandPlan *o, int tile, int warp_tile)
{
    bool col = o->layout == GEN_LAYOUT_COL, row = o->layout == GEN_LAYOUT_ROW;
    o->elem_bytes = gen_type_bytes(o->type);
    o->staged = o->type != c->w || (o->align_bytes == 2 && !row) || o->layout == GEN_LAYOUT_ANY;
    o->words = !o->staged && o->align_bytes < GEN_CHUNK_BYTES && row;
    o->halves = o->words && o->align_bytes == 2;
    o->deal = o->words ? gen_deal(o->align_bytes, warp_tile) : 1;
    o->copy_bytes = o->words ? GEN_CHUNK_BYTES : o->align_bytes;
    o->lines = c->lines;
    o->rows = col ? c->tile_k : tile;
    o->row_bytes = 2 * (col ? tile : c->tile_k) + (o->words ? GEN_CHUNK_BYTES : 0);
    /* A thread loads 16 bytes at once: of f32 that is half a chunk. */
    bool half_chunks = o->type == GEN_F32 && row && o->align_bytes == 16;
    o->part_bytes = half_chunks ? GEN_CHUNK_BYTES / 2 : GEN_CHUNK_BYTES;
    o->part_elems = o->part_bytes / 2;
    o->row_parts = o->row_bytes / o->part_bytes;
    o->rows_per_pass = p->threads / o->row_parts;
    if (o->rows_per_pass < 1) o->rows_per_pass = 1;
    int even = o->rows_per_pass & -o->rows_per_pass; /* its power of 2 */
    o->swizzle_period = even < 8 && !o->words ? 8 / even : 1;
    o->ask_lines = ask_lines(c, p, o);
    o->passes = (o->rows + o->rows_per_pass - 1) / o->rows_per_pass;
    o->last_pass_rows = o->rows - (o->passes - 1) * o->rows_per_pass;
}

static bool check_lines(const GenConfig *c, const GenOperandPlan *o, const char *name, GenError *error)
{
    if (!c->lines) return true;
    if (o->staged || o->layout != GEN_LAYOUT_ROW || o->align_bytes != GEN_CHUNK_BYTES ||
        o->row_bytes != GEN_LINE_BYTES)
        return gen_fail(error,
                        "lines: a slot holds lines of %d bytes of %s if it is row-major, of W's type, "
                        "aligned to %d bytes and tile_k is %d",
                        GEN_LINE_BYTES, name, GEN_CHUNK_BYTES, GEN_LINE_BYTES / 2);
    if (o->rows_per_pass % 8)
        return gen_fail(error,
                        "lines: the rows of a thread must be multiples of 8 apart; %d threads copy %d at "
                        "once: use more warps",
                        o->rows_per_pass * o->row_parts, o->rows_per_pass);
    return c->stages >= 3 ||
           gen_fail(error,
                    "lines: k-blocks reach into the next slot, so that 3 are needed; there are %d stages",
                    c->stages);
}

static int blocks_by_smem(const GenArch *a, int smem_bytes)
{
    return smem_bytes > a->block_smem_bytes ? 0 : a->sm_smem_bytes / (smem_bytes + a->smem_reserved_bytes);
}

/* What the store needs lies where the ring was. The bias stands behind all, unless that would cost a block:
 * then it waits for the ring, too, and until then threads keep their parts of it in registers. */
static void place_store(const GenConfig *c, GenPlan *p)
{
    int buffers = p->warps * 2 * p->y_buffer_bytes, bias_bytes = 4 * c->tile_n,
        turn_bytes = c->split ? 16 : 0;
    int early = max_int(p->ring_bytes, buffers), late = max_int(p->ring_bytes, buffers + bias_bytes);
    p->bias_early = blocks_by_smem(c->arch, early + turn_bytes + bias_bytes) ==
                    blocks_by_smem(c->arch, late + turn_bytes);
    p->turn_offset = p->bias_early ? early : late;
    p->bias_offset = p->bias_early ? p->turn_offset + turn_bytes : buffers;
    p->smem_bytes = p->turn_offset + turn_bytes + (p->bias_early ? bias_bytes : 0);
}

static bool plan_smem(const GenConfig *c, GenPlan *p, GenError *error)
{
    p->x = (GenOperandPlan){.type = c->x, .layout = c->x_layout, .align_bytes = c->x_copy_bytes};
    p->w = (GenOperandPlan){.type = c->w, .layout = c->w_layout, .align_bytes = c->w_copy_bytes};
    plan_store(c, p);
    plan_operand(c, p, &p->x, c->tile_m, p->warp_m);
    plan_operand(c, p, &p->w, c->tile_n, p->warp_n);
    if (!check_operand(&p->x, "x", c->tile_m, p->warp_m, error) ||
        !check_operand(&p->w, "w", c->tile_n, p->warp_n, error) || !check_lines(c, &p->x, "x", error) ||
        !check_lines(c, &p->w, "W", error))
        return false;
    if (p->x.row_parts > p->threads || p->w.row_parts > p->threads)
        return gen_fail(
            error, "a row of the tile has more parts to copy than the block has threads (%d): use more warps",
            p->threads);
    bool spread = p->k_steps > 2 || p->x.staged || p->w.staged;
    p->copy_steps = spread ? p->k_steps : 1; /* measured: docs/tuning-mma.md */
    p->w.smem_offset = p->x.rows * p->x.row_bytes;
    p->stage_bytes = p->w.smem_offset + p->w.rows * p->w.row_bytes;
    p->ring_bytes = c->stages * p->stage_bytes;
    place_store(c, p);
    if (p->smem_bytes <= c->arch->block_smem_bytes) return true;
    return gen_fail(error, "stages=%d of %dx%dx%d needs %d B of shared memory; %s allows %d", c->stages,
                    c->tile_m, c->tile_n, c->tile_k, p->smem_bytes, c->arch->name, c->arch->block_smem_bytes);
}

/* Blocks whose registers fit: an SM is four partitions with a quarter of the registers each, a warp lives in
 * one of them, and a thread's registers come in units of 8. */
static int blocks_by_regs(const GenArch *a, int warps, int regs)
{
    int warp_regs = 32 * ((regs + 7) / 8 * 8);
    return 4 * (a->sm_regs / 4 / warp_regs) / warps;
}

/* Pairs of W's column tiles whose fragments are held: those of two k-steps if the registers allow; or else a
 * ring of at least three, after whole turns of which a k-block ends. */
static int w_frag_pairs(const GenPlan *p, int regs)
{
    int step_pairs = (p->mma_n + 1) / 2, ring = 3;
    if (step_pairs < 3 || 4 * (p->mma_m + 2 * step_pairs) <= regs) return 2 * step_pairs;
    while (p->k_steps * step_pairs % ring) ring++;
    return ring < 2 * step_pairs ? ring : 2 * step_pairs;
}

/* What blocks that share tiles hand to each other, and how many there should be. */
static void plan_split(const GenConfig *c, GenPlan *p)
{
    enum { BUSY_WARPS = 8, REGS_REST = 32 };
    p->slot_bytes = c->tile_m * c->tile_n * 4;
    int regs = p->regs_limit;
    int tiles = p->regs_acc / 4, fit = (regs - p->regs_acc - REGS_REST) / 4,
        turns = fit < 1 ? tiles : (tiles + fit - 1) / fit;
    p->parts_at_once = (tiles + turns - 1) / turns;
    p->busy_blocks = min_int(p->blocks_per_sm, p->warps < BUSY_WARPS ? BUSY_WARPS / p->warps : 1);
}

/* A fragment of W that stays the same from mma to mma saves 3 % of the time where power decides. Then all of
 * x's are loaded late in a k-step, too late for one warp in a quarter of an SM; and they take a few registers
 * more, which more than two warps in a quarter do not have. */
static bool by_columns(const GenPlan *p)
{
    int warps = p->warps * p->blocks_per_sm;
    return warps > 4 && warps <= 8;
}

/* Places of rows that begin at different bytes, and how fragments are shifted. */
static int regs_words(const GenOperandPlan *o) { return (o->deal > 1 ? o->deal : 0) + (o->halves ? 2 : 0); }

/* Registers: accumulators, fragments (two sets of W's), one 64-bit pointer a pass; the rest is experience
 * with ptxas (docs/configs.md). Occupancy: what registers, shared memory, warps and blocks allow. */
static bool plan_occupancy(const GenConfig *c, GenPlan *p, GenError *error)
{
    enum { REGS_REST = 22, ENOUGH_BLOCKS = 8 }; /* addresses and loop state */
    const GenArch *a = c->arch;
    int staged =
        (p->x.staged ? p->x.part_elems * p->x.passes : 0) + (p->w.staged ? p->w.part_elems * p->w.passes : 0);
    p->regs_acc = p->mma_m * p->mma_n * 4;
    p->raw_sets = staged ? min_int(c->stages, 1 + p->regs_acc / staged) : 1;
    p->regs_address = 2 * (p->x.passes + p->w.passes) + regs_words(&p->x) + regs_words(&p->w);
    p->w_frag_pairs = w_frag_pairs(p, GEN_MAX_REGS - REGS_REST - p->regs_acc - p->regs_address - staged);
    p->regs_frag = 4 * (p->mma_m + p->w_frag_pairs);
    int needed = p->regs_acc + p->regs_frag + p->regs_address + staged;
    p->regs_estimate = min_int(needed + REGS_REST, GEN_MAX_REGS);
    if (needed > GEN_MAX_REGS)
        return gen_fail(error,
                        "a warp tile of %dx%d needs about %d registers a thread; %d is the limit: use more "
                        "warps or a smaller tile",
                        p->warp_m, p->warp_n, needed, GEN_MAX_REGS);
    int by_smem = blocks_by_smem(a, p->smem_bytes);
    int by_warps = min_int(a->sm_warps / p->warps, a->sm_blocks);
    int fit = min_int(min_int(by_smem, by_warps),
                      min_int(blocks_by_regs(a, p->warps, p->regs_estimate), ENOUGH_BLOCKS));
    p->blocks_per_sm = c->min_blocks ? c->min_blocks : fit < 1 ? 1 : fit;
    p->by_columns = by_columns(p);
    p->regs_limit = min_int(GEN_MAX_REGS, a->sm_regs / (p->threads * p->blocks_per_sm));
    if (p->blocks_per_sm <= min_int(by_smem, by_warps)) return true;
    return gen_fail(error, "min_blocks=%d do not fit on an SM of %s: shared memory allows %d, warps %d",
                    c->min_blocks, a->name, by_smem, by_warps);
}

bool gen_plan(const GenConfig *c, GenPlan *p, GenError *error)
{
    memset(p, 0, sizeof *p);
    p->config = *c;
    if (!gen_expr_parse(c->epilogue, &p->epilogue, error)) return false;
    gen_config_name(c, p->name);
    p->y_bytes = gen_type_bytes(c->y);
    p->bias_bytes = gen_type_bytes(c->bias);
    if (!check_common(c, error)) return false;
    if (c->backend == GEN_BACKEND_WGMMA) return gen_plan_wgmma(c, p, error);
    bool good = check_fields(c, error) && plan_warps(c, p, error) && plan_smem(c, p, error) &&
                plan_occupancy(c, p, error);
    if (good) plan_split(c, p);
    return good;
}

bool gen_config_check(const GenConfig *config, GenError *error)
{
    GenPlan plan;
    return gen_plan(config, &plan, error);
}

bool gen_config_summary(const GenConfig *config, GenSummary *summary, GenError *error)
{
    GenPlan p;
    if (!gen_plan(config, &p, error)) return false;
    *summary = (GenSummary){p.threads, p.smem_bytes, p.blocks_per_sm, p.regs_estimate};
    return true;
}
