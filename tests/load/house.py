"""Airflow's real API server with our plugin, on PostgreSQL, a ledger beside it, a profile that takes notifications."""

import json
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

from include.ledger import schema
from include.ledger.store import ledger_engine
from include.schemas.profile import SHIPPED_CONFIG
from tests.load.sender import CLIENT_ID, SECRET
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.processes import Started, start, wait_until
from tests.stack.airflow import AirflowStack
from tests.stack.toml import changed, dumps
from tests.unit.conftest import postgres_settings

PATH: Final = "/doku/notifications/insurance/payment"
HEALTH: Final = "/doku/notifications/health"
DURABLE: Final = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "128MB"}
"""PostgreSQL as it is run where it matters: an answer means that the notification is on the disk."""


@dataclass
class House:
    """The API server and what it needs; no scheduler and no DAG processor, which take in nothing of this."""

    airflow: AirflowStack
    server: PostgresServer
    process: Started | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API server."""
        parts = urlsplit(self.airflow.url)
        return str(parts.hostname), int(parts.port or 0)

    def start(self) -> None:
        """Start the API server, again after a kill, and wait until the notification paths answer."""
        command = [sys.executable, "-m", "airflow", "api-server"]
        log = self.airflow.root / "api-server.log"
        self.process = start("api-server", command, log=log, env=self.airflow.environment, cwd=self.airflow.root)
        wait_until(self._answers, self.process, timeout=120, what="the notification paths")

    def kill(self) -> None:
        """End the API server and all its processes as a power cut would."""
        assert self.process is not None
        self.process.kill()

    def processor_seconds(self) -> float:
        """What the API server has had of the processors so far."""
        assert self.process is not None
        leader = psutil.Process(self.process.pid)
        return sum(sum(one.cpu_times()[:2]) for one in (leader, *leader.children(recursive=True)))

    def stored(self) -> list[tuple[bytes, int]]:
        """What is in the inbox: contents, and how often each came."""
        settings = postgres_settings(self.server, "ledger")
        with psycopg.connect(
            host=settings.host, port=settings.port, user=settings.login, dbname=settings.schema
        ) as connection:
            rows = connection.execute("SELECT body, times FROM notification").fetchall()
        return [(bytes(body), times) for body, times in rows]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.airflow.url}{HEALTH}", timeout=20).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def house(root: Path) -> Iterator[House]:
    """Build it in a folder; stop everything at the end."""
    with postgres_server(DURABLE) as server:
        for name in ("airflow", "ledger"):
            server.create_database(name)
        engine = ledger_engine(postgres_settings(server, "ledger"))
        schema.upgrade(engine, "sandbox", datetime.now(UTC))
        engine.dispose()
        (root / "dags").mkdir(parents=True, exist_ok=True)
        airflow = AirflowStack(
            root / "airflow", dags_folder=root / "dags", env=_environment(root, server),
            metadata_url=server.sqlalchemy_url("airflow"),
        )  # fmt: skip
        airflow.prepare()
        made = House(airflow, server)
        try:
            made.start()
            yield made
        finally:
            if made.process is not None:
                made.process.stop()


def _environment(root: Path, server: PostgresServer) -> dict[str, str]:
    profiles = root / "profiles"
    profiles.mkdir()
    shipped: dict[str, Any] = tomllib.loads((SHIPPED_CONFIG / "profiles" / "insurance.toml").read_text("utf-8"))
    changes = {
        "notifications": {"enabled": True}, "connections": {"doku": "insurance_doku"}, "recurring": {"dialect": "json"},
    }  # fmt: skip
    (profiles / "insurance.toml").write_text(dumps(changed(shipped, changes)), encoding="utf-8")
    doku = {"conn_type": "http", "login": CLIENT_ID, "password": SECRET}
    return {
        "DOKU_PROFILES_DIR": str(profiles),
        "DOKU_ARTEFACTS": (root / "artefacts").as_uri(),
        "AIRFLOW_CONN_DOKU_LEDGER": json.dumps(server.airflow_connection("ledger")),
        "AIRFLOW_CONN_INSURANCE_DOKU": json.dumps(doku),
    }
