"""The bytes of a report (or a batch file) to frames: all of it as the layout says, or a refusal that names the place.

Nothing is repaired. A file that is taken in has every line, column, constant, count and total as its layout has them,
so a cut or altered file, which the envelope cannot show, is found here.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253  (this module makes frames; no DAG file imports it)
import pandas as pd  # noqa: TID253
import pyarrow as pa  # noqa: TID253
import pyarrow.compute as pc  # noqa: TID253
import pyarrow.csv as pa_csv  # noqa: TID253

from include.doku.layouts.columns import ColumnProblem, first_true, read_column, same
from include.doku.layouts.lines import line_blocks
from include.domain.errors import FileRefused
from include.domain.money import CURRENCY_EXPONENT
from include.schemas.layout_sources import IGNORED

if TYPE_CHECKING:
    from include.schemas.layout import Layout
    from include.schemas.layout_columns import SectionName
    from include.schemas.layout_slots import Slot

_CONTROLS = frozenset(range(0x20)) | {0x7F}
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()
_FREE_SOURCES = ("attempt.", "line.")
_BLOCK_BYTES = 1 << 28
"""Most bytes of a block of lines, were every line as long as the layout allows."""


class FileReader:
    """Reads one file by its layout.

    Attributes:
        name: The file's name.
        currency: ISO 4217: of the lines where they say it, else the one given.
        header: The header's facts by their names without owner (`count`, `batch_name`, ...), once it is read.
        trailer: The trailer's, at the end.
        constants: Facts of `batch.` that stand on the detail lines, the same on each.
        count: Detail lines so far; all of them at the end.
        total: Sum of their amounts, in smallest units.
    """

    def __init__(self, layout: "Layout", name: str, currency: str = "IDR") -> None:
        self.name, self.currency = name, currency
        self.header: dict[str, Any] = {}
        self.trailer: dict[str, Any] = {}
        self.constants: dict[str, Any] = {}
        self.count = self.total = 0
        self._layout = layout
        self._slots = layout.slots
        self._line_end = layout.file.line_end.encode("ascii")
        self._line_no = 0
        self._header_line: bytes | None = None
        tab = b"\t" if layout.file.delimiter == "\t" else b""
        self._controls = bytes(sorted(_CONTROLS - set(self._line_end + tab)))

    def frames(self, chunks: Iterable[bytes], rows: int = 50_000) -> "Iterator[pd.DataFrame]":
        """Read the file once.

        Args:
            chunks: The plaintext, in pieces of any size.
            rows: Rows of a frame at most.

        Yields:
            Frames (n x fields) with Arrow-backed columns: `line_no` (int64, the line of the file, from 1), then the
            layout's fields in its order: text as string, amount as int64 smallest units, dates as date32,
            `charged_at` as timestamp without a zone (as DOKU wrote it); empty is null. `attempt.line_no` is called
            `attempt_line_no`. Only after the last frame is it known that the file is whole: counts, totals and
            trailer are checked then.

        Raises:
            FileRefused: With line, column and reason; nothing of the file may be taken in.
        """
        pending: bytes | None = None
        longest = self._layout.longest_line
        rows = max(1, min(rows, _BLOCK_BYTES // longest))
        for block in line_blocks(chunks, name=self.name, rows=rows, longest=longest):
            if pending is not None:
                yield from self._take(pending)
            pending = block
        yield from self._last(self._finished(pending))
        self._check_sums()

    # --- the parts of the file ---

    def _take(self, block: bytes) -> "Iterator[pd.DataFrame]":
        """A block of whole lines, with more to come after it."""
        self._check_bytes(block)
        if self._line_no == 0 and self._layout.header:
            line, block = self._first_line(block)
            self.header = self._single("header", line)
            self._header_line = line
        if block:
            yield self._details(block)

    def _last(self, block: bytes) -> "Iterator[pd.DataFrame]":
        """The last block: the trailer is its last line."""
        if not self._layout.trailer:
            yield from self._take(block)
            return
        cut = block.rfind(b"\n", 0, -1) + 1
        body, line = block[:cut], block[cut:]
        if self._layout.header and self._line_no == 0 and not body:
            raise self._refused(None, None, "has one line, so the header or the trailer is missing")
        if body:
            yield from self._take(body)
        self._check_bytes(line)
        self.trailer = self._single("trailer", line.removesuffix(self._line_end))

    def _finished(self, block: bytes | None) -> bytes:
        """The last block with the line end that the layout may leave out."""
        if not block:
            raise self._refused(None, None, "the file is empty")
        if block.endswith(b"\n") == self._layout.file.final_line_end:
            return block if self._layout.file.final_line_end else block + self._line_end
        line = self._line_no + block.count(b"\n") + (0 if block.endswith(b"\n") else 1)
        if self._layout.file.final_line_end:
            raise self._refused(line, None, "has no line end, so the file is cut; fetch it again")
        raise self._refused(line, None, "ends with a line end, which the layout's last line has not")

    def _first_line(self, block: bytes) -> tuple[bytes, bytes]:
        cut = block.index(b"\n") + 1
        return block[:cut].removesuffix(self._line_end), block[cut:]

    # --- checks of bytes ---

    def _check_bytes(self, block: bytes) -> None:
        """Line ends as the layout has them, no control character, nothing outside the encoding."""
        ends = block.count(b"\n")
        if self._line_end == b"\r\n" and not block.count(b"\r\n") == block.count(b"\r") == ends:
            self._refuse_line(block, lambda line: line.count(b"\r") != 1 or not line.endswith(b"\r"), _LINE_END)
        if block.startswith(self._line_end) or self._line_end * 2 in block:
            self._refuse_line(block, lambda line: line in {b"", b"\r"}, "is empty")
        if len(block.translate(None, self._controls)) != len(block):
            self._refuse_line(block, self._has_control, "has a control character")
        if self._layout.file.encoding == "ascii" and not block.isascii():
            self._refuse_line(block, lambda line: not line.isascii(), "is not ASCII")
        if self._layout.file.encoding == "utf-8":
            if _BYTE_ORDER_MARK in block:
                self._refuse_line(block, lambda line: _BYTE_ORDER_MARK in line, "has a byte order mark")
            if not _is_utf8(block):
                self._refuse_line(block, lambda line: not _is_utf8(line), "is not UTF-8")

    def _has_control(self, line: bytes) -> bool:
        line = line.removesuffix(b"\r") if self._line_end == b"\r\n" else line
        return len(line.translate(None, self._controls)) != len(line)

    def _refuse_line(self, block: bytes, bad: Any, reason: str) -> None:
        lines = block.removesuffix(b"\n").split(b"\n")
        found = next((number for number, line in enumerate(lines) if bad(line)), 0)
        raise self._refused(self._line_no + found + 1, None, reason)

    def _refused(self, line: int | None, column: str | None, reason: str) -> FileRefused:
        return FileRefused(self.name, line, column, reason)

    # --- header and trailer ---

    def _single(self, section: "SectionName", line: bytes) -> dict[str, Any]:
        """Read a header or a trailer."""
        self._line_no += 1
        text = line.decode(self._layout.file.encoding)
        slots = self._slots[section]
        facts: dict[str, Any] = {}
        for slot, raw in zip(slots, self._split(text, section), strict=True):
            try:
                value = read_column(slot, pa.array([raw], pa.string()), CURRENCY_EXPONENT[self.currency])[0].as_py()
            except ColumnProblem as problem:
                raise self._refused(self._line_no, slot.name, f"of the {section} {problem.reason}") from None
            if slot.constant is None and slot.source != IGNORED:
                known = facts.setdefault(slot.field, {**self.constants, **self.header}.get(slot.field, value))
                if known != value:
                    raise self._refused(
                        self._line_no, slot.name, f"of the {section} contradicts what the file said before"
                    )
                self._check_fact(slot, value)
        return facts

    def _split(self, text: str, section: "SectionName") -> list[str]:
        slots = self._slots[section]
        if self._layout.file.format == "fixed":
            width = sum(slot.width for slot in slots)
            if len(text) != width:
                raise self._refused(
                    self._line_no, None, f"is not a {section}: {len(text)} characters instead of {width}"
                )
            return [text[slot.position : slot.position + slot.width] for slot in slots]
        parts = text.split(self._layout.file.delimiter or "")
        if len(parts) != len(slots):
            raise self._refused(
                self._line_no, None, f"is not a {section}: {len(parts)} columns instead of {len(slots)}"
            )
        return parts

    def _check_fact(self, slot: "Slot", value: Any) -> None:
        if slot.source == "file.name" and value is not None and value != self.name:
            raise self._refused(self._line_no, slot.name, "names another file than this one")
        if slot.source == "batch.currency" and value != self.currency:
            raise self._refused(self._line_no, slot.name, f"is not the currency {self.currency}")

    # --- detail lines ---

    def _details(self, block: bytes) -> "pd.DataFrame":
        lines = block.count(b"\n")
        raw = (
            self._fixed_columns(block, lines) if self._layout.file.format == "fixed" else self._delimited(block, lines)
        )
        fields: dict[str, Any] = {"line_no": pa.array(np.arange(self._line_no + 1, self._line_no + lines + 1))}
        slots = self._slots["detail"]
        # The currency first: it decides how amounts are read.
        for slot in sorted(slots, key=lambda slot: slot.field != "currency"):
            try:
                self._field(slot, raw[slot.name], fields)
            except ColumnProblem as problem:
                self._explain(block, problem.row)
                raise self._refused(self._line_no + problem.row + 1, slot.name, problem.reason) from None
        self._line_no += lines
        self.count += lines
        self.total += _sum(fields["amount"])
        ordered = ["line_no", *dict.fromkeys(_key(slot) for slot in slots if slot.source.startswith(_FREE_SOURCES))]
        frame: pd.DataFrame = pa.table({key: fields[key] for key in ordered}).to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def _field(self, slot: "Slot", raw: Any, fields: dict[str, Any]) -> None:
        values = read_column(slot, raw, CURRENCY_EXPONENT[self.currency])
        if slot.constant is not None or slot.source == IGNORED:
            return
        if slot.source.startswith("batch."):
            self._constant(slot, values)
            return
        if slot.field == "currency":
            self._check_currency(values)
        known = fields.setdefault(_key(slot), values)
        if known is not values:
            _refuse_difference(known, values, "contradicts another column of the line")

    def _constant(self, slot: "Slot", values: Any) -> None:
        value = self.constants.setdefault(slot.field, self.header.get(slot.field, values[0].as_py()))
        _refuse_difference(
            pa.repeat(pa.scalar(value, values.type), len(values)), values, "is not the same on every line"
        )
        if slot.source == "batch.currency" and value != self.currency:
            raise ColumnProblem(0, f"is not the currency {self.currency}")

    def _check_currency(self, values: Any) -> None:
        first = values[0].as_py()
        # Another currency of the same exponent: the header's total was read rightly.
        if self.count == 0 and CURRENCY_EXPONENT.get(first) == CURRENCY_EXPONENT[self.currency]:
            self.currency = first
        other = first_true(pc.fill_null(pc.not_equal(values, self.currency), False))
        if other is not None:
            raise ColumnProblem(other, f"is not the currency {self.currency}")

    def _explain(self, block: bytes, row: int) -> None:
        """Raise a clearer refusal where the bad line is a header or a trailer that should not stand there."""
        line = block.split(b"\n", row + 1)[row].removesuffix(b"\r")
        number = self._line_no + row + 1
        if line == self._header_line:
            raise self._refused(number, None, "is the header again; the file is two files, or written twice")
        if self._layout.trailer and self._is_trailer(line):
            raise self._refused(
                number, None, "is a trailer, but more lines follow; the file is two files, or was added to"
            )

    def _is_trailer(self, line: bytes) -> bool:
        probe = FileReader(self._layout, self.name, self.currency)
        try:
            probe._single("trailer", line)
        except FileRefused:
            return False
        return True

    def _delimited(self, block: bytes, lines: int) -> dict[str, Any]:
        names = [slot.name for slot in self._slots["detail"]]
        data = block if self._layout.file.encoding != "latin-1" else block.decode("latin-1").encode("utf-8")
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(data),
                read_options=pa_csv.ReadOptions(column_names=names, block_size=max(1 << 20, len(data) // 4 + 1)),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self._layout.file.delimiter,
                    quote_char=False,
                    double_quote=False,
                    escape_char=False,
                    newlines_in_values=False,
                    ignore_empty_lines=False,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
                ),
            )
        except pa.ArrowInvalid:
            table = None
        if table is None or table.num_rows != lines:
            self._refuse_columns(block, len(names))
        return {name: _one_piece(table[name]) for name in names}

    def _refuse_columns(self, block: bytes, wanted: int) -> None:
        delimiter = (self._layout.file.delimiter or "").encode("ascii")
        for row, line in enumerate(block.removesuffix(b"\n").split(b"\n")):
            found = line.count(delimiter) + 1
            if found != wanted:
                self._explain(block, row)
                raise self._refused(self._line_no + row + 1, None, f"has {found} columns instead of {wanted}")
        raise self._refused(self._line_no + 1, None, "begins a part of the file that cannot be cut into columns")

    def _fixed_columns(self, block: bytes, lines: int) -> dict[str, Any]:
        slots = self._slots["detail"]
        width = sum(slot.width for slot in slots)
        stride = width + len(self._line_end)
        if len(block) != lines * stride or block[width::stride] != self._line_end[:1] * lines:
            self._refuse_width(block, width)
        if block.isascii():
            text, cut = pa.Array.from_buffers(pa.binary(stride), lines, [None, pa.py_buffer(block)]), pc.binary_slice
        else:
            text, cut = pa.array(block.decode("latin-1").split("\n")[:lines], pa.string()), pc.utf8_slice_codeunits
        return {
            slot.name: pc.cast(pc.cast(cut(text, slot.position, slot.position + slot.width), pa.binary()), pa.string())
            for slot in slots
        }

    def _refuse_width(self, block: bytes, width: int) -> None:
        for row, line in enumerate(block.removesuffix(b"\n").split(b"\n")):
            length = len(line) + 1 - len(self._line_end)
            if length != width:
                self._explain(block, row)
                raise self._refused(self._line_no + row + 1, None, f"has {length} characters instead of {width}")

    # --- the end ---

    def _check_sums(self) -> None:
        for section, facts in (("header", self.header), ("trailer", self.trailer)):
            line = 1 if section == "header" else self._line_no
            for field, found in (("count", self.count), ("total", self.total)):
                said = facts.get(field)
                if said is not None and said != found:
                    raise self._refused(
                        line,
                        self._column_of(section, field),
                        f"of the {section} says {said}, and the lines give {found}",
                    )
            success, failed = facts.get("success_count"), facts.get("failed_count")
            if success is not None and failed is not None and success + failed != self.count:
                raise self._refused(line, None, f"of the {section}: success and failed are not {self.count} together")

    def _column_of(self, section: str, field: str) -> str:
        slots = self._slots["header" if section == "header" else "trailer"]
        return next(slot.name for slot in slots if slot.source == f"file.{field}")


_LINE_END = "does not end as the layout says (carriage return and line feed)"


def _key(slot: "Slot") -> str:
    """The frame's column of a field."""
    return "attempt_line_no" if slot.source == "attempt.line_no" else slot.field


def _refuse_difference(first: Any, second: Any, reason: str) -> None:
    row = first_true(pc.invert(same(first, second)))
    if row is not None:
        raise ColumnProblem(row, reason)


def _sum(amounts: Any) -> int:
    # Wider than 64 bits, so that no sum of a block can run over.
    return int(pc.sum(pc.cast(amounts, pa.decimal128(38, 0))).as_py() or 0)


def _one_piece(column: Any) -> Any:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(column.chunks)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
