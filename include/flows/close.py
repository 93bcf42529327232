"""Closing a submit run: its books must tie, and every batch of it must have left or be withdrawn."""

from include.domain.errors import DeliveryUnknown, LedgerError
from include.domain.states import BEFORE_LEAVING, BatchState, RunState
from include.flows.batch_books import books_of_each
from include.flows.context import FlowContext
from include.ledger.batches import Batch, find_batch
from include.ledger.books import Line, keep_lines, kept_lines, refuse_unless_run_ties, run_lines
from include.ledger.claims import batches_of_run
from include.ledger.runs import Run, advance_run, find_run


def close_submit_run(context: FlowContext, run: Run) -> list[Line]:
    """Store the books of a submit run and refuse to close it while they do not tie or a batch has not left.

    Returns:
        The run's lines.

    Raises:
        BooksDoNotTie: A conservation equation does not hold.
        LedgerError: The run has not claimed yet, or batches were not delivered: names them.
        DeliveryUnknown: Nobody can say of a batch whether it was delivered.
    """
    context.step("close: before the books are kept")
    with context.ledger.read() as connection:
        claimed = [find_batch(connection, batch_id) for batch_id in batches_of_run(connection, run.run_id)]
    of_batches = [line for lines in books_of_each(context, claimed).values() for line in lines]
    with context.ledger.write() as connection:
        current = find_run(connection, run.run_id, for_update=True)
        if current.state is RunState.OPEN:
            raise LedgerError("This run has not claimed anything yet. Run extract_and_claim first.")
        batches = [find_batch(connection, batch.batch_id) for batch in claimed]
        lines = run_lines(connection, run.run_id)
        if current.state is not RunState.CLOSED:  # the books of a closed run stay as they were
            keep_lines(connection, run.run_id, [*lines, *of_batches])
        kept = [line for line in kept_lines(connection, run.run_id) if line.batch_id == 0]
    context.step("close: books kept")
    refuse_unless_run_ties(kept)
    _refuse_unless_left(batches)
    if current.state is not RunState.CLOSED:
        with context.ledger.write() as connection:
            advance_run(connection, run.run_id, state=RunState.CLOSED, closed_at=context.clock())
    context.step("close: committed")
    return kept


def _refuse_unless_left(batches: list[Batch]) -> None:
    waiting = [batch.file_name for batch in batches if batch.state in BEFORE_LEAVING]
    unknown = [batch.file_name for batch in batches if batch.state in (BatchState.RENAMING, BatchState.UNKNOWN)]
    if waiting:
        raise LedgerError(
            f"Claimed but not delivered: {', '.join(waiting)}. See the failed delivery task, mend what it names, and "
            "clear it; the charges stay claimed and nothing is lost."
        )
    if unknown:
        raise DeliveryUnknown(
            f"Nobody can say yet whether these were delivered: {', '.join(unknown)}. "
            "Clear their delivery task to look at the server again."
        )
