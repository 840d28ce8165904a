/* machine.c: clusters over host threads, one instruction of a warp, lanes under min-PC reconvergence.
 *
 * Divergence: while a warp is converged it has one pc. After a branch that splits it every lane has its
 * own; the lanes at the lowest pc go first, and when all live lanes meet again the warp is converged.
 *
 * Traps: a cluster ends by longjmp out of whatever executes. Clusters are handed out in order and those below
 * a trapped one still run, so that the trap reported is the one of the lowest cluster, always the same.
 */
#include "emu/machine.h"

#include <fenv.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT64_MAX

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
    Cluster *c = w->block->cluster;
    const Inst *in = &c->program->inst[c->pc];
    char text[160], what[320];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    ptx_print_inst(c->program->kernel, &c->program->kernel->inst[in->source], text, sizeof text);
    text[strcspn(text, ";")] = 0;
    snprintf(c->trap, sizeof c->trap, "line %d: %s: block %llu, thread %d: %s", in->line, text,
             (unsigned long long)w->block->index, w->index * LANES + lane, what);
    c->trap_kind = kind;
    longjmp(c->trapped, 1);
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

/* The barriers, which lanes that have returned do not keep up. */
static bool barrier_op(int op)
{
    return op == PTX_BAR_SYNC || op == PTX_BAR_SYNC_SOME || op == PTX_BAR_ARRIVE ||
           op == PTX_CLUSTER_ARRIVE || op == PTX_CLUSTER_WAIT;
}

static void check_collective(Warp *w, const Inst *in, uint32_t here)
{
    if (here != w->alive)
        trap(w, first_lane(w->alive & ~here), TRAP_DIVERGED,
             "all lanes must execute this together, but this one stands elsewhere (lanes here: 0x%08x of "
             "0x%08x)",
             here, w->alive);
    if (!barrier_op(in->op) && w->alive != ALL_LANES)
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
    if (w->retry) {
        w->retry = false;
        return;
    }
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

void machine_step(Cluster *c, Warp *w)
{
    uint32_t pc = w->pc, here = w->alive;
    if (!w->converged) here = lanes_at_lowest_pc(w, &pc);
    const Inst *in = &c->program->inst[pc];
    c->pc = pc;
    if (++c->executed > c->launch->budget * (uint64_t)c->n_blocks)
        trap(w, first_lane(here), TRAP_BUDGET,
             "the block has executed %llu warp instructions and does not end (TILESMITH_EMU_BUDGET)",
             (unsigned long long)c->launch->budget);
    if (in->collective) check_collective(w, in, here);
    uint32_t lanes = here & guard_lanes(w, in);
    w->jumping = 0;
    if (lanes) {
        if (in->touches_held) held_touch(w, in);
        in->exec(w, in, lanes);
        if (!w->retry) count_op(&w->block->counters, in->op);
    }
    advance(w, here, pc, in->target);
}

/* ---- one cluster ---- */

static void start_warp(Block *b, int i)
{
    Warp *w = &b->warp[i];
    int threads = b->n_threads - i * LANES;
    w->alive = threads >= LANES ? ALL_LANES : (1u << threads) - 1;
    w->converged = true;
    w->retry = false;
    w->pc = 0;
    w->wait = NOT_WAITING;
    w->cluster_barrier = AWAY;
    w->grid_waited = 0;
    w->unfenced = 0;
    w->copies.n = w->copies.committed = 0;
    memset(w->copies.groups, 0, sizeof w->copies.groups);
    memset(w->bulk_groups, 0, sizeof w->bulk_groups);
    poison(w->registers, b->program->register_bytes);
}

/* What a block finds in shared memory: under odd seeds poison, under even ones 16-bit numbers below 2, of which
 * no block's are as another's. So a result that depends on them changes with the seed. */
static void leave_garbage(Block *b)
{
    const Launch *l = b->launch;
    uint64_t draw = (l->seed ^ b->index) * 0x9E3779B97F4A7C15u;
    if (l->seed % 2) {
        poison(b->shared, l->shared_bytes);
        return;
    }
    for (uint32_t i = 0; i + 8 <= l->shared_bytes; i += 8) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        uint64_t numbers = (draw ^ draw >> 29) & 0xBFFFBFFFBFFFBFFFu;
        memcpy(b->shared + i, &numbers, 8);
    }
}

static void start_block(Block *b, uint64_t index)
{
    const Launch *l = b->launch;
    b->index = index;
    b->coordinate[0] = (uint32_t)(index % l->grid[0]);
    b->coordinate[1] = (uint32_t)(index / l->grid[0] % l->grid[1]);
    b->coordinate[2] = (uint32_t)(index / l->grid[0] / l->grid[1]);
    b->live = b->n_warps;
    b->acquired.n = 0;
    for (int i = 0; i < b->n_warps; i++) start_warp(b, i);
    barriers_new_block(b);
    mbarriers_new_block(b);
    warpgroups_new_block(b);
    if (b->shared) leave_garbage(b);
}

static void start_cluster(Cluster *c, uint64_t index)
{
    c->index = index;
    c->random = c->launch->seed * 0xD1B54A32D192ED03u + index;
    c->executed = c->events = 0;
    c->idle = 0;
    c->elected = (uint32_t)(c->launch->seed * 0x9E3779B97F4A7C15u >> 40) % LANES;
    bool anew = clocks_new_cluster(&c->clocks);
    memset(c->arriving, 0, 4 * (size_t)c->clocks.n * sizeof *c->arriving);
    transfers_new_cluster(c);
    for (int r = 0; r < c->n_blocks; r++) {
        start_block(c->block[r], index * (uint64_t)c->n_blocks + (uint64_t)r);
        if (anew) races_forget(&c->block[r]->races);
    }
}

static bool run_cluster(Cluster *c, uint64_t index)
{
    start_cluster(c, index);
    if (setjmp(c->trapped)) return false;
    schedule(c);
    transfers_end_cluster(c);
    for (int r = 0; r < c->n_blocks; r++) {
        for (int i = 0; i < c->block[r]->n_warps; i++) copies_drop(&c->block[r]->warp[i]);
        mbarriers_drop(c->block[r]);
    }
    count(&c->block[0]->counters, COUNT_instructions, c->executed);
    return true;
}

/* ---- storage ---- */

static void block_free(Block *b)
{
    if (!b) return;
    for (int i = 0; i < MAX_WARPS; i++) {
        free(b->warp[i].copies.copy);
        held_close(&b->warp[i]);
    }
    free(b->warp[0].registers);
    free(b->shared);
    free(b->acquired.item);
    races_close(&b->races);
    free(b);
}

static bool warps_open(Block *b)
{
    size_t bytes = b->program->register_bytes;
    unsigned char *registers = aligned_alloc(64, bytes * (size_t)b->n_warps + 64);
    bool ok = registers != NULL;
    for (int i = 0; i < b->n_warps && ok; i++) {
        Warp *w = &b->warp[i];
        w->block = b;
        w->index = i;
        w->actor = b->rank * b->n_warps + i;
        w->registers = registers + bytes * (size_t)i;
        ok = !b->program->uses_warpgroups || held_open(w);
    }
    return ok;
}

static Block *block_new(Cluster *c, int rank)
{
    const Launch *l = c->launch;
    Block *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->cluster = c;
    b->launch = l;
    b->program = l->program;
    b->rank = rank;
    b->n_threads = (int)(l->block[0] * l->block[1] * l->block[2]);
    b->n_warps = (b->n_threads + LANES - 1) / LANES;
    int groups = l->program->uses_warpgroups ? b->n_warps / GROUP_WARPS : 0;
    int first_group = b->n_warps * c->n_blocks + rank * groups;
    for (int g = 0; g < groups; g++) b->group[g].actor = first_group + g, b->group[g].reader = b->n_warps + g;
    if (l->shared_bytes) b->shared = malloc(l->shared_bytes);
    bool ok = warps_open(b) && (b->shared || !l->shared_bytes) &&
              races_open(&b->races, &c->clocks, l->shared_bytes, b->n_warps, rank * b->n_warps, groups,
                         first_group);
    if (ok) return b;
    block_free(b);
    return NULL;
}

static void cluster_free(Cluster *c)
{
    if (!c) return;
    for (int r = 0; r < c->n_blocks; r++) block_free(c->block[r]);
    transfers_close(c);
    clocks_close(&c->clocks);
    free(c->sync_knowledge);
    free(c);
}

/* What barriers keep: two a cluster, one a named barrier, two an mbarrier; and clocks of remote arrivals. */
static bool knowledge_open(Cluster *c)
{
    size_t width = 2 * (size_t)c->clocks.n, mbarriers = c->program->uses_mbarriers ? MAX_MBARRIERS : 0;
    size_t of_block = (N_BARRIERS + 2 * mbarriers) * width + (size_t)c->clocks.n_warps;
    uint32_t *at = calloc(2 * width + of_block * (size_t)c->n_blocks, sizeof *at);
    if (!at) return false;
    c->sync_knowledge = c->arriving = at;
    c->arrived = at + width;
    at += 2 * width;
    for (int r = 0; r < c->n_blocks; r++, at += of_block) {
        barriers_open(c->block[r], at);
        mbarriers_open(c->block[r], at + N_BARRIERS * width, at + of_block - c->clocks.n_warps);
    }
    return true;
}

static Cluster *cluster_new(const Launch *l)
{
    Cluster *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->launch = l;
    c->program = l->program;
    c->n_blocks = (int)l->cluster;
    int warps = (int)(l->block[0] * l->block[1] * l->block[2] + LANES - 1) / LANES;
    int others = l->program->uses_warpgroups ? warps / GROUP_WARPS : 0;
    if (l->program->uses_mbarriers) others += MAX_MBARRIERS;
    bool ok = clocks_open(&c->clocks, warps * c->n_blocks, others * c->n_blocks);
    for (int r = 0; r < c->n_blocks && ok; r++) ok = (c->block[r] = block_new(c, r)) != NULL;
    if (ok && knowledge_open(c)) return c;
    cluster_free(c);
    return NULL;
}

/* ---- the launch ---- */

typedef struct Run {
    const Launch *launch;
    uint64_t n_clusters;
    atomic_ullong next, trapped; /* the cluster to start next, the lowest that trapped */
    Publications *publications;  /* NULL: none are needed */
    pthread_mutex_t lock;        /* of result */
    LaunchResult *result;
} Run;

static void report_trap(Run *run, const Cluster *c)
{
    pthread_mutex_lock(&run->lock);
    if (c->index < run->trapped) {
        run->trapped = c->index;
        run->result->error = trap_error[c->trap_kind];
        snprintf(run->result->trap, sizeof run->result->trap, "%s", c->trap);
    }
    pthread_mutex_unlock(&run->lock);
}

static void *work(void *argument)
{
    Run *run = argument;
    Cluster *c = cluster_new(run->launch);
    if (!c)
        return NULL; /* other threads may have had more luck; machine_run looks whether all clusters ran */
    c->lowest_trapped = &run->trapped;
    c->publications = run->publications;
    fenv_t callers; /* the caller may flush subnormals to zero; the machine must not */
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    for (uint64_t i; (i = run->next++) < run->n_clusters && i < run->trapped;)
        if (!run_cluster(c, i)) report_trap(run, c);
    fesetenv(&callers);
    pthread_mutex_lock(&run->lock);
    for (int r = 0; r < c->n_blocks; r++) counters_add(&run->result->counters, &c->block[r]->counters);
    pthread_mutex_unlock(&run->lock);
    cluster_free(c);
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
    Run run = {.launch = launch, .result = result, .next = 0, .trapped = NONE};
    pthread_t thread[MAX_THREADS];
    int n = 0, wanted = launch->host_threads;
    memset(result, 0, sizeof *result);
    run.n_clusters = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2] / launch->cluster;
    if (blocks_communicate(launch->program) && !(run.publications = publications_new())) {
        result->error = 2;
        return;
    }
    pthread_mutex_init(&run.lock, NULL);
    if (wanted > MAX_THREADS) wanted = MAX_THREADS;
    if ((uint64_t)wanted > run.n_clusters) wanted = (int)run.n_clusters;
    while (n < wanted - 1 && pthread_create(&thread[n], NULL, work, &run) == 0) n++;
    work(&run);
    while (n--) pthread_join(thread[n], NULL);
    pthread_mutex_destroy(&run.lock);
    publications_free(run.publications);
    if (!result->error && run.next < run.n_clusters) result->error = 2;
}
