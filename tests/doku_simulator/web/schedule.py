"""When a bill is due: weekdays, days of the month, or single days; by month, from a first day to a last one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
LOOK_AHEAD: Final = 800
"""Days within which a schedule that goes on is due again: a year and a leap day, twice."""


@dataclass(frozen=True)
class Schedule:
    """One bill's days.

    Attributes:
        kind: DAY, DATE or FULLDATE.
        on: Weekdays (SUN..SAT), days of the month (1..28), or days (yyyyMMdd), by kind.
        months: Empty: all; not looked at for FULLDATE.
    """

    kind: str
    on: tuple[str, ...]
    months: tuple[str, ...]
    start: date
    end: date | None

    @classmethod
    def read(cls, kind: Any, on: Any, months: Any, start: Any, end: Any) -> "Schedule":
        """From what a merchant sent: lists, or texts with commas; days as yyyyMMdd or yyyy-MM-dd.

        Raises:
            ValueError: Not a schedule.
        """
        kind = {"DATES": "FULLDATE"}.get(str(kind).upper(), str(kind).upper())
        first, last = read_day(start), None if end in (None, "", "NA") else read_day(end)
        days = _items(on)
        if kind == "DAY":
            good = all(day in WEEKDAYS for day in days)
        elif kind == "DATE":
            days = tuple(str(int(day)) if day.isdigit() else day for day in days)
            good = all(day.isdigit() and 1 <= int(day) <= 28 for day in days)
        elif kind == "FULLDATE":
            days = tuple(f"{read_day(day):%Y%m%d}" for day in days)
            good = True
        else:
            raise ValueError("execute type must be DAY, DATE or FULLDATE")
        if not days or not good:
            raise ValueError(f"execute date does not fit execute type {kind}")
        if last is not None and last < first:
            raise ValueError("end date is before start date")
        named = _items(months)
        if not all(month in MONTHS for month in named):
            raise ValueError("execute month must be JAN to DEC")
        return cls(kind, days, named, first, last)

    def due(self, day: date) -> bool:
        if day < self.start or (self.end is not None and day > self.end):
            return False
        if self.kind == "FULLDATE":
            return f"{day:%Y%m%d}" in self.on
        if self.months and MONTHS[day.month - 1] not in self.months:
            return False
        return str(day.day) in self.on if self.kind == "DATE" else WEEKDAYS[day.weekday()] in self.on

    def next(self, day: date) -> date | None:
        """The first due day from that day on, or None: there is none any more."""
        if self.kind == "FULLDATE":
            days = (read_day(one) for one in sorted(self.on))
            return next((one for one in days if one >= day and self.due(one)), None)
        first = max(day, self.start)
        return next((one for one in _days(first, LOOK_AHEAD) if self.due(one)), None)


def read_day(value: Any) -> date:
    """A day as yyyyMMdd or yyyy-MM-dd, or as the layout reader gives it.

    Raises:
        ValueError: Not a day.
    """
    if isinstance(value, date):
        return value
    text = str(value).replace("-", "")
    if len(text) != 8:
        raise ValueError(f"{value!r} is not a day")
    return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone


def _items(value: Any) -> tuple[str, ...]:
    if value in (None, "", "NA"):
        return ()
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    return tuple(str(item).strip().upper() for item in items)


def _days(first: date, count: int) -> Iterable[date]:
    return (first + timedelta(days=number) for number in range(count))
