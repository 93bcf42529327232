"""Recovered attempts: the ledger knows neither their token nor their customer, until the view lists their charge again.

The claim fills in what the view says, where the amount is the same, and keeps the stops that could not be kept before:
nobody could say then of which card or agreement.
"""

from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, text

_COMPLETE: Final = """
    UPDATE attempt SET customer_id = s.customer_id, billing_number = s.billing_number,
        token_fingerprint = s.fingerprint, billing_period = s.period
    FROM (SELECT h.invoice_number, c.customer_id, c.billing_number, c.fingerprint,
                 coalesce(c.billing_period, substr(CAST(c.due_date AS VARCHAR(10)), 1, 7)) AS period
          FROM staged_history h CROSS JOIN staged_charge c
          WHERE c.row_no = h.row_no AND h.bare = 1 AND h.same = 1 AND c.reasons IS NULL) s
    WHERE attempt.invoice_number = s.invoice_number
"""

_OF_COMPLETED: Final = """
    FROM staged_history h CROSS JOIN attempt a CROSS JOIN next_attempt p
    WHERE h.bare = 1 AND a.invoice_number = h.invoice_number AND p.invoice_number = h.invoice_number
      AND a.token_fingerprint IS NOT NULL
"""

_STOP: Final = f"""
    INSERT INTO stopped_instrument (token_fingerprint, invoice_number, rule, words, stopped_at)
    SELECT a.token_fingerprint, p.invoice_number, p.rule, p.words, p.decided_at
    {_OF_COMPLETED} AND p.action IN ('never', 'mandate_ended')
    ON CONFLICT DO NOTHING
"""

_END: Final = f"""
    INSERT INTO ended_mandate (billing_source, customer_id, billing_number, invoice_number, rule, words, ended_at)
    SELECT a.billing_source, a.customer_id, coalesce(a.billing_number, ''), p.invoice_number, p.rule, p.words,
           p.decided_at
    {_OF_COMPLETED} AND p.action = 'mandate_ended'
    ON CONFLICT DO NOTHING
"""


def complete_recovered(connection: Connection) -> None:
    """Fill in listed charges' recovered attempts from `staged_charge`, with `staged_history` of them at hand."""
    for statement in (_COMPLETE, _STOP, _END):
        connection.execute(text(dedent(statement)))
