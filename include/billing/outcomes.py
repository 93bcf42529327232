"""Writing outcomes back to the merchant's table `doku_charge_outcomes`: safe to write twice.

A row per attempt. It is first written when the attempt is claimed (`in_flight`, with the ledger's id), before anything
is delivered, and again with each outcome. Writing the same again changes nothing, not even `updated_at`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, inspect

from include.billing.engine import billing_connection, errors_named, place
from include.billing.outcomes_table import IN_FLIGHT, KEY, MESSAGE_LENGTH, OUTCOMES_TABLE, outcomes_table
from include.billing.upsert import UpsertCounts, key_of, write
from include.domain.errors import BillingError

__all__ = [
    "IN_FLIGHT",
    "OUTCOMES_TABLE",
    "UpsertCounts",
    "check_outcomes_table",
    "create_outcomes_table",
    "outcomes_table",
    "upsert_outcomes",
]

ROWS_PER_TRANSACTION: Final = 5000


def create_outcomes_table(engine: Engine, name: str = OUTCOMES_TABLE) -> None:
    """Create the table where it is not there yet: for examples and tests. A merchant creates their own."""
    with errors_named(engine, what=f"table {name}"), engine.begin() as connection:
        outcomes_table(name).create(connection, checkfirst=True)


def check_outcomes_table(engine: Engine, name: str = OUTCOMES_TABLE) -> None:
    """See that the outcomes table has every column.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: The table or a column is missing, or the table has no unique key on `KEY`.
    """
    with errors_named(engine, what=f"table {name}"), billing_connection(engine) as connection:
        _check(connection, name)


def _check(connection: Connection, name: str) -> Table:
    table, where = outcomes_table(name), place(connection.engine)
    inspector = inspect(connection)
    if not inspector.has_table(table.name, table.schema):
        raise BillingError(
            f"The {where} has no table {name!r}, or the connection's user may not see it. Create it as in "
            "include/billing/examples/, or name the merchant's own in the profile: billing.outcomes."
        )
    known = {str(column["name"]) for column in inspector.get_columns(table.name, table.schema)}
    missing = [column.name for column in table.columns if column.name not in known]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise BillingError(
            f"Table {name!r} of the {where} misses the column{plural} {', '.join(missing)}. Add what is missing as in "
            "include/billing/examples/."
        )
    if not _is_unique(inspector, table):
        raise BillingError(
            f"Table {name!r} of the {where} has no unique key on {', '.join(KEY)}. Add it: without it an outcome "
            "could be written twice."
        )
    return table


def _is_unique(inspector: Any, table: Table) -> bool:
    keys = [set(inspector.get_pk_constraint(table.name, table.schema)["constrained_columns"])]
    keys += [set(key["column_names"]) for key in inspector.get_unique_constraints(table.name, table.schema)]
    keys += [set(index["column_names"]) for index in inspector.get_indexes(table.name, table.schema) if index["unique"]]
    return set(KEY) in keys


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
        rows: The columns of `outcomes_table` but `updated_at`; what is absent is null. `amount` in major units, as
            decimal, int or text; moments with a timezone. A key given twice: the last one counts.
        table: The profile's `billing.outcomes`.
        now: The moment for `updated_at`, with a timezone; by default the present.
        rows_per_transaction: Rows between two commits.

    Returns:
        How many rows were inserted, changed and left as they were; together as many as were given.

    Raises:
        BillingUnreachable: The database does not answer now; transactions before stay written, and repeating is safe.
        BillingError: The table or a column is missing, no permission, or another refusal.
        ValueError: A row with an unknown column, without its key, with a float as amount, or with a moment without a
            timezone.
    """
    moment = _utc(now or datetime.now(UTC))
    counts, iterator = UpsertCounts(), iter(rows)
    with errors_named(engine, what=f"table {table}"), billing_connection(engine) as connection:
        if connection.dialect.name in ("mysql", "mariadb"):  # by default it would not see what others write meanwhile
            connection.execution_options(isolation_level="READ COMMITTED")
        target = _check(connection, table)
        connection.rollback()
        while chunk := list(islice(iterator, rows_per_transaction)):
            latest = {key_of(row): row for row in (_normal(row, moment) for row in chunk)}
            with connection.begin():
                written = write(connection, target, latest)
            counts += written + UpsertCounts(same=len(chunk) - len(latest))
    return counts


_COLUMNS: Final = tuple(column.name for column in outcomes_table().columns)
_GIVEN: Final = frozenset(_COLUMNS) - {"updated_at"}


def _normal(row: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """A row as the table holds it, so that it can be compared with what is there."""
    if not row.keys() <= _GIVEN:
        raise ValueError(f"not a column of an outcome: {', '.join(sorted(row.keys() - _GIVEN))}")
    if any(row.get(name) is None for name in KEY):
        raise ValueError(f"an outcome needs {', '.join(KEY)}")
    full = {name: row.get(name) for name in _COLUMNS}
    full["amount"] = _decimal(full["amount"])
    full["decided_at"] = None if full["decided_at"] is None else _utc(full["decided_at"])
    if full["response_message"] is not None:
        full["response_message"] = str(full["response_message"])[:MESSAGE_LENGTH]
    full["updated_at"] = moment
    return full


def _decimal(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, float):
        raise ValueError("an amount is never a float")  # noqa: TRY004 - a wrong value, whatever its type
    return Decimal(value).quantize(Decimal("0.01"))


def _utc(moment: datetime) -> datetime:
    """Whole seconds in UTC, without a timezone: what every database keeps without changing it."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a timezone cannot be written")
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)
