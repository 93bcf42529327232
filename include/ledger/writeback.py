"""What the merchant's `doku_charge_outcomes` has to be told."""

from collections.abc import Iterator, Mapping
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Date, text

from include.ledger.store import Ledger
from include.ledger.types import UtcDateTime

_COLUMNS: Final = """
    a.billing_source, a.profile, a.charge_id, a.attempt_no, a.invoice_number, a.amount, a.currency, a.execute_date,
    b.file_name AS batch_name
"""

# The strongest of an attempt's outcomes is the one it has.
_STRONGEST: Final = """
    NOT EXISTS (SELECT 1 FROM outcome s WHERE s.invoice_number = o.invoice_number AND s.strength > o.strength)
"""

# Some may be withdrawn by then: their charge was gone or changed before the batch left.
_CLAIMS: Final = f"""
    SELECT {_COLUMNS}, coalesce(o.status, 'in_flight') AS status, o.response_code, o.proof AS response_message,
           o.approval_code, o.decided_at, a.line_no AS position
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id
    LEFT JOIN outcome o ON o.invoice_number = a.invoice_number AND {_STRONGEST}
    WHERE a.batch_id = :id AND a.line_no > :after ORDER BY a.line_no LIMIT :rows
"""  # noqa: S608 - no value of anybody's is put in

_REPORTED: Final = f"""
    SELECT {_COLUMNS}, o.status, o.response_code, o.response_message, o.approval_code, o.decided_at,
           l.line_no AS position
    FROM report_line l
    JOIN attempt a ON a.invoice_number = l.invoice_number
    JOIN batch b ON b.batch_id = a.batch_id
    JOIN outcome o ON o.invoice_number = l.invoice_number
    WHERE l.report_id = :id AND l.line_no > :after AND l.line_class IN ('answer', 'amount_differs')
      AND {_STRONGEST} ORDER BY l.line_no LIMIT :rows
"""  # noqa: S608

_WITHDRAWN: Final = f"""
    SELECT {_COLUMNS}, o.status, o.response_code, o.proof AS response_message, o.approval_code, o.decided_at,
           a.line_no AS position
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.batch_id = :id AND a.line_no > :after AND {_STRONGEST} ORDER BY a.line_no LIMIT :rows
"""  # noqa: S608


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
            query = text(dedent(statement)).columns(execute_date=Date, decided_at=UtcDateTime)
            page = connection.execute(query, {"id": key, "after": after, "rows": rows}).mappings().all()
        if not page:
            return
        yield from (dict(row) for row in page)
        after = page[-1]["position"]
