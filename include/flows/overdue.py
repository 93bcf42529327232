"""Batches that missed their cut-off: withdrawn, so that the next claim takes their charges again."""

from include.domain.calendar import cutoff_of
from include.domain.states import BEFORE_LEAVING
from include.flows.context import FlowContext
from include.flows.withdraw import withdraw_batch
from include.ledger.batches import batches_in


def withdraw_overdue(context: FlowContext, run_id: int | None) -> list[str]:
    """Withdraw the profile's batches that have not left and whose execute date's cut-off is over; their names."""
    profile = context.profile
    with context.ledger.read() as connection:
        waiting = batches_in(connection, profile.name, BEFORE_LEAVING)
    late = [
        one for one in waiting if context.clock() >= cutoff_of(one.execute_date, profile.batch.cutoff, profile.zone)
    ]
    why = "not delivered before the cut-off of {}"
    return [
        one.file_name for one in late if withdraw_batch(context, one.batch_id, run_id, why.format(one.execute_date))
    ]
