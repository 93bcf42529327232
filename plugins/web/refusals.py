"""Counting refused requests without writing for each: added up in memory, and kept in the ledger once a second.

Otherwise whoever sends us rubbish could make us write. The keys are bounded: profiles and kinds of ours, reasons of
ours, and the day.
"""

import atexit
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from include.domain.refusals import Refusal
from include.ledger.inbox import RefusedCount

FLUSH_SECONDS: Final = 1.0
_Key = tuple[str, str, str, str]


class RefusalCounter:
    """Counts; safe to use from several threads.

    Args:
        keep: Adds counts to those that are kept; returns those that it could not keep, which are tried again.
        seconds: How long counts may wait; those that could not be kept wait ten times as long.
    """

    def __init__(
        self, keep: Callable[[Sequence[RefusedCount]], Sequence[RefusedCount]], seconds: float = FLUSH_SECONDS
    ) -> None:
        self._keep = keep
        self._seconds = seconds
        self._counts: dict[_Key, RefusedCount] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        atexit.register(self.flush)

    def count(self, profile: str, kind: str, reason: Refusal, at: datetime) -> None:
        """One more.

        Args:
            profile: A profile's name, or '' for a request that named none of ours.
            kind: A kind of ours, or ''.
        """
        day = at.astimezone(UTC).date()
        with self._lock:
            self._add(RefusedCount(profile, kind, reason, day, 1, at))
            self._set_timer(self._seconds)

    def flush(self) -> None:
        """Keep what was counted so far."""
        with self._lock:
            counts, self._counts = list(self._counts.values()), {}
            self._timer = None
        if not counts:
            return
        left = self._keep(counts)
        if left:
            with self._lock:
                for one in left:
                    self._add(one)
                self._set_timer(self._seconds * 10)

    def _add(self, one: RefusedCount) -> None:
        key = (one.profile, one.kind, one.reason, one.day.isoformat())
        known = self._counts.get(key)
        if known is not None:
            one = replace(one, count=known.count + one.count, last_at=max(known.last_at, one.last_at))
        self._counts[key] = one

    def _set_timer(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(seconds, self.flush)
            self._timer.daemon = True
            self._timer.start()
