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

_LINES: Final = """
    INSERT INTO report_line (report_id, line_no, invoice_number, amount, currency, response_code, status, line_class)
    SELECT o.report_id, o.report_line_no, a.invoice_number, a.amount, a.currency, o.response_code, o.status, 'answer'
    FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
"""

_SPEAKS_OF: Final = """
    INSERT INTO report_batch (report_id, batch_id)
    SELECT DISTINCT o.report_id, a.batch_id FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
"""

# Of each run, what it neither sent nor took for good.
_PASSED_OVER: Final = """
    INSERT INTO run_charge (run_id, row_no, charge_id, customer_id, amount, currency, fate, reason)
    SELECT r.run_id, n, 'P-' || r.run_id || '-' || n, 'K', 1, 'IDR', 'held', 'late' FROM run r, generate_series(1, 50) n
"""
_REJECTED: Final = """
    INSERT INTO quarantined_charge (run_id, row_no, billing_source, charge_id, amount, currency, reasons)
    SELECT r.run_id, 100 + n, 'insurance-billing', 'Q-' || r.run_id || '-' || n, 0, 'IDR', 'token:missing'
    FROM run r, generate_series(1, 20) n
"""

_ANSWERS: Final = """
    INSERT INTO outcome (invoice_number, status, response_code, amount, decided_at, witness, report_id, report_line_no)
    SELECT a.invoice_number, 'paid', '0000', a.amount, now(), 'report', f.report_id, a.line_no
    FROM attempt a JOIN report_file f ON f.content_digest = lpad(a.batch_id::text, 64, '0')
    WHERE NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number)
"""

# What is unknown for good is rare: most was settled since.
_DONE: Final = (
    "UPDATE outcome SET status = 'paid' WHERE status = 'unknown' AND report_line_no % 10 <> 0",
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
            for statement in (_ANSWERS, *_DONE, _LINES, _SPEAKS_OF, _PASSED_OVER, _REJECTED):
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
