"""Which days of its schedule a bill is charged on, from its registration to its end."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from include.domain.bill_expectation import BillLife
from include.domain.bill_schedule import BillSchedule

ZONE = ZoneInfo("Asia/Jakarta")
_MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2028, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
_DAYS = st.dates(date(2024, 12, 1), date(2029, 1, 31))
_SCHEDULES = st.one_of(
    st.sampled_from(["MON", "MON,THU", "SUN"]).map(
        lambda on: BillSchedule.read("day", on, None, date(2025, 1, 1), None)
    ),
    st.sampled_from(["1", "28", "1,15,28"]).map(lambda on: BillSchedule.read("date", on, None, date(2025, 1, 1), None)),
)
_LIVES = st.builds(
    lambda schedule, registered, lasts, until, since: BillLife(
        schedule, registered, None if lasts is None else registered + timedelta(hours=lasts), ZONE, until,
        date.min if since is None else registered.date() + timedelta(days=since),
    ),
    _SCHEDULES, _MOMENTS, st.one_of(st.none(), st.integers(0, 20_000)),
    st.sampled_from([time(0), time(6), time(23, 59)]), st.one_of(st.none(), st.integers(-50, 300)),
)  # fmt: skip


@given(life=_LIVES, first=_DAYS, length=st.integers(0, 400))
def test_every_expected_day_is_one_of_the_schedule_within_the_bills_life(life, first, length):
    last = first + timedelta(days=length)
    days = list(life.expected_days(first, last))
    registered = life.registered_at.astimezone(ZONE)
    over = life.over_at.astimezone(ZONE).date() if life.over_at else date.max
    for number in range(length + 1):
        day = first + timedelta(days=number)
        within = registered.date() < day < over or (
            day == registered.date() < over and registered.time() < life.same_day_until
        )
        assert (day in days) == (within and day >= life.first and life.schedule.charges_on(day))
        assert day not in days or life.is_possible(day)


@given(life=_LIVES, day=_DAYS, match_days=st.integers(0, 27))
def test_a_charge_belongs_to_the_latest_possible_day_that_is_near(life, day, match_days):
    found = life.possible_day_of(day, match_days)
    possible = [one for back in range(match_days + 1) if life.is_possible(one := day - timedelta(days=back))]
    assert found == (possible[0] if possible else None)


@given(life=_LIVES, first=_DAYS, cut=st.integers(0, 200), length=st.integers(0, 200))
def test_looking_twice_at_parts_finds_what_one_look_finds(life, first, cut, length):
    middle = first + timedelta(days=cut)
    last = middle + timedelta(days=length)
    parts = [*life.expected_days(first, middle), *life.expected_days(middle + timedelta(days=1), last)]
    assert parts == list(life.expected_days(first, last))
