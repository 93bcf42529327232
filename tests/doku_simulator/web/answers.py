"""What the HTTP side is asked and answers: plain values, whoever carries them, and the shapes of errors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Question:
    """One HTTP request.

    Attributes:
        path: As called, with the query taken off; what the signature covers.
        headers: Names in title case (`Request-Id`).
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `cut`: the connection is closed in its place."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE
    cut: bool = False

    @classmethod
    def of(cls, value: Any, status: int = 200) -> "Answer":
        return cls(status, json.dumps(value, separators=(",", ":")).encode())

    @classmethod
    def text(cls, text: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> "Answer":
        return cls(status, text.encode(), content_type=content_type)


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.answer = Answer.of(body, status)


def error(status: int, code: str, message: str, kind: str = "VALIDATION_ERROR") -> Refused:
    """DOKU's usual shape."""
    return Refused(status, {"error": {"code": code, "message": message, "type": kind}})


def invalid(message: str) -> Refused:
    return error(400, "INVALID_PARAMETER", message)


def messages(*texts: str) -> Refused:
    """Checkout's shape."""
    return Refused(400, {"error_messages": list(texts)})


def spring(status: int, words: str, path: str, moment: str) -> Refused:
    """The shape of the framework that DOKU's servers run in."""
    return Refused(status, {"timestamp": moment, "status": status, "error": words, "path": path})
