/* parallel.h: a loop over independent indexes, run by as many threads as the machine has processors. */
#ifndef CLI_PARALLEL_H
#define CLI_PARALLEL_H

#include <stdint.h>

/* Calls body(context, i) once for each i in [0, count), from several threads at once, and returns when all
 * are done. Where threads cannot be made, fewer do the same work. */
void parallel_for(int64_t count, void (*body)(void *context, int64_t i), void *context);

#endif
