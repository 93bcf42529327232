"""DOKU's signature: the published values, and a simulator that was written apart."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.doku.signature import (
    Key,
    Signed,
    digest,
    read_timestamp,
    sign_get,
    sign_request,
    sign_response,
    timestamp,
    verify_notification,
    verify_response,
)
from tests.doku_simulator.web import signature as theirs

KEY = Key("test-secret")
REQUEST_ID = "11111111-2222-3333-4444-555555555555"
AT = "2026-01-02T03:04:05Z"
BODY = b'{"file_name":"TKN_20260101_0001.TXT"}'

words = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=40)
keys = st.builds(Key, words.filter(bool))
headers = st.builds(Signed, words, words, words, words)


def of(target: str) -> Signed:
    return Signed("MCH-TEST-0001", REQUEST_ID, AT, target)


def test_the_known_post() -> None:
    assert digest(BODY) == "mFufRtAt3Y9MOIRxqGvd7aFGRzW4fZBZmSeEWOZelKw="
    signed = sign_request(KEY, of("/batch-upload/v1/notify"), BODY)
    assert signed == "HMACSHA256=RIjTaxl1q6RfTYWkQwXi4+pohi9De8Jq/RepwUADgNw="


def test_the_known_get() -> None:
    assert sign_get(KEY, of("/orders/v1/status/INV-1")) == "HMACSHA256=rsBVQbAST93gR92Os3v9ZaZXrhgJmgBA/atrPyJ22ks="


def test_a_thousand_random_messages_are_signed_as_the_simulator_does() -> None:
    chance = random.Random(20260102)

    def text(most: int) -> str:
        return "".join(chr(chance.choice((chance.randint(33, 126), chance.randint(160, 0x2FFF)))) for _ in range(most))

    for _ in range(1_000):
        key = Key(text(chance.randint(1, 40)))
        signed = Signed(text(18), text(chance.randint(1, 128)), AT, "/" + text(chance.randint(0, 60)))
        body = chance.randbytes(chance.randint(0, 2_000))
        values = (signed.client_id, signed.request_id, signed.timestamp, signed.target)
        request = theirs.sign(key.secret, *values, body)
        assert request == sign_request(key, signed, body)
        assert verify_notification(key, signed, body, request)
        assert theirs.sign(key.secret, *values, None) == sign_get(key, signed)
        response = theirs.sign(key.secret, *values, body, "Response-Timestamp")
        assert response == sign_response(key, signed, body)
        assert verify_response(key, signed, body, response)
        assert not verify_notification(key, signed, body, response)


@given(keys, headers, st.binary(max_size=200))
def test_what_is_signed_is_verified(key: Key, signed: Signed, body: bytes) -> None:
    assert verify_notification(key, signed, body, sign_request(key, signed, body))
    assert verify_response(key, signed, body, sign_response(key, signed, body))


@given(headers, st.binary(max_size=200), st.data())
def test_any_change_breaks_it(signed: Signed, body: bytes, data: st.DataObject) -> None:
    signature = sign_request(KEY, signed, body)
    values = [signed.client_id, signed.request_id, signed.timestamp, signed.target]
    place = data.draw(st.integers(0, 3))
    values[place] += data.draw(words.filter(bool))
    assert not verify_notification(KEY, Signed(*values), body, signature)
    assert not verify_notification(KEY, signed, body + b"\n", signature)
    assert not verify_notification(Key("another"), signed, body, signature)
    assert not verify_notification(KEY, signed, body, signature.lower())
    assert not verify_notification(KEY, signed, body, signature.removeprefix("HMACSHA256="))


@given(st.text(max_size=80))
def test_no_signature_is_an_error(signature: str) -> None:
    assert not verify_notification(KEY, of("/x"), BODY, signature)


def test_a_line_cannot_stand_for_two() -> None:
    moved = Signed("MCH-TEST-0001", f"{REQUEST_ID}\nRequest-Timestamp:{AT}", "", "")
    assert not verify_notification(KEY, moved, BODY, "HMACSHA256=")
    with pytest.raises(ValueError, match="line feed"):
        sign_get(KEY, moved)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty key"):
        Key("")


def test_a_key_shows_nothing() -> None:
    assert "test-secret" not in repr(KEY)


def test_times_are_utc_with_whole_seconds() -> None:
    jakarta = timezone(timedelta(hours=7))
    assert timestamp(datetime(2026, 1, 2, 10, 4, 5, 999, tzinfo=jakarta)) == AT
    with pytest.raises(ValueError, match="timezone"):
        timestamp(datetime(2026, 1, 2))  # noqa: DTZ001


@pytest.mark.parametrize("written", [AT, " 2026-01-02T03:04:05Z", "2026-01-02T10:04:05+07:00"])
def test_a_time_is_read(written: str) -> None:
    assert read_timestamp(written) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(st.text(max_size=40))
def test_reading_a_time_is_never_an_error(written: str) -> None:
    read_timestamp(written)


def test_what_is_no_time() -> None:
    for written in ("", "yesterday", "2026-01-02T03:04:05", "0001-01-01T00:00:00+14:00"):
        assert read_timestamp(written) is None
