/* libcuda_tensor.c: tensor maps, checked as the driver documents it, in an encoding of our own (tma.h). */
#include <string.h>

#include "emu/driver_api.h"
#include "emu/libcuda.h"
#include "emu/tma.h"

enum { MAX_BOX = 256, MAX_ELEMENT_STRIDE = 8 };
#define MAX_DIM    (1ull << 32)
#define MAX_STRIDE (1ull << 40)

typedef struct ElementType {
    int number, bytes, is_float;
} ElementType;

static const ElementType *element_type(int number)
{
    static const ElementType types[] = {
#define X(name, number, bytes, is_float) {number, bytes, is_float},
        CUDA_TENSOR_MAP_TYPES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == number) return &types[i];
    return NULL;
}

static bool dimensions_ok(const TensorMap *m)
{
    for (int i = 0; i < m->rank; i++) {
        if (!m->dim[i] || m->dim[i] > MAX_DIM || !m->box[i] || m->box[i] > MAX_BOX) return false;
        if (i + 1 < m->rank && (m->stride[i] % 16 || m->stride[i] >= MAX_STRIDE)) return false;
    }
    uint32_t line = (uint32_t)m->box[0] * m->element_bytes;
    return line % 16 == 0 && (!m->swizzle_bits || line <= 16u << m->swizzle_bits);
}

/* Steps of one element are all that the emulator takes; true when they are. */
static CUresult steps(int rank, const uint32_t *step)
{
    for (int i = 0; i < rank; i++)
        if (!step[i] || step[i] > MAX_ELEMENT_STRIDE) return CUDA_ERROR_INVALID_VALUE;
    for (int i = 1; i < rank; i++) /* that of the first dimension is ignored */
        if (step[i] != 1) return CUDA_ERROR_NOT_SUPPORTED;
    return CUDA_SUCCESS;
}

static CUresult modes(int interleave, int swizzle, int promotion, int fill, const ElementType *type)
{
    if (interleave < 0 || interleave > CU_TENSOR_MAP_INTERLEAVE_32B || swizzle < 0 ||
        swizzle > CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B || promotion < 0 ||
        promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B || fill < 0 ||
        fill > CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA)
        return CUDA_ERROR_INVALID_VALUE;
    if (fill && !type->is_float) return CUDA_ERROR_INVALID_VALUE;
    return interleave || swizzle > CU_TENSOR_MAP_SWIZZLE_128B ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

/* False when a box has more elements than any may: it would not fit where it is kept. */
static bool copy_dimensions(TensorMap *m, const uint64_t *dim, const uint64_t *stride, const uint32_t *box)
{
    for (int i = 0; i < m->rank; i++) {
        if (box[i] > MAX_BOX) return false;
        m->dim[i] = dim[i];
        m->box[i] = (uint16_t)box[i];
        if (i + 1 < m->rank) m->stride[i] = stride[i];
    }
    return true;
}

EXPORT CUresult cuTensorMapEncodeTiled(CUtensorMap *map, int type, uint32_t rank, void *base,
                                       const uint64_t *dim, const uint64_t *stride, const uint32_t *box,
                                       const uint32_t *element_stride, int interleave, int swizzle,
                                       int promotion, int fill)
{
    const ElementType *element = element_type(type);
    ENTER(c);
    LEAVE_IF(chip()->sm < 90, CUDA_ERROR_NOT_SUPPORTED);
    LEAVE_IF(!map || (uintptr_t)map % 64 || rank < 1 || rank > TENSOR_RANK || !base || !dim || !box ||
                 !element_stride || (rank > 1 && !stride) || (uintptr_t)base % 16,
             CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!element, CUDA_ERROR_INVALID_VALUE);
    CUresult r = modes(interleave, swizzle, promotion, fill, element);
    if (!r) r = steps((int)rank, element_stride);
    LEAVE_IF(r, r);
    TensorMap m = {.magic = TENSOR_MAP_MAGIC,
                   .base = (uintptr_t)base,
                   .rank = (uint8_t)rank,
                   .element_bytes = (uint8_t)element->bytes,
                   .swizzle_bits = (uint8_t)swizzle, /* 32, 64, 128 bytes are 1, 2, 3 */
                   .fill_nan = (uint8_t)fill};
    LEAVE_IF(!copy_dimensions(&m, dim, stride, box) || !dimensions_ok(&m), CUDA_ERROR_INVALID_VALUE);
    memset(map, 0, sizeof *map);
    memcpy(map, &m, sizeof m);
    LEAVE(CUDA_SUCCESS);
}
