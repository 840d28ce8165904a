/* hopper.c: a producer and consumers on TMA, mbarriers and wgmma (tests/hopper/ringN.ptx, clusters of N) give
 * the right product under every schedule, on edges too; and faults put into their text do not pass.
 *
 * The operands are small integers, so that sums are exact. With TILESMITH_TEST_DRIVER the kernels without a
 * fault run on a GPU of sm_90.
 */
#include "tests/emu_driver.h"
#include "tests/mutate.h"
#include "tests/tap.h"

enum { F16 = 6, SWIZZLE_128 = 3, L2_256 = 3, SM_MAJOR = 75, SM_MINOR = 76, DYNAMIC_SHARED = 8 };
enum { TILE_M = 128, TILE_N = 64, TILE_K = 64, SHARED = 90176, THREADS = 384 };

static Driver d;
static const char *(*last_trap)(void); /* NULL on a GPU */

typedef struct Shape {
    int m, n, k;
} Shape;

/* ---- numbers ---- */

static uint16_t f16_of_int(int v)
{
    int magnitude = v < 0 ? -v : v, exponent = 15;
    if (!magnitude) return 0;
    uint32_t bits = (uint32_t)magnitude << 10;
    for (; bits >= 2048; bits >>= 1) exponent++;
    return (uint16_t)((v < 0 ? 0x8000 : 0) | exponent << 10 | (bits & 1023));
}

static int value_at(int row, int column, int salt)
{
    return (int)((uint32_t)(row * 7919 + column * 104729 + salt * 31) * 2654435761u >> 30) -
           1; /* below 2048, so exact */
}

/* ---- one run ---- */

typedef struct Matrix {
    uint64_t device;
    int rows, columns, pitch; /* elements */
} Matrix;

static bool good(int r, const char *what)
{
    enum { ILLEGAL_ADDRESS = 700 };
    if (r) note("%s gave %d %s", what, r, r >= ILLEGAL_ADDRESS && last_trap ? last_trap() : "");
    return !r;
}
#define DO(call) good(call, #call)

static size_t matrix_bytes(const Matrix *m) { return (size_t)m->rows * (size_t)m->pitch * 2; }

/* Rows of an odd multiple of 16 bytes; what stands behind a row is NaN. */
static bool matrix_new(Matrix *m, int rows, int columns, int salt)
{
    *m = (Matrix){.rows = rows, .columns = columns, .pitch = (columns + 7) / 8 * 8 + 8};
    uint16_t *host = malloc(matrix_bytes(m));
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < m->pitch; c++)
            host[r * m->pitch + c] = c < columns && salt ? f16_of_int(value_at(r, c, salt)) : 0x7E01;
    bool ok = DO(d.alloc(&m->device, matrix_bytes(m))) && DO(d.to_device(m->device, host, matrix_bytes(m)));
    free(host);
    return ok;
}

static bool map_new(TensorMapBytes *map, const Matrix *m, uint32_t box_rows)
{
    uint64_t dim[2] = {(uint64_t)m->columns, (uint64_t)m->rows}, stride[1] = {(uint64_t)m->pitch * 2};
    uint32_t box[2] = {64, box_rows}, step[2] = {1, 1};
    return DO(d.encode_map(map, F16, 2, m->device, dim, stride, box, step, 0, SWIZZLE_128, L2_256, 0));
}

/* Whether y is a b^T, and nothing beside it was written. */
static bool right(const Matrix *y, Shape s)
{
    uint16_t *host = malloc(matrix_bytes(y));
    bool ok = DO(d.to_host(host, y->device, matrix_bytes(y)));
    int wrong = 0;
    for (int i = 0; ok && i < s.m; i++)
        for (int j = 0; j < y->pitch; j++) {
            int sum = 0;
            for (int k = 0; k < s.k && j < s.n; k++) sum += value_at(i, k, 1) * value_at(j, k, 2);
            uint16_t wanted = j < s.n ? f16_of_int(sum) : 0x7E01, got = host[i * y->pitch + j];
            if (got == wanted || wrong++ >= 3) continue;
            note("y[%d][%d] is 0x%04x, wanted 0x%04x", i, j, got, wanted);
        }
    free(host);
    return ok && !wrong;
}

static bool launch(void *function, int cluster, Shape s, void **arguments)
{
    unsigned tiles_m = (unsigned)(s.m + TILE_M - 1) / TILE_M, tiles_n = (unsigned)(s.n + TILE_N - 1) / TILE_N;
    LaunchAttribute attribute = {.id = 6, .value.yes = 1};
    unsigned across = (tiles_m + (unsigned)cluster - 1) / (unsigned)cluster * (unsigned)cluster;
    LaunchConfig config = {{across, tiles_n, 1}, {THREADS, 1, 1}, SHARED, NULL, &attribute, 1};
    return DO(d.set_attribute(function, DYNAMIC_SHARED, SHARED)) &&
           DO(d.launch_ex(&config, function, arguments, NULL));
}

/* Runs the text in a context of its own: a trap spoils a context. */
static bool passes(const char *text, int cluster, Shape s)
{
    void *context = NULL, *module = NULL, *function = NULL;
    char entry[16], log[512] = "";
    int options[] = {5, 6};
    void *values[] = {log, (void *)sizeof log};
    Matrix a, b, y;
    TensorMapBytes map[3];
    uint32_t k_blocks = (uint32_t)(s.k + TILE_K - 1) / TILE_K;
    void *arguments[] = {&map[0], &map[1], &map[2], &k_blocks};
    snprintf(entry, sizeof entry, "ring%d", cluster);
    bool ok = DO(d.context_create(&context, 0, 0)) && DO(d.load(&module, text, 2, options, values)) &&
              DO(d.function(&function, module, entry)) && matrix_new(&a, s.m, s.k, 1) &&
              matrix_new(&b, s.n, s.k, 2) && matrix_new(&y, s.m, s.n, 0) && map_new(&map[0], &a, TILE_M) &&
              map_new(&map[1], &b, TILE_N / (uint32_t)cluster) && map_new(&map[2], &y, TILE_M / 2) &&
              launch(function, cluster, s, arguments) && DO(d.synchronize()) && right(&y, s);
    if (log[0]) note("%.*s", (int)strcspn(log, "\n"), log);
    if (context) d.context_destroy(context);
    return ok;
}

static char *read_text(int cluster)
{
    char path[64], *text = calloc(1, 1 << 16);
    snprintf(path, sizeof path, "tests/hopper/ring%d.ptx", cluster);
    FILE *f = fopen(path, "r");
    if (!f || !fread(text, 1, (1 << 16) - 1, f)) printf("Bail out! %s\n", path);
    if (f) fclose(f);
    return text;
}

static void set_seed(int seed)
{
    char number[8];
    snprintf(number, sizeof number, "%d", seed);
    setenv("TILESMITH_EMU_SEED", number, 1);
}

/* ---- other ways to do it right ---- */

#define ARRIVE_EVERYWHERE                                                                                    \
    "mad.lo.s32 %bar, %before, 8, %empty;\n    mapa.shared::cluster.u32 %bar, %bar, %r;\n"                   \
    "    setp.lt.u32 %p, %in_group, 2;\n    @%p mbarrier.arrive.shared::cluster.b64 _, [%bar];\n"

/* Where the threads of a warpgroup know that their store has read its bytes. */
#define GROUP_BARRIER                                                                                        \
    "    setp.ne.u32 %p, %group, 0;\n    @%p bra OTHER;\n    bar.sync 1, 128;\n    bra BOTH;\nOTHER:\n"      \
    "    bar.sync 2, 128;\nBOTH:\n"
#define NEXT_TILE                                                                                            \
    "    mov.u32 %r, %nctaid.x;\n    add.s32 %rank, %rank, %r;\n    setp.lt.u32 %p, %rank, 5;\n"             \
    "    @%p bra TILE;\n"

typedef struct Variant {
    int cluster, k;
    bool right;
    const char *what;
    Mutation change[4];
} Variant;

/* The changes that make a block compute tile after tile, but for what follows the store. */
#define TILES                                                                                                \
    {"the producer's tiles", "    bra END;\n\n    // ---- consumers",                                        \
     "    mov.u32 %r, %nctaid.x;\n    mad.lo.s32 %a_corner1, %r, 128, %a_corner1;\n    mov.b32 %a_corner0, " \
     "0;\n"                                                                                                  \
     "    mov.b32 %b_corner0, 0;\n    mov.b32 %k, 0;\n    setp.lt.u32 %p, %a_corner1, 640;\n    @%p bra "    \
     "LOAD;\n"                                                                                               \
     "    bra END;\n\n    // ---- consumers",                                                                \
     0},                                                                                                     \
        {"the consumers' tiles", "MULTIPLY:\n",                                                              \
         "    mov.u32 %rank, %ctaid.x;\nTILE:\n    mov.b32 %k, 0;\n    mov.u32 %lane, "                      \
         "%laneid;\nMULTIPLY:\n",                                                                            \
         0},                                                                                                 \
        {"the tile of y", "mov.u32 %y_corner1, %ctaid.x;", "mov.b32 %y_corner1, %rank;", 0},

static const Variant variants[] = {
    {2,
     448,
     true,
     "the producers wait for all stages at the end, and there is no cluster barrier",
     {{"the last stage is given back too", "    wgmma.wait_group.sync.aligned 0;\n",
       "    wgmma.wait_group.sync.aligned 0;\n    " ARRIVE_EVERYWHERE, 0},
      {"the producers wait", "    bra END;\n\n    // ---- consumers",
       "    mov.b32 %k, 0;\nDRAIN:\n    mad.lo.s32 %bar, %slot, 8, %empty;\nDRAIN_WAIT:\n    "
       "mbarrier.try_wait.parity.shared::cta.b64 %done, [%bar], %parity;\n    @!%done bra DRAIN_WAIT;\n    "
       "add.s32 %slot, %slot, 1;\n    setp.ne.u32 %p, %slot, 3;\n    @%p bra DRAIN_NEXT;\n    mov.b32 %slot, "
       "0;\n"
       "    xor.b32 %parity, %parity, 1;\nDRAIN_NEXT:\n    add.s32 %k, %k, 1;\n    setp.lt.u32 %p, %k, 3;\n  "
       "  "
       "@%p bra DRAIN;\n    bra END;\n\n    // ---- consumers",
       0},
      {"no barrier", "barrier.cluster.arrive.release.aligned;\n    barrier.cluster.wait.acquire.aligned;", "",
       1}}},
    {2,
     448,
     true,
     "each warp arrives",
     {{"count", "[%empty+0], 4;", "[%empty+0], 16;", 0},
      {"count", "[%empty+8], 4;", "[%empty+8], 16;", 0},
      {"count", "[%empty+16], 4;", "[%empty+16], 16;", 0},
      {"lanes", "setp.lt.u32 %p, %in_group, 2;", "setp.lt.u32 %p, %lane, 2;", 0}}},
    {2,
     448,
     true,
     "the stages are given back at once",
     {{"wait", "wgmma.wait_group.sync.aligned 1;", "wgmma.wait_group.sync.aligned 0;", 0}}},
    {1,
     448,
     true,
     "a block computes tile after tile (those behind the end of y are empty)",
     {TILES{"the next tile", "    @%p cp.async.bulk.wait_group 0;\n",
            "    @%p cp.async.bulk.wait_group.read 0;\n" GROUP_BARRIER NEXT_TILE, 0}}},
    {1,
     64,
     true,
     "the same with one step of k",
     {TILES{"the next tile", "    @%p cp.async.bulk.wait_group 0;\n",
            "    @%p cp.async.bulk.wait_group.read 0;\n" GROUP_BARRIER NEXT_TILE, 0}}},
    {1,
     64,
     false,
     "the same without a barrier behind the wait for the store of y (with more of k, the ring orders that "
     "too)",
     {TILES{"the next tile", "    @%p cp.async.bulk.wait_group 0;\n",
            "    @%p cp.async.bulk.wait_group.read 0;\n" NEXT_TILE, 0}}},
};

static void test_variant(const Variant *v)
{
    char *changed = read_text(v->cluster);
    for (int i = 0; i < 4 && v->change[i].find && changed; i++) {
        char *more = mutate(changed, &v->change[i]);
        ok(more != NULL, "the kernel has what is changed: %s", v->change[i].what);
        free(changed);
        changed = more;
    }
    for (int seed = 1; seed <= 12 && changed; seed++) {
        set_seed(seed);
        ok(passes(changed, v->cluster, (Shape){256, 64, v->k}) == v->right, "%s, seed %d: %s",
           v->right ? "right too" : "caught", seed, v->what);
    }
    free(changed);
}

/* ---- faults ---- */

#define TRY_WAIT "mbarrier.try_wait.parity.shared::cta.b64 %done, [%bar], %parity;\n    "

static const Mutation faults[] = {
    {"the consumers do not wait for a full stage", TRY_WAIT "@!%done bra WAIT_FULL;", "", 0},
    {"the consumers ask once and go on", "@!%done bra WAIT_FULL;", "", 0},
    {"the producer does not wait for an empty stage", TRY_WAIT "@!%done bra WAIT_EMPTY;", "", 0},
    {"the consumers' parity is never flipped", "xor.b32 %parity, %parity, 1;", "", 1},
    {"a stage is given back without a wait for its wgmma", "wgmma.wait_group.sync.aligned 1;", "", 0},
    {"a stage is given back one wgmma group too early", "wgmma.wait_group.sync.aligned 1;",
     "wgmma.wait_group.sync.aligned 2;", 0},
    {"y is packed without a wait for wgmma", "wgmma.wait_group.sync.aligned 0;", "", 0},
    {"no wgmma.fence", "wgmma.fence.sync.aligned;", "", 0},
    {"wgmma groups are not committed", "wgmma.commit_group.sync.aligned;", "", 0},
    {"no proxy fence before the TMA store", "fence.proxy.async.shared::cta;", "", 0},
    {"the proxy fence behind the barrier", "fence.proxy.async.shared::cta;",
     "bar.sync 0, 256;\n    fence.proxy.async.shared::cta;\n    bra STORE;", 0},
    {"no barrier before the TMA store", "bar.sync 2, 128;", "", 0},
    {"the TMA store is not committed", "@%p cp.async.bulk.commit_group;", "", 0},
    {"the TMA store is not waited for", "@%p cp.async.bulk.wait_group.read 0;", "", 0},
    {"another thread waits for the TMA store", "@%p cp.async.bulk.wait_group.read 0;",
     "setp.eq.u32 %p, %in_group, 1;\n    @%p cp.async.bulk.wait_group.read 0;", 0},
    {"no cluster barrier at the end",
     "barrier.cluster.arrive.release.aligned;\n    barrier.cluster.wait.acquire.aligned;", "", 1},
    {"no cluster barrier at the beginning",
     "barrier.cluster.arrive.release.aligned;\n    barrier.cluster.wait.acquire.aligned;", "", 0},
    {"no wait at the cluster barrier of the beginning", "barrier.cluster.wait.acquire.aligned;", "", 0},
    {"the initialisation of the mbarriers is not fenced", "fence.mbarrier_init.release.cluster;", "", 0},
    {"an empty barrier expects too few arrivals", "[%empty+8], 4;", "[%empty+8], 3;", 0},
    {"an empty barrier expects too many arrivals", "[%empty+8], 4;", "[%empty+8], 5;", 0},
    {"a stage expects too few bytes", "[%bar], 24576;", "[%bar], 16384;", 0},
    {"a stage expects too many bytes", "[%bar], 24576;", "[%bar], 24592;", 0},
    {"the multicast leaves out a block", "mov.b16 %mask, 3;", "mov.b16 %mask, 1;", 0},
    {"the multicast names a block that there is not", "mov.b16 %mask, 3;", "mov.b16 %mask, 7;", 0},
    {"a consumer arrives in its own block only", "mapa.shared::cluster.u32 %bar, %bar, %r;",
     "mapa.shared::cluster.u32 %bar, %bar, %rank;", 0},
    {"the producer keeps its registers", "setmaxnreg.dec.sync.aligned.u32 40;", "", 0},
    {"wgmma reads half a step too far in k", "add.s64 %b_desc, %b_desc, 2;", "add.s64 %b_desc, %b_desc, 1;",
     1},
    {"one wgmma is dropped", "wgmma.mma_async", "// wgmma.mma_async", 2},
    {"stmatrix is swizzled otherwise than the TMA", "xor.b32 %chunk, %chunk, %row;", "", 0},
    {"the bytes of y are behind the box", "add.s32 %y_smem, %smem, 73728;", "add.s32 %y_smem, %smem, 73792;",
     0},
};

static void test_fault(const char *text, const Mutation *m)
{
    char *mutant = mutate(text, m);
    if (!ok(mutant != NULL, "the kernel has what is changed: %s", m->what)) return;
    for (int seed = 1; seed <= 4; seed++) {
        set_seed(seed);
        ok(!passes(mutant, 2, (Shape){256, 64, 448}), "caught, seed %d: %s", seed, m->what);
    }
    free(mutant);
}

static void test_ring(int cluster, int seeds)
{
    static const Shape shapes[] = {{256, 128, 448}, {201, 104, 437}, {3, 8, 64}};
    char *text = read_text(cluster);
    for (int seed = 1; seed <= seeds; seed++) {
        set_seed(seed);
        for (int i = 0; i < 3; i++)
            ok(passes(text, cluster, shapes[i]), "ring%d, %dx%dx%d, seed %d", cluster, shapes[i].m,
               shapes[i].n, shapes[i].k, seed);
    }
    free(text);
}

int main(void)
{
    setenv("TILESMITH_EMU_SM", "90", 1);
    setenv("TILESMITH_EMU_QUIET", "1", 1);
    const char *gpu = getenv("TILESMITH_TEST_DRIVER");
    if (!driver_open(&d, gpu ? gpu : emulator_path()) || !DO(d.init(0))) return 1;
    int major = 0, minor = 0;
    d.device_attribute(&major, SM_MAJOR, 0);
    d.device_attribute(&minor, SM_MINOR, 0);
    if (10 * major + minor != 90) return skip_all("this needs a device of sm_90");
    if (!gpu) last_trap = (const char *(*)(void))dlsym(d.library, "emu_last_trap");
    test_ring(1, gpu ? 1 : 12);
    test_ring(2, gpu ? 1 : 12);
    if (gpu) return done();
    char *text = read_text(2);
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) test_variant(&variants[i]);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) test_fault(text, &faults[i]);
    free(text);
    return done();
}
