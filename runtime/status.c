/* status.c: status names and texts from the one list in tilesmith.h, the sentence that each thread keeps of
 * its last failure, and the copying of structs that carry their own size.
 */
#include "runtime/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[RT_MAX_SENTENCE];

const char *ts_version(void) { return TS_VERSION; }

const char *ts_status_name(ts_status status)
{
    switch (status) {
#define X(name, number, text)                                                                                  \
    case name: return #name;
        TS_STATUSES(X)
#undef X
    }
    return "TS_ERROR_?";
}

const char *ts_status_text(ts_status status)
{
    switch (status) {
#define X(name, number, text)                                                                                  \
    case name: return text;
        TS_STATUSES(X)
#undef X
    }
    return "not a status of this library";
}

const char *ts_dtype_name(ts_dtype dtype)
{
    switch (dtype) {
#define X(name, number, text, bytes)                                                                           \
    case name: return text;
        TS_DTYPES(X)
#undef X
    }
    return "?";
}

const char *ts_last_error(void) { return last_error; }

ts_status rt_fail(ts_status status, const char *format, ...)
{
    char sentence[RT_MAX_SENTENCE]; /* apart, because an argument may point into last_error */
    va_list ap;
    va_start(ap, format);
    vsnprintf(sentence, sizeof sentence, format, ap);
    va_end(ap);
    memcpy(last_error, sentence, strlen(sentence) + 1);
    return status;
}

RtSentence rt_sentence(void)
{
    RtSentence kept;
    memcpy(kept.text, last_error, sizeof kept.text);
    return kept;
}

void rt_sentence_restore(const RtSentence *kept) { memcpy(last_error, kept->text, sizeof last_error); }

static ts_status check_size(size_t bytes, size_t first_bytes, const char *name)
{
    if (bytes >= first_bytes && bytes <= RT_MAX_STRUCT_BYTES) return TS_OK;
    return rt_fail(TS_ERROR_INVALID_ARGUMENT, "%s.struct_size is %zu: set it to sizeof(%s)", name, bytes, name);
}

ts_status rt_read_struct(void *ours, size_t our_bytes, size_t first_bytes, const void *theirs, const char *name)
{
    size_t bytes = *(const size_t *)theirs;
    ts_status status = check_size(bytes, first_bytes, name);
    if (status) return status;
    for (size_t i = our_bytes; i < bytes; i++)
        if (((const unsigned char *)theirs)[i])
            return rt_fail(TS_ERROR_UNSUPPORTED,
                           "%s has fields that tilesmith %s does not know: update the library", name,
                           TS_VERSION);
    memset(ours, 0, our_bytes);
    memcpy(ours, theirs, bytes < our_bytes ? bytes : our_bytes);
    return TS_OK;
}

ts_status rt_write_struct(void *theirs, size_t first_bytes, const void *ours, size_t our_bytes,
                          const char *name)
{
    size_t bytes = *(size_t *)theirs;
    ts_status status = check_size(bytes, first_bytes, name);
    if (status) return status;
    memcpy(theirs, ours, bytes < our_bytes ? bytes : our_bytes);
    if (bytes > our_bytes) memset((char *)theirs + our_bytes, 0, bytes - our_bytes);
    *(size_t *)theirs = bytes;
    return TS_OK;
}
