"""What of a secret may be shown (promise 10): the last characters of a token, the ends of a card number."""

import re
from typing import Final

_SHOWN: Final = 4
_SHORT: Final = 12
_DIGITS: Final = re.compile(r"(?<!\d)\d(?:[ -]{0,3}\d){12,18}(?!\d)", re.ASCII)


def token_ending(token: str) -> str:
    """A token as a person may see it: "ending in 89ab"; of a short one not even that."""
    return f"ending in {token[-_SHOWN:]}" if len(token) >= _SHORT else "(hidden)"


def without_card_numbers(text: str) -> str:
    """A text of somebody else's with the middle of each card number (13 to 19 digits that pass the Luhn check) hidden.

    Of those digits the first six and the last four stay, as receipts show them.
    """
    return _DIGITS.sub(lambda found: _masked(found[0]) if _passes_luhn(found[0]) else found[0], text)


def _masked(number: str) -> str:
    last = sum(character.isdigit() for character in number) - _SHOWN
    shown, seen = [], 0
    for character in number:
        seen += character.isdigit()
        hidden = character.isdigit() and 6 < seen <= last
        shown.append("*" if hidden else character)
    return "".join(shown)


def _passes_luhn(number: str) -> bool:
    digits = [int(character) for character in reversed(number) if character.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return any(digits) and (sum(digits[::2]) + sum(doubled)) % 10 == 0
