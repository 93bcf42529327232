"""Queries about DOKU's charges for bills that must find nothing: what `verify` asks the ledger."""

from collections.abc import Iterator
from datetime import date
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, func, select, text

from include.ledger.bill_charges import Terms, expected_of_all
from include.ledger.bill_tables import bill_attempt, bill_charge
from include.ledger.bill_telling import Row

_NO_WITNESS: Final = """
    SELECT o.reference, o.status, o.witness FROM bill_outcome o
    LEFT JOIN bill_testimony t ON t.testimony_id = o.testimony_id AND t.profile = o.profile
    LEFT JOIN notification n ON n.notification_id = t.notification_id
    WHERE o.profile = :profile AND (
        t.testimony_id IS NULL OR t.witness <> o.witness OR (t.reference IS NOT NULL AND t.reference <> o.reference)
        OR (t.witness = 'notification' AND n.notification_id IS NULL)
        OR (t.witness <> 'notification' AND coalesce(t.evidence, '') = ''))
    ORDER BY o.reference
"""

_NO_OUTCOME: Final = """
    SELECT a.reference, c.charge_id FROM bill_attempt a
    LEFT JOIN bill_charge c ON c.billing_source = a.billing_source AND c.billing_number = a.billing_number
      AND c.expected_on = a.expected_on
    WHERE a.profile = :profile AND NOT EXISTS (
        SELECT 1 FROM bill_outcome o WHERE o.profile = a.profile AND o.reference = a.reference)
    ORDER BY a.reference
"""

_NO_ATTEMPT: Final = """
    SELECT DISTINCT t.reference FROM bill_testimony t
    WHERE t.profile = :profile AND t.reference IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM bill_attempt a WHERE a.profile = t.profile AND a.reference = t.reference)
    ORDER BY t.reference
"""

_NO_ANSWER: Final = """
    SELECT DISTINCT t.billing_number, t.expected_on FROM bill_testimony t
    WHERE t.profile = :profile AND t.reference IS NULL AND NOT EXISTS (
        SELECT 1 FROM bill_attempt a WHERE a.profile = t.profile AND a.billing_source = t.billing_source
          AND a.billing_number = t.billing_number AND a.expected_on = t.expected_on)
    ORDER BY t.billing_number, t.expected_on
"""

_PAID_TWICE: Final = """
    SELECT c.charge_id, count(*) AS times FROM bill_attempt a
    JOIN bill_charge c ON c.billing_source = a.billing_source AND c.billing_number = a.billing_number
      AND c.expected_on = a.expected_on
    WHERE a.profile = :profile AND EXISTS (
        SELECT 1 FROM bill_outcome o WHERE o.profile = a.profile AND o.reference = a.reference AND o.strength >= 4)
      AND NOT EXISTS (SELECT 1 FROM recon_break k WHERE k.profile = a.profile AND k.kind = 'collected_twice'
                      AND k.subject = c.charge_id)
    GROUP BY c.charge_id HAVING count(*) > 1 ORDER BY c.charge_id
"""

_AMOUNTS: Final = """
    SELECT c.charge_id, c.amount AS expected, q.amount AS answered FROM amount_question q
    JOIN bill_charge c ON c.billing_source = q.billing_source AND c.billing_number = q.billing_number
      AND c.expected_on = q.expected_on
    WHERE q.profile = :profile AND q.amount IS NOT NULL AND c.amount <> q.amount ORDER BY c.charge_id
"""

_UNTIED: Final = """
    SELECT a.reference FROM bill_attempt a WHERE a.profile = :profile AND a.expected_on IS NULL AND NOT EXISTS (
        SELECT 1 FROM recon_break k WHERE k.profile = a.profile AND k.kind = 'unexpected_charge'
           AND k.subject = a.reference)
    ORDER BY a.reference
"""

_UNSETTLED: Final = """
    SELECT coalesce(reference, billing_number || '/' || CAST(expected_on AS VARCHAR(10))) AS subject, said_by
    FROM bill_testimony t WHERE t.profile = :profile AND t.witness = 'person' AND NOT EXISTS (
        SELECT 1 FROM event e WHERE e.profile = t.profile AND e.kind = 'settle' AND e.subject =
            coalesce(t.reference, t.billing_number || '/' || CAST(t.expected_on AS VARCHAR(10))))
"""

_QUESTIONS: Final = (
    (_NO_WITNESS, "Outcome {status} of transaction {reference} has no witness ({witness})."),
    (_NO_OUTCOME, "Transaction {reference} (charge {charge_id}) has no outcome."),
    (_NO_ATTEMPT, "Transaction {reference} was spoken of, and is not in the books."),
    (_NO_ANSWER, "Charge {billing_number}/{expected_on} was spoken of, and is not in the books."),
    (_PAID_TWICE, "Charge {charge_id} was collected {times} times, and no break says so."),
    (_AMOUNTS, "Charge {charge_id} expects {expected}, but DOKU was answered {answered}."),
    (_UNTIED, "Transaction {reference} belongs to no expected charge, and no break says so."),
    (_UNSETTLED, "The settling of {subject} by {said_by} has no event in the trail: it is missing."),
)


def findings_of_charges(connection: Connection, profile: str) -> Iterator[str]:
    """Outcomes without a witness, money that is counted twice or not at all, answers that were not kept to."""
    for statement, words in _QUESTIONS:
        for row in connection.execute(text(dedent(statement)), {"profile": profile}).mappings():
            yield words.format(**row)


def days_not_expected(connection: Connection, terms: Terms) -> Iterator[str]:
    """Days of a schedule on which a charge should have been expected and was not; counted anew from the register."""
    set_days: dict[str, set[date]] = {}
    columns = (bill_charge.c.billing_number, bill_charge.c.expected_on)
    for row in connection.execute(select(*columns).where(bill_charge.c.profile == terms.profile)):
        set_days.setdefault(row.billing_number, set()).add(row.expected_on)
    for number, days in expected_of_all(connection, terms):
        known = set_days.get(number, set())
        # Up to the last that is set: what is due since the last run is its to set.
        last = max(known, default=date.min)
        for day in sorted(one for one in days if one <= last and one not in known):
            yield f"Bill {number} should have been charged on {day}, and that was not expected."


def first_and_last(connection: Connection, profile: str) -> tuple[date, date] | None:
    """The first and the last day with a charge, expected or not; None: there is none."""
    c, a = bill_charge.c, bill_attempt.c
    rows = [
        connection.execute(select(func.min(c.expected_on), func.max(c.expected_on)).where(c.profile == profile)).one(),
        connection.execute(select(func.min(a.charged_on), func.max(a.charged_on)).where(a.profile == profile)).one(),
    ]
    days = [day for row in rows for day in row if day is not None]
    return (min(days), max(days)) if days else None


def known_rows(rows: list[Row]) -> dict[tuple[str, int], Row]:
    """Rows as the merchant should have them, by charge and number."""
    return {(row["charge_id"], row["attempt_no"]): row for row in rows}
