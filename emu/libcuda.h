/* libcuda.h: what the files behind the exported cu* functions share.
 *
 *     libcuda.c          initialisation, errors, the symbol table
 *     libcuda_device.c   the device and contexts
 *     libcuda_module.c   modules, functions, launches
 *     libcuda_memory.c   allocations, copies, fills
 *     libcuda_tensor.c   tensor maps
 *     libcuda_stream.c   streams and events
 *     libcuda_graph.c    capture of a stream's launches into a graph, and its replay
 *
 * One lock covers the whole driver; a launch runs to its end inside its call. So streams execute eagerly,
 * in the order of the calls, which is one of the orders that CUDA allows.
 *
 * Every handle that a caller holds is an Object in one list, and is looked up there before it is used: a
 * wrong or stale handle is an error, not a crash. A kernel's trap stays in its context: every later call
 * there returns it, until the context is destroyed.
 */
#ifndef EMU_LIBCUDA_H
#define EMU_LIBCUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "emu/cuda_abi.h"
#include "emu/machine.h"

#define EXPORT __attribute__((visibility("default")))
/* The same function under another exported name: older, or of the per-thread default stream. */
#define ALSO_AS(other, function) \
    extern __typeof__(function) other __attribute__((alias(#function), visibility("default")))

enum { DRIVER_VERSION = 13000, PTX_VERSION = 90 };

/* ---- settings, from the environment ---- */
/* A number of the environment, or `otherwise` when it is unset; a value outside [low, high] or not a number
 * counts as unset and is complained about on stderr once a call. */
uint64_t setting(const char *name, uint64_t otherwise, uint64_t low, uint64_t high);
bool quiet(void);

/* ---- the device (libcuda_device.c) ---- */
typedef struct Chip {
    int sm, sm_count;
    int block_shared_bytes; /* most that one block may ask for */
    int sm_shared_bytes, sm_threads, sm_blocks;
    int clock_khz, memory_clock_khz, bus_bits, l2_bytes;
} Chip;
const Chip *chip(void);
bool chip_select(int sm, int sm_count); /* false: no such chip in the table */

/* ---- handles ---- */
typedef enum ObjectKind {
    OBJECT_CONTEXT,
    OBJECT_MODULE,
    OBJECT_FUNCTION,
    OBJECT_STREAM,
    OBJECT_EVENT,
    OBJECT_HOST_MEMORY,
    OBJECT_GRAPH,
    OBJECT_GRAPH_EXEC
} ObjectKind;

typedef struct Object {
    ObjectKind kind;
    struct Context *owner;
    struct Object *next;
} Object;

typedef struct Context {
    Object object; /* first, here and below: a handle is the address of its object */
    bool primary;
    int users; /* of the primary context: retains */
    unsigned flags;
    CUresult error; /* a kernel trapped here */
} Context;

typedef struct Function {
    Object object;
    struct Module *module;
    int max_dynamic_shared_bytes, carveout;
} Function;

typedef struct Module {
    Object object;
    struct Program *program;
    Function function; /* one kernel a module */
} Module;

typedef struct Stream {
    Object object;
    unsigned flags;
    int priority;
    struct Capture *capture; /* NULL: what comes is done at once */
} Stream;

typedef struct Event {
    Object object;
    unsigned flags;
    bool recorded;
    struct timespec at;
} Event;

typedef struct HostMemory {
    Object object;
    void *memory;
    size_t bytes;
} HostMemory;

void object_add(Object *o, ObjectKind kind, Context *owner);
void object_remove(Object *o);
/* Whether a handle is a live object of this kind. */
bool object_is(const void *handle, ObjectKind kind);
Object *object_first(void);
/* Ends an object that is still in the list: what each kind does beyond free(). */
void object_destroy(Object *o);
void module_destroy(Module *m);
bool stream_ok(CUstream s);

/* ---- graphs (libcuda_graph.c) ---- */
/* One launch, with values of its own for the parameters. */
typedef struct GraphNode {
    struct GraphNode *next;
    struct Function *function;
    Launch launch;
    size_t param_bytes;
    unsigned char params[]; /* where the launch has them */
} GraphNode;

/* What was captured, or an executable copy of it; nodes run in their order. */
typedef struct Graph {
    Object object;
    GraphNode *first, **last;
} Graph;

bool stream_captures(CUstream s);
/* Whether something other than a launch may be done on this stream now; where not, a capture is lost by it. */
CUresult stream_ready(CUstream s);
/* The same for a launch, which a capturing stream takes. */
CUresult stream_ready_for_launch(CUstream s);
CUresult capture_launch(CUstream s, struct Function *f, const Launch *launch);
void capture_end(Stream *s);
void graph_clear(Graph *g);
/* Of the parameter block; and a launch whose arguments were checked (libcuda_module.c). */
int function_param_bytes(const struct Function *f);
CUresult launch_now(Context *c, const struct Function *f, Launch launch);

/* ---- entering and leaving the driver ---- */
void api_lock(void);
void api_unlock(void);
/* Locks. Fails, unlocked, before cuInit and, when a context is asked for, without a current one or with one
 * whose kernel trapped. */
CUresult api_enter(Context **current);
CUresult api_leave(CUresult result);

#define ENTER(context)                           \
    Context *context __attribute__((unused));    \
    CUresult entered = api_enter(&context);      \
    if (entered) return entered
#define ENTER_WITHOUT_CONTEXT()                  \
    CUresult entered = api_enter(NULL);          \
    if (entered) return entered
#define LEAVE(result)           return api_leave(result)
#define LEAVE_IF(wrong, result) do { if (wrong) LEAVE(result); } while (0)

/* The calling thread's context (libcuda_device.c). */
CUresult context_current(Context **current);

/* On the clock of events (libcuda_stream.c). */
float milliseconds_between(const struct timespec *start, const struct timespec *end);

/* ---- traps ---- */
void record_trap(const char *entry, const char *sentence);
EXPORT const char *emu_last_trap(void);

/* ---- counters, exported ---- */
EXPORT void emu_counters_reset(void);
EXPORT int emu_counter_count(void);
EXPORT const char *emu_counter_name(int i);
EXPORT unsigned long long emu_counter_value(int i);

#endif
