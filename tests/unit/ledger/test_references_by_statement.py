"""References that PostgreSQL checks by statement: in a ledger that was upgraded, restored, or is used in odd ways."""

import subprocess
import threading
import time
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.pool import NullPool

from include.domain.connection import ConnectionSettings
from include.ledger import schema, tables
from include.ledger.references import checks_switched_off, references, rows_that_refer_to_nothing
from include.ledger.store import ledger_engine
from tests.flows_harness import MORNING
from tests.services.processes import find_binary
from tests.unit.conftest import POSTGRESQL

_REFERRING: Final = {one.table.name for one in references()}
_MOMENT: Final = "'2026-11-20 00:00:00'"
_WEEK_LATER: Final = "'2026-11-27 00:00:00'"
_INVOICE: Final = "'000000000000000001' || '01'"
_RUN_CHARGE: Final = """
    INSERT INTO run_charge (run_id, row_no, charge_id, amount, currency, fate, reason)
    VALUES (:run_id, 2, 'C2', 1, 'IDR', 'held', 'hold')
"""
_RUN: Final = f"""
    INSERT INTO run (run_id, kind, profile, external_id, business_date, opened_at, dry_run, past, state)
    VALUES (:run_id, 'submit', 'insurance', CAST(:run_id AS VARCHAR(9)), '2026-11-20', {_MOMENT}, false, false, 'open')
"""
_ROWS: Final = (
    f"INSERT INTO layout (digest, name, kind, text, stored_at) VALUES ('d', 'l', 'batch', '', {_MOMENT})",
    _RUN.replace(":run_id", "1"),
    f"""
    INSERT INTO batch (batch_id, profile, billing_source, run_id, merchant, business_date, sequence, execute_date,
        currency, file_name, remote_folder, layout_digest, line_count, total_amount, withdrawn_count, withdrawn_amount,
        state, created_at)
    VALUES (1, 'insurance', 'billing', 1, 'M', '2026-11-20', 1, '2026-11-20', 'IDR', 'F', 'x', 'd', 1, 1, 0, 0,
        'delivered', {_MOMENT})
    """,
    f"""
    INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no, profile, batch_id, line_no, customer_id,
        token, amount, currency, due_date, execute_date, rule)
    VALUES ({_INVOICE}, 'billing', 'C1', 1, 'insurance', 1, 1, 'K', 't', 1, 'IDR', '2026-11-20', '2026-11-20', 'first')
    """,
    f"""
    INSERT INTO report_file (report_id, profile, file_name, content_digest, size, artefact, state, fetched_at,
        planned_at)
    VALUES (1, 'insurance', 'R1', 'one', 1, 'a', 'ingested', {_MOMENT}, {_MOMENT}),
           (2, 'insurance', 'R2', 'two', 1, 'a', 'ingested', {_WEEK_LATER}, {_WEEK_LATER})
    """,
    f"""
    INSERT INTO report_line (report_id, line_no, invoice_number, response_code, status, line_class)
    VALUES (1, 1, {_INVOICE}, '0051', 'declined', 'answer')
    """,
    f"""
    INSERT INTO outcome (invoice_number, status, decided_at, witness, report_id, report_line_no)
    VALUES ({_INVOICE}, 'declined', {_MOMENT}, 'report', 1, 1)
    """,
    f"""
    INSERT INTO next_attempt (invoice_number, version, action, pay_day, rule, words, decided_at, run_id)
    VALUES ({_INVOICE}, 1, 'never', false, 'r', 'w', {_MOMENT}, 1)
    """,
    _RUN_CHARGE.replace(":run_id, 2", "1, 1"),
)


@pytest.fixture(params=[POSTGRESQL])
def settings(request, empty_database) -> ConnectionSettings:
    """A database without any table."""
    return empty_database(request.param)


@pytest.fixture
def engine(settings):
    engine = ledger_engine(settings)
    yield engine
    engine.dispose()


on_each = pytest.mark.parametrize("settings", ["sqlite", POSTGRESQL], indirect=True)


def _upgrade(engine: sa.Engine, revision: str) -> None:
    """To a revision, and a row in each table that is about many."""
    with engine.begin() as connection:
        config = schema.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for statement in _ROWS:
            connection.execute(sa.text(statement))


def _all(engine: sa.Engine) -> dict[str, list[dict[str, Any]]]:
    with engine.connect() as connection:
        names = [name for name in sa.inspect(connection).get_table_names() if name in tables.metadata.tables]
        return {
            name: [dict(one) for one in connection.execute(sa.text(f"SELECT * FROM {name} ORDER BY 1")).mappings()]
            for name in names
            if name != "ledger"
        }


def _refused(connection: sa.Connection, statement: str, **values: Any) -> None:
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        connection.execute(sa.text(statement), values)


@on_each
def test_a_ledger_is_upgraded_with_all_it_holds(engine):
    _upgrade(engine, "0002")
    before = _all(engine)
    schema.upgrade(engine, "sandbox", MORNING)
    after = _all(engine)
    assert after.pop("report_batch") == [{"report_id": 1, "batch_id": 1}]
    with engine.connect() as connection:
        query = sa.select(tables.report_file.c.judged_at, tables.report_file.c.planned_at)
        old, recent = connection.execute(query.order_by("report_id")).all()
    assert old.judged_at == old.planned_at
    assert (recent.judged_at, recent.planned_at is None) == (None, False), "it may have come in after the judging"
    for row in after["report_file"]:
        row.pop("judged_at")
        assert row.pop("readings") == 1
    assert [row.pop("report_id") for row in after["next_attempt"]] == [None]
    assert {name: rows for name, rows in after.items() if rows} == {name: rows for name, rows in before.items() if rows}
    assert set(_REFERRING) <= {name for name, rows in after.items() if rows}
    with engine.connect() as connection, connection.begin():
        assert list(rows_that_refer_to_nothing(connection)) == []
        _refused(connection, _RUN_CHARGE, run_id=9)
        _refused(connection, "UPDATE next_attempt SET report_id = 9")
        connection.execute(sa.text("UPDATE next_attempt SET report_id = 2"))


def test_an_upgrade_waits_for_a_report_that_is_taken_in_and_knows_its_batches(engine):
    _upgrade(engine, "0003")
    upgrade = threading.Thread(target=schema.upgrade, args=(engine, "sandbox", MORNING))
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'report_line'::regclass")
    with engine.begin() as task:  # of the release before
        task.execute(sa.text("SELECT * FROM report_file WHERE report_id = 2 FOR UPDATE"))
        line = "(report_id, line_no, invoice_number, response_code, status, line_class)"
        task.execute(sa.text(f"INSERT INTO report_line {line} VALUES (2, 1, {_INVOICE}, '0051', 'declined', 'repeat')"))
        upgrade.start()
        until = time.monotonic() + 60
        while not task.scalar(waiting):
            assert time.monotonic() < until
            time.sleep(0.02)
        task.execute(sa.text("UPDATE report_file SET state = 'ingested' WHERE report_id = 2"))
    upgrade.join()
    with engine.connect() as connection:
        assert connection.execute(sa.select(tables.report_batch)).all() == [(1, 1), (2, 1)]


@pytest.mark.parametrize("revision", ["0002", "head"])
def test_a_session_that_keeps_its_view_refers_only_to_what_was_there_when_it_began(engine, revision):
    """As with the foreign keys of 0002."""
    _upgrade(engine, revision)
    for run_id, level in enumerate(("REPEATABLE READ", "SERIALIZABLE"), start=2):
        with engine.connect().execution_options(isolation_level=level) as old:
            with old.begin():
                assert old.scalar(sa.text("SELECT max(run_id) FROM run")) == run_id - 1
                with engine.begin() as other:
                    other.execute(sa.text(_RUN), {"run_id": run_id})
                _refused(old, _RUN_CHARGE, run_id=run_id)
            with old.begin():
                old.execute(sa.text(_RUN_CHARGE), {"run_id": run_id})


_MANY: Final = (
    """
    INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no, profile, batch_id, line_no, customer_id,
        token, amount, currency, due_date, execute_date, rule)
    SELECT lpad(CAST(n AS text), 18, '0') || '01', 'billing', 'C' || n, 1, 'insurance', 1, n, 'K', 't', 1, 'IDR',
        '2026-11-20', '2026-11-20', 'first'
    FROM generate_series(2, 3000) AS n
    """,
    """
    INSERT INTO report_line (report_id, line_no, invoice_number, response_code, status, line_class)
    SELECT 1, line_no, invoice_number, '0051', 'declined', 'answer' FROM attempt WHERE line_no > 1
    """,
    f"""
    INSERT INTO outcome (invoice_number, status, decided_at, witness, report_id, report_line_no)
    SELECT invoice_number, status, {_MOMENT}, 'report', report_id, line_no FROM report_line WHERE line_no > 1
    """,
    f"""
    INSERT INTO next_attempt (invoice_number, version, action, pay_day, rule, words, decided_at, run_id, report_id)
    SELECT invoice_number, 1, 'never', false, 'r', 'w', {_MOMENT}, 1, 1 FROM attempt WHERE line_no > 1
    """,
    """
    INSERT INTO run_charge (run_id, row_no, charge_id, amount, currency, fate, reason)
    SELECT 1, line_no, charge_id, 1, 'IDR', 'held', 'hold' FROM attempt WHERE line_no > 2
    """,
    "UPDATE attempt SET batch_id = 1",
    "UPDATE report_line SET report_id = 1",
    "UPDATE outcome SET report_id = 1",
    "UPDATE next_attempt SET report_id = 1, run_id = 1",
    "UPDATE run_charge SET run_id = 1",
)
_ONE: Final = (
    """
    INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no, profile, batch_id, line_no, customer_id,
        token, amount, currency, due_date, execute_date, rule)
    VALUES (lpad('3001', 18, '0') || '01', 'billing', 'C3001', 1, 'insurance', 1, 3001, 'K', 't', 1, 'IDR',
        '2026-11-20', '2026-11-20', 'first')
    """,
    f"""
    INSERT INTO report_line (report_id, line_no, invoice_number, response_code, status, line_class)
    VALUES (2, 1, {_INVOICE}, '0051', 'declined', 'answer')
    """,
    f"""
    INSERT INTO outcome (invoice_number, status, decided_at, witness, report_id, report_line_no)
    VALUES ({_INVOICE}, 'unknown', {_MOMENT}, 'report', 2, 1)
    """,
    f"""
    INSERT INTO next_attempt (invoice_number, version, action, pay_day, rule, words, decided_at, run_id, report_id)
    VALUES ({_INVOICE}, 2, 'never', false, 'r', 'w', {_MOMENT}, 1, 2)
    """,
    _RUN_CHARGE.replace(":run_id, 2", "1, 0"),
    "UPDATE report_line SET line_class = 'repeat' WHERE report_id = 1 AND line_no = 1",
    f"UPDATE outcome SET bank = 'b' WHERE invoice_number = {_INVOICE}",
    f"UPDATE next_attempt SET told_at = {_MOMENT} WHERE invoice_number = {_INVOICE}",
    "UPDATE run_charge SET reason = 'late' WHERE run_id = 1 AND row_no = 0",
)
_SCANS: Final = """
    SELECT relname, seq_scan FROM pg_stat_xact_user_tables
    WHERE relname IN ('attempt', 'batch', 'report_file', 'run') ORDER BY relname
"""


def test_a_small_statement_after_a_large_one_does_not_read_a_whole_table(engine):
    """A session keeps the plan of its first large statement; here it would rather read tables whole."""
    _upgrade(engine, "head")
    with engine.connect() as session:
        with session.begin():
            session.execute(sa.text("SET random_page_cost = 1000"))
            for statement in _MANY:
                session.execute(sa.text(statement))
        with session.begin():
            for statement in _ONE:
                before = session.execute(sa.text(_SCANS)).all()
                session.execute(sa.text(statement))
                assert session.execute(sa.text(_SCANS)).all() == before, statement


# --- names ---


def test_a_temporary_table_of_that_name_is_not_asked(engine):
    _upgrade(engine, "head")
    with engine.connect() as connection, connection.begin():
        connection.execute(sa.text("CREATE TEMPORARY TABLE run AS SELECT 9 AS run_id"))
        _refused(connection, _RUN_CHARGE, run_id=9)
        connection.execute(sa.text(_RUN_CHARGE), {"run_id": 1})


def test_a_ledger_in_a_schema_of_its_own_is_found_whatever_a_session_searches(settings):
    url = ledger_engine(settings).url
    own = sa.create_engine(url, poolclass=NullPool, connect_args={"options": "-c search_path=books"})
    with own.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA books"))
    _upgrade(own, "head")
    with sa.create_engine(url, poolclass=NullPool).connect() as connection, connection.begin():
        connection.execute(sa.text("CREATE TABLE run AS SELECT 9 AS run_id"))
        qualified = _RUN_CHARGE.replace("INTO run_charge", "INTO books.run_charge")
        _refused(connection, qualified, run_id=9)
        connection.execute(sa.text(qualified), {"run_id": 1})
        assert set(checks_switched_off(connection)), "seen from here there is no ledger"
    with own.connect() as connection:
        assert list(checks_switched_off(connection)) == []


# --- restored ---


def _pg(program: str, settings: ConnectionSettings, database: str, *arguments: str) -> int:
    folders = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
    command = [find_binary(program, *folders, package="postgresql-client"), "-h", settings.host, "-p",
               str(settings.port), "-U", settings.login, "-d", database, *arguments]  # fmt: skip
    return subprocess.run(command, check=False, capture_output=True).returncode


def test_a_dump_that_is_restored_has_its_checks(engine, settings, empty_database, tmp_path):
    _upgrade(engine, "head")
    dump = str(tmp_path / "dump")
    assert _pg("pg_dump", settings, settings.schema, "-Fc", "-f", dump) == 0
    for restores in (((),), (("--schema-only",), ("--data-only", "--disable-triggers"))):
        into = empty_database("postgresql")
        for arguments in restores:
            assert _pg("pg_restore", settings, into.schema, "--exit-on-error", *arguments, dump) == 0
        restored = ledger_engine(into)
        assert _all(restored) == _all(engine)
        with restored.connect() as connection, connection.begin():
            assert list(checks_switched_off(connection)) == []
            _refused(connection, _RUN_CHARGE, run_id=9)
            _refused(connection, "DELETE FROM run")
        restored.dispose()
