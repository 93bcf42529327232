"""The notification paths in a process of their own: over real sockets, attacked, and killed while somebody sends."""

import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.flows_harness import Merchant
from tests.services.processes import Started, free_port, start, wait_until
from tests.stack.toml import changed
from tests.unit.plugins.notified import CLIENT_ID, PREFIX, SECRET, TAKES_ALL, path_of, signed

PROJECT = Path(__file__).resolve().parents[3]
BODY = b'{"order": {"amount": 150000}}'


@dataclass
class Alone:
    """The process, and the merchant whose ledger it writes to."""

    merchant: Merchant
    root: Path
    port: int
    process: Started

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again after a kill."""
        ledger = self.merchant.ledger_settings
        env = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "DOKU_PROFILES_DIR": str(self.merchant.profile_file.parent),
            "AIRFLOW_CONN_DOKU_LEDGER": json.dumps({"conn_type": "sqlite", "host": ledger.host}),
            "AIRFLOW_CONN_INSURANCE_DOKU": json.dumps({"conn_type": "doku", "login": CLIENT_ID, "password": SECRET}),
        }
        command = [sys.executable, "-m", "plugins.web.alone", "--port", str(self.port), "--head-seconds", "0.6"]
        self.process = start("notifications", command, log=self.root / "alone.log", env=env, cwd=PROJECT)
        wait_until(self._answers, self.process, timeout=60, what="the notification paths")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}{PREFIX}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def talk(self, *parts: bytes, pause: float = 0.0, half: bool = False) -> bytes:
        """Say something over a socket; what is answered until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            try:
                for part in parts:
                    line.sendall(part)
                    time.sleep(pause)
                if half:
                    line.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has hung up already
            heard = b""
            try:
                while chunk := line.recv(65536):
                    heard += chunk
            except ConnectionResetError:
                pass
            return heard

    def rows(self, query: str = "SELECT * FROM notification ORDER BY notification_id") -> list[dict]:
        return self.merchant.sql(query)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, ledger_file, doku_keys) -> Iterator[Alone]:
    import shutil

    from include.domain.connection import ConnectionSettings

    root = tmp_path_factory.mktemp("alone")
    shutil.copyfile(ledger_file, root / "ledger.db")
    ledger = ConnectionSettings("doku_ledger", "sqlite", host=str(root / "ledger.db"))
    changes = changed(TAKES_ALL, {"notifications": {"max_age_hours": False, "max_skew_minutes": 1440}})
    merchant = Merchant(root, ledger, doku_keys, changes=changes)
    made = Alone(merchant, root, free_port(), None)  # type: ignore[arg-type]
    made.start()
    yield made
    made.process.stop()
    merchant.ledger.engine.dispose()
    merchant.billing.dispose()


@pytest.fixture(autouse=True)
def _empty(alone):
    with alone.merchant.ledger.write() as connection:
        connection.exec_driver_sql("DELETE FROM notification")


def request(body: bytes = BODY, close: bool = True, **changes: str | None) -> bytes:
    """A good request, or one with other headers."""
    headers = {"Host": "doku-calls", "Content-Length": str(len(body)), **signed("payment", body)}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    if close:
        headers["Connection"] = "close"
    lines = [
        f"POST {path_of()} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items() if value is not None),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _head(**changes: str | None) -> bytes:
    return request(**changes).removesuffix(BODY)


def test_a_notification_over_a_socket(alone):
    heard = alone.talk(request())
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert b"server:" not in heard.lower()
    assert len(alone.rows()) == 1


def test_a_body_in_chunks(alone):
    head = _head(Content_Length=None, Transfer_Encoding="chunked")
    heard = alone.talk(head, *(b"1\r\n%c\r\n" % one for one in BODY), b"0\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert bytes(alone.rows()[0]["body"]) == BODY


def test_requests_sent_one_after_the_other_without_waiting(alone):
    first, second = request(b'{"n": 1}', close=False), request(b'{"n": 2}')
    heard = alone.talk(first + second)
    assert heard.count(b"HTTP/1.1 200 ") == 2
    assert len(alone.rows()) == 2


ATTACKS = {
    "a head that does not end": ([b"POST /doku", b"/noti", b"fications"], 0.3, b""),
    "silence": ([], 0.0, b""),
    "a body that does not come": ([_head()], 0.0, b"408"),
    "a body drop by drop": ([_head(), *(BODY[n : n + 1] for n in range(8))], 0.2, b"408"),
    "a head of 100 kB": ([b"POST / HTTP/1.1\r\n" + b"X-A: " + b"x" * 100_000 + b"\r\n\r\n"], 0.0, b"400"),
    "ten thousand headers": ([b"POST / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 10_000 + b"\r\n"], 0.0, b"4"),
    "two lengths": ([request().replace(b"Host:", b"Content-Length: 2\r\nHost:")], 0.0, b"400"),
    "a length and chunks, disagreeing": ([request(Transfer_Encoding="chunked")], 0.0, b"400"),
    "chunks of no size": ([_head(Content_Length=None, Transfer_Encoding="chunked"), b"ZZ\r\n"], 0.0, b"400"),
    "an endless stream of chunks": (
        [_head(Content_Length=None, Transfer_Encoding="chunked"), *([b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 8)],
        0.0,
        b"413",
    ),
    "a second request hidden in the body": (
        [request(BODY + b"POST /doku/notifications/insurance/payment HTTP/1.1\r\n\r\n", Content_Length="29")],
        0.0,
        b"",
    ),
    "no HTTP at all": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n"], 0.0, b"400"),
    "a bare line feed in a header": ([request(Request_Id="x\nSignature: y")], 0.0, b""),
    "a path with a space": ([request().replace(b"/payment HTTP", b"/pay ment HTTP", 1)], 0.0, b"400"),
    "the path as a whole address": ([request().replace(b"POST /", b"POST http://x/", 1)], 0.0, b"404"),
    "out of the folder": ([request().replace(b"/insurance/", b"/../../insurance/", 1)], 0.0, b"404"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_over_a_socket(alone, name):
    parts, pause, status = ATTACKS[name]
    heard = alone.talk(*parts, pause=pause)
    if status:
        assert heard.startswith(b"HTTP/1.1 " + status), heard[:200]
    assert b" 200 OK" not in heard
    assert b"Traceback" not in heard
    assert alone.rows() == []
    assert alone.process.is_running()


def test_a_line_closed_on_one_side(alone):
    heard = alone.talk(_head() + BODY[:5], half=True)
    assert b" 200 OK" not in heard
    assert alone.rows() == []


def test_silent_connections_shut_nobody_out(alone):
    silent = [socket.create_connection(("127.0.0.1", alone.port)) for _ in range(100)]
    try:
        assert alone.talk(request()).startswith(b"HTTP/1.1 200 ")
        until = time.monotonic() + 20
        for line in silent:
            line.settimeout(max(0.1, until - time.monotonic()))
            assert line.recv(1) == b""  # closed by the server
    finally:
        for line in silent:
            line.close()


def test_stopped_it_keeps_what_it_has_counted(alone):
    assert alone.talk(request().replace(b"POST", b"PUT", 1)).startswith(b"HTTP/1.1 405 ")
    alone.process.stop()
    try:
        counts = alone.rows("SELECT reason, count FROM refused_notification WHERE reason = 'method'")
        assert counts == [{"reason": "method", "count": 1}]
    finally:
        alone.start()


def test_killed_in_the_middle_nothing_is_lost_and_nothing_is_there_twice(alone):
    """The sender repeats whatever was not answered with 200, as DOKU does."""
    bodies = [json.dumps({"n": n, "id": str(uuid.uuid4())}).encode() for n in range(150)]
    answered: list[bytes] = []

    client = httpx.Client(base_url=alone.url, timeout=5)

    def send(body: bytes) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                answer = client.post(path_of(), content=body, headers=signed("payment", body))
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code == 200:
                answered.append(body)
                return
            time.sleep(0.1)

    with ThreadPoolExecutor(8) as senders:
        sent = [senders.submit(send, body) for body in bodies]
        while len(answered) < 40:
            time.sleep(0.005)
        os.kill(alone.process.pid, signal.SIGKILL)
        alone.start()
        for one in sent:
            one.result()
    assert sorted(answered) == sorted(bodies)
    assert sorted(bytes(row["body"]) for row in alone.rows()) == sorted(bodies)
