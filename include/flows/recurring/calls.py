"""Calls to DOKU about bills: each under a request id that is the same however often it is tried."""

import hashlib
from collections.abc import Callable
from typing import Any

from include.doku.api import ApiAnswer
from include.doku.bill_requests import body_of, facts_of
from include.domain.bill_life import BillEventKind
from include.domain.errors import ApiRefused, ApiUnauthorised
from include.flows.context import FlowContext
from include.ledger.bills import API, Bill, BillEvent, acts_of, find_bill, happen, lock_bills
from include.schemas.dialect import Request


def request_id_for(context: FlowContext, one: Bill, what: str) -> str | None:
    """The id of a call about a bill as it was read; None: it has become something else meanwhile.

    A pure function of the ledger's id, the bill, its terms and what has happened to it: asked again after an
    interruption, or by a ledger from a backup, DOKU gives its first answer again.
    """
    with context.ledger.read() as connection:
        current, acts = find_bill(connection, one.key), acts_of(connection, one.key)
    if current is None or (current.state, current.terms_digest) != (one.state, one.terms_digest):
        return None
    said = "\n".join(
        (context.ledger.ledger_id, one.billing_source, one.billing_number, one.terms_digest, what, str(acts))
    )
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def call(context: FlowContext, one: Bill, request: Request, request_id: str) -> ApiAnswer | str:
    """DOKU's answer; or in words why DOKU refuses this bill, which says nothing about others.

    Raises:
        ApiUnreachable, ApiUnauthorised, ApiAnswerUnsigned, ApiAnswerUnreadable: No bill can be asked about now.
    """
    try:
        return context.api().post(request.path, body_of(request, facts_of(one.terms, request_id)), request_id)
    except ApiUnauthorised:
        raise
    except ApiRefused as refusal:
        return refusal.message


def keep(
    context: FlowContext, one: Bill, kind: BillEventKind, details: dict[str, Any], *, said_by: str = API, **columns: Any
) -> None:
    """Append what a call has come to; a second copy of the task appends nothing."""
    matter = {"request_id": details["request_id"]} if details.get("request_id") else None
    event = BillEvent(kind, context.clock(), said_by, details, matter=matter)
    with context.ledger.write() as connection:
        lock_bills(connection, one.billing_source)
        happen(connection, one.key, event, **columns)


def each(bills: list[Bill], do: Callable[[Bill], bool]) -> tuple[int, int]:
    """How many were done, and how many were not."""
    done = sum(do(one) for one in bills)
    return done, len(bills) - done
