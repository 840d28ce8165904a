/* tune.c: tuning on the emulator: what is measured, what is used afterwards, by whom, and what settings say.
 * Times there mean nothing; what is done with them does.
 */
#include "runtime/tilesmith.h"
#include "tests/emu_driver.h"
#include "tests/refused.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char root[] = "/tmp/tilesmith-tune-XXXXXX";
static char place[256], file[300];

static void fresh_place(void)
{
    static int count;
    snprintf(place, sizeof place, "%s/%d", root, ++count);
    snprintf(file, sizeof file, "%s/tuning.jsonl", place);
}

static ts_context_options settings(void)
{
    ts_context_options options = ts_context_options_make();
    options.driver_library = emulator_path();
    options.cache_dir = place;
    return options;
}

static ts_context *open_context(const ts_context_options *options)
{
    ts_context *context;
    if (ts_context_create(options, &context)) printf("Bail out! %s\n", ts_last_error()), exit(1);
    return context;
}

static ts_context *usual_context(void)
{
    ts_context_options options = settings();
    return open_context(&options);
}

static ts_linear_args problem(int64_t m, int64_t n, int64_t k)
{
    ts_linear_args args = ts_linear_args_make();
    args.m = m, args.n = n, args.k = k, args.s = 2;
    args.x = ts_matrix_make(0, k, TS_F16);
    args.w = ts_matrix_make(0, k, TS_F16);
    args.y = ts_matrix_make(0, n, TS_F16);
    args.bias_dtype = TS_F16;
    return args;
}

static ts_tune_options quick(void)
{
    ts_tune_options options = ts_tune_options_make();
    options.top = 2, options.rounds = 3, options.budget_seconds = 100;
    return options;
}

/* The config of the kernel that ts_linear() would use. */
static const char *used(ts_context *context, const ts_linear_args *args)
{
    const ts_kernel *kernel;
    ts_kernel_info info = {.struct_size = sizeof info};
    if (ts_linear_prepare(context, args, &kernel) || ts_kernel_get_info(kernel, &info))
        return ts_last_error();
    return info.config;
}

static int lines_of(const char *path, const char *words)
{
    char line[20000];
    int n = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) n += strstr(line, words) != NULL;
    if (f) fclose(f);
    return n;
}

/* Every row of the file with `from` replaced, in place of the file. */
static void edit_store(const char *from, const char *to)
{
    char command[1000];
    snprintf(command, sizeof command, "sed -i 's/%s/%s/' '%s'", from, to, file);
    if (system(command)) printf("Bail out! %s\n", command), exit(1);
}

/* ---- measuring ---- */

static int n_told;

static void told(void *data, const ts_tune_row *row, int32_t done, int32_t most)
{
    n_told += data == &n_told && done == n_told + 1 && done <= most && row->config;
}

static void test_report(void)
{
    fresh_place();
    ts_context *context = usual_context(), *other;
    ts_linear_args args = problem(40, 48, 64);
    ts_tune_options options = quick();
    ts_tune_report *report;
    options.progress = told, options.data = &n_told;
    ok(ts_tune(context, &args, &options, &report) == TS_OK, "a problem is tuned: %s", ts_last_error());
    ok(report->n_rows >= 3 && report->n_rows <= 4 && n_told == report->n_rows, "rows: %d, told: %d",
       report->n_rows, n_told);
    is_str(report->rows[0].config, "mma_sm89_f16_64x64x64_w2x2_s2", "the first is the baseline");
    ok(report->rows[0].speedup == 1, "its speedup is 1");
    for (int i = 0; i < report->n_rows; i++) {
        const ts_tune_row *row = &report->rows[i];
        ok(row->status == TS_OK && row->us > 0 && row->spread >= 0 && row->speedup > 0 &&
               row->registers > 0 && row->smem_bytes > 0 && row->blocks_per_sm > 0,
           "%s: %.0f us, %.2f times the baseline's speed", row->config, row->us, row->speedup);
        ok(lines_of(file, row->config) == 1 + (i == report->winner), "and stored");
    }
    const ts_tune_row *winner = &report->rows[report->winner];
    ok(report->winner == 0 || winner->speedup >= 1.02, "the winner beats the baseline by 2 %%, or is it");
    ok(strstr(report->rule, "registers") != NULL, "the rule: %s", report->rule);
    is_str(report->not_stored, "", "all is stored");
    is_str(report->store, file, "where it says");
    is_str(used(context, &args), winner->config, "the winner is used here");
    other = usual_context();
    is_str(used(other, &args), winner->config, "and by who comes later");
    ts_context_destroy(other);
    ts_tune_report_free(report);
    ts_context_destroy(context);
}

/* The config that whoever comes now would use. */
static const char *used_by_others(const ts_linear_args *args, char config[200])
{
    ts_context *context = usual_context();
    snprintf(config, 200, "%s", used(context, args));
    ts_context_destroy(context);
    return config;
}

/* One more row of a config that was measured, as that was but for these. */
static void add_row(const char *config, const char *status, long long speedup_ppm)
{
    char command[2000];
    snprintf(command, sizeof command,
             "sed -n '/\"config\":\"%s\"/{s/\"status\":\"[^\"]*/\"status\":\"%s/; "
             "s/\"speedup_ppm\":[0-9]*/\"speedup_ppm\":%lld/; p; q}' '%s' >> '%s'",
             config, status, speedup_ppm, file, file);
    if (system(command)) printf("Bail out! %s\n", command), exit(1);
}

static const char baseline[] = "mma_sm89_f16_64x64x64_w2x2_s2";

/* What was measured counts on that device, with that driver, for that problem; and the last winner before all
 * other rows. */
static void test_where_it_counts(void)
{
    fresh_place();
    ts_linear_args args = problem(40, 48, 64), wider = problem(40, 48, 72), unaligned = problem(40, 48, 64),
                   other_bias = problem(40, 48, 64);
    unaligned.x.data = 0x1002;
    other_bias.bias_dtype = TS_F32;
    ts_tune_options options = quick();
    char ranked[200], now[200], as_ranked[3][200];
    used_by_others(&args, ranked);
    used_by_others(&wider, as_ranked[0]);
    used_by_others(&unaligned, as_ranked[1]);
    used_by_others(&other_bias, as_ranked[2]);
    ts_context *context = usual_context();
    ok(ts_tune(context, &args, &options, NULL) == TS_OK, "tuned: %s", ts_last_error());
    ts_context_destroy(context);
    ok(strcmp(ranked, baseline) != 0, "the baseline is not ranked first, but %s", ranked);
    add_row(baseline, "winner", 1000000);
    is_str(used_by_others(&args, now), baseline, "the last winner is used");
    is_str(used_by_others(&wider, now), as_ranked[0], "not for another k");
    is_str(used_by_others(&unaligned, now), as_ranked[1], "nor for another alignment");
    is_str(used_by_others(&other_bias, now), as_ranked[2], "nor another type of the bias");
    add_row(baseline, "ok", 9000000);
    add_row(ranked, "ok", 99000000);
    is_str(used_by_others(&args, now), baseline, "whatever was measured and did not win");
    edit_store("\"device\":\"tilesmith", "\"device\":\"another");
    is_str(used_by_others(&args, now), ranked, "not on another device");
    edit_store("\"device\":\"another", "\"device\":\"tilesmith");
    edit_store("\"driver\":", "\"driver\":1");
    is_str(used_by_others(&args, now), ranked, "nor with another driver");
}

/* Of tuning that was not finished, rows that say what is not so any more, or what is not faster, have no say.
 */
static void test_rows_that_count(void)
{
    fresh_place();
    ts_context *context;
    ts_linear_args args = problem(40, 48, 64);
    ts_tune_options options = quick();
    char ranked[200];
    used_by_others(&args, ranked);
    context = usual_context();
    ok(ts_tune(context, &args, &options, NULL) == TS_OK, "tuned, and nobody reads the report: %s",
       ts_last_error());
    ts_context_destroy(context);
    edit_store("\"status\":\"winner\"", "\"status\":\"interrupted\"");

    edit_store("\"speedup_ppm\":[0-9]*", "\"speedup_ppm\":1019000");
    context = usual_context();
    is_str(used(context, &args), ranked, "rows that beat nothing by 2 %%, and no baseline: the ranking");
    ts_context_destroy(context);

    edit_store("\\(64x64x64_w2x2_s2.*\\)\"speedup_ppm\":[0-9]*", "\\1\"speedup_ppm\":1000000");
    context = usual_context();
    is_str(used(context, &args), "mma_sm89_f16_64x64x64_w2x2_s2",
           "with the baseline among them: the baseline");
    ts_context_destroy(context);

    edit_store("\"speedup_ppm\":1019000", "\"speedup_ppm\":1020000");
    context = usual_context();
    ok(strcmp(used(context, &args), "mma_sm89_f16_64x64x64_w2x2_s2") != 0, "2 %% faster: another, %s",
       used(context, &args));
    ts_context_destroy(context);

    edit_store("\"status\":\"ok\"", "\"status\":\"failed\"");
    context = usual_context();
    is_str(used(context, &args), ranked, "failures: the ranking");
    ts_context_destroy(context);

    edit_store("\"status\":\"failed\"", "\"status\":\"ok\"");
    edit_store("\"kernel\":\"[0-9a-f]*", "\"kernel\":\"0123456789abcdef");
    context = usual_context();
    is_str(used(context, &args), ranked, "another kernel by that name: the ranking");
    ts_context_destroy(context);
}

/* Offset addresses, strides, an epilogue with r, another type: each is measured as it is. */
static void test_problems(void)
{
    fresh_place();
    ts_context *context = usual_context();
    ts_tune_options options = quick();
    ts_tune_report *report;
    options.top = 1;
    ts_linear_args args = problem(33, 40, 33);
    args.x.data = 0x1002, args.y.row_stride = 47;
    args.epilogue = "gelu(z)+r";
    ok(ts_tune(context, &args, &options, &report) == TS_OK, "odd rows, an offset, r: %s", ts_last_error());
    ok(report->rows[1].status == TS_OK && strstr(report->rows[1].config, "vx2"), "%s",
       report->rows[1].config);
    ts_tune_report_free(report);
    ok(lines_of(file, "y = gelu(z) + r") >= 2, "the key has the epilogue in one spelling");
    args = problem(40, 32, 64);
    args.x = ts_matrix_make(0, 1, TS_F16), args.x.col_stride = 40;
    ok(ts_tune(context, &args, &options, NULL) == TS_OK, "x by columns: %s", ts_last_error());
    args = problem(40, 32, 64);
    args.x.dtype = args.y.dtype = TS_F32;
    ok(ts_tune(context, &args, &options, NULL) == TS_OK, "x and y of f32: %s", ts_last_error());
    args = problem(40, 32, 0);
    ok(ts_tune(context, &args, &options, NULL) == TS_OK, "k = 0: %s", ts_last_error());
    ts_context_destroy(context);
}

static void test_refusals(void)
{
    fresh_place();
    ts_context *context = usual_context();
    ts_linear_args args = problem(8, 8, 8);
    ts_tune_report *report = (ts_tune_report *)&args;
    ts_tune_options options = ts_tune_options_make();
    refused(ts_tune(NULL, &args, NULL, &report), TS_ERROR_INVALID_ARGUMENT, "context is null");
    ok(report == NULL, "no report then");
    refused(ts_tune(context, NULL, NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "args is null");
    args.m = 0;
    refused(ts_tune(context, &args, NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "nothing to tune");
    args = problem(8, 8, 8);
    options.struct_size = 3;
    refused(ts_tune(context, &args, &options, NULL), TS_ERROR_INVALID_ARGUMENT, "struct_size is 3");
    options = ts_tune_options_make(), options.budget_seconds = -1;
    refused(ts_tune(context, &args, &options, NULL), TS_ERROR_INVALID_ARGUMENT, "budget_seconds is -1");
    options = ts_tune_options_make(), options.top = 65;
    refused(ts_tune(context, &args, &options, NULL), TS_ERROR_INVALID_ARGUMENT, "top is 65");
    options = ts_tune_options_make(), options.rounds = 2;
    refused(ts_tune(context, &args, &options, NULL), TS_ERROR_INVALID_ARGUMENT, "rounds is 2");
    args.epilogue = "z + q";
    refused(ts_tune(context, &args, NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "at character 5");
    args = problem(8, 8, 8);
    args.x.row_stride = INT64_MAX / 4;
    refused(ts_tune(context, &args, NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "cannot be addressed");
    args = problem(8, 8, 8);
    ok(ts_context_set_config(context, "mma_sm89_f16_64x64x32_w2x2_s3") == TS_OK, "pinned");
    refused(ts_tune(context, &args, NULL, NULL), TS_ERROR_UNSUPPORTED, "is pinned for every problem");
    ts_tune_report_free(NULL);
    ts_context_destroy(context);
}

/* A budget that is over at once leaves the first of the ranking, and says how many it left out. */
static void test_budget(void)
{
    fresh_place();
    ts_context *context = usual_context();
    ts_linear_args args = problem(40, 48, 64);
    ts_tune_options options = ts_tune_options_make();
    ts_tune_report *report;
    options.rounds = 3, options.budget_seconds = 1e-9;
    ok(ts_tune(context, &args, &options, &report) == TS_OK && report->n_rows == 2, "two rows: %s",
       ts_last_error());
    ok(report->untried >= 10, "and %d untried", report->untried);
    ts_tune_report_free(report);
    ts_context_destroy(context);
}

/* ---- settings ---- */

static void test_arch(void)
{
    static const char *const bad[] = {"sm_75", "sm_120", "ampere"};
    ts_linear_args args = problem(40, 48, 64);
    fresh_place();
    setenv("TILESMITH_ARCH", "sm_80", 1);
    ts_context *context = usual_context();
    ok(strncmp(used(context, &args), "mma_sm80_", 9) == 0, "kernels of another arch, by the environment: %s",
       used(context, &args));
    ts_context_destroy(context);
    for (int i = 0; i < 3; i++) {
        setenv("TILESMITH_ARCH", bad[i], 1);
        context = usual_context();
        refused(ts_linear_prepare(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT,
                "name an arch whose kernels run on");
        ts_context_destroy(context);
    }
    unsetenv("TILESMITH_ARCH");
}

static void test_off(void)
{
    fresh_place();
    ts_context_options options = settings();
    ts_context *context = usual_context();
    ts_linear_args args = problem(40, 48, 64);
    ts_tune_options quickly = quick();
    ok(ts_tune(context, &args, &quickly, NULL) == TS_OK, "tuned");
    edit_store("\\(s2.*\\)\"speedup_ppm\":[0-9]*", "\\1\"speedup_ppm\":9000000");
    edit_store("\"speedup_ppm\":[1-8][0-9]*", "\"speedup_ppm\":1000001");
    ts_context_destroy(context);
    context = usual_context();
    char tuned[200], ranked[200];
    snprintf(tuned, sizeof tuned, "%s", used(context, &args));
    ts_context_destroy(context);

    options.tuning = TS_TUNING_OFF;
    context = open_context(&options);
    snprintf(ranked, sizeof ranked, "%s", used(context, &args));
    ok(strcmp(tuned, ranked) != 0, "off: what was stored is not used: %s, not %s", ranked, tuned);
    refused(ts_tune(context, &args, NULL, NULL), TS_ERROR_UNSUPPORTED, "tuning is off");
    ts_context_destroy(context);

    setenv("TILESMITH_DISABLE_TUNING", "1", 1);
    context = usual_context();
    is_str(used(context, &args), ranked, "off by the environment");
    ts_context_destroy(context);
    options.tuning = TS_TUNING_STORED;
    context = open_context(&options);
    is_str(used(context, &args), tuned, "options win over the environment");
    ts_context_destroy(context);
    setenv("TILESMITH_DISABLE_TUNING", "perhaps", 1);
    context = usual_context();
    refused(ts_linear_prepare(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT,
            "TILESMITH_DISABLE_TUNING is 'perhaps'");
    ts_context_destroy(context);
    unsetenv("TILESMITH_DISABLE_TUNING");

    options.tuning = (ts_tuning)9;
    refused(ts_context_create(&options, &context), TS_ERROR_INVALID_ARGUMENT, "tuning is 9");
}

static void test_pin_by_environment(void)
{
    const char *name = "mma_sm89_f16_64x64x32_w2x2_s3";
    fresh_place();
    ts_linear_args args = problem(40, 48, 64);
    setenv("TILESMITH_CONFIG", name, 1);
    ts_context *context = usual_context();
    is_str(used(context, &args), name, "TILESMITH_CONFIG pins");
    ok(ts_context_set_config(context, NULL) == TS_OK && strcmp(used(context, &args), name) != 0,
       "the context unpins: %s", used(context, &args));
    ts_context_destroy(context);
    setenv("TILESMITH_CONFIG", "mma_of_dreams", 1);
    context = usual_context();
    refused(ts_linear_prepare(context, &args, NULL), TS_ERROR_INVALID_ARGUMENT, "TILESMITH_CONFIG: ");
    ts_context_destroy(context);
    unsetenv("TILESMITH_CONFIG");
}

static void test_log(void)
{
    fresh_place();
    char log[300];
    snprintf(log, sizeof log, "%s.log", place);
    setenv("TILESMITH_LOG", log, 1);
    ts_context *context = usual_context();
    ts_linear_args args = problem(40, 48, 64);
    ts_tune_options options = quick();
    used(context, &args);
    ok(lines_of(log, "40x48x64: mma_") == 1 && lines_of(log, "ranked first") == 1,
       "a choice is a line of the log");
    ok(ts_tune(context, &args, &options, NULL) == TS_OK && lines_of(log, "tilesmith: tune 40x48x64") >= 4,
       "so is a measurement");
    ts_context_destroy(context);
    context = usual_context();
    used(context, &args);
    ok(lines_of(log, ", tuned") == 1, "and where a choice comes from");
    ts_context_destroy(context);
    unsetenv("TILESMITH_LOG");
    ts_context_options bad = settings();
    bad.log = "/no/such/place";
    context = open_context(&bad);
    refused(ts_linear_prepare(context, &args, NULL), TS_ERROR_IO, "the log /no/such/place cannot be opened");
    ts_context_destroy(context);
}

/* Where nothing can be stored, the process that measured uses what it found. */
static void test_no_store(void)
{
    ts_context_options options = settings();
    options.cache_dir = "/proc/self/tilesmith";
    ts_context *context = open_context(&options);
    ts_linear_args args = problem(40, 48, 64);
    ts_tune_options quickly = quick();
    ts_tune_report *report;
    ok(ts_tune(context, &args, &quickly, &report) == TS_OK, "a place where nothing can be stored: %s",
       ts_last_error());
    ok(strstr(report->not_stored, "cannot be made") != NULL, "is said: %s", report->not_stored);
    is_str(used(context, &args), report->rows[report->winner].config, "the winner is used all the same");
    ts_tune_report_free(report);
    ts_context_destroy(context);

    fresh_place();
    ok(mkdir(place, 0700) == 0 && mkdir(file, 0700) == 0, "a store that cannot be read");
    context = usual_context();
    refused(ts_linear_prepare(context, NULL, NULL), TS_ERROR_INVALID_ARGUMENT, "args is null");
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK && strstr(ts_last_error(), "args is null"),
       "is no failure, and the last one's sentence stays: %s", ts_last_error());
    ts_context_destroy(context);
}

static void test_ahead(void)
{
    fresh_place();
    ts_context_options options = settings();
    options.tuning = TS_TUNING_AHEAD;
    ts_context *context = open_context(&options);
    ts_linear_args args = problem(8, 16, 16);
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK, "preparing measures: %s", ts_last_error());
    int rows = lines_of(file, "8x16x16");
    ok(rows >= 2, "%d rows", rows);
    ts_context_destroy(context);
    context = open_context(&options);
    ok(ts_linear_prepare(context, &args, NULL) == TS_OK && lines_of(file, "8x16x16") == rows, "once");
    ts_context_destroy(context);
}

/* ---- processes ---- */

static pid_t start_tuner(void)
{
    pid_t pid = fork();
    if (pid) return pid;
    ts_context_options options = settings();
    ts_context *context;
    ts_linear_args args = problem(24, 32, 48);
    ts_tune_options quickly = quick();
    quickly.rounds = 15;
    bool good = !ts_context_create(&options, &context) && !ts_tune(context, &args, &quickly, NULL);
    _exit(!good);
}

/* Called before anything else has threads. */
static void test_two_processes(void)
{
    fresh_place();
    pid_t killed = start_tuner(), other = start_tuner();
    const struct timespec some = {.tv_nsec = 150000000};
    int status = 1;
    nanosleep(&some, NULL);
    kill(killed, SIGKILL);
    waitpid(killed, NULL, 0);
    waitpid(other, &status, 0);
    ok(status == 0 && lines_of(file, "24x32x48") >= 3,
       "two processes tune one store, one is killed, the other ends well");
    ts_context *context = usual_context();
    ts_linear_args args = problem(24, 32, 48);
    const char *config = used(context, &args);
    ok(lines_of(file, config) >= 1, "a third uses what it stored: %s", config);
    ts_context_destroy(context);
}

int main(void)
{
    char command[300];
    if (!mkdtemp(root)) return 1;
    test_two_processes();
    test_report();
    test_where_it_counts();
    test_rows_that_count();
    test_problems();
    test_refusals();
    test_budget();
    test_off();
    test_arch();
    test_pin_by_environment();
    test_log();
    test_no_store();
    test_ahead();
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    if (system(command)) note("%s could not be removed", root);
    return done();
}
