"""libtilesmith.so through ctypes: structs, statuses as exceptions, contexts and kernels. Needs no torch.

    find    TILESMITH_LIBRARY; beside this package; build/ of the repository; where the system's loader looks
    call    every function that can fail returns a ts_status, which becomes an exception with the library's
            own sentence

The structs mirror runtime/tilesmith.h field by field. Each carries its size, so that a library of another
release takes it or says why not.
"""

import ctypes
import os
import threading
from ctypes import c_char, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint64, c_void_p
from pathlib import Path

# ---- exceptions ----


class Error(Exception):
    """What tilesmith refuses or fails at. `status` is the number of the library's ts_status, or None."""

    status = None


class LibraryError(Error, RuntimeError):
    """libtilesmith.so is missing or is another library."""


class InvalidArgumentError(Error, ValueError):
    """An argument is out of range or contradicts another."""


class ArgumentTypeError(Error, TypeError):
    """An argument is no tensor, or a tensor of a wrong dtype."""


class DriverError(Error, RuntimeError):
    """The CUDA driver, device or context does not work."""


class KernelError(Error, RuntimeError):
    """A kernel cannot be loaded."""


class UnsupportedError(Error, NotImplementedError):
    """No kernel does what is asked."""


class MisalignedError(Error, ValueError):
    """An address or row pitch is not aligned as a pinned kernel needs."""


class OutOfMemoryError(Error, MemoryError):
    """The host or the device is out of memory."""


class FileError(Error, OSError):
    """A file cannot be read or written."""


class NotReadyError(Error, RuntimeError):
    """A stream is capturing and the kernel was not prepared."""


class LaunchError(Error, RuntimeError):
    """A kernel could not be launched, or failed while running."""


# By the number of the ts_status, which never changes.
_EXCEPTIONS = {
    1: InvalidArgumentError,
    2: DriverError,
    3: DriverError,
    4: DriverError,
    5: DriverError,
    6: KernelError,
    7: KernelError,
    8: KernelError,
    9: UnsupportedError,
    10: MisalignedError,
    11: OutOfMemoryError,
    12: FileError,
    13: NotReadyError,
    14: LaunchError,
    15: DriverError,
}

# ---- structs ----

F16, BF16, F32 = 1, 2, 3
DTYPE_NAMES = {F16: "f16", BF16: "bf16", F32: "f32"}
LAYOUT_NAMES = {0: "row", 1: "col", 2: "any"}


class Matrix(ctypes.Structure):
    _fields_ = [("data", c_uint64), ("row_stride", c_int64), ("col_stride", c_int64), ("dtype", c_int)]


class LinearArgs(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("m", c_int64),
        ("n", c_int64),
        ("k", c_int64),
        ("x", Matrix),
        ("w", Matrix),
        ("y", Matrix),
        ("r", Matrix),
        ("bias", c_uint64),
        ("bias_dtype", c_int),
        ("s", c_float),
        ("t", c_float),
        ("epilogue", c_char_p),
        ("workspace", c_uint64),
        ("workspace_bytes", c_size_t),
    ]

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(type(self)), **fields)


class ContextOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("driver_library", c_char_p),
        ("device_ordinal", c_int32),
        ("no_early_start", c_int32),
        ("cache_dir", c_char_p),
        ("log", c_char_p),
        ("tuning", c_int),
    ]


class DeviceInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("ordinal", c_int32),
        ("compute_major", c_int32),
        ("compute_minor", c_int32),
        ("sm_count", c_int32),
        ("driver_version", c_int32),
        ("block_smem_bytes", c_int32),
        ("memory_bytes", c_uint64),
        ("name", c_char * 256),
    ]


class KernelInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("config", c_char_p),
        ("entry", c_char_p),
        ("target", c_char_p),
        ("epilogue", c_char_p),
        ("x", c_int),
        ("w", c_int),
        ("bias", c_int),
        ("y", c_int),
        ("tile_m", c_int32),
        ("tile_n", c_int32),
        ("tile_k", c_int32),
        ("block_threads", c_int32),
        ("smem_bytes", c_int32),
        ("x_align", c_int32),
        ("w_align", c_int32),
        ("y_align", c_int32),
        ("takes_bias", c_int32),
        ("takes_r", c_int32),
        ("registers", c_int32),
        ("local_bytes", c_int32),
        ("blocks_per_sm", c_int32),
        ("x_layout", c_int),
        ("w_layout", c_int),
        ("y_layout", c_int),
        ("n_multiple", c_int32),
    ]


class TuneRow(ctypes.Structure):
    _fields_ = [
        ("config", c_char_p),
        ("status", c_int),
        ("reason", c_char_p),
        ("us", c_double),
        ("spread", c_double),
        ("speedup", c_double),
        ("registers", c_int32),
        ("local_bytes", c_int32),
        ("smem_bytes", c_int32),
        ("blocks_per_sm", c_int32),
    ]


class TuneReport(ctypes.Structure):
    _fields_ = [
        ("rows", ctypes.POINTER(TuneRow)),
        ("n_rows", c_int32),
        ("winner", c_int32),
        ("untried", c_int32),
        ("rule", c_char_p),
        ("store", c_char_p),
        ("not_stored", c_char_p),
        ("seconds", c_double),
    ]


class TuneOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("budget_seconds", c_double),
        ("top", c_int32),
        ("rounds", c_int32),
        ("progress", c_void_p),
        ("data", c_void_p),
    ]


# ---- functions: name, result, arguments ----

_P = ctypes.POINTER
_FUNCTIONS = [
    ("ts_version", c_char_p, []),
    ("ts_last_error", c_char_p, []),
    ("ts_status_name", c_char_p, [c_int]),
    ("ts_context_create", c_int, [_P(ContextOptions), _P(c_void_p)]),
    ("ts_context_destroy", None, [c_void_p]),
    ("ts_context_get_info", c_int, [c_void_p, _P(DeviceInfo)]),
    ("ts_context_set_config", c_int, [c_void_p, c_char_p]),
    ("ts_linear", c_int, [c_void_p, c_void_p, c_void_p]),
    ("ts_linear_prepare", c_int, [c_void_p, c_void_p, _P(c_void_p)]),
    ("ts_linear_workspace", c_int, [c_void_p, c_void_p, _P(c_size_t)]),
    ("ts_tune", c_int, [c_void_p, c_void_p, _P(TuneOptions), _P(_P(TuneReport))]),
    ("ts_tune_report_free", None, [_P(TuneReport)]),
    ("ts_generate", c_int, [c_char_p, _P(c_void_p), _P(c_size_t)]),
    ("ts_free_text", None, [c_void_p]),
    ("ts_kernel_load", c_int, [c_void_p, c_void_p, c_size_t, _P(c_void_p)]),
    ("ts_kernel_load_file", c_int, [c_void_p, c_char_p, _P(c_void_p)]),
    ("ts_kernel_destroy", None, [c_void_p]),
    ("ts_kernel_get_info", c_int, [c_void_p, _P(KernelInfo)]),
    ("ts_kernel_workspace", c_int, [c_void_p, c_void_p, _P(c_size_t)]),
    ("ts_kernel_launch", c_int, [c_void_p, c_void_p, c_void_p]),
    ("ts_malloc", c_int, [c_void_p, c_size_t, _P(c_uint64)]),
    ("ts_free", c_int, [c_void_p, c_uint64]),
    ("ts_copy_to_device", c_int, [c_void_p, c_uint64, c_void_p, c_size_t]),
    ("ts_copy_to_host", c_int, [c_void_p, c_void_p, c_uint64, c_size_t]),
    ("ts_fill", c_int, [c_void_p, c_uint64, c_uint8, c_size_t]),
    ("ts_stream_synchronize", c_int, [c_void_p, c_void_p]),
]

# ---- finding and opening the library ----

_NAME = "libtilesmith.so"


def candidates():
    """The places where the library is looked for, in order. TILESMITH_LIBRARY, where set, is the only one."""
    named = os.environ.get("TILESMITH_LIBRARY")
    if named:
        return [named]
    here = Path(__file__).resolve().parent
    places = [here / _NAME]
    if len(here.parents) > 2:
        places.append(here.parents[2] / "build" / _NAME)
    return [str(place) for place in places] + [_NAME + ".0"]


def _open():
    failures = []
    for path in candidates():
        if os.sep in path and not os.path.exists(path):
            failures.append(f"there is no {path}")
            continue
        try:
            return ctypes.CDLL(path), path
        except OSError as error:
            failures.append(str(error))
    raise LibraryError(
        f"{_NAME} cannot be opened ({'; '.join(failures)}): build it with 'make', or set TILESMITH_LIBRARY to its path"
    )


def _declare(library, path):
    for name, result, arguments in _FUNCTIONS:
        try:
            function = getattr(library, name)
        except AttributeError:
            raise LibraryError(f"{path} has no {name}: it is not tilesmith's full library, or another release") from None
        function.restype = result
        function.argtypes = arguments
    return library


_library = None
_lock = threading.Lock()


def library():
    """The opened library; raises LibraryError where there is none."""
    global _library
    if _library is None:
        with _lock:
            if _library is None:
                _library = _declare(*_open())
    return _library


def version():
    """Of the library: "0.1.0"."""
    return library().ts_version().decode()


def fail(status):
    """Raises what a ts_status other than TS_OK means, with the library's sentence. On the thread that failed."""
    lib = library()
    name = lib.ts_status_name(status).decode()
    sentence = lib.ts_last_error().decode(errors="replace") or name
    error = _EXCEPTIONS.get(status, DriverError)(sentence)
    error.status = status
    raise error


def check(status):
    if status:
        fail(status)


# ---- objects ----


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


class Kernel:
    """A loaded kernel. One that ts_linear_prepare() gave belongs to its context; others end with this object."""

    def __init__(self, context, handle, owned):
        self.context, self.handle, self._owned = context, handle, owned
        self._launch = library().ts_kernel_launch

    def info(self):
        """A dict of ts_kernel_info's fields; types are "f16", "bf16" or "f32", layouts "row", "col" or "any"."""
        found = KernelInfo(struct_size=ctypes.sizeof(KernelInfo))
        check(library().ts_kernel_get_info(self.handle, found))
        fields = {name: _text(getattr(found, name)) for name, _ in KernelInfo._fields_[1:]}
        fields.update((name, DTYPE_NAMES[fields[name]]) for name in ("x", "w", "bias", "y"))
        fields.update((name, LAYOUT_NAMES[fields[name]]) for name in ("x_layout", "w_layout", "y_layout"))
        return fields

    def workspace_bytes(self, args):
        """Bytes of workspace that launch(args) needs."""
        size = c_size_t()
        check(library().ts_kernel_workspace(self.handle, ctypes.byref(args), size))
        return size.value

    def launch(self, args, stream=None):
        """Launches on a stream (a CUstream as a number; None: the legacy default stream)."""
        status = self._launch(self.handle, ctypes.byref(args), stream)
        if status:
            fail(status)

    def close(self):
        """Its work must be done."""
        if self._owned and self.handle:
            library().ts_kernel_destroy(self.handle)
        self.handle = None


def _encoded(text):
    """For C, which refuses a missing name by a sentence."""
    return None if text is None else text.encode()


class Context:
    """One device. `driver`: the path of a driver library; None is libcuda.so.1."""

    def __init__(self, device=-1, driver=None):
        options = ContextOptions(ctypes.sizeof(ContextOptions), os.fsencode(driver) if driver else None, device)
        handle = c_void_p()
        check(library().ts_context_create(options, handle))
        self.handle = handle.value
        self._linear = library().ts_linear
        self.pins = 0  # how often set_config() was called

    def info(self):
        """A dict of ts_device_info's fields."""
        found = DeviceInfo(struct_size=ctypes.sizeof(DeviceInfo))
        check(library().ts_context_get_info(self.handle, found))
        return {name: _text(getattr(found, name)) for name, _ in DeviceInfo._fields_[1:]}

    def set_config(self, config):
        """Pins a configuration by name for ts_linear(); None: the library chooses again."""
        check(library().ts_context_set_config(self.handle, config.encode() if config else None))
        self.pins += 1

    def linear(self, args, stream=None):
        status = self._linear(self.handle, ctypes.byref(args), stream)
        if status:
            fail(status)

    def workspace_bytes(self, args):
        """Bytes of workspace that would make linear(args) faster."""
        size = c_size_t()
        check(library().ts_linear_workspace(self.handle, ctypes.byref(args), size))
        return size.value

    def prepare(self, args):
        """Loads what linear(args) will need. Returns its Kernel, or None where there is nothing to do."""
        kernel = c_void_p()
        check(library().ts_linear_prepare(self.handle, ctypes.byref(args), kernel))
        return Kernel(self, kernel.value, owned=False) if kernel.value else None

    def tune(self, args, budget_seconds=0, top=0):
        """Measures configurations for linear(args), which uses the best from now on, here and in other processes.
        Returns a dict of ts_tune_report's fields; "rows" are dicts of ts_tune_row's, and "winner" is one of them."""
        report = _P(TuneReport)()
        options = TuneOptions(ctypes.sizeof(TuneOptions), budget_seconds, top)
        check(library().ts_tune(self.handle, ctypes.byref(args), options, report))
        try:
            made = report.contents
            fields = {name: _text(getattr(made, name)) for name, _ in TuneReport._fields_}
            rows = [{name: _text(getattr(row, name)) for name, _ in TuneRow._fields_} for row in made.rows[: made.n_rows]]
        finally:
            library().ts_tune_report_free(report)
        del fields["n_rows"]
        return {**fields, "rows": rows, "winner": rows[fields["winner"]]}

    def load(self, config):
        """The Kernel of a configuration by name."""
        lib, text, size, kernel = library(), c_void_p(), c_size_t(), c_void_p()
        check(lib.ts_generate(_encoded(config), text, size))
        try:
            check(lib.ts_kernel_load(self.handle, text, size.value, kernel))
        finally:
            lib.ts_free_text(text)
        return Kernel(self, kernel.value, owned=True)

    def load_file(self, path):
        """The Kernel in a file of PTX, as `tilesmith gen` writes it and ptx_out/ has them."""
        kernel = c_void_p()
        check(library().ts_kernel_load_file(self.handle, os.fsencode(path), kernel))
        return Kernel(self, kernel.value, owned=True)

    # Memory, for programs and tests without torch.

    def malloc(self, size):
        address = c_uint64()
        check(library().ts_malloc(self.handle, size, address))
        return address.value

    def free(self, address):
        check(library().ts_free(self.handle, address))

    def upload(self, address, data):
        check(library().ts_copy_to_device(self.handle, address, data, len(data)))

    def download(self, address, size):
        data = ctypes.create_string_buffer(size)
        check(library().ts_copy_to_host(self.handle, data, address, size))
        return data.raw

    def fill(self, address, byte, size):
        check(library().ts_fill(self.handle, address, byte, size))

    def synchronize(self, stream=None):
        check(library().ts_stream_synchronize(self.handle, stream))

    def close(self):
        """Ends the context and its kernels; their work must be done."""
        if self.handle:
            library().ts_context_destroy(self.handle)
        self.handle = None


def generate(config):
    """The PTX text of a configuration by name. Needs no device."""
    lib, text, size = library(), c_void_p(), c_size_t()
    check(lib.ts_generate(_encoded(config), text, size))
    try:
        return ctypes.string_at(text, size.value).decode()
    finally:
        lib.ts_free_text(text)
