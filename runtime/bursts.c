/* bursts.c: how long a call takes on the device.
 *
 *     estimate     some calls, for how many make a burst
 *     capture      the calls of a burst into a graph
 *     replay       once unmeasured, then whenever it is asked for
 *
 * A burst is long against the launch of its graph, and short enough, with the pause before it, that the
 * clocks do not drop. Where the driver has no graphs, the same calls are enqueued between the events.
 */
#include "runtime/context.h"

#include <stdlib.h>
#include <time.h>

enum { PAUSE_NS = 5000000, MAX_CALLS = 2000, ESTIMATE_CALLS = 20 };
static const double burst_ms = 2, max_burst_ms = 20, least_call_ms = 1e-3;

struct ts_bursts {
    ts_context *context;
    ts_enqueue *enqueue;
    void *data;
    int sets;
    ts_stream stream;
    ts_timer *timer;
    ts_graph *graph; /* NULL: calls one by one */
    int calls;       /* of a burst */
};

static ts_status enqueue(const ts_bursts *b, int calls)
{
    ts_status status = TS_OK;
    for (int i = 0; i < calls && !status; i++) status = b->enqueue(b->data, i, b->stream);
    return status;
}

static ts_status burst(const ts_bursts *b, int calls, double *ms)
{
    float elapsed = 0;
    ts_status status = ts_timer_start(b->timer, b->stream);
    if (!status) status = b->graph ? ts_graph_launch(b->graph, b->stream) : enqueue(b, calls);
    if (!status) status = ts_timer_stop(b->timer, b->stream);
    if (!status) status = ts_stream_synchronize(b->context, b->stream);
    if (!status) status = ts_timer_milliseconds(b->timer, &elapsed);
    *ms = elapsed;
    return status;
}

static double smaller(double a, double b) { return a < b ? a : b; }
static double larger(double a, double b) { return a > b ? a : b; }

/* A slow device is asked once; the first call also pays for what the driver puts off. */
static ts_status choose_calls(ts_bursts *b)
{
    double ms;
    ts_status status = burst(b, 1, &ms);
    if (!status) status = burst(b, 1, &ms);
    if (!status && ms * ESTIMATE_CALLS < max_burst_ms) {
        status = burst(b, ESTIMATE_CALLS, &ms);
        ms /= ESTIMATE_CALLS;
    }
    ms = larger(ms, least_call_ms);
    double calls = smaller(larger(burst_ms / ms, b->sets), smaller(max_burst_ms / ms, MAX_CALLS));
    b->calls = calls < 1 ? 1 : (int)calls;
    return status;
}

static ts_status capture(ts_bursts *b)
{
    RtSentence sentence = rt_sentence();
    ts_status status = ts_graph_begin(b->context, b->stream);
    if (status == TS_ERROR_UNSUPPORTED) {
        rt_sentence_restore(&sentence);
        return TS_OK;
    }
    if (status) return status;
    status = enqueue(b, b->calls);
    if (status) { /* the capture is ended all the same, so that the stream works; the first sentence stays */
        sentence = rt_sentence();
        ts_graph_end(b->context, b->stream, &b->graph);
        rt_sentence_restore(&sentence);
        return status;
    }
    return ts_graph_end(b->context, b->stream, &b->graph);
}

static ts_status begin(ts_bursts *b)
{
    double ms;
    ts_status status = ts_stream_create(b->context, &b->stream);
    if (!status) status = ts_timer_create(b->context, &b->timer);
    if (!status) status = choose_calls(b);
    if (!status) status = capture(b);
    return status ? status : burst(b, b->calls, &ms);
}

ts_status ts_bursts_create(ts_context *context, ts_enqueue *enqueue, void *data, int sets, ts_bursts **bursts)
{
    if (!bursts) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "bursts is null");
    *bursts = NULL;
    if (!context || !enqueue)
        return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is null", context ? "enqueue" : "context");
    if (sets < 1) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "sets is %d: there must be one at least", sets);
    ts_bursts *made = calloc(1, sizeof *made);
    if (!made) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for a measurement");
    *made = (ts_bursts){.context = rt_context_use(context), .enqueue = enqueue, .data = data, .sets = sets};
    ts_status status = begin(made);
    if (status) ts_bursts_destroy(made);
    else *bursts = made;
    return status;
}

ts_status ts_bursts_run(ts_bursts *b, ts_burst *result)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    double ms;
    if (!b || !result) return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s is null", b ? "result" : "bursts");
    *result = (ts_burst){0};
    nanosleep(&pause, NULL);
    ts_status status = burst(b, b->calls, &ms);
    if (!status) *result = (ts_burst){1e3 * ms / b->calls, b->calls, b->graph != NULL};
    return status;
}

void ts_bursts_destroy(ts_bursts *b)
{
    if (!b) return;
    RtSentence sentence = rt_sentence(); /* of why they could not be made: behind a kernel's failure all fails */
    ts_graph_destroy(b->graph);
    ts_timer_destroy(b->timer);
    ts_stream_destroy(b->context, b->stream);
    rt_sentence_restore(&sentence);
    rt_context_drop(b->context);
    free(b);
}
