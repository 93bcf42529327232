"""Writing outcomes back to the merchant's table `doku_charge_outcomes`: safe to write twice.

A row per attempt. It is first written when the attempt is claimed (`in_flight`, with the ledger's id), before anything
is delivered, and again with each outcome. Writing the same again changes nothing, not even `updated_at`. Several tell
at once, and one may have read before another kept more: so the strongest status counts here too, as in the ledger.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

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
from include.domain.states import STRENGTH

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


_LADDER: Final = (IN_FLIGHT, *(str(status) for status in sorted(STRENGTH, key=lambda one: STRENGTH[one])))
_STATUSES: Final = frozenset(_LADDER)


def _outcomes(name: str, ladder: tuple[str, ...] = _LADDER) -> WrittenTable:
    terms = Terms(KEY, by="charge_id", ladder=ladder)
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
    of_bills: bool = False,
) -> UpsertCounts:
    """Write attempts and their outcomes. Safe to call again with the same rows, also by two at once.

    A weaker status never replaces a stronger one (`STRENGTH`; a claim, `in_flight`, is the weakest): what was read
    before more was known counts as `same`. A status in the table that nobody knows is nobody's outcome: any replaces
    it, but no claim does.

    Args:
        engine: The billing database, from `billing_engine`.
        rows: As `written_table.upsert`: the columns of `outcomes_table` but `updated_at`.
        table: The profile's `billing.outcomes`.
        now: As `written_table.upsert`.
        rows_per_transaction: As `written_table.upsert`.
        of_bills: The later row counts, whatever it says: outcomes of bills are made anew whenever more is said, and
            one may be taken back (docs/adr/0021).

    Returns:
        As `written_table.upsert`, which also says what it raises.

    Raises:
        ValueError: Also a status that is neither an outcome's nor `in_flight`.
    """
    written = _outcomes(table, () if of_bills else _LADDER)
    return upsert(engine, _known(rows), written, now=now, rows_per_transaction=rows_per_transaction)


def _known(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        if row.get("status") not in _STATUSES:
            raise ValueError(f"not a status of an outcome: {row.get('status')!r}")
        yield row


def upsert_outcome_columns(
    engine: Engine, pages: Iterable[Columns], *, table: str = OUTCOMES_TABLE, now: datetime | None = None
) -> UpsertCounts:
    """The same for rows of batches that come as columns, into PostgreSQL; see `written_table.upsert_columns`.

    Nobody looks at each row here: a status that nobody knows would replace claims only. The ledger's tables hold none.
    """
    return upsert_columns(engine, pages, _outcomes(table), now=now)
