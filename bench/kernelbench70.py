#!/usr/bin/env python3
"""KernelBench, level 2, problem 70 (Gemm_Sigmoid_Scaling_ResidualAdd), by its own protocol, with FusedLinear.

Correct: over 5 draws of inputs, torch.allclose(model, ours, atol=1e-2, rtol=1e-2), both in the type under test.
Time: 3 calls to warm up; then, 100 times and one more that is not counted, L2 is flushed by writing 256 MB and one call
stands between two events; the mean counts. So a time holds one launch's latency, and what Python does after the first
event as far as the flush does not hide it. Gradients are enabled as there; --no-grad turns them off.

    python3 bench/kernelbench70.py                both sizes of the problem's history, f16 and bf16
"""

import argparse
import csv
import os
import statistics
import sys
from pathlib import Path

from need_torch import need_torch

SCALING_FACTOR = 2.0
# batch, input_size, hidden_size, and how inputs are drawn: the first release's, and today's.
SIZES = {"128x512x1024": (128, 1024, 512, "randn"), "1024x8192x8192": (1024, 8192, 8192, "rand")}
TOLERANCE = 1e-2
DRAWS, WARM_UP, TRIALS = 5, 3, 100
FLUSH_BYTES = 256 << 20


def make_model(input_size, hidden_size):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gemm = torch.nn.Linear(input_size, hidden_size)

        def forward(self, x):
            z = self.gemm(x)
            return torch.sigmoid(z) * SCALING_FACTOR + z

    return Model()


def draw(kind, batch, input_size, dtype, seed):
    torch.manual_seed(seed)
    return getattr(torch, kind)(batch, input_size).to(device="cuda", dtype=dtype)


def worst_difference(model, other, inputs):
    """(whether all agree, the largest |a - b| / (atol + rtol |a|))."""
    good, worst = True, 0.0
    with torch.no_grad():
        for x in inputs:
            a, b = model(x), other(x)
            good = good and a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, atol=TOLERANCE, rtol=TOLERANCE)
            worst = max(worst, float(((a.double() - b.double()).abs() / (TOLERANCE * (1 + a.double().abs()))).max()))
    return good, worst


def flush():
    torch.empty(FLUSH_BYTES // 8, dtype=torch.int64, device="cuda").fill_(42)


def time_us(model, x):
    """Microseconds of each trial."""
    for _ in range(WARM_UP):
        model(x)
        torch.cuda.synchronize()
    times = []
    for _ in range(TRIALS + 1):
        torch.cuda.synchronize()
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        flush()
        start.record()
        model(x)
        stop.record()
        torch.cuda.synchronize()
        times.append(1e3 * start.elapsed_time(stop))
    return times[1:]


def run(size, dtype_name, no_grad):
    """Rows of one size and type."""
    batch, input_size, hidden_size, kind = SIZES[size]
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16}[dtype_name]
    torch.manual_seed(42)
    eager = make_model(input_size, hidden_size).to(device="cuda", dtype=dtype)
    new = tilesmith.FusedLinear(input_size, hidden_size, SCALING_FACTOR)
    new.load_state_dict(eager.state_dict())
    new = new.to(device="cuda", dtype=dtype)
    torch._dynamo.reset()
    models = {"eager": eager, "torch.compile": torch.compile(eager), "tilesmith": new}
    inputs = [draw(kind, batch, input_size, dtype, seed) for seed in range(DRAWS)]
    rows = []
    for name, model in models.items():
        good, worst = worst_difference(eager, model, inputs)
        with torch.set_grad_enabled(not no_grad):
            times = time_us(model, inputs[0])
        rows.append({"size": size, "dtype": dtype_name, "model": name, "correct": good, "difference": worst,
                     "mean_us": statistics.fmean(times), "median_us": statistics.median(times), "std_us": statistics.pstdev(times)})  # fmt: skip
    for row in rows:
        row["speedup"] = rows[0]["mean_us"] / row["mean_us"]
    return rows


def show(rows):
    for r in rows:
        verdict = "correct" if r["correct"] else "WRONG"
        print(
            f"{r['size']:>15} {r['dtype']:4} {r['model']:14} {verdict:7} {100 * r['difference']:5.1f}% of the tolerance"
            f"  mean {r['mean_us']:8.2f} us  median {r['median_us']:8.2f}  std {r['std_us']:6.2f}  {r['speedup']:.3f}x eager",
            flush=True,
        )


def main(arguments=None):
    global torch, tilesmith
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--dtypes", nargs="+", default=["f16", "bf16"], choices=["f16", "bf16"])
    parser.add_argument("--no-grad", action="store_true", help="time under torch.no_grad()")
    parser.add_argument("--out", default="build/compare", help="directory for kernelbench70.csv")
    options = parser.parse_args(arguments)
    torch = need_torch()
    import ours

    ours.build()
    import tilesmith

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, tilesmith {tilesmith.version()}")
    rows = []
    for size in options.sizes:
        for dtype in options.dtypes:
            rows += run(size, dtype, options.no_grad)
            show(rows[-3:])
    os.makedirs(options.out, exist_ok=True)
    with open(Path(options.out) / "kernelbench70.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return 0 if all(row["correct"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
