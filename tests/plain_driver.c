/* plain_driver.c: a program that knows nothing of tilesmith but a file of ptx_out/. It is linked against
 * libcuda.so.1 alone, loads the file with cuModuleLoadData, launches it as its header lines say, and checks
 * the result with a plain double loop. The driver API is declared here as in cuda.h. */
#include "tests/tap.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

typedef int CUresult, CUdevice;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef unsigned long long CUdeviceptr;
enum { MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };
CUresult cuInit(unsigned flags);
CUresult cuDeviceGet(CUdevice *device, int ordinal);
CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device);
CUresult cuCtxDestroy_v2(CUcontext context);
CUresult cuCtxSynchronize(void);
CUresult cuModuleLoadData(CUmodule *module, const void *image);
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name);
CUresult cuModuleUnload(CUmodule module);
CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes);
CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes);
CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned smem_bytes,
                        CUstream stream, void **params, void **extra);

enum { M = 150, N = 72, K = 96 };

static void must(CUresult result, const char *what)
{
    if (!ok(result == 0, "%s", what))
        exit(1 + 0 * printf("Bail out! %s gives %d\n1..%d\n", what, result, tap_count));
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 20);
    if (fread(text, 1, (1 << 20) - 1, f) == 0) text[0] = 0;
    fclose(f);
    return text;
}

/* The value of "// key: value". */
static void header(const char *text, const char *key, char value[256])
{
    char line[64];
    snprintf(line, sizeof line, "\n// %s: ", key);
    const char *at = strstr(text, line);
    value[0] = 0;
    if (ok(at != NULL, "the header has '%s'", key)) sscanf(at + strlen(line), "%255[^\n]", value);
}

/* Multiples of 1/64 in [-1, 1): exact in fp16, with exact products and sums in fp32. */
static double number(int i) { return ((i * 37 + 11) % 128 - 64) / 64.0; }

static uint16_t half(double v) /* of such a number */
{
    if (v == 0) return 0;
    int e;
    double f = frexp(fabs(v), &e);
    return (uint16_t)((v < 0 ? 0x8000 : 0) | (e + 14) << 10 | ((int)(f * 2048) & 1023));
}

static double value_of(uint16_t h)
{
    double f = (h & 1023) / 1024.0;
    int e = h >> 10 & 31;
    return (h & 0x8000 ? -1 : 1) * (e ? ldexp(1 + f, e - 15) : ldexp(f, -14));
}

static uint16_t x[M * K], w[N * K], bias[N], y[M * N];

static CUdeviceptr upload(const uint16_t *from, size_t bytes)
{
    CUdeviceptr at = 0;
    must(cuMemAlloc_v2(&at, bytes), "cuMemAlloc");
    must(cuMemcpyHtoD_v2(at, from, bytes), "cuMemcpyHtoD");
    return at;
}

/* The parameter block by the names in the header line "params". */
static int parameters(char *params, CUdeviceptr memory[4], void **slot)
{
    static uint32_t m = M, n = N, k = K;
    static uint64_t ldx = K, ldw = K, ldy = N;
    static float s = 2;
    const struct {
        const char *name;
        void *value;
    } known[] = {
        {"x:u64", &memory[0]}, {"w:u64", &memory[1]}, {"bias:u64", &memory[2]},
        {"y:u64", &memory[3]}, {"m:u32", &m},         {"n:u32", &n},
        {"k:u32", &k},         {"ldx:u64", &ldx},     {"ldw:u64", &ldw},
        {"ldy:u64", &ldy},     {"s:f32", &s},
    };
    int count = 0;
    for (char *name = strtok(params, " "); name; name = strtok(NULL, " ")) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i].name, name) != 0) i++;
        if (!ok(i < sizeof known / sizeof *known, "parameter %s is known", name)) return -1;
        slot[count++] = known[i].value;
    }
    return count;
}

static double worst_error(void)
{
    double worst = 0;
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double z = value_of(bias[j]);
            for (int l = 0; l < K; l++) z += value_of(x[i * K + l]) * value_of(w[j * K + l]);
            double want = z + 2 / (1 + exp(-z)),
                   error = fabs(value_of(y[i * N + j]) - want) / (1 + fabs(want));
            if (!(error <= worst)) worst = error;
        }
    return worst;
}

int main(void)
{
    char entry[256], block[256], smem[256], tile[256], params[256];
    char *text = read_file("ptx_out/mma_sm89_f16_64x64x32_w2x2_s3.ptx");
    if (!ok(text != NULL, "the kernel's file is read")) return done();
    header(text, "entry", entry);
    header(text, "block", block);
    header(text, "smem_bytes", smem);
    header(text, "tile", tile);
    header(text, "params", params);
    for (int i = 0; i < M * K; i++) x[i] = half(number(i));
    for (int i = 0; i < N * K; i++) w[i] = half(number(3 * i + 1));
    for (int i = 0; i < N; i++) bias[i] = half(number(7 * i));
    memset(y, 0xff, sizeof y);

    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUfunction function;
    void *slot[16];
    int tile_m = 1, tile_n = 1;
    sscanf(tile, "%dx%d", &tile_m, &tile_n);
    must(cuInit(0), "cuInit");
    must(cuDeviceGet(&device, 0), "cuDeviceGet");
    must(cuCtxCreate_v2(&context, 0, device), "cuCtxCreate");
    must(cuModuleLoadData(&module, text), "cuModuleLoadData");
    must(cuModuleGetFunction(&function, module, entry), "cuModuleGetFunction");
    must(cuFuncSetAttribute(function, MAX_DYNAMIC_SHARED_SIZE_BYTES, atoi(smem)), "cuFuncSetAttribute");
    CUdeviceptr memory[4] = {upload(x, sizeof x), upload(w, sizeof w), upload(bias, sizeof bias),
                             upload(y, sizeof y)};
    if (parameters(params, memory, slot) < 0) return done();
    unsigned tiles_m = (unsigned)((M + tile_m - 1) / tile_m), tiles_n = (unsigned)((N + tile_n - 1) / tile_n);
    must(cuLaunchKernel(function, tiles_m, tiles_n, 1, (unsigned)atoi(block), 1, 1, (unsigned)atoi(smem), NULL, slot,
                        NULL),
         "cuLaunchKernel");
    must(cuCtxSynchronize(), "cuCtxSynchronize");
    must(cuMemcpyDtoH_v2(y, memory[3], sizeof y), "cuMemcpyDtoH");
    double worst = worst_error();
    ok(worst < 6e-4, "y = z + 2 sigmoid(z), worst error %.1e", worst);
    for (int i = 0; i < 4; i++) must(cuMemFree_v2(memory[i]), "cuMemFree");
    must(cuModuleUnload(module), "cuModuleUnload");
    must(cuCtxDestroy_v2(context), "cuCtxDestroy");
    free(text);
    return done();
}
