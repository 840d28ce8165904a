/* cmd_gen.c: tilesmith gen: PTX text to a file, a directory or standard output. */
#include "cli/commands.h"
#include "cli/file.h"

#include <stdlib.h>
#include <string.h>

static const OptionId takes[] = {
    OPT_ARCH,     OPT_DTYPE,      OPT_TILE,    OPT_WARPS,        OPT_STAGES,
    OPT_EPILOGUE, OPT_CONFIG,     OPT_GROUP_M, OPT_X_COPY_BYTES, OPT_W_COPY_BYTES,
    OPT_Y_STORE,  OPT_MIN_BLOCKS, OPT_CLUSTER_M, OPT_CLUSTER_N,  OPT_SKEW_BLOCKS,
    OPT_PINGPONG, OPT_ALL,        OPT_OUTPUT,  OPT_HELP,
};

/* "dir" and a config -> "dir/NAME.ptx"; false: too long. */
static bool path_in(const char *directory, const char *name, char *path, size_t path_bytes)
{
    size_t n = strlen(directory);
    const char *slash = n && directory[n - 1] == '/' ? "" : "/";
    return snprintf(path, path_bytes, "%s%s%s.ptx", directory, slash, name) < (int)path_bytes;
}

static bool is_directory_name(const char *path)
{
    size_t n = strlen(path);
    return file_is_directory(path) || (n && path[n - 1] == '/');
}

/* Makes the kernel and writes it to output: a path, "-", or a directory. */
static bool write_kernel(const GenConfig *config, const char *output, Error *error)
{
    char name[GEN_MAX_NAME], path[4096];
    char *text;
    size_t bytes;
    GenError gen_error;
    gen_config_name(config, name);
    if (!gen_kernel(config, &text, &bytes, &gen_error)) return refuse(error, "%s", gen_error.text);
    bool good = true;
    if (is_directory_name(output)) {
        good = path_in(output, name, path, sizeof path) || refuse(error, "the path %s is too long", output);
        output = path;
    }
    good = good && file_write(output, text, bytes, error);
    free(text);
    return good;
}

/* --all says everything but where. */
static int refuse_beside_all(const Options *o)
{
    for (const OptionId *id = takes; *id != OPT_HELP; id++)
        if (given(o, *id) && *id != OPT_ALL && *id != OPT_OUTPUT)
            return usage(o->command->name, "--all writes a fixed set; leave out %s", option_flag(*id));
    return EXIT_OK;
}

static int gen_all(const Options *o)
{
    Error error;
    GenConfig config;
    const char *directory = o->text[OPT_OUTPUT];
    int status = refuse_beside_all(o), n = 0;
    if (status) return status;
    if (!directory) return usage(o->command->name, "--all needs -o DIR");
    if (!file_is_directory(directory))
        return fail(o->command->name, "cannot write to %s: it is not a directory", directory);
    for (; gen_shipped(n, &config); n++)
        if (!write_kernel(&config, directory, &error)) return fail(o->command->name, "%s", error.text);
    printf("%d kernels written to %s\n", n, directory);
    return EXIT_OK;
}

static int run_gen(const Options *o)
{
    Error error;
    GenConfig config;
    if (given(o, OPT_ALL)) return gen_all(o);
    int status = choose_config(o, &config);
    if (status) return status;
    if (write_kernel(&config, given(o, OPT_OUTPUT) ? o->text[OPT_OUTPUT] : "-", &error)) return EXIT_OK;
    return fail(o->command->name, "%s", error.text);
}

const Command command_gen = {
    .name = "gen",
    .synopsis = "[OPTION]... [-o FILE|DIR|-]\n       tilesmith gen --all -o DIR",
    .summary = "write a kernel as PTX",
    .details = "Writes one kernel as PTX text that describes itself in its header lines, to standard output\n"
               "or to -o. The default is mma_sm89_f16_128x128x32_w2x4_s3; options change it field by field.",
    .option = takes,
    .run = run_gen,
};
