/* piece.c: elements and pieces of rows: loaded as fp32, and copied from shared memory to y. A piece is what a
 * lane stores at once, y_piece_bytes. */
#include "gen/gemm.h"

void gen_load_raw(Gemm *g, GenType type, PtxArg raw, PtxArg address, PtxArg p)
{
    PtxKernel *k = g->k;
    if (type == GEN_F32) {
        emit(k, MOV_F32, raw, immf(0));
        emit_load(g, p, F32, raw, address);
    } else {
        emit(k, MOV_B16, raw, imm(0));
        emit_load(g, p, B16, raw, address);
    }
}

void gen_load_element(Gemm *g, GenType type, PtxArg value, PtxArg address, PtxArg p)
{
    gen_load_raw(g, type, type == GEN_F32 ? value : g->elem, address, p);
    if (type != GEN_F32) gen_widen(g, type, value, g->elem);
}

void gen_load_piece(Gemm *g, PtxArg p, PtxArg piece, PtxArg from)
{
    switch (g->p->y_piece_bytes) {
    case 16: emit_if(g->k, p, LD_SHARED_V4_B32, piece, from); break;
    case 8: emit_if(g->k, p, LD_SHARED_V2_B32, piece, from); break;
    case 4: emit_if(g->k, p, LD_SHARED_B32, piece, from); break;
    case 2: emit_if(g->k, p, LD_SHARED_B16, piece, from); break;
    }
}

void gen_store_piece(Gemm *g, PtxArg p, PtxArg to, PtxArg piece)
{
    switch (g->p->y_piece_bytes) {
    case 16: emit_if(g->k, p, ST_GLOBAL_V4_B32, to, piece); break;
    case 8: emit_if(g->k, p, ST_GLOBAL_V2_B32, to, piece); break;
    case 4: emit_if(g->k, p, ST_GLOBAL_B32, to, piece); break;
    case 2: emit_if(g->k, p, ST_GLOBAL_B16, to, piece); break;
    }
}

void gen_copy_cut_piece(Gemm *g, PtxArg left, int col, PtxArg p, PtxArg p_scratch, PtxArg to, PtxArg from)
{
    PtxKernel *k = g->k;
    PtxArg word = at(g->word_scratch, 0);
    int bytes = g->p->y_bytes;
    for (int e = 0; e < g->p->y_piece_elems - 1; e++) {
        PtxArg to_element = mem(to, to.imm + e * bytes), from_element = mem(from, from.imm + e * bytes);
        emit(k, SETP_GT_AND_S32, p_scratch, left, imm(col + e), p);
        if (bytes == 4) emit_if(k, p_scratch, LD_SHARED_B32, word, from_element);
        else emit_if(k, p_scratch, LD_SHARED_B16, g->elem, from_element);
        if (bytes == 4) emit_if(k, p_scratch, ST_GLOBAL_B32, to_element, word);
        else emit_if(k, p_scratch, ST_GLOBAL_B16, to_element, g->elem);
    }
}
