"""Outlook: what would be sent if submit ran now, what would not and why, and what could stand in its way."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from include.domain.errors import DokuError
from include.domain.money import for_people
from include.domain.states import ALARMS, BEFORE_LEAVING, UNRESOLVED, BatchState
from include.flows.context import FlowContext
from include.flows.plan import plan_of
from include.flows.recurring.terms import terms_of
from include.ledger.batches import OPEN_STATES, batches_in
from include.ledger.bill_charges import days_ahead
from include.ledger.break_life import breaks_in
from include.ledger.holds import active_holds
from include.ledger.proposals import open_proposals

_LITTLE_DISK: Final = 1 << 30
_DAYS_AHEAD: Final = 7


def outlook(context: FlowContext) -> list[str]:
    """What a run of submit meets now, a line each. What is wrong is in capitals first.

    Nothing is kept or sent; the server is looked at.
    """
    bills = list(_bills(context))
    if not context.profile.sends_batches:
        return [*bills, *_disk(context), *_open(context)]
    charges = [*_charges(context), *_cutoff(context), *_keys(context), *_server(context)]
    return [*charges, *bills, *_disk(context), *_open(context)]


def _bills(context: FlowContext) -> Iterator[str]:
    """What DOKU charges by itself, today and in the days after."""
    if not context.profile.has_recurring:
        return
    today, last = context.today, context.today + timedelta(days=_DAYS_AHEAD)
    currency = context.profile.limits.currencies[0]
    with context.ledger.read() as connection:
        days = days_ahead(connection, terms_of(context), today, last)
    for when, listed in (
        ("today", days.get(today, [])),
        (f"until {last}", [one for day in days.values() for one in day]),
    ):
        known = for_people(sum(one for one in listed if one is not None), currency)
        unknown = sum(one is None for one in listed)
        rest = f", and {unknown:,} of an amount that is not known yet" if unknown else ""
        yield f"DOKU should charge {len(listed):,} bills {when}: {known}{rest}"


def _charges(context: FlowContext) -> Iterator[str]:
    try:
        yield plan_of(context, context.today).in_words()
    except DokuError as caught:
        yield f"NOTHING WOULD BE SENT: {caught.message}"


def _cutoff(context: FlowContext) -> Iterator[str]:
    now = context.clock()
    day = context.calendar.execute_date(context.today, now)
    ends = context.calendar.cutoff_of(day).astimezone(context.profile.zone)
    left = ends - now
    yield f"execute date {day}; its cut-off is {ends:%Y-%m-%d %H:%M} ({context.profile.timezone}), in {_in_words(left)}"


def _keys(context: FlowContext) -> Iterator[str]:
    try:
        day = context.calendar.execute_date(context.today, context.clock())
        key = context.public_key(day)
    except DokuError as caught:
        yield f"NO KEY: {caught.message}"
        return
    ends = max(entry.valid_until for entry in context.profile.batch.public_keys)
    left = (ends - context.today).days
    yield f"DOKU's public key {key.fingerprint[:16]} is valid; the last one known ends on {ends}, in {left} days"


def _server(context: FlowContext) -> Iterator[str]:
    try:
        with context.remote() as server:
            waiting = [one.name for one in server.list(context.profile.batch.folder)]
    except DokuError as caught:
        yield f"SERVER: {caught.message}"
        return
    yield f"DOKU's server answers, with a host key that is pinned; {len(waiting)} files lie in its folder for uploads"


def _disk(context: FlowContext) -> Iterator[str]:
    place = context.artefacts.place("").removeprefix("file://")
    if not place.startswith("/"):
        yield f"files are kept at {place}; its free space is not known here"
        return
    there = next((path for path in (Path(place), *Path(place).parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    words = f"{free / (1 << 30):,.1f} GiB are free where files are kept ({place})"
    yield f"LITTLE DISK: {words}" if free < _LITTLE_DISK else words


def _open(context: FlowContext) -> Iterator[str]:
    profile = context.profile.name
    with context.ledger.read() as connection:
        batches = batches_in(connection, profile, [*BEFORE_LEAVING, *OPEN_STATES])
        holds = active_holds(connection, context.profile.billing_source)
        proposals = open_proposals(connection, profile)
        unresolved = breaks_in(connection, profile, UNRESOLVED)
    for batch in batches:
        late = batch.state is not BatchState.DELIVERED and batch.execute_date <= context.today
        words = f"{batch.file_name} is still open: {batch.state}, execute date {batch.execute_date}"
        yield f"LATE: {words}" if late else words
    for hold in holds:
        yield f"hold: {hold.words}"
    for one in proposals:
        yield f"proposal {one.proposal_id} of {one.proposed_by} waits for a second person: {one.effect}"
    for one_break in unresolved:
        if one_break.kind in ALARMS:
            yield f"ALARM: break {one_break.break_id}, {one_break.kind} of {one_break.subject}: {one_break.details}"


def _in_words(left: timedelta) -> str:
    minutes = int(left.total_seconds() // 60)
    return f"{minutes // 60} hours and {minutes % 60} minutes"
