/* parallel.c: threads that take the next index from one counter until none is left. The calling thread is
 * one of them, so that the work is done even if no other can be started. */
#include "cli/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MAX_THREADS = 256 };

typedef struct Loop {
    void (*body)(void *context, int64_t i);
    void *context;
    int64_t count;
    _Atomic int64_t next;
} Loop;

static void *work(void *argument)
{
    Loop *loop = argument;
    for (int64_t i; (i = atomic_fetch_add(&loop->next, 1)) < loop->count;) loop->body(loop->context, i);
    return NULL;
}

void parallel_for(int64_t count, void (*body)(void *context, int64_t i), void *context)
{
    Loop loop = {.body = body, .context = context, .count = count};
    pthread_t thread[MAX_THREADS];
    long wanted = sysconf(_SC_NPROCESSORS_ONLN) - 1;
    if (wanted > MAX_THREADS) wanted = MAX_THREADS;
    if (wanted > count - 1) wanted = (long)count - 1;
    int started = 0;
    while (started < wanted && pthread_create(&thread[started], NULL, work, &loop) == 0) started++;
    work(&loop);
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
}
