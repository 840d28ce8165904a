#!/usr/bin/env python3
"""How good the choice is by times that are stored, and constants of its model that would make it better.

    python3 bench/fit.py bench/times/*.csv                                what it takes of what was measured, beside the best
    python3 bench/fit.py bench/times/*.csv --vary again,exchange --steps 2000

Needs no GPU. The times are choice.csv files of choice.py: of one file and shape those of right results are compared with each
other, never with another file's, which may be another chip's. The constants are those of gen/choose_wgmma.c, `const double` in
its functions; a copy is built in which --set and --vary change them. --vary walks at random from where they are: less loss
is taken, more loss with a chance that falls to nothing. Loss is the logarithm of (time of what is chosen / best time), the mean over
the problems, where kernels of about the same estimate are taken by chance; a part of the error of the estimates near the best;
and how far the constants are from where they were. What it finds is printed, and for a person to judge: constants have a meaning.
"""

import argparse
import csv
import ctypes
import itertools
import math
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from choice_report import geometric_mean, shape_text

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "gen" / "choose_wgmma.c"
BUILD = ROOT / "build"

TIE = 0.015  # estimates that differ by such a share are about the same
NEAR = 1.3  # times the best: kernels whose estimates should be right
ERROR_WEIGHT, DISTANCE_WEIGHT = 0.1, 0.001
FIRST_STEP, LAST_STEP, HOT = 0.15, 0.01, 2e-4
MAX_NAME = 256


# ---- the model, with constants that change ----


# `const double a = 1, b = 0.5;` in a function. Sizes, such as 16 << 20, are not fitted.
NUMBER = r"\w+ = [\d.]+"
CONSTANTS = re.compile(rf"^( +)const double ({NUMBER}(?:,\s+{NUMBER})*);", re.M)


def find_constants(source):
    """[(name, value)] in the order of the source."""
    pairs = [part.split(" = ") for statement in CONSTANTS.finditer(source) for part in re.findall(NUMBER, statement[2])]
    return [(name, float(value)) for name, value in pairs]


def with_variables(source):
    """The source with its constants in an array, in the order of find_constants()."""
    place = itertools.count()

    def variables(statement):
        names = [part.split(" = ")[0] for part in re.findall(NUMBER, statement[2])]
        return f"{statement[1]}const double " + ", ".join(f"{name} = fit_constants[{next(place)}]" for name in names) + ";"

    values = ", ".join(repr(value) for _, value in find_constants(source))
    return f"double fit_constants[] = {{{values}}};\n{CONSTANTS.sub(variables, source)}"


def build():
    """The generator as a library, with the copy and fit_shim.c."""
    subprocess.run(["make", "-s", "-C", str(ROOT), "all"], check=True)
    folder = BUILD / "fit"
    folder.mkdir(parents=True, exist_ok=True)
    copy, library = folder / MODEL.name, folder / "fit.so"
    copy.write_text(with_variables(MODEL.read_text()))
    sources = [path.relative_to(ROOT) for path in ROOT.glob("gen/**/*.c") if path != MODEL]
    objects = [str((BUILD / "obj" / path).with_suffix(".o")) for path in sources]
    compiler = [*os.environ.get("CC", "cc").split(), "-std=gnu11", "-O2", "-fPIC", "-shared", f"-I{ROOT}"]
    subprocess.run([*compiler, "-o", str(library), str(ROOT / "bench" / "fit_shim.c"), str(copy), *objects, "-lm"], check=True)
    return library


class Model:
    """One at a time: the library has the constants and the kernels."""

    def __init__(self, library):
        self.lib = ctypes.CDLL(str(library))
        size, text = ctypes.c_int64, ctypes.c_char_p
        self.lib.fit_values.restype = ctypes.POINTER(ctypes.c_double)
        self.lib.fit_add.restype = self.lib.fit_ranked.restype = ctypes.c_bool
        self.lib.fit_add.argtypes = [text, ctypes.c_int, size, size, size]
        self.lib.fit_ranked.argtypes = [text, ctypes.c_int, size, size, size, ctypes.c_int, text]
        self.lib.fit_clear()
        self.values = self.lib.fit_values()
        self.names = []
        self.count = 0
        for i, (name, value) in enumerate(find_constants(MODEL.read_text())):
            self.names.append(name)
            self.values[i] = value

    def index(self, name):
        if self.names.count(name) != 1:
            raise SystemExit(f"fit.py: {name} is not one constant of {MODEL.name}; they are {', '.join(self.names)}")
        return self.names.index(name)

    def add(self, config, sms, shape):
        added = self.lib.fit_add(config.encode(), sms, *shape)
        self.count += added
        return added

    def estimates(self):
        ns = (ctypes.c_double * self.count)()
        self.lib.fit_estimates(ns)
        return list(ns)

    def ranked(self, like, sms, shape, rank):
        """The name of the config at that rank; None behind the last."""
        name = ctypes.create_string_buffer(MAX_NAME)
        return name.value.decode() if self.lib.fit_ranked(like.encode(), sms, *shape, rank, name) else None


# ---- what was measured ----


@dataclass
class Problem:
    """The kernels of one file and shape."""

    shape: tuple
    times: dict = field(default_factory=dict)  # name: microseconds

    @property
    def text(self):
        return shape_text(self.shape)


def read_row(row, path, problems):
    if row.get("status", "ok") != "ok" or "+packed" in row["config"]:
        return
    m, n, k = map(int, row["shape"].split("x"))
    times = problems.setdefault((path, m, n, k), Problem((m, n, k))).times
    us = float(row["us"])
    times[row["config"]] = min(us, times.get(row["config"], us))


def read_problems(paths):
    """Those with two times and more. Of a config that has several, as the choice and by its name, the least."""
    problems = {}
    for path in paths:
        try:
            with open(path, newline="") as file:
                for row in csv.DictReader(file):
                    read_row(row, path, problems)
        except (OSError, UnicodeDecodeError) as error:
            raise SystemExit(f"fit.py: {path}: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise SystemExit(f"fit.py: {path} is not a choice.csv, with columns shape, config and us: {error!r}") from None
    return [problem for problem in problems.values() if len(problem.times) > 1]


@dataclass
class Case:
    """A problem's kernels in the order of the model."""

    problem: Problem
    first: int
    names: list
    us: list
    logs: list = field(init=False)  # of time / best time

    def __post_init__(self):
        self.logs = [math.log(each / min(self.us)) for each in self.us]


def add_cases(model, problems, sms):
    cases = []
    for problem in problems:
        first = model.count
        names = [name for name in problem.times if model.add(name, sms, problem.shape)]
        if len(names) > 1:
            cases.append(Case(problem, first, names, [problem.times[name] for name in names]))
    return cases


# ---- loss ----


def case_loss(case, ns):
    """(what is lost by the choice, error of the estimates near the best)"""
    ns = ns[case.first : case.first + len(case.names)]
    least = min(ns)
    lost = weights = error = near = 0.0
    for each, log, us in zip(ns, case.logs, case.us):
        weight = math.exp((least / each - 1) / TIE)
        lost += weight * log
        weights += weight
        if log < math.log(NEAR):
            error += abs(math.log(each / (1e3 * us)))
            near += 1
    return lost / weights, error / near


def loss(model, cases, start):
    ns = model.estimates()
    lost, error = map(sum, zip(*(case_loss(case, ns) for case in cases)))
    distance = sum(math.log(model.values[i] / value) ** 2 for i, value in start.items())
    return (lost + ERROR_WEIGHT * error) / len(cases) + DISTANCE_WEIGHT * distance


def vary(model, cases, names, steps, seed):
    """Simulated annealing; the constants end at the best that was found."""
    rng = random.Random(seed)
    start = {model.index(name): model.values[model.index(name)] for name in names}
    now = best = loss(model, cases, start)
    found = dict(start)
    for step in range(steps):
        left = 1 - step / steps
        i = rng.choice(list(start))
        before = model.values[i]
        model.values[i] = before * math.exp(rng.gauss(0, LAST_STEP + (FIRST_STEP - LAST_STEP) * left))
        new = loss(model, cases, start)
        if new < now or rng.random() < math.exp((now - new) / (HOT * left + 1e-9)):
            now = new
        else:
            model.values[i] = before
        if now < best:
            best, found = now, {i: model.values[i] for i in start}
    for i, value in found.items():
        model.values[i] = value
    return start


# ---- what is said ----


def report(model, cases, sms, worst):
    """By the times that are stored: what the model takes of them. And what it would take that is not among them."""
    ns = model.estimates()
    shares, missing = [], []
    for case in cases:
        mine = ns[case.first : case.first + len(case.names)]
        chosen = min(range(len(mine)), key=mine.__getitem__)
        best = min(range(len(mine)), key=case.us.__getitem__)
        shares.append((case.us[best] / case.us[chosen], case, chosen, best, mine))
        first = model.ranked(case.names[0], sms, case.problem.shape, 0)
        if first not in case.problem.times:
            missing.append(f"{case.problem.text} {first}")
    shares.sort(key=lambda share: share[0])
    for share, case, chosen, best, mine in shares[:worst]:
        print(f"{100 * share:5.1f} %  {case.problem.text:18} {case.names[chosen]} {case.us[chosen]:.2f} us ({mine[chosen] / 1e3:.2f}), "
              f"{case.names[best]} {case.us[best]:.2f} ({mine[best] / 1e3:.2f})")
    mean = geometric_mean([share[0] for share in shares])
    errors = [case_loss(case, ns)[1] for case in cases]
    print(f"best / chosen over {len(shares)} problems: {100 * mean:.2f} % in the geometric mean, {100 * shares[0][0]:.1f} % at worst")
    print(f"mean error of estimates within {NEAR} of the best time: {100 * sum(errors) / len(errors):.1f} %")
    if missing:
        some = ": " + ", ".join(missing[:worst]) if worst else ""
        print(f"of these problems {len(missing)} would take a kernel that is not stored{some}")


def parse_setting(text):
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=NUMBER") from None


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", nargs="+", help="choice.csv files")
    parser.add_argument("--sms", type=int, default=132, help="of the chip that they were measured on")
    parser.add_argument("--set", type=parse_setting, action="append", default=[], metavar="NAME=NUMBER", help="a constant, first of all")
    parser.add_argument("--vary", type=lambda text: text.split(","), default=[], metavar="NAME[,NAME...]", help="constants to fit; all: every one")
    parser.add_argument("--unseen", nargs="+", default=[], metavar="FILE", help="times that are not fitted to, and reported too")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worst", type=int, default=20, help="so many problems are listed")
    options = parser.parse_args(arguments)
    if options.sms < 1 or options.steps < 1 or options.worst < 0:
        parser.error("a chip has SMs, a walk has steps, and no fewer than 0 problems are listed")
    return options


def main(arguments=None):
    options = parse_options(arguments)
    model = Model(build())
    cases = add_cases(model, read_problems(options.times), options.sms)
    unseen = add_cases(model, read_problems(options.unseen), options.sms)
    if not cases:
        raise SystemExit("fit.py: no problem has two kernels of wgmma with a time")
    for name, value in options.set:
        model.values[model.index(name)] = value
    if options.vary:
        names = list(model.names) if options.vary == ["all"] else options.vary
        start = vary(model, cases, names, options.steps, options.seed)
        for i, value in start.items():
            print(f"{model.names[i]:20} {value:<10.5g} -> {model.values[i]:.5g}")
    report(model, cases, options.sms, options.worst)
    if unseen:
        print("\nnot fitted to:")
        report(model, unseen, options.sms, options.worst)
    return 0


if __name__ == "__main__":
    sys.exit(main())
