"""Ledgers for unit tests: SQLite always, PostgreSQL where its binaries are; each at head and empty, made by copying."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from include.domain.connection import ConnectionSettings
from include.ledger import schema
from include.ledger.store import ledger_engine
from tests.doku_simulator.keys import KeyRing
from tests.flows_harness import MORNING, Merchant
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.processes import ServiceUnavailable

_TEMPLATE = "ledger_template"
_numbers = itertools.count(1)


def _upgraded(settings: ConnectionSettings) -> None:
    engine = ledger_engine(settings)
    schema.upgrade(engine, "sandbox", MORNING)
    engine.dispose()


def _copy(server: PostgresServer, name: str) -> None:
    address = {"host": server.host, "port": server.port, "user": server.user, "dbname": "postgres"}
    with psycopg.connect(**address, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, _TEMPLATE))))


def postgres_settings(server: PostgresServer, database: str) -> ConnectionSettings:
    """A connection to one database of the server."""
    described = server.airflow_connection(database)
    fields = {key: described[key] for key in ("conn_type", "host", "port", "login", "password", "schema")}
    return ConnectionSettings("doku_ledger", **fields)


@pytest.fixture(scope="session")
def ledger_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for ledgers, started once, with an upgraded ledger to copy."""
    try:
        service = postgres_server()
        server = service.__enter__()
    except ServiceUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}")
        pytest.skip(str(reason))
    try:
        _upgraded(postgres_settings(server, server.create_database(_TEMPLATE)))
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


@pytest.fixture
def sqlite_ledger(ledger_file: Path, tmp_path: Path) -> ConnectionSettings:
    """An empty ledger at head in SQLite."""
    file = tmp_path / f"ledger_{next(_numbers)}.db"
    shutil.copyfile(ledger_file, file)
    return ConnectionSettings("doku_ledger", "sqlite", host=str(file))


@pytest.fixture
def postgresql_ledger(ledger_server: PostgresServer) -> Iterator[ConnectionSettings]:
    """An empty ledger at head in PostgreSQL."""
    name = f"ledger_{next(_numbers)}"
    _copy(ledger_server, name)
    yield postgres_settings(ledger_server, name)
    ledger_server.drop_database(name)


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
def make_merchant(request: pytest.FixtureRequest, tmp_path: Path, doku_keys: Path) -> Iterator[Callable[..., Merchant]]:
    """Makes merchants on an empty SQLite ledger: `make_merchant(changes={...})`."""
    made: list[Merchant] = []

    def make(ledger: ConnectionSettings | None = None, **settings: Any) -> Merchant:
        root = tmp_path / f"merchant_{next(_numbers)}"
        chosen = ledger or request.getfixturevalue("sqlite_ledger")
        made.append(Merchant(root=root, ledger_settings=chosen, keys=doku_keys, **settings))
        return made[-1]

    yield make
    for merchant in made:
        merchant.ledger.engine.dispose()
        merchant.billing.dispose()


@pytest.fixture
def merchant(make_merchant: Callable[..., Merchant]) -> Merchant:
    """A merchant whose ledger is in SQLite."""
    return make_merchant()


@pytest.fixture
def merchant_on_each(make_merchant: Callable[..., Merchant], ledger_settings: ConnectionSettings) -> Merchant:
    """A merchant, once on each database that a ledger may live on."""
    return make_merchant(ledger_settings)
