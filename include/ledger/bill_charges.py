"""Charges that DOKU should make of bills: which are expected, set once, whoever asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, and_, func, select, update

from include.domain.bill_charges import charge_id_of
from include.domain.bill_expectation import BillLife
from include.domain.bill_judgement import Expected
from include.domain.bill_schedule import BillSchedule
from include.ledger.bill_tables import amount_question, bill, bill_attempt, bill_charge
from include.ledger.once import insert_new
from include.ledger.tables import recon_break

DOKU_MAY_CHARGE: Final = """
    (d.state IN ('active', 'cancelling')
     OR EXISTS (SELECT 1 FROM notification n
                WHERE n.profile = d.profile AND n.kind = 'registration' AND n.state = 'received')
     OR EXISTS (SELECT 1 FROM recon_break k
                JOIN bill_attempt t ON t.profile = k.profile AND t.reference = k.subject
                WHERE k.profile = d.profile AND k.kind = 'unexpected_charge' AND k.state <> 'resolved'
                  AND t.billing_number = d.billing_number))
"""
"""Of a bill `d`: DOKU charges it by itself (states.CHARGED_BY_DOKU), or may: its word on a registration is not taken in
yet, or it was charged though we know of no registration."""

_EXPECTED: Final = [bill_charge.c[name] for name in Expected.__dataclass_fields__]
_OF_BILL: Final = [
    bill.c[name]
    for name in (
        *("billing_number", "profile", "customer_id", "amount", "currency", "schedule", "schedule_on", "months"),
        *("starts_on", "ends_on", "schedule_since", "registered_at", "over_at"),
    )
]
_MANY: Final = 500


@dataclass(frozen=True)
class Terms:
    """Whose bills, and by which settings.

    Attributes:
        match_days: A charge belongs to the last expected day that is at most so many days before it.
        same_day_until: A bill registered before this local time is charged on that very day.
        at: Now.
    """

    profile: str
    billing_source: str
    zone: ZoneInfo
    match_days: int
    same_day_until: time
    at: datetime

    @property
    def today(self) -> date:
        """The merchant's day."""
        return self.at.astimezone(self.zone).date()


@dataclass(frozen=True)
class ChargedBill:
    """A bill, as far as its charges go; `life` None: DOKU never took it; `last_set` None: nothing was expected yet."""

    billing_number: str
    profile: str
    customer_id: str
    amount: int | None
    currency: str
    life: BillLife | None
    last_set: date | None = None


def charged_bill(connection: Connection, terms: Terms, billing_number: str) -> ChargedBill | None:
    """A bill of the billing source, whichever profile it belongs to."""
    found = list(_bills(connection, terms, bill.c.billing_number == billing_number))
    return found[0] if found else None


def expect_until(connection: Connection, terms: Terms, until: date) -> int:
    """Set what is expected of all of the profile's bills up to a day; how many charges are new. Safe to repeat."""
    rows: list[dict[str, Any]] = []
    done = 0
    conditions = (bill.c.profile == terms.profile, bill.c.registered_at.is_not(None))
    for one in list(_bills(connection, terms, *conditions)):
        rows += [_row(terms, one, day) for day in _days(one, until)]
        if len(rows) >= _MANY:
            done, rows = done + _insert(connection, terms, rows), []
    return done + _insert(connection, terms, rows)


def expected_of_all(connection: Connection, terms: Terms) -> Iterator[tuple[str, list[date]]]:
    """(billing number, all days that should be expected by today) of the profile's bills, from the register alone."""
    conditions = (bill.c.profile == terms.profile, bill.c.registered_at.is_not(None))
    for one in list(_bills(connection, terms, *conditions)):
        if one.life is not None:
            yield one.billing_number, list(one.life.expected_days(date.min, terms.today))


def days_ahead(connection: Connection, terms: Terms, first: date, last: date) -> dict[date, list[int | None]]:
    """The amounts that DOKU should charge on some days, by the register as it is; None: not known yet."""
    found: dict[date, list[int | None]] = {}
    conditions = (bill.c.profile == terms.profile, bill.c.registered_at.is_not(None))
    bills = [one for one in _bills(connection, terms, *conditions) if one.life is not None]
    answers = _answers(connection, terms, [one.billing_number for one in bills if one.amount is None])
    for one in bills:
        for day in one.life.expected_days(first, last) if one.life else ():
            found.setdefault(day, []).append(one.amount or answers.get((one.billing_number, day)))
    return found


def tie(connection: Connection, terms: Terms, billing_number: str, charged_on: date) -> tuple[Expected | None, str]:
    """The expected charge that a transaction belongs to, set if it was not yet; else None, and why not, in words."""
    found = charged_bill(connection, terms, billing_number)
    if found is None:
        return None, "but this ledger has no such bill"
    if found.profile != terms.profile:
        return None, f"but the bill belongs to profile {found.profile}"
    until = min(charged_on, terms.today + timedelta(days=1))
    set_before = _set_day_of(connection, terms, billing_number, until)
    if found.life is None and set_before is None:
        return None, "but DOKU has not registered the bill, as far as this ledger knows"
    possible = _day_of(found, set_before, until, terms.match_days)
    if possible is None:
        return None, ""
    if possible != set_before:
        # In order, and none left out: from the last day that is set the next look goes on.
        days = sorted({*_days(found, possible), possible})
        _insert(connection, terms, [_row(terms, found, day) for day in days])
    if found.amount is None:
        _fill(connection, terms, billing_number, possible)
    return find_charge(connection, terms.billing_source, billing_number, possible), ""


def _day_of(one: ChargedBill, set_before: date | None, until: date, match_days: int) -> date | None:
    """The day that a transaction belongs to. What was expected once stays so, whatever the bill has become since.

    Args:
        set_before: The last day up to `until` that is set, if it lies near enough.
    """
    possible = one.life.possible_day_of(until, match_days) if one.life is not None else None
    if set_before is None or possible is None or one.life is None:
        return set_before or possible
    is_new = one.last_set is None or possible > one.last_set or not any(one.life.expected_days(possible, possible))
    return max(set_before, possible) if is_new else set_before


def _set_day_of(connection: Connection, terms: Terms, billing_number: str, until: date) -> date | None:
    c = bill_charge.c
    where = (
        c.billing_source == terms.billing_source, c.billing_number == billing_number, c.profile == terms.profile,
        c.expected_on.between(until - timedelta(days=terms.match_days), until),
    )  # fmt: skip
    found: date | None = connection.scalar(select(func.max(c.expected_on)).where(*where))
    return found


def find_charge(connection: Connection, billing_source: str, billing_number: str, expected_on: date) -> Expected | None:
    """An expected charge."""
    where = (
        bill_charge.c.billing_source == billing_source, bill_charge.c.billing_number == billing_number,
        bill_charge.c.expected_on == expected_on,
    )  # fmt: skip
    row = connection.execute(select(*_EXPECTED).where(*where)).mappings().one_or_none()
    return Expected(**row) if row is not None else None


def fill_amounts(connection: Connection, terms: Terms) -> list[tuple[str, date]]:
    """Charges whose amount nobody knew have the one that DOKU was answered since; which (billing number and day)."""
    q, c = amount_question.c, bill_charge.c
    same = (q.billing_source == c.billing_source, q.billing_number == c.billing_number, q.expected_on == c.expected_on)
    where = (c.profile == terms.profile, c.amount.is_(None), q.amount.is_not(None))
    rows = connection.execute(
        select(c.billing_number, c.expected_on).join(amount_question, and_(*same)).where(*where)
    ).all()
    for row in rows:
        _fill(connection, terms, row.billing_number, row.expected_on)
    return [(row.billing_number, row.expected_on) for row in rows]


def _fill(connection: Connection, terms: Terms, billing_number: str, day: date) -> None:
    q, c = amount_question.c, bill_charge.c
    of_day = (q.billing_source == terms.billing_source, q.billing_number == billing_number, q.expected_on == day)
    answered = select(q.amount).where(*of_day, q.amount.is_not(None)).scalar_subquery()
    where = (
        c.billing_source == terms.billing_source, c.billing_number == billing_number, c.expected_on == day,
        c.amount.is_(None),
    )  # fmt: skip
    connection.execute(update(bill_charge).where(*where).values(amount=answered))


def tied_to_others(connection: Connection, terms: Terms) -> set[str]:
    """Transactions that may belong to a charge that was set since: to none, or to an earlier one."""
    a, c = bill_attempt.c, bill_charge.c
    same = and_(c.billing_source == a.billing_source, c.billing_number == a.billing_number)
    later = (c.profile == terms.profile, c.set_at >= terms.at, a.profile == terms.profile,
             a.charged_on >= c.expected_on, a.expected_on.is_(None) | (a.expected_on < c.expected_on))  # fmt: skip
    found = set(connection.scalars(select(a.reference).select_from(bill_attempt.join(bill_charge, same)).where(*later)))
    # Of a bill that is registered by now; on the day of its registration nothing is expected, and a charge is possible.
    known = and_(bill.c.billing_source == a.billing_source, bill.c.billing_number == a.billing_number)
    waiting = and_(
        recon_break.c.profile == terms.profile, recon_break.c.kind == "unexpected_charge",
        recon_break.c.subject == a.reference, recon_break.c.state != "resolved",
    )  # fmt: skip
    joined = bill_attempt.join(bill, known).join(recon_break, waiting)
    where = (a.profile == terms.profile, a.expected_on.is_(None), bill.c.registered_at.is_not(None))
    return found | set(connection.scalars(select(a.reference).select_from(joined).where(*where)))


def _bills(connection: Connection, terms: Terms, *conditions: Any) -> Iterator[ChargedBill]:
    same = and_(bill_charge.c.billing_source == bill.c.billing_source,
                bill_charge.c.billing_number == bill.c.billing_number)  # fmt: skip
    last = select(func.max(bill_charge.c.expected_on)).where(same).scalar_subquery().label("last_set")
    statement = select(*_OF_BILL, last).where(bill.c.billing_source == terms.billing_source, *conditions)
    for row in connection.execute(statement.order_by(bill.c.billing_number)).mappings():
        yield ChargedBill(
            billing_number=row["billing_number"], profile=row["profile"], customer_id=row["customer_id"],
            amount=row["amount"], currency=row["currency"], life=_life(terms, row), last_set=row["last_set"],
        )  # fmt: skip


def _life(terms: Terms, row: RowMapping) -> BillLife | None:
    if row["registered_at"] is None:
        return None
    schedule = BillSchedule.read(row["schedule"], row["schedule_on"], row["months"], row["starts_on"], row["ends_on"])
    since = row["schedule_since"]
    first = since.astimezone(terms.zone).date() if since is not None else date.min
    return BillLife(schedule, row["registered_at"], row["over_at"], terms.zone, terms.same_day_until, first)


def _days(one: ChargedBill, until: date) -> Iterator[date]:
    if one.life is not None:
        first = date.min if one.last_set is None else one.last_set + timedelta(days=1)
        yield from one.life.expected_days(first, until)


def _row(terms: Terms, one: ChargedBill, day: date) -> dict[str, Any]:
    return {
        "billing_source": terms.billing_source, "billing_number": one.billing_number, "expected_on": day,
        "profile": terms.profile, "charge_id": charge_id_of(one.billing_number, day), "customer_id": one.customer_id,
        "amount": one.amount, "currency": one.currency, "set_at": terms.at,
    }  # fmt: skip


def _insert(connection: Connection, terms: Terms, rows: list[dict[str, Any]]) -> int:
    """Insert what is not there; what DOKU was told to charge is the amount of a bill that varies."""
    done = 0
    for start in range(0, len(rows), _MANY):
        some = rows[start : start + _MANY]
        varying = [row["billing_number"] for row in some if row["amount"] is None]
        answers = _answers(connection, terms, varying) if varying else {}
        full = [
            {**row, "amount": row["amount"] or answers.get((row["billing_number"], row["expected_on"]))} for row in some
        ]
        done += insert_new(connection, bill_charge, full)
    return done


def _answers(connection: Connection, terms: Terms, numbers: list[str]) -> dict[tuple[str, date], int]:
    q = amount_question.c
    found: dict[tuple[str, date], int] = {}
    listed = sorted(set(numbers))
    for start in range(0, len(listed), _MANY):
        of_some = (q.billing_source == terms.billing_source, q.billing_number.in_(listed[start : start + _MANY]))
        rows = connection.execute(
            select(q.billing_number, q.expected_on, q.amount).where(*of_some, q.amount.is_not(None))
        )
        found |= {(row.billing_number, row.expected_on): int(row.amount) for row in rows}
    return found
