/* npy.h: NumPy's .npy files, of float16 and float32.
 *
 *     "\x93NUMPY"  major  minor  length  {'descr': '<f2', 'fortran_order': False, 'shape': (3, 4), }\n  data
 *
 * Versions 1.0 (length in 2 bytes), 2.0 and 3.0 (4 bytes); little-endian; C order. What differs is refused by
 * a sentence that says how to save the array instead.
 */
#ifndef CLI_NPY_H
#define CLI_NPY_H

#include "cli/error.h"
#include "gen/gen.h"

#include <stdint.h>

enum { NPY_MAX_DIMS = 4 };

typedef struct NpyArray {
    GenType type; /* GEN_F16 or GEN_F32 */
    int dims;
    int64_t shape[NPY_MAX_DIMS];
    int64_t elements;
    void *data; /* in C order; NULL when there are no elements */
} NpyArray;

/* The caller frees *array; after a failure it is empty. */
bool npy_read(const char *path, NpyArray *array, Error *error);
void npy_free(NpyArray *array);
/* Writes version 1.0, replacing the file as a whole. */
bool npy_write(const char *path, const NpyArray *array, Error *error);

#endif
