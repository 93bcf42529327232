"""The stages of batches, reports and runs: what is expected of each, what is met, what is late."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from include.domain import watch_words as words
from include.domain.money import for_people
from include.domain.states import BatchState
from include.domain.watch import BatchTimes, Matter, Patience, Stage, batch_expectations
from include.domain.watch_words import Place
from include.flows.context import FlowContext
from include.flows.watch_server import Seen
from include.ledger.approvals import answer_to, judged, load_of_run
from include.ledger.expectations import Expected, expect, expect_again, meet, unmet
from include.ledger.plans import waiting_for_setup
from include.ledger.watched import (
    Named,
    OpenBatch,
    fetched_reports,
    open_batches,
    unanswered,
    unclaimed_runs,
    untold_reports,
    untold_withdrawals,
)

_SET_UP = "merchant's set-up"
_UNSURE = (BatchState.RENAMING, BatchState.UNKNOWN)


@dataclass(frozen=True)
class Progress:
    """How far all of a profile has come, by name; `set_up`: codes of declines that the set-up is to blame for."""

    batches: dict[str, OpenBatch]
    fetched: dict[str, Named]
    untold: dict[str, Named]
    unclaimed: dict[str, tuple[int, datetime]]
    set_up: tuple[str, ...]


def late_stages(context: FlowContext, connection: Connection, place: Place, seen: Seen) -> list[Matter]:
    """Set what is expected now, note what was met, and name what is late."""
    progress = _progress(connection, context)
    _expect(context, connection, progress, seen)
    _meet(context, connection, progress, seen)
    now = context.clock()
    late = [one for one in unmet(connection, place.profile) if one.expected_by <= now]
    named = (_matter(context, connection, place, progress, seen, one) for one in late)
    return [matter for matter in named if matter is not None]


def _progress(connection: Connection, context: FlowContext) -> Progress:
    profile = context.profile.name
    return Progress(
        batches={one.file_name: one for one in open_batches(connection, profile)},
        fetched={one.name: one for one in fetched_reports(connection, profile)},
        untold={
            one.name: one for one in (*untold_reports(connection, profile), *untold_withdrawals(connection, profile))
        },
        unclaimed={f"run {run_id}": (run_id, began) for run_id, began in unclaimed_runs(connection, profile)},
        set_up=tuple(str(row.response_code) for row in waiting_for_setup(connection, profile)),
    )


def _expect(context: FlowContext, connection: Connection, progress: Progress, seen: Seen) -> None:
    profile, settings, now = context.profile, context.profile.watch, context.clock()
    patience = patience_of(context)
    wanted: list[tuple[Stage, str, datetime]] = []
    for one in progress.batches.values():
        times = BatchTimes(
            created_at=one.created_at,
            cutoff=context.calendar.cutoff_of(one.execute_date),
            delivered_at=one.delivered_at,
            unsure_since=one.state_since if one.state in _UNSURE else None,
        )
        expected = batch_expectations(times, patience)
        if (by := expected.pop(Stage.SETTLED, None)) is not None:  # a batch may become unknown once more
            expect_again(connection, profile.name, Stage.SETTLED, one.file_name, by, now)
        wanted += [(stage, one.file_name, by) for stage, by in expected.items()]
    if settings.claimed_minutes is not False:
        patient = timedelta(minutes=settings.claimed_minutes)
        wanted += [(Stage.CLAIMED, name, began + patient) for name, (_, began) in progress.unclaimed.items()]
    expect(connection, profile.name, wanted, now)
    _expect_again(connection, profile.name, Stage.WRITTEN_BACK, progress.untold, settings.written_back_minutes, now)
    _expect_again(connection, profile.name, Stage.TAKEN_IN, progress.fetched, settings.taken_in_minutes, now)
    lying = {name: Named(name, now) for name in seen.unread}
    _expect_again(connection, profile.name, Stage.TAKEN_IN, lying, settings.taken_in_minutes, now)
    silent = {profile.connections.sftp: Named(profile.connections.sftp, now)} if seen.problem is not None else {}
    _expect_again(connection, profile.name, Stage.SERVER, silent, settings.server_minutes, now)
    if progress.set_up:
        expect_again(connection, profile.name, Stage.SET_UP, _SET_UP, now, now)


def _expect_again(
    connection: Connection, profile: str, stage: Stage, named: dict[str, Named], minutes: float, now: datetime
) -> None:
    """A name may come again: a report under the name of an earlier one, a server that falls silent once more."""
    if minutes is False:
        return
    for one in named.values():
        expect_again(connection, profile, stage, one.name, one.since + timedelta(minutes=minutes), now)


def patience_of(context: FlowContext) -> Patience:
    """The profile's patience with a batch."""
    settings = context.profile.watch
    batch = context.profile.batch_or_none
    moves = batch is not None and batch.archive_folder is not None
    acknowledged = settings.acknowledged_minutes if moves else False
    return Patience(
        sent=_duration("minutes", settings.sent_minutes),
        before_cutoff=timedelta(minutes=settings.before_cutoff_minutes),
        settled=_duration("minutes", settings.unknown_minutes),
        acknowledged=_duration("minutes", acknowledged),
        reported=_duration("hours", settings.reported_hours),
        reconciled=_duration("hours", settings.reconciled_hours),
    )


def _duration(unit: str, number: float) -> timedelta | None:
    return None if number is False else timedelta(**{unit: number})


def _meet(context: FlowContext, connection: Connection, progress: Progress, seen: Seen) -> None:
    for one in unmet(connection, context.profile.name):
        if _is_met(one, progress, seen):
            meet(connection, context.profile.name, one.stage, one.subject, context.clock())


def _is_met(one: Expected, progress: Progress, seen: Seen) -> bool:
    if one.stage is Stage.SERVER:
        return seen.problem is None
    if one.stage is Stage.TAKEN_IN:
        return one.subject not in progress.fetched and seen.problem is None and one.subject not in seen.unread
    if one.stage is Stage.WRITTEN_BACK:
        return one.subject not in progress.untold
    if one.stage is Stage.CLAIMED:
        return one.subject not in progress.unclaimed
    if one.stage is Stage.SET_UP:
        return not progress.set_up
    batch = progress.batches.get(one.subject)
    return batch is None or _BATCH_MET[one.stage](batch, seen)


_BATCH_MET: dict[Stage, Callable[[OpenBatch, Seen], bool]] = {
    Stage.SENT: lambda batch, _: batch.state is BatchState.DELIVERED,
    Stage.SETTLED: lambda batch, _: batch.state not in _UNSURE,
    Stage.ACKNOWLEDGED: lambda batch, seen: batch.answered or batch.file_name in seen.taken,
    Stage.REPORTED: lambda batch, _: batch.answered,
    Stage.RECONCILED: lambda _batch, _seen: False,  # a reconciled batch is open no longer
}


def _matter(
    context: FlowContext, connection: Connection, place: Place, progress: Progress, seen: Seen, late: Expected
) -> Matter | None:
    """What is late, in words; None where something else is told in its place."""
    name, by = late.subject, late.expected_by
    if late.stage is Stage.SERVER:
        return words.server_silent(name, seen.problem or "", by)
    if late.stage is Stage.TAKEN_IN:
        fetched = progress.fetched.get(name)
        since = fetched.since if fetched else late.set_at
        return words.not_taken_in(place, name, since, by, fetched=fetched is not None)
    if late.stage is Stage.WRITTEN_BACK:
        return words.not_written_back(place, name, progress.untold[name].since, by)
    if late.stage is Stage.SET_UP:
        return words.set_up_broken(place, name, len(progress.set_up), ", ".join(sorted(set(progress.set_up))), by)
    if late.stage is Stage.CLAIMED:
        run_id, began = progress.unclaimed[name]
        return words.not_claimed(place, run_id, began, by)
    return _batch_matter(context, connection, place, progress, seen, late)


def _batch_matter(
    context: FlowContext, connection: Connection, place: Place, progress: Progress, seen: Seen, late: Expected
) -> Matter | None:
    batch, by = progress.batches[late.subject], late.expected_by
    what = f"{batch.count:,} charges, {for_people(batch.total, batch.currency)}"
    if late.stage is Stage.SENT:
        return _not_sent(context, connection, place, batch, seen, by)
    if late.stage is Stage.SETTLED:
        return words.delivery_unknown(place, batch.file_name, what, batch.state_since, by)
    if seen.problem is not None:
        return None  # the server might show it: told is that it does not answer
    if late.stage is Stage.ACKNOWLEDGED:
        return words.not_acknowledged(place, batch.file_name, what, batch.delivered_at or by, by)
    if seen.unread or progress.fetched:
        return None  # a report is there: told is that it is not taken in
    if late.stage is Stage.REPORTED:
        return words.no_report(batch.file_name, what, batch.execute_date, by)
    if not batch.answered:
        return None  # told is that there is no report at all
    count, total = unanswered(connection, batch.batch_id)
    if not count:
        return words.not_concluded(place, batch.file_name, by)
    waiting = f"{count:,} of {batch.count:,} charges, {for_people(total, batch.currency)},"
    return words.report_incomplete(batch.file_name, waiting, batch.execute_date, by)


def _not_sent(
    context: FlowContext, connection: Connection, place: Place, batch: OpenBatch, seen: Seen, by: datetime
) -> Matter | None:
    """While the server does not answer that is told in its place, until the cut-off is near."""
    if batch.state in _UNSURE:
        return None  # told is that nobody knows; the server may still say that it did not rename
    cutoff = context.calendar.cutoff_of(batch.execute_date)
    near = cutoff - timedelta(minutes=context.profile.watch.before_cutoff_minutes)
    if seen.problem is not None and context.clock() < near:
        return None
    what = f"{batch.count:,} charges, {for_people(batch.total, batch.currency)}"
    braked = batch.run_id if _awaits_approval(connection, batch.run_id) else None
    return words.not_sent(place, batch.file_name, batch.state, what, cutoff, by, braked=braked)


def _awaits_approval(connection: Connection, run_id: int) -> bool:
    load = load_of_run(connection, run_id)
    return bool(judged(connection, run_id, load)) and answer_to(connection, run_id, load) is None
