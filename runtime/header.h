/* header.h: what a kernel says about itself in the comment lines at the top of its PTX text. */
#ifndef RUNTIME_HEADER_H
#define RUNTIME_HEADER_H

#include "runtime/status.h"

enum { RT_KERNEL_ABI = 1, RT_MAX_TEXT = 192, RT_MAX_TARGET = 16, RT_MAX_BLOCK_THREADS = 1024 };

/* clang-format off */
/* Parameters that this runtime can fill: name, type. */
#define RT_PARAMS(X)                                     \
    X(x_map, map) X(w_map, map) X(y_map, map)            \
    X(x, u64) X(w, u64) X(bias, u64) X(y, u64) X(r, u64) \
    X(m, u32) X(n, u32) X(k, u32)                        \
    X(ldx, u64) X(ldw, u64) X(ldy, u64) X(ldr, u64)      \
    X(csx, u64) X(csw, u64) X(csy, u64)                  \
    X(parts, u64) X(group, u32) X(sharing, u32)          \
    X(share, u32) X(extra, u32)                          \
    X(s, f32) X(t, f32)

/* A map is a CUtensorMap, which stands for base and pitch. */
/* Tensors whose type or alignment a header can state. */
#define RT_TENSORS(X) X(x) X(w) X(bias) X(y) X(r)
/* clang-format on */

#define X(name, type) RT_PARAM_##name,
typedef enum RtParam { RT_PARAMS(X) RT_N_PARAMS } RtParam;
#undef X
#define X(name) RT_TENSOR_##name,
typedef enum RtTensor { RT_TENSORS(X) RT_N_TENSORS } RtTensor;
#undef X

/* What a tensor map is cut into: `cols` elements that are neighbours in memory by `rows`. 0: there is none. */
typedef struct RtBox {
    int cols, rows;
    bool plain; /* not swizzled; others are, by 128 bytes */
} RtBox;

typedef struct RtHeader {
    char version[32];                  /* of the tilesmith that wrote it */
    char config[RT_MAX_TEXT], entry[RT_MAX_TEXT], epilogue[RT_MAX_TEXT];
    char target[RT_MAX_TARGET];        /* "sm_90a" */
    int sm;                            /* 90 */
    char sm_suffix;                    /* 'a', 'f' or 0 */
    int ptx_version;                   /* x10: 78 is 7.8 */
    ts_dtype type[RT_N_TENSORS];
    int align_bytes[RT_N_TENSORS];     /* of base address and pitch */
    bool early_start;                  /* it waits for the kernel before it by itself */
    ts_layout layout[RT_N_TENSORS];
    int tile_m, tile_n, tile_k;
    int group_m;                       /* the grid rules "groups" and "split"; 0: another rule */
    int busy_blocks;                   /* the grid rule "split": blocks that keep an SM busy; 0: another rule */
    int cluster_m, cluster_n;          /* the grid rule "persistent": tiles of a cluster; 0: another rule */
    int cluster_k;                     /* the grid rule "clusters": blocks of one tile; 0: another rule */
    RtBox box[RT_N_TENSORS];           /* of a tensor that has a map */
    int block_threads, smem_bytes;
    int64_t workspace_bytes;           /* for each block that shares tiles with others */
    int n_params;
    RtParam param[RT_N_PARAMS];        /* in the order of the parameter block */
    bool has[RT_N_PARAMS];
} RtHeader;

static inline bool rt_header_has_maps(const RtHeader *h)
{
    return h->has[RT_PARAM_x_map] || h->has[RT_PARAM_w_map] || h->has[RT_PARAM_y_map];
}

/* Reads the header of a whole kernel text, and checks that the text is whole and says the same. Failures are
 * TS_ERROR_BAD_KERNEL with which line and what is wrong. */
ts_status rt_header_parse(const char *text, RtHeader *header);

extern const char *const rt_tensor_name[RT_N_TENSORS];

/* 0: no type */
static inline int rt_dtype_bytes(ts_dtype dtype)
{
    switch (dtype) {
#define X(name, number, text, bytes)                                                                         \
    case name: return bytes;
        TS_DTYPES(X)
#undef X
    }
    return 0;
}

#endif
