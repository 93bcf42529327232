"""One business day, from due charges to books that tie: seeded database, DOKU simulator, real Airflow.

Everything lies in `var/demo` and is still there afterwards, to look at; what was started is stopped.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from include.domain.money import for_people
from include.flows.books_text import as_text
from include.ledger.summaries import last_summary, planned
from tests.services.processes import Started
from tests.stack.airflow import PROJECT, AirflowStack, recorded, stop_all, write_record
from tests.stack.books import balances_that_fail
from tests.stack.databases import Database, seeded
from tests.stack.progress import Progress, RunFollower
from tests.stack.scene import QUICK, Scene
from tests.stack.simulator import RunningSimulator, simulator

_CHARGES = 3000
RUN_TIMEOUT = 180.0
_WAKE_UP_TIMEOUT = 45.0
_DAY_TIMEOUT = 300.0


class DemoFailed(Exception):
    """The day did not come to its end; the message says where it stopped and why."""


def demo(profile: str, root: Path = PROJECT / "var" / "demo") -> int:
    """Play one business day and print its books.

    Returns:
        0 when the books tie, 1 when they do not.

    Raises:
        DemoFailed: A run failed, or the day did not end in time.
    """
    progress = Progress()
    clear(root)
    with owned(root), simulator(root / "doku", "--seed", "7") as doku:
        scene = _set_up(root, profile, doku, progress)
        with AirflowStack(root / "airflow", env=scene.environment(), say=progress.say) as airflow:
            progress.say(f"Airflow answers at {airflow.url} (login {airflow.user} / {airflow.password})")
            books = play_the_day(scene, airflow, progress)
            progress.say("Stopping Airflow and the simulator")
    return _report(scene, books, progress)


def play_the_day(scene: Scene, airflow: AirflowStack, progress: Progress) -> dict[str, Any]:
    """Let the DAGs of a profile do one business day on a running Airflow; the day's books.

    Raises:
        DemoFailed: A run failed, or something is still awaited after five minutes.
    """
    submit, reconcile = f"doku_submit__{scene.profile}", f"doku_reconcile__{scene.profile}"
    client = airflow.client
    with progress.step("Waiting for the DAGs to be read"):
        client.wait_for_dags(submit, reconcile)
    client.unpause(reconcile)  # first: a paused DAG is not woken
    client.unpause(submit)
    known = {run["dag_run_id"] for run in client.runs(reconcile)}
    with progress.step(f"Submitting the charges due on {scene.business_date}"):
        run_id = client.trigger(submit, {"business_date": scene.business_date.isoformat()})
        if RunFollower(client, submit, run_id, progress).follow(RUN_TIMEOUT) != "success":
            raise DemoFailed(client.failures(submit, run_id))
    with progress.step("Waiting for DOKU's reports and reconciling them"):
        return _reconcile_until_nothing_is_open(scene, airflow, progress, known)


def read_books(scene: Scene) -> dict[str, Any]:
    """The books of the scene's day, as the command line gives them."""
    return dict(json.loads(scene.command(
        "books", "--profile", scene.profile, "--business-date", scene.business_date.isoformat(), "--json"
    )))  # fmt: skip


def read_afterwards(scene: Scene, currency: str) -> dict[str, Any]:
    """What the day leaves behind: `planned`, the further attempts (count, amount in smallest units); `summary_page`."""
    engine = scene.ledger.engine()
    try:
        with engine.connect() as connection:
            further = [
                one for one in planned(connection, scene.profile, scene.business_date) if one.currency == currency
            ]
            last = last_summary(connection, scene.profile, scene.business_date)
    finally:
        engine.dispose()
    return {
        "planned": {"count": sum(one.count for one in further), "amount": sum(one.amount for one in further)},
        "summary_page": str(scene.artefacts / last.page) if last else None,
    }


def lines_of(afterwards: Mapping[str, Any], currency: str) -> list[str]:
    """The same for people."""
    further, page = afterwards["planned"], afterwards["summary_page"]
    found = []
    if further["count"]:
        amount = for_people(further["amount"], currency)
        found.append(f"Planned re-attempts               {further['count']:,} charges, {amount}")
    return [*found, f"The day's summary page (HTML)     {page}"] if page else found


def _reconcile_until_nothing_is_open(
    scene: Scene, airflow: AirflowStack, progress: Progress, known: set[str]
) -> dict[str, Any]:
    """Follow the reconcile runs, which submit or the schedule wakes; start one by hand only if none comes."""
    client, dag_id = airflow.client, f"doku_reconcile__{scene.profile}"
    deadline, quiet_since, seen = time.monotonic() + _DAY_TIMEOUT, time.monotonic(), set(known)
    while time.monotonic() < deadline:
        new = [run["dag_run_id"] for run in client.runs(dag_id) if run["dag_run_id"] not in seen]
        for run_id in new:
            seen.add(run_id)
            if RunFollower(client, dag_id, run_id, progress).follow(RUN_TIMEOUT) != "success":
                raise DemoFailed(client.failures(dag_id, run_id))
            quiet_since = time.monotonic()
        if new or seen == known:
            books = read_books(scene)
            if books["sent"]["count"] and not books["awaiting"]["count"] and not books["in_flight"]["count"]:
                return books
        if time.monotonic() - quiet_since > _WAKE_UP_TIMEOUT:
            progress.say("  no run was woken; starting one by hand")
            client.trigger(dag_id)
            quiet_since = time.monotonic()
        time.sleep(0.5)
    raise DemoFailed(f"DOKU's answer is still awaited after {_DAY_TIMEOUT:.0f} s; the reports lie in {scene.root}")


def _set_up(root: Path, profile: str, doku: RunningSimulator, progress: Progress) -> Scene:
    today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
    scene = scene_at(root, profile, today, doku, QUICK)
    with progress.step(f"Seeding the billing database of {profile} with {_CHARGES:,} charges"):
        seeded(scene.billing, profile, _CHARGES, today)
    with progress.step("Creating the ledger"):
        scene.write_profile()
        scene.upgrade_ledger()
    return scene


def scene_at(
    root: Path, profile: str, business_date: date, doku: RunningSimulator, changes: Mapping[str, Any]
) -> Scene:
    """A scene on embedded databases, beside a simulator."""
    return Scene(
        root=root,
        merchant=profile,
        business_date=business_date,
        billing=Database.sqlite(root / "billing.sqlite"),
        ledger=Database.sqlite(root / "ledger.sqlite"),
        remote=doku.remote,
        changes=changes,
    )


def _report(scene: Scene, books: Mapping[str, Any], progress: Progress) -> int:
    """Print the books and where things lie, write the summary; the exit code."""
    problems = balances_that_fail(books)
    if not books.get("ties", False):
        problems.append("the ledger itself says that the day does not tie")
    seconds = progress.seconds()
    afterwards = read_afterwards(scene, books["currency"])
    summary = {**books, **afterwards, "seconds": seconds, "steps": progress.steps, "problems": problems}
    (scene.root / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    out = [
        "",
        as_text(books),
        "",
        *lines_of(afterwards, books["currency"]),
        *where_it_lies(scene),
        "",
        f"The books {'tie' if not problems else 'DO NOT TIE: ' + '; '.join(problems)} ({seconds:.0f} s).",
    ]
    sys.stdout.write("\n".join(out) + "\n")
    return 1 if problems else 0


def where_it_lies(scene: Scene) -> list[str]:
    """Where a person can look at what a demo left behind."""
    return [
        f"Our copies of files and reports   {scene.artefacts}",
        f"What DOKU's server holds          {scene.remote.files}",
        f"Billing database                  {scene.root / 'billing.sqlite'}",
        f"Ledger                            {scene.root / 'ledger.sqlite'}",
        f"These figures as JSON             {scene.root / 'summary.json'}",
    ]


@contextmanager
def owned(root: Path) -> Iterator[None]:
    """Keep a second demo in this checkout from taking the folder away."""
    us = Started.of_this_process("make demo")
    write_record(root / "owner.json", [us])
    try:
        yield
    finally:
        (root / "owner.json").unlink(missing_ok=True)


def clear(root: Path) -> None:
    """Empty the folder of an earlier demo; stop what a killed one could not stop itself."""
    if any(one.is_running() and one.pid != os.getpid() for one in recorded(root, "owner.json")):
        raise DemoFailed(f"another `make demo` is running in {root}; wait for it or stop it with Ctrl-C")
    stop_all(recorded(root / "airflow"))
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
