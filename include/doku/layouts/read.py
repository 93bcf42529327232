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

from include.doku.layouts.columns import ColumnProblem, first_true, read_column, same
from include.doku.layouts.cut import LineProblem, check_bytes, cut_block, cut_line
from include.doku.layouts.lines import line_blocks
from include.domain.errors import FileRefused
from include.domain.money import CURRENCY_EXPONENT
from include.schemas.layout_sources import IGNORED

if TYPE_CHECKING:
    from include.schemas.layout import Layout
    from include.schemas.layout_columns import SectionName
    from include.schemas.layout_slots import Slot

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

    def _check_bytes(self, block: bytes) -> None:
        try:
            check_bytes(self._layout.file, block)
        except LineProblem as problem:
            raise self._refused(self._line_no + problem.row + 1, None, problem.reason) from None

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
        try:
            return cut_line(self._layout.file, self._slots[section], text)
        except LineProblem as problem:
            raise self._refused(self._line_no, None, f"is not a {section}: {problem.reason}") from None

    def _check_fact(self, slot: "Slot", value: Any) -> None:
        if slot.source == "file.name" and value is not None and value != self.name:
            raise self._refused(self._line_no, slot.name, "names another file than this one")
        if slot.source == "batch.currency" and value != self.currency:
            raise self._refused(self._line_no, slot.name, f"is not the currency {self.currency}")

    # --- detail lines ---

    def _details(self, block: bytes) -> "pd.DataFrame":
        lines = block.count(b"\n")
        slots = self._slots["detail"]
        try:
            raw = cut_block(self._layout.file, slots, block)
        except LineProblem as problem:
            self._explain(block, problem.row)
            raise self._refused(self._line_no + problem.row + 1, None, problem.reason) from None
        fields: dict[str, Any] = {"line_no": pa.array(np.arange(self._line_no + 1, self._line_no + lines + 1))}
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
