"""`docs/ledger.md`: the ledger's tables as their metadata describes them, and the statements that recompute a day."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql

from include.ledger import bill_tables, inbox_tables, tables
from include.ledger.metadata import checked_by_statement
from tests.tools.docs.markdown import code, table

PROJECT: Final = Path(__file__).resolve().parents[3]
SQL: Final = PROJECT / "docs" / "sql"

_HEAD: Final = """\
# The ledger

Generated from the tables in `include/ledger/` (`*tables.py`) and `docs/sql/` by `make docs`; do not edit. A test
fails when they differ.

The ledger is this package's own database: PostgreSQL in production, SQLite as the embedded default, never Airflow's
metadata database. One command makes and upgrades it, no task does (`python -m include.cli ledger upgrade --environment
sandbox|production`); a ledger that is not at the newest schema refuses to work. It belongs to one environment for good.

- Amounts are integers in the currency's smallest unit in use; rupiah has none smaller, so 1500000 is one and a half
  million rupiah.
- Moments are UTC. On SQLite they are text without an offset.
- Business and execute dates are days of the profile's timezone.
- Records are appended. What changes are states, and the times that go with them.
- A reference "of many rows" is a foreign key on SQLite; PostgreSQL checks it by triggers, once for each statement
  ([why](adr/0024-references-checked-by-the-statement.md)).
- Tokens are in `attempt.token` and nowhere else; card numbers are nowhere: who may read the ledger may read tokens.

While a run decides, its rows stand in temporary tables of its own connection
([why](adr/0003-temporary-work-tables.md)); they are not listed here.
"""

_BOOKS: Final = """\
## The books of a day in plain SQL

The figures that `python -m include.cli books` prints can be recomputed with these statements from the two databases
alone. A test runs them after a whole day, on SQLite, PostgreSQL and MariaDB, and compares every term.

They take named parameters. With `psql`, quote what is text: `psql -v run_id=1 -v profile="'insurance'" -f
docs/sql/1_ledger_runs.sql`. With `sqlite3`: `.parameter set :profile "'insurance'"` before `.read
docs/sql/1_ledger_runs.sql`.
"""


def render() -> str:
    """The page."""
    lines = [_HEAD, "## Tables\n", *_contents()]
    for described in _described():
        lines += _table(described)
    lines.append(_BOOKS)
    for path in sorted(SQL.glob("*.sql")):
        lines += [
            f"### [`{path.name}`](sql/{path.name})\n",
            "```sql",
            path.read_text(encoding="utf-8").strip(),
            "```\n",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _contents() -> Iterator[str]:
    rows = ([f"[`{found.name}`](#{found.name})", found.comment or ""] for found in _described())
    yield from table(["table", "what it holds"], rows)


def _table(described: Table) -> Iterator[str]:
    yield f"### `{described.name}`\n"
    yield f"{described.comment or ''}\n"
    rows = ([code(column.name), _type(column), _null(column), column.comment or ""] for column in described.columns)
    yield from table(["column", "type", "null", "what it is"], rows)
    rules = sorted(filter(None, map(_rule, described.constraints)))
    yield from (f"- {rule}" for rule in rules)
    yield ""


def _type(column: Column[Any]) -> str:
    text = column.type.compile(dialect=postgresql.dialect())
    return (
        text.replace(' COLLATE "C"', "")
        .replace("VARCHAR", "text")
        .replace("TIMESTAMP WITH TIME ZONE", "moment")
        .lower()
    )


def _null(column: Column[Any]) -> str:
    return "yes" if column.nullable else ""


def _rule(constraint: object) -> str:
    """A constraint in words; columns that are checked against a vocabulary are told by the vocabulary."""
    if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
        kind = "Primary key" if isinstance(constraint, PrimaryKeyConstraint) else "Unique"
        return f"{kind}: {', '.join(code(column.name) for column in constraint.columns)}"
    if isinstance(constraint, ForeignKeyConstraint):
        ours = ", ".join(code(column.name) for column in constraint.columns)
        theirs = ", ".join(code(element.target_fullname) for element in constraint.elements)
        return f"Reference{' of many rows' if checked_by_statement(constraint) else ''}: {ours} → {theirs}"
    if isinstance(constraint, CheckConstraint):
        return f"Check: `{' '.join(str(constraint.sqltext).split())}`"
    return ""


def _described() -> list[Table]:
    """Every table once, in the order of the source."""
    found = (one for module in (tables, inbox_tables, bill_tables) for one in vars(module).values())
    return list(dict.fromkeys(one for one in found if isinstance(one, Table)))
