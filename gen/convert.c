/* convert.c: the 16-bit element types to and from fp32, on registers. */
#include "gen/gemm.h"

void gen_widen(Gemm *g, GenType type, PtxArg value, PtxArg element)
{
    PtxKernel *k = g->k;
    if (type == GEN_F16) {
        emit(k, CVT_F32_F16, value, element);
        return;
    }
    emit(k, MOV_B16, at(g->half_scratch, 0), imm(0)); /* bf16 is the upper half of an fp32 */
    emit(k, MOV_B16, at(g->half_scratch, 1), element);
    emit(k, PACK_B32, g->bits_scratch, g->half_scratch);
    emit(k, MOV_F32_BITS, value, g->bits_scratch);
}

void gen_convert_pair(Gemm *g, GenType from, GenType to, PtxArg word, PtxArg halves, PtxArg wide)
{
    emit(g->k, UNPACK_B32, halves, word);
    for (int i = 0; i < 2; i++) gen_widen(g, from, at(wide, i), at(halves, i));
    gen_round_pair(g, to, word, at(wide, 0), at(wide, 1));
}

void gen_round(Gemm *g, GenType type, PtxArg element, PtxArg value)
{
    if (type == GEN_F16) emit(g->k, CVT_F16_F32, element, value);
    else emit(g->k, CVT_BF16_F32, element, value);
}

void gen_round_pair(Gemm *g, GenType type, PtxArg word, PtxArg low, PtxArg high)
{
    if (type == GEN_F16) emit(g->k, CVT_F16X2_F32, word, high, low);
    else emit(g->k, CVT_BF16X2_F32, word, high, low);
}
