"""The books of a business day, as a person or a report wants them: from the ledger's records, not from stored sums."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from include.domain.errors import BooksDoNotTie
from include.flows.context import FlowContext
from include.ledger.batches import Batch, find_batch
from include.ledger.books import (
    BATCH_TERMS,
    RUN_TERMS,
    Line,
    batch_lines,
    kept_lines,
    refuse_unless_batch_ties,
    refuse_unless_run_ties,
    run_lines,
    submit_runs,
)
from include.ledger.break_life import break_states_of, difference_of
from include.ledger.claims import batches_of_run
from include.ledger.reports import reports_on
from include.schemas.due_charges import describe


def books_of_day(context: FlowContext, business_date: date, run_id: int | None = None) -> dict[str, Any]:
    """What became of the charges of a day, for the run that looked at them first (or the one that is named).

    A later run of the same day finds everything in flight or settled; the first one tells the day.

    Returns:
        profile, business_date, run_id, currency, ties, why_not, one object {count, amount} for each term (amounts in
        major units, which for rupiah are the smallest), quarantined.by_reason, declined.by_code, held, deferred and
        in_flight .by_reason, difference (what was reported as paid above or below the attempts' own amounts; no term of
        the balance), breaks (how many by state), files, reports. Terms are zero when no run has looked at that day yet
        (run_id null).
    """
    with context.ledger.read() as connection:
        runs = submit_runs(connection, context.profile.name, business_date)
        chosen = run_id if run_id is not None else _first_with_batches(connection, runs)
        if chosen is None:
            return _document(context, business_date, None, [], [], [])
        at_claim = [line for line in kept_lines(connection, chosen) if line.term in ("rows", "due")]
        lines = [*at_claim, *run_lines(connection, chosen)]
        batches = [find_batch(connection, batch_id) for batch_id in batches_of_run(connection, chosen)]
        of_batches = [line for batch in batches for line in batch_lines(connection, batch.batch_id)]
        reports = sorted({name for batch in batches for name in reports_on(connection, batch.batch_id)})
        ids = [batch.batch_id for batch in batches]
        difference, breaks = difference_of(connection, ids), break_states_of(connection, ids)
    document = _document(context, business_date, chosen, lines, of_batches, batches)
    return {
        **document,
        "difference": {"count": difference[0], "amount": difference[1]},
        "breaks": breaks,
        "reports": [{"file_name": name, "kept": context.artefacts.place(kept)} for name, kept in reports],
    }


def _first_with_batches(connection: Any, runs: list[int]) -> int | None:
    with_batches = (run_id for run_id in runs if batches_of_run(connection, run_id))
    return next(with_batches, runs[-1] if runs else None)


def _document(
    context: FlowContext,
    business_date: date,
    run_id: int | None,
    lines: list[Line],
    of_batches: list[Line],
    batches: list[Batch],
) -> dict[str, Any]:
    why_not = _why_not(lines, of_batches, batches)
    terms = {term: _term(lines, term) for term in RUN_TERMS}
    terms |= {term: _term(of_batches, term) for term in BATCH_TERMS if term != "sent"}
    return {
        "profile": context.profile.name,
        "business_date": business_date.isoformat(),
        "run_id": run_id,
        "currency": "/".join(context.profile.limits.currencies),
        "ties": why_not is None and run_id is not None,
        "why_not": why_not,
        **terms,
        "difference": {"count": 0, "amount": 0},
        "breaks": {},
        "files": [_file(context, batch) for batch in batches],
        "reports": [],
    }


def _why_not(lines: list[Line], of_batches: list[Line], batches: list[Batch]) -> str | None:
    try:
        refuse_unless_run_ties(lines)
        for batch in batches:
            refuse_unless_batch_ties(batch.file_name, [line for line in of_batches if line.batch_id == batch.batch_id])
    except BooksDoNotTie as caught:
        return caught.message
    return None


def _term(lines: Iterable[Line], term: str) -> dict[str, Any]:
    chosen = [line for line in lines if line.term == term]
    found: dict[str, Any] = _sum(chosen)
    details = sorted({line.detail for line in chosen if line.detail})
    if details:
        key = "by_code" if term in ("declined", "paid") else "by_reason"
        found[key] = {detail: _sum(line for line in chosen if line.detail == detail) for detail in details}
    if term == "quarantined" and details:
        found["reasons"] = {
            f"{field}:{code}": sentence for detail in details for field, code, sentence in describe(detail)
        }
    return found


def _sum(lines: Iterable[Line]) -> dict[str, int]:
    listed = list(lines)
    return {"count": sum(line.count for line in listed), "amount": sum(line.amount for line in listed)}


def _file(context: FlowContext, batch: Batch) -> dict[str, Any]:
    return {
        "file_name": batch.file_name,
        "state": batch.state,
        "count": batch.line_count,
        "amount": batch.total_amount,
        "execute_date": batch.execute_date.isoformat(),
        "plaintext_sha256": batch.plaintext_digest,
        "envelope_sha256": batch.envelope_digest,
        "kept": context.artefacts.place(batch.artefact) if batch.artefact else None,
    }
