/* npy.c: .npy files. The header is a Python dictionary; a small scanner reads the three keys that the format
 * defines, in any order, and nothing else. Sizes are checked against the file before memory is asked for. */
#include "cli/npy.h"
#include "cli/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAGIC_BYTES = 8, MAX_HEADER_BYTES = 1 << 20, HEADER_ALIGN = 64 };
static const char magic[] = "\x93NUMPY";

typedef struct Reader {
    const char *path;
    FILE *stream;
    const char *p; /* in the dictionary */
    bool fortran_order, have_descr, have_order, have_shape;
    NpyArray *array;
    Error *error;
} Reader;

/* ---- the dictionary ---- */

static void skip_spaces(Reader *r) { r->p += strspn(r->p, " \t\r\n"); }

static bool accept(Reader *r, char c)
{
    skip_spaces(r);
    if (*r->p != c) return false;
    r->p++;
    return true;
}

static bool expect(Reader *r, char c)
{
    return accept(r, c) ||
           refuse(r->error, "%s: the npy header is malformed ('%c' expected at '%.20s')", r->path, c, r->p);
}

/* A quoted Python string without escapes. */
static bool read_string(Reader *r, char *text, size_t text_bytes)
{
    skip_spaces(r);
    char quote = *r->p == '"' ? '"' : '\'';
    if (!expect(r, quote)) return false;
    size_t n = 0;
    while (r->p[n] && r->p[n] != quote) n++;
    if (n >= text_bytes)
        return refuse(r->error, "%s: the npy header is malformed (a string of %zu characters)", r->path, n);
    memcpy(text, r->p, n);
    text[n] = 0;
    r->p += n;
    return expect(r, quote);
}

static bool read_descr(Reader *r)
{
    char descr[32];
    skip_spaces(r);
    if (*r->p == '[')
        return refuse(r->error, "%s holds records; save a plain array of float16 or float32", r->path);
    if (!read_string(r, descr, sizeof descr)) return false;
    r->have_descr = true;
    r->array->type = strcmp(descr, "<f4") == 0 ? GEN_F32 : GEN_F16;
    if (strcmp(descr, "<f2") == 0 || strcmp(descr, "<f4") == 0) return true;
    if (descr[0] == '>')
        return refuse(r->error, "%s is big-endian ('%s'); save array.astype('<f4')", r->path, descr);
    return refuse(r->error,
                  "%s holds elements of type '%s'; save it as float16 or float32, by array.astype('float32')",
                  r->path, descr);
}

static bool read_order(Reader *r)
{
    skip_spaces(r);
    r->have_order = true;
    r->fortran_order = strncmp(r->p, "True", 4) == 0;
    if (!r->fortran_order && strncmp(r->p, "False", 5) != 0)
        return refuse(r->error, "%s: the npy header is malformed (fortran_order is neither True nor False)",
                      r->path);
    r->p += r->fortran_order ? 4 : 5;
    return true;
}

static bool read_dimension(Reader *r, int64_t *size)
{
    char *end;
    skip_spaces(r);
    errno = 0;
    *size = strtoll(r->p, &end, 10);
    if (*r->p < '0' || *r->p > '9' || errno)
        return refuse(r->error, "%s: the npy header is malformed (no size at '%.20s')", r->path, r->p);
    r->p = end + (*end == 'L'); /* Python 2 wrote 3L */
    return true;
}

static bool read_shape(Reader *r)
{
    NpyArray *a = r->array;
    if (!expect(r, '(')) return false;
    r->have_shape = true;
    for (a->dims = 0; !accept(r, ')'); a->dims++) {
        if (a->dims == NPY_MAX_DIMS)
            return refuse(r->error, "%s has more than %d dimensions", r->path, NPY_MAX_DIMS);
        if (!read_dimension(r, &a->shape[a->dims])) return false;
        skip_spaces(r);
        if (*r->p != ')' && !expect(r, ',')) return false;
    }
    return true;
}

static bool read_entry(Reader *r)
{
    char key[32];
    if (!read_string(r, key, sizeof key) || !expect(r, ':')) return false;
    if (strcmp(key, "descr") == 0) return read_descr(r);
    if (strcmp(key, "fortran_order") == 0) return read_order(r);
    if (strcmp(key, "shape") == 0) return read_shape(r);
    return refuse(r->error, "%s: the npy header has an unknown key '%s'", r->path, key);
}

static bool read_dictionary(Reader *r)
{
    if (!expect(r, '{')) return false;
    while (!accept(r, '}')) {
        if (!read_entry(r)) return false;
        skip_spaces(r);
        if (*r->p != '}' && !expect(r, ',')) return false;
    }
    skip_spaces(r);
    if (*r->p) return refuse(r->error, "%s: the npy header is malformed (text behind its end)", r->path);
    if (!r->have_descr) return refuse(r->error, "%s: the npy header lacks 'descr'", r->path);
    if (!r->have_order) return refuse(r->error, "%s: the npy header lacks 'fortran_order'", r->path);
    return r->have_shape || refuse(r->error, "%s: the npy header lacks 'shape'", r->path);
}

/* ---- the file ---- */

static bool truncated(Reader *r, const char *what)
{
    return refuse(r->error, "%s is truncated: it ends in its %s", r->path, what);
}

/* The length of the dictionary, which is little-endian in 2 or 4 bytes. */
static bool read_length(Reader *r, size_t *length)
{
    unsigned char start[MAGIC_BYTES], field[4] = {0};
    size_t n = fread(start, 1, sizeof start, r->stream);
    if (n < strlen(magic) || memcmp(start, magic, strlen(magic)) != 0)
        return refuse(r->error, "%s is not an npy file (NumPy writes one by numpy.save)", r->path);
    if (n < sizeof start) return truncated(r, "header");
    if (start[6] < 1 || start[6] > 3)
        return refuse(r->error, "%s is of npy version %d.%d; 1.0 to 3.0 are known", r->path, start[6],
                      start[7]);
    size_t width = start[6] == 1 ? 2 : 4;
    if (fread(field, 1, width, r->stream) != width) return truncated(r, "header");
    *length = field[0] | (size_t)field[1] << 8 | (size_t)field[2] << 16 | (size_t)field[3] << 24;
    return *length <= MAX_HEADER_BYTES ||
           refuse(r->error, "%s: an npy header of %zu bytes is too long", r->path, *length);
}

static bool read_header(Reader *r)
{
    size_t length = 0;
    if (!read_length(r, &length)) return false;
    char *text = malloc(length + 1);
    if (!text) return refuse(r->error, "%s: out of memory", r->path);
    bool whole = fread(text, 1, length, r->stream) == length;
    text[length] = 0;
    r->p = text;
    bool good = whole ? read_dictionary(r) : truncated(r, "header");
    free(text);
    return good;
}

static bool count_elements(Reader *r, size_t *bytes)
{
    NpyArray *a = r->array;
    bool too_large = false;
    int larger_than_one = 0;
    a->elements = 1;
    for (int i = 0; i < a->dims; i++) {
        too_large |= __builtin_mul_overflow(a->elements, a->shape[i], &a->elements);
        larger_than_one += a->shape[i] > 1;
    }
    too_large |= __builtin_mul_overflow(a->elements, gen_type_bytes(a->type), bytes);
    if (too_large) return refuse(r->error, "%s: the shape in its header is too large", r->path);
    if (r->fortran_order && larger_than_one > 1)
        return refuse(r->error, "%s is in Fortran order; save numpy.ascontiguousarray(array)", r->path);
    return true;
}

/* A damaged header must not make us ask for petabytes: what a regular file lacks shows in its size. */
static bool check_size(Reader *r, size_t bytes)
{
    struct stat st;
    if (fstat(fileno(r->stream), &st) != 0 || !S_ISREG(st.st_mode)) return true;
    long long have = (long long)st.st_size - ftell(r->stream);
    if (have == (long long)bytes) return true;
    return refuse(r->error, "%s is %s: its header says %zu bytes of data, %lld follow", r->path,
                  have < (long long)bytes ? "truncated" : "too long", bytes, have);
}

static bool read_data(Reader *r)
{
    size_t bytes;
    if (!count_elements(r, &bytes) || !check_size(r, bytes)) return false;
    if (!bytes) return true;
    r->array->data = malloc(bytes);
    if (!r->array->data) return refuse(r->error, "%s: out of memory for %zu bytes", r->path, bytes);
    return fread(r->array->data, 1, bytes, r->stream) == bytes || truncated(r, "data");
}

bool npy_read(const char *path, NpyArray *array, Error *error)
{
    *array = (NpyArray){0};
    if (file_is_directory(path)) return refuse(error, "cannot read %s: it is a directory", path);
    Reader r = {.path = path, .stream = fopen(path, "rb"), .array = array, .error = error};
    if (!r.stream) return refuse(error, "cannot read %s: %s", path, strerror(errno));
    bool good = read_header(&r) && read_data(&r);
    fclose(r.stream);
    if (!good) npy_free(array);
    return good;
}

void npy_free(NpyArray *array)
{
    free(array->data);
    *array = (NpyArray){0};
}

/* ---- writing ---- */

/* Dictionary and newline, padded with spaces so that the data starts at a multiple of 64 bytes. */
static size_t format_header(const NpyArray *a, char *header, size_t header_bytes)
{
    char shape[NPY_MAX_DIMS * 24] = "";
    size_t n = 0, used = MAGIC_BYTES + 2;
    for (int i = 0; i < a->dims; i++)
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%lld", i ? ", " : "", (long long)a->shape[i]);
    n = (size_t)snprintf(header + used, header_bytes - used,
                         "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }",
                         a->type == GEN_F32 ? "<f4" : "<f2", shape, a->dims == 1 ? "," : "");
    for (used += n; (used + 1) % HEADER_ALIGN; used++) header[used] = ' ';
    header[used++] = '\n';
    size_t length = used - MAGIC_BYTES - 2;
    memcpy(header, "\x93NUMPY\x01\x00", MAGIC_BYTES);
    header[MAGIC_BYTES] = (char)(length & 0xff);
    header[MAGIC_BYTES + 1] = (char)(length >> 8);
    return used;
}

bool npy_write(const char *path, const NpyArray *array, Error *error)
{
    char header[512];
    OutFile out;
    if (!file_create(&out, path, error)) return false;
    file_put(&out, header, format_header(array, header, sizeof header));
    file_put(&out, array->data, (size_t)array->elements * (size_t)gen_type_bytes(array->type));
    return file_commit(&out, error);
}
