"""The statements of docs/sql give the books of a day from the two databases alone."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.conftest import BUSINESS_DATE
from tests.stack import by_flows
from tests.stack.scene import QUICK

PROJECT = Path(__file__).resolve().parents[2]
_SPLIT = {**QUICK, "limits": {"max_rows_per_batch": 80}}


def _at_seven() -> datetime:
    return datetime(BUSINESS_DATE.year, BUSINESS_DATE.month, BUSINESS_DATE.day, 0, 0, tzinfo=UTC)


def _run(database, name, **parameters):
    """Run a statement as a client of the database does that puts quoted values in place of :names."""
    lines = (PROJECT / "docs" / "sql" / name).read_text(encoding="utf-8").splitlines()
    statement = "\n".join(line for line in lines if not line.startswith("--")).strip().removesuffix(";")
    for key, value in parameters.items():
        statement = re.sub(rf":{key}\b", f"'{value}'" if isinstance(value, str) else str(value), statement)
    engine = database.engine()
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.exec_driver_sql(statement.replace("%", "%%")).mappings()]
    finally:
        engine.dispose()


def _terms(rows):
    """term -> {count, amount}, over all currencies."""
    found: dict = {}
    for row in rows:
        value = found.setdefault(row.get("term") or row["status"], {"count": 0, "amount": 0})
        value["count"] += row["charges"]
        value["amount"] += int(row["amount"] or 0)
    return found


def _figures(books, *names):
    return {name: {key: books[name][key] for key in ("count", "amount")} for name in names if books[name]["count"]}


@pytest.mark.parametrize(
    ("billing", "ledger"),
    [
        ("sqlite", "sqlite"),
        pytest.param("postgresql", "postgresql", marks=pytest.mark.services),
        pytest.param("mysql", "sqlite", marks=pytest.mark.services),
    ],
)
def test_plain_sql_gives_the_books_of_the_day(make_scene, billing, ledger):
    scene = make_scene(billing=billing, ledger=ledger, charges=300, changes=_SPLIT)
    by_flows.submit(scene, _at_seven)
    by_flows.reconcile_until_done(scene, _at_seven)
    books = by_flows.books(scene)

    runs = _run(scene.ledger, "1_ledger_runs.sql", profile=scene.profile, business_date=BUSINESS_DATE.isoformat())
    assert {row["run_id"] for row in runs} == {books["run_id"]}
    assert [row["file_name"] for row in runs] == [file["file_name"] for file in books["files"]]

    of_run = _terms(_run(scene.ledger, "2_ledger_run_books.sql", run_id=books["run_id"]))
    names = ("rows", "settled", "due", "sent", "quarantined", "held", "deferred", "in_flight")
    assert of_run == _figures(books, *names)

    of_batches = _terms(_run(scene.ledger, "3_ledger_batch_books.sql", run_id=books["run_id"]))
    names = ("paid", "declined", "withdrawn", "unknown", "awaiting")
    assert of_batches == _figures(books, *names)

    told: dict = {}
    for row in runs:
        for status, value in _terms(_run(scene.billing, "4_billing_outcomes.sql", batch_name=row["file_name"])).items():
            so_far = told.setdefault(status, {"count": 0, "amount": 0})
            told[status] = {key: so_far[key] + value[key] for key in so_far}
    assert told == of_batches

    source = "insurance-billing"
    (expected,) = _run(scene.ledger, "5_ledger_still_listed.sql", run_id=books["run_id"], billing_source=source)
    (listed,) = _run(scene.billing, "6_billing_listed.sql", business_date=BUSINESS_DATE.isoformat())
    assert (listed["charges"], int(listed["amount"])) == (expected["charges"], int(expected["amount"]))
