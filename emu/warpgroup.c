/* warpgroup.c: the log of a warpgroup's steps, and setmaxnreg. See warpgroup.h. */
#include "emu/execs.h"

#include <string.h>

/* ---- the log ---- */

/* Registers of a thread at the kernel's start: as many as the launch bounds leave room for. */
static int entry_registers(const Block *b)
{
    const PtxKernel *k = b->program->kernel;
    int threads = k->max_threads ? k->max_threads : b->n_threads, blocks = k->min_blocks ? k->min_blocks : 1;
    int each = 65536 / (threads * blocks) / 8 * 8;
    return each < 256 ? each : 256;
}

void warpgroups_new_block(Block *b)
{
    b->free_registers = 0;
    if (!b->program->uses_warpgroups) return;
    for (int g = 0; g < b->n_warps / GROUP_WARPS; g++) {
        Warpgroup *group = &b->group[g];
        group->n = group->n_commits = group->executed = group->read = 0;
        memset(group->at, 0, sizeof group->at);
    }
    for (int i = 0; i < b->n_warps; i++) {
        b->warp[i].registers_each = entry_registers(b);
        held_new_block(&b->warp[i]);
    }
}

Warpgroup *warpgroup_of(Warp *w)
{
    Block *b = w->block;
    int g = w->index / GROUP_WARPS;
    if ((g + 1) * GROUP_WARPS > b->n_warps)
        trap(w, 0, TRAP_WARPGROUP, "the warp is not one of a warpgroup: the block has %d warps", b->n_warps);
    return &b->group[g];
}

bool warpgroup_passed(const Warpgroup *g, uint32_t step)
{
    for (int i = 0; i < GROUP_WARPS; i++)
        if (g->at[i] <= step) return false;
    return true;
}

static bool same(const GroupStep *x, const GroupStep *y)
{
    return x->in == y->in && x->a == y->a && x->b == y->b && x->accumulate == y->accumulate;
}

/* The first of the four to come here. */
static void append(Warp *w, Warpgroup *g, const GroupStep *step)
{
    for (int i = 0; i < GROUP_WARPS; i++)
        if (!(w - w->index % GROUP_WARPS + i)->alive)
            trap(w, 0, TRAP_WARPGROUP, "warp %d of the same warpgroup has ended and does not execute this",
                 w->index / GROUP_WARPS * GROUP_WARPS + i);
    if (g->n - g->read >= GROUP_STEPS)
        trap(w, 0, TRAP_WARPGROUP, "the emulator follows no more than %d steps that nobody has waited for",
             GROUP_STEPS);
    g->step[g->n++ % GROUP_STEPS] = *step;
}

static void must_agree(Warp *w, const GroupStep *first, const GroupStep *step)
{
    if (first->in != step->in)
        trap(w, 0, TRAP_WARPGROUP,
             "the warps of a warpgroup must execute the same, but another one is at line %d here",
             first->in->line);
    if (!same(first, step))
        trap(
            w, 0, TRAP_WARPGROUP,
            "the warps of a warpgroup must give the same descriptors and predicate: 0x%llx, 0x%llx, %d here, "
            "0x%llx, 0x%llx, %d in another one",
            (unsigned long long)step->a, (unsigned long long)step->b, step->accumulate,
            (unsigned long long)first->a, (unsigned long long)first->b, first->accumulate);
}

bool warpgroup_step(Warp *w, GroupStep step, uint32_t *number)
{
    Warpgroup *g = warpgroup_of(w);
    uint32_t *at = &g->at[w->index % GROUP_WARPS];
    if (*at >= GROUP_STEPS && !warpgroup_passed(g, *at - GROUP_STEPS)) {
        wait_at(w, AT_WARPGROUP, true);
        return false;
    }
    if (*at == g->n) append(w, g, &step);
    else must_agree(w, &g->step[*at % GROUP_STEPS], &step);
    *number = (*at)++;
    w->block->cluster->events++;
    return true;
}

void warpgroup_end_warp(Warp *w)
{
    if (!w->block->program->uses_warpgroups ||
        w->index / GROUP_WARPS * GROUP_WARPS + GROUP_WARPS > w->block->n_warps)
        return;
    const Warpgroup *g = warpgroup_of(w);
    uint32_t at = g->at[w->index % GROUP_WARPS];
    if (at != g->n)
        trap(w, 0, TRAP_WARPGROUP, "the warp ends, and has not executed line %d like others of its warpgroup",
             g->step[at % GROUP_STEPS].in->line);
    if (w->held.in_flight) trap(w, 0, TRAP_WARPGROUP, "the warp ends, and has not waited for its wgmma");
}

/* ---- setmaxnreg, PTX ISA 9.7.19.5 ---- */

static void set_registers(Warp *w, const Inst *in, bool increase)
{
    Block *b = w->block;
    int wanted = (int)in->arg[0].imm, needed = (wanted - w->registers_each) * LANES;
    uint32_t number;
    if (wanted % 8) trap(w, 0, TRAP_WARPGROUP, "%d registers are not a multiple of 8", wanted);
    if (increase ? needed < 0 : needed > 0)
        trap(w, 0, TRAP_WARPGROUP, "a thread has %d registers, which is %s than %d", w->registers_each,
             increase ? "more" : "less", wanted);
    if (needed > b->free_registers) {
        wait_at(w, AT_REGISTERS, true);
        return;
    }
    if (!warpgroup_step(w, (GroupStep){.in = in}, &number)) return;
    b->free_registers -= needed;
    w->registers_each = wanted;
}

void exec_SETMAXNREG_INC(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, set_registers(w, in, true); }
void exec_SETMAXNREG_DEC(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)lanes, set_registers(w, in, false);
}
