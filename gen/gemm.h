/* gemm.h: what the parts of a GEMM kernel pass to each other while it is written.
 *
 *     gemm.c       header, parameters, tile walk; hands over to the back end; checks and prints
 *     gemm_mma.c   the back end for mma.sync: fragments, pipeline
 *     gemm_wgmma.c the back end for wgmma and TMA (wgmma.h)
 *     produce_wgmma.c, consume_wgmma.c  its producer and its consumers
 *     copy.c       operands from global to shared memory
 *     layout.c     the swizzle of tiles in shared memory, and the order of rows that are dealt
 *     convert.c    16-bit elements to and from fp32
 *     convert_wgmma.c, round_wgmma.c  x of another type than W's, on its way to wgmma
 *     exchange_wgmma.c  sums of blocks that share a tile of wgmma's along k
 *     store_wgmma.c, store_swapped.c  from the accumulators of wgmma to y
 *     split.c      blocks that share tiles along k
 *     store.c      accumulator fragments -> bias -> epilogue -> y
 *     piece.c      elements, and what a lane stores at once
 *     epilogue.c   the epilogue expression on fp32 registers
 */
#ifndef GEN_GEMM_H
#define GEN_GEMM_H

#include "gen/plan.h"
#include "gen/ptx/ptx.h"

/* What a block that shares tiles is at (split.c); registers. Numbers of k-blocks count in the row of all tiles. */
typedef struct GenSegment {
    PtxArg range_end;                    /* b32: of what is left to do; the only one that lives over the main loop */
    PtxArg k_blocks, block;              /* b32: k-blocks of a tile; a block */
    PtxArg tile, tile_begin, begin;      /* b32: the tile at hand; where it begins, and what is summed of it here */
    PtxArg first_block;                  /* b32: the same as the tile's k-block */
    PtxArg rows_of_tiles, group_tiles;         /* b32: tiles of y along m, and of a group */
    PtxArg sharing, value;               /* b32: scratch */
    PtxArg slot, flag, key, seen;        /* b64: of the workspace: addresses; flags */
    PtxArg reached;                      /* b32: where the block begins whose part is added */
    PtxArg part;                         /* f32: partial sums on their way */
} GenSegment;

typedef struct Gemm {
    PtxKernel *k;
    const GenPlan *p;
    /* parameters, as in the header line "params" */
    PtxArg x_param, w_param, bias_param, y_param, r_param;
    PtxArg csx_param, csw_param, csy_param;
    PtxArg x_map_param, w_map_param, y_map_param; /* tensor maps, in place of base and pitch */
    PtxArg parts_param, group_param, sharing_param, share_param, extra_param;
    PtxArg m_param, n_param, k_param, ldx_param, ldw_param, ldy_param, ldr_param, s_param, t_param;
    /* registers: problem size (depth: elements of k to sum), place of this thread, first row and column of this block's tile */
    PtxArg m, n, depth;
    PtxArg tid, lane, warp_m, warp_n;
    PtxArg row0, col0;
    PtxArg bias_raw; /* b16 or f32: this thread's elements of the bias on their way to shared memory */
    GenSegment segment;
    /* scratch for a few instructions at a time */
    PtxArg p_scratch, half_scratch, word_scratch, bits_scratch; /* pred, b16[2], b32[4], b32 */
    PtxArg f32_scratch, wide_scratch, elem;                     /* f32[2], b64, b16 */
} Gemm;

/* gemm.c: what every kernel begins with, from its plan: name, target, parameters, header lines (grid: the rule for
 * its blocks), scratch; and what it ends with: it is checked, printed and freed. The caller frees *text. */
void gen_begin_kernel(Gemm *g, const char *grid);
bool gen_end_kernel(Gemm *g, char **text, size_t *length, GenError *error);

/* gemm.c: whether the kernel may be launched while the one before it runs (programmatic dependent launch, from sm_90
 * on). What it then does before it touches memory; and from where on the next one may be launched, which takes room
 * on the SMs from blocks that have yet to begin. */
bool gen_starts_early(const Gemm *g);
void gen_wait_for_kernel_before(Gemm *g);
void gen_let_next_start(Gemm *g);
/* Loads of what the kernel before may have written. By nc it would have to be left alone for as long as this kernel runs
 * (PTX ISA 9.7.9.9), which may be from before its end on. */
#define emit_load(g, guard, form, ...)                                                                       \
    do {                                                                                                     \
        if (gen_starts_early(g)) emit_if((g)->k, guard, LD_GLOBAL_##form, ##__VA_ARGS__);                    \
        else emit_if((g)->k, guard, LD_GLOBAL_NC_##form, ##__VA_ARGS__);                                     \
    } while (0)

/* gemm.c: loads m, n and depth. */
void gen_problem_size(Gemm *g);

/* gemm.c: emits row0 and col0 of this block. Done twice, before the copies and before the store: computing
 * them again is cheaper than two registers kept over the main loop. */
void gen_tile_place(Gemm *g);

/* gemm_mma.c, gemm_wgmma.c */
void gen_gemm_mma(Gemm *g);
void gen_gemm_wgmma(Gemm *g);

/* split.c, for config.split. Begin: the block's range, and the label to which End comes back while some of it is
 * left. Place: row0 and col0 of the segment at hand, as gen_tile_place(). Depth: its first k-block, and its depth
 * out of all of k. Exchange: hands acc over and goes on to the next segment, or adds what others have handed over. */
void gen_split_begin(Gemm *g);
void gen_split_place(Gemm *g);
void gen_split_depth(Gemm *g);
void gen_split_exchange(Gemm *g, PtxArg acc);
void gen_split_end(Gemm *g, PtxArg end);

/* layout.c: rows of 16-byte chunks in shared memory, XOR-swizzled so that ldmatrix (8 rows, one chunk
 * each), its copies in and 16-byte stores are free of bank conflicts:
 *
 *     physical chunk = chunk ^ f(row)    row bytes   f(row)           pattern repeats after
 *                                        >= 128      row & 7          8 rows
 *                                           64      (row >> 1) & 3    8 rows
 *                                           32      (row >> 2) & 1    8 rows
 *
 * Equal to the TMA modes SWIZZLE_128B, _64B and _32B. PTX ISA 5.5.7 (swizzling modes).
 * Emits: at = row * row_bytes + 16 * (chunk ^ f(row)). */
void gen_swizzled_offset(Gemm *g, int row_bytes, PtxArg at, PtxArg row, PtxArg chunk);
/* row = gen_dealt(deal, place), for deal > 1; two registers. */
void gen_dealt_row(Gemm *g, int deal, PtxArg row, PtxArg place);

/* convert.c: value = the fp32 of a b16 element; and a b16 element, or word = two of them, of fp32, each rounded once, to
 * nearest even. */
void gen_widen(Gemm *g, GenType type, PtxArg value, PtxArg element);
void gen_round(Gemm *g, GenType type, PtxArg element, PtxArg value);
void gen_round_pair(Gemm *g, GenType type, PtxArg word, PtxArg low, PtxArg high);
/* convert.c: two 16-bit elements in a word from one type to the other; halves: b16[2], wide: f32[2], scratch. */
void gen_convert_pair(Gemm *g, GenType from, GenType to, PtxArg word, PtxArg halves, PtxArg wide);

/* piece.c: value = the element at [address] as fp32 under guard p, 0 where p is false; or raw = the same as it is, a
 * b16 register, f32 for GEN_F32. A piece of y, from shared memory and to y, in b32 registers or, where it is 2 bytes,
 * in a b16 one. The elements of a piece that the last column cuts, under p: `left` columns are left from column 0 on,
 * the piece begins at column `col`. */
void gen_load_element(Gemm *g, GenType type, PtxArg value, PtxArg address, PtxArg p);
void gen_load_raw(Gemm *g, GenType type, PtxArg raw, PtxArg address, PtxArg p);
void gen_load_piece(Gemm *g, PtxArg p, PtxArg piece, PtxArg from);
void gen_store_piece(Gemm *g, PtxArg p, PtxArg to, PtxArg piece);
void gen_copy_cut_piece(Gemm *g, PtxArg left, int col, PtxArg p, PtxArg p_scratch, PtxArg to, PtxArg from);

/* store.c: acc[(i * mma_n + j) * 4 ..] is the 16x8 mma tile (i, j) of this warp. Shared memory is free for it
 * when all warps have come here: it waits for that itself. */
void gen_store(Gemm *g, PtxArg acc);
/* store.c: before the main loop, loads the bias of the tile's columns; puts it into shared memory, for which plan.bias_early
 * says when: before the main loop, or when the store begins. */
void gen_bias_load(Gemm *g);
void gen_bias_share(Gemm *g);

/* epilogue.c */
enum { EPILOGUE_WIDTH = 4 }; /* elements at a time */
typedef struct Epilogue {
    PtxKernel *k;
    const GenExpr *expr;
    PtxArg s, t;              /* scalars, in registers, where the expression uses them */
    PtxArg temp;              /* f32 values of inner nodes */
    PtxArg group;             /* scratch of a group of sigmoids */
    PtxArg u, v, w, p;        /* scratch of one function */
    bool group_sigmoids;      /* those of a row's elements may share a reciprocal */
    bool busy[GEN_MAX_EXPR_NODES];
} Epilogue;
/* What the leaves are: f32 registers, n of each; r is PTX_NONE when the expression has none. */
typedef struct EpilogueElements {
    int n;                    /* 2 or 4 */
    int rows;                 /* of y; element e is of row e % rows */
    PtxArg y, z, r;           /* arrays */
    PtxArg acc[EPILOGUE_WIDTH], bias[EPILOGUE_WIDTH];
} EpilogueElements;
void gen_epilogue_begin(Epilogue *e, const Gemm *g);
void gen_epilogue(Epilogue *e, const EpilogueElements *x);

#endif
