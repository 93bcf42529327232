"""Which part of a sweep is played: a fixed sample in `make test`, all of it in `make sweep`."""

import os
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

FULL: Final = os.environ.get("SWEEP") == "all"
"""Set by `make sweep`."""

T = TypeVar("T")


def sampled(items: Iterable[T], chosen: Callable[[T], bool]) -> list[T]:
    """All items in a full sweep, else the chosen ones."""
    return [item for item in items if FULL or chosen(item)]


def seeds(*, sample: int, full: int) -> range:
    """So many seeds, from 1; `SEEDS=10` in the environment says otherwise."""
    return range(1, int(os.environ.get("SEEDS", full if FULL else sample)) + 1)
