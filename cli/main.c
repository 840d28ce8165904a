/* main.c: tilesmith, the command line. One table of commands; each has its file cmd_NAME.c. */
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const Command *const commands[] = {&command_gen, &command_list, &command_run, &command_bench,
                                         &command_tune, &command_explain, &command_devices};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static int help(void)
{
    printf("Usage: tilesmith COMMAND [OPTION]...\n\n"
           "Writes specialised PTX kernels for fused linear layers on NVIDIA GPUs,\n"
           "    y = z + s * sigmoid(z),  z = x W^T + bias    (or another expression in z),\n"
           "and runs and verifies them, on a GPU or on an emulator.\n\n"
           "Commands:\n");
    for (int i = 0; i < N_COMMANDS; i++) printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n'tilesmith COMMAND --help' tells about a command; --version prints the version.\n"
           "Exit status: 0 success, 1 failed, 2 wrong usage.\n");
    return EXIT_OK;
}

static int run(const Command *command, int argc, char **argv)
{
    Options options;
    int status = options_parse(command, argc, argv, &options);
    if (status) return status;
    if (!given(&options, OPT_HELP)) return command->run(&options);
    options_help(command);
    return EXIT_OK;
}

static int dispatch(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) return usage(NULL, "a command is missing");
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return help();
    if (strcmp(name, "--version") == 0) return printf("tilesmith %s\n", GEN_VERSION), EXIT_OK;
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return run(commands[i], argc - 1, argv + 1);
    return usage(NULL, "there is no command '%s'", name);
}

int main(int argc, char **argv)
{
    int status = dispatch(argc, argv);
    errno = 0;
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (status || written) return status;
    /* a line that was flushed earlier failed for a reason that is gone */
    return fail(NULL, "cannot write to standard output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
}
