/* gemm.c: a kernel from a config.
 *
 *     plan -> header lines -> parameters -> tile walk -> back end (main loop, epilogue, store) -> check ->
 * text
 */
#include "gen/gemm.h"
#include "gen/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters ---- */

/* The parameters in order: name, type, whether the kernel has it. ldx, ldw, ldy: from row to row, or from
 * column to column of a column-major matrix; csx, csw, csy: along a row of a matrix strided both ways. A
 * tensor map stands for base and pitch where TMA does the copies. From parts on, of blocks that share tiles
 * (split.c): the workspace; rows of tiles in a group; how many blocks share, and how many k-blocks each of
 * them has, the first `extra` of them one more. */
#define PARAMETERS(X)                                                                                        \
    X(x_map, MAP, tma)                                                                                       \
    X(w_map, MAP, tma)                                                                                       \
    X(y_map, MAP, tma_store)                                                                                 \
    X(x, U64, !tma)                                                                                          \
    X(w, U64, !tma)                                                                                          \
    X(bias, U64, true)                                                                                       \
    X(y, U64, !tma_store)                                                                                    \
    X(r, U64, e->uses_r)                                                                                     \
    X(m, U32, true)                                                                                          \
    X(n, U32, true)                                                                                          \
    X(k, U32, true)                                                                                          \
    X(ldx, U64, !tma)                                                                                        \
    X(ldw, U64, !tma)                                                                                        \
    X(ldy, U64, !tma_store)                                                                                  \
    X(ldr, U64, e->uses_r)                                                                                   \
    X(csx, U64, c->x_layout == GEN_LAYOUT_ANY)                                                               \
    X(csw, U64, c->w_layout == GEN_LAYOUT_ANY)                                                               \
    X(csy, U64, c->y_layout == GEN_LAYOUT_ANY)                                                               \
    X(parts, U64, c->split)                                                                                  \
    X(group, U32, c->split)                                                                                  \
    X(sharing, U32, c->split)                                                                                \
    X(share, U32, c->split)                                                                                  \
    X(extra, U32, c->split)                                                                                  \
    X(s, F32, e->uses_s)                                                                                     \
    X(t, F32, e->uses_t)

static void add_parameter(Gemm *g, PtxArg *param, PtxParamType type, const char *name, char *list,
                          size_t list_bytes)
{
    size_t n = strlen(list);
    snprintf(list + n, list_bytes - n, "%s%s:%s", n ? " " : "", name, ptx_param_info[type].name);
    *param = ptx_param(g->k, type, name);
}

/* Declares them, and lists them as the header does. */
static void parameters(Gemm *g, char *list, size_t list_bytes)
{
    const GenExpr *e = &g->p->epilogue;
    const GenConfig *c = &g->p->config;
    bool tma = c->backend == GEN_BACKEND_WGMMA, tma_store = tma && g->p->g.tma_store;
    list[0] = 0;
#define X(name, type, present)                                                                               \
    if (present) add_parameter(g, &g->name##_param, PTX_PARAM_##type, #name, list, list_bytes);
    PARAMETERS(X)
#undef X
}

static void scratch(Gemm *g)
{
    g->p_scratch = ptx_reg(g->k, PTX_PRED, "p_scratch");
    g->half_scratch = ptx_regs(g->k, PTX_B16, "half_scratch", 2);
    g->word_scratch = ptx_regs(g->k, PTX_B32, "word_scratch", 4);
    g->bits_scratch = ptx_reg(g->k, PTX_B32, "bits_scratch");
    g->f32_scratch = ptx_regs(g->k, PTX_F32, "f32_scratch", 2);
    g->wide_scratch = ptx_reg(g->k, PTX_B64, "wide_scratch");
    g->elem = ptx_reg(g->k, PTX_B16, "element");
}

/* ---- the header: enough to launch the kernel from its text alone ---- */

/* What the tensor maps must say: elements that are neighbours in memory, 128 bytes of them, by so many rows,
 * swizzled by 128 bytes, or plain. */
static void box_header(Gemm *g)
{
    const GenWgmmaPlan *h = &g->p->g;
    char y[40] = "";
    if (h->tma_store)
        snprintf(y, sizeof y, " y=%dx%d%s", h->chunk_cols, h->chunk_rows,
                 h->chunk_swizzled ? "" : " plain=y");
    ptx_header(g->k, "boxes: x=%dx%d w=%dx%d%s", h->x.box_elems, h->x.box_rows, h->w.box_elems, h->w.box_rows,
               y);
}

bool gen_starts_early(const Gemm *g) { return g->p->config.arch->sm >= 90; }

static void header(Gemm *g, const char *params, const char *grid)
{
    const GenPlan *p = g->p;
    const GenConfig *c = &p->config;
    PtxKernel *k = g->k;
    ptx_header(k, "tilesmith: %s", GEN_VERSION);
    ptx_header(k, "abi: %d", GEN_KERNEL_ABI);
    ptx_header(k, "config: %s", p->name);
    ptx_header(k, "entry: %s", p->name);
    ptx_header(k, "target: %s", c->arch->name);
    ptx_header(k, "types: x=%s w=%s bias=%s y=%s", gen_type_name(c->x), gen_type_name(c->w),
               gen_type_name(c->bias), gen_type_name(c->y));
    ptx_header(k, "epilogue: %s", c->epilogue);
    ptx_header(k, "tile: %dx%dx%d", c->tile_m, c->tile_n, c->tile_k);
    ptx_header(k, "grid: %s", grid);
    ptx_header(k, "block: %d", p->threads);
    ptx_header(k, "smem_bytes: %d", p->smem_bytes);
    ptx_header(k, "params: %s", params);
    ptx_header(k, "layout: x=%s w=%s y=%s", gen_layout_name(c->x_layout), gen_layout_name(c->w_layout),
               gen_layout_name(c->y_layout));
    ptx_header(k, "align: x=%d w=%d y=%d", c->x_copy_bytes, c->w_copy_bytes,
               c->swap && !p->g.tma_store ? p->y_bytes : c->y_store_bytes);
    ptx_header(k, "workspace_bytes: %d", c->split ? p->slot_bytes + GEN_FLAG_BYTES : 0);
    if (c->backend == GEN_BACKEND_WGMMA) box_header(g);
    if (gen_starts_early(g)) ptx_header(k, "early_start: yes");
}

/* ---- where this thread and this block stand ---- */

static PtxArg load_size(Gemm *g, const char *name, PtxArg param)
{
    PtxArg size = ptx_reg(g->k, PTX_B32, name);
    emit(g->k, LD_PARAM_B32, size, mem(param, 0));
    return size;
}

void gen_problem_size(Gemm *g)
{
    g->m = load_size(g, "m", g->m_param);
    g->n = load_size(g, "n", g->n_param);
    g->depth = load_size(g, "k", g->k_param);
}

static void thread_place(Gemm *g)
{
    PtxKernel *k = g->k;
    ptx_section(k, "this thread: lane, warp (row, column) of the block");
    g->tid = ptx_reg(k, PTX_B32, "thread");
    g->lane = ptx_reg(k, PTX_B32, "lane");
    g->warp_m = ptx_reg(k, PTX_B32, "warp_m");
    g->warp_n = ptx_reg(k, PTX_B32, "warp_n");
    emit(k, MOV_SPECIAL, g->tid, special(PTX_TID_X));
    emit(k, AND_B32, g->lane, g->tid, imm(31));
    emit(k, SHR_U32, g->warp_n, g->tid, imm(5));
    emit(k, DIV_U32, g->warp_m, g->warp_n, imm(g->p->config.warps_n));
    emit(k, REM_U32, g->warp_n, g->warp_n, imm(g->p->config.warps_n));
}

static void declare_tile(Gemm *g)
{
    g->row0 = ptx_reg(g->k, PTX_B32, "row0");
    g->col0 = ptx_reg(g->k, PTX_B32, "col0");
}

/* By the grid. Blocks that run together should share rows of x and of W in L2. They start in order of x, y,
 * z: so x counts the tiles along m of a group, y the tiles along n, and z the groups. */
static void grid_place(Gemm *g)
{
    PtxKernel *k = g->k;
    emit(k, MOV_SPECIAL, g->row0, special(PTX_CTAID_Z));
    emit(k, MOV_SPECIAL, g->col0, special(PTX_NCTAID_X));
    emit(k, MUL_LO_S32, g->row0, g->row0, g->col0);
    emit(k, MOV_SPECIAL, g->col0, special(PTX_CTAID_X));
    emit(k, ADD_S32, g->row0, g->row0, g->col0);
    emit(k, MOV_SPECIAL, g->col0, special(PTX_CTAID_Y));
    emit(k, MUL_LO_S32, g->row0, g->row0, imm(g->p->config.tile_m));
    emit(k, MUL_LO_S32, g->col0, g->col0, imm(g->p->config.tile_n));
}

void gen_tile_place(Gemm *g)
{
    ptx_section(g->k, "this block's tile, in groups of rows for L2");
    if (g->p->config.split) gen_split_place(g);
    else grid_place(g);
}

/* The last group may have rows of tiles that are not there. */
static void leave_empty_blocks(Gemm *g, PtxArg end)
{
    emit(g->k, SETP_GE_U32, g->p_scratch, g->row0, g->m);
    emit_if(g->k, g->p_scratch, BRA, end);
}

/* ---- the kernel ---- */

void gen_begin_kernel(Gemm *g, const char *grid)
{
    const GenPlan *p = g->p;
    PtxKernel *k = g->k;
    memcpy(k->entry, p->name, sizeof p->name);
    k->sm = p->config.arch->sm;
    k->sm_suffix = p->config.arch->suffix;
    k->max_threads = p->threads;
    k->min_blocks = p->blocks_per_sm;
    char params[256];
    parameters(g, params, sizeof params);
    header(g, params, grid);
    scratch(g);
}

void gen_wait_for_kernel_before(Gemm *g)
{
    if (!gen_starts_early(g)) return;
    ptx_section(g->k, "the kernel before may still run, until griddepcontrol.wait");
    emit(g->k, GRID_WAIT);
}

void gen_let_next_start(Gemm *g)
{
    if (gen_starts_early(g)) emit(g->k, GRID_LAUNCH);
}

bool gen_end_kernel(Gemm *g, char **text, size_t *length, GenError *error)
{
    bool ok = ptx_check(g->k) && ptx_print(g->k, text, length);
    if (!ok) gen_fail(error, "writing %.120s failed: %.180s", g->p->name, g->k->error);
    ptx_free(g->k);
    return ok;
}

static void write_mma(Gemm *g)
{
    const GenPlan *p = g->p;
    PtxArg end = ptx_label(g->k, "end");
    bool split = p->config.split;
    ptx_comment(g->k, "block tile %dx%dx%d, warp tile %dx%d, %d stages of %d B", p->config.tile_m,
                p->config.tile_n, p->config.tile_k, p->warp_m, p->warp_n, p->config.stages, p->stage_bytes);
    if (split) { /* once, in front of the segments; others wait behind more that needs no memory */
        gen_wait_for_kernel_before(g);
        gen_split_begin(g);
    }
    gen_problem_size(g);
    thread_place(g);
    declare_tile(g);
    gen_tile_place(g);
    if (split) gen_split_depth(g);
    else leave_empty_blocks(g, end);
    gen_gemm_mma(g);
    if (split) gen_split_end(g, end);
    emit(g->k, LABEL, end);
}

/* The rule by which the runtime counts blocks. */
static void grid_rule(const GenPlan *p, char *rule, size_t bytes)
{
    const GenConfig *c = &p->config;
    if (c->cluster_k > 1) snprintf(rule, bytes, "clusters %d", c->cluster_k);
    else if (c->backend == GEN_BACKEND_WGMMA)
        snprintf(rule, bytes, "persistent %dx%d", c->cluster_m, c->cluster_n);
    else if (c->split) snprintf(rule, bytes, "split %d %d", c->group_m, p->busy_blocks);
    else snprintf(rule, bytes, "groups %d", c->group_m);
}

static void write_kernel(Gemm *g)
{
    const GenConfig *c = &g->p->config;
    char grid[32];
    grid_rule(g->p, grid, sizeof grid);
    gen_begin_kernel(g, grid);
    ptx_comment(g->k, "y = %s  with  z = x @ W^T + bias", c->epilogue);
    switch (c->backend) {
    case GEN_BACKEND_MMA:
        g->k->shared_align = 256; /* a row of the widest tile: the swizzle XORs address bits 4 to 7 */
        write_mma(g);
        break;
    case GEN_BACKEND_WGMMA:
        g->k->shared_align = 1024; /* the swizzle's pattern: 8 rows of 128 bytes */
        gen_gemm_wgmma(g);
        break;
    case GEN_N_BACKENDS: break;
    }
    emit(g->k, RET);
}

bool gen_kernel(const GenConfig *config, char **text, size_t *length, GenError *error)
{
    GenPlan plan;
    *text = NULL;
    if (!gen_plan(config, &plan, error)) return false;
    Gemm g = {.k = ptx_new(), .p = &plan};
    if (!g.k) return gen_fail(error, "out of memory while writing %s", plan.name);
    write_kernel(&g);
    return gen_end_kernel(&g, text, length, error);
}
