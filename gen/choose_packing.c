/* choose_packing.c: which of x and W are packed first (pack.c): what rows that are not aligned to 16 bytes
 * cost where they are, against a launch, and reading and writing them once. Times are those of an H200; the
 * model was fitted to 33 problems on it (docs/tuning.md).
 */
#include "gen/internal.h"
#include "gen/plan.h"

/* An operand as packing sees it; of a column-major one rows are those of k. */
typedef struct Operand {
    bool packs;       /* it can be packed */
    double narrow_ns; /* lost by a k-block of 64 if it is not, where tiles keep the SMs busy */
    double elems;
} Operand;

static Operand operand(const GenProblem *p, GenType type, GenLayout layout, int align_bytes, int64_t rows,
                       double words_ns, double halves_ns)
{
    const double pieces_ns = 400, gathered_ns = 800;
    Operand o = {.elems = (double)rows * (double)p->k};
    if (layout == GEN_LAYOUT_ANY || align_bytes >= GEN_CHUNK_BYTES || type != p->w) return o;
    o.packs = true;
    if (layout == GEN_LAYOUT_COL) o.narrow_ns = align_bytes >= 4 ? pieces_ns : gathered_ns;
    else o.narrow_ns = align_bytes >= 4 ? words_ns : halves_ns;
    return o;
}

/* How often the busiest SM pays for a k-block, and for the way to the first one, as long as four. Few tiles
 * leave room for that. */
static double busy_k_blocks(const GenProblem *p, double sms)
{
    const double enough = 0.36, begin = 4;
    double waves = (double)(gen_ceil_div(p->m, 128) * gen_ceil_div(p->n, 128)) / sms;
    double few = 0.2 + 2.7 * waves, least = few < enough ? few : enough;
    double busy = waves > 1 ? waves : waves > enough ? 1 : waves / enough;
    return ((double)p->k / 64 + begin) * (busy > least ? busy : least);
}

/* Blocks that share tiles, in the workspace that packing would take, pay for fewer k-blocks, and then they
 * meet. */
static double shared_ns(const GenProblem *p, double lost_ns)
{
    const double meet_ns = 4000;
    int64_t tiles = gen_ceil_div(p->m, 64) * gen_ceil_div(p->n, 64);
    double shared = meet_ns + (0.15 + 0.004 * (double)p->m) * lost_ns;
    bool shares = gen_may_share(p->m, p->n, p->k) && tiles * 2 <= p->sm_count;
    return shares && shared < lost_ns ? shared : lost_ns;
}

/* Rows of x and W are packed by one launch where both are of k elements. */
static double packed_ns(const GenProblem *p, const Operand *x, const Operand *w, double sms)
{
    const double launch_ns = 2000, bytes_a_ns = 26.5 * sms;
    bool apart = p->x_layout == GEN_LAYOUT_COL || p->w_layout == GEN_LAYOUT_COL;
    double elems = (x ? x->elems : 0) + (w ? w->elems : 0);
    return (x && w && apart ? 2 : 1) * launch_ns + 4 * elems / bytes_a_ns;
}

/* Kernels of wgmma read no such rows in place; those of mma, which do, take longer. */
static double without_wgmma_ns(const GenProblem *p, double sms)
{
    const double k_block_ns = 60, flops_a_ns = 4.24e3 * sms;
    double flops = 2 * (double)p->m * (double)p->n * (double)p->k;
    return gen_has_wgmma(p->arch) ? k_block_ns * (double)p->k / 64 + flops / flops_a_ns : 0;
}

/* What is lost to rows that are not aligned if some operands are packed; null: those that are not. */
static double lost_ns(const GenProblem *p, const Operand *x, const Operand *w, double narrow_ns)
{
    double sms = p->sm_count > 0 ? p->sm_count : 1, lost = narrow_ns * busy_k_blocks(p, sms);
    if (x || w) lost += packed_ns(p, x, w, sms);
    else lost = shared_ns(p, lost);
    return narrow_ns > 0 ? lost + without_wgmma_ns(p, sms) : lost;
}

void gen_choose_packing(const GenProblem *p, bool *pack_x, bool *pack_w)
{
    Operand x = operand(p, p->x, p->x_layout, p->x_align_bytes, p->m, 250, 450),
            w = operand(p, p->w, p->w_layout, p->w_align_bytes, p->n, 170, 300);
    double least_ns = 0;
    *pack_x = *pack_w = false;
    if (!x.packs && !w.packs) return;
    for (int way = 0; way < 4; way++) {
        bool take_x = way & 1, take_w = way & 2;
        if ((take_x && !x.packs) || (take_w && !w.packs)) continue;
        double narrow_ns = (take_x ? 0 : x.narrow_ns) + (take_w ? 0 : w.narrow_ns);
        double ns = lost_ns(p, take_x ? &x : NULL, take_w ? &w : NULL, narrow_ns);
        if (way && ns >= least_ns) continue;
        least_ns = ns, *pack_x = take_x, *pack_w = take_w;
    }
}
