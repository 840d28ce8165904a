/* measure.c: bursts of calls, and what is said of them. */
#include "cli/measure.h"
#include "cli/device.h"

#include <stdlib.h>

typedef struct Launch {
    const Rotation *rotation;
    const ts_kernel *kernel;
    float s, t;
} Launch;

static ts_status launch(void *data, int64_t i, ts_stream stream)
{
    const Launch *l = data;
    return rotation_launch(l->rotation, l->kernel, i, l->s, l->t, stream);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool measure(const Rotation *r, const ts_kernel *kernel, float s, float t, Timing *timing, Error *error)
{
    Launch l = {r, kernel, s, t};
    ts_bursts *bursts;
    ts_burst burst = {0};
    int replays = timing->replays;
    double us[MEASURE_MAX_REPLAYS];
    ts_status status = ts_bursts_create(r->context, launch, &l, r->sets, &bursts);
    for (int i = 0; i < replays && !status; i++) {
        status = ts_bursts_run(bursts, &burst);
        us[i] = burst.us;
    }
    ts_bursts_destroy(bursts);
    if (status) return device_check(status, error);
    qsort(us, (size_t)replays, sizeof *us, by_size);
    *timing = (Timing){
        .us = us[replays / 2],
        .us_p10 = us[replays / 10],
        .us_p90 = us[replays - 1 - replays / 10],
        .calls = burst.calls,
        .replays = replays,
        .graph = burst.graph,
    };
    return true;
}
