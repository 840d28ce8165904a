/* half.c: f16 and bf16, exhaustively where 65536 values allow it, against definitions written here in
 * another way: by ldexp on the fields, and by searching the neighbours of a value. */
#include "cli/half.h"
#include "tests/tap.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

typedef struct Format {
    const char *name;
    int exponent_bits, fraction_bits;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(double);
} Format;

static float widen_f16(uint16_t h) { return f16_to_float(h); }
static float widen_bf16(uint16_t h) { return bf16_to_float(h); }

static const Format formats[] = {
    {"f16", 5, 10, widen_f16, f16_from_double},
    {"bf16", 8, 7, widen_bf16, bf16_from_double},
};

static uint16_t infinity_of(const Format *f)
{
    return (uint16_t)(((1 << f->exponent_bits) - 1) << f->fraction_bits);
}

/* The value as IEEE 754 defines it. */
static double defined(const Format *f, uint16_t h)
{
    int exponent = h >> f->fraction_bits & ((1 << f->exponent_bits) - 1),
        fraction = h & ((1 << f->fraction_bits) - 1);
    int bias = (1 << (f->exponent_bits - 1)) - 1;
    double sign = h & 0x8000 ? -1 : 1;
    if (exponent == (1 << f->exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
    int leading = exponent ? 1 << f->fraction_bits : 0;
    return sign * ldexp(leading + fraction, (exponent ? exponent : 1) - bias - f->fraction_bits);
}

static void test_widening(const Format *f)
{
    int wrong = 0;
    for (int h = 0; h < 65536; h++) {
        double got = f->widen((uint16_t)h), wanted = defined(f, (uint16_t)h);
        wrong += isnan(wanted) ? !isnan(got) : got != wanted || signbit(got) != signbit(wanted);
    }
    ok(wrong == 0, "%s: all 65536 values widen to what IEEE 754 defines (%d wrong)", f->name, wrong);
}

static void test_round_trip(const Format *f)
{
    int wrong = 0;
    for (int h = 0; h < 65536; h++) {
        bool nan = (h & 0x7fff) > infinity_of(f);
        uint16_t wanted = nan ? (uint16_t)((h & 0x8000) | infinity_of(f) | 1 << (f->fraction_bits - 1))
                              : (uint16_t)h;
        double wide = f->widen((uint16_t)h);
        if (nan) wide = copysign(wide, h & 0x8000 ? -1 : 1);
        wrong += f->narrow(wide) != wanted;
    }
    ok(wrong == 0, "%s: all values narrow back to themselves, NaNs to the quiet one (%d wrong)", f->name,
       wrong);
}

/* Between each two neighbours: the tie goes to the even one, what lies beside it to the nearer one. */
static void test_ties(const Format *f)
{
    int wrong = 0;
    for (int h = 0; h < infinity_of(f); h++) {
        uint16_t low = (uint16_t)h, high = (uint16_t)(h + 1), even = h & 1 ? high : low;
        double a = defined(f, low);
        double b = high == infinity_of(f) ? 2 * a - defined(f, (uint16_t)(h - 1)) : defined(f, high);
        double middle = (a + b) / 2;
        wrong += f->narrow(middle) != even;
        wrong += f->narrow(nextafter(middle, 0)) != low;
        wrong += f->narrow(nextafter(middle, INFINITY)) != high;
        wrong += f->narrow(-middle) != (even | 0x8000);
    }
    ok(wrong == 0,
       "%s: ties go to even, their neighbours to the nearer value, subnormals and overflow too (%d wrong)",
       f->name, wrong);
}

static void test_extremes(const Format *f)
{
    uint16_t inf = infinity_of(f);
    ok(f->narrow(INFINITY) == inf && f->narrow(-INFINITY) == (inf | 0x8000), "%s: infinities stay", f->name);
    ok(f->narrow(DBL_MAX) == inf && f->narrow(-1e300) == (inf | 0x8000), "%s: huge values become infinities",
       f->name);
    ok(f->narrow(5e-324) == 0 && f->narrow(-DBL_MIN) == 0x8000, "%s: tiny values become zeros of their sign",
       f->name);
    ok(f->narrow(0.0) == 0 && f->narrow(-0.0) == 0x8000, "%s: zeros keep their sign", f->name);
    ok((f->narrow(NAN) & 0x7fff) == (inf | 1 << (f->fraction_bits - 1)), "%s: a NaN is quiet", f->name);
}

int main(void)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        test_widening(&formats[i]);
        test_round_trip(&formats[i]);
        test_ties(&formats[i]);
        test_extremes(&formats[i]);
    }
    ok(f16_from_double(65504) == 0x7bff && f16_from_double(65519.99) == 0x7bff, "f16: 65504 is the largest");
    ok(f16_from_double(65520) == 0x7c00, "f16: 65520 rounds to infinity");
    /* 1 + 2^-11 + 2^-40 rounded to float first would be a tie and go down to 1. */
    ok(f16_from_double(1 + 0x1p-11 + 0x1p-40) == 0x3c01, "f16: a float64 is rounded once, not twice");
    ok(bf16_from_double(1 + 0x1p-8 + 0x1p-40) == 0x3f81, "bf16: a float64 is rounded once, not twice");
    return done();
}
