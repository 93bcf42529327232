"""Kept registration files go when their delivery is over and every bill has its answer; verify knows it from a loss."""

import json
import os
import shutil
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from include.domain.bill_judgement import Expected
from include.domain.errors import DeliveryUnknown, RemoteError
from include.domain.states import RegistrationFileState
from include.flows.housekeeping import tidy, what_is_old
from include.flows.recurring.bulk_delivery import registration_never_arrived
from include.flows.recurring.changes import ask_again
from include.flows.recurring.overview import files_listed
from include.flows.verify import findings
from include.ledger.bill_breaks import missing_without_answer, open_missing
from include.ledger.bill_tables import bill, bill_charge, registration_file, registration_line
from include.ledger.registration_files import UNDER_WAY
from include.ledger.tables import recon_break
from tests.flows_harness import lost
from tests.recurring_harness import Bills, payment
from tests.register_harness import Register, wanted

SETTINGS = {
    "recurring": {"dialect": "json", "bulk": {"sealed": False}},
    "housekeeping": {"files_days": 100},
}
NAME, SECOND = (f"REG_MCH0001_20261120_000{number}.TXT" for number in (1, 2))
WHO = {"by": "ani", "why": "DOKU's support, ticket 5"}


class Killed(BaseException):
    """The process ends here."""


def _register(merchant) -> Register:
    made = Register(merchant)
    made.want(*(wanted(number, registration="bulk") for number in ("B-1", "B-2")))
    return made


@pytest.fixture
def bills(make_merchant) -> Register:
    """Two bills that are to be registered in bulk."""
    return _register(make_merchant(changes=SETTINGS))


@pytest.fixture
def over(bills) -> Register:
    """Their file is delivered, and DOKU has answered."""
    return _over(bills)


@pytest.fixture
def over_on_each(make_merchant, ledger_settings) -> Register:
    """The same on each database that a ledger may live on."""
    return _over(_register(make_merchant(ledger_settings, changes=SETTINGS)))


def _over(bills):
    bills.register()
    _answered(bills, "B-1", "B-2")
    return bills


def _answered(bills, *numbers):
    bills.merchant.later(minutes=5)
    for number in numbers:
        bills.hear(bills.registered(number))
    bills.take_in()


def _old(bills):
    return [one.name for one in what_is_old(bills.context).files]


def _kept(bills):
    folder = bills.merchant.artefacts / "registrations"
    return sorted(path.name.rpartition(".")[0] for path in folder.rglob("REG_*") if path.is_file())


def _row(bills):
    (found,) = bills.merchant.sql("SELECT * FROM registration_file WHERE file_name = :name", name=NAME)
    return found


def test_it_goes_when_its_time_is_over_and_not_before(over_on_each):
    bills = over_on_each
    bills.merchant.now -= timedelta(minutes=5)  # as it was delivered
    bills.merchant.later(days=100)
    assert (_old(bills), tidy(bills.context).files, _kept(bills)) == ([], (), [NAME])
    bills.merchant.later(seconds=1)
    before = _row(bills)
    assert [one.table for one in tidy(bills.context, "Sari").files] == ["registration_file"]
    assert _kept(bills) == []
    after = _row(bills)
    assert after.pop("file_removed_at") is not None
    assert after == {name: value for name, value in before.items() if name != "file_removed_at"}
    assert len(bills.merchant.sql("SELECT * FROM registration_line")) == 2
    (event,) = bills.merchant.sql("SELECT actor, details FROM event WHERE subject = '1 kept files'")
    assert event["actor"] == "Sari"
    assert before["artefact"] in event["details"]
    assert before["envelope_digest"] in event["details"]
    assert list(findings(bills.context)) == []
    assert tidy(bills.context).files == ()  # again: there is nothing left


def test_a_look_changes_nothing(over):
    over.merchant.later(days=200)
    before = over.merchant.dump()
    assert _old(over) == [NAME]
    assert over.merchant.dump() == before


def test_a_bill_that_waits_for_its_answer_keeps_the_file(make_merchant, ledger_settings):
    bills = _register(make_merchant(ledger_settings, changes=SETTINGS))
    bills.register()
    _answered(bills, "B-1")
    bills.merchant.later(days=1000)
    assert (bills.state("B-2"), _old(bills), tidy(bills.context).files) == ("asked", [], ())
    bills.hear(bills.registered("B-2", "FAILED"))
    bills.take_in()
    assert (bills.state("B-2"), _old(bills)) == ("refused", [NAME])


def test_a_bill_that_waits_for_the_answer_to_a_later_file_keeps_that_one(make_merchant, ledger_settings):
    bills = _register(make_merchant(ledger_settings, changes=SETTINGS))
    bills.register()
    bills.merchant.later(minutes=5)
    for number in ("B-1", "B-2"):
        ask_again(bills.context, billing_number=number, **WHO)
    assert bills.register().files == [SECOND]
    bills.merchant.later(days=1000)
    assert bills.state("B-1") == bills.state("B-2") == "asked"
    assert [one.name for one in tidy(bills.context).files] == [NAME]
    assert _kept(bills) == [SECOND]
    assert list(findings(bills.context)) == []


def test_one_that_never_left_stays(bills):
    bills.merchant.server.plan("connect", before=lost())
    with pytest.raises(RemoteError):
        bills.register()
    bills.merchant.later(days=1000)
    assert tidy(bills.context).files == ()
    assert bills.register().files == [NAME]  # it is there to be sent


@pytest.mark.parametrize("state", RegistrationFileState)
def test_one_that_is_under_way_stays_whatever_is_known_of_its_bills(over, state):
    with over.merchant.ledger.write() as connection:
        connection.execute(sa.update(registration_file).values(state=state))
    over.merchant.later(days=1000)
    assert _old(over) == ([] if state in UNDER_WAY else [NAME])


def test_one_that_never_arrived_goes_and_its_bills_are_in_another(bills):
    bills.merchant.server.plan("rename", before=lost())
    with pytest.raises(DeliveryUnknown):
        bills.register()
    bills.merchant.later(days=101)
    assert tidy(bills.context).files == ()
    registration_never_arrived(bills.context, file_name=NAME, **WHO)
    assert len(bills.register().files) == 1
    assert bills.state() == "asked"  # by the other
    assert [one.name for one in tidy(bills.context).files] == [NAME]
    assert len(_kept(bills)) == 1
    assert list(findings(bills.context)) == []


def _resolve(bills):
    resolved = {"state": "resolved", "closed_by": "ani", "closed_at": bills.merchant.now, "closed_reason": "x"}
    with bills.merchant.ledger.write() as connection:
        connection.execute(sa.update(recon_break).values(**resolved))


def _explain(bills):
    with bills.merchant.ledger.write() as connection:
        connection.execute(sa.update(recon_break).values(state="explained", explained_by="ani"))


def _one_about_a_transaction(bills):
    Bills(bills.merchant).notify(payment("T-1", "B-1", amount=7))


def _one_about_a_charge_that_is_missing(bills):
    _expected_and_missing(bills, "B-1")


def _expected_and_missing(bills, number):
    context, day = bills.context, date(2026, 12, 20)
    row = {
        "billing_source": context.profile.billing_source, "billing_number": number, "expected_on": day,
        "profile": context.profile.name, "charge_id": f"{number}/{day}", "customer_id": "K-1", "amount": 100_000,
        "currency": "IDR", "set_at": bills.merchant.now,
    }  # fmt: skip
    charge = Expected(number, day, row["charge_id"], "K-1", 100_000, "IDR")
    with bills.merchant.ledger.write() as connection:
        connection.execute(sa.insert(bill_charge).values(row))
        open_missing(connection, context.profile.name, [charge], "it did not come", bills.merchant.now)


@pytest.mark.parametrize("open_it", [_one_about_a_transaction, _one_about_a_charge_that_is_missing])
def test_a_break_about_one_of_its_bills_keeps_the_file_until_it_is_resolved(over_on_each, open_it):
    bills = over_on_each
    open_it(bills)
    bills.merchant.later(days=1000)
    assert tidy(bills.context).files == ()
    _explain(bills)
    assert tidy(bills.context).files == ()
    _resolve(bills)
    assert _old(bills) == [NAME]


@pytest.mark.parametrize("length", [180, 195])
def test_so_does_one_whose_subject_is_a_digest(over, length):
    number, context, day = "B" * length, over.context, date(2026, 12, 20)
    source = context.profile.billing_source
    with over.merchant.ledger.write() as connection:
        of_bill = dict(connection.execute(sa.select(bill).where(bill.c.billing_number == "B-1")).mappings().one())
        connection.execute(sa.insert(bill).values({**of_bill, "billing_number": number}))
        line = {"billing_source": source, "billing_number": number, "terms_digest": of_bill["terms_digest"]}
        connection.execute(sa.insert(registration_line).values(file_id=1, line_no=3, **line))
    _expected_and_missing(over, number)
    over.merchant.later(days=1000)
    assert _old(over) == []
    with over.merchant.ledger.read() as connection:
        (subject,) = connection.scalars(sa.select(recon_break.c.subject))
        assert (subject == f"{number}/{day}") == (length == 180)
        assert missing_without_answer(connection, context.profile.name, subject)
        assert not missing_without_answer(connection, context.profile.name, "0" * 64)


def test_a_break_about_another_bill_keeps_nothing(over):
    over.live("B-9")
    Bills(over.merchant).notify(payment("T-1", "B-9", amount=7))
    over.merchant.later(days=1000)
    assert over.merchant.sql("SELECT state FROM recon_break") == [{"state": "open"}]
    assert _old(over) == [NAME]


@pytest.mark.parametrize("at", ["tidy: file", "tidy: file gone"])
def test_killed_anywhere_the_next_run_goes_on(over, at):
    def step(name):
        if name == at:
            raise Killed

    over.merchant.later(days=200)
    with pytest.raises(Killed):
        tidy(replace(over.context, step=step))
    assert len(over.merchant.sql("SELECT * FROM event WHERE kind = 'housekeeping'")) == 1  # said before it is done
    assert (_kept(over), _row(over)["file_removed_at"]) == ([NAME] if at == "tidy: file" else [], None)
    assert list(findings(over.context)) == []
    assert [one.name for one in tidy(over.context).files] == [NAME]
    assert _kept(over) == []
    assert _row(over)["file_removed_at"] is not None
    assert list(findings(over.context)) == []


def test_one_that_somebody_else_removed_is_found_by_verify(over):
    over.context.artefacts.remove(_row(over)["artefact"])
    (found,) = findings(over.context)
    assert NAME in found
    assert "is gone" in found
    with over.merchant.ledger.write() as connection:  # the trail is believed, and nothing else
        connection.execute(sa.update(registration_file).values(file_removed_at=over.merchant.now))
    assert list(findings(over.context)) == [found]


def test_the_list_says_that_it_was_removed(over):
    over.merchant.later(days=200)
    assert "removed" not in next(files_listed(over.context))
    tidy(over.context)
    (line,) = files_listed(over.context)
    assert line.startswith(f"{NAME}  delivered  2 bills")
    assert line.endswith("kept copy removed by housekeeping on 2027-06-08")


# --- files that no row names --------------------


def _later(bills, **delta):
    """Every kept file is of this moment; then time goes by."""
    for path in bills.merchant.artefacts.rglob("*"):
        os.utime(path, (bills.merchant.now.timestamp(),) * 2)
    bills.merchant.later(**delta)


def test_a_file_whose_task_was_killed_before_the_ledger_knew_goes(bills):
    def step(name):
        if name == "bulk: file kept":
            raise Killed

    whole, bills.merchant.context = bills.context, replace(bills.context, step=step)
    with pytest.raises(Killed):
        bills.register()
    bills.merchant.context = whole
    assert bills.register().files == [NAME]
    assert _kept(bills) == [NAME, NAME]
    _later(bills, days=7)
    assert what_is_old(bills.context).orphans == ()
    bills.merchant.later(seconds=1)
    named = _row(bills)["artefact"]
    (gone,) = tidy(bills.context).orphans
    assert gone.artefact != named
    assert _kept(bills) == [NAME]
    assert list(bills.context.artefacts.read(named))
    assert list(findings(bills.context)) == []


def test_one_that_a_restored_ledger_forgot_stays_it_was_sent(bills):
    ledger = bills.merchant.ledger_settings.host
    bills.merchant.ledger.engine.dispose()
    shutil.copyfile(ledger, f"{ledger}.backup")
    assert bills.register().files == [NAME]
    sent = _row(bills)["artefact"]
    bills.merchant.ledger.engine.dispose()
    shutil.copyfile(f"{ledger}.backup", ledger)
    _later(bills, days=1000)
    (stays,) = what_is_old(bills.context).staying
    assert (stays.artefact, tidy(bills.context).orphans) == (sent, ())
    assert "a manifest names it" in stays.words


def test_its_manifest_says_what_is_about_to_be_delivered(over):
    (path,) = over.context.artefacts.names(f"manifests/{over.context.profile.name}")
    document = json.loads(b"".join(over.context.artefacts.read(path)))
    row = _row(over)
    assert (document["registration_file"], document["artefact"], document["count"]) == (NAME, row["artefact"], 2)
    assert document["envelope_sha256"] == row["envelope_digest"]
