/* choose_packing.c: which of x and W are packed first (pack.c): what rows that are not aligned to 16 bytes,
 * or have gaps between their elements, or an x of another type, cost where they are, against a launch, and
 * reading and writing them once. Times are those of an H200; the model was fitted to 33 problems on it, and
 * for other types to 44 (docs/tuning-mma.md). Where x is of another type and nothing else is in the way, the
 * estimates of both kernels decide, but for f32 by mma.sync, whose estimates are not good enough for that.
 */
#include "gen/internal.h"
#include "gen/plan.h"

/* An operand as packing sees it; of a column-major one rows are those of k. */
typedef struct Operand {
    bool packs;       /* it can be packed */
    bool odd;         /* its rows are not aligned, or have gaps */
    bool gaps;
    double narrow_ns; /* lost by a k-block of 64 if it is not, where tiles keep the SMs busy */
    double elems;
    double read_bytes; /* an element */
} Operand;

static Operand operand(GenType type, GenLayout layout, int align_bytes, int64_t rows, int64_t k,
                       double words_ns, double halves_ns, double gaps_ns)
{
    const double pieces_ns = 400, gathered_ns = 800;
    const double gap_bytes = 4; /* of every second element; with wider gaps both ways take longer */
    bool gaps = layout == GEN_LAYOUT_ANY;
    Operand o = {.elems = (double)rows * (double)k, .read_bytes = gaps ? gap_bytes : gen_type_bytes(type)};
    o.gaps = gaps;
    o.packs = o.odd = gaps || align_bytes < GEN_CHUNK_BYTES;
    if (!o.odd) return o;
    if (gaps) o.narrow_ns = gaps_ns;
    else if (layout == GEN_LAYOUT_COL) o.narrow_ns = align_bytes >= 4 ? pieces_ns : gathered_ns;
    else o.narrow_ns = align_bytes >= 4 ? words_ns : halves_ns;
    return o;
}

static double waves(const GenProblem *p, double sms)
{
    return (double)(gen_ceil_div(p->m, 128) * gen_ceil_div(p->n, 128)) / sms;
}

/* How often the busiest SM pays for a k-block, and for the way to the first one, as long as four. Few tiles
 * leave room for that. */
static double busy_k_blocks(const GenProblem *p, double sms)
{
    const double enough = 0.36, begin = 4;
    double all = waves(p, sms), few = 0.2 + 2.7 * all, least = few < enough ? few : enough;
    double busy = all > 1 ? all : all > enough ? 1 : all / enough;
    return ((double)p->k / 64 + begin) * (busy > least ? busy : least);
}

/* Blocks share tiles, in the workspace that packing would take. */
static bool shares(const GenProblem *p)
{
    return gen_may_share(p->m, p->n, p->k) &&
           gen_ceil_div(p->m, 64) * gen_ceil_div(p->n, 64) * 2 <= p->sm_count;
}

/* They pay for fewer k-blocks, and then they meet. */
static double shared_ns(const GenProblem *p, double lost_ns)
{
    const double meet_ns = 4000;
    double shared = meet_ns + (0.15 + 0.004 * (double)p->m) * lost_ns;
    return shares(p) && shared < lost_ns ? shared : lost_ns;
}

/* Whether they do where x is as it is, with as much workspace as is asked for. */
static bool shares_in_place(const GenProblem *p)
{
    GenProblem in_place = *p;
    GenConfig config;
    GenError error;
    in_place.workspace_bytes = UINT64_MAX;
    return shares(p) && gen_choose(&in_place, &config, &error) && config.split;
}

/* What a k-block of 64 by mma.sync loses to an x of another type: more where tiles are few, or made for few
 * rows, for fewer of them are made for such an x. */
static double rounding_ns(const GenProblem *p, bool odd, double sms)
{
    enum { OF_16_BITS, OF_F32 };
    static const struct {
        double many, few;
    } lost[] = {[OF_16_BITS] = {450, 300}, [OF_F32] = {80, 250}};
    const double some_rows = 1024;
    int type = p->x == GEN_F32 ? OF_F32 : OF_16_BITS;
    if (!odd && shares_in_place(p)) return 0;
    return waves(p, sms) < 1 || (double)p->m < some_rows ? lost[type].few : lost[type].many;
}

static Operand operand_x(const GenProblem *p)
{
    Operand x = operand(p->x, p->x_layout, p->x_align_bytes, p->m, p->k, 250, 450, 700);
    x.packs |= p->x != p->w;
    return x;
}

static Operand operand_w(const GenProblem *p)
{
    return operand(p->w, p->w_layout, p->w_align_bytes, p->n, p->k, 170, 300, 1300);
}

/* Both are packed by one launch where rows of both are of k elements. Aligned rows are read once, others by
 * some of their vectors twice. */
static double packed_ns(const GenProblem *p, const Operand *x, const Operand *w, double sms)
{
    const double launch_ns = 2000, bytes_a_ns = 26.5 * sms, aligned_bytes_a_ns = 34 * sms;
    bool apart = p->x_layout == GEN_LAYOUT_COL || p->w_layout == GEN_LAYOUT_COL;
    double ns = (x && w && apart ? 2 : 1) * launch_ns;
    if (x) ns += x->elems * (x->read_bytes + 2) / (x->odd ? bytes_a_ns : aligned_bytes_a_ns);
    return w ? ns + w->elems * (w->read_bytes + 2) / bytes_a_ns : ns;
}

/* Kernels of wgmma read no such rows in place; those of mma, which do, take longer. */
static double without_wgmma_ns(const GenProblem *p, double sms)
{
    const double k_block_ns = 60, flops_a_ns = 4.24e3 * sms;
    double flops = 2 * (double)p->m * (double)p->n * (double)p->k;
    return gen_has_wgmma(p->arch) ? k_block_ns * (double)p->k / 64 + flops / flops_a_ns : 0;
}

/* What is lost if these are packed, and the others not. */
static double lost_ns(const GenProblem *p, const Operand *x, bool pack_x, const Operand *w, bool pack_w,
                      double sms)
{
    double narrow_ns = (pack_x ? 0 : x->narrow_ns) + (pack_w ? 0 : w->narrow_ns);
    double lost = narrow_ns * busy_k_blocks(p, sms);
    if (pack_x || pack_w) lost += packed_ns(p, pack_x ? x : NULL, pack_w ? w : NULL, sms);
    else if (!x->gaps && !w->gaps) lost = shared_ns(p, lost);
    bool odd = (x->odd && !pack_x) || (w->odd && !pack_w);
    return odd ? lost + without_wgmma_ns(p, sms) : lost;
}

/* x, of rows that are read as fast as any: the estimates of the kernel that rounds it on the way, and of the one that
 * reads what was packed, decide. That one reads from L2, and those of wgmma start before the packing has ended. */
static bool rounds_first(const GenProblem *p, const Operand *x, double sms)
{
    const double launch_ns = 2000, early_launch_ns = 1750, bytes_a_ns = 45 * sms;
    GenProblem in_place = *p, packed = *p;
    GenCandidate read, copied;
    GenError error;
    in_place.workspace_bytes = UINT64_MAX; /* as much as is asked for */
    packed.workspace_bytes = 0;            /* it is taken */
    packed.x = p->w;
    packed.x_align_bytes = GEN_LINE_BYTES;
    double ns = (gen_has_wgmma(p->arch) ? early_launch_ns : launch_ns) + x->elems * (x->read_bytes + 2) / bytes_a_ns;
    return gen_rank(&in_place, &read, 1, &error) && gen_rank(&packed, &copied, 1, &error) &&
           copied.estimate.total_ns + ns < read.estimate.total_ns;
}

void gen_choose_packing(const GenProblem *p, bool *pack_x, bool *pack_w)
{
    double sms = p->sm_count > 0 ? p->sm_count : 1, least_ns = 0;
    Operand x = operand_x(p), w = operand_w(p);
    *pack_x = *pack_w = false;
    if (!x.packs && !w.packs) return;
    bool estimated = gen_has_wgmma(p->arch) || p->x != GEN_F32;
    if (!x.odd && !w.odd && estimated) {
        *pack_x = rounds_first(p, &x, sms);
        return;
    }
    if (p->x != p->w) x.narrow_ns += rounding_ns(p, x.odd, sms);
    for (int way = 0; way < 4; way++) {
        bool take_x = way & 1, take_w = way & 2;
        if ((take_x && !x.packs) || (take_w && !w.packs)) continue;
        double ns = lost_ns(p, &x, take_x, &w, take_w, sms);
        if (way && ns >= least_ns) continue;
        least_ns = ns, *pack_x = take_x, *pack_w = take_w;
    }
}
