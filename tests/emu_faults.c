/* emu_faults.c: the emulator finds what is wrong, and says so like the driver would.
 *
 * Each fault is a few lines of PTX. The line marked with '!' must trap, with the error that the context
 * keeps, the thread, and the words of the sentence. Of two accesses that race, the second one traps, and
 * which one that is depends on the interleaving: the other line is marked with '?'. The other tests: what is
 * poisoned, what asynchronous copies may do, what the driver API refuses, and that a seed decides the
 * interleaving and nothing else.
 */
#include "tests/emu_driver.h"
#include "tests/tap.h"

#include <string.h>

enum {
    BUFFER = 4096,
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    INVALID_CONTEXT = 201,
    INVALID_IMAGE = 200,
    NO_BINARY = 209,
    INVALID_PTX = 218,
    BAD_VERSION = 222,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    TIMEOUT = 702,
    DESTROYED = 709,
    MISALIGNED = 716,
    LAUNCH_FAILED = 719
};

static Driver d;
static const char *(*last_trap)(void);

/* %in and %out are buffers of 4096 bytes, %gone is a freed one; %four is 4 * thread, %smem the array, %mine
 * this thread's word of it. */
static const char prologue[] =
    ".version 7.4\n.target sm_80\n.address_size 64\n\n.extern .shared .align 128 .b8 smem[];\n\n"
    ".visible .entry fault(\n    .param .u64 in,\n    .param .u64 out,\n    .param .u64 gone\n)\n{\n"
    "    .reg .b32 %thread, %warp, %four, %smem, %mine, %size, %i, %r<4>, %a<4>, %b<2>;\n"
    "    .reg .b64 %in, %out, %gone, %at, %wide;\n    .reg .f32 %c<4>;\n    .reg .pred %p, %q;\n"
    "    ld.param.b64 %in, [in];\n    ld.param.b64 %out, [out];\n    ld.param.b64 %gone, [gone];\n"
    "    mov.u32 %thread, %tid.x;\n    shr.u32 %warp, %thread, 5;\n    shl.b32 %four, %thread, 2;\n    "
    "mov.u32 %smem, smem;\n"
    "    add.s32 %mine, %smem, %four;\n    mov.b32 %size, 16;\n    setp.eq.u32 %p, %thread, 0;\n    "
    "setp.eq.u32 %q, %warp, 0;\n"
    "    mad.wide.u32 %at, %thread, 4, %out;\n";

/* The whole text; line[0] gets the line marked with '!', line[1] the one with '?' (0: none). */
static char *kernel_text(const char *body, int line[2])
{
    static char text[16384];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", prologue);
    int at = 1;
    for (size_t i = 0; i < n; i++) at += text[i] == '\n';
    line[0] = line[1] = 0;
    for (; *body; body++) {
        if ((*body == '!' || *body == '?') && body[1] == ' ') line[*body++ == '?'] = at;
        else text[n++] = *body;
        at += *body == '\n';
    }
    snprintf(text + n, sizeof text - n, "ret;\n}\n");
    return text;
}

/* ---- one launch in a context of its own ---- */

typedef struct Run {
    void *context, *module, *function;
    uint64_t in, out, gone;
    int line[2]; /* marked */
} Run;

static bool check(int r, const char *what)
{
    if (r) note("%s gave %d", what, r);
    return !r;
}
#define DO(call) check(call, #call)

static bool run_begin(Run *r, const char *body)
{
    char log[512] = "";
    int options[] = {5, 6};
    void *values[] = {log, (void *)sizeof log};
    uint32_t ramp[BUFFER / 4];
    for (uint32_t i = 0; i < BUFFER / 4; i++) ramp[i] = i;
    *r = (Run){0};
    char *text = kernel_text(body, r->line);
    bool ok = DO(d.context_create(&r->context, 0, 0)) && DO(d.load(&r->module, text, 2, options, values)) &&
              DO(d.function(&r->function, r->module, "fault")) && DO(d.alloc(&r->in, BUFFER)) &&
              DO(d.alloc(&r->out, BUFFER)) && DO(d.alloc(&r->gone, BUFFER)) && DO(d.release(r->gone)) &&
              DO(d.to_device(r->in, ramp, BUFFER));
    if (log[0]) note("%s", log);
    return ok;
}

static int run_launch(Run *r, unsigned blocks, unsigned threads, unsigned shared_bytes)
{
    void *arguments[] = {&r->in, &r->out, &r->gone};
    return d.launch(r->function, blocks, 1, 1, threads, 1, 1, shared_bytes, NULL, arguments, NULL);
}

static void run_end(Run *r)
{
    if (r->context) d.context_destroy(r->context);
}

/* ---- faults ---- */

#define COPY      "cp.async.cg.shared.global.L2::128B "
#define DIVERGE   "@%p bra APART;\n"
#define NEIGHBOUR "xor.b32 %r1, %four, 4;\nadd.s32 %r1, %smem, %r1;\n" /* the word of the lane beside */

typedef struct Fault {
    const char *what, *body;
    unsigned threads;
    int error, thread;
    const char *sentence; /* a part of it */
} Fault;

static const Fault faults[] = {
    {"a store behind the end of an allocation", "add.s64 %at, %at, 4028;\n! st.global.b32 [%at], %four;\n",
     32, ILLEGAL_ADDRESS, 17, "4 B behind the end of an allocation of 4096 B"},
    {"a vector store across the end",
     "mov.b32 %r0, 0;\nmov.b32 %r1, 0;\n"
     "mul.wide.u32 %wide, %thread, 8;\nadd.s64 %at, %out, %wide;\n"
     "! st.global.v2.b32 [%at+4088], {%r0, %r1};\n",
     2, ILLEGAL_ADDRESS, 1, "writes 8 B"},
    {"a load before an allocation", "! ld.global.nc.b32 %r0, [%in+-4];\n", 32, ILLEGAL_ADDRESS, 0,
     "4 B before an allocation"},
    {"L2 asked for freed memory", "! prefetch.global.L2 [%gone+8];\n", 32, ILLEGAL_ADDRESS, 0,
     "asks L2 for 1 B of global memory"},
    {"a load from freed memory", "! ld.global.nc.b32 %r0, [%gone+8];\n", 32, ILLEGAL_ADDRESS, 0,
     "8 B into an allocation of 4096 B that has been freed"},
    {"a load from address 16", "mov.b64 %at, 16;\n! ld.global.nc.b32 %r0, [%at];\n", 32, ILLEGAL_ADDRESS, 0,
     "not a device address"},
    {"a misaligned load", "! ld.global.nc.b32 %r0, [%in+2];\n", 32, MISALIGNED, 0, "not a multiple of 4"},
    {"a misaligned vector store",
     "mov.b32 %r0, 0;\nmov.b32 %r1, 0;\n"
     "! st.global.v2.b32 [%at], {%r0, %r1};\n",
     32, MISALIGNED, 1, "not a multiple of 8"},
    {"a guarded access only counts where the guard holds",
     "setp.eq.u32 %p, %thread, 9;\n"
     "! @%p st.global.b32 [%out+4096], %four;\n",
     32, ILLEGAL_ADDRESS, 9, "thread 9"},

    {"a shared store behind the array", "! st.shared.b32 [%mine+1000], %four;\n", 32, ILLEGAL_ADDRESS, 6,
     "4 B behind the end of its 1024 B"},
    {"a shared load before the array", "mov.b32 %r0, 0;\n! ld.shared.b32 %r0, [%r0];\n", 32, ILLEGAL_ADDRESS,
     0, "before the array"},
    {"a misaligned shared store", "! st.shared.b32 [%mine+1], %four;\n", 32, MISALIGNED, 0,
     "not a multiple of 4"},
    {"a misaligned matrix row", "! ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%mine];\n", 32,
     MISALIGNED, 1, "not a multiple of 16"},

    {"a load of another warp's store, with no barrier",
     "xor.b32 %r1, %four, 128;\n"
     "add.s32 %r1, %smem, %r1;\n? st.shared.b32 [%mine], %four;\n! ld.shared.b32 %r0, [%r1];\n",
     64, LAUNCH_FAILED, -1, "of smem"},
    {"stores of two warps to one word",
     "and.b32 %r1, %thread, 31;\nsetp.eq.u32 %p, %r1, 0;\n! @%p st.shared.b32 [%smem], %four;\n", 64,
     LAUNCH_FAILED, -1, "with no barrier between"},
    {"stores of two lanes to one word", "! st.shared.b32 [%smem], %four;\n", 32, LAUNCH_FAILED, 1,
     "of smem, which thread 0 wrote"},
    {"lanes that read what their neighbours wrote, and have not met",
     NEIGHBOUR "st.shared.b32 [%mine], %four;\n"
               "! ld.shared.b32 %r0, [%r1];\n",
     32, LAUNCH_FAILED, 0, "with no bar.warp.sync"},
    {"a matrix of what lanes wrote that have not met",
     "st.shared.b32 [%mine], %four;\n! ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%smem];\n", 32,
     LAUNCH_FAILED, 0, "with no bar.warp.sync"},
    {"a store to what a lane has read that was not met",
     NEIGHBOUR "st.shared.b32 [%mine], %four;\nbar.warp.sync 0xffffffff;\nld.shared.b32 %r0, [%r1];\n"
               "! st.shared.b32 [%mine], %r0;\n",
     32, LAUNCH_FAILED, 0, "which thread 1 read, with no bar.warp.sync"},
    {"a copy that another lane waited for",
     "shl.b32 %r1, %thread, 4;\nadd.s32 %r1, %smem, %r1;\nxor.b32 %r2, %r1, 16;\n" COPY
     "[%r1], [%in], 16, %size;\n"
     "cp.async.commit_group;\ncp.async.wait_group 0;\n! ld.shared.b32 %r0, [%r2];\n",
     32, LAUNCH_FAILED, 0, "with no bar.warp.sync"},
    {"a store to what another warp has read",
     "st.shared.b32 [%mine], %four;\nbar.sync 0;\n"
     "xor.b32 %r1, %four, 128;\nadd.s32 %r1, %smem, %r1;\n? ld.shared.b32 %r0, [%r1];\n"
     "! st.shared.b32 [%mine], %r0;\n",
     64, LAUNCH_FAILED, -1, "of smem"},
    {"warps that exchange in a loop with one barrier too few",
     "mov.b32 %i, 0;\nxor.b32 %r1, %four, 128;\n"
     "add.s32 %r1, %smem, %r1;\nLOOP:\n! st.shared.b32 [%mine], %four;\nbar.sync 0;\n"
     "? ld.shared.b32 %r0, [%r1];\nadd.s32 %i, %i, 1;\nsetp.lt.u32 %p, %i, 4;\n@%p bra LOOP;\n",
     64, LAUNCH_FAILED, -1, "of smem"},

    {"reading a copy before any wait",
     COPY "[%smem], [%in], 16, %size;\ncp.async.commit_group;\n"
          "! ld.shared.b32 %r0, [%smem];\n",
     1, LAUNCH_FAILED, 0, "is in flight"},
    {"a wait that is too weak by one",
     COPY "[%smem], [%in], 16, %size;\ncp.async.commit_group;\n" COPY
          "[%smem+16], [%in], 16, %size;\ncp.async.commit_group;\ncp.async.wait_group 1;\n"
          "ld.shared.b32 %r0, [%smem];\n! ld.shared.b32 %r0, [%smem+16];\n",
     1, LAUNCH_FAILED, 0, "is in flight"},
    {"a missing commit",
     COPY "[%smem], [%in], 16, %size;\ncp.async.wait_group 0;\n"
          "! ld.shared.b32 %r0, [%smem];\n",
     1, LAUNCH_FAILED, 0, "is in flight"},
    {"a wait without a barrier before another warp reads",
     "shl.b32 %r1, %thread, 4;\n"
     "add.s32 %r1, %smem, %r1;\nxor.b32 %r2, %r1, 512;\n? " COPY "[%r1], [%in], 16, %size;\n"
     "cp.async.commit_group;\ncp.async.wait_group 0;\n! ld.shared.b32 %r0, [%r2];\n",
     64, LAUNCH_FAILED, -1, "of smem"},
    {"a barrier before the wait instead of behind it",
     "shl.b32 %r1, %thread, 4;\n"
     "add.s32 %r1, %smem, %r1;\nxor.b32 %r2, %r1, 512;\n? " COPY "[%r1], [%in], 16, %size;\n"
     "cp.async.commit_group;\nbar.sync 0;\ncp.async.wait_group 0;\n! ld.shared.b32 %r0, [%r2];\n",
     64, LAUNCH_FAILED, -1, "of smem"},
    {"a copy over what another warp still reads",
     "st.shared.b32 [%mine], %four;\nbar.sync 0;\n"
     "? ld.shared.b32 %r0, [%mine];\nsetp.ne.u32 %p, %thread, 33;\n@%p bra OUT;\n! " COPY
     "[%smem], [%in], 16, %size;\nOUT:\n",
     64, LAUNCH_FAILED, -1, "of smem"},
    {"two copies in flight to the same bytes",
     COPY "[%smem], [%in], 16, %size;\n! " COPY "[%smem], [%in], 16, %size;\n", 1, LAUNCH_FAILED, 0,
     "is in flight"},
    {"a store to bytes that a copy will write",
     COPY "[%smem], [%in], 16, %size;\n"
          "! st.shared.b32 [%smem+4], %four;\n",
     1, LAUNCH_FAILED, 0, "is in flight"},
    {"a source size above the copy's", "mov.b32 %size, 17;\n! " COPY "[%smem], [%in], 16, %size;\n", 1,
     LAUNCH_FAILED, 0, "source size 17"},
    {"a copy from behind an allocation", "! " COPY "[%smem], [%in+4096], 16, %size;\n", 1, ILLEGAL_ADDRESS, 0,
     "behind the end"},
    {"a copy whose part is behind an allocation",
     "mov.b32 %size, 4;\nadd.s64 %at, %in, 4096;\n! " COPY "[%smem], [%at], 16, %size;\n", 1, ILLEGAL_ADDRESS,
     0, "copies 4 B"},
    {"a misaligned source", "! " COPY "[%smem], [%in+8], 16, %size;\n", 1, MISALIGNED, 0,
     "not a multiple of 16"},
    {"a misaligned destination", "! " COPY "[%smem+8], [%in], 16, %size;\n", 1, MISALIGNED, 0,
     "not a multiple of 16"},

    {"a barrier in a diverged warp", DIVERGE "! bar.sync 0;\nAPART:\n", 32, LAUNCH_FAILED, 0,
     "stands elsewhere"},
    {"ldmatrix in a diverged warp",
     DIVERGE "! ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%smem];\n"
             "APART:\n",
     32, LAUNCH_FAILED, 0, "stands elsewhere"},
    {"ldmatrix after some lanes have returned",
     "@%p ret;\n"
     "! ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%smem];\n",
     32, LAUNCH_FAILED, 0, "exited or never existed"},
    {"mma in half a warp",
     "mov.b32 %a0, 0;\nmov.b32 %a1, 0;\nmov.b32 %a2, 0;\nmov.b32 %a3, 0;\n"
     "mov.b32 %b0, 0;\nmov.b32 %b1, 0;\nmov.f32 %c0, 0f00000000;\nmov.f32 %c1, 0f00000000;\n"
     "mov.f32 %c2, 0f00000000;\nmov.f32 %c3, 0f00000000;\n"
     "! mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%c0, %c1, %c2, %c3}, {%a0, %a1, %a2, %a3}, {%b0, "
     "%b1}, {%c0, %c1, %c2, %c3};\n",
     16, LAUNCH_FAILED, 16, "exited or never existed"},
    {"warps at different barriers", "@%q bra FIRST;\nbar.sync 1;\nbra OUT;\nFIRST:\n! bar.sync 0;\nOUT:\n",
     64, LAUNCH_FAILED, 0, "warp 0 at bar.sync 0, warp 1 at bar.sync 1"},
    {"a loop without an end", "LOOP:\n! bra LOOP;\n", 32, TIMEOUT, 0, "does not end"},
};

static void test_fault(const Fault *f)
{
    Run r;
    bool ran = run_begin(&r, f->body) && DO(run_launch(&r, 1, f->threads, 1024));
    int error = ran ? d.synchronize() : -1, line = atoi(last_trap() + strlen("line "));
    uint64_t more;
    char thread[64];
    snprintf(thread, sizeof thread, "block 0, thread %d: ", f->thread);
    bool found = (line == r.line[0] || line == r.line[1]) && strstr(last_trap(), f->sentence) &&
                 (f->thread < 0 || strstr(last_trap(), thread));
    if (!ok(error == f->error && found, "%s: %d at line %d", f->what, f->error, r.line[0]))
        note("error %d, \"%s\"; wanted \"%s%s\"", error, last_trap(), thread, f->sentence);
    ok(d.alloc(&more, 16) == f->error && run_launch(&r, 1, 1, 0) == f->error,
       "%s: the error stays in the context", f->what);
    run_end(&r);
}

/* ---- what is not a fault, but must show ---- */

/* Runs a body that stores a word a thread to %at, and reads them back. */
static bool words_of(const char *body, unsigned blocks, unsigned threads, uint32_t out[BUFFER / 4])
{
    Run r;
    bool ok = run_begin(&r, body) && DO(run_launch(&r, blocks, threads, 1024)) && DO(d.synchronize()) &&
              DO(d.to_host(out, r.out, BUFFER));
    if (!ok) note("%s", last_trap());
    run_end(&r);
    return ok;
}

static bool f16_nan(uint32_t h) { return (h & 0x7C00) == 0x7C00 && (h & 0x3FF); }
static bool bf16_nan(uint32_t h) { return (h & 0x7F80) == 0x7F80 && (h & 0x7F); }
static bool poison(uint32_t w) { return f16_nan(w) && f16_nan(w >> 16) && bf16_nan(w) && bf16_nan(w >> 16); }

/* Lanes exchange words and come back to their own; what they meet at, orders that. */
static void test_lanes(void)
{
    uint32_t out[BUFFER / 4];
    bool good = words_of(NEIGHBOUR "st.shared.b32 [%mine], %thread;\nld.shared.b32 %r0, [%mine];\n"
                                   "st.shared.b32 [%mine], %four;\nbar.warp.sync 0xffffffff;\n"
                                   "ld.shared.b32 %r2, [%r1];\nbar.warp.sync 0xffffffff;\n"
                                   "st.shared.b32 [%mine], %r0;\nst.global.b32 [%at], %r2;\n",
                         1, 64, out);
    ok(good && out[0] == 4 && out[1] == 0 && out[63] == 4 * 62, "lanes that meet exchange words");
}

/* Blocks hand over words, 512 bytes behind the outputs, by flags that stand behind those. */
#define BLOCK(number, label) "setp.ne.u32 %p, %r0, " number ";\n@%p bra " label ";\n"
#define HAND_OVER(word, flag, value)                                                                         \
    "mov.b32 %r1, " word ";\nst.global.b32 [%out+512], %r1;\nmov.b64 %wide, " value ";\n"                    \
    "st.release.gpu.global.b64 [%out+" flag "], %wide;\n"
#define AWAIT(flag, value, label)                                                                            \
    label ":\nld.acquire.gpu.global.b64 %wide, [%out+" flag "];\nsetp.ne.b64 %p, %wide, " value              \
          ";\n@%p bra " label ";\n"
#define READ "ld.global.f32 %c0, [%out+512];\nst.global.f32 [%at], %c0;\n"

static void test_blocks(void)
{
    static const char three[] = "mov.u32 %r0, %ctaid.x;\nmad.wide.u32 %at, %r0, 4, %out;\n" BLOCK("0", "ONE")
        HAND_OVER("7", "1024", "1") "ret;\nONE:\n" BLOCK("1", "TWO")
            AWAIT("1024", "1", "W1") "mov.b64 %wide, 1;\nst.release.gpu.global.b64 [%out+1032], "
                                     "%wide;\nret;\nTWO:\n" AWAIT("1032", "1", "W2") READ;
    static const char twice[] = "mov.u32 %r0, %ctaid.x;\nmad.wide.u32 %at, %r0, 4, %out;\n" BLOCK("0", "ONE")
        HAND_OVER("7", "1024", "1") AWAIT("1032", "1", "W0") HAND_OVER("8", "1024", "2") "ret;\nONE:\n" AWAIT(
            "1024", "1",
            "W1") "mov.b64 %wide, 1;\nst.release.gpu.global.b64 [%out+1032], %wide;\n" AWAIT("1024", "2",
                                                                                             "W2") READ;
    static const char unseen[] = "mov.u32 %r0, %ctaid.x;\n" BLOCK("0", "ONE")
        HAND_OVER("7", "1024", "1") "ret;\nONE:\nld.acquire.gpu.global.b64 %wide, [%out+1024];\n" READ;
    static const char copied[] = "mov.u32 %r0, %ctaid.x;\n" BLOCK("0", "ONE") HAND_OVER(
        "7", "1024", "1") "ret;\nONE:\n" COPY
                          "[%smem], [%out+512], 16, %size;\ncp.async.commit_group;\ncp.async.wait_group 0;\n";
    uint32_t out[BUFFER / 4];
    bool good = words_of(three, 3, 1, out);
    ok(good && out[2] == 7, "what one block hands to a second one, that one hands on to a third");
    setenv("TILESMITH_EMU_THREADS", "2", 1); /* for the first waits for the second */
    good = words_of(twice, 2, 1, out);
    ok(good && out[1] == 8, "a block hands over twice by one flag");
    setenv("TILESMITH_EMU_THREADS", "1", 1); /* for the first has ended */
    ok(!words_of(unseen, 2, 1, out) && strstr(last_trap(), "has not handed over"),
       "who has looked but once may not read");
    ok(!words_of(copied, 2, 1, out) && strstr(last_trap(), "has not handed over"), "nor copy");
    unsetenv("TILESMITH_EMU_THREADS");
}

static void test_poison(void)
{
    uint32_t out[BUFFER / 4];
    ok(words_of("ret;\n", 1, 32, out) && poison(out[0]) && poison(out[1023]), "a fresh allocation is poison");
    ok(words_of("ld.shared.b32 %r0, [%mine];\nst.global.b32 [%at], %r0;\n", 1, 32, out) && poison(out[0]) &&
           poison(out[31]),
       "shared memory starts as poison");
    ok(words_of("setp.ne.u32 %p, %thread, %thread;\n@%p mov.b32 %r0, 1;\nst.global.b32 [%at], %r0;\n", 1, 32,
                out) &&
           poison(out[5]),
       "a register that nobody wrote is poison");
    ok(words_of("st.shared.b32 [%mine], %four;\nbar.sync 0;\nld.shared.b32 %r0, [%mine+512];\nst.global.b32 "
                "[%at], %r0;\n",
                8, 128, out) &&
           poison(out[127]),
       "shared memory is poison again for each block");
}

static void test_copies(void)
{
    uint32_t out[BUFFER / 4];
    static const char late[] =
        "mov.b32 %r0, 77;\nst.global.b32 [%out], %r0;\n"
        "st.global.b32 [%out+4], %r0;\nst.global.b32 [%out+8], %r0;\nst.global.b32 [%out+12], %r0;\n" COPY
        "[%smem], [%out], 16, %size;\ncp.async.commit_group;\nmov.b32 %r0, 78;\n"
        "st.global.b32 [%out], %r0;\ncp.async.wait_group 0;\nld.shared.b32 %r1, [%smem];\n"
        "st.global.b32 [%out+16], %r1;\n";
    ok(words_of(late, 1, 1, out) && out[4] == 78, "a copy reads its source as late as its wait");
    static const char zero[] =
        "mov.b64 %at, 24;\nmov.b32 %size, 0;\nst.shared.b32 [%smem], %four;\n"
        "cp.async.ca.shared.global [%smem], [%at], 8, %size;\ncp.async.commit_group;\n"
        "cp.async.wait_group 0;\nld.shared.b32 %r1, [%smem];\nst.global.b32 [%out], %r1;\n";
    ok(words_of(zero, 1, 1, out) && out[0] == 0,
       "a copy of no bytes fills with zeros and never looks at its source");
    static const char empty[] =
        COPY "[%smem], [%in+16], 16, %size;\ncp.async.commit_group;\n"
             "cp.async.commit_group;\ncp.async.commit_group;\ncp.async.wait_group 2;\n"
             "ld.shared.b32 %r1, [%smem];\nst.global.b32 [%out], %r1;\n";
    ok(words_of(empty, 1, 1, out) && out[0] == 4, "empty groups count");
    static const char alone[] = COPY "[%smem], [%in+16], 16, %size;\ncp.async.commit_group;\n";
    ok(words_of(alone, 5, 1, out), "copies that nobody waits for end with their block");
}

/* ---- seeds ---- */

/* Eight warps write their number to the same 64 words: the last one wins. */
static const char contest[] =
    "mov.b32 %i, 0;\nand.b32 %r0, %thread, 31;\nsetp.eq.u32 %q, %r0, 0;\n"
    "mov.b64 %at, %out;\nLOOP:\n@%q st.global.b32 [%at], %warp;\nadd.s64 %at, %at, 4;\nadd.s32 %i, %i, 1;\n"
    "setp.lt.u32 %p, %i, 64;\n@%p bra LOOP;\n";

/* Each thread adds what the next warp's thread stored, eight times over. */
static const char ring[] =
    "mov.b32 %i, 0;\nadd.s32 %r1, %thread, 32;\nand.b32 %r1, %r1, 255;\n"
    "mad.lo.s32 %r1, %r1, 4, %smem;\nmov.b32 %r0, %thread;\nLOOP:\nst.shared.b32 [%mine], %r0;\n"
    "bar.sync 0;\nld.shared.b32 %r2, [%r1];\n"
    "bar.sync 0;\nmad.lo.s32 %r0, %r0, 3, %r2;\nadd.s32 %i, %i, 1;\nsetp.lt.u32 %p, %i, 8;\n@%p bra "
    "LOOP;\nst.global.b32 [%at], %r0;\n";

static bool with_seed(const char *seed, const char *threads, const char *body, uint32_t out[BUFFER / 4])
{
    setenv("TILESMITH_EMU_SEED", seed, 1);
    setenv("TILESMITH_EMU_THREADS", threads, 1);
    bool ok = words_of(body, 1, 256, out);
    unsetenv("TILESMITH_EMU_SEED");
    unsetenv("TILESMITH_EMU_THREADS");
    return ok;
}

static void test_seeds(void)
{
    uint32_t one[BUFFER / 4], again[BUFFER / 4], other[BUFFER / 4];
    bool ran = with_seed("1", "1", contest, one) && with_seed("1", "3", contest, again) &&
               with_seed("2", "1", contest, other);
    ok(ran && memcmp(one, again, sizeof one) == 0,
       "one seed is one interleaving, with any number of host threads");
    ok(ran && memcmp(one, other, 256) != 0, "another seed is another interleaving");
    ran = with_seed("1", "1", ring, one);
    for (int seed = 2; seed < 12; seed++) {
        char text[12];
        snprintf(text, sizeof text, "%d", seed);
        ran = ran && with_seed(text, "1", ring, other) && memcmp(one, other, 1024) == 0;
    }
    ok(ran, "a correct kernel has one result under all seeds");
}

/* ---- the driver API ---- */

static int load_error(const char *text, char log[512])
{
    int options[] = {5, 6};
    void *values[] = {log, (void *)(uintptr_t)512}, *module = NULL;
    log[0] = 0;
    int r = d.load(&module, text, 2, options, values);
    log[strcspn(log, "\n")] = 0;
    if (!r) d.unload(module);
    return r;
}

static const char *with_head(const char *version, const char *target, const char *body)
{
    static char text[1024];
    snprintf(text, sizeof text,
             ".version %s\n.target %s\n.address_size 64\n\n.visible .entry k()\n{\n%s\n"
             "    ret;\n}\n",
             version, target, body);
    return text;
}

static void test_loading(void)
{
    char log[512];
    void *context;
    d.context_create(&context, 0, 0);
    ok(load_error(with_head("7.0", "sm_80", ""), log) == SUCCESS && !log[0], "good PTX loads");
    ok(load_error(with_head("7.0", "sm_80", "    frobnicate.b32 %r1;"), log) == INVALID_PTX &&
           strstr(log, "line 7") && strstr(log, "frobnicate"),
       "bad PTX is refused: %s", log);
    ok(load_error(with_head("7.0", "sm_80", "    bra NOWHERE;"), log) == INVALID_PTX &&
           strstr(log, "NOWHERE"),
       "a branch to nowhere is refused: %s", log);
    ok(load_error(with_head("7.0", "sm_80", "    .reg .b32 %a, %b;\n    mov.b32 %a, %b;"), log) ==
               INVALID_PTX &&
           strstr(log, "line 8"),
       "reading what nothing writes is refused: %s", log);
    ok(load_error("", log) == INVALID_IMAGE, "an empty text is refused: %s", log);
    ok(load_error(".version 7.0\n.target sm_80\n", log) == INVALID_PTX, "a truncated text is refused: %s",
       log);
    ok(load_error(with_head("8.0", "sm_90a", "    wgmma.fence.sync.aligned;"), log) == INVALID_PTX,
       "a newer target does not run here: %s", log);
    ok(load_error(with_head("8.7", "sm_120", ""), log) == INVALID_PTX && strstr(log, "sm_120"),
       "nor does sm_120: %s", log);
    ok(load_error(with_head("9.9", "sm_80", ""), log) == BAD_VERSION, "a newer .version is refused: %s", log);
    ok(load_error("\x7F"
                  "ELF",
                  log) == NO_BINARY,
       "a cubin is refused: %s", log);
    void *module, *function;
    char info[256] = "untouched";
    int options[] = {3, 4, 12, 2};
    void *values[] = {info, (void *)(uintptr_t)24, (void *)1, NULL};
    ok(d.load(&module, with_head("7.0", "sm_80", ""), 4, options, values) == SUCCESS && strlen(info) == 23 &&
           (uintptr_t)values[1] == 23,
       "a verbose log fills its buffer and no more: %s", info);
    ok(d.function(&function, module, "other") == NOT_FOUND, "an unknown entry is not found");
    ok(d.unload(module) == SUCCESS && d.unload(module) == INVALID_HANDLE &&
           d.function(&function, module, "k") == INVALID_HANDLE,
       "an unloaded module is no handle");
    d.context_destroy(context);
}

static void test_launching(void)
{
    Run r;
    ok(run_begin(&r, "ret;\n") && run_launch(&r, 1, 32, 0) == SUCCESS, "a launch");
    ok(run_launch(&r, 1, 0, 0) == INVALID_VALUE && run_launch(&r, 1, 1025, 0) == INVALID_VALUE &&
           run_launch(&r, 0, 32, 0) == INVALID_VALUE,
       "block and grid sizes are checked");
    ok(run_launch(&r, 1, 32, 49152) == SUCCESS && run_launch(&r, 1, 32, 49153) == INVALID_VALUE,
       "48 KB of shared memory without asking");
    ok(d.set_attribute(r.function, 8, 101377) == INVALID_VALUE &&
           d.set_attribute(r.function, 8, 101376) == SUCCESS && run_launch(&r, 1, 32, 101376) == SUCCESS,
       "sm_89 allows 101376 B when asked");
    ok(d.launch(r.function, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL) == INVALID_VALUE,
       "parameters are needed");
    ok(d.launch(r.context, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL) == INVALID_HANDLE &&
           d.launch((void *)8, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL) == INVALID_HANDLE,
       "what is no function is not launched");
    uint64_t buffer[3] = {r.in, r.out, r.gone};
    size_t bytes = sizeof buffer;
    void *extra[] = {(void *)1, buffer, (void *)2, &bytes, NULL};
    ok(d.launch(r.function, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, extra) == SUCCESS,
       "parameters come in one buffer too");
    run_end(&r);
}

static void test_memory(void)
{
    void *context;
    uint64_t a = 0, b = 0;
    char byte = 0;
    d.context_create(&context, 0, 0);
    ok(d.alloc(&a, 0) == INVALID_VALUE && d.alloc(&a, (size_t)65 << 20) == OUT_OF_MEMORY,
       "64 MB of memory are 64 MB");
    ok(d.alloc(&a, (size_t)60 << 20) == SUCCESS && d.alloc(&b, (size_t)5 << 20) == OUT_OF_MEMORY &&
           d.release(a) == SUCCESS && d.alloc(&b, (size_t)5 << 20) == SUCCESS,
       "freed memory can be had again");
    ok(d.release(a) == INVALID_VALUE && d.release(b + 256) == INVALID_VALUE && d.release(0) == SUCCESS &&
           d.release(0x1234) == INVALID_VALUE,
       "freeing twice, inside, or elsewhere is refused");
    ok(d.to_device(b + ((size_t)5 << 20), &byte, 1) == INVALID_VALUE &&
           d.to_host(&byte, a, 1) == INVALID_VALUE,
       "copies outside live allocations are refused");
    ok(d.fill32(b + 2, 0, 1) == INVALID_VALUE && d.fill32(b, 0, (size_t)5 << 18) == SUCCESS &&
           d.fill32(b, 0, ((size_t)5 << 18) + 1) == INVALID_VALUE,
       "fills are checked");
    ok(b % 256 == 0 && b % 512 != 0, "allocations are aligned as promised, and no better");
    d.context_destroy(context);
    d.context_create(&context, 0, 0);
    ok(d.release(b) == INVALID_VALUE, "a context takes its memory along");
    d.context_destroy(context);
}

static void test_handles(void)
{
    void *context, *stream, *event, *second;
    uint64_t a;
    float ms = -1;
    ok(d.alloc(&a, 16) == INVALID_CONTEXT && d.synchronize() == INVALID_CONTEXT,
       "without a context nothing works");
    d.context_create(&context, 0, 0);
    ok(d.stream_create(&stream, 0) == SUCCESS && d.stream_synchronize(stream) == SUCCESS &&
           d.stream_synchronize(NULL) == SUCCESS && d.stream_synchronize((void *)2) == SUCCESS,
       "streams");
    ok(d.stream_destroy(stream) == SUCCESS && d.stream_destroy(stream) == INVALID_HANDLE &&
           d.stream_synchronize(stream) == INVALID_HANDLE &&
           d.stream_destroy((void *)0x1234) == INVALID_HANDLE,
       "a destroyed stream is no handle");
    ok(d.event_create(&event, 0) == SUCCESS && d.event_create(&second, 0) == SUCCESS &&
           d.event_elapsed(&ms, event, second) == INVALID_HANDLE,
       "events must be recorded");
    ok(d.event_record(event, NULL) == SUCCESS && d.event_record(second, NULL) == SUCCESS &&
           d.event_elapsed(&ms, event, second) == SUCCESS && ms >= 0,
       "elapsed time");
    ok(d.event_destroy(event) == SUCCESS && d.event_record(event, NULL) == INVALID_HANDLE,
       "a destroyed event is no handle");
    ok(d.context_destroy(context) == SUCCESS && d.context_destroy(context) == INVALID_CONTEXT &&
           d.context_set(context) == DESTROYED && d.context_destroy((void *)64) == INVALID_CONTEXT,
       "a destroyed context is none");
}

static void test_symbols(void)
{
    void *f = NULL;
    int status = -1;
    ok(d.proc_address("cuMemAlloc", &f, 12000, 0, &status) == SUCCESS && status == 0 &&
           f == dlsym(d.library, "cuMemAlloc_v2"),
       "cuMemAlloc is cuMemAlloc_v2");
    ok(d.proc_address("cuGetProcAddress", &f, 11030, 0, &status) == SUCCESS &&
           f == dlsym(d.library, "cuGetProcAddress"),
       "an old version gets the old function");
    ok(d.proc_address("cuLaunchKernelEx", &f, 11000, 0, &status) == SUCCESS && status == 2 && !f,
       "a version that is too old");
    ok(d.proc_address("cuNothing", &f, 12000, 0, &status) == SUCCESS && status == 1 && !f,
       "a name that is none");
    const char *name = NULL;
    ok(d.error_name(700, &name) == SUCCESS && strcmp(name, "CUDA_ERROR_ILLEGAL_ADDRESS") == 0 &&
           d.error_name(12345, &name) == INVALID_VALUE,
       "errors have names");
    char device[64];
    int sm_shared = 0;
    ok(d.device_name(device, sizeof device, 0) == SUCCESS &&
           strcmp(device, "tilesmith emulator (sm_89)") == 0 &&
           d.device_name(device, sizeof device, 1) == 101,
       "the device's name");
    ok(d.device_attribute(&sm_shared, 97, 0) == SUCCESS && sm_shared == 101376, "the device's shared memory");
}

static void test_counters(void)
{
    void (*reset)(void) = (void (*)(void))dlsym(d.library, "emu_counters_reset");
    int (*n)(void) = (int (*)(void))dlsym(d.library, "emu_counter_count");
    const char *(*name)(int) = (const char *(*)(int))dlsym(d.library, "emu_counter_name");
    unsigned long long (*value)(int) = (unsigned long long (*)(int))dlsym(d.library, "emu_counter_value");
    uint32_t out[BUFFER / 4];
    const struct {
        const char *name;
        unsigned long long wanted;
    } wanted[] = {{"global_store_requests", 2},
                  {"global_store_sectors", 8},
                  {"global_bytes_stored", 256},
                  {"global_elements_stored", 64},
                  {"shared_store_conflicts", 62},
                  {"shared_wavefronts_ideal", 2},
                  {"op.BAR_SYNC", 2},
                  {"op.RET", 2}};
    ok(reset && n && name && value, "the counters are exported");
    reset();
    /* a stride of 128 bytes: all lanes of a warp meet in one bank */
    bool ran = words_of("and.b32 %r1, %thread, 7;\nmad.lo.s32 %r1, %r1, 128, %smem;\nbar.sync 0;\n"
                        "st.global.b32 [%at], %four;\n",
                        1, 64, out);
    ok(ran && value(0) > 0, "%s: %llu", name(0), value(0));
    reset();
    Run r;
    ran = run_begin(&r, "shl.b32 %r1, %thread, 7;\nadd.s32 %r1, %r1, %smem;\nbar.sync 0;\n"
                        "st.shared.b32 [%r1], %four;\nst.global.b32 [%at], %four;\n") &&
          run_launch(&r, 1, 64, 8192) == SUCCESS && d.synchronize() == SUCCESS;
    run_end(&r);
    for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++)
        for (int i = 0; i < n(); i++)
            if (strcmp(name(i), wanted[w].name) == 0)
                ok(ran && value(i) == wanted[w].wanted, "%s is %llu, wanted %llu", name(i), value(i),
                   wanted[w].wanted);
}

int main(void)
{
    setenv("TILESMITH_EMU_QUIET", "1", 1);
    setenv("TILESMITH_EMU_MEMORY_MB", "64", 1);
    setenv("TILESMITH_EMU_BUDGET", "100000", 1);
    setenv("TILESMITH_EMU_SM", "89", 1);
    if (!driver_open(&d, emulator_path())) {
        printf("Bail out! the emulator %s does not open\n", emulator_path());
        return 1;
    }
    last_trap = (const char *(*)(void))dlsym(d.library, "emu_last_trap");
    ok(last_trap && d.synchronize() == NOT_INITIALIZED, "nothing works before cuInit");
    ok(d.init(1) == INVALID_VALUE && d.init(0) == SUCCESS && d.init(0) == SUCCESS, "cuInit");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) test_fault(&faults[i]);
    test_lanes();
    test_blocks();
    test_poison();
    test_copies();
    test_seeds();
    test_loading();
    test_launching();
    test_memory();
    test_handles();
    test_symbols();
    test_counters();
    return done();
}
