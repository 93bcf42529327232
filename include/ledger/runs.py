"""Runs: what was asked for, for which business date, and how far it came."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.errors import LedgerError
from include.domain.states import RunKind, RunState
from include.ledger.store import Ledger
from include.ledger.tables import run


@dataclass(frozen=True)
class Run:
    """One run of a flow.

    Attributes:
        run_id: The ledger's own id.
        business_date: Fixed when the run was first opened; clearing a task days later keeps it.
        dry_run: Decide and report, send nothing.
        past: The business date was already over when the run was opened: it sends nothing unless `send_past_total`
            names exactly what would go out.
        send_past_total: Smallest units, or None.
        send_past_after: The latest earlier date that is named beside it: charges due by then are that date's.
        started_by: Who started it by hand; None for the schedule.
    """

    run_id: int
    kind: RunKind
    profile: str
    external_id: str
    business_date: date
    opened_at: datetime
    dry_run: bool
    past: bool
    send_past_total: int | None
    send_past_after: date | None
    started_by: str | None
    state: RunState

    @property
    def may_send(self) -> bool:
        """Neither a dry run, nor for a past date without words that ask it to send (promise 8)."""
        return not self.dry_run and (not self.past or self.send_past_total is not None)


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked to do; see `Run`."""

    kind: RunKind
    profile: str
    external_id: str
    business_date: date
    today: date
    dry_run: bool = False
    send_past_total: int | None = None
    send_past_after: date | None = None
    started_by: str | None = None


def open_run(ledger: Ledger, request: RunRequest, now: datetime) -> Run:
    """Open a run, or find it opened before: its business date and its terms stay as they were the first time."""
    with ledger.write() as connection:
        return insert_run(connection, request, now)


def insert_run(connection: Connection, request: RunRequest, now: datetime) -> Run:
    """The run of a request, made if it is not there; in the caller's transaction."""
    values = {
        "kind": request.kind,
        "profile": request.profile,
        "external_id": request.external_id,
        "business_date": request.business_date,
        "opened_at": now,
        "dry_run": request.dry_run,
        "past": request.business_date < request.today,
        "send_past_total": request.send_past_total,
        "send_past_after": request.send_past_after,
        "started_by": request.started_by,
        "state": RunState.OPEN,
    }
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert_for(run).values(values).on_conflict_do_nothing())
    return _one(connection, request.kind, request.profile, request.external_id)


def find_run(connection: Connection, run_id: int, *, for_update: bool = False) -> Run:
    """The run of that id; optionally locked until the transaction ends. LedgerError when there is none."""
    statement = select(run).where(run.c.run_id == run_id)
    for_update = for_update and connection.dialect.name == "postgresql"  # SQLite has one writer at a time anyway
    found = connection.execute(statement.with_for_update() if for_update else statement).mappings().one_or_none()
    if found is None:
        raise LedgerError(f"The ledger knows no run {run_id}. Start the run again from its first task.")
    return _run(found)


def last_run(connection: Connection, profile: str, kind: RunKind, *states: RunState) -> Run | None:
    """The newest run of a profile of that kind, in one of these states where any is named; None: there is none."""
    where = (run.c.profile == profile, run.c.kind == kind, run.c.state.in_(states or list(RunState)))
    found = connection.execute(select(run).where(*where).order_by(run.c.run_id.desc()).limit(1)).mappings().first()
    return _run(found) if found else None


def claimed_runs(connection: Connection, profile: str) -> list[int]:
    """The submit runs of a profile that have claimed, oldest first."""
    where = (run.c.profile == profile, run.c.kind == RunKind.SUBMIT, run.c.state != RunState.OPEN)
    return list(connection.scalars(select(run.c.run_id).where(*where).order_by(run.c.run_id)))


def last_claimed_date(connection: Connection, profile: str) -> date | None:
    """The latest business date for which a run of the profile has claimed; None for none."""
    where = (run.c.profile == profile, run.c.kind == RunKind.SUBMIT, run.c.state != RunState.OPEN, ~run.c.dry_run)
    found: date | None = connection.scalar(select(func.max(run.c.business_date)).where(*where))
    return found


def advance_run(connection: Connection, run_id: int, **values: object) -> None:
    """Set columns of a run."""
    connection.execute(update(run).where(run.c.run_id == run_id).values(**values))


def _one(connection: Connection, kind: RunKind, profile: str, external_id: str) -> Run:
    where = (run.c.kind == kind, run.c.profile == profile, run.c.external_id == external_id)
    return _run(connection.execute(select(run).where(*where)).mappings().one())


def _run(row: RowMapping) -> Run:
    return Run(
        run_id=row["run_id"],
        kind=RunKind(row["kind"]),
        profile=row["profile"],
        external_id=row["external_id"],
        business_date=row["business_date"],
        opened_at=row["opened_at"],
        dry_run=row["dry_run"],
        past=row["past"],
        send_past_total=row["send_past_total"],
        send_past_after=row["send_past_after"],
        started_by=row["started_by"],
        state=RunState(row["state"]),
    )
