/* tune.h: measured configurations, and measuring them. */
#ifndef DISPATCH_TUNE_H
#define DISPATCH_TUNE_H

#include "dispatch/problem.h"
#include "dispatch/settings.h"

/* The config that stored measurements say is best for a problem on this device and driver, with the kernels that the
 * generator writes now; false: there are none. A store that cannot be read is said in the log. */
bool rt_tuned(const ts_context *context, const RtSettings *settings, const GenProblem *problem, GenConfig *config);

/* ts_tune() of arguments that were read, packed where they are, not empty and not pinned; *winner is a config. */
ts_status rt_tune(ts_context *context, const RtSettings *settings, const ts_linear_args *args,
                  const ts_tune_options *options, GenConfig *winner, ts_tune_report **report);

#endif
