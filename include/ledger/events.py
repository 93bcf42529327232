"""A batch's states: every change is an event, and two workers cannot both make it."""

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from include.domain.errors import LedgerError
from include.domain.states import BATCH_TRANSITIONS, BatchState
from include.ledger.tables import batch, batch_event


def add_event(
    connection: Connection,
    batch_id: int,
    state: BatchState,
    *,
    at: datetime,
    actor: str,
    run_id: int | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Append the event of a state that the batch has just been given (by `enter`, or by being made)."""
    number = select(func.coalesce(func.max(batch_event.c.event_no), 0) + 1).where(batch_event.c.batch_id == batch_id)
    values = {
        "batch_id": batch_id,
        "event_no": number.scalar_subquery(),
        "state": state,
        "at": at,
        "run_id": run_id,
        "actor": actor,
        "details": json.dumps(details or {}, sort_keys=True, default=str),
    }
    connection.execute(insert(batch_event).values(values))


def enter(
    connection: Connection,
    batch_id: int,
    state: BatchState,
    *,
    at: datetime,
    actor: str,
    run_id: int | None = None,
    details: Mapping[str, object] | None = None,
    **columns: object,
) -> bool:
    """Move a batch to a state, if it may go there from where it is.

    Args:
        connection: In a writing transaction.
        columns: Columns of the batch to set with it.

    Returns:
        False when the batch is in that state already: somebody else was first, and nothing was changed.

    Raises:
        LedgerError: The state may not follow the one the batch is in.
    """
    allowed = [origin for origin, targets in BATCH_TRANSITIONS.items() if origin is not None and state in targets]
    statement = update(batch).where(batch.c.batch_id == batch_id, batch.c.state.in_(allowed))
    if connection.execute(statement.values(state=state, **columns)).rowcount == 1:
        add_event(connection, batch_id, state, at=at, actor=actor, run_id=run_id, details=details)
        return True
    found = connection.scalar(select(batch.c.state).where(batch.c.batch_id == batch_id))
    if found == state:
        return False
    raise LedgerError(f"Batch {batch_id} is {found or 'not in the ledger'}; it cannot become {state} from there.")
