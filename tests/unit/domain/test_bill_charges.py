"""The charge id of a bill and a day: one way there, one way back."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.bill_charges import bill_and_day_of, charge_id_of


def test_the_form():
    assert charge_id_of("B-1", date(2026, 11, 20)) == "B-1/2026-11-20"


@given(st.text(min_size=1, max_size=30), st.dates())
def test_there_and_back(billing_number, day):
    assert bill_and_day_of(charge_id_of(billing_number, day)) == (billing_number, day)


@pytest.mark.parametrize("other", ["C1", "B/2026", "B/20261120", "2026-11-20", "B/2026-11-20 ", "", "B/2026-W47-5"])
def test_other_ids_are_none_of_a_bill(other):
    assert bill_and_day_of(other) is None
