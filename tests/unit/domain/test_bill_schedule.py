"""Schedules of bills over years and month ends, against the plain reading of each rule."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.bill_schedule import MONTHS, WEEKDAYS, BillSchedule
from include.domain.states import ScheduleKind

FIRST, LAST = date(2023, 1, 1), date(2029, 1, 1)  # with the leap years 2024 and 2028
DAYS = st.dates(FIRST, LAST)
_SOME_MONTHS = st.lists(st.sampled_from(MONTHS), unique=True, max_size=12)


@st.composite
def schedules(draw):
    kind = draw(st.sampled_from(list(ScheduleKind)))
    starts_on = draw(DAYS)
    ends_on = draw(st.none() | st.dates(starts_on, LAST + timedelta(days=400)))
    if kind is ScheduleKind.DATES:
        on, months = [day.isoformat() for day in draw(st.lists(DAYS, min_size=1, max_size=12))], []
    else:
        names = WEEKDAYS if kind is ScheduleKind.DAY else [str(day) for day in range(1, 29)]
        on, months = draw(st.lists(st.sampled_from(names), min_size=1, max_size=5)), draw(_SOME_MONTHS)
    return BillSchedule.read(kind, ",".join(on), ",".join(months), starts_on, ends_on), on, months


def _plainly(schedule: BillSchedule, on: list[str], months: list[str], day: date) -> bool:
    if day < schedule.starts_on or (schedule.ends_on and day > schedule.ends_on):
        return False
    if schedule.kind is ScheduleKind.DATES:
        return day.isoformat() in on
    if months and day.strftime("%b").upper() not in months:
        return False
    return (day.strftime("%a").upper() if schedule.kind is ScheduleKind.DAY else str(day.day)) in on


@given(schedules(), DAYS, st.integers(0, 800))
def test_the_expected_days_are_those_that_the_rule_names(given_schedule, first, length):
    schedule, on, months = given_schedule
    days = [first + timedelta(days=number) for number in range(length + 1)]
    expected = [day for day in days if _plainly(schedule, on, months, day)]
    assert list(schedule.expected_days(first, days[-1])) == expected
    assert [day for day in days if schedule.charges_on(day)] == expected


@given(schedules(), DAYS, st.integers(0, 200), st.integers(0, 200))
def test_a_range_is_its_parts(given_schedule, first, one, other):
    schedule, *_ = given_schedule
    middle, last = first + timedelta(days=one), first + timedelta(days=one + other)
    parts = [*schedule.expected_days(first, middle), *schedule.expected_days(middle + timedelta(days=1), last)]
    assert parts == list(schedule.expected_days(first, last))


@given(schedules(), DAYS)
def test_the_next_day_is_the_first_expected_one_after_it(given_schedule, day):
    schedule, *_ = given_schedule
    following = schedule.next_after(day)
    until = following - timedelta(days=1) if following else max(day, schedule.starts_on) + timedelta(days=800)
    assert not list(schedule.expected_days(day + timedelta(days=1), until))
    assert following is None or (following > day and schedule.charges_on(following))


@given(schedules(), DAYS, st.integers(0, 27))
def test_a_charge_belongs_to_the_latest_expected_day_before_it(given_schedule, day, match_days):
    schedule, *_ = given_schedule
    back = [day - timedelta(days=number) for number in range(match_days + 1)]
    assert schedule.expected_day_of(day, match_days) == next(filter(schedule.charges_on, back), None)


@given(schedules())
def test_a_schedule_is_read_from_what_it_writes(given_schedule):
    schedule, *_ = given_schedule
    again = BillSchedule.read(
        schedule.kind, schedule.on_text, schedule.months_text, schedule.starts_on, schedule.ends_on
    )
    assert again == schedule


@given(st.integers(1, 28), st.integers(1, 28))
def test_a_day_of_the_month_comes_once_in_each_month(first, second):
    schedule = BillSchedule.read("date", f"{first},{second}", None, FIRST, None)
    found = list(schedule.expected_days(FIRST, date(2028, 12, 31)))
    assert len(found) == 72 * len({first, second})
    assert {(day.year, day.month) for day in found} == {(y, m) for y in range(2023, 2029) for m in range(1, 13)}


@pytest.mark.parametrize(
    ("kind", "on", "months", "first", "last", "found"),
    [
        ("date", "28", None, "2026-01-01", "2026-03-31", ["2026-01-28", "2026-02-28", "2026-03-28"]),
        ("date", "1,15", "JAN,FEB", "2027-12-01", "2028-03-31", ["2028-01-01", "2028-01-15", "2028-02-01",
         "2028-02-15"]),
        ("day", "THU", "FEB", "2028-02-20", "2028-03-10", ["2028-02-24"]),
        ("day", "TUE", "FEB", "2028-02-25", "2028-03-10", ["2028-02-29"]),
        ("dates", "2028-02-29, 2026-12-31", None, "2026-01-01", "2030-01-01", ["2026-12-31", "2028-02-29"]),
    ],
)  # fmt: skip
def test_examples(kind, on, months, first, last, found):
    schedule = BillSchedule.read(kind, on, months, date(2026, 1, 1), None)
    days = schedule.expected_days(date.fromisoformat(first), date.fromisoformat(last))
    assert [day.isoformat() for day in days] == found


def test_the_first_and_the_last_day_are_charged():
    schedule = BillSchedule.read("date", "10,20", "", date(2026, 1, 10), date(2026, 2, 20))
    assert [day.isoformat() for day in schedule.expected_days(FIRST, LAST)] == [
        "2026-01-10", "2026-01-20", "2026-02-10", "2026-02-20",
    ]  # fmt: skip
    assert schedule.next_after(date(2026, 2, 20)) is None
    assert schedule.next_after(FIRST) == date(2026, 1, 10)


@pytest.mark.parametrize(
    ("kind", "on", "months", "ends_on", "words"),
    [
        ("weekly", "MON", None, None, "is none of"),
        ("day", "MON,TUESDAY", None, None, "'TUESDAY' is not a weekday"),
        ("date", "29", None, None, "day of the month"),
        ("date", "0", None, None, "day of the month"),
        ("date", "-1", None, None, "day of the month"),
        ("date", "²", None, None, "day of the month"),
        ("date", " ,", None, None, "names no day"),
        ("dates", "20261120x", None, None, "an ISO date"),
        ("dates", "2026-11-20", "NOV", None, "leave months empty"),
        ("date", "1", "NOVEMBER", None, "is not a month"),
        ("date", "1", None, date(2025, 12, 31), "is before starts_on"),
    ],
)
def test_what_is_no_schedule_is_said_in_words(kind, on, months, ends_on, words):
    with pytest.raises(ValueError, match=words):
        BillSchedule.read(kind, on, months, date(2026, 1, 1), ends_on)
