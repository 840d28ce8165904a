/* problem.c: types, layouts and alignments of a call's operands. */
#include "dispatch/problem.h"

#include <stdio.h>

static GenLayout layout_of(const ts_matrix *matrix, int64_t rows, int64_t cols)
{
    if (cols <= 1 || matrix->col_stride == 1) return GEN_LAYOUT_ROW;
    return rows <= 1 || matrix->row_stride == 1 ? GEN_LAYOUT_COL : GEN_LAYOUT_ANY;
}

/* The largest power of 2 up to 128 that divides address and pitch. What is not read is well aligned. */
static int align_of(const ts_matrix *matrix, int64_t rows, int64_t cols)
{
    bool by_columns = layout_of(matrix, rows, cols) == GEN_LAYOUT_COL;
    int64_t pitch = by_columns ? matrix->col_stride : matrix->row_stride;
    uint64_t bits = RT_MAX_ALIGN_BYTES;
    if (cols == 0) return RT_MAX_ALIGN_BYTES;
    bits |= matrix->data;
    if ((by_columns ? cols : rows) > 1) bits |= (uint64_t)pitch * (unsigned)rt_dtype_bytes(matrix->dtype);
    return (int)(bits & -bits);
}

/* Layout and alignment in a byte. */
static int place_of(const ts_matrix *matrix, int64_t rows, int64_t cols)
{
    int align_bits = __builtin_ctz((unsigned)align_of(matrix, rows, cols));
    return layout_of(matrix, rows, cols) << 3 | align_bits;
}

ts_dtype rt_problem_bias_type(const ts_linear_args *args)
{
    return args->bias || args->bias_dtype ? args->bias_dtype : args->w.dtype;
}

static ts_status check_types(const ts_linear_args *args)
{
    const struct {
        const char *name;
        ts_dtype type;
    } given[] = {{"x", args->x.dtype},
                 {"w", args->w.dtype},
                 {"bias", rt_problem_bias_type(args)},
                 {"y", args->y.dtype}};
    for (int i = 0; i < 4; i++)
        if (!rt_dtype_bytes(given[i].type))
            return rt_fail(TS_ERROR_INVALID_ARGUMENT, "the type of %s is %d, which is no ts_dtype",
                           given[i].name, (int)given[i].type);
    return TS_OK;
}

ts_status rt_problem_read(const ts_context *context, const ts_linear_args **args, ts_linear_args *copy)
{
    if (!context) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "context is null");
    ts_status status = rt_args_read(args, copy);
    return status ? status : check_types(*args);
}

bool rt_problem_is_empty(const ts_linear_args *args) { return args->m == 0 || args->n == 0; }

/* Of a workspace that the choice may count on: a power of 2, in bytes, and that power plus 1; 0: none. Blocks
 * that share tiles use it. */
static int workspace_class(const ts_linear_args *args)
{
    int bits = 0;
    if (!args->workspace || !gen_may_share(args->m, args->n, args->k)) return 0;
    while (args->workspace_bytes >> bits) bits++;
    return bits;
}

RtProblemKey rt_problem_key(const ts_linear_args *args)
{
    const int part[] = {(int)args->x.dtype,
                        (int)args->w.dtype,
                        (int)rt_problem_bias_type(args),
                        (int)args->y.dtype,
                        place_of(&args->x, args->m, args->k),
                        place_of(&args->w, args->n, args->k),
                        place_of(&args->y, args->m, args->n),
                        workspace_class(args)};
    uint64_t packed = 0;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) packed = packed << 8 | (unsigned)part[i];
    return (RtProblemKey){(uint64_t)args->m, (uint64_t)args->n, (uint64_t)args->k, packed};
}

GenType rt_problem_type(ts_dtype dtype)
{
    switch (dtype) {
    case TS_F16: return GEN_F16;
    case TS_BF16: return GEN_BF16;
    default: return GEN_F32;
    }
}

GenProblem rt_problem_of(const ts_context *context, const GenArch *arch, const ts_linear_args *args)
{
    int workspace = workspace_class(args);
    return (GenProblem){
        .arch = arch,
        .workspace_bytes = workspace ? (uint64_t)1 << (workspace - 1) : 0,
        .sm_count = context->info.sm_count,
        .x = rt_problem_type(args->x.dtype),
        .w = rt_problem_type(args->w.dtype),
        .bias = rt_problem_type(rt_problem_bias_type(args)),
        .y = rt_problem_type(args->y.dtype),
        .m = args->m,
        .n = args->n,
        .k = args->k,
        .x_layout = layout_of(&args->x, args->m, args->k),
        .w_layout = layout_of(&args->w, args->n, args->k),
        .y_layout = layout_of(&args->y, args->m, args->n),
        .x_align_bytes = align_of(&args->x, args->m, args->k),
        .w_align_bytes = align_of(&args->w, args->n, args->k),
        .y_align_bytes = align_of(&args->y, args->m, args->n),
        .epilogue = args->epilogue,
    };
}

/* As the generator writes it, so that spaces and parentheses make no difference. */
static void canonical_epilogue(const char *text, char canonical[GEN_MAX_EPILOGUE])
{
    GenExpr expr;
    GenError error;
    if (!text) text = GEN_DEFAULT_EPILOGUE;
    if (!gen_expr_parse(text, &expr, &error) || !gen_expr_print(&expr, canonical, GEN_MAX_EPILOGUE))
        snprintf(canonical, GEN_MAX_EPILOGUE, "%s", text);
}

void rt_problem_text(const GenProblem *p, char text[RT_MAX_KEY_TEXT])
{
    char epilogue[GEN_MAX_EPILOGUE];
    canonical_epilogue(p->epilogue, epilogue);
    snprintf(text, RT_MAX_KEY_TEXT,
             "%lldx%lldx%lld x %s %s %d, w %s %s %d, bias %s, y %s %s %d, y = %s, %s, %d SMs",
             (long long)p->m, (long long)p->n, (long long)p->k, gen_type_name(p->x),
             gen_layout_name(p->x_layout), p->x_align_bytes, gen_type_name(p->w),
             gen_layout_name(p->w_layout), p->w_align_bytes, gen_type_name(p->bias), gen_type_name(p->y),
             gen_layout_name(p->y_layout), p->y_align_bytes, epilogue, p->arch->name, p->sm_count);
}
