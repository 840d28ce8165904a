"""bench/report.py and the options of bench/compare.py, on made-up figures."""

import contextlib
import csv
import io
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from unittest import mock

from kit import ROOT

sys.path.insert(0, str(ROOT / "bench"))

import compare
import report


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


class OptionsTest(unittest.TestCase):
    def refused(self, words, *arguments):
        said = io.StringIO()
        with self.assertRaises(SystemExit) as caught, contextlib.redirect_stderr(said):
            compare.parse_options(arguments)
        self.assertEqual(caught.exception.code, 2)
        self.assertIn(words, said.getvalue())

    def test_options(self):
        options = compare.parse_options(["--shapes", "1x2x3,4x5x6", "--dtype", "both", "--mode", "sustained"])
        self.assertEqual(options.shapes, [(1, 2, 3), (4, 5, 6)])
        self.assertEqual((options.dtypes, options.modes), (["f16", "bf16"], ["sustained"]))
        self.assertEqual(len(compare.parse_options([]).shapes), 11)

    def test_refusals(self):
        for text in ("1x2", "axbxc", "1x2x3,", "0x1x1", ""):
            self.refused("is not MxNxK", "--shapes", text)
        self.refused("at least one round", "--rounds", "0")
        self.refused("leave out --arch", "--config", "auto", "--arch", "sm_80")


if __name__ == "__main__":
    unittest.main()
