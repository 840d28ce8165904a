/* driver_symbols.h: the functions of the CUDA driver that the runtime calls, one row each.
 *
 *     name       as cuGetProcAddress knows it, and as a field of RtDriver
 *     symbol     as the library exports it
 *     version    of CUDA (x1000) whose form of the function is meant: cuGetProcAddress(name, version) gives that
 *                form and no later one
 *     need       REQUIRED, or OPTIONAL: the field may be NULL
 *     arguments  checked against cuda.h by tests/unit/cuda_abi.c
 */
#ifndef RUNTIME_DRIVER_SYMBOLS_H
#define RUNTIME_DRIVER_SYMBOLS_H

/* clang-format off */
#define RT_DRIVER_SYMBOLS(X) \
X(cuInit,                    cuInit,                        2000, REQUIRED, (unsigned int flags)) \
X(cuDriverGetVersion,        cuDriverGetVersion,            2020, REQUIRED, (int *version)) \
X(cuGetErrorName,            cuGetErrorName,                6000, REQUIRED, (CUresult error, const char **name)) \
X(cuGetErrorString,          cuGetErrorString,              6000, REQUIRED, (CUresult error, const char **text)) \
/* devices */ \
X(cuDeviceGetCount,          cuDeviceGetCount,              2000, REQUIRED, (int *count)) \
X(cuDeviceGet,               cuDeviceGet,                   2000, REQUIRED, (CUdevice *device, int ordinal)) \
X(cuDeviceGetName,           cuDeviceGetName,               2000, REQUIRED, (char *name, int bytes, CUdevice device)) \
X(cuDeviceGetAttribute,      cuDeviceGetAttribute,          2000, REQUIRED, (int *value, CUdevice_attribute attribute, CUdevice device)) \
X(cuDeviceTotalMem,          cuDeviceTotalMem_v2,           3020, REQUIRED, (size_t *bytes, CUdevice device)) \
/* contexts */ \
X(cuDevicePrimaryCtxRetain,  cuDevicePrimaryCtxRetain,      7000, REQUIRED, (CUcontext *context, CUdevice device)) \
X(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, 11000, REQUIRED, (CUdevice device)) \
X(cuCtxGetCurrent,           cuCtxGetCurrent,               4000, REQUIRED, (CUcontext *context)) \
X(cuCtxPushCurrent,          cuCtxPushCurrent_v2,           4000, REQUIRED, (CUcontext context)) \
X(cuCtxPopCurrent,           cuCtxPopCurrent_v2,            4000, REQUIRED, (CUcontext *context)) \
X(cuCtxGetDevice,            cuCtxGetDevice,                2000, REQUIRED, (CUdevice *device)) \
/* modules and functions */ \
X(cuModuleLoadDataEx,        cuModuleLoadDataEx,            2010, REQUIRED, (CUmodule *module, const void *image, unsigned int n_options, CUjit_option *options, void **values)) \
X(cuModuleUnload,            cuModuleUnload,                2000, REQUIRED, (CUmodule module)) \
X(cuModuleGetFunction,       cuModuleGetFunction,           2000, REQUIRED, (CUfunction *function, CUmodule module, const char *name)) \
X(cuFuncGetAttribute,        cuFuncGetAttribute,            2020, REQUIRED, (int *value, CUfunction_attribute attribute, CUfunction function)) \
X(cuFuncSetAttribute,        cuFuncSetAttribute,            9000, REQUIRED, (CUfunction function, CUfunction_attribute attribute, int value)) \
X(cuOccupancyMaxActiveBlocksPerMultiprocessor, cuOccupancyMaxActiveBlocksPerMultiprocessor, 6050, OPTIONAL, (int *blocks, CUfunction function, int block_threads, size_t smem_bytes)) \
X(cuOccupancyMaxActiveClusters, cuOccupancyMaxActiveClusters, 11070, OPTIONAL, (int *clusters, CUfunction function, const CUlaunchConfig *config)) \
X(cuLaunchKernel,            cuLaunchKernel,                4000, REQUIRED, (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int smem_bytes, CUstream stream, void **params, void **extra)) \
X(cuLaunchKernelEx,          cuLaunchKernelEx,             11060, OPTIONAL, (const CUlaunchConfig *config, CUfunction function, void **params, void **extra)) \
X(cuTensorMapEncodeTiled,    cuTensorMapEncodeTiled,       12000, OPTIONAL, (CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address, const cuuint64_t *dims, const cuuint64_t *strides, const cuuint32_t *box, const cuuint32_t *element_strides, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)) \
/* memory */ \
X(cuMemAlloc,                cuMemAlloc_v2,                 3020, REQUIRED, (CUdeviceptr *address, size_t bytes)) \
X(cuMemFree,                 cuMemFree_v2,                  3020, REQUIRED, (CUdeviceptr address)) \
X(cuMemcpyHtoD,              cuMemcpyHtoD_v2,               3020, REQUIRED, (CUdeviceptr to, const void *from, size_t bytes)) \
X(cuMemcpyDtoH,              cuMemcpyDtoH_v2,               3020, REQUIRED, (void *to, CUdeviceptr from, size_t bytes)) \
X(cuMemsetD8,                cuMemsetD8_v2,                 3020, REQUIRED, (CUdeviceptr to, unsigned char byte, size_t bytes)) \
/* streams and events */ \
X(cuStreamCreate,            cuStreamCreate,                2000, REQUIRED, (CUstream *stream, unsigned int flags)) \
X(cuStreamDestroy,           cuStreamDestroy_v2,            4000, REQUIRED, (CUstream stream)) \
X(cuStreamSynchronize,       cuStreamSynchronize,           2000, REQUIRED, (CUstream stream)) \
X(cuStreamIsCapturing,       cuStreamIsCapturing,          10000, REQUIRED, (CUstream stream, CUstreamCaptureStatus *status)) \
X(cuEventCreate,             cuEventCreate,                 2000, REQUIRED, (CUevent *event, unsigned int flags)) \
X(cuEventDestroy,            cuEventDestroy_v2,             4000, REQUIRED, (CUevent event)) \
X(cuEventRecord,             cuEventRecord,                 2000, REQUIRED, (CUevent event, CUstream stream)) \
X(cuEventSynchronize,        cuEventSynchronize,            2000, REQUIRED, (CUevent event)) \
X(cuEventElapsedTime,        cuEventElapsedTime,            2000, REQUIRED, (float *milliseconds, CUevent start, CUevent stop)) \
/* graphs: the driver has all of these or the runtime uses none */ \
X(cuStreamBeginCapture,      cuStreamBeginCapture_v2,      10010, OPTIONAL, (CUstream stream, CUstreamCaptureMode mode)) \
X(cuStreamEndCapture,        cuStreamEndCapture,           10000, OPTIONAL, (CUstream stream, CUgraph *graph)) \
X(cuGraphInstantiateWithFlags, cuGraphInstantiateWithFlags, 11040, OPTIONAL, (CUgraphExec *exec, CUgraph graph, unsigned long long flags)) \
X(cuGraphDestroy,            cuGraphDestroy,               10000, OPTIONAL, (CUgraph graph)) \
X(cuGraphExecDestroy,        cuGraphExecDestroy,           10000, OPTIONAL, (CUgraphExec exec)) \
X(cuGraphLaunch,             cuGraphLaunch,                10000, OPTIONAL, (CUgraphExec exec, CUstream stream))
/* clang-format on */

#endif
