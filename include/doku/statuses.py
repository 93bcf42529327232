"""What DOKU's status call answers, and what that makes of an attempt; pure.

The fields are those of DOKU's reference [CHK, APIDOG, certain]. SUCCESS, FAILED, EXPIRED, PENDING, TIMEOUT and REDIRECT
are certain [CHK, TRX], REFUNDED and VOIDED are seen in examples [APIDOG]. Only what says plainly that money moved, or
that it did not, decides; all else leaves an attempt as unknown as it was, and is shown.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from include.doku.codes import ResponseCodes, normalised
from include.domain.errors import ApiAnswerUnreadable
from include.domain.masking import without_card_numbers
from include.domain.money import CURRENCY_EXPONENT, to_smallest_unit
from include.domain.states import OutcomeStatus

_WAITING: Final = frozenset({"PENDING", "TIMEOUT", "REDIRECT"})
_TAKEN_BACK: Final = frozenset({"VOIDED", "REFUNDED"})
_NO_CHARGE: Final = frozenset({"AUTHORIZE", "REFUND", "VOID"})
"""Kinds of transactions whose success is no collected money."""


@dataclass(frozen=True)
class TransactionStatus:
    """One transaction, as DOKU's status call tells it; texts are None where they are not told.

    Attributes:
        word: Of `transaction.status`, in capitals.
        reference: `order.invoice_number`.
        amount: Smallest units of `currency`; None where it is not told.
        kind: SALE, MOTO, RECURRING, ... in capitals.
        response_code: In the report's four characters.
    """

    word: str
    reference: str | None
    amount: int | None
    currency: str | None
    kind: str | None
    response_code: str | None
    response_message: str | None
    approval_code: str | None
    masked_card: str | None
    bank: str | None


@dataclass(frozen=True)
class Verdict:
    """What a status makes of an attempt: its outcome, or None: as unknown as before; and why, for a person."""

    outcome: OutcomeStatus | None
    words: str


def read_status(body: Any, currency: str) -> TransactionStatus:
    """Read the answer to a status question; what is not known is passed over.

    Args:
        body: Its JSON.
        currency: Of the attempt, for an amount without one.

    Raises:
        ApiAnswerUnreadable: There is no status in it, or its amount cannot be read.
    """
    order, transaction, card = (_part(body, name) for name in ("order", "transaction", "card_payment"))
    word = _text(transaction.get("status"))
    if word is None:
        raise ApiAnswerUnreadable(
            "DOKU's answer to a status question has no transaction.status: nothing was decided. Compare it with DOKU's "
            "page for this call."
        )
    told = _text(order.get("currency")) or currency
    code = _text(card.get("response_code"))
    return TransactionStatus(
        word=word.upper(),
        reference=_text(order.get("invoice_number")),
        amount=_amount(order.get("amount"), told),
        currency=told,
        kind=(_text(card.get("type")) or _text(transaction.get("type")) or "").upper() or None,
        response_code=normalised(code)[:10] if code else None,
        response_message=_shown(card.get("response_message"), 200),
        approval_code=_shown(card.get("approval_code"), 40),
        masked_card=_shown(card.get("card_masked"), 30),
        bank=_shown(card.get("issuer"), 60),
    )


def judge_status(found: TransactionStatus, codes: ResponseCodes, *, failed_is_final: bool) -> Verdict:
    """What a status makes of an attempt whose outcome is unknown.

    Args:
        found: As read.
        codes: A code that contradicts the word, or that nobody listed, lets the word decide nothing (promise 6).
        failed_is_final: DOKU's pages contradict each other on FAILED (CHK: no, TRX: yes), so that it is a setting.
    """
    if found.word in _TAKEN_BACK:
        return Verdict(OutcomeStatus.REVERSED, f"{found.word}: the payment was taken back")
    if found.word in _WAITING:
        return Verdict(None, f"{found.word}: DOKU does not know yet")
    if found.word == "SUCCESS":
        return _success(found, codes)
    if found.word == "FAILED":
        return _failed(found, codes, failed_is_final=failed_is_final)
    return Verdict(None, f"{found.word[:20]}: of a charge this says nothing")


def _success(found: TransactionStatus, codes: ResponseCodes) -> Verdict:
    if found.kind in _NO_CHARGE:
        return Verdict(None, f"SUCCESS of a {found.kind}: no money was collected by it")
    code = found.response_code
    if code is not None and codes.look_up(code).outcome != "paid":
        return Verdict(None, f"SUCCESS with code {code}, which is not an approval: they contradict each other")
    return Verdict(OutcomeStatus.PAID, "SUCCESS" if code is None else f"SUCCESS with code {code}")


def _failed(found: TransactionStatus, codes: ResponseCodes, *, failed_is_final: bool) -> Verdict:
    code = found.response_code
    known = codes.look_up(code) if code is not None else None
    with_code = "FAILED" if code is None else f"FAILED with code {code}"
    if known is not None and known.outcome in ("paid", "reversed"):
        return Verdict(None, f"{with_code}, which is no decline: they contradict each other")
    if known is not None and known.class_ == "check_first":
        return Verdict(None, f"{with_code}, which does not say whether money moved")
    if not failed_is_final:
        return Verdict(None, f"{with_code}: not final by http.failed_is_final")
    return Verdict(OutcomeStatus.DECLINED, with_code)


def _part(body: Any, name: str) -> Mapping[str, Any]:
    value = body.get(name) if isinstance(body, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    """A text, or a number that DOKU wrote without quotes."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return "".join(character for character in str(value) if character.isprintable()).strip() or None


def _shown(value: Any, longest: int) -> str | None:
    text = _text(value)
    return without_card_numbers(text)[:longest] if text is not None else None


def _amount(value: Any, currency: str) -> int | None:
    if value is None:
        return None
    if currency in CURRENCY_EXPONENT and not isinstance(value, bool):
        with suppress(ValueError):
            return to_smallest_unit(str(value), currency)
    raise ApiAnswerUnreadable(
        "The amount in DOKU's answer to a status question cannot be read: nothing was decided. Compare it with DOKU's "
        "page for this call."
    )
