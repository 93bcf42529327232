"""What a day left behind, without what may differ between two plays of it: times, ids, tries, endings of kept files."""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from tests.doku_simulator.simulator import Simulator
from tests.stack.scene import Scene
from tests.sweeps.bill_truths import plays_bills

_LEDGER: Final[Mapping[str, str]] = {
    "batch": """
        SELECT b.profile, b.billing_source, r.external_id, b.merchant, b.business_date, b.sequence, b.execute_date,
               b.currency, b.file_name, b.layout_digest, b.line_count, b.total_amount, b.withdrawn_count,
               b.withdrawn_amount, b.state, b.plaintext_digest, b.plaintext_size, b.key_fingerprint,
               b.claims_written_at IS NULL AS untold, b.withdrawal_written_at IS NULL AS withdrawal_untold,
               b.delivered_at IS NULL AS undelivered, b.reconciled_at IS NULL AS unreconciled
        FROM batch b JOIN run r ON r.run_id = b.run_id
    """,
    "attempt": """
        SELECT a.invoice_number, a.charge_id, a.attempt_no, a.previous_invoice_number, a.previous_status, a.profile,
               b.file_name, a.line_no, a.customer_id, a.billing_number, a.token, a.amount, a.currency, a.due_date,
               a.execute_date, a.channel, a.description, a.network, a.rule
        FROM attempt a JOIN batch b ON b.batch_id = a.batch_id
    """,
    "outcome": """
        SELECT o.invoice_number, o.status, o.strength, o.response_code, o.response_message, o.approval_code,
               o.masked_card, o.bank, o.amount, o.witness, f.file_name, o.report_line_no, o.proof
        FROM outcome o LEFT JOIN report_file f ON f.report_id = o.report_id
    """,
    "report_file": """
        SELECT profile, file_name, state, layout_digest, line_count, total_amount, refused_reason FROM report_file
    """,
    "report_sighting": "SELECT profile, folder, file_name FROM report_sighting",
    "report_line": """
        SELECT f.file_name, l.line_no, l.invoice_number, l.amount, l.currency, l.response_code, l.status, l.line_class
        FROM report_line l JOIN report_file f ON f.report_id = l.report_id
    """,
    "recon_break": "SELECT profile, kind, subject, invoice_number, amount, details, state, booked FROM recon_break",
    "testimony": "SELECT invoice_number, witness, status, said_by, evidence, told_at IS NULL AS untold FROM testimony",
    "batch_notice": """
        SELECT b.file_name, n.answered_at IS NULL AS untold FROM batch_notice n JOIN batch b ON b.batch_id = n.batch_id
    """,
    "status_question": "SELECT profile, subject, http_status, answer, words FROM status_question",
    "quarantine": "SELECT billing_source, charge_id, state, profile, reasons, released_by FROM quarantine",
    "quarantined_charge": """
        SELECT r.external_id, q.row_no, q.charge_id, q.customer_id, q.amount, q.currency, q.due_date, q.reasons
        FROM quarantined_charge q JOIN run r ON r.run_id = q.run_id
    """,
    "run_charge": """
        SELECT r.external_id, c.row_no, c.charge_id, c.amount, c.currency, c.fate, c.reason
        FROM run_charge c JOIN run r ON r.run_id = c.run_id
    """,
    "run_balance": """
        SELECT r.external_id, l.batch_id > 0 AS of_batch, l.currency, l.term, l.detail, l.count, l.amount
        FROM run_balance l JOIN run r ON r.run_id = l.run_id WHERE r.kind <> 'reconcile'
    """,
    "run": """
        SELECT kind, profile, external_id, business_date, dry_run, past, send_past_total, started_by, state
        FROM run WHERE kind <> 'reconcile'
    """,
    "closed_charge": "SELECT billing_source, charge_id, profile, reason FROM closed_charge",
    "next_attempt": """
        SELECT invoice_number, version, action, planned_on, pay_day, rule, words, told_at IS NULL AS untold
        FROM next_attempt
    """,
    "stopped_instrument": "SELECT invoice_number, rule FROM stopped_instrument",
    "ended_mandate": "SELECT billing_source, customer_id, billing_number, rule FROM ended_mandate",
    "brake": "SELECT r.external_id, b.kind, b.count, b.total FROM brake b JOIN run r ON r.run_id = b.run_id",
    "approval": "SELECT r.external_id, p.answer, p.answered_by FROM approval p JOIN run r ON r.run_id = p.run_id",
    "bill": """
        SELECT billing_source, billing_number, profile, customer_id, amount, currency, schedule, schedule_on, months,
               starts_on, ends_on, registration, terms_digest, asked_terms, state, reason, asked_by, request_id,
               checkout_url, token_fingerprint, masked_card, registered_at IS NULL AS unregistered,
               over_at IS NULL AS living, told_at IS NULL AS untold
        FROM bill
    """,
    "bill_event": "SELECT billing_number, kind, said_by FROM bill_event",
    "rejected_bill": "SELECT profile, row_key, reasons FROM rejected_bill",
    "registration_file": """
        SELECT profile, remote_folder, file_name, business_date, sequence, layout_digest, currency, line_count,
               total_amount, state, plaintext_digest, delivered_at IS NULL AS undelivered
        FROM registration_file
    """,
    "registration_line": """
        SELECT f.file_name, l.line_no, l.billing_number, l.terms_digest
        FROM registration_line l JOIN registration_file f ON f.file_id = l.file_id
    """,
    "notification": "SELECT profile, kind, content_digest, times, state, result FROM notification",
    "bill_charge": "SELECT profile, charge_id, expected_on, customer_id, amount, currency FROM bill_charge",
    "bill_testimony": """
        SELECT reference, billing_number, expected_on, witness, status, word, response_code, amount, said_by, evidence
        FROM bill_testimony
    """,
    "bill_attempt": """
        SELECT reference, billing_number, expected_on, attempt_no, customer_id, amount, currency, charged_on
        FROM bill_attempt
    """,
    "bill_outcome": "SELECT reference, status, response_code, approval_code, amount, witness FROM bill_outcome",
    "bill_told": "SELECT charge_id, attempt_no, reference, told_at IS NULL AS untold FROM bill_told",
    "amount_question": """
        SELECT billing_number, expected_on, amount, currency, request_id, pushed_at IS NULL AS not_pushed
        FROM amount_question
    """,
    "customer_token": """
        SELECT profile, customer_id, token_fingerprint, channel, masked_card, network, state, chosen,
               told_at IS NULL AS untold
        FROM customer_token
    """,
    "token_question": "SELECT customer_id, channel, masked_card, tokens, words, choice FROM token_question",
    "decisions": "SELECT DISTINCT profile, kind, subject, actor FROM event WHERE kind <> 'batch'",
}

_TOLD: Final[Mapping[str, str]] = {
    "doku_charge_outcomes": """
        SELECT billing_source, profile, charge_id, attempt_no, invoice_number, batch_name, status, response_code,
               response_message, approval_code, amount, currency, execute_date, next_attempt_on
        FROM doku_charge_outcomes
    """,
    "doku_bill_status": """
        SELECT billing_source, billing_number, profile, customer_id, state, reason, checkout_url, checkout_form,
               masked_card, asked_at IS NULL AS unasked, registered_at IS NULL AS unregistered,
               over_at IS NULL AS living
        FROM doku_bill_status
    """,
    "doku_tokens": """
        SELECT billing_source, profile, customer_id, token, channel, masked_card, network, status, chosen,
               lost_at IS NULL AS alive
        FROM doku_tokens
    """,
}

_OWN_ADDRESS: Final = re.compile(r"^http://127\.0\.0\.1:\d+")

_RUN_ID: Final = re.compile(r"^run \d+$")
"""The subject of a decision about a run; PostgreSQL skips numbers."""

Snapshot = dict[str, list[str]]


def snapshot(scene: Scene, doku: Simulator) -> Snapshot:
    """Every table of the ledger, what the merchant was told, and what lies at DOKU; as sorted texts."""
    found = {name: _rows(scene.ledger.engine(), query) for name, query in _LEDGER.items()}
    found["states of batches"] = _states(scene)
    engine = scene.billing.engine()
    tables = sa.inspect(engine).get_table_names()
    found |= {name: _rows(engine, query) for name, query in _TOLD.items() if name in tables}
    found["charged"] = sorted(f"{one['invoice_number']} {one['charged']}" for one in doku.charged)
    if doku.config.http is not None:
        taken = (one for one in doku.web.requests if one["path"].endswith("/notify") and one["status"] == 200)
        found["DOKU took notice"] = sorted(one["path"] for one in taken)
    if plays_bills(doku):
        events = (one for one in doku.web.history if "billing_number" in one)
        found["bills at DOKU"] = sorted(f"{one['billing_number']} {one['event']}" for one in events)
        found["charges by DOKU"] = sorted(
            f"{one['reference']} {one['billing_number']} {one['due_day']} {one['status']} {one['charged']}"
            for one in doku.web.recurring
        )
    for folder in ("inbound", "outbound", "archive"):
        found[f"files in {folder}"] = sorted(path.name for path in (doku.config.remote_root / folder).iterdir())
    return found


def differences(left: Snapshot, right: Snapshot) -> list[str]:
    """What is only in one of the two, table by table."""
    found = []
    for name in left:
        only_left, only_right = _without(left[name], right[name]), _without(right[name], left[name])
        found += [f"{name}: missing {row}" for row in only_left] + [f"{name}: added {row}" for row in only_right]
    return found


def _without(rows: Iterable[str], others: Iterable[str]) -> list[str]:
    left = list(others)
    found = []
    for row in rows:
        if row in left:
            left.remove(row)
        else:
            found.append(row)
    return found


def _rows(engine: sa.Engine, query: str) -> list[str]:
    with engine.connect() as connection:
        rows = [str(tuple(map(_plain, row))) for row in connection.execute(sa.text(query))]
    engine.dispose()
    return sorted(rows)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _RUN_ID.sub("run", _OWN_ADDRESS.sub("", value))  # each simulator listens at another port
    if value is None:
        return value
    if isinstance(value, bool):
        return int(value)
    return f"{value:.2f}" if hasattr(value, "quantize") or isinstance(value, float) else str(value)


def _states(scene: Scene) -> list[str]:
    """The states that each batch went through; tries that broke off and were taken over count once.

    That nobody could say for a moment is only noted by who lived to note it: `unknown` counts where it is the end.
    """
    engine = scene.ledger.engine()
    query = """SELECT b.file_name, e.state FROM event e JOIN batch b ON b.batch_id = e.batch_id
               ORDER BY b.file_name, e.batch_event_no"""
    with engine.connect() as connection:
        rows = connection.execute(sa.text(query)).all()
    engine.dispose()
    ways = {
        name: [state for state, _ in itertools.groupby(row.state for row in of_batch)]
        for name, of_batch in itertools.groupby(rows, key=lambda row: row.file_name)
    }
    return [
        f"{name}: {' > '.join(state for state in way[:-1] if state != 'unknown')} > {way[-1]}"
        for name, way in ways.items()
    ]
