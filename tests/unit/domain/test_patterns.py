"""Forms of dates and amounts, and sets of characters."""

import re
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.amount_format import AmountFormat
from include.domain.character_sets import NAMES, CharacterSet
from include.domain.date_pattern import DatePattern

DATES = ["yyyyMMdd", "dd/MM/yyyy", "MM-dd-yyyy", "yyyy.MM.dd", "dd'of'MM'in'yyyy"]
TIMES = ["yyyyMMddHHmmss", "dd/MM/yyyy HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss", "ssmmHHddMMyyyy"]


@given(st.sampled_from(DATES), st.dates())
def test_a_date_is_read_as_it_is_written(form: str, day: date) -> None:
    pattern = DatePattern(form)
    assert pattern.read(pattern.write(day)) == day
    assert len(pattern.write(day)) == pattern.width


@given(st.sampled_from(TIMES), st.datetimes())
def test_a_time_is_read_as_it_is_written(form: str, moment: datetime) -> None:
    pattern = DatePattern(form, with_time=True)
    assert pattern.read(pattern.write(moment)) == moment.replace(microsecond=0)


@given(st.sampled_from(DATES + TIMES), st.text("0123456789/-.: ٣", max_size=20))
def test_a_text_is_a_date_or_refused(form: str, text: str) -> None:
    pattern = DatePattern(form, with_time=form in TIMES)
    try:
        assert pattern.write(pattern.read(text)) == text
    except ValueError:
        return


@pytest.mark.parametrize(
    "form", ["", "yyyy", "yyMMdd", "yyyyMMddMM", "yyyy-MM-ddT", "yyyyMMddHH", "'", "yyyyMMdd1", "YYYYMMDD"]
)
def test_a_date_form_that_makes_no_sense(form: str) -> None:
    with pytest.raises(ValueError, match="date format"):
        DatePattern(form)


def test_a_time_form_needs_hours_and_minutes() -> None:
    with pytest.raises(ValueError, match="lacks HH mm"):
        DatePattern("yyyyMMdd", with_time=True)


@pytest.mark.parametrize("form", ["", "00", "0.", "0;00", "#,##0,00", "#.##0.00", "0.00000", "0V00", "1", " 0", "0\n"])
def test_an_amount_form_that_makes_no_sense(form: str) -> None:
    with pytest.raises(ValueError, match="amount format"):
        AmountFormat(form)


@pytest.mark.parametrize(
    ("form", "width", "exponent", "largest"),
    [
        ("0", 12, 0, 10**12 - 1),
        ("0.00", 15, 0, 10**12 - 1),
        ("0v00", 14, 0, 10**12 - 1),
        ("#,##0", 7, 0, 999_999),
        ("#,##0", 8, 0, 999_999),
        ("#,##0.00", 9, 0, 99_999),
        ("0", 3, 2, 99_900),
        ("0.0", 3, 2, 990),
        ("0.00", 4, 2, 999),
        ("0", 30, 0, 10**18 - 1),
        ("0.00", 2, 0, 0),
    ],
)
def test_the_largest_amount_of_a_column(form: str, width: int, exponent: int, largest: int) -> None:
    assert AmountFormat(form).largest(width, exponent) == largest


@pytest.mark.parametrize("name", NAMES)
def test_named_sets_suit_ascii(name: str) -> None:
    assert CharacterSet.parse(name, "ascii") <= CharacterSet.printable("ascii")


@pytest.mark.parametrize(
    ("text", "encoding", "reason"),
    [
        ("letters", "ascii", "none of"),
        ("regex:", "ascii", "not a class"),
        ("regex:[]", "ascii", "not a class"),
        ("regex:[^A-Z]", "ascii", "cannot be read"),
        ("regex:[A-Z]+", "ascii", "not a class"),
        (r"regex:[\d]", "ascii", "stands for many"),
        ("regex:[Z-A]", "ascii", "backwards"),
        ("regex:[A-Z[]", "ascii", "cannot be read"),
        ("regex:[\\]", "ascii", "cannot be read"),
        ("regex:[A\n]", "ascii", "cannot be printed"),
        ("regex:[é]", "ascii", "cannot be printed"),
        ("regex:[銀]", "latin-1", "cannot be printed"),
        ("regex:[\u200b]", "utf-8", "cannot be printed"),
    ],
)
def test_a_set_that_makes_no_sense(text: str, encoding, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        CharacterSet.parse(text, encoding)


@given(st.lists(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=6), st.text(max_size=8))
def test_a_class_holds_exactly_what_it_lists(chars: list[str], text: str) -> None:
    charset = CharacterSet.parse("regex:[" + "".join(f"\\{c}" if not c.isalnum() else c for c in chars) + "]", "ascii")
    assert charset.holds(text.encode("utf-8")) == all(char in chars for char in text)
    assert bool(re.fullmatch(f"{charset.pattern}*", text)) == all(char in chars for char in text)
    less = charset.without(chars[0])
    assert chars[0] not in less
    assert (charset & less) == less
