"""Splitting a day's charges into batches."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A run of consecutive rows: all that travel in one batch, or some of them.

    Attributes:
        first: Row number of the first.
        last: Row number of the last.
        count: How many charges.
        total: Their amount, in smallest units.
    """

    first: int
    last: int
    count: int
    total: int


def split(
    pages: Iterable[Part], rows_of: Callable[[Part], Iterable[tuple[int, int]]], max_rows: int, max_total: int
) -> Iterator[Part]:
    """Cut rows into parts, in order, each as large as the limits allow.

    Args:
        pages: The rows, ascending by row number, so many at a time as one likes: only a page with a cut is looked into.
        rows_of: The rows of a page: (row number, amount in smallest units), ascending by row number.
        max_rows: At most so many rows in a part.
        max_total: At most this amount in a part. A single row above it is a part of its own; validation keeps such
            rows out (`limits.max_amount_per_charge`).
    """

    def fits(part: Part | None, more: Part) -> bool:
        count, total = (part.count, part.total) if part else (0, 0)
        return count + more.count <= max_rows and total + more.total <= max_total

    part: Part | None = None
    for page in pages:
        if fits(part, page):
            part = _joined(part, page)
            continue
        for row_no, amount in rows_of(page):
            row = Part(row_no, row_no, 1, amount)
            if part and not fits(part, row):
                yield part
                part = None
            part = _joined(part, row)
    if part:
        yield part


def _joined(part: Part | None, more: Part) -> Part:
    return Part(part.first, more.last, part.count + more.count, part.total + more.total) if part else more
