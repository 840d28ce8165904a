/* ops.h: the PTX instruction set, one row a form.
 *
 * Printer, parser, checker, emulator and inspector all walk these rows; to add an instruction, add its
 * row here and its exec_ROW in emu/. The text is PTX itself with operand slots:
 *
 *     %r        a register; classes: p .pred, h .b16, r .b32, d .b64, f .f32
 *     %R %D %F  a register of that class, or an immediate (F: a float written 0fXXXXXXXX)
 *     %{4f}     a brace list of 4 registers
 *     %=r       the instruction writes it; %+r also reads it, if a predicate says so; all other slots are read
 *     %[r] %[d] memory at register + byte offset (shared addresses are 32 bits, global ones 64)
 *     %[P]      a kernel parameter
 *     %i<0,15>  an immediate integer from 0 to 15
 *     %S %Y %L  a special register, a shared array, a label; %T the text of a comment
 *     %A        the address of a kernel parameter: its name
 *
 * Columns: name, lowest sm, lowest PTX version (x10), flags, text, section of the PTX ISA 9.1.
 * Flags:   LOAD, STORE  touches memory          ASYNC   lands at a later wait
 *          WARP         all 32 lanes together: never under a guard (.aligned)
 *          JUMP         may leave the straight line
 *          ARCH         of this very chip: the target must be sm_NNa
 * "Lowest sm" is 80 for everything that Ampere has: older chips are not a target.
 */
#ifndef PTX_OPS_H
#define PTX_OPS_H

/* clang-format off */
/* One row for each N of wgmma, and accumulators a thread; f16 and bf16; the 64 rows by descriptor, or (A) from registers. */
#define PTX_WGMMA_N(ROW, X) \
    ROW(X, 8, 4) ROW(X, 16, 8) ROW(X, 24, 12) ROW(X, 32, 16) ROW(X, 40, 20) ROW(X, 48, 24) ROW(X, 56, 28) ROW(X, 64, 32) \
    ROW(X, 72, 36) ROW(X, 80, 40) ROW(X, 88, 44) ROW(X, 96, 48) ROW(X, 104, 52) ROW(X, 112, 56) ROW(X, 120, 60) ROW(X, 128, 64) \
    ROW(X, 136, 68) ROW(X, 144, 72) ROW(X, 152, 76) ROW(X, 160, 80) ROW(X, 168, 84) ROW(X, 176, 88) ROW(X, 184, 92) ROW(X, 192, 96) \
    ROW(X, 200, 100) ROW(X, 208, 104) ROW(X, 216, 108) ROW(X, 224, 112) ROW(X, 232, 116) ROW(X, 240, 120) ROW(X, 248, 124) ROW(X, 256, 128)
#define PTX_WGMMA_F16(X, n, acc) \
    X(WGMMA_F16_N##n, 90, 80, WARP | ASYNC | ARCH, "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.f16.f16 %+{" #acc "f}, %d, %d, %p, 1, 1, %i<0,1>, %i<0,1>", "9.7.15.5.2")
#define PTX_WGMMA_BF16(X, n, acc) \
    X(WGMMA_BF16_N##n, 90, 80, WARP | ASYNC | ARCH, "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 %+{" #acc "f}, %d, %d, %p, 1, 1, %i<0,1>, %i<0,1>", "9.7.15.5.2")
#define PTX_WGMMA_A_F16(X, n, acc) \
    X(WGMMA_A_F16_N##n, 90, 80, WARP | ASYNC | ARCH, "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.f16.f16 %+{" #acc "f}, %{4r}, %d, %p, 1, 1, %i<0,1>", "9.7.15.5.2")
#define PTX_WGMMA_A_BF16(X, n, acc) \
    X(WGMMA_A_BF16_N##n, 90, 80, WARP | ASYNC | ARCH, "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 %+{" #acc "f}, %{4r}, %d, %p, 1, 1, %i<0,1>", "9.7.15.5.2")
#define PTX_WGMMA(X) \
    PTX_WGMMA_N(PTX_WGMMA_F16, X) PTX_WGMMA_N(PTX_WGMMA_BF16, X) PTX_WGMMA_N(PTX_WGMMA_A_F16, X) PTX_WGMMA_N(PTX_WGMMA_A_BF16, X)

#define PTX_OPS(X) \
/* structure of the text */ \
X(COMMENT,          80, 70, 0,            "// %T",                                           "4.2")      \
X(BLANK,            80, 70, 0,            "",                                                "4.2")      \
X(LABEL,            80, 70, 0,            "%L:",                                             "4.4")      \
X(PRAGMA_NOUNROLL,  80, 70, 0,            ".pragma \"nounroll\"",                            "12.1")     \
/* moves and conversions */ \
X(MOV_B32,          80, 70, 0,            "mov.b32 %=r, %R",                                 "9.7.9.3")  \
X(MOV_B64,          80, 70, 0,            "mov.b64 %=d, %D",                                 "9.7.9.3")  \
X(MOV_F32,          80, 70, 0,            "mov.f32 %=f, %F",                                 "9.7.9.3")  \
X(MOV_B16,          80, 70, 0,            "mov.b16 %=h, %H",                                 "9.7.9.3")  \
X(MOV_SPECIAL,      80, 70, 0,            "mov.u32 %=r, %S",                                 "9.7.9.3")  \
X(MOV_SHARED,       80, 70, 0,            "mov.u32 %=r, %Y",                                 "9.7.9.3")  \
X(MOV_F32_BITS,     80, 70, 0,            "mov.b32 %=f, %r",                                 "9.7.9.3")  \
X(MOV_BITS_F32,     80, 70, 0,            "mov.b32 %=r, %f",                                 "9.7.9.3")  \
X(PACK_B32,         80, 70, 0,            "mov.b32 %=r, %{2h}",                              "9.7.9.4")  \
X(UNPACK_B32,       80, 70, 0,            "mov.b32 %={2h}, %r",                              "9.7.9.4")  \
X(CVT_U64_U32,      80, 70, 0,            "cvt.u64.u32 %=d, %r",                             "9.7.9.21") \
X(CVT_U32_U64,      80, 70, 0,            "cvt.u32.u64 %=r, %d",                             "9.7.9.21") \
X(CVT_U16_U32,      80, 70, 0,            "cvt.u16.u32 %=h, %r",                             "9.7.9.21") \
X(CVT_F32_F16,      80, 70, 0,            "cvt.f32.f16 %=f, %h",                             "9.7.9.21") \
X(CVT_F16_F32,      80, 70, 0,            "cvt.rn.f16.f32 %=h, %f",                          "9.7.9.21") \
X(CVT_BF16_F32,     80, 70, 0,            "cvt.rn.bf16.f32 %=h, %f",                         "9.7.9.21") \
X(CVT_F16X2_F32,    80, 70, 0,            "cvt.rn.f16x2.f32 %=r, %f, %f",                    "9.7.9.21") \
X(CVT_BF16X2_F32,   80, 70, 0,            "cvt.rn.bf16x2.f32 %=r, %f, %f",                   "9.7.9.21") \
/* integer arithmetic, logic, comparison */ \
X(ADD_S32,          80, 70, 0,            "add.s32 %=r, %r, %R",                             "9.7.1.1")  \
X(ADD_S64,          80, 70, 0,            "add.s64 %=d, %d, %D",                             "9.7.1.1")  \
X(SUB_S32,          80, 70, 0,            "sub.s32 %=r, %R, %R",                             "9.7.1.2")  \
X(SUB_S64,          80, 70, 0,            "sub.s64 %=d, %d, %D",                             "9.7.1.2")  \
X(MUL_LO_S32,       80, 70, 0,            "mul.lo.s32 %=r, %r, %R",                          "9.7.1.3")  \
X(MUL_LO_S64,       80, 70, 0,            "mul.lo.s64 %=d, %d, %D",                          "9.7.1.3")  \
X(MUL_WIDE_U32,     80, 70, 0,            "mul.wide.u32 %=d, %r, %R",                        "9.7.1.3")  \
X(MAD_LO_S32,       80, 70, 0,            "mad.lo.s32 %=r, %r, %R, %r",                      "9.7.1.4")  \
X(MAD_LO_S64,       80, 70, 0,            "mad.lo.s64 %=d, %d, %D, %d",                      "9.7.1.4")  \
X(MAD_WIDE_U32,     80, 70, 0,            "mad.wide.u32 %=d, %r, %R, %d",                    "9.7.1.4")  \
X(DIV_U32,          80, 70, 0,            "div.u32 %=r, %r, %R",                             "9.7.1.8")  \
X(REM_U32,          80, 70, 0,            "rem.u32 %=r, %r, %R",                             "9.7.1.9")  \
X(MIN_U32,          80, 70, 0,            "min.u32 %=r, %r, %R",                             "9.7.1.12") \
X(MIN_S32,          80, 70, 0,            "min.s32 %=r, %r, %R",                             "9.7.1.12") \
X(MAX_S32,          80, 70, 0,            "max.s32 %=r, %r, %R",                             "9.7.1.13") \
X(AND_B32,          80, 70, 0,            "and.b32 %=r, %r, %R",                             "9.7.8.1")  \
X(OR_B32,           80, 70, 0,            "or.b32 %=r, %r, %R",                              "9.7.8.2")  \
X(XOR_B32,          80, 70, 0,            "xor.b32 %=r, %r, %R",                             "9.7.8.3")  \
X(AND_B64,          80, 70, 0,            "and.b64 %=d, %d, %D",                             "9.7.8.1")  \
X(SHF_R_WRAP_B32,   80, 70, 0,            "shf.r.wrap.b32 %=r, %r, %r, %R",                  "9.7.8.7")  \
X(SHL_B32,          80, 70, 0,            "shl.b32 %=r, %r, %R",                             "9.7.8.8")  \
X(SHR_U32,          80, 70, 0,            "shr.u32 %=r, %r, %R",                             "9.7.8.9")  \
X(SHL_B64,          80, 70, 0,            "shl.b64 %=d, %d, %R",                             "9.7.8.8")  \
X(AND_PRED,         80, 70, 0,            "and.pred %=p, %p, %p",                            "9.7.8.1")  \
X(SETP_EQ_U32,      80, 70, 0,            "setp.eq.u32 %=p, %r, %R",                         "9.7.6.2")  \
X(SETP_NE_U32,      80, 70, 0,            "setp.ne.u32 %=p, %r, %R",                         "9.7.6.2")  \
X(SETP_LT_U32,      80, 70, 0,            "setp.lt.u32 %=p, %r, %R",                         "9.7.6.2")  \
X(SETP_GE_U32,      80, 70, 0,            "setp.ge.u32 %=p, %r, %R",                         "9.7.6.2")  \
X(SETP_LT_S32,      80, 70, 0,            "setp.lt.s32 %=p, %r, %R",                         "9.7.6.2")  \
X(SETP_GE_S32,      80, 70, 0,            "setp.ge.s32 %=p, %r, %R",                         "9.7.6.2")  \
X(SETP_GT_S32,      80, 70, 0,            "setp.gt.s32 %=p, %r, %R",                         "9.7.6.2")  \
X(SETP_GT_AND_S32,  80, 70, 0,            "setp.gt.and.s32 %=p, %r, %R, %p",                 "9.7.6.2")  \
X(SETP_EQ_AND_U32,  80, 70, 0,            "setp.eq.and.u32 %=p, %r, %R, %p",                 "9.7.6.2")  \
X(SETP_LT_AND_S32,  80, 70, 0,            "setp.lt.and.s32 %=p, %r, %R, %p",                 "9.7.6.2")  \
X(SETP_NE_B64,      80, 70, 0,            "setp.ne.b64 %=p, %d, %D",                         "9.7.6.2")  \
X(SELP_B32,         80, 70, 0,            "selp.b32 %=r, %R, %R, %p",                        "9.7.6.3")  \
X(SELP_F32,         80, 70, 0,            "selp.f32 %=f, %F, %F, %p",                        "9.7.6.3")  \
/* floating point, fp32; .ftz only where the function is approximate anyway */ \
X(ADD_F32,          80, 70, 0,            "add.rn.f32 %=f, %f, %F",                          "9.7.3.3")  \
X(SUB_F32,          80, 70, 0,            "sub.rn.f32 %=f, %F, %F",                          "9.7.3.4")  \
X(MUL_F32,          80, 70, 0,            "mul.rn.f32 %=f, %f, %F",                          "9.7.3.5")  \
X(FMA_F32,          80, 70, 0,            "fma.rn.f32 %=f, %f, %F, %F",                      "9.7.3.6")  \
X(DIV_F32,          80, 70, 0,            "div.rn.f32 %=f, %F, %F",                          "9.7.3.8")  \
X(ABS_F32,          80, 70, 0,            "abs.f32 %=f, %f",                                 "9.7.3.9")  \
X(NEG_F32,          80, 70, 0,            "neg.f32 %=f, %f",                                 "9.7.3.10") \
X(MIN_F32,          80, 70, 0,            "min.f32 %=f, %f, %F",                             "9.7.3.11") \
X(MIN_NAN_F32,      80, 70, 0,            "min.NaN.f32 %=f, %f, %F",                         "9.7.3.11") \
X(MAX_NAN_F32,      80, 70, 0,            "max.NaN.f32 %=f, %f, %F",                         "9.7.3.12") \
X(RCP_APPROX,       80, 70, 0,            "rcp.approx.ftz.f32 %=f, %f",                      "9.7.3.13") \
X(LG2_APPROX,       80, 70, 0,            "lg2.approx.ftz.f32 %=f, %f",                      "9.7.3.20") \
X(EX2_APPROX,       80, 70, 0,            "ex2.approx.ftz.f32 %=f, %f",                      "9.7.3.21") \
X(TANH_APPROX,      80, 70, 0,            "tanh.approx.f32 %=f, %f",                         "9.7.3.22") \
X(SETP_LT_F32,      80, 70, 0,            "setp.lt.f32 %=p, %f, %F",                         "9.7.6.2")  \
/* memory */ \
X(LD_PARAM_B32,     80, 70, LOAD,         "ld.param.b32 %=r, %[P]",                          "9.7.9.8")  \
X(LD_PARAM_B64,     80, 70, LOAD,         "ld.param.b64 %=d, %[P]",                          "9.7.9.8")  \
X(LD_PARAM_F32,     80, 70, LOAD,         "ld.param.f32 %=f, %[P]",                          "9.7.9.8")  \
X(LD_GLOBAL_B16,    80, 70, LOAD,         "ld.global.b16 %=h, %[d]",                         "9.7.9.8")  \
X(LD_GLOBAL_V4_B32, 80, 70, LOAD,         "ld.global.v4.b32 %={4r}, %[d]",                   "9.7.9.8")  \
X(LD_GLOBAL_V4_HINT, 80, 74, LOAD,        "ld.global.L2::cache_hint.v4.b32 %={4r}, %[d], %d", "9.7.9.8") \
X(LD_GLOBAL_V4_F32, 80, 74, LOAD,         "ld.global.L2::256B.v4.f32 %={4f}, %[d]",          "9.7.9.8")  \
X(LD_GLOBAL_F32,    80, 70, LOAD,         "ld.global.f32 %=f, %[d]",                         "9.7.9.8")  \
X(LD_GLOBAL_NC_B16, 80, 70, LOAD,         "ld.global.nc.b16 %=h, %[d]",                      "9.7.9.9")  \
X(LD_GLOBAL_NC_B32, 80, 70, LOAD,         "ld.global.nc.b32 %=r, %[d]",                      "9.7.9.9")  \
X(LD_GLOBAL_NC_V4_B32, 80, 70, LOAD,      "ld.global.nc.v4.b32 %={4r}, %[d]",                "9.7.9.9")  \
X(LD_GLOBAL_NC_V4_HINT, 80, 74, LOAD,     "ld.global.nc.L2::cache_hint.v4.b32 %={4r}, %[d], %d", "9.7.9.9") \
X(LD_GLOBAL_NC_V4_F32, 80, 74, LOAD,      "ld.global.nc.L2::256B.v4.f32 %={4f}, %[d]",       "9.7.9.9")  \
X(LD_GLOBAL_NC_F32, 80, 70, LOAD,         "ld.global.nc.f32 %=f, %[d]",                      "9.7.9.9")  \
X(ST_GLOBAL_B16,    80, 70, STORE,        "st.global.b16 %[d], %h",                          "9.7.9.11") \
X(ST_GLOBAL_B32,    80, 70, STORE,        "st.global.b32 %[d], %r",                          "9.7.9.11") \
X(ST_GLOBAL_B64,    80, 70, STORE,        "st.global.b64 %[d], %d",                          "9.7.9.11") \
X(ST_GLOBAL_F32,    80, 70, STORE,        "st.global.f32 %[d], %f",                          "9.7.9.11") \
X(ST_GLOBAL_V2_B32, 80, 70, STORE,        "st.global.v2.b32 %[d], %{2r}",                    "9.7.9.11") \
X(ST_GLOBAL_V4_B32, 80, 70, STORE,        "st.global.v4.b32 %[d], %{4r}",                    "9.7.9.11") \
X(LD_GLOBAL_CG_V4_F32, 80, 70, LOAD,      "ld.global.cg.v4.f32 %={4f}, %[d]",                "9.7.9.8")  \
X(ST_GLOBAL_V4_F32, 80, 70, STORE,        "st.global.v4.f32 %[d], %{4f}",                    "9.7.9.11") \
X(LD_ACQUIRE_GPU_B64, 80, 70, LOAD,       "ld.acquire.gpu.global.b64 %=d, %[d]",             "9.7.9.8")  \
X(ST_RELEASE_GPU_B64, 80, 70, STORE,      "st.release.gpu.global.b64 %[d], %d",              "9.7.9.11") \
X(LD_SHARED_B32,    80, 70, LOAD,         "ld.shared.b32 %=r, %[r]",                         "9.7.9.8")  \
X(LD_SHARED_B16,    80, 70, LOAD,         "ld.shared.b16 %=h, %[r]",                         "9.7.9.8")  \
X(LD_SHARED_V2_B32, 80, 70, LOAD,         "ld.shared.v2.b32 %={2r}, %[r]",                   "9.7.9.8")  \
X(LD_SHARED_V4_B32, 80, 70, LOAD,         "ld.shared.v4.b32 %={4r}, %[r]",                   "9.7.9.8")  \
X(LD_SHARED_V2_F32, 80, 70, LOAD,         "ld.shared.v2.f32 %={2f}, %[r]",                   "9.7.9.8")  \
X(LD_SHARED_V4_F32, 80, 70, LOAD,         "ld.shared.v4.f32 %={4f}, %[r]",                   "9.7.9.8")  \
X(ST_SHARED_F32,    80, 70, STORE,        "st.shared.f32 %[r], %f",                          "9.7.9.11") \
X(ST_SHARED_V2_F32, 80, 70, STORE,        "st.shared.v2.f32 %[r], %{2f}",                    "9.7.9.11") \
X(ST_SHARED_B32,    80, 70, STORE,        "st.shared.b32 %[r], %r",                          "9.7.9.11") \
X(ST_SHARED_V2_B32, 80, 70, STORE,        "st.shared.v2.b32 %[r], %{2r}",                    "9.7.9.11") \
X(ST_SHARED_V4_B32, 80, 70, STORE,        "st.shared.v4.b32 %[r], %{4r}",                    "9.7.9.11") \
X(CP_ASYNC_CG_16,   80, 74, LOAD | ASYNC, "cp.async.cg.shared.global.L2::128B %[r], %[d], 16, %R", "9.7.9.25.3.1") \
X(CP_ASYNC_CA_8,    80, 70, LOAD | ASYNC, "cp.async.ca.shared.global %[r], %[d], 8, %R",     "9.7.9.25.3.1") \
X(CP_ASYNC_CA_4,    80, 70, LOAD | ASYNC, "cp.async.ca.shared.global %[r], %[d], 4, %R",     "9.7.9.25.3.1") \
X(PREFETCH_L2,      80, 70, 0,            "prefetch.global.L2 %[d]",                         "9.7.9.15") \
X(CP_ASYNC_COMMIT,  80, 70, ASYNC,        "cp.async.commit_group",                           "9.7.9.25.3.2") \
X(CP_ASYNC_WAIT,    80, 70, ASYNC,        "cp.async.wait_group %i<0,63>",                    "9.7.9.25.3.3") \
/* tensor cores */ \
X(LDMATRIX_X1,      80, 70, LOAD | WARP,  "ldmatrix.sync.aligned.m8n8.x1.shared.b16 %={1r}, %[r]", "9.7.14.5.15") \
X(LDMATRIX_X2,      80, 70, LOAD | WARP,  "ldmatrix.sync.aligned.m8n8.x2.shared.b16 %={2r}, %[r]", "9.7.14.5.15") \
X(LDMATRIX_X4,      80, 70, LOAD | WARP,  "ldmatrix.sync.aligned.m8n8.x4.shared.b16 %={4r}, %[r]", "9.7.14.5.15") \
X(LDMATRIX_X2_TRANS, 80, 70, LOAD | WARP, "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 %={2r}, %[r]", "9.7.14.5.15") \
X(LDMATRIX_X4_TRANS, 80, 70, LOAD | WARP, "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 %={4r}, %[r]", "9.7.14.5.15") \
X(MMA_F16,          80, 70, WARP, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 %={4f}, %{4r}, %{2r}, %{4f}",   "9.7.14.5.14") \
X(MMA_BF16,         80, 70, WARP, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 %={4f}, %{4r}, %{2r}, %{4f}", "9.7.14.5.14") \
/* control and barriers */ \
X(BAR_SYNC,         80, 70, WARP,         "bar.sync %i<0,15>",                               "9.7.13.1") \
X(BAR_SYNC_SOME,    80, 70, WARP,         "bar.sync %i<0,15>, %i<32,1024>",                  "9.7.13.1") \
X(BAR_ARRIVE,       80, 70, WARP,         "bar.arrive %i<0,15>, %i<32,1024>",                "9.7.13.1") \
X(SHFL_IDX,         80, 70, WARP,         "shfl.sync.idx.b32 %=r, %r, %R, 31, 0xffffffff",   "9.7.9.6")  \
X(BAR_WARP_SYNC,    80, 70, WARP,         "bar.warp.sync 0xffffffff",                        "9.7.13.2") \
X(BRA,              80, 70, JUMP,         "bra %L",                                          "9.7.12.3") \
X(RET,              80, 70, JUMP,         "ret",                                             "9.7.12.6") \
/* Hopper: barriers in shared memory, clusters */ \
X(MBARRIER_INIT,        90, 78, STORE,        "mbarrier.init.shared::cta.b64 %[r], %R",                 "9.7.13.15.9")  \
X(MBARRIER_ARRIVE,      90, 78, STORE,        "mbarrier.arrive.shared::cta.b64 _, %[r]",                "9.7.13.15.13") \
X(MBARRIER_ARRIVE_CLUSTER, 90, 80, STORE,     "mbarrier.arrive.shared::cluster.b64 _, %[r]",            "9.7.13.15.13") \
X(MBARRIER_EXPECT_TX,   90, 80, STORE,        "mbarrier.arrive.expect_tx.shared::cta.b64 _, %[r], %R",  "9.7.13.15.13") \
X(MBARRIER_TRY_WAIT,    90, 78, LOAD,         "mbarrier.try_wait.parity.shared::cta.b64 %=p, %[r], %r", "9.7.13.15.16") \
X(FENCE_MBARRIER_INIT,  90, 80, 0,            "fence.mbarrier_init.release.cluster",                    "9.7.13.4")  \
X(FENCE_PROXY_ASYNC,    90, 80, 0,            "fence.proxy.async.shared::cta",                          "9.7.13.4")  \
X(CLUSTER_ARRIVE,       90, 78, WARP,         "barrier.cluster.arrive.release.aligned",                 "9.7.13.3")  \
X(CLUSTER_WAIT,         90, 78, WARP,         "barrier.cluster.wait.acquire.aligned",                   "9.7.13.3")  \
X(MAPA,                 90, 78, 0,            "mapa.shared::cluster.u32 %=r, %r, %R",                   "9.7.9.23")  \
X(ST_CLUSTER_V4_F32,    90, 78, STORE,        "st.shared::cluster.v4.f32 %[r], %{4f}",                  "9.7.9.11")  \
X(ELECT,                90, 80, WARP,         "elect.sync _|%=p, 0xffffffff",                           "9.7.13.14") \
X(SETMAXNREG_INC,       90, 80, WARP | ARCH,  "setmaxnreg.inc.sync.aligned.u32 %i<24,256>",             "9.7.19.5")  \
X(SETMAXNREG_DEC,       90, 80, WARP | ARCH,  "setmaxnreg.dec.sync.aligned.u32 %i<24,256>",             "9.7.19.5")  \
X(GRID_WAIT,            90, 78, 0,            "griddepcontrol.wait",                                    "9.7.13.13") \
X(GRID_LAUNCH,          90, 78, 0,            "griddepcontrol.launch_dependents",                       "9.7.13.13") \
/* Hopper: the tensor memory accelerator; a tensor map, then the column and the row of a box's corner */ \
X(PARAM_ADDRESS,        80, 70, 0,            "mov.b64 %=d, %A",                                        "9.7.9.3")   \
X(CVTA_PARAM,           80, 77, 0,            "cvta.param.u64 %=d, %d",                                 "9.7.9.20")  \
X(PREFETCH_MAP,         90, 80, 0,            "prefetch.tensormap %[d]",                                "9.7.9.15")  \
X(TMA_LOAD,             90, 80, LOAD | ASYNC, "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes %[r], [%d, %{2r}], %[r]", "9.7.9.25.5.2") \
X(TMA_LOAD_MULTICAST,   90, 80, LOAD | ASYNC, "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster %[r], [%d, %{2r}], %[r], %h", "9.7.9.25.5.2") \
X(CREATE_POLICY,        80, 74, 0,            "createpolicy.fractional.L2::evict_first.b64 %=d",        "9.7.9.18")  \
X(TMA_LOAD_HINT,        90, 80, LOAD | ASYNC, "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint %[r], [%d, %{2r}], %[r], %d", "9.7.9.25.5.2") \
X(TMA_PREFETCH,         90, 80, 0,            "cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%d, %{2r}]", "9.7.9.25.5.4") \
X(TMA_STORE,            90, 80, STORE | ASYNC, "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%d, %{2r}], %[r]", "9.7.9.25.5.2") \
X(TMA_STORE_HINT,       90, 80, STORE | ASYNC, "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group.L2::cache_hint [%d, %{2r}], %[r], %d", "9.7.9.25.5.2") \
X(BULK_COMMIT,          90, 80, ASYNC,        "cp.async.bulk.commit_group",                             "9.7.9.25.4.1") \
X(BULK_WAIT_READ,       90, 80, ASYNC,        "cp.async.bulk.wait_group.read %i<0,63>",                 "9.7.9.25.4.2") \
X(BULK_WAIT,            90, 80, ASYNC,        "cp.async.bulk.wait_group %i<0,63>",                      "9.7.9.25.4.2") \
/* Hopper: tensor cores of a warpgroup; operands by descriptor; accumulate or not; transposed (m or n contiguous) or not */ \
X(STMATRIX_X4,          90, 78, STORE | WARP, "stmatrix.sync.aligned.m8n8.x4.shared.b16 %[r], %{4r}",   "9.7.14.5.16") \
X(STMATRIX_X2,          90, 78, STORE | WARP, "stmatrix.sync.aligned.m8n8.x2.shared.b16 %[r], %{2r}",   "9.7.14.5.16") \
X(STMATRIX_X4_TRANS,    90, 78, STORE | WARP, "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 %[r], %{4r}", "9.7.14.5.16") \
X(STMATRIX_X2_TRANS,    90, 78, STORE | WARP, "stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 %[r], %{2r}", "9.7.14.5.16") \
X(WGMMA_FENCE,          90, 80, WARP | ARCH,  "wgmma.fence.sync.aligned",                               "9.7.15.7.1")  \
X(WGMMA_COMMIT,         90, 80, WARP | ASYNC | ARCH, "wgmma.commit_group.sync.aligned",                        "9.7.15.7.2")  \
X(WGMMA_WAIT,           90, 80, WARP | ASYNC | ARCH, "wgmma.wait_group.sync.aligned %i<0,7>",                  "9.7.15.7.3")  \
PTX_WGMMA(X)

/* Register classes: letter, PTX type, bytes. */
#define PTX_CLASSES(X)    \
X(PRED, 'p', ".pred", 1)  \
X(B16,  'h', ".b16",  2)  \
X(B32,  'r', ".b32",  4)  \
X(B64,  'd', ".b64",  8)  \
X(F32,  'f', ".f32",  4)

/* Special registers in use. PTX ISA section 10. */
#define PTX_SPECIALS(X)   \
X(TID_X,    "%tid.x")     \
X(CTAID_X,  "%ctaid.x")   \
X(CTAID_Y,  "%ctaid.y")   \
X(CTAID_Z,  "%ctaid.z")   \
X(NTID_X,   "%ntid.x")    \
X(NCTAID_X, "%nctaid.x")  \
X(LANEID,   "%laneid")    \
X(WARPID,   "%warpid")    \
X(CLUSTER_RANK, "%cluster_ctarank") \
X(CLUSTERID_X, "%clusterid.x")  \
X(NCLUSTERID_X, "%nclusterid.x")

/* Targets: sm x10, suffix, lowest PTX version x10. PTX ISA 11.1.2 and the release notes. */
#define PTX_TARGETS(X)    \
X(80,  0,   70)           \
X(86,  0,   71)           \
X(87,  0,   74)           \
X(89,  0,   78)           \
X(90,  0,   78)           \
X(90,  'a', 80)           \
X(100, 0,   86)           \
X(103, 0,   88)           \
X(120, 0,   87)

/* Types of kernel parameters: name in header lines, PTX type, what follows the name, bytes, alignment. MAP is a
 * CUtensorMap (cuda.h wants it aligned to 64 bytes). */
#define PTX_PARAM_TYPES(X) \
X(U32, "u32", ".u32", "", 4, 4)  \
X(U64, "u64", ".u64", "", 8, 8)  \
X(F32, "f32", ".f32", "", 4, 4)  \
X(MAP, "map", ".align 64 .b8", "[128]", 128, 64)
/* clang-format on */
#endif
