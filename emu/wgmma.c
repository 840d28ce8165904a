/* wgmma.c: wgmma.mma_async m64nNk16, its fence, commit and wait (PTX ISA 9.7.15).
 *
 * From issue to the wait that covers it, the accumulators hold poison in the register file and their values
 * here; an instruction that touches them, or registers that A is in, is a trap. The operands' bytes count as
 * read from the first issue to the first wait; they are in fact read when all four warps have issued, or by
 * the wait.
 */
#include "emu/execs.h"

#include <stdlib.h>
#include <string.h>

#include "emu/half.h"

enum { M = 64, K = 16, MAX_N = 256, CHUNK = 16, CHUNKS = 16 /* of 8 rows */ };

/* States of an accumulator: used since the last wgmma.fence, fenced, in flight with a step. */
enum { TOUCHED, FENCED, IN_FLIGHT };

_Static_assert(PTX_WGMMA_F16_N256 - PTX_WGMMA_F16_N8 == 31 && PTX_WGMMA_BF16_N8 - PTX_WGMMA_F16_N8 == 32 &&
                   PTX_WGMMA_A_F16_N8 - PTX_WGMMA_F16_N8 == 64 &&
                   PTX_WGMMA_A_BF16_N8 - PTX_WGMMA_F16_N8 == 96,
               "the rows stand in the order of where A is, type and N");
static int op_n(int op) { return ((op - PTX_WGMMA_F16_N8) % 32 + 1) * 8; }
static bool op_is_f16(int op) { return (op - PTX_WGMMA_F16_N8) / 32 % 2 == 0; }
static bool a_in_registers(int op) { return op >= PTX_WGMMA_A_F16_N8; }

/* Operands behind the accumulators and A: B's descriptor, the predicate; of descriptors the majors, A's
 * first. */
enum { ARG_ACC, ARG_A, ARG_B, ARG_ADD, ARG_MAJOR };
static bool major_of_b(const Inst *in)
{
    return in->arg[a_in_registers(in->op) ? ARG_MAJOR : ARG_MAJOR + 1].imm != 0;
}

/* ---- operands in shared memory, PTX ISA 9.7.15.5.1.2 ----
 *
 * A descriptor: bits 0-13 start, 16-29 leading offset (LBO), 32-45 stride offset (SBO), all / 16; 49-51 base
 * offset; 62-63 swizzle: 0 none, 1 128 bytes, 2 64, 3 32.
 *
 * Memory holds chunks of 16 bytes. Of 8 rows j (of m or n) and 16 k there are 16 chunks, in a span S of 16,
 * 32, 64 or 128 bytes: K-major:  8 k of one row     row r at (r % 8) S + (r / 8) SBO, the second k half 16 on
 * (no swizzle: LBO) MN-major: 8 rows of one k    k at (k % 8) S + (k / 8) SBO; rows j at j * 16 in a span,
 * the next span LBO on (no swizzle: k / 8 LBO, j SBO)
 */
typedef struct Matrix {
    uint32_t start, lead, stride;
    int swizzle_bits;
    bool mn_major;
} Matrix;

static Matrix matrix(Warp *w, uint64_t descriptor, bool mn_major)
{
    static const int bits_of[] = {0, 3, 2, 1};
    if (descriptor >> 49 & 7)
        trap(w, 0, TRAP_WARPGROUP, "the emulator knows no base offset in a descriptor (0x%llx)",
             (unsigned long long)descriptor);
    return (Matrix){.start = (uint32_t)(descriptor & 0x3FFF) << 4,
                    .lead = (uint32_t)(descriptor >> 16 & 0x3FFF) << 4,
                    .stride = (uint32_t)(descriptor >> 32 & 0x3FFF) << 4,
                    .swizzle_bits = bits_of[descriptor >> 62],
                    .mn_major = mn_major};
}

static uint32_t chunk_address(const Matrix *m, uint32_t j, uint32_t i)
{
    uint32_t span = (uint32_t)CHUNK << m->swizzle_bits, at = m->start, per_span = 1u << m->swizzle_bits;
    if (!m->mn_major) at += (i >> 1) * span + j * m->stride + (i & 1) * (m->swizzle_bits ? CHUNK : m->lead);
    else if (!m->swizzle_bits) at += i % 8 * CHUNK + i / 8 * m->lead + j * m->stride;
    else at += i % 8 * span + i / 8 * m->stride + j % per_span * CHUNK + j / per_span * m->lead;
    return swizzled(at, m->swizzle_bits);
}

/* Rows of 8: [first, end) of a matrix. */
typedef struct Rows {
    Matrix matrix;
    uint32_t first, end;
} Rows;

static uint32_t chunk_offset(Warp *w, const Rows *r, uint32_t j, uint32_t i)
{
    return shared_offset(w, 0, chunk_address(&r->matrix, j, i), CHUNK, CHUNK, "reads");
}

static void check_visible(Warp *w, const Rows *r)
{
    for (uint32_t j = r->first; j < r->end; j++)
        for (uint32_t i = 0; i < CHUNKS; i++) {
            Conflict c = races_async_read(&w->block->races, w->actor, ALL_OF_WARP, chunk_offset(w, r, j, i), CHUNK);
            if (c.with) trap_race(w, 0, &c, w->block, "reads");
        }
}

/* No rows, if A is in registers. */
static Rows rows_a(Warp *w, const GroupStep *s)
{
    if (a_in_registers(s->in->op)) return (Rows){0};
    return (Rows){matrix(w, s->a, s->in->arg[ARG_MAJOR].imm != 0), 0, M / 8};
}
static Rows rows_b(Warp *w, const GroupStep *s)
{
    return (Rows){matrix(w, s->b, major_of_b(s->in)), 0, (uint32_t)op_n(s->in->op) / 8};
}

/* Of the group's reads of a step: in flight, or done at a clock. */
static void mark_rows(Warp *w, const Warpgroup *g, const Rows *r, const uint32_t *done)
{
    for (uint32_t j = r->first; j < r->end; j++)
        for (uint32_t i = 0; i < CHUNKS; i++) {
            uint32_t offset = chunk_offset(w, r, j, i);
            if (done) races_read_done(&w->block->races, g->reader, *done, offset, CHUNK);
            else races_mark_read(&w->block->races, g->reader, ALL_OF_WARP, offset, CHUNK);
        }
}

static void mark_step(Warp *w, const Warpgroup *g, const GroupStep *s, const uint32_t *done)
{
    if (!s->wgmma) return;
    Rows a = rows_a(w, s), b = rows_b(w, s);
    mark_rows(w, g, &a, done);
    mark_rows(w, g, &b, done);
}

/* ---- the product ----
 *
 *     D: register i of lane l of warp q is row 16q + l/4 + 8 (i/2 % 2), column 8 (i/4) + 2 (l%4) + i%2
 *
 * Numerics as for mma.sync (tensor.c): the sum of an element in double, rounded once.
 */
typedef double Pair __attribute__((vector_size(16)));
enum { PAIRS = 4 };
typedef struct Row8 {
    Pair pair[PAIRS];
} Row8;

static double widen(uint16_t h, bool f16) { return f16 ? f32_of_f16(h) : f32_of_bf16(h); }

/* to[row][k] of all rows of 8. */
static void load(Warp *w, const Rows *r, bool f16, double (*to)[K])
{
    for (uint32_t j = r->first; j < r->end; j++)
        for (uint32_t i = 0; i < CHUNKS; i++) {
            uint16_t half[8];
            memcpy(half, w->block->shared + chunk_offset(w, r, j, i), CHUNK);
            for (uint32_t e = 0; e < 8; e++) {
                uint32_t row = 8 * j + (r->matrix.mn_major ? e : i >> 1);
                uint32_t k = r->matrix.mn_major ? i : 8 * (i & 1) + e;
                to[row][k] = widen(half[e], f16);
            }
        }
}

/* A in registers (9.7.15.5.1.1): register i of lane l of warp q is row 16q + l/4 + 8 (i%2), its halves k = 2
 * (l%4) + 8 (i/2) and the next. */
static void load_registers(Warp *first_warp, const Inst *in, bool f16, double (*to)[K])
{
    for (int q = 0; q < GROUP_WARPS; q++) {
        const uint32_t(*a)[LANES] = read_row(first_warp + q, in, ARG_A);
        for (int i = 0; i < 4; i++)
            for (int l = 0; l < LANES; l++) {
                double *pair = &to[16 * q + l / 4 + 8 * (i % 2)][2 * (l % 4) + 8 * (i / 2)];
                pair[0] = widen((uint16_t)a[i][l], f16);
                pair[1] = widen((uint16_t)(a[i][l] >> 16), f16);
            }
    }
}

static void transpose8(const double (*b)[K], double to[K][8])
{
    for (int k = 0; k < K; k++)
        for (int e = 0; e < 8; e++) to[k][e] = b[e][k];
}

/* Of a row of A, and eight rows of B transposed. Spelt out, so that the sums stay in registers. */
static Row8 products(const double *a, const double (*b)[8])
{
    Pair s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    for (int k = 0; k < K; k++) {
        const Pair *row = (const Pair *)b[k];
        s0 += a[k] * row[0];
        s1 += a[k] * row[1];
        s2 += a[k] * row[2];
        s3 += a[k] * row[3];
    }
    return (Row8){{s0, s1, s2, s3}};
}

/* Columns 8j .. 8j+7 of row m. */
static void accumulate(Warp *w, uint32_t first, int m, int j, const Row8 *sum, bool add)
{
    float *value = w->held.value + (first + 4 * (uint32_t)j + 2 * (m % 16 / 8)) * LANES + m % 8 * 4;
    for (int e = 0; e < 8; e++) {
        float *d = value + e % 2 * LANES + e / 2;
        *d = canonical((float)(sum->pair[e / 2][e % 2] + (add ? (double)*d : 0)));
    }
}

static uint32_t first_accumulator(const Warp *w, const Inst *in)
{
    return (in->arg[ARG_ACC].row - w->block->program->row[PTX_F32]) / (4 * LANES);
}

static void execute(Warp *first_warp, const GroupStep *s)
{
    static _Thread_local double a[M][K], b[MAX_N][K];
    double eight[K][8] __attribute__((aligned(sizeof(Pair))));
    Rows of_a = rows_a(first_warp, s), of_b = rows_b(first_warp, s);
    uint32_t first = first_accumulator(first_warp, s->in);
    if (a_in_registers(s->in->op)) load_registers(first_warp, s->in, op_is_f16(s->in->op), a);
    else load(first_warp, &of_a, op_is_f16(s->in->op), a);
    load(first_warp, &of_b, op_is_f16(s->in->op), b);
    for (int j = 0; j < op_n(s->in->op) / 8; j++) {
        transpose8((const double(*)[K])b + 8 * j, eight);
        for (int m = 0; m < M; m++) {
            Row8 sum = products(a[m], (const double(*)[8])eight);
            accumulate(first_warp + m / 16, first, m, j, &sum, s->accumulate);
        }
    }
}

/* Everything up to a step that all four warps have passed. */
static void execute_until(Warp *w, Warpgroup *g, uint32_t step)
{
    for (; g->executed <= step; g->executed++) {
        const GroupStep *s = &g->step[g->executed % GROUP_STEPS];
        if (s->wgmma) execute(w - w->index % GROUP_WARPS, s);
    }
}

/* ---- registers in flight ---- */

bool held_open(Warp *w)
{
    HeldRegisters *h = &w->held;
    const int *count = w->block->program->kernel->reg_count;
    h->n_f32 = count[PTX_F32];
    h->n = h->n_f32 + count[PTX_B32];
    h->state = calloc((size_t)h->n + 1, sizeof *h->state);
    h->value = malloc(((size_t)h->n_f32 + 1) * LANES * sizeof *h->value);
    return h->state && h->value;
}

void held_close(Warp *w)
{
    free(w->held.state);
    free(w->held.value);
}

void held_new_block(Warp *w)
{
    HeldRegisters *h = &w->held;
    memset(h->state, 0, (size_t)h->n * sizeof *h->state);
    h->in_flight = 0;
    h->commits = 0;
}

static float *register_row(const Warp *w, uint32_t reg)
{
    return (float *)(w->registers + w->block->program->row[PTX_F32]) + reg * LANES;
}

static int line_in_flight(Warp *w, uint32_t reg)
{
    const Warpgroup *g = warpgroup_of(w);
    return g->step[(w->held.state[reg] - IN_FLIGHT) % GROUP_STEPS].in->line;
}

/* Accumulators go from the register file to where they accumulate. */
static void claim_accumulators(Warp *w, const Inst *in, uint32_t number)
{
    HeldRegisters *h = &w->held;
    const Warpgroup *g = warpgroup_of(w);
    uint32_t first = first_accumulator(w, in), n = (uint32_t)op_n(in->op) / 2;
    for (uint32_t r = first; r < first + n; r++) {
        if (h->state[r] == TOUCHED)
            trap(w, 0, TRAP_WARPGROUP,
                 "accumulator %u was used by other instructions, or never, since the last wgmma.fence",
                 r - first);
        if (h->state[r] == FENCED) {
            memcpy(h->value + r * LANES, register_row(w, r), LANES * sizeof *h->value);
            poison(register_row(w, r), LANES * sizeof *h->value);
            h->in_flight++;
        } else if (op_n(g->step[(h->state[r] - IN_FLIGHT) % GROUP_STEPS].in->op) != op_n(in->op)) {
            trap(w, 0, TRAP_WARPGROUP, "accumulator %u is in flight in the wgmma of another shape of line %d",
                 r - first, line_in_flight(w, r));
        }
        h->state[r] = number + IN_FLIGHT;
    }
}

/* A's registers stay what they are, for whoever touches them traps. */
static void claim_a(Warp *w, const Inst *in, uint32_t number)
{
    enum { A_REGISTERS = 4 };
    HeldRegisters *h = &w->held;
    uint32_t first =
        (uint32_t)h->n_f32 + (in->arg[ARG_A].row - w->block->program->row[PTX_B32]) / (4 * LANES);
    for (uint32_t r = first; r < first + A_REGISTERS; r++) {
        if (h->state[r] == TOUCHED)
            trap(w, 0, TRAP_WARPGROUP,
                 "register %u of A was used by other instructions, or never, since the last wgmma.fence",
                 r - first);
        if (h->state[r] == FENCED) h->in_flight++;
        h->state[r] = number + IN_FLIGHT;
    }
}

/* What the steps up to this one accumulated goes back, and their registers are free. */
static void land(Warp *w, uint32_t step)
{
    HeldRegisters *h = &w->held;
    for (uint32_t r = 0; r < (uint32_t)h->n && h->in_flight; r++) {
        if (h->state[r] < IN_FLIGHT || h->state[r] - IN_FLIGHT > step) continue;
        if (r < (uint32_t)h->n_f32)
            memcpy(register_row(w, r), h->value + r * LANES, LANES * sizeof *h->value);
        h->state[r] = FENCED;
        h->in_flight--;
    }
}

void held_touch(Warp *w, const Inst *in)
{
    const PtxInst *source = &w->block->program->kernel->inst[in->source];
    HeldRegisters *h = &w->held;
    for (int i = 0; i < source->n_args; i++) {
        const PtxArg *arg = &source->arg[i];
        if (arg->kind != PTX_ARG_REG || (arg->cls != PTX_F32 && arg->cls != PTX_B32)) continue;
        uint32_t first = arg->first + (arg->cls == PTX_B32 ? (uint32_t)h->n_f32 : 0);
        for (uint32_t r = first; r < first + arg->count; r++) {
            if (h->state[r] >= IN_FLIGHT)
                trap(w, 0, TRAP_WARPGROUP,
                     "operand %d is %s of the wgmma of line %d, for which nobody has waited", i + 1,
                     arg->cls == PTX_F32 ? "an accumulator" : "in A", line_in_flight(w, r));
            h->state[r] = TOUCHED;
        }
    }
}

/* ---- the instructions ---- */

static uint64_t uniform(Warp *w, const Inst *in, int arg)
{
    const uint64_t *value = read_row(w, in, arg);
    for (int l = 1; l < LANES; l++)
        if (value[l] != value[0]) trap(w, l, TRAP_WARPGROUP, "the descriptors of the lanes differ");
    return value[0];
}

static void issue(Warp *w, const Inst *in)
{
    Warpgroup *g = warpgroup_of(w);
    uint32_t p = read_predicate(w, in, ARG_ADD), number, quarter = (uint32_t)w->index % GROUP_WARPS;
    if (p && p != ALL_LANES) trap(w, first_lane(~p), TRAP_WARPGROUP, "the predicates of the lanes differ");
    bool registers = a_in_registers(in->op);
    GroupStep s = {in, registers ? 0 : uniform(w, in, ARG_A), uniform(w, in, ARG_B), true, p != 0, 0};
    Rows a = rows_a(w, &s), b = rows_b(w, &s);
    a.first = a.end / GROUP_WARPS * quarter; /* a warp reads its rows of A, and all of B */
    a.end = a.end / GROUP_WARPS * (quarter + 1);
    check_visible(w, &a);
    check_visible(w, &b);
    bool first = g->at[quarter] == g->n;
    if (!warpgroup_step(w, s, &number)) return;
    claim_accumulators(w, in, number);
    if (registers) claim_a(w, in, number);
    if (first) mark_step(w, g, &s, NULL);
    if (warpgroup_passed(g, number) && cluster_draw(w->block->cluster) % 2) execute_until(w, g, number);
    count(&w->block->counters, COUNT_wgmma, 1);
}

#define EXEC(type, n, acc)                                                                                   \
    void exec_WGMMA_##type##_N##n(Warp *w, const Inst *in, uint32_t lanes) { (void)lanes, issue(w, in); }
PTX_WGMMA_N(EXEC, F16)
PTX_WGMMA_N(EXEC, BF16)
PTX_WGMMA_N(EXEC, A_F16)
PTX_WGMMA_N(EXEC, A_BF16)

void exec_WGMMA_FENCE(Warp *w, const Inst *in, uint32_t lanes)
{
    HeldRegisters *h = &w->held;
    uint32_t number;
    (void)lanes;
    if (!warpgroup_step(w, (GroupStep){.in = in}, &number)) return;
    for (int r = 0; r < h->n; r++)
        if (h->state[r] == TOUCHED) h->state[r] = FENCED;
}

void exec_WGMMA_COMMIT(Warp *w, const Inst *in, uint32_t lanes)
{
    Warpgroup *g = warpgroup_of(w);
    uint32_t number;
    (void)lanes;
    if (!warpgroup_step(w, (GroupStep){.in = in}, &number)) return;
    if (w->held.commits == g->n_commits) g->commit[g->n_commits++ % GROUP_STEPS] = number;
    w->held.commits++;
}

/* The operands of everything up to a commit are read: their bytes are free for those who know of it. */
static void finish_reads(Warp *w, Warpgroup *g, uint32_t commit)
{
    if (g->read > commit) return;
    uint32_t clock = clocks_done(&w->block->cluster->clocks, g->actor);
    for (; g->read <= commit; g->read++) {
        GroupStep *s = &g->step[g->read % GROUP_STEPS];
        mark_step(w, g, s, &clock);
        s->read_clock = clock;
    }
    for (uint32_t later = g->read; later < g->n; later++)
        mark_step(w, g, &g->step[later % GROUP_STEPS], NULL);
}

void exec_WGMMA_WAIT(Warp *w, const Inst *in, uint32_t lanes)
{
    Warpgroup *g = warpgroup_of(w);
    uint32_t pending = (uint32_t)in->arg[0].imm, commits = w->held.commits, number;
    (void)lanes;
    if (commits <= pending) {
        warpgroup_step(w, (GroupStep){.in = in}, &number);
        return;
    }
    uint32_t commit = g->commit[(commits - pending - 1) % GROUP_STEPS];
    if (!warpgroup_passed(g, commit)) {
        wait_at(w, AT_WARPGROUP, true);
        return;
    }
    if (!warpgroup_step(w, (GroupStep){.in = in}, &number)) return;
    execute_until(w, g, commit);
    finish_reads(w, g, commit);
    clocks_learn(&w->block->cluster->clocks, clocks_known(&w->block->cluster->clocks, w->actor), g->actor,
                 g->step[commit % GROUP_STEPS].read_clock);
    clocks_reads_done(&w->block->cluster->clocks, w->actor); /* A of a product may be what lanes had read */
    land(w, commit);
}
