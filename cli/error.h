/* error.h: errors as sentences. Functions that can fail take an Error, fill it and return false; commands
 * print it with the command's name before it and turn it into the exit status. */
#ifndef CLI_ERROR_H
#define CLI_ERROR_H

#include <stdbool.h>

typedef struct Error {
    char text[1024];
} Error;

/* Leaves the sentence in error and returns false: return refuse(error, "%s is empty", path); */
bool refuse(Error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Exit status of the program. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Print "tilesmith COMMAND: sentence" on stderr and return the exit status. */
int fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
int usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
