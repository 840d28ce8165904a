/* file.c: whole files. A write error is remembered by file_put and reported by file_commit, so that writers
 * read straight; a full disk often shows only when the stream is flushed and closed. */
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Reads to the end, whatever the file is: a pipe tells no size. */
static char *read_stream(FILE *f, size_t *bytes)
{
    size_t cap = 1 << 16, n = 0;
    char *text = malloc(cap);
    while (text) {
        n += fread(text + n, 1, cap - n - 1, f);
        if (n + 1 < cap) break;
        char *moved = realloc(text, cap *= 2);
        if (!moved) free(text);
        text = moved;
    }
    if (text) text[n] = 0;
    *bytes = n;
    return text;
}

bool file_read(const char *path, char **text, size_t *bytes, Error *error)
{
    if (file_is_directory(path)) return refuse(error, "cannot read %s: it is a directory", path);
    FILE *f = fopen(path, "rb");
    if (!f) return refuse(error, "cannot read %s: %s", path, strerror(errno));
    *text = read_stream(f, bytes);
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    if (!*text) return refuse(error, "cannot read %s: out of memory", path);
    if (!failed) return true;
    free(*text);
    *text = NULL;
    return refuse(error, "cannot read %s: %s", path, strerror(failed));
}

/* Whether path is something that a rename would destroy: a device, a pipe, a directory. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* "dir/name" -> "dir/name.PID.tmp". */
static char *temporary_name(const char *target)
{
    size_t bytes = strlen(target) + 32;
    char *name = malloc(bytes);
    if (name) snprintf(name, bytes, "%s.%ld.tmp", target, (long)getpid());
    return name;
}

static void release(OutFile *out)
{
    free(out->target);
    free(out->temporary);
    *out = (OutFile){0};
}

static bool create_temporary(OutFile *out)
{
    char *real = realpath(out->path, NULL); /* a link stays a link: its target is replaced */
    out->target = real ? real : strdup(out->path);
    out->temporary = out->target ? temporary_name(out->target) : NULL;
    if (!out->temporary) return false;
    int fd = open(out->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    out->stream = fd < 0 ? NULL : fdopen(fd, "wb");
    if (fd >= 0 && !out->stream) close(fd);
    return out->stream != NULL;
}

bool file_create(OutFile *out, const char *path, Error *error)
{
    *out = (OutFile){.path = path};
    if (file_is_directory(path)) return refuse(error, "cannot write %s: it is a directory", path);
    errno = ENOMEM;
    if (strcmp(path, "-") == 0) out->stream = stdout;
    else if (is_special(path)) out->stream = fopen(path, "wb");
    else create_temporary(out);
    if (out->stream) return true;
    refuse(error, "cannot write %s: %s", path, strerror(errno));
    release(out);
    return false;
}

void file_put(OutFile *out, const void *data, size_t bytes)
{
    if (out->failed || !bytes) return;
    if (fwrite(data, 1, bytes, out->stream) != bytes) out->failed = errno ? errno : EIO;
}

bool file_commit(OutFile *out, Error *error)
{
    const char *path = out->path;
    if (fflush(out->stream) != 0 && !out->failed) out->failed = errno;
    if (out->stream != stdout && fclose(out->stream) != 0 && !out->failed) out->failed = errno;
    if (out->target && !out->failed && rename(out->temporary, out->target) != 0) out->failed = errno;
    int failed = out->failed;
    if (failed && out->temporary) unlink(out->temporary);
    release(out);
    if (!failed) return true;
    return refuse(error, "cannot write %s: %s", strcmp(path, "-") == 0 ? "to standard output" : path,
                  strerror(failed));
}

bool file_write(const char *path, const void *data, size_t bytes, Error *error)
{
    OutFile out;
    if (!file_create(&out, path, error)) return false;
    file_put(&out, data, bytes);
    return file_commit(&out, error);
}
