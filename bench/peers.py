"""What tilesmith is compared with: y = z + S * sigmoid(z), z = x w^T + b, by torch, torch.compile and Triton.

    mm                   x w^T alone by cuBLAS: what the fused layer would cost if all but the product were free
    eager                torch, operation by operation
    compile              torch.compile, max-autotune
    triton-seed          the Triton kernel that tilesmith replaces, with its own three configurations
    triton-tuned         a well tuned Triton kernel, for the device at hand
    triton-seed-sm89, triton-tuned-sm89      the same two, compiled for sm_89 and run from their PTX

A contestant is prepared for one problem: prepare(sets) gives (call, detail), where call(x, w, b) enqueues one layer on
torch's current stream and returns y. Needs torch; those of Triton need triton.
"""

import ctypes
import importlib.util

import torch
from torch.nn import functional

import measure

SCALE = 2.0

# ---- torch ----


def _mm(x, w, b):
    return torch.mm(x, w.T)


def _eager(x, w, b):
    z = functional.linear(x, w, b)
    return torch.sigmoid(z) * SCALE + z


def prepare_mm(sets):
    return _mm, "cuBLAS"


def prepare_eager(sets):
    return _eager, ""


def prepare_compile(sets):
    torch._dynamo.reset()
    compiled = torch.compile(_eager, mode="max-autotune-no-cudagraphs", dynamic=False)
    compiled(*sets[0])
    return compiled, "max-autotune"


PREPARE = {"mm": prepare_mm, "eager": prepare_eager, "compile": prepare_compile}

# ---- Triton ----

if importlib.util.find_spec("triton"):
    import triton
    import triton.language as tl

    @triton.jit
    def seed_body(
        a_ptr, b_ptr, bias_ptr, c_ptr, M, N, K, sam, sak, sbk, sbn, scm, scn, scale,
        BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    ):  # fmt: skip
        pid_m = tl.program_id(0)
        pid_n = tl.program_id(1)
        offs_m = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
        offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
        offs_k = tl.arange(0, BLOCK_K)
        m_mask = offs_m < M
        n_mask = offs_n < N
        a_ptrs = a_ptr + offs_m[:, None] * sam + offs_k[None, :] * sak
        b_ptrs = b_ptr + offs_k[:, None] * sbk + offs_n[None, :] * sbn
        acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for k in range(0, K, BLOCK_K):
            k_mask = offs_k < K - k
            a = tl.load(a_ptrs, mask=m_mask[:, None] & k_mask[None, :], other=0.0)
            b = tl.load(b_ptrs, mask=k_mask[:, None] & n_mask[None, :], other=0.0)
            acc += tl.dot(a, b, allow_tf32=True)
            a_ptrs += BLOCK_K * sak
            b_ptrs += BLOCK_K * sbk
        bias = tl.load(bias_ptr + offs_n, mask=n_mask, other=0.0).to(tl.float32)
        acc = acc + bias[None, :]
        sig = 1.0 / (1.0 + tl.exp(-acc))
        acc = acc + scale * sig
        c_ptrs = c_ptr + offs_m[:, None] * scm + offs_n[None, :] * scn
        tl.store(c_ptrs, acc, mask=m_mask[:, None] & n_mask[None, :])

    @triton.jit
    def tuned_body(
        a_ptr, b_ptr, bias_ptr, c_ptr, M, N, K, sam, sak, sbk, sbn, scm, scn, scale,
        BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
    ):  # fmt: skip
        pid = tl.program_id(0)
        nm = tl.cdiv(M, BLOCK_M)
        nn = tl.cdiv(N, BLOCK_N)
        width = GROUP_M * nn
        gid = pid // width
        gs = min(nm - gid * GROUP_M, GROUP_M)
        pid_m = gid * GROUP_M + (pid % width) % gs
        pid_n = (pid % width) // gs
        offs_m = (pid_m * BLOCK_M + tl.arange(0, BLOCK_M)) % M
        offs_n = (pid_n * BLOCK_N + tl.arange(0, BLOCK_N)) % N
        offs_k = tl.arange(0, BLOCK_K)
        a_ptrs = a_ptr + offs_m[:, None] * sam + offs_k[None, :] * sak
        b_ptrs = b_ptr + offs_k[:, None] * sbk + offs_n[None, :] * sbn
        acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for k in range(0, tl.cdiv(K, BLOCK_K)):
            k_mask = offs_k < K - k * BLOCK_K
            a = tl.load(a_ptrs, mask=k_mask[None, :], other=0.0)
            b = tl.load(b_ptrs, mask=k_mask[:, None], other=0.0)
            acc = tl.dot(a, b, acc)
            a_ptrs += BLOCK_K * sak
            b_ptrs += BLOCK_K * sbk
        om = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
        on = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
        bias = tl.load(bias_ptr + on, mask=on < N, other=0.0).to(tl.float32)
        acc = acc + bias[None, :]
        acc = acc + scale * tl.sigmoid(acc)
        c_ptrs = c_ptr + om[:, None] * scm + on[None, :] * scn
        tl.store(c_ptrs, acc.to(c_ptr.dtype.element_ty), mask=(om < M)[:, None] & (on < N)[None, :])

    def _config(m, n, k, warps, stages, **more):
        return triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k, **more}, num_warps=warps, num_stages=stages)

    SEED = [_config(64, 64, 32, 4, 3), _config(64, 32, 32, 4, 3), _config(32, 32, 32, 2, 2)]
    TUNED = [
        _config(128, 256, 64, 8, 3, GROUP_M=8), _config(128, 256, 64, 8, 4, GROUP_M=8),
        _config(256, 128, 64, 8, 3, GROUP_M=8), _config(128, 128, 64, 8, 3, GROUP_M=8),
        _config(128, 128, 64, 4, 4, GROUP_M=8), _config(128, 128, 128, 8, 3, GROUP_M=8),
        _config(64, 128, 64, 4, 4, GROUP_M=8), _config(64, 64, 64, 4, 4, GROUP_M=8),
        _config(64, 64, 128, 4, 4, GROUP_M=8), _config(64, 256, 64, 8, 4, GROUP_M=8),
        _config(128, 64, 64, 4, 4, GROUP_M=8), _config(16, 64, 128, 4, 4, GROUP_M=8),
        _config(16, 32, 256, 4, 4, GROUP_M=8),
    ]  # fmt: skip
    TUNED_SM89 = [
        _config(128, 128, 32, 4, 4, GROUP_M=8), _config(128, 128, 32, 8, 4, GROUP_M=8),
        _config(128, 128, 64, 8, 3, GROUP_M=8), _config(128, 256, 32, 8, 3, GROUP_M=8),
        _config(256, 128, 32, 8, 3, GROUP_M=8), _config(128, 64, 32, 4, 4, GROUP_M=8),
        _config(64, 64, 64, 4, 4, GROUP_M=8), _config(64, 128, 64, 4, 3, GROUP_M=8),
        _config(16, 64, 128, 4, 4, GROUP_M=8),
    ]  # fmt: skip

    _autotuned = {
        "triton-seed": triton.autotune(configs=SEED, key=["M", "N", "K"])(seed_body),
        "triton-tuned": triton.autotune(configs=TUNED, key=["M", "N", "K"])(tuned_body),
    }

    def _describe(config):
        return " ".join(f"{key}={value}" for key, value in config.kwargs.items()) + f" warps={config.num_warps} stages={config.num_stages}"

    def _prepare_autotuned(name):
        kernel, flat = _autotuned[name], name == "triton-tuned"

        def grid(meta):
            tiles = triton.cdiv(meta["M"], meta["BLOCK_M"]), triton.cdiv(meta["N"], meta["BLOCK_N"])
            return (tiles[0] * tiles[1],) if flat else tiles

        def call(x, w, b):
            (m, k), n = x.shape, w.shape[0]
            y = torch.empty((m, n), device=x.device, dtype=w.dtype)
            kernel[grid](x, w, b, y, m, n, k, *x.stride(), *reversed(w.stride()), *y.stride(), SCALE)
            return y

        def prepare(sets):
            call(*sets[0])
            return call, _describe(kernel.best_config)

        return prepare

    # ---- Triton for sm_89, from its PTX through the driver API ----

    _driver = None

    def _cuda(name, *arguments):
        global _driver
        _driver = _driver or ctypes.CDLL("libcuda.so.1")
        result = getattr(_driver, name)(*arguments)
        if result:
            raise RuntimeError(f"{name} gives the CUDA error {result}")

    class FromPtx:
        """One configuration of a kernel, compiled for sm_89. Contiguous operands of one type."""

        def __init__(self, jit, config, dtype, aligned, flat):
            from triton.backends.compiler import GPUTarget
            from triton.compiler import ASTSource

            pointer = {torch.float16: "*fp16", torch.bfloat16: "*bf16"}[dtype]
            signature = dict.fromkeys(("a_ptr", "b_ptr", "bias_ptr", "c_ptr"), pointer)
            signature |= dict.fromkeys(("M", "N", "K"), "i32")
            signature |= {"sam": "i32", "sak": "constexpr", "sbk": "constexpr", "sbn": "i32", "scm": "i32", "scn": "constexpr", "scale": "fp32"}
            signature |= dict.fromkeys(config.kwargs, "constexpr")
            constants = {"sak": 1, "sbk": 1, "scn": 1, **config.kwargs}
            names = list(signature)
            divisible = [0, 1, 2, 3] + ([5, 6, 7, 10, 11] if aligned else [])  # pointers; N, K, sam, sbn, scm
            source = ASTSource(
                fn=jit,
                signature=signature,
                constexprs={(names.index(name),): value for name, value in constants.items()},
                attrs={(i,): [["tt.divisibility", 16]] for i in divisible},
            )
            options = {"num_warps": config.num_warps, "num_stages": config.num_stages}
            compiled = triton.compile(source, target=GPUTarget("cuda", 89, 32), options=options)
            self.config, self.flat = config, flat
            self.smem, self.threads = compiled.metadata.shared, 32 * config.num_warps
            self._load(compiled.asm["ptx"].encode(), compiled.metadata.name.encode())

        def _load(self, ptx, name):
            module, self.function = ctypes.c_void_p(), ctypes.c_void_p()
            _cuda("cuModuleLoadData", ctypes.byref(module), ptx)
            _cuda("cuModuleGetFunction", ctypes.byref(self.function), module, name)
            max_dynamic_shared_bytes = 8
            if self.smem > 48 * 1024:
                _cuda("cuFuncSetAttribute", self.function, max_dynamic_shared_bytes, self.smem)

        def __call__(self, x, w, b):
            (m, k), n = x.shape, w.shape[0]
            y = torch.empty((m, n), device=x.device, dtype=w.dtype)
            pointers = [ctypes.c_void_p(t.data_ptr()) for t in (x, w, b, y)]
            numbers = [ctypes.c_int32(value) for value in (m, n, k, k, k, n)]  # ... and the rows' strides
            scratch = [ctypes.c_void_p(0), ctypes.c_void_p(0)]
            values = [*pointers, *numbers, ctypes.c_float(SCALE), *scratch]
            params = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
            tiles = triton.cdiv(m, self.config.kwargs["BLOCK_M"]), triton.cdiv(n, self.config.kwargs["BLOCK_N"])
            grid = (tiles[0] * tiles[1], 1) if self.flat else tiles
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            _cuda("cuLaunchKernel", self.function, *grid, 1, self.threads, 1, 1, self.smem, stream, params, None)
            return y

    def _prepare_sm89(jit, configs, flat):
        def prepare(sets):
            x, w, _ = sets[0]
            aligned = all(size % 16 == 0 for size in (w.shape[0], x.shape[1]))
            best, failures = None, []
            for config in configs:
                try:
                    kernel = FromPtx(jit, config, w.dtype, aligned, flat)
                    us = measure.quick_us(kernel, sets)
                except Exception as error:  # noqa: BLE001: a configuration that does not work is left out
                    failures.append(f"{_describe(config)}: {error}")
                    continue
                if best is None or us < best[0]:
                    best = us, kernel
            if best is None:
                raise RuntimeError("no configuration works: " + "; ".join(failures))
            return best[1], _describe(best[1].config)

        return prepare

    PREPARE["triton-seed"] = _prepare_autotuned("triton-seed")
    PREPARE["triton-tuned"] = _prepare_autotuned("triton-tuned")
    PREPARE["triton-seed-sm89"] = _prepare_sm89(seed_body, SEED, flat=False)
    PREPARE["triton-tuned-sm89"] = _prepare_sm89(tuned_body, TUNED_SM89, flat=True)
