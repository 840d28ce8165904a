/* context.h: what a ts_context holds, and how the rest of the runtime works in it. */
#ifndef RUNTIME_CONTEXT_H
#define RUNTIME_CONTEXT_H

#include <stdatomic.h>

#include "runtime/driver.h"

/* What the full library hangs on a context (its cache of kernels); destroyed with it. */
typedef struct RtExtension {
    void (*destroy)(struct RtExtension *extension);
} RtExtension;

struct ts_context {
    RtDriver driver;
    CUdevice device;
    CUcontext cuda;
    bool retained;     /* `cuda` is the primary context, and a reference to it is ours */
    atomic_int users;  /* the caller, and each kernel and timer */
    ts_device_info info;
    bool no_early_start;    /* as the options say, and so on */
    char *cache_dir, *log;  /* NULL: not given */
    ts_tuning tuning;
    _Atomic(RtExtension *) extension;
};

/* The last user frees the context; kernels and timers may so outlive ts_context_destroy(). */
ts_context *rt_context_use(ts_context *context);
void rt_context_drop(ts_context *context);

/* Makes the context's CUDA context current until rt_leave(*pushed), which puts back what was there. */
ts_status rt_enter(const ts_context *context, bool *pushed);
void rt_leave(const ts_context *context, bool pushed);

#endif
