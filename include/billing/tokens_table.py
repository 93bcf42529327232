"""Writing customers' tokens to the merchant's table `doku_tokens`: safe to write twice."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, DateTime, Engine, Integer, MetaData, String, Table, UniqueConstraint, select

from include.billing.engine import billing_connection, errors_named
from include.billing.types import name_text
from include.billing.upsert import Terms, UpsertCounts
from include.billing.written_table import WrittenTable, check_table, create_table, upsert

TOKENS_TABLE: Final = "doku_tokens"
KEY: Final = ("billing_source", "profile", "customer_id", "token")


def tokens_table(name: str = TOKENS_TABLE) -> Table:
    """The merchant's table of tokens as this package writes it.

    Columns: `status` active or lost; `chosen` 1 for the one token of a customer that the profile's rule would charge,
    else 0; moments UTC, whole seconds. Source: the ledger.

    Args:
        name: The profile's `billing.tokens`, with its schema before a dot where it has one.
    """
    schema, _, table = name.rpartition(".")
    return Table(
        table,
        MetaData(),
        Column("billing_source", name_text(40), nullable=False),
        Column("profile", name_text(40), nullable=False),
        Column("customer_id", name_text(200), nullable=False),
        Column("token", name_text(255), nullable=False),
        Column("channel", String(200)),
        Column("masked_card", name_text(30)),
        Column("network", String(50)),
        Column("status", name_text(10), nullable=False),
        Column("chosen", Integer, nullable=False),
        Column("first_seen", DateTime, nullable=False),
        Column("last_seen", DateTime, nullable=False),
        Column("lost_at", DateTime),
        Column("updated_at", DateTime, nullable=False),
        UniqueConstraint(*KEY, name=f"uq_{table}"),
        schema=schema or None,
    )


def _tokens(name: str) -> WrittenTable:
    return WrittenTable(tokens_table(name), Terms(KEY, by="customer_id"), "billing.tokens", "a token")


def create_tokens_table(engine: Engine, name: str = TOKENS_TABLE) -> None:
    """Create the table where it is not there yet: for examples and tests. A merchant creates their own."""
    create_table(engine, _tokens(name))


def check_tokens_table(engine: Engine, name: str = TOKENS_TABLE) -> None:
    """See that the table has every column, and a unique key. Raises as `check_table`."""
    check_table(engine, _tokens(name))


def known_tokens(engine: Engine, billing_source: str, profile: str, *, table: str) -> Iterator[Mapping[str, Any]]:
    """What the table says of a profile's tokens: customer_id, token, status and chosen; streamed.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: The table or a column is missing.
    """
    target = tokens_table(table)
    columns = (target.c.customer_id, target.c.token, target.c.status, target.c.chosen)
    query = select(*columns).where(target.c.billing_source == billing_source, target.c.profile == profile)
    with errors_named(engine, what=f"table {table}"), billing_connection(engine) as connection:
        streamed = connection.execution_options(stream_results=True, yield_per=10_000)
        yield from (dict(row) for row in streamed.execute(query).mappings())


def upsert_tokens(
    engine: Engine, rows: Iterable[Mapping[str, Any]], *, table: str = TOKENS_TABLE, now: datetime | None = None
) -> UpsertCounts:
    """Write tokens, the columns of `tokens_table` but one. Raises as `written_table.upsert`; safe to repeat."""
    return upsert(engine, rows, _tokens(table), now=now)
