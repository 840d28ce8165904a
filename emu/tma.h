/* tma.h: copies of boxes of a tensor by the TMA (PTX ISA 5.5, 9.7.9.25.5.2), and the tensor map.
 *
 * A load lands row by row, in pieces at random times, its bytes in flight from issue until their mbarrier has
 * counted them; a multicast is one such load a block. Loads may overlap where they bring the same bytes from the same
 * places of a tensor, for the same phase of an mbarrier. A store reads its box at a random time before the wait
 * that covers it, and writes global memory at a later one.
 */
#ifndef EMU_TMA_H
#define EMU_TMA_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/mbarrier.h"

enum { TENSOR_MAP_BYTES = 128, TENSOR_RANK = 5 };
#define TENSOR_MAP_MAGIC 0x7E45054D41500001ull

/* What cuTensorMapEncodeTiled writes into the 128 bytes: this driver's own encoding. */
typedef struct TensorMap {
    uint64_t magic, base;
    uint64_t dim[TENSOR_RANK];        /* elements */
    uint64_t stride[TENSOR_RANK - 1]; /* bytes, of dimension i + 1 */
    uint16_t box[TENSOR_RANK];        /* elements */
    uint8_t rank, element_bytes;
    uint8_t swizzle_bits; /* 0: none; 1, 2, 3: spans of 32, 64, 128 bytes */
    uint8_t fill_nan;     /* what stands outside the tensor: 0, or a NaN */
} TensorMap;
_Static_assert(sizeof(TensorMap) <= TENSOR_MAP_BYTES, "a tensor map has 128 bytes");

typedef struct Transfer {
    TensorMap map;
    int32_t column, row; /* of the box's corner in the tensor */
    struct Block *block; /* whose shared memory */
    uint32_t address;    /* there */
    uint32_t pc;
    struct Warp *warp; /* that issued it */
    uint8_t lane;
    bool store;
    /* of a load */
    Mbarrier *mbarrier;
    uint32_t phase;         /* of it, that counts the bytes */
    uint32_t first, landed; /* rows land in turn, from `first` on */
    bool done;              /* all of them; it is kept until the phase ends, for others may bring the same bytes */
    /* of a store */
    uint32_t group; /* of its lane; NO_GROUP until the commit */
    bool read, read_waited, written;
    unsigned char *data; /* the box, once read */
} Transfer;

typedef struct Transfers {
    Transfer *at;
    int n, capacity;
    uint32_t patience; /* bursts of warps between two steps, on average */
} Transfers;

void transfers_new_cluster(struct Cluster *c);
/* Lets a bit of one copy happen; false when none is under way. */
bool transfers_step(struct Cluster *c);
/* Ends of a thread, of a block, of the cluster. */
void transfers_end_lanes(struct Warp *w, uint32_t lanes);
void transfers_end_block(struct Warp *last);
void transfers_end_cluster(struct Cluster *c);
void transfers_close(struct Cluster *c);

#endif
