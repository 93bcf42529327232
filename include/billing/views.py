"""The merchant's views as the database describes them: which columns there are, and under which names they are read."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    MetaData,
    Table,
    Text,
    cast,
    inspect,
    null,
    select,
)
from sqlalchemy.types import TypeEngine

from include.billing.engine import billing_connection, errors_named, place
from include.domain.errors import BillingError


@dataclass(frozen=True)
class Contract:
    """A view that this package reads.

    Attributes:
        columns: By their canonical names, in the order they are read in.
        optional: Those that the view need not have.
        setting: The profile's setting that names the view.
        renamed: The profile's setting that names its columns; empty: they have the canonical names.
    """

    columns: Sequence[str]
    optional: Collection[str]
    setting: str
    renamed: str = ""


@dataclass(frozen=True)
class View:
    """The view as the database describes it."""

    name: str
    schema: str | None
    types: Mapping[str, TypeEngine[Any]]

    def table(self) -> Table:
        """To select from."""
        described = (Column(name, kind) for name, kind in self.types.items())
        return Table(self.name, MetaData(), *described, schema=self.schema, quote=None)


def describe(engine: Engine, view: str, setting: str) -> View:
    """The view. BillingError: there is none, or it may not be seen; BillingUnreachable: no answer now."""
    schema, _, name = view.rpartition(".")
    with errors_named(engine, what=f"view {view}"), billing_connection(engine) as connection:
        inspector = inspect(connection)
        if not inspector.has_table(name, schema or None):  # views too
            raise BillingError(
                f"The {place(engine)} has no view {view!r}, or the connection's user may not see it. Create it as in "
                f"include/billing/examples/, or name the merchant's own in the profile: {setting}."
            )
        described = inspector.get_columns(name, schema or None)
    return View(name, schema or None, {str(column["name"]): column["type"] for column in described})


def names_in(
    engine: Engine,
    view: str,
    contract: Contract,
    columns: Mapping[str, str],
    known: Collection[str],
) -> dict[str, str]:
    """The view's name of each canonical column that it has. BillingError: one that must be there is not."""
    names = {canonical: columns.get(canonical, canonical) for canonical in contract.columns}
    for canonical, name in names.items():
        if name in known or (canonical in contract.optional and canonical not in columns):
            continue
        near = get_close_matches(name, known, n=1) or [other for other in known if other.lower() == name.lower()]
        hint = f" It has one called {near[0]!r}." if near else ""
        mend = f", or name the right one in the profile: {contract.renamed}.{canonical}" if contract.renamed else ""
        raise BillingError(
            f"View {view!r} of the {place(engine)} has no column {name!r}, from which {canonical} is read.{hint} "
            f"Add it to the view{mend}."
        )
    return {canonical: name for canonical, name in names.items() if name in known}


def read_texts(
    engine: Engine, view: str, contract: Contract, *, order_by: str, chunk_rows: int
) -> Iterator[list[dict[str, str | None]]]:
    """A view's rows by canonical names, every value as the database writes it as text; in chunks, from one snapshot.

    Args:
        order_by: A canonical column.
        chunk_rows: Most rows of a chunk.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: No such view, a column missing, no permission, or another refusal.
    """
    described = describe(engine, view, contract.setting)
    names = names_in(engine, view, contract, {}, described.types)
    table = described.table()
    chosen: list[ColumnElement[Any]] = [
        (cast(table.c[names[canonical]], Text) if canonical in names else null()).label(canonical)
        for canonical in contract.columns
    ]
    query = select(*chosen).order_by(table.c[names[order_by]])
    with errors_named(engine, what=f"view {view}"), billing_connection(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL datestyle = 'ISO, YMD'")
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.exec_driver_sql("SET LOCAL transaction_read_only = on")
        streamed = connection.execution_options(stream_results=True, max_row_buffer=chunk_rows, yield_per=chunk_rows)
        for rows in streamed.execute(query).mappings().partitions(chunk_rows):
            yield [{str(name): value for name, value in row.items()} for row in rows]
