"""What will happen when, on the HTTP side's clock; kept over a restart."""

import json
import threading
from collections.abc import Callable
from typing import Any

from tests.doku_simulator.web.clock import Clock
from tests.doku_simulator.web.store import Store

Settle = Callable[[], None]
Handler = Callable[[float, dict[str, Any]], Settle | None]
"""Does what is due (it may take time), and returns what is written down, together with that it is done."""


class Agenda:
    """Events in the order of time, then of being planned."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._handlers: dict[str, Handler] = {}
        self._lock = threading.Lock()
        self._ending = False

    def on(self, kind: str, handler: Handler) -> None:
        self._handlers[kind] = handler

    def plan(self, at: float, kind: str, **facts: Any) -> int:
        """Its number."""
        return self._store.insert("insert into agenda (at, kind, facts) values (?, ?, ?)", at, kind, json.dumps(facts))

    def move(self, number: int, at: float) -> None:
        self._store.run("update agenda set at = ? where id = ?", at, number)

    def waiting(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What is still to come: at, kind, and its facts."""
        rows = self._store.run("select at, kind, facts from agenda order by at, id")
        return [{"at": at, "kind": name, **json.loads(facts)} for at, name, facts in rows if kind in (None, name)]

    def run(self, until: float | None) -> int:
        """Let everything happen that is due; how many things did.

        Args:
            until: Up to this moment, and the clock is simulated from now on; None: up to what the clock shows.
        """
        done = 0
        with self._lock:
            if until is not None and not self._clock.simulated:
                self._clock.set(self._clock.now())
            while not self._ending and self._next(self._clock.now() if until is None else until):
                done += 1
            if until is not None and until > self._clock.now():
                self._clock.set(until)
        return done

    def end(self) -> None:
        """Wait for what is happening, and let nothing happen any more."""
        self._ending = True
        with self._lock:
            return

    def _next(self, until: float) -> bool:
        rows = self._store.run("select id, at, kind, facts from agenda where at <= ? order by at, id limit 1", until)
        if not rows:
            return False
        number, at, kind, facts = rows[0]
        if self._clock.simulated and at > self._clock.now():
            self._clock.set(at)
        settle = self._handlers[kind](at, json.loads(facts))
        with self._store.change():
            self._store.run("delete from agenda where id = ?", number)
            if settle:
                settle()
        return True
