/* libcuda_stream.c: streams and events. Work is done when it is enqueued, so waiting never waits. */
#include <stdlib.h>

#include "emu/driver_api.h"
#include "emu/libcuda.h"

enum { DISABLE_TIMING = 2, EVENT_FLAGS = 7, LEAST_PRIORITY = 0, GREATEST_PRIORITY = -5 };

bool stream_ok(CUstream s)
{
    return !s || s == CU_STREAM_LEGACY || s == CU_STREAM_PER_THREAD || object_is(s, OBJECT_STREAM);
}

EXPORT CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority)
{
    ENTER(c);
    LEAVE_IF(!stream || flags > CU_STREAM_NON_BLOCKING, CUDA_ERROR_INVALID_VALUE);
    Stream *s = calloc(1, sizeof *s);
    LEAVE_IF(!s, CUDA_ERROR_OUT_OF_MEMORY);
    object_add(&s->object, OBJECT_STREAM, c);
    s->flags = flags;
    s->priority = priority > LEAST_PRIORITY      ? LEAST_PRIORITY
                  : priority < GREATEST_PRIORITY ? GREATEST_PRIORITY
                                                 : priority;
    *stream = s;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    return cuStreamCreateWithPriority(stream, flags, 0);
}

EXPORT CUresult cuStreamDestroy_v2(CUstream stream)
{
    ENTER(c);
    LEAVE_IF(!object_is(stream, OBJECT_STREAM), CUDA_ERROR_INVALID_HANDLE);
    object_destroy(&stream->object);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuStreamSynchronize(CUstream stream)
{
    ENTER(c);
    LEAVE(stream_ready(stream));
}

EXPORT CUresult cuStreamQuery(CUstream stream)
{
    ENTER(c);
    LEAVE(stream_ready(stream));
}

EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    ENTER(c);
    LEAVE_IF(!object_is(event, OBJECT_EVENT), CUDA_ERROR_INVALID_HANDLE);
    CUresult ready = stream_ready(stream);
    LEAVE_IF(ready, ready);
    LEAVE(flags > 1 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
}

/* ---- events ---- */

EXPORT CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    ENTER(c);
    LEAVE_IF(!event || flags > EVENT_FLAGS, CUDA_ERROR_INVALID_VALUE);
    Event *e = calloc(1, sizeof *e);
    LEAVE_IF(!e, CUDA_ERROR_OUT_OF_MEMORY);
    object_add(&e->object, OBJECT_EVENT, c);
    e->flags = flags;
    *event = e;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuEventDestroy_v2(CUevent event)
{
    ENTER(c);
    LEAVE_IF(!object_is(event, OBJECT_EVENT), CUDA_ERROR_INVALID_HANDLE);
    object_destroy(&event->object);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream stream)
{
    ENTER(c);
    LEAVE_IF(!object_is(event, OBJECT_EVENT), CUDA_ERROR_INVALID_HANDLE);
    CUresult ready = stream_ready(stream);
    LEAVE_IF(ready, ready);
    clock_gettime(CLOCK_MONOTONIC, &event->at);
    event->recorded = true;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuEventSynchronize(CUevent event)
{
    ENTER(c);
    LEAVE(object_is(event, OBJECT_EVENT) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

EXPORT CUresult cuEventQuery(CUevent event)
{
    ENTER(c);
    LEAVE(object_is(event, OBJECT_EVENT) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

float milliseconds_between(const struct timespec *start, const struct timespec *end)
{
    return (float)(1e3 * (double)(end->tv_sec - start->tv_sec) +
                   1e-6 * (double)(end->tv_nsec - start->tv_nsec));
}

static bool timed(const Event *e) { return e->recorded && !(e->flags & DISABLE_TIMING); }

EXPORT CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end)
{
    ENTER(c);
    LEAVE_IF(!milliseconds, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(start, OBJECT_EVENT) || !object_is(end, OBJECT_EVENT), CUDA_ERROR_INVALID_HANDLE);
    LEAVE_IF(!timed(start) || !timed(end), CUDA_ERROR_INVALID_HANDLE);
    *milliseconds = milliseconds_between(&start->at, &end->at);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end)
{
    return cuEventElapsedTime_v2(milliseconds, start, end);
}

ALSO_AS(cuStreamDestroy, cuStreamDestroy_v2);
ALSO_AS(cuEventDestroy, cuEventDestroy_v2);
ALSO_AS(cuStreamSynchronize_ptsz, cuStreamSynchronize);
ALSO_AS(cuStreamQuery_ptsz, cuStreamQuery);
ALSO_AS(cuStreamWaitEvent_ptsz, cuStreamWaitEvent);
ALSO_AS(cuEventRecord_ptsz, cuEventRecord);
