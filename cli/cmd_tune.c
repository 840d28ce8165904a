/* cmd_tune.c: tilesmith tune: measures configurations for a problem, and keeps the result where ts_linear()
 * finds it. */
#include "cli/commands.h"
#include "cli/device.h"
#include "cli/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const OptionId takes[] = {OPT_SHAPE, OPT_DTYPE,  OPT_EPILOGUE, OPT_BUDGET,
                                 OPT_TOP,   OPT_DEVICE, OPT_CSV,      OPT_HELP};

typedef struct TuneRun {
    const Options *o;
    const char *which; /* device */
    Device device;
    Shape *shape;
    int n_shapes;
    GenType type;
    ts_tune_options options;
    bool csv, terminal, headed;
} TuneRun;

/* ---- what is seen ---- */

static void show_progress(void *data, const ts_tune_row *row, int32_t done, int32_t most)
{
    const TuneRun *t = data;
    if (t->terminal) fprintf(stderr, "\r%d of %d at most: %-60.60s", done, most, row->config);
}

static void end_progress(const TuneRun *t)
{
    if (t->terminal) fprintf(stderr, "\r%80s\r", "");
}

static void print_csv(const ts_tune_report *r, const char *shape)
{
    for (int i = 0; i < r->n_rows; i++) {
        const ts_tune_row *row = &r->rows[i];
        printf("%s,%s,%.3f,%.4f,%.4f,%d,%d,%d,%d,%s,%s\n", shape, row->config, row->us, row->spread,
               row->speedup, row->registers, row->local_bytes, row->smem_bytes, row->blocks_per_sm,
               ts_status_name(row->status), i == r->winner ? "winner" : "");
    }
}

static void print_table(const ts_tune_report *r, const char *shape)
{
    printf("%s\n  %-46s %10s %7s %8s %5s %6s %7s %7s\n", shape, "config", "us", "spread", "speedup", "regs",
           "local", "smem", "blk/SM");
    for (int i = 0; i < r->n_rows; i++) {
        const ts_tune_row *row = &r->rows[i];
        printf("%c %-46s ", i == r->winner ? '*' : ' ', row->config);
        if (row->status) printf("FAILED: %s\n", row->reason);
        else
            printf("%10.2f %6.1f%% %8.3f %5d %6d %7d %7d\n", row->us, 100 * row->spread, row->speedup,
                   row->registers, row->local_bytes, row->smem_bytes, row->blocks_per_sm);
    }
    printf("* is %s; speedup is against the first row, and one under 1.02 does not count.\n",
           *r->not_stored ? "the fastest" : "used from now on");
    printf("Registers: %s.\n%.1f s", r->rule, r->seconds);
    if (r->untried) printf("; the budget was too short for %d more", r->untried);
    if (!*r->not_stored) printf("; stored in %s", r->store);
    printf("\n");
}

static void print_head(const TuneRun *t)
{
    if (t->csv)
        puts("shape,config,us,spread,speedup,registers,local_bytes,smem_bytes,blocks_per_sm,status,winner");
    else printf("# on %s\n", t->device.info.name);
}

static void print_report(TuneRun *t, const ts_tune_report *r, Shape s)
{
    char shape[SHAPE_MAX_TEXT];
    shape_print(s, shape);
    if (!t->headed) print_head(t);
    t->headed = true;
    if (t->csv) print_csv(r, shape);
    else print_table(r, shape);
    fflush(stdout);
}

/* ---- one problem ---- */

/* Of contiguous tensors, packed where ts_linear() would pack them. */
static bool tune_shape(TuneRun *t, Shape s, Error *error)
{
    ts_context *context = t->device.context;
    ts_tune_report *report = NULL;
    ts_linear_args args = shape_arguments(s, device_dtype(t->type), t->o->text[OPT_EPILOGUE]);
    bool good = device_check(ts_linear_workspace(context, &args, &args.workspace_bytes), error) &&
                device_check(ts_malloc(context, args.workspace_bytes, &args.workspace), error) &&
                device_check(ts_tune(context, &args, &t->options, &report), error);
    end_progress(t);
    if (good) print_report(t, report, s);
    if (good && *report->not_stored) good = refuse(error, "not stored: %s", report->not_stored);
    ts_tune_report_free(report);
    ts_free(context, args.workspace);
    return good;
}

/* ---- the command ---- */

static int read_options(TuneRun *t)
{
    const Options *o = t->o;
    t->csv = given(o, OPT_CSV);
    t->terminal = isatty(STDERR_FILENO);
    t->options = ts_tune_options_make();
    t->options.budget_seconds = o->real[OPT_BUDGET];
    t->options.top = o->number[OPT_TOP];
    t->options.progress = show_progress;
    t->options.data = t;
    if (given(o, OPT_BUDGET) && o->real[OPT_BUDGET] <= 0)
        return usage(o->command->name, "--budget %s is not a time in seconds", o->text[OPT_BUDGET]);
    if (given(o, OPT_TOP) && (o->number[OPT_TOP] < 1 || o->number[OPT_TOP] > 64))
        return usage(o->command->name, "--top %d is not from 1 to 64", o->number[OPT_TOP]);
    int status = given(o, OPT_SHAPE) ? EXIT_OK : usage(o->command->name, "--shape MxNxK is missing");
    if (!status) status = choose_device(o, &t->which);
    if (!status) status = choose_type(o, GEN_F16, &t->type);
    if (!status) status = check_epilogue(o);
    if (!status) status = shapes_read(o, 1, &t->shape, &t->n_shapes);
    return status;
}

static bool tune_shapes(TuneRun *t, Error *error)
{
    bool good = device_open(t->o->command->name, t->which, &t->device, error);
    for (int i = 0; i < t->n_shapes && good; i++) good = tune_shape(t, t->shape[i], error);
    return good;
}

static int run_tune(const Options *o)
{
    TuneRun t = {.o = o};
    Error error;
    int status = read_options(&t);
    if (!status && !tune_shapes(&t, &error)) status = fail(o->command->name, "%s", error.text);
    device_close(&t.device);
    free(t.shape);
    return status;
}

const Command command_tune = {
    .name = "tune",
    .synopsis = "--shape MxNxK[,MxNxK...] [OPTION]...",
    .summary = "measure configurations, and use the best from now on",
    .details =
        "Measures the configurations that 'tilesmith explain' ranks best, in turn with a conservative "
        "baseline\n"
        "(4 warps, 2 stages), and one more where registers suggest it. The fastest is stored, in "
        "tuning.jsonl\n"
        "of $TILESMITH_CACHE_DIR, $XDG_CACHE_HOME/tilesmith or ~/.cache/tilesmith, and ts_linear() uses it\n"
        "for that problem on that device and driver, in every program, until it is tuned again; the baseline\n"
        "is stored where nothing beats it by 2 %.",
    .option = takes,
    .run = run_tune,
};
