/* error.c: sentences, kept or printed. */
#include "cli/error.h"

#include <stdarg.h>
#include <stdio.h>

bool refuse(Error *error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(error->text, sizeof error->text, format, ap);
    va_end(ap);
    return false;
}

static void print(const char *command, const char *format, va_list ap)
{
    fflush(stdout); /* what was said before stands before */
    fprintf(stderr, "tilesmith%s%s: ", command ? " " : "", command ? command : "");
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
}

int fail(const char *command, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    print(command, format, ap);
    va_end(ap);
    return EXIT_FAILED;
}

int usage(const char *command, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    print(command, format, ap);
    va_end(ap);
    fprintf(stderr, "Try 'tilesmith%s%s --help'.\n", command ? " " : "", command ? command : "");
    return EXIT_USAGE;
}
