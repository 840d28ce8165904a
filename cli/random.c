/* random.c: a counter put through the finaliser of SplitMix64 (Steele, Lea, Flood 2014), twice; normal
 * numbers in pairs by Box and Muller, elements 2i and 2i+1 of a matrix from one pair of uniform numbers. */
#include "cli/random.h"
#include "cli/parallel.h"

#include <math.h>

static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    const uint64_t golden = 0x9e3779b97f4a7c15u;
    return mix(mix(mix(seed + golden) + stream * golden) + index * golden);
}

/* In (0, 1): the middle of one of 2^52 equal parts, so that its logarithm is finite. */
static double uniform(uint64_t bits) { return ((double)(bits >> 12) + 0.5) * 0x1p-52; }

static void normal_pair(uint64_t seed, uint64_t stream, uint64_t pair, double out[2])
{
    double radius = sqrt(-2 * log(uniform(random_bits(seed, stream, 2 * pair))));
    double angle = 2 * M_PI * uniform(random_bits(seed, stream, 2 * pair + 1));
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

typedef struct Fill {
    Matrix *m;
    uint64_t seed, stream;
    double scale;
} Fill;

static void fill_row(void *context, int64_t row)
{
    const Fill *f = context;
    uint64_t first = (uint64_t)row * (uint64_t)f->m->cols;
    uint64_t have = UINT64_MAX;
    double normal[2] = {0, 0};
    for (int64_t j = 0; j < f->m->cols; j++) {
        uint64_t index = first + (uint64_t)j;
        if (index / 2 != have) normal_pair(f->seed, f->stream, have = index / 2, normal);
        element_set(f->m->type, matrix_row(f->m, row), j, normal[index & 1] * f->scale);
    }
}

void random_fill(Matrix *m, uint64_t seed, uint64_t stream, double scale)
{
    Fill fill = {m, seed, stream, scale};
    if (m->data) parallel_for(m->rows, fill_row, &fill);
}
