"""Two ways of inserting or updating rows in one transaction; both leave rows alone that say the same already.

Any database: look at what is there, then send what is new or differs. PostgreSQL: one statement that compares by
itself, many times faster. In both a row with a weaker status never replaces one with a stronger, whoever writes at the
same time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Integer,
    Table,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import IntegrityError

from include.billing.engine import place
from include.billing.types import ExactDecimal
from include.domain.errors import BillingError

Key = tuple[Any, ...]
Rows = Mapping[Key, dict[str, Any]]

_KEYS_PER_LOOK: Final = 1000
_UNLISTED: Final = 1
"""The rank of a status that is on no ladder: above a claim, which tells of no outcome, and below every outcome."""


@dataclass(frozen=True)
class Terms:
    """By what rows are known, and what gives way to what.

    Attributes:
        key: Columns of a unique key; `billing_source` is one.
        by: The one of them that rows are looked for by.
        ladder: Each `status`, the weakest (a claim) first: a row never replaces one with a stronger status; of two that
            are as strong the later counts. A status that is not on it comes just after the first. Empty: the later
            counts, whatever it says.
    """

    key: tuple[str, ...]
    by: str
    ladder: tuple[str, ...] = ()

    @cached_property
    def ranks(self) -> Mapping[str, int]:
        """How strong each status of the ladder is; any other is `_UNLISTED`."""
        return {status: 2 * number for number, status in enumerate(self.ladder)}

    def gives_way(self, status: str, to: str) -> bool:
        """Whether a row with a status never replaces one with the other."""
        return self.ranks.get(status, _UNLISTED) < self.ranks.get(to, _UNLISTED)


@dataclass(frozen=True)
class UpsertCounts:
    """What became of the rows that were to be written.

    Attributes:
        inserted: Rows that were not there.
        changed: Rows that said something else.
        same: Rows that said the same already, and those that gave way to a stronger status; left untouched.
    """

    inserted: int = 0
    changed: int = 0
    same: int = 0

    def __add__(self, other: "UpsertCounts") -> "UpsertCounts":
        """Counts of both."""
        return UpsertCounts(self.inserted + other.inserted, self.changed + other.changed, self.same + other.same)


def key_of(row: Mapping[Any, Any], terms: Terms) -> Key:
    """What a row is known by."""
    return tuple(row[name] for name in terms.key)


def write(connection: Connection, table: Table, rows: Rows, terms: Terms) -> UpsertCounts:
    """Insert or update rows by their keys, in the transaction that is open. Every row has every column of the table."""
    if connection.dialect.name == "postgresql":
        return _write_at_once(connection, table, rows, terms)
    present = _present(connection, table, rows, terms)
    new = [row for key, row in rows.items() if key not in present]
    changed = [row for key, row in rows.items() if key in present and _differs(row, present[key], terms)]
    # Sorted, so that two writers at once take their locks in the same order.
    for group in (new, changed):
        if group:
            ordered = sorted(group, key=lambda row: key_of(row, terms))
            connection.execute(_upsert(table, connection.dialect.name, terms), ordered)
    if new and connection.dialect.name != "sqlite":
        found = _present(connection, table, rows, terms)
        _refuse_unless(rows.keys() <= found.keys(), connection, table, terms)
    return UpsertCounts(len(new), len(changed), len(rows) - len(new) - len(changed))


def _present(connection: Connection, table: Table, keys: Collection[Key], terms: Terms) -> dict[Key, dict[str, Any]]:
    """The rows that are there under the given keys."""
    source_at, by_at = terms.key.index("billing_source"), terms.key.index(terms.by)
    sources, asked = {key[source_at] for key in keys}, {key[by_at] for key in keys}
    wanted = sorted(asked)
    found: dict[Key, dict[str, Any]] = {}
    for start in range(0, len(wanted), _KEYS_PER_LOOK):
        some = wanted[start : start + _KEYS_PER_LOOK]
        query = select(table).where(table.c.billing_source.in_(sorted(sources)), table.c[terms.by].in_(some))
        found |= {key_of(row, terms): _comparable(row) for row in connection.execute(query).mappings()}
    apart = all(key[source_at] in sources and key[by_at] in asked for key in found)
    _refuse_unless(apart, connection, table, terms)
    return {key: row for key, row in found.items() if key in keys}


def _refuse_unless(apart: bool, connection: Connection, table: Table, terms: Terms) -> None:
    """Keys that a collation takes for one another: found under another key, or written over another row."""
    if not apart:
        ids = f"{terms.by.removesuffix('_id').replace('_', ' ')} ids" if terms.by.endswith("_id") else f"{terms.by}s"
        raise BillingError(
            f"Table {table.name!r} of the {place(connection.engine)} takes {ids} that differ only in case for the "
            f"same. Give {terms.by} and billing_source a binary collation (MariaDB: utf8mb4_bin)."
        )


def _differs(row: Mapping[str, Any], present: Mapping[str, Any], terms: Terms) -> bool:
    if terms.ladder and terms.gives_way(row["status"], present["status"]):
        return False
    return any(row[name] != present[name] for name in row if name != "updated_at")


def _comparable(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as read, whatever types the merchant gave to the columns."""
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)).replace(microsecond=0)
    return value.quantize(Decimal("0.01")) if isinstance(value, Decimal) else value


def _upsert(table: Table, dialect: str, terms: Terms) -> Any:
    """Insert, or update what another writer has inserted since we looked; but nothing by what gives way."""
    # MariaDB assigns one column after the other: the status last, for the condition asks for the one before.
    changing = sorted((column.name for column in table.columns if column.name not in terms.key), key="status".__eq__)
    if dialect != "sqlite":
        upsert = mysql.insert(table)
        if not terms.ladder:
            return upsert.on_duplicate_key_update([(name, upsert.inserted[name]) for name in changing])
        keeps = _rank(upsert.inserted.status, terms) < _rank(table.c.status, terms)
        values = [(name, func.if_(keeps, table.c[name], upsert.inserted[name])) for name in changing]
        return upsert.on_duplicate_key_update(values)
    conflict = sqlite.insert(table)
    replaces = None
    if terms.ladder:
        replaces = _rank(conflict.excluded.status, terms) >= _rank(table.c.status, terms)
    return conflict.on_conflict_do_update(
        index_elements=list(terms.key), set_={name: conflict.excluded[name] for name in changing}, where=replaces
    )


def _rank(status: ColumnElement[str], terms: Terms) -> ColumnElement[int]:
    # Written out: MariaDB's driver sends rows together only where no parameter follows them.
    whens: list[Any] = [(literal_column(f"'{name}'"), literal_column(str(rank))) for name, rank in terms.ranks.items()]
    return case(*whens, value=status, else_=literal_column(str(_UNLISTED)))


_ARRAYS: Final = ((Integer, "bigint"), (ExactDecimal, "numeric"), (DateTime, "timestamp"), (Date, "date"))


def _write_at_once(connection: Connection, table: Table, rows: Rows, terms: Terms) -> UpsertCounts:
    """PostgreSQL: the rows travel as one array per column; the statement counts what was there and what it wrote."""
    ordered = [rows[key] for key in sorted(rows)]
    columns = {column.name: [row[column.name] for row in ordered] for column in table.columns}
    return write_columns(connection, table, Columns(len(ordered), columns), terms)


@dataclass(frozen=True)
class Columns:
    """Rows as PostgreSQL takes them at once.

    Attributes:
        count: How many rows.
        arrays: Their values by column: lists, or arrays as PostgreSQL itself writes them.
        constants: What is the same in each row, by column.
        new: None of the rows should be there: to be ready for one costs as much as to insert it. One that is there all
            the same is none the worse. That a row may be updated later is not tried by it (`explain_write` does).
    """

    count: int
    arrays: Mapping[str, Any]
    constants: Mapping[str, Any] = field(default_factory=dict)
    new: bool = False


def write_columns(
    connection: Connection, table: Table, rows: Columns, terms: Terms, cut: Mapping[str, int] | None = None
) -> UpsertCounts:
    """PostgreSQL: insert or update rows by their keys, in the transaction that is open.

    Args:
        connection: To PostgreSQL.
        table: Where to; the rows have each of its columns.
        rows: As the table holds them. A key given twice: either counts.
        terms: By what they are known.
        cut: Columns of which so many characters are kept.
    """
    # Moments are compared and written in UTC whatever the session's timezone and the column's type.
    connection.exec_driver_sql("SET LOCAL timezone = 'UTC'")
    arrays, constants = list(rows.arrays), list(rows.constants)
    values = (*rows.constants.values(), *rows.arrays.values())
    insert = _insert(connection, table, terms, arrays, constants, cut or {})
    if rows.new:
        try:
            with connection.begin_nested():
                inserted = connection.exec_driver_sql(insert, values).rowcount
        except IntegrityError:
            pass
        else:
            return UpsertCounts(inserted, 0, rows.count - inserted)
    inserted, changed = connection.exec_driver_sql(_or_update(insert, table, terms), values).one()
    return UpsertCounts(inserted, changed, rows.count - inserted - changed)


def explain_write(connection: Connection, table: Table, terms: Terms) -> None:
    """PostgreSQL: plan what `write_columns` does, and do nothing of it; fails where that would not be allowed."""
    names = [column.name for column in table.columns]
    statement = _or_update(_insert(connection, table, terms, names, [], {}), table, terms)
    connection.exec_driver_sql(f"EXPLAIN {statement}", tuple([] for _ in names))


def _insert(
    connection: Connection,
    table: Table,
    terms: Terms,
    arrays: Collection[str],
    constants: Collection[str],
    cut: Mapping[str, int],
) -> str:
    into, key = connection.dialect.identifier_preparer.format_table(table), ", ".join(terms.key)
    columns = [column.name for column in table.columns]
    kinds = {column.name: _array_type(column.type) for column in table.columns}
    unnested = ", ".join(f"%s::{kinds[column]}[]" for column in arrays)
    fixed = "".join(f", %s::{kinds[column]} AS {column}" for column in constants)
    given = [f"left({name}, {cut[name]})" if name in cut else name for name in columns]
    # Sorted, so that two writers at once take their locks in the same order.
    return f"""
        INSERT INTO {into} AS kept ({", ".join(columns)})
        SELECT DISTINCT ON ({key}) {", ".join(given)}
        FROM (SELECT *{fixed} FROM unnest({unnested}) AS given ({", ".join(arrays)})) AS rows ORDER BY {key}
    """  # noqa: S608 - only our own names and the profile's checked table name


def _or_update(insert: str, table: Table, terms: Terms) -> str:
    columns, key = [column.name for column in table.columns], ", ".join(terms.key)
    compared = [column for column in columns if column not in (*terms.key, "updated_at")]
    whens = " ".join(f"WHEN '{status}' THEN {rank}" for status, rank in terms.ranks.items())
    ranks = [f"CASE {row}.status {whens} ELSE {_UNLISTED} END" for row in ("excluded", "kept")]
    replaces = f"AND {' >= '.join(ranks)}" if terms.ladder else ""
    # What a row was before is known by its mark of deletion: an inserted one has none.
    return f"""
        WITH written AS ({insert}
            ON CONFLICT ({key}) DO UPDATE
            SET {", ".join(f"{column} = excluded.{column}" for column in columns if column not in terms.key)}
            WHERE ({", ".join(f"kept.{column}" for column in compared)})
                IS DISTINCT FROM ({", ".join(f"excluded.{column}" for column in compared)})
            {replaces}
            RETURNING kept.xmax = 0 AS fresh
        )
        SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written
    """  # noqa: S608


def _array_type(kind: Any) -> str:
    return next((name for known, name in _ARRAYS if isinstance(kind, known)), "text")
