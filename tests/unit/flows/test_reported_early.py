"""A report speaks of an attempt whose batch has not left: it is not withdrawn and attempted again on the quiet."""

from datetime import timedelta

import pytest

from include.domain.errors import DeliveryUnknown, NotAllowed
from include.flows.approve import withdraw_run
from include.flows.deliver import deliver
from include.flows.operate import carry_out
from include.flows.verify import findings
from tests.flows_harness import BUSINESS_DATE, CUTOFF, charge, lost

NAME = "TKN_MCH0001_20261120_0002.TXT"
BY = {"by": "ani", "why": "DOKU says so"}
TOMORROW = BUSINESS_DATE + timedelta(days=1)
MAY_BE_CHARGED = "A report speaks of 1 attempts"


def _two_batches(merchant):
    """C1 is at DOKU, C2 is sealed."""
    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.list_charges(charge("C2"))
    merchant.made, (merchant.batch_id,) = merchant.seal()
    merchant.numbers = merchant.invoices()
    return merchant


@pytest.fixture
def early(merchant_on_each):
    """C1 is at DOKU, C2 is sealed, on each database."""
    return _two_batches(merchant_on_each)


@pytest.fixture
def two(merchant):
    return _two_batches(merchant)


def _reported(merchant, code="0000"):
    merchant.report((merchant.numbers["C1"], 150_000, "0000"), (merchant.numbers["C2"], 150_000, code))
    (found,) = merchant.reconcile()
    return found.classes


def _attempts(merchant, charge_id="C2"):
    return merchant.sql("SELECT attempt_no FROM attempt WHERE charge_id = :c ORDER BY attempt_no", c=charge_id)


def _kinds(merchant):
    return {(row["kind"], row["state"]) for row in merchant.sql("SELECT kind, state FROM recon_break")}


def test_what_a_report_calls_paid_is_not_withdrawn_by_a_person(early):
    assert _reported(early) == {"answer": 1, "unexpected": 1}
    with pytest.raises(NotAllowed, match=f"{MAY_BE_CHARGED} of {NAME}"):
        carry_out(early.context, "withdraw", {"file_name": NAME}, **BY)
    assert early.batch(early.batch_id)["state"] == "sealed"
    assert ("C2", 1) not in early.told()
    assert list(findings(early.context)) == []


def test_in_either_order_it_ends_as_paid(two):
    """Once DOKU's answer stands in the break: withdrawn and read again, as if it had been withdrawn first."""
    _reported(two)
    carry_out(two.context, "hold", {"scope": "charge", "subject": "C2"}, **BY)
    carry_out(two.context, "resolve_break", {"number": 1}, **BY)
    carry_out(two.context, "withdraw", {"file_name": NAME}, **BY)
    carry_out(two.context, "reingest", {"file_name": "RPT_1.TXT"}, **BY)
    two.reconcile()
    carry_out(two.context, "lift", {"scope": "charge", "subject": "C2"}, **BY)
    assert two.told()["C2", 1]["status"] == "paid"
    assert _kinds(two) == {("unexpected", "resolved"), ("witnesses_disagree", "open")}
    two.submit("later")
    assert len(_attempts(two)) == 1


def test_withdrawn_first_it_ends_as_paid_too(two):
    carry_out(two.context, "withdraw", {"file_name": NAME}, **BY)
    assert _reported(two) == {"answer": 2}
    assert two.told()["C2", 1]["status"] == "paid"
    assert _kinds(two) == {("witnesses_disagree", "open")}
    two.submit("later")
    assert len(_attempts(two)) == 1


@pytest.mark.parametrize(("code", "kept"), [("ZZZZ", True), ("0091", False)])
def test_what_may_have_been_charged_stays_what_was_declined_does_not(two, code, kept):
    _reported(two, code)
    if kept:
        with pytest.raises(NotAllowed, match=MAY_BE_CHARGED):
            carry_out(two.context, "withdraw", {"file_name": NAME}, **BY)
        return
    carry_out(two.context, "withdraw", {"file_name": NAME}, **BY)
    assert two.batch(two.batch_id)["state"] == "withdrawn"


@pytest.mark.parametrize("sealed", [True, False])
def test_overdue_it_stays_and_the_trail_says_why_while_the_day_goes_on(two, sealed):
    _reported(two)
    if not sealed:
        with two.ledger.write() as connection:
            connection.exec_driver_sql(f"UPDATE batch SET state = 'claimed' WHERE batch_id = {two.batch_id}")
    two.list_charges(charge("C3"))
    two.now = CUTOFF + timedelta(hours=9)
    run, batch_ids = two.submit("tomorrow", business_date=TOMORROW)
    assert len(batch_ids) == 1
    assert two.batch(two.batch_id)["state"] in ("claimed", "delivering")
    assert len(_attempts(two)) == 1
    (said,) = two.sql("SELECT run_id, details FROM event WHERE kind = 'overdue' AND subject = :name", name=NAME)
    assert said["run_id"] == run.run_id
    assert MAY_BE_CHARGED in said["details"]


def test_a_late_delivery_and_a_refused_run_leave_it_too(two):
    _reported(two)
    with pytest.raises(NotAllowed, match=MAY_BE_CHARGED):
        withdraw_run(two.context, two.made.run_id, "nobody approved it before the cut-off")
    two.now = CUTOFF + timedelta(minutes=1)
    with pytest.raises(NotAllowed, match=MAY_BE_CHARGED):
        deliver(two.context, two.batch_id, two.made.run_id)
    assert two.server.files("/inbound").keys() == {"TKN_MCH0001_20261120_0001.TXT"}


def test_nobody_says_that_it_never_arrived(two):
    def taken() -> None:
        (two.remote_root / "inbound" / NAME).unlink()
        raise lost()

    _reported(two)
    two.server.plan("rename", after=taken)
    with pytest.raises(DeliveryUnknown):
        deliver(two.context, two.batch_id, two.made.run_id)
    with pytest.raises(NotAllowed, match=MAY_BE_CHARGED):
        carry_out(two.context, "never_arrived", {"file_name": NAME}, **BY)
    assert two.batch(two.batch_id)["state"] == "unknown"


def test_a_charge_that_is_no_longer_listed_is_not_let_go_either(two):
    _reported(two)
    two.change_charges("due_date = '2030-01-01' WHERE charge_id = 'C2'")
    two.later(hours=2)
    with pytest.raises(NotAllowed, match=MAY_BE_CHARGED):
        deliver(two.context, two.batch_id, two.made.run_id)
    assert len(two.server.files("/inbound")) == 1
