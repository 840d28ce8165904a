/* problem.h: a call's arguments as the choice of a configuration sees them. */
#ifndef DISPATCH_PROBLEM_H
#define DISPATCH_PROBLEM_H

#include "gen/gen.h"
#include "runtime/kernel.h"

enum { RT_MAX_ALIGN_BYTES = 128, RT_MAX_KEY_TEXT = 512 };

/* Points *args at this release's struct (in *copy where the caller's is another), and checks sizes and types. */
ts_status rt_problem_read(const ts_context *context, const ts_linear_args **args, ts_linear_args *copy);
bool rt_problem_is_empty(const ts_linear_args *args);

GenType rt_problem_type(ts_dtype dtype);
/* For kernels of `arch`, on the context's device. */
GenProblem rt_problem_of(const ts_context *context, const GenArch *arch, const ts_linear_args *args);

/* Without a bias its type does not matter; it may be given all the same, by who prepares. */
ts_dtype rt_problem_bias_type(const ts_linear_args *args);

/* All of a problem that decides the choice, but its epilogue: m, n, k, and types, layouts, alignments and the
 * workspace in one word. */
typedef struct RtProblemKey {
    uint64_t m, n, k, places;
} RtProblemKey;
RtProblemKey rt_problem_key(const ts_linear_args *args);
/* The same in words, the epilogue, arch and SMs among them, for people and for the tuning store. */
void rt_problem_text(const GenProblem *problem, char text[RT_MAX_KEY_TEXT]);

#endif
