"""The watchdog's operators: profiles as they are at the moment, one look each, through Airflow's connections."""

import json

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from include.domain.states import ALARMS
from plugins.operators.list_profiles import ListProfilesOperator
from plugins.operators.watch import WatchOperator
from tests.alert_servers import mail_server, webhook
from tests.unit.flows.watch_drill import open_break


@pytest.fixture
def told(deployed, monkeypatch):
    """A deployment whose profile tells by mail and webhook; what arrived."""
    settings = {"watch": {"notify": ["mail", "hook"], "mail_to": ["ops@merchant.example"]}}
    deployed.write_profile("insurance", settings)
    with mail_server() as mail, webhook() as hook:
        extra = {"from_email": "doku@merchant.example", "disable_ssl": True, "disable_tls": True, "timeout": 5}
        for name, value in {
            "MAIL": {"conn_type": "smtp", "host": "127.0.0.1", "port": mail.port, "extra": extra},
            "HOOK": {"conn_type": "http", "host": hook.address},
        }.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
        deployed.mail, deployed.hook = mail, hook
        yield deployed


def _look(profile="insurance"):
    return WatchOperator(task_id="watch", profile=profile).execute({})


def test_the_profiles_there_are_now(deployed):
    operator = ListProfilesOperator(task_id="profiles")
    assert operator.execute({}) == ["insurance"]
    (deployed.profile_file.parent / "broken.toml").write_text("x", encoding="utf-8")
    assert operator.execute({}) == ["broken", "insurance"]


def test_a_folder_without_profiles_is_no_quiet_end(deployed, monkeypatch):
    deployed.profile_file.unlink()
    with pytest.raises(AirflowFailException, match="holds no profile, so nothing is watched"):
        ListProfilesOperator(task_id="profiles").execute({})
    monkeypatch.setenv("DOKU_PROFILES_DIR", "/nowhere")
    with pytest.raises(AirflowFailException, match="no such folder"):
        ListProfilesOperator(task_id="profiles").execute({})


def test_what_is_late_is_told_through_notifiers_once_and_leaves_the_task_green(told):
    assert _look() == {"profile": "insurance", "open": {}, "told": 0}
    open_break(told, ALARMS[0])
    assert _look() == {"profile": "insurance", "open": {"money_at_risk": 1}, "told": 2}
    assert _look() == {"profile": "insurance", "open": {"money_at_risk": 1}, "told": 0}
    (message,), (document,) = told.mail.messages, told.hook.documents
    assert "Do this: Ask DOKU by telephone to stop or refund" in message.get_content()
    assert document["runbook"] == "docs/runbooks/watchdog.md#money-at-risk"
    assert [row["watcher"] for row in told.sql("SELECT watcher FROM watch_look")] == ["airflow"]


def test_what_could_not_be_told_fails_the_task_and_is_told_by_the_next(told):
    open_break(told, ALARMS[0])
    told.hook.answer = 500
    with pytest.raises(AirflowException, match="through connection hook"):
        _look()
    assert len(told.mail.messages) == 1
    told.hook.answer = 200
    assert _look()["told"] == 1


def test_a_connection_that_airflow_does_not_have(told, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_HOOK")
    open_break(told, ALARMS[0])
    with pytest.raises(AirflowException, match="connection hook: Airflow has no such connection"):
        _look()


def test_a_broken_profile_is_told_and_leaves_the_task_green(told):
    (told.profile_file.parent / "broken.toml").write_text('name = "broken"', encoding="utf-8")
    assert _look("broken") == {"profile": "broken", "open": {"profile_broken": 1}, "told": 2}
    assert _look("broken")["told"] == 0
