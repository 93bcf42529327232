"""Rows that are stored once, whoever comes first."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert those rows whose keys are not there yet; how many were inserted.

    Asked for as returned rows: the row count of such a statement is lost with psycopg.
    """
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    key = next(iter(table.primary_key.columns))
    statement = insert_for(table).values(list(rows)).on_conflict_do_nothing().returning(key)
    return len(connection.execute(statement).all())
