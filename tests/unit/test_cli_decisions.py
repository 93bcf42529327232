"""The command line's decisions: what a person types, what they read, what is kept of it."""

import json
import os
import shutil

import pytest

from include.cli import main
from include.domain.errors import DeliveryUnknown
from include.flows.deliver import deliver
from include.flows.verify import findings
from tests.flows_harness import BUSINESS_DATE, TOKEN, charge, lost

NAME = "TKN_MCH0001_20261120_0001.TXT"


@pytest.fixture
def person(make_merchant, monkeypatch, capsys):
    """`person.types("hold", ...)`: exit code, standard output, standard error."""
    merchant = make_merchant(changes={"brakes": {"max_count": 3}})
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(merchant.profile_file.parent))
    monkeypatch.setenv("DOKU_ARTEFACTS", merchant.artefacts.as_uri())
    monkeypatch.setattr("include.flows.assemble.connect", lambda settings: merchant.server.session())
    from include.domain.connection import ConnectionSettings
    from include.flows import assemble

    given = assemble.flow_context
    monkeypatch.setattr(
        assemble,
        "flow_context",
        lambda profile, look_up, artefacts: given(profile, look_up, artefacts, lambda: merchant.now),
    )
    known = {
        "doku_ledger": merchant.ledger_settings,
        "insurance_billing": merchant.billing_settings,
        "insurance_sftp": ConnectionSettings("insurance_sftp", "sftp", host="doku.example", login="merchant"),
    }

    def types(command: str, *words: str) -> tuple[int, str, str]:
        code = main([command, "--profile", "insurance", *words], known.__getitem__)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    merchant.types = types
    merchant.decides = lambda command, *words: types(command, *words, "--by", "ani", "--why", "a test", "--apply")
    return merchant


def _unknown(person):
    """A delivery that nobody can judge."""
    person.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    run, (batch_id,) = person.seal()

    def taken() -> None:
        (person.remote_root / "inbound" / NAME).unlink()
        raise lost()

    person.server.plan("rename", after=taken)
    with pytest.raises(DeliveryUnknown):
        deliver(person.context, batch_id, run.run_id)
    return batch_id


def test_hold_and_lift(person):
    person.list_charges(charge("C1"), charge("C2"))
    code, said, _ = person.decides("hold", "customer", "K-C1")
    assert (code, said.split(":")[0]) == (0, "customer K-C1 is held")
    _, listed, _ = person.types("holds")
    assert "customer K-C1 is held by ani: a test" in listed
    assert "1 holds are in force." in listed
    person.submit()
    assert list(person.invoices()) == ["C2"]
    code, said, _ = person.decides("lift", "customer", "K-C1")
    assert (code, said) == (0, "customer K-C1 is held no longer.\n")
    code, _, complaint = person.decides("lift", "customer", "K-C1")
    assert (code, complaint.count("\n")) == (1, 1)
    _, listed, _ = person.types("holds")
    assert listed == "0 holds are in force.\n"


def test_quarantine_and_release(person):
    person.list_charges(charge("C1", token=None))
    person.submit()
    _, listed, _ = person.types("quarantine")
    assert "C1: token:missing (runs 1 to 1)" in listed
    assert "token:missing  " in listed
    assert "1 charges are quarantined." in listed
    code, said, _ = person.decides("release", "C1")
    assert code == 0
    assert "the next run checks it again" in said
    assert person.types("quarantine")[1] == "0 charges are quarantined.\n"
    code, _, complaint = person.decides("release", "C9")
    assert code == 1
    assert "Charge C9 is not in quarantine." in complaint


def test_cancel(person):
    person.list_charges(charge("C1"), charge("C2"))
    person.decides("cancel", "C1")
    person.submit()
    assert list(person.invoices()) == ["C2"]
    code, _, complaint = person.decides("cancel", "C2")
    assert code == 1
    assert "has a live attempt" in complaint


def test_withdraw(person):
    person.list_charges(charge("C1"))
    person.seal()
    code, said, _ = person.decides("withdraw", NAME)
    assert code == 0
    assert "is withdrawn" in said
    code, _, complaint = person.decides("withdraw", NAME)
    assert (code, "is withdrawn" in complaint) == (1, True)
    assert person.decides("withdraw", "TKN_NONE.TXT")[0] == 1


def test_arrived(person):
    batch_id = _unknown(person)
    code, said, _ = person.decides("arrived", NAME)
    assert (code, "on ani's word" in said) == (0, True)
    assert person.batch(batch_id)["state"] == "delivered"
    assert person.decides("arrived", NAME)[0] == 1


def test_never_arrived(person):
    batch_id = _unknown(person)
    code, said, _ = person.decides("never-arrived", NAME)
    assert (code, "new invoice numbers" in said) == (0, True)
    assert person.batch(batch_id)["state"] == "withdrawn"
    assert {one["status"] for one in person.told().values()} == {"withdrawn"}
    code, _, complaint = person.decides("never-arrived", NAME)
    assert (code, "not unknown" in complaint) == (1, True)


def test_reopen(person):
    person.list_charges(charge("C1", 100_000))
    person.submit()
    person.report((person.invoices()["C1"], 100_000, "0000"), total="1.00")
    (refused,) = person.reconcile()
    assert refused.refused_reason
    code, said, _ = person.decides("reopen", "RPT_1.TXT")
    assert code == 0
    assert "read again by the next run of doku_reconcile__insurance" in said
    (refused,) = person.reconcile()  # nothing was mended: it is refused again
    assert refused.refused_reason
    assert person.decides("reopen", "RPT_2.TXT")[0] == 1


@pytest.mark.parametrize("answer", ["approve", "refuse"])
def test_approve_and_refuse(person, answer):
    person.list_charges(*(charge(f"C{n}", 100_000) for n in range(4)))
    run, (batch_id,) = person.seal()
    code, said, _ = person.decides(answer, "--run-id", str(run.run_id))
    assert code == 0
    verb = {"approve": "approved", "refuse": "refused"}[answer]
    assert said.startswith(f"Run {run.run_id}: {verb} by ani; ")
    ended = deliver(person.context, batch_id, run.run_id).state
    assert ended == {"approve": "delivered", "refuse": "withdrawn"}[answer]
    assert list(findings(person.context)) == []


def test_an_answer_of_nobody_or_to_nothing(person):
    person.list_charges(*(charge(f"C{n}") for n in range(4)))
    run, _ = person.seal()
    nobody = ("--by", "anonymous", "--why", "x", "--apply")
    code, _, complaint = person.types("approve", "--run-id", str(run.run_id), *nobody)
    assert (code, "needs a name" in complaint) == (1, True)
    code, _, complaint = person.decides("approve", "--run-id", "99")
    assert (code, "knows no run 99" in complaint) == (1, True)


def test_plan_keeps_nothing_and_is_what_the_run_sends(person):
    yesterday = "2026-11-19"
    person.list_charges(charge("C1", 100_000), charge("C2", 250_000, due_date=yesterday), charge("BAD", token=None))
    before = person.dump("layout")
    code, said, _ = person.types("plan")
    first, *outlook = said.splitlines()
    assert (code, first) == (0, "2026-11-20: would send 2 charges, Rp 350,000; quarantined token:missing: 1")
    assert [line.split(" ")[0] for line in outlook] == ["execute", "DOKU's", "DOKU's", outlook[-1].split(" ")[0]]
    assert "its cut-off is 2026-11-20 21:00 (Asia/Jakarta), in 15 hours and 0 minutes" in outlook[0]
    assert "are free where files are kept" in outlook[3]
    code, said, _ = person.types("plan", "--from", yesterday, "--to", "2026-11-20", "--json")
    assert json.loads(said) == {yesterday: 250_000, "2026-11-20": 100_000}
    assert person.dump("layout") == before
    _, (batch_id,) = person.submit(business_date=BUSINESS_DATE)
    assert person.batch(batch_id)["total_amount"] == 350_000
    assert person.types("plan")[1].startswith("2026-11-20: would send 0 charges")
    assert json.loads(person.types("plan", "--json")[1]) == {}


def test_recover(person):
    assert person.types("recover", "--by", "ani") == (0, "Nothing is missing.\n", "")
    person.list_charges(charge("C1", 100_000))
    file = person.ledger_settings.host
    person.ledger.engine.dispose()
    shutil.copyfile(file, f"{file}.backup")
    person.submit()
    person.ledger.engine.dispose()
    shutil.copyfile(f"{file}.backup", file)
    code, said, _ = person.types("recover", "--by", "ani")
    assert code == 0
    assert f"{NAME}: 1 attempts, 100000 in all" in said
    assert "1 batch files would be rebuilt; run again with --apply." in said
    assert person.sql("SELECT * FROM attempt") == []
    code, said, _ = person.types("recover", "--by", "ani", "--apply")
    assert (code, "delivered" in said) == (0, True)
    assert list(person.invoices()) == ["C1"]
    assert person.types("verify")[0] == 0


def test_recovered_and_not_to_be_seen_a_person_asks_doku(person):
    person.list_charges(charge("C1", 100_000))
    file = person.ledger_settings.host
    person.ledger.engine.dispose()
    shutil.copyfile(file, f"{file}.backup")
    person.submit()
    (person.remote_root / "inbound" / NAME).unlink()
    person.ledger.engine.dispose()
    shutil.copyfile(f"{file}.backup", file)
    code, said, _ = person.types("recover", "--by", "ani", "--apply")
    assert code == 0
    assert f"{NAME}: the server shows nothing of it; ask DOKU whether they took it." in said


@pytest.mark.parametrize("missing", ["--by", "--why"])
def test_who_and_why_are_asked_for(missing, capsys):
    given = {"--by": "ani", "--why": "x"}
    del given[missing]
    words = [word for pair in given.items() for word in pair]
    for command in ("hold charge C1", "lift charge C1", "release C1", "cancel C1", "withdraw X", "arrived X",
                    "never-arrived X", "reopen X"):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main([*command.split(), "--profile", "insurance", *words])
        assert ended.value.code == 2
        assert missing in capsys.readouterr().err


def test_no_decision_shows_a_token(person):
    person.list_charges(charge("C1"), charge("C2", token=None))
    person.seal()
    said = []
    for words in (("hold", "charge", "C1"), ("lift", "charge", "C1"), ("release", "C2"), ("withdraw", NAME)):
        said += person.decides(*words)[1:]
    said += person.types("plan")[1:]
    assert TOKEN not in "".join(said)


def test_housekeeping_shows_what_nothing_refers_to_and_removes_it_with_apply(person):
    keep = person.context.artefacts.keep
    orphan = keep("sealed/insurance/2026-11-20", NAME, [b"x"]).artefact
    report = keep("reports/insurance/2026-11-20", "RPT_1.TXT", [b"x"]).artefact
    for path in (orphan, report):
        os.utime(person.artefacts / path, (person.now.timestamp(),) * 2)
    person.later(days=8)
    code, said, _ = person.types("housekeeping", "--by", "ani")
    assert code == 0
    assert "Would remove: 1 kept files that nothing in the ledger refers to" in said
    assert f"Would remove: {orphan}: kept on 2026-11-20; nothing in the ledger refers to it" in said
    assert f"Stays: {report}: kept on 2026-11-20; the ledger has no report with what it holds" in said
    assert (person.artefacts / orphan).exists()
    _, said, _ = person.types("housekeeping", "--by", "ani", "--apply")
    assert f"Removed: {orphan}: " in said
    assert [(person.artefacts / path).exists() for path in (orphan, report)] == [False, True]
