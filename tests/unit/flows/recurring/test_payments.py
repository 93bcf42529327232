"""What DOKU says of its transactions for bills, and what becomes of it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.flows_harness import MORNING
from tests.recurring_harness import payment


def test_a_payment_belongs_to_the_latest_expected_day(bills_on_each):
    bills = bills_on_each
    bills.register()
    assert "B-1/2026-11-20" in bills.notify(payment("R-1", paid_at=MORNING + timedelta(days=3)))
    (attempt,) = bills.sql("SELECT * FROM bill_attempt")
    assert (str(attempt["expected_on"]), attempt["attempt_no"], attempt["amount"]) == ("2026-11-20", 1, 100_000)
    assert bills.status("R-1") == "paid"
    assert bills.breaks() == []


@pytest.mark.parametrize(
    ("word", "succeeded", "code", "status", "breaks"),
    [
        ("SUCCESS", True, "0000", "paid", []),
        ("FAILED", False, "0051", "declined", []),
        ("SUCCESS", True, "0051", "unknown", [("conflict", "R-1:words")]),
        ("FAILED", False, "5536", "unknown", []),
        ("FAILED", False, "ZZZZ", "unknown", [("unlisted_code", "ZZZZ")]),
        ("VOIDED", None, None, "reversed", []),
    ],
)
def test_word_and_code_must_agree(bills, word, succeeded, code, status, breaks):
    bills.register()
    bills.notify(payment("R-1", word=word, succeeded=succeeded, response_code=code))
    assert bills.status("R-1") == status
    assert bills.breaks() == breaks


def test_a_charge_that_nobody_expected_is_a_break_until_the_bill_is_known(bills_on_each):
    bills = bills_on_each
    bills.notify(payment("R-1"))
    bills.notify(payment("R-2", code="0051"))
    assert bills.breaks() == [("unexpected_charge", "R-1"), ("unexpected_charge", "R-2")]
    bills.register()
    bills.notify(payment("R-1", response_message="again"))
    assert bills.breaks() == [("unexpected_charge", "R-2")]
    assert bills.breaks(resolved=True) == [("unexpected_charge", "R-1")]
    assert bills.status("R-1") == "paid"


@pytest.mark.parametrize(
    ("paid_at", "expected"),
    [
        ("2026-11-19T16:59:59+00:00", None),  # 23:59:59 in Jakarta on the 19th
        ("2026-11-19T17:00:00+00:00", "2026-11-20"),
        ("2026-11-30T16:59:59+00:00", "2026-11-20"),
        ("2026-11-30T17:00:00+00:00", None),  # the eleventh day after
    ],
)
def test_match_days_are_local_days(bills, paid_at, expected):
    bills.register()
    bills.merchant.now = datetime(2026, 12, 5, tzinfo=UTC)
    bills.notify(payment("R-1", paid_at=datetime.fromisoformat(paid_at)))
    (attempt,) = bills.sql("SELECT expected_on FROM bill_attempt")
    assert attempt["expected_on"] == expected
    assert bills.breaks() == ([] if expected else [("unexpected_charge", "R-1")])


def test_a_void_later_takes_the_payment_back_and_belongs_to_the_day_of_the_payment(bills_on_each):
    bills = bills_on_each
    bills.register()
    bills.merchant.now += timedelta(days=35)
    void = payment("R-1", word="VOIDED", succeeded=None, response_code=None, paid_at=MORNING + timedelta(days=31))
    bills.notify(void)
    assert [str(row["expected_on"]) for row in bills.sql("SELECT expected_on FROM bill_attempt")] == ["2026-12-20"]
    bills.notify(payment("R-1"))
    (attempt,) = bills.sql("SELECT * FROM bill_attempt")
    assert str(attempt["expected_on"]) == "2026-11-20"
    assert bills.status("R-1") == "reversed"
    told = {(row["charge_id"], row["attempt_no"], row["reference"]) for row in bills.sql("SELECT * FROM bill_told")}
    assert told == {("B-1/2026-12-20", 1, "R-1"), ("B-1/2026-11-20", 1, "R-1")}


def test_a_second_payment_of_a_charge_is_collected_twice_until_it_is_given_back(bills_on_each):
    bills = bills_on_each
    bills.register()
    bills.notify(payment("R-1"))
    bills.notify(payment("R-2", code="0051"))
    assert bills.breaks() == []
    bills.notify(payment("R-3", amount=90_000))
    assert ("collected_twice", "B-1/2026-11-20") in bills.breaks()
    (one,) = bills.sql("SELECT amount, invoice_number FROM recon_break WHERE kind = 'collected_twice'")
    assert one == {"amount": 90_000, "invoice_number": "R-3"}
    bills.notify(payment("R-3", word="REFUNDED", succeeded=None, response_code=None, amount=90_000))
    assert ("collected_twice", "B-1/2026-11-20") in bills.breaks(resolved=True)


def test_a_second_payment_that_was_given_back_says_so_whatever_was_said_between(bills_on_each):
    """Never that it was no second payment: the trail shows that money was collected twice."""
    bills = bills_on_each
    bills.register()
    bills.register("B-2")
    reason = "SELECT closed_reason FROM recon_break WHERE kind = 'collected_twice'"
    bills.says("status", "paid", "R-1", None, charged_on=date(2026, 11, 20))
    bills.notify(payment("R-2"))
    bills.says("person", "reversed", None, date(2026, 11, 20))
    assert bills.sql(reason) == [{"closed_reason": "all but one payment were given back"}]
    bills.notify(payment("R-1", "B-2"))
    assert bills.sql(reason) == [{"closed_reason": "what was said since shows that it is none"}]
    bills.notify(payment("R-1"))
    assert bills.sql(reason) == [{"closed_reason": "all but one payment were given back"}]


def test_an_amount_that_differs_is_a_break_and_so_is_one_that_nobody_knew(bills):
    bills.register()
    bills.register("B-2", amount=None)
    bills.notify(payment("R-1", amount=90_000))
    bills.notify(payment("R-2", "B-2"))
    bills.notify(payment("R-3", code="0051", amount=1))
    assert bills.breaks() == [("amount_differs", "R-1:90000:IDR"), ("amount_differs", "R-2:100000:IDR")]
    amounts = bills.sql("SELECT amount FROM recon_break ORDER BY subject")
    assert [row["amount"] for row in amounts] == [-10_000, 100_000]


def test_a_part_that_is_given_back_is_a_break_of_its_own(bills):
    bills.register()
    bills.notify(payment("R-1"))
    bills.notify(payment("R-1", word="REFUNDED", succeeded=None, response_code=None, amount=30_000))
    assert bills.status("R-1") == "reversed"
    assert bills.breaks() == [("partial_refund", "R-1:30000:IDR")]


def test_another_customer_is_a_break(bills):
    bills.register()
    bills.notify(payment("R-1", customer_id="K-9"))
    assert bills.breaks() == [("conflict", "R-1:customer")]


def test_what_contradicts_what_was_said_before_is_a_break_and_the_strongest_counts(bills):
    bills.register()
    bills.notify(payment("R-1", code="0051"))
    bills.notify(payment("R-1"))
    assert bills.status("R-1") == "paid"
    assert bills.breaks() == [("conflict", "R-1")]


def test_a_repeat_is_nothing_new(bills):
    bills.register()
    bills.notify(payment("R-1"))
    before = bills.merchant.dump("notification", "files in inbound")
    assert "known already" in bills.notify(payment("R-1"))
    assert bills.merchant.dump("notification", "files in inbound") == before


def test_a_bill_of_another_profile_ties_to_nothing(bills):
    bills.register(profile="other")
    bills.notify(payment("R-1"))
    (one,) = bills.sql("SELECT details FROM recon_break")
    assert "belongs to profile other" in one["details"]
    assert bills.sql("SELECT * FROM bill_charge") == []


def test_days_before_a_payment_are_expected_too(bills):
    """What was expected before and did not come is not left out because a later charge was told first."""
    bills.register(schedule="day", schedule_on="FRI")
    bills.notify(payment("R-1"))
    days = [str(row["expected_on"]) for row in bills.sql("SELECT expected_on FROM bill_charge ORDER BY expected_on")]
    assert days == ["2026-11-06", "2026-11-13", "2026-11-20"]


@pytest.mark.parametrize(
    "changes",
    [{"schedule_on": "5"}, {"registered_at": datetime(2026, 12, 15, tzinfo=UTC)}, {"registered_at": None},
     {"starts_on": date(2026, 12, 1)}],
    ids=["another day", "registered anew", "wanted anew", "a later start"],
)  # fmt: skip
def test_what_was_paid_stays_so_when_the_bill_has_become_something_else(bills_on_each, changes):
    bills = bills_on_each
    bills.register()
    bills.notify(payment("R-1"))
    bills.merchant.later(days=30)
    bills.change(**changes)
    bills.notify(payment("R-1", response_message="told again, with more words"))
    rows = bills.sql("SELECT reference, expected_on FROM bill_attempt")
    assert [(row["reference"], str(row["expected_on"])) for row in rows] == [("R-1", "2026-11-20")]
    assert bills.breaks() == []


def test_the_day_of_the_registration_is_possible_and_not_expected(bills):
    registered = datetime(2026, 11, 20, 1, tzinfo=UTC)
    bills.register(registered_at=registered, starts_on=date(2026, 11, 20))
    bills.notify(payment("R-1", paid_at=registered + timedelta(hours=2)))
    assert bills.breaks() == []


def test_what_speaks_of_an_attempt_of_a_batch_is_left_to_its_report(bills):
    from tests.flows_harness import charge

    bills.merchant.list_charges(charge("C1"))
    bills.merchant.submit()
    number = bills.merchant.invoices()["C1"]
    assert "report" in bills.notify(payment(number))
    assert bills.sql("SELECT * FROM bill_testimony") == []
