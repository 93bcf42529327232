"""Days: which business date a run works for, and on which day DOKU is asked to charge."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def local_date(moment: datetime, zone: ZoneInfo) -> date:
    """The merchant's calendar day at a moment. ValueError for a moment without a timezone."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a timezone")
    return moment.astimezone(zone).date()


def decide_execute_date(business_date: date, now: datetime, cutoff: time, zone: ZoneInfo) -> date:
    """The day on which DOKU is asked to charge what is claimed now.

    Never before the business date and never in the past: the first day, from the later of both on, whose cut-off is
    still to come.

    Args:
        business_date: The day the run works for.
        now: A moment with a timezone.
        cutoff: Local time; a file that arrives at or after it is charged the day after (assumed; a setting).
        zone: The profile's timezone.
    """
    day = max(business_date, local_date(now, zone))
    return day if now < cutoff_of(day, cutoff, zone) else day + timedelta(days=1)


def cutoff_of(execute_date: date, cutoff: time, zone: ZoneInfo) -> datetime:
    """The moment until which a batch for that execute date must be delivered."""
    return datetime.combine(execute_date, cutoff, tzinfo=zone)
