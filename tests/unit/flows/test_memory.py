"""A ledger that forgot, or never knew, claims nothing; recover brings back what can be known."""

import shutil

import pytest

from include.domain.connection import ConnectionSettings
from include.domain.errors import LedgerForgot
from include.flows.recover import recover, unknown_deliveries
from include.flows.verify import findings
from tests.flows_harness import charge

_TWO = {"C1": 100_000, "C2": 250_000}


@pytest.fixture
def two_ledgers(merchant, make_merchant, ledger_file, tmp_path):
    """A merchant who has sent two charges, and `merchant.lose()`: from then on the ledger is a new, empty one."""
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    merchant.submit()

    def lose():
        file = tmp_path / "second.db"
        shutil.copyfile(ledger_file, file)
        with_other = make_merchant(ConnectionSettings("doku_ledger", "sqlite", host=str(file)))
        # Every ledger has an id of its own; the copied one has the id of the template.
        with with_other.ledger.write() as connection:
            connection.exec_driver_sql("UPDATE ledger SET ledger_id = 'another-ledger'")
        from include.ledger.store import Ledger

        merchant.first = merchant.ledger
        merchant.ledger = Ledger.open(with_other.ledger.engine)
        merchant.context = merchant.context_for(merchant.profile)

    merchant.lose = lose
    return merchant


def _restore(merchant, upto):
    """The ledger as it was before `upto()` was done."""
    file = merchant.ledger_settings.host
    merchant.ledger.engine.dispose()
    shutil.copyfile(file, f"{file}.backup")
    upto()
    merchant.ledger.engine.dispose()
    shutil.copyfile(f"{file}.backup", file)


def test_an_empty_ledger_claims_nothing_of_what_another_one_has_sent(two_ledgers):
    two_ledgers.lose()
    two_ledgers.list_charges(charge("C3"))
    with pytest.raises(LedgerForgot, match="Another ledger works on billing source insurance-billing") as caught:
        two_ledgers.claim()
    assert "2 of ledger" in caught.value.message
    assert "TKN_MCH0001_20261120_0001.TXT" in caught.value.message
    assert "--adopt --apply" in caught.value.message
    assert two_ledgers.sql("SELECT * FROM attempt") == two_ledgers.sql("SELECT * FROM batch") == []


def test_charges_that_nobody_knows_are_no_hindrance(two_ledgers):
    """Only listed charges count: what is settled and unlisted long ago does not stop a ledger that begins anew."""
    two_ledgers.lose()
    two_ledgers.change_charges("charge_id = 'NEW' || charge_id")
    two_ledgers.claim()
    assert sorted(two_ledgers.invoices()) == ["NEWC1", "NEWC2"]


def test_a_lost_ledger_is_adopted_by_a_person_only(two_ledgers):
    two_ledgers.lose()
    for apply in (False, True):
        with pytest.raises(LedgerForgot, match="--adopt"):
            recover(two_ledgers.context, by="ani", adopt=False, apply=apply)
    shown = recover(two_ledgers.context, by="ani", adopt=True, apply=False)
    assert [(one.count, one.total) for one in shown] == [(2, 350_000)]
    assert two_ledgers.sql("SELECT * FROM attempt") == two_ledgers.sql("SELECT * FROM event") == []
    (done,) = recover(two_ledgers.context, by="ani", adopt=True, apply=True)
    assert done.state == "delivered"  # the server shows it
    assert recover(two_ledgers.context, by="ani", adopt=True, apply=True) == []
    run, batch_ids = two_ledgers.submit()
    assert batch_ids == []
    fates = two_ledgers.sql("SELECT charge_id, fate FROM run_charge WHERE run_id = :r", r=run.run_id)
    assert {row["fate"] for row in fates} == {"in_flight"}


def test_reports_settle_what_was_recovered(two_ledgers):
    two_ledgers.lose()
    recover(two_ledgers.context, by="ani", adopt=True, apply=True)
    told = two_ledgers.told()
    two_ledgers.report(
        (told["C1", 1]["invoice_number"], 100_000, "0000"), (told["C2", 1]["invoice_number"], 250_000, "0051")
    )
    two_ledgers.reconcile()
    assert {key[0]: one["status"] for key, one in two_ledgers.told().items()} == {"C1": "paid", "C2": "declined"}


def test_what_was_recovered_and_paid_is_settled_while_it_is_still_listed(two_ledgers):
    two_ledgers.lose()
    recover(two_ledgers.context, by="ani", adopt=True, apply=True)
    told = two_ledgers.told()
    two_ledgers.report(*((told[one, 1]["invoice_number"], amount, "0000") for one, amount in _TWO.items()))
    two_ledgers.reconcile()
    two_ledgers.change_charges("amount = 99 WHERE charge_id = 'C2'")
    run, batch_ids = two_ledgers.submit()
    assert batch_ids == []
    fates = two_ledgers.sql("SELECT charge_id, fate FROM run_charge WHERE run_id = :r", r=run.run_id)
    assert [(row["charge_id"], row["fate"]) for row in fates] == [("C1", "settled")]
    (other,) = two_ledgers.sql("SELECT charge_id, reasons FROM quarantined_charge WHERE run_id = :r", r=run.run_id)
    assert other == {"charge_id": "C2", "reasons": "row:changed_after_settled"}


def test_a_recovered_batch_that_the_server_does_not_show_is_unknown(two_ledgers):
    for folder in ("inbound", "archive"):
        for name in two_ledgers.server.files(f"/{folder}"):
            (two_ledgers.remote_root / folder / name).unlink()
    two_ledgers.lose()
    done = recover(two_ledgers.context, by="ani", adopt=True, apply=True)
    assert list(unknown_deliveries(done)) == ["TKN_MCH0001_20261120_0001.TXT"]
    assert two_ledgers.submit()[1] == []


def test_a_ledger_restored_from_before_a_day_says_so_and_recovers_it(merchant):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    _restore(merchant, merchant.submit)
    numbers = {key[0]: one["invoice_number"] for key, one in merchant.told().items()}
    merchant.later(minutes=30)
    with pytest.raises(LedgerForgot, match="restored from an older state") as caught:
        merchant.claim()
    assert "recover --profile insurance" in caught.value.message
    assert merchant.sql("SELECT * FROM attempt") == []
    recover(merchant.context, by="ani", adopt=False, apply=True)
    assert merchant.submit()[1] == []
    assert merchant.invoices() == numbers
    assert len(merchant.server.files("/inbound")) == 1
    assert list(findings(merchant.context)) == []


def test_a_ledger_that_lacks_an_outcome_which_the_merchant_knows_says_so(merchant):
    merchant.list_charges(charge("C1", 100_000))
    merchant.submit()
    number = merchant.invoices()["C1"]
    merchant.report((number, 100_000, "0051"))
    _restore(merchant, merchant.reconcile)
    assert merchant.told()["C1", 1]["status"] == "declined"
    with pytest.raises(LedgerForgot):
        merchant.claim()


def test_recovering_what_is_not_lost_changes_nothing(two_ledgers):
    before = two_ledgers.dump()
    assert recover(two_ledgers.context, by="ani", adopt=False, apply=True) == []
    assert two_ledgers.dump() == before
