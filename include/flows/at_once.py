"""Several reports or batches side by side: PostgreSQL works on one while another is prepared here."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Final, Generic, TypeVar

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
        The first error, once what was begun has ended; nothing is begun after an error. Whoever waits here may be
        interrupted (a task's time limit): then what was begun is left to itself, and ends with the process.
    """
    if ledger.engine.dialect.name != "postgresql" or len(items) < 2:
        return [do(item) for item in items]
    work = _Work(items, do)
    # Not a pool: the interpreter would wait for its threads, whatever they wait for.
    threads = [Thread(target=work.go_on, name=f"at_once_{number}", daemon=True) for number in range(AT_ONCE)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        work.over.set()
    if work.errors:
        raise work.errors[min(work.errors)]
    return [work.results[number] for number in range(len(items))]


class _Work(Generic[T, R]):
    """Items that some threads share."""

    def __init__(self, items: Sequence[T], do: Callable[[T], R]) -> None:
        self.over = Event()
        self.results: dict[int, R] = {}
        self.errors: dict[int, BaseException] = {}
        self._left, self._do = deque(enumerate(items)), do

    def go_on(self) -> None:
        """One item after the other, in a thread, until there is none or something failed."""
        while not self.over.is_set():
            try:
                number, item = self._left.popleft()
            except IndexError:
                return
            try:
                self.results[number] = self._do(item)
            except BaseException as caught:  # noqa: BLE001 - raised again where it belongs
                self.errors[number] = caught
                self.over.set()
