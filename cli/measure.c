/* measure.c: bursts of calls in a CUDA graph, timed on the device by events.
 *
 *     estimate     some calls, for how many make a burst
 *     capture      the calls of a burst, through the sets in turn, into a graph
 *     replay       once unmeasured, then MEASURE_REPLAYS times with a pause before each
 *
 * A burst is long against the launch of its graph, and short enough, with its pause, that the clocks do not
 * drop. It walks through all sets if that takes no more than max_burst_ms. Where the driver has no graphs,
 * the same calls are enqueued between the events, which adds the gaps between launches: the result says so.
 */
#include "cli/measure.h"
#include "cli/device.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { PAUSE_NS = 5000000, MAX_CALLS = 2000, ESTIMATE_CALLS = 20 };
static const double burst_ms = 2, max_burst_ms = 20, least_call_ms = 1e-3;

typedef struct Bench {
    const Rotation *rotation;
    const ts_kernel *kernel;
    float s, t;
    ts_stream stream;
    ts_timer *timer;
    ts_graph *graph; /* NULL: calls one by one */
    int calls;
} Bench;

static bool enqueue(const Bench *b, int calls, Error *error)
{
    for (int i = 0; i < calls; i++)
        if (!device_check(rotation_launch(b->rotation, b->kernel, i, b->s, b->t, b->stream), error))
            return false;
    return true;
}

static bool burst(const Bench *b, int calls, double *ms, Error *error)
{
    float elapsed = 0;
    bool good =
        device_check(ts_timer_start(b->timer, b->stream), error) &&
        (b->graph ? device_check(ts_graph_launch(b->graph, b->stream), error) : enqueue(b, calls, error)) &&
        device_check(ts_timer_stop(b->timer, b->stream), error) &&
        device_check(ts_stream_synchronize(b->rotation->context, b->stream), error) &&
        device_check(ts_timer_milliseconds(b->timer, &elapsed), error);
    *ms = elapsed;
    return good;
}

/* A slow device is asked once; the first call also pays for what the driver puts off. */
static bool choose_calls(Bench *b, Error *error)
{
    double ms;
    if (!burst(b, 1, &ms, error) || !burst(b, 1, &ms, error)) return false;
    if (ms * ESTIMATE_CALLS < max_burst_ms) {
        if (!burst(b, ESTIMATE_CALLS, &ms, error)) return false;
        ms /= ESTIMATE_CALLS;
    }
    ms = fmax(ms, least_call_ms);
    double calls = fmax(burst_ms / ms, b->rotation->sets);
    calls = fmin(fmin(calls, max_burst_ms / ms), MAX_CALLS);
    b->calls = calls < 1 ? 1 : (int)calls;
    return true;
}

static bool capture(Bench *b, Error *error)
{
    Error ignored;
    ts_status status = ts_graph_begin(b->rotation->context, b->stream);
    if (status == TS_ERROR_UNSUPPORTED) return true;
    if (!device_check(status, error)) return false;
    bool enqueued = enqueue(b, b->calls, error);
    status =
        ts_graph_end(b->rotation->context, b->stream, &b->graph); /* in any case, so that the stream works */
    return enqueued && device_check(status, enqueued ? error : &ignored);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool replay(const Bench *b, Timing *timing, Error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    double us[MEASURE_REPLAYS], ms;
    if (!burst(b, b->calls, &ms, error)) return false;
    for (int i = 0; i < MEASURE_REPLAYS; i++) {
        nanosleep(&pause, NULL);
        if (!burst(b, b->calls, &ms, error)) return false;
        us[i] = 1e3 * ms / b->calls;
    }
    qsort(us, MEASURE_REPLAYS, sizeof *us, by_size);
    *timing = (Timing){
        .us = us[MEASURE_REPLAYS / 2],
        .us_p10 = us[MEASURE_REPLAYS / 10],
        .us_p90 = us[MEASURE_REPLAYS - 1 - MEASURE_REPLAYS / 10],
        .calls = b->calls,
        .replays = MEASURE_REPLAYS,
        .graph = b->graph != NULL,
    };
    return true;
}

bool measure(const Rotation *r, const ts_kernel *kernel, float s, float t, Timing *timing, Error *error)
{
    Bench b = {.rotation = r, .kernel = kernel, .s = s, .t = t};
    bool good = device_check(ts_stream_create(r->context, &b.stream), error) &&
                device_check(ts_timer_create(r->context, &b.timer), error) && choose_calls(&b, error) &&
                capture(&b, error) && replay(&b, timing, error);
    ts_graph_destroy(b.graph);
    ts_timer_destroy(b.timer);
    ts_stream_destroy(r->context, b.stream);
    return good;
}
