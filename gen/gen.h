/* gen.h: the public face of the generator library.
 *
 *     GenConfig   what to build: a small struct of choices, with a name that parses back
 *     GenPlan     every number derived from it, computed once, or a refusal in a sentence
 *     kernel      PTX text that describes itself in its header lines
 *
 * The library does no I/O, knows no CUDA, keeps no globals, and is thread-safe: everything it works on
 * belongs to the caller. Functions that can fail return false and leave a sentence in *error.
 */
#ifndef GEN_H
#define GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEN_VERSION "0.1.0"

enum {
    GEN_KERNEL_ABI = 1, /* of header lines and parameter block */
    GEN_MAX_NAME = 192,
    GEN_MAX_ERROR = 320,
    GEN_MAX_EPILOGUE = 160,
    GEN_MAX_EXPR_NODES = 64,
};

typedef struct GenError { char text[GEN_MAX_ERROR]; } GenError;

/* ---- element types (types.c): name, bytes ---- */
#define GEN_TYPES(X) X(F16, "f16", 2) X(BF16, "bf16", 2) X(F32, "f32", 4)
#define X(name, ...) GEN_##name,
typedef enum GenType { GEN_TYPES(X) GEN_N_TYPES } GenType;
#undef X
const char *gen_type_name(GenType t);
int gen_type_bytes(GenType t);
bool gen_type_parse(const char *name, GenType *t);

/* ---- how a matrix lies in memory: token in names, meaning ---- */
#define GEN_LAYOUTS(X)                                                       \
    X(ROW, "row", "the elements of a row are neighbours (x, W: along k)")   \
    X(COL, "col", "the elements of a column are neighbours")                \
    X(ANY, "any", "neither: two strides")
#define X(name, ...) GEN_LAYOUT_##name,
typedef enum GenLayout { GEN_LAYOUTS(X) GEN_N_LAYOUTS } GenLayout;
#undef X
const char *gen_layout_name(GenLayout l);

/* ---- chips (arch.c) ---- */
typedef struct GenArch {
    const char *name;        /* "sm_89" */
    int sm;                  /* 89 */
    char suffix;             /* 'a' for sm_90a, else 0 */
    int block_smem_bytes;    /* most shared memory that one block may ask for */
    int sm_smem_bytes;       /* per SM; each resident block costs smem_reserved_bytes more */
    int smem_reserved_bytes;
    int sm_regs, sm_warps, sm_blocks; /* per SM: 32-bit registers, resident warps, resident blocks */
    const char *chips;       /* "RTX 40 series, L4, L40" */
} GenArch;
int gen_arch_count(void);
const GenArch *gen_arch_at(int i);
const GenArch *gen_arch_find(const char *name);         /* NULL: unknown */
/* The arch whose kernels suit a device of this compute capability best; NULL: older than sm_80. */
const GenArch *gen_arch_for_device(int major, int minor);

/* ---- configurations (config.c) ---- */
/* ---- back ends: name, instructions ---- */
#define GEN_BACKENDS(X)                                                  \
    X(MMA, "mma", "mma.sync and cp.async, sm_80 and later")              \
    X(WGMMA, "wgmma", "wgmma and TMA, warp-specialised, sm_90a only")
#define X(name, ...) GEN_BACKEND_##name,
typedef enum GenBackend { GEN_BACKENDS(X) GEN_N_BACKENDS } GenBackend;
#undef X


typedef struct GenConfig {
    GenBackend backend;
    const GenArch *arch;
    GenType x, w, bias, y;          /* element types; w is also what the tensor cores multiply */
    GenLayout x_layout, w_layout, y_layout; /* y: row-major or any */
    int tile_m, tile_n, tile_k;     /* of a block */
    int warps_m, warps_n;           /* warps of a block along m and n; wgmma: warpgroups that multiply */
    int stages;                     /* k-blocks in shared memory */
    int group_m;                    /* rasterisation: tiles of m walked together, for L2 */
    int x_copy_bytes, w_copy_bytes; /* 16, 8, 4 or 2: what base and pitch of x and w are multiples of */
    int y_store_bytes;              /* 16, 8, 4 or 2: the same for y; at least one element */
    bool lines;                     /* mma only: slots hold lines of memory, for rows that begin inside one (copy.h) */
    bool split;                     /* mma only: blocks share tiles along k, in a workspace (split.c) */
    int min_blocks;                 /* resident blocks per SM to compile for; 0: as many as fit */
    /* wgmma only */
    int cluster_m, cluster_n;       /* blocks of a cluster along m (they share W) and n (they share x) */
    bool near;                      /* they load for themselves: a cluster is but a place, SMs near each other */
    int cluster_k;                  /* blocks of a cluster that have one tile in common, each a range of k */
    int skew_blocks;                /* k-blocks by which the halves of a warpgroup's tile are out of step at its ends */
    int even;                       /* a tile may be narrower by 16, 32, ... 16 * even columns, so that waves come out even */
    bool pingpong;                  /* each warpgroup has tiles of its own, and they take turns */
    bool swap;                      /* rows of W, not of x, are on the 64-row side of wgmma: for few rows of x */
    bool ends;                      /* the last box of x that TMA loads ends where the rows of x do (produce_wgmma.c) */
    bool once;                      /* W is read once: L2 forgets it first; with swap and cluster_k it always does */
    bool last;                      /* L2 forgets first what waves of tiles read for the last time, and y (produce_wgmma.c) */
    char epilogue[GEN_MAX_EPILOGUE]; /* canonical infix text: "z + s * sigmoid(z)" */
} GenConfig;

#define GEN_DEFAULT_EPILOGUE "z + s * sigmoid(z)"

/* The default configuration for an arch and operand type: 128x128x32, 2x4 warps, 3 stages. */
void gen_config_default(const GenArch *arch, GenType type, GenConfig *config);
/* Its canonical name, also the name of its file and its entry: mma_sm89_f16_128x128x32_w2x4_s3. Fields at
 * their default are left out. The name parses back to an equal config. */
void gen_config_name(const GenConfig *config, char name[GEN_MAX_NAME]);
bool gen_config_parse(const char *name, GenConfig *config, GenError *error);
/* Fields from text: "128x128x32", "2x4", an expression (made canonical). */
bool gen_config_set_tile(GenConfig *config, const char *text, GenError *error);
bool gen_config_set_warps(GenConfig *config, const char *text, GenError *error);
bool gen_config_set_epilogue(GenConfig *config, const char *text, GenError *error);

/* ---- epilogue expressions (expr.c) ---- */
typedef struct GenExprNode { int op; int arg[3]; float value; } GenExprNode; /* op: a row of expr.h */
/* Nodes in postfix order: operands stand before their operator; the last is the root. */
typedef struct GenExpr {
    int n;
    GenExprNode node[GEN_MAX_EXPR_NODES];
    bool uses_s, uses_t, uses_r;
} GenExpr;
typedef struct GenExprInputs { double acc, bias, r, s, t; } GenExprInputs; /* z = acc + bias */
bool gen_expr_parse(const char *text, GenExpr *expr, GenError *error);
bool gen_expr_print(const GenExpr *expr, char *text, size_t text_bytes); /* canonical infix; false: too long */
double gen_expr_eval(const GenExpr *expr, const GenExprInputs *in);      /* in float64, for references */

/* ---- plans (plan.c) ---- */
typedef struct GenPlan GenPlan; /* plan.h */
/* Whether the config can work; a refusal is a sentence with the numbers in it:
 * "stages=5 needs 180224 B of shared memory; sm_89 allows 101376". */
bool gen_config_check(const GenConfig *config, GenError *error);

typedef struct GenSummary { /* of a plan, for people and listings */
    int threads, smem_bytes, blocks_per_sm, regs_estimate;
} GenSummary;
bool gen_config_summary(const GenConfig *config, GenSummary *summary, GenError *error);

/* ---- kernels (gemm.c) ---- */
/* Writes the kernel as PTX text; the caller frees *text. Byte for byte a function of the config. */
bool gen_kernel(const GenConfig *config, char **text, size_t *length, GenError *error);

/* ---- packing (pack.c) ---- */
/* Writes the kernel that copies rows of x, rounded once to the type of w, f16 or bf16, and rows of w to rows aligned to 16
 * bytes, as gen_kernel() does; strided: rows with gaps between their elements, too. If both types are the same it does not
 * matter which. */
bool gen_pack_kernel(const GenArch *arch, GenType x, GenType w, bool strided, char **text, size_t *length,
                     GenError *error);

/* ---- sets of configurations and the choice among them (choose.c) ---- */
/* The i-th config worth offering for (arch, type), refused ones among them: look with gen_config_check.
 * Returns false behind the last. */
bool gen_listed(const GenArch *arch, GenType type, int i, GenConfig *config);
/* The i-th kernel of the shipped set ptx_out/. Returns false behind the last. */
bool gen_shipped(int i, GenConfig *config);

typedef struct GenProblem {
    const GenArch *arch;
    int sm_count;
    GenType x, w, bias, y;
    int64_t m, n, k;
    GenLayout x_layout, w_layout, y_layout;
    int x_align_bytes, w_align_bytes; /* largest power of 2, at most 128, that divides base address and pitch */
    int y_align_bytes;
    uint64_t workspace_bytes; /* device memory that a config may use: blocks that share tiles need some */
    const char *epilogue; /* NULL: the default */
} GenProblem;
/* Such an align_bytes of `rows` rows without gaps, of so many elements, at an aligned address. A single row has no next one
 * that could lie elsewhere, and so it is aligned, as ts_linear() finds it. */
int gen_row_align(GenType type, int64_t rows, int64_t elems);
/* The config for a problem: a pure function, the same on every machine. */
bool gen_choose(const GenProblem *problem, GenConfig *config, GenError *error);
/* What the choice believes of a config for a problem. */
typedef struct GenEstimate {
    int64_t tiles, waves, k_blocks; /* waves: tiles that the busiest SM has to do */
    /* nanoseconds; 0: does not count for this back end */
    double tensor_ns, smem_ns, l2_ns, latency_ns; /* of a k-block: it takes as long as the longest of these */
    double epilogue_ns;                           /* of a tile */
    double dram_ns;                               /* of all: x and W read once, y written */
    double start_ns;
    double total_ns;
} GenEstimate;
typedef struct GenCandidate {
    GenConfig config;
    GenEstimate estimate;
} GenCandidate;
/* The `most` best configs for a problem, best first; returns how many there are, 0 with a sentence in *error.
 * gen_choose() takes the first. */
int gen_rank(const GenProblem *problem, GenCandidate *candidates, int most, GenError *error);
/* The conservative config that a tuner measures others against: 64x64x64 of the mma back end, 4 warps, 2 stages. */
bool gen_baseline(const GenProblem *problem, GenConfig *config, GenError *error);
/* Few outputs and much k: with a workspace, configs whose blocks share tiles (split) are ranked too. */
bool gen_may_share(int64_t m, int64_t n, int64_t k);
/* Workspace that a config whose blocks share tiles needs for m, n, k and sm_count of a problem; 0 where none are
 * shared. */
uint64_t gen_workspace_bytes(const GenConfig *config, const GenProblem *problem);
/* Whether x, w, or both should be packed first (pack.c): their rows, or columns where these have neighbouring elements,
 * are not aligned to 16 bytes, or x is of another type than w, and the problem reads them so often that it pays. */
void gen_choose_packing(const GenProblem *problem, bool *pack_x, bool *pack_w);

#endif
