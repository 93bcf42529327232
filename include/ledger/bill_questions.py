"""Which of DOKU's charges to ask for: what did not come, what is unknown, what was declined and may be tried again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, exists, func, select

from include.domain.bill_judgement import Expected
from include.domain.states import OutcomeStatus
from include.ledger.bill_tables import bill, bill_attempt, bill_charge, bill_outcome
from include.ledger.inbox_tables import status_question
from include.ledger.status_questions import Spacing

_CHARGE: Final = [bill_charge.c[name] for name in Expected.__dataclass_fields__]
_OF_CHARGE: Final = and_(
    bill_attempt.c.billing_source == bill_charge.c.billing_source,
    bill_attempt.c.billing_number == bill_charge.c.billing_number,
    bill_attempt.c.expected_on == bill_charge.c.expected_on,
)
_OUTCOME_OF: Final = and_(
    bill_outcome.c.profile == bill_attempt.c.profile, bill_outcome.c.reference == bill_attempt.c.reference
)


@dataclass(frozen=True)
class Silent:
    """An expected charge without an answer; `over_at`: when its bill was cancelled or ended, if it was."""

    charge: Expected
    over_at: datetime | None


@dataclass(frozen=True)
class Asked:
    """How often DOKU was asked for a subject, and when last; None: never."""

    times: int = 0
    last: datetime | None = None

    def is_due(self, now: datetime, spacing: Spacing) -> bool:
        """Whether it may be asked for again."""
        return self.last is None or self.last <= now - spacing.next_after(self.times)


@dataclass(frozen=True)
class Known:
    """A transaction whose outcome is unknown."""

    reference: str
    billing_number: str
    currency: str


def silent_charges(connection: Connection, profile: str, first: date, last: date) -> list[Silent]:
    """Charges expected from `first` to `last` of which nothing was said, the oldest first."""
    joined = bill_charge.join(
        bill,
        and_(
            bill.c.billing_source == bill_charge.c.billing_source, bill.c.billing_number == bill_charge.c.billing_number
        ),
    )
    where = (
        bill_charge.c.profile == profile,
        bill_charge.c.expected_on.between(first, last),
        ~exists().where(_OF_CHARGE),
    )
    statement = select(*_CHARGE, bill.c.over_at).select_from(joined).where(*where)
    rows = connection.execute(statement.order_by(bill_charge.c.expected_on, bill_charge.c.billing_number)).mappings()
    return [
        Silent(Expected(**{name: row[name] for name in Expected.__dataclass_fields__}), row["over_at"]) for row in rows
    ]


def declined_charges(connection: Connection, profile: str, first: date, last: date) -> list[Expected]:
    """Charges expected from `first` to `last` of which DOKU has said nothing but that they were declined."""
    other = exists().where(_OF_CHARGE, _OUTCOME_OF, bill_outcome.c.status != OutcomeStatus.DECLINED)
    declined = exists().where(_OF_CHARGE, _OUTCOME_OF, bill_outcome.c.status == OutcomeStatus.DECLINED)
    where = (bill_charge.c.profile == profile, bill_charge.c.expected_on.between(first, last), declined, ~other)
    statement = select(*_CHARGE).where(*where).order_by(bill_charge.c.expected_on, bill_charge.c.billing_number)
    return [Expected(**row) for row in connection.execute(statement).mappings()]


def unknown_transactions(connection: Connection, profile: str, before: datetime) -> list[Known]:
    """Transactions that are unknown, and were said to be before a moment; DOKU's own references only."""
    stronger = bill_outcome.alias()
    known = exists().where(
        stronger.c.profile == bill_outcome.c.profile, stronger.c.reference == bill_outcome.c.reference,
        stronger.c.strength > bill_outcome.c.strength,
    )  # fmt: skip
    where = (
        bill_outcome.c.profile == profile, bill_outcome.c.status == OutcomeStatus.UNKNOWN, ~known,
        bill_attempt.c.first_seen_at <= before,
    )  # fmt: skip
    columns = (bill_attempt.c.reference, bill_attempt.c.billing_number, bill_attempt.c.currency)
    statement = select(*columns).select_from(bill_outcome.join(bill_attempt, _OUTCOME_OF)).where(*where)
    rows = connection.execute(statement.order_by(bill_attempt.c.first_seen_at, bill_attempt.c.reference))
    return [Known(*row) for row in rows]


def asked_before(connection: Connection, profile: str, subjects: list[str]) -> dict[str, Asked]:
    """How often, and when last, DOKU was asked for some subjects."""
    found: dict[str, Asked] = {}
    for statement in _asked(profile, subjects):
        for row in connection.execute(statement):
            found[row.subject] = Asked(int(row.times), row.last)
    return found


def _asked(profile: str, subjects: list[str]) -> Iterator[Select[Any]]:
    q = status_question.c
    for start in range(0, len(subjects), 500):
        where = (q.profile == profile, q.subject.in_(subjects[start : start + 500]))
        counted = select(q.subject, func.count().label("times"), func.max(q.asked_at).label("last"))
        yield counted.where(*where).group_by(q.subject)
