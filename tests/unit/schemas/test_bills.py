"""Rows of the merchant's view of bills: what is read from them, and every reason against them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.bill_columns import COLUMNS, REASONS, in_words
from include.schemas.bills import BillLimits, read_bills
from tests.register_harness import wanted

LIMITS = BillLimits(50_000_000, frozenset({"IDR"}))


def _read(*rows):
    return list(read_bills([dict(row) for row in rows], 1, LIMITS))


def test_a_good_row():
    (found,) = _read(wanted(schedule=" DAY ", schedule_on="fri, mon", months="jan", starts_on="2026-11-01 00:00:00"))
    terms = found.terms
    assert (found.key, found.reasons) == ("B-1", "")
    assert (terms.amount, terms.currency, terms.wanted, terms.registration) == (100_000, "IDR", True, "link")
    assert (terms.schedule.on_text, terms.schedule.months_text) == ("MON,FRI", "JAN")


def test_the_digest_tells_what_doku_has_to_be_told():
    first, same, other = _read(wanted(), wanted(email="x@y.z", registration="bulk"), wanted(amount=None))
    assert first.terms.digest == same.terms.digest != other.terms.digest
    spelt, differently = _read(wanted(schedule_on="1,15"), wanted(schedule_on=" 15, 1 "))
    assert spelt.terms.digest == differently.terms.digest


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ({"amount": "100000.50"}, "amount", "not_whole"),
        ({"amount": "0"}, "amount", "not_positive"),
        ({"amount": "1e5"}, "amount", "unreadable"),
        ({"amount": "99000000000"}, "amount", "over_limit"),
        ({"currency": "USD"}, "currency", "not_allowed"),
        ({"currency": None}, "currency", "missing"),
        ({"customer_id": " "}, "customer_id", "missing"),
        ({"schedule": "monthly"}, "schedule", "unknown_word"),
        ({"schedule_on": "29"}, "schedule_on", "no_schedule"),
        ({"schedule": "dates", "schedule_on": "2026-11-20", "months": "NOV"}, "schedule_on", "no_schedule"),
        ({"ends_on": "2026-10-31"}, "schedule_on", "no_schedule"),
        ({"starts_on": "01.11.2026"}, "starts_on", "unreadable"),
        ({"status": "active"}, "status", "unknown_word"),
        ({"registration": "mail"}, "registration", "unknown_word"),
        ({"description": "card 4111111111111111"}, "description", "card_number"),
        ({"customer_name": "A\nB"}, "customer_name", "control_character"),
        ({"description": "x" * 257}, "description", "too_long"),
    ],
)
def test_every_reason_against_a_row(row, column, code):
    bad, good = _read(wanted(**row), wanted("B-2"))
    assert (bad.terms, bad.reasons) == (None, f"{column}:{code}")
    assert good.terms is not None
    assert "4111" not in in_words(bad.reasons)


def test_a_row_has_all_of_its_reasons():
    (found,) = _read(wanted(customer_id=None, amount="x", status="?", starts_on=None))
    assert found.reasons.split(";") == [
        "customer_id:missing", "amount:unreadable", "starts_on:missing", "status:unknown_word"
    ]  # fmt: skip


@pytest.mark.parametrize("number", [None, " ", "4111111111111111", "B\n1", "x" * 201])
def test_a_row_without_a_number_is_known_by_its_place(number):
    _, found = _read(wanted(), wanted(number))
    assert (found.key, found.terms) == ("row 2", None)


_TEXTS = st.none() | st.text(max_size=12) | st.sampled_from(["1", "15", "MON", "day", "2026-11-20", "1e9", "wanted"])


@given(st.dictionaries(st.sampled_from(COLUMNS), _TEXTS, max_size=5))
def test_no_row_breaks_it(changes):
    (found,) = _read(wanted(**{name: value for name, value in changes.items() if _is_utf8(value)}))
    assert (found.terms is None) == bool(found.reasons)
    for reason in filter(None, found.reasons.split(";")):
        assert reason.partition(":")[2] in REASONS


def _is_utf8(value):
    return value is None or not any("\ud800" <= one <= "\udfff" for one in value)
