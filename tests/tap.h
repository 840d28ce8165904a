/* tap.h: the Test Anything Protocol from C, in one header; run by prove. A failure says where it stands. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failures;

__attribute__((format(printf, 4, 5))) static inline bool tap_ok(bool ok, const char *file, int line, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
    vprintf(format, ap);
    va_end(ap);
    printf("\n");
    if (!ok) {
        tap_failures++;
        printf("#   failed at %s:%d\n", file, line);
    }
    fflush(stdout);
    return ok;
}

/* ok(condition, "what holds, with %d", n) */
#define ok(condition, ...) tap_ok(condition, __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, wanted, ...)                                                                             \
    do {                                                                                                     \
        const char *got_ = (got), *wanted_ = (wanted);                                                       \
        if (!tap_ok(strcmp(got_, wanted_) == 0, __FILE__, __LINE__, __VA_ARGS__))                            \
            printf("#      got: %s\n#   wanted: %s\n", got_, wanted_);                                       \
    } while (0)
#define note(...) (printf("# " __VA_ARGS__), printf("\n"), fflush(stdout))

/* Last line of main: return done(); */
static inline int done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failures != 0;
}
static inline int skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    return 0;
}

#endif
