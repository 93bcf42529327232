"""What of a secret may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.masking import token_ending, without_card_numbers


@given(st.text(min_size=1, max_size=60))
def test_of_a_token_no_more_than_four_characters_show(token):
    shown = token_ending(token)
    assert shown in ("(hidden)", f"ending in {token[-4:]}")
    assert len(token) >= 12 or shown == "(hidden)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("card 4111111111111111 declined", "card 411111******1111 declined"),
        ("4111 1111 1111 1111", "4111 11** **** 1111"),
        ("4111-1111-1111-1111.", "4111-11**-****-1111."),
        ("378282246310005", "378282*****0005"),
        ("411111******1111", "411111******1111"),
        ("4111111111111112", "4111111111111112"),  # no card number: the check digit is wrong
        ("0000000000000000", "0000000000000000"),
        ("invoice 12345", "invoice 12345"),
        ("", ""),
    ],
)
def test_card_numbers_in_other_peoples_words(text, shown):
    assert without_card_numbers(text) == shown


@given(st.text(alphabet="0123456789 -x", max_size=80))
def test_masking_twice_changes_nothing_more(text):
    once = without_card_numbers(text)
    assert without_card_numbers(once) == once
    assert len(once) == len(text)
