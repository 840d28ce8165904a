#!/usr/bin/env python3
"""What a call costs the CPU from Python: enqueued only, nothing waited for.

    python3 bench/bench_call.py [--shape 128x512x1024]

Bursts of calls, each after the GPU is idle, so that no queue is full; the median over bursts, in microseconds a call. The
same from C: make bench-call.
"""

import argparse
import statistics
import time

from need_torch import need_torch

CALLS, BURSTS = 200, 51
SCALE = 2.0


def import_all():
    """Kept out of the way of --help."""
    global torch, functional, tilesmith, ours
    torch = need_torch()
    from torch.nn import functional

    import ours

    ours.build()
    import tilesmith


def microseconds(call):
    bursts = []
    for _ in range(BURSTS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        bursts.append(1e6 * (time.perf_counter() - start) / CALLS)
    return statistics.median(bursts)


def contestants(m, n, k):
    x, w, b = (torch.randn(*size, device="cuda").half() for size in ((m, k), (n, k), (n,)))
    layer = tilesmith.FusedLinear(k, n, SCALE).cuda().half()

    def eager():
        z = functional.linear(x, w, b)
        return torch.sigmoid(z) * SCALE + z

    return {
        "tilesmith.linear": lambda: tilesmith.linear(x, w, b, SCALE),
        "tilesmith.FusedLinear": lambda: layer(x),
        "torch, three kernels": eager,
        "torch.mm alone": lambda: torch.mm(x, w.T),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="128x512x1024", help="MxNxK; small, so that the GPU keeps up")
    options = parser.parse_args()
    import_all()
    print(f"{options.shape} on {torch.cuda.get_device_name()}, {CALLS} calls a burst, median of {BURSTS}")
    with torch.no_grad():
        for name, call in contestants(*map(int, options.shape.split("x"))).items():
            call()
            print(f"{name:24} {microseconds(call):8.2f} us")


if __name__ == "__main__":
    main()
