/* kernel.h: a loaded kernel, ready to launch. */
#ifndef RUNTIME_KERNEL_H
#define RUNTIME_KERNEL_H

#include "runtime/context.h"
#include "runtime/header.h"

/* One value for each parameter that a kernel may have; of a tensor map, where it is. */
typedef struct RtValues {
#define RT_C_u64 uint64_t
#define RT_C_u32 uint32_t
#define RT_C_f32 float
#define RT_C_map const CUtensorMap *
#define X(name, type) RT_C_##type name;
    RT_PARAMS(X)
#undef X
} RtValues;

/* Tensor maps made so far, found by what they were made from (maps.c). They only grow, up to a bound, and are read
 * without a lock. */
enum { RT_MAP_BUCKETS = 1024 };
typedef struct RtMaps {
    _Atomic(struct RtMap *) bucket[RT_MAP_BUCKETS];
    atomic_int count;
} RtMaps;

/* A matrix as TMA sees it: `rows` rows of `cols` neighbours. */
typedef struct RtMapKey {
    ts_device_ptr address;
    uint64_t rows, cols, pitch_bytes;
    RtTensor tensor;
} RtMapKey;

struct ts_kernel {
    ts_context *context;
    CUmodule module;
    CUfunction function;
    RtHeader header;
    uint16_t value_offset[RT_N_PARAMS]; /* parameter i of the kernel stands here in an RtValues */
    char *log;
    int registers, local_bytes, blocks_per_sm;
    int resident_clusters; /* that run at one time; 0: this driver cannot tell, or the kernel has none */
    RtMaps maps;
};

/* ---- maps.c ---- */
/* The tensor map of one of the kernel's operands, which lives as long as the kernel, or as `spare`, where it is made if
 * it cannot be kept. A call with a key seen before encodes nothing. */
ts_status rt_map_find(ts_kernel *kernel, const RtMapKey *key, CUtensorMap *spare, const CUtensorMap **map);
void rt_maps_free(RtMaps *maps);

/* ---- launch.c ---- */
/* TMA stores whole 16 bytes: what the columns of y must be a multiple of; 1: it does not store. */
int rt_n_multiple(const RtHeader *header);
/* Points *args at a struct of this release's layout, in *copy where the caller's is of another, and checks
 * m, n and k. */
ts_status rt_args_read(const ts_linear_args **args, ts_linear_args *copy);
/* Blocks of a launch; for the rule "split" also how they share the k-blocks of tiles: the first `sharing` blocks
 * have `share` each, the first `extra` of them one more. */
typedef struct RtGrid {
    unsigned int x, y, z;
    uint32_t group, sharing, share, extra;
} RtGrid;
enum { RT_WORKSPACE_ALIGN_BYTES = 256 };
ts_status rt_check_workspace_address(const ts_linear_args *args);
/* Whether the kernel can do this, m and n not being 0, and with which grid. */
ts_status rt_launch_check(const ts_kernel *kernel, const ts_linear_args *args, RtGrid *grid);
/* Launches what rt_launch_check() has checked. */
ts_status rt_launch_checked(const ts_kernel *kernel, const ts_linear_args *args, RtGrid grid, ts_stream stream);
/* Checks, and launches. */
ts_status rt_launch(const ts_kernel *kernel, const ts_linear_args *args, ts_stream stream);
/* Rows to pack; count 0: none. */
typedef struct RtRows {
    ts_matrix matrix;
    int64_t count, elems;
} RtRows;
/* Whether a kernel that packs rows (gen/pack.c) can read these. */
ts_status rt_check_pack(const ts_kernel *kernel, const RtRows *x, const RtRows *w);
/* Launches it for what was checked: rows of x and then those of w, which are as long, go to rows at `pitch` elements from
 * the address `to` on. */
ts_status rt_launch_pack(const ts_kernel *kernel, const RtRows *x, const RtRows *w, ts_device_ptr to, int64_t pitch,
                         ts_stream stream);

#endif
