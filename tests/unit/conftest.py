"""Ledgers for unit tests: SQLite always, PostgreSQL where its binaries are; each at head and empty."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.domain.connection import ConnectionSettings
from include.ledger import schema, tables, work_tables
from include.ledger.store import ledger_engine
from tests.doku_simulator.keys import KeyRing
from tests.flows_harness import MORNING, Merchant
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.processes import ServiceUnavailable

LEDGER = "ledger"
_numbers = itertools.count(1)


def _upgraded(settings: ConnectionSettings) -> None:
    engine = ledger_engine(settings)
    schema.upgrade(engine, "sandbox", MORNING)
    engine.dispose()


def postgres_settings(server: PostgresServer, database: str) -> ConnectionSettings:
    """A connection to one database of the server."""
    described = server.airflow_connection(database)
    fields = {key: described[key] for key in ("conn_type", "host", "port", "login", "password", "schema")}
    return ConnectionSettings("doku_ledger", **fields)


@pytest.fixture(scope="session")
def ledger_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for ledgers, started once, with a ledger at head."""
    try:
        service = postgres_server()
        server = service.__enter__()
    except ServiceUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}")
        pytest.skip(str(reason))
    try:
        _upgraded(postgres_settings(server, server.create_database(LEDGER)))
        yield server
    finally:
        service.__exit__(None, None, None)


@pytest.fixture(scope="session")
def ledger_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgraded ledger in SQLite, to copy."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    _upgraded(ConnectionSettings("doku_ledger", "sqlite", host=str(file)))
    return file


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], ConnectionSettings]]:
    """Makes databases without any table: `empty_database("sqlite" | "postgresql")`."""
    made: list[tuple[PostgresServer, str]] = []

    def make(kind: str) -> ConnectionSettings:
        name = f"empty_{next(_numbers)}"
        if kind == "sqlite":
            return ConnectionSettings("doku_ledger", "sqlite", host=str(tmp_path / f"{name}.db"))
        server = request.getfixturevalue("ledger_server")
        made.append((server, server.create_database(name)))
        return postgres_settings(server, name)

    yield make
    for server, name in made:
        server.drop_database(name)


def _copied(ledger_file: Path, folder: Path) -> ConnectionSettings:
    file = folder / f"ledger_{next(_numbers)}.db"
    shutil.copyfile(ledger_file, file)
    return ConnectionSettings("doku_ledger", "sqlite", host=str(file))


@pytest.fixture
def sqlite_ledger(ledger_file: Path, tmp_path: Path) -> ConnectionSettings:
    """An empty ledger at head in SQLite."""
    return _copied(ledger_file, tmp_path)


@pytest.fixture
def postgresql_ledger(ledger_server: PostgresServer) -> Iterator[ConnectionSettings]:
    """An empty ledger at head in PostgreSQL: always the same database, emptied after each test."""
    settings = postgres_settings(ledger_server, LEDGER)
    yield settings
    engine = ledger_engine(settings)
    with engine.begin() as connection:
        filled = [table.name for table in tables.metadata.tables.values() if table is not tables.ledger]
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # or it refuses
        connection.execute(sa.text(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE"))
    engine.dispose()


POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.services, pytest.mark.xdist_group("ledger")])


@pytest.fixture(params=["sqlite", POSTGRESQL])
def ledger_settings(request: pytest.FixtureRequest) -> ConnectionSettings:
    """An empty ledger at head, once on each database that a ledger may live on."""
    return request.getfixturevalue(f"{request.param}_ledger")


@pytest.fixture(scope="session")
def doku_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DOKU's and the merchant's keys, made once: making RSA keys takes longer than most tests."""
    folder = tmp_path_factory.mktemp("doku") / "keys"
    KeyRing(folder).create()
    return folder


@pytest.fixture
def make_merchant(ledger_file: Path, tmp_path: Path, doku_keys: Path) -> Iterator[Callable[..., Merchant]]:
    """Makes merchants on an empty SQLite ledger of their own unless one is given."""
    made: list[Merchant] = []

    def make(ledger: ConnectionSettings | None = None, **settings: Any) -> Merchant:
        root = tmp_path / f"merchant_{next(_numbers)}"
        chosen = ledger or _copied(ledger_file, tmp_path)
        made.append(Merchant(root=root, ledger_settings=chosen, keys=doku_keys, **settings))
        return made[-1]

    yield make
    for merchant in made:
        merchant.ledger.engine.dispose()
        merchant.billing.dispose()


@pytest.fixture(autouse=True)
def as_in_an_old_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements go the way that they go in a ledger of many attempts: it is the one that asks for something."""
    monkeypatch.setattr(work_tables, "_MANY", -1)


@pytest.fixture
def merchant(make_merchant: Callable[..., Merchant]) -> Merchant:
    """A merchant whose ledger is in SQLite."""
    return make_merchant()


@pytest.fixture
def merchant_on_each(make_merchant: Callable[..., Merchant], ledger_settings: ConnectionSettings) -> Merchant:
    """A merchant, once on each database that a ledger may live on."""
    return make_merchant(ledger_settings)
