"""The watchdog on bills: seen from the ledger alone, whatever DOKU and the merchant's database do."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from include.domain import watch_bill_words as words
from include.domain.money import for_people
from include.domain.states import BreakKind, NotificationState
from include.domain.watch import Matter
from include.domain.watch_words import Place
from include.flows.context import FlowContext
from include.flows.watch_due import next_run
from include.ledger.bill_telling import oldest_untold
from include.ledger.bill_watched import (
    break_heap,
    charged_bills,
    inbox_heap,
    last_recurring,
    unanswered_heap,
    unknown_heap,
)
from include.ledger.expectations import looks

TOLD_HERE: Final = (BreakKind.MISSING_CHARGE, BreakKind.UNEXPECTED_CHARGE)
"""Breaks that have alerts of their own."""

_NAMED: Final = 5


def bill_matters(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    """What is wrong with bills now, where the profile has any."""
    if not context.profile.has_recurring:
        return
    yield from _not_started(context, connection, place)
    yield from _inbox(context, connection, place)
    yield from _charges(context, connection, place)
    yield from _told(context, connection, place)
    waiting = unanswered_heap(connection, place.profile, context.today, _NAMED)
    if waiting is not None:
        yield words.amounts_not_known(place, waiting.count, waiting.named, waiting.oldest)


def _not_started(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    """A run that was due and did not begin, while DOKU charges bills or has told something."""
    cron, patience = context.profile.recurring.schedule, context.profile.watch.started_minutes
    if not cron or patience is False:
        return
    first_looks = [first for first, _ in looks(connection, place.profile).values()]
    since = last_recurring(connection, place.profile) or min(first_looks, default=context.clock())
    scheduled = next_run(cron, since, context.profile.zone)
    expected_by = scheduled + timedelta(minutes=patience)
    if context.clock() < expected_by:
        return
    bills = charged_bills(connection, place.profile)
    waiting = inbox_heap(connection, place.profile, NotificationState.RECEIVED, _NAMED)
    if bills or waiting:
        told = f" {waiting.count:,} notifications wait." if waiting else ""
        yield words.recurring_not_started(place, scheduled, expected_by, f"DOKU charges {bills:,} bills.{told}")


def _inbox(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    minutes = context.profile.watch.taken_in_minutes
    waiting = inbox_heap(connection, place.profile, NotificationState.RECEIVED, _NAMED)
    if minutes is not False and waiting is not None:
        by = waiting.oldest + timedelta(minutes=minutes)
        if by <= context.clock():
            yield words.notifications_waiting(place, waiting.count, waiting.oldest, by)
    failed = inbox_heap(connection, place.profile, NotificationState.FAILED, _NAMED)
    if failed is not None:
        yield words.notifications_failed(place, failed.count, failed.oldest, [int(one) for one in failed.named])


def _charges(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    profile, currency = context.profile, context.profile.limits.currencies[0]
    missing = break_heap(connection, place.profile, BreakKind.MISSING_CHARGE)
    if missing is not None:
        yield words.charges_missing(place, missing.count, for_people(missing.amount, currency), missing.oldest)
    most = profile.recurring.unexpected_most
    strange = break_heap(connection, place.profile, BreakKind.UNEXPECTED_CHARGE)
    if strange is not None and most is not False and strange.count > most:
        what = for_people(strange.amount, currency)
        yield words.charges_unexpected(place, strange.count, most, what, strange.oldest)
    elif strange is not None:
        yield from _old(context, place, strange.count, strange.oldest)
    days = profile.watch.unknown_days
    unknown = unknown_heap(connection, place.profile, _NAMED)
    if unknown is not None and days is not False:
        since = unknown.oldest + timedelta(days=days)
        if since <= context.clock():
            yield words.charges_unknown(place, unknown.count, unknown.named, unknown.oldest, since)


def _old(context: FlowContext, place: Place, count: int, oldest: datetime) -> Iterator[Matter]:
    """Few charges that nobody expected are breaks like others: told of once they are old."""
    from include.domain.watch_words import breaks_old

    days = context.profile.watch.breaks_days
    if days is not False and oldest + timedelta(days=days) <= context.clock():
        yield breaks_old(BreakKind.UNEXPECTED_CHARGE, count, oldest, oldest + timedelta(days=days), place)


def _told(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    minutes = context.profile.watch.written_back_minutes
    since = oldest_untold(connection, place.profile)
    if minutes is not False and since is not None and since + timedelta(minutes=minutes) <= context.clock():
        yield words.charges_not_told(place, since, since + timedelta(minutes=minutes))
