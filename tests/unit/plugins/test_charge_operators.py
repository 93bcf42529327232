"""The tasks of recurring that are about DOKU's charges, one after the other; what they return goes to XCom."""

import json

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.cli import main
from plugins.operators.ask_for_charges import AskForChargesOperator
from plugins.operators.close_charges import CloseChargesOperator
from plugins.operators.expect_charges import ExpectChargesOperator
from plugins.operators.tell_charges import TellChargesOperator
from tests.recurring_harness import Bills, payment

P = {"task_id": "t", "profile": "insurance"}


@pytest.fixture
def bills(deployed) -> Bills:
    deployed.changed({"recurring": {"dialect": "json", "ask_by": ""}})
    return Bills(deployed)


def _run(context, name="scheduled__1"):
    return [one(**P).execute(context(name)) for one in (
        ExpectChargesOperator, AskForChargesOperator, TellChargesOperator, CloseChargesOperator,
    )]  # fmt: skip


def test_charges_are_expected_missed_told_and_booked(bills, context):
    bills.register()
    bills.register("B-2")
    bills.merchant.later(hours=40)
    bills.notify(payment("R-1", token="tok_secret_0123456789"))
    expected, asked, told, closed = _run(context)
    assert expected == {"new": 1, "judged": 0, "sent": 0, "differ": 0}
    assert asked == {"asked": 0, "decided": 0, "missing": 1}
    assert told == {"inserted": 1, "changed": 0, "same": 0}
    assert closed["lines"] == 4
    assert "secret" not in json.dumps([expected, asked, told, closed])
    before = bills.merchant.dump("run")
    assert _run(context)[2]["inserted"] == 0  # cleared tasks change nothing
    assert bills.merchant.dump("run") == before


def test_a_dry_run_asks_doku_for_nothing(bills, context):
    bills.register()
    bills.merchant.later(hours=40)
    assert AskForChargesOperator(**P).execute(context(dry_run=True)) == {"asked": 0, "decided": 0, "missing": 0}
    assert bills.breaks() == []


def test_books_that_do_not_tie_fail_the_task(bills, context):
    import sqlalchemy as sa

    bills.register()
    bills.notify(payment("R-1"))
    with bills.merchant.ledger.write() as connection:
        connection.execute(sa.text("DELETE FROM bill_outcome"))
    with pytest.raises(AirflowFailException, match="do not tie"):
        CloseChargesOperator(**P).execute(context())


def test_the_command_line_shows_the_books_and_settles(bills, capsys):
    bills.register()
    bills.notify(payment("R-1", code="ZZZZ"))
    assert main(["recurring-books", "--profile", "insurance", "--from", "2026-11-20"]) == 0
    assert "unknown:" in capsys.readouterr().out
    settled = [
        "settle",
        "--profile",
        "insurance",
        "R-1",
        "--as",
        "paid",
        "--evidence",
        "mail",
        "--by",
        "Ani",
        "--why",
        "w",
    ]
    assert main(settled) == 0
    assert bills.status("R-1") == "unknown"
    assert "Nothing of this was done" in capsys.readouterr().out
    assert main([*settled, "--apply"]) == 0
    assert bills.status("R-1") == "paid"
    capsys.readouterr()
    assert main(["recurring-books", "--profile", "insurance", "--from", "2026-11-20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["days"][0]["paid"] == {"count": 1, "amount": 100_000}
