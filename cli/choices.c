/* choices.c: from options to a configuration. What cannot be read is a mistake of usage; whether the
 * configuration can work is the generator's to say. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* Options that are numbers of a configuration. */
#define NUMBER_CHOICES(X)                                                                                    \
    X(STAGES, stages)                                                                                        \
    X(GROUP_M, group_m)                                                                                      \
    X(X_COPY_BYTES, x_copy_bytes)                                                                            \
    X(W_COPY_BYTES, w_copy_bytes)                                                                            \
    X(Y_STORE, y_store_bytes)                                                                                \
    X(MIN_BLOCKS, min_blocks)                                                                                \
    X(CLUSTER_M, cluster_m)                                                                                  \
    X(CLUSTER_N, cluster_n)                                                                                  \
    X(SKEW_BLOCKS, skew_blocks)

static int unknown_arch(const Options *o)
{
    char names[256] = "";
    size_t n = 0;
    for (int i = 0; i < gen_arch_count() && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", gen_arch_at(i)->name);
    return usage(o->command->name, "--arch '%s' is not known; known are %s", o->text[OPT_ARCH], names);
}

int choose_arch(const Options *o, const GenArch **arch)
{
    *arch = given(o, OPT_ARCH) ? gen_arch_find(o->text[OPT_ARCH]) : NULL;
    return given(o, OPT_ARCH) && !*arch ? unknown_arch(o) : EXIT_OK;
}

int choose_type(const Options *o, GenType usual, GenType *type)
{
    const char *text = o->text[OPT_DTYPE];
    *type = usual;
    if (!text || (gen_type_parse(text, type) && (*type == GEN_F16 || *type == GEN_BF16))) return EXIT_OK;
    return usage(o->command->name, "--dtype '%s' is not known; write f16 or bf16", text);
}

int choose_fields(const Options *o, GenConfig *config)
{
    GenError error;
    bool good = (!given(o, OPT_TILE) || gen_config_set_tile(config, o->text[OPT_TILE], &error)) &&
                (!given(o, OPT_WARPS) || gen_config_set_warps(config, o->text[OPT_WARPS], &error)) &&
                (!given(o, OPT_EPILOGUE) || gen_config_set_epilogue(config, o->text[OPT_EPILOGUE], &error));
    if (!good) return usage(o->command->name, "%s", error.text);
#define X(id, member)                                                                                        \
    if (given(o, OPT_##id)) config->member = o->number[OPT_##id];
    NUMBER_CHOICES(X)
#undef X
    if (given(o, OPT_PINGPONG)) config->pingpong = true;
    return EXIT_OK;
}

int choose_config(const Options *o, GenConfig *config)
{
    const GenArch *arch;
    GenType type;
    GenError error;
    gen_config_default(gen_arch_find("sm_89"), GEN_F16, config);
    if (given(o, OPT_CONFIG) && strstr(o->text[OPT_CONFIG], ".ptx"))
        return usage(o->command->name, "--config wants a name, not the file '%s': leave out .ptx; run --kernel takes files",
                     o->text[OPT_CONFIG]);
    if (given(o, OPT_CONFIG) && !gen_config_parse(o->text[OPT_CONFIG], config, &error))
        return usage(o->command->name, "%s", error.text);
    int status = choose_arch(o, &arch);
    if (!status) status = choose_type(o, config->w, &type);
    if (status) return status;
    if (arch) config->arch = arch;
    if (given(o, OPT_DTYPE)) config->x = config->w = config->bias = config->y = type;
    return choose_fields(o, config);
}

int check_epilogue(const Options *o)
{
    GenConfig config;
    GenError error;
    if (!given(o, OPT_EPILOGUE) || gen_config_set_epilogue(&config, o->text[OPT_EPILOGUE], &error))
        return EXIT_OK;
    return usage(o->command->name, "%s", error.text);
}

int choose_device(const Options *o, const char **which)
{
    const char *d = given(o, OPT_DEVICE) ? o->text[OPT_DEVICE] : "auto";
    *which = d;
    if (strcmp(d, "auto") == 0 || strcmp(d, "gpu") == 0 || strcmp(d, "emu") == 0) return EXIT_OK;
    return usage(o->command->name, "--device '%s' is not known; write auto, gpu or emu", d);
}
