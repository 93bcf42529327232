"""The books: each run's and each batch's conservation equations (promise 2), and the day's figures.

`rows` is counted while the view is read; `due` over the staged rows; `sent`, `quarantined`, `held`, `deferred`,
`in_flight` and `settled` each from the records that a row left behind. No term comes by subtraction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, insert, select, text

from include.domain.errors import BooksDoNotTie
from include.domain.states import RunKind, RunState
from include.ledger.tables import run, run_balance
from include.ledger.work_tables import looked_up

RUN_TERMS: Final = ("rows", "settled", "due", "sent", "quarantined", "held", "deferred", "in_flight")
BATCH_TERMS: Final = ("sent", "paid", "declined", "withdrawn", "unknown", "awaiting")

NO_CURRENCY: Final = "?"
"""Stands for a currency that could not be read."""


@dataclass(frozen=True, order=True)
class Line:
    """One line of the books.

    Attributes:
        batch_id: 0 for the whole run.
        detail: A reason or a response code; empty for the term's sum.
        amount: In smallest units.
    """

    batch_id: int
    currency: str
    term: str
    detail: str
    count: int
    amount: int


# Attempts that a run made count as sent once their batch has left; until then they are in flight.
_RUN_LINES: Final = """
    SELECT 0 AS batch_id, a.currency,
           CASE WHEN b.state IN ('claimed', 'sealed', 'delivering') THEN 'in_flight' ELSE 'sent' END AS term,
           CASE WHEN b.state IN ('claimed', 'sealed', 'delivering') THEN 'not_delivered' ELSE '' END AS detail,
           sum(a.count) AS count, sum(a.amount) AS amount
    FROM batch b JOIN (
        SELECT batch_id, currency, count(*) AS count, sum(amount) AS amount FROM attempt
        WHERE batch_id IN (SELECT batch_id FROM batch WHERE run_id = :run_id) GROUP BY batch_id, currency
    ) a ON a.batch_id = b.batch_id
    WHERE b.run_id = :run_id GROUP BY a.currency, 3, 4
    UNION ALL
    SELECT 0, coalesce(currency, '?'), 'quarantined', reasons, count(*), sum(amount)
    FROM quarantined_charge WHERE run_id = :run_id GROUP BY coalesce(currency, '?'), reasons
    UNION ALL
    SELECT 0, coalesce(currency, '?'), fate, reason, count(*), sum(amount)
    FROM run_charge WHERE run_id = :run_id GROUP BY coalesce(currency, '?'), fate, reason
"""

_DUE: Final = """
    SELECT 0 AS batch_id, coalesce(s.currency, '?') AS currency, 'due' AS term, '' AS detail,
           count(*) AS count, sum(s.amount) AS amount
    FROM staged_charge s LEFT JOIN staged_fate f ON f.row_no = s.row_no
    WHERE f.fate IS NULL OR f.fate <> 'settled'
    GROUP BY coalesce(s.currency, '?')
"""

_BATCH_LINES: Final = """
    SELECT batch_id, currency, term, detail, count(*) AS count, sum(amount) AS amount
    FROM (
        SELECT max(a.batch_id) AS batch_id, max(a.currency) AS currency, max(a.amount) AS amount,
               CASE coalesce(max(o.strength), 0) WHEN 0 THEN 'awaiting' WHEN 1 THEN 'unknown' WHEN 2 THEN 'withdrawn'
                    WHEN 3 THEN 'declined' ELSE 'paid' END AS term,
               CASE max(o.strength) WHEN 3 THEN coalesce(max(CASE WHEN o.status = 'declined' THEN o.response_code END),
                    '') WHEN 5 THEN 'reversed' ELSE '' END AS detail
        FROM attempt a LEFT JOIN outcome o ON o.invoice_number = a.invoice_number
        WHERE a.batch_id = :batch_id GROUP BY a.line_no
    ) counted
    GROUP BY batch_id, currency, term, detail
"""

_SENT: Final = "SELECT currency, line_count AS charges, total_amount AS amount FROM batch WHERE batch_id = :batch_id"


def run_lines(connection: Connection, run_id: int) -> list[Line]:
    """What became of the rows of a submit run, by term and reason."""
    return _lines(connection.execute(text(dedent(_RUN_LINES)), {"run_id": run_id}))


def batch_lines(connection: Connection, batch_id: int) -> list[Line]:
    """What became of the attempts of a batch by term (declined: by code; paid: apart if reversed), and its `sent`."""
    key = {"batch_id": batch_id}
    sent = connection.execute(text(_SENT), key).one()
    whole = Line(batch_id, sent.currency, "sent", "", int(sent.charges), int(sent.amount))
    with looked_up(connection):
        return [whole, *_lines(connection.execute(text(dedent(_BATCH_LINES)), key))]


def totals(lines: Iterable[Line]) -> dict[tuple[str, str], tuple[int, int]]:
    """(currency, term) -> (count, amount)."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for line in lines:
        count, amount = found.get((line.currency, line.term), (0, 0))
        found[line.currency, line.term] = (count + line.count, amount + line.amount)
    return found


def keep_read(connection: Connection, run_id: int, rows: Mapping[str, tuple[int, int]]) -> None:
    """Store `rows`, as counted while reading, and `due`, as counted over the staged rows; both by currency."""
    lines = [Line(0, currency, "rows", "", *value) for currency, value in rows.items()]
    _insert(connection, run_id, [*lines, *_lines(connection.execute(text(dedent(_DUE))))])


def keep_recovered(connection: Connection, run_id: int, currency: str, count: int, amount: int) -> None:
    """Store `rows` and `due` of a run that stands for a recovered batch: nothing else of what it read is known."""
    _insert(connection, run_id, [Line(0, currency, term, "", count, amount) for term in ("rows", "due")])


def kept_lines(connection: Connection, run_id: int) -> list[Line]:
    """The books of a run as they are stored."""
    statement = select(run_balance).where(run_balance.c.run_id == run_id)
    return sorted(_lines(connection.execute(statement)))


def refuse_unless_run_ties(lines: Iterable[Line]) -> None:
    """`rows = due + settled` and `due = sent + quarantined + held + deferred + in_flight`, per currency.

    Raises:
        BooksDoNotTie: With both sides.
    """
    found = totals(lines)
    for currency in sorted({currency for currency, _ in found}):
        value = {term: found.get((currency, term), (0, 0)) for term in RUN_TERMS}
        _compare(f"{currency}: rows", value["rows"], "due + settled", [value["due"], value["settled"]])
        parts = [value[term] for term in RUN_TERMS[3:]]
        _compare(f"{currency}: due", value["due"], " + ".join(RUN_TERMS[3:]), parts)


def refuse_unless_batch_ties(name: str, lines: Iterable[Line]) -> None:
    """`sent = paid + declined + withdrawn + unknown + awaiting (+ reversed)`. BooksDoNotTie with both sides."""
    found = totals(lines)
    for currency in {currency for currency, _ in found}:
        parts = [found.get((currency, term), (0, 0)) for term in BATCH_TERMS[1:]]
        _compare(f"{name}: sent", found.get((currency, "sent"), (0, 0)), " + ".join(BATCH_TERMS[1:]), parts)


def keep_lines(connection: Connection, run_id: int, lines: Iterable[Line]) -> None:
    """Store the books of a run beside what was counted at its claim; storing them again replaces them."""
    at_claim = run_balance.c.term.in_(("rows", "due"))
    connection.execute(run_balance.delete().where(run_balance.c.run_id == run_id, ~at_claim))
    _insert(connection, run_id, lines)


def submit_runs(connection: Connection, profile: str, business_date: date) -> list[int]:
    """The submit runs of a profile for a business date that have looked at its charges, oldest first."""
    where = (
        run.c.kind == RunKind.SUBMIT,
        run.c.profile == profile,
        run.c.business_date == business_date,
        run.c.state != RunState.OPEN,
    )
    return list(connection.scalars(select(run.c.run_id).where(*where).order_by(run.c.run_id)))


def _insert(connection: Connection, run_id: int, lines: Iterable[Line]) -> None:
    rows = [{"run_id": run_id, **asdict(line)} for line in _merged(lines)]
    if rows:
        connection.execute(insert(run_balance), rows)


def _merged(lines: Iterable[Line]) -> list[Line]:
    """Lines whose details are equal once they are cut to the column's length become one."""
    found: dict[tuple[int, str, str, str], tuple[int, int]] = {}
    for line in lines:
        key = (line.batch_id, line.currency, line.term, line.detail[:200])
        count, amount = found.get(key, (0, 0))
        found[key] = (count + line.count, amount + line.amount)
    return [Line(*key, *value) for key, value in found.items()]


def _compare(left: str, value: tuple[int, int], right: str, parts: Iterable[tuple[int, int]]) -> None:
    listed = list(parts)
    total = (sum(count for count, _ in listed), sum(amount for _, amount in listed))
    if value != total:
        raise BooksDoNotTie(
            f"The books do not tie: {left} is {value[0]} charges of {value[1]} in all, "
            f"but {right} is {total[0]} of {total[1]}. "
            "Nothing more is sent by this run; run `python -m include.cli verify` to see which rows differ."
        )


def _lines(rows: Iterable[object]) -> list[Line]:
    return [
        Line(int(r.batch_id), r.currency or NO_CURRENCY, r.term, r.detail or "", int(r.count), int(r.amount))  # type: ignore[attr-defined]
        for r in rows
    ]
