/* config.c: configurations and their names.
 *
 *     wgmma_sm90a_f16_128x256x64_w2x1_s4[_cm2][_cn2][_ck4][_k2][_even2][_near][_pingpong][_swap][_ends][_once][_last]
 *     mma_sm89_f16_128x128x32_w2x4_s3[_xf32][_biasf32][_yf32][_xcol][_wcol][_yany][_g4][_vx8][_vw8][_vy1][_o2][_split][_e_z_s_mul_...]
 *     |   |    |   |          |    |
 *     |   |    |   tile       |    stages
 *     |   arch operand type   warps along m and n
 *     back end
 *
 * Only what differs from the default follows the stages, in this order. A name parses back to an equal
 * config, and only the canonical spelling is accepted: one config, one name.
 */
#include "gen/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(name, token, ...) token,
static const char *const backend_name[GEN_N_BACKENDS] = {GEN_BACKENDS(X)};
#undef X

/* Optional fields. Element types: token, member; their default is the operand type w. */
#define TYPE_FIELDS(X) X("x", x) X("bias", bias) X("y", y)
/* Layouts: token, member; their default is row-major. */
#define LAYOUT_FIELDS(X) X("x", x_layout) X("w", w_layout) X("y", y_layout)
/* Numbers: token, member, default. */
#define NUMBER_FIELDS(X)                                                                                     \
    X("g", group_m, 8)                                                                                       \
    X("vx", x_copy_bytes, 16)                                                                                \
    X("vw", w_copy_bytes, 16)                                                                                \
    X("vy", y_store_bytes, 16)                                                                               \
    X("o", min_blocks, 0)                                                                                    \
    X("cm", cluster_m, 1)                                                                                    \
    X("cn", cluster_n, 1)                                                                                    \
    X("ck", cluster_k, 1)                                                                                    \
    X("k", skew_blocks, 0)                                                                                   \
    X("even", even, 0)
/* Flags: token, member. */
#define FLAG_FIELDS(X) X("lines", lines) X("split", split) X("near", near) X("pingpong", pingpong) X("swap", swap) X("ends", ends) X("once", once) X("last", last)

void gen_config_default(const GenArch *arch, GenType type, GenConfig *config)
{
    *config =
        (GenConfig){.backend = GEN_BACKEND_MMA, .arch = arch, .tile_m = 128, .tile_n = 128, .tile_k = 32};
    config->warps_m = 2;
    config->warps_n = 4;
    config->stages = 3;
    config->w = type;
#define X(token, member) config->member = type;
    TYPE_FIELDS(X)
#undef X
#define X(token, member, usual) config->member = usual;
    NUMBER_FIELDS(X)
#undef X
    snprintf(config->epilogue, sizeof config->epilogue, "%s", GEN_DEFAULT_EPILOGUE);
}

/* ---- to a name ---- */

static void append(char name[GEN_MAX_NAME], const char *token, const char *value)
{
    size_t n = strlen(name);
    snprintf(name + n, GEN_MAX_NAME - n, "_%s%s", token, value);
}

static void append_number(char name[GEN_MAX_NAME], const char *token, int value)
{
    char text[32];
    snprintf(text, sizeof text, "%d", value);
    append(name, token, text);
}

static void append_epilogue(const GenConfig *c, char name[GEN_MAX_NAME])
{
    GenExpr expr;
    GenError error;
    char tokens[GEN_MAX_NAME] = "invalid";
    if (strcmp(c->epilogue, GEN_DEFAULT_EPILOGUE) == 0) return;
    append(name, "e", "");
    if (gen_expr_parse(c->epilogue, &expr, &error)) gen_expr_name(&expr, tokens, sizeof tokens);
    append(name, tokens, "");
}

void gen_config_name(const GenConfig *c, char name[GEN_MAX_NAME])
{
    snprintf(name, GEN_MAX_NAME, "%s_sm%d%.1s_%s_%dx%dx%d_w%dx%d_s%d", backend_name[c->backend], c->arch->sm,
             &c->arch->suffix, gen_type_name(c->w), c->tile_m, c->tile_n, c->tile_k, c->warps_m, c->warps_n,
             c->stages);
#define X(token, member)                                                                                     \
    if (c->member != c->w) append(name, token, gen_type_name(c->member));
    TYPE_FIELDS(X)
#undef X
#define X(token, member)                                                                                     \
    if (c->member != GEN_LAYOUT_ROW) append(name, token, gen_layout_name(c->member));
    LAYOUT_FIELDS(X)
#undef X
#define X(token, member, usual)                                                                              \
    if (c->member != usual) append_number(name, token, c->member);
    NUMBER_FIELDS(X)
#undef X
#define X(token, member)                                                                                     \
    if (c->member) append(name, token, "");
    FLAG_FIELDS(X)
#undef X
    append_epilogue(c, name);
}

/* ---- fields from text ---- */

/* A decimal integer from 1 to 9999 at *p, which moves behind it. */
static bool take_int(const char **p, int *value)
{
    char *end;
    if (**p < '1' || **p > '9') return false;
    long v = strtol(*p, &end, 10);
    if (end - *p > 4) return false;
    *value = (int)v;
    *p = end;
    return true;
}

static bool take_char(const char **p, char c)
{
    if (**p != c) return false;
    ++*p;
    return true;
}

bool gen_config_set_tile(GenConfig *c, const char *text, GenError *error)
{
    const char *p = text;
    bool ok = take_int(&p, &c->tile_m) && take_char(&p, 'x') && take_int(&p, &c->tile_n) &&
              take_char(&p, 'x') && take_int(&p, &c->tile_k);
    if (ok && !*p) return true;
    return gen_fail(error, "'%s' is not a tile; write MxNxK, for instance 128x128x32", text);
}

bool gen_config_set_warps(GenConfig *c, const char *text, GenError *error)
{
    const char *p = text;
    bool ok = take_int(&p, &c->warps_m) && take_char(&p, 'x') && take_int(&p, &c->warps_n);
    if (ok && !*p) return true;
    return gen_fail(error, "'%s' is not a layout of warps; write MxN, for instance 2x4", text);
}

bool gen_config_set_epilogue(GenConfig *c, const char *text, GenError *error)
{
    GenExpr expr;
    char tokens[GEN_MAX_NAME];
    if (!gen_expr_parse(text, &expr, error)) return false;
    if (!gen_expr_print(&expr, c->epilogue, sizeof c->epilogue))
        return gen_fail(error, "the epilogue is longer than %d characters", GEN_MAX_EPILOGUE - 1);
    if (!gen_expr_name(&expr, tokens, GEN_MAX_NAME - 80))
        return gen_fail(error, "the epilogue '%s' is too long for a kernel name", text);
    return true;
}

/* ---- from a name ---- */

typedef struct Tokens {
    char text[GEN_MAX_NAME]; /* of the current token */
    const char *rest;        /* what follows it */
} Tokens;

static bool next_token(Tokens *t)
{
    if (!*t->rest) return false;
    size_t n = strcspn(t->rest, "_");
    snprintf(t->text, sizeof t->text, "%.*s", (int)n, t->rest);
    t->rest += n;
    if (*t->rest == '_') t->rest++;
    return true;
}

static bool parse_backend_arch_type(Tokens *t, GenConfig *c, const char *name, GenError *error)
{
    int backend = 0;
    char arch[GEN_MAX_NAME + 4] = "";
    GenType type;
    next_token(t);
    while (backend < GEN_N_BACKENDS && strcmp(backend_name[backend], t->text) != 0) backend++;
    if (backend == GEN_N_BACKENDS)
        return gen_fail(error, "config '%s' starts with no back end of tilesmith (mma, wgmma)", name);
    if (next_token(t) && strncmp(t->text, "sm", 2) == 0) snprintf(arch, sizeof arch, "sm_%s", t->text + 2);
    if (!gen_arch_find(arch))
        return gen_fail(error, "config '%s': '%s' is not an arch that tilesmith writes for", name, t->text);
    if (!next_token(t) || !gen_type_parse(t->text, &type))
        return gen_fail(error, "config '%s': '%s' is not an element type (f16, bf16)", name, t->text);
    gen_config_default(gen_arch_find(arch), type, c);
    c->backend = (GenBackend)backend;
    return true;
}

static bool parse_shape(Tokens *t, GenConfig *c, const char *name, GenError *error)
{
    const char *p = t->text + 1;
    if (!next_token(t) || !gen_config_set_tile(c, t->text, error))
        return gen_fail(error, "config '%s': the tile MxNxK does not read", name);
    if (!next_token(t) || t->text[0] != 'w' || !gen_config_set_warps(c, t->text + 1, error))
        return gen_fail(error, "config '%s': the warps wMxN do not read", name);
    if (!next_token(t) || t->text[0] != 's' || !take_int(&p, &c->stages) || *p)
        return gen_fail(error, "config '%s': behind the warps the stages sN are missing, or do not read", name);
    return true;
}

static bool parse_layout(const char *name, GenLayout *layout)
{
    for (int i = 0; i < GEN_N_LAYOUTS; i++) {
        if (strcmp(name, gen_layout_name((GenLayout)i)) != 0) continue;
        *layout = (GenLayout)i;
        return true;
    }
    return false;
}

static bool parse_option(const char *token, GenConfig *c)
{
    const char *p;
#define X(prefix, member)                                                                                    \
    if (strncmp(token, prefix, strlen(prefix)) == 0 && parse_layout(token + strlen(prefix), &c->member))     \
        return true;
    LAYOUT_FIELDS(X)
#undef X
#define X(prefix, member)                                                                                    \
    if (strncmp(token, prefix, strlen(prefix)) == 0 && gen_type_parse(token + strlen(prefix), &c->member))   \
        return true;
    TYPE_FIELDS(X)
#undef X
#define X(prefix, member, usual)                                                                             \
    p = token + strlen(prefix);                                                                              \
    if (strncmp(token, prefix, strlen(prefix)) == 0 && take_int(&p, &c->member) && !*p) return true;
    NUMBER_FIELDS(X)
#undef X
#define X(flag, member)                                                                                      \
    if (strcmp(token, flag) == 0) return c->member = true;
    FLAG_FIELDS(X)
#undef X
    return false;
}

static bool parse_epilogue(Tokens *t, GenConfig *c, GenError *error)
{
    GenExpr expr;
    if (!gen_expr_from_name(t->rest, &expr, error)) return false;
    t->rest = "";
    return gen_expr_print(&expr, c->epilogue, sizeof c->epilogue) ||
           gen_fail(error, "the epilogue of the config name is too long");
}

bool gen_config_parse(const char *name, GenConfig *c, GenError *error)
{
    Tokens t = {.rest = name};
    char canonical[GEN_MAX_NAME];
    if (strlen(name) >= GEN_MAX_NAME)
        return gen_fail(error, "a config name has at most %d characters", GEN_MAX_NAME - 1);
    if (!parse_backend_arch_type(&t, c, name, error) || !parse_shape(&t, c, name, error)) return false;
    while (next_token(&t)) {
        if (strcmp(t.text, "e") == 0) {
            if (!parse_epilogue(&t, c, error)) return false;
        } else if (!parse_option(t.text, c)) {
            return gen_fail(error, "config '%s': '%s' is not a field that tilesmith knows", name, t.text);
        }
    }
    gen_config_name(c, canonical);
    if (strcmp(canonical, name) != 0) return gen_fail(error, "config '%s' is spelled '%s'", name, canonical);
    return true;
}
