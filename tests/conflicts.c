/* conflicts.c: shared memory without bank conflicts, as the emulator counts them: the swizzles of tiles, and
 * the ways by which x of another type than W's gets to wgmma, are made for that.
 *
 * Tiles whose y has rows of less than 128 bytes in shared memory may have some as they are stored; they are
 * not here.
 */
#include "tests/kit.h"

#include <dlfcn.h>

static const char *const configs[] = {
    "mma_sm80_f16_128x256x64_w2x4_s3",
    "mma_sm89_f16_128x256x32_w2x4_s4",
    "mma_sm89_f16_256x160x32_w4x2_s3",
    "mma_sm89_f16_128x256x32_w2x4_s3_xf32",
    "mma_sm89_f16_128x256x32_w2x4_s3_xf32_yf32",
    "mma_sm89_f16_128x128x64_w2x4_s3_yf32",
    "mma_sm89_f16_64x64x64_w2x2_s3_yf32",
    "mma_sm89_bf16_128x256x32_w2x4_s4_wcol",
    "wgmma_sm90a_f16_128x256x64_w2x1_s4_g16",
    "wgmma_sm90a_f16_128x256x64_w2x1_s4_g1_even2",
    "wgmma_sm90a_f16_256x200x64_w2x1_s3_k1",
    "wgmma_sm90a_f16_128x256x64_w2x1_s4_yf32_g16",
    "wgmma_sm90a_f16_256x168x64_w2x1_s3_yf32_k1",
    "wgmma_sm90a_f16_256x200x64_w2x1_s3_yf32_k1",
    "wgmma_sm90a_f16_64x128x128_w1x2_s4_swap",
    "wgmma_sm90a_f16_128x256x64_w2x1_s3_xf32_g16",
    "wgmma_sm90a_bf16_128x64x64_w2x1_s3_xf16",
    "wgmma_sm90a_f16_8x64x128_w1x1_s8_xf32_swap",
    "wgmma_sm90a_f16_32x64x64_w1x1_s6_xf32_swap",
    "wgmma_sm90a_bf16_64x64x64_w1x1_s4_xf16_swap",
};

typedef struct Counters {
    void (*reset)(void);
    int (*count)(void);
    const char *(*name)(int);
    unsigned long long (*value)(int);
} Counters;

static bool open_counters(Counters *c)
{
    void *emulator = dlopen(kit_driver("90"), RTLD_NOW | RTLD_NOLOAD); /* the context's */
    if (!emulator) return false;
    c->reset = (void (*)(void))dlsym(emulator, "emu_counters_reset");
    c->count = (int (*)(void))dlsym(emulator, "emu_counter_count");
    c->name = (const char *(*)(int))dlsym(emulator, "emu_counter_name");
    c->value = (unsigned long long (*)(int))dlsym(emulator, "emu_counter_value");
    return c->reset && c->count && c->name && c->value;
}

static unsigned long long conflicts(const Counters *c)
{
    unsigned long long all = 0;
    for (int i = 0; i < c->count(); i++) {
        if (!strstr(c->name(i), "_conflicts")) continue;
        if (c->value(i)) note("%s: %llu", c->name(i), c->value(i));
        all += c->value(i);
    }
    return all;
}

static void test_config(ts_context *context, const Counters *counters, const char *config)
{
    Verdict v;
    Error why = {""};
    ts_kernel *kernel = kit_load(context, config, &why);
    counters->reset();
    bool good = kernel && kit_run(context, kernel, (Shape){128, 256, 512}, false, &v, &why);
    if (why.text[0]) note("%s", why.text);
    ok(good && !conflicts(counters), "%s", config);
    ts_kernel_destroy(kernel);
}

int main(void)
{
    Counters counters;
    if (kit_on_gpu()) {
        printf("1..0 # SKIP a GPU does not count them\n");
        return 0;
    }
    ts_context *context = kit_context("90");
    if (!context || !open_counters(&counters)) return 1;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) test_config(context, &counters, configs[i]);
    ts_context_destroy(context);
    return done();
}
