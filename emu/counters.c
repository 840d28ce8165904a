/* counters.c: sums, bank conflicts, sectors, and the exported query functions. */
#include "emu/counters.h"

#include <stdbool.h>
#include <string.h>

#include "emu/libcuda.h"

static Counters shown;

#define X(name, text) #name,
static const char *const counter_name[N_NAMED_COUNTERS] = {COUNTERS(X)};
#undef X
#define X(name, ...) "op." #name,
static const char *const op_counter_name[PTX_N_OPS] = {PTX_OPS(X)};
#undef X

void counters_add(Counters *sum, const Counters *more)
{
    for (int i = 0; i < N_COUNTERS; i++) sum->value[i] += more->value[i];
}

void counters_publish(const Counters *of_launch) { counters_add(&shown, of_launch); }

int count_sectors(const uint64_t *address, uint32_t bytes, uint32_t lanes)
{
    uint64_t sector[2 * 32];
    int n = 0;
    for (int l = 0; l < 32; l++) {
        if (!(lanes >> l & 1)) continue;
        for (uint64_t s = address[l] / 32; s <= (address[l] + bytes - 1) / 32; s++) {
            int i = n - 1; /* neighbours mostly share: look at the newest first */
            while (i >= 0 && sector[i] != s) i--;
            if (i < 0) sector[n++] = s;
        }
    }
    return n;
}

/* Passes for one group of lanes, of at most 128 bytes: the most distinct rows that any slot of the 128-byte
 * line is asked for. A slot is as wide as the access: 16 bytes are four banks that always go together. */
static int wavefronts_of(const uint32_t *address, uint32_t bytes, uint32_t lanes, int first, int n)
{
    uint32_t row[32][32];
    int rows[32] = {0}, most = 0;
    for (int l = first; l < first + n; l++) {
        if (!(lanes >> l & 1)) continue;
        uint32_t slot = address[l] / bytes % (128 / bytes), line = address[l] / 128;
        int i = rows[slot] - 1;
        while (i >= 0 && row[slot][i] != line) i--;
        if (i < 0) row[slot][rows[slot]++] = line;
        if (rows[slot] > most) most = rows[slot];
    }
    return most;
}

int count_wavefronts(const uint32_t *address, uint32_t bytes, uint32_t lanes, int *ideal)
{
    int total = 0;
    if (bytes < 4) bytes = 4;
    int n = (int)(128 / bytes);
    *ideal = 0;
    for (int first = 0; first < 32; first += n) {
        int passes = wavefronts_of(address, bytes, lanes, first, n);
        total += passes;
        *ideal += passes > 0;
    }
    return total;
}

EXPORT void emu_counters_reset(void)
{
    api_lock();
    memset(&shown, 0, sizeof shown);
    api_unlock();
}

EXPORT int emu_counter_count(void) { return N_COUNTERS; }

EXPORT const char *emu_counter_name(int i)
{
    if (i < 0 || i >= N_COUNTERS) return NULL;
    return i < N_NAMED_COUNTERS ? counter_name[i] : op_counter_name[i - N_NAMED_COUNTERS];
}

EXPORT unsigned long long emu_counter_value(int i)
{
    api_lock();
    unsigned long long value = i < 0 || i >= N_COUNTERS ? 0 : shown.value[i];
    api_unlock();
    return value;
}
