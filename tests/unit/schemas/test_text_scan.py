"""Characters of whole columns are judged exactly as one at a time."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.schemas.text_scan import BAD, CONTROL, FORBIDDEN, Alphabet, Text, is_control


def _flags(alphabet: Alphabet, texts: list[str | None]) -> list[int]:
    return alphabet.flags(Text.of(pa.array(texts, pa.string()))).tolist()


def _expected(alphabet: Alphabet, text: str | None) -> int:
    flags = 0
    for character in text or "":
        if is_control(character):
            flags |= CONTROL
        elif character in alphabet.forbidden:
            flags |= FORBIDDEN
        elif character == "\ufffd" or (alphabet.allowed and not re.fullmatch(alphabet.allowed, character)):
            flags |= BAD
    return flags


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [Alphabet(), Alphabet("[A-Z0-9]"), Alphabet("[ -~à-ÿ]", frozenset("|")), Alphabet(None, frozenset("é;"))]
    ),
    st.lists(
        st.none() | st.text(st.sampled_from("AZ09az |;éàЖ保💳\t\x00\x7f\x85\u2028\ufffd"), max_size=6), max_size=8
    ),
)
def test_flags_are_those_of_the_single_characters(alphabet: Alphabet, texts: list[str | None]) -> None:
    assert _flags(alphabet, texts) == [_expected(alphabet, text) for text in texts]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_any_kind_of_string_column_is_taken(kind: pa.DataType) -> None:
    column = pa.chunked_array([pa.array(["a", None], kind), pa.array([], kind), pa.array(["", "\t"], kind)])
    text = Text.of(column)
    assert text.lengths.tolist() == [1, 0, 0, 1]
    assert Alphabet("[a]").flags(text).tolist() == [0, 0, 0, CONTROL]


def test_no_rows_at_all() -> None:
    text = Text.of(pa.chunked_array([], pa.string()))
    assert text.lengths.tolist() == []
    assert Alphabet("[a]").flags(text).tolist() == []


def test_first_and_last_characters() -> None:
    text = Text.of(pa.array(["0a", "a0", "", None, "é0", "b"]))
    assert text.begins_with("0").tolist() == [True, False, False, False, False, False]
    assert text.ends_with("0 ").tolist() == [False, True, False, False, True, False]
    assert not text.begins_with("").any()
