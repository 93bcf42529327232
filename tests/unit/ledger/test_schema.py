"""Migrations: what they make is what the code expects, on both databases; and nothing works on anything else."""

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError, LedgerError, LedgerUnreachable
from include.ledger import schema, tables
from include.ledger.bill_tables import registration_file
from include.ledger.metadata import checked_by_statement
from include.ledger.store import Ledger, errors_named, ledger_engine
from tests.flows_harness import MORNING
from tests.unit.conftest import POSTGRESQL

RUN = {
    "kind": "submit", "profile": "insurance", "external_id": "one", "business_date": MORNING.date(),
    "opened_at": MORNING, "dry_run": False, "past": False, "state": "open",
}  # fmt: skip
BRAKE = {
    "run_id": 1, "plaintext_digest": "0" * 64, "kind": "none", "count": 1, "total": 1, "words": "",
    "pulled_at": MORNING,
}  # fmt: skip
LAYOUT = {"digest": "0" * 64, "name": "l", "kind": "register", "text": "", "stored_at": MORNING}
REGISTRATION_FILE = {
    "file_id": 1, "profile": "insurance", "remote_folder": "sftp:/inbound", "file_name": "REG_1.TXT",
    "business_date": MORNING.date(), "sequence": 1, "layout_digest": LAYOUT["digest"], "currency": "IDR",
    "line_count": 1, "total_amount": 1, "state": "delivered", "artefact": "a", "plaintext_digest": "1" * 64,
    "envelope_digest": "2" * 64, "envelope_size": 1, "delivery_try": "t", "words": "w", "made_at": MORNING,
    "made_by": 1, "delivered_at": MORNING,
}  # fmt: skip


@pytest.fixture(params=["sqlite", POSTGRESQL])
def engine(request, empty_database):
    """A database without any table."""
    engine = ledger_engine(empty_database(request.param))
    yield engine
    engine.dispose()


def _by_statement() -> set[str]:
    """Names of the references that PostgreSQL has no foreign key for."""
    constraints = (one for table in tables.metadata.tables.values() for one in table.foreign_key_constraints)
    return {str(one.name) for one in constraints if checked_by_statement(one)}


def test_upgrading_an_empty_database_makes_what_the_code_expects(engine):
    before, after = schema.upgrade(engine, "sandbox", MORNING)
    assert (before, after) == (None, schema.head())
    with engine.connect() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, tables.metadata)
    by_statement = _by_statement() if engine.dialect.name == "postgresql" else set()
    assert {(change, constraint.name) for change, constraint in found} == {("add_fk", name) for name in by_statement}
    assert len(found) == len(by_statement)


def test_every_constraint_of_the_code_is_in_the_database(engine):
    """Alembic's comparison does not look at check constraints and computed columns, and they hold promises."""
    schema.upgrade(engine, "sandbox", MORNING)
    inspector = sa.inspect(engine)
    by_statement = _by_statement() if engine.dialect.name == "postgresql" else set()
    for table in tables.metadata.sorted_tables:
        assert not any(column.constraints for column in table.columns), "Alembic does not see those"
        expected = {one.name for one in table.constraints if isinstance(one, sa.CheckConstraint)}
        assert {one["name"] for one in inspector.get_check_constraints(table.name)} == expected, table.name
        unique = {one.name for one in table.constraints if isinstance(one, sa.UniqueConstraint)}
        assert {one["name"] for one in inspector.get_unique_constraints(table.name)} == unique, table.name
        foreign = {tuple(one.column_keys) for one in table.foreign_key_constraints if one.name not in by_statement}
        assert {tuple(one["constrained_columns"]) for one in inspector.get_foreign_keys(table.name)} == foreign
        assert set(inspector.get_pk_constraint(table.name)["constrained_columns"]) == set(
            table.primary_key.columns.keys()
        )


def test_the_strength_of_an_outcome_is_the_codes_own(engine):
    from include.domain.states import STRENGTH

    schema.upgrade(engine, "sandbox", MORNING)
    definition = sa.inspect(engine).get_columns("outcome")
    (computed,) = [column["computed"]["sqltext"] for column in definition if column["name"] == "strength"]
    for status, strength in STRENGTH.items():
        assert str(status) in computed
        assert str(strength) in computed


def test_a_ledger_of_the_first_release_is_upgraded_with_all_it_holds(engine):
    with engine.begin() as connection:
        config = schema.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.insert(tables.run), RUN)
        connection.execute(sa.insert(tables.brake), BRAKE)  # refers to the run
    schema.upgrade(engine, "sandbox", MORNING)
    with engine.begin() as connection:
        assert connection.execute(sa.select(tables.brake.c.words)).scalars().all() == [BRAKE["words"]]
        connection.execute(sa.insert(tables.run), RUN | {"kind": "recurring"})
        assert connection.execute(sa.select(tables.run.c.kind).order_by("run_id")).scalars().all() == [
            "submit",
            "recurring",
        ]
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(sa.insert(tables.run), RUN | {"kind": "other"})
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(sa.insert(tables.brake), BRAKE | {"run_id": 99})


def test_registration_files_that_are_there_are_upgraded_and_none_counts_as_removed(engine):
    with engine.begin() as connection:
        config = schema.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for table, row in ((tables.layout, LAYOUT), (tables.run, RUN), (registration_file, REGISTRATION_FILE)):
            connection.execute(sa.insert(table), row)
    schema.upgrade(engine, "sandbox", MORNING)
    with engine.connect() as connection:
        (row,) = connection.execute(sa.select(registration_file)).mappings()
    assert row == {**REGISTRATION_FILE, "file_removed_at": None}


_FOUND_BY = "SELECT m.amname FROM pg_class c JOIN pg_am m ON m.oid = c.relam WHERE c.relname = 'ix_attempt_token'"


@pytest.mark.parametrize("engine", [POSTGRESQL], indirect=True)
def test_tries_of_a_token_are_found_by_hash(engine):
    schema.upgrade(engine, "sandbox", MORNING)
    with engine.connect() as connection:
        assert connection.execute(sa.text(_FOUND_BY)).scalars().all() == ["hash"]


def test_there_is_one_head():
    assert len(ScriptDirectory.from_config(schema.alembic_config()).get_heads()) == 1


def test_upgrading_again_changes_nothing(engine):
    schema.upgrade(engine, "sandbox", MORNING)
    first = Ledger.open(engine)
    assert schema.upgrade(engine, "sandbox", MORNING) == (schema.head(), schema.head())
    assert Ledger.open(engine).ledger_id == first.ledger_id


def test_a_ledger_stays_in_its_environment(engine):
    schema.upgrade(engine, "sandbox", MORNING)
    with pytest.raises(LedgerError, match="belongs to the sandbox environment"):
        schema.upgrade(engine, "production", MORNING)
    ledger = Ledger.open(engine)
    ledger.refuse_environment("insurance", "sandbox")
    with pytest.raises(LedgerError, match="Profile insurance is for production"):
        ledger.refuse_environment("insurance", "production")


def test_an_empty_database_is_refused_with_the_command(engine):
    with pytest.raises(LedgerError, match=r"has no schema yet.*include\.cli ledger upgrade"):
        Ledger.open(engine)


def test_a_schema_that_this_code_does_not_know_is_a_newer_one_and_refused(engine):
    schema.upgrade(engine, "sandbox", MORNING)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(LedgerError, match=r"is at schema 9999, which is newer than this code.*Install the newer"):
        Ledger.open(engine)


def test_a_ledger_that_lost_its_identity_is_refused(engine):
    schema.upgrade(engine, "sandbox", MORNING)
    with engine.begin() as connection:
        connection.execute(tables.ledger.delete())
    with pytest.raises(LedgerError, match="no identity"):
        Ledger.open(engine)


def test_no_table_of_airflow_is_touched(engine):
    """Our version table has a name of its own, should somebody put both into one database after all."""
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('airflow')"))
    schema.upgrade(engine, "sandbox", MORNING)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "airflow"


# --- connections and errors ---


def test_a_ledger_lives_in_postgresql_or_sqlite():
    with pytest.raises(LedgerError, match="PostgreSQL or SQLite"):
        ledger_engine(ConnectionSettings("doku_ledger", "mysql", host="h", schema="s"))
    with pytest.raises(ConfigError, match="not a database"):
        ledger_engine(ConnectionSettings("doku_ledger", "http", host="h"))
    with pytest.raises(ConfigError, match="absolute"):
        ledger_engine(ConnectionSettings("doku_ledger", "sqlite", host="ledger.db"))


def test_a_server_that_does_not_answer_may_be_tried_again():
    secret = "pa55word"
    settings = ConnectionSettings(
        "doku_ledger", "postgres", host="127.0.0.1", port=1, login="u", password=secret, schema="s"
    )
    with pytest.raises(LedgerUnreachable) as caught:
        Ledger.open(ledger_engine(settings))
    assert caught.value.retryable
    assert secret not in caught.value.message


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path):
    settings = ConnectionSettings("doku_ledger", "sqlite", host=str(tmp_path / "none" / "ledger.db"))
    with pytest.raises(LedgerUnreachable, match="does not answer"):
        Ledger.open(ledger_engine(settings))


def test_no_error_carries_a_row(lab):
    secret = "tok_5ecret_5ecret"
    statements = (
        "INSERT INTO layout (digest, name) VALUES (:one, NULL)",
        "SELECT * FROM no_such_table WHERE one = :one",
        "INSERT INTO run (kind) VALUES (:one)",
    )
    for statement in statements:
        with pytest.raises(LedgerError) as caught, errors_named(), lab.ledger.engine.begin() as connection:
            connection.execute(sa.text(statement), {"one": secret})
        assert secret not in caught.value.message
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
