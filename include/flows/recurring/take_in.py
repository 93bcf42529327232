"""Taking in what waits in the inbox: one transaction for each notification, with all that it does and its end."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from include.doku.dialects.choose import Parse, parser_of
from include.domain.bill_events import BillEvent as Said
from include.domain.bill_events import CardUpdate, NotOfABill, PaymentResult, RegistrationResult
from include.domain.bill_life import BillEventKind
from include.domain.errors import NotificationUnreadable
from include.domain.fingerprints import token_fingerprint
from include.domain.states import BillState, NotificationKind, NotificationState
from include.flows.context import FlowContext
from include.flows.recurring.payments import apply_payment
from include.ledger.bills import DOKU, BillEvent, Key, find_bill, happen, lock_bills
from include.ledger.inbox import Waiting, conclude, waiting

KINDS: Final = (NotificationKind.REGISTRATION, NotificationKind.CARD_UPDATE, NotificationKind.PAYMENT)
"""Those about bills; a report that is ready wakes reconciliation, a question for an amount is answered at once."""

_PAGE: Final = 200


@dataclass(frozen=True)
class TakenIn:
    """How many notifications ended in each state, and in words what became of those that failed."""

    states: dict[str, int]
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Ending:
    state: NotificationState
    words: str


def take_in(context: FlowContext, run_id: int | None) -> TakenIn:
    """Take in the profile's notifications about bills that wait, in the order in which they came.

    One that cannot be read or belongs to nothing is kept as `failed`, with words, and does not stop the others. Safe
    to repeat and to run twice at once: each is concluded once, together with what it does.
    """
    parse, states, failed = parser_of(context.profile), Counter[str](), []
    while True:
        with context.ledger.read() as connection:
            page = waiting(connection, context.profile.name, _PAGE, KINDS)
        for one in page:
            context.step("take in: before a notification is taken in")
            ending = _take_or_fail(context, parse, one, run_id)
            context.step("take in: notification taken in")
            if ending is not None:
                states[ending.state] += 1
                if ending.state is NotificationState.FAILED:
                    failed.append(f"notification {one.notification_id}: {ending.words}")
        if len(page) < _PAGE:
            return TakenIn(dict(states), failed)


def _take_or_fail(context: FlowContext, parse: Parse, one: Waiting, run_id: int | None) -> _Ending | None:
    """As `_take`. A mistake of ours about one notification is that one's failure, and stops none behind it."""
    try:
        return _take(context, parse, one, run_id)
    except (ArithmeticError, LookupError, TypeError, ValueError) as caught:
        words = (
            f"Unexpected {caught.__class__.__name__} while it was taken in; nothing of it was kept. This is a mistake "
            "in the package: report it, and take it in again with the next release."
        )
    with context.ledger.write() as connection:
        kept = conclude(connection, one.notification_id, NotificationState.FAILED, words, run_id, context.clock())
    return _Ending(NotificationState.FAILED, words) if kept else None


def _take(context: FlowContext, parse: Parse, one: Waiting, run_id: int | None) -> _Ending | None:
    """How it ended; None: another copy of the task was first, and nothing of this was kept."""
    try:
        said = parse(one.kind, one.body or b"", one.content_type)
    except NotificationUnreadable as caught:
        said, unread = None, caught.message
    with suppress(_Taken), context.ledger.write() as connection:
        ending = (
            _Ending(NotificationState.FAILED, unread)
            if said is None
            else _apply(context, connection, one, said, run_id)
        )
        at = context.clock()
        if not conclude(connection, one.notification_id, ending.state, ending.words, run_id, at):
            raise _Taken
        return ending
    return None


class _Taken(Exception):
    """Another copy of the task has concluded it: what this one did to it is undone."""


def _apply(context: FlowContext, connection: Connection, one: Waiting, said: Said, run_id: int | None) -> _Ending:
    if isinstance(said, RegistrationResult):  # a change of card is one too
        return _registration(context, connection, one, said)
    if isinstance(said, PaymentResult):
        return _Ending(NotificationState.DONE, apply_payment(context, connection, one, said, run_id))
    why = said.why if isinstance(said, NotOfABill) else "Says nothing about a bill"
    return _Ending(NotificationState.IGNORED, why)


def _registration(context: FlowContext, connection: Connection, one: Waiting, said: RegistrationResult) -> _Ending:
    key = Key(context.profile.billing_source, said.billing_number)
    lock_bills(connection, key.billing_source)
    known = find_bill(connection, key)
    if known is None or known.profile != context.profile.name:
        return _Ending(
            NotificationState.FAILED,
            f"DOKU has registered bill {said.billing_number}, which this profile's register does not have. Find out "
            "who asked for it; end it in DOKU's dashboard, or list it in the merchant's view and take this in again.",
        )
    if said.customer_id is not None and said.customer_id != known.customer_id:
        return _Ending(
            NotificationState.FAILED,
            f"DOKU names another customer for bill {said.billing_number} than the register has. Nothing was taken "
            "over; ask DOKU whose card it charges.",
        )
    event = _event(context, one, said, known.asked_at)
    new = happen(connection, key, event, token=said.token)
    now = find_bill(connection, key)
    state = now.state if now is not None else BillState.WANTED
    words = f"Bill {said.billing_number}: {_WORDS[event.kind]}; it is {state}."
    return _Ending(NotificationState.DONE, words if new else f"{words} It was known already.")


_WORDS: Final = {
    BillEventKind.REGISTERED: "registered",
    BillEventKind.REFUSED: "its registration failed",
    BillEventKind.CARD_UPDATED: "the customer gave another card",
    BillEventKind.CARD_REFUSED: "another card was refused, the one before stays",
}


def _event(context: FlowContext, one: Waiting, said: RegistrationResult, asked_at: datetime | None) -> BillEvent:
    """What was said, as it happened to the bill. Without a time of its own it answers what DOKU was asked for last."""
    anew = asked_at is not None and one.received_at < asked_at <= one.last_at
    if isinstance(said, CardUpdate):
        kind = BillEventKind.CARD_UPDATED if said.succeeded else BillEventKind.CARD_REFUSED
    else:
        kind = BillEventKind.REGISTERED if said.succeeded else BillEventKind.REFUSED
    details: dict[str, Any] = {
        "words": " ".join(part for part in (said.code, said.message) if part),
        "masked_card": said.masked_card,
        "fingerprint": token_fingerprint(context.ledger.fingerprint_key, said.token) if said.token else None,
    }
    return BillEvent(
        kind=kind,
        at=said.at or (one.last_at if anew else one.received_at),
        said_by=DOKU,
        details=details,
        notification_id=one.notification_id,
        matter={
            **details,
            "at": said.at.isoformat() if said.at else None,
            **({"anew": str(asked_at)} if anew and not said.at else {}),
        },
    )
