"""The watchdog over profiles, and its command: broken profiles, silent ledgers, exit codes, the sign of life."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from include.cli import main
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from include.domain.states import ALARMS
from include.domain.watch import Watcher
from include.flows import assemble
from include.ledger.expectations import note_look
from include.schemas.profile import SHIPPED_CONFIG
from tests.alert_servers import mail_server, webhook
from tests.flows_harness import charge
from tests.unit.flows.watch_drill import open_break

WATCHED = {"watch": {"notify": ["hook"], "mail_to": ["ops@merchant.example"]}}


@pytest.fixture
def hook():
    with webhook() as taken:
        yield taken


@pytest.fixture
def person(make_merchant, hook, monkeypatch, capsys):
    """`person.watches(...)`: exit code, standard output, standard error, and what arrived as (state, kind, profile)."""
    merchant = make_merchant(changes=WATCHED)
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(merchant.profile_file.parent))
    monkeypatch.setenv("DOKU_ARTEFACTS", merchant.artefacts.as_uri())
    monkeypatch.setattr("include.flows.assemble.connect", lambda settings: merchant.server.session())
    given = assemble.flow_context
    monkeypatch.setattr(
        assemble,
        "flow_context",
        lambda profile, look_up, artefacts: given(profile, look_up, artefacts, lambda: merchant.now),
    )

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return merchant.now

    monkeypatch.setattr("include.commands.watching.datetime", Clock)
    merchant.known = {
        "doku_ledger": merchant.ledger_settings,
        "insurance_billing": merchant.billing_settings,
        "insurance_sftp": ConnectionSettings("insurance_sftp", "sftp", host="doku.example", login="merchant"),
        "hook": hook.connection("hook"),
    }

    def look_up(conn_id):
        if conn_id not in merchant.known:
            raise ConfigError(f"AIRFLOW_CONN_{conn_id.upper()}", "", "is not set")
        return merchant.known[conn_id]

    def watches(*words):
        before = len(hook.documents)
        code = main(["watch", *words], look_up)
        printed = capsys.readouterr()
        told = [(one["state"], one["kind"], one["profile"]) for one in hook.documents[before:]]
        return code, printed.out, printed.err, told

    merchant.watches = watches
    return merchant


def _nowhere(person):
    """A ledger whose database does not answer."""
    return ConnectionSettings("doku_ledger", "sqlite", host=str(person.root / "nowhere" / "x.db"))


def test_nothing_is_late(person):
    assert person.watches() == (0, "insurance: nothing is late.\n", "", [])


def test_what_is_late_is_printed_and_told_once(person):
    open_break(person, ALARMS[0])
    code, said, complaint, told = person.watches("--profile", "insurance")
    assert (code, complaint) == (1, "")
    assert said.startswith("insurance: Collected twice: both sides\n  Do this: Ask DOKU by telephone to stop or refund")
    assert told == [("critical", "money_at_risk", "insurance")]
    assert person.watches()[0::3] == (1, [])


def test_by_mail(person):
    with mail_server() as mail:
        person.known["hook"] = mail.connection("hook")
        open_break(person, ALARMS[0])
        person.watches()
    (message,) = mail.messages
    assert message["Subject"] == "[DOKU insurance] critical: money at risk, break 1"
    assert mail.envelopes[0][1] == ["ops@merchant.example"]


def test_the_sign_of_life_goes_out_whatever_is_late_and_not_when_nothing_was_told(person, hook):
    address = f"{hook.address}/alive"
    assert person.watches("--ping", address)[0] == 0
    open_break(person, ALARMS[0])
    assert person.watches("--ping", address)[0] == 1
    pings = [path for method, path, _ in hook.asked if method == "GET"]
    assert pings == ["/alive", "/alive"]
    del person.known["hook"]
    open_break(person, ALARMS[1])
    code, _, complaint, _ = person.watches("--ping", address)
    assert (code, complaint) == (1, "insurance: AIRFLOW_CONN_HOOK: is not set\n")
    assert [path for method, path, _ in hook.asked if method == "GET"] == pings


def test_a_sign_of_life_that_nobody_takes(person):
    code, _, complaint, _ = person.watches("--ping", "http://127.0.0.1:9/secret")
    assert code == 1
    assert "sign of life" in complaint
    assert "secret" not in complaint


def test_a_broken_profile_is_told_once_and_does_not_stop_the_others(person):
    broken = person.profile_file.parent / "broken.toml"
    broken.write_text('name = "broken"\n', encoding="utf-8")
    code, said, _, told = person.watches()
    assert (code, told) == (1, [("late", "profile_broken", "broken")])
    assert "missing, and there is no default" in said
    assert "insurance: nothing is late." in said
    assert person.watches()[3] == []
    person.later(hours=1)
    assert person.watches()[3] == [("urgent", "profile_broken", "broken")]
    broken.unlink()
    person.write_profile("broken", WATCHED)
    assert person.watches()[3] == [("over", "profile_broken", "broken")]
    assert person.watches()[3] == []


def test_the_only_profile_is_broken_and_says_itself_whom_to_tell(person):
    text = person.profile_file.read_text(encoding="utf-8")
    person.profile_file.write_text(text.replace('environment = "sandbox"', 'environment = "testing"'), encoding="utf-8")
    assert person.watches()[3] == [("late", "profile_broken", "insurance")]
    person.profile_file.write_text(text, encoding="utf-8")
    assert person.watches()[3] == [("over", "profile_broken", "insurance")]


def test_a_missing_connection_is_a_broken_profile(person):
    billing = person.known.pop("doku_ledger")
    code, said, _, told = person.watches()
    assert (code, told) == (1, [("late", "profile_broken", "insurance")])
    assert "AIRFLOW_CONN_DOKU_LEDGER" in said
    person.known["doku_ledger"] = billing
    assert person.watches()[3] == [("over", "profile_broken", "insurance")]


def test_a_silent_ledger_is_told_once_for_each_level_without_it(person):
    """Its memory is the artefact store: the ledger cannot keep that people were told of it."""
    settings = person.known["doku_ledger"]
    person.known["doku_ledger"] = ConnectionSettings(
        "doku_ledger", "sqlite", host=str(person.root / "nowhere" / "x.db")
    )
    found = []
    for _ in range(18):
        code, said, _, told = person.watches()
        found += told
        assert code == 1
        person.later(minutes=15)
    assert found == [(state, "ledger_silent", "insurance") for state in ("late", "urgent", "critical")]
    assert "cannot use the ledger" in said
    person.known["doku_ledger"] = settings
    assert person.watches()[3] == [("over", "ledger_silent", "insurance")]
    assert list((person.artefacts / "watch" / "insurance").iterdir()) == []


def test_a_silent_ledger_that_could_not_be_told_is_told_later(person, hook):
    person.known["doku_ledger"] = ConnectionSettings(
        "doku_ledger", "sqlite", host=str(person.root / "nowhere" / "x.db")
    )
    hook.answer = 503
    code, _, complaint, _ = person.watches()
    assert code == 1
    assert "HTTPStatusError 503" in complaint
    hook.answer = 200
    person.later(minutes=15)
    assert person.watches()[3] == [("late", "ledger_silent", "insurance")]


def test_without_an_artefact_store_it_is_told_rather_too_often(person, monkeypatch):
    person.known["doku_ledger"] = ConnectionSettings(
        "doku_ledger", "sqlite", host=str(person.root / "nowhere" / "x.db")
    )
    (person.root / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("DOKU_ARTEFACTS", (person.root / "file").as_uri())
    for _ in range(2):
        assert person.watches()[3] == [("late", "ledger_silent", "insurance")]


def test_a_mistake_of_ours_in_one_profile_does_not_stop_the_others(person, hook, monkeypatch):
    from include.flows import watch_profiles

    person.write_profile("second", {"name": "second", **WATCHED})
    given = watch_profiles.watch

    def mistaken(context, watcher, send):
        if context.profile.name == "insurance":
            raise ValueError("token 0123456789abcdef")
        return given(context, watcher, send)

    monkeypatch.setattr(watch_profiles, "watch", mistaken)
    code, said, complaint, _ = person.watches("--ping", f"{hook.address}/alive")
    assert (code, said) == (1, "second: nothing is late.\n")
    assert complaint == "insurance: Unexpected builtins.ValueError while watching; report it.\n"
    assert not [path for method, path, _ in hook.asked if method == "GET"]


def test_no_profile_at_all_is_said(person):
    person.profile_file.unlink()
    code, said, complaint, _ = person.watches()
    assert (code, said) == (1, "")
    assert "holds no profile, so nothing is watched" in complaint


def test_a_profile_that_is_not_there(person):
    code, said, _, _ = person.watches("--profile", "donation")
    assert code == 1
    assert "there is no such file" in said


def test_a_run_that_never_started_is_found_without_airflow(person):
    """As cron runs it: a process of its own, with Airflow nowhere."""
    person.list_charges(charge("C1", due_date=(person.context.today + timedelta(days=1)).isoformat()))
    person.watches()
    person.later(hours=25)
    code, said, _, told = person.watches()
    assert (code, told) == (1, [("late", "not_started", "insurance")])
    assert "1 charges, Rp 150,000, are due and not sent" in said


def _airflow_looks(person):
    with person.ledger.write() as connection:
        note_look(connection, "insurance", Watcher.AIRFLOW, person.now)


def test_a_scheduler_that_stands_still_is_found_without_airflow(person):
    _airflow_looks(person)
    person.later(minutes=59)
    assert person.watches()[0] == 0
    person.later(minutes=1)
    code, said, _, told = person.watches()
    assert (code, told) == (1, [("late", "watch_silent", "insurance")])
    assert "doku_watchdog has not looked since 2026-11-20 06:00" in said
    _airflow_looks(person)
    assert person.watches()[0::3] == (0, [("over", "watch_silent", "insurance")])


def test_the_command_loads_no_airflow(person, tmp_path):
    """It must run where Airflow does not, and not break with it."""
    script = (
        "import sys, json\nsys.modules['airflow'] = None\nfrom include.cli import main\nsys.exit(main(['watch']))\n"
    )
    described = person.ledger_settings
    environment = {
        "PYTHONPATH": str(SHIPPED_CONFIG.parents[1]),
        "PATH": "/usr/bin:/bin",
        "DOKU_PROFILES_DIR": str(person.profile_file.parent),
        "DOKU_ARTEFACTS": person.artefacts.as_uri(),
        "AIRFLOW_CONN_DOKU_LEDGER": json.dumps({"conn_type": "sqlite", "host": described.host}),
        "AIRFLOW_CONN_INSURANCE_BILLING": json.dumps({"conn_type": "sqlite", "host": str(person.billing_file)}),
        "AIRFLOW_CONN_INSURANCE_SFTP": json.dumps({"conn_type": "sftp", "host": "127.0.0.1", "port": 9, "login": "m",
                                                   "password": "p", "extra": {"host_key": "ssh-ed25519 AAAA"}}),
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "insurance: nothing is late.\n", "")
