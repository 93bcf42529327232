"""The watchdog on DOKU's HTTP API, judged from the ledger: what DOKU was not told, and what it does not answer."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection

from include.domain import watch_api_words as words
from include.domain.watch import Matter
from include.domain.watch_words import Place
from include.flows.context import FlowContext
from include.flows.notify import WORTH_TELLING
from include.ledger.notices import untold_batches
from include.ledger.status_questions import unanswered


def api_matters(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    """What is wrong with it now, where the profile uses it and `watch.server_minutes` has passed."""
    settings, minutes, now = context.profile.http, context.profile.watch.server_minutes, context.clock()
    if minutes is False:
        return
    patience = timedelta(minutes=minutes)
    if settings.notify_after_delivery:
        for one in untold_batches(connection, place.profile, now - WORTH_TELLING):
            if one.delivered_at + patience <= now:
                yield words.not_notified(
                    place, one.file_name, one.words or "", one.delivered_at, one.delivered_at + patience
                )
    asks = settings.ask_status or (context.profile.has_recurring and bool(context.profile.recurring.ask_by))
    silent = unanswered(connection, place.profile) if asks else None
    if silent is not None and silent.since + patience <= now:
        yield words.status_unanswered(place, silent.words, silent.since, silent.since + patience)
