"""DOKU's signature, as its pages have it: HMAC-SHA256 over the lines of a request, an answer or a notification."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "HMACSHA256="
REQUEST_HEADERS: Final = ("Client-Id", "Request-Id", "Request-Timestamp", "Signature")


def digest(body: bytes) -> str:
    """Base64 of the SHA-256 of the raw bytes."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")


def sign(
    secret: str,
    client_id: str,
    request_id: str,
    timestamp: str,
    target: str,
    body: bytes | None,
    timestamp_name: str = "Request-Timestamp",
) -> str:
    """The value of the header Signature.

    Args:
        target: The path that was called, without host.
        body: None where there is no digest (GET).
        timestamp_name: `Response-Timestamp` for an answer.
    """
    lines = [
        f"Client-Id:{client_id}",
        f"Request-Id:{request_id}",
        f"{timestamp_name}:{timestamp}",
        f"Request-Target:{target}",
    ]
    if body is not None:
        lines.append(f"Digest:{digest(body)}")
    mac = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256)
    return PREFIX + base64.b64encode(mac.digest()).decode("ascii")


def signed_headers(
    secret: str, client_id: str, request_id: str, timestamp: str, target: str, body: bytes | None
) -> dict[str, str]:
    """The four headers of a request or of a notification."""
    return {
        "Client-Id": client_id,
        "Request-Id": request_id,
        "Request-Timestamp": timestamp,
        "Signature": sign(secret, client_id, request_id, timestamp, target, body),
    }


def fits(secret: str, headers: Mapping[str, str], target: str, body: bytes | None) -> bool:
    """Whether a request's signature is right; header names as written in `REQUEST_HEADERS`."""
    expected = sign(secret, headers["Client-Id"], headers["Request-Id"], headers["Request-Timestamp"], target, body)
    return hmac.compare_digest(expected.encode(), headers["Signature"].encode("utf-8", "replace"))
