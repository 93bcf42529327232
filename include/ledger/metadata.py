"""What the tables of the ledger share: how constraints are named, and columns with a closed vocabulary."""

from enum import StrEnum
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, MetaData

# Check constraints stand beside the columns, never inside one: Alembic does not carry those into a migration.
NAMING: Final = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}
metadata = MetaData(naming_convention=NAMING)


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """Only these values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def of_many_rows(column: str) -> ForeignKey:
    """A reference from a table that grows by whole days: PostgreSQL checks it once a statement (docs/adr/0024)."""
    return ForeignKey(column, info={"checked": "by statement"})


def checked_by_statement(constraint: ForeignKeyConstraint) -> bool:
    """Whether PostgreSQL holds this reference by triggers; SQLite has it as a foreign key like every other."""
    return any(one.info.get("checked") == "by statement" for one in constraint.elements)
