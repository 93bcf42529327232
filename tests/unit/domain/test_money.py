"""Money is exact, and a fraction of a rupiah is a mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain import money
from include.domain.money import for_people, to_major, to_smallest_unit


@pytest.fixture
def cents(monkeypatch):
    """A currency that is used in hundredths."""
    monkeypatch.setitem(money.CURRENCY_EXPONENT, "XTS", 2)
    return "XTS"


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1500000", 1_500_000), ("1500000.00", 1_500_000), ("1500000.", 1_500_000), (" 7 ", 7), ("+7", 7), ("-7", -7),
        ("0", 0), ("0.000", 0), ("007", 7), ("999999999999999999", 999_999_999_999_999_999),
    ],
)  # fmt: skip
def test_rupiah(text, amount):
    assert to_smallest_unit(text, "IDR") == amount


@pytest.mark.parametrize("text", ["0.5", "1000.01", "1.000000000000000000001", "-0.1"])
def test_half_a_rupiah_is_not_rounded_away(text):
    with pytest.raises(ValueError, match="fraction"):
        to_smallest_unit(text, "IDR")


@pytest.mark.parametrize(
    "text",
    ["", " ", "1,000", "1.000.000", "1e6", "NaN", "Infinity", "0x10", "1_000", ".5", "Rp 5", "--1", "1 000", "9" * 19],
)
def test_what_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="not a decimal"):
        to_smallest_unit(text, "IDR")


def test_a_currency_that_nobody_declared_has_no_smallest_unit():
    with pytest.raises(KeyError):
        to_smallest_unit("1", "USD")


@pytest.mark.parametrize(
    ("text", "amount"), [("1", 100), ("1.5", 150), ("1.05", 105), ("0.01", 1), ("-0.01", -1), ("1.050", 105)]
)
def test_hundredths(cents, text, amount):
    assert to_smallest_unit(text, cents) == amount


def test_a_fraction_of_a_hundredth(cents):
    with pytest.raises(ValueError, match="fraction"):
        to_smallest_unit("0.001", cents)


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.00"), (1, "0.01"), (-1, "-0.01"), (105, "1.05"), (-12345, "-123.45")]
)
def test_writing_hundredths(cents, amount, text):
    assert to_major(amount, cents) == text


@given(st.integers(min_value=-(10**15), max_value=10**15), st.sampled_from((0, 2, 3)))
def test_what_is_written_is_read_back(amount, exponent):
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(money.CURRENCY_EXPONENT, "XTS", exponent)
        assert to_smallest_unit(to_major(amount, "XTS"), "XTS") == amount


def test_for_people():
    assert for_people(1_500_000, "IDR") == "Rp 1,500,000"


def test_large_amounts_are_shown_to_people_exactly(cents):
    assert for_people(90_071_992_547_409_93, cents) == "XTS 90,071,992,547,409.93"
