/* packing.c: what is packed, and where. */
#include "dispatch/packing.h"
#include "dispatch/kernels.h"

/* Rows begin at whole lines of 128 bytes. */
ts_status rt_packing_choose(ts_context *context, const ts_linear_args *args, RtPacking *packing)
{
    enum { LINE_ELEMS = 64 };
    GenProblem problem;
    const char *pinned;
    *packing = (RtPacking){0};
    ts_status status = rt_kernels_pinned(context, &pinned);
    if (status || pinned || rt_problem_is_empty(args)) return status;
    status = rt_kernels_problem(context, args, &problem);
    if (status) return status;
    gen_choose_packing(&problem, &packing->x, &packing->w);
    packing->pitch = (args->k + LINE_ELEMS - 1) / LINE_ELEMS * LINE_ELEMS;
    packing->w_offset = packing->x ? (size_t)args->m * (size_t)packing->pitch * 2 : 0;
    packing->bytes = packing->w_offset + (packing->w ? (size_t)args->n * (size_t)packing->pitch * 2 : 0);
    return TS_OK;
}

ts_status rt_packing_use(ts_context *context, const ts_linear_args *args, RtPacking *packing)
{
    *packing = (RtPacking){0};
    if (!args->workspace) return TS_OK;
    ts_status status = rt_check_workspace_address(args);
    if (!status) status = rt_packing_choose(context, args, packing);
    if (status || packing->bytes > args->workspace_bytes) *packing = (RtPacking){0};
    return status;
}

ts_linear_args rt_packing_args(const ts_linear_args *args, const RtPacking *packing)
{
    ts_linear_args packed = *args;
    if (packing->bytes) packed.workspace = 0, packed.workspace_bytes = 0; /* it is taken */
    if (packing->x) packed.x = ts_matrix_make(args->workspace, packing->pitch, args->x.dtype);
    if (packing->w)
        packed.w = ts_matrix_make(args->workspace + packing->w_offset, packing->pitch, args->w.dtype);
    return packed;
}
