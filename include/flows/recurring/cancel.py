"""Ending bills: by the merchant's view, by a person, at DOKU by a call or by a person in DOKU's dashboard."""

from typing import Final

from sqlalchemy import Connection

from include.doku.dialects.choose import dialect_file_of
from include.domain.bill_life import BillEventKind
from include.domain.errors import NotAllowed
from include.domain.states import BillState
from include.flows.context import FlowContext
from include.flows.propose import Asked as AskedFor
from include.flows.propose import confirmation, decide
from include.flows.recurring.calls import call, each, keep, request_id_for
from include.flows.recurring.register import Asked
from include.ledger.bills import Bill, BillEvent, Key, bills_in, happen, known_bill, lock_bills, set_columns
from include.ledger.events import Note, add_decision
from include.schemas.dialect import Request

REFUSED_END: Final = "DOKU refused to end it: "
_LIVING: Final = (BillState.WANTED, BillState.ASKED, BillState.ACTIVE, BillState.REFUSED)


def cancel_at_doku(context: FlowContext, *, dry_run: bool = False) -> Asked:
    """Ask DOKU to end the bills that it charges and that are not wanted any more; raises as `call`.

    Until DOKU has taken it a bill stays `cancelling`: DOKU charges it. One that DOKU refuses to end is asked for again
    by each run, and shown with the reason.
    """
    request = cancel_request(context)
    limit = context.profile.recurring.calls_at_a_time
    with context.ledger.read() as connection:
        waiting = bills_in(connection, context.profile.name, [BillState.CANCELLING], limit=limit + 1)
    if request is None or dry_run:
        return Asked(left=len(waiting))
    done, not_done = each(waiting[:limit], lambda one: _cancel(context, one, request))
    return Asked(done, not_done, max(0, len(waiting) - limit))


def cancel_request(context: FlowContext) -> Request | None:
    """The call that ends a bill; None: a person ends it in DOKU's dashboard."""
    settings = context.profile.recurring
    if settings.cancellations == "person" or settings.dialect != "json":
        return None
    return dialect_file_of(context.profile).requests.cancel


def _cancel(context: FlowContext, one: Bill, request: Request) -> bool:
    # Another one each day: asked for under the same id, DOKU would repeat its first no for ever.
    request_id = request_id_for(context, one, f"cancel {context.today}")
    if request_id is None:
        return True
    context.step("cancel: before DOKU is asked to end a bill")
    answer = call(context, one, request, request_id)
    context.step("cancel: DOKU has answered")
    if isinstance(answer, str):
        with context.ledger.write() as connection:
            set_columns(connection, one.key, reason=f"{REFUSED_END}{answer}", told_at=None)
        return False
    keep(context, one, BillEventKind.CANCELLED, {"words": "DOKU has ended it", "request_id": request_id})
    context.step("cancel: the end is kept")
    return True


def cancel_bill(context: FlowContext, *, billing_number: str, by: str, why: str) -> str:
    """A person ends a bill; it stays ended until the merchant's view says cancelled, and then wanted again.

    Where the profile asks for four eyes (`decisions.four_eyes`) it is only proposed, until another person confirms it.
    """
    asked = AskedFor("cancel_bill", billing_number, {"billing_number": billing_number}, by, why)
    return decide(context, asked, cancel_bill_now)


def cancel_bill_now(
    context: FlowContext, *, billing_number: str, by: str, why: str, confirmed_by: str | None = None
) -> str:
    """End a bill without asking for a second person."""
    key = Key(context.profile.billing_source, billing_number)
    with context.ledger.write() as connection:
        lock_bills(connection, key.billing_source)
        one = known_bill(connection, context.profile.name, key)
        if one.state not in _LIVING:
            raise NotAllowed(f"Bill {billing_number} is {one.state} already.")
        event = BillEvent(BillEventKind.UNWANTED, context.clock(), by, {"words": why})
        happen(connection, key, event)
        _decided(context, connection, "cancel_bill", billing_number, by, why, confirmed_by)
    if one.state is not BillState.ACTIVE:
        return f"Bill {billing_number} is cancelled: DOKU does not charge it, and it is not asked for any more."
    how = (
        f"the next run of doku_recurring__{context.profile.name} asks DOKU to end it"
        if cancel_request(context)
        else "end it in DOKU's dashboard, and say so with bill_ended"
    )
    return f"Bill {billing_number} is to be ended: {how}. DOKU charges it until then."


def bill_ended(context: FlowContext, *, billing_number: str, evidence: str, by: str, why: str) -> str:
    """A person has seen that DOKU does not charge a bill any more, whoever ended it there.

    Where the profile asks for four eyes (`decisions.four_eyes`) it is only proposed, until another person confirms it.
    """
    about = {"billing_number": billing_number, "evidence": evidence}
    return decide(context, AskedFor("bill_ended", billing_number, about, by, why), bill_ended_now)


def bill_ended_now(
    context: FlowContext, *, billing_number: str, evidence: str, by: str, why: str, confirmed_by: str | None = None
) -> str:
    """Take a person's word that DOKU has ended a bill, without asking for a second person."""
    key = Key(context.profile.billing_source, billing_number)
    with context.ledger.write() as connection:
        lock_bills(connection, key.billing_source)
        one = known_bill(connection, context.profile.name, key)
        if one.state not in (BillState.ACTIVE, BillState.CANCELLING):
            raise NotAllowed(
                f"Bill {billing_number} is {one.state}: as far as is known DOKU does not charge it anyway."
            )
        details = {"words": f"{why} ({evidence})"}
        happen(connection, key, BillEvent(BillEventKind.CANCELLED, context.clock(), by, details))
        _decided(context, connection, "bill_ended", billing_number, by, why, confirmed_by)
    return (
        f"Bill {billing_number} is cancelled, on {by}'s word: its charges are expected no more. One that comes all the "
        "same is shown as a break."
    )


def _decided(
    context: FlowContext, connection: Connection, kind: str, subject: str, by: str, why: str, confirmed_by: str | None
) -> None:
    note = Note(context.clock(), by, None, {"why": why} | confirmation(confirmed_by))
    add_decision(connection, context.profile.name, kind, subject, note)
