/* arch.c: what the generator knows of each chip. Sources: CUDA C++ programming guide, "Compute
 * capabilities", table of technical specifications. */
#include "gen/gen.h"

#include <string.h>

/* clang-format off */
static const GenArch arch_table[] = {
    /* name     sm  suffix  block smem  SM smem  reserved  regs   warps blocks  chips */
    {"sm_80",   80, 0,      166912,     167936,  1024,     65536, 64,   32,     "A100"},
    {"sm_86",   86, 0,      101376,     102400,  1024,     65536, 48,   16,     "RTX 30 series, A40, A10"},
    {"sm_89",   89, 0,      101376,     102400,  1024,     65536, 48,   24,     "RTX 40 series, L40, L4"},
    {"sm_90",   90, 0,      232448,     233472,  1024,     65536, 64,   32,     "H100, H200"},
    {"sm_90a",  90, 'a',    232448,     233472,  1024,     65536, 64,   32,     "H100, H200: their own instructions (wgmma, TMA)"},
    {"sm_120", 120, 0,      101376,     102400,  1024,     65536, 48,   24,     "RTX 50 series"},
};
/* clang-format on */
enum { N_ARCHES = sizeof arch_table / sizeof *arch_table };

int gen_arch_count(void) { return N_ARCHES; }

const GenArch *gen_arch_at(int i) { return i >= 0 && i < N_ARCHES ? &arch_table[i] : NULL; }

const GenArch *gen_arch_find(const char *name)
{
    for (int i = 0; i < N_ARCHES; i++)
        if (strcmp(arch_table[i].name, name) == 0) return &arch_table[i];
    return NULL;
}

/* PTX runs on its own target and on every later one, so the newest that is not newer than the device; what has a
 * suffix runs on that one alone, and uses it best. */
const GenArch *gen_arch_for_device(int major, int minor)
{
    const GenArch *best = NULL;
    for (int i = 0; i < N_ARCHES; i++)
        if (arch_table[i].suffix ? arch_table[i].sm == major * 10 + minor : arch_table[i].sm <= major * 10 + minor)
            best = &arch_table[i];
    return best;
}
