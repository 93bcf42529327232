"""The drill of a cluster, without containers: the topology of docker-compose.yaml as processes of this machine.

PostgreSQL, Redis, an object store, Airflow's four components and two Celery workers, each worker with a disk of its
own. A day of 200,000 charges in four batches; in the middle of it a worker is killed while it delivers, the API server
and Redis are killed and started again. Nobody helps: the day has to come to its end by itself.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import httpx

from include.flows.books_text import as_text
from tests.services.object_store import ObjectStore, object_store
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.processes import Started, free_ports, wait_until
from tests.services.redis import RedisServer, redis_server
from tests.stack.airflow import PROJECT, AirflowStack
from tests.stack.books import balances_that_fail
from tests.stack.databases import Database, seeded
from tests.stack.demo import DemoFailed
from tests.stack.progress import Progress
from tests.stack.scene import QUICK, Scene
from tests.stack.simulator import RunningSimulator, simulator
from tests.stack.toml import changed

T = TypeVar("T")

CHARGES: Final = 200_000
_BATCHES: Final = 4
WORKERS = ("w1", "w2")
_TIMEOUT = 1500.0

# What a drill of minutes needs shorter than production does; docs/cluster.md says what each costs there.
IMPATIENT: Mapping[str, str] = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
}


class CeleryStack(AirflowStack):
    """Airflow behind a queue: the four components, and workers that share nothing but the databases and the bucket.

    Attributes:
        workers: The running workers by name.
        api_server: The API server that runs now.
    """

    def __init__(self, root: Path, redis: RedisServer, metadata: PostgresServer, **arguments: Any) -> None:
        """As AirflowStack; `metadata` gets a database for Airflow and one for Celery's results."""
        url = Database.on(metadata, "airflow").url.replace("+psycopg:", "+psycopg2:")
        super().__init__(root, metadata_url=url, **arguments)
        results = Database.on(metadata, "celery").url.replace("+psycopg:", "+psycopg2:")
        self._celery = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__CELERY__BROKER_URL": redis.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{results}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            **IMPATIENT,
        }
        self.workers: dict[str, Started] = {}
        self.api_server: Started | None = None

    def _settings(self, api: int, worker_logs: int, trigger_logs: int) -> dict[str, str]:
        return {**super()._settings(api, worker_logs, trigger_logs), **self._celery}

    def start(self, timeout: float = 180.0) -> None:
        """Start the components, then the workers; wait until each says that it is ready."""
        super().start(timeout)
        (self.api_server,) = (one for one in self.processes() if one.name == "api-server")
        self._say(f"Airflow: starting {len(WORKERS)} Celery workers")
        for name in WORKERS:
            self.start_worker(name)
        for name, worker in self.workers.items():
            log = self.root / f"worker-{name}.log"
            wait_until(lambda log=log: "ready." in log.read_text(), worker, timeout=120, what=f"Worker {name}")

    def start_worker(self, name: str) -> None:
        """Start a worker with a home and a folder for temporary files of its own."""
        disk = self.root / name
        (disk / "tmp").mkdir(parents=True, exist_ok=True)
        own = {
            "AIRFLOW_HOME": str(disk), "TMPDIR": str(disk / "tmp"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(disk / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_ports(1)[0]),
        }  # fmt: skip
        arguments = ("celery", "worker", "--celery-hostname", f"{name}@cluster")
        self.workers[name] = self._start_component(f"worker-{name}", *arguments, env=own, cwd=disk)

    def kill_worker_of(self, pid: int) -> str:
        """Kill the worker below which that process runs; its name."""
        (name,) = (name for name, worker in self.workers.items() if worker.has(pid))
        self.workers.pop(name).kill()
        return name

    def restart_api_server(self) -> None:
        """Kill the API server and start it again on its port."""
        assert self.api_server is not None
        self.api_server.kill()
        self.api_server = self._start_component("api-server")


@dataclass
class Drill:
    """What is looked at while the day runs, and what was broken when."""

    scene: Scene
    airflow: CeleryStack
    redis: RedisServer
    doku: RunningSimulator
    progress: Progress
    broken: list[str] = field(default_factory=list)

    def ask(self, question: Callable[[], T]) -> T | None:
        """Ask Airflow; None while its API server is away."""
        try:
            return question()
        except httpx.HTTPError:
            return None

    def wait_for(self, what: str, there: Callable[[], T | None], timeout: float = _TIMEOUT) -> T:
        """Wait until something is there."""
        deadline = time.monotonic() + timeout
        while (found := self.ask(there)) is None:
            if time.monotonic() > deadline:
                raise DemoFailed(f"after {timeout:.0f} s still waiting: {what}; logs in {self.airflow.root}")
            time.sleep(0.3)
        return found

    def broke(self, words: str) -> None:
        """Note a fault that was caused."""
        self.broken.append(words)
        self.progress.say(f"  KILLED: {words}")


def cluster(charges: int = CHARGES, root: Path = PROJECT / "var" / "cluster") -> int:
    """Play the day of the drill and print its books.

    Returns:
        0 when the day ended by itself, its books tie, `verify` finds nothing and DOKU charged nobody twice.

    Raises:
        DemoFailed: The day did not end.
    """
    progress = Progress()
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with _everything(root, charges, progress) as drill:
        _play(drill, charges)
        return _report(drill, root)


@contextmanager
def _everything(root: Path, charges: int, progress: Progress) -> Iterator[Drill]:
    """Start the servers, the simulator, Airflow and its workers; stop them at the end."""
    with ExitStack() as stack:
        progress.say("Starting PostgreSQL, Redis, the object store and DOKU's simulator")
        postgres = stack.enter_context(postgres_server({"max_connections": "200", "shared_buffers": "256MB"}))
        redis = stack.enter_context(redis_server())
        bucket = stack.enter_context(object_store(root, "artefacts"))
        doku = stack.enter_context(simulator(root / "doku", "--seed", "7"))
        scene = _scene(root, charges, postgres, doku, progress)
        environment = {**scene.environment(), **_artefacts_in(bucket)}
        airflow = CeleryStack(root / "airflow", redis, postgres, env=environment, say=progress.say)
        with airflow:
            yield Drill(scene, airflow, redis, doku, progress)


def _scene(root: Path, charges: int, postgres: PostgresServer, doku: RunningSimulator, progress: Progress) -> Scene:
    profile = {
        "schedule": {"reconcile": "* * * * *"},
        "brakes": {"max_count": 2 * charges, "max_total": 10**15, "max_per_customer": None},
        "limits": {"max_rows_per_batch": charges // _BATCHES, "max_amount_per_batch": 10**15},
    }
    today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
    billing, ledger = Database.on(postgres, "billing"), Database.on(postgres, "ledger")
    with progress.step(f"Seeding the billing database with {charges:,} charges"):
        seeded(billing, "insurance", charges, today)
    scene = Scene(root, "insurance", today, billing, ledger, doku.remote, changes=changed(QUICK, profile))
    scene.write_profile()
    scene.upgrade_ledger()
    return scene


def _artefacts_in(bucket: ObjectStore) -> dict[str, str]:
    return {
        "DOKU_ARTEFACTS": f"s3://doku_artefacts@{bucket.bucket}/doku",
        "AIRFLOW_CONN_DOKU_ARTEFACTS": json.dumps(bucket.airflow_connection()),
    }


def _play(drill: Drill, charges: int) -> None:
    client, profile = drill.airflow.client, drill.scene.profile
    submit, reconcile = f"doku_submit__{profile}", f"doku_reconcile__{profile}"
    with drill.progress.step("Waiting for the DAGs to be read"):
        client.wait_for_dags(submit, reconcile)
    client.unpause(reconcile)
    client.unpause(submit)
    # One upload stands still in its middle, so that the kill can be aimed.
    still = {"name": "hang", "times": 1, "after": 2, "match": "*.part", "params": {"op": "write"}}
    (drill.doku.root / "control.json").write_text(json.dumps({"faults": [still]}))
    run_id = client.trigger(submit, {"business_date": drill.scene.business_date.isoformat()})
    with drill.progress.step(f"Submitting {charges:,} charges; a worker dies while it delivers"):
        pid = drill.wait_for("a delivery in its middle", lambda: _in_a_delivery(drill, submit, run_id))
        drill.broke(f"worker {drill.airflow.kill_worker_of(pid)}, in the middle of an upload; it stays away")
        drill.airflow.restart_api_server()
        drill.broke("the API server, and started again")
        state = drill.wait_for("the end of submit", lambda: _ended(client.run(submit, run_id)))
    if state != "success":
        raise DemoFailed(client.failures(submit, run_id))
    with drill.progress.step("Reconciling DOKU's reports; Redis dies"):
        drill.wait_for("a run of reconcile", lambda: _some_run(client.runs(reconcile), "running"))
        drill.redis.restart()
        drill.broke("Redis, and started again")
        drill.wait_for("the end of the day", lambda: True if _nothing_open(drill) else None)


def _in_a_delivery(drill: Drill, dag_id: str, run_id: str) -> int | None:
    """The process of the one task whose upload stands still; None while there is none."""
    if _ended(drill.airflow.client.run(dag_id, run_id)):
        raise DemoFailed(f"submit ended before a worker could be killed; logs in {drill.airflow.root}")
    if not (drill.doku.root / "faults.jsonl").exists():
        return None
    tasks = [one for one in drill.airflow.client.task_instances(dag_id, run_id) if one["task_id"] == "deliver"]
    running = [one for one in tasks if one["state"] == "running" and one["pid"]]
    delivered = [one for one in tasks if one["state"] == "success"]
    return int(running[0]["pid"]) if len(running) == 1 and len(running) + len(delivered) == len(tasks) else None


def _ended(run: Mapping[str, Any]) -> str | None:
    return str(run["state"]) if run["state"] in ("success", "failed") else None


def _some_run(runs: list[dict[str, Any]], state: str) -> bool | None:
    return any(run["state"] == state for run in runs) or None


def _nothing_open(drill: Drill) -> bool:
    books = _books(drill)
    return bool(books["sent"]["count"]) and not books["awaiting"]["count"] and not books["in_flight"]["count"]


def _books(drill: Drill) -> dict[str, Any]:
    day = drill.scene.business_date.isoformat()
    return dict(
        json.loads(_command(drill, "books", "--profile", drill.scene.profile, "--business-date", day, "--json"))
    )


def _command(drill: Drill, *arguments: str) -> str:
    """The commands of a person, who finds connections and files where Airflow does."""
    done = subprocess.run(
        [sys.executable, "-m", "plugins.cli", *arguments],
        env=drill.airflow.environment, cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DemoFailed(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _charged_twice(doku: RunningSimulator) -> list[str]:
    """Charges whose money moved more than once, by DOKU's journal: an attempt's number is its charge's and a count."""
    seen: set[str] = set()
    twice = []
    for line in (doku.root / "charged.jsonl").read_text(encoding="utf-8").splitlines():
        charge = str(json.loads(line)["invoice_number"])[:18]
        if charge in seen:
            twice.append(charge)
        seen.add(charge)
    return twice


def _report(drill: Drill, root: Path) -> int:
    books = _books(drill)
    problems = balances_that_fail(books)
    problems += [] if books.get("ties") else ["the ledger itself says that the day does not tie"]
    problems += [f"charge {charge} was collected twice" for charge in _charged_twice(drill.doku)]
    with drill.progress.step("verify: recomputing everything from both databases and the bucket"):
        try:
            verified = _command(drill, "verify", "--profile", drill.scene.profile).strip().splitlines()[-1]
        except DemoFailed as caught:
            verified, problems = "it found something", [*problems, str(caught)]
    seconds = drill.progress.seconds()
    summary = {**books, "killed": drill.broken, "seconds": seconds, "steps": drill.progress.steps, "problems": problems}
    (root / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    out = ["", as_text(books), "", *(f"Killed: {one}" for one in drill.broken), f"verify: {verified}", ""]
    out.append(f"The books {'tie' if not problems else 'DO NOT TIE: ' + '; '.join(problems)} ({seconds:.0f} s).")
    sys.stdout.write("\n".join(out) + "\n")
    return 1 if problems else 0
