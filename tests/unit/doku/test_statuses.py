"""What DOKU's status call says, and what that makes of an attempt."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.doku.codes import ResponseCodes
from include.doku.statuses import judge_status, read_status
from include.domain.errors import ApiAnswerUnreadable
from include.schemas.profile import SHIPPED_CONFIG

CODES = ResponseCodes.load(SHIPPED_CONFIG / "codes.toml")


def answer(word: str, code: str | None = None, kind: str = "MOTO", **order: Any) -> dict[str, Any]:
    return {
        "order": {"invoice_number": "INV-1", "amount": 150000, "currency": "IDR", **order},
        "transaction": {"status": word, "type": "SALE", "date": "2026-11-20T01:02:03Z", "new": {"field": 1}},
        "service": {"id": "CREDIT_CARD"},
        "card_payment": {"response_code": code, "type": kind, "approval_code": "A1", "card_masked": "411111******1111"},
    }


@pytest.mark.parametrize(
    ("word", "code", "kind", "not_final", "final"),
    [
        ("SUCCESS", "00", "MOTO", "paid", "paid"),
        ("SUCCESS", "0000", "RECURRING", "paid", "paid"),
        ("success", None, "", "paid", "paid"),
        ("SUCCESS", "05", "MOTO", None, None),
        ("SUCCESS", "0010", "MOTO", None, None),
        ("SUCCESS", "QX", "MOTO", None, None),
        ("SUCCESS", "00", "AUTHORIZE", None, None),
        ("SUCCESS", "00", "REFUND", None, None),
        ("FAILED", "05", "MOTO", None, "declined"),
        ("FAILED", None, "MOTO", None, "declined"),
        ("FAILED", "QX", "MOTO", None, "declined"),
        ("FAILED", "00", "MOTO", None, None),
        ("FAILED", "68", "MOTO", None, None),
        ("FAILED", "5526", "MOTO", None, None),
        ("PENDING", None, "MOTO", None, None),
        ("TIMEOUT", None, "MOTO", None, None),
        ("REDIRECT", None, "MOTO", None, None),
        ("EXPIRED", None, "MOTO", None, None),
        ("VOIDED", None, "MOTO", "reversed", "reversed"),
        ("REFUNDED", "00", "MOTO", "reversed", "reversed"),
        ("SOMETHING NEW", "00", "MOTO", None, None),
    ],
)
def test_what_a_word_decides(word: str, code: str | None, kind: str, not_final: str | None, final: str | None) -> None:
    found = read_status(answer(word, code, kind), "IDR")
    assert judge_status(found, CODES, failed_is_final=False).outcome == not_final
    assert judge_status(found, CODES, failed_is_final=True).outcome == final
    assert judge_status(found, CODES, failed_is_final=True).words


def test_codes_of_two_and_of_four_characters_are_one() -> None:
    for two, four in (("00", "0000"), ("51", "0051"), ("n7", "00N7"), ("5526", "5526")):
        assert read_status(answer("FAILED", two), "IDR").response_code == four
        assert read_status(answer("FAILED", four), "IDR").response_code == four.upper()


def test_all_that_is_read() -> None:
    found = read_status(answer("SUCCESS", "00", amount="150000.00"), "IDR")
    assert (found.reference, found.amount, found.currency) == ("INV-1", 150_000, "IDR")
    assert (found.approval_code, found.masked_card, found.kind) == ("A1", "411111******1111", "MOTO")
    assert read_status({"transaction": {"status": "PENDING"}}, "IDR").amount is None


@pytest.mark.parametrize(
    "body",
    [None, [], "x", {}, {"transaction": {}}, {"transaction": {"status": True}}, answer("SUCCESS", amount="much"),
     answer("SUCCESS", amount="0.5"), answer("SUCCESS", amount=True), answer("SUCCESS", currency="XXX")],
)  # fmt: skip
def test_what_cannot_be_read(body: Any) -> None:
    with pytest.raises(ApiAnswerUnreadable, match="nothing was decided"):
        read_status(body, "IDR")


def test_nothing_too_long_and_no_card_number_comes_in() -> None:
    body = answer("SUCCESS", "x" * 40)
    body["card_payment"] |= {"approval_code": "9" * 99, "issuer": "b\x00" * 99, "response_message": "4111111111111111"}
    found = read_status(body, "IDR")
    assert [len(text or "") for text in (found.response_code, found.approval_code, found.bank)] == [10, 40, 60]
    assert "\x00" not in (found.bank or "")
    assert found.response_message == "411111******1111"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["order", "transaction", "card_payment", "status", "amount", "type"]), inner)
    ),
    max_leaves=12,
)


@given(json, st.booleans())
def test_any_answer_is_read_or_refused_and_only_plain_words_decide(body: Any, final: bool) -> None:
    try:
        found = read_status(body, "IDR")
    except ApiAnswerUnreadable:
        return
    verdict = judge_status(found, CODES, failed_is_final=final)
    assert verdict.outcome is None or found.word in {"SUCCESS", "FAILED", "VOIDED", "REFUNDED"}
