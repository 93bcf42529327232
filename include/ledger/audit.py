"""Queries that must find nothing: what `verify` asks the ledger."""

import json
from collections.abc import Iterator
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, select, text

from include.ledger.tables import event

_TWO_LIVE: Final = """
    SELECT charge_id, live FROM (
        SELECT charge_id, count(*) AS live FROM (
            SELECT a.charge_id, coalesce((SELECT max(o.strength) FROM outcome o
                                          WHERE o.invoice_number = a.invoice_number), 0) AS strength
            FROM attempt a WHERE a.billing_source = :billing_source
        ) s WHERE strength NOT IN (2, 3) GROUP BY charge_id HAVING count(*) > 1
    ) d WHERE NOT EXISTS (
        SELECT 1 FROM recon_break k JOIN attempt x ON x.invoice_number = k.invoice_number
        WHERE k.kind IN ('paid_while_in_flight', 'collected_twice') AND x.billing_source = :billing_source
          AND x.charge_id = d.charge_id)
    ORDER BY charge_id
"""
# Where a report called an attempt paid after all, there is a break that says so.

_NO_WITNESS: Final = """
    SELECT o.invoice_number, o.status, o.witness
    FROM outcome o JOIN attempt a ON a.invoice_number = o.invoice_number
    LEFT JOIN report_line l ON l.report_id = o.report_id AND l.line_no = o.report_line_no
         AND l.invoice_number = o.invoice_number AND (l.status = o.status OR o.status = 'unknown')
    WHERE a.profile = :profile
      AND ((o.witness = 'report' AND l.line_no IS NULL)
           OR (o.witness NOT IN ('report', 'delivery', 'look_again', 'person', 'status', 'notification', 'billing'))
           OR (o.witness <> 'report' AND coalesce(o.proof, '') = '')
           OR (o.witness = 'status' AND NOT EXISTS (
                SELECT 1 FROM status_question q WHERE q.subject = o.invoice_number AND q.answer IS NOT NULL)))
    ORDER BY o.invoice_number
"""

_OUT_OF_STEP: Final = """
    SELECT b.file_name, b.state, coalesce(e.state, 'none') AS last_state
    FROM batch b LEFT JOIN event e ON e.batch_id = b.batch_id AND e.batch_event_no = (
        SELECT max(x.batch_event_no) FROM event x WHERE x.batch_id = b.batch_id)
    WHERE b.profile = :profile AND coalesce(e.state, 'none') <> b.state ORDER BY b.batch_id
"""

_TOTALS: Final = """
    SELECT b.file_name, b.line_count, b.total_amount, count(a.invoice_number) AS attempts,
           coalesce(sum(a.amount), 0) AS amount
    FROM batch b LEFT JOIN attempt a ON a.batch_id = b.batch_id
    WHERE b.profile = :profile
    GROUP BY b.batch_id, b.file_name, b.line_count, b.total_amount
    HAVING b.line_count <> count(a.invoice_number) OR b.total_amount <> coalesce(sum(a.amount), 0)
    ORDER BY b.batch_id
"""

_UNNAMED: Final = """
    SELECT f.file_name, b.file_name AS batch_name, count(*) AS lines
    FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    JOIN report_file f ON f.report_id = l.report_id JOIN batch b ON b.batch_id = a.batch_id
    WHERE f.profile = :profile AND l.line_class IN ('answer', 'amount_differs', 'repeat')
      AND NOT EXISTS (SELECT 1 FROM report_batch r WHERE r.report_id = l.report_id AND r.batch_id = a.batch_id)
    GROUP BY f.file_name, b.file_name ORDER BY f.file_name, b.file_name
"""

_UNRECORDED: Final[dict[str, str]] = {
    "hold": "SELECT scope || ' ' || subject AS subject, placed_by AS actor FROM hold WHERE profile = :profile",
    "approval": """
        SELECT 'run ' || CAST(p.run_id AS VARCHAR(20)) AS subject, p.answered_by AS actor
        FROM approval p JOIN run r ON r.run_id = p.run_id WHERE r.profile = :profile
    """,
    "release": """
        SELECT charge_id AS subject, released_by AS actor FROM quarantine
        WHERE profile = :profile AND state = 'released' AND released_by <> 'mended'
    """,
    "cancel": """
        SELECT charge_id AS subject, closed_by AS actor FROM closed_charge
        WHERE profile = :profile AND reason = 'cancelled'
    """,
    "close": """
        SELECT charge_id AS subject, closed_by AS actor FROM closed_charge
        WHERE profile = :profile AND reason IN ('paid_elsewhere', 'written_off')
    """,
    "settle": """
        SELECT invoice_number AS subject, said_by AS actor FROM testimony
        WHERE profile = :profile AND witness = 'person'
    """,
    "proposal": """
        SELECT CAST(proposal_id AS VARCHAR(20)) AS subject, proposed_by AS actor FROM proposal WHERE profile = :profile
    """,
    "report": """
        SELECT file_name AS subject, 'ingest' AS actor FROM report_file
        WHERE profile = :profile AND state IN ('ingested', 'written_back')
    """,
}

_ATTEMPTS: Final = """
    SELECT a.invoice_number, a.amount, b.claims_written_at,
           (SELECT min(f.state) FROM outcome o JOIN report_file f ON f.report_id = o.report_id
            WHERE o.invoice_number = a.invoice_number) AS report_state,
           b.withdrawal_written_at,
           (SELECT count(*) FROM testimony t WHERE t.invoice_number = a.invoice_number AND t.told_at IS NULL) AS untold,
           (SELECT o.status FROM outcome o WHERE o.invoice_number = a.invoice_number
            ORDER BY o.strength DESC LIMIT 1) AS status
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id WHERE a.profile = :profile
"""


def charges_with_two_live_attempts(connection: Connection, billing_source: str) -> Iterator[str]:
    """Promise 1: must find nothing."""
    for row in connection.execute(text(dedent(_TWO_LIVE)), {"billing_source": billing_source}):
        yield f"Charge {row.charge_id} has {row.live} attempts that are neither declined nor withdrawn."


def outcomes_without_witness(connection: Connection, profile: str) -> Iterator[str]:
    """Promise 6: each outcome stands on a report line, an answer of DOKU's to a question, or a proof in words."""
    for row in connection.execute(text(dedent(_NO_WITNESS)), {"profile": profile}):
        yield f"Outcome {row.status} of {row.invoice_number} has no witness ({row.witness})."


def batches_out_of_step(connection: Connection, profile: str) -> Iterator[str]:
    """Batches whose state is not the one of their last event."""
    for row in connection.execute(text(dedent(_OUT_OF_STEP)), {"profile": profile}):
        yield f"{row.file_name} is {row.state}, but its last event says {row.last_state}: one is missing or altered."


def totals_that_differ(connection: Connection, profile: str) -> Iterator[str]:
    """Batches whose count or total is not that of their attempts."""
    for row in connection.execute(text(dedent(_TOTALS)), {"profile": profile}):
        yield (
            f"{row.file_name} was claimed with {row.line_count} attempts of {row.total_amount} in all, "
            f"but has {row.attempts} of {row.amount}."
        )


def reports_not_named_on_batch(connection: Connection, profile: str) -> Iterator[str]:
    """Reports with lines on a batch that they are not kept as a report on: others were not compared with them."""
    for row in connection.execute(text(dedent(_UNNAMED)), {"profile": profile}):
        yield (
            f"{row.file_name} has {row.lines} lines on {row.batch_name} and is not kept as a report on it: lines of "
            "another report may contradict them unseen."
        )


def decisions_without_event(connection: Connection, profile: str) -> Iterator[str]:
    """Decisions and reports that stand in a table but not in the trail."""
    where = (event.c.profile == profile, event.c.kind != "batch")
    recorded = {
        (row.kind, row.subject) for row in connection.execute(select(event.c.kind, event.c.subject).where(*where))
    }
    for kind, statement in _UNRECORDED.items():
        for row in connection.execute(text(dedent(statement)), {"profile": profile}):
            if (kind, row.subject[:250]) not in recorded:
                yield f"The {kind} of {row.subject} by {row.actor} has no event in the trail: it is missing."


def manifests_named(connection: Connection, profile: str) -> list[tuple[str, str]]:
    """(artefact, digest) of each manifest that an event names."""
    rows = connection.execute(select(event.c.details).where(event.c.profile == profile).order_by(event.c.seq))
    documents = (json.loads(row.details) for row in rows)
    return [(one["manifest"], one["manifest_sha256"]) for one in documents if one.get("manifest")]


def lost_manifests_noted(connection: Connection, profile: str) -> dict[str, str]:
    """Digest by path of the manifests whose events a restored ledger lost, as recoveries noted them in the trail."""
    where = (event.c.profile == profile, event.c.kind == "recover")
    rows = connection.execute(select(event.c.details).where(*where).order_by(event.c.seq))
    documents = (json.loads(row.details) for row in rows)
    return {path: digest for one in documents for path, digest in one.get("lost_manifests", {}).items()}


def event_hashes(connection: Connection, profile: str) -> dict[int, str]:
    """Hash by number of a profile's events."""
    rows = connection.execute(select(event.c.seq, event.c.hash).where(event.c.profile == profile))
    return {int(row.seq): row.hash for row in rows}


def attempts_of(connection: Connection, profile: str) -> dict[str, tuple[int, str, bool]]:
    """By invoice number: amount, status (in_flight without an outcome), and whether the merchant was told of it."""
    found = {}
    for row in connection.execute(text(dedent(_ATTEMPTS)), {"profile": profile}):
        told = row.withdrawal_written_at if row.status == "withdrawn" else row.report_state in (None, "written_back")
        found[row.invoice_number] = (
            int(row.amount),
            row.status or "in_flight",
            bool(told and row.claims_written_at and not row.untold),
        )
    return found


def removed_by_housekeeping(connection: Connection, profile: str) -> tuple[dict[str, str], set[str]]:
    """What the trail says that housekeeping removed: digest by kept file, and batch files without tokens."""
    where = (event.c.profile == profile, event.c.kind == "housekeeping")
    rows = connection.execute(select(event.c.details).where(*where).order_by(event.c.seq))
    documents = [json.loads(row.details) for row in rows]
    files = {path: digest for one in documents for path, digest in one.get("removed", {}).items()}
    return files, {one["tokens_of"] for one in documents if "tokens_of" in one}
