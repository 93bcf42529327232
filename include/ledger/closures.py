"""Charges that get no further attempt."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects import postgresql, sqlite

from include.ledger.events import Note, add_decision
from include.ledger.tables import attempt, closed_charge, quarantined_charge

_LIVE: Final = """
    SELECT a.invoice_number FROM attempt a
    WHERE a.billing_source = :billing_source AND a.charge_id = :charge_id
      AND coalesce((SELECT max(o.strength) FROM outcome o WHERE o.invoice_number = a.invoice_number), 0) IN (0, 1)
    ORDER BY a.attempt_no DESC
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


def last_listing(connection: Connection, billing_source: str, charge_id: str) -> Listing:
    """The charge as its last attempt froze it, or as it was last quarantined."""
    for table, newest in ((attempt, attempt.c.attempt_no), (quarantined_charge, quarantined_charge.c.run_id)):
        statement = (
            select(table.c.amount, table.c.due_date, table.c.customer_id)
            .where(table.c.billing_source == billing_source, table.c.charge_id == charge_id)
            .order_by(newest.desc())
        )
        found = connection.execute(statement).first()
        if found is not None:
            return Listing(found.amount or None, found.due_date, found.customer_id)
    return Listing()


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
    """Close a charge for good. False when it is closed already."""
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
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
    if connection.execute(insert_for(closed_charge).values(values).on_conflict_do_nothing()).rowcount != 1:
        return False
    add_decision(connection, profile, "cancel", charge_id, note)
    return True
