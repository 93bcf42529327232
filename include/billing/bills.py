"""The merchant's side of Recurring: the view of the bills that they want, the table of what became of them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, DateTime, Engine, MetaData, String, Table, Text, UniqueConstraint

from include.billing.types import name_text
from include.billing.upsert import Terms, UpsertCounts
from include.billing.views import Contract, read_texts
from include.billing.written_table import WrittenTable, check_table, create_table, upsert
from include.domain.bill_columns import COLUMNS, OPTIONAL

BILLS_VIEW: Final = "doku_bills"
STATUS_TABLE: Final = "doku_bill_status"
REASON_LENGTH: Final = 500
_CONTRACT: Final = Contract(COLUMNS, OPTIONAL, "billing.bills")


def read_wanted_bills(engine: Engine, *, view: str, chunk_rows: int) -> Iterator[list[dict[str, str | None]]]:
    """The view's rows by billing number, every value as text, in chunks; raises as `read_texts`."""
    return read_texts(engine, view, _CONTRACT, order_by="billing_number", chunk_rows=chunk_rows)


def status_table(name: str = STATUS_TABLE) -> Table:
    """The merchant's table of bills as this package writes it: moments in UTC, whole seconds. Source: the ledger.

    Args:
        name: The profile's `billing.bill_status`, with its schema before a dot where it has one.
    """
    schema, _, table = name.rpartition(".")
    return Table(
        table,
        MetaData(),
        Column("billing_source", name_text(40), nullable=False),
        Column("billing_number", name_text(200), nullable=False),
        Column("profile", name_text(40), nullable=False),
        Column("customer_id", name_text(200), nullable=False),
        Column("state", name_text(12), nullable=False),
        Column("reason", String(REASON_LENGTH)),
        Column("checkout_url", Text),
        Column("checkout_form", Text),
        Column("masked_card", name_text(30)),
        Column("asked_at", DateTime),
        Column("registered_at", DateTime),
        Column("over_at", DateTime),
        Column("updated_at", DateTime, nullable=False),
        UniqueConstraint("billing_source", "billing_number", name=f"uq_{table}"),
        schema=schema or None,
    )


def _written(name: str) -> WrittenTable:
    terms = Terms(("billing_source", "billing_number"), by="billing_number")
    return WrittenTable(status_table(name), terms, "billing.bill_status", "a bill", {"reason": REASON_LENGTH})


def create_status_table(engine: Engine, name: str = STATUS_TABLE) -> None:
    """Create the table where it is not there yet: for examples and tests. A merchant creates their own."""
    create_table(engine, _written(name))


def check_status_table(engine: Engine, name: str) -> None:
    """See that the table has every column, and a unique key. Raises as `check_table`."""
    check_table(engine, _written(name))


def upsert_bill_status(engine: Engine, rows: Iterable[Mapping[str, Any]], *, table: str, now: datetime) -> UpsertCounts:
    """Write what bills are now: the columns of `status_table` but `updated_at`. Safe to repeat; as `upsert`."""
    return upsert(engine, rows, _written(table), now=now)
