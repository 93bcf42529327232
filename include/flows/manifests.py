"""Manifests: what stands beside each file that was sent or received, and ties it to the sealed trail of events.

A manifest is written before the event that names it. It carries the head of the event chain at that moment, so that
events cut off behind it show, and its own digest stands in the event, so that a changed manifest shows.
"""

import json
from collections.abc import Mapping
from typing import Any

from include.flows.artefacts import Kept
from include.flows.context import FlowContext
from include.ledger.approvals import answer_to, load_of_run
from include.ledger.batches import Batch
from include.ledger.chain import head
from include.ledger.reports import Report


def folder_of(profile: str) -> str:
    """Where a profile's manifests are, in the artefact store."""
    return f"manifests/{profile}"


def keep_batch_manifest(context: FlowContext, batch: Batch) -> Kept:
    """The manifest of a batch file that is about to be delivered."""
    with context.ledger.read() as connection:
        load = load_of_run(connection, batch.run_id)
        answer = answer_to(connection, batch.run_id, load)
    facts = {
        "batch_file": batch.file_name,
        "business_date": batch.business_date.isoformat(),
        "execute_date": batch.execute_date.isoformat(),
        "sequence": batch.sequence,
        "currency": batch.currency,
        "count": batch.line_count - batch.withdrawn_count,
        "total": batch.total_amount - batch.withdrawn_amount,
        "layout": batch.layout_digest,
        "plaintext_sha256": batch.plaintext_digest,
        "envelope_sha256": batch.envelope_digest,
        "envelope_size": batch.envelope_size,
        "key_fingerprint": batch.key_fingerprint,
        "artefact": batch.artefact,
        "approved_by": answer.answered_by if answer else None,
    }
    return _keep(context, batch.file_name, facts)


def keep_report_manifest(context: FlowContext, report: Report, *, layout: str, count: int, total: int) -> Kept:
    """The manifest of a report that is about to be taken in."""
    facts = {
        "report_file": report.file_name,
        "content_sha256": report.content_digest,
        "size": report.size,
        "layout": layout,
        "count": count,
        "total": total,
        "artefact": report.artefact,
    }
    return _keep(context, report.file_name, facts)


def _keep(context: FlowContext, name: str, facts: Mapping[str, Any]) -> Kept:
    with context.ledger.read() as connection:
        seq, sealed = head(connection, context.profile.name)
    document = {
        **facts,
        "profile": context.profile.name,
        "ledger": context.ledger.ledger_id,
        "written_at": context.clock().isoformat(),
        "events": {"seq": seq, "hash": sealed},
    }
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    return context.artefacts.keep(folder_of(context.profile.name), f"{name}.json", [text.encode("utf-8")])
