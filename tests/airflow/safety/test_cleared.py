"""A finished day that is cleared, task by task in any order, stays as it was; and what day a run works for."""

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.airflow.safety.conftest import ALL
from tests.airflow.safety.house import EAST, WEST, House, reconcile_of, submit_of, until

pytestmark = [pytest.mark.airflow, pytest.mark.services, pytest.mark.story]

SUBMIT = ("extract_and_claim", "render_and_seal", "approve", "deliver", "record")
RECONCILE = ("wait_for_reports", "fetch", "ingest", "reconcile", "write_back", "close_books", "summarise")
_FIGURES = ("rows", "settled", "due", "deferred", "in_flight", "quarantined")


def _a_day(house: House) -> dict[str, str]:
    """Rehearse the day, play it, wait until every report is in; the runs."""
    client, (submit, reconcile) = house.client(), (submit_of("cleared"), reconcile_of("cleared"))
    day = house.today.isoformat()
    client.unpause(reconcile)
    rehearsed = house.start("cleared", business_date=day, dry_run=True)
    house.finish(submit, rehearsed)
    assert house.at_the_server("cleared") == {}
    assert house.rows("cleared", "select * from attempt") == []
    dry = house.books("cleared", house.today)

    real = house.start("cleared", business_date=day)
    house.finish(submit, real)
    books = house.books("cleared", house.today)
    assert {term: dry[term] for term in _FIGURES} == {term: books[term] for term in _FIGURES}
    assert dry["held"]["by_reason"]["dry_run"] == {key: books["sent"][key] for key in ("count", "amount")}
    woken = until(lambda: client.runs(reconcile), 240, lambda: "reconcile was not woken")
    house.finish(reconcile, woken[0]["dag_run_id"])
    assert house.books("cleared", house.today)["awaiting"]["count"] == 0
    return {submit: real, reconcile: woken[0]["dag_run_id"]}


def test_every_task_cleared_in_any_order_changes_nothing(house: House):
    """The figures of a rehearsal are those of the day; and the day, cleared, is what it was."""
    day = _a_day(house)
    before = house.everything("cleared")
    for seed in range(5 if ALL else 1):
        tasks = [(submit_of("cleared"), task) for task in SUBMIT]
        tasks += [(reconcile_of("cleared"), task) for task in RECONCILE]
        random.Random(seed).shuffle(tasks)
        together = 1 if seed else 4
        for some in (tasks[place : place + together] for place in range(0, len(tasks), together)):
            dag_ids = {dag_id for dag_id, _ in some}
            for dag_id in dag_ids:
                house.clear(dag_id, day[dag_id], *(task for of, task in some if of == dag_id))
            for dag_id in dag_ids:
                house.finish(dag_id, day[dag_id])
        after = house.everything("cleared")
        differ = {name: [row for row in after[name] if row not in before[name]] for name in after}
        added = {name: rows for name, rows in differ.items() if after[name] != before[name]}
        assert added.keys() <= {"run", "run_balance"}, (seed, added)
        assert len(after["run"]) == len(before["run"])
    house.all_ties("cleared")


def test_a_run_works_for_the_local_day_and_keeps_it(house: House):
    """Where it is already tomorrow: by the schedule, by hand, and cleared when the local day is another one."""
    here, dag_id, client = str(house.scenes["dated"].changes["timezone"]), submit_of("dated"), house.client()
    zone = ZoneInfo(here)
    client.unpause(dag_id)
    (scheduled,) = until(lambda: client.runs(dag_id), 120, lambda: "the schedule started no run")
    house.finish(dag_id, scheduled["dag_run_id"])
    local_day = datetime.now(zone).date()
    by_hand = house.start("dated")
    house.finish(dag_id, by_hand)
    expected = datetime.fromisoformat(scheduled["logical_date"]).astimezone(zone).date()
    assert expected.isoformat() != scheduled["logical_date"][:10], "the UTC day is another one"
    found = {row["external_id"]: row for row in house.rows("dated", "select * from run")}
    assert found[scheduled["dag_run_id"]]["business_date"] == expected.isoformat()
    assert found[by_hand]["business_date"] == local_day.isoformat()
    assert [found[run]["started_by"] for run in (scheduled["dag_run_id"], by_hand)] == [None, "admin"]

    house.change("dated", {"timezone": EAST if here == WEST else WEST})
    sent = house.at_the_server("dated")
    assert len(sent) == 1
    client.clear(dag_id, by_hand)
    house.finish(dag_id, by_hand)
    again = {row["external_id"]: row["business_date"] for row in house.rows("dated", "select * from run")}
    assert again == {name: row["business_date"] for name, row in found.items()}
    assert house.at_the_server("dated") == sent
    house.all_ties("dated")
