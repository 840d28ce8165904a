/* jit.c: ts_linear(): from a problem to a kernel, generated and loaded when it is first needed.
 *
 *     problem --choose--> config --generate--> text --load--> kernel
 *        |                   |                                   |
 *        +--- choices[] -----+------------ loaded ---------------+     both live as long as the context
 *
 * Where x or W has rows that are not aligned to 16 bytes, and the problem is large, they are first packed
 * into the caller's workspace by a kernel of its own; the problem that is chosen for is then the one that
 * reads them there. With a pinned config nothing is packed: then the workspace is for blocks that share
 * tiles, if the config has such.
 *
 * `choices` remembers the kernel of each problem, so that a problem seen before costs one look-up; `loaded`
 * has each kernel once, by the name of its config. Both only ever grow at their heads and are read without a
 * lock; the mutex is held while a kernel is generated and loaded, so that no two threads do it twice.
 * `choices` stops at MAX_CHOICES: from then on a new problem costs the choice again, which is pure
 * arithmetic, and memory stays bounded whatever shapes come.
 */
#include "runtime/kernel.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/gen.h"

enum { N_BUCKETS = 1024, MAX_CHOICES = 8192, MAX_ALIGN_BYTES = 16 };

/* What of a problem decides the choice: the pinned config, m, n, k, and types, layouts and alignments in one
 * word. */
typedef struct Key {
    uint64_t word[5];
} Key;

typedef struct Choice {
    struct Choice *next;
    Key key;
    ts_kernel *kernel;
    char epilogue[GEN_MAX_EPILOGUE]; /* "": none given */
} Choice;

typedef struct Loaded {
    struct Loaded *next;
    ts_kernel *kernel;
    char config[GEN_MAX_NAME];
} Loaded;

/* A name that was pinned once. Kept to the end: keys point to it. */
typedef struct Pin {
    struct Pin *next;
    char config[GEN_MAX_NAME];
} Pin;

typedef struct Jit {
    RtExtension extension; /* first: a context holds it by this */
    pthread_mutex_t lock;  /* of loading, and of pins */
    _Atomic(Choice *) bucket[N_BUCKETS];
    _Atomic(Loaded *) loaded;
    _Atomic(const Pin *) pin; /* now in force, or NULL */
    Pin *pins;
    atomic_int n_choices;
} Jit;

/* ---- of a context ---- */

static void destroy_jit(RtExtension *extension)
{
    Jit *jit = (Jit *)extension;
    for (int i = 0; i < N_BUCKETS; i++)
        for (Choice *c = jit->bucket[i], *next; c; c = next) next = c->next, free(c);
    for (Loaded *l = jit->loaded, *next; l; l = next) next = l->next, ts_kernel_destroy(l->kernel), free(l);
    for (Pin *p = jit->pins, *next; p; p = next) next = p->next, free(p);
    pthread_mutex_destroy(&jit->lock);
    free(jit);
}

/* The context's cache, made at its first use; NULL when out of memory. */
static Jit *jit_of(ts_context *context)
{
    RtExtension *here = atomic_load_explicit(&context->extension, memory_order_acquire);
    if (here) return (Jit *)here;
    Jit *made = calloc(1, sizeof *made);
    if (!made || pthread_mutex_init(&made->lock, NULL)) {
        free(made);
        rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for the cache of kernels");
        return NULL;
    }
    made->extension.destroy = destroy_jit;
    if (atomic_compare_exchange_strong(&context->extension, &here, &made->extension)) return made;
    destroy_jit(&made->extension); /* another thread was first */
    return (Jit *)here;
}

/* ---- problems ---- */

static GenLayout layout_of(const ts_matrix *matrix, int64_t rows, int64_t cols)
{
    if (cols <= 1 || matrix->col_stride == 1) return GEN_LAYOUT_ROW;
    return rows <= 1 || matrix->row_stride == 1 ? GEN_LAYOUT_COL : GEN_LAYOUT_ANY;
}

/* The largest power of 2 up to 16 that divides address and pitch. What is not read is well aligned. */
static int align_of(const ts_matrix *matrix, int64_t rows, int64_t cols)
{
    bool by_columns = layout_of(matrix, rows, cols) == GEN_LAYOUT_COL;
    int64_t pitch = by_columns ? matrix->col_stride : matrix->row_stride;
    uint64_t bits = MAX_ALIGN_BYTES;
    if (cols == 0) return MAX_ALIGN_BYTES;
    bits |= matrix->data;
    if ((by_columns ? cols : rows) > 1) bits |= (uint64_t)pitch * (unsigned)rt_dtype_bytes(matrix->dtype);
    return (int)(bits & -bits);
}

/* Layout and alignment in a byte. */
static int place_of(const ts_matrix *matrix, int64_t rows, int64_t cols)
{
    return layout_of(matrix, rows, cols) << 5 | align_of(matrix, rows, cols);
}

/* Without a bias its type does not matter; it may be given all the same, by who prepares. */
static ts_dtype bias_type(const ts_linear_args *args)
{
    return args->bias || args->bias_dtype ? args->bias_dtype : args->w.dtype;
}

static ts_status check_types(const ts_linear_args *args)
{
    const struct {
        const char *name;
        ts_dtype type;
    } given[] = {{"x", args->x.dtype}, {"w", args->w.dtype}, {"bias", bias_type(args)}, {"y", args->y.dtype}};
    for (int i = 0; i < 4; i++)
        if (!rt_dtype_bytes(given[i].type))
            return rt_fail(TS_ERROR_INVALID_ARGUMENT, "the type of %s is %d, which is no ts_dtype",
                           given[i].name, (int)given[i].type);
    return TS_OK;
}

static Key key_of(const ts_linear_args *args, const Pin *pin)
{
    const int part[] = {(int)args->x.dtype,
                        (int)args->w.dtype,
                        (int)bias_type(args),
                        (int)args->y.dtype,
                        place_of(&args->x, args->m, args->k),
                        place_of(&args->w, args->n, args->k),
                        place_of(&args->y, args->m, args->n)};
    uint64_t packed = 0;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) packed = packed << 8 | (unsigned)part[i];
    return (Key){{(uint64_t)(uintptr_t)pin, (uint64_t)args->m, (uint64_t)args->n, (uint64_t)args->k, packed}};
}

static unsigned bucket_of(const Key *key)
{
    uint64_t h = 0;
    for (int i = 0; i < 5; i++) h = (h ^ key->word[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 32;
    return (unsigned)(h % N_BUCKETS);
}

static ts_kernel *find_choice(Jit *jit, const Key *key, const char *epilogue)
{
    Choice *c = atomic_load_explicit(&jit->bucket[bucket_of(key)], memory_order_acquire);
    for (; c; c = c->next)
        if (memcmp(&c->key, key, sizeof *key) == 0 && strcmp(c->epilogue, epilogue) == 0) return c->kernel;
    return NULL;
}

/* Remembering is an economy: without memory for it, the next call chooses again. */
static void remember_choice(Jit *jit, const Key *key, const char *epilogue, ts_kernel *kernel)
{
    if (strlen(epilogue) >= GEN_MAX_EPILOGUE || atomic_load(&jit->n_choices) >= MAX_CHOICES) return;
    Choice *c = malloc(sizeof *c);
    if (!c) return;
    _Atomic(Choice *) *head = &jit->bucket[bucket_of(key)];
    c->key = *key;
    c->kernel = kernel;
    snprintf(c->epilogue, sizeof c->epilogue, "%s", epilogue);
    c->next = atomic_load(head);
    while (!atomic_compare_exchange_weak(head, &c->next, c)) {
    }
    atomic_fetch_add(&jit->n_choices, 1);
}

/* ---- choosing ---- */

static GenType gen_type(ts_dtype dtype)
{
    switch (dtype) {
    case TS_F16: return GEN_F16;
    case TS_BF16: return GEN_BF16;
    default: return GEN_F32;
    }
}

static ts_status find_arch(const ts_context *context, const GenArch **arch)
{
    const ts_device_info *info = &context->info;
    *arch = gen_arch_for_device(info->compute_major, info->compute_minor);
    if (*arch) return TS_OK;
    return rt_fail(TS_ERROR_UNSUPPORTED_ARCH, "device '%s' is sm_%d%d; tilesmith needs sm_80 or newer",
                   info->name, info->compute_major, info->compute_minor);
}

/* The pinned config, computing what args ask for. */
static bool use_pin(const Pin *pin, const ts_linear_args *args, GenConfig *config, GenError *error)
{
    if (!gen_config_parse(pin->config, config, error)) return false;
    if (args->epilogue && !gen_config_set_epilogue(config, args->epilogue, error)) return false;
    return gen_config_check(config, error);
}

static ts_status problem_of(const ts_context *context, const ts_linear_args *args, GenProblem *problem)
{
    *problem = (GenProblem){
        .sm_count = context->info.sm_count,
        .x = gen_type(args->x.dtype),
        .w = gen_type(args->w.dtype),
        .bias = gen_type(bias_type(args)),
        .y = gen_type(args->y.dtype),
        .m = args->m,
        .n = args->n,
        .k = args->k,
        .x_layout = layout_of(&args->x, args->m, args->k),
        .w_layout = layout_of(&args->w, args->n, args->k),
        .y_layout = layout_of(&args->y, args->m, args->n),
        .x_align_bytes = align_of(&args->x, args->m, args->k),
        .w_align_bytes = align_of(&args->w, args->n, args->k),
        .y_align_bytes = align_of(&args->y, args->m, args->n),
        .epilogue = args->epilogue,
    };
    return find_arch(context, &problem->arch);
}

static ts_status choose(const ts_context *context, const Pin *pin, const ts_linear_args *args,
                        GenConfig *config)
{
    GenError error = {""};
    GenProblem problem;
    ts_status status = problem_of(context, args, &problem);
    if (status) return status;
    if (pin ? use_pin(pin, args, config, &error) : gen_choose(&problem, config, &error)) return TS_OK;
    return rt_fail(TS_ERROR_UNSUPPORTED, "no kernel for this problem: %s", error.text);
}

/* ---- loading ---- */

static ts_kernel *find_loaded(Jit *jit, const char *config)
{
    for (Loaded *l = atomic_load_explicit(&jit->loaded, memory_order_acquire); l; l = l->next)
        if (strcmp(l->config, config) == 0) return l->kernel;
    return NULL;
}

/* config NULL: the kernel that packs rows. */
static ts_status generate_and_load(ts_context *context, const GenArch *arch, const GenConfig *config,
                                   ts_kernel **kernel)
{
    GenError error = {""};
    char *text = NULL;
    size_t bytes;
    bool made =
        config ? gen_kernel(config, &text, &bytes, &error) : gen_pack_kernel(arch, &text, &bytes, &error);
    if (!made) return rt_fail(TS_ERROR_UNSUPPORTED, "%s", error.text);
    ts_status status = ts_kernel_load(context, text, bytes, kernel);
    free(text);
    return status;
}

/* With the lock held. */
static ts_status load_new(ts_context *context, Jit *jit, const GenArch *arch, const GenConfig *config,
                          const char *name, ts_kernel **kernel)
{
    Loaded *entry = malloc(sizeof *entry);
    if (!entry) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for the cache of kernels");
    ts_status status = generate_and_load(context, arch, config, &entry->kernel);
    if (status) {
        free(entry);
        return status;
    }
    snprintf(entry->config, sizeof entry->config, "%s", name);
    entry->next = jit->loaded;
    *kernel = entry->kernel;
    atomic_store_explicit(&jit->loaded, entry, memory_order_release);
    return TS_OK;
}

static ts_status refuse_capture(const ts_context *context, const char *name, ts_stream stream)
{
    CUstreamCaptureStatus capture = CU_STREAM_CAPTURE_STATUS_NONE;
    bool pushed;
    ts_status status = rt_enter(context, &pushed);
    if (status) return status;
    CUresult result = context->driver.cuStreamIsCapturing(stream, &capture);
    rt_leave(context, pushed);
    if (!result && capture == CU_STREAM_CAPTURE_STATUS_NONE) return TS_OK;
    if (!result || rt_driver_status(result) == TS_ERROR_NOT_READY)
        return rt_fail(TS_ERROR_NOT_READY,
                       "a capture is going on and the kernel %s is not loaded: call ts_linear_prepare() "
                       "before the capture",
                       name);
    return rt_driver_check(&context->driver, result, "asking whether the stream is capturing");
}

static ts_status load_locked(ts_context *context, Jit *jit, const GenArch *arch, const GenConfig *config,
                             const char *name, ts_kernel **kernel)
{
    ts_status status = TS_OK;
    pthread_mutex_lock(&jit->lock);
    *kernel = find_loaded(jit, name);
    if (!*kernel) status = load_new(context, jit, arch, config, name, kernel);
    pthread_mutex_unlock(&jit->lock);
    return status;
}

/* Loads it unless it is there. NULL in place of a stream: whoever prepares allows loading. */
static ts_status load_once(ts_context *context, Jit *jit, const GenArch *arch, const GenConfig *config,
                           const char *name, const ts_stream *stream, ts_kernel **kernel)
{
    *kernel = find_loaded(jit, name);
    if (*kernel) return TS_OK;
    ts_status status = stream ? refuse_capture(context, name, *stream) : TS_OK;
    return status ? status : load_locked(context, jit, arch, config, name, kernel);
}

/* ---- a problem's kernel ---- */

static ts_status find_kernel(ts_context *context, const ts_linear_args *args, const ts_stream *stream,
                             ts_kernel **kernel)
{
    GenConfig config;
    char name[GEN_MAX_NAME];
    Jit *jit = jit_of(context);
    if (!jit) return TS_ERROR_OUT_OF_MEMORY;
    const Pin *pin = atomic_load_explicit(&jit->pin, memory_order_acquire);
    const char *epilogue = args->epilogue ? args->epilogue : "";
    Key key = key_of(args, pin);
    *kernel = find_choice(jit, &key, epilogue);
    if (*kernel) return TS_OK;

    ts_status status = choose(context, pin, args, &config);
    if (status) return status;
    gen_config_name(&config, name);
    status = load_once(context, jit, config.arch, &config, name, stream, kernel);
    if (!status) remember_choice(jit, &key, epilogue, *kernel);
    return status;
}

static ts_status read_problem(const ts_context *context, const ts_linear_args **args, ts_linear_args *copy)
{
    if (!context) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "context is null");
    ts_status status = rt_args_read(args, copy);
    return status ? status : check_types(*args);
}

static bool is_empty(const ts_linear_args *args) { return args->m == 0 || args->n == 0; }

/* ---- packing ---- */

/* What is packed, and where in the workspace. */
typedef struct Packing {
    bool x, w;
    int64_t pitch; /* elements */
    size_t w_offset, bytes;
} Packing;

/* Rows begin at whole lines of 128 bytes. */
static ts_status choose_packing(ts_context *context, const ts_linear_args *args, Packing *packing)
{
    enum { LINE_ELEMS = 64 };
    GenProblem problem;
    *packing = (Packing){0};
    Jit *jit = jit_of(context);
    if (!jit) return TS_ERROR_OUT_OF_MEMORY;
    if (is_empty(args) || atomic_load_explicit(&jit->pin, memory_order_acquire)) return TS_OK;
    ts_status status = problem_of(context, args, &problem);
    if (status) return status;
    gen_choose_packing(&problem, &packing->x, &packing->w);
    packing->pitch = (args->k + LINE_ELEMS - 1) / LINE_ELEMS * LINE_ELEMS;
    packing->w_offset = packing->x ? (size_t)args->m * (size_t)packing->pitch * 2 : 0;
    packing->bytes = packing->w_offset + (packing->w ? (size_t)args->n * (size_t)packing->pitch * 2 : 0);
    return TS_OK;
}

/* Without a workspace that is large enough nothing is packed. */
static ts_status use_workspace(ts_context *context, const ts_linear_args *args, Packing *packing)
{
    *packing = (Packing){0};
    if (!args->workspace) return TS_OK;
    ts_status status = rt_check_workspace_address(args);
    if (!status) status = choose_packing(context, args, packing);
    if (status || packing->bytes > args->workspace_bytes) *packing = (Packing){0};
    return status;
}

/* The problem as the kernel sees it, reading what was packed. */
static ts_linear_args packed_args(const ts_linear_args *args, const Packing *packing)
{
    ts_linear_args packed = *args;
    if (packing->x) packed.x = ts_matrix_make(args->workspace, packing->pitch, args->x.dtype);
    if (packing->w)
        packed.w = ts_matrix_make(args->workspace + packing->w_offset, packing->pitch, args->w.dtype);
    return packed;
}

static ts_status find_pack_kernel(ts_context *context, const ts_stream *stream, ts_kernel **kernel)
{
    const GenArch *arch;
    Jit *jit = jit_of(context);
    ts_status status = jit ? find_arch(context, &arch) : TS_ERROR_OUT_OF_MEMORY;
    return status ? status : load_once(context, jit, arch, NULL, "pack", stream, kernel);
}

static ts_status launch_packed(ts_context *context, const ts_linear_args *args, const Packing *packing,
                               ts_stream stream)
{
    ts_kernel *kernel, *pack;
    RtGrid grid;
    ts_linear_args packed = packed_args(args, packing);
    ts_status status = find_kernel(context, &packed, &stream, &kernel);
    if (!status) status = find_pack_kernel(context, &stream, &pack);
    if (!status) status = rt_launch_check(kernel, &packed, &grid); /* before anything is launched */
    if (!status) status = rt_launch_pack(pack, args, packing->x, packing->w, packing->pitch, stream);
    return status ? status : rt_launch_checked(kernel, &packed, grid, stream);
}

/* ---- the operation ---- */

ts_status ts_linear(ts_context *context, const ts_linear_args *args, ts_stream stream)
{
    ts_linear_args copy;
    ts_kernel *kernel;
    Packing packing;
    ts_status status = read_problem(context, &args, &copy);
    if (status || is_empty(args)) return status;
    status = use_workspace(context, args, &packing);
    if (status) return status;
    if (packing.bytes) return launch_packed(context, args, &packing, stream);
    status = find_kernel(context, args, &stream, &kernel);
    return status ? status : rt_launch(kernel, args, stream);
}

/* What blocks that share tiles need under the pinned config; nothing is packed for it. */
static ts_status pinned_workspace(const ts_context *context, const Pin *pin, const ts_linear_args *args,
                                  size_t *bytes)
{
    GenConfig config;
    GenProblem problem;
    ts_status status = choose(context, pin, args, &config);
    if (!status) status = problem_of(context, args, &problem);
    if (!status) *bytes = (size_t)gen_workspace_bytes(&config, &problem);
    return status;
}

ts_status ts_linear_workspace(ts_context *context, const ts_linear_args *args, size_t *bytes)
{
    ts_linear_args copy;
    Packing packing;
    if (!bytes) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "bytes is null: pass the address of a size_t");
    *bytes = 0;
    ts_status status = read_problem(context, &args, &copy);
    if (status || is_empty(args)) return status;
    Jit *jit = jit_of(context);
    if (!jit) return TS_ERROR_OUT_OF_MEMORY;
    const Pin *pin = atomic_load_explicit(&jit->pin, memory_order_acquire);
    if (pin) return pinned_workspace(context, pin, args, bytes);
    status = choose_packing(context, args, &packing);
    if (!status) *bytes = packing.bytes;
    return status;
}

/* Whether the launch will be possible, addresses that are not known yet put aside. */
static ts_status check_ahead(const ts_kernel *kernel, const ts_linear_args *args)
{
    enum { ALIGNED_ADDRESS = 1 << 20 };
    RtGrid grid;
    ts_linear_args ahead = *args;
    if (!ahead.x.data) ahead.x.data = ALIGNED_ADDRESS;
    if (!ahead.w.data) ahead.w.data = ALIGNED_ADDRESS;
    if (!ahead.y.data) ahead.y.data = ALIGNED_ADDRESS;
    if (!ahead.r.data && kernel->header.has[RT_PARAM_r]) {
        ahead.r.data = ALIGNED_ADDRESS;
        if (!ahead.r.dtype)
            ahead.r = ts_matrix_make(ALIGNED_ADDRESS, ahead.n, kernel->header.type[RT_TENSOR_r]);
    }
    return rt_launch_check(kernel, &ahead, &grid);
}

ts_status ts_linear_prepare(ts_context *context, const ts_linear_args *args, const ts_kernel **kernel)
{
    ts_linear_args copy, packed;
    ts_kernel *found, *pack;
    Packing packing;
    if (kernel) *kernel = NULL;
    ts_status status = read_problem(context, &args, &copy);
    if (status || is_empty(args)) return status;
    status = use_workspace(context, args, &packing);
    if (!status && packing.bytes) status = find_pack_kernel(context, NULL, &pack);
    if (status) return status;
    packed = packed_args(args, &packing);
    status = find_kernel(context, &packed, NULL, &found);
    if (!status) status = check_ahead(found, &packed);
    if (!status && kernel) *kernel = found;
    return status;
}

/* ---- configurations by name ---- */

static ts_status parse_config(const char *name, GenConfig *config)
{
    GenError error = {""};
    if (!name) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "config is null");
    if (!gen_config_parse(name, config, &error)) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s", error.text);
    if (!gen_config_check(config, &error)) return rt_fail(TS_ERROR_UNSUPPORTED, "%s", error.text);
    return TS_OK;
}

/* With the lock held: the one Pin of this name; NULL when out of memory. */
static Pin *intern_pin(Jit *jit, const char *config)
{
    for (Pin *p = jit->pins; p; p = p->next)
        if (strcmp(p->config, config) == 0) return p;
    Pin *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    snprintf(made->config, sizeof made->config, "%s", config);
    made->next = jit->pins;
    return jit->pins = made;
}

ts_status ts_context_set_config(ts_context *context, const char *config)
{
    GenConfig parsed;
    char name[GEN_MAX_NAME];
    Pin *pin = NULL;
    if (!context) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "context is null");
    ts_status status = config ? parse_config(config, &parsed) : TS_OK;
    if (status) return status;
    Jit *jit = jit_of(context);
    if (!jit) return TS_ERROR_OUT_OF_MEMORY;
    if (config) {
        gen_config_name(&parsed, name);
        pthread_mutex_lock(&jit->lock);
        pin = intern_pin(jit, name);
        pthread_mutex_unlock(&jit->lock);
        if (!pin) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a config's name");
    }
    atomic_store_explicit(&jit->pin, pin, memory_order_release);
    return TS_OK;
}

ts_status ts_generate(const char *config, char **text, size_t *bytes)
{
    GenConfig parsed;
    GenError error = {""};
    size_t length;
    if (!text) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "text is null: pass the address of a char *");
    *text = NULL;
    if (bytes) *bytes = 0;
    ts_status status = parse_config(config, &parsed);
    if (status) return status;
    if (!gen_kernel(&parsed, text, &length, &error)) return rt_fail(TS_ERROR_UNSUPPORTED, "%s", error.text);
    if (bytes) *bytes = length;
    return TS_OK;
}

void ts_free_text(char *text) { free(text); }
