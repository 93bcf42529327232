"""A year behind the merchant, made by SQL: attempts, outcomes, report lines, and the merchant's table of outcomes."""

import subprocess
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from include.billing.outcomes import create_outcomes_table
from include.ledger.store import Ledger
from tests.bench.ground import DAY, Ground
from tests.merchants.long_history import LongHistory
from tests.stack.databases import Database

LAST: Final = DAY - timedelta(days=7)
"""The history's last day: nothing of it is open."""

_REPORTS: Final = """
    INSERT INTO report_file (profile, file_name, content_digest, size, artefact, state, line_count, fetched_at,
        ingested_at, planned_at, written_back_at)
    SELECT b.profile, 'RPT_' || b.file_name, lpad(to_hex(b.batch_id), 64, '0'), 1, 'none', 'written_back', b.line_count,
        b.created_at, b.created_at, b.created_at, b.created_at
    FROM batch b
"""

_LINES: Final = """
    INSERT INTO report_line (report_id, line_no, invoice_number, amount, currency, response_code, status, line_class)
    SELECT f.report_id, a.line_no, a.invoice_number, a.amount, a.currency, o.response_code, o.status, 'answer'
    FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
    JOIN batch b ON b.batch_id = a.batch_id JOIN report_file f ON f.file_name = 'RPT_' || b.file_name
"""

_ANSWERS: Final = """
    INSERT INTO outcome (invoice_number, status, response_code, amount, decided_at, witness, proof)
    SELECT a.invoice_number, 'paid', '0000', a.amount, now(), 'status', 'invented' FROM attempt a
    WHERE NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number)
"""

_DONE: Final = (
    "UPDATE batch SET state = 'reconciled', reconciled_at = created_at, claims_written_at = created_at",
    "UPDATE next_attempt SET told_at = decided_at",
)

_TOLD: Final = """
    SELECT a.billing_source, a.profile, a.charge_id, a.attempt_no, a.invoice_number, l.ledger_id, b.file_name, o.status,
        o.response_code, a.amount, a.currency, a.execute_date, o.decided_at AT TIME ZONE 'UTC',
        o.decided_at AT TIME ZONE 'UTC'
    FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number JOIN batch b ON b.batch_id = a.batch_id
    CROSS JOIN ledger l
"""
_COLUMNS: Final = (
    "billing_source, profile, charge_id, attempt_no, invoice_number, ledger_id, batch_name, status, response_code, "
    "amount, currency, execute_date, decided_at, updated_at"
)


def fill_ledger(database: Database, *, days: int, rows: int) -> int:
    """Give an empty ledger on PostgreSQL its history; how many attempts there are."""
    engine = database.engine()
    try:
        attempts = LongHistory(Ledger.open(engine), last=LAST, rows=rows, days=days).fill()
        with engine.begin() as connection:
            for statement in (_ANSWERS, *_DONE, _REPORTS, _LINES):
                connection.execute(sa.text(statement))
        _tidy(engine)
    finally:
        engine.dispose()
    return attempts


def tell_merchant(ground: Ground, ledger: Database, billing: Database) -> None:
    """Fill the merchant's table with all that the ledger holds."""
    engine = billing.engine()
    create_outcomes_table(engine)
    out, into = (ground.servers.psql(str(sa.make_url(one.url).database)) for one in (ledger, billing))
    reading = subprocess.Popen([*out, "-c", f"COPY ({_TOLD}) TO STDOUT"], stdout=subprocess.PIPE)
    subprocess.run(
        [*into, "-c", f"COPY doku_charge_outcomes ({_COLUMNS}) FROM STDIN"], stdin=reading.stdout, check=True
    )  # fmt: skip
    if reading.wait():
        raise RuntimeError("the history could not be read")
    _tidy(engine)
    engine.dispose()


def _tidy(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
