"""Card networks: by the name that a view or a report gives, or by the first digits of a masked card."""

from typing import Final

VISA: Final = "VISA"
MASTERCARD: Final = "MASTERCARD"

_NAMES: Final = {
    "VISA": VISA,
    "VISA ELECTRON": VISA,
    "MASTERCARD": MASTERCARD,
    "MASTER": MASTERCARD,
    "MASTER CARD": MASTERCARD,
    "MC": MASTERCARD,
}
_DIGITS: Final = 4


def network_of_name(name: str | None) -> str | None:
    """The network that is meant, or the name as it stands; None for none."""
    written = (name or "").strip().upper().replace("-", " ").replace("_", " ")
    return _NAMES.get(written, written) or None


def network_of_card(masked: str | None) -> str | None:
    """The network of a masked card (411111******1111), by its first four digits; None where they do not say.

    Visa numbers begin with 4, Mastercard numbers with 51..55 or 2221..2720 (ISO/IEC 7812 ranges, certain).
    """
    head = (masked or "").strip()[:_DIGITS]
    if len(head) < _DIGITS or not (head.isascii() and head.isdigit()):
        return None
    if head[0] == "4":
        return VISA
    if "51" <= head[:2] <= "55" or "2221" <= head <= "2720":
        return MASTERCARD
    return None
