/* gemm.c: a kernel from a config.
 *
 *     plan -> header lines -> parameters -> tile walk -> back end (main loop, epilogue, store) -> check -> text
 */
#include "gen/gemm.h"
#include "gen/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- the header: enough to launch the kernel from its text alone ---- */

static void header(Gemm *g)
{
    const GenPlan *p = g->p;
    const GenConfig *c = &p->config;
    PtxKernel *k = g->k;
    ptx_header(k, "tilesmith: %s", GEN_VERSION);
    ptx_header(k, "abi: %d", GEN_KERNEL_ABI);
    ptx_header(k, "config: %s", p->name);
    ptx_header(k, "entry: %s", p->name);
    ptx_header(k, "target: %s", c->arch->name);
    ptx_header(k, "types: x=%s w=%s bias=%s y=%s", gen_type_name(c->x), gen_type_name(c->w), gen_type_name(c->bias), gen_type_name(c->y));
    ptx_header(k, "epilogue: %s", c->epilogue);
    ptx_header(k, "tile: %dx%dx%d", c->tile_m, c->tile_n, c->tile_k);
    ptx_header(k, "grid: tiles");
    ptx_header(k, "block: %d", p->threads);
    ptx_header(k, "smem_bytes: %d", p->smem_bytes);
    ptx_header(k, "params: x:u64 w:u64 bias:u64 y:u64%s m:u32 n:u32 k:u32 ldx:u64 ldw:u64 ldy:u64%s%s%s", p->epilogue.uses_r ? " r:u64" : "",
               p->epilogue.uses_r ? " ldr:u64" : "", p->epilogue.uses_s ? " s:f32" : "", p->epilogue.uses_t ? " t:f32" : "");
    ptx_header(k, "align: x=%d w=%d y=%d", c->x_copy_bytes, c->w_copy_bytes, c->y_store_bytes);
    ptx_header(k, "workspace_bytes: 0");
}

static void parameters(Gemm *g)
{
    PtxKernel *k = g->k;
    const GenExpr *e = &g->p->epilogue;
    g->x_param = ptx_param(k, PTX_PARAM_U64, "x");
    g->w_param = ptx_param(k, PTX_PARAM_U64, "w");
    g->bias_param = ptx_param(k, PTX_PARAM_U64, "bias");
    g->y_param = ptx_param(k, PTX_PARAM_U64, "y");
    if (e->uses_r) g->r_param = ptx_param(k, PTX_PARAM_U64, "r");
    g->m_param = ptx_param(k, PTX_PARAM_U32, "m");
    g->n_param = ptx_param(k, PTX_PARAM_U32, "n");
    g->k_param = ptx_param(k, PTX_PARAM_U32, "k");
    g->ldx_param = ptx_param(k, PTX_PARAM_U64, "ldx");
    g->ldw_param = ptx_param(k, PTX_PARAM_U64, "ldw");
    g->ldy_param = ptx_param(k, PTX_PARAM_U64, "ldy");
    if (e->uses_r) g->ldr_param = ptx_param(k, PTX_PARAM_U64, "ldr");
    if (e->uses_s) g->s_param = ptx_param(k, PTX_PARAM_F32, "s");
    if (e->uses_t) g->t_param = ptx_param(k, PTX_PARAM_F32, "t");
}

/* ---- where this thread and this block stand ---- */

static PtxArg load_size(Gemm *g, const char *name, PtxArg param)
{
    PtxArg size = ptx_reg(g->k, PTX_B32, name);
    emit(g->k, LD_PARAM_B32, size, mem(param, 0));
    return size;
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
    g->walk = ptx_regs(g->k, PTX_B32, "walk_", 6);
}

static void tile_count(Gemm *g, PtxArg tiles, PtxArg size, int tile)
{
    emit(g->k, ADD_S32, tiles, size, imm(tile - 1));
    emit(g->k, DIV_U32, tiles, tiles, imm(tile));
}

/* Blocks that run together should share rows of x and of W in L2: tiles are walked in groups of group_m
 * tiles along m, down each group's columns first. */
void gen_tile_place(Gemm *g)
{
    const GenConfig *c = &g->p->config;
    PtxKernel *k = g->k;
    PtxArg tiles_m = at(g->walk, 0), width = at(g->walk, 1), group_m = at(g->walk, 2), block = at(g->walk, 3), first = at(g->walk, 4), height = at(g->walk, 5);
    ptx_section(k, "this block's tile, in groups of rows for L2");
    tile_count(g, tiles_m, g->m, c->tile_m);
    tile_count(g, width, g->n, c->tile_n);
    emit(k, MOV_SPECIAL, block, special(PTX_CTAID_X));
    emit(k, MIN_U32, group_m, tiles_m, imm(c->group_m));
    emit(k, MUL_LO_S32, width, width, group_m);
    emit(k, DIV_U32, first, block, width);
    emit(k, REM_U32, block, block, width);
    emit(k, MUL_LO_S32, first, first, group_m);
    emit(k, SUB_S32, height, tiles_m, first);
    emit(k, MIN_U32, height, height, group_m);
    emit(k, REM_U32, g->row0, block, height);
    emit(k, ADD_S32, g->row0, g->row0, first);
    emit(k, MUL_LO_S32, g->row0, g->row0, imm(c->tile_m));
    emit(k, DIV_U32, g->col0, block, height);
    emit(k, MUL_LO_S32, g->col0, g->col0, imm(c->tile_n));
}

/* ---- the kernel ---- */

static void write_kernel(Gemm *g)
{
    const GenPlan *p = g->p;
    PtxKernel *k = g->k;
    memcpy(k->entry, p->name, sizeof p->name);
    k->sm = p->config.arch->sm;
    k->sm_suffix = p->config.arch->suffix;
    k->max_threads = p->threads;
    k->min_blocks = p->blocks_per_sm;
    k->shared_align = 256; /* a row of the widest tile: the swizzle XORs address bits 4 to 7 */
    header(g);
    parameters(g);
    ptx_comment(k, "y = %s  with  z = x @ W^T + bias", p->config.epilogue);
    ptx_comment(k, "block tile %dx%dx%d, warp tile %dx%d, %d stages of %d B", p->config.tile_m, p->config.tile_n, p->config.tile_k, p->warp_m,
                p->warp_n, p->config.stages, p->stage_bytes);
    g->m = load_size(g, "m", g->m_param);
    g->n = load_size(g, "n", g->n_param);
    g->depth = load_size(g, "k", g->k_param);
    thread_place(g);
    declare_tile(g);
    gen_tile_place(g);
    switch (p->config.backend) {
    case GEN_BACKEND_MMA: gen_gemm_mma(g); break;
    case GEN_N_BACKENDS: break;
    }
    emit(k, RET);
}

bool gen_kernel(const GenConfig *config, char **text, size_t *length, GenError *error)
{
    GenPlan plan;
    *text = NULL;
    if (!gen_plan(config, &plan, error)) return false;
    Gemm g = {.k = ptx_new(), .p = &plan};
    if (!g.k) return gen_fail(error, "out of memory while writing %s", plan.name);
    write_kernel(&g);
    bool ok = ptx_check(g.k) && ptx_print(g.k, text, length);
    if (!ok) gen_fail(error, "writing %.120s failed: %.180s", plan.name, g.k->error);
    ptx_free(g.k);
    return ok;
}
