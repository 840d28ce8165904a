/* packing.c: what is packed, and where. */
#include "dispatch/packing.h"
#include "dispatch/kernels.h"

/* Rows begin at whole lines of 128 bytes. */
static RtPacked place(RtPacking *packing, const ts_matrix *matrix, GenLayout layout, int64_t rows,
                      int64_t cols)
{
    enum { LINE_ELEMS = 64 };
    RtPacked p = {{*matrix, rows, cols}, .columns = layout == GEN_LAYOUT_COL, .offset = packing->bytes};
    if (p.columns) {
        p.rows = (RtRows){*matrix, cols, rows};
        p.rows.matrix.row_stride = matrix->col_stride, p.rows.matrix.col_stride = matrix->row_stride;
    }
    packing->strided |= layout == GEN_LAYOUT_ANY;
    p.pitch = (p.rows.elems + LINE_ELEMS - 1) / LINE_ELEMS * LINE_ELEMS;
    packing->bytes += (size_t)p.rows.count * (size_t)p.pitch * 2;
    return p;
}

ts_status rt_packing_choose(ts_context *context, const ts_linear_args *args, RtPacking *packing)
{
    GenProblem problem;
    const char *pinned;
    bool pack_x, pack_w;
    *packing = (RtPacking){0};
    ts_status status = rt_kernels_pinned(context, &pinned);
    if (status || pinned || rt_problem_is_empty(args)) return status;
    status = rt_kernels_problem(context, args, &problem);
    if (status) return status;
    status = rt_kernels_choose_packing(context, args, &problem, &pack_x, &pack_w);
    if (status) return status;
    if (pack_x) packing->x = place(packing, &args->x, problem.x_layout, args->m, args->k);
    if (pack_w) packing->w = place(packing, &args->w, problem.w_layout, args->n, args->k);
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

static void read_packed(ts_matrix *matrix, const RtPacked *p, ts_device_ptr workspace, ts_dtype type)
{
    if (!p->rows.count) return;
    *matrix = ts_matrix_make(workspace + p->offset, p->pitch, type);
    if (p->columns) matrix->row_stride = 1, matrix->col_stride = p->pitch;
}

ts_linear_args rt_packing_args(const ts_linear_args *args, const RtPacking *packing)
{
    ts_linear_args packed = *args;
    if (packing->bytes) packed.workspace = 0, packed.workspace_bytes = 0; /* it is taken */
    read_packed(&packed.x, &packing->x, args->workspace, args->w.dtype);
    read_packed(&packed.w, &packing->w, args->workspace, args->w.dtype);
    return packed;
}

ts_status rt_packing_launch(const ts_kernel *pack, const ts_linear_args *args, const RtPacking *packing,
                            ts_stream stream)
{
    const RtPacked *x = &packing->x, *w = &packing->w;
    const RtRows none = {0};
    bool both = x->rows.count && w->rows.count, together = !both || x->rows.elems == w->rows.elems;
    ts_status status = rt_check_pack(pack, &x->rows, &w->rows);
    if (status) return status;
    if (together) {
        int64_t pitch = x->rows.count ? x->pitch : w->pitch;
        return rt_launch_pack(pack, &x->rows, &w->rows, args->workspace, pitch, stream);
    }
    status = rt_launch_pack(pack, &x->rows, &none, args->workspace + x->offset, x->pitch, stream);
    return status ? status
                  : rt_launch_pack(pack, &none, &w->rows, args->workspace + w->offset, w->pitch, stream);
}
