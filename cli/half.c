/* half.c: float64 to f16 and bf16, rounded once to nearest even. One function does both: they differ only
 * in the widths of exponent and fraction. */
#include "cli/half.h"

enum { DOUBLE_FRACTION = 52, DOUBLE_BIAS = 1023, DOUBLE_SPECIAL = 0x7ff };

/* significand >> shift, rounded to nearest even. */
static uint64_t shift_rounded(uint64_t significand, int shift)
{
    uint64_t half = (uint64_t)1 << (shift - 1), odd = significand >> shift & 1;
    return (significand + half - 1 + odd) >> shift;
}

static uint16_t narrow(double value, int exponent_bits, int fraction_bits)
{
    union {
        double value;
        uint64_t bits;
    } u = {value};
    const int bias = (1 << (exponent_bits - 1)) - 1, lowest = 1 - bias;
    const uint32_t infinity = ((1u << exponent_bits) - 1) << fraction_bits;
    const uint32_t sign = (uint32_t)(u.bits >> 63) << (exponent_bits + fraction_bits);
    const uint64_t fraction = u.bits & (((uint64_t)1 << DOUBLE_FRACTION) - 1);
    const int biased = (int)(u.bits >> DOUBLE_FRACTION & DOUBLE_SPECIAL), exponent = biased - DOUBLE_BIAS;

    if (biased == DOUBLE_SPECIAL)
        return (uint16_t)(sign | infinity | (fraction ? 1u << (fraction_bits - 1) : 0));
    int shift = DOUBLE_FRACTION - fraction_bits + (exponent < lowest ? lowest - exponent : 0);
    if (shift > DOUBLE_FRACTION + 1) return (uint16_t)sign; /* below half of the smallest subnormal */

    uint64_t rounded = shift_rounded(fraction | (uint64_t)1 << DOUBLE_FRACTION, shift);
    /* The leading one of a normal number adds 1 to the exponent field; so does a carry of the rounding. */
    if (exponent > lowest) rounded += (uint64_t)(exponent - lowest) << fraction_bits;
    return (uint16_t)(sign | (rounded < infinity ? (uint32_t)rounded : infinity));
}

uint16_t f16_from_double(double value) { return narrow(value, 5, 10); }
uint16_t bf16_from_double(double value) { return narrow(value, 8, 7); }
