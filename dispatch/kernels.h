/* kernels.h: the kernels of a context, generated and loaded when they are first needed. */
#ifndef DISPATCH_KERNELS_H
#define DISPATCH_KERNELS_H

#include "dispatch/problem.h"
#include "dispatch/settings.h"

/* The kernel of a problem: the pinned config, else one that was tuned, else the choice. stream NULL: whoever prepares
 * allows loading; else it is refused while the stream is capturing (TS_ERROR_NOT_READY). */
ts_status rt_kernels_find(ts_context *context, const ts_linear_args *args, const ts_stream *stream,
                          ts_kernel **kernel);
/* What is packed of a problem (args as a GenProblem), as gen_choose_packing() has it. */
ts_status rt_kernels_choose_packing(ts_context *context, const ts_linear_args *args, const GenProblem *problem,
                                    bool *pack_x, bool *pack_w);
/* The kernel that packs rows of x and of W, as W's type, likewise; strided: with gaps between their elements. */
ts_status rt_kernels_find_packing(ts_context *context, const ts_linear_args *args, bool strided,
                                  const ts_stream *stream, ts_kernel **kernel);
/* From now on a problem's kernel is that of this config, which is loaded. */
ts_status rt_kernels_replace(ts_context *context, const ts_linear_args *args, const GenConfig *config);

/* Whether a config is pinned, and with which name: NULL if none is. */
ts_status rt_kernels_pinned(ts_context *context, const char **config);
/* The config that a problem's kernel is chosen to have. */
ts_status rt_kernels_choose(ts_context *context, const ts_linear_args *args, GenConfig *config);
/* The problem as kernels of the context's arch have it. */
ts_status rt_kernels_problem(ts_context *context, const ts_linear_args *args, GenProblem *problem);
/* Of the context, read once. */
ts_status rt_kernels_settings(ts_context *context, const RtSettings **settings);

#endif
