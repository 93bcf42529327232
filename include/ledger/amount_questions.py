"""DOKU's questions for amounts of varying bills: the first answer to each is kept, and given ever after."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, select, update

from include.ledger.bill_tables import amount_question
from include.ledger.once import insert_new


@dataclass(frozen=True)
class AmountKey:
    """What a question is about."""

    billing_source: str
    billing_number: str
    expected_on: date


@dataclass(frozen=True)
class Answered:
    """A question, and the one answer to it; `amount` in smallest units, None: none is known yet."""

    billing_number: str
    expected_on: date
    amount: int | None
    currency: str
    times: int
    request_id: str | None
    pushed_at: datetime | None


_COLUMNS: Final = [amount_question.c[name] for name in Answered.__dataclass_fields__]


def find_answer(connection: Connection, key: AmountKey) -> Answered | None:
    """The question of a bill and a day, if there is one."""
    row = connection.execute(select(*_COLUMNS).where(*_is(key))).mappings().one_or_none()
    return Answered(**row) if row is not None else None


def keep_answer_once(
    connection: Connection, key: AmountKey, *, profile: str, amount: int | None, currency: str, at: datetime, times: int
) -> Answered:
    """Keep a question with its answer. An answer that is there stays; what is there then.

    Args:
        connection: In a writing transaction.
        amount: None: none is known.
        times: How often DOKU has asked by that: 1, or 0 where we send the amount by ourselves.
    """
    row = {
        "billing_source": key.billing_source, "billing_number": key.billing_number, "expected_on": key.expected_on,
        "profile": profile, "amount": amount, "currency": currency, "asked_at": at,
        "answered_at": at if amount is not None else None, "times": times, "last_at": at,
    }  # fmt: skip
    if not insert_new(connection, amount_question, [row]):
        q = amount_question.c
        again = {"times": q.times + times, "last_at": at}
        connection.execute(update(amount_question).where(*_is(key)).values(**again))  # holds the row until the end
        if amount is not None:
            answered = {"amount": amount, "currency": currency, "answered_at": at}
            connection.execute(update(amount_question).where(*_is(key), q.amount.is_(None)).values(**answered))
    found = connection.execute(select(*_COLUMNS).where(*_is(key))).mappings().one()
    return Answered(**found)


def note_push(connection: Connection, key: AmountKey, **columns: Any) -> None:
    """Under which request id an amount is sent, or that DOKU has taken it."""
    connection.execute(update(amount_question).where(*_is(key)).values(**columns))


def answered_since(connection: Connection, profile: str, first: date) -> list[Answered]:
    """The answers for days from `first` on."""
    q = amount_question.c
    where = (q.profile == profile, q.expected_on >= first, q.amount.is_not(None))
    return [Answered(**row) for row in connection.execute(select(*_COLUMNS).where(*where)).mappings()]


def _is(key: AmountKey) -> tuple[Any, ...]:
    q = amount_question.c
    of_bill = (q.billing_source == key.billing_source, q.billing_number == key.billing_number)
    return (*of_bill, q.expected_on == key.expected_on)
