"""Finding and masking card numbers in columns of text (promise: secrets stay secret).

A card number is 13 to 19 digits that pass the Luhn check (ISO/IEC 7812-1). One number in ten passes it by chance, and
merchants number customers and policies with as many digits, so elsewhere than in a token the digits must also begin as
a card of that length does. Digits count together when nothing but one to three spaces or hyphens lies between them.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np  # noqa: TID253 - this module is about frames
import numpy.typing as npt  # noqa: TID253

from include.schemas.text_scan import Bytes, Mask, Numbers, Text, table_of

SHORTEST: Final = 13
LONGEST: Final = 19
KEPT_FIRST: Final = 6
KEPT_LAST: Final = 4
_WIDEST_GAP: Final = 3

_DIGITS: Final = table_of("0123456789")
_SEPARATORS: Final = table_of(" -")
_ALPHANUMERIC: Final = table_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

_RANGES: Final = (
    # first six digits from, to, shortest, longest
    (400000, 499999, 13, 19),  # Visa
    (510000, 559999, 16, 16),  # Mastercard
    (222100, 272099, 16, 16),  # Mastercard, 2-series
    (340000, 349999, 15, 15),  # American Express
    (370000, 379999, 15, 15),  # American Express
    (300000, 305999, 14, 19),  # Diners Club
    (360000, 369999, 14, 19),  # Diners Club
    (380000, 399999, 14, 19),  # Diners Club
    (352800, 358999, 16, 19),  # JCB
    (500000, 509999, 16, 19),  # Maestro and local schemes
    (560000, 589999, 16, 19),  # Maestro
    (600000, 699999, 16, 19),  # UnionPay, Discover, Maestro, Indonesian debit cards (6013, 6019, ...)
    (194600, 194699, 16, 16),  # GPN, Indonesia's national scheme
)
"""How card numbers begin, by scheme; widely published, generous where lists differ."""


_FIRST_TWO: Final = np.array(
    [any(low // 10_000 <= two <= high // 10_000 for low, high, *_ in _RANGES) for two in range(100)]
)


@dataclass(frozen=True)
class Found:
    """Card numbers in a column.

    Attributes:
        rows: Which rows hold one; shape (rows,).
        hidden: Positions in the column's bytes of the digits to hide.
    """

    rows: Mask
    hidden: npt.NDArray[np.intp]


def find(text: Text, *, as_token: bool = False) -> Found:
    """Find card numbers.

    Args:
        text: The column.
        as_token: The column holds tokens: any number that passes the Luhn check counts, however it begins, but only
            where it stands by itself: a token of 32 hexadecimal characters may hold 13 digits in a row by chance.
    """
    nothing = Found(np.zeros(len(text.array), np.bool_), np.empty(0, np.intp))
    if not len(text.data) or text.lengths.max(initial=0) < SHORTEST:
        return nothing
    starts, ends = _groups(text)
    firsts, lasts = _windows(text, starts, ends)
    if not as_token:  # most numbers are none by their first two digits, and need no closer look
        likely = _may_begin_a_card(text, starts[firsts], ends[firsts])
        firsts, lasts = firsts[likely], lasts[likely]
    if not len(firsts):
        return nothing
    begins, stops = starts[firsts], ends[lasts]
    digits, positions = _digits(text.data, begins, stops)
    valid = _passes_luhn(digits)
    if as_token:
        valid &= _stands_alone(text, begins, stops) & ((firsts == lasts) | _begins_like_a_card(digits))
    else:
        valid &= _begins_like_a_card(digits)
    rows = nothing.rows.copy()
    rows[_row_of(text, begins[valid])] = True
    rows &= text.present
    return Found(rows, _to_hide(digits[valid], positions[valid]))


def mask(text: Text, found: Found) -> Any:
    """The column with the digits between the first six and the last four of each card number replaced by `*`."""
    data: Bytes = text.data.copy()
    data[found.hidden] = ord("*")
    return text.with_data(data)


def _may_begin_a_card(text: Text, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> Mask:
    first = text.data[starts].astype(np.intp) - ord("0")
    second = text.data[np.minimum(starts + 1, len(text.data) - 1)].astype(np.intp) - ord("0")
    may: Mask = (ends - starts < 2) | _FIRST_TWO[np.clip(10 * first + second, 0, 99)]
    return may


def _groups(text: Text) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Start and end of every unbroken run of digits; a run ends with its row."""
    is_digit = text.classes(_DIGITS).view(np.bool_)
    edge = np.zeros(len(is_digit) + 1, np.bool_)
    edge[text.offsets] = True
    before = np.concatenate(([False], is_digit[:-1]))
    after = np.concatenate((is_digit[1:], [False]))
    starts = np.flatnonzero(is_digit & (~before | edge[:-1]))
    ends = np.flatnonzero(is_digit & (~after | edge[1:])) + 1
    return starts, ends


def _windows(
    text: Text, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First and last group of each sequence of joined groups with 13 to 19 digits altogether."""
    lengths = ends - starts
    joined = _joined(text, starts, ends)
    current, total = np.arange(len(starts)), lengths
    firsts, lasts = [], []
    last = current
    while len(current):
        fits = (total >= SHORTEST) & (total <= LONGEST)
        firsts.append(current[fits])
        lasts.append(last[fits])
        # Grow each sequence by the next group where it is joined and there is room for another digit.
        grows = (total < LONGEST) & joined[last]
        current, last, total = current[grows], last[grows] + 1, total[grows]
        total = total + lengths[last]
    if not firsts:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    return np.concatenate(firsts), np.concatenate(lasts)


def _joined(text: Text, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> Mask:
    """Whether only separators lie between a group and the next one of the same row."""
    joined = np.zeros(len(starts), np.bool_)
    gap = starts[1:] - ends[:-1]
    close = np.flatnonzero((gap >= 1) & (gap <= _WIDEST_GAP))
    if not len(close):
        return joined
    separates = np.frombuffer(_SEPARATORS, np.uint8).view(np.bool_)
    for step in range(_WIDEST_GAP):
        inside = step < gap[close]
        at = np.minimum(ends[close] + step, len(text.data) - 1)
        close = close[~inside | separates[text.data[at]]]
    same_row = _row_of(text, ends[close] - 1) == _row_of(text, starts[close + 1])
    joined[close[same_row]] = True
    return joined


def _row_of(text: Text, positions: npt.NDArray[np.intp]) -> Numbers:
    return np.searchsorted(text.offsets, positions, side="right") - 1


def _digits(
    data: Bytes, begins: npt.NDArray[np.intp], stops: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.intp]]:
    """The digits of each window, right-aligned in `LONGEST` columns (-1 where there is none), and their positions."""
    count, width = len(begins), int((stops - begins).max())
    digits = np.full((count, LONGEST), -1, np.int8)
    positions = np.zeros((count, LONGEST), np.intp)
    seen = np.zeros(count, np.intp)
    for step in range(1, width + 1):
        at = stops - step
        value = data[np.maximum(at, 0)].astype(np.int16) - ord("0")
        is_digit = np.flatnonzero((at >= begins) & (value >= 0) & (value <= 9))
        column = LONGEST - 1 - seen[is_digit]
        digits[is_digit, column] = value[is_digit]
        positions[is_digit, column] = at[is_digit]
        seen[is_digit] += 1
    return digits, positions


def _passes_luhn(digits: npt.NDArray[np.int8]) -> Mask:
    """The Luhn check of right-aligned digits: from the right, every second one is doubled, and 9 taken off above 9."""
    weighed = np.maximum(digits, 0).astype(np.int16)
    weighed[:, -2::-2] *= 2
    weighed[weighed > 9] -= 9
    passes: Mask = weighed.sum(axis=1) % 10 == 0
    # Zeros alone pass; they are a filler, not a card.
    passes &= (weighed > 0).any(axis=1)
    return passes


def _begins_like_a_card(digits: npt.NDArray[np.int8]) -> Mask:
    present = digits >= 0
    length = present.sum(axis=1)
    first = LONGEST - length
    columns = first[:, None] + np.arange(KEPT_FIRST)
    leading = np.take_along_axis(digits, columns, axis=1).astype(np.int64) @ (10 ** np.arange(KEPT_FIRST - 1, -1, -1))
    begins = np.zeros(len(digits), np.bool_)
    for low, high, shortest, longest in _RANGES:
        begins |= (leading >= low) & (leading <= high) & (length >= shortest) & (length <= longest)
    return begins


def _stands_alone(text: Text, begins: npt.NDArray[np.intp], stops: npt.NDArray[np.intp]) -> Mask:
    alphanumeric = np.frombuffer(_ALPHANUMERIC, np.uint8).view(np.bool_)
    row = _row_of(text, begins)
    last = len(text.data) - 1
    before = (begins > text.offsets[row]) & alphanumeric[text.data[np.maximum(begins - 1, 0)]]
    after = (stops < text.offsets[row + 1]) & alphanumeric[text.data[np.minimum(stops, last)]]
    alone: Mask = ~before & ~after
    return alone


def _to_hide(digits: npt.NDArray[np.int8], positions: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    rank = np.arange(LONGEST)[None, :] - (LONGEST - (digits >= 0).sum(axis=1))[:, None]
    hide = (rank >= KEPT_FIRST) & (np.arange(LONGEST) < LONGEST - KEPT_LAST)[None, :]
    return np.unique(positions[hide])
