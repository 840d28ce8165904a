/* options.h: every option of every command, one row each; a command lists the rows that it takes. Parser and
 * --help walk the same rows.
 *
 * Columns: name in the code, on the command line, letter (0: none), kind, metavariable, help.
 * Kinds:   FLAG  given or not       TEXT  any text, read by the command
 *          INT   0 to 2^31-1        SEED  0 to 2^64-1        REAL  a finite number
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define CLI_OPTIONS(X) \
X(ARCH,         "arch",          0,   TEXT, "SM",     "chip to write for: sm_80, sm_86, sm_89, ...") \
X(DTYPE,        "dtype",         0,   TEXT, "TYPE",   "element type of x, W, bias and y: f16 or bf16") \
X(X_DTYPE,      "x-dtype",       0,   TEXT, "TYPE",   "element type of x, and of y, if not W's: f32, f16 or bf16") \
X(CONFIG,       "config",        0,   TEXT, "NAME",   "start from this configuration, as 'tilesmith list' names it") \
X(TILE,         "tile",          0,   TEXT, "MxNxK",  "outputs of a block, and its step along k") \
X(WARPS,        "warps",         0,   TEXT, "MxN",    "warps of a block along m and n") \
X(STAGES,       "stages",        0,   INT,  "N",      "steps along k that are in shared memory") \
X(EPILOGUE,     "epilogue",      0,   TEXT, "EXPR",   "what y is: an expression over z, acc, bias, r, s, t") \
X(GROUP_M,      "group-m",       0,   INT,  "N",      "tiles of m that are walked together") \
X(X_COPY_BYTES, "x-copy-bytes",  0,   INT,  "BYTES",  "16, 8, 4 or 2: the alignment of x's rows") \
X(W_COPY_BYTES, "w-copy-bytes",  0,   INT,  "BYTES",  "16, 8, 4 or 2: the alignment of W's rows") \
X(Y_STORE,      "y-store-bytes", 0,   INT,  "BYTES",  "16, 8, 4 or 2: the alignment of y's rows")\
X(MIN_BLOCKS,   "min-blocks",    0,   INT,  "N",      "resident blocks per SM to compile for (0: what fits)") \
X(CLUSTER_M,    "cluster-m",     0,   INT,  "N",      "wgmma: blocks of a cluster along m, which share W") \
X(CLUSTER_N,    "cluster-n",     0,   INT,  "N",      "wgmma: blocks of a cluster along n, which share x") \
X(SKEW_BLOCKS,  "skew-blocks",   0,   INT,  "N",      "wgmma: k-blocks out of step where tiles meet (0: none)") \
X(PINGPONG,     "pingpong",      0,   FLAG, "",       "wgmma: each warpgroup has tiles of its own") \
X(ALL,          "all",           0,   FLAG, "",       "write the shipped set, each kernel to NAME.ptx") \
X(OUTPUT,       "output",        'o', TEXT, "PATH",   "where to write: a file, a directory (NAME.ptx there), or -") \
X(REFUSED,      "refused",       0,   FLAG, "",       "show the configurations that cannot work, and why") \
X(SHAPE,        "shape",         0,   TEXT, "MxNxK",  "sizes of the problem; several separated by commas") \
X(SCALE,        "scale",         0,   REAL, "S",      "the epilogue's s (2)") \
X(T,            "t",             0,   REAL, "T",      "the epilogue's t (0)") \
X(SEED,         "seed",          0,   SEED, "N",      "of the random inputs (1)") \
X(KERNEL,       "kernel",        0,   TEXT, "FILE",   "run this PTX file as its header lines say") \
X(DEVICE,       "device",        0,   TEXT, "WHICH",  "auto, gpu or emu (auto: a GPU if there is one, else emu)") \
X(X_FILE,       "x",             0,   TEXT, "FILE",   "x [M,K], an npy file of float16 or float32") \
X(W_FILE,       "w",             0,   TEXT, "FILE",   "W [N,K]") \
X(BIAS_FILE,    "bias",          0,   TEXT, "FILE",   "bias [N]; none: 0") \
X(R_FILE,       "r",             0,   TEXT, "FILE",   "r [M,N], for epilogues that use it") \
X(OUT,          "out",           0,   TEXT, "FILE",   "write y [M,N]: float16, or float32 for bf16") \
X(NO_VERIFY,    "no-verify",     0,   FLAG, "",       "do not compare with float64") \
X(SMS,          "sms",           0,   INT,  "N",      "SMs of the device (those of the arch's best-known chip)") \
X(TOP,          "top",           0,   INT,  "N",      "how many configurations, the best first (8; tune: 12)") \
X(BUDGET,       "budget",        0,   REAL, "SECONDS", "no configuration is begun after that (8)") \
X(REPLAYS,      "replays",       0,   INT,  "N",      "how often a graph of calls is timed, 1 to 1000 (15)") \
X(CSV,          "csv",           0,   FLAG, "",       "print CSV") \
X(JSON,         "json",          0,   FLAG, "",       "print one JSON object a problem") \
X(HELP,         "help",          'h', FLAG, "",       "print this help")
/* clang-format on */

#define X(name, ...) OPT_##name,
typedef enum OptionId { CLI_OPTIONS(X) N_OPTIONS } OptionId;
#undef X

struct Command;

/* What was given. Numbers are in range; text that names things is read by the commands. */
typedef struct Options {
    const struct Command *command;
    const char *text[N_OPTIONS]; /* NULL: not given; "" for a flag */
    int number[N_OPTIONS];
    double real[N_OPTIONS];
    uint64_t seed;
} Options;

typedef struct Command {
    const char *name, *synopsis;
    const char *summary;    /* one line, in the list of commands */
    const char *details;    /* paragraphs of --help */
    const OptionId *option; /* ends with OPT_HELP, which all take */
    int (*run)(const Options *options);
} Command;

/* Reads argv[1..]; returns EXIT_OK, or EXIT_USAGE with the sentence printed. */
int options_parse(const Command *command, int argc, char **argv, Options *options);
void options_help(const Command *command);

static inline bool given(const Options *o, OptionId id) { return o->text[id] != 0; }
/* "--arch" */
const char *option_flag(OptionId id);

#endif
