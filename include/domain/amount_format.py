"""How an amount is written in a file: `0`, `0.00`, `0,00`, `0v00`, `#,##0.00`, `#.##0,00`.

DOKU publishes none for Batch Upload. Neighbours differ: rupiah without decimals in the JSON card APIs [H2H, certain],
`12.2` in the old interface [LEG, certain]; so the form is configuration.
"""

import re
from dataclasses import dataclass, field
from typing import Final

MAX_DIGITS: Final = 18
"""Digits of the largest number that always fits into 64 bits."""

_FORM: Final = re.compile(r"(?:#(?P<group>[.,])##)?0(?:(?P<decimal>[.,v])(?P<places>0{1,4}))?")


@dataclass(frozen=True)
class AmountFormat:
    """A way to write an amount of major units.

    Attributes:
        text: `0` whole units; `0.00` or `0,00` with that many decimals; `0v00` the decimals without a sign (1500000
            is written 150000000); `#,##0` or `#.##0,00` with groups of three digits.
        group: Sign between groups of three digits, or "".
        decimal: Sign before the decimals, or "".
        places: How many decimals.

    Raises:
        ValueError: Not one of these forms.
    """

    text: str
    group: str = field(init=False, default="")
    decimal: str = field(init=False, default="")
    places: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        match = _FORM.fullmatch(self.text)
        if match is None:
            raise ValueError(f"amount format {self.text!r} is none of 0, 0.00, 0,00, 0v00, #,##0, #,##0.00, #.##0,00")
        group, decimal = match["group"] or "", (match["decimal"] or "").replace("v", "")
        if group and group == decimal:
            raise ValueError(f"amount format {self.text!r} has one sign for groups and for decimals")
        object.__setattr__(self, "group", group)
        object.__setattr__(self, "decimal", decimal)
        object.__setattr__(self, "places", len(match["places"] or ""))

    @property
    def signs(self) -> str:
        """The characters that may stand among the digits."""
        return self.group + self.decimal

    @property
    def widest(self) -> int:
        """Characters of the longest amount that can be written."""
        return MAX_DIGITS + self.places + len(self.decimal) + (MAX_DIGITS // 3 if self.group else 0)

    def largest(self, width: int, exponent: int) -> int:
        """The largest amount, in smallest units, that fits into `width` characters.

        Args:
            width: Characters of the column.
            exponent: Decimal places of the currency's smallest unit in use.
        """
        room = width - self.places - len(self.decimal)
        if self.group:
            # Four characters carry three digits, except that the first group needs no sign in front.
            room = room - room // 4
        digits = min(room, MAX_DIGITS - max(self.places, exponent))
        return 0 if digits < 1 else 10 ** (digits + exponent) - 10 ** max(exponent - self.places, 0)
