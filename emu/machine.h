/* machine.h: the machine that executes a kernel: what the files of the emulator share.
 *
 *     program.c   PtxKernel -> Program: labels resolved, operands turned into rows of the register file
 *     machine.c   grid -> clusters -> blocks -> warps;  schedule.c  which warp goes on
 *     execs.h     one exec_ROW per row of gen/ptx/ops.h, in the files named here
 *     alu.c, tensor.c, control.c, memory.c (with all checks of an access), async.c (cp.async)
 *     barrier.c   bar.sync and barrier.cluster;  mbarrier.c  barriers in shared memory
 *     tma.c       tensor copies of the TMA;  warpgroup.c, wgmma.c  what four warps do together
 *     race.c      who may touch shared memory;  publish.c  what blocks may read of each other's writes
 *     device.c    the address space of global memory
 *     counters.c  what a profiler would count
 *
 * A warp is 32 lanes over one register file, laid out [register][lane], so that an instruction is a loop
 * of 32 over contiguous rows, which compilers vectorise. Predicates are one 32-bit mask each. A cluster (a
 * block, where the launch has none) is run by one host thread, and the warps of its blocks are interleaved by
 * a generator seeded with (seed, cluster): what it does is a function of the seed alone, whatever the number
 * of host threads.
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
#include "emu/mbarrier.h"
#include "emu/publish.h"
#include "emu/race.h"
#include "emu/tma.h"
#include "emu/warpgroup.h"

enum {
    LANES = 32,
    MAX_WARPS = 32,   /* of a block: 1024 threads */
    MAX_CLUSTER = 8,  /* blocks; more are not portable */
    N_BARRIERS = 16,
    /* Where the dynamic shared array starts. Not 0, so that a kernel that takes offsets for addresses is
     * found out; devices from sm_90 on start there too, behind what the system reserves. */
    SHARED_BASE = 1024,
    /* In the window of the cluster, block r of it stands at (r + 1) << CLUSTER_SHIFT; its own addresses, which
     * have that too, are taken for what they are by everything but a descriptor. A chip counts from r. */
    CLUSTER_SHIFT = 24,
    PARAM_BASE = 0x240, /* of the first parameter in its state space */
    MAX_TRAP = 512,
};
#define ALL_LANES 0xFFFFFFFFu
/* Where the parameter space stands among generic addresses: behind all that a process maps. */
#define PARAM_WINDOW 0x7FFFFF0000000000ull

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
    X(BARRIER, 719)          \
    X(TENSOR_MAP, 719)       \
    X(POLICY, 719)           \
    X(WARPGROUP, 719)        \
    X(LIFETIME, 719)         \
    X(BUDGET, 702)
#define X(name, error) TRAP_##name,
typedef enum TrapKind { TRAP_KINDS(X) } TrapKind;
#undef X

typedef struct Warp Warp;
typedef struct Block Block;
typedef struct Cluster Cluster;
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
    bool touches_held; /* touches registers that some wgmma of the kernel accumulates in or multiplies */
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
    bool uses_mbarriers, uses_warpgroups;
    bool may_start_early; /* it waits for the kernel before it itself, by griddepcontrol.wait */
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

/* What a warp waits for before it goes on. */
typedef enum Wait {
    NOT_WAITING,
    AT_BARRIER,  /* bar.sync: until all have come */
    AT_CLUSTER,  /* barrier.cluster.wait */
    AT_MBARRIER, /* a try_wait has said no: until the phase ends, or for a while */
    AT_WARPGROUP, /* for the other warps of the warpgroup */
    AT_REGISTERS, /* setmaxnreg.inc: for registers that others give back */
} Wait;

struct Warp {
    Block *block;
    unsigned char *registers;
    uint32_t alive;     /* lanes that exist and have not returned */
    uint32_t jumping;   /* lanes that the instruction under way sends to its target */
    bool converged;     /* all live lanes stand at pc */
    bool retry;         /* the instruction under way has done nothing: it comes again */
    uint32_t pc;
    uint32_t lane_pc[LANES]; /* valid when not converged */
    int index;          /* in the block */
    int actor;          /* in the cluster (race.h) */
    Wait wait;
    uint32_t wait_pc;   /* of the instruction that made it wait */
    uint64_t wait_event; /* the cluster's events when it began to */
    int barrier;        /* AT_BARRIER: its number */
    const Mbarrier *mbarrier; /* AT_MBARRIER: it, and the phase under way */
    uint32_t mbarrier_phase;
    enum { AWAY, ARRIVED, OPENED } cluster_barrier; /* OPENED: all have arrived, it has not waited yet */
    uint32_t grid_waited; /* lanes that have waited for the kernel before */
    uint32_t unfenced;  /* lanes that wrote shared memory since their last fence.proxy.async */
    int registers_each; /* of a thread, as setmaxnreg counts */
    uint32_t bulk_groups[LANES]; /* cp.async.bulk groups committed by each lane */
    CopyQueue copies;
    HeldRegisters held;
};

typedef struct Launch {
    const Program *program;
    uint32_t grid[3], block[3];
    uint32_t cluster;      /* blocks, neighbours in x */
    bool early;            /* the kernel before may still run: programmatic stream serialization */
    uint32_t shared_bytes; /* dynamic */
    const unsigned char *params;
    int host_threads;
    uint64_t seed, budget; /* budget: warp instructions that one block may execute */
} Launch;

/* bar.sync and bar.arrive: one of the 16 barriers of a block. */
typedef struct NamedBarrier {
    uint32_t arrived, waiting; /* warps */
    uint32_t threads;          /* that it is for; 0: all of the block */
    uint32_t *knowledge;       /* of those that have arrived */
} NamedBarrier;

struct Block {
    Cluster *cluster;
    const Launch *launch;
    const Program *program;
    uint64_t index;          /* linear, in the grid */
    uint32_t coordinate[3];
    int rank;                /* in the cluster */
    int n_threads, n_warps;
    int live;                /* warps that have not ended */
    Warp warp[MAX_WARPS];
    unsigned char *shared;
    Races races;
    NamedBarrier barrier[N_BARRIERS];
    Mbarriers mbarriers;
    Warpgroup group[MAX_WARPS / 4];
    int free_registers;      /* that setmaxnreg.inc can take */
    Counters counters;
    DeviceRange recent[4];   /* allocations touched last */
    int next_recent;
    AcquiredList acquired;
};

/* The blocks of a cluster, and their host thread's storage, which serves the clusters after it too. */
struct Cluster {
    const Launch *launch;
    const Program *program;
    uint64_t index;          /* linear, in the grid */
    int n_blocks;
    Block *block[MAX_CLUSTER];
    Clocks clocks;
    uint32_t *sync_knowledge; /* what the barriers of all blocks keep, one allocation */
    uint32_t *arriving, *arrived; /* knowledge at barrier.cluster: its phase under way, the one before */
    Transfers transfers;
    uint32_t elected;        /* the lane that elect.sync elects */
    uint64_t random, executed;
    uint64_t events;         /* things that happened which somebody may wait for */
    uint64_t idle_event;     /* events when everybody waited last */
    int idle;                /* try_waits answered since then though nothing happened */
    const atomic_ullong *lowest_trapped; /* of the launch's clusters */
    Publications *publications;          /* of the launch; NULL: its blocks do not communicate */
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

/* Runs all blocks to their end, or to the first trap (the one of the lowest cluster). */
void machine_run(const Launch *launch, LaunchResult *result);

/* Ends the block with a sentence: "line 214: st.global...: block 3, thread 17: <what happened>". */
_Noreturn void trap(Warp *w, int lane, TrapKind kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void machine_step(Cluster *c, Warp *w); /* one instruction */

/* ---- the scheduler (schedule.c) ---- */
/* Runs all warps of a cluster to their end. */
void schedule(Cluster *c);
uint64_t cluster_draw(Cluster *c); /* the next random number */
/* The instruction under way lets the warp wait; `again`: it is executed anew when the warp goes on. */
void wait_at(Warp *w, Wait wait, bool again);

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

/* What the swizzles of TMA and wgmma do to a shared address (PTX ISA 5.5.7): the 16-byte chunk within a span of
 * 32, 64 or 128 bytes (bits 1, 2, 3) is exchanged by the number of the 128-byte line. */
static inline uint32_t swizzled(uint32_t address, int bits)
{
    return address ^ (address >> 7 & ((1u << bits) - 1)) << 4;
}

/* ---- memory, checked (memory.c) ---- */
/* The bytes of a shared access, which has been found aligned, inside the array and free of races. */
unsigned char *shared_for_read(Warp *w, int lane, uint32_t address, uint32_t bytes);
/* Of all lanes together, by the address that one of them gives. */
const unsigned char *shared_for_matrix(Warp *w, int lane, uint32_t address, uint32_t bytes);
unsigned char *shared_for_write(Warp *w, int lane, uint32_t address, uint32_t bytes);
void shared_for_copy(Warp *w, int lane, uint32_t address, uint32_t bytes); /* marks the bytes in flight */
/* The offset of an aligned place inside the array; traps where there is none. */
uint32_t shared_offset(Warp *w, int lane, uint32_t address, uint32_t bytes, uint32_t align, const char *verb);
/* The block whose memory an address in the cluster's window names; *address becomes that block's own. */
Block *cluster_block(Warp *w, int lane, uint32_t *address);
/* What the addresses of a block's own shared memory begin with: in a cluster, its place in the cluster's window. */
uint32_t shared_window(const Block *b);
_Noreturn void trap_race(Warp *w, int lane, const Conflict *c, const Block *b, const char *verb);
/* The lanes' addresses: the base registers plus the offset. */
void shared_addresses(const Warp *w, const Inst *in, int arg, uint32_t address[LANES]);
void global_addresses(const Warp *w, const Inst *in, int arg, uint64_t address[LANES]);
/* Counts the passes of an access that has been checked; `conflicts` is the counter of those beyond the ideal.
 */
void count_shared(Warp *w, const uint32_t address[LANES], uint32_t bytes, uint32_t lanes, int conflicts);
unsigned char *global_bytes(Warp *w, int lane, uint64_t address, uint32_t bytes, uint32_t align,
                            const char *verb);
/* The same to read: what another block of this launch wrote must have been handed over. */
const unsigned char *global_for_read(Warp *w, int lane, uint64_t address, uint32_t bytes, uint32_t align,
                                     const char *verb);
/* That an argument is a cache policy in each lane. */
void check_policies(Warp *w, const Inst *in, int arg, uint32_t lanes);

/* ---- asynchronous copies (async.c) ---- */
void copies_drop(Warp *w);

/* ---- barriers (barrier.c) ---- */
void barriers_open(Block *b, uint32_t *knowledge);
void barriers_new_block(Block *b);
void cluster_barrier_settle(Cluster *c);
void barriers_settle(Block *b); /* a warp has ended: others may wait no longer for it */

#endif
