/* launch.c: a launch of a loaded kernel: check the arguments against its header, fill in the values, call the
 * driver. Nothing here locks, allocates or waits.
 *
 * Checks go from general to special: sizes and types of all, then, when there is something to do, strides,
 * addresses and alignments. With k = 0 nothing of x and w is read, and so nothing of them is checked but types.
 */
#include "runtime/kernel.h"

#include <stdio.h>

enum { ARGS_BYTES = RT_BYTES_THROUGH(ts_linear_args, epilogue) };

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
    return rt_fail(TS_ERROR_UNSUPPORTED, "%s is %s; the kernel %s takes %s: use a kernel made for these types",
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

static ts_status misaligned(const ts_kernel *kernel, RtTensor tensor, const char *what,
                            unsigned long long bytes)
{
    return rt_fail(
        TS_ERROR_MISALIGNED,
        "the %s of %s is %llu (0x%llx) bytes; the kernel %s needs a multiple of %d: align it, or use a kernel made for less",
        what, rt_tensor_name[tensor], bytes, bytes, kernel->header.config, kernel->header.align_bytes[tensor]);
}

static ts_status check_address(const ts_kernel *kernel, RtTensor tensor, ts_device_ptr address)
{
    if (!address)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "the address of %s is null", rt_tensor_name[tensor]);
    if (address % (unsigned)kernel->header.align_bytes[tensor])
        return misaligned(kernel, tensor, "address", address);
    return TS_OK;
}

static ts_status check_strides(const ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix, int64_t rows,
                               int64_t cols)
{
    const char *name = rt_tensor_name[tensor];
    int64_t pitch_bytes, span_bytes;
    if (cols > 1 && matrix->col_stride != 1)
        return rt_fail(TS_ERROR_UNSUPPORTED,
                       "%s has col_stride %lld; the kernel %s takes 1: make its rows contiguous", name,
                       (long long)matrix->col_stride, kernel->header.config);
    if (rows <= 1) return TS_OK;
    if (matrix->row_stride < 0)
        return rt_fail(TS_ERROR_UNSUPPORTED, "%s has row_stride %lld; it must not be negative", name,
                       (long long)matrix->row_stride);
    if (tensor == RT_TENSOR_y && matrix->row_stride < cols)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT,
                       "y has row_stride %lld, less than its %lld columns: its rows would overlap",
                       (long long)matrix->row_stride, (long long)cols);
    if (__builtin_mul_overflow(matrix->row_stride, (int64_t)rt_dtype_bytes(matrix->dtype), &pitch_bytes) ||
        __builtin_mul_overflow(pitch_bytes, rows, &span_bytes))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT,
                       "%s has row_stride %lld: %lld rows of that pass the 64-bit address space", name,
                       (long long)matrix->row_stride, (long long)rows);
    if (pitch_bytes % kernel->header.align_bytes[tensor])
        return misaligned(kernel, tensor, "row pitch", (unsigned long long)pitch_bytes);
    return TS_OK;
}

static ts_status check_matrix(const ts_kernel *kernel, RtTensor tensor, const ts_matrix *matrix, int64_t rows,
                              int64_t cols)
{
    ts_status status = check_address(kernel, tensor, matrix->data);
    return status ? status : check_strides(kernel, tensor, matrix, rows, cols);
}

/* ---- all of them ---- */

static ts_status check_bias(const ts_kernel *kernel, const ts_linear_args *args)
{
    if (!args->bias) return TS_OK;
    if (kernel->header.has[RT_PARAM_bias]) return check_address(kernel, RT_TENSOR_bias, args->bias);
    return rt_fail(TS_ERROR_UNSUPPORTED, "a bias is given; the kernel %s takes none: use a kernel made for one",
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

static ts_status check_tensors(const ts_kernel *kernel, const ts_linear_args *args)
{
    ts_status status = check_matrix(kernel, RT_TENSOR_y, &args->y, args->m, args->n);
    if (!status && args->k) status = check_matrix(kernel, RT_TENSOR_x, &args->x, args->m, args->k);
    if (!status && args->k) status = check_matrix(kernel, RT_TENSOR_w, &args->w, args->n, args->k);
    if (!status) status = check_bias(kernel, args);
    if (!status) status = check_r(kernel, args);
    return status;
}

/* ---- the launch ---- */

/* The grid rule "tiles". */
static ts_status count_blocks(const ts_kernel *kernel, const ts_linear_args *args, unsigned int *blocks)
{
    const RtHeader *header = &kernel->header;
    int64_t tiles_m = (args->m + header->tile_m - 1) / header->tile_m;
    int64_t tiles_n = (args->n + header->tile_n - 1) / header->tile_n;
    if (tiles_m * tiles_n > INT32_MAX)
        return rt_fail(
            TS_ERROR_UNSUPPORTED,
            "m=%lld, n=%lld make %lld blocks of %dx%d; a launch takes at most %d: split the problem or use larger tiles",
            (long long)args->m, (long long)args->n, (long long)(tiles_m * tiles_n), header->tile_m,
            header->tile_n, INT32_MAX);
    *blocks = (unsigned int)(tiles_m * tiles_n);
    return TS_OK;
}

/* A matrix of one row has no pitch, whatever its stride says. */
static uint64_t pitch(const ts_matrix *matrix, int64_t rows)
{
    return rows > 1 ? (uint64_t)matrix->row_stride : 0;
}

static RtValues fill_values(const ts_linear_args *args)
{
    RtValues values = {
        .y = args->y.data,
        .bias = args->bias,
        .r = args->r.data,
        .m = (uint32_t)args->m,
        .n = (uint32_t)args->n,
        .k = (uint32_t)args->k,
        .ldy = pitch(&args->y, args->m),
        .ldr = pitch(&args->r, args->m),
        .s = args->s,
        .t = args->t,
    };
    if (args->k) {
        values.x = args->x.data, values.ldx = pitch(&args->x, args->m);
        values.w = args->w.data, values.ldw = pitch(&args->w, args->n);
    }
    return values;
}

static ts_status launch_failed(const ts_kernel *kernel, CUresult result, unsigned int blocks)
{
    const RtHeader *header = &kernel->header;
    ts_status status = rt_driver_check(&kernel->context->driver, result,
                                       "launching %u blocks of %d threads of the kernel %s", blocks,
                                       header->block_threads, header->config);
    return status == TS_ERROR_DRIVER ? TS_ERROR_LAUNCH : status;
}

static ts_status launch_blocks(const ts_kernel *kernel, RtValues *values, unsigned int blocks, ts_stream stream)
{
    const RtHeader *header = &kernel->header;
    const RtDriver *driver = &kernel->context->driver;
    void *param[RT_N_PARAMS];
    bool pushed;
    for (int i = 0; i < header->n_params; i++) param[i] = (char *)values + kernel->value_offset[i];
    ts_status status = rt_enter(kernel->context, &pushed);
    if (status) return status;
    CUresult result = driver->cuLaunchKernel(kernel->function, blocks, 1, 1,
                                             (unsigned int)header->block_threads, 1, 1,
                                             (unsigned int)header->smem_bytes, stream, param, NULL);
    rt_leave(kernel->context, pushed);
    return result ? launch_failed(kernel, result, blocks) : TS_OK;
}

ts_status rt_launch_check(const ts_kernel *kernel, const ts_linear_args *args, unsigned int *blocks)
{
    ts_status status = check_types(kernel, args);
    if (!status) status = check_tensors(kernel, args);
    if (!status) status = count_blocks(kernel, args, blocks);
    return status;
}

ts_status rt_launch(const ts_kernel *kernel, const ts_linear_args *args, ts_stream stream)
{
    unsigned int blocks = 0;
    ts_status status = rt_launch_check(kernel, args, &blocks);
    if (status) return status;
    RtValues values = fill_values(args);
    return launch_blocks(kernel, &values, blocks, stream);
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
