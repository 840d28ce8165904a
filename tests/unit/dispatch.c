/* dispatch.c: ts_linear() on the fake driver: what is generated and loaded, how often, and what is
 * refused. Whether the kernels compute the right thing is tested on the emulator and on GPUs.
 */
#include "runtime/tilesmith.h"
#include "tests/refused.h"
#include "tests/unit/fake_cuda.h"

#include <pthread.h>

#define PINNED "mma_sm89_f16_64x64x32_w2x2_s3"

static Fake fake;

static ts_context *open_context(void)
{
    ts_context_options options = ts_context_options_make();
    ts_context *context;
    options.driver_library = fake_path();
    if (ts_context_create(&options, &context)) {
        printf("Bail out! no context on the fake driver: %s\n", ts_last_error());
        exit(1);
    }
    return context;
}

static ts_linear_args problem(int64_t m, int64_t n, int64_t k)
{
    ts_linear_args args = ts_linear_args_make();
    args.m = m, args.n = n, args.k = k;
    args.x = ts_matrix_make(0x10000, k, TS_F16);
    args.w = ts_matrix_make(0x20000, k, TS_F16);
    args.y = ts_matrix_make(0x30000, n, TS_F16);
    args.s = 2.0f;
    return args;
}

static int loads(void) { return fake.calls("cuModuleLoadDataEx"); }
static int launches(void) { return fake.calls("cuLaunchKernel"); }

/* ---- the cache ---- */

static void test_cache(void)
{
    ts_context *context = open_context();
    ts_linear_args args = problem(512, 512, 512);
    const ts_kernel *first, *second;
    fake.reset();
    ok(ts_context_set_config(context, PINNED) == TS_OK,
       "a config is pinned, whatever the choice would be: %s", ts_last_error());
    ok(ts_linear(context, &args, NULL) == TS_OK, "a first problem: %s", ts_last_error());
    ok(loads() == 1 && launches() == 1, "is generated, loaded and launched");
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 1 && launches() == 2, "and not loaded again");
    ok(ts_linear_prepare(context, &args, &first) == TS_OK && loads() == 1, "nor when prepared");
    args.k = 768, args.x.row_stride = args.w.row_stride = 768;
    ok(ts_linear_prepare(context, &args, &second) == TS_OK && second == first && loads() == 1,
       "another problem of its kind shares the kernel");
    args.epilogue = "relu(z)";
    ok(ts_linear_prepare(context, &args, &second) == TS_OK && second != first && loads() == 2,
       "another epilogue does not: %s", ts_last_error());
    ts_kernel_info info = {.struct_size = sizeof info};
    ok(ts_kernel_get_info(second, &info) == TS_OK, "its info");
    is_str(info.epilogue, "relu(z)", "its epilogue");
    args = problem(512, 512, 512);
    args.bias = 0x40000, args.bias_dtype = TS_F16;
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 2, "a bias needs no other kernel: %s",
       ts_last_error());
    ok(ts_context_set_config(context, NULL) == TS_OK, "unpinned");
    args.x.dtype = args.w.dtype = args.y.dtype = args.bias_dtype = TS_BF16;
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 3, "another type does: %s", ts_last_error());
    args = problem(0, 512, 512);
    ok(ts_linear_prepare(context, &args, &second) == TS_OK && second == NULL && loads() == 3,
       "nothing to do needs none");
    ok(ts_linear(context, &args, NULL) == TS_OK, "and succeeds");
    args = problem(64, 64, 0);
    args.x.data = args.w.data = 0;
    ok(ts_linear(context, &args, NULL) == TS_OK, "k = 0: %s", ts_last_error());
    ts_context_destroy(context);
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
}

static void test_alignment(void)
{
    ts_context *context = open_context();
    ts_linear_args args = problem(300, 301, 303);
    const ts_kernel *kernel;
    ts_kernel_info info = {.struct_size = sizeof info};
    ok(ts_linear_prepare(context, &args, &kernel) == TS_OK && ts_kernel_get_info(kernel, &info) == TS_OK,
       "odd rows: %s", ts_last_error());
    ok(info.x_align == 2 && info.w_align == 2 && info.y_align == 2, "get a kernel for 2-byte alignment: %s",
       info.config);
    ok(ts_linear(context, &args, NULL) == TS_OK, "that takes them: %s", ts_last_error());
    args = problem(300, 304, 304);
    args.x.data += 8;
    ok(ts_linear_prepare(context, &args, &kernel) == TS_OK && ts_kernel_get_info(kernel, &info) == TS_OK,
       "an offset address: %s", ts_last_error());
    ok(info.x_align == 8 && info.w_align == 16, "narrows that operand only: %s", info.config);
    ok(ts_linear(context, &args, NULL) == TS_OK, "and runs: %s", ts_last_error());
    args = problem(1, 304, 304);
    args.x.row_stride = 303;
    ok(ts_linear_prepare(context, &args, &kernel) == TS_OK && ts_kernel_get_info(kernel, &info) == TS_OK,
       "one row: %s", ts_last_error());
    ok(info.x_align == 16, "has no pitch: %s", info.config);
    ts_context_destroy(context);
}

/* Layers prepared before their tensors exist find their kernels later. */
static void test_prepare_ahead(void)
{
    ts_context *context = open_context();
    ts_linear_args args = problem(256, 512, 1024);
    args.x.data = args.w.data = args.y.data = 0;
    args.bias_dtype = TS_F16;
    fake.reset();
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK && loads() == 1, "prepared without addresses: %s",
       ts_last_error());
    args = problem(256, 512, 1024);
    args.bias = 0x40000, args.bias_dtype = TS_F16;
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 1, "and found with them: %s", ts_last_error());
    args.x.col_stride = 2;
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK, "x strided both ways");
    args.x.row_stride = 1, args.x.col_stride = 304;
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK, "x column-major");
    args.x.col_stride = -2;
    refused(ts_linear_prepare(context, &args, NULL), TS_ERROR_UNSUPPORTED, "must not be negative");
    args = problem(256, 512, 1024);
    args.epilogue = "z + r";
    args.y.data = 0;
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK, "r need not be known: %s", ts_last_error());
    args.y.data = 0x30000;
    refused(ts_linear(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "address of r is null");
    ts_context_destroy(context);
}

static void test_many_problems(void)
{
    ts_context *context = open_context();
    int failed = 0;
    fake.reset();
    for (int m = 1; m <= 9000; m++) {
        ts_linear_args args = problem(m, 64, 64);
        failed += ts_linear(context, &args, NULL) != TS_OK;
    }
    ok(failed == 0 && launches() == 9000, "9000 problems, more than are remembered, all run: %s",
       failed ? ts_last_error() : "");
    ok(loads() < 30, "with %d kernels", loads());
    ts_context_destroy(context);
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
}

/* ---- capture ---- */

static void test_capture(void)
{
    ts_context *context = open_context();
    ts_linear_args args = problem(128, 128, 128);
    fake.reset();
    ok(ts_context_set_config(context, PINNED) == TS_OK, "a config is pinned");
    setenv("FAKE_CUDA_CAPTURING", "1", 1);
    refused(ts_linear(context, &args, NULL), TS_ERROR_NOT_READY,
            "call ts_linear_prepare() before the capture");
    ok(loads() == 0 && launches() == 0, "a capture loads nothing");
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK, "prepared");
    ok(ts_linear(context, &args, NULL) == TS_OK && launches() == 1, "then it can be captured");
    args.k = 256, args.x.row_stride = args.w.row_stride = 256;
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 1,
       "so can another problem with that kernel: %s", ts_last_error());
    unsetenv("FAKE_CUDA_CAPTURING");
    args.epilogue = "tanh(z)";
    setenv("FAKE_CUDA_FAIL", "cuStreamIsCapturing=906", 1);
    refused(ts_linear(context, &args, NULL), TS_ERROR_NOT_READY, "a capture is going on");
    unsetenv("FAKE_CUDA_FAIL");
    ok(ts_linear(context, &args, NULL) == TS_OK, "without a capture it is loaded");
    ts_context_destroy(context);
}

/* ---- packing ---- */

static ts_linear_args packed_problem(ts_context *context)
{
    ts_linear_args args = problem(4095, 4097, 4099);
    args.workspace = 0x1000000;
    ok(ts_linear_workspace(context, &args, &args.workspace_bytes) == TS_OK &&
           args.workspace_bytes == (4095ull + 4097) * 4160 * 2,
       "both operands, in rows of whole lines of 128 bytes: %zu B", args.workspace_bytes);
    return args;
}

/* An x of another type is rounded ahead where the estimates of both kernels say so, call after call; in a
 * capture only with kernels that are there. */
static void test_rounding(void)
{
    ts_context *context = open_context();
    ts_linear_args args = problem(64, 4096, 4096), few = problem(1, 4096, 4096);
    size_t bytes = 1;
    args.x.dtype = args.y.dtype = few.x.dtype = few.y.dtype = TS_BF16;
    args.workspace = few.workspace = 0x1000000;
    ok(ts_linear_workspace(context, &args, &args.workspace_bytes) == TS_OK &&
           args.workspace_bytes == 64ull * 4096 * 2,
       "x is rounded in a workspace of %zu B", args.workspace_bytes);
    setenv("FAKE_CUDA_CAPTURING", "1", 1);
    fake.reset();
    refused(ts_linear(context, &args, NULL), TS_ERROR_NOT_READY,
            "call ts_linear_prepare() before the capture");
    ok(launches() == 0, "nothing of it is captured");
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK && loads() == 2, "both kernels are prepared: %s",
       ts_last_error());
    for (int i = 1; i <= 3; i++)
        ok(ts_linear(context, &args, NULL) == TS_OK && launches() == 2 * i && loads() == 2,
           "and captured, call %d: %s", i, ts_last_error());
    unsetenv("FAKE_CUDA_CAPTURING");
    args.workspace_bytes = 0;
    ok(ts_linear(context, &args, NULL) == TS_OK && launches() == 7 && loads() == 3,
       "without a workspace one kernel rounds it: %s", ts_last_error());
    ok(ts_linear_workspace(context, &few, &bytes) == TS_OK && bytes != 4096 * 2,
       "that of one row stays: %zu B", bytes);
    ts_context_destroy(context);
}

static void test_packing(void)
{
    ts_context *context = open_context();
    ts_linear_args args = packed_problem(context);
    FakeLaunch l;
    fake.reset();
    ok(ts_linear(context, &args, NULL) == TS_OK, "packed: %s", ts_last_error());
    ok(loads() == 2 && launches() == 2, "two kernels are loaded and launched");
    fake.last_launch(&l);
    ok(fake_param(&l, "x") == args.workspace && fake_param(&l, "ldx") == 4160, "the second reads packed x");
    ok(fake_param(&l, "w") == args.workspace + 4095ull * 4160 * 2 && fake_param(&l, "ldw") == 4160,
       "and packed W");
    ok(fake_param(&l, "y") == args.y.data && fake_param(&l, "k") == 4099, "and writes y");
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 2 && launches() == 4,
       "and none is loaded again");
    args.workspace_bytes--;
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 3 && launches() == 5,
       "one kernel where a byte is missing");
    args.x.dtype = TS_F32;
    ok(ts_linear_workspace(context, &args, &args.workspace_bytes) == TS_OK &&
           args.workspace_bytes == (4095ull + 4097) * 4160 * 2,
       "an x of f32 takes as much: it is packed as f16");
    fake.reset();
    ok(ts_linear(context, &args, NULL) == TS_OK && loads() == 1 && launches() == 2,
       "by another kernel, for the same as before");
    fake.last_launch(&l);
    ok(fake_param(&l, "x") == args.workspace && fake_param(&l, "ldx") == 4160, "which reads it there");
    ok(ts_context_set_config(context, PINNED) == TS_OK &&
           ts_linear_workspace(context, &args, &args.workspace_bytes) == TS_OK && args.workspace_bytes == 0,
       "nothing is packed for a pinned config");
    ts_context_destroy(context);
}

/* ---- tiles that blocks share ---- */

/* A few tiles for all SMs, under a pinned config. */
static ts_linear_args long_problem(ts_context *context)
{
    ts_linear_args args = problem(16, 256, 4096);
    ok(ts_linear_workspace(context, &args, &args.workspace_bytes) == TS_OK && args.workspace_bytes &&
           (args.workspace_bytes & (args.workspace_bytes - 1)) == 0,
       "the library's choice would like a power of 2: %zu B", args.workspace_bytes);
    args.workspace_bytes = 0;
    ok(ts_linear(context, &args, NULL) == TS_OK, "it does without, too: %s", ts_last_error());
    ok(ts_context_set_config(context, PINNED "_split") == TS_OK,
       "a config whose blocks share tiles is pinned");
    refused(ts_linear(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT,
            "there are 0: give more, or use a kernel");
    ok(ts_linear_workspace(context, &args, &args.workspace_bytes) == TS_OK && args.workspace_bytes > 0,
       "it asks for a workspace");
    args.workspace = 0x1000000;
    return args;
}

static void test_sharing(void)
{
    ts_context *context = open_context();
    ts_linear_args args = long_problem(context);
    FakeLaunch l;
    fake.reset();
    ok(ts_linear(context, &args, NULL) == TS_OK && launches() == 1, "and runs with that: %s",
       ts_last_error());
    fake.last_launch(&l);
    uint64_t sharing = fake_param(&l, "sharing"), share = fake_param(&l, "share");
    ok(fake_param(&l, "parts") == args.workspace && sharing > 1 && share > 0,
       "%llu blocks have %llu k-blocks each", (unsigned long long)sharing, (unsigned long long)share);
    ok(l.grid[0] >= sharing && l.grid[1] == 1 && l.grid[2] == 1, "of %u blocks", l.grid[0]);
    args.m = args.n = 1 << 20, args.k = 1 << 20;
    args.x.row_stride = args.w.row_stride = args.y.row_stride = 1 << 20;
    refused(ts_linear(context, &args, NULL), TS_ERROR_UNSUPPORTED, "k-blocks in all: use one without split");
    ts_context_destroy(context);
}

static void test_sharing_workspace(void)
{
    ts_context *context = open_context();
    ts_linear_args args = long_problem(context);
    const ts_kernel *kernel;
    size_t bytes = 0;
    ok(ts_linear_prepare(context, &args, &kernel) == TS_OK, "prepared: %s", ts_last_error());
    ok(ts_kernel_workspace(kernel, &args, &bytes) == TS_OK && bytes == args.workspace_bytes,
       "the kernel asks for the same: %zu B", bytes);
    refused(ts_kernel_workspace(kernel, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "bytes is null");
    args.workspace_bytes--;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "needs a workspace of");
    args.workspace_bytes++, args.workspace = 0;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "needs a workspace of");
    args.workspace = 0x1000010;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "must be a multiple of 256");
    ts_context_destroy(context);
}

static void test_packing_refusals(void)
{
    ts_context *context = open_context();
    ts_linear_args args = packed_problem(context), wrong;
    fake.reset();
    setenv("FAKE_CUDA_CAPTURING", "1", 1);
    refused(ts_linear(context, &args, NULL), TS_ERROR_NOT_READY,
            "call ts_linear_prepare() before the capture");
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK && loads() == 2, "both kernels are prepared");
    ok(ts_linear(context, &args, NULL) == TS_OK && launches() == 2, "and can be captured: %s",
       ts_last_error());
    unsetenv("FAKE_CUDA_CAPTURING");
    fake.reset();
    wrong = args, wrong.y.data = 0;
    refused(ts_linear(context, &wrong, NULL), TS_ERROR_INVALID_ARGUMENT, "the address of y is null");
    wrong = args, wrong.x.data = 0;
    refused(ts_linear(context, &wrong, NULL), TS_ERROR_INVALID_ARGUMENT, "the address of x is null");
    wrong = args, wrong.w.row_stride = -4099;
    refused(ts_linear(context, &wrong, NULL), TS_ERROR_UNSUPPORTED, "must not be negative");
    wrong = args, wrong.x.data++;
    refused(ts_linear(context, &wrong, NULL), TS_ERROR_MISALIGNED, "the address of x");
    ok(launches() == 0, "what is refused launches nothing, not even the packing");
    setenv("FAKE_CUDA_FAIL", "cuLaunchKernel=719", 1);
    ok(ts_linear(context, &args, NULL) != TS_OK && launches() == 1,
       "where the packing fails, nothing follows: %s", ts_last_error());
    unsetenv("FAKE_CUDA_FAIL");
    ts_context_destroy(context);
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
}

/* ---- pinned configurations ---- */

static void test_pin(void)
{
    ts_context *context = open_context();
    ts_linear_args args = problem(4096, 4096, 4096);
    const ts_kernel *kernel;
    ts_kernel_info info = {.struct_size = sizeof info};
    ok(ts_context_set_config(context, PINNED) == TS_OK, "a config is pinned: %s", ts_last_error());
    ok(ts_linear_prepare(context, &args, &kernel) == TS_OK && ts_kernel_get_info(kernel, &info) == TS_OK,
       "and used: %s", ts_last_error());
    is_str(info.config, PINNED, "it");
    args.epilogue = "relu(z)";
    ok(ts_linear_prepare(context, &args, &kernel) == TS_OK && ts_kernel_get_info(kernel, &info) == TS_OK,
       "with another epilogue: %s", ts_last_error());
    ok(info.tile_m == 64 && strcmp(info.epilogue, "relu(z)") == 0, "its tile and that epilogue: %s",
       info.config);
    args = problem(4096, 4096, 4096);
    args.w.dtype = TS_BF16;
    refused(ts_linear(context, &args, NULL), TS_ERROR_UNSUPPORTED, "w is bf16");
    args = problem(4096, 4096, 4095);
    refused(ts_linear(context, &args, NULL), TS_ERROR_MISALIGNED, "pitch of x is 8190");
    refused(ts_context_set_config(context, "mma_sm89_f16_64x64"), TS_ERROR_INVALID_ARGUMENT, "");
    refused(ts_context_set_config(context, "mma_sm89_f16_256x128x64_w4x2_s6"), TS_ERROR_UNSUPPORTED,
            "shared memory");
    args = problem(4096, 4096, 4096);
    ok(ts_context_set_config(context, NULL) == TS_OK && ts_linear_prepare(context, &args, &kernel) == TS_OK,
       "unpinned");
    ok(ts_kernel_get_info(kernel, &info) == TS_OK && strcmp(info.config, PINNED) != 0,
       "the choice is free again: %s", info.config);
    ok(ts_context_set_config(context, "mma_sm90_f16_64x64x32_w2x2_s3") == TS_OK,
       "a config for another chip may be pinned");
    refused(ts_linear(context, &args, NULL), TS_ERROR_UNSUPPORTED_ARCH,
            "is for sm_90; device 'fake 0' is sm_89");
    ts_context_destroy(context);
}

/* ---- refusals ---- */

static void test_refusals(void)
{
    ts_context *context = open_context();
    ts_linear_args args = problem(64, 64, 64);
    args.epilogue = "z + nonsense(";
    refused(ts_linear(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "at character 5");
    args = problem(64, 64, 64);
    args.y.dtype = (ts_dtype)7;
    refused(ts_linear(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "type of y is 7");
    args = problem(-1, 64, 64);
    refused(ts_linear(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "m is -1");
    args = problem(64, 64, 64);
    refused(ts_linear(NULL, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "context is null");
    refused(ts_linear(context, NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "args is null");
    setenv("FAKE_CUDA_FAIL", "cuModuleLoadDataEx=2", 1);
    refused(ts_linear(context, &args, NULL), TS_ERROR_OUT_OF_MEMORY, "out of memory");
    unsetenv("FAKE_CUDA_FAIL");
    ok(ts_linear(context, &args, NULL) == TS_OK, "a failed load is tried again: %s", ts_last_error());
    ts_context_destroy(context);
    setenv("FAKE_CUDA_SM", "75", 1);
    context = open_context();
    refused(ts_linear(context, &args, NULL), TS_ERROR_UNSUPPORTED_ARCH, "needs sm_80 or newer");
    ts_context_destroy(context);
    unsetenv("FAKE_CUDA_SM");
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
}

static void test_generate(void)
{
    ts_context *context = open_context();
    ts_kernel *kernel = NULL;
    char *text;
    size_t bytes;
    ok(ts_generate("mma_sm80_bf16_128x128x32_w2x4_s3", &text, &bytes) == TS_OK && strlen(text) == bytes,
       "a text by name: %s", ts_last_error());
    ok(ts_kernel_load(context, text, bytes, &kernel) == TS_OK, "loads: %s", ts_last_error());
    ts_kernel_destroy(kernel);
    ts_free_text(text);
    refused(ts_generate("nonsense", &text, &bytes), TS_ERROR_INVALID_ARGUMENT, "");
    ok(text == NULL && bytes == 0, "a failure leaves NULL and 0");
    refused(ts_generate(NULL, &text, &bytes), TS_ERROR_INVALID_ARGUMENT, "config is null");
    ts_context_destroy(context);
}

/* ---- threads ---- */

enum { N_THREADS = 8, N_CALLS = 400 };

static void *work(void *context)
{
    int64_t failed = 0;
    for (int i = 0; i < N_CALLS; i++) {
        ts_linear_args args = problem(64 + i % 50, 64 << i % 5, 64);
        failed += ts_linear(context, &args, NULL) != TS_OK;
        if (i % 100 == 0) failed += ts_context_set_config(context, i % 200 ? NULL : PINNED) != TS_OK;
    }
    return (void *)(intptr_t)failed;
}

static void test_threads(void)
{
    ts_context *context = open_context();
    pthread_t thread[N_THREADS];
    intptr_t failed = 0;
    fake.reset();
    for (int i = 0; i < N_THREADS; i++) failed += pthread_create(&thread[i], NULL, work, context) != 0;
    for (int i = 0; i < N_THREADS; i++) {
        void *result;
        pthread_join(thread[i], &result);
        failed += (intptr_t)result;
    }
    ok(failed == 0 && launches() == N_THREADS * N_CALLS, "%d threads launch %d problems each", N_THREADS,
       N_CALLS);
    int modules = fake.live() - 1; /* and the primary context */
    ok(loads() == modules, "no kernel was loaded twice: %d loads, %d kernels", loads(), modules);
    ts_context_destroy(context);
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
}

int main(void)
{
    fake = fake_open();
    test_cache();
    test_alignment();
    test_prepare_ahead();
    test_many_problems();
    test_capture();
    test_rounding();
    test_packing();
    test_packing_refusals();
    test_sharing();
    test_sharing_workspace();
    test_pin();
    test_refusals();
    test_generate();
    test_threads();
    return done();
}
