/* cmd_explain.c: tilesmith explain: what the choice of a configuration believes, in numbers. */
#include "cli/commands.h"
#include "cli/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OptionId takes[] = {OPT_SHAPE, OPT_ARCH, OPT_DTYPE, OPT_X_DTYPE, OPT_EPILOGUE, OPT_SMS, OPT_TOP, OPT_HELP};

enum { USUAL_TOP = 8, MAX_TOP = 100 };

/* SMs of the chip that people have of each compute capability. */
static int usual_sms(const GenArch *arch)
{
    static const struct {
        int sm, count;
    } chips[] = {{80, 108}, {86, 84}, {89, 128}, {90, 132}, {120, 170}};
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++)
        if (chips[i].sm == arch->sm) return chips[i].count;
    return 128;
}

/* Of the longest name, behind which the numbers stand. */
static int name_width(const GenCandidate *candidates, int n)
{
    char name[GEN_MAX_NAME];
    int width = 0;
    for (int i = 0; i < n; i++) {
        gen_config_name(&candidates[i].config, name);
        int length = (int)strlen(name);
        if (length > width) width = length;
    }
    return width;
}

static void print_heading(const GenProblem *p, int width)
{
    bool pack_x, pack_w;
    gen_choose_packing(p, &pack_x, &pack_w);
    printf("# %lldx%lldx%lld %s", (long long)p->m, (long long)p->n, (long long)p->k, gen_type_name(p->w));
    if (p->x != p->w) printf(" (x %s)", gen_type_name(p->x));
    printf(", %s, %d SMs", p->arch->name, p->sm_count);
    if (pack_x || pack_w)
        printf("; with a workspace rows of %s are packed first, and another config is chosen",
               pack_x && pack_w ? "x and W" : pack_x ? "x" : "W");
    printf("\n");
    printf("# %-*s %9s %7s %6s %8s  %s %10s %10s %8s\n", width - 2, "config", "us", "tiles", "waves", "k-blocks",
           "ns a k-block: tensor shared     L2 latency", "epilogue", "DRAM", "start");
}

static void print_candidate(const GenCandidate *c, int width)
{
    char name[GEN_MAX_NAME];
    const GenEstimate *e = &c->estimate;
    gen_config_name(&c->config, name);
    printf("%-*s %9.2f %7lld %6lld %8lld  %20.0f %6.0f %6.0f %7.0f %10.0f %10.0f %8.0f\n", width, name,
           e->total_ns / 1e3, (long long)e->tiles, (long long)e->waves, (long long)e->k_blocks, e->tensor_ns,
           e->smem_ns, e->l2_ns, e->latency_ns, e->epilogue_ns, e->dram_ns, e->start_ns);
}

static int explain(const Options *o, const GenProblem *p)
{
    GenCandidate candidates[MAX_TOP];
    GenError error = {""};
    int most = given(o, OPT_TOP) ? o->number[OPT_TOP] : USUAL_TOP;
    if (most < 1 || most > MAX_TOP) return usage("explain", "--top %d is not from 1 to %d", most, MAX_TOP);
    int n = gen_rank(p, candidates, most, &error);
    if (!n) return fail("explain", "no configuration does this: %s", error.text);
    int width = name_width(candidates, n);
    print_heading(p, width);
    for (int i = 0; i < n; i++) print_candidate(&candidates[i], width);
    return EXIT_OK;
}

static int run_explain(const Options *o)
{
    const GenArch *arch;
    GenType type = GEN_F16, x;
    Shape *shape = NULL;
    int n = 0;
    int status = choose_arch(o, &arch);
    if (!status) status = choose_type(o, GEN_F16, &type);
    x = type;
    if (!status && given(o, OPT_X_DTYPE) && !gen_type_parse(o->text[OPT_X_DTYPE], &x))
        status = usage("explain", "--x-dtype '%s' is not known; write f32, f16 or bf16", o->text[OPT_X_DTYPE]);
    if (!status && given(o, OPT_SMS) && o->number[OPT_SMS] < 1)
        status = usage("explain", "--sms 0: a device has SMs");
    if (!status) status = check_epilogue(o);
    if (!status && !given(o, OPT_SHAPE)) status = usage("explain", "--shape MxNxK is missing");
    if (!status) status = shapes_read(o, 1, &shape, &n);
    if (!status && !arch) arch = gen_arch_find("sm_89");
    for (int i = 0; i < n && !status; i++) {
        int sms = given(o, OPT_SMS) ? o->number[OPT_SMS] : usual_sms(arch);
        GenProblem p = shape_problem(shape[i], arch, sms, x, type, o->text[OPT_EPILOGUE]);
        status = explain(o, &p);
    }
    free(shape);
    return status;
}

const Command command_explain = {
    .name = "explain",
    .synopsis = "--shape MxNxK[,...] [OPTION]...",
    .summary = "show what the choice of a configuration believes",
    .details =
        "Prints the configurations that tilesmith ranks best for a problem of matrices without gaps, with "
        "the\n"
        "numbers behind the rank: tiles, tiles of the busiest SM, k-blocks, what a k-block takes of the "
        "tensor\n"
        "cores, shared memory, L2 and latency, of which the longest counts most, the epilogue of a tile, "
        "the\n"
        "time of memory for all, and the start. It needs no device and measures nothing; bench measures.\n"
        "docs/choice.md tells how they make the time.",
    .option = takes,
    .run = run_explain,
};
