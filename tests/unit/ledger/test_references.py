"""No row refers to one that is not there: foreign keys on SQLite, on PostgreSQL for many rows a check by statement."""

import itertools
import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.errors import LedgerError
from include.domain.invoice_numbers import invoice_number
from include.ledger import tables
from include.ledger.bulk import insert_rows
from include.ledger.references import checks_switched_off, references, rows_that_refer_to_nothing, triggers
from tests.flows_harness import BUSINESS_DATE, MORNING, TOKEN
from tests.unit.conftest import POSTGRESQL
from tests.unit.ledger.lab import SOURCE, Lab, row

on_postgresql = pytest.mark.parametrize("ledger_settings", [POSTGRESQL], indirect=True)
_PARENTS = {"attempt": "invoice_number", "batch": "batch_id", "report_file": "report_id", "run": "run_id"}

_REFERRING = {one.table.name for one in references()}


@pytest.fixture
def day(lab):
    """A batch of C1 to C5; a report has answered C1, it is not tried again, and a run passed over another."""
    lab.batch_id = lab.sent(*(row(f"C{number}") for number in range(1, 6)))
    lab.run_id = lab.run().run_id
    values = {
        "profile": "insurance", "file_name": "R", "content_digest": "c" * 64, "size": 1, "artefact": "a",
        "state": "ingested", "fetched_at": MORNING,
    }  # fmt: skip
    with lab.ledger.write() as connection:
        inserted = connection.execute(tables.report_file.insert().values(values)).inserted_primary_key
        lab.report_id = inserted[0]
        for name in ("report_line", "outcome", "next_attempt", "run_charge"):
            connection.execute(tables.metadata.tables[name].insert().values(_row(lab, name, 1)))
    return lab


def _row(lab: Lab, table: str, number: int) -> dict[str, Any]:
    """A good row of a table, about a charge by its number."""
    invoice = invoice_number(SOURCE, f"C{number}", 1)
    return {
        "attempt": {
            "invoice_number": invoice, "billing_source": SOURCE, "charge_id": f"C{number}", "attempt_no": 1,
            "profile": "insurance", "batch_id": lab.batch_id, "line_no": number, "customer_id": "K", "token": TOKEN,
            "amount": 1000, "currency": "IDR", "due_date": BUSINESS_DATE, "execute_date": BUSINESS_DATE,
            "rule": "first",
        },
        "report_line": {
            "report_id": lab.report_id, "line_no": number, "invoice_number": invoice, "response_code": "0051",
            "status": "declined", "line_class": "answer",
        },
        "outcome": {
            "invoice_number": invoice, "status": "declined", "decided_at": MORNING, "witness": "report",
            "report_id": lab.report_id, "report_line_no": number,
        },
        "next_attempt": {
            "invoice_number": invoice, "version": 1, "action": "never", "pay_day": False, "rule": "r", "words": "w",
            "decided_at": MORNING, "run_id": lab.run_id, "report_id": lab.report_id,
        },
        "run_charge": {
            "run_id": lab.run_id, "row_no": number, "charge_id": f"C{number}", "amount": 1, "currency": "IDR",
            "fate": "held", "reason": "hold",
        },
    }[table]  # fmt: skip


def _kept(lab: Lab) -> dict[str, Any]:
    """All rows that refer or are referred to."""
    return {name: lab.sql(f"SELECT * FROM {name} ORDER BY 1, 2") for name in sorted(_REFERRING | set(_PARENTS))}


def _good(lab: Lab, table: str) -> list[dict[str, Any]]:
    """Three good rows that are not there yet."""
    return [_row(lab, table, number) for number in ((6, 7, 8) if table == "attempt" else (3, 4, 5))]


def _bad(column: sa.Column[Any], good: dict[str, Any]) -> dict[str, Any]:
    return {**good, column.name: "NONE" if isinstance(column.type, sa.String) else 999}


def _insert(connection, table, column, good):
    connection.execute(table.insert().values(_bad(column, good[0])))


def _last_of_many(connection, table, column, good):
    connection.execute(table.insert().values([*good[:2], _bad(column, good[2])]))


def _copy(connection, table, column, good):
    insert_rows(connection, table, [*good[:2], _bad(column, good[2])])


def _update(connection, table, column, good):
    connection.execute(table.insert().values(good))
    wrong = _bad(column, good[0])[column.name]
    where = [key == good[2][key.name] for key in table.primary_key]
    connection.execute(table.update().where(*where).values({column.name: wrong}))


def _instead(connection, table, column, good):
    connection.execute(table.insert().values(good))
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    wrong = {column.name: _bad(column, good[0])[column.name]}
    keys = list(table.primary_key.columns.keys())
    again = insert_for(table).values(good).on_conflict_do_update(
        index_elements=keys, set_=wrong, where=sa.and_(*(key == good[2][key.name] for key in table.primary_key))
    )  # fmt: skip
    connection.execute(again)


@pytest.mark.parametrize("how", [_insert, _last_of_many, _copy, _update, _instead], ids=lambda how: how.__name__)
def test_a_row_that_refers_to_nothing_is_refused(day, how):
    before = _kept(day)
    for reference in references():
        said = str(reference.name) if day.ledger.engine.dialect.name == "postgresql" else "SQLITE_CONSTRAINT_FOREIGNKEY"
        with pytest.raises(LedgerError, match=said), day.ledger.write() as connection:
            how(connection, reference.table, reference.columns[0], _good(day, reference.table.name))
        assert _kept(day) == before, reference.name


def test_a_row_may_refer_to_nothing_at_all(day):
    alone = {
        "next_attempt": {"run_id": None, "report_id": None},
        "outcome": {"witness": "person", "proof": "w", "report_id": None},
    }
    with day.ledger.write() as connection:
        for name, values in alone.items():
            table = tables.metadata.tables[name]
            connection.execute(table.insert().values([one | values for one in _good(day, name)]))
            connection.execute(table.update().values(values))


# --- what is referred to stays ---


def test_what_is_referred_to_is_neither_deleted_nor_renamed(day):
    with day.ledger.write() as connection:
        connection.execute(tables.event.delete())  # it refers to batches and runs, by foreign keys
    before = _kept(day)
    for parent, key in _PARENTS.items():
        named = {"one": day.invoice("C1") if parent == "attempt" else max(one[key] for one in before[parent])}
        other = f"'{'X' * 18}01'" if parent == "attempt" else "999"
        changes = [f"DELETE FROM {parent}", f"UPDATE {parent} SET {key} = {other} WHERE {key} = :one"]
        said = "breaks a promise"
        if day.ledger.engine.dialect.name == "postgresql":
            said = "constraint ledger_row_stays"
            changes += [f"DELETE FROM {parent} WHERE false", f"TRUNCATE {parent} CASCADE"]
        for change in changes:
            with pytest.raises(LedgerError, match=said), day.ledger.write() as connection:
                connection.execute(sa.text(change), named)
    assert _kept(day) == before


@on_postgresql
def test_what_is_referred_to_is_not_emptied_with_what_it_refers_to_itself(day):
    with pytest.raises(LedgerError, match="constraint ledger_row_stays"), day.ledger.write() as connection:
        connection.execute(sa.text("TRUNCATE layout CASCADE"))


@on_postgresql
def test_what_is_there_already_may_be_written_again_under_its_key(day):
    """As an upsert does, and whatever moves a batch on."""
    with day.ledger.write() as connection:
        for parent, key in _PARENTS.items():
            connection.execute(sa.text(f"UPDATE {parent} SET {key} = {key}, profile = profile"))


# --- sessions, and what they see ---


@on_postgresql
def test_a_row_and_what_it_refers_to_in_one_statement(day):
    both = """
        WITH made AS (INSERT INTO run (kind, profile, external_id, business_date, opened_at, dry_run, past, state)
                      SELECT kind, profile, 'another', business_date, opened_at, dry_run, past, state FROM run
                      WHERE run_id = :run_id RETURNING run_id)
        INSERT INTO run_charge (run_id, row_no, charge_id, amount, currency, fate, reason)
        SELECT run_id, 1, 'C1', 1, 'IDR', 'held', 'hold' FROM made
    """
    with day.ledger.write() as connection:
        connection.execute(sa.text(both), {"run_id": day.run_id})
    assert len(day.sql("SELECT 1 FROM run_charge WHERE run_id > :one", one=day.run_id)) == 1


@on_postgresql
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_what_another_session_has_not_committed_is_not_there(day, ends):
    run_charge = tables.run_charge.insert()
    with day.ledger.engine.connect() as other, other.begin() as transaction:
        values = day.sql("SELECT * FROM run WHERE run_id = :one", one=day.run_id)[0]
        other.execute(tables.run.insert().values({**values, "run_id": 900, "external_id": "another"}))
        row_of_it = {**_row(day, "run_charge", 9), "run_id": 900}
        with pytest.raises(LedgerError, match="fk_run_charge_run_id"), day.ledger.write() as connection:
            connection.execute(run_charge.values(row_of_it))
        with day.ledger.write() as connection:  # it sees what is committed by then, not when it began
            connection.execute(sa.text("SELECT 1"))
            getattr(transaction, ends)()
            if ends == "rollback":
                with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
                    connection.execute(run_charge.values(row_of_it))
            else:
                connection.execute(run_charge.values(row_of_it))


# --- what `verify` asks ---


def test_a_healthy_ledger_refers_to_nothing_that_is_not_there(day):
    with day.ledger.read() as connection:
        assert list(rows_that_refer_to_nothing(connection)) == list(checks_switched_off(connection)) == []


def test_what_was_deleted_behind_the_ledgers_back_is_found(day):
    """By a client that asks SQLite for no foreign keys, or one that PostgreSQL takes for a replica."""
    off = "SET LOCAL session_replication_role = replica"
    with day.ledger.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.connection.execute("PRAGMA foreign_keys = OFF")
            off = "SELECT 1"
        for parent in _PARENTS:
            with connection.begin() as transaction:
                connection.execute(sa.text(off))
                connection.execute(tables.metadata.tables[parent].delete())
                found = list(rows_that_refer_to_nothing(connection))
                transaction.rollback()
            assert {re.sub(r"^\d+ rows | that is not there\.$", "", one) for one in found} == {
                f"of {one.table.name} refer by {one.columns[0].name} to a row of {parent}"
                for one in references()
                if one.referred_table.name == parent
            }


@on_postgresql
def test_a_check_that_is_switched_off_is_found(day):
    changes = (
        "ALTER TABLE {table} DISABLE TRIGGER USER", "DROP TRIGGER {trigger} ON {table}",
        "ALTER TABLE {table} ENABLE REPLICA TRIGGER {trigger}",
    )  # fmt: skip
    with day.ledger.engine.connect() as connection:
        for (table, trigger), change in itertools.product(triggers(), changes):
            with connection.begin() as transaction:
                connection.execute(sa.text(change.format(table=table, trigger=trigger)))
                found = list(checks_switched_off(connection))
                transaction.rollback()
            assert f"The check {trigger} of table {table} is missing or switched off in the ledger's database." in found
