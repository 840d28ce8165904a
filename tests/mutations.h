/* mutations.h: faults put into a kernel's text must not pass: the emulator traps, or the result is wrong.
 * A race need not show under every schedule: it must under one of 8, and the control, the same kernel without
 * a fault, passes under all of them. An emulated
 * device is of one kind in a process, so each kind has a test of its own. */
#ifndef TESTS_MUTATIONS_H
#define TESTS_MUTATIONS_H

#include "tests/kit.h"
#include "tests/mutate.h"

enum { N_SHAPES = 3, N_SEEDS = 8 };

typedef struct Subject {
    const char *config, *sm; /* sm: of the emulated device */
    const char *budget;      /* instructions of a block, where a fault may make it wait for ever; NULL: the usual */
    Shape shapes[N_SHAPES];
    const Mutation *mutations;
    int n_mutations;
} Subject;

/* Shapes for a kernel whose blocks have a tile each. */
#define ODD_SHAPES {{67, 75, 260}, {129, 127, 65}, {300, 200, 500}}

/* Runs a kernel's text in a context of its own: a trap spoils a context. */
static inline bool passes(const Subject *subject, const char *text, const char *seed, Error *why)
{
    Verdict v;
    bool good = true;
    setenv("TILESMITH_EMU_SEED", seed, 1);
    for (int i = 0; i < N_SHAPES && good; i++) {
        ts_kernel *kernel = NULL;
        ts_context *context = kit_context(subject->sm);
        good = context && ts_kernel_load(context, text, strlen(text), &kernel) == TS_OK;
        if (!good) refuse(why, "%s", ts_last_error());
        good = good && kit_run(context, kernel, kit_shape(kernel, subject->shapes[i]), false, &v, why);
        ts_kernel_destroy(kernel);
        ts_context_destroy(context);
    }
    return good;
}

static const char *const schedule_seeds[N_SEEDS] = {"1", "2", "3", "4", "5", "6", "7", "8"};

static inline void test_control(const Subject *subject, const char *text)
{
    for (int i = 0; i < N_SEEDS; i++) {
        Error why = {""};
        ok(passes(subject, text, schedule_seeds[i], &why), "%s without a fault, seed %s: right%s%s",
           subject->config, schedule_seeds[i], why.text[0] ? ": " : "", why.text);
    }
}

static inline void test_mutation(const Subject *subject, const char *text, const Mutation *mutation)
{
    Error why = {""};
    bool passed = true;
    char *mutant = mutate(text, mutation);
    if (!ok(mutant != NULL, "there is what this changes: %s", mutation->what)) return;
    for (int i = 0; i < N_SEEDS && passed; i++) passed = passes(subject, mutant, schedule_seeds[i], &why);
    ok(!passed, "caught: %s", mutation->what);
    note("%s", why.text);
    free(mutant);
}

/* The kernel passes as it is, under several schedules, and with none of the mutations. */
static inline void test_subject(const Subject *subject)
{
    char *text;
    size_t bytes;
    if (!ok(ts_generate(subject->config, &text, &bytes) == TS_OK, "%s", subject->config)) return;
    if (subject->budget) setenv("TILESMITH_EMU_BUDGET", subject->budget, 1);
    test_control(subject, text);
    for (int i = 0; i < subject->n_mutations; i++) test_mutation(subject, text, &subject->mutations[i]);
    ts_free_text(text);
}

/* All of one kind of device. */
static inline int test_subjects(const Subject *subject, int n)
{
    if (kit_on_gpu()) return skip_all("only the emulator promises to catch faults");
    for (int i = 0; i < n; i++) test_subject(&subject[i]);
    return done();
}

#endif
