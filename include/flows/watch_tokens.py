"""The watchdog on tokens: whether a run that was due has come to its end. Seen from the ledger alone."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection

from include.domain.states import RunKind, RunState
from include.domain.watch import Matter
from include.domain.watch_token_words import tokens_old
from include.domain.watch_words import Place
from include.flows.context import FlowContext
from include.flows.watch_due import next_run
from include.ledger.expectations import looks
from include.ledger.runs import last_run


def token_matters(context: FlowContext, connection: Connection, place: Place) -> Iterator[Matter]:
    """What is wrong with tokens now, where the profile asks for any; a brake that waits for a person is, too."""
    cron, patience = context.profile.schedule.tokens, context.profile.watch.tokens_hours
    if not context.profile.has_tokens or not cron or patience is False:
        return
    ended = last_run(connection, place.profile, RunKind.TOKENS, RunState.CLOSED)
    first_looks = [first for first, _ in looks(connection, place.profile).values()]
    since = ended.opened_at if ended else min(first_looks, default=context.clock())
    scheduled = next_run(cron, since, context.profile.zone)
    expected_by = scheduled + timedelta(hours=patience)
    if expected_by <= context.clock():
        yield tokens_old(place, ended.opened_at if ended else None, scheduled, expected_by)
