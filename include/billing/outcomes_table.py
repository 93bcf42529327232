"""The merchant's outcomes table as this package knows it."""

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine, UserDefinedType

OUTCOMES_TABLE: Final = "doku_charge_outcomes"
IN_FLIGHT: Final = "in_flight"
KEY: Final = ("billing_source", "charge_id", "attempt_no")
MESSAGE_LENGTH: Final = 255


class _SqliteDecimal(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "DECIMAL(18, 2)"


class ExactDecimal(TypeDecorator[Decimal]):
    """DECIMAL(18, 2) in major units, never through a float: on SQLite it travels as text."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own decimal."""
        return dialect.type_descriptor(_SqliteDecimal() if dialect.name == "sqlite" else Numeric(18, 2))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        """Text for SQLite."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Back to a decimal."""
        return None if value is None else Decimal(str(value))


def _name(length: int) -> String:
    """Text compared byte by byte: MariaDB's default would take charge `a1` for charge `A1`."""
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def outcomes_table(name: str = OUTCOMES_TABLE) -> Table:
    """The merchant's outcomes table as this package writes it.

    Columns: `amount` in major units; `execute_date` and `next_attempt_on` local days; `decided_at` and `updated_at`
    UTC, whole seconds. Source: the ledger.

    Args:
        name: The profile's `billing.outcomes`, with its schema before a dot where it has one.
    """
    schema, _, table = name.rpartition(".")
    return Table(
        table,
        MetaData(),
        Column("billing_source", _name(40), nullable=False),
        Column("profile", _name(40), nullable=False),
        Column("charge_id", _name(200), nullable=False),
        Column("attempt_no", Integer, nullable=False),
        Column("invoice_number", _name(64)),
        Column("ledger_id", _name(36), nullable=False),
        Column("batch_name", _name(100)),
        Column("status", _name(12), nullable=False),
        Column("response_code", _name(10)),
        Column("response_message", String(MESSAGE_LENGTH)),
        Column("approval_code", _name(40)),
        Column("amount", ExactDecimal, nullable=False),
        Column("currency", _name(3), nullable=False),
        Column("execute_date", Date),
        Column("decided_at", DateTime),
        Column("next_attempt_on", Date),
        Column("updated_at", DateTime, nullable=False),
        UniqueConstraint(*KEY, name=f"uq_{table}"),
        schema=schema or None,
    )
