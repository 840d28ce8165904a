/* bench_gen.c: how long writing one kernel takes: the median over all listed configs, on one thread. */
#include "gen/gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The shortest of some runs: what the code takes when nothing disturbs it. */
static double time_one(const GenConfig *config, size_t *bytes)
{
    double best = 1e30;
    for (int i = 0; i < 7; i++) {
        GenError error;
        char *text;
        double start = now_us();
        if (!gen_kernel(config, &text, bytes, &error)) return -1;
        double us = now_us() - start;
        free(text);
        if (us < best) best = us;
    }
    return best;
}

int main(void)
{
    static double us[4096];
    int n = 0;
    size_t bytes, most_bytes = 0;
    for (int a = 0; a < gen_arch_count(); a++)
        for (int type = GEN_F16; type <= GEN_BF16; type++) {
            GenConfig config;
            GenError error;
            for (int i = 0; gen_listed(gen_arch_at(a), (GenType)type, i, &config) && n < 4096; i++) {
                if (!gen_config_check(&config, &error)) continue;
                us[n++] = time_one(&config, &bytes);
                if (bytes > most_bytes) most_bytes = bytes;
            }
        }
    qsort(us, (size_t)n, sizeof *us, by_value);
    printf("writing one kernel: median %.0f us, slowest %.0f us, over %d configs; longest text %zu KB\n",
           us[n / 2], us[n - 1], n, most_bytes / 1024);
    return us[0] < 0;
}
