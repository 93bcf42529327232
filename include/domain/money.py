"""Money: whole numbers of the currency's smallest unit in use, never a float.

The merchant's view gives decimals in major units; the ledger holds integers; only layouts add decimals for DOKU.
Rupiah has no smaller unit in use, so its exponent here is 0: half a rupiah is a mistake to show, not to round away.
"""

import re
from decimal import Decimal
from typing import Final

CURRENCY_EXPONENT: Final[dict[str, int]] = {"IDR": 0}
"""Decimal places of the smallest unit in use, by ISO 4217 code. The one place that declares a currency."""

MAX_AMOUNT: Final = 999_999_999_999
"""Largest amount of one charge, in smallest units: 12 digits (DOKU's card API takes IDR of at most 12 digits)."""

_DECIMAL = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d{1,18})(?:\.(?P<fraction>\d*))?", re.ASCII)


def to_smallest_unit(text: str, currency: str) -> int:
    """Read a decimal in major units, exactly.

    Args:
        text: For example "1500000" or "1500000.00"; no grouping, no exponent.
        currency: ISO 4217 code that `CURRENCY_EXPONENT` knows.

    Returns:
        The amount in smallest units: 1500000 for both of the examples in IDR.

    Raises:
        ValueError: Not a plain decimal, or a fraction of the smallest unit.
        KeyError: An unknown currency.
    """
    exponent = CURRENCY_EXPONENT[currency]
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a decimal number")
    fraction = match["fraction"] or ""
    if fraction[exponent:].strip("0"):
        raise ValueError(f"a fraction of the smallest unit of {currency}")
    amount = int(match["whole"] + fraction[:exponent].ljust(exponent, "0"))
    return -amount if match["sign"] == "-" else amount


def to_major(amount: int, currency: str) -> str:
    """Write smallest units as a plain decimal in major units: 1500000 IDR -> "1500000"."""
    exponent = CURRENCY_EXPONENT[currency]
    if exponent == 0:
        return str(amount)
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(exponent + 1, "0")
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"


def for_people(amount: int, currency: str | None) -> str:
    """Write an amount for a person: 1500000 IDR -> "Rp 1,500,000"; of a currency that is not ours, as it stands."""
    if currency not in CURRENCY_EXPONENT:
        return f"{amount:,} {currency or ''}".strip()
    symbol = "Rp" if currency == "IDR" else currency
    return f"{symbol} {Decimal(to_major(amount, currency)):,f}"
