"""One step ahead: what is made next is made while the one before is used."""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")

_END: Final = object()
_PATIENCE: Final = 0.1


@contextmanager
def ahead(items: Iterable[T], most: int = 1) -> Iterator[Iterator[T]]:
    """Let a thread of its own go through items, so far ahead at most; memory is bounded by that.

    The thread alone touches the items, from the first to the last; at the end of the block it is gone, also where not
    all of them were taken. An error of theirs is raised where the next item would have come.

    Args:
        items: Closed in the thread, if they can be.
        most: Items that may wait to be taken.
    """
    belt = _Belt(items, most)
    thread = threading.Thread(target=belt.make, name="ahead", daemon=True)
    thread.start()
    try:
        yield belt.take()
    finally:
        belt.over.set()
        thread.join()


class _Belt:
    """What carries items from the thread that makes them to the one that takes them."""

    def __init__(self, items: Iterable[Any], most: int) -> None:
        self.over = threading.Event()
        self._items = items
        self._waiting: queue.Queue[Any] = queue.Queue(most)

    def make(self) -> None:
        """All of the items, in the thread."""
        try:
            with closing(_closable(self._items)) as made:
                for one in made:
                    if not self._put((one, None)):
                        return
        except BaseException as caught:  # noqa: BLE001 - raised again where it belongs
            self._put((None, caught))
        else:
            self._put(_END)

    def take(self) -> Iterator[Any]:
        """Them, one by one."""
        while (one := self._waiting.get()) is not _END:
            item, error = one
            if error is not None:
                raise error
            yield item

    def _put(self, one: object) -> bool:
        while not self.over.is_set():
            try:
                self._waiting.put(one, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False


def _closable(items: Iterable[T]) -> Generator[T, None, None]:
    if isinstance(items, Generator):
        return items
    return (one for one in items)
