/* print.c: a kernel as PTX text. Deterministic: the same kernel gives the same bytes. */
#include "ptx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Text {
    char *at;
    size_t length, cap;
    bool failed;                          /* out of memory */
    const PtxRegs **owner[PTX_N_CLASSES]; /* the declaration of each register */
} Text;

static void put_bytes(Text *t, const char *bytes, size_t n)
{
    if (t->failed) return;
    if (t->length + n + 1 > t->cap) {
        size_t cap = (t->cap ? t->cap * 2 : 1 << 15) + n;
        char *moved = realloc(t->at, cap);
        if (!moved) {
            t->failed = true;
            return;
        }
        t->at = moved;
        t->cap = cap;
    }
    memcpy(t->at + t->length, bytes, n);
    t->length += n;
    t->at[t->length] = 0;
}

static void put(Text *t, const char *s) { put_bytes(t, s, strlen(s)); }

static void put_int(Text *t, int64_t value)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do *--p = (char)('0' + v % 10);
    while (v /= 10);
    if (value < 0) *--p = '-';
    put_bytes(t, p, (size_t)(digits + sizeof digits - p));
}

static void put_float(Text *t, int64_t bits)
{
    char hex[11] = "0f";
    for (int i = 0; i < 8; i++) hex[2 + i] = "0123456789ABCDEF"[bits >> (28 - 4 * i) & 15];
    put_bytes(t, hex, 10);
}

static void free_owners(Text *t)
{
    for (int c = 0; c < PTX_N_CLASSES; c++) free(t->owner[c]);
}

static void find_owners(Text *t, const PtxKernel *k)
{
    for (int c = 0; c < PTX_N_CLASSES; c++) {
        t->owner[c] = calloc((size_t)k->reg_count[c] + 1, sizeof *t->owner[c]);
        if (!t->owner[c]) t->failed = true;
    }
    for (int i = 0; i < k->n_regs && !t->failed; i++)
        for (int j = 0; j < k->regs[i].count; j++)
            t->owner[k->regs[i].cls][k->regs[i].first + j] = &k->regs[i];
}

static void put_reg(Text *t, PtxClass cls, uint32_t reg)
{
    if (t->failed) return;
    const PtxRegs *r = t->owner[cls][reg];
    put(t, "%");
    put(t, r->name);
    if (r->array) put_int(t, reg - (uint32_t)r->first);
}

static void put_offset(Text *t, int64_t bytes)
{
    if (!bytes) return;
    if (bytes > 0) put(t, "+");
    put_int(t, bytes);
}

static void put_regs(Text *t, const PtxArg *arg, bool braces)
{
    if (braces) put(t, "{");
    for (uint32_t i = 0; i < arg->count; i++) {
        if (i) put(t, ", ");
        put_reg(t, arg->cls, arg->first + i);
    }
    if (braces) put(t, "}");
}

static void put_arg(Text *t, const PtxKernel *k, const PtxSlot *slot, const PtxArg *arg)
{
    switch (arg->kind) {
    case PTX_ARG_REG: put_regs(t, arg, slot->braces); break;
    case PTX_ARG_IMM:
        if (slot->cls == PTX_F32) put_float(t, arg->imm);
        else put_int(t, arg->imm);
        break;
    case PTX_ARG_MEM:
        put(t, "[");
        put_reg(t, arg->cls, arg->first);
        put_offset(t, arg->imm);
        put(t, "]");
        break;
    case PTX_ARG_PARAM:
        if (slot->kind == 'A') {
            put(t, k->param[arg->first].name);
            break;
        }
        put(t, "[");
        put(t, k->param[arg->first].name);
        put_offset(t, arg->imm);
        put(t, "]");
        break;
    case PTX_ARG_SPECIAL: put(t, ptx_special_name[arg->first]); break;
    case PTX_ARG_SHARED: put(t, "smem"); break;
    case PTX_ARG_LABEL:
    case PTX_ARG_TEXT: put(t, k->string[arg->first]); break;
    }
}

/* Walks the row's text: what is not a slot is copied. */
static void put_inst(Text *t, const PtxKernel *k, const PtxInst *inst)
{
    const char *p = ptx_op_info[inst->op].text;
    for (int arg = 0; *p;) {
        size_t literal = strcspn(p, "%");
        put_bytes(t, p, literal);
        p += literal;
        if (!*p) break;
        PtxSlot slot;
        p = ptx_slot(p, &slot);
        put_arg(t, k, &slot, &inst->arg[arg++]);
    }
}

static void put_line(Text *t, const PtxKernel *k, const PtxInst *inst)
{
    bool statement = inst->op != PTX_COMMENT && inst->op != PTX_LABEL && inst->op != PTX_BLANK;
    if (inst->op != PTX_LABEL && inst->op != PTX_BLANK) put(t, "    ");
    if (inst->guard >= 0) {
        put(t, inst->guard_negate ? "@!" : "@");
        put_reg(t, PTX_PRED, (uint32_t)inst->guard);
        put(t, " ");
    }
    put_inst(t, k, inst);
    put(t, statement ? ";\n" : "\n");
}

static void put_version(Text *t, const PtxKernel *k)
{
    char line[160];
    snprintf(line, sizeof line, ".version %d.%d\n.target sm_%d%.1s\n.address_size 64\n\n", k->version / 10,
             k->version % 10, k->sm, &k->sm_suffix);
    put(t, line);
    if (!k->shared_align) return;
    snprintf(line, sizeof line, ".extern .shared .align %d .b8 smem[];\n\n", k->shared_align);
    put(t, line);
}

static void put_entry(Text *t, const PtxKernel *k)
{
    char line[PTX_MAX_NAME + 64];
    snprintf(line, sizeof line, ".visible .entry %s(\n", k->entry);
    put(t, line);
    for (int i = 0; i < k->n_params; i++) {
        const struct PtxParamInfo *info = &ptx_param_info[k->param[i].type];
        snprintf(line, sizeof line, "    .param %s %s%s%s\n", info->type, k->param[i].name, info->array,
                 i + 1 < k->n_params ? "," : "");
        put(t, line);
    }
    put(t, ")\n");
    if (k->max_threads) {
        snprintf(line, sizeof line, ".maxntid %d, 1, 1\n", k->max_threads);
        put(t, line);
    }
    if (k->min_blocks) {
        snprintf(line, sizeof line, ".minnctapersm %d\n", k->min_blocks);
        put(t, line);
    }
    if (k->cluster) {
        snprintf(line, sizeof line, ".explicitcluster\n.reqnctapercluster %d, 1, 1\n", k->cluster);
        put(t, line);
    }
}

/* "    .reg .b32 %lane, %warp, %frag_a<16>;", wrapped, one class after the other. */
static void put_declarations(Text *t, const PtxKernel *k)
{
    enum { WIDTH = 100 };
    for (int c = 0; c < PTX_N_CLASSES; c++) {
        size_t line_start = 0;
        for (int i = 0; i < k->n_regs; i++) {
            const PtxRegs *r = &k->regs[i];
            char name[PTX_MAX_NAME];
            if (r->cls != (PtxClass)c) continue;
            if (r->array) snprintf(name, sizeof name, "%%%s<%d>", r->name, r->count);
            else snprintf(name, sizeof name, "%%%s", r->name);
            bool fits = line_start && t->length - line_start + strlen(name) + 2 < WIDTH;
            if (line_start && !fits) put(t, ";\n");
            if (!fits) {
                line_start = t->length;
                put(t, "    .reg ");
                put(t, ptx_class_info[c].type);
                put(t, " ");
            } else {
                put(t, ", ");
            }
            put(t, name);
        }
        if (line_start) put(t, ";\n");
    }
}

bool ptx_print(PtxKernel *k, char **text, size_t *length)
{
    Text t = {0};
    *text = NULL;
    if (k->error[0]) return false;
    find_owners(&t, k);
    for (int i = 0; i < k->n_header; i++) {
        put(&t, "// ");
        put(&t, k->header[i]);
        put(&t, "\n");
    }
    put_version(&t, k);
    put_entry(&t, k);
    put(&t, "{\n");
    put_declarations(&t, k);
    for (int i = 0; i < k->n_inst; i++) put_line(&t, k, &k->inst[i]);
    put(&t, "}\n");
    free_owners(&t);
    if (t.failed) {
        free(t.at);
        ptx_error(k, "out of memory while printing a kernel");
        return false;
    }
    *text = t.at;
    if (length) *length = t.length;
    return true;
}

void ptx_print_inst(const PtxKernel *k, const PtxInst *inst, char *out, size_t out_bytes)
{
    Text t = {0};
    find_owners(&t, k);
    put_inst(&t, k, inst);
    snprintf(out, out_bytes, "%s", t.at ? t.at : "");
    free_owners(&t);
    free(t.at);
}
