/* kernels.c: from a problem to its kernel, generated and loaded when it is first needed; and to what of it is
 * packed first.
 *
 *     problem --choose--> config --generate--> text --load--> kernel
 *        |                   |                                   |
 *        +--- choices[] -----+------------ loaded ---------------+     both live as long as the context
 *
 * `choices` remembers the kernel of each problem, and what is packed, so that a problem seen before costs one
 * look-up of either; `loaded` has each kernel once, by the name of its config. Both only ever grow at their
 * heads and are read without a lock; the mutex is held while a kernel is generated and loaded, so that no two
 * threads do it twice.
 * `choices` stops at MAX_CHOICES: from then on a new problem costs the choice again, which is pure
 * arithmetic, and memory stays bounded whatever shapes come; the tuning store is then not asked any more.
 */
#include "dispatch/kernels.h"
#include "dispatch/tune.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_BUCKETS = 1024, MAX_CHOICES = 8192 };

typedef struct Key {
    RtProblemKey problem;
    uint64_t pin; /* the address of the Pin in force, or PACKING */
} Key;
enum { PACKING = 1 };

typedef struct Choice {
    struct Choice *next;
    Key key;
    ts_kernel *kernel; /* NULL, by the key of packing */
    bool pack_x, pack_w;
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

typedef struct Kernels {
    RtExtension extension; /* first: a context holds it by this */
    RtSettings settings;
    pthread_mutex_t lock; /* of loading, and of pins */
    _Atomic(Choice *) bucket[N_BUCKETS];
    _Atomic(Loaded *) loaded;
    /* of them: by the types of x and w, and whether strided */
    _Atomic(ts_kernel *) packer[GEN_N_TYPES][GEN_N_TYPES][2];
    _Atomic(const Pin *) pin; /* now in force, or NULL */
    Pin *pins;
    atomic_int n_choices;
} Kernels;

/* ---- pinned configurations ---- */

static ts_status parse_config(const char *name, GenConfig *config)
{
    GenError error = {""};
    if (!name) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "config is null");
    if (!gen_config_parse(name, config, &error)) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s", error.text);
    if (!gen_config_check(config, &error)) return rt_fail(TS_ERROR_UNSUPPORTED, "%s", error.text);
    return TS_OK;
}

/* With the lock held: the one Pin of this name; NULL when out of memory. */
static Pin *intern_pin(Kernels *kernels, const char *config)
{
    for (Pin *p = kernels->pins; p; p = p->next)
        if (strcmp(p->config, config) == 0) return p;
    Pin *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    snprintf(made->config, sizeof made->config, "%s", config);
    made->next = kernels->pins;
    return kernels->pins = made;
}

static ts_status make_pin(Kernels *kernels, const char *config, Pin **pin)
{
    GenConfig parsed;
    char name[GEN_MAX_NAME];
    ts_status status = parse_config(config, &parsed);
    if (status) return status;
    gen_config_name(&parsed, name);
    pthread_mutex_lock(&kernels->lock);
    *pin = intern_pin(kernels, name);
    pthread_mutex_unlock(&kernels->lock);
    return *pin ? TS_OK : rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a config's name");
}

/* ---- of a context ---- */

static void destroy_kernels(RtExtension *extension)
{
    Kernels *kernels = (Kernels *)extension;
    for (int i = 0; i < N_BUCKETS; i++)
        for (Choice *c = kernels->bucket[i], *next; c; c = next) next = c->next, free(c);
    for (Loaded *l = kernels->loaded, *next; l; l = next)
        next = l->next, ts_kernel_destroy(l->kernel), free(l);
    for (Pin *p = kernels->pins, *next; p; p = next) next = p->next, free(p);
    rt_settings_free(&kernels->settings);
    pthread_mutex_destroy(&kernels->lock);
    free(kernels);
}

/* What the environment pins; whoever pins by the context, or unpins, has the last word. */
static ts_status pin_by_environment(Kernels *kernels)
{
    Pin *pin;
    ts_status status = kernels->settings.config ? make_pin(kernels, kernels->settings.config, &pin) : TS_OK;
    if (status) return rt_fail(status, "TILESMITH_CONFIG: %s", ts_last_error());
    if (kernels->settings.config) atomic_init(&kernels->pin, pin);
    return TS_OK;
}

static ts_status create_kernels(const ts_context *context, Kernels **kernels)
{
    Kernels *made = calloc(1, sizeof *made);
    *kernels = made;
    if (!made || pthread_mutex_init(&made->lock, NULL)) {
        free(made);
        return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for the cache of kernels");
    }
    made->extension.destroy = destroy_kernels;
    ts_status status = rt_settings_read(context, &made->settings);
    if (!status) status = pin_by_environment(made);
    if (status) destroy_kernels(&made->extension);
    return status;
}

/* The context's, made at its first use. */
static ts_status kernels_of(ts_context *context, Kernels **kernels)
{
    RtExtension *here = atomic_load_explicit(&context->extension, memory_order_acquire);
    *kernels = (Kernels *)here;
    if (here) return TS_OK;
    ts_status status = create_kernels(context, kernels);
    if (status) return status;
    if (atomic_compare_exchange_strong(&context->extension, &here, &(*kernels)->extension)) return TS_OK;
    destroy_kernels(&(*kernels)->extension); /* another thread was first */
    *kernels = (Kernels *)here;
    return TS_OK;
}

/* ---- choices made before ---- */

static const char *epilogue_of(const ts_linear_args *args) { return args->epilogue ? args->epilogue : ""; }

static Key key_of(const ts_linear_args *args, const Pin *pin)
{
    return (Key){rt_problem_key(args), (uintptr_t)pin};
}

static unsigned bucket_of(const Key *key)
{
    const RtProblemKey *p = &key->problem;
    const uint64_t word[] = {p->m, p->n, p->k, p->places, key->pin};
    uint64_t h = 0;
    for (int i = 0; i < 5; i++) h = (h ^ word[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 32;
    return (unsigned)(h % N_BUCKETS);
}

static const Choice *find_choice(Kernels *kernels, const Key *key, const char *epilogue)
{
    const Choice *c = atomic_load_explicit(&kernels->bucket[bucket_of(key)], memory_order_acquire);
    for (; c; c = c->next)
        if (memcmp(&c->key, key, sizeof *key) == 0 && strcmp(c->epilogue, epilogue) == 0) return c;
    return NULL;
}

/* Takes what was chosen, but for the epilogue. Remembering is an economy: without memory for it, the next
 * call chooses again. */
static void remember_choice(Kernels *kernels, const Choice *chosen, const char *epilogue)
{
    if (strlen(epilogue) >= GEN_MAX_EPILOGUE || atomic_load(&kernels->n_choices) >= MAX_CHOICES) return;
    Choice *c = malloc(sizeof *c);
    if (!c) return;
    _Atomic(Choice *) *head = &kernels->bucket[bucket_of(&chosen->key)];
    *c = *chosen;
    snprintf(c->epilogue, sizeof c->epilogue, "%s", epilogue);
    c->next = atomic_load(head);
    while (!atomic_compare_exchange_weak(head, &c->next, c)) {
    }
    atomic_fetch_add(&kernels->n_choices, 1);
}

/* ---- choosing ---- */

/* The pinned config, computing what args ask for. */
static bool use_pin(const Pin *pin, const ts_linear_args *args, GenConfig *config, GenError *error)
{
    if (!gen_config_parse(pin->config, config, error)) return false;
    if (args->epilogue && !gen_config_set_epilogue(config, args->epilogue, error)) return false;
    return gen_config_check(config, error);
}

/* Where a config comes from. */
typedef enum Source { PINNED, TUNED, RANKED } Source;
static const char *const source_name[] = {"pinned", "tuned", "ranked first"};

static ts_status choose(ts_context *context, const Kernels *kernels, const Pin *pin,
                        const ts_linear_args *args, GenConfig *config, Source *source)
{
    GenError error = {""};
    GenProblem problem = rt_problem_of(context, kernels->settings.arch, args);
    bool ask = kernels->settings.tuning != TS_TUNING_OFF && atomic_load(&kernels->n_choices) < MAX_CHOICES;
    *source = pin ? PINNED : TUNED;
    if (!pin && ask && rt_tuned(context, &kernels->settings, &problem, config)) return TS_OK;
    if (!pin) *source = RANKED;
    if (pin ? use_pin(pin, args, config, &error) : gen_choose(&problem, config, &error)) return TS_OK;
    GenExpr epilogue;
    if (args->epilogue && !gen_expr_parse(args->epilogue, &epilogue, &error))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s", error.text);
    return rt_fail(TS_ERROR_UNSUPPORTED, "no kernel for this problem: %s", error.text);
}

static ts_status measure_ahead(ts_context *context, const Kernels *kernels, const ts_linear_args *args,
                               GenConfig *config)
{
    ts_tune_report *report;
    ts_status status = rt_tune(context, &kernels->settings, args, NULL, config, &report);
    ts_tune_report_free(report);
    return status;
}

/* ---- loading ---- */

static ts_kernel *find_loaded(Kernels *kernels, const char *config)
{
    for (Loaded *l = atomic_load_explicit(&kernels->loaded, memory_order_acquire); l; l = l->next)
        if (strcmp(l->config, config) == 0) return l->kernel;
    return NULL;
}

/* A kernel that is wanted, under the name that it is known by here. */
typedef struct Wanted {
    const char *name;
    const GenConfig *config; /* NULL: it packs rows */
    const GenArch *arch;     /* then: on this chip, of these types, and with gaps in them or not */
    GenType x, w;
    bool strided;
} Wanted;

static ts_status generate_and_load(ts_context *context, const Wanted *w, ts_kernel **kernel)
{
    GenError error = {""};
    char *text;
    size_t bytes;
    bool made = w->config ? gen_kernel(w->config, &text, &bytes, &error)
                          : gen_pack_kernel(w->arch, w->x, w->w, w->strided, &text, &bytes, &error);
    if (!made) return rt_fail(TS_ERROR_UNSUPPORTED, "%s", error.text);
    ts_status status = ts_kernel_load(context, text, bytes, kernel);
    free(text);
    return status;
}

/* With the lock held. */
static ts_status load_new(ts_context *context, Kernels *kernels, const Wanted *w, ts_kernel **kernel)
{
    Loaded *entry = malloc(sizeof *entry);
    if (!entry) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for the cache of kernels");
    ts_status status = generate_and_load(context, w, &entry->kernel);
    if (status) {
        free(entry);
        return status;
    }
    snprintf(entry->config, sizeof entry->config, "%s", w->name);
    entry->next = kernels->loaded;
    *kernel = entry->kernel;
    atomic_store_explicit(&kernels->loaded, entry, memory_order_release);
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

static ts_status load_locked(ts_context *context, Kernels *kernels, const Wanted *w, ts_kernel **kernel)
{
    ts_status status = TS_OK;
    pthread_mutex_lock(&kernels->lock);
    *kernel = find_loaded(kernels, w->name);
    if (!*kernel) status = load_new(context, kernels, w, kernel);
    pthread_mutex_unlock(&kernels->lock);
    return status;
}

/* Loads it unless it is there. NULL in place of a stream: whoever prepares allows loading. */
static ts_status load_once(ts_context *context, Kernels *kernels, const Wanted *w, const ts_stream *stream,
                           ts_kernel **kernel)
{
    *kernel = find_loaded(kernels, w->name);
    if (*kernel) return TS_OK;
    ts_status status = stream ? refuse_capture(context, w->name, *stream) : TS_OK;
    return status ? status : load_locked(context, kernels, w, kernel);
}

/* ---- a problem's kernel ---- */

static ts_status find_and_remember(ts_context *context, Kernels *kernels, const Pin *pin,
                                   const ts_linear_args *args, const ts_stream *stream, ts_kernel **kernel)
{
    GenConfig config;
    char name[GEN_MAX_NAME];
    Source source;
    ts_status status = choose(context, kernels, pin, args, &config, &source);
    if (!status && source == RANKED && !stream && kernels->settings.tuning == TS_TUNING_AHEAD) {
        status = measure_ahead(context, kernels, args, &config);
        source = TUNED;
    }
    if (status) return status;
    gen_config_name(&config, name);
    rt_log(&kernels->settings, "%lldx%lldx%lld: %s, %s", (long long)args->m, (long long)args->n,
           (long long)args->k, name, source_name[source]);
    status = load_once(context, kernels, &(Wanted){.name = name, .config = &config}, stream, kernel);
    if (!status)
        remember_choice(kernels, &(Choice){.key = key_of(args, pin), .kernel = *kernel}, epilogue_of(args));
    return status;
}

ts_status rt_kernels_find(ts_context *context, const ts_linear_args *args, const ts_stream *stream,
                          ts_kernel **kernel)
{
    Kernels *kernels;
    ts_status status = kernels_of(context, &kernels);
    if (status) return status;
    const Pin *pin = atomic_load_explicit(&kernels->pin, memory_order_acquire);
    Key key = key_of(args, pin);
    const Choice *found = find_choice(kernels, &key, epilogue_of(args));
    if (!found) return find_and_remember(context, kernels, pin, args, stream, kernel);
    *kernel = found->kernel;
    return TS_OK;
}

/* Of an x that is not rounded it costs a few operations, and is not remembered. */
ts_status rt_kernels_choose_packing(ts_context *context, const ts_linear_args *args,
                                    const GenProblem *problem, bool *pack_x, bool *pack_w)
{
    Kernels *kernels;
    if (problem->x == problem->w) return gen_choose_packing(problem, pack_x, pack_w), TS_OK;
    ts_status status = kernels_of(context, &kernels);
    if (status) return status;
    Choice made = {.key = {rt_problem_key(args), PACKING}};
    const Choice *choice = find_choice(kernels, &made.key, epilogue_of(args));
    if (!choice) {
        gen_choose_packing(problem, &made.pack_x, &made.pack_w);
        remember_choice(kernels, &made, epilogue_of(args));
        choice = &made;
    }
    *pack_x = choice->pack_x;
    *pack_w = choice->pack_w;
    return TS_OK;
}

/* What is of one type is copied as it is, whichever that is. */
ts_status rt_kernels_find_packing(ts_context *context, const ts_linear_args *args, bool strided,
                                  const ts_stream *stream, ts_kernel **kernel)
{
    Kernels *kernels;
    char name[GEN_MAX_NAME];
    ts_status status = kernels_of(context, &kernels);
    if (status) return status;
    bool rounds = args->x.dtype != args->w.dtype;
    GenType x = rounds ? rt_problem_type(args->x.dtype) : GEN_F16,
            w = rounds ? rt_problem_type(args->w.dtype) : GEN_F16;
    *kernel = atomic_load_explicit(&kernels->packer[x][w][strided], memory_order_acquire);
    if (*kernel) return TS_OK;
    snprintf(name, sizeof name, "pack %s as %s%s", gen_type_name(x), gen_type_name(w),
             strided ? ", strided" : "");
    Wanted wanted = {name, .arch = kernels->settings.arch, .x = x, .w = w, .strided = strided};
    status = load_once(context, kernels, &wanted, stream, kernel);
    if (!status) atomic_store_explicit(&kernels->packer[x][w][strided], *kernel, memory_order_release);
    return status;
}

ts_status rt_kernels_replace(ts_context *context, const ts_linear_args *args, const GenConfig *config)
{
    Kernels *kernels;
    ts_kernel *kernel;
    char name[GEN_MAX_NAME];
    ts_status status = kernels_of(context, &kernels);
    if (status) return status;
    gen_config_name(config, name);
    status = load_once(context, kernels, &(Wanted){.name = name, .config = config}, NULL, &kernel);
    if (!status)
        remember_choice(kernels, &(Choice){.key = key_of(args, NULL), .kernel = kernel}, epilogue_of(args));
    return status;
}

ts_status rt_kernels_choose(ts_context *context, const ts_linear_args *args, GenConfig *config)
{
    Kernels *kernels;
    Source source;
    ts_status status = kernels_of(context, &kernels);
    if (status) return status;
    const Pin *pin = atomic_load_explicit(&kernels->pin, memory_order_acquire);
    return choose(context, kernels, pin, args, config, &source);
}

/* ---- of the context, for its owner ---- */

ts_status ts_context_set_config(ts_context *context, const char *config)
{
    Kernels *kernels;
    Pin *pin = NULL;
    if (!context) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "context is null");
    ts_status status = kernels_of(context, &kernels);
    if (!status && config) status = make_pin(kernels, config, &pin);
    if (!status) atomic_store_explicit(&kernels->pin, pin, memory_order_release);
    return status;
}

ts_status rt_kernels_problem(ts_context *context, const ts_linear_args *args, GenProblem *problem)
{
    Kernels *kernels;
    ts_status status = kernels_of(context, &kernels);
    if (!status) *problem = rt_problem_of(context, kernels->settings.arch, args);
    return status;
}

ts_status rt_kernels_settings(ts_context *context, const RtSettings **settings)
{
    Kernels *kernels;
    ts_status status = kernels_of(context, &kernels);
    *settings = status ? NULL : &kernels->settings;
    return status;
}

ts_status rt_kernels_pinned(ts_context *context, const char **config)
{
    Kernels *kernels;
    ts_status status = kernels_of(context, &kernels);
    const Pin *pin = status ? NULL : atomic_load_explicit(&kernels->pin, memory_order_acquire);
    *config = pin ? pin->config : NULL;
    return status;
}

/* ---- kernels by name ---- */

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
