/* control.c: branches, returns, barriers, and the rows that only structure the text. */
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
    w->alive &= ~lanes;
}

/* The lanes of a warp run together here, and their accesses count as ordered: nothing is left to wait for. */
void exec_BAR_WARP_SYNC(Warp *w, const Inst *in, uint32_t lanes) { (void)w, (void)in, (void)lanes; }

/* All warps that have not ended meet; machine.c lets them go. */
void exec_BAR_SYNC(Warp *w, const Inst *in, uint32_t lanes)
{
    (void)lanes;
    count(&w->block->counters, COUNT_barriers, 1);
    w->barrier = (int)in->arg[0].imm;
}
