/* sweep.c: every listed config over odd shapes, every epilogue function, every output type, each output
 * against float64. On the emulator, or on a GPU with TILESMITH_TEST_DRIVER=libcuda.so.1.
 *
 * TILESMITH_QUICK=1 leaves out the large shapes, for slow tools on a GPU.
 * To run one config again: build/tilesmith run --device emu --config NAME --shape MxNxK
 */
#include "tests/kit.h"

static const Shape shapes[] = {
    {1, 1, 1}, {37, 75, 101},  {129, 127, 65}, {64, 64, 0},    {0, 5, 7},
    {5, 0, 7}, {200, 96, 260}, {16, 40, 8},    {131, 261, 33},
};
static const Shape gpu_shapes[] = {{1024, 1000, 1111}, {333, 4097, 2050}, {4000, 777, 640}};

static ts_kernel *load(ts_context *context, const char *name)
{
    Error why = {""};
    ts_kernel *kernel = kit_load(context, name, &why);
    if (!kernel) ok(false, "%s loads: %s", name, why.text);
    return kernel;
}

static bool run_shapes(ts_context *context, const ts_kernel *kernel, const char *name, const Shape *shape,
                       size_t n, double *worst)
{
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        Verdict v;
        Error why = {""};
        Shape s = kit_shape(kernel, shape[i]);
        bool good = kit_run(context, kernel, s, false, &v, &why);
        if (!good)
            note("%s %lldx%lldx%lld: %s", name, (long long)s.m, (long long)s.n, (long long)s.k, why.text);
        all &= good;
        if (v.rel_err > *worst) *worst = v.rel_err;
    }
    return all;
}

static void run_config(ts_context *context, const char *name, const Shape *shape, size_t n)
{
    double worst = 0;
    ts_kernel *kernel = load(context, name);
    if (!kernel) return;
    bool good = run_shapes(context, kernel, name, shape, n, &worst);
    if (kit_on_gpu() && !getenv("TILESMITH_QUICK"))
        good &= run_shapes(context, kernel, name, gpu_shapes, sizeof gpu_shapes / sizeof *gpu_shapes, &worst);
    ts_kernel_info info = {.struct_size = sizeof info};
    ts_kernel_get_info(kernel, &info);
    if (kit_on_gpu() && info.local_bytes) note("%s: %d B of local memory a thread", name, info.local_bytes);
    bool serial =
        strstr(ts_kernel_log(kernel), "C75") != NULL; /* what ptxas says where it serialises wgmma */
    if (serial) note("%s: %s", name, ts_kernel_log(kernel));
    good &= !serial && !(info.local_bytes && strncmp(name, "wgmma", 5) == 0);
    ok(good, "%s: worst rel_err %.1e", name, worst);
    ts_kernel_destroy(kernel);
}

static void listed(ts_context *context, const GenArch *arch, GenType type)
{
    GenConfig config;
    GenError error;
    char name[GEN_MAX_NAME];
    for (int i = 0; gen_listed(arch, type, i, &config); i++) {
        if (!gen_config_check(&config, &error)) continue;
        gen_config_name(&config, name);
        run_config(context, name, shapes, sizeof shapes / sizeof *shapes);
    }
}

/* Each function, each leaf, mixed types: on one small tile. */
static void epilogues(ts_context *context, const GenArch *arch)
{
    static const char *const epilogue[] = {
        "z",
        "acc",
        "z + s * sigmoid(z)",
        "silu(z)",
        "tanh(z)",
        "gelu(z)",
        "gelu_tanh(z)",
        "relu(z)",
        "softplus(z)",
        "mish(z)",
        "exp(z * 0.5) - bias",
        "abs(z)",
        "min(z, s) + max(z, t)",
        "clamp(z, -0.5, t)",
        "z / (1 + abs(z))",
        "-z + r",
        "r * sigmoid(z - bias * t) + s",
    };
    static const Shape shape = {67, 45, 40};
    for (size_t i = 0; i < sizeof epilogue / sizeof *epilogue; i++) {
        GenConfig config;
        GenError error;
        char name[GEN_MAX_NAME];
        gen_config_default(arch, i % 2 ? GEN_BF16 : GEN_F16, &config);
        gen_config_set_tile(&config, "64x32x32", &error);
        gen_config_set_warps(&config, "2x2", &error);
        config.y = i % 3 == 0 ? GEN_F32 : config.w;
        config.bias = i % 4 == 0 ? GEN_F32 : i % 4 == 1 ? GEN_BF16 : GEN_F16;
        config.y_store_bytes = i % 2 ? 4 : 16;
        gen_config_set_epilogue(&config, epilogue[i], &error);
        gen_config_name(&config, name);
        note("%s", epilogue[i]);
        run_config(context, name, &shape, 1);
    }
}

/* `fields` of a config in f16, and in bf16, where an x of the other type is f16. */
static void run_types(ts_context *context, GenBackend backend, const GenArch *arch, const char *fields)
{
    const char *other = strstr(fields, "_xbf16");
    char name[GEN_MAX_NAME], start[32];
    snprintf(start, sizeof start, "%s_sm%d%.1s", backend == GEN_BACKEND_MMA ? "mma" : "wgmma", arch->sm,
             &arch->suffix);
    snprintf(name, sizeof name, "%s_f16_%s", start, fields);
    run_config(context, name, shapes, sizeof shapes / sizeof *shapes);
    if (other)
        snprintf(name, sizeof name, "%s_bf16_%.*s_xf16%s", start, (int)(other - fields), fields, other + 6);
    else snprintf(name, sizeof name, "%s_bf16_%s", start, fields);
    run_config(context, name, shapes, sizeof shapes / sizeof *shapes);
}

/* Types and layouts that the listed configs leave out, on tiles of several kinds. */
static void types_and_layouts(ts_context *context, const GenArch *arch)
{
    static const char *const config[] = {
        "64x64x64_w2x2_s3_xf32",
        "64x32x32_w2x2_s2_xf32_vx4",
        "128x128x32_w2x4_s3_xf32_biasf32_yf32",
        "64x64x64_w2x2_s2_xbf16",
        "64x64x64_w2x2_s3_xbf16_vx2",
        "64x64x32_w2x2_s3_xcol",
        "64x64x32_w2x2_s3_wcol",
        "128x128x32_w2x4_s3_xcol_wcol",
        "64x64x64_w2x2_s3_xcol_vx8",
        "64x128x32_w2x2_s2_wcol_vw4",
        "16x32x64_w1x4_s4_wcol",
        "32x64x64_w1x4_s3_xcol_wcol_vx4_vw8",
        "64x64x64_w2x2_s3_xany_vx2",
        "64x64x64_w2x2_s3_wany_vw2",
        "64x64x64_w2x2_s3_xf32_xany_wany_vx4_vw2",
        "64x64x32_w2x2_s3_yany_vy2",
        "64x64x32_w2x2_s2_yf32_yany_vy4",
        "32x32x32_w2x1_s2_xany_wany_yany_vx2_vw2_vy2",
        "48x32x64_w3x1_s3",
        "48x16x128_w3x1_s2",
        "256x128x32_w4x2_s4_wcol",
        "128x256x32_w2x4_s4_xf32",
        "16x16x32_w1x1_s2_xcol_wcol",
        "80x48x64_w1x2_s3_lines",
        "32x16x64_w1x1_s3_vx4",
        "64x32x32_w1x1_s2_vx2_vw8_e_z_r_add",
        "128x64x32_w2x1_s3_vx2_vw2_vy2_e_z_r_add",
        "32x64x64_w1x2_s3_yf32_vx8_vw4_vy4",
        "128x64x64_w2x4_s4_yf32_lines",
        "64x32x64_w2x2_s4_lines_split",
    };
    for (size_t i = 0; i < sizeof config / sizeof *config; i++)
        run_types(context, GEN_BACKEND_MMA, arch, config[i]);
}

/* What the listed configs of the wgmma back end leave out. */
static void wgmma_variants(ts_context *context, const GenArch *arch)
{
    static const char *const config[] = {
        "128x128x64_w2x1_s4_cm2",
        "128x128x64_w2x1_s4_cn2",
        "128x128x64_w2x1_s4_xcol",
        "128x128x64_w2x1_s4_wcol",
        "128x128x64_w2x1_s3_xcol_wcol",
        "128x128x128_w2x1_s2_xcol_cm2",
        "128x128x128_w2x1_s2_wcol_cn2",
        "128x128x64_w2x1_s4_wcol_cm2",
        "128x128x64_w2x1_s3_xcol_wcol_cm2_cn2",
        "128x128x64_w2x1_s4_ends",
        "256x64x64_w2x1_s4_k1_ends_last",
        "192x80x64_w3x1_s3_yf32_ck2_ends",
        "128x128x64_w2x1_s3_cn2_ends",
        "88x128x128_w1x2_s2_swap_ends",
        "128x64x64_w2x1_s3_xf32_ends",
        "128x256x64_w2x1_s4_wcol",
        "128x256x64_w2x1_s4_g1_even2_last",
        "64x128x64_w1x1_s4_g1_even3",
        "192x128x64_w3x1_s4_g2_even1",
        "128x128x64_w2x1_s4_xcol_wcol_even2_last",
        "64x192x64_w1x1_s4_g3_even1_e_z_r_add_gelu",
        "256x128x64_w2x1_s4_k1_last",
        "128x128x64_w2x1_s4_pingpong_last",
        "128x128x64_w2x1_s3_xf32_last",
        "128x128x64_w1x2_s4_k2",
        "256x128x64_w2x1_s4_cn2_k2",
        "256x128x64_w2x1_s4_wcol_vy4_k2",
        "64x128x64_w1x2_s3_o2_ck4_swap",
        "128x128x64_w2x1_s4_cm2_pingpong",
        "64x128x64_w2x1_s4_cm2_cn2_pingpong",
        "128x72x64_w2x1_s4_cm2_cn4",
        "64x256x64_w1x1_s3_xcol_cm4",
        "192x96x64_w3x1_s3_yf32",
        "128x128x64_w2x1_s4_yf32",
        "128x256x64_w2x1_s3_yf32",
        "256x168x64_w2x1_s3_yf32_k1",
        "128x80x64_w2x1_s4_yf32_ck2",
        "128x176x64_w2x1_s3_xf32_yf32",
        "64x88x64_w1x1_s4_yf32_e_z_r_add_gelu",
        "64x24x128_w1x1_s3_yf32_vy4",
        "128x104x64_w2x1_s3_yf32_vy4_e_z_r_add_gelu",
        "128x128x64_w2x1_s4_biasf32_vy8",
        "128x256x64_w2x1_s4_vy4",
        "128x176x64_w2x1_s4_vy2",
        "256x128x64_w2x1_s3_yf32_vy4",
        "128x128x64_w2x1_s4_yany_vy2",
        "64x32x128_w1x1_s4_o2",
        "128x128x64_w2x1_s4_e_z_r_add_gelu",
        "128x256x64_w2x1_s4_cm2_near_once",
        "256x128x64_w2x1_s3_cn2_k1_near_last",
        "64x96x64_w1x1_s6_g3_cm4_cn2_near",
        "192x64x64_w3x1_s4_xcol_wcol_cn4_near",
        "128x128x64_w2x1_s3_cm2_near_pingpong",
        "40x64x128_w1x1_s4_cm2_cn4_near_swap",
        "88x192x64_w1x3_s3_vy2_cm2_cn2_near_swap",
        "48x64x64_w1x1_s5_g2_o2_cm2_near_swap",
        "64x64x64_w1x1_s4_xf32_yf32_cm2_near_swap_e_z_r_add_gelu",
        "200x128x64_w1x2_s4_g3_pingpong_swap",
        "72x128x64_w1x2_s5_cn2_pingpong_swap",
        "16x128x64_w1x2_s4_pingpong_swap_last",
        "40x96x128_w1x2_s3_cm2_cn2_pingpong_swap",
        "104x192x64_w1x2_s3_vy2_pingpong_swap",
        "64x64x64_w1x2_s5_biasf32_yf32_pingpong_swap_e_z_r_add_gelu",
        "16x192x64_w1x3_s4_yf32_swap",
        "8x256x64_w1x2_s3_biasf32_swap",
        "64x128x64_w1x2_s3_xcol_wcol_swap",
        "48x64x64_w1x1_s4_g3_o2_swap",
        "168x64x64_w1x1_s5_cn2_swap",
        "104x64x64_w1x1_s4_cm2_cn4_swap",
        "40x64x128_w1x1_s3_cm2_cn4_swap",
        "168x256x64_w1x2_s3_g11_swap",
        "64x64x128_w1x1_s6_g1_swap_last",
        "40x64x128_w1x1_s4_ck2_swap_last",
        "64x48x64_w1x1_s5_g1_ck2_last",
        "136x192x64_w1x3_s4_swap",
        "216x128x64_w1x2_s4_vy2_swap",
        "40x192x128_w1x3_s3_vy2_cm4_cn2_swap",
        "72x128x64_w1x1_s3_swap_e_z_r_add_gelu",
        "128x128x64_w1x2_s4_ck2_swap",
        "24x64x64_w1x1_s5_ck2_swap",
        "64x64x128_w1x1_s3_xcol_wcol_ck4_swap",
        "40x64x64_w1x1_s4_biasf32_yf32_ck8_swap",
        "16x256x64_w1x2_s4_yany_vy2_ck2_swap",
        "32x64x64_w1x1_s4_ck4_swap_e_z_r_add_gelu",
        "8x40x128_w1x1_s4_swap",
        "24x88x128_w1x1_s2_biasf32_yf32_swap",
        "16x112x64_w1x2_s3_o2_ck2_swap",
        "40x24x64_w1x1_s4_vy2_ck2_swap_e_z_r_add_gelu",
        "64x200x64_w1x1_s3_swap",
        "16x48x64_w1x2_s4_yany_vy2_cm2_cn2_swap",
        "8x72x128_w1x1_s3_xf32_yf32_swap",
        "128x256x64_w2x1_s3_xf32_g16_cn2",
        "128x128x64_w2x1_s3_xf32_yf32_wcol",
        "128x64x64_w1x1_s3_xf32_yf32_vy4",
        "64x32x128_w1x1_s4_xf32_yany_vy2",
        "128x72x64_w2x1_s3_xf32_biasf32_cm2_cn2",
        "128x128x64_w2x1_s3_xbf16_cn2",
        "64x96x128_w1x1_s2_xbf16_o2_e_z_r_add_gelu",
        "8x64x128_w1x1_s4_xf32_yf32_ck2_swap",
        "48x64x64_w1x1_s3_xf32_o2_swap",
        "16x64x128_w1x1_s3_xf32_wcol_cn2_swap",
        "8x128x128_w1x1_s3_xbf16_ck4_swap",
        "64x64x64_w1x1_s3_xbf16_vy2_swap",
    };
    for (size_t i = 0; i < sizeof config / sizeof *config; i++)
        run_types(context, GEN_BACKEND_WGMMA, arch, config[i]);
}

/* The shipped kernels of the wgmma back end, whatever the order in which the warps run. */
static void shipped_schedules(ts_context *context)
{
    static const Shape odd[] = {{201, 136, 333}, {67, 520, 72}};
    GenConfig config;
    for (int i = 0; gen_shipped(i, &config); i++) {
        char name[GEN_MAX_NAME], seed[8];
        double worst = 0;
        bool good = true;
        if (config.backend != GEN_BACKEND_WGMMA) continue;
        gen_config_name(&config, name);
        ts_kernel *kernel = load(context, name);
        for (int s = 2; kernel && s <= 9; s++) {
            snprintf(seed, sizeof seed, "%d", s);
            setenv("TILESMITH_EMU_SEED", seed, 1);
            good &= run_shapes(context, kernel, name, odd, 2, &worst);
        }
        unsetenv("TILESMITH_EMU_SEED");
        ok(kernel && good, "%s under 8 schedules: worst rel_err %.1e", name, worst);
        ts_kernel_destroy(kernel);
    }
}

/* TMA would store behind the last column. */
static void cut_columns(ts_context *context)
{
    Verdict v;
    Error why = {""};
    ts_kernel *kernel = load(context, "wgmma_sm90a_f16_128x128x64_w2x1_s4");
    if (!kernel) return;
    bool ran = kit_run(context, kernel, (Shape){16, 12, 64}, false, &v, &why);
    ok(!ran && strstr(why.text, "needs a multiple of 8"), "12 columns are refused: %s", why.text);
    ts_kernel_destroy(kernel);
}

static void no_bias(ts_context *context, const char *name)
{
    Verdict v;
    Error why = {""};
    ts_kernel *kernel = load(context, name);
    if (!kernel) return;
    bool good = kit_run(context, kernel, (Shape){33, 35, 37}, true, &v, &why);
    ok(good, "%s without a bias%s%s", name, good ? "" : ": ", why.text);
    ts_kernel_destroy(kernel);
}

int main(void)
{
    ts_context *context = kit_context("90");
    ts_device_info info = {.struct_size = sizeof info};
    if (!context || ts_context_get_info(context, &info) != TS_OK) return 1;
    const GenArch *arch = gen_arch_for_device(info.compute_major, info.compute_minor);
    note("device: %s, kernels for %s", info.name, arch->name);
    no_bias(context, "mma_sm80_f16_64x64x32_w2x2_s3");
    epilogues(context, arch);
    types_and_layouts(context, arch);
    if (arch->suffix) wgmma_variants(context, arch), cut_columns(context);
    if (arch->suffix && !kit_on_gpu()) shipped_schedules(context);
    listed(context, arch, GEN_F16);
    listed(context, arch, GEN_BF16);
    ts_context_destroy(context);
    return done();
}
