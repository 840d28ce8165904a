/* store.c: rows to lines and back, and the file.
 *
 * Appending needs no copy of the file, which writing it anew and renaming would: with a lock, append mode and
 * fsync() nothing ever touches a row that has been written.
 */
#include "dispatch/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- a row's fields ---- */

static const struct Field {
    const char *name;
    size_t offset, text_bytes; /* text_bytes 0: an integer */
} fields[] = {
#define X(name, size) {#name, offsetof(RtRow, name), size},
    RT_ROW_TEXTS(X)
#undef X
#define X(name) {#name, offsetof(RtRow, name), 0},
        RT_ROW_INTEGERS(X)
#undef X
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static const struct Field *find_field(const char *name)
{
    for (int i = 0; i < N_FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    return NULL;
}

void rt_store_hash(const char *text, size_t bytes, char hash[17])
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    snprintf(hash, 17, "%016llx", (unsigned long long)h);
}

/* ---- row to line ---- */

typedef struct Line {
    char *text;
    size_t length;
} Line;

static void put(Line *line, const char *text)
{
    size_t length = strlen(text), room = RT_STORE_MAX_LINE_BYTES - line->length - 1;
    if (length > room) length = room;
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

static void put_text(Line *line, const char *text)
{
    char piece[8];
    put(line, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = c >= 32 && c != '"' && c != '\\';
        snprintf(piece, sizeof piece, plain ? "%c" : "\\u%04x", c);
        put(line, piece);
    }
    put(line, "\"");
}

/* All texts at their longest, every character escaped, fit into a line. */
#define X(name, size) +6 * (size) + 32
_Static_assert(0 RT_ROW_TEXTS(X) + 8 * 48 < RT_STORE_MAX_LINE_BYTES, "a row fits a line");
#undef X

static void print_row(const RtRow *row, Line *line)
{
    char number[32];
    snprintf(number, sizeof number, "{\"schema\":%d", RT_STORE_SCHEMA);
    put(line, number);
    for (int i = 0; i < N_FIELDS; i++) {
        const char *at = (const char *)row + fields[i].offset;
        put(line, ",\"");
        put(line, fields[i].name);
        put(line, "\":");
        if (fields[i].text_bytes) put_text(line, at);
        else {
            snprintf(number, sizeof number, "%lld", (long long)*(const int64_t *)at);
            put(line, number);
        }
    }
    put(line, "}\n");
}

/* ---- line to row ---- */

/* A flat object of strings and integers. */
typedef struct Reader {
    const char *at, *end;
} Reader;

static void skip_spaces(Reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool take_char(Reader *r, char c)
{
    skip_spaces(r);
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool read_escape(Reader *r, char *c)
{
    unsigned value = 0;
    if (r->end - r->at < 5 || *r->at++ != 'u') return false;
    for (int i = 0; i < 4; i++) {
        char digit = *r->at++;
        const char *digits = "0123456789abcdef", *found = digit ? strchr(digits, digit) : NULL;
        if (!found) return false;
        value = value * 16 + (unsigned)(found - digits);
    }
    *c = (char)value;
    return value > 0 && value < 256;
}

static bool read_text(Reader *r, char *text, size_t bytes)
{
    size_t length = 0;
    if (!take_char(r, '"')) return false;
    while (r->at < r->end && *r->at != '"') {
        char c = *r->at++;
        if (!c || (c == '\\' && !read_escape(r, &c)) || length + 1 == bytes) return false;
        text[length++] = c;
    }
    text[length] = 0;
    return take_char(r, '"');
}

static bool read_integer(Reader *r, int64_t *value)
{
    char *end, digits[24];
    size_t length = 0;
    skip_spaces(r);
    while (r->at < r->end && length < sizeof digits - 1 && strchr("-0123456789", *r->at) && *r->at)
        digits[length++] = *r->at++;
    digits[length] = 0;
    errno = 0;
    *value = strtoll(digits, &end, 10);
    return length && !*end && !errno;
}

/* Fields that are not known are read over. */
static bool read_field(Reader *r, RtRow *row, int64_t *schema)
{
    char name[64], other_text[RT_STORE_MAX_LINE_BYTES];
    int64_t other;
    if (!read_text(r, name, sizeof name) || !take_char(r, ':')) return false;
    const struct Field *field = find_field(name);
    skip_spaces(r);
    bool is_text = r->at < r->end && *r->at == '"';
    if (field && is_text != (field->text_bytes > 0)) return false;
    if (is_text)
        return field ? read_text(r, (char *)row + field->offset, field->text_bytes)
                     : read_text(r, other_text, sizeof other_text);
    if (field) return read_integer(r, (int64_t *)((char *)row + field->offset));
    return read_integer(r, strcmp(name, "schema") ? &other : schema);
}

static bool parse_row(const char *line, const char *end, RtRow *row)
{
    Reader r = {line, end};
    int64_t schema = 0;
    memset(row, 0, sizeof *row);
    if (!take_char(&r, '{')) return false;
    do
        if (!read_field(&r, row, &schema)) return false;
    while (take_char(&r, ','));
    if (!take_char(&r, '}')) return false;
    skip_spaces(&r);
    return r.at == r.end && schema == RT_STORE_SCHEMA && *row->key && *row->config && *row->status;
}

/* ---- the file ---- */

const char rt_store_file[] = "tuning.jsonl";

static char *path_of(const char *directory)
{
    size_t bytes = strlen(directory) + 1 + sizeof rt_store_file;
    char *path = malloc(bytes);
    if (path) snprintf(path, bytes, "%s/%s", directory, rt_store_file);
    return path;
}

static ts_status no_memory(void) { return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for the tuning store"); }

static ts_status io_failed(const char *doing, const char *path)
{
    return rt_fail(TS_ERROR_IO, "the tuning store %s cannot be %s: %s", path, doing, strerror(errno));
}

/* All components of the path that are missing. */
static ts_status make_directory(const char *directory)
{
    char *path = strdup(directory);
    ts_status status = TS_OK;
    if (!path) return no_memory();
    for (char *at = path; *at && !status; at++) {
        bool inside = at[1] == '/', last = !at[1];
        if (!inside && !last) continue;
        char next = at[1];
        at[1] = 0;
        if (mkdir(path, 0700) && errno != EEXIST && errno != EISDIR) {
            struct stat s;
            if (stat(path, &s) || !S_ISDIR(s.st_mode)) status = io_failed("made", path);
        }
        at[1] = next;
    }
    free(path);
    return status;
}

static ts_status check_file(int fd, const char *path, struct stat *s)
{
    if (fstat(fd, s)) return io_failed("read", path);
    if (S_ISREG(s->st_mode)) return TS_OK;
    return rt_fail(TS_ERROR_IO, "the tuning store %s is not a file", path);
}

static ts_status lock_file(int fd, const char *path)
{
    const struct timespec turn = {.tv_nsec = 10000000};
    for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB); ms += 10) {
        if (errno != EWOULDBLOCK && errno != EINTR) return io_failed("locked", path);
        if (ms >= RT_STORE_LOCK_MS)
            return rt_fail(TS_ERROR_IO, "the tuning store %s is locked by another process for more than %d s",
                           path, RT_STORE_LOCK_MS / 1000);
        nanosleep(&turn, NULL);
    }
    return TS_OK;
}

static bool write_all(int fd, const char *text, size_t bytes)
{
    while (bytes) {
        ssize_t written = write(fd, text, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text += written, bytes -= (size_t)written;
    }
    return true;
}

/* With the lock held. A line that somebody left unfinished is ended first. */
static ts_status append_line(int fd, const char *path, const Line *line)
{
    struct stat s;
    char last = '\n';
    ts_status status = check_file(fd, path, &s);
    if (status) return status;
    if (s.st_size > RT_STORE_MAX_BYTES - RT_STORE_MAX_LINE_BYTES)
        return rt_fail(TS_ERROR_IO, "the tuning store %s is full, %lld bytes: move it away", path,
                       (long long)s.st_size);
    if (s.st_size && pread(fd, &last, 1, s.st_size - 1) != 1) return io_failed("read", path);
    if ((last == '\n' || write_all(fd, "\n", 1)) && write_all(fd, line->text, line->length) && !fsync(fd))
        return TS_OK;
    status = io_failed("written", path);
    if (ftruncate(fd, s.st_size)) return status; /* then what was written stays, as a line that is no row */
    return status;
}

static ts_status append_to(const char *path, const Line *line)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) return io_failed("opened", path);
    ts_status status = lock_file(fd, path);
    if (!status) status = append_line(fd, path, line);
    close(fd);
    return status;
}

ts_status rt_store_append(const char *directory, const RtRow *row)
{
    Line line = {malloc(RT_STORE_MAX_LINE_BYTES), 0};
    char *path = path_of(directory);
    ts_status status = line.text && path ? make_directory(directory) : no_memory();
    if (!status) {
        print_row(row, &line);
        status = append_to(path, &line);
    }
    free(line.text);
    free(path);
    return status;
}

static void take_rows(const char *text, const char *end, const char *key,
                      void (*take)(void *data, const RtRow *row), void *data)
{
    RtRow row;
    for (const char *line = text, *next; line < end; line = next + 1) {
        next = memchr(line, '\n', (size_t)(end - line));
        if (!next) return; /* unfinished */
        if (next - line < RT_STORE_MAX_LINE_BYTES && parse_row(line, next, &row) && strcmp(row.key, key) == 0)
            take(data, &row);
    }
}

static ts_status read_file(int fd, const char *path, char **text, size_t *bytes)
{
    struct stat s;
    size_t have = 0;
    ts_status status = check_file(fd, path, &s);
    if (status) return status;
    size_t size = s.st_size < RT_STORE_MAX_BYTES ? (size_t)s.st_size : RT_STORE_MAX_BYTES;
    *text = malloc(size + 1);
    if (!*text) return no_memory();
    while (have < size) {
        ssize_t got = pread(fd, *text + have, size - have, (off_t)have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return io_failed("read", path);
        if (got == 0) break;
        have += (size_t)got;
    }
    *bytes = have;
    return TS_OK;
}

ts_status rt_store_read(const char *directory, const char *key, void (*take)(void *data, const RtRow *row),
                        void *data)
{
    char *text = NULL, *path = path_of(directory);
    size_t bytes = 0;
    if (!path) return no_memory();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool missing = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
    ts_status status = fd >= 0   ? read_file(fd, path, &text, &bytes)
                       : missing ? TS_OK
                                 : io_failed("opened", path);
    if (fd >= 0) close(fd);
    if (text && !status) take_rows(text, text + bytes, key, take, data);
    free(text);
    free(path);
    return status;
}
