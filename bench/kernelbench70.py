#!/usr/bin/env python3
"""KernelBench, level 2, problem 70 (Gemm_Sigmoid_Scaling_ResidualAdd), by its own protocol, with FusedLinear.

Correct: over 5 draws of inputs, torch.allclose(model, ours, atol=1e-2, rtol=1e-2), both in the type under test.
Time: 3 calls to warm up; then, 100 times and one more that is not counted, L2 is flushed by writing 256 MB and one call
stands between two events; the mean counts. So a time holds one launch's latency, and what Python does after the first
event as far as the flush does not hide it. Gradients are enabled as there; --no-grad turns them off.

A busy host or a chip that has become warm changes such a mean by more than models differ. So all of it is done --repeats
times, models in turn, each after a pause; shown are medians of the means, and of the ratios within a repeat.

    python3 bench/kernelbench70.py                both sizes of the problem's history, f16 and bf16
"""

import argparse
import csv
import os
import statistics
import sys
import time
from pathlib import Path

from need_torch import need_torch

SCALING_FACTOR = 2.0
# batch, input_size, hidden_size, and how inputs are drawn: the first release's, and today's.
SIZES = {"128x512x1024": (128, 1024, 512, "randn"), "1024x8192x8192": (1024, 8192, 8192, "rand")}
TOLERANCE = 1e-2
DRAWS, WARM_UP, TRIALS = 5, 3, 100
FLUSH_BYTES = 256 << 20
PAUSE_S = 0.2


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


def time_in_turn(models, x, repeats):
    """{name: [microseconds of each trial] of each repeat}"""
    times, names = {name: [] for name in models}, list(models)
    for repeat in range(repeats):
        first = repeat % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(PAUSE_S)
            times[name].append(time_us(models[name], x))
    return times


def row_of(trials, of_eager):
    """What is shown of one model's trials."""
    means, eager_means = [[statistics.fmean(t) for t in of] for of in (trials, of_eager)]
    return {
        "mean_us": statistics.median(means),
        "median_us": statistics.median([t for repeat in trials for t in repeat]),
        "std_us": statistics.median([statistics.pstdev(t) for t in trials]),
        "speedup": statistics.median([e / m for e, m in zip(eager_means, means)]),
    }


def run(size, dtype_name, no_grad, repeats):
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
    differences = {name: worst_difference(eager, model, inputs) for name, model in models.items()}
    with torch.set_grad_enabled(not no_grad):
        times = time_in_turn(models, inputs[0], repeats)
    return [
        {"size": size, "dtype": dtype_name, "model": name, "correct": good, "difference": worst, **row_of(times[name], times["eager"])}
        for name, (good, worst) in differences.items()
    ]


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
    parser.add_argument("--repeats", type=int, default=7, help="of the whole measurement, models in turn")
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
            rows += run(size, dtype, options.no_grad, options.repeats)
            show(rows[-3:])
    os.makedirs(options.out, exist_ok=True)
    with open(Path(options.out) / "kernelbench70.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return 0 if all(row["correct"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
