"""What a day costs once the ledger holds a year: `python -m tests.bench.growth`.

The same day is measured on an empty ledger and on a ledger with history, interleaved, each time from a fresh copy of
the databases; printed are the medians and their ratio.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench import history
from tests.bench.__main__ import child
from tests.bench.answers import answer_all
from tests.bench.ground import Ground, Told, ground
from tests.bench.meter import Cost, quietly
from tests.stack.airflow import PROJECT
from tests.stack.scene import Scene

_PHASES: Final = ("submit", "reconcile")


class _Old:
    """Templates with a history, made once."""

    def __init__(self, ground: Ground, rows: int, days: int, rows_per_day: int) -> None:
        self._ground = ground
        scene = ground.scene(rows)
        self.attempts = history.fill_ledger(scene.ledger, days=days, rows=rows_per_day)
        history.tell_merchant(ground, scene.ledger, scene.billing)
        self._billing, self._ledger = scene.billing, scene.ledger

    def scene(self) -> Scene:
        """A merchant with the charges of one day and the history behind them."""
        return self._ground.scene_of(self._billing, self._ledger)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="charges of the measured day")
    parser.add_argument("--days", type=int, default=250, help="days of history")
    parser.add_argument("--rows-per-day", type=int, default=18_200, help="first attempts of each day of it")
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args(arguments)
    quietly()
    root = Path(tempfile.gettempdir()) / f"doku-growth-{os.getpid()}"
    found: dict[str, dict[str, list[list[Cost]]]] = {}
    with ground(root, chosen.rows) as place:
        _say(f"making a history of {chosen.days} days")
        old = _Old(place, chosen.rows, chosen.days, chosen.rows_per_day)
        _say(f"{old.attempts:,} attempts")
        for run in range(chosen.runs):
            for name, scene in (("empty", place.scene(chosen.rows)), ("year", old.scene())):
                _say(f"run {run + 1}, {name}")
                for phase, costs in _day(place, scene).items():
                    found.setdefault(phase, {}).setdefault(name, []).append(costs)
                place.gone(scene)
    _print(found, old.attempts)
    return 0


def _day(place: Ground, scene: Scene) -> dict[str, list[Cost]]:
    told = Told.of(scene, place.servers)
    submitted = child("ours", told, "submit")
    engine = scene.ledger.engine()
    answer_all(engine, place.keys, scene.remote.files / "outbound")
    engine.dispose()
    return {"submit": submitted, "reconcile": child("ours", told, "reconcile")}


def _print(found: dict[str, dict[str, list[list[Cost]]]], attempts: int) -> None:
    document = {"attempts": attempts}
    for phase in _PHASES:
        for name, runs in found[phase].items():
            document[f"{phase} {name}"] = round(median(sum(cost.wall for cost in run) for run in runs), 3)
        document[f"{phase} ratio"] = round(document[f"{phase} year"] / document[f"{phase} empty"], 2)
        stages = [cost.stage for cost in found[phase]["empty"][0]]
        for stage in stages:
            at = {
                name: median(next(cost.wall for cost in run if cost.stage == stage) for run in runs)
                for name, runs in found[phase].items()
            }
            sys.stdout.write(f"  {phase:10} {stage:16} empty {at['empty']:7.3f} s   year {at['year']:7.3f} s\n")
        ratio = document[f"{phase} ratio"]
        totals = f"empty {document[f'{phase} empty']:7.3f} s   year {document[f'{phase} year']:7.3f} s"
        sys.stdout.write(f"{phase:28} {totals}   ratio {ratio}\n")
    kept = PROJECT / "var" / "bench" / "growth.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(document, indent=1) + "\n")


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    raise SystemExit(main())
