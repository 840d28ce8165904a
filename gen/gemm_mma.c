/* gemm_mma.c: the back end for mma.sync (sm_80 and later): x and W tiles go through a ring of `stages`
 * slots in shared memory, filled by cp.async stages-1 blocks ahead; each warp reads its fragments by
 * ldmatrix, or where rows do not begin at 16 bytes by words, one k-step ahead of the mma that uses them.
 *
 *     prologue     copy k-blocks 0 .. stages-2, one commit group each
 *     wait, barrier, fragments of k-step 0
 *     main loop    for each k-block, for each of its k-steps
 *                    mma of this one; fragments of the next, each as its register frees
 *                    a share of the copy that is under way; L2 is asked for x of a later one, if x is converted
 *                  before the last k-step: that copy's commit; wait for the next k-block; barrier
 *     drain loop   the same for k-blocks whose copies are cut by the end of k
 *     last loop    the same for those that are there already, without copies, up to where k ends
 *     store        bias, epilogue, y (store.c)
 *
 * One barrier a k-block is enough: it both publishes the next k-block and says that everyone has read the one
 * before for the last time, so that the last k-step may already start to overwrite its slot. The copy goes on
 * in the k-steps of the next k-block, in equal shares: many copies at once would hold up the fragments.
 *
 * How operands get into the slots, and what happens at their edges, is told in copy.h. Where slots hold lines
 * of memory, a k-block reaches into the next slot, for which it waits too.
 */
#include "gen/copy.h"

#include <stdio.h>

/* What a turn of the loops copies: whole chunks; what the end of k leaves of them; nothing any more. */
typedef enum Copies { COPIES_WHOLE, COPIES_SIZED, COPIES_NONE } Copies;

typedef struct Operand {
    GenCopy copy;
    PtxArg slot_at;   /* b32: shared address of this lane's ldmatrix row in the slot being read */
    PtxArg step_at;   /* b32: the same at the k-step or tile being read */
    PtxArg half_bits; /* b32[2], or one: words: where a word of the row begins in a word of the slot */
    PtxArg next_at;   /* b32: with lines, the same as slot_at in the next slot */
    PtxArg turn_step; /* b32: with lines, the k-step from which on this lane's chunk is there */
    PtxArg frag; /* b32: fragments; W has two sets, one in use and one being loaded, or a ring of pairs */
} Operand;

typedef struct Mma {
    Gemm *gemm;
    PtxKernel *k;
    const GenPlan *plan;
    Operand x, w;
    PtxArg k_rest;          /* b32, signed: elements of k behind the k-blocks whose copy has had its turn */
    PtxArg read_slot, slot; /* b32: byte offset of the slot being read; scratch for another's */
    PtxArg p;
    PtxArg acc; /* f32 */
} Mma;

static PtxArg operand_reg(Mma *g, const Operand *o, PtxClass cls, const char *what, int count)
{
    char name[48];
    snprintf(name, sizeof name, "%s_%s", o->copy.name, what);
    return count ? ptx_regs(g->k, cls, name, count) : ptx_reg(g->k, cls, name);
}

static bool lines(const Mma *g) { return g->plan->config.lines; }

static void declare(Mma *g)
{
    PtxKernel *k = g->k;
    const GenPlan *p = g->plan;
    g->k_rest = ptx_reg(k, PTX_B32, "k_rest");
    g->read_slot = ptx_reg(k, PTX_B32, "read_slot");
    g->slot = ptx_reg(k, PTX_B32, "slot");
    g->p = ptx_reg(k, PTX_PRED, "p");
    g->x.frag = operand_reg(g, &g->x, PTX_B32, "frag", 4 * p->mma_m);
    g->w.frag = operand_reg(g, &g->w, PTX_B32, "frag", 4 * p->w_frag_pairs);
    g->acc = ptx_regs(k, PTX_F32, "acc", p->regs_acc);
}

static void copy_places(Mma *g)
{
    PtxArg smem = ptx_reg(g->k, PTX_B32, "smem_base");
    ptx_section(g->k, "copies: this thread's chunk of each pass, in global and in shared memory");
    emit(g->k, MOV_SHARED, smem, shared_array());
    gen_copy_setup(g->gemm, &g->x.copy, smem);
    gen_copy_setup(g->gemm, &g->w.copy, smem);
    emit(g->k, MOV_B32, g->k_rest, g->gemm->depth);
}

/* ---- fragments ---- */

/* The row and chunk that this lane gives to ldmatrix (PTX ISA 9.7.14.5.15), matrices in the order in which
 * mma wants its registers (9.7.14.5.8). By row-major tiles, rows of k, 8 elements a chunk:
 *
 *     x, m16 x k16:  lanes  0-7  rows 0-7   k 0-7      W, two n8 x k16:  lanes  0-7  n 0-7    k 0-7
 *                    lanes  8-15 rows 8-15  k 0-7                        lanes  8-15 n 0-7    k 8-15
 *                    lanes 16-23 rows 0-7   k 8-15                       lanes 16-23 n 8-15   k 0-7
 *                    lanes 24-31 rows 8-15  k 8-15                       lanes 24-31 n 8-15   k 8-15
 *
 * By column-major tiles a row is one k, ldmatrix transposes, and rows and chunks change places. So either the
 * row is l & 15 and the chunk l >> 4, or the row is (l & 7) + 8 (l >> 4) and the chunk (l >> 3) & 1. */
static void lane_place(Mma *g, bool pairs_of_rows, PtxArg row, PtxArg chunk)
{
    PtxKernel *k = g->k;
    PtxArg lane = g->gemm->lane;
    emit(k, SHR_U32, chunk, lane, imm(4));
    if (pairs_of_rows) {
        emit(k, AND_B32, row, lane, imm(15));
        return;
    }
    emit(k, SHL_B32, row, chunk, imm(3));
    emit(k, AND_B32, chunk, lane, imm(7));
    emit(k, ADD_S32, row, row, chunk);
    emit(k, SHR_U32, chunk, lane, imm(3));
    emit(k, AND_B32, chunk, chunk, imm(1));
}

/* With lines a k-block's chunks from 8 - b on are in the next slot (copy.h). At k-step s this lane reads
 * chunk 2s + `chunk`; that is there from turn_step on. */
static void line_turn(Mma *g, Operand *o, PtxArg row, PtxArg chunk)
{
    PtxKernel *k = g->k;
    PtxArg begin = gen_copy_line_begin(g->gemm, &o->copy, "frag_begin", row);
    o->next_at = operand_reg(g, o, PTX_B32, "next_at", 0);
    o->turn_step = operand_reg(g, o, PTX_B32, "turn_step", 0);
    emit(k, ADD_S32, begin, begin, chunk);
    emit(k, SUB_S32, begin, imm(8 + 1), begin);
    emit(k, SHR_U32, o->turn_step, begin, imm(1));
}

static bool words(const Operand *o) { return o->copy.plan->words; }
static bool transposed(const Operand *o) { return o->copy.plan->layout == GEN_LAYOUT_COL; }

/* Of rows that are dealt each 8 begin at the same byte of a chunk, but not where the next 8 do. Whether
 * inside a word changes, if it does, from row to row. */
static int slot_places(const Operand *o) { return o->copy.plan->deal; }
static int half_places(const Operand *o) { return slot_places(o) > 1 ? 2 : 1; }

/* By words a lane has row l/4 and the words l%4 and l%4 + 4 of a k-step (PTX ISA 9.7.14.5.8), behind where
 * the row begins: the row that stands there, of those that are dealt. */
static void word_places(Mma *g, Operand *o, PtxArg row, PtxArg at_, PtxArg warp, int warp_tile)
{
    PtxKernel *k = g->k;
    char name[32];
    emit(k, SHR_U32, row, g->gemm->lane, imm(2));
    emit(k, MAD_LO_S32, row, warp, imm(warp_tile), row);
    emit(k, AND_B32, at_, g->gemm->lane, imm(3));
    emit(k, SHL_B32, at_, at_, imm(2));
    emit(k, MAD_LO_S32, at_, row, imm(o->copy.plan->row_bytes), at_);
    emit(k, ADD_S32, at_, at_, imm(o->copy.plan->smem_offset));
    for (int i = 0; i < slot_places(o); i++) {
        snprintf(name, sizeof name, "row_begin%d", i);
        PtxArg begin = gen_copy_row_begin(g->gemm, &o->copy, name, slot_places(o) > 1 ? imm(i) : row);
        if (o->copy.plan->halves && i < half_places(o)) {
            emit(k, AND_B32, at(o->half_bits, i), begin, imm(2));
            emit(k, SHL_B32, at(o->half_bits, i), at(o->half_bits, i), imm(3));
        }
        if (o->copy.plan->halves) emit(k, AND_B32, begin, begin, imm(-4));
        emit(k, MOV_SHARED, at(o->slot_at, i), shared_array());
        emit(k, ADD_S32, at(o->slot_at, i), at(o->slot_at, i), begin);
        emit(k, ADD_S32, at(o->slot_at, i), at(o->slot_at, i), at_);
    }
}

static void fragment_place(Mma *g, Operand *o, PtxArg warp, int warp_tile, bool pairs_of_rows)
{
    PtxKernel *k = g->k;
    PtxArg smem = operand_reg(g, o, PTX_B32, "smem", 0);
    PtxArg row = operand_reg(g, o, PTX_B32, "frag_row", 0),
           chunk = operand_reg(g, o, PTX_B32, "frag_chunk", 0);
    o->slot_at = operand_reg(g, o, PTX_B32, "slot_at", slot_places(o) > 1 ? slot_places(o) : 0);
    if (o->copy.plan->halves) o->half_bits = operand_reg(g, o, PTX_B32, "half_bits", half_places(o));
    o->step_at = operand_reg(g, o, PTX_B32, "step_at", 0);
    if (words(o)) {
        word_places(g, o, row, chunk, warp, warp_tile);
        return;
    }
    lane_place(g, pairs_of_rows != transposed(o), row, chunk);
    if (transposed(o)) emit(k, MAD_LO_S32, chunk, warp, imm(warp_tile / 8), chunk);
    else emit(k, MAD_LO_S32, row, warp, imm(warp_tile), row);
    gen_swizzled_offset(g->gemm, o->copy.plan->row_bytes, o->slot_at, row, chunk);
    if (lines(g)) line_turn(g, o, row, chunk);
    emit(k, MOV_SHARED, smem, shared_array());
    emit(k, ADD_S32, o->slot_at, o->slot_at, smem);
    if (o->copy.plan->smem_offset) emit(k, ADD_S32, o->slot_at, o->slot_at, imm(o->copy.plan->smem_offset));
    if (lines(g)) emit(k, ADD_S32, o->next_at, o->slot_at, imm(g->plan->stage_bytes));
}

static void fragment_places(Mma *g)
{
    ptx_section(g->k, "fragments: the row and chunk that this lane gives to ldmatrix");
    fragment_place(g, &g->x, g->gemm->warp_m, g->plan->warp_m, true);
    fragment_place(g, &g->w, g->gemm->warp_n, g->plan->warp_n, false);
}

/* Where the 16 rows (or columns of y) of tile `tile` stand at k-step `step`. Along a row of shared memory 16
 * elements are two chunks: one XOR, below the swizzle's carry, and from 8 chunks on an offset. */
static PtxArg fragment_at(Mma *g, Operand *o, int step, int tile)
{
    int along = transposed(o) ? tile : step, down = transposed(o) ? step : tile;
    int64_t offset = (int64_t)16 * down * o->copy.plan->row_bytes + 128 * (along / 4);
    if (lines(g)) {
        emit(g->k, SETP_GT_S32, g->p, o->turn_step, imm(step));
        emit(g->k, SELP_B32, o->step_at, o->slot_at, o->next_at, g->p);
        if (step) emit(g->k, XOR_B32, o->step_at, o->step_at, imm(2 * GEN_CHUNK_BYTES * step));
        return mem(o->step_at, offset);
    }
    if (along % 4 == 0) return mem(o->slot_at, offset);
    emit(g->k, XOR_B32, o->step_at, o->slot_at, imm(2 * GEN_CHUNK_BYTES * (along % 4)));
    return mem(o->step_at, offset);
}

/* The two words of this lane in row `row` beyond its own, at k-step `step`, to two registers `stride` apart.
 */
static void load_words(Mma *g, Operand *o, PtxArg to, int stride, int row, int step)
{
    PtxArg from = at(o->slot_at, row / 8 % slot_places(o)), rest = g->gemm->bits_scratch;
    for (int half = 0; half < 2; half++) {
        int64_t offset =
            (int64_t)row * o->copy.plan->row_bytes + 2 * GEN_CHUNK_BYTES * step + GEN_CHUNK_BYTES * half;
        PtxArg word = at(to, half * stride);
        emit(g->k, LD_SHARED_B32, word, mem(from, offset));
        if (!o->copy.plan->halves) continue;
        emit(g->k, LD_SHARED_B32, rest, mem(from, offset + 4));
        emit(g->k, SHF_R_WRAP_B32, word, word, rest, at(o->half_bits, row / 8 % half_places(o)));
    }
}

/* Row tile i of x, whose fragment any earlier mma has read. */
static void load_x(Mma *g, int i, int step)
{
    PtxArg to = span(g->x.frag, 4 * i, 4), from;
    if (words(&g->x)) {
        for (int half = 0; half < 2; half++) load_words(g, &g->x, at(to, half), 2, 16 * i + 8 * half, step);
        return;
    }
    from = fragment_at(g, &g->x, step, i);
    if (transposed(&g->x)) emit(g->k, LDMATRIX_X4_TRANS, to, from);
    else emit(g->k, LDMATRIX_X4, to, from);
}

/* W's fragments go by pairs of column tiles, the last of which may be a single. All pairs of two k-steps are
 * held, or, where a large warp tile leaves no room for that, a ring of pairs is refilled all the time. */
static int w_pairs(const Mma *g) { return (g->plan->mma_n + 1) / 2; }
static bool w_streams(const Mma *g) { return g->plan->w_frag_pairs < 2 * w_pairs(g); }

/* Pair `pair` of k-step `step`. */
static PtxArg w_fragment(const Mma *g, int step, int pair)
{
    return span(g->w.frag, 4 * ((step * w_pairs(g) + pair) % g->plan->w_frag_pairs), 4);
}

/* Pairs behind the last of a k-step are those of the next one. */
static void load_w(Mma *g, int step, int pair)
{
    step = (step + pair / w_pairs(g)) % g->plan->k_steps;
    pair %= w_pairs(g);
    bool single = 2 * pair + 1 == g->plan->mma_n;
    PtxArg to = span(w_fragment(g, step, pair), 0, single ? 2 : 4), from;
    for (int tile = 0; words(&g->w) && tile < 2 - single; tile++)
        load_words(g, &g->w, at(to, 2 * tile), 1, 16 * pair + 8 * tile, step);
    if (words(&g->w)) return;
    from = fragment_at(g, &g->w, step, pair);
    if (transposed(&g->w) && !single) emit(g->k, LDMATRIX_X4_TRANS, to, from);
    else if (transposed(&g->w)) emit(g->k, LDMATRIX_X2_TRANS, to, from);
    else if (!single) emit(g->k, LDMATRIX_X4, to, from);
    else emit(g->k, LDMATRIX_X2, to, from);
}

static void mma(Mma *g, int i, int j, int step)
{
    PtxArg d = span(g->acc, (i * g->plan->mma_n + j) * 4, 4), a = span(g->x.frag, 4 * i, 4),
           b = span(w_fragment(g, step, j / 2), 2 * (j % 2), 2);
    if (g->plan->config.w == GEN_F16) emit(g->k, MMA_F16, d, a, b, d);
    else emit(g->k, MMA_BF16, d, a, b, d);
}

/* All row tiles of x by column tile j of W, up and down in turn. In the last column each fragment of x is
 * reloaded as soon as its mma is done. */
static void multiply_column(Mma *g, int j, int step)
{
    int rows = g->plan->mma_m;
    for (int turn = 0; turn < rows; turn++) {
        int i = j % 2 ? rows - 1 - turn : turn;
        mma(g, i, j, step);
        if (j == g->plan->mma_n - 1) load_x(g, i, (step + 1) % g->plan->k_steps);
    }
}

/* ---- copies ---- */

static bool any_staged(const Mma *g) { return g->plan->x.staged || g->plan->w.staged; }
static int copy_passes(const Mma *g) { return g->x.copy.plan->passes + g->w.copy.plan->passes; }

/* Pass i of a k-block's copy: those by cp.async come before those through registers, x's before W's. */
static GenCopy *copy_of(Mma *g, int i, int *pass)
{
    bool w_first = g->plan->x.staged && !g->plan->w.staged;
    GenCopy *first = w_first ? &g->w.copy : &g->x.copy, *second = w_first ? &g->x.copy : &g->w.copy;
    *pass = i < first->plan->passes ? i : i - first->plan->passes;
    return i < first->plan->passes ? first : second;
}

/* Passes first .. last-1 of the copy that is under way; what goes through registers was loaded a turn ago. */
static void copy(Mma *g, int first, int last, bool sized)
{
    for (int i = first; i < last; i++) {
        int pass;
        GenCopy *c = copy_of(g, i, &pass);
        GenCopyPlace to = {c->to, 0};
        if (!c->plan->staged) {
            gen_copy_async(g->gemm, c, pass, to, sized, false);
            continue;
        }
        gen_copy_store(g->gemm, c, pass, 0, to);
        gen_copy_load(g->gemm, c, pass, 0, sized);
    }
}

static void copy_sizes(Mma *g, bool lead)
{
    gen_copy_sizes(g->gemm, &g->x.copy, g->k_rest, lead && g->plan->x.staged);
    gen_copy_sizes(g->gemm, &g->w.copy, g->k_rest, lead && g->plan->w.staged);
}

/* A group of copies ends; the next k-block has its turn. */
static void commit(Mma *g)
{
    emit(g->k, CP_ASYNC_COMMIT);
    emit(g->k, SUB_S32, g->k_rest, g->k_rest, imm(g->plan->config.tile_k));
}

/* The slot to fill is the one before the slot being read, round the ring. */
static void turn_to_free_slot(Mma *g)
{
    PtxKernel *k = g->k;
    int stage_bytes = g->plan->stage_bytes, last = g->plan->ring_bytes - stage_bytes;
    emit(k, SETP_EQ_U32, g->p, g->read_slot, imm(0));
    emit(k, ADD_S32, g->slot, g->read_slot, imm(-stage_bytes));
    emit(k, SELP_B32, g->slot, imm(last), g->slot, g->p);
    gen_copy_turn(g->gemm, &g->x.copy, g->slot);
    gen_copy_turn(g->gemm, &g->w.copy, g->slot);
}

/* ---- from slot to slot ---- */

/* Elements of k from the k-block being read to the one being copied. */
static int ahead_elems(const Mma *g) { return (g->plan->config.stages - 1) * g->plan->config.tile_k; }

/* Whether a copy begins in the last k-step already, or with the first. */
static bool copies_early(const Mma *g) { return g->plan->copy_steps == g->plan->k_steps; }

static void begin_copy(Mma *g, Copies copies)
{
    if (copies == COPIES_NONE) return;
    turn_to_free_slot(g);
    if (copies == COPIES_SIZED) copy_sizes(g, true);
}

/* slot = bytes from the slot being read to the next one, round the ring. */
static void step_to_next_slot(Mma *g)
{
    int stage_bytes = g->plan->stage_bytes, last = g->plan->ring_bytes - stage_bytes;
    emit(g->k, SETP_EQ_U32, g->p, g->read_slot, imm(last));
    emit(g->k, SELP_B32, g->slot, imm(-last), imm(stage_bytes), g->p);
}

static void move_on(Mma *g, const Operand *o)
{
    for (int i = 0; i < slot_places(o); i++)
        emit(g->k, ADD_S32, at(o->slot_at, i), at(o->slot_at, i), g->slot);
}

/* Moves the slot being read on. */
static void next_slot(Mma *g)
{
    PtxKernel *k = g->k;
    step_to_next_slot(g);
    emit(k, ADD_S32, g->read_slot, g->read_slot, g->slot);
    move_on(g, &g->x);
    move_on(g, &g->w);
    if (!lines(g)) return;
    step_to_next_slot(g);
    emit(k, ADD_S32, g->x.next_at, g->x.slot_at, g->slot);
    emit(k, ADD_S32, g->w.next_at, g->w.slot_at, g->slot);
}

static void wait_for_block(Mma *g)
{
    emit(g->k, CP_ASYNC_WAIT, imm(g->plan->config.stages - 2 - lines(g)));
    emit(g->k, BAR_SYNC, imm(0));
}

/* In the last k-step: from here on fragments are those of the next k-block, and copies go to the slot of this
 * one. */
static void turn_to_next_block(Mma *g, Copies copies)
{
    commit(g);
    wait_for_block(g);
    next_slot(g);
    if (copies_early(g)) begin_copy(g, copies);
}

/* ---- a k-step ---- */

/* Share `part` of `parts` of what k-step `step` copies. A copy's turns begin with the last k-step of a
 * k-block; it takes the last copy_steps of them. */
static void copy_share(Mma *g, int step, int part, int parts, Copies copies)
{
    int steps = g->plan->copy_steps, passes = copy_passes(g);
    int turn = (step + 1) % g->plan->k_steps - (g->plan->k_steps - steps);
    if (turn < 0 || copies == COPIES_NONE) return;
    int first = turn * passes / steps, count = (turn + 1) * passes / steps - first;
    copy(g, first + part * count / parts, first + (part + 1) * count / parts, copies == COPIES_SIZED);
}

/* The row tile before which a k-step copies. What goes through registers keeps shared memory busy; then the
 * fragments that are needed first come first. */
static int copy_row(const Mma *g, int step)
{
    return any_staged(g) && step < g->plan->k_steps - 1 && g->plan->mma_m > 1;
}

/* In front of a k-block's first mma, of all places: ptxas moves the other instructions around it (docs/tuning-mma.md). */
static void ask_ahead(Mma *g, int step, Copies copies)
{
    if (step == 0 && copies == COPIES_WHOLE) gen_copy_ask(g->gemm, &g->x.copy, g->k_rest);
}

/* One row tile after the other, for few warps: each fragment of x is reloaded early. */
static void multiply_by_rows(Mma *g, int step, Copies copies)
{
    int next = (step + 1) % g->plan->k_steps;
    for (int pair = 0; pair < w_pairs(g); pair++) load_w(g, next, pair);
    ask_ahead(g, step, copies);
    for (int i = 0; i < g->plan->mma_m; i++) {
        if (i == copy_row(g, step)) copy_share(g, step, 0, 1, copies);
        for (int turn = 0; turn < g->plan->mma_n; turn++)
            mma(g, i, i % 2 ? g->plan->mma_n - 1 - turn : turn, step);
        load_x(g, i, next);
    }
}

/* Whether a k-step goes by columns: not where parts go through registers, as in all k-steps but the last. */
static bool by_columns(const Mma *g, int step)
{
    return g->plan->by_columns && (!any_staged(g) || step == g->plan->k_steps - 1);
}

/* One column tile after the other. A pair of W's fragments is loaded before each of the first ones, behind
 * the share of the copy; but before all that cp.async has to move, where the rest goes through registers. */
static void multiply_by_columns(Mma *g, int step, Copies copies)
{
    int next = (step + 1) % g->plan->k_steps;
    bool w_first = any_staged(g);
    for (int pair = 0; w_first && pair < w_pairs(g); pair++) load_w(g, next, pair);
    copy_share(g, step, 0, 1, copies);
    for (int j = 0; j < g->plan->mma_n; j++) {
        if (!w_first && j < w_pairs(g)) load_w(g, next, j);
        multiply_column(g, j, step);
    }
}

/* Multiplies and loads the fragments of the next k-step: W's into the other set, each of x as soon as its own
 * row tile is done with the old one. */
static void multiply_step(Mma *g, int step, Copies copies)
{
    if (step == g->plan->k_steps - 1) turn_to_next_block(g, copies);
    if (by_columns(g, step)) multiply_by_columns(g, step, copies);
    else multiply_by_rows(g, step, copies);
}

/* The same with W in a ring of at least three pairs: before the columns of one pair the pair after the next
 * is loaded. The last two pairs go together, so that x's next fragments come early enough. */
static void multiply_streaming(Mma *g, int step, Copies copies)
{
    int last_two = w_pairs(g) - 2, next = (step + 1) % g->plan->k_steps;
    load_w(g, step, 1);
    ask_ahead(g, step, copies);
    for (int pair = 0; pair < last_two; pair++) {
        load_w(g, step, pair + 2);
        if (next) copy_share(g, step, pair, last_two, copies);
        for (int j = 2 * pair; j < 2 * pair + 2; j++) multiply_column(g, j, step);
    }
    if (next == 0) turn_to_next_block(g, copies);
    load_w(g, step, last_two + 2);
    if (next == 0) copy_share(g, step, 0, 1, copies);
    for (int j = 2 * last_two; j < g->plan->mma_n; j++) multiply_column(g, j, step);
}

/* ---- the pipeline ---- */

/* What goes through registers is loaded a k-block further ahead than slots are filled. Here some k-blocks are
 * on their way at once, in registers that the accumulators do not need yet; the last one stays in set 0. */
static int raw_set(const Mma *g, int block)
{
    return (g->plan->config.stages - 1 - block) % g->plan->raw_sets;
}

static void store_first(Mma *g, GenCopy *c, int block)
{
    GenCopyPlace to = {c->at, block * g->plan->stage_bytes};
    for (int i = 0; i < c->plan->passes; i++) gen_copy_store(g->gemm, c, i, raw_set(g, block), to);
}

static void load_first(Mma *g, GenCopy *c, int block)
{
    if (block >= g->plan->raw_sets) store_first(g, c, block - g->plan->raw_sets);
    for (int i = 0; i < c->plan->passes; i++) gen_copy_load(g->gemm, c, i, raw_set(g, block), true);
}

static void copy_first(Mma *g, GenCopy *c, int block)
{
    GenCopyPlace to = {c->at, block * g->plan->stage_bytes};
    for (int i = 0; i < c->plan->passes; i++) gen_copy_async(g->gemm, c, i, to, true, block == 0);
}

static void store_rest(Mma *g, GenCopy *c)
{
    int filled = g->plan->config.stages - 1, first = filled + 1 - g->plan->raw_sets;
    for (int block = first > 0 ? first : 0; c->plan->staged && block < filled; block++)
        store_first(g, c, block);
}

static void first_copies(Mma *g)
{
    int filled = g->plan->config.stages - 1;
    for (int block = 0; block < filled + any_staged(g); block++) {
        copy_sizes(g, false);
        for (int i = 0; i < 2; i++) {
            GenCopy *c = i ? &g->w.copy : &g->x.copy;
            if (c->plan->staged) load_first(g, c, block);
            else if (block < filled) copy_first(g, c, block);
        }
        if (block < filled) commit(g);
    }
}

/* With k = 0 the copies are empty and z is the bias. What need not come before the first copies comes behind
 * them, while they are on their way. */
static void prologue(Mma *g, PtxArg store)
{
    PtxKernel *k = g->k;
    gen_bias_load(g->gemm);
    ptx_section(k, "prologue: fill all slots but one");
    first_copies(g);
    fragment_places(g);
    if (g->plan->bias_early) gen_bias_share(g->gemm);
    ptx_section(k, "accumulators; the first fragments");
    for (int i = 0; i < g->plan->regs_acc; i++) emit(k, MOV_F32, at(g->acc, i), immf(0));
    emit(k, SETP_EQ_U32, g->p, g->gemm->depth, imm(0));
    emit_if(k, g->p, BRA, store);
    emit(k, MOV_B32, g->read_slot, imm(0));
    store_rest(g, &g->x.copy);
    store_rest(g, &g->w.copy);
    wait_for_block(g);
    for (int pair = 0; pair < (w_streams(g) ? 1 : w_pairs(g)); pair++) load_w(g, 0, pair);
    for (int i = 0; i < g->plan->mma_m; i++) load_x(g, i, 0);
    if (!copies_early(g)) return;
    begin_copy(g, COPIES_SIZED);
    copy_share(g, g->plan->k_steps - 1, 0, 1, COPIES_SIZED);
}

/* Once nothing is copied any more, a k-block ends with the k-step in which k does. */
static void leave_at_end(Mma *g, int step, PtxArg end)
{
    if (step == g->plan->k_steps - 1) return;
    emit(g->k, SETP_LT_S32, g->p, g->k_rest, imm(16 * (step + 1) - ahead_elems(g) + 1));
    emit_if(g->k, g->p, BRA, end);
}

static void k_block(Mma *g, Copies copies, PtxArg end)
{
    if (!copies_early(g)) begin_copy(g, copies);
    for (int step = 0; step < g->plan->k_steps; step++) {
        ptx_comment(g->k, "k-step %d", step);
        if (w_streams(g)) multiply_streaming(g, step, copies);
        else multiply_step(g, step, copies);
        if (copies == COPIES_NONE) leave_at_end(g, step, end);
    }
}

/* Elements of k that must be left for a turn of whole copies: it ends one k-block's and may begin the
 * next one's. */
static int whole_turn(const Mma *g)
{
    int x = gen_copy_reach(g->gemm, &g->x.copy), w = gen_copy_reach(g->gemm, &g->w.copy);
    return (copies_early(g) ? 2 : 1) * g->plan->config.tile_k + (x > w ? x : w);
}

/* One loop of k-blocks, which goes on while more than `rest` elements of k are left. There is always a last
 * one. */
static void loop(Mma *g, const char *name, Copies copies, int rest, PtxArg end)
{
    PtxKernel *k = g->k;
    bool always = copies == COPIES_NONE;
    char done_name[32];
    snprintf(done_name, sizeof done_name, "%s_done", name);
    PtxArg again = ptx_label(k, name), done = always ? end : ptx_label(k, done_name);
    if (!always) {
        emit(k, SETP_LT_S32, g->p, g->k_rest, imm(rest + 1));
        emit_if(k, g->p, BRA, done);
    }
    if (copies == COPIES_SIZED && copies_early(g)) copy_sizes(g, true);
    emit(k, LABEL, again);
    emit(k, PRAGMA_NOUNROLL);
    k_block(g, copies, end);
    emit(k, SETP_GT_S32, g->p, g->k_rest, imm(rest));
    emit_if(k, g->p, BRA, again);
    emit(k, LABEL, done);
}

/* Three loops of the same blocks: while whole k-blocks are left to copy, then parts, and until all are
 * multiplied. With lines a slot has the end of the k-block before it. */
static void main_loop(Mma *g)
{
    PtxArg end = ptx_label(g->k, "all_multiplied");
    ptx_section(g->k, "main loop: one k-block a turn");
    gen_let_next_start(g->gemm);
    loop(g, "main_loop", COPIES_WHOLE, whole_turn(g) - 1, end);
    ptx_section(g->k, "what is copied is cut by the end of k");
    loop(g, "drain_loop", COPIES_SIZED, lines(g) ? -g->plan->config.tile_k : 0, end);
    ptx_section(g->k, "the last k-blocks, in front of which nothing is copied");
    loop(g, "last_loop", COPIES_NONE, -ahead_elems(g), end);
    if (copies_early(g)) emit(g->k, CP_ASYNC_COMMIT); /* empty copies that had begun */
}

void gen_gemm_mma(Gemm *gemm)
{
    Mma g = {.gemm = gemm, .k = gemm->k, .plan = gemm->p};
    PtxArg store = ptx_label(g.k, "store");
    g.x.copy = (GenCopy){.name = "x", .plan = &gemm->p->x, .first = gemm->row0, .extent = gemm->m};
    g.w.copy = (GenCopy){.name = "w", .plan = &gemm->p->w, .first = gemm->col0, .extent = gemm->n};
    g.x.copy.base_param = gemm->x_param, g.x.copy.pitch_param = gemm->ldx_param,
    g.x.copy.step_param = gemm->csx_param;
    g.w.copy.base_param = gemm->w_param, g.w.copy.pitch_param = gemm->ldw_param,
    g.w.copy.step_param = gemm->csw_param;
    declare(&g);
    copy_places(&g);
    if (!gemm->p->config.split) gen_wait_for_kernel_before(gemm); /* all so far needs no memory */
    prologue(&g, store);
    main_loop(&g);
    emit(g.k, LABEL, store);
    gen_tile_place(gemm);
    if (gemm->p->config.split) gen_split_exchange(gemm, g.acc);
    gen_store(gemm, g.acc);
}
