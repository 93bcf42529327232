"""Settling: a person says, with evidence, what became of an attempt of which the reports say nothing, or not enough.

What is said is kept apart from the reports: should one speak later and say otherwise, that is a break.
"""

from datetime import date, datetime, time, timedelta
from typing import Final

from include.domain.errors import NotAllowed
from include.domain.money import for_people
from include.domain.states import BEFORE_LEAVING, STRENGTH, BatchState, OutcomeStatus
from include.flows.context import FlowContext
from include.flows.propose import Asked, confirmation, decide
from include.flows.reconcile import conclude_batches
from include.flows.recurring.settle_charge import is_of_a_bill, settle_charge_now
from include.flows.tell_merchant import tell_testimonies
from include.ledger.claims import lock_claims
from include.ledger.events import Note, add_decision
from include.ledger.matching import lock_matching
from include.ledger.testimonies import AttemptNow, Testimony, find_attempt, keep_testimony

SETTLED_AS: Final = (OutcomeStatus.PAID, OutcomeStatus.DECLINED, OutcomeStatus.WITHDRAWN, OutcomeStatus.REVERSED)
"""What a person may say of an attempt."""

_MEANS: Final = {
    OutcomeStatus.PAID: "The charge is settled: no further attempt is made.",
    OutcomeStatus.DECLINED: "The charge is open again: the rules, or the view's attempt_no, decide what is next.",
    OutcomeStatus.WITHDRAWN: "The charge is open again: the next run makes a new attempt of it.",
    OutcomeStatus.REVERSED: "The payment was taken back; the charge stays settled and is not attempted again.",
}


def settle(context: FlowContext, *, invoice_number: str, outcome: str, evidence: str, by: str, why: str) -> str:
    """Settle an attempt as paid, declined, withdrawn or reversed; says what that does.

    Where the profile asks for four eyes (`decisions.four_eyes`) it is only proposed, until another person confirms it.
    A charge of a bill is settled by its charge id, or one of DOKU's transactions for it by DOKU's reference.

    Raises:
        NotAllowed: Nobody in particular, no evidence, or it would break a promise: DOKU may still charge the attempt;
            it is decided already; its batch has not left, or nobody knows whether it did.
    """
    about = {"invoice_number": invoice_number, "outcome": outcome, "evidence": evidence}
    return decide(context, Asked("settle", invoice_number, about, by, why), settle_now)


def settle_now(
    context: FlowContext,
    *,
    invoice_number: str,
    outcome: str,
    evidence: str,
    by: str,
    why: str,
    confirmed_by: str | None = None,
) -> str:
    """Settle without asking for a second person."""
    status = _status(outcome, evidence)
    if is_of_a_bill(context, invoice_number):
        return settle_charge_now(
            context, subject=invoice_number, status=status, evidence=evidence, by=by, why=why,
            confirmed_by=confirmed_by,
        )  # fmt: skip
    profile, now = context.profile.name, context.clock()
    context.step("settle: before it is recorded")
    with context.ledger.write() as connection:
        lock_claims(connection, context.profile.billing_source)
        lock_matching(connection, profile)
        attempt = find_attempt(connection, profile, invoice_number)
        if attempt is None:
            raise NotAllowed(f"Profile {profile} has no attempt with invoice number {invoice_number}.")
        _refuse_broken_promise(context, attempt, status, now)
        said = Testimony(invoice_number, "person", status, by, now, evidence, confirmed_by)
        keep_testimony(connection, profile, said, why)
        details = {"outcome": status, "before": attempt.status, "evidence": evidence, "why": why}
        note = Note(now, by, None, {**details, **confirmation(confirmed_by)})
        add_decision(connection, profile, "settle", invoice_number, note)
    context.step("settle: recorded")
    conclude_batches(context, None)
    tell_testimonies(context)
    amount = for_people(attempt.amount, attempt.currency)
    return (
        f"Attempt {attempt.attempt_no} of charge {attempt.charge_id} ({invoice_number}, {amount}) is {status}; before: "
        f"{attempt.status or 'awaiting'}. {_MEANS[status]} In the books of {attempt.file_name} {amount} moves from "
        f"{_term(attempt.status)} to {_term(status)}."
    )


def _status(outcome: str, evidence: str) -> OutcomeStatus:
    if outcome not in SETTLED_AS:
        raise NotAllowed(f"{outcome!r} settles nothing; use one of {', '.join(SETTLED_AS)}.")
    if not evidence.strip():
        raise NotAllowed(
            "Settling an attempt needs evidence in words: who said so, when, and where that can be read again."
        )
    return OutcomeStatus(outcome)


def _refuse_broken_promise(context: FlowContext, attempt: AttemptNow, status: OutcomeStatus, now: datetime) -> None:
    name = f"Attempt {attempt.invoice_number}"
    if attempt.batch_state in BEFORE_LEAVING:
        raise NotAllowed(
            f"{name} is in {attempt.file_name}, which has not left: nothing can have become of it. Withdraw the batch, "
            "or let it go."
        )
    if attempt.batch_state in (BatchState.RENAMING, BatchState.UNKNOWN):
        raise NotAllowed(
            f"{name} is in {attempt.file_name}, and nobody knows yet whether that was delivered. Settle the delivery "
            "first (arrived, never-arrived)."
        )
    if attempt.status is not None and STRENGTH[status] <= STRENGTH[attempt.status]:
        raise NotAllowed(
            f"{name} is {attempt.status}, which {status} does not outweigh: what was witnessed is never taken back."
        )
    if status is OutcomeStatus.REVERSED and attempt.status is not OutcomeStatus.PAID:
        raise NotAllowed(f"{name} is {attempt.status or 'awaiting'}, not paid: there is nothing to reverse.")
    if attempt.status is OutcomeStatus.WITHDRAWN and status is OutcomeStatus.DECLINED:
        raise NotAllowed(f"{name} is withdrawn: it was never charged, so nobody declined it.")
    frees = status in (OutcomeStatus.DECLINED, OutcomeStatus.WITHDRAWN)
    if frees and now < over(context, attempt.execute_date):
        raise NotAllowed(
            f"{name} has the execute date {attempt.execute_date}, which is not over: DOKU may still charge it, and a "
            "further attempt would charge the customer twice. Settle it from the next day on."
        )


def over(context: FlowContext, execute_date: date) -> datetime:
    """The end of an execute date: before it nobody can say that DOKU will not charge."""
    return datetime.combine(execute_date + timedelta(days=1), time(0), context.profile.zone)


def _term(status: OutcomeStatus | None) -> str:
    return {None: "awaiting", OutcomeStatus.REVERSED: "paid (reversed)"}.get(status, str(status))
