"""Reconcile, second half: conclude batches, write outcomes back to the merchant, close the books."""

from dataclasses import dataclass

from include.billing.outcomes import UpsertCounts
from include.domain.states import BatchState, ReportState, RunState
from include.flows.at_once import each_at_once
from include.flows.batch_books import books_of_each
from include.flows.context import FlowContext
from include.flows.due_questions import has_questions
from include.flows.fetch import delete_written_back
from include.flows.plan_next import plan_reports
from include.flows.tell_merchant import tell_all, tell_decisions, tell_testimonies, tell_withdrawal
from include.ledger.batches import OPEN_STATES, batches_in, batches_worked_on
from include.ledger.books import Line, keep_lines, refuse_unless_batch_ties, totals
from include.ledger.breaks import judge_charges, resolve_missing
from include.ledger.events import Note, enter
from include.ledger.matching import lock_matching
from include.ledger.reports import Report, last_reading, note_written_back, reports_in
from include.ledger.runs import Run, advance_run, find_run
from include.ledger.testimonies import untold_testimonies
from include.ledger.writeback import has_untold_decisions, outcomes_of_report

_ACTOR = "reconcile"


@dataclass(frozen=True)
class Concluded:
    """What reconciling came to: batches that are fully answered now, and those that still wait."""

    reconciled: tuple[str, ...]
    waiting: tuple[str, ...]


def conclude_batches(context: FlowContext, run_id: int | None) -> Concluded:
    """Mark the batches whose every attempt has an outcome as reconciled.

    A batch whose delivery nobody could judge is delivered when a report speaks of it: that is the proof.
    """
    reconciled, waiting = [], []
    context.step("reconcile: before batches are concluded")
    with context.ledger.read() as connection:
        books = books_of_each(context, batches_in(connection, context.profile.name, OPEN_STATES))
    with context.ledger.write() as connection:
        lock_matching(connection, context.profile.name)  # first, as everybody who witnesses something does
        for batch in batches_in(connection, context.profile.name, OPEN_STATES):
            if batch.batch_id not in books:  # it was made meanwhile
                continue
            found = totals(books[batch.batch_id])
            awaiting = found.get((batch.currency, "awaiting"), (0, 0))[0]
            now = context.clock()
            sent = batch.line_count - batch.withdrawn_count  # what was withdrawn before it left proves nothing
            if batch.state is not BatchState.DELIVERED and awaiting < sent:
                proof = Note(now, _ACTOR, run_id, {"proof": "a report answers it"})
                enter(connection, batch.batch_id, BatchState.DELIVERED, proof, delivered_at=now)
            if awaiting:
                waiting.append(batch.file_name)
                continue
            figures = {term: value for (_, term), value in found.items()}
            enter(
                connection, batch.batch_id, BatchState.RECONCILED, Note(now, _ACTOR, run_id, figures), reconciled_at=now
            )
            reconciled.append(batch.file_name)
        judge_charges(connection, context.profile.name, context.clock())
        resolve_missing(connection, context.profile.name, context.clock())
    context.step("reconcile: committed")
    return Concluded(tuple(reconciled), tuple(waiting))


def write_back(context: FlowContext) -> UpsertCounts:
    """Write the outcomes of all reports and withdrawals that the merchant has not been told of. Safe to repeat."""
    counts = UpsertCounts()
    with context.ledger.read() as connection:
        reports = reports_in(connection, context.profile.name, ReportState.INGESTED)
        withdrawn = batches_in(connection, context.profile.name, [BatchState.WITHDRAWN])
    for batch in withdrawn:
        tell_withdrawal(context, batch)
    counts += tell_testimonies(context)
    # All are planned for before one is told: what is read to tell a report is then what the others decided too.
    plan_reports(context, reports, None)
    for written in each_at_once(context.ledger, reports, lambda report: _write_report(context, report)):
        counts += written
    counts += tell_decisions(context)
    if context.profile.report.delete_after:
        delete_written_back(context)
    return counts


def close_reconcile_run(context: FlowContext, run: Run) -> list[Line]:
    """Store the books of the batches that are open or that this run changed, and prove that they tie.

    Raises:
        BooksDoNotTie: With both sides; the books are stored all the same.
    """
    context.step("close: before the books of batches are kept")
    with context.ledger.read() as connection:
        batches = batches_worked_on(connection, context.profile.name, run.run_id, OPEN_STATES)
    books = books_of_each(context, batches)
    lines = [line for of_batch in books.values() for line in of_batch]
    with context.ledger.write() as connection:
        current = find_run(connection, run.run_id, for_update=True)
        if current.state is not RunState.CLOSED:  # the books of a closed run stay as they were
            keep_lines(connection, run.run_id, lines)
    context.step("close: books of batches kept")
    for batch in batches:
        refuse_unless_batch_ties(batch.file_name, books[batch.batch_id])
    if current.state is not RunState.CLOSED:
        with context.ledger.write() as connection:
            advance_run(connection, run.run_id, state=RunState.CLOSED, closed_at=context.clock())
    context.step("close: reconcile run closed")
    return lines


def has_pending_work(context: FlowContext) -> bool:
    """Whether something waits for no report: one to take in, outcomes to write back, attempts to ask DOKU about."""
    with context.ledger.read() as connection:
        reports = reports_in(connection, context.profile.name, ReportState.FETCHED, ReportState.INGESTED)
        withdrawn = batches_in(connection, context.profile.name, [BatchState.WITHDRAWN])
        untold = untold_testimonies(connection, context.profile.name)
    untold_next = has_untold_decisions(context.ledger, context.profile.name)
    unwritten = any(batch.withdrawal_written_at is None for batch in withdrawn)
    return bool(reports or untold or untold_next or unwritten) or has_questions(context)


def _write_report(context: FlowContext, report: Report) -> UpsertCounts:
    """Tell the merchant of a report; once more if somebody reads it again meanwhile."""
    counts, told = UpsertCounts(), False
    while not told:
        plan_reports(context, [report], None)  # one that came in after the planning: it is not told without
        with context.ledger.read() as connection:
            reading, planned = last_reading(connection, report.report_id)
        if not planned:  # it was read again just now
            continue
        context.step("write back: before the merchant is told")
        counts += tell_all(context, outcomes_of_report(context.ledger, report.report_id))
        context.step("write back: merchant told")
        with context.ledger.write() as connection:
            told = note_written_back(connection, report.report_id, reading, context.clock())
        context.step("write back: committed")
    return counts
