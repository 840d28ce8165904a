/* epilogue.c: the epilogue expression as PTX, one output element at a time, on fp32 registers.
 *
 * Exponentials go through ex2.approx.ftz (2 ulp) and reciprocals through rcp.approx.ftz (1 ulp). The
 * sigmoid is written so that it saturates by itself: ex2 of a large argument is +inf and rcp of that 0,
 * so that no infinity meets another and NaN passes through. A product that is added is one fma.
 */
#include "gen/expr.h"
#include "gen/gemm.h"

static const float LOG2_E = 1.44269504088896340736f, LN_2 = 0.69314718055994530942f;

void gen_epilogue_begin(Epilogue *e, const Gemm *g)
{
    PtxKernel *k = g->k;
    *e = (Epilogue){.k = k, .expr = &g->p->epilogue};
    if (e->expr->uses_s) emit(k, LD_PARAM_F32, e->s = ptx_reg(k, PTX_F32, "s"), mem(g->s_param, 0));
    if (e->expr->uses_t) emit(k, LD_PARAM_F32, e->t = ptx_reg(k, PTX_F32, "t"), mem(g->t_param, 0));
    e->temp = ptx_regs(k, PTX_F32, "e", e->expr->n);
    e->u = ptx_reg(k, PTX_F32, "u");
    e->v = ptx_reg(k, PTX_F32, "v");
    e->w = ptx_reg(k, PTX_F32, "w");
    e->p = ptx_reg(k, PTX_PRED, "p_e");
}

/* ---- functions: y = f(x); y may be x ---- */

/* y = exp(scale * x) */
static void emit_exp(Epilogue *e, PtxArg y, PtxArg x, float scale)
{
    emit(e->k, MUL_F32, y, x, immf(scale * LOG2_E));
    emit(e->k, EX2_APPROX, y, y);
}

/* y = 1 / (1 + exp(-scale * x)) */
static void emit_sigmoid(Epilogue *e, PtxArg y, PtxArg x, float scale)
{
    emit_exp(e, e->u, x, -scale);
    emit(e->k, ADD_F32, e->u, e->u, immf(1));
    emit(e->k, RCP_APPROX, y, e->u);
}

/* y = c[0] + c[1] x + c[2] x^2 + ..., by Horner */
static void emit_polynomial(Epilogue *e, PtxArg y, PtxArg x, const float *c, int n)
{
    emit(e->k, MOV_F32, y, immf(c[n - 1]));
    for (int i = n - 2; i >= 0; i--) emit(e->k, FMA_F32, y, y, x, immf(c[i]));
}

/* 2 sigmoid(2x) - 1 loses relative accuracy near 0: there the series in x^2. */
static void emit_tanh(Epilogue *e, PtxArg y, PtxArg x)
{
    static const float series[] = {1, -1 / 3.0f, 2 / 15.0f, -17 / 315.0f, 62 / 2835.0f, -1382 / 155925.0f};
    PtxKernel *k = e->k;
    emit_sigmoid(e, e->v, x, 2);
    emit(k, FMA_F32, e->v, e->v, immf(2), immf(-1));
    emit(k, MUL_F32, e->u, x, x);
    emit_polynomial(e, e->w, e->u, series, 6);
    emit(k, MUL_F32, e->w, e->w, x);
    emit(k, SETP_LT_F32, e->p, e->u, immf(0.16f));
    emit(k, SELP_F32, y, e->w, e->v, e->p);
}

/* x * Phi(x), Phi by Abramowitz & Stegun 7.1.26 (absolute error 1.5e-7): for a = |x| / sqrt(2),
 * erfc(a) = t * poly(t) * exp(-a^2), t = 1 / (1 + 0.3275911 a). */
static void emit_gelu(Epilogue *e, PtxArg y, PtxArg x)
{
    static const float half_poly[] = {0.127414796f, -0.142248368f, 0.7107068705f, -0.7265760135f, 0.5307027145f};
    PtxKernel *k = e->k;
    emit(k, ABS_F32, e->u, x);
    emit(k, FMA_F32, e->u, e->u, immf(0.3275911f * 0.70710678f), immf(1));
    emit(k, RCP_APPROX, e->u, e->u);
    emit_polynomial(e, e->v, e->u, half_poly, 5);
    emit(k, MUL_F32, e->v, e->v, e->u);
    emit(k, MUL_F32, e->u, x, x);
    emit_exp(e, e->u, e->u, -0.5f);
    emit(k, MUL_F32, e->v, e->v, e->u); /* Phi(-|x|) */
    emit(k, SUB_F32, e->w, immf(1), e->v);
    emit(k, SETP_LT_F32, e->p, x, immf(0));
    emit(k, SELP_F32, e->v, e->v, e->w, e->p);
    emit(k, MUL_F32, y, x, e->v);
}

/* tanh(a) = 2 sigmoid(2a) - 1, so 0.5 x (1 + tanh(a)) = x sigmoid(2a). */
static void emit_gelu_tanh(Epilogue *e, PtxArg y, PtxArg x)
{
    PtxKernel *k = e->k;
    emit(k, MUL_F32, e->v, x, x);
    emit(k, FMA_F32, e->v, e->v, immf(0.044715f), immf(1));
    emit(k, MUL_F32, e->v, e->v, x);
    emit_sigmoid(e, e->v, e->v, 2 * 0.79788456080286535588f);
    emit(k, MUL_F32, y, x, e->v);
}

/* max(x, 0) + log(1 + u), u = exp(-|x|); for small u, u - u^2/2 + u^3/3. */
static void emit_softplus(Epilogue *e, PtxArg y, PtxArg x)
{
    static const float series[] = {1, -0.5f, 1 / 3.0f};
    PtxKernel *k = e->k;
    emit(k, ABS_F32, e->u, x);
    emit_exp(e, e->u, e->u, -1);
    emit(k, ADD_F32, e->v, e->u, immf(1));
    emit(k, LG2_APPROX, e->v, e->v);
    emit(k, MUL_F32, e->v, e->v, immf(LN_2));
    emit_polynomial(e, e->w, e->u, series, 3);
    emit(k, MUL_F32, e->w, e->w, e->u);
    emit(k, SETP_LT_F32, e->p, e->u, immf(0.015625f));
    emit(k, SELP_F32, e->v, e->w, e->v, e->p);
    emit(k, MAX_NAN_F32, e->u, x, immf(0));
    emit(k, ADD_F32, y, e->u, e->v);
}

/* tanh(log(1 + w)) = n / (n + 2), n = w (w + 2), w = exp(x); it is 1 in fp32 long before x = 20. */
static void emit_mish(Epilogue *e, PtxArg y, PtxArg x)
{
    PtxKernel *k = e->k;
    emit(k, MIN_NAN_F32, e->u, x, immf(20));
    emit_exp(e, e->u, e->u, 1);
    emit(k, ADD_F32, e->v, e->u, immf(2));
    emit(k, MUL_F32, e->v, e->v, e->u);
    emit(k, ADD_F32, e->u, e->v, immf(2));
    emit(k, RCP_APPROX, e->u, e->u);
    emit(k, MUL_F32, e->v, e->v, e->u);
    emit(k, MUL_F32, y, x, e->v);
}

/* ---- the tree ---- */

static PtxArg new_temp(Epilogue *e)
{
    int i = 0;
    while (e->busy[i]) i++;
    e->busy[i] = true;
    return at(e->temp, i);
}

/* A value is used once: its register is free again when its user has read it. */
static void release(Epilogue *e, PtxArg value)
{
    if (value.first >= e->temp.first && value.first < e->temp.first + e->temp.count) e->busy[value.first - e->temp.first] = false;
}

static void emit_node(Epilogue *e, int op, PtxArg y, const PtxArg a[3])
{
    PtxKernel *k = e->k;
    switch (op) {
    case EXPR_ADD: emit(k, ADD_F32, y, a[0], a[1]); break;
    case EXPR_SUB: emit(k, SUB_F32, y, a[0], a[1]); break;
    case EXPR_MUL: emit(k, MUL_F32, y, a[0], a[1]); break;
    case EXPR_DIV: emit(k, DIV_F32, y, a[0], a[1]); break;
    case EXPR_NEG: emit(k, NEG_F32, y, a[0]); break;
    case EXPR_SIGMOID: emit_sigmoid(e, y, a[0], 1); break;
    case EXPR_TANH: emit_tanh(e, y, a[0]); break;
    case EXPR_SILU:
        emit_sigmoid(e, e->u, a[0], 1);
        emit(k, MUL_F32, y, a[0], e->u);
        break;
    case EXPR_GELU: emit_gelu(e, y, a[0]); break;
    case EXPR_GELU_TANH: emit_gelu_tanh(e, y, a[0]); break;
    case EXPR_RELU: emit(k, MAX_NAN_F32, y, a[0], immf(0)); break;
    case EXPR_SOFTPLUS: emit_softplus(e, y, a[0]); break;
    case EXPR_MISH: emit_mish(e, y, a[0]); break;
    case EXPR_EXP: emit_exp(e, y, a[0], 1); break;
    case EXPR_ABS: emit(k, ABS_F32, y, a[0]); break;
    case EXPR_MIN: emit(k, MIN_NAN_F32, y, a[0], a[1]); break;
    case EXPR_MAX: emit(k, MAX_NAN_F32, y, a[0], a[1]); break;
    case EXPR_CLAMP:
        emit(k, MAX_NAN_F32, e->u, a[0], a[1]);
        emit(k, MIN_NAN_F32, y, e->u, a[2]);
        break;
    }
}

/* Emits node i and all below it. `out`: where the value shall go; PTX_NONE: anywhere. */
static PtxArg emit_tree(Epilogue *e, int i, PtxArg out, const PtxArg leaf[EXPR_CONST])
{
    const GenExprNode *node = &e->expr->node[i], *right = &e->expr->node[node->arg[1]];
    PtxArg a[3];
    if (node->op < EXPR_CONST) return leaf[node->op];
    bool fused = node->op == EXPR_ADD && right->op == EXPR_MUL;
    int operands = gen_expr_op[node->op].operands;
    a[0] = operands > 0 ? emit_tree(e, node->arg[0], PTX_NONE, leaf) : PTX_NONE;
    if (fused) {
        a[1] = emit_tree(e, right->arg[0], PTX_NONE, leaf);
        a[2] = emit_tree(e, right->arg[1], PTX_NONE, leaf);
        operands = 3;
    } else {
        for (int j = 1; j < operands; j++) a[j] = emit_tree(e, node->arg[j], PTX_NONE, leaf);
    }
    PtxArg y = out.kind == PTX_ARG_NONE ? new_temp(e) : out;
    if (node->op == EXPR_CONST) emit(e->k, MOV_F32, y, immf(node->value));
    else if (fused) emit(e->k, FMA_F32, y, a[1], a[2], a[0]);
    else emit_node(e, node->op, y, a);
    for (int j = 0; j < operands; j++) release(e, a[j]);
    return y;
}

void gen_epilogue(Epilogue *e, PtxArg out, PtxArg z, PtxArg acc, PtxArg bias, PtxArg r)
{
    const PtxArg leaf[EXPR_CONST] = {
        [EXPR_Z] = z, [EXPR_ACC] = acc, [EXPR_BIAS] = bias, [EXPR_R] = r, [EXPR_S] = e->s, [EXPR_T] = e->t};
    PtxArg value = emit_tree(e, e->expr->n - 1, out, leaf);
    if (value.first != out.first) emit(e->k, MOV_F32, out, value);
}
