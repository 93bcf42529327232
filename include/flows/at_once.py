"""Several reports, batches or files side by side: PostgreSQL works on one while the other is prepared here."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from include.ledger.store import Ledger

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE: Final = 2
"""So many side by side: each holds a page of rows here, and a connection there."""


def each_at_once(ledger: Ledger, items: Sequence[T], do: Callable[[T], R]) -> list[R]:
    """Do something with each item, on PostgreSQL with some of them at once; SQLite has one writer at a time.

    Args:
        ledger: Where it is written.
        items: What to do it with; each is begun in order.
        do: Safe to be done to different items at once, and to be done again.

    Returns:
        What came of each, in the order of the items.

    Raises:
        The first error, once what was begun has ended; nothing is begun after it.
    """
    if ledger.engine.dialect.name != "postgresql" or len(items) < 2:
        return [do(item) for item in items]
    with ThreadPoolExecutor(AT_ONCE, "at_once") as workers:
        begun = [workers.submit(do, item) for item in items]
        try:
            return [one.result() for one in begun]
        finally:
            for one in begun:
                one.cancel()
