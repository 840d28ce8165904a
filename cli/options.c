/* options.c: getopt_long over the rows of a command, and their help. */
#include "cli/options.h"
#include "cli/error.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum OptionKind { FLAG, TEXT, INT, SEED, REAL } OptionKind;

typedef struct OptionInfo {
    const char *flag; /* "--arch" */
    char letter;
    OptionKind kind;
    const char *metavariable, *help;
} OptionInfo;

static const OptionInfo info[N_OPTIONS] = {
#define X(name, text, letter, kind, metavariable, help) {"--" text, letter, kind, metavariable, help},
    CLI_OPTIONS(X)
#undef X
};

const char *option_flag(OptionId id) { return info[id].flag; }

/* ---- values ---- */

/* Decimal, or hexadecimal behind 0x; 010 is ten. */
static bool parse_uint64(const char *text, uint64_t *value)
{
    char *end;
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    errno = 0;
    *value = strtoull(text, &end, hexadecimal ? 16 : 10);
    return isdigit((unsigned char)*text) && !*end && !errno;
}

static bool parse_real(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && !isspace((unsigned char)*text) && isfinite((float)*value);
}

static int parse_value(Options *o, OptionId id, const char *text)
{
    uint64_t integer = 0;
    const char *command = o->command->name, *flag = info[id].flag;
    o->text[id] = text ? text : "";
    switch (info[id].kind) {
    case INT:
        if (!parse_uint64(text, &integer) || integer > INT_MAX)
            return usage(command, "%s wants an integer from 0 to %d, not '%s'", flag, INT_MAX, text);
        o->number[id] = (int)integer;
        break;
    case SEED:
        if (!parse_uint64(text, &o->seed))
            return usage(command, "%s wants an integer from 0 to 2^64-1, not '%s'", flag, text);
        break;
    case REAL:
        if (!parse_real(text, &o->real[id]))
            return usage(command, "%s wants a finite number, not '%s'", flag, text);
        break;
    case FLAG:
    case TEXT: break;
    }
    return EXIT_OK;
}

/* ---- the command line ---- */

enum { FIRST_VALUE = 256 }; /* getopt's value of option 0; letters lie below */

/* getopt's two descriptions of the command's options. */
static void describe(const Command *c, struct option *longs, char *shorts)
{
    *shorts++ = ':'; /* a missing argument is ':', not '?' */
    for (const OptionId *id = c->option;; id++) {
        int wants = info[*id].kind == FLAG ? no_argument : required_argument;
        *longs++ = (struct option){info[*id].flag + 2, wants, NULL, FIRST_VALUE + (int)*id};
        if (info[*id].letter) *shorts++ = info[*id].letter;
        if (info[*id].letter && wants == required_argument) *shorts++ = ':';
        if (*id == OPT_HELP) break;
    }
    *longs = (struct option){0};
    *shorts = 0;
}

static OptionId of_getopt(int value)
{
    int id = value - FIRST_VALUE;
    if (value < FIRST_VALUE)
        for (id = 0; info[id].letter != value;) id++;
    return (OptionId)id;
}

/* What getopt refused stands just before optind, or is the letter optopt of it. */
static int refuse_option(const Command *c, char **argv, int kind)
{
    const char *text = argv[optind - 1];
    if (kind == ':')
        return usage(c->name, "%s wants a value",
                     optopt < FIRST_VALUE ? text : info[optopt - FIRST_VALUE].flag);
    if (optopt >= FIRST_VALUE) return usage(c->name, "%s takes no value", info[optopt - FIRST_VALUE].flag);
    if (optopt) return usage(c->name, "unknown option '-%c'", optopt);
    return usage(c->name, "unknown or ambiguous option '%s'", text);
}

int options_parse(const Command *command, int argc, char **argv, Options *options)
{
    struct option longs[N_OPTIONS + 1];
    char shorts[2 * N_OPTIONS + 2];
    *options = (Options){.command = command, .seed = 1};
    describe(command, longs, shorts);
    opterr = 0;
    for (int value; (value = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (value == '?' || value == ':') return refuse_option(command, argv, value);
        int status = parse_value(options, of_getopt(value), optarg);
        if (status) return status;
    }
    if (optind < argc) return usage(command->name, "'%s' is not an option", argv[optind]);
    return EXIT_OK;
}

/* ---- help ---- */

void options_help(const Command *c)
{
    printf("Usage: tilesmith %s%s%s\n\n%s\n\nOptions:\n", c->name, *c->synopsis ? " " : "", c->synopsis,
           c->details);
    for (const OptionId *id = c->option;; id++) {
        const OptionInfo *o = &info[*id];
        char letter[8] = "   ", left[64];
        if (o->letter) snprintf(letter, sizeof letter, "-%c,", o->letter);
        snprintf(left, sizeof left, "%s %s %s", letter, o->flag, o->metavariable);
        printf("  %-28s %s\n", left, o->help);
        if (*id == OPT_HELP) break;
    }
}
