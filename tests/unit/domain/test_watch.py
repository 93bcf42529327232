"""The watchdog's rules: when a stage is expected, how a matter rises, and what is told of it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.alert_text import Notice
from include.domain.watch import (
    BY_SERVER,
    BatchTimes,
    Kind,
    Ladder,
    Ladders,
    Level,
    Matter,
    OpenAlert,
    Patience,
    Stage,
    batch_expectations,
    channels_of,
    judge,
)

T0 = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
CUTOFF = T0 + timedelta(hours=15)
H = timedelta(hours=1)
PATIENCE = Patience(sent=3 * H, before_cutoff=H, settled=H, acknowledged=2 * H, reported=15 * H, reconciled=24 * H)
LADDERS = Ladders(quick=Ladder(H, 4 * H), slow=Ladder(timedelta(days=7), timedelta(days=21)))


def matter(kind=Kind.NO_REPORT, subject="B", since=T0, **changes):
    return Matter(kind, subject, since, "words", "action", "watchdog.md", **changes)


def test_a_batch_is_expected_to_leave_some_hours_after_its_claim():
    assert batch_expectations(BatchTimes(T0, CUTOFF), PATIENCE) == {Stage.SENT: T0 + 3 * H}


@pytest.mark.parametrize(("claimed", "by"), [(-2, -1), (-0.5, -0.5), (-4, -1), (-4.5, -1.5)])
def test_and_some_time_before_its_cutoff(claimed, by):
    times = BatchTimes(CUTOFF + claimed * H, CUTOFF)
    assert batch_expectations(times, PATIENCE)[Stage.SENT] == CUTOFF + by * H


def test_what_is_expected_of_a_delivered_batch():
    found = batch_expectations(BatchTimes(T0, CUTOFF, delivered_at=T0 + H), PATIENCE)
    assert found == {
        Stage.SENT: T0 + 3 * H, Stage.ACKNOWLEDGED: T0 + 3 * H,
        Stage.REPORTED: CUTOFF + 15 * H, Stage.RECONCILED: CUTOFF + 24 * H,
    }  # fmt: skip


def test_a_batch_that_was_late_found_to_be_delivered_gets_its_time():
    times = BatchTimes(T0, CUTOFF, delivered_at=CUTOFF + 30 * H, unsure_since=T0)
    found = batch_expectations(times, PATIENCE)
    assert (found[Stage.REPORTED], found[Stage.SETTLED]) == (CUTOFF + 45 * H, T0 + H)


def test_what_is_not_watched_is_not_expected():
    none = Patience(None, H, None, None, None, None)
    assert batch_expectations(BatchTimes(T0, CUTOFF, delivered_at=T0, unsure_since=T0), none) == {}


@pytest.mark.parametrize(
    ("hours", "level"),
    [(0, Level.LATE), (0.9, Level.LATE), (1, Level.URGENT), (3.9, Level.URGENT), (4, Level.CRITICAL)],
)
def test_a_matter_rises_with_time(hours, level):
    assert LADDERS.level(matter(), T0 + hours * H) is level


def test_some_matters_rise_by_days_and_some_are_critical_at_once():
    assert LADDERS.level(matter(Kind.KEY_ENDS), T0 + timedelta(days=6)) is Level.LATE
    assert LADDERS.level(matter(Kind.KEY_ENDS), T0 + timedelta(days=7)) is Level.URGENT
    assert LADDERS.level(matter(Kind.MONEY_AT_RISK, at_once=True), T0) is Level.CRITICAL


def test_what_cannot_be_judged_stays_as_it_is():
    alerts = [OpenAlert(1, "no_report", "B", 1), OpenAlert(2, "key_ends", "k", 1)]
    verdict = judge(alerts, [], LADDERS, T0, unseen=BY_SERVER)
    assert [one.alert_id for one in verdict.over] == [2]
    assert [one.alert_id for one in judge(alerts, [], LADDERS, T0).over] == [1, 2]


def test_of_two_of_the_same_matter_the_older_counts():
    verdict = judge([], [matter(since=T0), matter(since=T0 - 2 * H)], LADDERS, T0)
    ((found, level),) = verdict.opened
    assert (found.late_since, level) == (T0 - 2 * H, Level.URGENT)


def test_who_is_told():
    by_level = {Level.LATE: ("a", "b"), Level.URGENT: ("b", "c"), Level.CRITICAL: ("d",)}
    assert channels_of(Level.LATE, by_level) == ["a", "b"]
    assert channels_of(Level.URGENT, by_level) == ["a", "b", "c"]
    assert channels_of(Level.CRITICAL, by_level) == ["a", "b", "c", "d"]
    assert channels_of(Level.OVER, by_level) == []


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("ABC")), st.booleans(), st.integers(min_value=1, max_value=200)), max_size=40
    )
)
def test_a_matter_is_told_once_for_each_level_and_once_when_it_is_over(looks):
    """Whatever is there at each look, and whether it can be seen: the alerts follow, and no look tells twice."""
    now, began = T0, {}
    alerts: dict[tuple[str, str], OpenAlert] = {}
    told: Counter[tuple[int, int]] = Counter()
    number = 0
    for there, blind, minutes in looks:
        now += timedelta(minutes=minutes)
        if not blind:
            began = {name: began.get(name, now) for name in there}
        matters = [] if blind else [matter(subject=name, since=began[name]) for name in there]
        verdict = judge(list(alerts.values()), matters, LADDERS, now, unseen=BY_SERVER if blind else frozenset())
        for found, level in verdict.opened:
            number += 1
            alerts[found.key] = OpenAlert(number, *found.key, int(level))
            told[number, int(level)] += 1
        for known, _, level in verdict.still:
            assert level >= known.level
            if level > known.level:
                told[known.alert_id, int(level)] += 1
                alerts[known.key] = OpenAlert(known.alert_id, *known.key, int(level))
        for known in verdict.over:
            told[known.alert_id, 0] += 1
            del alerts[known.key]
        if not blind:
            assert {subject for _, subject in alerts} == there
    assert max(told.values(), default=1) == 1


def test_a_headline_is_one_line():
    notice = Notice("k", "p", "no_report", "x\r\nBcc: a", Level.LATE, "w", "a", "r", T0, "Asia/Jakarta")
    assert notice.headline == "[DOKU p] late: no report, x Bcc: a"
