"""Frames and rows into tables: COPY and arrays on PostgreSQL, prepared inserts elsewhere."""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import pandas as pd  # noqa: TID253 - this module is about frames
import psycopg
import pyarrow as pa  # noqa: TID253
import pyarrow.csv as pacsv  # noqa: TID253
from sqlalchemy import BigInteger, Boolean, Connection, Date, Integer, Table

from include.domain.errors import LedgerError
from include.ledger.types import UtcDateTime


def insert_frame(connection: Connection, table: Table, frame: pd.DataFrame) -> None:
    """Append a frame to a table.

    Args:
        connection: In a transaction.
        table: Its columns must include the frame's.
        frame: One column per table column, by name; nulls become NULL.

    Raises:
        LedgerError: The database refused; with the kind of refusal and never the row.
    """
    if frame.empty:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, pa.Table.from_pandas(frame, preserve_index=False))
    else:
        columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns]
        names = [str(name) for name in frame.columns]
        connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])


def _copy(connection: Connection, table: Table, rows: Any) -> None:
    buffer = io.BytesIO()
    # Every text quoted and every null bare: COPY can then tell an empty text from NULL.
    options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
    pacsv.write_csv(rows, buffer, options)
    columns = ", ".join(f'"{name}"' for name in rows.column_names)
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN (FORMAT csv)') as copy:
            copy.write(buffer.getbuffer())
    except psycopg.Error as caught:
        constraint = f", constraint {caught.diag.constraint_name}" if caught.diag.constraint_name else ""
        raise LedgerError(
            f"The ledger refused rows for {table.name} ({caught.__class__.__name__} {caught.sqlstate}{constraint}). "
            "Nothing of this step was kept; report this with the profile's layout and the time."
        ) from None
    finally:
        cursor.close()


def read_copied(data: bytes, kinds: Mapping[str, Any]) -> Any:
    """Rows that COPY gave as CSV, as an Arrow table; `kinds`: its columns and their Arrow types."""
    return pacsv.read_csv(
        io.BytesIO(data),
        # One block, whatever its size: a row that is longer than a block would be refused.
        read_options=pacsv.ReadOptions(column_names=list(kinds), block_size=len(data) + 1),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        # COPY writes null as nothing and an empty text as two quotation marks.
        convert_options=pacsv.ConvertOptions(
            column_types=dict(kinds), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


_ARRAYS: Final = (
    (Boolean, "boolean"), (BigInteger, "bigint"), (Integer, "integer"), (Date, "date"), (UtcDateTime, "timestamptz"),
)  # fmt: skip


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, new: bool = False) -> None:
    """Append rows to a table, in one statement where the database can.

    Args:
        connection: In a transaction.
        table: Each row has the same of its columns.
        rows: The values.
        new: Only those whose keys are not there yet.
    """
    if not rows:
        return
    columns = {name: [_plain(row[name]) for row in rows] for name in rows[0]}
    if connection.dialect.name != "postgresql":
        inserted = table.insert().prefix_with("OR IGNORE") if new else table.insert()
        connection.execute(inserted, [dict(row) for row in rows])
    elif new:
        arrays = ", ".join(f"%s::{_array_type(table.c[name].type)}[]" for name in columns)
        listed = ", ".join(columns)
        statement = f'INSERT INTO "{table.name}" ({listed}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING'  # noqa: S608
        connection.exec_driver_sql(statement, tuple(columns.values()))
    else:
        _copy(connection, table, pa.table({name: pa.array(_written(values)) for name, values in columns.items()}))


def _array_type(kind: Any) -> str:
    return next((name for known, name in _ARRAYS if isinstance(kind, known)), "text")


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value


def _written(values: Sequence[Any]) -> Sequence[Any]:
    """Moments as text: Arrow would look for a file of timezones to write them."""
    return [one.isoformat() if isinstance(one, datetime) else one for one in values]
