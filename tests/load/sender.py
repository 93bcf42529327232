"""DOKU as a sender: a fixed number of signed notifications a second, whatever the answers take; each until it is taken.

It signs by itself and speaks HTTP over its own sockets, so that on a small machine it leaves the processor to the
server. A notification's time runs from the moment at which it was to be sent: a server that stalls makes all that come
meanwhile late, as they would be.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

CLIENT_ID: Final = "BRN-0001-1"
SECRET: Final = "SK-load-0123456789abcdef"
_CONNECTIONS: Final = 64
_AGAIN_SECONDS: Final = 0.5


@dataclass
class Sent:
    """What became of the notifications.

    Attributes:
        seconds: Of each that was taken: from when it was to be sent until its answer was there.
        answers: How often each status was answered; "broken": the connection broke, or nothing answered.
        bodies: Of all that were taken.
    """

    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    bodies: list[bytes] = field(default_factory=list)
    took: float = 0.0

    def percentile(self, share: float) -> float:
        """The time, in milliseconds, that so great a share was not above."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Sender:
    """Sends to one path.

    Args:
        patience: How long an answer is waited for, in seconds; then the notification is sent again.
    """

    def __init__(self, host: str, port: int, path: str, patience: float = 5.0) -> None:
        self._host, self._port, self._path, self._patience = host, port, path, patience
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)

    async def send(self, rate: float, seconds: float) -> Sent:
        """Send `rate` notifications a second for so long, and wait until each is taken."""
        sent, began, tasks = Sent(), time.perf_counter(), []
        for n in range(int(rate * seconds)):
            due = began + n / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._until_taken(_body(n), due, sent)))
        await asyncio.gather(*tasks)
        sent.took = time.perf_counter() - began
        for _, writer in self._idle:
            writer.close()
        return sent

    async def _until_taken(self, body: bytes, due: float, sent: Sent) -> None:
        for tries in itertools.count(1):
            try:
                async with self._free, asyncio.timeout(self._patience):
                    status = await self._once(body)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                status = "broken"
            sent.answers[status] += 1
            if status == "200":
                sent.seconds.append(time.perf_counter() - due)
                sent.bodies.append(body)
                return
            await asyncio.sleep(_AGAIN_SECONDS * min(tries, 8))

    async def _once(self, body: bytes) -> str:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(self._request(body))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return head.split()[1].decode()

    def _request(self, body: bytes) -> bytes:
        headers = signed(body, self._path)
        lines = [
            f"POST {self._path} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(body)}",
            "Content-Type: application/json", *(f"{name}: {value}" for name, value in headers.items()),
        ]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode() + body


def signed(body: bytes, path: str) -> dict[str, str]:
    """The four headers, by DOKU's published recipe."""
    values = {
        "Client-Id": CLIENT_ID,
        "Request-Id": str(uuid.uuid4()),
        "Request-Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    lines = [*(f"{name}:{value}" for name, value in values.items()), f"Request-Target:{path}", f"Digest:{digest}"]
    mac = hmac.new(SECRET.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return {**values, "Signature": "HMACSHA256=" + base64.b64encode(mac).decode()}


def _body(n: int) -> bytes:
    """A payment's size and form; no two are the same."""
    said = {
        "service": {"id": "CREDIT_CARD"}, "acquirer": {"id": "BANK"}, "channel": {"id": "CREDIT_CARD"},
        "order": {"invoice_number": f"INV-{n:08}", "amount": 150_000 + n},
        "transaction": {"status": "SUCCESS", "date": "2026-11-20T03:00:00Z", "original_request_id": str(uuid.uuid4())},
        "billing": {"billing_number": f"B-{n:08}"}, "customer": {"id": f"K-{n:08}"},
        "card_payment": {"response_code": "00", "approval_code": f"{n:06}", "card_masked": "411111******1111"},
    }  # fmt: skip
    return json.dumps(said).encode()
