/* control.c: branches, returns, election, and the rows that only structure the text or say nothing here. */
#include "emu/execs.h"

/* Dropped when a program is made; here so that every row has its function. */
void exec_COMMENT(Warp *w, const Inst *in, uint32_t lanes) { (void)w, (void)in, (void)lanes; }
void exec_BLANK(Warp *w, const Inst *in, uint32_t lanes) { (void)w, (void)in, (void)lanes; }
void exec_LABEL(Warp *w, const Inst *in, uint32_t lanes) { (void)w, (void)in, (void)lanes; }
void exec_PRAGMA_NOUNROLL(Warp *w, const Inst *in, uint32_t lanes) { (void)w, (void)in, (void)lanes; }

void exec_BRA(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)in;
    w->jumping = lanes;
}

void exec_RET(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)in;
    transfers_end_lanes(w, lanes);
    w->alive &= ~lanes;
    if (!w->alive) warpgroup_end_warp(w);
}

/* The lanes of a warp run together here: what is left is to know of each other. */
void exec_BAR_WARP_SYNC(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)in, (void)lanes;
    clocks_meet(&w->block->cluster->clocks, w->actor);
}

/* The same lane each time, as the ISA has it, but another one under another seed. */
void exec_ELECT(Warp *w, const Inst *in, uint32_t lanes)
{
    uint32_t *p = write_row(w, in, 0);
    (void)lanes;
    *p = 1u << w->block->cluster->elected;
}

/* Kernels run one after the other here, so a dependent one finds everything done; but it must ask (memory.c). */
void exec_GRID_WAIT(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)in;
    w->grid_waited |= lanes;
}
void exec_GRID_LAUNCH(Warp *w, const Inst *in, uint32_t lanes) { (void)w, (void)in, (void)lanes; }
