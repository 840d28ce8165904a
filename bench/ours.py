"""tilesmith as a contestant: kernels of the library, pinned by the name of their configuration or its own choice.

    best     every listed configuration of an architecture is timed quickly on the problem, and what ts_linear() does
             where that is another one or it would pack rows first; the fastest one competes
    auto     tilesmith.linear(): what ts_linear() chooses
    NAME     that configuration

Variants take the same problem in another form: x in float32, or w with its outputs contiguous. They use the
configurations made for that, which differ by a field in their names.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import torch

import measure
import peers

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
sys.path.insert(0, str(ROOT / "bindings" / "python"))


def build():
    """The library and the program, made where they are missing or old. TILESMITH_LIBRARY names another library."""
    if "TILESMITH_LIBRARY" not in os.environ:
        subprocess.run(["make", "-s", "-C", str(ROOT), f"-j{os.cpu_count() or 1}", "all"], check=True)


def listed(arch, dtype):
    """Names of the configurations that work, best first for large problems."""
    name = {torch.float16: "f16", torch.bfloat16: "bf16"}[dtype]
    command = [str(BUILD / "tilesmith"), "list", "--arch", arch, "--dtype", name]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def device_arch():
    """The newest architecture whose list is offered for the current device."""
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) == (9, 0):
        return "sm_90a"
    for sm in (120, 90, 89, 86, 80):
        if sm <= 10 * major + minor:
            return f"sm_{sm}"
    raise SystemExit(f"sm_{major}{minor} is older than sm_80, which tilesmith's kernels need")


# Name of the contestant: the field, and what becomes of the operands.
VARIANTS = {
    "tilesmith-xf32": ("_xf32", lambda x, w, b: (x.float(), w, b)),
    "tilesmith-wcol": ("_wcol", lambda x, w, b: (x, w.T.contiguous().T, b)),
}


def with_field(config, field):
    """The field stands behind that of the stages: mma_sm89_f16_128x128x32_w2x4_s3_xf32_vx8."""
    return re.sub(r"(_w\d+x\d+_s\d+)", r"\g<1>" + field, config)


def _set_addresses(args, x, w, b, y):
    args.x.data, args.w.data, args.y.data, args.bias = x.data_ptr(), w.data_ptr(), y.data_ptr(), b.data_ptr()


class Ours:
    """Calls of one kernel, with its argument struct made once a set of shapes, strides and types."""

    def __init__(self, kernel, library):
        self.kernel, self.library, self.made, self.workspaces = kernel, library, {}, []

    def _args(self, x, w, b, y):
        lib = self.library
        types = {torch.float16: lib.F16, torch.bfloat16: lib.BF16, torch.float32: lib.F32}

        def matrix(t):
            return lib.Matrix(0, t.stride(0), t.stride(1), types[t.dtype])

        (m, k), n = x.shape, w.shape[0]
        return lib.LinearArgs(m=m, n=n, k=k, x=matrix(x), w=matrix(w), y=matrix(y), bias_dtype=types[b.dtype], s=peers.SCALE)

    def _with_workspace(self, args):
        args.workspace_bytes = self.kernel.workspace_bytes(args)
        self.workspaces.append(torch.empty(args.workspace_bytes, dtype=torch.uint8, device="cuda"))
        args.workspace = self.workspaces[-1].data_ptr()
        return args

    def __call__(self, x, w, b):
        y = torch.empty((x.shape[0], w.shape[0]), device=x.device, dtype=w.dtype)
        key = (x.shape, x.stride(), x.dtype, w.shape, w.stride(), w.dtype, b.dtype)
        args = self.made.get(key)
        if args is None:
            args = self.made[key] = self._with_workspace(self._args(x, w, b, y))
        _set_addresses(args, x, w, b, y)
        self.kernel.launch(args, torch.cuda.current_stream().cuda_stream)
        return y


class Linear:
    """Calls of tilesmith.linear(), with the kernel that it chooses, for its facts."""

    def __init__(self, kernel):
        import tilesmith

        self.linear, self.kernel = tilesmith.linear, kernel

    def __call__(self, x, w, b):
        return self.linear(x, w, b, peers.SCALE)


class Preparer:
    """prepare(sets) as those of peers.PREPARE."""

    def __init__(self, arch, config, log, field="", transform=None):
        import tilesmith
        from tilesmith import _library

        self.arch = device_arch() if arch == "device" else arch
        os.environ["TILESMITH_ARCH"] = self.arch  # for what ts_linear() chooses
        self.config, self.log, self.field, self.transform = config, log, field, transform
        self.library, self.error = _library, tilesmith.Error
        self.context = tilesmith.Context(torch.cuda.current_device())
        self.kernels = {}

    def load(self, name):
        if name not in self.kernels:
            self.kernels[name] = self.context.load(name)
        return self.kernels[name]

    def _linear(self, sets):
        import tilesmith

        return Linear(self.load(tilesmith.prepare(*sets[0])))

    def packs(self, x, w, b):
        """Whether ts_linear() would like a workspace that is not for the kernel of its choice."""
        import tilesmith

        kernel = self.load(tilesmith.prepare(x, w, b))
        y = torch.empty((x.shape[0], w.shape[0]), device=x.device, dtype=w.dtype)
        args = Ours(None, self.library)._args(x, w, b, y)
        _set_addresses(args, x, w, b, y)
        return self.context.workspace_bytes(args) > 0 and kernel.workspace_bytes(args) == 0

    def _names(self, sets):
        """Those that are listed, and the library's choice, which may be made for the problem."""
        import tilesmith

        names = [with_field(name, self.field) for name in listed(self.arch, sets[0][1].dtype)]
        return list(dict.fromkeys([*names, tilesmith.prepare(*sets[0])]))

    def _best(self, sets):
        times, refused, packing = {}, [], "ts_linear(), packing"
        for name in self._names(sets):
            try:
                times[name] = measure.quick_us(Ours(self.load(name), self.library), sets)
            except self.error as error:  # a kernel for other alignments, or too large for this device
                refused.append(f"{name}: {error}")
        if self.packs(*sets[0]):
            times[packing] = measure.quick_us(self._linear(sets), sets)
        if not times:
            raise RuntimeError(f"no listed configuration of {self.arch} works: " + "; ".join(refused[:3]))
        for name in sorted(times, key=times.get)[:5]:
            self.log(f"    {name:48} {times[name]:10.2f} us")
        self.log(f"    {len(times)} configurations of {self.arch} were timed, {len(refused)} do not take this problem")
        best = min(times, key=times.get)
        return self._linear(sets) if best == packing else Ours(self.load(best), self.library)

    def __call__(self, sets):
        if self.config == "best":
            call = self._best(sets)
        elif self.config == "auto":
            call = self._linear(sets)
        else:
            call = Ours(self.load(with_field(self.config, self.field)), self.library)
        info = call.kernel.info()
        spills = f" local {info['local_bytes']} B" if info["local_bytes"] else ""
        packed = " after packing" if self.packs(*sets[0]) and isinstance(call, Linear) else ""
        return call, f"{info['config']}{packed} ({info['registers']} registers,{spills} {info['blocks_per_sm']} blocks/SM)"
