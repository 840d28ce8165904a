"""Times of contestants on one problem, round by round in turn, on torch's current CUDA device.

    bursts      a CUDA graph of about 2 ms of calls, each replay after a pause: the clocks stay up, nothing is capped
    sustained   half a second of one contestant's graphs, then batches of at least 2.5 ms back to back: power decides

Calls walk through sets of operands that together are larger than L2. In every round each contestant has its turn, and
the order rotates by one from round to round.
"""

import math
import statistics
import time

import torch

DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16}
SET_BYTES = 300_000_000  # of all sets together
MAX_SETS = 512
BURST_MS = 2.0
PAUSE_S = 0.005
WARM_UP_S = 0.5
BATCH_MS = 2.5
BATCHES = 8  # of a contestant in a round of `sustained`
MAX_CALLS = 2000
QUEUE_CYCLES = 300_000  # of the GPU's clock, about 0.2 ms: a few launches by Python


def make_sets(m, n, k, dtype):
    """[(x, w, bias)]: x, bias ~ N(0, 1), w ~ N(0, 1) / sqrt(k)."""
    sets = max(1, min(MAX_SETS, math.ceil(SET_BYTES / ((m * k + n * k + m * n) * 2))))
    generator = torch.Generator(device="cuda")
    made = []
    for i in range(sets):
        generator.manual_seed(100 + i)
        x = torch.randn(m, k, device="cuda", generator=generator)
        w = torch.randn(n, k, device="cuda", generator=generator) / math.sqrt(k)
        bias = torch.randn(n, device="cuda", generator=generator)
        made.append((x.to(dtype), w.to(dtype), bias.to(dtype)))
    return made


def _milliseconds(work):
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop)


def plain_us(call, sets):
    """Microseconds a call, one a set, launched one by one: for a first look. They queue up behind a pause of the GPU, so
    that Python's own time does not count."""
    torch.cuda._sleep(QUEUE_CYCLES)
    return 1e3 * _milliseconds(lambda: [call(*operands) for operands in sets]) / len(sets)


class Graph:
    """About burst_ms (BURST_MS) of calls of one contestant, captured."""

    def __init__(self, call, sets, burst_ms=None, pause_s=None):
        self.burst_ms = BURST_MS if burst_ms is None else burst_ms
        self.pause_s = PAUSE_S if pause_s is None else pause_s
        self.call = call  # holds the memory that the captured calls use
        for operands in sets[:2]:
            call(*operands)
        torch.cuda.synchronize()
        sample = sets[: min(len(sets), 20)]
        each_ms = max(_milliseconds(lambda: [call(*operands) for operands in sample]) / len(sample), 1e-3)
        self.calls = self._calls(each_ms, len(sets))
        self._capture(call, sets)
        self.each_ms = self._replay_ms() / self.calls
        wanted = self._calls(self.each_ms, len(sets))
        if wanted > 1.5 * self.calls:  # the estimate paid for launches one by one
            self.calls = wanted
            self._capture(call, sets)
            self.each_ms = self._replay_ms() / self.calls

    def _calls(self, each_ms, sets):
        wanted = max(sets if sets * each_ms <= 10 * self.burst_ms else 1, math.ceil(self.burst_ms / each_ms))
        return min(wanted, MAX_CALLS)

    def _capture(self, call, sets):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            call(*sets[0])
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            for i in range(self.calls):
                call(*sets[i % len(sets)])

    def _replay_ms(self):
        self.graph.replay()
        torch.cuda.synchronize()
        return _milliseconds(self.graph.replay)

    def burst_us(self):
        """Microseconds a call in one burst."""
        time.sleep(self.pause_s)
        torch.cuda.synchronize()
        return 1e3 * _milliseconds(self.graph.replay) / self.calls

    def sustained_us(self):
        """Microseconds a call, the median of BATCHES batches after the warm-up, without a gap."""
        burst_ms = self.each_ms * self.calls
        end = time.perf_counter() + WARM_UP_S
        while time.perf_counter() < end:
            for _ in range(max(1, int(50 / burst_ms))):
                self.graph.replay()
            torch.cuda.current_stream().synchronize()
        replays = math.ceil(BATCH_MS / burst_ms)
        for _ in range(max(1, int(10 / burst_ms))):  # the queue runs full before the first event
            self.graph.replay()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(BATCHES + 1)]
        events[0].record()
        for event in events[1:]:
            for _ in range(replays):
                self.graph.replay()
            event.record()
        events[-1].synchronize()
        batches = [a.elapsed_time(b) for a, b in zip(events, events[1:])]
        return 1e3 * statistics.median(batches) / (replays * self.calls)


def quick_us(call, sets, replays=5):
    """For choosing among configurations."""
    graph = Graph(call, sets)
    return statistics.median(graph.burst_us() for _ in range(replays))


def rotated(names, turn):
    """Another one begins each round."""
    start = turn % len(names)
    return names[start:] + names[:start]


def rounds(graphs, mode, count):
    """{name: [microseconds a call, one a round]} of {name: Graph}."""
    times = {name: [] for name in graphs}
    for turn in range(count):
        for name in rotated(list(graphs), turn):
            graph = graphs[name]
            times[name].append(graph.burst_us() if mode == "bursts" else graph.sustained_us())
    return times


def poisoned_result(call, operands):
    """The result of one call, where fresh memory is likely to hold NaN, so that what is not written shows."""
    x, w, _ = operands
    m, n = x.shape[0], w.shape[0]
    for dtype in (x.dtype, w.dtype):
        torch.full((m, n), float("nan"), device="cuda", dtype=dtype)
    result = call(*operands)
    torch.cuda.synchronize()
    return result


def relative_error(result, reference):
    """In the Frobenius norm, in the type of the reference: float64, or float32 where time is short."""
    norm = float(reference.norm())
    return float((result.to(reference.dtype) - reference).norm()) / (norm or 1.0)
