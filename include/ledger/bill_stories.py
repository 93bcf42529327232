"""The records of one bill, for people: what happened to it, what should have been charged, what DOKU charged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, select

from include.ledger.bill_tables import bill_attempt, bill_charge, bill_outcome
from include.ledger.bills import Bill, Key, event_rows, find_bill

MOST_CHARGES: Final = 60


@dataclass(frozen=True)
class ChargeOfBill:
    """An expected charge, or one that nobody expected (`expected_on` None), with DOKU's transactions for it.

    Attributes:
        tries: Each (reference, day, amount or None, status), in the order in which they were counted.
    """

    expected_on: date | None
    amount: int | None
    currency: str
    tries: Sequence[tuple[str, date, int | None, str]]


@dataclass(frozen=True)
class BillRecords:
    """What the ledger knows of a bill; `charges` newest first, at most `MOST_CHARGES`."""

    bill: Bill
    events: Sequence[Any]
    charges: Sequence[ChargeOfBill]


def bill_records(connection: Connection, profile: str, key: Key) -> BillRecords | None:
    """The records of a bill of a profile; None: it has none such."""
    found = find_bill(connection, key)
    if found is None or found.profile != profile:
        return None
    return BillRecords(found, event_rows(connection, key), list(_charges(connection, found)))


def _charges(connection: Connection, one: Bill) -> list[ChargeOfBill]:
    where = (bill_charge.c.billing_source == one.billing_source, bill_charge.c.billing_number == one.billing_number)
    newest = bill_charge.c.expected_on.desc()
    expected = connection.execute(select(bill_charge).where(*where).order_by(newest).limit(MOST_CHARGES)).mappings()
    tries = _tries(connection, one)
    known = [
        ChargeOfBill(row["expected_on"], row["amount"], row["currency"], tries.get(row["expected_on"], []))
        for row in expected
    ]
    unexpected = tries.get(None, [])
    return [*known, *([ChargeOfBill(None, None, one.currency, unexpected)] if unexpected else [])]


def _tries(connection: Connection, one: Bill) -> dict[date | None, list[tuple[str, date, int | None, str]]]:
    a, o = bill_attempt.c, bill_outcome.c
    strongest = (
        select(o.status)
        .where(o.profile == a.profile, o.reference == a.reference)
        .order_by(o.strength.desc())
        .limit(1)
        .scalar_subquery()
    )
    where = (a.profile == one.profile, a.billing_number == one.billing_number)
    statement = select(a.expected_on, a.reference, a.charged_on, a.amount, strongest).where(*where)
    found: dict[date | None, list[tuple[str, date, int | None, str]]] = {}
    for day, reference, charged_on, amount, status in connection.execute(
        statement.order_by(a.charged_on.desc(), a.attempt_no.desc()).limit(10 * MOST_CHARGES)
    ):
        found.setdefault(day, []).insert(0, (reference, charged_on, amount, str(status)))
    return found
