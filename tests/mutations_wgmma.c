/* mutations_wgmma.c: faults in a kernel of the wgmma back end (mutations.h). */
#include "tests/mutations.h"

/* wgmma: two consumers in a cluster of two, three stages of 40960 bytes. */
static const Mutation mutations[] = {
    {"a consumer does not wait for a slot to be full", "@!%p bra wait_full_", "// @!%p bra wait_full_", 0},
    {"the producer does not wait for a slot to be empty", "@!%p bra wait_empty_", "// @!%p bra wait_empty_",
     0},
    {"the accumulators are read before wgmma is done", "wgmma.wait_group.sync.aligned 0;", "", 0},
    {"a slot is released before wgmma has read it", "wgmma.wait_group.sync.aligned 0;",
     "wgmma.wait_group.sync.aligned 1;", 0},
    {"wgmma without its fence", "wgmma.fence.sync.aligned;", "", 0},
    {"no proxy fence before TMA stores", "fence.proxy.async.shared::cta;", "", -1},
    {"a consumer does not wait for a buffer of y to be empty", "@!%p bra wait_out_", "// @!%p bra wait_out_",
     -1},
    {"the storing thread does not wait for a buffer of y", "@!%p bra wait_y_", "// @!%p bra wait_y_", -1},
    {"a buffer of y is given back before TMA has read it", "cp.async.bulk.wait_group.read 0;", "", -1},
    {"fewer bytes are expected than come", "%word_scratch0, 4096, %bytes_to_come;",
     "%word_scratch0, 4080, %bytes_to_come;", 0},
    {"a box behind the end is loaded", "setp.gt.s32 %p, %x_left, 32;", "setp.gt.s32 %p, %x_left, -999;", 0},
    {"a box before the end is not loaded", "setp.gt.s32 %p, %x_left, 32;", "setp.gt.s32 %p, %x_left, 64;", 0},
    {"the barriers are used before they are known", "barrier.cluster.wait.acquire.aligned;", "", 0},
    {"the producer does not wait for the other block's barriers", "barrier.cluster.wait.acquire.aligned;", "",
     1},
    {"a block leaves before the other is done with it", "@!%p bra wait_released_",
     "// @!%p bra wait_released_", -1},
    {"each block waits for its own consumers only", "+157208], 4;", "+157208], 2;", 0},
    {"x read from the wrong k-step", "add.s64 %x_step, %x_slot, 4;", "add.s64 %x_step, %x_slot, 2;", 0},
    {"y stored under another swizzle", "xor.b32 %stage_at1, %word_scratch3, 32;",
     "xor.b32 %stage_at1, %word_scratch3, 64;", 0},
    {"the bias is read before it is there", "bar.sync 1, 128;", "", 1},
    {"the bias is overwritten while it is read", "bar.sync 1, 128;", "", 0},
    {"y is handed over before the lanes have met", "bar.warp.sync 0xffffffff;", "", 0},
    {"the consumers do not wait for the kernel before", "griddepcontrol.wait;", "", 0},
    {"the producer does not wait for the kernel before", "griddepcontrol.wait;", "", 1},
    {"the threads that store do not wait for the kernel before", "griddepcontrol.wait;", "", 2},
};

/* Operands swapped, and two blocks that share k: each finishes 8 of 16 rows, and has 4096 bytes for the parts
 * of each. */
static const Mutation swapped_mutations[] = {
    {"a consumer does not wait for a slot to be full", "@!%p bra wait_full_", "// @!%p bra wait_full_", 0},
    {"the producer does not wait for a slot to be empty", "@!%p bra wait_empty_", "// @!%p bra wait_empty_",
     0},
    {"the accumulators are read before wgmma is done", "wgmma.wait_group.sync.aligned 0;", "", 0},
    {"a slot is released before wgmma has read it", "wgmma.wait_group.sync.aligned 1;",
     "wgmma.wait_group.sync.aligned 2;", 0},
    {"the slot at hand is released instead of the one before",
     "mad.lo.s32 %word_scratch1, %slot_before, 8, %empty_at;",
     "mad.lo.s32 %word_scratch1, %slot, 8, %empty_at;", 0},
    {"the barriers are used before they are known", "bar.sync 0;", "", 0},
    {"the initialisation of the barriers is not fenced", "fence.mbarrier_init.release.cluster;", "", 0},
    {"the blocks do not say that they have begun", "barrier.cluster.arrive.release.aligned;", "", 0},
    {"parts are added before they are there", "barrier.cluster.wait.acquire.aligned;\n    ld.shared",
     "ld.shared", 0},
    {"a part is added before it is written", "st.shared::cluster.v4.f32 [%word_scratch1]",
     "ld.shared.v4.f32 {%sums0, %sums1, %sums2, %sums3}, [%inbox];\n    st.shared::cluster.v4.f32 "
     "[%word_scratch1]",
     0},
    {"the parts of both blocks go to one", "mapa.shared::cluster.u32 %word_scratch1, %word_scratch0, 1;",
     "mapa.shared::cluster.u32 %word_scratch1, %word_scratch0, 0;", 0},
    {"the parts of both blocks go to one place", "mad.lo.s32 %word_scratch0, %cluster_rank, 4096, %inbox;",
     "mov.b32 %word_scratch0, %inbox;", 0},
    {"a part is not added", "add.rn.f32 %acc1, %sums1, %sums5;", "mov.f32 %acc1, %sums1;", 0},
    {"both blocks begin with the first k-block",
     "mad.lo.s32 %first_k_block, %word_scratch0, %cluster_rank, %first_k_block;", "", 0},
    {"a block leaves out its last k-block", "add.s32 %k_blocks, %word_scratch0, %word_scratch2;",
     "mov.b32 %k_blocks, %word_scratch0;", 0},
    {"W read from the wrong k-step", "add.s64 %w_step, %w_slot, 4;", "add.s64 %w_step, %w_slot, 2;", 0},
    {"a block finishes the rows of the other", "mad.lo.s32 %lane_row, %cluster_rank, 8, %lane_row;", "", 0},
    {"rows behind the end of y are stored", "setp.gt.s32 %p_rows1, %rows_left, 1;",
     "setp.gt.s32 %p_rows1, %rows_left, -99;", 0},
    {"columns behind the end of y are stored", "setp.gt.and.s32 %p_col, %cols_left, 8, %p_rows0;",
     "setp.gt.and.s32 %p_col, %cols_left, -99, %p_rows0;", 0},
    {"the bias of a column is left out", "[%wide_scratch+16];", "[%wide_scratch];", 0},
};

/* Two blocks that share k, not swapped: each finishes 64 of 128 columns, and the sums go to the rings. */
static const Mutation shared_mutations[] = {
    {"a sum is sent before the other block is done with its ring",
     "barrier.cluster.wait.acquire.aligned;\n    sub.s32 %inbox, %thread, 128;",
     "mapa.shared::cluster.u32 %inbox, %smem_base, 1;\n    st.shared::cluster.v4.f32 [%inbox], {%acc0, "
     "%acc1, "
     "%acc2, %acc3};\n    barrier.cluster.wait.acquire.aligned;\n    sub.s32 %inbox, %thread, 128;",
     0},
    {"sums are added before they are there", "barrier.cluster.wait.acquire.aligned;\n    ld.shared",
     "ld.shared", 0},
    {"a block sends to itself alone", "mapa.shared::cluster.u32 %word_scratch1, %word_scratch0, 1;",
     "mapa.shared::cluster.u32 %word_scratch1, %word_scratch0, 0;", 0},
    {"a sum is not added", "add.rn.f32 %acc5, %sums1, %sums5;", "mov.f32 %acc5, %sums1;", 0},
    {"both blocks take the first columns' bias", "mad.lo.s32 %col, %cluster_rank, 64, %col;", "", 0},
    {"both blocks store to the first columns", "mad.lo.s32 %col, %cluster_rank, 64, %col;", "", 1},
    {"no proxy fence before TMA stores", "fence.proxy.async.shared::cta;", "", -1},
};

/* Operands swapped, a cluster of 2x2, and y by TMA: shares of x are 20 rows, 2560 bytes, those of W 64. */
static const Mutation square_mutations[] = {
    {"the producer does not wait for a slot to be empty", "@!%p bra wait_empty_", "// @!%p bra wait_empty_",
     0},
    {"the barriers are used before they are known", "barrier.cluster.wait.acquire.aligned;", "", 0},
    {"the producer does not wait for the other blocks' barriers", "barrier.cluster.wait.acquire.aligned;", "",
     1},
    {"a block leaves before the others are done with it", "@!%p bra wait_released_",
     "// @!%p bra wait_released_", -1},
    {"a consumer tells one block fewer", "setp.lt.u32 %p_release, %consumer_thread, 4;",
     "setp.lt.u32 %p_release, %consumer_thread, 3;", 0},
    {"each block waits for its own consumers only", "], 8;", "], 2;", 0},
    {"x goes to the blocks that W goes to", "cvt.u16.u32 %x_mask", "mov.b16 %x_mask, 5; // ", 0},
    {"W goes to the blocks that x goes to", "cvt.u16.u32 %w_mask", "mov.b16 %w_mask, 3; // ", 0},
    {"the first boxes of shares behind the end are not expected", "%word_scratch1, 4096, %bytes_to_come;",
     "%word_scratch1, 0, %bytes_to_come;", 0},
    {"a block loads the other one's share of x", "mad.lo.s32 %x_origin, %rank_n, 20, %row0;",
     "mad.lo.s32 %x_origin, %rank_m, 20, %row0;", 0},
    {"no proxy fence before TMA stores", "fence.proxy.async.shared::cta;", "", -1},
    {"a consumer does not wait for a buffer of y to be empty", "@!%p bra wait_out_", "// @!%p bra wait_out_",
     -1},
    {"the storing thread does not wait for a buffer of y", "@!%p bra wait_y_", "// @!%p bra wait_y_", -1},
    {"y is not transposed", "m8n8.x4.trans.shared", "m8n8.x4.shared", 0},
    {"the last group of rows is not stored", "stmatrix.sync.aligned.m8n8.x2.trans", "// ", 0},
};

/* 128 rows a consumer, whose halves are out of step where tiles meet. */
static const Mutation skew_mutations[] = {
    {"half A is stored before it is done", "wgmma.wait_group.sync.aligned 1;", "", 0},
    {"half B is stored before it is done", "wgmma.wait_group.sync.aligned 0;", "", 2},
    {"the tile's end is begun before its slots are full", "@!%p bra wait_full_", "// @!%p bra wait_full_", 2},
    {"the next tile is begun before its slots are full", "@!%p bra wait_full_", "// @!%p bra wait_full_", 3},
    {"half A of the next tile adds to what was there before", "setp.ne.u32 %p_add, %consumer, %consumer;",
     "setp.ne.u32 %p_add, %consumer, -1;", 2},
    {"half B of a tile adds to what was there before", "setp.ne.u32 %p_add, %consumer, %consumer;",
     "setp.ne.u32 %p_add, %consumer, -1;", 1},
    {"half B reads the rows of half A", "add.s64 %x_step, %x_slot, 512;", "add.s64 %x_step, %x_slot, 0;", 2},
    {"the first k-block is multiplied again", "mov.b32 %k_block, 1;", "mov.b32 %k_block, 0;", 0},
    {"the last k-block is multiplied in step, too", "sub.s32 %k_blocks_in_step, %k_blocks, 1;",
     "sub.s32 %k_blocks_in_step, %k_blocks, 0;", 0},
};

/* Swapped operands, and y that warps copy from the buffer. */
static const Mutation copied_mutations[] = {
    {"rows are copied before all columns are there", "bar.sync 1, 128;", "", 0},
    {"a chunk is written before the one before is copied", "bar.sync 1, 128;", "", 1},
    {"a warp copies the rows of the first", "mad.lo.s32 %piece_row, %word_scratch0, 10, %piece_row;", "", 0},
    {"the second half of a row is the first one", "xor.b32 %piece_at, %piece_at, 64;", "", 0},
    {"columns behind the end of y are stored", "sub.s32 %cols_left, %n, %word_scratch1;",
     "mov.b32 %cols_left, 64;", -1},
    {"rows behind the end of y are stored", "setp.gt.s32 %p_row, %rows_left, 0;",
     "setp.gt.s32 %p_row, %rows_left, -9;", 0},
    {"the rows of a turn are the ones before", "sub.s32 %rows_left, %rows_left, 1;", "", 0},
    {"y does not move on", "mad.lo.s64 %y_at, %y_pitch, 1, %y_at;", "", 0},
};

/* A column-major W that blocks share. */
static const Mutation column_mutations[] = {
    {"the rank in W's address gets into its descriptor", "and.b32 %part_n, %part_n, 262143;", "", 0},
    {"a block loads the other one's columns", "mad.lo.s32 %w_origin, %cluster_rank, 64, %col0;",
     "mov.b32 %w_origin, %col0;", 0},
    {"its columns go where the other one's belong", "mul.lo.s32 %w_share, %cluster_rank, 8192;",
     "mov.b32 %w_share, 0;", 0},
};

/* x in f32, read by each warp for itself; two blocks load shares of it. */
static const Mutation converting_mutations[] = {
    {"a consumer does not wait for its first slot", "@!%p bra wait_full_", "// @!%p bra wait_full_", 0},
    {"nor for the next ones", "@!%p bra wait_full_", "// @!%p bra wait_full_", 1},
    {"x is read into registers that are being multiplied", "wgmma.wait_group.sync.aligned 1;", "", 0},
    {"a slot is released before wgmma has read it", "wgmma.wait_group.sync.aligned 0;",
     "wgmma.wait_group.sync.aligned 1;", 0},
    {"the accumulators are read before wgmma is done", "wgmma.wait_group.sync.aligned 0;",
     "wgmma.wait_group.sync.aligned 1;", 1},
    {"wgmma without the fence behind x's registers", "wgmma.fence.sync.aligned;", "", 1},
    {"one warp of a consumer is enough to release a slot", "], 16;", "], 4;", 0},
    {"odd rows do not exchange their k-steps", "selp.b32 %x_fragment0, %x_word1, %x_word0, %p_odd_row;",
     "mov.b32 %x_fragment0, %x_word0;", 0},
    {"a lane reads a chunk that is another one's", "xor.b32 %x_read1, %word_scratch3, 32;",
     "xor.b32 %x_read1, %word_scratch3, 64;", 0},
    {"all warps read the rows of the first", "mad.lo.s32 %word_scratch0, %word_scratch3, 16, %word_scratch0;",
     "", 0},
    {"both consumers read the rows of the first",
     "mad.lo.s32 %word_scratch0, %word_scratch0, 8192, %smem_base;", "mov.b32 %word_scratch0, %smem_base;",
     0},
    {"x from the slot before", "mad.lo.s32 %x_at2, %slot, 40960, %x_read2;", "mov.b32 %x_at2, %x_read2;", 1},
    {"W from the wrong k-step", "add.s64 %w_step, %w_slot, 4;", "add.s64 %w_step, %w_slot, 2;", 0},
};

/* x in f32, rounded into shared memory; a slot is 12288 bytes. */
static const Mutation rounding_mutations[] = {
    {"x is read before it is there", "@!%p bra wait_full_", "// @!%p bra wait_full_", 0},
    {"what is rounded is not fenced", "fence.proxy.async.shared::cta;", "", 0},
    {"wgmma begins before all threads have rounded", "bar.sync 1, 128;", "", 0},
    {"x is rounded over what is being multiplied", "wgmma.wait_group.sync.aligned 0;",
     "wgmma.wait_group.sync.aligned 1;", 0},
    {"x from the slot before", "mad.lo.s32 %word_scratch0, %slot, 12288, %x_from;",
     "mov.b32 %word_scratch0, %x_from;", 0},
    {"upper lanes do not exchange their halves", "selp.b32 %x_word0, %x_word6, %x_word4, %p_upper;",
     "mov.b32 %x_word0, %x_word4;", 0},
    {"the other chunk is the same one", "xor.b32 %word_scratch1, %word_scratch0, 16;",
     "mov.b32 %word_scratch1, %word_scratch0;", 0},
    {"rows are written without their swizzle", "xor.b32 %x_to, %x_to, %word_scratch1;",
     "mov.b32 %x_to, %word_scratch1;", 0},
};

/* Operands swapped, and two consumers of 40 rows of W, where wgmma reads 64. */
static const Mutation part_mutations[] = {
    {"a consumer stores columns of the other", "min.s32 %cols_left, %cols_left, %word_scratch0;", "", 0},
    {"the second consumer has no columns", "mad.lo.s32 %word_scratch0, %consumer, 40, %word_scratch0;", "",
     0},
};

/* Tiles of 128, 112 and 96 columns: of 384 columns three, or where there is room four a row. */
static const Mutation even_mutations[] = {
    {"a whole tile is not multiplied", "setp.ne.u32 %p, %lacks, 0;", "setp.ne.u32 %p, %lacks, 16;", 0},
    {"a narrower tile is not multiplied", "setp.ne.u32 %p, %lacks, 32;", "setp.ne.u32 %p, %lacks, 48;", 0},
    {"its last chunk is stored where a whole one's is", "sub.s32 %corner0, %corner0, %lacks;", "", 0},
    {"its last chunk's words stay where they are", "setp.ne.u32 %p, %lacks, 32;",
     "setp.ne.u32 %p, %lacks, 48;", 1},
    {"in front of them are others than the chunk before has", "mov.b32 %kept7, %packed15;",
     "mov.b32 %kept7, %packed14;", 0},
    {"no row has a tile more, but narrower ones", "selp.b32 %part_columns, 0, 1, %p;",
     "mov.b32 %part_columns, 0;", 0},
    {"rows with a tile more, which is not counted", "add.s32 %tiles, %tiles, %more_rows;", "", 0},
    {"the other rows begin with the first", "selp.b32 %part_group, %more_groups, 0, %p;",
     "mov.b32 %part_group, 0;", 0},
    {"the other rows go on with the first ones' tiles", "sub.s32 %part_tile, %tile, %word_scratch0;",
     "mov.b32 %part_tile, %tile;", -1},
    {"wider tiles do not move on the next ones", "mad.lo.s32 %col0, %word_scratch2, 16, %col0;", "", 0},
    {"wider tiles are as narrow as the others", "@%p sub.s32 %lacks, %lacks, 16;", "", 0},
    {"L2's policy for the last wave is not there", "createpolicy.fractional.L2::evict_first.b64", "// ", 1},
};

/* Boxes of 32 rows of x: of 70 rows the third one begins at row 38, of 96 there are three anyway. */
static const Mutation end_mutations[] = {
    {"the last box ends before the last row", "sub.s32 %x_rest, %x_left, 32;",
     "sub.s32 %x_rest, %x_left, 33;", -1},
    {"its rows come to other places", "mad.lo.s32 %word_scratch0, %x_rest, 128, %slot_at;",
     "mad.lo.s32 %word_scratch0, %x_rest, 0, %slot_at;", 0},
    {"other rows come to its places", "add.s32 %word_scratch3, %row0, %x_rest;",
     "add.s32 %word_scratch3, %row0, 0;", 0},
    {"it comes once more where boxes end anyway", "@%p mov.b32 %x_rest, -1;", "", 0},
    {"it comes to whole tiles, too", "@%p mov.b32 %x_rest, -1;", "", 1},
    {"it is left out", "setp.ge.s32 %p, %x_rest, 0;", "setp.ge.s32 %p, %x_rest, 9999;", 0},
    {"so is the one before", "setp.gt.s32 %p, %x_left, 63;", "setp.gt.s32 %p, %x_left, 70;", 0},
};

static const Subject subjects[] = {
    {.config = "wgmma_sm90a_f16_128x192x64_w2x1_s3_cm2",
     .sm = "90",
     .shapes = ODD_SHAPES,
     .mutations = mutations,
     .n_mutations = sizeof mutations / sizeof *mutations},
    {.config = "wgmma_sm90a_f16_16x128x64_w1x2_s3_ck2_swap",
     .sm = "90",
     .shapes = {{13, 75, 260}, {16, 129, 650}, {37, 200, 64}},
     .mutations = swapped_mutations,
     .n_mutations = sizeof swapped_mutations / sizeof *swapped_mutations},
    {.config = "wgmma_sm90a_f16_64x128x64_w1x1_s9_ck2",
     .sm = "90",
     .shapes = {{13, 72, 260}, {64, 128, 650}, {37, 200, 1300}},
     .mutations = shared_mutations,
     .n_mutations = sizeof shared_mutations / sizeof *shared_mutations},
    {.config = "wgmma_sm90a_f16_16x80x64_w1x2_s3_swap",
     .sm = "90",
     .shapes = {{13, 75, 260}, {16, 129, 650}, {37, 200, 64}},
     .mutations = part_mutations,
     .n_mutations = sizeof part_mutations / sizeof *part_mutations},
    {.config = "wgmma_sm90a_f16_40x128x64_w1x2_s3_cm2_cn2_swap",
     .sm = "90",
     .shapes = {{37, 72, 260}, {100, 136, 650}, {300, 200, 64}},
     .mutations = square_mutations,
     .n_mutations = sizeof square_mutations / sizeof *square_mutations},
    {.config = "wgmma_sm90a_f16_64x128x64_w1x1_s3_wcol_cm2",
     .sm = "90",
     .budget = "4000000",
     .shapes = {{100, 136, 260}, {129, 264, 130}, {300, 200, 64}},
     .mutations = column_mutations,
     .n_mutations = sizeof column_mutations / sizeof *column_mutations},
    {.config = "wgmma_sm90a_f16_40x128x64_w1x1_s3_vy2_swap",
     .sm = "90",
     .shapes = {{37, 75, 260}, {100, 133, 650}, {300, 201, 64}},
     .mutations = copied_mutations,
     .n_mutations = sizeof copied_mutations / sizeof *copied_mutations},
    {.config = "wgmma_sm90a_f16_256x64x64_w2x1_s3_k1",
     .sm = "90",
     .budget = "4000000",
     .shapes = {{300, 520, 260}, {700, 136, 130}, {1000, 264, 64}},
     .mutations = skew_mutations,
     .n_mutations = sizeof skew_mutations / sizeof *skew_mutations},
    {.config = "wgmma_sm90a_f16_64x128x64_w1x1_s3_g1_even2_last",
     .sm = "90",
     .budget = "4000000",
     .shapes = {{260, 384, 130}, {200, 400, 64}, {300, 264, 260}},
     .mutations = even_mutations,
     .n_mutations = sizeof even_mutations / sizeof *even_mutations},
    {.config = "wgmma_sm90a_f16_128x64x64_w2x1_s3_ends",
     .sm = "90",
     .shapes = {{70, 72, 260}, {96, 136, 130}, {300, 200, 64}},
     .mutations = end_mutations,
     .n_mutations = sizeof end_mutations / sizeof *end_mutations},
    {.config = "wgmma_sm90a_f16_16x64x64_w1x1_s3_xf32_swap",
     .sm = "90",
     .budget = "4000000",
     .shapes = {{13, 75, 260}, {16, 129, 650}, {37, 200, 64}},
     .mutations = rounding_mutations,
     .n_mutations = sizeof rounding_mutations / sizeof *rounding_mutations},
    {.config = "wgmma_sm90a_f16_128x64x64_w2x1_s3_xf32_cn2",
     .sm = "90",
     .budget = "4000000",
     .shapes = ODD_SHAPES,
     .mutations = converting_mutations,
     .n_mutations = sizeof converting_mutations / sizeof *converting_mutations},
};

int main(void)
{
    setenv("TILESMITH_EMU_SMS", "6", 0); /* so that blocks have several tiles of these small shapes */
    return test_subjects(subjects, sizeof subjects / sizeof *subjects);
}
