"""Recover, first part: outcomes that the merchant was told of and the ledger has forgotten."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from include.domain.states import BatchState, OutcomeStatus
from include.flows.context import FlowContext
from include.ledger.batches import BEFORE_IT_LEFT, find_batch, update_batch
from include.ledger.events import Note, add_decision, enter
from include.ledger.tables import attempt, outcome

RECOVERED: Final = "recovered from doku_charge_outcomes"
_WAY: Final = (BatchState.SEALED, BatchState.DELIVERING, BatchState.RENAMING, BatchState.UNKNOWN)


@dataclass(frozen=True)
class Recovered:
    """What was (or would be) rebuilt of one batch file.

    Attributes:
        count, total: Of the attempts that were forgotten, or of which something was.
        state: The batch's now, by what the server shows of it; `noted`: only a manifest of the lost state was noted.
    """

    file_name: str
    ledger_id: str
    count: int
    total: int
    state: str


def recover_outcomes(
    context: FlowContext, known: Iterable[Mapping[str, Any]], *, by: str, apply: bool
) -> list[Recovered]:
    """Append the outcomes that attempts have in the billing database and not in the ledger.

    Args:
        known: Rows of `known_attempts` whose attempts the ledger knows.
    """
    found = []
    with context.ledger.write() as connection:
        forgotten = sorted(
            (row for row in known if _is_forgotten(connection, row)), key=lambda row: str(row["batch_name"])
        )
        for _, group in groupby(forgotten, key=lambda row: str(row["batch_name"])):
            found.append(_recover(context, connection, list(group), by=by, apply=apply))
    return found


def insert_outcome(
    connection: Connection, context: FlowContext, row: Mapping[str, Any], amount: int, witness: str = "billing"
) -> None:
    """The outcome that a row of the billing database tells of; nothing for a claim."""
    if row["status"] not in set(OutcomeStatus):
        return
    decided = row["decided_at"].replace(tzinfo=UTC) if row["decided_at"] else context.clock()
    values = {
        "invoice_number": row["invoice_number"],
        "status": row["status"],
        "response_code": row["response_code"],
        "response_message": row["response_message"],
        "approval_code": row["approval_code"],
        "amount": amount,
        "decided_at": decided,
        "witness": witness,
        "proof": RECOVERED,
    }
    connection.execute(insert(outcome).values(values))


def lead_to(connection: Connection, batch_id: int, state: BatchState, note: Note) -> None:
    """Take a batch along the ordinary way of states to one further on."""
    for one in _WAY:
        if state is BatchState.WITHDRAWN and enter(connection, batch_id, state, note, attempt_of(batch_id)):
            return
        enter(connection, batch_id, one, note, attempt_of(batch_id))
        if one is state:
            return
    enter(connection, batch_id, state, note, attempt_of(batch_id))


def attempt_of(batch_id: int) -> Any:
    """A condition that always holds: a state that does not follow is passed over instead of being an error."""
    return select(attempt.c.line_no).where(attempt.c.batch_id == batch_id).exists()


def _is_forgotten(connection: Connection, row: Mapping[str, Any]) -> bool:
    if row["status"] not in set(OutcomeStatus):
        return False
    where = (outcome.c.invoice_number == row["invoice_number"], outcome.c.status == row["status"])
    return connection.execute(select(outcome.c.status).where(*where)).first() is None


def _recover(
    context: FlowContext, connection: Connection, rows: list[Mapping[str, Any]], *, by: str, apply: bool
) -> Recovered:
    frozen = select(attempt.c.batch_id, attempt.c.amount)
    attempts = [
        connection.execute(frozen.where(attempt.c.invoice_number == row["invoice_number"])).one() for row in rows
    ]
    batch = find_batch(connection, attempts[0].batch_id)
    total = sum(one.amount for one in attempts)
    if apply:
        gone = [one.amount for row, one in zip(rows, attempts, strict=True) if row["status"] == OutcomeStatus.WITHDRAWN]
        lines = connection.scalar(select(func.count()).where(attempt.c.batch_id == batch.batch_id))
        whole = batch.withdrawn_count + len(gone) == lines
        note = Note(context.clock(), by, None, {"outcomes": len(rows), "total": total})
        for row, one in zip(rows, attempts, strict=True):
            single = row["status"] == OutcomeStatus.WITHDRAWN and not whole
            insert_outcome(connection, context, row, one.amount, BEFORE_IT_LEFT if single else "billing")
        if gone and whole:
            lead_to(connection, batch.batch_id, BatchState.WITHDRAWN, note)
            update_batch(connection, batch.batch_id, withdrawal_written_at=context.clock())
        elif gone:
            left = {"withdrawn_count": batch.withdrawn_count + len(gone)}
            update_batch(connection, batch.batch_id, **left, withdrawn_amount=batch.withdrawn_amount + sum(gone))
        add_decision(connection, batch.profile, "recover", batch.file_name, note)
    state = find_batch(connection, batch.batch_id).state
    return Recovered(batch.file_name, rows[0]["ledger_id"], len(rows), total, state)
