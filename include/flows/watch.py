"""The watchdog: one look at everything that could be silent, judged from the ledger and the billing database.

It is not the DAGs that it watches, and it runs without Airflow too. It sends no charge and takes no report in; the one
thing that it mends is a delivery that was unknown, when the server shows the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from include.domain import watch_words as words
from include.domain.states import ALARMS, UNRESOLVED
from include.domain.watch import (
    BY_SERVER,
    Kind,
    Ladder,
    Ladders,
    Level,
    Matter,
    Watcher,
    channels_of,
    judge,
)
from include.domain.watch_words import Place
from include.flows.context import FlowContext
from include.flows.watch_api import api_matters
from include.flows.watch_batches import late_stages
from include.flows.watch_bills import TOLD_HERE, bill_matters
from include.flows.watch_due import missing_run
from include.flows.watch_server import ask_server
from include.flows.watch_settings import ending_soon
from include.flows.watch_tell import Send, tell_alerts
from include.flows.watch_tokens import token_matters
from include.ledger.alerts import (
    Shown,
    add_notices,
    channels_told,
    clear_alert,
    keep_alert,
    open_alert,
    open_alerts,
    shown_alerts,
)
from include.ledger.break_life import breaks_in
from include.ledger.expectations import looks, note_look
from include.ledger.store import lock
from include.ledger.watched import break_piles, quarantine_pile, refused_reports, unknown_outcomes
from include.schemas.profile import Watch

_NAMED: Final = 5
"""How many unknown attempts an alert names; once they are settled it names the next."""


@dataclass(frozen=True)
class Looked:
    """What a look came to.

    Attributes:
        alerts: The alerts that are open now.
        told: How many notices were sent.
        problems: What kept the watchdog from telling, in words.
    """

    alerts: tuple[Shown, ...]
    told: int
    problems: tuple[str, ...]


def watch(context: FlowContext, watcher: Watcher, send: Send) -> Looked:
    """Look at everything of a profile once, keep what is wrong, and tell people what they were not told yet.

    Args:
        send: Sends a notice through a channel.

    Raises:
        LedgerError: The ledger cannot be used; nothing was judged.
    """
    place = Place(context.profile.name, context.profile.zone)
    seen = ask_server(context)
    missing = missing_run(context, place)
    context.step("watch: before what was found is kept")
    with context.ledger.write() as connection:
        lock(connection, f"watch:{place.profile}")
        note_look(connection, place.profile, watcher, context.clock())
        matters = [*late_stages(context, connection, place, seen), *_standing(context, connection, place, watcher)]
        if missing is not None:
            matters.append(missing)
        _keep(context, connection, matters, BY_SERVER if seen.problem is not None else frozenset())
    context.step("watch: what was found is kept")
    told, problems = tell_alerts(context, send)
    with context.ledger.read() as connection:
        return Looked(tuple(shown_alerts(connection, place.profile)), told, tuple(problems))


def ladders_of(settings: Watch) -> Ladders:
    """How soon a matter rises, by the profile."""
    return Ladders(
        quick=Ladder(
            timedelta(minutes=settings.urgent_after_minutes), timedelta(minutes=settings.critical_after_minutes)
        ),
        slow=Ladder(timedelta(days=settings.urgent_after_days), timedelta(days=settings.critical_after_days)),
    )


def channels_by_level(settings: Watch) -> Mapping[Level, Sequence[str]]:
    """Who is told from which level on, by the profile."""
    return {
        Level.LATE: settings.notify,
        Level.URGENT: settings.notify_urgent,
        Level.CRITICAL: settings.notify_critical,
    }


def _standing(context: FlowContext, connection: Connection, place: Place, watcher: Watcher) -> Iterator[Matter]:
    """What lies about, what ends, and a watchdog that is silent."""
    now, profile = context.clock(), place.profile
    for refused in refused_reports(connection, profile, since=now - timedelta(days=1)):
        yield words.report_refused(place, refused.name, refused.since, refused.why)
    for one in breaks_in(connection, profile, UNRESOLVED, ALARMS):
        yield words.money_at_risk(place, one.break_id, one.kind, one.details, one.opened_at)
    yield from _old(context, connection, place)
    yield from api_matters(context, connection, place)
    yield from bill_matters(context, connection, place)
    yield from token_matters(context, connection, place)
    yield from ending_soon(context)
    yield from _silent_watchers(context, connection, place, watcher)


def _old(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    settings, now = context.profile.watch, context.clock()
    if settings.breaks_days is not False:
        for pile in break_piles(connection, place.profile, without=(*ALARMS, *TOLD_HERE)):
            since = pile.oldest + timedelta(days=settings.breaks_days)
            if since <= now:
                yield words.breaks_old(pile.what, pile.count, pile.oldest, since, place)
    waiting = quarantine_pile(connection, context.profile.billing_source, place.profile)
    if settings.quarantine_days is not False and waiting is not None:
        since = waiting.oldest + timedelta(days=settings.quarantine_days)
        if since <= now:
            yield words.quarantine_old(waiting.count, waiting.oldest, since, place)
    unknown = unknown_outcomes(connection, place.profile, name=_NAMED)
    if settings.unknown_days is not False and unknown is not None:
        since = unknown.oldest + timedelta(days=settings.unknown_days)
        if since <= now:
            yield words.outcomes_unknown(unknown.count, unknown.named, unknown.oldest, since, place)


def _silent_watchers(context: FlowContext, connection: Connection, place: Place, watcher: Watcher) -> Iterator[Matter]:
    """The other watchdog, if it has ever looked, or is expected to."""
    settings, known = context.profile.watch, looks(connection, place.profile)
    patience = {Watcher.AIRFLOW: settings.airflow_minutes, Watcher.OUTSIDE: settings.outside_minutes}
    for other, minutes in patience.items():
        if other is watcher or minutes is False or other not in known:
            continue
        _, last_at = known[other]
        by = last_at + timedelta(minutes=minutes)
        if by <= context.clock():
            yield words.watch_silent(place, other, last_at, by)


def _keep(context: FlowContext, connection: Connection, matters: list[Matter], unseen: frozenset[Kind]) -> None:
    settings, now, profile = context.profile.watch, context.clock(), context.profile.name
    by_level = channels_by_level(settings)
    verdict = judge(open_alerts(connection, profile), matters, ladders_of(settings), now, unseen=unseen)
    for matter, level in verdict.opened:
        alert_id = open_alert(connection, profile, matter, level, now)
        add_notices(connection, alert_id, level, channels_of(level, by_level), now)
    for known, matter, level in verdict.still:
        keep_alert(connection, known, matter, level, now)
        if level > known.level:
            add_notices(connection, known.alert_id, level, channels_of(level, by_level), now)
    for known in verdict.over:
        clear_alert(connection, known, now)
        add_notices(connection, known.alert_id, Level.OVER, channels_told(connection, known.alert_id), now)
