"""DOKU's older interface: questions with WORDS, scheduled charges as forms, the customer's page; and a real kill."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.doku_simulator.web.answers import Answer, Question
from tests.unit.doku_simulator.conftest import Play
from tests.unit.doku_simulator.merchant_web import WebMerchant, read

REGISTRATION = {
    "MALLID": "10000042", "CHAINMERCHANT": "NA", "TRANSIDMERCHANT": "T1", "AMOUNT": "150000.00", "CURRENCY": "360",
    "CUSTOMERID": "C1", "BILLNUMBER": "BILL1", "BILLTYPE": "D", "STARTDATE": "20261101", "ENDDATE": "NA",
    "EXECUTETYPE": "DAY", "EXECUTEDATE": "MON,FRI", "EXECUTEMONTH": "NOV", "FLATSTATUS": "TRUE",
    "REGISTERAMOUNT": "150000.00",
}  # fmt: skip
MADE_OF = {
    "/Suite/Receive": ("AMOUNT", "MALLID", "key", "TRANSIDMERCHANT"),
    "/Suite/RecurUpdateCard": ("MALLID", "CHAINMERCHANT", "BILLNUMBER", "CUSTOMERID", "key"),
    "/AccountBilling/DoDeleteSubscriptionSuite": ("MALLID", "CHAINMERCHANT", "BILLNUMBER", "CUSTOMERID", "key"),
    "/Suite/CheckStatus": ("MALLID", "key", "TRANSIDMERCHANT"),
}


def post(web: WebMerchant, path: str, form: dict[str, str], words: str | None = None) -> Answer:
    text = "".join({**form, "key": web.simulator.web.shared_key}[name] for name in MADE_OF[path])
    sent = {**form, "WORDS": words or hashlib.sha1(text.encode()).hexdigest().upper()}
    return web.simulator.web.handle(Question("POST", path, {}, urlencode(sent).encode()))


def test_a_subscription_from_beginning_to_end(play: Play) -> None:
    with play(dialect="onecheckout", mix={"0000": 1}, registrations_abandoned=1.0) as web:
        page = post(web, "/Suite/Receive", REGISTRATION).headers["Location"].removeprefix("http://doku.example")
        handle = web.simulator.web.handle
        assert b"BILL1: registration, open" in handle(Question("GET", page, {}, b"")).body
        assert b"done" in handle(Question("POST", page, {}, b"outcome=success")).body
        web.simulator.web.advance_to("2026-12-05")
        (told,) = web.inbox.good("registration")
        assert (told["STATUSTYPE"], told["STATUS"]) == ("G", "SUCCESS")
        paid = web.inbox.good("payment")
        assert [one["PAYMENTDATETIME"][:8] for one in paid] == ["20261120", "20261123", "20261127", "20261130"]
        assert {one["AMOUNT"] for one in paid} == {"150000.00"}
        assert {(one["RESPONSECODE"], one["RESULTMSG"], one.get("STATUSTYPE", "")) for one in paid} == {
            ("0000", "SUCCESS", "")
        }
        post(web, "/Suite/RecurUpdateCard", REGISTRATION)
        web.simulator.web.bills.complete("BILL1")
        web.simulator.web.tick()
        assert web.inbox.good("card_update")[0]["STATUSTYPE"] == "T"
        asked = {**REGISTRATION, "TRANSIDMERCHANT": paid[0]["TRANSIDMERCHANT"]}
        assert b"<RESULTMSG>SUCCESS</RESULTMSG>" in post(web, "/Suite/CheckStatus", asked).body
        assert b"5516" in post(web, "/Suite/CheckStatus", {**asked, "TRANSIDMERCHANT": "X"}).body
        assert post(web, "/AccountBilling/DoDeleteSubscriptionSuite", REGISTRATION).body == b"SUCCESS"
        assert web.simulator.web.bills.find("BILL1").status == "cancelled"


def test_the_payment_that_a_card_is_registered_by_may_be_told(play: Play) -> None:
    with play(dialect="onecheckout", tell_first_payment=True) as web:
        web.simulator.web.bills.register(
            {
                "billing_number": "BILL1", "customer_id": "C1", "amount": 5000, "execute_type": "DATE",
                "execute_date": "1", "start": "20261101",
            },
            token="tok",
        )  # fmt: skip
        web.simulator.web.tick()
        form = next(read(body) for url, _, body in web.inbox.came if url.endswith("payment"))
        key = web.simulator.web.shared_key
        assert form["STATUSTYPE"] == "P"
        assert form["WORDS"] == hashlib.sha1(f"5000.0010000042{key}FIRSTBILL1SUCCESSNA".encode()).hexdigest()
        assert web.simulator.web.recurring == [], "it is voided: no money moved"


def test_wrong_words_and_wrong_bills_are_refused(play: Play) -> None:
    with play(dialect="onecheckout") as web:
        assert post(web, "/Suite/Receive", REGISTRATION, words="0" * 40).body == b"FAILED;5504;WORDS does not match"
        assert post(web, "/Suite/Receive", {**REGISTRATION, "EXECUTEDATE": "29"}).body.startswith(b"FAILED;5505")
        assert post(web, "/Suite/Receive", {**REGISTRATION, "MALLID": "1"}).body.startswith(b"FAILED;5521")
        missing = urlencode({"MALLID": "10000042"}).encode()
        answer = web.simulator.web.handle(Question("POST", "/Suite/CheckStatus", {}, missing))
        assert answer.body == b"FAILED;5512;TRANSIDMERCHANT is missing"


@pytest.mark.parametrize("kind", ["sha256", "hmac-sha1", "hmac-sha256"])
def test_other_hashes(play: Play, kind: str) -> None:
    with play(dialect="onecheckout", words=kind) as web:
        web.simulator.web.notices.send(
            "registration", "BILL1", {"billing_number": "BILL1", "customer_id": "C1", "status": "SUCCESS"}
        )
        web.simulator.web.tick()
        key = web.simulator.web.shared_key
        text = f"10000042NABILL1C1SUCCESS{key}".encode()
        if kind == "sha256":
            expected = hashlib.sha256(text).hexdigest()
        else:
            expected = hmac.new(key.encode(), text, kind.removeprefix("hmac-")).hexdigest()
        assert f"WORDS={expected}" in web.inbox.came[0][2].decode()


def test_a_kill_and_a_restart_are_the_same_server(tmp_path: Path, key_folder: Path) -> None:
    root = tmp_path / "doku"
    root.mkdir()
    (root / "keys").symlink_to(key_folder)
    settings = tmp_path / "http.toml"
    settings.write_text('start_at = 2026-01-01T00:00:00+07:00\ntokens = "none"\nnotify_timeout = 1.0\n')

    def run() -> tuple[subprocess.Popen, dict]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.doku_simulator",
                "--root",
                root,
                "--port",
                "0",
                "--http-port",
                "0",
                "--http",
                settings,
            ],
            stdout=subprocess.PIPE,
        )
        return process, json.loads(process.stdout.readline())["http"]

    def tell(http: dict, name: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{http['url']}/_simulator/{name}", data, timeout=10) as answer:
            return json.load(answer)

    process, http = run()
    try:
        tell(http, "tokens", {"customer_id": "C1", "tokens": ["one"]})
        tell(http, "advance", {"to": "2026-02-03"})
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process, again = run()
    try:
        assert again["secret_key"] == http["secret_key"]
        assert tell(again, "state")["now"] == 1_770_137_999
    finally:
        process.terminate()
        assert process.wait(20) == 0
