/* json.h: one JSON object on one line, written to a stream as its members come. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdio.h>

typedef struct Json {
    FILE *stream;
    bool started; /* a member was written */
} Json;

void json_begin(Json *json, FILE *stream);
void json_text(Json *json, const char *key, const char *value);
void json_number(Json *json, const char *key, double value); /* what is not finite becomes null */
void json_bool(Json *json, const char *key, bool value);
void json_null(Json *json, const char *key);
void json_end(Json *json); /* and a newline */

#endif
