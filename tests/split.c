/* split.c: kernels whose blocks share tiles along k (gen/split.c): whatever the shares, every output is
 * right, the same in each launch to the last bit, and all flags of the workspace are zero again. Each config
 * runs once as the runtime shares tiles out, and then with shares that it would not choose: tiles of three
 * blocks and more, blocks of several tiles, blocks with one k-block each.
 *
 * On the emulator, or on a GPU with TILESMITH_TEST_DRIVER=libcuda.so.1.
 */
#include "cli/device.h"
#include "runtime/kernel.h"
#include "tests/kit.h"

#include <string.h>

enum { FLAG_BYTES = 8 };
#define UNTOUCHED UINT64_MAX /* MATRIX_POISON in each byte */

static const Shape shapes[] = {{37, 75, 101},  {129, 127, 260}, {200, 96, 7},
                               {131, 261, 33}, {64, 64, 0},     {1, 1, 500}};

/* One problem under test, and the shares at hand: the first `tiles` tiles are shared by `blocks` blocks. */
typedef struct Test {
    Problem p;
    const char *config;
    int64_t all_tiles, k_blocks, tiles, blocks;
    RtGrid grid;
    Error why;
} Test;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static bool take_workspace(Test *t, size_t bytes)
{
    Problem *p = &t->p;
    ts_free(p->context, p->workspace);
    p->workspace = 0, p->workspace_bytes = bytes;
    return device_check(ts_malloc(p->context, bytes, &p->workspace), &t->why) &&
           device_check(ts_fill(p->context, p->workspace, MATRIX_POISON, bytes), &t->why);
}

static bool launch(Test *t)
{
    Problem *p = &t->p;
    Matrix *y = &p->operand[OPERAND_Y].host;
    ts_linear_args args = problem_arguments(p);
    if (!y->data) return true;
    return device_check(ts_fill(p->context, p->operand[OPERAND_Y].device, MATRIX_POISON, matrix_bytes(y)),
                        &t->why) &&
           device_check(rt_launch_checked(p->kernel, &args, t->grid, NULL), &t->why) &&
           problem_download(p, &t->why);
}

static bool right(Test *t)
{
    Verdict v;
    Linear linear = problem_linear(&t->p);
    return verify(&linear, &t->p.operand[OPERAND_Y].host, &v, &t->why) &&
           (v.ok || refuse(&t->why, "rel_err %.2e, %lld elements off", v.rel_err, (long long)v.n_mismatches));
}

/* A block that hands nothing over leaves its flag as it was. */
static bool flags_are_down(Test *t)
{
    uint64_t flag[1024],
        slots = (uint64_t)t->grid.sharing * (uint64_t)t->p.info.tile_m * (uint64_t)t->p.info.tile_n * 4;
    size_t n = t->grid.sharing;
    int up = 0;
    if (n > 1024) return refuse(&t->why, "%zu flags are more than the test reads", n);
    if (n &&
        !device_check(ts_copy_to_host(t->p.context, flag, t->p.workspace + slots, n * FLAG_BYTES), &t->why))
        return false;
    for (size_t i = 0; i < n; i++) up += flag[i] != 0 && flag[i] != UNTOUCHED;
    return !up || refuse(&t->why, "%d flags are still up", up);
}

/* Launches twice in the same workspace. */
static bool check(Test *t)
{
    Matrix *y = &t->p.operand[OPERAND_Y].host;
    size_t bytes = y->data ? matrix_bytes(y) : 0;
    void *first = malloc(bytes + 1);
    bool good = first && launch(t) && right(t) && flags_are_down(t);
    if (good && bytes) memcpy(first, y->data, bytes);
    good = good && launch(t) && flags_are_down(t) &&
           (!bytes || memcmp(first, y->data, bytes) == 0 || refuse(&t->why, "two launches differ"));
    free(first);
    return good;
}

/* As find_shares() in runtime/launch.c does it, with other shares. */
static bool check_shares(Test *t, int64_t tiles, int64_t blocks, uint32_t group)
{
    int64_t shared = tiles * t->k_blocks;
    t->tiles = tiles, t->blocks = blocks;
    t->grid = (RtGrid){.x = (unsigned)(t->all_tiles - tiles + blocks),
                       .y = 1,
                       .z = 1,
                       .group = group,
                       .sharing = (uint32_t)blocks,
                       .share = (uint32_t)(shared / blocks),
                       .extra = (uint32_t)(shared % blocks)};
    return take_workspace(t, (size_t)blocks * (size_t)t->p.kernel->header.workspace_bytes) && check(t);
}

/* All tiles by 2, by one more than there are tiles, by two and three blocks a tile, and with one k-block a
 * block; and only the first tiles, so that other blocks have one tile each. */
static bool check_all_shares(Test *t)
{
    int64_t all = t->all_tiles, most = all * t->k_blocks, some = all > 2 ? all / 2 : all;
    const struct {
        int64_t tiles, blocks;
    } share[] = {{all, 2},    {all, all + 1},   {all, 2 * all}, {all, 3 * all + 1},
                 {all, most}, {some, some + 1}, {1, 5},         {1, 1}};
    for (size_t i = 0; i < sizeof share / sizeof *share; i++)
        if (share[i].blocks <= share[i].tiles * t->k_blocks && share[i].blocks <= 1024 &&
            !check_shares(t, share[i].tiles, share[i].blocks, 1 + i % 3))
            return false;
    return true;
}

/* The problem, with inputs on the device: problem_run() also launches as the runtime shares out. */
static bool set_up(Test *t, ts_context *context, const ts_kernel *kernel, Shape shape)
{
    t->p = (Problem){.context = context, .kernel = kernel, .shape = shape, .s = 2, .t = 0.5f};
    if (!problem_create(&t->p, &t->why)) return false;
    problem_randomise(&t->p, 11);
    const ts_kernel_info *i = &t->p.info;
    t->all_tiles = ceil_div(shape.m, i->tile_m) * ceil_div(shape.n, i->tile_n);
    t->k_blocks = shape.k ? ceil_div(shape.k, i->tile_k) : 1;
    return problem_run(&t->p, &t->why) && right(t);
}

static void test_config(ts_context *context, const char *config)
{
    Error why = {""};
    ts_kernel *kernel = kit_load(context, config, &why);
    if (!ok(kernel != NULL, "%s loads%s%s", config, kernel ? "" : ": ", why.text)) return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        Test t = {.config = config};
        bool good = set_up(&t, context, kernel, shapes[i]);
        bool rows = t.p.info.y_layout == TS_ROW_MAJOR; /* else only as the runtime shares out */
        good = good && (!rows || check_all_shares(&t));
        ok(good, "%s %lldx%lldx%lld%s%s", config, (long long)shapes[i].m, (long long)shapes[i].n,
           (long long)shapes[i].k, good ? "" : ": ", t.why.text);
        if (!good)
            note("the first %lld tiles of %lld by %lld blocks", (long long)t.tiles, (long long)t.all_tiles,
                 (long long)t.blocks);
        problem_free(&t.p);
    }
    ts_kernel_destroy(kernel);
}

int main(void)
{
    static const char *const configs[] = {
        "mma_sm80_f16_64x64x32_w2x2_s3_split",
        "mma_sm80_bf16_64x32x64_w2x2_s2_split",
        "mma_sm80_f16_32x64x32_w1x4_s5_g2_split",
        "mma_sm80_f16_16x32x64_w1x4_s4_yf32_split",
        "mma_sm80_bf16_48x48x32_w3x1_s3_split",
        "mma_sm80_f16_128x128x64_w2x4_s3_split",
        "mma_sm80_f16_128x256x32_w2x4_s4_split",
        "mma_sm80_bf16_256x160x32_w4x2_s3_split",
        "mma_sm80_f16_64x64x64_w2x2_s3_vx8_vw8_vy8_split",
        "mma_sm80_bf16_64x64x64_w2x2_s3_vx4_vw4_vy4_split",
        "mma_sm80_f16_64x64x64_w2x2_s3_vx2_vw2_vy2_split",
        "mma_sm80_f16_64x64x32_w2x2_s2_vx2_vw2_vy2_split",
        "mma_sm80_f16_64x64x32_w2x2_s3_xf32_biasf32_yf32_split",
        "mma_sm80_bf16_64x64x32_w2x2_s3_xcol_wcol_split",
        "mma_sm80_f16_64x32x64_w2x2_s3_xany_wany_vx2_vw2_split",
        "mma_sm80_f16_64x64x32_w2x2_s3_yany_vy2_split",
        "mma_sm80_f16_64x32x32_w2x2_s3_split_e_z_r_add",
    };
    ts_context *context = kit_context("80");
    if (!context) return 1;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) test_config(context, configs[i]);
    ts_context_destroy(context);
    return done();
}
