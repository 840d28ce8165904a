/* machine.c: blocks over host threads, warps under a seeded scheduler, lanes under min-PC reconvergence.
 *
 * Scheduler: a runnable warp is drawn at random and executes a random number of instructions; how long
 * such bursts may be is drawn once a block, so that both fine and coarse interleavings come up. A warp
 * stops at a barrier and at its end.
 *
 * Divergence: while a warp is converged it has one pc. After a branch that splits it every lane has its
 * own; the lanes at the lowest pc go first, and when all live lanes meet again the warp is converged.
 *
 * Traps: a block ends by longjmp out of whatever executes. Blocks are handed out in order and those below
 * a trapped one still run, so that the trap reported is the one of the lowest block, always the same.
 */
#include "emu/machine.h"

#include <fenv.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_BLOCK UINT64_MAX

void poison(void *memory, size_t bytes)
{
    const uint64_t pattern = POISON_32 * 0x100000001ull;
    unsigned char *p = memory;
    for (; bytes >= 8; bytes -= 8, p += 8) memcpy(p, &pattern, 8);
    memcpy(p, &pattern, bytes);
}

/* ---- traps ---- */

static const int trap_error[] = {
#define X(name, error) error,
    TRAP_KINDS(X)
#undef X
};

_Noreturn void trap(Warp *w, int lane, TrapKind kind, const char *format, ...)
{
    Block *b = w->block;
    const Inst *in = &b->program->inst[b->pc];
    char text[160], what[320];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    ptx_print_inst(b->program->kernel, &b->program->kernel->inst[in->source], text, sizeof text);
    text[strcspn(text, ";")] = 0;
    snprintf(b->trap, sizeof b->trap, "line %d: %s: block %llu, thread %d: %s", in->line, text,
             (unsigned long long)b->index, w->index * LANES + lane, what);
    b->trap_kind = kind;
    longjmp(b->trapped, 1);
}

/* ---- one instruction of one warp ---- */

static uint32_t guard_lanes(const Warp *w, const Inst *in)
{
    if (in->guard < 0) return ALL_LANES;
    uint32_t p = *(const uint32_t *)(w->registers + in->guard);
    return in->guard_negate ? ~p : p;
}

static uint32_t lanes_at_lowest_pc(const Warp *w, uint32_t *pc)
{
    uint32_t lowest = UINT32_MAX, lanes = 0;
    EACH_LANE(l, w->alive) if (w->lane_pc[l] < lowest) lowest = w->lane_pc[l];
    EACH_LANE(l, w->alive) if (w->lane_pc[l] == lowest) lanes |= 1u << l;
    *pc = lowest;
    return lanes;
}

static void check_collective(Warp *w, const Inst *in, uint32_t here)
{
    if (here != w->alive)
        trap(w, first_lane(w->alive & ~here), TRAP_DIVERGED,
             "all lanes must execute this together, but this one stands elsewhere (lanes here: 0x%08x of "
             "0x%08x)",
             here, w->alive);
    if (in->op != PTX_BAR_SYNC && w->alive != ALL_LANES)
        trap(w, first_lane(~w->alive), TRAP_DIVERGED,
             "all 32 lanes must execute this, but this one has exited or never existed");
}

static void split(Warp *w, uint32_t lanes, uint32_t pc)
{
    EACH_LANE(l, lanes) w->lane_pc[l] = pc;
}

/* Moves the lanes that stood `here` on, after the instruction at pc. */
static void advance(Warp *w, uint32_t here, uint32_t pc, uint32_t target)
{
    uint32_t jump = w->jumping, stay = here & ~jump;
    if (w->converged && (!jump || !stay)) {
        w->pc = jump ? target : pc + 1;
        return;
    }
    if (jump && stay) count(&w->block->counters, COUNT_branches_diverged, 1);
    w->converged = false;
    split(w, jump, target);
    split(w, stay, pc + 1);
    if (w->alive && lanes_at_lowest_pc(w, &w->pc) == w->alive) w->converged = true;
}

static void step(Block *b, Warp *w)
{
    uint32_t pc = w->pc, here = w->alive;
    if (!w->converged) here = lanes_at_lowest_pc(w, &pc);
    const Inst *in = &b->program->inst[pc];
    b->pc = pc;
    if (++b->executed > b->launch->budget)
        trap(w, first_lane(here), TRAP_BUDGET,
             "the block has executed %llu warp instructions and does not end (TILESMITH_EMU_BUDGET)",
             (unsigned long long)b->launch->budget);
    if (in->collective) check_collective(w, in, here);
    uint32_t lanes = here & guard_lanes(w, in);
    w->jumping = 0;
    if (lanes) {
        count_op(&b->counters, in->op);
        in->exec(w, in, lanes);
    }
    advance(w, here, pc, in->target);
}

/* ---- the scheduler ---- */

/* splitmix64 */
static uint64_t draw(Block *b)
{
    uint64_t z = b->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Lets the warps go that wait at barrier `id`, if every live warp does. */
static void complete_barrier(Block *b, int id)
{
    uint32_t warps = 0;
    for (int i = 0; i < b->n_warps; i++) {
        if (!b->warp[i].alive) continue;
        if (b->warp[i].barrier != id) return;
        warps |= 1u << i;
    }
    for (int i = 0; i < b->n_warps; i++) b->warp[i].barrier = -1;
    races_barrier(&b->races, warps);
    acquired_barrier(&b->acquired, warps);
}

/* A warp has stopped: it waits, or it has ended and others wait no longer for it. */
static void settle_barriers(Block *b)
{
    for (int i = 0; i < b->n_warps; i++)
        if (b->warp[i].alive && b->warp[i].barrier >= 0) {
            complete_barrier(b, b->warp[i].barrier);
            return;
        }
}

static _Noreturn void deadlock(Block *b)
{
    char text[256];
    int n = 0;
    Warp *first = NULL;
    for (int i = 0; i < b->n_warps && n < (int)sizeof text - 32; i++) {
        if (!b->warp[i].alive) continue;
        if (!first) first = &b->warp[i];
        n += snprintf(text + n, sizeof text - (size_t)n, "%swarp %d at bar.sync %d", n ? ", " : "", i,
                      b->warp[i].barrier);
    }
    b->pc = first->pc - 1; /* behind its bar.sync */
    trap(first, first_lane(first->alive), TRAP_DEADLOCK,
         "every warp waits at a barrier that the others do not reach: %s", text);
}

static Warp *draw_warp(Block *b)
{
    Warp *ready[MAX_WARPS];
    uint32_t n = 0;
    bool live = false;
    for (int i = 0; i < b->n_warps; i++) {
        live |= b->warp[i].alive != 0;
        if (b->warp[i].alive && b->warp[i].barrier < 0) ready[n++] = &b->warp[i];
    }
    if (!n && live) deadlock(b);
    return n ? ready[draw(b) % n] : NULL;
}

static void run_warps(Block *b)
{
    static const uint32_t longest_burst[] = {1, 4, 16, 64, 256};
    uint32_t longest = longest_burst[draw(b) % 5];
    Warp *w;
    while ((w = draw_warp(b)) != NULL) {
        uint32_t burst = 1 + (uint32_t)(draw(b) % longest);
        while (burst-- && w->alive && w->barrier < 0) step(b, w);
        if (!w->alive || w->barrier >= 0) settle_barriers(b);
    }
}

/* ---- one block ---- */

static void start_warp(Block *b, int i)
{
    Warp *w = &b->warp[i];
    int threads = b->n_threads - i * LANES;
    w->block = b;
    w->index = i;
    w->alive = threads >= LANES ? ALL_LANES : (1u << threads) - 1;
    w->converged = true;
    w->pc = 0;
    w->barrier = -1;
    w->copies.n = w->copies.committed = 0;
    memset(w->copies.groups, 0, sizeof w->copies.groups);
    poison(w->registers, b->program->register_bytes);
}

static void start_block(Block *b, uint64_t index)
{
    const Launch *l = b->launch;
    b->index = index;
    b->coordinate[0] = (uint32_t)(index % l->grid[0]);
    b->coordinate[1] = (uint32_t)(index / l->grid[0] % l->grid[1]);
    b->coordinate[2] = (uint32_t)(index / l->grid[0] / l->grid[1]);
    b->random = l->seed * 0xD1B54A32D192ED03u + index;
    b->executed = 0;
    b->acquired.n = 0;
    for (int i = 0; i < b->n_warps; i++) start_warp(b, i);
    if (b->shared) poison(b->shared, l->shared_bytes);
    races_new_block(&b->races);
}

static bool run_block(Block *b, uint64_t index)
{
    start_block(b, index);
    if (setjmp(b->trapped)) return false;
    run_warps(b);
    for (int i = 0; i < b->n_warps; i++) copies_drop(&b->warp[i]);
    count(&b->counters, COUNT_instructions, b->executed);
    return true;
}

/* ---- the launch ---- */

typedef struct Run {
    const Launch *launch;
    uint64_t n_blocks;
    atomic_ullong next, trapped; /* the block to start next, the lowest that trapped */
    Publications *publications;  /* NULL: none are needed */
    pthread_mutex_t lock;        /* of result */
    LaunchResult *result;
} Run;

static void block_free(Block *b)
{
    if (!b) return;
    for (int i = 0; i < MAX_WARPS; i++) free(b->warp[i].copies.copy);
    free(b->warp[0].registers);
    free(b->shared);
    free(b->acquired.item);
    races_close(&b->races);
    free(b);
}

static Block *block_new(const Launch *l)
{
    Block *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->launch = l;
    b->program = l->program;
    b->n_threads = (int)(l->block[0] * l->block[1] * l->block[2]);
    b->n_warps = (b->n_threads + LANES - 1) / LANES;
    size_t bytes = l->program->register_bytes;
    unsigned char *registers = aligned_alloc(64, bytes * (size_t)b->n_warps + 64);
    for (int i = 0; i < b->n_warps; i++) b->warp[i].registers = registers + bytes * (size_t)i;
    if (l->shared_bytes) b->shared = malloc(l->shared_bytes);
    bool ok =
        registers && (b->shared || !l->shared_bytes) && races_open(&b->races, l->shared_bytes, b->n_warps);
    if (ok) return b;
    block_free(b);
    return NULL;
}

static void report_trap(Run *run, const Block *b)
{
    pthread_mutex_lock(&run->lock);
    if (b->index < run->trapped) {
        run->trapped = b->index;
        run->result->error = trap_error[b->trap_kind];
        snprintf(run->result->trap, sizeof run->result->trap, "%s", b->trap);
    }
    pthread_mutex_unlock(&run->lock);
}

static void *work(void *argument)
{
    Run *run = argument;
    Block *b = block_new(run->launch);
    if (!b) return NULL; /* other threads may have had more luck; machine_run looks whether all blocks ran */
    b->lowest_trapped = &run->trapped;
    b->publications = run->publications;
    fenv_t callers; /* the caller may flush subnormals to zero; the machine must not */
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    for (uint64_t i; (i = run->next++) < run->n_blocks && i < run->trapped;)
        if (!run_block(b, i)) report_trap(run, b);
    fesetenv(&callers);
    pthread_mutex_lock(&run->lock);
    counters_add(&run->result->counters, &b->counters);
    pthread_mutex_unlock(&run->lock);
    block_free(b);
    return NULL;
}

static bool blocks_communicate(const Program *p)
{
    for (int i = 0; i < p->n_inst; i++)
        if (p->inst[i].op == PTX_ST_RELEASE_GPU_B64 || p->inst[i].op == PTX_LD_ACQUIRE_GPU_B64) return true;
    return false;
}

void machine_run(const Launch *launch, LaunchResult *result)
{
    enum { MAX_THREADS = 256 };
    Run run = {.launch = launch, .result = result, .next = 0, .trapped = NO_BLOCK};
    pthread_t thread[MAX_THREADS];
    int n = 0, wanted = launch->host_threads;
    memset(result, 0, sizeof *result);
    run.n_blocks = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    if (blocks_communicate(launch->program) && !(run.publications = publications_new())) {
        result->error = 2;
        return;
    }
    pthread_mutex_init(&run.lock, NULL);
    if (wanted > MAX_THREADS) wanted = MAX_THREADS;
    if ((uint64_t)wanted > run.n_blocks) wanted = (int)run.n_blocks;
    while (n < wanted - 1 && pthread_create(&thread[n], NULL, work, &run) == 0) n++;
    work(&run);
    while (n--) pthread_join(thread[n], NULL);
    pthread_mutex_destroy(&run.lock);
    publications_free(run.publications);
    if (!result->error && run.next < run.n_blocks) result->error = 2;
}
