#!/usr/bin/env python3
"""Times tilesmith beside torch, torch.compile and Triton, in one process, in turn, and checks every result.

    python3 bench/compare.py                                        all shapes, f16, bursts and sustained
    python3 bench/compare.py --shapes 4096x4096x4096 --arch sm_89 --peers mm,compile --mode bursts

Builds the library first (make). Prints a table a problem, and writes compare.csv and pictures into --out. Every result
is compared with float64 on the GPU before it is timed. The ratios are medians of ratios of one round: see report.py;
how time is taken: measure.py; who competes: peers.py.
"""

import argparse
import gc
import os
import sys
from functools import partial
from pathlib import Path

from need_torch import need_torch

SHAPES = (
    "128x512x1024,1024x8192x8192,16x4096x4096,4096x4096x4096,8192x8192x8192,2048x2048x2048,512x11008x4096,"
    "1000x1000x1000,1x8192x8192,333x4097x2050,64x8192x8192"
)
PEERS = "mm,eager,compile,triton-seed,triton-tuned-sm89"
BASELINE = "mm"
OURS = "tilesmith"
# Of the whole result, in the Frobenius norm: what rounding of the operands' products and of the result explains, with
# room for those that round in between, as eager does.
LIMITS = {"f16": 2e-3, "bf16": 1.6e-2}


def parse_shapes(text):
    try:
        shapes = [tuple(int(size) for size in shape.split("x")) for shape in text.split(",")]
        if all(len(shape) == 3 and min(shape) > 0 for shape in shapes):
            return shapes
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not MxNxK[,MxNxK...]")


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=parse_shapes, default=SHAPES, help="MxNxK, several separated by commas")
    parser.add_argument("--dtype", default="f16", choices=["f16", "bf16", "both"])
    parser.add_argument("--arch", default="device", help="whose kernels tilesmith uses: sm_80, sm_89, ..., or device")
    parser.add_argument("--config", default="best", help="best of a quick timing of all listed, auto (the library's choice), or a name")
    parser.add_argument("--peers", default=PEERS, help="separated by commas; also triton-tuned, triton-seed-sm89, tilesmith-xf32 and tilesmith-wcol")
    parser.add_argument("--mode", default="both", choices=["bursts", "sustained", "both"])
    parser.add_argument("--rounds", type=int, default=15, help="of bursts")
    parser.add_argument("--sustained-rounds", type=int, default=5)
    parser.add_argument("--out", default="build/compare", help="directory for compare.csv and the pictures")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.sustained_rounds < 1:
        parser.error("a mode needs at least one round")
    options.dtypes = ["f16", "bf16"] if options.dtype == "both" else [options.dtype]
    options.modes = ["bursts", "sustained"] if options.mode == "both" else [options.mode]
    return options


def log(text):
    print(text, flush=True)


def reference(name, operands):
    """In float64, of operands as they are multiplied: in w's type."""
    x, w, b = operands
    z = x.to(w.dtype).double() @ w.double().T
    if name == BASELINE:
        return z
    z += b.double()
    return z + peers.SCALE * torch.sigmoid(z)


def error_of(name, call, operands):
    """Of one result, beside the reference."""
    return measure.relative_error(measure.poisoned_result(call, operands), reference(name, operands))


def refuse_wrong(error, dtype):
    if not error <= LIMITS[dtype]:
        raise ValueError(f"wrong result: rel_err {error:.2e} against float64 is over {LIMITS[dtype]:.1e}")


class Problem:
    """One shape and type: contestants prepared, checked and captured."""

    def __init__(self, shape, dtype, contestants):
        self.shape, self.dtype = shape, dtype
        self.sets = measure.make_sets(*shape, measure.DTYPES[dtype])
        self.graphs, self.sets_of, self.details, self.errors, self.reasons = {}, {}, {}, {}, {}
        for name, prepare in contestants.items():
            try:
                self._add(name, prepare)
            except Exception as error:  # noqa: BLE001: a contestant that fails is a row that says so
                self.reasons[name] = " ".join(f"{type(error).__name__}: {error}".split())[:500]
                log(f"  {name} FAILED: {self.reasons[name]}")

    def _add(self, name, prepare):
        log(f"  preparing {name}")
        transform = getattr(prepare, "transform", None)
        sets = [transform(*operands) for operands in self.sets] if transform else self.sets
        call, self.details[name] = prepare(sets)
        self.errors[name] = error_of(name, call, sets[0])
        refuse_wrong(self.errors[name], self.dtype)
        self.graphs[name] = measure.Graph(call, sets)
        self.sets_of[name] = sets  # the graph holds addresses

    def rows(self, mode, rounds, contestants):
        times = measure.rounds(self.graphs, mode, rounds) if self.graphs else {}
        return [
            report.Row(
                mode,
                self.dtype,
                self.shape,
                name,
                times.get(name, []),
                self.details.get(name, ""),
                self.errors.get(name, float("nan")),
                self.reasons.get(name, ""),
            )
            for name in contestants
        ]


def write(options, arch, rows):
    os.makedirs(options.out, exist_ok=True)
    path = Path(options.out) / "compare.csv"
    report.write_csv(path, rows, BASELINE)
    written = [str(path)]
    for mode in options.modes:
        of_mode = [row for row in rows if row.mode == mode]
        title = f"{torch.cuda.get_device_name()}, {mode}, tilesmith for {arch}"
        written.append(report.bars(str(Path(options.out) / f"compare_{mode}"), of_mode, BASELINE, title))
    return [path for path in written if path]


def main(arguments=None):
    options = parse_options(arguments)
    import_all()
    variants = {name: partial(ours.Preparer, options.arch, options.config, log, *variant) for name, variant in ours.VARIANTS.items()}
    known = [*peers.PREPARE, *variants]
    names = [name for name in options.peers.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no such peer here: {', '.join(unknown)}; there are {', '.join(known)} (those of Triton need triton)")
    ours.build()
    contestants = {OURS: ours.Preparer(options.arch, options.config, log)}
    contestants |= {name: variants[name]() if name in variants else peers.PREPARE[name] for name in names}
    rows, written = [], []
    log(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, tilesmith for {contestants[OURS].arch}, --config {options.config}")
    for dtype in options.dtypes:
        for shape in options.shapes:
            log(f"\n{dtype} {'x'.join(map(str, shape))}")
            problem = Problem(shape, dtype, contestants)
            for mode in options.modes:
                count = options.rounds if mode == "bursts" else options.sustained_rounds
                of_mode = problem.rows(mode, count, contestants)
                log(report.table(of_mode, BASELINE))
                rows += of_mode
            del problem
            gc.collect()
            torch.cuda.empty_cache()
            written = write(options, contestants[OURS].arch, rows)  # after each problem, so that an interruption loses one
    log("\nwritten: " + ", ".join(written))
    return 0 if all(row.ok for row in rows) else 1


def import_all():
    """Kept out of the way of --help."""
    global torch, measure, ours, peers, report
    torch = need_torch()
    import measure
    import ours
    import peers
    import report


if __name__ == "__main__":
    sys.exit(main())
