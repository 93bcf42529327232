"""The databases of a merchant, on whichever server: what SQLAlchemy and what Airflow call them."""

from collections.abc import Mapping
from dataclasses import dataclass
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
