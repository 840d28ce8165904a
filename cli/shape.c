/* shape.c: sizes of problems as text. */
#include "cli/shape.h"
#include "cli/error.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal size at *p, which moves behind it. */
static bool take_size(const char **p, int64_t least, int64_t *size)
{
    char *end;
    if (**p < '0' || **p > '9') return false;
    *size = strtoll(*p, &end, 10);
    *p = end;
    return *size >= least && *size <= INT_MAX;
}

static bool take_shape(const char **p, int64_t least, Shape *s)
{
    if (!take_size(p, least, &s->m) || *(*p)++ != 'x') return false;
    if (!take_size(p, least, &s->n) || *(*p)++ != 'x') return false;
    return take_size(p, least, &s->k) && (**p == ',' || !**p);
}

int shapes_read(const Options *o, int64_t least, Shape **shapes, int *n_shapes)
{
    const char *command = o->command->name, *text = o->text[OPT_SHAPE];
    size_t most = 1;
    *n_shapes = 0;
    for (const char *p = text; *p; p++) most += *p == ',';
    *shapes = calloc(most, sizeof **shapes);
    if (!*shapes) return fail(command, "out of memory");
    for (const char *p = text;; p++) {
        const char *start = p;
        if (!take_shape(&p, least, &(*shapes)[(*n_shapes)++]))
            return usage(
                command,
                "--shape '%.*s' is not a shape; write MxNxK, each from %lld to %d, for instance 128x512x1024",
                (int)strcspn(start, ","), start, (long long)least, INT_MAX);
        if (!*p) return EXIT_OK;
    }
}

void shape_print(Shape s, char text[SHAPE_MAX_TEXT])
{
    snprintf(text, SHAPE_MAX_TEXT, "%lldx%lldx%lld", (long long)s.m, (long long)s.n, (long long)s.k);
}

ts_linear_args shape_arguments(Shape s, ts_dtype type, const char *epilogue)
{
    ts_linear_args args = ts_linear_args_make();
    args.m = s.m, args.n = s.n, args.k = s.k;
    args.x = ts_matrix_make(0, s.k, type);
    args.w = ts_matrix_make(0, s.k, type);
    args.y = ts_matrix_make(0, s.n, type);
    args.bias_dtype = type;
    args.epilogue = epilogue;
    return args;
}

GenProblem shape_problem(Shape s, const GenArch *arch, int sm_count, GenType x, GenType w,
                         const char *epilogue)
{
    return (GenProblem){
        .arch = arch,
        .sm_count = sm_count,
        .x = x,
        .w = w,
        .bias = w,
        .y = x,
        .m = s.m,
        .n = s.n,
        .k = s.k,
        .x_align_bytes = gen_row_align(x, s.m, s.k),
        .w_align_bytes = gen_row_align(w, s.n, s.k),
        .y_align_bytes = gen_row_align(x, s.m, s.n),
        .epilogue = epilogue,
    };
}
