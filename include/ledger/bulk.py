"""Frames into tables: COPY on PostgreSQL, prepared inserts elsewhere."""

import io

import pandas as pd  # noqa: TID253 - this module is about frames
import psycopg
import pyarrow as pa  # noqa: TID253
import pyarrow.csv as pacsv  # noqa: TID253
from sqlalchemy import Connection, Table

from include.domain.errors import LedgerError


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
        _copy(connection, table, frame)
    else:
        columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns]
        names = [str(name) for name in frame.columns]
        connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])


def _copy(connection: Connection, table: Table, frame: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    # Every value quoted and every null bare: COPY can then tell an empty text from NULL.
    options = pacsv.WriteOptions(include_header=False, quoting_style="all_valid")
    pacsv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), buffer, options)
    columns = ", ".join(f'"{name}"' for name in frame.columns)
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN (FORMAT csv)') as copy:
            copy.write(buffer.getbuffer())
    except psycopg.Error as caught:
        raise LedgerError(
            f"The ledger refused rows for {table.name} ({caught.__class__.__name__} {caught.sqlstate}). "
            "Nothing of this step was kept; report this with the profile's layout and the time."
        ) from None
    finally:
        cursor.close()
