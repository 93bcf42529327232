"""Writing outcomes back to the merchant's table `doku_charge_outcomes`: safe to write twice.

A row per attempt. It is first written when the attempt is claimed (`in_flight`, with the ledger's id), before anything
is delivered, and again with each outcome. Writing the same again changes nothing, not even `updated_at`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from include.billing.outcomes_table import IN_FLIGHT, KEY, MESSAGE_LENGTH, OUTCOMES_TABLE, outcomes_table
from include.billing.upsert import Columns, Terms, UpsertCounts
from include.billing.written_table import (
    ROWS_PER_TRANSACTION,
    WrittenTable,
    check_table,
    create_table,
    upsert,
    upsert_columns,
)

__all__ = [
    "IN_FLIGHT",
    "OUTCOMES_TABLE",
    "Columns",
    "UpsertCounts",
    "check_outcomes_table",
    "create_outcomes_table",
    "outcomes_table",
    "upsert_outcome_columns",
    "upsert_outcomes",
]


def _outcomes(name: str) -> WrittenTable:
    terms = Terms(KEY, by="charge_id", gives_way=IN_FLIGHT)
    cut = {"response_message": MESSAGE_LENGTH}
    return WrittenTable(outcomes_table(name), terms, "billing.outcomes", "an outcome", cut)


def create_outcomes_table(engine: Engine, name: str = OUTCOMES_TABLE) -> None:
    """Create the table where it is not there yet: for examples and tests. A merchant creates their own."""
    create_table(engine, _outcomes(name))


def check_outcomes_table(engine: Engine, name: str = OUTCOMES_TABLE) -> None:
    """See that the outcomes table has every column, and a unique key. Raises as `check_table`."""
    check_table(engine, _outcomes(name))


def upsert_outcomes(
    engine: Engine,
    rows: Iterable[Mapping[str, Any]],
    *,
    table: str = OUTCOMES_TABLE,
    now: datetime | None = None,
    rows_per_transaction: int = ROWS_PER_TRANSACTION,
) -> UpsertCounts:
    """Write attempts and their outcomes. Safe to call again with the same rows, also by two at once.

    A claim (`in_flight`) never replaces an outcome: a late or repeated claim of an attempt that is decided by now
    counts as `same`.

    Args:
        engine: The billing database, from `billing_engine`.
        rows: As `written_table.upsert`: the columns of `outcomes_table` but `updated_at`.
        table: The profile's `billing.outcomes`.
        now: As `written_table.upsert`.
        rows_per_transaction: As `written_table.upsert`.

    Returns:
        As `written_table.upsert`, which also says what it raises.
    """
    return upsert(engine, rows, _outcomes(table), now=now, rows_per_transaction=rows_per_transaction)


def upsert_outcome_columns(
    engine: Engine, pages: Iterable[Columns], *, table: str = OUTCOMES_TABLE, now: datetime | None = None
) -> UpsertCounts:
    """The same for rows that come as columns, into PostgreSQL; see `written_table.upsert_columns`."""
    return upsert_columns(engine, pages, _outcomes(table), now=now)
