"""Some days of a merchant with bills: registration, DOKU's own charges, notifications into the real API server, books.

DOKU's clock is a simulated one that begins some days ago, so that a few days pass in a minute and a half; the
merchant's is the real one. So notifications of any age are taken here, and whatever weekday it is plays no part.
Everything lies in `var/demo` and is still there afterwards.
"""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import sqlalchemy as sa

from include.domain.connection import ConnectionSettings
from include.flows.assemble import flow_context
from include.flows.books_text import as_text
from include.flows.recurring.books import books_of_charges, charges_as_text
from include.schemas.profile import load_profile
from tests.stack.airflow import PROJECT, AirflowStack
from tests.stack.books import balances_that_fail
from tests.stack.databases import seeded
from tests.stack.demo import RUN_TIMEOUT, DemoFailed, clear, owned, play_the_day, read_books, scene_at, where_it_lies
from tests.stack.progress import Progress, RunFollower
from tests.stack.scene import QUICK, Scene
from tests.stack.simulator import RunningSimulator, simulator
from tests.stack.toml import changed, dumps

JAKARTA: Final = ZoneInfo("Asia/Jakarta")
_KINDS: Final = ("payment", "registration", "card_update", "amount", "report_ready")
COUNT: Final = 150
_QUIET_SECONDS: Final = 20.0
_STAGE_SECONDS: Final = 240.0

QUICK_BILLS: Final[Mapping[str, Any]] = {
    "schedule": {**QUICK["schedule"], "tokens": "0 3 29 2 *"},
    "recurring": {"schedule": "", "calls_at_a_time": 5000},
    "http": {"requests_per_second": 500},
    # DOKU's clock stands some days ago, or some hours ahead: see above.
    "notifications": {"max_age_hours": False, "max_skew_minutes": 1440, "look_seconds": 3},
}
"""What makes a few days fit into minutes."""


@dataclass(frozen=True)
class Story:
    """What a demo plays.

    Attributes:
        days: How many days DOKU charges, the last of them today.
        faults: Orders to the simulator, as its control file has them.
        changes: Laid over the profile, beside what makes it quick.
    """

    days: int
    faults: tuple[Mapping[str, Any], ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)


STORIES: Final[Mapping[str, Story]] = {
    # Three days; three notifications of the first one are lost for good, and are asked for.
    "donation": Story(3, ({"name": "notification_lost", "times": 3, "match": "payment:*"},)),
    # The amounts of a varying bill are asked for today.
    "internet": Story(1, changes={"brakes": {"max_quarantined_share": 0.5}}),
}


def demo(profile: str, root: Path = PROJECT / "var" / "demo") -> int:
    """Play a merchant's days and print their books.

    Returns:
        0 when the books tie and agree with what DOKU did, 1 when not.

    Raises:
        DemoFailed: A run failed, or a day did not come to its end in time.
    """
    story, progress = STORIES[profile], Progress()
    today = datetime.now(JAKARTA).date()
    first = today - timedelta(days=story.days - 1)
    clear(root)
    with owned(root), simulator(root / "doku", "--seed", "7", *doku_settings(root, first)) as doku:
        scene = _set_up(root, profile, today, doku, progress)
        with AirflowStack(root / "airflow", env=scene.environment(), say=progress.say) as airflow:
            progress.say(f"Airflow answers at {airflow.url} (login {airflow.user} / {airflow.password})")
            played = _Days(scene, airflow, Doku(doku), progress).play(story, first, today)
            progress.say("Stopping Airflow and the simulator")
    return _report(scene, doku, played, first, today, progress)


class Doku:
    """What is told to the simulator while it runs: its clock, and where the merchant is."""

    def __init__(self, running: RunningSimulator) -> None:
        self.root = running.root
        self._http = httpx.Client(base_url=running.facts["http"]["url"], timeout=RUN_TIMEOUT)

    def told_where(self, address: str, profile: str) -> None:
        """Notifications go to the notification paths of an API server."""
        self._post("notify-urls", {kind: f"{address}/doku/notifications/{profile}/{kind}" for kind in _KINDS})

    def goes_on_to(self, moment: datetime) -> int:
        """Its clock goes on, with all that happens until then; how much did."""
        return int(self._post("advance", {"to": moment.isoformat()})["happened"])

    def loses(self, token: str) -> None:
        """A token is dead."""
        self._post("kill-token", {"token": token})

    def is_to(self, faults: tuple[Mapping[str, Any], ...]) -> None:
        """Order faults: they happen from now on."""
        (self.root / "control.json").write_text(json.dumps({"faults": [dict(one) for one in faults]}))

    def journal(self, name: str) -> list[dict[str, Any]]:
        """The records of one of its journals."""
        file = self.root / f"{name}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _post(self, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._http.post(f"/_simulator/{what}", json=body)
        answer.raise_for_status()
        return dict(answer.json())


class _Days:
    """The DAGs at work, stage by stage."""

    def __init__(self, scene: Scene, airflow: AirflowStack, doku: Doku, progress: Progress) -> None:
        self._scene, self._airflow, self._doku, self._progress = scene, airflow, doku, progress
        self._recurring = f"doku_recurring__{scene.profile}"
        self._seen: set[str] = set()

    def play(self, story: Story, first: date, today: date) -> dict[str, Any]:
        """All of it; the books of a batch, where there is one, by `batch`."""
        batches = load_profile(self._scene.profiles / f"{self._scene.profile}.toml").sends_batches
        client, tokens = self._airflow.client, f"doku_tokens__{self._scene.profile}"
        with self._progress.step("Waiting for the DAGs to be read"):
            client.wait_for_dags(self._recurring, *([tokens] if batches else []))
        client.unpause(self._recurring)
        self._doku.told_where(self._airflow.url, self._scene.profile)
        asked = ""
        if batches:  # beside the bills
            client.unpause(tokens)
            asked = client.trigger(tokens)
        with self._progress.step("Registering bills: links for some, a file for the others"):
            self._run_now()
            self._wait_for_file()
        with self._progress.step("Customers register their cards; DOKU tells of it"):
            self._doku.goes_on_to(_at(first - timedelta(days=1), 20))
            self._until_taken_in()
        self._doku.is_to(story.faults)
        with self._progress.step("DOKU charges on its own schedule, asks for amounts, and tells what became of it"):
            for number in range(story.days):
                day = first + timedelta(days=number)
                happened = self._doku.goes_on_to(_at(day, 8))
                self._progress.say(f"  {day}: {happened:,} charges and notifications")
            self._until_taken_in()
        if story.faults:
            with self._progress.step("DOKU is asked for charges that nobody told of"):
                patient(self._scene, {"recurring": {"expected_hours": 36}}).write_profile()
                self._run_now()
        if not batches:
            return {"batch": None}
        with self._progress.step("Those who are collected by batch: DOKU's tokens of them"):
            self._follow(tokens, asked)
        return {"batch": play_the_day(self._scene, self._airflow, self._progress)}

    # --- the recurring DAG --------------------

    def _run_now(self) -> None:
        self._follow(self._recurring, self._airflow.client.trigger(self._recurring))

    def _follow(self, dag_id: str, run_id: str) -> None:
        self._seen.add(run_id)
        if RunFollower(self._airflow.client, dag_id, run_id, self._progress).follow(RUN_TIMEOUT) != "success":
            raise DemoFailed(self._airflow.client.failures(dag_id, run_id))

    def _until_taken_in(self) -> None:
        """Follow the runs that notifications wake, until nothing waits; start one by hand only if none comes."""
        told = [one for one in self._doku.journal("notifications") if one.get("url")]
        if told and not any(one["taken"] for one in told):
            said = f"{told[-1].get('status')} {told[-1].get('answer')}"
            raise DemoFailed(f"The API server took none of {len(told):,} notifications; the last answer was {said}")
        deadline, quiet_since = time.monotonic() + _STAGE_SECONDS, time.monotonic()
        while time.monotonic() < deadline:
            new = [run["dag_run_id"] for run in self._airflow.client.runs(self._recurring)]
            for run_id in [one for one in new if one not in self._seen]:
                self._follow(self._recurring, run_id)
                quiet_since = time.monotonic()
            if not _waiting(self._scene) and set(new) <= self._seen:
                return
            if time.monotonic() - quiet_since > _QUIET_SECONDS:
                self._progress.say("  no run was woken; starting one by hand")
                self._run_now()
                quiet_since = time.monotonic()
            time.sleep(0.3)
        raise DemoFailed(
            f"Notifications still wait after {_STAGE_SECONDS:.0f} s; the ledger lies in {self._scene.root}"
        )

    def _wait_for_file(self) -> None:
        """DOKU has taken the file that registers bills."""
        deadline = time.monotonic() + _STAGE_SECONDS
        while not any(one["event"].startswith("file") for one in self._doku.journal("bills")):
            if time.monotonic() > deadline:
                raise DemoFailed("DOKU did not take the file that registers bills")
            time.sleep(0.2)


def _at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=JAKARTA)


def doku_settings(root: Path, first: date) -> tuple[str, ...]:
    """The simulator's arguments for its HTTP side: its clock stands at eight in the morning, a day before the first."""
    file = root / "doku.toml"
    layout = PROJECT / "include" / "config" / "layouts" / "assumed-registration.toml"
    settings = {
        "registrations_succeed": 1.0, "registrations_abandoned": 0.05, "complete_seconds": [60.0, 7200.0],
        "register_layout": str(layout),
    }  # fmt: skip
    file.write_text(f"start_at = {_at(first - timedelta(days=1), 8).isoformat()}\n{dumps(settings)}", encoding="utf-8")
    return "--http-port", "0", "--http", str(file)


def _set_up(root: Path, profile: str, today: date, doku: RunningSimulator, progress: Progress) -> Scene:
    story = STORIES[profile]
    scene = scene_at(root, profile, today, doku, changed(QUICK_BILLS, story.changes))
    first = today - timedelta(days=story.days - 1)
    with progress.step(f"Seeding the database of {profile} with {COUNT:,} bills and invoices"):
        seeded(scene.billing, profile, COUNT, first)
    with progress.step("Creating the ledger"):
        patient(scene, {"recurring": {"expected_hours": 24 * 30}}).write_profile()
        scene.upgrade_ledger()
    return scene


def patient(scene: Scene, changes: Mapping[str, Any]) -> Scene:
    """The same merchant with other settings: nothing is missed while DOKU's days are still going by."""
    return replace(scene, changes=changed(scene.changes, changes))


def _rows(scene: Scene, query: str, *, billing: bool = False) -> list[dict[str, Any]]:
    engine = (scene.billing if billing else scene.ledger).engine()
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(query)).mappings()]
    finally:
        engine.dispose()


def _waiting(scene: Scene) -> int:
    return int(_rows(scene, "SELECT count(*) AS n FROM notification WHERE state = 'received'")[0]["n"])


# --- what is shown --------------------


def charges_of(scene: Scene, first: date, last: date) -> dict[str, Any]:
    """The books of DOKU's charges on some days."""
    names = {"ledger": scene.ledger.connection, "billing": scene.billing.connection}
    profile = load_profile(scene.profiles / f"{scene.profile}.toml")
    known = {profile.connections.ledger: names["ledger"], profile.connections.billing: names["billing"]}

    def look_up(conn_id: str) -> ConnectionSettings:
        return ConnectionSettings.from_env_value(conn_id, json.dumps(dict(known[conn_id])))

    from upath import UPath

    with flow_context(profile, look_up, UPath(scene.artefacts.as_uri())) as context:
        return books_of_charges(context, first, last)


def second_opinion(scene: Scene, doku: Path) -> tuple[list[str], list[str]]:
    """What DOKU says it charged, beside what the merchant's table says: lines, and what differs."""
    truth = [json.loads(line) for line in (doku / "recurring.jsonl").read_text().splitlines()]
    told = _rows(
        scene, "SELECT charge_id, invoice_number, status, amount FROM doku_charge_outcomes WHERE batch_name IS NULL",
        billing=True,
    )  # fmt: skip
    paid = {row["invoice_number"]: int(row["amount"]) for row in told if row["status"] == "paid"}
    charged = {one["reference"]: int(one["charged"]) for one in truth if one["status"] == "SUCCESS"}
    problems = [f"DOKU charged {one}, which the merchant does not know as paid" for one in set(charged) - set(paid)]
    problems += [f"the merchant knows {one} as paid, which DOKU did not charge" for one in set(paid) - set(charged)]
    problems += [f"the amount of {one} differs" for one in set(paid) & set(charged) if paid[one] != charged[one]]
    lines = [f"DOKU says it charged              {len(charged):,} times, Rp {sum(charged.values()):,}"]
    return lines, problems


def _bill_lines(scene: Scene) -> list[str]:
    states = _counts(scene, "SELECT state, count(*) FROM doku_bill_status GROUP BY state ORDER BY state", billing=True)
    told = _counts(scene, "SELECT kind, count(*) FROM notification GROUP BY kind ORDER BY kind")
    asked = _rows(scene, "SELECT count(amount) AS answered, count(*) AS n FROM amount_question")[0]
    missed = _rows(scene, "SELECT count(*) AS n FROM status_question WHERE answer IS NOT NULL")[0]["n"]
    lines = [f"Bills                             {states}", f"Notifications taken in            {told}"]
    if asked["n"]:
        lines.append(f"Amounts that DOKU asked for       {asked['n']:,}, of which {asked['answered']:,} were known")
    if missed:
        lines.append(f"Charges nobody told of            {missed:,} asked for, and answered")
    return lines


def _token_lines(scene: Scene) -> list[str]:
    choices = _counts(scene, "SELECT choice, count(*) FROM token_question GROUP BY choice ORDER BY choice")
    return [f"Customers by their tokens         {choices}"] if choices else []


def _counts(scene: Scene, query: str, *, billing: bool = False) -> str:
    pairs = (row.values() for row in _rows(scene, query, billing=billing))
    return ", ".join(f"{count:,} {name}" for name, count in pairs)


def _report(
    scene: Scene, doku: RunningSimulator, played: Mapping[str, Any], first: date, today: date, progress: Progress
) -> int:
    """Print the books and where things lie, write the summary; the exit code."""
    charges = charges_of(scene, first, today)
    lines, problems = second_opinion(scene, doku.root)
    if not charges["ties"]:
        problems.append("the ledger itself says that DOKU's charges do not tie")
    out = ["", charges_as_text(charges), ""]
    batch = read_books(scene) if played["batch"] else None
    if batch:
        problems += balances_that_fail(batch)
        out += [as_text(batch), ""]
    seconds = progress.seconds()
    out += [
        *_bill_lines(scene), *_token_lines(scene), *lines, *where_it_lies(scene), "",
        f"The books {'tie' if not problems else 'DO NOT TIE: ' + '; '.join(problems)} ({seconds:.0f} s).",
    ]  # fmt: skip
    summary = {"charges": charges, "batch": batch, "seconds": seconds, "steps": progress.steps, "problems": problems}
    (scene.root / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(out) + "\n")
    return 1 if problems else 0
