"""How far things have come: what the watchdog judges by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, or_, select, text

from include.domain.states import BatchState, BreakState, ReportState, RunKind, RunState
from include.ledger.tables import (
    attempt,
    batch,
    event,
    outcome,
    quarantine,
    recon_break,
    report_file,
    run,
)


@dataclass(frozen=True)
class OpenBatch:
    """A batch that is not concluded.

    Attributes:
        state_since: When it came to its state.
        answered: A report has spoken of it.
        count, total: Its attempts that are not withdrawn, and their amounts in smallest units.
    """

    batch_id: int
    run_id: int
    file_name: str
    state: BatchState
    created_at: datetime
    delivered_at: datetime | None
    state_since: datetime
    execute_date: date
    currency: str
    count: int
    total: int
    answered: bool


@dataclass(frozen=True)
class Named:
    """A report or a batch that something is still to be done with, since when, and why not."""

    name: str
    since: datetime
    why: str = ""


@dataclass(frozen=True)
class Pile:
    """What lies about: how many, and since when the oldest."""

    what: str
    count: int
    oldest: datetime


@dataclass(frozen=True)
class Unknown:
    """Attempts whose outcome is unknown: how many, since when the oldest, the invoice numbers of the oldest."""

    count: int
    oldest: datetime
    named: tuple[str, ...]


def open_batches(connection: Connection, profile: str) -> list[OpenBatch]:
    """A profile's batches that are neither reconciled nor withdrawn, oldest first."""
    of_report = select(outcome.c.invoice_number).where(
        outcome.c.invoice_number == attempt.c.invoice_number, outcome.c.witness == "report"
    )
    answered = exists().where(attempt.c.batch_id == batch.c.batch_id, of_report.exists())
    since = select(func.max(event.c.at)).where(event.c.batch_id == batch.c.batch_id).scalar_subquery()
    names = ("batch_id", "run_id", "file_name", "state", "created_at", "delivered_at", "execute_date", "currency")
    statement = select(
        *(batch.c[name] for name in names),
        func.coalesce(since, batch.c.created_at).label("state_since"),
        (batch.c.line_count - batch.c.withdrawn_count).label("count_left"),
        (batch.c.total_amount - batch.c.withdrawn_amount).label("total_left"),
        answered.label("answered"),
    ).where(batch.c.profile == profile, batch.c.state.not_in([BatchState.RECONCILED, BatchState.WITHDRAWN]))
    return [
        OpenBatch(
            **{name: row[name] for name in names if name != "state"},
            state=BatchState(row["state"]),
            state_since=row["state_since"],
            count=int(row["count_left"]),
            total=int(row["total_left"]),
            answered=bool(row["answered"]),
        )
        for row in connection.execute(statement.order_by(batch.c.batch_id)).mappings()
    ]


def unanswered(connection: Connection, batch_id: int) -> tuple[int, int]:
    """The attempts of a batch that have no outcome, and their amounts."""
    none = ~exists().where(outcome.c.invoice_number == attempt.c.invoice_number)
    statement = select(func.count(), func.coalesce(func.sum(attempt.c.amount), 0))
    count, total = connection.execute(statement.where(attempt.c.batch_id == batch_id, none)).one()
    return int(count), int(total)


def last_submit(connection: Connection, profile: str, *, claimed: bool) -> datetime | None:
    """When the last run of submit that may send began; `claimed`: only one that came to the end of its claim counts."""
    where = [run.c.profile == profile, run.c.kind == RunKind.SUBMIT, run.c.dry_run.is_(False), run.c.past.is_(False)]
    if claimed:
        where.append(run.c.state != RunState.OPEN)
    found: datetime | None = connection.scalar(select(func.max(run.c.opened_at)).where(*where))
    return found


def unclaimed_runs(connection: Connection, profile: str) -> list[tuple[int, datetime]]:
    """Runs of submit that began and have not claimed, without those that a later run has made up for.

    A past date makes up for a run of that date or an earlier one, if it really sent; else it took nothing.
    """
    later = run.alias()
    sent = exists().where(batch.c.run_id == later.c.run_id)
    made_up = exists().where(
        later.c.profile == profile,
        later.c.kind == RunKind.SUBMIT,
        later.c.run_id > run.c.run_id,
        later.c.state != RunState.OPEN,
        later.c.dry_run.is_(False),
        or_(later.c.past.is_(False), and_(later.c.business_date >= run.c.business_date, sent)),
    )
    where = (run.c.profile == profile, run.c.kind == RunKind.SUBMIT, run.c.state == RunState.OPEN, ~made_up)
    rows = connection.execute(select(run.c.run_id, run.c.opened_at).where(*where).order_by(run.c.run_id))
    return [(int(row.run_id), row.opened_at) for row in rows]


def fetched_reports(connection: Connection, profile: str) -> list[Named]:
    """Reports that were fetched and are not taken in."""
    return _reports(connection, profile, ReportState.FETCHED)


def untold_reports(connection: Connection, profile: str) -> list[Named]:
    """Reports that were taken in and that the merchant has not been told of."""
    return _reports(connection, profile, ReportState.INGESTED)


def refused_reports(connection: Connection, profile: str, since: datetime) -> list[Named]:
    """Refused reports that may be missed: those after `since`, and those for which a batch may still be waiting.

    One whose name came again with a content that was taken in is none of them.
    """
    again = report_file.alias()
    replaced = exists().where(
        again.c.profile == profile,
        again.c.file_name == report_file.c.file_name,
        again.c.report_id > report_file.c.report_id,
        again.c.state.in_([ReportState.INGESTED, ReportState.WRITTEN_BACK]),
    )
    missed = exists().where(
        batch.c.profile == profile,
        batch.c.state.in_([BatchState.DELIVERED, BatchState.UNKNOWN]),
        batch.c.created_at <= report_file.c.fetched_at,
    )
    return _reports(connection, profile, ReportState.REFUSED, ~replaced, or_(report_file.c.fetched_at > since, missed))


def untold_withdrawals(connection: Connection, profile: str) -> list[Named]:
    """Batches that were withdrawn and of which the merchant has not been told."""
    withdrawn = and_(event.c.batch_id == batch.c.batch_id, event.c.state == BatchState.WITHDRAWN)
    where = (batch.c.profile == profile, batch.c.state == BatchState.WITHDRAWN, batch.c.withdrawal_written_at.is_(None))
    statement = select(batch.c.file_name, event.c.at).join(event, withdrawn).where(*where).order_by(batch.c.batch_id)
    return [Named(row.file_name, row.at) for row in connection.execute(statement)]


def quarantine_pile(connection: Connection, billing_source: str, profile: str) -> Pile | None:
    """The charges that the profile's runs have quarantined, since the run that first rejected the oldest."""
    statement = (
        select(func.count(), func.min(run.c.opened_at))
        .select_from(quarantine)
        .join(run, run.c.run_id == quarantine.c.first_run_id)
        .where(
            quarantine.c.billing_source == billing_source,
            quarantine.c.profile == profile,
            quarantine.c.state == "open",
        )
    )
    count, oldest = connection.execute(statement).one()
    return Pile("quarantine", int(count), oldest) if count else None


def unknown_outcomes(connection: Connection, profile: str, name: int) -> Unknown | None:
    """The attempts of a profile whose strongest outcome is unknown.

    Args:
        name: How many of them are named.
    """
    stronger = outcome.alias()
    known = exists().where(
        stronger.c.invoice_number == outcome.c.invoice_number, stronger.c.strength > outcome.c.strength
    )
    # As text, not as a parameter: only so the planner knows that the index of unknown ones will do.
    where = (text("outcome.status = 'unknown'"), attempt.c.profile == profile, ~known)
    tied = outcome.join(attempt, attempt.c.invoice_number == outcome.c.invoice_number)
    counted = select(func.count(), func.min(outcome.c.decided_at)).select_from(tied).where(*where)
    count, oldest = connection.execute(counted).one()
    if not count:
        return None
    by_age = select(outcome.c.invoice_number).select_from(tied).where(*where)
    by_age = by_age.order_by(outcome.c.decided_at, outcome.c.invoice_number).limit(name)
    return Unknown(int(count), oldest, tuple(connection.scalars(by_age)))


def break_piles(connection: Connection, profile: str, without: Sequence[str]) -> list[Pile]:
    """The breaks that are not resolved, by kind; an explained one is as old as its explanation."""
    where = (
        recon_break.c.profile == profile,
        recon_break.c.state != BreakState.RESOLVED,
        recon_break.c.kind.not_in(without),
    )
    explained = recon_break.c.state == BreakState.EXPLAINED
    since = case((explained, recon_break.c.explained_at), else_=recon_break.c.opened_at)
    columns = (recon_break.c.kind, func.count().label("n"), func.min(since).label("oldest"))
    rows = connection.execute(select(*columns).where(*where).group_by(recon_break.c.kind).order_by(recon_break.c.kind))
    return [Pile(row.kind, int(row.n), row.oldest) for row in rows]


def _reports(connection: Connection, profile: str, state: ReportState, *conditions: ColumnElement[bool]) -> list[Named]:
    since = report_file.c.ingested_at if state is ReportState.INGESTED else report_file.c.fetched_at
    columns = (report_file.c.file_name, since.label("since"), report_file.c.refused_reason)
    where = (report_file.c.profile == profile, report_file.c.state == state, *conditions)
    rows = connection.execute(select(*columns).where(*where).order_by(report_file.c.report_id))
    return [Named(row.file_name, row.since, row.refused_reason or "") for row in rows]
