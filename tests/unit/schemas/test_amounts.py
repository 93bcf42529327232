"""Amounts in a column are read exactly as the domain reads one."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain import money
from include.schemas import amounts
from include.schemas.amounts import LARGEST_READ, Amounts, read_amounts


@pytest.fixture(autouse=True)
def _more_currencies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exponents that no currency in use has yet."""
    monkeypatch.setitem(money.CURRENCY_EXPONENT, "XTS", 2)
    monkeypatch.setitem(money.CURRENCY_EXPONENT, "XXX", 3)


def _read(*rows: tuple[str | None, str | None]) -> Amounts:
    return read_amounts(
        pa.array([text for text, _ in rows], pa.string()), pa.array([code for _, code in rows], pa.string())
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("1500000", 1500000), ("1500000.00", 1500000), ("+7.", 7), ("-3.0", -3), (" 12 ", 12), ("000000000000000001", 1)],
)
def test_whole_rupiah_are_read(text: str, value: int) -> None:
    assert _read((text, "IDR")).smallest_units.tolist() == [value]


@pytest.mark.parametrize(
    "text", ["", "1,500", "1.500.000", "1e6", "NaN", "Infinity", "Rp 5", "--1", ".5", "1 000", "0x10"]
)
def test_what_is_no_decimal_is_unreadable(text: str) -> None:
    read = _read((text, "IDR"), ("5", "IDR"))
    assert read.unreadable.tolist() == [text != "", False]
    assert read.smallest_units.tolist() == [0, 5]


def test_fractions_of_the_smallest_unit_are_not_rounded() -> None:
    read = _read(("0.5", "IDR"), ("1.25", "XTS"), ("1.255", "XTS"), ("1.250", "XTS"), ("7", "IDR"))
    assert read.not_whole.tolist() == [True, False, True, False, False]
    assert read.smallest_units.tolist() == [0, 125, 0, 125, 7]


def test_numbers_beyond_any_sense_are_not_taken_in() -> None:
    read = _read(
        *((f"{sign}{number}", "IDR") for sign in ("", "-") for number in (LARGEST_READ, LARGEST_READ + 1, "9" * 30))
    )
    assert read.too_large.tolist() == [False, True, True] * 2
    assert read.smallest_units.tolist() == [LARGEST_READ, 0, 0, -LARGEST_READ, 0, 0]


def test_a_currency_that_nobody_declared_has_no_smallest_unit() -> None:
    read = _read(("1.50", "USD"), ("x", "USD"), ("2", None), (None, None))
    assert read.smallest_units.tolist() == [0, 0, 0, 0]
    assert read.unreadable.tolist() == [False, True, False, False]
    assert not read.not_whole.any()


DECIMALS = st.from_regex(r"\A[ ]?[+-]?[0-9]{0,21}(?:\.[0-9]{0,21})?[ ]?\Z") | st.from_regex(
    r"\A-?[0-9]{1,9}(?:\.0{0,3})?\Z"
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(DECIMALS | st.text(max_size=8), st.sampled_from(["IDR", "XTS", "XXX"])), min_size=1, max_size=6)
)
def test_each_row_is_read_as_the_domain_reads_it(rows: list[tuple[str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(money.CURRENCY_EXPONENT, "XTS", 2)
        patched.setitem(money.CURRENCY_EXPONENT, "XXX", 3)
        read = _read(*rows)
        for place, (text, currency) in enumerate(rows):
            refused = bool(read.unreadable[place] or read.not_whole[place] or read.too_large[place])
            try:
                value = money.to_smallest_unit(text, currency)
            except ValueError:
                assert refused or not text.strip()
                assert read.smallest_units[place] == 0
            else:
                assert refused == (abs(value) > LARGEST_READ)
                assert read.smallest_units[place] == (0 if refused else value)


def test_every_row_has_at_most_one_fault() -> None:
    read = _read(("1.5", "IDR"), ("9" * 40, "IDR"), ("x", "IDR"), ("9" * 40 + ".5", "IDR"))
    assert (read.unreadable.astype(int) + read.not_whole + read.too_large).tolist() == [1, 1, 1, 1]


def test_the_module_reads_the_currencies_of_the_domain() -> None:
    assert amounts.CURRENCY_EXPONENT is money.CURRENCY_EXPONENT
