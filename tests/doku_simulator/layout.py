"""A second reading of the layout files: one line of text to values and back, in plain Python.

Only the form of the layout file is shared with the merchant's side. A layout tells for the header, the details and the
trailer which columns there are; a column is a constant (`value`) or carries a fact (`source`).
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

Value = str | int | date | datetime | None


class BadLayoutError(Exception):
    """A layout file that this reader does not understand."""


class BadFileError(Exception):
    """A batch file that does not follow its layout.

    Attributes:
        line: 1-based line of the file.
        column: The layout's column name, empty where the whole line is meant.
    """

    def __init__(self, line: int, column: str, reason: str) -> None:
        self.line, self.column, self.reason = line, column, reason
        super().__init__(f"line {line}{f', column {column}' if column else ''}: {reason}")


_TOKENS: Final = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_TOKEN_PATTERN: Final = re.compile("'([^']+)'|yyyy|yy|MM|dd|HH|mm|ss")
_CHARSETS: Final = {
    "digits": "[0-9]",
    "upper": "[A-Z]",
    "alpha": "[A-Za-z]",
    "alphanumeric": "[A-Za-z0-9]",
    "upper-alphanumeric": "[A-Z0-9]",
    "hex": "[0-9A-Fa-f]",
    "reference": "[A-Za-z0-9._/-]",
    "token": "[A-Za-z0-9_.:-]",
    "masked-card": "[0-9Xx*]",
    "ansi-printable": "[ -~]",
    "printable": "[^\\x00-\\x1f\\x7f-\\x9f]",
}
# A column's type follows from what it carries, unless the layout says otherwise.
_TYPES: Final = {
    "attempt.line_no": "integer",
    "attempt.amount": "amount",
    "attempt.execute_date": "date",
    "attempt.due_date": "date",
    "batch.business_date": "date",
    "batch.execute_date": "date",
    "batch.sequence": "integer",
    "line.amount": "amount",
    "line.charged_at": "datetime",
    "file.total": "amount",
    "file.success_total": "amount",
    "file.failed_total": "amount",
    "file.batch_total": "amount",
    "file.count": "integer",
    "file.success_count": "integer",
    "file.failed_count": "integer",
    "file.batch_count": "integer",
    "file.date": "date",
    "file.part": "integer",
    "file.parts": "integer",
}
_WHOLE: Final = re.compile(r"-?[0-9]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _strftime_pattern(pattern: str) -> str:
    """A pattern such as `yyyy-MM-dd'T'HH:mm:ss` in Python's own words."""
    return _TOKEN_PATTERN.sub(lambda match: match[1] or _TOKENS[match[0]], pattern.replace("%", "%%"))


@dataclass(frozen=True)
class AmountForm:
    """How an amount is written: `0`, `0.00`, `0,00`, `0v00` (decimals without a sign), `#,##0.00`, `#.##0`."""

    decimals: int
    sign: str
    group: str = ""

    @classmethod
    def of(cls, text: str) -> "AmountForm":
        match = re.fullmatch(r"(?:#([.,])##)?0(?:([.,v])(0+))?", text)
        if match is None:
            raise BadLayoutError(f"amount format {text!r} is not known to the simulator")
        return cls(len(match[3] or ""), (match[2] or "").strip("v"), match[1] or "")

    def write(self, amount: int) -> str:
        whole = f"{amount:,}".replace(",", self.group) if self.group else str(amount)
        return f"{whole}{self.sign}{'0' * self.decimals}"

    def read(self, text: str) -> int:
        """Whole units.

        Raises:
            ValueError: Not in this form, or with a fraction of a unit.
        """
        whole, fraction = text, ""
        if self.decimals:
            whole, fraction = text[: -self.decimals], text[-self.decimals :]
            if not whole.endswith(self.sign):
                raise ValueError
            whole = whole.removesuffix(self.sign)
        if self.group and self.group in whole:
            if not re.fullmatch(rf"-?[0-9]{{1,3}}(?:{re.escape(self.group)}[0-9]{{3}})+", whole):
                raise ValueError
            whole = whole.replace(self.group, "")
        if not _WHOLE.fullmatch(whole) or fraction.strip("0"):
            raise ValueError
        return int(whole)


@dataclass(frozen=True)
class Column:
    """One column, with its reader and writer made once."""

    name: str
    value: str | None
    source: str | None
    required: bool
    length: int | None
    numeric: bool
    pad_side: str
    pad_character: str
    read: Callable[[str], Value]
    write: Callable[[Any], str]
    allowed: re.Pattern[str] | None
    start: int = 0


@dataclass(frozen=True)
class Layout:
    """A parsed layout file."""

    name: str
    kind: str
    fixed: bool
    delimiter: str
    encoding: str
    line_end: str
    final_line_end: bool
    header: tuple[Column, ...]
    detail: tuple[Column, ...]
    trailer: tuple[Column, ...]

    def sources(self) -> set[str]:
        return {column.source for part in (self.header, self.detail, self.trailer) for column in part if column.source}


def load_layout(path: Path) -> Layout:
    """Read a layout file.

    Raises:
        BadLayoutError: It cannot be read as one.
    """
    try:
        return parse_layout(path.read_text(encoding="utf-8"))
    except (OSError, KeyError, TypeError, ValueError, tomllib.TOMLDecodeError) as error:
        raise BadLayoutError(f"{path}: {type(error).__name__}: {error}") from error


def parse_layout(text: str) -> Layout:
    raw = tomllib.loads(text)
    file = raw.get("file", {})
    fixed = file.get("format", "delimited") == "fixed"

    def columns(part: str) -> tuple[Column, ...]:
        made = [_column(item, fixed) for item in raw.get(part, {}).get("columns", [])]
        return _placed(made, raw[part]["columns"]) if fixed and made else tuple(made)

    return Layout(
        name=raw["name"],
        kind=raw["kind"],
        fixed=fixed,
        delimiter=file.get("delimiter", "|"),
        encoding=file.get("encoding", "ascii"),
        line_end=file.get("line_end", "\r\n"),
        final_line_end=file.get("final_line_end", True),
        header=columns("header"),
        detail=columns("detail"),
        trailer=columns("trailer"),
    )


def _placed(columns: list[Column], raw: list[dict[str, Any]]) -> tuple[Column, ...]:
    placed, position = [], 0
    for column, item in zip(columns, raw, strict=True):
        if column.length is None:
            raise BadLayoutError(f"column {column.name} of a fixed layout has no length")
        # `start` counts from 1, as people do who describe fixed-width files.
        start = item.get("start", position + 1) - 1
        placed.append(Column(**{**column.__dict__, "start": start}))
        position = start + column.length
    return tuple(sorted(placed, key=lambda column: column.start))


def _column(item: Mapping[str, Any], fixed: bool) -> Column:
    kind = item.get("type") or _TYPES.get(item.get("source", ""), "text")
    padding = item.get("padding") or {}
    numeric = kind in {"integer", "amount"}
    read, write = _converter(kind, item.get("format"))
    charset = item.get("charset", "printable")
    one = charset[6:] if charset.startswith("regex:") else _CHARSETS.get(charset)
    if one is None:
        raise BadLayoutError(f"charset {charset!r} is not known to the simulator")
    allowed = re.compile(f"(?:{one})*") if kind == "text" else None
    return Column(
        name=item["name"],
        value=item.get("value"),
        source=item.get("source"),
        required=item.get("required", True),
        length=item.get("length") or (len(item["value"]) if fixed and item.get("value") else None),
        numeric=numeric,
        pad_side=padding.get("side", ("left" if numeric else "right") if fixed else ""),
        pad_character=padding.get("character", "0" if numeric and fixed else " "),
        read=read,
        write=write,
        allowed=allowed,
    )


def _converter(kind: str, form: str | None) -> tuple[Callable[[str], Value], Callable[[Any], str]]:
    if kind == "text":
        return str, str
    if kind == "integer":
        return _read_integer, lambda value: str(int(value))
    if kind == "amount":
        amount = AmountForm.of(form or "0")
        return amount.read, amount.write
    if kind not in {"date", "datetime"}:
        raise BadLayoutError(f"column type {kind!r} is not known to the simulator")
    pattern = _strftime_pattern(form or ("yyyyMMdd" if kind == "date" else "yyyyMMddHHmmss"))

    def read(text: str) -> Value:
        moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - DOKU writes local time without a zone
        if moment.strftime(pattern) != text:
            raise ValueError
        return moment.date() if kind == "date" else moment

    known: dict[str, Value] = {}

    def read_once(text: str) -> Value:
        # A file holds few different dates: parse each once.
        if (value := known.get(text)) is None:
            value = known[text] = read(text)
        return value

    return read_once, lambda value: value.strftime(pattern)


def _read_integer(text: str) -> int:
    if not re.fullmatch("[0-9]+", text):
        raise ValueError
    return int(text)


# --- reading --------------------


@dataclass(frozen=True)
class BatchFile:
    """A batch file as read: facts of header and trailer by source, details as tuples in the order of `fields`."""

    header: dict[str, Value]
    trailer: dict[str, Value]
    fields: tuple[str, ...]
    details: list[tuple[Value, ...]]
    first_line: int


def read_file(layout: Layout, plain: bytes) -> BatchFile:
    """Read a whole plaintext.

    Raises:
        BadFileError: It does not follow the layout, or its own count or total does not tie.
    """
    try:
        text = plain.decode(layout.encoding)
    except UnicodeDecodeError as error:
        raise BadFileError(plain.count(b"\n", 0, error.start) + 1, "", f"is not {layout.encoding}") from None
    lines = text.split(layout.line_end)
    if layout.final_line_end and lines.pop() != "":
        raise BadFileError(len(lines) + 1, "", "the last line does not end: the file was cut off")
    head, tail = bool(layout.header), bool(layout.trailer)
    if len(lines) < head + tail:
        raise BadFileError(len(lines), "", "the header or the trailer is missing")
    header = _facts(layout, layout.header, lines[0], 1) if head else {}
    trailer = _facts(layout, layout.trailer, lines[-1], len(lines)) if tail else {}
    first = head + 1
    reader = _line_reader(layout, layout.detail)
    details = [reader(line, number) for number, line in enumerate(lines[head : len(lines) - tail], first)]
    fields = tuple(column.source for column in layout.detail if column.source)
    batch = BatchFile(header, trailer, fields, details, first)
    _check_totals(batch, len(lines))
    return batch


def _check_totals(batch: BatchFile, last_line: int) -> None:
    amounts = [index for index, source in enumerate(batch.fields) if source in {"attempt.amount", "line.amount"}]
    total = sum(row[index] or 0 for row in batch.details for index in amounts)  # type: ignore[misc]
    for facts, line in ((batch.header, 1), (batch.trailer, last_line)):
        if facts.get("file.count", len(batch.details)) != len(batch.details):
            raise BadFileError(line, "count", f"says {facts['file.count']} lines, the file has {len(batch.details)}")
        if facts.get("file.total", total) != total:
            raise BadFileError(line, "total", f"says {facts['file.total']}, the lines add up to {total}")


def _facts(layout: Layout, columns: tuple[Column, ...], line: str, number: int) -> dict[str, Value]:
    values = _line_reader(layout, columns)(line, number)
    return dict(zip((column.source for column in columns if column.source), values, strict=True))  # type: ignore[arg-type]


def _line_reader(layout: Layout, columns: tuple[Column, ...]) -> Callable[[str, int], tuple[Value, ...]]:
    split = _fixed_splitter(columns) if layout.fixed else _delimited_splitter(layout.delimiter, columns)
    readers = [_cell_reader(column, layout.fixed) for column in columns]
    carries = [column.source is not None for column in columns]
    # A tab may be the delimiter.
    delimiter = "" if layout.fixed else re.escape(layout.delimiter)
    control = re.compile(rf"(?!{delimiter})[\x00-\x1f\x7f-\x9f]") if delimiter else _CONTROL

    def read(line: str, number: int) -> tuple[Value, ...]:
        if control.search(line):
            raise BadFileError(number, "", "holds a control character")
        cells = split(line, number)
        index = 0
        try:
            values = []
            for index, cell in enumerate(cells):
                value = readers[index](cell)
                if carries[index]:
                    values.append(value)
        except ValueError as error:
            reason = str(error) or "cannot be read as its type"
            raise BadFileError(number, columns[index].name, reason) from None
        return tuple(values)

    return read


def _delimited_splitter(delimiter: str, columns: tuple[Column, ...]) -> Callable[[str, int], list[str]]:
    def split(line: str, number: int) -> list[str]:
        cells = line.split(delimiter)
        if len(cells) != len(columns):
            raise BadFileError(number, "", f"has {len(cells)} columns instead of {len(columns)}")
        return cells

    return split


def _fixed_splitter(columns: tuple[Column, ...]) -> Callable[[str, int], list[str]]:
    slices = [slice(column.start, column.start + (column.length or 0)) for column in columns]
    width = max(part.stop for part in slices) if slices else 0

    def split(line: str, number: int) -> list[str]:
        if len(line) != width:
            raise BadFileError(number, "", f"is {len(line)} characters wide instead of {width}")
        return [line[part] for part in slices]

    return split


def _cell_reader(column: Column, fixed: bool) -> Callable[[str], Value]:
    convert, allowed, constant, required = column.read, column.allowed, column.value, column.required
    longest = column.length if column.length is not None and not fixed else None
    strip = _stripper(column)
    expected = None if constant is None else strip(constant)

    def read(cell: str) -> Value:
        if longest is not None and len(cell) > longest:
            raise ValueError(f"is longer than {longest} characters")
        cell = strip(cell)
        if expected is not None:
            if cell != expected:
                raise ValueError("is not the constant of the layout")
        elif not cell:
            if required:
                raise ValueError("is empty")
            return None
        elif allowed is not None and not allowed.fullmatch(cell):
            raise ValueError("holds a character that the layout does not allow")
        return convert(cell)

    return read


def _stripper(column: Column) -> Callable[[str], str]:
    character = column.pad_character
    if column.pad_side == "right":
        return lambda cell: cell.rstrip(character)
    # Zeros in front of a number are part of it.
    if column.pad_side == "left" and not (column.numeric and character == "0"):
        return lambda cell: cell.lstrip(character)
    return lambda cell: cell


# --- writing --------------------


def write_line(layout: Layout, columns: tuple[Column, ...], facts: Mapping[str, Value]) -> str:
    """One line without its end. A value longer than its column is cut, as gateways do with long messages."""
    cells = []
    for column in columns:
        value = facts.get(column.source) if column.source else None
        text = column.value if column.value is not None else "" if value is None or value == "" else column.write(value)
        text = _CONTROL.sub(" ", text)
        if not layout.fixed:
            text = text.replace(layout.delimiter, " ")
        if column.length is not None and len(text) > column.length:
            text = text[: column.length]
        if column.pad_side and column.length is not None:
            fill = text.rjust if column.pad_side == "left" else text.ljust
            text = fill(column.length, column.pad_character)
        cells.append(text)
    return "".join(cells) if layout.fixed else layout.delimiter.join(cells)


def write_file(
    layout: Layout, header: Mapping[str, Value], details: list[dict[str, Value]], trailer: Mapping[str, Value]
) -> bytes:
    """A whole plaintext."""
    lines = [write_line(layout, layout.header, header)] if layout.header else []
    lines += [write_line(layout, layout.detail, facts) for facts in details]
    lines += [write_line(layout, layout.trailer, trailer)] if layout.trailer else []
    text = layout.line_end.join(lines) + (layout.line_end if layout.final_line_end and lines else "")
    return text.encode(layout.encoding, errors="replace")
