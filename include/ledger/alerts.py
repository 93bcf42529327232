"""Alerts and what was told of them: one open row for each matter, one notice for each level and channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, update

from include.domain.watch import Level, Matter, OpenAlert
from include.ledger.once import insert_new
from include.ledger.tables import alert, alert_notice

TAKEN_FOR: Final = timedelta(minutes=10)
"""After so long a notice that a watchdog began to send is sent by another: the first one has died."""


@dataclass(frozen=True)
class Due:
    """A notice that is to be sent, and the alert that it is about."""

    alert_id: int
    level: int
    channel: str
    kind: str
    subject: str
    episode: int
    late_since: datetime
    words: str
    action: str
    runbook: str


@dataclass(frozen=True)
class Shown:
    """An open alert, for a person."""

    kind: str
    subject: str
    level: int
    late_since: datetime
    words: str
    action: str
    runbook: str


def open_alerts(connection: Connection, profile: str) -> list[OpenAlert]:
    """A profile's open alerts, oldest first."""
    columns = [alert.c[name] for name in OpenAlert.__dataclass_fields__]
    return [OpenAlert(*row) for row in connection.execute(select(*columns).where(*_open(profile)).order_by(_FIRST))]


def shown_alerts(connection: Connection, profile: str) -> list[Shown]:
    """The same with their words."""
    columns = [alert.c[name] for name in Shown.__dataclass_fields__]
    return [Shown(*row) for row in connection.execute(select(*columns).where(*_open(profile)).order_by(_FIRST))]


def open_alert(connection: Connection, profile: str, matter: Matter, level: Level, now: datetime) -> int:
    """Open an alert; its id. In a transaction that has locked the profile's alerts."""
    same = (alert.c.profile == profile, alert.c.kind == matter.kind, alert.c.subject == matter.subject)
    before = connection.scalar(select(func.coalesce(func.max(alert.c.episode), 0)).where(*same))
    values = {
        "profile": profile,
        "kind": matter.kind,
        "subject": matter.subject,
        "episode": int(before or 0) + 1,
        "level": level,
        "opened_at": now,
        "raised_at": now,
        **_words(matter),
    }
    return int(connection.execute(insert(alert).values(values).returning(alert.c.alert_id)).scalar_one())


def keep_alert(connection: Connection, known: OpenAlert, matter: Matter, level: Level, now: datetime) -> None:
    """Take over the matter's present words, and its level if that has risen."""
    raised = {"level": level, "raised_at": now} if level > known.level else {}
    connection.execute(update(alert).where(alert.c.alert_id == known.alert_id).values(**_words(matter), **raised))


def clear_alert(connection: Connection, known: OpenAlert, now: datetime) -> None:
    """The matter is over."""
    connection.execute(update(alert).where(alert.c.alert_id == known.alert_id).values(cleared_at=now))


def add_notices(connection: Connection, alert_id: int, level: Level, channels: Sequence[str], now: datetime) -> None:
    """People are to be told of a level, once for each channel."""
    rows = [{"alert_id": alert_id, "level": level, "channel": channel, "made_at": now} for channel in channels]
    if rows:
        insert_new(connection, alert_notice, rows)


def channels_told(connection: Connection, alert_id: int) -> list[str]:
    """The channels that have, or get, a notice of an alert."""
    statement = select(alert_notice.c.channel).where(alert_notice.c.alert_id == alert_id).distinct()
    return sorted(connection.scalars(statement))


def due_notices(connection: Connection, profile: str, now: datetime) -> list[Due]:
    """The notices of a profile that nobody has sent and nobody is sending, in the order in which they were made."""
    free = or_(alert_notice.c.taken_at.is_(None), alert_notice.c.taken_at < now - TAKEN_FOR)
    names = [name for name in Due.__dataclass_fields__ if name not in ("alert_id", "level", "channel")]
    statement = (
        select(
            alert_notice.c.alert_id, alert_notice.c.level, alert_notice.c.channel, *(alert.c[name] for name in names)
        )
        .join(alert, alert.c.alert_id == alert_notice.c.alert_id)
        .where(alert.c.profile == profile, alert_notice.c.sent_at.is_(None), free)
        .order_by(alert_notice.c.made_at, alert_notice.c.alert_id, alert_notice.c.level.desc(), alert_notice.c.channel)
    )
    return [Due(*row) for row in connection.execute(statement)]


def take_notice(connection: Connection, due: Due, now: datetime) -> bool:
    """Make this watchdog the one that sends it. False: the other one was first."""
    free = or_(alert_notice.c.taken_at.is_(None), alert_notice.c.taken_at < now - TAKEN_FOR)
    statement = update(alert_notice).where(*_of(due), alert_notice.c.sent_at.is_(None), free)
    return connection.execute(statement.values(taken_at=now)).rowcount == 1


def notice_sent(connection: Connection, due: Due, now: datetime) -> None:
    """It was taken by the mail server or the webhook."""
    connection.execute(update(alert_notice).where(*_of(due)).values(sent_at=now, failure=None))


def notice_failed(connection: Connection, due: Due, why: str) -> None:
    """It could not be sent; the next look tries again."""
    connection.execute(update(alert_notice).where(*_of(due)).values(taken_at=None, failure=why))


_FIRST: Final = alert.c.alert_id


def _open(profile: str) -> tuple[ColumnElement[bool], ...]:
    return alert.c.profile == profile, alert.c.cleared_at.is_(None)


def _of(due: Due) -> tuple[ColumnElement[bool], ...]:
    return (
        alert_notice.c.alert_id == due.alert_id,
        alert_notice.c.level == due.level,
        alert_notice.c.channel == due.channel,
    )


def _words(matter: Matter) -> dict[str, object]:
    return {
        "late_since": matter.late_since,
        "words": matter.words,
        "action": matter.action,
        "runbook": matter.runbook,
    }
