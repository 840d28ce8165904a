/* fake_cuda.c: a libcuda.so.1 that computes nothing: it hands out objects, counts the live ones, checks that
 * a context is current where one must be, fails on demand, and remembers the last launch. See fake_cuda.h.
 */
#define _GNU_SOURCE /* dladdr */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/cuda_abi.h"
#include "runtime/driver_symbols.h"
#include "tests/unit/fake_cuda.h"

#define EXPORT __attribute__((visibility("default")))

enum { MAX_DEPTH = 16, MAX_DEVICES = 4, MAX_OBJECTS = 4096, MEMORY_BYTES = 1 << 30 };

struct CUctx_st {
    CUdevice device;
};
struct CUmod_st {
    char text[1]; /* as long as it is */
};
struct CUstream_st {
    bool capturing;
    int launches; /* captured */
};
struct CUevent_st {
    bool recorded;
};
struct CUgraph_st {
    int launches;
};
struct CUgraphExec_st {
    int launches;
};

static struct CUctx_st primary[MAX_DEVICES] = {{0}, {1}, {2}, {3}};
static atomic_int retained;
static void *object[MAX_OBJECTS]; /* all that was made and not ended */
static pthread_mutex_t object_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local CUcontext stack[MAX_DEPTH];
static _Thread_local int depth;
static pthread_mutex_t launch_lock = PTHREAD_MUTEX_INITIALIZER;
static FakeLaunch last_launch;

/* ---- steering ---- */

#define X(name, symbol, ...) CALL_##name,
enum { RT_DRIVER_SYMBOLS(X) CALL_cuCtxCreate, CALL_cuCtxDestroy, N_CALLS };
#undef X
static const char *const symbols[N_CALLS] = {
#define X(name, symbol, ...) #symbol,
    RT_DRIVER_SYMBOLS(X) "cuCtxCreate_v2", "cuCtxDestroy_v2"
#undef X
};
static atomic_int calls[N_CALLS];

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

/* Counts the call; what FAKE_CUDA_FAIL wants of it. */
static CUresult enter(int call)
{
    int n = atomic_fetch_add(&calls[call], 1) + 1;
    const char *at = getenv("FAKE_CUDA_FAIL");
    size_t bytes = strlen(symbols[call]);
    for (; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strncmp(at, symbols[call], bytes) != 0 || at[bytes] != '=') continue;
        char *end;
        long result = strtol(at + bytes + 1, &end, 10);
        if (*end != '@' || atoi(end + 1) == n) return (CUresult)result;
    }
    return CUDA_SUCCESS;
}

#define FAKE(name)                                                                                           \
    do {                                                                                                     \
        CUresult forced = enter(CALL_##name);                                                                \
        if (forced) return forced;                                                                           \
    } while (0)
#define NEEDS(condition, result)                                                                             \
    do {                                                                                                     \
        if (!(condition)) return CUDA_ERROR_##result;                                                        \
    } while (0)
#define NEEDS_CONTEXT() NEEDS(depth > 0 && stack[depth - 1], INVALID_CONTEXT)

/* ---- objects ---- */

/* Puts `to` where `from` stands in the list; false: `from` is not there. */
static bool swap_object(void *from, void *to)
{
    bool found = false;
    pthread_mutex_lock(&object_lock);
    for (int i = 0; i < MAX_OBJECTS && !found; i++)
        if (object[i] == from) object[i] = to, found = true;
    pthread_mutex_unlock(&object_lock);
    return found;
}

static void *make(size_t bytes)
{
    void *made = calloc(1, bytes);
    if (made && !swap_object(NULL, made)) free(made), made = NULL;
    return made;
}

static CUresult end(void *made)
{
    if (!made || !swap_object(made, NULL)) return CUDA_ERROR_INVALID_HANDLE;
    free(made);
    return CUDA_SUCCESS;
}

EXPORT int fake_cuda_live(void)
{
    int live = retained + depth;
    for (int i = 0; i < MAX_OBJECTS; i++) live += object[i] != NULL;
    return live;
}

EXPORT int fake_cuda_calls(const char *symbol)
{
    for (int i = 0; i < N_CALLS; i++)
        if (strcmp(symbols[i], symbol) == 0) return calls[i];
    return -1;
}

EXPORT void fake_cuda_reset(void)
{
    for (int i = 0; i < N_CALLS; i++) calls[i] = 0;
}

EXPORT void fake_cuda_end_all(void)
{
    for (int i = 0; i < MAX_OBJECTS; i++) free(object[i]), object[i] = NULL;
    retained = depth = 0;
}

EXPORT void fake_cuda_last_launch(FakeLaunch *launch)
{
    pthread_mutex_lock(&launch_lock);
    *launch = last_launch;
    pthread_mutex_unlock(&launch_lock);
}

/* ---- driver, errors, devices ---- */

EXPORT CUresult cuInit(unsigned int flags)
{
    FAKE(cuInit);
    return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int *version)
{
    FAKE(cuDriverGetVersion);
    *version = setting("FAKE_CUDA_VERSION", 13000);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult error, const char **name)
{
    FAKE(cuGetErrorName);
    switch (error) {
#define X(result, number)                                                                                    \
    case result: *name = #result; return CUDA_SUCCESS;
        RT_CUDA_RESULTS(X)
#undef X
    }
    *name = NULL;
    return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGetErrorString(CUresult error, const char **text)
{
    FAKE(cuGetErrorString);
    *text = "as the test wanted it";
    return error == (CUresult)12345 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static int device_count(void) { return setting("FAKE_CUDA_DEVICES", 1); }

EXPORT CUresult cuDeviceGetCount(int *count)
{
    FAKE(cuDeviceGetCount);
    *count = device_count();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    FAKE(cuDeviceGet);
    NEEDS(ordinal >= 0 && ordinal < device_count(), INVALID_DEVICE);
    *device = ordinal;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int bytes, CUdevice device)
{
    FAKE(cuDeviceGetName);
    snprintf(name, (size_t)bytes, "fake %d", device);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    FAKE(cuDeviceGetAttribute);
    NEEDS(device >= 0 && device < device_count(), INVALID_DEVICE);
    int sm = setting("FAKE_CUDA_SM", 89);
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 128; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = sm / 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = sm % 10; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = setting("FAKE_CUDA_SMEM", 101376);
        break;
    }
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    FAKE(cuDeviceTotalMem);
    NEEDS(device >= 0 && device < device_count(), INVALID_DEVICE);
    *bytes = MEMORY_BYTES;
    return CUDA_SUCCESS;
}

/* ---- contexts ---- */

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    FAKE(cuDevicePrimaryCtxRetain);
    NEEDS(device >= 0 && device < device_count() && device < MAX_DEVICES, INVALID_DEVICE);
    retained++;
    *context = &primary[device];
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    FAKE(cuDevicePrimaryCtxRelease);
    NEEDS(device >= 0 && device < MAX_DEVICES, INVALID_DEVICE);
    retained--;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCurrent(CUcontext *context)
{
    FAKE(cuCtxGetCurrent);
    *context = depth ? stack[depth - 1] : NULL;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    FAKE(cuCtxPushCurrent);
    NEEDS(depth < MAX_DEPTH && context, INVALID_CONTEXT);
    stack[depth++] = context;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    FAKE(cuCtxPopCurrent);
    NEEDS(depth > 0, INVALID_CONTEXT);
    *context = stack[--depth];
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
    FAKE(cuCtxGetDevice);
    NEEDS_CONTEXT();
    *device = stack[depth - 1]->device;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device);
EXPORT CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device)
{
    FAKE(cuCtxCreate);
    (void)flags;
    CUcontext made = make(sizeof *made);
    NEEDS(made, OUT_OF_MEMORY);
    *made = (struct CUctx_st){device};
    *context = made;
    return cuCtxPushCurrent_v2(made);
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext context);
EXPORT CUresult cuCtxDestroy_v2(CUcontext context)
{
    FAKE(cuCtxDestroy);
    if (depth && stack[depth - 1] == context) depth--;
    return end(context);
}

/* ---- modules and functions ---- */

static void write_logs(unsigned int n_options, const CUjit_option *options, void **values, CUresult result)
{
    for (unsigned int i = 0; i < n_options; i++) {
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER && result)
            strcpy(values[i], "line 7: error: as the test wanted it\n");
        if (options[i] == CU_JIT_INFO_LOG_BUFFER && !result)
            strcpy(values[i], "ptxas info: used 42 registers\n");
    }
}

EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int n_options,
                                   CUjit_option *options, void **values)
{
    CUresult forced = enter(CALL_cuModuleLoadDataEx);
    write_logs(n_options, options, values, forced);
    if (forced) return forced;
    NEEDS_CONTEXT();
    CUmodule made = make(strlen(image) + 1);
    NEEDS(made, OUT_OF_MEMORY);
    memcpy(made->text, image, strlen(image) + 1);
    *module = made;
    return CUDA_SUCCESS;
}

/* A function lives as long as its module and is the same object. */
EXPORT CUresult cuModuleUnload(CUmodule module)
{
    FAKE(cuModuleUnload);
    NEEDS_CONTEXT();
    return end(module);
}

EXPORT CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    FAKE(cuModuleGetFunction);
    NEEDS_CONTEXT();
    NEEDS(strstr(module->text, name), NOT_FOUND);
    *function = (CUfunction)module;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
    FAKE(cuFuncGetAttribute);
    NEEDS_CONTEXT();
    NEEDS(function, INVALID_HANDLE);
    *value = attribute == CU_FUNC_ATTRIBUTE_NUM_REGS                ? 42
             : attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? setting("FAKE_CUDA_MAX_THREADS", 1024)
                                                                    : 0;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    FAKE(cuFuncSetAttribute);
    NEEDS_CONTEXT();
    NEEDS(function, INVALID_HANDLE);
    bool too_much = attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES &&
                    value > setting("FAKE_CUDA_SMEM", 101376);
    return too_much ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function,
                                                            int block_threads, size_t smem_bytes)
{
    FAKE(cuOccupancyMaxActiveBlocksPerMultiprocessor);
    NEEDS_CONTEXT();
    NEEDS(function && block_threads > 0 && smem_bytes <= MEMORY_BYTES, INVALID_VALUE);
    *blocks = 2;
    return CUDA_SUCCESS;
}

/* Tests make up streams that are no objects of the fake. */
static bool is_capturing(CUstream stream)
{
    return stream && swap_object(stream, stream) && stream->capturing;
}

/* Reads the parameters as the kernel's header line "// params: x:u64 m:u32 ..." says. */
static void note_params(const char *text, void **params, FakeLaunch *launch)
{
    const char *at = strstr(text, "// params:");
    int used = 0;
    for (at = at ? at + strlen("// params:") : ""; launch->n_params < 16; at += used) {
        int i = launch->n_params;
        char type[4];
        if (sscanf(at, " %7[a-z_]:%3[a-z0-9]%n", launch->name[i], type, &used) != 2) break;
        bool wide = strcmp(type, "u64") == 0 || strcmp(type, "map") == 0;
        memcpy(&launch->value[i], params[i], wide ? 8 : 4);
        launch->n_params++;
    }
}

static CUresult note_launch(FakeLaunch *launch, CUfunction function, void **params)
{
    CUstream stream = launch->stream;
    if (is_capturing(stream)) return stream->launches++, CUDA_SUCCESS;
    note_params(((CUmodule)function)->text, params, launch);
    pthread_mutex_lock(&launch_lock);
    last_launch = *launch;
    pthread_mutex_unlock(&launch_lock);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxActiveClusters(int *clusters, CUfunction function, const CUlaunchConfig *c)
{
    FAKE(cuOccupancyMaxActiveClusters);
    NEEDS_CONTEXT();
    NEEDS(function && c->gridDimX && c->blockDimX && !c->numAttrs, INVALID_VALUE);
    *clusters = setting("FAKE_CUDA_CLUSTERS", 64);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                               unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                               unsigned int block_z, unsigned int smem_bytes, CUstream stream, void **params,
                               void **extra)
{
    FAKE(cuLaunchKernel);
    NEEDS_CONTEXT();
    NEEDS(!extra && grid_x && grid_y && grid_z && block_x * block_y * block_z <= 1024, INVALID_VALUE);
    FakeLaunch launch = {
        {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, smem_bytes, stream, 0, {{0}}, {0}, 0};
    return note_launch(&launch, function, params);
}

EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction function, void **params, void **extra)
{
    FAKE(cuLaunchKernelEx);
    NEEDS_CONTEXT();
    NEEDS(!extra && c->gridDimX && c->numAttrs == 1, INVALID_VALUE);
    FakeLaunch launch = {{c->gridDimX, c->gridDimY, c->gridDimZ},
                         {c->blockDimX, c->blockDimY, c->blockDimZ},
                         c->sharedMemBytes,
                         c->hStream,
                         0,
                         {{0}},
                         {0},
                         c->attrs->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
    return note_launch(&launch, function, params);
}

/* A map of the fake: its address, then rows and box rows. */
EXPORT CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
                                       void *address, const cuuint64_t *dims, const cuuint64_t *strides,
                                       const cuuint32_t *box, const cuuint32_t *element_strides,
                                       CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                       CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
    FAKE(cuTensorMapEncodeTiled);
    NEEDS_CONTEXT();
    NEEDS(rank == 2 && (uintptr_t)address % 16 == 0 && strides[0] % 16 == 0, INVALID_VALUE);
    (void)type, (void)element_strides, (void)interleave, (void)swizzle, (void)promotion, (void)fill;
    *map = (CUtensorMap){{(uintptr_t)address, dims[0], dims[1], box[0], box[1]}};
    return CUDA_SUCCESS;
}

/* ---- memory: the host's ---- */

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    FAKE(cuMemAlloc);
    NEEDS_CONTEXT();
    NEEDS(bytes, INVALID_VALUE);
    NEEDS(bytes <= MEMORY_BYTES, OUT_OF_MEMORY);
    void *made = make(bytes);
    NEEDS(made, OUT_OF_MEMORY);
    *address = (CUdeviceptr)(uintptr_t)made;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr address)
{
    FAKE(cuMemFree);
    NEEDS_CONTEXT();
    return end((void *)(uintptr_t)address);
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    FAKE(cuMemcpyHtoD);
    NEEDS_CONTEXT();
    memcpy((void *)(uintptr_t)to, from, bytes);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    FAKE(cuMemcpyDtoH);
    NEEDS_CONTEXT();
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char byte, size_t bytes)
{
    FAKE(cuMemsetD8);
    NEEDS_CONTEXT();
    memset((void *)(uintptr_t)to, byte, bytes);
    return CUDA_SUCCESS;
}

/* ---- streams and events ---- */

EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
    FAKE(cuStreamCreate);
    NEEDS_CONTEXT();
    NEEDS(flags <= 1, INVALID_VALUE);
    *stream = make(sizeof **stream);
    NEEDS(*stream, OUT_OF_MEMORY);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamDestroy_v2(CUstream stream)
{
    FAKE(cuStreamDestroy);
    return end(stream);
}

EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
    FAKE(cuStreamSynchronize);
    (void)stream;
    NEEDS_CONTEXT();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status)
{
    FAKE(cuStreamIsCapturing);
    (void)stream;
    NEEDS_CONTEXT();
    *status =
        setting("FAKE_CUDA_CAPTURING", 0) ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
    FAKE(cuEventCreate);
    NEEDS_CONTEXT();
    NEEDS(flags == 0, INVALID_VALUE);
    *event = make(sizeof **event);
    NEEDS(*event, OUT_OF_MEMORY);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(CUevent event)
{
    FAKE(cuEventDestroy);
    return end(event);
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream stream)
{
    FAKE(cuEventRecord);
    (void)stream;
    NEEDS_CONTEXT();
    event->recorded = true;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventSynchronize(CUevent event)
{
    FAKE(cuEventSynchronize);
    NEEDS(event, INVALID_HANDLE);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent stop)
{
    FAKE(cuEventElapsedTime);
    NEEDS(start->recorded && stop->recorded, INVALID_HANDLE);
    *milliseconds = 1.5f;
    return CUDA_SUCCESS;
}

/* ---- graphs: how many launches were captured, and how many were run ---- */

static atomic_int graph_launches;

EXPORT int fake_cuda_graph_launches(void) { return graph_launches; }

EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    FAKE(cuStreamBeginCapture);
    NEEDS_CONTEXT();
    NEEDS(mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && stream && !stream->capturing, INVALID_VALUE);
    *stream = (struct CUstream_st){.capturing = true};
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    FAKE(cuStreamEndCapture);
    NEEDS_CONTEXT();
    NEEDS(stream && stream->capturing, INVALID_VALUE);
    stream->capturing = false;
    *graph = make(sizeof **graph);
    NEEDS(*graph, OUT_OF_MEMORY);
    (*graph)->launches = stream->launches;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    FAKE(cuGraphInstantiateWithFlags);
    NEEDS_CONTEXT();
    NEEDS(graph && !flags, INVALID_VALUE);
    *exec = make(sizeof **exec);
    NEEDS(*exec, OUT_OF_MEMORY);
    (*exec)->launches = graph->launches;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph graph)
{
    FAKE(cuGraphDestroy);
    return end(graph);
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    FAKE(cuGraphExecDestroy);
    return end(exec);
}

EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    FAKE(cuGraphLaunch);
    (void)stream;
    NEEDS_CONTEXT();
    graph_launches += exec->launches;
    return CUDA_SUCCESS;
}

/* ---- cuGetProcAddress ---- */

/* Finds `name` only for the version at which its form here came: another version would mean another form. */
static CUresult find_function(const char *name, void **function, int version)
{
    *function = NULL;
    Dl_info here;
    NEEDS(dladdr((void *)(uintptr_t)&find_function, &here), NOT_FOUND);
    void *self = dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    NEEDS(self, NOT_FOUND);
#define X(field, symbol, since, ...)                                                                         \
    if (strcmp(name, #field) == 0 && version == since) *function = dlsym(self, #symbol);
    RT_DRIVER_SYMBOLS(X)
#undef X
    dlclose(self);
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* As of CUDA 11.3. */
EXPORT CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags);
EXPORT CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags)
{
    return flags ? CUDA_ERROR_INVALID_VALUE : find_function(name, function, version);
}

/* As of CUDA 12.0. */
EXPORT CUresult cuGetProcAddress_v2(const char *name, void **function, int version, cuuint64_t flags,
                                    CUdriverProcAddressQueryResult *found);
EXPORT CUresult cuGetProcAddress_v2(const char *name, void **function, int version, cuuint64_t flags,
                                    CUdriverProcAddressQueryResult *found)
{
    CUresult result = flags ? CUDA_ERROR_INVALID_VALUE : find_function(name, function, version);
    *found = CU_GET_PROC_ADDRESS_SUCCESS;
    return result;
}
