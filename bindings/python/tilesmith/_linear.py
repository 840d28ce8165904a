"""tilesmith.linear() and FusedLinear on torch tensors.

Types: weight is float16 or bfloat16 and says what is multiplied; x, bias and y are float32, float16 or bfloat16,
each for itself. x is rounded to weight's type on its way in, sums are float32, and y is rounded once, to the
type of `out`, or of x where there is no `out`. So a float32 activation gives a float32 result.

Three ways lead to the same call of the library, ts_linear():

    plain tensors              straight, for the least time on the CPU
    plain, gradients wanted    through an autograd.Function
    torch.compile, export, fake tensors, modes and functorch      through the custom op tilesmith::linear

Straight means: shapes, strides, types and devices of the arguments are looked up in a table of calls made
before. A call that is found has passed the checks, and has its argument struct filled in but for addresses and
scale. The table belongs to the thread, since the struct is written to. Every microsecond counts on this way, so it
takes few calls of functions, and writes to the struct through views of its memory; and a weight that comes again
with the same x has a guard, with which torch compares types, sizes, strides and devices in one call.
"""

import ctypes
import threading
from typing import Optional

import torch
from torch import nn
from torch.nn import functional

from . import _library
from ._library import ArgumentTypeError, InvalidArgumentError, UnsupportedError

_DTYPES = {torch.float16: _library.F16, torch.bfloat16: _library.BF16, torch.float32: _library.F32}
_WEIGHT_DTYPES = (torch.float16, torch.bfloat16)

# ---- contexts: one a device, made at first use, kept to the end of the process ----

_contexts = {}
_contexts_lock = threading.Lock()


def _context(device):
    context = _contexts.get(device)
    if context is None:
        with _contexts_lock:
            context = _contexts.get(device)
            if context is None:
                context = _contexts[device] = _library.Context(device)
    return context


def set_config(config, device=None):
    """Uses the configuration of this name for every call on a CUDA device (None: the current one), and refuses what
    it cannot do. config None: chooses again."""
    _context(torch.cuda.current_device() if device is None else torch.device(device).index or 0).set_config(config)


# ---- checks ----


def _shape(tensor):
    return "[" + ", ".join(str(size) for size in tensor.shape) + "]"


def _check_tensor(name, value):
    if not isinstance(value, torch.Tensor):
        raise ArgumentTypeError(f"{name} is of type {type(value).__name__}: give a torch tensor on a CUDA device")
    if value.layout != torch.strided:
        raise ArgumentTypeError(f"{name} has the layout {value.layout}: give a dense tensor, for instance {name}.to_dense()")


def _check_dtype(name, value, allowed):
    if value.dtype in allowed:
        return
    texts = [str(dtype) for dtype in allowed]
    advice = " (a module: .half() or .bfloat16())" if name == "weight" else ""
    raise ArgumentTypeError(f"{name} is {value.dtype}: give {', '.join(texts[:-1])} or {texts[-1]}{advice}")


def _check_device(name, value, x):
    if not value.is_cuda:
        raise InvalidArgumentError(f"{name} is on the device {value.device}: move it to a CUDA device")
    if value.device != x.device:
        raise InvalidArgumentError(f"{name} is on {value.device} and x on {x.device}: move them to one device")


def _check_shapes(x, weight, bias, out):
    if weight.dim() != 2:
        raise InvalidArgumentError(f"weight has the shape {_shape(weight)}: it must be [outputs, inputs]")
    if x.dim() == 0 or x.shape[-1] != weight.shape[1]:
        raise InvalidArgumentError(
            f"x has the shape {_shape(x)} and weight {_shape(weight)}: the last size of x must be the last of weight"
        )
    if bias is not None and (bias.dim() != 1 or bias.shape[0] != weight.shape[0]):
        raise InvalidArgumentError(f"bias has the shape {_shape(bias)}: it must be [{weight.shape[0]}], one for each row of weight")
    if out is not None and tuple(out.shape) != (*x.shape[:-1], weight.shape[0]):
        wanted = ", ".join(str(size) for size in (*x.shape[:-1], weight.shape[0]))
        raise InvalidArgumentError(f"out has the shape {_shape(out)}: it must be [{wanted}]")


def _check(x, weight, bias, out, epilogue):
    given = [("x", x, tuple(_DTYPES)), ("weight", weight, _WEIGHT_DTYPES)]
    given += [("bias", bias, tuple(_DTYPES))] if bias is not None else []
    given += [("out", out, tuple(_DTYPES))] if out is not None else []
    for name, value, _ in given:
        _check_tensor(name, value)
    for name, value, allowed in given:
        _check_dtype(name, value, allowed)
        _check_device(name, value, x)
    _check_shapes(x, weight, bias, out)
    if epilogue is not None and not isinstance(epilogue, str):
        raise ArgumentTypeError(f"epilogue is of type {type(epilogue).__name__}: give an expression in a string, or None")


# ---- calls ----

_MAX_CALLS = 4096  # in a thread's table


def _rows(shape, stride):
    """All dimensions but the last as one: (rows, stride from row to row), or None where one stride does not do."""
    rows, step = 1, 0
    for size, distance in zip(reversed(shape[:-1]), reversed(stride[:-1])):
        if size == 1:
            continue
        if rows == 1:
            step = distance
        elif distance != step * rows:
            return (0, 0) if 0 in shape else None
        rows *= size
    return rows, step


def _contiguous_strides(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def _matrix(tensor, step):
    return _library.Matrix(0, step, tensor.stride(-1), _DTYPES[tensor.dtype])


class _Call:
    """One signature: what is the same for all calls of it."""

    __slots__ = (
        "args", "ref", "words", "floats", "context", "handle", "launch", "device", "empty", "shape", "strides", "dtype",
        "copy_x", "copy_bias", "nothing", "workspace_bytes", "pins",
    )  # fmt: skip

    def __init__(self, x, weight, bias, out, epilogue):
        _check(x, weight, bias, out, epilogue)
        self.shape = (*x.shape[:-1], weight.shape[0])
        self.strides = _contiguous_strides(self.shape)
        self.dtype = x.dtype
        self.device = x.get_device()
        self.empty = _empty_strided if torch.cuda.device_count() == 1 else None
        self.context = _context(self.device)
        self.handle = self.context.handle
        self.launch = _library.library().ts_linear
        rows = _rows(x.shape, x.stride())
        self.copy_x = rows is None
        self.copy_bias = bias is not None and bias.shape[0] > 1 and bias.stride(0) != 1
        self._fill(x.reshape(-1, x.shape[-1]) if self.copy_x else x, weight, bias, out, epilogue)

    def _fill(self, x, weight, bias, out, epilogue):
        m, x_step = _rows(x.shape, x.stride())
        n, k = weight.shape
        self.nothing = m == 0 or n == 0
        self.workspace_bytes = self.pins = None  # not asked yet; context.pins when it was asked
        y_rows = (m, n) if out is None else _rows(out.shape, out.stride())
        if y_rows is None:
            raise InvalidArgumentError(f"out has the strides {out.stride()}: they cannot be seen as rows at one distance")
        y = _library.Matrix(0, y_rows[1], 1 if out is None else out.stride(-1), _DTYPES[x.dtype if out is None else out.dtype])
        self.args = _library.LinearArgs(m=m, n=n, k=k, x=_matrix(x, x_step), w=_matrix(weight, weight.stride(0)), y=y)
        self.args.bias_dtype = _DTYPES[bias.dtype if bias is not None else weight.dtype]
        self.args.epilogue = None if epilogue is None else epilogue.encode()
        self.ref = ctypes.byref(self.args)
        memory = memoryview(self.args).cast("B")
        self.words, self.floats = memory.cast("Q"), memory.cast("f")


class _Table(threading.local):
    def __init__(self):
        self.calls = {}  # by signature
        self.guarded = {}  # by id(weight): a _Guarded, or the _Call that would become one if it came again


_table = _Table()


def _find(x, weight, bias, out, epilogue):
    calls = _table.calls
    key = None
    try:
        key = (
            x.shape, x.is_contiguous() or x.stride(), x.dtype, x.get_device(),
            weight.shape, weight.is_contiguous() or weight.stride(), weight.dtype, weight.get_device(),
            None if bias is None else (bias.shape, bias.is_contiguous() or bias.stride(), bias.dtype, bias.get_device()),
            None if out is None else (out.shape, out.is_contiguous() or out.stride(), out.dtype, out.get_device()),
            epilogue,
        )  # fmt: skip
        return calls[key]
    except (KeyError, AttributeError, TypeError, RuntimeError):  # new, or no tensors, which _Call says in a sentence
        call = _Call(x, weight, bias, out, epilogue)
    if len(calls) >= _MAX_CALLS:
        calls.clear()
    calls[key] = call
    return call


# Where the struct has what differs from call to call, in its views of words and of floats.
_X, _W, _Y = (getattr(_library.LinearArgs, name).offset // 8 for name in ("x", "w", "y"))  # data comes first
_BIAS = _library.LinearArgs.bias.offset // 8
_S = _library.LinearArgs.s.offset // 4


def _set_addresses(call, x, weight, bias, y):
    words = call.words
    words[_X] = x.data_ptr()
    words[_W] = weight.data_ptr()
    words[_Y] = 0 if y is None else y.data_ptr()
    words[_BIAS] = 0 if bias is None else bias.data_ptr()


def _ask_workspace(call):
    """What is asked once, until another configuration is pinned; addresses that are less aligned later on do without."""
    call.args.workspace = call.args.workspace_bytes = 0
    call.pins = call.context.pins
    call.workspace_bytes = call.context.workspace_bytes(call.args)


def _set_workspace(call):
    """Rows that are not aligned to 16 bytes go faster with a workspace, and blocks that share tiles need one. It is
    torch's memory, of the current stream, and may go back to torch when the call is enqueued: keep what is returned
    until then."""
    if call.pins != call.context.pins:
        _ask_workspace(call)
    if not call.workspace_bytes:
        return None
    workspace = torch.empty(call.workspace_bytes, dtype=torch.uint8, device=torch.device("cuda", call.device))
    call.args.workspace = workspace.data_ptr()
    call.args.workspace_bytes = call.workspace_bytes
    return workspace


def _current_stream(device):
    return torch.cuda.current_stream(device).cuda_stream


_stream = getattr(torch._C, "_cuda_getCurrentRawStream", _current_stream)

# What code that torch.compile generates calls for its results, on the current device; new_empty() takes twice as long.
_empty_strided = getattr(getattr(getattr(torch._C, "_dynamo", None), "guards", None), "_empty_strided_cuda", None)


def _guards(*tensors):
    """A function of torch.compile's own that says whether tensors are like these; None where torch has no such thing."""
    try:
        return torch._C._dynamo.guards.TensorGuards(*tensors, dynamic_dims_sizes=None, dynamic_dims_strides=None).check
    except (AttributeError, TypeError, RuntimeError):
        return None


class _Guarded:
    """A call of plain tensors without out= and without a gradient, and what tells that others are like them: in type, sizes,
    strides, element type, device, and the transforms that would see them."""

    __slots__ = ("call", "check", "epilogue", "has_bias", "requires_grad")

    def __init__(self, call, x, weight, bias, epilogue):
        self.check = (_guards(x, weight) if bias is None else _guards(x, weight, bias)) or _never
        self.call, self.epilogue, self.has_bias = call, epilogue, bias is not None
        self.requires_grad = _requires_grad(x, weight, bias)

    def fits(self, x, weight, bias, epilogue):
        return (
            (self.check(x, weight, bias) if self.has_bias else bias is None and self.check(x, weight))
            and self.epilogue == epilogue
            and not _count_modes()
            and not (self.requires_grad and torch.is_grad_enabled())
        )


def _never(*_):
    return False


def _guard(call, x, weight, bias, epilogue):
    """If nothing else came for this weight since the call came before: a guard is not made in a microsecond."""
    guarded = _table.guarded
    again = guarded.get(id(weight)) is call
    if len(guarded) >= _MAX_CALLS:
        guarded.clear()
    guarded[id(weight)] = _Guarded(call, x, weight, bias, epilogue) if again else call


def _run(x, weight, bias, scale, epilogue, out):
    return _launch(_find(x, weight, bias, out, epilogue), x, weight, bias, scale, out)


def _launch(call, x, weight, bias, scale, out):
    if out is not None:
        y = out
    elif call.empty:
        y = call.empty(call.shape, call.strides, call.dtype)
    else:
        y = x.new_empty(call.shape)
    if call.nothing:
        return y
    if call.copy_x:
        x = x.reshape(-1, x.shape[-1])
    if call.copy_bias:
        bias = bias.contiguous()
    _set_addresses(call, x, weight, bias, y)
    workspace = None if call.workspace_bytes == 0 and call.pins == call.context.pins else _set_workspace(call)
    try:
        call.floats[_S] = scale
    except TypeError:
        raise ArgumentTypeError(f"scale is of type {type(scale).__name__}: give a number") from None
    status = call.launch(call.handle, call.ref, _stream(call.device))
    del workspace
    if status:
        _library.fail(status)
    return y


# ---- the custom op ----


@torch.library.custom_op("tilesmith::linear", mutates_args=(), device_types="cuda")
def _op(x: torch.Tensor, weight: torch.Tensor, bias: Optional[torch.Tensor], scale: float, epilogue: Optional[str]) -> torch.Tensor:
    return _run(x, weight, bias, scale, epilogue, None)


@_op.register_fake
def _(x, weight, bias, scale, epilogue):
    _check(x, weight, bias, None, epilogue)
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


@torch.library.custom_op("tilesmith::linear_out", mutates_args=("out",), device_types="cuda")
def _op_out(
    x: torch.Tensor, weight: torch.Tensor, bias: Optional[torch.Tensor], scale: float, epilogue: Optional[str], out: torch.Tensor
) -> None:
    _run(x, weight, bias, scale, epilogue, out)


@_op_out.register_fake
def _(x, weight, bias, scale, epilogue, out):
    _check(x, weight, bias, out, epilogue)


# ---- gradients, of the default epilogue, in torch's own operations ----


def _refuse_gradient(epilogue):
    if epilogue is not None:
        raise UnsupportedError(
            f"there is no gradient of the epilogue '{epilogue}', only of the default one: call under torch.no_grad()"
        )


def _gradients(gradient, x, weight, bias, scale, wanted):
    """dy/dz = 1 + scale * sigmoid'(z), with z computed again."""
    dtype = weight.dtype
    z = functional.linear(x.to(dtype), weight, None if bias is None else bias.to(dtype)).float()
    sigmoid = torch.sigmoid(z)
    of_z = (gradient.float() * (1 + scale * sigmoid * (1 - sigmoid))).to(dtype)
    rows = of_z.reshape(-1, weight.shape[0])
    of_x = (of_z @ weight).to(x.dtype) if wanted[0] else None
    of_weight = rows.T @ x.to(dtype).reshape(-1, weight.shape[1]) if wanted[1] else None
    of_bias = rows.sum(0, dtype=torch.float32).to(bias.dtype) if bias is not None and wanted[2] else None
    return of_x, of_weight, of_bias, None, None


def _keep(ctx, inputs, output):
    x, weight, bias, scale, epilogue = inputs
    _refuse_gradient(epilogue)
    ctx.save_for_backward(x, weight, bias)
    ctx.scale = scale


def _backward(ctx, gradient):
    return _gradients(gradient, *ctx.saved_tensors, ctx.scale, ctx.needs_input_grad)


_op.register_autograd(_backward, setup_context=_keep)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, scale, epilogue):
        _keep(ctx, (x, weight, bias, scale, epilogue), None)
        return _run(x, weight, bias, scale, epilogue, None)

    backward = staticmethod(_backward)


# ---- the public functions ----

_PLAIN = frozenset((torch.Tensor, nn.Parameter))


def _none():
    return None


# Looked up once: to find it in its modules takes a third of the time of its call.
_is_compiling = torch.compiler.is_compiling

# Modes and transforms that want to see every operation; where torch does not tell, the custom op is the way.
_count_modes = getattr(torch._C, "_len_torch_dispatch_stack", None) or (lambda: 1)
_transform = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None) or _none


def _requires_grad(x, weight, bias):
    return x.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)


def linear(x, weight, bias=None, scale=1.0, epilogue=None, out=None):
    """y = z + scale * sigmoid(z), z = x weight^T + bias, on x's CUDA device and torch's current stream.

    x [..., k], weight [n, k] and bias [n] may have any strides; y [..., n] is new and contiguous, or `out`, which must
    not overlap an input. Types: see the module. `epilogue` is another expression over z, acc, bias and s (the scale).

    The first call of a kind generates and loads its kernel. Under CUDA graph capture it must have been loaded before,
    by such a call or by prepare(), or NotReadyError is raised. The default epilogue has a gradient (not with `out`).
    """
    if not _is_compiling():
        guarded = _table.guarded.get(id(weight))
        if type(guarded) is _Guarded and out is None and guarded.fits(x, weight, bias, epilogue):
            return _launch(guarded.call, x, weight, bias, scale, None)
        if (
            type(x) in _PLAIN
            and type(weight) in _PLAIN
            and (bias is None or type(bias) in _PLAIN)
            and (out is None or type(out) in _PLAIN)
            and not _count_modes()
            and _transform() is None
        ):
            if not (torch.is_grad_enabled() and _requires_grad(x, weight, bias)):
                call = _find(x, weight, bias, out, epilogue)
                if out is None:
                    _guard(call, x, weight, bias, epilogue)
                return _launch(call, x, weight, bias, scale, out)
            if out is None:
                return _Differentiable.apply(x, weight, bias, scale, epilogue)
            raise UnsupportedError("out= takes no gradient: call without it, or under torch.no_grad()")
        _check(x, weight, bias, out, epilogue)
    if out is None:
        return _op(x, weight, bias, float(scale), epilogue)
    _op_out(x, weight, bias, float(scale), epilogue, out)
    return out


def prepare(x, weight, bias=None, epilogue=None, out=None):
    """Loads what linear() will need for tensors of these shapes, strides, types and alignments, without launching.
    Returns the name of the configuration (None: there is nothing to compute)."""
    call = _find(x, weight, bias, out, epilogue)
    _set_addresses(call, x.reshape(-1, x.shape[-1]) if call.copy_x else x, weight, bias, out)
    workspace = _set_workspace(call)
    kernel = call.context.prepare(call.args)
    del workspace
    return kernel.info()["config"] if kernel else None


def tune(x, weight, bias=None, epilogue=None, out=None, budget_seconds=0, top=0):
    """Measures configurations for linear() on tensors of these shapes, strides, types and alignments, whose data are not
    touched, and has it use the best from now on, here and in other processes. Returns what was measured: see
    Context.tune(). budget_seconds and top: 0 is the library's own choice."""
    call = _find(x, weight, bias, out, epilogue)
    _set_addresses(call, x.reshape(-1, x.shape[-1]) if call.copy_x else x, weight, bias, out)
    workspace = _set_workspace(call)
    report = call.context.tune(call.args, budget_seconds, top)
    del workspace
    return report


class FusedLinear(nn.Module):
    """y = z + scaling_factor * sigmoid(z), z = gemm(x), in one kernel.

    `gemm` is an nn.Linear with its parameters and their initialisation; only they are used. As everywhere in torch they
    start in float32 on the CPU: move the module to a CUDA device in half() or bfloat16(). y has x's type.
    """

    def __init__(self, input_size, hidden_size, scaling_factor, device=None, dtype=None):
        super().__init__()
        self.gemm = nn.Linear(input_size, hidden_size, device=device, dtype=dtype)
        self.scaling_factor = scaling_factor

    def forward(self, x):
        # As attributes of modules parameters would be looked up by functions of Python, which take longer than all of
        # linear()'s own checks; under a parametrization they are attributes alone.
        gemm = self._modules["gemm"]
        try:
            weight, bias = gemm._parameters["weight"], gemm._parameters["bias"]
        except KeyError:
            weight, bias = gemm.weight, gemm.bias
        return linear(x, weight, bias, self.scaling_factor)

    def prepare(self, x):
        """prepare() for inputs like x."""
        return prepare(x, self.gemm.weight, self.gemm.bias)

    def extra_repr(self):
        return f"scaling_factor={self.scaling_factor}"
