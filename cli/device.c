/* device.c: opening a device, and kernels on it. To the runtime the emulator is a driver library like any
 * other: here is the only place that knows where it lies. */
#include "cli/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the directory of the executable: in the build, and installed. */
static const char *const emulator_places[] = {"emu/libcuda.so.1", "../lib/tilesmith/emu/libcuda.so.1"};
enum { N_PLACES = sizeof emulator_places / sizeof *emulator_places };

bool device_emulator_path(char path[DEVICE_MAX_PATH], Error *error)
{
    char directory[DEVICE_MAX_PATH - 64];
    ssize_t n = readlink("/proc/self/exe", directory, sizeof directory - 1);
    if (n < 0) return refuse(error, "the emulator cannot be found: /proc/self/exe cannot be read");
    directory[n] = 0;
    char *slash = strrchr(directory, '/');
    if (slash) *slash = 0;
    for (int i = 0; i < N_PLACES; i++) {
        snprintf(path, DEVICE_MAX_PATH, "%s/%s", directory, emulator_places[i]);
        if (access(path, R_OK) == 0) return true;
    }
    return refuse(error, "the emulator is missing: there is no %s and no %s in %s; build it by 'make'",
                  emulator_places[0], emulator_places[1], directory);
}

static ts_status open_library(const char *library, Device *device, Error *error)
{
    ts_context_options options = ts_context_options_make();
    options.driver_library = library;
    *device = (Device){.info.struct_size = sizeof device->info};
    ts_status status = ts_context_create(&options, &device->context);
    if (!status) status = ts_context_get_info(device->context, &device->info);
    if (!status) return TS_OK;
    refuse(error, "%s", ts_last_error());
    device_close(device);
    return status;
}

static bool open_emulator(Device *device, Error *error)
{
    char path[DEVICE_MAX_PATH];
    return device_emulator_path(path, error) && open_library(path, device, error) == TS_OK;
}

bool device_open(const char *command, const char *which, Device *device, Error *error)
{
    if (strcmp(which, "emu") == 0) return open_emulator(device, error);
    ts_status status = open_library(NULL, device, error);
    if (status == TS_OK) return true;
    if (strcmp(which, "gpu") == 0) return false;
    /* A machine without a GPU is ordinary; one whose GPU does not work is worth a word. */
    if (status != TS_ERROR_NO_DRIVER && status != TS_ERROR_NO_DEVICE)
        fail(command, "note: the GPU cannot be used (%s); the emulator runs instead", error->text);
    return open_emulator(device, error);
}

void device_close(Device *device)
{
    ts_context_destroy(device->context);
    device->context = NULL;
}

bool device_check(ts_status status, Error *error)
{
    return status == TS_OK || refuse(error, "%s", ts_last_error());
}

/* ---- kernels for it ---- */

GenType device_type(ts_dtype dtype)
{
    GenType type = GEN_F32;
    gen_type_parse(ts_dtype_name(dtype), &type);
    return type;
}

ts_dtype device_dtype(GenType type) { return type == GEN_F16 ? TS_F16 : type == GEN_BF16 ? TS_BF16 : TS_F32; }

const GenArch *device_arch(const Device *device, const GenArch *named, Error *error)
{
    const ts_device_info *d = &device->info;
    const GenArch *arch = named ? named : gen_arch_for_device(d->compute_major, d->compute_minor);
    if (!arch)
        refuse(error, "%s is sm_%d%d; tilesmith's kernels need sm_80 or newer", d->name, d->compute_major,
               d->compute_minor);
    return arch;
}

bool device_load(const Device *device, const GenConfig *config, ts_kernel **kernel, Error *error)
{
    GenError gen_error;
    char *text;
    size_t bytes;
    if (!gen_kernel(config, &text, &bytes, &gen_error)) return refuse(error, "%s", gen_error.text);
    ts_status status = ts_kernel_load(device->context, text, bytes, kernel);
    free(text);
    return device_check(status, error);
}
