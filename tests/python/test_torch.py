"""tilesmith.linear and FusedLinear. What needs no GPU runs wherever torch is installed: refusals, shapes of the custom
op, gradients' formula, parameters. The rest compares with float64 on a CUDA device."""

import math
import itertools
import threading
import unittest

from kit import needs_gpu, needs_torch, torch

import tilesmith

if torch:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._python_dispatch import TorchDispatchMode

    from tilesmith import _linear

    HALVES = (torch.float16, torch.bfloat16)
    FLOATS = (torch.float32, *HALVES)


def reference(x, w, b, scale):
    z = x.to(w.dtype).double() @ w.double().T
    if b is not None:
        z = z + b.double()
    return z + scale * torch.sigmoid(z)


@needs_torch
class WithoutGpuTest(unittest.TestCase):
    def refused(self, kind, words, *arguments, **named):
        with self.assertRaisesRegex(kind, words) as caught:
            tilesmith.linear(*arguments, **named)
        self.assertIsInstance(caught.exception, tilesmith.Error)

    def test_refusals(self):
        x, w = torch.zeros(2, 3, dtype=torch.float16), torch.zeros(4, 3, dtype=torch.float16)
        self.refused(TypeError, "x is of type list: give a torch tensor", [1, 2, 3], w)
        self.refused(TypeError, "weight is of type NoneType", x, None)
        self.refused(TypeError, "bias is of type float", x, w, 1.0)
        self.refused(TypeError, "out is of type str", x, w, out="y")
        self.refused(TypeError, "x has the layout torch.sparse_coo", x.to_sparse(), w)
        self.refused(ValueError, "x is on the device cpu: move it to a CUDA device", x, w)
        self.refused(TypeError, "x is torch.int64: give torch.float16", x.long(), w)
        with self.assertRaises(tilesmith.Error):
            tilesmith.prepare(x, w)

    def test_refusals_of_shapes_and_types(self):
        with FakeTensorMode():
            x = torch.zeros(2, 3, dtype=torch.float16, device="cuda")
            w = torch.zeros(4, 3, dtype=torch.float16, device="cuda")
            b = torch.zeros(4, dtype=torch.float16, device="cuda")
            self.refused(TypeError, r"weight is torch.float32: give torch.float16 or torch.bfloat16 \(a module: .half", x, w.float())
            self.refused(TypeError, "bias is torch.float64", x, w, b.double())
            self.refused(ValueError, "bias is on the device cpu", x, w, b.cpu())
            self.refused(ValueError, r"x has the shape \[2, 3\] and weight \[4, 2\]", x, w[:, :2])
            self.refused(ValueError, r"weight has the shape \[4\]: it must be \[outputs, inputs\]", x, b)
            self.refused(ValueError, r"bias has the shape \[3\]: it must be \[4\]", x, w, b[:3])
            self.refused(ValueError, r"out has the shape \[2, 3\]: it must be \[2, 4\]", x, w, out=x)
            self.refused(TypeError, "epilogue is of type int", x, w, epilogue=7)

    def test_what_guards_tell(self):
        x, w, b = torch.randn(8, 16).half(), torch.randn(4, 16).half(), torch.randn(4).half()
        call = object()
        guarded = _linear._Guarded(call, x, w, b, None)
        if _linear._guards(x) is None:
            self.skipTest("this torch has no guards")
        self.assertTrue(guarded.fits(x, w, b, None))
        self.assertTrue(guarded.fits(x.clone(), w.clone(), b.clone(), None))
        for name, other in {
            "rows": (x[:4], w, b, None),
            "type": (x.float(), w, b, None),
            "strides": (x.T.contiguous().T, w, b, None),
            "no bias": (x, w, None, None),
            "epilogue": (x, w, b, "z"),
            "a parameter": (x, torch.nn.Parameter(w), b, None),
            "no tensor": (x, w, 3, None),
        }.items():
            self.assertFalse(guarded.fits(*other), name)
        weight = torch.nn.Parameter(w)
        with torch.no_grad():
            plain = _linear._Guarded(call, x, weight, None, "z")
            self.assertTrue(plain.fits(x, weight, None, "z"))
            self.assertFalse(plain.fits(x, weight, b, "z"))
        self.assertFalse(plain.fits(x, weight, None, "z"), "a gradient is wanted")
        with FakeTensorMode(allow_non_fake_inputs=True):
            self.assertFalse(guarded.fits(x, w, b, None))
        seen = []
        torch.func.vmap(lambda row: seen.append(guarded.fits(x, w, b, None)) or row)(x)
        torch.func.grad(lambda row: seen.append(guarded.fits(x, w, b, None)) or row.sum())(x.float())
        self.assertEqual(seen, [False, False])

    def test_the_op_knows_its_result(self):
        with FakeTensorMode():
            for dtype, lead in itertools.product(FLOATS, [(), (5,), (2, 3), (2, 0, 3)]):
                x = torch.empty(*lead, 16, dtype=dtype, device="cuda")
                w = torch.empty(8, 16, dtype=torch.float16, device="cuda")
                y = tilesmith.linear(x, w, None, 2.0)
                self.assertEqual((tuple(y.shape), y.dtype, y.device.type), ((*lead, 8), dtype, "cuda"))
                self.assertTrue(y.is_contiguous())
                self.assertIs(tilesmith.linear(x, w, None, 2.0, out=y), y)

    def test_export_keeps_the_call_whole(self):
        with FakeTensorMode():
            layer = tilesmith.FusedLinear(16, 8, 2.0, device="cuda", dtype=torch.float16)
            x = torch.empty(4, 16, dtype=torch.float16, device="cuda")
        program = torch.export.export(layer, (x,), strict=False)
        targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
        self.assertEqual(targets, ["tilesmith.linear.default"])

    def test_compile_keeps_the_call_whole(self):
        graphs = []

        def backend(graph, inputs):
            graphs.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
            return graph.forward

        compiled = torch.compile(lambda x, w, b: tilesmith.linear(x, w, b, 2.0) + 1, backend=backend, fullgraph=True)
        with FakeTensorMode():
            x = torch.empty(4, 16, dtype=torch.float16, device="cuda")
            w = torch.empty(8, 16, dtype=torch.float16, device="cuda")
            compiled(x, w, torch.empty(8, dtype=torch.float16, device="cuda"))
        self.assertEqual(len(graphs), 1)
        self.assertIn("tilesmith.linear", graphs[0][0])

    def test_rows(self):
        for shape, stride, wanted in [
            ((5, 8), (8, 1), (5, 8)),
            ((5, 8), (32, 2), (5, 32)),
            ((2, 3, 8), (24, 8, 1), (6, 8)),
            ((2, 3, 8), (48, 8, 1), None),
            ((3, 2, 8), (8, 24, 1), None),
            ((2, 1, 3, 8), (24, 999, 8, 1), (6, 8)),
            ((4, 3, 8), (0, 0, 1), (12, 0)),
            ((4, 3, 8), (0, 8, 1), None),
            ((2, 0, 8), (7, 8, 1), (0, 0)),
            ((8,), (1,), (1, 0)),
            ((1, 8), (99, 1), (1, 0)),
        ]:
            found = _linear._rows(shape, stride)
            if wanted and wanted[0] == 0:
                self.assertEqual(found[0], 0, shape)
            else:
                self.assertEqual(found, wanted, (shape, stride))

    def test_gradients_are_those_of_the_formula(self):
        torch.manual_seed(1)
        for lead in [(5,), (2, 3)]:
            x, w, b = (torch.randn(*shape, requires_grad=True) for shape in ((*lead, 16), (8, 16), (8,)))
            z = x @ w.T + b
            y = z + 1.5 * torch.sigmoid(z)
            gradient = torch.randn_like(y)
            y.backward(gradient)
            found = _linear._gradients(gradient, x.detach(), w.detach(), b.detach(), 1.5, (True, True, True))
            for got, wanted in zip(found, (x.grad, w.grad, b.grad)):
                torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)

    def test_the_module_is_kernelbench_s(self):
        layer = tilesmith.FusedLinear(32, 16, 2.0)
        self.assertEqual({k: tuple(v.shape) for k, v in layer.state_dict().items()}, {"gemm.weight": (16, 32), "gemm.bias": (16,)})
        torch.manual_seed(3)
        a = tilesmith.FusedLinear(32, 16, 2.0)
        torch.manual_seed(3)
        b = torch.nn.Linear(32, 16)
        self.assertTrue(torch.equal(a.gemm.weight, b.weight) and torch.equal(a.gemm.bias, b.bias))
        self.assertIn("scaling_factor=2.0", repr(layer))


@needs_gpu
class GpuTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(7)

    def tensors(self, m, n, k, x=None, w=None, b=None):
        w = w or torch.float16
        return (
            torch.randn(m, k, device="cuda").to(x or w),
            (torch.randn(n, k, device="cuda") / max(k, 1) ** 0.5).to(w),
            torch.randn(n, device="cuda").to(b or w),
        )

    def close(self, y, x, w, b, scale, message=None):
        wanted = reference(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), w, b, scale).reshape(y.shape)
        bound = {torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.float32: 1e-4}[y.dtype]
        error = float(((y.double() - wanted).abs() / (1 + wanted.abs())).max()) if y.numel() else 0.0
        self.assertLess(error, bound, message)

    def test_types(self):
        for dtypes in itertools.product(FLOATS, HALVES, FLOATS):
            x, w, b = self.tensors(65, 72, 136, *dtypes)
            y = tilesmith.linear(x, w, b, 2.0)
            self.assertEqual(y.dtype, x.dtype)
            self.close(y, x, w, b, 2.0, dtypes)
            for dtype in FLOATS:
                out = torch.full_like(y, float("nan"), dtype=dtype)
                self.assertIs(tilesmith.linear(x, w, b, 0.5, out=out), out)
                self.close(out, x, w, b, 0.5, (*dtypes, dtype))

    def test_shapes(self):
        for m, n, k in [(1, 1, 1), (0, 8, 8), (8, 0, 8), (8, 8, 0), (333, 97, 50), (37, 75, 101), (128, 256, 64)]:
            x, w, b = self.tensors(m, n, k)
            self.close(tilesmith.linear(x, w, b, 2.0), x, w, b, 2.0, (m, n, k))
            self.close(tilesmith.linear(x, w, None, 2.0), x, w, None, 2.0, (m, n, k))
        _, w, b = self.tensors(1, 24, 40)
        for lead in [(), (3,), (2, 3), (2, 1, 3), (2, 0, 3)]:
            x = torch.randn(*lead, 40, device="cuda").half()
            y = tilesmith.linear(x, w, b)
            self.assertEqual(tuple(y.shape), (*lead, 24))
            self.close(y, x, w, b, 1.0, lead)

    def test_strides(self):
        x, w, b = self.tensors(66, 72, 80)
        wide = torch.randn(66, 200, device="cuda").half()
        cases = {
            "x transposed": (torch.randn(80, 66, device="cuda").half().T, w, b),
            "w transposed": (x, torch.randn(80, 72, device="cuda").half().T, b),
            "both strides of x": (wide[:, 3:163:2], w, b),
            "x offset": (wide[:, 1:81], w, b),
            "every other row": (x[::2], w, b),
            "bias with gaps": (x, w, torch.randn(144, device="cuda").half()[::2]),
            "rows repeat": (x[:1].expand(50, 80), w, b),
            "leading dimensions that do not join": (torch.randn(4, 6, 80, device="cuda").half().transpose(0, 1), w, b),
        }
        for name, (x, w, b) in cases.items():
            self.close(tilesmith.linear(x, w, b, 2.0), x, w, b, 2.0, name)
        out = torch.full((66, 200), float("nan"), device="cuda").half()
        x, w, b = self.tensors(66, 72, 80)
        tilesmith.linear(x, w, b, 2.0, out=out[:, 5:77])
        self.close(out[:, 5:77], x, w, b, 2.0, "out with a pitch")
        self.assertTrue(out[:, :5].isnan().all() and out[:, 77:].isnan().all())
        out = torch.full((72, 66), float("nan"), device="cuda").half()
        tilesmith.linear(x, w, b, 2.0, out=out.T)
        self.close(out.T, x, w, b, 2.0, "out transposed")
        with self.assertRaisesRegex(ValueError, "cannot be seen as rows"):
            tilesmith.linear(x.reshape(6, 11, 80), w, b, out=torch.empty(11, 6, 72, device="cuda").half().transpose(0, 1))

    def test_calls_that_come_again(self):
        """The third call of a kind is found by its guard, which calls of another kind must not pass."""
        x, w, b = self.tensors(66, 72, 80)
        wide = torch.randn(66, 160, device="cuda").half()
        self.assertIsNotNone(_linear._guards(x, w, b), "this torch has guards; without them calls take 2 us longer")
        for other in [
            (x[:5], w, b),
            (wide[:, :80], w, b),
            (wide[:, ::2], w, b),
            (x.float(), w, b),
            (x.reshape(6, 11, 80), w, b),
            (x, w, None),
            (x, w, b.float()),
            (x, w, torch.randn(144, device="cuda").half()[::2]),
        ]:
            for arguments in [(x, w, b)] * 4 + [other] * 4 + [(x, w, b)]:
                y = tilesmith.linear(*arguments, 2.0)
                self.assertEqual((y.dtype, y.shape[:-1]), (arguments[0].dtype, arguments[0].shape[:-1]))
                self.close(y, *arguments, 2.0)
        for scale in (0.5, 3):
            self.close(tilesmith.linear(x, w, b, scale), x, w, b, scale)
        torch.testing.assert_close(tilesmith.linear(x, w, b, epilogue="z"), torch.nn.functional.linear(x, w, b), atol=2e-3, rtol=2e-3)
        weight = torch.nn.Parameter(w)
        with torch.no_grad():
            for _ in range(4):
                self.assertFalse(tilesmith.linear(x, weight, b).requires_grad)
        self.assertTrue(tilesmith.linear(x, weight, b).requires_grad)
        weight.data = self.tensors(66, 40, 80)[1]  # another shape in the same object
        with torch.no_grad():
            self.close(tilesmith.linear(x, weight, None), x, weight, None, 1.0)

        class Seen(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, arguments=(), named=None):
                self.names.append(str(function))
                return function(*arguments, **(named or {}))

        with Seen() as seen:
            seen.names = []
            tilesmith.linear(x, w, b, 2.0)
        self.assertIn("tilesmith.linear.default", seen.names)
        with self.assertRaises(Exception):
            tilesmith.linear(x, w.cpu(), b, 2.0)

    def test_epilogue(self):
        x, w, b = self.tensors(65, 72, 136)
        y = tilesmith.linear(x, w, b, 3.0, epilogue="relu(z) * s")
        z = x.double() @ w.double().T + b.double()
        torch.testing.assert_close(y.double(), 3 * z.relu(), atol=2e-3, rtol=2e-3)
        for words, epilogue in [("sin", "sin(z)"), ("r", "z + r")]:
            with self.assertRaisesRegex(tilesmith.Error, words):
                tilesmith.linear(x, w, b, epilogue=epilogue)

    def test_refusals(self):
        x, w, b = self.tensors(8, 8, 8)
        for kind, words, arguments in [
            (TypeError, "scale is of type str", (x, w, b, "two")),
            (TypeError, "weight is torch.float32", (x, w.float(), b)),
            (ValueError, "weight is on the device cpu", (x, w.cpu(), b)),
            (ValueError, r"x has the shape \[8, 7\]", (x[:, :7], w, b)),
        ]:
            with self.assertRaisesRegex(kind, words):
                tilesmith.linear(*arguments)
        self.close(tilesmith.linear(x, w, b), x, w, b, 1.0, "and goes on")

    def test_streams(self):
        x, w, b = self.tensors(256, 256, 256)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            torch.cuda._sleep(10_000_000)
            x2 = x * 2
            y = tilesmith.linear(x2, w, b, 2.0)
        torch.cuda.current_stream().wait_stream(stream)
        self.close(y, x * 2, w, b, 2.0)

    def test_cuda_graphs(self):
        x, w, b = self.tensors(40, 48, 56, torch.bfloat16, torch.bfloat16)
        config = tilesmith.prepare(x, w, b)
        self.assertIsInstance(config, str)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = tilesmith.linear(x, w, b, 2.0)
        for _ in range(3):
            x.normal_()
            graph.replay()
            self.close(y, x, w, b, 2.0)

    def test_tune(self):
        x, w, b = self.tensors(96, 104, 128)
        report = tilesmith.tune(x, w, b, top=3)
        self.assertTrue(all(row["status"] == 0 for row in report["rows"]))
        self.assertEqual(tilesmith.prepare(x, w, b), report["winner"]["config"])
        self.close(tilesmith.linear(x, w, b, 2.0), x, w, b, 2.0)

    def test_rows_that_are_packed_first(self):
        x, w, b = self.tensors(1201, 1203, 1205)
        self.assertIn("_vy2", tilesmith.prepare(x, w, b))
        self.assertNotIn("_vx2", tilesmith.prepare(x, w, b))
        self.close(tilesmith.linear(x, w, b, 2.0), x, w, b, 2.0)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = tilesmith.linear(x, w, b, 2.0)
        x.normal_()
        graph.replay()
        self.close(y, x, w, b, 2.0)

    def test_capture_of_what_was_not_prepared(self):
        x, w, b = self.tensors(41, 48, 56)
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            graph = torch.cuda.CUDAGraph()
            graph.capture_begin()
            with self.assertRaisesRegex(tilesmith.NotReadyError, "ts_linear_prepare"):
                tilesmith.linear(x, w, b, 2.0, epilogue="z + s * tanh(z) + 0.125")
            graph.capture_end()
        torch.cuda.synchronize()
        self.close(tilesmith.linear(x, w, b), x, w, b, 1.0, "and goes on")

    def test_op(self):
        x, w, b = self.tensors(33, 40, 48)
        arguments = (x, w, b, 2.0, None)
        torch.library.opcheck(torch.ops.tilesmith.linear.default, arguments)
        torch.library.opcheck(torch.ops.tilesmith.linear_out.default, (*arguments, torch.empty(33, 40, device="cuda").half()))

    def test_compile_and_export(self):
        layer = tilesmith.FusedLinear(64, 48, 2.0).half().cuda()
        x = torch.randn(33, 64, device="cuda").half()
        with torch.no_grad():
            wanted = layer(x)
            self.assertTrue(torch.equal(torch.compile(layer, fullgraph=True)(x), wanted))
            self.assertTrue(torch.equal(torch.export.export(layer, (x,)).module()(x), wanted))
        compiled = torch.compile(lambda t: layer(t * 2).float().sum(), fullgraph=True)
        compiled(x.requires_grad_()).backward()
        self.assertIsNotNone(layer.gemm.weight.grad)

    def test_gradients(self):
        for dtype in HALVES:
            layer = tilesmith.FusedLinear(64, 48, 1.5).to("cuda", dtype)
            x = torch.randn(2, 17, 64, device="cuda", dtype=dtype, requires_grad=True)
            y = layer(x)
            gradient = torch.randn_like(y)
            y.backward(gradient)
            leaves = [t.detach().double().requires_grad_() for t in (x, layer.gemm.weight, layer.gemm.bias)]
            z = leaves[0] @ leaves[1].T + leaves[2]
            (z + 1.5 * torch.sigmoid(z)).backward(gradient.double())
            for got, leaf in zip((x.grad, layer.gemm.weight.grad, layer.gemm.bias.grad), leaves):
                error = float((got.double() - leaf.grad).norm() / leaf.grad.norm())
                self.assertLess(error, 2e-3 if dtype == torch.float16 else 1.6e-2)
        x, w, b = self.tensors(8, 8, 8)
        with self.assertRaisesRegex(tilesmith.UnsupportedError, "no gradient of the epilogue"):
            tilesmith.linear(x.requires_grad_(), w, b, epilogue="relu(z)")
        with self.assertRaisesRegex(tilesmith.UnsupportedError, "out= takes no gradient"):
            tilesmith.linear(x, w, b, out=torch.empty_like(x))

    def test_module(self):
        model = torch.nn.Module()
        model.gemm = torch.nn.Linear(96, 64)
        layer = tilesmith.FusedLinear(96, 64, 2.0)
        layer.load_state_dict(model.state_dict())
        for dtype in HALVES:
            layer = layer.to("cuda", dtype)
            self.assertIsInstance(layer.prepare(torch.empty(10, 96, device="cuda", dtype=dtype)), str)
            for x_dtype in FLOATS:
                x = torch.randn(10, 96, device="cuda", dtype=x_dtype)
                with torch.no_grad():
                    y = layer(x)
                self.assertEqual(y.dtype, x_dtype)
                self.close(y, x, layer.gemm.weight, layer.gemm.bias, 2.0)

    def test_pinned_config(self):
        x, w, b = self.tensors(64, 64, 64)
        self.addCleanup(tilesmith.set_config, None)
        tilesmith.set_config("mma_sm80_f16_64x64x32_w2x2_s3")
        self.assertEqual(tilesmith.prepare(x, w, b), "mma_sm80_f16_64x64x32_w2x2_s3")
        self.close(tilesmith.linear(x, w, b), x, w, b, 1.0)
        with self.assertRaises(tilesmith.Error):
            tilesmith.linear(*self.tensors(8, 8, 8, None, torch.bfloat16))

    def test_threads(self):
        problems = [self.tensors(17 * (i + 1), 64, 64) for i in range(6)]
        failures = []

        def work(problem):
            try:
                stream = torch.cuda.Stream()
                stream.wait_stream(torch.cuda.default_stream())
                with torch.cuda.stream(stream):
                    for i in range(50):
                        y = tilesmith.linear(*problem, 1.0 + i % 3)
                        self.close(y, *problem, 1.0 + i % 3)
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=work, args=(problem,)) for problem in problems]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    unittest.main()
