"""Charges that get no further attempt."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, func, null, select, text

from include.domain.states import RunKind, RunState
from include.ledger.events import Note, add_decision
from include.ledger.once import insert_new
from include.ledger.plans import cancel_plan_of_closed
from include.ledger.tables import attempt, batch, closed_charge, quarantined_charge, run, run_charge

_LIVE: Final = """
    SELECT a.invoice_number FROM attempt a
    WHERE a.billing_source = :billing_source AND a.charge_id = :charge_id
      AND coalesce((SELECT max(o.strength) FROM outcome o WHERE o.invoice_number = a.invoice_number), 0) IN (0, 1)
    ORDER BY a.attempt_no DESC
"""

CANCELLED: Final = "cancelled"
"""Why a charge is closed that a person cancelled."""

_COLLECTED: Final = """
    SELECT a.invoice_number FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.billing_source = :billing_source AND a.charge_id = :charge_id AND o.status IN ('paid', 'reversed')
    ORDER BY a.attempt_no
"""


@dataclass(frozen=True)
class Listing:
    """What a charge was when it was last seen; nothing where it never was."""

    amount: int | None = None
    due_date: date | None = None
    customer_id: str | None = None


def live_attempt(connection: Connection, billing_source: str, charge_id: str) -> str | None:
    """The invoice number of an attempt of the charge that may still be charged, if there is one."""
    found = connection.execute(text(_LIVE), {"billing_source": billing_source, "charge_id": charge_id}).first()
    return str(found.invoice_number) if found else None


def collected_by(connection: Connection, billing_source: str, charge_id: str) -> str | None:
    """The invoice number of the attempt that the charge was paid by, if it was (also where that was taken back)."""
    found = connection.execute(text(_COLLECTED), {"billing_source": billing_source, "charge_id": charge_id}).first()
    return str(found.invoice_number) if found else None


def last_listing(connection: Connection, billing_source: str, profile: str, charge_id: str) -> Listing:
    """The charge as it was last seen: frozen by an attempt, quarantined, or passed over by the profile's last run."""
    tried = (
        select(batch.c.run_id, attempt.c.amount, attempt.c.due_date, attempt.c.customer_id)
        .join(batch, batch.c.batch_id == attempt.c.batch_id)
        .where(attempt.c.billing_source == billing_source, attempt.c.charge_id == charge_id)
        .order_by(attempt.c.attempt_no.desc())
    )
    rejected = (
        select(*(quarantined_charge.c[name] for name in ("run_id", "amount", "due_date", "customer_id")))
        .where(quarantined_charge.c.billing_source == billing_source, quarantined_charge.c.charge_id == charge_id)
        .order_by(quarantined_charge.c.run_id.desc())
    )
    last_run = select(func.max(run.c.run_id)).where(
        run.c.profile == profile, run.c.kind == RunKind.SUBMIT, run.c.state != RunState.OPEN
    )
    passed_over = select(
        run_charge.c.run_id, run_charge.c.amount, null().label("due_date"), run_charge.c.customer_id
    ).where(run_charge.c.run_id == last_run.scalar_subquery(), run_charge.c.charge_id == charge_id)
    rows = [connection.execute(statement.limit(1)).first() for statement in (tried, rejected, passed_over)]
    found = [row for row in rows if row is not None]
    if not found:
        return Listing()
    newest = max(found, key=lambda row: int(row.run_id))
    same = [row for row in found if (row.amount, row.customer_id) == (newest.amount, newest.customer_id)]
    due_date = next((row.due_date for row in same if row.due_date), None)  # of passed over rows it is not kept
    return Listing(newest.amount or None, due_date, newest.customer_id or None)


def close_charge(
    connection: Connection,
    *,
    billing_source: str,
    profile: str,
    charge_id: str,
    reason: str,
    listing: Listing,
    note: Note,
    words: str,
) -> bool:
    """Close a charge for good, and end its plan. False when it is closed already."""
    values = {
        "billing_source": billing_source,
        "profile": profile,
        "charge_id": charge_id,
        "reason": reason,
        "closed_by": note.actor,
        "closed_at": note.at,
        "words": words,
        "amount": listing.amount,
        "due_date": listing.due_date,
        "customer_id": listing.customer_id,
    }
    if not insert_new(connection, closed_charge, [values]):
        return False
    cancel_plan_of_closed(connection, billing_source, charge_id, note.at)
    add_decision(connection, profile, "cancel" if reason == CANCELLED else "close", charge_id, note)
    return True
