/* pack.c: a kernel that copies rows to rows of 16-bit elements that start at multiples of 16 bytes.
 *
 * Where rows of x or W start at odd places, or have gaps between their elements, or x is of another type than
 * W, each k-block of each tile that reads them pays for it; a large problem reads each row many times, and
 * does better to move and round it once. A block copies a segment of 8 rows, a warp one row, each lane up to
 * four chunks of 8 elements, so that eight or twelve loads a lane are on their way together. Rows are cut
 * into as few segments as that allows, all of about the same length.
 *
 * A chunk lies in aligned vectors of 16 bytes, one more than it would fill if it did not begin at one. They
 * are loaded and shifted into place; a chunk near the end of its row is loaded by elements, because its last
 * vector may lie behind the matrix. Of rows with gaps lanes side by side move elements side by side, eight
 * loads on their way together. What is behind the end is zero.
 *
 * The kernel has the header and the parameters of a GEMM, so that it is loaded like one: m rows of x and then
 * n rows of w, of k elements each, are copied to m + n rows of y, of w's type; m or n may be 0, and there is
 * no bias.
 */
#include "gen/gemm.h"
#include "gen/internal.h"

#include <stdio.h>

enum {
    WARPS = 8,
    CHUNKS = 4,
    CHUNK_ELEMS = 8,
    LANE_STEP = 32 * CHUNK_ELEMS,
    SEGMENT_ELEMS = CHUNKS * LANE_STEP,
    GAPPED_ELEMS = SEGMENT_ELEMS / 32, /* of a row with gaps, a lane */
    GAPPED_AT_ONCE = 8
};

/* A matrix whose rows are read. */
typedef struct Source {
    const char *name;
    GenType type;
    int elem_bytes;
    int vectors; /* that a chunk lies in, if it does not begin at one */
    bool rounded;
    PtxArg base_param, pitch_param, step_param;
} Source;

typedef struct Pack {
    Gemm g; /* of it: the kernel, parameters and scratch */
    PtxKernel *k;
    Source x, w;     /* w's type is what is written */
    bool strided;    /* rows may have gaps between their elements */
    PtxArg from, to; /* b64: this lane's first chunk */
    PtxArg pitch;    /* b64: scratch */
    PtxArg wide;     /* b64: scratch */
    PtxArg step; /* b64, if strided: from element to element of a row; then bytes to this lane's next one */
    PtxArg aligned;    /* b64: the vector in which it begins */
    PtxArg byte;       /* b32: where in that vector */
    PtxArg left;       /* b32, signed: elements of the row from there on */
    PtxArg mine;       /* b32, signed: those of the segment, rounded up to whole chunks */
    PtxArg spare;      /* b32, signed: elements of the row behind the vectors of this lane's first chunk */
    PtxArg odd;        /* predicate: chunks do not begin at vectors */
    PtxArg whole;      /* pred[CHUNKS]: all vectors of the chunk lie in the row */
    PtxArg once;       /* b64: of L2, for what is read once: the first to be forgotten */
    PtxArg raw;        /* b32[CHUNKS * words of the vectors] */
    PtxArg elem;       /* b16[8] */
    PtxArg value;      /* f32[8], of what is rounded */
    PtxArg lane_elems; /* b32: elements of the warp's lanes before this one, in chunks of eight */
    PtxArg warp_row;   /* b32: this warp's row, of y and then of x or w */
    PtxArg first_elem; /* b32: where this lane begins in it */
    PtxArg rows_of_x;  /* b32 */
    PtxArg in_w;       /* predicate: the row is one of w */
} Pack;

static int raw_words(const Source *s) { return s->vectors * GEN_CHUNK_BYTES / 4; }

static Source source(const char *name, GenType type, GenType to, PtxArg base, PtxArg pitch, PtxArg step)
{
    int bytes = gen_type_bytes(type), vectors = CHUNK_ELEMS * bytes / GEN_CHUNK_BYTES + 1;
    return (Source){name, type, bytes, vectors, type != to, base, pitch, step};
}

static void declare(Pack *p)
{
    PtxKernel *k = p->k;
    p->from = ptx_reg(k, PTX_B64, "from");
    p->to = ptx_reg(k, PTX_B64, "to");
    p->pitch = ptx_reg(k, PTX_B64, "pitch");
    p->wide = ptx_reg(k, PTX_B64, "wide");
    if (p->strided) p->step = ptx_reg(k, PTX_B64, "step");
    p->aligned = ptx_reg(k, PTX_B64, "aligned");
    p->byte = ptx_reg(k, PTX_B32, "byte");
    p->left = ptx_reg(k, PTX_B32, "left");
    p->mine = ptx_reg(k, PTX_B32, "mine");
    p->spare = ptx_reg(k, PTX_B32, "spare");
    p->odd = ptx_reg(k, PTX_PRED, "odd");
    p->whole = ptx_regs(k, PTX_PRED, "whole", CHUNKS);
    p->once = ptx_reg(k, PTX_B64, "read_once");
    p->raw = ptx_regs(k, PTX_B32, "raw", raw_words(&p->x) * CHUNKS); /* x's are not the narrower ones */
    p->elem = ptx_regs(k, PTX_B16, "elem", CHUNK_ELEMS);
    if (p->x.rounded) p->value = ptx_regs(k, PTX_F32, "value", CHUNK_ELEMS);
    p->lane_elems = ptx_reg(k, PTX_B32, "lane");
    p->warp_row = ptx_reg(k, PTX_B32, "row");
    p->first_elem = ptx_reg(k, PTX_B32, "first_elem");
    p->rows_of_x = ptx_reg(k, PTX_B32, "rows_of_x");
    p->in_w = ptx_reg(k, PTX_PRED, "in_w");
}

/* at += row * pitch, in elements of so many bytes */
static void place_row(Pack *p, PtxArg at_, PtxArg row, int elem_bytes)
{
    PtxKernel *k = p->k;
    emit(k, MUL_LO_S64, p->pitch, p->pitch, imm(elem_bytes));
    emit(k, CVT_U64_U32, p->wide, row);
    emit(k, MAD_LO_S64, at_, p->wide, p->pitch, at_);
}

/* This warp's row of y, this lane's first chunk there; threads behind the last row are done. */
static void places(Pack *p, PtxArg end)
{
    PtxKernel *k = p->k;
    PtxArg warp = ptx_reg(k, PTX_B32, "warp"), lane = p->lane_elems, row = p->warp_row, elem = p->first_elem,
           segments = ptx_reg(k, PTX_B32, "segments"), rows = ptx_reg(k, PTX_B32, "rows");
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
    emit(k, LD_PARAM_B32, p->rows_of_x, mem(p->g.m_param, 0));
    emit(k, LD_PARAM_B32, rows, mem(p->g.n_param, 0));
    emit(k, ADD_S32, rows, rows, p->rows_of_x);
    emit(k, SETP_GE_U32, p->g.p_scratch, row, rows);
    emit_if(k, p->g.p_scratch, BRA, end);
    emit(k, MUL_LO_S32, lane, lane, imm(CHUNK_ELEMS));
    emit(k, MAD_LO_S32, elem, elem, p->mine, lane);
    emit(k, SUB_S32, p->mine, p->mine, lane);
    emit(k, SUB_S32, p->left, p->left, elem);
    emit(k, MIN_S32, p->mine, p->mine, p->left);
    emit(k, LD_PARAM_B64, p->to, mem(p->g.y_param, 0));
    emit(k, LD_PARAM_B64, p->pitch, mem(p->g.ldy_param, 0));
    place_row(p, p->to, row, p->w.elem_bytes);
    emit(k, MAD_WIDE_U32, p->to, elem, imm(p->w.elem_bytes), p->to);
    emit(k, SETP_GE_U32, p->in_w, row, p->rows_of_x);
}

/* This warp's row of x or w. */
static void source_row(Pack *p, const Source *s)
{
    PtxKernel *k = p->k;
    emit(k, LD_PARAM_B64, p->from, mem(s->base_param, 0));
    emit(k, LD_PARAM_B64, p->pitch, mem(s->pitch_param, 0));
    place_row(p, p->from, p->warp_row, s->elem_bytes);
}

/* Where this lane reads in it. */
static void source_places(Pack *p, const Source *s)
{
    PtxKernel *k = p->k;
    emit(k, MAD_WIDE_U32, p->from, p->first_elem, imm(s->elem_bytes), p->from);
    emit(k, CREATE_POLICY, p->once);
    emit(k, AND_B64, p->aligned, p->from, imm(-GEN_CHUNK_BYTES));
    emit(k, CVT_U32_U64, p->byte, p->from);
    emit(k, AND_B32, p->byte, p->byte, imm(GEN_CHUNK_BYTES - 1));
    emit(k, SETP_NE_U32, p->odd, p->byte, imm(0));
    emit(k, SELP_B32, p->spare, imm(s->vectors * GEN_CHUNK_BYTES / s->elem_bytes), imm(CHUNK_ELEMS), p->odd);
    emit(k, SUB_S32, p->spare, p->left, p->spare);
}

static void load(Pack *p, const Source *s, int chunk)
{
    PtxArg whole = at(p->whole, chunk), last = p->g.p_scratch;
    emit(p->k, SETP_GT_S32, whole, p->mine, imm(chunk * LANE_STEP));
    emit(p->k, SETP_GT_AND_S32, whole, p->spare, imm(chunk * LANE_STEP - 1), whole);
    emit(p->k, AND_PRED, last, whole, p->odd);
    for (int i = 0; i < s->vectors; i++)
        emit_load(&p->g, i < s->vectors - 1 ? whole : last, V4_HINT,
                  span(p->raw, raw_words(s) * chunk + 4 * i, 4),
                  mem(p->aligned, chunk * LANE_STEP * s->elem_bytes + i * GEN_CHUNK_BYTES), p->once);
}

/* value[i], if it is rounded, or elem[i] = the element so many behind this lane's first one, 0 behind the
 * row. */
static void load_element(Pack *p, const Source *s, int i, PtxArg from, int behind)
{
    PtxArg in_row = p->g.p_scratch;
    emit(p->k, SETP_GT_S32, in_row, p->left, imm(behind));
    if (s->rounded) gen_load_element(&p->g, s->type, at(p->value, i), from, in_row);
    else gen_load_raw(&p->g, s->type, at(p->elem, i), from, in_row);
}

static void load_elements(Pack *p, const Source *s, int chunk)
{
    PtxKernel *k = p->k;
    for (int i = 0; i < CHUNK_ELEMS; i++) {
        int behind = chunk * LANE_STEP + i;
        load_element(p, s, i, mem(p->from, s->elem_bytes * behind), behind);
    }
    for (int i = 0; i < CHUNK_ELEMS / 2; i++) {
        PtxArg word = at(p->g.word_scratch, i);
        if (s->rounded) gen_round_pair(&p->g, p->w.type, word, at(p->value, 2 * i), at(p->value, 2 * i + 1));
        else emit(k, PACK_B32, word, span(p->elem, 2 * i, 2));
    }
}

/* The words of a chunk to the front of its vectors', if it begins at a word, or in the first of them. */
static void shift_words(Pack *p, const Source *s, PtxArg raw)
{
    PtxKernel *k = p->k;
    PtxArg bits = at(p->g.word_scratch, 0);
    int words = raw_words(s);
    for (int step = 2; step >= 1; words -= step, step--) { /* by 8 bytes, by 4 */
        emit(k, AND_B32, bits, p->byte, imm(4 * step));
        emit(k, SETP_NE_U32, p->g.p_scratch, bits, imm(0));
        for (int i = 0; i + step < words; i++)
            emit(k, SELP_B32, at(raw, i), at(raw, i + step), at(raw, i), p->g.p_scratch);
    }
}

/* word_scratch = the chunk of 16-bit elements that begins in the first word. */
static void shift_halves(Pack *p, PtxArg raw)
{
    PtxKernel *k = p->k;
    PtxArg bits = at(p->g.word_scratch, 3);
    emit(k, AND_B32, bits, p->byte, imm(2));
    emit(k, SHL_B32, bits, bits, imm(3));
    for (int i = 0; i < 4; i++)
        emit(k, SHF_R_WRAP_B32, at(p->g.word_scratch, i), at(raw, i), at(raw, i + 1), bits);
}

/* word_scratch = the chunk in its vectors, rounded. */
static void take_chunk(Pack *p, const Source *s, PtxArg raw)
{
    PtxKernel *k = p->k;
    shift_words(p, s, raw);
    if (s->elem_bytes == 2) shift_halves(p, raw);
    for (int i = 0; s->rounded && i < CHUNK_ELEMS / 2; i++) {
        PtxArg word = at(p->g.word_scratch, i), pair = span(p->value, 0, 2);
        if (s->elem_bytes == 2) {
            gen_convert_pair(&p->g, s->type, p->w.type, word, span(p->elem, 0, 2), pair);
            continue;
        }
        for (int half = 0; half < 2; half++) emit(k, MOV_F32_BITS, at(pair, half), at(raw, 2 * i + half));
        gen_round_pair(&p->g, p->w.type, word, at(pair, 0), at(pair, 1));
    }
}

static PtxArg label(Pack *p, const char *what, const Source *s, int chunk)
{
    char name[32];
    snprintf(name, sizeof name, "%s_%s_%d", what, s->name, chunk);
    return ptx_label(p->k, name);
}

static void store(Pack *p, const Source *s, int chunk)
{
    PtxKernel *k = p->k;
    PtxArg take = label(p, "take", s, chunk), store = label(p, "store", s, chunk),
           done = label(p, "done", s, chunk);
    emit(k, SETP_GT_S32, p->g.p_scratch, p->mine, imm(chunk * LANE_STEP));
    emit_unless(k, p->g.p_scratch, BRA, done);
    emit_if(k, at(p->whole, chunk), BRA, take);
    load_elements(p, s, chunk);
    emit(k, BRA, store);
    emit(k, LABEL, take);
    take_chunk(p, s, span(p->raw, raw_words(s) * chunk, raw_words(s)));
    emit(k, LABEL, store);
    emit(k, ST_GLOBAL_V4_B32, mem(p->to, chunk * LANE_STEP * 2), p->g.word_scratch);
    emit(k, LABEL, done);
}

/* ---- rows with gaps ---- */

/* This lane's first element is the lane-th of the segment, the next ones are 32 further; its places from
 * those of its first chunk. */
static void gapped_places(Pack *p, const Source *s)
{
    PtxKernel *k = p->k;
    PtxArg back = at(p->g.word_scratch, 0), lane = at(p->g.word_scratch, 1);
    emit(k, SHR_U32, lane, p->lane_elems, imm(3));
    emit(k, SUB_S32, back, p->lane_elems, lane);
    emit(k, ADD_S32, p->left, p->left, back);
    emit(k, ADD_S32, p->mine, p->mine, p->lane_elems); /* of the segment, in the row: in whole chunks */
    emit(k, ADD_S32, p->mine, p->mine, imm(CHUNK_ELEMS - 1));
    emit(k, AND_B32, p->mine, p->mine, imm(-CHUNK_ELEMS));
    emit(k, SUB_S32, p->mine, p->mine, lane);
    emit(k, SUB_S32, p->first_elem, p->first_elem, back);
    emit(k, MUL_LO_S64, p->step, p->step, imm(s->elem_bytes));
    emit(k, CVT_U64_U32, p->wide, p->first_elem);
    emit(k, MAD_LO_S64, p->from, p->wide, p->step, p->from);
    emit(k, MUL_LO_S64, p->step, p->step, imm(32));
    emit(k, CVT_U64_U32, p->wide, back);
    emit(k, MUL_LO_S64, p->wide, p->wide, imm(p->w.elem_bytes));
    emit(k, SUB_S64, p->to, p->to, p->wide);
}

static void load_gapped(Pack *p, const Source *s, int i)
{
    load_element(p, s, i % GAPPED_AT_ONCE, mem(p->from, 0), 32 * i);
    emit(p->k, ADD_S64, p->from, p->from, p->step);
}

static void store_gapped(Pack *p, const Source *s, int i)
{
    PtxKernel *k = p->k;
    PtxArg elem = at(p->elem, i % GAPPED_AT_ONCE);
    if (s->rounded) gen_round(&p->g, p->w.type, elem, at(p->value, i % GAPPED_AT_ONCE));
    emit(k, SETP_GT_S32, p->g.p_scratch, p->mine, imm(32 * i));
    emit_if(k, p->g.p_scratch, ST_GLOBAL_B16, mem(p->to, 32 * i * p->w.elem_bytes), elem);
}

static void pack_gapped(Pack *p, const Source *s)
{
    ptx_section(p->k, "its elements have gaps between them: eight loads, then eight stores");
    gapped_places(p, s);
    gen_wait_for_kernel_before(&p->g);
    for (int i = 0; i < GAPPED_ELEMS; i += GAPPED_AT_ONCE) {
        for (int j = 0; j < GAPPED_AT_ONCE; j++) load_gapped(p, s, i + j);
        for (int j = 0; j < GAPPED_AT_ONCE; j++) store_gapped(p, s, i + j);
    }
}

/* ---- a row ---- */

static void pack_row(Pack *p, const Source *s, PtxArg end)
{
    PtxKernel *k = p->k;
    source_row(p, s);
    if (p->strided) {
        PtxArg neighbours = label(p, "neighbours", s, 0);
        emit(k, LD_PARAM_B64, p->step, mem(s->step_param, 0));
        emit(k, SETP_NE_B64, p->g.p_scratch, p->step, imm(1));
        emit_unless(k, p->g.p_scratch, BRA, neighbours);
        pack_gapped(p, s);
        emit(k, BRA, end);
        emit(k, LABEL, neighbours);
    }
    source_places(p, s);
    gen_wait_for_kernel_before(&p->g);
    ptx_section(p->k, "four chunks: all loads, then each into place, and stored");
    for (int i = 0; i < CHUNKS; i++) load(p, s, i);
    for (int i = 0; i < CHUNKS; i++) store(p, s, i);
}

static void write_kernel(Pack *p, GenType x, GenType w)
{
    PtxKernel *k = p->k;
    PtxArg end = ptx_label(k, "end"), rows_of_w = ptx_label(k, "rows_of_w");
    gen_begin_kernel(&p->g, "tiles");
    p->x = source("x", x, w, p->g.x_param, p->g.ldx_param, p->g.csx_param);
    p->w = source("w", w, w, p->g.w_param, p->g.ldw_param, p->g.csw_param);
    declare(p);
    gen_let_next_start(&p->g);
    places(p, end);
    emit_if(k, p->in_w, BRA, rows_of_w);
    ptx_section(k, "a row of x");
    pack_row(p, &p->x, end);
    emit(k, BRA, end);
    emit(k, LABEL, rows_of_w);
    ptx_section(k, "a row of w");
    emit(k, SUB_S32, p->warp_row, p->warp_row, p->rows_of_x);
    pack_row(p, &p->w, end);
    emit(k, LABEL, end);
    emit(k, RET);
}

/* As much of a plan as a kernel begins with. */
static GenPlan plan_of(const GenArch *arch, GenType x, GenType w, bool strided)
{
    GenPlan plan = {.threads = 32 * WARPS};
    GenConfig *c = &plan.config;
    char types[32] = "b16";
    gen_config_default(arch, w, c);
    c->tile_m = WARPS, c->tile_n = SEGMENT_ELEMS, c->tile_k = CHUNK_ELEMS;
    c->x = x;
    c->x_copy_bytes = gen_type_bytes(x), c->w_copy_bytes = gen_type_bytes(w);
    if (strided) c->x_layout = c->w_layout = GEN_LAYOUT_ANY;
    snprintf(c->epilogue, sizeof c->epilogue, "z");
    if (x != w) snprintf(types, sizeof types, "%s_%s", gen_type_name(x), gen_type_name(w));
    snprintf(plan.name, sizeof plan.name, "pack_sm%d_%s%s", arch->sm, types, strided ? "_any" : "");
    return plan;
}

bool gen_pack_kernel(const GenArch *arch, GenType x, GenType w, bool strided, char **text, size_t *length,
                     GenError *error)
{
    GenPlan plan = plan_of(arch, x, w, strided);
    Pack p = {.k = ptx_new(), .strided = strided};
    *text = NULL;
    if (!p.k) return gen_fail(error, "out of memory while writing %s", plan.name);
    p.g = (Gemm){.k = p.k, .p = &plan};
    write_kernel(&p, x, w);
    return gen_end_kernel(&p.g, text, length, error);
}
