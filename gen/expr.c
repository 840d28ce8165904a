/* expr.c: epilogue expressions: parse, print, evaluate in float64. Their PTX is in epilogue.c. */
#include "gen/expr.h"
#include "gen/internal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const GenExprOpInfo gen_expr_op[EXPR_N_OPS] = {
#define X(op, name, meaning) [EXPR_##op] = {name, 0, 4, 0},
    GEN_EXPR_LEAVES(X)
#undef X
        [EXPR_CONST] = {"", 0, 4, 0},
#define X(op, name, symbol, precedence, operands) [EXPR_##op] = {name, symbol, precedence, operands},
    GEN_EXPR_OPERATORS(X)
#undef X
#define X(op, name, operands, formula) [EXPR_##op] = {name, 0, 4, operands},
        GEN_EXPR_FUNCTIONS(X)
#undef X
};

/* ---- building ---- */

/* Appends a node over the given operands; returns its index, or -1 with the error set. */
static int add_node(GenExpr *e, int op, const int *arg, float value, GenError *error)
{
    if (e->n == GEN_MAX_EXPR_NODES) {
        gen_fail(error, "the epilogue has more than %d operations", GEN_MAX_EXPR_NODES);
        return -1;
    }
    GenExprNode *node = &e->node[e->n];
    *node = (GenExprNode){.op = op, .value = value};
    for (int i = 0; i < gen_expr_op[op].operands; i++) node->arg[i] = arg[i];
    e->uses_s |= op == EXPR_S;
    e->uses_t |= op == EXPR_T;
    e->uses_r |= op == EXPR_R;
    return e->n++;
}

/* ---- infix text ---- */

typedef struct Parser {
    const char *start, *p;
    GenExpr *e;
    GenError *error;
    int depth;
} Parser;

static int parse_sum(Parser *s);

static int refuse(Parser *s, const char *wanted)
{
    gen_fail(s->error, "epilogue '%s': at character %d: wants %s", s->start, (int)(s->p - s->start) + 1,
             wanted);
    return -1;
}

static bool accept(Parser *s, char c)
{
    while (isspace((unsigned char)*s->p)) s->p++;
    if (*s->p != c) return false;
    s->p++;
    return true;
}

static int op_by_name(const char *name, size_t n)
{
    for (int op = 0; op < EXPR_N_OPS; op++) {
        const GenExprOpInfo *info = &gen_expr_op[op];
        if (n && !info->symbol && strlen(info->name) == n && strncmp(info->name, name, n) == 0) return op;
    }
    return -1;
}

static int parse_name(Parser *s)
{
    size_t n = 0;
    int arg[3];
    while (isalnum((unsigned char)s->p[n]) || s->p[n] == '_') n++;
    int op = op_by_name(s->p, n);
    if (op < 0)
        return refuse(s,
                      "a number, z, acc, bias, r, s, t or a function (sigmoid, tanh, silu, gelu, relu, ...)");
    s->p += n;
    int operands = gen_expr_op[op].operands;
    if (operands && !accept(s, '(')) return refuse(s, "'(' behind a function");
    for (int i = 0; i < operands; i++) {
        if (i && !accept(s, ',')) return refuse(s, "',' and another operand");
        if ((arg[i] = parse_sum(s)) < 0) return -1;
    }
    if (operands && !accept(s, ')')) return refuse(s, "')'");
    return add_node(s->e, op, arg, 0, s->error);
}

static int parse_number(Parser *s)
{
    char *end;
    float value = strtof(s->p, &end);
    if (!isfinite(value)) return refuse(s, "a number that fp32 can hold");
    s->p = end;
    return add_node(s->e, EXPR_CONST, NULL, value, s->error);
}

static int parse_unary(Parser *s)
{
    int arg[3];
    if (++s->depth > GEN_MAX_EXPR_NODES) return refuse(s, "less nesting");
    if (accept(s, '-')) {
        if ((arg[0] = parse_unary(s)) < 0) return -1;
        return add_node(s->e, EXPR_NEG, arg, 0, s->error);
    }
    if (accept(s, '(')) {
        int inner = parse_sum(s);
        if (inner >= 0 && !accept(s, ')')) return refuse(s, "')'");
        return inner;
    }
    return isdigit((unsigned char)*s->p) || *s->p == '.' ? parse_number(s) : parse_name(s);
}

static int parse_product(Parser *s)
{
    int arg[3] = {parse_unary(s)};
    while (arg[0] >= 0) {
        int op = accept(s, '*') ? EXPR_MUL : accept(s, '/') ? EXPR_DIV : -1;
        if (op < 0) break;
        if ((arg[1] = parse_unary(s)) < 0) return -1;
        arg[0] = add_node(s->e, op, arg, 0, s->error);
    }
    return arg[0];
}

static int parse_sum(Parser *s)
{
    int arg[3] = {parse_product(s)};
    while (arg[0] >= 0) {
        int op = accept(s, '+') ? EXPR_ADD : accept(s, '-') ? EXPR_SUB : -1;
        if (op < 0) break;
        if ((arg[1] = parse_product(s)) < 0) return -1;
        arg[0] = add_node(s->e, op, arg, 0, s->error);
    }
    return arg[0];
}

bool gen_expr_parse(const char *text, GenExpr *expr, GenError *error)
{
    Parser s = {text, text, expr, error, 0};
    *expr = (GenExpr){0};
    if (strlen(text) >= GEN_MAX_EPILOGUE)
        return gen_fail(error, "the epilogue is longer than %d characters", GEN_MAX_EPILOGUE - 1);
    if (parse_sum(&s) < 0) return false;
    accept(&s, ' ');
    if (*s.p) {
        refuse(&s, "an operator or the end");
        return false;
    }
    return true;
}

/* ---- printing ---- */

typedef struct Out {
    char *at;
    size_t length, bytes;
    bool overflow;
} Out;

static void put(Out *o, const char *text)
{
    size_t n = strlen(text);
    if (o->length + n >= o->bytes) {
        o->overflow = true;
        return;
    }
    memcpy(o->at + o->length, text, n + 1);
    o->length += n;
}

static void put_node(Out *o, const GenExpr *e, int i);

static void put_operand(Out *o, const GenExpr *e, int i, int least_precedence)
{
    bool parentheses = gen_expr_op[e->node[i].op].precedence < least_precedence;
    if (parentheses) put(o, "(");
    put_node(o, e, i);
    if (parentheses) put(o, ")");
}

static void put_node(Out *o, const GenExpr *e, int i)
{
    const GenExprNode *node = &e->node[i];
    const GenExprOpInfo *info = &gen_expr_op[node->op];
    char text[32];
    if (node->op == EXPR_CONST) {
        snprintf(text, sizeof text, "%.9g", (double)node->value);
        put(o, text);
    } else if (node->op == EXPR_NEG) {
        put(o, "-");
        put_operand(o, e, node->arg[0], 3);
    } else if (info->symbol) {
        snprintf(text, sizeof text, " %c ", info->symbol);
        put_operand(o, e, node->arg[0], info->precedence);
        put(o, text);
        put_operand(o, e, node->arg[1], info->precedence + 1);
    } else {
        put(o, info->name);
        for (int a = 0; a < info->operands; a++) {
            put(o, a ? ", " : "(");
            put_node(o, e, node->arg[a]);
        }
        if (info->operands) put(o, ")");
    }
}

bool gen_expr_print(const GenExpr *expr, char *text, size_t text_bytes)
{
    Out o = {text, 0, text_bytes, false};
    text[0] = 0;
    put_node(&o, expr, expr->n - 1);
    return !o.overflow;
}

/* ---- in config names: postfix, joined by '_'; a constant is 'c' and its bits ---- */

/* A function's token is its name without '_', which separates tokens. */
static void token_of(int op, char token[24])
{
    char *t = token;
    for (const char *c = gen_expr_op[op].name; *c; c++)
        if (*c != '_') *t++ = *c;
    *t = 0;
}

bool gen_expr_name(const GenExpr *expr, char *name, size_t name_bytes)
{
    Out o = {name, 0, name_bytes, false};
    name[0] = 0;
    for (int i = 0; i < expr->n; i++) {
        char token[24];
        uint32_t bits;
        memcpy(&bits, &expr->node[i].value, sizeof bits);
        if (expr->node[i].op == EXPR_CONST) snprintf(token, sizeof token, "c%08x", bits);
        else token_of(expr->node[i].op, token);
        if (i) put(&o, "_");
        put(&o, token);
    }
    return !o.overflow;
}

/* The operation of a token, and the value of a constant; -1: none. */
static int op_of_token(const char *token, size_t n, float *value)
{
    char candidate[24], *end;
    if (n == 9 && token[0] == 'c') {
        uint32_t bits = (uint32_t)strtoul(token + 1, &end, 16);
        memcpy(value, &bits, sizeof bits);
        return end == token + 9 && isfinite(*value) ? EXPR_CONST : -1;
    }
    for (int op = 0; op < EXPR_N_OPS; op++) {
        token_of(op, candidate);
        if (n && strlen(candidate) == n && strncmp(candidate, token, n) == 0) return op;
    }
    return -1;
}

bool gen_expr_from_name(const char *name, GenExpr *expr, GenError *error)
{
    int stack[GEN_MAX_EXPR_NODES], depth = 0;
    *expr = (GenExpr){0};
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, "_");
        float value = 0;
        int op = op_of_token(p, n, &value);
        int operands = op < 0 ? 0 : gen_expr_op[op].operands;
        if (op < 0 || depth < operands)
            return gen_fail(error, "'%.*s' in the epilogue '%s' of a config name makes no sense", (int)n, p,
                            name);
        depth -= operands;
        int node = add_node(expr, op, stack + depth, value, error);
        if (node < 0) return false;
        stack[depth++] = node;
        p += n;
        if (!*p) break;
    }
    if (depth != 1)
        return gen_fail(error, "the epilogue '%s' of a config name leaves %d values instead of one", name,
                        depth);
    return true;
}

/* ---- meaning ---- */

static double eval_min(double a, double b) { return isnan(a) || isnan(b) ? NAN : a < b ? a : b; }
static double eval_max(double a, double b) { return isnan(a) || isnan(b) ? NAN : a > b ? a : b; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static double eval_function(int op, const double a[3])
{
    double x = a[0];
    switch (op) {
    case EXPR_ADD: return x + a[1];
    case EXPR_SUB: return x - a[1];
    case EXPR_MUL: return x * a[1];
    case EXPR_DIV: return x / a[1];
    case EXPR_NEG: return -x;
    case EXPR_SIGMOID: return sigmoid(x);
    case EXPR_TANH: return tanh(x);
    case EXPR_SILU: return x * sigmoid(x);
    case EXPR_GELU: return 0.5 * x * erfc(-x * 0.70710678118654752440);
    case EXPR_GELU_TANH: return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case EXPR_RELU: return eval_max(x, 0);
    case EXPR_SOFTPLUS: return softplus(x);
    case EXPR_MISH: return x * tanh(softplus(x));
    case EXPR_EXP: return exp(x);
    case EXPR_ABS: return fabs(x);
    case EXPR_MIN: return eval_min(x, a[1]);
    case EXPR_MAX: return eval_max(x, a[1]);
    case EXPR_CLAMP: return eval_min(eval_max(x, a[1]), a[2]);
    }
    return NAN;
}

double gen_expr_eval(const GenExpr *expr, const GenExprInputs *in)
{
    double value[GEN_MAX_EXPR_NODES];
    for (int i = 0; i < expr->n; i++) {
        const GenExprNode *node = &expr->node[i];
        switch (node->op) {
        case EXPR_Z: value[i] = in->acc + in->bias; break;
        case EXPR_ACC: value[i] = in->acc; break;
        case EXPR_BIAS: value[i] = in->bias; break;
        case EXPR_R: value[i] = in->r; break;
        case EXPR_S: value[i] = in->s; break;
        case EXPR_T: value[i] = in->t; break;
        case EXPR_CONST: value[i] = (double)node->value; break;
        default: {
            double arg[3] = {value[node->arg[0]], value[node->arg[1]], value[node->arg[2]]};
            value[i] = eval_function(node->op, arg);
        }
        }
    }
    return value[expr->n - 1];
}
