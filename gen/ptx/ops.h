/* ops.h: the PTX instruction set, one row a form.
 *
 * Printer, parser, checker, emulator and inspector all walk these rows; to add an instruction, add its
 * row here and its exec_ROW in emu/. The text is PTX itself with operand slots:
 *
 *     %r        a register; classes: p .pred, h .b16, r .b32, d .b64, f .f32
 *     %R %D %F  a register of that class, or an immediate (F: a float written 0fXXXXXXXX)
 *     %{4f}     a brace list of 4 registers
 *     %=r       the instruction writes it; %+r reads and writes it; all other slots are read
 *     %[r] %[d] memory at register + byte offset (shared addresses are 32 bits, global ones 64)
 *     %[P]      a kernel parameter
 *     %i<0,15>  an immediate integer from 0 to 15
 *     %S %Y %L  a special register, a shared array, a label; %T the text of a comment
 *
 * Columns: name, lowest sm, lowest PTX version (x10), flags, text, section of the PTX ISA 9.1.
 * Flags:   LOAD, STORE  touches memory          ASYNC   lands at a later wait
 *          WARP         all 32 lanes together: never under a guard (.aligned)
 *          JUMP         may leave the straight line
 * "Lowest sm" is 80 for everything that Ampere has: older chips are not a target.
 */
#ifndef PTX_OPS_H
#define PTX_OPS_H

/* clang-format off */
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
X(LD_GLOBAL_B16,    80, 70, LOAD,         "ld.global.nc.b16 %=h, %[d]",                      "9.7.9.9")  \
X(LD_GLOBAL_B32,    80, 70, LOAD,         "ld.global.nc.b32 %=r, %[d]",                      "9.7.9.9")  \
X(LD_GLOBAL_V4_B32, 80, 70, LOAD,         "ld.global.nc.v4.b32 %={4r}, %[d]",                "9.7.9.9")  \
X(LD_GLOBAL_V4_F32, 80, 74, LOAD,         "ld.global.nc.L2::256B.v4.f32 %={4f}, %[d]",       "9.7.9.9")  \
X(LD_GLOBAL_F32,    80, 70, LOAD,         "ld.global.nc.f32 %=f, %[d]",                      "9.7.9.9")  \
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
X(ST_SHARED_V2_F32, 80, 70, STORE,        "st.shared.v2.f32 %[r], %{2f}",                    "9.7.9.11") \
X(ST_SHARED_B32,    80, 70, STORE,        "st.shared.b32 %[r], %r",                          "9.7.9.11") \
X(ST_SHARED_V2_B32, 80, 70, STORE,        "st.shared.v2.b32 %[r], %{2r}",                    "9.7.9.11") \
X(ST_SHARED_V4_B32, 80, 70, STORE,        "st.shared.v4.b32 %[r], %{4r}",                    "9.7.9.11") \
X(CP_ASYNC_CG_16,   80, 74, LOAD | ASYNC, "cp.async.cg.shared.global.L2::128B %[r], %[d], 16, %R", "9.7.9.25.3.1") \
X(CP_ASYNC_CA_8,    80, 70, LOAD | ASYNC, "cp.async.ca.shared.global %[r], %[d], 8, %R",     "9.7.9.25.3.1") \
X(CP_ASYNC_CA_4,    80, 70, LOAD | ASYNC, "cp.async.ca.shared.global %[r], %[d], 4, %R",     "9.7.9.25.3.1") \
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
X(BAR_WARP_SYNC,    80, 70, WARP,         "bar.warp.sync 0xffffffff",                        "9.7.13.2") \
X(BRA,              80, 70, JUMP,         "bra %L",                                          "9.7.12.3") \
X(RET,              80, 70, JUMP,         "ret",                                             "9.7.12.6")

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
X(WARPID,   "%warpid")

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

/* Types of kernel parameters. */
#define PTX_PARAM_TYPES(X) \
X(U32, ".u32", 4)          \
X(U64, ".u64", 8)          \
X(F32, ".f32", 4)
/* clang-format on */
#endif
