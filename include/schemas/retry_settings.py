"""Settings of a profile for the next attempt and for the calendar."""

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from include.domain.calendar import AllowedDays, AttemptDays
from include.domain.invoice_numbers import MAX_ATTEMPT_NO
from include.schemas.strict import StrictModel

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
EVERY_DAY: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekdays = Annotated[tuple[Weekday, ...], Field(min_length=1)]


class CalendarSettings(StrictModel):
    """Which holidays there are, and on which days DOKU is asked to charge."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = Field(
        default="ID",
        description="Public holidays: from calendars/<country>-<year>.toml, else from the library `holidays`",
    )
    execute_weekdays: Weekdays = Field(
        default=EVERY_DAY, description="Days that may be execute dates; assumed: DOKU charges on every day"
    )
    execute_on_holidays: bool = Field(default=True, description="Public holidays may be execute dates; assumed")

    def execute_days(self, holidays: frozenset[date]) -> AllowedDays:
        """Days that may be execute dates."""
        return _allowed(self.execute_weekdays, holidays, self.execute_on_holidays)


class Caps(StrictModel):
    """Most tries on one token. None: as in retry_rules.toml."""

    visa_30_days: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="Visa, one amount in 30 days: 15; since May 2025 Visa allows 20"
    )
    mastercard_24_hours: Annotated[int, Field(ge=1, le=10)] | None = Field(
        default=None, description="Mastercard, one amount in 24 hours: 10"
    )
    mastercard_30_days: Annotated[int, Field(ge=1, le=35)] | None = Field(
        default=None, description="Mastercard, one amount in 30 days: 35"
    )

    def figures(self) -> dict[str, int]:
        """Those that are set, by cap id."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class Retry(StrictModel):
    """When a declined charge is tried again. What each code allows stands in retry_rules.toml."""

    enabled: bool = Field(
        default=False,
        description="false: only when the view asks by attempt_no; caps and never-again rules still apply",
    )
    spacing_days: Annotated[tuple[Annotated[int, Field(ge=1, le=90)], ...], Field(min_length=1)] = Field(
        default=(1, 3, 5, 7), description="Days to the next try, after the first, second, ...; the last one goes on"
    )
    max_per_charge: Annotated[int, Field(ge=1, le=MAX_ATTEMPT_NO)] = Field(
        default=4, description="Most tries of a charge, the first one too"
    )
    max_per_period: Annotated[int, Field(ge=1)] = Field(
        default=4,
        description="Most tries under one billing number in a billing period: the due date's month, unless mapped",
    )
    few: Annotated[int, Field(ge=0, le=MAX_ATTEMPT_NO)] = Field(
        default=2, description="Most tries again after a code for which another seldom helps (few in codes.toml)"
    )
    pay_days: tuple[Annotated[int, Field(ge=1, le=31)], ...] = Field(
        default=(), description="Days of the month for rules with pay_day; a shorter month's last day; empty: any day"
    )
    weekdays: Weekdays = Field(default=EVERY_DAY, description="Days on which a charge may be tried again")
    on_holidays: bool = Field(default=False, description="Whether on public holidays too")
    caps: Caps = Field(default_factory=Caps)

    @field_validator("pay_days", "weekdays")
    @classmethod
    def _each_once(cls, days: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(days)) < len(days):
            raise ValueError("names a day twice")
        return days

    def attempt_days(self, holidays: frozenset[date]) -> AttemptDays:
        """Days on which a charge may be tried again."""
        return AttemptDays(_allowed(self.weekdays, holidays, self.on_holidays), frozenset(self.pay_days))


def _allowed(weekdays: tuple[Weekday, ...], holidays: frozenset[date], on_holidays: bool) -> AllowedDays:
    return AllowedDays(frozenset(EVERY_DAY.index(day) for day in weekdays), holidays, on_holidays)
