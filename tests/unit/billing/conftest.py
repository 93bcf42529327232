"""Billing databases for tests: SQLite always, PostgreSQL and MariaDB where their binaries are."""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from include.billing.engine import billing_engine
from include.domain.connection import ConnectionSettings
from tests.services.mariadb import MariadbServer, mariadb_server
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.processes import ServiceUnavailable


@dataclass
class BillingDatabase:
    """An empty billing database, as the package and as its owner sees it."""

    settings: ConnectionSettings
    engine: Engine
    owner: Engine

    @property
    def kind(self) -> str:
        return self.owner.dialect.name

    def run(self, *statements: str, **values: Any) -> None:
        with self.owner.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        names = list(rows[0])
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
        with self.owner.begin() as connection:
            connection.execute(text(statement), rows)

    def all(self, query: str) -> list[dict[str, Any]]:
        with self.owner.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]


def _started(service: AbstractContextManager[Any]) -> Iterator[Any]:
    try:
        server = service.__enter__()
    except ServiceUnavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}")
        pytest.skip(str(reason))
    try:
        yield server
    finally:
        service.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    yield from _started(postgres_server())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    yield from _started(mariadb_server())


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[BillingDatabase]:
    file = tmp_path / "billing % é?.db"
    file.touch()
    settings = ConnectionSettings("insurer_billing", "sqlite", host=str(file))
    # A URL would take the question mark in the name for its own.
    owner = create_engine("sqlite://", creator=lambda: sqlite3.connect(file), poolclass=NullPool)
    database = BillingDatabase(settings, billing_engine(settings), owner)
    yield database
    database.owner.dispose()


def _served(server: Any) -> Iterator[BillingDatabase]:
    name = server.create_database(f"insurer_{uuid.uuid4().hex[:12]}")
    described = server.airflow_connection(name)
    settings = ConnectionSettings(
        conn_id="insurer_billing",
        **{key: described[key] for key in ("conn_type", "host", "port", "login", "password", "schema")},
    )
    database = BillingDatabase(settings, billing_engine(settings), create_engine(server.sqlalchemy_url(name)))
    yield database
    database.owner.dispose()
    server.drop_database(name)


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[BillingDatabase]:
    yield from _served(postgres)


@pytest.fixture
def mariadb_database(mariadb: MariadbServer) -> Iterator[BillingDatabase]:
    yield from _served(mariadb)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=[pytest.mark.services, pytest.mark.xdist_group("billing")]),
        pytest.param("mariadb", marks=[pytest.mark.services, pytest.mark.xdist_group("billing")]),
    ]
)
def database(request: pytest.FixtureRequest) -> BillingDatabase:
    """An empty billing database of each kind."""
    return request.getfixturevalue(f"{request.param}_database")


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=[pytest.mark.services, pytest.mark.xdist_group("billing")]),
        pytest.param("mariadb", marks=[pytest.mark.services, pytest.mark.xdist_group("billing")]),
    ]
)
def server_database(request: pytest.FixtureRequest) -> BillingDatabase:
    """An empty billing database on each kind of server."""
    return request.getfixturevalue(f"{request.param}_database")


MakeView = Callable[..., None]
COLUMN_TYPES = {
    "charge_id": "VARCHAR(60)",
    "customer_id": "VARCHAR(60)",
    "billing_number": "VARCHAR(60)",
    "token": "VARCHAR(200)",
    "amount": "DECIMAL(18,2)",
    "currency": "VARCHAR(10)",
    "due_date": "DATE",
    "channel": "VARCHAR(60)",
    "description": "TEXT",
}
CHARGE: dict[str, Any] = {
    "charge_id": "C1",
    "customer_id": "K1",
    "billing_number": "B1",
    "token": "0123456789abcdef0123456789abcdef",
    "amount": "1500000.00",
    "currency": "IDR",
    "due_date": "2026-11-22",
    "channel": "CREDIT_CARD",
    "description": "Premi",
}


@pytest.fixture
def make_view(database: BillingDatabase) -> MakeView:
    """Make a table `charges` of the given rows and a view `doku_due_charges` over it."""
    return maker_of(database)


def maker_of(database: BillingDatabase) -> MakeView:
    def make(*rows: dict[str, Any], select: str = "*", view: str = "doku_due_charges", **types: str) -> None:
        columns = COLUMN_TYPES | types
        suffix = " CHARACTER SET utf8mb4" if database.kind == "mysql" else ""
        described = ", ".join(f"{name} {kind}" for name, kind in columns.items() if kind)
        database.run(
            f"CREATE TABLE charges ({described}){suffix}", f"CREATE VIEW {view} AS SELECT {select} FROM charges"
        )
        if rows:
            database.insert(
                "charges", [{name: (CHARGE | row).get(name) for name, kind in columns.items() if kind} for row in rows]
            )

    return make
