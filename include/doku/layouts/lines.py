"""A stream of bytes, cut into blocks of whole lines, with bounded memory whatever comes in."""

from collections.abc import Iterable, Iterator

import numpy as np  # noqa: TID253  (this module is about blocks of lines; no DAG file imports it)

from include.domain.errors import FileRefused

_NEWLINE = b"\n"


def line_blocks(chunks: Iterable[bytes], *, name: str, rows: int, longest: int) -> Iterator[bytes]:
    r"""Cut a stream at line ends.

    Args:
        chunks: The file, in pieces of any size.
        name: The file's name, for the error.
        rows: Lines of a block at most.
        longest: Bytes of the longest line that is believed, its end included.

    Yields:
        Blocks of whole lines, each line with its `\n`; only the last block may end without one.

    Raises:
        FileRefused: A line is longer than `longest`: memory stays within `rows` times that, and one chunk.
    """
    held: list[bytes] = []
    lines = size = before = tail = 0
    for chunk in chunks:
        if not chunk:
            continue
        held.append(chunk)
        found = chunk.count(_NEWLINE)
        lines, size = lines + found, size + len(chunk)
        tail = len(chunk) - chunk.rfind(_NEWLINE) - 1 if found else tail + len(chunk)
        if tail > longest or size > (lines + 1) * longest:
            _refuse_longest(b"".join(held), before, name, longest)
        if lines >= rows:
            block = b"".join(held)
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE[0]) + 1
            start = 0
            for end in ends[rows - 1 :: rows].tolist():
                yield block[start:end]
                start, before = end, before + rows
            lines -= len(ends) // rows * rows
            held, size = [block[start:]], len(block) - start
    if size:
        yield b"".join(held)


def _refuse_longest(block: bytes, before: int, name: str, longest: int) -> None:
    for number, line in enumerate(block.split(_NEWLINE), before + 1):
        if len(line) >= longest:
            raise FileRefused(name, number, None, f"is longer than any line of the layout ({longest} bytes)")
