/* epilogue.c: the epilogue expression as PTX on fp32 registers, up to four output elements at a time.
 *
 * Exponentials go through ex2.approx.ftz (2 ulp) and reciprocals through rcp.approx.ftz (1 ulp). The
 * sigmoid is written so that it saturates by itself: ex2 of a large argument is +inf and rcp of that 0,
 * so that no infinity meets another and NaN passes through. A product that is added is one fma.
 */
#include "gen/expr.h"
#include "gen/gemm.h"

static const float LOG2_E = 1.44269504088896340736f, LN_2 = 0.69314718055994530942f;

/* The value of a node for the elements at hand. */
typedef struct Value {
    PtxArg of[EPILOGUE_WIDTH];
} Value;

/* z + c * sigmoid(z): a NaN or infinity in z decides y whatever the sigmoid makes of it. */
static bool sigmoid_is_added_to_its_argument(const GenExpr *e)
{
    const GenExprNode *root = &e->node[e->n - 1];
    if (root->op != EXPR_ADD || e->node[root->arg[0]].op != EXPR_Z) return false;
    const GenExprNode *product = &e->node[root->arg[1]];
    if (product->op != EXPR_MUL) return false;
    const GenExprNode *factor = &e->node[product->arg[0]], *sigmoid = &e->node[product->arg[1]];
    bool scalar = factor->op == EXPR_S || factor->op == EXPR_T || factor->op == EXPR_CONST;
    return scalar && sigmoid->op == EXPR_SIGMOID && e->node[sigmoid->arg[0]].op == EXPR_Z;
}

void gen_epilogue_begin(Epilogue *e, const Gemm *g)
{
    PtxKernel *k = g->k;
    *e = (Epilogue){.k = k, .expr = &g->p->epilogue};
    if (e->expr->uses_s) emit(k, LD_PARAM_F32, e->s = ptx_reg(k, PTX_F32, "s"), mem(g->s_param, 0));
    if (e->expr->uses_t) emit(k, LD_PARAM_F32, e->t = ptx_reg(k, PTX_F32, "t"), mem(g->t_param, 0));
    e->temp = ptx_regs(k, PTX_F32, "e", EPILOGUE_WIDTH * e->expr->n);
    e->group = ptx_regs(k, PTX_F32, "a", EPILOGUE_WIDTH);
    e->u = ptx_reg(k, PTX_F32, "u");
    e->v = ptx_reg(k, PTX_F32, "v");
    e->w = ptx_reg(k, PTX_F32, "w");
    e->p = ptx_reg(k, PTX_PRED, "p_e");
    e->group_sigmoids = sigmoid_is_added_to_its_argument(e->expr);
}

/* ---- functions of one element: y = f(x); y is not x ---- */

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
    static const float half_poly[] = {0.127414796f, -0.142248368f, 0.7107068705f, -0.7265760135f,
                                      0.5307027145f};
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

static void emit_element(Epilogue *e, int op, PtxArg y, PtxArg a, PtxArg b, PtxArg c)
{
    PtxKernel *k = e->k;
    switch (op) {
    case EXPR_ADD: emit(k, ADD_F32, y, a, b); break;
    case EXPR_SUB: emit(k, SUB_F32, y, a, b); break;
    case EXPR_MUL: emit(k, MUL_F32, y, a, b); break;
    case EXPR_DIV: emit(k, DIV_F32, y, a, b); break;
    case EXPR_NEG: emit(k, NEG_F32, y, a); break;
    case EXPR_SIGMOID: emit_sigmoid(e, y, a, 1); break;
    case EXPR_TANH: emit_tanh(e, y, a); break;
    case EXPR_SILU:
        emit_sigmoid(e, e->u, a, 1);
        emit(k, MUL_F32, y, a, e->u);
        break;
    case EXPR_GELU: emit_gelu(e, y, a); break;
    case EXPR_GELU_TANH: emit_gelu_tanh(e, y, a); break;
    case EXPR_RELU: emit(k, MAX_NAN_F32, y, a, immf(0)); break;
    case EXPR_SOFTPLUS: emit_softplus(e, y, a); break;
    case EXPR_MISH: emit_mish(e, y, a); break;
    case EXPR_EXP: emit_exp(e, y, a, 1); break;
    case EXPR_ABS: emit(k, ABS_F32, y, a); break;
    case EXPR_MIN: emit(k, MIN_NAN_F32, y, a, b); break;
    case EXPR_MAX: emit(k, MAX_NAN_F32, y, a, b); break;
    case EXPR_CLAMP:
        emit(k, MAX_NAN_F32, e->u, a, b);
        emit(k, MIN_NAN_F32, y, e->u, c);
        break;
    }
}

/* ---- sigmoids in groups: the special function unit is what limits an epilogue ----
 *
 * y_i = x_i + c / a_i, a_i = 1 + exp(-x_i); with r = c / (a0 a1 a2 a3), c / a0 = r a1 (a2 a3) and so on: one
 * reciprocal for four elements, 1.25 special functions an element instead of 2. The exponent is cut so that the
 * product stays finite: an error of 2^-31, absolute, and only where sigmoid(x) is smaller than that. The last bits
 * of one depend on the others: all must be of one row of y, and of columns behind its end zeros. */
static void emit_added_sigmoids(Epilogue *e, int n, const Value *y, const Value *x, PtxArg factor)
{
    PtxKernel *k = e->k;
    const PtxArg a[] = {at(e->group, 0), at(e->group, 1), at(e->group, 2), at(e->group, 3)};
    for (int i = 0; i < n; i++) {
        emit(k, MUL_F32, a[i], x->of[i], immf(-LOG2_E));
        emit(k, MIN_F32, a[i], a[i], immf(31));
        emit(k, EX2_APPROX, a[i], a[i]);
        emit(k, ADD_F32, a[i], a[i], immf(1));
    }
    emit(k, MUL_F32, e->u, a[0], a[1]);
    if (n == 4) emit(k, MUL_F32, e->v, a[2], a[3]);
    if (n == 4) emit(k, MUL_F32, e->w, e->u, e->v);
    emit(k, RCP_APPROX, e->w, n == 4 ? e->w : e->u);
    emit(k, MUL_F32, e->w, e->w, factor);
    if (n == 4) { /* u = c / (a2 a3), w = c / (a0 a1) */
        emit(k, MUL_F32, e->u, e->u, e->w);
        emit(k, MUL_F32, e->w, e->v, e->w);
    }
    for (int i = 0; i < n; i++) emit(k, FMA_F32, y->of[i], a[i ^ 1], i < 2 ? e->w : e->u, x->of[i]);
}

/* ---- the tree ---- */

static Value new_temp(Epilogue *e)
{
    Value v;
    int i = 0;
    while (e->busy[i]) i++;
    e->busy[i] = true;
    for (int j = 0; j < EPILOGUE_WIDTH; j++) v.of[j] = at(e->temp, EPILOGUE_WIDTH * i + j);
    return v;
}

/* A value is used once: its registers are free again when its user has read them. */
static void release(Epilogue *e, const Value *v)
{
    uint32_t i = v->of[0].first - e->temp.first;
    if (v->of[0].first >= e->temp.first && i < e->temp.count) e->busy[i / EPILOGUE_WIDTH] = false;
}

static void emit_node(Epilogue *e, int n, const GenExprNode *node, const Value *y, const Value a[3])
{
    for (int i = 0; i < n; i++) {
        if (node->op == EXPR_CONST) emit(e->k, MOV_F32, y->of[i], immf(node->value));
        else emit_element(e, node->op, y->of[i], a[0].of[i], a[1].of[i], a[2].of[i]);
    }
}

/* Emits node i and all below it for n elements. `out`: where the value shall go; NULL: anywhere. */
static Value emit_tree(Epilogue *e, int n, int i, const Value *out, const Value leaf[EXPR_CONST])
{
    const GenExprNode *node = &e->expr->node[i], *right = &e->expr->node[node->arg[1]];
    bool fused = node->op == EXPR_ADD && right->op == EXPR_MUL;
    int operands = gen_expr_op[node->op].operands;
    Value a[3] = {0};
    if (node->op < EXPR_CONST) return leaf[node->op];
    if (operands > 0) a[0] = emit_tree(e, n, node->arg[0], NULL, leaf);
    if (fused) {
        a[1] = emit_tree(e, n, right->arg[0], NULL, leaf);
        a[2] = emit_tree(e, n, right->arg[1], NULL, leaf);
        operands = 3;
    } else {
        for (int j = 1; j < operands; j++) a[j] = emit_tree(e, n, node->arg[j], NULL, leaf);
    }
    Value y = out ? *out : new_temp(e);
    if (!fused) emit_node(e, n, node, &y, a);
    for (int j = 0; fused && j < n; j++) emit(e->k, FMA_F32, y.of[j], a[1].of[j], a[2].of[j], a[0].of[j]);
    for (int j = 0; j < operands; j++) release(e, &a[j]);
    return y;
}

static Value spread(PtxArg regs, int n)
{
    Value v = {0};
    for (int i = 0; i < n && regs.kind == PTX_ARG_REG; i++) v.of[i] = at(regs, i);
    return v;
}

static Value repeated(PtxArg reg)
{
    Value v;
    for (int i = 0; i < EPILOGUE_WIDTH; i++) v.of[i] = reg;
    return v;
}

/* The c of z + c * sigmoid(z), in a register. */
static PtxArg factor_of_sigmoid(Epilogue *e)
{
    const GenExpr *expr = e->expr;
    const GenExprNode *product = &expr->node[expr->node[expr->n - 1].arg[1]], *factor = &expr->node[product->arg[0]];
    if (factor->op == EXPR_S) return e->s;
    if (factor->op == EXPR_T) return e->t;
    return immf(factor->value);
}

static Value of_row(const Value *v, const EpilogueElements *x, int row)
{
    Value r = {0};
    for (int i = 0; i < x->n / x->rows; i++) r.of[i] = v->of[i * x->rows + row];
    return r;
}

void gen_epilogue(Epilogue *e, const EpilogueElements *x)
{
    Value out = spread(x->y, x->n), leaf[EXPR_CONST];
    leaf[EXPR_Z] = spread(x->z, x->n);
    leaf[EXPR_R] = spread(x->r, x->n);
    leaf[EXPR_S] = repeated(e->s);
    leaf[EXPR_T] = repeated(e->t);
    for (int i = 0; i < x->n; i++) {
        leaf[EXPR_ACC].of[i] = x->acc[i];
        leaf[EXPR_BIAS].of[i] = x->bias[i];
    }
    if (e->group_sigmoids && x->n > x->rows) {
        for (int row = 0; row < x->rows; row++) {
            Value y = of_row(&out, x, row), z = of_row(&leaf[EXPR_Z], x, row);
            emit_added_sigmoids(e, x->n / x->rows, &y, &z, factor_of_sigmoid(e));
        }
        return;
    }
    Value value = emit_tree(e, x->n, e->expr->n - 1, &out, leaf);
    for (int i = 0; i < x->n; i++)
        if (value.of[i].first != out.of[i].first) emit(e->k, MOV_F32, out.of[i], value.of[i]);
}
