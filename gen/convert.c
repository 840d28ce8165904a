/* convert.c: the 16-bit element types to and from fp32, and vectors of them shifted into place, on registers.
 */
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

void gen_round_pair(Gemm *g, GenType type, PtxArg word, PtxArg low, PtxArg high)
{
    if (type == GEN_F16) emit(g->k, CVT_F16X2_F32, word, high, low);
    else emit(g->k, CVT_BF16X2_F32, word, high, low);
}

void gen_shift_vector(Gemm *g, PtxArg raw, PtxArg byte)
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
