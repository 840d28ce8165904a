/* linear.c: ts_linear(): a problem's kernel is found, its operands are packed where that is faster, and it is
 * launched. With a pinned config nothing is packed: then the workspace is for blocks that share tiles, if the
 * config has such.
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
    if (!status) status = rt_kernels_find_packing(context, &stream, &pack);
    if (!status) status = rt_launch_check(kernel, &packed, &grid); /* before anything is launched */
    if (!status) status = rt_launch_pack(pack, args, packing->x, packing->w, packing->pitch, stream);
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

/* What blocks that share tiles need under the pinned config; nothing is packed for it. */
static ts_status pinned_workspace(ts_context *context, const ts_linear_args *args, size_t *bytes)
{
    GenConfig config;
    GenProblem problem;
    ts_status status = rt_kernels_choose(context, args, &config);
    if (!status) status = rt_problem_of(context, args, &problem);
    if (!status) *bytes = (size_t)gen_workspace_bytes(&config, &problem);
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
    if (pinned) return pinned_workspace(context, args, bytes);
    status = rt_packing_choose(context, args, &packing);
    if (!status) *bytes = packing.bytes;
    return status;
}

/* Whether the launch will be possible, addresses that are not known yet put aside. */
static ts_status check_ahead(const ts_kernel *kernel, const ts_linear_args *args)
{
    enum { ALIGNED_ADDRESS = 1 << 20 };
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
    if (!status && packing.bytes) status = rt_kernels_find_packing(context, NULL, &pack);
    if (status) return status;
    packed = rt_packing_args(args, &packing);
    status = rt_kernels_find(context, &packed, NULL, &found);
    if (!status) status = check_ahead(found, &packed);
    if (!status && kernel) *kernel = found;
    return status;
}
