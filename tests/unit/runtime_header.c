/* runtime_header.c: the parser of header lines: a good kernel, each line missing, each line wrong, a text cut
 * short at every byte.
 */
#include "runtime/header.h"
#include "tests/tap.h"
#include "tests/unit/fake_cuda.h"

static void test_good(void)
{
    RtHeader h;
    ok(rt_header_parse(SAMPLE, &h) == TS_OK, "the sample is read: %s", ts_last_error());
    is_str(h.version, "0.1.0", "tilesmith");
    is_str(h.config, "mma_sm80_f16_128x64x32_w2x2_s3", "config");
    is_str(h.entry, "sample", "entry");
    is_str(h.epilogue, "z + s * sigmoid(z)", "epilogue");
    ok(h.sm == 80 && h.sm_suffix == 0 && h.ptx_version == 74, "target sm_80, PTX 7.4");
    ok(h.type[RT_TENSOR_x] == TS_F16 && h.type[RT_TENSOR_y] == TS_F16 && h.type[RT_TENSOR_r] == TS_F16,
       "types; r as y");
    ok(h.tile_m == 128 && h.tile_n == 64 && h.tile_k == 32, "tile");
    ok(h.block_threads == 128 && h.smem_bytes == 36864 && h.workspace_bytes == 0,
       "block, smem_bytes, workspace_bytes");
    ok(h.align_bytes[RT_TENSOR_x] == 16 && h.align_bytes[RT_TENSOR_y] == 4, "align as stated");
    ok(h.align_bytes[RT_TENSOR_bias] == 2 && h.align_bytes[RT_TENSOR_r] == 2,
       "align of what is not listed: its elements");
    ok(h.n_params == 11 && h.param[0] == RT_PARAM_y && h.param[4] == RT_PARAM_n && h.param[7] == RT_PARAM_s,
       "params in their order");
    ok(h.has[RT_PARAM_bias] && h.has[RT_PARAM_s] && !h.has[RT_PARAM_r] && !h.has[RT_PARAM_t],
       "which params there are");
}

/* The start of a text, on one line. */
static const char *brief(const char *text, char out[48])
{
    snprintf(out, 48, "%s", text);
    for (char *c = out; *c; c++)
        if (*c == '\n' || *c == '\r') *c = '|';
    return out;
}

/* Replaces `from` by `to` in the sample; "" wanted: still good. Otherwise the sentence has `wanted` in it. */
static void test_changed(const char *from, const char *to, const char *wanted)
{
    RtHeader h;
    char a[48], b[48];
    char *text = sample_with(from, to);
    ts_status status = rt_header_parse(text, &h);
    bool good = *wanted ? status == TS_ERROR_BAD_KERNEL && strstr(ts_last_error(), wanted) : status == TS_OK;
    ok(good, "'%s' as '%s' %s %s", brief(from, a), brief(to, b), *wanted ? "is refused:" : "is good", wanted);
    if (!good) note("%s: %s", ts_status_name(status), ts_last_error());
    free(text);
}

static const struct {
    const char *from, *to, *wanted;
} changes[] = {
    {"// abi: 1\n", "", "'abi' is missing"},
    {"// tilesmith: 0.1.0\n", "", "'tilesmith' is missing"},
    {"// config: mma_sm80_f16_128x64x32_w2x2_s3\n", "", "'config' is missing"},
    {"// entry: sample\n", "", "'entry' is missing"},
    {"// target: sm_80\n", "", "'target' is missing"},
    {"// types: x=f16 w=f16 bias=f16 y=f16\n", "", "'types' is missing"},
    {"// epilogue: z + s * sigmoid(z)\n", "", "'epilogue' is missing"},
    {"// tile: 128x64x32\n", "", "'tile' is missing"},
    {"// grid: tiles\n", "", "'grid' is missing"},
    {"// block: 128\n", "", "'block' is missing"},
    {"// smem_bytes: 36864\n", "", "'smem_bytes' is missing"},
    {"// params: " SAMPLE_PARAMS "\n", "", "'params' is missing"},
    {"// align: x=16 w=16 y=4\n", "", "'align' is missing"},
    {"// layout: x=row w=row y=row\n", "", "'layout' is missing"},
    {"// workspace_bytes: 0\n", "", "'workspace_bytes' is missing"},
    {SAMPLE_HEADER, "", "not a kernel of tilesmith"},
    {SAMPLE, "", "not a kernel of tilesmith"},

    {"// abi: 1\n", "// abi: 1\n// abi: 1\n", "twice"},
    {"abi: 1", "abi: 2", "ABI 2"},
    {"abi: 1", "abi: one", "must be a number"},
    {"abi: 1", "abi:", "must be a number"},
    {"abi: 1", "abi: 99999999999999999999999", "must be a number"},
    {"tilesmith: 0.1.0", "tilesmith:", "must not be empty"},
    {"entry: sample", "entry: sample x", "one PTX name"},
    {"entry: sample", "entry: other", "entry other"},
    {"entry: sample", "entry: samp", "entry samp"},
    {"target: sm_80", "target: sm_", "sm_89"},
    {"target: sm_80", "target: sm_8x", "sm_89"},
    {"target: sm_80", "target: 80", "sm_89"},
    {"target: sm_80", "target: sm_89", ".target sm_80"},
    {"types: x=f16", "types: x=f64", "f16, bf16 or f32"},
    {"types: x=f16", "types: x", "must read like"},
    {"types: x=f16", "types: q=f16", "must read like"},
    {"types: x=f16 ", "types: ", "must be there"},
    {"tile: 128x64x32", "tile: 128x64", "128x128x32"},
    {"tile: 128x64x32", "tile: 128x64x32x1", "128x128x32"},
    {"tile: 128x64x32", "tile: 0x64x32", "128x128x32"},
    {"tile: 128x64x32", "tile: 128x-64x32", "128x128x32"},
    {"tile: 128x64x32", "tile: 128x64x32x", "128x128x32"},
    {"tile: 128x64x32", "tile: 1000000x64x32", "128x128x32"},
    {"grid: tiles", "grid: persistent", "'split G B' and 'persistent MxN'"},
    {"grid: tiles", "grid: persistent 0x1", "'split G B' and 'persistent MxN'"},
    {"grid: tiles", "grid: clusters 1", "'clusters K'"},
    {"grid: tiles", "grid: clusters 4x1", "'clusters K'"},
    {"grid: tiles", "grid: clusters 4", ""},
    {"grid: tiles", "grid: groups 0", "'split G B' and 'persistent MxN'"},
    {"grid: tiles", "grid: groups 8 8", "'split G B' and 'persistent MxN'"},
    {"grid: tiles", "grid: split 8", "'split G B' and 'persistent MxN'"},
    {"grid: tiles", "grid: split 8 65", "'split G B' and 'persistent MxN'"},
    {"grid: tiles", "grid: split 8 2 2", "'split G B' and 'persistent MxN'"},
    {"grid: tiles", "grid: split 8 2", "belong to the grid rule 'split'"},
    {"grid: tiles", "grid: persistent 2x1", ""},
    {"workspace_bytes: 0\n", "workspace_bytes: 0\n// boxes: x=64x128\n", "a tensor with a map, and no other"},
    {"workspace_bytes: 0\n", "workspace_bytes: 0\n// boxes: x=64\n", "it must read like x=64x128"},
    {"workspace_bytes: 0\n", "workspace_bytes: 0\n// early_start: yes\n", ""},
    {"workspace_bytes: 0\n", "workspace_bytes: 0\n// early_start: 1\n", "it must be yes, or not be there"},
    {"ldy:u64\n", "ldy:u64 y_map:map\n", "a tensor with a map, and no other"},
    {"block: 128", "block: 100", "multiple of 32"},
    {"block: 128", "block: 2048", "from 32 to 1024"},
    {"block: 128", "block: 0", "from 32 to 1024"},
    {"block: 128", "block: 128 threads", "from 32 to 1024"},
    {"smem_bytes: 36864", "smem_bytes: -1", "must be a number"},
    {"smem_bytes: 36864", "smem_bytes: 99999999", "must be a number"},
    {"params: y:u64", "params: y", "must read like"},
    {"params: y:u64", "params: y:u32", "must be u64"},
    {"params: y:u64", "params: tensor_map:u64 y:u64", "newer tilesmith"},
    {"params: y:u64", "params: y:u64 y:u64", "twice"},
    {"params: y:u64", "params:", "lacks y"},
    {" m:u32", "", "lacks m"},
    {" ldw:u64", "", "lacks ldw"},
    {"params: y:u64", "params: y:u64 r:u64", "together"},
    {"align: x=16", "align: x=12", "power of 2"},
    {"align: x=16", "align: x=1", "no less than an element"},
    {"align: x=16", "align: x", "must read like"},
    {"align: x=16", "align: m=16", "must read like"},
    {"layout: x=row", "layout: x", "must read like"},
    {"layout: x=row", "layout: m=row", "must read like"},
    {"layout: x=row", "layout: x=tiled", "not row, col or any"},
    {"layout: x=row", "layout: x=any", "parameter csx"},
    {" ldw:u64", " ldw:u64 csw:u64", "parameter csx"},
    {"workspace_bytes: 0", "workspace_bytes: some", "number of bytes"},

    {".version 7.4\n", "", ".version"},
    {".version 7.4", ".version seven", ".version"},
    {".target sm_80\n", "", ".target"},
    {".param .u64 y,", "", "header line 'params' says 'bias:u64'"},
    {".param .u64 y,", ".param .u32 y,", "header line 'params' says 'y:u64'"},
    {".param .f32 s,", ".param .f32 s, .param .f32 t,", "header line 'params' says 'ldx:u64'"},
    {".param .u64 ldw, .param .u64 ldy", ".param .u64 ldw", "10 parameters, its header line 'params' 11"},
    {".param .u64 ldy\n", ".param .u64 ldy, .param .u64 r\n", "says 'nothing'"},
    {".target sm_80\n", ".target sm_80, debug\n", ""},
    {".entry sample(", ".entry samples(", "entry sample"},
    {"    ret;\n}\n", "    ret;\n", "cut short"},
    {"    ret;\n}\n", "    ret;\n}\n// end {\n", ""},
    {"    ret;\n}\n", "    ret;\n}}\n", "cut short"},
    {"    ret;\n}\n", "    ret;\n}\n.visible", "cut short"},

    {"// abi: 1\n", "// abi: 1\n// colour: blue\n//\n// just words\n\n", ""},
    {"// abi: 1\n", "//abi:1\r\n", ""},
    {"params: y:u64", "params: y:u64 r:u64 ldr:u64 t:f32", ""},
    {" bias:u64", "", ""},
    {" s:f32", "", ""},
    {"w=f16 bias=f16 y=f16", "w=bf16 bias=f32 y=f32 r=f32", ""},
};

/* However much of it is missing at the end, and at whatever byte, the text is refused. */
static void test_truncated(void)
{
    char text[sizeof SAMPLE];
    RtHeader h;
    size_t whole = strlen(SAMPLE) - 1; /* but for the last newline */
    size_t bad = 0;
    for (size_t bytes = 0; bytes < whole; bytes++) {
        memcpy(text, SAMPLE, bytes);
        text[bytes] = 0;
        bad += rt_header_parse(text, &h) == TS_ERROR_BAD_KERNEL;
    }
    ok(bad == whole, "a text cut short is refused at each of %zu bytes", whole);
}

/* Any byte may be damaged: no crash, and never an entry that is not NUL-terminated. */
static void test_damaged(void)
{
    static char text[sizeof SAMPLE];
    RtHeader h;
    unsigned state = 1;
    for (int i = 0; i < 20000; i++) {
        memcpy(text, SAMPLE, sizeof SAMPLE);
        for (int j = 0; j < 3; j++) {
            state = state * 1664525u + 1013904223u;
            text[(state >> 8) % (sizeof SAMPLE - 1)] = (char)(state >> 24);
        }
        rt_header_parse(text, &h);
    }
    ok(1, "20000 damaged headers do not crash");
}

int main(void)
{
    test_good();
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        test_changed(changes[i].from, changes[i].to, changes[i].wanted);
    test_truncated();
    test_damaged();
    return done();
}
