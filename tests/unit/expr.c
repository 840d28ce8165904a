/* The epilogue language: what it reads, prints and means. */
#include "gen/gen.h"
#include "gen/internal.h"
#include "tests/tap.h"

#include <math.h>

static void reads(const char *text, const char *canonical, const GenExprInputs *in, double value)
{
    GenExpr e, again;
    GenError error = {""};
    char printed[GEN_MAX_EPILOGUE], name[GEN_MAX_NAME], back[GEN_MAX_EPILOGUE];
    if (!ok(gen_expr_parse(text, &e, &error), "'%s' parses", text)) {
        note("%s", error.text);
        return;
    }
    gen_expr_print(&e, printed, sizeof printed);
    is_str(printed, canonical, "its canonical text");
    ok(gen_expr_name(&e, name, sizeof name) && gen_expr_from_name(name, &again, &error), "its name %s parses",
       name);
    gen_expr_print(&again, back, sizeof back);
    is_str(back, canonical, "to the same expression");
    double got = gen_expr_eval(&e, in);
    ok((isnan(got) && isnan(value)) || got == value || fabs(got - value) <= 1e-12 * fabs(value),
       "its value %.15g is %.15g", got, value);
}

static void refuses(const char *text, const char *why)
{
    GenExpr e;
    GenError error = {""};
    bool parsed = gen_expr_parse(text, &e, &error);
    if (!ok(!parsed && strstr(error.text, why), "'%s' is refused: %s", text, why))
        note("got: %s", error.text);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

int main(void)
{
    GenExprInputs in = {.acc = 0.75, .bias = -0.5, .r = 3, .s = 2, .t = 0.25};
    const double z = 0.25, inf = INFINITY;
    reads("z + s*sigmoid(z)", "z + s * sigmoid(z)", &in, z + 2 * sigmoid(z));
    reads(" (acc+bias)*2 - r/4", "(acc + bias) * 2 - r / 4", &in, 0.5 - 0.75);
    reads("z - (s - t)", "z - (s - t)", &in, z - 1.75);
    reads("z - s - t", "z - s - t", &in, z - 2.25);
    reads("s / (t / z)", "s / (t / z)", &in, 2.0);
    reads("-z * -2", "-z * -2", &in, 0.5);
    reads("-(z + 1)", "-(z + 1)", &in, -1.25);
    reads("tanh(z)", "tanh(z)", &in, tanh(z));
    reads("silu(z)", "silu(z)", &in, z * sigmoid(z));
    reads("gelu(z)", "gelu(z)", &in, 0.5 * z * (1 + erf(z / sqrt(2))));
    reads("gelu_tanh(z)", "gelu_tanh(z)", &in,
          0.5 * z * (1 + tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z))));
    reads("relu(-z)", "relu(-z)", &in, 0);
    reads("softplus(z)", "softplus(z)", &in, log1p(exp(z)));
    reads("mish(z)", "mish(z)", &in, z * tanh(log1p(exp(z))));
    reads("exp(abs(bias))", "exp(abs(bias))", &in, exp(0.5));
    reads("min(z, t) + max(z, s)", "min(z, t) + max(z, s)", &in, 2.25);
    reads("clamp(r, -1, 1.5e0)", "clamp(r, -1, 1.5)", &in, 1.5);

    GenExprInputs nan = {.acc = NAN}, plus = {.acc = inf}, minus = {.acc = -inf, .s = 2};
    reads("relu(z)", "relu(z)", &nan, NAN);
    reads("min(z, 1)", "min(z, 1)", &nan, NAN);
    reads("z + s * sigmoid(z)", "z + s * sigmoid(z)", &minus, -inf);
    reads("silu(z)", "silu(z)", &plus, inf);
    reads("silu(z)", "silu(z)", &minus, NAN);
    reads("tanh(z)", "tanh(z)", &minus, -1);
    reads("softplus(z)", "softplus(z)", &minus, 0);

    refuses("", "wants a number");
    refuses("z +", "wants a number");
    refuses("z z", "wants an operator or the end");
    refuses("swish(z)", "wants a number, z");
    refuses("sigmoid z", "wants '('");
    refuses("min(z)", "wants ','");
    refuses("(z", "wants ')'");
    refuses("1e99 * z", "a number that fp32 can hold");
    refuses("((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((z", "less nesting");
    char many[400] = "z";
    for (int i = 0; i < 40; i++) strcat(many, "+z");
    refuses(many, "more than 64 operations");
    for (int i = 0; i < 80; i++) strcat(many, "+z");
    refuses(many, "longer than");
    return done();
}
