/* store.c: from accumulator fragments to y, every intermediate in registers, each output stored once.
 *
 * Lane l of a warp holds, of each 16x8 mma tile (PTX ISA 9.7.14.5.8):
 *
 *                 columns 2(l%4), +1
 *     row l/4       c0  c1
 *     row l/4 + 8   c2  c3
 *
 * Bias is loaded once a column and kept; rows and columns behind the edge are not stored.
 */
#include "gen/gemm.h"

#include <stdio.h>

typedef struct Store {
    Gemm *g;
    PtxKernel *k;
    const GenPlan *p;
    Epilogue epilogue;
    PtxArg acc;
    PtxArg row, rows_left;  /* b32, signed: rows from this one to the end of y */
    PtxArg cols_left;       /* b32, signed: columns from this lane's first to the end of y */
    PtxArg bias;            /* f32[2 * mma_n] */
    PtxArg y_row, y_step;   /* b64: this row's address at this lane's first column; 8 rows in bytes */
    PtxArg r_row, r_step;
    PtxArg p_row, p_col, p_pair, p_one;
    PtxArg z, r, y;         /* f32, f32[2], f32[2] */
    PtxArg half, pair;      /* b16, b32 */
} Store;

/* One element of type t at [address], as fp32, under guard p; what is not loaded is 0. */
static void load_element(Store *s, GenType t, PtxArg value, PtxArg address, PtxArg p)
{
    PtxKernel *k = s->k;
    if (t == GEN_F32) {
        emit(k, MOV_F32, value, immf(0));
        emit_if(k, p, LD_GLOBAL_F32, value, address);
        return;
    }
    emit(k, MOV_B16, at(s->half, 1), imm(0));
    emit_if(k, p, LD_GLOBAL_B16, at(s->half, 1), address);
    if (t == GEN_F16) {
        emit(k, CVT_F32_F16, value, at(s->half, 1));
    } else { /* bf16 is the upper half of an fp32 */
        emit(k, MOV_B16, at(s->half, 0), imm(0));
        emit(k, PACK_B32, s->pair, span(s->half, 0, 2));
        emit(k, MOV_F32_BITS, value, s->pair);
    }
}

static void place(Store *s)
{
    PtxKernel *k = s->k;
    Gemm *g = s->g;
    PtxArg col = ptx_reg(k, PTX_B32, "col");
    s->row = ptx_reg(k, PTX_B32, "row");
    s->rows_left = ptx_reg(k, PTX_B32, "rows_left");
    s->cols_left = ptx_reg(k, PTX_B32, "cols_left");
    emit(k, SHR_U32, s->row, g->lane, imm(2));
    emit(k, MAD_LO_S32, s->row, g->warp_m, imm(s->p->warp_m), s->row);
    emit(k, ADD_S32, s->row, s->row, g->row0);
    emit(k, SUB_S32, s->rows_left, g->m, s->row);
    emit(k, AND_B32, col, g->lane, imm(3));
    emit(k, SHL_B32, col, col, imm(1));
    emit(k, MAD_LO_S32, col, g->warp_n, imm(s->p->warp_n), col);
    emit(k, ADD_S32, col, col, g->col0);
    emit(k, SUB_S32, s->cols_left, g->n, col);
    g->col0 = col; /* from here on, this lane's */
}

/* base + row * pitch + col * bytes, and the step of 8 rows. */
static void matrix_row(Store *s, const char *name, PtxArg base, PtxArg pitch_elems, int bytes, PtxArg *row, PtxArg *step)
{
    PtxKernel *k = s->k;
    char text[48];
    snprintf(text, sizeof text, "%s_row64", name);
    PtxArg row64 = ptx_reg(k, PTX_B64, text);
    snprintf(text, sizeof text, "%s_at", name);
    *row = ptx_reg(k, PTX_B64, text);
    snprintf(text, sizeof text, "%s_8_rows", name);
    *step = ptx_reg(k, PTX_B64, text);
    emit(k, LD_PARAM_B64, *row, mem(base, 0));
    emit(k, LD_PARAM_B64, *step, mem(pitch_elems, 0));
    emit(k, MUL_LO_S64, *step, *step, imm(bytes));
    emit(k, CVT_U64_U32, row64, s->row);
    emit(k, MAD_LO_S64, *row, row64, *step, *row);
    emit(k, MAD_WIDE_U32, *row, s->g->col0, imm(bytes), *row);
    emit(k, SHL_B64, *step, *step, imm(3));
}

/* A null bias is a bias of zeros. */
static void load_bias(Store *s)
{
    PtxKernel *k = s->k;
    PtxArg base = ptx_reg(k, PTX_B64, "bias_at"), given = ptx_reg(k, PTX_PRED, "p_bias");
    int n = 2 * s->p->mma_n;
    ptx_section(k, "bias of this lane's columns");
    s->bias = ptx_regs(k, PTX_F32, "bias", n);
    emit(k, LD_PARAM_B64, base, mem(s->g->bias_param, 0));
    emit(k, SETP_NE_B64, given, base, imm(0));
    emit(k, MAD_WIDE_U32, base, s->g->col0, imm(s->p->bias_bytes), base);
    for (int i = 0; i < n; i++) {
        int col = 8 * (i / 2) + i % 2;
        emit(k, SETP_GT_AND_S32, s->p_col, s->cols_left, imm(col), given);
        load_element(s, s->p->config.bias, at(s->bias, i), mem(base, col * s->p->bias_bytes), s->p_col);
    }
}

static void declare(Store *s)
{
    PtxKernel *k = s->k;
    s->p_row = ptx_reg(k, PTX_PRED, "p_row");
    s->p_col = ptx_reg(k, PTX_PRED, "p_col");
    s->p_pair = ptx_reg(k, PTX_PRED, "p_pair");
    s->p_one = ptx_reg(k, PTX_PRED, "p_one");
    s->z = ptx_reg(k, PTX_F32, "z");
    if (s->p->epilogue.uses_r) s->r = ptx_regs(k, PTX_F32, "r", 2);
    s->y = ptx_regs(k, PTX_F32, "y", 2);
    s->half = ptx_regs(k, PTX_B16, "half", 2);
    s->pair = ptx_reg(k, PTX_B32, "pair");
}

/* ---- stores ---- */

static void store_one(Store *s, PtxArg p, PtxArg address, PtxArg value)
{
    PtxKernel *k = s->k;
    switch (s->p->config.y) {
    case GEN_F16:
        emit(k, CVT_F16_F32, at(s->half, 0), value);
        emit_if(k, p, ST_GLOBAL_B16, address, at(s->half, 0));
        break;
    case GEN_BF16:
        emit(k, CVT_BF16_F32, at(s->half, 0), value);
        emit_if(k, p, ST_GLOBAL_B16, address, at(s->half, 0));
        break;
    default: emit_if(k, p, ST_GLOBAL_F32, address, value); break;
    }
}

static void store_pair(Store *s, PtxArg p, PtxArg address)
{
    PtxKernel *k = s->k;
    PtxArg low = at(s->y, 0), high = at(s->y, 1);
    if (s->p->config.y == GEN_F32) {
        emit_if(k, p, ST_GLOBAL_V2_F32, address, span(s->y, 0, 2));
        return;
    }
    if (s->p->config.y == GEN_F16) emit(k, CVT_F16X2_F32, s->pair, high, low);
    else emit(k, CVT_BF16X2_F32, s->pair, high, low);
    emit_if(k, p, ST_GLOBAL_B32, address, s->pair);
}

/* Columns col and col+1 of this row: both as a pair, or the ones that are inside one by one. */
static void store_columns(Store *s, int col)
{
    PtxKernel *k = s->k;
    PtxArg first = mem(s->y_row, col * s->p->y_bytes), second = mem(s->y_row, (col + 1) * s->p->y_bytes);
    emit(k, SETP_GT_AND_S32, s->p_pair, s->cols_left, imm(col + 1), s->p_row);
    if (s->p->config.y_store_elems == 2) {
        emit(k, SETP_EQ_AND_U32, s->p_one, s->cols_left, imm(col + 1), s->p_row);
        store_pair(s, s->p_pair, first);
        store_one(s, s->p_one, first, at(s->y, 0));
    } else {
        emit(k, SETP_GT_AND_S32, s->p_one, s->cols_left, imm(col), s->p_row);
        store_one(s, s->p_one, first, at(s->y, 0));
        store_one(s, s->p_pair, second, at(s->y, 1));
    }
}

/* One column pair of one row: z = acc + bias, y = f(z). */
static void finish_pair(Store *s, PtxArg acc, int tile_n)
{
    PtxKernel *k = s->k;
    bool has_r = s->p->epilogue.uses_r;
    for (int i = 0; i < 2; i++) {
        int col = 8 * tile_n + i;
        PtxArg bias = at(s->bias, 2 * tile_n + i), r = has_r ? at(s->r, i) : PTX_NONE;
        if (has_r) {
            emit(k, SETP_GT_AND_S32, s->p_col, s->cols_left, imm(col), s->p_row);
            load_element(s, s->p->config.y, r, mem(s->r_row, col * s->p->y_bytes), s->p_col);
        }
        emit(k, ADD_F32, s->z, at(acc, i), bias);
        gen_epilogue(&s->epilogue, at(s->y, i), s->z, at(acc, i), bias, r);
    }
    store_columns(s, 8 * tile_n);
}

void gen_store(Gemm *g, PtxArg acc)
{
    Store s = {.g = g, .k = g->k, .p = g->p, .acc = acc};
    PtxKernel *k = g->k;
    int n = g->p->mma_n;
    gen_tile_place(g);
    ptx_section(k, "store: where this lane's outputs are");
    declare(&s);
    place(&s);
    matrix_row(&s, "y", g->y_param, g->ldy_param, g->p->y_bytes, &s.y_row, &s.y_step);
    if (g->p->epilogue.uses_r) matrix_row(&s, "r", g->r_param, g->ldr_param, g->p->y_bytes, &s.r_row, &s.r_step);
    load_bias(&s);
    gen_epilogue_begin(&s.epilogue, g);
    ptx_section(k, "z = acc + bias; y = the epilogue of z; one store an output");
    for (int half = 0; half < 2 * g->p->mma_m; half++) {
        ptx_comment(k, "rows l/4 + %d of this warp", 8 * half);
        emit(k, SETP_GT_S32, s.p_row, s.rows_left, imm(8 * half));
        for (int j = 0; j < n; j++) finish_pair(&s, span(acc, ((half / 2) * n + j) * 4 + 2 * (half % 2), 2), j);
        if (half + 1 == 2 * g->p->mma_m) break;
        emit(k, ADD_S64, s.y_row, s.y_row, s.y_step);
        if (g->p->epilogue.uses_r) emit(k, ADD_S64, s.r_row, s.r_row, s.r_step);
    }
}
