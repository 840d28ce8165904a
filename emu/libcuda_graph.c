/* libcuda_graph.c: a stream's launches captured into a graph, and replayed.
 *
 * A capturing stream keeps launches, with copies of their parameters, in a list; instantiating copies the
 * list, and a replay runs it in order, which is one of the orders that CUDA allows. Only launches can be
 * captured. Everything else on a capturing stream, and anything on the legacy default stream beside a
 * blocking one, is refused and loses the capture, as the driver does where a program would wait for what has
 * not run.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "emu/driver_api.h"
#include "emu/libcuda.h"

enum { INSTANTIATE_FLAGS = 15 };

typedef struct Capture {
    Graph *graph; /* not yet an object */
    int mode;
    pthread_t thread;
    bool lost;
} Capture;

/* ---- nodes ---- */

static bool add_node(Graph *g, Function *f, const Launch *launch, size_t param_bytes)
{
    GraphNode *node = malloc(sizeof *node + param_bytes);
    if (!node) return false;
    *node = (GraphNode){.function = f, .launch = *launch, .param_bytes = param_bytes};
    node->launch.params = memcpy(node->params, launch->params, param_bytes);
    *g->last = node;
    g->last = &node->next;
    return true;
}

void graph_clear(Graph *g)
{
    for (GraphNode *n = g->first, *next; n; n = next) next = n->next, free(n);
    g->first = NULL;
    g->last = &g->first;
}

static Graph *graph_new(void)
{
    Graph *g = calloc(1, sizeof *g);
    if (g) graph_clear(g);
    return g;
}

static void graph_drop(Graph *g)
{
    if (g) graph_clear(g);
    free(g);
}

static Graph *graph_copy(const Graph *from)
{
    Graph *g = graph_new();
    for (const GraphNode *n = from->first; g && n; n = n->next)
        if (!add_node(g, n->function, &n->launch, n->param_bytes)) {
            graph_drop(g);
            return NULL;
        }
    return g;
}

/* ---- what a capture allows ---- */

static bool is_legacy(CUstream s) { return !s || s == CU_STREAM_LEGACY; }
static bool is_object(CUstream s) { return s && s != CU_STREAM_LEGACY && s != CU_STREAM_PER_THREAD; }

bool stream_captures(CUstream s) { return is_object(s) && s->capture; }

/* A capturing stream that the legacy stream would wait for; NULL when there is none. */
static Stream *blocking_capture(void)
{
    for (Object *o = object_first(); o; o = o->next)
        if (o->kind == OBJECT_STREAM && ((Stream *)o)->capture &&
            !(((Stream *)o)->flags & CU_STREAM_NON_BLOCKING))
            return (Stream *)o;
    return NULL;
}

CUresult stream_ready_for_launch(CUstream s)
{
    if (!stream_ok(s)) return CUDA_ERROR_INVALID_HANDLE;
    if (stream_captures(s) && s->capture->lost) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    Stream *capturing = is_legacy(s) ? blocking_capture() : NULL;
    if (!capturing) return CUDA_SUCCESS;
    capturing->capture->lost = true;
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
}

CUresult stream_ready(CUstream s)
{
    CUresult ready = stream_ready_for_launch(s);
    if (ready || !stream_captures(s)) return ready;
    s->capture->lost = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult capture_launch(CUstream s, Function *f, const Launch *launch)
{
    if (add_node(s->capture->graph, f, launch, (size_t)function_param_bytes(f))) return CUDA_SUCCESS;
    s->capture->lost = true;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

void capture_end(Stream *s)
{
    if (!s->capture) return;
    graph_drop(s->capture->graph);
    free(s->capture);
    s->capture = NULL;
}

/* ---- capturing ---- */

EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, int mode)
{
    ENTER(c);
    LEAVE_IF(mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED,
             CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!stream_ok(stream), CUDA_ERROR_INVALID_HANDLE);
    LEAVE_IF(!is_object(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    LEAVE_IF(stream->capture, CUDA_ERROR_INVALID_VALUE);
    Capture *capture = calloc(1, sizeof *capture);
    LEAVE_IF(!capture, CUDA_ERROR_OUT_OF_MEMORY);
    capture->mode = mode;
    capture->thread = pthread_self();
    capture->graph = graph_new();
    stream->capture = capture;
    if (!capture->graph) capture_end(stream);
    LEAVE(stream->capture ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    ENTER(c);
    LEAVE_IF(!graph, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!stream_ok(stream), CUDA_ERROR_INVALID_HANDLE);
    *graph = NULL;
    LEAVE_IF(!stream_captures(stream), CUDA_ERROR_INVALID_VALUE);
    Capture *capture = stream->capture;
    bool own = pthread_equal(capture->thread, pthread_self());
    LEAVE_IF(!own && capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    bool lost = capture->lost;
    if (!lost) {
        *graph = capture->graph;
        capture->graph = NULL;
        object_add(&(*graph)->object, OBJECT_GRAPH, c);
    }
    capture_end(stream);
    LEAVE(lost ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS);
}

EXPORT CUresult cuStreamIsCapturing(CUstream stream, int *status)
{
    ENTER(c);
    LEAVE_IF(!stream_ok(stream), CUDA_ERROR_INVALID_HANDLE);
    LEAVE_IF(!status, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(is_legacy(stream) && blocking_capture(), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    *status = !stream_captures(stream) ? CU_STREAM_CAPTURE_STATUS_NONE
              : stream->capture->lost  ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                       : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    LEAVE(CUDA_SUCCESS);
}

/* ---- graphs ---- */

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    ENTER(c);
    LEAVE_IF(!exec || flags > INSTANTIATE_FLAGS || !object_is(graph, OBJECT_GRAPH), CUDA_ERROR_INVALID_VALUE);
    Graph *copy = graph_copy(graph);
    LEAVE_IF(!copy, CUDA_ERROR_OUT_OF_MEMORY);
    object_add(&copy->object, OBJECT_GRAPH_EXEC, c);
    *exec = copy;
    LEAVE(CUDA_SUCCESS);
}

/* Runs until a kernel traps; the trap comes up in the next call, as that of any launch. */
static CUresult run_nodes(Context *c, const Graph *g)
{
    CUresult r = CUDA_SUCCESS;
    for (const GraphNode *n = g->first; n && !r && !c->error; n = n->next) {
        if (!object_is(n->function, OBJECT_FUNCTION)) return CUDA_ERROR_INVALID_HANDLE; /* it was unloaded */
        r = launch_now(c, n->function, n->launch);
    }
    return r;
}

EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    ENTER(c);
    LEAVE_IF(!object_is(exec, OBJECT_GRAPH_EXEC), CUDA_ERROR_INVALID_VALUE);
    CUresult ready = stream_ready(stream);
    LEAVE(ready ? ready : run_nodes(c, exec));
}

EXPORT CUresult cuGraphUpload(CUgraphExec exec, CUstream stream)
{
    ENTER(c);
    LEAVE_IF(!object_is(exec, OBJECT_GRAPH_EXEC), CUDA_ERROR_INVALID_VALUE);
    LEAVE(stream_ready(stream));
}

static CUresult destroy(Graph *g, ObjectKind kind)
{
    ENTER(c);
    LEAVE_IF(!object_is(g, kind), CUDA_ERROR_INVALID_VALUE);
    object_destroy(&g->object);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuGraphDestroy(CUgraph graph) { return destroy(graph, OBJECT_GRAPH); }
EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) { return destroy(exec, OBJECT_GRAPH_EXEC); }

ALSO_AS(cuStreamBeginCapture_v2_ptsz, cuStreamBeginCapture_v2);
ALSO_AS(cuStreamEndCapture_ptsz, cuStreamEndCapture);
ALSO_AS(cuStreamIsCapturing_ptsz, cuStreamIsCapturing);
ALSO_AS(cuGraphUpload_ptsz, cuGraphUpload);
ALSO_AS(cuGraphLaunch_ptsz, cuGraphLaunch);
