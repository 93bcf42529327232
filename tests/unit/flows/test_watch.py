"""One look of the watchdog: what it finds, what it mends, and whom it tells how often."""

from datetime import UTC, date, datetime, timedelta

import pytest

from include.domain.errors import AlertNotSent, DeliveryUnknown, HostKeyError, LedgerError, LedgerUnreachable
from include.domain.states import BatchState
from include.domain.watch import AT_RISK, Watcher
from include.flows.approve import judge_run
from include.flows.deliver import deliver, find_out
from include.flows.ingest import ingest_fetched
from include.flows.submit import extract_and_claim
from include.flows.watch import watch
from include.flows.watch_due import next_run
from include.ledger.batches import withdraw_attempts
from tests.flows_harness import BUSINESS_DATE, CUTOFF, TOKEN, charge, lost, refused

NAME = "TKN_MCH0001_20261120_0001.TXT"
H, M = timedelta(hours=1), timedelta(minutes=1)


class Told(list):
    """Notices that were sent, as (channel, state, kind, subject); `refuse` names channels that take nothing."""

    def __init__(self):
        super().__init__()
        self.notices, self.refuse = [], set()

    def __call__(self, channel, notice):
        if channel in self.refuse:
            raise AlertNotSent(f"An alert could not be sent through connection {channel}.")
        self.notices.append(notice)
        self.append((channel, notice.state, notice.kind, notice.subject))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def watched(make_merchant):
    """A merchant who is told of everything through `ops`."""
    return make_merchant(changes={"watch": {"notify": ["ops"]}})


def _kinds(looked):
    return [(one.kind, one.subject) for one in looked.alerts]


def _look(merchant, told, watcher=Watcher.AIRFLOW):
    return watch(merchant.context, watcher, told)


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
    assert _kinds(_look(watched, told)) == []
    assert watched.states(batch_id)[-2:] == ["unknown", "delivered"]
    assert told == []


def test_one_that_the_server_does_not_show_is_told_and_never_sent_again(watched, told):
    batch_id = _unknown(watched)
    watched.later(minutes=31)
    asked = len(watched.server.log)
    assert _kinds(_look(watched, told)) == [("delivery_unknown", NAME)]
    assert watched.batch(batch_id)["state"] == "unknown"
    assert not {op for op, _ in watched.server.log[asked:]} & {"write", "rename", "remove"}
    assert "never-arrived" in told.notices[0].action
    (watched.root / NAME).rename(watched.remote_root / "archive" / NAME)
    watched.later(minutes=15)
    _look(watched, told)
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
        _look(watched, told)
        assert (("stat", f"/archive/{NAME}") in watched.server.log) is asked


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
    assert _kinds(_look(merchant, told)) == []
    merchant.later(minutes=1)
    assert _kinds(_look(merchant, told)) == [("not_sent", NAME)]
    assert f"approve --profile insurance --run-id {run.run_id}" in told.notices[0].action
    assert "2 charges, Rp 350,000" in told.notices[0].words
    assert "After 2026-11-20 21:00 it is withdrawn" in told.notices[0].words


def test_a_batch_that_failed_names_its_task(watched, told):
    watched.list_charges(charge("C1"))
    watched.seal()
    watched.later(hours=3)
    _look(watched, told)
    assert "It is sealed." in told.notices[0].words
    assert "the failed task of doku_submit__insurance" in told.notices[0].action


def test_a_run_that_began_and_did_not_claim(watched, told):
    run = watched.run()
    watched.later(minutes=61)
    assert _kinds(_look(watched, told)) == [("not_claimed", f"run {run.run_id}")]
    watched.list_charges(charge("C1"))
    watched.submit("a later one")
    assert _kinds(_look(watched, told)) == []


def test_a_file_that_doku_does_not_take(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.later(hours=1.9)
    assert _kinds(_look(watched, told)) == []
    watched.later(hours=0.1)
    assert _kinds(_look(watched, told)) == [("not_acknowledged", NAME)]
    (watched.remote_root / "inbound" / NAME).rename(watched.remote_root / "archive" / NAME)
    assert _kinds(_look(watched, told)) == []


def test_where_doku_is_not_known_to_move_files_that_is_not_expected(make_merchant, told):
    merchant = make_merchant(changes={"batch": {"archive_folder": None}})
    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.later(hours=10)
    assert _kinds(_look(merchant, told)) == []


def test_what_is_false_is_not_watched(make_merchant, told):
    names = ("started", "claimed", "sent", "unknown", "acknowledged", "taken_in", "written_back", "server", "airflow")
    off = {f"{name}_minutes": False for name in names} | {"reported_hours": False, "reconciled_hours": False}
    merchant = make_merchant(
        changes={"watch": off | {"quarantine_days": False, "breaks_days": False, "key_days": False}}
    )
    merchant.list_charges(charge("C1"), charge("BAD", token=None))
    _look(merchant, told)
    merchant.submit()
    merchant.report(("X" * 20, 5, "0000"))
    merchant.later(days=20)
    assert _kinds(_look(merchant, told, Watcher.OUTSIDE)) == []


def test_an_expectation_keeps_its_time_whatever_the_profile_says_later(watched, told):
    watched.list_charges(charge("C1"))
    watched.seal()
    _look(watched, told)
    watched.changed({"watch": {"sent_minutes": 600}})
    watched.later(hours=3)
    assert _kinds(_look(watched, told)) == [("not_sent", NAME)]


# --- reports ---


def test_a_report_that_is_refused(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.server.files("/inbound")
    watched.report(("NOBODY", 1, "0000"), name="RPT_9.TXT")
    watched.later(minutes=5)
    watched.reconcile()
    looked = _look(watched, told)
    assert ("report_refused", "RPT_9.TXT") in _kinds(looked)
    assert "reopen RPT_9.TXT --profile insurance" in told.notices[0].action
    watched.report((watched.invoices()["C1"], 150_000, "0000"), name="RPT_9.TXT")
    watched.reconcile()
    assert ("report_refused", "RPT_9.TXT") not in _kinds(_look(watched, told))


def test_a_report_that_was_fetched_and_not_taken_in(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.report((watched.invoices()["C1"], 150_000, "0000"))
    watched.fetch()
    _look(watched, told)
    watched.later(minutes=61)
    assert _kinds(_look(watched, told)) == [("not_taken_in", "RPT_1.TXT")]
    assert "was fetched since 2026-11-20 06:00" in told.notices[0].words
    watched.reconcile()
    assert _kinds(_look(watched, told)) == []


def test_outcomes_that_the_merchant_was_not_told(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.report((watched.invoices()["C1"], 150_000, "0000"))
    watched.fetch()
    ingest_fetched(watched.context)
    watched.later(minutes=61)
    assert _kinds(_look(watched, told)) == [("not_written_back", "RPT_1.TXT")]
    watched.reconcile()
    assert _kinds(_look(watched, told)) == []


def test_a_withdrawal_that_the_merchant_was_not_told(watched, told):
    watched.list_charges(charge("C1"))
    _, (batch_id,) = watched.seal()
    with watched.ledger.write() as connection:
        from include.ledger.events import Note, enter

        enter(connection, batch_id, BatchState.WITHDRAWN, Note(watched.now, "ani"))
        withdraw_attempts(connection, batch_id, "a test", watched.now)
    _look(watched, told)
    watched.later(minutes=61)
    assert _kinds(_look(watched, told)) == [("not_written_back", NAME)]
    watched.reconcile()
    assert _kinds(_look(watched, told)) == []


def test_a_batch_that_is_answered_and_not_concluded(watched, told):
    watched.list_charges(charge("C1"))
    watched.submit()
    watched.report((watched.invoices()["C1"], 150_000, "0000"))
    watched.fetch()
    ingest_fetched(watched.context)
    watched.now = CUTOFF + 24 * H
    looked = _look(watched, told)
    (alert,) = [one for one in looked.alerts if one.kind == "report_incomplete"]
    assert "Each charge of it" in alert.words or f"Each charge of {NAME}" in alert.words


# --- the server ---


@pytest.mark.parametrize("error", [lost(), refused("the log-in"), HostKeyError("Another host key.")])
def test_a_server_that_cannot_be_asked(watched, told, error):
    fault = watched.server.plan("connect", before=error, times=99)
    _look(watched, told)
    watched.later(minutes=60)
    assert _kinds(_look(watched, told)) == [("server_silent", "insurance_sftp")]
    assert error.message in told.notices[0].words
    watched.server.faults.remove(fault)
    _look(watched, told)
    assert [state for _, state, _, _ in told] == ["late", "over"]


def test_a_server_that_falls_silent_again_is_another_matter(watched, told):
    for _ in range(2):
        fault = watched.server.plan("connect", before=lost(), times=99)
        _look(watched, told)
        watched.later(minutes=59)
        assert _kinds(_look(watched, told)) == []
        watched.later(minutes=1)
        _look(watched, told)
        watched.server.faults.remove(fault)
        _look(watched, told)
        watched.later(hours=1)
    assert [state for _, state, _, _ in told] == ["late", "over", "late", "over"]
    assert [row["episode"] for row in watched.sql("SELECT episode FROM alert ORDER BY alert_id")] == [1, 2]


# --- what lies about, what ends ---


def test_quarantine_too_old(watched, told):
    watched.list_charges(charge("BAD", token=None), charge("WORSE", amount="x"))
    watched.submit()
    watched.later(days=2, hours=23)
    assert ("quarantine_old", "quarantine") not in _kinds(_look(watched, told))
    watched.later(hours=1)
    looked = _look(watched, told)
    (alert,) = [one for one in looked.alerts if one.kind == "quarantine_old"]
    assert alert.words.startswith("2 charges are quarantined, the oldest since 2026-11-20 06:00")


def _open_break(merchant, kind, subject="s"):
    with merchant.ledger.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO recon_break (profile, kind, subject, amount, details, state, opened_at) VALUES "
            f"('insurance', '{kind}', '{subject}', 1, 'both sides', 'open', '2026-11-20 00:00:00.000000')"
        )


def test_breaks_too_old_are_one_matter_for_each_kind(watched, told):
    for subject in "ab":
        _open_break(watched, "amount_differs", subject)
    _open_break(watched, "unexpected")
    watched.now = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    assert _kinds(_look(watched, told)) == []
    watched.later(hours=1)
    assert _kinds(_look(watched, told)) == [("breaks_old", "amount_differs"), ("breaks_old", "unexpected")]
    assert told.notices[0].words.startswith("2 breaks of the kind amount differs are open")
    with watched.ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE recon_break SET state = 'resolved', closed_by = 'ani', closed_at = opened_at, closed_reason = 'x'"
        )
    assert _kinds(_look(watched, told)) == []


@pytest.mark.parametrize("kind", AT_RISK)
def test_money_at_risk_is_critical_at_once(watched, told, kind):
    _open_break(watched, kind)
    _look(watched, told)
    assert told == [("ops", "critical", "money_at_risk", "break 1")]
    watched.later(days=5)
    _look(watched, told)
    assert len(told) == 1


def test_a_public_key_near_its_end(watched, told):
    key = {**watched.profile.batch.public_keys[0].model_dump(), "valid_until": date(2026, 12, 20)}
    watched.changed({"batch": {"public_keys": [key]}})
    watched.now = datetime(2026, 11, 19, 16, 59, tzinfo=UTC)
    assert _kinds(_look(watched, told)) == []
    watched.later(minutes=1)
    assert _kinds(_look(watched, told)) == [("key_ends", "keys/doku_public.pem")]
    watched.later(days=7)
    assert "urgent" in [one.state for one in told.notices] or _look(watched, told).alerts[0].level == 2
    newer = {**key, "file": "keys/next.pem", "valid_from": date(2026, 12, 1), "valid_until": date(2027, 12, 1)}
    watched.changed({"batch": {"public_keys": [key, newer]}})
    assert ("key_ends", "keys/doku_public.pem") not in _kinds(_look(watched, told))


def test_a_host_key_near_its_announced_end(watched, told):
    watched.changed({"watch": {"host_key_until": date(2026, 12, 1)}})
    assert _kinds(_look(watched, told)) == [("host_key_ends", "host key")]
    watched.changed({"watch": {"host_key_until": date(2027, 12, 1)}})
    assert _kinds(_look(watched, told)) == []


def test_rules_of_re_attempts_that_are_to_be_looked_at_again(make_merchant, told):
    from include.schemas.profile import SHIPPED_CONFIG

    merchant = make_merchant(changes={"watch": {"notify": ["ops"]}, "retry": {"enabled": False}})
    rules = (SHIPPED_CONFIG / "retry_rules.toml").read_text(encoding="utf-8")
    file = merchant.profile_file.parent / "rules" / "retry_rules.toml"
    file.parent.mkdir()
    file.write_text(rules.replace("review_by = 2027-05-31", "review_by = 2026-12-10"), encoding="utf-8")
    assert _kinds(_look(merchant, told)) == [("rules_end", "retry_rules.toml, 2026-12-10")]
    merchant.later(days=1)
    _look(merchant, told)
    assert len(told) == 1
    file.write_text("nonsense", encoding="utf-8")
    assert ("rules_end", "retry_rules.toml") in _kinds(_look(merchant, told))
    file.write_text(rules, encoding="utf-8")
    assert _kinds(_look(merchant, told)) == []


# --- a run that did not start ---


def test_the_schedule_is_read_as_airflow_reads_it():
    zone = __import__("zoneinfo").ZoneInfo("Asia/Jakarta")
    friday = datetime(2026, 11, 20, 6, 0, tzinfo=zone)
    assert next_run("0 6 * * *", friday, zone) == friday + 24 * H
    assert next_run("0 6 * * *", friday - M, zone) == friday
    assert next_run("0 6 * * 1-5", friday, zone) == friday + 72 * H
    assert next_run("30 5,17 * * *", friday.astimezone(UTC), zone) == friday + 11.5 * H


def test_a_view_that_cannot_be_read_is_part_of_the_words(watched, told):
    watched.list_charges(charge("C1"))
    _look(watched, told)
    with watched.billing.begin() as connection:
        connection.exec_driver_sql("DROP VIEW doku_due_charges")
    watched.later(hours=26)
    assert _kinds(_look(watched, told)) == [("not_started", "submit")]
    assert "has no view 'doku_due_charges'" in told.notices[0].words


def test_a_dry_run_and_a_past_date_do_not_count_as_the_run(watched, told):
    watched.list_charges(charge("C1", due_date="2026-11-20"))
    _look(watched, told)
    watched.later(hours=25)
    for request in ({"dry_run": True}, {"business_date": BUSINESS_DATE}):
        run = watched.run(**{"business_date": watched.context.today, **request})
        extract_and_claim(watched.context, run)
    assert _kinds(_look(watched, told)) == [("not_started", "submit")]


def test_once_told_the_view_is_not_read_whole_again(watched, told, monkeypatch):
    watched.list_charges(charge("C1"))
    _look(watched, told)
    watched.later(hours=26)
    _look(watched, told)
    monkeypatch.setattr("include.flows.watch_due.plan_of", lambda *a: pytest.fail("read whole"))
    watched.later(hours=3)
    assert _kinds(_look(watched, told)) == [("not_started", "submit")]
    watched.change_charges("due_date = '2027-01-01'")
    assert _kinds(_look(watched, told)) == []


def test_a_profile_that_runs_by_hand_is_not_expected_to_run(make_merchant, told):
    merchant = make_merchant(changes={"schedule": {"submit": ""}})
    merchant.list_charges(charge("C1"))
    _look(merchant, told)
    merchant.later(days=3)
    assert _kinds(_look(merchant, told)) == []


# --- telling ---


def test_further_channels_from_a_level_on(make_merchant, told):
    settings = {"notify": ["mail"], "notify_urgent": ["chat"], "notify_critical": ["pager"]}
    merchant = make_merchant(changes={"watch": settings})
    merchant.server.plan("connect", before=lost(), times=9)
    _look(merchant, told)
    for hours in (1, 1, 3, 1):
        merchant.later(hours=hours)
        _look(merchant, told)
    merchant.server.faults.clear()
    _look(merchant, told)
    assert [(channel, state) for channel, state, _, _ in told] == [
        ("mail", "late"), ("chat", "urgent"), ("mail", "urgent"), ("chat", "critical"), ("mail", "critical"),
        ("pager", "critical"), ("chat", "over"), ("mail", "over"), ("pager", "over"),
    ]  # fmt: skip


def test_what_could_not_be_told_is_told_by_the_next_look(make_merchant, told):
    merchant = make_merchant(changes={"watch": {"notify": ["mail", "chat"]}})
    _open_break(merchant, AT_RISK[0])
    told.refuse = {"mail"}
    looked = _look(merchant, told)
    assert looked.told == 1
    assert looked.problems == ("An alert could not be sent through connection mail.",)
    told.refuse = set()
    merchant.later(minutes=15)
    looked = _look(merchant, told)
    assert (looked.told, looked.problems) == (1, ())
    assert [channel for channel, *_ in told] == ["chat", "mail"]
    assert {row["failure"] for row in merchant.sql("SELECT failure FROM alert_notice")} == {None}


def test_two_watchdogs_at_once_tell_once(watched, told):
    """The second looks while the first is sending."""
    _open_break(watched, AT_RISK[0])
    inner = []

    def send(channel, notice):
        if not inner:
            inner.append(True)
            _look(watched, told, Watcher.OUTSIDE)
        told(channel, notice)

    watch(watched.context, Watcher.AIRFLOW, send)
    assert len(told) == 1


def test_a_watchdog_that_died_while_it_was_telling(watched, told):
    _open_break(watched, AT_RISK[0])

    def die(channel, notice):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(watched.context, Watcher.AIRFLOW, die)
    watched.later(minutes=5)
    _look(watched, told, Watcher.OUTSIDE)
    assert told == []
    watched.later(minutes=6)
    _look(watched, told, Watcher.OUTSIDE)
    assert len(told) == 1


def test_without_anybody_to_tell_it_is_kept(merchant, told):
    _open_break(merchant, AT_RISK[0])
    assert _kinds(_look(merchant, told)) == [("money_at_risk", "break 1")]
    assert told == []


def test_a_ledger_that_falls_silent_is_an_error(watched, told, monkeypatch):
    def broken(*words, **named):
        raise LedgerUnreachable("The ledger's database does not answer as it should.")

    monkeypatch.setattr("include.flows.watch_server.look_for_reports", broken)
    with pytest.raises(LedgerError):
        _look(watched, told)


def test_no_alert_shows_a_token(watched, told):
    watched.list_charges(charge("C1"), charge("BAD", amount="x"))
    watched.seal()
    watched.server.plan("connect", before=lost(), times=99)
    for _ in range(8):
        watched.later(days=1)
        _look(watched, told)
    assert len(told) == 3
    assert TOKEN not in "".join(notice.text for notice in told.notices)


def test_on_each_database(merchant_on_each, told):
    """Statements that the two databases read differently: upserts, moments, existence."""
    merchant = merchant_on_each
    merchant.changed({"watch": {"notify": ["ops"]}})
    merchant.list_charges(charge("C1", 100_000), charge("BAD", token=None))
    merchant.submit()
    merchant.report(("NOBODY", 1, "0000"), name="RPT_9.TXT")
    merchant.reconcile()
    merchant.report((merchant.invoices()["C1"], 100_000, "0051"), name="RPT_1.TXT")
    merchant.later(hours=2)
    fault = merchant.server.plan("connect", before=lost(), times=9)
    for hours in (0, 1, 1):
        merchant.later(hours=hours)
        _look(merchant, told)
    merchant.server.faults.remove(fault)
    _look(merchant, told, Watcher.OUTSIDE)
    merchant.later(days=4)
    looked = _look(merchant, told, Watcher.OUTSIDE)
    assert {"quarantine_old", "not_taken_in", "watch_silent"} <= {one.kind for one in looked.alerts}
    assert len(told) == len(set(told))
