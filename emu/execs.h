/* execs.h: the semantics of every row of gen/ptx/ops.h, one function each.
 *
 * The declarations come from the table itself, and program.c takes the address of each: a row without
 * its exec_ROW does not link. `lanes` is never empty and holds the lanes whose guard is true; an
 * instruction marked WARP is only called with all 32 (barriers: with all live ones).
 */
#ifndef EMU_EXECS_H
#define EMU_EXECS_H

#include "emu/machine.h"

#define X(name, ...) void exec_##name(Warp *w, const Inst *in, uint32_t lanes);
PTX_OPS(X)
#undef X

#endif
