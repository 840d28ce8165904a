/* cmd_run.c: tilesmith run: kernels written, loaded, launched and verified, on random inputs or the user's.
 *
 *     read options      shapes, or arrays that say the shape
 *     for each shape    kernel (chosen, pinned or from a file) -> problem -> launch -> output -> verdict
 *
 * A wrong result fails its line and the exit status, and the next shape goes on; what cannot be run at all
 * ends the command.
 */
#include "cli/commands.h"
#include "cli/device.h"
#include "cli/json.h"
#include "cli/problem.h"
#include "cli/shape.h"
#include "cli/verify.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const OptionId takes[] = {
    OPT_SHAPE,    OPT_DTYPE,  OPT_SCALE,     OPT_T,      OPT_ARCH,   OPT_CONFIG,
    OPT_EPILOGUE, OPT_KERNEL, OPT_SEED,      OPT_X_FILE, OPT_W_FILE, OPT_BIAS_FILE,
    OPT_R_FILE,   OPT_OUT,    OPT_NO_VERIFY, OPT_DEVICE, OPT_JSON,   OPT_HELP,
};

/* Inputs that may come from files, and their options. Y's column is where the output goes. */
static const OptionId file_option[N_OPERANDS] = {
    [OPERAND_X] = OPT_X_FILE, [OPERAND_W] = OPT_W_FILE, [OPERAND_BIAS] = OPT_BIAS_FILE,
    [OPERAND_R] = OPT_R_FILE, [OPERAND_Y] = OPT_OUT,
};

typedef struct Run {
    const Options *o;
    const char *which; /* device */
    Device device;
    Shape *shape;
    int n_shapes;
    bool from_files;
    NpyArray array[N_OPERANDS];
    GenType type;        /* of --dtype */
    const GenArch *arch; /* of --arch; NULL: what suits the device */
    GenConfig pinned;    /* with --config */
    bool all_ok;
} Run;

/* ---- options ---- */

/* Options of which two contradict each other, or one needs the other. */
static int refuse_combinations(const Run *run)
{
    static const OptionId with_kernel[] = {OPT_CONFIG, OPT_ARCH, OPT_DTYPE, OPT_EPILOGUE};
    static const OptionId of_files[] = {OPT_BIAS_FILE, OPT_R_FILE, OPT_OUT};
    const Options *o = run->o;
    const char *command = o->command->name;
    for (size_t i = 0; i < sizeof with_kernel / sizeof *with_kernel; i++)
        if (given(o, OPT_KERNEL) && given(o, with_kernel[i]))
            return usage(command, "--kernel FILE says everything about the kernel; leave out %s",
                         option_flag(with_kernel[i]));
    if (given(o, OPT_X_FILE) != given(o, OPT_W_FILE)) return usage(command, "--x and --w go together");
    for (size_t i = 0; i < sizeof of_files / sizeof *of_files; i++)
        if (given(o, of_files[i]) && !run->from_files)
            return usage(command, "%s needs --x and --w", option_flag(of_files[i]));
    if (run->from_files && given(o, OPT_SHAPE))
        return usage(command, "the arrays say the shape; leave out --shape");
    if (run->from_files && given(o, OPT_SEED))
        return usage(command, "--seed is for random inputs; leave it out");
    if (run->from_files && !given(o, OPT_OUT))
        return usage(command, "--x and --w need --out FILE for the result");
    if (given(o, OPT_OUT) && strcmp(o->text[OPT_OUT], "-") == 0)
        return usage(command, "--out wants a file: standard output has the report");
    if (!run->from_files && !given(o, OPT_SHAPE))
        return usage(command, "--shape MxNxK is missing (or --x, --w and --out)");
    return EXIT_OK;
}

static int read_options(Run *run)
{
    const Options *o = run->o;
    run->from_files = given(o, OPT_X_FILE) || given(o, OPT_W_FILE);
    int status = refuse_combinations(run);
    if (!status) status = choose_device(o, &run->which);
    if (!status) status = choose_arch(o, &run->arch);
    if (!status) status = choose_type(o, GEN_F16, &run->type);
    if (!status) status = check_epilogue(o);
    if (!status && given(o, OPT_CONFIG)) status = choose_config(o, &run->pinned);
    if (!status && given(o, OPT_SHAPE)) status = shapes_read(o, 0, &run->shape, &run->n_shapes);
    return status;
}

/* ---- arrays from files ---- */

static bool dimensions_are(const NpyArray *a, const char *path, int dims, const char *what, Error *error)
{
    if (a->dims != dims) return refuse(error, "%s has %d dimensions; %s", path, a->dims, what);
    for (int i = 0; i < dims; i++)
        if (a->shape[i] > INT_MAX)
            return refuse(error, "%s: a dimension of %lld is over %d", path, (long long)a->shape[i], INT_MAX);
    return true;
}

static bool check_arrays(const Run *run, Error *error)
{
    const NpyArray *x = &run->array[OPERAND_X], *w = &run->array[OPERAND_W];
    const NpyArray *bias = &run->array[OPERAND_BIAS], *r = &run->array[OPERAND_R];
    const char *const *path = run->o->text;
    if (!dimensions_are(x, path[OPT_X_FILE], 2, "x is [M,K]", error) ||
        !dimensions_are(w, path[OPT_W_FILE], 2, "W is [N,K]", error))
        return false;
    if (x->shape[1] != w->shape[1])
        return refuse(
            error, "x [%lld,%lld] and W [%lld,%lld] do not agree in K: W is [N,K], one row an output",
            (long long)x->shape[0], (long long)x->shape[1], (long long)w->shape[0], (long long)w->shape[1]);
    if (path[OPT_BIAS_FILE]) {
        if (!dimensions_are(bias, path[OPT_BIAS_FILE], 1, "bias is [N]", error)) return false;
        if (bias->shape[0] != w->shape[0])
            return refuse(error, "bias has %lld elements; W has %lld rows", (long long)bias->shape[0],
                          (long long)w->shape[0]);
    }
    if (!path[OPT_R_FILE]) return true;
    if (!dimensions_are(r, path[OPT_R_FILE], 2, "r is [M,N]", error)) return false;
    return (r->shape[0] == x->shape[0] && r->shape[1] == w->shape[0]) ||
           refuse(error, "r is [%lld,%lld]; it must be [M,N] = [%lld,%lld]", (long long)r->shape[0],
                  (long long)r->shape[1], (long long)x->shape[0], (long long)w->shape[0]);
}

static bool read_arrays(Run *run, Error *error)
{
    for (int id = 0; id < OPERAND_Y; id++)
        if (given(run->o, file_option[id]) &&
            !npy_read(run->o->text[file_option[id]], &run->array[id], error))
            return false;
    if (!check_arrays(run, error)) return false;
    run->shape = calloc(1, sizeof *run->shape);
    if (!run->shape) return refuse(error, "out of memory");
    *run->shape = (Shape){run->array[OPERAND_X].shape[0], run->array[OPERAND_W].shape[0],
                          run->array[OPERAND_X].shape[1]};
    run->n_shapes = 1;
    return true;
}

/* ---- the kernel ---- */

/* What is ranked first, whatever is pinned or tuned. */
static bool choose(const Run *run, Shape s, GenConfig *config, Error *error)
{
    const GenArch *arch = device_arch(&run->device, run->arch, error);
    GenError gen_error;
    if (!arch) return false;
    GenProblem problem =
        shape_problem(s, arch, run->device.info.sm_count, run->type, run->type, run->o->text[OPT_EPILOGUE]);
    return gen_choose(&problem, config, &gen_error) || refuse(error, "%s", gen_error.text);
}

static bool load_file(const Run *run, const char *path, ts_kernel **kernel, Error *error)
{
    ts_status status = ts_kernel_load_file(run->device.context, path, kernel);
    if (status == TS_OK) return true;
    if (status == TS_ERROR_IO) return refuse(error, "%s", ts_last_error()); /* it names the file */
    return refuse(error, "%s: %s", path, ts_last_error());
}

static bool load_kernel(const Run *run, Shape shape, ts_kernel **kernel, Error *error)
{
    GenConfig config = run->pinned;
    if (given(run->o, OPT_KERNEL)) return load_file(run, run->o->text[OPT_KERNEL], kernel, error);
    if (!given(run->o, OPT_CONFIG) && !choose(run, shape, &config, error)) return false;
    return device_load(&run->device, &config, kernel, error);
}

/* ---- one problem ---- */

static void print_json(const Run *run, const Problem *p, const Verdict *v)
{
    Json json;
    char shape[SHAPE_MAX_TEXT];
    shape_print(p->shape, shape);
    json_begin(&json, stdout);
    json_text(&json, "shape", shape);
    json_text(&json, "dtype", ts_dtype_name(p->info.w));
    json_text(&json, "config", p->info.config);
    json_text(&json, "device", run->device.info.name);
    json_number(&json, "ms", p->milliseconds);
    json_number(&json, "rel_err", v ? v->rel_err : NAN);
    json_number(&json, "max_abs_err", v ? v->max_abs_err : NAN);
    if (v) json_bool(&json, "ok", v->ok);
    else json_null(&json, "ok");
    json_end(&json);
}

static void print_line(const Run *run, const Problem *p, const Verdict *v)
{
    char shape[SHAPE_MAX_TEXT];
    shape_print(p->shape, shape);
    printf("%-16s  %s  on %s  %.3f ms  ", shape, p->info.config, run->device.info.name, p->milliseconds);
    if (!v) printf("not verified\n");
    else printf("rel_err %.2e  max_abs_err %.2e  %s\n", v->rel_err, v->max_abs_err, v->ok ? "OK" : "FAILED");
}

/* Why a verdict is not ok. Beside JSON it goes to stderr, so that stdout stays JSON. */
static void print_failure(FILE *out, const Verdict *v)
{
    if (v->padding_written) fprintf(out, "  the kernel wrote between the rows of y\n");
    if (v->rel_err > v->rel_err_limit)
        fprintf(out, "  rel_err %.3e is over %.1e\n", v->rel_err, v->rel_err_limit);
    for (int i = 0; i < v->n_shown; i++) {
        const Mismatch *m = &v->shown[i];
        fprintf(out, "  y[%lld,%lld] is %.8g; float64 says %.8g, give or take %.2g\n", (long long)m->row,
                (long long)m->col, m->got, m->wanted, m->bound);
    }
    if (v->n_mismatches > v->n_shown)
        fprintf(out, "  and %lld more elements\n", (long long)v->n_mismatches - v->n_shown);
}

static bool report(Run *run, const Problem *p, Error *error)
{
    Verdict verdict, *v = NULL;
    bool json = given(run->o, OPT_JSON);
    if (!given(run->o, OPT_NO_VERIFY)) {
        Linear linear = problem_linear(p);
        if (!verify(&linear, &p->operand[OPERAND_Y].host, &verdict, error)) return false;
        v = &verdict;
    }
    if (json) print_json(run, p, v);
    else print_line(run, p, v);
    if (v && !v->ok) print_failure(json ? stderr : stdout, v);
    if (v && !v->ok) run->all_ok = false;
    fflush(stdout);
    return true;
}

static bool fill_inputs(Run *run, Problem *p, Error *error)
{
    const Options *o = run->o;
    if (!run->from_files) {
        problem_randomise(p, o->seed);
        return true;
    }
    for (int id = 0; id < OPERAND_Y; id++) {
        const char *path = o->text[file_option[id]], *flag = option_flag(file_option[id]);
        bool used = p->operand[id].used;
        if (used && !path) return refuse(error, "the epilogue '%s' needs %s FILE", p->info.epilogue, flag);
        if (!used && path) return refuse(error, "the kernel (%s) does not use %s", p->info.epilogue, flag);
        if (used && !problem_take(p, (OperandId)id, &run->array[id], path, error)) return false;
    }
    return true;
}

static bool write_output(const Run *run, const Problem *p, Error *error)
{
    NpyArray y = {0};
    if (!run->from_files) return true;
    bool good = problem_output(p, &y, error) && npy_write(run->o->text[OPT_OUT], &y, error);
    npy_free(&y);
    return good;
}

static bool run_shape(Run *run, Shape shape, Error *error)
{
    const Options *o = run->o;
    ts_kernel *kernel = NULL;
    if (!load_kernel(run, shape, &kernel, error)) return false;
    Problem p = {.context = run->device.context, .kernel = kernel, .shape = shape};
    p.s = given(o, OPT_SCALE) ? (float)o->real[OPT_SCALE] : 2;
    p.t = (float)o->real[OPT_T];
    p.without_bias = run->from_files && !given(o, OPT_BIAS_FILE);
    bool good = problem_create(&p, error) && fill_inputs(run, &p, error) && problem_run(&p, error) &&
                write_output(run, &p, error) && report(run, &p, error);
    problem_free(&p);
    ts_kernel_destroy(kernel);
    return good;
}

/* ---- the command ---- */

static bool run_all(Run *run, Error *error)
{
    if (run->from_files && !read_arrays(run, error)) return false;
    if (!device_open(run->o->command->name, run->which, &run->device, error)) return false;
    for (int i = 0; i < run->n_shapes; i++)
        if (!run_shape(run, run->shape[i], error)) return false;
    return true;
}

static int run_run(const Options *o)
{
    Run run = {.o = o, .all_ok = true};
    Error error;
    int status = read_options(&run);
    if (!status && !run_all(&run, &error)) status = fail(o->command->name, "%s", error.text);
    if (!status && !run.all_ok) status = fail(o->command->name, "the result is wrong: see the lines above");
    device_close(&run.device);
    for (int id = 0; id < N_OPERANDS; id++) npy_free(&run.array[id]);
    free(run.shape);
    return status;
}

const Command command_run = {
    .name = "run",
    .synopsis = "--shape MxNxK[,MxNxK...] [OPTION]...\n"
                "       tilesmith run --x x.npy --w w.npy [--bias b.npy] --out y.npy [OPTION]...",
    .summary = "run a kernel and verify its result",
    .details =
        "Takes the kernel that is ranked first for each problem, whatever was tuned (or --config or\n"
        "--kernel), loads it, runs it and verifies every element of y against float64. The inputs are\n"
        "random (x, bias and r from N(0, 1), W from N(0, 1) / sqrt(K)) or the user's arrays, rounded to\n"
        "--dtype. Prints one line a problem.",
    .option = takes,
    .run = run_run,
};
