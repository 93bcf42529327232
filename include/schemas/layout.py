"""Layouts as data: which columns a batch file or a report has, and how each is written.

Order, delimiter, names, date and amount forms of DOKU's files are not published. Certain are only a column "Execute
Date" and a token per row of the batch file [BU]; a summary header, one row per transaction, response code, approval
code, masked card and bank in the report [SFTP]. So all of it is a TOML file, and changing it changes no code.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from include.domain.character_sets import CharacterSet
from include.domain.errors import LayoutError
from include.domain.invoice_numbers import LENGTH as INVOICE_LENGTH
from include.domain.money import CURRENCY_EXPONENT
from include.schemas.layout_columns import Column, FileForm, Section, SectionName
from include.schemas.layout_slots import Slot, slot_of
from include.schemas.layout_sources import REQUIRED_SOURCES, ColumnType, Kind
from include.schemas.strict import StrictModel, read_text

SECTIONS: Final[tuple[SectionName, ...]] = ("header", "detail", "trailer")


@dataclass(frozen=True)
class FieldRule:
    """What a layout allows in one field, for those who validate before anything is written.

    Attributes:
        type: text, integer, amount, date or datetime.
        max_length: Most characters of a text; of other types, the column's width.
        allowed: Regular expression class of one allowed character (`[0-9A-Z]`), for Python and RE2; only for text.
        required: Whether it may not be empty.
        forbidden: Characters that may not occur whatever the class says: the delimiter.
        not_first: Characters that a text may not begin with: they would be read back as padding. "" for none.
        not_last: The same for the end.
    """

    type: ColumnType
    max_length: int
    allowed: str
    required: bool
    forbidden: frozenset[str]
    not_first: str = ""
    not_last: str = ""


class Layout(StrictModel):
    """The layout of a batch file, a report or a registration file.

    `parse_layout` and `load_layout` make it and check that it makes sense.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$")] = Field(description="The file's own name")
    kind: Kind
    assumed: bool = Field(
        default=True, description="True: DOKU has not confirmed it; the onboarding checklist lists it"
    )
    description: str = ""
    file: FileForm
    header: Section | None = Field(default=None, description="The first line, if there is one")
    detail: Section
    trailer: Section | None = Field(default=None, description="The last line, if there is one")
    text: str = Field(default="", repr=False, exclude=True, description="The exact TOML text; never a key of the file")

    @property
    def digest(self) -> str:
        """SHA-256 of the text's UTF-8 bytes, hex: what the ledger knows the layout by."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()

    @cached_property
    def slots(self) -> Mapping[SectionName, tuple[Slot, ...]]:
        """The columns of each section, worked out; a section that the layout has not is missing."""
        return {name: tuple(_slots(self, name)) for name in SECTIONS if getattr(self, name) is not None}

    @property
    def longest_line(self) -> int:
        """Bytes of the longest line that can follow the layout, line end included."""
        most = 4 if self.file.encoding == "utf-8" else 1
        return max(sum(slot.width + 1 for slot in slots) for slots in self.slots.values()) * most + 2

    def rules(self) -> dict[str, FieldRule]:
        """What each field of a detail line must be, by its name without owner (`invoice_number`).

        A field that stands in two columns must suit both.
        """
        forbidden = frozenset(self.file.delimiter or "")
        fields: dict[str, list[Slot]] = {}
        for slot in self.slots["detail"]:
            if slot.source.startswith(("attempt.", "line.", "bill.")):
                fields.setdefault(slot.field, []).append(slot)
        return {field: _rule_of(slots, forbidden) for field, slots in fields.items()}

    def largest_amount(self, currency: str) -> int:
        """The largest amount of one line, in smallest units, that the layout can write. KeyError: unknown currency."""
        exponent = CURRENCY_EXPONENT[currency]
        return min(
            slot.amount.largest(slot.width, exponent)
            for slot in self.slots["detail"]
            if slot.amount and slot.field == "amount"
        )

    def largest_total(self, currency: str) -> int | None:
        """The largest total that the header and the trailer can write, in smallest units; None: they have none."""
        exponent = CURRENCY_EXPONENT[currency]
        totals = [
            slot.amount.largest(slot.width, exponent)
            for section in ("header", "trailer")
            for slot in self.slots.get(section, ())
            if slot.amount and slot.source == "file.total"
        ]
        return min(totals, default=None)


def parse_layout(text: str, origin: str) -> Layout:
    """Read and check a layout.

    Args:
        text: The TOML text; kept exactly in `Layout.text`.
        origin: The file's name, or what else to call it in an error.

    Raises:
        LayoutError: With file, key and reason: unknown key or type, a column without a source, overlapping columns, a
            missing required source, a format that the delimiter breaks, ...
    """
    layout = Layout.from_toml(text, origin, LayoutError)
    if layout.text:
        raise LayoutError(origin, "text", "unknown key; check its spelling and its table")
    layout = layout.model_copy(update={"text": text})
    try:
        _check_form(layout)
        for section in layout.slots:
            _check_names(layout, section)
        _check_sources(layout)
        _check_invoice_number(layout)
    except _KeyedError as problem:
        raise LayoutError(origin, problem.key, problem.reason) from None
    return layout


def load_layout(path: Path) -> Layout:
    """Read and check a layout file. LayoutError as `parse_layout`, or when `name` is not the file's own name."""
    layout = parse_layout(read_text(path, LayoutError), str(path))
    if layout.name != path.stem:
        raise LayoutError(str(path), "name", f"is {layout.name!r}, but the file is called {path.name}; make them equal")
    return layout


# --- checks ---


class _KeyedError(Exception):
    """Something that makes no sense, by its key; becomes a LayoutError with the file's name."""

    def __init__(self, key: str, reason: str) -> None:
        self.key, self.reason = key, reason
        super().__init__(key, reason)


def _check_form(layout: Layout) -> None:
    form = layout.file
    if form.format == "fixed":
        if form.delimiter is not None:
            raise _KeyedError("file.delimiter", "a fixed-width layout has no delimiter; remove the key")
        if form.encoding == "utf-8":
            raise _KeyedError("file.encoding", "a character of utf-8 has no fixed width; use ascii or latin-1")
        return
    if form.delimiter is None:
        raise _KeyedError("file.delimiter", "missing: a delimited layout needs a delimiter, one character")
    if form.delimiter != "\t" and (form.delimiter.isalnum() or form.delimiter not in CharacterSet(((0x21, 0x7E),))):
        raise _KeyedError(
            "file.delimiter", "must be a tab or a printable ASCII character that is no letter, digit or space"
        )


def _check_names(layout: Layout, section: SectionName) -> None:
    names = [slot.name for slot in layout.slots[section]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise _KeyedError(f"{section}.columns.{twice}", "two columns have this name; rename one")


def _check_sources(layout: Layout) -> None:
    where = {
        name: {slot.source for slot in slots if slot.required}
        for name, slots in layout.slots.items()
        if name != "trailer"
    }
    for alternatives, sections in REQUIRED_SOURCES[layout.kind]:
        if not any(set(alternatives) & where.get(section, set()) for section in sections):
            places = " or ".join(sections)
            raise _KeyedError(
                f"{places}.columns", f"no required column has the source {' or '.join(alternatives)}; add one"
            )


def _check_invoice_number(layout: Layout) -> None:
    """Refuse a column that no report line could be matched by: too short, or cutting off a digit as padding."""
    for slot in layout.slots["detail"]:
        if slot.field != "invoice_number":
            continue
        key = f"detail.columns.{slot.name}"
        if slot.longest < INVOICE_LENGTH:
            raise _KeyedError(key, f"length = {slot.width} is too short: our invoice numbers have {INVOICE_LENGTH}")
        if not CharacterSet.parse("upper-alphanumeric", "ascii") <= slot.charset:
            raise _KeyedError(key, "charset lacks capital letters or digits, which our invoice numbers are made of")
        if slot.pad.isalnum():
            raise _KeyedError(key, "padding.character could be part of an invoice number; pad with a space")


def _slots(layout: Layout, section: SectionName) -> list[Slot]:
    slots: list[Slot] = []
    position = 0
    columns: tuple[Column, ...] = getattr(layout, section).columns
    for column in columns:
        try:
            slot = slot_of(layout.file, layout.kind, section, column, position)
        except ValueError as caught:
            raise _KeyedError(f"{section}.columns.{column.name}", str(caught)) from None
        slots.append(slot)
        position += slot.width
    return slots


def _rule_of(slots: list[Slot], forbidden: frozenset[str]) -> FieldRule:
    padded = [slot for slot in slots if slot.type == "text" and slot.pad]
    return FieldRule(
        type=slots[0].type,
        max_length=min(slot.longest for slot in slots),
        allowed=reduce(CharacterSet.__and__, (slot.charset for slot in slots)).pattern,
        required=any(slot.required for slot in slots),
        forbidden=forbidden,
        not_first="".join(sorted({slot.pad for slot in padded if slot.pad_side == "left"})),
        not_last="".join(sorted({slot.pad for slot in padded if slot.pad_side == "right"})),
    )
