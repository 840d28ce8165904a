/* bits.c: y has the same bits in each launch of a kernel, in whatever order its warps run and whatever their
 * blocks find in shared memory; and a row of y is a function of its row of x, not of the rows beside it. Each
 * result is compared with float64 besides, also where blocks that share k (cluster_k) get no k-blocks.
 *
 * On the emulator under 8 schedules, or on a GPU in 8 launches with TILESMITH_TEST_DRIVER=libcuda.so.1.
 */
#include "tests/kit.h"

static const char *const configs[] = {
    "wgmma_sm90a_f16_8x128x64_w1x2_s3_ck4_swap",
    "wgmma_sm90a_bf16_16x64x128_w1x1_s4_ck8_swap",
    "wgmma_sm90a_f16_16x128x128_w1x2_s5_ck4_swap",
    "wgmma_sm90a_f16_24x128x64_w1x1_s3_yf32_ck2_swap",
    "wgmma_sm90a_bf16_64x64x64_w1x1_s5_ck8_swap",
    "wgmma_sm90a_f16_48x192x64_w1x3_s3_biasf32_ck4_swap",
    "wgmma_sm90a_f16_128x96x64_w2x1_s6_ck2",
    "wgmma_sm90a_f16_64x96x64_w1x1_s5_vy2_ck4",
    "wgmma_sm90a_bf16_192x80x64_w3x1_s3_yf32_ck2",
    "wgmma_sm90a_f16_128x40x64_w1x1_s3_xf32_ck2",
    /* rows of W in shared memory that nobody loads, behind the tile or behind the end */
    "wgmma_sm90a_f16_16x40x128_w1x1_s11_yf32_swap",
    "wgmma_sm90a_f16_24x48x64_w1x1_s5_yf32_swap",
    "wgmma_sm90a_f16_32x128x64_w1x2_s4_swap",
    "wgmma_sm90a_f16_128x200x64_w2x1_s4_yf32_once",
    "wgmma_sm90a_f16_64x128x64_w1x1_s4_g1_even2_last",
    "wgmma_sm90a_bf16_128x96x64_w2x1_s4_yf32",
    "wgmma_sm90a_f16_128x72x64_w2x1_s4_yf32",
    "wgmma_sm90a_f16_64x64x64_w1x1_s4_yf32_vy4",
    "mma_sm80_f16_64x96x32_w2x2_s3_yf32",
};
/* k-blocks: none, one, a few, many; columns that end inside a box of W's rows, and with one; rows of tiles
 * that have one more than others (even) */
static const Shape shapes[] = {{9, 70, 0},    {16, 128, 64}, {31, 65, 296}, {70, 200, 1480},
                               {20, 264, 64}, {20, 288, 64}, {296, 384, 64}};
enum {
    N_CONFIGS = sizeof configs / sizeof *configs,
    N_SHAPES = sizeof shapes / sizeof *shapes,
    LAUNCHES = 8
};

static void set_schedule(int seed)
{
    char text[8];
    snprintf(text, sizeof text, "%d", seed);
    setenv("TILESMITH_EMU_SEED", text, 1);
}

/* y, under schedule `seed`, must have the bits of *first. */
static bool launch(Problem *p, int seed, const Matrix *first, Error *why)
{
    set_schedule(seed);
    return problem_run(p, why) &&
           (memcmp(first->data, p->operand[OPERAND_Y].host.data, matrix_bytes(first)) == 0 ||
            refuse(why, "launch %d gives other bits", seed));
}

/* Each row goes where the one before it was, and the first to the end. */
static bool rotate_rows(Matrix *m, Error *why)
{
    size_t row_bytes = matrix_bytes(m) / (size_t)m->rows;
    char *rows = m->data, *first = malloc(row_bytes);
    if (!first) return refuse(why, "out of memory");
    memcpy(first, rows, row_bytes);
    memmove(rows, rows + row_bytes, matrix_bytes(m) - row_bytes);
    memcpy(rows + matrix_bytes(m) - row_bytes, first, row_bytes);
    free(first);
    return true;
}

/* *y is what was launched before; rows of it are where those of x go. */
static bool launch_rotated(Problem *p, Matrix *y, Error *why)
{
    return rotate_rows(&p->operand[OPERAND_X].host, why) && rotate_rows(y, why) && problem_run(p, why) &&
           (memcmp(p->operand[OPERAND_Y].host.data, y->data, matrix_bytes(y)) == 0 ||
            refuse(why, "rows in other places give other bits"));
}

static void test_shape(ts_context *context, const ts_kernel *kernel, const char *config, Shape shape)
{
    Problem p = {.context = context, .kernel = kernel, .shape = kit_shape(kernel, shape), .s = 2};
    Error why = {""};
    Matrix first = {0};
    set_schedule(1);
    bool good = kit_verify(&p, &first, &why);
    for (int seed = 2; seed <= LAUNCHES && good; seed++) good = launch(&p, seed, &first, &why);
    good = good && (shape.k == 0 || launch_rotated(&p, &first, &why));
    ok(good, "%s %lldx%lldx%lld%s%s", config, (long long)shape.m, (long long)shape.n, (long long)shape.k,
       good ? "" : ": ", why.text);
    problem_free(&p);
    matrix_free(&first);
}

static void test_config(ts_context *context, const char *config)
{
    Error why = {""};
    ts_kernel *kernel = kit_load(context, config, &why);
    if (!ok(kernel != NULL, "%s loads%s%s", config, kernel ? "" : ": ", why.text)) return;
    for (int i = 0; i < N_SHAPES; i++) test_shape(context, kernel, config, shapes[i]);
    ts_kernel_destroy(kernel);
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
