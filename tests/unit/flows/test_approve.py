"""Brakes and answers: an approval holds for exactly one load, and the delivery asks the ledger for it."""

import json

import pytest

from include.domain.errors import ApprovalMissing, ApprovalRefused, NotAllowed
from include.flows.approve import answer_by, answer_run, in_words, judge_run, withdraw_run
from include.flows.close import close_submit_run
from include.flows.deliver import deliver
from include.flows.seal import render_and_seal
from include.flows.verify import findings
from include.flows.withdraw import withdraw_batch
from include.ledger.approvals import load_of_run
from tests.flows_harness import CUTOFF, charge

AT_ONCE = {"brakes": {"max_count": 1}}
"""Two charges pull a brake."""


@pytest.fixture
def stopped(make_merchant):
    """A merchant whose run of two charges is stopped by a brake; `stopped.go()` delivers it."""
    return _stopped(make_merchant(changes=AT_ONCE))


def _stopped(merchant, **request):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    merchant.made, (merchant.batch_id,) = merchant.seal(**request)
    merchant.go = lambda: deliver(merchant.context, merchant.batch_id, merchant.made.run_id)
    merchant.say = lambda by="ani", **words: answer_run(
        merchant.context, merchant.made.run_id, by=by, **{"approve": True, "words": "seen", **words}
    )
    return merchant


def _events(merchant, kind):
    return [json.loads(one["details"]) for one in merchant.sql("SELECT details FROM event WHERE kind = :k", k=kind)]


def test_a_run_without_a_brake_asks_nobody(merchant):
    _stopped(merchant)
    assert judge_run(merchant.context, merchant.made.run_id).may_go
    assert merchant.go().state == "delivered"
    assert merchant.sql("SELECT kind, words FROM brake") == [{"kind": "none", "words": "no brake"}]
    assert _events(merchant, "brake") == []


def test_a_brake_stops_the_delivery_before_anything_is_told_or_sent(stopped):
    with pytest.raises(ApprovalMissing, match="2 charges, Rp 350,000: too_many: 2 charges, more than 1") as caught:
        stopped.go()
    assert f"approve --profile insurance --run-id {stopped.made.run_id}" in caught.value.message
    assert not caught.value.retryable
    assert stopped.server.log == []
    assert stopped.told() == {}
    assert stopped.states(stopped.batch_id) == ["claimed", "sealed"]
    assert [one["brakes"] for one in _events(stopped, "brake")] == [{"too_many": "2 charges, more than 1"}]


def test_every_brake_of_the_profile_is_judged_with_the_runs_own_figures(make_merchant):
    brakes = {
        "max_count": 2, "max_total": 500_000, "max_single": 200_000, "max_per_customer": 1,
        "max_quarantined_share": 0.1, "key_expires_within_days": 60,
    }  # fmt: skip
    merchant = make_merchant(changes={"brakes": brakes})
    merchant.list_charges(
        charge("C1", 300_000, customer_id="K"),
        charge("C2", 200_000, customer_id="K"),
        charge("C3", 1),
        charge("B", "x"),
    )
    run, _ = merchant.seal()
    found = judge_run(merchant.context, run.run_id)
    assert {one.kind: one.words for one in found.brakes} == {
        "too_many": "3 charges, more than 2",
        "too_much": "500,001 in all, more than 500,000",
        "single_amount": "300,000 for one charge, more than 200,000",
        "same_customer": "2 charges of one customer, more than 1",
        "quarantined_share": "1 of 4 rows are quarantined (25.0%), more than 10.0%",
        "key_expiring": "the last public key of DOKU ends on 2026-12-31, in 41 days",
    }
    assert in_words(merchant.context, found).startswith("3 charges, Rp 500,001: ")


def test_approved_it_goes_on(stopped):
    found = stopped.say()
    assert (found.may_go, found.answer.answered_by) == (True, "ani")
    assert stopped.go().state == "delivered"
    (told,) = _events(stopped, "approval")
    assert told == {
        "answer": "approved", "count": 2, "total": 350_000, "words": "seen", "plaintext": found.load.plaintext_digest,
    }  # fmt: skip
    manifest = next(iter(stopped.artefacts.rglob("manifests/**/TKN*.json*")))
    assert "ani" in manifest.read_text(encoding="utf-8")
    assert list(findings(stopped.context)) == []


def test_refused_it_is_withdrawn_and_its_charges_are_free(stopped):
    found = stopped.say(approve=False, words="too many today")
    assert not found.may_go
    assert stopped.states(stopped.batch_id) == ["claimed", "sealed", "withdrawn"]
    assert {key: one["status"] for key, one in stopped.told().items()} == {
        ("C1", 1): "withdrawn", ("C2", 1): "withdrawn",
    }  # fmt: skip
    assert stopped.server.files("/inbound") == {}
    assert stopped.go().state == "withdrawn"
    close_submit_run(stopped.context, stopped.made)
    before = set(stopped.invoices().values())
    stopped.context = stopped.changed({"brakes": {"max_count": 10}})
    stopped.submit("the next day")
    assert not before & set(stopped.invoices().values())
    assert len(stopped.server.files("/inbound")) == 1
    assert list(findings(stopped.context)) == []


def test_a_refusal_is_said_to_a_batch_that_could_not_be_withdrawn_at_once(stopped, monkeypatch):
    """Killed between answer and withdrawal: the delivery still finds the refusal."""
    monkeypatch.setattr("include.flows.approve.withdraw_run", lambda *_: [])
    stopped.say(approve=False, words="no")
    with pytest.raises(ApprovalRefused, match="ani refused this run: no"):
        stopped.go()
    assert stopped.server.log == []


def test_the_first_answer_stands(stopped):
    stopped.say()
    again = stopped.say(by="budi", approve=False, words="no")
    assert (again.answer.answer, again.answer.answered_by) == ("approved", "ani")
    assert stopped.go().state == "delivered"
    assert len(_events(stopped, "approval")) == 1


def test_nobody_in_particular_never_answers(stopped):
    for name in ("", "  ", "anonymous", "Anonymous", " ANONYMOUS "):
        for approve in (True, False):
            with pytest.raises(NotAllowed, match="needs a name"):
                stopped.say(by=name, approve=approve)
    assert stopped.sql("SELECT * FROM approval") == []
    assert stopped.states(stopped.batch_id)[-1] == "sealed"


def test_four_eyes(make_merchant):
    merchant = _stopped(make_merchant(changes={"brakes": {"max_count": 1, "four_eyes": True}}), started_by="ani")
    with pytest.raises(NotAllowed, match="ani started this run and may not approve it"):
        merchant.say(by="ani")
    assert merchant.say(by="budi").may_go
    assert merchant.go().state == "delivered"


def test_whoever_started_it_may_refuse_it(make_merchant):
    merchant = _stopped(make_merchant(changes={"brakes": {"max_count": 1, "four_eyes": True}}), started_by="ani")
    merchant.say(by="ani", approve=False)
    assert merchant.states(merchant.batch_id)[-1] == "withdrawn"


def test_without_four_eyes_whoever_started_it_may_approve(make_merchant):
    merchant = _stopped(make_merchant(changes=AT_ONCE), started_by="ani")
    assert merchant.say(by="ani").may_go


def test_a_scheduled_run_was_started_by_nobody_so_anybody_named_may_approve(make_merchant):
    merchant = _stopped(make_merchant(changes={"brakes": {"max_count": 1, "four_eyes": True}}))
    assert merchant.say(by="ani").may_go


# --- an approval holds for exactly count, total and content ---


def test_a_charge_that_is_gone_afterwards_voids_it(stopped):
    stopped.say()
    stopped.list_charges(charge("C3", 1))  # not of this run: it does not matter
    stopped.change_charges("charge_id = 'MOVED' WHERE charge_id = 'C1'")
    stopped.changed({"brakes": {"max_total": 1}})
    stopped.later(hours=1)
    with pytest.raises(ApprovalMissing, match="1 charges, Rp 250,000: too_much"):
        stopped.go()
    assert stopped.server.files("/inbound") == {}
    assert stopped.say(by="budi").may_go
    assert stopped.go().state == "delivered"
    answers = stopped.sql("SELECT count, total, answered_by FROM approval ORDER BY count DESC")
    assert answers == [
        {"count": 2, "total": 350_000, "answered_by": "ani"}, {"count": 1, "total": 250_000, "answered_by": "budi"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["batch.total_amount", "batch.line_count", "batch.plaintext_digest"],
)
def test_any_difference_voids_it(stopped, name):
    stopped.say()
    table, column = name.split(".")
    other = "'another'" if column == "plaintext_digest" else f"{column} - 1"
    with stopped.ledger.write() as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET {column} = {other}")
    with pytest.raises(ApprovalMissing):
        stopped.go()
    assert stopped.server.files("/inbound") == {}


def test_the_same_count_and_total_with_another_content_is_not_approved(stopped):
    """Two charges swap their amounts while the batch waits: sealed anew, the load is another one."""
    stopped.say()
    before = judge_run(stopped.context, stopped.made.run_id).load
    with stopped.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE attempt SET amount = 350000 - amount")
        connection.exec_driver_sql("UPDATE batch SET state = 'claimed', plaintext_digest = NULL")
    render_and_seal(stopped.context, stopped.batch_id, stopped.made.run_id)
    after = judge_run(stopped.context, stopped.made.run_id)
    assert (after.load.count, after.load.total) == (before.count, before.total)
    assert after.load.plaintext_digest != before.plaintext_digest
    with pytest.raises(ApprovalMissing):
        stopped.go()


def test_an_answer_given_before_it_was_sealed_does_not_hold(make_merchant):
    merchant = make_merchant(changes=AT_ONCE)
    merchant.list_charges(charge("C1"), charge("C2"))
    run, (batch_id,) = merchant.claim()
    answer_run(merchant.context, run.run_id, by="ani", approve=True, words="unseen")
    render_and_seal(merchant.context, batch_id, run.run_id)
    with pytest.raises(ApprovalMissing):
        deliver(merchant.context, batch_id, run.run_id)


def test_one_approval_releases_all_batches_of_the_run(make_merchant):
    merchant = make_merchant(changes={**AT_ONCE, "limits": {"max_rows_per_batch": 2}})
    merchant.list_charges(*(charge(f"C{n}") for n in range(5)))
    run, batch_ids = merchant.seal()
    answer_run(merchant.context, run.run_id, by="ani", approve=True, words="all of it")
    assert [deliver(merchant.context, one, run.run_id).state for one in batch_ids] == ["delivered"] * 3


def test_a_batch_that_is_withdrawn_between_deliveries_voids_it_for_the_rest(make_merchant):
    merchant = make_merchant(changes={**AT_ONCE, "limits": {"max_rows_per_batch": 2}})
    merchant.list_charges(*(charge(f"C{n}") for n in range(6)))
    run, (first, second, third) = merchant.seal()
    answer_run(merchant.context, run.run_id, by="ani", approve=True, words="all of it")
    deliver(merchant.context, first, run.run_id)
    assert withdraw_batch(merchant.context, second, run.run_id, "a test")
    with pytest.raises(ApprovalMissing, match="4 charges"):
        deliver(merchant.context, third, run.run_id)


def test_the_judgement_of_a_load_is_kept(stopped):
    first = judge_run(stopped.context, stopped.made.run_id)
    stopped.changed({"brakes": {"max_count": 100}})
    assert judge_run(stopped.context, stopped.made.run_id).brakes == first.brakes
    assert len(_events(stopped, "brake")) == 1


def test_a_run_of_nothing_pulls_no_brake(make_merchant):
    merchant = make_merchant(changes={"brakes": {"max_quarantined_share": 0.1}})
    merchant.list_charges(charge("BAD", token=None))
    run, batch_ids = merchant.seal()
    assert batch_ids == []
    assert judge_run(merchant.context, run.run_id).may_go


# --- history ---


def _past_runs(merchant, runs):
    for number in range(runs):
        merchant.list_charges(charge(f"P{number}a", 100_000), charge(f"P{number}b", 100_000))
        run, batch_ids = merchant.seal()
        answered = judge_run(merchant.context, run.run_id)
        assert answered.may_go, in_words(merchant.context, answered)
        for batch_id in batch_ids:
            deliver(merchant.context, batch_id, run.run_id)


@pytest.mark.parametrize(("runs", "pulled"), [(2, []), (3, ["unusual_count", "unusual_total"])])
def test_with_few_past_runs_only_fixed_limits_apply(make_merchant, runs, pulled):
    merchant = make_merchant(changes={"brakes": {"history_least": 3, "unusual_factor": 2.0}})
    _past_runs(merchant, runs)
    merchant.list_charges(*(charge(f"N{n}", 100_000) for n in range(9)))
    run, _ = merchant.seal()
    assert [one.kind for one in judge_run(merchant.context, run.run_id).brakes] == pulled


def test_runs_that_sent_nothing_and_other_profiles_are_not_history(make_merchant):
    merchant = make_merchant(changes={"brakes": {"history_least": 2, "unusual_factor": 2.0}})
    _past_runs(merchant, 1)
    merchant.submit()  # nothing left to send
    merchant.submit(dry_run=True)
    merchant.list_charges(*(charge(f"W{n}") for n in range(50)))
    run, (batch_id,) = merchant.seal()
    withdraw_run(merchant.context, run.run_id, "a test")
    merchant.list_charges(*(charge(f"N{n}") for n in range(9)))
    run, _ = merchant.seal()
    assert judge_run(merchant.context, run.run_id).brakes == []
    assert merchant.batch(batch_id)["state"] == "withdrawn"


# --- until when ---


def test_an_answer_is_waited_for_until_the_cut_off(stopped):
    assert answer_by(stopped.context, stopped.made.run_id) == CUTOFF
    nothing, batch_ids = stopped.claim()
    assert batch_ids == []
    assert answer_by(stopped.context, nothing.run_id) == stopped.now


def test_nobody_answers_the_batches_are_withdrawn(stopped):
    names = withdraw_run(stopped.context, stopped.made.run_id, "nobody approved it before the cut-off")
    assert names == [stopped.batch(stopped.batch_id)["file_name"]]
    assert withdraw_run(stopped.context, stopped.made.run_id, "again") == []
    assert {one["status"] for one in stopped.told().values()} == {"withdrawn"}
    outcomes = stopped.sql("SELECT proof FROM outcome")
    assert {one["proof"] for one in outcomes} == {
        "nobody approved it before the cut-off; nothing became visible at the server"
    }


def test_after_the_cut_off_an_approval_comes_too_late(stopped):
    stopped.now = CUTOFF
    stopped.say()
    assert stopped.go().state == "withdrawn"
    assert stopped.server.files("/inbound") == {}


def test_what_has_left_is_not_withdrawn_by_a_later_refusal(stopped):
    stopped.say()
    stopped.go()
    assert withdraw_run(stopped.context, stopped.made.run_id, "too late") == []
    assert stopped.batch(stopped.batch_id)["state"] == "delivered"


def test_a_load_is_what_is_left_of_the_run(merchant_on_each):
    merchant = merchant_on_each
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    run, _ = merchant.seal()
    with merchant.ledger.read() as connection:
        full = load_of_run(connection, run.run_id)
    assert (full.count, full.total) == (2, 350_000)
    judge_run(merchant.context, run.run_id)
    withdraw_run(merchant.context, run.run_id, "a test")
    with merchant.ledger.read() as connection:
        left = load_of_run(connection, run.run_id)
    assert (left.count, left.total) == (0, 0)
    assert left.plaintext_digest != full.plaintext_digest
    assert judge_run(merchant.context, run.run_id).may_go
