/* settings.c: options and environment. */
#include "dispatch/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* directory/name, on the heap; NULL when out of memory. */
static char *join(const char *directory, const char *name)
{
    size_t bytes = strlen(directory) + 1 + strlen(name) + 1;
    char *path = malloc(bytes);
    if (path) snprintf(path, bytes, "%s%s%s", directory, *name ? "/" : "", name);
    return path;
}

static ts_status set_cache_dir(const ts_context *context, RtSettings *s)
{
    const struct {
        const char *directory, *name;
    } place[] = {
        {context->cache_dir, ""},
        {variable("TILESMITH_CACHE_DIR"), ""},
        {variable("XDG_CACHE_HOME"), "tilesmith"},
        {variable("HOME"), ".cache/tilesmith"},
    };
    for (size_t i = 0; i < sizeof place / sizeof *place && !s->cache_dir; i++) {
        if (!place[i].directory) continue;
        s->cache_dir = join(place[i].directory, place[i].name);
        if (!s->cache_dir) return rt_fail(TS_ERROR_OUT_OF_MEMORY, "no memory for the cache directory's name");
    }
    return TS_OK;
}

static ts_status set_arch(const ts_context *context, RtSettings *s)
{
    const ts_device_info *info = &context->info;
    const char *name = variable("TILESMITH_ARCH");
    const GenArch *newest = gen_arch_for_device(info->compute_major, info->compute_minor),
                  *named = name ? gen_arch_find(name) : newest;
    if (!newest)
        return rt_fail(TS_ERROR_UNSUPPORTED_ARCH, "device '%s' is sm_%d%d; tilesmith needs sm_80 or newer",
                       info->name, info->compute_major, info->compute_minor);
    if (!named || named->sm > newest->sm || (named->suffix && named != newest))
        return rt_fail(TS_ERROR_INVALID_ARGUMENT,
                       "TILESMITH_ARCH is '%s': name an arch whose kernels run on %s, up to %s", name,
                       info->name, newest->name);
    s->arch = named;
    return TS_OK;
}

static ts_status set_tuning(const ts_context *context, RtSettings *s)
{
    const char *disable = variable("TILESMITH_DISABLE_TUNING");
    s->tuning = context->tuning;
    if (s->tuning) return TS_OK;
    s->tuning = TS_TUNING_STORED;
    if (!disable || strcmp(disable, "0") == 0) return TS_OK;
    s->tuning = TS_TUNING_OFF;
    if (strcmp(disable, "1") == 0) return TS_OK;
    return rt_fail(TS_ERROR_INVALID_ARGUMENT, "TILESMITH_DISABLE_TUNING is '%s': set it to 1 or 0", disable);
}

static ts_status open_log(const ts_context *context, RtSettings *s)
{
    const char *log = context->log ? context->log : variable("TILESMITH_LOG");
    if (!log) return TS_OK;
    s->log = strcmp(log, "stderr") == 0 ? stderr : fopen(log, "ae");
    if (!s->log) return rt_fail(TS_ERROR_IO, "the log %s cannot be opened: %s", log, strerror(errno));
    setvbuf(s->log, NULL, _IOLBF, 0);
    return TS_OK;
}

ts_status rt_settings_read(const ts_context *context, RtSettings *s)
{
    *s = (RtSettings){.config = variable("TILESMITH_CONFIG")};
    ts_status status = set_cache_dir(context, s);
    if (!status) status = set_arch(context, s);
    if (!status) status = set_tuning(context, s);
    return status ? status : open_log(context, s);
}

void rt_settings_free(RtSettings *s)
{
    free(s->cache_dir);
    if (s->log && s->log != stderr) fclose(s->log);
    *s = (RtSettings){0};
}

void rt_log(const RtSettings *s, const char *format, ...)
{
    char line[1024];
    va_list ap;
    if (!s->log) return;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    fprintf(s->log, "tilesmith: %s\n", line); /* one call: lines of threads do not mix */
}
