"""A table of the merchant's that this package writes: what it must look like, and how it is written: twice is once.

Every such table has `billing_source` in its key and `updated_at` at its end. Writing the same again changes nothing,
not even `updated_at`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, DateTime, Engine, Table, inspect, text

from include.billing.engine import billing_connection, errors_named, place
from include.billing.types import ExactDecimal
from include.billing.upsert import Columns, Terms, UpsertCounts, explain_write, key_of, write, write_columns
from include.domain.errors import BillingError

ROWS_PER_TRANSACTION: Final = 5000


@dataclass(frozen=True)
class WrittenTable:
    """One of them.

    Attributes:
        table: With its columns, as this package writes it; the merchant may have more, nullable or with a default.
        terms: By what its rows are known, and what gives way to what.
        setting: The profile's setting that names it.
        what: One row of it, for messages: "an outcome".
        cut: Columns of somebody else's words: how many characters are kept.
    """

    table: Table
    terms: Terms
    setting: str
    what: str
    cut: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name, with its schema where it has one."""
        return self.table.fullname

    @cached_property
    def normal(self) -> Mapping[str, Callable[[Any], Any] | None]:
        """How a value of each column but `updated_at` is made what the table holds; None: it is as it is."""
        return {
            column.name: _decimal if isinstance(column.type, ExactDecimal)
            else _utc if isinstance(column.type, DateTime)
            else _cut(self.cut[column.name]) if column.name in self.cut
            else None
            for column in self.table.columns if column.name != "updated_at"
        }  # fmt: skip


def create_table(engine: Engine, written: WrittenTable) -> None:
    """Create the table where it is not there yet: for examples and tests. A merchant creates their own."""
    with errors_named(engine, what=f"table {written.name}"), engine.begin() as connection:
        written.table.create(connection, checkfirst=True)


def check_table(engine: Engine, written: WrittenTable) -> None:
    """See that the table has every column, and a unique key.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: The table or a column is missing, the table has no unique key on that of `terms`, or (PostgreSQL)
            the connection's user may not write it.
    """
    with errors_named(engine, what=f"table {written.name}"), billing_connection(engine) as connection:
        _check(connection, written)


def upsert(
    engine: Engine,
    rows: Iterable[Mapping[str, Any]],
    written: WrittenTable,
    *,
    now: datetime | None = None,
    rows_per_transaction: int = ROWS_PER_TRANSACTION,
) -> UpsertCounts:
    """Write rows. Safe to call again with the same rows, also by two at once.

    Args:
        engine: The billing database, from `billing_engine`.
        rows: The columns of the table but `updated_at`; what is absent is null. Amounts in major units, as decimal, int
            or text; moments with a timezone. A key given twice: the last one counts.
        written: Where to.
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
    with errors_named(engine, what=f"table {written.name}"), billing_connection(engine) as connection:
        if connection.dialect.name in ("mysql", "mariadb"):  # by default it would not see what others write meanwhile
            connection.execution_options(isolation_level="READ COMMITTED")
        _check(connection, written)
        connection.rollback()
        while chunk := list(islice(iterator, rows_per_transaction)):
            normal = (_normal(row, written, moment) for row in chunk)
            latest = {key_of(row, written.terms): row for row in normal}
            with connection.begin():
                done = write(connection, written.table, latest, written.terms)
            counts += done + UpsertCounts(same=len(chunk) - len(latest))
    return counts


def upsert_columns(
    engine: Engine, pages: Iterable[Columns], written: WrittenTable, *, now: datetime | None = None
) -> UpsertCounts:
    """Write rows that come as columns into PostgreSQL: as `upsert`, without a look at each row here.

    Args:
        engine: The billing database, on PostgreSQL.
        pages: The columns of the table but `updated_at`, as the table holds them; each page is a transaction.
        written: Where to.
        now: The moment for `updated_at`, with a timezone; by default the present.

    Returns:
        As `upsert`, which also says what it raises.
    """
    moment, counts = _utc(now or datetime.now(UTC)), UpsertCounts()
    with errors_named(engine, what=f"table {written.name}"), billing_connection(engine) as connection:
        _check(connection, written)
        connection.rollback()
        for page in pages:
            full = replace(page, constants={**page.constants, "updated_at": moment})
            with connection.begin():
                counts += write_columns(connection, written.table, full, written.terms, written.cut)
    return counts


def _check(connection: Connection, written: WrittenTable) -> None:
    table, where, key = written.table, place(connection.engine), written.terms.key
    inspector = inspect(connection)
    if not inspector.has_table(table.name, table.schema):
        raise BillingError(
            f"The {where} has no table {written.name!r}, or the connection's user may not see it. Create it as in "
            f"include/billing/examples/, or name the merchant's own in the profile: {written.setting}."
        )
    known = {str(column["name"]) for column in inspector.get_columns(table.name, table.schema)}
    missing = [column.name for column in table.columns if column.name not in known]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise BillingError(
            f"Table {written.name!r} of the {where} misses the column{plural} {', '.join(missing)}. Add what is "
            "missing as in include/billing/examples/."
        )
    if not _is_unique(connection, inspector, table, key):
        raise BillingError(
            f"Table {written.name!r} of the {where} has no unique key on {', '.join(key)} that holds for every row "
            f"and at once. Add it: without it {written.what} could be written twice."
        )
    if connection.dialect.name == "postgresql":  # also what is only needed later: before money moves, not after
        explain_write(connection, table, written.terms)


# Not those of some rows only (partial), of expressions, or that are looked at when a transaction ends (deferrable).
_POSTGRES_KEYS: Final = """
    SELECT (SELECT array_agg(CAST(a.attname AS text)) FROM pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
    FROM pg_index i
    WHERE i.indrelid = to_regclass(:name) AND i.indisunique AND i.indimmediate AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL
"""


def _is_unique(connection: Connection, inspector: Any, table: Table, key: tuple[str, ...]) -> bool:
    if connection.dialect.name == "postgresql":
        name = connection.dialect.identifier_preparer.format_table(table)
        return any(set(columns) == set(key) for columns in connection.scalars(text(_POSTGRES_KEYS), {"name": name}))
    keys = [set(inspector.get_pk_constraint(table.name, table.schema)["constrained_columns"])]
    keys += [set(one["column_names"]) for one in inspector.get_unique_constraints(table.name, table.schema)]
    keys += [set(one["column_names"]) for one in inspector.get_indexes(table.name, table.schema) if one["unique"]]
    return set(key) in keys


def _normal(row: Mapping[str, Any], written: WrittenTable, moment: datetime) -> dict[str, Any]:
    """A row as the table holds it, so that it can be compared with what is there."""
    kept = written.normal
    if not row.keys() <= kept.keys():
        raise ValueError(f"not a column of {written.what}: {', '.join(sorted(row.keys() - kept.keys()))}")
    if any(row.get(name) is None for name in written.terms.key):
        raise ValueError(f"{written.what} needs {', '.join(written.terms.key)}")
    full: dict[str, Any] = {}
    for name, normal in kept.items():
        value = row.get(name)
        full[name] = value if value is None or normal is None else normal(value)
    full["updated_at"] = moment
    return full


def _decimal(value: Any) -> Decimal:
    if isinstance(value, float):
        raise ValueError("an amount is never a float")  # noqa: TRY004 - a wrong value, whatever its type
    return Decimal(value).quantize(Decimal("0.01"))


def _cut(length: int) -> Callable[[Any], str]:
    return lambda value: str(value)[:length]


def _utc(moment: datetime) -> datetime:
    """Whole seconds in UTC, without a timezone: what every database keeps without changing it."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a timezone cannot be written")
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0)
