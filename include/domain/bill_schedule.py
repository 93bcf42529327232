"""On which days DOKU charges a bill: a pure function of what was registered.

DOKU's three kinds [LEG]: weekdays (DAY: SUN..SAT), days of the month (DATE: 1..28; 29 to 31 are not allowed), a list of
dates (FULLDATE); the first two may be limited to some months. The first and the last day of the bill bound all of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, TypeVar

from include.domain.states import ScheduleKind

_One = TypeVar("_One", int, date)

WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
"""In the order of `date.weekday`."""

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
LAST_DATE: Final = 28
_LONGEST_PAUSE: Final = timedelta(days=400)
"""More than any two charged days can lie apart: a bill is charged in at least one month of each year."""


@dataclass(frozen=True)
class BillSchedule:
    """When a bill is charged.

    Attributes:
        weekdays: 0 (Monday) .. 6, of kind `day`.
        days: 1..28, of kind `date`.
        dates: Of kind `dates`.
        months: 1..12; all of them where the bill names none.
        starts_on: The first day on which it may be charged.
        ends_on: The last one; None: no end.
    """

    kind: ScheduleKind
    starts_on: date
    ends_on: date | None = None
    weekdays: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    dates: frozenset[date] = frozenset()
    months: frozenset[int] = frozenset(range(1, 13))

    @classmethod
    def read(cls, kind: str, on: str, months: str | None, starts_on: date, ends_on: date | None) -> "BillSchedule":
        """Read a schedule as the merchant's view and the ledger have it.

        Args:
            kind: day, date or dates.
            on: `MON,THU`; `1,15`; `2026-01-31,2026-02-28`.
            months: `JAN,JUL`; None or empty: every month.

        Raises:
            ValueError: What is wrong with it, in words.
        """
        known = _known(ScheduleKind, kind)
        if ends_on is not None and ends_on < starts_on:
            raise ValueError(f"ends_on {ends_on} is before starts_on {starts_on}")
        named = _read_list(months or "", lambda text: _index(MONTHS, text) + 1, "a month (JAN..DEC)")
        if known is ScheduleKind.DATES:
            if named:
                raise ValueError("a list of dates names its months itself; leave months empty")
            return cls(known, starts_on, ends_on, dates=_some(_read_list(on, date.fromisoformat, "an ISO date")))
        within = named or frozenset(range(1, 13))
        if known is ScheduleKind.DAY:
            weekdays = _read_list(on, lambda text: _index(WEEKDAYS, text), "a weekday (MON..SUN)")
            return cls(known, starts_on, ends_on, weekdays=_some(weekdays), months=within)
        days = _read_list(on, _day_of_month, f"a day of the month (1..{LAST_DATE})")
        return cls(known, starts_on, ends_on, days=_some(days), months=within)

    @property
    def on_text(self) -> str:
        """`schedule_on` in the one form in which it is stored and compared."""
        if self.kind is ScheduleKind.DAY:
            return ",".join(WEEKDAYS[day] for day in sorted(self.weekdays))
        if self.kind is ScheduleKind.DATE:
            return ",".join(str(day) for day in sorted(self.days))
        return ",".join(day.isoformat() for day in sorted(self.dates))

    @property
    def months_text(self) -> str | None:
        """`months` likewise; None for every month."""
        return None if len(self.months) == len(MONTHS) else ",".join(MONTHS[one - 1] for one in sorted(self.months))

    def charges_on(self, day: date) -> bool:
        """Whether the bill is charged on that day."""
        if day < self.starts_on or (self.ends_on is not None and day > self.ends_on):
            return False
        if self.kind is ScheduleKind.DATES:
            return day in self.dates
        if day.month not in self.months:
            return False
        return day.weekday() in self.weekdays if self.kind is ScheduleKind.DAY else day.day in self.days

    def expected_days(self, first: date, last: date) -> Iterator[date]:
        """The days from `first` to `last`, both included, on which the bill is charged, in order."""
        first = max(first, self.starts_on)
        last = last if self.ends_on is None else min(last, self.ends_on)
        if self.kind is ScheduleKind.DATES:
            yield from sorted(day for day in self.dates if first <= day <= last)
            return
        for number in range((last - first).days + 1):
            if self.charges_on(day := first + timedelta(days=number)):
                yield day

    def next_after(self, day: date) -> date | None:
        """The first expected day after that day; None: there is none any more."""
        after = max(day + timedelta(days=1), self.starts_on)
        until = max(self.dates, default=after) if self.kind is ScheduleKind.DATES else after + _LONGEST_PAUSE
        return next(self.expected_days(after, until), None)

    def expected_day_of(self, day: date, match_days: int) -> date | None:
        """The expected day that a charge of that day belongs to: the latest that is not after it, nor too long before.

        Args:
            day: The local day of DOKU's transaction.
            match_days: How many days a charge may come after its expected day (`recurring.match_days`).
        """
        return max(self.expected_days(day - timedelta(days=match_days), day), default=None)


def _known(kinds: type[ScheduleKind], text: str) -> ScheduleKind:
    try:
        return kinds(text.strip().lower())
    except ValueError:
        raise ValueError(f"schedule {text!r} is none of {', '.join(kinds)}") from None


def _read_list(text: str, read: Callable[[str], _One], what: str) -> frozenset[_One]:
    found: set[_One] = set()
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        try:
            found.add(read(part))
        except ValueError:
            raise ValueError(f"{part!r} is not {what}") from None
    return frozenset(found)


def _some(found: frozenset[_One]) -> frozenset[_One]:
    if not found:
        raise ValueError("schedule_on names no day")
    return found


def _index(names: tuple[str, ...], text: str) -> int:
    return names.index(text.upper())


def _day_of_month(text: str) -> int:
    day = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= day <= LAST_DATE:
        raise ValueError(text)
    return day
