/* memory.c: device memory, streams, timers and graphs, as far as tools and tests need them. */
#include "runtime/context.h"

#include <stdlib.h>

static ts_status null_argument(const char *name)
{
    return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is null", name);
}

/* Makes one call of the driver in a context; the rest says what it was for. */
#define CALL_IN(context, call, ...)                                                                            \
    do {                                                                                                       \
        bool pushed;                                                                                           \
        ts_status status = rt_enter(context, &pushed);                                                         \
        if (status) return status;                                                                             \
        CUresult result = (context)->driver.call;                                                              \
        rt_leave(context, pushed);                                                                             \
        return rt_driver_check(&(context)->driver, result, __VA_ARGS__);                                       \
    } while (0)

/* ---- memory ---- */

static ts_status allocate(ts_context *context, size_t bytes, CUdeviceptr *address)
{
    CALL_IN(context, cuMemAlloc(address, bytes), "allocating %zu B", bytes);
}

ts_status ts_malloc(ts_context *context, size_t bytes, ts_device_ptr *address)
{
    CUdeviceptr made = 0;
    if (!address) return null_argument("address");
    *address = 0;
    if (!context) return null_argument("context");
    ts_status status = bytes ? allocate(context, bytes, &made) : TS_OK;
    if (!status) *address = made;
    return status;
}

ts_status ts_free(ts_context *context, ts_device_ptr address)
{
    if (!context) return null_argument("context");
    if (!address) return TS_OK;
    CALL_IN(context, cuMemFree(address), "freeing 0x%llx", (unsigned long long)address);
}

ts_status ts_copy_to_device(ts_context *context, ts_device_ptr to, const void *from, size_t bytes)
{
    if (!context) return null_argument("context");
    if (!bytes) return TS_OK;
    if (!to || !from) return null_argument(to ? "from" : "to");
    CALL_IN(context, cuMemcpyHtoD(to, from, bytes), "copying %zu B to the device", bytes);
}

ts_status ts_copy_to_host(ts_context *context, void *to, ts_device_ptr from, size_t bytes)
{
    if (!context) return null_argument("context");
    if (!bytes) return TS_OK;
    if (!to || !from) return null_argument(to ? "from" : "to");
    CALL_IN(context, cuMemcpyDtoH(to, from, bytes), "copying %zu B to the host", bytes);
}

ts_status ts_fill(ts_context *context, ts_device_ptr to, uint8_t byte, size_t bytes)
{
    if (!context) return null_argument("context");
    if (!bytes) return TS_OK;
    if (!to) return null_argument("to");
    CALL_IN(context, cuMemsetD8(to, byte, bytes), "filling %zu B", bytes);
}

/* ---- streams ---- */

static ts_status create_stream(ts_context *context, CUstream *stream)
{
    CALL_IN(context, cuStreamCreate(stream, CU_STREAM_DEFAULT), "creating a stream");
}

ts_status ts_stream_create(ts_context *context, ts_stream *stream)
{
    CUstream made = NULL;
    if (!stream) return null_argument("stream");
    *stream = NULL;
    if (!context) return null_argument("context");
    ts_status status = create_stream(context, &made);
    if (!status) *stream = made;
    return status;
}

ts_status ts_stream_destroy(ts_context *context, ts_stream stream)
{
    if (!context) return null_argument("context");
    if (!stream) return TS_OK;
    CALL_IN(context, cuStreamDestroy(stream), "destroying a stream");
}

ts_status ts_stream_synchronize(ts_context *context, ts_stream stream)
{
    if (!context) return null_argument("context");
    CALL_IN(context, cuStreamSynchronize(stream), "waiting for a stream");
}

/* ---- timers ---- */

struct ts_timer {
    ts_context *context;
    CUevent start, stop;
};

static ts_status create_events(ts_timer *timer)
{
    const RtDriver *driver = &timer->context->driver;
    bool pushed;
    ts_status status = rt_enter(timer->context, &pushed);
    if (status) return status;
    status = rt_driver_check(driver, driver->cuEventCreate(&timer->start, CU_EVENT_DEFAULT),
                             "creating an event");
    if (!status)
        status = rt_driver_check(driver, driver->cuEventCreate(&timer->stop, CU_EVENT_DEFAULT),
                                 "creating an event");
    rt_leave(timer->context, pushed);
    return status;
}

ts_status ts_timer_create(ts_context *context, ts_timer **timer)
{
    if (!timer) return null_argument("timer");
    *timer = NULL;
    if (!context) return null_argument("context");
    ts_timer *made = calloc(1, sizeof *made);
    if (!made) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a timer");
    made->context = rt_context_use(context);
    ts_status status = create_events(made);
    if (status) ts_timer_destroy(made);
    else *timer = made;
    return status;
}

void ts_timer_destroy(ts_timer *timer)
{
    bool pushed;
    if (!timer) return;
    if ((timer->start || timer->stop) && !rt_enter(timer->context, &pushed)) {
        if (timer->start) timer->context->driver.cuEventDestroy(timer->start);
        if (timer->stop) timer->context->driver.cuEventDestroy(timer->stop);
        rt_leave(timer->context, pushed);
    }
    rt_context_drop(timer->context);
    free(timer);
}

ts_status ts_timer_start(ts_timer *timer, ts_stream stream)
{
    if (!timer) return null_argument("timer");
    CALL_IN(timer->context, cuEventRecord(timer->start, stream), "starting a timer");
}

ts_status ts_timer_stop(ts_timer *timer, ts_stream stream)
{
    if (!timer) return null_argument("timer");
    CALL_IN(timer->context, cuEventRecord(timer->stop, stream), "stopping a timer");
}

static ts_status wait_for_stop(ts_timer *timer)
{
    CALL_IN(timer->context, cuEventSynchronize(timer->stop), "waiting for a timer");
}

ts_status ts_timer_milliseconds(ts_timer *timer, float *milliseconds)
{
    if (!timer || !milliseconds) return null_argument(timer ? "milliseconds" : "timer");
    *milliseconds = 0;
    ts_status status = wait_for_stop(timer);
    if (status) return status;
    CALL_IN(timer->context, cuEventElapsedTime(milliseconds, timer->start, timer->stop), "reading a timer");
}

/* ---- graphs ---- */

struct ts_graph {
    ts_context *context;
    CUgraphExec exec;
};

static ts_status check_graph_functions(const ts_context *context)
{
    const RtDriver *d = &context->driver;
    if (d->cuStreamBeginCapture && d->cuStreamEndCapture && d->cuGraphInstantiateWithFlags &&
        d->cuGraphDestroy && d->cuGraphExecDestroy && d->cuGraphLaunch)
        return TS_OK;
    return rt_fail(TS_ERROR_UNSUPPORTED,
                   "this CUDA driver has no graphs: update it to CUDA 11.4 or newer, or launch one by one");
}

/* Of this thread alone: other threads of the process go on as they like. */
ts_status ts_graph_begin(ts_context *context, ts_stream stream)
{
    if (!context || !stream) return null_argument(context ? "stream" : "context");
    ts_status status = check_graph_functions(context);
    if (status) return status;
    CALL_IN(context, cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
            "beginning to capture a stream");
}

/* In the context. The graph itself is only needed until it is instantiated. */
static ts_status end_capture(ts_graph *graph, ts_stream stream)
{
    const RtDriver *driver = &graph->context->driver;
    CUgraph captured = NULL;
    ts_status status = rt_driver_check(driver, driver->cuStreamEndCapture(stream, &captured),
                                       "ending the capture of a stream");
    if (status) return status;
    status = rt_driver_check(driver, driver->cuGraphInstantiateWithFlags(&graph->exec, captured, 0),
                             "making a graph of what was captured");
    driver->cuGraphDestroy(captured);
    return status;
}

ts_status ts_graph_end(ts_context *context, ts_stream stream, ts_graph **graph)
{
    bool pushed;
    if (!graph) return null_argument("graph");
    *graph = NULL;
    if (!context || !stream) return null_argument(context ? "stream" : "context");
    ts_status status = check_graph_functions(context);
    if (status) return status;
    ts_graph *made = calloc(1, sizeof *made);
    if (!made) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a graph");
    made->context = rt_context_use(context);
    status = rt_enter(context, &pushed);
    if (!status) {
        status = end_capture(made, stream);
        rt_leave(context, pushed);
    }
    if (status) ts_graph_destroy(made);
    else *graph = made;
    return status;
}

ts_status ts_graph_launch(const ts_graph *graph, ts_stream stream)
{
    if (!graph) return null_argument("graph");
    CALL_IN(graph->context, cuGraphLaunch(graph->exec, stream), "launching a graph");
}

void ts_graph_destroy(ts_graph *graph)
{
    bool pushed;
    if (!graph) return;
    if (graph->exec && !rt_enter(graph->context, &pushed)) {
        graph->context->driver.cuGraphExecDestroy(graph->exec);
        rt_leave(graph->context, pushed);
    }
    rt_context_drop(graph->context);
    free(graph);
}
