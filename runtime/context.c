/* context.c: a ts_context is one driver, one device, one CUDA context.
 *
 * The CUDA context is the calling thread's current one, where it has one on the device asked for, or else the
 * device's primary context, which cudart and PyTorch use too. It is pushed around the runtime's own work, and
 * only when it is not current already, so that callers find their current context as they left it.
 */
#include "runtime/context.h"

#include <stdlib.h>

enum {
#define X(...) +1
    N_TUNINGS = 0 TS_TUNINGS(X),
#undef X
    OPTIONS_BYTES = RT_BYTES_THROUGH(ts_context_options, no_early_start),
    INFO_BYTES = RT_BYTES_THROUGH(ts_device_info, name)
};

/* ---- current or not ---- */

ts_status rt_enter(const ts_context *context, bool *pushed)
{
    const RtDriver *driver = &context->driver;
    CUcontext current = NULL;
    *pushed = false;
    CUresult result = driver->cuCtxGetCurrent(&current);
    if (result) return rt_driver_check(driver, result, "looking for the current CUDA context");
    if (current == context->cuda) return TS_OK;
    result = driver->cuCtxPushCurrent(context->cuda);
    if (result) return rt_driver_check(driver, result, "entering the CUDA context");
    *pushed = true;
    return TS_OK;
}

void rt_leave(const ts_context *context, bool pushed)
{
    CUcontext popped;
    if (pushed) context->driver.cuCtxPopCurrent(&popped);
}

/* ---- making and ending ---- */

ts_context *rt_context_use(ts_context *context)
{
    atomic_fetch_add(&context->users, 1);
    return context;
}

void rt_context_drop(ts_context *context)
{
    if (atomic_fetch_sub(&context->users, 1) != 1) return;
    if (context->retained) context->driver.cuDevicePrimaryCtxRelease(context->device);
    rt_driver_close(&context->driver);
    free(context->cache_dir);
    free(context->log);
    free(context);
}

/* Takes the thread's current CUDA context if it has one that suits; leaves context->cuda NULL if not. */
static ts_status take_current(ts_context *context, int ordinal)
{
    const RtDriver *driver = &context->driver;
    CUcontext current = NULL;
    CUdevice device, wanted;
    ts_status status =
        rt_driver_check(driver, driver->cuCtxGetCurrent(&current), "looking for the current CUDA context");
    if (status || !current) return status;
    status = rt_driver_check(driver, driver->cuCtxGetDevice(&device),
                             "asking the current CUDA context for its device");
    if (!status && ordinal >= 0) status = rt_driver_device(driver, ordinal, &wanted);
    if (status) return status;
    if (ordinal >= 0 && device != wanted) return TS_OK;
    context->device = device;
    context->cuda = current;
    return TS_OK;
}

static ts_status retain_primary(ts_context *context, int ordinal)
{
    const RtDriver *driver = &context->driver;
    ts_status status = rt_driver_device(driver, ordinal, &context->device);
    if (status) return status;
    status = rt_driver_check(driver, driver->cuDevicePrimaryCtxRetain(&context->cuda, context->device),
                             "opening the primary CUDA context of device %d", ordinal);
    context->retained = !status;
    return status;
}

static ts_status copy_text(const char *text, char **copy)
{
    *copy = text ? strdup(text) : NULL;
    return text && !*copy ? rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a context") : TS_OK;
}

static ts_status copy_options(ts_context *context, const ts_context_options *options)
{
    context->no_early_start = options->no_early_start;
    context->tuning = options->tuning;
    ts_status status = copy_text(options->cache_dir, &context->cache_dir);
    return status ? status : copy_text(options->log, &context->log);
}

static ts_status open_context(ts_context *context, const ts_context_options *options)
{
    int ordinal = options->device_ordinal;
    ts_status status = copy_options(context, options);
    if (status) return status;
    status = rt_driver_open(&context->driver, options->driver_library);
    if (!status) status = take_current(context, ordinal);
    if (!status && !context->cuda) status = retain_primary(context, ordinal < 0 ? 0 : ordinal);
    if (!status) status = rt_driver_device_info(&context->driver, context->device, &context->info);
    return status;
}

ts_status ts_context_create(const ts_context_options *options, ts_context **context)
{
    ts_context_options ours = ts_context_options_make();
    if (!context)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "context is null: pass the address of a ts_context *");
    *context = NULL;
    if (options) {
        ts_status status = rt_read_struct(&ours, sizeof ours, OPTIONS_BYTES, options, "ts_context_options");
        if (status) return status;
    }
    if (ours.device_ordinal < -1)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT,
                       "device_ordinal is %d: give a device's number, or -1 for the current one",
                       ours.device_ordinal);
    if ((unsigned)ours.tuning >= N_TUNINGS)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "tuning is %d, which is no ts_tuning", (int)ours.tuning);
    ts_context *made = calloc(1, sizeof *made);
    if (!made) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a context");
    made->users = 1;
    ts_status status = open_context(made, &ours);
    if (status) rt_context_drop(made);
    else *context = made;
    return status;
}

void ts_context_destroy(ts_context *context)
{
    if (!context) return;
    RtExtension *extension = atomic_exchange(&context->extension, NULL);
    if (extension) extension->destroy(extension);
    rt_context_drop(context);
}

/* ---- devices ---- */

ts_status ts_context_get_info(const ts_context *context, ts_device_info *info)
{
    if (!context || !info)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is null", context ? "info" : "context");
    return rt_write_struct(info, INFO_BYTES, &context->info, sizeof context->info, "ts_device_info");
}

ts_status ts_device_count(const char *driver_library, int *count)
{
    RtDriver driver;
    if (!count) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "count is null");
    *count = 0;
    ts_status status = rt_driver_open(&driver, driver_library);
    if (status) return status;
    status = rt_driver_check(&driver, driver.cuDeviceGetCount(count), "counting devices");
    if (status) *count = 0;
    rt_driver_close(&driver);
    return status;
}

ts_status ts_device_get_info(const char *driver_library, int ordinal, ts_device_info *info)
{
    RtDriver driver;
    ts_device_info found;
    CUdevice device;
    if (!info) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "info is null");
    ts_status status = rt_driver_open(&driver, driver_library);
    if (status) return status;
    status = rt_driver_device(&driver, ordinal, &device);
    if (!status) status = rt_driver_device_info(&driver, device, &found);
    if (!status) status = rt_write_struct(info, INFO_BYTES, &found, sizeof found, "ts_device_info");
    rt_driver_close(&driver);
    return status;
}
