"""Days: which business date a run works for, and on which day DOKU is asked to charge."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

EVERY_DAY: Final = frozenset(range(7))
"""Weekdays as `date.weekday` counts them, Monday is 0."""


def local_date(moment: datetime, zone: ZoneInfo) -> date:
    """The merchant's calendar day at a moment. ValueError for a moment without a timezone."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a timezone")
    return moment.astimezone(zone).date()


@dataclass(frozen=True)
class AllowedDays:
    """Days on which something may be done.

    Attributes:
        weekdays: 0 (Monday) .. 6 (Sunday); never empty.
        holidays: Public holidays.
        on_holidays: Whether it may be done on those.
    """

    weekdays: Collection[int] = EVERY_DAY
    holidays: Collection[date] = frozenset()
    on_holidays: bool = True

    def allows(self, day: date) -> bool:
        """Whether it may be done on that day."""
        return day.weekday() in self.weekdays and (self.on_holidays or day not in self.holidays)

    def first_from(self, day: date) -> date:
        """The first allowed day, from that day on."""
        while not self.allows(day):
            day += timedelta(days=1)
        return day


@dataclass(frozen=True)
class Calendar:
    """When DOKU is asked to charge.

    Attributes:
        zone: The profile's timezone.
        cutoff: Local time; a file that arrives at or after it is charged the day after (assumed; a setting).
        days: Days that may be execute dates.
        cutoffs: Other cut-offs of single days.
    """

    zone: ZoneInfo
    cutoff: time
    days: AllowedDays = field(default_factory=AllowedDays)
    cutoffs: Mapping[date, time] = field(default_factory=dict)

    def cutoff_of(self, execute_date: date) -> datetime:
        """The moment until which a batch for that execute date must be delivered."""
        return datetime.combine(execute_date, self.cutoffs.get(execute_date, self.cutoff), tzinfo=self.zone)

    def execute_date(self, business_date: date, now: datetime) -> date:
        """The day on which DOKU is asked to charge what is claimed now.

        Never before the business date and never in the past: the first day that may be an execute date, from the later
        of both on, whose cut-off is still to come.

        Args:
            business_date: The day the run works for.
            now: A moment with a timezone.
        """
        day = self.days.first_from(max(business_date, local_date(now, self.zone)))
        while now >= self.cutoff_of(day):
            day = self.days.first_from(day + timedelta(days=1))
        return day


def decide_execute_date(business_date: date, now: datetime, cutoff: time, zone: ZoneInfo) -> date:
    """`Calendar.execute_date` where every day may be one."""
    return Calendar(zone, cutoff).execute_date(business_date, now)


def cutoff_of(execute_date: date, cutoff: time, zone: ZoneInfo) -> datetime:
    """`Calendar.cutoff_of` where no day has a cut-off of its own."""
    return Calendar(zone, cutoff).cutoff_of(execute_date)


@dataclass(frozen=True)
class AttemptDays:
    """Days on which a charge may be tried again.

    Attributes:
        days: The days at all.
        pay_days: Days of the month on which customers have money; in a month without such a day its last day. A pay day
            that is not allowed moves to the next allowed day, so that several may become one. Empty: no such rule.
    """

    days: AllowedDays = field(default_factory=AllowedDays)
    pay_days: Collection[int] = ()

    def allows(self, day: date, *, pay_day: bool = False) -> bool:
        """Whether a charge may be tried again on that day.

        Args:
            pay_day: Only on a pay day, where there are any.
        """
        if not self.days.allows(day):
            return False
        return not (pay_day and self.pay_days) or self.is_pay_day(day)

    def first_pay_day_from(self, day: date) -> date | None:
        """The first pay day from a day on; None where two months have none."""
        days = (day + timedelta(days=number) for number in range(62))
        return next((one for one in days if self.allows(one, pay_day=True)), None)

    def is_pay_day(self, day: date) -> bool:
        """Whether a pay day falls on that allowed day, or moved to it."""
        back = day
        while back >= day - timedelta(days=31):
            if self._is_named(back):
                return True
            back -= timedelta(days=1)
            if self.days.allows(back):  # a pay day before that one moved no further than to it
                return False
        return False

    def _is_named(self, day: date) -> bool:
        last = (day + timedelta(days=1)).month != day.month
        return day.day in self.pay_days or (last and any(one > day.day for one in self.pay_days))
