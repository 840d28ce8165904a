/* check_wgmma.c: what must hold around wgmma and setmaxnreg, or ptxas refuses, ignores or serialises them.
 *
 * Accumulators, and registers that A is in, are followed through the text: TOUCHED by other instructions,
 * FENCED by wgmma.fence, or in flight with a group until a wait covers it. A branch backwards is followed
 * once, so that the end of a loop meets its beginning; behind an unconditional branch the text is reached
 * from elsewhere, and what is in flight there is not known.
 */
#include "ptx.h"

#include <stdlib.h>
#include <string.h>

enum { TOUCHED, FENCED, IN_FLIGHT /* + the group, counted from 0 */ };

/* Registers of a thread that a wgmma needs beside its accumulators, as ptxas has it (error C7602). */
enum { WGMMA_OTHER_REGISTERS = 26, SM_REGISTERS = 65536, MAX_REGISTERS = 255 };

typedef struct Flow {
    PtxKernel *k;
    uint32_t *state; /* [register]: those of fp32, behind them those of .b32 */
    int *issued;     /* [register] instruction that has it in flight */
    bool *followed;  /* [instruction] a branch backwards */
    uint32_t groups; /* committed */
} Flow;

static int entry_registers(const PtxKernel *k)
{
    if (!k->max_threads) return MAX_REGISTERS;
    int each = SM_REGISTERS / (k->max_threads * (k->min_blocks ? k->min_blocks : 1)) / 8 * 8;
    return each < MAX_REGISTERS ? each : MAX_REGISTERS;
}

static void check_registers(PtxKernel *k, const PtxInst *inst)
{
    if (ptx_is_wgmma(inst->op) && entry_registers(k) < inst->arg[0].count + WGMMA_OTHER_REGISTERS)
        ptx_error_at(k, inst, "needs %d registers a thread; .maxntid %d and .minnctapersm %d leave %d",
                     inst->arg[0].count + WGMMA_OTHER_REGISTERS, k->max_threads,
                     k->min_blocks ? k->min_blocks : 1, entry_registers(k));
    if (inst->op != PTX_SETMAXNREG_INC && inst->op != PTX_SETMAXNREG_DEC) return;
    if (!k->max_threads) ptx_error_at(k, inst, "needs .maxntid: without it ptxas ignores it");
    if (inst->arg[0].imm % 8)
        ptx_error_at(k, inst, "wants a multiple of 8 registers, got %lld", (long long)inst->arg[0].imm);
}

static bool is_followed(const PtxArg *arg)
{
    return arg->kind == PTX_ARG_REG && (arg->cls == PTX_F32 || arg->cls == PTX_B32);
}

/* Where the registers of an operand begin in Flow's arrays. */
static uint32_t first_register(const Flow *f, const PtxArg *arg)
{
    return arg->first + (arg->cls == PTX_B32 ? (uint32_t)f->k->reg_count[PTX_F32] : 0);
}

static void take(Flow *f, int i, const PtxArg *arg, const char *use)
{
    const PtxInst *inst = &f->k->inst[i];
    uint32_t first = first_register(f, arg);
    for (uint32_t r = first; r < first + arg->count; r++) {
        char name[PTX_MAX_NAME];
        ptx_reg_name(f->k, (PtxClass)arg->cls, arg->first + r - first, name, sizeof name);
        if (f->state[r] == TOUCHED)
            ptx_error_at(f->k, inst, "%s %s, with no wgmma.fence since that was used last", use, name);
        if (arg->cls == PTX_F32 && f->state[r] >= IN_FLIGHT &&
            f->k->inst[f->issued[r]].arg[0].count != arg->count)
            ptx_error_at(f->k, inst, "%s %s, which is in flight in a wgmma of another shape", use, name);
        f->state[r] = IN_FLIGHT + f->groups;
        f->issued[r] = i;
    }
}

static void issue(Flow *f, int i)
{
    const PtxInst *inst = &f->k->inst[i];
    take(f, i, &inst->arg[0], "accumulates in");
    if (is_followed(&inst->arg[1])) take(f, i, &inst->arg[1], "multiplies");
}

static void touch(Flow *f, const PtxInst *inst)
{
    for (int a = 0; a < inst->n_args; a++) {
        const PtxArg *arg = &inst->arg[a];
        if (!is_followed(arg)) continue;
        uint32_t first = first_register(f, arg);
        for (uint32_t r = first; r < first + arg->count; r++) {
            char name[PTX_MAX_NAME];
            if (f->state[r] >= IN_FLIGHT) {
                ptx_reg_name(f->k, (PtxClass)arg->cls, arg->first + r - first, name, sizeof name);
                ptx_error_at(
                    f->k, inst, "uses %s, %s of the wgmma of line %d, with no wgmma.wait_group before", name,
                    arg->cls == PTX_F32 ? "an accumulator" : "an operand", f->k->inst[f->issued[r]].line);
            }
            f->state[r] = TOUCHED;
        }
    }
}

static int count_followed(const PtxKernel *k) { return k->reg_count[PTX_F32] + k->reg_count[PTX_B32]; }

static void set_all(Flow *f, uint32_t from_state, uint32_t end_state, uint32_t to)
{
    for (int r = 0; r < count_followed(f->k); r++)
        if (f->state[r] >= from_state && f->state[r] < end_state) f->state[r] = to;
}

static void wait(Flow *f, uint32_t pending)
{
    if (f->groups > pending) set_all(f, IN_FLIGHT, IN_FLIGHT + f->groups - pending, FENCED);
}

/* Where the text goes on behind instruction i. */
static int next(Flow *f, int i, const int *label)
{
    const PtxInst *inst = &f->k->inst[i];
    if (inst->op == PTX_BRA && label[inst->arg[0].first] < i && !f->followed[i]) {
        f->followed[i] = true;
        return label[inst->arg[0].first];
    }
    bool away = (inst->op == PTX_BRA || inst->op == PTX_RET) && inst->guard < 0;
    if (away) set_all(f, IN_FLIGHT, UINT32_MAX, FENCED);
    return i + 1;
}

static void follow(Flow *f, const int *label)
{
    PtxKernel *k = f->k;
    for (int i = 0; i < k->n_inst && !k->error[0]; i = next(f, i, label)) {
        const PtxInst *inst = &k->inst[i];
        if (ptx_is_wgmma(inst->op)) issue(f, i);
        else if (inst->op == PTX_WGMMA_FENCE) set_all(f, TOUCHED, FENCED, FENCED);
        else if (inst->op == PTX_WGMMA_COMMIT) f->groups++;
        else if (inst->op == PTX_WGMMA_WAIT) wait(f, (uint32_t)inst->arg[0].imm);
        else touch(f, inst);
    }
}

static void check_followed(PtxKernel *k)
{
    size_t n = (size_t)count_followed(k) + 1;
    Flow f = {.k = k,
              .state = calloc(n, sizeof *f.state),
              .issued = calloc(n, sizeof *f.issued),
              .followed = calloc((size_t)k->n_inst + 1, sizeof *f.followed)};
    int *label = calloc((size_t)k->n_strings + 1, sizeof *label);
    if (!f.state || !f.issued || !f.followed || !label) ptx_error(k, "out of memory while checking a kernel");
    for (int i = 0; i < k->n_inst && label; i++)
        if (k->inst[i].op == PTX_LABEL) label[k->inst[i].arg[0].first] = i;
    if (!k->error[0]) follow(&f, label);
    free(f.state);
    free(f.issued);
    free(f.followed);
    free(label);
}

void ptx_check_wgmma(PtxKernel *k)
{
    bool any = false;
    for (int i = 0; i < k->n_inst; i++) {
        check_registers(k, &k->inst[i]);
        any |= ptx_is_wgmma(k->inst[i].op);
    }
    if (any && !k->error[0]) check_followed(k);
}
