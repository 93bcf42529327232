"""Holds: a person's "not now" on a charge, a customer, a batch or a whole profile."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, exists, insert, or_, select, update

from include.ledger.batches import Batch
from include.ledger.events import Note, add_decision
from include.ledger.store import lock
from include.ledger.tables import attempt, hold

SCOPES: Final = ("charge", "customer", "batch", "profile")


@dataclass(frozen=True)
class Hold:
    """A hold that is in force."""

    hold_id: int
    scope: str
    subject: str
    placed_by: str
    placed_at: datetime
    reason: str

    @property
    def words(self) -> str:
        """For a message."""
        return f"{self.scope} {self.subject} is held by {self.placed_by}: {self.reason}"


_COLUMNS: Final = [hold.c[name] for name in Hold.__dataclass_fields__]


def lock_holds(connection: Connection, billing_source: str) -> None:
    """Holds of a billing source are placed, lifted and obeyed one after the other, until the transaction ends."""
    lock(connection, f"holds:{billing_source}")


def place_hold(
    connection: Connection, *, billing_source: str, profile: str, scope: str, subject: str, note: Note, reason: str
) -> bool:
    """Place a hold. False when the same subject is held already."""
    lock_holds(connection, billing_source)
    if any((one.scope, one.subject) == (scope, subject) for one in active_holds(connection, billing_source)):
        return False
    values = {
        "billing_source": billing_source,
        "profile": profile,
        "scope": scope,
        "subject": subject,
        "placed_by": note.actor,
        "placed_at": note.at,
        "reason": reason,
    }
    connection.execute(insert(hold).values(values))
    add_decision(connection, profile, "hold", f"{scope} {subject}", note)
    return True


def lift_hold(
    connection: Connection, *, billing_source: str, profile: str, scope: str, subject: str, note: Note, reason: str
) -> bool:
    """End a hold. False when there is none."""
    lock_holds(connection, billing_source)
    where = (
        hold.c.billing_source == billing_source,
        hold.c.scope == scope,
        hold.c.subject == subject,
        hold.c.released_at.is_(None),
    )
    values = {"released_by": note.actor, "released_at": note.at, "release_reason": reason}
    if connection.execute(update(hold).where(*where).values(**values)).rowcount == 0:
        return False
    add_decision(connection, profile, "lift", f"{scope} {subject}", note)
    return True


def active_holds(connection: Connection, billing_source: str) -> list[Hold]:
    """The holds of a billing source that are in force, oldest first."""
    where = (hold.c.billing_source == billing_source, hold.c.released_at.is_(None))
    return [Hold(*row) for row in connection.execute(select(*_COLUMNS).where(*where).order_by(hold.c.hold_id))]


def holds_on_batch(connection: Connection, batch: Batch) -> list[Hold]:
    """The holds that stand in the way of a batch: on itself, on its profile, on a charge or a customer in it."""
    inside = exists().where(
        attempt.c.batch_id == batch.batch_id,
        or_(
            and_(hold.c.scope == "charge", attempt.c.charge_id == hold.c.subject),
            and_(hold.c.scope == "customer", attempt.c.customer_id == hold.c.subject),
        ),
    )
    where = (
        hold.c.billing_source == batch.billing_source,
        hold.c.released_at.is_(None),
        or_(
            and_(hold.c.scope == "batch", hold.c.subject == batch.file_name),
            and_(hold.c.scope == "profile", hold.c.subject == batch.profile),
            and_(hold.c.scope.in_(["charge", "customer"]), inside),
        ),
    )
    return [Hold(*row) for row in connection.execute(select(*_COLUMNS).where(*where).order_by(hold.c.hold_id))]
