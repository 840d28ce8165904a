/* launch.c: a launch of a loaded kernel: check the arguments against its header, fill in the values, call the
 * driver. Nothing here locks or waits, or allocates but for a new tensor map (maps.c).
 *
 * Checks go from general to special: sizes and types of all, then, when there is something to do, strides,
 * addresses and alignments. With k = 0 nothing of x and w is read, and so nothing of them is checked but
 * types.
 */
#include "runtime/kernel.h"

#include <stdio.h>

#include "gen/shares.h"

enum { ARGS_BYTES = RT_BYTES_THROUGH(ts_linear_args, epilogue), MAX_GRID_Y = 65535 };

/* ---- sizes ---- */

static ts_status check_size(const char *name, int64_t size)
{
    if (size >= 0 && size <= INT32_MAX) return TS_OK;
    return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is %lld: it must be from 0 to %d", name, (long long)size,
                   INT32_MAX);
}

ts_status rt_args_read(const ts_linear_args **args, ts_linear_args *copy)
{
    ts_status status = TS_OK;
    if (!*args) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "args is null");
    if ((*args)->struct_size != sizeof **args) {
        status = rt_read_struct(copy, sizeof *copy, ARGS_BYTES, *args, "ts_linear_args");
        *args = copy;
    }
    if (!status) status = check_size("m", (*args)->m);
    if (!status) status = check_size("n", (*args)->n);
    if (!status) status = check_size("k", (*args)->k);
    return status;
}

/* ---- types ---- */

static ts_status check_type(const ts_kernel *kernel, RtTensor tensor, ts_dtype given)
{
    ts_dtype wanted = kernel->header.type[tensor];
    if (given == wanted) return TS_OK;
    if (!rt_dtype_bytes(given))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "the type of %s is not set: give a ts_dtype",
                       rt_tensor_name[tensor]);
    return rt_fail(
        TS_ERROR_UNSUPPORTED, "%s is %s; the kernel %s takes %s: use a kernel made for these types",
        rt_tensor_name[tensor], ts_dtype_name(given), kernel->header.config, ts_dtype_name(wanted));
}

static ts_status check_types(const ts_kernel *kernel, const ts_linear_args *args)
{
    ts_status status = check_type(kernel, RT_TENSOR_x, args->x.dtype);
    if (!status) status = check_type(kernel, RT_TENSOR_w, args->w.dtype);
    if (!status) status = check_type(kernel, RT_TENSOR_y, args->y.dtype);
    if (!status && args->bias) status = check_type(kernel, RT_TENSOR_bias, args->bias_dtype);
    if (!status && args->r.data) status = check_type(kernel, RT_TENSOR_r, args->r.dtype);
    return status;
}

/* ---- one tensor ---- */

/* A dimension of one element has no stride, whatever is said of it. */
static uint64_t stride(int64_t stride, int64_t size) { return size > 1 ? (uint64_t)stride : 0; }

/* From row to row, or from column to column of a column-major matrix. */
static uint64_t pitch(const ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix, int64_t rows,
                      int64_t cols)
{
    bool by_columns = kernel->header.layout[tensor] == TS_COLUMN_MAJOR;
    return by_columns ? stride(matrix->col_stride, cols) : stride(matrix->row_stride, rows);
}

static uint64_t pitch_bytes(const ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix, int64_t rows,
                            int64_t cols)
{
    return pitch(kernel, tensor, matrix, rows, cols) * (unsigned)rt_dtype_bytes(matrix->dtype);
}

static ts_status misaligned(const ts_kernel *kernel, RtTensor tensor, const char *what,
                            unsigned long long bytes)
{
    return rt_fail(TS_ERROR_MISALIGNED,
                   "the %s of %s is %llu (0x%llx) bytes; the kernel %s needs a multiple of %d: align it, or "
                   "use a kernel made for less",
                   what, rt_tensor_name[tensor], bytes, bytes, kernel->header.config,
                   kernel->header.align_bytes[tensor]);
}

/* Of a power of 2. */
static bool is_multiple(uint64_t number, int power) { return (number & (unsigned)(power - 1)) == 0; }

static ts_status check_address(const ts_kernel *kernel, RtTensor tensor, ts_device_ptr address)
{
    if (!address)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "the address of %s is null", rt_tensor_name[tensor]);
    if (!is_multiple(address, kernel->header.align_bytes[tensor]))
        return misaligned(kernel, tensor, "address", address);
    return TS_OK;
}

/* One dimension of a matrix: `outer` is the one whose stride the kernel calls a pitch. */
typedef struct Dimension {
    const char *stride_name;
    int64_t size, stride;
} Dimension;

static ts_status check_stride(RtTensor tensor, const ts_matrix *matrix, Dimension d)
{
    int64_t bytes;
    if (d.size <= 1) return TS_OK;
    if (d.stride < 0)
        return rt_fail(TS_ERROR_UNSUPPORTED, "%s has %s %lld; it must not be negative",
                       rt_tensor_name[tensor], d.stride_name, (long long)d.stride);
    if (__builtin_mul_overflow(d.stride, (int64_t)rt_dtype_bytes(matrix->dtype), &bytes) ||
        __builtin_mul_overflow(bytes, d.size, &bytes))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT,
                       "%s has %s %lld: %lld of that pass the 64-bit address space", rt_tensor_name[tensor],
                       d.stride_name, (long long)d.stride, (long long)d.size);
    return TS_OK;
}

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

/* No two elements of y at one place: they meet first where so many steps of one stride are as long as so many
 * of the other, the least common multiple. */
static ts_status check_overlap(Dimension a, Dimension b)
{
    bool one_of_a = a.size <= 1, one_of_b = b.size <= 1; /* whose stride means nothing */
    if ((one_of_a || a.stride >= 1) && (one_of_b || b.stride >= 1)) {
        if (one_of_a || one_of_b) return TS_OK;
        int64_t divisor = common_divisor(a.stride, b.stride);
        if (b.stride / divisor >= a.size || a.stride / divisor >= b.size) return TS_OK;
    }
    return rt_fail(TS_ERROR_INVALID_ARGUMENT,
                   "y has %s %lld and %s %lld for %lld x %lld elements: some would overlap", a.stride_name,
                   (long long)a.stride, b.stride_name, (long long)b.stride, (long long)a.size,
                   (long long)b.size);
}

/* What nearly all matrices are, told in a few instructions: neighbours in rows, or columns, that neither
 * overlap nor lie far apart. */
static bool is_plain(ts_layout layout, const ts_matrix *matrix, int64_t rows, int64_t cols)
{
    const int64_t far = 1 << 29;
    bool by_columns = layout == TS_COLUMN_MAJOR;
    int64_t along = by_columns ? matrix->row_stride : matrix->col_stride,
            apart = by_columns ? matrix->col_stride : matrix->row_stride;
    return layout != TS_STRIDED && along == 1 && apart >= (by_columns ? rows : cols) && apart < far;
}

static ts_status check_strides(const ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix,
                               Dimension row, Dimension col)
{
    ts_layout layout = kernel->header.layout[tensor];
    Dimension inner = layout == TS_COLUMN_MAJOR ? row : col, outer = layout == TS_COLUMN_MAJOR ? col : row;
    if (layout != TS_STRIDED && inner.size > 1 && inner.stride != 1)
        return rt_fail(
            TS_ERROR_UNSUPPORTED, "%s has %s %lld; the kernel %s takes 1: use a kernel made for this layout",
            rt_tensor_name[tensor], inner.stride_name, (long long)inner.stride, kernel->header.config);
    ts_status status = check_stride(tensor, matrix, inner);
    if (!status) status = check_stride(tensor, matrix, outer);
    return !status && tensor == RT_TENSOR_y ? check_overlap(row, col) : status;
}

static ts_status check_pitch(const ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix, int64_t rows,
                             int64_t cols)
{
    uint64_t bytes = pitch_bytes(kernel, tensor, matrix, rows, cols);
    if (is_multiple(bytes, kernel->header.align_bytes[tensor])) return TS_OK;
    return misaligned(kernel, tensor, "pitch", bytes);
}

static ts_status check_matrix(const ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix, int64_t rows,
                              int64_t cols)
{
    ts_status status = check_address(kernel, tensor, matrix->data);
    if (!status && !is_plain(kernel->header.layout[tensor], matrix, rows, cols))
        status = check_strides(kernel, tensor, matrix, (Dimension){"row_stride", rows, matrix->row_stride},
                               (Dimension){"col_stride", cols, matrix->col_stride});
    return status ? status : check_pitch(kernel, tensor, matrix, rows, cols);
}

/* ---- all of them ---- */

static ts_status check_bias(const ts_kernel *kernel, const ts_linear_args *args)
{
    if (!args->bias) return TS_OK;
    if (kernel->header.has[RT_PARAM_bias]) return check_address(kernel, RT_TENSOR_bias, args->bias);
    return rt_fail(TS_ERROR_UNSUPPORTED,
                   "a bias is given; the kernel %s takes none: use a kernel made for one",
                   kernel->header.config);
}

static ts_status check_r(const ts_kernel *kernel, const ts_linear_args *args)
{
    bool takes = kernel->header.has[RT_PARAM_r];
    if (takes) return check_matrix(kernel, RT_TENSOR_r, &args->r, args->m, args->n);
    if (!args->r.data) return TS_OK;
    return rt_fail(TS_ERROR_UNSUPPORTED,
                   "r is given; the epilogue of the kernel %s, '%s', does not use it: leave r null",
                   kernel->header.config, kernel->header.epilogue);
}

int rt_n_multiple(const RtHeader *header)
{
    return header->has[RT_PARAM_y_map] ? 16 / rt_dtype_bytes(header->type[RT_TENSOR_y]) : 1;
}

static ts_status check_columns(const ts_kernel *kernel, const ts_linear_args *args)
{
    int multiple = rt_n_multiple(&kernel->header);
    if (is_multiple((uint64_t)args->n, multiple)) return TS_OK;
    return rt_fail(
        TS_ERROR_MISALIGNED,
        "n is %lld; the kernel %s stores y by TMA, 16 bytes at a time, and needs a multiple of %d: use a "
        "kernel that stores less at once (vy8, vy4, vy2)",
        (long long)args->n, kernel->header.config, multiple);
}

static ts_status check_tensors(const ts_kernel *kernel, const ts_linear_args *args)
{
    ts_status status = check_matrix(kernel, RT_TENSOR_y, &args->y, args->m, args->n);
    if (!status) status = check_columns(kernel, args);
    if (!status && args->k) status = check_matrix(kernel, RT_TENSOR_x, &args->x, args->m, args->k);
    if (!status && args->k) status = check_matrix(kernel, RT_TENSOR_w, &args->w, args->n, args->k);
    if (!status) status = check_bias(kernel, args);
    if (!status) status = check_r(kernel, args);
    return status;
}

/* ---- the launch ---- */

static ts_status too_many_blocks(const ts_kernel *kernel, int64_t m, int64_t n)
{
    return rt_fail(
        TS_ERROR_UNSUPPORTED,
        "m=%lld, n=%lld make more tiles of %dx%d than a launch takes (%d along n, %d in all): split the "
        "problem or use larger tiles",
        (long long)m, (long long)n, kernel->header.tile_m, kernel->header.tile_n, MAX_GRID_Y, INT32_MAX);
}

/* Of 32 bits, where they suffice: half the time of 64 on some CPUs, and a launch has several. */
static int64_t ceil_div(int64_t a, int64_t b)
{
    int64_t sum = a + b - 1;
    return sum <= UINT32_MAX ? (uint32_t)sum / (uint32_t)b : sum / b;
}

/* As many clusters as run at one time, or as there are tiles for. */
static ts_status find_persistent_grid(const ts_kernel *kernel, int64_t m, int64_t n, RtGrid *grid)
{
    const RtHeader *h = &kernel->header;
    int cluster = h->cluster_m * h->cluster_n, per_sm = kernel->blocks_per_sm ? kernel->blocks_per_sm : 1;
    int64_t tiles =
        ceil_div(m, (int64_t)h->tile_m * h->cluster_m) * ceil_div(n, (int64_t)h->tile_n * h->cluster_n);
    int64_t resident = kernel->resident_clusters ? kernel->resident_clusters
                                                 : (int64_t)kernel->context->info.sm_count * per_sm / cluster;
    if (tiles > INT32_MAX) return too_many_blocks(kernel, m, n);
    *grid = (RtGrid){.x = (unsigned int)((tiles < resident ? tiles : resident) * cluster), .y = 1, .z = 1};
    return TS_OK;
}

/* A cluster a tile. */
static ts_status find_clusters(const ts_kernel *kernel, int64_t m, int64_t n, RtGrid *grid)
{
    const RtHeader *h = &kernel->header;
    int64_t blocks = ceil_div(m, h->tile_m) * ceil_div(n, h->tile_n) * h->cluster_k;
    if (blocks > INT32_MAX) return too_many_blocks(kernel, m, n);
    *grid = (RtGrid){.x = (unsigned int)blocks, .y = 1, .z = 1};
    return TS_OK;
}

/* k-blocks of a tile; with k = 0 there is one, of nothing. */
static int64_t k_blocks_of(const ts_kernel *kernel, int64_t k)
{
    return k ? ceil_div(k, kernel->header.tile_k) : 1;
}

/* By the rule "split" the k-blocks of all tiles are numbered, and blocks have ranges of them (shares.h). */
static ts_status find_shares(const ts_kernel *kernel, int64_t tiles_m, int64_t tiles_n, int64_t k,
                             RtGrid *grid)
{
    const RtHeader *header = &kernel->header;
    int64_t tiles = tiles_m * tiles_n, k_blocks = k_blocks_of(kernel, k);
    if (tiles > INT32_MAX / k_blocks)
        return rt_fail(
            TS_ERROR_UNSUPPORTED,
            "this problem has %lld tiles of %lld k-blocks; the kernel %s takes %d k-blocks in all: "
            "use one without split",
            (long long)tiles, (long long)k_blocks, header->config, INT32_MAX);
    GenShares shares =
        gen_shares(tiles, k, header->tile_k, (int64_t)kernel->context->info.sm_count * header->busy_blocks);
    int64_t groups = ceil_div(tiles_m, header->group_m), shared = shares.tiles * k_blocks;
    *grid = (RtGrid){
        .x = (unsigned int)(tiles - shares.tiles + shares.blocks),
        .y = 1,
        .z = 1,
        .group = (uint32_t)ceil_div(tiles_m, groups),
        .sharing = (uint32_t)shares.blocks,
        .share = (uint32_t)(shares.blocks ? shared / shares.blocks : 0),
        .extra = (uint32_t)(shares.blocks ? shared % shares.blocks : 0),
    };
    return TS_OK;
}

/* The grid of an m x n output. By the rule "tiles" a block a tile, in x; by "groups", x counts the tiles
 * along m of a group of at most group_m (more, where z would not suffice), y the tiles along n, and z the
 * groups. */
static ts_status find_grid(const ts_kernel *kernel, int64_t m, int64_t n, int64_t k, RtGrid *grid)
{
    const RtHeader *header = &kernel->header;
    if (header->cluster_k) return find_clusters(kernel, m, n, grid);
    if (header->cluster_m) return find_persistent_grid(kernel, m, n, grid);
    int64_t tiles_m = ceil_div(m, header->tile_m), tiles_n = ceil_div(n, header->tile_n);
    if (tiles_m * tiles_n > INT32_MAX) return too_many_blocks(kernel, m, n);
    if (header->busy_blocks) return find_shares(kernel, tiles_m, tiles_n, k, grid);
    if (!header->group_m) {
        *grid = (RtGrid){.x = (unsigned int)(tiles_m * tiles_n), .y = 1, .z = 1};
        return TS_OK;
    }
    if (tiles_n > MAX_GRID_Y) return too_many_blocks(kernel, m, n);
    int64_t groups = ceil_div(tiles_m, header->group_m);
    if (groups > MAX_GRID_Y) groups = MAX_GRID_Y;
    int64_t height = ceil_div(tiles_m, groups);
    *grid = (RtGrid){
        .x = (unsigned int)height, .y = (unsigned int)tiles_n, .z = (unsigned int)ceil_div(tiles_m, height)};
    return TS_OK;
}

/* ---- the workspace of blocks that share tiles ---- */

static uint64_t workspace_bytes(const ts_kernel *kernel, RtGrid grid)
{
    return (uint64_t)grid.sharing * (uint64_t)kernel->header.workspace_bytes;
}

static ts_status check_workspace(const ts_kernel *kernel, const ts_linear_args *args, RtGrid grid)
{
    uint64_t bytes = workspace_bytes(kernel, grid);
    if (!bytes) return TS_OK;
    if (!args->workspace || args->workspace_bytes < bytes)
        return rt_fail(
            TS_ERROR_INVALID_ARGUMENT,
            "the kernel %s needs a workspace of %llu bytes for this problem; there are %llu: give more, or "
            "use a kernel without split",
            kernel->header.config, (unsigned long long)bytes,
            (unsigned long long)(args->workspace ? args->workspace_bytes : 0));
    return rt_check_workspace_address(args);
}

ts_status rt_check_workspace_address(const ts_linear_args *args)
{
    if (args->workspace % RT_WORKSPACE_ALIGN_BYTES == 0) return TS_OK;
    return rt_fail(TS_ERROR_INVALID_ARGUMENT,
                   "the workspace is at 0x%llx: its address must be a multiple of %d",
                   (unsigned long long)args->workspace, RT_WORKSPACE_ALIGN_BYTES);
}

ts_status ts_kernel_workspace(const ts_kernel *kernel, const ts_linear_args *args, size_t *bytes)
{
    ts_linear_args copy;
    RtGrid grid = {0};
    if (!bytes) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "bytes is null: pass the address of a size_t");
    *bytes = 0;
    if (!kernel) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "kernel is null");
    ts_status status = rt_args_read(&args, &copy);
    if (status || args->m == 0 || args->n == 0) return status;
    status = find_grid(kernel, args->m, args->n, args->k, &grid);
    if (!status) *bytes = (size_t)workspace_bytes(kernel, grid);
    return status;
}

static RtValues fill_values(const ts_kernel *kernel, const ts_linear_args *args, RtGrid grid)
{
    RtValues values = {
        .y = args->y.data,
        .bias = args->bias,
        .r = args->r.data,
        .m = (uint32_t)args->m,
        .n = (uint32_t)args->n,
        .k = (uint32_t)args->k,
        .ldy = pitch(kernel, RT_TENSOR_y, &args->y, args->m, args->n),
        .ldr = pitch(kernel, RT_TENSOR_r, &args->r, args->m, args->n),
        .csy = stride(args->y.col_stride, args->n),
        .parts = args->workspace,
        .group = grid.group,
        .sharing = grid.sharing,
        .share = grid.share,
        .extra = grid.extra,
        .s = args->s,
        .t = args->t,
    };
    if (args->k) {
        values.x = args->x.data, values.ldx = pitch(kernel, RT_TENSOR_x, &args->x, args->m, args->k);
        values.w = args->w.data, values.ldw = pitch(kernel, RT_TENSOR_w, &args->w, args->n, args->k);
        values.csx = stride(args->x.col_stride, args->k), values.csw = stride(args->w.col_stride, args->k);
    }
    return values;
}

/* ---- tensor maps ---- */

/* Without k nothing of x and w is read; TMA wants a matrix all the same. */
static ts_status find_map(ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix, int64_t rows,
                          int64_t cols, ts_device_ptr instead, CUtensorMap *spare, const CUtensorMap **map)
{
    bool by_columns = kernel->header.layout[tensor] == TS_COLUMN_MAJOR;
    RtMapKey key = {.tensor = tensor,
                    .address = matrix->data,
                    .rows = (uint64_t)(by_columns ? cols : rows),
                    .cols = (uint64_t)(by_columns ? rows : cols),
                    .pitch_bytes = pitch_bytes(kernel, tensor, matrix, rows, cols)};
    if (!key.rows || !key.cols)
        key.address = instead & ~(ts_device_ptr)15, key.rows = key.cols = 1, key.pitch_bytes = 0;
    return rt_map_find(kernel, &key, spare, map);
}

static ts_status fill_maps(const ts_kernel *kernel, const ts_linear_args *args, CUtensorMap spare[3],
                           RtValues *values)
{
    ts_kernel *maker = (ts_kernel *)kernel; /* its cache of maps grows */
    ts_status status = TS_OK;
    if (!rt_header_has_maps(&kernel->header)) return TS_OK;
    if (kernel->header.has[RT_PARAM_x_map])
        status =
            find_map(maker, RT_TENSOR_x, &args->x, args->m, args->k, args->y.data, &spare[0], &values->x_map);
    if (!status && kernel->header.has[RT_PARAM_w_map])
        status =
            find_map(maker, RT_TENSOR_w, &args->w, args->n, args->k, args->y.data, &spare[1], &values->w_map);
    if (!status && kernel->header.has[RT_PARAM_y_map])
        status =
            find_map(maker, RT_TENSOR_y, &args->y, args->m, args->n, args->y.data, &spare[2], &values->y_map);
    return status;
}

/* ---- */

static ts_status launch_failed(const ts_kernel *kernel, CUresult result, RtGrid grid)
{
    const RtHeader *header = &kernel->header;
    ts_status status = rt_driver_check(&kernel->context->driver, result,
                                       "launching %ux%ux%u blocks of %d threads of the kernel %s", grid.x,
                                       grid.y, grid.z, header->block_threads, header->config);
    return status == TS_ERROR_DRIVER ? TS_ERROR_LAUNCH : status;
}

/* Programmatic dependent launch: blocks may start while the kernel before this one still runs, set up their
 * barriers, and wait before they touch memory (griddepcontrol.wait). */
static bool starts_early(const ts_kernel *kernel)
{
    const ts_context *context = kernel->context;
    return kernel->header.early_start && context->driver.cuLaunchKernelEx && !context->no_early_start;
}

static CUresult launch_early(const ts_kernel *kernel, RtGrid grid, ts_stream stream, void **param)
{
    CUlaunchAttribute early = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
                               .value = {.programmaticStreamSerializationAllowed = 1}};
    CUlaunchConfig config = {grid.x,
                             grid.y,
                             grid.z,
                             (unsigned int)kernel->header.block_threads,
                             1,
                             1,
                             (unsigned int)kernel->header.smem_bytes,
                             stream,
                             &early,
                             1};
    return kernel->context->driver.cuLaunchKernelEx(&config, kernel->function, param, NULL);
}

/* They come first among RT_PARAMS. */
static bool is_map(RtParam param) { return param <= RT_PARAM_y_map; }

static ts_status launch_grid(const ts_kernel *kernel, RtValues *values, RtGrid grid, ts_stream stream)
{
    const RtHeader *header = &kernel->header;
    const RtDriver *driver = &kernel->context->driver;
    void *param[RT_N_PARAMS];
    bool pushed;
    for (int i = 0; i < header->n_params; i++) {
        void *value = (char *)values + kernel->value_offset[i];
        param[i] = is_map(header->param[i]) ? (void *)*(const CUtensorMap **)value : value;
    }
    ts_status status = rt_enter(kernel->context, &pushed);
    if (status) return status;
    CUresult result = starts_early(kernel)
                          ? launch_early(kernel, grid, stream, param)
                          : driver->cuLaunchKernel(kernel->function, grid.x, grid.y, grid.z,
                                                   (unsigned int)header->block_threads, 1, 1,
                                                   (unsigned int)header->smem_bytes, stream, param, NULL);
    rt_leave(kernel->context, pushed);
    return result ? launch_failed(kernel, result, grid) : TS_OK;
}

ts_status rt_launch_check(const ts_kernel *kernel, const ts_linear_args *args, RtGrid *grid)
{
    ts_status status = check_types(kernel, args);
    if (!status) status = check_tensors(kernel, args);
    if (!status) status = find_grid(kernel, args->m, args->n, args->k, grid);
    if (!status) status = check_workspace(kernel, args, *grid);
    return status;
}

ts_status rt_launch_checked(const ts_kernel *kernel, const ts_linear_args *args, RtGrid grid,
                            ts_stream stream)
{
    CUtensorMap spare[3];
    RtValues values = fill_values(kernel, args, grid);
    ts_status status = fill_maps(kernel, args, spare, &values);
    return status ? status : launch_grid(kernel, &values, grid, stream);
}

ts_status rt_launch(const ts_kernel *kernel, const ts_linear_args *args, ts_stream stream)
{
    RtGrid grid = {0};
    ts_status status = rt_launch_check(kernel, args, &grid);
    return status ? status : rt_launch_checked(kernel, args, grid, stream);
}

ts_status rt_check_pack(const ts_kernel *kernel, const RtRows *x, const RtRows *w)
{
    ts_status status = x->count ? check_matrix(kernel, RT_TENSOR_x, &x->matrix, x->count, x->elems) : TS_OK;
    if (status || !w->count) return status;
    return check_matrix(kernel, RT_TENSOR_w, &w->matrix, w->count, w->elems);
}

ts_status rt_launch_pack(const ts_kernel *kernel, const RtRows *x, const RtRows *w, ts_device_ptr to,
                         int64_t pitch, ts_stream stream)
{
    RtGrid grid = {0};
    int64_t elems = x->count ? x->elems : w->elems;
    ts_status status = find_grid(kernel, x->count + w->count, elems, 0, &grid);
    if (status) return status;
    RtValues values = {
        .x = x->matrix.data,
        .w = w->matrix.data,
        .y = to,
        .m = (uint32_t)x->count,
        .n = (uint32_t)w->count,
        .k = (uint32_t)elems,
        .ldx = stride(x->matrix.row_stride, x->count),
        .ldw = stride(w->matrix.row_stride, w->count),
        .csx = stride(x->matrix.col_stride, x->elems),
        .csw = stride(w->matrix.col_stride, w->elems),
        .ldy = (uint64_t)pitch,
    };
    return launch_grid(kernel, &values, grid, stream);
}

ts_status ts_kernel_launch(const ts_kernel *kernel, const ts_linear_args *args, ts_stream stream)
{
    ts_linear_args copy;
    if (!kernel) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "kernel is null");
    ts_status status = rt_args_read(&args, &copy);
    if (status) return status;
    if (args->m == 0 || args->n == 0) return check_types(kernel, args);
    return rt_launch(kernel, args, stream);
}
