"""Days and moments as a person reads them."""

from datetime import date, datetime


def day(value: date) -> str:
    """20 Nov 2026."""
    return f"{value.day} {value:%b %Y}"


def weekday(value: date) -> str:
    """Fri 20 Nov 2026."""
    return f"{value:%a} {day(value)}"


def moment(at: datetime) -> str:
    """Fri 20 Nov 2026, 06:00; in the timezone that it has."""
    return f"{weekday(at)}, {at:%H:%M}"
