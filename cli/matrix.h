/* matrix.h: a matrix in host memory, of any element type of the kernels, rows at a pitch.
 *
 * Elements behind the end of a row (columns cols .. pitch-1) are padding; they, and all elements of a new
 * matrix, hold poison: bytes of 0xFF, a NaN in every type. A kernel that reads padding, or leaves an output
 * unwritten, shows.
 */
#ifndef CLI_MATRIX_H
#define CLI_MATRIX_H

#include "cli/error.h"
#include "cli/half.h"
#include "gen/gen.h"

#include <stddef.h>
#include <stdint.h>

enum { MATRIX_POISON = 0xff };

typedef struct Matrix {
    GenType type;
    int64_t rows, cols;
    int64_t pitch; /* elements from one row to the next */
    void *data;    /* NULL when empty */
} Matrix;

/* pitch 0: cols. */
bool matrix_create(Matrix *m, GenType type, int64_t rows, int64_t cols, int64_t pitch, Error *error);
void matrix_free(Matrix *m);
size_t matrix_bytes(const Matrix *m);
/* `rounded` becomes a new matrix of that type with the elements of m. */
bool matrix_rounded(const Matrix *m, GenType type, Matrix *rounded, Error *error);
/* Whether each padding element still holds poison. */
bool matrix_padding_intact(const Matrix *m);

static inline void *matrix_row(const Matrix *m, int64_t row)
{
    return (char *)m->data + row * m->pitch * gen_type_bytes(m->type);
}

/* Element i of a row of that type. */
static inline double element_get(GenType type, const void *row, int64_t i)
{
    switch (type) {
    case GEN_F16: return f16_to_float(((const uint16_t *)row)[i]);
    case GEN_BF16: return bf16_to_float(((const uint16_t *)row)[i]);
    default: return ((const float *)row)[i];
    }
}

/* Rounds once, to nearest even. */
static inline void element_set(GenType type, void *row, int64_t i, double value)
{
    switch (type) {
    case GEN_F16: ((uint16_t *)row)[i] = f16_from_double(value); break;
    case GEN_BF16: ((uint16_t *)row)[i] = bf16_from_double(value); break;
    default: ((float *)row)[i] = (float)value; break;
    }
}

/* What value becomes when it is stored in that type. */
double element_round(GenType type, double value);

#endif
