/* libcuda_device.c: the one device, and contexts: the primary one, created ones, each thread's stack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/device.h"
#include "emu/driver_api.h"
#include "emu/libcuda.h"

/* ---- the device ---- */

/* sm, SMs; shared memory of a block and of an SM; threads and blocks of an SM; clock kHz, memory clock kHz,
 * bus bits, L2: of the A100, A10, RTX 4090, H100 and RTX 5090, as CUDA's guide and data sheets have them. */
static const Chip chips[] = {
    {80,  108, 166912, 167936, 2048, 32, 1410000, 1215000,  5120, 40 << 20},
    {86,  72,  101376, 102400, 1536, 16, 1695000, 6251000,  384,  6 << 20},
    {89,  128, 101376, 102400, 1536, 24, 2520000, 10501000, 384,  72 << 20},
    {90,  132, 232448, 233472, 2048, 32, 1980000, 2619000,  5120, 50 << 20},
    {120, 170, 101376, 102400, 1536, 24, 2407000, 14001000, 512,  96 << 20},
};

static Chip selected;

const Chip *chip(void) { return &selected; }

bool chip_select(int sm, int sm_count)
{
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        if (chips[i].sm != sm) continue;
        selected = chips[i];
        if (sm_count) selected.sm_count = sm_count;
        return true;
    }
    return false;
}

/* clang-format off */
/* CU_DEVICE_ATTRIBUTE number, value */
#define DEVICE_ATTRIBUTES(X)                                         \
X(1,   1024)                     /* MAX_THREADS_PER_BLOCK */         \
X(2,   1024) X(3, 1024) X(4, 64) /* MAX_BLOCK_DIM_X, Y, Z */         \
X(5,   2147483647) X(6, 65535) X(7, 65535) /* MAX_GRID_DIM_X, Y, Z */ \
X(8,   49152)                    /* MAX_SHARED_MEMORY_PER_BLOCK */   \
X(9,   65536)                    /* TOTAL_CONSTANT_MEMORY */         \
X(10,  32)                       /* WARP_SIZE */                     \
X(11,  2147483647)               /* MAX_PITCH */                     \
X(12,  65536)                    /* MAX_REGISTERS_PER_BLOCK */       \
X(13,  c->clock_khz)             /* CLOCK_RATE */                    \
X(16,  c->sm_count)              /* MULTIPROCESSOR_COUNT */          \
X(17,  0)                        /* KERNEL_EXEC_TIMEOUT */           \
X(18,  0)                        /* INTEGRATED */                    \
X(19,  0)                        /* CAN_MAP_HOST_MEMORY */           \
X(20,  0)                        /* COMPUTE_MODE */                  \
X(31,  0)                        /* CONCURRENT_KERNELS */            \
X(32,  0)                        /* ECC_ENABLED */                   \
X(33,  0) X(34, 0) X(50, 0)      /* PCI_BUS_ID, PCI_DEVICE_ID, PCI_DOMAIN_ID */ \
X(36,  c->memory_clock_khz)      /* MEMORY_CLOCK_RATE */             \
X(37,  c->bus_bits)              /* GLOBAL_MEMORY_BUS_WIDTH */       \
X(38,  c->l2_bytes)              /* L2_CACHE_SIZE */                 \
X(39,  c->sm_threads)            /* MAX_THREADS_PER_MULTIPROCESSOR */ \
X(40,  0)                        /* ASYNC_ENGINE_COUNT */            \
X(41,  1)                        /* UNIFIED_ADDRESSING */            \
X(75,  c->sm / 10) X(76, c->sm % 10) /* COMPUTE_CAPABILITY_MAJOR, MINOR */ \
X(78,  1)                        /* STREAM_PRIORITIES_SUPPORTED */   \
X(81,  c->sm_shared_bytes)       /* MAX_SHARED_MEMORY_PER_MULTIPROCESSOR */ \
X(82,  65536)                    /* MAX_REGISTERS_PER_MULTIPROCESSOR */ \
X(83,  0)                        /* MANAGED_MEMORY */                \
X(95,  0)                        /* COOPERATIVE_LAUNCH */            \
X(97,  c->block_shared_bytes)    /* MAX_SHARED_MEMORY_PER_BLOCK_OPTIN */ \
X(106, c->sm_blocks)             /* MAX_BLOCKS_PER_MULTIPROCESSOR */ \
X(111, 1024)                     /* RESERVED_SHARED_MEMORY_PER_BLOCK */ \
X(115, 0)                        /* MEMORY_POOLS_SUPPORTED */        \
X(120, c->sm >= 90)              /* CLUSTER_LAUNCH */                \
X(127, c->sm >= 90)              /* TENSOR_MAP_ACCESS_SUPPORTED */
/* clang-format on */

enum { LAST_DEVICE_ATTRIBUTE = 147 };

EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    const Chip *c = chip();
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!value || attribute < 1 || attribute > LAST_DEVICE_ATTRIBUTE, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    switch (attribute) {
#define X(number, is) case number: *value = is; break;
        DEVICE_ATTRIBUTES(X)
#undef X
    default: *value = 0; /* all the others are features, and absent */
    }
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!device, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(ordinal != 0, CUDA_ERROR_INVALID_DEVICE);
    *device = 0;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDeviceGetCount(int *count)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!count, CUDA_ERROR_INVALID_VALUE);
    *count = 1;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDeviceGetName(char *name, int bytes, CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!name || bytes < 1, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    snprintf(name, (size_t)bytes, "tilesmith emulator (sm_%d)", chip()->sm);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!uuid, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    memcpy(uuid->bytes, "tilesmith-emu-00", sizeof uuid->bytes);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!bytes, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    *bytes = device_memory_total();
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!major || !minor, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    *major = chip()->sm / 10;
    *minor = chip()->sm % 10;
    LEAVE(CUDA_SUCCESS);
}

/* ---- contexts ---- */

enum { MAX_STACK = 256 };
static _Thread_local Context *stack[MAX_STACK];
static _Thread_local int depth;

static Context primary = {.primary = true};

/* Created contexts are kept when they are destroyed, so that no later one can have a stale one's address. */
typedef struct CreatedContext {
    Context context;
    struct CreatedContext *next;
} CreatedContext;
static CreatedContext *created;

static bool live(const Context *c) { return object_is(c, OBJECT_CONTEXT); }

static CUresult check_context(const Context *c)
{
    if (live(c)) return CUDA_SUCCESS;
    if (c == &primary) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    for (const CreatedContext *old = created; old; old = old->next)
        if (&old->context == c) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return CUDA_ERROR_INVALID_CONTEXT;
}

CUresult context_current(Context **current)
{
    *current = depth ? stack[depth - 1] : NULL;
    return *current ? check_context(*current) : CUDA_SUCCESS;
}

/* Frees all that was made in the context. */
static void clear_context(Context *c)
{
    for (Object *o = object_first(), *next; o; o = next) {
        next = o->next;
        if (o->owner != c || o->kind == OBJECT_CONTEXT || o->kind == OBJECT_FUNCTION) continue;
        object_destroy(o);
        next = object_first(); /* destroying one may take others along */
    }
    device_release_all(c);
    c->error = CUDA_SUCCESS;
}

void object_destroy(Object *o)
{
    if (o->kind == OBJECT_MODULE) {
        module_destroy((Module *)o);
        return;
    }
    object_remove(o);
    if (o->kind == OBJECT_HOST_MEMORY) free(((HostMemory *)o)->memory);
    if (o->kind == OBJECT_STREAM) capture_end((Stream *)o);
    if (o->kind == OBJECT_GRAPH || o->kind == OBJECT_GRAPH_EXEC) graph_clear((Graph *)o);
    free(o);
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!context, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    if (primary.users++ == 0) object_add(&primary.object, OBJECT_CONTEXT, &primary);
    *context = &primary;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    LEAVE_IF(!primary.users, CUDA_ERROR_INVALID_CONTEXT);
    if (--primary.users == 0) {
        clear_context(&primary);
        object_remove(&primary.object);
    }
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    clear_context(&primary);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!flags || !active, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    *flags = primary.flags;
    *active = primary.users > 0;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    primary.flags = flags;
    LEAVE(CUDA_SUCCESS);
}

static CUresult push(Context *c)
{
    if (depth == MAX_STACK) return CUDA_ERROR_OUT_OF_MEMORY;
    stack[depth++] = c;
    return CUDA_SUCCESS;
}

static CUresult create(CUcontext *context, unsigned flags, CUdevice device)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!context, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(device != 0, CUDA_ERROR_INVALID_DEVICE);
    LEAVE_IF(depth == MAX_STACK, CUDA_ERROR_OUT_OF_MEMORY);
    CreatedContext *c = calloc(1, sizeof *c);
    LEAVE_IF(!c, CUDA_ERROR_OUT_OF_MEMORY);
    c->next = created;
    created = c;
    c->context.flags = flags;
    object_add(&c->context.object, OBJECT_CONTEXT, &c->context);
    push(&c->context);
    *context = &c->context;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    return create(context, flags, device);
}

EXPORT CUresult cuCtxCreate_v3(CUcontext *context, void *affinity, int n, unsigned flags, CUdevice device)
{
    return affinity || n ? CUDA_ERROR_NOT_SUPPORTED : create(context, flags, device);
}

EXPORT CUresult cuCtxCreate_v4(CUcontext *context, void *params, unsigned flags, CUdevice device)
{
    return params ? CUDA_ERROR_NOT_SUPPORTED : create(context, flags, device);
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext context)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(check_context(context) || context->primary, CUDA_ERROR_INVALID_CONTEXT);
    clear_context(context);
    object_remove(&context->object);
    if (depth && stack[depth - 1] == context) depth--;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    ENTER_WITHOUT_CONTEXT();
    CUresult r = check_context(context);
    LEAVE(r ? r : push(context));
}

EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!depth, CUDA_ERROR_INVALID_CONTEXT);
    depth--;
    if (context) *context = stack[depth];
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context)
{
    ENTER_WITHOUT_CONTEXT();
    CUresult r = context ? check_context(context) : CUDA_SUCCESS;
    LEAVE_IF(r, r);
    if (depth) depth--;
    LEAVE(context ? push(context) : CUDA_SUCCESS);
}

EXPORT CUresult cuCtxGetCurrent(CUcontext *context)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!context, CUDA_ERROR_INVALID_VALUE);
    *context = depth ? stack[depth - 1] : NULL;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
    ENTER(c);
    LEAVE_IF(!device, CUDA_ERROR_INVALID_VALUE);
    *device = 0;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuCtxGetFlags(unsigned *flags)
{
    ENTER(c);
    LEAVE_IF(!flags, CUDA_ERROR_INVALID_VALUE);
    *flags = c->flags;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuCtxGetApiVersion(CUcontext context, unsigned *version)
{
    ENTER_WITHOUT_CONTEXT();
    CUresult r = context ? check_context(context) : CUDA_SUCCESS;
    LEAVE_IF(r, r);
    LEAVE_IF(!version, CUDA_ERROR_INVALID_VALUE);
    *version = 3020;
    LEAVE(CUDA_SUCCESS);
}

/* Everything has run already, and ENTER has said how it ended. */
EXPORT CUresult cuCtxSynchronize(void)
{
    ENTER(c);
    LEAVE(CUDA_SUCCESS);
}

ALSO_AS(cuDeviceGetUuid, cuDeviceGetUuid_v2);
ALSO_AS(cuDeviceTotalMem, cuDeviceTotalMem_v2);
ALSO_AS(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2);
ALSO_AS(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2);
ALSO_AS(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2);
ALSO_AS(cuCtxCreate, cuCtxCreate_v2);
ALSO_AS(cuCtxDestroy, cuCtxDestroy_v2);
ALSO_AS(cuCtxPushCurrent, cuCtxPushCurrent_v2);
ALSO_AS(cuCtxPopCurrent, cuCtxPopCurrent_v2);
