"""Four eyes: what one person proposes has no effect until another one confirms exactly that."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from include.domain.errors import NotAllowed
from include.flows.context import FlowContext
from include.flows.people import refuse_nobody, same_person
from include.flows.rehearsal import rehearsal
from include.ledger.events import Note, add_decision
from include.ledger.proposals import answer_proposal, find_proposal, keep_proposal

Carry = Callable[..., str]
"""What carries a decision out, and says in words what it did."""


@dataclass(frozen=True)
class Asked:
    """A decision that a person asks for; `about` holds everything but who and why."""

    operation: str
    subject: str
    about: Mapping[str, str]
    by: str
    why: str


def confirmation(confirmed_by: str | None) -> dict[str, str]:
    """What the trail says of the second person, where there was one."""
    return {"confirmed_by": confirmed_by} if confirmed_by else {}


def decide(context: FlowContext, asked: Asked, carry: Carry) -> str:
    """Do what a person asks for; where the profile asks for four eyes (`decisions.four_eyes`), propose it."""
    refuse_nobody(asked.by, asked.why)
    if context.profile.decisions.four_eyes:
        return propose(context, asked, carry)
    return carry(context, **asked.about, by=asked.by, why=asked.why)


def propose(context: FlowContext, asked: Asked, carry: Carry) -> str:
    """Keep a decision for a second person. NotAllowed where it would be refused, or is proposed already."""
    with rehearsal(context) as rehearsed:
        effect = carry(rehearsed, **asked.about, by=asked.by, why=asked.why)
    profile = context.profile.name
    with context.ledger.write() as connection:
        values = {
            "profile": profile, "operation": asked.operation, "subject": asked.subject, "effect": effect,
            "about": json.dumps(dict(asked.about), sort_keys=True), "why": asked.why,
            "proposed_by": asked.by, "proposed_at": context.clock(),
        }  # fmt: skip
        proposal_id = keep_proposal(connection, values)
        if proposal_id is None:
            raise NotAllowed(f"{asked.operation} of {asked.subject} is proposed already; confirm that, or drop it.")
        note = Note(context.clock(), asked.by, None, {"why": asked.why, "operation": asked.operation, **asked.about})
        add_decision(connection, profile, "proposal", str(proposal_id), note)
    return (
        f"Proposed as number {proposal_id}, and nothing more yet: this profile asks for four eyes. Another person "
        f"confirms it (`python -m include.cli confirm --profile {profile} {proposal_id} --by NAME --why WORDS --apply`)"
        f" or drops it. It would do this: {effect}"
    )


def confirm(context: FlowContext, *, proposal: int, by: str, why: str) -> str:
    """Carry out what another person proposed, if it would still do what was shown then."""
    from include.flows.batch_decisions import file_refused_now
    from include.flows.decisions import cancel_now, never_arrived_now
    from include.flows.recurring.bulk_delivery import registration_never_arrived_now
    from include.flows.recurring.cancel import bill_ended_now, cancel_bill_now
    from include.flows.settle import settle_now
    from include.flows.write_off import close_now

    refuse_nobody(by, why)
    profile = context.profile.name
    carriers: Mapping[str, Carry] = {
        "settle": settle_now, "close": close_now, "cancel": cancel_now, "never_arrived": never_arrived_now,
        "file_refused": file_refused_now, "cancel_bill": cancel_bill_now, "bill_ended": bill_ended_now,
        "registration_never_arrived": registration_never_arrived_now,
    }  # fmt: skip
    with context.ledger.read() as connection:
        found = find_proposal(connection, profile, proposal)
    if found is None or found.state != "open":
        raise NotAllowed(f"There is no open proposal {proposal} of profile {profile}.")
    if same_person(found.proposed_by, by):
        raise NotAllowed(f"{by} proposed this and may not confirm it (decisions.four_eyes). Ask somebody else.")
    carry = carriers[found.operation]
    asked = {**found.about, "by": found.proposed_by, "why": found.why, "confirmed_by": by}
    with rehearsal(context) as rehearsed:
        effect = carry(rehearsed, **asked)
    if effect != found.effect:
        raise NotAllowed(
            f"What proposal {proposal} would do has changed since it was made. Then: {found.effect} Now: {effect} "
            "Nothing was done; drop it, and propose it anew."
        )
    said = carry(context, **asked)
    with context.ledger.write() as connection:
        answer_proposal(connection, proposal, "confirmed", by, context.clock())
        add_decision(connection, profile, "confirm", str(proposal), Note(context.clock(), by, None, {"why": why}))
    return said


def drop(context: FlowContext, *, proposal: int, by: str, why: str) -> str:
    """Take a proposal off the table: by whoever made it, or by somebody who will not confirm it."""
    refuse_nobody(by, why)
    with context.ledger.write() as connection:
        found = find_proposal(connection, context.profile.name, proposal)
        if found is None or found.state != "open":
            raise NotAllowed(f"There is no open proposal {proposal} of profile {context.profile.name}.")
        answer_proposal(connection, proposal, "withdrawn", by, context.clock())
        note = Note(context.clock(), by, None, {"why": why})
        add_decision(connection, context.profile.name, "drop", str(proposal), note)
    return f"Proposal {proposal} ({found.operation} of {found.subject}) is dropped: nothing was done."
