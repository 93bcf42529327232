"""Figures for people, set-based, and the summaries that were made of them.

Every query adds up in the database and comes back with as many rows as there are days, codes, channels and banks,
whatever the number of charges behind them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Connection, Date, bindparam, func, select, text

from include.domain.states import BatchState, RunKind, RunState
from include.ledger.batches import batches_worked_on
from include.ledger.once import insert_new
from include.ledger.tables import batch, recon_break, report_file, run, run_balance, summary
from include.ledger.types import UtcDateTime

# One row of `outcome` for each attempt: its strongest. Of a reversed attempt that is the reversal.
_CUBE: Final = """
    SELECT b.business_date, a.currency,
           CASE WHEN a.previous_status = 'declined' THEN 1 ELSE 0 END AS again,
           coalesce(o.status, 'awaiting') AS status,
           CASE o.status WHEN 'declined' THEN coalesce(o.response_code, '') ELSE '' END AS code,
           coalesce(a.channel, '') AS channel, coalesce(o.bank, '') AS bank,
           count(*) AS count, sum(a.amount) AS amount
    FROM batch b
    JOIN attempt a ON a.batch_id = b.batch_id
    LEFT JOIN outcome o ON o.invoice_number = a.invoice_number
      AND NOT EXISTS (SELECT 1 FROM outcome s WHERE s.invoice_number = o.invoice_number AND s.strength > o.strength)
    WHERE b.profile = :profile AND b.business_date BETWEEN :first AND :last
    GROUP BY 1, 2, 3, 4, 5, 6, 7
"""

# Attempts that nobody has answered, and attempts whose answer says neither yes nor no.
_OPEN: Final = """
    SELECT 'awaiting' AS matter, a.execute_date AS since, a.currency, count(*) AS count, sum(a.amount) AS amount
    FROM batch b JOIN attempt a ON a.batch_id = b.batch_id
    WHERE b.profile = :profile AND b.state NOT IN ('reconciled', 'withdrawn')
      AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number)
    GROUP BY a.execute_date, a.currency
    UNION ALL
    SELECT 'unknown', a.execute_date, a.currency, count(*), sum(a.amount)
    FROM outcome o JOIN attempt a ON a.invoice_number = o.invoice_number
    WHERE o.status = 'unknown' AND a.profile = :profile
      AND NOT EXISTS (SELECT 1 FROM outcome s WHERE s.invoice_number = o.invoice_number AND s.strength > 1)
    GROUP BY a.execute_date, a.currency
    UNION ALL
    SELECT 'quarantined', r.business_date, coalesce(k.currency, '?'), count(*), sum(k.amount)
    FROM quarantine q
    JOIN run r ON r.run_id = q.first_run_id
    JOIN (SELECT run_id, charge_id, max(currency) AS currency, max(amount) AS amount
          FROM quarantined_charge WHERE charge_id IS NOT NULL GROUP BY run_id, charge_id) k
      ON k.run_id = q.last_run_id AND k.charge_id = q.charge_id
    WHERE q.profile = :profile AND q.state = 'open'
    GROUP BY r.business_date, coalesce(k.currency, '?')
"""

# The days whose attempts a report spoke of since a moment: also of batches that were fully answered before.
_REPORTED_SINCE: Final = """
    SELECT DISTINCT b.business_date
    FROM report_file f
    JOIN report_line l ON l.report_id = f.report_id
    JOIN attempt a ON a.invoice_number = l.invoice_number
    JOIN batch b ON b.batch_id = a.batch_id
    WHERE f.report_id IN :reports AND b.profile = :profile
"""

_SAID_SINCE: Final = """
    SELECT DISTINCT b.business_date
    FROM testimony t JOIN attempt a ON a.invoice_number = t.invoice_number JOIN batch b ON b.batch_id = a.batch_id
    WHERE t.profile = :profile AND t.said_at >= :since
"""

_PLANNED: Final = """
    SELECT n.planned_on AS day, a.currency, count(*) AS count, sum(a.amount) AS amount
    FROM next_attempt n JOIN attempt a ON a.invoice_number = n.invoice_number
    WHERE a.profile = :profile AND n.action = 'retry' AND n.planned_on >= :first
      AND NOT EXISTS (SELECT 1 FROM next_attempt s WHERE s.invoice_number = n.invoice_number AND s.version > n.version)
      AND NOT EXISTS (SELECT 1 FROM attempt t WHERE t.previous_invoice_number = n.invoice_number)
    GROUP BY n.planned_on, a.currency
"""


@dataclass(frozen=True)
class Cell:
    """Attempts that have all of these in common; amounts in smallest units.

    Attributes:
        again: They follow a declined attempt.
        status: paid, declined, withdrawn, unknown, reversed or awaiting.
        code: Response code of declined ones.
    """

    business_date: date
    currency: str
    again: bool
    status: str
    code: str
    channel: str
    bank: str
    count: int
    amount: int


@dataclass(frozen=True)
class Open:
    """What is open since a day: awaiting, unknown or quarantined."""

    matter: str
    since: date
    currency: str
    count: int
    amount: int


@dataclass(frozen=True)
class Breaks:
    """Breaks of one kind and state; `since` is when the oldest was opened, `amount` the sum of the sizes."""

    kind: str
    state: str
    since: datetime
    count: int
    amount: int


@dataclass(frozen=True)
class Planned:
    """Further attempts that are planned for a day."""

    day: date
    currency: str
    count: int
    amount: int


@dataclass(frozen=True)
class Summary:
    """A summary that was made and kept."""

    summary_id: int
    business_date: date
    run_id: int
    figures_digest: str
    page: str
    page_digest: str
    sheet: str
    sheet_digest: str
    made_at: datetime
    figures: str

    @property
    def day_figures(self) -> dict[str, Any]:
        """What became of the day's attempts, by currency: see `include.flows.summary_figures`."""
        found = json.loads(self.figures)["currencies"]
        return {currency: one["day"] for currency, one in found.items()}


Terms = dict[str, tuple[int, int]]
"""(count, amount) of a day by term of the books."""

_CLAIMED: Final = (run.c.kind == RunKind.SUBMIT) & (run.c.state != RunState.OPEN)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT: Final = [summary.c[name] for name in Summary.__dataclass_fields__]


def cube(connection: Connection, profile: str, first: date, last: date) -> list[Cell]:
    """The attempts of some business dates by all that a summary tells apart."""
    rows = _dated(connection, _CUBE, ("business_date",), profile=profile, first=first, last=last)
    return [Cell(**{**row, "again": bool(row["again"]), **_whole(row)}) for row in rows]


def open_matters(connection: Connection, profile: str) -> list[Open]:
    """What is open now, by the day since when."""
    return [Open(**{**row, **_whole(row)}) for row in _dated(connection, _OPEN, ("since",), profile=profile)]


def planned(connection: Connection, profile: str, first: date) -> list[Planned]:
    """Further attempts planned from a day on, by day."""
    rows = _dated(connection, _PLANNED, ("day",), profile=profile, first=first)
    return sorted((Planned(**{**row, **_whole(row)}) for row in rows), key=lambda one: (one.day, one.currency))


def breaks(connection: Connection, profile: str) -> list[Breaks]:
    """The profile's breaks by kind and state."""
    columns = (
        recon_break.c.kind,
        recon_break.c.state,
        func.min(recon_break.c.opened_at).label("since"),
        func.count().label("number"),
        func.sum(func.abs(recon_break.c.amount)).label("amount"),
    )
    grouped = select(*columns).where(recon_break.c.profile == profile).group_by(*columns[:2]).order_by(*columns[:2])
    rows = connection.execute(grouped)
    return [Breaks(row.kind, row.state, row.since, int(row.number), int(row.amount)) for row in rows]


def days_to_summarise(connection: Connection, profile: str, run_id: int, states: Sequence[BatchState]) -> list[date]:
    """The business dates that a reconciliation may have changed.

    Those of batches in some states or whose state the run changed; those that a report taken in, or a person, speaks of
    since the profile's last summary; and the last one that a submit run looked at, so that a day on which nothing was
    due has its summary too.
    """
    since = connection.scalar(select(func.max(summary.c.made_at)).where(summary.c.profile == profile)) or _LONG_AGO
    looked_at = select(func.max(run.c.business_date)).where(run.c.profile == profile, _CLAIMED, ~run.c.dry_run)
    last = connection.scalar(looked_at)
    return sorted(
        {one.business_date for one in batches_worked_on(connection, profile, run_id, states)}
        | _reported_since(connection, profile, since)
        | _said_since(connection, profile, since)
        | ({last} if last else set())
    )


def _reported_since(connection: Connection, profile: str, since: datetime) -> set[date]:
    where = (report_file.c.profile == profile, report_file.c.ingested_at >= since)
    reports = list(connection.scalars(select(report_file.c.report_id).where(*where)))
    statement = text(dedent(_REPORTED_SINCE)).bindparams(bindparam("reports", expanding=True))
    found = statement.columns(business_date=Date)
    return set(connection.scalars(found, {"reports": reports, "profile": profile})) if reports else set()


def _said_since(connection: Connection, profile: str, since: datetime) -> set[date]:
    statement = text(dedent(_SAID_SINCE)).bindparams(bindparam("since", value=since, type_=UtcDateTime))
    return set(connection.scalars(statement.columns(business_date=Date), {"profile": profile}))


def keep_summary(connection: Connection, values: Mapping[str, Any]) -> bool:
    """Note a summary. False when the run has one of that day already."""
    return insert_new(connection, summary, [values]) == 1


def last_summary(connection: Connection, profile: str, business_date: date) -> Summary | None:
    """The newest summary of a day."""
    where = (summary.c.profile == profile, summary.c.business_date == business_date)
    found = connection.execute(select(*_KEPT).where(*where).order_by(summary.c.summary_id.desc()).limit(1)).first()
    return Summary(*found) if found else None


def summaries(
    connection: Connection,
    profile: str,
    *,
    of: Sequence[date] | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Summary]:
    """A profile's summaries, newest first.

    Args:
        of: Only of these business dates.
        before: Only those with a smaller id.
        limit: At most so many.
    """
    statement = select(*_KEPT).where(summary.c.profile == profile)
    if of is not None:
        statement = statement.where(summary.c.business_date.in_(of))
    if before is not None:
        statement = statement.where(summary.c.summary_id < before)
    rows = connection.execute(statement.order_by(summary.c.summary_id.desc()).limit(limit))
    return [Summary(*row) for row in rows]


def newest_summaries(connection: Connection, profile: str, days: Sequence[date]) -> dict[date, Summary]:
    """The newest summary of each of some business dates that has one."""
    newest = (
        select(func.max(summary.c.summary_id))
        .where(summary.c.profile == profile, summary.c.business_date.in_(days))
        .group_by(summary.c.business_date)
    )
    rows = connection.execute(select(*_KEPT).where(summary.c.summary_id.in_(newest)))
    return {row.business_date: Summary(*row) for row in rows}


def kept_summaries(connection: Connection, profile: str) -> list[tuple[str, str]]:
    """Artefact and digest of every page and CSV file that was kept, oldest first."""
    columns = (summary.c.page, summary.c.page_digest, summary.c.sheet, summary.c.sheet_digest)
    rows = connection.execute(select(*columns).where(summary.c.profile == profile).order_by(summary.c.summary_id))
    return [pair for row in rows for pair in ((row.page, row.page_digest), (row.sheet, row.sheet_digest))]


def find_summary(connection: Connection, profile: str, summary_id: int) -> Summary | None:
    """A profile's summary of that id."""
    where = (summary.c.profile == profile, summary.c.summary_id == summary_id)
    found = connection.execute(select(*_KEPT).where(*where)).first()
    return Summary(*found) if found else None


def days(connection: Connection, profile: str, last: date, limit: int) -> list[date]:
    """Business dates up to a day that a submit run has looked at, newest first."""
    where = (run.c.profile == profile, _CLAIMED, run.c.business_date <= last)
    found = select(run.c.business_date).where(*where).group_by(run.c.business_date)
    return list(connection.scalars(found.order_by(run.c.business_date.desc()).limit(limit)))


def stored_terms(
    connection: Connection, profile: str, chosen: Sequence[date]
) -> dict[date, dict[str, tuple[int, int]]]:
    """(count, amount) by day and term, from the books that submit runs stored: of a day's runs, those that sent.

    A later run of a day finds the same charges in flight or settled; what such a run read is not added.
    """
    first_runs = (
        select(func.min(run.c.run_id))
        .where(run.c.profile == profile, run.c.business_date.in_(chosen), _CLAIMED)
        .group_by(run.c.business_date)
    )
    with_batches = (
        select(func.min(batch.c.run_id))
        .where(batch.c.profile == profile, batch.c.business_date.in_(chosen))
        .group_by(batch.c.business_date)
    )
    runs: dict[date, int] = {}
    for statement in (first_runs, with_batches):
        ids = list(connection.scalars(statement))
        found = select(run.c.business_date, run.c.run_id).where(run.c.run_id.in_(ids))
        runs |= {row.business_date: int(row.run_id) for row in connection.execute(found)}
    day_of = {run_id: day for day, run_id in runs.items()}
    lines = (
        select(run_balance.c.run_id, run_balance.c.term, func.sum(run_balance.c.count).label("number"),
               func.sum(run_balance.c.amount).label("amount"))
        .where(run_balance.c.run_id.in_(day_of), run_balance.c.batch_id == 0)
        .group_by(run_balance.c.run_id, run_balance.c.term)
    )  # fmt: skip
    terms: dict[date, Terms] = {day: {} for day in runs}
    for row in connection.execute(lines):
        terms[day_of[row.run_id]][row.term] = (int(row.number), int(row.amount))
    return terms


def _dated(connection: Connection, statement: str, dates: Sequence[str], **values: Any) -> Iterator[dict[str, Any]]:
    given = [bindparam(name, value=value, type_=Date) for name, value in values.items() if isinstance(value, date)]
    query = text(dedent(statement)).bindparams(*given).columns(**dict.fromkeys(dates, Date))
    plain = {name: value for name, value in values.items() if not isinstance(value, date)}
    yield from (dict(row) for row in connection.execute(query, plain).mappings())


def _whole(row: Mapping[str, Any]) -> dict[str, int]:
    return {"count": int(row["count"]), "amount": int(row["amount"])}
