"""Which days of a bill's schedule DOKU should charge it on: those of its life at DOKU, from registration to its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from include.domain.bill_schedule import BillSchedule


@dataclass(frozen=True)
class BillLife:
    """A bill as DOKU has it.

    Attributes:
        registered_at: When DOKU took it.
        over_at: When it was cancelled or ended; None: it is not over.
        zone: The merchant's timezone.
        same_day_until: A bill that is registered before this local time is charged on that very day, where its schedule
            says so. DOKU does not publish it.
        first: The schedule's first day: before it the bill had another one.
    """

    schedule: BillSchedule
    registered_at: datetime
    over_at: datetime | None
    zone: ZoneInfo
    same_day_until: time = time(0)
    first: date = date.min

    def expected_days(self, first: date, last: date) -> Iterator[date]:
        """The days from `first` to `last`, both included, on which a charge must come.

        On the last day of its life DOKU may have charged it before, or not: such a day is only `possible`.
        """
        registered = self.registered_at.astimezone(self.zone)
        begins = registered.date() + timedelta(days=int(registered.time() >= self.same_day_until))
        ends = last if self._over_on is None else min(last, self._over_on - timedelta(days=1))
        yield from self.schedule.expected_days(max(first, begins, self.first), ends)

    def is_possible(self, day: date) -> bool:
        """Whether a charge of that day is the bill's own, expected or not."""
        begins = max(self.registered_at.astimezone(self.zone).date(), self.first)
        over = self._over_on is not None and day > self._over_on
        return day >= begins and not over and self.schedule.charges_on(day)

    def possible_day_of(self, day: date, match_days: int) -> date | None:
        """The latest possible day that a charge of that day may belong to."""
        days = (day - timedelta(days=back) for back in range(match_days + 1))
        return next((one for one in days if self.is_possible(one)), None)

    @property
    def _over_on(self) -> date | None:
        return None if self.over_at is None else self.over_at.astimezone(self.zone).date()
