"""tilesmith: fused linear layers on NVIDIA GPUs.

    y = z + scale * sigmoid(z),  z = x W^T + bias        (or another expression in z)

    tilesmith.linear(x, weight, bias, scale)             one call on torch CUDA tensors
    tilesmith.prepare(x, weight, bias)                   loads its kernel ahead, for CUDA graphs
    tilesmith.tune(x, weight, bias)                      measures configurations for it, and keeps the best
    tilesmith.FusedLinear(input_size, hidden_size, scaling_factor)      the layer as a module

Without torch only the library itself can be used: tilesmith.Context, tilesmith.generate().
"""

from ._library import (
    ArgumentTypeError,
    Context,
    DriverError,
    Error,
    FileError,
    InvalidArgumentError,
    Kernel,
    KernelError,
    LaunchError,
    LibraryError,
    MisalignedError,
    NotReadyError,
    OutOfMemoryError,
    UnsupportedError,
    generate,
    version,
)

__version__ = "0.1.0"

_NEED_TORCH = ("linear", "prepare", "tune", "set_config", "FusedLinear")

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as _missing:
    if _missing.name != "torch":
        raise

    def __getattr__(name):
        if name in _NEED_TORCH:
            raise ImportError(f"tilesmith.{name} works on torch tensors, and torch is not installed: pip install torch")
        raise AttributeError(f"module 'tilesmith' has no attribute '{name}'")

else:
    from ._linear import FusedLinear, linear, prepare, set_config, tune

__all__ = [
    "ArgumentTypeError",
    "Context",
    "DriverError",
    "Error",
    "FileError",
    "InvalidArgumentError",
    "Kernel",
    "KernelError",
    "LaunchError",
    "LibraryError",
    "MisalignedError",
    "NotReadyError",
    "OutOfMemoryError",
    "UnsupportedError",
    "generate",
    "version",
    *(_NEED_TORCH if "linear" in globals() else ()),
]
