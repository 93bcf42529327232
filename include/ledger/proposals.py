"""Decisions that wait for a second person."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from include.domain.states import ProposalState
from include.ledger.tables import proposal


@dataclass(frozen=True)
class Proposal:
    """A decision that somebody proposed; `effect` is what it would have done then, in words."""

    proposal_id: int
    operation: str
    subject: str
    about: Mapping[str, str]
    effect: str
    why: str
    proposed_by: str
    proposed_at: datetime
    state: ProposalState


def keep_proposal(connection: Connection, values: Mapping[str, Any]) -> int | None:
    """Keep a proposal; its number. None when the same is proposed already."""
    same = [proposal.c[name] == values[name] for name in ("profile", "operation", "subject")]
    waiting = select(proposal.c.proposal_id).where(*same, proposal.c.state == ProposalState.OPEN)
    if connection.execute(waiting).first() is not None:
        return None
    made = connection.execute(insert(proposal).values({**values, "state": ProposalState.OPEN})).inserted_primary_key
    return int(made[0]) if made else None


def find_proposal(connection: Connection, profile: str, proposal_id: int) -> Proposal | None:
    """A profile's proposal of that number."""
    return next((one for one in _proposals(connection, profile, proposal.c.proposal_id == proposal_id)), None)


def open_proposals(connection: Connection, profile: str) -> list[Proposal]:
    """The proposals that wait for a second person, oldest first."""
    return _proposals(connection, profile, proposal.c.state == ProposalState.OPEN)


def answer_proposal(connection: Connection, proposal_id: int, state: str, by: str, at: datetime) -> None:
    """Confirm or withdraw an open proposal. The ledger itself refuses a confirmation by who proposed it."""
    where = (proposal.c.proposal_id == proposal_id, proposal.c.state == ProposalState.OPEN)
    values = {"state": ProposalState(state), "answered_by": by, "answered_at": at}
    connection.execute(update(proposal).where(*where).values(**values))


def _proposals(connection: Connection, profile: str, *conditions: Any) -> list[Proposal]:
    names = Proposal.__dataclass_fields__
    statement = select(*(proposal.c[name] for name in names)).where(proposal.c.profile == profile, *conditions)
    return [
        Proposal(**{**row, "about": json.loads(row["about"]), "state": ProposalState(row["state"])})
        for row in connection.execute(statement.order_by(proposal.c.proposal_id)).mappings()
    ]
