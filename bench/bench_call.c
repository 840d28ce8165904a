/* bench_call.c: what a call costs the CPU: ts_kernel_launch() and ts_linear() beside the bare call of the
 * driver with the same arguments, and from the start of the process to the first result.
 *
 *     bench_call [DRIVER]     libcuda.so.1, or the path of another driver, such as build/tests/fake_cuda.so
 *
 * The bare calls are made from inside a launch of ours, whose arguments they repeat, by putting a function of
 * this program in the driver's place. Batches are short, so that the queue of launches never fills, and take
 * turns. The last lines are with functions there that do nothing: what is left is ours.
 */
#include "runtime/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { M = 128, N = 512, K = 1024, ROUNDS = 31, CALLS = 200 };

typedef struct Bench {
    ts_context *context;
    ts_stream stream;
    ts_linear_args args;
    const ts_kernel *kernel;
} Bench;

static RtDriver driver; /* as it was opened */
static double bare_ns;  /* of a call, where the driver's place was taken */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(ts_status status)
{
    if (status) exit((fprintf(stderr, "%s: %s\n", ts_status_name(status), ts_last_error()), 1));
}

/* ---- the driver's place ---- */

static CUresult launch_bare(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                            unsigned int by, unsigned int bz, unsigned int smem, CUstream stream,
                            void **params, void **extra)
{
    double start = now_ns();
    CUresult result = 0;
    for (int i = 0; i < CALLS && !result; i++)
        result = driver.cuLaunchKernel(f, gx, gy, gz, bx, by, bz, smem, stream, params, extra);
    bare_ns = (now_ns() - start) / CALLS;
    return result;
}

static CUresult launch_bare_ex(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
    double start = now_ns();
    CUresult result = 0;
    for (int i = 0; i < CALLS && !result; i++) result = driver.cuLaunchKernelEx(config, f, params, extra);
    bare_ns = (now_ns() - start) / CALLS;
    return result;
}

static CUcontext current;

static CUresult do_nothing(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                           unsigned int by, unsigned int bz, unsigned int smem, CUstream stream,
                           void **params, void **extra)
{
    (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)smem, (void)stream,
        (void)params, (void)extra;
    return CUDA_SUCCESS;
}

static CUresult do_nothing_ex(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
    (void)config, (void)f, (void)params, (void)extra;
    return CUDA_SUCCESS;
}

static CUresult give_current(CUcontext *context)
{
    *context = current;
    return CUDA_SUCCESS;
}

static double time_bare(const Bench *b)
{
    RtDriver *place = &b->context->driver;
    place->cuLaunchKernel = launch_bare;
    if (driver.cuLaunchKernelEx) place->cuLaunchKernelEx = launch_bare_ex;
    must(ts_kernel_launch(b->kernel, &b->args, b->stream));
    *place = driver;
    return bare_ns;
}

/* ---- ours ---- */

static double time_launch(const Bench *b)
{
    double start = now_ns();
    for (int i = 0; i < CALLS; i++) must(ts_kernel_launch(b->kernel, &b->args, b->stream));
    return (now_ns() - start) / CALLS;
}

static double time_linear(const Bench *b)
{
    double start = now_ns();
    for (int i = 0; i < CALLS; i++) must(ts_linear(b->context, &b->args, b->stream));
    return (now_ns() - start) / CALLS;
}

static double without_driver(const Bench *b, double (*time)(const Bench *))
{
    RtDriver *place = &b->context->driver;
    current = b->context->cuda;
    place->cuCtxGetCurrent = give_current;
    place->cuLaunchKernel = do_nothing;
    if (driver.cuLaunchKernelEx) place->cuLaunchKernelEx = do_nothing_ex;
    double ns = time(b);
    *place = driver;
    return ns;
}

static double time_our_launch(const Bench *b) { return without_driver(b, time_launch); }
static double time_our_linear(const Bench *b) { return without_driver(b, time_linear); }

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 2];
}

static void compare(const Bench *b)
{
    static const struct {
        const char *name;
        double (*time)(const Bench *);
    } part[] = {{"bare call of the driver", time_bare},
                {"ts_kernel_launch()", time_launch},
                {"ts_linear()", time_linear},
                {"ours of ts_kernel_launch", time_our_launch},
                {"ours of ts_linear", time_our_linear}};
    enum { PARTS = sizeof part / sizeof *part, WARM_UP = 3 };
    double ns[PARTS][ROUNDS];
    for (int round = -WARM_UP; round < ROUNDS; round++)
        for (int i = 0; i < PARTS; i++) {
            double t = part[i].time(b);
            if (round >= 0) ns[i][round] = t;
            must(ts_stream_synchronize(b->context, b->stream));
        }
    for (int i = 0; i < PARTS; i++) printf("%-26s %7.0f ns\n", part[i].name, median(ns[i]));
}

static void make_problem(Bench *b)
{
    b->args = ts_linear_args_make();
    b->args.m = M, b->args.n = N, b->args.k = K, b->args.s = 2, b->args.bias_dtype = TS_F16;
    b->args.x = ts_matrix_make(0, K, TS_F16);
    b->args.w = ts_matrix_make(0, K, TS_F16);
    b->args.y = ts_matrix_make(0, N, TS_F16);
    must(ts_malloc(b->context, M * K * 2, &b->args.x.data));
    must(ts_malloc(b->context, N * K * 2, &b->args.w.data));
    must(ts_malloc(b->context, M * N * 2, &b->args.y.data));
    must(ts_malloc(b->context, N * 2, &b->args.bias));
}

int main(int argc, char **argv)
{
    Bench b = {0};
    uint16_t y;
    ts_context_options options = ts_context_options_make();
    if (argc > 1) options.driver_library = argv[1];
    must(ts_context_create(&options, &b.context));
    driver = b.context->driver;
    must(ts_stream_create(b.context, &b.stream));
    make_problem(&b);
    double start = now_ns();
    must(ts_linear(b.context, &b.args, b.stream));
    must(ts_stream_synchronize(b.context, b.stream));
    must(ts_copy_to_host(b.context, &y, b.args.y.data, sizeof y));
    printf("%dx%dx%d on %s\n%-26s %7.1f ms\n", M, N, K, b.context->info.name, "first result",
           (now_ns() - start) / 1e6);
    must(ts_linear_prepare(b.context, &b.args, &b.kernel));
    compare(&b);
    ts_stream_destroy(b.context, b.stream);
    const ts_device_ptr allocated[] = {b.args.x.data, b.args.w.data, b.args.y.data, b.args.bias};
    for (int i = 0; i < 4; i++) must(ts_free(b.context, allocated[i]));
    ts_context_destroy(b.context);
    return 0;
}
