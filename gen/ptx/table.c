/* table.c: the rows of ops.h as data, and what an operand slot says. */
#include "ptx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD  PTX_FLAG_LOAD
#define STORE PTX_FLAG_STORE
#define ASYNC PTX_FLAG_ASYNC
#define WARP  PTX_FLAG_WARP
#define JUMP  PTX_FLAG_JUMP
#define ARCH  PTX_FLAG_ARCH

#define X(name, sm, version, flags, text, section) {#name, sm, version, flags, text, section},
const PtxOpInfo ptx_op_info[PTX_N_OPS] = {PTX_OPS(X)};
#undef X
#define X(name, letter, type, bytes) {#name, letter, type, bytes},
const struct PtxClassInfo ptx_class_info[PTX_N_CLASSES] = {PTX_CLASSES(X)};
#undef X
#define X(name, text) text,
const char *const ptx_special_name[PTX_N_SPECIALS] = {PTX_SPECIALS(X)};
#undef X
#define X(name, text, type, array, bytes, align) {text, type, array, bytes, align},
const struct PtxParamInfo ptx_param_info[PTX_N_PARAM_TYPES] = {PTX_PARAM_TYPES(X)};
#undef X

int ptx_target_version(int sm, char suffix)
{
#define X(target_sm, target_suffix, version)                                                                 \
    if (sm == target_sm && suffix == target_suffix) return version;
    PTX_TARGETS(X)
#undef X
    return 0;
}

static PtxClass class_of_letter(char letter)
{
    for (int c = 0; c < PTX_N_CLASSES; c++)
        if (ptx_class_info[c].letter == (letter | 32)) return (PtxClass)c;
    abort(); /* a letter in ops.h that no class has: a unit test walks all rows */
}

const char *ptx_slot(const char *text, PtxSlot *slot)
{
    *slot = (PtxSlot){.access = PTX_READ, .count = 1};
    text++; /* the % */
    if (*text == '=') {
        slot->access = PTX_WRITE;
        text++;
    }
    if (*text == '+') {
        slot->access = PTX_READ_WRITE;
        text++;
    }
    switch (*text) {
    case '{':
        slot->kind = 'r';
        slot->braces = true;
        slot->count = (int)strtol(text + 1, (char **)&text, 10);
        slot->cls = class_of_letter(*text);
        return text + 2;
    case '[':
        slot->kind = text[1] == 'P' ? 'P' : '[';
        if (slot->kind == '[') slot->cls = class_of_letter(text[1]);
        return text + 3;
    case 'i':
        slot->kind = 'i';
        slot->lo = strtoll(text + 2, (char **)&text, 10);
        slot->hi = strtoll(text + 1, (char **)&text, 10);
        return text + 1;
    case 'S':
    case 'Y':
    case 'L':
    case 'A':
    case 'T': slot->kind = *text; return text + 1;
    default:
        slot->kind = *text >= 'a' ? 'r' : 'R';
        slot->cls = class_of_letter(*text);
        return text + 1;
    }
}

int ptx_slots(PtxOp op, PtxSlot slot[PTX_MAX_ARGS])
{
    int n = 0;
    for (const char *t = ptx_op_info[op].text; (t = strchr(t, '%')) != NULL;) t = ptx_slot(t, &slot[n++]);
    return n;
}

static const char *const arg_kind_name[] = {
    [PTX_ARG_NONE] = "nothing",          [PTX_ARG_REG] = "a register",
    [PTX_ARG_IMM] = "an immediate",      [PTX_ARG_MEM] = "a memory operand",
    [PTX_ARG_PARAM] = "a parameter",     [PTX_ARG_SPECIAL] = "a special register",
    [PTX_ARG_SHARED] = "a shared array", [PTX_ARG_LABEL] = "a label",
    [PTX_ARG_TEXT] = "a text",
};

static void describe(const PtxArg *arg, char *out, size_t bytes)
{
    const struct PtxClassInfo *c = &ptx_class_info[arg->cls];
    if (arg->kind == PTX_ARG_REG && arg->count != 1) snprintf(out, bytes, "%%{%d%c}", arg->count, c->letter);
    else if (arg->kind == PTX_ARG_REG) snprintf(out, bytes, "%%%c", c->letter);
    else if (arg->kind == PTX_ARG_MEM) snprintf(out, bytes, "%%[%c]", c->letter);
    else if (arg->kind == PTX_ARG_IMM) snprintf(out, bytes, "the immediate %lld", (long long)arg->imm);
    else snprintf(out, bytes, "%s", arg_kind_name[arg->kind]);
}

static PtxArgKind wanted_kind(const PtxSlot *slot)
{
    switch (slot->kind) {
    case '[': return PTX_ARG_MEM;
    case 'P':
    case 'A': return PTX_ARG_PARAM;
    case 'S': return PTX_ARG_SPECIAL;
    case 'Y': return PTX_ARG_SHARED;
    case 'L': return PTX_ARG_LABEL;
    case 'T': return PTX_ARG_TEXT;
    case 'i': return PTX_ARG_IMM;
    default: return PTX_ARG_REG;
    }
}

static bool fits(const PtxSlot *slot, const PtxArg *arg)
{
    PtxArgKind wanted = wanted_kind(slot);
    if (slot->kind == 'R' && arg->kind == PTX_ARG_IMM) return true;
    if (arg->kind != wanted) return false;
    if (wanted == PTX_ARG_REG) return arg->cls == slot->cls && arg->count == slot->count;
    if (wanted == PTX_ARG_MEM) return arg->cls == slot->cls;
    return wanted != PTX_ARG_IMM || (arg->imm >= slot->lo && arg->imm <= slot->hi);
}

bool ptx_arg_fits(const PtxSlot *slot, const PtxArg *arg, char *why, size_t why_bytes)
{
    char letter = ptx_class_info[slot->cls].letter, given[48];
    if (fits(slot, arg)) return true;
    describe(arg, given, sizeof given);
    switch (slot->kind) {
    case 'r':
        if (slot->braces) snprintf(why, why_bytes, "wants %%{%d%c}, got %s", slot->count, letter, given);
        else snprintf(why, why_bytes, "wants %%%c, got %s", letter, given);
        break;
    case 'R': snprintf(why, why_bytes, "wants %%%c or an immediate, got %s", letter, given); break;
    case '[': snprintf(why, why_bytes, "wants %%[%c], got %s", letter, given); break;
    case 'i':
        snprintf(why, why_bytes, "wants an immediate from %lld to %lld, got %s", (long long)slot->lo,
                 (long long)slot->hi, given);
        break;
    default: snprintf(why, why_bytes, "wants %s, got %s", arg_kind_name[wanted_kind(slot)], given); break;
    }
    return false;
}
