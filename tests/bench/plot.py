"""The measurements as one picture: seconds of each stage beside the yardstick, and time per row from size to size."""

from collections.abc import Sequence
from pathlib import Path

from tests.bench.results import PHASES, Measured

_NAMES = {"ours": "this package", "yardstick": "yardstick", "plain": "plain pipeline"}


def draw(measured: Sequence[Measured], path: Path) -> None:
    """Write an SVG: a bar of stacked stages for each of the three at the largest size, and growth over the sizes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "bench"
    sizes = [one for one in measured if one.database == "PostgreSQL"]
    figure, axes = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    largest = sizes[-1]
    for axis, phase in zip(axes[0], PHASES, strict=True):
        _stages(axis, largest, phase)
    for axis, phase in zip(axes[1], PHASES, strict=True):
        _growth(axis, sizes, phase)
    figure.suptitle(f"One day on PostgreSQL and OpenSSH on the same machine; {largest.rows:,} rows above")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _stages(axis: object, one: Measured, phase: str) -> None:
    for who in ("yardstick", "ours", "plain"):
        left = 0.0
        for stage, cost in one.medians(who, phase).items():
            bars = axis.barh(_NAMES[who], cost.wall, left=left, edgecolor="white")  # type: ignore[attr-defined]
            if cost.wall > one.total("plain", phase).wall * 0.06 or (who == "ours" and cost.wall > left * 0.3 > 0):
                axis.bar_label(bars, [stage], label_type="center", fontsize=6, rotation=90)  # type: ignore[attr-defined]
            left += cost.wall
    axis.set(title=phase, xlabel="seconds")  # type: ignore[attr-defined]


def _growth(axis: object, sizes: Sequence[Measured], phase: str) -> None:
    for who, name in _NAMES.items():
        points = [(one.rows, one.total(who, phase).wall / one.rows * 1e6) for one in sizes if (who, phase) in one.runs]
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", label=name)  # type: ignore[attr-defined]
    axis.set(xscale="log", yscale="log", xlabel="rows", ylabel="microseconds per row", title=f"{phase}: growth")  # type: ignore[attr-defined]
    axis.legend()  # type: ignore[attr-defined]
