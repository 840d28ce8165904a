/* expr.h: the epilogue language, one row an operation. A new function needs a row here, its float64
 * meaning in expr.c and its PTX in epilogue.c.
 *
 *     expr := term { (+|-) term }      term := unary { (*|/) unary }      unary := - unary | primary
 *     primary := number | leaf | function ( expr, ... ) | ( expr )
 *
 * Values are fp32 in the kernel and float64 in references. Every operation propagates NaN; infinities
 * follow the formula as it is written here (so silu(-inf) = -inf * 0 = NaN, as IEEE arithmetic has it).
 */
#ifndef GEN_EXPR_H
#define GEN_EXPR_H

#include "gen/gen.h"

/* clang-format off */
/* Leaves: name, meaning */
#define GEN_EXPR_LEAVES(X)                                     \
X(Z,         "z",         "acc + bias")                        \
X(ACC,       "acc",       "the product x @ W^T")               \
X(BIAS,      "bias",      "the bias of the column, or 0")      \
X(R,         "r",         "an element of the residual [M,N]")  \
X(S,         "s",         "a scalar given at launch")          \
X(T,         "t",         "a scalar given at launch")

/* Operators: name, symbol, precedence, operands */
#define GEN_EXPR_OPERATORS(X) \
X(ADD,       "add", '+', 1, 2) \
X(SUB,       "sub", '-', 1, 2) \
X(MUL,       "mul", '*', 2, 2) \
X(DIV,       "div", '/', 2, 2) \
X(NEG,       "neg", '-', 3, 1)

/* Functions: name, operands, formula (the reference's meaning) */
#define GEN_EXPR_FUNCTIONS(X)                                                   \
X(SIGMOID,   "sigmoid",   1, "1 / (1 + exp(-x))")                               \
X(TANH,      "tanh",      1, "tanh(x)")                                         \
X(SILU,      "silu",      1, "x * sigmoid(x)")                                  \
X(GELU,      "gelu",      1, "0.5 * x * (1 + erf(x / sqrt(2)))")                \
X(GELU_TANH, "gelu_tanh", 1, "0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))") \
X(RELU,      "relu",      1, "max(x, 0)")                                       \
X(SOFTPLUS,  "softplus",  1, "log(1 + exp(x))")                                 \
X(MISH,      "mish",      1, "x * tanh(softplus(x))")                           \
X(EXP,       "exp",       1, "exp(x)")                                          \
X(ABS,       "abs",       1, "|x|")                                             \
X(MIN,       "min",       2, "the smaller; NaN if either is")                   \
X(MAX,       "max",       2, "the larger; NaN if either is")                    \
X(CLAMP,     "clamp",     3, "min(max(x, lo), hi)")
/* clang-format on */

enum {
#define X(name, ...) EXPR_##name,
    GEN_EXPR_LEAVES(X) EXPR_CONST,
    GEN_EXPR_OPERATORS(X) GEN_EXPR_FUNCTIONS(X) EXPR_N_OPS
#undef X
};

typedef struct GenExprOpInfo {
    const char *name;
    char symbol;    /* of an operator, else 0 */
    int precedence; /* of an operator; 4 for what needs no parentheses */
    int operands;
} GenExprOpInfo;
extern const GenExprOpInfo gen_expr_op[EXPR_N_OPS];

#endif
