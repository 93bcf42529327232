"""Charts of a summary as SVG that stands inside a page: readable on a phone, and on a dark page as on a light one.

matplotlib draws them without a screen. Lines and letters take the colour of the text around them; letters are text, so
that a page stays small and can be searched.
"""

import io
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK: Final = "#123456"
"""Stands for the text's colour until the chart is inside the page."""

PAID: Final = "#2f9e6e"
DECLINED: Final = "#d9663f"
OPEN: Final = "#8a8f98"
AGAIN: Final = "#4c7fd0"

_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "doku",
    "font.family": "sans-serif",
    "font.size": 10.5,
    "text.parse_math": False,  # a bank's name with two dollar signs is no formula
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_WIDE: Final = 4.8
_one_at_a_time: Final = threading.Lock()
_PROLOGUE: Final = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA: Final = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_SIZE: Final = re.compile(r'(<svg [^>]*?)width="[^"]*" height="[^"]*"|(<svg [^>]*?)height="[^"]*" width="[^"]*"')


def paid_and_declined(days: Sequence[Mapping[str, Any]]) -> str:
    """Amounts by day: paid, declined and open, one above the other. Empty without days."""
    return _bars(days, (("paid", PAID), ("declined", DECLINED), ("open", OPEN)), "Paid, declined and open by day")


def recovered(days: Sequence[Mapping[str, Any]]) -> str:
    """What further attempts collected, summed up over the days. Empty where they collected nothing."""
    if not any(one["recovered"]["amount"] for one in days):
        return ""
    with _settings():
        figure, axes = _axes(2.4)
        total, sums = 0, []
        for one in days:
            total += one["recovered"]["amount"]
            sums.append(total)
        moments: Any = [date.fromisoformat(one["day"]) for one in days]
        axes.fill_between(moments, sums, step="post", color=AGAIN, alpha=0.35, linewidth=0)
        axes.step(moments, sums, where="post", color=AGAIN, linewidth=1.6)
        axes.plot(moments[-1:], sums[-1:], "o", color=AGAIN, markersize=4)
        _dates(axes, moments)
        return _svg(figure, "Recovered by further attempts, summed up")


def declines(codes: Sequence[Mapping[str, Any]], most: int = 8) -> str:
    """Declined attempts by code, the most frequent first. Empty without declines."""
    shown = [one for one in codes if one["window"]["count"]][:most]
    rows = [(f"{one['code']} {_short(one['meaning'], 24)}", one["window"]["count"]) for one in shown]
    return _lying_bars(rows, DECLINED, "Declined attempts by code")


def ages(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is open by its age. Empty where nothing is open."""
    found: dict[str, int] = {}
    for one in rows:
        found[one["age"]] = found.get(one["age"], 0) + one["count"]
    return _lying_bars(list(found.items()), OPEN, "What is open by age") if any(found.values()) else ""


def _bars(days: Sequence[Mapping[str, Any]], parts: Sequence[tuple[str, str]], title: str) -> str:
    if not days:
        return ""
    with _settings():
        figure, axes = _axes(2.6)
        moments: Any = [date.fromisoformat(one["day"]) for one in days]
        below = [0] * len(days)
        for name, colour in parts:
            heights = [one[name]["amount"] for one in days]
            axes.bar(moments, heights, bottom=below, color=colour, width=0.8, label=name)
            below = [one + other for one, other in zip(below, heights, strict=True)]
        axes.legend(frameon=False, ncols=len(parts), loc="lower left", bbox_to_anchor=(0, 1.0), handlelength=1.0)
        _dates(axes, moments)
        return _svg(figure, title)


def _lying_bars(rows: Sequence[tuple[str, int]], colour: str, title: str) -> str:
    if not rows:
        return ""
    with _settings():
        figure, axes = _axes(0.5 + 0.28 * len(rows))
        names, values = [name for name, _ in rows], [value for _, value in rows]
        places = range(len(rows))
        drawn = axes.barh(places, values, color=colour, height=0.66)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.bar_label(drawn, [f"{value:,}" for value in values], padding=3)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.margins(x=0.16)
        return _svg(figure, title)


@contextmanager
def _settings() -> Iterator[None]:
    """Our settings for one chart. They are matplotlib's global ones meanwhile: one thread at a time."""
    import matplotlib as mpl

    with _one_at_a_time, mpl.rc_context(_SETTINGS):
        yield


def _axes(height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDE, height), layout="constrained")
    return figure, figure.add_subplot()


def _dates(axes: "Axes", moments: Sequence[date]) -> None:
    """A tick at each of a few days, and amounts in millions."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    step = max(1, -(-len(moments) // 5))
    ticks: Any = list(moments[::step])
    axes.set_xticks(ticks, [f"{day.day} {day:%b}" for day in ticks])
    if len(moments) == 1:
        axes.margins(x=2.0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_short(value)))
    axes.set_ylim(bottom=0)


def in_short(value: float) -> str:
    """An amount for an axis: 1.5M, 20k, 3B."""
    for least, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= least:
            return f"{value / least:.3g}{letter}"
    return f"{value:.0f}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _svg(figure: "Figure", title: str) -> str:
    """The figure as an element: no prologue, no size of its own, the text's colour for ink, a title for who listens."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Title": title})
    text = _METADATA.sub("", _PROLOGUE.sub("", file.getvalue(), count=1))
    text = _SIZE.sub(lambda found: found[1] or found[2], text, count=1)
    return text.replace(_INK, "currentColor").replace("<svg ", '<svg role="img" ', 1)
