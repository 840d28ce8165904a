/* internal.h: what the files of the generator share and nobody else needs. */
#ifndef GEN_INTERNAL_H
#define GEN_INTERNAL_H

#include "gen/gen.h"

/* Leaves a sentence in *error and returns false: `return gen_fail(error, ...)`. */
bool gen_fail(GenError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The expression as tokens of a config name: "z_s_z_sigmoid_mul_add"; false: too long. */
bool gen_expr_name(const GenExpr *expr, char *name, size_t name_bytes);
bool gen_expr_from_name(const char *name, GenExpr *expr, GenError *error);

/* choose_wgmma.c: tile i of the wgmma back end's list, put into a config; false behind the last. There are two lists: for x
 * of W's type, which has so many, and of another one, as the config says. */
bool gen_wgmma_tile(int i, GenConfig *config);
int gen_wgmma_tile_count(void);
/* choose_fitted.c: the i-th tile, of so many, that is made for a problem: each SM has one block, or, of many rows of x, all
 * as many. False where there is none. The list may have it, too. */
int gen_wgmma_fitted_count(void);
bool gen_wgmma_fitted(const GenProblem *problem, int i, GenConfig *config);
/* Blocks that run at one time, one on an SM, in clusters of so many. */
int gen_cluster_places(int sm_count, int cluster);
/* What a problem takes under a plan of that back end. */
struct GenPlan;
GenEstimate gen_wgmma_estimate(const GenProblem *problem, const struct GenPlan *plan);
/* config->even: whether tiles of different widths would make the waves of this tile even, and how much narrower they would
 * be. What the plan of the config says of it is not looked at. */
int gen_wgmma_even(const GenProblem *problem, const struct GenPlan *plan);
/* config->group_m, where it is not the tile's. */
void gen_wgmma_set_group(const GenProblem *problem, GenConfig *config);
/* config->ends: whether the last box of x would have many rows behind the end of m. */
bool gen_wgmma_ends(const GenProblem *problem, const struct GenPlan *plan);
/* config->once and last: what L2 should forget first. */
void gen_wgmma_set_hints(const GenProblem *problem, const struct GenPlan *plan, const GenEstimate *estimate,
                         GenConfig *config);

/* choose.c: bytes of x, W and y. */
double gen_matrix_bytes(const GenProblem *p);
/* choose.c: whether the wgmma back end writes for a chip, sm_90a. */
bool gen_has_wgmma(const GenArch *arch);
/* Whether rows of an operand begin inside lines of memory. */
bool gen_cuts_lines(GenLayout layout, int align_bytes);
bool gen_problem_cuts_lines(const GenProblem *p); /* of x, or of W */

static inline int64_t gen_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
/* The next multiple of `of`. */
static inline int64_t gen_whole(int64_t n, int64_t of) { return gen_ceil_div(n, of) * of; }

#endif
