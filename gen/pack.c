/* pack.c: a kernel that copies rows of 16-bit elements to rows that start at multiples of 16 bytes.
 *
 * Where rows of x or W start at odd places, each k-block of each tile that reads them pays for it; a large
 * problem reads each row many times, and does better to move it once. A block copies a segment of 8 rows, a
 * warp one row, each lane up to four chunks of 16 bytes, so that eight loads a lane are on their way
 * together. Rows are cut into as few segments as that allows, all of about the same length.
 *
 * A chunk lies in two aligned vectors, which are loaded and shifted into place; a chunk near the end of its
 * row is loaded by elements, because its second vector may lie behind the matrix. What is behind the end is
 * zero.
 *
 * The kernel has the header and the parameters of a GEMM, so that it is loaded like one: m rows of x and then
 * n rows of w, of k elements each, are copied to m + n rows of y; m or n may be 0, and there is no bias.
 */
#include "gen/gemm.h"
#include "gen/internal.h"

#include <stdio.h>

enum {
    WARPS = 8,
    CHUNKS = 4,
    CHUNK_ELEMS = 8,
    LANE_STEP = 32 * CHUNK_ELEMS,
    SEGMENT_ELEMS = CHUNKS * LANE_STEP
};

typedef struct Pack {
    Gemm g; /* of it: the kernel, parameters and scratch */
    PtxKernel *k;
    PtxArg from, to; /* b64: this lane's first chunk */
    PtxArg pitch;    /* b64: scratch */
    PtxArg row64;    /* b64: scratch */
    PtxArg aligned;  /* b64: the vector in which it begins */
    PtxArg byte;     /* b32: where in that vector */
    PtxArg left;     /* b32, signed: elements of the row from there on */
    PtxArg mine;     /* b32, signed: those of the segment, rounded up to whole chunks */
    PtxArg whole;    /* pred[CHUNKS]: both vectors of the chunk lie in the row */
    PtxArg once;     /* b64: of L2, for what is read once: the first to be forgotten */
    PtxArg raw;      /* b32[CHUNKS * 8] */
    PtxArg elem;     /* b16[8] */
} Pack;

static void declare(Pack *p)
{
    PtxKernel *k = p->k;
    p->from = ptx_reg(k, PTX_B64, "from");
    p->to = ptx_reg(k, PTX_B64, "to");
    p->pitch = ptx_reg(k, PTX_B64, "pitch");
    p->row64 = ptx_reg(k, PTX_B64, "row64");
    p->aligned = ptx_reg(k, PTX_B64, "aligned");
    p->byte = ptx_reg(k, PTX_B32, "byte");
    p->left = ptx_reg(k, PTX_B32, "left");
    p->mine = ptx_reg(k, PTX_B32, "mine");
    p->whole = ptx_regs(k, PTX_PRED, "whole", CHUNKS);
    p->once = ptx_reg(k, PTX_B64, "read_once");
    p->raw = ptx_regs(k, PTX_B32, "raw", 8 * CHUNKS);
    p->elem = ptx_regs(k, PTX_B16, "elem", CHUNK_ELEMS);
}

/* at += row * pitch + elem, in elements of 2 bytes */
static void place(Pack *p, PtxArg at_, PtxArg pitch, PtxArg row, PtxArg elem)
{
    PtxKernel *k = p->k;
    emit(k, MUL_LO_S64, pitch, pitch, imm(2));
    emit(k, CVT_U64_U32, p->row64, row);
    emit(k, MAD_LO_S64, at_, p->row64, pitch, at_);
    emit(k, MAD_WIDE_U32, at_, elem, imm(2), at_);
}

/* The place of the row that is read, in x or in w, and of the same row of y. */
static void row_places(Pack *p, PtxArg row, PtxArg elem, PtxArg rows_of_x)
{
    PtxKernel *k = p->k;
    PtxArg in_w = p->g.p_scratch, pitch = p->pitch;
    emit(k, LD_PARAM_B64, p->to, mem(p->g.y_param, 0));
    emit(k, LD_PARAM_B64, pitch, mem(p->g.ldy_param, 0));
    place(p, p->to, pitch, row, elem);
    emit(k, SETP_GE_U32, in_w, row, rows_of_x);
    emit(k, LD_PARAM_B64, p->from, mem(p->g.x_param, 0));
    emit(k, LD_PARAM_B64, pitch, mem(p->g.ldx_param, 0));
    emit_if(k, in_w, LD_PARAM_B64, p->from, mem(p->g.w_param, 0));
    emit_if(k, in_w, LD_PARAM_B64, pitch, mem(p->g.ldw_param, 0));
    emit_if(k, in_w, SUB_S32, row, row, rows_of_x);
    place(p, p->from, pitch, row, elem);
}

/* This lane's row and first chunk; threads behind the last row are done. */
static void places(Pack *p, PtxArg end)
{
    PtxKernel *k = p->k;
    PtxArg warp = ptx_reg(k, PTX_B32, "warp"), lane = ptx_reg(k, PTX_B32, "lane"),
           row = ptx_reg(k, PTX_B32, "row"), elem = ptx_reg(k, PTX_B32, "first_elem"),
           segments = ptx_reg(k, PTX_B32, "segments"), rows_of_x = ptx_reg(k, PTX_B32, "rows_of_x"),
           rows = ptx_reg(k, PTX_B32, "rows");
    ptx_section(k, "this warp's row, this lane's chunks");
    emit(k, MOV_SPECIAL, lane, special(PTX_TID_X));
    emit(k, SHR_U32, warp, lane, imm(5));
    emit(k, AND_B32, lane, lane, imm(31));
    emit(k, LD_PARAM_B32, p->left, mem(p->g.k_param, 0));
    emit(k, ADD_S32, segments, p->left, imm(SEGMENT_ELEMS - 1));
    emit(k, DIV_U32, segments, segments, imm(SEGMENT_ELEMS));
    emit(k, ADD_S32, p->mine, p->left, segments);
    emit(k, SUB_S32, p->mine, p->mine, imm(1));
    emit(k, DIV_U32, p->mine, p->mine, segments);
    emit(k, ADD_S32, p->mine, p->mine, imm(CHUNK_ELEMS - 1));
    emit(k, AND_B32, p->mine, p->mine, imm(-CHUNK_ELEMS));
    emit(k, MOV_SPECIAL, elem, special(PTX_CTAID_X));
    emit(k, DIV_U32, row, elem, segments);
    emit(k, REM_U32, elem, elem, segments);
    emit(k, MAD_LO_S32, row, row, imm(WARPS), warp);
    emit(k, LD_PARAM_B32, rows_of_x, mem(p->g.m_param, 0));
    emit(k, LD_PARAM_B32, rows, mem(p->g.n_param, 0));
    emit(k, ADD_S32, rows, rows, rows_of_x);
    emit(k, SETP_GE_U32, p->g.p_scratch, row, rows);
    emit_if(k, p->g.p_scratch, BRA, end);
    emit(k, MUL_LO_S32, lane, lane, imm(CHUNK_ELEMS));
    emit(k, MAD_LO_S32, elem, elem, p->mine, lane);
    emit(k, SUB_S32, p->mine, p->mine, lane);
    emit(k, SUB_S32, p->left, p->left, elem);
    emit(k, MIN_S32, p->mine, p->mine, p->left);
    row_places(p, row, elem, rows_of_x);
    emit(k, CREATE_POLICY, p->once);
    emit(k, AND_B64, p->aligned, p->from, imm(-GEN_CHUNK_BYTES));
    emit(k, CVT_U32_U64, p->byte, p->from);
    emit(k, AND_B32, p->byte, p->byte, imm(GEN_CHUNK_BYTES - 1));
}

static void load(Pack *p, int chunk)
{
    PtxArg whole = at(p->whole, chunk);
    emit(p->k, SETP_GT_S32, whole, p->mine, imm(chunk * LANE_STEP));
    emit(p->k, SETP_GT_AND_S32, whole, p->left, imm(chunk * LANE_STEP + 2 * CHUNK_ELEMS - 1), whole);
    for (int i = 0; i < 2; i++)
        emit_load(&p->g, whole, V4_HINT, span(p->raw, 8 * chunk + 4 * i, 4),
                  mem(p->aligned, chunk * LANE_STEP * 2 + i * GEN_CHUNK_BYTES), p->once);
}

static void load_elements(Pack *p, int chunk)
{
    PtxKernel *k = p->k;
    for (int i = 0; i < CHUNK_ELEMS; i++) {
        emit(k, SETP_GT_S32, p->g.p_scratch, p->left, imm(chunk * LANE_STEP + i));
        emit(k, MOV_B16, at(p->elem, i), imm(0));
        emit_load(&p->g, p->g.p_scratch, B16, at(p->elem, i), mem(p->from, 2 * (chunk * LANE_STEP + i)));
    }
    for (int i = 0; i < 4; i++) emit(k, PACK_B32, at(p->g.word_scratch, i), span(p->elem, 2 * i, 2));
}

/* word_scratch = the 16 bytes from byte `byte` (even) on of the eight words raw, which are used up. */
static void shift_vector(Gemm *g, PtxArg raw, PtxArg byte)
{
    PtxKernel *k = g->k;
    PtxArg bits = at(g->word_scratch, 0);
    for (int step = 2; step >= 1; step--) { /* by 8 bytes, by 4 */
        emit(k, AND_B32, bits, byte, imm(4 * step));
        emit(k, SETP_NE_U32, g->p_scratch, bits, imm(0));
        for (int i = 0; i + step < (step == 2 ? 8 : 6); i++)
            emit(k, SELP_B32, at(raw, i), at(raw, i + step), at(raw, i), g->p_scratch);
    }
    bits = at(g->word_scratch, 3); /* by 2 */
    emit(k, AND_B32, bits, byte, imm(2));
    emit(k, SHL_B32, bits, bits, imm(3));
    for (int i = 0; i < 4; i++)
        emit(k, SHF_R_WRAP_B32, at(g->word_scratch, i), at(raw, i), at(raw, i + 1), bits);
}

static void store(Pack *p, int chunk)
{
    PtxKernel *k = p->k;
    char name[32];
    snprintf(name, sizeof name, "shift_%d", chunk);
    PtxArg shift = ptx_label(k, name);
    snprintf(name, sizeof name, "store_%d", chunk);
    PtxArg store = ptx_label(k, name);
    snprintf(name, sizeof name, "done_%d", chunk);
    PtxArg done = ptx_label(k, name);
    emit(k, SETP_GT_S32, p->g.p_scratch, p->mine, imm(chunk * LANE_STEP));
    emit_unless(k, p->g.p_scratch, BRA, done);
    emit_if(k, at(p->whole, chunk), BRA, shift);
    load_elements(p, chunk);
    emit(k, BRA, store);
    emit(k, LABEL, shift);
    shift_vector(&p->g, span(p->raw, 8 * chunk, 8), p->byte);
    emit(k, LABEL, store);
    emit(k, ST_GLOBAL_V4_B32, mem(p->to, chunk * LANE_STEP * 2), p->g.word_scratch);
    emit(k, LABEL, done);
}

static void write_kernel(Pack *p)
{
    PtxKernel *k = p->k;
    PtxArg end = ptx_label(k, "end");
    gen_begin_kernel(&p->g, "tiles");
    declare(p);
    gen_let_next_start(&p->g);
    places(p, end);
    gen_wait_for_kernel_before(&p->g);
    ptx_section(k, "four chunks: all loads, then shifts and stores");
    for (int i = 0; i < CHUNKS; i++) load(p, i);
    for (int i = 0; i < CHUNKS; i++) store(p, i);
    emit(k, LABEL, end);
    emit(k, RET);
}

/* As much of a plan as a kernel begins with. */
static GenPlan plan_of(const GenArch *arch)
{
    GenPlan plan = {.threads = 32 * WARPS};
    GenConfig *c = &plan.config;
    gen_config_default(arch, GEN_F16, c);
    c->tile_m = WARPS, c->tile_n = SEGMENT_ELEMS, c->tile_k = CHUNK_ELEMS;
    c->x_copy_bytes = c->w_copy_bytes = 2;
    snprintf(c->epilogue, sizeof c->epilogue, "z");
    snprintf(plan.name, sizeof plan.name, "pack_sm%d_b16", arch->sm);
    return plan;
}

bool gen_pack_kernel(const GenArch *arch, char **text, size_t *length, GenError *error)
{
    GenPlan plan = plan_of(arch);
    Pack p = {.k = ptx_new()};
    *text = NULL;
    if (!p.k) return gen_fail(error, "out of memory while writing %s", plan.name);
    p.g = (Gemm){.k = p.k, .p = &plan};
    write_kernel(&p);
    return gen_end_kernel(&p.g, text, length, error);
}
