"""The ledger as the flows use it: one class that opens it, checks it and hands out connections.

Database errors leave here as `LedgerError` with the kind of error only: a driver's text may hold a row, and a row holds
a token.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from include.domain.connection import ConnectionSettings, prepare_postgres
from include.domain.errors import LedgerError, LedgerUnreachable
from include.ledger import schema, tables, work_tables

SQLITE_BUSY_SECONDS: Final = 60
PROMPT_SECONDS: Final = 4
"""How long the ledger may take for somebody who waits at the other end of a line."""


@dataclass(frozen=True)
class Ledger:
    """An open ledger at head.

    Attributes:
        engine: Its database.
        ledger_id: Its own id, written beside each claim in the billing database.
        environment: "sandbox" or "production".
        fingerprint_key: Keys the fingerprints of tokens (`include.domain.fingerprints`).
    """

    engine: Engine
    ledger_id: str
    environment: str
    fingerprint_key: bytes = field(repr=False)

    @classmethod
    def open(cls, engine: Engine) -> "Ledger":
        """Check the schema and read who this ledger is. LedgerError when it is not at head or does not answer."""
        with errors_named():
            schema.refuse_unless_at_head(engine)
            with engine.connect() as connection:
                row = connection.execute(select(tables.ledger)).one_or_none()
        if row is None:
            raise LedgerError(f"The ledger has no identity yet. Run: {schema.UPGRADE_COMMAND}")
        return cls(engine, row.ledger_id, row.environment, bytes.fromhex(row.fingerprint_key))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes. On SQLite it takes the write lock at once, so that no later step can lose it."""
        with errors_named(), self.engine.connect().execution_options(doku_write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with errors_named(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def workspace(self) -> Iterator["Workspace"]:
        """One connection with its own temporary tables, for reading a day in and deciding on it."""
        with errors_named(), self.engine.connect() as connection:
            with connection.begin():
                _make_room(connection)
                work_tables.work.create_all(connection, checkfirst=False)
            yield Workspace(connection)

    def refuse_environment(self, profile: str, environment: str) -> None:
        """LedgerError when the profile is of the other environment."""
        if environment != self.environment:
            raise LedgerError(
                f"Profile {profile} is for {environment}, but this ledger belongs to {self.environment}. "
                "Point the profile's ledger connection to the ledger of its environment."
            )


@dataclass(frozen=True)
class Workspace:
    """A connection with temporary tables (`include.ledger.work_tables`)."""

    connection: Connection

    @contextmanager
    def stage(self) -> Iterator[Connection]:
        """A transaction that fills temporary tables; it takes no lock that others could wait for."""
        with errors_named(), self.connection.begin():
            yield self.connection

    @contextmanager
    def behind(self) -> Iterator[Callable[[Callable[[Connection], object]], None]]:
        """Staging that goes on behind the caller's back: each step in a transaction, one after the other, in order.

        What is given to it may still be at work until the next is given, or the block ends; errors come then. SQLite's
        connections stay in their thread: there each step is done at once.
        """

        def stage(step: Callable[[Connection], object]) -> None:
            with self.stage() as connection:
                step(connection)

        if self.connection.dialect.name != "postgresql":
            yield stage
            return
        with ThreadPoolExecutor(1, "behind") as worker:
            at_work: list[Future[None]] = []

            def hand_over(step: Callable[[Connection], object]) -> None:
                while at_work:
                    at_work.pop().result()
                at_work.append(worker.submit(stage, step))

            yield hand_over
            while at_work:
                at_work.pop().result()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes to the ledger, with the temporary tables at hand."""
        writing = self.connection.execution_options(doku_write=True)
        try:
            with errors_named(), writing.begin():
                yield writing
        finally:
            self.connection.execution_options(doku_write=False)


def _make_room(connection: Connection) -> None:
    """Let a session keep its temporary tables, sorts and hashes in memory: by default PostgreSQL has room for few."""
    if connection.dialect.name == "postgresql":
        for setting in ("temp_buffers", "work_mem"):
            connection.execute(text(f"SET {setting} = '64MB'"))


def ledger_engine(settings: ConnectionSettings, busy_seconds: float = SQLITE_BUSY_SECONDS) -> Engine:
    """An engine for the ledger's database (PostgreSQL or SQLite).

    Args:
        busy_seconds: How long SQLite's one writer is waited for.

    Raises:
        ConfigError: Not a database, or a relative SQLite path.
        LedgerError: A database that a ledger was never tried on.
    """
    url = URL.create(**settings.sqlalchemy_url_parts())
    if url.get_backend_name() not in ("postgresql", "sqlite"):
        raise LedgerError(f"A ledger lives in PostgreSQL or SQLite, not in {url.get_backend_name()}.")
    if url.get_backend_name() == "postgresql":
        # No pool: temporary tables end with their connection.
        connect_args = settings.postgres_arguments()
        engine = create_engine(url, hide_parameters=True, poolclass=NullPool, connect_args=connect_args)
        event.listen(engine, "connect", prepare_postgres)
        return engine
    engine = create_engine(url, hide_parameters=True, poolclass=NullPool, connect_args={"timeout": busy_seconds})
    _prepare_sqlite(engine, busy_seconds)
    return engine


def prompt_engine(settings: ConnectionSettings, connections: int) -> Engine:
    """An engine for the ledger that answers soon or not at all, for a process that answers requests.

    On PostgreSQL connections are kept and reused, and no statement and no wait for a lock takes longer than
    `PROMPT_SECONDS`. A connection that the server has closed is noticed when it is used: the caller tries once more. It
    must not be used for a `workspace`: temporary tables would outlive it.

    Args:
        connections: At most so many at once.

    Raises:
        ConfigError, LedgerError: As `ledger_engine`.
    """
    url = URL.create(**settings.sqlalchemy_url_parts())
    if url.get_backend_name() != "postgresql":
        return ledger_engine(settings, PROMPT_SECONDS)
    given = settings.postgres_arguments()
    patience = f"-c statement_timeout={PROMPT_SECONDS * 1000} -c lock_timeout={PROMPT_SECONDS * 1000}"
    arguments = {
        **given,
        "connect_timeout": PROMPT_SECONDS,
        "options": f"{given.get('options', '')} {patience}".strip(),
    }
    engine = create_engine(
        url, hide_parameters=True, poolclass=QueuePool, pool_size=connections, max_overflow=0,
        pool_timeout=PROMPT_SECONDS, pool_recycle=600, connect_args=arguments,
    )  # fmt: skip
    event.listen(engine, "connect", prepare_postgres)
    return engine


def _prepare_sqlite(engine: Engine, seconds: float) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(dbapi_connection: sqlite3.Connection, _record: object) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN ourselves, see below
        dbapi_connection.execute("PRAGMA foreign_keys = ON")
        _patiently(lambda: dbapi_connection.execute("PRAGMA journal_mode = WAL"), seconds)
        dbapi_connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("doku_write")
        _patiently(lambda: _begin(connection, "BEGIN IMMEDIATE" if writes else "BEGIN"), seconds)


def _begin(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)
    try:
        connection.exec_driver_sql("SELECT 1 FROM sqlite_schema LIMIT 1")  # what a plain BEGIN only announces
    except OperationalError:
        connection.exec_driver_sql("ROLLBACK")
        raise


def _patiently(do: Callable[[], object], seconds: float = SQLITE_BUSY_SECONDS) -> None:
    """Try again while SQLite is busy in ways that its own time limit does not cover.

    The last connection that closes cleans up the write-ahead log, and the first one makes it: whoever comes just then
    is told at once that the database is busy (https://www.sqlite.org/wal.html, "Sometimes queries return SQLITE_BUSY").
    """
    until = time.monotonic() + seconds
    while True:
        try:
            do()
        except (OperationalError, sqlite3.OperationalError) as caught:
            original: Any = getattr(caught, "orig", caught)
            if original.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def errors_named() -> Iterator[None]:
    """Turn database errors into ledger errors that carry no row."""
    try:
        yield
    except SQLAlchemyError as caught:
        raise _named(caught) from None


def _named(caught: SQLAlchemyError) -> LedgerError:
    state = _sqlstate(caught)
    if isinstance(caught, OperationalError) and state != "SQLITE_ERROR" and not state.startswith(("22", "23", "42")):
        return LedgerUnreachable(
            f"The ledger's database does not answer as it should ({state or _first_words(caught)}). "
            "Check that it runs and that the ledger's connection is right; the task may then be tried again."
        )
    kind = "refused a row that breaks a promise" if isinstance(caught, IntegrityError) else "reported an error"
    return LedgerError(
        f"The ledger's database {kind} ({caught.__class__.__name__} {state}{_constraint(caught)}). "
        "Nothing of this step was kept. Run `python -m include.cli verify`, and report this if it finds nothing."
    )


def _sqlstate(caught: SQLAlchemyError) -> str:
    original: Any = getattr(caught, "orig", None)
    return str(getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None) or "")


def _first_words(caught: SQLAlchemyError) -> str:
    """A connection error's own first line; it is about servers and files, not about rows."""
    return (
        str(caught.orig).strip().splitlines()[0][:200]
        if isinstance(caught, DBAPIError) and str(caught.orig).strip()
        else ""
    )


def _constraint(caught: SQLAlchemyError) -> str:
    diagnosis: Any = getattr(getattr(caught, "orig", None), "diag", None)
    name = getattr(diagnosis, "constraint_name", None)
    return f", constraint {name}" if name else ""


def lock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Let one transaction at a time through, by a name, until it ends. SQLite has one writer at a time anyway.

    Args:
        connection: In a transaction.
        name: What is locked.
        shared: Let others through that share it too.
    """
    if connection.dialect.name == "postgresql":
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        connection.execute(text(f"SELECT {function}(hashtextextended(:name, 0))"), {"name": f"doku:{name}"})
