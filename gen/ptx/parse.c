/* parse.c: PTX text back into a kernel, by the rows that print it.
 *
 *     file   := { "// header" } .version .target .address_size [ .extern .shared ] entry
 *     entry  := .visible .entry name ( params ) directives { body }
 *     body   := { .reg declarations | label: | [@[!]%p] instruction ; | // comment | blank line }
 *
 * An instruction is matched by its mnemonic (the row's text up to the first blank) and then slot by
 * slot; the rows that share a mnemonic are tried in order. Whitespace is free; comments inside a
 * statement are not kept. What is not in the subset is refused with its line.
 */
#include "ptx.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Parser {
    PtxKernel *k;
    const char *p;
    int line;
} Parser;

static bool failed(const Parser *s) { return s->k->error[0] != 0; }

static void skip_blanks(Parser *s)
{
    for (;; s->p++) {
        if (*s->p == '\n') s->line++;
        if (!isspace((unsigned char)*s->p)) break;
    }
}

/* Blanks and comments, where neither means anything. */
static void skip(Parser *s)
{
    for (skip_blanks(s); s->p[0] == '/' && s->p[1] == '/'; skip_blanks(s)) s->p += strcspn(s->p, "\n");
}

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$'; }

static size_t word_length(const char *p)
{
    size_t n = 0;
    while (word_char(p[n])) n++;
    return n;
}

/* The token `text` if it comes next. */
static bool accept(Parser *s, const char *text)
{
    skip(s);
    size_t n = strlen(text);
    if (strncmp(s->p, text, n) != 0) return false;
    if (word_char(text[n - 1]) && word_char(s->p[n])) return false;
    s->p += n;
    return true;
}

static void refuse(Parser *s, const char *wanted)
{
    char found[40] = "the end of the text";
    size_t n = strcspn(s->p, "\n");
    if (*s->p) snprintf(found, sizeof found, "'%.*s'", (int)(n < 32 ? n : 32), s->p);
    ptx_error(s->k, "line %d: wants %s, found %s", s->line, wanted, found);
}

static void expect(Parser *s, const char *text)
{
    char wanted[64];
    if (failed(s) || accept(s, text)) return;
    snprintf(wanted, sizeof wanted, "'%s'", text);
    refuse(s, wanted);
}

static int64_t integer(Parser *s)
{
    skip(s);
    char *end;
    int64_t value = (int64_t)strtoull(*s->p == '-' ? s->p + 1 : s->p, &end, 0);
    bool negative = *s->p == '-';
    if (!isdigit((unsigned char)s->p[negative])) {
        if (!failed(s)) refuse(s, "an integer");
        return 0;
    }
    s->p = end;
    return negative ? -value : value;
}

static const char *name(Parser *s)
{
    skip(s);
    size_t n = word_length(s->p);
    if (!n && !failed(s)) refuse(s, "a name");
    const char *copy = ptx_strdup(s->k, s->p, n);
    s->p += n;
    return copy;
}

/* ---- the head of the file ---- */

static void parse_header(Parser *s)
{
    for (skip_blanks(s); s->p[0] == '/' && s->p[1] == '/'; skip_blanks(s)) {
        size_t n = strcspn(s->p, "\n");
        size_t from = s->p[2] == ' ' ? 3 : 2;
        ptx_header(s->k, "%.*s", (int)(n > from ? n - from : 0), s->p + from);
        s->p += n;
    }
}

static void parse_version(Parser *s)
{
    PtxKernel *k = s->k;
    expect(s, ".version");
    k->version = (int)integer(s) * 10;
    expect(s, ".");
    k->version += (int)integer(s);
    expect(s, ".target");
    skip(s);
    if (!failed(s) && strncmp(s->p, "sm_", 3) != 0) refuse(s, "a target sm_NN");
    if (failed(s)) return;
    s->p += 3;
    k->sm = (int)integer(s);
    if (isalpha((unsigned char)*s->p)) k->sm_suffix = *s->p++;
    expect(s, ".address_size");
    expect(s, "64");
}

static void parse_shared(Parser *s)
{
    if (!accept(s, ".extern")) return;
    expect(s, ".shared");
    expect(s, ".align");
    s->k->shared_align = (int)integer(s);
    expect(s, ".b8");
    expect(s, "smem");
    expect(s, "[");
    expect(s, "]");
    expect(s, ";");
}

static void parse_param(Parser *s)
{
    expect(s, ".param");
    for (int t = 0; t < PTX_N_PARAM_TYPES; t++) {
        if (!accept(s, ptx_param_info[t].type)) continue;
        ptx_param(s->k, (PtxParamType)t, name(s));
        if (*ptx_param_info[t].array) expect(s, ptx_param_info[t].array);
        return;
    }
    if (!failed(s)) refuse(s, "a parameter type (.u32 .u64 .f32, or .align 64 .b8 name[128])");
}

/* The product of up to three numbers, from 1 to `most`. */
static int product(Parser *s, int most, const char *what)
{
    int64_t all = 1;
    do {
        int64_t n = integer(s);
        all = n < 1 || n > most ? (int64_t)most + 1 : all * n;
    } while (all <= most && accept(s, ","));
    if (all > most && !failed(s)) refuse(s, what);
    return (int)all;
}

static void parse_directives(Parser *s)
{
    PtxKernel *k = s->k;
    while (!failed(s)) {
        if (accept(s, ".maxntid")) {
            k->max_threads = product(s, 1024, "1 to 1024 threads");
        } else if (accept(s, ".minnctapersm")) {
            k->min_blocks = product(s, 32, "1 to 32 blocks");
        } else if (accept(s, ".explicitcluster")) {
            expect(s, ".reqnctapercluster");
            k->cluster = product(s, 16, "a cluster of 1 to 16 blocks");
        } else {
            return;
        }
    }
}

static void parse_entry(Parser *s)
{
    expect(s, ".visible");
    expect(s, ".entry");
    snprintf(s->k->entry, sizeof s->k->entry, "%s", name(s));
    expect(s, "(");
    if (!accept(s, ")")) {
        do parse_param(s);
        while (!failed(s) && accept(s, ","));
        expect(s, ")");
    }
    parse_directives(s);
    expect(s, "{");
}

/* ---- the body ---- */

static void parse_reg_name(Parser *s, PtxClass cls)
{
    expect(s, "%");
    const char *reg = name(s);
    if (!accept(s, "<")) {
        ptx_reg(s->k, cls, reg);
        return;
    }
    int64_t count = integer(s);
    if (count < 1 || count > 65535)
        ptx_error(s->k, "line %d: %%%s<%lld> is not a register array", s->line, reg, (long long)count);
    else ptx_regs(s->k, cls, reg, (int)count);
    expect(s, ">");
}

static void parse_declaration(Parser *s)
{
    for (int c = 0; c < PTX_N_CLASSES; c++) {
        if (!accept(s, ptx_class_info[c].type)) continue;
        do parse_reg_name(s, (PtxClass)c);
        while (!failed(s) && accept(s, ","));
        expect(s, ";");
        return;
    }
    if (!failed(s)) refuse(s, "a register type");
}

/* The register named by p[0..n): a scalar, or an element of an array. */
static bool find_reg(const PtxKernel *k, const char *p, size_t n, PtxClass *cls, uint32_t *reg)
{
    size_t digits = 0;
    while (digits < n && isdigit((unsigned char)p[n - 1 - digits])) digits++;
    for (int i = 0; i < k->n_regs; i++) {
        const PtxRegs *r = &k->regs[i];
        size_t length = strlen(r->name);
        if (length > n || strncmp(r->name, p, length) != 0) continue;
        *cls = r->cls;
        *reg = (uint32_t)r->first;
        if (!r->array && length == n) return true;
        if (!r->array || length >= n || length + digits < n) continue;
        long index = strtol(p + length, NULL, 10);
        bool plain = p[length] != '0' || n == length + 1; /* %a01 is not %a1 */
        *reg += (uint32_t)index;
        if (plain && index < r->count) return true;
    }
    return false;
}

/* Reads one register of `cls`; false without an error when something else stands there. */
static bool match_reg(Parser *s, PtxClass cls, uint32_t *reg)
{
    PtxClass found;
    skip(s);
    if (*s->p != '%') return false;
    size_t n = word_length(s->p + 1);
    if (!find_reg(s->k, s->p + 1, n, &found, reg) || found != cls) return false;
    s->p += 1 + n;
    return true;
}

static bool match_imm(Parser *s, PtxClass cls, int64_t *value)
{
    skip(s);
    if (cls == PTX_F32) {
        char *end;
        if (s->p[0] != '0' || (s->p[1] | 32) != 'f') return false;
        *value = (int64_t)strtoul(s->p + 2, &end, 16);
        bool eight = end == s->p + 10;
        s->p = end;
        return eight;
    }
    if (!isdigit((unsigned char)*s->p) && !(*s->p == '-' && isdigit((unsigned char)s->p[1]))) return false;
    *value = integer(s);
    return true;
}

static bool match_offset(Parser *s, int64_t *bytes)
{
    if (accept(s, "+")) return match_imm(s, PTX_B32, bytes);
    skip(s);
    return *s->p != '-' || match_imm(s, PTX_B32, bytes);
}

static bool match_regs(Parser *s, const PtxSlot *slot, PtxArg *arg)
{
    arg->kind = PTX_ARG_REG;
    arg->cls = (uint8_t)slot->cls;
    arg->count = (uint16_t)slot->count;
    if (slot->braces && !accept(s, "{")) return false;
    for (int i = 0; i < slot->count; i++) {
        uint32_t reg;
        if (i && !accept(s, ",")) return false;
        if (!match_reg(s, slot->cls, &reg)) return false;
        if (i == 0) arg->first = reg;
        else if (reg != arg->first + (uint32_t)i) return false; /* our ranges are consecutive */
    }
    return !slot->braces || accept(s, "}");
}

static bool match_memory(Parser *s, const PtxSlot *slot, PtxArg *arg)
{
    *arg = (PtxArg){.kind = PTX_ARG_MEM, .cls = (uint8_t)slot->cls, .count = 1};
    return accept(s, "[") && match_reg(s, slot->cls, &arg->first) && match_offset(s, &arg->imm) &&
           accept(s, "]");
}

static bool match_param_name(Parser *s, PtxArg *arg)
{
    skip(s);
    size_t n = word_length(s->p);
    for (int i = 0; i < s->k->n_params; i++) {
        if (strlen(s->k->param[i].name) != n || strncmp(s->k->param[i].name, s->p, n) != 0) continue;
        s->p += n;
        *arg = (PtxArg){.kind = PTX_ARG_PARAM, .first = (uint32_t)i};
        return true;
    }
    return false;
}

static bool match_param(Parser *s, PtxArg *arg)
{
    return accept(s, "[") && match_param_name(s, arg) && match_offset(s, &arg->imm) && accept(s, "]");
}

static bool match_arg(Parser *s, const PtxSlot *slot, PtxArg *arg)
{
    *arg = PTX_NONE;
    switch (slot->kind) {
    case 'R':
        if (match_imm(s, slot->cls, &arg->imm)) {
            arg->kind = PTX_ARG_IMM;
            return true;
        }
        return match_regs(s, slot, arg);
    case 'r': return match_regs(s, slot, arg);
    case '[': return match_memory(s, slot, arg);
    case 'P': return match_param(s, arg);
    case 'A': return match_param_name(s, arg);
    case 'i':
        arg->kind = PTX_ARG_IMM;
        return match_imm(s, PTX_B32, &arg->imm) && arg->imm >= slot->lo && arg->imm <= slot->hi;
    case 'S':
        for (int i = 0; i < PTX_N_SPECIALS; i++) {
            *arg = special((PtxSpecial)i);
            if (accept(s, ptx_special_name[i])) return true;
        }
        return false;
    case 'Y': *arg = shared_array(); return accept(s, "smem");
    case 'L': {
        skip(s);
        size_t n = word_length(s->p);
        char label[PTX_MAX_NAME];
        if (!n || n >= sizeof label) return false;
        snprintf(label, sizeof label, "%.*s", (int)n, s->p);
        *arg = ptx_label(s->k, label);
        s->p += n;
        return true;
    }
    }
    return false;
}

/* Matches one row at the parser's place; on failure the place is as before. */
static bool match_row(Parser *s, PtxOp op, PtxInst *inst)
{
    const Parser before = *s;
    const char *t = ptx_op_info[op].text;
    inst->n_args = 0;
    while (*t) {
        if (*t == ' ') {
            t++;
            continue;
        }
        if (*t == '%') {
            PtxSlot slot;
            t = ptx_slot(t, &slot);
            if (match_arg(s, &slot, &inst->arg[inst->n_args++])) continue;
        } else {
            size_t n = *t == ',' ? 1 : strcspn(t, " %,");
            char literal[128];
            snprintf(literal, sizeof literal, "%.*s", (int)n, t);
            t += n;
            if (accept(s, literal)) continue;
        }
        *s = before;
        return false;
    }
    if (accept(s, ";")) return true;
    *s = before;
    return false;
}

static size_t mnemonic_length(const char *p) { return strcspn(p, " ;\t\n"); }

static void parse_guard(Parser *s, PtxInst *inst)
{
    uint32_t reg;
    inst->guard = -1;
    if (!accept(s, "@")) return;
    inst->guard_negate = accept(s, "!");
    if (match_reg(s, PTX_PRED, &reg)) inst->guard = (int)reg;
    else refuse(s, "a declared predicate");
}

static void append(Parser *s, const PtxInst *inst)
{
    PtxArg args[PTX_MAX_ARGS + 1] = {PTX_NONE};
    PtxArg guard = {.kind = inst->guard >= 0 ? PTX_ARG_REG : PTX_ARG_NONE,
                    .cls = PTX_PRED,
                    .count = 1,
                    .first = (uint32_t)inst->guard};
    memcpy(args + 1, inst->arg, sizeof inst->arg);
    ptx_emit(s->k, "line", inst->line, inst->op, guard, inst->guard_negate, inst->n_args, args);
    if (!failed(s)) s->k->inst[s->k->n_inst - 1].file = NULL;
}

static void parse_instruction(Parser *s)
{
    PtxInst inst = {.line = s->line};
    parse_guard(s, &inst);
    skip(s);
    size_t n = mnemonic_length(s->p);
    const char *like = NULL;
    for (int op = 0; op < PTX_N_OPS && !failed(s); op++) {
        const char *text = ptx_op_info[op].text;
        if (mnemonic_length(text) != n || strncmp(text, s->p, n) != 0) continue;
        like = text;
        inst.op = (PtxOp)op;
        if (!match_row(s, inst.op, &inst)) continue;
        append(s, &inst);
        return;
    }
    if (failed(s)) return;
    int shown = (int)strcspn(s->p, "\n");
    if (shown > 80) shown = 80;
    if (like)
        ptx_error(s->k, "line %d: '%.*s' does not fit '%s' (or an operand is not declared)", s->line, shown,
                  s->p, like);
    else
        ptx_error(s->k, "line %d: '%.*s' is not in the PTX subset that tilesmith reads (docs/ptx-subset.md)",
                  s->line, shown, s->p);
}

static void parse_comment(Parser *s)
{
    size_t n = strcspn(s->p, "\n"), from = s->p[2] == ' ' ? 3 : 2;
    ptx_comment(s->k, "%.*s", (int)(n > from ? n - from : 0), s->p + from);
    if (!failed(s)) s->k->inst[s->k->n_inst - 1].line = s->line;
    s->p += n;
}

/* Moves to the next line that says something; an empty line between becomes a BLANK. */
static void next_item(Parser *s)
{
    int newlines = 0;
    for (; isspace((unsigned char)*s->p); s->p++)
        if (*s->p == '\n') {
            s->line++;
            newlines++;
        }
    if (newlines > 1) ptx_blank(s->k);
}

static void parse_body(Parser *s)
{
    while (!failed(s)) {
        next_item(s);
        size_t n = word_length(s->p);
        if (s->p[0] == '/' && s->p[1] == '/') {
            parse_comment(s);
        } else if (*s->p == '}') {
            s->p++;
            return;
        } else if (!*s->p) {
            refuse(s, "'}' at the end of the kernel");
        } else if (accept(s, ".reg")) {
            parse_declaration(s);
        } else if (n && s->p[n] == ':') {
            PtxInst inst = {.op = PTX_LABEL, .n_args = 1, .guard = -1, .line = s->line};
            inst.arg[0] = ptx_label(s->k, name(s));
            s->p++;
            append(s, &inst);
        } else {
            parse_instruction(s);
        }
    }
}

PtxKernel *ptx_parse(const char *text)
{
    PtxKernel *k = ptx_new();
    if (!k) return NULL;
    Parser s = {k, text, 1};
    parse_header(&s);
    parse_version(&s);
    parse_shared(&s);
    if (!failed(&s)) parse_entry(&s);
    if (!failed(&s)) parse_body(&s);
    skip(&s);
    if (!failed(&s) && *s.p) refuse(&s, "the end of the text (one kernel a file)");
    return k;
}
