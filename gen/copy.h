/* copy.h: one operand's way from global to shared memory, a k-block at a time.
 *
 * In global memory an operand (x [m,k] or W [n,k]) is row-major, column-major, or strided both ways. Its tile
 * in shared memory has rows of 16-byte chunks, swizzled (layout in gemm.h):
 *
 *     row-major, or strided     tile_m (tile_n) rows of tile_k elements
 *     column-major              tile_k rows of tile_m (tile_n) elements; ldmatrix transposes
 *
 * All threads copy together, in passes; in a pass, consecutive threads take consecutive parts of rows: each has
 * one chunk, or half a chunk of f32, so that it still loads 16 bytes beside its neighbour's.
 *
 * What cp.async can move goes by it: by chunks, as Words below, or, column-major, in pieces as wide as the alignment
 * allows. What must be converted or gathered goes through registers: it is loaded a k-block before it is rounded and
 * stored, so that loads have the time of a k-block to arrive. That is enough from L2, not from memory. So L2 is asked
 * for x's lines a few k-blocks earlier. The blocks of a row of tiles run side by side with the same rows of x: each asks
 * for a share of them, since requests cost, even in vain.
 *
 * Lines. Rows that begin inside a line of 128 bytes cost twice: each 128 bytes of them are two requests. With `lines`
 * slots hold lines as memory has them, and a k-block of 64 elements reaches into the next slot. With b the chunk of
 * a line at which a row begins, and d = 0 to 7 - b, -b to -1 the distance of a chunk from there:
 *
 *     slot s      chunks of the row's line s: d = -b .. -1 of k-block s - 1, d = 0 .. 7 - b of k-block s
 *                 at chunk d mod 8, before the swizzle: where k-block s, or s - 1, has it without lines
 *
 * so that k-block s has chunk c in slot s, or from 8 - b on in slot s + 1. All rows of a thread, and of a lane of
 * ldmatrix, are multiples of 8 apart, and begin at the same chunk of a line.
 *
 * Words. Rows that begin inside a chunk come as the aligned chunks around them, one more than tile_k has, and lie in a
 * slot as far behind its chunks' edges as in memory. There ldmatrix cannot read, but lanes can, a word each, which is
 * what mma wants of a lane; where rows begin inside a word it reads two, and a funnel shift makes one of them. All rows
 * of a lane are multiples of 8 apart, so that they begin at the same byte of a chunk. A row of a slot has an odd number
 * of chunks: eight lanes' rows meet no bank conflicts if they, too, begin at the same byte. Of rows that are aligned to
 * 8, 4 or 2 bytes every 2nd, 4th or 8th does. Where warps have whole deals of 8 times as many, a slot has them in this
 * order (deal = 4):
 *
 *     0 4 8 12 16 20 24 28   1 5 9 13 17 21 25 29   2 6 ..   3 7 ..
 *
 * and rows of y, or columns, go where those of x, or W, came from (store.c).
 *
 * Edges. Row-major rows behind the end of m or n are others, read again: they only reach outputs that
 * are never stored. Everything behind the end of k is zero, in both operands.
 */
#ifndef GEN_COPY_H
#define GEN_COPY_H

#include "gen/gemm.h"

typedef struct GenCopy {
    const char *name;
    const GenOperandPlan *plan;
    PtxArg base_param, pitch_param, step_param;
    PtxArg first, extent; /* b32: first row or column of y in this block's tile, and how many there are */
    /* registers */
    PtxArg line_begin, line; /* b32: lines: the chunk of a line at which this thread's rows begin; signed: d of its chunk */
    PtxArg line_begins; /* predicate: lines: d >= 0, so that it has a chunk in line 0 */
    PtxArg row, part;   /* b32: this thread's row of the first pass, and its part of the row */
    PtxArg pointer;     /* b64[passes]: its part of the next k-block, in each pass */
    PtxArg advance;     /* b64: bytes from k-block to k-block; PTX_NONE: a constant */
    PtxArg step;        /* b64: bytes from element to element along k, when strided */
    PtxArg at, to;      /* b32[swizzle_period]: its place in slot 0, and in the slot being filled */
    PtxArg takes_part;  /* predicate: this thread takes part in each pass but the last; PTX_NONE: all do */
    PtxArg last_pass;   /* predicate: it takes part in the last one; PTX_NONE: as in the others */
    PtxArg left;        /* b32, signed: what k_rest leaves from this thread's part (or row) on */
    PtxArg size;        /* b32[pieces]: source sizes at the end of k */
    PtxArg extent_size; /* b32[pieces]: column-major: source sizes at the end of m or n */
    PtxArg have;        /* pred[8]: through registers: which elements lie before the end of k */
    PtxArg asks;        /* predicate: this thread asks L2 for lines ... */
    PtxArg ask_at;      /* b64: ... here, as many k-blocks back as it asks ahead; PTX_NONE: none does */
    PtxArg raw;         /* f32 or b16 [raw_sets * passes * part_elems]: on their way through registers; set 0 is for */
                        /* the loops */
} GenCopy;

/* Emits addresses; all that is not a register is set. smem: the shared address of the ring. */
void gen_copy_setup(Gemm *g, GenCopy *c, PtxArg smem);
/* Turns to the slot at `slot` bytes. */
void gen_copy_turn(Gemm *g, GenCopy *c, PtxArg slot);
/* Before sized copies, those that the end of k may cut: k_rest elements of k are left; with `lead`, one k-block
 * less. */
void gen_copy_sizes(Gemm *g, GenCopy *c, PtxArg k_rest, bool lead);

/* At the beginning of a k-block behind which whole ones are loaded, if L2 is asked ahead: this block's share. */
void gen_copy_ask(Gemm *g, const GenCopy *c, PtxArg k_rest);

/* A place in the ring: registers `at` or `to`, and a distance in bytes. */
typedef struct GenCopyPlace {
    PtxArg base;
    int offset;
} GenCopyPlace;

/* Pass `pass` of a k-block's copy: by cp.async to its slot; or a load into set `set` of raw, and the store of
 * that set to its slot. What reads global memory moves the pass's pointer on by a k-block. `first`: to slot 0, whose
 * lines may begin before the rows. */
void gen_copy_async(Gemm *g, GenCopy *c, int pass, GenCopyPlace to, bool sized, bool first);
void gen_copy_load(Gemm *g, GenCopy *c, int pass, int set, bool sized);
void gen_copy_store(Gemm *g, GenCopy *c, int pass, int set, GenCopyPlace to);

/* With lines: in registers called name..., the chunk of a line at which row `row` of the tile begins. With words: the
 * byte of a chunk at which it does, in memory and in a slot. */
PtxArg gen_copy_line_begin(Gemm *g, const GenCopy *c, const char *name, PtxArg row);
PtxArg gen_copy_row_begin(Gemm *g, const GenCopy *c, const char *name, PtxArg row);

/* How many elements of k must be left behind a k-block for copies without sizes: loads into registers are a
 * k-block ahead, and the second vector of a chunk reaches behind it, as the last chunk around a row does. */
int gen_copy_reach(const Gemm *g, const GenCopy *c);

#endif
