"""The story of a charge that DOKU makes; what DOKU should charge in the next days."""

from dataclasses import replace

from include.flows.explain import as_text, explain
from include.flows.outlook import outlook
from include.flows.recurring.ask import ask_for_charges
from include.flows.recurring.expect import expect_charges
from include.flows.recurring.tell import tell_charges
from include.flows.settle import settle
from tests.recurring_harness import payment
from tests.unit.flows.recurring.test_expect import Doku
from tests.unit.flows.recurring.test_watch_bills import ONLY_BILLS

CHARGE = "B-1/2026-11-20"


def test_the_whole_story_of_a_charge(bills_on_each):
    bills = bills_on_each
    bills.register()
    expect_charges(bills.merchant.context)
    assert "said nothing of it yet" in explain(bills.merchant.context, CHARGE).now
    bills.merchant.later(hours=36)
    ask_for_charges(replace(bills.merchant.context, api=Doku))
    bills.notify(payment("R-1", code="0051", token="tok_secret_0123456789", masked_card="411111******1111"))
    bills.merchant.later(minutes=5)
    settle(bills.merchant.context, invoice_number="R-1", outcome="paid", evidence="DOKU's mail", by="Ani", why="asked")
    tell_charges(bills.merchant.context)
    story = explain(bills.merchant.context, CHARGE)
    assert explain(bills.merchant.context, "R-1") == story
    assert story.now == "It is paid, by DOKU's transaction R-1."
    titles = [step.title for step in story.steps]
    assert titles[0] == "Expected"
    for title in (
        "DOKU was asked, without an answer", "Break opened: DOKU has not said what became of it",
        "Declined, says DOKU's notification", "Paid, settled by a person", "Break opened: two witnesses disagree",
        "The merchant was told of try 1",
    ):  # fmt: skip
        assert title in titles
    text = as_text(story)
    assert "amount:           Rp 100,000" in text
    assert "tok_secret" not in text


def test_a_transaction_that_nobody_expected_has_a_story_too(bills):
    bills.notify(payment("R-9", "B-9"))
    story = explain(bills.merchant.context, "R-9")
    assert "nobody expected it" in story.now
    assert "Break opened: DOKU charged what nobody expected" in [step.title for step in story.steps]
    assert explain(bills.merchant.context, "B-9/2026-11-20").known is False


def test_what_doku_should_charge_is_foreseen_without_a_server(make_merchant):
    from tests.recurring_harness import Bills

    bills = Bills(make_merchant(changes=ONLY_BILLS))
    bills.register()
    bills.register("B-2", schedule_on="23", amount=None)
    lines = outlook(bills.merchant.context)
    assert lines[0] == "DOKU should charge 1 bills today: Rp 100,000"
    assert lines[1].startswith(
        "DOKU should charge 2 bills until 2026-11-27: Rp 100,000, and 1 of an amount that is not"
    )
    assert bills.merchant.server.sessions == 0
