/* random.h: normal numbers that are a function of (seed, stream, index) alone. Any element of a matrix can be
 * made by itself, in any order, by any thread; the same seed gives the same matrices on every
 * machine, up to the last bit of its sine and logarithm. */
#ifndef CLI_RANDOM_H
#define CLI_RANDOM_H

#include "cli/matrix.h"

#include <stdint.h>

uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t index);
/* Fills the elements with N(0, 1) * scale, rounded to the matrix's type. */
void random_fill(Matrix *m, uint64_t seed, uint64_t stream, double scale);

#endif
