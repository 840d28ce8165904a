#!/usr/bin/env python3
"""How good is the configuration that the library chooses by itself, beside the best of all listed ones?

    python3 bench/choice.py                                          the shapes of choice_shapes.txt, f16
    python3 bench/choice.py --shapes 16x4096x4096,1001x1001x1001 --replays 9 --budget 60

Builds the library first (make). Prints a markdown table, one row a shape, and writes it into --out with choice.csv, which
has a row for each configuration.

The choice is what tilesmith.linear() does without a stored measurement. Beside it stand the kernels that it ranks, as it
would use them on that shape, and those that are listed but not ranked. Each gives a result, which is checked, and is
timed by a few launches; those far behind the fastest are left at that. The rest is timed in graphs (measure.py), round by
round in turn. Where the library packs rows first, the others are taken both without and with packing: what packing
costs is the time of the choice less that of its kernel on rows that are aligned already, and is added to the times of the
others there (NAME+packed).
"""

import argparse
import contextlib
import gc
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from choice_report import Results, Row, shape_text
from compare import LIMITS, log, parse_shapes
from need_torch import need_torch

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "build" / "tilesmith"
SHAPES = str(ROOT / "bench" / "choice_shapes.txt")

LOADERS = 8  # threads that load kernels
LOOK_CALLS = 3  # of the first look, or one where a call takes longer than
LONG_US = 200
SLOW, SLACK_US = 2, 60  # times the fastest, and what launches one by one may be off
PAUSE_S = 0.002  # before a burst
HANG_S = 60
HUGE = 2**37  # multiply-adds: above, what is compared with float64 is the choice's result alone
LINE_ELEMS = 64  # the library packs rows to whole lines of 128 bytes
VECTOR_ELEMS = 8  # what 16 bytes hold


# ---- options ----


def read_shapes(text):
    """MxNxK,MxNxK..., or a file of them, separated by white space, with comments from # on."""
    words = [text]
    if os.path.exists(text):
        with open(text) as file:
            words = [word for line in file for word in line.split("#")[0].split()]
    shapes = list(dict.fromkeys(shape for word in words for shape in parse_shapes(word)))
    if not shapes:
        raise argparse.ArgumentTypeError(f"'{text}' has no shapes")
    return shapes


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=read_shapes, default=SHAPES, help="a file, or MxNxK, several separated by commas")
    parser.add_argument("--dtype", default="f16", choices=["f16", "bf16"])
    parser.add_argument("--arch", default="device", help="whose kernels are chosen among: sm_80, sm_89, ..., or device")
    parser.add_argument("--top", type=int, default=100, help="so many of those that are ranked, best first")
    parser.add_argument("--out", default="build/choice", help="directory for choice.csv and choice.md")
    parser.add_argument("--replays", type=int, default=3, help="rounds of bursts")
    parser.add_argument("--burst-ms", type=float, default=1.0, help="how long a burst of calls should be")
    budget = "seconds from the start, building and loading included, after which no further shape is begun"
    parser.add_argument("--budget", type=float, default=float("inf"), help=budget)
    options = parser.parse_args(arguments)
    if options.replays < 1 or options.top < 1:
        parser.error("a median needs at least one replay, and a choice one that is ranked")
    if not options.burst_ms > 0 or not options.budget > 0:
        parser.error("--burst-ms and --budget are times: give more than 0")
    return options


# ---- which configurations ----


def explain(shapes, arch, dtype, sms, top, program=PROGRAM):
    """What the library ranks for each shape, as it says itself, the first `top`."""
    text = ",".join(map(shape_text, shapes))
    command = [str(program), "explain", "--shape", text, "--arch", arch, "--dtype", dtype, "--sms", str(sms), "--top", str(top)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def parse_explain(text):
    """{shape: (names, best first; whose rows are packed first: of "x", "W" or both, in a set)}"""
    found = {}
    for line in text.splitlines():
        heading = re.match(r"# (\d+)x(\d+)x(\d+) ", line)
        if heading:
            names = []
            packed = re.search(r"rows of (x and W|x|W) are packed first", line)
            found[tuple(map(int, heading.groups()))] = names, set(packed[1].split(" and ")) if packed else set()
        elif line and not line.startswith("#"):
            names.append(line.split()[0])
    return found


def unranked(shape, listed):
    """Listed configurations that the library does not rank for this shape, and that may take it: those that share tiles
    or swap operands read rows of 16-byte alignment, those with narrow copies are for other rows."""
    wanted = r"_(split|swap)$" if shape[2] % VECTOR_ELEMS == 0 else r"_v[xw]\d"
    return [name for name in listed if re.search(wanted, name)]


def whole_lines(k):
    return -(-k // LINE_ELEMS) * LINE_ELEMS


def aligned(shape):
    """The shape whose rows are as well aligned as packed ones."""
    m, n, k = shape
    return m, n, whole_lines(k)


@dataclass
class Plan:
    """Which kernels a shape is tried with: on its rows as they are, and on packed ones."""

    shape: tuple
    direct: list
    packed: list  # empty where the library does not pack
    packed_of: set  # whose rows are: see parse_explain()


def make_plans(shapes, listed, ranked):
    """ranked: see parse_explain(); it has aligned(shape) too where rows are packed."""
    plans = []
    for shape in shapes:
        names, packs = ranked[shape]
        direct, packed = list(names), []
        direct += [name for name in unranked(shape, listed) if name not in direct]
        if packs == {"x", "W"}:
            packed += ranked[aligned(shape)][0]
            packed += [name for name in unranked(aligned(shape), listed) if name not in packed]
        elif packs:  # the same with wide copies of what is packed
            packed += [re.sub(f"_v{of.lower()}\\d", "", name) for name in direct for of in packs]
        plans.append(Plan(shape, direct, packed, packs))
    return plans


def plan_all(options, arch):
    sms = torch.cuda.get_device_properties(torch.cuda.current_device()).multi_processor_count
    shapes = list(dict.fromkeys(options.shapes + [aligned(shape) for shape in options.shapes]))
    ranked = parse_explain(explain(shapes, arch, options.dtype, sms, options.top))
    return make_plans(options.shapes, ours.listed(arch, options.torch_dtype), ranked)


def load_all(preparer, plans):
    """Each kernel once, before the first shape. One that cannot be loaded is left out from there on."""

    def load(name):
        try:
            preparer.load(name)
            return ""
        except tilesmith.Error as error:
            return f"{name}: {error}"

    names = list(dict.fromkeys(name for plan in plans for name in plan.direct + plan.packed))
    start = time.monotonic()
    with ThreadPoolExecutor(LOADERS) as pool:
        refused = [text for text in pool.map(load, names) if text]
    log(f"{len(names) - len(refused)} kernels loaded in {time.monotonic() - start:.1f} s")
    for text in refused:
        log(f"not loaded: {text}")


# ---- one configuration ----


def stop(text):
    """At once: with a CUDA context that failed, or a kernel that hangs, the usual end of a process may hang too."""
    sys.stdout.flush()
    print(f"choice.py: {text}", file=sys.stderr, flush=True)
    os._exit(1)


def is_refusal(error):
    """Whether the library said no before it launched anything."""
    return isinstance(error, tilesmith.Error) and not isinstance(error, (tilesmith.LaunchError, tilesmith.DriverError))


@contextlib.contextmanager
def running(name, shape):
    """A kernel that fails or hangs ends the program, and the last words name it. Inside, the GPU is waited for."""
    what = f"{name} on {shape_text(shape)}"
    timer = threading.Timer(HANG_S, stop, [f"{what}: not done after {HANG_S} s"])
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:  # noqa: BLE001: whatever it was, what ran is to be named
        if is_refusal(error):
            raise
        stop(f"{what}: {type(error).__name__}: {error}")
    finally:
        timer.cancel()


class Candidate:
    """One configuration on the shape at hand."""

    def __init__(self, name, how, call, sets):
        self.name, self.how, self.call, self.sets = name, how, call, sets  # how: see Row
        self.is_chosen = how == "linear"  # the kernel of the choice is too; however slow, both are timed
        self.us, self.status, self.error, self.graph, self.times = float("inf"), "ok", float("nan"), None, []

    def look(self, shape, reference, limit, fastest_us, turn):
        """One checked call, then a few for a first estimate, on other operands than the one before, which may still be in
        L2. False: it does not take this problem."""
        try:
            with running(self.name, shape):
                self.error = measure.relative_error(measure.poisoned_result(self.call, self.sets[0]), reference)
                calls = LOOK_CALLS if fastest_us < LONG_US else 1
                self.us = measure.plain_us(self.call, measure.rotated(self.sets, calls * turn)[:calls])
        except tilesmith.Error:
            if self.how == "linear":
                raise  # the library should take everything
            return False
        if not self.error <= limit:
            self.status = "wrong"
            log(f"WRONG: {self.name} ({self.how}) on {shape_text(shape)}: rel_err {self.error:.2e} is over {limit:.1e}")
        return True

    def capture(self, shape, burst_ms):
        with running(self.name, shape):
            self.graph = measure.Graph(self.call, self.sets, burst_ms, PAUSE_S)

    def burst(self, shape):
        with running(self.name, shape):
            self.times.append(self.graph.burst_us())
        self.us = statistics.median(self.times)


# ---- one shape ----


def reference_of(x, w, b):
    """In float64."""
    z = (x.double() @ w.double().T).add_(b.double())
    return z.add_(torch.sigmoid(z), alpha=peers.SCALE)


def pad(matrix):
    """The same, with rows that begin at whole lines."""
    rows, cols = matrix.shape
    wide = torch.zeros(rows, whole_lines(cols), dtype=matrix.dtype, device=matrix.device)
    wide[:, :cols] = matrix
    return wide[:, :cols]


def find_candidates(plan, preparer, sets):
    """The choice, and behind it the others, of which one is its kernel."""

    def launches(how, names, sets):
        return [Candidate(name, how, ours.Ours(preparer.load(name), preparer.library), sets) for name in names if name in preparer.kernels]

    chosen = tilesmith.prepare(*sets[0])
    packs = preparer.packs(*sets[0])
    if packs != bool(plan.packed):
        log(f"{shape_text(plan.shape)}: explain says that rows are {'' if plan.packed else 'not '}packed, and the library does otherwise")
    choice = Candidate(f"{chosen}+packed" if packs else chosen, "linear", ours.Linear(preparer.load(chosen)), sets)
    others = launches("launch", plan.direct, sets)
    if packs:
        of = plan.packed_of
        others += launches("packed", plan.packed, [(pad(x) if "x" in of else x, pad(w) if "W" in of else w, b) for x, w, b in sets])
    for candidate in others:
        candidate.is_chosen = candidate.name == chosen and (candidate.how == "packed") == packs
    return [choice, *others]


def look_at_all(shape, candidates, limit):
    """Those that take the problem, with a first estimate each. The choice is the first."""
    m, n, k = shape
    choice, operands = candidates[0], candidates[0].sets[0]
    reference = reference_of(*operands)
    taken = []
    for turn, candidate in enumerate(candidates):
        fastest_us = min((c.us for c in taken), default=0)
        if candidate.look(shape, reference, limit, fastest_us, turn):
            taken.append(candidate)
        if candidate is choice and candidate.status == "ok" and m * n * k > HUGE:
            reference = choice.call(*operands).float()
    return taken


def leave_slow(candidates):
    """Those far behind the fastest on the same operands get their status."""
    for packed in (False, True):
        group = [c for c in candidates if (c.how == "packed") == packed and c.status == "ok"]
        limit = min((c.us for c in group), default=0) * SLOW + SLACK_US
        for candidate in group:
            if candidate.us > limit and not candidate.is_chosen:
                candidate.status = "slow"


def time_in_turn(shape, candidates, options):
    for candidate in candidates:
        candidate.capture(shape, options.burst_ms)
    for turn in range(options.replays if candidates else 0):
        for candidate in measure.rotated(candidates, turn):
            candidate.burst(shape)


def packing_us(candidates):
    """What the library's packing takes: the choice less its kernel on packed rows. None: one of them was not timed."""
    chosen = [c for c in candidates if c.is_chosen and c.times]
    if [c.how for c in chosen] != ["linear", "packed"]:
        return None
    return statistics.median(a - b for a, b in zip(chosen[0].times, chosen[1].times))


def make_rows(shape, dtype, candidates):
    """The choice's own kernel on packed rows is no row: with packing it is the choice."""
    rows, packing = [], packing_us(candidates)
    for c in candidates:
        if c.how != "packed":
            rows.append(Row(shape, dtype, c.name, c.how, c.us, c.status, c.error))
        elif packing is not None and not c.is_chosen:
            rows.append(Row(shape, dtype, c.name + "+packed", c.how, c.us + packing, c.status, c.error))
    if packing is None and any(c.how == "packed" for c in candidates):
        log(f"{shape_text(shape)}: what packing takes could not be measured, so the others behind it are left out")
    return rows


def time_shape(plan, preparer, options):
    sets = measure.make_sets(*plan.shape, options.torch_dtype)
    candidates = find_candidates(plan, preparer, sets)
    candidates = look_at_all(plan.shape, candidates, LIMITS[options.dtype])
    leave_slow(candidates)
    time_in_turn(plan.shape, [c for c in candidates if c.status == "ok"], options)
    return make_rows(plan.shape, options.dtype, candidates)


# ---- all of them ----


def main(arguments=None):
    start = time.monotonic()
    options = parse_options(arguments)
    import_all()
    ours.build()
    options.torch_dtype = measure.DTYPES[options.dtype]
    preparer = ours.Preparer(options.arch, "auto", log)
    plans = plan_all(options, preparer.arch)
    load_all(preparer, plans)
    bursts = f"medians of {options.replays} bursts of {options.burst_ms:g} ms"
    results = Results(options.out, f"{torch.cuda.get_device_name()}, {options.dtype}, {preparer.arch}, {bursts}", log)
    for plan in plans:
        if time.monotonic() - start > options.budget:
            results.skip(plan.shape)
            continue
        results.add(plan.shape, time_shape(plan, preparer, options))
        gc.collect()
        torch.cuda.empty_cache()
    results.write()
    log(f"\n{results.summary()}\n\n{time.monotonic() - start:.0f} s; written: choice.csv and choice.md in {options.out}")
    return 0 if results.good else 1


def import_all():
    """Kept out of the way of --help. What was stored or is pinned would not be the library's own choice."""
    global torch, measure, ours, peers, tilesmith
    os.environ["TILESMITH_DISABLE_TUNING"] = "1"
    os.environ.pop("TILESMITH_CONFIG", None)
    torch = need_torch()
    import measure
    import ours
    import peers
    import tilesmith

    gc.freeze()  # a capture collects garbage first, and should not walk through all of torch each time


if __name__ == "__main__":
    sys.exit(main())
