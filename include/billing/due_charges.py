"""Reading due charges from the merchant's view, a chunk at a time.

The database turns every column into text, so that no amount passes through a float and no odd date through a driver;
validation reads the text. PostgreSQL sends the rows by COPY, which is about twice as fast; other databases, and
PostgreSQL on request, by rows. Both ways give equal frames.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from io import BytesIO
from typing import Any, Final

import numpy as np  # noqa: TID253 - this module is about frames
import pandas as pd  # noqa: TID253
import pyarrow as pa  # noqa: TID253
import pyarrow.csv as pacsv  # noqa: TID253
from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Engine,
    Select,
    Text,
    cast,
    literal,
    not_,
    null,
    or_,
    select,
)

from include.billing.engine import billing_connection, errors_named
from include.billing.views import Contract, describe, names_in
from include.domain.due_charge_columns import COLUMNS, OPTIONAL
from include.domain.errors import BillingError
from include.schemas.copy_out import copied

_CONTRACT: Final = Contract(COLUMNS, OPTIONAL, "billing.view", "billing.columns")
_ISO_DAY: Final = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"


def read_due_charges(
    engine: Engine,
    *,
    view: str,
    columns: Mapping[str, str],
    due_by: date,
    chunk_rows: int,
    by_copy: bool = True,
) -> Iterator[pd.DataFrame]:
    """Read the charges that are due, in the order of their ids, in one statement and so from one snapshot.

    A row without a due date, or with one that cannot be read, is read too: it is for validation to refuse, not for the
    reading to lose. Rows due after `due_by` are not read.

    Args:
        engine: The billing database, from `billing_engine`.
        view: The merchant's view, with its schema before a dot where it has one.
        columns: Names in the view by canonical name (profile: `billing.columns`), where they differ.
        due_by: The business date.
        chunk_rows: Most rows of a frame.
        by_copy: Use COPY where the database has it.

    Yields:
        `DueChargesRead` frames: `row_no` int64, counted from 1 over all frames, and the columns `COLUMNS` as Arrow
        strings, amounts as exact decimals in major units, dates as ISO text. Shape (at most `chunk_rows`, 13). None for
        a view without due rows.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: No such view, a column missing, no permission, or another refusal.
    """
    query = _query(engine, view, columns, due_by)
    with errors_named(engine, what=f"view {view}"), billing_connection(engine) as connection:
        chunks = _by_copy if by_copy and engine.dialect.name == "postgresql" else _by_rows
        first = 1
        # Closing explicitly frees the connection at once when a caller stops early.
        with closing(chunks(connection, query, chunk_rows)) as tables:
            for table in tables:
                yield _frame(table, first)
                first += table.num_rows


def check_view(engine: Engine, *, view: str, columns: Mapping[str, str]) -> None:
    """See that the view can be read as `read_due_charges` will, without reading a row. Raises as that does."""
    query = _query(engine, view, columns, date.min).limit(0)
    with errors_named(engine, what=f"view {view}"), billing_connection(engine) as connection:
        connection.execute(query).all()


def lists_any(engine: Engine, *, view: str, columns: Mapping[str, str], due_by: date) -> bool:
    """Whether the view lists any charge that is due, by reading one row at most. Raises as `read_due_charges` does."""
    query = _query(engine, view, columns, due_by).limit(1)
    with errors_named(engine, what=f"view {view}"), billing_connection(engine) as connection:
        return connection.execute(query).first() is not None


def _frame(table: Any, first: int) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.insert(0, "row_no", np.arange(first, first + len(frame), dtype=np.int64))
    return frame


def _query(engine: Engine, view: str, columns: Mapping[str, str], due_by: date) -> Select[Any]:
    described = describe(engine, view, _CONTRACT.setting)
    names = names_in(engine, view, _CONTRACT, columns, described.types)
    table = described.table()
    chosen: list[ColumnElement[Any]] = [
        (cast(table.c[names[canonical]], Text) if canonical in names else null()).label(canonical)
        for canonical in COLUMNS
    ]
    due = table.c[names["due_date"]]
    return select(*chosen).where(_is_due(engine, due, due_by)).order_by(table.c[names["charge_id"]])


def _is_due(engine: Engine, due: ColumnElement[Any], due_by: date) -> ColumnElement[bool]:
    """Due by the end of the day, or not readable as a date at all."""
    next_day = due_by + timedelta(days=1)
    if isinstance(due.type, (Date, DateTime)) and engine.dialect.name != "sqlite":
        return or_(due.is_(None), due < literal(next_day, Date))
    text = cast(due, Text)  # SQLite keeps dates as text whatever the column says
    return or_(due.is_(None), not_(text.regexp_match(_ISO_DAY)), text < literal(next_day.isoformat(), Text))


def _by_rows(connection: Connection, query: Select[Any], chunk_rows: int) -> Generator[Any, None, None]:
    """Any database: rows from a cursor of the server, fetched a chunk at a time."""
    _prepare(connection)
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    streamed = connection.execution_options(stream_results=True, max_row_buffer=chunk_rows, yield_per=chunk_rows)
    for rows in streamed.execute(query).partitions(chunk_rows):
        yield pa.table([_texts(values) for values in zip(*rows, strict=True)], schema=schema)


def _texts(values: Sequence[Any]) -> Any:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeError):
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    """A value that is no clean text: bytes of a binary column, or half a surrogate pair."""
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    return str(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _by_copy(connection: Connection, query: Select[Any], chunk_rows: int) -> Generator[Any, None, None]:
    """PostgreSQL: the same query through COPY, as CSV that Arrow parses."""
    _prepare(connection)
    compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
    # SQLAlchemy doubles percent signs for the driver, which leaves them alone where there are no parameters.
    statement = f"COPY ({str(compiled).replace('%%', '%')}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
    with closing(copied(connection.connection.driver_connection, statement, chunk_rows)) as pieces:
        for data in pieces:
            yield _parse(data)


def _parse(data: bytes) -> Any:
    try:
        return _parse_csv(data)
    except pa.ArrowInvalid:  # a database without an encoding may hold bytes that are no text
        data = data.decode("utf-8", "replace").encode()
    try:
        return _parse_csv(data)
    except pa.ArrowInvalid:  # its text would quote the row
        reason = "PostgreSQL sent rows by COPY that cannot be read as CSV. Please report this."
        raise BillingError(reason) from None


def _parse_csv(data: bytes) -> Any:
    return pacsv.read_csv(
        BytesIO(data),
        # One block, whatever its size: a row that is longer than a block would be refused.
        read_options=pacsv.ReadOptions(column_names=list(COLUMNS), block_size=len(data) + 1),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        # COPY writes null as nothing and an empty text as two quotation marks.
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _prepare(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    # Dates as ISO text whatever the server prefers; the plan for all rows, not for the first few of a cursor.
    connection.exec_driver_sql("SET LOCAL datestyle = 'ISO, YMD'")
    connection.exec_driver_sql("SET LOCAL cursor_tuple_fraction = 1")
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    connection.exec_driver_sql("SET LOCAL transaction_read_only = on")
