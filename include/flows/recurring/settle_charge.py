"""Settling: a person says, with evidence, what became of a charge of a bill, or of one of DOKU's transactions for it.

What is said is one more witness: should DOKU say otherwise later, that is a break.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from include.domain.bill_charges import bill_and_day_of
from include.domain.bill_judgement import Expected
from include.domain.errors import NotAllowed
from include.domain.money import for_people
from include.domain.states import STRENGTH, OutcomeStatus
from include.flows.context import FlowContext
from include.flows.propose import confirmation
from include.flows.recurring.tell import tell_charges
from include.flows.recurring.terms import reader_of, terms_of
from include.ledger.bill_charges import find_charge
from include.ledger.bill_payments import Settled, judge, lock_charges, transaction_now, transactions_of
from include.ledger.bill_testimonies import keep_said
from include.ledger.events import Note, add_decision


@dataclass(frozen=True)
class _Subject:
    """What a person speaks of: one of DOKU's transactions, or an expected charge."""

    reference: str | None
    charge: Expected | None
    now: Settled | None


def is_of_a_bill(context: FlowContext, subject: str) -> bool:
    """Whether a charge id, or DOKU's reference, is of a bill of the profile."""
    if not context.profile.has_recurring:
        return False
    with context.ledger.read() as connection:
        return _find(context, connection, subject) is not None


def settle_charge_now(
    context: FlowContext,
    *,
    subject: str,
    status: OutcomeStatus,
    evidence: str,
    by: str,
    why: str,
    confirmed_by: str | None = None,
) -> str:
    """Settle a charge of a bill without asking for a second person; says what that does.

    Args:
        subject: The charge id (`<billing number>/<day>`), or DOKU's reference of a transaction.

    Raises:
        NotAllowed: There is none such, it is decided already, or its day is not over.
    """
    profile, now = context.profile, context.clock()
    context.step("settle charge: before it is recorded")
    with context.ledger.write() as connection:
        lock_charges(connection, profile.name)
        found = _find(context, connection, subject)
        if found is None:
            raise NotAllowed(f"Profile {profile.name} has no charge of a bill, and no transaction, {subject}.")
        _refuse(context, subject, found, status)
        charge = found.charge
        values: dict[str, Any] = {
            "profile": profile.name, "billing_source": profile.billing_source, "reference": found.reference,
            "billing_number": found.now.billing_number if found.now else charge.billing_number,  # type: ignore[union-attr]
            "expected_on": charge.expected_on if charge else None, "witness": "person", "status": str(status),
            "currency": charge.currency if charge else found.now.currency,  # type: ignore[union-attr]
            "said_by": by, "said_at": now, "kept_at": now, "evidence": evidence, "confirmed_by": confirmed_by,
        }  # fmt: skip
        keep_said(connection, values)
        about = {found.reference} if found.reference else set()
        key = [(charge.billing_number, charge.expected_on)] if charge else []
        judge(connection, terms_of(context), reader_of(context), about, key)
        before = found.now.status if found.now else None
        details = {"outcome": status, "before": before, "evidence": evidence, "why": why}
        note = Note(now, by, None, {**details, **confirmation(confirmed_by)})
        add_decision(connection, profile.name, "settle", subject, note)
    context.step("settle charge: recorded")
    tell_charges(context)
    amount = charge.amount if charge else found.now.amount if found.now else None
    currency = str(values["currency"])
    what = for_people(amount, currency) if amount is not None else "an amount that nobody knows"
    return (
        f"{subject} ({what}) is {status}; before: {before or 'awaiting'}. DOKU makes the charges of a bill: nothing is "
        "attempted, or held back, because of this."
    )


def _find(context: FlowContext, connection: Connection, subject: str) -> _Subject | None:
    profile, source = context.profile.name, context.profile.billing_source
    named = bill_and_day_of(subject)
    charge = find_charge(connection, source, *named) if named is not None else None
    if charge is not None:
        own = transactions_of(connection, profile, charge)
        return _Subject(None, charge, max(own, key=lambda one: STRENGTH[one.status], default=None))
    now = transaction_now(connection, profile, subject)
    if now is None:
        return None
    tied = find_charge(connection, source, now.billing_number, now.expected_on) if now.expected_on else None
    return _Subject(subject, tied, now)


def _refuse(context: FlowContext, subject: str, found: _Subject, status: OutcomeStatus) -> None:
    before = found.now.status if found.now else None
    if before is not None and STRENGTH[status] <= STRENGTH[before]:
        raise NotAllowed(
            f"{subject} is {before}, which {status} does not outweigh: what was witnessed is never taken back."
        )
    if status is OutcomeStatus.REVERSED and before is not OutcomeStatus.PAID:
        raise NotAllowed(f"{subject} is {before or 'awaiting'}, not paid: there is nothing to reverse.")
    if status is OutcomeStatus.WITHDRAWN and before is not None:
        raise NotAllowed(f"{subject} is {before}: DOKU has spoken of it, so it was not left out.")
    day = found.charge.expected_on if found.charge else None
    if before is None and day is not None and context.today < day + timedelta(days=1):
        raise NotAllowed(f"The day of {subject} is not over: DOKU may still charge it. Settle it from the next day on.")
