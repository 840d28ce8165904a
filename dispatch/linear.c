/* linear.c: ts_linear(): a problem's kernel is found, its operands are packed where that is faster, and it is
 * launched. What is not packed may have a config whose blocks share tiles, which hand sums over through the
 * workspace.
 */
#include "dispatch/kernels.h"
#include "dispatch/packing.h"

static ts_status launch_packed(ts_context *context, const ts_linear_args *args, const RtPacking *packing,
                               ts_stream stream)
{
    ts_kernel *kernel, *pack;
    RtGrid grid;
    ts_linear_args packed = rt_packing_args(args, packing);
    ts_status status = rt_kernels_find(context, &packed, &stream, &kernel);
    if (!status) status = rt_kernels_find_packing(context, args, packing->strided, &stream, &pack);
    if (!status) status = rt_launch_check(kernel, &packed, &grid); /* before anything is launched */
    if (!status) status = rt_packing_launch(pack, args, packing, stream);
    return status ? status : rt_launch_checked(kernel, &packed, grid, stream);
}

/* ---- the operation ---- */

ts_status ts_linear(ts_context *context, const ts_linear_args *args, ts_stream stream)
{
    ts_linear_args copy;
    ts_kernel *kernel;
    RtPacking packing;
    ts_status status = rt_problem_read(context, &args, &copy);
    if (status || rt_problem_is_empty(args)) return status;
    status = rt_packing_use(context, args, &packing);
    if (status) return status;
    if (packing.bytes) return launch_packed(context, args, &packing, stream);
    status = rt_kernels_find(context, args, &stream, &kernel);
    return status ? status : rt_launch(kernel, args, stream);
}

enum { ALIGNED_ADDRESS = 1 << 20 }; /* stands for one that is not known yet */

/* What blocks that share tiles need, if the config has such: the pinned one, or what would be chosen if there
 * were enough. That is rounded up to a power of 2, by which choices are remembered. */
static ts_status shared_tiles_workspace(ts_context *context, const ts_linear_args *args, bool pinned,
                                        size_t *bytes)
{
    GenConfig config;
    GenProblem problem;
    ts_linear_args rich = *args;
    if (!pinned) rich.workspace = ALIGNED_ADDRESS, rich.workspace_bytes = SIZE_MAX / 2;
    ts_status status = rt_kernels_choose(context, &rich, &config);
    if (!status) status = rt_kernels_problem(context, &rich, &problem);
    uint64_t needed = status ? 0 : gen_workspace_bytes(&config, &problem);
    *bytes = needed && !pinned ? 1 : (size_t)needed;
    while (*bytes < needed) *bytes *= 2;
    return status;
}

ts_status ts_linear_workspace(ts_context *context, const ts_linear_args *args, size_t *bytes)
{
    ts_linear_args copy;
    RtPacking packing;
    const char *pinned;
    if (!bytes) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "bytes is null: pass the address of a size_t");
    *bytes = 0;
    ts_status status = rt_problem_read(context, &args, &copy);
    if (status || rt_problem_is_empty(args)) return status;
    status = rt_kernels_pinned(context, &pinned);
    if (status) return status;
    if (pinned) return shared_tiles_workspace(context, args, true, bytes);
    status = rt_packing_choose(context, args, &packing);
    *bytes = packing.bytes;
    if (status || packing.bytes || !gen_may_share(args->m, args->n, args->k)) return status;
    return shared_tiles_workspace(context, args, false, bytes);
}

/* Whether the launch will be possible, addresses that are not known yet put aside. */
static ts_status check_ahead(const ts_kernel *kernel, const ts_linear_args *args)
{
    RtGrid grid;
    ts_linear_args ahead = *args;
    if (!ahead.x.data) ahead.x.data = ALIGNED_ADDRESS;
    if (!ahead.w.data) ahead.w.data = ALIGNED_ADDRESS;
    if (!ahead.y.data) ahead.y.data = ALIGNED_ADDRESS;
    if (!ahead.r.data && kernel->header.has[RT_PARAM_r]) {
        ahead.r.data = ALIGNED_ADDRESS;
        if (!ahead.r.dtype)
            ahead.r = ts_matrix_make(ALIGNED_ADDRESS, ahead.n, kernel->header.type[RT_TENSOR_r]);
    }
    return rt_launch_check(kernel, &ahead, &grid);
}

ts_status ts_linear_prepare(ts_context *context, const ts_linear_args *args, const ts_kernel **kernel)
{
    ts_linear_args copy, packed;
    ts_kernel *found, *pack;
    RtPacking packing;
    if (kernel) *kernel = NULL;
    ts_status status = rt_problem_read(context, &args, &copy);
    if (status || rt_problem_is_empty(args)) return status;
    status = rt_packing_use(context, args, &packing);
    if (!status && packing.bytes)
        status = rt_kernels_find_packing(context, args, packing.strided, NULL, &pack);
    if (status) return status;
    packed = rt_packing_args(args, &packing);
    status = rt_kernels_find(context, &packed, NULL, &found);
    if (!status) status = check_ahead(found, &packed);
    if (!status && kernel) *kernel = found;
    return status;
}
