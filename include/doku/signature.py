"""DOKU's signature of requests, responses and notifications; pure, and over raw bytes only.

One HMAC-SHA256 over a few lines of `Name:value` [SIGREQ, SIGRES, certain]: line feeds between them, none at the end.
The `Digest` line is an ingredient and never a header; a GET has none.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

PREFIX: Final = "HMACSHA256="
"""What stands before the base64 of a signature."""

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Signed:
    """What a signature covers beside the body: the values as they stand in the headers, character for character.

    Attributes:
        client_id: `Client-Id`.
        request_id: `Request-Id`; of a response, that of its request.
        timestamp: `Request-Timestamp`; of a response, `Response-Timestamp`.
        target: The path alone, without host and query, with path parameters in it [WOO, certain]. Of a notification,
            the path of the merchant's URL as DOKU calls it; of a response, the path that the merchant called.
    """

    client_id: str
    request_id: str
    timestamp: str
    target: str


@dataclass(frozen=True)
class Key:
    """A secret key; it shows nothing of itself. ValueError: it is empty, and anybody could sign with it."""

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("an empty key signs nothing")


def digest(body: bytes) -> str:
    """base64 of the SHA-256 of the body as it is sent."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")


def timestamp(at: datetime) -> str:
    """A moment as `Request-Timestamp` has it: UTC, whole seconds, `Z`. ValueError: it has no timezone."""
    if at.tzinfo is None:
        raise ValueError("a moment without a timezone cannot be signed")
    return at.astimezone(UTC).strftime(_TIME)


def read_timestamp(text: str) -> datetime | None:
    """The moment of a `Request-Timestamp` or `Response-Timestamp`, in UTC; None where it is none.

    A zone other than `Z` and fractions of a second are taken as well: they are not documented, and harmless.
    """
    try:
        at = datetime.fromisoformat(text.strip())
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def sign_request(key: Key, signed: Signed, body: bytes) -> str:
    """The `Signature` of a request with a body; of a notification too, as DOKU makes it."""
    return _signature(key, _lines(signed, "Request-Timestamp", digest(body)))


def sign_get(key: Key, signed: Signed) -> str:
    """The `Signature` of a GET: no Digest line [SIGREQ, certain]."""
    return _signature(key, _lines(signed, "Request-Timestamp", None))


def sign_response(key: Key, signed: Signed, body: bytes) -> str:
    """The `Signature` of DOKU's response [SIGRES, certain]: as of a request, but for the name of the time."""
    return _signature(key, _lines(signed, "Response-Timestamp", digest(body)))


def verify_notification(key: Key, signed: Signed, body: bytes, signature: str) -> bool:
    """Whether DOKU signed a notification with that key; compared in constant time.

    Args:
        key: The secret key of the account.
        signed: The headers as received, and the path that DOKU called.
        body: As received; never written anew.
        signature: The `Signature` header as received.
    """
    return _fits_lines(signed) and _same(sign_request(key, signed, body), signature)


def verify_response(key: Key, signed: Signed, body: bytes, signature: str) -> bool:
    """Whether DOKU signed a response with that key; compared in constant time. Arguments as `verify_notification`."""
    return _fits_lines(signed) and _same(sign_response(key, signed, body), signature)


def _fits_lines(signed: Signed) -> bool:
    """A value with a line feed in it could stand for two lines of another message; no header has one."""
    return "\n" not in signed.client_id + signed.request_id + signed.timestamp + signed.target


def _lines(signed: Signed, time_name: str, body_digest: str | None) -> str:
    if not _fits_lines(signed):
        raise ValueError("a line feed in a header or a path cannot be signed")
    lines = [
        f"Client-Id:{signed.client_id}",
        f"Request-Id:{signed.request_id}",
        f"{time_name}:{signed.timestamp}",
        f"Request-Target:{signed.target}",
    ]
    if body_digest is not None:
        lines.append(f"Digest:{body_digest}")
    return "\n".join(lines)


def _signature(key: Key, lines: str) -> str:
    mac = hmac.new(_bytes(key.secret), _bytes(lines), hashlib.sha256).digest()
    return PREFIX + base64.b64encode(mac).decode("ascii")


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(_bytes(expected), _bytes(given))


def _bytes(text: str) -> bytes:
    # Headers may hold any byte: what is not a character must give a wrong signature, not an error.
    return text.encode("utf-8", "surrogatepass")
