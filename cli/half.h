/* half.h: the 16-bit float types, f16 (IEEE binary16) and bf16, to and from wider ones.
 *
 * Widening is exact and inline, because it stands in the inner loops of the reference. Narrowing rounds
 * once, to nearest even, from float64 (a float32 widens to it exactly): subnormals, overflow to infinity
 * and signed zeros as IEEE 754 says; a NaN becomes the quiet NaN of its sign.
 *
 *              sign  exponent  fraction   largest   smallest normal   smallest
 *     f16       1       5        10        65504        2^-14          2^-24
 *     bf16      1       8         7       3.39e38       2^-126         2^-133
 */
#ifndef CLI_HALF_H
#define CLI_HALF_H

#include <stdint.h>

static inline float float_of_bits(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } u = {bits};
    return u.value;
}

static inline uint32_t bits_of_float(float value)
{
    union {
        float value;
        uint32_t bits;
    } u = {value};
    return u.bits;
}

/* Exponent and fraction move to their place in a float; one product repairs the bias, and makes
 * subnormals normal on the way. Infinities and NaNs need the largest exponent set as well. */
static inline float f16_to_float(uint16_t half)
{
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    uint32_t special = (half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0;
    float value = float_of_bits(magnitude) * 0x1p112f;
    return float_of_bits((uint32_t)(half & 0x8000) << 16 | bits_of_float(value) | special);
}

static inline float bf16_to_float(uint16_t half) { return float_of_bits((uint32_t)half << 16); }

uint16_t f16_from_double(double value);
uint16_t bf16_from_double(double value);

#endif
