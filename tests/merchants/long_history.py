"""A ledger with a long history, made by a few statements: what a merchant with many charges has after two months."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from textwrap import dedent
from typing import Any

import sqlalchemy as sa

from include.domain.states import BatchState, ReportState, RunKind, RunState
from include.ledger import tables
from include.ledger.store import Ledger
from include.ledger.types import UtcDateTime

WIB = timezone(timedelta(hours=7))

_NUMBERS = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :rows) "

# Pseudo-random, and the same every time: a charge's fate is a number below 1000.
_FATE = "((n.n * 7919 + :day * 104729 + 13) % 1000)"

# Each customer pays once in a month.
_CUSTOMER = "CAST(:day % 30 AS VARCHAR(5)) || '-' || CAST(n.n AS VARCHAR(20))"

_FIRST = f"""
    {_NUMBERS}
    INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no, profile, batch_id, line_no,
        customer_id, billing_number, token, amount, currency, due_date, execute_date, channel, token_fingerprint,
        billing_period, rule)
    SELECT CAST(100000000000000000 + :day * 1000000 + n.n AS VARCHAR(20)) || '01', :source,
        'C-' || CAST(:day AS VARCHAR(5)) || '-' || CAST(n.n AS VARCHAR(20)), 1, :profile, :batch_id, n.n,
        'K-' || {_CUSTOMER}, 'B-' || {_CUSTOMER}, 'TOKEN-OF-A-CUSTOMER',
        50000 + {_FATE} * 500, 'IDR', :today, :today,
        CASE {_FATE} % 3 WHEN 0 THEN 'DIRECT_DEBIT' ELSE 'CREDIT_CARD' END, 'F-' || {_CUSTOMER},
        substr(CAST(:today AS VARCHAR(10)), 1, 7), 'first'
    FROM n
"""

_ANSWERS = f"""
    {_NUMBERS}
    INSERT INTO outcome (invoice_number, status, response_code, bank, amount, decided_at, witness, report_id,
        report_line_no)
    SELECT a.invoice_number,
        CASE WHEN {_FATE} < 820 THEN 'paid' WHEN {_FATE} < 823 THEN 'unknown' ELSE 'declined' END,
        CASE WHEN {_FATE} < 820 THEN '0000' WHEN {_FATE} < 823 THEN '0068' WHEN {_FATE} < 920 THEN '0051'
             WHEN {_FATE} < 950 THEN '0005' WHEN {_FATE} < 975 THEN '0054' WHEN {_FATE} < 990 THEN '0014'
             WHEN {_FATE} < 998 THEN '0062' ELSE '00N7' END,
        CASE n.n % 5 WHEN 0 THEN 'BCA' WHEN 1 THEN 'MANDIRI' WHEN 2 THEN 'BNI' WHEN 3 THEN 'BRI' ELSE 'CIMB NIAGA' END,
        a.amount, :at, 'report', :report_id, a.line_no
    FROM n JOIN attempt a ON a.batch_id = :batch_id AND a.line_no = n.n
    WHERE :answered = 1 OR n.n % 7 <> 0
"""

_AGAIN = """
    INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no, previous_invoice_number,
        previous_status, profile, batch_id, line_no, customer_id, token, amount, currency, due_date, execute_date,
        channel, rule)
    SELECT substr(a.invoice_number, 1, 18) || '02', a.billing_source, a.charge_id, 2, a.invoice_number, 'declined',
        a.profile, :batch_id, row_number() OVER (ORDER BY a.line_no), a.customer_id, a.token, a.amount, 'IDR',
        a.due_date, :today, a.channel, 'planned'
    FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.batch_id = :earlier AND o.response_code = '0051' AND a.line_no <= :rows
"""

_AGAIN_ANSWERS = """
    INSERT INTO outcome (invoice_number, status, response_code, bank, amount, decided_at, witness, report_id,
        report_line_no)
    SELECT invoice_number, CASE WHEN line_no % 5 < 3 THEN 'paid' ELSE 'declined' END,
        CASE WHEN line_no % 5 < 3 THEN '0000' ELSE '0051' END, 'BCA', amount, :at, 'report', :report_id, line_no
    FROM attempt WHERE batch_id = :batch_id
"""


_DECIDED = """
    INSERT INTO next_attempt (invoice_number, version, action, planned_on, pay_day, rule, words, decided_at)
    SELECT a.invoice_number, 1, CASE WHEN o.response_code = '0051' AND a.attempt_no = 1 THEN 'retry' ELSE 'ask' END,
        CASE WHEN o.response_code = '0051' AND a.attempt_no = 1 THEN :planned END, :no, 'invented', 'invented', :at
    FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.batch_id = :batch_id AND o.status = 'declined'
"""


@dataclass
class LongHistory:
    """Fills a ledger that is at head and empty.

    Attributes:
        rows: First attempts of each day.
        days: How many, the last of them `last`.
    """

    ledger: Ledger
    last: date
    rows: int
    days: int = 60
    profile: str = "insurance"
    source: str = "insurance-billing"

    def fill(self) -> int:
        """Make it all; how many attempts there are."""
        with self.ledger.write() as connection:
            connection.execute(tables.layout.insert().values(
                digest="0" * 64, name="l", kind="batch", text="", stored_at=self._at(self.last, 5),
            ))  # fmt: skip
            firsts: list[int] = []
            for number in range(self.days):
                day = self.last - timedelta(days=self.days - 1 - number)
                run_id = self._run(connection, day)
                batch_id = self._batch(connection, run_id, day, 1)
                values = {"day": number, "rows": self.rows, "today": day, "batch_id": batch_id,
                          "source": self.source, "profile": self.profile}  # fmt: skip
                self._execute(connection, _FIRST, values)
                report_id = self._report(connection, batch_id, day)
                answered = {"at": self._at(day, 14), "answered": int(day != self.last), "report_id": report_id}
                self._execute(connection, _ANSWERS, {**values, **answered})
                self._decide(connection, batch_id, day)
                if number >= 5:
                    self._again(connection, run_id, day, firsts[number - 5])
                firsts.append(batch_id)
                self._books(connection, run_id)
                if number % 20 == 0 and connection.dialect.name == "postgresql":
                    for name in ("attempt", "outcome"):
                        connection.execute(sa.text(f"ANALYZE {name}"))
            return int(connection.scalar(sa.select(sa.func.count()).select_from(tables.attempt)) or 0)

    def _again(self, connection: sa.Connection, run_id: int, day: date, earlier: int) -> None:
        batch_id = self._batch(connection, run_id, day, 2)
        values = {"batch_id": batch_id, "earlier": earlier, "today": day, "rows": self.rows}
        self._execute(connection, _AGAIN, values)
        answered = {"batch_id": batch_id, "at": self._at(day, 15), "report_id": self._report(connection, batch_id, day)}
        self._execute(connection, _AGAIN_ANSWERS, answered)
        self._decide(connection, batch_id, day)
        self._count(connection, batch_id)

    def _decide(self, connection: sa.Connection, batch_id: int, day: date) -> None:
        """What comes after each declined attempt: no money today is tried again five days later."""
        values = {"batch_id": batch_id, "planned": day + timedelta(days=5), "no": False, "at": self._at(day, 16)}
        self._execute(connection, _DECIDED, values)

    def _run(self, connection: sa.Connection, day: date) -> int:
        values = {
            "kind": RunKind.SUBMIT, "profile": self.profile, "external_id": f"scheduled__{day}", "business_date": day,
            "opened_at": self._at(day, 6), "dry_run": False, "past": False, "state": RunState.CLOSED,
            "closed_at": self._at(day, 7),
        }  # fmt: skip
        inserted = connection.execute(tables.run.insert().values(values)).inserted_primary_key
        assert inserted is not None
        return int(inserted[0])

    def _batch(self, connection: sa.Connection, run_id: int, day: date, sequence: int) -> int:
        name = f"TKN_MCH0001_{day:%Y%m%d}_{sequence:04}.TXT"
        state = BatchState.DELIVERED if day == self.last and sequence == 1 else BatchState.RECONCILED
        values = {
            "profile": self.profile, "billing_source": self.source, "run_id": run_id, "merchant": "MCH0001",
            "business_date": day, "sequence": sequence, "execute_date": day, "currency": "IDR", "file_name": name,
            "remote_folder": "insurance_sftp:/inbound", "layout_digest": "0" * 64, "line_count": self.rows,
            "total_amount": 0, "state": state, "created_at": self._at(day, 6),
        }  # fmt: skip
        inserted = connection.execute(tables.batch.insert().values(values)).inserted_primary_key
        assert inserted is not None
        return int(inserted[0])

    def _report(self, connection: sa.Connection, batch_id: int, day: date) -> int:
        values = {
            "profile": self.profile, "file_name": f"RPT_{batch_id}.TXT", "content_digest": f"{batch_id:064}", "size": 1,
            "artefact": "none", "state": ReportState.WRITTEN_BACK, "line_count": self.rows,
            "fetched_at": self._at(day, 13), "ingested_at": self._at(day, 14), "planned_at": self._at(day, 14),
            "judged_at": self._at(day, 14), "written_back_at": self._at(day, 14),
        }  # fmt: skip
        inserted = connection.execute(tables.report_file.insert().values(values)).inserted_primary_key
        assert inserted is not None
        return int(inserted[0])

    def _count(self, connection: sa.Connection, batch_id: int) -> tuple[int, int]:
        totals = sa.select(sa.func.count(), sa.func.sum(tables.attempt.c.amount))
        count, amount = connection.execute(totals.where(tables.attempt.c.batch_id == batch_id)).one()
        where = tables.batch.c.batch_id == batch_id
        connection.execute(
            tables.batch.update().where(where).values(line_count=int(count), total_amount=int(amount or 0))
        )
        return int(count), int(amount or 0)

    def _books(self, connection: sa.Connection, run_id: int) -> None:
        of_run = sa.select(tables.batch.c.batch_id).where(tables.batch.c.run_id == run_id)
        counted = [self._count(connection, batch_id) for batch_id in connection.scalars(of_run).all()]
        count, amount = (sum(column) for column in zip(*counted, strict=True))
        rows = [
            {"run_id": run_id, "batch_id": 0, "currency": "IDR", "term": term, "detail": "", "count": count,
             "amount": amount}
            for term in ("rows", "due", "sent")
        ]  # fmt: skip
        connection.execute(tables.run_balance.insert(), rows)

    def _execute(self, connection: sa.Connection, statement: str, values: Mapping[str, Any]) -> None:
        types = {"today": sa.Date(), "planned": sa.Date(), "no": sa.Boolean(), "at": UtcDateTime()}
        named = {name: value for name, value in values.items() if f":{name}" in statement}
        bound = [sa.bindparam(name, type_=kind) for name, kind in types.items() if name in named]
        connection.execute(sa.text(dedent(statement)).bindparams(*bound), named)

    def _at(self, day: date, hour: int) -> datetime:
        return datetime.combine(day, time(hour), tzinfo=WIB)
