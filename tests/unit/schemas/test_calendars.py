"""Holidays by country and year: the library, a file in its place, and cut-offs of single days."""

from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from include.domain.errors import ConfigError
from include.schemas.calendars import calendar_of, holidays_of
from include.schemas.profile import SHIPPED_CONFIG, Profile, load_profile

CHRISTMAS, JOINT_LEAVE = date(2026, 12, 25), date(2026, 12, 24)
JAKARTA = ZoneInfo("Asia/Jakarta")


def _profile(folder: Path, more: str = "") -> Profile:
    shipped = (SHIPPED_CONFIG / "profiles" / "insurance.toml").read_text(encoding="utf-8")
    (folder / "insurance.toml").write_text(f"{shipped}\n{more}", encoding="utf-8")
    return load_profile(folder / "insurance.toml")


def _file(folder: Path, text: str, name: str = "ID-2026") -> None:
    (folder / "calendars").mkdir(exist_ok=True)
    (folder / "calendars" / f"{name}.toml").write_text(text, encoding="utf-8")


def test_the_shipped_year_has_the_joint_leave_days_too(tmp_path):
    found = holidays_of(_profile(tmp_path), [2026])
    assert {CHRISTMAS, JOINT_LEAVE, date(2026, 8, 17)} <= found
    assert {day.year for day in found} == {2026}


def test_other_years_come_from_the_library(tmp_path):
    found = holidays_of(_profile(tmp_path), [2027, 2028])
    assert {date(2027, 8, 17), date(2028, 8, 17), date(2027, 1, 1)} <= found


def test_a_file_takes_the_place_of_a_year(tmp_path):
    _file(
        tmp_path,
        'country = "ID"\nyear = 2026\nsource = "ours"\nholidays = [{ day = 2026-11-23, name = "Ours" }]\n'
        'cutoffs = [{ day = 2026-11-24, at = 12:00:00, why = "DOKU said so" }]\n',
    )
    profile = _profile(tmp_path, "[calendar]\nexecute_on_holidays = false\n")
    assert holidays_of(profile, [2026]) == {date(2026, 11, 23)}
    calendar = calendar_of(profile, [2026])
    assert calendar.cutoff_of(date(2026, 11, 24)) == datetime.combine(date(2026, 11, 24), time(12), JAKARTA)
    assert calendar.cutoff_of(date(2026, 11, 25)) == datetime.combine(date(2026, 11, 25), time(21), JAKARTA)
    at_one = datetime(2026, 11, 23, 13, tzinfo=JAKARTA)
    assert calendar.execute_date(date(2026, 11, 23), at_one) == date(2026, 11, 24)
    assert calendar.execute_date(date(2026, 11, 23), at_one.replace(day=24)) == date(2026, 11, 25)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('country = "ID"\nyear = 2027\nsource = "x"', "make country and year the file's name"),
        ('country = "SG"\nyear = 2026\nsource = "x"', "make country and year the file's name"),
        ('country = "ID"\nyear = 2026\nsource = "x"\nholidays = [{ day = 2027-01-01, name = "y" }]', "not in 2026"),
        ('country = "ID"\nyear = 2026', "missing"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, text, words):
    _file(tmp_path, text)
    with pytest.raises(ConfigError, match=words):
        holidays_of(_profile(tmp_path), [2026])


def test_a_country_that_nobody_knows_wants_a_file(tmp_path):
    with pytest.raises(ConfigError, match=r"write calendars/QQ-2026\.toml"):
        holidays_of(_profile(tmp_path, '[calendar]\ncountry = "QQ"\n'), [2026])


def test_weekends_may_be_kept_free(tmp_path):
    profile = _profile(tmp_path, '[calendar]\nexecute_weekdays = ["mon", "tue", "wed", "thu", "fri"]\n')
    friday_late = datetime(2026, 11, 20, 22, tzinfo=JAKARTA)
    assert calendar_of(profile, [2026]).execute_date(date(2026, 11, 20), friday_late) == date(2026, 11, 23)
