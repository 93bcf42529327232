"""Notices through real servers on this machine: what arrives, and what is said when it does not."""

import base64

import pytest

from include.domain.connection import ConnectionSettings
from include.domain.errors import AlertNotSent, ConfigError
from include.domain.watch import Level
from include.flows.channels import ping, send_notice
from tests.alert_servers import mail_server, notice, webhook

TO = ["ops@merchant.example", "lead@merchant.example"]


@pytest.fixture
def hook():
    with webhook() as taken:
        yield taken


@pytest.fixture
def mail():
    with mail_server() as taken:
        yield taken


def test_a_mail_arrives_with_the_safe_action_in_it(mail):
    send_notice(mail.connection(login="doku", password="pa55"), notice(), TO)
    (message,) = mail.messages
    assert mail.envelopes == [("doku@merchant.example", TO)]
    assert message["Subject"] == "[DOKU insurance] urgent: no report, TKN_1.TXT"
    assert message["To"] == ", ".join(TO)
    text = message.get_content()
    for part in ("No report on TKN_1.TXT came.", "Do this: Ask DOKU.", "More: docs/runbooks/watchdog.md#no-report",
                 "Late since 2026-11-21 12:00 (Asia/Jakarta)"):  # fmt: skip
        assert part in text
    assert base64.b64decode(mail.logins[0]) == b"\0doku\0pa55"


def test_what_a_file_is_called_cannot_forge_a_header(mail):
    send_notice(mail.connection(), notice(subject="x.TXT\r\nBcc: everybody@example.com"), TO)
    (message,) = mail.messages
    assert message["Bcc"] is None
    assert mail.envelopes[0][1] == TO


def test_a_webhook_gets_json_and_a_key_that_tells_a_second_copy(hook):
    connection = hook.connection(login="u", password="p", extra={"X-Team": "billing"})
    send_notice(connection, notice(), ())
    ((method, path, headers),) = hook.asked
    assert (method, path) == ("POST", "/hook")
    assert headers["Idempotency-Key"] == "L-7-2"
    assert headers["X-Team"] == "billing"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
    (document,) = hook.documents
    assert document["state"] == "urgent"
    assert document["action"] == "Ask DOKU."
    assert "Do this: Ask DOKU." in document["text"]


def test_a_webhooks_address_may_stand_in_parts(hook):
    send_notice(ConnectionSettings("alerts", "http", host="127.0.0.1", port=hook.port, schema="http"), notice(), ())
    assert len(hook.documents) == 1


def test_slack_gets_its_text(hook):
    send_notice(ConnectionSettings("slack", "slackwebhook", host=hook.address, password="T0/B0/secret"), notice(), ())
    assert hook.asked[0][1] == "/T0/B0/secret"
    assert set(hook.documents[0]) == {"text"}


def test_that_it_is_over_says_so(hook):
    send_notice(hook.connection(), notice(Level.OVER), ())
    (document,) = hook.documents
    assert document["state"] == "over"
    assert "nothing is to be done" in document["text"]
    assert "Do this" not in document["text"]


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_refusal_is_a_sentence_without_the_address(hook, status):
    hook.answer = status
    connection = ConnectionSettings("slack", "slackwebhook", host=hook.address, password="T0/B0/secret")
    with pytest.raises(AlertNotSent, match=f"through connection slack \\(HTTPStatusError {status}\\)") as caught:
        send_notice(connection, notice(), ())
    assert "secret" not in caught.value.message
    assert str(hook.port) not in caught.value.message


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_mail_that_is_refused(mail, command):
    mail.refuse = command
    with pytest.raises(AlertNotSent, match="connection mail"):
        send_notice(mail.connection(), notice(), TO)
    assert mail.messages == []


def test_nobody_listens():
    for connection in (
        ConnectionSettings("hook", "http", host="http://127.0.0.1:9"),
        ConnectionSettings("mail", "smtp", host="127.0.0.1", port=9, login="me@x.example", extra={"disable_ssl": True}),
    ):
        with pytest.raises(AlertNotSent, match=f"through connection {connection.conn_id}"):
            send_notice(connection, notice(), TO)


def test_encryption_is_not_left_out_silently(mail):
    """A connection that does not say otherwise is encrypted; a server that is not is not spoken to."""
    for extra in ({}, {"disable_ssl": True}):
        with pytest.raises(AlertNotSent):
            send_notice(mail.connection(extra={"from_email": "a@b.example", "timeout": 5, **extra}), notice(), TO)
    assert mail.messages == []


@pytest.mark.parametrize(
    ("connection", "to", "words"),
    [
        (ConnectionSettings("x", "postgres", host="h"), TO, "tells nobody anything; use smtp, http or slackwebhook"),
        (ConnectionSettings("x", "smtp"), TO, "needs a host"),
        (ConnectionSettings("x", "smtp", host="h"), TO, "extra.from_email"),
        (ConnectionSettings("x", "smtp", host="h", login="me"), [], "watch.mail_to of the profile names nobody"),
        (ConnectionSettings("x", "http"), TO, "put the webhook's address there"),
        (ConnectionSettings("x", "slackwebhook"), TO, "needs a password"),
    ],
)
def test_a_connection_that_lacks_something(connection, to, words):
    with pytest.raises(ConfigError, match=words):
        send_notice(connection, notice(), to)


def test_a_sign_of_life(hook):
    ping(f"{hook.address}/alive/secret")
    assert [(method, path) for method, path, _ in hook.asked] == [("GET", "/alive/secret")]
    hook.answer = 500
    for address in (f"{hook.address}/secret", "no address at all", "http://127.0.0.1:9/secret"):
        with pytest.raises(AlertNotSent, match="sign of life") as caught:
            ping(address)
        assert "secret" not in caught.value.message
