"""Batches that missed their cut-off: withdrawn, so that the next claim takes their charges again."""

from contextlib import suppress

from include.domain.errors import LedgerForgot, NotAllowed, RemoteError
from include.domain.states import BEFORE_LEAVING, BatchState
from include.flows.context import FlowContext
from include.flows.deliver import There, deliver, look
from include.flows.withdraw import withdraw_batch
from include.ledger.batches import Batch, batches_in
from include.ledger.events import Note, add_decision


def withdraw_overdue(context: FlowContext, run_id: int) -> list[str]:
    """Withdraw the profile's batches that have not left and whose execute date's cut-off is over; their names.

    The server is looked at first: a ledger that was restored from a backup may have forgotten that they left. While it
    does not answer they stay as they are, for a later run; and so does one that a report took for charged, with the
    reason in the trail.

    Raises:
        LedgerForgot, DeliveryRefused: The server, or a manifest, shows such a file.
    """
    profile = context.profile
    with context.ledger.read() as connection:
        waiting = batches_in(connection, profile.name, BEFORE_LEAVING)
    late = [one for one in waiting if context.clock() >= context.calendar.cutoff_of(one.execute_date)]
    return [one.file_name for one in late if _withdrawn(context, one, run_id)]


def _withdrawn(context: FlowContext, batch: Batch, run_id: int) -> bool:
    try:
        return _withdraw(context, batch, run_id)
    except NotAllowed as caught:
        with context.ledger.write() as connection:
            note = Note(context.clock(), "deliver", run_id, {"why": caught.message})
            add_decision(connection, batch.profile, "overdue", batch.file_name, note)
        return False


def _withdraw(context: FlowContext, batch: Batch, run_id: int) -> bool:
    with suppress(RemoteError):
        if batch.state is not BatchState.CLAIMED:
            return deliver(context, batch.batch_id, run_id).state is BatchState.WITHDRAWN
        with context.remote() as server:
            if look(context, server, batch).there is not There.ABSENT:
                raise LedgerForgot(
                    f"{batch.file_name} is only claimed in this ledger, but the server shows it: the ledger was "
                    "restored from an older state. Nothing was claimed. Run "
                    f"`python -m include.cli recover --profile {batch.profile}`, and try again."
                )
        why = f"not delivered before the cut-off of {batch.execute_date}"
        return withdraw_batch(context, batch.batch_id, run_id, why)
    return False
