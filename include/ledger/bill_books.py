"""The books of DOKU's charges for bills: `expected = paid + declined + unknown + awaiting`, by day and currency.

Both sides are counted by themselves: what was expected from the charges that were set; paid, declined and unknown from
DOKU's transactions and their outcomes, awaiting from charges that have none. Charges that nobody expected stand apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Connection, Date, bindparam, select, text

from include.domain.errors import BooksDoNotTie
from include.ledger.bill_tables import bill_attempt, bill_charge, bill_testimony
from include.ledger.books import Line

TERMS: Final = ("expected", "paid", "declined", "unknown", "awaiting")
APART: Final = ("unexpected", "collected")

NOT_KNOWN: Final = "amount_not_known"
"""Detail of expected charges whose amount nobody has said; their amount counts as 0 on both sides."""

# A charge is paid if any transaction of it is; unknown if one of them may be; else declined.
_LINES: Final = """
    SELECT expected_on, currency, 'expected' AS term,
           CASE WHEN amount IS NULL THEN 'amount_not_known' ELSE '' END AS detail,
           count(*) AS charges, coalesce(sum(amount), 0) AS amount
    FROM bill_charge WHERE profile = :profile AND expected_on BETWEEN :first AND :last GROUP BY 1, 2, 4
    UNION ALL
    SELECT c.expected_on, c.currency, 'awaiting', '', count(*), coalesce(sum(c.amount), 0)
    FROM bill_charge c
    WHERE c.profile = :profile AND c.expected_on BETWEEN :first AND :last AND NOT EXISTS (
        SELECT 1 FROM bill_attempt a WHERE a.billing_source = c.billing_source AND a.billing_number = c.billing_number
          AND a.expected_on = c.expected_on)
    GROUP BY 1, 2
    UNION ALL
    SELECT expected_on, currency, term, detail, count(*), coalesce(sum(amount), 0) FROM (
        SELECT t.expected_on, c.currency, c.amount,
               CASE WHEN t.strongest >= 4 THEN 'paid' WHEN t.unknown > 0 THEN 'unknown' ELSE 'declined' END AS term,
               CASE WHEN t.strongest = 5 AND t.kept = 0 THEN 'reversed' WHEN t.strongest >= 4 OR t.unknown > 0 THEN ''
                    WHEN t.strongest = 2 THEN 'withdrawn' ELSE coalesce(t.code, '') END AS detail
        FROM (
            SELECT a.billing_source, a.billing_number, a.expected_on, max(s.strength) AS strongest,
                   sum(CASE s.strength WHEN 4 THEN 1 ELSE 0 END) AS kept,
                   sum(CASE s.strength WHEN 1 THEN 1 ELSE 0 END) AS unknown, max(s.code) AS code
            FROM bill_attempt a JOIN (
                SELECT o.profile, o.reference, max(o.strength) AS strength,
                       max(CASE WHEN o.status = 'declined' THEN o.response_code END) AS code
                FROM bill_outcome o WHERE o.profile = :profile GROUP BY o.profile, o.reference
            ) s ON s.profile = a.profile AND s.reference = a.reference
            WHERE a.profile = :profile AND a.expected_on BETWEEN :first AND :last
            GROUP BY a.billing_source, a.billing_number, a.expected_on
        ) t JOIN bill_charge c ON c.billing_source = t.billing_source AND c.billing_number = t.billing_number
             AND c.expected_on = t.expected_on
    ) decided GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT a.charged_on, a.currency, 'unexpected', s.status, count(*), coalesce(sum(a.amount), 0)
    FROM bill_attempt a JOIN bill_outcome s ON s.profile = a.profile AND s.reference = a.reference
    WHERE a.profile = :profile AND a.expected_on IS NULL AND a.charged_on BETWEEN :first AND :last AND {strongest}
    GROUP BY 1, 2, 4
    UNION ALL
    SELECT a.expected_on, a.currency, 'collected', s.status, count(*), coalesce(sum(coalesce(a.amount, c.amount)), 0)
    FROM bill_attempt a JOIN bill_outcome s ON s.profile = a.profile AND s.reference = a.reference
    JOIN bill_charge c ON c.billing_source = a.billing_source AND c.billing_number = a.billing_number
      AND c.expected_on = a.expected_on
    WHERE a.profile = :profile AND a.expected_on BETWEEN :first AND :last AND s.strength >= 4 AND {strongest}
    GROUP BY 1, 2, 4
"""
_STRONGEST: Final = """
    NOT EXISTS (SELECT 1 FROM bill_outcome x
                WHERE x.profile = s.profile AND x.reference = s.reference AND x.strength > s.strength)
"""

# Charges that stand on no side, or on two.
_ODD: Final = """
    SELECT c.charge_id FROM bill_charge c
    LEFT JOIN bill_attempt a ON a.billing_source = c.billing_source AND a.billing_number = c.billing_number
      AND a.expected_on = c.expected_on
    LEFT JOIN bill_outcome o ON o.profile = a.profile AND o.reference = a.reference
    WHERE c.profile = :profile AND c.expected_on = :day AND a.reference IS NOT NULL
      AND (o.reference IS NULL OR a.profile <> c.profile OR a.currency <> c.currency)
    ORDER BY c.charge_id LIMIT 5
"""


@dataclass(frozen=True, order=True)
class DayLine:
    """One line of a day's books; `day` is the expected one, of unexpected charges the day on which DOKU made them.

    Attributes:
        detail: A response code, `withdrawn`, `reversed`, `amount_not_known`, or a status; empty: nothing to add.
        amount: Smallest units: of expected charges what was expected, of the terms apart what DOKU says.
    """

    day: date
    currency: str
    term: str
    detail: str
    count: int
    amount: int


def day_lines(connection: Connection, profile: str, first: date, last: date) -> list[DayLine]:
    """The books of some days."""
    statement = text(dedent(_LINES.format(strongest=_STRONGEST))).bindparams(
        bindparam("first", value=first, type_=Date), bindparam("last", value=last, type_=Date)
    )
    rows = connection.execute(statement.columns(expected_on=Date), {"profile": profile})
    return sorted(
        DayLine(row.expected_on, row.currency, row.term, row.detail, int(row.charges), int(row.amount)) for row in rows
    )


def refuse_unless_charges_tie(connection: Connection, profile: str, lines: Iterable[DayLine]) -> None:
    """`expected = paid + declined + unknown + awaiting`, per day and currency.

    Raises:
        BooksDoNotTie: With both sides, and the first rows that stand on none of them, or on two.
    """
    found: dict[tuple[date, str], dict[str, tuple[int, int]]] = {}
    for line in lines:
        terms = found.setdefault((line.day, line.currency), {})
        count, amount = terms.get(line.term, (0, 0))
        terms[line.term] = (count + line.count, amount + line.amount)
    for (day, currency), terms in sorted(found.items()):
        left = terms.get("expected", (0, 0))
        parts = [terms.get(term, (0, 0)) for term in TERMS[1:]]
        right = (sum(count for count, _ in parts), sum(amount for _, amount in parts))
        if left != right:
            odd = ", ".join(_odd(connection, profile, day)) or "none of them stands out"
            raise BooksDoNotTie(
                f"The books of DOKU's charges do not tie: {day}, {currency}: expected is {left[0]} charges of "
                f"{left[1]} in all, but {' + '.join(TERMS[1:])} is {right[0]} of {right[1]} (look at: {odd}). Nothing "
                "is lost by that; run `python -m include.cli verify` to see which rows differ."
            )


def days_worked_on(connection: Connection, profile: str, run_id: int, since: datetime) -> set[date]:
    """The days whose charges a run set, or of whose transactions something was said since it began."""
    t, a, c = bill_testimony.c, bill_attempt.c, bill_charge.c
    said = select(a.expected_on, a.charged_on).join(
        bill_testimony,
        (t.profile == a.profile)
        & ((t.reference == a.reference) | ((t.billing_number == a.billing_number) & (t.expected_on == a.expected_on))),
    )
    rows = connection.execute(said.where(a.profile == profile, (t.run_id == run_id) | (t.kept_at >= since)).distinct())
    days = {row.expected_on or row.charged_on for row in rows}
    new = select(c.expected_on).where(c.profile == profile, c.set_at >= since).distinct()
    return days | set(connection.scalars(new))


def as_lines(lines: Sequence[DayLine]) -> list[Line]:
    """As a run keeps them: the day stands in the detail."""
    return [
        Line(0, one.currency, one.term, f"{one.day.isoformat()} {one.detail}".strip(), one.count, one.amount)
        for one in lines
    ]


def _odd(connection: Connection, profile: str, day: date) -> list[str]:
    statement = text(dedent(_ODD)).bindparams(bindparam("day", value=day, type_=Date))
    rows: Any = connection.execute(statement, {"profile": profile})
    return [str(row.charge_id) for row in rows]
