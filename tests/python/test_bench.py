"""bench/report.py, the options of bench/compare.py, and bench/choice.py, on made-up figures."""

import contextlib
import csv
import dataclasses
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace
from unittest import mock

from kit import BUILD, ROOT

sys.path.insert(0, str(ROOT / "bench"))

import choice
import choice_report
import compare
import fit
import report
import tilesmith
import variants


def rows():
    shapes = [(4096, 4096, 4096), (16, 4096, 4096)]
    made = []
    for i, shape in enumerate(shapes):
        drift = [1.0, 1.5, 0.8, 1.2]  # of the clocks, from round to round
        made.append(report.Row("bursts", "f16", shape, "mm", [100 * d for d in drift], "cuBLAS", 2e-4))
        made.append(report.Row("bursts", "f16", shape, "tilesmith", [(125 - 45 * i) * d for d in drift], "mma <&> it", 2e-4))
        made.append(report.Row("bursts", "f16", shape, "eager", [200 * d for d in drift], "", 3e-4))
    made.append(report.Row("bursts", "f16", shapes[1], "compile", [], reason='it said "no", twice'))
    return made


class ReportTest(unittest.TestCase):
    def test_percentile(self):
        self.assertEqual([report.percentile([4, 1, 3, 2, 5], f) for f in (0, 0.1, 0.5, 1)], [1, 1.4, 3, 5])
        self.assertEqual(report.percentile([7], 0.9), 7)

    def test_ratios_are_of_rounds_and_so_free_of_drift(self):
        both = report.ratios(report.problems(rows())[0], "mm")
        self.assertAlmostEqual(both["tilesmith"][0], 0.8)
        self.assertAlmostEqual(both["eager"][0], 0.5)
        self.assertAlmostEqual(both["eager"][1], 1.6)
        self.assertEqual(both["mm"][0], 1)

    def test_without_baseline(self):
        both = report.ratios([row for row in report.problems(rows())[0] if row.contestant != "mm"], "mm")
        self.assertEqual(both["tilesmith"], (None, 1))

    def test_tflops(self):
        self.assertAlmostEqual(report.Row("", "", (1000, 1000, 1000), "", [10.0, 20.0, 30.0]).tflops, 100)

    def test_table(self):
        text = report.table(rows(), "mm")
        self.assertRegex(text, r"f16 4096x4096x4096, bursts\n")
        self.assertRegex(text, r"\n  tilesmith +137.50 +107.50..176.25 +999.6 +0.800 +1.000 +2.0e-04  mma")
        self.assertRegex(text, r'\n  compile +FAILED: it said "no", twice')

    def test_csv(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "c.csv")
            report.write_csv(path, rows(), "mm")
            with open(path, newline="") as file:
                read = list(csv.DictReader(file))
        self.assertEqual(len(read), 7)
        self.assertTrue(all(set(row) == set(report.COLUMNS) and None not in row.values() for row in read))
        self.assertEqual((read[1]["us"], read[1]["baseline_over_us"], read[1]["rounds"]), ("137.500", "0.8000", "4"))
        self.assertEqual((read[6]["status"], read[6]["reason"]), ("failed", 'it said "no", twice'))

    def test_svg(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(sys.modules, {"matplotlib": None}):
            path = report.bars(os.path.join(folder, "bars"), rows(), "mm", "a < b & c")
            root = ElementTree.parse(path).getroot()
        boxes = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if len(e)]
        self.assertEqual(len(boxes), 6)  # the one that failed has no bar
        height = {box[0].text: float(box.get("height")) for box in boxes}
        self.assertAlmostEqual(height["tilesmith 0.800"] / height["mm 1.000"], 0.8, places=2)

    def test_png(self):
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            self.skipTest("matplotlib is not installed")
        with tempfile.TemporaryDirectory() as folder:
            path = report.bars(os.path.join(folder, "bars"), rows(), "mm", "title")
            self.assertTrue(path.endswith(".png") and os.path.getsize(path) > 1000)

    def test_nothing_to_draw(self):
        self.assertIsNone(report.bars("unused", rows()[1:2], "mm", "title"))


class Refusals:
    """Of a test of `module`'s options."""

    def refused(self, words, *arguments):
        said = io.StringIO()
        with self.assertRaises(SystemExit) as caught, contextlib.redirect_stderr(said):
            self.module.parse_options(arguments)
        self.assertEqual(caught.exception.code, 2)
        self.assertIn(words, said.getvalue())


class OptionsTest(Refusals, unittest.TestCase):
    module = compare

    def test_options(self):
        options = compare.parse_options(["--shapes", "1x2x3,4x5x6", "--dtype", "both", "--mode", "sustained"])
        self.assertEqual(options.shapes, [(1, 2, 3), (4, 5, 6)])
        self.assertEqual((options.dtypes, options.modes), (["f16", "bf16"], ["sustained"]))
        self.assertEqual(len(compare.parse_options([]).shapes), 11)

    def test_refusals(self):
        for text in ("1x2", "axbxc", "1x2x3,", "0x1x1", ""):
            self.refused("is not MxNxK", "--shapes", text)
        self.refused("at least one round", "--rounds", "0")


# ---- choice.py ----

EXPLAINED = """\
# 333x4097x2050 f16, sm_90a, 132 SMs; with a workspace rows of x and W are packed first, and another config is chosen
# config                                              us   tiles  waves
mma_a_vx2_vw2_vy2                                  25.71     132      1
mma_b_vx2_vw2_vy2                                  30.44     390      3
# 333x4097x2112 f16, sm_90a, 132 SMs
# config                                              us   tiles  waves
wgmma_a_vy2                                         9.71     132      1
mma_b_vy2                                          10.44     390      3
# 16x4096x4096 f16, sm_90a, 132 SMs
# config                                              us   tiles  waves
wgmma_a                                             9.71     132      1
"""
LISTED = ["wgmma_a", "wgmma_c_swap", "mma_b", "mma_b_split", "mma_b_vx2", "mma_b_vw2_vy2"]


def program():
    return os.environ.get("TILESMITH", str(BUILD / "tilesmith"))


class ChoiceOptionsTest(Refusals, unittest.TestCase):
    module = choice

    def file(self, text):
        path = tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False)
        self.addCleanup(os.unlink, path.name)
        with path:
            path.write(text)
        return path.name

    def test_usual_options(self):
        options = choice.parse_options([])
        self.assertEqual((options.replays, options.burst_ms, options.dtype), (3, 1.0, "f16"))
        self.assertEqual(len(options.shapes), 132)
        self.assertIn((333, 4097, 2050), options.shapes)

    def test_shapes(self):
        path = self.file("# few\n1x2x3  4x5x6 # and more\n\n1x2x3\n7x8x9\n")
        self.assertEqual(choice.parse_options(["--shapes", path]).shapes, [(1, 2, 3), (4, 5, 6), (7, 8, 9)])
        self.assertEqual(choice.parse_options(["--shapes", "4x5x6,1x2x3,4x5x6"]).shapes, [(4, 5, 6), (1, 2, 3)])

    def test_refusals(self):
        self.refused("'4x5' is not MxNxK", "--shapes", self.file("1x2x3\n4x5\n"))
        self.refused("has no shapes", "--shapes", self.file("# none\n"))
        self.refused("is not MxNxK", "--shapes", "no-such-file.txt")
        self.refused("at least one replay", "--replays", "0")
        self.refused("give more than 0", "--burst-ms", "0")
        self.refused("give more than 0", "--budget", "-1")


class VariantsOptionsTest(Refusals, unittest.TestCase):
    module = variants

    def test_options(self):
        options = variants.parse_options(["16x4096x512", "auto", "a.ptx", "auto", "--dtype", "bf16"])
        self.assertEqual((options.shape, options.dtype, options.rounds), ((16, 4096, 512), "bf16", 15))
        self.assertEqual(options.variants, ["auto", "a.ptx"])

    def test_refusals(self):
        self.refused("is not MxNxK", "16x4096", "auto")
        self.refused("one problem at a time", "1x2x3,4x5x6", "auto")
        self.refused("VARIANT", "1x2x3")
        self.refused("at least one round", "1x2x3", "auto", "--rounds", "0")


class ChoicePlanTest(unittest.TestCase):
    def test_explain_is_read(self):
        ranked = choice.parse_explain(EXPLAINED)
        self.assertEqual(ranked[333, 4097, 2050], (["mma_a_vx2_vw2_vy2", "mma_b_vx2_vw2_vy2"], {"x", "W"}))
        self.assertEqual(ranked[16, 4096, 4096], (["wgmma_a"], set()))

    def test_plans(self):
        packed, direct = choice.make_plans([(333, 4097, 2050), (16, 4096, 4096)], LISTED, choice.parse_explain(EXPLAINED))
        self.assertEqual(direct, choice.Plan((16, 4096, 4096), ["wgmma_a", "wgmma_c_swap", "mma_b_split"], [], set()))
        self.assertEqual(packed.direct, ["mma_a_vx2_vw2_vy2", "mma_b_vx2_vw2_vy2", "mma_b_vx2", "mma_b_vw2_vy2"])
        self.assertEqual(packed.packed, ["wgmma_a_vy2", "mma_b_vy2", "wgmma_c_swap", "mma_b_split"])

    def test_x_alone_is_packed(self):
        explained = EXPLAINED.replace("rows of x and W are", "rows of x are")
        packed, _ = choice.make_plans([(333, 4097, 2050), (16, 4096, 4096)], LISTED, choice.parse_explain(explained))
        self.assertEqual((packed.packed_of, packed.packed[:2]), ({"x"}, ["mma_a_vw2_vy2", "mma_b_vw2_vy2"]))

    def test_what_the_program_says(self):
        shapes = [(4095, 4095, 4095), (4095, 4095, 4096), (1, 4095, 4095)]
        ranked = choice.parse_explain(choice.explain(shapes, "sm_90a", "bf16", 132, 100, program()))
        self.assertEqual(list(ranked), shapes)
        self.assertEqual([packs for _, packs in ranked.values()], [{"x", "W"}, set(), set()])
        ending = ["_vx2_vw2_vy2", "_vy2", "_vw2"]
        for names, field in zip((names for names, _ in ranked.values()), ending):
            self.assertTrue(names and all("_bf16_" in name for name in names), names)
            self.assertTrue(all(field in name for name in names if "_swap" not in name), names)  # those store by elements
        self.assertGreater(len(ranked[4095, 4095, 4096][0]), 50)  # not the first few alone
        self.assertIn("wgmma_sm90a_bf16_128x256x64_w2x1_s4_g16_vy2", ranked[4095, 4095, 4096][0])


MODEL_SOURCE = """
double a(void)
{
    const double one = 1, half = 0.5, third = 0.3;
    return one;
}
double b(void)
{
    const double first = 10,
                 second = 0.25;
    const double bytes = 16 << 20;
    const double all = memory_ns(bytes);
    return first;
}
"""


@unittest.skipUnless(shutil.which("cc") and (BUILD / "tilesmith").exists(), "needs a C compiler and the program")
class FitTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.library = fit.build()

    shape = (640, 4096, 4096)
    configs = [f"wgmma_sm90a_f16_{tile}" for tile in ("128x256x64_w2x1_s4_g16", "64x64x128_w1x1_s6_ck2_swap", "128x128x64_w2x1_s6_cn2")]

    def test_constants_are_found(self):
        source = MODEL_SOURCE
        self.assertEqual(fit.find_constants(source), [("one", 1), ("half", 0.5), ("third", 0.3), ("first", 10), ("second", 0.25)])
        self.assertIn("const double first = fit_constants[3], second = fit_constants[4];", fit.with_variables(source))
        self.assertIn("const double bytes = 16 << 20;", fit.with_variables(source))

    def test_none_of_the_source_is_missed(self):
        source = fit.MODEL.read_text()
        self.assertNotRegex(fit.with_variables(source), r"const double \w+ = [\d.]+[,;]")
        names = [name for name, _ in fit.find_constants(source)]
        self.assertGreater(len(names), 30)
        self.assertEqual(len(names), len(set(names)))

    def test_the_copy_ranks_as_the_library(self):
        ranked = choice.parse_explain(choice.explain([self.shape], "sm_90a", "f16", 132, 5, program()))[self.shape][0]
        model = fit.Model(self.library)
        self.assertEqual([model.ranked(self.configs[0], 132, self.shape, rank) for rank in range(5)], ranked)

    def test_constants_change_estimates(self):
        model = fit.Model(self.library)
        self.assertTrue(all(model.add(config, 132, self.shape) for config in self.configs))
        self.assertFalse(model.add("mma_sm90a_f16_128x128x64_w2x4_s3", 132, self.shape))
        before = model.estimates()
        model.values[model.index("start")] += 1000
        for a, b in zip(before, model.estimates()):
            self.assertAlmostEqual(b - a, 1000)
        with self.assertRaises(SystemExit):
            model.index("no_such_constant")

    def test_it_finds_what_made_the_times(self):
        model = fit.Model(self.library)
        model.values[model.index("start")] *= 2
        problems = [fit.Problem((m, 4096, k), dict.fromkeys(self.configs, 1.0)) for m in (128, 640) for k in (512, 4096)]
        cases = fit.add_cases(model, problems, 132)
        us = [ns / 1e3 for ns in model.estimates()]
        cases = [dataclasses.replace(case, us=us[case.first : case.first + len(case.names)]) for case in cases]
        model.values[model.index("start")] /= 2
        start = model.values[model.index("start")]
        fit.vary(model, cases, ["start"], 300, 1)
        self.assertAlmostEqual(model.values[model.index("start")] / start, 2, delta=0.1)

    def test_what_is_read(self):
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            choice_report.write_csv(file.name, [row for rows in choice_rows().values() for row in rows])
            problems = fit.read_problems([file.name])
        self.assertEqual([(problem.text, problem.times) for problem in problems], [("16x64x64", {"one": 10.0, "two": 9.0})])

    def test_what_cannot_be_read(self):
        with self.assertRaisesRegex(SystemExit, "no/such.csv"):
            fit.read_problems(["no/such.csv"])
        for text in ("shape,us\n1x2x3,4\n", "shape,config,us\n1x2,a,4\n", "shape,config,us\n1x2x3,a\n", "shape,config,us\n1x2x3,a,fast\n"):
            with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
                file.write(text)
                file.flush()
                with self.assertRaisesRegex(SystemExit, "is not a choice.csv"):
                    fit.read_problems([file.name])


def choice_rows():
    """{shape: rows}"""
    a, b, c = (16, 64, 64), (32, 64, 64), (48, 64, 64)
    rows = [
        choice_report.Row(a, "f16", "one", "linear", 10.0),
        choice_report.Row(a, "f16", "one", "launch", 10.1),
        choice_report.Row(a, "f16", "two", "launch", 9.0),
        choice_report.Row(b, "f16", "one+packed", "linear", 40.0),
        choice_report.Row(b, "f16", "two+packed", "packed", 10.0, "ok", 2e-4),
        choice_report.Row(c, "f16", "one", "linear", 8.0),
        choice_report.Row(c, "f16", "two", "launch", 1.0, "slow"),
        choice_report.Row(c, "f16", "three", "launch", 2.0, "wrong", 0.5),
    ]
    return {shape: [row for row in rows if row.shape == shape] for shape in (a, b, c)}


class ChoiceReportTest(unittest.TestCase):
    def test_verdicts(self):
        a, b, c = map(choice_report.verdict, choice_rows().values())
        self.assertEqual((a.best.config, a.share), ("two", 0.9))
        self.assertEqual((b.best.config, b.share), ("two+packed", 0.25))
        self.assertEqual((c.best.config, c.share), ("one", 1.0))  # what is slow or wrong is not the best
        self.assertEqual(choice_report.table_line(a), "| 16x64x64 | one | 10.00 | two | 9.00 | 90.0 % |")

    def test_without_a_choice(self):
        row = choice_report.Row((1, 2, 3), "f16", "one", "linear", 10.0, "wrong")
        self.assertIsNone(choice_report.verdict([row, choice_report.Row((1, 2, 3), "f16", "two", "launch", 9.0)]))

    def test_summary(self):
        text = choice_report.summary(list(map(choice_report.verdict, choice_rows().values())), ["1x2x3"], ["4x5x6", "7x8x9"])
        self.assertIn("over 3 shapes: 60.8 % in the geometric mean", text)  # (0.9 * 0.25)^(1/3)
        self.assertIn("the worst: 25.0 %, 32x64x64", text)
        self.assertIn("under 80 %: 1", text)
        self.assertIn("no right result of the choice: 1x2x3", text)
        self.assertIn("want of time, 2: 4x5x6, 7x8x9", text)
        self.assertEqual(choice_report.summary([]), "")

    def test_files(self):
        said = []
        with tempfile.TemporaryDirectory() as folder:
            results = choice_report.Results(os.path.join(folder, "new"), "a chip", said.append)
            for shape, rows in choice_rows().items():
                results.add(shape, rows)
            results.skip((1, 2, 3))
            results.write()
            with open(os.path.join(folder, "new", "choice.csv"), newline="") as file:
                read = list(csv.DictReader(file))
            with open(os.path.join(folder, "new", "choice.md")) as file:
                page = file.read()
        self.assertEqual(len(read), 8)
        self.assertEqual([row["choice"] for row in read], ["1", "0", "0", "1", "0", "1", "0", "0"])
        self.assertEqual(list(read[4].values()), ["32x64x64", "f16", "two+packed", "0", "packed", "10.000", "ok", "2.00e-04"])
        self.assertEqual(len(said), 4)  # the head, and a line a shape
        self.assertTrue(page.startswith("a chip\n\n| M x N x K |") and page.endswith(": 1x2x3\n"), page)
        self.assertFalse(results.good)  # one result was wrong


class FakeGpu:
    """In place of measure, ours, tilesmith and a Preparer: kernels whose times and errors are known by their names."""

    Error, LaunchError, DriverError = tilesmith.Error, tilesmith.LaunchError, tilesmith.DriverError
    Ours = staticmethod(lambda kernel, library: SimpleNamespace(us=kernel.us, error=kernel.error, refuses=kernel.refuses))
    rotated = staticmethod(lambda names, turn: names[turn % len(names) :] + names[: turn % len(names)])
    library = None

    def __init__(self, chosen, packs, **kernels):
        self.chosen, self.does_pack, self.captured = chosen, packs, []
        self.kernels = {name: SimpleNamespace(us=us, error=error, refuses=refuses) for name, (us, error, refuses) in kernels.items()}

    def load(self, name):
        return self.kernels[name]

    def prepare(self, *operands):
        return self.chosen

    def packs(self, *operands):
        return self.does_pack

    def Linear(self, kernel):
        return SimpleNamespace(us=kernel.us + (3 if self.does_pack else 0), error=kernel.error, refuses=None)

    def make_sets(self, *shape_and_dtype):
        return [("x", "w", "b")]

    def poisoned_result(self, call, operands):
        if call.refuses:
            raise call.refuses
        return call.error

    def relative_error(self, result, reference):
        return result

    def plain_us(self, call, sets):
        return call.us + 1

    def Graph(self, call, sets, burst_ms, pause_s):
        self.captured.append(call.us)
        return SimpleNamespace(burst_us=lambda: call.us)


class ChoiceFlowTest(unittest.TestCase):
    def rows(self, gpu, plan):
        options = SimpleNamespace(dtype="f16", torch_dtype=None, replays=3, burst_ms=1)
        fakes = {"measure": gpu, "ours": gpu, "tilesmith": gpu, "reference_of": lambda *operands: None, "pad": lambda matrix: matrix}
        said = io.StringIO()
        with mock.patch.multiple(choice, create=True, **fakes), contextlib.redirect_stdout(said):
            rows = choice.time_shape(plan, gpu, options)
        self.said = said.getvalue()
        return [(row.config, row.how, round(row.us, 3), row.status) for row in rows]

    def test_direct(self):
        refusal = tilesmith.MisalignedError("no")
        gpu = FakeGpu("b", False, a=(10, 0, None), b=(12, 0, None), c=(90, 0, None), d=(1, 0.5, None), e=(1, 0, refusal))
        rows = self.rows(gpu, choice.Plan((8, 8, 8), ["b", "a", "c", "d", "e", "not loaded"], [], set()))
        expected = [
            ("b", "linear", 12, "ok"),
            ("b", "launch", 12, "ok"),
            ("a", "launch", 10, "ok"),
            ("c", "launch", 91, "slow"),
            ("d", "launch", 2, "wrong"),
        ]
        self.assertEqual(rows, expected)
        self.assertEqual(gpu.captured, [12, 12, 10])  # what is slow or wrong is left at the first look
        self.assertRegex(self.said, r"WRONG: d \(launch\) on 8x8x8: rel_err 5.00e-01 is over 2.0e-03")

    def test_behind_packing(self):
        gpu = FakeGpu("p", True, p=(100, 0, None), q=(10, 0, None), r=(500, 0, None), a=(90, 0, None), b=(500, 0, None))
        rows = self.rows(gpu, choice.Plan((8, 8, 9), ["a", "b"], ["q", "p", "r"], {"x", "W"}))
        expected = [
            ("p+packed", "linear", 103, "ok"),
            ("a", "launch", 90, "ok"),
            ("b", "launch", 501, "slow"),
            ("q+packed", "packed", 13, "ok"),
            ("r+packed", "packed", 504, "slow"),
        ]
        self.assertEqual(rows, expected)  # p is slow too, and was timed nevertheless

    def test_without_the_kernel_of_the_choice(self):
        gpu = FakeGpu("p", True, p=(100, 0, None), q=(10, 0, None))
        rows = self.rows(gpu, choice.Plan((8, 8, 9), [], ["q"], {"x", "W"}))
        self.assertEqual(rows, [("p+packed", "linear", 103, "ok")])
        self.assertIn("what packing takes could not be measured", self.said)

    def test_nothing_is_right(self):
        gpu = FakeGpu("a", False, a=(10, float("nan"), None))
        rows = self.rows(gpu, choice.Plan((8, 8, 8), ["a"], [], set()))
        self.assertEqual([status for *_, status in rows], ["wrong", "wrong"])


LAST_WORDS = """
import sys, time
sys.path[:0] = {paths!r}
import choice, tilesmith
choice.tilesmith, choice.HANG_S = tilesmith, 0.2
with choice.running("wgmma_a", (1, 2, 3)):
    {what}
print("not reached")
"""


class ChoiceFailureTest(unittest.TestCase):
    def last_words(self, what):
        paths = [str(ROOT / "bench"), str(ROOT / "bindings" / "python")]
        start = time.monotonic()
        ended = subprocess.run([sys.executable, "-c", LAST_WORDS.format(paths=paths, what=what)], capture_output=True, text=True)
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        return ended.stderr

    def test_failures_name_what_ran(self):
        self.assertEqual(self.last_words("raise RuntimeError('illegal access')"), "choice.py: wgmma_a on 1x2x3: RuntimeError: illegal access\n")
        self.assertIn("wgmma_a on 1x2x3: LaunchError", self.last_words("raise tilesmith.LaunchError('failed')"))
        self.assertEqual(self.last_words("time.sleep(60)"), "choice.py: wgmma_a on 1x2x3: not done after 0.2 s\n")

    def test_refusals_pass(self):
        self.assertRegex(self.last_words("raise tilesmith.MisalignedError('no')"), r"(?s)^Traceback.*MisalignedError: no\n$")


if __name__ == "__main__":
    unittest.main()
