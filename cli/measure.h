/* measure.h: how long a kernel takes, call after call. */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "cli/rotation.h"

enum { MEASURE_USUAL_REPLAYS = 15, MEASURE_MAX_REPLAYS = 1000 };

typedef struct Timing {
    double us, us_p10, us_p90; /* of a call: median, 10th and 90th percentile of the replays */
    int calls, replays;        /* calls of a replay */
    bool graph;                /* replays of a CUDA graph; else calls enqueued one by one between events */
} Timing;

/* Walks through the rotation in bursts (ts_bursts), as many as timing->replays says, which is at most
 * MEASURE_MAX_REPLAYS. s and t are the epilogue's. */
bool measure(const Rotation *r, const ts_kernel *kernel, float s, float t, Timing *timing, Error *error);

#endif
