/* device.h: where kernels run: a GPU, or the emulator that is built beside the program. */
#ifndef CLI_DEVICE_H
#define CLI_DEVICE_H

#include "cli/error.h"
#include "gen/gen.h"
#include "runtime/tilesmith.h"

enum { DEVICE_MAX_PATH = 4096 };

typedef struct Device {
    ts_context *context;
    ts_device_info info;
} Device;

/* which: "gpu", "emu", or "auto": a GPU where the driver opens and has one, else the emulator. */
bool device_open(const char *command, const char *which, Device *device, Error *error);
void device_close(Device *device);
/* What the runtime did: true, or its sentence in *error. */
bool device_check(ts_status status, Error *error);
/* The operand type of gen that a type of the runtime is. */
GenType device_type(ts_dtype dtype);
/* The other way round. */
ts_dtype device_dtype(GenType type);
/* `named`, or if that is NULL what suits the device; NULL and a sentence if nothing does. */
const GenArch *device_arch(const Device *device, const GenArch *named, Error *error);
/* Generates and loads. The caller destroys *kernel. */
bool device_load(const Device *device, const GenConfig *config, ts_kernel **kernel, Error *error);
/* The emulator's driver library: emu/libcuda.so.1 beside the executable, or of an installation. */
bool device_emulator_path(char path[DEVICE_MAX_PATH], Error *error);

#endif
