/* runtime_launch.c: loading and launching on the fake driver: what reaches cuLaunchKernel, and what is
 * refused before it.
 */
#include "runtime/tilesmith.h"
#include "tests/refused.h"
#include "tests/unit/fake_cuda.h"

#include <limits.h>

static Fake fake;
static ts_context *context;

/* Takes the text. */
static ts_status take_text(char *text, ts_kernel **kernel)
{
    ts_status status = ts_kernel_load(context, text, strlen(text), kernel);
    free(text);
    return status;
}

static ts_kernel *load(const char *from, const char *to)
{
    ts_kernel *kernel;
    if (take_text(sample_with(from, to), &kernel)) {
        printf("Bail out! the sample kernel does not load: %s\n", ts_last_error());
        exit(1);
    }
    return kernel;
}

/* A good problem of 300 x 200 x 96. */
static ts_linear_args good_args(void)
{
    ts_linear_args args = ts_linear_args_make();
    args.m = 300, args.n = 200, args.k = 96;
    args.x = ts_matrix_make(0x10000, 96, TS_F16);
    args.w = ts_matrix_make(0x20000, 104, TS_F16);
    args.y = ts_matrix_make(0x30004, 202, TS_F16);
    args.bias = 0x40002;
    args.bias_dtype = TS_F16;
    args.s = 2.0f;
    args.t = 3.0f;
    return args;
}

/* ---- loading ---- */

static void test_info(void)
{
    ts_kernel *kernel = load("abi: 1", "abi: 1");
    ts_kernel_info info = {.struct_size = sizeof info};
    ok(ts_kernel_get_info(kernel, &info) == TS_OK, "info: %s", ts_last_error());
    is_str(info.config, "mma_sm80_f16_128x64x32_w2x2_s3", "config");
    is_str(info.entry, "sample", "entry");
    is_str(info.target, "sm_80", "target");
    is_str(info.epilogue, "z + s * sigmoid(z)", "epilogue");
    ok(info.registers == 42 && info.local_bytes == 0 && info.blocks_per_sm == 2, "what the driver says");
    ok(info.block_threads == 128 && info.smem_bytes == 36864 && info.x_align == 16 && info.y_align == 4,
       "numbers");
    ok(info.takes_bias == 1 && info.takes_r == 0 && info.w == TS_F16, "parameters and types");
    is_str(ts_kernel_log(kernel), "ptxas info: used 42 registers", "the log is kept");
    ts_kernel_destroy(kernel);
}

static void test_load_refused(const char *from, const char *to, ts_status wanted, const char *words)
{
    ts_kernel *kernel = (ts_kernel *)&fake;
    refused(take_text(sample_with(from, to), &kernel), wanted, words);
    ok(kernel == NULL, "and the kernel is NULL");
}

static void test_loading(void)
{
    ts_kernel *kernel;
    test_load_refused("target: sm_80", "target: sm_90", TS_ERROR_BAD_KERNEL, ".target sm_80");
    test_load_refused("smem_bytes: 36864", "smem_bytes: 180224", TS_ERROR_UNSUPPORTED,
                      "needs 180224 B of shared memory; device 'fake 0' allows 101376");
    test_load_refused("workspace_bytes: 0", "workspace_bytes: 64", TS_ERROR_UNSUPPORTED, "workspace of 64 B");
    setenv("FAKE_CUDA_MAX_THREADS", "96", 1);
    test_load_refused("abi: 1", "abi: 1", TS_ERROR_UNSUPPORTED, "compiled to 42 registers it can have 96");
    unsetenv("FAKE_CUDA_MAX_THREADS");
    setenv("FAKE_CUDA_FAIL", "cuModuleGetFunction=500", 1);
    test_load_refused("abi: 1", "abi: 1", TS_ERROR_BAD_KERNEL, "does not find entry sample");
    unsetenv("FAKE_CUDA_FAIL");
    refused(ts_kernel_load(context, "a\0b", 3, &kernel), TS_ERROR_BAD_KERNEL, "NUL inside");
    refused(ts_kernel_load(context, "", 0, &kernel), TS_ERROR_BAD_KERNEL, "not a kernel of tilesmith");
    refused(ts_kernel_load(NULL, SAMPLE, sizeof SAMPLE, &kernel), TS_ERROR_INVALID_ARGUMENT,
            "context is null");
    ok(ts_kernel_load(context, SAMPLE, sizeof SAMPLE, &kernel) == TS_OK, "a counted final NUL is allowed");
    ts_kernel_destroy(kernel);
}

/* Kernels by target on a device: loaded or refused. */
static void test_arch(const char *target, const char *device_sm, bool fits)
{
    ts_context_options options = ts_context_options_make();
    ts_context *on_device;
    ts_kernel *kernel;
    char header[64], body[64];
    options.driver_library = fake_path();
    setenv("FAKE_CUDA_SM", device_sm, 1);
    ok(ts_context_create(&options, &on_device) == TS_OK, "a device of sm_%s", device_sm);
    unsetenv("FAKE_CUDA_SM");
    snprintf(header, sizeof header, "target: %s", target);
    snprintf(body, sizeof body, ".target %s", target);
    char *text = sample_with("target: sm_80", header), *at = strstr(text, ".target sm_80");
    size_t room = strlen(text) + sizeof body;
    char *both = malloc(room);
    snprintf(both, room, "%.*s%s%s", (int)(at - text), text, body, at + strlen(".target sm_80"));
    ts_status status = ts_kernel_load(on_device, both, strlen(both), &kernel);
    ok(status == (fits ? TS_OK : TS_ERROR_UNSUPPORTED_ARCH), "%s on sm_%s is %s", target, device_sm,
       fits ? "loaded" : "refused");
    ts_kernel_destroy(kernel);
    ts_context_destroy(on_device);
    free(both);
    free(text);
}

static void test_file(void)
{
    char path[] = "/tmp/tilesmith_launch_XXXXXX";
    ts_kernel *kernel = NULL;
    int descriptor = mkstemp(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    ok(file && fputs(SAMPLE, file) >= 0 && fclose(file) == 0, "a file is written");
    ok(ts_kernel_load_file(context, path, &kernel) == TS_OK, "and loaded: %s", ts_last_error());
    ts_kernel_destroy(kernel);
    file = fopen(path, "wb");
    for (int i = 0; file && i < 200000; i++) fputc('x', file);
    if (file) fclose(file);
    refused(ts_kernel_load_file(context, path, &kernel), TS_ERROR_BAD_KERNEL, "not a kernel of tilesmith");
    remove(path);
}

/* ---- what reaches the driver ---- */

static void test_groups(int64_t m, const char *rule, unsigned x, unsigned z)
{
    ts_kernel *kernel = load("grid: tiles", rule);
    ts_linear_args args = good_args();
    FakeLaunch l;
    args.m = m;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "%s, m = %lld", rule, (long long)m);
    fake.last_launch(&l);
    ok(l.grid[0] == x && l.grid[1] == 4 && l.grid[2] == z, "%u x 4 x %u blocks", x, z);
    ts_kernel_destroy(kernel);
}

static void test_all_groups(void)
{
    test_groups(300, "grid: groups 8", 3, 1);
    test_groups(300, "grid: groups 2", 2, 2);
    test_groups(128 * 9, "grid: groups 8", 5, 2);
    test_groups(128 * 16, "grid: groups 8", 8, 2);
    test_groups(128 * 70000ll, "grid: groups 1", 2, 35000); /* z allows 65535 */
}

static void test_launch(void)
{
    ts_kernel *kernel = load("abi: 1", "abi: 1");
    ts_linear_args args = good_args();
    FakeLaunch l;
    float s;
    int stream;
    ok(ts_kernel_launch(kernel, &args, &stream) == TS_OK, "launched: %s", ts_last_error());
    fake.last_launch(&l);
    ok(l.grid[0] == 3 * 4 && l.grid[1] == 1 && l.grid[2] == 1, "ceil(300/128) * ceil(200/64) blocks");
    ok(l.block[0] == 128 && l.block[1] == 1 && l.block[2] == 1 && l.smem_bytes == 36864,
       "threads and shared memory");
    ok(l.stream == &stream && l.n_params == 11, "the caller's stream; 11 parameters");
    ok(fake_param(&l, "x") == 0x10000 && fake_param(&l, "w") == 0x20000 && fake_param(&l, "y") == 0x30004,
       "addresses");
    ok(fake_param(&l, "bias") == 0x40002, "bias");
    ok(fake_param(&l, "m") == 300 && fake_param(&l, "n") == 200 && fake_param(&l, "k") == 96, "sizes");
    ok(fake_param(&l, "ldx") == 96 && fake_param(&l, "ldw") == 104 && fake_param(&l, "ldy") == 202,
       "row pitches");
    uint32_t bits = (uint32_t)fake_param(&l, "s");
    memcpy(&s, &bits, sizeof s);
    ok(s == 2.0f, "s");
    ts_kernel_destroy(kernel);
}

static void test_edges(void)
{
    ts_kernel *kernel = load("abi: 1", "abi: 1");
    ts_linear_args args = good_args();
    FakeLaunch l;
    fake.reset();
    args.m = 0, args.y.data = 0;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "m = 0 succeeds");
    args = good_args(), args.n = 0;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK && fake.calls("cuLaunchKernel") == 0,
       "n = 0 succeeds; nothing is launched");
    args = good_args(), args.k = 0, args.x.data = args.w.data = 0, args.x.row_stride = -1;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "k = 0 with null x and w: %s", ts_last_error());
    fake.last_launch(&l);
    ok(fake_param(&l, "k") == 0 && fake_param(&l, "x") == 0 && fake_param(&l, "ldx") == 0,
       "k, x and ldx are 0");
    args = good_args(), args.m = 1, args.x.row_stride = -7, args.y.row_stride = 3;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "the stride of one row is not looked at: %s",
       ts_last_error());
    fake.last_launch(&l);
    ok(fake_param(&l, "ldx") == 0 && fake_param(&l, "ldy") == 0, "and not passed on");
    args = good_args(), args.k = 1, args.x.col_stride = 5;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "nor is that of one column: %s", ts_last_error());
    args = good_args(), args.x.row_stride = 0;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "rows of x may repeat: %s", ts_last_error());
    args = good_args(), args.bias = 0, args.bias_dtype = (ts_dtype)0;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "no bias: %s", ts_last_error());
    fake.last_launch(&l);
    ok(fake_param(&l, "bias") == 0, "which is null");
    ts_kernel_destroy(kernel);
}

static void test_r(void)
{
    ts_kernel *kernel = load("params: y:u64", "params: t:f32 r:u64 ldr:u64 y:u64");
    ts_linear_args args = good_args();
    FakeLaunch l;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "address of r is null");
    args.r = ts_matrix_make(0x50002, 205, TS_F16);
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "with r: %s", ts_last_error());
    fake.last_launch(&l);
    ok(fake_param(&l, "r") == 0x50002 && fake_param(&l, "ldr") == 205 && l.n_params == 14, "r and ldr");
    args.r.dtype = TS_F32;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_UNSUPPORTED, "r is f32");
    ts_kernel_destroy(kernel);

    kernel = load(" bias:u64", "");
    args = good_args();
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_UNSUPPORTED, "takes none");
    ts_kernel_destroy(kernel);
}

/* ---- what is refused ---- */

static void test_refusals(void)
{
    ts_kernel *kernel = load("abi: 1", "abi: 1");
    struct {
        ts_linear_args args;
        char more[8];
    } newer = {.args = good_args()};
#define TRY(change, status, words)                                                                           \
    do {                                                                                                     \
        ts_linear_args args = good_args();                                                                   \
        change;                                                                                              \
        refused(ts_kernel_launch(kernel, &args, NULL), status, words);                                       \
    } while (0)
    fake.reset();
    TRY(args.m = -1, TS_ERROR_INVALID_ARGUMENT, "m is -1");
    TRY(args.n = 1ll << 31, TS_ERROR_INVALID_ARGUMENT, "n is 2147483648");
    TRY(args.k = LLONG_MAX, TS_ERROR_INVALID_ARGUMENT, "k is 9223372036854775807");
    TRY(args.struct_size = 8, TS_ERROR_INVALID_ARGUMENT, "sizeof(ts_linear_args)");
    TRY(args.x.dtype = TS_F32, TS_ERROR_UNSUPPORTED, "x is f32");
    TRY(args.y.dtype = (ts_dtype)0, TS_ERROR_INVALID_ARGUMENT, "type of y is not set");
    TRY(args.bias_dtype = TS_F32, TS_ERROR_UNSUPPORTED, "bias is f32");
    TRY(args.x.data = 0, TS_ERROR_INVALID_ARGUMENT, "address of x is null");
    TRY(args.w.data = 0, TS_ERROR_INVALID_ARGUMENT, "address of w is null");
    TRY(args.y.data = 0, TS_ERROR_INVALID_ARGUMENT, "address of y is null");
    TRY(args.x.col_stride = 2, TS_ERROR_UNSUPPORTED, "x has col_stride 2");
    TRY(args.w.row_stride = -104, TS_ERROR_UNSUPPORTED, "w has row_stride -104");
    TRY(args.y.row_stride = 198, TS_ERROR_INVALID_ARGUMENT, "some would overlap");
    TRY(args.y.row_stride = 199, TS_ERROR_INVALID_ARGUMENT, "some would overlap");
    TRY(args.x.row_stride = LLONG_MAX / 4, TS_ERROR_INVALID_ARGUMENT, "64-bit address space");
    TRY(args.x.row_stride = LLONG_MAX, TS_ERROR_INVALID_ARGUMENT, "64-bit address space");
    TRY(args.x.data += 8, TS_ERROR_MISALIGNED,
        "the address of x is 65544 (0x10008) bytes; the kernel mma_sm80_f16_128x64x32_w2x2_s3 needs a "
        "multiple of 16");
    TRY(args.x.row_stride = 100, TS_ERROR_MISALIGNED, "the pitch of x is 200");
    TRY(args.y.row_stride = 201, TS_ERROR_MISALIGNED, "the pitch of y is 402");
    TRY(args.bias += 1, TS_ERROR_MISALIGNED, "the address of bias");
    TRY(args.r = args.y, TS_ERROR_UNSUPPORTED, "does not use it");
    TRY((args.m = INT_MAX, args.n = INT_MAX, args.y.row_stride = INT_MAX + 1ll), TS_ERROR_UNSUPPORTED,
        "split the problem");
    newer.args.struct_size = sizeof newer;
    ok(ts_kernel_launch(kernel, &newer.args, NULL) == TS_OK, "args of a newer release, its fields 0: %s",
       ts_last_error());
    newer.more[0] = 1;
    refused(ts_kernel_launch(kernel, &newer.args, NULL), TS_ERROR_UNSUPPORTED, "does not know");
    refused(ts_kernel_launch(kernel, NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "args is null");
    refused(ts_kernel_launch(NULL, &newer.args, NULL), TS_ERROR_INVALID_ARGUMENT, "kernel is null");
    ok(fake.calls("cuLaunchKernel") == 1, "nothing refused reached the driver");
    ts_kernel_destroy(kernel);
}

/* The sample with each first text of a pair replaced by the second. */
static char *sample_changed(const char *const changes[][2], size_t n)
{
    char *text = sample_with("", "");
    for (size_t i = 0; i < n; i++) {
        char *at = strstr(text, changes[i][0]), *next = malloc(strlen(text) + strlen(changes[i][1]) + 1);
        sprintf(next, "%.*s%s%s", (int)(at - text), text, changes[i][1], at + strlen(changes[i][0]));
        free(text);
        text = next;
    }
    return sample_with_entry(text);
}

/* ---- y with strides of its own ---- */

static ts_kernel *load_text(char *text)
{
    ts_kernel *kernel = NULL;
    ok(take_text(text, &kernel) == TS_OK, "loads: %s", ts_last_error());
    return kernel;
}

static void test_overlap(void)
{
    const char *const strided[][2] = {{"ldy:u64", "ldy:u64 csy:u64"}, {"y=row", "y=any"}, {"y=4", "y=2"}};
    const struct {
        int64_t m, n, row_stride, col_stride;
        bool apart;
    } rows[] = {
        {2, 3, 3, 1, true},  {2, 3, 2, 1, false},  {2, 3, 1, 2, true},          {3, 3, 1, 2, false},
        {2, 3, 3, 2, true},  {2, 4, 3, 2, true},   {3, 4, 3, 2, false},         {3, 3, 4, 2, false},
        {2, 3, 6, 6, false}, {2, 3, 0, 1, false},  {1, 3, -5, 1, true},         {1, 3, 9, 0, false},
        {2, 1, 1, -9, true}, {2, 1, -1, 0, false}, {1, 1, INT64_MIN, -1, true}, {2, 2, -1, INT64_MIN, false},
    };
    ts_kernel *kernel = load_text(sample_changed(strided, sizeof strided / sizeof *strided));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ts_linear_args args = good_args();
        args.m = rows[i].m, args.n = rows[i].n;
        args.y.row_stride = rows[i].row_stride, args.y.col_stride = rows[i].col_stride;
        ts_status status = ts_kernel_launch(kernel, &args, NULL);
        ok(!status == rows[i].apart, "y of %lld x %lld by %lld and %lld: %s", (long long)rows[i].m,
           (long long)rows[i].n, (long long)rows[i].row_stride, (long long)rows[i].col_stride,
           status ? ts_last_error() : "apart");
    }
    ts_kernel_destroy(kernel);
}

/* ---- kernels with tensor maps ---- */

/* The sample as a kernel for TMA, its params, grid, tile, alignment and boxes being those of one. */
static char *maps_sample(const char *grid)
{
    const char *const changes[][2] = {
        {SAMPLE_PARAMS, "x_map:map w_map:map y_map:map bias:u64 n:u32 m:u32 k:u32 s:f32"},
        {"grid: tiles", grid},
        {"align: x=16 w=16 y=4", "align: x=16 w=16 y=16"},
        {"workspace_bytes: 0\n",
         "workspace_bytes: 0\n// boxes: x=64x128 w=64x32 y=64x64\n// early_start: yes\n"},
    };
    return sample_changed(changes, sizeof changes / sizeof *changes);
}

static ts_linear_args maps_args(void)
{
    ts_linear_args args = good_args();
    args.y = ts_matrix_make(0x30000, 208, TS_F16);
    return args;
}

/* A launch, behind which so many maps were made in all. */
static void launch_makes(ts_kernel *kernel, const ts_linear_args *args, int maps, const char *what)
{
    ts_status status = ts_kernel_launch(kernel, args, NULL);
    ok(status == TS_OK && fake.calls("cuTensorMapEncodeTiled") == maps, "%s", what);
}

static void test_map_launch(ts_kernel *kernel)
{
    ts_linear_args args = maps_args();
    FakeLaunch launch;
    fake.reset();
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "a launch with tensor maps: %s", ts_last_error());
    fake.last_launch(&launch);
    ok(fake_param(&launch, "x_map") == 0x10000 && fake_param(&launch, "w_map") == 0x20000 &&
           fake_param(&launch, "y_map") == 0x30000,
       "the maps are of x, W and y");
    ok(launch.grid[0] == 16 && launch.grid[1] == 1, "2 x 4 tiles of clusters of 2: %u blocks",
       launch.grid[0]);
    ok(launch.early, "it may start early");
    ok(fake.calls("cuTensorMapEncodeTiled") == 3, "three maps were made");
    launch_makes(kernel, &args, 3, "the same call again makes none");
    args.x.data = 0x50000;
    launch_makes(kernel, &args, 4, "another x makes one");
    args.m = 299;
    launch_makes(kernel, &args, 6, "another m makes those of x and y");
    args.x.row_stride = 104;
    launch_makes(kernel, &args, 7, "another pitch of x makes one");
    args.k = 88;
    launch_makes(kernel, &args, 9, "another k makes those of x and W");
    args.k = 0, args.x.data = args.w.data = 0;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "without k: %s", ts_last_error());
}

static void test_map_refusals(ts_kernel *kernel)
{
    ts_linear_args args = maps_args();
    args.n = 199;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_MISALIGNED, "needs a multiple of 8");
    args = maps_args();
    args.w.data += 8;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_MISALIGNED, "the address of w");
    args = maps_args();
    args.x.data = 0x60000;
    setenv("FAKE_CUDA_FAIL", "cuTensorMapEncodeTiled=1", 1);
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_DRIVER, "making a tensor map of x");
    setenv("FAKE_CUDA_FAIL", "cuLaunchKernelEx=719", 1);
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_LAUNCH, "launching 16x1x1 blocks");
    unsetenv("FAKE_CUDA_FAIL");
}

static void test_late_start(const char *text)
{
    ts_context_options options = ts_context_options_make();
    ts_context *late;
    ts_kernel *kernel = NULL;
    ts_linear_args args = maps_args();
    FakeLaunch launch;
    options.driver_library = fake_path();
    options.no_early_start = 1;
    ok(ts_context_create(&options, &late) == TS_OK &&
           ts_kernel_load(late, text, strlen(text), &kernel) == TS_OK &&
           ts_kernel_launch(kernel, &args, NULL) == TS_OK,
       "a context without early starts: %s", ts_last_error());
    fake.last_launch(&launch);
    ok(!launch.early && fake_param(&launch, "x_map") == 0x10000, "the launch is a plain one");
    ts_kernel_destroy(kernel);
    ts_context_destroy(late);
}

static void test_maps(void)
{
    char *text = maps_sample("grid: persistent 2x1");
    ts_kernel *kernel;
    ts_kernel_info info = {.struct_size = sizeof info};
    if (!ok(ts_kernel_load(context, text, strlen(text), &kernel) == TS_OK, "a kernel with maps: %s",
            ts_last_error()))
        return free(text);
    ts_kernel_get_info(kernel, &info);
    ok(info.n_multiple == 8, "it stores whole 16 bytes");
    test_map_launch(kernel);
    test_map_refusals(kernel);
    ts_kernel_destroy(kernel);
    test_late_start(text);
    free(text);
}

/* So many addresses are remembered; what comes behind them is served all the same, each time anew. */
static void test_many_maps(void)
{
    enum { KEPT = 4096, MORE = 100 };
    ts_kernel *kernel = load_text(maps_sample("grid: persistent 2x1"));
    ts_linear_args args = maps_args();
    FakeLaunch launch;
    int failed = 0;
    fake.reset();
    for (int i = 0; i < KEPT + MORE; i++) {
        args.x.data = 0x1000000 + 4096ull * (unsigned)i;
        failed += ts_kernel_launch(kernel, &args, NULL) != TS_OK;
        fake.last_launch(&launch);
        failed += fake_param(&launch, "x_map") != args.x.data;
    }
    int made = fake.calls("cuTensorMapEncodeTiled");
    ok(failed == 0 && made == KEPT + MORE + 2, "%d addresses of x: %d maps", KEPT + MORE, made);
    launch_makes(kernel, &args, made + 1, "that of the last was not kept");
    args.x.data = 0x1000000;
    launch_makes(kernel, &args, made + 1, "that of the first was");
    ts_kernel_destroy(kernel);
}

/* Whatever the grid rule is, what has maps gets them; and they want rows that TMA can address. */
static void test_maps_of_tiles(void)
{
    const char *const unaligned[][2] = {
        {SAMPLE_PARAMS, "x_map:map w:u64 ldw:u64 y:u64 ldy:u64 bias:u64 n:u32 m:u32 k:u32 s:f32"},
        {"align: x=16", "align: x=8"},
        {"workspace_bytes: 0\n", "workspace_bytes: 0\n// boxes: x=64x128\n"},
    };
    ts_kernel *kernel = load_text(maps_sample("grid: tiles"));
    ts_linear_args args = maps_args();
    FakeLaunch launch;
    ok(ts_kernel_launch(kernel, &args, NULL) == TS_OK, "a block a tile, with maps: %s", ts_last_error());
    fake.last_launch(&launch);
    ok(fake_param(&launch, "x_map") == 0x10000 && fake_param(&launch, "y_map") == 0x30000, "of x and y");
    ts_kernel_destroy(kernel);
    refused(take_text(sample_changed(unaligned, sizeof unaligned / sizeof *unaligned), &kernel),
            TS_ERROR_BAD_KERNEL, "align x=8; a tensor with a map is aligned to 16 bytes");
}

/* Persistent blocks are as many as run at one time, in clusters; a device may have no room for any. */
static void test_resident_clusters(void)
{
    char *text = maps_sample("grid: persistent 2x1");
    ts_kernel *kernel;
    ts_linear_args args = maps_args();
    FakeLaunch launch;
    setenv("FAKE_CUDA_CLUSTERS", "3", 1);
    if (ok(ts_kernel_load(context, text, strlen(text), &kernel) == TS_OK &&
               ts_kernel_launch(kernel, &args, NULL) == TS_OK,
           "a device with room for three clusters: %s", ts_last_error())) {
        fake.last_launch(&launch);
        ok(launch.grid[0] == 6, "three clusters of 2: %u blocks", launch.grid[0]);
        ts_kernel_destroy(kernel);
    }
    setenv("FAKE_CUDA_CLUSTERS", "0", 1);
    refused(ts_kernel_load(context, text, strlen(text), &kernel), TS_ERROR_UNSUPPORTED,
            "has clusters of 2 blocks, for which device");
    setenv("FAKE_CUDA_FAIL", "cuOccupancyMaxActiveClusters=1", 1);
    refused(ts_kernel_load(context, text, strlen(text), &kernel), TS_ERROR_DRIVER,
            "asking how many clusters of the kernel");
    unsetenv("FAKE_CUDA_FAIL");
    unsetenv("FAKE_CUDA_CLUSTERS");
    free(text);
}

/* Clusters of four blocks have a tile each, however many SMs there are. */
static void test_clusters(void)
{
    char *text = maps_sample("grid: clusters 4");
    ts_kernel *kernel;
    ts_linear_args args = maps_args();
    FakeLaunch launch;
    if (!ok(ts_kernel_load(context, text, strlen(text), &kernel) == TS_OK &&
                ts_kernel_launch(kernel, &args, NULL) == TS_OK,
            "a kernel with a cluster a tile: %s", ts_last_error()))
        return free(text);
    fake.last_launch(&launch);
    ok(launch.grid[0] == 48 && launch.grid[1] == 1, "3 x 4 tiles of 4 blocks: %u blocks", launch.grid[0]);
    ok(launch.early && fake_param(&launch, "x_map") == 0x10000, "with its maps; it may start early");
    args.m = args.n = 0x7FFFFFF0;
    args.y.row_stride = 0x7FFFFFF0;
    refused(ts_kernel_launch(kernel, &args, NULL), TS_ERROR_UNSUPPORTED, "more tiles of 128x64");
    ts_kernel_destroy(kernel);
    free(text);
}

int main(void)
{
    ts_context_options options = ts_context_options_make();
    fake = fake_open();
    options.driver_library = fake_path();
    ok(ts_context_create(&options, &context) == TS_OK, "a context on the fake driver: %s", ts_last_error());
    test_info();
    test_loading();
    test_arch("sm_80", "80", true);
    test_arch("sm_80", "120", true);
    test_arch("sm_90", "89", false);
    test_arch("sm_90a", "90", true);
    test_arch("sm_90a", "89", false);
    test_arch("sm_90a", "100", false);
    test_arch("sm_120f", "121", true);
    test_arch("sm_100f", "120", false);
    test_file();
    test_all_groups();
    test_launch();
    test_edges();
    test_r();
    test_refusals();
    test_overlap();
    test_maps();
    test_many_maps();
    test_maps_of_tiles();
    test_resident_clusters();
    test_clusters();
    ts_context_destroy(context);
    ok(fake.live() == 0, "nothing is left: %d", fake.live());
    return done();
}
