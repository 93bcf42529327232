"""By when each stage has to be reached, and when the watchdogs looked: what the watchdog keeps for itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.watch import Stage
from include.ledger.once import insert_new
from include.ledger.tables import expectation, watch_look


@dataclass(frozen=True)
class Expected:
    """An expectation that is not met; `set_at` is when it was first had."""

    stage: Stage
    subject: str
    expected_by: datetime
    set_at: datetime


def expect(connection: Connection, profile: str, wanted: Sequence[tuple[Stage, str, datetime]], now: datetime) -> None:
    """Set what is expected, once: what was set before keeps its time, whatever the profile says by now."""
    rows = [
        {"profile": profile, "stage": stage, "subject": subject, "expected_by": by, "set_at": now}
        for stage, subject, by in wanted
    ]
    if rows:
        insert_new(connection, expectation, rows)


def expect_again(connection: Connection, profile: str, stage: Stage, subject: str, by: datetime, now: datetime) -> None:
    """The same for what may be expected several times over: one that was met before begins anew."""
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {"profile": profile, "stage": stage, "subject": subject, "expected_by": by, "set_at": now}
    statement = insert_for(expectation).values(values)
    anew = {"expected_by": by, "set_at": now, "met_at": None}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["profile", "stage", "subject"], set_=anew, where=expectation.c.met_at.is_not(None)
        )
    )


def meet(connection: Connection, profile: str, stage: Stage, subject: str, now: datetime) -> None:
    """Note that a stage was reached."""
    where = (expectation.c.profile == profile, expectation.c.stage == stage, expectation.c.subject == subject)
    connection.execute(update(expectation).where(*where, expectation.c.met_at.is_(None)).values(met_at=now))


def unmet(connection: Connection, profile: str) -> list[Expected]:
    """A profile's expectations that are not met, the earliest first."""
    columns = (expectation.c.stage, expectation.c.subject, expectation.c.expected_by, expectation.c.set_at)
    where = (expectation.c.profile == profile, expectation.c.met_at.is_(None))
    rows = connection.execute(select(*columns).where(*where).order_by(expectation.c.expected_by))
    return [Expected(Stage(row.stage), row.subject, row.expected_by, row.set_at) for row in rows]


def note_look(connection: Connection, profile: str, watcher: str, now: datetime) -> None:
    """That a watchdog has looked."""
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {"profile": profile, "watcher": watcher, "first_at": now, "last_at": now}
    statement = insert_for(watch_look).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["profile", "watcher"], set_={"last_at": now}))


def looks(connection: Connection, profile: str) -> dict[str, tuple[datetime, datetime]]:
    """When each watchdog looked at a profile, first and last."""
    rows = connection.execute(select(watch_look).where(watch_look.c.profile == profile))
    return {row.watcher: (row.first_at, row.last_at) for row in rows}
