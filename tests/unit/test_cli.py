"""The command line: exit codes, one sentence for what is wrong, and what stands on standard output."""

import json

import pytest

from include.cli import connection_from_environment, main
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from tests.flows_harness import BUSINESS_DATE, charge

DAY = BUSINESS_DATE.isoformat()


@pytest.fixture
def day(merchant, monkeypatch):
    """A merchant after one day, as the environment of a deployment shows it; `day.cli(...)` runs a command."""
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000), charge("BAD", token=None))
    merchant.submit()
    numbers = merchant.invoices()
    merchant.report((numbers["C1"], 100_000, "0000"), (numbers["C2"], 250_000, "0051"))
    merchant.reconcile()
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(merchant.profile_file.parent))
    monkeypatch.setenv("DOKU_ARTEFACTS", merchant.artefacts.as_uri())
    known = {"doku_ledger": merchant.ledger_settings, "insurance_billing": merchant.billing_settings}
    merchant.cli = lambda *words: main(words, known.__getitem__)
    return merchant


def test_books_for_a_person(day, capsys):
    assert day.cli("books", "--profile", "insurance", "--business-date", DAY) == 0
    printed = capsys.readouterr().out
    assert "The books tie." in printed
    assert "TKN_MCH0001_20261120_0001.TXT: reconciled, 2 attempts" in printed
    assert "report RPT_1.TXT" in printed


def test_books_as_json(day, capsys):
    assert day.cli("books", "--profile", "insurance", "--business-date", DAY, "--json") == 0
    books = json.loads(capsys.readouterr().out)
    assert books["ties"] is True
    assert books["rows"] == {"count": 3, "amount": 500_000}
    assert books["paid"]["amount"] == 100_000
    assert books["declined"]["by_code"] == {"0051": {"count": 1, "amount": 250_000}}


def test_books_of_a_day_without_a_run(day, capsys):
    assert day.cli("books", "--profile", "insurance", "--business-date", "2030-01-01") == 0
    assert "no run has looked at this day yet" in capsys.readouterr().out


def test_render_writes_the_plaintext_and_nothing_else(day, capfdbinary):
    import hashlib

    assert day.cli("render", "--profile", "insurance", "TKN_MCH0001_20261120_0001.TXT") == 0
    written = capfdbinary.readouterr().out
    (batch,) = day.sql("SELECT plaintext_digest, plaintext_size FROM batch")
    assert (hashlib.sha256(written).hexdigest(), len(written)) == (batch["plaintext_digest"], batch["plaintext_size"])


def test_render_of_a_file_that_nobody_knows(day, capsys):
    assert day.cli("render", "--profile", "insurance", "TKN_NONE.TXT") == 1
    printed = capsys.readouterr()
    assert "no batch file TKN_NONE.TXT" in printed.err
    assert printed.out == ""


def test_verify_finds_nothing_after_a_good_day(day, capsys):
    assert day.cli("verify", "--profile", "insurance") == 0
    assert capsys.readouterr().out == "insurance: all ties.\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda day: day.artefacts.joinpath(day.batch(1)["artefact"]).write_bytes(b"x"),
        lambda day: day.artefacts.joinpath(day.batch(1)["artefact"]).unlink(),
        lambda day: _execute(day, "UPDATE attempt SET amount = amount + 1 WHERE charge_id = 'C1'"),
        lambda day: _execute(day, "UPDATE attempt SET token = 'another-token-01' WHERE charge_id = 'C1'"),
        lambda day: _execute(day, "DELETE FROM quarantined_charge"),
        lambda day: _execute(day, "UPDATE event SET actor = 'nobody' WHERE seq = 2"),
        lambda day: _execute(day, "UPDATE outcome SET status = 'paid' WHERE status = 'declined'"),
    ],
    ids=["altered", "gone", "amount", "token", "quarantine", "event", "outcome"],
)
def test_verify_names_what_was_damaged(day, capsys, damage):
    damage(day)
    assert day.cli("verify", "--profile", "insurance") == 1
    printed = capsys.readouterr().out
    assert "findings." in printed
    assert len(printed.splitlines()) >= 2


def _execute(day, statement: str) -> None:
    with day.ledger.write() as connection:
        connection.exec_driver_sql(statement)


def test_the_state_of_the_ledger(day, capsys):
    assert day.cli("ledger", "status") == 0
    assert capsys.readouterr().out == f"Ledger {day.ledger.ledger_id}, sandbox, at head.\n"


def test_upgrading_a_new_ledger(tmp_path, capsys):
    settings = ConnectionSettings("doku_ledger", "sqlite", host=str(tmp_path / "new.db"))
    known = {"doku_ledger": settings, "other": settings}
    assert main(["ledger", "status"], known.__getitem__) == 1
    assert "ledger upgrade" in capsys.readouterr().err
    assert main(["ledger", "upgrade", "--environment", "sandbox"], known.__getitem__) == 0
    assert "(before: empty)" in capsys.readouterr().out
    assert main(["ledger", "upgrade", "--environment", "sandbox", "--connection", "other"], known.__getitem__) == 0
    assert "already" in capsys.readouterr().out
    assert main(["ledger", "upgrade", "--environment", "production"], known.__getitem__) == 1
    assert "belongs to the sandbox environment" in capsys.readouterr().err


def test_every_profile_is_checked(day, capsys):
    folder = day.profile_file.parent
    (folder / "broken.toml").write_text("name = ", encoding="utf-8")
    (folder / "misnamed.toml").write_text(day.profile_file.read_text(encoding="utf-8"), encoding="utf-8")
    day.write_profile("layoutless", {"batch": {"layout": "none"}})
    day.write_profile("without_paths", {"connections": {"doku": "api"}, "tokens": {"fields": "none-such"}})
    assert day.cli("profiles") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "no dialect 'none-such'" in lines[4]
    assert "broken.toml: not valid TOML" in lines[0]
    assert lines[1] == "insurance.toml: good"
    assert "none" in lines[2]
    assert "misnamed" in lines[3]


def test_the_shipped_profiles_are_good(monkeypatch, capsys):
    monkeypatch.delenv("DOKU_PROFILES_DIR", raising=False)
    assert main(["profiles"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["donation.toml: good", "insurance.toml: good", "internet.toml: good"]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DOKU_ARTEFACTS", None, "DOKU_ARTEFACTS"),
        ("DOKU_PROFILES_DIR", "/nowhere/at/all", "no such"),
    ],
)
def test_a_missing_setting_is_named(day, monkeypatch, capsys, variable, value, words):
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    assert day.cli("verify", "--profile", "insurance") == 1
    printed = capsys.readouterr()
    assert words in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert "Traceback" not in printed.err


def test_an_unknown_profile_names_the_known_ones(day, capsys):
    assert day.cli("verify", "--profile", "donation") == 1
    assert "profiles there: insurance" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [], ["nonsense"], ["books"], ["books", "--profile", "p"], ["ledger"], ["ledger", "upgrade"],
        ["books", "--profile", "p", "--business-date", "today"], ["ledger", "upgrade", "--environment", "test"],
        ["render", "--profile", "p"], ["approve", "--profile", "p", "--run-id", "1", "--by", "ani"],
        ["hold", "--profile", "p", "galaxy", "x"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_connections_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DOKU_LEDGER", "sqlite:////tmp/x.db")
    assert connection_from_environment("doku_ledger").conn_type == "sqlite"
    monkeypatch.delenv("AIRFLOW_CONN_DOKU_LEDGER")
    with pytest.raises(ConfigError, match="AIRFLOW_CONN_DOKU_LEDGER"):
        connection_from_environment("doku_ledger")


def test_no_command_shows_a_token(day, capsys):
    from tests.flows_harness import TOKEN

    commands = (
        ("books", "--business-date", DAY), ("books", "--business-date", DAY, "--json"), ("verify",), ("quarantine",),
        ("holds",),
    )  # fmt: skip
    for name, *rest in commands:
        day.cli(name, "--profile", "insurance", *rest)
    printed = capsys.readouterr()
    assert TOKEN not in printed.out + printed.err


def test_the_inbox_is_listed_without_its_contents(day, capsys):
    import hashlib

    from include.domain.states import NotificationKind, NotificationState
    from include.ledger.inbox import Arrived, RefusedCount, count_refused, store

    with day.ledger.write() as connection:
        for n, state in enumerate(("received", "failed", "received")):
            body = b"token-%d" % (n % 2)
            arrived = Arrived(
                "insurance", NotificationKind.PAYMENT, hashlib.sha256(body).hexdigest(), body, day.now,
                request_id="R-1", state=NotificationState(state), result="no amount in it" if n else None,
            )  # fmt: skip
            store(connection, arrived)
        counts = [("insurance", "payment", "signature", 3), ("", "", "path", 9)]
        count_refused(connection, [RefusedCount(*one[:3], BUSINESS_DATE, one[3], day.now) for one in counts])
    assert day.cli("inbox", "--profile", "insurance") == 0
    printed = capsys.readouterr().out
    assert "payment received: 1, 1 repeats" in printed
    assert "2  failed  payment  7 bytes: no amount in it" in printed
    assert "The same Request-Id with different contents: 1, 2" in printed
    assert "3 for signature (payment)" in printed
    assert "9 for path (no path of ours)" in printed
    assert "2 notifications, 1 failed." in printed
    assert "token" not in printed
    day.cli("inbox", "--profile", "insurance", "--waiting")
    assert "1  received  payment" in capsys.readouterr().out
