/* runtime_driver.c: contexts, loading, memory, streams, timers and graphs on the fake driver: how the driver is opened,
 * which CUDA context is used and that the caller's stays current, and that every call of the driver may fail
 * without anything being leaked.
 */
#define _GNU_SOURCE /* memmem */
#include "runtime/driver.h"
#include "tests/refused.h"
#include "tests/unit/fake_cuda.h"

#include <stdio.h>
#include <unistd.h>

static Fake fake;

static ts_context_options fake_options(void)
{
    ts_context_options options = ts_context_options_make();
    options.driver_library = fake_path();
    return options;
}

/* ---- opening ---- */

/* A copy of the fake driver in which each of the names (separated by spaces) is spoilt, so that neither dlsym
 * nor cuGetProcAddress finds such a function. Returns its path. */
static const char *spoilt_copy(const char *names)
{
    static char path[64];
    static char bytes[4 << 20];
    FILE *from = fopen(fake_path(), "rb");
    size_t size = from ? fread(bytes, 1, sizeof bytes, from) : 0;
    if (from) fclose(from);
    for (const char *name = names; *name; name += strcspn(name, " "), name += strspn(name, " ")) {
        size_t length = strcspn(name, " ");
        for (char *at = bytes; (at = memmem(at, size - (size_t)(at - bytes), name, length)); at++)
            if (at[length] == 0) at[length - 1] = '?';
    }
    snprintf(path, sizeof path, "/tmp/tilesmith_fake_XXXXXX");
    int file = mkstemp(path);
    bool written = file >= 0 && size && write(file, bytes, size) == (ssize_t)size;
    if (file >= 0) close(file);
    ok(written, "a copy of the fake driver without %s", names);
    return path;
}

static ts_status count_spoilt(const char *names, int *count)
{
    const char *path = spoilt_copy(names);
    ts_status status = ts_device_count(path, count);
    unlink(path);
    return status;
}

static void test_opening(void)
{
    int count;
    ok(ts_device_count(fake_path(), &count) == TS_OK && count == 1, "one device: %s", ts_last_error());
    ok(count_spoilt("cuGetProcAddress_v2", &count) == TS_OK && count == 1, "the older cuGetProcAddress: %s", ts_last_error());
    ok(count_spoilt("cuGetProcAddress cuGetProcAddress_v2", &count) == TS_OK && count == 1, "and dlsym: %s", ts_last_error());
    ok(count_spoilt("cuOccupancyMaxActiveBlocksPerMultiprocessor", &count) == TS_OK, "optional functions may be missing");
    refused(count_spoilt("cuLaunchKernel", &count), TS_ERROR_DRIVER_TOO_OLD, "has no cuLaunchKernel: update it");
    refused(count_spoilt("cuInit", &count), TS_ERROR_NO_DRIVER, "has no cuInit");
    refused(ts_device_count("libm.so.6", &count), TS_ERROR_NO_DRIVER, "has no cuInit");

    setenv("FAKE_CUDA_FAIL", "cuInit=100", 1);
    refused(ts_device_count(fake_path(), &count), TS_ERROR_NO_DEVICE, "CUDA_VISIBLE_DEVICES");
    setenv("FAKE_CUDA_FAIL", "cuInit=34", 1);
    refused(ts_device_count(fake_path(), &count), TS_ERROR_NO_DRIVER, "stub");
    setenv("FAKE_CUDA_FAIL", "cuInit=803", 1);
    refused(ts_device_count(fake_path(), &count), TS_ERROR_NO_DRIVER, "reboot");
    unsetenv("FAKE_CUDA_FAIL");
}

static void test_devices(void)
{
    ts_device_info info = {.struct_size = sizeof info};
    setenv("FAKE_CUDA_DEVICES", "2", 1);
    ok(ts_device_get_info(fake_path(), 1, &info) == TS_OK, "device 1: %s", ts_last_error());
    is_str(info.name, "fake 1", "its name");
    ok(info.ordinal == 1 && info.compute_major == 8 && info.compute_minor == 9 && info.sm_count == 128,
       "its numbers");
    ok(info.driver_version == 13000 && info.block_smem_bytes == 101376 && info.memory_bytes == 1 << 30,
       "more of them");
    refused(ts_device_get_info(fake_path(), 2, &info), TS_ERROR_NO_DEVICE, "the driver sees 2");
    refused(ts_device_get_info(fake_path(), -1, &info), TS_ERROR_INVALID_ARGUMENT, "negative");
    info.struct_size = 3;
    refused(ts_device_get_info(fake_path(), 0, &info), TS_ERROR_INVALID_ARGUMENT, "sizeof(ts_device_info)");
    setenv("FAKE_CUDA_DEVICES", "0", 1);
    info.struct_size = sizeof info;
    refused(ts_device_get_info(fake_path(), 0, &info), TS_ERROR_NO_DEVICE, "sees no device");
    unsetenv("FAKE_CUDA_DEVICES");
}

/* ---- structs of other releases ---- */

static void test_versioned_structs(void)
{
    struct {
        ts_context_options options;
        char more[32];
    } newer = {.options = fake_options()};
    ts_context *context;
    newer.options.struct_size = sizeof newer;
    ok(ts_context_create(&newer.options, &context) == TS_OK,
       "a larger struct whose new fields are 0 is taken: %s", ts_last_error());
    ts_context_destroy(context);
    newer.more[31] = 1;
    refused(ts_context_create(&newer.options, &context), TS_ERROR_UNSUPPORTED, "does not know");
    newer.options.struct_size = 0;
    refused(ts_context_create(&newer.options, &context), TS_ERROR_INVALID_ARGUMENT,
            "sizeof(ts_context_options)");
    newer.options.struct_size = (size_t)-1;
    refused(ts_context_create(&newer.options, &context), TS_ERROR_INVALID_ARGUMENT,
            "sizeof(ts_context_options)");
    newer.options = fake_options();
    newer.options.device_ordinal = -2;
    refused(ts_context_create(&newer.options, &context), TS_ERROR_INVALID_ARGUMENT, "device_ordinal is -2");
}

/* ---- which CUDA context ---- */

static CUcontext current(const RtDriver *driver)
{
    CUcontext context;
    driver->cuCtxGetCurrent(&context);
    return context;
}

/* A caller with a CUDA context of its own on device 1. */
static void test_callers_context(const RtDriver *driver, CUcontext own)
{
    ts_context_options options = fake_options();
    ts_device_info info = {.struct_size = sizeof info};
    ts_context *context;
    ts_device_ptr address;
    ok(ts_context_create(&options, &context) == TS_OK && ts_context_get_info(context, &info) == TS_OK,
       "a context: %s", ts_last_error());
    ok(info.ordinal == 1, "the caller's current context decides the device");
    ok(fake.calls("cuDevicePrimaryCtxRetain") == 0, "and is used itself");
    int pushes = fake.calls("cuCtxPushCurrent_v2");
    ok(ts_malloc(context, 64, &address) == TS_OK && ts_free(context, address) == TS_OK, "memory");
    ok(fake.calls("cuCtxPushCurrent_v2") == pushes, "nothing is pushed when it is current already");
    ts_context_destroy(context);

    options.device_ordinal = 0;
    ok(ts_context_create(&options, &context) == TS_OK && ts_context_get_info(context, &info) == TS_OK,
       "a context on device 0: %s", ts_last_error());
    ok(info.ordinal == 0 && fake.calls("cuDevicePrimaryCtxRetain") == 1,
       "another device is used through its primary context");
    ok(ts_malloc(context, 64, &address) == TS_OK && ts_free(context, address) == TS_OK, "memory there");
    ok(current(driver) == own, "the caller's context is still current");
    ts_context_destroy(context);
    ok(current(driver) == own, "and after the end");
}

static void test_contexts(void)
{
    RtDriver driver;
    CUcontext own = NULL, popped;
    CUresult (*create)(CUcontext *, unsigned int, CUdevice);
    CUresult (*destroy)(CUcontext);
    void *functions[] = {fake_function(fake.library, "cuCtxCreate_v2"),
                         fake_function(fake.library, "cuCtxDestroy_v2")};
    memcpy(&create, &functions[0], sizeof create);
    memcpy(&destroy, &functions[1], sizeof destroy);
    setenv("FAKE_CUDA_DEVICES", "2", 1);
    ok(rt_driver_open(&driver, fake_path()) == TS_OK && create(&own, 0, 1) == CUDA_SUCCESS,
       "a CUDA context of the caller's");
    fake.reset();
    test_callers_context(&driver, own);
    driver.cuCtxPopCurrent(&popped);
    destroy(own);
    ok(current(&driver) == NULL, "no context is current");
    ts_context *context;
    ts_context_options options = fake_options();
    ok(ts_context_create(&options, &context) == TS_OK, "a context where none is current");
    ok(ts_stream_synchronize(context, NULL) == TS_OK && current(&driver) == NULL,
       "and none is current afterwards");
    ts_context_destroy(context);
    rt_driver_close(&driver);
    unsetenv("FAKE_CUDA_DEVICES");
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
}

/* ---- everything a program may do, each call failing in turn ---- */

/* Returns whether something failed. The graph outlives the caller's hold on the context. */
static bool use_graph(ts_context *context, const ts_kernel *kernel, const ts_linear_args *args,
                      ts_stream stream)
{
    ts_graph *graph = NULL;
    if (ts_graph_begin(context, stream)) return true;
    bool launched = kernel && ts_kernel_launch(kernel, args, stream) == TS_OK;
    bool ended = ts_graph_end(context, stream, &graph) == TS_OK;
    bool replayed = ended && ts_graph_launch(graph, stream) == TS_OK;
    ts_graph_destroy(graph);
    return !launched || !replayed;
}

/* Goes on where it can after a failure, and ends everything it has. Returns how many calls failed. */
static int use_everything(void)
{
    ts_context_options options = fake_options();
    ts_context *context = NULL;
    ts_kernel *kernel = NULL;
    ts_timer *timer = NULL;
    ts_stream stream = NULL;
    ts_device_ptr address = 0;
    ts_linear_args args = ts_linear_args_make();
    char bytes[64] = {0};
    float milliseconds;
    int failed = 0, count;
    failed += ts_device_count(fake_path(), &count) != TS_OK;
    if (ts_context_create(&options, &context)) return failed + 1;
    failed += ts_kernel_load(context, SAMPLE, strlen(SAMPLE), &kernel) != TS_OK;
    failed += ts_stream_create(context, &stream) != TS_OK;
    failed += ts_timer_create(context, &timer) != TS_OK;
    failed += ts_malloc(context, sizeof bytes, &address) != TS_OK;
    if (address) {
        failed += ts_fill(context, address, 0xA5, sizeof bytes) != TS_OK;
        failed += ts_copy_to_device(context, address, bytes, sizeof bytes) != TS_OK;
        failed += ts_copy_to_host(context, bytes, address, sizeof bytes) != TS_OK;
    }
    args.m = args.n = 8;
    args.y = args.x = args.w = ts_matrix_make(address ? address & ~15ull : 64, 8, TS_F16);
    if (timer) failed += ts_timer_start(timer, stream) != TS_OK;
    if (kernel) failed += ts_kernel_launch(kernel, &args, stream) != TS_OK;
    if (timer) failed += ts_timer_stop(timer, stream) != TS_OK;
    if (timer) failed += ts_timer_milliseconds(timer, &milliseconds) != TS_OK;
    failed += stream && use_graph(context, kernel, &args, stream);
    failed += ts_stream_synchronize(context, stream) != TS_OK;
    failed += ts_free(context, address) != TS_OK;
    failed += ts_stream_destroy(context, stream) != TS_OK;
    ts_context_destroy(context); /* before its kernel and timer: they keep what they need */
    ts_kernel_destroy(kernel);
    ts_timer_destroy(timer);
    return failed;
}

/* Calls whose failure loses the object: not freeing is what failed. */
static bool ends_something(const char *symbol)
{
    static const char *const ends[] = {"cuMemFree_v2",
                                       "cuStreamDestroy_v2",
                                       "cuEventDestroy_v2",
                                       "cuModuleUnload",
                                       "cuGraphDestroy",
                                       "cuGraphExecDestroy",
                                       "cuDevicePrimaryCtxRelease_v2",
                                       "cuCtxPushCurrent_v2",
                                       "cuCtxPopCurrent_v2",
                                       "cuCtxGetCurrent"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(symbol, ends[i]) == 0) return true;
    return false;
}

static int fail_each(const char *symbol)
{
    fake.reset();
    use_everything();
    int calls = fake.calls(symbol), quiet = 0, leaks = 0;
    for (int i = 1; i <= calls; i++) {
        char setting[96];
        snprintf(setting, sizeof setting, "%s=999@%d", symbol, i);
        setenv("FAKE_CUDA_FAIL", setting, 1);
        fake.reset();
        quiet += use_everything() == 0;
        leaks += fake.live() != 0 && !ends_something(symbol);
        unsetenv("FAKE_CUDA_FAIL");
        fake.end_all();
    }
    bool tells = quiet == 0 || ends_something(symbol) || !strncmp(symbol, "cuGetError", 10) ||
                 !strcmp(symbol, "cuStreamIsCapturing");
    ok(tells && leaks == 0, "%s: each of its %d calls may fail, is reported and leaks nothing", symbol, calls);
    if (!tells || leaks) note("%d unreported, %d leaks", quiet, leaks);
    return calls;
}

static void test_failures(void)
{
    fake.reset();
    ok(use_everything() == 0, "everything works: %s", ts_last_error());
    ok(fake.live() == 0, "and leaves nothing: %d", fake.live());
#define X(name, symbol, ...) fail_each(#symbol);
    RT_DRIVER_SYMBOLS(X)
#undef X
}

/* ---- graphs ---- */

static void test_graph(ts_context *context, ts_kernel *kernel, ts_stream stream)
{
    ts_linear_args args = ts_linear_args_make();
    ts_graph *graph;
    args.m = args.n = 8;
    args.y = args.x = args.w = ts_matrix_make(64, 8, TS_F16);
    int before = fake.graph_launches();
    ok(ts_graph_begin(context, stream) == TS_OK, "a capture begins: %s", ts_last_error());
    refused(ts_graph_begin(context, stream), TS_ERROR_DRIVER, "beginning to capture");
    ok(ts_kernel_launch(kernel, &args, stream) == TS_OK && ts_kernel_launch(kernel, &args, stream) == TS_OK,
       "two launches: %s", ts_last_error());
    ok(ts_graph_end(context, stream, &graph) == TS_OK && fake.graph_launches() == before,
       "are kept, not run: %s", ts_last_error());
    for (int i = 0; i < 3; i++) ok(ts_graph_launch(graph, stream) == TS_OK, "a replay: %s", ts_last_error());
    ok(fake.graph_launches() == before + 6, "runs both each time");
    ts_graph_destroy(graph);
    refused(ts_graph_end(context, stream, &graph), TS_ERROR_DRIVER, "ending the capture");
    ok(graph == NULL, "no capture, no graph");
}

static void test_graph_arguments(ts_context *context, ts_stream stream)
{
    ts_graph *graph;
    refused(ts_graph_begin(NULL, stream), TS_ERROR_INVALID_ARGUMENT, "context is null");
    refused(ts_graph_begin(context, NULL), TS_ERROR_INVALID_ARGUMENT, "stream is null");
    refused(ts_graph_end(context, stream, NULL), TS_ERROR_INVALID_ARGUMENT, "graph is null");
    refused(ts_graph_end(context, NULL, &graph), TS_ERROR_INVALID_ARGUMENT, "stream is null");
    refused(ts_graph_launch(NULL, stream), TS_ERROR_INVALID_ARGUMENT, "graph is null");
    ts_graph_destroy(NULL);
}

/* A driver without one of the functions has no graphs, and says so at the beginning. */
static void test_without_graphs(const char *missing)
{
    ts_context_options options = ts_context_options_make();
    ts_context *context;
    ts_stream stream = NULL;
    ts_graph *graph;
    const char *path = spoilt_copy(missing);
    options.driver_library = path;
    ok(ts_context_create(&options, &context) == TS_OK && ts_stream_create(context, &stream) == TS_OK,
       "a context without %s: %s", missing, ts_last_error());
    refused(ts_graph_begin(context, stream), TS_ERROR_UNSUPPORTED, "has no graphs: update it");
    refused(ts_graph_end(context, stream, &graph), TS_ERROR_UNSUPPORTED, "has no graphs");
    ts_stream_destroy(context, stream);
    ts_context_destroy(context);
    unlink(path);
}

static void test_graphs(void)
{
    ts_context_options options = fake_options();
    ts_context *context = NULL;
    ts_kernel *kernel = NULL;
    ts_stream stream = 0;
    ok(ts_context_create(&options, &context) == TS_OK && ts_stream_create(context, &stream) == TS_OK &&
           ts_kernel_load(context, SAMPLE, strlen(SAMPLE), &kernel) == TS_OK,
       "a context, a stream and a kernel: %s", ts_last_error());
    test_graph(context, kernel, stream);
    test_graph_arguments(context, stream);
    ts_kernel_destroy(kernel);
    ts_stream_destroy(context, stream);
    ts_context_destroy(context);
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
    test_without_graphs("cuStreamBeginCapture cuStreamBeginCapture_v2");
    test_without_graphs("cuGraphLaunch");
}

/* ---- arguments of the conveniences ---- */

static void test_arguments(void)
{
    ts_context_options options = fake_options();
    ts_context *context;
    ts_device_ptr address = 9;
    char byte = 0;
    ok(ts_context_create(&options, &context) == TS_OK, "a context");
    ok(ts_malloc(context, 0, &address) == TS_OK && address == 0, "0 bytes stand at 0");
    ok(ts_free(context, 0) == TS_OK && ts_fill(context, 0, 1, 0) == TS_OK &&
           ts_copy_to_host(context, NULL, 0, 0) == TS_OK,
       "nothing to do");
    refused(ts_malloc(NULL, 4, &address), TS_ERROR_INVALID_ARGUMENT, "context is null");
    refused(ts_malloc(context, 4, NULL), TS_ERROR_INVALID_ARGUMENT, "address is null");
    refused(ts_copy_to_device(context, 0, &byte, 1), TS_ERROR_INVALID_ARGUMENT, "to is null");
    refused(ts_copy_to_host(context, NULL, 64, 1), TS_ERROR_INVALID_ARGUMENT, "to is null");
    refused(ts_fill(context, 0, 1, 1), TS_ERROR_INVALID_ARGUMENT, "to is null");
    refused(ts_kernel_load(context, NULL, 0, NULL), TS_ERROR_INVALID_ARGUMENT, "kernel is null");
    refused(ts_context_create(&options, NULL), TS_ERROR_INVALID_ARGUMENT, "context is null");
    refused(ts_context_get_info(context, NULL), TS_ERROR_INVALID_ARGUMENT, "info is null");
    ts_context_destroy(context);
    ts_context_destroy(NULL);
    ts_kernel_destroy(NULL);
    ts_timer_destroy(NULL);
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
}

int main(void)
{
    fake = fake_open();
    test_opening();
    test_devices();
    test_versioned_structs();
    test_contexts();
    test_failures();
    test_graphs();
    test_arguments();
    return done();
}
