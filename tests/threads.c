/* threads.c: eight threads on streams of their own call one context at once, whose kernels are loaded by
 * whoever comes first: every y must have the bits that it had when one thread alone had made and verified it.
 *
 * On a GPU for 5 seconds, or TILESMITH_SECONDS; in the emulator for one.
 */
#include "cli/device.h"
#include "cli/shape.h"
#include "tests/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { N_THREADS = 8, N_JOBS = 6, CALLS = 4 };

static const Shape shapes[N_JOBS] = {{17, 40, 72}, {64, 64, 64},  {33, 35, 37},
                                     {1, 96, 200}, {130, 48, 16}, {9, 8, 0}};
static const char *const epilogues[N_JOBS] = {NULL, "relu(z)", NULL, "gelu(z)", "tanh(z) * s", NULL};

/* A problem that was verified. */
typedef struct Job {
    Problem problem;
    Matrix first;
    ts_linear_args args;
} Job;

typedef struct Worker {
    ts_context *context;
    const Job *jobs;
    double seconds;
    int number;
    long calls, wrong;
    Error why;
} Worker;

static bool verify_alone(ts_context *context, Job *job, Shape shape, const char *epilogue, Error *why)
{
    Problem *p = &job->problem;
    ts_linear_args ahead = shape_arguments(shape, TS_F16, epilogue);
    *p = (Problem){.context = context, .shape = shape, .s = 2};
    if (!device_check(ts_linear_prepare(context, &ahead, &p->kernel), why) ||
        !kit_verify(p, &job->first, why))
        return false;
    job->args = problem_arguments(p);
    job->args.epilogue = epilogue;
    return true;
}

/* Some calls on one problem, into a y of the thread's own, poisoned before. */
static bool call_some(Worker *w, const Job *job, ts_stream stream, ts_device_ptr y, void *host)
{
    size_t bytes = matrix_bytes(&job->first);
    ts_linear_args args = job->args;
    args.y.data = y;
    if (!device_check(ts_fill(w->context, y, MATRIX_POISON, bytes), &w->why)) return false;
    for (int i = 0; i < CALLS; i++)
        if (!device_check(ts_linear(w->context, &args, stream), &w->why)) return false;
    w->calls += CALLS;
    if (!device_check(ts_stream_synchronize(w->context, stream), &w->why) ||
        !device_check(ts_copy_to_host(w->context, host, y, bytes), &w->why))
        return false;
    w->wrong += memcmp(host, job->first.data, bytes) != 0;
    return true;
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Each begins with another problem, and meets all. */
static void *work(void *data)
{
    Worker *w = data;
    ts_stream stream = NULL;
    ts_device_ptr y = 0;
    size_t most = 0;
    for (int i = 0; i < N_JOBS; i++)
        if (matrix_bytes(&w->jobs[i].first) > most) most = matrix_bytes(&w->jobs[i].first);
    void *host = malloc(most);
    double end = now_seconds() + w->seconds;
    bool good = host && device_check(ts_stream_create(w->context, &stream), &w->why) &&
                device_check(ts_malloc(w->context, most, &y), &w->why);
    for (int i = 0; good && (i < N_JOBS || now_seconds() < end); i++)
        good = call_some(w, &w->jobs[(w->number + i) % N_JOBS], stream, y, host);
    ts_free(w->context, y);
    ts_stream_destroy(w->context, stream);
    free(host);
    return NULL;
}

static void test_threads(const Job *jobs, double seconds)
{
    pthread_t thread[N_THREADS];
    Worker worker[N_THREADS];
    ts_context *fresh = kit_context("90"); /* nothing is loaded in it */
    long calls = 0;
    if (!fresh) return;
    for (int i = 0; i < N_THREADS; i++) {
        worker[i] = (Worker){.context = fresh, .jobs = jobs, .seconds = seconds, .number = i};
        if (pthread_create(&thread[i], NULL, work, &worker[i])) printf("Bail out! no thread\n"), exit(1);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(thread[i], NULL);
        ok(!*worker[i].why.text && worker[i].wrong == 0 && worker[i].calls > 0,
           "thread %d: %ld calls, %ld wrong%s", i, worker[i].calls, worker[i].wrong, worker[i].why.text);
        calls += worker[i].calls;
    }
    note("%ld calls in %.0f s", calls, seconds);
    ts_context_destroy(fresh);
}

int main(void)
{
    const char *wanted = getenv("TILESMITH_SECONDS");
    double seconds = wanted ? atof(wanted) : kit_on_gpu() ? 5 : 1;
    ts_context *context = kit_context("90");
    static Job jobs[N_JOBS];
    Error why = {""};
    if (!context) return 1;
    bool good = true;
    for (int i = 0; i < N_JOBS; i++)
        good = ok(verify_alone(context, &jobs[i], shapes[i], epilogues[i], &why), "problem %d is right%s", i,
                  why.text) &&
               good;
    if (good) test_threads(jobs, seconds);
    for (int i = 0; i < N_JOBS; i++) {
        problem_free(&jobs[i].problem);
        matrix_free(&jobs[i].first);
    }
    ts_context_destroy(context);
    return done();
}
