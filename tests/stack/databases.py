"""The databases of a merchant, on whichever server: what SQLAlchemy and what Airflow call them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa


class DatabaseServer(Protocol):
    """A server of `tests.services` that makes databases."""

    def create_database(self, name: str) -> str:
        """Make an empty database."""

    def sqlalchemy_url(self, database: str) -> str:
        """Its SQLAlchemy URL."""

    def airflow_connection(self, database: str) -> dict[str, object]:
        """Its connection in Airflow's JSON form."""


@dataclass(frozen=True)
class Database:
    """One database.

    Attributes:
        kind: sqlite, postgresql or mysql.
        url: For SQLAlchemy, password included.
        connection: Airflow's JSON form of a connection.
    """

    kind: str
    url: str
    connection: Mapping[str, Any]

    @classmethod
    def sqlite(cls, path: Path) -> "Database":
        """A file; made when first written to."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls("sqlite", f"sqlite:///{path}", {"conn_type": "sqlite", "host": str(path)})

    @classmethod
    def on(cls, server: DatabaseServer, name: str) -> "Database":
        """A new, empty database of a server."""
        server.create_database(name)
        url = server.sqlalchemy_url(name)
        return cls(sa.make_url(url).get_backend_name(), url, server.airflow_connection(name))

    def engine(self) -> sa.Engine:
        """An engine that keeps no connection open."""
        return sa.create_engine(self.url, poolclass=sa.NullPool, hide_parameters=True)


def seeded(database: Database, merchant: str, charges: int, on: date, seed: int = 7) -> Database:
    """The same database, now with a merchant's tables and about so many charges for a day, some of them bad."""
    module = importlib.import_module(f"tests.merchants.{merchant}")
    engine = database.engine()
    try:
        module.seed(engine, charges=charges, business_date=on, seed=seed)
    finally:
        engine.dispose()
    return database


def upgraded(database: Database) -> Database:
    """The same database, now a ledger at head of the sandbox environment."""
    from include.ledger.schema import upgrade

    engine = database.engine()
    try:
        upgrade(engine, "sandbox", datetime.now(UTC))
    finally:
        engine.dispose()
    return database
