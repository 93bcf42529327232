"""Operations by hand: shown before they are had, refused where they would break a promise, kept with who and why."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from include.domain.errors import ConfigError, NotAllowed
from include.domain.operations import OPERATIONS, Operation
from include.flows import approve, batch_decisions, break_decisions, decisions
from include.flows.context import FlowContext
from include.flows.notices import take_in_again
from include.flows.propose import confirm, drop
from include.flows.recurring import bulk_delivery, cancel, changes
from include.flows.rehearsal import rehearsal
from include.flows.reingest import reingest
from include.flows.settle import settle
from include.flows.setup_mended import setup_mended
from include.flows.tokens.accept import accept_token_losses
from include.flows.write_off import close
from include.ledger.books import batch_lines, totals
from include.ledger.effects import batches_about, break_counts, done_before, events_after, last_event
from include.ledger.events import Note, add_decision

Value = str | int
Flow = Callable[..., str]

FLOWS: Final[Mapping[str, Flow]] = {
    "hold": decisions.hold,
    "lift": decisions.lift,
    "release": decisions.release,
    "cancel": decisions.cancel,
    "close": close,
    "approve": approve.approve,
    "refuse": approve.refuse,
    "withdraw": decisions.withdraw,
    "resend": batch_decisions.resend,
    "arrived": decisions.arrived,
    "never_arrived": decisions.never_arrived,
    "file_refused": batch_decisions.file_refused,
    "reopen": decisions.reopen,
    "reingest": reingest,
    "setup_mended": setup_mended,
    "settle": settle,
    "accept_token_losses": accept_token_losses,
    "cancel_bill": cancel.cancel_bill,
    "bill_ended": cancel.bill_ended,
    "bill_updated": changes.bill_updated,
    "ask_again": changes.ask_again,
    "registration_arrived": bulk_delivery.registration_arrived,
    "registration_never_arrived": bulk_delivery.registration_never_arrived,
    "take_in_again": take_in_again,
    "confirm": confirm,
    "drop": drop,
    "explain_break": break_decisions.explain_break,
    "resolve_break": break_decisions.resolve_break,
}
"""What carries each operation out, and says in words what it did."""


@dataclass(frozen=True)
class Effect:
    """What an operation would do: in words, and what it would leave behind in the ledger, a line each."""

    says: str
    changes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what it would do: the same as long as it would do the same."""
        return hashlib.sha256(self.says.encode()).hexdigest()


def rehearse(context: FlowContext, name: str, about: Mapping[str, Value], *, by: str, why: str) -> Effect:
    """What an operation would do now, by the code that would do it; nothing of it is done.

    Raises:
        ConfigError: What it needs to know is missing, or it is told what it does not need.
        DokuError: It would be refused; as the operation itself.
    """
    given = _given(OPERATIONS[name], about)
    profile = context.profile.name
    with rehearsal(context) as rehearsed:
        with rehearsed.ledger.read() as connection:
            before, breaks = last_event(connection, profile), break_counts(connection, profile)
        says = FLOWS[name](rehearsed, **given, by=by, why=why)
        with rehearsed.ledger.read() as connection:
            events = events_after(connection, profile, before)
            broken = break_counts(connection, profile)
            names = [str(value) for value in given.values()] + [one.subject for one in events]
            batches = batches_about(connection, profile, names)
            after = {batch_id: totals(batch_lines(connection, batch_id)) for batch_id in batches}
    changes = [f"{one.subject} becomes {one.state}" if one.state else f"{one.kind}: {one.subject}" for one in events]
    with context.ledger.read() as connection:
        for batch_id, file_name in batches.items():
            moved = _moved(totals(batch_lines(connection, batch_id)), after[batch_id])
            changes += [f"{file_name}: {words}" for words in moved]
    changes += [f"breaks {kind} {state}: {count:+d}" for (kind, state), count in sorted(_differences(breaks, broken))]
    return Effect(says, tuple(changes))


def carry_out(
    context: FlowContext,
    name: str,
    about: Mapping[str, Value],
    *,
    by: str,
    why: str,
    shown: str | None = None,
    request: str | None = None,
) -> str:
    """Carry an operation out; says what it did.

    Args:
        context: For which profile.
        name: Which.
        about: What it needs to know.
        by: The person.
        why: The person's reason.
        shown: Digest of the effect that the person was shown.
        request: A name of this very asking: asked again under it, nothing happens twice.

    Raises:
        ConfigError: What it needs to know is missing, or it is told what it does not need.
        NotAllowed: Refused; or it would do something else by now than was shown.
    """
    given = _given(OPERATIONS[name], about)
    if request is not None:
        with context.ledger.read() as connection:
            if done_before(connection, context.profile.name, request):
                return f"{name} was done before, by this very request; nothing was done again."
    if shown is not None:
        now = rehearse(context, name, about, by=by, why=why)
        if now.digest != shown:
            raise NotAllowed(
                f"What {name} would do has changed since it was shown. Now: {now.says} Nothing was done; ask for it "
                "anew."
            )
    said = FLOWS[name](context, **given, by=by, why=why)
    if request is not None:
        with context.ledger.write() as connection:
            note = Note(context.clock(), by, None, {"operation": name, "why": why})
            add_decision(connection, context.profile.name, "request", request, note)
    return said


def _given(operation: Operation, about: Mapping[str, Value]) -> dict[str, Value]:
    """What the operation needs to know, each of its type."""
    told = {name: value for name, value in about.items() if value not in (None, "")}
    known = {field.name: field for field in operation.fields}
    strange = sorted(set(told) - set(known))
    if strange:
        raise ConfigError(f"operation {operation.name}", "", f"takes no {', '.join(strange)}; leave it empty")
    missing = [name for name, field in known.items() if name not in told and not field.optional]
    if missing:
        raise ConfigError(f"operation {operation.name}", "", f"needs {', '.join(missing)}")
    for name, value in told.items():
        choices = known[name].choices
        if choices and value not in choices:
            reason = f"{value!r} is none of {', '.join(choices)}"
            raise ConfigError(f"operation {operation.name}", name, reason)
    return told


Totals = Mapping[tuple[str, str], tuple[int, int]]


def _moved(before: Totals, after: Totals) -> list[str]:
    found = []
    for key in sorted(set(before) | set(after)):
        (count, amount), (count_then, amount_then) = before.get(key, (0, 0)), after.get(key, (0, 0))
        if (count, amount) != (count_then, amount_then):
            currency, term = key
            found.append(f"{term} {count:,} to {count_then:,} attempts, {currency} {amount:,} to {amount_then:,}")
    return found


def _differences(
    before: Counter[tuple[str, str]], after: Counter[tuple[str, str]]
) -> list[tuple[tuple[str, str], int]]:
    return [(key, after[key] - before[key]) for key in set(before) | set(after) if after[key] != before[key]]
