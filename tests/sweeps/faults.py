"""The fault sweep: one row of the fault table, played over two days of an office."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from include.flows.operate import carry_out
from tests.doku_simulator.behaviour import Behaviour, Fault
from tests.flows_harness import charge
from tests.sweeps import fault_table
from tests.sweeps.fault_table import CHARGES, Row
from tests.sweeps.office import Office, Said, office
from tests.sweeps.promises import broken, lies

FIRST_DAY = "TKN_MCH0001_20261120_0001.TXT"
# Their reports do not say what happened: the merchant can only be told what they say.
_LIARS = {"lines_code_unlisted"}
_ALL_PAID = {"0000": 1.0}


@dataclass
class Played:
    """What a row came to.

    Attributes:
        batch, reports: After the first submit and reconcile.
        ends, ends_reports, told, breaks: In the end.
        broken: Promises that do not hold, in the end.
        fired: Faults that happened.
    """

    batch: str
    reports: dict[str, int]
    ends: str = ""
    ends_reports: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    breaks: dict[str, int] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    fired: set[str] = field(default_factory=set)


def play(row: Row, seed: int, root: Path) -> Played:
    """Play one row; the seed decides what the fault leaves open."""
    with office(root, row.profile, mix=_ALL_PAID) as one:
        one.bill_some(CHARGES, "FIRST")
        one.bill(charge("NO-TOKEN", token=None))
        one.doku.behave(Behaviour(faults=tuple(_ordered(row, seed))))
        one.looks_apart = row.looks_apart
        one.submit("first day")
        _doku_works(one, growing=row.looks_apart > 0)
        one.reconcile("first reconcile")
        first = one.batches()[FIRST_DAY]
        played = Played(batch=first, reports=one.reports())
        one.looks_apart = 0.0
        for step in row.reaction:
            _REACTIONS[step](one)
        _the_next_day(one)
        _end(one, row, played)
        return played


def _ordered(row: Row, seed: int) -> Iterator[Fault]:
    yield Fault(row.fault, seed=seed, **row.settings)
    for more in row.also:
        yield Fault(seed=seed, **more)


def _doku_works(one: Office, *, growing: bool) -> None:
    if not growing:
        one.doku.process_once()
        return
    worker = threading.Thread(target=one.doku.process_once, daemon=True)
    worker.start()
    # Half of it is there when the office looks.
    while not any(one.doku.outbound.glob("RPT_*")):
        worker.join(0.02)
    one.after_looks = worker.join


def _the_next_day(one: Office) -> None:
    """More charges are due; whatever was left open may not disturb them, nor go out again."""
    one.next_morning()
    one.bill_some(3, "SECOND")
    one.submit("second day")
    one.doku.process_once()
    one.reconcile("second reconcile")


def _end(one: Office, row: Row, played: Played) -> None:
    told = [status for (charge_id, _), status in _statuses(one).items() if charge_id.startswith("FIRST")]
    played.ends = one.batches()[FIRST_DAY]
    played.ends_reports = one.reports()
    # The second day's report is in good order, and not of interest.
    played.ends_reports["written_back"] = played.ends_reports.get("written_back", 0) - 1
    played.ends_reports = {state: count for state, count in played.ends_reports.items() if count}
    played.told = {status: told.count(status) for status in sorted(set(told)) if status != "paid"}
    played.breaks = one.breaks()
    played.said = one.said
    played.fired = {record["name"] for record in one.doku.faults_fired}
    played.broken = broken(one, lied_about=lies(one) if row.fault in _LIARS else ())


def _statuses(one: Office) -> dict[tuple[str, int], str]:
    return {key: row["status"] for key, row in one.merchant.told().items()}


def _clear(one: Office) -> None:
    one.submit("first day")
    one.doku.process_once()


def _reconcile(one: Office) -> None:
    one.later(minutes=15)
    one.doku.process_once()
    one.reconcile()


def _two_days(one: Office) -> None:
    one.later(days=2)
    one.doku.process_once()
    one.reconcile()


def _repair(one: Office) -> None:
    one.later(hours=1)
    one.doku.process_once()
    one.reconcile()


def _mend(one: Office) -> None:
    one.doku.behave()


def _setup(one: Office) -> None:
    carry_out(one.context, "setup_mended", {}, by="Siti", why="DOKU's support named the wrong field")


_REACTIONS = {
    fault_table.CLEAR: _clear,
    fault_table.RECONCILE: _reconcile,
    fault_table.TWO_DAYS: _two_days,
    fault_table.REPAIR: _repair,
    fault_table.MEND: _mend,
    fault_table.SETUP: _setup,
}
