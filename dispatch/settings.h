/* settings.h: what users set for a context, by its options or in the environment; options win.
 *
 *     option        environment
 *     (set_config)  TILESMITH_CONFIG           the configuration to use for every problem
 *     tuning        TILESMITH_DISABLE_TUNING   1: stored measurements are not used, and ts_tune() refuses
 *     cache_dir     TILESMITH_CACHE_DIR        where measurements are stored; else $XDG_CACHE_HOME/tilesmith, else
 *                                              $HOME/.cache/tilesmith
 *                   TILESMITH_ARCH             whose kernels to use, sm_80 say, of those that the device runs; else
 *                                              the newest
 *     log           TILESMITH_LOG              a file to which a line is added for each choice, or "stderr"
 *
 * A variable that is empty counts as unset. */
#ifndef DISPATCH_SETTINGS_H
#define DISPATCH_SETTINGS_H

#include <stdio.h>

#include "gen/gen.h"
#include "runtime/context.h"

typedef struct RtSettings {
    const char *config; /* of the environment; NULL: none */
    const GenArch *arch;
    ts_tuning tuning;   /* not TS_TUNING_DEFAULT */
    char *cache_dir;    /* NULL: there is no place for one */
    FILE *log;          /* NULL: none */
} RtSettings;

/* Reads options and environment. What was opened or allocated is given back by rt_settings_free(), after failures
 * too. */
ts_status rt_settings_read(const ts_context *context, RtSettings *settings);
void rt_settings_free(RtSettings *settings);

/* A line in the log, where there is one: "tilesmith: ...". */
void rt_log(const RtSettings *settings, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
