"""What DOKU is asked about attempts of batches: which are due, and what was answered."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, insert, literal, or_, select, union_all

from include.domain.states import BatchState
from include.ledger.inbox_tables import status_question
from include.ledger.tables import attempt, batch, outcome

LONGEST_SPACING: Final = timedelta(days=1)
_DOUBLINGS: Final = 12


@dataclass(frozen=True)
class Spacing:
    """When an attempt is asked for: first some time after it is known to be unknown, then at growing distances."""

    first_after: timedelta
    again_after: timedelta

    def next_after(self, times: int) -> timedelta:
        """How long after the last question the next one is due, once it was put so many times (at least once)."""
        return min(self.again_after * (1 << min(times - 1, _DOUBLINGS)), LONGEST_SPACING)


@dataclass(frozen=True)
class Question:
    """An attempt that DOKU may be asked for; amount in smallest units, `times` how often it was."""

    invoice_number: str
    charge_id: str
    attempt_no: int
    amount: int
    currency: str
    execute_date: date
    batch_id: int
    times: int


@dataclass(frozen=True)
class Unanswered:
    """Questions that DOKU has not answered since its last answer: since when, and why the last one was not."""

    since: datetime
    words: str


def due_questions(
    connection: Connection,
    profile: str,
    now: datetime,
    spacing: Spacing,
    *,
    overdue: Sequence[int] = (),
    not_with: Collection[str] = (),
    limit: int,
) -> list[Question]:
    """The attempts to ask for now: those that wait longest for a question first.

    Args:
        overdue: Ids of batches whose report is late: their attempts without an outcome are asked for too.
        not_with: Codes of unknown outcomes that a status cannot settle (a part was approved).
        limit: At most so many.
    """
    known = _unknown(profile, now - spacing.first_after, not_with)
    silent = _silent(profile, overdue)
    found = union_all(known, silent).subquery()
    waiting = [
        (found.c.times == times) & (found.c.last <= now - spacing.next_after(times))
        for times in range(1, _DOUBLINGS + 1)
    ]
    longest = (found.c.times > _DOUBLINGS) & (found.c.last <= now - LONGEST_SPACING)
    columns = [found.c[name] for name in Question.__dataclass_fields__]
    statement = select(*columns).where(or_(found.c.times == 0, *waiting, longest))
    first = case((found.c.times == 0, 0), else_=1)
    statement = statement.order_by(first, found.c.last, found.c.invoice_number).limit(limit)
    return [Question(**row) for row in connection.execute(statement).mappings()]


def keep_answer(
    connection: Connection,
    profile: str,
    subject: str,
    at: datetime,
    *,
    http_status: int | None,
    answer: str | None,
    words: str,
) -> None:
    """Note that DOKU was asked, and what it answered; `answer`: its word, None for none."""
    values = {"profile": profile, "subject": subject, "asked_at": at, "http_status": http_status, "words": words}
    connection.execute(insert(status_question).values(**values, answer=answer[:20] if answer is not None else None))


def unanswered(connection: Connection, profile: str) -> Unanswered | None:
    """Whether DOKU's API has been silent, or said no to everything, since its last answer; None: it answered last.

    That it does not know a number (404) is an answer.
    """
    mine = status_question.c.profile == profile
    answered = or_(status_question.c.answer.is_not(None), func.coalesce(status_question.c.http_status, 0) == 404)
    last = select(func.max(status_question.c.question_id)).where(mine, answered).scalar_subquery()
    since = [mine, ~answered, status_question.c.question_id > func.coalesce(last, 0)]
    columns = (status_question.c.asked_at, status_question.c.words)
    by_age = select(*columns).where(*since).order_by(status_question.c.question_id)
    oldest = connection.execute(by_age.limit(1)).first()
    newest = connection.execute(
        select(*columns).where(*since).order_by(status_question.c.question_id.desc()).limit(1)
    ).first()
    return Unanswered(oldest.asked_at, newest.words) if oldest is not None and newest is not None else None


def _unknown(profile: str, before: datetime, not_with: Collection[str]) -> Select[*tuple[Any, ...]]:
    """Attempts whose strongest outcome is unknown, and was known to be so before that moment."""
    stronger = outcome.alias()
    decided = exists().where(
        stronger.c.invoice_number == outcome.c.invoice_number, stronger.c.strength > outcome.c.strength
    )
    tied = outcome.join(attempt, attempt.c.invoice_number == outcome.c.invoice_number)
    statement = select(*_columns()).select_from(tied)
    return statement.where(
        attempt.c.profile == profile,
        outcome.c.status == "unknown",
        outcome.c.decided_at <= before,
        func.coalesce(outcome.c.response_code, "").not_in(list(not_with)),
        ~decided,
    )


def _silent(profile: str, overdue: Sequence[int]) -> Select[*tuple[Any, ...]]:
    """Attempts of late batches that have no outcome at all."""
    answered = exists().where(outcome.c.invoice_number == attempt.c.invoice_number)
    tied = attempt.join(batch, batch.c.batch_id == attempt.c.batch_id)
    statement = select(*_columns()).select_from(tied)
    return statement.where(
        attempt.c.profile == profile,
        attempt.c.batch_id.in_(list(overdue)),
        batch.c.state == BatchState.DELIVERED,
        ~answered,
    )


def _columns() -> list[ColumnElement[Any]]:
    names = [name for name in Question.__dataclass_fields__ if name != "times"]
    asked = select(func.count()).where(status_question.c.subject == attempt.c.invoice_number)
    last = select(func.max(status_question.c.asked_at)).where(status_question.c.subject == attempt.c.invoice_number)
    times = func.coalesce(asked.correlate(attempt).scalar_subquery(), literal(0)).label("times")
    return [*(attempt.c[name] for name in names), times, last.correlate(attempt).scalar_subquery().label("last")]
