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
    {"fewer bytes are expected than come", ", 40960;", ", 40944;", 0},
    {"the barriers are used before they are known", "barrier.cluster.wait.acquire.aligned;", "", 0},
    {"the last barrier of the cluster removed", "barrier.cluster.wait.acquire.aligned;", "", 1},
    {"each block waits for its own consumers only", "+157208], 4;", "+157208], 2;", 0},
    {"x read from the wrong k-step", "add.s64 %x_step, %x_slot, 4;", "add.s64 %x_step, %x_slot, 2;", 0},
    {"y stored under another swizzle", "xor.b32 %stage_at1, %word_scratch3, 32;",
     "xor.b32 %stage_at1, %word_scratch3, 64;", 0},
    {"the bias is read before it is there", "bar.sync 1, 128;", "", 1},
    {"the bias is overwritten while it is read", "bar.sync 1, 128;", "", 0},
};

int main(void)
{
    static const Subject subject = {.config = "wgmma_sm90a_f16_128x192x64_w2x1_s3_cm2",
                                    .sm = "90",
                                    .shapes = ODD_SHAPES,
                                    .mutations = mutations,
                                    .n_mutations = sizeof mutations / sizeof *mutations};
    return test_subjects(&subject, 1);
}
