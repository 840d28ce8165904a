/* kit.h: what the tests that run kernels share: the driver under test, and one verified run. */
#ifndef TESTS_KIT_H
#define TESTS_KIT_H

#include "cli/problem.h"
#include "cli/verify.h"
#include "tests/tap.h"

#include <stdlib.h>

/* TILESMITH_TEST_DRIVER names a GPU's driver; without it tests run on the emulator, as a device of sm_`sm`.
 */
static inline const char *kit_driver(const char *sm)
{
    const char *driver = getenv("TILESMITH_TEST_DRIVER"), *emulator = getenv("TILESMITH_EMU_LIB");
    setenv("TILESMITH_EMU_SM", sm, 0);
    setenv("TILESMITH_EMU_SMS", "8", 0); /* persistent blocks have several tiles; a cluster of 8 has room */
    setenv("TILESMITH_EMU_QUIET", "1", 0);
    return driver ? driver : emulator ? emulator : "build/emu/libcuda.so.1";
}

static inline bool kit_on_gpu(void) { return getenv("TILESMITH_TEST_DRIVER") != NULL; }

static inline ts_context *kit_context(const char *sm)
{
    ts_context *context = NULL;
    ts_context_options options = ts_context_options_make();
    options.driver_library = kit_driver(sm);
    if (ts_context_create(&options, &context) != TS_OK) printf("Bail out! %s\n", ts_last_error());
    return context;
}

/* The kernel of a configuration; NULL with the reason in `why`. The caller destroys it. */
static inline ts_kernel *kit_load(ts_context *context, const char *config, Error *why)
{
    char *text = NULL;
    size_t bytes;
    ts_kernel *kernel = NULL;
    bool good =
        ts_generate(config, &text, &bytes) == TS_OK && ts_kernel_load(context, text, bytes, &kernel) == TS_OK;
    if (!good) refuse(why, "%s", ts_last_error());
    ts_free_text(text);
    return kernel;
}

/* The shape with as many more columns as the kernel needs (ts_kernel_info.n_multiple). */
static inline Shape kit_shape(const ts_kernel *kernel, Shape shape)
{
    ts_kernel_info info = {.struct_size = sizeof info};
    ts_kernel_get_info(kernel, &info);
    shape.n = (shape.n + info.n_multiple - 1) / info.n_multiple * info.n_multiple;
    return shape;
}

/* One run of a loaded kernel on random inputs; false with the reason in `why` when it is not right. */
static inline bool kit_run(ts_context *context, const ts_kernel *kernel, Shape shape, bool without_bias,
                           Verdict *verdict, Error *why)
{
    Problem p = {.context = context,
                 .kernel = kernel,
                 .shape = shape,
                 .s = 2,
                 .t = 0.5f,
                 .without_bias = without_bias};
    *verdict = (Verdict){0};
    bool ran = problem_create(&p, why);
    if (ran) problem_randomise(&p, 7);
    ran = ran && problem_run(&p, why);
    if (ran) {
        Linear linear = problem_linear(&p);
        ran = verify(&linear, &p.operand[OPERAND_Y].host, verdict, why);
    }
    problem_free(&p);
    if (ran && !verdict->ok)
        refuse(why, "wrong: rel_err %.2e, %lld elements off%s", verdict->rel_err,
               (long long)verdict->n_mismatches, verdict->padding_written ? ", padding written" : "");
    return ran && verdict->ok;
}

/* A run of a problem (context, kernel and shape are set) on random inputs; y as it came is kept in *first, for
 * comparing bits. The caller frees both, after failures too. */
static inline bool kit_verify(Problem *p, Matrix *first, Error *why)
{
    Verdict v;
    const Matrix *y = &p->operand[OPERAND_Y].host;
    if (!problem_create(p, why)) return false;
    problem_randomise(p, 7);
    if (!problem_run(p, why)) return false;
    Linear linear = problem_linear(p);
    if (!verify(&linear, y, &v, why)) return false;
    if (!v.ok) return refuse(why, "wrong: rel_err %.2e", v.rel_err);
    if (!matrix_create(first, y->type, y->rows, y->cols, y->pitch, why)) return false;
    memcpy(first->data, y->data, matrix_bytes(y));
    return true;
}

#endif
