"""Public holidays and cut-offs of single days, by country and year: from a file, else from a library.

The library `holidays` is well kept and knows the moving feasts, some only as estimated; the government's decree for a
year comes late in the year before. A file for a year takes the library's place whole.
"""

from collections.abc import Iterable
from datetime import date, time
from functools import cache
from typing import Annotated

from pydantic import Field, model_validator

from include.domain.calendar import Calendar
from include.domain.errors import ConfigError
from include.schemas.profile import Profile
from include.schemas.strict import StrictModel


class Holiday(StrictModel):
    """One public holiday."""

    day: date
    name: Annotated[str, Field(min_length=1)]


class Cutoff(StrictModel):
    """Another cut-off than the profile's `batch.cutoff`, for one day."""

    day: date
    at: time
    why: Annotated[str, Field(min_length=1)]


class CalendarYear(StrictModel):
    """The file `calendars/<country>-<year>.toml`."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    year: Annotated[int, Field(ge=2000, le=2200)]
    source: Annotated[str, Field(min_length=1)] = Field(description="Decree or page that it was taken from")
    holidays: tuple[Holiday, ...] = ()
    cutoffs: tuple[Cutoff, ...] = ()

    @model_validator(mode="after")
    def _within_the_year(self) -> "CalendarYear":
        named = [*(one.day for one in self.holidays), *(one.day for one in self.cutoffs)]
        strange = [str(day) for day in named if day.year != self.year]
        if strange:
            raise ValueError(f"not in {self.year}: {', '.join(strange)}")
        return self


def calendar_of(profile: Profile, years: Iterable[int]) -> Calendar:
    """The profile's calendar for some years.

    Raises:
        ConfigError: A file cannot be used, or nobody knows the country's holidays.
    """
    listed = sorted(set(years))
    cutoffs = {one.day: one.at for year in listed for one in _file_of(profile, year).cutoffs}
    kept_free = frozenset[date]() if profile.calendar.execute_on_holidays else holidays_of(profile, listed)
    days = profile.calendar.execute_days(kept_free)
    return Calendar(profile.zone, profile.batch.cutoff, days, cutoffs)


def holidays_of(profile: Profile, years: Iterable[int]) -> frozenset[date]:
    """Public holidays of the profile's country in some years. Raises as `calendar_of`."""
    found: set[date] = set()
    for year in years:
        path = profile.calendar_path(year)
        if path is None:
            found |= _library(profile.calendar.country, year, str(profile.file))
        else:
            found |= {one.day for one in _file_of(profile, year).holidays}
    return frozenset(found)


def _file_of(profile: Profile, year: int) -> CalendarYear:
    path, country = profile.calendar_path(year), profile.calendar.country
    if path is None:
        return CalendarYear(country=country, year=year, source="none")
    file = CalendarYear.from_toml_file(path)
    if (file.country, file.year) != (country, year):
        raise ConfigError(
            str(path), "year", f"is for {file.country} {file.year}; make country and year the file's name"
        )
    return file


@cache
def _library(country: str, year: int, origin: str) -> frozenset[date]:
    import holidays

    try:
        return frozenset(holidays.country_holidays(country, years=year))
    except NotImplementedError:
        reason = f"nobody knows the holidays of {country!r}; write calendars/{country}-{year}.toml beside the profiles"
        raise ConfigError(origin, "calendar.country", reason) from None
