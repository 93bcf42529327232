"""What a benchmark runs on: servers, databases copied from templates that are made once, and a scene of flows."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Self

import psutil
import psycopg
import sqlalchemy as sa

from tests.bench import charges
from tests.doku_simulator.keys import KeyRing
from tests.services.openssh import OpensshServer, openssh_server
from tests.services.postgres import PostgresServer, postgres_server
from tests.stack.databases import Database, upgraded
from tests.stack.remote import Remote
from tests.stack.scene import Scene

DAY: Final = date(2026, 11, 20)
NOW: Final = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
"""07:00 in Jakarta: before the cut-off of the day."""

SETTINGS: Final = {
    "shared_buffers": "4GB", "effective_cache_size": "12GB", "max_wal_size": "8GB", "random_page_cost": "1.1",
}  # fmt: skip
"""What anybody gives a PostgreSQL server that is to hold millions of rows; the rest as tests have it."""

_TALKATIVE: Final = {
    "shared_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "150",
    "auto_explain.log_analyze": "on", "auto_explain.log_timing": "off", "auto_explain.log_buffers": "on",
}  # fmt: skip

_UNHINDERED: Final = {
    "max_count": 10**9, "max_total": 10**14, "max_setup_declines": 10**9, "unusual_factor": 1e6,
}  # fmt: skip
"""Brakes that are judged and let everything pass."""


@dataclass(frozen=True)
class Servers:
    """PostgreSQL and OpenSSH on this machine."""

    postgres: PostgresServer
    openssh: OpensshServer
    pids: tuple[int, int]

    @classmethod
    @contextmanager
    def started(cls, log_to: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Self]:
        """Start both; stop them at the end.

        Args:
            log_to: A file for the slow statements, with their plans.
            settings: More of PostgreSQL's.
        """
        chosen = {**SETTINGS, **(_TALKATIVE if log_to else {}), **(settings or {})}
        with postgres_server(chosen) as postgres, openssh_server() as openssh:
            servers = cls(postgres, openssh, (_postmaster(postgres), _listener(openssh.port)))
            yield servers
            if log_to is not None:
                log_to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(servers.log, log_to)

    @property
    def log(self) -> Path:
        """PostgreSQL's log."""
        return _data(self.postgres).parent / "server.log"

    def psql(self, database: str) -> list[str]:
        """The `psql` command for a database."""
        at = ["-h", self.postgres.host, "-p", str(self.postgres.port), "-U", self.postgres.user, "-d", database]
        return ["psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", *at]

    def sftp(self, batch: Path) -> list[str]:
        """OpenSSH's `sftp` command for a file of its commands."""
        known = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
        server = self.openssh
        at = ["-i", str(server.private_key), "-P", str(server.port), f"{server.user}@{server.host}"]
        return ["sftp", "-q", "-b", str(batch), *known, *at]


def _data(server: PostgresServer) -> Path:
    with psycopg.connect(server.sqlalchemy_url().replace("+psycopg", "")) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0])


def _postmaster(server: PostgresServer) -> int:
    return int((_data(server) / "postmaster.pid").read_text().split()[0])


def _listener(port: int) -> int:
    found = [one for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.laddr.port == port]
    return int(found[0].pid or 0)


class Ground:
    """Templates of databases, and scenes made from them: each measurement starts from the same state."""

    def __init__(self, root: Path, servers: Servers, rows_per_batch: int, *, sqlite: bool = False) -> None:
        self.root, self.servers, self._sqlite = root, servers, sqlite
        self._rows_per_batch = rows_per_batch
        self._templates: dict[str, Database] = {}
        self._count = 0
        self.keys = KeyRing(root / "doku" / "keys")
        self.keys.create()

    def scene(self, rows: int) -> Scene:
        """A merchant with so many charges, an empty ledger, and empty folders at DOKU's server."""
        return self.scene_of(self._billing(rows), self._ledger())

    def scene_of(self, billing: Database, ledger: Database) -> Scene:
        """A merchant with copies of two databases, which nobody may be connected to, and empty folders."""
        self._count += 1
        folder = self.root / f"run{self._count}"
        scene = Scene(
            root=folder, merchant="insurance", business_date=DAY, billing=self._copy(billing),
            ledger=self._copy(ledger), remote=self._remote(), changes=self._changes(),
        )  # fmt: skip
        scene.write_profile()
        return scene

    def gone(self, scene: Scene) -> None:
        """Remove what belonged to a scene."""
        for database in (scene.billing, scene.ledger):
            self.drop(database)
        shutil.rmtree(scene.root, ignore_errors=True)
        for folder in ("inbound", "outbound", "archive"):
            for path in (scene.remote.files / folder).iterdir():
                path.unlink()

    def drop(self, database: Database) -> None:
        """Remove a database."""
        if database.kind == "postgresql":
            self.servers.postgres.drop_database(str(sa.make_url(database.url).database))

    def forget(self, rows: int) -> None:
        """Remove the template of a size."""
        found = self._templates.pop(f"billing_{rows}", None)
        if found is not None:
            self.drop(found)

    def _billing(self, rows: int) -> Database:
        name = f"billing_{rows}"
        if name not in self._templates:
            database = self._new(name)
            engine = database.engine()
            charges.fill(engine, charges=rows, business_date=DAY)
            engine.dispose()
            self._templates[name] = database
        return self._templates[name]

    def _ledger(self) -> Database:
        if "ledger" not in self._templates:
            self._templates["ledger"] = upgraded(self._new("ledger"))
        return self._templates["ledger"]

    def _new(self, name: str) -> Database:
        if self._sqlite:
            return Database.sqlite(self.root / f"{name}.sqlite")
        return Database.on(self.servers.postgres, name)

    def _copy(self, template: Database) -> Database:
        if self._sqlite:
            path = self.root / f"copy{self._count}_{Path(template.url).name}"
            shutil.copyfile(template.connection["host"], path)
            return Database.sqlite(path)
        of = str(sa.make_url(template.url).database)
        name = f"{of}_{self._count}"
        with psycopg.connect(self.servers.postgres.sqlalchemy_url().replace("+psycopg", ""), autocommit=True) as made:
            made.execute(f'CREATE DATABASE "{name}" TEMPLATE "{of}"')
        server = self.servers.postgres
        return Database("postgresql", server.sqlalchemy_url(name), server.airflow_connection(name))

    def _remote(self) -> Remote:
        facts = {
            "doku_public_key": self.keys.public_path("doku"),
            "merchant_private_key": self.keys.private_path("merchant"),
            "sftp_root": self.servers.openssh.root,
        }  # fmt: skip
        return Remote.openssh(self.servers.openssh, facts)

    def _changes(self) -> dict[str, Any]:
        limits = {"max_rows_per_batch": self._rows_per_batch, "max_amount_per_batch": 10**13}
        return {"limits": limits, "brakes": _UNHINDERED}


@dataclass(frozen=True)
class Told:
    """What a child process is told: where to work, and what to measure."""

    root: str
    profile: str
    environment: Mapping[str, str]
    servers: tuple[int, ...]
    profile_to: str | None = None
    workers: int = 1

    @classmethod
    def of(cls, scene: Scene, servers: Servers, profile_to: Path | None = None, workers: int = 1) -> Self:
        """What is to be known of a scene."""
        kept = str(profile_to) if profile_to else None
        return cls(str(scene.root), scene.profile, scene.environment(), servers.pids, kept, workers)

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        """From JSON."""
        return cls(**json.loads(text))


@contextmanager
def ground(
    root: Path,
    rows_per_batch: int,
    *,
    sqlite: bool = False,
    log_to: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Ground]:
    """Servers (as `Servers.started`) and a folder for everything; gone at the end."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        yield Ground(root, stack.enter_context(Servers.started(log_to, settings)), rows_per_batch, sqlite=sqlite)
