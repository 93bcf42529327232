"""Writing outcomes back to the merchant's table `doku_charge_outcomes`: safe to write twice.

A row per attempt. It is first written when the attempt is claimed (`in_flight`, with the ledger's id), before anything
is delivered, and again with each outcome. Writing the same again changes nothing, not even `updated_at`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    and_,
    bindparam,
    func,
    inspect,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.types import TypeEngine, UserDefinedType

from include.billing.engine import billing_connection, errors_named, place
from include.domain.errors import BillingError

OUTCOMES_TABLE: Final = "doku_charge_outcomes"
IN_FLIGHT: Final = "in_flight"
KEY: Final = ("billing_source", "charge_id", "attempt_no")
ROWS_PER_TRANSACTION: Final = 1000

_MESSAGE_LENGTH: Final = 255


@dataclass(frozen=True)
class UpsertCounts:
    """What became of the rows given to `upsert_outcomes`.

    Attributes:
        inserted: Rows that were not there.
        changed: Rows that said something else.
        same: Rows that were there already, and claims of attempts that have an outcome by now; left untouched.
    """

    inserted: int = 0
    changed: int = 0
    same: int = 0

    def __add__(self, other: "UpsertCounts") -> "UpsertCounts":
        """Counts of both."""
        return UpsertCounts(self.inserted + other.inserted, self.changed + other.changed, self.same + other.same)


class _SqliteDecimal(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "DECIMAL(18, 2)"


class ExactDecimal(TypeDecorator[Decimal]):
    """DECIMAL(18, 2) in major units, never through a float: on SQLite it travels as text."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own decimal."""
        return dialect.type_descriptor(_SqliteDecimal() if dialect.name == "sqlite" else Numeric(18, 2))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        """Text for SQLite."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Back to a decimal."""
        return None if value is None else Decimal(str(value))


def _name(length: int) -> String:
    """Text compared byte by byte: MariaDB's default would take charge `a1` for charge `A1`."""
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def outcomes_table(name: str = OUTCOMES_TABLE) -> Table:
    """The merchant's outcomes table as this package writes it.

    Columns: `amount` in major units; `execute_date` and `next_attempt_on` local days; `decided_at` and `updated_at`
    UTC, whole seconds. Source: the ledger.

    Args:
        name: The profile's `billing.outcomes`, with its schema before a dot where it has one.
    """
    schema, _, table = name.rpartition(".")
    return Table(
        table,
        MetaData(),
        Column("billing_source", _name(40), nullable=False),
        Column("profile", _name(40), nullable=False),
        Column("charge_id", _name(200), nullable=False),
        Column("attempt_no", Integer, nullable=False),
        Column("invoice_number", _name(64)),
        Column("ledger_id", _name(36), nullable=False),
        Column("batch_name", _name(100)),
        Column("status", _name(12), nullable=False),
        Column("response_code", _name(10)),
        Column("response_message", String(_MESSAGE_LENGTH)),
        Column("approval_code", _name(40)),
        Column("amount", ExactDecimal, nullable=False),
        Column("currency", _name(3), nullable=False),
        Column("execute_date", Date),
        Column("decided_at", DateTime),
        Column("next_attempt_on", Date),
        Column("updated_at", DateTime, nullable=False),
        UniqueConstraint(*KEY, name=f"uq_{table}"),
        schema=schema or None,
    )


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
            latest = {_key(row): row for row in (_normal(target, row, moment) for row in chunk)}
            with connection.begin():
                written = _write(connection, target, latest)
            counts += written + UpsertCounts(same=len(chunk) - len(latest))
    return counts


def _write(connection: Connection, table: Table, rows: Mapping[tuple[Any, ...], dict[str, Any]]) -> UpsertCounts:
    _prepare(connection)
    present = _present(connection, table, list(rows))
    new = [row for key, row in rows.items() if key not in present]
    changed = [row for key, row in rows.items() if key in present and _differs(row, present[key])]
    # Sorted, so that two writers at once take their locks in the same order.
    for group in (sorted(new, key=_key), sorted(changed, key=_key)):
        if group:
            connection.execute(_upsert(table, connection.dialect.name), group)
    if new and connection.dialect.name in ("mysql", "mariadb"):
        _refuse_unless_all(set(rows), _present(connection, table, list(rows)), connection, table)
    return UpsertCounts(len(new), len(changed), len(rows) - len(new) - len(changed))


def _prepare(connection: Connection) -> None:
    """Moments are written and read in UTC whatever the session's timezone and the column's type."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL timezone = 'UTC'")


def _present(
    connection: Connection, table: Table, keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    wanted = tuple_(*(table.c[name] for name in KEY)).in_(bindparam("keys", expanding=True))
    found = connection.execute(select(table).where(wanted), {"keys": list(keys)}).mappings()
    present = {_key(row): _comparable(row) for row in found}
    _refuse_unless_all(set(present), keys, connection, table)
    return present


def _refuse_unless_all(
    ours: set[tuple[Any, ...]], theirs: Iterable[tuple[Any, ...]], connection: Connection, table: Table
) -> None:
    """Keys that a collation takes for one another: found under another key, or written over another row."""
    if not ours <= set(theirs):
        raise BillingError(
            f"Table {table.name!r} of the {place(connection.engine)} takes charge ids that differ only in case for the "
            "same. Give charge_id and billing_source a binary collation (MariaDB: utf8mb4_bin)."
        )


def _upsert(table: Table, dialect: str) -> Any:
    """Insert, or update what another writer has inserted since we looked; but a claim never over an outcome."""
    # MariaDB assigns one column after the other: the status last, for the condition asks for the one before.
    changing = sorted((column.name for column in table.columns if column.name not in KEY), key="status".__eq__)
    if dialect in ("mysql", "mariadb"):
        upsert = mysql.insert(table)
        # Written out: its driver sends rows together only where no parameter follows them.
        claim: ColumnElement[str] = literal_column(f"'{IN_FLIGHT}'")
        keeps = and_(upsert.inserted.status == claim, table.c.status != claim)
        values = [(name, func.if_(keeps, table.c[name], upsert.inserted[name])) for name in changing]
        return upsert.on_duplicate_key_update(values)
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    conflict: Any = insert(table)
    return conflict.on_conflict_do_update(
        index_elements=list(KEY),
        set_={name: conflict.excluded[name] for name in changing},
        where=or_(conflict.excluded.status != IN_FLIGHT, table.c.status == IN_FLIGHT),
    )


def _key(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _differs(row: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    if row["status"] == IN_FLIGHT and present["status"] != IN_FLIGHT:
        return False
    return any(row[name] != present[name] for name in row if name != "updated_at")


def _normal(table: Table, row: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """A row as the table holds it, so that it can be compared with what is there."""
    unknown = sorted(set(row) - set(table.c.keys()) | ({"updated_at"} & set(row)))
    if unknown:
        raise ValueError(f"not a column of an outcome: {', '.join(unknown)}")
    if any(row.get(name) is None for name in KEY):
        raise ValueError(f"an outcome needs {', '.join(KEY)}")
    full = {column.name: row.get(column.name) for column in table.columns}
    full["amount"] = _decimal(full["amount"])
    full["decided_at"] = None if full["decided_at"] is None else _utc(full["decided_at"])
    if full["response_message"] is not None:
        full["response_message"] = str(full["response_message"])[:_MESSAGE_LENGTH]
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


def _comparable(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as read, whatever types the merchant gave to the columns."""
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)).replace(microsecond=0)
    return value.quantize(Decimal("0.01")) if isinstance(value, Decimal) else value


@dataclass(frozen=True)
class KnownAttempt:
    """An attempt that the billing database knows.

    Attributes:
        charge_id: The merchant's id of the charge.
        attempt_no: 1, 2, ...
        ledger_id: The ledger that claimed it.
        status: in_flight, or the outcome.
        execute_date: The day DOKU was asked to charge, if known.
    """

    charge_id: str
    attempt_no: int
    ledger_id: str
    status: str
    execute_date: date | None


def read_known_attempts(
    engine: Engine, billing_source: str, *, table: str = OUTCOMES_TABLE, chunk_rows: int = 50_000
) -> Iterator[list[KnownAttempt]]:
    """What the billing database knows of attempts, in chunks: submit refuses to send what its ledger does not know.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: The table or a column is missing.
    """
    with errors_named(engine, what=f"table {table}"), billing_connection(engine) as connection:
        target = _check(connection, table)
        names = ("charge_id", "attempt_no", "ledger_id", "status", "execute_date")
        query = select(*(target.c[name] for name in names)).where(target.c.billing_source == billing_source)
        streamed = connection.execution_options(stream_results=True, yield_per=chunk_rows)
        for rows in streamed.execute(query.order_by(target.c.charge_id, target.c.attempt_no)).partitions():
            yield [KnownAttempt(*row) for row in rows]
