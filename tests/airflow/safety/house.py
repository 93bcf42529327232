"""One Airflow with several merchants side by side, several people who log in, and DOKU's simulator beside it."""

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import httpx
import sqlalchemy as sa

from include.flows.books import books_of_day
from include.flows.verify import findings
from include.ledger.schema import VERSION_TABLE
from tests.merchants import insurance
from tests.services.processes import Started, free_port, start
from tests.stack import by_flows
from tests.stack.airflow import AirflowStack
from tests.stack.client import AirflowClient
from tests.stack.databases import Database, upgraded
from tests.stack.remote import Remote
from tests.stack.scene import QUICK, Scene
from tests.stack.simulator import RunningSimulator
from tests.stack.toml import changed

T = TypeVar("T")

PEOPLE = {"admin": "admin", "maker": "user", "checker": "user", "viewer": "viewer"}
"""Who can log in, and the role of each; the password is the name."""

EAST, WEST = "Pacific/Kiritimati", "Etc/GMT+12"
"""26 hours apart: it is never the same day."""

_ONLY_BY_HAND = {"schedule": {"submit": "", "reconcile": ""}}


@dataclass
class House:
    """The Airflow and who lives in it.

    Attributes:
        root: Folder of everything.
        today: The merchants' calendar day, unless a test gives one another timezone.
        scenes: The merchants, by profile name.
        started: Runs of submit that were started with the house, by profile name.
        faulty: Another simulator, for the merchant whose tasks are killed; only in the sweep.
        stories: Tests that run side by side, by node id.
    """

    root: Path
    today: date
    doku: RunningSimulator
    airflow: AirflowStack | None = None
    scenes: dict[str, Scene] = field(default_factory=dict)
    clients: dict[str, AirflowClient] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    faulty: RunningSimulator | None = None
    stories: dict[str, Future[Any]] = field(default_factory=dict)

    def settle(
        self,
        name: str,
        *,
        charges: int = 24,
        changes: Mapping[str, Any] | None = None,
        billing: Database | None = None,
        ledger: Database | None = None,
        remote: Remote | None = None,
    ) -> Scene:
        """A merchant of its own: databases, keys, profile, a code of its own in file names."""
        billing = billing or Database.sqlite(self.root / f"{name}-billing.sqlite")
        engine = billing.engine()
        insurance.seed(engine, charges=charges, business_date=self.today, bad_share=0)
        engine.dispose()
        merchant = name.replace("_", "-")
        own = {
            **_ONLY_BY_HAND, "merchant": merchant, "title": name.replace("_", " ").capitalize(),
            "report": {"pattern": f"RPT_TKN_{merchant}_*.TXT"},
        }  # fmt: skip
        scene = Scene(
            self.root, "insurance", self.today, billing,
            upgraded(ledger or Database.sqlite(self.root / f"{name}-ledger.sqlite")), remote or self.doku.remote,
            changes=changed(changed(QUICK, own), changes or {}), name=name,
        )  # fmt: skip
        scene.write_profile()
        self.scenes[name] = scene
        return scene

    def change(self, name: str, changes: Mapping[str, Any]) -> Scene:
        """Lay changes over a merchant's profile; tasks read it anew each time."""
        scene = self.scenes[name]
        self.scenes[name] = replace(scene, changes=changed(scene.changes, changes))
        self.scenes[name].write_profile()
        return self.scenes[name]

    def client(self, person: str = "admin") -> AirflowClient:
        """Airflow's API as somebody uses it."""
        assert self.airflow is not None
        if person not in self.clients:
            self.clients[person] = AirflowClient(self.airflow.url, person, person)
        return self.clients[person]

    # --- runs --------------------

    def start(self, name: str, by: str = "admin", **conf: Any) -> str:
        """Start submit by hand; the run's id."""
        self.client().unpause(submit_of(name))
        return self.client(by).trigger(submit_of(name), conf)

    def finish(self, dag_id: str, run_id: str, expected: str = "success", timeout: float = 400) -> None:
        """Wait for the end of a run and for this state."""
        state = self.client().wait(dag_id, run_id, timeout)
        assert state == expected, self.client().failures(dag_id, run_id)

    def wait_for(self, dag_id: str, run_id: str, task_id: str, *states: str, timeout: float = 300) -> dict[str, Any]:
        """Wait until a task is in one of these states; the task instance."""

        def there() -> dict[str, Any] | None:
            tasks = self.client().task_instances(dag_id, run_id)
            return next((one for one in tasks if one["task_id"] == task_id and one["state"] in states), None)

        return until(there, timeout, lambda: f"{dag_id}.{task_id} is not {states}: {self.states(dag_id, run_id)}")

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of each task of a run."""
        return {one["task_id"]: one["state"] for one in self.client().task_instances(dag_id, run_id)}

    def wait_for_question(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Wait until `approve` asks a person; what it asks.

        Airflow takes an answer that is there before it knows of the end of the asking process for a task that was
        killed, and tries again a minute later; no person is so quick.
        """
        self.wait_for(dag_id, run_id, "approve", "awaiting_input")
        time.sleep(3)
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
        return dict(self.client().request("GET", path))

    def said(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The log of the last try of a task."""
        found = self.client().task_instances(dag_id, run_id)
        (task,) = [one for one in found if one["task_id"] == task_id]
        place = {"try_number": task["try_number"], "map_index": task["map_index"]}
        return self.client().log(dag_id, run_id, task_id, **place)

    def clear(self, dag_id: str, run_id: str, *task_ids: str, downstream: bool = False) -> None:
        """Clear tasks of a run, whatever their state."""
        body = {
            "dry_run": False, "dag_run_id": run_id, "task_ids": list(task_ids), "only_failed": False,
            "include_downstream": downstream, "reset_dag_runs": True,
        }  # fmt: skip
        self.client().request("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, by: str) -> None:
        """Give a task a state by hand."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self.client(by).request("PATCH", path, json={"new_state": state})

    def question(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """What `approve` asks."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
        return dict(self.client().request("GET", path))

    def answer(self, dag_id: str, run_id: str, option: str, by: str, why: str = "looked at it") -> None:
        """Answer `approve` in Airflow."""
        answer_with(self.client(by), dag_id, run_id, option, why)

    # --- what is there --------------------

    def rows(self, name: str, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of a merchant's ledger."""
        return rows_of(self.scenes[name].ledger, statement, **values)

    def at_the_server(self, name: str) -> dict[str, int]:
        """Batch files of a merchant that are or were at DOKU's server: name to size."""
        merchant = f"TKN_{self.scenes[name].changes['merchant']}_"
        found = [path for path in self._remote_files(name).rglob(f"{merchant}*") if path.is_file()]
        return {path.name: path.stat().st_size for path in found}

    def books(self, name: str, day: date, run_id: int | None = None) -> dict[str, Any]:
        """A merchant's books of a day; they tie."""
        with by_flows.context_of(self.scenes[name]) as context:
            found = books_of_day(context, day, run_id)
        assert found["ties"], found["why_not"]
        return found

    def all_ties(self, name: str) -> None:
        """`verify` finds nothing."""
        with by_flows.context_of(self.scenes[name]) as context:
            assert list(findings(context)) == []

    def everything(self, name: str, *without: str) -> dict[str, Any]:
        """Every row of the ledger and of the outcomes told, and every file at the server and kept by us."""
        scene = self.scenes[name]
        tables = set(sa.inspect(scene.ledger.engine()).get_table_names()) - {VERSION_TABLE, *without}
        found: dict[str, Any] = {
            table: sorted(map(repr, rows_of(scene.ledger, f'select * from "{table}"'))) for table in tables
        }
        found["outcomes told"] = sorted(map(repr, rows_of(scene.billing, "select * from doku_charge_outcomes")))
        mine = str(scene.changes["merchant"])
        for place, folder in (("remote", self._remote_files(name)), ("kept", scene.artefacts)):
            files = [path for path in folder.rglob("*") if path.is_file() and mine in str(path)]
            found[f"{place} files"] = sorted((str(one), one.stat().st_mtime_ns, one.stat().st_size) for one in files)
        return found

    def _remote_files(self, name: str) -> Path:
        return self.scenes[name].remote.files


def submit_of(name: str) -> str:
    """The id of a profile's submit DAG."""
    return f"doku_submit__{name}"


def reconcile_of(name: str) -> str:
    """The id of a profile's reconcile DAG."""
    return f"doku_reconcile__{name}"


def rows_of(database: Database, statement: str, **values: Any) -> list[dict[str, Any]]:
    """Rows of a database."""
    with database.engine().connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]


def write_to(database: Database, statement: str, **values: Any) -> None:
    """Change a database."""
    with database.engine().begin() as connection:
        connection.execute(sa.text(statement), values)


def answer_with(client: Any, dag_id: str, run_id: str, option: str, why: str) -> None:
    """Answer a question of `approve` with a client."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    client.request("PATCH", path, json={"chosen_options": [option], "params_input": {"why": why}})


def until(there: Callable[[], T | None], timeout: float, why: Callable[[], str]) -> T:
    """Ask until there is something; AssertionError in words when time is over."""
    deadline = time.monotonic() + timeout
    while not (found := there()):
        assert time.monotonic() < deadline, why()
        time.sleep(0.3)
    return found


def anonymous_api(house: House) -> tuple[str, Started]:
    """A second API server of the same Airflow, at which everybody is the administrator "Anonymous"."""
    assert house.airflow is not None
    port = free_port()
    changes = {"AIRFLOW__API__PORT": str(port), "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}
    return f"http://127.0.0.1:{port}", start(
        "anonymous-api-server", [sys.executable, "-m", "airflow", "api-server"],
        log=house.root / "anonymous.log", env={**house.airflow.environment, **changes}, cwd=house.root,
    )  # fmt: skip


def is_forbidden(request: Callable[[], Any]) -> bool:
    """Whether Airflow says 403."""
    try:
        request()
    except httpx.HTTPStatusError as refused:
        return refused.response.status_code == httpx.codes.FORBIDDEN
    return False


def days_before(day: date, count: int) -> list[date]:
    """So many days before a day, oldest first."""
    return [day - timedelta(days=back) for back in range(count, 0, -1)]


def away_from_utc() -> dict[str, Any]:
    """Settings of a merchant where it is another day than in UTC, and submit was due an hour ago, that same day.

    A DAG that never ran takes a time that is over by less than a tenth of the time between two.
    """
    due = datetime.now(UTC) - timedelta(hours=1)
    zone = EAST if due.hour >= 10 else WEST
    return {"timezone": zone, "schedule": {"submit": f"0 {due.astimezone(ZoneInfo(zone)).hour} * * *"}}


def local_now(zone: Any) -> datetime:
    """The time in a zone."""
    return datetime.now(zone)
