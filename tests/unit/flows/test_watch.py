"""One look of the watchdog at batches, reports and the server: what it finds, and what it mends."""

from datetime import timedelta

import pytest

from include.domain.errors import DeliveryRefused, DeliveryUnknown, HostKeyError
from include.domain.states import BatchState
from include.domain.watch import Watcher
from include.flows.approve import judge_run
from include.flows.deliver import deliver, find_out
from include.flows.ingest import ingest_fetched
from include.ledger.batches import withdraw_attempts
from tests.flows_harness import CUTOFF, charge, lost, refused
from tests.unit.flows.watch_drill import Told, kinds, look, open_break

NAME = "TKN_MCH0001_20261120_0001.TXT"
H, M = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def watched(make_merchant):
    """A merchant who is told of everything through `ops`."""
    return make_merchant(changes={"watch": {"notify": ["ops"]}})


def _unknown(merchant):
    """A delivery that nobody can judge; its batch."""
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    run, (batch_id,) = merchant.seal()

    def taken():
        (merchant.remote_root / "inbound" / NAME).rename(merchant.root / NAME)
        raise lost()

    merchant.server.plan("rename", after=taken)
    with pytest.raises(DeliveryUnknown):
        deliver(merchant.context, batch_id, run.run_id)
    return batch_id


# --- deliveries that nobody can judge ---


def test_an_unknown_delivery_is_resolved_by_asking_the_server(watched, told):
    batch_id = _unknown(watched)
    watched.later(minutes=10)
    (watched.root / NAME).rename(watched.remote_root / "archive" / NAME)
    assert kinds(look(watched, told)) == []
    assert watched.states(batch_id)[-2:] == ["unknown", "delivered"]
    assert told == []


def test_one_that_the_server_does_not_show_is_told_and_never_sent_again(watched, told):
    batch_id = _unknown(watched)
    watched.later(minutes=31)
    asked = len(watched.server.log)
    assert kinds(look(watched, told)) == [("delivery_unknown", NAME)]
    assert watched.batch(batch_id)["state"] == "unknown"
    assert not {op for op, _ in watched.server.log[asked:]} & {"write", "rename", "remove"}
    assert "never-arrived" in told.notices[0].action
    (watched.root / NAME).rename(watched.remote_root / "archive" / NAME)
    watched.later(minutes=15)
    look(watched, told)
    assert told == [("ops", "late", "delivery_unknown", NAME), ("ops", "over", "delivery_unknown", NAME)]


def test_a_delivery_that_is_just_renaming_is_left_alone(watched, told):
    """The try that is at it says itself how it ends."""
    watched.list_charges(charge("C1"))
    run, (batch_id,) = watched.seal()
    watched.server.plan("rename", before=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        deliver(watched.context, batch_id, run.run_id)
    assert watched.batch(batch_id)["state"] == "renaming"
    watched.server.put(f"/archive/{NAME}", b"x")
    for minutes, asked in ((4, False), (2, True)):
        watched.server.log.clear()
        watched.later(minutes=minutes)
        look(watched, told)
        assert (("stat", f"/archive/{NAME}") in watched.server.log) is asked


def test_a_batch_that_went_back_from_renaming_is_expected_to_leave_again(watched, told):
    """A look in that very moment must not count it as sent; and it may become unknown once more."""
    watched.list_charges(charge("C1"))
    run, (batch_id,) = watched.seal()

    def looked():
        look(watched, told)
        raise refused("renaming")

    watched.server.plan("rename", before=looked)
    with pytest.raises(DeliveryRefused):
        deliver(watched.context, batch_id, run.run_id)
    assert watched.batch(batch_id)["state"] == "sealed"
    watched.later(hours=3)
    assert kinds(look(watched, told)) == [("not_sent", NAME)]

    def lost_now():
        (watched.remote_root / "inbound" / NAME).rename(watched.root / NAME)
        raise lost()

    watched.server.plan("rename", after=lost_now)
    with pytest.raises(DeliveryUnknown):
        deliver(watched.context, batch_id, run.run_id)
    assert kinds(look(watched, told)) == []
    watched.later(minutes=31)
    assert kinds(look(watched, told)) == [("delivery_unknown", NAME)]


def test_finding_out_sends_nothing_in_any_state(watched):
    watched.list_charges(charge("C1"))
    _, (batch_id,) = watched.seal()
    assert find_out(watched.context, batch_id) is BatchState.SEALED
    assert watched.server.log == []


# --- batches ---


def test_a_batch_that_a_brake_stopped(make_merchant, told):
    merchant = make_merchant(changes={"watch": {"notify": ["ops"]}, "brakes": {"max_count": 1}})
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    run, _ = merchant.seal()
    judge_run(merchant.context, run.run_id)
    merchant.later(minutes=179)
    assert kinds(look(merchant, told)) == []
    merchant.later(minutes=1)
    assert kinds(look(merchant, told)) == [("not_sent", NAME)]
    assert f"approve --run-id {run.run_id} --profile insurance" in told.notices[0].action
    assert "2 charges, Rp 350,000" in told.notices[0].words
    assert "After 2026-11-20 21:00 it is withdrawn" in told.notices[0].words


def test_a_batch_that_failed_names_its_task(watched, told):
    watched.list_charges(charge("C1"))
    watched.seal()
    watched.later(hours=3)
    look(watched, told)
    assert "It is sealed." in told.notices[0].words
    assert "the failed task of doku_submit__insurance" in told.notices[0].action


def test_a_run_that_began_and_did_not_claim(watched, told):
    run = watched.run()
    watched.later(minutes=61)
    assert kinds(look(watched, told)) == [("not_claimed", f"run {run.run_id}")]
    watched.list_charges(charge("C1"))
    watched.submit("a later one")
    assert kinds(look(watched, told)) == []


def test_a_file_that_doku_does_not_take(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.later(hours=1.9)
    assert kinds(look(watched, told)) == []
    watched.later(hours=0.1)
    assert kinds(look(watched, told)) == [("not_acknowledged", NAME)]
    (watched.remote_root / "inbound" / NAME).rename(watched.remote_root / "archive" / NAME)
    assert kinds(look(watched, told)) == []


def test_where_doku_is_not_known_to_move_files_that_is_not_expected(make_merchant, told):
    merchant = make_merchant(changes={"batch": {"archive_folder": None}})
    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.later(hours=10)
    assert kinds(look(merchant, told)) == []


def test_what_is_false_is_not_watched(make_merchant, told):
    names = ("started", "claimed", "sent", "unknown", "acknowledged", "taken_in", "written_back", "server", "airflow")
    off = {f"{name}_minutes": False for name in names} | {"reported_hours": False, "reconciled_hours": False}
    merchant = make_merchant(
        changes={"watch": off | {f"{name}_days": False for name in ("quarantine", "unknown", "breaks", "key")}}
    )
    merchant.list_charges(charge("C1"), charge("C2"), charge("BAD", token=None))
    look(merchant, told)
    merchant.submit()
    merchant.report((merchant.invoices()["C2"], 150_000, "5526"), name="RPT_0.TXT")
    merchant.reconcile()
    merchant.report(("X" * 20, 5, "0000"))
    merchant.later(days=20)
    assert kinds(look(merchant, told, Watcher.OUTSIDE)) == []


def test_an_expectation_keeps_its_time_whatever_the_profile_says_later(watched, told):
    watched.list_charges(charge("C1"))
    watched.seal()
    look(watched, told)
    watched.changed({"watch": {"sent_minutes": 600}})
    watched.later(hours=3)
    assert kinds(look(watched, told)) == [("not_sent", NAME)]


# --- reports ---


def test_a_report_that_is_refused(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.server.files("/inbound")
    watched.report(("NOBODY", 1, "0000"), name="RPT_9.TXT")
    watched.later(minutes=5)
    watched.reconcile()
    looked = look(watched, told)
    assert ("report_refused", "RPT_9.TXT") in kinds(looked)
    assert "reopen RPT_9.TXT --profile insurance" in told.notices[0].action
    watched.report((watched.invoices()["C1"], 150_000, "0000"), name="RPT_9.TXT")
    watched.reconcile()
    assert ("report_refused", "RPT_9.TXT") not in kinds(look(watched, told))


def test_a_report_that_was_fetched_and_not_taken_in(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.report((watched.invoices()["C1"], 150_000, "0000"))
    watched.fetch()
    look(watched, told)
    watched.later(minutes=61)
    assert kinds(look(watched, told)) == [("not_taken_in", "RPT_1.TXT")]
    assert "was fetched since 2026-11-20 06:00" in told.notices[0].words
    watched.reconcile()
    assert kinds(look(watched, told)) == []


def test_outcomes_that_the_merchant_was_not_told(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.report((watched.invoices()["C1"], 150_000, "0000"))
    watched.fetch()
    ingest_fetched(watched.context)
    watched.later(minutes=61)
    assert kinds(look(watched, told)) == [("not_written_back", "RPT_1.TXT")]
    watched.reconcile()
    assert kinds(look(watched, told)) == []


def test_a_withdrawal_that_the_merchant_was_not_told(watched, told):
    watched.list_charges(charge("C1"))
    _, (batch_id,) = watched.seal()
    with watched.ledger.write() as connection:
        from include.ledger.events import Note, enter

        enter(connection, batch_id, BatchState.WITHDRAWN, Note(watched.now, "ani"))
        withdraw_attempts(connection, batch_id, "a test", watched.now)
    look(watched, told)
    watched.later(minutes=61)
    assert kinds(look(watched, told)) == [("not_written_back", NAME)]
    watched.reconcile()
    assert kinds(look(watched, told)) == []


def test_a_batch_that_is_answered_and_not_concluded(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.report((watched.invoices()["C1"], 150_000, "0000"))
    watched.fetch()
    ingest_fetched(watched.context)
    watched.now = CUTOFF + 24 * H
    looked = look(watched, told)
    (alert,) = [one for one in looked.alerts if one.kind == "report_incomplete"]
    assert "Each charge of it" in alert.words or f"Each charge of {NAME}" in alert.words


# --- the server ---


@pytest.mark.parametrize("error", [lost(), refused("the log-in"), HostKeyError("Another host key.")])
def test_a_server_that_cannot_be_asked(watched, told, error):
    fault = watched.server.plan("connect", before=error, times=99)
    look(watched, told)
    watched.later(minutes=60)
    assert kinds(look(watched, told)) == [("server_silent", "insurance_sftp")]
    assert error.message in told.notices[0].words
    watched.server.faults.remove(fault)
    look(watched, told)
    assert [state for _, state, _, _ in told] == ["late", "over"]


def test_a_server_that_falls_silent_again_is_another_matter(watched, told):
    for _ in range(2):
        fault = watched.server.plan("connect", before=lost(), times=99)
        look(watched, told)
        watched.later(minutes=59)
        assert kinds(look(watched, told)) == []
        watched.later(minutes=1)
        look(watched, told)
        watched.server.faults.remove(fault)
        look(watched, told)
        watched.later(hours=1)
    assert [state for _, state, _, _ in told] == ["late", "over", "late", "over"]
    assert [row["episode"] for row in watched.sql("SELECT episode FROM alert ORDER BY alert_id")] == [1, 2]


def test_a_mistake_of_ours_in_asking_does_not_silence_the_rest(watched, told):
    watched.server.plan("connect", before=ValueError("token 0123456789abcdef"), times=99)
    open_break(watched, "collected_twice")
    assert kinds(look(watched, told)) == [("money_at_risk", "break 1")]
    watched.later(minutes=60)
    assert ("server_silent", "insurance_sftp") in kinds(look(watched, told))
    assert "Unexpected ValueError while asking" in told.notices[-1].words
