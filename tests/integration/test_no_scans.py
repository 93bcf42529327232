"""A day costs what a day costs: no statement of it reads the history from end to end.

PostgreSQL itself says how it carried out each statement (auto_explain), on a ledger and a billing database that hold
two hundred days before the day at hand.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.bench import history
from tests.bench.__main__ import child
from tests.bench.answers import answer_all
from tests.bench.ground import DAY, Told, ground
from tests.stack.scene import CommandFailed, Scene

HISTORY = {
    "attempt", "outcome", "report_line", "next_attempt", "run_charge", "quarantined_charge", "doku_charge_outcomes",
}  # fmt: skip
"""Tables that grow with every day."""

_PLAN = re.compile(r"duration: [\d.]+ ms  plan:\n((?:\t.*\n)+)")
_EXPLAINING = {
    "shared_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0",
    "auto_explain.log_format": "json",
}  # fmt: skip


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _scans(log: Path, do: Callable[[], object]) -> set[tuple[str, str]]:
    """(table, statement) of every sequential scan over a table that grows, while something is done."""
    began = log.stat().st_size
    do()
    with log.open("rb") as file:
        file.seek(began)
        said = file.read().decode(errors="replace")
    found, plans = set(), _PLAN.findall(said)
    assert plans
    for text in plans:
        explained = json.loads(text)
        for node in _nodes(explained["Plan"]):
            if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in HISTORY:
                found.add((node["Relation Name"], " ".join(explained["Query Text"].split())))
    return found


@pytest.mark.services
def test_a_day_reads_no_history_from_end_to_end(tmp_path):
    with ground(tmp_path, 1000, settings=_EXPLAINING) as place:
        scene, log = place.scene(200), place.servers.log
        history.fill_ledger(scene.ledger, days=200, rows=700)
        history.tell_merchant(place, scene.ledger, scene.billing)
        told = Told.of(scene, place.servers)
        scans = _scans(log, lambda: child("ours", told, "submit"))
        engine = scene.ledger.engine()
        answer_all(engine, place.keys, scene.remote.files / "outbound")
        engine.dispose()
        scans |= _scans(log, lambda: child("ours", told, "reconcile"))
        scans |= _scans(log, lambda: _looked_at(scene))
    assert not scans, "\n".join(f"{table}: {query[:600]}" for table, query in sorted(scans))


def _looked_at(scene: Scene) -> None:
    """What looks at the day afterwards."""
    scene.command("books", "--profile", scene.profile, "--business-date", DAY.isoformat(), "--json")
    with suppress(CommandFailed):  # something may be late: the history is invented
        scene.command("watch", "--profile", scene.profile)
