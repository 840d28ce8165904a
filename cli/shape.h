/* shape.h: the sizes of a problem, from the command line and back. */
#ifndef CLI_SHAPE_H
#define CLI_SHAPE_H

#include "cli/options.h"
#include "cli/problem.h"

enum { SHAPE_MAX_TEXT = 64 };

/* --shape: MxNxK[,MxNxK...], each size from `least` to 2^31-1. Returns an exit status; the caller frees
 * *shapes. */
int shapes_read(const Options *o, int64_t least, Shape **shapes, int *n_shapes);
/* "128x512x1024" */
void shape_print(Shape shape, char text[SHAPE_MAX_TEXT]);

/* A call on contiguous tensors of one type, whose addresses are not known; epilogue NULL: the usual one. */
ts_linear_args shape_arguments(Shape shape, ts_dtype type, const char *epilogue);
/* The same for the choice, on a chip of so many SMs; x and y of a type, W and the bias of another or the same. */
GenProblem shape_problem(Shape shape, const GenArch *arch, int sm_count, GenType x, GenType w, const char *epilogue);

#endif
