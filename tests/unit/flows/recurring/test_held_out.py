"""A charge whose billing number is an active bill at DOKU stays out of batches: DOKU charges it itself."""

from datetime import timedelta

import pytest

from include.domain.states import NotificationKind
from include.flows.break_decisions import resolve_break
from include.flows.deliver import deliver
from include.flows.explain import explain
from include.ledger.inbox import Arrived, store
from tests.flows_harness import charge
from tests.recurring_harness import payment


@pytest.mark.parametrize(
    ("state", "held"),
    [("active", True), ("cancelling", True), ("wanted", False), ("asked", False), ("refused", False),
     ("cancelled", False), ("ended", False)],
)  # fmt: skip
def test_only_bills_that_doku_charges_hold_their_charges(bills, state, held):
    bills.register(state=state)
    bills.merchant.list_charges(charge("C1", billing_number="B-1"), charge("C2", billing_number="B-2"), charge("C3"))
    run, _ = bills.merchant.claim()
    rows = bills.sql("SELECT charge_id, fate, reason FROM run_charge WHERE run_id = :id", id=run.run_id)
    assert [tuple(row.values()) for row in rows] == ([("C1", "held", "billed_by_doku")] if held else [])
    assert {row["charge_id"] for row in bills.sql("SELECT charge_id FROM attempt")} == {"C2", "C3"} | (
        set() if held else {"C1"}
    )


def test_a_bill_of_another_profile_of_the_same_billing_source_holds_too(bills_on_each):
    bills = bills_on_each
    bills.register(profile="other")
    bills.register("B-2", billing_source="elsewhere")
    bills.merchant.list_charges(charge("C1", billing_number="B-1"), charge("C2", billing_number="B-2"))
    bills.merchant.claim()
    assert [row["charge_id"] for row in bills.sql("SELECT charge_id FROM attempt")] == ["C2"]
    assert "DOKU charges this bill itself" in str(explain(bills.merchant.context, "C1").steps)


def test_a_bill_that_became_active_after_the_claim_is_withdrawn_before_its_batch_leaves(bills_on_each):
    bills = bills_on_each
    bills.merchant.list_charges(charge("C1", billing_number="B-1"), charge("C2"))
    run, (batch_id,) = bills.merchant.seal()
    bills.register()
    bills.merchant.now += timedelta(minutes=1)
    assert deliver(bills.merchant.context, batch_id, run.run_id).state == "delivered"
    proofs = bills.sql("SELECT a.charge_id, o.proof FROM outcome o JOIN attempt a USING (invoice_number)")
    assert [row["charge_id"] for row in proofs] == ["C1"]
    assert "charged by DOKU itself" in proofs[0]["proof"]


@pytest.mark.parametrize("code", ["0000", "0051"])
def test_a_charge_of_a_bill_never_goes_into_a_batch_under_the_same_id(bills_on_each, code):
    """Not after the bill is over either, and not where the row names no billing number."""
    bills = bills_on_each
    bills.register()
    bills.notify(payment("R-1", code=code))
    bills.change(state="cancelled", over_at=bills.merchant.now)
    bills.merchant.list_charges(charge("B-1/2026-11-20"), charge("C2", billing_number="B-1"))
    run, _ = bills.merchant.claim()
    assert [row["charge_id"] for row in bills.sql("SELECT charge_id FROM attempt")] == ["C2"]
    (held,) = bills.sql("SELECT fate, reason FROM run_charge WHERE run_id = :id", id=run.run_id)
    assert tuple(held.values()) == ("held", "charge_of_a_bill")


def test_while_a_registration_waits_in_the_inbox_no_bill_leaves(bills_on_each):
    """DOKU has our answer that it was taken, and may charge the bill today."""
    bills = bills_on_each
    bills.register(state="asked", registered_at=None)
    bills.merchant.list_charges(charge("C1", billing_number="B-1"), charge("C2"))
    run, (batch_id,) = bills.merchant.seal()
    waiting = Arrived(
        profile=bills.merchant.profile.name, kind=NotificationKind.REGISTRATION, content_digest="0" * 64, body=b"{}",
        received_at=bills.merchant.now,
    )  # fmt: skip
    with bills.merchant.ledger.write() as connection:
        store(connection, waiting)
    bills.merchant.now += timedelta(minutes=1)
    assert deliver(bills.merchant.context, batch_id, run.run_id).state == "delivered"
    proofs = bills.sql("SELECT a.charge_id FROM outcome o JOIN attempt a USING (invoice_number)")
    assert [row["charge_id"] for row in proofs] == ["C1"]
    bills.merchant.list_charges(charge("C3", billing_number="B-1"))
    bills.merchant.claim("later")
    assert bills.sql("SELECT * FROM attempt WHERE charge_id = 'C3'") == []


def test_a_bill_that_doku_charges_though_nobody_registered_it_is_held_until_somebody_has_looked(bills_on_each):
    bills = bills_on_each
    bills.register(state="asked", registered_at=None)
    bills.notify(payment("R-1"))  # what told of the registration was lost on the way
    bills.merchant.list_charges(charge("C1", billing_number="B-1"))
    bills.merchant.claim()
    assert bills.sql("SELECT * FROM attempt") == []
    (found,) = bills.sql("SELECT break_id FROM recon_break WHERE kind = 'unexpected_charge'")
    resolve_break(bills.merchant.context, number=found["break_id"], by="Ani", why="DOKU gave it back")
    bills.merchant.claim("later")
    assert [row["charge_id"] for row in bills.sql("SELECT charge_id FROM attempt")] == ["C1"]
