/* mutate.h: a fault put into a kernel's text. */
#ifndef TESTS_MUTATE_H
#define TESTS_MUTATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Mutation {
    const char *what;
    const char *find, *put; /* the text to look for, and what replaces it */
    int occurrence;         /* 0: the first; -1: all */
} Mutation;

/* The text with the mutation; NULL when what it looks for is not there. */
static inline char *mutate(const char *text, const Mutation *m)
{
    size_t n = strlen(text), bytes = n + 4096, found = 0;
    char *out = calloc(1, bytes), *to = out;
    for (const char *p = text; *p;) {
        bool hit = strncmp(p, m->find, strlen(m->find)) == 0;
        if (hit && ((int)found++ == m->occurrence || m->occurrence < 0)) {
            to += snprintf(to, bytes - (size_t)(to - out), "%s", m->put);
            p += strlen(m->find);
        } else {
            *to++ = *p++;
        }
    }
    if ((int)found > m->occurrence && found) return out;
    free(out);
    return NULL;
}

#endif
