"""Amounts of bills that vary: DOKU asks, and the first answer to each question is given for ever; none is invented."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from include.billing.bill_amounts import BillAmount, bill_amounts
from include.domain.bill_charges import charge_id_of
from include.domain.errors import DokuError
from include.domain.money import to_smallest_unit
from include.domain.states import CHARGED_BY_DOKU, BillState
from include.flows.context import FlowContext
from include.ledger.amount_questions import AmountKey, answered_since, find_answer, keep_answer_once
from include.ledger.bill_breaks import AnsweredAmount, judge_answered_amounts
from include.ledger.bill_payments import lock_charges
from include.ledger.bills import Bill, Key, find_bill

_COMPARED: Final = timedelta(days=62)
"""How long after its day an answer is compared with what the merchant's view says."""


@dataclass(frozen=True)
class AmountAnswer:
    """What DOKU is answered.

    Attributes:
        amount: Smallest units of `currency`; None: none is known, or the question is refused.
        expected_on: The local day that it is for; None: no charge of the bill is due.
        words: What it is, or why there is none, for people.
        refused: The question makes no sense: no such bill, not its customer, a fixed amount.
    """

    amount: int | None
    currency: str
    expected_on: date | None
    words: str
    refused: bool = False


def answer_amount(context: FlowContext, billing_number: str, customer_id: str | None) -> AmountAnswer:
    """Answer what to charge for a bill: today's charge, or the next one that lies near enough.

    The merchant's view says how much. Its first answer is kept, and given again whatever the view says later; while it
    names no amount the question is kept without one, and no amount is invented.

    Raises:
        LedgerError: The ledger cannot be used: nothing is answered.
    """
    profile, now = context.profile, context.clock()
    with context.ledger.read() as connection:
        found = find_bill(connection, Key(profile.billing_source, billing_number))
    why_not = _refusal(context, found, billing_number, customer_id)
    if found is None or why_not:
        return AmountAnswer(None, profile.limits.currencies[0], None, why_not, refused=True)
    day = next_day(context, found)
    if day is None:
        days = profile.recurring.amount_days
        return AmountAnswer(
            None, found.currency, None, f"Bill {billing_number} is not to be charged within {days} days."
        )
    key = AmountKey(profile.billing_source, billing_number, day)
    with context.ledger.read() as connection:
        known = find_answer(connection, key)
    said = None if known is not None and known.amount is not None else amount_of_day(context, found, day)
    context.step("amount: before the answer is kept")
    with context.ledger.write() as connection:
        kept = keep_answer_once(
            connection, key, profile=profile.name, amount=said.amount if said else None, currency=found.currency,
            at=now, times=1,
        )  # fmt: skip
    context.step("amount: answer kept")
    charge_id = charge_id_of(billing_number, day)
    if kept.amount is None:
        why = (said.problem if said and said.problem else None) or "the merchant's view names no amount"
        return AmountAnswer(None, found.currency, day, f"No amount is known for {charge_id}: {why}.")
    again = "the first answer, repeated" if known is not None and known.amount is not None else "by the merchant's view"
    return AmountAnswer(kept.amount, kept.currency, day, f"{kept.amount} {kept.currency} for {charge_id}, {again}.")


def next_day(context: FlowContext, one: Bill) -> date | None:
    """The day that a question, or a push, is about: today, or the next expected one within `recurring.amount_days`."""
    today, days = context.today, context.profile.recurring.amount_days
    return next(one.terms.schedule.expected_days(today, today + timedelta(days=days)), None)


def amount_of_day(context: FlowContext, one: Bill, day: date) -> BillAmount | None:
    """What the view says of a day; no amount, and why, where it cannot be used or does not answer; None: no row."""
    try:
        found = _amounts(context, {one.billing_number}, day, day).get((one.billing_number, day))
    except DokuError as caught:
        return BillAmount(one.billing_number, day, None, one.currency, caught.message)
    if found is not None and found.amount is not None:
        if found.currency != one.currency:
            return BillAmount(one.billing_number, day, None, one.currency, f"the view says {found.currency}")
        if found.amount > to_smallest_unit(str(context.profile.limits.max_amount_per_charge), one.currency):
            return BillAmount(one.billing_number, day, None, one.currency, "it is above limits.max_amount_per_charge")
    return found


def compare_answers(context: FlowContext) -> int:
    """Compare what DOKU was answered with what the merchant's view says now; how many differ.

    Raises:
        BillingError: The view cannot be read.
    """
    profile, first = context.profile, context.today - _COMPARED
    with context.ledger.read() as connection:
        answers = answered_since(connection, profile.name, first)
    if not answers:
        return 0
    last = max(one.expected_on for one in answers)
    now_said = _amounts(context, {one.billing_number for one in answers}, first, last)
    compared = [
        AnsweredAmount(
            one.billing_number, one.expected_on, one.amount, one.currency,
            found.amount if (found := now_said.get((one.billing_number, one.expected_on))) else None,
        )
        for one in answers if one.amount is not None
    ]  # fmt: skip
    context.step("amounts: before changed ones are shown")
    with context.ledger.write() as connection:
        lock_charges(connection, profile.name)
        differ = judge_answered_amounts(connection, profile.name, compared, context.clock())
    context.step("amounts: changed ones are shown")
    return differ


def _refusal(context: FlowContext, found: Bill | None, billing_number: str, customer_id: str | None) -> str:
    if found is None or found.profile != context.profile.name:
        return f"Profile {context.profile.name} has no bill {billing_number}."
    if customer_id is not None and customer_id != found.customer_id:
        return f"Bill {billing_number} is not of the customer that is asked for."
    if found.amount is not None:
        return f"Bill {billing_number} has a fixed amount, which DOKU was told when it was registered."
    if found.state not in (*CHARGED_BY_DOKU, BillState.ASKED):  # DOKU may know of a registration before we do
        return f"Bill {billing_number} is {found.state}: it is not to be charged."
    return ""


def _amounts(
    context: FlowContext, billing_numbers: Iterable[str], first: date, last: date
) -> dict[tuple[str, date], BillAmount]:
    view = context.profile.recurring.amounts_view
    return bill_amounts(context.billing(), view, set(billing_numbers), first, last)
