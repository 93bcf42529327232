"""What the merchant is told of DOKU's charges, and the books of them; also under kills and with two at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from include.domain.errors import BooksDoNotTie
from include.flows.recurring.ask import ask_for_charges
from include.flows.recurring.books import books_of_charges, charges_as_text, close_recurring_run
from include.flows.recurring.expect import expect_charges
from include.flows.recurring.tell import tell_charges
from include.flows.verify import findings
from tests.flows_harness import MORNING
from tests.recurring_harness import payment

DAY = date(2026, 11, 20)
_VOID = {"word": "VOIDED", "succeeded": None, "code": None}


def _day_of_all_kinds(bills):
    """Seven charges of one day: paid, declined, declined then unknown, awaiting, reversed, two of no known amount."""
    for number in range(1, 6):
        bills.register(f"B-{number}", amount=number * 10_000)
    bills.register("B-6", amount=None)
    bills.register("B-7", amount=None)
    bills.notify(payment("R-1", "B-1", amount=10_000))
    bills.notify(payment("R-2", "B-2", "0051", amount=20_000))
    bills.notify(payment("R-3", "B-3", "0051", amount=30_000))
    bills.notify(payment("R-4", "B-3", "5536", amount=30_000, paid_at=MORNING + timedelta(days=1)))
    bills.notify(payment("R-5", "B-5", amount=50_000))
    bills.notify(payment("R-5", "B-5", amount=50_000, **_VOID))
    bills.notify(payment("R-6", "B-6", amount=66_000))
    bills.notify(payment("R-7", "B-9", amount=1_000))
    bills.merchant.later(days=1)
    expect_charges(bills.merchant.context)


def test_the_books_of_a_day(bills_on_each):
    bills = bills_on_each
    run = bills.run()
    _day_of_all_kinds(bills)
    close_recurring_run(bills.merchant.context, run)
    books = books_of_charges(bills.merchant.context, DAY, DAY)
    assert (books["ties"], len(books["days"])) == (True, 1)
    (day,) = books["days"]
    assert day["expected"] == {
        "count": 7, "amount": 150_000, "by_detail": {"amount_not_known": {"count": 2, "amount": 0}},
    }  # fmt: skip
    assert day["paid"] == {"count": 3, "amount": 60_000, "by_detail": {"reversed": {"count": 1, "amount": 50_000}}}
    assert day["declined"] == {"count": 1, "amount": 20_000, "by_detail": {"0051": {"count": 1, "amount": 20_000}}}
    assert (day["unknown"]["count"], day["awaiting"]) == (1, {"count": 2, "amount": 40_000})
    assert day["unexpected"]["amount"] == 1_000
    assert day["collected"]["by_detail"] == {
        "paid": {"count": 2, "amount": 76_000}, "reversed": {"count": 1, "amount": 50_000},
    }  # fmt: skip
    assert books["breaks"] == {"amount_differs": 1, "unexpected_charge": 1}
    text = charges_as_text(books)
    assert "awaiting:" in text
    assert text.endswith("The books tie.")
    kept = bills.sql("SELECT detail, count FROM run_balance WHERE run_id = :id AND term = 'declined'", id=run.run_id)
    assert kept == [{"detail": "2026-11-20 0051", "count": 1}]
    assert bills.sql("SELECT state FROM run WHERE run_id = :id", id=run.run_id) == [{"state": "closed"}]


def test_books_that_do_not_tie_fail_the_run_and_name_the_rows(bills):
    run = bills.run()
    _day_of_all_kinds(bills)
    with bills.merchant.ledger.write() as connection:
        connection.execute(sa.text("DELETE FROM bill_outcome WHERE reference = 'R-2'"))
    with pytest.raises(BooksDoNotTie, match="B-2/2026-11-20"):
        close_recurring_run(bills.merchant.context, run)
    assert books_of_charges(bills.merchant.context, DAY, DAY)["ties"] is False
    assert any("B-2/2026-11-20" in finding for finding in findings(bills.merchant.context))


def test_the_merchant_is_told_of_each_transaction_under_its_own_number(bills_on_each):
    bills = bills_on_each
    _day_of_all_kinds(bills)
    assert tell_charges(bills.merchant.context).inserted == 6
    told = bills.merchant.told()
    row = told["B-3/2026-11-20", 1]
    assert (row["invoice_number"], row["status"], row["response_code"], row["batch_name"]) == (
        "R-3", "declined", "0051", None,
    )  # fmt: skip
    assert told["B-3/2026-11-20", 2]["status"] == "unknown"
    assert told["B-5/2026-11-20", 1]["status"] == "reversed"
    assert str(told["B-6/2026-11-20", 1]["amount"]).startswith("66000")
    counts = tell_charges(bills.merchant.context)
    assert (counts.inserted, counts.changed) == (0, 0)
    bills.notify(payment("R-4", "B-3", amount=30_000, paid_at=MORNING + timedelta(days=1)))
    assert tell_charges(bills.merchant.context).changed == 1
    assert bills.merchant.told()["B-3/2026-11-20", 2]["status"] == "paid"
    assert list(findings(bills.merchant.context)) == []


def test_a_transaction_that_turns_out_to_be_of_another_charge_is_taken_back_at_the_merchant(bills):
    bills.register()
    bills.merchant.later(days=35)
    bills.notify(payment("R-1", paid_at=MORNING + timedelta(days=31), **_VOID))
    tell_charges(bills.merchant.context)
    bills.notify(payment("R-1"))
    bills.notify(payment("R-2", paid_at=MORNING + timedelta(days=30)))
    tell_charges(bills.merchant.context)
    told = bills.merchant.told()
    assert told["B-1/2026-11-20", 1]["status"] == "reversed"
    assert told["B-1/2026-12-20", 1]["status"] == "withdrawn"
    assert "2026-11-20" in told["B-1/2026-12-20", 1]["response_message"]
    assert told["B-1/2026-12-20", 2]["status"] == "paid"
    assert list(findings(bills.merchant.context)) == []


def test_a_transaction_that_turns_out_to_be_of_another_bill_is_taken_back_from_the_first(bills_on_each):
    """Of the same day, too: one payment never makes two charges paid at the merchant."""
    bills = bills_on_each
    bills.register()
    bills.register("B-2")
    bills.merchant.later(days=2)
    bills.notify(payment("R-1", code="0051"))
    tell_charges(bills.merchant.context)
    bills.notify(payment("R-1", "B-2"))
    tell_charges(bills.merchant.context)
    told = bills.merchant.told()
    assert told["B-2/2026-11-20", 1]["status"] == "paid"
    assert told["B-1/2026-11-20", 1]["status"] == "withdrawn"
    assert "B-2/2026-11-20" in told["B-1/2026-11-20", 1]["response_message"]
    assert list(findings(bills.merchant.context)) == []


class Killed(BaseException):
    """The process ends here."""


def _killed_at(bills, nth):
    """The context whose nth step is the last one."""
    seen = iter(range(1, 100))

    def step(_name):
        if next(seen) == nth:
            raise Killed

    return replace(bills.merchant.context, step=step)


def test_a_run_that_is_killed_anywhere_ends_as_if_nothing_had_happened(make_merchant):
    from tests.recurring_harness import RECURRING, Bills

    def made():
        bills = Bills(make_merchant(changes={**RECURRING, "recurring": {"ask_by": ""}}))
        bills.merchant.later(hours=-1)
        run = bills.run()
        bills.register()
        bills.register("B-2")
        bills.merchant.later(days=2)
        bills.notify(payment("R-1"))
        return bills, run

    def work(context, run):
        expect_charges(context)
        ask_for_charges(context)
        tell_charges(context)
        close_recurring_run(context, run)

    bills, run = made()
    steps = []
    work(replace(bills.merchant.context, step=steps.append), run)
    whole = (bills.tables(), bills.merchant.told().keys())
    for nth in range(1, len(steps) + 1):
        bills, run = made()
        with pytest.raises(Killed):
            work(_killed_at(bills, nth), run)
        work(bills.merchant.context, run)
        assert (bills.tables(), bills.merchant.told().keys()) == whole, steps[nth - 1]


def test_two_runs_at_once_come_to_the_same(bills_on_each):
    bills = bills_on_each
    for number in range(20):
        bills.register(f"B-{number}")
    for number in range(0, 20, 2):
        bills.notify(payment(f"R-{number}", f"B-{number}"))
    bills.merchant.later(days=2)
    context = bills.merchant.changed({"recurring": {"ask_by": ""}})

    def work(_number):
        expect_charges(context)
        ask_for_charges(context)
        tell_charges(context)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert len(bills.sql("SELECT * FROM bill_charge")) == 20
    assert len(bills.breaks()) == 10
    assert len(bills.merchant.told()) == 10
    assert list(findings(context)) == []
