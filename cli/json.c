/* json.c: RFC 8259 in as much as flat objects need. */
#include "cli/json.h"

#include <math.h>

static void put_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') fprintf(f, "\\%c", c);
        else if (c < 0x20) fprintf(f, "\\u%04x", c);
        else fputc(c, f);
    }
    fputc('"', f);
}

static void put_key(Json *json, const char *key)
{
    if (json->started) fputs(", ", json->stream);
    json->started = true;
    put_string(json->stream, key);
    fputs(": ", json->stream);
}

void json_begin(Json *json, FILE *stream)
{
    *json = (Json){.stream = stream};
    fputc('{', stream);
}

void json_text(Json *json, const char *key, const char *value)
{
    put_key(json, key);
    put_string(json->stream, value);
}

void json_number(Json *json, const char *key, double value)
{
    put_key(json, key);
    if (isfinite(value)) fprintf(json->stream, "%.6g", value);
    else fputs("null", json->stream);
}

void json_bool(Json *json, const char *key, bool value)
{
    put_key(json, key);
    fputs(value ? "true" : "false", json->stream);
}

void json_null(Json *json, const char *key)
{
    put_key(json, key);
    fputs("null", json->stream);
}

void json_end(Json *json) { fputs("}\n", json->stream); }
