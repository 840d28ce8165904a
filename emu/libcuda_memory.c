/* libcuda_memory.c: allocations, copies and fills. Copies are done when the call returns, on any stream. */
#include <stdlib.h>
#include <string.h>

#include "emu/device.h"
#include "emu/driver_api.h"
#include "emu/libcuda.h"

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    ENTER(c);
    LEAVE_IF(!free_bytes || !total_bytes, CUDA_ERROR_INVALID_VALUE);
    *free_bytes = device_memory_free();
    *total_bytes = device_memory_total();
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    ENTER(c);
    LEAVE_IF(!address || !bytes, CUDA_ERROR_INVALID_VALUE);
    uint64_t base = device_alloc(bytes, c);
    LEAVE_IF(!base, CUDA_ERROR_OUT_OF_MEMORY);
    *address = base;
    LEAVE(CUDA_SUCCESS);
}

/* Memory of another context may be freed too, as with unified addressing; twice may not. */
EXPORT CUresult cuMemFree_v2(CUdeviceptr address)
{
    ENTER(c);
    LEAVE_IF(!address, CUDA_SUCCESS);
    LEAVE(device_release(address, NULL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

EXPORT CUresult cuMemAllocHost_v2(void **memory, size_t bytes)
{
    ENTER(c);
    LEAVE_IF(!memory || !bytes, CUDA_ERROR_INVALID_VALUE);
    HostMemory *h = calloc(1, sizeof *h);
    if (h) h->memory = malloc(bytes);
    if (!h || !h->memory) {
        free(h);
        LEAVE(CUDA_ERROR_OUT_OF_MEMORY);
    }
    h->bytes = bytes;
    poison(h->memory, bytes);
    object_add(&h->object, OBJECT_HOST_MEMORY, c);
    *memory = h->memory;
    LEAVE(CUDA_SUCCESS);
}

static HostMemory *find_host(const void *memory)
{
    for (Object *o = object_first(); o; o = o->next)
        if (o->kind == OBJECT_HOST_MEMORY) {
            HostMemory *h = (HostMemory *)o;
            if ((uintptr_t)memory - (uintptr_t)h->memory < h->bytes) return h;
        }
    return NULL;
}

EXPORT CUresult cuMemFreeHost(void *memory)
{
    ENTER(c);
    HostMemory *h = find_host(memory);
    LEAVE_IF(!h || h->memory != memory, CUDA_ERROR_INVALID_VALUE);
    object_destroy(&h->object);
    LEAVE(CUDA_SUCCESS);
}

/* ---- copies ---- */

/* A place in device or host memory; NULL when it is a device address without `bytes` behind it. */
static unsigned char *either(CUdeviceptr address, size_t bytes)
{
    return device_owns(address) ? device_bytes(address, bytes) : (unsigned char *)(uintptr_t)address;
}

static CUresult copy(unsigned char *to, const unsigned char *from, size_t bytes)
{
    if (!bytes) return CUDA_SUCCESS;
    if (!to || !from) return CUDA_ERROR_INVALID_VALUE;
    memmove(to, from, bytes);
    return CUDA_SUCCESS;
}

static CUresult copy_between(unsigned char *to, const unsigned char *from, size_t bytes, CUstream stream)
{
    CUresult ready = stream_ready(stream);
    LEAVE_IF(ready, ready);
    LEAVE(copy(to, from, bytes));
}

EXPORT CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER(c);
    return copy_between(either(to, bytes), either(from, bytes), bytes, stream);
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    ENTER(c);
    return copy_between(device_bytes(to, bytes), from, bytes, stream);
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER(c);
    return copy_between(to, device_bytes(from, bytes), bytes, stream);
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER(c);
    return copy_between(device_bytes(to, bytes), device_bytes(from, bytes), bytes, stream);
}

EXPORT CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return cuMemcpyAsync(to, from, bytes, NULL);
}
EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    return cuMemcpyHtoDAsync_v2(to, from, bytes, NULL);
}
EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    return cuMemcpyDtoHAsync_v2(to, from, bytes, NULL);
}
EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return cuMemcpyDtoDAsync_v2(to, from, bytes, NULL);
}

/* ---- fills ---- */

static CUresult fill(CUdeviceptr to, uint32_t value, size_t element_bytes, size_t n, CUstream stream)
{
    ENTER(c);
    CUresult ready = stream_ready(stream);
    LEAVE_IF(ready, ready);
    LEAVE_IF(!n, CUDA_SUCCESS);
    unsigned char *p = n <= SIZE_MAX / 4 ? device_bytes(to, n * element_bytes) : NULL;
    LEAVE_IF(!p || to % element_bytes, CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < n; i++) memcpy(p + i * element_bytes, &value, element_bytes); /* little-endian */
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream s)
{
    return fill(to, value, 1, n, s);
}
EXPORT CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream s)
{
    return fill(to, value, 2, n, s);
}
EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream s)
{
    return fill(to, value, 4, n, s);
}
EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n)
{
    return fill(to, value, 1, n, NULL);
}
EXPORT CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t n)
{
    return fill(to, value, 2, n, NULL);
}
EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t n)
{
    return fill(to, value, 4, n, NULL);
}

/* ---- what an address is ---- */

static CUresult device_attribute(void *value, int attribute, const DeviceRange *r)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(CUcontext *)value = r->owner; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)value = CU_MEMORYTYPE_DEVICE; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)value = 0; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = 0; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *(CUdeviceptr *)value = r->base; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)value = r->bytes; return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult host_attribute(void *value, int attribute, const HostMemory *h)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(CUcontext *)value = h->object.owner; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *(unsigned *)value = CU_MEMORYTYPE_HOST; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)value = 0; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = 0; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(CUdeviceptr *)value = (uintptr_t)h->memory;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)value = h->bytes; return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

EXPORT CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address)
{
    ENTER_WITHOUT_CONTEXT();
    LEAVE_IF(!value, CUDA_ERROR_INVALID_VALUE);
    const DeviceRange *r = device_find(address);
    const HostMemory *h = r ? NULL : find_host((const void *)(uintptr_t)address);
    bool device_view = attribute == CU_POINTER_ATTRIBUTE_DEVICE_POINTER && r;
    bool host_view = attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER && h;
    if (device_view || host_view) {
        *(CUdeviceptr *)value = address;
        LEAVE(CUDA_SUCCESS);
    }
    LEAVE(r   ? device_attribute(value, attribute, r)
          : h ? host_attribute(value, attribute, h)
              : CUDA_ERROR_INVALID_VALUE);
}

ALSO_AS(cuMemGetInfo, cuMemGetInfo_v2);
ALSO_AS(cuMemAlloc, cuMemAlloc_v2);
ALSO_AS(cuMemFree, cuMemFree_v2);
ALSO_AS(cuMemAllocHost, cuMemAllocHost_v2);
ALSO_AS(cuMemcpyHtoD, cuMemcpyHtoD_v2);
ALSO_AS(cuMemcpyDtoH, cuMemcpyDtoH_v2);
ALSO_AS(cuMemcpyDtoD, cuMemcpyDtoD_v2);
ALSO_AS(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2);
ALSO_AS(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2);
ALSO_AS(cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2);
ALSO_AS(cuMemsetD8, cuMemsetD8_v2);
ALSO_AS(cuMemsetD16, cuMemsetD16_v2);
ALSO_AS(cuMemsetD32, cuMemsetD32_v2);
ALSO_AS(cuMemcpy_ptds, cuMemcpy);
ALSO_AS(cuMemcpyAsync_ptsz, cuMemcpyAsync);
ALSO_AS(cuMemcpyHtoD_v2_ptds, cuMemcpyHtoD_v2);
ALSO_AS(cuMemcpyDtoH_v2_ptds, cuMemcpyDtoH_v2);
ALSO_AS(cuMemcpyDtoD_v2_ptds, cuMemcpyDtoD_v2);
ALSO_AS(cuMemcpyHtoDAsync_v2_ptsz, cuMemcpyHtoDAsync_v2);
ALSO_AS(cuMemcpyDtoHAsync_v2_ptsz, cuMemcpyDtoHAsync_v2);
ALSO_AS(cuMemcpyDtoDAsync_v2_ptsz, cuMemcpyDtoDAsync_v2);
ALSO_AS(cuMemsetD8_v2_ptds, cuMemsetD8_v2);
ALSO_AS(cuMemsetD16_v2_ptds, cuMemsetD16_v2);
ALSO_AS(cuMemsetD32_v2_ptds, cuMemsetD32_v2);
ALSO_AS(cuMemsetD8Async_ptsz, cuMemsetD8Async);
ALSO_AS(cuMemsetD16Async_ptsz, cuMemsetD16Async);
ALSO_AS(cuMemsetD32Async_ptsz, cuMemsetD32Async);
