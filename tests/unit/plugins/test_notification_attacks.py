"""Ways of attacking the notification paths: each is refused with a sentence, is counted, and leaves nothing behind."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from include.domain.connection import ConnectionSettings
from include.domain.refusals import SENTENCE, Refusal
from tests.doku_simulator.web import words
from tests.doku_simulator.web.signature import sign
from tests.flows_harness import Merchant
from tests.stack.toml import changed
from tests.unit.plugins.notified import (
    CLIENT_ID,
    FORM,
    MALL_ID,
    NOW,
    PREFIX,
    SECRET,
    SHARED_KEY,
    TAKES_ALL,
    Door,
    path_of,
    signed,
)

BODY = b'{"order": {"amount": 150000}, "card_payment": {"token_id": "0123456789abcdef0123456789abcdef"}}'
PATH = path_of("payment")


@dataclass(frozen=True)
class Attack:
    """One way.

    Attributes:
        send: Does it; gives the status and the content of the answer.
        expected: How it is answered and counted.
        counted: The profile and the kind that it is counted under.
        changes: Of the profile.
    """

    name: str
    send: Callable[[Door], tuple[int, bytes]]
    status: int
    reason: str
    counted: tuple[str, str] = ("insurance", "payment")
    changes: dict[str, Any] = field(default_factory=dict)


def _posted(path: str = PATH, body: Any = BODY, method: str = "POST", **headers: str) -> Callable[[Door], Any]:
    """A request with a good signature of BODY, and with these headers in place of the good ones (None: without)."""

    def send(door: Door) -> tuple[int, bytes]:
        given = {**signed("payment", BODY), **{name.replace("_", "-"): value for name, value in headers.items()}}
        content = _chunks(body) if isinstance(body, list) else body
        answer = door.send(path, content, {name: value for name, value in given.items() if value is not None}, method)
        return answer.status_code, answer.content

    return send


def _signed(**how: Any) -> Callable[[Door], Any]:
    def send(door: Door) -> tuple[int, bytes]:
        answer = door.notify("payment", BODY, **how)
        return answer.status_code, answer.content

    return send


def _doubled(name: str, value: bytes | None = None) -> Callable[[Door], Any]:
    """One header twice: the good one, and another."""

    def send(door: Door) -> tuple[int, bytes]:
        headers = _raw(signed("payment", BODY))
        again = value if value is not None else dict(headers)[name.lower().encode()]
        return door.raw(PATH.encode(), [*headers, (name.lower().encode(), again)], [BODY])

    return send


def _raw_request(path: bytes = PATH.encode(), chunks: Any = (BODY,), **headers: bytes) -> Callable[[Door], Any]:
    def send(door: Door) -> tuple[int, bytes]:
        given = dict(_raw(signed("payment", BODY)))
        given |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
        return door.raw(path, list(given.items()), list(chunks))

    return send


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


async def _chunks(parts: list[bytes]) -> Any:
    for part in parts:
        yield part


def _slow(door: Door) -> tuple[int, bytes]:
    """A body that does not end; the app's patience is short in this test."""

    async def served() -> tuple[int, bytes]:
        answers: list[Any] = []
        parts = [{"type": "http.request", "body": BODY[:10], "more_body": True}]

        async def receive() -> Any:
            if parts:
                return parts.pop()
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            answers.append(message)

        scope = {
            "type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b"",
            "headers": _raw(signed("payment", BODY)), "root_path": "", "scheme": "http",
        }  # fmt: skip
        await door.app(scope, receive, send)
        return answers[0]["status"], answers[1]["body"]

    return asyncio.run(served())


def _form(content: bytes) -> Callable[[Door], Any]:
    def send(door: Door) -> tuple[int, bytes]:
        answer = door.post_form("payment", content)
        return answer.status_code, answer.content

    return send


def _words(key: str = SHARED_KEY, **changes: str) -> bytes:
    form = {
        "TRANSIDMERCHANT": "T-1", "CUSTOMERID": "K1", "TOKENID": "tok", "BILLNUMBER": "B1", "AMOUNT": "150000.00",
        "CURRENCY": "360", "RESPONSECODE": "0000", "RESULTMSG": "SUCCESS", "VERIFYSTATUS": "NA",
    }  # fmt: skip
    form["WORDS"] = words.of_charge("sha1", key, MALL_ID, form, with_bill=True)
    return urlencode({**form, **changes}).encode()


def _get_signature(door: Door) -> tuple[int, bytes]:
    """The four lines of a GET, without a digest of the body."""
    headers = signed("payment", BODY)
    headers["Signature"] = sign(SECRET, CLIENT_ID, headers["Request-Id"], headers["Request-Timestamp"], PATH, body=None)
    answer = door.send(PATH, BODY, headers)
    return answer.status_code, answer.content


def _response_signature(door: Door) -> tuple[int, bytes]:
    """What DOKU signs as an answer of its own, sent to us as a notification."""
    headers = signed("payment", BODY)
    headers["Signature"] = sign(
        SECRET, CLIENT_ID, headers["Request-Id"], headers["Request-Timestamp"], PATH, BODY, "Response-Timestamp"
    )
    answer = door.send(PATH, BODY, headers)
    return answer.status_code, answer.content


def _of_another_profile(door: Door) -> tuple[int, bytes]:
    """Good for profile `other`, whose key is another; sent to `insurance`."""
    door.merchant.write_profile(
        "other",
        {"notifications": {"enabled": True}, "connections": {"doku": "other_doku"}, "recurring": {"dialect": "json"}},
    )
    door.known["other_doku"] = ConnectionSettings("other_doku", "doku", login="BRN-2", password="another secret")
    of_other = {"secret": "another secret", "client_id": "BRN-2"}
    good = door.send(path_of("payment", "other"), b"", signed("payment", b"", profile="other", **of_other))
    assert good.status_code == 200
    with door.merchant.ledger.write() as connection:
        connection.exec_driver_sql("DELETE FROM notification")
    answer = door.notify("payment", BODY, **of_other)
    return answer.status_code, answer.content


def _with_an_empty_key(door: Door) -> tuple[int, bytes]:
    """The connection has no secret yet, and somebody signs with nothing."""
    import base64
    import hashlib
    import hmac

    door.known["insurance_doku"] = ConnectionSettings("insurance_doku", "doku", login=CLIENT_ID, password="")
    door.app.state.door._ledgers._known.clear()
    headers = signed("payment", BODY)
    lines = "\n".join(
        [
            *(f"{name}:{headers[name]}" for name in ("Client-Id", "Request-Id", "Request-Timestamp")),
            f"Request-Target:{PATH}",
            "Digest:" + base64.b64encode(hashlib.sha256(BODY).digest()).decode(),
        ]
    )
    headers["Signature"] = "HMACSHA256=" + base64.b64encode(hmac.new(b"", lines.encode(), "sha256").digest()).decode()
    answer = door.send(PATH, BODY, headers)
    return answer.status_code, answer.content


NOWHERE = ("", "")
FORMS = {"recurring": {"dialect": "onecheckout"}}
LARGE = (b"x" * 40_000,) * 3
BOMB = b"&".join(b"a%d=" % n for n in range(9_000))
DEEP = b"[" * 30_000 + b"]" * 30_000

ATTACKS = [
    # --- the signature
    Attack("forged with another key", _signed(secret="guessed"), 401, "signature"),
    Attack("forged with an empty key", _with_an_empty_key, 503, "not_set_up"),
    Attack("without a signature", _posted(Signature=None), 400, "headers"),
    Attack("with an empty signature", _posted(Signature=""), 400, "headers"),
    Attack("with a signature without its prefix", _posted(Signature="RIjTaxl1q6RfTYWkQwXi"), 401, "signature"),
    Attack("with a signature of another size", _posted(Signature="HMACSHA256=AA=="), 401, "signature"),
    Attack("body altered", _posted(body=BODY.replace(b"150000", b"950000")), 401, "signature"),
    Attack("body with a space more", _posted(body=BODY + b" "), 401, "signature"),
    Attack("body emptied", _posted(body=b""), 401, "signature"),
    Attack("signed for another kind", _signed(target=path_of("registration")), 401, "signature"),
    Attack("signed for another path", _signed(target="/"), 401, "signature"),
    Attack("signed as a GET, without a digest", _get_signature, 401, "signature"),
    Attack("DOKU's own signed answer sent back", _response_signature, 401, "signature"),
    Attack("key of another profile", _of_another_profile, 401, "signature"),
    Attack("Client-Id of another merchant, our key", _signed(client_id="BRN-0002-2"), 401, "signature"),
    Attack("Client-Id altered", _posted(Client_Id="BRN-0001-2"), 401, "signature"),
    Attack("Request-Id altered", _posted(Request_Id="another"), 401, "signature"),
    # --- the time
    Attack("replayed after a day", _signed(at=NOW - timedelta(days=1)), 401, "too_old"),
    Attack("dated in the future", _signed(at=NOW + timedelta(hours=1)), 401, "too_new"),
    Attack("time altered", _posted(Request_Timestamp="2026-11-20T03:00:01Z"), 401, "signature"),
    Attack("time that is none", _posted(Request_Timestamp="yesterday"), 400, "headers"),
    Attack("time without a zone", _posted(Request_Timestamp="2026-11-20T03:00:00"), 400, "headers"),
    Attack("time beyond all years", _posted(Request_Timestamp="9999-12-31T23:59:59-14:00"), 400, "headers"),
    # --- headers
    Attack("without Client-Id", _posted(Client_Id=None), 400, "headers"),
    Attack("without Request-Id", _posted(Request_Id=None), 400, "headers"),
    Attack("without a time", _posted(Request_Timestamp=None), 400, "headers"),
    Attack("two signatures", _doubled("signature", b"HMACSHA256=AAAA"), 400, "headers"),
    Attack("two Client-Ids", _doubled("client-id", b"BRN-0002-2"), 400, "headers"),
    Attack("the same Request-Id twice", _doubled("request-id"), 400, "headers"),
    Attack("two types of content", _doubled("content-type", FORM.encode()), 400, "headers"),
    Attack("a line feed in a header", _raw_request(request_id=b"1\nRequest-Timestamp:x"), 400, "headers"),
    Attack("a null byte in a header", _raw_request(client_id=b"BRN\x00-0001-1"), 400, "headers"),
    Attack("a header that is no ASCII", _raw_request(request_id="ünï".encode()), 400, "headers"),
    Attack("a Request-Id without end", _posted(Request_Id="x" * 129), 400, "headers"),
    Attack("huge headers", _posted(X_Padding="x" * 20_000), 400, "headers"),
    # --- the content
    Attack("announced as too large", _posted(body=b"x" * 70_000), 413, "too_large"),
    Attack("too large, in chunks", _posted(body=[b"x" * 10_000] * 8), 413, "too_large"),
    Attack("too large, announced as small", _raw_request(chunks=LARGE, content_length=b"2"), 413, "too_large"),
    Attack("longer than announced", _raw_request(content_length=b"2"), 400, "headers"),
    Attack("shorter than announced", _raw_request(content_length=b"60000"), 400, "headers"),
    Attack("a length and chunks", _raw_request(content_length=b"92", transfer_encoding=b"chunked"), 400, "headers"),
    Attack("length that is no number", _raw_request(content_length=b"0x10"), 400, "headers"),
    Attack("negative length", _raw_request(content_length=b"-1"), 400, "headers"),
    Attack("length with another kind of digits", _raw_request(content_length="٣".encode()), 400, "headers"),
    Attack("length beyond all numbers", _raw_request(content_length=b"9" * 5000), 413, "too_large"),
    Attack("slower than anybody", _slow, 408, "too_slow", changes={"notifications": {"read_seconds": 0.1}}),
    Attack("cut off", _raw_request(chunks=[]), 400, "broken_off"),
    Attack("another type", _posted(Content_Type="text/plain"), 415, "content_type"),
    Attack("no type", _posted(Content_Type=None), 415, "content_type"),
    Attack("a form where JSON is spoken", _posted(Content_Type=FORM), 415, "content_type"),
    Attack("another character set", _posted(Content_Type="application/json; charset=utf-16"), 415, "content_type"),
    Attack("compressed", _posted(Content_Encoding="gzip"), 415, "content_type"),
    Attack("JSON of many levels, unsigned", _posted(body=DEEP), 401, "signature"),
    Attack("not UTF-8, unsigned", _posted(body=b"\xff\xfe\x00{"), 401, "signature"),
    Attack("null bytes, unsigned", _posted(body=b"\x00" * 100), 401, "signature"),
    # --- forms of the older interface
    Attack("form: forged", _form(_words("guessed")), 401, "signature", changes=FORMS),
    Attack("form: result altered", _form(_words(RESULTMSG="FAILED")), 401, "signature", changes=FORMS),
    Attack("form: bill altered", _form(_words(BILLNUMBER="B2")), 401, "signature", changes=FORMS),
    Attack("form: WORDS left out", _form(b"TRANSIDMERCHANT=T-1&BILLNUMBER=B1"), 401, "signature", changes=FORMS),
    Attack("form: another kind by STATUSTYPE", _form(_words(STATUSTYPE="G")), 401, "signature", changes=FORMS),
    Attack("form: a field twice", _form(_words() + b"&BILLNUMBER=B2"), 400, "form", changes=FORMS),
    Attack("form: thousands of fields", _form(BOMB), 400, "form", changes=FORMS),
    Attack("form: null bytes", _form(_words() + b"&A=%00"), 400, "form", changes=FORMS),
    Attack("form: not a form", _form(BODY), 400, "form", changes=FORMS),
    Attack("form: JSON where forms are spoken", _posted(), 415, "content_type", changes=FORMS),
    # --- methods and paths
    *(
        Attack(f"method {method}", _posted(method=method), 405, "method")
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
    ),
    *(
        Attack(f"path {path}", _raw_request(path), 404, "path", NOWHERE)
        for path in (
            PATH.encode() + b"/", PATH.encode() + b"?x=1", b"/doku/notifications/insurance//payment",
            b"//doku/notifications/insurance/payment", b"/doku/notifications/insurance/%70ayment",
            b"/doku/notifications/../notifications/insurance/payment", b"/doku/notifications/%2e%2e/insurance/payment",
            b"/doku/notifications/insurance%2fpayment", b"/doku/notifications/insurance/payment%00",
            b"/doku/notifications/insurance/payment%0a", b"/doku/notifications/insurance/payment;x=1",
            "/doku/notifications/insurance/p\u0430yment".encode(), b"/doku/notifications/INSURANCE/payment",
            b"/doku/notifications/insurance/PAYMENT", b"/doku/notifications/insurance/refund",
            b"/doku/notifications/nobody/payment", b"/doku/notifications/" + b"x" * 5_000 + b"/payment",
            b"/doku/notifications/..%2f..%2fetc%2fpasswd/payment", b"/doku/notifications/keys/payment",
            b"/x/doku/notifications/insurance/payment", b"/doku/notifications", b"/", b"",
            b"/doku/insurance/books", b"http://other/doku/notifications/insurance/payment",
        )
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def doors(tmp_path_factory, ledger_file, doku_keys) -> Iterator[Callable[..., Door]]:
    """`doors(changes)`: one merchant for all attacks on profiles of the same form."""
    made: dict[str, Door] = {}

    def of(changes: dict[str, Any]) -> Door:
        key = repr(changes)
        if key not in made:
            root = tmp_path_factory.mktemp("attacked")
            shutil.copyfile(ledger_file, root / "ledger.db")
            ledger = ConnectionSettings("doku_ledger", "sqlite", host=str(root / "ledger.db"))
            made[key] = Door.of(Merchant(root, ledger, doku_keys, changes=changed(TAKES_ALL, changes)))
        return made[key]

    yield of
    for one in made.values():
        one.close()
        one.merchant.ledger.engine.dispose()
        one.merchant.billing.dispose()


@pytest.fixture
def attacked(doors, monkeypatch) -> Iterator[Callable[..., Door]]:
    """The same, put back as it was at the end."""
    used: list[tuple[Door, dict[str, ConnectionSettings]]] = []

    def of(changes: dict[str, Any]) -> Door:
        door = doors(changes)
        used.append((door, dict(door.known)))
        monkeypatch.setenv("DOKU_PROFILES_DIR", str(door.merchant.profile_file.parent))
        return door

    yield of
    for door, known in used:
        door.known = known
        door.app.state.door._ledgers._known.clear()
        door.refused()
        with door.merchant.ledger.write() as connection:
            for table in ("notification", "refused_notification"):
                connection.exec_driver_sql(f"DELETE FROM {table}")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.name)
def test_an_attack_leaves_nothing_but_a_count(attacked, attack, caplog):
    door = attacked(attack.changes)
    before = door.merchant.dump("refused_notification")
    status, content = attack.send(door)
    assert status == attack.status
    assert door.inbox() == []
    assert door.refused() == {(*attack.counted, attack.reason): 1}
    assert door.merchant.dump("refused_notification") == before
    if attack.changes == FORMS:
        assert content == b"STOP"
    elif content:
        assert json.loads(content) == {"message": SENTENCE[Refusal(attack.reason)]}
    for shown in (content.decode(), caplog.text):
        assert "Traceback" not in shown
        assert "0123456789abcdef" not in shown
        assert SECRET not in shown


def test_a_replay_within_the_window_is_stored_once(door):
    headers = signed("payment", BODY, request_id="R-1")
    for _ in range(25):
        assert door.send(PATH, BODY, headers).status_code == 200
    (row,) = door.inbox()
    assert (row["times"], row["state"]) == (25, "received")


def test_what_doku_itself_signs_is_kept_however_odd_it_is(door):
    """Nothing that DOKU says is lost: whether it can be read is for the run that takes it in."""
    for body in (b"", b"\x00", b"\xff\xfe", DEEP, b"null", b'{"a": 1, "a": 2}', "💸".encode()):
        assert door.notify("payment", body).status_code == 200, body[:10]
    assert len(door.inbox()) == 7


def test_many_different_attacks_make_few_rows(door):
    for n in range(60):
        door.send(f"{PREFIX}/merchant{n}/payment", BODY, signed("payment", BODY))
        door.send(f"{PREFIX}/insurance/kind_{'a' * (n % 20)}", BODY, signed("payment", BODY))
    assert door.refused() == {("", "", "path"): 120}


def test_a_websocket_is_closed(door):
    said = []

    async def send(message):
        said.append(message["type"])

    scope = {"type": "websocket", "path": PATH, "raw_path": PATH.encode(), "headers": [], "query_string": b""}
    asyncio.run(door.app(scope, None, send))
    assert said == ["websocket.close"]
