"""A throwaway PostgreSQL server."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.services.processes import ServiceUnavailable, find_binary, free_port, start, wait_until

_USER = "doku"
# A throwaway server needs no durability: the tests run several times faster without.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "80",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL server that trusts local connections.

    Attributes:
        host: Always 127.0.0.1.
        port: A port that was free.
        user: A superuser, without a password.
        password: Ignored by the server; random, so that a test can look for it where it must not be.
    """

    host: str
    port: int
    user: str
    password: str

    def sqlalchemy_url(self, database: str = "postgres") -> str:
        """`postgresql+psycopg://...` for SQLAlchemy."""
        return f"postgresql+psycopg://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def airflow_connection(self, database: str) -> dict[str, object]:
        """Airflow's JSON form of a connection to one database."""
        return {
            "conn_type": "postgres", "host": self.host, "port": self.port, "login": self.user,
            "password": self.password, "schema": database,
        }  # fmt: skip

    def create_database(self, name: str) -> str:
        """Make an empty database and return its name."""
        self._execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composable) -> None:
        with psycopg.connect(
            host=self.host, port=self.port, user=self.user, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """Start a PostgreSQL server in a temporary folder; stop it and remove the folder at the end.

    Started by root, it runs as the `postgres` user, for it refuses to be root.

    Args:
        settings: Laid over those of a throwaway server.

    Raises:
        ServiceUnavailable: No binaries, or root without a `postgres` user.
        ServiceFailed: It did not start; the message has the end of its log.
    """
    folders = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
    initdb = find_binary("initdb", *folders, package="postgresql")
    postgres = find_binary("postgres", *folders, package="postgresql")
    user = _system_user()
    # Not below the project: the postgres user could not reach a checkout in somebody's private home folder.
    root = Path(tempfile.mkdtemp(prefix="doku-postgres-"))
    try:
        if user:
            shutil.chown(root, user)
        _initialise(initdb, root / "data", user)
        port = free_port()
        chosen = {**_SETTINGS, **(settings or {})}
        options = [part for key, value in chosen.items() for part in ("-c", f"{key}={value}")]
        server = start(
            "PostgreSQL",
            [postgres, "-D", root / "data", "-p", str(port), "-k", root, *options],
            log=root / "server.log", cwd=root, user=user,
        )  # fmt: skip
        try:
            wait_until(lambda: _answers(port), server, timeout=60, what="PostgreSQL")
            yield PostgresServer("127.0.0.1", port, _USER, secrets.token_hex(16))
        finally:
            server.stop(signal.SIGINT)  # "fast": does not wait for clients to leave
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _system_user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        reason = "PostgreSQL refuses to run as root and there is no user 'postgres'; install Debian's postgresql"
        raise ServiceUnavailable(reason) from None


def _initialise(initdb: Path, data: Path, user: str | None) -> None:
    command = [
        str(initdb), "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
    ]  # fmt: skip
    group = pwd.getpwnam(user).pw_gid if user else None
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=data.parent, check=False,
        user=user, group=group, extra_groups=[] if user else None,
    )  # fmt: skip
    if result.returncode != 0:
        raise ServiceUnavailable(f"initdb failed: {result.stderr.strip()}")


def _answers(port: int) -> bool:
    try:
        psycopg.connect(host="127.0.0.1", port=port, user=_USER, dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
