#!/usr/bin/env python3
"""Times kernels side by side on one problem: configurations by name, files of PTX changed by hand, the library's choice.

    python3 bench/variants.py 4096x4096x4096 wgmma_sm90a_f16_128x256x64_w2x1_s4_g16 kernels/mine.ptx auto
    python3 bench/variants.py 16x4096x4096 auto mma_sm80_f16_16x64x128_w1x4_s4 --dtype f16 --rounds 25

Each result is compared with float64 first; one that is wrong, or that a kernel refuses, is said and left out. Then all are timed
in turn in one process, in bursts (measure.py), with bare torch.mm among them: what counts is the median of the ratios of
single rounds, for clocks drift.
"""

import argparse
import os
import statistics

import compare
from compare import BASELINE, LIMITS, log
from need_torch import need_torch


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", type=compare.parse_shapes, help="MxNxK")
    parser.add_argument("variants", nargs="+", metavar="VARIANT", help="a configuration's name, a file that ends in .ptx, or auto")
    parser.add_argument("--dtype", default="f16", choices=list(LIMITS))
    parser.add_argument("--rounds", type=int, default=15, help="of bursts")
    options = parser.parse_args(arguments)
    if len(options.shape) != 1:
        parser.error("one problem at a time: MxNxK")
    if options.rounds < 1:
        parser.error("a median needs at least one round")
    options.shape = options.shape[0]
    options.variants = list(dict.fromkeys(options.variants))
    return options


def import_all():
    """Kept out of the way of --help. No stored row of the tuner is used."""
    global torch, measure, ours, peers, tilesmith, _library
    os.environ["TILESMITH_DISABLE_TUNING"] = "1"
    torch = need_torch()
    compare.import_all()
    import measure
    import ours
    import peers

    ours.build()
    import tilesmith
    from tilesmith import _library


def prepared(variant, context):
    """What calls this variant."""
    if variant == "auto":
        return lambda x, w, b: tilesmith.linear(x, w, b, peers.SCALE)
    kernel = context.load_file(variant) if variant.endswith(".ptx") else context.load(variant)
    return ours.Ours(kernel, _library)


def captured(variant, context, sets, dtype):
    """Its graph, if its result is right."""
    call = prepared(variant, context)
    compare.refuse_wrong(compare.error_of(variant, call, sets[0]), dtype)
    return measure.Graph(call, sets)


def main(arguments=None):
    options = parse_options(arguments)
    import_all()
    sets = measure.make_sets(*options.shape, measure.DTYPES[options.dtype])
    context = tilesmith.Context(torch.cuda.current_device())
    graphs = {BASELINE: measure.Graph(lambda x, w, b: torch.mm(x, w.T), sets)}
    for variant in options.variants:
        try:
            graphs[variant] = captured(variant, context, sets, options.dtype)
        except (tilesmith.Error, ValueError) as error:
            log(f"{variant}: {error}")
    times = measure.rounds(graphs, "bursts", options.rounds)
    width = max(map(len, graphs))
    log(f"{'variant':{width}} {'us':>10} {'mm / it':>9}")
    for variant, us in times.items():
        ratio = statistics.median(base / each for base, each in zip(times[BASELINE], us))
        log(f"{variant:{width}} {statistics.median(us):10.2f} {ratio:9.4f}")


if __name__ == "__main__":
    main()
