"""Verify: recompute from both databases and the kept files what the ledger says, and name everything that differs."""

import hashlib
from collections.abc import Iterator

from include.billing.known_attempts import known_attempts
from include.domain.errors import ArtefactError, BooksDoNotTie, DokuError
from include.domain.money import to_smallest_unit
from include.flows.context import FlowContext
from include.flows.manifests import folder_of, manifest_at
from include.flows.recurring.verify import findings_of_bills
from include.flows.recurring.verify_register import findings_of_register
from include.flows.seal import render_batch
from include.flows.tokens.verify import findings_of_tokens
from include.ledger.audit import (
    attempts_of,
    batches_out_of_step,
    charges_with_two_live_attempts,
    decisions_without_event,
    event_hashes,
    lost_manifests_noted,
    manifests_named,
    outcomes_without_witness,
    removed_by_housekeeping,
    reports_not_named_on_batch,
    totals_that_differ,
)
from include.ledger.batches import Batch, all_batches
from include.ledger.books import batch_lines, kept_lines, refuse_unless_batch_ties, refuse_unless_run_ties, run_lines
from include.ledger.chain import broken_links
from include.ledger.references import checks_switched_off, rows_that_refer_to_nothing
from include.ledger.reports import all_reports
from include.ledger.runs import claimed_runs
from include.ledger.summaries import kept_summaries


def findings(context: FlowContext) -> Iterator[str]:
    """Everything that is wrong, a sentence each; nothing when all is well.

    Checked are promise 1 (no second live attempt; the billing database knows none that we do not), 2 (books of runs and
    batches), 3 (plaintext against attempts, kept envelopes), 5 (kept reports) and 6 (each outcome has its witness), the
    kept summaries, the sealed trail (chain of events, manifests), that no row refers to one that is not there, DOKU's
    charges for bills and the register of them.
    """
    yield from _ledger(context)
    yield from _runs(context)
    yield from _batches(context)
    yield from _reports(context)
    yield from _summaries(context)
    yield from _manifests(context)
    yield from _billing(context)
    yield from findings_of_bills(context)
    yield from findings_of_register(context)
    yield from findings_of_tokens(context)


def _ledger(context: FlowContext) -> Iterator[str]:
    profile = context.profile.name
    with context.ledger.read() as connection:
        yield from broken_links(connection, profile)
        yield from charges_with_two_live_attempts(connection, context.profile.billing_source)
        yield from outcomes_without_witness(connection, profile)
        yield from batches_out_of_step(connection, profile)
        yield from totals_that_differ(connection, profile)
        yield from reports_not_named_on_batch(connection, profile)
        yield from decisions_without_event(connection, profile)
        yield from checks_switched_off(connection)
        yield from rows_that_refer_to_nothing(connection)


def _runs(context: FlowContext) -> Iterator[str]:
    with context.ledger.read() as connection:
        for run_id in claimed_runs(connection, context.profile.name):
            at_claim = [line for line in kept_lines(connection, run_id) if line.term in ("rows", "due")]
            try:
                refuse_unless_run_ties([*at_claim, *run_lines(connection, run_id)])
            except BooksDoNotTie as caught:
                yield f"run {run_id}: {caught.message}"


def _batches(context: FlowContext) -> Iterator[str]:
    with context.ledger.read() as connection:
        batches = all_batches(connection, context.profile.name)
        removed, tokenless = removed_by_housekeeping(connection, context.profile.name)
    for batch in batches:
        with context.ledger.read() as connection:
            lines = batch_lines(connection, batch.batch_id)
        try:
            refuse_unless_batch_ties(batch.file_name, lines)
        except BooksDoNotTie as caught:
            yield caught.message
        if batch.artefact and batch.envelope_digest and removed.get(batch.artefact) != batch.envelope_digest:
            yield from _kept(context, batch.artefact, batch.envelope_digest)
        if batch.plaintext_digest and batch.file_name not in tokenless:
            yield from _plaintext(context, batch)


def _plaintext(context: FlowContext, batch: Batch) -> Iterator[str]:
    digest = hashlib.sha256()
    try:
        for chunk in render_batch(context, batch):
            digest.update(chunk)
    except DokuError as caught:
        yield f"{batch.file_name} cannot be rendered again: {caught.message}"
        return
    if digest.hexdigest() != batch.plaintext_digest:
        yield f"{batch.file_name}: its attempts or its layout were changed after it was sealed."


def _reports(context: FlowContext) -> Iterator[str]:
    with context.ledger.read() as connection:
        reports = all_reports(connection, context.profile.name)
        removed, _ = removed_by_housekeeping(connection, context.profile.name)
    for report in reports:
        if removed.get(report.artefact) == report.content_digest:
            continue
        yield from _kept(context, report.artefact, report.content_digest)


def _summaries(context: FlowContext) -> Iterator[str]:
    with context.ledger.read() as connection:
        kept = kept_summaries(connection, context.profile.name)
    for artefact, digest in kept:
        yield from _kept(context, artefact, digest)


def _manifests(context: FlowContext) -> Iterator[str]:
    """Manifests that events name are there and unchanged; the events that a manifest saw are all there."""
    profile = context.profile.name
    with context.ledger.read() as connection:
        named = manifests_named(connection, profile)
        hashes = event_hashes(connection, profile)
        noted = lost_manifests_noted(connection, profile)
    for artefact, digest in named:
        yield from _kept(context, artefact, digest)
    for path, digest in noted.items():
        yield from _kept(context, path, digest)
    for path in context.artefacts.names(folder_of(profile)):
        try:
            document = manifest_at(context, path)
        except ArtefactError as caught:
            yield caught.message
            continue
        seen = document["events"]
        ours = document["ledger"] == context.ledger.ledger_id and path not in noted
        if ours and seen["seq"] and hashes.get(seen["seq"]) != seen["hash"]:
            yield f"Manifest {path} saw event {seen['seq']} of {profile}, which is missing or was altered since."


def _kept(context: FlowContext, artefact: str, digest: str) -> Iterator[str]:
    try:
        for _ in context.artefacts.read_proved(artefact, digest):
            pass
    except ArtefactError as caught:
        yield caught.message


def _billing(context: FlowContext) -> Iterator[str]:
    """What the merchant was told is what the ledger says."""
    billing = context.profile.billing
    rows = known_attempts(context.billing(), context.profile.billing_source, outcomes=billing.outcomes)
    with context.ledger.read() as connection:
        ours = attempts_of(connection, context.profile.name)
    for row in rows:
        if row["profile"] != context.profile.name:
            continue
        name = f"doku_charge_outcomes: charge {row['charge_id']}, attempt {row['attempt_no']}"
        known = ours.get(row["invoice_number"])
        if known is None:
            yield f"{name} is unknown to this ledger (it names ledger {row['ledger_id']}). Run recover."
            continue
        amount, status, told = known
        if to_smallest_unit(str(row["amount"]), row["currency"]) != amount:
            yield f"{name} has amount {row['amount']}, the ledger has {amount}."
        if row["status"] != status and told:
            yield f"{name} is {row['status']}, the ledger says {status}."
