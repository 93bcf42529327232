"""Temporary tables of one connection: where rows stand between reading and the set-based statement that decides.

They live and die with the connection: nobody else sees them, a crash leaves nothing behind, they cost no write-ahead
log, and two copies of a task cannot meet in them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)  # fmt: skip

from include.ledger.types import Key

work = MetaData()
_TEMPORARY: Final = ["TEMPORARY"]

staged_charge = Table(
    "staged_charge",
    work,
    Column("row_no", BigInteger, primary_key=True, autoincrement=False),
    Column("charge_id", Key(200)),
    Column("stem", Key(18), comment="First part of the charge's invoice numbers"),
    Column("customer_id", Key(200)),
    Column("billing_number", Key(200)),
    Column("token", Key(500)),
    Column("fingerprint", Key(32), comment="Of the token; see include.domain.fingerprints"),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Key(20)),
    Column("due_date", Date),
    Column("channel", String(200)),
    Column("description", Text),
    Column("network", String(50)),
    Column("billing_period", Key(40), comment="If the view has the column"),
    Column("attempt_no", Integer, comment="The attempt number that the merchant asks for, if the view has the column"),
    Column("late", Boolean, nullable=False),
    Column("reasons", Text, comment="Why validation rejected the row; null: it did not"),
    prefixes=_TEMPORARY,
    comment="The rows of the view, as read and checked.",
)

# What is rarely so is found without a look at every row.
_RARE: Final = text("reasons IS NOT NULL OR late OR attempt_no > 1")
Index("ix_staged_charge_rare", staged_charge.c.row_no, postgresql_where=_RARE)

staged_fate = Table(
    "staged_fate",
    work,
    Column("row_no", BigInteger, primary_key=True, autoincrement=False),
    Column("fate", Key(12), nullable=False, comment="A Fate, or quarantine, or claim (a further attempt)"),
    Column("reason", Key(40), nullable=False),
    Column("attempt_no", Integer, comment="claim: the number of the new attempt"),
    Column("previous_invoice_number", Key(64)),
    Column("previous_status", Key(10)),
    prefixes=_TEMPORARY,
    comment="Rows that do not simply become a first attempt; the first statement that names a row decides.",
)

staged_line = Table(
    "staged_line",
    work,
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    Column("invoice_number", Key(64), nullable=False),
    Column("amount", BigInteger),
    Column("currency", Key(3)),
    Column("response_code", Key(10), nullable=False),
    Column("response_message", Text),
    Column("approval_code", Key(40)),
    Column("masked_card", Key(30)),
    Column("bank", String(60)),
    Column("channel", String(60)),
    Column("network", String(50)),
    Column("advice_code", Key(10)),
    Column("status", Key(10), nullable=False),
    prefixes=_TEMPORARY,
    comment="The lines of one report, as read.",
)

staged_known = Table(
    "staged_known",
    work,
    Column("charge_id", Key(200), primary_key=True),
    Column("attempt_no", Integer, primary_key=True, autoincrement=False),
    Column("ledger_id", Key(36)),
    Column("batch_name", Key(100)),
    Column("status", Key(12)),
    prefixes=_TEMPORARY,
    comment="Attempts that the billing database knows of listed charges.",
)


def analyse(connection: Connection, table: str, *columns: str) -> None:
    """Tell PostgreSQL how large a table is by now; it would guess, and read whole tables for a handful of rows.

    Args:
        connection: In a transaction.
        table: As it is written in SQL.
        columns: Those whose values it should look at; it takes time for each. None named: all.
    """
    if connection.dialect.name == "postgresql":
        listed = f" ({', '.join(columns)})" if columns else ""
        connection.execute(text(f"ANALYZE {table}{listed}"))


def rows_known(connection: Connection, table: str) -> int:
    """How many rows PostgreSQL took a table to have when it looked last; -1: it never did."""
    query = text("SELECT reltuples FROM pg_class WHERE oid = to_regclass(:name)")
    return int(connection.scalar(query, {"name": f'"{table}"'}) or 0)


_MANY: Final = 500_000
"""From so many attempts on, to look up a batch of 100,000 takes less time than to read them all (measured)."""


@contextmanager
def looked_up(connection: Connection) -> Iterator[None]:
    """Meanwhile PostgreSQL looks up each row of a batch by its index, unless there is little else in the ledger.

    Lines of a batch and of a report on it are in the order of their invoice numbers, so that rows that are looked up
    one after the other lie side by side. A hash join would read all attempts, or outcomes, that there ever were; the
    planner takes it for the better way for far too long. Nor does it share the work out: batches and reports are
    worked on side by side already.
    """
    settings: tuple[str, ...] = ()
    if connection.dialect.name == "postgresql" and rows_known(connection, "attempt") >= _MANY:
        settings = ("enable_hashjoin", "enable_mergejoin", "max_parallel_workers_per_gather")
    for setting in settings:
        connection.execute(text(f"SET LOCAL {setting} = 0"))
    yield
    for setting in settings:
        connection.execute(text(f"SET LOCAL {setting} TO DEFAULT"))


_ALIKE: Final = """
    CREATE TEMPORARY TABLE staged_alike AS
    SELECT {key} AS key FROM staged_charge s WHERE s.{column} IS NOT NULL GROUP BY 1 HAVING count(*) > 1
"""


@contextmanager
def rows_alike(connection: Connection, column: str) -> Iterator[str]:
    """Meanwhile `staged_alike` holds the keys that rows of `staged_charge` (as `s`) have in common with others.

    Rows with the same value have the same key; others may have it too. On PostgreSQL it is a number that stands for the
    text: numbers are sorted in a third of the time, and in a third of the memory.

    Args:
        connection: In a transaction.
        column: A text of `staged_charge`. Null is like nothing.

    Yields:
        A row's key, in SQL.
    """
    numbered = connection.dialect.name == "postgresql"
    key = f"hashtextextended(s.{column}, 0)" if numbered else f"s.{column}"
    if numbered:  # sorting is what is fast
        connection.execute(text("SET LOCAL enable_hashagg = off"))
    connection.execute(text(_ALIKE.format(key=key, column=column)))
    if numbered:
        connection.execute(text("SET LOCAL enable_hashagg TO DEFAULT"))
    analyse(connection, "staged_alike")
    yield key
    connection.execute(text("DROP TABLE staged_alike"))
