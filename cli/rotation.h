/* rotation.h: the operands of one problem, many times over in device memory, so that calls that walk through
 * the sets find nothing of theirs in the device's caches.
 *
 * All sets hold the same numbers at different addresses, each operand without gaps, in rows or columns as the
 * kernel wants it, at an address that is a multiple of 256: what a caller with contiguous tensors has.
 */
#ifndef CLI_ROTATION_H
#define CLI_ROTATION_H

#include "cli/matrix.h"
#include "cli/problem.h"

enum {
    ROTATION_BYTES = 300000000, /* of all sets together, more than any L2 */
    ROTATION_MAX_SETS = 512,
    ROTATION_ALIGN_BYTES = 256,
};

typedef struct Rotation {
    ts_context *context;
    Shape shape;
    GenType type[N_OPERANDS];
    bool used[N_OPERANDS];
    bool by_columns[N_OPERANDS]; /* column-major: the host matrix is the transpose */
    Matrix host[N_OPERANDS];     /* the numbers of each set, as they lie in device memory */
    size_t offset[N_OPERANDS], set_bytes;
    ts_device_ptr base;
    int sets;
    bool of_library;         /* calls are those of ts_linear() */
    ts_device_ptr workspace; /* the caller's, for each call */
    size_t workspace_bytes;
} Rotation;

/* The operands that a kernel takes, with random numbers (x, bias and r ~ N(0, 1), w ~ N(0, 1) / sqrt(k)).
 * Does nothing when the rotation has them already. rotation_free is to be called after failures too. */
bool rotation_fill(Rotation *r, const ts_kernel_info *info, uint64_t seed, Error *error);
void rotation_free(Rotation *r);
/* Launches call number i, on the operands of set i, counted round: of the kernel, or of ts_linear(), whose
 * kernel this is. */
ts_status rotation_launch(const Rotation *r, const ts_kernel *kernel, int64_t i, float s, float t, ts_stream stream);
/* Whether a kernel can take operands of these sizes without padding. */
bool rotation_fits(Shape shape, const ts_kernel_info *info);
/* Bytes that one call must read and write at the least. */
double rotation_call_bytes(const Rotation *r);

/* Poisons y of set 0, calls `launch`, and looks at the result: every element must have been written, and some
 * hundreds of them, drawn at random, are compared with float64. *rel_err is their error in the Frobenius
 * norm. */
bool rotation_check(Rotation *r, const Linear *scalars, uint64_t seed, bool (*launch)(void *, Error *),
                    void *context, double *rel_err, Error *error);

#endif
