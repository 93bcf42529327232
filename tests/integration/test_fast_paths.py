"""PostgreSQL's fast paths give what the way of any database gives."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from include.flows import tell_merchant
from include.ledger.batches import _by_copy, _by_pages, line_frames
from include.ledger.tables import attempt, next_attempt
from include.ledger.writeback import claims_of_batch, outcomes_of_report
from include.schemas.copy_out import copied
from tests.integration.test_day_by_flows import _at_seven
from tests.services.postgres import PostgresServer
from tests.stack import by_flows

pytestmark = pytest.mark.services


@pytest.fixture
def worked(make_scene: Callable[..., Any]) -> Any:
    """A day that is over, on PostgreSQL."""
    scene = make_scene(billing="postgresql", ledger="postgresql", charges=300)
    by_flows.submit(scene, _at_seven)
    by_flows.reconcile_until_done(scene, _at_seven)
    return scene


def _told(scene: Any) -> list[tuple[Any, ...]]:
    engine = scene.billing.engine()
    with engine.connect() as connection:
        return connection.execute(sa.text("SELECT * FROM doku_charge_outcomes ORDER BY charge_id, attempt_no")).all()


@pytest.mark.parametrize("attempts", [-1, 500_000], ids=["in an old ledger", "in a young one"])
def test_columns_tell_the_merchant_what_rows_do(worked: Any, monkeypatch: pytest.MonkeyPatch, attempts: int):
    monkeypatch.setattr("include.ledger.writeback.PAGE_ROWS", 70)
    monkeypatch.setattr("include.ledger.work_tables._MANY", attempts)
    with by_flows.context_of(worked, _at_seven) as context:
        for telling in (claims_of_batch(context.ledger, 1), outcomes_of_report(context.ledger, 1)):
            engine = worked.billing.engine()
            told = []
            for way in (
                lambda one: tell_merchant.tell(context, one.rows()),
                lambda one: tell_merchant.tell_all(context, one),
            ):
                with engine.begin() as connection:
                    connection.execute(sa.text("DELETE FROM doku_charge_outcomes"))
                counts = way(telling)
                assert asdict(counts) == {"inserted": len(_told(worked)), "changed": 0, "same": 0}
                told.append(_told(worked))
                assert way(telling).same == len(_told(worked))
                with engine.begin() as connection:
                    connection.execute(sa.text("UPDATE doku_charge_outcomes SET response_message = 'another'"))
                assert way(telling).changed == len(_told(worked))
            assert told[0] == told[1]
            assert told[0]


def test_lines_by_copy_are_those_by_pages(worked: Any):
    with by_flows.context_of(worked, _at_seven) as context:
        whole = sa.select(*(attempt.c[name] for name in _columns())).where(attempt.c.batch_id == 1)
        chosen = whole.order_by(attempt.c.line_no)
        copies, pages = (list(way(context.ledger, chosen, 64)) for way in (_by_copy, _by_pages))
        assert [table.to_pylist() for table in copies] == [table.to_pylist() for table in pages]
        assert [table.schema for table in copies] == [table.schema for table in pages]
        frames = list(line_frames(context.ledger, 1, 64))
        assert [number for frame in frames for number in frame["line_no"]] == list(range(1, sum(map(len, frames)) + 1))


def _columns() -> tuple[str, ...]:
    from include.ledger.batches import LINE_COLUMNS

    return LINE_COLUMNS


def test_decisions_are_there_once_and_told_with_their_report(worked: Any):
    with by_flows.context_of(worked, _at_seven) as context, context.ledger.read() as connection:
        rows = connection.execute(sa.select(next_attempt)).mappings().all()
    assert {row["action"] for row in rows} > {"retry"}
    assert all(row["told_at"] is None and row["report_id"] is not None and row["version"] == 1 for row in rows)
    planned = {row["invoice_number"]: row["planned_on"] for row in rows if row["action"] == "retry"}
    engine = worked.billing.engine()
    with engine.connect() as connection:
        query = "SELECT invoice_number, next_attempt_on FROM doku_charge_outcomes WHERE next_attempt_on IS NOT NULL"
        assert {row.invoice_number: row.next_attempt_on for row in connection.execute(sa.text(query))} == planned


def test_a_copy_that_is_left_early_or_refused_leaves_the_connection_usable(postgres: PostgresServer):
    where = postgres.sqlalchemy_url().replace("+psycopg", "")
    with psycopg.connect(where, autocommit=True) as driver:
        query = "COPY (SELECT generate_series(1, 100000), 'text') TO STDOUT (FORMAT csv)"
        with closing(copied(driver, query, 1000)) as pieces:
            assert next(pieces).count(b"\n") == 1000
        assert driver.execute("SELECT 1").fetchone() == (1,)
        assert sum(piece.count(b"\n") for piece in copied(driver, query, 30_000)) == 100_000
        with pytest.raises(psycopg.errors.UndefinedTable):
            list(copied(driver, "COPY (SELECT * FROM nowhere) TO STDOUT", 10))
        with pytest.raises(psycopg.errors.DivisionByZero):
            list(copied(driver, "COPY (SELECT 1 / (500 - n) FROM generate_series(1, 1000) n) TO STDOUT", 10))
        assert driver.execute("SELECT 1").fetchone() == (1,)
