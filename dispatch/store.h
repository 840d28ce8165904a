/* store.h: measurements that processes share: the file tuning.jsonl of the cache directory.
 *
 * One line of JSON a measured configuration (a row), appended once and never changed:
 *
 *     {"schema":1,"key":"4096x4096x4096 ...","config":"wgmma_sm90a_f16_...","kernel":"85944171f73967e8",
 *      "device":"NVIDIA H200","driver":13000,"time_ns":25500,"spread_ppm":10000,"speedup_ppm":1204000,
 *      "registers":168,"local_bytes":0,"smem_bytes":213056,"blocks_per_sm":1,"status":"ok"}
 *
 * A row is written whole, under a lock of the file, and is on the disk when rt_store_append() returns. Where that
 * fails (a full disk) the file is cut back to what it was. A process killed in the middle may leave part of a line;
 * who appends next begins a new one. Whoever reads leaves out lines that are no rows, and rows of another schema;
 * they stay in the file, and so do rows that a newer kernel or driver has made useless.
 */
#ifndef DISPATCH_STORE_H
#define DISPATCH_STORE_H

#include "dispatch/problem.h"

enum {
    RT_STORE_SCHEMA = 1,
    RT_STORE_MAX_LINE_BYTES = 16384,
    RT_STORE_MAX_BYTES = 64 << 20, /* of the file */
    RT_STORE_LOCK_MS = 10000,      /* how long an append waits for those of others */
};

/* Texts first, then integers: name, and of texts their size. */
#define RT_ROW_TEXTS(X)                                                                                      \
    X(key, RT_MAX_KEY_TEXT)  /* rt_problem_text() */                                                         \
    X(config, GEN_MAX_NAME)                                                                                  \
    X(kernel, 17)            /* rt_store_hash() of the kernel's text */                                      \
    X(device, 256)                                                                                           \
    X(status, 512)           /* "ok", "winner": the one of these that won; or why there is no measurement */
#define RT_ROW_INTEGERS(X)                                                                                   \
    X(driver)                /* of CUDA: 13000 is 13.0 */                                                    \
    X(time_ns)               /* of a call, median of the bursts; 0 unless it was measured */                 \
    X(spread_ppm)            /* from the fastest burst to the slowest, of that */                            \
    X(speedup_ppm)           /* the baseline's time, bursts in turn, over this one's */                      \
    X(registers)             /* of a thread */                                                               \
    X(local_bytes)           /* of a thread: spills */                                                       \
    X(smem_bytes)            /* of a block */                                                                \
    X(blocks_per_sm)

typedef struct RtRow {
#define X(name, size) char name[size];
    RT_ROW_TEXTS(X)
#undef X
#define X(name) int64_t name;
    RT_ROW_INTEGERS(X)
#undef X
} RtRow;

extern const char rt_store_file[]; /* its name in the directory */
/* Makes what is missing of the directory, mode 0700. */
ts_status rt_store_append(const char *directory, const RtRow *row);
/* Calls `take` for each row of a key, the oldest first. A directory or file that does not exist has none. */
ts_status rt_store_read(const char *directory, const char *key, void (*take)(void *data, const RtRow *row), void *data);
/* FNV-1a, 64 bits, in hexadecimal: what stands for a kernel's text in rows. */
void rt_store_hash(const char *text, size_t bytes, char hash[17]);

#endif
