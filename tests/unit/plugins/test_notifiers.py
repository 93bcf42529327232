"""Notifiers: the watchdog's notices through Airflow's connections, and what a callback says of a task that failed."""

import json
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from include.domain.errors import AlertNotSent, ConfigError
from plugins.notifiers.mail import MailAlertNotifier
from plugins.notifiers.slack import SlackAlertNotifier
from plugins.notifiers.webhook import WebhookAlertNotifier
from plugins.telling import notifier_of
from tests.alert_servers import mail_server, notice, webhook

TO = ["ops@merchant.example"]


@pytest.fixture
def connections(monkeypatch):
    """A mail server and a webhook as Airflow knows them: connections mail, hook and slack."""
    with mail_server() as mail, webhook() as hook:
        extra = {"from_email": "doku@merchant.example", "disable_ssl": True, "disable_tls": True, "timeout": 5}
        values = {
            "mail": {"conn_type": "smtp", "host": "127.0.0.1", "port": mail.port, "extra": extra},
            "hook": {"conn_type": "http", "host": f"{hook.address}/hook"},
            "slack": {"conn_type": "slackwebhook", "host": f"{hook.address}/services", "password": "T0/B0/secret"},
            "other": {"conn_type": "sftp", "host": "doku.example"},
        }
        for name, value in values.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))
        yield SimpleNamespace(mail=mail, hook=hook)


def _failed(caught) -> dict:
    task = SimpleNamespace(dag_id="doku_submit__insurance", task_id="deliver", run_id="r1", try_number=2)
    return {"ti": task, "dag_run": SimpleNamespace(run_id="r1"), "exception": caught}


@pytest.mark.parametrize(
    ("conn_id", "kind"), [("mail", MailAlertNotifier), ("hook", WebhookAlertNotifier), ("slack", SlackAlertNotifier)]
)
def test_a_connection_gets_the_notifier_of_its_type(connections, conn_id, kind):
    made = notifier_of(conn_id, notice(), TO)
    assert type(made) is kind
    made.notify({})
    taken = [message.get_content() for message in connections.mail.messages]
    taken += [document["text"] for document in connections.hook.documents]
    (text,) = taken
    assert "Do this: Ask DOKU." in text


def test_a_connection_that_tells_nobody(connections):
    with pytest.raises(ConfigError, match="tells nobody anything"):
        notifier_of("other", notice(), TO)
    with pytest.raises(ConfigError, match="Airflow has no such connection"):
        notifier_of("nowhere", notice(), TO)


def test_a_callback_sends_the_sentence_of_the_task(connections):
    caught = AirflowFailException("The server refused the log-in. Check the connection.")
    WebhookAlertNotifier(conn_id="hook")(_failed(caught))
    (document,) = connections.hook.documents
    assert document["words"] == "The server refused the log-in. Check the connection."
    assert (document["profile"], document["subject"]) == ("insurance", "doku_submit__insurance.deliver")
    assert "clear deliver of run r1" in document["action"]


def test_a_callback_does_not_send_the_text_of_an_unexpected_error(connections):
    """It may hold values, and values hold tokens."""
    MailAlertNotifier(conn_id="mail", to=TO)(_failed(ValueError("token 0123456789abcdef")))
    (message,) = connections.mail.messages
    assert "0123456789abcdef" not in message.get_content()
    assert "its log says why" in message.get_content()


def test_what_a_file_is_called_is_no_template(connections):
    named = notice(subject="{{ conn.mail.password }}", words="{% raise %} {{ 1/0 }}")
    WebhookAlertNotifier(conn_id="hook", notice=named)({"dag": None})
    assert connections.hook.documents[0]["words"] == "{% raise %} {{ 1/0 }}"


def test_a_refusal_is_a_sentence_without_the_address(connections):
    connections.hook.answer = 404
    with pytest.raises(AlertNotSent, match="through connection slack") as caught:
        SlackAlertNotifier(conn_id="slack", notice=notice()).send(notice())
    assert "secret" not in caught.value.message
    with pytest.raises(AirflowException, match="through connection hook"):
        WebhookAlertNotifier(conn_id="hook", notice=notice()).notify({})
