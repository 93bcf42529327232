"""The claim: staged rows become attempts in batches, in one transaction, one run at a time for each billing source.

Promise 1 does not rest on the lock: the unique constraint on (billing_source, charge_id, attempt_no) and the reference
to the outcome that freed the charge refuse a second live attempt whoever writes it. The lock only spares everybody the
error.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, Date, bindparam, func, insert, select, text

from include.domain.errors import LedgerError
from include.domain.retry import ClaimTerms
from include.domain.splitting import Part, split
from include.domain.states import BatchState, RunState
from include.ledger.again import close_spent_periods, close_unlisted, lock_caps, put_off_capped
from include.ledger.books import Line, keep_read, kept_lines, refuse_unless_run_ties, run_lines
from include.ledger.events import Note, add_batch_event
from include.ledger.fates import Terms, decide_fates, hold_earlier, hold_the_rest
from include.ledger.growth import note_growth
from include.ledger.quarantine import note_quarantine
from include.ledger.runs import Run, RunRequest, advance_run, find_run, insert_run
from include.ledger.store import Workspace, lock
from include.ledger.tables import attempt, batch
from include.ledger.work_tables import analyse, staged_charge

# What the statements of a claim, and the next ones, look for: the planner need not know the rest.
_LOOKED_AT: Final = (
    "row_no", "charge_id", "customer_id", "billing_number", "fingerprint", "amount", "currency", "due_date",
    "billing_period", "attempt_no", "late", "reasons",
)  # fmt: skip
_LOOKED_FOR: Final = (
    "invoice_number", "billing_source", "charge_id", "attempt_no", "previous_invoice_number", "profile", "batch_id",
    "line_no", "customer_id", "billing_number", "billing_period", "amount", "currency", "due_date", "execute_date",
    "token_fingerprint", "rule",
)  # fmt: skip

_KEEP_PASSED_OVER: Final = """
    INSERT INTO run_charge (run_id, row_no, charge_id, customer_id, amount, currency, fate, reason)
    SELECT :run_id, s.row_no, s.charge_id, s.customer_id, s.amount, s.currency, f.fate, f.reason
    FROM staged_fate f JOIN staged_charge s ON s.row_no = f.row_no
    WHERE f.fate IN ('settled', 'held', 'deferred', 'in_flight')
"""

_KEEP_QUARANTINED: Final = """
    INSERT INTO quarantined_charge
        (run_id, row_no, billing_source, charge_id, customer_id, billing_number, amount, currency, due_date, reasons)
    SELECT :run_id, s.row_no, :billing_source, s.charge_id, s.customer_id, s.billing_number, s.amount, s.currency,
           s.due_date,
           CASE WHEN s.reasons IS NULL THEN f.reason WHEN f.reason = 'invalid' THEN s.reasons
                ELSE s.reasons || ';' || f.reason END
    FROM staged_fate f JOIN staged_charge s ON s.row_no = f.row_no
    WHERE f.fate = 'quarantine'
"""

_CLAIMABLE: Final = """
    FROM staged_charge s WHERE NOT EXISTS (SELECT 1 FROM staged_fate f WHERE f.row_no = s.row_no AND f.fate <> 'claim')
"""

# By the thousands: only where a batch ends a page is looked into.
_PAGES: Final = (
    "SELECT s.currency, min(s.row_no), max(s.row_no), count(*), CAST(sum(s.amount) AS BIGINT)"
    + _CLAIMABLE
    + " GROUP BY s.currency, s.row_no / 1000"
)

_ROWS: Final = (
    "SELECT s.row_no, s.amount"
    + _CLAIMABLE
    + " AND s.currency = :currency AND s.row_no BETWEEN :first AND :last ORDER BY s.row_no"
)

_CLAIM: Final = """
    INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no, previous_invoice_number,
        previous_status, profile, batch_id, line_no, customer_id, billing_number, token, amount, currency, due_date,
        execute_date, channel, description, network, token_fingerprint, billing_period, rule)
    SELECT s.stem || CASE WHEN coalesce(f.attempt_no, 1) < 10 THEN '0' ELSE '' END
                  || CAST(coalesce(f.attempt_no, 1) AS VARCHAR(2)),
        :billing_source, s.charge_id, coalesce(f.attempt_no, 1), f.previous_invoice_number, f.previous_status,
        :profile, :batch_id, row_number() OVER (ORDER BY s.stem), s.customer_id, s.billing_number, s.token, s.amount,
        s.currency, s.due_date, :execute_date, s.channel, s.description, s.network,
        s.fingerprint, coalesce(s.billing_period, substr(CAST(s.due_date AS VARCHAR(10)), 1, 7)),
        coalesce(f.reason, 'first')
    FROM staged_charge s LEFT JOIN staged_fate f ON f.row_no = s.row_no
    WHERE (f.row_no IS NULL OR f.fate = 'claim') AND s.currency = :currency AND s.row_no BETWEEN :first AND :last
"""


@dataclass(frozen=True)
class BatchPlan:
    """What all batches of a run have in common.

    Attributes:
        release_by_person: See `fates.Terms`.
        file_name: Names a batch from its business date and sequence number.
        again: What may be tried again, and the networks' caps.
    """

    merchant: str
    billing_source: str
    profile: str
    execute_date: date
    remote_folder: str
    layout_digest: str
    max_rows: int
    max_total: int
    release_by_person: bool
    file_name: Callable[[date, int], str]
    again: ClaimTerms = field(default_factory=ClaimTerms)


Reading = Mapping[str, tuple[int, int]]
"""What was counted while the view was read, by currency: rows, and their amounts in smallest units (0: unreadable)."""


def claim(workspace: Workspace, run: Run, plan: BatchPlan, reading: Reading, now: datetime) -> list[int]:
    """Decide on every staged row and claim what may go out.

    Returns:
        The ids of the run's batches; those of the first claim when this run has claimed before.

    Raises:
        LedgerError: The staged rows are not as many as were read, or the ledger refused a claim.
    """
    with workspace.write() as connection:
        lock_claims(connection, plan.billing_source)
        current = find_run(connection, run.run_id, for_update=True)
        if current.state is not RunState.OPEN:
            return batches_of_run(connection, run.run_id)
        return _decide(connection, run, plan, reading, now)


def rehearse(workspace: Workspace, request: RunRequest, plan: BatchPlan, reading: Reading, now: datetime) -> list[Line]:
    """The books that a dry run would have, by the same code, with nothing of it kept."""
    try:
        with workspace.write() as connection:
            lock_claims(connection, plan.billing_source)
            run = insert_run(connection, request, now)
            _decide(connection, run, plan, reading, now)
            lines = [*kept_lines(connection, run.run_id), *run_lines(connection, run.run_id)]
            raise _Undone(lines)  # noqa: TRY301 - undoes the transaction
    except _Undone as undone:
        return undone.lines


class _Undone(Exception):
    def __init__(self, lines: list[Line]) -> None:
        super().__init__()
        self.lines = lines


def _decide(connection: Connection, run: Run, plan: BatchPlan, reading: Reading, now: datetime) -> list[int]:
    _refuse_lost_rows(connection, reading)
    analyse(connection, "staged_charge", *_LOOKED_AT)
    lock_caps(connection)
    terms = Terms(plan.billing_source, plan.profile, plan.release_by_person, plan.execute_date, plan.again)
    decide_fates(connection, terms)
    keeping = None if run.dry_run or run.past else (run, now)
    close_spent_periods(connection, terms, keeping)
    put_off_capped(connection, terms)
    close_unlisted(connection, terms, keeping)
    if run.send_past_after:
        hold_earlier(connection, run.send_past_after)
    reason = _why_not(connection, run)
    if reason:
        hold_the_rest(connection, reason)
    analyse(connection, "staged_fate")
    keep = {"run_id": run.run_id}
    connection.execute(text(dedent(_KEEP_PASSED_OVER)), keep)
    connection.execute(text(dedent(_KEEP_QUARANTINED)), {**keep, "billing_source": plan.billing_source})
    if not run.dry_run:
        note_quarantine(connection, run.run_id, plan.billing_source, plan.profile, now)
    batch_ids = [] if reason else list(_claim_batches(connection, run, plan, now))
    note_growth(connection, attempt, sum(count for count, _ in reading.values()) if batch_ids else 0, *_LOOKED_FOR)
    keep_read(connection, run.run_id, reading)
    refuse_unless_run_ties([*kept_lines(connection, run.run_id), *run_lines(connection, run.run_id)])
    advance_run(connection, run.run_id, state=RunState.CLAIMED)
    return batch_ids


def lock_claims(connection: Connection, billing_source: str) -> None:
    """One claimer of a billing source at a time, until the transaction ends."""
    lock(connection, f"claim:{billing_source}")


def batches_of_run(connection: Connection, run_id: int) -> list[int]:
    """The ids of the batches that a run made, in order."""
    return list(connection.scalars(select(batch.c.batch_id).where(batch.c.run_id == run_id).order_by(batch.c.batch_id)))


def _refuse_lost_rows(connection: Connection, reading: Reading) -> None:
    staged = connection.scalar(select(func.count()).select_from(staged_charge))
    rows = sum(count for count, _ in reading.values())
    if staged != rows:
        raise LedgerError(f"{rows} rows were read but {staged} are staged; nothing was claimed. Run it again.")


def _why_not(connection: Connection, run: Run) -> str | None:
    """Why nothing may go out, if so (promise 8: a past date sends no money by accident)."""
    if run.past:
        total = int(connection.scalar(text(f"SELECT coalesce(sum(s.amount), 0) {_CLAIMABLE}")) or 0)
        if not total or total != run.send_past_total:
            return "past_date"
    return "dry_run" if run.dry_run else None


def _claim_batches(connection: Connection, run: Run, plan: BatchPlan, now: datetime) -> Iterator[int]:
    sequence = _last_sequence(connection, plan.profile, run.business_date)
    for currency, parts in _parts(connection, plan):
        for part in parts:
            sequence += 1
            yield _claim_batch(connection, run, plan, currency, part, sequence, now)


def _parts(connection: Connection, plan: BatchPlan) -> list[tuple[str, list[Part]]]:
    """What may go out, by currency, cut into batches."""
    pages = sorted(tuple(page) for page in connection.execute(text(dedent(_PAGES))))
    return [
        (currency, list(_split(connection, currency, [Part(*page[1:]) for page in of_currency], plan)))
        for currency, of_currency in groupby(pages, itemgetter(0))
    ]


def _split(connection: Connection, currency: str, pages: Iterable[Part], plan: BatchPlan) -> Iterator[Part]:
    def rows_of(page: Part) -> Iterator[tuple[int, int]]:
        named = {"currency": currency, "first": page.first, "last": page.last}
        return ((row.row_no, row.amount) for row in connection.execute(text(dedent(_ROWS)), named).all())

    return split(pages, rows_of, plan.max_rows, plan.max_total)


def _last_sequence(connection: Connection, profile: str, business_date: date) -> int:
    where = (batch.c.profile == profile, batch.c.business_date == business_date)
    return connection.scalar(select(func.coalesce(func.max(batch.c.sequence), 0)).where(*where)) or 0


def _claim_batch(
    connection: Connection, run: Run, plan: BatchPlan, currency: str, part: Part, sequence: int, now: datetime
) -> int:
    values = {
        "profile": plan.profile,
        "billing_source": plan.billing_source,
        "run_id": run.run_id,
        "merchant": plan.merchant,
        "business_date": run.business_date,
        "sequence": sequence,
        "execute_date": plan.execute_date,
        "currency": currency,
        "file_name": plan.file_name(run.business_date, sequence),
        "remote_folder": plan.remote_folder,
        "layout_digest": plan.layout_digest,
        "line_count": part.count,
        "total_amount": part.total,
        "state": BatchState.CLAIMED,
        "created_at": now,
    }
    inserted = connection.execute(insert(batch).values(values)).inserted_primary_key
    batch_id = int(inserted[0]) if inserted else 0
    terms = {
        "billing_source": plan.billing_source,
        "profile": plan.profile,
        "batch_id": batch_id,
        "execute_date": plan.execute_date,
        "currency": currency,
        "first": part.first,
        "last": part.last,
    }
    claimed = connection.execute(text(dedent(_CLAIM)).bindparams(bindparam("execute_date", type_=Date)), terms).rowcount
    if claimed != part.count:
        raise LedgerError(
            f"{part.count} charges were to be claimed but {claimed} were; nothing was claimed. Run it again."
        )
    details = {"count": part.count, "total": part.total, "file_name": values["file_name"]}
    add_batch_event(connection, plan.profile, batch_id, BatchState.CLAIMED, Note(now, "submit", run.run_id, details))
    return batch_id
