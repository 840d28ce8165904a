/* store.c: the tuning store: what is written is read, by this process and others; files of any bytes, killed
 * writers, full disks and places where nothing can be written lose no row that was there.
 */
#include "dispatch/store.h"
#include "tests/refused.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char root[] = "/tmp/tilesmith-store-XXXXXX";
static char place[256], file[300];

/* A directory for each test, which does not exist yet. */
static void fresh_place(void)
{
    static int count;
    snprintf(place, sizeof place, "%s/%d/deeper", root, ++count);
    snprintf(file, sizeof file, "%s/%s", place, rt_store_file);
}

static RtRow sample(const char *config, int64_t time_ns)
{
    RtRow row = {.key = "a key", .kernel = "85944171f73967e8", .device = "a device", .status = "ok"};
    snprintf(row.config, sizeof row.config, "%s", config);
    row.driver = 13000, row.time_ns = time_ns, row.spread_ppm = 10000, row.speedup_ppm = 1204000;
    row.registers = 168, row.local_bytes = 4, row.smem_bytes = 213056, row.blocks_per_sm = 2;
    return row;
}

static void must_append(const RtRow *row)
{
    if (rt_store_append(place, row)) printf("Bail out! %s\n", ts_last_error()), exit(1);
}

enum { MAX_ROWS = 5000 };
typedef struct Rows {
    RtRow *row;
    int n;
} Rows;

static void take(void *data, const RtRow *row)
{
    Rows *rows = data;
    if (rows->n < MAX_ROWS) rows->row[rows->n++] = *row;
}

static int read_rows(const char *key, Rows *rows)
{
    rows->n = 0;
    return rt_store_read(place, key, take, rows) ? -1 : rows->n;
}

static void write_file(const char *bytes, size_t count)
{
    RtRow row = sample("c", 1);
    must_append(&row); /* makes the directory */
    FILE *f = fopen(file, "wb");
    if (!f || fwrite(bytes, 1, count, f) != count || fclose(f))
        printf("Bail out! cannot write %s\n", file), exit(1);
}

static long file_bytes(void)
{
    struct stat s;
    return stat(file, &s) ? -1 : (long)s.st_size;
}

/* ---- rows ---- */

static void test_round_trip(Rows *rows)
{
    fresh_place();
    ok(read_rows("a key", rows) == 0, "a place that does not exist has no rows");
    RtRow first = sample("c1", 25500), second = sample("c2", INT64_MAX), other = sample("c3", 1);
    snprintf(second.status, sizeof second.status, "line\nbreak, \"quotes\", back\\slash, \x01 and \xc3\xa9");
    second.registers = -1;
    snprintf(other.key, sizeof other.key, "another key");
    must_append(&first), must_append(&second), must_append(&other);
    ok(read_rows("a key", rows) == 2, "two rows of a key: %d", rows->n);
    ok(memcmp(&rows->row[0], &first, sizeof first) == 0, "the first as it was");
    ok(memcmp(&rows->row[1], &second, sizeof second) == 0, "the second, with all that JSON escapes");
    ok(read_rows("another key", rows) == 1 && read_rows("no key", rows) == 0, "other keys have their own");
    struct stat s;
    ok(!stat(file, &s) && (s.st_mode & 0777) == 0600 && !stat(place, &s) && (s.st_mode & 0777) == 0700,
       "nobody else may read it");
    memset(second.key, 'k', sizeof second.key - 1), memset(second.status, '\n', sizeof second.status - 1);
    memset(second.device, 1, sizeof second.device - 1), memset(second.config, '"', sizeof second.config - 1);
    must_append(&second);
    ok(read_rows(second.key, rows) == 1 && memcmp(&rows->row[0], &second, sizeof second) == 0,
       "the longest texts, every character escaped");
}

static const char *const line_start = "{\"schema\":1,\"key\":\"a key\",\"config\":\"c\",\"status\":\"ok\"";

static void test_line(Rows *rows, const char *line, int wanted, const char *what)
{
    fresh_place();
    write_file(line, strlen(line));
    ok(read_rows("a key", rows) == wanted, "%s: %d rows", what, rows->n);
}

static void test_lines(Rows *rows)
{
    char line[40000];
#define LINE(...) (snprintf(line, sizeof line, __VA_ARGS__), line)
    test_line(rows, LINE("%s}\n", line_start), 1, "fields that are missing are 0");
    test_line(rows, LINE(" { \"schema\" : 1, \"key\" :\t\"a key\",\"config\":\"c\",\"status\":\"ok\" } \r\n"),
              1, "spaces");
    test_line(rows, LINE("%s,\"later\":\"x\",\"and\":7}\n", line_start), 1, "fields of a later release");
    test_line(rows, LINE("%s,\"later\":[1]}\n", line_start), 0, "an array");
    test_line(rows, LINE("%s", line_start), 0, "a line cut short");
    test_line(rows, LINE("%s}", line_start), 0, "a line without its end");
    test_line(rows, LINE("%s}}\n", line_start), 0, "a brace too many");
    test_line(rows, LINE("%s,}\n", line_start), 0, "a comma too many");
    test_line(rows, LINE("%s,\"time_ns\":1.5}\n", line_start), 0, "a fraction");
    test_line(rows, LINE("%s,\"time_ns\":99999999999999999999}\n", line_start), 0, "a number too large");
    test_line(rows, LINE("%s,\"time_ns\":\"1\"}\n", line_start), 0, "a text for a number");
    test_line(rows, LINE("%s,\"device\":1}\n", line_start), 0, "a number for a text");
    test_line(rows, LINE("%s,\"device\":\"%0300d\"}\n", line_start, 0), 0, "a text too long");
    test_line(rows, LINE("%s,\"device\":\"\\u12\"}\n", line_start), 0, "an escape cut short");
    test_line(rows, LINE("%s,\"device\":\"\\u0000\"}\n", line_start), 0, "a NUL");
    test_line(rows, LINE("%s,\"later\":\"%020000d\"}\n%s}\n", line_start, 0, line_start), 1,
              "an overlong line, and a row");
    test_line(rows, LINE("\n\n[]\n7\n%s}\n{}\n", line_start), 1, "other JSON");
    char *newer = LINE("%s}\n", line_start);
    newer[10] = '2';
    test_line(rows, newer, 0, "another schema");
#undef LINE
}

static void test_random_bytes(Rows *rows)
{
    char bytes[65536];
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < sizeof bytes; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        bytes[i] = (char)(state >> 20);
    }
    fresh_place();
    write_file(bytes, sizeof bytes);
    ok(read_rows("a key", rows) == 0, "random bytes are no rows");
    RtRow row = sample("c", 1);
    ok(rt_store_append(place, &row) == TS_OK && read_rows("a key", rows) == 1,
       "and a row can be written after them");
}

/* Every place at which a killed writer can leave a line. */
static void test_torn_tails(Rows *rows)
{
    RtRow first = sample("first", 1), second = sample("second", 2), third = sample("third", 3);
    fresh_place();
    must_append(&first);
    long start = file_bytes();
    must_append(&second);
    long end = file_bytes();
    int bad = 0;
    for (long cut = start; cut <= end; cut++) {
        bool whole = cut == end || cut == end - 1; /* but for its newline, which the next row brings */
        if (truncate(file, start)) break;
        must_append(&second);
        if (truncate(file, cut)) break;
        bad += read_rows("a key", rows) != 1 + (cut == end);
        must_append(&third);
        bad += read_rows("a key", rows) != 2 + whole || strcmp(rows->row[rows->n - 1].config, "third");
    }
    ok(bad == 0, "a tail torn at any of %ld places costs no other row", end - start + 1);
}

/* ---- several writers ---- */

static void append_many(int from, int count)
{
    for (int i = from; i < from + count; i++) {
        RtRow row = sample("c", i);
        if (rt_store_append(place, &row)) _exit(1);
    }
}

static pid_t start_writer(int from, int count)
{
    pid_t pid = fork();
    if (pid == 0) append_many(from, count), _exit(0);
    return pid;
}

static bool each_once(const Rows *rows, int n)
{
    char seen[MAX_ROWS] = {0};
    for (int i = 0; i < rows->n; i++) seen[rows->row[i].time_ns]++;
    for (int i = 0; i < n; i++)
        if (seen[i] != 1) return false;
    return rows->n == n;
}

static void test_processes(Rows *rows)
{
    enum { EACH = 100 };
    fresh_place();
    int status = 0, failed = 0;
    pid_t pid[3];
    for (int i = 0; i < 3; i++) pid[i] = start_writer(i * EACH, EACH);
    for (int i = 0; i < 3; i++) failed += waitpid(pid[i], &status, 0) != pid[i] || status;
    ok(!failed && read_rows("a key", rows) == 3 * EACH && each_once(rows, 3 * EACH),
       "three processes: %d rows", rows->n);
}

static void *thread_main(void *from)
{
    append_many((int)(intptr_t)from, 50);
    return NULL;
}

static void test_threads(Rows *rows)
{
    pthread_t thread[4];
    fresh_place();
    for (intptr_t i = 0; i < 4; i++) pthread_create(&thread[i], NULL, thread_main, (void *)(i * 50));
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    ok(read_rows("a key", rows) == 200 && each_once(rows, 200), "four threads: %d rows", rows->n);
}

static void test_killed(Rows *rows)
{
    fresh_place();
    int before = 0, bad = 0;
    for (int i = 0; i < 20; i++) {
        pid_t pid = start_writer(0, 200);
        const struct timespec some = {.tv_nsec = 1000000 + 700000 * i};
        nanosleep(&some, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        RtRow row = sample("after", i);
        bad += rt_store_append(place, &row) != TS_OK;
        int now = read_rows("a key", rows);
        bad += now < before + 1 || strcmp(rows->row[now - 1].config, "after");
        before = now;
    }
    ok(bad == 0, "20 killed writers leave the lock free and %d rows", before);
}

/* ---- places and disks ---- */

static void test_places(void)
{
    RtRow row = sample("c", 1);
    Rows none = {NULL, 0};
    char path[400];
    refused(rt_store_append("/proc/self/tilesmith", &row), TS_ERROR_IO, "cannot be made");
    fresh_place();
    must_append(&row);
    snprintf(path, sizeof path, "%s/below", file);
    refused(rt_store_append(path, &row), TS_ERROR_IO, "cannot be made");
    ok(rt_store_read(path, "a key", take, &none) == TS_OK, "reading there finds nothing");
    fresh_place();
    must_append(&row);
    ok(!unlink(file) && !mkdir(file, 0700), "a directory in the file's place");
    refused(rt_store_append(place, &row), TS_ERROR_IO, "cannot be opened");
    refused(rt_store_read(place, "a key", take, &none), TS_ERROR_IO, "is not a file");
    ok(!rmdir(file) && !mkfifo(file, 0600), "a pipe in its place, which nobody reads");
    refused(rt_store_append(place, &row), TS_ERROR_IO, "is not a file");
    refused(rt_store_read(place, "a key", take, &none), TS_ERROR_IO, "is not a file");
}

/* Root may write everywhere: there this shows nothing, and is said to. */
static void test_read_only(Rows *rows)
{
    RtRow row = sample("c", 1);
    fresh_place();
    must_append(&row);
    if (chmod(file, 0400) || chmod(place, 0500)) printf("# chmod: %s\n", strerror(errno));
    if (geteuid() == 0) note("root writes to a read-only directory: not tested");
    else refused(rt_store_append(place, &row), TS_ERROR_IO, "cannot be opened");
    ok(read_rows("a key", rows) >= 1, "a read-only store can be read");
    chmod(place, 0700);
}

/* The limit on files stands for the end of the disk: a write comes back short, and the next one fails. */
static void test_full_disk(Rows *rows)
{
    RtRow row = sample("c", 1);
    struct rlimit old, limit;
    fresh_place();
    must_append(&row);
    long bytes = file_bytes();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old, limit.rlim_cur = (rlim_t)bytes + 50;
    setrlimit(RLIMIT_FSIZE, &limit);
    refused(rt_store_append(place, &row), TS_ERROR_IO, "cannot be written");
    setrlimit(RLIMIT_FSIZE, &old);
    ok(file_bytes() == bytes && read_rows("a key", rows) == 1,
       "a row that does not fit leaves the file as it was");
    ok(rt_store_append(place, &row) == TS_OK && read_rows("a key", rows) == 2, "with room again, rows go on");
    ok(!truncate(file, RT_STORE_MAX_BYTES), "a file as large as may be");
    refused(rt_store_append(place, &row), TS_ERROR_IO, "is full");
}

int main(void)
{
    Rows rows = {calloc(MAX_ROWS, sizeof(RtRow)), 0};
    char command[300], hash[17];
    if (!mkdtemp(root) || !rows.row) return 1;
    rt_store_hash("", 0, hash);
    is_str(hash, "cbf29ce484222325", "FNV-1a of nothing");
    rt_store_hash("foobar", 6, hash);
    is_str(hash, "85944171f73967e8", "and of foobar");
    test_round_trip(&rows);
    test_lines(&rows);
    test_random_bytes(&rows);
    test_torn_tails(&rows);
    test_processes(&rows);
    test_threads(&rows);
    test_killed(&rows);
    test_places();
    test_read_only(&rows);
    test_full_disk(&rows);
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    if (system(command)) note("%s could not be removed", root);
    free(rows.row);
    return done();
}
