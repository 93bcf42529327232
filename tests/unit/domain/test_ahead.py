"""One step ahead: in order, bounded, with its errors, and gone at the end."""

import threading
import time
from collections.abc import Iterator

import pytest

from include.domain.ahead import ahead


def _counting(until: int, closed: list[str], fails_at: int | None = None) -> Iterator[int]:
    try:
        for number in range(until):
            if number == fails_at:
                raise ValueError("the third")
            yield number
    finally:
        closed.append(threading.current_thread().name)


def test_all_items_come_in_order_from_a_thread_of_their_own():
    closed: list[str] = []
    with ahead(_counting(100, closed)) as items:
        assert list(items) == list(range(100))
    assert closed == ["ahead"]


def test_it_goes_no_further_ahead_than_it_may():
    made: list[int] = []
    with ahead((made.append(number) or number for number in range(100)), most=2) as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert len(made) <= 4  # one taken, two that wait, one that waits to wait


def test_an_error_comes_where_the_item_would_have_come():
    with ahead(_counting(5, [], fails_at=2)) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="the third"):
            next(items)


def test_whoever_stops_early_leaves_no_thread_behind():
    closed: list[str] = []
    with ahead(_counting(100, closed)) as items:
        next(items)
    assert closed == ["ahead"]
    assert "ahead" not in [thread.name for thread in threading.enumerate()]


def test_nothing_and_lists_will_do():
    with ahead([]) as items:
        assert list(items) == []
    with ahead([1, 2]) as items:
        assert list(items) == [1, 2]
