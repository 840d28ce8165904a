/* share_k.c: kernels of the wgmma back end whose cluster shares a tile along k (cluster_k): right, also where
 * some blocks get no k-blocks, and with the same bits in every launch, in whatever order the warps run.
 *
 * On the emulator under 8 schedules, or on a GPU in 8 launches with TILESMITH_TEST_DRIVER=libcuda.so.1.
 */
#include "tests/kit.h"

static const char *const configs[] = {
    "wgmma_sm90a_f16_8x128x64_w1x2_s3_ck4_swap",   "wgmma_sm90a_bf16_16x64x128_w1x1_s4_ck8_swap",
    "wgmma_sm90a_f16_16x128x128_w1x2_s5_ck4_swap", "wgmma_sm90a_f16_24x128x64_w1x1_s3_yf32_ck2_swap",
    "wgmma_sm90a_bf16_64x64x64_w1x1_s5_ck8_swap",  "wgmma_sm90a_f16_48x192x64_w1x3_s3_biasf32_ck4_swap",
};
/* k-blocks: none, one, a few, many */
static const Shape shapes[] = {{9, 70, 0}, {16, 128, 64}, {31, 65, 296}, {70, 200, 1480}};
enum {
    N_CONFIGS = sizeof configs / sizeof *configs,
    N_SHAPES = sizeof shapes / sizeof *shapes,
    LAUNCHES = 8
};

static bool right(Problem *p, Error *why)
{
    Verdict v;
    Linear linear = problem_linear(p);
    if (!verify(&linear, &p->operand[OPERAND_Y].host, &v, why)) return false;
    return v.ok ||
           refuse(why, "wrong: rel_err %.2e, %lld elements off", v.rel_err, (long long)v.n_mismatches);
}

/* A launch under schedule `seed`; y must be *first, which the first launch sets. */
static bool launch(Problem *p, int seed, void **first, Error *why)
{
    const Matrix *y = &p->operand[OPERAND_Y].host;
    char text[8];
    snprintf(text, sizeof text, "%d", seed);
    setenv("TILESMITH_EMU_SEED", text, 1);
    if (!problem_run(p, why)) return false;
    if (*first)
        return memcmp(*first, y->data, matrix_bytes(y)) == 0 ||
               refuse(why, "launch %d gives other bits", seed);
    *first = malloc(matrix_bytes(y));
    if (*first) memcpy(*first, y->data, matrix_bytes(y));
    return *first && right(p, why);
}

static void test_shape(ts_context *context, const ts_kernel *kernel, const char *config, Shape shape)
{
    Problem p = {.context = context, .kernel = kernel, .shape = shape, .s = 2};
    Error why = {""};
    void *first = NULL;
    bool good = problem_create(&p, &why);
    if (good) problem_randomise(&p, 5);
    for (int seed = 1; seed <= LAUNCHES && good; seed++) good = launch(&p, seed, &first, &why);
    ok(good, "%s %lldx%lldx%lld%s%s", config, (long long)shape.m, (long long)shape.n, (long long)shape.k,
       good ? "" : ": ", why.text);
    problem_free(&p);
    free(first);
}

static void test_config(ts_context *context, const char *config)
{
    char *text;
    size_t bytes;
    ts_kernel *kernel = NULL;
    bool good =
        ts_generate(config, &text, &bytes) == TS_OK && ts_kernel_load(context, text, bytes, &kernel) == TS_OK;
    if (!ok(good, "%s loads%s%s", config, good ? "" : ": ", good ? "" : ts_last_error())) return;
    for (int i = 0; i < N_SHAPES; i++) test_shape(context, kernel, config, shapes[i]);
    ts_kernel_destroy(kernel);
    ts_free_text(text);
}

int main(void)
{
    ts_context *context = kit_context("90");
    ts_device_info info = {.struct_size = sizeof info};
    if (!context || ts_context_get_info(context, &info) != TS_OK) return 1;
    if (info.compute_major != 9) return skip_all("these kernels are for sm_90a");
    for (int i = 0; i < N_CONFIGS; i++) test_config(context, configs[i]);
    ts_context_destroy(context);
    return done();
}
