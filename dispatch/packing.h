/* packing.h: rows of x or W that are not aligned or have gaps between their elements, or of an x of another type than W's
 * (columns where these have neighbouring elements), are copied to the caller's workspace, where they are aligned, without gaps
 * and of W's type, in front of the kernel. The problem that is chosen for is then the one that reads them there. */
#ifndef DISPATCH_PACKING_H
#define DISPATCH_PACKING_H

#include "dispatch/problem.h"
#include "runtime/kernel.h"

/* A matrix that is packed: as rows, which are its columns if it is column-major, and where they go. No rows: it is not. */
typedef struct RtPacked {
    RtRows rows;
    bool columns;
    int64_t pitch; /* elements */
    size_t offset; /* in the workspace, bytes */
} RtPacked;

typedef struct RtPacking {
    RtPacked x, w;
    bool strided; /* what is packed has gaps between the elements of rows */
    size_t bytes; /* 0: nothing is packed */
} RtPacking;

/* What would be packed, given a workspace. With a pinned config nothing is. */
ts_status rt_packing_choose(ts_context *context, const ts_linear_args *args, RtPacking *packing);
/* What is packed: nothing without a workspace that is large enough. */
ts_status rt_packing_use(ts_context *context, const ts_linear_args *args, RtPacking *packing);
/* The problem as the kernel sees it, reading what was packed. */
ts_linear_args rt_packing_args(const ts_linear_args *args, const RtPacking *packing);
/* Packs, by one launch if rows of both are equally long; nothing is launched if something is wrong with either. */
ts_status rt_packing_launch(const ts_kernel *pack, const ts_linear_args *args, const RtPacking *packing,
                            ts_stream stream);

#endif
