"""Verify: recompute from the records what the ledger says, and name everything that differs."""

from collections.abc import Iterator

from include.domain.errors import ArtefactError, BooksDoNotTie
from include.flows.context import FlowContext
from include.ledger.batches import Batch, all_batches
from include.ledger.books import batch_lines, kept_lines, refuse_unless_batch_ties, refuse_unless_run_ties, run_lines
from include.ledger.reports import all_reports
from include.ledger.runs import claimed_runs


def findings(context: FlowContext) -> Iterator[str]:
    """Everything that is wrong, a sentence each; nothing when all is well.

    Checked: the books of every submit run and of every batch (promise 2), the plaintext of every sealed batch against
    its attempts (promise 3), the digest of every kept file (promise 3 and 5).
    """
    name = context.profile.name
    with context.ledger.read() as connection:
        runs, batches, reports = (
            claimed_runs(connection, name),
            all_batches(connection, name),
            all_reports(connection, name),
        )
    for run_id in runs:
        yield from _run(context, run_id)
    for batch in batches:
        yield from _batch(context, batch)
    for report in reports:
        yield from _kept(context, report.artefact, report.content_digest)


def _run(context: FlowContext, run_id: int) -> Iterator[str]:
    with context.ledger.read() as connection:
        at_claim = [line for line in kept_lines(connection, run_id) if line.term in ("rows", "due")]
        lines = [*at_claim, *run_lines(connection, run_id)]
    try:
        refuse_unless_run_ties(lines)
    except BooksDoNotTie as caught:
        yield f"run {run_id}: {caught.message}"


def _batch(context: FlowContext, batch: Batch) -> Iterator[str]:
    import hashlib

    from include.flows.seal import render_batch

    with context.ledger.read() as connection:
        lines = batch_lines(connection, batch.batch_id)
    try:
        refuse_unless_batch_ties(batch.file_name, lines)
    except BooksDoNotTie as caught:
        yield caught.message
    if batch.artefact is None or batch.envelope_digest is None:
        return
    yield from _kept(context, batch.artefact, batch.envelope_digest)
    digest = hashlib.sha256()
    for chunk in render_batch(context, batch):
        digest.update(chunk)
    if digest.hexdigest() != batch.plaintext_digest:
        yield f"{batch.file_name}: its attempts or its layout were changed after it was sealed."


def _kept(context: FlowContext, artefact: str, digest: str) -> Iterator[str]:
    try:
        for _ in context.artefacts.read_proved(artefact, digest):
            pass
    except ArtefactError as caught:
        yield caught.message
