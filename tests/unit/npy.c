/* npy.c: .npy files: bytes as NumPy writes them, round trips, and what must be refused. */
#include "cli/npy.h"
#include "cli/file.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[] = "/tmp/tilesmith-npy-XXXXXX";
static char path[64];

static void write_bytes(const char *bytes, size_t n)
{
    Error error;
    if (!file_write(path, bytes, n, &error)) printf("Bail out! %s\n", error.text);
}

/* A file of this version with this dictionary and so many data bytes (0, 1, 2, ...). */
static void write_file(int version, const char *dictionary, size_t data_bytes)
{
    char bytes[1024] = "\x93NUMPY";
    size_t length = strlen(dictionary), at = 8, width = version == 1 ? 2 : 4;
    bytes[6] = (char)version;
    for (size_t i = 0; i < width; i++) bytes[at++] = (char)(length >> 8 * i);
    memcpy(bytes + at, dictionary, length);
    for (size_t i = 0; i < data_bytes; i++) bytes[at + length + i] = (char)i;
    write_bytes(bytes, at + length + data_bytes);
}

static void test_reads(int version, const char *dictionary, size_t data_bytes, GenType type, int dims,
                       int64_t rows, int64_t cols)
{
    NpyArray a;
    Error error = {""};
    write_file(version, dictionary, data_bytes);
    bool read = npy_read(path, &a, &error);
    if (!ok(read, "version %d, %s is read", version, dictionary)) note("%s", error.text);
    ok(read && a.type == type && a.dims == dims && (dims < 1 || a.shape[0] == rows) &&
           (dims < 2 || a.shape[1] == cols),
       "    with its type and shape");
    ok(read && (data_bytes == 0 || ((const unsigned char *)a.data)[data_bytes - 1] == data_bytes - 1),
       "    and its data");
    npy_free(&a);
}

static void test_refused(int version, const char *dictionary, size_t data_bytes, const char *wanted)
{
    NpyArray a;
    Error error = {""};
    write_file(version, dictionary, data_bytes);
    bool read = npy_read(path, &a, &error);
    if (!ok(!read && strstr(error.text, wanted) && strstr(error.text, path) && !a.data, "refused (%s): %s",
            wanted, dictionary))
        note("%s", read ? "it was read" : error.text);
    npy_free(&a);
}

/* Every proper prefix of a good file is refused, and so is a byte too many. */
static void test_truncated(void)
{
    char *whole;
    size_t bytes;
    Error error;
    write_file(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (3, 4), }", 24);
    if (!ok(file_read(path, &whole, &bytes, &error), "a good file")) return;
    int accepted = 0, mute = 0;
    for (size_t n = 0; n <= bytes + 1; n++) {
        NpyArray a;
        if (n == bytes) continue;
        write_bytes(whole, n); /* one byte too many: the NUL that file_read puts behind */
        error.text[0] = 0;
        accepted += npy_read(path, &a, &error);
        mute += !strstr(error.text, "truncated") && !strstr(error.text, "not an npy file") &&
                !strstr(error.text, "too long");
        npy_free(&a);
    }
    ok(accepted == 0, "each of its %zu prefixes is refused, and a byte too many (%d accepted)", bytes,
       accepted);
    ok(mute == 0, "    and the sentence says so");
    free(whole);
}

static void test_round_trip(GenType type, int dims, int64_t rows, int64_t cols)
{
    NpyArray a = {.type = type,
                  .dims = dims,
                  .shape = {rows, cols},
                  .elements = dims < 2 ? rows : rows * cols},
             b = {0};
    size_t bytes = (size_t)a.elements * (size_t)gen_type_bytes(type);
    Error error = {""};
    a.data = malloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++) ((unsigned char *)a.data)[i] = (unsigned char)(i * 7);
    bool same = npy_write(path, &a, &error) && npy_read(path, &b, &error) && b.type == type &&
                b.dims == dims && b.elements == a.elements && memcmp(a.shape, b.shape, sizeof a.shape) == 0 &&
                (bytes == 0 || memcmp(a.data, b.data, bytes) == 0);
    if (!ok(same, "%s, %d dimensions, %lld x %lld: written and read back", gen_type_name(type), dims,
            (long long)rows, (long long)cols))
        note("%s", error.text);
    npy_free(&b);
    npy_free(&a);
}

/* numpy.save(numpy.arange(3, dtype=numpy.float16)), byte by byte. */
static void test_bytes_of_numpy(void)
{
    static const char
        numpy[] = "\x93NUMPY\x01\x00\x76\x00{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }"
                  "                                                            \n"
                  "\x00\x00\x00\x3c\x00\x40";
    uint16_t values[] = {0, 0x3c00, 0x4000};
    NpyArray a = {.type = GEN_F16, .dims = 1, .shape = {3}, .elements = 3, .data = values};
    char *written = NULL;
    size_t bytes = 0;
    Error error;
    bool good = npy_write(path, &a, &error) && file_read(path, &written, &bytes, &error);
    ok(good && bytes == sizeof numpy - 1 && memcmp(written, numpy, bytes) == 0,
       "what is written is what NumPy writes");
    free(written);
}

static void test_files(void)
{
    NpyArray a;
    Error error = {""};
    ok(!npy_read("/no/such/dir/x.npy", &a, &error) && strstr(error.text, "/no/such/dir/x.npy"),
       "a missing file: %s", error.text);
    ok(!npy_read("/tmp", &a, &error) && strstr(error.text, "directory"), "a directory: %s", error.text);
    a = (NpyArray){.type = GEN_F16, .dims = 1};
    ok(!npy_write("/no/such/dir/y.npy", &a, &error) && strstr(error.text, "cannot write"),
       "an unwritable path: %s", error.text);
    if (access("/dev/full", W_OK) == 0)
        ok(!npy_write("/dev/full", &a, &error) && strstr(error.text, "No space"), "a full disk: %s",
           error.text);
    write_bytes("hello, world", 12);
    ok(!npy_read(path, &a, &error) && strstr(error.text, "not an npy file"), "no npy file: %s", error.text);
}

int main(void)
{
    if (!mkdtemp(directory)) return skip_all("no temporary directory");
    snprintf(path, sizeof path, "%s/a.npy", directory);

    test_reads(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (3, 4), }", 24, GEN_F16, 2, 3, 4);
    test_reads(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", 20, GEN_F32, 1, 5, 0);
    test_reads(3, "{'shape': (2, 3), 'fortran_order': False, 'descr': '<f4'}", 24, GEN_F32, 2, 2, 3);
    test_reads(1, "{\"descr\":\"<f2\",\"fortran_order\":False,\"shape\":(0,7)}", 0, GEN_F16, 2, 0, 7);
    test_reads(1, "{'descr': '<f2', 'fortran_order': True, 'shape': (1, 7), }", 14, GEN_F16, 2, 1, 7);
    test_reads(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (3L, 4L), }", 24, GEN_F16, 2, 3, 4);
    test_reads(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, GEN_F32, 0, 0, 0);

    test_refused(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", 8,
                 "save it as float16 or float32");
    test_refused(1, "{'descr': '|i1', 'fortran_order': False, 'shape': (1,), }", 1, "'|i1'");
    test_refused(1, "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4, "big-endian");
    test_refused(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, "records");
    test_refused(1, "{'descr': '<f2', 'fortran_order': True, 'shape': (3, 4), }", 24, "Fortran order");
    test_refused(1, "{'descr': '<f2', 'fortran_order': 0, 'shape': (1,), }", 2, "neither True nor False");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, }", 2, "lacks 'shape'");
    test_refused(1, "{'fortran_order': False, 'shape': (1,), }", 2, "lacks 'descr'");
    test_refused(1, "{'descr': '<f2', 'shape': (1,), }", 2, "lacks 'fortran_order'");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,), 'x': 1}", 2, "unknown key 'x'");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,), } x", 2, "malformed");
    test_refused(1, "{'descr': '<f2, 'fortran_order': False, 'shape': (1,), }", 2, "'<f2, '");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (-1,), }", 2, "malformed");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (99999999999999999999,), }", 2,
                 "malformed");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1), }", 2,
                 "more than 4 dimensions");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 2,
                 "too large");
    test_refused(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1000000, 1000000), }", 2,
                 "truncated");
    test_refused(4, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", 2, "version 4.0");
    test_refused(1, "", 0, "malformed");

    test_truncated();
    test_round_trip(GEN_F16, 2, 3, 5);
    test_round_trip(GEN_F32, 2, 128, 33);
    test_round_trip(GEN_F32, 1, 7, 0);
    test_round_trip(GEN_F16, 2, 0, 9);
    test_bytes_of_numpy();
    test_files();

    unlink(path);
    ok(rmdir(directory) == 0, "no temporary file is left behind");
    return done();
}
