"""A merchant over HTTP for the simulator's tests: signs and checks by hand, with nothing of the package under test."""

import base64
import hashlib
import hmac
import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.doku_simulator import Simulator
from tests.doku_simulator.web.answers import Question

TIME = "2026-01-02T03:04:05Z"


def signature(secret: str, lines: list[str], body: bytes | None) -> str:
    if body is not None:
        lines = [*lines, "Digest:" + base64.b64encode(hashlib.sha256(body).digest()).decode()]
    mac = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return "HMACSHA256=" + base64.b64encode(mac).decode()


class Inbox:
    """The merchant's end of notifications, in place of HTTP: keeps what came with a right signature.

    Attributes:
        answers: What to answer next, (status, body) or an exception; then 200 and CONTINUE.
        came: All posts: address, headers, body.
        amounts: Answers to amount questions, by billing number.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes] | Exception] = []
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        self.amounts: dict[str, bytes] = {}
        self.simulator: Simulator | None = None

    def post(self, url: str, headers: dict[str, str], body: bytes, timeout: float) -> tuple[int, bytes]:
        self.came.append((url, headers, body))
        if url.endswith("/amount"):
            text = body.decode()
            return next(((200, answer) for bill, answer in self.amounts.items() if bill in text), (404, b""))
        answer = self.answers.pop(0) if self.answers else (200, b"CONTINUE")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def good(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What came with a right signature or right WORDS, as read."""
        return [
            read(body)
            for url, headers, body in self.came
            if kind in (None, url.rpartition("/")[2]) and self.fits(url, headers, body)
        ]

    def fits(self, url: str, headers: dict[str, str], body: bytes) -> bool:
        assert self.simulator
        web = self.simulator.web
        if headers["Content-Type"] == "application/json":
            lines = [f"{name}:{headers[name]}" for name in ("Client-Id", "Request-Id", "Request-Timestamp")]
            lines.append(f"Request-Target:{urlsplit(url).path}")
            return headers.get("Signature") == signature(web.secret, lines, body)
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        mall, key = web.config.mall_id, web.shared_key
        if url.endswith("/amount"):
            text = form["CUSTOMERID"] + key + form["BILLNUMBER"]
        elif form.get("STATUSTYPE"):
            text = mall + "NA" + form["BILLNUMBER"] + form["CUSTOMERID"] + form["STATUS"] + key
        else:
            text = form["TRANSIDMERCHANT"] + mall + key + form["CUSTOMERID"] + form["TOKENID"]
            text += form["BILLNUMBER"] + form["RESULTMSG"] + form["VERIFYSTATUS"]
        return form.get("WORDS") == hashlib.sha1(text.encode()).hexdigest()


def read(body: bytes) -> dict[str, Any]:
    return json.loads(body) if body[:1] == b"{" else dict(parse_qsl(body.decode(), keep_blank_values=True))


@dataclass
class WebMerchant:
    """Asks the API, over a socket where there is one."""

    simulator: Simulator
    inbox: Inbox = field(default_factory=Inbox)

    def headers(self, path: str, request_id: str, body: bytes | None, secret: str | None = None) -> dict[str, str]:
        web = self.simulator.web
        lines = [
            f"Client-Id:{web.config.client_id}", f"Request-Id:{request_id}", f"Request-Timestamp:{TIME}",
            f"Request-Target:{path}",
        ]  # fmt: skip
        return {
            **dict(line.split(":", 1) for line in lines[:3]),
            "Signature": signature(secret or web.secret, lines, body),
        }

    def call(
        self, path: str, body: Any = None, request_id: str = "req-1", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body); body None: GET."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = headers or self.headers(path, request_id, data)
        method = "GET" if data is None else "POST"
        web = self.simulator.web
        if not web.port:
            answer = web.handle(Question(method, path, headers, data or b""))
            return answer.status, dict(answer.headers), answer.body
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()

    def ask(self, path: str, body: Any = None, request_id: str = "req-1") -> Any:
        """The JSON of a good answer, its signature checked."""
        status, headers, data = self.call(path, body, request_id)
        assert status in (200, 409), data
        lines = [
            f"Client-Id:{headers['Client-Id']}", f"Request-Id:{request_id}",
            f"Response-Timestamp:{headers['Response-Timestamp']}", f"Request-Target:{path}",
        ]  # fmt: skip
        assert headers["Signature"] == signature(self.simulator.web.secret, lines, data)
        return json.loads(data)
