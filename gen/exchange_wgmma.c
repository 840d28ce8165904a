/* exchange_wgmma.c: the blocks of a cluster that share a tile along k add their sums, and each of the first
 * `finishers` of them has a part of the tile to finish.
 *
 * A part is so many groups, neighbours, of 8 columns of the accumulators: columns of y, or with swapped
 * operands rows. Each block writes its sums of a part to the shared memory of the block that finishes it,
 *
 *     inbox[wgmma][group of the part][block that wrote it][thread]    16 bytes each
 *
 * and behind a barrier of the cluster that one adds them, always in the order of the blocks, into the first
 * accumulators: as if its consumers' tiles had those columns alone. A cluster has one tile. Where the inbox
 * has no other use that one barrier is enough; a large one lies in the ring of stages, of which another
 * barrier says before that all blocks are done with it.
 */
#include "gen/wgmma.h"

static int k_sharers(const Wgmma *g) { return g->plan->config.cluster_k; }
static int part_groups(const Wgmma *g) { return g->h->finisher_groups; }

/* Of the inbox: bytes to the sums that a block wrote of a group. */
static int sums_offset(const Wgmma *g, int i, int group, int block)
{
    int bytes = g->h->consumers * GEN_WG_THREADS * GROUP_ACC * 4;
    return ((i * part_groups(g) + group) * k_sharers(g) + block) * bytes;
}

static void send_sums(Wgmma *g, PtxArg inbox)
{
    PtxKernel *k = g->k;
    PtxArg outbox = at(g->gemm->word_scratch, 0), to = at(g->gemm->word_scratch, 1);
    emit(k, SUB_S32, inbox, g->gemm->tid, imm(GEN_WG_THREADS));
    emit(k, MAD_LO_S32, inbox, inbox, imm(GROUP_ACC * 4), g->smem);
    emit(k, ADD_S32, inbox, inbox, imm(g->h->exchange_offset));
    emit(k, MAD_LO_S32, outbox, g->rank, imm(sums_offset(g, 0, 0, 1)), inbox);
    for (int block = 0; block < g->h->finishers; block++) {
        emit(k, MAPA, to, outbox, imm(block));
        for (int i = 0; i < g->h->wgmmas; i++)
            for (int group = 0; group < part_groups(g); group++)
                emit(k, ST_CLUSTER_V4_F32, mem(to, sums_offset(g, i, group, 0)),
                     wgmma_group_acc(g, i, block * part_groups(g) + group));
    }
}

static void add_sums(Wgmma *g, PtxArg inbox, PtxArg sums, int i, int group)
{
    PtxKernel *k = g->k;
    PtxArg all = wgmma_group_acc(g, i, group);
    for (int block = 0; block < k_sharers(g); block++)
        emit(k, LD_SHARED_V4_F32, span(sums, GROUP_ACC * block, GROUP_ACC),
             mem(inbox, sums_offset(g, i, group, block)));
    for (int e = 0; e < GROUP_ACC; e++)
        for (int block = 1; block < k_sharers(g); block++)
            emit(k, ADD_F32, at(all, e), block == 1 ? at(sums, e) : at(all, e),
                 at(sums, GROUP_ACC * block + e));
}

void gen_wgmma_leave_unless_finisher(Wgmma *g)
{
    if (g->h->finishers == k_sharers(g)) return;
    emit(g->k, SETP_GE_U32, g->p, g->rank, imm(g->h->finishers));
    emit_if(g->k, g->p, BRA, g->leave);
}

/* All blocks have begun, or, where the inboxes are in the rings, done with them. */
static void wait_for_inboxes(Wgmma *g)
{
    if (g->h->exchange_in_ring) emit(g->k, CLUSTER_ARRIVE);
    emit(g->k, CLUSTER_WAIT);
}

void gen_wgmma_exchange(Wgmma *g)
{
    PtxKernel *k = g->k;
    PtxArg inbox = word(g, "inbox"), sums = ptx_regs(k, PTX_F32, "sums", GROUP_ACC * k_sharers(g));
    ptx_section(k, "the cluster's sums: parts to the blocks that finish them, which add them in order");
    wait_for_inboxes(g);
    send_sums(g, inbox);
    gen_wgmma_cluster_sync(g);
    gen_wgmma_leave_unless_finisher(g);
    for (int i = 0; i < g->h->wgmmas; i++)
        for (int group = 0; group < part_groups(g); group++) add_sums(g, inbox, sums, i, group);
}

/* By whole warps that exchange nothing. */
void gen_wgmma_wait_for_exchange(Wgmma *g)
{
    wait_for_inboxes(g);
    gen_wgmma_cluster_sync(g);
}
