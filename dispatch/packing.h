/* packing.h: rows of x or W that are not aligned are copied to the caller's workspace, where they are, in front of the
 * kernel. The problem that is chosen for is then the one that reads them there. */
#ifndef DISPATCH_PACKING_H
#define DISPATCH_PACKING_H

#include "dispatch/problem.h"

/* What is packed, and where in the workspace. */
typedef struct RtPacking {
    bool x, w;
    int64_t pitch; /* elements */
    size_t w_offset, bytes;
} RtPacking;

/* What would be packed, given a workspace. With a pinned config nothing is. */
ts_status rt_packing_choose(ts_context *context, const ts_linear_args *args, RtPacking *packing);
/* What is packed: nothing without a workspace that is large enough. */
ts_status rt_packing_use(ts_context *context, const ts_linear_args *args, RtPacking *packing);
/* The problem as the kernel sees it, reading what was packed. */
ts_linear_args rt_packing_args(const ts_linear_args *args, const RtPacking *packing);

#endif
