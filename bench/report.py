"""Figures of a comparison: ratios, a table, CSV, and bars as a picture. Needs nothing but Python.

A row is one contestant on one problem: `times` has its microseconds a call, one number a round. All contestants of a
problem have the same rounds, taken in turn, so that a ratio is made of neighbours in time: the median over rounds of
(baseline's time / contestant's time). A ratio above 1 is faster than the baseline.
"""

import csv
import statistics
from dataclasses import dataclass, field

COLUMNS = (
    "mode",
    "dtype",
    "shape",
    "contestant",
    "detail",
    "us",
    "us_p10",
    "us_p90",
    "tflops",
    "rounds",
    "baseline",
    "baseline_over_us",
    "us_over_ours",
    "rel_err",
    "status",
    "reason",
)


@dataclass
class Row:
    mode: str
    dtype: str
    shape: tuple  # m, n, k
    contestant: str
    times: list = field(default_factory=list)
    detail: str = ""
    rel_err: float = float("nan")
    reason: str = ""  # why it failed; "" when it did not

    @property
    def ok(self):
        return not self.reason and bool(self.times)

    @property
    def us(self):
        return statistics.median(self.times)

    @property
    def tflops(self):
        m, n, k = self.shape
        return 2.0 * m * n * k / self.us / 1e6

    @property
    def shape_text(self):
        return "x".join(map(str, self.shape))


def percentile(values, fraction):
    """By linear interpolation."""
    values = sorted(values)
    place = fraction * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def ratio(times, others):
    """Median of times / others, round by round."""
    return statistics.median(a / b for a, b in zip(times, others))


def problems(rows):
    """Rows of one mode, dtype and shape together, in order of appearance."""
    groups = {}
    for row in rows:
        groups.setdefault((row.mode, row.dtype, row.shape), []).append(row)
    return list(groups.values())


def _find(group, name):
    return next((row for row in group if row.contestant == name and row.ok), None)


def ratios(group, baseline, ours="tilesmith"):
    """{contestant: (baseline / it, it / ours)}, None where one is missing."""
    base, own = _find(group, baseline), _find(group, ours)
    return {
        row.contestant: (
            ratio(base.times, row.times) if base and row.ok else None,
            ratio(row.times, own.times) if own and row.ok else None,
        )
        for row in group
    }


def _number(value, text="{:.3f}"):
    return "" if value is None else text.format(value)


def table(rows, baseline):
    """Lines for people."""
    lines = []
    for group in problems(rows):
        first = group[0]
        lines.append("")
        lines.append(f"{first.dtype} {first.shape_text}, {first.mode}")
        lines.append(f"  {'':24} {'us':>10} {'p10..p90':>17} {'TF/s':>7} {baseline + '/it':>8} {'it/ours':>8} {'rel_err':>8}")
        both = ratios(group, baseline)
        for row in group:
            if not row.ok:
                lines.append(f"  {row.contestant:24} FAILED: {row.reason}")
                continue
            spread = f"{percentile(row.times, 0.1):.2f}..{percentile(row.times, 0.9):.2f}"
            over, under = both[row.contestant]
            lines.append(
                f"  {row.contestant:24} {row.us:10.2f} {spread:>17} {row.tflops:7.1f} {_number(over):>8} {_number(under):>8}"
                f" {row.rel_err:8.1e}  {row.detail}".rstrip()
            )
    return "\n".join(lines)


def write_csv(path, rows, baseline):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for group in problems(rows):
            both = ratios(group, baseline)
            for row in group:
                writer.writerow(_csv_fields(row, baseline, *both[row.contestant]))


def _csv_fields(row, baseline, over, under):
    head = [row.mode, row.dtype, row.shape_text, row.contestant, row.detail]
    if not row.ok:
        return head + [""] * 4 + [0, baseline, "", "", "", "failed", row.reason]
    times = [f"{v:.3f}" for v in (row.us, percentile(row.times, 0.1), percentile(row.times, 0.9))]
    figures = [f"{row.tflops:.1f}", len(row.times), baseline, _number(over, "{:.4f}"), _number(under, "{:.4f}")]
    return head + times + figures + [f"{row.rel_err:.2e}", "ok", ""]


# ---- pictures ----

COLOURS = ("#4c78a8", "#9ecae9", "#f58518", "#ffbf79", "#54a24b", "#88d27a", "#b79a20", "#e45756", "#79706e")


def bars(path, rows, baseline, title):
    """Draws baseline / contestant for each problem, as `path` + .png with matplotlib or .svg without. Returns the
    path that was written, or None when there is nothing to draw."""
    groups = [group for group in problems(rows) if _find(group, baseline)]
    names = list(dict.fromkeys(row.contestant for group in groups for row in group if row.ok))
    if not groups or not names:
        return None
    labels = [f"{group[0].shape_text}\n{group[0].dtype}" for group in groups]
    heights = [{name: value[0] for name, value in ratios(group, baseline).items()} for group in groups]
    axis = f"time of {baseline} / time (higher is faster)"
    try:
        return _draw_matplotlib(path + ".png", labels, names, heights, axis, title)
    except ImportError:
        return _draw_svg(path + ".svg", labels, names, heights, axis, title)


def _draw_matplotlib(path, labels, names, heights, axis, title):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(max(8, 1.6 * len(labels) + 3), 5))
    width = 0.85 / len(names)
    for i, name in enumerate(names):
        at = [group + (i - (len(names) - 1) / 2) * width for group in range(len(labels))]
        axes.bar(at, [h.get(name) or 0 for h in heights], width, label=name, color=COLOURS[i % len(COLOURS)])
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel(axis)
    axes.set_title(title)
    axes.legend(fontsize="small", ncols=min(len(names), 4), loc="upper center", bbox_to_anchor=(0.5, -0.12))
    figure.savefig(path, dpi=130, bbox_inches="tight")
    pyplot.close(figure)
    return path


def _escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _draw_svg(path, labels, names, heights, axis, title):
    left, top, high, bar, gap = 60, 40, 300, 14, 26
    step = len(names) * bar + gap
    width = left + max(len(labels) * step, 640) + 20
    most = max([1.0] + [value for group in heights for value in group.values() if value]) * 1.05

    def y(value):
        return top + high * (1 - value / most)

    parts = [f'<text x="{width / 2:.0f}" y="20" text-anchor="middle" font-size="15">{_escape(title)}</text>']
    parts.append(f'<text x="14" y="{top + high / 2:.0f}" text-anchor="middle" transform="rotate(-90 14 {top + high / 2:.0f})">{_escape(axis)}</text>')
    tick = 0.25 if most <= 2.5 else 0.5 if most <= 5 else 1.0
    for i in range(int(most / tick) + 1):
        level = y(i * tick)
        ink = "black" if i * tick == 1 else "#dddddd"
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{level:.1f}" y2="{level:.1f}" stroke="{ink}"/>')
        parts.append(f'<text x="{left - 6}" y="{level + 4:.1f}" text-anchor="end">{i * tick:g}</text>')
    for g, (label, values) in enumerate(zip(labels, heights)):
        start = left + g * step + gap / 2
        for i, name in enumerate(names):
            value = values.get(name)
            if not value:
                continue
            parts.append(
                f'<rect x="{start + i * bar:.1f}" y="{y(value):.1f}" width="{bar - 2}" height="{top + high - y(value):.1f}"'
                f' fill="{COLOURS[i % len(COLOURS)]}"><title>{_escape(name)} {value:.3f}</title></rect>'
            )
        for line, text in enumerate(label.split("\n")):
            parts.append(f'<text x="{start + len(names) * bar / 2:.1f}" y="{top + high + 16 + 14 * line}" text-anchor="middle">{_escape(text)}</text>')
    for i, name in enumerate(names):
        column, row = i % 4, i // 4
        at, below = left + column * 170, top + high + 60 + 18 * row
        parts.append(f'<rect x="{at}" y="{below - 10}" width="12" height="12" fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts.append(f'<text x="{at + 18}" y="{below}">{_escape(name)}</text>')
    height = top + high + 70 + 18 * ((len(names) + 3) // 4)
    with open(path, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">\n')
        file.write('<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
    return path
