/* libcuda_module.c: PTX text into modules, functions, and launches. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/driver_api.h"
#include "emu/libcuda.h"

/* ---- JIT options ---- */

typedef struct JitOptions {
    char *info, *error;
    size_t info_bytes, error_bytes;
    void **info_size, **error_size, **wall_time; /* where results go */
    bool verbose;
} JitOptions;

static void read_options(JitOptions *j, unsigned n, const int *option, void **value)
{
    *j = (JitOptions){0};
    for (unsigned i = 0; i < n; i++) {
        size_t number = (uintptr_t)value[i];
        switch (option[i]) {
        case CU_JIT_WALL_TIME: j->wall_time = &value[i]; break;
        case CU_JIT_INFO_LOG_BUFFER: j->info = value[i]; break;
        case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
            j->info_bytes = (unsigned)number;
            j->info_size = &value[i];
            break;
        case CU_JIT_ERROR_LOG_BUFFER: j->error = value[i]; break;
        case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
            j->error_bytes = (unsigned)number;
            j->error_size = &value[i];
            break;
        case CU_JIT_LOG_VERBOSE: j->verbose = (int)number != 0; break;
        default: break; /* there is no compiler to steer */
        }
    }
}

/* Fills a log and returns the bytes it needed, as the driver puts them into the size option. */
__attribute__((format(printf, 4, 5))) static void write_log(char *buffer, size_t bytes, void **size,
                                                            const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n >= sizeof text ? sizeof text - 1 : (size_t)n;
    if (!buffer || !bytes) used = 0;
    else if (used > bytes - 1) used = bytes - 1;
    if (used) memcpy(buffer, text, used);
    if (buffer && bytes) buffer[used] = 0;
    if (size) *size = (void *)(uintptr_t)used;
}

/* ---- loading ---- */

static bool not_text(const char *image)
{
    static const char elf[] = {0x7F, 'E', 'L', 'F', 0}, fatbin[] = {'P', (char)0xED, 'U', (char)0xBA, 0};
    return strncmp(image, elf, 4) == 0 || strncmp(image, fatbin, 4) == 0;
}

/* Code for sm_90a runs on sm_90 alone; other code on its target and everything later. */
static bool runs_here(const PtxKernel *k) { return k->sm_suffix ? k->sm == chip()->sm : k->sm <= chip()->sm; }

/* The results are those of driver 580: text without a .version is no image, a target that does not run here
 * fails to compile. One thing is stricter: reading a register that nothing writes is refused. */
static CUresult compile(const char *text, Program **program, char *error, size_t error_bytes)
{
    PtxKernel *k = ptx_parse(text);
    CUresult r = CUDA_ERROR_INVALID_PTX;
    if (!k) return CUDA_ERROR_OUT_OF_MEMORY;
    snprintf(error, error_bytes, "%s", k->error);
    if (!k->version) {
        r = CUDA_ERROR_INVALID_IMAGE;
    } else if (k->version > PTX_VERSION) {
        snprintf(error, error_bytes, ".version %d.%d is newer than this driver's %d.%d", k->version / 10,
                 k->version % 10, PTX_VERSION / 10, PTX_VERSION % 10);
        r = CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    } else if (k->sm && !runs_here(k)) {
        snprintf(error, error_bytes, "the target sm_%d%.1s does not run on this device, which is sm_%d",
                 k->sm, &k->sm_suffix, chip()->sm);
    } else if (!k->error[0]) {
        *program = program_new(k, error, error_bytes);
        if (*program) return CUDA_SUCCESS;
    }
    ptx_free(k);
    return r;
}

static CUresult module_new(CUmodule *module, Program *program, Context *c)
{
    Module *m = calloc(1, sizeof *m);
    if (!m) {
        program_free(program);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    m->program = program;
    m->function.module = m;
    m->function.max_dynamic_shared_bytes = 48 * 1024;
    m->function.carveout = -1;
    object_add(&m->object, OBJECT_MODULE, c);
    object_add(&m->function.object, OBJECT_FUNCTION, c);
    *module = m;
    return CUDA_SUCCESS;
}

void module_destroy(Module *m)
{
    object_remove(&m->function.object);
    object_remove(&m->object);
    program_free(m->program);
    free(m);
}

static float milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return milliseconds_between(start, &now);
}

static int declared_registers(const PtxKernel *k)
{
    return k->reg_count[PTX_B32] + k->reg_count[PTX_F32] + k->reg_count[PTX_B16] + 2 * k->reg_count[PTX_B64];
}

static CUresult load(CUmodule *module, const void *image, const JitOptions *j)
{
    ENTER(c);
    char error[512] = "";
    Program *program = NULL;
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    LEAVE_IF(!module || !image, CUDA_ERROR_INVALID_VALUE);
    CUresult r = CUDA_ERROR_NO_BINARY_FOR_GPU;
    if (not_text(image))
        snprintf(error, sizeof error, "the image is a cubin or fatbin; the emulator executes PTX text");
    else r = compile(image, &program, error, sizeof error);
    write_log(j->error, j->error_bytes, j->error_size, r ? "%s\n" : "%s", error);
    if (r || !j->verbose) write_log(j->info, j->info_bytes, j->info_size, "%s", "");
    else
        write_log(j->info, j->info_bytes, j->info_size,
                  "emulator info    : loaded entry function '%s' for 'sm_%d'\n"
                  "emulator info    : %d instructions, %d registers declared\n",
                  program->kernel->entry, chip()->sm, program->n_inst, declared_registers(program->kernel));
    float elapsed = milliseconds_since(&start);
    if (j->wall_time) memcpy(j->wall_time, &elapsed, sizeof elapsed);
    if (!r) r = module_new(module, program, c);
    LEAVE(r);
}

EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned n, int *options,
                                   void **values)
{
    JitOptions j;
    if (n && (!options || !values)) return CUDA_ERROR_INVALID_VALUE;
    read_options(&j, n, options, values);
    return load(module, image, &j);
}

EXPORT CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

/* All that is left in a file, with a zero behind it; NULL when it cannot be read. */
static char *read_stream(FILE *f)
{
    size_t n = 0, capacity = 65536;
    char *text = malloc(capacity);
    while (text) {
        size_t got = fread(text + n, 1, capacity - n - 1, f);
        n += got;
        if (!got) break;
        if (capacity - n > 1) continue;
        char *moved = realloc(text, capacity *= 2);
        if (!moved) free(text);
        text = moved;
    }
    if (text && !ferror(f)) {
        text[n] = 0;
        return text;
    }
    free(text);
    return NULL;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = read_stream(f);
    fclose(f);
    return text;
}

EXPORT CUresult cuModuleLoad(CUmodule *module, const char *path)
{
    if (!module || !path) return CUDA_ERROR_INVALID_VALUE;
    char *text = read_file(path);
    if (!text) return CUDA_ERROR_FILE_NOT_FOUND;
    CUresult r = cuModuleLoadData(module, text);
    free(text);
    return r;
}

EXPORT CUresult cuModuleUnload(CUmodule module)
{
    ENTER(c);
    LEAVE_IF(!object_is(module, OBJECT_MODULE), CUDA_ERROR_INVALID_HANDLE);
    module_destroy(module);
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    ENTER(c);
    LEAVE_IF(!function || !name, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(module, OBJECT_MODULE), CUDA_ERROR_INVALID_HANDLE);
    LEAVE_IF(strcmp(name, module->program->kernel->entry) != 0, CUDA_ERROR_NOT_FOUND);
    *function = &module->function;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuModuleGetFunctionCount(unsigned *count, CUmodule module)
{
    ENTER(c);
    LEAVE_IF(!count, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(module, OBJECT_MODULE), CUDA_ERROR_INVALID_HANDLE);
    *count = 1;
    LEAVE(CUDA_SUCCESS);
}

/* ---- functions ---- */

static int max_threads(const Function *f)
{
    int stated = f->module->program->kernel->max_threads;
    return stated ? stated : 1024;
}

/* Nothing is allocated here: what is declared, within what the launch bounds would force on a compiler. */
static int registers(const Function *f)
{
    const PtxKernel *k = f->module->program->kernel;
    int blocks = k->min_blocks ? k->min_blocks : 1, bound = 65536 / (max_threads(f) * blocks) / 8 * 8;
    int declared = declared_registers(k);
    if (bound > 255) bound = 255;
    return declared < bound ? declared : bound;
}

EXPORT CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction f)
{
    ENTER(c);
    LEAVE_IF(!value || attribute < 0 || attribute > CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE,
             CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    int cluster = f->module->program->kernel->cluster;
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = max_threads(f); break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = registers(f); break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION: *value = f->module->program->kernel->sm; break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = chip()->sm; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = f->max_dynamic_shared_bytes; break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: *value = f->carveout; break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH: *value = cluster; break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH: *value = cluster > 0; break;
    default: *value = 0; /* static shared, constant and local memory: the kernels have none */
    }
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuFuncSetAttribute(CUfunction f, int attribute, int value)
{
    ENTER(c);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        LEAVE_IF(value < 0 || value > chip()->block_shared_bytes, CUDA_ERROR_INVALID_VALUE);
        f->max_dynamic_shared_bytes = value;
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        LEAVE_IF(value < -1 || value > 100, CUDA_ERROR_INVALID_VALUE);
        f->carveout = value;
        break;
    default: LEAVE(CUDA_ERROR_INVALID_VALUE);
    }
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuFuncSetCacheConfig(CUfunction f, int config)
{
    ENTER(c);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    LEAVE(config < 0 || config > 3 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
}

EXPORT CUresult cuFuncGetModule(CUmodule *module, CUfunction f)
{
    ENTER(c);
    LEAVE_IF(!module, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    *module = f->module;
    LEAVE(CUDA_SUCCESS);
}

EXPORT CUresult cuFuncGetName(const char **name, CUfunction f)
{
    ENTER(c);
    LEAVE_IF(!name, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    *name = f->module->program->kernel->entry;
    LEAVE(CUDA_SUCCESS);
}

static int least(int a, int b) { return a < b ? a : b; }

static int blocks_per_sm(const Function *f, int block_threads, size_t shared_bytes)
{
    const Chip *c = chip();
    if (block_threads > max_threads(f) || shared_bytes > (size_t)f->max_dynamic_shared_bytes) return 0;
    int warps = (block_threads + 31) / 32, regs = (registers(f) + 7) / 8 * 8;
    int of_registers = regs ? 65536 / (regs * 32 * warps) : c->sm_blocks;
    int of_shared = c->sm_shared_bytes / ((int)shared_bytes + 1024);
    return least(least(c->sm_blocks, c->sm_threads / (32 * warps)), least(of_registers, of_shared));
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction f, int block_threads,
                                                            size_t shared_bytes)
{
    ENTER(c);
    LEAVE_IF(!blocks || block_threads < 1, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    *blocks = blocks_per_sm(f, block_threads, shared_bytes);
    LEAVE(CUDA_SUCCESS);
}

/* ---- launching ---- */

static bool dimensions_ok(const Function *f, const CUlaunchConfig *l)
{
    uint64_t threads = (uint64_t)l->blockDimX * l->blockDimY * l->blockDimZ;
    bool block = threads && l->blockDimX <= 1024 && l->blockDimY <= 1024 && l->blockDimZ <= 64 &&
                 threads <= (uint64_t)max_threads(f);
    bool grid = l->gridDimX && l->gridDimY && l->gridDimZ && l->gridDimX <= INT32_MAX &&
                l->gridDimY <= 65535 && l->gridDimZ <= 65535;
    return block && grid && l->sharedMemBytes <= (unsigned)f->max_dynamic_shared_bytes;
}

static CUresult read_attributes(Launch *launch, const CUlaunchConfig *l)
{
    if (l->numAttrs && !l->attrs) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < l->numAttrs; i++) {
        const struct CUlaunchAttribute *a = &l->attrs[i];
        switch (a->id) {
        case CU_LAUNCH_ATTRIBUTE_IGNORE: break;
        case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
            launch->early = a->value.programmaticStreamSerializationAllowed;
            break;
        case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
            if (a->value.clusterDim.y != 1 || a->value.clusterDim.z != 1) return CUDA_ERROR_NOT_SUPPORTED;
            launch->cluster = a->value.clusterDim.x;
            if (!launch->cluster) return CUDA_ERROR_INVALID_VALUE;
            break;
        default: return CUDA_ERROR_NOT_SUPPORTED;
        }
    }
    return CUDA_SUCCESS;
}

/* The launch of a kernel as its attributes and the kernel itself have it, but for the parameters. */
static CUresult make_launch(const Function *f, const CUlaunchConfig *l, Launch *launch)
{
    unsigned required = (unsigned)f->module->program->kernel->cluster;
    *launch = (Launch){
        .program = f->module->program,
        .grid = {l->gridDimX, l->gridDimY, l->gridDimZ},
        .block = {l->blockDimX, l->blockDimY, l->blockDimZ},
        .shared_bytes = l->sharedMemBytes,
    };
    CUresult read = read_attributes(launch, l);
    if (read) return read;
    if (!launch->cluster) launch->cluster = required ? required : 1;
    bool as_required = !required || launch->cluster == required;
    bool fits = launch->cluster <= (chip()->sm < 90 ? 1 : MAX_CLUSTER) && l->gridDimX % launch->cluster == 0;
    return as_required && fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CLUSTER_SIZE;
}

/* As if any SMs could form a cluster; on a GPU they are of one group of SMs, and some are left over. */
EXPORT CUresult cuOccupancyMaxActiveClusters(int *clusters, CUfunction f, const CUlaunchConfig *config)
{
    ENTER(c);
    LEAVE_IF(!clusters || !config, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    Launch launch;
    CUresult made = make_launch(f, config, &launch);
    LEAVE_IF(made, made);
    uint64_t threads = (uint64_t)config->blockDimX * config->blockDimY * config->blockDimZ;
    LEAVE_IF(!threads || threads > 1024, CUDA_ERROR_INVALID_VALUE);
    *clusters = blocks_per_sm(f, (int)threads, config->sharedMemBytes) * chip()->sm_count / (int)launch.cluster;
    LEAVE(CUDA_SUCCESS);
}

/* The parameter block, out of an array of pointers to the values or a ready-made buffer. */
static CUresult gather_params(const PtxKernel *k, void **params, void **extra, unsigned char *block)
{
    const unsigned char *buffer = NULL;
    size_t bytes = 0;
    if (!k->n_params) return CUDA_SUCCESS;
    if (!params == !extra) return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; params && i < k->n_params; i++) {
        if (!params[i]) return CUDA_ERROR_INVALID_VALUE;
        memcpy(block + k->param[i].offset_bytes, params[i], (size_t)ptx_param_info[k->param[i].type].bytes);
    }
    for (; extra && *extra != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[1];
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *(const size_t *)extra[1];
        else return CUDA_ERROR_INVALID_VALUE;
    }
    if (params) return CUDA_SUCCESS;
    if (!buffer || bytes != (size_t)k->param_bytes) return CUDA_ERROR_INVALID_VALUE;
    memcpy(block, buffer, bytes);
    return CUDA_SUCCESS;
}

int function_param_bytes(const Function *f) { return f->module->program->kernel->param_bytes; }

/* A trap is not the launch's result: as on a GPU it comes up in the next call. */
CUresult launch_now(Context *c, const Function *f, Launch launch)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    LaunchResult *result = calloc(1, sizeof *result);
    if (!result) return CUDA_ERROR_OUT_OF_MEMORY;
    launch.host_threads = (int)setting("TILESMITH_EMU_THREADS", cpus > 0 ? (uint64_t)cpus : 1, 1, 256);
    launch.seed = setting("TILESMITH_EMU_SEED", 1, 0, UINT64_MAX);
    launch.budget = setting("TILESMITH_EMU_BUDGET", 400000000, 1, UINT64_MAX);
    machine_run(&launch, result);
    counters_publish(&result->counters);
    CUresult r = result->error == CUDA_ERROR_OUT_OF_MEMORY ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
    if (!r && result->error) {
        c->error = (CUresult)result->error;
        record_trap(f->module->program->kernel->entry, result->trap);
    }
    free(result);
    return r;
}

EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
    ENTER(c);
    LEAVE_IF(!config, CUDA_ERROR_INVALID_VALUE);
    LEAVE_IF(!object_is(f, OBJECT_FUNCTION), CUDA_ERROR_INVALID_HANDLE);
    CUresult ready = stream_ready_for_launch(config->hStream);
    LEAVE_IF(ready, ready);
    LEAVE_IF(!dimensions_ok(f, config), CUDA_ERROR_INVALID_VALUE);
    Launch launch;
    CUresult made = make_launch(f, config, &launch);
    LEAVE_IF(made, made);
    const PtxKernel *k = f->module->program->kernel;
    unsigned char *block = calloc(1, (size_t)k->param_bytes + 8);
    LEAVE_IF(!block, CUDA_ERROR_OUT_OF_MEMORY);
    CUresult r = gather_params(k, params, extra, block);
    launch.params = block;
    if (!r && stream_captures(config->hStream)) r = capture_launch(config->hStream, f, &launch);
    else if (!r) r = launch_now(c, f, launch);
    free(block);
    LEAVE(r);
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                               unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                               CUstream stream, void **params, void **extra)
{
    CUlaunchConfig config = {grid_x,  grid_y,       grid_z, block_x, block_y,
                             block_z, shared_bytes, stream, NULL,    0};
    return cuLaunchKernelEx(&config, function, params, extra);
}

ALSO_AS(cuLaunchKernel_ptsz, cuLaunchKernel);
ALSO_AS(cuLaunchKernelEx_ptsz, cuLaunchKernelEx);
