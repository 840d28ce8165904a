"""Figures of choice.py: rows, the verdict on each shape, a markdown table, CSV. Needs nothing but Python."""

import csv
import math
import os
from dataclasses import dataclass

COLUMNS = ("shape", "dtype", "config", "choice", "how", "us", "status", "rel_err")
POOR = 0.8  # a choice under this share of the best one's speed is counted
TABLE_HEAD = "| M x N x K | choice | us | best | us | best / choice |\n|---|---|---:|---|---:|---:|"


@dataclass
class Row:
    """One configuration on one shape. how: "linear" is the library by itself, which is the choice; "launch" a kernel by
    its name; "packed" that on packed rows, with the time of packing added."""

    shape: tuple  # m, n, k
    dtype: str
    config: str
    how: str
    us: float
    status: str = "ok"  # or "slow": after a first look, whose time this is; or "wrong": the result
    rel_err: float = float("nan")

    @property
    def is_choice(self):
        return self.how == "linear"

    @property
    def shape_text(self):
        return shape_text(self.shape)


def shape_text(shape):
    return "x".join(map(str, shape))


@dataclass
class Verdict:
    choice: Row
    best: Row

    @property
    def share(self):
        """Of the best one's speed."""
        return self.best.us / self.choice.us


def verdict(rows):
    """Of the rows of one shape; None where the choice itself gave no right result."""
    right = [row for row in rows if row.status == "ok"]
    choice = next((row for row in right if row.is_choice), None)
    return Verdict(choice, min(right, key=lambda row: row.us)) if choice else None


def table_line(v):
    return f"| {v.choice.shape_text} | {v.choice.config} | {v.choice.us:.2f} | {v.best.config} | {v.best.us:.2f} | {100 * v.share:.1f} % |"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(verdicts, without=(), missing=()):
    """Sentences below the table. without: shapes whose choice gave no right result; missing: shapes not looked at."""
    lines = []
    if verdicts:
        worst = min(verdicts, key=lambda v: v.share)
        poor = sum(v.share < POOR for v in verdicts)
        mean = geometric_mean([v.share for v in verdicts])
        lines.append(f"best / choice over {len(verdicts)} shapes: {100 * mean:.1f} % in the geometric mean")
        lines.append(f"the worst: {100 * worst.share:.1f} %, {worst.choice.shape_text}")
        lines.append(f"under {100 * POOR:.0f} %: {poor}")
    if without:
        lines.append("no right result of the choice: " + ", ".join(without))
    if missing:
        lines.append(f"not looked at, for want of time, {len(missing)}: " + ", ".join(missing))
    return "\n\n".join(lines)


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            error = "" if math.isnan(row.rel_err) else f"{row.rel_err:.2e}"
            writer.writerow([row.shape_text, row.dtype, row.config, int(row.is_choice), row.how, f"{row.us:.3f}", row.status, error])


def write_markdown(path, title, verdicts, text):
    with open(path, "w") as file:
        file.write("\n".join([title, "", TABLE_HEAD, *map(table_line, verdicts), "", text, ""]))


class Results:
    """What has been found so far, printed and written shape by shape, so that a failure loses one."""

    def __init__(self, folder, title, log):
        self.folder, self.title, self.log = folder, title, log
        self.rows, self.verdicts, self.without, self.missing = [], [], [], []
        os.makedirs(folder, exist_ok=True)
        log(f"\n{title}\n\n{TABLE_HEAD}")

    def add(self, shape, rows):
        found = verdict(rows)
        self.rows += rows
        if found:
            self.verdicts.append(found)
            self.log(table_line(found))
        else:
            self.without.append(shape_text(shape))
        self.write()

    def skip(self, shape):
        self.missing.append(shape_text(shape))

    def summary(self):
        return summary(self.verdicts, self.without, self.missing)

    def write(self):
        write_csv(os.path.join(self.folder, "choice.csv"), self.rows)
        write_markdown(os.path.join(self.folder, "choice.md"), self.title, self.verdicts, self.summary())

    @property
    def good(self):
        return bool(self.verdicts) and not self.without and all(row.status != "wrong" for row in self.rows)
