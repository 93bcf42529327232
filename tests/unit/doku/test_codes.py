from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.doku.codes import OUTCOMES, ResponseCodes, normalised

CODES = ResponseCodes.load(Path(__file__).parents[3] / "include" / "config" / "codes.toml")


@pytest.mark.parametrize(
    ("code", "class_", "outcome"),
    [
        ("0000", "approved", "paid"),
        ("00", "approved", "paid"),
        ("0011", "approved", "paid"),
        ("0005", "retry_later", "declined"),
        ("05", "retry_later", "declined"),
        (" n7 ", "after_change", "declined"),
        ("R1", "never", "declined"),
        ("0054", "after_change", "declined"),
        ("0058", "merchant_setup", "declined"),
        ("0008", "check_first", "unknown"),
        ("0010", "check_first", "unknown"),
        ("0068", "check_first", "unknown"),
        ("0085", "check_first", "unknown"),
        ("0094", "check_first", "unknown"),
        ("5526", "check_first", "unknown"),
        ("5536", "check_first", "unknown"),
        ("5542", "check_first", "unknown"),
        ("5535", "after_change", "declined"),
        ("5514", "never", "declined"),
        ("55", "after_change", "declined"),
    ],
)
def test_what_a_code_means(code: str, class_: str, outcome: str) -> None:
    found = CODES.look_up(code)
    assert (found.class_, found.outcome, found.listed) == (class_, outcome, True)
    assert found.meaning
    assert found.source


@given(st.one_of(st.none(), st.text(max_size=6)))
def test_any_text_is_looked_up_and_nothing_unlisted_is_success(code: str | None) -> None:
    found = CODES.look_up(code)
    assert found.listed == (normalised(code) in {one.code for one in CODES.listed})
    if not found.listed:
        assert (found.class_, found.outcome) == ("unknown", "unknown")


def test_only_these_codes_are_success() -> None:
    assert {one.code for one in CODES.listed if one.outcome == "paid"} == {"0000", "0011"}
    assert all(OUTCOMES[one.class_] == one.outcome for one in CODES.listed)
    assert {one.code for one in CODES.listed if one.ends_mandate} == {"00R0", "00R1", "00R3"}
    assert {one.code for one in CODES.listed if one.class_ == "never"} >= {
        "0004", "0007", "0012", "0014", "0015", "0041", "0043", "0046", "0057", "00R0", "00R1", "00R3",
    }  # fmt: skip
