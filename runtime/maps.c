/* maps.c: tensor maps, by which TMA finds its way in a matrix: made by the driver, and kept.
 *
 * A map is made from an address, a size and a pitch. Encoding one costs the CPU a fraction of a microsecond;
 * a model calls with the same weights and, mostly, the same few activations again and again, so each kernel
 * keeps what it has made. Entries are immutable and live as long as the kernel. Past MAX_MAPS nothing more is
 * kept, so that memory stays bounded whatever addresses come.
 */
#include "runtime/kernel.h"

#include <stdlib.h>

enum { MAX_MAPS = 4096 };

typedef struct RtMap {
    CUtensorMap map; /* first: it is aligned to 64 bytes */
    struct RtMap *next;
    RtMapKey key;
} RtMap;

static bool same_key(const RtMapKey *a, const RtMapKey *b)
{
    return a->address == b->address && a->rows == b->rows && a->cols == b->cols &&
           a->pitch_bytes == b->pitch_bytes && a->tensor == b->tensor;
}

static _Atomic(RtMap *) *bucket_of(RtMaps *maps, const RtMapKey *key)
{
    uint64_t h = (key->address >> 4) + key->rows * 31 + key->cols * 131 + key->pitch_bytes + key->tensor;
    h *= 0x9E3779B97F4A7C15u;
    return (_Atomic(RtMap *) *)&maps->bucket[(h >> 32) % RT_MAP_BUCKETS];
}

static CUtensorMapDataType data_type(ts_dtype type)
{
    switch (type) {
    case TS_F16: return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case TS_BF16: return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    default: return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    }
}

/* A matrix of one row has no pitch; TMA wants one that is a multiple of 16. */
static uint64_t pitch_of(const RtMapKey *key, int elem_bytes)
{
    return key->rows > 1 ? key->pitch_bytes : (key->cols * (unsigned)elem_bytes + 15) / 16 * 16;
}

static ts_status encode(const ts_kernel *kernel, const RtMapKey *key, CUtensorMap *map)
{
    const RtDriver *driver = &kernel->context->driver;
    const RtBox *box = &kernel->header.box[key->tensor];
    ts_dtype type = kernel->header.type[key->tensor];
    cuuint64_t dims[] = {key->cols, key->rows}, strides[] = {pitch_of(key, rt_dtype_bytes(type))};
    cuuint32_t box_dims[] = {(cuuint32_t)box->cols, (cuuint32_t)box->rows}, steps[] = {1, 1};
    bool pushed;
    ts_status status =
        rt_enter(kernel->context, &pushed); /* the driver wants a current context even for this */
    if (status) return status;
    CUresult result = driver->cuTensorMapEncodeTiled(
        map, data_type(type), 2, (void *)(uintptr_t)key->address, dims, strides, box_dims, steps,
        CU_TENSOR_MAP_INTERLEAVE_NONE, box->plain ? CU_TENSOR_MAP_SWIZZLE_NONE : CU_TENSOR_MAP_SWIZZLE_128B,
        CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    rt_leave(kernel->context, pushed);
    return rt_driver_check(
        driver, result, "making a tensor map of %s at 0x%llx, %llu rows of %llu, %llu B apart",
        rt_tensor_name[key->tensor], (unsigned long long)key->address, (unsigned long long)key->rows,
        (unsigned long long)key->cols, (unsigned long long)strides[0]);
}

/* Keeping is an economy: without memory for it, the next call encodes again. */
static void keep(RtMaps *maps, const RtMapKey *key, const CUtensorMap *map)
{
    if (atomic_fetch_add(&maps->count, 1) >= MAX_MAPS) {
        atomic_fetch_sub(&maps->count, 1);
        return;
    }
    RtMap *entry = aligned_alloc(_Alignof(RtMap), sizeof *entry);
    if (!entry) {
        atomic_fetch_sub(&maps->count, 1);
        return;
    }
    entry->map = *map;
    entry->key = *key;
    _Atomic(RtMap *) *head = bucket_of(maps, key);
    entry->next = atomic_load(head);
    while (!atomic_compare_exchange_weak(head, &entry->next, entry)) {
    }
}

ts_status rt_map_find(ts_kernel *kernel, const RtMapKey *key, CUtensorMap *spare, const CUtensorMap **map)
{
    RtMap *entry = atomic_load_explicit(bucket_of(&kernel->maps, key), memory_order_acquire);
    while (entry && !same_key(&entry->key, key)) entry = entry->next;
    *map = entry ? &entry->map : spare;
    if (entry) return TS_OK;
    ts_status status = encode(kernel, key, spare);
    if (!status) keep(&kernel->maps, key, spare);
    return status;
}

void rt_maps_free(RtMaps *maps)
{
    for (int i = 0; i < RT_MAP_BUCKETS; i++)
        for (RtMap *entry = maps->bucket[i], *next; entry; entry = next) next = entry->next, free(entry);
}
