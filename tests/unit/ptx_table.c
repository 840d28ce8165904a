/* Every row of ops.h prints, parses back and prints the same; the checker refuses what is wrong. */
#include "gen/ptx/ptx.h"
#include "tests/tap.h"

#include <stdlib.h>

/* A kernel with one register array of each class and one parameter, to take operands from. */
static PtxKernel *empty_kernel(PtxArg reg[PTX_N_CLASSES])
{
    static const char *const names[PTX_N_CLASSES] = {"guard", "half_", "word_", "long_", "real_"};
    PtxKernel *k = ptx_new();
    k->sm = 80;
    k->shared_align = 16;
    snprintf(k->entry, sizeof k->entry, "test");
    ptx_header(k, "key: value");
    ptx_param(k, PTX_PARAM_U64, "in");
    ptx_comment(k, "a comment");
    for (int c = 0; c < PTX_N_CLASSES; c++) reg[c] = ptx_regs(k, (PtxClass)c, names[c], 128);
    return k;
}

static PtxArg operand_for(PtxKernel *k, const PtxSlot *slot, const PtxArg reg[PTX_N_CLASSES], int turn)
{
    switch (slot->kind) {
    case 'r': return span(reg[slot->cls], 0, slot->count);
    case 'R': return turn ? imm(slot->cls == PTX_F32 ? 0x3F800000 : 7) : at(reg[slot->cls], 3);
    case '[': return mem(at(reg[slot->cls], 1), turn ? 128 : -4);
    case 'P': return mem((PtxArg){.kind = PTX_ARG_PARAM}, 4 * turn);
    case 'A': return (PtxArg){.kind = PTX_ARG_PARAM};
    case 'i': return imm(turn ? slot->hi : slot->lo);
    case 'S': return special(turn ? PTX_TID_X : PTX_CTAID_X);
    case 'Y': return shared_array();
    case 'L': return ptx_label(k, turn ? "there" : "here");
    default: return (PtxArg){.kind = PTX_ARG_TEXT, .first = 0};
    }
}

static char *printed(PtxKernel *k)
{
    char *text;
    return ptx_print(k, &text, NULL) ? text : strdup(k->error);
}

/* print -> parse -> print is the identity, and the instruction keeps its operation and operands. */
static void round_trip(PtxOp op, int turn)
{
    PtxArg reg[PTX_N_CLASSES], args[PTX_MAX_ARGS + 1] = {PTX_NONE};
    PtxSlot slot[PTX_MAX_ARGS];
    PtxKernel *k = empty_kernel(reg);
    int n = ptx_slots(op, slot);
    for (int i = 0; i < n; i++) args[i + 1] = operand_for(k, &slot[i], reg, turn);
    k->version = 80;
    bool guard = turn && !(ptx_op_info[op].flags & PTX_FLAG_WARP) && op > PTX_PRAGMA_NOUNROLL;
    ptx_emit(k, __FILE__, __LINE__, op, guard ? at(reg[PTX_PRED], 2) : PTX_NONE, guard, n, args);
    char *text = printed(k);
    PtxKernel *back = ptx_parse(text);
    char *again = printed(back);
    is_str(again, text, "%s, operands %d: print, parse, print is the identity", ptx_op_info[op].name, turn);
    if (op != PTX_BLANK) {
        const PtxInst *a = &k->inst[k->n_inst - 1], *b = &back->inst[back->n_inst - 1];
        ok(back->n_inst && a->op == b->op && a->guard == b->guard && a->n_args == b->n_args,
           "%s: read as the same row", ptx_op_info[op].name);
    }
    free(text);
    free(again);
    ptx_free(k);
    ptx_free(back);
}

static void refuses(PtxKernel *k, const char *wanted, const char *what)
{
    if (!k->error[0]) ptx_check(k);
    if (!ok(strstr(k->error, wanted) != NULL, "refused: %s", what))
        note("got: '%s', wanted '%s' in it", k->error, wanted);
    ptx_free(k);
}

static void refusals_of_the_builder(void)
{
    PtxArg r[PTX_N_CLASSES];
    PtxKernel *k = empty_kernel(r);
    emit(k, ADD_S32, at(r[PTX_B32], 0), at(r[PTX_B64], 0), imm(1));
    refuses(k, "ptx_table.c:", "the line of C that emitted it is named");
    k = empty_kernel(r);
    emit(k, ADD_S32, at(r[PTX_B32], 0), at(r[PTX_B64], 0), imm(1));
    refuses(k, "ADD_S32 operand 2 wants %r, got %d", "an operand of another class");
    k = empty_kernel(r);
    emit(k, MMA_F16, span(r[PTX_F32], 0, 4), span(r[PTX_B32], 0, 2), span(r[PTX_B32], 0, 2),
         span(r[PTX_F32], 0, 4));
    refuses(k, "MMA_F16 operand 2 wants %{4r}, got %{2r}", "a range of another length");
    k = empty_kernel(r);
    emit(k, ADD_S32, at(r[PTX_B32], 0), at(r[PTX_B32], 0));
    refuses(k, "ADD_S32 wants 3 operands, got 2", "a missing operand");
    k = empty_kernel(r);
    emit(k, CP_ASYNC_WAIT, imm(64));
    refuses(k, "wants an immediate from 0 to 63", "an immediate out of range");
    k = empty_kernel(r);
    emit_if(k, at(r[PTX_PRED], 0), BAR_SYNC, imm(0));
    refuses(k, "takes no guard", "a collective under a guard");
    k = empty_kernel(r);
    emit_if(k, at(r[PTX_B32], 0), RET);
    refuses(k, "is not a predicate", "a guard that is no predicate");
    k = empty_kernel(r);
    ptx_reg(k, PTX_B32, "word_");
    refuses(k, "declared twice", "a register declared twice");
    k = empty_kernel(r);
    ptx_reg(k, PTX_B32, "tid");
    refuses(k, "special register", "a register named like a special register");
}

static void refusals_of_the_checker(void)
{
    PtxArg r[PTX_N_CLASSES];
    PtxKernel *k = empty_kernel(r);
    emit(k, ADD_S32, at(r[PTX_B32], 0), at(r[PTX_B32], 1), imm(1));
    emit(k, RET);
    refuses(k, "reads %word_1 before anything writes it", "a register read before it is written");
    k = empty_kernel(r);
    emit(k, BRA, ptx_label(k, "nowhere"));
    emit(k, RET);
    refuses(k, "label nowhere is used but not set", "a branch to no label");
    k = empty_kernel(r);
    emit(k, LABEL, ptx_label(k, "twice"));
    emit(k, LABEL, ptx_label(k, "twice"));
    emit(k, RET);
    refuses(k, "label twice is set twice", "a label set twice");
    k = empty_kernel(r);
    emit(k, MOV_B32, at(r[PTX_B32], 0), imm(0));
    refuses(k, "does not end with ret", "a kernel without an end");
    k = empty_kernel(r);
    k->sm = 75;
    emit(k, RET);
    refuses(k, "sm_75", "a target that is too old");
    k = empty_kernel(r);
    k->version = 70;
    emit(k, MOV_SHARED, at(r[PTX_B32], 0), shared_array());
    emit(k, MOV_B64, at(r[PTX_B64], 0), imm(0));
    emit(k, CP_ASYNC_CG_16, mem(at(r[PTX_B32], 0), 0), mem(at(r[PTX_B64], 0), 0), at(r[PTX_B32], 0));
    emit(k, RET);
    refuses(k, "needs PTX 7.4; .version is 7.0", "an instruction newer than .version");
}

/* ---- wgmma: short texts, and what they are refused for; NULL: not at all ---- */

#define WGMMA                                                                                                \
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%a0, %a1, %a2, %a3}, %d, %d, %p, 1, 1, 0, 0;\n"
#define WGMMA_A                                                                                              \
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%a0, %a1, %a2, %a3}, {%w0, %w1, %w2, %w3}, %d, %p, " \
    "1, 1, 0;\n"
#define A_WORDS "mov.b32 %w0, 1;\nmov.b32 %w1, 1;\nmov.b32 %w2, 1;\nmov.b32 %w3, 1;\n"
#define FENCE   "wgmma.fence.sync.aligned;\n"
#define COMMIT  "wgmma.commit_group.sync.aligned;\n"
#define WAIT(n) "wgmma.wait_group.sync.aligned " #n ";\n"

static void wgmma_rules(void)
{
    static const struct {
        const char *target, *directives, *body, *wanted;
    } kernel[] = {
        {"sm_90a", "", FENCE WGMMA COMMIT WAIT(0) "add.rn.f32 %x, %a0, %a1;\n", NULL},
        {"sm_90a", "",
         FENCE "LOOP:\n" WGMMA WGMMA COMMIT WAIT(1) "@%p bra LOOP;\n" WAIT(0) "neg.f32 %x, %a3;\n", NULL},
        {"sm_90a", "", "mov.f32 %a0, 0f00000000;\n" FENCE WGMMA COMMIT WAIT(0), NULL},
        {"sm_90a", "", WGMMA COMMIT WAIT(0), "accumulates in %a0, with no wgmma.fence"},
        {"sm_90a", "", FENCE "mov.f32 %a2, 0f00000000;\n" WGMMA COMMIT WAIT(0),
         "accumulates in %a2, with no wgmma.fence"},
        {"sm_90a", "", FENCE WGMMA COMMIT "neg.f32 %x, %a3;\n" WAIT(0),
         "uses %a3, an accumulator of the wgmma of line 12"},
        {"sm_90a", "", FENCE WGMMA COMMIT WAIT(1) "neg.f32 %x, %a3;\n", "uses %a3"},
        {"sm_90a", "", FENCE WGMMA WAIT(0) "neg.f32 %x, %a3;\n", "uses %a3"},
        {"sm_90a", "", FENCE WGMMA COMMIT FENCE WGMMA COMMIT WAIT(1) "neg.f32 %x, %a3;\n", "uses %a3"},
        {"sm_90a", "",
         "mov.f32 %b0, 0f00000000;\nLOOP:\nneg.f32 %x, %b0;\n" FENCE WGMMA COMMIT WAIT(
             0) "mul.rn.f32 %a0, %x, %x;\n@%p bra LOOP;\n",
         NULL},
        {"sm_90a", "",
         FENCE "mov.f32 %b0, 0f00000000;\nLOOP:\nmul.rn.f32 %x, %b0, %b0;\n" FENCE
               "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%b0, %b1, %b2, %b3}, %d, %d, %p, 1, 1, 0, "
               "0;\n" COMMIT "@%p bra LOOP;\n",
         "uses %b0"},
        {"sm_90a", "",
         FENCE WGMMA "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {%a0, %a1, %a2, %a3, %a4, %a5, %a6, "
                     "%a7}, %d, %d, %p, 1, 1, 0, 0;\n",
         "accumulates in %a0, which is in flight in a wgmma of another shape"},
        {"sm_90a", "", A_WORDS FENCE WGMMA_A WGMMA_A COMMIT WAIT(0) "mov.b32 %w2, 2;\n", NULL},
        {"sm_90a", "", FENCE A_WORDS WGMMA_A COMMIT WAIT(0), "multiplies %w0, with no wgmma.fence"},
        {"sm_90a", "", A_WORDS FENCE WGMMA_A COMMIT "mov.b32 %w3, 2;\n" WAIT(0),
         "uses %w3, an operand of the wgmma of line 16"},
        {"sm_90", "", FENCE, "WGMMA_FENCE needs sm_90a; the target is sm_90"},
        {"sm_100", "", "setmaxnreg.dec.sync.aligned.u32 40;\n", "needs sm_90a; the target is sm_100"},
        {"sm_90a", "", "setmaxnreg.dec.sync.aligned.u32 40;\n", "needs .maxntid"},
        {"sm_90a", ".maxntid 384, 1, 1\n", "setmaxnreg.dec.sync.aligned.u32 40;\n", NULL},
        {"sm_90a", ".maxntid 384, 1, 1\n", "setmaxnreg.dec.sync.aligned.u32 44;\n",
         "wants a multiple of 8 registers"},
        {"sm_90a", ".maxntid 512, 1, 1\n.minnctapersm 4\n", FENCE WGMMA COMMIT WAIT(0), NULL},
        {"sm_90a", ".maxntid 1024, 1, 1\n.minnctapersm 3\n", FENCE WGMMA COMMIT WAIT(0),
         "needs 30 registers a thread"},
        {"sm_89", ".explicitcluster\n.reqnctapercluster 2, 1, 1\n", "", "clusters need sm_90"},
        {"sm_90", ".explicitcluster\n.reqnctapercluster 2, 1, 1\n", "", NULL},
    };
    for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++) {
        char text[4096];
        snprintf(text, sizeof text,
                 ".version 8.7\n.target %s\n.address_size 64\n.visible .entry k()\n%s{\n.reg .pred "
                 "%%p;\n.reg .b64 %%d;\n"
                 ".reg .b32 %%w<4>;\n.reg .f32 %%x, %%a<8>, %%b<4>;\nmov.b64 %%d, 0; setp.ne.b64 %%p, %%d, "
                 "0;\n%sret;\n}\n",
                 kernel[i].target, kernel[i].directives, kernel[i].body);
        PtxKernel *k = ptx_parse(text);
        bool good = !k->error[0] && ptx_check(k);
        bool as_wanted = kernel[i].wanted ? !good && strstr(k->error, kernel[i].wanted) : good;
        if (!ok(as_wanted, "wgmma %zu: %s", i, kernel[i].wanted ? kernel[i].wanted : "is good"))
            note("got: %s\n%s", k->error, text);
        ptx_free(k);
    }
}

static void refusals_of_the_parser(void)
{
    static const struct {
        const char *text, *wanted;
    } bad[] = {
        {"", "wants '.version'"},
        {".version 7.8\n.target compute_80\n", "wants a target sm_NN"},
        {".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k(\n.param .s8 a)\n{\n ret;\n}",
         "line 5: wants a parameter type"},
        {".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k()\n{\n  frobnicate %r1;\n ret;\n}",
         "line 6: 'frobnicate %r1;' is not in the PTX subset"},
        {".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k()\n{\n  .reg .b32 %a;\n add.s32 "
         "%a, %a, %b;\n}",
         "line 7: 'add.s32 %a, %a, %b;' does not fit"},
        {".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k()\n{\n  ret;\n", "wants '}'"},
        {".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k()\n{\n ret;\n}\n.visible",
         "one kernel a file"},
        {".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k()\n{\n .reg .b32 %a<0>;\n ret;\n}",
         "is not a register array"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        PtxKernel *k = ptx_parse(bad[i].text);
        if (!ok(strstr(k->error, bad[i].wanted) != NULL, "parser: %s", bad[i].wanted))
            note("got: %s", k->error);
        ptx_free(k);
    }
}

static void arrays_and_scalars(void)
{
    PtxKernel *k =
        ptx_parse(".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k()\n{\n"
                  ".reg .b32 %a<12>, %a_b, %c1;\n mov.b32 %a11, 0; mov.b32 %c1, 1; // two on a line\n"
                  " @!%p bra x;\n ret;\n}");
    ok(strstr(k->error, "wants a declared predicate") != NULL, "a guard must be declared");
    ptx_free(k);
    k = ptx_parse(".version 7.8\n.target sm_89\n.address_size 64\n.visible .entry k()\n{\n"
                  ".reg .b32 %a<12>, %a_b, %c1;\n mov.b32 %a11, 0; mov.b32 %c1, 1; // two on a line\n "
                  "mov.b32 %a_b,\n   5;\nret;}");
    ok(!k->error[0], "free layout is read");
    ok(k->inst[0].arg[0].first == 11 && k->inst[1].arg[0].first == 13,
       "array elements and scalars are told apart");
    ptx_free(k);
}

/* A kernel with everything that the head of a file can have: maps, launch bounds, a cluster. */
static void whole_file(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    PtxKernel *k = ptx_parse(text);
    char *once = printed(k);
    PtxKernel *back = ptx_parse(once);
    char *again = printed(back);
    is_str(again, once, "%s: parse, print, parse, print gives the same", path);
    ok(back->cluster == 2 && back->max_threads == 384 && back->param[1].offset_bytes == 128 &&
           back->param_bytes == 388,
       "%s: its launch bounds and parameters are kept", path);
    free(once);
    free(again);
    ptx_free(k);
    ptx_free(back);
}

int main(void)
{
    for (int op = 0; op < PTX_N_OPS; op++) {
        round_trip((PtxOp)op, 0);
        if (op != PTX_BLANK) round_trip((PtxOp)op, 1);
    }
    refusals_of_the_builder();
    refusals_of_the_checker();
    wgmma_rules();
    refusals_of_the_parser();
    arrays_and_scalars();
    whole_file("tests/hopper/ring2.ptx");
    return done();
}
