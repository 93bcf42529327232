"""The merchant's outcomes table as this package knows it."""

from typing import Final

from sqlalchemy import Column, Date, DateTime, Integer, MetaData, String, Table, UniqueConstraint

from include.billing.types import ExactDecimal, name_text

OUTCOMES_TABLE: Final = "doku_charge_outcomes"
IN_FLIGHT: Final = "in_flight"
KEY: Final = ("charge_id", "attempt_no", "billing_source")
"""The charge first: the merchant's own view asks whether a charge is paid, and finds it by this key."""
MESSAGE_LENGTH: Final = 255


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
        Column("billing_source", name_text(40), nullable=False),
        Column("profile", name_text(40), nullable=False),
        Column("charge_id", name_text(200), nullable=False),
        Column("attempt_no", Integer, nullable=False),
        Column("invoice_number", name_text(64)),
        Column("ledger_id", name_text(36), nullable=False),
        Column("batch_name", name_text(100)),
        Column("status", name_text(12), nullable=False),
        Column("response_code", name_text(10)),
        Column("response_message", String(MESSAGE_LENGTH)),
        Column("approval_code", name_text(40)),
        Column("amount", ExactDecimal, nullable=False),
        Column("currency", name_text(3), nullable=False),
        Column("execute_date", Date),
        Column("decided_at", DateTime),
        Column("next_attempt_on", Date),
        Column("updated_at", DateTime, nullable=False),
        UniqueConstraint(*KEY, name=f"uq_{table}"),
        schema=schema or None,
        postgresql_with={"fillfactor": 45},  # as in examples/postgresql.sql
    )
