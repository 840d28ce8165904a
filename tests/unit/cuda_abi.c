/* cuda_abi.c: runtime/cuda_abi.h, driver_symbols.h and emu/cuda_abi.h against the toolkit's cuda.h, where that is
 * installed (HAVE_CUDA_H): the number of each constant, the size of each type, the signature of each function.
 */
#include "tests/tap.h"

#ifndef HAVE_CUDA_H
int main(void) { return skip_all("there is no cuda.h to compare with"); }
#else

#include <cuda.h>

#define RUNTIME_CUDA_LISTS_ONLY
#include "runtime/cuda_abi.h"
#include "runtime/driver_symbols.h"
#define EMU_CUDA_LISTS_ONLY
#include "emu/cuda_abi.h"

#define SAME_NUMBER(name, number) ok((long long)(name) == (number), "%s is %d", #name, number);
#define SAME_LIST(type, list) list(SAME_NUMBER)
#define SAME_SIZE(type, bytes) ok(sizeof(type) == (bytes), "%s has %d bytes", #type, bytes);
#define ENUM_IS_INT(type, list) ok(sizeof(type) == 4, "%s has 4 bytes", #type);

#define SAME_RESULT(number, name, text) SAME_NUMBER(name, number)
#define SAME_TENSOR_TYPE(name, number, bytes, is_float) SAME_NUMBER(name, number)

/* typeof, so that nothing is linked. */
#define SAME_FUNCTION(name, symbol, version, need, arguments)                                                \
    ok(__builtin_types_compatible_p(__typeof__(&symbol), CUresult(*) arguments), "%s has the arguments %s", #symbol, #arguments);

int main(void)
{
    RT_CUDA_ENUMS(SAME_LIST)
    RT_CUDA_ENUMS(ENUM_IS_INT)
    RT_CUDA_TYPES(SAME_SIZE)
    RT_DRIVER_SYMBOLS(SAME_FUNCTION)
    CUDA_RESULTS(SAME_RESULT)
    CUDA_CONSTANTS(SAME_NUMBER)
    CUDA_TENSOR_MAP_TYPES(SAME_TENSOR_TYPE)
    CUDA_SIZES(SAME_SIZE)
    return done();
}
#endif
