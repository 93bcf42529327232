"""Withdrawing a batch that has not left: its attempts end as withdrawn, its charges are free for another batch."""

from typing import Final

from include.domain.states import BEFORE_LEAVING, BatchState
from include.flows.context import FlowContext
from include.flows.manifests import refuse_if_it_left
from include.flows.tell_merchant import tell_withdrawal
from include.ledger import tables
from include.ledger.batches import find_batch, withdraw_attempts
from include.ledger.events import Note, enter
from include.ledger.matching import lock_matching

NOT_YET_VISIBLE: Final = tables.batch.c.state.in_(BEFORE_LEAVING)
"""Nothing of the batch can have become visible at the server."""


def withdraw_batch(context: FlowContext, batch_id: int, run_id: int | None, why: str, actor: str = "deliver") -> bool:
    """Withdraw a batch, if nothing of it can have become visible at the server, and tell the merchant.

    A delivery that is under way finds out before it renames, and stops.

    Returns:
        Whether the batch is withdrawn now.

    Raises:
        LedgerForgot: Its manifest says that it left, after the state that this ledger was restored from.
        NotAllowed: A report speaks of it as if DOKU had charged it.
    """
    with context.ledger.read() as connection:
        refuse_if_it_left(context, find_batch(connection, batch_id))
    now = context.clock()
    context.step("withdraw: before it is recorded")
    with context.ledger.write() as connection:
        lock_matching(connection, context.profile.name)
        note = Note(now, actor, run_id, {"why": why})
        if enter(connection, batch_id, BatchState.WITHDRAWN, note, NOT_YET_VISIBLE):
            withdraw_attempts(connection, batch_id, f"{why}; nothing became visible at the server", now)
        current = find_batch(connection, batch_id)
    context.step("withdraw: committed")
    if current.state is not BatchState.WITHDRAWN:
        return False
    tell_withdrawal(context, current)
    return True
