/* commands.h: the commands, one file each, and what they share. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/error.h"
#include "cli/options.h"
#include "gen/gen.h"

extern const Command command_gen, command_list, command_run, command_bench, command_tune, command_explain,
    command_devices;

/* ---- choices of a configuration from options (choices.c); they return an exit status ---- */

/* The arch named; NULL in *arch if none is. */
int choose_arch(const Options *o, const GenArch **arch);
/* f16 or bf16; `usual` if none is named. */
int choose_type(const Options *o, GenType usual, GenType *type);
/* The configuration named, or the default one for sm_89; then each field that an option gives. */
int choose_config(const Options *o, GenConfig *config);
/* Changes the fields that options give, other than arch and types. */
int choose_fields(const Options *o, GenConfig *config);
/* Checks --epilogue, where no configuration is at hand yet. */
int check_epilogue(const Options *o);
/* auto, gpu or emu, as device_open takes it; auto if --device is not given. */
int choose_device(const Options *o, const char **which);

#endif
