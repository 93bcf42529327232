"""References of many rows are checked by the statement

PostgreSQL checks a foreign key row by row, and writes to the row that is referred to: for a hundred thousand lines of one
report a hundred thousand times the same question. Here those tables are checked once for each statement, and the rows
that they refer to can be neither deleted nor renamed (docs/adr/0024). SQLite keeps its foreign keys: they cost little.
"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from include.ledger.types import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RECENT_DAYS = 3

_REFERENCES = (  # table, constraint, column, table that it refers to
    ("attempt", "fk_attempt_batch_id", "batch_id", "batch"),
    ("next_attempt", "fk_next_attempt_invoice_number", "invoice_number", "attempt"),
    ("next_attempt", "fk_next_attempt_report_id", "report_id", "report_file"),
    ("next_attempt", "fk_next_attempt_run_id", "run_id", "run"),
    ("outcome", "fk_outcome_invoice_number", "invoice_number", "attempt"),
    ("outcome", "fk_outcome_report_id", "report_id", "report_file"),
    ("report_line", "fk_report_line_report_id", "report_id", "report_file"),
    ("run_charge", "fk_run_charge_run_id", "run_id", "run"),
)
_KEYS = {"attempt": "invoice_number", "batch": "batch_id", "report_file": "report_id", "run": "run_id"}

# Looked up by index: a plan that was made for a large statement would read the whole table for the next small one.
# Tables are named with their schema: a session may have another search path, or a temporary table of that name.
_REFERS = """
    CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
    BEGIN
        IF EXISTS (
            SELECT 1 FROM {referring} AS referring WHERE referring.{column} IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM {schema}."{parent}" AS p WHERE p.{column} = referring.{column})
        ) THEN
            RAISE EXCEPTION 'a row of % refers to a row of {parent} that is not there', TG_TABLE_NAME
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '{name}', TABLE = TG_TABLE_NAME;
        END IF;
        RETURN NULL;
    END $$
"""
_STAYS = """
    CREATE FUNCTION ledger_row_stays() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'rows of % are referred to: they are never deleted, and keep their key', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_row_stays', TABLE = TG_TABLE_NAME;
    END $$
"""


def upgrade() -> None:
    _add_columns()
    if op.get_bind().dialect.name == "postgresql":
        _check_by_statement()


def _add_columns() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "ALTER TABLE next_attempt ADD COLUMN report_id BIGINT "
            "CONSTRAINT fk_next_attempt_report_id REFERENCES report_file (report_id)"
        )
    else:
        comment = "Of the report whose telling tells it too; null: it is told by itself"
        op.add_column("next_attempt", sa.Column("report_id", sa.BigInteger(), nullable=True, comment=comment))
    untold = sa.text("told_at IS NULL AND report_id IS NULL")
    op.drop_index("ix_next_attempt_untold", "next_attempt")
    op.create_index(
        "ix_next_attempt_untold", "next_attempt", ["invoice_number"], sqlite_where=untold, postgresql_where=untold
    )
    comment = "What several attempts of its charges are to one another was judged since"
    op.add_column("report_file", sa.Column("judged_at", UtcDateTime(), nullable=True, comment=comment))
    _note_judged()


def _note_judged() -> None:
    """Old reports were judged when they were planned. The last ones may have come in between: they are judged again."""
    report_file = sa.table(
        "report_file", sa.column("fetched_at", UtcDateTime()), sa.column("planned_at"), sa.column("judged_at")
    )
    newest = op.get_bind().scalar(sa.select(sa.func.max(report_file.c.fetched_at)))
    if newest is not None:
        old = report_file.c.fetched_at < newest - timedelta(days=RECENT_DAYS)
        op.execute(report_file.update().where(old).values(judged_at=report_file.c.planned_at))


def _check_by_statement() -> None:
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    for table, name, column, parent in _REFERENCES:
        if name != "fk_next_attempt_report_id":  # a new one
            op.drop_constraint(op.f(name), table, type_="foreignkey")
        # Many rows refer to the same run, batch or report; hardly two to the same attempt.
        referring = "added" if parent == "attempt" else f"(SELECT DISTINCT {column} FROM added)"  # noqa: S608
        op.execute(_REFERS.format(name=name, schema=schema, column=column, parent=parent, referring=referring))
        for event in ("INSERT", "UPDATE"):
            op.execute(
                f'CREATE TRIGGER {name}_{event.lower()} AFTER {event} ON "{table}" '
                f"REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
            )
    op.execute(_STAYS)
    for parent, key in _KEYS.items():
        op.execute(
            f'CREATE TRIGGER {parent}_stays BEFORE DELETE OR TRUNCATE ON "{parent}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_row_stays()"
        )
        op.execute(
            f'CREATE TRIGGER {parent}_keeps_its_key AFTER UPDATE ON "{parent}" FOR EACH ROW '
            f"WHEN (OLD.{key} IS DISTINCT FROM NEW.{key}) EXECUTE FUNCTION ledger_row_stays()"
        )
