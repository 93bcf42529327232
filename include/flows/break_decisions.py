"""What people decide about breaks: that they know the cause, or that it is done with, and what that does to the books.

Books count an attempt's own amount, whatever a break says; the difference lives in the break. So resolving a break
moves nothing between paid, declined and unknown: only an outcome does, and where an outcome is what is missing the
break is resolved by settling the attempt.
"""

from typing import Final

from sqlalchemy import Connection

from include.domain.errors import NotAllowed
from include.domain.money import for_people
from include.domain.states import BreakKind, BreakState, OutcomeStatus
from include.flows.context import FlowContext
from include.flows.people import refuse_nobody
from include.ledger import break_life
from include.ledger.bill_breaks import missing_without_answer
from include.ledger.break_life import Break, find_break, has_difference, still_unknown
from include.ledger.events import Note
from include.ledger.matching import lock_matching
from include.ledger.testimonies import find_attempt

DIFFERENCES: Final = ("stands", "void")
"""What becomes of a difference of amounts: the reported amount is right, or the attempt's own is."""

_UNDECIDED: Final = (None, OutcomeStatus.UNKNOWN)


def explain_break(context: FlowContext, *, number: int, by: str, why: str) -> str:
    """The cause of a break is known, and what mends it is under way. Nothing moves in the books.

    Raises:
        NotAllowed: Nobody in particular, no such break, or it is resolved.
    """
    refuse_nobody(by, why)
    context.step("break: before it is explained")
    with context.ledger.write() as connection:
        lock_matching(connection, context.profile.name)
        found = _unresolved(connection, context, number)
        note = Note(context.clock(), by, None, {"why": why, "state": BreakState.EXPLAINED, "before": found.state})
        break_life.explain_break(connection, context.profile.name, found, note, why)
    context.step("break: explained")
    return f"Break {number} ({found.kind} of {found.subject}) is explained. It stays in the books until it is resolved."


def resolve_break(context: FlowContext, *, number: int, by: str, why: str, difference: str = "") -> str:
    """A break is done with; says what that does to the books.

    Args:
        context: Whose break it is.
        number: Its number, as `breaks` lists it.
        by: Who decides.
        why: What was found out.
        difference: Where amounts differ, or a part was approved and collected: `stands` (the reported amount is what
            was collected) or `void`.

    Raises:
        NotAllowed: Nobody in particular, no such break, it is resolved, or an outcome is what it waits for.
    """
    refuse_nobody(by, why)
    profile = context.profile.name
    context.step("break: before it is resolved")
    with context.ledger.write() as connection:
        lock_matching(connection, profile)
        found = _unresolved(connection, context, number)
        _refuse_what_an_outcome_resolves(connection, profile, found)
        differs = has_difference(connection, found)
        booked = _booked(found, difference, differs=differs)
        details = {"why": why, "state": BreakState.RESOLVED, "before": found.state, "difference": difference or None}
        note = Note(context.clock(), by, None, details)
        break_life.resolve_break(connection, profile, found, note, why, booked)
    context.step("break: resolved")
    effect = _effect(context, found, booked, differs=differs)
    return f"Break {number} ({found.kind} of {found.subject}) is resolved. {effect}"


def _unresolved(connection: Connection, context: FlowContext, number: int) -> Break:
    found = find_break(connection, context.profile.name, number)
    if found is None:
        raise NotAllowed(
            f"Profile {context.profile.name} has no break {number}. "
            f"`python -m include.cli breaks --profile {context.profile.name}` lists those there are."
        )
    if found.state is BreakState.RESOLVED:
        raise NotAllowed(f"Break {number} is resolved, by {found.closed_by}: {found.closed_reason}.")
    return found


def _refuse_what_an_outcome_resolves(connection: Connection, profile: str, found: Break) -> None:
    name = f"Break {found.break_id} ({found.kind} of {found.subject})"
    if found.kind in (BreakKind.PARTIAL_APPROVAL, BreakKind.MISSING_LINE):
        attempt = find_attempt(connection, profile, found.invoice_number or "")
        if attempt is not None and attempt.status in _UNDECIDED:
            raise NotAllowed(f"{name} waits for an outcome: settle attempt {found.invoice_number} with evidence.")
    if found.kind is BreakKind.MISSING_CHARGE and missing_without_answer(connection, profile, found.subject):
        raise NotAllowed(f"{name} waits for an outcome: settle charge {found.subject} with evidence.")
    if found.kind is BreakKind.PAID_WHILE_IN_FLIGHT:
        raise NotAllowed(
            f"{name} ends with the later attempt: its report, or settling it, resolves this. Ask DOKU to stop "
            f"{found.invoice_number}, and void or refund it if it is charged."
        )
    if found.kind is BreakKind.COLLECTED_TWICE:
        raise NotAllowed(
            f"{name} ends when the money is given back: refund all but one payment at DOKU, then settle those attempts "
            "as reversed."
        )
    if found.kind is BreakKind.UNLISTED_CODE:
        waiting = still_unknown(connection, profile, found.subject)
        if waiting:
            raise NotAllowed(
                f"{name} leaves {waiting} attempts unknown: ask DOKU what the code means, add it to codes.toml and "
                "read its reports again (reingest), or settle the attempts."
            )


def _booked(found: Break, difference: str, *, differs: bool) -> int | None:
    if not differs:
        if difference:
            raise NotAllowed(f"Break {found.break_id} is {found.kind}: it has no difference that could stand or not.")
        return None
    if difference not in DIFFERENCES:
        raise NotAllowed(
            f"Break {found.break_id} is a difference of amounts: say whether it stands (what was reported was "
            f"collected) or is void (the attempt's own amount was): {' or '.join(DIFFERENCES)}."
        )
    return found.amount if difference == "stands" else None


def _effect(context: FlowContext, found: Break, booked: int | None, *, differs: bool) -> str:
    if not differs:
        return "Nothing moves in the books: the attempt keeps the outcome that it has."
    amount = for_people(found.amount, context.profile.limits.currencies[0])
    if booked is None:
        return f"Its difference of {amount} leaves the books: the attempt's own amount was collected."
    return f"Its difference of {amount} stays in the books: that much more (or less) was collected than was asked for."
