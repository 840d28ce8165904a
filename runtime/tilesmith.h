/* tilesmith.h: fused linear layers on NVIDIA GPUs, from PTX kernels that describe themselves.
 *
 *     y = epilogue(z),  z = x W^T + bias        by default  y = z + s * sigmoid(z)
 *
 *     x [m, k]   W [n, k]   bias [n]   y [m, n]   r [m, n] (an optional tensor that the epilogue may read)
 *
 * Two libraries share this header:
 *
 *     libtilesmith_rt   loads kernels made ahead of time (files of ptx_out/) and launches them
 *     libtilesmith      the same, and the generator: ts_linear() writes, loads and caches what a problem needs
 *
 * Neither links CUDA: the driver (libcuda.so.1) is opened when a context is made, and must be 11.0 or newer.
 *
 *     ts_context *context;
 *     ts_context_create(NULL, &context);
 *     ts_linear_args args = ts_linear_args_make();
 *     args.m = m, args.n = n, args.k = k;
 *     args.x = ts_matrix_make(x, k, TS_F16);   // device address, row stride in elements, element type
 *     args.w = ts_matrix_make(w, k, TS_F16);
 *     args.y = ts_matrix_make(y, n, TS_F16);
 *     args.bias = bias, args.bias_dtype = TS_F16;
 *     args.s = 2.0f;
 *     if (ts_linear(context, &args, stream)) fprintf(stderr, "%s\n", ts_last_error());
 *     ts_context_destroy(context);
 *
 * Errors. Functions that can fail return a ts_status, TS_OK being 0, and leave a sentence in ts_last_error()
 * that says what is wrong and what to do. After a failure, out parameters are NULL or 0 and nothing is held.
 * The library never exits or aborts, and prints nothing but the log that was asked for.
 *
 * Threads. Every function may be called from any thread at any time, on shared contexts and kernels too; the
 * exceptions: an object must not be destroyed while another thread uses it; a timer, a graph and bursts belong to
 * one thread at a time, and a capture to the thread that began it.
 *
 * CUDA contexts. A ts_context works in one CUDA context. Each call leaves the calling thread's current CUDA
 * context as it found it, so the library lives beside cudart, PyTorch and others in one process.
 */
#ifndef TILESMITH_H
#define TILESMITH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TS_API __attribute__((visibility("default")))
#else
#define TS_API
#endif

#define TS_VERSION "0.1.0"

/* The version of the library that is running: "0.1.0". */
TS_API const char *ts_version(void);

/* An address in device memory (a CUdeviceptr), and a CUstream (or cudaStream_t). NULL is the legacy default
 * stream. Streams belong to the caller. */
typedef uint64_t ts_device_ptr;
typedef void *ts_stream;

/* ---- status ---------------------------------------------------------------------------------------------- */

/* Name, number, text. The numbers never change. */
#define TS_STATUSES(X)                                                                                       \
    X(TS_OK, 0, "success")                                                                                   \
    X(TS_ERROR_INVALID_ARGUMENT, 1, "an argument is out of range or contradicts another")                    \
    X(TS_ERROR_NO_DRIVER, 2, "the CUDA driver library cannot be opened or is not a CUDA driver")             \
    X(TS_ERROR_DRIVER_TOO_OLD, 3, "the CUDA driver is older than what is asked of it")                       \
    X(TS_ERROR_NO_DEVICE, 4, "there is no such CUDA device")                                                 \
    X(TS_ERROR_NO_CONTEXT, 5, "the CUDA context is missing, invalid or destroyed")                           \
    X(TS_ERROR_BAD_KERNEL, 6, "the kernel's header lines are missing or wrong, or its text is incomplete")   \
    X(TS_ERROR_BAD_PTX, 7, "the driver cannot compile the kernel's PTX")                                     \
    X(TS_ERROR_UNSUPPORTED_ARCH, 8, "the kernel and the device do not fit together")                         \
    X(TS_ERROR_UNSUPPORTED, 9, "this kernel or library does not do what is asked")                           \
    X(TS_ERROR_MISALIGNED, 10, "an address or row pitch is not aligned as the kernel needs")                 \
    X(TS_ERROR_OUT_OF_MEMORY, 11, "out of memory on the host or on the device")                              \
    X(TS_ERROR_IO, 12, "a file cannot be read or written")                                                             \
    X(TS_ERROR_NOT_READY, 13, "the stream is capturing and the kernel was not prepared")                     \
    X(TS_ERROR_LAUNCH, 14, "a kernel could not be launched or failed while running")                         \
    X(TS_ERROR_DRIVER, 15, "the CUDA driver reports an error")

#define TS_X_(name, number, text) name = number,
typedef enum ts_status { TS_STATUSES(TS_X_) } ts_status;
#undef TS_X_

/* "TS_ERROR_NO_DRIVER", and its text above. Constant strings, never NULL; an unknown number says so. */
TS_API const char *ts_status_name(ts_status status);
TS_API const char *ts_status_text(ts_status status);

/* The sentence of the last failure on this thread; "" before the first. Successful calls leave it alone. The
 * string belongs to the thread and is overwritten by its next failure. */
TS_API const char *ts_last_error(void);

/* ---- devices --------------------------------------------------------------------------------------------- */

/* Set struct_size = sizeof(ts_device_info) before asking. */
typedef struct ts_device_info {
    size_t struct_size;
    int32_t ordinal;
    int32_t compute_major, compute_minor; /* 8, 9: sm_89 */
    int32_t sm_count;
    int32_t driver_version;               /* of CUDA: 13000 is 13.0 */
    int32_t block_smem_bytes;             /* most shared memory that one block can ask for */
    uint64_t memory_bytes;
    char name[256];
} ts_device_info;

/* The devices of a driver, without making a context on any. driver_library: NULL is "libcuda.so.1". A machine
 * without a device gives TS_ERROR_NO_DEVICE or a count of 0, as its driver sees it. */
TS_API ts_status ts_device_count(const char *driver_library, int *count);
TS_API ts_status ts_device_get_info(const char *driver_library, int ordinal, ts_device_info *info);

/* ---- contexts -------------------------------------------------------------------------------------------- */

/* One driver, one device, one CUDA context. */
typedef struct ts_context ts_context;

/* What ts_linear() does with measurements of ts_tune(), and who measures. Name, number, text. */
#define TS_TUNINGS(X)                                                                                        \
    X(TS_TUNING_DEFAULT, 0, "TS_TUNING_STORED, or with TILESMITH_DISABLE_TUNING=1 in the environment OFF")   \
    X(TS_TUNING_OFF, 1, "stored measurements are not used, and ts_tune() refuses")                           \
    X(TS_TUNING_STORED, 2, "stored measurements are used; ts_tune() alone measures")                         \
    X(TS_TUNING_AHEAD, 3, "ts_linear_prepare() measures too, a problem of which nothing is stored")
#define TS_X_(name, number, text) name = number,
typedef enum ts_tuning { TS_TUNINGS(TS_X_) } ts_tuning;
#undef TS_X_

/* Strings are copied. Those that are NULL are set by the environment (docs/runtime-api.md). */
typedef struct ts_context_options {
    size_t struct_size;         /* sizeof(ts_context_options) */
    const char *driver_library; /* path or soname of the driver; NULL: "libcuda.so.1" */
    int32_t device_ordinal;     /* -1: the device of the thread's current CUDA context, or else device 0 */
    int32_t no_early_start;     /* 1: kernels for sm_90 and later are launched without programmatic dependent launch */
    const char *cache_dir;      /* where measurements are stored; NULL: $TILESMITH_CACHE_DIR, or ~/.cache/tilesmith */
    const char *log;            /* a file to add a line to for each choice, or "stderr"; NULL: $TILESMITH_LOG */
    ts_tuning tuning;
} ts_context_options;

static inline ts_context_options ts_context_options_make(void)
{
    ts_context_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.device_ordinal = -1;
    return options;
}

/* Makes a context; options may be NULL for the defaults. It works in the thread's current CUDA context where
 * there is one on the device asked for (the caller keeps that alive), and in the device's primary context,
 * which cudart and PyTorch use, where there is none (retained until the ts_context ends). */
TS_API ts_status ts_context_create(const ts_context_options *options, ts_context **context);

/* Ends a context and the kernels that ts_linear() cached in it; their work must be done. Kernels of
 * ts_kernel_load() may be destroyed before or after. NULL is allowed. */
TS_API void ts_context_destroy(ts_context *context);

TS_API ts_status ts_context_get_info(const ts_context *context, ts_device_info *info);

/* ---- the operation --------------------------------------------------------------------------------------- */

/* Name, number, text, bytes. 0 is no type. */
#define TS_DTYPES(X) X(TS_F16, 1, "f16", 2) X(TS_BF16, 2, "bf16", 2) X(TS_F32, 3, "f32", 4)
#define TS_X_(name, number, text, bytes) name = number,
typedef enum ts_dtype { TS_DTYPES(TS_X_) } ts_dtype;
#undef TS_X_

/* "f16"; "?" when it is no type. */
TS_API const char *ts_dtype_name(ts_dtype dtype);

/* A matrix in device memory: element (i, j) stands at data + (i * row_stride + j * col_stride) elements. The
 * stride of a dimension of size 0 or 1 is not looked at. */
typedef struct ts_matrix {
    ts_device_ptr data;
    int64_t row_stride, col_stride; /* elements */
    ts_dtype dtype;
} ts_matrix;

static inline ts_matrix ts_matrix_make(ts_device_ptr data, int64_t row_stride, ts_dtype dtype)
{
    ts_matrix matrix;
    memset(&matrix, 0, sizeof matrix);
    matrix.data = data;
    matrix.row_stride = row_stride;
    matrix.col_stride = 1;
    matrix.dtype = dtype;
    return matrix;
}

/* How a matrix lies: whose elements are neighbours, those of a row (col_stride 1), of a column (row_stride 1),
 * or neither. Name, number, text. */
#define TS_LAYOUTS(X) X(TS_ROW_MAJOR, 0, "row") X(TS_COLUMN_MAJOR, 1, "col") X(TS_STRIDED, 2, "any")
#define TS_X_(name, number, text) name = number,
typedef enum ts_layout { TS_LAYOUTS(TS_X_) } ts_layout;
#undef TS_X_

/* One fused linear layer. Start from ts_linear_args_make(): a later release may append fields, and 0 in each
 * will mean today's behaviour.
 *
 *   m, n, k   0 to 2^31-1; n up to 65535 tiles, 16 million, by mma.sync. m or n = 0: nothing to do, success.
 *             k = 0: z = bias, and x and w may be null (their types are needed all the same).
 *   x, w      [m,k] and [n,k], any strides that are not negative; elements may overlap or repeat (stride 0). w
 *             is f16 or bf16; x is f16, bf16 or f32 and is rounded to w's type on the way in.
 *   y         [m,n], any strides that are not negative; no two elements, nor any input, at one place.
 *   bias      n elements without gaps; null: no bias.
 *   r         what the epilogue calls r, of y's type, rows of n elements (col_stride 1); null unless the epilogue uses it.
 *   s, t      what the epilogue calls s and t. Both start at 0: set s for the default epilogue.
 *   epilogue  an expression over z, acc, bias, r, s, t; see docs. NULL: "z + s * sigmoid(z)", or what a
 *             pinned configuration says. ts_linear(), ts_linear_prepare() and ts_tune() read it; the text is
 *             not kept. ts_kernel_launch() computes what its kernel was made for.
 *   workspace workspace_bytes of device memory at a multiple of 256, or null. It may hold anything, and must not
 *             be used elsewhere until the call's work on its stream is done. ts_linear() uses it where
 *             ts_linear_workspace() asks for some: x or w, whose rows are not aligned to 16 bytes or have gaps
 *             between their elements, or an x of another type than w's, which is rounded then, are copied there in
 *             front of the kernel, which is faster; or few tiles are shared among more blocks, which hand over
 *             parts of them there. With less neither is done. A pinned configuration, or a kernel
 *             of ts_kernel_launch(), whose blocks share tiles along k ("_split" in its name) hands over parts of them
 *             there, and refuses less than it needs.
 */
typedef struct ts_linear_args {
    size_t struct_size; /* sizeof(ts_linear_args) */
    int64_t m, n, k;
    ts_matrix x, w, y, r;
    ts_device_ptr bias;
    ts_dtype bias_dtype;
    float s, t;
    const char *epilogue;
    ts_device_ptr workspace;
    size_t workspace_bytes;
} ts_linear_args;

static inline ts_linear_args ts_linear_args_make(void)
{
    ts_linear_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    return args;
}

/* ---- kernels made ahead of time -------------------------------------------------------------------------- */

/* A loaded kernel; immutable. */
typedef struct ts_kernel ts_kernel;

/* Loads PTX text with tilesmith's header lines, `bytes` long (a final NUL may be counted or not). The driver
 * compiles it, or finds it in its own cache. The text is not kept. The caller destroys *kernel. */
TS_API ts_status ts_kernel_load(ts_context *context, const char *ptx, size_t bytes, ts_kernel **kernel);
TS_API ts_status ts_kernel_load_file(ts_context *context, const char *path, ts_kernel **kernel);

/* Its work must be done. NULL is allowed. */
TS_API void ts_kernel_destroy(ts_kernel *kernel);

/* Set struct_size = sizeof(ts_kernel_info) before asking. The strings belong to the kernel. */
typedef struct ts_kernel_info {
    size_t struct_size;
    const char *config, *entry, *target, *epilogue; /* target: "sm_89" */
    ts_dtype x, w, bias, y;
    int32_t tile_m, tile_n, tile_k;
    int32_t block_threads;
    int32_t smem_bytes;                      /* dynamic shared memory of a block */
    int32_t x_align, w_align, y_align;       /* bytes: base address and row pitch are multiples of these */
    int32_t takes_bias, takes_r;             /* 1: the kernel has that parameter */
    int32_t registers;                       /* of a thread, as the driver compiled it */
    int32_t local_bytes;                     /* of a thread: spills and local arrays; 0 is what to expect */
    int32_t blocks_per_sm;                   /* that fit together; 0: this driver cannot tell */
    ts_layout x_layout, w_layout, y_layout;  /* how the matrices must lie */
    int32_t n_multiple;                      /* n must be a multiple of this: 1, but for kernels that store by TMA */
} ts_kernel_info;

TS_API ts_status ts_kernel_get_info(const ts_kernel *kernel, ts_kernel_info *info);

/* What the driver's compiler said while loading; "" when it said nothing. Belongs to the kernel. */
TS_API const char *ts_kernel_log(const ts_kernel *kernel);

/* How many bytes of workspace the kernel needs for a problem, of which only m, n and k are read: not 0 where its
 * blocks share tiles along k ("_split" in the config's name), and the device has more SMs than there are tiles left
 * over. */
TS_API ts_status ts_kernel_workspace(const ts_kernel *kernel, const ts_linear_args *args, size_t *bytes);

/* Launches the kernel on the caller's stream and returns without waiting. The kernel demands the types, layouts
 * and alignments of its header; what it cannot do is refused by TS_ERROR_UNSUPPORTED or
 * TS_ERROR_MISALIGNED, never converted or copied. Costs little over cuLaunchKernel: no lock, and no allocation
 * but to keep the tensor map of an address that the kernel has not seen. May be captured into a graph. */
TS_API ts_status ts_kernel_launch(const ts_kernel *kernel, const ts_linear_args *args, ts_stream stream);

/* ---- kernels made on demand (libtilesmith only) ---------------------------------------------------------- */

/* Runs one fused linear layer on the caller's stream: chooses a configuration for the problem (types, sizes,
 * strides, alignments, epilogue, device), generates and loads its kernel unless this context has it already,
 * and launches it. A problem seen before costs a table look-up without a lock. While the stream is capturing
 * nothing is ever loaded: what was not prepared returns TS_ERROR_NOT_READY. */
TS_API ts_status ts_linear(ts_context *context, const ts_linear_args *args, ts_stream stream);

/* How many bytes of workspace would make ts_linear() faster, or does it need for a pinned configuration; 0: none.
 * Addresses matter by their alignment. */
TS_API ts_status ts_linear_workspace(ts_context *context, const ts_linear_args *args, size_t *bytes);

/* Everything of ts_linear() but the launch. Addresses matter by their alignment only, and a null one counts as
 * well aligned, so that layers can be prepared before their tensors exist. *kernel, where kernel is not NULL,
 * becomes the cached kernel, which the context owns (NULL when there is nothing to do: m or n = 0). Where a workspace
 * is given and used, the kernel is the one for the copies in it. */
TS_API ts_status ts_linear_prepare(ts_context *context, const ts_linear_args *args, const ts_kernel **kernel);

/* ---- tuning (libtilesmith only) -------------------------------------------------------------------------- */

/* One configuration that was measured. The strings belong to the report. */
typedef struct ts_tune_row {
    const char *config;
    ts_status status;   /* TS_OK: measured */
    const char *reason; /* else: why not */
    double us;          /* of a call: median of the bursts */
    double spread;      /* from the fastest burst to the slowest, as a part of that */
    double speedup;     /* time of the baseline over this one's: median over bursts in turn */
    int32_t registers, local_bytes, smem_bytes, blocks_per_sm; /* as in ts_kernel_info */
} ts_tune_row;

typedef struct ts_tune_report {
    const ts_tune_row *rows; /* in the order of measuring; the first is the baseline: 4 warps, 2 stages */
    int32_t n_rows;
    int32_t winner;          /* the row that ts_linear() now uses: the fastest, or the baseline where none beats it by
                                2 % */
    int32_t untried;         /* configurations for which the budget was too short */
    const char *rule;        /* what registers said, and what was tried for it */
    const char *store;       /* file of measurements; "" where there is no place for one */
    const char *not_stored;  /* why rows are not in the file; "" when all are */
    double seconds;
} ts_tune_report;

/* Set up by ts_tune_options_make(). */
typedef struct ts_tune_options {
    size_t struct_size;
    double budget_seconds; /* no configuration is begun after that; 0: 8 */
    int32_t top;           /* configurations of the ranking to measure, 1 to 64; 0: 12 */
    int32_t rounds;        /* bursts of each, 3 to 99; 0: 7 */
    /* Called after each row, of at most `most`; NULL: nobody is told. */
    void (*progress)(void *data, const ts_tune_row *row, int32_t done, int32_t most);
    void *data;
} ts_tune_options;

static inline ts_tune_options ts_tune_options_make(void)
{
    ts_tune_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

/* Measures the configurations that are ranked best for a problem, each in turn with the conservative baseline, on
 * operands of its own (random numbers, the strides and alignments of args, whose addresses are not touched and may be
 * null, larger than the caches together), and from now on ts_linear() uses the fastest for this problem, here and, by
 * the store, in other processes. A problem that args would pack into a workspace is measured as the kernel sees it
 * then. options NULL: the defaults. report NULL: nobody reads it; else the caller frees it. Failures of single
 * configurations, and of the store, are in the report and no failure of the call. Not for a thread that captures. */
TS_API ts_status ts_tune(ts_context *context, const ts_linear_args *args, const ts_tune_options *options,
                         ts_tune_report **report);
TS_API void ts_tune_report_free(ts_tune_report *report); /* NULL is allowed */

/* From now on ts_linear() uses the configuration of this name for every problem of this context, and refuses
 * what it cannot do; NULL: choose again. args.epilogue, where given, still decides what is computed. */
TS_API ts_status ts_context_set_config(ts_context *context, const char *config);

/* The PTX text of a configuration by name, header lines and all, ended by a NUL that *bytes does not count.
 * Needs no device. The caller frees *text with ts_free_text(). */
TS_API ts_status ts_generate(const char *config, char **text, size_t *bytes);
TS_API void ts_free_text(char *text);

/* ---- small conveniences for tools and tests -------------------------------------------------------------- */

/* Applications have their own memory and streams and need none of these. Copies and fills are ordered as on
 * the legacy default stream, and streams made here are ordered with it. ts_copy_to_host() returns when the
 * bytes are there. Allocating 0 bytes gives the address 0; freeing 0 does nothing. */
TS_API ts_status ts_malloc(ts_context *context, size_t bytes, ts_device_ptr *address);
TS_API ts_status ts_free(ts_context *context, ts_device_ptr address);
TS_API ts_status ts_copy_to_device(ts_context *context, ts_device_ptr to, const void *from, size_t bytes);
TS_API ts_status ts_copy_to_host(ts_context *context, void *to, ts_device_ptr from, size_t bytes);
TS_API ts_status ts_fill(ts_context *context, ts_device_ptr to, uint8_t byte, size_t bytes);

TS_API ts_status ts_stream_create(ts_context *context, ts_stream *stream);
TS_API ts_status ts_stream_destroy(ts_context *context, ts_stream stream);
/* Waits for the stream; a kernel that failed while running is reported here. */
TS_API ts_status ts_stream_synchronize(ts_context *context, ts_stream stream);

/* Time on the device between two points of a stream. One thread at a time. */
typedef struct ts_timer ts_timer;
TS_API ts_status ts_timer_create(ts_context *context, ts_timer **timer);
TS_API void ts_timer_destroy(ts_timer *timer); /* NULL is allowed */
TS_API ts_status ts_timer_start(ts_timer *timer, ts_stream stream);
TS_API ts_status ts_timer_stop(ts_timer *timer, ts_stream stream);
/* Waits for the stop. */
TS_API ts_status ts_timer_milliseconds(ts_timer *timer, float *milliseconds);

/* Launches recorded once and replayed as one: between begin and end, what is launched on the stream is kept
 * and not run. The stream must not be the default one; kernels must be loaded before. A driver without graphs
 * (before CUDA 11.4) gives TS_ERROR_UNSUPPORTED at begin. The kernels of a graph must outlive it. */
typedef struct ts_graph ts_graph;
TS_API ts_status ts_graph_begin(ts_context *context, ts_stream stream);
TS_API ts_status ts_graph_end(ts_context *context, ts_stream stream, ts_graph **graph);
TS_API ts_status ts_graph_launch(const ts_graph *graph, ts_stream stream);
TS_API void ts_graph_destroy(ts_graph *graph); /* its work must be done; NULL is allowed */

/* How long a call takes on the device: bursts of calls in a graph, timed by events. One thread at a time.
 *
 *   enqueue  puts call number i, on set i % sets of its operands, on the stream. It is called while the bursts are
 *            created, to run and to be captured, and by each ts_bursts_run() where the driver has no graphs: data,
 *            kernels and operands must last until ts_bursts_destroy(). Sets that are larger than the device's
 *            caches together show what a call takes whose operands come from memory.
 *
 * A burst takes about 2 ms, or up to 20 ms if it takes that to walk through all sets, or one call. */
typedef ts_status ts_enqueue(void *data, int64_t i, ts_stream stream);
typedef struct ts_bursts ts_bursts;
typedef struct ts_burst {
    double us;     /* of a call */
    int32_t calls; /* of the burst */
    int32_t graph; /* 0: this driver has no graphs, and the time has the gaps between launches in it */
} ts_burst;
TS_API ts_status ts_bursts_create(ts_context *context, ts_enqueue *enqueue, void *data, int sets, ts_bursts **bursts);
/* A pause of 5 ms, and a burst; waits for it. */
TS_API ts_status ts_bursts_run(ts_bursts *bursts, ts_burst *result);
TS_API void ts_bursts_destroy(ts_bursts *bursts); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
