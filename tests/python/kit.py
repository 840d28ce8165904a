"""What the Python tests share: the package from the checkout, the emulator, and 16-bit floats without numpy."""

import os
import struct
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("TILESMITH_BUILD", "build")
sys.path.insert(0, str(ROOT / "bindings" / "python"))
os.environ.setdefault("TILESMITH_LIBRARY", str(BUILD / "libtilesmith.so"))

_cache = tempfile.TemporaryDirectory(prefix="tilesmith-tests-")  # until the tests end
os.environ.setdefault("TILESMITH_CACHE_DIR", _cache.name)

EMULATOR = os.environ.get("TILESMITH_EMU_LIB", str(BUILD / "emu" / "libcuda.so.1"))

try:
    import torch
except ModuleNotFoundError:
    torch = None

needs_torch = unittest.skipUnless(torch, "torch is not installed")
needs_gpu = unittest.skipUnless(torch and torch.cuda.is_available(), "torch sees no CUDA device")


def pack(values):
    """float16, little-endian."""
    return struct.pack(f"<{len(values)}e", *values)


def unpack(data):
    return list(struct.unpack(f"<{len(data) // 2}e", data))
