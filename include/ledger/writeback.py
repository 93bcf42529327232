"""What the merchant's `doku_charge_outcomes` has to be told."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Date, bindparam, text

from include.ledger.store import Ledger
from include.ledger.types import UtcDateTime

_COLUMNS: Final = """
    a.billing_source, a.profile, a.charge_id, a.attempt_no, a.invoice_number, a.amount, a.currency, a.execute_date,
    b.file_name AS batch_name
"""

# A plan is told until an attempt follows it.
_NEXT: Final = """
    (SELECT p.planned_on FROM next_attempt p WHERE p.invoice_number = a.invoice_number AND p.action = 'retry'
     AND NOT EXISTS (SELECT 1 FROM attempt n WHERE n.previous_invoice_number = a.invoice_number)
     AND NOT EXISTS (SELECT 1 FROM next_attempt x WHERE x.invoice_number = p.invoice_number AND x.version > p.version))
    AS next_attempt_on
"""

# The strongest of an attempt's outcomes is the one it has.
_STRONGEST: Final = """
    NOT EXISTS (SELECT 1 FROM outcome s WHERE s.invoice_number = o.invoice_number AND s.strength > o.strength)
"""

# Some may be withdrawn by then: their charge was gone or changed before the batch left.
_CLAIMS: Final = f"""
    SELECT {_COLUMNS}, {_NEXT}, coalesce(o.status, 'in_flight') AS status, o.response_code, o.proof AS response_message,
           o.approval_code, o.decided_at, a.line_no AS position
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id
    LEFT JOIN outcome o ON o.invoice_number = a.invoice_number AND {_STRONGEST}
    WHERE a.batch_id = :id AND a.line_no > :after ORDER BY a.line_no LIMIT :rows
"""  # noqa: S608 - no value of anybody's is put in

_REPORTED: Final = f"""
    SELECT {_COLUMNS}, {_NEXT}, o.status, o.response_code, o.response_message, o.approval_code, o.decided_at,
           l.line_no AS position
    FROM report_line l
    JOIN attempt a ON a.invoice_number = l.invoice_number
    JOIN batch b ON b.batch_id = a.batch_id
    JOIN outcome o ON o.invoice_number = l.invoice_number
    WHERE l.report_id = :id AND l.line_no > :after AND l.line_class IN ('answer', 'amount_differs')
      AND {_STRONGEST} ORDER BY l.line_no LIMIT :rows
"""  # noqa: S608

_WITHDRAWN: Final = f"""
    SELECT {_COLUMNS}, {_NEXT}, o.status, o.response_code, o.proof AS response_message, o.approval_code, o.decided_at,
           a.line_no AS position
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.batch_id = :id AND a.line_no > :after AND {_STRONGEST} ORDER BY a.line_no LIMIT :rows
"""  # noqa: S608


_OF_ATTEMPT: Final = f"""
    SELECT {_COLUMNS}, {_NEXT}, o.status, o.response_code, coalesce(o.response_message, o.proof) AS response_message,
           o.approval_code, o.decided_at, a.line_no AS position
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.invoice_number = :invoice_number AND {_STRONGEST}
"""  # noqa: S608


def outcome_of_attempt(ledger: Ledger, invoice_number: str) -> Iterator[Mapping[str, Any]]:
    """The outcome of one attempt, if it has one."""
    with ledger.read() as connection:
        query = text(dedent(_OF_ATTEMPT)).columns(execute_date=Date, decided_at=UtcDateTime, next_attempt_on=Date)
        found = [dict(row) for row in connection.execute(query, {"invoice_number": invoice_number}).mappings()]
    return iter(found)


_DECIDED: Final = f"""
    SELECT {_COLUMNS}, {_NEXT}, o.status, o.response_code, coalesce(o.response_message, o.proof) AS response_message,
           o.approval_code, o.decided_at, d.version AS position
    FROM next_attempt d JOIN attempt a ON a.invoice_number = d.invoice_number JOIN batch b ON b.batch_id = a.batch_id
    JOIN outcome o ON o.invoice_number = a.invoice_number AND {_STRONGEST}
    WHERE d.told_at IS NULL AND a.profile = :profile ORDER BY d.invoice_number, d.version LIMIT :rows
"""  # noqa: S608

_TOLD: Final = """
    UPDATE next_attempt SET told_at = :now
    WHERE told_at IS NULL AND invoice_number = :invoice_number AND version = :position
"""


def untold_decisions(ledger: Ledger, profile: str, rows: int = 10_000) -> list[Mapping[str, Any]]:
    """A page of attempts with a decision that the merchant was not told of, each as it is now."""
    with ledger.read() as connection:
        query = text(dedent(_DECIDED)).columns(execute_date=Date, decided_at=UtcDateTime, next_attempt_on=Date)
        return [dict(row) for row in connection.execute(query, {"profile": profile, "rows": rows}).mappings()]


def has_untold_decisions(ledger: Ledger, profile: str) -> bool:
    """Whether there is one."""
    return bool(untold_decisions(ledger, profile, 1))


def note_decisions_told(ledger: Ledger, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """The merchant was told of these decisions."""
    told = [{"invoice_number": row["invoice_number"], "position": row["position"]} for row in rows]
    with ledger.write() as connection:
        connection.execute(text(dedent(_TOLD)).bindparams(bindparam("now", value=now, type_=UtcDateTime)), told)


def claims_of_batch(ledger: Ledger, batch_id: int) -> Iterator[Mapping[str, Any]]:
    """The attempts of a batch as they are before it leaves, as rows for the billing database (smallest units)."""
    return _pages(ledger, _CLAIMS, batch_id)


def outcomes_of_report(ledger: Ledger, report_id: int) -> Iterator[Mapping[str, Any]]:
    """The outcome, as it is now, of each attempt that a report speaks of."""
    return _pages(ledger, _REPORTED, report_id)


def outcomes_of_batch(ledger: Ledger, batch_id: int) -> Iterator[Mapping[str, Any]]:
    """The outcome of each attempt of a batch that has one."""
    return _pages(ledger, _WITHDRAWN, batch_id)


def _pages(ledger: Ledger, statement: str, key: int, rows: int = 10_000) -> Iterator[Mapping[str, Any]]:
    """Page by page, so that no read stays open while the billing database is written."""
    after = 0
    while True:
        with ledger.read() as connection:
            query = text(dedent(statement)).columns(execute_date=Date, decided_at=UtcDateTime, next_attempt_on=Date)
            page = connection.execute(query, {"id": key, "after": after, "rows": rows}).mappings().all()
        if not page:
            return
        yield from (dict(row) for row in page)
        after = page[-1]["position"]
