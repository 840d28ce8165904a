/* driver.h: the CUDA driver, opened at run time. */
#ifndef RUNTIME_DRIVER_H
#define RUNTIME_DRIVER_H

#include "runtime/cuda_abi.h"
#include "runtime/driver_symbols.h"
#include "runtime/status.h"

enum { RT_MIN_DRIVER_VERSION = 11000 }; /* of CUDA: the first that knows sm_80 */

typedef struct RtDriver {
    void *library; /* of dlopen */
    int version;   /* of CUDA: 13000 is 13.0 */
#define X(name, symbol, version, need, arguments) CUresult (*name) arguments;
    RT_DRIVER_SYMBOLS(X)
#undef X
} RtDriver;

/* Opens a driver (NULL: libcuda.so.1), finds its functions and initialises it. */
ts_status rt_driver_open(RtDriver *driver, const char *library);
void rt_driver_close(RtDriver *driver);

/* A CUDA device of this ordinal, or the status that says how many there are. */
ts_status rt_driver_device(const RtDriver *driver, int ordinal, CUdevice *device);
ts_status rt_driver_device_info(const RtDriver *driver, CUdevice device, ts_device_info *info);

/* Turns what the driver said into a status and a sentence: "allocating 64 B: out of device memory ... ". The
 * format says what was being done; it is read only when `result` is an error. */
ts_status rt_driver_check(const RtDriver *driver, CUresult result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The status that a result maps to, for callers with a better sentence of their own. */
ts_status rt_driver_status(CUresult result);

#endif
