"""What PostgreSQL's planner has to be told when a step added many rows: its own look at them comes a minute later."""

from typing import Final

from sqlalchemy import Connection, Table

from include.ledger.work_tables import analyse, rows_known

_LEAST: Final = 2000
_SHARE: Final = 0.5
"""From so many rows, and from such a share of the table on: a day that is small beside the history changes no plan."""


def note_growth(connection: Connection, table: Table, added: int, *columns: str) -> None:
    """Let the planner look at a table anew after so many rows were added, if that changes its picture.

    Without it the next statement is planned for the few rows that there were, and looks at each row for each row.
    `columns` as in `analyse`.
    """
    if connection.dialect.name != "postgresql" or added < _LEAST:
        return
    if added > _SHARE * rows_known(connection, table.name):
        analyse(connection, f'"{table.name}"', *columns)
