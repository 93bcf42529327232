"""What the dialects share: reading one fact of a message, exactly, or saying in words why it cannot be read.

No sentence holds a value: a value may be a token.
"""

import re
import unicodedata
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from include.domain.errors import NotificationUnreadable
from include.domain.masking import without_card_numbers
from include.domain.money import CURRENCY_EXPONENT, MAX_AMOUNT, to_smallest_unit

LENGTHS: Final = {
    "reference": 64,
    "billing_number": 200,
    "customer_id": 200,
    "token": 500,
    "response_code": 10,
    "code": 10,
    "currency": 3,
    "status": 40,
    "file_name": 100,
}
"""Most characters of a fact that something is known by; a longer one makes the message unreadable."""

CUT: Final = {"approval_code": 40, "masked_card": 30, "bank": 60, "channel": 200, "message": 500}
"""Most characters that are kept of a fact that is only shown."""

YEARS: Final = range(2000, 2100)
"""Of a moment that DOKU may mean; 0001-01-01 is what software writes that knows none."""

_CARD: Final = re.compile(r"[0-9][0-9 -]{11,30}[0-9]")
_CONTROL: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_MOST_DIGITS: Final = 20


def key(value: Any, name: str) -> str | None:
    """A fact that something is known by; None where it is empty.

    Raises:
        NotificationUnreadable: No text or whole number, too long, with control characters, or a card number.
    """
    text = _plain(value, name)
    if text is None:
        return None
    if len(text) > LENGTHS[name] or any(unicodedata.category(one) in _CONTROL for one in text):
        raise unreadable(name, f"is longer than {LENGTHS[name]} characters, or has characters that no id has")
    if name == "token" and _CARD.fullmatch(text) and without_card_numbers(text) != text:
        raise unreadable(name, "is a card number; only DOKU's token may stand there. Tell DOKU at once")
    return text


def needed(value: Any, name: str) -> str:
    """The same, where there must be one."""
    text = key(value, name)
    if text is None:
        raise unreadable(name, "is missing")
    return text


def shown(value: Any, name: str) -> str | None:
    """A fact for people: cut, without control characters and card numbers; None where it is empty or no text."""
    try:
        text = _plain(value, name)
    except NotificationUnreadable:
        return None
    if text is None:
        return None
    clean = "".join("\ufffd" if unicodedata.category(one) in _CONTROL else one for one in text)
    return without_card_numbers(clean)[: CUT[name]]


def amount(value: Any, currency: str) -> int | None:
    """An amount of major units in smallest units, exactly and never through a float; None where there is none.

    Args:
        value: Text ("150000.00"), a whole number or a decimal.

    Raises:
        NotificationUnreadable: Not an amount, a fraction of the smallest unit, negative, or more than there can be.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise unreadable("amount", "is no number")
    if isinstance(value, Decimal):
        value = _written(value)
    try:
        found = to_smallest_unit(str(value), currency)
    except ValueError as caught:
        raise unreadable("amount", f"is {caught}") from None
    if not 0 <= found <= MAX_AMOUNT:
        raise unreadable("amount", "is negative, or larger than any charge can be")
    return found


def currency(value: Any, default: str) -> str:
    """An ISO 4217 code; the older interface writes rupiah as 360."""
    code = (key(value, "currency") or default).upper()
    code = "IDR" if code == "360" else code
    if code not in CURRENCY_EXPONENT:
        raise unreadable("currency", f"is none of {', '.join(CURRENCY_EXPONENT)}")
    return code


def iso_moment(value: Any, name: str, zone: tzinfo) -> datetime | None:
    """An ISO 8601 moment; one without an offset is of the given zone."""
    text = key(value, "status") if value not in (None, "") else None
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.year not in YEARS:
        raise unreadable(name, "is no moment of our time in the form 2026-01-31T23:59:59Z")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(zone)


def unreadable(name: str, what: str) -> NotificationUnreadable:
    """The error for a fact."""
    return NotificationUnreadable(f"{name} {what}")


def _plain(value: Any, name: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise unreadable(name, "is neither a text nor a whole number")
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise unreadable(name, "is a number of too many digits")
    return str(value).strip() or None


def _written(value: Decimal) -> str:
    """A decimal without an exponent; one of a size that no amount has is not written out."""
    if not value.is_finite() or value.adjusted() > _MOST_DIGITS or -int(value.as_tuple().exponent) > _MOST_DIGITS:
        raise unreadable("amount", "is no amount")
    return format(value, "f")
