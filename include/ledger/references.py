"""References that PostgreSQL checks once a statement: whether it does, and whether all that they name is there.

A foreign key is checked whenever one is made, so also after a restore; a trigger is not, and can be switched off
(docs/adr/0024). `verify` looks after both.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, ForeignKeyConstraint, exists, func, select, text

from include.ledger.metadata import checked_by_statement, metadata

_AT_WORK: Final = """
    SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE pg_table_is_visible(c.oid) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
"""


def references() -> list[ForeignKeyConstraint]:
    """Those references, by name."""
    constraints = [one for table in metadata.tables.values() for one in table.foreign_key_constraints]
    return sorted(filter(checked_by_statement, constraints), key=lambda one: str(one.name))


def triggers() -> set[tuple[str, str]]:
    """(table, trigger) of each check on PostgreSQL: of what refers, and of what is referred to."""
    referring = {(one.table.name, f"{one.name}_{event}") for one in references() for event in ("insert", "update")}
    parents = {one.referred_table.name for one in references()}
    return referring | {(name, f"{name}_{rule}") for name in parents for rule in ("stays", "keeps_its_key")}


def checks_switched_off(connection: Connection) -> Iterator[str]:
    """Checks that PostgreSQL does not make: nothing on SQLite, which has foreign keys."""
    if connection.dialect.name != "postgresql":
        return
    at_work = {(row.relname, row.tgname) for row in connection.execute(text(_AT_WORK))}
    for table, trigger in sorted(triggers() - at_work):
        yield f"The check {trigger} of table {table} is missing or switched off in the ledger's database."


def rows_that_refer_to_nothing(connection: Connection) -> Iterator[str]:
    """Rows whose attempt, batch, report or run is not there."""
    for one in references():
        column, parent = one.columns[0], one.referred_table
        there = exists().where(one.elements[0].column == column)
        lost = connection.scalar(select(func.count()).select_from(one.table).where(column.is_not(None), ~there))
        if lost:
            yield f"{lost} rows of {one.table.name} refer by {column.name} to a row of {parent.name} that is not there."
