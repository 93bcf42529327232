"""The merchant's notification paths: the app that is published, in this process, and what goes wrong before it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from include.domain.connection import ConnectionSettings
from plugins.web.notifications import make_app
from tests.history.world import chance
from tests.history_recurring.world import World

STRAYS: Final = 0.02
"""Of all notifications, those that are also carried to another merchant's path, or kept and sent again days later."""

Answered = tuple[int, bytes]


@dataclass
class Door:
    """The app, behind a network that is sometimes down and in which somebody listens.

    Attributes:
        now: The moment that the app's clock shows.
        wrong: Messages that must have been refused and were not.
        refused: How many strays were refused, by what they were.
    """

    look_up: Callable[[str], ConnectionSettings]
    seed: int
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    overheard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    heard: int = 0

    def __post_init__(self) -> None:
        self.app = make_app(self.look_up, now=lambda: self.now, flush_seconds=3600)
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app))

    def close(self) -> None:
        """Close it, with its ledgers."""
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.app.state.door.close()

    def post_for(self, world: World, other: str, now: Callable[[], datetime]) -> Callable[..., Answered]:
        """What carries one merchant's notifications here.

        Args:
            other: The profile at whose path a stray is put.
            now: The clock of that merchant's DOKU.
        """

        def post(url: str, headers: Mapping[str, str], body: bytes, _: float) -> Answered:
            self.now = now()
            if world.is_deaf(self.now):
                raise OSError("nobody answers")
            answered = self._send(url, headers, body)
            self.heard += 1
            rng = chance(self.seed, world.name, "overheard", self.heard)
            if rng.random() < STRAYS:
                self._carry_elsewhere(url.replace(f"/{world.name}/", f"/{other}/"), headers, body)
                if "/amount" not in url:
                    self.overheard.append((url, dict(headers), body))
            return answered

        return post

    def replay(self, now: datetime) -> None:
        """Somebody sends what was overheard again, days later; in JSON it is too old, a form is a repeat."""
        self.now = now
        for url, headers, body in self.overheard:
            status, _ = self._send(url, headers, body)
            if "Signature" in headers and status < 400:
                self.wrong.append(f"a message of days ago was taken at {url} on {now}")
            self.refused["old" if status >= 400 else "repeated"] += 1
        self.overheard.clear()

    def _carry_elsewhere(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        status, _ = self._send(url, headers, body)
        if status < 400:
            self.wrong.append(f"another merchant's message was taken at {url}")
        self.refused["stray"] += 1

    def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        response: Any = self._runner.run(self._client.post(url, content=body, headers=dict(headers)))
        return response.status_code, response.content
