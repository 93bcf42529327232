"""A batch's states and people's decisions: every one is an event, and two workers cannot both make it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from include.domain.errors import LedgerError
from include.domain.states import BATCH_TRANSITIONS, BatchState
from include.ledger.chain import append, lock_chain
from include.ledger.tables import batch, event


@dataclass(frozen=True)
class Note:
    """What is kept of a change of state or of a decision.

    Attributes:
        at: The moment, with a timezone.
        actor: A person, or the flow that did it.
        run_id: The run it was done in, if any.
        details: Figures, names and digests; never a token.
    """

    at: datetime
    actor: str
    run_id: int | None = None
    details: Mapping[str, object] = field(default_factory=dict)


def add_decision(connection: Connection, profile: str, kind: str, subject: str, note: Note) -> None:
    """Append what a person (or a rule in a person's place) decided."""
    lock_chain(connection, profile)
    append(connection, profile, {**_noted(note), "kind": kind, "subject": subject[:250]})


def add_batch_event(connection: Connection, profile: str, batch_id: int, state: BatchState, note: Note) -> None:
    """Append the event of a state that the batch has just been given (by `enter`, or by being made)."""
    lock_chain(connection, profile)
    last = select(func.coalesce(func.max(event.c.batch_event_no), 0)).where(event.c.batch_id == batch_id)
    name = connection.scalar(select(batch.c.file_name).where(batch.c.batch_id == batch_id))
    values = {
        **_noted(note),
        "kind": "batch",
        "subject": name or "",
        "batch_id": batch_id,
        "batch_event_no": int(connection.scalar(last) or 0) + 1,
        "state": str(state),
    }
    append(connection, profile, values)


def enter(
    connection: Connection,
    batch_id: int,
    state: BatchState,
    note: Note,
    *conditions: ColumnElement[bool],
    **columns: object,
) -> bool:
    """Move a batch to a state, if it may go there from where it is.

    Args:
        connection: In a writing transaction.
        conditions: What else must be true of the batch, such as whose delivery it is.
        columns: Columns of the batch to set with it.

    Returns:
        False, with nothing changed, when the batch is in that state already or, where there are conditions, when it
        may not or they do not hold: somebody else was first.

    Raises:
        LedgerError: Without conditions: the state may not follow the one the batch is in.
    """
    profile = connection.scalar(select(batch.c.profile).where(batch.c.batch_id == batch_id))
    if profile is None:
        raise LedgerError(f"The ledger knows no batch {batch_id}.")
    lock_chain(connection, profile)  # before the row: everybody takes them in this order
    allowed = [origin for origin, targets in BATCH_TRANSITIONS.items() if origin is not None and state in targets]
    statement = update(batch).where(batch.c.batch_id == batch_id, batch.c.state.in_(allowed), *conditions)
    if connection.execute(statement.values(state=state, **columns)).rowcount == 1:
        add_batch_event(connection, profile, batch_id, state, note)
        return True
    found = connection.scalar(select(batch.c.state).where(batch.c.batch_id == batch_id))
    if found == state or conditions:
        return False
    raise LedgerError(f"Batch {batch_id} is {found}; it cannot become {state} from there.")


def _noted(note: Note) -> dict[str, object]:
    return {
        "at": note.at,
        "run_id": note.run_id,
        "actor": note.actor,
        "details": json.dumps(note.details, sort_keys=True, default=str),
    }
