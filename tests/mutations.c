/* mutations.c: faults in a kernel of the mma back end (mutations.h). */
#include "tests/mutations.h"

/* mma.sync: 3 stages, so the right wait is wait_group 1. */
static const Mutation mutations[] = {
    {"the wait in the main loop too weak by one", "cp.async.wait_group 1;", "cp.async.wait_group 2;", 1},
    {"the wait before the main loop too weak by one", "cp.async.wait_group 1;", "cp.async.wait_group 2;", 0},
    {"the barrier of the main loop removed", "bar.sync 0;", "", 1},
    {"the barrier before the main loop removed", "bar.sync 0;", "", 0},
    {"the copies swizzled otherwise than the fragments", "and.b32 %x_copy_at0, %x_copy_at0, 3;",
     "and.b32 %x_copy_at0, %x_copy_at0, 1;", 0},
    {"the fragments of W swizzled otherwise than its copies", "and.b32 %w_slot_at, %w_slot_at, 3;",
     "and.b32 %w_slot_at, %w_slot_at, 1;", 0},
    {"a commit in the prologue forgotten", "cp.async.commit_group;", "", 0},
    {"the commit of the main loop forgotten", "cp.async.commit_group;", "", 2},
    {"the end of k not respected", "min.s32 %x_size0, %x_size0, 8;", "mov.b32 %x_size0, 8;", 2},
    {"rows behind the end of x read", "min.u32 %x_row_inside, %x_row_inside, %x_row_last;",
     "mov.b32 %x_row_inside, %x_row;", -1},
    {"columns behind the end of y stored", "setp.gt.and.s32 %p_col, %piece_cols, 7, %p_row;",
     "setp.ge.s32 %p_col, %piece_cols, -999;", -1},
    {"one mma dropped", "mma.sync", "// mma.sync", 3},
    {"the slot to fill off by one", "add.s32 %slot, %read_slot, -8192;", "add.s32 %slot, %read_slot, 0;", 1},
};

int main(void)
{
    return test_mutations(&(Subject){"mma_sm80_f16_64x64x32_w2x2_s3", "89", mutations, sizeof mutations / sizeof *mutations});
}
