"""Manifests: what stands beside each file that was sent or received, and ties it to the sealed trail of events.

A manifest is written before the event that names it. It carries the head of the event chain at that moment, so that
events cut off behind it show, and its own digest stands in the event, so that a changed manifest shows.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.domain.errors import ArtefactError, LedgerForgot
from include.domain.states import BEFORE_LEAVING
from include.flows.artefacts import Kept
from include.flows.context import FlowContext
from include.ledger.approvals import answer_to, load_of_run
from include.ledger.audit import event_hashes, lost_manifests_noted
from include.ledger.batches import Batch
from include.ledger.chain import GENESIS, hash_at, head
from include.ledger.registration_files import RegistrationFile
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


def keep_registration_manifest(context: FlowContext, one: RegistrationFile) -> Kept:
    """The manifest of a file that registers bills and is about to be delivered."""
    facts = {
        "registration_file": one.file_name,
        "business_date": one.business_date.isoformat(),
        "sequence": one.sequence,
        "currency": one.currency,
        "count": one.line_count,
        "total": one.total_amount,
        "layout": one.layout_digest,
        "plaintext_sha256": one.plaintext_digest,
        "envelope_sha256": one.envelope_digest,
        "envelope_size": one.envelope_size,
        "artefact": one.artefact,
    }
    return _keep(context, one.file_name, facts)


def refuse_if_it_left(context: FlowContext, batch: Batch) -> None:
    """A batch that this ledger has not sent may have left all the same, if the ledger was restored from a backup.

    The manifest is kept before the promise to rename and carries the chain's head of that moment.

    Raises:
        LedgerForgot: A manifest of the batch file saw events that this ledger does not have.
    """
    if batch.state not in BEFORE_LEAVING:
        return
    for document in manifests_of(context, batch.file_name):
        if is_of_a_lost_branch(context, document):
            raise LedgerForgot(
                f"{batch.file_name} is {batch.state} in this ledger, but its manifest shows that its delivery had come "
                "further: the ledger was restored from an older state. Nothing was sent or withdrawn. Run "
                f"`python -m include.cli recover --profile {batch.profile}`, and try again."
            )


def manifests_of(context: FlowContext, file_name: str) -> list[dict[str, Any]]:
    """The manifests of a batch file or a report, in the order of the events that they saw."""
    paths = context.artefacts.names(folder_of(context.profile.name))
    mine = [path for path in paths if path.rsplit("/", 1)[-1].startswith(f"{file_name}.json.")]
    return [manifest_at(context, path) for path in sorted(mine)]


def manifest_at(context: FlowContext, path: str) -> dict[str, Any]:
    """The manifest at a path of the artefact store. ArtefactError when it is gone or cannot be read any more."""
    try:
        document: dict[str, Any] = json.loads(b"".join(context.artefacts.read(path)))
        seen = document["events"]
        return {
            **document,
            "ledger": str(document["ledger"]),
            "events": {"seq": int(seen["seq"]), "hash": seen["hash"]},
        }
    except (ValueError, KeyError, TypeError):
        raise ArtefactError(
            f"The kept file {path} was altered: it is no manifest any more. Restore it from the backup."
        ) from None


def is_of_a_lost_branch(context: FlowContext, document: Mapping[str, Any]) -> bool:
    """Whether a manifest of this ledger saw an event that the ledger does not have."""
    if document["ledger"] != context.ledger.ledger_id:
        return False
    seen = document["events"]
    with context.ledger.read() as connection:
        return hash_at(connection, context.profile.name, int(seen["seq"])) != str(seen["hash"])


def lost_branch(context: FlowContext) -> dict[str, str]:
    """Manifests that saw events which this ledger does not have, and that no recovery has taken note of.

    Returns:
        SHA-256 (hex) of the manifest by its path; empty for a ledger that was never restored.
    """
    noted = _noted(context)
    found = {}
    for path in context.artefacts.names(folder_of(context.profile.name)):
        if path not in noted and is_of_a_lost_branch(context, manifest_at(context, path)):
            found[path] = hashlib.sha256(b"".join(context.artefacts.read(path))).hexdigest()
    return found


def refuse_if_restored(context: FlowContext) -> None:
    """The newest manifest of this ledger tells whether the ledger was restored from an older state.

    What people decided since that state (holds, cancellations, approvals) is lost with it, so nothing is claimed before
    a person has looked.

    Raises:
        LedgerForgot: It was restored.
    """
    noted = _noted(context)
    paths = (path for path in context.artefacts.names(folder_of(context.profile.name)) if path not in noted)
    newest = max(paths, key=_seq_of, default=None)
    if newest is not None and is_of_a_lost_branch(context, manifest_at(context, newest)):
        raise LedgerForgot(
            f"Manifest {newest} shows events that this ledger ({context.ledger.ledger_id}) does not have: it was "
            "restored from an older state. Nothing was claimed. Holds, cancellations and approvals since then are lost "
            f"with it: place them again. Run `python -m include.cli recover --profile {context.profile.name}`, "
            "and try again."
        )


@dataclass(frozen=True)
class Witnessed:
    """What a profile's manifests say about files that the ledger does not name.

    Attributes:
        artefacts: The kept files that they name: each was sent or taken in, or was about to be.
        doubt: Why the ledger may lack other ones too, in words; None: it knows of all.
    """

    artefacts: frozenset[str]
    doubt: str | None


def witnessed_by_manifests(context: FlowContext, since: datetime) -> Witnessed:
    """Read every manifest of the profile.

    Args:
        since: When the ledger was made or last recovered; what another ledger wrote before is known.
    """
    with context.ledger.read() as connection:
        hashes = {0: GENESIS, **event_hashes(connection, context.profile.name)}
        noted = lost_manifests_noted(connection, context.profile.name)
    named, doubt = set(), None
    for path in context.artefacts.names(folder_of(context.profile.name)):
        try:
            document = manifest_at(context, path)
            written_at = datetime.fromisoformat(document["written_at"])
        except (ArtefactError, KeyError, TypeError, ValueError):
            doubt = f"manifest {path} cannot be read any more: see verify"
            continue
        named.add(str(document.get("artefact")))
        if document["ledger"] != context.ledger.ledger_id:
            if written_at >= since:
                doubt = f"manifest {path} is of another ledger ({document['ledger']}), which keeps files here too"
        elif path not in noted and hashes.get(document["events"]["seq"]) != document["events"]["hash"]:
            doubt = f"manifest {path} shows events that this ledger does not have: it was restored; run recover first"
    return Witnessed(frozenset(named), doubt)


def _seq_of(path: str) -> int:
    return int(path.rsplit(".", 2)[-2])


def _noted(context: FlowContext) -> Mapping[str, str]:
    with context.ledger.read() as connection:
        return lost_manifests_noted(connection, context.profile.name)


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
    return context.artefacts.keep(folder_of(context.profile.name), f"{name}.json.{seq:010d}", [text.encode("utf-8")])
