/* cuda_abi.h: the part of the CUDA driver's binary interface that the emulator speaks.
 *
 * Names and numbers are those of CUDA 13's cuda.h; nothing of the toolkit is needed to build. Enumerations
 * are passed as int, as in C. tests/unit/cuda_abi.c includes the lists beside cuda.h (with
 * EMU_CUDA_LISTS_ONLY) and compares each one.
 */
#ifndef EMU_CUDA_ABI_H
#define EMU_CUDA_ABI_H

/* clang-format off */
/* code, name, text as cuGetErrorString gives it */
#define CUDA_RESULTS(X) \
X(0,   CUDA_SUCCESS,                         "no error") \
X(1,   CUDA_ERROR_INVALID_VALUE,             "invalid argument") \
X(2,   CUDA_ERROR_OUT_OF_MEMORY,             "out of memory") \
X(3,   CUDA_ERROR_NOT_INITIALIZED,           "initialization error") \
X(100, CUDA_ERROR_NO_DEVICE,                 "no CUDA-capable device is detected") \
X(101, CUDA_ERROR_INVALID_DEVICE,            "invalid device ordinal") \
X(200, CUDA_ERROR_INVALID_IMAGE,             "device kernel image is invalid") \
X(201, CUDA_ERROR_INVALID_CONTEXT,           "invalid device context") \
X(209, CUDA_ERROR_NO_BINARY_FOR_GPU,         "no kernel image is available for execution on the device") \
X(218, CUDA_ERROR_INVALID_PTX,               "a PTX JIT compilation failed") \
X(222, CUDA_ERROR_UNSUPPORTED_PTX_VERSION,   "the provided PTX was compiled with an unsupported toolchain.") \
X(301, CUDA_ERROR_FILE_NOT_FOUND,            "file not found") \
X(400, CUDA_ERROR_INVALID_HANDLE,            "invalid resource handle") \
X(500, CUDA_ERROR_NOT_FOUND,                 "named symbol not found") \
X(600, CUDA_ERROR_NOT_READY,                 "device not ready") \
X(700, CUDA_ERROR_ILLEGAL_ADDRESS,           "an illegal memory access was encountered") \
X(701, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,   "too many resources requested for launch") \
X(702, CUDA_ERROR_LAUNCH_TIMEOUT,            "the launch timed out and was terminated") \
X(709, CUDA_ERROR_CONTEXT_IS_DESTROYED,      "context is destroyed") \
X(716, CUDA_ERROR_MISALIGNED_ADDRESS,        "misaligned address") \
X(719, CUDA_ERROR_LAUNCH_FAILED,             "unspecified launch failure") \
X(801, CUDA_ERROR_NOT_SUPPORTED,             "operation not supported") \
X(900, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing") \
X(901, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture") \
X(906, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,   "operation would make the legacy stream depend on a capturing blocking stream") \
X(908, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "attempt to terminate a thread-local capture sequence from another thread") \
X(912, CUDA_ERROR_INVALID_CLUSTER_SIZE,      "cluster misconfiguration") \
X(999, CUDA_ERROR_UNKNOWN,                   "unknown error")
/* All other constants: name, number. */
#define CUDA_CONSTANTS(X) \
X(CU_LAUNCH_ATTRIBUTE_IGNORE, 0) \
X(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, 4) \
X(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, 6) \
X(CU_JIT_WALL_TIME, 2) \
X(CU_JIT_INFO_LOG_BUFFER, 3) \
X(CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, 4) \
X(CU_JIT_ERROR_LOG_BUFFER, 5) \
X(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, 6) \
X(CU_JIT_LOG_VERBOSE, 12) \
X(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0) \
X(CU_FUNC_ATTRIBUTE_NUM_REGS, 4) \
X(CU_FUNC_ATTRIBUTE_PTX_VERSION, 5) \
X(CU_FUNC_ATTRIBUTE_BINARY_VERSION, 6) \
X(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 8) \
X(CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 9) \
X(CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET, 10) \
X(CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, 11) \
X(CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT, 12) \
X(CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH, 13) \
X(CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 14) \
X(CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE, 15) \
X(CU_POINTER_ATTRIBUTE_CONTEXT, 1) \
X(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, 2) \
X(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, 3) \
X(CU_POINTER_ATTRIBUTE_HOST_POINTER, 4) \
X(CU_POINTER_ATTRIBUTE_IS_MANAGED, 8) \
X(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, 9) \
X(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, 11) \
X(CU_POINTER_ATTRIBUTE_RANGE_SIZE, 12) \
X(CU_MEMORYTYPE_HOST, 1) \
X(CU_MEMORYTYPE_DEVICE, 2) \
X(CU_STREAM_NON_BLOCKING, 1) \
X(CU_STREAM_CAPTURE_MODE_GLOBAL, 0) \
X(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, 1) \
X(CU_STREAM_CAPTURE_MODE_RELAXED, 2) \
X(CU_STREAM_CAPTURE_STATUS_NONE, 0) \
X(CU_STREAM_CAPTURE_STATUS_ACTIVE, 1) \
X(CU_STREAM_CAPTURE_STATUS_INVALIDATED, 2) \
X(CU_GET_PROC_ADDRESS_SUCCESS, 0) \
X(CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND, 1) \
X(CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT, 2) \
X(CU_TENSOR_MAP_INTERLEAVE_NONE, 0) \
X(CU_TENSOR_MAP_INTERLEAVE_32B, 2) \
X(CU_TENSOR_MAP_SWIZZLE_NONE, 0) \
X(CU_TENSOR_MAP_SWIZZLE_32B, 1) \
X(CU_TENSOR_MAP_SWIZZLE_64B, 2) \
X(CU_TENSOR_MAP_SWIZZLE_128B, 3) \
X(CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B, 6) \
X(CU_TENSOR_MAP_L2_PROMOTION_L2_256B, 3) \
X(CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE, 0) \
X(CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA, 1)

/* Element types of a tensor map: name, number, bytes, whether floating point. The packed types after them (13 to
 * 15) are not supported. */
#define CUDA_TENSOR_MAP_TYPES(X) \
X(CU_TENSOR_MAP_DATA_TYPE_UINT8, 0, 1, 0) \
X(CU_TENSOR_MAP_DATA_TYPE_UINT16, 1, 2, 0) \
X(CU_TENSOR_MAP_DATA_TYPE_UINT32, 2, 4, 0) \
X(CU_TENSOR_MAP_DATA_TYPE_INT32, 3, 4, 0) \
X(CU_TENSOR_MAP_DATA_TYPE_UINT64, 4, 8, 0) \
X(CU_TENSOR_MAP_DATA_TYPE_INT64, 5, 8, 0) \
X(CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 6, 2, 1) \
X(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 7, 4, 1) \
X(CU_TENSOR_MAP_DATA_TYPE_FLOAT64, 8, 8, 1) \
X(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 9, 2, 1) \
X(CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ, 10, 4, 1) \
X(CU_TENSOR_MAP_DATA_TYPE_TFLOAT32, 11, 4, 1) \
X(CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ, 12, 4, 1)

/* Structures: name, bytes. */
#define CUDA_SIZES(X) \
X(CUlaunchConfig, 56) \
X(CUlaunchAttribute, 72) \
X(CUtensorMap, 128) \
X(CUuuid, 16)
/* clang-format on */

#ifndef EMU_CUDA_LISTS_ONLY
#include <stddef.h>
#include <stdint.h>

#define X(code, name, text) name = code,
typedef enum CUresult { CUDA_RESULTS(X) } CUresult;
#undef X

typedef uint64_t CUdeviceptr;
typedef int CUdevice;
typedef struct Context *CUcontext;
typedef struct Module *CUmodule;
typedef struct Function *CUfunction;
typedef struct Stream *CUstream;
typedef struct Event *CUevent;
typedef struct Graph *CUgraph, *CUgraphExec;
typedef struct CUuuid { char bytes[16]; } CUuuid;

#define CU_STREAM_LEGACY     ((CUstream)0x1)
#define CU_STREAM_PER_THREAD ((CUstream)0x2)

#define CU_LAUNCH_PARAM_END            ((void *)0x0)
#define CU_LAUNCH_PARAM_BUFFER_POINTER ((void *)0x1)
#define CU_LAUNCH_PARAM_BUFFER_SIZE    ((void *)0x2)

typedef struct CUlaunchConfig {
    unsigned gridDimX, gridDimY, gridDimZ;
    unsigned blockDimX, blockDimY, blockDimZ;
    unsigned sharedMemBytes;
    CUstream hStream;
    struct CUlaunchAttribute *attrs;
    unsigned numAttrs;
} CUlaunchConfig;

typedef struct CUlaunchAttribute {
    int id;
    char pad[8 - sizeof(int)];
    union { char bytes[64]; struct { unsigned x, y, z; } clusterDim; int programmaticStreamSerializationAllowed; } value;
} CUlaunchAttribute;

typedef struct CUtensorMap { _Alignas(64) uint64_t opaque[16]; } CUtensorMap;

#define X(name, number, ...) name = number,
enum { CUDA_CONSTANTS(X) };
enum { CUDA_TENSOR_MAP_TYPES(X) };
#undef X
#define X(type, bytes) _Static_assert(sizeof(type) == bytes, #type);
CUDA_SIZES(X)
#undef X
#endif

#endif
