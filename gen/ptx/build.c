/* build.c: a kernel grows here, one typed instruction at a time. */
#include "ptx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PtxKernel *ptx_new(void) { return calloc(1, sizeof(PtxKernel)); }

void ptx_free(PtxKernel *k)
{
    if (!k) return;
    for (int i = 0; i < k->n_strings; i++) free((char *)k->string[i]);
    free(k->string);
    free(k->header);
    free(k->param);
    free(k->regs);
    free(k->inst);
    free(k);
}

void ptx_error(PtxKernel *k, const char *format, ...)
{
    if (k->error[0]) return; /* the first error sticks */
    va_list ap;
    va_start(ap, format);
    vsnprintf(k->error, sizeof k->error, format, ap);
    va_end(ap);
}

/* Makes room for one more element; false, with the error set, when there is no memory. */
static bool grow(PtxKernel *k, void *array, int n, int *cap, size_t size)
{
    void **p = array;
    if (n < *cap) return true;
    int bigger = *cap ? *cap * 2 : 32;
    void *moved = realloc(*p, (size_t)bigger * size);
    if (!moved) {
        ptx_error(k, "out of memory while building a kernel");
        return false;
    }
    *p = moved;
    *cap = bigger;
    return true;
}
#define GROW(k, array, n, cap) grow(k, &(k)->array, (k)->n, &(k)->cap, sizeof *(k)->array)

/* Adds a string; returns its id (0 after an error, when nothing reads it any more). */
static uint32_t intern(PtxKernel *k, const char *text, size_t length)
{
    if (!GROW(k, string, n_strings, cap_strings)) return 0;
    char *copy = malloc(length + 1);
    if (!copy) {
        ptx_error(k, "out of memory while building a kernel");
        return 0;
    }
    memcpy(copy, text, length);
    copy[length] = 0;
    k->string[k->n_strings] = copy;
    return (uint32_t)k->n_strings++;
}

const char *ptx_strdup(PtxKernel *k, const char *text, size_t length)
{
    uint32_t id = intern(k, text, length);
    return k->error[0] ? "" : k->string[id];
}

static uint32_t intern_format(PtxKernel *k, const char *format, va_list ap)
{
    char line[1024];
    int n = vsnprintf(line, sizeof line, format, ap);
    if (n < 0 || n >= (int)sizeof line) ptx_error(k, "a comment is longer than %zu characters", sizeof line);
    for (char *c = line; *c; c++)
        if (*c == '\n') *c = ' ';
    return intern(k, line, strlen(line));
}

void ptx_header(PtxKernel *k, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    uint32_t id = intern_format(k, format, ap);
    va_end(ap);
    if (k->error[0] || !GROW(k, header, n_header, cap_header)) return;
    k->header[k->n_header++] = k->string[id];
}

PtxArg ptx_param(PtxKernel *k, PtxParamType type, const char *name)
{
    PtxArg arg = {.kind = PTX_ARG_PARAM, .first = (uint32_t)k->n_params};
    const char *copy = ptx_strdup(k, name, strlen(name));
    if (k->error[0] || !GROW(k, param, n_params, cap_params)) return arg;
    int bytes = ptx_param_info[type].bytes, align = ptx_param_info[type].align;
    int offset = (k->param_bytes + align - 1) / align * align;
    k->param[k->n_params++] = (PtxParam){copy, type, offset};
    k->param_bytes = offset + bytes;
    return arg;
}

/* %tid and its like belong to PTX: "%tid" would hide "%tid.x". */
static bool reserved(const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < PTX_N_SPECIALS; i++) {
        const char *special_name = ptx_special_name[i] + 1;
        if (strncmp(special_name, name, n) == 0 && (special_name[n] == '.' || !special_name[n])) return true;
    }
    return false;
}

static PtxArg declare(PtxKernel *k, PtxClass cls, const char *name, int count, bool array)
{
    PtxArg arg = {.kind = PTX_ARG_REG,
                  .cls = (uint8_t)cls,
                  .count = (uint16_t)count,
                  .first = (uint32_t)k->reg_count[cls]};
    if (reserved(name)) ptx_error(k, "register %%%s has the name of a special register", name);
    for (int i = 0; i < k->n_regs; i++)
        if (strcmp(k->regs[i].name, name) == 0) ptx_error(k, "register %%%s is declared twice", name);
    const char *copy = ptx_strdup(k, name, strlen(name));
    if (k->error[0] || !GROW(k, regs, n_regs, cap_regs)) return arg;
    k->regs[k->n_regs++] = (PtxRegs){copy, cls, array, k->reg_count[cls], count};
    k->reg_count[cls] += count;
    return arg;
}

PtxArg ptx_reg(PtxKernel *k, PtxClass cls, const char *name) { return declare(k, cls, name, 1, false); }

PtxArg ptx_regs(PtxKernel *k, PtxClass cls, const char *name, int count)
{
    return declare(k, cls, name, count, true);
}

PtxArg ptx_label(PtxKernel *k, const char *name)
{
    for (int i = 0; i < k->n_strings; i++)
        if (strcmp(k->string[i], name) == 0) return (PtxArg){.kind = PTX_ARG_LABEL, .first = (uint32_t)i};
    return (PtxArg){.kind = PTX_ARG_LABEL, .first = intern(k, name, strlen(name))};
}

PtxArg immf(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return imm(bits);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void ptx_emit(PtxKernel *k, const char *file, int line, PtxOp op, PtxArg guard, bool negate, int n_args,
              const PtxArg *args)
{
    if (k->error[0] || !GROW(k, inst, n_inst, cap_inst)) return;
    const PtxOpInfo *info = &ptx_op_info[op];
    PtxSlot slot[PTX_MAX_ARGS];
    int n_slots = ptx_slots(op, slot);
    char why[128];

    if (n_args != n_slots) {
        ptx_error(k, "%s:%d: %s wants %d operands, got %d", base_name(file), line, info->name, n_slots,
                  n_args);
        return;
    }
    PtxInst inst = {.op = op,
                    .n_args = n_args,
                    .guard = -1,
                    .guard_negate = negate,
                    .line = line,
                    .file = base_name(file)};
    for (int i = 0; i < n_args; i++) {
        inst.arg[i] = args[i + 1];
        if (ptx_arg_fits(&slot[i], &inst.arg[i], why, sizeof why)) continue;
        ptx_error(k, "%s:%d: %s operand %d %s", base_name(file), line, info->name, i + 1, why);
        return;
    }
    if (guard.kind == PTX_ARG_REG && guard.cls == PTX_PRED) inst.guard = (int)guard.first;
    else if (guard.kind != PTX_ARG_NONE)
        ptx_error(k, "%s:%d: the guard of %s is not a predicate", base_name(file), line, info->name);
    if (inst.guard >= 0 && (info->flags & PTX_FLAG_WARP))
        ptx_error(k, "%s:%d: %s is executed by whole warps and takes no guard", base_name(file), line,
                  info->name);
    k->inst[k->n_inst++] = inst;
}

void ptx_comment(PtxKernel *k, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    uint32_t id = intern_format(k, format, ap);
    va_end(ap);
    emit(k, COMMENT, (PtxArg){.kind = PTX_ARG_TEXT, .first = id});
}

void ptx_blank(PtxKernel *k) { emit(k, BLANK); }

void ptx_section(PtxKernel *k, const char *title)
{
    ptx_blank(k);
    ptx_comment(k, "---- %s ----", title);
}
