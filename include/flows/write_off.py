"""Closing a charge for another reason than a cancellation: it was paid elsewhere, or is written off."""

from typing import Final

from include.domain.errors import NotAllowed
from include.flows.context import FlowContext
from include.flows.propose import Asked, decide
from include.ledger.claims import lock_claims
from include.ledger.closures import close_charge, collected_by, last_listing, live_attempt
from include.ledger.events import Note

REASONS: Final = ("paid_elsewhere", "written_off")


def close(context: FlowContext, *, charge_id: str, reason: str, by: str, why: str) -> str:
    """Close a charge that was paid elsewhere or is written off: no attempt is made any more.

    Where the profile asks for four eyes (`decisions.four_eyes`) it is only proposed, until another person confirms it.

    Raises:
        NotAllowed: Nobody in particular, or an attempt of it may still be charged, or it is paid, or closed already.
    """
    about = {"charge_id": charge_id, "reason": reason}
    return decide(context, Asked("close", charge_id, about, by, why), close_now)


def close_now(
    context: FlowContext, *, charge_id: str, reason: str, by: str, why: str, confirmed_by: str | None = None
) -> str:
    """Close without asking for a second person."""
    if reason not in REASONS:
        raise NotAllowed(f"{reason!r} is no reason to close a charge; use one of {', '.join(REASONS)}.")
    source, profile = context.profile.billing_source, context.profile.name
    context.step("close charge: before it is recorded")
    with context.ledger.write() as connection:
        lock_claims(connection, source)
        live = live_attempt(connection, source, charge_id)
        if live is not None:
            raise NotAllowed(
                f"Charge {charge_id} has a live attempt ({live}): DOKU may charge it, whatever is decided here. "
                "Wait for its report, settle the attempt, or withdraw its batch if that has not left."
            )
        paid = collected_by(connection, source, charge_id)
        if paid is not None:
            raise NotAllowed(f"Charge {charge_id} is paid by attempt {paid}: it is settled, there is nothing to close.")
        note = Note(context.clock(), by, None, {"why": why, "reason": reason, "confirmed_by": confirmed_by})
        listing = last_listing(connection, source, profile, charge_id)
        closed = close_charge(
            connection, billing_source=source, profile=profile, charge_id=charge_id, reason=reason, listing=listing,
            note=note, words=why,
        )  # fmt: skip
        if not closed:
            raise NotAllowed(f"Charge {charge_id} was closed before. `python -m include.cli explain` says by whom.")
    context.step("close charge: recorded")
    return (
        f"Charge {charge_id} is closed ({reason}): no further attempt is made. In the books of coming runs it is "
        f"settled, for the reason {reason}."
    )
