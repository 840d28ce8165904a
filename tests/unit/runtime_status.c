/* runtime_status.c: every status has a name and a text, and every one can be met: each is provoked here through
 * the public functions, on the fake driver.
 */
#include "runtime/tilesmith.h"
#include "tests/tap.h"
#include "tests/unit/fake_cuda.h"

#include <pthread.h>

enum { MAX_STATUS = 16 };
static bool met[MAX_STATUS];

/* The call must give this status and a sentence with `words` in it. */
static void provoke(ts_status got, ts_status wanted, const char *words)
{
    bool good = got == wanted && (wanted == TS_OK || strstr(ts_last_error(), words));
    ok(good, "%s: %s", ts_status_name(wanted), words);
    if (!good) note("got %s: %s", ts_status_name(got), ts_last_error());
    if (good) met[wanted] = true;
}

static void test_names(void)
{
    int count = 0;
#define X(code, number, text)                                                                                  \
    is_str(ts_status_name(code), #code, "the name of %s", #code);                                              \
    is_str(ts_status_text(code), text, "the text of %s", #code);                                               \
    ok(code == number && number == count++, "%s is %d, and numbers have no gaps", #code, number);
    TS_STATUSES(X)
#undef X
    is_str(ts_status_name((ts_status)99), "TS_ERROR_?", "the name of no status");
    is_str(ts_status_text((ts_status)99), "not a status of this library", "the text of no status");
    is_str(ts_version(), TS_VERSION, "the version");
    is_str(ts_dtype_name(TS_BF16), "bf16", "the name of a type");
    is_str(ts_dtype_name((ts_dtype)0), "?", "the name of no type");
}

static void *other_thread(void *unused)
{
    (void)unused;
    return (void *)ts_last_error();
}

static void test_last_error(void)
{
    pthread_t thread;
    void *theirs = NULL;
    is_str(ts_last_error(), "", "no error before the first");
    provoke(ts_device_count(NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "count is null");
    ok(pthread_create(&thread, NULL, other_thread, NULL) == 0 && pthread_join(thread, &theirs) == 0,
       "another thread");
    ok(theirs && theirs != (const void *)ts_last_error(), "each thread has a sentence of its own");
    is_str(ts_last_error(), "count is null", "a sentence stays until the next failure");
}

static ts_context *fake_context(void)
{
    ts_context_options options = ts_context_options_make();
    ts_context *context;
    options.driver_library = fake_path();
    ts_status status = ts_context_create(&options, &context);
    if (status) {
        printf("Bail out! no context on the fake driver: %s\n", ts_last_error());
        exit(1);
    }
    return context;
}

static void test_driver(void)
{
    ts_context_options options = ts_context_options_make();
    ts_context *context = (ts_context *)&options;
    options.driver_library = "/nowhere/libcuda.so.1";
    provoke(ts_context_create(&options, &context), TS_ERROR_NO_DRIVER, "/nowhere/libcuda.so.1");
    ok(context == NULL, "a failed create leaves NULL");
    options.driver_library = fake_path();
    setenv("FAKE_CUDA_VERSION", "10020", 1);
    provoke(ts_context_create(&options, &context), TS_ERROR_DRIVER_TOO_OLD,
            "CUDA 10.2: update it to CUDA 11.0");
    unsetenv("FAKE_CUDA_VERSION");
    options.device_ordinal = 7;
    provoke(ts_context_create(&options, &context), TS_ERROR_NO_DEVICE, "no CUDA device 7");
}

static void test_kernels(ts_context *context)
{
    ts_kernel *kernel;
    const char *sample = SAMPLE;
    size_t bytes = strlen(sample);
    provoke(ts_kernel_load(context, sample, bytes - 3, &kernel), TS_ERROR_BAD_KERNEL, "cut short");
    provoke(ts_kernel_load_file(context, "/nowhere/kernel.ptx", &kernel), TS_ERROR_IO, "/nowhere/kernel.ptx");
    provoke(ts_kernel_load_file(context, "/", &kernel), TS_ERROR_IO, "cannot read /");
    setenv("FAKE_CUDA_FAIL", "cuModuleLoadDataEx=218", 1);
    provoke(ts_kernel_load(context, sample, bytes, &kernel), TS_ERROR_BAD_PTX, "line 7: error");
    setenv("FAKE_CUDA_FAIL", "cuModuleLoadDataEx=209", 1);
    provoke(ts_kernel_load(context, sample, bytes, &kernel), TS_ERROR_UNSUPPORTED_ARCH,
            "is for sm_80; device 'fake 0' is sm_89");
    setenv("FAKE_CUDA_FAIL", "cuModuleLoadDataEx=222", 1);
    provoke(ts_kernel_load(context, sample, bytes, &kernel), TS_ERROR_DRIVER_TOO_OLD,
            "PTX 7.4, newer than this driver for CUDA 13.0");
    setenv("FAKE_CUDA_FAIL", "cuModuleLoadDataEx=221", 1);
    provoke(ts_kernel_load(context, sample, bytes, &kernel), TS_ERROR_NO_DRIVER, "libnvidia-ptxjitcompiler");
    unsetenv("FAKE_CUDA_FAIL");
}

static void test_launches(ts_context *context)
{
    ts_kernel *kernel;
    ts_linear_args args = ts_linear_args_make();
    args.m = args.n = args.k = 64;
    args.x = args.w = args.y = ts_matrix_make(4096, 64, TS_F16);
    provoke(ts_kernel_load(context, SAMPLE, strlen(SAMPLE), &kernel), TS_OK, "a kernel is loaded");
    provoke(ts_kernel_launch(kernel, &args, NULL), TS_OK, "it is launched");
    args.w.data++;
    provoke(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_MISALIGNED, "the address of w is 4097");
    args.w.data--;
    args.w.dtype = TS_BF16;
    provoke(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_UNSUPPORTED, "w is bf16");
    args.w.dtype = TS_F16;
    setenv("FAKE_CUDA_FAIL", "cuLaunchKernel=701", 1);
    provoke(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_LAUNCH, "more registers or shared memory");
    setenv("FAKE_CUDA_FAIL", "cuLaunchKernel=1", 1);
    provoke(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_LAUNCH, "CUDA_ERROR_INVALID_VALUE (1)");
    setenv("FAKE_CUDA_FAIL", "cuStreamSynchronize=700", 1);
    provoke(ts_stream_synchronize(context, NULL), TS_ERROR_LAUNCH, "memory that is not allocated");
    setenv("FAKE_CUDA_FAIL", "cuStreamSynchronize=900", 1);
    provoke(ts_stream_synchronize(context, NULL), TS_ERROR_NOT_READY, "a stream is capturing");
    setenv("FAKE_CUDA_FAIL", "cuStreamSynchronize=12345", 1);
    provoke(ts_stream_synchronize(context, NULL), TS_ERROR_DRIVER, "an unknown error (12345)");
    setenv("FAKE_CUDA_FAIL", "cuCtxPushCurrent_v2=709", 1);
    provoke(ts_stream_synchronize(context, NULL), TS_ERROR_NO_CONTEXT, "was destroyed");
    unsetenv("FAKE_CUDA_FAIL");
    ts_kernel_destroy(kernel);
}

int main(void)
{
    test_last_error();
    test_names();
    test_driver();
    ts_context *context = fake_context();
    ts_device_ptr address = 1;
    provoke(ts_malloc(context, (size_t)1 << 40, &address), TS_ERROR_OUT_OF_MEMORY,
            "allocating 1099511627776 B");
    ok(address == 0, "a failed allocation leaves 0");
    test_kernels(context);
    test_launches(context);
    ts_context_destroy(context);
#define X(code, number, text) ok(met[code], "%s was provoked", #code);
    TS_STATUSES(X)
#undef X
    return done();
}
