/* header.c: reads a kernel's header lines.
 *
 *     // tilesmith: 0.1.0
 *     // abi: 1
 *     // params: x:u64 w:u64 ...
 *     ...
 *     .version 7.8
 *
 * Lines "// key: value" stand before the first line that is no comment. KEYS lists the keys and who reads
 * their values; all but the boxes of tensor maps and early_start are needed, and unknown ones are ignored.
 * The lines are found first and read then in the order of KEYS, so that what a failure names does not depend
 * on their order in the file; the ABI comes first, because another ABI may change everything behind it.
 *
 * Behind the header the text is only looked over: whether it is whole (a file cut short must not reach the
 * driver), and whether its .version, .target and .entry are there and say what the header says.
 */
#include "runtime/header.h"

#include <ctype.h>
#include <stdio.h>

/* Key, reader. */
#define KEYS(X)                                                                                              \
    X(abi, read_abi)                                                                                         \
    X(tilesmith, read_version)                                                                               \
    X(config, read_config)                                                                                   \
    X(entry, read_entry)                                                                                     \
    X(target, read_target)                                                                                   \
    X(types, read_types)                                                                                     \
    X(epilogue, read_epilogue)                                                                               \
    X(tile, read_tile)                                                                                       \
    X(grid, read_grid)                                                                                       \
    X(block, read_block)                                                                                     \
    X(smem_bytes, read_smem)                                                                                 \
    X(params, read_params)                                                                                   \
    X(align, read_align)                                                                                     \
    X(layout, read_layout)                                                                                   \
    X(workspace_bytes, read_workspace)                                                                       \
    X(boxes, read_boxes)                                                                                     \
    X(early_start, read_early_start)

enum {
    MAX_SMEM_BYTES = 1 << 20,
    MAX_TILE = 4096,
    MAX_ALIGN_BYTES = 1024
}; /* beyond these a value is nonsense */
enum { MAP_ALIGN_BYTES = 16 }; /* of address and pitch, as TMA wants them */

/* A piece of the text. */
typedef struct Span {
    const char *at;
    int bytes;
} Span;

#define X(name) #name,
const char *const rt_tensor_name[RT_N_TENSORS] = {RT_TENSORS(X)};
#undef X

static const struct {
    const char *name, *type;
} params[RT_N_PARAMS] = {
#define X(name, type) {#name, #type},
    RT_PARAMS(X)
#undef X
};

/* ---- spans ---- */

static bool span_is(Span s, const char *text)
{
    return (size_t)s.bytes == strlen(text) && memcmp(s.at, text, (size_t)s.bytes) == 0;
}

static Span trim(Span s)
{
    while (s.bytes && isspace((unsigned char)s.at[0])) s.at++, s.bytes--;
    while (s.bytes && isspace((unsigned char)s.at[s.bytes - 1])) s.bytes--;
    return s;
}

/* Cuts s at the first `separator`: returns what is before, leaves in *s what is behind ("" when there is
 * none). */
static Span cut(Span *s, char separator, bool *found)
{
    const char *at = s->bytes ? memchr(s->at, separator, (size_t)s->bytes) : NULL;
    Span head = *s;
    *found = at != NULL;
    if (at) head.bytes = (int)(at - s->at);
    int used = head.bytes + (at ? 1 : 0);
    *s = (Span){s->at + used, s->bytes - used};
    return head;
}

static bool next_word(Span *rest, Span *word)
{
    bool found;
    *rest = trim(*rest);
    *word = cut(rest, ' ', &found);
    return word->bytes > 0;
}

/* A plain decimal number, the whole of s, from lo to hi. */
static bool span_int(Span s, int64_t lo, int64_t hi, int64_t *value)
{
    *value = 0;
    for (int i = 0; i < s.bytes; i++) {
        if (!isdigit((unsigned char)s.at[i]) || *value > INT64_MAX / 10 - 1) return false;
        *value = *value * 10 + (s.at[i] - '0');
    }
    return s.bytes > 0 && *value >= lo && *value <= hi;
}

/* The same, of what fits an int. */
static bool span_number(Span s, int lo, int hi, int *value)
{
    int64_t number;
    if (!span_int(s, lo, hi, &number)) return false;
    *value = (int)number;
    return true;
}

static ts_status bad(const char *key, Span value, const char *wanted)
{
    return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's header line '%s' says '%.*s': %s", key,
                   value.bytes > 100 ? 100 : value.bytes, value.at, wanted);
}

static ts_status read_int(const char *key, Span value, int lo, int hi, int *out)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "it must be a number from %d to %d", lo, hi);
    return span_number(value, lo, hi, out) ? TS_OK : bad(key, value, wanted);
}

static ts_status copy_text(const char *key, Span value, char *out, size_t out_bytes)
{
    if (value.bytes == 0) return bad(key, value, "it must not be empty");
    if ((size_t)value.bytes >= out_bytes) return bad(key, value, "it is too long");
    memcpy(out, value.at, (size_t)value.bytes);
    out[value.bytes] = 0;
    return TS_OK;
}

/* ---- one reader a key ---- */

static ts_status read_abi(RtHeader *h, Span v)
{
    int64_t abi;
    (void)h;
    if (!span_int(v, 1, INT64_MAX, &abi)) return bad("abi", v, "it must be a number");
    if (abi == RT_KERNEL_ABI) return TS_OK;
    return rt_fail(
        TS_ERROR_BAD_KERNEL,
        "the kernel has ABI %lld; tilesmith %s launches ABI %d: generate the kernel with this version",
        (long long)abi, TS_VERSION, RT_KERNEL_ABI);
}

static ts_status read_version(RtHeader *h, Span v)
{
    return copy_text("tilesmith", v, h->version, sizeof h->version);
}
static ts_status read_config(RtHeader *h, Span v)
{
    return copy_text("config", v, h->config, sizeof h->config);
}
static ts_status read_epilogue(RtHeader *h, Span v)
{
    return copy_text("epilogue", v, h->epilogue, sizeof h->epilogue);
}
static ts_status read_block(RtHeader *h, Span v)
{
    ts_status status = read_int("block", v, 32, RT_MAX_BLOCK_THREADS, &h->block_threads);
    if (status || h->block_threads % 32 == 0) return status;
    return bad("block", v, "it must be a multiple of 32");
}
static ts_status read_smem(RtHeader *h, Span v)
{
    return read_int("smem_bytes", v, 0, MAX_SMEM_BYTES, &h->smem_bytes);
}

static ts_status read_workspace(RtHeader *h, Span v)
{
    if (span_int(v, 0, INT32_MAX, &h->workspace_bytes)) return TS_OK;
    return bad("workspace_bytes", v, "it must be a number of bytes");
}

/* "64x128" */
static bool span_pair(Span v, int64_t lo, int64_t hi, int *first, int *second)
{
    bool more;
    int64_t a, b;
    Span rest = v, head = cut(&rest, 'x', &more);
    if (!more || !span_int(head, lo, hi, &a) || !span_int(rest, lo, hi, &b)) return false;
    *first = (int)a, *second = (int)b;
    return true;
}

static ts_status read_grid(RtHeader *h, Span v)
{
    Span rest = v, rule, group;
    if (span_is(v, "tiles")) return TS_OK;
    if (next_word(&rest, &rule)) {
        rest = trim(rest);
        if (span_is(rule, "persistent") && span_pair(rest, 1, 16, &h->cluster_m, &h->cluster_n)) return TS_OK;
        if (span_is(rule, "clusters") && span_number(rest, 2, 16, &h->cluster_k)) {
            h->cluster_m = h->cluster_n = 1;
            return TS_OK;
        }
        if (span_is(rule, "groups") && span_number(rest, 1, 64, &h->group_m)) return TS_OK;
        if (span_is(rule, "split") && next_word(&rest, &group) && span_number(group, 1, 64, &h->group_m) &&
            span_number(trim(rest), 1, 64, &h->busy_blocks))
            return TS_OK;
    }
    return bad("grid", v,
               "this tilesmith knows the rules 'tiles', 'groups G', 'clusters K', 'split G B' and "
               "'persistent MxN', with G and B from 1 to 64 and a cluster of K blocks or of MxN");
}

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$'; }

static ts_status read_entry(RtHeader *h, Span v)
{
    for (int i = 0; i < v.bytes; i++)
        if (!is_name_char(v.at[i])) return bad("entry", v, "it must be one PTX name");
    return copy_text("entry", v, h->entry, sizeof h->entry);
}

static ts_status read_target(RtHeader *h, Span v)
{
    int64_t sm = 0;
    Span number = {v.at + 3, v.bytes - 3};
    if (v.bytes < 4 || memcmp(v.at, "sm_", 3) != 0) return bad("target", v, "it must read like sm_89");
    char last = v.at[v.bytes - 1];
    if (last == 'a' || last == 'f') h->sm_suffix = last, number.bytes--;
    if (!span_int(number, 10, 999, &sm)) return bad("target", v, "it must read like sm_89");
    h->sm = (int)sm;
    return copy_text("target", v, h->target, sizeof h->target);
}

static ts_status read_tile(RtHeader *h, Span v)
{
    int *side[3] = {&h->tile_m, &h->tile_n, &h->tile_k};
    Span rest = v;
    bool more = true;
    for (int i = 0; i < 3; i++) {
        int64_t number;
        if (!more || !span_int(cut(&rest, 'x', &more), 1, MAX_TILE, &number))
            return bad("tile", v, "it must read like 128x128x32");
        *side[i] = (int)number;
    }
    return more ? bad("tile", v, "it must read like 128x128x32") : TS_OK;
}

static bool find_tensor(Span name, RtTensor *tensor)
{
    for (int i = 0; i < RT_N_TENSORS; i++)
        if (span_is(name, rt_tensor_name[i])) return *tensor = (RtTensor)i, true;
    return false;
}

/* Takes "x=" off the front of a word, for any tensor. */
static bool take_tensor(Span *word, RtTensor *tensor)
{
    bool equals;
    Span name = cut(word, '=', &equals);
    return equals && find_tensor(name, tensor);
}

static ts_dtype find_dtype(Span name)
{
#define X(dtype, number, text, bytes)                                                                        \
    if (span_is(name, text)) return dtype;
    TS_DTYPES(X)
#undef X
    return (ts_dtype)0;
}

static ts_status read_types(RtHeader *h, Span v)
{
    Span rest = v, word;
    while (next_word(&rest, &word)) {
        RtTensor tensor;
        if (!take_tensor(&word, &tensor))
            return bad("types", v, "it must read like x=f16 w=f16 bias=f16 y=f16");
        h->type[tensor] = find_dtype(word);
        if (!h->type[tensor])
            return bad("types", v,
                       "an element type is not f16, bf16 or f32: the kernel was written by another version");
    }
    if (!h->type[RT_TENSOR_x] || !h->type[RT_TENSOR_w] || !h->type[RT_TENSOR_bias] || !h->type[RT_TENSOR_y])
        return bad("types", v, "the types of x, w, bias and y must be there");
    if (!h->type[RT_TENSOR_r]) h->type[RT_TENSOR_r] = h->type[RT_TENSOR_y];
    return TS_OK;
}

/* Comes behind types in KEYS: what is not listed is aligned to its elements. */
static ts_status read_align(RtHeader *h, Span v)
{
    Span rest = v, word;
    for (int i = 0; i < RT_N_TENSORS; i++) h->align_bytes[i] = rt_dtype_bytes(h->type[i]);
    while (next_word(&rest, &word)) {
        RtTensor tensor;
        int64_t bytes;
        if (!take_tensor(&word, &tensor)) return bad("align", v, "it must read like x=16 w=16 y=4");
        if (!span_int(word, h->align_bytes[tensor], MAX_ALIGN_BYTES, &bytes) || (bytes & (bytes - 1)))
            return bad("align", v, "an alignment must be a power of 2 and no less than an element");
        h->align_bytes[tensor] = (int)bytes;
    }
    return TS_OK;
}

/* Comes behind params in KEYS: a matrix strided both ways needs its second stride. */
static ts_status read_layout(RtHeader *h, Span v)
{
    static const struct {
        RtTensor tensor;
        RtParam stride;
    } strided[] = {{RT_TENSOR_x, RT_PARAM_csx}, {RT_TENSOR_w, RT_PARAM_csw}, {RT_TENSOR_y, RT_PARAM_csy}};
    Span rest = v, word;
    while (next_word(&rest, &word)) {
        bool known = false;
        RtTensor tensor;
        if (!take_tensor(&word, &tensor)) return bad("layout", v, "it must read like x=row w=row y=row");
#define X(layout_, number, text)                                                                             \
    if (span_is(word, text)) h->layout[tensor] = layout_, known = true;
        TS_LAYOUTS(X)
#undef X
        if (!known) return bad("layout", v, "a layout is not row, col or any");
    }
    for (int i = 0; i < 3; i++)
        if ((h->layout[strided[i].tensor] == TS_STRIDED) != h->has[strided[i].stride])
            return bad("layout", v, "a matrix of layout any, and no other, has a parameter csx, csw or csy");
    return TS_OK;
}

static ts_status read_early_start(RtHeader *h, Span v)
{
    h->early_start = v.at != NULL;
    return !v.at || span_is(v, "yes") ? TS_OK : bad("early_start", v, "it must be yes, or not be there");
}

/* Comes behind params in KEYS: each tensor map has its box, and nothing else has one. */
static ts_status read_boxes(RtHeader *h, Span v)
{
    static const struct {
        RtTensor tensor;
        RtParam map;
    } mapped[] = {
        {RT_TENSOR_x, RT_PARAM_x_map}, {RT_TENSOR_w, RT_PARAM_w_map}, {RT_TENSOR_y, RT_PARAM_y_map}};
    Span rest = v, word;
    while (next_word(&rest, &word)) {
        RtTensor tensor;
        bool equals;
        Span value = word, key = cut(&value, '=', &equals);
        if (span_is(key, "plain") && find_tensor(value, &tensor)) {
            h->box[tensor].plain = true;
            continue;
        }
        if (!take_tensor(&word, &tensor) ||
            !span_pair(word, 1, 256, &h->box[tensor].cols, &h->box[tensor].rows))
            return bad("boxes", v, "it must read like x=64x128 w=64x256");
    }
    for (int i = 0; i < 3; i++) {
        RtTensor tensor = mapped[i].tensor;
        bool has_map = h->has[mapped[i].map];
        if (has_map != (h->box[tensor].cols > 0))
            return bad("boxes", v, "a tensor with a map, and no other, has a box");
        if (has_map && h->align_bytes[tensor] < MAP_ALIGN_BYTES)
            return rt_fail(TS_ERROR_BAD_KERNEL,
                           "the kernel's header says align %s=%d; a tensor with a map is aligned to %d bytes",
                           rt_tensor_name[tensor], h->align_bytes[tensor], MAP_ALIGN_BYTES);
    }
    return TS_OK;
}

static ts_status add_param(RtHeader *h, Span v, Span name, Span type)
{
    int i = 0;
    while (i < RT_N_PARAMS && !span_is(name, params[i].name)) i++;
    if (i == RT_N_PARAMS)
        return rt_fail(TS_ERROR_BAD_KERNEL,
                       "the kernel has a parameter '%.*s' that tilesmith %s does not know: it was written by "
                       "a newer tilesmith",
                       name.bytes > 32 ? 32 : name.bytes, name.at, TS_VERSION);
    if (!span_is(type, params[i].type))
        return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's parameter %s has type '%.*s'; it must be %s",
                       params[i].name, type.bytes > 32 ? 32 : type.bytes, type.at, params[i].type);
    if (h->has[i]) return bad("params", v, "a parameter stands there twice");
    h->has[i] = true;
    h->param[h->n_params++] = (RtParam)i;
    return TS_OK;
}

static ts_status read_params(RtHeader *h, Span v)
{
    /* itself, or the map that stands for it */
    static const RtParam needed[][2] = {
        {RT_PARAM_x, RT_PARAM_x_map},   {RT_PARAM_w, RT_PARAM_w_map},   {RT_PARAM_y, RT_PARAM_y_map},
        {RT_PARAM_ldx, RT_PARAM_x_map}, {RT_PARAM_ldw, RT_PARAM_w_map}, {RT_PARAM_ldy, RT_PARAM_y_map},
        {RT_PARAM_m, RT_PARAM_m},       {RT_PARAM_n, RT_PARAM_n},       {RT_PARAM_k, RT_PARAM_k}};
    static const RtParam of_split[] = {RT_PARAM_parts, RT_PARAM_group, RT_PARAM_sharing, RT_PARAM_share,
                                       RT_PARAM_extra};
    Span rest = v, word;
    while (next_word(&rest, &word)) {
        bool colon;
        Span name = cut(&word, ':', &colon);
        if (!colon) return bad("params", v, "it must read like x:u64 w:u64 m:u32");
        ts_status status = add_param(h, v, name, word);
        if (status) return status;
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!h->has[needed[i][0]] && !h->has[needed[i][1]])
            return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's header line 'params' lacks %s",
                           params[needed[i][0]].name);
    if (h->has[RT_PARAM_r] != h->has[RT_PARAM_ldr]) return bad("params", v, "r and ldr must come together");
    for (size_t i = 0; i < sizeof of_split / sizeof *of_split; i++)
        if (h->has[of_split[i]] != (h->busy_blocks > 0))
            return bad("params", v, "parts, group, sharing, share and extra belong to the grid rule 'split'");
    return TS_OK;
}

/* ---- the lines ---- */

typedef ts_status (*Reader)(RtHeader *, Span);

static const struct {
    const char *name;
    Reader read;
} keys[] = {
#define X(key, reader) {#key, reader},
    KEYS(X)
#undef X
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static Span next_line(const char **text)
{
    const char *at = *text;
    size_t bytes = strcspn(at, "\n");
    *text = at + bytes + (at[bytes] == '\n');
    return (Span){at, bytes > 4096 ? 4096 : (int)bytes};
}

/* Files away "key: value" if it is a key of ours. */
static ts_status note_line(Span line, Span value[N_KEYS])
{
    bool colon;
    Span rest = line, key = trim(cut(&rest, ':', &colon));
    if (!colon) return TS_OK;
    for (int i = 0; i < N_KEYS; i++) {
        if (!span_is(key, keys[i].name)) continue;
        if (value[i].at)
            return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's header line '%s' stands there twice",
                           keys[i].name);
        value[i] = trim(rest);
    }
    return TS_OK;
}

/* Finds the values of all keys; returns the text behind the header in *body. */
static ts_status find_lines(const char *text, Span value[N_KEYS], const char **body)
{
    for (*body = text; *text; *body = text) {
        Span line = trim(next_line(&text));
        if (line.bytes == 0) continue;
        if (line.bytes < 2 || memcmp(line.at, "//", 2) != 0) break;
        ts_status status = note_line((Span){line.at + 2, line.bytes - 2}, value);
        if (status) return status;
    }
    return TS_OK;
}

/* ---- the text behind ---- */

/* One pass over the text without its comments: every { has its }, and the last of these ends the text. */
static ts_status check_whole(const char *body)
{
    int depth = 0;
    char last = 0;
    bool any = false;
    for (const char *c = body; *c; c++) {
        if (c[0] == '/' && c[1] == '/') {
            c += strcspn(c, "\n");
            if (!*c) break;
        }
        if (isspace((unsigned char)*c)) continue;
        last = *c;
        if (*c == '{') depth++, any = true;
        if (*c == '}' && --depth < 0) break;
    }
    if (any && depth == 0 && last == '}') return TS_OK;
    return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's text is cut short or damaged: it does not end where "
                                        "its entry's '}' should be; get or generate it again");
}

/* The word behind a directive such as ".target" at the start of a line. */
static Span directive(const char *body, const char *name)
{
    while (*body) {
        Span line = trim(next_line(&body)), word;
        if (next_word(&line, &word) && span_is(word, name) && next_word(&line, &word)) {
            bool comma;
            return cut(&word, ',', &comma);
        }
    }
    return (Span){"", 0};
}

/* What stands behind the entry's name; NULL: there is none of that name. */
static const char *behind_entry(const char *body, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = body; (at = strstr(at, ".entry")); at++) {
        const char *word = at + strlen(".entry");
        word += strspn(word, " \t");
        if (strncmp(word, name, bytes) == 0 && !is_name_char(word[bytes])) return word + bytes;
    }
    return NULL;
}

/* The driver reads as many parameters as the entry has, wherever their values are: the header must have the
 * same, of the same types. A map is 128 aligned bytes. */
static ts_status check_params(const char *at, const RtHeader *h)
{
    const char *end = strchr(at, ')');
    int i = 0;
    for (; end && (at = strstr(at, ".param")) && at < end; i++) {
        Span rest = {at + strlen(".param"), (int)(end - at) - (int)strlen(".param")}, word = {"", 0};
        const char *type = i < h->n_params ? params[h->param[i]].type : "";
        next_word(&rest, &word);
        bool map = strcmp(type, "map") == 0,
             fits = word.bytes > 1 && span_is((Span){word.at + 1, word.bytes - 1}, map ? "align" : type);
        if (!fits)
            return rt_fail(
                TS_ERROR_BAD_KERNEL,
                "parameter %d of the kernel's entry is '%.*s'; its header line 'params' says '%s%s%s'", i + 1,
                word.bytes > 32 ? 32 : word.bytes, word.at,
                i < h->n_params ? params[h->param[i]].name : "nothing", *type ? ":" : "", type);
        at += strlen(".param");
    }
    if (i == h->n_params) return TS_OK;
    return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's entry has %d parameters, its header line 'params' %d",
                   i, h->n_params);
}

static ts_status check_body(const char *body, RtHeader *h)
{
    Span version = directive(body, ".version"), target = directive(body, ".target"), minor = version;
    int64_t major_number, minor_number;
    bool point;
    Span major = cut(&minor, '.', &point);
    if (!span_int(major, 1, 99, &major_number) || !span_int(minor, 0, 9, &minor_number))
        return rt_fail(TS_ERROR_BAD_KERNEL,
                       "the kernel's text has no .version like 7.8 behind its header lines");
    h->ptx_version = (int)(major_number * 10 + minor_number);
    if (!span_is(target, h->target))
        return rt_fail(TS_ERROR_BAD_KERNEL,
                       "the kernel's header says target %s, its text says '.target %.*s'", h->target,
                       target.bytes > 32 ? 32 : target.bytes, target.at);
    const char *behind = behind_entry(body, h->entry);
    if (!behind)
        return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's header says entry %s, which its text does not have",
                       h->entry);
    ts_status status = check_whole(body);
    return status ? status : check_params(behind, h);
}

ts_status rt_header_parse(const char *text, RtHeader *header)
{
    Span value[N_KEYS] = {{0}};
    const char *body;
    *header = (RtHeader){0};
    ts_status status = find_lines(text, value, &body);
    bool any = false;
    for (int i = 0; i < N_KEYS; i++) any |= value[i].at != NULL;
    if (!status && !any)
        return rt_fail(
            TS_ERROR_BAD_KERNEL,
            "this is not a kernel of tilesmith: it does not start with header lines such as '// abi: 1'");
    for (int i = 0; i < N_KEYS && !status; i++) {
        /* kernels without tensor maps have no boxes, those for chips before sm_90 no early start */
        bool optional = keys[i].read == read_boxes || keys[i].read == read_early_start;
        if (!value[i].at && !optional)
            return rt_fail(TS_ERROR_BAD_KERNEL, "the kernel's header line '%s' is missing", keys[i].name);
        status = keys[i].read(header, value[i]);
    }
    return status ? status : check_body(body, header);
}
