"""Reading amounts of money from a column of decimals in major units, exactly as `include.domain.money` reads one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np  # noqa: TID253 - this module is about frames
import pyarrow as pa  # noqa: TID253
import pyarrow.compute as pc  # noqa: TID253

from include.domain.money import CURRENCY_EXPONENT, to_smallest_unit
from include.schemas.text_scan import Mask, Numbers

LARGEST_READ: Final = 10**15 - 1
"""Amounts beyond, in smallest units, are not taken in as numbers, so that sums of rows stay whole 64-bit numbers."""

_PLAIN: Final = r"\A[+-]?[0-9]{1,18}(\.[0-9]{0,18})?\z"
_DECIMAL: Final = re.compile(r"[+-]?\d+(\.\d*)?")


@dataclass(frozen=True)
class Amounts:
    """What a column of decimals says.

    Attributes:
        smallest_units: Smallest units; 0 wherever one of the masks below says why, where the row is null, and where the
            currency is unknown. Shape (rows,).
        unreadable: Not a plain decimal.
        not_whole: A decimal with a fraction of the currency's smallest unit.
        too_large: Beyond `LARGEST_READ` in either direction.
    """

    smallest_units: Numbers
    unreadable: Mask
    not_whole: Mask
    too_large: Mask


def read_amounts(texts: Any, currencies: Any) -> Amounts:
    """Read decimals in major units into smallest units, never through a float.

    Args:
        texts: Arrow array of strings, for example "1500000" or "1500000.00".
        currencies: Arrow array of ISO 4217 codes, row by row beside `texts`.

    A row whose currency nobody declared has no smallest unit: it is read for its form only, and its value is 0.
    """
    rows = len(texts)
    result = Amounts(np.zeros(rows, np.int64), *(np.zeros(rows, np.bool_) for _ in range(3)))
    encoded = pc.dictionary_encode(currencies)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    names = encoded.dictionary.to_pylist()
    plain = _plain(texts)
    for code in (-1, *range(len(names))):
        currency = names[code] if code >= 0 else ""
        chosen = (codes == code) & plain
        if chosen.any():
            _read_plain(texts, currencies, chosen, currency, result)
    _read_one_by_one(texts, currencies, np.flatnonzero(~plain), result)
    return result


def _plain(texts: Any) -> Mask:
    found: Mask = pc.fill_null(pc.match_substring_regex(texts, _PLAIN), False).to_numpy(zero_copy_only=False)
    return found


def _read_plain(texts: Any, currencies: Any, chosen: Mask, currency: str, result: Amounts) -> None:
    """Read all plain decimals of one currency together; those that do not fit go one by one."""
    exponent = CURRENCY_EXPONENT.get(currency)
    if exponent is None:
        return
    where = np.flatnonzero(chosen)
    subset = texts if len(where) == len(texts) else texts.take(pa.array(where))
    try:
        decimals = pc.cast(subset, pa.decimal128(38, exponent))
    except pa.ArrowInvalid:  # somewhere a fraction of the smallest unit
        whole = _is_whole(subset, exponent)
        _read_one_by_one(texts, currencies, where[~whole], result)
        where = where[whole]
        decimals = pc.cast(subset.filter(pa.array(whole)), pa.decimal128(38, exponent))
    values = _unscaled(decimals)
    over = np.abs(values) > LARGEST_READ
    result.too_large[where[over]] = True
    result.smallest_units[where] = np.where(over, 0, values)


def _is_whole(texts: Any, exponent: int) -> Mask:
    found: Mask = pc.match_substring_regex(texts, rf"\A[^.]*(\.[0-9]{{0,{exponent}}}0*)?\z").to_numpy(
        zero_copy_only=False
    )
    return found


def _unscaled(decimals: Any) -> Numbers:
    """The integers behind decimals: their 128 bits are little-endian, and at most 21 digits came in."""
    buffer = decimals.buffers()[1]
    halves = np.frombuffer(buffer, np.int64)[2 * decimals.offset : 2 * (decimals.offset + len(decimals))]
    low, high = halves[0::2], halves[1::2]
    fits = high == (low >> 63)
    beyond = np.where(high < 0, -LARGEST_READ - 1, LARGEST_READ + 1)
    numbers: Numbers = np.where(fits & (low != np.iinfo(np.int64).min), low, beyond)
    return numbers


def _read_one_by_one(texts: Any, currencies: Any, rows: Iterable[int], result: Amounts) -> None:
    """Rows that are not plain decimals: few, unless the view gives something that is no decimal at all."""
    for row in rows:
        text, currency = texts[row].as_py(), currencies[row].as_py()
        if text is None or not text.strip():
            continue
        _read_one(int(row), text, currency, result)


def _read_one(row: int, text: str, currency: str | None, result: Amounts) -> None:
    known = currency in CURRENCY_EXPONENT
    try:
        value = to_smallest_unit(text, currency if known and currency else next(iter(CURRENCY_EXPONENT)))
    except ValueError:
        form = _DECIMAL.fullmatch(text.strip())
        if form is None:
            result.unreadable[row] = True
        elif len(form[0].lstrip("+-").split(".")[0]) > 18:
            result.too_large[row] = True
        else:
            result.not_whole[row] = known
        return
    if abs(value) > LARGEST_READ:
        result.too_large[row] = True
    elif known:
        result.smallest_units[row] = value
