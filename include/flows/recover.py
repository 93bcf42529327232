"""Recover: a ledger that forgot attempts gets them back, from the billing database, the manifests and DOKU's server.

What is rebuilt is enough to keep every promise about those attempts: they exist, they are live or settled, their
invoice numbers tie the reports to come. Tokens are not rebuilt: nothing is ever rendered from a recovered attempt.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from include.billing.known_attempts import known_attempts
from include.domain.errors import LedgerForgot
from include.domain.file_names import FileNameTemplate
from include.domain.invoice_numbers import LENGTH
from include.domain.money import to_smallest_unit
from include.domain.states import BEFORE_LEAVING, BatchState, OutcomeStatus, RunKind, RunState
from include.flows.context import FlowContext
from include.flows.deliver import There, look
from include.flows.manifests import lost_branch, manifests_of
from include.flows.recover_outcomes import RECOVERED, Recovered, insert_outcome, lead_to, recover_outcomes
from include.ledger.batches import Batch, batches_in, find_batch, update_batch
from include.ledger.books import keep_recovered
from include.ledger.events import Note, add_batch_event, add_decision, enter
from include.ledger.layouts import keep_layout
from include.ledger.tables import attempt, batch, outcome, run

_BEHIND: Final = "its manifest, or the server, shows that it had come further"
_FREEING: Final = (OutcomeStatus.DECLINED, OutcomeStatus.WITHDRAWN)


def recover(context: FlowContext, *, by: str, adopt: bool, apply: bool) -> list[Recovered]:
    """Rebuild what the billing database and the manifests know of this profile's attempts and the ledger does not.

    In this order: outcomes of attempts that it knows, attempts that it does not know, batches that had come further
    than it says, and a note in the trail of the manifests of the lost state.

    Args:
        by: The person who asks for it.
        adopt: Also take over attempts of other ledgers.
        apply: False: only say what would be rebuilt.

    Raises:
        LedgerForgot: There are attempts of another ledger, and `adopt` was not asked for.
    """
    missing, known = _missing(context)
    foreign = sorted({rows[0]["ledger_id"] for rows in missing.values()} - {context.ledger.ledger_id})
    if foreign and not adopt:
        raise LedgerForgot(
            f"Attempts of another ledger ({', '.join(foreign)}) stand in the billing database. "
            "If that ledger still exists, point the profile to it; if it is lost for good, "
            "run recover again with --adopt."
        )
    outcomes = recover_outcomes(context, known, by=by, apply=apply)
    rebuilt = [_rebuild(context, name, rows, by=by, apply=apply) for name, rows in sorted(missing.items())]
    lost = lost_branch(context)
    behind = [_catch_up(context, one, by=by, apply=apply) for one in _behind(context, lost)]
    found = [*outcomes, *rebuilt, *behind]
    if lost and apply:
        with context.ledger.write() as connection:
            note = Note(context.clock(), by, None, {"lost_manifests": lost})
            add_decision(connection, context.profile.name, "recover", "trail", note)
    if lost and not found:
        found = [Recovered(path, context.ledger.ledger_id, 0, 0, "noted") for path in lost]
    return found


def _behind(context: FlowContext, lost: Mapping[str, str]) -> list[Batch]:
    """Batches that have not left as far as the ledger knows, but by a manifest or by the server they have."""
    with context.ledger.read() as connection:
        waiting = batches_in(connection, context.profile.name, BEFORE_LEAVING)
    if not waiting:
        return []
    names = {path.rsplit("/", 1)[-1].rsplit(".json.", 1)[0] for path in lost}
    with context.remote() as server:
        return [
            one for one in waiting if one.file_name in names or look(context, server, one).there is not There.ABSENT
        ]


def _catch_up(context: FlowContext, batch: Batch, *, by: str, apply: bool) -> Recovered:
    """What its manifest says of it, and `unknown` until the server shows it."""
    if not apply:
        return Recovered(batch.file_name, context.ledger.ledger_id, batch.line_count, batch.total_amount, "unknown")
    manifest = _manifest(context, batch.file_name)
    names = {
        "plaintext_digest": "plaintext_sha256",
        "envelope_digest": "envelope_sha256",
        "envelope_size": "envelope_size",
        "key_fingerprint": "key_fingerprint",
        "artefact": "artefact",
    }
    with context.ledger.write() as connection:
        if manifest:
            update_batch(connection, batch.batch_id, **{name: manifest.get(key) for name, key in names.items()})
        lead_to(connection, batch.batch_id, BatchState.UNKNOWN, Note(context.clock(), by, None, {"why": _BEHIND}))
    ours = context.ledger.ledger_id
    return _judge_by_the_server(context, batch.batch_id, ours, batch.line_count, batch.total_amount, by)


def _missing(context: FlowContext) -> tuple[dict[str, list[Mapping[str, Any]]], list[Mapping[str, Any]]]:
    """Attempts that the ledger does not know, by batch file; and those that it knows."""
    billing = context.profile.billing
    rows = known_attempts(context.billing(), context.profile.billing_source, outcomes=billing.outcomes)
    missing: dict[str, list[Mapping[str, Any]]] = {}
    known = []
    with context.ledger.read() as connection:
        for row in rows:
            if row["profile"] != context.profile.name:
                continue
            if _is_known(connection, row["invoice_number"]):
                known.append(row)
            else:
                missing.setdefault(row["batch_name"], []).append(row)
    return missing, known


def _is_known(connection: Connection, invoice_number: str) -> bool:
    where = attempt.c.invoice_number == invoice_number
    return connection.execute(select(attempt.c.line_no).where(where)).first() is not None


def _rebuild(context: FlowContext, file_name: str, rows: list[Mapping[str, Any]], *, by: str, apply: bool) -> Recovered:
    manifest = _manifest(context, file_name)
    currency = rows[0]["currency"]
    amounts = [to_smallest_unit(str(row["amount"]), row["currency"]) for row in rows]
    values = _batch_values(context, file_name, rows, manifest, sum(amounts))
    if not apply:
        return Recovered(file_name, rows[0]["ledger_id"], len(rows), sum(amounts), BatchState.UNKNOWN)
    now = context.clock()
    layout = context.batch_layout()
    with context.ledger.write() as connection:
        keep_layout(connection, digest=layout.digest, name=layout.name, kind=layout.kind, text=layout.text, at=now)
        known = select(batch.c.batch_id).where(
            batch.c.remote_folder == values["remote_folder"], batch.c.file_name == file_name
        )
        batch_id = connection.scalar(known)
        if batch_id is None:
            batch_id = _insert_batch(connection, context, values, by)
        first = _lines_of(connection, batch_id)
        for line_no, (row, amount) in enumerate(zip(rows, amounts, strict=True), start=first + 1):
            _insert_attempt(connection, context, row, amount, batch_id, line_no)
        if all(row["status"] == OutcomeStatus.WITHDRAWN for row in rows) and first == 0:
            lead_to(connection, batch_id, BatchState.WITHDRAWN, Note(now, by, None, {"why": RECOVERED}))
            update_batch(connection, batch_id, withdrawal_written_at=now)
        details = {
            "attempts": len(rows),
            "total": sum(amounts),
            "from_ledger": rows[0]["ledger_id"],
            "currency": currency,
        }
        add_decision(connection, context.profile.name, "recover", file_name, Note(now, by, None, details))
    return _judge_by_the_server(context, batch_id, rows[0]["ledger_id"], len(rows), sum(amounts), by)


def _batch_values(
    context: FlowContext, file_name: str, rows: list[Mapping[str, Any]], manifest: Mapping[str, Any], total: int
) -> dict[str, Any]:
    facts = FileNameTemplate(context.profile.batch.file_name).parse(file_name) or {}
    execute_date = rows[0]["execute_date"] or context.today
    return {
        "profile": context.profile.name,
        "billing_source": context.profile.billing_source,
        "merchant": context.profile.merchant,
        "business_date": facts.get("business_date") or execute_date,
        "sequence": facts.get("sequence") or 0,
        "execute_date": execute_date,
        "currency": rows[0]["currency"],
        "file_name": file_name,
        "remote_folder": context.profile.remote_folder,
        "layout_digest": context.batch_layout().digest,
        "line_count": len(rows),
        "total_amount": total,
        "envelope_digest": manifest.get("envelope_sha256"),
        "envelope_size": manifest.get("envelope_size"),
        "key_fingerprint": manifest.get("key_fingerprint"),
        "artefact": manifest.get("artefact"),
        "claims_written_at": context.clock(),
    }


def _manifest(context: FlowContext, file_name: str) -> Mapping[str, Any]:
    """The newest manifest of a batch file, or nothing."""
    return max(manifests_of(context, file_name), key=lambda one: str(one["written_at"]), default={})


def _insert_batch(connection: Connection, context: FlowContext, values: dict[str, Any], by: str) -> int:
    now = context.clock()
    run_values = {
        "kind": RunKind.SUBMIT,
        "profile": context.profile.name,
        "external_id": f"recover:{values['file_name']}",
        "business_date": values["business_date"],
        "opened_at": now,
        "dry_run": False,
        "past": False,
        "started_by": by,
        "state": RunState.CLOSED,
        "closed_at": now,
    }
    run_key = connection.execute(insert(run).values(run_values)).inserted_primary_key
    row = {**values, "run_id": run_key[0] if run_key else None, "state": BatchState.UNKNOWN, "created_at": now}
    keep_recovered(
        connection, run_key[0] if run_key else 0, values["currency"], values["line_count"], values["total_amount"]
    )
    batch_key = connection.execute(insert(batch).values(row)).inserted_primary_key
    batch_id = int(batch_key[0]) if batch_key else 0
    add_batch_event(
        connection, context.profile.name, batch_id, BatchState.UNKNOWN, Note(now, by, None, {"why": RECOVERED})
    )
    return batch_id


def _lines_of(connection: Connection, batch_id: int) -> int:
    lines = select(attempt.c.line_no).where(attempt.c.batch_id == batch_id).order_by(attempt.c.line_no.desc()).limit(1)
    return int(connection.scalar(lines) or 0)


def _insert_attempt(
    connection: Connection, context: FlowContext, row: Mapping[str, Any], amount: int, batch_id: int, line_no: int
) -> None:
    number = row["attempt_no"]
    previous = f"{row['invoice_number'][: LENGTH - 2]}{number - 1:02d}" if number > 1 else None
    values = {
        "invoice_number": row["invoice_number"],
        "billing_source": context.profile.billing_source,
        "charge_id": row["charge_id"],
        "attempt_no": number,
        "previous_invoice_number": previous,
        "previous_status": _freeing_status(connection, previous) if previous else None,
        "profile": context.profile.name,
        "batch_id": batch_id,
        "line_no": line_no,
        "customer_id": "",
        "token": "",
        "amount": amount,
        "currency": row["currency"],
        "due_date": row["execute_date"] or context.today,
        "execute_date": row["execute_date"] or context.today,
        "rule": "recovered",
    }
    connection.execute(insert(attempt).values(values))
    insert_outcome(connection, context, row, amount)


def _freeing_status(connection: Connection, invoice_number: str) -> str | None:
    where = (outcome.c.invoice_number == invoice_number, outcome.c.status.in_(_FREEING))
    return connection.scalar(select(outcome.c.status).where(*where))


def _judge_by_the_server(
    context: FlowContext, batch_id: int, ledger_id: str, count: int, total: int, by: str
) -> Recovered:
    """A recovered batch is delivered if the server shows it, a report answers it or attempts of it have outcomes."""
    with context.ledger.read() as connection:
        found = find_batch(connection, batch_id)
    with context.remote() as server:
        there = look(context, server, found).there
    if there is not There.ABSENT and found.state is BatchState.UNKNOWN:
        with context.ledger.write() as connection:
            now = context.clock()
            note = Note(now, by, None, {"proof": f"{RECOVERED}; server: {there}"})
            enter(connection, batch_id, BatchState.DELIVERED, note, delivered_at=now)
            found = find_batch(connection, batch_id)
    return Recovered(found.file_name, ledger_id, count, total, found.state)


def unknown_deliveries(recovered: list[Recovered]) -> Iterator[str]:
    """The batch files of which the server shows nothing: a person asks DOKU about them."""
    return (one.file_name for one in recovered if one.state is BatchState.UNKNOWN)
