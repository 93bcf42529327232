"""Invoice numbers are stable for ever: the same attempt has the same number in any ledger."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.invoice_numbers import LENGTH, MAX_ATTEMPT_NO, charge_stem, invoice_number


def test_they_are_what_they_always_were():
    """A change here would give attempts that DOKU knows new numbers: they could be charged again."""
    assert invoice_number("insurance-billing", "PREM-2026-000001", 1) == "L2OQ5YHP5QMC7IYWH201"
    assert invoice_number("insurance-billing", "PREM-2026-000001", 12) == "L2OQ5YHP5QMC7IYWH212"


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, MAX_ATTEMPT_NO))
def test_their_form(source, charge_id, attempt_no):
    number = invoice_number(source, charge_id, attempt_no)
    assert re.fullmatch(r"[A-Z2-7]{18}[0-9]{2}", number)
    assert len(number) == LENGTH
    assert number.startswith(charge_stem(source, charge_id))
    assert int(number[18:]) == attempt_no


def test_source_and_charge_do_not_run_together():
    stems = {
        charge_stem(*pair) for pair in [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc"), ("A", "bc"), ("a", "bC")]
    }
    assert len(stems) == 6


def test_many_charges_have_many_stems():
    assert len({charge_stem("s", f"C{number}") for number in range(20_000)}) == 20_000


@pytest.mark.parametrize("attempt_no", [0, -1, 100])
def test_an_attempt_number_has_two_digits(attempt_no):
    with pytest.raises(ValueError, match=r"within 1\.\.99"):
        invoice_number("s", "c", attempt_no)
