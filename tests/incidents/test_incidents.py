"""One test, or more, for each kind of incident that hurt others who do this job: `test_<number>_...`."""

import logging
import re
import sqlite3
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.doku.sftp import SftpSettings, connect
from include.domain.calendar import cutoff_of, decide_execute_date
from include.domain.errors import LedgerForgot
from include.flows.books import books_of_day
from include.flows.plan import plan_of
from include.flows.recover import recover
from include.flows.verify import findings
from include.ledger.store import Ledger, ledger_engine
from tests.doku_simulator.behaviour import Fault
from tests.flows_harness import BUSINESS_DATE, TOKEN, charge
from tests.incidents.incidents import INCIDENTS
from tests.sweeps import ground
from tests.sweeps.office import ANSWER_SECONDS, office
from tests.sweeps.promises import broken

_ALL_PAID = {"0000": 1.0}


class _Died(BaseException):
    """The process is gone."""


@pytest.fixture
def shop(tmp_path):
    """An office with five charges due."""
    with office(tmp_path, mix=_ALL_PAID) as one:
        one.bill_some(5, "C")
        yield one


def _dies_at(one, step):
    def die(name):
        if name == step:
            one.merchant.context = replace(one.context, step=lambda _: None)
            raise _Died(step)

    one.merchant.context = replace(one.context, step=die)


def _finish(one):
    one.doku.process_once()
    one.reconcile()
    assert broken(one) == []


def test_every_incident_has_a_test():
    named = {int(found[1]) for name in dir(sys.modules[__name__]) if (found := re.match(r"test_(\d\d)_", name))}
    assert named == {one.number for one in INCIDENTS} == set(range(1, 16))


def test_01_a_charge_is_never_sent_while_an_attempt_of_it_may_still_be_charged(shop):
    shop.doku.behave(faults=["rename_answer_lost"])
    assert not shop.submit("first")
    shop.next_morning()
    shop.submit("second")  # another run of another day finds the charges in flight
    assert list(shop.batches()) == ["TKN_MCH0001_20261120_0001.TXT"]
    shop.submit("first")
    _finish(shop)
    assert len(shop.doku.charged) == 5


def test_01_a_second_live_attempt_is_refused_by_the_database_itself(shop):
    shop.submit("first")
    with pytest.raises(Exception, match=r"UNIQUE|constraint"):  # noqa: PT012
        connection = sqlite3.connect(shop.merchant.ledger.engine.url.database)
        try:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(attempt)") if row[1] != "invoice_number"]
            listed = ", ".join(columns)
            connection.execute(
                f"INSERT INTO attempt (invoice_number, {listed}) SELECT 'FORCED', {listed} FROM attempt LIMIT 1"
            )
        finally:
            connection.close()


@pytest.mark.parametrize("delivery", ["rename", "direct"])
def test_02_an_upload_of_which_nobody_knows_the_end_is_no_success(tmp_path, delivery):
    with office(tmp_path, {"batch": {"delivery": delivery}}, mix=_ALL_PAID) as one:
        one.bill_some(5, "C")
        one.doku.behave(faults=[Fault("upload_cut", times=0, params={"at": 500})])
        assert not one.submit("first")
        assert one.batches() == {"TKN_MCH0001_20261120_0001.TXT": "unknown" if delivery == "direct" else "delivering"}
        one.doku.behave()
        assert one.submit("first") is (delivery == "rename")
        _finish(one)
        assert len(one.doku.charged) == (5 if delivery == "rename" else 0)


@pytest.mark.parametrize("step", ["deliver: promise committed", "deliver: renamed", "deliver: temporary file proved"])
def test_03_a_crash_between_sent_and_recorded_sends_nothing_twice(shop, step):
    _dies_at(shop, step)
    with pytest.raises(_Died):
        shop.submit("first")
    shop.doku.process_once()
    shop.submit("first")
    _finish(shop)
    # Died after the promise and before the rename: nobody but DOKU can know, and nothing is sent.
    assert len(shop.doku.charged) == (0 if step == "deliver: promise committed" else 5)


def test_04_running_and_clearing_everything_again_sends_no_money(shop):
    shop.submit("first")
    _finish(shop)
    before = (shop.doku.charged, shop.merchant.told(), shop.batches())
    for _ in range(2):
        shop.submit("first")
        shop.submit("first again, under another name")
        shop.reconcile("one reconcile, cleared")
        shop.doku.process_once()
    assert (shop.doku.charged, shop.merchant.told(), shop.batches()) == before


def test_04_a_backfill_of_past_dates_sends_nothing(shop):
    for days in range(3):
        shop.submit(f"backfill {days}", BUSINESS_DATE - timedelta(days=3 - days))
    shop.bill(charge("OLD", due_date=(BUSINESS_DATE - timedelta(days=2)).isoformat()))
    shop.submit("backfill of a date with charges", BUSINESS_DATE - timedelta(days=1))
    assert shop.batches() == {}
    shop.submit("today")
    _finish(shop)
    assert len(shop.doku.charged) == 6


def test_05_silence_is_neither_paid_nor_failed(shop):
    shop.doku.behave(faults=["report_never"])
    shop.submit("first")
    for day in range(3):
        shop.doku.process_once()
        assert shop.reconcile()
        assert shop.statuses() == {"in_flight": 5}
        books = books_of_day(shop.context, BUSINESS_DATE)
        assert books["awaiting"]["count"] == 5
        assert books["ties"]
        shop.next_morning()
        shop.submit(f"day {day}")
    assert list(shop.batches().values()) == ["delivered"]
    assert broken(shop) == []


def test_06_a_report_that_is_still_being_written_is_not_read(shop):
    shop.submit("first")
    shop.doku.process_once()
    (report,) = shop.doku.outbound.glob("RPT_*")
    whole = report.read_bytes()
    report.write_bytes(b"")
    shop.reconcile()
    assert shop.reports() == {}
    report.write_bytes(whole[: len(whole) // 2])  # it pauses longer than the office looks
    shop.reconcile()
    assert shop.reports() == {"refused": 1}
    assert shop.statuses() == {"in_flight": 5}
    report.write_bytes(whole)
    shop.reconcile()
    assert shop.reports() == {"refused": 1, "written_back": 1}
    _finish(shop)


@pytest.mark.parametrize("pins", [(), "other"])
def test_07_without_the_right_host_key_nothing_is_sent(shop, pins):
    doku = shop.doku
    keys = (doku.keys.ssh_public_line("other_host_key"),) if pins else ()
    settings = SftpSettings(
        "insurance_sftp", doku.host, doku.port, doku.user, doku.password, host_keys=keys, timeout=ANSWER_SECONDS
    )
    right = shop.context
    shop.merchant.context = replace(right, remote=lambda: connect(settings))
    assert not shop.submit("first")
    assert shop.said[-1].error == "HostKeyError"
    assert "SHA256:" in shop.said[-1].words
    assert not [one for one in doku.operations if one["op"] == "open"]
    both = replace(settings, host_keys=(*keys, doku.host_key))  # while DOKU changes its key, two are pinned
    shop.merchant.context = replace(right, remote=lambda: connect(both))
    assert shop.submit("first")
    _finish(shop)


@pytest.mark.parametrize(
    "step", ["fetch: report kept", "fetch: committed", "ingest: everything staged", "ingest: committed"]
)
def test_08_a_report_whose_ingest_broke_off_is_taken_by_the_next_run(shop, step):
    shop.submit("first")
    shop.doku.process_once()
    _dies_at(shop, step)
    with pytest.raises(_Died):
        shop.reconcile()
    assert shop.reconcile()
    assert shop.statuses() == {"paid": 5}
    assert broken(shop) == []


def test_09_lines_that_come_twice_late_or_contradict_decide_nothing_new(shop):
    shop.doku.behave(faults=["report_repeated", "lines_duplicated", "lines_conflicting", "lines_reordered"])
    shop.submit("first")
    shop.doku.process_once()
    shop.reconcile()
    assert shop.statuses() == {"paid": 5}
    assert shop.breaks() == {"conflict": 1}  # one matter, in however many files it stands
    told = shop.merchant.told()
    shop.reconcile()
    assert shop.merchant.told() == told
    assert broken(shop) == []


@pytest.mark.parametrize(("code", "tries"), [("0091", 4), ("0041", 1), ("0054", 1)])
def test_10_a_declined_card_is_tried_again_by_the_rules_only(tmp_path, code, tries):
    with office(tmp_path, mix={code: 1.0}) as one:
        one.bill_some(3, "C")
        for day in range(25):
            one.submit(f"day {day}")
            one.doku.process_once()
            one.reconcile()
            one.next_morning()
        assert len(one.doku.processed) == 3 * tries
        days = {
            row["execute_date"] for row in one.merchant.sql("SELECT execute_date FROM attempt WHERE attempt_no > 1")
        }
        assert all(date.fromisoformat(str(day)).weekday() < 5 for day in days)
        assert broken(one) == []


def test_10_switched_off_a_declined_charge_is_not_tried_again_by_itself(tmp_path):
    with office(tmp_path, {"retry": {"enabled": False}}, mix={"0051": 1.0}) as one:
        one.bill_some(5, "C")
        for day in range(4):
            one.submit(f"day {day}")
            one.doku.process_once()
            one.reconcile()
            one.next_morning()
        assert len(one.doku.processed) == 5
        one.merchant.change_charges("attempt_no = 2 WHERE charge_id = 'C-001'")
        for day in range(3):
            one.submit(f"asked on day {day}")
            one.doku.process_once()
            one.reconcile()
            one.next_morning()
        assert len(one.doku.processed) == 6
        assert broken(one) == []


def test_11_a_bad_row_stops_no_other_and_does_not_vanish(shop):
    shop.bill(charge("BAD", token=None), charge("TWO"), charge("TWO", 99_000), charge("FRACTION", "10.5"))
    assert shop.submit("first")
    books = books_of_day(shop.context, BUSINESS_DATE)
    assert (books["rows"]["count"], books["sent"]["count"], books["quarantined"]["count"]) == (9, 5, 4)
    assert set(books["quarantined"]["by_reason"]) == {"token:missing", "row:conflicting", "amount:not_whole"}
    _finish(shop)
    shop.merchant.change_charges("token = :token WHERE token IS NULL", token=TOKEN)
    shop.next_morning()
    shop.submit("second")
    _finish(shop)
    assert len(shop.doku.charged) == 6


@pytest.mark.parametrize("other", [False, True], ids=["emptied", "another one"])
def test_12_a_ledger_that_forgot_sends_nothing_and_is_rebuilt(shop, tmp_path, other):
    shop.submit("first")
    shop.doku.process_once()
    shop.merchant.ledger.engine.dispose()
    settings = ground.other_ledger(tmp_path / "other.db") if other else ground.new_ledger(tmp_path / "new")
    shop.merchant.ledger = Ledger.open(ledger_engine(settings))
    shop.merchant.context = replace(shop.context, ledger=shop.merchant.ledger)
    assert not shop.submit("again")
    assert shop.said[-1].error == "LedgerForgot"
    assert "recover" in shop.said[-1].words
    if other:
        with pytest.raises(LedgerForgot, match="--adopt"):
            recover(shop.context, by="Ani", adopt=False, apply=True)
    (found,) = recover(shop.context, by="Ani", adopt=other, apply=True)
    assert found.count == 5
    shop.submit("again")
    shop.reconcile()
    assert shop.statuses() == {"paid": 5}
    assert len(shop.doku.charged) == 5
    assert len(shop.doku.files) == 1


def test_12_plan_says_what_would_be_sent_and_sends_nothing(shop):
    planned = plan_of(shop.context, BUSINESS_DATE)
    assert shop.batches() == {}
    shop.submit("first")
    (row,) = shop.merchant.sql("SELECT line_count, total_amount FROM batch")
    assert (planned.count, planned.total) == (row["line_count"], row["total_amount"])


@pytest.mark.parametrize("op", ["open", "write", "stat", "list", "rename"])
def test_13_a_server_that_hangs_is_not_waited_for_without_end(shop, op):
    shop.doku.behave(faults=[Fault("hang", params={"seconds": 60, "op": op})])
    begun = datetime.now(UTC)
    shop.submit("first")
    assert datetime.now(UTC) - begun < timedelta(seconds=20)
    assert "TimeoutError" in shop.said[0].words


def test_13_a_stage_has_one_session_and_closes_it(shop):
    shop.submit("first")
    shop.doku.process_once()
    shop.reconcile()
    # Deliver, two looks for reports, one fetch.
    assert len([one for one in shop.doku.operations if one["op"] == "connect"]) == 4
    opened = [one for one in shop.doku.operations if one["op"] == "open"]
    closed = [one for one in shop.doku.operations if one["op"] == "close"]
    assert len(opened) == len(closed)


_JAKARTA = ZoneInfo("Asia/Jakarta")


@given(
    business_date=st.dates(date(2024, 1, 1), date(2032, 12, 31)),
    seconds=st.integers(1_704_067_200, 1_987_000_000),
    cutoff=st.times(),
)
def test_14_the_execute_date_is_never_past_and_its_cutoff_is_still_to_come(business_date, seconds, cutoff):
    now = datetime.fromtimestamp(seconds, UTC)
    chosen = decide_execute_date(business_date, now, cutoff, _JAKARTA)
    assert chosen >= business_date
    assert now < cutoff_of(chosen, cutoff, _JAKARTA)
    day_before = chosen - timedelta(days=1)
    assert day_before < business_date or now >= cutoff_of(day_before, cutoff, _JAKARTA)


def test_14_a_batch_that_missed_its_cutoff_goes_out_once_with_a_new_one(shop):
    shop.doku.behave(faults=[Fault("connection_refused", times=0)])
    assert not shop.submit("first")
    shop.doku.behave()
    shop.next_morning()
    shop.bill_some(2, "D")
    shop.submit("first")  # cleared too late
    shop.submit("second")
    states = list(shop.batches().values())
    assert states == ["withdrawn", "delivered"]
    _finish(shop)
    assert len(shop.doku.charged) == 7
    executed = {one["execute_date"] for one in shop.doku.processed}
    assert executed == {(BUSINESS_DATE + timedelta(days=1)).isoformat()}


def test_14_two_minutes_before_the_cutoff_and_two_after(shop):
    shop.merchant.now = datetime.combine(BUSINESS_DATE, time(20, 58), tzinfo=_JAKARTA).astimezone(UTC)
    shop.submit("before")
    shop.later(minutes=4)
    shop.bill_some(1, "LATE")
    shop.submit("after")
    rows = shop.merchant.sql("SELECT execute_date FROM batch ORDER BY batch_id")
    assert [str(row["execute_date"]) for row in rows] == ["2026-11-20", "2026-11-21"]
    _finish(shop)


def test_15_no_secret_is_logged_said_or_shown(shop, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "tok_canary_0123456789abcdef012345"
    shop.bill(charge("CANARY", token=secret), charge("CARD", token="4111 1111 1111 1111"))
    shop.doku.behave(faults=["login_refused", "upload_cut", "rename_refused", "report_truncated", "report_foreign"])
    for _ in range(4):
        shop.submit("first")
    shop.doku.process_once()
    shop.reconcile()
    shown = "\n".join([caplog.text, *(said.words for said in shop.said), *findings(shop.context)])
    assert shop.said
    for hidden in (secret, TOKEN, "4111 1111 1111 1111", "4111111111111111", shop.doku.password):
        assert hidden not in shown
    for table in ("event", "quarantined_charge", "quarantine", "report_line", "outcome"):
        stored = str(shop.merchant.sql(f"SELECT * FROM {table}"))
        assert secret not in stored
        assert "4111111111111111" not in stored.replace(" ", "")
