/* machine.h: the machine that executes a kernel: what the files of the emulator share.
 *
 *     program.c   PtxKernel -> Program: labels resolved, operands turned into rows of the register file
 *     machine.c   grid -> blocks -> warps; the scheduler; barriers
 *     execs.h     one exec_ROW per row of gen/ptx/ops.h, in alu.c, memory.c, async.c, tensor.c, control.c
 *     memory.c    shared and global accesses with all their checks;  race.c  who may touch shared memory
 *     publish.c   what blocks may read of each other's writes
 *     device.c    the address space of global memory
 *     counters.c  what a profiler would count
 *
 * A warp is 32 lanes over one register file, laid out [register][lane], so that an instruction is a loop
 * of 32 over contiguous rows, which compilers vectorise. Predicates are one 32-bit mask each. A block is
 * run by one host thread, and its warps are interleaved by a generator seeded with (seed, block): what a
 * block does is a function of the seed alone, whatever the number of host threads.
 */
#ifndef EMU_MACHINE_H
#define EMU_MACHINE_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gen/ptx/ptx.h"
#include "emu/counters.h"
#include "emu/device.h"
#include "emu/publish.h"
#include "emu/race.h"

enum {
    LANES = 32,
    MAX_WARPS = 32, /* of a block: 1024 threads */
    N_BARRIERS = 16,
    /* Where the dynamic shared array starts. Not 0, so that a kernel that takes offsets for addresses is
     * found out; devices from sm_90 on start there too, behind what the system reserves. */
    SHARED_BASE = 1024,
    MAX_TRAP = 512,
};
#define ALL_LANES 0xFFFFFFFFu

/* Fills memory that nobody has written: a NaN in f16, bf16 and f32, and a wild integer and address. */
#define POISON_32 0xFFA5FFA5u
void poison(void *memory, size_t bytes);

/* Traps, as (name, the CUDA error that the context keeps). */
#define TRAP_KINDS(X)        \
    X(OUT_OF_BOUNDS, 700)    \
    X(MISALIGNED, 716)       \
    X(RACE, 719)             \
    X(ASYNC_COPY, 719)       \
    X(DIVERGED, 719)         \
    X(DEADLOCK, 719)         \
    X(BUDGET, 702)
#define X(name, error) TRAP_##name,
typedef enum TrapKind { TRAP_KINDS(X) } TrapKind;
#undef X

typedef struct Warp Warp;
typedef struct Block Block;
typedef struct Inst Inst;
typedef void (*Exec)(Warp *w, const Inst *in, uint32_t lanes);

/* An operand made ready: a row of the register file, or of constants. */
typedef struct Operand {
    uint32_t row;         /* byte offset in the register file */
    const void *constant; /* 32 copies of an immediate, or NULL */
    int64_t imm;          /* byte offset of a memory operand, or a bare immediate */
} Operand;

struct Inst {
    Exec exec;
    uint16_t op;       /* PtxOp */
    bool collective;   /* all 32 lanes, or it is undefined */
    bool guard_negate;
    int32_t guard;     /* byte offset of the predicate, or -1 */
    uint32_t target;   /* of a branch */
    uint32_t source;   /* index in kernel->inst */
    int line;
    Operand arg[PTX_MAX_ARGS];
};

/* A kernel ready to run. Immutable: host threads share it. */
typedef struct Program {
    PtxKernel *kernel;
    Inst *inst;
    int n_inst;
    uint32_t row[PTX_N_CLASSES]; /* where the rows of a class start in the register file */
    uint32_t register_bytes;     /* of one warp */
    unsigned char *constants;
} Program;

/* Verifies the kernel and takes it over. NULL with a sentence in `error` when it cannot run; the kernel is
 * then still the caller's. */
Program *program_new(PtxKernel *kernel, char *error, size_t error_bytes);
void program_free(Program *p);

/* ---- asynchronous copies of one warp (async.c) ---- */
typedef struct Copy {
    uint64_t source;
    uint32_t shared;
    uint32_t group; /* of its lane; NOT_COMMITTED until a commit */
    uint8_t lane, bytes, source_bytes;
} Copy;

typedef struct CopyQueue {
    Copy *copy;
    int n, capacity;
    int committed;           /* copies [0, committed) are in a group */
    uint32_t groups[LANES];  /* committed so far by each lane */
} CopyQueue;

struct Warp {
    Block *block;
    unsigned char *registers;
    uint32_t alive;     /* lanes that exist and have not returned */
    uint32_t jumping;   /* lanes that the instruction under way sends to its target */
    bool converged;     /* all live lanes stand at pc */
    uint32_t pc;
    uint32_t lane_pc[LANES]; /* valid when not converged */
    int index;          /* in the block */
    int barrier;        /* that it waits at, or -1 */
    CopyQueue copies;
};

typedef struct Launch {
    const Program *program;
    uint32_t grid[3], block[3];
    uint32_t shared_bytes; /* dynamic */
    const unsigned char *params;
    int host_threads;
    uint64_t seed, budget; /* budget: warp instructions that one block may execute */
} Launch;

/* One block, and its host thread's storage, which serves the blocks after it too. */
struct Block {
    const Launch *launch;
    const Program *program;
    uint64_t index;          /* linear, in the grid */
    uint32_t coordinate[3];
    int n_threads, n_warps;
    Warp warp[MAX_WARPS];
    unsigned char *shared;
    Races races;
    Counters counters;
    DeviceRange recent[4];   /* allocations touched last */
    int next_recent;
    uint64_t random, executed;
    const atomic_ullong *lowest_trapped; /* of the launch's blocks */
    Publications *publications;          /* of the launch; NULL: its blocks do not communicate */
    AcquiredList acquired;
    uint32_t pc;             /* of the instruction under way, for traps */
    jmp_buf trapped;
    TrapKind trap_kind;
    char trap[MAX_TRAP];
};

typedef struct LaunchResult {
    int error;            /* CUDA error of the trap, or 0; 2 when there is no memory to run */
    char trap[MAX_TRAP];  /* its sentence */
    Counters counters;
} LaunchResult;

/* Runs all blocks to their end, or to the first trap (the one of the lowest block). */
void machine_run(const Launch *launch, LaunchResult *result);

/* Ends the block with a sentence: "line 214: st.global...: block 3, thread 17: <what happened>". */
_Noreturn void trap(Warp *w, int lane, TrapKind kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- operands ---- */
static inline const void *read_row(const Warp *w, const Inst *in, int arg)
{
    const Operand *o = &in->arg[arg];
    return o->constant ? o->constant : w->registers + o->row;
}
static inline void *write_row(const Warp *w, const Inst *in, int arg)
{
    return w->registers + in->arg[arg].row;
}
static inline uint32_t read_predicate(const Warp *w, const Inst *in, int arg)
{
    return *(const uint32_t *)(w->registers + in->arg[arg].row);
}
static inline int first_lane(uint32_t lanes) { return __builtin_ctz(lanes); }
static inline int count_lanes(uint32_t lanes) { return __builtin_popcount(lanes); }
/* for each lane of a mask, the lowest first */
#define EACH_LANE(lane, lanes)                                                                         \
    for (uint32_t lane##_left = (lanes), lane = 0;                                                     \
         lane##_left && (lane = (uint32_t)first_lane(lane##_left), 1); lane##_left &= lane##_left - 1)

/* ---- memory, checked (memory.c) ---- */
/* The bytes of a shared access, which has been found aligned, inside the array and free of races. */
unsigned char *shared_for_read(Warp *w, int lane, uint32_t address, uint32_t bytes);
unsigned char *shared_for_write(Warp *w, int lane, uint32_t address, uint32_t bytes);
void shared_for_copy(Warp *w, int lane, uint32_t address, uint32_t bytes); /* marks the bytes in flight */
/* The lanes' addresses: the base registers plus the offset. */
void shared_addresses(const Warp *w, const Inst *in, int arg, uint32_t address[LANES]);
void global_addresses(const Warp *w, const Inst *in, int arg, uint64_t address[LANES]);
/* Counts the passes of an access that has been checked; `conflicts` is the counter of those beyond the ideal.
 */
void count_shared(Warp *w, const uint32_t address[LANES], uint32_t bytes, uint32_t lanes, int conflicts);
unsigned char *global_bytes(Warp *w, int lane, uint64_t address, uint32_t bytes, uint32_t align,
                            const char *verb);

/* ---- asynchronous copies (async.c) ---- */
void copies_drop(Warp *w);

#endif
