"""A batch that waited is compared with the view once more: what is gone or changed does not leave."""

from dataclasses import replace
from datetime import timedelta

import pytest

from include.billing.due_charges import read_due_charges
from include.domain.errors import ApprovalMissing, BillingError
from include.flows.approve import answer_run
from include.flows.books import books_of_day
from include.flows.close import close_submit_run
from include.flows.deliver import deliver
from include.flows.look_again import is_stale, look_again
from include.flows.seal import render_and_seal
from include.flows.verify import findings
from include.ledger.batches import find_batch
from tests.flows_harness import BUSINESS_DATE, charge

TOKEN = "another-token-0123456789"


@pytest.fixture
def waiting(merchant):
    """A sealed batch of four charges that has waited for an hour."""
    return _waiting(merchant)


def _waiting(merchant):
    merchant.list_charges(*(charge(f"C{number}", number * 100_000) for number in (1, 2, 3, 4)))
    merchant.made, (merchant.batch_id,) = merchant.seal()
    merchant.go = lambda: deliver(merchant.context, merchant.batch_id, merchant.made.run_id)
    merchant.later(hours=1)
    return merchant


def _unlist(merchant, charge_id):
    merchant.change_charges("charge_id = 'X' || charge_id, due_date = '2027-01-01' WHERE charge_id = :id", id=charge_id)


def _withdrawn(merchant) -> dict[str, str]:
    rows = merchant.sql("SELECT a.charge_id, o.proof FROM outcome o JOIN attempt a USING (invoice_number)")
    return {row["charge_id"]: row["proof"] for row in rows}


def _sent_lines(merchant) -> list[str]:
    """The invoice numbers that the kept plaintext holds, in order, and that its lines are numbered from 1."""
    from include.flows.seal import render_batch

    with merchant.ledger.read() as connection:
        batch = find_batch(connection, merchant.batch_id)
    text = b"".join(render_batch(merchant.context, batch)).decode("ascii")
    return [line for line in text.splitlines() if line.startswith("D")]


def test_nothing_changed_nothing_happens(waiting):
    before = waiting.batch(waiting.batch_id)
    assert waiting.go().state == "delivered"
    after = waiting.batch(waiting.batch_id)
    assert after["envelope_digest"] == before["envelope_digest"]
    assert waiting.states(waiting.batch_id) == ["claimed", "sealed", "delivering", "renaming", "delivered"]
    assert _withdrawn(waiting) == {}


def test_a_fresh_batch_is_not_compared_again(merchant):
    merchant.list_charges(charge("C1"), charge("C2"))
    run, (batch_id,) = merchant.seal()
    _unlist(merchant, "C1")
    merchant.later(minutes=15)
    assert deliver(merchant.context, batch_id, run.run_id).state == "delivered"
    assert _withdrawn(merchant) == {}


@pytest.mark.parametrize(
    ("change", "proof"),
    [
        ("gone", "no longer listed"), ("amount = 100001", "changed"), ("token = :token", "changed"),
        ("customer_id = 'K'", "changed"), ("due_date = '2026-11-19'", "changed"), ("token = NULL", "changed"),
    ],
)  # fmt: skip
def test_exactly_what_is_gone_or_changed_is_withdrawn(waiting, change, proof):
    if change == "gone":
        _unlist(waiting, "C1")
    else:
        values = {"token": TOKEN} if ":token" in change else {}
        waiting.change_charges(f"{change} WHERE charge_id = 'C1'", **values)
    assert waiting.go().state == "delivered"
    assert _withdrawn(waiting) == {"C1": f"{proof}{' in the view' * (proof == 'changed')} before it was sent; "
                                   "nothing became visible at the server"}  # fmt: skip
    assert waiting.states(waiting.batch_id) == [
        "claimed", "sealed", "claimed", "sealed", "delivering", "renaming", "delivered",
    ]  # fmt: skip
    lines = _sent_lines(waiting)
    assert len(lines) == 3
    assert not any(waiting.invoices()["C1"] in line for line in lines)
    assert {key[0]: one["status"] for key, one in waiting.told().items() if one["status"] != "in_flight"} in (
        {}, {"C1": "withdrawn"},
    )  # fmt: skip
    close_submit_run(waiting.context, waiting.made)


def test_what_does_not_matter_to_the_charge_changes_nothing(waiting):
    waiting.change_charges("description = 'other', channel = 'OTHER', billing_number = '1' WHERE charge_id = 'C1'")
    waiting.go()
    assert _withdrawn(waiting) == {}


def test_the_rest_of_the_day_ties(waiting):
    """The withdrawn charge is free and goes out with the next run, as it is listed now."""
    waiting.change_charges("amount = 111000 WHERE charge_id = 'C1'")
    waiting.go()
    close_submit_run(waiting.context, waiting.made)
    first = waiting.batch(waiting.batch_id)
    assert (first["withdrawn_count"], first["withdrawn_amount"]) == (1, 100_000)
    waiting.submit("next")
    with waiting.doku() as doku:
        doku.process_once()
        waiting.reconcile()
        waiting.reconcile()
        charged = [one["amount"] for one in doku.charged]
    told = waiting.told()
    assert told["C1", 1]["status"] == "withdrawn"
    assert (told["C1", 2]["amount"], told["C1", 2]["status"] != "withdrawn") == (111_000, True)
    assert 100_000 not in charged
    books = books_of_day(waiting.context, BUSINESS_DATE)
    assert books["ties"], books["why_not"]
    assert list(findings(waiting.context)) == []


def test_the_whole_batch_is_gone(waiting):
    for number in (1, 2, 3, 4):
        _unlist(waiting, f"C{number}")
    assert waiting.go().state == "withdrawn"
    assert waiting.states(waiting.batch_id) == ["claimed", "sealed", "withdrawn"]
    assert waiting.server.files("/inbound") == {}
    assert {one["status"] for one in waiting.told().values()} == {"withdrawn"}
    close_submit_run(waiting.context, waiting.made)
    assert waiting.submit()[1] == []
    assert list(findings(waiting.context)) == []


def test_gone_bit_by_bit(waiting):
    """Twice looked at, the second time nothing is left."""
    _unlist(waiting, "C1")
    waiting.server.plan("connect", before=RuntimeError("killed"))
    with pytest.raises(RuntimeError):
        waiting.go()
    for number in (2, 3, 4):
        _unlist(waiting, f"C{number}")
    waiting.later(hours=1)
    assert waiting.go().state == "withdrawn"
    row = waiting.batch(waiting.batch_id)
    assert (row["withdrawn_count"], row["withdrawn_amount"]) == (4, 1_000_000)
    assert {one["status"] for one in waiting.told().values()} == {"withdrawn"}
    close_submit_run(waiting.context, waiting.made)
    assert list(findings(waiting.context)) == []


def test_an_approval_is_void_once_something_is_withdrawn(make_merchant):
    merchant = _waiting(make_merchant(changes={"brakes": {"max_count": 2}}))
    answer_run(merchant.context, merchant.made.run_id, by="ani", approve=True, words="yes")
    _unlist(merchant, "C1")
    with pytest.raises(ApprovalMissing, match="3 charges, Rp 900,000"):
        merchant.go()
    assert merchant.server.files("/inbound") == {}
    assert set(merchant.told()) == set()
    answer_run(merchant.context, merchant.made.run_id, by="ani", approve=True, words="yes, still")
    assert merchant.go().state == "delivered"


def test_so_little_is_left_that_no_brake_is_pulled(make_merchant):
    merchant = _waiting(make_merchant(changes={"brakes": {"max_count": 3}}))
    _unlist(merchant, "C1")
    assert merchant.go().state == "delivered"


def test_a_batch_that_waited_before_it_was_sealed(merchant):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 200_000))
    run, (batch_id,) = merchant.claim()
    merchant.later(hours=1)
    _unlist(merchant, "C1")
    sealed = render_and_seal(merchant.context, batch_id, run.run_id)
    assert (sealed.count, sealed.total) == (1, 200_000)
    assert merchant.states(batch_id) == ["claimed", "sealed"]
    assert list(_withdrawn(merchant)) == ["C1"]


def test_while_the_view_cannot_be_read_nothing_leaves(waiting, monkeypatch):
    def broken(*_, **__):
        raise BillingError("The view cannot be read.")

    monkeypatch.setattr("include.flows.staging.read_due_charges", broken)
    with pytest.raises(BillingError):
        waiting.go()
    assert waiting.server.log == []
    assert waiting.states(waiting.batch_id) == ["claimed", "sealed"]
    monkeypatch.setattr("include.flows.staging.read_due_charges", read_due_charges)
    assert waiting.go().state == "delivered"


def test_two_copies_look_again_at_once(waiting):
    """The second finds the batch as the first left it, and withdraws nothing twice."""
    _unlist(waiting, "C1")
    with waiting.ledger.read() as connection:
        before = find_batch(connection, waiting.batch_id)
    look_again(waiting.context, before, waiting.made.run_id)
    again = look_again(waiting.context, before, waiting.made.run_id)
    assert (again.state, again.withdrawn_count, again.withdrawn_amount) == ("claimed", 1, 100_000)
    assert waiting.states(waiting.batch_id) == ["claimed", "sealed", "claimed"]


@pytest.mark.parametrize("at", ["deliver: before the claims are told", "deliver: before the intent"])
def test_an_envelope_that_was_replaced_meanwhile_is_not_sent(merchant, at):
    """One copy of the delivery is about to send; another looks again, withdraws a charge and seals anew."""
    merchant.list_charges(charge("C1", 100_000), charge("C2", 200_000))
    run, (merchant.batch_id,) = merchant.seal()

    def step(name):
        if name == at and not _withdrawn(merchant):
            _unlist(merchant, "C1")
            with merchant.ledger.read() as connection:
                look_again(merchant.context, find_batch(connection, merchant.batch_id), run.run_id)
            render_and_seal(merchant.context, merchant.batch_id, run.run_id)

    assert deliver(replace(merchant.context, step=step), merchant.batch_id, run.run_id).state == "delivered"
    row = merchant.batch(merchant.batch_id)
    assert list(merchant.server.files("/inbound").values()) == [(merchant.artefacts / row["artefact"]).read_bytes()]
    assert {key[0]: one["status"] for key, one in merchant.told().items()} == {"C1": "withdrawn", "C2": "in_flight"}
    assert list(findings(merchant.context)) == []


def test_a_telling_that_was_cut_short_is_made_up_for(waiting, monkeypatch):
    waiting.server.plan("connect", before=RuntimeError("killed"))
    with pytest.raises(RuntimeError):
        waiting.go()
    assert {one["status"] for one in waiting.told().values()} == {"in_flight"}
    _unlist(waiting, "C1")
    waiting.later(hours=1)
    with monkeypatch.context() as patched:
        patched.setattr("include.flows.look_again.tell_all", _killed)
        with pytest.raises(RuntimeError):
            waiting.go()
    waiting.go()
    assert waiting.told()["C1", 1]["status"] == "withdrawn"


def _killed(*_):
    raise RuntimeError("killed")


def test_a_batch_that_left_meanwhile_is_not_touched(waiting):
    with waiting.ledger.read() as connection:
        before = find_batch(connection, waiting.batch_id)
    waiting.go()
    _unlist(waiting, "C1")
    assert look_again(waiting.context, before, waiting.made.run_id).state == "delivered"
    assert _withdrawn(waiting) == {}


def test_how_old_is_too_old(merchant):
    merchant.changed({"billing": {"look_again_minutes": 30}})
    merchant.list_charges(charge("C1"))
    _, (batch_id,) = merchant.claim()
    with merchant.ledger.read() as connection:
        batch = find_batch(connection, batch_id)
    merchant.now = batch.created_at + timedelta(minutes=30)
    assert not is_stale(merchant.context, batch)
    merchant.later(seconds=1)
    assert is_stale(merchant.context, batch)


def test_looking_again_on_each_database(merchant_on_each):
    merchant = _waiting(merchant_on_each)
    _unlist(merchant, "C1")
    merchant.change_charges("amount = 999 WHERE charge_id = 'C3'")
    assert merchant.go().state == "delivered"
    assert sorted(_withdrawn(merchant)) == ["C1", "C3"]
    row = merchant.batch(merchant.batch_id)
    assert (row["withdrawn_count"], row["withdrawn_amount"]) == (2, 400_000)
