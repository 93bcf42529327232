"""DOKU as it calls: signed by the simulator's own code, and sent to the app in its process or to a server."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from tests.doku_simulator.web.signature import signed_headers
from tests.flows_harness import Merchant

CLIENT_ID = "BRN-0001-1"
SECRET = "SK-test-0123456789abcdef"
SHARED_KEY = "shared-key-of-the-older-interface"
MALL_ID = "4711"
PREFIX = "/doku/notifications"
NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"

TAKES_ALL = {
    "notifications": {"enabled": True, "read_seconds": 1},
    "connections": {"doku": "insurance_doku", "onecheckout": "insurance_form"},
    "recurring": {"dialect": "json"},
}
"""Changes of the shipped profile: every kind of notification is taken."""


def path_of(kind: str = "payment", profile: str = "insurance") -> str:
    """The path that DOKU calls."""
    return f"{PREFIX}/{profile}/{kind}"


def signed(
    kind: str = "payment", body: bytes = b"{}", *, target: str | None = None, at: datetime = NOW,
    request_id: str | None = None, secret: str = SECRET, client_id: str = CLIENT_ID, profile: str = "insurance",
) -> dict[str, str]:  # fmt: skip
    """The headers of a notification as DOKU would send it."""
    made = signed_headers(
        secret, client_id, request_id or str(uuid.uuid4()), at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        target or path_of(kind, profile), body,
    )  # fmt: skip
    return {**made, "Content-Type": "application/json"}


@dataclass
class Door:
    """The notification paths of a merchant, and DOKU before them.

    Attributes:
        known: Connections by id; a test may change them.
        app: The ASGI app.
        now: The app's clock.
    """

    merchant: Merchant
    known: dict[str, ConnectionSettings]
    app: Any = None
    now: datetime = NOW
    lookups: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, merchant: Merchant) -> "Door":
        """A merchant's; its profile takes notifications."""
        from plugins.web.notifications import make_app

        known = {
            "doku_ledger": merchant.ledger_settings,
            "insurance_billing": merchant.billing_settings,
            "insurance_doku": ConnectionSettings("insurance_doku", "doku", login=CLIENT_ID, password=SECRET),
            "insurance_form": ConnectionSettings("insurance_form", "doku", login=MALL_ID, password=SHARED_KEY),
        }
        door = cls(merchant, known)
        # A minute between flushes: the tests flush when they look.
        door.app = make_app(door.look_up, now=lambda: door.now, flush_seconds=60)
        return door

    def close(self) -> None:
        self.app.state.door.close()

    def look_up(self, conn_id: str) -> ConnectionSettings:
        self.lookups.append(conn_id)
        if conn_id not in self.known:
            raise ConfigError(f"connection {conn_id}", "", "is not there")
        return self.known[conn_id]

    def notify(self, kind: str = "payment", body: bytes | Mapping[str, Any] = b"{}", **how: Any) -> httpx.Response:
        """A signed notification."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(path_of(kind), content, signed(kind, content, **{"at": self.now, **how}))

    def post_form(self, kind: str, fields: Mapping[str, str] | bytes) -> httpx.Response:
        """A form, whatever its WORDS."""
        content = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self.send(path_of(kind), content, {"Content-Type": FORM})

    def send(self, path: str, content: Any = b"", headers: Any = None, method: str = "POST") -> httpx.Response:
        """Anything."""

        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://doku-calls") as client:
                return await client.request(method, path, content=content, headers=headers)

        return asyncio.run(sent())

    def raw(
        self, path: bytes, headers: list[tuple[bytes, bytes]], chunks: list[bytes], **scope: Any
    ) -> tuple[int, bytes]:
        """A request of a form that no client would send: status and content of the answer."""

        async def sent() -> tuple[int, bytes]:
            queue = [
                {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1}
                for n, chunk in enumerate(chunks)
            ]
            answers: list[Any] = []

            async def receive() -> Any:
                return queue.pop(0) if queue else {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                answers.append(message)

            asked = {
                "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
                "path": path.decode("latin-1"), "raw_path": path, "query_string": b"", "root_path": "",
                "headers": headers, "client": ("1.2.3.4", 5), "server": ("doku-calls", 80), **scope,
            }  # fmt: skip
            await self.app(asked, receive, send)
            return answers[0]["status"], b"".join(one.get("body", b"") for one in answers[1:])

        return asyncio.run(sent())

    # --- what became of it --------------------

    def inbox(self) -> list[dict[str, Any]]:
        """The notifications of the ledger."""
        return self.merchant.sql("SELECT * FROM notification ORDER BY notification_id")

    def refused(self) -> dict[tuple[str, str, str], int]:
        """The counts of refused requests, by profile, kind and reason."""
        self.app.state.door._refusals.flush()
        rows = self.merchant.sql("SELECT * FROM refused_notification")
        return {(row["profile"], row["kind"], row["reason"]): row["count"] for row in rows}
