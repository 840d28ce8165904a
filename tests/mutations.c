/* mutations.c: faults put into a kernel's text must not pass: the emulator traps, or the result is wrong.
 * The control, the same kernel without a fault, passes under every schedule seed used here. */
#include "tests/kit.h"

typedef struct Mutation {
    const char *what;
    const char *find, *put; /* the text to look for, and what replaces it */
    int occurrence;         /* 0: the first; -1: all */
} Mutation;

/* The config: 3 stages, so the right wait is wait_group 1. */
static const char *const config = "mma_sm80_f16_64x64x32_w2x2_s3";
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

/* A kernel whose blocks share tiles, and what it takes to do that right. */
static const char *const split_config = "mma_sm80_f16_64x64x32_w2x2_s3_split";
static const Mutation split_mutations[] = {
    {"blocks do not wait for each other", "@%p_scratch bra wait_for_flag;", "", 0},
    {"blocks do not look at the flags", "ld.acquire.gpu.global.b64 %flag_seen, [%flag_at];",
     "mov.b64 %flag_seen, %flag_key;", 0},
    {"no flag is set", "@%p_scratch st.release.gpu.global.b64 [%flag_at], %flag_key;", "", 0},
    {"a flag is set without a release", "st.release.gpu.global.b64", "st.global.b64", 0},
    {"a flag is set before all threads have stored",
     "cp.async.wait_group 0;\n    bar.sync 0;\n    setp.eq.u32", "cp.async.wait_group 0;\n    setp.eq.u32",
     0},
    {"threads do not wait for the one that waits", "parts_are_here:\n    bar.sync 0;", "parts_are_here:", 0},
    {"a part is not added", "add.rn.f32 %acc5, %acc5, %part5;", "", 0},
    {"a part is left out", "@%p_scratch bra add_0;", "", 0},
    {"a segment begins at the wrong k-block", "mad.wide.u32 %w_base, %first_k_block, 64, %w_base;", "", 0},
    {"a segment does not end", "min.u32 %k, %k, %range_value;", "", 0},
};

/* The text with the mutation; NULL when what it looks for is not there. */
static char *mutate(const char *text, const Mutation *m)
{
    size_t n = strlen(text), bytes = n + 4096, found = 0;
    char *out = calloc(1, bytes), *to = out;
    for (const char *p = text; *p;) {
        bool hit = strncmp(p, m->find, strlen(m->find)) == 0;
        if (hit && ((int)found++ == m->occurrence || m->occurrence < 0)) {
            to += snprintf(to, bytes - (size_t)(to - out), "%s", m->put);
            p += strlen(m->find);
        } else {
            *to++ = *p++;
        }
    }
    if ((int)found > m->occurrence && found) return out;
    free(out);
    return NULL;
}

/* Runs a kernel's text in a context of its own: a trap spoils a context. */
static bool passes(const char *text, const Shape shapes[2], const char *seed, Error *why)
{
    Verdict v;
    bool good = true;
    setenv("TILESMITH_EMU_SEED", seed, 1);
    for (int i = 0; i < 2 && good; i++) {
        ts_kernel *kernel = NULL;
        ts_context *context = kit_context("89");
        good = context && ts_kernel_load(context, text, strlen(text), &kernel) == TS_OK;
        if (!good) refuse(why, "%s", ts_last_error());
        good = good && kit_run(context, kernel, shapes[i], false, &v, why);
        ts_kernel_destroy(kernel);
        ts_context_destroy(context);
    }
    return good;
}

static void test(const char *name, const Shape shapes[2], const Mutation *mutation, size_t n)
{
    static const char *const seeds[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    char *text;
    size_t bytes;
    if (!ok(ts_generate(name, &text, &bytes) == TS_OK, "%s", name)) return;
    for (int i = 0; i < 8; i++) {
        Error why = {""};
        ok(passes(text, shapes, seeds[i], &why), "without a fault, seed %s: right%s%s", seeds[i],
           why.text[0] ? ": " : "", why.text);
    }
    for (size_t i = 0; i < n; i++) {
        Error why = {""};
        char *mutant = mutate(text, &mutation[i]);
        if (!ok(mutant != NULL, "there is what this changes: %s", mutation[i].what)) continue;
        bool caught = !passes(mutant, shapes, "1", &why);
        ok(caught, "caught: %s", mutation[i].what);
        note("%s", why.text);
        free(mutant);
    }
    ts_free_text(text);
}

int main(void)
{
    static const Shape shapes[] = {{67, 75, 260}, {129, 127, 65}},
                       long_shapes[] = {{67, 75, 700}, {40, 30, 2000}};
    if (kit_on_gpu()) return skip_all("only the emulator promises to catch faults");
    test(config, shapes, mutations, sizeof mutations / sizeof *mutations);
    setenv("TILESMITH_EMU_BUDGET", "1000000", 1); /* of a wait that never ends */
    test(split_config, long_shapes, split_mutations, sizeof split_mutations / sizeof *split_mutations);
    return done();
}
