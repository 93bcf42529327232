"""Pages of what is open, for people who look: bounded lists, by key and not by counting rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from include.ledger.tables import attempt, quarantine, quarantined_charge, recon_break, run

Row = Mapping[str, Any]

PAGE_ROWS: Final = 100


def breaks_listed(
    connection: Connection, profile: str, states: Sequence[str], before: int | None = None, rows: int = PAGE_ROWS
) -> list[Row]:
    """A profile's breaks in some states, newest first, each with the charge that it is about.

    Args:
        before: Only those with a smaller id.
    """
    statement = (
        select(recon_break, attempt.c.charge_id, attempt.c.currency)
        .outerjoin(attempt, attempt.c.invoice_number == recon_break.c.invoice_number)
        .where(recon_break.c.profile == profile, recon_break.c.state.in_(states))
    )
    if before is not None:
        statement = statement.where(recon_break.c.break_id < before)
    found = connection.execute(statement.order_by(recon_break.c.break_id.desc()).limit(rows))
    return [dict(row) for row in found.mappings()]


def quarantine_listed(
    connection: Connection, profile: str, after: str | None = None, rows: int = PAGE_ROWS
) -> list[Row]:
    """A profile's quarantined charges by id, each with the day since when and what the last run read.

    Args:
        after: Only those whose id comes later.
    """
    last = (
        select(
            quarantined_charge.c.run_id,
            quarantined_charge.c.billing_source,
            quarantined_charge.c.charge_id,
            func.max(quarantined_charge.c.customer_id).label("customer_id"),
            func.max(quarantined_charge.c.amount).label("amount"),
            func.max(quarantined_charge.c.currency).label("currency"),
        )
        .group_by(quarantined_charge.c.run_id, quarantined_charge.c.billing_source, quarantined_charge.c.charge_id)
        .subquery()
    )
    page = (
        select(quarantine.c.billing_source, quarantine.c.charge_id, quarantine.c.reasons, quarantine.c.last_run_id,
               run.c.business_date.label("since"))
        .join(run, run.c.run_id == quarantine.c.first_run_id)
        .where(quarantine.c.profile == profile, quarantine.c.state == "open")
    )  # fmt: skip
    if after is not None:
        page = page.where(quarantine.c.charge_id > after)
    listed = page.order_by(quarantine.c.charge_id).limit(rows).subquery()
    statement = (
        select(listed, last.c.customer_id, last.c.amount, last.c.currency)
        .outerjoin(
            last,
            (last.c.run_id == listed.c.last_run_id)
            & (last.c.billing_source == listed.c.billing_source)
            & (last.c.charge_id == listed.c.charge_id),
        )
        .order_by(listed.c.charge_id)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]
