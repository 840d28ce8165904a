/* fake_cuda.h: what tests see of the fake driver, and what the tests of the runtime share.
 *
 * The fake is opened by path like any driver (env TILESMITH_FAKE_LIB, default build/tests/fake_cuda.so) and is
 * steered by the environment, read at each call:
 *
 *     FAKE_CUDA_FAIL="cuMemAlloc_v2=2,cuEventCreate=999@2"   results to give; @n: only to the n-th call
 *     FAKE_CUDA_VERSION=13000   FAKE_CUDA_DEVICES=1   FAKE_CUDA_SM=89   FAKE_CUDA_SMEM=101376
 *     FAKE_CUDA_MAX_THREADS=1024   of a function
 *     FAKE_CUDA_CAPTURING=1     all streams are capturing
 */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Arguments of the last cuLaunchKernel; parameter names come from the kernel's header line. */
typedef struct FakeLaunch {
    unsigned int grid[3], block[3], smem_bytes;
    void *stream;
    int n_params;
    char name[16][8];
    uint64_t value[16]; /* 4-byte ones zero-extended; of a tensor map its address */
    int early;          /* it may start before the kernel in front of it ends */
} FakeLaunch;

typedef struct Fake {
    void *library;
    int (*live)(void);                /* modules, allocations, streams, events, graphs, contexts held or pushed */
    int (*calls)(const char *symbol); /* since reset */
    void (*reset)(void);              /* of the counts of calls */
    void (*end_all)(void);            /* what is still live */
    void (*last_launch)(FakeLaunch *launch);
    int (*graph_launches)(void); /* of kernels, by graphs; never reset */
} Fake;

static inline const char *fake_path(void)
{
    const char *path = getenv("TILESMITH_FAKE_LIB");
    return path ? path : "build/tests/fake_cuda.so";
}

static inline void *fake_function(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        printf("Bail out! %s is missing in the fake driver\n", name);
        exit(1);
    }
    return found;
}

static inline Fake fake_open(void)
{
    Fake fake = {.library = dlopen(fake_path(), RTLD_NOW | RTLD_LOCAL)};
    if (!fake.library) {
        printf("Bail out! cannot open the fake driver: %s\n", dlerror());
        exit(1);
    }
    void *functions[] = {fake_function(fake.library, "fake_cuda_live"), fake_function(fake.library, "fake_cuda_calls"),
                         fake_function(fake.library, "fake_cuda_reset"), fake_function(fake.library, "fake_cuda_last_launch"),
                         fake_function(fake.library, "fake_cuda_end_all"),
                         fake_function(fake.library, "fake_cuda_graph_launches")};
    memcpy(&fake.live, &functions[0], sizeof(void *));
    memcpy(&fake.calls, &functions[1], sizeof(void *));
    memcpy(&fake.reset, &functions[2], sizeof(void *));
    memcpy(&fake.last_launch, &functions[3], sizeof(void *));
    memcpy(&fake.end_all, &functions[4], sizeof(void *));
    memcpy(&fake.graph_launches, &functions[5], sizeof(void *));
    return fake;
}

/* A parameter of a launch by name; all ones when there is none. */
static inline uint64_t fake_param(const FakeLaunch *launch, const char *name)
{
    for (int i = 0; i < launch->n_params; i++)
        if (strcmp(launch->name[i], name) == 0) return launch->value[i];
    return UINT64_MAX;
}

/* A kernel as the generator writes them, with a body that does nothing; parameters in an order of its own. */
#define SAMPLE_PARAMS "y:u64 x:u64 w:u64 bias:u64 n:u32 m:u32 k:u32 s:f32 ldx:u64 ldw:u64 ldy:u64"
#define SAMPLE_HEADER                                                                                        \
    "// tilesmith: 0.1.0\n"                                                                                  \
    "// abi: 1\n"                                                                                            \
    "// config: mma_sm80_f16_128x64x32_w2x2_s3\n"                                                            \
    "// entry: sample\n"                                                                                     \
    "// target: sm_80\n"                                                                                     \
    "// types: x=f16 w=f16 bias=f16 y=f16\n"                                                                 \
    "// epilogue: z + s * sigmoid(z)\n"                                                                      \
    "// tile: 128x64x32\n"                                                                                   \
    "// grid: tiles\n"                                                                                       \
    "// block: 128\n"                                                                                        \
    "// smem_bytes: 36864\n"                                                                                 \
    "// params: " SAMPLE_PARAMS "\n"                                                                         \
    "// align: x=16 w=16 y=4\n"                                                                              \
    "// layout: x=row w=row y=row\n"                                                                              \
    "// workspace_bytes: 0\n"
#define SAMPLE_BODY                                                                                          \
    ".version 7.4\n.target sm_80\n.address_size 64\n\n"                                                      \
    ".extern .shared .align 128 .b8 smem[];\n\n"                                                             \
    ".visible .entry sample(\n    .param .u64 y, .param .u64 x, .param .u64 w, .param .u64 bias,\n"              \
    "    .param .u32 n, .param .u32 m, .param .u32 k, .param .f32 s,\n"                                       \
    "    .param .u64 ldx, .param .u64 ldw, .param .u64 ldy\n)\n.maxntid 128, 1, 1\n"                          \
    "{\n    // a comment with a { in it\n    { .reg .b32 %r; }\n    ret;\n}\n"
#define SAMPLE SAMPLE_HEADER SAMPLE_BODY

/* The text with an entry that has the parameters of its header line; takes the text and gives another one. */
static inline char *sample_with_entry(char *text)
{
    char list[2048] = "", name[64], type[16];
    const char *at = strstr(text, "// params:"), *open = strstr(text, "sample(\n"), *close = open ? strstr(open, "\n)") : NULL;
    if (!at || !close) return text;
    at += strlen("// params:");
    for (int n; sscanf(at, "%*[ ]%63[^: \n]:%15[a-z0-9]%n", name, type, &n) == 2; at += n) {
        size_t used = strlen(list);
        bool map = strcmp(type, "map") == 0;
        snprintf(list + used, sizeof list - used, "%s    .param .%s %s%s", used ? ",\n" : "", map ? "align 64 .b8" : type, name,
                 map ? "[128]" : "");
    }
    size_t bytes = strlen(text) + sizeof list;
    char *made = malloc(bytes);
    if (made) snprintf(made, bytes, "%.*s%s%s", (int)(open - text) + 8, text, list, close);
    free(text);
    return made;
}

/* The sample with the first `from` replaced; the caller frees it. */
static inline char *sample_with(const char *from, const char *to)
{
    const char *at = strstr(SAMPLE, from);
    if (!at) {
        printf("Bail out! the sample kernel has no '%s'\n", from);
        exit(1);
    }
    size_t head = (size_t)(at - SAMPLE), bytes = strlen(SAMPLE) + strlen(to) + 1;
    char *text = malloc(bytes);
    if (text) snprintf(text, bytes, "%.*s%s%s", (int)head, SAMPLE, to, at + strlen(from));
    return text && !strstr(from, ".param") ? sample_with_entry(text) : text;
}

#endif
