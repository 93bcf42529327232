"""Silence drills: each is noticed within its time, by the right alert, once for each level, and clears itself.

The alerts arrive at a real webhook; nothing of Airflow is asked. Times are Jakarta's: submit runs at 06:00, the cut-off
is at 21:00, a report is expected at 12:00 of the next day (15 hours later) and the last line of it at 21:00.
"""

from datetime import UTC, datetime

import pytest

from tests.alert_servers import webhook
from tests.flows_harness import charge
from tests.unit.flows.watch_drill import Drill, server_down

NAME = "TKN_MCH0001_20261121_0001.TXT"
WATCHED = {"watch": {"notify": ["alerts"]}}


@pytest.fixture
def drill(make_merchant):
    """A merchant at 04:00 on the 21st, with charges that are due on that day."""
    with webhook() as hook:
        merchant = make_merchant(changes=WATCHED, now=datetime(2026, 11, 20, 21, 0, tzinfo=UTC))
        merchant.list_charges(
            charge("C1", 100_000, due_date="2026-11-21"), charge("C2", 250_000, due_date="2026-11-21")
        )
        yield Drill(merchant, hook)


def _rises(kind, subject, late, urgent, critical):
    return [(late, "late", kind, subject), (urgent, "urgent", kind, subject), (critical, "critical", kind, subject)]


def _answer(drill, *charges, name="RPT_1.TXT"):
    """DOKU's report on some charges."""
    numbers, amounts = drill.merchant.invoices(), {"C1": 100_000, "C2": 250_000}
    drill.merchant.report(*((numbers[one], amounts[one], "0000") for one in charges), name=name)


def test_a_good_day_is_quiet(drill):
    drill.outside = True
    assert drill.till(21, "20:00") == []
    _answer(drill, "C1", "C2")
    assert drill.till(22, "10:00") == []


def test_no_report(drill):
    assert drill.till(22, "11:45") == []
    assert drill.till(23, "08:00") == _rises("no_report", NAME, "22 12:00", "22 13:00", "22 16:00")
    _answer(drill, "C1", "C2")
    assert drill.till(23, "08:15") == [("23 08:15", "over", "no_report", NAME)]
    assert drill.till(23, "10:00") == []


def test_a_report_for_half(drill):
    drill.till(21, "22:00")
    _answer(drill, "C1")
    assert drill.till(22, "20:45") == []
    assert drill.till(22, "21:30") == [("22 21:00", "late", "report_incomplete", NAME)]
    (words,) = [one["words"] for one in drill.hook.documents]
    assert "1 of 2 charges, Rp 250,000, are without an answer" in words
    _answer(drill, "C2", name="RPT_2.TXT")
    assert drill.till(22, "22:00") == [("22 21:45", "over", "report_incomplete", NAME)]


def test_the_server_is_down_for_a_day(drill):
    """Told is that the server is silent; that the batch may miss its cut-off is told an hour before it."""
    assert drill.till(21, "04:30") == []
    with server_down(drill.merchant):
        told = drill.till(22, "05:00")
    server, batch = "insurance_sftp", NAME
    assert told == [
        *_rises("server_silent", server, "21 06:00", "21 07:00", "21 10:00"),
        ("21 20:00", "critical", "not_sent", batch),
    ]
    assert drill.till(22, "08:00") == [
        ("22 06:00", "over", "server_silent", server), ("22 06:00", "over", "not_sent", batch)
    ]  # fmt: skip
    assert len(drill.merchant.server.files("/archive")) == 1


def test_the_server_is_down_when_the_report_is_due(drill):
    """That no report came cannot be said then, and is not said."""
    drill.till(21, "21:00")
    with server_down(drill.merchant):
        told = drill.till(22, "16:00")
    assert {kind for _, _, kind, _ in told} == {"server_silent"}
    _answer(drill, "C1", "C2")
    assert [state for _, state, _, _ in drill.till(22, "20:00")] == ["over"]


def test_the_submit_dag_is_paused(drill):
    drill.till(21, "04:30")
    drill.paused = {"submit"}
    assert drill.till(21, "06:45") == []
    assert drill.till(21, "15:00") == _rises("not_started", "submit", "21 07:00", "21 08:00", "21 11:00")
    words = drill.hook.documents[0]["words"]
    assert "2 charges, Rp 350,000, are due and not sent" in words
    assert "unpause doku_submit__insurance" in drill.hook.documents[0]["action"]
    drill.paused = set()
    drill.merchant.submit("unpaused", business_date=drill.merchant.context.today)
    assert drill.till(21, "16:00") == [("21 15:15", "over", "not_started", "submit")]


def test_a_paused_submit_dag_without_charges_is_no_matter(drill):
    drill.merchant.change_charges("due_date = '2026-12-24'")
    drill.till(21, "04:30")
    drill.paused = {"submit"}
    assert drill.till(22, "10:00") == []


def test_the_reconcile_dag_is_paused(drill):
    """A report that lies at the server unread: DOKU is not to be asked for it."""
    drill.till(21, "20:00")
    drill.paused = {"reconcile"}
    _answer(drill, "C1", "C2")
    assert drill.till(22, "14:00") == _rises("not_taken_in", "RPT_1.TXT", "21 22:00", "21 23:00", "22 02:00")
    drill.paused = set()
    assert drill.till(22, "15:00") == [("22 14:15", "over", "not_taken_in", "RPT_1.TXT")]


def test_the_scheduler_stands_still_for_six_hours(drill):
    """With Airflow down it is the check outside Airflow that tells, of Airflow and of the run that is missing."""
    drill.outside = True
    assert drill.till(21, "05:00") == []
    drill.airflow = False
    told = drill.till(21, "11:00")
    assert sorted(told) == sorted(
        _rises("watch_silent", "airflow", "21 06:00", "21 07:00", "21 10:00")
        + _rises("not_started", "submit", "21 07:00", "21 08:00", "21 11:00")
    )
    drill.airflow = True
    drill.merchant.submit("made up for", business_date=drill.merchant.context.today)
    told = drill.till(21, "12:00")
    assert sorted(told) == [
        ("21 11:15", "over", "not_started", "submit"),
        ("21 11:15", "over", "watch_silent", "airflow"),
    ]


def test_the_watchdog_outside_is_watched_too(make_merchant):
    with webhook() as hook:
        drill = Drill(make_merchant(changes={"watch": {"notify": ["alerts"], "outside_minutes": 90}}), hook)
        drill.outside = True
        drill.till(20, "10:00")
        drill.outside = False
        assert drill.till(20, "11:45") == [("20 11:30", "late", "watch_silent", "outside")]
        drill.outside = True
        assert drill.till(20, "13:00") == [("20 12:00", "over", "watch_silent", "outside")]
