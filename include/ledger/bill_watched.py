"""How far DOKU's charges for bills have come: what the watchdog judges by."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, exists, func, select

from include.domain.states import CHARGED_BY_DOKU, UNRESOLVED, BreakKind, NotificationState, OutcomeStatus, RunKind
from include.ledger.bill_tables import amount_question, bill, bill_attempt, bill_outcome
from include.ledger.inbox_tables import notification
from include.ledger.tables import recon_break, run


@dataclass(frozen=True)
class Heap:
    """What lies about: how many, since when the oldest, how much in smallest units, and the names of the oldest."""

    count: int
    oldest: datetime
    amount: int = 0
    named: tuple[str, ...] = ()


def last_recurring(connection: Connection, profile: str) -> datetime | None:
    """When the last run of recurring that does anything began."""
    where = (run.c.profile == profile, run.c.kind == RunKind.RECURRING, run.c.dry_run.is_(False))
    found: datetime | None = connection.scalar(select(func.max(run.c.opened_at)).where(*where))
    return found


def charged_bills(connection: Connection, profile: str) -> int:
    """How many bills DOKU charges."""
    where = (bill.c.profile == profile, bill.c.state.in_(CHARGED_BY_DOKU))
    return int(connection.scalar(select(func.count()).select_from(bill).where(*where)) or 0)


def inbox_heap(connection: Connection, profile: str, state: NotificationState, name: int) -> Heap | None:
    """Notifications in a state."""
    n = notification.c
    where = (n.profile == profile, n.state == state)
    count, oldest = connection.execute(select(func.count(), func.min(n.received_at)).where(*where)).one()
    if not count:
        return None
    named = select(n.notification_id).where(*where).order_by(n.notification_id).limit(name)
    return Heap(int(count), oldest, named=tuple(str(one) for one in connection.scalars(named)))


def break_heap(connection: Connection, profile: str, kind: BreakKind) -> Heap | None:
    """Breaks of a kind that nobody has resolved."""
    k = recon_break.c
    columns = (func.count(), func.min(k.opened_at), func.coalesce(func.sum(k.amount), 0))
    where = (k.profile == profile, k.kind == kind, k.state.in_(UNRESOLVED))
    count, oldest, amount = connection.execute(select(*columns).where(*where)).one()
    return Heap(int(count), oldest, int(amount)) if count else None


def unknown_heap(connection: Connection, profile: str, name: int) -> Heap | None:
    """DOKU's transactions whose outcome is unknown."""
    o, a = bill_outcome.c, bill_attempt.c
    stronger = bill_outcome.alias()
    known = exists().where(
        stronger.c.profile == o.profile, stronger.c.reference == o.reference, stronger.c.strength > o.strength
    )
    joined = bill_outcome.join(bill_attempt, (a.profile == o.profile) & (a.reference == o.reference))
    where = (o.profile == profile, o.status == OutcomeStatus.UNKNOWN, ~known)
    counted = select(func.count(), func.min(a.first_seen_at)).select_from(joined).where(*where)
    count, oldest = connection.execute(counted).one()
    if not count:
        return None
    by_age = select(o.reference).select_from(joined).where(*where).order_by(a.first_seen_at, o.reference).limit(name)
    return Heap(int(count), oldest, named=tuple(connection.scalars(by_age)))


def unanswered_heap(connection: Connection, profile: str, first: date, name: int) -> Heap | None:
    """DOKU's questions for amounts of days from `first` on that had no answer."""
    q = amount_question.c
    where = (q.profile == profile, q.expected_on >= first, q.amount.is_(None))
    count, oldest = connection.execute(select(func.count(), func.min(q.asked_at)).where(*where)).one()
    if not count:
        return None
    named = select(q.billing_number).where(*where).order_by(q.asked_at, q.billing_number).limit(name)
    return Heap(int(count), oldest, named=tuple(connection.scalars(named)))
