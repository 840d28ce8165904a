/* cmd_bench.c: tilesmith bench: how fast kernels are, one row each.
 *
 *     for each shape, for each kernel    load -> operands in rotation -> check -> measure -> row
 *
 * Which kernels: the one that the library chooses (after packing, where it packs), the one of --config NAME,
 * or with --config all every listed configuration that the problem's alignment allows. What fails is a row
 * too, with its reason, and the next kernel goes on.
 */
#include "cli/commands.h"
#include "cli/device.h"
#include "cli/measure.h"
#include "cli/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OptionId takes[] = {
    OPT_SHAPE, OPT_DTYPE, OPT_CONFIG, OPT_ARCH,    OPT_EPILOGUE, OPT_SCALE,
    OPT_T,     OPT_SEED,  OPT_DEVICE, OPT_REPLAYS, OPT_CSV,      OPT_HELP,
};

typedef struct BenchRun {
    const Options *o;
    const char *which; /* device */
    Device device;
    Shape *shape;
    int n_shapes;
    GenType type; /* of --dtype */
    const GenArch *arch;
    GenConfig pinned; /* with --config NAME */
    bool all, csv;
    float s, t;
    int replays;
    Rotation rotation; /* of the shape at hand */
    bool some_measured, some_wrong;
} BenchRun;

/* One kernel on one shape. */
typedef struct Row {
    char config[GEN_MAX_NAME];
    const ts_kernel *kernel; /* NULL: it could not be loaded */
    ts_kernel_info info;
    Timing timing;
    double rel_err;
    bool packed, fits, measured;
    Error error; /* unless measured */
} Row;

/* ---- options ---- */

static int read_config_option(BenchRun *b)
{
    const Options *o = b->o;
    b->all = given(o, OPT_CONFIG) && strcmp(o->text[OPT_CONFIG], "all") == 0;
    if (given(o, OPT_ARCH) && !b->all)
        return usage(o->command->name, "--arch goes with --config all, whose list it says; leave it out");
    if (given(o, OPT_CONFIG) && !b->all) return choose_config(o, &b->pinned);
    return check_epilogue(o);
}

static int read_replays(BenchRun *b)
{
    const Options *o = b->o;
    b->replays = given(o, OPT_REPLAYS) ? o->number[OPT_REPLAYS] : MEASURE_USUAL_REPLAYS;
    if (b->replays >= 1 && b->replays <= MEASURE_MAX_REPLAYS) return EXIT_OK;
    return usage(o->command->name, "--replays %d is not from 1 to %d", b->replays, MEASURE_MAX_REPLAYS);
}

static int read_options(BenchRun *b)
{
    const Options *o = b->o;
    b->csv = given(o, OPT_CSV);
    b->s = given(o, OPT_SCALE) ? (float)o->real[OPT_SCALE] : 2;
    b->t = (float)o->real[OPT_T];
    int status = given(o, OPT_SHAPE) ? EXIT_OK : usage(o->command->name, "--shape MxNxK is missing");
    if (!status) status = choose_device(o, &b->which);
    if (!status) status = choose_arch(o, &b->arch);
    if (!status) status = choose_type(o, GEN_F16, &b->type);
    if (!status) status = read_config_option(b);
    if (!status) status = read_replays(b);
    if (!status) status = shapes_read(o, 1, &b->shape, &b->n_shapes);
    return status;
}

/* ---- rows ---- */

static void print_head(const BenchRun *b)
{
    if (b->csv)
        puts("shape,dtype,config,device,timing,calls,replays,sets,us,us_p10,us_p90,tflops,gbytes_s,"
             "registers,local_bytes,smem_bytes,blocks_per_sm,rel_err,status,reason");
    else
        printf("%-17s %-44s %10s %7s %7s %7s %5s %6s %7s  %s\n", "# shape", "config", "us", "spread", "TF/s",
               "GB/s", "regs", "local", "blk/SM", "rel_err");
}

static double flops_of(Shape s) { return 2.0 * (double)s.m * (double)s.n * (double)s.k; }

/* A field of CSV, which doubles its quotes. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text == '\n' ? ' ' : *text);
    }
    putchar('"');
}

static void print_csv(const BenchRun *b, const char *shape, const Row *r)
{
    const Timing *t = &r->timing;
    printf("%s,%s,%s,", shape, ts_dtype_name(r->kernel ? r->info.w : (ts_dtype)0), r->config);
    print_quoted(b->device.info.name);
    if (r->measured)
        printf(",%s,%d,%d,%d,%.3f,%.3f,%.3f,%.1f,%.1f", t->graph ? "graph" : "events", t->calls, t->replays,
               b->rotation.sets, t->us, t->us_p10, t->us_p90, flops_of(b->rotation.shape) / t->us / 1e6,
               rotation_call_bytes(&b->rotation) / t->us / 1e3);
    else printf(",,,,,,,,,");
    if (r->kernel)
        printf(",%d,%d,%d,%d", r->info.registers, r->info.local_bytes, r->info.smem_bytes,
               r->info.blocks_per_sm);
    else printf(",,,,");
    if (r->measured) printf(",%.2e,ok,\n", r->rel_err);
    else printf(",,failed,"), print_quoted(r->error.text), putchar('\n');
}

static void print_line(const BenchRun *b, const char *shape, const Row *r)
{
    const Timing *t = &r->timing;
    printf("%-17s %-44s ", shape, r->config);
    if (!r->measured) {
        printf("FAILED: %s\n", r->error.text);
        return;
    }
    printf("%10.2f %6.1f%% %7.1f %7.1f %5d %6d %7d  %.2e%s\n", t->us, 100 * (t->us_p90 - t->us_p10) / t->us,
           flops_of(b->rotation.shape) / t->us / 1e6, rotation_call_bytes(&b->rotation) / t->us / 1e3,
           r->info.registers, r->info.local_bytes, r->info.blocks_per_sm, r->rel_err,
           t->graph ? "" : "  (by events: this driver has no graphs)");
}

static void print_row(const BenchRun *b, const Row *r)
{
    char shape[SHAPE_MAX_TEXT];
    shape_print(b->rotation.shape, shape);
    if (b->csv) print_csv(b, shape, r);
    else print_line(b, shape, r);
    fflush(stdout);
}

/* ---- one kernel ---- */

typedef struct Call {
    const BenchRun *b;
    const ts_kernel *kernel;
} Call;

static bool launch_first(void *context, Error *error)
{
    const Call *call = context;
    const BenchRun *b = call->b;
    return device_check(rotation_launch(&b->rotation, call->kernel, 0, b->s, b->t, NULL), error);
}

static bool check_result(BenchRun *b, Row *r)
{
    GenExpr epilogue;
    GenError gen_error;
    Call call = {b, r->kernel};
    if (!gen_expr_parse(r->info.epilogue, &epilogue, &gen_error))
        return refuse(&r->error, "the kernel's epilogue: %s", gen_error.text);
    Linear scalars = {.epilogue = &epilogue, .s = b->s, .t = b->t};
    bool good =
        rotation_check(&b->rotation, &scalars, b->o->seed, launch_first, &call, &r->rel_err, &r->error);
    if (!good) b->some_wrong = true;
    return good;
}

/* The kernel is loaded. */
static void measure_row(BenchRun *b, Row *r)
{
    r->info.struct_size = sizeof r->info;
    if (!device_check(ts_kernel_get_info(r->kernel, &r->info), &r->error)) return;
    snprintf(r->config, sizeof r->config, "%.*s%s", GEN_MAX_NAME - 8, r->info.config,
             r->packed ? "+packed" : "");
    r->fits = r->packed || rotation_fits(b->rotation.shape, &r->info);
    if (!r->fits) {
        refuse(&r->error, "the rows of this problem are not aligned as the kernel needs");
        return;
    }
    r->timing.replays = b->replays;
    r->measured = rotation_fill(&b->rotation, &r->info, b->o->seed, &r->error) && check_result(b, r) &&
                  measure(&b->rotation, r->kernel, b->s, b->t, &r->timing, &r->error);
    if (r->measured) b->some_measured = true;
}

static ts_linear_args sizes(const BenchRun *b)
{
    ts_linear_args args = ts_linear_args_make();
    args.m = b->rotation.shape.m, args.n = b->rotation.shape.n, args.k = b->rotation.shape.k;
    return args;
}

static bool take_workspace(BenchRun *b, size_t bytes, Error *error)
{
    b->rotation.workspace_bytes = bytes;
    return device_check(ts_malloc(b->device.context, bytes, &b->rotation.workspace), error);
}

static void drop_workspace(BenchRun *b)
{
    ts_free(b->device.context, b->rotation.workspace);
    b->rotation.workspace = 0;
}

/* Under --config all, what does not fit the problem is no row. */
static void bench_config(BenchRun *b, const GenConfig *config)
{
    Row r = {.fits = true};
    ts_kernel *kernel = NULL;
    ts_linear_args args = sizes(b);
    size_t bytes;
    gen_config_name(config, r.config);
    if (device_load(&b->device, config, &kernel, &r.error) &&
        device_check(ts_kernel_workspace(kernel, &args, &bytes), &r.error) &&
        take_workspace(b, bytes, &r.error)) {
        r.kernel = kernel;
        measure_row(b, &r);
    }
    if (r.fits || !b->all) print_row(b, &r);
    drop_workspace(b);
    ts_kernel_destroy(kernel);
}

/* With the workspace that ts_linear() would like, if any: what is not for the kernel is for packing. */
static bool prepare_choice(BenchRun *b, ts_linear_args *args, Row *r)
{
    size_t bytes, of_kernel;
    if (!device_check(ts_linear_workspace(b->device.context, args, &bytes), &r->error) ||
        !take_workspace(b, bytes, &r->error))
        return false;
    args->workspace = b->rotation.workspace, args->workspace_bytes = bytes;
    if (!device_check(ts_linear_prepare(b->device.context, args, &r->kernel), &r->error) ||
        !device_check(ts_kernel_workspace(r->kernel, args, &of_kernel), &r->error))
        return false;
    r->packed = bytes && !of_kernel;
    return true;
}

/* The library's own choice for contiguous tensors of --dtype, packed where it packs. */
static void bench_choice(BenchRun *b)
{
    Row r = {.config = "(the library's choice)"};
    ts_linear_args args = shape_arguments(b->rotation.shape, device_dtype(b->type), b->o->text[OPT_EPILOGUE]);
    b->rotation.of_library = true;
    if (prepare_choice(b, &args, &r)) measure_row(b, &r);
    print_row(b, &r);
    drop_workspace(b);
}

/* ---- the command ---- */

static bool bench_listed(BenchRun *b, Error *error)
{
    const GenArch *arch = device_arch(&b->device, b->arch, error);
    GenConfig config;
    GenError gen_error;
    if (!arch) return false;
    for (int i = 0; gen_listed(arch, b->type, i, &config); i++) {
        if (given(b->o, OPT_EPILOGUE) &&
            !gen_config_set_epilogue(&config, b->o->text[OPT_EPILOGUE], &gen_error))
            return refuse(error, "%s", gen_error.text);
        if (gen_config_check(&config, &gen_error)) bench_config(b, &config);
    }
    return true;
}

static bool bench_shapes(BenchRun *b, Error *error)
{
    bool good = device_open(b->o->command->name, b->which, &b->device, error);
    if (!good) return false;
    if (!b->csv) printf("# on %s\n", b->device.info.name);
    print_head(b);
    for (int i = 0; i < b->n_shapes && good; i++) {
        b->rotation = (Rotation){.context = b->device.context, .shape = b->shape[i]};
        if (b->all) good = bench_listed(b, error);
        else if (given(b->o, OPT_CONFIG)) bench_config(b, &b->pinned);
        else bench_choice(b);
        rotation_free(&b->rotation);
    }
    return good;
}

static int run_bench(const Options *o)
{
    BenchRun b = {.o = o};
    Error error;
    int status = read_options(&b);
    if (!status && !bench_shapes(&b, &error)) status = fail(o->command->name, "%s", error.text);
    if (!status && b.some_wrong)
        status = fail(o->command->name, "a result could not be verified: see the rows above");
    if (!status && !b.some_measured)
        status = fail(o->command->name, "nothing could be measured: see the rows above");
    device_close(&b.device);
    free(b.shape);
    return status;
}

const Command command_bench = {
    .name = "bench",
    .synopsis = "--shape MxNxK[,MxNxK...] [--config NAME|all] [OPTION]...",
    .summary = "measure how fast kernels are",
    .details =
        "Measures what the library chooses for each problem (NAME+packed: rows are packed first), the\n"
        "kernel of --config NAME, or, with --config all, every listed configuration (of --arch) that fits.\n"
        "Calls walk through sets of operands that are larger than the caches together, in CUDA graphs of\n"
        "about 2 ms, --replays times with short pauses;\n"
        "us is the median and spread the distance from the 10th to the 90th percentile. GB/s counts each\n"
        "operand once. Each kernel's result is checked against float64 first.",
    .option = takes,
    .run = run_bench,
};
