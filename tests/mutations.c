/* mutations.c: faults put into a kernel's text must not pass: the emulator traps, or the result is wrong.
 * The control, the same kernel without a fault, passes under every schedule seed used here. */
#include "tests/kit.h"
#include "tests/mutate.h"

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

/* Runs a kernel's text in a context of its own: a trap spoils a context. */
static bool passes(const char *text, const char *seed, Error *why)
{
    static const Shape shapes[] = {{67, 75, 260}, {129, 127, 65}};
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

int main(void)
{
    static const char *const seeds[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    char *text;
    size_t bytes;
    if (kit_on_gpu()) return skip_all("only the emulator promises to catch faults");
    if (ts_generate(config, &text, &bytes) != TS_OK) return 1;
    for (int i = 0; i < 8; i++) {
        Error why = {""};
        ok(passes(text, seeds[i], &why), "without a fault, seed %s: right%s%s", seeds[i],
           why.text[0] ? ": " : "", why.text);
    }
    for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
        Error why = {""};
        char *mutant = mutate(text, &mutations[i]);
        if (!ok(mutant != NULL, "'%s' is in the kernel", mutations[i].find)) continue;
        bool caught = !passes(mutant, "1", &why);
        ok(caught, "caught: %s", mutations[i].what);
        note("%s", why.text);
        free(mutant);
    }
    ts_free_text(text);
    return done();
}
