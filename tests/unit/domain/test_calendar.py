"""Days: never in the past, never before the business date, and decided by the merchant's own clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.calendar import cutoff_of, decide_execute_date, local_date

JAKARTA = ZoneInfo("Asia/Jakarta")
NINE = time(21, 0)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JAKARTA)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 19, 16, 59, tzinfo=UTC), date(2026, 11, 19)),
        (datetime(2026, 11, 19, 17, 0, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), date(2027, 1, 1)),
    ],
)
def test_the_merchants_day(moment, day):
    assert local_date(moment, JAKARTA) == day


def test_a_moment_needs_a_timezone():
    with pytest.raises(ValueError, match="timezone"):
        local_date(datetime(2026, 11, 20), JAKARTA)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("business_date", "now", "day"),
    [
        ("2026-11-20", "2026-11-20 06:00", "2026-11-20"),
        ("2026-11-20", "2026-11-20 20:59:59", "2026-11-20"),
        ("2026-11-20", "2026-11-20 21:00", "2026-11-21"),
        ("2026-11-20", "2026-11-20 23:59", "2026-11-21"),
        ("2026-11-20", "2026-11-21 00:01", "2026-11-21"),
        ("2026-11-20", "2026-11-25 06:00", "2026-11-25"),
        ("2026-11-20", "2026-11-25 22:00", "2026-11-26"),
        ("2026-11-25", "2026-11-20 22:00", "2026-11-25"),
        ("2026-12-31", "2026-12-31 21:00", "2027-01-01"),
    ],
)
def test_the_execute_date(business_date, now, day):
    found = decide_execute_date(date.fromisoformat(business_date), _at(now), NINE, JAKARTA)
    assert found == date.fromisoformat(day)


@given(
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    st.times(),
    st.sampled_from([JAKARTA, ZoneInfo("Asia/Jayapura"), ZoneInfo("UTC"), ZoneInfo("America/New_York")]),
)
def test_it_is_the_first_day_that_can_still_be_met(business_date, now, cutoff, zone):
    cutoff = cutoff.replace(tzinfo=None, fold=0)
    day = decide_execute_date(business_date, now, cutoff, zone)
    assert day >= business_date
    assert day >= local_date(now, zone)
    assert cutoff_of(day, cutoff, zone) > now
    before = day - timedelta(days=1)
    assert before < max(business_date, local_date(now, zone)) or cutoff_of(before, cutoff, zone) <= now


def test_the_same_moment_in_another_zone_decides_alike():
    now = _at("2026-11-20 21:00")
    assert decide_execute_date(date(2026, 11, 20), now, NINE, JAKARTA) == decide_execute_date(
        date(2026, 11, 20), now.astimezone(UTC), NINE, JAKARTA
    )
