"""Matching: the staged lines of one report against the attempts, set-based, in one transaction.

A line ties by its invoice number and by nothing else. Each line ends in one class; lines that speak of an attempt give
it an outcome; what does not tie opens a break. Outcomes are only appended and the strongest counts, so the order in
which reports come makes no difference to what an attempt ends as.
"""

from dataclasses import dataclass
from datetime import datetime
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, bindparam, text

from include.ledger.types import UtcDateTime

_AGAIN: Final = """
    CREATE TEMPORARY TABLE staged_again AS
    SELECT line_no, nth, CASE WHEN status <> 'unknown' AND line_no > decided_by THEN 1 ELSE 0 END AS otherwise
    FROM (
        SELECT l.line_no, l.status,
               row_number() OVER (PARTITION BY l.invoice_number, l.status, l.response_code, coalesce(l.amount, -1),
                                  coalesce(l.approval_code, '') ORDER BY l.line_no) AS nth,
               min(CASE WHEN l.status <> 'unknown' THEN l.line_no END) OVER (PARTITION BY l.invoice_number)
                   AS decided_by
        FROM staged_line l
        JOIN (SELECT invoice_number FROM staged_line GROUP BY invoice_number HAVING count(*) > 1) d
          ON d.invoice_number = l.invoice_number
    ) n
"""
# Lines whose invoice number stands in the file more than once: the how-manieth of its wording a line is, and whether
# an earlier line had decided otherwise. Almost always empty.

_CLASSIFY: Final = """
    INSERT INTO report_line (report_id, line_no, invoice_number, amount, currency, response_code, response_message,
        approval_code, masked_card, bank, channel, network, advice_code, status, line_class)
    SELECT :report_id, l.line_no, l.invoice_number, l.amount, l.currency, l.response_code, l.response_message,
        l.approval_code, l.masked_card, l.bank, l.channel, l.network, l.advice_code, l.status,
        CASE WHEN a.invoice_number IS NULL OR b.state IN ('claimed', 'sealed', 'delivering') THEN 'unexpected'
             WHEN a.profile <> :profile THEN 'other_profile'
             WHEN g.nth > 1 THEN 'repeat'
             WHEN g.otherwise = 1 THEN 'conflict'
             WHEN o.status IS NOT NULL AND o.response_code = l.response_code
                  AND coalesce(o.amount, -1) = coalesce(l.amount, -1)
                  AND coalesce(o.approval_code, '') = coalesce(l.approval_code, '') THEN 'repeat'
             WHEN o.status IS NOT NULL AND l.status <> 'unknown' THEN 'conflict'
             WHEN l.status <> 'unknown' AND EXISTS (
                  SELECT 1 FROM outcome x WHERE x.invoice_number = l.invoice_number
                  AND x.status <> l.status AND x.status <> 'unknown') THEN 'conflict'
             WHEN l.amount <> a.amount OR l.currency <> a.currency THEN 'amount_differs'
             ELSE 'answer' END
    FROM staged_line l
    LEFT JOIN attempt a ON a.invoice_number = l.invoice_number
    LEFT JOIN batch b ON b.batch_id = a.batch_id
    LEFT JOIN staged_again g ON g.line_no = l.line_no
    LEFT JOIN outcome o ON o.invoice_number = l.invoice_number AND o.status = l.status AND o.witness = 'report'
"""

_OUTCOMES: Final = """
    INSERT INTO outcome (invoice_number, status, response_code, response_message, approval_code, masked_card, bank,
        amount, decided_at, witness, report_id, report_line_no)
    SELECT invoice_number, status, response_code, response_message, approval_code, masked_card, bank,
        amount, :at, 'report', report_id, line_no
    FROM report_line
    WHERE report_id = :report_id AND line_class IN ('answer', 'conflict', 'amount_differs')
    ORDER BY line_no
    ON CONFLICT (invoice_number, status) DO NOTHING
"""

_BREAKS: Final = """
    INSERT INTO recon_break (profile, kind, subject, invoice_number, report_id, line_no, amount, details, state,
        opened_at)
    SELECT :profile, l.line_class, :digest || ':' || CAST(l.line_no AS VARCHAR(20)), l.invoice_number, l.report_id,
        l.line_no,
        CASE l.line_class WHEN 'amount_differs' THEN coalesce(l.amount, 0) - a.amount ELSE coalesce(l.amount, 0) END,
        CASE l.line_class
            WHEN 'amount_differs' THEN 'sent ' || CAST(a.amount AS VARCHAR(20)) || ' ' || a.currency || ', reported '
                 || coalesce(CAST(l.amount AS VARCHAR(20)), 'nothing') || ' ' || coalesce(l.currency, '')
            WHEN 'conflict' THEN 'this line says ' || l.status || ' ' || l.response_code || ', known: ' || coalesce((
                 SELECT min(o.status || ' ' || coalesce(o.response_code, '')) FROM outcome o
                 WHERE o.invoice_number = l.invoice_number
                   AND NOT (o.report_id IS NOT NULL AND o.report_id = l.report_id AND o.report_line_no = l.line_no)),
                 'nothing')
            WHEN 'other_profile' THEN 'the attempt was sent by profile ' || a.profile
            ELSE 'no attempt with this invoice number was sent' END,
        'open', :at
    FROM report_line l LEFT JOIN attempt a ON a.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.line_class IN ('amount_differs', 'conflict', 'other_profile', 'unexpected')
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

_CLASSES: Final = (
    "SELECT line_class, count(*) AS lines FROM report_line WHERE report_id = :report_id GROUP BY line_class"
)


@dataclass(frozen=True)
class Matched:
    """What matching a report came to: how many lines in each class."""

    classes: dict[str, int]

    @property
    def ours(self) -> int:
        """Lines that speak of an attempt of this profile."""
        return sum(count for name, count in self.classes.items() if name not in ("unexpected", "other_profile"))


def match(connection: Connection, *, report_id: int, profile: str, digest: str, at: datetime) -> Matched:
    """Class every line of `staged_line`, append outcomes, open breaks.

    Args:
        connection: In a writing transaction of a workspace, with matching of this profile locked by the caller.
        digest: The report's content digest: a break is about a line of that content.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE staged_line"))
    connection.execute(text(dedent(_AGAIN)))
    key = {"report_id": report_id}
    connection.execute(text(dedent(_CLASSIFY)), {**key, "profile": profile})
    connection.execute(text("DROP TABLE staged_again"))
    moment = bindparam("at", value=at, type_=UtcDateTime)
    connection.execute(text(dedent(_OUTCOMES)).bindparams(moment), key)
    connection.execute(text(dedent(_BREAKS)).bindparams(moment), {**key, "profile": profile, "digest": digest})
    return Matched({row.line_class: int(row.lines) for row in connection.execute(text(_CLASSES), key)})
