/* operands.h: operands of a problem to measure with, many times over in device memory, so that calls that walk through
 * the sets find nothing of theirs in the device's caches. */
#ifndef DISPATCH_OPERANDS_H
#define DISPATCH_OPERANDS_H

#include "dispatch/problem.h"

enum { RT_N_OPERANDS = 5 };

typedef struct RtOperands {
    ts_context *context;
    ts_linear_args args; /* sizes, strides and types; no addresses */
    ts_device_ptr base;
    size_t offset[RT_N_OPERANDS], set_bytes;
    bool used[RT_N_OPERANDS];
    int sets;
} RtOperands;

/* Strides, types and alignments are those of args; x, W, bias and r are random numbers, W's small enough that y is
 * of ordinary size. To be freed after failures too. */
ts_status rt_operands_create(RtOperands *o, ts_context *context, const ts_linear_args *args);
void rt_operands_free(RtOperands *o);
/* The arguments of call number i, on set i counted round. */
ts_linear_args rt_operands_args(const RtOperands *o, int64_t i);

#endif
