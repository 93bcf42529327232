"""What people decide: hold, lift, release, cancel, withdraw, and a word on a delivery that nobody can judge."""

import json

import pytest

from include.domain.errors import DeliveryUnknown, Held, LedgerError, NotAllowed
from include.flows import decisions
from include.flows.approve import answer_run
from include.flows.books import books_of_day
from include.flows.close import close_submit_run
from include.flows.deliver import deliver
from include.flows.ingest import ingest_fetched
from include.flows.verify import findings
from include.schemas.profile import load_profile
from tests.flows_harness import BUSINESS_DATE, charge, lost

NAME = "TKN_MCH0001_20261120_0001.TXT"
BY = {"by": "ani", "why": "a test"}


@pytest.fixture
def sealed(merchant):
    """A merchant with one sealed batch of two charges, `merchant.go()` to deliver it."""
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    merchant.made, (merchant.batch_id,) = merchant.seal()
    merchant.go = lambda: deliver(merchant.context, merchant.batch_id, merchant.made.run_id)
    return merchant


@pytest.fixture
def unknown(sealed):
    """The answer to the rename was lost, and nothing is to be seen."""

    def taken() -> None:
        (sealed.remote_root / "inbound" / NAME).unlink()
        raise lost()

    sealed.server.plan("rename", after=taken)
    with pytest.raises(DeliveryUnknown):
        sealed.go()
    return sealed


def _state(merchant) -> str:
    return merchant.batch(merchant.batch_id)["state"]


def _trail(merchant, kind):
    rows = merchant.sql("SELECT subject, actor, details FROM event WHERE kind = :kind ORDER BY seq", kind=kind)
    return [(row["subject"], row["actor"], json.loads(row["details"])) for row in rows]


def _fates(merchant, run_id):
    rows = merchant.sql("SELECT charge_id, fate, reason FROM run_charge WHERE run_id = :r", r=run_id)
    return {row["charge_id"]: (row["fate"], row["reason"]) for row in rows}


# --- who and why ---

_DECISIONS = {
    "hold": {"scope": "charge", "subject": "C1"},
    "lift": {"scope": "charge", "subject": "C1"},
    "release": {"charge_id": "C1"},
    "cancel": {"charge_id": "C1"},
    "withdraw": {"file_name": NAME},
    "arrived": {"file_name": NAME},
    "never_arrived": {"file_name": NAME},
    "reopen": {"file_name": NAME},
}


def test_every_decision_needs_a_name_and_a_reason(sealed):
    before = sealed.dump()
    for name, about in _DECISIONS.items():
        for by in ("", " ", "Anonymous"):
            with pytest.raises(NotAllowed, match="name of a person"):
                getattr(decisions, name)(sealed.context, **about, by=by, why="x")
        with pytest.raises(NotAllowed, match="reason in words"):
            getattr(decisions, name)(sealed.context, **about, by="ani", why="  ")
    assert sealed.dump() == before


def test_nothing_there_to_decide_about(sealed):
    before = sealed.dump()
    for name, about in _DECISIONS.items():
        if name in ("hold", "cancel", "withdraw"):
            continue
        with pytest.raises(NotAllowed):
            getattr(decisions, name)(sealed.context, **about, **BY)
    for name in ("withdraw", "arrived", "never_arrived"):
        with pytest.raises(LedgerError, match="no batch file TKN_NONE"):
            getattr(decisions, name)(sealed.context, file_name="TKN_NONE.TXT", **BY)
    assert sealed.dump() == before


# --- holds ---


@pytest.mark.parametrize(("scope", "subject"), [("charge", "C1"), ("customer", "K-C1")])
def test_what_is_held_is_not_claimed(merchant, scope, subject):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    said = decisions.hold(merchant.context, scope=scope, subject=subject, **BY)
    assert said.startswith(f"{scope} {subject} is held: ")
    run, _ = merchant.submit()
    assert list(merchant.invoices()) == ["C2"]
    assert _fates(merchant, run.run_id) == {"C1": ("held", f"{scope}_hold")}
    assert books_of_day(merchant.context, BUSINESS_DATE)["ties"]
    decisions.lift(merchant.context, scope=scope, subject=subject, by="budi", why="paid up")
    merchant.submit()
    assert sorted(merchant.invoices()) == ["C1", "C2"]
    assert _trail(merchant, "hold") == [(f"{scope} {subject}", "ani", {"why": "a test"})]
    assert _trail(merchant, "lift") == [(f"{scope} {subject}", "budi", {"why": "paid up"})]
    assert list(findings(merchant.context)) == []


def test_a_profile_that_is_held_claims_nothing(merchant):
    merchant.list_charges(charge("C1"), charge("C2"), charge("BAD", token=None))
    decisions.hold(merchant.context, scope="profile", subject="insurance", **BY)
    run, batch_ids = merchant.submit()
    assert batch_ids == []
    assert {reason for _, reason in _fates(merchant, run.run_id).values()} == {"profile_hold"}
    assert books_of_day(merchant.context, BUSINESS_DATE)["held"]["count"] == 2


@pytest.mark.parametrize(("scope", "subject"), [("charge", "C1"), ("customer", "K-C2"), ("batch", NAME)])
def test_a_hold_after_the_claim_stops_the_delivery(sealed, scope, subject):
    decisions.hold(sealed.context, scope=scope, subject=subject, **BY)
    with pytest.raises(Held, match=f"{scope} {subject} is held by ani: a test") as caught:
        sealed.go()
    assert not caught.value.retryable
    assert (sealed.server.log, sealed.told()) == ([], {})
    decisions.lift(sealed.context, scope=scope, subject=subject, **BY)
    assert sealed.go().state == "delivered"


@pytest.mark.parametrize("op", ["list", "read"])
def test_the_kill_switch_in_the_middle_of_a_delivery(sealed, op):
    """A person holds the profile while bytes are on their way: nothing becomes visible, and the part is removed."""
    sealed.server.plan(op, before=lambda: decisions.hold(sealed.context, scope="profile", subject="insurance", **BY))
    with pytest.raises(Held):
        sealed.go()
    assert sealed.server.files("/inbound") == {}
    assert sealed.server.asked("rename") == []
    assert _state(sealed) == "delivering"
    decisions.lift(sealed.context, scope="profile", subject="insurance", **BY)
    assert sealed.go().state == "delivered"
    assert list(findings(sealed.context)) == []


def test_what_has_left_is_not_called_back_by_a_hold(sealed):
    sealed.server.plan(
        "rename", before=lambda: decisions.hold(sealed.context, scope="profile", subject="insurance", **BY)
    )
    assert sealed.go().state == "delivered"
    sealed.report((sealed.invoices()["C1"], 100_000, "0000"), (sealed.invoices()["C2"], 250_000, "0000"))
    sealed.reconcile()
    assert {one["status"] for one in sealed.told().values()} == {"paid"}


def test_a_batch_that_is_held_does_not_stop_the_others_of_its_run(make_merchant):
    merchant = make_merchant(changes={"limits": {"max_rows_per_batch": 1}})
    merchant.list_charges(charge("C1"), charge("C2"))
    run, (first, second) = merchant.seal()
    decisions.hold(merchant.context, scope="batch", subject=merchant.batch(first)["file_name"], **BY)
    with pytest.raises(Held):
        deliver(merchant.context, first, run.run_id)
    assert deliver(merchant.context, second, run.run_id).state == "delivered"
    with pytest.raises(Exception, match="not delivered"):
        close_submit_run(merchant.context, run)


def test_holding_twice_is_one_hold(merchant):
    for _ in range(2):
        said = decisions.hold(merchant.context, scope="customer", subject="K", **BY)
    assert "was held already" in said
    assert len(merchant.sql("SELECT * FROM hold")) == len(_trail(merchant, "hold")) == 1
    decisions.lift(merchant.context, scope="customer", subject="K", **BY)
    with pytest.raises(NotAllowed, match="no hold on customer K"):
        decisions.lift(merchant.context, scope="customer", subject="K", **BY)
    assert "is held:" in decisions.hold(merchant.context, scope="customer", subject="K", **BY)


def test_a_hold_on_what_cannot_be_is_refused(merchant):
    with pytest.raises(NotAllowed, match="cannot be held; use one of charge, customer, batch, profile"):
        decisions.hold(merchant.context, scope="galaxy", subject="x", **BY)
    with pytest.raises(NotAllowed, match="This is profile insurance, not donation"):
        decisions.hold(merchant.context, scope="profile", subject="donation", **BY)
    with pytest.raises(LedgerError, match="no batch file"):
        decisions.hold(merchant.context, scope="batch", subject=NAME, **BY)
    assert merchant.sql("SELECT * FROM hold") == merchant.sql("SELECT * FROM event") == []


# --- two profiles of one billing source ---


@pytest.fixture
def two(merchant):
    """A second profile on the same billing database, with a folder of its own at DOKU."""
    (merchant.remote_root / "inbound2").mkdir()
    file = merchant.write_profile(
        "cards", {"merchant": "MCH0002", "batch": {"folder": "/inbound2"}, "report": {"pattern": "R2_*.TXT"}}
    )
    merchant.other = merchant.context_for(load_profile(file))
    return merchant


def _as_other(two, act):
    mine, two.context = two.context, two.other
    try:
        return act()
    finally:
        two.context = mine


def test_profiles_that_share_a_billing_source_never_claim_the_same_charge(two):
    two.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    two.submit()
    two.list_charges(charge("C3", 70_000))
    run, _ = _as_other(two, two.submit)
    assert {row["charge_id"] for row in two.sql("SELECT charge_id FROM attempt WHERE profile = 'cards'")} == {"C3"}
    assert _fates(two, run.run_id) == {"C1": ("in_flight", "awaiting"), "C2": ("in_flight", "awaiting")}
    numbers = two.invoices()
    two.report((numbers["C1"], 100_000, "0000"), (numbers["C2"], 250_000, "0051"))
    two.reconcile()
    two.report((numbers["C3"], 70_000, "0000"), name="R2_1.TXT")
    _as_other(two, two.reconcile)
    assert list(findings(two.context)) == []
    assert list(findings(two.other)) == []


def test_a_hold_of_one_profile_leaves_the_other_alone(two):
    two.list_charges(charge("C1"))
    decisions.hold(two.context, scope="profile", subject="insurance", **BY)
    assert two.submit()[1] == []
    _, (batch_id,) = _as_other(two, two.submit)
    assert two.batch(batch_id)["state"] == "delivered"


def test_a_hold_on_a_customer_holds_for_every_profile_of_the_source(two):
    two.list_charges(charge("C1"))
    decisions.hold(two.context, scope="customer", subject="K-C1", **BY)
    assert _as_other(two, two.submit)[1] == []
    decisions.lift(two.other, scope="customer", subject="K-C1", **BY)
    assert len(two.submit()[1]) == 1
    assert list(findings(two.context)) == list(findings(two.other)) == []


def test_a_person_decides_on_the_batches_of_one_profile_only(two):
    two.list_charges(charge("C1"))
    two.seal()
    with pytest.raises(LedgerError, match="of profile cards"):
        decisions.withdraw(two.other, file_name=NAME, **BY)


# --- cancel ---


def test_a_cancelled_charge_is_settled(merchant):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    assert "is cancelled" in decisions.cancel(merchant.context, charge_id="C1", **BY)
    assert "was closed already" in decisions.cancel(merchant.context, charge_id="C1", **BY)
    run, _ = merchant.submit()
    assert _fates(merchant, run.run_id) == {"C1": ("settled", "cancelled")}
    assert list(merchant.invoices()) == ["C2"]
    assert _trail(merchant, "cancel") == [("C1", "ani", {"why": "a test"})]
    assert list(findings(merchant.context)) == []


def test_a_charge_with_a_live_attempt_is_not_cancelled_and_afterwards_it_is(sealed):
    number = sealed.invoices()["C1"]
    for _ in range(2):  # sealed, then delivered
        with pytest.raises(NotAllowed, match=f"has a live attempt \\({number}\\)"):
            decisions.cancel(sealed.context, charge_id="C1", **BY)
        sealed.go()
    sealed.report((number, 100_000, "0051"), (sealed.invoices()["C2"], 250_000, "0010"))
    sealed.reconcile()
    with pytest.raises(NotAllowed, match="live attempt"):  # unknown: DOKU may have charged it
        decisions.cancel(sealed.context, charge_id="C2", **BY)
    decisions.cancel(sealed.context, charge_id="C1", **BY)
    run, batch_ids = sealed.submit()
    assert batch_ids == []
    assert _fates(sealed, run.run_id)["C1"] == ("settled", "cancelled")


def test_a_cancelled_charge_that_changes_is_shown_and_not_sent(sealed):
    sealed.go()
    sealed.report((sealed.invoices()["C1"], 100_000, "0051"), (sealed.invoices()["C2"], 250_000, "0000"))
    sealed.reconcile()
    decisions.cancel(sealed.context, charge_id="C1", **BY)
    sealed.change_charges("amount = 120000 WHERE charge_id = 'C1'")
    run, batch_ids = sealed.submit()
    assert batch_ids == []
    reasons = sealed.sql("SELECT charge_id, reasons FROM quarantined_charge WHERE run_id = :r", r=run.run_id)
    assert reasons == [{"charge_id": "C1", "reasons": "row:changed_after_settled"}]
    books = books_of_day(sealed.context, BUSINESS_DATE, run.run_id)
    assert books["ties"], books["why_not"]


@pytest.mark.parametrize(
    "change", ["amount = 120000", "amount = 120000, token = 'no'"], ids=["deferred", "quarantined"]
)
def test_a_charge_is_cancelled_as_it_was_listed_last(sealed, change):
    """Its amount was corrected after its attempt was declined: the person cancels what they see now."""
    sealed.go()
    sealed.report((sealed.invoices()["C1"], 100_000, "0051"), (sealed.invoices()["C2"], 250_000, "0000"))
    sealed.reconcile()
    sealed.change_charges(f"{change} WHERE charge_id = 'C1'")
    sealed.submit()
    decisions.cancel(sealed.context, charge_id="C1", **BY)
    run, _ = sealed.submit()
    assert _fates(sealed, run.run_id).get("C1") == ("settled", "cancelled")
    sealed.change_charges("amount = 130000 WHERE charge_id = 'C1'")
    run, _ = sealed.submit()
    assert "C1" not in _fates(sealed, run.run_id)


def test_a_cancelled_charge_that_was_in_quarantine(merchant):
    merchant.list_charges(charge("C1", token=None))
    merchant.submit()
    decisions.cancel(merchant.context, charge_id="C1", **BY)
    run, _ = merchant.submit()
    assert _fates(merchant, run.run_id) == {"C1": ("settled", "cancelled")}
    assert list(findings(merchant.context)) == []


# --- withdraw ---


def test_withdrawing_frees_the_charges(sealed):
    assert "is withdrawn" in decisions.withdraw(sealed.context, file_name=NAME, **BY)
    assert sealed.states(sealed.batch_id) == ["claimed", "sealed", "withdrawn"]
    before = sealed.invoices()
    assert {one["status"] for one in sealed.told().values()} == {"withdrawn"}
    sealed.submit()
    after = sealed.invoices()
    assert sorted(after) == sorted(before)
    assert not set(after.values()) & set(before.values())
    (event,) = sealed.sql("SELECT actor, details FROM event WHERE state = 'withdrawn'")
    assert (event["actor"], json.loads(event["details"])) == ("ani", {"why": "ani: a test"})
    assert list(findings(sealed.context)) == []


def test_what_has_left_is_not_withdrawn(sealed):
    sealed.go()
    with pytest.raises(NotAllowed, match="is delivered: it may be at DOKU"):
        decisions.withdraw(sealed.context, file_name=NAME, **BY)
    assert _state(sealed) == "delivered"


def test_an_unknown_delivery_is_not_withdrawn_by_a_word(unknown):
    with pytest.raises(NotAllowed, match="is unknown"):
        decisions.withdraw(unknown.context, file_name=NAME, **BY)


def test_a_withdrawal_in_the_middle_of_a_delivery_stops_it(sealed):
    sealed.server.plan("write", before=lambda: decisions.withdraw(sealed.context, file_name=NAME, **BY))
    with pytest.raises(Exception, match=r"took over|withdrawn"):
        sealed.go()
    assert sealed.server.files("/inbound") == {}
    assert sealed.go().state == "withdrawn"


# --- a delivery that nobody can judge ---


def test_doku_says_that_it_arrived(unknown):
    said = decisions.arrived(unknown.context, file_name=NAME, **BY)
    assert "on ani's word" in said
    assert unknown.states(unknown.batch_id)[-2:] == ["unknown", "delivered"]
    with pytest.raises(NotAllowed, match="not unknown"):
        decisions.arrived(unknown.context, file_name=NAME, **BY)
    close_submit_run(unknown.context, unknown.made)
    unknown.report((unknown.invoices()["C1"], 100_000, "0000"), (unknown.invoices()["C2"], 250_000, "0000"))
    unknown.reconcile()
    assert {one["status"] for one in unknown.told().values()} == {"paid"}
    assert list(findings(unknown.context)) == []


def test_doku_says_that_it_never_arrived(unknown):
    before = set(unknown.invoices().values())
    said = decisions.never_arrived(unknown.context, file_name=NAME, **BY)
    assert "new invoice numbers" in said
    assert {one["status"] for one in unknown.told().values()} == {"withdrawn"}
    assert {row["witness"] for row in unknown.sql("SELECT witness FROM outcome")} == {"person"}
    unknown.submit()
    assert not before & set(unknown.invoices().values())
    assert list(findings(unknown.context)) == []


def test_the_server_knows_better_than_doku_s_support(unknown):
    kept = (unknown.artefacts / unknown.batch(unknown.batch_id)["artefact"]).read_bytes()
    for folder, name in (("inbound", NAME), ("outbound", f"RPT_{NAME}"), ("archive", NAME)):
        unknown.server.put(f"/{folder}/{name}", kept)
        with pytest.raises(NotAllowed, match="it did arrive"):
            decisions.never_arrived(unknown.context, file_name=NAME, **BY)
        assert _state(unknown) == "unknown"
        if folder != "archive":
            (unknown.remote_root / folder / name).unlink()
    assert unknown.go().state == "delivered"


def test_no_word_is_given_while_the_server_does_not_answer(unknown):
    unknown.server.plan("list", before=lost(), times=9)
    with pytest.raises(Exception, match="connection broke"):
        decisions.never_arrived(unknown.context, file_name=NAME, **BY)
    assert _state(unknown) == "unknown"


# --- a refused report ---


def test_a_refused_report_is_read_again_once_our_limit_is_mended(sealed):
    sealed.go()
    sealed.changed({"report": {"max_bytes": 10}})
    name = sealed.report((sealed.invoices()["C1"], 100_000, "0000"), (sealed.invoices()["C2"], 250_000, "0000"))
    (refused,) = sealed.reconcile()
    assert "max_bytes" in refused.refused_reason
    sealed.changed({"report": {"max_bytes": 10_000}})
    assert ingest_fetched(sealed.context) == []
    assert "read again" in decisions.reopen(sealed.context, file_name=name, **BY)
    ((subject, actor, details),) = _trail(sealed, "reopen")
    assert (subject, actor, details["why"]) == (name, "ani", "a test")
    assert "max_bytes" in details["refused_for"]
    sealed.reconcile()
    assert {one["status"] for one in sealed.told().values()} == {"paid"}
    with pytest.raises(NotAllowed, match="is refused"):
        decisions.reopen(sealed.context, file_name=name, **BY)
    assert list(findings(sealed.context)) == []


def test_decisions_stand_in_the_trail_and_verify_misses_a_deleted_one(merchant):
    merchant.list_charges(charge("C1"), charge("C2"), charge("C3", token=None))
    decisions.hold(merchant.context, scope="charge", subject="C1", **BY)
    decisions.cancel(merchant.context, charge_id="C2", **BY)
    run, _ = merchant.submit()
    answer_run(merchant.context, run.run_id, by="ani", approve=True, words="unasked")
    assert list(findings(merchant.context)) == []
    with merchant.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE hold SET subject = 'C9'")
        connection.exec_driver_sql("UPDATE closed_charge SET charge_id = 'C9'")
    found = "\n".join(findings(merchant.context))
    assert "The hold of charge C9 by ani has no event" in found
    assert "The cancel of C9 by ani has no event" in found
