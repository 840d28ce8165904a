/* matrix.c: matrices in host memory. */
#include "cli/matrix.h"

#include <stdlib.h>
#include <string.h>

bool matrix_create(Matrix *m, GenType type, int64_t rows, int64_t cols, int64_t pitch, Error *error)
{
    if (!pitch) pitch = cols;
    *m = (Matrix){.type = type, .rows = rows, .cols = cols, .pitch = pitch};
    size_t elements = 0, bytes = 0;
    bool too_large = __builtin_mul_overflow(rows, pitch, &elements) ||
                     __builtin_mul_overflow(elements, (size_t)gen_type_bytes(type), &bytes);
    if (!too_large && !bytes) return true;
    if (!too_large) m->data = malloc(bytes);
    if (!m->data)
        return refuse(error,
                      "out of memory: a matrix of %lld x %lld %s elements does not fit in this machine",
                      (long long)rows, (long long)pitch, gen_type_name(type));
    memset(m->data, MATRIX_POISON, bytes);
    return true;
}

void matrix_free(Matrix *m)
{
    free(m->data);
    *m = (Matrix){0};
}

size_t matrix_bytes(const Matrix *m)
{
    return (size_t)m->rows * (size_t)m->pitch * (size_t)gen_type_bytes(m->type);
}

bool matrix_padding_intact(const Matrix *m)
{
    size_t used = (size_t)m->cols * (size_t)gen_type_bytes(m->type);
    size_t row_bytes = (size_t)m->pitch * (size_t)gen_type_bytes(m->type);
    for (int64_t i = 0; i < m->rows; i++)
        for (size_t b = used; b < row_bytes; b++)
            if (((const unsigned char *)matrix_row(m, i))[b] != MATRIX_POISON) return false;
    return true;
}

double element_round(GenType type, double value)
{
    float storage;
    element_set(type, &storage, 0, value);
    return element_get(type, &storage, 0);
}

bool matrix_rounded(const Matrix *m, GenType type, Matrix *rounded, Error *error)
{
    if (!matrix_create(rounded, type, m->rows, m->cols, 0, error)) return false;
    for (int64_t i = 0; i < m->rows; i++)
        for (int64_t j = 0; j < m->cols; j++)
            element_set(type, matrix_row(rounded, i), j, element_get(m->type, matrix_row(m, i), j));
    return true;
}
