/* reference.c: the float64 reference against a plain triple loop, and the verifier against outputs that are
 * right, slightly wrong, unwritten, or not finite. */
#include "cli/random.h"
#include "cli/verify.h"
#include "tests/tap.h"

#include <math.h>
#include <pthread.h>
#include <time.h>

typedef struct Case {
    Matrix x, w, bias, y;
    GenExpr epilogue;
    Linear linear;
} Case;

static void make_case(Case *c, GenType type, int64_t m, int64_t n, int64_t k, const char *epilogue)
{
    Error error;
    GenError gen_error;
    matrix_create(&c->x, type, m, k, k + 3, &error); /* padded: the padding is poison and must not be read */
    matrix_create(&c->w, type, n, k, k, &error);
    matrix_create(&c->bias, type, 1, n, n, &error);
    matrix_create(&c->y, type, m, n, n + 5, &error);
    random_fill(&c->x, 7, 0, 1);
    random_fill(&c->w, 7, 1, 1 / sqrt((double)k));
    random_fill(&c->bias, 7, 2, 1);
    if (!gen_expr_parse(epilogue, &c->epilogue, &gen_error)) printf("Bail out! %s\n", gen_error.text);
    c->linear = (Linear){.x = &c->x, .w = &c->w, .bias = &c->bias, .epilogue = &c->epilogue, .s = 2};
}

static void free_case(Case *c)
{
    matrix_free(&c->x);
    matrix_free(&c->w);
    matrix_free(&c->bias);
    matrix_free(&c->y);
}

/* z + 2 sigmoid(z), by the definition. */
static double plain(const Case *c, int64_t i, int64_t j)
{
    double z = element_get(c->bias.type, c->bias.data, j);
    for (int64_t l = 0; l < c->x.cols; l++)
        z += element_get(c->x.type, matrix_row(&c->x, i), l) *
             element_get(c->w.type, matrix_row(&c->w, j), l);
    return z + 2 / (1 + exp(-z));
}

typedef struct Compared {
    const Case *c;
    double worst;
} Compared;

static void compare_tile(void *context, const ReferenceTile *tile)
{
    Compared *out = context;
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    double worst = 0;
    for (int i = 0; i < tile->rows; i++)
        for (int j = 0; j < tile->cols; j++) {
            double y = reference_output(&out->c->linear, tile->row + i, tile->col + j, tile->acc[i][j]);
            worst = fmax(worst, fabs(y - plain(out->c, tile->row + i, tile->col + j)));
        }
    pthread_mutex_lock(&mutex);
    out->worst = fmax(out->worst, worst);
    pthread_mutex_unlock(&mutex);
}

static void test_reference(GenType type, int64_t m, int64_t n, int64_t k)
{
    Case c = {0};
    make_case(&c, type, m, n, k, GEN_DEFAULT_EPILOGUE);
    Compared compared = {&c, 0};
    reference_visit(&c.linear, compare_tile, &compared);
    ok(compared.worst < 1e-12, "%s %lldx%lldx%lld: the blocked product is that of three loops (off by %.1e)",
       gen_type_name(type), (long long)m, (long long)n, (long long)k, compared.worst);
    free_case(&c);
}

static void fill_right(Case *c)
{
    for (int64_t i = 0; i < c->y.rows; i++)
        for (int64_t j = 0; j < c->y.cols; j++)
            element_set(c->y.type, matrix_row(&c->y, i), j, plain(c, i, j));
}

static Verdict verdict_of(Case *c)
{
    Error error;
    Verdict v = {0};
    if (!verify(&c->linear, &c->y, &v, &error)) printf("Bail out! %s\n", error.text);
    return v;
}

static void set_y(Case *c, int64_t row, int64_t col, double value)
{
    element_set(c->y.type, matrix_row(&c->y, row), col, value);
}

static void test_verify(GenType type)
{
    Case c = {0};
    const char *name = gen_type_name(type);
    make_case(&c, type, 37, 150, 65, GEN_DEFAULT_EPILOGUE);
    ok(!verdict_of(&c).ok, "%s: an output that nobody wrote is wrong", name);
    fill_right(&c);
    Verdict v = verdict_of(&c);
    ok(v.ok && v.n_mismatches == 0, "%s: the rounded truth is right (rel_err %.2e)", name, v.rel_err);
    ok(v.rel_err > verify_rel_err_limit(type) / 4, "%s: and its rel_err shows the rounding", name);

    double kept = plain(&c, 36, 149);
    set_y(&c, 36, 149, kept + 0.03 * (1 + fabs(kept)));
    v = verdict_of(&c);
    ok(!v.ok && v.n_mismatches == 1 && v.shown[0].row == 36 && v.shown[0].col == 149,
       "%s: one wrong element in the last corner is found", name);
    set_y(&c, 36, 149, NAN);
    v = verdict_of(&c);
    ok(!v.ok && v.n_mismatches == 1 && isnan(v.max_abs_err), "%s: so is one NaN", name);
    set_y(&c, 36, 149, INFINITY);
    ok(!verdict_of(&c).ok, "%s: and an infinity", name);
    set_y(&c, 36, 149, kept);
    ok(verdict_of(&c).ok, "%s: mended, all is right", name);

    set_y(&c, 3, 152, 0); /* behind the row's 150 elements */
    v = verdict_of(&c);
    ok(!v.ok && v.padding_written && v.n_mismatches == 0, "%s: a write between the rows is found", name);
    free_case(&c);
}

/* Every element a little off, within its own bound: the norm finds it. */
static void test_bias_of_all(void)
{
    Case c = {0};
    make_case(&c, GEN_F16, 64, 64, 64, GEN_DEFAULT_EPILOGUE);
    for (int64_t i = 0; i < 64; i++)
        for (int64_t j = 0; j < 64; j++) set_y(&c, i, j, plain(&c, i, j) * (1 + 5.5e-4));
    Verdict v = verdict_of(&c);
    ok(!v.ok && v.rel_err > v.rel_err_limit, "all elements 5.5e-4 too large: rel_err %.2e is over %.0e",
       v.rel_err, v.rel_err_limit);
    free_case(&c);
}

static void test_not_finite(void)
{
    Case c = {0};
    make_case(&c, GEN_F16, 8, 8, 16, GEN_DEFAULT_EPILOGUE);
    element_set(GEN_F16, matrix_row(&c.x, 2), 3, INFINITY);
    element_set(GEN_F16, matrix_row(&c.x, 5), 0, NAN);
    element_set(GEN_F16, c.bias.data, 7, 65504);
    element_set(GEN_F16, matrix_row(&c.x, 1), 1, 65504);
    fill_right(&c);
    ok(verdict_of(&c).ok, "infinities, NaNs and overflow that the reference has too are right");
    set_y(&c, 5, 0, 1);
    ok(!verdict_of(&c).ok, "a number where the reference has a NaN is wrong");
    free_case(&c);
}

static void test_empty(void)
{
    static const int64_t shape[][3] = {{0, 5, 7}, {5, 0, 7}, {0, 0, 0}, {3, 4, 0}};
    for (int i = 0; i < 4; i++) {
        Case c = {0};
        make_case(&c, GEN_BF16, shape[i][0], shape[i][1], shape[i][2], GEN_DEFAULT_EPILOGUE);
        fill_right(&c);
        ok(verdict_of(&c).ok, "%lldx%lldx%lld is verified", (long long)shape[i][0], (long long)shape[i][1],
           (long long)shape[i][2]);
        free_case(&c);
    }
}

static void test_random(void)
{
    Error error;
    Matrix a, b;
    double sum = 0, squares = 0, count = 201 * 333;
    matrix_create(&a, GEN_F32, 201, 333, 333, &error);
    matrix_create(&b, GEN_F32, 201, 333, 340, &error);
    random_fill(&a, 1, 0, 1);
    random_fill(&b, 1, 0, 1);
    int differ = 0;
    for (int64_t i = 0; i < 201; i++)
        for (int64_t j = 0; j < 333; j++) {
            double v = element_get(GEN_F32, matrix_row(&a, i), j);
            differ += v != element_get(GEN_F32, matrix_row(&b, i), j);
            sum += v;
            squares += v * v;
        }
    ok(differ == 0, "the same seed gives the same matrix at another pitch");
    ok(matrix_padding_intact(&b), "and leaves the padding alone");
    ok(fabs(sum / count) < 0.02 && fabs(squares / count - 1) < 0.03,
       "mean %.3f and variance %.3f are those of N(0, 1)", sum / count, squares / count);
    ok(random_bits(1, 0, 0) != random_bits(2, 0, 0) && random_bits(1, 0, 0) != random_bits(1, 1, 0),
       "another seed or stream is another sequence");
    matrix_free(&a);
    matrix_free(&b);
}

static void forget_tile(void *context, const ReferenceTile *tile) { (void)context, (void)tile; }

static void note_speed(void)
{
    Case c = {0};
    struct timespec from, to;
    make_case(&c, GEN_F16, 256, 512, 512, GEN_DEFAULT_EPILOGUE);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    reference_visit(&c.linear, forget_tile, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    note("the reference does %.1f GFLOP/s a core", 2e-9 * 256 * 512 * 512 / seconds);
    free_case(&c);
}

int main(void)
{
    test_reference(GEN_F16, 1, 1, 1);
    test_reference(GEN_F16, 37, 75, 101);
    test_reference(GEN_BF16, 129, 130, 257);
    test_reference(GEN_F32, 5, 260, 128);
    test_verify(GEN_F16);
    test_verify(GEN_BF16);
    test_bias_of_all();
    test_not_finite();
    test_empty();
    test_random();
    note_speed();
    return done();
}
