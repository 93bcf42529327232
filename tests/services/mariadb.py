"""A throwaway MariaDB server."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql

from tests.services.processes import ServiceUnavailable, find_binary, free_port, start, wait_until

_USER = "doku"
_ACCOUNT = """\
create user `{user}`@`127.0.0.1` identified by '{password}';
grant all privileges on *.* to `{user}`@`127.0.0.1` with grant option;
"""


@dataclass(frozen=True)
class MariadbServer:
    """A running MariaDB server.

    Attributes:
        host: Always 127.0.0.1.
        port: A port that was free.
        user: An account with all rights.
        password: Its password, random, so that a test can look for it where it must not be.
    """

    host: str
    port: int
    user: str
    password: str

    def sqlalchemy_url(self, database: str = "mysql") -> str:
        """`mysql+pymysql://...` for SQLAlchemy."""
        return f"mysql+pymysql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def airflow_connection(self, database: str) -> dict[str, object]:
        """Airflow's JSON form of a connection to one database."""
        return {
            "conn_type": "mysql", "host": self.host, "port": self.port, "login": self.user,
            "password": self.password, "schema": database,
        }  # fmt: skip

    def create_database(self, name: str) -> str:
        """Make an empty database and return its name."""
        self._execute(f"create database `{name}` character set utf8mb4")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database."""
        self._execute(f"drop database if exists `{name}`")

    def _execute(self, statement: str) -> None:
        with (
            pymysql.connect(host=self.host, port=self.port, user=self.user, password=self.password) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


@contextmanager
def mariadb_server() -> Iterator[MariadbServer]:
    """Start a MariaDB server in a temporary folder; stop it and remove the folder at the end.

    Started by root, it runs as the `mysql` user, for it refuses to be root.

    Raises:
        ServiceUnavailable: No binaries, or root without a `mysql` user.
        ServiceFailed: It did not start; the message has the end of its log.
    """
    mariadbd = find_binary("mariadbd", "/usr/sbin", "/usr/libexec", package="mariadb-server")
    install = find_binary("mariadb-install-db", "/usr/bin", package="mariadb-server")
    user = _system_user()
    root = Path(tempfile.mkdtemp(prefix="doku-mariadb-"))
    try:
        if user:
            shutil.chown(root, user)
        _initialise(install, root, user)
        password = secrets.token_hex(16)
        account = root / "account.sql"
        account.write_text(_ACCOUNT.format(user=_USER, password=password))
        account.chmod(0o644)
        port = free_port()
        server = start(
            "MariaDB",
            [
                mariadbd, "--no-defaults", f"--datadir={root / 'data'}", f"--socket={root / 'socket'}",
                f"--pid-file={root / 'pid'}", f"--tmpdir={root}", f"--port={port}",
                "--bind-address=127.0.0.1", "--skip-name-resolve", f"--init-file={account}",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M",
                "--skip-log-bin", "--default-time-zone=+00:00",
            ],
            log=root / "server.log", cwd=root, user=user,
        )  # fmt: skip
        try:
            wait_until(lambda: _answers(port, password), server, timeout=60, what="MariaDB")
            yield MariadbServer("127.0.0.1", port, _USER, password)
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _system_user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("mysql").pw_name
    except KeyError:
        reason = "MariaDB refuses to run as root and there is no user 'mysql'; install Debian's mariadb-server"
        raise ServiceUnavailable(reason) from None


def _initialise(install: Path, root: Path, user: str | None) -> None:
    command = [
        str(install), "--no-defaults", f"--datadir={root / 'data'}", "--auth-root-authentication-method=normal",
        "--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M",
    ]  # fmt: skip
    if user:
        command.append(f"--user={user}")
    # Not the common folder: two that are initialised at once take each other's temporary tables away.
    own = {**os.environ, "TMPDIR": str(root)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=root, env=own, check=False)
    if result.returncode != 0:
        raise ServiceUnavailable(f"mariadb-install-db failed: {(result.stderr or result.stdout).strip()[-500:]}")


def _answers(port: int, password: str) -> bool:
    try:
        pymysql.connect(host="127.0.0.1", port=port, user=_USER, password=password, connect_timeout=2).close()
    except pymysql.err.OperationalError:
        return False
    return True
