"""What ends on a day that is known beforehand: DOKU's public keys, its host key."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from include.domain import watch_words as words
from include.domain.watch import Matter
from include.flows.context import FlowContext


def ending_soon(context: FlowContext) -> Iterator[Matter]:
    """What of the profile's settings ends within `watch.key_days`, or has ended."""
    profile = context.profile
    ahead = profile.watch.key_days
    if ahead is False:
        return
    last_key = max(profile.batch.public_keys, key=lambda key: key.valid_until)
    if (since := _since(context, last_key.valid_until, ahead)) is not None:
        yield words.key_ends(last_key.file, last_key.valid_until, since)
    until = profile.watch.host_key_until
    if until is not None and (since := _since(context, until, ahead)) is not None:
        yield words.host_key_ends(until, since)


def _since(context: FlowContext, last_day: date, ahead: float) -> datetime | None:
    """From when on people are told of a last day; None: not yet."""
    since = datetime.combine(last_day, time(), context.profile.zone) - timedelta(days=ahead)
    return since if context.clock() >= since else None
