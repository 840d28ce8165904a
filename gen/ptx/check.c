/* check.c: what must hold for a whole kernel. Single instructions were checked when they were emitted. */
#include "ptx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ptx_error_at(PtxKernel *k, const PtxInst *inst, const char *format, ...)
{
    char what[PTX_MAX_ERROR];
    const char *name = ptx_op_info[inst->op].name;
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    if (inst->file) ptx_error(k, "%s:%d: %s %.200s", inst->file, inst->line, name, what);
    else ptx_error(k, "line %d: %s %.200s", inst->line, name, what);
}

enum { MOST_REGISTERS = 65536 /* declared; of any kernel of use some hundreds */ };

static void check_target(PtxKernel *k, const PtxInst *inst)
{
    const PtxOpInfo *info = &ptx_op_info[inst->op];
    int needs = info->version, has = k->version;
    bool this_chip = info->flags & PTX_FLAG_ARCH;
    if (info->sm > k->sm || (this_chip && (info->sm != k->sm || k->sm_suffix != 'a')))
        ptx_error_at(k, inst, "needs sm_%d%s; the target is sm_%d%.1s", info->sm, this_chip ? "a" : "", k->sm,
                     &k->sm_suffix);
    if (needs > has)
        ptx_error_at(k, inst, "needs PTX %d.%d; .version is %d.%d", needs / 10, needs % 10, has / 10,
                     has % 10);
}

static void check_operands(PtxKernel *k, const PtxInst *inst)
{
    if (inst->guard >= k->reg_count[PTX_PRED]) ptx_error_at(k, inst, "has a guard that is not declared");
    for (int i = 0; i < inst->n_args; i++) {
        const PtxArg *a = &inst->arg[i];
        bool reg = a->kind == PTX_ARG_REG || a->kind == PTX_ARG_MEM;
        if (reg && a->first + a->count > (uint32_t)k->reg_count[a->cls])
            ptx_error_at(k, inst, "operand %d: register %u of class %s is not declared", i + 1,
                         a->first + a->count - 1, ptx_class_info[a->cls].name);
        if (a->kind == PTX_ARG_PARAM && a->first >= (uint32_t)k->n_params)
            ptx_error_at(k, inst, "operand %d: there is no parameter %u", i + 1, a->first);
        if (a->kind == PTX_ARG_SHARED && !k->shared_align)
            ptx_error_at(k, inst, "uses a shared array that the kernel has not");
    }
}

/* Each label is set exactly once, and each branch has one to go to. */
static void check_labels(PtxKernel *k)
{
    unsigned char *set = calloc((size_t)k->n_strings + 1, 1);
    if (!set) {
        ptx_error(k, "out of memory while checking a kernel");
        return;
    }
    for (int i = 0; i < k->n_inst; i++) {
        if (k->inst[i].op != PTX_LABEL) continue;
        uint32_t id = k->inst[i].arg[0].first;
        if (set[id]++) ptx_error(k, "label %s is set twice", k->string[id]);
    }
    for (int i = 0; i < k->n_inst; i++) {
        const PtxInst *inst = &k->inst[i];
        for (int a = 0; a < inst->n_args; a++)
            if (inst->arg[a].kind == PTX_ARG_LABEL && !set[inst->arg[a].first])
                ptx_error(k, "label %s is used but not set", k->string[inst->arg[a].first]);
    }
    free(set);
}

typedef struct Written {
    unsigned char *of[PTX_N_CLASSES];
} Written;

void ptx_reg_name(const PtxKernel *k, PtxClass cls, uint32_t reg, char *out, size_t bytes)
{
    snprintf(out, bytes, "register %u", reg);
    for (int i = 0; i < k->n_regs; i++) {
        const PtxRegs *r = &k->regs[i];
        if (r->cls != cls || reg < (uint32_t)r->first || reg >= (uint32_t)(r->first + r->count)) continue;
        if (r->array) snprintf(out, bytes, "%%%s%u", r->name, reg - (uint32_t)r->first);
        else snprintf(out, bytes, "%%%s", r->name);
    }
}

static void check_read(PtxKernel *k, const Written *written, const PtxInst *inst, PtxClass cls, uint32_t reg)
{
    char name[PTX_MAX_NAME];
    if (written->of[cls][reg]) return;
    ptx_reg_name(k, cls, reg, name, sizeof name);
    ptx_error_at(k, inst, "reads %s before anything writes it", name);
}

/* In the order of the text, every register is written before it is read. Loops run forwards and carry
 * initialised values, so for our kernels this is exact. Accumulators of wgmma may hold anything: whether they
 * are read is for its predicate to say. */
static void check_flow(PtxKernel *k)
{
    Written written;
    bool ok = true;
    for (int c = 0; c < PTX_N_CLASSES; c++)
        ok &= (written.of[c] = calloc((size_t)k->reg_count[c] + 1, 1)) != NULL;
    if (!ok) ptx_error(k, "out of memory while checking a kernel");
    for (int i = 0; i < k->n_inst && !k->error[0]; i++) {
        const PtxInst *inst = &k->inst[i];
        PtxSlot slot[PTX_MAX_ARGS];
        ptx_slots(inst->op, slot);
        if (inst->guard >= 0) check_read(k, &written, inst, PTX_PRED, (uint32_t)inst->guard);
        for (int a = 0; a < inst->n_args; a++) {
            const PtxArg *arg = &inst->arg[a];
            bool reads = arg->kind == PTX_ARG_MEM || (arg->kind == PTX_ARG_REG && slot[a].access == PTX_READ);
            for (uint32_t r = 0; reads && r < arg->count; r++)
                check_read(k, &written, inst, arg->cls, arg->first + r);
        }
        for (int a = 0; a < inst->n_args; a++)
            if (inst->arg[a].kind == PTX_ARG_REG && (slot[a].access & PTX_WRITE))
                memset(written.of[inst->arg[a].cls] + inst->arg[a].first, 1, inst->arg[a].count);
    }
    for (int c = 0; c < PTX_N_CLASSES; c++) free(written.of[c]);
}

bool ptx_check(PtxKernel *k)
{
    int target = ptx_target_version(k->sm, k->sm_suffix), needed = target;
    if (!target)
        ptx_error(k, "sm_%d%.1s is not a target that tilesmith knows (it writes for sm_80 and later)", k->sm,
                  &k->sm_suffix);
    for (int i = 0; i < k->n_inst; i++)
        if (ptx_op_info[k->inst[i].op].version > needed) needed = ptx_op_info[k->inst[i].op].version;
    if (!k->version) k->version = needed;
    if (k->version < target)
        ptx_error(k, "target sm_%d needs PTX %d.%d; .version is %d.%d", k->sm, target / 10, target % 10,
                  k->version / 10, k->version % 10);
    if (k->cluster && k->sm < 90) ptx_error(k, "clusters need sm_90; the target is sm_%d", k->sm);
    int registers = 0;
    for (int c = 0; c < PTX_N_CLASSES; c++) registers += k->reg_count[c];
    if (registers > MOST_REGISTERS) ptx_error(k, "the kernel declares more than %d registers", MOST_REGISTERS);
    for (int i = 0; i < k->n_inst && !k->error[0]; i++) {
        check_target(k, &k->inst[i]);
        check_operands(k, &k->inst[i]);
    }
    if (!k->error[0]) check_labels(k);
    if (!k->error[0]) check_flow(k);
    if (!k->error[0]) ptx_check_wgmma(k);
    const PtxInst *last = k->n_inst ? &k->inst[k->n_inst - 1] : NULL;
    if (!k->error[0] && (!last || last->op != PTX_RET || last->guard >= 0))
        ptx_error(k, "the kernel does not end with ret, without a guard");
    return !k->error[0];
}
