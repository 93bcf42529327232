"""What was reported above or below what was sent: which line counts beside the books, and until when."""

import pytest

from include.domain.errors import NotAllowed
from include.flows.books import books_of_day
from include.flows.operate import carry_out
from include.flows.verify import findings
from tests.flows_harness import BUSINESS_DATE, charge

BY = {"by": "ani", "why": "DOKU says so"}


def _sent(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.number = merchant.invoices()["C1"]
    return merchant


@pytest.fixture
def sent(merchant):
    """A charge of Rp 150,000 at DOKU."""
    return _sent(merchant)


@pytest.fixture
def sent_on_each(merchant_on_each):
    """The same on each database."""
    return _sent(merchant_on_each)


def _report(merchant, code, amount, name="RPT_1.TXT"):
    merchant.report((merchant.number, amount, code), name=name)
    merchant.reconcile()


def _settle(merchant, outcome):
    merchant.later(days=2)
    about = {"invoice_number": merchant.number, "outcome": outcome, "evidence": "DOKU ticket 7"}
    return carry_out(merchant.context, "settle", about, **BY)


def _difference(merchant):
    found = books_of_day(merchant.context, BUSINESS_DATE)["difference"]
    return found["count"], found["amount"]


def _breaks(merchant):
    return {row["kind"]: row["state"] for row in merchant.sql("SELECT kind, state FROM recon_break")}


# --- approved in part ---


@pytest.mark.parametrize(("difference", "left"), [("stands", (1, -100_000)), ("void", (0, 0))])
def test_a_part_that_was_collected_is_missing_until_a_person_says_otherwise(sent_on_each, difference, left):
    _report(sent_on_each, "0010", 50_000)
    with pytest.raises(NotAllowed, match="waits for an outcome"):
        carry_out(sent_on_each.context, "resolve_break", {"number": 1, "difference": difference}, **BY)
    assert _difference(sent_on_each) == (0, 0), "unknown: nothing is paid"
    _settle(sent_on_each, "paid")
    assert _breaks(sent_on_each) == {"partial_approval": "open"}
    assert _difference(sent_on_each) == (1, -100_000)
    with pytest.raises(NotAllowed, match="stands or void"):
        carry_out(sent_on_each.context, "resolve_break", {"number": 1}, **BY)
    carry_out(sent_on_each.context, "resolve_break", {"number": 1, "difference": difference}, **BY)
    assert _breaks(sent_on_each) == {"partial_approval": "resolved"}
    assert _difference(sent_on_each) == left
    assert list(findings(sent_on_each.context)) == []


@pytest.mark.parametrize("outcome", ["declined", "withdrawn"])
def test_a_part_that_was_not_collected_is_done_with(sent, outcome):
    _report(sent, "0010", 50_000)
    _settle(sent, outcome)
    assert _breaks(sent) == {"partial_approval": "resolved"}
    assert _difference(sent) == (0, 0)


def test_a_later_line_says_how_much_was_collected(sent):
    _report(sent, "0010", 50_000)
    _report(sent, "0000", 150_000, name="RPT_2.TXT")
    assert _breaks(sent) == {"partial_approval": "open"}
    assert _difference(sent) == (0, 0)
    with pytest.raises(NotAllowed, match="has no difference"):
        carry_out(sent.context, "resolve_break", {"number": 1, "difference": "stands"}, **BY)
    carry_out(sent.context, "resolve_break", {"number": 1}, **BY)
    assert _breaks(sent) == {"partial_approval": "resolved"}
