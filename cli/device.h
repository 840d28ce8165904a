/* device.h: where kernels run: a GPU, or the emulator that is built beside the program. */
#ifndef CLI_DEVICE_H
#define CLI_DEVICE_H

#include "cli/error.h"
#include "runtime/tilesmith.h"

enum { DEVICE_MAX_PATH = 4096 };

typedef struct Device {
    ts_context *context;
    ts_device_info info;
} Device;

/* which: "gpu", "emu", or "auto": a GPU where the driver opens and has one, else the emulator. */
bool device_open(const char *command, const char *which, Device *device, Error *error);
void device_close(Device *device);
/* The emulator's driver library: emu/libcuda.so.1 beside the executable, or of an installation. */
bool device_emulator_path(char path[DEVICE_MAX_PATH], Error *error);

#endif
