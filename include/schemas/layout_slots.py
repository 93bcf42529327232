"""A column of a layout, worked out: what the writer and the reader go by, with every contradiction refused."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.domain.amount_format import AmountFormat
from include.domain.character_sets import CharacterSet
from include.domain.date_pattern import DatePattern
from include.schemas.layout_columns import Column, FileForm, SectionName
from include.schemas.layout_sources import HEADER_SOURCES, IGNORED, KEPT_LENGTHS, LINE_SOURCES, ColumnType, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEFAULT_TEXT: Final = 255
_MAX_INTEGER: Final = 18
_DATE_DEFAULTS: Final[dict[str, str]] = {"date": "yyyyMMdd", "datetime": "yyyyMMddHHmmss"}


@dataclass(frozen=True)
class Slot:
    """A column with everything worked out: what the writer and the reader go by.

    Attributes:
        name: The column's name in the layout.
        source: The fact; "" for a constant.
        constant: The text of a constant, padding included; else None.
        type: text, integer, amount, date or datetime.
        width: Characters: exactly where `exact`, else at most.
        exact: Whether every value fills the width.
        longest: Most characters of a value, padding left out; less than the width where no more is kept.
        position: Characters before it in the line (fixed layouts).
        pad_side: left or right, "" for none.
        pad: The character that fills up, "" for none.
        required: Whether it may not be empty.
        charset: What text may hold; the delimiter is not in it.
        amount: Form of an amount.
        dates: Form of a date or datetime.
    """

    name: str
    source: str
    constant: str | None
    type: ColumnType
    width: int
    exact: bool
    longest: int
    position: int
    pad_side: str
    pad: str
    required: bool
    charset: CharacterSet
    amount: AmountFormat | None
    dates: DatePattern | None

    @property
    def field(self) -> str:
        """The name of the fact without its owner: `attempt.amount` -> `amount`."""
        return self.source.partition(".")[2] or self.source


def slot_of(form: FileForm, kind: Kind, section: SectionName, column: Column, position: int) -> Slot:
    """Work a column out.

    Args:
        form: The layout's `[file]` table.
        kind: batch or report.
        section: Where the column stands.
        column: Its keys.
        position: Characters before it in the line.

    Raises:
        ValueError: The column makes no sense; the text says why.
    """
    if (column.value is None) == (column.source is None):
        raise ValueError("needs either value (a constant) or source (a fact), and not both")
    _check_start(form, column, position)
    if column.value is not None:
        return _constant_slot(form, column, column.value, position)
    type_, source = _type_of(kind, section, column), column.source or ""
    amount = AmountFormat(column.format or "0") if type_ == "amount" else None
    dates = (
        DatePattern(column.format or _DATE_DEFAULTS[type_], type_ == "datetime") if type_ in _DATE_DEFAULTS else None
    )
    if column.format and not (amount or dates):
        raise ValueError(f"format is for amounts and dates, and this is {type_}")
    pad_side, pad = _padding_of(form, column, type_)
    width, exact = _width_of(form, column, type_, amount, dates)
    _check_signs(form, dates, amount, pad)
    _check_optional(column, source, type_, pad)
    return Slot(
        name=column.name,
        source=source,
        constant=None,
        type=type_,
        width=width,
        exact=exact,
        longest=min(width, KEPT_LENGTHS.get(source, width)),
        position=position,
        pad_side=pad_side,
        pad=pad,
        required=column.required and source != IGNORED,
        charset=_charset_of(form, column, type_),
        amount=amount,
        dates=dates,
    )


def _check_start(form: FileForm, column: Column, position: int) -> None:
    if column.start is None:
        return
    if form.format != "fixed":
        raise ValueError("start is for fixed-width layouts; remove the key")
    if column.start != position + 1:
        what = (
            "overlaps the column before it" if column.start <= position else "leaves a gap after the column before it"
        )
        raise ValueError(
            f"start = {column.start} {what}, which ends at {position}; name the columns in order, fillers too"
        )


def _constant_slot(form: FileForm, column: Column, value: str, position: int) -> Slot:
    for key in ("type", "format", "charset"):
        if getattr(column, key) is not None:
            raise ValueError(f"a constant has no {key}; remove the key")
    width = column.length or len(value)
    if width == 0 and form.format == "fixed":
        raise ValueError("an empty constant needs a length")
    if len(value) > width:
        raise ValueError(f"the constant has {len(value)} characters, more than length = {width}")
    charset = CharacterSet.printable(form.encoding).without(form.delimiter or "")
    if any(char not in charset for char in value):
        raise ValueError(f"the constant holds the delimiter or what cannot be printed in {form.encoding}")
    pad_side, pad = _padding_of(form, column, "text")
    if pad:
        value = value.rjust(width, pad) if pad_side == "left" else value.ljust(width, pad)
    return Slot(
        name=column.name,
        source="",
        constant=value,
        type="text",
        width=width,
        exact=True,
        longest=width,
        position=position,
        pad_side=pad_side,
        pad=pad,
        required=True,
        charset=charset,
        amount=None,
        dates=None,
    )


def _type_of(kind: Kind, section: SectionName, column: Column) -> ColumnType:
    """The column's type, which its source decides; a stated one must agree."""
    table: Mapping[str, tuple[ColumnType, ...]] = (LINE_SOURCES if section == "detail" else HEADER_SOURCES)[kind]
    allowed = table.get(column.source or "")
    if allowed is None:
        raise ValueError(f"source = {column.source!r} is not known here; there are {', '.join(table)}")
    if column.type is None:
        return allowed[0]
    if column.type not in allowed:
        raise ValueError(f"type = {column.type!r} does not suit {column.source}, which is {' or '.join(allowed)}")
    return column.type


def _padding_of(form: FileForm, column: Column, type_: ColumnType) -> tuple[str, str]:
    if column.padding is None:
        if form.format != "fixed":
            return "", ""
        return ("left", "0") if type_ in {"integer", "amount"} else ("right", " ")
    side, pad = column.padding.side, column.padding.character
    if column.length is None and form.format != "fixed":
        raise ValueError("padding needs a length to fill up to")
    if pad not in CharacterSet.printable(form.encoding) or pad == form.delimiter:
        raise ValueError("padding.character cannot be printed, or is the delimiter")
    if type_ in {"integer", "amount"} and pad != " " and (side, pad) != ("left", "0"):
        raise ValueError("a number is padded with spaces, or with zeros on the left")
    if type_ in {"date", "datetime"} and pad not in " 0":
        raise ValueError("a date is padded with spaces or zeros")
    return side, pad


def _width_of(
    form: FileForm, column: Column, type_: ColumnType, amount: AmountFormat | None, dates: DatePattern | None
) -> tuple[int, bool]:
    """Characters of the column, and whether every value has exactly so many."""
    fixed = form.format == "fixed"
    exact = fixed or column.padding is not None
    if dates:
        width = column.length or dates.width
        if width < dates.width:
            raise ValueError(f"length = {width} is too short for {dates.text}, which takes {dates.width} characters")
        return width, exact
    if column.length is None and fixed:
        raise ValueError("needs a length: the layout is fixed-width")
    narrowest = amount.places + len(amount.decimal) + 1 if amount else 1
    if column.length is not None and column.length < narrowest:
        raise ValueError(f"length = {column.length} is too short for any value; {narrowest} at least")
    default = amount.widest if amount else _MAX_INTEGER if type_ == "integer" else _DEFAULT_TEXT
    return column.length or default, exact


def _check_signs(form: FileForm, dates: DatePattern | None, amount: AmountFormat | None, pad: str) -> None:
    """Refuse a format whose own signs would break the line or the reading of it."""
    signs = (dates.literals if dates else frozenset()) | frozenset(amount.signs if amount else "")
    if form.delimiter in signs:
        raise ValueError("the format writes the delimiter; choose another of the two")
    if any(sign not in CharacterSet.printable("ascii") for sign in signs):
        raise ValueError("the format writes a character that is not printable ASCII")
    if amount and amount.group and pad == "0":
        raise ValueError("groups of digits cannot be padded with zeros; pad with spaces")


def _check_optional(column: Column, source: str, type_: ColumnType, pad: str) -> None:
    """Refuse an empty column that could not be told from a value, or that would silence a check."""
    if column.required or source == IGNORED:
        return
    if source in {"file.count", "file.total"}:
        raise ValueError("a count or a total is always there; remove required = false")
    if pad == "0" and type_ in {"integer", "amount"}:
        raise ValueError(
            "padded with 0, an empty column would read as the number 0; pad with spaces, or make it required"
        )


def _charset_of(form: FileForm, column: Column, type_: ColumnType) -> CharacterSet:
    encoding = form.encoding
    if type_ != "text":
        if column.charset is not None:
            raise ValueError(f"charset is for text, and this is {type_}; remove the key")
        return CharacterSet.printable("ascii")
    charset = CharacterSet.parse(column.charset or "printable", encoding).without(form.delimiter or "")
    if not charset.ranges:
        raise ValueError("charset holds nothing but the delimiter")
    return charset
