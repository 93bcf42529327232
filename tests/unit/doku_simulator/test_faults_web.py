"""Faults of the HTTP side: what the merchant sees, and what is true."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.doku_simulator import Fault, HttpConfig, Simulator
from tests.unit.doku_simulator.conftest import MakeConfig
from tests.unit.doku_simulator.merchant_web import WebMerchant

TOKENS = "/tokenization/v2/get-token"
C1 = {"customer": {"id": "C1"}}

Play = Callable[..., AbstractContextManager[WebMerchant]]


@pytest.fixture
def play(make_config: MakeConfig) -> Play:
    @contextmanager
    def run(*faults: Fault | str, **settings: object) -> Iterator[WebMerchant]:
        config = HttpConfig(**{"listen": False, **settings})  # type: ignore[arg-type]
        with Simulator(make_config(http=config)) as simulator:
            simulator.behave(faults=faults)
            yield WebMerchant(simulator)

    return run


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
