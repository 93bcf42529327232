"""Column types that mean the same on PostgreSQL and on SQLite."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, String, TypeDecorator
from sqlalchemy.types import DateTime, TypeEngine

Id = BigInteger().with_variant(Integer, "sqlite")
"""A row id that the database counts up."""


class _Measured(String):
    """Text whose length is checked as it is written: SQLite stores what PostgreSQL refuses as too long."""

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002
        """Raises ValueError for a longer text."""
        longest = self.length or 0

        def measured(value: str | None) -> str | None:
            if value is not None and len(value) > longest:
                raise ValueError(f"a text of {len(value)} characters, where {longest} fit")
            return value

        return measured

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ARG002
        """What is only looked for may be of any length."""
        return _as_bytes(String(self.length), self.length)


def Key(length: int) -> String:  # noqa: N802 - reads as a type in the table definitions
    """Text that is compared byte by byte: ids, names, digests. A longer one is refused, by SQLite too."""
    return _as_bytes(_Measured(length), length)


def _as_bytes(text: String, length: int | None) -> String:
    return text.with_variant(String(length, collation="C"), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always with a timezone; stored and returned in UTC. A moment without one is refused."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`timestamptz` on PostgreSQL, ISO text without an offset (UTC) on SQLite."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a timezone cannot be stored")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
