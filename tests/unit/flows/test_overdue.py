"""Batches that missed their cut-off are withdrawn by the next run, and a date far ahead claims nothing."""

from datetime import timedelta

import pytest

from include.domain.errors import LedgerForgot, NotAllowed
from include.flows.close import close_submit_run
from include.flows.plan import plan_of
from include.flows.verify import findings
from tests.flows_harness import BUSINESS_DATE, CUTOFF, charge, lost

NAME = "TKN_MCH0001_20261120_0001.TXT"
TOMORROW = BUSINESS_DATE + timedelta(days=1)


def _left_behind(merchant, state):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    run, (batch_id,) = merchant.claim() if state == "claimed" else merchant.seal()
    merchant.now = CUTOFF + timedelta(hours=9)
    return run, batch_id


@pytest.mark.parametrize("state", ["claimed", "sealed"])
def test_the_next_run_withdraws_it_and_takes_its_charges(merchant, state):
    _, batch_id = _left_behind(merchant, state)
    before = set(merchant.invoices().values())
    run, (new,) = merchant.submit("tomorrow", business_date=TOMORROW)
    assert merchant.states(batch_id)[-1] == "withdrawn"
    assert merchant.batch(new)["state"] == "delivered"
    assert merchant.batch(new)["execute_date"] > merchant.batch(batch_id)["execute_date"]
    assert sorted(merchant.invoices()) == ["C1", "C2"]
    assert not before & set(merchant.invoices().values())
    assert len(merchant.server.files("/inbound")) == 1
    assert {key: one["status"] for key, one in merchant.told().items()} == {
        ("C1", 1): "withdrawn", ("C2", 1): "withdrawn", ("C1", 2): "in_flight", ("C2", 2): "in_flight",
    }  # fmt: skip
    (event,) = merchant.sql("SELECT run_id FROM event WHERE state = 'withdrawn'")
    assert event["run_id"] == run.run_id
    assert list(findings(merchant.context)) == []


def test_the_run_that_claimed_it_may_be_closed_then(merchant):
    run, _ = _left_behind(merchant, "sealed")
    with pytest.raises(Exception, match="not delivered"):
        close_submit_run(merchant.context, run)
    merchant.submit("tomorrow", business_date=TOMORROW)
    close_submit_run(merchant.context, run)


def test_before_the_cut_off_another_run_leaves_it_alone(merchant):
    _, batch_id = _left_behind(merchant, "sealed")
    merchant.now = CUTOFF - timedelta(seconds=1)
    run, batch_ids = merchant.submit("a second run")
    assert batch_ids == []
    assert merchant.batch(batch_id)["state"] == "sealed"
    fates = merchant.sql("SELECT fate, reason FROM run_charge WHERE run_id = :r", r=run.run_id)
    assert {(row["fate"], row["reason"]) for row in fates} == {("in_flight", "awaiting")}


@pytest.mark.parametrize("state", ["claimed", "sealed"])
def test_while_the_server_does_not_answer_it_stays_for_a_later_run(merchant, state):
    _, batch_id = _left_behind(merchant, state)
    merchant.server.plan("connect", before=lost(), times=9)
    _, batch_ids = merchant.claim(business_date=TOMORROW)
    assert batch_ids == []
    assert merchant.batch(batch_id)["state"] != "withdrawn"
    merchant.server.faults.clear()
    _, batch_ids = merchant.submit("later", business_date=TOMORROW)
    assert len(batch_ids) == 1


def test_a_claimed_batch_that_the_server_shows_stops_everything(merchant):
    """The ledger was restored: the file left after the state that it knows."""
    _, batch_id = _left_behind(merchant, "claimed")
    for folder, name in (("inbound", NAME), ("archive", NAME), ("outbound", f"RPT_{NAME}")):
        merchant.server.put(f"/{folder}/{name}", b"whatever")
        with pytest.raises(LedgerForgot, match="recover --profile insurance"):
            merchant.claim(business_date=TOMORROW)
        (merchant.remote_root / folder / name).unlink()
    assert merchant.batch(batch_id)["state"] == "claimed"


@pytest.mark.parametrize("state", ["claimed", "sealed"])
@pytest.mark.parametrize("asked", [{"dry_run": True}, {"business_date": BUSINESS_DATE - timedelta(days=5)}])
def test_a_run_that_sends_nothing_withdraws_nothing(merchant, state, asked):
    _, batch_id = _left_behind(merchant, state)
    assert plan_of(merchant.context, TOMORROW).count == 0
    _, batch_ids = merchant.claim("sends nothing", **asked)
    assert batch_ids == []
    assert merchant.batch(batch_id)["state"] == state
    assert merchant.sql("SELECT * FROM outcome") == []
    assert merchant.server.log == []


def test_a_past_date_that_is_asked_in_words_to_send_may(merchant):
    _, batch_id = _left_behind(merchant, "sealed")
    _, batch_ids = merchant.claim("in words", business_date=BUSINESS_DATE, today=TOMORROW, send_past_total=350_000)
    assert len(batch_ids) == 1
    assert merchant.batch(batch_id)["state"] == "withdrawn"


# --- a date mistyped ---


@pytest.mark.parametrize("ahead", [2, 365])
def test_a_date_far_ahead_is_refused(merchant, ahead):
    merchant.list_charges(charge("C1", due_date="2027-06-01"), charge("C2"))
    with pytest.raises(NotAllowed, match=f"is {ahead} days ahead, more than limits.max_days_ahead"):
        merchant.claim(business_date=BUSINESS_DATE + timedelta(days=ahead))
    assert merchant.sql("SELECT * FROM attempt") == merchant.sql("SELECT * FROM batch") == []
    assert merchant.server.log == []


def test_tomorrow_is_not_far_ahead_and_a_profile_may_say_otherwise(merchant):
    merchant.list_charges(charge("C1"))
    _, batch_ids = merchant.claim(business_date=TOMORROW)
    assert len(batch_ids) == 1
    merchant.changed({"limits": {"max_days_ahead": 0}})
    with pytest.raises(NotAllowed, match="Nothing was claimed"):
        merchant.claim(business_date=TOMORROW)
