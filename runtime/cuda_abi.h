/* cuda_abi.h: the little of the CUDA driver's ABI that the runtime uses, so that it builds without the toolkit.
 *
 * Names and numbers are those of cuda.h. tests/unit/cuda_abi.c includes the lists beside cuda.h (with
 * RUNTIME_CUDA_LISTS_ONLY) and compares each one.
 */
#ifndef RUNTIME_CUDA_ABI_H
#define RUNTIME_CUDA_ABI_H

/* clang-format off */
#define RT_CUDA_RESULTS(X)                          \
    X(CUDA_SUCCESS, 0)                              \
    X(CUDA_ERROR_INVALID_VALUE, 1)                  \
    X(CUDA_ERROR_OUT_OF_MEMORY, 2)                  \
    X(CUDA_ERROR_NOT_INITIALIZED, 3)                \
    X(CUDA_ERROR_DEINITIALIZED, 4)                  \
    X(CUDA_ERROR_STUB_LIBRARY, 34)                  \
    X(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, 36)    \
    X(CUDA_ERROR_DEVICE_UNAVAILABLE, 46)            \
    X(CUDA_ERROR_NO_DEVICE, 100)                    \
    X(CUDA_ERROR_INVALID_DEVICE, 101)               \
    X(CUDA_ERROR_INVALID_IMAGE, 200)                \
    X(CUDA_ERROR_INVALID_CONTEXT, 201)              \
    X(CUDA_ERROR_NO_BINARY_FOR_GPU, 209)            \
    X(CUDA_ERROR_INVALID_PTX, 218)                  \
    X(CUDA_ERROR_ECC_UNCORRECTABLE, 214)            \
    X(CUDA_ERROR_NVLINK_UNCORRECTABLE, 220)         \
    X(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, 221)       \
    X(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222)      \
    X(CUDA_ERROR_JIT_COMPILATION_DISABLED, 223)     \
    X(CUDA_ERROR_INVALID_SOURCE, 300)               \
    X(CUDA_ERROR_INVALID_HANDLE, 400)               \
    X(CUDA_ERROR_NOT_FOUND, 500)                    \
    X(CUDA_ERROR_NOT_READY, 600)                    \
    X(CUDA_ERROR_ILLEGAL_ADDRESS, 700)              \
    X(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, 701)      \
    X(CUDA_ERROR_LAUNCH_TIMEOUT, 702)               \
    X(CUDA_ERROR_CONTEXT_IS_DESTROYED, 709)         \
    X(CUDA_ERROR_ASSERT, 710)                       \
    X(CUDA_ERROR_HARDWARE_STACK_ERROR, 714)         \
    X(CUDA_ERROR_ILLEGAL_INSTRUCTION, 715)          \
    X(CUDA_ERROR_MISALIGNED_ADDRESS, 716)           \
    X(CUDA_ERROR_INVALID_ADDRESS_SPACE, 717)        \
    X(CUDA_ERROR_INVALID_PC, 718)                   \
    X(CUDA_ERROR_LAUNCH_FAILED, 719)                \
    X(CUDA_ERROR_SYSTEM_NOT_READY, 802)             \
    X(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, 803)       \
    X(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, 804) \
    X(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900)   \
    X(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901)   \
    X(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906)      \
    X(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, 908)  \
    X(CUDA_ERROR_UNKNOWN, 999)

#define RT_CUDA_DEVICE_ATTRIBUTES(X)                                \
    X(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)                 \
    X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75)             \
    X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76)             \
    X(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 97)

#define RT_CUDA_FUNCTION_ATTRIBUTES(X)                              \
    X(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0)                   \
    X(CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, 3)                        \
    X(CU_FUNC_ATTRIBUTE_NUM_REGS, 4)                                \
    X(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 8)           \
    X(CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 9)

#define RT_CUDA_JIT_OPTIONS(X)                                      \
    X(CU_JIT_INFO_LOG_BUFFER, 3)                                    \
    X(CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, 4)                         \
    X(CU_JIT_ERROR_LOG_BUFFER, 5)                                   \
    X(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, 6)                        \
    X(CU_JIT_LOG_VERBOSE, 12)

#define RT_CUDA_CAPTURE_STATUSES(X)                                 \
    X(CU_STREAM_CAPTURE_STATUS_NONE, 0)                             \
    X(CU_STREAM_CAPTURE_STATUS_ACTIVE, 1)                           \
    X(CU_STREAM_CAPTURE_STATUS_INVALIDATED, 2)

#define RT_CUDA_CAPTURE_MODES(X) X(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, 1)
#define RT_CUDA_PROC_FLAGS(X) X(CU_GET_PROC_ADDRESS_DEFAULT, 0)
#define RT_CUDA_PROC_RESULTS(X) X(CU_GET_PROC_ADDRESS_SUCCESS, 0)
#define RT_CUDA_STREAM_FLAGS(X) X(CU_STREAM_DEFAULT, 0)
#define RT_CUDA_EVENT_FLAGS(X) X(CU_EVENT_DEFAULT, 0)

#define RT_CUDA_TENSOR_MAP_TYPES(X)                                 \
    X(CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 6)                           \
    X(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 7)                           \
    X(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 9)

#define RT_CUDA_TENSOR_MAP_INTERLEAVES(X) X(CU_TENSOR_MAP_INTERLEAVE_NONE, 0)
#define RT_CUDA_TENSOR_MAP_SWIZZLES(X) X(CU_TENSOR_MAP_SWIZZLE_NONE, 0) X(CU_TENSOR_MAP_SWIZZLE_128B, 3)
#define RT_CUDA_TENSOR_MAP_PROMOTIONS(X) X(CU_TENSOR_MAP_L2_PROMOTION_L2_128B, 2)
#define RT_CUDA_TENSOR_MAP_FILLS(X) X(CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE, 0)
#define RT_CUDA_LAUNCH_ATTRIBUTES(X) X(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, 6)

/* The enums: name, list. */
#define RT_CUDA_ENUMS(X)                                            \
    X(CUresult, RT_CUDA_RESULTS)                                    \
    X(CUdevice_attribute, RT_CUDA_DEVICE_ATTRIBUTES)                \
    X(CUfunction_attribute, RT_CUDA_FUNCTION_ATTRIBUTES)            \
    X(CUjit_option, RT_CUDA_JIT_OPTIONS)                            \
    X(CUstreamCaptureStatus, RT_CUDA_CAPTURE_STATUSES)              \
    X(CUstreamCaptureMode, RT_CUDA_CAPTURE_MODES)                   \
    X(CUdriverProcAddress_flags, RT_CUDA_PROC_FLAGS)                \
    X(CUdriverProcAddressQueryResult, RT_CUDA_PROC_RESULTS)         \
    X(CUstream_flags, RT_CUDA_STREAM_FLAGS)                         \
    X(CUevent_flags, RT_CUDA_EVENT_FLAGS)                           \
    X(CUtensorMapDataType, RT_CUDA_TENSOR_MAP_TYPES)                \
    X(CUtensorMapInterleave, RT_CUDA_TENSOR_MAP_INTERLEAVES)        \
    X(CUtensorMapSwizzle, RT_CUDA_TENSOR_MAP_SWIZZLES)              \
    X(CUtensorMapL2promotion, RT_CUDA_TENSOR_MAP_PROMOTIONS)        \
    X(CUtensorMapFloatOOBfill, RT_CUDA_TENSOR_MAP_FILLS)            \
    X(CUlaunchAttributeID, RT_CUDA_LAUNCH_ATTRIBUTES)

/* Other types: name, bytes. */
#define RT_CUDA_TYPES(X)                                            \
    X(CUdevice, 4)                                                  \
    X(CUdeviceptr, 8)                                               \
    X(CUcontext, 8)                                                 \
    X(CUmodule, 8)                                                  \
    X(CUfunction, 8)                                                \
    X(CUstream, 8)                                                  \
    X(CUevent, 8)                                                   \
    X(CUgraph, 8)                                                   \
    X(CUgraphExec, 8)                                               \
    X(CUtensorMap, 128)                                             \
    X(CUlaunchAttribute, 72)                                        \
    X(CUlaunchConfig, 56)
/* clang-format on */

#ifndef RUNTIME_CUDA_LISTS_ONLY
#include <stdint.h>

#define RT_X_(name, number) name = number,
#define RT_ENUM_(type, list) typedef enum type { list(RT_X_) } type;
RT_CUDA_ENUMS(RT_ENUM_)
#undef RT_ENUM_
#undef RT_X_

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef uint64_t cuuint64_t;
typedef uint32_t cuuint32_t;
typedef struct CUtensorMap { _Alignas(64) cuuint64_t opaque[16]; } CUtensorMap;
typedef struct CUlaunchAttribute {
    CUlaunchAttributeID id;
    char pad[4];
    union { int programmaticStreamSerializationAllowed; char bytes[64]; } value;
} CUlaunchAttribute;
typedef struct CUlaunchConfig {
    unsigned int gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
    CUstream hStream;
    CUlaunchAttribute *attrs;
    unsigned int numAttrs;
} CUlaunchConfig;
#endif

#endif
