/* tune.c: ts_tune(): configurations measured for one problem, and what the measurements say afterwards.
 *
 *     baseline     64x64x64, 4 warps, 2 stages: loaded, and its bursts made
 *     candidates   the best of the ranking, best first, as far as the budget goes; each
 *                    generate, load -> bursts in turn with the baseline's -> row, to report and store
 *     rule         what the registers of the fastest mma kernel say: one config more
 *     winner       the fastest, if it beats the baseline by 2 %, or else the baseline: its row, once more
 *
 * A row of the store counts for a problem, device and driver if its kernel is the text that the generator
 * writes now. The last winner is taken; where none counts any more, or tuning was never finished, the fastest of
 * all rows: speedups against the baseline, taken in turn, are comparable from one session to another; times
 * are not.
 */
#include "dispatch/tune.h"
#include "dispatch/kernels.h"
#include "dispatch/operands.h"
#include "dispatch/packing.h"
#include "dispatch/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEFAULT_TOP = 12, MAX_TOP = 64, DEFAULT_ROUNDS = 7, MAX_ROUNDS = 99, MORE_ROWS = 2, PPM = 1000000 };
static const double default_budget_seconds = 8, least_speedup = 1.02;
static const char measured[] = "ok", won[] = "winner"; /* the status of a row that has times */

/* A config, and the strings of its row. */
typedef struct Trial {
    GenConfig config;
    char name[GEN_MAX_NAME];
    char hash[17];
    char reason[512];
} Trial;

/* What the caller gets is the first field. */
typedef struct Report {
    ts_tune_report shown;
    ts_tune_row row[MAX_TOP + MORE_ROWS];
    Trial trial[MAX_TOP + MORE_ROWS];
    char rule[256], store[512], not_stored[512];
} Report;

typedef struct Tuner {
    ts_context *context;
    const RtSettings *settings;
    ts_tune_options options;
    struct timespec start;
    GenProblem problem;
    char key[RT_MAX_KEY_TEXT];
    RtOperands operands;
    ts_kernel *baseline;
    ts_bursts *baseline_bursts;
    Report *report;
} Tuner;

/* ---- options ---- */

static ts_status read_options(const ts_tune_options *given, ts_tune_options *options)
{
    enum { FIRST_BYTES = RT_BYTES_THROUGH(ts_tune_options, data) };
    *options = ts_tune_options_make();
    ts_status status =
        given ? rt_read_struct(options, sizeof *options, FIRST_BYTES, given, "ts_tune_options") : TS_OK;
    if (status) return status;
    if (!(options->budget_seconds >= 0))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "budget_seconds is %g: it must not be negative",
                       options->budget_seconds);
    if (options->top < 0 || options->top > MAX_TOP)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "top is %d: it must be from 1 to %d", options->top,
                       MAX_TOP);
    if (options->rounds && (options->rounds < 3 || options->rounds > MAX_ROUNDS))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "rounds is %d: it must be from 3 to %d", options->rounds,
                       MAX_ROUNDS);
    if (options->budget_seconds == 0) options->budget_seconds = default_budget_seconds;
    if (!options->top) options->top = DEFAULT_TOP;
    if (!options->rounds) options->rounds = DEFAULT_ROUNDS;
    return TS_OK;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

/* ---- one config ---- */

typedef struct Launch {
    const Tuner *tuner;
    const ts_kernel *kernel;
} Launch;

static ts_status launch(void *data, int64_t i, ts_stream stream)
{
    const Launch *l = data;
    ts_linear_args args = rt_operands_args(&l->tuner->operands, i);
    return ts_kernel_launch(l->kernel, &args, stream);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Bursts in turn with the baseline's. */
static ts_status measure(const Tuner *t, ts_bursts *bursts, ts_tune_row *row)
{
    double us[MAX_ROUNDS], speedup[MAX_ROUNDS];
    int n = t->options.rounds;
    for (int i = 0; i < n; i++) {
        ts_burst base, own;
        ts_status status = ts_bursts_run(t->baseline_bursts, &base);
        if (!status) status = ts_bursts_run(bursts, &own);
        if (status) return status;
        us[i] = own.us;
        speedup[i] = own.us > 0 ? base.us / own.us : 1;
    }
    qsort(us, (size_t)n, sizeof *us, by_size);
    qsort(speedup, (size_t)n, sizeof *speedup, by_size);
    row->us = us[n / 2];
    row->spread = us[n / 2] > 0 ? (us[n - 1] - us[0]) / us[n / 2] : 0;
    row->speedup = speedup[n / 2];
    return TS_OK;
}

static ts_status load(const Tuner *t, Trial *trial, ts_tune_row *row, ts_kernel **kernel)
{
    char *text;
    size_t bytes;
    GenError error = {""};
    *kernel = NULL;
    gen_config_name(&trial->config, trial->name);
    if (!gen_kernel(&trial->config, &text, &bytes, &error))
        return rt_fail(TS_ERROR_UNSUPPORTED, "%s", error.text);
    rt_store_hash(text, bytes, trial->hash);
    ts_status status = ts_kernel_load(t->context, text, bytes, kernel);
    free(text);
    if (status) return status;
    row->registers = (*kernel)->registers;
    row->local_bytes = (*kernel)->local_bytes;
    row->smem_bytes = (*kernel)->header.smem_bytes;
    row->blocks_per_sm = (*kernel)->blocks_per_sm;
    return TS_OK;
}

/* The first sentence is kept, whatever fails later. */
static void store_row(const Tuner *t, const Trial *trial, const ts_tune_row *row, const char *status)
{
    RtRow stored = {
        .driver = t->context->info.driver_version,
        .time_ns = (int64_t)(row->us * 1e3),
        .spread_ppm = (int64_t)(row->spread * PPM),
        .speedup_ppm = (int64_t)(row->speedup * PPM),
        .registers = row->registers,
        .local_bytes = row->local_bytes,
        .smem_bytes = row->smem_bytes,
        .blocks_per_sm = row->blocks_per_sm,
    };
    snprintf(stored.key, sizeof stored.key, "%s", t->key);
    snprintf(stored.config, sizeof stored.config, "%s", trial->name);
    snprintf(stored.kernel, sizeof stored.kernel, "%s", trial->hash);
    snprintf(stored.device, sizeof stored.device, "%s", t->context->info.name);
    snprintf(stored.status, sizeof stored.status, "%s", status);
    const char *directory = t->settings->cache_dir;
    Report *report = t->report;
    if (!directory)
        snprintf(report->not_stored, sizeof report->not_stored,
                 "there is no place for a cache: set cache_dir or HOME");
    else if (rt_store_append(directory, &stored) && !*report->not_stored)
        snprintf(report->not_stored, sizeof report->not_stored, "%s", ts_last_error());
}

/* The row of the trial behind the last; its kernel was loaded and measured, or not, with this status. */
static void add_row(Tuner *t, ts_status status, ts_tune_row row)
{
    Report *report = t->report;
    int i = report->shown.n_rows++;
    Trial *trial = &report->trial[i];
    if (status) snprintf(trial->reason, sizeof trial->reason, "%s", ts_last_error());
    row.config = trial->name;
    row.status = status;
    row.reason = trial->reason;
    report->row[i] = row;
    store_row(t, trial, &row, status ? trial->reason : measured);
    if (status) rt_log(t->settings, "tune %s: %s: %s", t->key, trial->name, trial->reason);
    else
        rt_log(t->settings, "tune %s: %s: %.2f us, %.3f of the baseline's speed", t->key, trial->name, row.us,
               row.speedup);
    if (t->options.progress)
        t->options.progress(t->options.data, &report->row[i], report->shown.n_rows,
                            t->options.top + MORE_ROWS);
}

/* A failure of the driver is one of its context: nothing can be measured after it. */
static bool is_fatal(ts_status status)
{
    return status == TS_ERROR_LAUNCH || status == TS_ERROR_DRIVER || status == TS_ERROR_NO_CONTEXT;
}

static ts_status try_config(Tuner *t, const GenConfig *config)
{
    Trial *trial = &t->report->trial[t->report->shown.n_rows];
    ts_tune_row row = {0};
    ts_kernel *kernel;
    ts_bursts *bursts = NULL;
    trial->config = *config;
    ts_status status = load(t, trial, &row, &kernel);
    Launch l = {t, kernel};
    if (!status) status = ts_bursts_create(t->context, launch, &l, t->operands.sets, &bursts);
    if (!status) status = measure(t, bursts, &row);
    add_row(t, status, row);
    ts_bursts_destroy(bursts);
    ts_kernel_destroy(kernel);
    return is_fatal(status) ? status : TS_OK;
}

/* ---- the steps ---- */

/* Its row is by itself: speedup 1. */
static ts_status begin_baseline(Tuner *t, Launch *l)
{
    Trial *trial = &t->report->trial[0];
    ts_tune_row row = {.speedup = 1};
    GenError error = {""};
    if (!gen_baseline(&t->problem, &trial->config, &error))
        return rt_fail(TS_ERROR_UNSUPPORTED, "%s", error.text);
    ts_status status = load(t, trial, &row, &t->baseline);
    *l = (Launch){t, t->baseline};
    if (!status) status = ts_bursts_create(t->context, launch, l, t->operands.sets, &t->baseline_bursts);
    if (!status) status = measure(t, t->baseline_bursts, &row);
    row.speedup = 1;
    if (!status) add_row(t, status, row);
    return status;
}

static bool tried(const Tuner *t, const GenConfig *config)
{
    char name[GEN_MAX_NAME];
    gen_config_name(config, name);
    for (int i = 0; i < t->report->shown.n_rows; i++)
        if (strcmp(t->report->trial[i].name, name) == 0) return true;
    return false;
}

static bool in_budget(const Tuner *t) { return seconds_since(&t->start) < t->options.budget_seconds; }

/* At least the first is tried. */
static ts_status try_candidates(Tuner *t, const GenCandidate *candidates, int n)
{
    ts_status status = TS_OK;
    for (int i = 0; i < n && !status; i++) {
        if (tried(t, &candidates[i].config)) continue;
        if (i == 0 || in_budget(t)) status = try_config(t, &candidates[i].config);
        else t->report->shown.untried++;
    }
    return status;
}

static int fastest(const Report *report, bool of_mma)
{
    int best = 0;
    for (int i = 1; i < report->shown.n_rows; i++) {
        const ts_tune_row *row = &report->row[i];
        if (row->status || (of_mma && report->trial[i].config.backend != GEN_BACKEND_MMA)) continue;
        if (row->speedup > report->row[best].speedup) best = i;
    }
    return best;
}

/* Another block would find room in shared memory, but not enough registers. */
static bool registers_limit(const Tuner *t, const Trial *trial, const ts_tune_row *row)
{
    const GenArch *arch = t->problem.arch;
    int threads = 32 * trial->config.warps_m * trial->config.warps_n, more = row->blocks_per_sm + 1;
    return row->blocks_per_sm > 0 && more * row->registers * threads > arch->sm_regs &&
           more * (row->smem_bytes + arch->smem_reserved_bytes) <= arch->sm_smem_bytes &&
           more * threads <= 32 * arch->sm_warps;
}

/* Fewer than 96 registers and no spill leave room for 8 warps and 3 stages; more than 128, or registers that
 * keep blocks from an SM, ask for 4 warps and 2 stages. false: they say nothing. */
static bool steer(const Tuner *t, int at, GenConfig *config, const char **finding)
{
    const ts_tune_row *row = &t->report->row[at];
    *config = t->report->trial[at].config;
    bool low = row->registers < 96 && row->local_bytes == 0;
    bool limited = registers_limit(t, &t->report->trial[at], row);
    *finding = low                    ? "fewer than 96 registers, no spill"
               : row->registers > 128 ? "more than 128 registers"
               : limited              ? "registers limit the blocks of an SM"
                                      : "from 96 to 128 registers";
    config->warps_m = low && config->tile_m > config->tile_n ? 4 : 2;
    config->warps_n = (low ? 8 : 4) / config->warps_m;
    config->stages = low ? 3 : 2;
    return low || row->registers > 128 || limited;
}

static ts_status try_rule(Tuner *t)
{
    Report *report = t->report;
    GenConfig config;
    GenError error = {""};
    const char *finding, *deed;
    ts_status status = TS_OK;
    int at = fastest(report, true);
    bool fires = steer(t, at, &config, &finding);
    if (!fires) deed = "nothing more to try";
    else if (!gen_config_check(&config, &error)) deed = "what that asks for cannot work";
    else if (tried(t, &config)) deed = "what that asks for is among the rows";
    else if (!in_budget(t)) deed = "no time was left to try what that asks for", report->shown.untried++;
    else deed = "the last row is what that asks for", status = try_config(t, &config);
    snprintf(report->rule, sizeof report->rule, "%s: %d registers, %d B spilled, %d blocks an SM: %s: %s",
             at ? "the fastest mma kernel" : "the baseline", report->row[at].registers,
             report->row[at].local_bytes, report->row[at].blocks_per_sm, finding, deed);
    return status;
}

static ts_status run(Tuner *t, const ts_linear_args *args)
{
    GenCandidate candidates[MAX_TOP];
    GenError error = {""};
    Launch l;
    int n = gen_rank(&t->problem, candidates, t->options.top, &error);
    if (!n) return rt_fail(TS_ERROR_UNSUPPORTED, "no kernel for this problem: %s", error.text);
    ts_status status = rt_operands_create(&t->operands, t->context, args);
    if (!status) status = begin_baseline(t, &l);
    if (!status) status = try_candidates(t, candidates, n);
    return status ? status : try_rule(t);
}

static void finish(Tuner *t, GenConfig *winner)
{
    Report *report = t->report;
    int best = fastest(report, false);
    report->shown.winner = report->row[best].speedup >= least_speedup ? best : 0;
    report->shown.seconds = seconds_since(&t->start);
    const Trial *trial = &report->trial[report->shown.winner];
    store_row(t, trial, &report->row[report->shown.winner], won);
    if (t->settings->cache_dir)
        snprintf(report->store, sizeof report->store, "%s/%s", t->settings->cache_dir, rt_store_file);
    *winner = trial->config;
    rt_log(t->settings, "tune %s: %s wins after %.1f s", t->key, trial->name, report->shown.seconds);
}

/* The epilogue's r, if the caller did not say what it is like. */
static ts_status complete_args(const GenProblem *problem, ts_linear_args *args)
{
    GenExpr epilogue;
    GenError error;
    if (!gen_expr_parse(problem->epilogue ? problem->epilogue : GEN_DEFAULT_EPILOGUE, &epilogue, &error))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s", error.text);
    if (epilogue.uses_r && !args->r.dtype) args->r = ts_matrix_make(0, args->n, args->y.dtype);
    return TS_OK;
}

static Report *make_report(void)
{
    Report *report = calloc(1, sizeof *report);
    if (!report) return NULL;
    report->shown.rows = report->row;
    report->shown.rule = report->rule;
    report->shown.store = report->store;
    report->shown.not_stored = report->not_stored;
    return report;
}

ts_status rt_tune(ts_context *context, const RtSettings *settings, const ts_linear_args *args,
                  const ts_tune_options *options, GenConfig *winner, ts_tune_report **report)
{
    Tuner t = {.context = context, .settings = settings, .report = make_report()};
    ts_linear_args complete = *args;
    *report = NULL;
    clock_gettime(CLOCK_MONOTONIC, &t.start);
    ts_status status = t.report ? read_options(options, &t.options)
                                : rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for the report of tuning");
    t.problem = rt_problem_of(context, settings->arch, args);
    t.problem.workspace_bytes = 0; /* what is found serves calls without one too */
    if (!status) status = complete_args(&t.problem, &complete);
    if (!status) {
        rt_problem_text(&t.problem, t.key);
        status = run(&t, &complete);
    }
    ts_bursts_destroy(t.baseline_bursts);
    ts_kernel_destroy(t.baseline);
    rt_operands_free(&t.operands);
    if (status) free(t.report);
    else finish(&t, winner), *report = &t.report->shown;
    return status;
}

/* ---- what was measured before ---- */

typedef struct Search {
    const ts_context *context;
    GenConfig *config;
    int64_t speedup_ppm; /* of *config; 0: none yet, WINNER: it is one */
} Search;
#define WINNER INT64_MAX

static bool is_current(const RtRow *row, GenConfig *config)
{
    char *text, hash[17];
    size_t bytes;
    GenError error;
    if (!gen_config_parse(row->config, config, &error) || !gen_kernel(config, &text, &bytes, &error))
        return false;
    rt_store_hash(text, bytes, hash);
    free(text);
    return strcmp(hash, row->kernel) == 0;
}

/* 0: it has no say. The baseline's speedup is 1: a row that beats it by less counts for less than it. */
static int64_t weight(const RtRow *row)
{
    bool is_baseline = row->speedup_ppm == PPM, faster = row->speedup_ppm >= (int64_t)(least_speedup * PPM);
    if (strcmp(row->status, won) == 0) return WINNER;
    return strcmp(row->status, measured) == 0 && (is_baseline || faster) ? row->speedup_ppm : 0;
}

static void consider(void *data, const RtRow *row)
{
    Search *s = data;
    GenConfig config;
    int64_t speedup_ppm = weight(row);
    bool here = strcmp(row->device, s->context->info.name) == 0 &&
                row->driver == s->context->info.driver_version,
         better = speedup_ppm > s->speedup_ppm || speedup_ppm == WINNER;
    if (!here || !better || !is_current(row, &config)) return;
    *s->config = config;
    s->speedup_ppm = speedup_ppm;
}

bool rt_tuned(const ts_context *context, const RtSettings *settings, const GenProblem *problem,
              GenConfig *config)
{
    char key[RT_MAX_KEY_TEXT];
    Search s = {.context = context, .config = config};
    if (!settings->cache_dir) return false;
    RtSentence sentence = rt_sentence(); /* a store that cannot be read is no failure of the call */
    rt_problem_text(problem, key);
    if (rt_store_read(settings->cache_dir, key, consider, &s)) rt_log(settings, "%s", ts_last_error());
    rt_sentence_restore(&sentence);
    return s.speedup_ppm > 0;
}

/* ---- ---- */

static ts_status check_tunable(const RtSettings *settings, const char *pinned)
{
    if (settings->tuning == TS_TUNING_OFF)
        return rt_fail(TS_ERROR_UNSUPPORTED,
                       "tuning is off, by the context's options or TILESMITH_DISABLE_TUNING: turn it on");
    if (pinned)
        return rt_fail(TS_ERROR_UNSUPPORTED,
                       "the configuration %s is pinned for every problem: unpin it to tune", pinned);
    return TS_OK;
}

ts_status ts_tune(ts_context *context, const ts_linear_args *args, const ts_tune_options *options,
                  ts_tune_report **report)
{
    ts_linear_args copy, packed;
    RtPacking packing;
    const RtSettings *settings;
    const char *pinned;
    GenConfig winner;
    ts_tune_report *made;
    if (report) *report = NULL;
    ts_status status = rt_problem_read(context, &args, &copy);
    if (!status && rt_problem_is_empty(args))
        status = rt_fail(TS_ERROR_INVALID_ARGUMENT, "m or n is 0: there is nothing to tune");
    if (!status) status = rt_kernels_settings(context, &settings);
    if (!status) status = rt_kernels_pinned(context, &pinned);
    if (!status) status = check_tunable(settings, pinned);
    if (!status) status = rt_packing_use(context, args, &packing);
    if (status) return status;
    packed = rt_packing_args(args, &packing);
    status = rt_tune(context, settings, &packed, options, &winner, &made);
    if (!status) status = rt_kernels_replace(context, &packed, &winner);
    if (!status && report) *report = made;
    else if (!status) ts_tune_report_free(made);
    return status;
}

void ts_tune_report_free(ts_tune_report *report) { free(report); }
