"""What the merchant's `doku_charge_outcomes` has to be told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Date, bindparam, text

from include.domain.money import CURRENCY_EXPONENT
from include.ledger.store import Ledger
from include.ledger.types import UtcDateTime
from include.ledger.work_tables import looked_up

# A plan is told until an attempt follows it. What is paid or in flight has none.
_NEXT: Final = """
    CASE WHEN o.status IN ('declined', 'withdrawn', 'unknown') THEN
        (SELECT CASE WHEN p.action = 'retry'
                      AND NOT EXISTS (SELECT 1 FROM attempt n WHERE n.previous_invoice_number = p.invoice_number)
                     THEN p.planned_on END
         FROM next_attempt p WHERE p.invoice_number = a.invoice_number ORDER BY p.version DESC LIMIT 1) END
"""

_COLUMNS: Final = f"""
    a.billing_source, a.profile, a.charge_id, a.attempt_no, a.invoice_number, a.amount, a.currency, a.execute_date,
    b.file_name AS batch_name, {_NEXT.strip()} AS next_attempt_on
"""

PAGE_ROWS: Final = 10_000

TOLD_COLUMNS: Final = (
    "billing_source", "profile", "charge_id", "attempt_no", "invoice_number", "batch_name", "status", "response_code",
    "response_message", "approval_code", "amount", "currency", "execute_date", "decided_at", "next_attempt_on",
)  # fmt: skip
"""What is told of an attempt, beside whose ledger says so."""

_EXPONENTS: Final = " ".join(f"WHEN '{currency}' THEN {10**places}" for currency, places in CURRENCY_EXPONENT.items())

# Whole seconds in UTC; amounts in major units.
_FORMS: Final = {
    "amount": f"CAST(CAST(amount AS numeric) / CASE currency {_EXPONENTS} END AS numeric(18, 2))",
    "decided_at": "date_trunc('second', decided_at AT TIME ZONE 'UTC')",
}

_AS_COLUMNS: Final = """
    SELECT count(*) AS told_count, {arrays} FROM ({statement}) AS told
    GROUP BY (position - 1) / :rows ORDER BY (position - 1) / :rows
"""
_ONE_PAGE: Final = "SELECT * FROM ({statement}) AS told WHERE position > :after ORDER BY position LIMIT :rows"
_FOR_ALL_ROWS: Final = (
    "datestyle = 'ISO, YMD'",
    "work_mem = '64MB'",
    "enable_hashagg = off",  # one page after the other, instead of all of them in memory
    "cursor_tuple_fraction = 1",
    "idle_in_transaction_session_timeout = 0",
)
_ARRAYS: Final = ", ".join(f"CAST(array_agg({_FORMS.get(name, name)}) AS text) AS {name}" for name in TOLD_COLUMNS)

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
    WHERE a.batch_id = :id
"""  # noqa: S608 - no value of anybody's is put in

_REPORTED: Final = f"""
    SELECT {_COLUMNS}, o.status, o.response_code, o.response_message, o.approval_code, o.decided_at,
           l.line_no AS position
    FROM report_line l
    JOIN attempt a ON a.invoice_number = l.invoice_number
    JOIN batch b ON b.batch_id = a.batch_id
    JOIN outcome o ON o.invoice_number = l.invoice_number
    WHERE l.report_id = :id AND l.line_class IN ('answer', 'amount_differs') AND {_STRONGEST}
"""  # noqa: S608

_WITHDRAWN: Final = f"""
    SELECT {_COLUMNS}, o.status, o.response_code, o.proof AS response_message, o.approval_code, o.decided_at,
           a.line_no AS position
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.batch_id = :id AND {_STRONGEST}
"""  # noqa: S608


_OF_ATTEMPT: Final = f"""
    SELECT {_COLUMNS}, o.status, o.response_code, coalesce(o.response_message, o.proof) AS response_message,
           o.approval_code, o.decided_at, a.line_no AS position
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.invoice_number = :invoice_number AND {_STRONGEST}
"""  # noqa: S608


@dataclass(frozen=True)
class ColumnPage:
    """Rows to tell, as PostgreSQL itself writes arrays.

    Attributes:
        count: How many rows.
        arrays: One array for each column, as text; amounts in major units, moments in UTC without a timezone.
    """

    count: int
    arrays: Mapping[str, str]


def outcome_of_attempt(ledger: Ledger, invoice_number: str) -> Iterator[Mapping[str, Any]]:
    """The outcome of one attempt, if it has one."""
    with ledger.read() as connection:
        query = text(dedent(_OF_ATTEMPT)).columns(execute_date=Date, decided_at=UtcDateTime, next_attempt_on=Date)
        found = [dict(row) for row in connection.execute(query, {"invoice_number": invoice_number}).mappings()]
    return iter(found)


# Those that are not told with a report: what a word, a person, a closed charge or a missed pay day decided.
_DECIDED: Final = f"""
    SELECT {_COLUMNS}, o.status, o.response_code, coalesce(o.response_message, o.proof) AS response_message,
           o.approval_code, o.decided_at, d.version AS position
    FROM next_attempt d JOIN attempt a ON a.invoice_number = d.invoice_number JOIN batch b ON b.batch_id = a.batch_id
    JOIN outcome o ON o.invoice_number = a.invoice_number AND {_STRONGEST}
    WHERE d.told_at IS NULL AND d.report_id IS NULL AND a.profile = :profile
    ORDER BY d.invoice_number, d.version LIMIT :rows
"""  # noqa: S608

_TOLD: Final = """
    UPDATE next_attempt SET told_at = :now
    WHERE told_at IS NULL AND report_id IS NULL AND invoice_number = :invoice_number AND version = :position
"""

_TOLD_AT_ONCE: Final = """
    UPDATE next_attempt SET told_at = :now
    FROM unnest(CAST(:invoice_number AS varchar[]), CAST(:position AS integer[])) AS told (invoice_number, version)
    WHERE told_at IS NULL AND report_id IS NULL AND next_attempt.invoice_number = told.invoice_number
      AND next_attempt.version = told.version
"""


Told = Mapping[str, Any]
"""Decisions that were told, by `invoice_number` and `position`: a list of each, or an array as PostgreSQL writes it."""

_DECIDED_AS_COLUMNS: Final = f"""
    SELECT count(*) AS told_count, CAST(array_agg(position) AS text) AS position, {_ARRAYS}
    FROM ({_DECIDED}) AS told
"""  # noqa: S608


def untold_decisions(ledger: Ledger, profile: str, rows: int = 10_000) -> list[Mapping[str, Any]]:
    """A page of attempts with a decision that the merchant was not told of, each as it is now."""
    with ledger.read() as connection:
        query = text(dedent(_DECIDED)).columns(execute_date=Date, decided_at=UtcDateTime, next_attempt_on=Date)
        return [dict(row) for row in connection.execute(query, {"profile": profile, "rows": rows}).mappings()]


def untold_decision_columns(ledger: Ledger, profile: str, rows: int = PAGE_ROWS) -> tuple[ColumnPage, Told] | None:
    """The same from a ledger on PostgreSQL as columns, with what to note once they are told; None: there is none."""
    query = text(_DECIDED_AS_COLUMNS)
    with ledger.read() as connection:
        connection.execute(text("SET LOCAL datestyle = 'ISO, YMD'"))
        found = connection.execute(query, {"profile": profile, "rows": rows}).mappings().one()
    if not found["told_count"]:
        return None
    page = ColumnPage(found["told_count"], {name: found[name] for name in TOLD_COLUMNS})
    return page, {name: found[name] for name in ("invoice_number", "position")}


def has_untold_decisions(ledger: Ledger, profile: str) -> bool:
    """Whether there is one."""
    return bool(untold_decisions(ledger, profile, 1))


def note_decisions_told(ledger: Ledger, told: Told, now: datetime) -> None:
    """The merchant was told of these decisions."""
    moment = bindparam("now", value=now, type_=UtcDateTime)
    with ledger.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(dedent(_TOLD_AT_ONCE)).bindparams(moment), dict(told))
            return
        each = [dict(zip(told, pair, strict=True)) for pair in zip(*told.values(), strict=True)]
        connection.execute(text(dedent(_TOLD)).bindparams(moment), each)


@dataclass(frozen=True)
class Telling:
    """What the billing database is to be told of a batch or a report.

    Attributes:
        ledger: Where it stands.
        statement: Its rows; `position` is the line, from 1.
        key: The id of the batch or the report.
        new: Nobody should have told of any of them before.
    """

    ledger: Ledger
    statement: str
    key: int
    new: bool = False

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """As rows (amounts in smallest units), page by page: no read stays open while the billing database is written.

        SQLite would let nobody write meanwhile.
        """
        after = 0
        query = text(_ONE_PAGE.format(statement=dedent(self.statement)))
        typed = query.columns(execute_date=Date, decided_at=UtcDateTime, next_attempt_on=Date)
        while True:
            with self.ledger.read() as connection:
                found = connection.execute(typed, {"id": self.key, "after": after, "rows": PAGE_ROWS}).mappings().all()
            if not found:
                return
            yield from (dict(row) for row in found)
            after = found[-1]["position"]

    def columns(self) -> Iterator[ColumnPage]:
        """The same from a ledger on PostgreSQL, in one reading and without a look at each row here."""
        query = text(_AS_COLUMNS.format(statement=dedent(self.statement), arrays=_ARRAYS))
        with self.ledger.read() as connection:
            for setting in _FOR_ALL_ROWS:
                connection.execute(text(f"SET LOCAL {setting}"))
            streamed = {"stream_results": True, "yield_per": 1}
            with looked_up(connection):
                found = connection.execute(query, {"id": self.key, "rows": PAGE_ROWS}, execution_options=streamed)
            for row in found.mappings():
                yield ColumnPage(row["told_count"], {name: row[name] for name in TOLD_COLUMNS})


def claims_of_batch(ledger: Ledger, batch_id: int) -> Telling:
    """The attempts of a batch as they are before it leaves."""
    return Telling(ledger, _CLAIMS, batch_id, new=True)


def outcomes_of_report(ledger: Ledger, report_id: int) -> Telling:
    """The outcome, as it is now, of each attempt that a report speaks of."""
    return Telling(ledger, _REPORTED, report_id)


def outcomes_of_batch(ledger: Ledger, batch_id: int) -> Telling:
    """The outcome of each attempt of a batch that has one."""
    return Telling(ledger, _WITHDRAWN, batch_id)
