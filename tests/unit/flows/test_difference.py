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


# --- the line that speaks ---


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([("0051", 0), ("0000", 150_000)], (0, 0)),
        ([("0000", 100_000), ("0000", 120_000)], (1, -50_000)),
        ([("0000", 100_000), ("0000", 150_000)], (1, -50_000)),
    ],
)
@pytest.mark.parametrize("forth", [True, False])
def test_only_the_line_that_speaks_for_the_payment_counts(sent_on_each, lines, found, forth):
    for number, (code, amount) in enumerate(lines if forth else lines[::-1]):
        _report(sent_on_each, code, amount, name=f"RPT_{number}.TXT")
    assert _difference(sent_on_each) == found


def test_a_person_may_book_what_another_line_says(sent):
    _report(sent, "0000", 100_000)
    _report(sent, "0000", 120_000, name="RPT_2.TXT")
    for number, difference in ((1, "void"), (2, "stands")):
        carry_out(sent.context, "resolve_break", {"number": number, "difference": difference}, **BY)
    assert _difference(sent) == (1, -30_000)


def test_what_was_refunded_in_part_is_a_break_of_its_own(sent_on_each):
    _report(sent_on_each, "0000", 150_000)
    line = f"D|{sent_on_each.number}|||50000.00|IDR|REFUNDED|0000||A12345|||\r\n"
    sent_on_each.server.put("/outbound/RPT_2.TXT", f"H|B|20261120|1|50000.00|0|1||\r\n{line}".encode())
    sent_on_each.reconcile()
    assert _breaks(sent_on_each) == {"partial_refund": "open"}
    (row,) = sent_on_each.sql("SELECT amount, details FROM recon_break")
    assert row == {"amount": 100_000, "details": "sent 150000 IDR, given back 50000 IDR: the rest was kept"}
    assert _difference(sent_on_each) == (0, 0)
    said = carry_out(sent_on_each.context, "resolve_break", {"number": 1}, **BY)
    assert "Nothing moves in the books" in said
