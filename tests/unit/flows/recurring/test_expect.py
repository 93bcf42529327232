"""What DOKU should charge, set once; asked for when it does not come; missing until somebody knows."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.doku.api import ApiAnswer
from include.domain.bill_judgement import placeholder
from include.domain.errors import ApiRefused, ApiUnreachable, NotAllowed
from include.flows.break_decisions import resolve_break
from include.flows.recurring.ask import ask_for_charges
from include.flows.recurring.expect import expect_charges
from include.flows.recurring.verify import findings_of_bills
from include.flows.settle import settle
from tests.recurring_harness import payment

WHO = {"by": "Ani", "why": "DOKU said so on the phone"}
DAY = "B-1/2026-11-20"


class Doku:
    """DOKU's status call: answers by id, and notes what it was asked."""

    clock_problem = None

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.silent = False

    def status(self, reference: str) -> ApiAnswer:
        self.asked.append(reference)
        if self.silent:
            raise ApiUnreachable("DOKU's API did not answer.")
        if reference not in self.answers:
            raise ApiRefused("DOKU's API refused it with 404", 404)
        return ApiAnswer(200, self.answers[reference], "r")

    def says(self, asked_by: str, reference: str | None, word: str = "SUCCESS", code: str = "00", **more: Any) -> None:
        at = more.get("at", "2026-11-20T01:00:00Z")
        self.answers[asked_by] = {
            "order": {"invoice_number": reference, "amount": more.get("amount", 100_000), "currency": "IDR"},
            "transaction": {"status": word, "date": at}, "card_payment": {"response_code": code, "type": "RECURRING"},
        }  # fmt: skip


@pytest.fixture
def doku() -> Doku:
    return Doku()


def _with(bills, doku, **changes):
    if changes:
        bills.merchant.changed(changes)
    bills.merchant.context = replace(bills.merchant.context, api=lambda: doku)
    return bills


def _charges(bills) -> list[str]:
    return [row["charge_id"] for row in bills.sql("SELECT charge_id FROM bill_charge ORDER BY charge_id")]


def test_each_expected_day_is_set_once(bills_on_each):
    bills = bills_on_each
    bills.register("B-1", schedule="day", schedule_on="MON,FRI")
    bills.register("B-2", amount=None, schedule="dates", schedule_on="2026-11-19,2026-11-20,2026-11-21")
    bills.register("B-3", registered_at=None, state="asked")
    bills.register("B-4", profile="other")
    assert expect_charges(bills.merchant.context).new == 8
    assert expect_charges(bills.merchant.context).new == 0
    mondays_and_fridays = [f"B-1/2026-11-{day:02}" for day in (2, 6, 9, 13, 16, 20)]
    assert _charges(bills) == [*mondays_and_fridays, "B-2/2026-11-19", "B-2/2026-11-20"]


def test_a_bill_is_charged_from_its_registration_until_its_end(bills):
    bills.register(schedule="day", schedule_on="MON,TUE,WED,THU,FRI,SAT,SUN",
                   registered_at=datetime(2026, 11, 16, 3, tzinfo=UTC),
                   over_at=datetime(2026, 11, 19, 3, tzinfo=UTC), state="cancelled")  # fmt: skip
    expect_charges(bills.merchant.context)
    assert _charges(bills) == ["B-1/2026-11-17", "B-1/2026-11-18"]


def test_what_is_registered_early_in_the_day_is_charged_that_day_where_the_profile_says_so(bills):
    bills.merchant.changed({"recurring": {"same_day_until": "06:00:00"}})
    bills.register(registered_at=datetime(2026, 11, 19, 22, 59, tzinfo=UTC), starts_on=date(2026, 11, 20))
    bills.register("B-2", registered_at=datetime(2026, 11, 19, 23, tzinfo=UTC), starts_on=date(2026, 11, 20))
    expect_charges(bills.merchant.context)
    assert _charges(bills) == [DAY]


def test_other_days_count_from_when_the_merchant_wants_them(bills):
    """The days before stay as they were: none is expected afterwards, and none is missed by verify."""
    bills.register()
    expect_charges(bills.merchant.context)
    bills.merchant.later(days=25)  # 15 December
    bills.change(schedule_on="5", schedule_since=bills.merchant.now)
    expect_charges(bills.merchant.context)
    assert _charges(bills) == [DAY]
    assert not [one for one in findings_of_bills(bills.merchant.context) if "should have been charged" in one]
    bills.merchant.later(days=25)
    expect_charges(bills.merchant.context)
    assert _charges(bills) == [DAY, "B-1/2027-01-05"]


def test_what_was_lost_is_found_by_asking(bills_on_each, doku):
    bills = _with(bills_on_each, doku)
    bills.register()
    expect_charges(bills.merchant.context)
    doku.says("B-1/2026-11-20", "R-1")
    assert ask_for_charges(bills.merchant.context).asked == 0  # its time is not over
    bills.merchant.later(hours=36)
    found = ask_for_charges(bills.merchant.context)
    assert (found.asked, found.decided, found.missing) == (1, 1, 0)
    assert bills.status("R-1") == "paid"
    (outcome,) = bills.sql("SELECT witness, amount FROM bill_outcome")
    assert outcome == {"witness": "status", "amount": 100_000}
    bills.notify(payment("R-1"))  # it was only late
    assert [row["witness"] for row in bills.sql("SELECT witness FROM bill_outcome")] == ["notification"]
    assert bills.breaks() == []


def test_an_answer_without_a_reference_is_no_second_payment_when_the_notification_comes(bills_on_each, doku):
    bills = _with(bills_on_each, doku)
    bills.register()
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    doku.says(DAY, DAY)
    ask_for_charges(bills.merchant.context)
    assert bills.status(placeholder(DAY)) == "paid"
    bills.notify(payment("R-1"))
    assert [row["reference"] for row in bills.sql("SELECT reference FROM bill_attempt")] == ["R-1"]
    assert bills.breaks() == []
    told = bills.sql("SELECT charge_id, attempt_no, reference FROM bill_told")
    assert told == [{"charge_id": DAY, "attempt_no": 1, "reference": "R-1"}]


@pytest.mark.parametrize("status", ["paid", "declined"])
def test_an_answer_about_a_charge_that_is_not_set_yet_counts_once_it_is(bills_on_each, status):
    bills = bills_on_each
    bills.register()
    bills.merchant.later(hours=2)
    bills.says("status", status, None, date(2026, 11, 20))
    assert bills.status(placeholder(DAY)) is None
    assert f"Charge {DAY} was spoken of, and is not in the books." in list(findings_of_bills(bills.merchant.context))
    assert expect_charges(bills.merchant.context).judged == 1
    assert bills.status(placeholder(DAY)) == status
    assert expect_charges(bills.merchant.context).judged == 0
    assert list(findings_of_bills(bills.merchant.context)) == []


def test_dokus_own_reference_may_be_the_charge_id_itself(bills, doku):
    """What stands in its place while it is not known is never taken for it, nor it for what stands in its place."""
    _with(bills, doku)
    bills.register()
    bills.notify(payment(DAY))
    bills.notify(payment("R-2"))
    assert bills.breaks() == [("collected_twice", DAY)]
    bills.notify(payment("B-1/2026-12-20", code="0051"))  # not of the day that its reference names
    bills.merchant.later(days=31, hours=13)
    expect_charges(bills.merchant.context)
    doku.says("B-1/2026-12-20", "B-1/2026-12-20", at="2026-12-20T01:00:00Z")
    ask_for_charges(bills.merchant.context)
    found = bills.sql("SELECT reference, expected_on FROM bill_attempt ORDER BY reference")
    assert {(row["reference"], str(row["expected_on"])) for row in found} == {
        (DAY, "2026-11-20"), ("R-2", "2026-11-20"), ("B-1/2026-12-20", "2026-11-20"),
        (placeholder("B-1/2026-12-20"), "2026-12-20"),
    }  # fmt: skip


def test_what_nobody_knows_is_missing_until_it_comes(bills_on_each, doku):
    bills = _with(bills_on_each, doku)
    bills.register()
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    assert ask_for_charges(bills.merchant.context).missing == 1
    assert ask_for_charges(bills.merchant.context).missing == 0
    assert bills.breaks() == [("missing_charge", DAY)]
    bills.notify(payment("R-1"))
    assert bills.breaks() == []
    assert bills.breaks(resolved=True) == [("missing_charge", DAY)]


def test_questions_are_spaced_and_end_where_doku_is_silent(bills, doku):
    _with(bills, doku)
    for number in range(6):
        bills.register(f"B-{number}")
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    doku.silent = True
    found = ask_for_charges(bills.merchant.context)
    assert (found.asked, found.problem is None) == (3, False)
    doku.silent = False
    ask_for_charges(bills.merchant.context)
    assert len(doku.asked) == 6  # those that were not asked for yet
    bills.merchant.later(minutes=16)
    ask_for_charges(bills.merchant.context)
    assert len(doku.asked) == 12
    bills.merchant.later(minutes=16)
    ask_for_charges(bills.merchant.context)
    assert len(doku.asked) == 12
    assert len(bills.breaks()) == 6


def test_an_answer_about_another_day_decides_nothing_of_this_one(bills, doku):
    """Asked by the billing number alone DOKU may speak of the last charge, which is known."""
    _with(bills, doku, recurring={"ask_by": "{billing_number}"})
    bills.register(starts_on=date(2026, 10, 1), registered_at=datetime(2026, 10, 1, tzinfo=UTC))
    bills.notify(payment("R-0", paid_at=datetime(2026, 10, 20, 1, tzinfo=UTC)))
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    doku.says("B-1", "R-0", at="2026-10-20T01:00:00Z")
    assert ask_for_charges(bills.merchant.context).decided == 0
    assert bills.breaks() == [("missing_charge", DAY)]


def test_one_transaction_without_a_reference_pays_one_charge_only(bills, doku):
    """Asked by the billing number alone DOKU says the same of every charge of the bill."""
    _with(bills, doku, recurring={"ask_by": "{billing_number}"})
    bills.register(starts_on=date(2026, 9, 1), registered_at=datetime(2026, 9, 26, tzinfo=UTC))
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    doku.says("B-1", "B-1", at="2026-10-20T01:00:00Z")  # the number that we asked by is no reference of DOKU's
    ask_for_charges(bills.merchant.context)
    paid = bills.sql("SELECT a.expected_on FROM bill_attempt a JOIN bill_outcome o USING (profile, reference)")
    assert [str(row["expected_on"]) for row in paid] == ["2026-10-20"]
    assert bills.breaks() == [("missing_charge", DAY)]


@pytest.mark.parametrize("at", [None, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("reference", [None, "R-1"])
def test_a_transaction_that_names_no_day_decides_nothing_where_the_id_names_none_either(bills, doku, reference, at):
    _with(bills, doku, recurring={"ask_by": "{billing_number}"})
    bills.register()
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    doku.says("B-1", reference, at=at)
    assert ask_for_charges(bills.merchant.context).decided == 0
    assert bills.breaks() == [("missing_charge", DAY)]


def test_without_an_id_to_ask_by_what_is_late_is_missing_at_once(bills, doku):
    _with(bills, doku, recurring={"ask_by": ""})
    bills.register()
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    assert ask_for_charges(bills.merchant.context).missing == 1
    assert doku.asked == []


def test_a_day_on_which_the_bill_ended_owes_nothing(bills, doku):
    _with(bills, doku)
    bills.register()
    expect_charges(bills.merchant.context)
    bills.change(state="cancelled", over_at=bills.merchant.now + timedelta(hours=2))
    bills.merchant.later(hours=36)
    assert ask_for_charges(bills.merchant.context).missing == 0
    assert bills.breaks() == []
    assert bills.status(placeholder(DAY)) == "withdrawn"
    bills.notify(payment("R-1"))  # DOKU charged it all the same
    assert bills.status("R-1") == "paid"
    assert bills.breaks() == []


def test_unknown_ones_are_asked_for_by_their_reference(bills, doku):
    _with(bills, doku, connections={"doku": "doku_api"}, http={"ask_status": True})
    bills.register()
    bills.notify(payment("R-1", code="5536", word="FAILED", succeeded=False))
    assert ask_for_charges(bills.merchant.context).asked == 0  # not before a minute is over
    bills.merchant.later(seconds=61)
    doku.says("R-1", "R-1")
    assert ask_for_charges(bills.merchant.context).decided == 1
    assert bills.status("R-1") == "paid"


def test_a_declined_charge_is_asked_for_once_more_when_no_further_try_can_come(bills, doku):
    _with(bills, doku, recurring={"ask_declined": True})
    bills.register()
    bills.notify(payment("R-1", code="0051"))
    bills.merchant.later(days=10)
    assert ask_for_charges(bills.merchant.context).asked == 0
    bills.merchant.later(days=1)
    doku.says(DAY, "R-2", at="2026-11-23T01:00:00Z")
    assert ask_for_charges(bills.merchant.context).decided == 1
    assert bills.status("R-2") == "paid"
    bills.merchant.later(days=2)
    assert ask_for_charges(bills.merchant.context).asked == 0


def test_an_answer_that_outweighs_what_was_told_of_the_transaction_counts(bills, doku):
    """DOKU tried again under its own reference, and the notification of that try was lost."""
    _with(bills, doku, recurring={"ask_declined": True})
    bills.register()
    bills.notify(payment("R-1", code="0051"))
    bills.merchant.later(days=11)
    doku.says(DAY, "R-1", at="2026-11-23T01:00:00Z")
    assert ask_for_charges(bills.merchant.context).decided == 1
    assert bills.status("R-1") == "paid"
    assert bills.breaks() == [("witnesses_disagree", "R-1")]
    days = bills.sql("SELECT expected_on FROM bill_attempt")
    assert [str(row["expected_on"]) for row in days] == ["2026-11-20"]


def test_an_answer_about_a_transaction_of_another_bill_decides_nothing(bills, doku):
    _with(bills, doku)
    bills.register()
    bills.register("B-2")
    bills.notify(payment("R-2", billing_number="B-2", code="0051"))
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    doku.says(DAY, "R-2")
    assert ask_for_charges(bills.merchant.context).decided == 0
    assert (bills.status("R-2"), bills.breaks()) == ("declined", [("missing_charge", DAY)])


# --- settled by a person ---


def test_a_missing_charge_is_settled_with_evidence(bills_on_each, doku):
    bills = _with(bills_on_each, doku)
    bills.register()
    expect_charges(bills.merchant.context)
    with pytest.raises(NotAllowed, match="not over"):
        settle(bills.merchant.context, invoice_number=DAY, outcome="paid", evidence="mail", **WHO)
    bills.merchant.later(hours=36)
    ask_for_charges(bills.merchant.context)
    (number,) = [row["break_id"] for row in bills.sql("SELECT break_id FROM recon_break")]
    with pytest.raises(NotAllowed, match="settle charge"):
        resolve_break(bills.merchant.context, number=number, **WHO)
    settle(bills.merchant.context, invoice_number=DAY, outcome="withdrawn", evidence="DOKU's mail", **WHO)
    assert (bills.breaks(), bills.status(placeholder(DAY))) == ([], "withdrawn")
    assert bills.merchant.told()[DAY, 1]["status"] == "withdrawn"
    bills.notify(payment("R-1"))
    assert bills.breaks() == [("witnesses_disagree", "R-1")]
    assert bills.merchant.told()[DAY, 1]["status"] == "withdrawn"  # until it is told anew


def test_a_transaction_is_settled_by_its_reference_and_nothing_is_taken_back(bills, doku):
    _with(bills, doku)
    bills.register()
    bills.notify(payment("R-1", code="ZZZZ"))
    settle(bills.merchant.context, invoice_number="R-1", outcome="paid", evidence="DOKU's mail", **WHO)
    assert bills.status("R-1") == "paid"
    with pytest.raises(NotAllowed, match="outweigh"):
        settle(bills.merchant.context, invoice_number="R-1", outcome="declined", evidence="x", **WHO)
    with pytest.raises(NotAllowed, match="no attempt"):
        settle(bills.merchant.context, invoice_number="R-9", outcome="paid", evidence="x", **WHO)
    settle(bills.merchant.context, invoice_number="R-1", outcome="reversed", evidence="refunded", **WHO)
    assert bills.status("R-1") == "reversed"


def test_a_code_that_is_listed_later_decides_then(bills, doku):
    _with(bills, doku)
    bills.register()
    bills.notify(payment("R-1", code="ZZZZ", word="FAILED", succeeded=False))
    assert (bills.status("R-1"), bills.breaks()) == ("unknown", [("unlisted_code", "ZZZZ")])
    line = {"code": "ZZZZ", "class": "retry_later", "meaning": "x", "source": "DOKU", "certainty": "certain"}
    _with(bills, doku, codes=[line])
    assert expect_charges(bills.merchant.context).judged == 1
    assert (bills.status("R-1"), bills.breaks()) == ("declined", [])
    assert expect_charges(bills.merchant.context).judged == 0
