/* wgmma.h: what the files of the wgmma back end share.
 *
 *     gemm_wgmma.c     the algorithm; barriers, the ring, tiles, the kernel
 *     produce_wgmma.c  the warpgroup that copies
 *     consume_wgmma.c  those that multiply: products, main loops, from tile to tile
 *     convert_wgmma.c  x of another type than W's, from its slots to registers
 *     round_wgmma.c    the same with swapped operands, into shared memory
 *     exchange_wgmma.c the sums of blocks that share a tile along k
 *     even_wgmma.c     tiles of different widths
 *     store_wgmma.c    from accumulators to y
 *     store_swapped.c  the same with swapped operands
 */
#ifndef GEN_WGMMA_H
#define GEN_WGMMA_H

#include "gen/gemm.h"

enum { X_PLACES = 4 };
/* Named barriers: all threads; one a consumer; one a turn in pingpong. */
enum { BAR_ALL = 0, BAR_CONSUMER = 1, BAR_TURN = 4 };

/* A place in the ring of stages: the slot, and the parity of the turn round the ring. */
typedef struct GenRing {
    PtxArg slot, phase; /* b32 */
} GenRing;

/* The tiles among which a tile is walked to: all of them, or those of some rows (even_wgmma.c). All b32. */
typedef struct TilePart {
    PtxArg tile;        /* which of them */
    PtxArg end;         /* the last row of tiles ends here */
    PtxArg columns;     /* tiles in a row */
    PtxArg group_tiles; /* in a group of rows */
} TilePart;

typedef struct Wgmma {
    Gemm *gemm;
    PtxKernel *k;
    const GenPlan *plan;
    const GenWgmmaPlan *h;
    int n_labels;
    /* of all threads */
    PtxArg smem;              /* b32: the ring, which shared memory begins with */
    PtxArg rank;              /* b32: of this block in its cluster; PTX_NONE without clusters */
    PtxArg rank_m, rank_n;    /* b32: of this block along m and n, where the cluster has more than one there */
    PtxArg warpgroup;         /* b32: 0 copies */
    PtxArg x_map, w_map, y_map; /* b64: addresses of the tensor maps */
    PtxArg k_blocks;          /* b32: of a tile, those of this block */
    PtxArg first_k_block;     /* b32: of them, where the cluster's blocks share k */
    PtxArg leave;             /* label, of a cluster that shares k: behind its last barrier */
    PtxArg tiles, tiles_m, tiles_n, group_tiles; /* b32: tiles of a cluster: all, along m, n, in a group of rows */
    PtxArg tile, tile_step;   /* b32: this cluster's tile, and how far its next one is */
    PtxArg row0, col0;        /* b32: origin of this block's tile */
    /* of even_wgmma.c, b32 */
    PtxArg more_groups, more_rows; /* the first groups of rows of tiles, and their rows, which have one more each */
    PtxArg lacks;             /* columns that this tile lacks: 0, 16, ... */
    TilePart part;            /* that it is in */
    PtxArg part_group;        /* the first group of that */
    GenRing ring;
    PtxArg p;                 /* predicate, scratch */
    PtxArg evict_first;       /* b64: for L2, of the warpgroup that copies */
    /* of consumers */
    PtxArg consumer, thread;  /* b32: which of the consumers; thread in it, 0 to 127 */
    PtxArg x_desc, w_desc;    /* b64: descriptors of this consumer's operands in slot 0 */
    PtxArg acc;               /* f32[regs_acc] */
    int wgmma_n;              /* of the main loop that is written: h->wgmma_n, or a narrower tile's */
    /* of convert_wgmma.c */
    PtxArg x_read, x_at;      /* b32[X_PLACES]: where this lane reads x in slot 0, and in the slot at hand */
    PtxArg x_odd;             /* predicate: the lane's rows are odd; round_wgmma.c: the lane is an upper one of eight */
    PtxArg x_raw, x_halves, x_words; /* f32[], b16[2], b32[]: elements on their way */
    PtxArg x_fragments;       /* b32[]: of two pairs of k-steps */
    /* of round_wgmma.c */
    PtxArg x_tile;            /* b32: which of the tiles of rounded x the k-block at hand has: they take turns */
    PtxArg x_from, x_to;      /* b32: where this thread reads x in slot 0; where it writes it, less rounded_offset */
    /* of store_wgmma.c */
    Epilogue epilogue;
    PtxArg bias_at, bias_raw; /* b32: this consumer's bias in shared memory; f32[]: on its way there */
    PtxArg bias_base, p_bias; /* b64: address of the bias; predicate: there is one */
    PtxArg bias_pair;         /* b32: of this lane's first column */
    GenRing out;              /* the two buffers of y */
    PtxArg out_at;            /* b32: bytes to the buffer at hand */
    PtxArg out_barriers;      /* b32: this consumer's barriers of them */
    PtxArg first_lane;        /* predicate: lane 0 of a warp */
    PtxArg stage_at;          /* b32[]: where this lane writes 32 bytes of a row, in buffer 0 */
    PtxArg y_odd;             /* predicate: its rows are odd (f32, swizzled) */
    PtxArg packed;            /* b32[]: y of a chunk, by pairs, where it has 16 bits */
    PtxArg kept;              /* b32[]: the last of them of the chunk before (even_wgmma.c) */
    PtxArg store_at;          /* b32: buffer 0 of this consumer */
    PtxArg row, col;          /* b32: of y, of this lane's first element in the tile */
    PtxArg rows_left, cols_left; /* b32, signed: from there to the end of y */
    PtxArg r_at, r_pitch;     /* b64: its place in r; a row of r in bytes */
    PtxArg y_at, y_pitch, y_col_step; /* b64: where TMA does not store: this lane's piece in y, strides in bytes */
    PtxArg piece_row, piece_col;      /* b32: of that piece in a chunk, in the warp's first turn */
    PtxArg piece_at;                  /* b32: its place in the buffer */
    PtxArg turn_row;                  /* b32: the first of the rows that 32 lanes store in a turn */
    PtxArg bias, z, r, y;     /* f32[4] */
    PtxArg p_row, p_col;
    /* of store_swapped.c, which uses the above too: bias f32[2 a wgmma]; by elements y_at, r_at b64[2]; p_rows: of two rows */
    PtxArg p_rows;
    PtxArg lane_row, lane_col; /* b32: this lane's first element of y in the block's tile */
} Wgmma;

/* Registers. */
static inline PtxArg word(Wgmma *g, const char *name) { return ptx_reg(g->k, PTX_B32, name); }
static inline PtxArg wide(Wgmma *g, const char *name) { return ptx_reg(g->k, PTX_B64, name); }

static inline bool wgmma_clusters(const Wgmma *g) { return g->h->cluster > 1; }
static inline bool wgmma_shares_loads(const Wgmma *g) { return g->h->load_sharers > 1; }
static inline bool wgmma_shares_k(const Wgmma *g) { return g->plan->config.cluster_k > 1; }
static inline bool wgmma_rounds(const Wgmma *g) { return g->h->x_way == GEN_X_ROUNDED; }
static inline bool wgmma_x_f32(const Wgmma *g) { return g->plan->config.x == GEN_F32; }
/* The accumulators that a lane has of 8 columns of wgmma i's, group `group`: two columns by two rows. */
enum { GROUP_ACC = 4 };
static inline PtxArg wgmma_group_acc(const Wgmma *g, int i, int group)
{
    return span(g->acc, i * g->h->acc_regs + GROUP_ACC * group, GROUP_ACC);
}
static inline bool wgmma_even(const Wgmma *g) { return g->plan->config.even > 0; }
static inline int wgmma_skew(const Wgmma *g) { return g->plan->config.skew_blocks; }
static inline int wgmma_stages(const Wgmma *g) { return g->plan->config.stages; }
/* Of the ring's barriers in shared memory: full[0]; empty[0], behind all full ones. */
static inline int wgmma_full_offset(const Wgmma *g) { return g->h->barrier_offset; }
static inline int wgmma_empty_offset(const Wgmma *g) { return g->h->barrier_offset + 8 * wgmma_stages(g); }

/* gemm_wgmma.c */
/* A label nobody else has: "name_7". */
PtxArg gen_wgmma_label(Wgmma *g, const char *name);
/* All 128 threads of this consumer meet; what they wrote to shared memory is seen by all of them. */
void gen_wgmma_meet(Wgmma *g);
/* `threads` threads meet at one of the named barriers base, base + 1, ... by `which` of `count`, or arrive there only. */
void gen_wgmma_named_barrier(Wgmma *g, PtxArg which, int base, int count, int threads, bool arrive);
/* Waits until the phase of this parity of an mbarrier is over. */
void gen_wgmma_wait(Wgmma *g, const char *name, PtxArg barrier, PtxArg parity);
/* All threads of the cluster meet: what they wrote to each other's shared memory is there. */
void gen_wgmma_cluster_sync(Wgmma *g);
/* Where loads are shared: the barriers of all blocks are there. */
void gen_wgmma_wait_for_cluster(Wgmma *g);
GenRing gen_wgmma_ring(Wgmma *g, const char *slot, const char *phase);
/* The barrier of a slot among those that begin at `offset` (full or empty), by an address in word_scratch[1]. */
PtxArg gen_wgmma_slot_barrier(Wgmma *g, GenRing r, int offset);
/* To the next of `slots` slots. */
void gen_wgmma_advance(Wgmma *g, GenRing r, int slots);
/* The cluster's first tile; away, if there is none (any more). */
void gen_wgmma_cluster_tile(Wgmma *g);
void gen_wgmma_leave_without_tile(Wgmma *g, PtxArg to);
/* The first tile of consumer g->consumer; its place; its next tile. */
void gen_wgmma_first_tile(Wgmma *g);
void gen_wgmma_tile_place(Wgmma *g);
/* The tiles that the tile at hand, which has its place, is among. */
TilePart gen_wgmma_part(const Wgmma *g);
void gen_wgmma_next_tile(Wgmma *g);

/* even_wgmma.c: what stays the same for all tiles (rows that have one more; tiles are counted anew); the part that the tile
 * at hand is in; its col0 and what it lacks, from col0 as a number of tiles; away, unless it lacks so many columns, to a
 * label that is to be set. */
void gen_even_walk(Wgmma *g);
void gen_even_part(Wgmma *g);
void gen_even_columns(Wgmma *g);
PtxArg gen_even_unless(Wgmma *g, int lacks);
/* Of a consumer: words that are kept of the chunk before the last, of so many column tiles; and those of the last one move
 * behind them. */
int gen_even_kept_words(const Wgmma *g);
void gen_even_keep(Wgmma *g, int tiles);
void gen_even_move(Wgmma *g, int tiles);

/* produce_wgmma.c, consume_wgmma.c: all that a warpgroup does until `end`. */
void gen_wgmma_copy(Wgmma *g, PtxArg end);
void gen_wgmma_consume(Wgmma *g, PtxArg end);

/* convert_wgmma.c, of a consumer: what stays the same; to a slot; reads k-steps `step`, which is even, and step + 1, into
 * registers, which are those of steps 4 before, too; those of a step and a wgmma. */
void gen_wgmma_x_setup(Wgmma *g);
void gen_wgmma_x_slot(Wgmma *g, PtxArg slot);
void gen_wgmma_x_read(Wgmma *g, int step);
PtxArg gen_wgmma_x_fragment(const Wgmma *g, int step, int wgmma);

/* round_wgmma.c, of a consumer: what stays the same; rounds the x of a slot, until all its threads have. */
void gen_wgmma_round_setup(Wgmma *g);
void gen_wgmma_round(Wgmma *g, PtxArg slot, PtxArg block);

/* exchange_wgmma.c, where the blocks of a cluster share k: of a consumer, its sums become those of the part of the tile
 * that its block finishes; of whole warps that only come to the barriers of the cluster; and away from a block without
 * such a part. */
void gen_wgmma_exchange(Wgmma *g);
void gen_wgmma_wait_for_exchange(Wgmma *g);
void gen_wgmma_leave_unless_finisher(Wgmma *g);

/* store_wgmma.c */
/* Of a consumer: what stays the same for all tiles; what begins a tile (its bias is loaded); what ends its main loop
 * (the bias is put into shared memory); and the chunks first .. last - 1 of its tile: z, epilogue, y. */
void gen_wgmma_store_setup(Wgmma *g);
void gen_wgmma_store_begin(Wgmma *g);
void gen_wgmma_store_bias(Wgmma *g);
void gen_wgmma_store_chunks(Wgmma *g, int first, int last);
/* Registers that rows and columns of x on either side of wgmma need; where bias is, if there is one. */
void gen_wgmma_store_declare(Wgmma *g);
void gen_wgmma_bias_base(Wgmma *g);
/* The buffers of y that TMA reads, of a consumer: what stays the same for all tiles; before the first write to the
 * one at hand, which is `out_at` bytes behind store_at; behind the last one, and to the next buffer. */
void gen_wgmma_out_setup(Wgmma *g);
void gen_wgmma_out_wait(Wgmma *g);
void gen_wgmma_out_hand_over(Wgmma *g);
/* Where TMA does not store: what stays the same; and a chunk from its buffer to y, whose tile for this consumer begins at
 * row, col. Each warp copies as many rows as the others. rows_left and cols_left are used up. */
void gen_wgmma_piece_setup(Wgmma *g);
void gen_wgmma_store_rows(Wgmma *g, int chunk);
/* Of the thread that stores for consumer g->consumer by TMA. */
void gen_wgmma_store_thread(Wgmma *g, PtxArg end);
/* A stride of y or r, which have the same type, in bytes: from a parameter in elements. */
PtxArg gen_wgmma_stride_bytes(Wgmma *g, const char *name, PtxArg param);
/* The barriers of consumer 0's buffers, by one thread. */
void gen_wgmma_store_barriers(Wgmma *g);

/* store_swapped.c, of a consumer: what stays the same for all tiles; what begins a tile; z, epilogue, y. */
void gen_swapped_setup(Wgmma *g);
void gen_swapped_begin(Wgmma *g);
void gen_swapped_store(Wgmma *g);

#endif
