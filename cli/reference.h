/* reference.h: y = epilogue(acc, bias, ...) with acc = x W^T, in float64, from the rounded inputs.
 *
 * The result is as large as the kernel's output or larger, so it is never kept: it is made in tiles, each
 * handed to a visitor that compares and forgets it. Products of two 16-bit floats are exact in float64, and
 * the sums carry 2^-53: to a kernel that accumulates in float32 this is the truth.
 */
#ifndef CLI_REFERENCE_H
#define CLI_REFERENCE_H

#include "cli/matrix.h"
#include "gen/gen.h"

enum { REFERENCE_TILE = 128 };

typedef struct Linear {
    const Matrix *x, *w; /* [m,k], [n,k] */
    const Matrix *bias;  /* [1,n]; NULL: none */
    const Matrix *r;     /* [m,n], the epilogue's r; NULL: none */
    const GenExpr *epilogue;
    double s, t;
} Linear;

/* Rows row .. row+rows-1 and columns col .. col+cols-1 of x W^T. */
typedef struct ReferenceTile {
    int64_t index, row, col;
    int rows, cols;
    _Alignas(64) double acc[REFERENCE_TILE][REFERENCE_TILE];
} ReferenceTile;

/* Tiles are numbered along rows of tiles. */
int64_t reference_tiles(const Linear *linear);
/* Calls visit once for each tile, in no order, from several threads at once. */
void reference_visit(const Linear *linear, void (*visit)(void *context, const ReferenceTile *tile),
                     void *context);
/* The output at (row, col) for this acc. */
double reference_output(const Linear *linear, int64_t row, int64_t col, double acc);

#endif
