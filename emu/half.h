/* half.h: f16 and bf16 to and from fp32, by bits: no instruction set beyond the baseline is needed. */
#ifndef EMU_HALF_H
#define EMU_HALF_H

#include <stdint.h>
#include <string.h>

static inline float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* The one NaN that the hardware returns. */
static inline float canonical(float f) { return f != f ? float_of_bits(0x7FFFFFFF) : f; }

static inline float f32_of_bf16(uint16_t h) { return float_of_bits((uint32_t)h << 16); }

/* The 5-bit exponent stands at the foot of fp32's 8 bits, 112 too low: a product with 2^112 puts that
 * right, for subnormals too. Infinity and NaN get all 8 bits first. */
static inline float f32_of_f16(uint16_t h)
{
    uint32_t magnitude = (uint32_t)(h & 0x7FFF) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t special = magnitude >= 0x0F800000u ? 0x7F800000u | magnitude : 0;
    uint32_t finite = bits_of_float(float_of_bits(magnitude) * 0x1p112f);
    return float_of_bits((special ? special : finite) | sign);
}

/* Round to nearest even; the NaN of the hardware is 0x7FFF, without a sign. */
static inline uint16_t bf16_of_f32(float f)
{
    uint32_t bits = bits_of_float(f);
    if (f != f) return 0x7FFF;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* Round to nearest even. Below 2^-14 the results are multiples of 2^-24: adding 0.5, whose last place is
 * 2^-24, rounds to them. */
static inline uint16_t f16_of_f32(float f)
{
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    if (f != f) return 0x7FFF;
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00); /* 65520 and more */
    if (magnitude < 0x38800000u)                                    /* 2^-14 */
        return (uint16_t)(sign | (bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3F000000u));
    magnitude += 0xFFF + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (magnitude - 0x38000000u) >> 13);
}

#endif
