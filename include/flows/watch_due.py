"""Whether a run of submit is missing while charges are due: seen from the ledger and the billing database alone."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from include.billing.due_charges import lists_any
from include.domain.errors import DokuError, LedgerUnreachable
from include.domain.money import for_people
from include.domain.watch import Kind, Matter
from include.domain.watch_words import Place, not_started
from include.flows.context import FlowContext
from include.flows.plan import plan_of
from include.ledger.alerts import Shown, shown_alerts
from include.ledger.expectations import looks
from include.ledger.watched import last_submit


def missing_run(context: FlowContext, place: Place) -> Matter | None:
    """The run that should have begun since the last one, if charges are due for it.

    What is due is found by the very code that would claim it; once people were told, a look at the view does. A run
    that began and has not claimed is told of as that, so it counts as a run; but where that is not watched, and once
    people were told that charges wait, only a claim will do.

    Raises:
        LedgerError: The ledger cannot be used.
    """
    cron, patience = context.profile.schedule.submit, context.profile.watch.started_minutes
    if not cron or patience is False or not context.profile.sends_batches:
        return None
    claims_are_watched = context.profile.watch.claimed_minutes is not False
    with context.ledger.read() as connection:
        first_looks = [first for first, _ in looks(connection, place.profile).values()]
        told = [one for one in shown_alerts(connection, place.profile) if one.kind == Kind.NOT_STARTED]
        last = last_submit(connection, place.profile, claimed=bool(told) or not claims_are_watched)
    since = last or min(first_looks, default=context.clock())  # a new profile owes nothing for the time before
    scheduled = next_run(cron, since, context.profile.zone)
    expected_by = scheduled + timedelta(minutes=patience)
    if context.clock() < expected_by:
        return None
    waiting = _still_waiting(context, told[0]) if told else _what_waits(context)
    if waiting is None:
        return None
    found = not_started(place, scheduled, expected_by, waiting)
    return replace(found, words=told[0].words) if told else found


def next_run(cron: str, after: datetime, zone: ZoneInfo) -> datetime:
    """The first scheduled moment after another, as Airflow's own timetable reads the expression."""
    from croniter import croniter

    found: datetime = croniter(cron, after.astimezone(zone)).get_next(datetime)
    return found


def _what_waits(context: FlowContext) -> str | None:
    try:
        plan = plan_of(context, context.today)
    except LedgerUnreachable:
        raise
    except DokuError as caught:
        return f"What is due cannot be said: {caught.message}"
    except Exception as caught:  # noqa: BLE001 - as it would stop the run itself; its text may hold values
        return f"What is due cannot be said: unexpected {caught.__class__.__name__}."
    if plan.count == 0:
        return None
    return f"{plan.count:,} charges, {for_people(plan.total, plan.currency)}, are due and not sent."


def _still_waiting(context: FlowContext, told: Shown) -> str | None:
    settings = context.profile.billing
    try:
        listed = lists_any(context.billing(), view=settings.view, columns=settings.columns, due_by=context.today)
    except DokuError:
        return told.words
    return told.words if listed else None
