"""Splitting a day's charges into batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A run of consecutive rows that travel in one batch.

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


def split(rows: Iterable[tuple[int, int]], max_rows: int, max_total: int) -> Iterator[Part]:
    """Cut rows into parts, in order, each as large as the limits allow.

    Args:
        rows: (row number, amount in smallest units), ascending by row number.
        max_rows: At most so many rows in a part.
        max_total: At most this amount in a part. A single row above it is a part of its own; validation keeps such
            rows out (`limits.max_amount_per_charge`).
    """
    first = last = count = total = 0
    for row_no, amount in rows:
        if count and (count == max_rows or total + amount > max_total):
            yield Part(first, last, count, total)
            count = total = 0
        if not count:
            first = row_no
        last, count, total = row_no, count + 1, total + amount
    if count:
        yield Part(first, last, count, total)
