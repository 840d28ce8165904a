/* types.c: the element types, and the one way to write an error. */
#include "gen/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define X(name, text, bytes) {text, bytes},
static const struct {
    const char *name;
    int bytes;
} type_info[GEN_N_TYPES] = {GEN_TYPES(X)};
#undef X

const char *gen_type_name(GenType t) { return type_info[t].name; }
int gen_type_bytes(GenType t) { return type_info[t].bytes; }

#define X(name, text, meaning) text,
static const char *const layout_name[GEN_N_LAYOUTS] = {GEN_LAYOUTS(X)};
#undef X
const char *gen_layout_name(GenLayout l) { return layout_name[l]; }

bool gen_type_parse(const char *name, GenType *t)
{
    for (int i = 0; i < GEN_N_TYPES; i++) {
        if (strcmp(name, type_info[i].name) != 0) continue;
        *t = (GenType)i;
        return true;
    }
    return false;
}

bool gen_fail(GenError *error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(error->text, sizeof error->text, format, ap);
    va_end(ap);
    return false;
}
