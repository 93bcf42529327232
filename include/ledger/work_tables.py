"""Temporary tables of one connection: where rows stand between reading and the set-based statement that decides.

They live and die with the connection: nobody else sees them, a crash leaves nothing behind, they cost no write-ahead
log, and two copies of a task cannot meet in them.
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Connection, Date, Integer, MetaData, String, Table, Text, text

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
