"""What DOKU's word and code decide together."""

import pytest

from include.doku.codes import ResponseCodes
from include.doku.payment_words import meaning_of
from include.domain.bill_judgement import Meaning
from include.domain.states import OutcomeStatus
from include.schemas.profile import SHIPPED_CONFIG

PAID, DECLINED, UNKNOWN, REVERSED = (
    OutcomeStatus.PAID, OutcomeStatus.DECLINED, OutcomeStatus.UNKNOWN, OutcomeStatus.REVERSED,
)  # fmt: skip
CODES = ResponseCodes.load(SHIPPED_CONFIG / "codes.toml")


@pytest.mark.parametrize(
    ("word", "succeeded", "code", "meaning"),
    [
        ("SUCCESS", True, "0000", Meaning(PAID)),
        ("SUCCESS", True, None, Meaning(PAID)),
        (None, None, "0000", Meaning(PAID)),
        (None, None, "0051", Meaning(DECLINED)),
        (None, None, None, Meaning(UNKNOWN)),
        ("FAILED", False, "0051", Meaning(DECLINED)),
        ("FAILED", False, None, Meaning(DECLINED)),
        ("SUCCESS", True, "0051", Meaning(UNKNOWN, contradicts_itself=True)),
        ("FAILED", False, "0000", Meaning(UNKNOWN, contradicts_itself=True)),
        ("PENDING", None, "0000", Meaning(UNKNOWN, contradicts_itself=True)),
        ("PENDING", None, None, Meaning(UNKNOWN)),
        ("FAILED", False, "5536", Meaning(UNKNOWN)),
        ("SUCCESS", True, "ZZZZ", Meaning(UNKNOWN, listed=False)),
        ("SUCCESS", True, "0010", Meaning(UNKNOWN, partial=True)),
        ("voided", None, None, Meaning(REVERSED)),
        ("REFUNDED", None, "0000", Meaning(REVERSED)),
    ],
)
def test_word_and_code_must_agree(word, succeeded, code, meaning):
    assert meaning_of(CODES, word, succeeded, code) == meaning
