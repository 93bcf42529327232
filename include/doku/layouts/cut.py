"""Blocks of lines to the raw text of their columns, after a look at every byte."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa  # noqa: TID253  (this module is about columns; no DAG file imports it)
import pyarrow.compute as pc  # noqa: TID253
import pyarrow.csv as pa_csv  # noqa: TID253

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.schemas.layout_columns import FileForm
    from include.schemas.layout_slots import Slot

_CONTROLS: Final = frozenset(range(0x20)) | {0x7F}
_BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()
_PARSE_BYTES: Final = 1 << 20


class LineProblem(Exception):
    """A line of a block cannot be what the layout says.

    Attributes:
        row: 0-based line of the block.
        reason: What is wrong, without anything of the line.
    """

    def __init__(self, row: int, reason: str) -> None:
        self.row, self.reason = row, reason
        super().__init__(row, reason)


def check_bytes(form: "FileForm", block: bytes) -> None:
    """Check whole lines: ends as the layout has them, none empty, no control character, nothing but the encoding.

    Raises:
        LineProblem: The first line that breaks the first of these rules.
    """
    end = form.line_end.encode("ascii")
    if end == b"\r\n" and not block.count(b"\r\n") == block.count(b"\r") == block.count(b"\n"):
        reason = "does not end as the layout says (carriage return and line feed)"
        _refuse(block, lambda line: line.count(b"\r") != 1 or not line.endswith(b"\r"), reason)
    if block.startswith(end) or end * 2 in block:
        _refuse(block, lambda line: line in {b"", b"\r"}, "is empty")
    controls = bytes(sorted(_CONTROLS - set(end) - set(form.delimiter.encode("utf-8") if form.delimiter else b"")))
    if len(block.translate(None, controls)) != len(block):
        _refuse(block, lambda line: len(line.translate(None, controls)) != len(line), "has a control character")
    if form.encoding == "ascii" and not block.isascii():
        _refuse(block, lambda line: not line.isascii(), "is not ASCII")
    if form.encoding == "utf-8":
        if _BYTE_ORDER_MARK in block:
            _refuse(block, lambda line: _BYTE_ORDER_MARK in line, "has a byte order mark")
        if not _is_utf8(block):
            _refuse(block, lambda line: not _is_utf8(line), "is not UTF-8")


def cut_line(form: "FileForm", slots: "Sequence[Slot]", line: str) -> list[str]:
    """Cut one line, without its end, into the text of its columns. LineProblem: too many or too few."""
    if form.format == "fixed":
        width = _width(slots)
        if len(line) != width:
            raise LineProblem(0, f"has {len(line)} characters instead of {width}")
        return [line[slot.position : slot.position + slot.width] for slot in slots]
    parts = line.split(form.delimiter or "")
    if len(parts) != len(slots):
        raise LineProblem(0, f"has {len(parts)} columns instead of {len(slots)}")
    return parts


def cut_block(form: "FileForm", slots: "Sequence[Slot]", block: bytes) -> dict[str, Any]:
    """Cut a block of checked lines into columns.

    Returns:
        For each column's name, an Arrow string array (lines) of what stands there.

    Raises:
        LineProblem: A line has too many or too few columns or characters.
    """
    return (_cut_fixed if form.format == "fixed" else _cut_delimited)(form, slots, block)


def lines_of(block: bytes) -> "Iterator[bytes]":
    """The lines of a block without their line feeds, one at a time: only for saying what is wrong."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        yield block[start:end]
        start = end + 1


def _cut_delimited(form: "FileForm", slots: "Sequence[Slot]", block: bytes) -> dict[str, Any]:
    names = [slot.name for slot in slots]
    data = block if form.encoding != "latin-1" else block.decode("latin-1").encode("utf-8")
    table = _parsed(form, names, data)
    if table is not None and table.num_rows == block.count(b"\n"):
        return {name: _one_piece(table[name]) for name in names}
    delimiter = (form.delimiter or "").encode("ascii")
    for row, line in enumerate(lines_of(block)):
        found = line.count(delimiter) + 1
        if found != len(names):
            raise LineProblem(row, f"has {found} columns instead of {len(names)}")
    raise LineProblem(0, "begins a part of the file that cannot be cut into columns")


def _parsed(form: "FileForm", names: list[str], data: bytes) -> Any:
    """The lines as a table of text, or None. Arrow's own error quotes the line: nothing may be chained to it."""
    try:
        return pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=names, block_size=max(_PARSE_BYTES, len(data) // 4 + 1)),
            parse_options=pa_csv.ParseOptions(
                delimiter=form.delimiter,
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
        return None


def _cut_fixed(form: "FileForm", slots: "Sequence[Slot]", block: bytes) -> dict[str, Any]:
    width, end, lines = _width(slots), len(form.line_end), block.count(b"\n")
    stride = width + end
    if len(block) != lines * stride or block[stride - 1 :: stride] != b"\n" * lines:
        for row, line in enumerate(lines_of(block)):
            if len(line) + 1 != stride:
                raise LineProblem(row, f"has {len(line) + 1 - end} characters instead of {width}")
    if block.isascii():
        text, cut = pa.Array.from_buffers(pa.binary(stride), lines, [None, pa.py_buffer(block)]), pc.binary_slice
    else:
        text, cut = pa.array(block.decode("latin-1").split("\n")[:lines], pa.string()), pc.utf8_slice_codeunits
    pieces = {slot.name: cut(text, slot.position, slot.position + slot.width) for slot in slots}
    return {name: pc.cast(pc.cast(piece, pa.binary()), pa.string()) for name, piece in pieces.items()}


def _width(slots: "Sequence[Slot]") -> int:
    return sum(slot.width for slot in slots)


def _refuse(block: bytes, bad: Callable[[bytes], bool], reason: str) -> None:
    raise LineProblem(next((row for row, line in enumerate(lines_of(block)) if bad(line)), 0), reason)


def _one_piece(column: Any) -> Any:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(column.chunks)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
