/* The shipped kernels: ptx_out/ holds exactly what the generator writes today. After a change that is meant,
 * `make golden` writes them anew, and the difference is reviewed like code. */
#include "gen/gen.h"
#include "tests/tap.h"

#include <dirent.h>
#include <stdlib.h>

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 20);
    size_t n = fread(text, 1, (1 << 20) - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static int files_in(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) n += strstr(e->d_name, ".ptx") != NULL;
    if (d) closedir(d);
    return n;
}

int main(void)
{
    GenConfig config;
    GenError error;
    int n = 0;
    for (; gen_shipped(n, &config); n++) {
        char name[GEN_MAX_NAME], path[GEN_MAX_NAME + 32], *text = NULL;
        gen_config_name(&config, name);
        snprintf(path, sizeof path, "ptx_out/%s.ptx", name);
        char *golden = read_file(path);
        if (!ok(gen_kernel(&config, &text, NULL, &error), "%s is written", name)) note("%s", error.text);
        ok(golden && text && strcmp(golden, text) == 0, "%s is what the generator writes (make golden)",
           path);
        free(golden);
        free(text);
    }
    ok(n >= 12 && files_in("ptx_out") == n, "ptx_out/ holds the %d shipped kernels and nothing else", n);
    return done();
}
