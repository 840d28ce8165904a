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
    {"cut pieces of the first rows alone", "@%p_row bra cut_0_0;", "", -1},
    {"the bias of other columns", "add.s32 %bias_col, %col0, %thread;", "mov.b32 %bias_col, %thread;", -1},
    {"y is copied before the lanes have met", "bar.warp.sync 0xffffffff;", "", 0},
    {"one mma dropped", "mma.sync", "// mma.sync", 3},
    {"the slot to fill off by one", "add.s32 %slot, %read_slot, -8192;", "add.s32 %slot, %read_slot, 0;", 1},
    {"nothing is copied when some of k is left", "setp.lt.s32 %p, %k_rest, 1;",
     "setp.lt.s32 %p, %k_rest, 33;", 0},
    {"the last k-block ends a k-step early", "setp.lt.s32 %p, %k_rest, -47;", "setp.lt.s32 %p, %k_rest, -31;",
     0},
};

/* A kernel whose blocks share tiles, and what it takes to do that right. */
static const Mutation split_mutations[] = {
    {"blocks do not wait for each other", "@%p_scratch bra wait_for_flag;", "", 0},
    {"blocks do not look at the flags", "ld.acquire.gpu.global.b64 %flag_seen, [%flag_at];",
     "mov.b64 %flag_seen, %flag_key;", 0},
    {"no flag is set", "@%p_scratch st.release.gpu.global.b64 [%flag_at], %flag_key;", "", 0},
    {"a flag is set without a release", "st.release.gpu.global.b64", "st.global.b64", 0},
    {"a flag is set before all threads have stored",
     "bar.sync 0;\n    setp.eq.u32 %p_scratch, %thread, 0;\n    @%p_scratch st.release.gpu.global.b64 "
     "[%flag_at], %flag_key;",
     "setp.eq.u32 %p_scratch, %thread, 0;\n    @%p_scratch st.release.gpu.global.b64 [%flag_at], "
     "%flag_key;\n    bar.sync 0;",
     0},
    {"a part is stored once more when its flag is set", "[%flag_at], %flag_key;",
     "[%flag_at], %flag_key;\n    st.global.v4.f32 [%slot_at], {%acc0, %acc1, %acc2, %acc3};", 0},
    {"threads do not wait for the one that waits", "parts_are_here:\n    bar.sync 0;", "parts_are_here:", 0},
    {"a part is not added", "add.rn.f32 %acc5, %acc5, %part5;", "", 0},
    {"a part is left out", "@%p_scratch bra add_0;", "", 0},
    {"a segment begins at the wrong k-block", "mad.wide.u32 %w_base, %first_k_block, 64, %w_base;", "", 0},
    {"a segment does not end", "min.u32 %k, %k, %range_value;", "", 0},
};

/* A kernel whose slots hold lines: 3 stages, so the right wait is wait_group 0. */
static const Mutation lines_mutations[] = {
    {"the wait in the main loop too weak by one", "cp.async.wait_group 0;", "cp.async.wait_group 1;", 1},
    {"the wait before the main loop too weak by one", "cp.async.wait_group 0;", "cp.async.wait_group 1;", 0},
    {"fragments are never in the next slot", "selp.b32 %x_step_at, %x_slot_at, %x_next_at, %p;",
     "mov.b32 %x_step_at, %x_slot_at;", 3},
    {"the next slot does not turn round the ring", "add.s32 %w_next_at, %w_slot_at, %slot;",
     "add.s32 %w_next_at, %w_slot_at, 12288;", 0},
    {"fragments turn to the next slot a k-step late", "sub.s32 %w_frag_begin, 9,",
     "sub.s32 %w_frag_begin, 11,", 0},
    {"chunks stand as they do in the line", "and.b32 %x_chunk, %x_line, 7;", "mov.b32 %x_chunk, %x_part;", 0},
    {"lines begin where the rows do", "sub.s64 %w_base, %w_base, %w_row64;", "", 0},
    {"the end of k is taken for the line's", "mad.lo.s32 %x_left, %x_line, -8, %k_rest;",
     "mad.lo.s32 %x_left, %x_part, -8, %k_rest;", -1},
};

/* A kernel whose rows begin at any word. */
static const Mutation words_mutations[] = {
    {"the wait in the main loop too weak by one", "cp.async.wait_group 1;", "cp.async.wait_group 2;", 1},
    {"rows of x begin at chunks in a slot", "and.b32 %x_row_begin1, %x_row_begin1, 15;",
     "mov.b32 %x_row_begin1, 0;", 0},
    {"rows of W begin at chunks in a slot", "and.b32 %w_row_begin0, %w_row_begin0, 15;",
     "mov.b32 %w_row_begin0, 0;", 0},
    {"rows of x are not dealt", "mad.lo.s32 %x_row, %bits_scratch, 4, %x_row;",
     "mad.lo.s32 %x_row, %bits_scratch, 1, %x_row;", -1},
    {"rows of y that a turn copies are not dealt", "mad.lo.s32 %dealt_piece_row, %bits_scratch, 4, %dealt_piece_row;",
     "mad.lo.s32 %dealt_piece_row, %bits_scratch, 1, %dealt_piece_row;", -1},
    {"rows begin at chunks in memory", "and.b64 %wide_scratch, %x_ptr0, -16;",
     "mov.b64 %wide_scratch, %x_ptr0;", -1},
    {"the end of k is taken for a chunk's", "and.b32 %bits_scratch, %bits_scratch, 15;",
     "mov.b32 %bits_scratch, 0;", -1},
    {"a row has a chunk less", "rem.u32 %w_part, %thread, 9;", "rem.u32 %w_part, %thread, 8;", 0},
    {"both halves of a k-step are the first", "[%x_slot_at0+16];", "[%x_slot_at0];", -1},
};

/* A kernel whose rows begin at any element; those of W are dealt. */
static const Mutation halves_mutations[] = {
    {"rows of x begin at words", "and.b32 %x_half_bits0, %x_row_begin0, 2;", "mov.b32 %x_half_bits0, 0;", 0},
    {"every other row of W begins at a word", "and.b32 %w_half_bits1, %w_row_begin1, 2;",
     "mov.b32 %w_half_bits1, 0;", 0},
    {"rows of W begin inside words in a slot", "and.b32 %w_row_begin5, %w_row_begin5, -4;", "", 0},
    {"the rest of a word is not there", "shf.r.wrap.b32 %w_frag3, %w_frag3, %bits_scratch,",
     "shf.r.wrap.b32 %w_frag3, %w_frag3, %w_frag3,", 0},
    {"rows of W are not dealt", "mad.lo.s32 %w_row, %bits_scratch, 8, %w_row;",
     "mad.lo.s32 %w_row, %bits_scratch, 1, %w_row;", -1},
    {"columns of y are not dealt", "mul.lo.s32 %col, %col, 16;", "mul.lo.s32 %col, %col, 2;", -1},
};

static const Subject subjects[] = {
    {.config = "mma_sm80_f16_64x64x32_w2x2_s3",
     .sm = "89",
     .shapes = ODD_SHAPES,
     .mutations = mutations,
     .n_mutations = sizeof mutations / sizeof *mutations},
    {.config = "mma_sm80_f16_64x64x32_w2x2_s3_split",
     .sm = "89",
     .budget = "1000000",
     .shapes = {{67, 75, 700}, {40, 30, 2000}, {129, 127, 1300}},
     .mutations = split_mutations,
     .n_mutations = sizeof split_mutations / sizeof *split_mutations},
    {.config = "mma_sm80_f16_64x32x64_w2x2_s3_lines",
     .sm = "89",
     .shapes = {{67, 75, 504}, {129, 40, 200}, {64, 127, 72}},
     .mutations = lines_mutations,
     .n_mutations = sizeof lines_mutations / sizeof *lines_mutations},
    {.config = "mma_sm80_f16_64x32x64_w2x2_s3_vx4_vw4_vy2",
     .sm = "89",
     .shapes = {{67, 75, 502}, {129, 40, 202}, {64, 127, 74}},
     .mutations = words_mutations,
     .n_mutations = sizeof words_mutations / sizeof *words_mutations},
    {.config = "mma_sm80_f16_64x64x32_w4x1_s3_vx2_vw2_vy2",
     .sm = "89",
     .shapes = {{67, 75, 501}, {129, 40, 203}, {64, 127, 73}},
     .mutations = halves_mutations,
     .n_mutations = sizeof halves_mutations / sizeof *halves_mutations},
};

int main(void) { return test_subjects(subjects, sizeof subjects / sizeof *subjects); }
