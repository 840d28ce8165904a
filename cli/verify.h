/* verify.h: every element of an output against float64.
 *
 * Two judges. The whole: rel_err = |y - ref| / |ref| in the Frobenius norm, at most 4e-4 for f16 and 3e-3 for
 * bf16. Storing costs about 2.1e-4 and 1.7e-3 on average, but up to 4.9e-4 and 3.9e-3 for a single number, so
 * this judge wants 64 of them; and where y is so small that f16 has few bits left, it allows for the spacing
 * of subnormals. Each element: |y - ref| within
 *
 *     5/4 of half an ulp of the type         storing, plus the epilogue's own roundings
 *   + (1 + |s| + |t|) / 2^14                 approximate functions, cancellation near 0
 *   + what the epilogue makes of an acc off by 2^-20 |x row| |w row|, up or down: float32 accumulation
 *
 * A NaN is right only where the reference has one, an infinity where the bound reaches what rounds to one.
 */
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include "cli/reference.h"

enum { VERIFY_MAX_SHOWN = 5 };

typedef struct Mismatch {
    int64_t row, col;
    double got, wanted, bound;
} Mismatch;

typedef struct Verdict {
    bool ok;
    double rel_err, rel_err_limit,
        max_abs_err;      /* errors of finite elements; NaN if one is not finite and wrong */
    bool padding_written; /* something between the rows was overwritten */
    int64_t n_mismatches;
    int n_shown;
    Mismatch shown[VERIFY_MAX_SHOWN]; /* the first ones, in order of tiles */
} Verdict;

double verify_rel_err_limit(GenType type);
/* False only when out of memory: what was found stands in *verdict. */
bool verify(const Linear *linear, const Matrix *y, Verdict *verdict, Error *error);

#endif
