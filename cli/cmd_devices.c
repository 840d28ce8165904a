/* cmd_devices.c: tilesmith devices: what kernels can run on here. */
#include "cli/commands.h"
#include "cli/device.h"

#include <stdio.h>

static const OptionId takes[] = {OPT_HELP};

static bool print_device(const char *library, const char *which, int ordinal)
{
    ts_device_info info = {.struct_size = sizeof info};
    if (ts_device_get_info(library, ordinal, &info)) {
        printf("%s %d: %s\n", which, ordinal, ts_last_error());
        return false;
    }
    printf("%s %d: %s, sm_%d%d, %d SMs, %.1f GiB, %d B of shared memory a block, CUDA %d.%d\n", which,
           ordinal, info.name, info.compute_major, info.compute_minor, info.sm_count,
           (double)info.memory_bytes / (1 << 30), info.block_smem_bytes, info.driver_version / 1000,
           info.driver_version % 1000 / 10);
    return true;
}

/* Returns how many devices of this driver can be used. */
static int print_driver(const char *library, const char *which)
{
    int count = 0, usable = 0;
    if (ts_device_count(library, &count)) printf("%s: none: %s\n", which, ts_last_error());
    else if (!count) printf("%s: none: the driver sees no device\n", which);
    for (int i = 0; i < count; i++) usable += print_device(library, which, i);
    return usable;
}

static int run_devices(const Options *o)
{
    char path[DEVICE_MAX_PATH];
    Error error;
    int usable = print_driver(NULL, "gpu");
    if (device_emulator_path(path, &error)) usable += print_driver(path, "emu");
    else printf("emu: none: %s\n", error.text);
    return usable ? EXIT_OK : fail(o->command->name, "there is nothing that kernels can run on");
}

const Command command_devices = {
    .name = "devices",
    .synopsis = "",
    .summary = "show what kernels can run on",
    .details = "Prints the devices of the NVIDIA driver (libcuda.so.1), and the emulator.",
    .option = takes,
    .run = run_devices,
};
