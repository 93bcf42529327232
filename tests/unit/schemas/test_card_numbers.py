"""Card numbers are found and masked in whole columns exactly as a plain reading, one text at a time, would."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.schemas.card_numbers import find, mask
from include.schemas.text_scan import Text

VISA = "4111111111111111"


def _found(texts: list[str | None], *, as_token: bool = False) -> list[bool]:
    return find(Text.of(pa.array(texts, pa.string())), as_token=as_token).rows.tolist()


def _masked(text: str) -> str:
    column = Text.of(pa.array([text]))
    return mask(column, find(column))[0].as_py()


def passes_luhn(digits: str) -> bool:
    """The check as it is mostly written down."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


@pytest.mark.parametrize(
    "number",
    [
        VISA, "4222222222222", "4000000000000000006", "5555555555554444", "2221000000000009", "378282246310005",
        "30569309025904", "3566002020360505", "6011111111111117", "6200000000000005",
    ],
)  # fmt: skip
def test_test_numbers_of_the_schemes_are_found(number: str) -> None:
    assert passes_luhn(number)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert _found([number, f"card {number}.", f"x{number}y", wrong, None, ""]) == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert _found([number], as_token=True) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111", "4111-1111-1111-1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111  1111 - 11111111",
        "3782 822463 10005", "no 12 4111 1111 1111 1111 exp 12 30", "41111111 11111111", "é4111-1111-1111-1111é",
    ],
)  # fmt: skip
def test_grouped_numbers_are_found_whatever_stands_around(text: str) -> None:
    assert _found([text]) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "0000000000000000", "4111111111111112", "411111111111", "41111111111111111111", "4111/1111/1111/1111",
        "4111    1111 1111 1111", "INS-2026-11-000012345", "6281234567890", "2026112200000", "",
    ],
)  # fmt: skip
def test_other_numbers_are_left_alone(text: str) -> None:
    assert _found([text]) == [False]


def test_a_number_does_not_reach_over_two_rows() -> None:
    assert _found(["41111111", "11111111"]) == [False, False]
    assert _found(["4111 1111 ", "1111 1111"]) == [False, False]


def test_a_token_of_hexadecimal_characters_may_hold_such_digits_by_chance() -> None:
    assert _found([f"abcd{VISA}ef0123456789", f"tok:{VISA}"], as_token=True) == [False, True]
    assert _found(["0000000000000091", "1234567890123452"], as_token=True) == [True, True]  # however it begins


def test_the_middle_is_masked_and_the_rest_stays() -> None:
    assert _masked(f"Kartu {VISA} exp 12/30") == "Kartu 411111******1111 exp 12/30"
    assert _masked("é 4111-1111 1111-1111 é") == "é 4111-11** ****-1111 é"


def test_nulls_slices_and_chunks_keep_their_places() -> None:
    whole = pa.array(["x", None, VISA, "", f"a {VISA}", None, "y"])
    column = Text.of(whole.slice(1, 5))
    found = find(column)
    assert found.rows.tolist() == [False, True, False, True, False]
    assert mask(column, found).to_pylist() == [None, "411111******1111", "", "a 411111******1111", None]
    chunked = pa.chunked_array([whole.slice(0, 2), whole.slice(2, 3)])
    assert find(Text.of(chunked)).rows.tolist() == [False, False, True, False, True]


def _cards_in(text: str) -> bool:
    """A plain reading: every run of digit groups, joined by one to three spaces or hyphens."""
    for run in re.finditer(r"[0-9]+(?:[ -]{1,3}[0-9]+)*", text):
        groups = re.split(r"[ -]+", run[0])
        for first in range(len(groups)):
            for last in range(first, len(groups)):
                digits = "".join(groups[first : last + 1])
                if 13 <= len(digits) <= 19 and passes_luhn(digits) and set(digits) != {"0"} and _begins(digits):
                    return True
    return False


def _begins(digits: str) -> bool:
    begin, length = int(digits[:6]), len(digits)
    if digits[0] == "4":
        return True
    if length == 16 and (510000 <= begin <= 559999 or 222100 <= begin <= 272099 or begin // 100 == 1946):
        return True
    if digits[:2] in ("34", "37") and length == 15:
        return True
    if digits[:2] in ("36", "38", "39") or digits[:3] in ("300", "301", "302", "303", "304", "305"):
        return length >= 14
    if 352800 <= begin <= 358999 or digits[:2] in ("50", "56", "57", "58") or digits[0] == "6":
        return length >= 16
    return False


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | st.from_regex(r"\A(?:[0-9]{1,9}|[ -]{1,4}|[a-zé]|4111|5){0,9}\Z"), max_size=8))
def test_columns_are_read_as_one_text_at_a_time(texts: list[str | None]) -> None:
    assert _found(texts) == [text is not None and _cards_in(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"\A[a-z ]{0,4}(?:4[0-9]{3}|5[1-5][0-9]{2})(?:[ -]?[0-9]{4}){3}[a-z ]{0,4}\Z"))
def test_no_masked_text_holds_a_card_number(text: str) -> None:
    shown = _masked(text)
    assert len(shown) == len(text)
    assert not _cards_in(shown)
    assert (shown == text) == (not _cards_in(text))
