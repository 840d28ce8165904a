/* even_wgmma.c: tiles of different widths, so that waves of them come out even.
 *
 * 4096x4096 outputs by 128x256 are 512 tiles: on 132 SMs three waves and one of 116. With even = 1 a tile may
 * lack 16 of its columns, with even = 2 16 or 32. Then as many rows of tiles as the last wave has room for
 * have one tile more:
 *
 *     16 rows of 17 tiles     256 240 240 ... 240
 *     16 rows of 16 tiles     256 256 256 ... 256            528 in all: four waves
 *
 * Rows that have one more are whole groups of group_m and come first. Where no tile can be added, or it would
 * be too narrow, the columns are shared out all the same. By multiples of 16, because sigmoids of 16 columns
 * share reciprocals: so rows of x that are equal give equal rows of y, whatever tiles they are in.
 *
 * A narrower tile is multiplied by a main loop of its own (consume_wgmma.c); what it lacks of the
 * accumulators is zeros. Its chunks of y are those of a whole one, but for the last:
 *
 *     columns     0         64        128       192       256
 *     whole       |    0    |    1    |    2    |    3    |
 *     lacks 16    |    0    |    1    |    2  |.|    3    |       chunk 3 stands 16 columns further left
 *
 * In registers its words move as far to the right, behind the last ones of chunk 2, which are stored twice:
 * the same bits, so that it does not matter which store comes last.
 */
#include "gen/wgmma.h"

static int least_width(const GenConfig *c) { return c->tile_n - GEN_EVEN_COLS * c->even; }

void gen_even_walk(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    PtxArg spare = at(g->gemm->word_scratch, 0), other = at(g->gemm->word_scratch, 1);
    g->more_groups = word(g, "more_groups");
    g->more_rows = word(g, "more_rows");
    g->lacks = word(g, "lacks");
    g->part_group = word(g, "part_group");
    g->part = (TilePart){word(g, "part_tile"), word(g, "part_end"), word(g, "part_columns"),
                         word(g, "part_group_tiles")};
    ptx_comment(k, "places left in the last wave; groups of rows of tiles that get one more each");
    emit(k, ADD_S32, spare, g->tiles, g->tile_step);
    emit(k, SUB_S32, spare, spare, imm(1));
    emit(k, REM_U32, spare, spare, g->tile_step);
    emit(k, SUB_S32, spare, g->tile_step, spare);
    emit(k, SUB_S32, spare, spare, imm(1));
    emit(k, MIN_U32, other, g->tiles_m, imm(c->group_m));
    emit(k, DIV_U32, g->more_groups, spare, other);
    emit(k, ADD_S32, other, g->tiles_n, imm(1));
    emit(k, DIV_U32, other, g->gemm->n, other);
    emit(k, SETP_GE_U32, g->p, other, imm(least_width(c)));
    emit(k, SELP_B32, g->more_groups, g->more_groups, imm(0), g->p);
    emit(k, MUL_LO_S32, g->more_rows, g->more_groups, imm(c->group_m));
    emit(k, MIN_U32, g->more_rows, g->more_rows, g->tiles_m);
    emit(k, ADD_S32, g->tiles, g->tiles, g->more_rows);
}

void gen_even_part(Wgmma *g)
{
    PtxKernel *k = g->k;
    const TilePart *part = &g->part;
    PtxArg before = at(g->gemm->word_scratch, 0);
    emit(k, MAD_LO_S32, before, g->more_rows, g->tiles_n, g->more_rows);
    emit(k, SETP_GE_U32, g->p, g->tile, before);
    emit(k, SELP_B32, before, before, imm(0), g->p);
    emit(k, SUB_S32, part->tile, g->tile, before);
    emit(k, SELP_B32, g->part_group, g->more_groups, imm(0), g->p);
    emit(k, SELP_B32, part->end, g->tiles_m, g->more_rows, g->p);
    emit(k, SELP_B32, part->columns, imm(0), imm(1), g->p);
    emit(k, ADD_S32, part->columns, part->columns, g->tiles_n);
    emit(k, MUL_LO_S32, part->group_tiles, part->columns, imm(g->plan->config.group_m));
}

void gen_even_columns(Wgmma *g)
{
    PtxKernel *k = g->k;
    const GenConfig *c = &g->plan->config;
    PtxArg width = at(g->gemm->word_scratch, 0), wider = at(g->gemm->word_scratch, 1),
           before = at(g->gemm->word_scratch, 2);
    ptx_comment(k, "columns in multiples of 16: the first tiles of a row are 16 wider, if need be");
    emit(k, DIV_U32, width, g->gemm->n, g->part.columns);
    emit(k, AND_B32, width, width, imm(-GEN_EVEN_COLS));
    emit(k, MAX_S32, width, width, imm(least_width(c)));
    emit(k, MUL_LO_S32, wider, width, g->part.columns);
    emit(k, SUB_S32, wider, g->gemm->n, wider);
    emit(k, MAX_S32, wider, wider, imm(0));
    emit(k, ADD_S32, wider, wider, imm(GEN_EVEN_COLS - 1));
    emit(k, DIV_U32, wider, wider, imm(GEN_EVEN_COLS));
    emit(k, MIN_U32, before, wider, g->col0);
    emit(k, SETP_LT_U32, g->p, g->col0, wider);
    emit(k, MUL_LO_S32, g->col0, g->col0, width);
    emit(k, MAD_LO_S32, g->col0, before, imm(GEN_EVEN_COLS), g->col0);
    emit(k, SUB_S32, g->lacks, imm(c->tile_n), width);
    emit_if(k, g->p, SUB_S32, g->lacks, g->lacks, imm(GEN_EVEN_COLS));
}

PtxArg gen_even_unless(Wgmma *g, int lacks)
{
    PtxArg other = gen_wgmma_label(g, "other_width");
    emit(g->k, SETP_NE_U32, g->p, g->lacks, imm(lacks));
    emit_if(g->k, g->p, BRA, other);
    return other;
}

/* Words that a lane holds: of 8 columns two rows of two elements each, and of the columns that a tile may
 * lack. */
enum { TILE_WORDS = 2, LACKED_WORDS = GEN_EVEN_COLS / 8 * TILE_WORDS };

int gen_even_kept_words(const Wgmma *g) { return LACKED_WORDS * g->plan->config.even; }

void gen_even_keep(Wgmma *g, int tiles)
{
    int kept = gen_even_kept_words(g);
    for (int i = 0; i < kept; i++)
        emit(g->k, MOV_B32, at(g->kept, i), at(g->packed, TILE_WORDS * tiles - kept + i));
}

void gen_even_move(Wgmma *g, int tiles)
{
    PtxKernel *k = g->k;
    int kept = gen_even_kept_words(g);
    for (int narrower = 1; narrower <= g->plan->config.even; narrower++) {
        PtxArg other = gen_even_unless(g, GEN_EVEN_COLS * narrower);
        int by = LACKED_WORDS * narrower;
        for (int i = TILE_WORDS * tiles - 1; i >= by; i--)
            emit(k, MOV_B32, at(g->packed, i), at(g->packed, i - by));
        for (int i = 0; i < by; i++) emit(k, MOV_B32, at(g->packed, i), at(g->kept, kept - by + i));
        emit(k, LABEL, other);
    }
}
