"""DOKU's notifications: what is taken is stored raw and once, what is not is counted, and what is broken says so."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import sqlalchemy as sa

from include.domain.connection import ConnectionSettings
from include.domain.errors import LedgerUnreachable
from include.domain.refusals import SENTENCE, STATUS, Refusal
from include.flows.open_ledgers import CONNECTIONS
from include.ledger import schema
from tests.doku_simulator.web import words
from tests.unit.conftest import POSTGRESQL
from tests.unit.plugins.notified import (
    CLIENT_ID,
    FORM,
    MALL_ID,
    NOW,
    PREFIX,
    SECRET,
    SHARED_KEY,
    path_of,
    signed,
)

PROJECT = Path(__file__).resolve().parents[3]
PAYMENT = {"transaction": {"status": "SUCCESS", "date": "2026-11-20T03:00:00Z"}, "order": {"amount": 150_000}}


def charge_form(**changes: str) -> dict[str, str]:
    form = {
        "TRANSIDMERCHANT": "T-1", "CUSTOMERID": "K1", "TOKENID": "tok", "BILLNUMBER": "B1", "AMOUNT": "150000.00",
        "CURRENCY": "360", "RESPONSECODE": "0000", "RESULTMSG": "SUCCESS", "VERIFYSTATUS": "NA", **changes,
    }  # fmt: skip
    return {**form, "WORDS": words.of_charge("sha1", SHARED_KEY, MALL_ID, form, with_bill=True)}


@pytest.mark.parametrize("kind", ["sqlite", POSTGRESQL])
def test_a_notification_is_stored_as_it_came_and_answered_at_once(make_door, request, kind):
    door = make_door(request.getfixturevalue(f"{kind}_ledger"))
    body = json.dumps(PAYMENT, indent=3).encode() + b"\n"
    answer = door.notify("payment", body, request_id="R-1")
    assert (answer.status_code, answer.json()) == (200, {"message": "Taken."})
    (row,) = door.inbox()
    assert bytes(row["body"]) == body
    assert (row["profile"], row["kind"], row["state"], row["times"]) == ("insurance", "payment", "received", 1)
    assert (row["request_id"], row["size"]) == ("R-1", len(body))
    kept = json.loads(row["headers"])
    assert kept["Request-Target"] == path_of("payment")
    assert set(kept) == {"Client-Id", "Request-Id", "Request-Timestamp", "Request-Target", "Signature"}
    assert door.refused() == {}


@pytest.mark.parametrize("kind", ["sqlite", POSTGRESQL])
def test_a_repeat_is_counted_and_stays_what_it_has_become(make_door, request, kind):
    from include.domain.states import NotificationState
    from include.ledger.inbox import conclude, waiting

    door = make_door(request.getfixturevalue(f"{kind}_ledger"))
    door.notify("payment", PAYMENT, request_id="R-1")
    with door.merchant.ledger.write() as connection:
        (one,) = waiting(connection, "insurance", 10)
        assert conclude(connection, one.notification_id, NotificationState.DONE, "paid", None, NOW)
        assert not conclude(connection, one.notification_id, NotificationState.FAILED, "late", None, NOW)
    door.now += timedelta(minutes=30)
    assert door.notify("payment", PAYMENT, request_id="R-2").status_code == 200
    (row,) = door.inbox()
    assert (row["times"], row["state"], row["request_id"], row["result"]) == (2, "done", "R-1", "paid")
    assert str(row["last_at"]) > str(row["received_at"])


@pytest.mark.parametrize("kind", ["sqlite", POSTGRESQL])
def test_the_same_request_id_with_another_content_is_stored_and_shown(make_door, request, kind):
    from include.ledger.inbox import same_request

    door = make_door(request.getfixturevalue(f"{kind}_ledger"))
    door.notify("payment", {"n": 1}, request_id="R-1")
    door.notify("payment", {"n": 1}, request_id="R-1")
    door.notify("payment", {"n": 2}, request_id="R-1")
    door.notify("payment", {"n": 3}, request_id="R-3")
    with door.merchant.ledger.read() as connection:
        ids = tuple(row["notification_id"] for row in door.inbox())
        assert same_request(connection, "insurance", NOW - timedelta(days=1), 10) == [ids[:2]]
        assert same_request(connection, "insurance", NOW + timedelta(days=1), 10) == []


@pytest.mark.parametrize("kind", ["sqlite", POSTGRESQL])
def test_many_at_once_are_each_stored_once(make_door, request, kind):
    door = make_door(request.getfixturevalue(f"{kind}_ledger"))

    async def flood():
        transport = httpx.ASGITransport(app=door.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://doku-calls") as client:
            return await asyncio.gather(
                *(
                    client.post(path_of(), content=body, headers=signed("payment", body))
                    for n in range(60)
                    for body in [b'{"n": %d}' % (n % 20)]
                )
            )

    assert {answer.status_code for answer in asyncio.run(flood())} == {200}
    rows = door.inbox()
    assert [row["times"] for row in rows] == [3] * 20


def test_each_kind_has_a_path_of_its_own(door):
    for kind in ("payment", "registration", "card_update", "report_ready"):
        assert door.notify(kind, {"kind": kind}).status_code == 200
    assert [row["kind"] for row in door.inbox()] == ["payment", "registration", "card_update", "report_ready"]


def test_what_a_profile_has_no_use_for_is_not_there(make_door):
    door = make_door(recurring=None)
    assert door.notify("payment").status_code == 404
    assert door.notify("report_ready").status_code == 200
    closed = make_door(notifications={"enabled": False})
    assert closed.notify("report_ready").status_code == 404
    assert closed.notify("payment").status_code == 404


def test_the_path_that_doku_signs_is_a_setting(make_door):
    door = make_door(notifications={"signed_path": "/public/{profile}/{kind}"})
    assert door.notify("payment", target="/public/insurance/payment").status_code == 200
    assert door.notify("payment").status_code == 401
    assert json.loads(door.inbox()[0]["headers"])["Request-Target"] == "/public/insurance/payment"


def test_airflow_served_below_another_path(door):
    """The whole path is what DOKU calls and signs; what stands before ours has to be where Airflow is."""
    path, body = "/airflow" + path_of(), b"{}"
    headers = [(name.lower().encode(), value.encode()) for name, value in signed("payment", body, target=path).items()]
    mounted = {"root_path": f"/airflow{PREFIX}"}
    assert door.raw(path.encode(), headers, [body], **mounted)[0] == 200
    assert door.raw(b"/other" + path_of().encode(), headers, [body], **mounted)[0] == 404


@pytest.mark.parametrize("text", ["public", "/p/{profil}", "/p/{kind", "/p?x=1", "/p /x", "/p#x", "/p\n"])
def test_a_signed_path_that_cannot_be_one(text):
    from include.schemas.notification_settings import NotificationSettings

    with pytest.raises(ValueError, match="signed_path"):
        NotificationSettings(signed_path=text)


def test_the_window_of_time(make_door):
    door = make_door()
    for age, status in ((12.9, 200), (13.1, 401), (-0.2, 200), (-0.3, 401)):
        answer = door.notify("payment", {"age": age}, at=NOW - timedelta(hours=age))
        assert answer.status_code == status, age
    assert door.refused() == {("insurance", "payment", "too_old"): 1, ("insurance", "payment", "too_new"): 1}
    forever = make_door(notifications={"max_age_hours": False})
    assert forever.notify("payment", at=NOW - timedelta(days=400)).status_code == 200


def test_the_older_interface_is_answered_in_its_own_words(make_door):
    door = make_door(recurring={"dialect": "onecheckout"})
    answer = door.post_form("payment", charge_form())
    assert (answer.status_code, answer.text) == (200, "CONTINUE")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    (row,) = door.inbox()
    assert (row["request_id"], row["content_type"], row["state"]) == (None, FORM, "received")
    forged = door.post_form("payment", {**charge_form(), "RESULTMSG": "FAILED"})
    assert (forged.status_code, forged.text) == (401, "STOP")
    assert door.notify("payment", PAYMENT).status_code == 415
    assert door.notify("report_ready", {"batch_file": {}}).status_code == 200  # Batch Upload is JSON for everybody
    assert len(door.inbox()) == 2


def test_registrations_and_card_changes_of_the_older_interface_come_by_any_path(make_door):
    door = make_door(recurring={"dialect": "onecheckout"})
    form = {
        "MALLID": MALL_ID, "CHAINMERCHANT": "NA", "BILLNUMBER": "B1", "CUSTOMERID": "K1", "STATUS": "SUCCESS",
        "STATUSTYPE": "G",
    }  # fmt: skip
    form["WORDS"] = words.of_registration("sha1", SHARED_KEY, form).upper()
    for kind in ("registration", "payment", "card_update"):
        assert door.post_form(kind, form).text == "CONTINUE"
    (row,) = door.inbox()  # kept as what it is, so that it is known again
    assert (row["kind"], row["times"]) == ("registration", 3)
    form |= {"STATUSTYPE": "T"}
    door.post_form("payment", form)
    door.post_form("registration", charge_form())
    assert {row["kind"] for row in door.inbox()} == {"registration", "card_update", "payment"}


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "hmac-sha1", "hmac-sha256"])
def test_words_are_made_with_the_hash_that_was_agreed(make_door, algorithm):
    door = make_door(recurring={"dialect": "onecheckout"})
    door.known["insurance_form"] = ConnectionSettings(
        "insurance_form", "doku", login=MALL_ID, password=SHARED_KEY, extra={"words": algorithm}
    )
    form = charge_form()
    form["WORDS"] = words.of_charge(algorithm, SHARED_KEY, MALL_ID, form, with_bill=True)
    assert door.post_form("payment", form).text == "CONTINUE"


@pytest.mark.parametrize(
    ("login", "password"), [(None, SECRET), ("", SECRET), (CLIENT_ID, None), (CLIENT_ID, ""), (None, None)]
)
def test_a_connection_without_a_key_lets_nobody_in(door, login, password):
    door.known["insurance_doku"] = ConnectionSettings("insurance_doku", "doku", login=login, password=password)
    answer = door.notify("payment", secret=password or " ", client_id=login or "x")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"
    assert door.inbox() == []
    assert door.refused() == {("insurance", "payment", "not_set_up"): 1}


def test_a_profile_that_names_no_connection_lets_nobody_in(make_door):
    door = make_door(connections={"doku": None})
    assert door.notify("payment").status_code == 503
    assert door.refused() == {("insurance", "payment", "not_set_up"): 1}


def test_a_changed_key_is_known_after_a_minute(door, monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr(door.app.state.door._ledgers, "_clock", lambda: seconds[0])
    assert door.notify("payment", {"n": 1}).status_code == 200
    door.known["insurance_doku"] = ConnectionSettings("insurance_doku", "doku", login=CLIENT_ID, password="new")
    assert door.notify("payment", {"n": 2}, secret="new").status_code == 401
    seconds[0] = 61
    assert door.notify("payment", {"n": 2}, secret="new").status_code == 200
    assert door.lookups.count("insurance_doku") == 2


def test_a_changed_profile_is_known_at_once_and_a_broken_one_loses_nothing(door):
    assert door.notify("payment", {"n": 1}).status_code == 200
    file = door.merchant.profile_file
    good = file.read_text(encoding="utf-8")
    file.write_text(good + "\nnonsense = 1\n", encoding="utf-8")
    answer = door.notify("payment", {"n": 2})
    assert (answer.status_code, answer.json()["message"]) == (503, SENTENCE[Refusal.NOT_SET_UP])
    file.write_text(good, encoding="utf-8")
    assert door.notify("payment", {"n": 2}).status_code == 200
    file.unlink()
    assert door.notify("payment", {"n": 3}).status_code == 404


def test_a_ledger_that_is_not_at_head_is_a_503_and_doku_sends_again(door, caplog):
    engine = door.merchant.ledger.engine
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE doku_ledger_version SET version_num = '0001'"))
    answer = door.notify("payment", PAYMENT)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert answer.json() == {"message": SENTENCE[Refusal.LEDGER]}
    assert "python -m include.cli ledger upgrade" in caplog.text
    assert door.send(f"{PREFIX}/health", method="GET").json() == {"status": "not ready"}
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE doku_ledger_version SET version_num = '{schema.head()}'"))
    door.app.state.door._ledgers._opened.clear()  # a moment later
    assert door.notify("payment", PAYMENT).status_code == 200
    assert door.refused() == {("insurance", "payment", "ledger"): 1}


def test_a_ledger_that_is_locked_is_a_503_and_counts_wait(door, monkeypatch):
    monkeypatch.setattr("include.ledger.store.PROMPT_SECONDS", 0.2)
    assert door.notify("payment", {"n": 1}).status_code == 200
    door.app.state.door._ledgers.close()  # opened again, with little patience
    holder = sqlite3.connect(door.merchant.ledger_settings.host, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert door.notify("payment", {"n": 2}).status_code == 503
        door.app.state.door._refusals.flush()
        assert door.merchant.sql("SELECT * FROM refused_notification") == []
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert door.refused() == {("insurance", "payment", "ledger"): 1}
    assert door.notify("payment", {"n": 2}).status_code == 200


def test_a_ledger_of_the_other_environment_takes_nothing(make_door):
    door = make_door()
    text = door.merchant.profile_file.read_text(encoding="utf-8")
    door.merchant.profile_file.write_text(text.replace('"sandbox"', '"production"'), encoding="utf-8")
    assert door.notify("payment").status_code == 503
    assert door.inbox() == []


@pytest.mark.services
def test_a_postgresql_that_goes_away_is_a_503_and_is_back_by_itself(make_door, postgresql_ledger):
    door = make_door(postgresql_ledger)
    assert door.notify("payment", {"n": 1}).status_code == 200
    with door.merchant.ledger.engine.connect() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert door.notify("payment", {"n": 2}).status_code == 200  # its connections are dead; a new one is made
    door.known["doku_ledger"] = ConnectionSettings("doku_ledger", "postgres", host="127.0.0.1", port=1, schema="x")
    door.app.state.door._ledgers._known.clear()
    assert door.notify("payment", {"n": 3}).status_code == 503
    door.known["doku_ledger"] = postgresql_ledger
    door.app.state.door._ledgers._known.clear()
    assert door.notify("payment", {"n": 3}).status_code == 200


def test_an_unexpected_error_says_nothing_of_itself(door, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("row with secret-token")

    monkeypatch.setattr("include.flows.take_notification.store", broken)
    answer = door.notify("payment", PAYMENT)
    assert (answer.status_code, answer.json()) == (503, {"message": SENTENCE[Refusal.MISTAKE]})
    assert "secret-token" not in answer.text + caplog.text
    assert "Unexpected builtins.RuntimeError" in caplog.text
    assert door.refused() == {("insurance", "payment", "mistake"): 1}


def test_nothing_secret_is_logged(door, caplog):
    caplog.set_level("DEBUG")
    door.notify("payment", {"token": "0123456789abcdef"})
    door.notify("payment", secret="forged")
    assert "0123456789abcdef" not in caplog.text
    assert SECRET not in caplog.text


@pytest.fixture
def asked(monkeypatch):
    """What the merchant's database says of an amount, in place of it; `asked.amount = 5` changes it."""
    from include.flows.recurring import amounts

    said = SimpleNamespace(amount=150_000, refused=False, seconds=0.0, error=None, questions=[])

    def answer(context, billing_number, customer_id):
        said.questions.append((context.profile.name, billing_number, customer_id))
        time.sleep(said.seconds)
        if said.error:
            raise said.error
        return amounts.AmountAnswer(said.amount, "IDR", None, "words", refused=said.refused)

    monkeypatch.setattr(amounts, "answer_amount", answer)
    return said


QUESTION = {"billing": {"billing_number": "B1"}, "customer": {"id": "K1"}}


def question_form(**changes: str) -> dict[str, str]:
    form = {"CUSTOMERID": "K1", "BILLNUMBER": "B1", "CUSTOMERNAME": "Ani", **changes}
    return {**form, "WORDS": words.of_amount_question("sha1", SHARED_KEY, form)}


def test_a_question_for_an_amount_is_answered_at_once(make_door, asked):
    door = make_door()
    answer = door.notify("amount", QUESTION)
    assert (answer.status_code, answer.json()) == (200, {"order": {"amount": 150_000}})
    assert asked.questions == [("insurance", "B1", "K1")]
    assert [(row["kind"], row["state"]) for row in door.inbox()] == [("amount", "done")]
    older = make_door(recurring={"dialect": "onecheckout"})
    answer = older.post_form("amount", question_form())
    assert (answer.status_code, answer.text) == (200, "150000.00")
    assert older.post_form("amount", {**question_form(), "BILLNUMBER": "B2"}).text == "STOP"


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"amount": None}, 503, "no_amount"),
        ({"amount": None, "refused": True}, 404, "no_such_bill"),
        ({"seconds": 0.6}, 503, "no_amount"),
        ({"error": LedgerUnreachable("It does not answer.")}, 503, "ledger"),
        ({"error": RuntimeError("secret")}, 503, "mistake"),
    ],
)
def test_no_amount_is_ever_invented(make_door, asked, change, status, reason):
    vars(asked).update(change)
    door = make_door(notifications={"amount_seconds": 0.2})
    answer = door.notify("amount", QUESTION)
    assert answer.status_code == status
    assert answer.json() == {"message": SENTENCE[Refusal(reason)]}
    assert door.refused() == {("insurance", "amount", reason): 1}
    older = make_door(recurring={"dialect": "onecheckout"}, notifications={"amount_seconds": 0.2})
    assert older.post_form("amount", question_form()).text == "STOP"


def test_a_question_that_cannot_be_read_is_kept_and_not_answered(make_door, asked):
    door = make_door()
    for body in (b"{}", b"\xff", b"[" * 30_000, b'{"billing": {"billing_number": ["B1"]}}'):
        assert door.notify("amount", body).status_code == 400
    assert asked.questions == []
    assert len(door.inbox()) == 4


def test_refusals_are_written_at_most_once_a_second_for_a_key(door, monkeypatch):
    written = []
    counter = door.app.state.door._refusals
    keep = counter._keep
    monkeypatch.setattr(counter, "_keep", lambda counts: written.append(len(counts)) or keep(counts))
    for _ in range(50):
        door.notify("payment", secret="forged")
        door.send(f"{PREFIX}/{'x' * 30}/payment")
    assert written == []
    assert door.refused() == {("insurance", "payment", "signature"): 50, ("", "", "path"): 50}
    assert written == [2]


def test_counts_that_could_not_be_kept_are_added_later():
    from plugins.web.refusals import RefusalCounter

    kept, works = [], []
    counter = RefusalCounter(lambda counts: kept.extend(counts) or () if works else counts, 60)
    counter.count("p", "payment", Refusal.SIGNATURE, NOW)
    counter.flush()
    counter.count("p", "payment", Refusal.SIGNATURE, NOW + timedelta(seconds=5))
    works.append(True)
    counter.flush()
    (one,) = kept
    assert (one.count, one.last_at) == (2, NOW + timedelta(seconds=5))


def test_counts_are_flushed_by_themselves(make_door):
    from plugins.web.notifications import make_app

    door = make_door()
    app = make_app(door.look_up, now=lambda: NOW, flush_seconds=0.05)
    door.app = app
    door.notify("payment", secret="forged")
    until = time.monotonic() + 60
    while not door.merchant.sql("SELECT * FROM refused_notification") and time.monotonic() < until:
        time.sleep(0.02)
    (row,) = door.merchant.sql("SELECT * FROM refused_notification")
    assert (row["count"], row["reason"]) == (1, "signature")


def test_too_many_at_once_are_told_to_come_again(door, monkeypatch):
    monkeypatch.setattr("plugins.web.notifications.MOST_AT_ONCE", 0)
    answer = door.notify("payment")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert door.refused() == {("", "", "busy"): 1}


def test_what_was_answered_with_later_does_not_wait_behind_a_ledger_that_hangs(door, monkeypatch):
    hangs, begun = threading.Event(), []

    def take(*given):
        begun.append(given)
        hangs.wait(10)
        return b"{}"

    monkeypatch.setattr("plugins.web.notifications.take", take)
    monkeypatch.setattr("plugins.web.notifications.STORE_SECONDS", 0.02)
    try:
        assert {door.notify("payment", {"n": number}).status_code for number in range(CONNECTIONS + 6)} == {503}
    finally:
        hangs.set()
    door.app.state.door.close()  # waits for all that is under way
    assert len(begun) == CONNECTIONS


def test_the_health_answer(door):
    answer = door.send(f"{PREFIX}/health", method="GET")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert door.send(f"{PREFIX}/health", method="HEAD").status_code == 200
    assert door.send(f"{PREFIX}/health").status_code == 405


def test_it_is_not_ready_where_no_profile_takes_notifications(door, caplog, tmp_path, monkeypatch):
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(tmp_path / "not-there"))
    answer = door.send(f"{PREFIX}/health", method="GET")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert "DOKU_PROFILES_DIR" in caplog.text


def test_every_reason_has_a_status_and_a_sentence():
    assert set(STATUS) == set(SENTENCE) == set(Refusal)


def test_alone_it_imports_no_airflow():
    script = (
        "import sys; import plugins.web.alone; print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[-2] == "[]"
