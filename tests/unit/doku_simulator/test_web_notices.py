"""Notifications: who takes them, when they are tried again, what is kept."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.unit.doku_simulator.conftest import Merchant, Play
from tests.unit.doku_simulator.merchant_web import WebMerchant

FACTS = {"billing_number": "BILL1", "customer_id": "C1", "status": "SUCCESS", "token": "tok", "masked_card": "4111"}


def send(web: WebMerchant, bill: str = "BILL1") -> None:
    web.simulator.web.notices.send("registration", bill, {**FACTS, "billing_number": bill})


def moments(web: WebMerchant) -> list[str]:
    return [record["at"][11:] for record in web.simulator.web.notifications]


@pytest.mark.parametrize("dialect", ["json", "onecheckout"])
def test_it_is_tried_at_30_minutes_6_and_12_hours_and_never_again(play: Play, dialect: str) -> None:
    with play(dialect=dialect) as web:
        web.inbox.answers = [OSError("nobody there"), (500, b"CONTINUE"), (404, b""), (302, b"")]
        send(web)
        web.simulator.web.advance_to("2026-12-01")
        assert moments(web) == ["11:06:40Z", "11:36:40Z", "17:06:40Z", "23:06:40Z"]
        assert web.simulator.web.notices.states() == {1: "stopped"}
        assert len(web.inbox.good()) == 4
        web.simulator.web.notices.resend(1)
        web.simulator.web.tick()
        assert web.simulator.web.notices.states() == {1: "taken"}


def test_the_form_dialect_wants_to_hear_continue(play: Play) -> None:
    with play(dialect="onecheckout") as web:
        web.inbox.answers = [(200, b"STOP"), (200, b"CONTINUE\n")]
        send(web)
        web.simulator.web.advance_to("2026-12-01")
        assert len(web.inbox.came) == 2
        assert web.inbox.good()[0]["STATUSTYPE"] == "G"


@pytest.mark.parametrize(("setting", "ids"), [("same", 1), ("new", 2)])
def test_a_retry_has_the_same_id_or_a_new_one(play: Play, setting: str, ids: int) -> None:
    with play(retry_request_id=setting, retry_stamp=setting) as web:
        web.inbox.answers = [(500, b"")]
        send(web)
        web.simulator.web.advance_to("2026-12-01")
        assert len({headers["Request-Id"] for _, headers, _ in web.inbox.came}) == ids
        assert len({headers["Request-Timestamp"] for _, headers, _ in web.inbox.came}) == ids
        assert len(web.inbox.good()) == 2


def test_tries_wait_over_a_restart(play: Play, tmp_path: Path) -> None:
    with play(root=tmp_path / "one") as web:
        web.inbox.answers = [(500, b"")]
        send(web)
        web.simulator.web.advance_to("2026-11-18T18:10:00+07:00")
    with play(root=tmp_path / "one") as web:
        assert web.simulator.web.clock.now() == 1_795_000_200
        web.simulator.web.advance_to("2026-12-01")
        assert len(web.inbox.good()) == 1
        assert [record["number"] for record in web.simulator.web.notifications] == [1, 2]


def test_without_an_address_nothing_is_sent(play: Play) -> None:
    with play(notify_urls={}) as web:
        send(web)
        web.simulator.web.tick()
        assert web.simulator.web.notices.states() == {1: "no address"}


def test_no_journal_holds_a_token(play: Play) -> None:
    with play() as web:
        send(web)
        web.simulator.web.tick()
        assert web.inbox.good()[0]["token"]["id"] == "tok"
        assert all('"tok"' not in path.read_text() for path in web.simulator.config.root.glob("*.jsonl"))


def test_a_report_is_announced(play: Play) -> None:
    with play(dialect="onecheckout") as web:
        Merchant(web.simulator).drop("TKN1.TXT", 2)
        web.simulator.process_once()
        web.simulator.web.tick()
        (told,) = web.inbox.good("report_ready")
        assert told["service"] == {"id": "BATCH_UPLOAD"}
        assert (told["batch_file"]["name"], told["batch_file"]["status"]) == ("RPT_TKN1.TXT", "DONE")


@pytest.fixture
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """A merchant with a real socket."""
    came: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/doku", came
        server.shutdown()
        thread.join()


def test_over_a_socket(play: Play, listening: tuple[str, list[bytes]]) -> None:
    url, came = listening
    with play(notify_urls={}, post=None) as web:
        web.simulator.web.set_notify_urls({"registration": url})
        send(web)
        web.simulator.web.tick()
        assert len(came) == 1
        assert web.simulator.web.notices.states() == {1: "taken"}
