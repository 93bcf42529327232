"""Faults of the HTTP side: what the merchant sees, and what is true."""

import json
from datetime import time

import pytest

from tests.doku_simulator import Fault
from tests.unit.doku_simulator.conftest import Play
from tests.unit.doku_simulator.merchant_web import WebMerchant, read

TOKENS = "/tokenization/v2/get-token"
C1 = {"customer": {"id": "C1"}}


def test_api_slow(play: Play) -> None:
    with play(Fault("api_slow", params={"seconds": 0.01}, match=TOKENS)) as web:
        assert web.call("/orders/v1/status/X")[0] == 404
        assert web.ask(TOKENS, C1)
        assert [record["fault"] for record in web.simulator.web.requests] == ["", "api_slow"]


def test_api_error(play: Play) -> None:
    with play("api_error", Fault("api_error", params={"carried_out": True})) as web:
        status, _, body = web.call(TOKENS, C1, "r1")
        assert (status, json.loads(body)["error"]) == (500, "Internal Server Error")
        assert web.call(TOKENS, C1, "r1")[0] == 500
        assert web.call(TOKENS, C1, "r1")[0] == 409, "the second 500 hid an answer"


def test_api_cut(play: Play) -> None:
    with play("api_cut", listen=True) as web:
        with pytest.raises((ConnectionError, OSError)):
            web.call(TOKENS, C1)
        assert web.call(TOKENS, C1)[0] == 200


def test_api_refused(play: Play) -> None:
    shapes = [{}, {"shape": "error_messages", "status": 400}, {"shape": "message", "status": 429}]
    with play(*(Fault("api_refused", params=shape) for shape in shapes)) as web:
        answers = [web.call(TOKENS, C1) for _ in shapes]
        assert [answer[0] for answer in answers] == [412, 400, 429]
        assert [next(iter(json.loads(answer[2]))) for answer in answers] == ["error", "error_messages", "message"]


def test_api_wrong_signature(play: Play) -> None:
    with play("api_wrong_signature") as web:
        with pytest.raises(AssertionError):
            web.ask(TOKENS, C1)
        assert web.ask(TOKENS, C1)


def test_api_unsigned(play: Play) -> None:
    with play("api_unsigned") as web:
        assert "Signature" not in web.call(TOKENS, C1)[1]


def test_the_clock_is_wrong(play: Play) -> None:
    with play(Fault("clock_skew", params={"seconds": 3600})) as web:
        assert web.call(TOKENS, C1)[1]["Response-Timestamp"] == "2026-11-18T12:06:40Z"


def test_status_answer(play: Play) -> None:
    with play(Fault("status_answer", params={"status": "TIMEOUT"})) as web:
        web.simulator.config.root.joinpath("processed.jsonl").write_text(
            json.dumps({
                "invoice_number": "A", "duplicate": False, "charged_at": "2026-11-18T09:00:00+00:00", "currency": "IDR",
                "reported": 5, "charged": 5, "response_code": "0000", "masked_card": "4", "approval_code": "1",
                "bank": "014", "network": "VISA",
            }) + "\n"
        )  # fmt: skip
        assert web.ask("/orders/v1/status/A")["transaction"]["status"] == "TIMEOUT"
        assert web.ask("/orders/v1/status/A")["transaction"]["status"] == "SUCCESS"


def test_token_dead_when_asked(play: Play) -> None:
    with play("token_dead") as web:
        vault = web.simulator.web.vault
        vault.put("C1", ["a", "b"])
        assert len(web.ask(TOKENS, C1)["tokens"]) == 1
        assert vault.is_dead("a") != vault.is_dead("b")


# --- notifications --------------------


def send(web: WebMerchant, *bills: str) -> list[str]:
    """Registration results of these bills, and all tries of the next two days; the billing numbers as they came."""
    for bill in bills or ("BILL1",):
        facts = {"billing_number": bill, "customer_id": "C1", "status": "SUCCESS", "token": "t", "masked_card": "4"}
        web.simulator.web.notices.send("registration", bill, facts)
    web.simulator.web.advance_to(web.simulator.web.clock.now() + 2 * 86400)
    return [read(body)["billing"]["billing_number"] for _, _, body in web.inbox.came]


def faults_of(web: WebMerchant) -> list[str]:
    return [record["fault"] for record in web.simulator.web.notifications]


def test_notification_lost(play: Play) -> None:
    with play("notification_lost") as web:
        assert send(web, "BILL1", "BILL2") == ["BILL2"]
        assert web.simulator.web.notices.states() == {1: "lost", 2: "taken"}


@pytest.mark.parametrize("request_id", ["same", "new"])
def test_notification_repeated(play: Play, request_id: str) -> None:
    with play(Fault("notification_repeated", params={"count": 2, "request_id": request_id})) as web:
        assert send(web) == ["BILL1"] * 3
        ids = [headers["Request-Id"] for _, headers, _ in web.inbox.came]
        stamps = [headers["Request-Timestamp"] for _, headers, _ in web.inbox.came]
        assert len(set(ids)) == (1 if request_id == "same" else 3)
        assert len(set(stamps)) == 3
        assert len(web.inbox.good()) == 3


def test_notification_reordered(play: Play) -> None:
    with play("notification_reordered") as web:
        assert send(web, "BILL1", "BILL2", "BILL3") == ["BILL2", "BILL1", "BILL3"]


def test_notification_delayed(play: Play) -> None:
    with play("notification_delayed") as web:
        assert send(web, "BILL1", "BILL2", "BILL3") == ["BILL2", "BILL3", "BILL1"]
        assert web.simulator.web.notifications[-1]["at"] == "2026-11-18T13:06:40Z"


@pytest.mark.parametrize("how", ["seeded", "other_key", "altered", "no_signature", "other_client"])
@pytest.mark.parametrize("dialect", ["json", "onecheckout"])
def test_notification_forged(play: Play, dialect: str, how: str) -> None:
    with play(Fault("notification_forged", params={"how": how}), dialect=dialect) as web:
        web.inbox.answers = [(200, b"CONTINUE"), (401, b"STOP")]
        facts = {"billing_number": "BILL1", "customer_id": "C1", "status": "FAILED", "code": "5520", "message": "NO"}
        web.simulator.web.notices.send("registration", "BILL1", facts)
        web.simulator.web.advance_to("2026-12-01")
        assert (len(web.inbox.came), len(web.inbox.good())) == (2, 1)
        assert b"forged" in web.inbox.came[1][2]
        assert faults_of(web) == ["", "notification_forged"]


@pytest.mark.parametrize("signed", ["whole", "cut"])
def test_notification_truncated(play: Play, signed: str) -> None:
    with play(Fault("notification_truncated", params={"at": 20, "signed": signed})) as web:
        web.inbox.answers = [(400, b"")]
        web.simulator.web.notices.send("registration", "BILL1", {"billing_number": "BILL1", "status": "SUCCESS"})
        web.simulator.web.tick()
        ((url, headers, body),) = web.inbox.came
        assert len(body) == 20
        assert web.inbox.fits(url, headers, body) == (signed == "cut")
        web.simulator.web.advance_to("2026-11-19")
        assert len(web.inbox.came) == 2
        assert web.simulator.web.notices.states() == {1: "taken"}


def test_notification_unknown_kind(play: Play) -> None:
    with play("notification_unknown_kind") as web:
        send(web)
        assert [one["event"] for one in web.inbox.good()] == ["REGISTRATION", "SOMETHING_NEW"]


def test_notification_extra_fields(play: Play) -> None:
    with play("notification_extra_fields") as web:
        send(web)
        assert "additional_info" in web.inbox.good()[0]


def test_notification_answer_unseen(play: Play) -> None:
    with play("notification_answer_unseen") as web:
        assert send(web) == ["BILL1"] * 2
        assert [record["taken"] for record in web.simulator.web.notifications] == [False, True]


# --- scheduled charges --------------------


def december(web: WebMerchant, *, cancel: bool = False, amount: int | None = 150_000) -> list[tuple[str, str, int]]:
    """A bill of the 5th until the end of the year: due day, local day, money that moved."""
    bill = {
        "billing_number": "BILL1", "customer_id": "C1", "amount": amount, "execute_type": "DATE",
        "execute_date": "5,15", "start": "20261101",
    }  # fmt: skip
    web.simulator.web.bills.register(bill, token="tok")
    if cancel:
        web.simulator.web.bills.cancel("BILL1")
    web.simulator.web.advance_to("2026-12-31")
    return [(one["due_day"][8:], one["charged_at"][8:10], one["charged"]) for one in web.simulator.web.recurring]


SURE = {"mix": {"0000": 1}, "charge_at": time(8)}


def test_charge_missed(play: Play) -> None:
    with play("charge_missed", **SURE) as web:
        assert december(web) == [("15", "15", 150_000)]
        assert "missed" in [one["event"] for one in web.simulator.web.history]


def test_charge_late(play: Play) -> None:
    with play(Fault("charge_late", params={"days": 2}), **SURE) as web:
        assert december(web) == [("05", "07", 150_000), ("15", "15", 150_000)]


def test_charge_twice(play: Play) -> None:
    with play(Fault("charge_twice", match="BILL1/2026-12-15"), **SURE) as web:
        assert december(web) == [("05", "05", 150_000), ("15", "15", 150_000), ("15", "15", 150_000)]
        assert len({one["transaction"]["reference"] for one in web.inbox.good("payment")}) == 3


def test_charge_other_amount(play: Play) -> None:
    with play(Fault("charge_other_amount", params={"more": -50_000}), **SURE) as web:
        assert december(web) == [("05", "05", 100_000), ("15", "15", 150_000)]
        assert web.inbox.good("payment")[0]["order"]["amount"] == 100_000
        assert web.simulator.web.recurring[0]["amount"] == 150_000


def test_charge_after_cancel(play: Play) -> None:
    with play(Fault("charge_after_cancel", after=1), **SURE) as web:
        assert december(web, cancel=True) == [("15", "15", 150_000)]
        assert not web.simulator.web.recurring[0]["expected"]


def test_token_dead_when_charged(play: Play) -> None:
    with play(Fault("token_dead", match="BILL1/*"), **SURE) as web:
        assert december(web) == [("05", "05", 0), ("15", "15", 0)]
        assert {one["response_code"] for one in web.simulator.web.recurring} == {"5535"}
        assert web.simulator.web.vault.active("C1") == []


@pytest.mark.parametrize(("fault", "questions"), [("amount_asked_twice", 3), ("amount_answer_unseen", 3)])
def test_amount_questions_are_repeated(play: Play, fault: str, questions: int) -> None:
    with play(Fault(fault, match="BILL1/2026-12-05"), **SURE) as web:
        web.inbox.amounts["BILL1"] = b'{"order":{"amount":5000}}'
        assert december(web, amount=None) == [("05", "05", 5000), ("15", "15", 5000)]
        assert len(web.inbox.good("amount")) == questions
