"""Frames to the bytes of a file: a pure function, so that the same batch always gives the same bytes."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa  # noqa: TID253  (this module is about columns; no DAG file imports it)
import pyarrow.compute as pc  # noqa: TID253

from include.doku.layouts.columns import ColumnProblem, constant_column, first_true, scalar_array, write_column
from include.doku.layouts.facts import FileFacts
from include.domain.errors import FileRefused
from include.domain.money import CURRENCY_EXPONENT
from include.schemas.layout import Layout
from include.schemas.layout_columns import SectionName
from include.schemas.layout_slots import Slot
from include.schemas.layout_sources import IGNORED

if TYPE_CHECKING:
    import pandas as pd

_SLICE_ROWS: Final = 100_000
_SLICE_BYTES: Final = 1 << 29
"""Rows are rendered so many at a time, and fewer where lines are long: memory, and Arrow's 2 GiB of text per column."""


def render_file(layout: Layout, facts: FileFacts, frames: "Iterable[pd.DataFrame]") -> Iterator[bytes]:
    """Render a batch file (or a report) from rows.

    Args:
        layout: The layout.
        facts: What the file says about itself.
        frames: The rows in the file's order, in frames of any size. Columns are the fields of the layout's sources
            without their owner: line_no, invoice_number, token, ...; amount is int64 in smallest units; dates are
            dates or ISO text; surplus columns are left alone.

    Yields:
        The file's bytes, in pieces.

    Raises:
        FileRefused: With line and column: a value that breaks the layout (too long, a character it may not hold, the
            delimiter, empty where required), a frame without a needed column; or rows that are not as many, or do not
            sum to as much, as the facts say. Then nothing that was yielded may be used.
    """
    renderer = _Renderer(layout, facts)
    line_end = layout.file.line_end.encode("ascii")
    held = b""
    for piece in renderer.pieces(frames):
        if held:
            yield held
        held = piece
    yield held if layout.file.final_line_end else held.removesuffix(line_end)


class _Renderer:
    def __init__(self, layout: Layout, facts: FileFacts) -> None:
        if facts.currency not in CURRENCY_EXPONENT:
            raise FileRefused(facts.name, None, None, f"the currency is none of {', '.join(CURRENCY_EXPONENT)}")
        if layout.kind != "report" and facts.count < 1:
            raise FileRefused(facts.name, None, None, f"a {layout.kind} file without a line is never made")
        self._layout, self._facts = layout, facts
        self._exponent = CURRENCY_EXPONENT[facts.currency]
        self._slice_rows = max(1, min(_SLICE_ROWS, _SLICE_BYTES // layout.longest_line))
        self._line_no = 1 if layout.header else 0
        self._rows = self._total = 0

    def pieces(self, frames: "Iterable[pd.DataFrame]") -> Iterator[bytes]:
        """The file in pieces, each of whole lines with their ends."""
        if self._layout.header:
            yield self._line("header", 1)
        for frame in frames:
            for start in range(0, len(frame), self._slice_rows):
                yield self._details(frame.iloc[start : start + self._slice_rows])
        self._check_sums()
        if self._layout.trailer:
            yield self._line("trailer", self._line_no + 1)

    def _line(self, section: SectionName, line_no: int) -> bytes:
        columns = []
        for slot in self._layout.slots[section]:
            if slot.constant is not None or slot.source == IGNORED:
                columns.append(self._filler(slot, 1))
                continue
            try:
                columns.append(write_column(slot, scalar_array(self._fact(slot), slot), self._exponent))
            except ColumnProblem as problem:
                raise FileRefused(self._facts.name, line_no, slot.name, problem.reason) from None
        return self._bytes(columns)

    def _details(self, frame: "pd.DataFrame") -> bytes:
        rows, columns = len(frame), []
        for slot in self._layout.slots["detail"]:
            try:
                columns.append(self._column(slot, frame, rows))
            except ColumnProblem as problem:
                line = self._line_no + problem.row + 1
                raise FileRefused(self._facts.name, line, slot.name, problem.reason) from None
        self._count(frame, rows)
        self._line_no += rows
        return self._bytes(columns)

    def _column(self, slot: Slot, frame: "pd.DataFrame", rows: int) -> Any:
        if slot.constant is not None or slot.source == IGNORED:
            return self._filler(slot, rows)
        if slot.source.startswith("batch."):
            text = write_column(slot, scalar_array(self._fact(slot), slot), self._exponent)
            return pa.repeat(text[0], rows)
        values = self._values(slot.field, slot.name, frame)
        if slot.field == "currency":
            self._check_currency(values)
        return write_column(slot, values, self._exponent)

    def _values(self, field: str, column: str, frame: "pd.DataFrame") -> Any:
        if field not in frame.columns:
            raise FileRefused(self._facts.name, None, column, f"the rows have no column {field!r}")
        values = _arrow(frame[field])
        if values is None:
            raise FileRefused(self._facts.name, None, column, f"the rows' column {field!r} mixes types")
        return values

    def _check_currency(self, values: Any) -> None:
        other = first_true(pc.fill_null(pc.not_equal(values, self._facts.currency), False))
        if other is not None:
            raise ColumnProblem(other, f"is not the file's currency {self._facts.currency}")

    def _count(self, frame: "pd.DataFrame", rows: int) -> None:
        amounts = self._values("amount", "amount", frame)
        # Wider than 64 bits, so that no sum of a chunk can run over.
        total = pc.sum(pc.cast(amounts, pa.decimal128(38, 0))).as_py()
        self._rows += rows
        self._total += int(total or 0)

    def _check_sums(self) -> None:
        facts = self._facts
        if (self._rows, self._total) != (facts.count, facts.total):
            raise FileRefused(
                facts.name,
                None,
                None,
                f"the rows are {self._rows} and sum to {self._total}, but the file was to have {facts.count} that "
                f"sum to"
                f" {facts.total}; nothing may be sent",
            )

    def _fact(self, slot: Slot) -> Any:
        return getattr(self._facts, slot.field)

    def _filler(self, slot: Slot, rows: int) -> Any:
        if slot.source == IGNORED:
            return write_column(slot, pa.nulls(rows, pa.string()), self._exponent)
        return constant_column(slot, rows)

    def _bytes(self, columns: list[Any]) -> bytes:
        """Lines, each with its end, in the file's encoding."""
        ends = pa.repeat(pa.scalar(self._layout.file.line_end), len(columns[0]))
        fields = (
            columns
            if self._layout.file.format == "fixed"
            else [pc.binary_join_element_wise(*columns, self._layout.file.delimiter)]
        )
        lines = pc.binary_join_element_wise(*fields, ends, "")
        offsets, data = lines.buffers()[1:]
        positions = memoryview(offsets).cast("i")
        text = bytes(memoryview(data)[positions[lines.offset] : positions[lines.offset + len(lines)]])
        return text.decode("utf-8").encode("latin-1") if self._layout.file.encoding == "latin-1" else text


def _arrow(series: "pd.Series[Any]") -> Any:
    """A column as one Arrow array, text with 32-bit offsets; None where it has no one type.

    Arrow's own error quotes the value: nothing may be chained to it.
    """
    try:
        values = pa.array(series, from_pandas=True)
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        return pc.cast(values, pa.string()) if pa.types.is_large_string(values.type) else values
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return None
