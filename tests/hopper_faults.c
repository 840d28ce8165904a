/* hopper_faults.c: what can go wrong with mbarriers, clusters, TMA and wgmma traps, at the right line and
 * with the right sentence; and what is right does not. As emu_faults.c, for a device of sm_90.
 *
 * The line marked with '!' must trap. Launches are of one cluster, of one block or two.
 */
#include "tests/emu_driver.h"
#include "tests/tap.h"

#include <string.h>

enum { SUCCESS, INVALID_VALUE, NOT_SUPPORTED = 801, INVALID_CLUSTER = 912 };
enum { CLUSTER_DIMENSION = 4, SERIALIZATION = 6, REQUIRED_CLUSTER_WIDTH = 11 };
enum { ILLEGAL_ADDRESS = 700, MISALIGNED = 716, LAUNCH_FAILED = 719 };
enum { F16 = 6, U32 = 2, SWIZZLE_128 = 3, BUFFER = 4096, SHARED = 8192 };

static Driver d;
static const char *(*last_trap)(void);

/* %map is a map of 32 x 32 words in the buffer `in` (boxes of 32 x 8), %map_out the same of `out`; %smem the
 * array, 2048 bytes of data and then mbarriers; %bar the first of them, made by READY for 1 arrival. */
static const char prologue[] =
    ".version 8.0\n.target sm_90a\n.address_size 64\n\n.extern .shared .align 1024 .b8 smem[];\n\n"
    ".visible .entry fault(\n    .param .align 64 .b8 map_in[128],\n    .param .align 64 .b8 map_out[128],\n"
    "    .param .u64 in\n)\n%s{\n"
    "    .reg .b32 %%thread, %%warp, %%smem, %%bar, %%far, %%rank, %%r, %%q, %%c<2>, %%w<4>;\n"
    "    .reg .b16 %%mask;\n    .reg .b64 %%map, %%map_out, %%in, %%desc, %%desc2;\n"
    "    .reg .f32 %%a<4>, %%x;\n    .reg .pred %%p, %%q0, %%one, %%all, %%none;\n"
    "    mov.u32 %%thread, %%tid.x;\n    shr.u32 %%warp, %%thread, 5;\n    mov.u32 %%smem, smem;\n"
    "    add.s32 %%bar, %%smem, 4096;\n    mov.u32 %%rank, %%cluster_ctarank;\n    mov.b32 %%c0, 0;\n"
    "    mov.b32 %%c1, 0;\n    mov.b32 %%r, 0;\n    mov.b16 %%mask, 3;\n"
    "    mov.b64 %%map, map_in;\n    cvta.param.u64 %%map, %%map;\n    mov.b64 %%map_out, map_out;\n"
    "    cvta.param.u64 %%map_out, %%map_out;\n    ld.param.b64 %%in, [in];\n"
    "    setp.eq.u32 %%one, %%thread, 0;\n    setp.eq.u32 %%all, %%thread, %%thread;\n"
    "    setp.ne.u32 %%none, %%thread, %%thread;\n"
    "    shr.u32 %%q, %%smem, 4;\n    cvt.u64.u32 %%desc, %%q;\n    add.s64 %%desc, %%desc, 0x1000080000;\n";

#define READY                                                                                                \
    "@%one mbarrier.init.shared::cta.b64 [%bar], 1;\n@%one fence.mbarrier_init.release.cluster;\n"           \
    "bar.sync 0;\n" CLUSTER
#define CLUSTER "barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;\n"
#define LOAD                                                                                                 \
    "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%smem], [%map, {%c0, "     \
    "%c1}], [%bar];\n"
#define MULTICAST                                                                                            \
    "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "        \
    "[%smem], [%map, {%c0, %c1}], [%bar], %mask;\n"
#define STORE      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%map_out, {%c0, %c1}], [%smem];\n"
#define EXPECT     "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 1024;\n"
#define EXPECT_TWO "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 2048;\n"
/* Rows 3 to 10, where LOAD has rows 0 to 7. */
#define ROW_3 "mov.b32 %c1, 3;\n"
#define LOAD_ROW_3(behind, barrier)                                                                          \
    "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%smem+" behind             \
    "], [%map, {%c0, %c1}], [" barrier "];\n"
#define ZEROS                                                                                                \
    "mov.f32 %a0, 0f00000000;\nmov.f32 %a1, 0f00000000;\nmov.f32 %a2, 0f00000000;\nmov.f32 %a3, "            \
    "0f00000000;\n"
#define FAR_STORE   "st.shared::cluster.v4.f32 [%far], {%a0, %a1, %a2, %a3};\n"
#define WAIT(label) label ":\nmbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], %r;\n@!%p bra " label ";\n"
#define FILL        "mad.lo.s32 %q, %thread, 16, %smem;\nst.shared.v4.b32 [%q], {%w0, %w1, %w2, %w3};\n"
#define WGMMA                                                                                                \
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%a0, %a1, %a2, %a3}, %desc, %desc, %none, 1, 1, 0, " \
    "0;\n"
#define WGMMA_A                                                                                              \
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%a0, %a1, %a2, %a3}, {%w0, %w1, %w2, %w3}, %desc, "  \
    "%none, 1, 1, 0;\n"
#define WORDS      "mov.b32 %w0, 1;\nmov.b32 %w1, 1;\nmov.b32 %w2, 1;\nmov.b32 %w3, 1;\n"
#define WAIT_WGMMA "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n"
#define OPERANDS   WORDS FILL "fence.proxy.async.shared::cta;\nbar.sync 0;\nwgmma.fence.sync.aligned;\n"

typedef struct Fault {
    const char *what, *body;
    int threads, cluster, error;
    const char *sentence; /* a part of it; NULL: no trap */
} Fault;

static const Fault faults[] = {
    /* mbarriers */
    {"a load, waited for", READY "@!%one bra W;\n" EXPECT LOAD WAIT("W") "ld.shared.b32 %q, [%smem];\n", 64,
     1, SUCCESS, NULL},
    {"a barrier that was never made", "! mbarrier.arrive.shared::cta.b64 _, [%bar];\n", 32, 1, LAUNCH_FAILED,
     "no initialised mbarrier at byte 4096"},
    {"a barrier at an odd place", "add.s32 %bar, %bar, 4;\n! mbarrier.init.shared::cta.b64 [%bar], 1;\n", 1,
     1, MISALIGNED, "not a multiple of 8"},
    {"a barrier behind the array", "! mbarrier.init.shared::cta.b64 [%bar+4096], 1;\n", 1, 1, ILLEGAL_ADDRESS,
     "8 B behind the end"},
    {"a barrier for nobody", "! mbarrier.init.shared::cta.b64 [%bar], 0;\n", 1, 1, LAUNCH_FAILED,
     "cannot wait for 0 arrivals"},
    {"a barrier made twice",
     "mbarrier.init.shared::cta.b64 [%bar], 1;\n! mbarrier.init.shared::cta.b64 [%bar], 1;\n", 1, 1,
     LAUNCH_FAILED, "belongs to the mbarrier of line"},
    {"a barrier used without knowing of its making",
     "@%one mbarrier.init.shared::cta.b64 [%bar], 64;\nLOOP:\nadd.s32 %r, %r, 1;\nsetp.lt.u32 %p, %r, "
     "999;\n@%p "
     "bra LOOP;\nsetp.ge.u32 %p, %thread, 32;\n! @%p mbarrier.arrive.shared::cta.b64 _, [%bar];\n",
     64, 1, LAUNCH_FAILED, "mbarrier"},
    {"a store over a barrier", READY "! @%one st.shared.b32 [%bar+4], %r;\n", 32, 1, LAUNCH_FAILED,
     "belongs to the mbarrier"},
    {"an arrival too many",
     "@%one mbarrier.init.shared::cta.b64 [%bar], 1;\nbar.sync 0;\n@%one "
     "mbarrier.arrive.expect_tx.shared::cta.b64 _, "
     "[%bar], 16;\n! @%one mbarrier.arrive.shared::cta.b64 _, [%bar];\n",
     32, 1, LAUNCH_FAILED, "all 1 arrivals of phase 0"},
    {"more bytes than a barrier counts",
     READY "! @%one mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 1048576;\n", 32, 1, LAUNCH_FAILED,
     "it can count 1048575"},
    {"a parity that is none",
     READY "mov.b32 %r, 2;\nW:\n! mbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], %r;\n", 32, 1,
     LAUNCH_FAILED, "a parity is 0 or 1"},
    {"a wait that nobody ends",
     READY "W:\n! mbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], %r;\n@!%p bra W;\n", 64, 1,
     LAUNCH_FAILED, "warp 0 at line"},
    {"a try_wait that is a question only",
     READY
     "mbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], %r;\n@%one mbarrier.arrive.shared::cta.b64 _, "
     "[%bar];\n" WAIT("W"),
     64, 1, SUCCESS, NULL},
    {"data handed over by a barrier",
     READY "setp.ge.u32 %p, %thread, 32;\n@%p bra W;\n@%one st.shared.b32 [%smem], %r;\nbar.warp.sync "
           "0xffffffff;\n@%one "
           "mbarrier.arrive.shared::cta.b64 _, [%bar];\nret;\n" WAIT("W") "ld.shared.b32 %q, [%smem];\n",
     64, 1, SUCCESS, NULL},

    {"data handed over before its lanes have met",
     READY
     "setp.ge.u32 %p, %thread, 32;\n@%p bra W;\nmad.lo.s32 %q, %thread, 4, %smem;\nst.shared.b32 [%q], %r;\n"
     "@%one mbarrier.arrive.shared::cta.b64 _, [%bar];\nret;\n" WAIT("W") "! ld.shared.b32 %q, [%smem+4];\n",
     64, 1, LAUNCH_FAILED, "with no barrier between"},
    {"an mbarrier that another lane made",
     "@%one mbarrier.init.shared::cta.b64 [%bar], 1;\n@!%one bra W;\nret;\nW:\n"
     "! mbarrier.arrive.shared::cta.b64 _, [%bar];\n",
     32, 1, LAUNCH_FAILED, "was initialised by thread 0"},
    {"an mbarrier that another lane fenced",
     "@%one mbarrier.init.shared::cta.b64 [%bar], 1;\n"
     "@!%one fence.mbarrier_init.release.cluster;\nbar.sync 0;\n@%one " EXPECT "! @%one " LOAD,
     32, 1, LAUNCH_FAILED, "not known to be visible to copies"},

    /* named barriers */
    {"a barrier for half a warp", "! bar.sync 1, 48;\n", 64, 1, LAUNCH_FAILED, "not a multiple of 32"},
    {"a barrier for more than there are", "! bar.sync 1, 128;\n", 64, 1, LAUNCH_FAILED, "the block has 64"},
    {"two opinions of a barrier",
     "setp.ge.u32 %p, %thread, 64;\n@%p bra B;\nbar.arrive 1, 96;\nbar.sync 2, 128;\nret;\nB:\n"
     "bar.arrive 2, 128;\nsetp.ge.u32 %p, %thread, 96;\n@%p bra C;\nret;\nC:\nbar.sync 1, 128;\n",
     128, 1, LAUNCH_FAILED, "threads here, for"},
    {"two arrivals of a warp",
     "setp.ge.u32 %p, %thread, 32;\n@%p bra E;\nbar.arrive 1, 64;\n! bar.arrive 1, 64;\nE:\n", 64, 1,
     LAUNCH_FAILED, "has arrived at barrier 1 already"},

    /* the kernel before */
    {"a store behind the wait for the kernel before",
     "griddepcontrol.wait;\n@%one st.global.b32 [%in], %r;\n", 32, 1, SUCCESS, NULL},
    {"a store before it", "! @%one st.global.b32 [%in], %r;\ngriddepcontrol.wait;\n", 32, 1, LAUNCH_FAILED,
     "the kernel before may still run"},
    {"L2 asked before it", "@%one prefetch.global.L2 [%in];\ngriddepcontrol.wait;\n", 32, 1, SUCCESS, NULL},
    {"a store by a warp that does not wait, as the other does",
     "setp.ge.u32 %p, %thread, 32;\n@%p bra S;\ngriddepcontrol.wait;\nret;\nS:\n! @%p st.global.b32 [%in], "
     "%r;\n",
     64, 1, LAUNCH_FAILED, "has not met griddepcontrol.wait"},

    /* clusters */
    {"a cluster barrier that one block leaves out",
     "setp.eq.u32 %p, %rank, 1;\n@%p bra W;\nbarrier.cluster.arrive.release.aligned;\n"
     "barrier.cluster.wait.acquire.aligned;\nret;\nW:\n@%one mbarrier.init.shared::cta.b64 [%bar], 1;\n"
     "bar.sync 0;\nV:\nmbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], %r;\n@!%p bra V;\n",
     32, 2, LAUNCH_FAILED, "every warp waits"},
    {"two arrivals at the cluster barrier",
     "barrier.cluster.arrive.release.aligned;\n! barrier.cluster.arrive.release.aligned;\n", 32, 2,
     LAUNCH_FAILED, "has not waited since"},
    {"a wait without an arrival", "! barrier.cluster.wait.acquire.aligned;\n", 32, 1, LAUNCH_FAILED,
     "without having arrived"},
    {"a block that there is not", "! mapa.shared::cluster.u32 %far, %bar, 2;\n", 32, 2, ILLEGAL_ADDRESS,
     "no block 2 in a cluster of 2"},
    {"another block's address taken for an own one",
     "xor.b32 %q, %rank, 1;\nmapa.shared::cluster.u32 %far, %smem, %q;\n! st.shared.b32 [%far], %r;\n", 32, 2,
     ILLEGAL_ADDRESS, "of the cluster's window"},
    {"an arrival at a barrier that is not known to be made",
     "@%one mbarrier.init.shared::cta.b64 [%bar], 2;\nxor.b32 %q, %rank, 1;\nmapa.shared::cluster.u32 %far, "
     "%bar, %q;\n"
     "! @%one mbarrier.arrive.shared::cluster.b64 _, [%far];\n",
     32, 2, LAUNCH_FAILED, "mbarrier"},
    {"an arrival in a block that does not wait for it",
     READY "setp.eq.u32 %p, %rank, 0;\nmapa.shared::cluster.u32 %far, %bar, 1;\nand.pred %p, %p, %one;\n"
           "@%p mbarrier.arrive.shared::cluster.b64 _, [%far];\n",
     32, 2, LAUNCH_FAILED, "end"},
    {"a store to another block, behind barriers",
     READY ZEROS "xor.b32 %q, %rank, 1;\nmapa.shared::cluster.u32 %far, %smem, %q;\n@%one " FAR_STORE CLUSTER
                 "ld.shared.b32 %q, [%smem];\n",
     64, 2, SUCCESS, NULL},
    {"a store to a block that may not have begun",
     ZEROS "xor.b32 %q, %rank, 1;\nmapa.shared::cluster.u32 %far, %smem, %q;\n! @%one " FAR_STORE CLUSTER, 32,
     2, LAUNCH_FAILED, "may not have begun"},
    {"a store from another block, read without a barrier",
     CLUSTER ZEROS
     "mapa.shared::cluster.u32 %far, %smem, 1;\nsetp.eq.u32 %p, %rank, 0;\nand.pred %p, %p, %one;\n"
     "@%p " FAR_STORE "ld.shared.b32 %q, [%smem];\n" CLUSTER,
     32, 2, LAUNCH_FAILED, "with no barrier between"},
    {"a store in a block that does not wait for it",
     CLUSTER ZEROS
     "mapa.shared::cluster.u32 %far, %smem, 1;\nsetp.eq.u32 %p, %rank, 0;\nand.pred %p, %p, %one;\n"
     "@%p " FAR_STORE,
     32, 2, LAUNCH_FAILED, "end"},
    {"a store to another block behind the end of the array",
     CLUSTER ZEROS
     "mapa.shared::cluster.u32 %far, %smem, 1;\nadd.s32 %far, %far, 8192;\n! " FAR_STORE CLUSTER,
     32, 2, ILLEGAL_ADDRESS, "16 B behind the end"},

    /* TMA */
    {"reading a load before any wait", READY "@%one " EXPECT "@%one " LOAD "! ld.shared.b32 %q, [%smem];\n",
     32, 1, LAUNCH_FAILED, "smem"},
    {"a load over what is being read",
     READY "ld.shared.b32 %q, [%smem];\nsetp.eq.u32 %p, %thread, 32;\n@%p " EXPECT "! @%p " LOAD WAIT("W"),
     64, 1, LAUNCH_FAILED, "smem"},
    {"a load whose place is not aligned", READY "add.s32 %smem, %smem, 64;\n! @%one " LOAD, 32, 1, MISALIGNED,
     "not a multiple of 128"},
    {"a load across the end of the array", READY "add.s32 %smem, %smem, 7296;\n! @%one " LOAD, 32, 1,
     ILLEGAL_ADDRESS, "128 B behind the end"},
    {"a load into what a warp wrote, without a proxy fence",
     READY "@%one st.shared.b32 [%smem], %r;\n! @%one " LOAD, 32, 1, LAUNCH_FAILED, "no fence.proxy.async"},
    {"a map that is none", READY "add.s64 %map, %in, 0;\n! @%one " LOAD, 32, 1, LAUNCH_FAILED,
     "no tensor map"},
    {"a prefetch by a map that is none",
     "add.s64 %map, %in, 0;\n! @%one cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%map, {%c0, %c1}];\n",
     32, 1, LAUNCH_FAILED, "no tensor map"},
    {"a prefetch, which nobody waits for",
     "@%one cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%map, {%c0, %c1}];\n", 32, 1, SUCCESS, NULL},
    {"a map by its parameter's address", READY "mov.b64 %map, map_in;\n! @%one " LOAD, 32, 1, ILLEGAL_ADDRESS,
     "not a device address"},
    {"a load that nobody waits for", READY "@!%one bra E;\n" EXPECT LOAD "E:\n", 32, 1, LAUNCH_FAILED,
     "block ends"},
    {"a load with a policy that is none",
     READY
     "! @%one cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
     "[%smem], "
     "[%map, {%c0, %c1}], [%bar], %in;\n",
     32, 1, LAUNCH_FAILED, "no cache policy"},
    {"two loads to one place", READY "@!%one bra E;\n" EXPECT LOAD "mov.b32 %c1, 8;\n! " LOAD "E:\n", 32, 1,
     LAUNCH_FAILED, "loads to byte 0"},
    {"two loads that bring the same rows, in part",
     READY "@!%one bra W;\n" EXPECT_TWO LOAD ROW_3 LOAD_ROW_3("384", "%bar")
         WAIT("W") "ld.shared.b32 %q, [%smem+1400];\n",
     64, 1, SUCCESS, NULL},
    {"two loads that bring other rows, in part",
     READY "@!%one bra E;\n" EXPECT_TWO LOAD ROW_3 "! " LOAD_ROW_3("256", "%bar") "E:\n", 32, 1,
     LAUNCH_FAILED, "loads to byte 256"},
    {"two loads that bring the same rows, and other mbarriers count them",
     "@%one mbarrier.init.shared::cta.b64 [%bar+8], 1;\n" READY "@!%one bra E;\n" EXPECT
     "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar+8], 1024;\n" LOAD ROW_3
     "! " LOAD_ROW_3("384", "%bar+8") "E:\n",
     32, 1, LAUNCH_FAILED, "loads to byte 384"},
    {"an mbarrier whose making was not fenced",
     "@%one mbarrier.init.shared::cta.b64 [%bar], 1;\n" CLUSTER "! @%one " LOAD, 32, 1, LAUNCH_FAILED,
     "fence.mbarrier_init"},
    {"the box in one block, the mbarrier in another",
     READY "mapa.shared::cluster.u32 %smem, %smem, 1;\nsetp.eq.u32 %p, %rank, 0;\nand.pred %p, %p, %one;\n! "
           "@%p " LOAD CLUSTER,
     32, 2, LAUNCH_FAILED, "the box goes to block 1"},
    {"a multicast, waited for by both",
     READY "@%one " EXPECT "setp.eq.u32 %p, %rank, 0;\nand.pred %p, %p, %one;\n@%p " MULTICAST WAIT(
         "W") "ld.shared.b32 %q, [%smem];\n" CLUSTER,
     64, 2, SUCCESS, NULL},
    {"a multicast to blocks that there are not", READY "! @%one " MULTICAST, 32, 1, ILLEGAL_ADDRESS,
     "the mask 0x3"},
    {"a store of what was not fenced", WORDS FILL "bar.sync 0;\n! @%one " STORE, 64, 1, LAUNCH_FAILED,
     "no fence.proxy.async"},
    {"a store of what another warp writes, without a barrier",
     WORDS FILL "fence.proxy.async.shared::cta;\n@%one " STORE "@%one cp.async.bulk.commit_group;\n@%one "
                "cp.async.bulk.wait_group.read 0;\n",
     64, 1, LAUNCH_FAILED, "smem"},
    {"a write to what a store reads",
     WORDS FILL "fence.proxy.async.shared::cta;\nbar.sync 0;\n@%one " STORE
                "@%one cp.async.bulk.commit_group;\n"
                "! st.shared.b32 [%smem+1020], %r;\n",
     1, 1, LAUNCH_FAILED, "which a TMA store reads"},
    {"a write behind the wait for a store",
     WORDS FILL "fence.proxy.async.shared::cta;\nbar.sync 0;\n@%one " STORE
                "@%one cp.async.bulk.commit_group;\n"
                "@%one cp.async.bulk.wait_group.read 0;\nbar.sync 0;\n@%one st.shared.b32 [%smem], %r;\n",
     64, 1, SUCCESS, NULL},
    {"a wait for one store of two",
     WORDS FILL "fence.proxy.async.shared::cta;\nbar.sync 0;\n@%one " STORE
                "@%one cp.async.bulk.commit_group;\n"
                "@%one " STORE "@%one cp.async.bulk.commit_group;\n@%one cp.async.bulk.wait_group.read 1;\n"
                "! @%one st.shared.b32 [%smem], %r;\n",
     64, 1, LAUNCH_FAILED, "which a TMA store reads"},
    {"a thread that ends before its store has read",
     WORDS FILL "fence.proxy.async.shared::cta;\nbar.sync 0;\n@%one " STORE
                "@%one cp.async.bulk.commit_group;\n! ret;\n",
     64, 1, LAUNCH_FAILED, "has not waited until the TMA store"},

    /* warpgroups */
    {"a product", OPERANDS WGMMA WAIT_WGMMA "neg.f32 %x, %a0;\n", 128, 1, SUCCESS, NULL},
    {"a product in half a warpgroup", "! wgmma.fence.sync.aligned;\n", 64, 1, LAUNCH_FAILED,
     "not one of a warpgroup"},
    {"a product of what was not fenced",
     WORDS FILL "bar.sync 0;\nwgmma.fence.sync.aligned;\n! " WGMMA WAIT_WGMMA, 128, 1, LAUNCH_FAILED,
     "no fence.proxy.async"},
    {"three warps of a warpgroup",
     OPERANDS "setp.ge.u32 %p, %thread, 96;\n@%p bra E;\n" WGMMA WAIT_WGMMA "E:\n", 128, 1, LAUNCH_FAILED,
     "warp"},
    {"two instructions in one warpgroup",
     OPERANDS "setp.ge.u32 %p, %thread, 96;\n@%p bra E;\n" WGMMA WAIT_WGMMA
              "ret;\nE:\nwgmma.fence.sync.aligned;\n" WGMMA WAIT_WGMMA,
     128, 1, LAUNCH_FAILED, "must execute the same"},
    {"descriptors that differ among warps",
     OPERANDS "setp.ge.u32 %p, %thread, 96;\n@!%p bra E;\nadd.s64 %desc, %desc, 8;\nE:\n" WGMMA WAIT_WGMMA,
     128, 1, LAUNCH_FAILED, "the same descriptors"},
    {"descriptors that differ among lanes",
     OPERANDS "setp.eq.u32 %p, %thread, 5;\n@!%p bra E;\nadd.s64 %desc, %desc, 8;\nE:\n! " WGMMA WAIT_WGMMA,
     128, 1, LAUNCH_FAILED, "the descriptors of the lanes differ"},
    {"a predicate that differs among lanes", OPERANDS "setp.eq.u32 %none, %thread, 5;\n! " WGMMA WAIT_WGMMA,
     128, 1, LAUNCH_FAILED, "the predicates of the lanes differ"},
    {"a descriptor that leads behind the array", OPERANDS "add.s64 %desc, %desc, 512;\n! " WGMMA WAIT_WGMMA,
     128, 1, ILLEGAL_ADDRESS, "of smem"},
    {"a base offset", OPERANDS "add.s64 %desc, %desc, 0x2000000000000;\n! " WGMMA WAIT_WGMMA, 128, 1,
     LAUNCH_FAILED, "no base offset"},
    {"operands written while wgmma reads them",
     OPERANDS WGMMA
     "wgmma.commit_group.sync.aligned;\n! @%one st.shared.b32 [%smem], %r;\nwgmma.wait_group.sync.aligned "
     "0;\n",
     128, 1, LAUNCH_FAILED, "which a wgmma reads"},
    {"accumulators touched on a way that the checker does not follow",
     OPERANDS WGMMA
     "wgmma.commit_group.sync.aligned;\nbra T;\nT:\n! neg.f32 %x, %a3;\nwgmma.wait_group.sync.aligned 0;\n",
     128, 1, LAUNCH_FAILED, "for which nobody has waited"},
    {"a product of registers", OPERANDS WGMMA_A WAIT_WGMMA "mov.b32 %w1, 2;\nneg.f32 %x, %a0;\n", 128, 1,
     SUCCESS, NULL},
    {"A touched on a way that the checker does not follow",
     OPERANDS WGMMA_A
     "wgmma.commit_group.sync.aligned;\nbra T;\nT:\n! mov.b32 %w2, 2;\nwgmma.wait_group.sync.aligned 0;\n",
     128, 1, LAUNCH_FAILED, "is in A of the wgmma"},
    {"B written while wgmma reads it, and A is in registers",
     OPERANDS WGMMA_A
     "wgmma.commit_group.sync.aligned;\n! @%one st.shared.b32 [%smem], %r;\nwgmma.wait_group.sync.aligned "
     "0;\n",
     128, 1, LAUNCH_FAILED, "which a wgmma reads"},
    {"an end without a wait", OPERANDS WGMMA "wgmma.commit_group.sync.aligned;\n! ret;\n", 128, 1,
     LAUNCH_FAILED, "has not waited for its wgmma"},
    {"registers that nobody gives", "! setmaxnreg.inc.sync.aligned.u32 256;\n", 384, 1, LAUNCH_FAILED,
     "for registers"},
    {"an increase that is none", "! setmaxnreg.inc.sync.aligned.u32 24;\n", 384, 1, LAUNCH_FAILED,
     "which is more than 24"},
    {"a decrease that is none", "! setmaxnreg.dec.sync.aligned.u32 256;\n", 384, 1, LAUNCH_FAILED,
     "which is less than 256"},
};

/* ---- one launch in a context of its own ---- */

static bool good(int r, const char *what)
{
    if (r) note("%s gave %d", what, r);
    return !r;
}
#define DO(call) good(call, #call)

/* The whole text; *line gets that of the line marked with '!'. */
static const char *kernel_text(const Fault *f, int *line)
{
    static char text[16384];
    char directives[128];
    int at = 1;
    snprintf(directives, sizeof directives, ".maxntid %d, 1, 1\n%s", f->threads,
             f->cluster > 1 ? ".explicitcluster\n.reqnctapercluster 2, 1, 1\n" : "");
    size_t n = (size_t)snprintf(text, sizeof text, prologue, directives);
    for (size_t i = 0; i < n; i++) at += text[i] == '\n';
    *line = 0;
    for (const char *p = f->body; *p; p++) {
        if (*p == '!' && p[1] == ' ') *line = at, p++;
        else text[n++] = *p;
        at += *p == '\n';
    }
    snprintf(text + n, sizeof text - n, "ret;\n}\n");
    return text;
}

static bool words_map(TensorMapBytes *map, uint64_t address)
{
    uint64_t dim[2] = {32, 32}, stride[1] = {128};
    uint32_t box[2] = {32, 8}, step[2] = {1, 1};
    return DO(d.encode_map(map, U32, 2, address, dim, stride, box, step, 0, 0, 0, 0));
}

static int launch(const char *text, const Fault *f)
{
    void *module, *function;
    uint64_t in = 0, out = 0;
    TensorMapBytes map_in, map_out;
    void *arguments[] = {&map_in, &map_out, &in};
    char log[512] = "";
    int options[] = {5, 6};
    void *values[] = {log, (void *)sizeof log};
    bool ok = DO(d.load(&module, text, 2, options, values)) && DO(d.function(&function, module, "fault")) &&
              DO(d.alloc(&in, BUFFER)) && DO(d.alloc(&out, BUFFER)) && DO(d.fill32(in, 1, BUFFER / 4)) &&
              words_map(&map_in, in) && words_map(&map_out, out) &&
              DO(d.launch(function, (unsigned)f->cluster, 1, 1, (unsigned)f->threads, 1, 1, SHARED, NULL,
                          arguments, NULL));
    if (log[0]) note("%s", log);
    return ok ? d.synchronize() : -1;
}

static void test_fault(const Fault *f, int seed)
{
    void *context;
    char number[8];
    int line;
    snprintf(number, sizeof number, "%d", seed);
    setenv("TILESMITH_EMU_SEED", number, 1);
    d.context_create(&context, 0, 0);
    const char *text = kernel_text(f, &line);
    int error = launch(text, f);
    bool found =
        !f->sentence || (strstr(last_trap(), f->sentence) && (!line || atoi(last_trap() + 5) == line));
    if (!ok(error == f->error && found, "%s, seed %d: %d at line %d", f->what, seed, f->error, line))
        note("error %d, \"%s\"; wanted \"%s\"", error, last_trap(), f->sentence ? f->sentence : "no trap");
    d.context_destroy(context);
}

/* ---- tensor maps ---- */

typedef struct MapArguments {
    int type, rank;
    uint64_t base, dim[5], stride[4];
    uint32_t box[5], step[5];
    int interleave, swizzle, promotion, fill;
} MapArguments;

static int encode(MapArguments a)
{
    TensorMapBytes map;
    return d.encode_map(&map, a.type, (uint32_t)a.rank, a.base, a.dim, a.stride, a.box, a.step, a.interleave,
                        a.swizzle, a.promotion, a.fill);
}

/* Of a good map with one thing changed. */
#define MAP(wanted, change)                                                                                  \
    do {                                                                                                     \
        MapArguments a = {F16, 2, 0x10000, {64, 100}, {128}, {64, 64}, {1, 1}, 0, SWIZZLE_128, 3, 0};        \
        change;                                                                                              \
        ok(encode(a) == (wanted), "a map with %s: %d", #change, wanted);                                     \
    } while (0)

static void test_maps(void)
{
    void *context;
    TensorMapBytes map[2];
    uint64_t dim[2] = {64, 64}, stride[1] = {128};
    uint32_t box[2] = {64, 64}, step[2] = {1, 1};
    d.context_create(&context, 0, 0);
    MAP(SUCCESS, (void)a);
    MAP(SUCCESS, a.base += 16);
    MAP(INVALID_VALUE, a.base += 8);
    MAP(INVALID_VALUE, a.rank = 0);
    MAP(INVALID_VALUE, a.rank = 6);
    MAP(SUCCESS, a.dim[1] = 1ull << 32);
    MAP(INVALID_VALUE, a.dim[1] = (1ull << 32) + 1);
    MAP(INVALID_VALUE, a.dim[0] = 0);
    MAP(SUCCESS, a.stride[0] = (1ull << 40) - 16);
    MAP(INVALID_VALUE, a.stride[0] = 1ull << 40);
    MAP(INVALID_VALUE, a.stride[0] = 136);
    MAP(SUCCESS, a.box[1] = 256);
    MAP(INVALID_VALUE, a.box[1] = 257);
    MAP(INVALID_VALUE, a.box[1] = 65536 + 64);
    MAP(INVALID_VALUE, a.box[0] = 0);
    MAP(INVALID_VALUE, a.box[0] = 60);
    MAP(INVALID_VALUE, a.box[0] = 72);
    MAP(INVALID_VALUE, a.swizzle = 2);
    MAP(SUCCESS, a.swizzle = 2; a.box[0] = 32);
    MAP(SUCCESS, a.swizzle = 0; a.box[0] = 256);
    MAP(INVALID_VALUE, a.swizzle = 7);
    MAP(INVALID_VALUE, a.step[1] = 9);
    MAP(INVALID_VALUE, a.step[1] = 0);
    MAP(NOT_SUPPORTED, a.step[1] = 2);
    MAP(INVALID_VALUE, a.interleave = 3);
    MAP(NOT_SUPPORTED, a.interleave = 1);
    MAP(INVALID_VALUE, a.promotion = 4);
    MAP(SUCCESS, a.fill = 1);
    MAP(INVALID_VALUE, a.fill = 2);
    MAP(INVALID_VALUE, a.fill = 1; a.type = U32);
    MAP(INVALID_VALUE, a.type = 99);
    ok(d.encode_map((void *)((char *)map + 32), F16, 2, 0x10000, dim, stride, box, step, 0, 3, 0, 0) ==
           INVALID_VALUE,
       "a map that is not aligned to 64 bytes");
    d.context_destroy(context);
}

/* ---- launches of clusters ---- */

/* A launch of `grid` blocks with an attribute (0: none) of these values. */
static int launch_grid(void *function, unsigned grid, int attribute, unsigned x, unsigned y)
{
    LaunchAttribute with = {.id = attribute, .value.cluster = {x, y, 1}};
    LaunchConfig config = {{grid, 1, 1}, {32, 1, 1}, SHARED, NULL, &with, attribute != 0};
    TensorMapBytes maps[2] = {0};
    uint64_t in = 0;
    void *arguments[] = {&maps[0], &maps[1], &in};
    int clusters = -1, r = d.launch_ex(&config, function, arguments, NULL),
        n = d.max_clusters(&clusters, function, &config);
    if (!r && attribute != SERIALIZATION) ok(!n && clusters > 0, "%d clusters fit on the device", clusters);
    return r ? r : d.synchronize();
}

static void test_clusters(void)
{
    Fault f = {"", CLUSTER, 32, 1, 0, NULL};
    void *context, *module, *two, *free_size;
    int line, width = -1;
    d.context_create(&context, 0, 0);
    DO(d.load(&module, kernel_text(&f, &line), 0, NULL, NULL));
    DO(d.function(&free_size, module, "fault"));
    f.cluster = 2;
    DO(d.load(&module, kernel_text(&f, &line), 0, NULL, NULL));
    DO(d.function(&two, module, "fault"));
    ok(launch_grid(two, 4, 0, 0, 0) == SUCCESS && launch_grid(two, 3, 0, 0, 0) == INVALID_CLUSTER,
       "a grid is a multiple of the kernel's cluster");
    ok(launch_grid(two, 4, CLUSTER_DIMENSION, 2, 1) == SUCCESS &&
           launch_grid(two, 4, CLUSTER_DIMENSION, 4, 1) == INVALID_CLUSTER,
       "an attribute that agrees with the kernel, or does not");
    ok(launch_grid(free_size, 8, CLUSTER_DIMENSION, 4, 1) == SUCCESS &&
           launch_grid(free_size, 8, CLUSTER_DIMENSION, 3, 1) == INVALID_CLUSTER &&
           launch_grid(free_size, 16, CLUSTER_DIMENSION, 16, 1) == INVALID_CLUSTER &&
           launch_grid(free_size, 8, CLUSTER_DIMENSION, 0, 1) == INVALID_VALUE,
       "a cluster by attribute alone");
    ok(launch_grid(free_size, 3, SERIALIZATION, 1, 0) == SUCCESS &&
           launch_grid(free_size, 3, 99, 1, 1) == NOT_SUPPORTED,
       "other attributes");
    ok(d.function_attribute(&width, REQUIRED_CLUSTER_WIDTH, two) == SUCCESS && width == 2,
       "the kernel's cluster can be asked");
    d.context_destroy(context);
}

int main(void)
{
    setenv("TILESMITH_EMU_QUIET", "1", 1);
    setenv("TILESMITH_EMU_BUDGET", "100000", 1);
    setenv("TILESMITH_EMU_SM", "90", 1);
    if (!driver_open(&d, emulator_path()) || !DO(d.init(0))) {
        printf("Bail out! the emulator %s does not open\n", emulator_path());
        return 1;
    }
    last_trap = (const char *(*)(void))dlsym(d.library, "emu_last_trap");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (int seed = 1; seed <= 3; seed++) test_fault(&faults[i], seed);
    test_maps();
    test_clusters();
    return done();
}
