/* plan.h: every number that follows from a config, computed once. The back ends only read it. */
#ifndef GEN_PLAN_H
#define GEN_PLAN_H

#include "gen/gen.h"

/* The tile of x or w in shared memory, and how the threads of a block copy it there (copy.h): in passes, each
 * thread one part of one row a pass. */
typedef struct GenOperandPlan {
    GenType type;       /* in global memory; in shared memory it is w's */
    GenLayout layout;
    bool staged;        /* through registers, not by cp.async */
    bool words;         /* rows begin inside a chunk: copied with what is around them, fragments read by words (copy.h) */
    bool halves;        /* words: rows begin inside a word, so that one of a fragment lies in two of them */
    int deal;           /* words: of each 8 * deal rows a slot has every deal-th, the first of which is 0, then 1, ... (copy.h) */
    bool lines;         /* a slot holds lines of 128 bytes, a part of which belongs to the k-block before (copy.h) */
    int elem_bytes;     /* in global memory */
    int align_bytes;    /* of rows in global memory: 16, 8, 4 or 2 */
    int copy_bytes;     /* of one cp.async */
    int smem_offset;    /* of the tile in a stage, bytes */
    int rows, row_bytes; /* in shared memory */
    int part_bytes;     /* of a row, that a thread copies at once: a chunk, or half of one */
    int part_elems;
    int row_parts;
    int rows_per_pass;  /* rows that all threads copy at once */
    int passes;         /* parts that a thread copies */
    int last_pass_rows; /* rows left for the last pass; rows_per_pass when it is full */
    int ask_lines;      /* of 128 bytes in a row's k-block, for which L2 is asked ahead of their loads (copy.h); 0: it is not */
    int swizzle_period; /* passes after which the swizzle of a thread's chunk repeats */
} GenOperandPlan;

/* The tile of x or w by TMA, in boxes: pieces of shared memory with rows of 128 bytes, which are neighbours in memory,
 * swizzled by the TMA. In a cluster each block loads its share of the tile's rows of m or n for all that need them. A
 * box has few rows, and boxes wholly behind the last row of the matrix are not loaded: TMA fills a row behind the end
 * in more time than it loads one (docs/tuning-wgmma.md). */
typedef struct GenBoxPlan {
    bool col;        /* the 128 bytes, 64 elements, lie along m or n, not along k */
    int tile_bytes;  /* that are loaded */
    int slot_bytes;  /* that a slot has for them */
    int smem_offset; /* in a stage */
    int box_elems, box_rows; /* in a row of 128 bytes; rows, along k if col */
    int box_bytes;
    int row_boxes;   /* along m or n, that a block loads: its share. They stand one behind the other, as shares do */
    int row_step;    /* elements of m or n in a box */
    int reach;       /* boxes that begin behind the end of m or n by less are loaded, too */
    int k_boxes;     /* along k: box_elems, and atom_bytes, from one to the next */
    int lbo_bytes;   /* of wgmma's descriptor (PTX ISA 9.7.15.5.1.2): between 64-element columns of a "col" tile */
    int step_bytes;  /* from k-step to k-step in a box */
    int atom_bytes;  /* from 128 bytes along k to the next (row-major), or from 64 rows of m or n to the next (col) */
} GenBoxPlan;

/* How x gets to wgmma. */
typedef enum GenXWay {
    GEN_X_SLOT,      /* it reads the slot */
    GEN_X_REGISTERS, /* of another type than W's: each warp reads the slot, rounds, and it multiplies from registers */
    GEN_X_ROUNDED,   /* so, swapped: the consumer rounds it into other shared memory, where it is read */
} GenXWay;

/* What the wgmma back end plans (plan_wgmma.c). */
typedef struct GenWgmmaPlan {
    int consumers;      /* warpgroups that multiply; one more copies */
    int wg_m, wg_n;     /* tile of one */
    int wgmmas;         /* its wgmmas, of 64 rows each: of x, or, swapped, of W */
    int wgmma_n;        /* of one, the other side */
    int acc_regs;       /* of one wgmma: 64 x wgmma_n */
    int cluster;        /* blocks of a cluster */
    int x_sharers, w_sharers; /* of them, those that load x, or W, for each other */
    int load_sharers;   /* together */
    int releases;       /* arrivals of a consumer that has read a slot: one a block that loaded a share of x, and of W */
    int release_warps;  /* of a consumer, that say so: one, or, if each of them reads x for itself, all */
    GenXWay x_way;
    GenBoxPlan x, w;
    GenBoxPlan rounded; /* GEN_X_ROUNDED: x of a k-block in W's type */
    int rounded_tiles;  /* that take turns: one is written while those of the groups under way are multiplied */
    int rounded_offset; /* in shared memory */
    int regs_producer, regs_consumer; /* of a thread, by setmaxnreg; regs_producer = 0: without it */
    int chunk_cols;     /* y leaves in chunks of so many columns */
    int chunk_row_bytes; /* of its buffer: 128, swizzled, or an odd multiple of 16 */
    bool chunk_swizzled;
    int row_chunks;     /* in 64 rows of a consumer's tile */
    int chunks;
    int chunk_rows;     /* of y: 64, or, swapped, all of the tile */
    int chunk_bytes;    /* of the buffer for one */
    int out_buffers;    /* of a consumer */
    bool chunked;       /* y goes through these buffers; of few rows, swapped, it is stored by elements */
    bool tma_store;     /* from there by TMA, or by the lanes of a warp, row after row */
    int finishers;      /* blocks of a cluster that share k: those that finish parts of the tile, ... */
    int finisher_groups; /* so many times 8 columns of y each; swapped: rows */
    int finish_n;       /* not swapped: columns of a consumer's tile that its block finishes; wg_n if it has k for itself */
    int exchange_offset, exchange_bytes;         /* in shared memory: what the cluster's blocks hand to one of them */
    bool exchange_in_ring;                       /* it is there when the main loops of all of them are over */
    int store_offset, bias_offset;               /* in shared memory; the ring is at 0 */
    int barrier_offset, out_barrier_offset;      /* of the ring; of the buffers of y */
    int loop_waits;     /* wgmma groups that may be under way when a k-block is issued */
    int ahead_blocks;   /* first k-blocks of W that L2 is asked for while the kernel before may still run */
} GenWgmmaPlan;

struct GenPlan {
    GenConfig config;
    GenExpr epilogue;
    char name[GEN_MAX_NAME];

    int warps, threads;
    int warp_m, warp_n;     /* tile of a warp */
    int mma_m, mma_n;       /* its 16-row and 8-column mma tiles */
    int k_steps;            /* mma k-steps (16) of a k-block */
    bool by_columns;        /* mma go by column tiles of W where they can, else by row tiles of x */
    int copy_steps;         /* k-steps among which the copy of a k-block is shared out */
    int w_frag_pairs;       /* pairs of W's 8-column tiles whose fragments are in registers */

    GenWgmmaPlan g;

    GenOperandPlan x, w;
    int raw_sets; /* k-blocks that are on their way through registers before the main loop */
    int stage_bytes, ring_bytes; /* of a k-block of x and W; of all stages */
    int smem_bytes;

    int regs_acc, regs_frag, regs_address; /* 32-bit registers a thread needs for sure */
    int regs_estimate;                     /* with what the rest takes by experience */
    int blocks_per_sm;
    int regs_limit;                        /* that a thread may have then */

    int slot_bytes;     /* of the workspace, for each block that shares tiles: a tile's accumulators */
    int turn_offset;    /* in shared memory, behind all else: a word that blocks which share tiles keep there */
    int parts_at_once;  /* 16-byte vectors of it that a lane loads together */
    int busy_blocks;    /* blocks on an SM that keep it busy */

    int y_bytes, bias_bytes; /* of an element */
    int y_piece_bytes;       /* what a lane stores to y at once */
    int y_piece_elems;
    int y_row_lanes;         /* lanes along a row of a warp's tile, at most 32 */
    int y_row_parts;         /* turns that 32 lanes need for a row */
    bool y_row_idle;         /* lanes are left over in the last of them */
    int y_pitch_bytes;       /* of a row on its way through shared memory */
    int y_buffer_bytes;      /* of 16 such rows; a warp has two */
    int bias_offset;         /* in shared memory: the bias of the tile's columns, as fp32 */
    bool bias_early;         /* that has room beside the ring, and is there before the main loop */
};

enum {
    GEN_CHUNK_BYTES = 16,    /* what a thread copies at once at most */
    GEN_LINE_BYTES = 128,    /* of memory and caches */
    GEN_SWIZZLE_BYTES = 128, /* rows in shared memory that TMA swizzles and wgmma reads */
    GEN_EVEN_COLS = 16,      /* by multiples of which tiles are narrower (even_wgmma.c) */
    GEN_WG_THREADS = 128,    /* of a warpgroup */
    GEN_MAX_REGS = 255,
    GEN_ASK_SHARERS = 8,     /* blocks along n of which each asks L2 for a share of x's rows (copy.h) */
    GEN_FLAG_BYTES = 8,      /* of the workspace, behind the slots */
};

/* How rows of a warp tile are dealt where lanes read words: of 8 * deal rows come 0, deal .. 7 * deal, then 1, deal + 1 ..
 * (copy.h). gen_deal: as many as begin at different bytes of a chunk; 1, none, if a warp has no whole deals. */
static inline int gen_deal(int align_bytes, int warp_rows)
{
    int deal = GEN_CHUNK_BYTES / align_bytes;
    return warp_rows % (8 * deal) == 0 ? deal : 1;
}
/* The row that stands at `place`. gen_dealt_row() writes the same into a kernel. */
static inline int gen_dealt(int deal, int place)
{
    int eight = place / 8;
    return eight / deal * deal * 8 + place % 8 * deal + eight % deal;
}

/* plan_wgmma.c: the rest of a plan whose epilogue and name are there. */
bool gen_plan_wgmma(const GenConfig *config, GenPlan *plan, GenError *error);

/* Fills *plan, or refuses the config in a sentence. */
bool gen_plan(const GenConfig *config, GenPlan *plan, GenError *error);

#endif
