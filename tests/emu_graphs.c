/* emu_graphs.c: capture and replay of launches on the emulator, and what a capture does not allow.
 *
 * The kernel adds its second parameter to a word of device memory, so that the word counts what has run.
 */
#include "tests/emu_driver.h"
#include "tests/tap.h"

#include <pthread.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, UNSUPPORTED = 900, LOST = 901, IMPLICIT = 906, WRONG_THREAD = 908 };
enum { BLOCKING = 0, NON_BLOCKING = 1 };
enum { GLOBAL, THREAD_LOCAL, RELAXED };

/* name, exported name, parameters */
#define GRAPH_FUNCTIONS(X)                                                                                   \
    X(begin, "cuStreamBeginCapture_v2", (void *, int))                                                       \
    X(end, "cuStreamEndCapture", (void *, void **))                                                          \
    X(capturing, "cuStreamIsCapturing", (void *, int *))                                                     \
    X(instantiate, "cuGraphInstantiateWithFlags", (void **, void *, unsigned long long))                     \
    X(replay, "cuGraphLaunch", (void *, void *))                                                             \
    X(destroy, "cuGraphDestroy", (void *))                                                                   \
    X(destroy_exec, "cuGraphExecDestroy", (void *))

static Driver d;
static struct {
#define X(name, symbol, parameters) int(*name) parameters;
    GRAPH_FUNCTIONS(X)
#undef X
} g;

static const char counter[] = ".version 7.4\n.target sm_80\n.address_size 64\n\n"
                              ".visible .entry count(\n    .param .u64 at,\n    .param .u32 step\n)\n{\n"
                              "    .reg .b64 %at;\n    .reg .b32 %step, %old, %new;\n"
                              "    ld.param.b64 %at, [at];\n    ld.param.b32 %step, [step];\n"
                              "    ld.global.nc.b32 %old, [%at];\n    add.s32 %new, %old, %step;\n"
                              "    st.global.b32 [%at], %new;\n    ret;\n}\n";

static void *module, *kernel, *stream, *graph, *exec;
static uint64_t word;

static int count_by(unsigned step, void *on)
{
    void *params[] = {&word, &step};
    return d.launch(kernel, 1, 1, 1, 1, 1, 1, 0, on, params, NULL);
}

static unsigned counted(void)
{
    unsigned value = ~0u;
    d.to_host(&value, word, sizeof value);
    return value;
}

static int status_of(void *on)
{
    int status = -1;
    g.capturing(on, &status);
    return status;
}

static bool find_functions(void)
{
#define X(name, symbol, parameters)                     \
    *(void **)&g.name = dlsym(d.library, symbol);       \
    if (!ok(g.name != NULL, "%s is exported", symbol)) return false;
    GRAPH_FUNCTIONS(X)
#undef X
    return true;
}

/* ---- tests ---- */

static void test_replay(void)
{
    ok(status_of(stream) == 0, "no capture at first");
    ok(g.begin(stream, THREAD_LOCAL) == SUCCESS && status_of(stream) == 1, "a capture");
    ok(count_by(1, stream) == SUCCESS && count_by(10, stream) == SUCCESS, "takes launches");
    ok(g.end(stream, &graph) == SUCCESS && status_of(stream) == 0, "and ends");
    ok(counted() == 0, "nothing ran");
    ok(g.instantiate(&exec, graph, 0) == SUCCESS && g.destroy(graph) == SUCCESS, "an executable copy");
    for (int i = 0; i < 3; i++) ok(g.replay(exec, stream) == SUCCESS, "a replay");
    ok(counted() == 33, "each replay runs each launch with its own parameters: %u", counted());
    ok(g.replay(graph, stream) == INVALID_VALUE, "a destroyed graph is none");
    ok(g.destroy_exec(exec) == SUCCESS && g.destroy_exec(exec) == INVALID_VALUE, "it is destroyed once");
}

/* Each is refused, loses the capture, and the stream works again behind it. */
static void test_lost_by(const char *what, int got, int wanted)
{
    ok(got == wanted, "%s while capturing gives %d: %d", what, wanted, got);
    ok(status_of(stream) == 2, "and loses the capture");
    ok(count_by(1, stream) == LOST, "which takes no launch any more");
    ok(g.end(stream, &graph) == LOST && !graph, "and gives no graph");
    ok(d.stream_synchronize(stream) == SUCCESS, "the stream works again");
}

static void test_lost(void)
{
    void *event;
    d.event_create(&event, 0);
    g.begin(stream, THREAD_LOCAL);
    test_lost_by("waiting for the stream", d.stream_synchronize(stream), UNSUPPORTED);
    g.begin(stream, THREAD_LOCAL);
    test_lost_by("recording an event", d.event_record(event, stream), UNSUPPORTED);
    g.begin(stream, THREAD_LOCAL);
    test_lost_by("a launch on the default stream", count_by(1, NULL), IMPLICIT);
    g.begin(stream, THREAD_LOCAL);
    test_lost_by("a copy on the default stream", d.fill32(word, 0, 1), IMPLICIT);
    d.event_destroy(event);
}

static void test_non_blocking(void)
{
    void *other;
    ok(d.stream_create(&other, NON_BLOCKING) == SUCCESS && g.begin(other, RELAXED) == SUCCESS, "a non-blocking stream");
    ok(count_by(1, NULL) == SUCCESS && count_by(1, stream) == SUCCESS && status_of(other) == 1,
       "other streams go on beside it");
    ok(d.stream_destroy(other) == SUCCESS, "it may end while capturing");
}

static void *end_elsewhere(void *result)
{
    void *none;
    d.context_set(*(void **)result);
    *(long *)result = g.end(stream, &none);
    return NULL;
}

static void test_refusals(void *context)
{
    void *result = context;
    pthread_t thread;
    ok(g.begin(NULL, THREAD_LOCAL) == UNSUPPORTED, "the default stream cannot capture");
    ok(g.begin(stream, 3) == INVALID_VALUE, "there is no mode 3");
    ok(g.end(stream, &graph) == INVALID_VALUE, "there is no capture to end");
    g.begin(stream, THREAD_LOCAL);
    ok(g.begin(stream, THREAD_LOCAL) == INVALID_VALUE, "nor two at once");
    pthread_create(&thread, NULL, end_elsewhere, &result);
    pthread_join(thread, NULL);
    ok((long)result == WRONG_THREAD, "another thread cannot end it: %ld", (long)result);
    ok(g.end(stream, &graph) == SUCCESS && g.destroy(graph) == SUCCESS, "this one can");
}

/* The function of a graph is gone. */
static void test_unloaded(void)
{
    g.begin(stream, GLOBAL);
    count_by(1, stream);
    ok(g.end(stream, &graph) == SUCCESS && g.instantiate(&exec, graph, 0) == SUCCESS, "a graph");
    ok(d.unload(module) == SUCCESS, "its module is unloaded");
    ok(g.replay(exec, stream) == 400, "the replay is refused");
}

/* A captured launch keeps its cluster: the kernel stores how many clusters the grid has. */
static void test_clusters(void)
{
    static const char clusters[] =
        ".version 7.8\n.target sm_90\n.address_size 64\n\n"
        ".visible .entry clusters(\n    .param .u64 at\n)\n{\n"
        "    .reg .b64 %at;\n    .reg .b32 %n;\n    ld.param.b64 %at, [at];\n"
        "    mov.u32 %n, %nclusterid.x;\n    st.global.b32 [%at], %n;\n    ret;\n}\n";
    enum { CLUSTER_DIMENSION = 4 };
    LaunchAttribute attribute = {.id = CLUSTER_DIMENSION, .value.cluster = {2, 1, 1}};
    LaunchConfig config = {{6, 1, 1}, {1, 1, 1}, 0, stream, &attribute, 1};
    void *params[] = {&word}, *of_clusters, *function;
    ok(d.load(&of_clusters, clusters, 0, NULL, NULL) == SUCCESS &&
           d.function(&function, of_clusters, "clusters") == SUCCESS && g.begin(stream, RELAXED) == SUCCESS &&
           d.launch_ex(&config, function, params, NULL) == SUCCESS && g.end(stream, &graph) == SUCCESS &&
           g.instantiate(&exec, graph, 0) == SUCCESS,
       "a launch of clusters is captured");
    ok(d.fill32(word, 0, 1) == SUCCESS && g.replay(exec, stream) == SUCCESS && counted() == 3,
       "and replayed");
    ok(g.destroy_exec(exec) == SUCCESS && g.destroy(graph) == SUCCESS, "and dropped");
}

/* And that it may start before the kernel ahead has ended, which it must wait for before it reads. The trap
 * is the context's last. */
static void test_early_start(void)
{
    enum { PROGRAMMATIC_STREAM_SERIALIZATION = 6 };
    LaunchAttribute attribute = {.id = PROGRAMMATIC_STREAM_SERIALIZATION, .value.yes = 1};
    LaunchConfig config = {{1, 1, 1}, {1, 1, 1}, 0, stream, &attribute, 1};
    unsigned step = 1;
    void *params[] = {&word, &step};
    ok(d.load(&module, counter, 0, NULL, NULL) == SUCCESS &&
           d.function(&kernel, module, "count") == SUCCESS && g.begin(stream, RELAXED) == SUCCESS &&
           d.launch_ex(&config, kernel, params, NULL) == SUCCESS && g.end(stream, &graph) == SUCCESS && g.instantiate(&exec, graph, 0) == SUCCESS,
       "a launch that may start early is captured");
    ok(g.replay(exec, stream) == SUCCESS && d.synchronize() != SUCCESS, "and stopped where it does not wait");
}

int main(void)
{
    void *context = NULL;
    setenv("TILESMITH_EMU_SM", "90", 1);
    if (!driver_open(&d, emulator_path())) return printf("Bail out! no emulator\n"), 1;
    if (!find_functions()) return done();
    ok(d.init(0) == SUCCESS && d.context_create(&context, 0, 0) == SUCCESS, "a context");
    ok(d.load(&module, counter, 0, NULL, NULL) == SUCCESS && d.function(&kernel, module, "count") == SUCCESS, "a kernel");
    ok(d.stream_create(&stream, BLOCKING) == SUCCESS && d.alloc(&word, 4) == SUCCESS, "a stream and a word");
    ok(d.fill32(word, 0, 1) == SUCCESS, "which is 0");
    test_replay();
    test_lost();
    test_non_blocking();
    test_refusals(context);
    test_unloaded();
    test_clusters();
    test_early_start();
    ok(d.context_destroy(context) == SUCCESS, "the rest goes with the context");
    return done();
}
