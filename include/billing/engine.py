"""The merchant's billing database: connecting to it, and its errors as sentences that carry no row.

Tried on PostgreSQL, MariaDB and SQLite. A driver's own text never leaves here: it may quote a row, and a row holds a
token.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchTableError, SQLAlchemyError

from include.domain.connection import CONNECT_SECONDS, ConnectionSettings, prepare_postgres
from include.domain.errors import BillingError, BillingUnreachable

SQLITE_BUSY_SECONDS: Final = 60
_CONNECTION_ID: Final = "doku_connection_id"


def billing_engine(settings: ConnectionSettings) -> Engine:
    """An engine for the merchant's billing database. It connects when it is first used, and keeps no idle connection.

    Args:
        settings: A connection of type postgres, mysql or sqlite. Of its extra, PostgreSQL's `ssl...` and `options` keys
            and MySQL's `ssl` mapping are used, beside `sqlalchemy_query`.

    Raises:
        ConfigError: Not a database, or a relative SQLite path.
    """
    url = URL.create(**settings.sqlalchemy_url_parts())
    options: dict[str, Any] = {
        "hide_parameters": True,
        "poolclass": NullPool,
        "execution_options": {_CONNECTION_ID: settings.conn_id},
    }
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(url, options)
    if backend == "postgresql":
        engine = create_engine(url, connect_args=settings.postgres_arguments(), **options)
        event.listen(engine, "connect", prepare_postgres)
        return engine
    if "charset" not in url.query:
        url = url.update_query_dict({"charset": "utf8mb4"})
    engine = create_engine(url, connect_args=_mysql_arguments(settings.extra), **options)
    event.listen(engine, "connect", _prepare_mysql)
    return engine


def _mysql_arguments(extra: Mapping[str, Any]) -> dict[str, Any]:
    secured = {"ssl": extra["ssl"]} if isinstance(extra.get("ssl"), Mapping) else {}
    return {"connect_timeout": CONNECT_SECONDS, **secured}


def _prepare_mysql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        # A reader may take its time over each chunk; by default the server hangs up after a minute of that.
        cursor.execute("SET SESSION net_write_timeout = 3600, SESSION time_zone = '+00:00'")


def _sqlite_engine(url: URL, options: dict[str, Any]) -> Engine:
    # SQLite creates a database that is not there; for a merchant's database that can only be a wrong path.
    file = url.set(database=f"file:{quote(str(url.database))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(file, connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Bytes that are no text are for validation to refuse, row by row; by default one of them ends the whole reading.
    connection.text_factory = lambda value: value.decode("utf-8", "replace")


def place(engine: Engine) -> str:
    """What to call a billing database in a message: its connection id, and where it is. No user, no password."""
    url, connection_id = engine.url, engine.get_execution_options().get(_CONNECTION_ID)
    if url.get_backend_name() == "sqlite":
        where = Path(unquote(str(url.database))).name
    else:
        where = f"{url.host or 'localhost'}{f':{url.port}' if url.port else ''}/{url.database or ''}"
    return f"billing database {connection_id} ({where})" if connection_id else f"billing database ({where})"


@contextmanager
def billing_connection(engine: Engine) -> Iterator[Connection]:
    """A connection to the billing database whose errors are `BillingError`s.

    Raises:
        BillingUnreachable: It does not answer now, or is too busy; trying again later may help.
        BillingError: It answers, and refuses; a person has to do something.
    """
    with errors_named(engine), engine.connect() as connection:
        yield connection


@contextmanager
def errors_named(engine: Engine, what: str = "") -> Iterator[None]:
    """Turn database errors into billing errors.

    Args:
        engine: The database, for its name.
        what: The view or table in use, for the message.
    """
    try:
        yield
    except _database_errors(engine) as caught:
        raise named(caught, engine, what) from None


def _database_errors(engine: Engine) -> tuple[type[Exception], ...]:
    """SQLAlchemy's errors, and the driver's: a fast path talks to the driver without SQLAlchemy."""
    driver: Any = engine.dialect.loaded_dbapi
    return (SQLAlchemyError, driver.Error)


_UNREACHABLE: Final = "unreachable"
_BUSY: Final = "busy"
_LOGIN: Final = "login"
_NO_DATABASE: Final = "no database"
_DENIED: Final = "denied"
_NO_TABLE: Final = "no table"
_NO_COLUMN: Final = "no column"
_TOO_LONG: Final = "too long"
_READ_ONLY: Final = "read only"

_SQLSTATES: Final[Mapping[str, str]] = {
    "28P01": _LOGIN,
    "28000": _LOGIN,
    "3D000": _NO_DATABASE,
    "42501": _DENIED,
    "42P01": _NO_TABLE,
    "3F000": _NO_TABLE,
    "42703": _NO_COLUMN,
    "22001": _TOO_LONG,
    "25006": _READ_ONLY,
    "53300": _BUSY,
    "40001": _BUSY,
    "40P01": _BUSY,
    "55P03": _BUSY,
    "57014": _BUSY,
    "57P01": _UNREACHABLE,
    "57P02": _UNREACHABLE,
    "57P03": _UNREACHABLE,
}
_MYSQL_NUMBERS: Final[Mapping[int, str]] = {
    1045: _LOGIN,
    1698: _LOGIN,
    1044: _DENIED,
    1142: _DENIED,
    1143: _DENIED,
    1227: _DENIED,
    1356: _DENIED,
    1049: _NO_DATABASE,
    1146: _NO_TABLE,
    1054: _NO_COLUMN,
    1406: _TOO_LONG,
    1290: _READ_ONLY,
    1040: _BUSY,
    1205: _BUSY,
    1213: _BUSY,
    2002: _UNREACHABLE,
    2003: _UNREACHABLE,
    2005: _UNREACHABLE,
    2006: _UNREACHABLE,
    2013: _UNREACHABLE,
    2014: _UNREACHABLE,
}
# Where a driver gives no number: the beginning of its own English sentence, used to tell the kind, never shown.
_PHRASES: Final = (
    ("password authentication failed", _LOGIN),
    ("no password supplied", _LOGIN),
    ("no pg_hba.conf entry", _LOGIN),
    ("role ", _LOGIN),
    ('database "', _NO_DATABASE),
    ("unable to open database file", _NO_DATABASE),
    ("file is not a database", _NO_DATABASE),
    ("database is locked", _BUSY),
    ("no such table", _NO_TABLE),
    ("no such column", _NO_COLUMN),
    ("readonly database", _READ_ONLY),
    ("too many", _BUSY),
)

_SENTENCES: Final[Mapping[str, str]] = {
    _UNREACHABLE: "The {place} does not answer. Check that it runs and that the connection's host and port are right; "
    "the task may then be tried again.",
    _BUSY: "The {place} is too busy or locked by others. The task may be tried again.",
    _LOGIN: "The {place} refused the log-in. Check login and password of the connection.",
    _NO_DATABASE: "The {place} is not there. Check host and schema (for SQLite: the file) of the connection.",
    _DENIED: "The {place} does not permit this{what}. Grant the connection's user SELECT on the view and SELECT, "
    "INSERT and UPDATE on the outcomes table.",
    _NO_TABLE: "The {place} misses a table{what}. See include/billing/examples/ for what is needed.",
    _NO_COLUMN: "The {place} misses a column{what}. See include/billing/examples/ for what is needed.",
    _TOO_LONG: "The {place} refused a value that is longer than its column{what}. Compare the table with "
    "include/billing/examples/.",
    _READ_ONLY: "The {place} takes no writes{what}. Point the connection to the primary server.",
}


def named(caught: Exception, engine: Engine, what: str = "") -> BillingError:
    """The billing error for a database error; of the error itself only its kind and number are told."""
    original = caught.orig if isinstance(caught, DBAPIError) and caught.orig is not None else caught
    kind = _kind(original, caught)
    words = {"place": place(engine), "what": f" ({what})" if what else ""}
    if kind in _SENTENCES:
        error = BillingUnreachable if kind in (_UNREACHABLE, _BUSY) else BillingError
        return error(_SENTENCES[kind].format(**words))
    number = _number(original)
    told = f"{original.__class__.__name__}{f' {number}' if number else ''}"
    refused = "refused a row that breaks a constraint" if isinstance(caught, IntegrityError) else "reported an error"
    return BillingError(f"The {words['place']} {refused}{words['what']}: {told}. Look it up in the database's own log.")


def _kind(original: BaseException, caught: Exception) -> str:
    number = _number(original)
    if number:
        known = _SQLSTATES.get(number) or (_MYSQL_NUMBERS.get(int(number)) if number.isdigit() else None)
        return known or (_UNREACHABLE if number.startswith("08") and len(number) == 5 else "")
    if isinstance(caught, NoSuchTableError):
        return _NO_TABLE
    text = str(original)
    for phrase, kind in _PHRASES:
        if phrase in text:
            return kind
    # Without a number, an operational error of a server's driver is a connection that could not be made or broke.
    operational = original.__class__.__name__ in ("OperationalError", "InterfaceError")
    return _UNREACHABLE if operational and not isinstance(original, sqlite3.Error) else ""


def _number(original: BaseException) -> str:
    """PostgreSQL's SQLSTATE or MySQL's error number; SQLite's drivers give a name that tells too little."""
    first = original.args[0] if original.args else None
    if isinstance(first, int) and first:
        return str(first)
    return str(getattr(original, "sqlstate", None) or "")
