/* libcuda.c: a CUDA driver whose device is this machine's CPU: entry, errors, symbols.
 *
 * Any program of the driver API can use it, as libcuda.so.1 on LD_LIBRARY_PATH or by dlopen. It executes
 * PTX of the subset in gen/ptx/ops.h, one kernel a module, and is adversarial where CUDA leaves freedom:
 * memory and registers start poisoned, asynchronous copies land as late as they may, warps are interleaved
 * at random, and races, stray and misaligned accesses, and broken barriers are traps.
 *
 * Environment:
 *     TILESMITH_EMU_SM         compute capability: 80, 86, 89 (default), 90 or 120; read by cuInit. 90 runs
 *                              code for sm_90a too
 *     TILESMITH_EMU_SMS        SMs of the device, default those of the chip; read by cuInit
 *     TILESMITH_EMU_MEMORY_MB  device memory, default 4096; read by cuInit
 *     TILESMITH_EMU_SEED       of the warp scheduler, default 1; read by each launch, like those below
 *     TILESMITH_EMU_THREADS    host threads, default the online CPUs; results do not depend on it
 *     TILESMITH_EMU_BUDGET     warp instructions that a block may execute, default 400 million
 *     TILESMITH_EMU_QUIET      1: traps are not printed on stderr
 *
 * Beside the driver's own functions it exports emu_last_trap() and emu_counter_*().
 */
#include "emu/libcuda.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/device.h"
#include "emu/driver_api.h"
#include "emu/symbols.h"

/* ---- settings ---- */

/* Once a name, for launches ask again and again. Names are literals. */
static void say_once(const char *name, const char *text, uint64_t low, uint64_t high)
{
    static _Atomic(const char *) said[8];
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        const char *there = NULL;
        if (atomic_compare_exchange_strong(&said[i], &there, name)) break;
        if (strcmp(there, name) == 0) return;
    }
    fprintf(stderr, "tilesmith emulator: %s=%s is not a number from %llu to %llu; it is left out\n", name, text,
            (unsigned long long)low, (unsigned long long)high);
}

uint64_t setting(const char *name, uint64_t otherwise, uint64_t low, uint64_t high)
{
    const char *text = getenv(name);
    if (!text || !*text) return otherwise;
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (*end == 0 && !errno && *text != '-' && value >= low && value <= high) return value;
    say_once(name, text, low, high);
    return otherwise;
}

bool quiet(void)
{
    const char *text = getenv("TILESMITH_EMU_QUIET");
    return text && strcmp(text, "1") == 0;
}

/* ---- the lock, and who may enter ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialized;

void api_lock(void) { pthread_mutex_lock(&lock); }
void api_unlock(void) { pthread_mutex_unlock(&lock); }

CUresult api_leave(CUresult result)
{
    api_unlock();
    return result;
}

CUresult api_enter(Context **current)
{
    api_lock();
    if (!initialized) return api_leave(CUDA_ERROR_NOT_INITIALIZED);
    if (!current) return CUDA_SUCCESS;
    CUresult r = context_current(current);
    if (r == CUDA_SUCCESS && !*current) r = CUDA_ERROR_INVALID_CONTEXT;
    if (r == CUDA_SUCCESS) r = (*current)->error;
    return r ? api_leave(r) : CUDA_SUCCESS;
}

static bool select_chip(void)
{
    const char *sm = getenv("TILESMITH_EMU_SM");
    char *end = NULL;
    long number = sm && *sm ? strtol(sm, &end, 10) : 89;
    bool is_number = !end || !*end;
    if (is_number && chip_select((int)number, (int)setting("TILESMITH_EMU_SMS", 0, 1, 1024))) return true;
    fprintf(stderr, "tilesmith emulator: there is no device TILESMITH_EMU_SM=%s; it can be 80, 86, 89, 90 or 120\n", sm);
    return false;
}

EXPORT CUresult cuInit(unsigned flags)
{
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    api_lock();
    if (initialized) LEAVE(CUDA_SUCCESS);
    if (!select_chip()) LEAVE(CUDA_ERROR_NO_DEVICE);
    initialized = device_memory_open(setting("TILESMITH_EMU_MEMORY_MB", 4096, 1, 1 << 18) << 20);
    LEAVE(initialized ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

EXPORT CUresult cuDriverGetVersion(int *version)
{
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = DRIVER_VERSION;
    return CUDA_SUCCESS;
}

/* ---- handles ---- */

static Object *objects;

void object_add(Object *o, ObjectKind kind, Context *owner)
{
    *o = (Object){kind, owner, objects};
    objects = o;
}

void object_remove(Object *o)
{
    for (Object **p = &objects; *p; p = &(*p)->next)
        if (*p == o) {
            *p = o->next;
            return;
        }
}

bool object_is(const void *handle, ObjectKind kind)
{
    for (const Object *o = objects; o; o = o->next)
        if (o == handle) return o->kind == kind;
    return false;
}

Object *object_first(void) { return objects; }

/* ---- errors ---- */

static const struct { int code; const char *name, *text; } results[] = {
#define X(code, name, text) {code, #name, text},
    CUDA_RESULTS(X)
#undef X
};

EXPORT CUresult cuGetErrorName(CUresult error, const char **name)
{
    if (!name) return CUDA_ERROR_INVALID_VALUE;
    *name = NULL;
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].code == (int)error) *name = results[i].name;
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGetErrorString(CUresult error, const char **text)
{
    if (!text) return CUDA_ERROR_INVALID_VALUE;
    *text = NULL;
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].code == (int)error) *text = results[i].text;
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ---- traps ---- */

static char last_trap[640];

/* Called with the lock held. */
void record_trap(const char *entry, const char *sentence)
{
    snprintf(last_trap, sizeof last_trap, "%s", sentence);
    if (!quiet()) fprintf(stderr, "tilesmith emulator: kernel %s: %s\n", entry, sentence);
}

EXPORT const char *emu_last_trap(void)
{
    static _Thread_local char copy[sizeof last_trap];
    api_lock();
    memcpy(copy, last_trap, sizeof copy);
    api_unlock();
    return copy;
}

/* ---- symbols ---- */

typedef void (*AnyFunction)(void);
static const struct { const char *name; AnyFunction function; int since; } symbols[] = {
#define X(name, function, since) {name, (AnyFunction)function, since},
    DRIVER_SYMBOLS(X)
#undef X
};

/* How it went; *function is NULL unless it was found. */
static int find_symbol(const char *name, void **function, int version)
{
    int found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    *function = NULL;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        if (strcmp(symbols[i].name, name) != 0) continue;
        if (found == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND) found = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
        if (symbols[i].since > version) continue;
        found = CU_GET_PROC_ADDRESS_SUCCESS;
        memcpy(function, &symbols[i].function, sizeof *function);
    }
    return found;
}

EXPORT CUresult cuGetProcAddress(const char *name, void **function, int version, uint64_t flags)
{
    if (!name || !function || flags > 2) return CUDA_ERROR_INVALID_VALUE;
    return find_symbol(name, function, version) ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

/* As driver 580: who asks for a status gets the failure there, and success as the result. */
EXPORT CUresult cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags,
                                    int *status)
{
    if (!status) return cuGetProcAddress(name, function, version, flags);
    if (!name || !function || flags > 2) return CUDA_ERROR_INVALID_VALUE;
    *status = find_symbol(name, function, version);
    return CUDA_SUCCESS;
}
