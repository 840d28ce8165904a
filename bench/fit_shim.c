/* fit_shim.c: the choice's estimates of many kernels at once, for fit.py, which builds it with a copy of gen/choose_wgmma.c
 * whose constants stand in fit_constants[]. */
#include "gen/internal.h"
#include "gen/plan.h"

#include <stdlib.h>

/* Defined in the copy. */
extern double fit_constants[];

typedef struct Case {
    GenProblem problem;
    GenPlan plan;
} Case;

static Case *cases;
static int n_cases, room;

double *fit_values(void) { return fit_constants; }
void fit_clear(void) { n_cases = 0; }

static GenProblem problem_of(const GenConfig *c, int sms, int64_t m, int64_t n, int64_t k)
{
    return (GenProblem){
        .arch = c->arch,
        .sm_count = sms,
        .x = c->x,
        .w = c->w,
        .bias = c->bias,
        .y = c->y,
        .m = m,
        .n = n,
        .k = k,
        .x_align_bytes = gen_row_align(c->x, m, k),
        .w_align_bytes = gen_row_align(c->w, n, k),
        .y_align_bytes = gen_row_align(c->y, m, n),
    };
}

/* One more kernel, by its name, on a problem of rows without gaps; false: not one of wgmma. */
bool fit_add(const char *name, int sms, int64_t m, int64_t n, int64_t k)
{
    GenConfig config;
    GenError error;
    if (n_cases == room) {
        room = room ? 2 * room : 1024;
        cases = realloc(cases, (size_t)room * sizeof *cases);
        if (!cases) abort();
    }
    Case *c = &cases[n_cases];
    if (!gen_config_parse(name, &config, &error) || config.backend != GEN_BACKEND_WGMMA ||
        !gen_plan(&config, &c->plan, &error))
        return false;
    c->problem = problem_of(&config, sms, m, n, k);
    n_cases++;
    return true;
}

/* Of all that were added, in order: nanoseconds by the constants as they are. */
void fit_estimates(double *ns)
{
    for (int i = 0; i < n_cases; i++) ns[i] = gen_wgmma_estimate(&cases[i].problem, &cases[i].plan).total_ns;
}

/* What is ranked at place `rank`, 0 the first, for a problem of such types as the named kernel has; false behind the last. */
bool fit_ranked(const char *like, int sms, int64_t m, int64_t n, int64_t k, int rank, char name[GEN_MAX_NAME])
{
    enum { MOST = 100 };
    static GenCandidate ranked[MOST];
    GenConfig config;
    GenError error;
    if (!gen_config_parse(like, &config, &error) || rank >= MOST) return false;
    GenProblem p = problem_of(&config, sms, m, n, k);
    if (gen_rank(&p, ranked, rank + 1, &error) <= rank) return false;
    gen_config_name(&ranked[rank].config, name);
    return true;
}
