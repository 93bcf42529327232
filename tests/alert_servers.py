"""A mail server and a webhook of one's own, on free ports of this machine: what arrives there has really been sent."""

import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from include.domain.alert_text import Notice
from include.domain.connection import ConnectionSettings
from include.domain.watch import Level


def notice(level: Level = Level.URGENT, **changes: Any) -> Notice:
    """A notice of the watchdog's."""
    values: dict[str, Any] = {
        "key": "L-7-2", "profile": "insurance", "kind": "no_report", "subject": "TKN_1.TXT", "level": level,
        "words": "No report on TKN_1.TXT came.", "action": "Ask DOKU.",
        "runbook": "docs/runbooks/watchdog.md#no-report",
        "late_since": datetime(2026, 11, 21, 5, 0, tzinfo=UTC), "zone": "Asia/Jakarta", **changes,
    }  # fmt: skip
    return Notice(**values)


@dataclass
class Webhook:
    """What was posted.

    Attributes:
        answer: Status code of every answer.
        asked: (method, path, headers) of each request.
        documents: The JSON of each request that was taken.
    """

    port: int = 0
    answer: int = 200
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self, conn_id: str = "alerts", **changes: Any) -> ConnectionSettings:
        return ConnectionSettings(conn_id, **{"conn_type": "http", "host": f"{self.address}/hook", **changes})


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook that takes JSON."""
    taken = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            taken.asked.append(("POST", self.path, dict(self.headers)))
            if taken.answer < 300:
                taken.documents.append(json.loads(content))
            self._answer()

        def do_GET(self) -> None:
            taken.asked.append(("GET", self.path, dict(self.headers)))
            self._answer()

        def _answer(self) -> None:
            self.send_response(taken.answer)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *words: object) -> None:
            """Nothing on standard error."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        taken.port = port
        yield taken


@dataclass
class MailServer:
    """What mail came in.

    Attributes:
        refuse: A command (as RCPT) that is answered with 550.
        messages: Whole messages; `envelopes` has (from, to) of each.
    """

    port: int = 0
    refuse: str = ""
    messages: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    def connection(self, conn_id: str = "mail", **changes: Any) -> ConnectionSettings:
        extra = {"from_email": "doku@merchant.example", "disable_ssl": True, "disable_tls": True, "timeout": 5}
        values = {"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra, **changes}
        return ConnectionSettings(conn_id, **values)


class _MailHandler(socketserver.StreamRequestHandler):
    """One session (RFC 5321, as much of it as smtplib speaks)."""

    taken: MailServer

    def handle(self) -> None:
        self._say("220 sink")
        self.sender, self.to = "", []
        while line := self.rfile.readline():
            words = line.decode().strip()
            command = words[:4].upper()
            if command == self.taken.refuse:
                self._say("550 not here")
            else:
                getattr(self, f"_{command.lower()}", self._other)(words)
            if command == "QUIT":
                return

    def _ehlo(self, words: str) -> None:
        self._say("250-sink", "250 AUTH PLAIN")

    def _auth(self, words: str) -> None:
        self.taken.logins.append(words.split()[-1])
        self._say("235 welcome")

    def _mail(self, words: str) -> None:
        self.sender, self.to = words.partition(":")[2].split()[0].strip("<>"), []
        self._say("250 ok")

    def _rcpt(self, words: str) -> None:
        self.to.append(words.partition(":")[2].strip("<>"))
        self._say("250 ok")

    def _data(self, words: str) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        self.taken.messages.append(message)  # type: ignore[arg-type]
        self.taken.envelopes.append((self.sender, self.to))
        self._say("250 taken")

    def _other(self, words: str) -> None:
        self._say("221 bye" if words.upper() == "QUIT" else "250 ok")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server without encryption."""
    taken = MailServer()
    handler = type("Handler", (_MailHandler,), {"taken": taken})
    socketserver.ThreadingTCPServer.daemon_threads = True
    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)) as port:
        taken.port = port
        yield taken


@contextmanager
def _serving(server: Any) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
