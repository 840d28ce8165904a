/* stress.c: launches of changing kernels and shapes one behind the other, with nothing between them: blocks
 * of one start while those of another end, and find the barriers and tensor maps that they left. Each problem
 * is verified once. Behind each round of launches every y, poisoned before, must have the same bits again;
 * where one has not, it is said how many elements differ, and which is the first.
 *
 * On a GPU a round has 500 launches, and there are two, or as many as make TILESMITH_LAUNCHES; in the
 * emulator one of a few. TILESMITH_QUICK=1 takes the emulator's small problems on a GPU too, for slow tools.
 */
#include "cli/device.h"
#include "tests/kit.h"

static const char *const configs[] = {
    "wgmma_sm90a_f16_128x256x64_w2x1_s4_g16",      "wgmma_sm90a_f16_256x200x64_w2x1_s3_k1",
    "wgmma_sm90a_bf16_128x128x64_w2x1_s4_cm2_cn2", "wgmma_sm90a_f16_128x128x64_w2x1_s5_g12_pingpong",
    "wgmma_sm90a_f16_64x32x128_w1x1_s6",           "wgmma_sm90a_f16_192x128x64_w3x1_s4_vy2",
    "wgmma_sm90a_bf16_256x128x64_w2x1_s4_k2",      "mma_sm80_f16_64x64x64_w2x2_s5_lines",
    "wgmma_sm90a_bf16_64x64x128_w1x1_s6_swap",     "wgmma_sm90a_f16_16x128x128_w1x2_s5_ck4_swap",
    "wgmma_sm90a_f16_16x40x128_w1x1_s11_swap",     "wgmma_sm90a_f16_192x96x64_w3x1_s6_ck2",
    "wgmma_sm90a_f16_256x168x64_w2x1_s3_yf32_k1",  "wgmma_sm90a_f16_128x256x64_w2x1_s3_xf32_yf32_g16_cn2",
    "wgmma_sm90a_f16_64x128x64_w1x1_s8_g2_even2_last", "wgmma_sm90a_bf16_256x128x64_w2x1_s4_k1_last",
    "wgmma_sm90a_f16_128x96x64_w2x1_s6_ck2_ends",      "wgmma_sm90a_bf16_88x128x64_w1x2_s6_swap_ends",
    "wgmma_sm90a_f16_168x128x64_w1x2_s4_g13_pingpong_swap", "wgmma_sm90a_bf16_40x128x64_w1x2_s8_cn2_pingpong_swap",
    "wgmma_sm90a_f16_168x64x64_w1x1_s7_vy2_cm2_near_swap",  "wgmma_sm90a_f16_64x96x64_w1x1_s10_cm4_cn2_near",
};
static const Shape small[] = {{200, 264, 136}, {70, 40, 500}},
                   large[] = {{1000, 2048, 520}, {3000, 776, 1032}};
enum { N_CONFIGS = sizeof configs / sizeof *configs, N_JOBS = 2 * N_CONFIGS, ROUND = 500 };

typedef struct Job {
    ts_kernel *kernel;
    Problem problem;
    Matrix first; /* y of the verified run */
    ts_linear_args args;
    long bad_rounds;
    Error first_bad; /* what differed in the first of them */
} Job;

static bool prepare(ts_context *context, Job *job, const char *config, Shape shape, Error *why)
{
    job->kernel = kit_load(context, config, why);
    if (!job->kernel) return false;
    job->problem = (Problem){.context = context, .kernel = job->kernel, .shape = shape, .s = 2};
    if (!kit_verify(&job->problem, &job->first, why)) return false;
    job->args = problem_arguments(&job->problem);
    return true;
}

static void end_job(Job *job)
{
    problem_free(&job->problem);
    matrix_free(&job->first);
    ts_kernel_destroy(job->kernel);
}

/* Every y is poisoned, and each job launched at least once. */
static bool launch_round(ts_context *context, Job *jobs, long launches, uint64_t *random, Error *why)
{
    for (int i = 0; i < N_JOBS; i++) {
        const Operand *y = &jobs[i].problem.operand[OPERAND_Y];
        if (!device_check(ts_fill(context, y->device, MATRIX_POISON, matrix_bytes(&y->host)), why))
            return false;
    }
    for (long i = 0; i < launches; i++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        const Job *job = &jobs[i < N_JOBS ? (uint64_t)i : (*random >> 33) % N_JOBS];
        if (!device_check(ts_kernel_launch(job->kernel, &job->args, NULL), why)) return false;
    }
    return device_check(ts_stream_synchronize(context, NULL), why);
}

static void note_difference(Job *job, long round)
{
    const Matrix *y = &job->problem.operand[OPERAND_Y].host;
    size_t bytes = (size_t)gen_type_bytes(y->type), differ = 0, first = 0;
    const unsigned char *now = y->data, *then = job->first.data;
    if (!memcmp(now, then, matrix_bytes(y))) return;
    for (size_t i = matrix_bytes(y) / bytes; i-- > 0;)
        if (memcmp(now + i * bytes, then + i * bytes, bytes)) differ++, first = i;
    if (job->bad_rounds++) return;
    refuse(&job->first_bad,
           ": in round %ld %zu elements differ, the first is [%zu, %zu]: 0x%02x%02x, was 0x%02x%02x", round,
           differ, first / (size_t)y->pitch, first % (size_t)y->pitch, now[first * bytes + 1],
           now[first * bytes], then[first * bytes + 1], then[first * bytes]);
}

static bool compare_round(ts_context *context, Job *jobs, long round, Error *why)
{
    for (int i = 0; i < N_JOBS; i++) {
        Operand *y = &jobs[i].problem.operand[OPERAND_Y];
        if (!device_check(ts_copy_to_host(context, y->host.data, y->device, matrix_bytes(&y->host)), why))
            return false;
        note_difference(&jobs[i], round);
    }
    return true;
}

static bool launch_all(ts_context *context, Job *jobs, long launches, Error *why)
{
    uint64_t random = 1;
    for (long round = 0; round * ROUND < launches; round++) {
        long left = launches - round * ROUND;
        if (!launch_round(context, jobs, left < ROUND ? left : ROUND, &random, why) ||
            !compare_round(context, jobs, round, why))
            return false;
    }
    return true;
}

int main(void)
{
    const char *wanted = getenv("TILESMITH_LAUNCHES");
    long launches = wanted ? atol(wanted) : kit_on_gpu() ? 1000 : 3 * N_JOBS;
    ts_context *context = kit_context("90");
    ts_device_info info = {.struct_size = sizeof info};
    Job jobs[N_JOBS] = {{0}};
    Error why = {""};
    if (!context || ts_context_get_info(context, &info) != TS_OK) return 1;
    if (info.compute_major != 9) return skip_all("these kernels are for sm_90a");
    for (int i = 0; i < N_JOBS; i++) {
        Shape shape = (kit_on_gpu() && !getenv("TILESMITH_QUICK") ? large : small)[i % 2];
        ok(prepare(context, &jobs[i], configs[i / 2], shape, &why), "%s is right%s", configs[i / 2],
           why.text);
    }
    ok(launch_all(context, jobs, launches, &why), "%ld launches%s", launches, why.text);
    for (int i = 0; i < N_JOBS; i++)
        ok(!jobs[i].bad_rounds, "%s is right still%s; bad rounds: %ld", configs[i / 2],
           jobs[i].first_bad.text, jobs[i].bad_rounds);
    for (int i = 0; i < N_JOBS; i++) end_job(&jobs[i]);
    ts_context_destroy(context);
    return done();
}
