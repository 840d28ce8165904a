/* file.h: whole files, read and written so that nothing is lost.
 *
 * A file being written has a temporary name in the same directory until file_commit renames it, so that
 * readers see the old content or the new, never a part; a failure leaves the old file. What is not a
 * regular file (a device, a pipe, "-" for stdout) is written straight.
 */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include "cli/error.h"

#include <stddef.h>
#include <stdio.h>

/* The whole file and a NUL behind it; the caller frees *text. */
bool file_read(const char *path, char **text, size_t *bytes, Error *error);
bool file_is_directory(const char *path);

typedef struct OutFile {
    FILE *stream;
    const char *path; /* as the user wrote it; the caller's */
    char *target;     /* what is renamed to; NULL: written straight */
    char *temporary;
    int failed; /* errno of the first write that failed, or 0 */
} OutFile;

bool file_create(OutFile *out, const char *path, Error *error);
void file_put(OutFile *out, const void *data, size_t bytes);
/* Flushes, closes and renames. After it, failed or not, out holds nothing. */
bool file_commit(OutFile *out, Error *error);

/* All three. */
bool file_write(const char *path, const void *data, size_t bytes, Error *error);

#endif
