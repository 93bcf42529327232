"""What ends on a day that is known beforehand: DOKU's public keys, its host key, the rules of re-attempts."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from include.domain import watch_words as words
from include.domain.errors import ConfigError
from include.domain.watch import Matter
from include.flows.context import FlowContext
from include.schemas.envelope import PublicKeyEntry
from include.schemas.profile import rules_path
from include.schemas.retry_rules import FILE, rules_warnings

_DAY: Final = re.compile(r"\bby (\d{4}-\d{2}-\d{2})")
_WARNED_BEFORE: Final = timedelta(days=30)


def ending_soon(context: FlowContext) -> Iterator[Matter]:
    """What of the profile's settings ends within `watch.key_days`, or has ended."""
    profile = context.profile
    ahead = profile.watch.key_days
    if ahead is False:
        return
    for keys in _public_keys(context):
        last_key = max(keys, key=lambda key: key.valid_until)
        if (since := _since(context, last_key.valid_until, ahead)) is not None:
            yield words.key_ends(last_key.file, last_key.valid_until, since)
    until = profile.watch.host_key_until
    if until is not None and (since := _since(context, until, ahead)) is not None:
        yield words.host_key_ends(until, since)
    if profile.sends_batches:
        yield from _rules(context)


def _public_keys(context: FlowContext) -> Iterator[Sequence[PublicKeyEntry]]:
    """The keys of batch files, and those of files that register bills where they have keys of their own."""
    profile = context.profile
    if profile.sends_batches:
        yield profile.batch.public_keys
    bulk = profile.recurring.bulk if profile.has_recurring else None
    if bulk is not None and bulk.public_keys:
        yield bulk.public_keys


def _rules(context: FlowContext) -> Iterator[Matter]:
    """Each day by which some of the rules are to be looked at again: caps count with retry switched off too."""
    try:
        warnings = rules_warnings(context.today, rules_path(context.profile.file.parent))
    except ConfigError as caught:
        yield words.rules_end(FILE, caught.message, context.clock())
        return
    for warning in warnings:
        due = _DAY.search(warning)
        day = date.fromisoformat(due[1]) if due else context.today
        since = datetime.combine(day, time(), context.profile.zone) - _WARNED_BEFORE
        yield words.rules_end(f"{FILE}, {day}", warning, min(since, context.clock()))


def _since(context: FlowContext, last_day: date, ahead: float) -> datetime | None:
    """From when on people are told of a last day; None: not yet."""
    since = datetime.combine(last_day, time(), context.profile.zone) - timedelta(days=ahead)
    return since if context.clock() >= since else None
