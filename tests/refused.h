/* refused.h: refused(what a function returned, TS_ERROR_..., "words of its sentence"). */
#ifndef TESTS_REFUSED_H
#define TESTS_REFUSED_H

#include "runtime/tilesmith.h"
#include "tests/tap.h"

#define refused(got, wanted, words) tap_refused(got, wanted, words, __FILE__, __LINE__)

static inline void tap_refused(ts_status got, ts_status wanted, const char *words, const char *file, int line)
{
    bool good = got == wanted && strstr(ts_last_error(), words);
    tap_ok(good, file, line, "%s: %s", ts_status_name(wanted), words);
    if (!good) note("got %s: %s", ts_status_name(got), ts_last_error());
}

#endif
