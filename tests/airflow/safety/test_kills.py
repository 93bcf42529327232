"""A task's process is killed in the middle of its work: it goes on by itself or when cleared; nothing is sent twice."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from tests.airflow.safety.conftest import ALL
from tests.airflow.safety.house import House, reconcile_of, submit_of, until, write_to
from tests.stack.client import AirflowClient
from tests.stack.scene import Scene
from tests.stack.simulator import RunningSimulator

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.services,
    pytest.mark.skipif(not ALL, reason="takes minutes: make sweep"),
]

NAME = "killed"
SUBMIT, RECONCILE = submit_of(NAME), reconcile_of(NAME)


@pytest.fixture(autouse=True)
def more_to_send(house: House) -> Iterator[None]:
    """Charges that were not sent yet, for each test, and a simulator that behaves afterwards."""
    scene = house.scenes[NAME]
    number = house.rows(NAME, "select count(*) as n from run")[0]["n"]
    write_to(
        scene.billing,
        "update insurer_premiums set premium_id = premium_id || :suffix, cancelled_on = null", suffix=f"-{number}",
    )  # fmt: skip
    house.client().unpause(RECONCILE)
    yield
    _order(house)


def _order(house: House, *faults: dict[str, Any]) -> None:
    """Order faults of the simulator."""
    control = _doku(house).root / "control.json"
    draft = control.with_suffix(".new")
    draft.write_text(json.dumps({"faults": list(faults)}))
    draft.replace(control)


@contextmanager
def _locked(scene: Scene, table: str) -> Iterator[None]:
    """Nobody else writes to a table of the ledger: whoever tries waits in the middle of its transaction."""
    with scene.ledger.engine().connect() as connection, connection.begin():
        connection.execute(sa.text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
        yield


def _waits_for_lock(scene: Scene) -> bool:
    waiting = "select count(*) from pg_locks where not granted"
    with scene.ledger.engine().connect() as connection:
        return bool(connection.scalar(sa.text(waiting)))


def _process_of(task: dict[str, Any]) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        if task["id"] in " ".join(process.info["cmdline"] or ()) and "worker" in " ".join(process.info["cmdline"]):
            return process
    return None


def _kill(house: House, dag_id: str, run_id: str, task_id: str, *, supervisor: bool = False) -> None:
    """SIGKILL the process that runs a task, and with it, if wanted, the one that watches it."""
    task = house.wait_for(dag_id, run_id, task_id, "running")
    process = until(lambda: _process_of(task), 20, lambda: "the task has no process")
    watching = process.parent()
    if supervisor and watching is not None:
        os.kill(watching.pid, signal.SIGKILL)
    os.kill(process.pid, signal.SIGKILL)


def _after(house: House, dag_id: str, run_id: str, task_id: str, *, clear: bool) -> None:
    """It is noticed; then a person clears it, or Airflow tries again; the run ends well."""
    house.wait_for(dag_id, run_id, task_id, "up_for_retry", "failed", timeout=120)
    if clear:
        house.clear(dag_id, run_id, task_id, downstream=True)
    house.finish(dag_id, run_id, timeout=240)


def _sent_once(house: House) -> None:
    """Each invoice number was charged once at most, each file is at the server once, and everything ties."""
    charged = [json.loads(line) for line in (_doku(house).root / "charged.jsonl").read_text().splitlines()]
    numbers = [one["invoice_number"] for one in charged]
    assert len(numbers) == len(set(numbers))
    live = "select charge_id from attempt group by billing_source, charge_id, attempt_no having count(*) > 1"
    assert house.rows(NAME, live) == []
    house.all_ties(NAME)


@pytest.mark.parametrize(("supervisor", "clear"), [(False, True), (False, False), (True, True)])
def test_while_the_file_is_being_written(house: House, supervisor: bool, clear: bool):
    _order(house, {"name": "hang", "match": "*.part", "params": {"op": "write", "seconds": 600}})
    run_id = house.start(NAME, business_date=house.today.isoformat())
    until(lambda: _state(house) == "delivering" and _parts(house), 90, lambda: f"not delivering: {_state(house)}")
    before = house.at_the_server(NAME)
    _kill(house, SUBMIT, run_id, "deliver", supervisor=supervisor)
    _after(house, SUBMIT, run_id, "deliver", clear=clear)
    assert _state(house) in ("delivered", "reconciled")
    assert len(house.at_the_server(NAME)) == len(before) + 1
    assert _parts(house) == [], "what broke off was cleaned up"
    _sent_once(house)


def test_after_the_rename_and_before_it_is_recorded(house: House):
    _order(house, {"name": "slow", "match": "*.part", "params": {"op": "rename", "seconds": 4}})
    run_id = house.start(NAME, business_date=house.today.isoformat())
    until(lambda: _state(house) == "renaming", 90, lambda: f"not renaming: {_state(house)}")
    before = set(house.at_the_server(NAME))
    with _locked(house.scenes[NAME], "event"):
        until(lambda: set(house.at_the_server(NAME)) - before, 30, lambda: "not renamed")
        until(lambda: _waits_for_lock(house.scenes[NAME]), 30, lambda: "does not wait")
        _kill(house, SUBMIT, run_id, "deliver")
    _after(house, SUBMIT, run_id, "deliver", clear=True)
    assert _state(house) in ("delivered", "reconciled")
    assert len(set(house.at_the_server(NAME)) - before) == 1
    _sent_once(house)


@pytest.mark.parametrize("table", ["report_line", "outcome"])
def test_in_the_middle_of_taking_in_a_report(house: House, table: str):
    client = house.client()
    known = {run["dag_run_id"] for run in client.runs(RECONCILE)}
    run_id = house.start(NAME, business_date=house.today.isoformat())
    house.finish(SUBMIT, run_id)  # before the lock: it may withdraw, and what it withdraws is an outcome
    with _locked(house.scenes[NAME], table):
        (woken,) = until(lambda: _new_runs(client, known), 120, lambda: "not woken")
        house.wait_for(RECONCILE, woken, "ingest", "running")
        until(lambda: _waits_for_lock(house.scenes[NAME]), 240, lambda: "does not wait")
        _kill(house, RECONCILE, woken, "ingest")
        house.wait_for(RECONCILE, woken, "ingest", "up_for_retry", "failed")
        of_last = "select invoice_number from attempt where batch_id = (select max(batch_id) from batch)"
        lines = f"select count(*) as n from report_line where invoice_number in ({of_last})"
        assert house.rows(NAME, lines) == [{"n": 0}], "nothing of a report that was not taken in whole"
    _after(house, RECONCILE, woken, "ingest", clear=True)
    assert _state(house) == "reconciled"
    _sent_once(house)


def _new_runs(client: AirflowClient, known: set[str]) -> list[str]:
    return [run["dag_run_id"] for run in client.runs(RECONCILE) if run["dag_run_id"] not in known]


def _doku(house: House) -> RunningSimulator:
    assert house.faulty is not None
    return house.faulty


def _state(house: House) -> str | None:
    found = house.rows(NAME, "select state from batch order by batch_id desc")
    return str(found[0]["state"]) if found else None


def _parts(house: House) -> list[str]:
    return [path.name for path in _doku(house).remote.files.rglob("*.part")]
