"""What the measurements come to: medians, ratios to the yardstick, growth; as a table and as JSON."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, Final

import psutil

from tests.bench import yardstick
from tests.bench.meter import Cost

PHASES: Final = ("submit", "reconcile")

BESIDE: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "submit": {
        "read and stage": ("copy out",), "claim": ("copy in",), "render and seal": ("copy lines out", "seal"),
        "tell and deliver": ("copy claims", "put"),
    },
    "reconcile": {
        "fetch": ("get",), "open and stage": ("open", "copy in"), "match": ("update",),
        "write back": ("copy outcomes",),
    },
}  # fmt: skip
"""Which steps of the yardstick a stage of ours stands beside."""


@dataclass
class Measured:
    """All runs of one size: who did what (ours, yardstick, plain) in which phase, one list of costs for each run."""

    rows: int
    database: str
    runs: dict[tuple[str, str], list[Sequence[Cost]]] = field(default_factory=dict)

    def add(self, who: str, phase: str, costs: Sequence[Cost]) -> None:
        """One run."""
        self.runs.setdefault((who, phase), []).append(costs)

    def medians(self, who: str, phase: str) -> dict[str, Cost]:
        """The median cost of each stage; peaks are the highest of all runs."""
        runs = [{cost.stage: cost for cost in costs} for costs in self.runs.get((who, phase), [])]
        stages = dict.fromkeys(stage for run in runs for stage in run)
        return {stage: _median(stage, [run[stage] for run in runs if stage in run]) for stage in stages}

    def total(self, who: str, phase: str, *, only: Iterable[str] | None = None) -> Cost:
        """The median of the sums over all stages (or only some)."""
        kept = None if only is None else set(only)
        sums = []
        for costs in self.runs.get((who, phase), []):
            chosen = [cost for cost in costs if kept is None or cost.stage in kept]
            peaks = [cost.peak for cost in chosen]
            parts = (sum(getattr(one, name) for one in chosen) for name in ("wall", "cpu", "servers"))
            sums.append(Cost("total", *parts, max(peaks, default=0)))
        return _median("total", sums)

    def ratios(self, phase: str) -> dict[str, float]:
        """Of our total to the yardstick's, run by run, the median: by wall clock and by processor time.

        `told`: to the yardstick with the claims' telling in it.
        """
        ours, theirs = (self.runs.get((who, phase), []) for who in ("ours", "yardstick"))
        listed, told, cpu = [], [], []
        for mine, other in zip(ours, theirs, strict=False):
            wall = sum(cost.wall for cost in mine)
            listed.append(wall / sum(cost.wall for cost in other if cost.stage in yardstick.AS_LISTED))
            told.append(wall / sum(cost.wall for cost in other))
            work = sum(cost.cpu + cost.servers for cost in mine)
            cpu.append(work / sum(cost.cpu + cost.servers for cost in other))
        return {name: median(found) for name, found in (("listed", listed), ("told", told), ("cpu", cpu)) if found}

    def as_json(self) -> dict[str, Any]:
        """Every run and what it comes to."""
        return {
            "rows": self.rows,
            "database": self.database,
            "runs": {
                f"{who} {phase}": [[cost.as_json() for cost in costs] for costs in runs]
                for (who, phase), runs in self.runs.items()
            },
            "medians": {
                f"{who} {phase}": {
                    "total": self.total(who, phase).as_json(),
                    "stages": {stage: cost.as_json() for stage, cost in self.medians(who, phase).items()},
                }
                for who, phase in self.runs
            },
            "ratios": {phase: self.ratios(phase) for phase in PHASES if self.ratios(phase)},
        }


def _median(stage: str, costs: Sequence[Cost]) -> Cost:
    if not costs:
        return Cost(stage, 0, 0, 0)
    figures = (median(getattr(cost, name) for cost in costs) for name in ("wall", "cpu", "servers"))
    return Cost(stage, *figures, max(cost.peak for cost in costs))


def table(measured: Sequence[Measured]) -> str:
    """For people: each size, each phase, each stage beside the yardstick's steps."""
    lines = []
    for one in measured:
        for phase in PHASES:
            if ("ours", phase) in one.runs:
                lines += [*_phase(one, phase), ""]
    return "\n".join([*lines, *_growth(measured)])


def _phase(one: Measured, phase: str) -> list[str]:
    ours, theirs = one.medians("ours", phase), one.medians("yardstick", phase)
    head = f"{phase}, {one.rows:,} rows, {one.database}"
    lines = [
        f"{head:<44}{'s':>8}{'cpu':>8}{'servers':>9}{'yardstick':>11}{'ratio':>7}{'MiB':>7}{'rows/s':>10}",
    ]
    for stage, cost in ours.items():
        beside = [theirs[step] for step in BESIDE[phase].get(stage, ()) if step in theirs]
        lines.append(_line(f"  {stage}", cost, sum(step.wall for step in beside), one.rows))
    whole = one.total("ours", phase)
    listed = one.total("yardstick", phase, only=yardstick.AS_LISTED)
    lines.append(_line("  all", whole, listed.wall, one.rows))
    ratios = one.ratios(phase)
    if ratios:
        words = f"{ratios['listed']:.2f} times the yardstick as listed"
        if phase == "submit":
            words += f", {ratios['told']:.2f} with the claims' telling in it"
        lines.append(f"  {words}; by processor time {ratios['cpu']:.2f}")
    if ("plain", phase) in one.runs:
        plain = one.total("plain", phase)
        stages = ", ".join(f"{stage} {cost.wall:.2f}" for stage, cost in one.medians("plain", phase).items())
        times = f"{plain.wall / whole.wall:.1f} times ours"
        lines.append(f"  plain pipeline: {plain.wall:.2f} s, {times}, {plain.peak:.0f} MiB ({stages})")
    return lines


def _line(name: str, cost: Cost, beside: float, rows: int) -> str:
    ratio = f"{beside:>11.2f}{cost.wall / beside:>7.2f}" if beside else " " * 18
    return (
        f"{name:<44}{cost.wall:>8.2f}{cost.cpu:>8.2f}{cost.servers:>9.2f}{ratio}{cost.peak:>7.0f}"
        f"{rows / cost.wall if cost.wall else 0:>10,.0f}"
    )


def _growth(measured: Sequence[Measured]) -> list[str]:
    lines = []
    for before, after in pairwise(measured):
        if before.database != after.database:
            continue
        for phase in PHASES:
            first, second = before.total("ours", phase), after.total("ours", phase)
            if first.wall and second.wall:
                per_row = (second.wall / after.rows) / (first.wall / before.rows)
                peak = f", peak {second.peak / first.peak:.2f} times" if first.peak else ""
                lines.append(
                    f"{phase}: from {before.rows:,} to {after.rows:,} rows time per row {per_row:.2f} times{peak}"
                )
    plain = [one for one in measured if ("plain", "submit") in one.runs and ("plain", "reconcile") in one.runs]
    for one in plain:
        theirs, mine = (sum(one.total(who, phase).wall for phase in PHASES) for who in ("plain", "ours"))
        lines.append(f"{one.rows:,} rows: the plain pipeline takes {theirs / mine:.1f} times as long as ours for both")
    return lines


def machine() -> dict[str, Any]:
    """What it was measured on."""
    from importlib.metadata import version

    return {
        "processors": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        **{name: version(name) for name in ("pandas", "pyarrow", "psycopg", "sqlalchemy", "paramiko")},
    }
