/* gemm_mma.c: the back end for mma.sync (sm_80 and later): x and W tiles go through a ring of `stages`
 * slots in shared memory, filled by cp.async stages-1 blocks ahead; each warp reads its fragments by
 * ldmatrix one k-step ahead of the mma that uses them.
 *
 *     prologue     copy k-blocks 0 .. stages-2, one commit group each
 *     wait, barrier, fragments of k-step 0
 *     main loop    for each k-block
 *                    for each k-step: mma of this one; fragments of the next, each as its register frees
 *                      the first also starts the copy of the k-block stages-1 ahead
 *                      before the last: wait for the next k-block, barrier, turn to its slot
 *     store        bias, epilogue, y (store.c)
 *
 * One barrier a k-block is enough: it both publishes the next k-block and says that everyone has read the
 * slot which the next copy overwrites.
 *
 * Edges. Rows behind the end of x or W are read as the last row again: they only reach outputs that are
 * never stored. Behind the end of k, the copy's source size shrinks and the rest of the chunk is zero.
 */
#include "gen/gemm.h"

#include <stdio.h>

typedef struct Operand {
    const char *name;
    const GenOperandPlan *plan;
    PtxArg pointer;   /* b64[passes]: this thread's chunk of the next k-block, in each pass */
    PtxArg last_pass; /* predicate: this thread takes part in the last pass; PTX_NONE: all do */
    PtxArg slot_at;   /* b32: shared address of this lane's ldmatrix row, k-step 0 of the slot being read */
    PtxArg step_at;   /* b32: the same at the k-step being read */
    PtxArg frag;      /* b32: fragments; W has two sets, one in use and one being loaded */
} Operand;

typedef struct Mma {
    Gemm *gemm;
    PtxKernel *k;
    const GenPlan *plan;
    Operand x, w;
    PtxArg copy_row, copy_chunk; /* b32: this thread's row of a pass, and its chunk of the row */
    PtxArg copy_at;              /* b32[swizzle_period]: where its chunk goes in slot 0 */
    PtxArg to_slot;              /* b32[swizzle_period]: the same in the slot being filled */
    PtxArg k_rest;               /* b32, signed: elements of k behind the k-blocks whose copy has had its turn */
    PtxArg k_left;               /* b32, signed: of those, from this thread's chunk on */
    PtxArg size[17];             /* by copy bytes: b32[16 / bytes] source sizes, or pred[8] for 2 */
    PtxArg staged;               /* b16[8], b32[4]: a chunk on its way through registers */
    PtxArg packed;
    PtxArg read_slot, slot;      /* b32: byte offset of the slot being read; scratch for another's */
    PtxArg p;
    PtxArg acc; /* f32 */
} Mma;

/* ---- names ---- */

static PtxArg operand_reg(Mma *g, const Operand *o, PtxClass cls, const char *what, int count)
{
    char name[48];
    snprintf(name, sizeof name, "%s_%s", o->name, what);
    return count ? ptx_regs(g->k, cls, name, count) : ptx_reg(g->k, cls, name);
}

static void declare(Mma *g)
{
    PtxKernel *k = g->k;
    const GenPlan *p = g->plan;
    g->k_rest = ptx_reg(k, PTX_B32, "k_rest");
    g->k_left = ptx_reg(k, PTX_B32, "k_left");
    g->read_slot = ptx_reg(k, PTX_B32, "read_slot");
    g->slot = ptx_reg(k, PTX_B32, "slot");
    g->p = ptx_reg(k, PTX_PRED, "p");
    g->copy_at = ptx_regs(k, PTX_B32, "copy_at", p->swizzle_period);
    g->to_slot = ptx_regs(k, PTX_B32, "to_slot", p->swizzle_period);
    g->x.frag = operand_reg(g, &g->x, PTX_B32, "frag", 4 * p->mma_m);
    g->w.frag = operand_reg(g, &g->w, PTX_B32, "frag", 2 * 2 * p->mma_n);
    g->acc = ptx_regs(k, PTX_F32, "acc", p->regs_acc);
}

/* Registers for the source sizes of copies of `bytes`. */
static void declare_sizes(Mma *g, int bytes)
{
    char name[16];
    if (g->size[bytes].kind != PTX_ARG_NONE) return;
    snprintf(name, sizeof name, bytes == 2 ? "have" : "size%d_", bytes);
    g->size[bytes] = ptx_regs(g->k, bytes == 2 ? PTX_PRED : PTX_B32, name, GEN_CHUNK_BYTES / bytes);
    if (bytes != 2) return;
    g->staged = ptx_regs(g->k, PTX_B16, "staged", 8);
    g->packed = ptx_regs(g->k, PTX_B32, "packed", 4);
}

/* ---- addresses ---- */

/* One 64-bit pointer a pass: base + min(row0 + row, rows - 1) * pitch + 16 * chunk. */
static void global_pointers(Mma *g, Operand *o, PtxArg base_param, PtxArg pitch_param, PtxArg row0, PtxArg rows)
{
    PtxKernel *k = g->k;
    PtxArg base = operand_reg(g, o, PTX_B64, "base", 0), pitch = operand_reg(g, o, PTX_B64, "pitch_bytes", 0);
    PtxArg row = operand_reg(g, o, PTX_B32, "row", 0), clamped = operand_reg(g, o, PTX_B32, "row_clamped", 0);
    PtxArg last = operand_reg(g, o, PTX_B32, "row_last", 0), row64 = operand_reg(g, o, PTX_B64, "row64", 0);
    o->pointer = operand_reg(g, o, PTX_B64, "ptr", o->plan->passes);
    emit(k, LD_PARAM_B64, base, mem(base_param, 0));
    emit(k, LD_PARAM_B64, pitch, mem(pitch_param, 0));
    emit(k, SHL_B64, pitch, pitch, imm(1));
    emit(k, MAD_WIDE_U32, base, g->copy_chunk, imm(GEN_CHUNK_BYTES), base);
    emit(k, ADD_S32, row, g->copy_row, row0);
    emit(k, SUB_S32, last, rows, imm(1));
    for (int i = 0; i < o->plan->passes; i++) {
        if (i) emit(k, ADD_S32, row, row, imm(g->plan->rows_per_pass));
        emit(k, MIN_U32, clamped, row, last);
        emit(k, CVT_U64_U32, row64, clamped);
        emit(k, MAD_LO_S64, at(o->pointer, i), row64, pitch, base);
    }
    if (o->plan->last_pass_rows == g->plan->rows_per_pass) return;
    o->last_pass = operand_reg(g, o, PTX_PRED, "last_pass", 0);
    emit(k, SETP_LT_U32, o->last_pass, g->copy_row, imm(o->plan->last_pass_rows));
}

/* Consecutive threads take consecutive chunks of a row: 16 bytes each, whole rows, coalesced. */
static void copy_places(Mma *g)
{
    PtxKernel *k = g->k;
    const GenPlan *p = g->plan;
    PtxArg row = ptx_reg(k, PTX_B32, "swizzle_row"), smem = ptx_reg(k, PTX_B32, "smem_base");
    ptx_section(k, "copies: this thread's chunk of each pass, in global and in shared memory");
    g->copy_row = ptx_reg(k, PTX_B32, "copy_row");
    g->copy_chunk = ptx_reg(k, PTX_B32, "copy_chunk");
    emit(k, DIV_U32, g->copy_row, g->gemm->tid, imm(p->row_chunks));
    emit(k, REM_U32, g->copy_chunk, g->gemm->tid, imm(p->row_chunks));
    emit(k, MOV_SHARED, smem, shared_array());
    for (int i = 0; i < p->swizzle_period; i++) {
        emit(k, ADD_S32, row, g->copy_row, imm(i * p->rows_per_pass));
        gen_swizzled_offset(g->gemm, at(g->copy_at, i), row, g->copy_chunk);
        emit(k, ADD_S32, at(g->copy_at, i), at(g->copy_at, i), smem);
    }
    global_pointers(g, &g->x, g->gemm->x_param, g->gemm->ldx_param, g->gemm->row0, g->gemm->m);
    global_pointers(g, &g->w, g->gemm->w_param, g->gemm->ldw_param, g->gemm->col0, g->gemm->n);
    emit(k, MOV_B32, g->k_rest, g->gemm->depth);
}

/* The row and chunk that this lane names to ldmatrix (PTX ISA 9.7.14.5.15), matrices in the order in
 * which mma wants its registers (9.7.14.5.8):
 *
 *     x, m16 x k16:  lanes  0-7  rows 0-7   k 0-7      W, two n8 x k16:  lanes  0-7  n 0-7    k 0-7
 *                    lanes  8-15 rows 8-15  k 0-7                        lanes  8-15 n 0-7    k 8-15
 *                    lanes 16-23 rows 0-7   k 8-15                       lanes 16-23 n 8-15   k 0-7
 *                    lanes 24-31 rows 8-15  k 8-15                       lanes 24-31 n 8-15   k 8-15
 */
static void fragment_place(Mma *g, Operand *o, PtxArg warp, int warp_rows, PtxArg row, PtxArg chunk)
{
    PtxKernel *k = g->k;
    PtxArg smem = operand_reg(g, o, PTX_B32, "smem", 0);
    o->slot_at = operand_reg(g, o, PTX_B32, "slot_at", 0);
    o->step_at = operand_reg(g, o, PTX_B32, "step_at", 0);
    emit(k, MAD_LO_S32, row, warp, imm(warp_rows), row);
    gen_swizzled_offset(g->gemm, o->slot_at, row, chunk);
    emit(k, MOV_SHARED, smem, shared_array());
    emit(k, ADD_S32, o->slot_at, o->slot_at, smem);
    if (o->plan->smem_offset) emit(k, ADD_S32, o->slot_at, o->slot_at, imm(o->plan->smem_offset));
}

static void fragment_places(Mma *g)
{
    PtxKernel *k = g->k;
    PtxArg lane = g->gemm->lane, row = ptx_reg(k, PTX_B32, "frag_row"), chunk = ptx_reg(k, PTX_B32, "frag_chunk");
    ptx_section(k, "fragments: the row and chunk that this lane gives to ldmatrix");
    emit(k, AND_B32, row, lane, imm(15));
    emit(k, SHR_U32, chunk, lane, imm(4));
    fragment_place(g, &g->x, g->gemm->warp_m, g->plan->warp_m, row, chunk);
    emit(k, SHL_B32, row, chunk, imm(3)); /* 8 * (lane >> 4) + (lane & 7) */
    emit(k, AND_B32, chunk, lane, imm(7));
    emit(k, ADD_S32, row, row, chunk);
    emit(k, SHR_U32, chunk, lane, imm(3));
    emit(k, AND_B32, chunk, chunk, imm(1));
    fragment_place(g, &g->w, g->gemm->warp_n, g->plan->warp_n, row, chunk);
}

/* ---- copies ---- */

/* A k-block's copy: `slot_at` + `slot_offset` is this thread's chunk of the first pass in the slot to fill.
 * A block before the end of k needs no sizes; the one that k cuts takes them from k_left, and so do the empty
 * ones behind it, which copy nothing and fill with zeros. */
typedef struct Copy {
    PtxArg slot_at;
    int slot_offset;
    bool sized;
} Copy;

/* How much of each piece of this thread's chunk lies before the end of k. */
static void copy_sizes(Mma *g, int bytes)
{
    PtxKernel *k = g->k;
    int elems = bytes / 2;
    for (int i = 0; i < GEN_CHUNK_BYTES / bytes; i++) {
        PtxArg size = at(g->size[bytes], i);
        if (bytes == 2) {
            emit(k, SETP_GE_S32, size, g->k_left, imm(i + 1));
            continue;
        }
        emit(k, ADD_S32, size, g->k_left, imm(-i * elems));
        emit(k, MAX_S32, size, size, imm(0));
        emit(k, MIN_S32, size, size, imm(elems));
        emit(k, SHL_B32, size, size, imm(1));
    }
}

/* One chunk by cp.async, in pieces as wide as the alignment allows. */
static void copy_async(Mma *g, int bytes, PtxArg to, PtxArg from, PtxArg guard, bool sized)
{
    for (int i = 0; i < GEN_CHUNK_BYTES / bytes; i++) {
        PtxArg dst = mem(to, to.imm + i * bytes), src = mem(from, i * bytes);
        PtxArg size = sized ? at(g->size[bytes], i) : imm(bytes);
        if (bytes == 16) emit_if(g->k, guard, CP_ASYNC_CG_16, dst, src, size);
        if (bytes == 8) emit_if(g->k, guard, CP_ASYNC_CA_8, dst, src, size);
        if (bytes == 4) emit_if(g->k, guard, CP_ASYNC_CA_4, dst, src, size);
    }
}

/* cp.async moves at least 4 bytes; single elements go through registers. */
static void copy_elements(Mma *g, PtxArg to, PtxArg from, PtxArg guard, bool sized)
{
    PtxKernel *k = g->k;
    for (int i = 0; i < 8; i++) {
        if (sized) emit(k, MOV_B16, at(g->staged, i), imm(0));
        emit_if(k, sized ? at(g->size[2], i) : PTX_NONE, LD_GLOBAL_B16, at(g->staged, i), mem(from, 2 * i));
    }
    for (int i = 0; i < 4; i++) emit(k, PACK_B32, at(g->packed, i), span(g->staged, 2 * i, 2));
    emit_if(k, guard, ST_SHARED_V4_B32, to, span(g->packed, 0, 4));
}

/* The chunk of pass i of an operand: to its slot, and its pointer to the next k-block. */
static void copy_chunk(Mma *g, Operand *o, int i, Copy c)
{
    const GenPlan *p = g->plan;
    int turn = i % p->swizzle_period;
    int offset = c.slot_offset + o->plan->smem_offset + (i - turn) * p->rows_per_pass * p->row_bytes;
    PtxArg to = mem(at(c.slot_at, turn), offset), from = at(o->pointer, i);
    PtxArg guard = i == o->plan->passes - 1 ? o->last_pass : PTX_NONE;
    if (o->plan->copy_bytes == 2) copy_elements(g, to, from, guard, c.sized);
    else copy_async(g, o->plan->copy_bytes, to, from, guard, c.sized);
    emit(g->k, ADD_S64, from, from, imm(p->row_bytes));
}

/* Chunks first .. last-1 of a k-block, those of x before those of W. */
static void copy_some(Mma *g, int first, int last, Copy c)
{
    int x_passes = g->x.plan->passes;
    for (int i = first; i < last; i++) {
        if (i < x_passes) copy_chunk(g, &g->x, i, c);
        else copy_chunk(g, &g->w, i - x_passes, c);
    }
}

static int copy_chunks(const Mma *g) { return g->x.plan->passes + g->w.plan->passes; }

/* What a sized copy needs to know. */
static void begin_sized_copy(Mma *g)
{
    PtxKernel *k = g->k;
    emit(k, REM_U32, g->k_left, g->gemm->tid, imm(g->plan->row_chunks)); /* not kept over the main loop */
    emit(k, MAD_LO_S32, g->k_left, g->k_left, imm(-GEN_CHUNK_BYTES / 2), g->k_rest);
    copy_sizes(g, g->x.plan->copy_bytes);
    if (g->w.plan->copy_bytes != g->x.plan->copy_bytes) copy_sizes(g, g->w.plan->copy_bytes);
}

static void end_copy(Mma *g)
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
    for (int i = 0; i < g->plan->swizzle_period; i++) emit(k, ADD_S32, at(g->to_slot, i), at(g->copy_at, i), g->slot);
}

/* ---- fragments ---- */

/* Row tile i of x, whose fragment any earlier mma has read. */
static void load_x(Mma *g, int i, PtxArg from)
{
    emit(g->k, LDMATRIX_X4, span(g->x.frag, 4 * i, 4), mem(from, 16 * i * g->plan->row_bytes));
}

static PtxArg w_fragment(const Mma *g, int set, int j, int count) { return span(g->w.frag, 2 * (set * g->plan->mma_n + j), count); }

static void load_w(Mma *g, int set, PtxArg from)
{
    for (int j = 0; j < g->plan->mma_n; j += 2) {
        PtxArg row = mem(from, 8 * j * g->plan->row_bytes);
        if (j + 1 < g->plan->mma_n) emit(g->k, LDMATRIX_X4, w_fragment(g, set, j, 4), row);
        else emit(g->k, LDMATRIX_X2, w_fragment(g, set, j, 2), row);
    }
}

/* A k-step is two chunks on: below the swizzle's carry, so one XOR. */
static PtxArg step_address(Mma *g, Operand *o, int step)
{
    if (step == 0) return o->slot_at;
    emit(g->k, XOR_B32, o->step_at, o->slot_at, imm(2 * GEN_CHUNK_BYTES * step));
    return o->step_at;
}

/* Row tile i of x by all column tiles of W; serpentine, so that the next mma shares a fragment. */
static void multiply_row(Mma *g, int i, int set)
{
    int n = g->plan->mma_n;
    for (int turn = 0; turn < n; turn++) {
        int j = i % 2 ? n - 1 - turn : turn;
        PtxArg d = span(g->acc, (i * n + j) * 4, 4), a = span(g->x.frag, 4 * i, 4), b = w_fragment(g, set, j, 2);
        if (g->plan->config.w == GEN_F16) emit(g->k, MMA_F16, d, a, b, d);
        else emit(g->k, MMA_BF16, d, a, b, d);
    }
}

/* Multiplies one k-step and loads the fragments of the next: W's into the other set, each of x as soon as its
 * own row tile is done with the old one. The first k-step also starts the next copy, in shares between the
 * row tiles: loads from and copies to shared memory stay in order, so copies hold up the loads behind them. */
static void multiply_step(Mma *g, int step, Copy copy)
{
    int rows = g->plan->mma_m, shares = g->plan->copy_shares, chunks = copy_chunks(g), next = (step + 1) % g->plan->k_steps;
    PtxArg x_from = step_address(g, &g->x, next), w_from = step_address(g, &g->w, next);
    load_w(g, next % 2, w_from);
    for (int i = 0; i < rows; i++) {
        if (step == 0 && i < shares) copy_some(g, i * chunks / shares, (i + 1) * chunks / shares, copy);
        multiply_row(g, i, step % 2);
        load_x(g, i, x_from);
    }
}

/* ---- the pipeline ---- */

/* Moves the slot being read on, round the ring. */
static void next_slot(Mma *g)
{
    PtxKernel *k = g->k;
    int stage_bytes = g->plan->stage_bytes, last = g->plan->ring_bytes - stage_bytes;
    emit(k, SETP_EQ_U32, g->p, g->read_slot, imm(last));
    emit(k, SELP_B32, g->slot, imm(-last), imm(stage_bytes), g->p);
    emit(k, ADD_S32, g->read_slot, g->read_slot, g->slot);
    emit(k, ADD_S32, g->x.slot_at, g->x.slot_at, g->slot);
    emit(k, ADD_S32, g->w.slot_at, g->w.slot_at, g->slot);
}

static void wait_for_block(Mma *g)
{
    emit(g->k, CP_ASYNC_WAIT, imm(g->plan->config.stages - 2));
    emit(g->k, BAR_SYNC, imm(0));
}

static void start(Mma *g, PtxArg store)
{
    PtxKernel *k = g->k;
    ptx_section(k, "k-blocks; with none (k = 0) z is the bias");
    for (int i = 0; i < g->plan->regs_acc; i++) emit(k, MOV_F32, at(g->acc, i), immf(0));
    emit(k, MOV_B32, g->read_slot, imm(0));
    emit(k, SETP_EQ_U32, g->p, g->k_rest, imm(0));
    emit_if(k, g->p, BRA, store);
}

static void prologue(Mma *g)
{
    ptx_section(g->k, "prologue: fill all slots but one");
    for (int s = 0; s < g->plan->config.stages - 1; s++) {
        begin_sized_copy(g);
        copy_some(g, 0, copy_chunks(g), (Copy){g->copy_at, s * g->plan->stage_bytes, true});
        end_copy(g);
    }
    wait_for_block(g);
    load_w(g, 0, g->w.slot_at);
    for (int i = 0; i < g->plan->mma_m; i++) load_x(g, i, g->x.slot_at);
}

/* Multiplies a k-block and copies the one stages-1 ahead. */
static void k_block(Mma *g, bool sized)
{
    int steps = g->plan->k_steps;
    turn_to_free_slot(g);
    if (sized) begin_sized_copy(g);
    for (int step = 0; step < steps; step++) {
        ptx_comment(g->k, "k-step %d", step);
        if (step == steps - 1) {
            end_copy(g);
            wait_for_block(g);
            next_slot(g);
        }
        multiply_step(g, step, (Copy){g->to_slot, 0, sized});
    }
}

/* Two loops of the same blocks: while whole k-blocks are left to copy, and until all are multiplied. */
static void main_loop(Mma *g)
{
    PtxKernel *k = g->k;
    int tile_k = g->plan->config.tile_k;
    PtxArg loop = ptx_label(k, "main_loop"), drain = ptx_label(k, "drain_loop");
    ptx_section(k, "main loop: one k-block a turn");
    emit(k, SETP_LT_S32, g->p, g->k_rest, imm(tile_k));
    emit_if(k, g->p, BRA, drain);
    emit(k, LABEL, loop);
    emit(k, PRAGMA_NOUNROLL);
    k_block(g, false);
    emit(k, SETP_GE_S32, g->p, g->k_rest, imm(tile_k));
    emit_if(k, g->p, BRA, loop);

    ptx_section(k, "the last k-blocks: what is copied is cut by the end of k, or nothing");
    emit(k, LABEL, drain);
    emit(k, PRAGMA_NOUNROLL);
    k_block(g, true);
    emit(k, SETP_GT_S32, g->p, g->k_rest, imm(-(g->plan->config.stages - 1) * tile_k));
    emit_if(k, g->p, BRA, drain);
}

void gen_gemm_mma(Gemm *gemm)
{
    Mma g = {.gemm = gemm, .k = gemm->k, .plan = gemm->p, .x = {.name = "x", .plan = &gemm->p->x}, .w = {.name = "w", .plan = &gemm->p->w}};
    PtxArg store = ptx_label(g.k, "store");
    declare(&g);
    declare_sizes(&g, g.x.plan->copy_bytes);
    declare_sizes(&g, g.w.plan->copy_bytes);
    copy_places(&g);
    fragment_places(&g);
    start(&g, store);
    prologue(&g);
    main_loop(&g);
    emit(g.k, LABEL, store);
    gen_store(gemm, g.acc);
}
