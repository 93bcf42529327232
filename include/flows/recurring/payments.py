"""Payment results: what DOKU says of its transactions for bills becomes outcomes, and breaks where it does not tie."""

from typing import Final

from sqlalchemy import Connection

from include.domain.bill_events import PaymentResult
from include.domain.bill_judgement import Transaction
from include.domain.calendar import local_date
from include.flows.context import FlowContext
from include.flows.recurring.terms import reader_of, terms_of
from include.ledger.bill_payments import judge, lock_charges
from include.ledger.bill_testimonies import keep_said
from include.ledger.inbox import Waiting
from include.ledger.testimonies import find_attempt

_WORD_LENGTH: Final = 20


def apply_payment(
    context: FlowContext, connection: Connection, notification: Waiting, event: PaymentResult, run_id: int | None
) -> str:
    """Take in what a notification says of a transaction; what became of it, in words.

    What is said is kept once, by its content. Which outcome, which charge and which breaks that makes depends on all
    that was said, and not on its order.

    Args:
        connection: In a writing transaction.
    """
    profile = context.profile
    if find_attempt(connection, profile.name, event.reference) is not None:
        return f"It speaks of attempt {event.reference} of a batch; the report on that batch decides."
    lock_charges(connection, profile.name)
    terms, read = terms_of(context), reader_of(context)
    moment = event.paid_at or notification.sent_at or notification.received_at
    meaning = read(event.word, event.succeeded, event.response_code)
    values = {
        "profile": profile.name, "billing_source": profile.billing_source, "reference": event.reference,
        "billing_number": event.billing_number, "expected_on": None, "witness": "notification",
        "status": str(meaning.status), "word": (event.word or "")[:_WORD_LENGTH] or None,
        "succeeded": event.succeeded, "response_code": event.response_code,
        "response_message": event.response_message, "approval_code": event.approval_code,
        "customer_id": event.customer_id, "amount": event.amount, "currency": event.currency,
        "charged_on": local_date(moment, profile.zone), "masked_card": event.masked_card, "bank": event.bank,
        "said_by": "DOKU", "said_at": moment, "kept_at": context.clock(),
        "notification_id": notification.notification_id, "run_id": run_id, "evidence": None,
    }  # fmt: skip
    new = keep_said(connection, values)
    judged = judge(connection, terms, read, {event.reference})
    found = next(one for one in judged if one.reference == event.reference)
    return _words(found, new=new)


def _words(found: Transaction, *, new: bool) -> str:
    of = f"charge {found.charge.charge_id}" if found.charge else "no expected charge; see the breaks"
    again = "" if new else " It was known already."
    return f"Transaction {found.reference} is {found.status}, of {of}.{again}"
