"""Who wants which bills, and what happens to them and around them in the month, by a seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cached_property
from random import Random
from typing import Final

from tests.history.world import chance

FIRST_DAY: Final = date(2026, 3, 1)
MONTH: Final = 31
AFTERWARDS: Final = 3
"""Days after the month, in which what was lost at its end is found."""

JAKARTA: Final = timezone(timedelta(hours=7))
ONE_DAY: Final = timedelta(days=1)
WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

DONATION: Final = "donation"
INTERNET: Final = "internet"

HOURS: Final = (time(0, 35), time(5, 17), time(8, 41), time(13, 22), time(19, 47), time(23, 10))
"""When the merchant's runs may begin; each day has some of them."""

LATE_IN_THE_SECOND: Final = 999_999
"""Microseconds of a run's moment: what the journals note of the same second was before it."""

CHANGE_OF_CARD: Final = time(10, 0)
LOOKED_AHEAD: Final = 10
"""Days before a charge's day from which on its amount may be known."""


@dataclass(frozen=True)
class Amount:
    """What the merchant's view says of one day of a varying bill.

    Attributes:
        known: The day since when it says so; None: never.
        changed: The day since when it says `other`; None: it does not change.
        back: The day since when it says the first amount again.
    """

    day: date
    amount: int
    known: date | None
    changed: date | None = None
    other: int | None = None
    back: date | None = None

    def on(self, day: date) -> int | None:
        """What the view says on a day."""
        if self.known is None or day < self.known:
            return None
        if self.changed is not None and day >= self.changed and (self.back is None or day < self.back):
            return self.other
        return self.amount


@dataclass(frozen=True)
class Wish:
    """A bill as the merchant wants it.

    Attributes:
        amount: None: it varies.
        kind: day, date or dates; with `on` and `months` as the merchant's view has them.
        listed: The day since when the view lists it.
        unwanted: The day since when the view says cancelled.
        changed, other: The day since when the amount is another one.
        cards: Days on which the customer goes to give another card.
    """

    number: str
    customer_id: str
    amount: int | None
    kind: str
    on: str
    months: str | None
    starts: date
    ends: date | None
    listed: date
    unwanted: date | None = None
    changed: date | None = None
    other: int | None = None
    cards: tuple[date, ...] = ()

    def amount_on(self, day: date) -> int | None:
        """The amount that the view lists on a day."""
        return self.other if self.changed is not None and day >= self.changed else self.amount

    def charged_on(self, day: date) -> bool:
        """Whether the schedule names that day."""
        if day < self.starts or (self.ends is not None and day > self.ends):
            return False
        if self.kind == "dates":
            return day.isoformat() in self.on.split(",")
        if self.months and MONTHS[day.month - 1] not in self.months.split(","):
            return False
        named = str(day.day) if self.kind == "date" else WEEKDAYS[day.weekday()]
        return named in self.on.split(",")

    @cached_property
    def schedule(self) -> tuple[date, ...]:
        """All its days from the month's first on, until an amount can be asked for no more."""
        return tuple(day for day in _from_first(MONTH + AFTERWARDS + LOOKED_AHEAD + 1) if self.charged_on(day))


@dataclass(frozen=True)
class Weather:
    """What goes wrong at DOKU and on the way on one day.

    Attributes:
        share: Of all occasions for a fault.
        cut_signed: Cut notifications carry the signature of what is left.
        delay: Seconds of a delayed notification.
        new_id: Repeated ones have another Request-Id.
        late: Days of a late charge: it is missing before it comes, or not.
    """

    share: float
    cut_signed: bool
    delay: int
    new_id: bool
    late: int


@dataclass(frozen=True)
class World:
    """One merchant's month.

    Attributes:
        name: Of the profile.
        bills: By billing number.
        amounts: By billing number and day.
        runs: Moments at which the merchant's DAG runs.
        deaf: Times in which the notification paths do not answer.
    """

    seed: int
    name: str
    share: float
    bills: dict[str, Wish] = field(default_factory=dict)
    amounts: dict[tuple[str, date], Amount] = field(default_factory=dict)
    runs: tuple[datetime, ...] = ()
    deaf: tuple[tuple[datetime, datetime], ...] = ()

    @property
    def first_day(self) -> date:
        """The first day of the month."""
        return FIRST_DAY

    def weather(self, day: date) -> Weather:
        """What goes wrong on a day; the last ones are calm."""
        rng = chance(self.seed, self.name, "weather", day)
        calm = day >= FIRST_DAY + timedelta(days=MONTH)
        return Weather(
            0.0 if calm else self.share, rng.random() < 0.5, rng.choice((7_200, 50_000, 150_000)), rng.random() < 0.5,
            rng.choice((1, 2, 3)),
        )  # fmt: skip

    def is_deaf(self, moment: datetime) -> bool:
        """Whether a notification finds nobody."""
        return any(first <= moment < last for first, last in self.deaf)

    def runs_on(self, day: date) -> list[datetime]:
        """The runs of a day."""
        return [run for run in self.runs if local_day(run) == day]


def days() -> list[date]:
    """All days that are played."""
    return list(_from_first(MONTH + AFTERWARDS))


def at(day: date, moment: time, microsecond: int = 0) -> datetime:
    """A local moment, in UTC."""
    return datetime.combine(day, moment, JAKARTA).replace(microsecond=microsecond).astimezone(UTC)


def local_day(moment: datetime) -> date:
    """The day in Jakarta."""
    return moment.astimezone(JAKARTA).date()


def world(seed: int, name: str, bills: int, share: float, runs: Sequence[int]) -> World:
    """A merchant with so many bills.

    Args:
        share: Of all occasions for a fault, that on which there is one.
        runs: How often the DAG may run on a day.
    """
    made = World(seed, name, share, runs=tuple(_runs(seed, runs)), deaf=tuple(_deaf(seed)))
    for number in range(bills):
        one = _wish(seed, name, number)
        made.bills[one.number] = one
        if one.amount is None:
            made.amounts.update({(one.number, day): _amount(seed, one, day) for day in one.schedule})
    return made


def _from_first(count: int) -> Iterator[date]:
    return (FIRST_DAY + timedelta(days=number) for number in range(count))


def _runs(seed: int, counts: Sequence[int]) -> Iterator[datetime]:
    """Some each day; on two days the merchant's machines stand still."""
    rng = chance(seed, "runs")
    still = {FIRST_DAY + timedelta(days=rng.randrange(4, 15)), FIRST_DAY + timedelta(days=rng.randrange(16, 28))}
    for day in days():
        hours = sorted(rng.sample(HOURS, rng.choice(counts)))
        if day in (FIRST_DAY, days()[-1]):
            hours = sorted({*hours, HOURS[1], HOURS[-1]})
        yield from (at(day, hour, LATE_IN_THE_SECOND) for hour in hours if day not in still)


def _deaf(seed: int) -> Iterator[tuple[datetime, datetime]]:
    """Three mornings: shorter than the first retry, than the second, and than none."""
    rng = chance(seed, "deaf")
    first = sorted(rng.sample(range(3, MONTH - 3), 3))
    for number, hours in zip(first, rng.sample((0.4, 5.0, 14.0), 3), strict=True):
        begins = at(FIRST_DAY + timedelta(days=number), time(6, rng.randrange(5, 50)))
        yield begins, begins + timedelta(hours=hours)


def _wish(seed: int, name: str, number: int) -> Wish:
    rng = chance(seed, name, "bill", number)
    letter = name[0].upper()
    listed = FIRST_DAY if rng.random() < 0.85 else FIRST_DAY + timedelta(days=rng.randrange(1, 20))
    kind, on = _schedule(rng.choices(("date", "day", "dates"), (70, 15, 15))[0], rng)
    starts = FIRST_DAY if rng.random() < 0.8 else FIRST_DAY + timedelta(days=rng.randrange(0, 20))
    ends = starts + timedelta(days=rng.randrange(3, 30)) if rng.random() < 0.15 else None
    months = rng.choice((None, None, None, "MAR", "APR", "MAR,APR,SEP")) if kind != "dates" else None
    varies = name == INTERNET and rng.random() < 0.75
    amount = None if varies else rng.randrange(10, 400) * 1_000
    changed = FIRST_DAY + timedelta(days=rng.randrange(3, 25)) if amount and rng.random() < 0.06 else None
    unwanted = listed + timedelta(days=rng.choice((0, 1, 1, *range(4, 25)))) if rng.random() < 0.12 else None
    cards = tuple(
        sorted(FIRST_DAY + timedelta(days=rng.randrange(2, 28)) for _ in range(rng.choice((0, 0, 0, 0, 1, 2))))
    )
    return Wish(
        number=f"{letter}{seed % 100:02}{number:07}", customer_id=f"K{letter}{number:07}", amount=amount, kind=kind,
        on=on, months=months, starts=starts, ends=ends, listed=listed, unwanted=unwanted, changed=changed,
        other=amount + 5_000 if changed and amount else None, cards=cards,
    )  # fmt: skip


def _schedule(kind: str, rng: Random) -> tuple[str, str]:
    if kind == "day":
        return kind, rng.choice(("MON", "TUE", "THU", "FRI", "SUN", "MON,THU", "MON,TUE"))
    if kind == "date":
        return kind, ",".join(map(str, sorted(rng.sample(range(1, 29), rng.choice((1, 1, 1, 2))))))
    some = sorted(rng.sample(range(1, MONTH + 5), rng.choice((1, 2, 3))))
    return kind, ",".join((FIRST_DAY + timedelta(days=one)).isoformat() for one in some)


def _amount(seed: int, one: Wish, day: date) -> Amount:
    rng = chance(seed, "amount", one.number, day)
    amount = rng.randrange(150, 900) * 1_000
    fate = rng.random()
    known = None if fate < 0.03 else day + ONE_DAY if fate < 0.06 else day - timedelta(days=rng.randrange(0, 7))
    changed = day + timedelta(days=rng.choice((1, 1, 2, 4))) if 0.06 <= fate < 0.12 else None
    back = changed + timedelta(days=3) if changed and rng.random() < 0.4 else None
    return Amount(day, amount, known, changed, None if fate > 0.115 else amount + 10_000, back)
