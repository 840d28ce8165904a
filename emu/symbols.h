/* symbols.h: what cuGetProcAddress finds: base name, function, and since which CUDA version (x1000 + x10)
 * that function is what the name means. A name's rows stand oldest first. */
#ifndef EMU_SYMBOLS_H
#define EMU_SYMBOLS_H

/* clang-format off */
#define DRIVER_SYMBOLS(X) \
X("cuInit",                          cuInit,                          2000)  \
X("cuDriverGetVersion",              cuDriverGetVersion,              2020)  \
X("cuGetErrorName",                  cuGetErrorName,                  6000)  \
X("cuGetErrorString",                cuGetErrorString,                6000)  \
X("cuGetProcAddress",                cuGetProcAddress,                11030) \
X("cuGetProcAddress",                cuGetProcAddress_v2,             12000) \
X("cuDeviceGet",                     cuDeviceGet,                     2000)  \
X("cuDeviceGetCount",                cuDeviceGetCount,                2000)  \
X("cuDeviceGetName",                 cuDeviceGetName,                 2000)  \
X("cuDeviceGetUuid",                 cuDeviceGetUuid,                 9020)  \
X("cuDeviceGetUuid",                 cuDeviceGetUuid_v2,              11040) \
X("cuDeviceTotalMem",                cuDeviceTotalMem_v2,             3020)  \
X("cuDeviceGetAttribute",            cuDeviceGetAttribute,            2000)  \
X("cuDeviceComputeCapability",       cuDeviceComputeCapability,       2000)  \
X("cuDevicePrimaryCtxRetain",        cuDevicePrimaryCtxRetain,        7000)  \
X("cuDevicePrimaryCtxRelease",       cuDevicePrimaryCtxRelease_v2,    7000)  \
X("cuDevicePrimaryCtxReset",         cuDevicePrimaryCtxReset_v2,      7000)  \
X("cuDevicePrimaryCtxGetState",      cuDevicePrimaryCtxGetState,      7000)  \
X("cuDevicePrimaryCtxSetFlags",      cuDevicePrimaryCtxSetFlags_v2,   7000)  \
X("cuCtxCreate",                     cuCtxCreate_v2,                  3020)  \
X("cuCtxCreate",                     cuCtxCreate_v3,                  11040) \
X("cuCtxCreate",                     cuCtxCreate_v4,                  12050) \
X("cuCtxDestroy",                    cuCtxDestroy_v2,                 2000)  \
X("cuCtxPushCurrent",                cuCtxPushCurrent_v2,             2000)  \
X("cuCtxPopCurrent",                 cuCtxPopCurrent_v2,              2000)  \
X("cuCtxSetCurrent",                 cuCtxSetCurrent,                 4000)  \
X("cuCtxGetCurrent",                 cuCtxGetCurrent,                 4000)  \
X("cuCtxGetDevice",                  cuCtxGetDevice,                  2000)  \
X("cuCtxGetFlags",                   cuCtxGetFlags,                   7000)  \
X("cuCtxGetApiVersion",              cuCtxGetApiVersion,              3020)  \
X("cuCtxSynchronize",                cuCtxSynchronize,                2000)  \
X("cuModuleLoad",                    cuModuleLoad,                    2000)  \
X("cuModuleLoadData",                cuModuleLoadData,                2000)  \
X("cuModuleLoadDataEx",              cuModuleLoadDataEx,              2010)  \
X("cuModuleUnload",                  cuModuleUnload,                  2000)  \
X("cuModuleGetFunction",             cuModuleGetFunction,             2000)  \
X("cuModuleGetFunctionCount",        cuModuleGetFunctionCount,        12040) \
X("cuFuncGetAttribute",              cuFuncGetAttribute,              2020)  \
X("cuFuncSetAttribute",              cuFuncSetAttribute,              9000)  \
X("cuFuncSetCacheConfig",            cuFuncSetCacheConfig,            3000)  \
X("cuFuncGetModule",                 cuFuncGetModule,                 11000) \
X("cuFuncGetName",                   cuFuncGetName,                   12030) \
X("cuLaunchKernel",                  cuLaunchKernel,                  4000)  \
X("cuLaunchKernelEx",                cuLaunchKernelEx,                11060) \
X("cuOccupancyMaxActiveBlocksPerMultiprocessor", cuOccupancyMaxActiveBlocksPerMultiprocessor, 6050) \
X("cuMemGetInfo",                    cuMemGetInfo_v2,                 3020)  \
X("cuMemAlloc",                      cuMemAlloc_v2,                   3020)  \
X("cuMemFree",                       cuMemFree_v2,                    3020)  \
X("cuMemAllocHost",                  cuMemAllocHost_v2,               3020)  \
X("cuMemFreeHost",                   cuMemFreeHost,                   2000)  \
X("cuMemcpy",                        cuMemcpy,                        4000)  \
X("cuMemcpyAsync",                   cuMemcpyAsync,                   4000)  \
X("cuMemcpyHtoD",                    cuMemcpyHtoD_v2,                 3020)  \
X("cuMemcpyDtoH",                    cuMemcpyDtoH_v2,                 3020)  \
X("cuMemcpyDtoD",                    cuMemcpyDtoD_v2,                 3020)  \
X("cuMemcpyHtoDAsync",               cuMemcpyHtoDAsync_v2,            3020)  \
X("cuMemcpyDtoHAsync",               cuMemcpyDtoHAsync_v2,            3020)  \
X("cuMemcpyDtoDAsync",               cuMemcpyDtoDAsync_v2,            3020)  \
X("cuMemsetD8",                      cuMemsetD8_v2,                   3020)  \
X("cuMemsetD16",                     cuMemsetD16_v2,                  3020)  \
X("cuMemsetD32",                     cuMemsetD32_v2,                  3020)  \
X("cuMemsetD8Async",                 cuMemsetD8Async,                 3020)  \
X("cuMemsetD16Async",                cuMemsetD16Async,                3020)  \
X("cuMemsetD32Async",                cuMemsetD32Async,                3020)  \
X("cuPointerGetAttribute",           cuPointerGetAttribute,           4000)  \
X("cuStreamCreate",                  cuStreamCreate,                  2000)  \
X("cuStreamCreateWithPriority",      cuStreamCreateWithPriority,      5050)  \
X("cuStreamDestroy",                 cuStreamDestroy_v2,              2000)  \
X("cuStreamSynchronize",             cuStreamSynchronize,             2000)  \
X("cuStreamQuery",                   cuStreamQuery,                   2000)  \
X("cuStreamWaitEvent",               cuStreamWaitEvent,               3020)  \
X("cuStreamIsCapturing",             cuStreamIsCapturing,             10000) \
X("cuEventCreate",                   cuEventCreate,                   2000)  \
X("cuEventDestroy",                  cuEventDestroy_v2,               2000)  \
X("cuEventRecord",                   cuEventRecord,                   2000)  \
X("cuEventSynchronize",              cuEventSynchronize,              2000)  \
X("cuEventQuery",                    cuEventQuery,                    2000)  \
X("cuEventElapsedTime",              cuEventElapsedTime,              2000)  \
X("cuEventElapsedTime",              cuEventElapsedTime_v2,           12080)
/* clang-format on */
#endif
