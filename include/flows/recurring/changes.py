"""Bills that DOKU charges by other terms than the merchant wants: DOKU is told by a call, or a person tells it."""

from typing import Final

from include.doku.dialects.choose import dialect_file_of
from include.domain.bill_life import BillEventKind
from include.domain.errors import NotAllowed
from include.domain.states import BillState
from include.flows.context import FlowContext
from include.flows.people import refuse_nobody
from include.flows.recurring.calls import call, each, keep, request_id_for
from include.flows.recurring.register import Asked
from include.ledger.bill_tables import bill
from include.ledger.bills import Bill, BillEvent, Key, bills_in, happen, known_bill, lock_bills, set_columns
from include.ledger.events import Note, add_decision
from include.schemas.dialect import Request

REFUSED_CHANGE: Final = "DOKU refused the new terms: "


def changed_bills(context: FlowContext, limit: int) -> list[Bill]:
    """Bills that DOKU charges by other terms than the merchant wants, by number."""
    differs = bill.c.asked_terms.is_distinct_from(bill.c.terms_digest)
    with context.ledger.read() as connection:
        return bills_in(connection, context.profile.name, [BillState.ACTIVE], differs, limit=limit)


def push_changes(context: FlowContext, *, dry_run: bool = False) -> Asked:
    """Tell DOKU the terms of the bills whose terms have changed, where the profile says so; raises as `call`.

    A change that DOKU refuses is kept with its reason and left to a person; so is one of the customer or the currency.
    """
    request = _request(context)
    limit = context.profile.recurring.calls_at_a_time
    changed = changed_bills(context, limit + 1)
    if request is None or dry_run:
        return Asked(left=len(changed))
    done, not_done = each(changed[:limit], lambda one: _push(context, one, request))
    return Asked(done, not_done, max(0, len(changed) - limit))


def _request(context: FlowContext) -> Request | None:
    settings = context.profile.recurring
    if settings.changes == "person" or settings.dialect != "json":
        return None
    return dialect_file_of(context.profile).requests.update


def _push(context: FlowContext, one: Bill, request: Request) -> bool:
    if (one.reason or "").startswith(REFUSED_CHANGE):
        return False
    request_id = request_id_for(context, one, "update")
    if request_id is None:
        return True
    context.step("register: before DOKU is told other terms")
    answer = call(context, one, request, request_id)
    context.step("register: DOKU has answered about other terms")
    if isinstance(answer, str):
        _note_refusal(context, one, answer)
        return False
    keep(context, one, BillEventKind.UPDATED, {"terms": one.terms_digest, "request_id": request_id})
    return True


def _note_refusal(context: FlowContext, one: Bill, why: str) -> None:
    with context.ledger.write() as connection:
        lock_bills(connection, one.billing_source)
        set_columns(connection, one.key, reason=f"{REFUSED_CHANGE}{why}", told_at=None)


def bill_updated(context: FlowContext, *, billing_number: str, by: str, why: str) -> str:
    """A person has told DOKU the new terms of a bill, in DOKU's dashboard; says what that does."""
    refuse_nobody(by, why)
    key = Key(context.profile.billing_source, billing_number)
    with context.ledger.write() as connection:
        lock_bills(connection, key.billing_source)
        one = known_bill(connection, context.profile.name, key)
        if one.state is not BillState.ACTIVE or one.asked_terms == one.terms_digest:
            raise NotAllowed(f"Bill {billing_number} has no terms that DOKU does not know: it is {one.state}.")
        event = BillEvent(BillEventKind.UPDATED, context.clock(), by, {"terms": one.terms_digest, "words": why})
        happen(connection, key, event)
        note = Note(event.at, by, None, {"why": why})
        add_decision(connection, context.profile.name, "bill_updated", billing_number, note)
    return f"Bill {billing_number}: DOKU has the terms that the merchant wants, on {by}'s word."


def ask_again(context: FlowContext, *, billing_number: str, by: str, why: str) -> str:
    """Ask DOKU anew for a bill that is not registered: another checkout link, or a line of the next file."""
    refuse_nobody(by, why)
    key = Key(context.profile.billing_source, billing_number)
    with context.ledger.write() as connection:
        lock_bills(connection, key.billing_source)
        one = known_bill(connection, context.profile.name, key)
        if one.state not in (BillState.ASKED, BillState.REFUSED, BillState.CANCELLED):
            raise NotAllowed(
                f"Bill {billing_number} is {one.state}; only one that was asked for, refused or cancelled is asked for "
                "anew."
            )
        event = BillEvent(BillEventKind.WANTED, context.clock(), by, {"terms": one.terms_digest, "words": why})
        happen(connection, key, event)
        note = Note(event.at, by, None, {"why": why})
        add_decision(connection, context.profile.name, "ask_again", billing_number, note)
    return f"Bill {billing_number} is asked for anew by the next run of doku_recurring__{context.profile.name}."
