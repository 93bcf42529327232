"""What a person sees of all bills at once: how many there are in each state, and what waits for somebody."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from include.domain.masking import without_card_numbers
from include.domain.money import for_people
from include.domain.states import BillState, RegistrationFileState
from include.flows.context import FlowContext
from include.flows.recurring.cancel import REFUSED_END, cancel_request
from include.flows.recurring.changes import changed_bills
from include.ledger.bills import Bill, bills_in, counts_by_state
from include.ledger.registration_files import RegistrationFile, files_in
from include.ledger.rejected_bills import RejectedBill, rejected_bills

ROWS: Final = 100
_SHOWN: Final = 20


@dataclass(frozen=True)
class Listed:
    """A bill in a list."""

    number: str
    customer_id: str
    state: str
    amount: str
    days: str
    reason: str


@dataclass(frozen=True)
class Overview:
    """All bills at once.

    Attributes:
        counts: Bills by state.
        rejected: Rows of the view that cannot be used.
        changed: Bills that DOKU charges by other terms than the merchant wants (at most some).
        to_end: Bills that a person has to end in DOKU's dashboard (at most some).
        unknown: Registration files of which nobody knows whether they arrived.
    """

    counts: Mapping[str, int]
    rejected: Sequence[RejectedBill] = ()
    changed: Sequence[Listed] = ()
    to_end: Sequence[Listed] = ()
    unknown: Sequence[RegistrationFile] = ()


def look(context: FlowContext) -> Overview:
    """Look at all bills of the profile."""
    changed, by_hand = changed_bills(context, _SHOWN), cancel_request(context) is None
    with context.ledger.read() as connection:
        profile = context.profile.name
        ending = bills_in(connection, profile, [BillState.CANCELLING], limit=_SHOWN)
        return Overview(
            counts=counts_by_state(connection, profile),
            rejected=rejected_bills(connection, profile),
            changed=[_listed(one) for one in changed],
            to_end=[_listed(one) for one in ending if by_hand or (one.reason or "").startswith(REFUSED_END)],
            unknown=files_in(connection, profile, [RegistrationFileState.UNKNOWN]),
        )


def overview(context: FlowContext) -> Iterator[str]:
    """The same in lines for a terminal."""
    seen = look(context)
    yield f"{sum(seen.counts.values())} bills: " + ", ".join(f"{count} {state}" for state, count in seen.counts.items())
    for row in seen.rejected:
        yield f"Cannot be used: {row.row_key}, since {row.first_seen_at:%Y-%m-%d}: {row.words}"
    for one in seen.changed:
        yield f"DOKU has other terms: {one.number}{_why(one)}"
    for one in seen.to_end:
        yield f"To be ended at DOKU: {one.number}{_why(one)}"
    for file in seen.unknown:
        yield f"Delivery unknown: {file.file_name}, {file.line_count} bills: {file.words}"


def bills_listed(context: FlowContext, state: BillState | None, after: str = "") -> list[Listed]:
    """Bills in a state (None: in any) by number, one more than `ROWS` where there are more."""
    with context.ledger.read() as connection:
        states = list(BillState) if state is None else [state]
        found = bills_in(connection, context.profile.name, states, after=after, limit=ROWS + 1)
    return [_listed(one) for one in found]


def _listed(one: Bill) -> Listed:
    return Listed(
        number=one.billing_number,
        customer_id=one.customer_id,
        state=str(one.state),
        amount=for_people(one.amount, one.currency) if one.amount is not None else "varies",
        days=f"{one.schedule} {one.schedule_on}",
        reason=without_card_numbers(one.reason or ""),
    )


def files_listed(context: FlowContext) -> Iterator[str]:
    """The registration files, oldest first, a line each."""
    with context.ledger.read() as connection:
        for one in files_in(connection, context.profile.name, list(RegistrationFileState)):
            parts = (one.file_name, one.state, f"{one.line_count} bills", one.words, _removed(context, one))
            yield "  ".join(part for part in parts if part)


def _removed(context: FlowContext, one: RegistrationFile) -> str:
    if one.file_removed_at is None:
        return ""
    return f"kept copy removed by housekeeping on {one.file_removed_at.astimezone(context.profile.zone):%Y-%m-%d}"


def _why(one: Listed) -> str:
    return f" ({one.reason})" if one.reason else ""
