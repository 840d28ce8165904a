/* emu_driver.h: the few driver functions that the emulator's tests call, opened from any libcuda.so.1. */
#ifndef TESTS_EMU_DRIVER_H
#define TESTS_EMU_DRIVER_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* name, exported name, parameters */
#define DRIVER_FUNCTIONS(X)                                                                                  \
    X(init, "cuInit", (unsigned))                                                                            \
    X(error_name, "cuGetErrorName", (int, const char **))                                                    \
    X(proc_address, "cuGetProcAddress_v2", (const char *, void **, int, uint64_t, int *))                    \
    X(device_name, "cuDeviceGetName", (char *, int, int))                                                    \
    X(device_attribute, "cuDeviceGetAttribute", (int *, int, int))                                           \
    X(context_create, "cuCtxCreate_v2", (void **, unsigned, int))                                            \
    X(context_destroy, "cuCtxDestroy_v2", (void *))                                                          \
    X(context_set, "cuCtxSetCurrent", (void *))                                                              \
    X(synchronize, "cuCtxSynchronize", (void))                                                               \
    X(load, "cuModuleLoadDataEx", (void **, const void *, unsigned, int *, void **))                         \
    X(unload, "cuModuleUnload", (void *))                                                                    \
    X(function, "cuModuleGetFunction", (void **, void *, const char *))                                      \
    X(set_attribute, "cuFuncSetAttribute", (void *, int, int))                                               \
    X(function_attribute, "cuFuncGetAttribute", (int *, int, void *))                                        \
    X(alloc, "cuMemAlloc_v2", (uint64_t *, size_t))                                                          \
    X(release, "cuMemFree_v2", (uint64_t))                                                                   \
    X(to_device, "cuMemcpyHtoD_v2", (uint64_t, const void *, size_t))                                        \
    X(to_host, "cuMemcpyDtoH_v2", (void *, uint64_t, size_t))                                                \
    X(fill32, "cuMemsetD32_v2", (uint64_t, unsigned, size_t))                                                \
    X(stream_create, "cuStreamCreate", (void **, unsigned))                                                  \
    X(stream_destroy, "cuStreamDestroy_v2", (void *))                                                        \
    X(stream_synchronize, "cuStreamSynchronize", (void *))                                                   \
    X(event_create, "cuEventCreate", (void **, unsigned))                                                    \
    X(event_record, "cuEventRecord", (void *, void *))                                                       \
    X(event_elapsed, "cuEventElapsedTime", (float *, void *, void *))                                        \
    X(event_destroy, "cuEventDestroy_v2", (void *))                                                          \
    X(launch, "cuLaunchKernel",                                                                              \
      (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,        \
       void **))                                                                                             \
    X(launch_ex, "cuLaunchKernelEx", (const LaunchConfig *, void *, void **, void **))                       \
    X(max_clusters, "cuOccupancyMaxActiveClusters", (int *, void *, const LaunchConfig *))                   \
    X(encode_map, "cuTensorMapEncodeTiled",                                                                  \
      (TensorMapBytes *, int, uint32_t, uint64_t, const uint64_t *, const uint64_t *, const uint32_t *,      \
       const uint32_t *, int, int, int, int))

typedef struct LaunchAttribute {
    int id, pad;
    union { unsigned cluster[3]; int yes; char bytes[64]; } value;
} LaunchAttribute;

typedef struct LaunchConfig {
    unsigned grid[3], block[3], shared_bytes;
    void *stream;
    LaunchAttribute *attributes;
    unsigned n_attributes;
} LaunchConfig;

typedef struct TensorMapBytes { _Alignas(64) unsigned char byte[128]; } TensorMapBytes;

typedef struct Driver {
    void *library;
#define X(name, symbol, parameters) int(*name) parameters;
    DRIVER_FUNCTIONS(X)
#undef X
} Driver;

static inline bool driver_open(Driver *d, const char *path)
{
    d->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!d->library) {
        printf("# %s\n", dlerror());
        return false;
    }
#define X(name, symbol, parameters)                     \
    *(void **)&d->name = dlsym(d->library, symbol);     \
    if (!d->name) {                                     \
        printf("# %s has no %s\n", path, symbol);       \
        return false;                                   \
    }
    DRIVER_FUNCTIONS(X)
#undef X
    return true;
}

static inline const char *emulator_path(void)
{
    const char *path = getenv("TILESMITH_EMU_LIB");
    return path ? path : "build/emu/libcuda.so.1";
}

#endif
