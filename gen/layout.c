/* layout.c: the swizzle; see gemm.h for the map. */
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
