"""DOKU asks what to charge: the merchant's view says it once and for ever, and nothing is invented."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from time import perf_counter

import pytest
import sqlalchemy as sa

from include.flows.recurring.amounts import answer_amount, compare_answers
from include.flows.recurring.expect import expect_charges
from tests.recurring_harness import payment


@pytest.fixture
def asked(bills_on_each):
    """A bill of the 20th whose amount varies, and the merchant's view of amounts."""
    return _with_view(bills_on_each)


@pytest.fixture
def asked_once(bills):
    return _with_view(bills)


def _with_view(bills):
    bills.register(amount=None)
    with bills.merchant.billing.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE doku_bill_amounts (billing_number TEXT, period DATE, amount DECIMAL(18,2), currency TEXT)"
            )
        )
    return bills


def _list(bills, amount, number="B-1", day="2026-11-20", currency="IDR"):
    with bills.merchant.billing.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO doku_bill_amounts VALUES (:number, :day, :amount, :currency)"),
            {"number": number, "day": day, "amount": amount, "currency": currency},
        )


def _change(bills, assignment):
    with bills.merchant.billing.begin() as connection:
        connection.execute(sa.text(f"UPDATE doku_bill_amounts SET {assignment}"))


def test_the_first_answer_is_given_for_ever(asked):
    _list(asked, "175000.00")
    first = answer_amount(asked.merchant.context, "B-1", "K-1")
    assert (first.amount, first.currency, first.expected_on) == (175_000, "IDR", date(2026, 11, 20))
    _change(asked, "amount = 1")
    again = answer_amount(asked.merchant.context, "B-1", None)
    assert again.amount == 175_000
    assert "repeated" in again.words
    (question,) = asked.sql("SELECT times, amount FROM amount_question")
    assert question == {"times": 2, "amount": 175_000}
    assert expect_charges(asked.merchant.context).new == 1
    assert asked.sql("SELECT amount FROM bill_charge") == [{"amount": 175_000}]
    asked.notify(payment("R-1", amount=175_000))
    assert asked.breaks() == []


def test_an_amount_that_nobody_knows_is_not_invented_and_is_answered_once_it_is_known(asked_once):
    bills = asked_once
    assert answer_amount(bills.merchant.context, "B-1", "K-1").amount is None
    expect_charges(bills.merchant.context)
    assert bills.sql("SELECT amount FROM bill_charge") == [{"amount": None}]
    _list(bills, 90_000)
    assert answer_amount(bills.merchant.context, "B-1", "K-1").amount == 90_000
    expect_charges(bills.merchant.context)
    assert bills.sql("SELECT amount FROM bill_charge") == [{"amount": 90_000}]
    assert bills.sql("SELECT times FROM amount_question") == [{"times": 2}]


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (None, "IDR", "names no amount"), ("abc", "IDR", "not a decimal"), ("1.5", "IDR", "fraction"),
        (0, "IDR", "above zero"), (-5, "IDR", "above zero"), (10, "USD", "USD"),
        (60_000_000, "IDR", "limits.max_amount_per_charge"),
    ],
)  # fmt: skip
def test_what_cannot_be_charged_is_no_amount(asked_once, amount, currency, words):
    _list(asked_once, amount, currency=currency)
    answer = answer_amount(asked_once.merchant.context, "B-1", "K-1")
    assert (answer.amount, answer.refused) == (None, False)
    assert words in answer.words


def test_two_rows_that_differ_are_no_amount(asked_once):
    _list(asked_once, 10)
    _list(asked_once, 10)
    _list(asked_once, 20)
    assert "two rows" in answer_amount(asked_once.merchant.context, "B-1", "K-1").words


@pytest.mark.parametrize(
    ("number", "customer", "changes", "words"),
    [
        ("B-9", "K-1", {}, "has no bill"), ("B-1", "K-9", {}, "not of the customer"),
        ("B-1", "K-1", {"amount": 1}, "fixed"), ("B-1", "K-1", {"state": "cancelled"}, "cancelled"),
        ("B-1", "K-1", {"profile": "other"}, "has no bill"),
    ],
)  # fmt: skip
def test_questions_that_make_no_sense_are_refused_in_words(asked_once, number, customer, changes, words):
    if changes:
        asked_once.change(**changes)
    _list(asked_once, 10)
    answer = answer_amount(asked_once.merchant.context, number, customer)
    assert (answer.amount, answer.refused) == (None, True)
    assert words in answer.words
    assert asked_once.sql("SELECT * FROM amount_question") == []


def test_the_question_is_about_today_or_the_next_day_that_is_near(asked_once):
    bills = asked_once
    _list(bills, 1, day="2026-11-20")
    _list(bills, 2, day="2026-12-20")
    bills.merchant.later(days=1)
    assert answer_amount(bills.merchant.context, "B-1", "K-1").expected_on is None  # 29 days ahead
    bills.merchant.later(days=20)
    assert answer_amount(bills.merchant.context, "B-1", "K-1").amount == 2


def test_while_the_billing_database_does_not_answer_nothing_is_invented(asked_once):
    with asked_once.merchant.billing.begin() as connection:
        connection.execute(sa.text("DROP TABLE doku_bill_amounts"))
    answer = answer_amount(asked_once.merchant.context, "B-1", "K-1")
    assert answer.amount is None
    assert "misses a table" in answer.words


def test_two_questions_at_once_get_one_answer(asked):
    """The view changes between the two: whoever is first decides for both."""
    _list(asked, 10)

    def ask(number):
        _change(asked, f"amount = {number}") if number % 3 == 0 else None
        return answer_amount(asked.merchant.context, "B-1", "K-1").amount

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(ask, range(1, 9)))
    assert len(answers) == 1
    assert asked.sql("SELECT times FROM amount_question") == [{"times": 8}]


def test_an_answer_takes_less_than_a_second(asked):
    _list(asked, 10)
    begun = perf_counter()
    answer_amount(asked.merchant.context, "B-1", "K-1")
    assert perf_counter() - begun < 1


def test_an_amount_that_changes_after_the_answer_is_a_break_until_it_is_as_it_was(asked_once):
    bills = asked_once
    _list(bills, 100)
    answer_amount(bills.merchant.context, "B-1", "K-1")
    assert compare_answers(bills.merchant.context) == 0
    _change(bills, "amount = 150")
    assert compare_answers(bills.merchant.context) == 1
    assert bills.breaks() == [("amount_changed", "B-1/2026-11-20")]
    (one,) = bills.sql("SELECT amount, details FROM recon_break")
    assert one["amount"] == 50
    assert "answered 100 IDR, the view says 150 IDR" in one["details"]
    _change(bills, "amount = 100")
    assert compare_answers(bills.merchant.context) == 0
    assert bills.breaks() == []
    with bills.merchant.billing.begin() as connection:
        connection.execute(sa.text("DELETE FROM doku_bill_amounts"))
    assert compare_answers(bills.merchant.context) == 1
    bills.merchant.now += timedelta(days=63)
    assert compare_answers(bills.merchant.context) == 0


def test_a_charge_that_differs_from_the_answer_is_a_break(asked_once):
    bills = asked_once
    _list(bills, 100)
    answer_amount(bills.merchant.context, "B-1", "K-1")
    bills.notify(payment("R-1", amount=120))
    assert bills.breaks() == [("amount_differs", "R-1:120:IDR")]
