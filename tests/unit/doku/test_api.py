"""The client of DOKU's API: over a real socket to the simulator, and every shape of answer in words."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from include.doku.api import ApiSettings, Bucket, DokuApi
from include.doku.api_errors import shown
from include.doku.signature import Key, Signed, sign_response
from include.domain.connection import ConnectionSettings
from include.domain.errors import (
    ApiAnswerUnreadable,
    ApiAnswerUnsigned,
    ApiRefused,
    ApiUnauthorised,
    ApiUnreachable,
    ConfigError,
)
from include.schemas.http_settings import HttpSettings
from tests.doku_simulator import HttpConfig, Simulator
from tests.doku_simulator.behaviour import Fault
from tests.flows_harness import Merchant

NOW = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)
SECRET = "a secret key"
CONNECTION = ConnectionSettings("doku_api", "doku", host="api-sandbox.doku.com", login="MCH-1", password=SECRET)

Handler = Callable[[httpx.Request], httpx.Response]


def settings(**changes: Any) -> ApiSettings:
    return ApiSettings.from_connection(CONNECTION, HttpSettings(**changes))


def signed(
    request: httpx.Request, response: httpx.Response, at: datetime = NOW, secret: str = SECRET
) -> httpx.Response:
    """As DOKU signs an answer."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = Signed("MCH-1", request.headers["Request-Id"], stamp, request.url.raw_path.decode())
    response.headers["Response-Timestamp"] = stamp
    response.headers["Signature"] = sign_response(Key(secret), lines, response.content)
    return response


class Doku:
    """Answers with what was prepared, signed; keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Handler, sign: bool = True) -> None:
        self.answers, self.sign = list(answers), sign
        self.asked: list[httpx.Request] = []
        self.waits: list[float] = []

    def api(self, now: datetime = NOW, **changes: Any) -> DokuApi:
        return DokuApi(settings(**changes), lambda: now, self.waits.append, httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, httpx.Response):
            return answer(request)
        return signed(request, answer) if self.sign else answer


def no(status: int, body: Any, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, content=body if isinstance(body, bytes) else json.dumps(body).encode(), headers=headers
    )


GOOD = {"batch_file": {"status": "RECEIVED"}}


# --- over a socket --------------------


@pytest.fixture
def simulator(merchant: Merchant) -> Iterator[Simulator]:
    with merchant.doku(http=HttpConfig()) as simulator:
        yield simulator


def api_of(simulator: Simulator, waits: list[float] | None = None, **changes: Any) -> DokuApi:
    told = simulator.describe()["http"]
    connection = ConnectionSettings(
        "doku_api", "doku", host=told["url"], login=told["client_id"], password=told["secret_key"]
    )
    wait = (waits if waits is not None else []).append
    return DokuApi(ApiSettings.from_connection(connection, HttpSettings(**changes), "sandbox"), wait=wait)


def test_all_calls_over_a_socket(simulator: Simulator, merchant: Merchant) -> None:
    merchant.server.put("/inbound/TKN_1.TXT", b"x")
    with api_of(simulator) as api:
        tokens = api.get_tokens("C-1", "t-1")
        assert tokens.body["customer"] == {"id": "C-1"}
        assert not tokens.replay
        again = api.get_tokens("C-1", "t-1")
        assert (again.http_status, again.replay, again.body) == (409, True, tokens.body)
        with pytest.raises(ApiRefused) as caught:
            api.status("BILL 1/2026-11-20")
        assert caught.value.http_status == 404
        assert "/orders/v1/status/BILL%201%2F2026-11-20" in caught.value.message
        with pytest.raises(ApiRefused, match=r"file TKN_X\.TXT is not found"):
            api.notify_batch("TKN_X.TXT", "n-1")
        assert api.clock_problem is None


def test_what_was_done_and_not_answered_is_asked_again_and_done_once(simulator: Simulator) -> None:
    for fault in ("api_cut", "api_error"):
        simulator.behave(faults=[Fault(fault, params={"carried_out": True})])
        waits: list[float] = []
        with api_of(simulator, waits) as api:
            answer = api.get_tokens("C-1", f"once-{fault}")
        assert (answer.replay, waits) == (True, [1.0])


def test_a_wrong_key_and_a_slow_server(simulator: Simulator) -> None:
    simulator.behave(faults=[Fault("api_slow", params={"seconds": 0.6})])
    with api_of(simulator, timeout_seconds=0.2, tries=1) as api, pytest.raises(ApiUnreachable, match="ReadTimeout"):
        api.status("X")
    other = ConnectionSettings(
        "doku_api", "doku", host=simulator.describe()["http"]["url"], login="MCH-0001-SIMULATED", password="wrong"
    )
    with DokuApi(ApiSettings.from_connection(other)) as api, pytest.raises(ApiUnauthorised, match="secret key"):
        api.status("X")


def test_a_clock_that_is_wrong_is_said(simulator: Simulator) -> None:
    simulator.behave(faults=[Fault("clock_skew", params={"seconds": 400})])
    with api_of(simulator) as api:
        api.get_tokens("C-1", "t-1")
        assert "seconds behind DOKU's" in (api.clock_problem or "")


@pytest.mark.parametrize("fault", ["api_wrong_signature", "api_unsigned"])
def test_an_answer_that_is_not_doku_s_is_not_believed(simulator: Simulator, fault: str) -> None:
    simulator.behave(faults=[Fault(fault)])
    with api_of(simulator) as api, pytest.raises(ApiAnswerUnsigned, match="nothing in it was believed"):
        api.get_tokens("C-1", "t-1")


# --- shapes --------------------


@pytest.mark.parametrize(
    ("status", "body", "said", "advice"),
    [
        (400, {"error": {"code": "INVALID_PARAMETER", "message": "file_name is mandatory", "type": "X"}},
         "INVALID_PARAMETER: file_name is mandatory", "mend the setting"),
        (400, {"error": {"code": "C", "message": ["one", "two"]}}, "C: one; two", "mend the setting"),
        (400, {"error_messages": ["order.amount is mandatory", "second"]}, "order.amount is mandatory; second", "mend"),
        (400, {"message": ["Invalid", "thing"]}, "Invalid; thing", "mend"),
        (400, {"message": "plain"}, "plain", "mend"),
        (401, {"error": {"code": "invalid_signature", "message": "Invalid Header Signature"}},
         "invalid_signature: Invalid Header Signature", "secret key"),
        (403, {"timestamp": "t", "status": 403, "error": "Forbidden", "path": "/x"}, "Forbidden", "activated"),
        (404, {"timestamp": "t", "status": 404, "error": "Not Found", "path": "/x", "message": "No route"},
         "Not Found, No route", "no such call"),
        (401, {"responseCode": "4017300", "responseMessage": "Unauthorized"}, "4017300: Unauthorized", "secret key"),
        (412, {"error": {"code": "P", "message": "3DS is not configured"}}, "P: 3DS is not configured", "not set up"),
        (422, b"<html>no</html>", "without saying why", "ask DOKU's support"),
        (418, {}, "without saying why", "ask DOKU's support"),
        (400, b"[" * 100_000, "without saying why", "mend"),
        (302, b"", "without saying why", "never followed"),
    ],
)  # fmt: skip
def test_shapes_of_errors(status: int, body: Any, said: str, advice: str) -> None:
    doku = Doku(no(status, body))
    with doku.api() as api, pytest.raises(ApiRefused) as caught:
        api.post("/x/y", {}, "r")
    assert f"with {status} ({said})." in caught.value.message
    assert advice in caught.value.message
    assert (caught.value.http_status, caught.value.retryable, len(doku.asked)) == (status, False, 1)
    assert isinstance(caught.value, ApiUnauthorised) == (status in (401, 403))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_with_the_same_id_and_a_new_signature(status: int) -> None:
    doku = Doku(no(status, b""), no(status, b""), no(200, GOOD))
    with doku.api(tries=3) as api:
        assert api.post("/x", {}, "r-1").body == GOOD
    assert doku.waits == [1.0, 2.0]
    assert {one.headers["Request-Id"] for one in doku.asked} == {"r-1"}
    spring = {"timestamp": "t", "status": status, "error": "Internal Server Error", "path": "/x"}
    with Doku(no(status, spring)).api(tries=2) as api, pytest.raises(ApiUnreachable, match="Internal Server") as caught:
        api.post("/x", {}, "r-1")
    assert (caught.value.retryable, caught.value.http_status) == (True, status)


def test_doku_says_when_to_ask_again() -> None:
    doku = Doku(no(429, b"", **{"Retry-After": "7"}), no(503, b"", **{"Retry-After": "9999"}), no(200, GOOD))
    with doku.api() as api:
        api.post("/x", {}, "r")
    assert doku.waits == [7.0, 30.0]


def test_each_status_question_has_an_id_of_its_own() -> None:
    doku = Doku(httpx.ConnectError("down"), no(200, GOOD))
    with doku.api() as api:
        api.status("INV-1")
    first, second = (one.headers["Request-Id"] for one in doku.asked)
    assert first != second
    assert "Digest" not in doku.asked[0].headers


def test_a_replay_of_a_no_is_a_no_and_of_a_breakdown_nobody_knows() -> None:
    with Doku(no(409, {"error_messages": ["bad"]})).api() as api, pytest.raises(ApiRefused, match="bad") as caught:
        api.post("/x", {}, "r")
    assert (caught.value.in_work, caught.value.http_status) == (False, 400)
    broken = no(409, {"timestamp": "t", "status": 500, "error": "Internal Server Error", "path": "/x"})
    with Doku(broken).api(tries=1) as api, pytest.raises(ApiUnreachable):
        api.post("/x", {}, "r")
    success = {"message": ["SUCCESS"], "response": {}}  # as DOKU's checkout says yes
    with Doku(no(409, success)).api() as api:
        assert api.post("/x", {}, "r").body == success


def test_an_id_that_is_in_use() -> None:
    conflict = no(409, {"error": {"code": "idempotency_conflict", "message": "in use"}})
    doku = Doku(conflict)
    with doku.api() as api, pytest.raises(ApiRefused, match="still being worked on") as caught:
        api.post("/x", {}, "r")
    assert (caught.value.in_work, len(doku.asked)) == (True, 1)
    doku = Doku(httpx.ReadTimeout("late"), conflict, no(409, GOOD))
    with doku.api() as api:
        assert api.post("/x", {}, "r").replay


@pytest.mark.parametrize(
    ("verify", "sign", "status", "believed"),
    [
        ("required", True, 200, True), ("required", False, 200, False), ("required", False, 409, False),
        ("if_signed", False, 200, True), ("never", False, 200, True),
    ],
)  # fmt: skip
def test_what_has_to_be_signed(verify: str, sign: bool, status: int, believed: bool) -> None:
    with Doku(no(status, GOOD), sign=sign).api(verify_answers=verify) as api:
        if believed:
            assert api.post("/x", {}, "r").body == GOOD
        else:
            with pytest.raises(ApiAnswerUnsigned, match="carries no signature"):
                api.post("/x", {}, "r")


@pytest.mark.parametrize("verify", ["required", "if_signed"])
@pytest.mark.parametrize("status", [200, 404, 409, 500])
def test_a_wrong_signature_is_never_believed(verify: str, status: int) -> None:
    doku = Doku(lambda request: signed(request, no(status, GOOD), secret="another"))
    with doku.api(verify_answers=verify) as api, pytest.raises(ApiAnswerUnsigned, match="wrong signature"):
        api.post("/x", {}, "r")


def test_an_answer_that_is_no_json_or_too_large() -> None:
    with Doku(no(200, b"<html>")).api() as api, pytest.raises(ApiAnswerUnreadable, match="no JSON"):
        api.post("/x", {}, "r")
    with Doku(no(200, b" " * 4_000_001)).api() as api, pytest.raises(ApiAnswerUnreadable, match="4,000,000 bytes"):
        api.post("/x", {}, "r")
    with Doku(no(204, b"")).api() as api:
        assert api.post("/x", {}, "r").body is None


def test_a_401_with_a_wrong_clock_says_so() -> None:
    refused = no(401, {"error": {"code": "invalid_signature", "message": "Invalid"}}, Date=format_datetime(NOW))
    with Doku(refused, sign=False).api(NOW - timedelta(hours=7)) as api, pytest.raises(ApiUnauthorised) as caught:
        api.post("/x", {}, "r")
    assert "This machine's clock is 25,200 seconds behind DOKU's" in caught.value.message
    with Doku(refused, sign=False).api(NOW + timedelta(seconds=59)) as api, pytest.raises(ApiUnauthorised) as caught:
        api.post("/x", {}, "r")
    assert "clock" not in caught.value.message


def test_nothing_secret_is_said() -> None:
    token, long = "0123456789abcdef0123456789abcdef", "x" * 1_000
    words = f"key {SECRET} token {token} card 4111111111111111 HMACSHA256=abc= {long}\n\x1b[31m"
    with Doku(no(400, {"error": {"code": SECRET, "message": words}})).api() as api, pytest.raises(ApiRefused) as caught:
        api.post("/x", {"token": token}, "r")
    said = caught.value.message
    for hidden in (SECRET, token, "4111111111111111", "abc=", "\x1b", long):
        assert hidden not in said
    assert SECRET not in repr(settings())
    kept = "request 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed of ABCDEFGHIJKLMNOPQR01"
    assert shown(kept) == kept


# --- settings --------------------


@pytest.mark.parametrize(
    ("changes", "environment", "url"),
    [
        ({}, "sandbox", "https://api-sandbox.doku.com"),
        ({"host": "https://API.doku.com/"}, "production", "https://api.doku.com"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8080}, "sandbox", "http://127.0.0.1:8080"),
        ({"host": "http://localhost:99"}, "production", "http://localhost:99"),
        ({"host": "http://[::1]:99"}, "sandbox", "http://[::1]:99"),
    ],
)
def test_where_it_is(changes: dict[str, Any], environment: str, url: str) -> None:
    connection = ConnectionSettings(**{**CONNECTION.__dict__, **changes})
    assert ApiSettings.from_connection(connection, environment=environment).base_url == url


@pytest.mark.parametrize(
    ("changes", "environment", "words"),
    [
        ({"host": "api.doku.com"}, "sandbox", "is DOKU's production, but the profile is of the sandbox"),
        ({"host": "API.DOKU.COM."}, "sandbox", "is DOKU's production"),
        ({"host": "https://api-sandbox.doku.com"}, "production", "use api.doku.com"),
        ({"schema": "http"}, "sandbox", "over https only"),
        ({"conn_type": "http"}, "sandbox", "of type doku"),
        ({"host": None}, "sandbox", "missing"),
        ({"login": None}, "sandbox", "Client-Id"),
        ({"login": "MCH\n1"}, "sandbox", "no Client-Id"),
        ({"password": " "}, "sandbox", "the secret key"),
        ({"host": "https://api-sandbox.doku.com/path"}, "sandbox", "without a path"),
        ({"host": "https://host:port"}, "sandbox", "no number"),
        ({"host": "ftp://host"}, "sandbox", "is not a host"),
    ],
)
def test_where_it_must_not_be(changes: dict[str, Any], environment: str, words: str) -> None:
    connection = ConnectionSettings(**{**CONNECTION.__dict__, **changes})
    with pytest.raises(ConfigError, match=words) as caught:
        ApiSettings.from_connection(connection, environment=environment)
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("path", ["x", "//evil.example/x", "/a?b", "/a//b", "/a b", "/ä"])
def test_a_path_that_is_none(path: str) -> None:
    with Doku(no(200, GOOD)).api() as api, pytest.raises(ConfigError, match="is no path"):
        api.post(path, {}, "r")


@pytest.mark.parametrize("request_id", ["", "x" * 129, "é"])
def test_a_request_id_that_is_none(request_id: str) -> None:
    with Doku(no(200, GOOD)).api() as api, pytest.raises(ValueError, match="1 to 128"):
        api.post("/x", {}, request_id)


# --- the rate --------------------


def test_no_second_has_more_calls_than_allowed() -> None:
    now, waits = [0.0], []
    bucket = Bucket(5, waits.append, lambda: now[0])
    for _ in range(23):
        bucket.take()
    assert waits == pytest.approx([nth / 5 for nth in range(1, 19)])
    now[0] = 100.0
    waits.clear()
    for _ in range(6):
        bucket.take()
    assert [round(pause, 6) for pause in waits if pause > 1e-6] == [0.2]
