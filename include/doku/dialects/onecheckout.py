"""Notifications of DOKU's older form-encoded interface (OneCheckout) [LEG, WHMCS].

STATUSTYPE tells them apart, whichever path they came by: G a registration, T a change of card, P an ordinary payment
(the first one, by which a card is registered), none a scheduled charge. A question for an amount has a path of its own.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from include.doku.codes import normalised
from include.doku.dialects import facts
from include.doku.words import read_form
from include.domain.bill_events import (
    AmountAsked,
    BillEvent,
    CardUpdate,
    NotOfABill,
    PaymentResult,
    RegistrationResult,
)
from include.domain.date_pattern import DatePattern
from include.domain.errors import NotificationUnreadable
from include.domain.states import NotificationKind

JAKARTA: Final = ZoneInfo("Asia/Jakarta")
_PAID_AT: Final = DatePattern("yyyyMMddHHmmss", with_time=True)
_APPROVED: Final = "0000"


def parse(kind: NotificationKind, raw: bytes, content_type: str | None = None) -> BillEvent:  # noqa: ARG001
    """What a notification says.

    Args:
        kind: From the path that it came by; only `amount` and `report_ready` mean anything.
        raw: The body as received.
        content_type: Not looked at: what is no form shows itself.

    Raises:
        NotificationUnreadable: No form, a field missing that cannot be, or one that cannot be read; in words and
            without any value.
    """
    try:
        fields = read_form(raw)
    except ValueError:
        raise NotificationUnreadable("The body is no form, has too many fields, or one of them twice") from None
    if kind is NotificationKind.REPORT_READY:
        raise NotificationUnreadable("The older interface has no message that a report is ready")
    if kind is NotificationKind.AMOUNT:
        return AmountAsked(_needed(fields, "BILLNUMBER", "billing_number"), _key(fields, "CUSTOMERID", "customer_id"))
    status_type = fields.get("STATUSTYPE", "").upper()
    if status_type == "P":
        return NotOfABill("An ordinary payment (STATUSTYPE P), such as the one by which a card is registered")
    if status_type in ("G", "T"):
        return _registration(fields, RegistrationResult if status_type == "G" else CardUpdate)
    if status_type:
        raise NotificationUnreadable("STATUSTYPE is none of G, T and P")
    return _charge(fields)


def _registration(fields: Mapping[str, str], event: type[RegistrationResult]) -> RegistrationResult:
    status = fields.get("STATUS", "").upper()
    if status not in ("SUCCESS", "FAILED"):
        raise facts.unreadable("STATUS", "is neither SUCCESS nor FAILED")
    code = _key(fields, "ERRORCODE", "code")
    return event(
        billing_number=_needed(fields, "BILLNUMBER", "billing_number"),
        customer_id=_key(fields, "CUSTOMERID", "customer_id"),
        succeeded=status == "SUCCESS",
        token=_key(fields, "TOKENID", "token"),
        masked_card=facts.shown(fields.get("CARDNUMBER"), "masked_card"),
        code=normalised(code) if code else None,
        message=facts.shown(fields.get("MESSAGE"), "message"),
    )


def _charge(fields: Mapping[str, str]) -> PaymentResult:
    currency = facts.currency(fields.get("CURRENCY"), "IDR")
    code = _key(fields, "RESPONSECODE", "response_code")
    return PaymentResult(
        reference=_needed(fields, "TRANSIDMERCHANT", "reference"),
        billing_number=_needed(fields, "BILLNUMBER", "billing_number"),
        customer_id=_key(fields, "CUSTOMERID", "customer_id"),
        response_code=normalised(code) if code else None,
        succeeded=_succeeded(fields.get("RESULTMSG", "").upper(), normalised(code)),
        amount=facts.amount(fields.get("AMOUNT"), currency),
        currency=currency,
        paid_at=_paid_at(fields.get("PAYMENTDATETIME") or fields.get("PAYMENTDATEANDTIME")),
        response_message=facts.shown(fields.get("RESULTMSG"), "message"),
        approval_code=facts.shown(fields.get("APPROVALCODE"), "approval_code"),
        masked_card=facts.shown(fields.get("CARDNUMBER"), "masked_card"),
        bank=facts.shown(fields.get("BANK"), "bank"),
        token=_key(fields, "TOKENID", "token"),
        word=(facts.shown(fields.get("RESULTMSG"), "message") or "").upper() or None,
    )


def _succeeded(result: str, code: str) -> bool | None:
    """Success is RESPONSECODE 0000 and RESULTMSG SUCCESS [WHMCS]; where they contradict each other nobody knows."""
    if result == "SUCCESS":
        return True if code == _APPROVED else None
    return False if result == "FAILED" and code != _APPROVED else None


def _paid_at(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(_PAID_AT.read(text.strip()).isoformat())
    except ValueError:
        found = None
    if found is None or found.year not in facts.YEARS:
        raise facts.unreadable("PAYMENTDATETIME", "is no moment of our time in the form yyyyMMddHHmmss")
    return found.replace(tzinfo=JAKARTA)


def _key(fields: Mapping[str, str], field: str, name: str) -> str | None:
    return facts.key(fields.get(field), name)


def _needed(fields: Mapping[str, str], field: str, name: str) -> str:
    return facts.needed(fields.get(field), name)
