/* kernel.c: from PTX text to a function that can be launched: header, driver, limits, facts.
 *
 * What can be told from the header is told before the driver sees the text, because its own answers say less:
 * a wrong architecture, too much shared memory, a text cut short. What its compiler says is kept.
 */
#include "runtime/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LOG_BYTES = 16384,
    MAX_FILE_BYTES = 64 << 20,
    INFO_BYTES = RT_BYTES_THROUGH(ts_kernel_info, y_layout) /* of the first release */
};

static const uint16_t value_offset[RT_N_PARAMS] = {
#define X(name, type) offsetof(RtValues, name),
    RT_PARAMS(X)
#undef X
};

/* ---- does it fit the device? ---- */

/* PTX runs on its own and later architectures; sm_90a on that one only, sm_120f on that family. */
static bool arch_fits(const RtHeader *header, const ts_device_info *device)
{
    int sm = device->compute_major * 10 + device->compute_minor;
    if (header->sm_suffix == 'a') return header->sm == sm;
    if (header->sm_suffix == 'f') return header->sm <= sm && header->sm / 10 == device->compute_major;
    return header->sm <= sm;
}

static ts_status wrong_arch(const RtHeader *header, const ts_device_info *device)
{
    return rt_fail(TS_ERROR_UNSUPPORTED_ARCH,
                   "the kernel %s is for %s%s; device '%s' is sm_%d%d: generate it for sm_%d%d or older",
                   header->config, header->target, header->sm_suffix == 'a' ? " and no other chips" : "", device->name,
                   device->compute_major, device->compute_minor, device->compute_major, device->compute_minor);
}

static ts_status check_device(const RtHeader *header, const ts_device_info *device, const RtDriver *driver)
{
    if (!arch_fits(header, device)) return wrong_arch(header, device);
    if (header->smem_bytes > device->block_smem_bytes)
        return rt_fail(
            TS_ERROR_UNSUPPORTED,
            "the kernel %s needs %d B of shared memory; device '%s' allows %d: use smaller tiles or fewer stages",
            header->config, header->smem_bytes, device->name, device->block_smem_bytes);
    if (rt_header_has_maps(header) && !driver->cuTensorMapEncodeTiled)
        return rt_fail(TS_ERROR_DRIVER_TOO_OLD,
                       "the kernel %s reads through tensor maps, which this driver cannot make: update it to CUDA 12",
                       header->config);
    if (header->workspace_bytes && !header->busy_blocks)
        return rt_fail(
            TS_ERROR_UNSUPPORTED,
            "the kernel %s needs a workspace of %lld B, which tilesmith %s does not provide: update the library",
            header->config, (long long)header->workspace_bytes, TS_VERSION);
    return TS_OK;
}

/* ---- the driver's compiler ---- */

/* Logs of one compilation; info and error in one block. */
typedef struct Logs {
    char info[LOG_BYTES], error[LOG_BYTES];
} Logs;

static void trim_end(char *text)
{
    size_t n = strlen(text);
    while (n && strchr(" \n\r\t", text[n - 1])) text[--n] = 0;
}

static ts_status load_failed(const ts_kernel *kernel, CUresult result, const Logs *logs)
{
    const RtHeader *header = &kernel->header;
    const RtDriver *driver = &kernel->context->driver;
    const char *error = logs->error[0] ? logs->error : "the driver gives no details";
    switch (rt_driver_status(result)) {
    case TS_ERROR_UNSUPPORTED_ARCH: return wrong_arch(header, &kernel->context->info);
    case TS_ERROR_BAD_PTX:
        return rt_fail(TS_ERROR_BAD_PTX, "the driver cannot compile the kernel %s (error %d): %s",
                       header->config, (int)result, error);
    case TS_ERROR_DRIVER_TOO_OLD:
        return rt_fail(
            TS_ERROR_DRIVER_TOO_OLD,
            "the kernel %s is PTX %d.%d, newer than this driver for CUDA %d.%d reads: update the driver, or "
            "generate for an older architecture",
            header->config, header->ptx_version / 10, header->ptx_version % 10, driver->version / 1000,
            driver->version % 1000 / 10);
    default: return rt_driver_check(driver, result, "loading the kernel %s", header->config);
    }
}

static ts_status compile(ts_kernel *kernel, const char *text, Logs *logs)
{
    CUjit_option option[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER,
                             CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_LOG_VERBOSE};
    void *value[] = {logs->info, (void *)(uintptr_t)(LOG_BYTES - 1), logs->error,
                     (void *)(uintptr_t)(LOG_BYTES - 1), (void *)(uintptr_t)1};
    CUresult result = kernel->context->driver.cuModuleLoadDataEx(&kernel->module, text,
                                                                 sizeof option / sizeof *option, option, value);
    trim_end(logs->info);
    trim_end(logs->error);
    if (!result) return TS_OK;
    kernel->module = NULL;
    return load_failed(kernel, result, logs);
}

static ts_status keep_log(ts_kernel *kernel, const Logs *logs)
{
    size_t info = strlen(logs->info), error = strlen(logs->error);
    kernel->log = malloc(info + error + 2);
    if (!kernel->log) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a kernel's log");
    snprintf(kernel->log, info + error + 2, "%s%s%s", logs->info, info && error ? "\n" : "", logs->error);
    return TS_OK;
}

static ts_status load_module(ts_kernel *kernel, const char *text)
{
    Logs *logs = calloc(1, sizeof *logs);
    if (!logs) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a kernel's log");
    ts_status status = compile(kernel, text, logs);
    if (!status) status = keep_log(kernel, logs);
    free(logs);
    return status;
}

/* ---- the function in it ---- */

static ts_status find_function(ts_kernel *kernel)
{
    const RtDriver *driver = &kernel->context->driver;
    CUresult result = driver->cuModuleGetFunction(&kernel->function, kernel->module, kernel->header.entry);
    if (result == CUDA_ERROR_NOT_FOUND)
        return rt_fail(TS_ERROR_BAD_KERNEL,
                       "the driver does not find entry %s in the kernel: generate it again",
                       kernel->header.entry);
    return rt_driver_check(driver, result, "looking for entry %s", kernel->header.entry);
}

/* More than 48 KB a block must be asked for; the carveout lets as many blocks as possible share an SM. */
static ts_status set_limits(const ts_kernel *kernel)
{
    const RtDriver *driver = &kernel->context->driver;
    const RtHeader *header = &kernel->header;
    ts_status status = rt_driver_check(
        driver,
        driver->cuFuncSetAttribute(kernel->function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                   header->smem_bytes),
        "allowing the kernel %s %d B of shared memory", header->config, header->smem_bytes);
    if (status) return status;
    return rt_driver_check(
        driver,
        driver->cuFuncSetAttribute(kernel->function, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 100),
        "preferring shared memory for the kernel %s", header->config);
}

/* A cluster's blocks run on SMs of one group of the chip's, which are not always a multiple of them: of an
 * H200's 132 SMs, clusters of four use 120. */
static ts_status read_resident_clusters(ts_kernel *kernel)
{
    const RtDriver *driver = &kernel->context->driver;
    const RtHeader *header = &kernel->header;
    int cluster = header->cluster_k ? header->cluster_k : header->cluster_m * header->cluster_n;
    if (cluster <= 1 || !driver->cuOccupancyMaxActiveClusters) return TS_OK;
    CUlaunchConfig one = {.gridDimX = (unsigned int)cluster,
                          .gridDimY = 1,
                          .gridDimZ = 1,
                          .blockDimX = (unsigned int)header->block_threads,
                          .blockDimY = 1,
                          .blockDimZ = 1,
                          .sharedMemBytes = (unsigned int)header->smem_bytes};
    ts_status status = rt_driver_check(
        driver, driver->cuOccupancyMaxActiveClusters(&kernel->resident_clusters, kernel->function, &one),
        "asking how many clusters of the kernel %s run at one time", header->config);
    if (status || kernel->resident_clusters > 0) return status;
    return rt_fail(TS_ERROR_UNSUPPORTED,
                   "the kernel %s has clusters of %d blocks, for which device '%s' has no room: use smaller "
                   "clusters",
                   header->config, cluster, kernel->context->info.name);
}

static ts_status read_facts(ts_kernel *kernel)
{
    const RtDriver *driver = &kernel->context->driver;
    const RtHeader *header = &kernel->header;
    int max_threads = 0;
    struct {
        CUfunction_attribute attribute;
        int *value;
    } facts[] = {
        {CU_FUNC_ATTRIBUTE_NUM_REGS, &kernel->registers},
        {CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, &kernel->local_bytes},
        {CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &max_threads},
    };
    ts_status status = TS_OK;
    for (size_t i = 0; i < sizeof facts / sizeof *facts && !status; i++)
        status = rt_driver_check(
            driver, driver->cuFuncGetAttribute(facts[i].value, facts[i].attribute, kernel->function),
            "asking for attribute %d of the kernel %s", (int)facts[i].attribute, header->config);
    if (!status && max_threads < header->block_threads)
        status = rt_fail(
            TS_ERROR_UNSUPPORTED,
            "the kernel %s has blocks of %d threads; compiled to %d registers it can have %d: use fewer warps or smaller tiles",
            header->config, header->block_threads, kernel->registers, max_threads);
    if (!status) status = read_resident_clusters(kernel);
    if (!status && driver->cuOccupancyMaxActiveBlocksPerMultiprocessor)
        status = rt_driver_check(
            driver,
            driver->cuOccupancyMaxActiveBlocksPerMultiprocessor(
                &kernel->blocks_per_sm, kernel->function, header->block_threads, (size_t)header->smem_bytes),
            "asking how many blocks of the kernel %s fit an SM", header->config);
    return status;
}

/* ---- loading ---- */

static ts_status load_current(ts_kernel *kernel, const char *text)
{
    ts_status status = load_module(kernel, text);
    if (!status) status = find_function(kernel);
    if (!status) status = set_limits(kernel);
    if (!status) status = read_facts(kernel);
    if (status && kernel->module) kernel->context->driver.cuModuleUnload(kernel->module);
    if (status) kernel->module = NULL;
    return status;
}

static ts_status load_text(ts_kernel *kernel, const char *text)
{
    bool pushed;
    RtHeader *header = &kernel->header;
    ts_status status = rt_header_parse(text, header);
    if (!status) status = check_device(header, &kernel->context->info, &kernel->context->driver);
    if (status) return status;
    for (int i = 0; i < header->n_params; i++) kernel->value_offset[i] = value_offset[header->param[i]];
    status = rt_enter(kernel->context, &pushed);
    if (status) return status;
    status = load_current(kernel, text);
    rt_leave(kernel->context, pushed);
    return status;
}

/* `text` ends in a NUL. */
static ts_status load_string(ts_context *context, const char *text, ts_kernel **kernel)
{
    ts_kernel *made = calloc(1, sizeof *made);
    if (!made) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a kernel");
    made->context = rt_context_use(context);
    ts_status status = load_text(made, text);
    if (status) ts_kernel_destroy(made);
    else *kernel = made;
    return status;
}

ts_status ts_kernel_load(ts_context *context, const char *ptx, size_t bytes, ts_kernel **kernel)
{
    if (!kernel) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "kernel is null: pass the address of a ts_kernel *");
    *kernel = NULL;
    if (!context || !ptx) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is null", context ? "ptx" : "context");
    if (bytes && ptx[bytes - 1] == 0) bytes--;
    if (bytes > MAX_FILE_BYTES)
        return rt_fail(TS_ERROR_BAD_KERNEL, "a text of %zu B is no kernel of tilesmith", bytes);
    if (memchr(ptx, 0, bytes))
        return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's text has a NUL inside: it is no PTX text");
    char *text = malloc(bytes + 1);
    if (!text) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a kernel of %zu B", bytes);
    memcpy(text, ptx, bytes);
    text[bytes] = 0;
    ts_status status = load_string(context, text, kernel);
    free(text);
    return status;
}

/* The rest of a file; the caller frees *text, on failure too. */
static ts_status read_all(FILE *file, const char *path, char **text, size_t *bytes)
{
    size_t room = 0;
    *bytes = 0;
    do {
        room = room ? room * 2 : 1 << 16;
        if (room > MAX_FILE_BYTES)
            return rt_fail(TS_ERROR_BAD_KERNEL, "%s is larger than %d MB: it is no kernel of tilesmith", path,
                           MAX_FILE_BYTES >> 20);
        char *moved = realloc(*text, room);
        if (!moved) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory to read %s", path);
        *text = moved;
        *bytes += fread(*text + *bytes, 1, room - *bytes, file);
    } while (*bytes == room);
    if (ferror(file)) return rt_fail(TS_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    return TS_OK;
}

ts_status ts_kernel_load_file(ts_context *context, const char *path, ts_kernel **kernel)
{
    if (!kernel) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "kernel is null: pass the address of a ts_kernel *");
    *kernel = NULL;
    if (!context || !path)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is null", context ? "path" : "context");
    FILE *file = fopen(path, "rb");
    if (!file) return rt_fail(TS_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    char *text = NULL;
    size_t bytes;
    ts_status status = read_all(file, path, &text, &bytes);
    fclose(file);
    if (!status) status = ts_kernel_load(context, text, bytes, kernel);
    free(text);
    return status;
}

void ts_kernel_destroy(ts_kernel *kernel)
{
    bool pushed;
    if (!kernel) return;
    if (kernel->module && !rt_enter(kernel->context, &pushed)) {
        kernel->context->driver.cuModuleUnload(kernel->module);
        rt_leave(kernel->context, pushed);
    }
    rt_context_drop(kernel->context);
    rt_maps_free(&kernel->maps);
    free(kernel->log);
    free(kernel);
}

/* ---- asking ---- */

ts_status ts_kernel_get_info(const ts_kernel *kernel, ts_kernel_info *info)
{
    if (!kernel || !info) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is null", kernel ? "info" : "kernel");
    const RtHeader *h = &kernel->header;
    ts_kernel_info ours = {
        .struct_size = sizeof ours,
        .config = h->config,
        .entry = h->entry,
        .target = h->target,
        .epilogue = h->epilogue,
        .x = h->type[RT_TENSOR_x],
        .w = h->type[RT_TENSOR_w],
        .bias = h->type[RT_TENSOR_bias],
        .y = h->type[RT_TENSOR_y],
        .tile_m = h->tile_m,
        .tile_n = h->tile_n,
        .tile_k = h->tile_k,
        .block_threads = h->block_threads,
        .smem_bytes = h->smem_bytes,
        .x_align = h->align_bytes[RT_TENSOR_x],
        .w_align = h->align_bytes[RT_TENSOR_w],
        .y_align = h->align_bytes[RT_TENSOR_y],
        .takes_bias = h->has[RT_PARAM_bias],
        .takes_r = h->has[RT_PARAM_r],
        .registers = kernel->registers,
        .local_bytes = kernel->local_bytes,
        .blocks_per_sm = kernel->blocks_per_sm,
        .x_layout = h->layout[RT_TENSOR_x],
        .w_layout = h->layout[RT_TENSOR_w],
        .y_layout = h->layout[RT_TENSOR_y],
        .n_multiple = rt_n_multiple(h),
    };
    return rt_write_struct(info, INFO_BYTES, &ours, sizeof ours, "ts_kernel_info");
}

const char *ts_kernel_log(const ts_kernel *kernel) { return kernel ? kernel->log : ""; }
