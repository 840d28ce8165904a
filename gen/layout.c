/* layout.c: the swizzle; see gemm.h for the map. */
#include "gen/gemm.h"

void gen_swizzled_offset(Gemm *g, PtxArg at, PtxArg row, PtxArg chunk)
{
    PtxKernel *k = g->k;
    bool wide = g->p->row_bytes >= 128;
    if (wide) {
        emit(k, AND_B32, at, row, imm(7));
    } else {
        emit(k, SHR_U32, at, row, imm(1));
        emit(k, AND_B32, at, at, imm(3));
    }
    emit(k, XOR_B32, at, at, chunk);
    emit(k, SHL_B32, at, at, imm(4));
    emit(k, MAD_LO_S32, at, row, imm(g->p->row_bytes), at);
}
