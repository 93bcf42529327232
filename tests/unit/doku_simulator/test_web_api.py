"""DOKU's API: signature, idempotency, shapes of errors, notify, status, tokens."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doku_simulator import HttpConfig, Simulator
from tests.doku_simulator.web import signature
from tests.unit.doku_simulator.conftest import MakeConfig, Merchant
from tests.unit.doku_simulator.merchant_web import WebMerchant

NOTIFY, TOKENS, STATUS = "/batch-upload/v1/notify", "/tokenization/v2/get-token", "/orders/v1/status/"


@pytest.fixture
def web(make_config: MakeConfig) -> Iterator[WebMerchant]:
    with Simulator(make_config(http=HttpConfig(listen=False))) as simulator:
        yield WebMerchant(simulator)


def test_the_check_values_of_the_signature() -> None:
    known = ("test-secret", "MCH-TEST-0001", "11111111-2222-3333-4444-555555555555", "2026-01-02T03:04:05Z")
    body = b'{"file_name":"TKN_20260101_0001.TXT"}'
    assert signature.digest(body) == "mFufRtAt3Y9MOIRxqGvd7aFGRzW4fZBZmSeEWOZelKw="
    assert signature.sign(*known, NOTIFY, body) == "HMACSHA256=RIjTaxl1q6RfTYWkQwXi4+pohi9De8Jq/RepwUADgNw="
    assert signature.sign(*known, STATUS + "INV-1", None) == "HMACSHA256=rsBVQbAST93gR92Os3v9ZaZXrhgJmgBA/atrPyJ22ks="


def test_over_a_socket(make_config: MakeConfig) -> None:
    with Simulator(make_config(http=HttpConfig())) as simulator:
        web = WebMerchant(simulator)
        assert simulator.describe()["http"]["url"] == f"http://127.0.0.1:{simulator.web.port}"
        assert web.ask(TOKENS, {"customer": {"id": "C1"}})["customer"] == {"id": "C1"}
        status, headers, _ = web.call(STATUS + "nothing")
        assert (status, headers["Date"]) == (404, "Wed, 18 Nov 2026 11:06:40 GMT")


def test_what_is_signed_wrongly_is_refused(web: WebMerchant) -> None:
    body = b'{"customer":{"id":"C1"}}'
    good = web.headers(TOKENS, "r", body)

    def call(**changes: str) -> tuple[int, str]:
        status, _, data = web.call(TOKENS, body, headers={**good, **changes})
        return status, json.loads(data)["error"]["code"]

    wrong = web.headers(TOKENS, "r", body, secret="another")["Signature"]
    assert call(Signature=wrong) == (401, "invalid_signature")
    assert call(**{"Request-Id": "s"}) == (401, "invalid_signature")
    assert call(**{"Client-Id": "MCH-X"}) == (401, "invalid_client_id")
    assert call(**{"Request-Id": ""}) == (400, "INVALID_PARAMETER")
    assert call(**{"Request-Id": "r" * 129}) == (400, "INVALID_PARAMETER")
    assert call(**{"Request-Timestamp": "2026-01-02 03:04:05"}) == (400, "INVALID_PARAMETER")
    assert web.call(TOKENS, body + b" ", headers=good)[0] == 401
    assert web.call(TOKENS, body, headers=good)[0] == 200


def test_old_questions_are_refused_where_configured(make_config: MakeConfig) -> None:
    with Simulator(make_config(http=HttpConfig(listen=False, timestamp_window=300))) as simulator:
        assert WebMerchant(simulator).call(STATUS + "X")[0] == 400


def test_a_repeat_has_the_first_answer_with_409(web: WebMerchant, make_config: MakeConfig) -> None:
    first = web.call(TOKENS, {"customer": {"id": "C1"}}, "r1")
    web.simulator.web.vault.put("C1", [])
    again = web.call(TOKENS, {"customer": {"id": "C1"}}, "r1")
    assert (first[0], again[0], first[2]) == (200, 409, again[2])
    status, _, body = web.call(TOKENS, {"customer": {"id": "C2"}}, "r1")
    assert (status, json.loads(body)["error"]["code"]) == (409, "idempotency_conflict")
    web.simulator.stop()
    with Simulator(make_config(http=HttpConfig(listen=False))) as later:
        assert WebMerchant(later).call(TOKENS, {"customer": {"id": "C1"}}, "r1")[2] == first[2]
        assert [record["replay"] for record in later.web.requests] == [False, True, False, True]


def test_shapes_of_errors(web: WebMerchant) -> None:
    assert json.loads(web.call(NOTIFY, b"{", "r1")[2]) == {"error_messages": ["request body is not valid JSON"]}
    assert set(json.loads(web.call("/nowhere", {}, "r2")[2])) == {"timestamp", "status", "error", "path"}
    assert json.loads(web.call(NOTIFY, {}, "r3")[2])["error"]["message"] == "file_name is mandatory"


def test_notify_knows_files(web: WebMerchant) -> None:
    merchant = Merchant(web.simulator)
    assert web.call(NOTIFY, {"file_name": "TKN1.TXT"}, "r1")[0] == 400
    merchant.drop("TKN1.TXT", 2)
    assert web.ask(NOTIFY, {"file_name": "TKN1.TXT"}, "r2")["batch_file"]["status"] == "RECEIVED"
    web.simulator.process_once()
    assert web.call(NOTIFY, {"file_name": "TKN1.TXT"}, "r3")[0] == 200


def test_status_of_batch_attempts(web: WebMerchant) -> None:
    amounts = {"A": 158_100, "B": 158_151, "C": 158_136, "D": 258_136, "E": 358_136, "F": 458_136}
    Merchant(web.simulator).drop("TKN1.TXT", list(amounts.items()))
    assert web.call(STATUS + "A")[0] == 404
    web.simulator.process_once()
    moved = {record["invoice_number"] for record in web.simulator.charged}
    assert {"C", "D", "E", "F"} & moved, "the test wants an unknown answer that moved money"
    for invoice in amounts:
        answer = web.ask(STATUS + invoice)
        assert answer["transaction"]["status"] == ("SUCCESS" if invoice in moved else "FAILED")
        assert answer["order"] == {"invoice_number": invoice, "amount": amounts[invoice], "currency": "IDR"}
    assert web.ask(STATUS + "B")["card_payment"]["response_code"] == "51"
    web.simulator.web.statuses.put("B", "REFUNDED")
    assert web.ask(STATUS + "B")["transaction"]["status"] == "REFUNDED"


def test_status_waits_and_does_not_know_where_configured(make_config: MakeConfig) -> None:
    config = HttpConfig(listen=False, status_wait=60, status_knows="never")
    with Simulator(make_config(http=config)) as simulator:
        web = WebMerchant(simulator)
        Merchant(simulator).drop("TKN1.TXT", [("C", 158_136)])
        simulator.process_once()
        assert web.ask(STATUS + "C")["transaction"]["status"] == "PENDING"
        simulator.web.advance_to(simulator.config.clock() + 61)
        assert web.ask(STATUS + "C")["transaction"]["status"] == "TIMEOUT"


def test_tokens_of_customers(web: WebMerchant, make_config: MakeConfig) -> None:
    def tokens(customer: str) -> list[str]:
        web.asked = getattr(web, "asked", 0) + 1  # type: ignore[attr-defined]
        answer = web.ask(TOKENS, {"customer": {"id": customer}}, f"t{web.asked}")  # type: ignore[attr-defined]
        return [token["token_id"] for token in answer["tokens"]]

    counts = {len(tokens(f"C{number}")) for number in range(60)}
    assert counts == {0, 1, 2, 3}
    vault = web.simulator.web.vault
    vault.put("C1", ["one", {"token": "two", "channel": "EMONEY_OVO"}])
    assert tokens("C1") == ["one", "two"]
    vault.kill("one")
    assert tokens("C1") == ["two"]
    web.simulator.stop()
    with Simulator(make_config(http=HttpConfig(listen=False))) as later:
        assert [token["token"] for token in later.web.vault.active("C1")] == ["two"]


def test_a_dead_token_is_charged_by_no_batch(web: WebMerchant) -> None:
    web.simulator.web.vault.put("C1", ["tok-A"])
    web.simulator.web.vault.kill("tok-A")
    Merchant(web.simulator).drop("TKN1.TXT", [("A", 158_100), ("B", 158_100)])
    web.simulator.process_once()
    assert [line[7] for line in Merchant(web.simulator).report("RPT_TKN1.TXT")[1:]] == ["5535", "0000"]


def test_the_control_questions(web: WebMerchant, tmp_path: Path) -> None:
    def tell(name: str, body: object) -> int:
        return web.call(f"/_simulator/{name}", body, headers={"X": "x"})[0]

    assert tell("tokens", {"customer_id": "C1", "tokens": ["a"]}) == 200
    assert tell("advance", {"to": "2027-01-01"}) == 200
    assert web.simulator.web.clock.now() == 1_798_822_799
    assert tell("notify-urls", {"payment": "http://127.0.0.1:1/x"}) == 200
    assert tell("notify-urls", {"other": "http://127.0.0.1:1/x"}) == 400
    assert tell("nothing", {}) == 404
