"""tilesmith._library on the emulator: no torch, no GPU."""

import ctypes
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from kit import EMULATOR, ROOT, pack, unpack

import tilesmith
from tilesmith import _library

M, N, K = 17, 24, 40


class Layer:
    """A problem in device memory: contiguous float16."""

    def __init__(self, context, m=M, n=N, k=K, seed=1):
        draw = random.Random(seed)
        self.context, self.m, self.n, self.k = context, m, n, k
        self.host = {name: unpack(pack([draw.uniform(-1, 1) for _ in range(count)])) for name, count in (("x", m * k), ("w", n * k), ("bias", n))}
        self.at = {name: context.malloc(2 * len(values)) for name, values in self.host.items()}
        for name, values in self.host.items():
            context.upload(self.at[name], pack(values))
        self.at["y"] = context.malloc(2 * m * n)
        context.fill(self.at["y"], 0xFF, 2 * m * n)

    def args(self, s=2.0):
        matrix = _library.Matrix
        return _library.LinearArgs(
            m=self.m,
            n=self.n,
            k=self.k,
            x=matrix(self.at["x"], self.k, 1, _library.F16),
            w=matrix(self.at["w"], self.k, 1, _library.F16),
            y=matrix(self.at["y"], self.n, 1, _library.F16),
            bias=self.at["bias"],
            bias_dtype=_library.F16,
            s=s,
        )

    def worst_error(self, s=2.0):
        x, w, bias = self.host["x"], self.host["w"], self.host["bias"]
        worst = 0.0
        for i, got in enumerate(unpack(self.context.download(self.at["y"], 2 * self.m * self.n))):
            row, col = divmod(i, self.n)
            z = bias[col] + sum(x[row * self.k + j] * w[col * self.k + j] for j in range(self.k))
            wanted = z + s / (1 + math.exp(-z))
            error = abs(got - wanted) / (1 + abs(wanted))
            worst = error if not error <= worst else worst
        return worst

    def free(self):
        for address in self.at.values():
            self.context.free(address)


class LibraryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.context = tilesmith.Context(driver=EMULATOR)

    @classmethod
    def tearDownClass(cls):
        cls.context.close()

    def layer(self, **sizes):
        layer = Layer(self.context, **sizes)
        self.addCleanup(layer.free)
        return layer

    def test_structs_have_the_sizes_of_the_header(self):
        names = {"ts_matrix": _library.Matrix, "ts_linear_args": _library.LinearArgs, "ts_context_options": _library.ContextOptions}
        names |= {"ts_device_info": _library.DeviceInfo, "ts_kernel_info": _library.KernelInfo}
        names |= {"ts_tune_row": _library.TuneRow, "ts_tune_report": _library.TuneReport, "ts_tune_options": _library.TuneOptions}
        source = '#include "runtime/tilesmith.h"\n#include <stdio.h>\nint main(void) {\n'
        for name, struct in names.items():
            source += f'    printf("{name} %zu\\n", sizeof({name}));\n'
            for field, *_ in struct._fields_:
                source += f'    printf("{name}.{field} %zu\\n", offsetof({name}, {field}));\n'
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sizes")
            with open(path + ".c", "w") as file:
                file.write(source + "}\n")
            compiler = os.environ.get("CC", "gcc")
            try:
                subprocess.run([compiler, "-I", str(ROOT), path + ".c", "-o", path], check=True)
            except FileNotFoundError:
                self.skipTest(f"there is no {compiler}")
            lines = subprocess.run([path], check=True, capture_output=True, text=True).stdout.split()
        said = dict(zip(lines[::2], map(int, lines[1::2])))
        for name, struct in names.items():
            self.assertEqual(ctypes.sizeof(struct), said[name], name)
            for field, *_ in struct._fields_:
                self.assertEqual(getattr(struct, field).offset, said[f"{name}.{field}"], f"{name}.{field}")

    def test_every_status_has_an_exception(self):
        header = (ROOT / "runtime" / "tilesmith.h").read_text()
        numbers = {int(n) for n in re.findall(r"X\(TS_(?:OK|ERROR_\w+), (\d+),", header)}
        self.assertEqual(set(_library._EXCEPTIONS), numbers - {0})

    def test_version_is_that_of_the_package(self):
        self.assertEqual(tilesmith.version(), tilesmith.__version__)

    def test_device(self):
        info = self.context.info()
        self.assertIn("emulator", info["name"])
        self.assertEqual((info["compute_major"], info["compute_minor"]), (8, 9))

    def test_linear(self):
        layer = self.layer()
        self.context.linear(layer.args())
        self.context.synchronize()
        self.assertLess(layer.worst_error(), 1e-3)

    def test_prepare_gives_the_kernel_that_runs(self):
        layer = self.layer()
        kernel = self.context.prepare(layer.args())
        info = kernel.info()
        self.assertTrue(info["config"].startswith("mma_sm89_f16_"))
        self.assertEqual((info["x"], info["w"], info["bias"], info["y"]), ("f16",) * 4)
        self.assertGreater(info["registers"], 0)
        kernel.launch(layer.args())
        self.assertLess(layer.worst_error(), 1e-3)

    def test_tune(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, TILESMITH_CACHE_DIR=folder):
            context = tilesmith.Context(driver=EMULATOR)
            self.addCleanup(context.close)
            layer = self.layer()
            report = context.tune(layer.args(), top=1)
            self.assertEqual(report["rows"][0]["config"], "mma_sm89_f16_64x64x64_w2x2_s2")
            self.assertIn(report["winner"], report["rows"])
            self.assertTrue(all(row["status"] == 0 and row["us"] > 0 for row in report["rows"]))
            self.assertEqual((report["store"], report["not_stored"]), (os.path.join(folder, "tuning.jsonl"), ""))
            self.assertEqual(context.prepare(layer.args()).info()["config"], report["winner"]["config"])
            with self.assertRaisesRegex(tilesmith.InvalidArgumentError, "top is 65"):
                context.tune(layer.args(), top=65)

    def test_load_by_name(self):
        layer = self.layer()
        kernel = self.context.load("mma_sm80_f16_64x64x32_w2x2_s3")
        self.addCleanup(kernel.close)
        kernel.launch(layer.args(s=0.5))
        self.assertLess(layer.worst_error(s=0.5), 1e-3)

    def test_load_file(self):
        layer = self.layer()
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "k.ptx"
            path.write_text(_library.generate("mma_sm80_f16_64x64x32_w2x2_s3"))
            kernel = self.context.load_file(path)
            self.addCleanup(kernel.close)
            with self.assertRaisesRegex(tilesmith.Error, "no-such.ptx"):
                self.context.load_file(Path(directory) / "no-such.ptx")
        kernel.launch(layer.args())
        self.assertLess(layer.worst_error(), 1e-3)

    def test_pinned_config(self):
        name = "mma_sm80_f16_64x64x32_w2x2_s3"
        self.context.set_config(name)
        self.addCleanup(self.context.set_config, None)
        self.assertEqual(self.context.prepare(self.layer().args()).info()["config"], name)

    def test_epilogue(self):
        layer = self.layer()
        args = layer.args()
        args.epilogue = b"z + s / (1 + exp(-z))"
        self.context.linear(args)
        self.assertLess(layer.worst_error(), 1e-3)

    def test_workspace(self):
        matrix = _library.Matrix

        def asked(size):
            rows = matrix(0, size, 1, _library.F16)
            return self.context.workspace_bytes(_library.LinearArgs(m=size, n=size, k=size, x=rows, w=rows, y=rows))

        self.assertEqual(asked(4096), 0)
        self.assertEqual(asked(4095), 2 * 4095 * 4096 * 2)
        self.assertEqual(asked(33), 0, "not worth it")

    def test_tiles_that_blocks_share(self):
        rows, narrow = _library.Matrix(0, 4096, 1, _library.F16), _library.Matrix(0, 256, 1, _library.F16)
        args = _library.LinearArgs(m=16, n=256, k=4096, x=rows, w=rows, y=narrow)
        size = self.context.workspace_bytes(args)
        self.assertEqual(bin(size).count("1"), 1, "a power of 2, of itself")
        self.assertEqual(self.context.prepare(args).workspace_bytes(args), 0, "it does without, too")
        args.workspace, args.workspace_bytes = 4096, size
        self.assertGreater(self.context.prepare(args).workspace_bytes(args), 0)
        self.context.set_config("mma_sm80_f16_16x64x128_w1x4_s4_split")
        self.addCleanup(self.context.set_config, None)
        size = self.context.workspace_bytes(args)
        self.assertGreater(size, 0)
        args.workspace, args.workspace_bytes = 4096, size
        self.assertEqual(self.context.prepare(args).workspace_bytes(args), size)

    def test_nothing_to_do(self):
        args = self.layer().args()
        args.m = 0
        self.assertIsNone(self.context.prepare(args))
        self.context.linear(args)

    def test_threads_share_a_context(self):
        layers = [self.layer(m=9 + i, seed=i) for i in range(4)]
        failures = []

        def work(layer):
            try:
                for _ in range(5):
                    self.context.linear(layer.args())
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        for layer in layers:
            self.assertLess(layer.worst_error(), 1e-3)

    def test_generate_needs_no_device(self):
        text = tilesmith.generate("mma_sm89_f16_128x128x32_w2x4_s3")
        self.assertIn(".visible .entry", text)
        self.assertTrue(text.startswith("// tilesmith: "))

    # ---- what is refused ----

    def refused(self, kind, words, call, *arguments):
        with self.assertRaisesRegex(kind, words) as caught:
            call(*arguments)
        self.assertIsInstance(caught.exception, tilesmith.Error)
        return caught.exception

    def test_refusals(self):
        args = self.layer().args()
        args.k = -1
        error = self.refused(ValueError, "k is -1", self.context.linear, args)
        self.assertEqual(error.status, 1)
        args = self.layer().args()
        args.y.data = 0
        self.refused(ValueError, "address of y is null", self.context.linear, args)
        args = self.layer().args()
        args.epilogue = b"sin(z)"
        self.refused(ValueError, "sin", self.context.linear, args)
        args.epilogue = b"z + r"
        self.refused(ValueError, "r is null", self.context.linear, args)
        self.refused(ValueError, ".", self.context.set_config, "nonsense")
        self.refused(ValueError, ".", self.context.load, "nonsense")
        self.refused(ValueError, ".", tilesmith.generate, "nonsense")
        self.refused(RuntimeError, "sm_90", self.context.load, "mma_sm90_f16_64x64x32_w2x2_s3")
        self.refused(MemoryError, "memory", self.context.malloc, 1 << 50)
        self.refused(RuntimeError, "/no/such/libcuda", tilesmith.Context, -1, "/no/such/libcuda.so.1")
        self.refused(RuntimeError, "no CUDA device 7", tilesmith.Context, 7, EMULATOR)


class MissingTest(unittest.TestCase):
    """In processes of their own, since a process opens one library."""

    def run_python(self, code, **environment):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python"), **environment}
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)

    def last_line(self, code, **environment):
        done = self.run_python(code, **environment)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr.strip().splitlines()[-1]

    def test_missing_library(self):
        line = self.last_line("import tilesmith; tilesmith.version()", TILESMITH_LIBRARY="/no/such/lib.so")
        self.assertRegex(line, "LibraryError: .*/no/such/lib.so.*build it with 'make', or set TILESMITH_LIBRARY")

    def test_another_library(self):
        line = self.last_line("import tilesmith; tilesmith.version()", TILESMITH_LIBRARY="libm.so.6")
        self.assertRegex(line, "LibraryError: libm.so.6 has no ts_version")
        runtime_alone = os.path.join(os.path.dirname(os.environ["TILESMITH_LIBRARY"]), "libtilesmith_rt.so")
        line = self.last_line("import tilesmith; tilesmith.version()", TILESMITH_LIBRARY=runtime_alone)
        self.assertRegex(line, "has no ts_context_set_config: it is not tilesmith's full library")

    def test_without_torch(self):
        code = "import sys; sys.modules['torch'] = None\nimport tilesmith\nprint(tilesmith.version())\ntilesmith.linear"
        done = self.run_python(code)
        self.assertRegex(done.stderr, "ImportError: tilesmith.linear works on torch tensors, and torch is not installed")
        self.assertEqual(done.stdout, tilesmith.version() + "\n")


if __name__ == "__main__":
    unittest.main()
