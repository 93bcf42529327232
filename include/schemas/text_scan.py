"""Looking at every character of a text column at once.

A column of Arrow strings is one run of bytes and the offsets of its rows. Classifying the bytes through a table and
or-ing them together per row costs a few nanoseconds a byte, whatever the number of rules: a regular expression per rule
and row costs a hundred times that.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np  # noqa: TID253 - this module is about frames
import numpy.typing as npt  # noqa: TID253
import pyarrow as pa  # noqa: TID253

BAD: Final = 1
"""Flag: a character outside the allowed ones that is neither a control character nor forbidden."""

CONTROL: Final = 2
"""Flag: a control character (C0, DEL, C1) or a Unicode line or paragraph separator."""

FORBIDDEN: Final = 4
"""Flag: a character that the file itself needs, such as its delimiter."""

_NOT_ASCII: Final = 8
_REPLACEMENT: Final = "\ufffd"

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """The bytes behind a column of strings.

    Attributes:
        array: The column, one `pa.StringArray`.
        data: UTF-8 bytes of all rows, one after the other.
        offsets: `rows + 1` positions in `data`: row i is `data[offsets[i]:offsets[i + 1]]`.
        present: Which rows are not null.
    """

    array: Any
    data: Bytes
    offsets: Numbers
    present: Mask

    @classmethod
    def of(cls, column: Any) -> Self:
        """Wrap an Arrow array or chunked array of strings; no byte is copied for one contiguous chunk."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.string())
        if array.type != pa.string():
            array = array.cast(pa.string())
        _, offsets_buffer, data_buffer = array.buffers()
        count = len(array)
        if offsets_buffer is None or count == 0:
            return cls(array, np.empty(0, np.uint8), np.zeros(count + 1, np.int64), _present(array))
        offsets = np.frombuffer(offsets_buffer, np.int32)[array.offset : array.offset + count + 1].astype(np.int64)
        whole = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.empty(0, np.uint8)
        return cls(array, whole[offsets[0] : offsets[-1]], offsets - offsets[0], _present(array))

    @property
    def lengths(self) -> Numbers:
        """Bytes of each row; a null row has none."""
        return np.where(self.present, np.diff(self.offsets), 0)

    def classes(self, table: bytes) -> Bytes:
        """One class per byte, through a table of 256."""
        return np.frombuffer(self.data.tobytes().translate(table), np.uint8)

    def flags(self, table: bytes) -> Bytes:
        """The classes of each row's bytes, or-ed; 0 for a null or empty row."""
        rows: Bytes = np.zeros(len(self.array), np.uint8)
        classes = self.classes(table)
        if not classes.any():
            return rows
        filled = np.diff(self.offsets) > 0
        rows[filled] = np.bitwise_or.reduceat(classes, self.offsets[:-1][filled])
        rows[~self.present] = 0
        return rows

    def begins_with(self, characters: str) -> Mask:
        """Rows whose first character is one of the given ASCII characters."""
        return self._byte_at(self.offsets[:-1], characters)

    def ends_with(self, characters: str) -> Mask:
        """Rows whose last character is one of the given ASCII characters."""
        return self._byte_at(self.offsets[1:] - 1, characters)

    def _byte_at(self, positions: Numbers, characters: str) -> Mask:
        filled = self.lengths > 0
        found: Mask = np.zeros(len(self.array), np.bool_)
        if characters:
            found[filled] = np.isin(self.data[positions[filled]], np.frombuffer(characters.encode("ascii"), np.uint8))
        return found

    def with_data(self, data: Bytes) -> Any:
        """The same rows over other bytes of the same length, as an Arrow array."""
        buffers = (pa.py_buffer(self.offsets.astype(np.int32).tobytes()), pa.py_buffer(data.tobytes()))
        validity = None if self.present.all() else pa.array(self.present).buffers()[1]
        return pa.StringArray.from_buffers(len(self.array), *buffers, validity)


def _present(array: Any) -> Mask:
    return np.ones(len(array), np.bool_) if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)


@dataclass(frozen=True)
class Alphabet:
    """Which characters a text may hold.

    Attributes:
        allowed: Regular expression of one allowed character, mostly a class such as `[A-Za-z0-9]`; None allows all but
            control characters.
        forbidden: Characters that the file needs for itself; they are named apart from others that are not allowed.
    """

    allowed: str | None = None
    forbidden: frozenset[str] = frozenset()

    def flags(self, text: Text) -> Bytes:
        """`BAD`, `CONTROL` and `FORBIDDEN`, or-ed, for each row.

        U+FFFD is always `BAD`: it stands for bytes of the database that were no text.
        """
        rows = text.flags(_ascii_table(self))
        beyond = np.flatnonzero(rows & _NOT_ASCII)
        if len(beyond):
            rows[beyond] = (rows[beyond] & ~np.uint8(_NOT_ASCII)) | self._flags_by_character(text, beyond)
        return rows

    def _flags_by_character(self, text: Text, rows: npt.NDArray[np.intp]) -> Bytes:
        """The same for rows with characters beyond ASCII: each different character is judged once."""
        values = text.array.take(pa.array(rows)).to_pylist()
        points = np.frombuffer("".join(values).encode("utf-32-le"), np.uint32)
        known, where = np.unique(points, return_inverse=True)
        verdicts = np.fromiter((_judge(self, chr(point)) for point in known), np.uint8, len(known))
        starts = np.concatenate(([0], np.cumsum([len(value) for value in values])[:-1]))
        flags: Bytes = np.bitwise_or.reduceat(verdicts[where], starts)
        return flags


@lru_cache(maxsize=256)
def _ascii_table(alphabet: Alphabet) -> bytes:
    return bytes(_judge(alphabet, chr(point)) if point < 128 else _NOT_ASCII for point in range(256))


def _judge(alphabet: Alphabet, character: str) -> int:
    if is_control(character):
        return CONTROL
    if character in alphabet.forbidden:
        return FORBIDDEN
    if character == _REPLACEMENT:
        return BAD
    if alphabet.allowed is not None and re.fullmatch(alphabet.allowed, character) is None:
        return BAD
    return 0


def is_control(character: str) -> bool:
    """Whether a character is a control character (C0, DEL, C1) or a Unicode line or paragraph separator."""
    point = ord(character)
    return point < 32 or 127 <= point < 160 or point in (0x2028, 0x2029)


def table_of(characters: Iterable[str], value: int = 1) -> bytes:
    """A table of 256 with `value` at the given ASCII characters and 0 elsewhere."""
    chosen = {ord(character) for character in characters}
    return bytes(value if point in chosen else 0 for point in range(256))
