/* driver.c: opens the CUDA driver with dlopen and finds its functions, one row of driver_symbols.h each.
 *
 * cuGetProcAddress is asked first, with the version of each function that the row means, so that a newer
 * driver gives the form this code was written for; drivers before 11.3 lack it, and dlsym finds the versioned
 * names. The library is opened with RTLD_NODELETE: a driver keeps threads of its own and does not expect to be
 * unmapped, while the count of dlopen stays balanced.
 */
#include "runtime/driver.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

#define DEFAULT_LIBRARY "libcuda.so.1"

typedef CUresult (*GetProcAddressV1)(const char *, void **, int, cuuint64_t);
typedef CUresult (*GetProcAddressV2)(const char *, void **, int, cuuint64_t, CUdriverProcAddressQueryResult *);

typedef enum Need { OPTIONAL, REQUIRED } Need;

/* ---- what results mean ---- */

/* Result, status, what it means and what to do. */
/* clang-format off */
#define RESULTS(X) \
    X(OUT_OF_MEMORY,              OUT_OF_MEMORY,    "the device is out of memory: free some, or use smaller tensors") \
    X(DEINITIALIZED,              NO_DRIVER,        "the driver is shutting down with the process") \
    X(STUB_LIBRARY,               NO_DRIVER,        "this is the toolkit's stub of the driver: point to the libcuda.so.1 that the NVIDIA driver installed") \
    X(CALL_REQUIRES_NEWER_DRIVER, DRIVER_TOO_OLD,   "this needs a newer driver: update it") \
    X(DEVICE_UNAVAILABLE,         NO_DEVICE,        "the device is in exclusive use by another process") \
    X(NO_DEVICE,                  NO_DEVICE,        "no CUDA device is visible: see nvidia-smi and CUDA_VISIBLE_DEVICES") \
    X(INVALID_DEVICE,             NO_DEVICE,        "there is no such CUDA device") \
    X(INVALID_IMAGE,              BAD_PTX,          "the driver does not take this for a kernel") \
    X(INVALID_CONTEXT,            NO_CONTEXT,       "the CUDA context is missing or invalid: it must outlive the ts_context made in it") \
    X(CONTEXT_IS_DESTROYED,       NO_CONTEXT,       "the CUDA context was destroyed: it must outlive the ts_context made in it") \
    X(NO_BINARY_FOR_GPU,          UNSUPPORTED_ARCH, "the kernel cannot run on this device: generate it for the device's architecture or an older one") \
    X(INVALID_PTX,                BAD_PTX,          "the driver cannot compile the PTX") \
    X(JIT_COMPILER_NOT_FOUND,     NO_DRIVER,        "the driver's PTX compiler (libnvidia-ptxjitcompiler.so.1) is not installed") \
    X(UNSUPPORTED_PTX_VERSION,    DRIVER_TOO_OLD,   "the PTX version is newer than this driver reads: update the driver") \
    X(JIT_COMPILATION_DISABLED,   DRIVER,           "compiling PTX is disabled: unset CUDA_DISABLE_PTX_JIT") \
    X(INVALID_SOURCE,             BAD_PTX,          "the driver does not take this for a kernel") \
    X(ILLEGAL_ADDRESS,            LAUNCH,           "a kernel touched memory that is not allocated; the CUDA context is lost, restart the process") \
    X(LAUNCH_OUT_OF_RESOURCES,    LAUNCH,           "the kernel needs more registers or shared memory than the device has") \
    X(LAUNCH_TIMEOUT,             LAUNCH,           "a kernel ran longer than the display allows; the CUDA context is lost, restart the process") \
    X(ASSERT,                     LAUNCH,           "an assertion failed in a kernel; the CUDA context is lost, restart the process") \
    X(HARDWARE_STACK_ERROR,       LAUNCH,           "a kernel's stack overflowed or is corrupt; the CUDA context is lost, restart the process") \
    X(ILLEGAL_INSTRUCTION,        LAUNCH,           "a kernel met an illegal instruction; the CUDA context is lost, restart the process") \
    X(MISALIGNED_ADDRESS,         LAUNCH,           "a kernel used a misaligned address; the CUDA context is lost, restart the process") \
    X(INVALID_ADDRESS_SPACE,      LAUNCH,           "a kernel used an address of the wrong kind; the CUDA context is lost, restart the process") \
    X(INVALID_PC,                 LAUNCH,           "a kernel ran astray; the CUDA context is lost, restart the process") \
    X(LAUNCH_FAILED,              LAUNCH,           "a kernel failed while running; the CUDA context is lost, restart the process") \
    X(ECC_UNCORRECTABLE,          LAUNCH,           "the device's memory has failed; the CUDA context is lost, see nvidia-smi") \
    X(NVLINK_UNCORRECTABLE,       LAUNCH,           "an NVLink has failed; the CUDA context is lost, see nvidia-smi") \
    X(SYSTEM_NOT_READY,           NO_DRIVER,        "the system is not ready for CUDA: start its services, such as nvidia-fabricmanager") \
    X(SYSTEM_DRIVER_MISMATCH,     NO_DRIVER,        "libcuda and the kernel module of the driver differ in version: reboot or reinstall the driver") \
    X(COMPAT_NOT_SUPPORTED_ON_DEVICE, NO_DRIVER,    "the forward compatibility package does not serve this device: remove it from the library path") \
    X(STREAM_CAPTURE_UNSUPPORTED, NOT_READY,        "a stream is capturing, which does not allow this: do it before the capture") \
    X(STREAM_CAPTURE_INVALIDATED, NOT_READY,        "something that a capture does not allow was done while the stream was capturing, and the capture is lost: do it before the capture") \
    X(STREAM_CAPTURE_IMPLICIT,    NOT_READY,        "a stream is capturing, which does not allow this on the default stream: do it before the capture") \
    X(STREAM_CAPTURE_WRONG_THREAD, NOT_READY,       "another thread began this capture, and must end it")
/* clang-format on */

static const struct {
    CUresult result;
    ts_status status;
    const char *advice;
} results[] = {
#define X(result, status, advice) {CUDA_ERROR_##result, TS_ERROR_##status, advice},
    RESULTS(X)
#undef X
};
enum { N_RESULTS = sizeof results / sizeof *results };

static int find_result(CUresult result)
{
    int i = 0;
    while (i < N_RESULTS && results[i].result != result) i++;
    return i;
}

ts_status rt_driver_status(CUresult result)
{
    int i = find_result(result);
    if (result == CUDA_SUCCESS) return TS_OK;
    return i < N_RESULTS ? results[i].status : TS_ERROR_DRIVER;
}

ts_status rt_driver_check(const RtDriver *driver, CUresult result, const char *format, ...)
{
    if (result == CUDA_SUCCESS) return TS_OK;
    char doing[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(doing, sizeof doing, format, ap);
    va_end(ap);

    const char *name = NULL, *text = NULL;
    if (driver->cuGetErrorName(result, &name) || !name) name = "an unknown error";
    if (driver->cuGetErrorString(result, &text) || !text) text = "no description";
    int i = find_result(result);
    if (i < N_RESULTS)
        return rt_fail(results[i].status, "%s: %s (%s, %d)", doing, results[i].advice, name, (int)result);
    return rt_fail(TS_ERROR_DRIVER, "%s: the driver reports %s (%d): %s", doing, name, (int)result, text);
}

/* ---- opening ---- */

typedef struct Resolver {
    void *library;
    GetProcAddressV1 v1; /* from CUDA 11.3 */
    GetProcAddressV2 v2; /* from CUDA 12.0 */
} Resolver;

/* POSIX lets dlsym's void * be called; ISO C has no cast for it. */
static void read_symbol(void *library, const char *symbol, void *function)
{
    void *address = dlsym(library, symbol);
    memcpy(function, &address, sizeof address);
}

static void *resolve(const Resolver *r, const char *name, const char *symbol, int version)
{
    void *found = NULL;
    CUdriverProcAddressQueryResult unused;
    if (r->v2 && r->v2(name, &found, version, CU_GET_PROC_ADDRESS_DEFAULT, &unused) == CUDA_SUCCESS && found)
        return found;
    if (!r->v2 && r->v1 && r->v1(name, &found, version, CU_GET_PROC_ADDRESS_DEFAULT) == CUDA_SUCCESS && found)
        return found;
    return dlsym(r->library, symbol);
}

/* Fills the table; returns the name of the first required function that is missing, or NULL. */
static const char *find_symbols(RtDriver *driver)
{
    const char *missing = NULL;
    Resolver r = {.library = driver->library};
    read_symbol(r.library, "cuGetProcAddress", &r.v1);
    read_symbol(r.library, "cuGetProcAddress_v2", &r.v2);
    void *found;
#define X(name, symbol, version, need, arguments)                                                              \
    found = resolve(&r, #name, #symbol, version);                                                              \
    memcpy(&driver->name, &found, sizeof found);                                                               \
    if (!found && need == REQUIRED && !missing) missing = #symbol;
    RT_DRIVER_SYMBOLS(X)
#undef X
    return missing;
}

static ts_status check_symbols(RtDriver *driver, const char *library)
{
    const char *missing = find_symbols(driver);
    if (!driver->cuInit)
        return rt_fail(TS_ERROR_NO_DRIVER, "%s is not a CUDA driver: it has no cuInit", library);
    if (missing)
        return rt_fail(TS_ERROR_DRIVER_TOO_OLD,
                       "the CUDA driver %s has no %s: update it to CUDA %d.%d or newer", library, missing,
                       RT_MIN_DRIVER_VERSION / 1000, RT_MIN_DRIVER_VERSION % 1000 / 10);
    return TS_OK;
}

static ts_status initialise(RtDriver *driver, const char *library)
{
    ts_status status = rt_driver_check(driver, driver->cuInit(0), "starting the CUDA driver %s", library);
    if (!status)
        status = rt_driver_check(driver, driver->cuDriverGetVersion(&driver->version),
                                 "asking %s for its version", library);
    if (!status && driver->version < RT_MIN_DRIVER_VERSION)
        status = rt_fail(TS_ERROR_DRIVER_TOO_OLD,
                         "the CUDA driver %s is for CUDA %d.%d: update it to CUDA %d.%d or newer", library,
                         driver->version / 1000, driver->version % 1000 / 10, RT_MIN_DRIVER_VERSION / 1000,
                         RT_MIN_DRIVER_VERSION % 1000 / 10);
    return status;
}

ts_status rt_driver_open(RtDriver *driver, const char *library)
{
    if (!library) library = DEFAULT_LIBRARY;
    *driver = (RtDriver){.library = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
    if (!driver->library) {
        const char *why = dlerror();
        return rt_fail(
            TS_ERROR_NO_DRIVER,
            "cannot open the CUDA driver %s (%s): install the NVIDIA driver, or name another library", library,
            why ? why : "no reason given");
    }
    ts_status status = check_symbols(driver, library);
    if (!status) status = initialise(driver, library);
    if (status) rt_driver_close(driver);
    return status;
}

void rt_driver_close(RtDriver *driver)
{
    if (driver->library) dlclose(driver->library);
    driver->library = NULL;
}

/* ---- devices ---- */

ts_status rt_driver_device(const RtDriver *driver, int ordinal, CUdevice *device)
{
    int count = 0;
    ts_status status = rt_driver_check(driver, driver->cuDeviceGetCount(&count), "counting devices");
    if (status) return status;
    if (ordinal < 0) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "device ordinal %d is negative", ordinal);
    if (count == 0)
        return rt_fail(TS_ERROR_NO_DEVICE,
                       "the CUDA driver sees no device: see nvidia-smi and CUDA_VISIBLE_DEVICES");
    if (ordinal >= count)
        return rt_fail(TS_ERROR_NO_DEVICE, "there is no CUDA device %d: the driver sees %d, numbered from 0",
                       ordinal, count);
    return rt_driver_check(driver, driver->cuDeviceGet(device, ordinal), "opening device %d", ordinal);
}

ts_status rt_driver_device_info(const RtDriver *driver, CUdevice device, ts_device_info *info)
{
    struct {
        CUdevice_attribute attribute;
        int32_t *value;
    } facts[] = {
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &info->compute_major},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &info->compute_minor},
        {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &info->sm_count},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, &info->block_smem_bytes},
    };
    *info = (ts_device_info){.struct_size = sizeof *info, .ordinal = device, .driver_version = driver->version};
    size_t memory_bytes = 0;
    ts_status status = TS_OK;
    for (size_t i = 0; i < sizeof facts / sizeof *facts && !status; i++)
        status = rt_driver_check(driver,
                                 driver->cuDeviceGetAttribute(facts[i].value, facts[i].attribute, device),
                                 "asking device %d for attribute %d", device, (int)facts[i].attribute);
    if (!status)
        status = rt_driver_check(driver, driver->cuDeviceGetName(info->name, sizeof info->name, device),
                                 "asking device %d for its name", device);
    if (!status)
        status = rt_driver_check(driver, driver->cuDeviceTotalMem(&memory_bytes, device),
                                 "asking device %d for its memory", device);
    info->memory_bytes = memory_bytes;
    return status;
}
