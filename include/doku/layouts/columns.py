"""One column at a time: values to the text of a layout, and back.

A whole column is handled by pyarrow at once. Only when a check fails is the row looked for. Whatever is read must be
exactly what would have been written for the value: numbers and dates are written again and compared.

A problem names the row and the reason, and never shows the value (promise 10).
"""

from datetime import date, datetime
from typing import Any, Final, cast

import pyarrow as pa  # noqa: TID253  (this module is about columns; no DAG file imports it)
import pyarrow.compute as pc  # noqa: TID253

from include.domain.amount_format import MAX_DIGITS
from include.domain.character_sets import CharacterSet
from include.domain.date_pattern import TOKENS, DatePattern
from include.schemas.layout_slots import Slot

ARROW_TYPES: Final[dict[str, Any]] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "amount": pa.int64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("s"),
}
"""The Arrow type of a value, by the column's type: amounts in smallest units, datetimes without a zone (as written)."""

_DIGITS: Final = CharacterSet(((0x30, 0x39),))
_FIRST_DAY: Final = -719_162
"""0001-01-01 as Arrow counts days; Python's calendar begins there."""


class ColumnProblem(Exception):
    """A value breaks its column.

    Attributes:
        row: 0-based row of the column.
        reason: What is wrong, without the value.
    """

    def __init__(self, row: int, reason: str) -> None:
        self.row, self.reason = row, reason
        super().__init__(row, reason)


# --- writing ---


def write_column(slot: Slot, values: Any, exponent: int) -> Any:
    """Write a column.

    Args:
        slot: The column.
        values: Arrow array (n) of text, int64, date32, timestamp or ISO text, as the slot's type asks; null: empty.
        exponent: Decimal places of the currency's smallest unit in use.

    Returns:
        Arrow string array (n) without nulls: what stands in the file.

    Raises:
        ColumnProblem: A value that the column cannot hold.
    """
    text = _text_of(slot, values, exponent)
    missing = pc.fill_null(pc.equal(text, ""), True)
    if slot.required:
        _refuse(missing, "is empty, and the column is required")
    text = pc.fill_null(text, "")
    _refuse(pc.greater(pc.utf8_length(text), slot.longest), f"is longer than {slot.longest} characters")
    if slot.type == "text":
        _check_text(slot, text)
    if not (slot.exact and slot.pad):
        return text
    pad = pc.utf8_lpad if slot.pad_side == "left" else pc.utf8_rpad
    return pad(text, slot.width, slot.pad)


def constant_column(slot: Slot, rows: int) -> Any:
    """A constant, or another text, for each of `rows` lines."""
    return pa.repeat(pa.scalar(slot.constant or "", pa.string()), rows)


def _text_of(slot: Slot, values: Any, exponent: int) -> Any:
    if slot.type == "text":
        return _as(values, pa.string(), "is not text")
    if slot.type == "integer":
        return _whole_number_text(_as(values, pa.int64(), "is not a whole number"))
    if slot.amount:
        return _amount_text(slot, _as(values, pa.int64(), "is not a whole number of smallest units"), exponent)
    return _date_text(cast("DatePattern", slot.dates), values)


def _whole_number_text(values: Any) -> Any:
    _refuse(pc.less(values, 0), "is negative")
    return pc.cast(values, pa.string())


def _amount_text(slot: Slot, values: Any, exponent: int) -> Any:
    form = slot.amount
    assert form is not None  # noqa: S101  (the layout makes one for every amount)
    _refuse(pc.less(values, 0), "is negative")
    most = form.largest(slot.width, exponent)
    _refuse(pc.greater(values, most), f"is more than the column can show ({most} at most)")
    unit = 10**exponent
    whole = pc.divide(values, unit)
    text = _grouped(pc.cast(whole, pa.string()), form.group)
    if not form.places:
        _refuse(pc.not_equal(pc.multiply(whole, unit), values), f"has a fraction, which {form.text} cannot show")
        return text
    if exponent == 0:
        return _joined(text, form.decimal + "0" * form.places)
    fraction = pc.utf8_lpad(pc.cast(pc.subtract(values, pc.multiply(whole, unit)), pa.string()), exponent, "0")
    kept = pc.utf8_slice_codeunits(pc.utf8_rpad(fraction, form.places, "0"), 0, form.places)
    lost = pc.utf8_slice_codeunits(fraction, form.places)
    _refuse(pc.not_equal(pc.utf8_ltrim(lost, "0"), ""), f"has a fraction, which {form.text} cannot show")
    return _joined(text, form.decimal, kept)


def _grouped(digits: Any, sign: str) -> Any:
    """Digits in groups of three: 1500000 -> 1,500,000."""
    if not sign:
        return digits
    widest = (MAX_DIGITS + 2) // 3 * 3
    groups = pc.replace_substring_regex(pc.utf8_lpad(digits, widest, " "), r"(...)", rf"\1{sign}")
    groups = pc.utf8_rtrim(groups, sign)
    return pc.utf8_ltrim(groups, f" {sign}")


def _date_text(pattern: DatePattern, values: Any) -> Any:
    if pattern.with_time:
        values = _as(values, pa.timestamp("s"), "is not a date and time")
        days = pc.cast(values, pa.date32())
    else:
        values = days = _as(values, pa.date32(), "is not a date")
    _check_days(days)
    iso = pc.cast(values, pa.string())
    return _joined(
        *(pc.utf8_slice_codeunits(iso, *TOKENS[piece.token]) if piece.token else piece.text for piece in pattern.pieces)
    )


def _check_text(slot: Slot, text: Any) -> None:
    """Check the characters of a column of text, and that its padding could be told from it."""
    check_characters(slot.charset, text)
    if slot.pad:
        edge = pc.starts_with(text, slot.pad) if slot.pad_side == "left" else pc.ends_with(text, slot.pad)
        where = "begins" if slot.pad_side == "left" else "ends"
        _refuse(edge, f"{where} with the column's padding, and would be read back without it")


# --- reading ---


def read_column(slot: Slot, raw: Any, exponent: int) -> Any:
    """Read a column.

    Args:
        slot: The column.
        raw: Arrow string array (n) without nulls: what stands in the file.
        exponent: Decimal places of the currency's smallest unit in use.

    Returns:
        Arrow array (n) of the slot's type (`ARROW_TYPES`); empty where it may be: null.

    Raises:
        ColumnProblem: Text that is not a value of the column, as the column would be written.
    """
    lengths = pc.utf8_length(raw)
    if slot.exact:
        _refuse(pc.not_equal(lengths, slot.width), f"is not {slot.width} characters long")
    else:
        _refuse(pc.greater(lengths, slot.width), f"is longer than {slot.width} characters")
    if slot.constant is not None:
        _refuse(pc.not_equal(raw, slot.constant), "is not the constant of the layout")
        return raw
    text = _unpadded(slot, raw)
    missing = pc.equal(text, "")
    if slot.required:
        _refuse(missing, "is empty, and the column is required")
    if slot.type == "text":
        if slot.longest < slot.width:
            _refuse(pc.greater(pc.utf8_length(text), slot.longest), f"is longer than {slot.longest} characters")
        _check_text(slot, text)
    if pc.any(missing).as_py():
        text = pc.if_else(missing, pa.scalar(None, pa.string()), text)
    values = _values_of(slot, text, exponent)
    if slot.type != "text":
        again = write_column(slot, values, exponent)
        _refuse(pc.not_equal(again, raw), f"is not written as {_form_of(slot)}")
    return values


def _values_of(slot: Slot, text: Any, exponent: int) -> Any:
    if slot.type == "text":
        return text
    if slot.type == "integer":
        return _number(text, "is not a whole number", MAX_DIGITS)
    if slot.amount:
        return _amount(slot, text, exponent)
    return _dates(cast("DatePattern", slot.dates), text)


def _unpadded(slot: Slot, raw: Any) -> Any:
    """The text without its padding; "" where there is nothing else. Zeros before a number may stay."""
    if not (slot.exact and slot.pad):
        return raw
    if slot.dates:
        start = slot.width - slot.dates.width if slot.pad_side == "left" else 0
        text = pc.utf8_slice_codeunits(raw, start, start + slot.dates.width)
        return pc.if_else(pc.equal(raw, slot.pad * slot.width), "", text)
    if slot.pad == "0" and slot.type != "text":
        return raw
    return (pc.utf8_ltrim if slot.pad_side == "left" else pc.utf8_rtrim)(raw, slot.pad)


def _number(text: Any, reason: str, most: int) -> Any:
    """Digits to int64."""
    if not _DIGITS.holds(_bytes_of(text)):
        _refuse(pc.invert(pc.match_substring_regex(text, "^[0-9]*$")), reason)
    digits = pc.utf8_ltrim(text, "0")
    _refuse(pc.greater(pc.utf8_length(digits), most), "has too many digits")
    return pc.cast(pc.if_else(pc.equal(digits, ""), "0", digits), pa.int64())


def _amount(slot: Slot, text: Any, exponent: int) -> Any:
    form = slot.amount
    assert form is not None  # noqa: S101  (the layout makes one for every amount)
    if form.decimal:
        sign = pc.utf8_slice_codeunits(text, -form.places - 1, -form.places)
        _refuse(pc.not_equal(sign, form.decimal), f"is not written as {form.text}")
    digits = text
    for sign in form.signs:
        digits = pc.replace_substring(digits, sign, "")
    number = _number(digits, f"is not written as {form.text}", MAX_DIGITS - max(exponent - form.places, 0))
    if form.places <= exponent:
        return pc.multiply(number, 10 ** (exponent - form.places))
    step = 10 ** (form.places - exponent)
    amount = pc.divide(number, step)
    _refuse(pc.not_equal(pc.multiply(amount, step), number), "is a fraction of the currency's smallest unit")
    return amount


def _dates(pattern: DatePattern, text: Any) -> Any:
    """Fixed-width dates, by way of ISO text, which Arrow reads strictly."""
    reason = f"is not a date written as {pattern.text}"
    _refuse(pc.not_equal(pc.utf8_length(text), pattern.width), reason)
    found, position = {}, 0
    for piece in pattern.pieces:
        if piece.token:
            found[piece.token] = pc.utf8_slice_codeunits(text, position, position + piece.width)
        position += piece.width
    iso = [found["yyyy"], "-", found["MM"], "-", found["dd"]]
    if pattern.with_time:
        iso += [" ", found["HH"], ":", found["mm"], ":", found.get("ss", "00")]
    values = _cast(_joined(*iso), ARROW_TYPES["datetime" if pattern.with_time else "date"])
    if values is None:
        rows = enumerate(text.to_pylist())
        raise ColumnProblem(next(row for row, one in rows if one is not None and not _is_date(pattern, one)), reason)
    _check_days(pc.cast(values, pa.date32()))
    return values


def _is_date(pattern: DatePattern, text: str) -> bool:
    try:
        pattern.read(text)
    except ValueError:
        return False
    return True


def _form_of(slot: Slot) -> str:
    form = slot.amount or slot.dates
    return form.text if form else "a whole number"


# --- what both need ---


def check_characters(charset: CharacterSet, text: Any) -> None:
    """Check that a column of text holds nothing but characters of a set. ColumnProblem: it does."""
    if not charset.holds(_bytes_of(text)):
        _refuse(
            pc.invert(pc.match_substring_regex(text, f"^(?:{charset.pattern})*$")),
            "has a character that the column may not hold",
        )


def same(first: Any, second: Any) -> Any:
    """Where two columns of one type agree, empty values with empty ones: a Boolean array."""
    both_empty = pc.and_(pc.is_null(first), pc.is_null(second))
    return pc.or_(both_empty, pc.fill_null(pc.equal(first, second), False))


def first_true(mask: Any) -> int | None:
    """Row of the first True, or None."""
    row = int(pc.index(mask, pa.scalar(True)).as_py())
    return None if row < 0 else row


def _refuse(mask: Any, reason: str) -> None:
    """Raise for the first row where the mask is True; null counts as False."""
    if pc.any(mask).as_py():
        row = first_true(mask)
        raise ColumnProblem(row or 0, reason)


def _as(values: Any, wanted: Any, reason: str) -> Any:
    """Values as another Arrow type, without losing anything."""
    if values.type == wanted:
        return values
    made = _cast(values, wanted)
    if made is None:
        rows = (row for row in range(len(values)) if _cast(values.slice(row, 1), wanted) is None)
        raise ColumnProblem(next(rows, 0), reason)
    return made


def _cast(values: Any, wanted: Any) -> Any:
    """The values as another type, or None. Arrow's own error quotes the value: nothing may be chained to it."""
    try:
        return pc.cast(values, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _check_days(days: Any) -> None:
    """Refuse days that Python's calendar has not."""
    numbers = pc.cast(days, pa.int32())
    outside = pc.or_(pc.less(numbers, _FIRST_DAY), pc.greater(numbers, (date.max - date(1970, 1, 1)).days))
    _refuse(outside, "is not a day between the years 1 and 9999")


def _joined(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, "")


def _bytes_of(text: Any) -> bytes:
    """The characters of a column in one piece, as UTF-8."""
    if text.null_count:
        text = pc.fill_null(text, "")
    offsets, data = text.buffers()[1:]
    if data is None or not len(text):
        return b""
    ends = memoryview(offsets).cast("i")
    return bytes(memoryview(data)[ends[text.offset] : ends[text.offset + len(text)]])


def scalar_array(value: Any, slot: Slot) -> Any:
    """One value as an array of one row, typed for `write_column`."""
    if isinstance(value, date) and not isinstance(value, datetime) and slot.type == "datetime":
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001  (as written in the file, without a zone)
    return pa.array([value], ARROW_TYPES[slot.type])
