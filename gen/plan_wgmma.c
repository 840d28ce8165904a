/* plan_wgmma.c: from choices to numbers for the wgmma back end, told in order: fields, warpgroups, operands,
 * the way of y, shared memory, registers. What cannot work is refused where its number appears. */
#include "gen/internal.h"
#include "gen/plan.h"

enum {
    ATOM = GEN_SWIZZLE_BYTES / 2, /* elements of 16 bits in a row of shared memory */
    MANY_BOX_ROWS = 32,           /* a box has fewer, unless they were too few: then up to MOST */
    FEW_BOX_ROWS = 20,
    MOST_BOX_ROWS = 44,
    AHEAD_BYTES = 32 << 10,  /* of an SM: what L2 is asked for ahead (docs/tuning-wgmma.md) */
    REGS_REST = 28,          /* of a consumer, beside its accumulators */
    REGS_FRAGMENTS = 12,     /* and for the rows of each wgmma that come by registers, */
    REGS_R = 8,              /* and swapped, for r */
    SWAPPED_CHUNK_ROWS = 32, /* fewer rows of y are stored by elements */
};

static bool check_fields(const GenConfig *c, GenError *error)
{
    if (c->arch->sm != 90 || c->arch->suffix != 'a')
        return gen_fail(error, "wgmma is an instruction of sm_90a alone; for %s use the mma back end",
                        c->arch->name);
    if (c->tile_k != 64 && c->tile_k != 128) return gen_fail(error, "tile_k=%d is not 64 or 128", c->tile_k);
    int side = c->swap ? 8 : 64;
    if (c->tile_m % side || c->tile_m > 256)
        return gen_fail(error, "tile_m=%d is not a multiple of %d up to 256", c->tile_m, side);
    if (c->stages < 2 || c->stages > 16) return gen_fail(error, "stages=%d is not from 2 to 16", c->stages);
    if (c->split || c->lines)
        return gen_fail(error, "%s is of the mma back end, not of wgmma",
                        c->lines ? "lines, slots that hold lines of memory,"
                                 : "split, blocks that share tiles along k,");
    if (c->x != c->w && (c->x_layout != GEN_LAYOUT_ROW || c->pingpong || c->skew_blocks))
        return gen_fail(
            error,
            "x of another type than W's (%s) is converted from rows (not xcol), by warpgroups in step "
            "(not pingpong, skew_blocks): leave those out, or take the mma back end",
            gen_type_name(c->w));
    if (c->x_copy_bytes != 16 || c->w_copy_bytes != 16)
        return gen_fail(error, "TMA reads rows aligned to 16 bytes, x has %d and W %d: take the mma back end",
                        c->x_copy_bytes, c->w_copy_bytes);
    if (c->x_layout == GEN_LAYOUT_ANY || c->w_layout == GEN_LAYOUT_ANY)
        return gen_fail(error,
                        "TMA reads matrices with one stride of 1: take the mma back end for two strides");
    bool m_fits = c->cluster_m == 1 || c->cluster_m == 2 || c->cluster_m == 4,
         n_fits = c->cluster_n == 1 || c->cluster_n == 2 || c->cluster_n == 4;
    if (!m_fits || !n_fits || c->cluster_m * c->cluster_n > 8)
        return gen_fail(error, "a cluster of %dx%d is not 1, 2 or 4 blocks along m and n, at most 8 in all",
                        c->cluster_m, c->cluster_n);
    if (c->near && c->cluster_m * c->cluster_n == 1)
        return gen_fail(error, "near: blocks of a cluster are near each other; set cluster_m or cluster_n");
    return true;
}

/* What blocks that share k leave out. */
static bool check_shared_k(const GenConfig *c, GenError *error)
{
    if (c->cluster_k != 1 && c->cluster_k != 2 && c->cluster_k != 4 && c->cluster_k != 8)
        return gen_fail(error, "cluster_k=%d is not 1, 2, 4 or 8", c->cluster_k);
    if (c->cluster_k == 1) return true;
    if (c->cluster_m * c->cluster_n > 1)
        return gen_fail(error, "the blocks of a cluster share k (cluster_k=%d), or x and W (%dx%d), not both",
                        c->cluster_k, c->cluster_m, c->cluster_n);
    return (!c->pingpong && !c->skew_blocks) ||
           gen_fail(
               error,
               "cluster_k=%d: a cluster that shares k has one tile, so that pingpong and skew_blocks have "
               "no next one to multiply",
               c->cluster_k);
}

/* What L2 is told to forget first. */
static bool check_hints(const GenConfig *c, GenError *error)
{
    const char *hint = c->once ? "once" : "last";
    if (!c->once && !c->last) return true;
    if (c->once && c->last) return gen_fail(error, "once and last: L2 is told the one or the other");
    if (c->once && (c->swap || c->cluster_k > 1))
        return gen_fail(
            error, "once: with swapped operands, and where blocks share k, L2 forgets W first anyway: leave "
                   "it out");
    return c->near || (c->cluster_m == 1 && (c->once || c->cluster_n == 1)) ||
           gen_fail(error, "%s: of what blocks of a cluster (%dx%d) load for each other L2 is told nothing",
                    hint, c->cluster_m, c->cluster_n);
}

/* What swapped operands leave out. */
static bool check_swap(const GenConfig *c, GenError *error)
{
    if (!c->swap) return true;
    if (c->skew_blocks)
        return gen_fail(error,
                        "skew_blocks=%d: with swapped operands a consumer's wgmmas stay in step; "
                        "pingpong hides their epilogue",
                        c->skew_blocks);
    if (c->warps_m != 1)
        return gen_fail(error, "with swapped operands each warpgroup has all rows of x: %dx%d is not 1xN",
                        c->warps_m, c->warps_n);
    return c->y_store_bytes == 16 || c->y_store_bytes == gen_type_bytes(c->y) ||
           gen_fail(error,
                    "with swapped operands y is stored by TMA or by single elements: y_store_bytes=%d is not "
                    "16 or %d",
                    c->y_store_bytes, gen_type_bytes(c->y));
}

/* Groups of wgmma that may be under way when a k-block is issued. A consumer that waits for each k-block
 * leaves the tensor cores idle until it has issued the next one; two cover each other's gaps, if they have
 * enough to multiply. x that is rounded from slot to tile keeps its slot until then: few stages have none to
 * spare. */
static int loop_waits(const GenConfig *c, const GenWgmmaPlan *g)
{
    enum { SHORT_ROWS = 96, ENOUGH_STAGES = 5 };
    bool gaps = c->pingpong || g->consumers == 1 || g->wgmmas * g->wgmma_n <= SHORT_ROWS;
    if (g->x_way == GEN_X_ROUNDED) return c->stages >= ENOUGH_STAGES;
    return gaps && g->x_way == GEN_X_SLOT && !c->skew_blocks;
}

static bool plan_warpgroups(const GenConfig *c, GenWgmmaPlan *g, GenError *error)
{
    bool apart = c->pingpong;
    g->consumers = c->warps_m * c->warps_n;
    g->x_sharers = c->near ? 1 : c->cluster_n;
    g->w_sharers = c->near ? 1 : c->cluster_m;
    g->load_sharers = g->x_sharers * g->w_sharers;
    g->cluster = c->cluster_m * c->cluster_n * c->cluster_k;
    g->releases = (g->x_sharers > 1 ? g->x_sharers : 0) + (g->w_sharers > 1 ? g->w_sharers : 0);
    if (g->load_sharers == 1) g->releases = 1;
    if (apart && g->consumers != 2)
        return gen_fail(error, "pingpong is a game of 2 warpgroups, not of %dx%d", c->warps_m, c->warps_n);
    if (g->consumers < 1 || g->consumers > 3)
        return gen_fail(error, "%dx%d warpgroups multiply: 1 to 3 have enough registers", c->warps_m,
                        c->warps_n);
    g->wg_m = apart ? c->tile_m : c->tile_m / c->warps_m;
    g->wg_n = apart ? c->tile_n : c->tile_n / c->warps_n;
    if (!c->swap && g->wg_m % 64)
        return gen_fail(error, "tile_m=%d does not split over %d warpgroups of 64 rows each", c->tile_m,
                        c->warps_m);
    if (g->wg_n % 8 || (!apart && c->tile_n % c->warps_n))
        return gen_fail(error, "tile_n=%d does not split over %d warpgroups of 8 columns each", c->tile_n,
                        c->warps_n);
    g->wgmmas = (int)gen_ceil_div(c->swap ? g->wg_n : g->wg_m, 64);
    g->wgmma_n = c->swap ? g->wg_m : g->wg_n;
    g->acc_regs = g->wgmma_n / 2;
    g->x_way = c->x == c->w ? GEN_X_SLOT : c->swap ? GEN_X_ROUNDED : GEN_X_REGISTERS;
    g->loop_waits = loop_waits(c, g);
    g->release_warps = g->x_way == GEN_X_REGISTERS ? GEN_WG_THREADS / 32 : 1;
    return true;
}

/* The largest divisor of `rows` up to `most`. */
static int divisor(int rows, int most)
{
    int d = rows < most ? rows : most;
    while (rows % d) d--;
    return d;
}

/* Rows of a box, of which equal ones make up `rows`: few, for those behind an edge cost much, but each box
 * costs something, too (docs/tuning-wgmma.md). */
static int box_rows(int rows)
{
    int few = divisor(rows, MANY_BOX_ROWS);
    return few < FEW_BOX_ROWS ? divisor(rows, MOST_BOX_ROWS) : few;
}

/* `tile` elements along m or n, of which each of `sharers` blocks loads an equal part; a slot has room for
 * `rows` of them. */
static bool plan_operand(const GenConfig *c, GenBoxPlan *o, const char *name, GenType type, int tile,
                         int rows, int wg_tile, int sharers, GenError *error)
{
    int share = tile / sharers;
    o->box_elems = GEN_SWIZZLE_BYTES / gen_type_bytes(type);
    o->tile_bytes = gen_type_bytes(type) * tile * c->tile_k;
    if (o->col) {
        if (tile % (ATOM * sharers) || wg_tile % ATOM)
            return gen_fail(
                error, "a column-major %s is loaded by 64 along its columns; its tile has %d for %d blocks",
                name, tile, sharers);
        o->box_rows = c->tile_k;
        o->row_step = ATOM;
        o->k_boxes = 1;
        o->lbo_bytes = o->atom_bytes = o->box_rows * GEN_SWIZZLE_BYTES;
        o->step_bytes = 16 * GEN_SWIZZLE_BYTES;
        o->slot_bytes = o->tile_bytes;
    } else {
        if (tile % sharers)
            return gen_fail(error, "%s has %d rows a tile, which %d blocks do not share evenly", name, tile,
                            sharers);
        o->row_step = o->box_rows = box_rows(share);
        o->k_boxes = c->tile_k / o->box_elems;
        o->atom_bytes = rows * GEN_SWIZZLE_BYTES;
        o->lbo_bytes = 16; /* not used */
        o->step_bytes = 32;
        o->slot_bytes = o->k_boxes * o->atom_bytes;
    }
    o->row_boxes = share / o->row_step;
    o->box_bytes = o->box_rows * GEN_SWIZZLE_BYTES;
    return true;
}

/* 16-byte pieces in a row of a chunk that is not swizzled: as many as divide the tile's row, in few enough
 * chunks. Eight rows, which stmatrix writes at once, meet no bank twice if that is odd, one bank twice if it
 * is 2 modulo 4. */
static int plain_pieces(int tile_pieces)
{
    enum { MOST = 11, SMALL = 4 };
    int pieces = tile_pieces < MOST ? tile_pieces : MOST;
    if (tile_pieces <= SMALL) return tile_pieces;
    while (tile_pieces % pieces || pieces % 4 == 0) pieces--;
    return pieces;
}

/* The same of f32, of which 16 lanes write 8 bytes each to four rows at once: no bank twice if it is 2 modulo
 * 4, one bank twice if it is 4. */
static int plain_pieces_f32(int tile_pieces)
{
    static const int widths[] = {10, 6, 4};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        if (tile_pieces % widths[i] == 0) return widths[i];
    return 2;
}

/* A chunk of y has rows of 128 bytes, swizzled. Where those do not divide the tile, TMA would store too much:
 * then it has rows that do, not swizzled. */
static void plan_chunks(GenWgmmaPlan *g, int y_bytes, bool tma)
{
    int tile_pieces = g->finish_n * y_bytes / 16,
        plain = y_bytes == 4 ? plain_pieces_f32(tile_pieces) : plain_pieces(tile_pieces);
    g->chunk_swizzled = !tma || g->finish_n * y_bytes % GEN_SWIZZLE_BYTES == 0;
    g->chunk_row_bytes = g->chunk_swizzled ? GEN_SWIZZLE_BYTES : 16 * plain;
    g->chunk_cols = g->chunk_row_bytes / y_bytes;
    g->row_chunks = (g->finish_n + g->chunk_cols - 1) / g->chunk_cols;
    g->chunks = g->wgmmas * g->row_chunks;
    g->chunk_rows = 64;
    g->chunk_bytes = g->chunk_rows * g->chunk_row_bytes;
    g->out_buffers = 2;
}

/* With swapped operands a chunk has the columns of a wgmma and all rows of the tile. */
static void plan_swapped_chunks(const GenConfig *c, GenWgmmaPlan *g)
{
    g->chunk_swizzled = true;
    g->chunk_row_bytes = GEN_SWIZZLE_BYTES;
    g->chunk_cols = ATOM;
    g->chunk_rows = c->tile_m;
    g->row_chunks = g->chunks = g->wgmmas;
    g->chunk_bytes = g->chunk_rows * g->chunk_row_bytes;
    g->out_buffers = 1; /* for two there would be a stage less */
}

static int common_divisor(int a, int b) { return b ? common_divisor(b, a % b) : a; }

/* Blocks that share k: groups of 8 columns of the accumulators, equally many, go to as many of them as this
 * allows. Each takes from all blocks of the cluster 16 bytes a thread, wgmma and group. */
static void plan_exchange(const GenConfig *c, GenWgmmaPlan *g)
{
    int groups = g->wgmma_n / 8;
    g->finishers = common_divisor(groups, c->cluster_k);
    g->finisher_groups = groups / g->finishers;
    g->finish_n = g->wg_n / g->finishers;
    if (c->cluster_k > 1)
        g->exchange_bytes =
            g->wgmmas * g->finisher_groups * c->cluster_k * g->consumers * GEN_WG_THREADS * GEN_CHUNK_BYTES;
}

static void plan_store(const GenConfig *c, GenPlan *p)
{
    GenWgmmaPlan *g = &p->g;
    bool aligned = c->y_store_bytes == 16 && c->y_layout == GEN_LAYOUT_ROW;
    plan_exchange(c, g);
    if (c->swap) {
        p->y_piece_bytes = p->y_bytes;
        p->y_piece_elems = 1;
        g->chunked = p->y_bytes == 2 && c->y_layout == GEN_LAYOUT_ROW && c->cluster_k == 1 &&
                     c->tile_m >= SWAPPED_CHUNK_ROWS && g->wg_n % 64 == 0;
        g->tma_store = g->chunked && aligned;
        if (g->chunked) plan_swapped_chunks(c, g);
        return;
    }
    g->chunked = true;
    plan_chunks(g, p->y_bytes, aligned);
    g->tma_store = aligned && g->finish_n % g->chunk_cols == 0;
    p->y_piece_bytes = c->y_store_bytes;
    p->y_piece_elems = p->y_piece_bytes / p->y_bytes;
}

static bool check_skew(const GenConfig *c, const GenWgmmaPlan *g, GenError *error)
{
    if (!c->skew_blocks) return true;
    if (c->pingpong || g->wgmmas != 2)
        return gen_fail(
            error,
            "skew_blocks=%d needs cooperating warpgroups of 128 rows, two halves of 64; these have %dx%d",
            c->skew_blocks, g->wg_m, g->wg_n);
    return 2 * c->skew_blocks <= c->stages || gen_fail(error,
                                                       "skew_blocks=%d hold that many slots at a tile's end "
                                                       "and at the next one's beginning; there are %d stages",
                                                       c->skew_blocks, c->stages);
}

static bool check_even(const GenConfig *c, const GenWgmmaPlan *g, GenError *error)
{
    if (!c->even) return true;
    if (c->swap || c->pingpong || c->skew_blocks || g->cluster > 1 || c->warps_n > 1 || c->x != c->w)
        return gen_fail(error,
                        "even=%d: tiles of different widths are for warpgroups in step, one above the other, "
                        "without clusters and swapped operands, and for x of W's type",
                        c->even);
    if (!g->tma_store || c->y == GEN_F32 || g->row_chunks < 2 || g->chunk_cols % GEN_EVEN_COLS)
        return gen_fail(error,
                        "even=%d: tiles of different widths are stored by TMA as 16-bit elements, in two "
                        "chunks or more of a multiple of %d columns; these have %d",
                        c->even, GEN_EVEN_COLS, g->chunk_cols);
    return GEN_EVEN_COLS * c->even < g->chunk_cols ||
           gen_fail(error, "even=%d: a tile lacks less than a chunk of y, which has %d columns", c->even,
                    g->chunk_cols);
}

/* The threads of one consumer write 16 rows of 64 k at a time, or all 8 of 128. */
static bool plan_rounded(const GenConfig *c, GenWgmmaPlan *g, GenError *error)
{
    GenBoxPlan *o = &g->rounded;
    if (g->x_way != GEN_X_ROUNDED) return true;
    if (g->consumers != 1 || (c->tile_m % 16 && (c->tile_m != 8 || c->tile_k != 128)))
        return gen_fail(
            error,
            "x of another type than W's (%s) is rounded by one warpgroup, of swapped operands, 16 rows at a "
            "time, or 8 with tile_k=128; these have %dx%d warpgroups and %dx%dx%d",
            gen_type_name(c->w), c->warps_m, c->warps_n, c->tile_m, c->tile_n, c->tile_k);
    o->tile_bytes = gen_type_bytes(c->w) * c->tile_m * c->tile_k;
    o->atom_bytes = c->tile_m * GEN_SWIZZLE_BYTES;
    o->step_bytes = g->x.step_bytes;
    o->lbo_bytes = g->x.lbo_bytes;
    return true;
}

static bool check_ends(const GenConfig *c, const GenBoxPlan *x, GenError *error)
{
    if (!c->ends || (!x->col && x->row_boxes > 1)) return true;
    return gen_fail(error, "ends: x is %s, so that no box of it could end with its rows: leave it out",
                    x->col ? "column-major" : "loaded in one box");
}

/* Two columns whose sigmoids share a reciprocal lie in 16 that begin at a multiple of 16: of the tile, or of
 * a chunk of y. If the first is y's, the other one shall be a column of zeros. */
static void plan_reach(const GenConfig *c, GenWgmmaPlan *g)
{
    enum { TOGETHER = 16 };
    bool aligned = c->swap || g->chunk_cols % TOGETHER == 0;
    if (g->w.row_step % TOGETHER || !aligned) g->w.reach = TOGETHER - 1;
}

/* Shared memory that is needed behind the main loop: if blocks share k, and have one tile, in the ring. */
typedef struct Places {
    int ring, ring_end, behind;
} Places;

static int place(Places *p, int bytes, bool in_ring)
{
    int *end = in_ring && bytes <= p->ring_end - p->ring ? &p->ring : &p->behind, offset = *end;
    *end += bytes;
    return offset;
}

static void place_rest(const GenConfig *c, GenPlan *p, bool exchange_in_ring)
{
    GenWgmmaPlan *g = &p->g;
    Places at_end = {.ring_end = c->cluster_k > 1 ? p->ring_bytes : 0,
                     .behind = g->rounded_offset + g->rounded_tiles * g->rounded.tile_bytes};
    g->exchange_offset = place(&at_end, g->exchange_bytes, exchange_in_ring);
    g->exchange_in_ring = g->exchange_offset < p->ring_bytes;
    g->store_offset = place(&at_end, g->consumers * g->out_buffers * g->chunk_bytes, true);
    g->bias_offset = at_end.behind;
    g->barrier_offset = g->bias_offset + (c->swap ? 0 : g->consumers * g->finish_n * 4);
    g->out_barrier_offset = g->barrier_offset + 2 * c->stages * 8;
    p->smem_bytes = g->out_barrier_offset;
    p->smem_bytes += g->consumers * g->out_buffers * 2 * 8; /* full, empty */
}

static bool plan_smem(const GenConfig *c, GenPlan *p, GenError *error)
{
    GenWgmmaPlan *g = &p->g;
    g->x.col = c->x_layout == GEN_LAYOUT_COL;
    g->w.col = c->w_layout == GEN_LAYOUT_COL;
    int w_rows = c->swap ? c->tile_n - g->wg_n + 64 * g->wgmmas : c->tile_n; /* that wgmma reads */
    if (!plan_operand(c, &g->x, "x", c->x, c->tile_m, c->tile_m, g->wg_m, g->x_sharers, error) ||
        !plan_operand(c, &g->w, "W", c->w, c->tile_n, w_rows, g->wg_n, g->w_sharers, error) ||
        !check_ends(c, &g->x, error) || !plan_rounded(c, g, error))
        return false;
    plan_reach(c, g);
    g->w.smem_offset = g->x.slot_bytes;
    if (g->w_sharers == 1)
        g->ahead_blocks = (AHEAD_BYTES / p->blocks_per_sm + g->w.tile_bytes / 2) / g->w.tile_bytes;
    p->stage_bytes = g->x.slot_bytes + g->w.slot_bytes;
    p->ring_bytes = c->stages * p->stage_bytes;
    g->rounded_tiles = 1 + g->loop_waits;
    g->rounded_offset = p->ring_bytes;
    place_rest(c, p, false);
    if (c->cluster_k > 1 && p->smem_bytes > c->arch->block_smem_bytes) place_rest(c, p, true);
    if (p->smem_bytes <= c->arch->block_smem_bytes) return true;
    return gen_fail(error, "stages=%d of %dx%dx%d and the way of y need %d B of shared memory; %s allows %d",
                    c->stages, c->tile_m, c->tile_n, c->tile_k, p->smem_bytes, c->arch->name,
                    c->arch->block_smem_bytes);
}

/* The registers of an SM belong to its warpgroups: few to the producer, an equal share of the rest to the
 * others. */
static bool plan_registers(const GenConfig *c, GenPlan *p, GenError *error)
{
    enum { MAX_CONSUMER = 240, MOST = 255, SWAPPED_REST = 64 /* beside the accumulators */ };
    GenWgmmaPlan *g = &p->g;
    int warpgroups = g->consumers + 1,
        entry = c->arch->sm_regs / GEN_WG_THREADS / p->blocks_per_sm / warpgroups / 8 * 8;
    int all = entry * warpgroups; /* what a block is given; setmaxnreg would wait for more for ever */
    g->regs_producer = g->consumers == 3 ? 32 : 40;
    g->regs_consumer = (all - g->regs_producer) / g->consumers / 8 * 8;
    if (g->regs_consumer > MAX_CONSUMER) g->regs_consumer = MAX_CONSUMER;
    p->regs_acc = g->wgmmas * g->acc_regs;
    if (entry >= MAX_CONSUMER || (c->swap && entry >= p->regs_acc + SWAPPED_REST))
        g->regs_producer = 0; /* there are enough for all */
    p->regs_estimate = entry < MOST ? entry : MOST;
    int needs = p->regs_acc + REGS_REST;
    if (g->x_way == GEN_X_REGISTERS) needs += REGS_FRAGMENTS * g->wgmmas;
    if (c->swap && p->epilogue.uses_r) needs += REGS_R;
    if (needs > g->regs_consumer)
        return gen_fail(error,
                        "a tile of %dx%d a warpgroup needs about %d registers a thread; it can have %d",
                        g->wg_m, g->wg_n, needs, g->regs_consumer);
    if (g->acc_regs + 26 > entry) /* ptxas C7602 */
        return gen_fail(error, "wgmma of 64x%d needs %d registers at the kernel's entry; %d threads leave %d",
                        g->wgmma_n, g->acc_regs + 26, p->threads * p->blocks_per_sm, entry);
    int by_smem = c->arch->sm_smem_bytes / (p->smem_bytes + c->arch->smem_reserved_bytes);
    return p->blocks_per_sm <= by_smem ||
           gen_fail(error, "min_blocks=%d do not fit on an SM of %s: shared memory allows %d", c->min_blocks,
                    c->arch->name, by_smem);
}

bool gen_plan_wgmma(const GenConfig *c, GenPlan *p, GenError *error)
{
    if (!check_fields(c, error) || !check_shared_k(c, error) || !check_swap(c, error) ||
        !check_hints(c, error) || !plan_warpgroups(c, &p->g, error))
        return false;
    p->threads = GEN_WG_THREADS * (p->g.consumers + 1);
    p->warps = p->threads / 32;
    p->warp_m = p->g.wg_m;
    p->warp_n = p->g.wg_n;
    p->k_steps = c->tile_k / 16;
    p->blocks_per_sm = c->min_blocks ? c->min_blocks : 1;
    plan_store(c, p);
    return check_skew(c, &p->g, error) && check_even(c, &p->g, error) && plan_smem(c, p, error) &&
           plan_registers(c, p, error);
}
