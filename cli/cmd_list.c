/* cmd_list.c: tilesmith list: the configurations worth offering, one line each. */
#include "cli/commands.h"

#include <stdio.h>

static const OptionId takes[] = {OPT_ARCH, OPT_DTYPE, OPT_REFUSED, OPT_HELP};

static void print_config(const GenConfig *config, bool refused)
{
    char name[GEN_MAX_NAME];
    GenSummary s;
    GenError error;
    gen_config_name(config, name);
    bool works = gen_config_summary(config, &s, &error);
    if (works == refused) return;
    if (refused) printf("%-44s %s\n", name, error.text);
    else printf("%-44s %7d %7d B %9d %9d\n", name, s.threads, s.smem_bytes, s.blocks_per_sm, s.regs_estimate);
}

static int run_list(const Options *o)
{
    static const GenType types[] = {GEN_F16, GEN_BF16};
    const GenArch *arch;
    GenType type;
    GenConfig config;
    bool refused = given(o, OPT_REFUSED);
    int status = choose_arch(o, &arch);
    if (!status) status = choose_type(o, GEN_F16, &type);
    if (status) return status;
    if (refused) printf("%-44s %s\n", "# config", "why not");
    else printf("%-44s %7s %9s %9s %9s\n", "# config", "threads", "shared", "blocks/SM", "registers");
    for (int a = 0; a < gen_arch_count(); a++)
        for (int t = 0; t < 2; t++) {
            if (arch && arch != gen_arch_at(a)) continue;
            if (given(o, OPT_DTYPE) && type != types[t]) continue;
            for (int i = 0; gen_listed(gen_arch_at(a), types[t], i, &config); i++)
                print_config(&config, refused);
        }
    return EXIT_OK;
}

const Command command_list = {
    .name = "list",
    .synopsis = "[OPTION]...",
    .summary = "list configurations",
    .details =
        "Prints one line a configuration that tilesmith chooses from: its name, threads and dynamic shared\n"
        "memory of a block, blocks that fit on an SM together, and an estimate of registers of a thread.",
    .option = takes,
    .run = run_list,
};
