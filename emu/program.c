/* program.c: a verified kernel made ready to execute.
 *
 * Comments, blanks and labels drop out; a label becomes the index of the instruction behind it. Every
 * register becomes a row of 32 lanes in the warp's register file, at a fixed byte offset, and every
 * immediate a constant row, so that executing an instruction looks at nothing but rows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/execs.h"

#define X(name, ...) exec_##name,
static const Exec exec_of[PTX_N_OPS] = {PTX_OPS(X)};
#undef X

enum { CONSTANT_BYTES = 8 * LANES, MAX_INSTRUCTIONS = 1 << 17 /* race.h has 17 bits for a pc */ };

static bool structural(PtxOp op)
{
    return op == PTX_COMMENT || op == PTX_BLANK || op == PTX_LABEL || op == PTX_PRAGMA_NOUNROLL;
}

/* A predicate is one mask; every other class has a row of 32 values. */
static uint32_t row_bytes(PtxClass c)
{
    return c == PTX_PRED ? 4 : (uint32_t)ptx_class_info[c].bytes * LANES;
}

static void lay_out_registers(Program *p)
{
    uint32_t at = 0;
    for (int c = 0; c < PTX_N_CLASSES; c++) {
        at = (at + 63) & ~63u;
        p->row[c] = at;
        at += row_bytes((PtxClass)c) * (uint32_t)p->kernel->reg_count[c];
    }
    p->register_bytes = (at + 63) & ~63u;
}

static const void *constant_row(unsigned char *to, PtxClass c, int64_t value)
{
    for (int l = 0; l < LANES; l++)
        switch (ptx_class_info[c].bytes) {
        case 2: ((uint16_t *)to)[l] = (uint16_t)value; break;
        case 4: ((uint32_t *)to)[l] = (uint32_t)value; break;
        default: ((uint64_t *)to)[l] = (uint64_t)value;
        }
    return to;
}

/* Bytes that an ld.param reads, from its destination. */
static bool param_fits(const Program *p, const PtxInst *source)
{
    const PtxArg *a = &source->arg[1];
    int bytes = ptx_class_info[source->arg[0].cls].bytes;
    int64_t at = p->kernel->param[a->first].offset_bytes + a->imm;
    return a->imm >= 0 && at % bytes == 0 && at + bytes <= p->kernel->param_bytes;
}

static Operand operand(Program *p, const PtxArg *a, const PtxSlot *slot, unsigned char *constant)
{
    Operand o = {.imm = a->imm};
    if (a->kind == PTX_ARG_REG || a->kind == PTX_ARG_MEM)
        o.row = p->row[a->cls] + row_bytes((PtxClass)a->cls) * a->first;
    if (a->kind == PTX_ARG_IMM && slot->kind == 'R') o.constant = constant_row(constant, slot->cls, a->imm);
    if (a->kind == PTX_ARG_PARAM) o.imm += p->kernel->param[a->first].offset_bytes;
    if (a->kind == PTX_ARG_SPECIAL) o.imm = a->first;
    return o;
}

static bool decode(Program *p, int source, const uint32_t *label, Inst *in, unsigned char **constant)
{
    const PtxInst *from = &p->kernel->inst[source];
    PtxSlot slot[PTX_MAX_ARGS];
    ptx_slots(from->op, slot);
    *in = (Inst){.exec = exec_of[from->op], .op = (uint16_t)from->op, .guard = -1, .line = from->line};
    in->source = (uint32_t)source;
    in->collective = ptx_op_info[from->op].flags & PTX_FLAG_WARP;
    in->guard_negate = from->guard_negate;
    if (from->guard >= 0) in->guard = (int32_t)(p->row[PTX_PRED] + 4u * (uint32_t)from->guard);
    for (int a = 0; a < from->n_args; a++) {
        in->arg[a] = operand(p, &from->arg[a], &slot[a], *constant);
        if (in->arg[a].constant) *constant += CONSTANT_BYTES;
        if (from->arg[a].kind == PTX_ARG_LABEL) in->target = label[from->arg[a].first];
        if (from->arg[a].kind == PTX_ARG_PARAM && !param_fits(p, from)) return false;
    }
    return true;
}

static bool overlaps(const PtxInst *inst, const PtxArg *held)
{
    for (int a = 0; a < inst->n_args; a++) {
        const PtxArg *arg = &inst->arg[a];
        if (arg->kind == PTX_ARG_REG && arg->cls == held->cls && arg->first < held->first + held->count &&
            held->first < arg->first + arg->count)
            return true;
    }
    return false;
}

/* Whether an instruction touches accumulators of a wgmma, or registers that A is in. */
static bool touches(const PtxInst *inst, const PtxInst *wgmma)
{
    return overlaps(inst, &wgmma->arg[0]) || (wgmma->arg[1].cls == PTX_B32 && overlaps(inst, &wgmma->arg[1]));
}

/* What the kernel uses of the machine beyond its warps; and who touches what wgmma holds. */
static void find_uses(Program *p)
{
    const PtxKernel *k = p->kernel;
    for (int i = 0; i < p->n_inst; i++) {
        PtxOp op = (PtxOp)p->inst[i].op;
        p->uses_mbarriers |= op == PTX_MBARRIER_INIT;
        p->may_start_early |= op == PTX_GRID_WAIT;
        p->uses_warpgroups |= ptx_is_wgmma(op) || (op >= PTX_WGMMA_FENCE && op <= PTX_WGMMA_WAIT) ||
                              op == PTX_SETMAXNREG_INC || op == PTX_SETMAXNREG_DEC;
    }
    for (int w = 0; w < k->n_inst; w++)
        for (int i = 0; i < p->n_inst && ptx_is_wgmma(k->inst[w].op); i++)
            p->inst[i].touches_held |=
                !ptx_is_wgmma((PtxOp)p->inst[i].op) && touches(&k->inst[p->inst[i].source], &k->inst[w]);
}

/* Where each label (by string id) leads. */
static void find_labels(const PtxKernel *k, uint32_t *label)
{
    uint32_t pc = 0;
    for (int i = 0; i < k->n_inst; i++) {
        if (k->inst[i].op == PTX_LABEL) label[k->inst[i].arg[0].first] = pc;
        pc += !structural(k->inst[i].op);
    }
}

static int count_immediates(const PtxKernel *k)
{
    int n = 0;
    for (int i = 0; i < k->n_inst; i++)
        for (int a = 0; a < k->inst[i].n_args; a++) n += k->inst[i].arg[a].kind == PTX_ARG_IMM;
    return n;
}

static bool decode_all(Program *p, char *error, size_t error_bytes)
{
    const PtxKernel *k = p->kernel;
    uint32_t *label = calloc((size_t)k->n_strings + 1, sizeof *label);
    unsigned char *constant = p->constants;
    bool ok = label != NULL;
    if (!ok) snprintf(error, error_bytes, "out of memory while loading a kernel");
    else find_labels(k, label);
    for (int i = 0; i < k->n_inst && ok; i++) {
        if (structural(k->inst[i].op)) continue;
        ok = decode(p, i, label, &p->inst[p->n_inst++], &constant);
        if (!ok)
            snprintf(error, error_bytes, "line %d: reads outside the parameters, or misaligned",
                     k->inst[i].line);
    }
    free(label);
    return ok;
}

Program *program_new(PtxKernel *k, char *error, size_t error_bytes)
{
    Program *p = calloc(1, sizeof *p);
    if (!ptx_check(k)) {
        snprintf(error, error_bytes, "%s", k->error);
    } else if (k->n_inst > MAX_INSTRUCTIONS) {
        snprintf(error, error_bytes, "the emulator takes no more than %d instructions", MAX_INSTRUCTIONS);
    } else if (!p || !(p->inst = calloc((size_t)k->n_inst + 1, sizeof *p->inst)) ||
               !(p->constants = malloc((size_t)count_immediates(k) * CONSTANT_BYTES + 1))) {
        snprintf(error, error_bytes, "out of memory while loading a kernel");
    } else {
        p->kernel = k;
        lay_out_registers(p);
        if (decode_all(p, error, error_bytes)) {
            find_uses(p);
            return p;
        }
        p->kernel = NULL;
    }
    program_free(p);
    return NULL;
}

void program_free(Program *p)
{
    if (!p) return;
    ptx_free(p->kernel);
    free(p->inst);
    free(p->constants);
    free(p);
}
