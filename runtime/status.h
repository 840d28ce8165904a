/* status.h: how functions of the runtime fail: `return rt_fail(TS_ERROR_..., "a sentence")`. */
#ifndef RUNTIME_STATUS_H
#define RUNTIME_STATUS_H

#include <stdbool.h>

#include "runtime/tilesmith.h"

enum { RT_MAX_SENTENCE = 4096, RT_MAX_STRUCT_BYTES = 4096 };

/* Keeps the sentence for ts_last_error() of this thread and returns the status. */
ts_status rt_fail(ts_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence of this thread's last failure, kept over what may fail without being the caller's concern. */
typedef struct RtSentence {
    char text[RT_MAX_SENTENCE];
} RtSentence;
RtSentence rt_sentence(void);
void rt_sentence_restore(const RtSentence *kept);

/* Versioned structs. Copies the caller's struct (its first field is its size) into `ours`, whose fields beyond
 * the caller's size become 0. A struct smaller than `first_bytes` (its size in the first release) was not set
 * up; one that is larger than ours must be 0 where this library knows no fields. */
ts_status rt_read_struct(void *ours, size_t our_bytes, size_t first_bytes, const void *theirs, const char *name);
#define RT_BYTES_THROUGH(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))
/* The other way round: copies as much of ours as fits, and keeps the caller's size. */
ts_status rt_write_struct(void *theirs, size_t first_bytes, const void *ours, size_t our_bytes, const char *name);

#endif
