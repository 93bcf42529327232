"""Column types of the merchant's tables that mean the same on every database."""

from decimal import Decimal
from typing import Any

from sqlalchemy import Dialect, Numeric, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine, UserDefinedType


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


def name_text(length: int) -> String:
    """Text compared byte by byte: MariaDB's default would take charge `a1` for charge `A1`."""
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")
