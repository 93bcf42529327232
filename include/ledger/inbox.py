"""The inbox: DOKU's notifications, kept raw and once by their content, and a count of what was refused.

Taking one in is one statement, so that it needs no transaction of its own and holds no lock between two steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.errors import NotAllowed
from include.domain.states import NotificationKind, NotificationState
from include.ledger.inbox_tables import notification, refused_notification

EVERYBODY: Final = ""
"""The profile and the kind under which requests are counted that name none of ours."""


@dataclass(frozen=True)
class Arrived:
    """A notification as it is put into the inbox.

    Attributes:
        content_digest: SHA-256 (hex) of the body.
        request_id: DOKU's Request-Id; None where the dialect has none.
        headers: JSON text: what the signature covers beside the body, and the signature.
        sent_at: Request-Timestamp, if there is one.
        state, result: What it is from the start: `received`, or `done` for a question that is answered at once.
    """

    profile: str
    kind: NotificationKind
    content_digest: str
    body: bytes = field(repr=False)
    received_at: datetime
    content_type: str | None = None
    headers: str = "{}"
    request_id: str | None = None
    sent_at: datetime | None = None
    state: NotificationState = NotificationState.RECEIVED
    result: str | None = None


@dataclass(frozen=True)
class Waiting:
    """A notification of the inbox."""

    notification_id: int
    profile: str
    kind: NotificationKind
    content_type: str | None
    body: bytes | None = field(repr=False)
    sent_at: datetime | None
    received_at: datetime
    last_at: datetime
    request_id: str | None = None


@dataclass(frozen=True)
class RefusedCount:
    """How often requests were refused for one reason on one day (UTC)."""

    profile: str
    kind: str
    reason: str
    day: date
    count: int
    last_at: datetime


@dataclass(frozen=True)
class Pile:
    """How many notifications of a kind are in a state, since when, and until when."""

    kind: str
    state: str
    count: int
    oldest: datetime
    newest: datetime
    repeats: int


def store(connection: Connection, arrived: Arrived) -> tuple[int, bool]:
    """Put a notification into the inbox; the same content again is counted, and stays what it has become.

    But for what is said of a registration without a Request-Id, as in the older interface, or under another one: where
    it tells no time, a second result may be the same bytes as the first. That waits again, and whoever takes it in sees
    whether it is another one.

    Returns:
        Its id, and whether it is new.
    """
    row = {
        "profile": arrived.profile, "kind": arrived.kind, "content_digest": arrived.content_digest,
        "request_id": arrived.request_id, "content_type": arrived.content_type, "headers": arrived.headers,
        "body": arrived.body, "size": len(arrived.body), "sent_at": arrived.sent_at,
        "received_at": arrived.received_at, "times": 1, "last_at": arrived.received_at, "state": arrived.state,
        "result": arrived.result,
    }  # fmt: skip
    stored = connection.execute(_storing(connection.dialect.name), row).one()
    return stored.notification_id, stored.times == 1


def waiting(
    connection: Connection, profile: str, limit: int, kinds: Sequence[NotificationKind] = tuple(NotificationKind)
) -> list[Waiting]:
    """What is not processed yet, in the order in which it came first.

    Args:
        limit: At most so many.
        kinds: Only these.
    """
    table = notification.c
    statement = (
        select(
            table.notification_id, table.profile, table.kind, table.content_type, table.body, table.sent_at,
            table.received_at, table.last_at, table.request_id,
        )
        .where(table.profile == profile, table.state == NotificationState.RECEIVED, table.kind.in_(kinds))
        .order_by(table.notification_id)
        .limit(limit)
    )  # fmt: skip
    return [
        Waiting(**{**row, "kind": NotificationKind(row["kind"])}) for row in connection.execute(statement).mappings()
    ]


def newest_waiting(connection: Connection, profile: str, kinds: Sequence[NotificationKind]) -> int:
    """The highest id of those that are not processed yet; 0: there is none."""
    table = notification.c
    statement = select(func.max(table.notification_id)).where(
        table.profile == profile, table.state == NotificationState.RECEIVED, table.kind.in_(kinds)
    )
    return connection.execute(statement).scalar() or 0


def conclude(
    connection: Connection,
    notification_id: int,
    state: NotificationState,
    words: str,
    run_id: int | None,
    at: datetime,
) -> bool:
    """Say what became of a notification that waits.

    Args:
        words: For people; no token and no card number.

    Returns:
        False when it did not wait any more: another copy of the task has concluded it.
    """
    statement = (
        update(notification)
        .where(
            notification.c.notification_id == notification_id,
            notification.c.state == NotificationState.RECEIVED,
        )
        .values(state=state, result=words, processed_at=at, run_id=run_id)
        .returning(notification.c.notification_id)
    )
    return connection.execute(statement).first() is not None


def wait_again(connection: Connection, profile: str, notification_id: int) -> str:
    """Let a failed notification be processed anew; its kind.

    Raises:
        NotAllowed: There is none of that number, it did not fail, or its content was removed.
    """
    mine = (notification.c.notification_id == notification_id, notification.c.profile == profile)
    changed = connection.execute(
        update(notification)
        .where(*mine, notification.c.state == NotificationState.FAILED, notification.c.body.is_not(None))
        .values(state=NotificationState.RECEIVED, result=None, processed_at=None, run_id=None)
        .returning(notification.c.kind)
    ).first()
    if changed is not None:
        return str(changed.kind)
    state = connection.execute(select(notification.c.state).where(*mine)).scalar()
    if state is None:
        raise NotAllowed(f"Profile {profile} has no notification {notification_id}. `inbox` lists those that failed.")
    if state == NotificationState.FAILED:
        raise NotAllowed(f"The content of notification {notification_id} was removed; let DOKU send it again.")
    raise NotAllowed(f"Notification {notification_id} is {state}; only one that failed is taken in again.")


def count_refused(connection: Connection, counts: Sequence[RefusedCount]) -> None:
    """Add to the counts of refused requests, in one statement. Each key may stand in `counts` once."""
    if not counts:
        return
    statement = _insert_for(connection.dialect.name)(refused_notification).values([one.__dict__ for one in counts])
    more = {
        "count": refused_notification.c.count + statement.excluded.count,
        "last_at": statement.excluded.last_at,
    }
    keys = [column.name for column in refused_notification.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=more))


def piles(connection: Connection, profile: str) -> list[Pile]:
    """How many notifications there are, by kind and state."""
    table = notification.c
    statement = (
        select(
            table.kind, table.state, func.count().label("count"), func.min(table.received_at).label("oldest"),
            func.max(table.last_at).label("newest"), func.sum(table.times - 1).label("repeats"),
        )
        .where(table.profile == profile)
        .group_by(table.kind, table.state)
        .order_by(table.kind, table.state)
    )  # fmt: skip
    return [Pile(**{**row, "repeats": int(row["repeats"])}) for row in connection.execute(statement).mappings()]


def listed(
    connection: Connection, profile: str, states: Sequence[str], rows: int, before: int | None = None
) -> list[Mapping[str, Any]]:
    """Notifications in some states, newest first; never the body and never a header.

    Args:
        before: Only those with a smaller id.
    """
    table = notification.c
    statement = (
        select(
            table.notification_id, table.kind, table.state, table.size, table.times, table.received_at, table.last_at,
            table.result,
        )
        .where(table.profile == profile, table.state.in_(states))
        .order_by(table.notification_id.desc())
        .limit(rows)
    )  # fmt: skip
    if before is not None:
        statement = statement.where(table.notification_id < before)
    return [dict(row) for row in connection.execute(statement).mappings()]


def same_request(connection: Connection, profile: str, since: datetime, rows: int) -> list[tuple[int, ...]]:
    """Notifications that share a Request-Id though their contents differ, which DOKU says cannot be: their ids.

    Args:
        since: Only such of which one came since then.
        rows: At most so many groups, the newest first.
    """
    table = notification.c
    shared = (
        select(table.request_id)
        .where(table.profile == profile, table.request_id.is_not(None))
        .group_by(table.request_id)
        .having(func.count() > 1, func.max(table.received_at) >= since)
        .order_by(func.max(table.notification_id).desc())
        .limit(rows)
    )
    groups: list[tuple[int, ...]] = []
    for request_id in connection.execute(shared).scalars().all():
        ids = select(table.notification_id).where(table.profile == profile, table.request_id == request_id)
        groups.append(tuple(connection.execute(ids.order_by(table.notification_id)).scalars()))
    return groups


def refused_since(connection: Connection, profile: str, since: date) -> list[RefusedCount]:
    """What was refused since a day, for a profile and for requests that named none (profile ''), newest first."""
    table = refused_notification.c
    statement = (
        select(*refused_notification.columns)
        .where(table.profile.in_((profile, EVERYBODY)), table.day >= since)
        .order_by(table.day.desc(), table.profile, table.kind, table.reason)
    )
    return [RefusedCount(**row) for row in connection.execute(statement).mappings()]


@cache
def _storing(dialect: str) -> Any:
    """The statement of `store`; putting it together takes longer than carrying it out."""
    statement = _insert_for(dialect)(notification)
    timeless = and_(
        notification.c.kind.in_((NotificationKind.REGISTRATION, NotificationKind.CARD_UPDATE)),
        or_(notification.c.request_id.is_(None), notification.c.request_id != statement.excluded.request_id),
    )
    again = {
        "times": notification.c.times + 1,
        "last_at": statement.excluded.last_at,
        "state": case((timeless, NotificationState.RECEIVED), else_=notification.c.state),
        # Housekeeping may have removed it since.
        "body": case((timeless, statement.excluded.body), else_=notification.c.body),
    }
    return statement.on_conflict_do_update(index_elements=("profile", "kind", "content_digest"), set_=again).returning(
        notification.c.notification_id, notification.c.times
    )


def _insert_for(dialect: str) -> Any:
    return postgresql.insert if dialect == "postgresql" else sqlite.insert
