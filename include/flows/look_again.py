"""Looking again: a batch that was claimed a while ago is compared with the view once more before it leaves.

A customer may have paid elsewhere, or the merchant corrected an amount, while the batch waited for an approval or for
the server; or a late report said that an earlier attempt was paid, or never again of a card; or DOKU charges the bill
itself by now. Attempts whose charge is gone, changed, paid, stopped or DOKU's own are withdrawn; the others go on,
rendered anew (design: what is frozen when).
"""

from datetime import datetime, timedelta
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, bindparam, text

from include.domain.states import BatchState
from include.flows.context import FlowContext
from include.flows.staging import stage_due_charges
from include.flows.tell_merchant import tell_all, tell_withdrawal
from include.ledger import tables
from include.ledger.batches import (
    BILLED_BY_DOKU,
    PAID_BEFORE,
    STOPPED_SINCE,
    Batch,
    find_batch,
    must_not_leave,
    refuse_if_reported,
    update_batch,
    withdrawn_of,
)
from include.ledger.chain import lock_chain
from include.ledger.events import Note, enter
from include.ledger.matching import lock_matching
from include.ledger.types import UtcDateTime
from include.ledger.writeback import outcomes_of_batch

_WITHDRAW: Final = f"""
    INSERT INTO outcome (invoice_number, status, decided_at, witness, proof)
    SELECT a.invoice_number, 'withdrawn', :at, 'look_again',
           CASE WHEN {PAID_BEFORE} THEN 'paid by an earlier attempt' WHEN {STOPPED_SINCE} THEN 'stopped by an answer'
                WHEN {BILLED_BY_DOKU} THEN 'charged by DOKU itself, as a bill'
                WHEN s.charge_id IS NULL THEN 'no longer listed' ELSE 'changed in the view' END
           || ' before it was sent; nothing became visible at the server'
    FROM attempt a LEFT JOIN staged_charge s ON s.charge_id = a.charge_id
    WHERE a.batch_id = :batch_id
      AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number)
      AND ({PAID_BEFORE} OR {STOPPED_SINCE} OR {BILLED_BY_DOKU}
           OR s.charge_id IS NULL OR s.reasons IS NOT NULL OR s.amount <> a.amount OR s.currency <> a.currency
           OR s.due_date <> a.due_date OR s.customer_id <> a.customer_id OR s.token <> a.token)
    ON CONFLICT (invoice_number, status) DO NOTHING
"""  # noqa: S608 - no value of anybody's is put in


def is_stale(context: FlowContext, batch: Batch) -> bool:
    """Whether a batch that has not left was compared with the view too long ago, or some of it must not leave."""
    age = context.clock() - (batch.looked_at or batch.created_at)
    if age > timedelta(minutes=context.profile.billing.look_again_minutes):
        return True
    with context.ledger.read() as connection:
        return bool(must_not_leave(connection, batch.batch_id))


def look_again(context: FlowContext, batch: Batch, run_id: int | None) -> Batch:
    """Compare a batch that is claimed or sealed with the view, and withdraw what is gone or changed.

    Returns:
        The batch as it is then: unchanged; `claimed` again, to be sealed anew without what was withdrawn; or withdrawn,
        when nothing of it is left.

    Raises:
        NotAllowed: A report speaks of what would be withdrawn as if DOKU had charged it.
    """
    with context.ledger.workspace() as workspace:
        stage_due_charges(context, workspace, batch.business_date, context.batch_layout())
        context.step("look again: everything staged")
        with workspace.write() as connection:
            now = context.clock()
            lock_matching(connection, batch.profile)
            lock_chain(connection, batch.profile)  # nobody changes the batch's state meanwhile
            current = find_batch(connection, batch.batch_id)
            if current.state not in (BatchState.CLAIMED, BatchState.SEALED):
                return current
            gone, amount = _withdraw_changed(connection, batch, now)
            update_batch(connection, batch.batch_id, looked_at=now)
            if gone:
                note = Note(now, "look_again", run_id, {"withdrawn": gone, "amount": amount})
                _go_back(connection, current, gone, amount, note)
            current = find_batch(connection, batch.batch_id)
    context.step("look again: committed")
    if current.state is BatchState.WITHDRAWN:
        tell_withdrawal(context, current)
    elif gone and batch.claims_written_at is not None:
        tell_all(context, outcomes_of_batch(context.ledger, batch.batch_id))
        context.step("look again: merchant told")
    return current


def _withdraw_changed(connection: Connection, batch: Batch, now: datetime) -> tuple[int, int]:
    """How many attempts were withdrawn, and their amounts."""
    before = withdrawn_of(connection, batch.batch_id)
    statement = text(dedent(_WITHDRAW)).bindparams(bindparam("at", value=now, type_=UtcDateTime))
    connection.execute(statement, {"batch_id": batch.batch_id})
    refuse_if_reported(connection, batch.batch_id)
    after = withdrawn_of(connection, batch.batch_id)
    return after[0] - before[0], after[1] - before[1]


def _go_back(connection: Connection, batch: Batch, gone: int, amount: int, note: Note) -> None:
    left = {
        "withdrawn_count": batch.withdrawn_count + gone,
        "withdrawn_amount": batch.withdrawn_amount + amount,
        "claims_written_at": None,  # told again before the batch leaves, should the telling now be cut short
    }
    cleared = dict.fromkeys(("plaintext_digest", "plaintext_size", "envelope_digest", "envelope_size", "artefact"))
    if left["withdrawn_count"] == batch.line_count:
        enter(connection, batch.batch_id, BatchState.WITHDRAWN, note, **left, **cleared)
    elif batch.state is BatchState.SEALED:
        sealed = tables.batch.c.state == BatchState.SEALED
        enter(connection, batch.batch_id, BatchState.CLAIMED, note, sealed, **left, **cleared)
    else:
        update_batch(connection, batch.batch_id, **left)
