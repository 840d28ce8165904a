#!/usr/bin/env python3
"""How near to memory speed the layer is where x has few rows, beside a copy in the same run.

    python3 bench/bandwidth.py [--shapes 1x8192x8192,...]

Bytes are those of x, W, bias and y, each once; the copy multiplies 2 GB of floats by 1, and reads and writes them. Both
are timed as measure.py does, in turn.
"""

import argparse
import gc
import os
import statistics

from need_torch import need_torch

SHAPES = "1x8192x8192,4x8192x8192,16x8192x8192,1x28672x4096,16x28672x8192,16x4096x28672"
COPY_FLOATS = 1 << 29
SCALE = 2.0


def import_all():
    """Kept out of the way of --help. No stored row of the tuner is used."""
    global torch, measure, tilesmith
    os.environ["TILESMITH_DISABLE_TUNING"] = "1"
    torch = need_torch()
    import measure
    import ours

    ours.build()
    import tilesmith


def layer_bytes(m, n, k):
    return 2 * (m * k + n * k + m * n + n)


def measured(shape, copy):
    """(us, TB/s of the layer, TB/s of the copy, configuration)"""
    m, n, k = shape
    sets = measure.make_sets(m, n, k, torch.float16)
    graphs = {"layer": measure.Graph(lambda x, w, b: tilesmith.linear(x, w, b, SCALE), sets), "copy": copy}
    times = {name: statistics.median(us) for name, us in measure.rounds(graphs, "bursts", 9).items()}
    config = tilesmith.prepare(*sets[0])
    copied = 2 * 4 * COPY_FLOATS / times["copy"] / 1e6
    return times["layer"], layer_bytes(m, n, k) / times["layer"] / 1e6, copied, config


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default=SHAPES, help="MxNxK, several separated by commas")
    options = parser.parse_args()
    import_all()
    source, target = torch.randn(COPY_FLOATS, device="cuda"), torch.empty(COPY_FLOATS, device="cuda")
    copy = measure.Graph(lambda x, w, b: torch.mul(source, 1.0, out=target), [(None, None, None)])
    print("| M x N x K | us | TB/s | of the copy | configuration |\n|---|---:|---:|---:|---|")
    for shape in options.shapes.split(","):
        us, rate, copied, config = measured(tuple(map(int, shape.split("x"))), copy)
        print(f"| {shape} | {us:.2f} | {rate:.2f} | {100 * rate / copied:.1f} % of {copied:.2f} | {config} |", flush=True)
        gc.collect()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
