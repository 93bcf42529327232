"""A real Airflow of one's own: scheduler, DAG processor, triggerer and API server, on free ports, in one folder.

Nothing of it is shared: not the home folder, not the ports, not the metadata database. Two checkouts, or two stacks of
one checkout, run side by side.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.services.processes import ServiceFailed, Started, free_ports, start, undisturbed
from tests.stack.client import AirflowClient

PROJECT = Path(__file__).resolve().parents[2]

_COMPONENTS = ("scheduler", "dag-processor", "triggerer", "api-server")
_MONITORED = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_PASSWORD = "admin"  # the server listens on 127.0.0.1 only, and holds invented customers


class AirflowStack:
    """One Airflow, from an empty folder to running DAGs, and stopped without a trace.

    Used as a context manager it is stopped at the end, also on failure and Ctrl-C. `make up` calls `start` and leaves;
    `make down` finds it again with `recorded`.

    Attributes:
        root: Its folder: home, logs, the metadata database, and `stack.json`, the record of what was started.
        url: Base URL of the UI and the API, known after `start`.
        user, password: A login that may do everything.
    """

    def __init__(
        self,
        root: Path,
        *,
        dags_folder: Path = PROJECT / "dags",
        plugins_folder: Path = PROJECT / "plugins",
        env: Mapping[str, str] | None = None,
        metadata_url: str | None = None,
        outlives_us: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe it; nothing is started or written yet.

        Args:
            root: An absolute folder, made when absent.
            dags_folder: Airflow's DAGs; the project's own unless told otherwise.
            plugins_folder: Airflow's plugins.
            env: What its tasks need beyond Airflow's own settings: connections, profiles folder, ...
            metadata_url: SQLAlchemy URL of an empty PostgreSQL database; SQLite in `root` when None.
            outlives_us: It goes on when this process ends.
            say: Takes one line of progress.
        """
        self.root = root
        self.url = ""
        self.user = "admin"
        self.password = _PASSWORD
        self._dags_folder = dags_folder
        self._plugins_folder = plugins_folder
        self._extra_env = dict(env or {})
        self._metadata_url = metadata_url or f"sqlite:///{root / 'airflow.db'}"
        self._outlives_us = outlives_us
        self._say = say
        self._started: list[Started] = []
        self._environment: dict[str, str] = {}
        self._client: AirflowClient | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def client(self) -> AirflowClient:
        """Airflow's REST API, logged in."""
        if self._client is None:
            self._client = AirflowClient(self.url, self.user, self.password)
        return self._client

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its components, for an `airflow` command beside it; known after `prepare`."""
        return dict(self._environment)

    @property
    def logs(self) -> Path:
        """Folder of the task logs; the components write to `root`/*.log."""
        return self.root / "logs"

    def prepare(self) -> None:
        """Make the folder, choose the ports and create the metadata database."""
        self.root.mkdir(parents=True, exist_ok=True)
        api, worker_logs, trigger_logs = free_ports(3)
        self.url = f"http://127.0.0.1:{api}"
        self._environment = {**_inherited_environment(), **self._settings(api, worker_logs, trigger_logs)}
        self._say("Airflow: creating its metadata database")
        migrated = self.airflow("db", "migrate")
        if migrated.returncode != 0:
            raise ServiceFailed(f"airflow db migrate failed:\n{(migrated.stdout + migrated.stderr)[-3000:]}")

    def start(self, timeout: float = 180.0) -> None:
        """Start every component and wait until all say that they are healthy.

        Raises:
            ServiceFailed: One ended, or not all were healthy within `timeout` seconds; names it and shows its log.
                What had been started is stopped.
        """
        try:
            if not self._environment:
                self.prepare()
            self._say("Airflow: starting scheduler, DAG processor, triggerer and API server")
            for component in _COMPONENTS:
                self._start_component(component)
            self._wait_healthy(timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every process that was started, and all that these left behind. Safe to call twice."""
        if self._client:
            self._client.close()
            self._client = None
        stop_all(self._started)
        self._started = []
        (self.root / "stack.json").unlink(missing_ok=True)

    def processes(self) -> list[Started]:
        """What was started, by component, in the order of starting."""
        return list(self._started)

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an `airflow` command in its environment, wait for it, and return its output."""
        return subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self._environment, cwd=self.root, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def _start_component(
        self, name: str, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Started:
        """Start `airflow <arguments>`, by default `airflow <name>`; `env` is laid over the common environment."""
        started = start(
            name,
            [sys.executable, "-m", "airflow", *(arguments or (name,))],
            log=self.root / f"{name}.log", env={**self._environment, **(env or {})}, cwd=cwd or self.root,
            outlives_us=self._outlives_us,
        )  # fmt: skip
        self._started.append(started)
        # Written after each start: whoever has to clean up after a crash finds all that was started until then.
        write_record(self.root / "stack.json", self._started)
        return started

    def _wait_healthy(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            for one in self._started:
                if not one.is_running():
                    raise ServiceFailed(f"Airflow's {one.name} ended while starting; {one.log}:\n{one.log_tail(40)}")
            missing = self._unhealthy()
            if not missing:
                return
            if time.monotonic() > deadline:
                raise ServiceFailed(
                    f"Airflow was not healthy after {timeout:.0f} s: {', '.join(missing)}. Logs: {self.root}/*.log"
                )
            time.sleep(0.5)

    def _unhealthy(self) -> list[str]:
        """The components that do not yet say they are healthy."""
        try:
            health = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, json.JSONDecodeError):
            return ["api-server"]
        return [name for name in _MONITORED if (health.get(name) or {}).get("status") != "healthy"]

    def _settings(self, api: int, worker_logs: int, trigger_logs: int) -> dict[str, str]:
        """Airflow's settings as environment variables."""
        passwords = self.root / "passwords.json"
        passwords.write_text(json.dumps({self.user: self.password}))
        return {
            "AIRFLOW_HOME": str(self.root),
            "PYTHONPATH": str(PROJECT),
            "TZ": "UTC",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._dags_folder),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self._plugins_folder),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",  # the default of 32 is 32 idle processes
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.user}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._metadata_url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(api),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{api}",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # a task waits for the loop, not for the executor
            # A worker notices the end of its task at this pace. With the default of 5 s, a sensor that deferred for
            # less is running again by then, and the scheduler takes the two for one task that was killed.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **self._extra_env,
        }


def recorded(root: Path, name: str = "stack.json") -> list[Started]:
    """What somebody recorded in this folder as started, us or an earlier command; empty when there is no record."""
    try:
        entries = json.loads((root / name).read_text())["processes"]
    except FileNotFoundError:
        return []
    return [Started(**entry) for entry in entries]


def write_record(path: Path, started: list[Started]) -> None:
    """Record what was started, replacing the file in one step."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"processes": [one.as_json() for one in started]}, indent=1))
    draft.replace(path)


def stop_all(started: list[Started]) -> None:
    """Stop processes, the last started first, but ask all of them before waiting for any."""
    with undisturbed():
        for one in reversed(started):
            one.ask_to_stop()
        for one in reversed(started):
            one.stop()


def _inherited_environment() -> dict[str, str]:
    """Our environment without another Airflow's settings, and with this interpreter's programs first on the PATH."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOKU_"))}
    return {**inherited, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"}
