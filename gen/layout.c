/* layout.c: where rows and chunks stand in shared memory; see gemm.h and plan.h for the maps. */
#include "gen/gemm.h"

void gen_swizzled_offset(Gemm *g, int row_bytes, PtxArg at, PtxArg row, PtxArg chunk)
{
    PtxKernel *k = g->k;
    int shift = row_bytes >= 128  ? 0
                : row_bytes == 64 ? 1
                                  : 2,
        mask = row_bytes >= 128  ? 7
               : row_bytes == 64 ? 3
                                 : 1;
    if (shift) emit(k, SHR_U32, at, row, imm(shift));
    emit(k, AND_B32, at, shift ? at : row, imm(mask));
    emit(k, XOR_B32, at, at, chunk);
    emit(k, SHL_B32, at, at, imm(4));
    emit(k, MAD_LO_S32, at, row, imm(row_bytes), at);
}

void gen_dealt_row(Gemm *g, int deal, PtxArg row, PtxArg place)
{
    PtxKernel *k = g->k;
    PtxArg part = g->bits_scratch;
    emit(k, AND_B32, row, place, imm(-8 * deal));
    emit(k, AND_B32, part, place, imm(7));
    emit(k, MAD_LO_S32, row, part, imm(deal), row);
    emit(k, SHR_U32, part, place, imm(3));
    emit(k, AND_B32, part, part, imm(deal - 1));
    emit(k, ADD_S32, row, row, part);
}
