/* ptx.h: one PTX kernel as a linear list of instructions.
 *
 * Built by the back ends (build.c), written as text (print.c), read back (parse.c), verified (check.c).
 * There is no SSA and there are no passes: ptxas optimises. What this layer gives is that every line is
 * typed against the table in ops.h, that registers keep the names people read, and that a mistake in a
 * generator is reported with the line of C that made it.
 *
 * Errors stick: the first one is kept in k->error, later calls do nothing, and emission code reads
 * straight. A kernel belongs to one thread; nothing here is global.
 */
#ifndef PTX_H
#define PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops.h"

enum { PTX_MAX_ARGS = 8, PTX_MAX_NAME = 192, PTX_MAX_ERROR = 320 };

#define X(name, ...) PTX_##name,
typedef enum PtxOp { PTX_OPS(X) PTX_N_OPS } PtxOp;
typedef enum PtxClass { PTX_CLASSES(X) PTX_N_CLASSES } PtxClass;
typedef enum PtxSpecial { PTX_SPECIALS(X) PTX_N_SPECIALS } PtxSpecial;
#undef X
#define X(name, ...) PTX_PARAM_##name,
typedef enum PtxParamType { PTX_PARAM_TYPES(X) PTX_N_PARAM_TYPES } PtxParamType;
#undef X

/* Of the rows of wgmma.mma_async, which stand one behind the other. Operand 0 is the accumulators; operand 1 A, by its
 * descriptor (.b64) or in registers (.b32). */
static inline bool ptx_is_wgmma(PtxOp op) { return op >= PTX_WGMMA_F16_N8 && op <= PTX_WGMMA_A_BF16_N256; }

typedef enum PtxFlags {
    PTX_FLAG_LOAD = 1,
    PTX_FLAG_STORE = 2,
    PTX_FLAG_ASYNC = 4,
    PTX_FLAG_WARP = 8,
    PTX_FLAG_JUMP = 16,
    PTX_FLAG_ARCH = 32,
} PtxFlags;

/* A row of ops.h. */
typedef struct PtxOpInfo {
    const char *name;    /* MMA_F16 */
    int sm, version;     /* lowest compute capability and PTX version, both x10 */
    unsigned flags;      /* PtxFlags */
    const char *text;    /* PTX with operand slots */
    const char *section; /* of the PTX ISA 9.1 */
} PtxOpInfo;

typedef enum PtxAccess { PTX_READ = 1, PTX_WRITE = 2, PTX_READ_WRITE = 3 } PtxAccess;

/* One operand slot of a row, as its text says. */
typedef struct PtxSlot {
    char kind;        /* r: register(s)  R: register or immediate  [: memory  P: parameter  i S Y L T A */
    PtxClass cls;     /* of the register, or of the base of a memory operand */
    PtxAccess access; /* of the register; the base of a memory operand is read */
    int count;        /* registers in the range */
    bool braces;      /* printed as a brace list */
    int64_t lo, hi;   /* range of an i */
} PtxSlot;

typedef enum PtxArgKind {
    PTX_ARG_NONE,
    PTX_ARG_REG,     /* registers first .. first+count-1 of cls */
    PTX_ARG_IMM,     /* imm: integer, or the bits of a float */
    PTX_ARG_MEM,     /* memory at register first of cls, plus imm bytes */
    PTX_ARG_PARAM,   /* parameter first, plus imm bytes */
    PTX_ARG_SPECIAL, /* first: PtxSpecial */
    PTX_ARG_SHARED,  /* the dynamic shared array */
    PTX_ARG_LABEL,   /* first: string id of the name */
    PTX_ARG_TEXT,    /* first: string id */
} PtxArgKind;

typedef struct PtxArg {
    uint8_t kind;   /* PtxArgKind */
    uint8_t cls;    /* PtxClass */
    uint16_t count; /* registers in the range */
    uint32_t first;
    int64_t imm;
} PtxArg;

typedef struct PtxInst {
    PtxOp op;
    int n_args;
    int guard;         /* predicate register, or -1 */
    bool guard_negate; /* @!%p */
    int line;          /* of the text parsed, or of the C file that emitted it */
    const char *file;  /* that C file; NULL when parsed */
    PtxArg arg[PTX_MAX_ARGS];
} PtxInst;

/* A declaration: `count` registers of one class, %name, or %name0 .. when it is an array. */
typedef struct PtxRegs {
    const char *name;
    PtxClass cls;
    bool array;
    int first, count;
} PtxRegs;

typedef struct PtxParam {
    const char *name;
    PtxParamType type;
    int offset_bytes; /* in the parameter block, naturally aligned */
} PtxParam;

typedef struct PtxKernel {
    int version;         /* PTX version x10: 78 is 7.8 */
    int sm;              /* target: 89 */
    char sm_suffix;      /* 'a' for sm_90a, else 0 */
    char entry[PTX_MAX_NAME];
    int max_threads;     /* .maxntid x; 0: not stated */
    int min_blocks;      /* .minnctapersm; 0: not stated */
    int cluster;         /* .reqnctapercluster x, blocks of a cluster; 0: no clusters */
    int shared_align;    /* of the dynamic shared array `smem`; 0: none */
    int param_bytes;
    int reg_count[PTX_N_CLASSES];

    PtxInst *inst;
    PtxRegs *regs;
    PtxParam *param;
    const char **header; /* comment lines before .version, without "// " */
    const char **string; /* label names and comments; also owns all names */
    int n_inst, n_regs, n_params, n_header, n_strings;
    int cap_inst, cap_regs, cap_params, cap_header, cap_strings;

    char error[PTX_MAX_ERROR]; /* the first error, or "" */
} PtxKernel;

/* ---- table (table.c) ---- */
extern const PtxOpInfo ptx_op_info[PTX_N_OPS];
extern const struct PtxClassInfo { const char *name; char letter; const char *type; int bytes; } ptx_class_info[PTX_N_CLASSES];
extern const char *const ptx_special_name[PTX_N_SPECIALS];
extern const struct PtxParamInfo { const char *name, *type, *array; int bytes, align; } ptx_param_info[PTX_N_PARAM_TYPES];
/* Lowest PTX version x10 of a target (suffix 'a' or 0); 0 when there is no such target in the table. */
int ptx_target_version(int sm, char suffix);
/* Reads the slot at text[0] == '%' and returns the text behind it. */
const char *ptx_slot(const char *text, PtxSlot *slot);
/* All slots of a row, in the order of its operands; returns how many. */
int ptx_slots(PtxOp op, PtxSlot slot[PTX_MAX_ARGS]);
/* Whether `arg` fits `slot`; if not, `why` gets what is wanted and what was given. */
bool ptx_arg_fits(const PtxSlot *slot, const PtxArg *arg, char *why, size_t why_bytes);

/* ---- building (build.c) ---- */
PtxKernel *ptx_new(void);       /* NULL when out of memory */
void ptx_free(PtxKernel *k);
void ptx_error(PtxKernel *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *ptx_strdup(PtxKernel *k, const char *text, size_t length); /* owned by k */
void ptx_header(PtxKernel *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
PtxArg ptx_param(PtxKernel *k, PtxParamType type, const char *name);
/* One register, or an array of `count` of them; the name is a hint that readers see. */
PtxArg ptx_reg(PtxKernel *k, PtxClass cls, const char *name);
PtxArg ptx_regs(PtxKernel *k, PtxClass cls, const char *name, int count);
PtxArg ptx_label(PtxKernel *k, const char *name);
void ptx_comment(PtxKernel *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ptx_section(PtxKernel *k, const char *title); /* a blank line, then "// ---- title ----" */
void ptx_blank(PtxKernel *k);
/* Appends one instruction; args[0] is ignored (it lets emit() take none). guard: predicate or PTX_ARG_NONE. */
void ptx_emit(PtxKernel *k, const char *file, int line, PtxOp op, PtxArg guard, bool negate, int n_args, const PtxArg *args);

#define PTX_NONE ((PtxArg){0})
#define ptx_emit_(k, guard, negate, op, ...)                                                                 \
    ptx_emit(k, __FILE__, __LINE__, PTX_##op, guard, negate,                                                 \
             (int)(sizeof((PtxArg[]){PTX_NONE, ##__VA_ARGS__}) / sizeof(PtxArg)) - 1,                        \
             (PtxArg[]){PTX_NONE, ##__VA_ARGS__})
/* emit(k, ADD_S32, sum, a, imm(1)); emit_if adds @p, emit_unless @!p. */
#define emit(k, op, ...)           ptx_emit_(k, PTX_NONE, false, op, ##__VA_ARGS__)
#define emit_if(k, p, op, ...)     ptx_emit_(k, p, false, op, ##__VA_ARGS__)
#define emit_unless(k, p, op, ...) ptx_emit_(k, p, true, op, ##__VA_ARGS__)

static inline PtxArg imm(int64_t value) { return (PtxArg){.kind = PTX_ARG_IMM, .imm = value}; }
PtxArg immf(float value);
static inline PtxArg span(PtxArg regs, int first, int count) /* registers first.. of an array */
{
    return (PtxArg){.kind = regs.kind, .cls = regs.cls, .count = (uint16_t)count, .first = regs.first + (uint32_t)first};
}
static inline PtxArg at(PtxArg regs, int i) { return span(regs, i, 1); }
static inline PtxArg mem(PtxArg base, int64_t offset_bytes)
{
    uint8_t kind = base.kind == PTX_ARG_PARAM ? PTX_ARG_PARAM : PTX_ARG_MEM;
    return (PtxArg){.kind = kind, .cls = base.cls, .count = 1, .first = base.first, .imm = offset_bytes};
}
static inline PtxArg special(PtxSpecial s) { return (PtxArg){.kind = PTX_ARG_SPECIAL, .first = s}; }
static inline PtxArg shared_array(void) { return (PtxArg){.kind = PTX_ARG_SHARED}; }

/* ---- verifying (check.c, check_wgmma.c) ---- */
/* Sets .version to the lowest that target and instructions need (never lowers a higher one), then checks
 * the whole kernel: rows against the target, labels, registers read before any write, collective
 * instructions under a guard, accumulators of wgmma, the end. Returns false and leaves k->error. */
bool ptx_check(PtxKernel *k);
void ptx_check_wgmma(PtxKernel *k);
/* An error about one instruction, with the line of C or of text that it stands in. */
void ptx_error_at(PtxKernel *k, const PtxInst *inst, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A register as the text has it: "%acc3". */
void ptx_reg_name(const PtxKernel *k, PtxClass cls, uint32_t reg, char *out, size_t bytes);

/* ---- text ---- */
/* Writes the kernel as PTX text. The caller frees *text. Byte for byte a function of k. */
bool ptx_print(PtxKernel *k, char **text, size_t *length);
/* Reads PTX text of the subset in ops.h. Never NULL unless out of memory; look at k->error. */
PtxKernel *ptx_parse(const char *text);
/* One instruction as text, for messages: "mma.sync... {%acc0, ...}, ..." */
void ptx_print_inst(const PtxKernel *k, const PtxInst *inst, char *out, size_t out_bytes);

#endif
