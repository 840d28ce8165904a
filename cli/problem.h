/* problem.h: one fused linear layer, from host matrices through a kernel and back.
 *
 *     problem_create     matrices on device and host, rows at the pitch that the kernel wants
 *     problem_randomise  or problem_take: fills the inputs
 *     problem_run        uploads, poisons y, launches, waits, downloads
 *
 * Rows are padded where the kernel wants more alignment than their length has; padding is poison.
 */
#ifndef CLI_PROBLEM_H
#define CLI_PROBLEM_H

#include "cli/matrix.h"
#include "cli/npy.h"
#include "cli/reference.h"
#include "runtime/tilesmith.h"

typedef enum OperandId { OPERAND_X, OPERAND_W, OPERAND_BIAS, OPERAND_R, OPERAND_Y, N_OPERANDS } OperandId;

typedef struct Shape {
    int64_t m, n, k;
} Shape;

typedef struct Operand {
    Matrix host;
    ts_device_ptr device;
    bool used;
} Operand;

typedef struct Problem {
    ts_context *context;
    const ts_kernel *kernel;
    ts_kernel_info info;
    Shape shape;
    bool without_bias;
    float s, t;
    GenExpr epilogue; /* of the kernel */
    Operand operand[N_OPERANDS];
    ts_device_ptr workspace; /* what the kernel needs for this problem */
    size_t workspace_bytes;
    Matrix x_rounded; /* x in w's type, where the kernel rounds it so; empty where the types are the same */
    double milliseconds; /* of the kernel, on the device; the fastest of some launches */
} Problem;

/* Everything down to s and t, but info, is set already. problem_free is to be called after failures too. */
bool problem_create(Problem *p, Error *error);
void problem_free(Problem *p);
/* x, bias and r ~ N(0, 1), w ~ N(0, 1) / sqrt(k), rounded to their types. */
void problem_randomise(Problem *p, uint64_t seed);
/* Rounds an array of the right shape into an operand; a finite number that becomes infinite is refused. */
bool problem_take(Problem *p, OperandId id, const NpyArray *array, const char *path, Error *error);
bool problem_run(Problem *p, Error *error);
/* Of problem_run, for tests that launch otherwise: what it launches with, and y back to its host matrix. */
ts_linear_args problem_arguments(const Problem *p);
bool problem_download(Problem *p, Error *error);
Linear problem_linear(const Problem *p);
/* y without padding: float16 as it is, other types as float32. The caller frees *array. */
bool problem_output(const Problem *p, NpyArray *array, Error *error);

#endif
