"""Everything that the ledger knows of one charge, for the person who asks about it.

Each query finds its rows by an index on the charge, the customer or the invoice number, however long the history is;
only decisions are looked for in the whole (short) trail of the profiles concerned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, or_, select, union

from include.ledger.inbox_tables import batch_notice, status_question
from include.ledger.tables import (
    approval,
    attempt,
    batch,
    brake,
    closed_charge,
    event,
    hold,
    next_attempt,
    outcome,
    proposal,
    quarantine,
    quarantined_charge,
    recon_break,
    report_file,
    report_line,
    run,
    run_charge,
    testimony,
)

Row = Mapping[str, Any]

_OF_RUN: Final = (run.c.run_id, run.c.profile, run.c.business_date, run.c.opened_at, run.c.dry_run, run.c.started_by)


@dataclass(frozen=True)
class Records:
    """The rows that speak of a charge, each kind in its own order; no row holds a whole token but an attempt's.

    Attributes:
        charge_id: The charge.
        attempts: With their batch.
        outcomes: Whoever witnessed them.
        lines: Report lines that name one of its attempts, with their report.
        testimonies: What other witnesses said of its attempts.
        plans: What was decided after its declined attempts.
        breaks: About one of its attempts.
        rejected: What a run found wrong with it, with the run.
        passed: Runs that neither sent nor quarantined it, with the reason.
        quarantine: Its present quarantine or the last one, if it was ever in one.
        holds: On the charge, its customer, its batches and its profiles.
        closed: Why no further attempt is made, if that is so.
        events: Of its batches, and decisions about it.
        brakes: Brakes that runs of its batches pulled.
        approvals: Answers to those.
        proposals: Decisions about it that needed a second person.
        questions: What DOKU was asked about its attempts.
        notices: What DOKU was told of its batches.
    """

    charge_id: str
    attempts: Sequence[Row] = ()
    outcomes: Sequence[Row] = ()
    lines: Sequence[Row] = ()
    testimonies: Sequence[Row] = ()
    plans: Sequence[Row] = ()
    breaks: Sequence[Row] = ()
    rejected: Sequence[Row] = ()
    passed: Sequence[Row] = ()
    quarantine: Row | None = None
    holds: Sequence[Row] = ()
    closed: Row | None = None
    events: Sequence[Row] = ()
    brakes: Sequence[Row] = ()
    approvals: Sequence[Row] = ()
    proposals: Sequence[Row] = ()
    questions: Sequence[Row] = ()
    notices: Sequence[Row] = ()

    @property
    def known(self) -> bool:
        """Whether the ledger has ever seen the charge."""
        return any((self.attempts, self.rejected, self.passed, self.quarantine, self.closed, self.events))


def charge_of(connection: Connection, billing_source: str, asked: str) -> str:
    """The charge that a person means: by its id, or by the invoice number of one of its attempts."""
    by_id = select(attempt.c.charge_id).where(attempt.c.billing_source == billing_source, attempt.c.charge_id == asked)
    if connection.execute(by_id.limit(1)).first():
        return asked
    where = (attempt.c.invoice_number == asked, attempt.c.billing_source == billing_source)
    return connection.scalar(select(attempt.c.charge_id).where(*where)) or asked


def records_of(connection: Connection, billing_source: str, profile: str, charge_id: str) -> Records:
    """All rows about a charge of a billing source.

    Args:
        profile: The one that asks; others that share the billing source are found by what they did.
    """
    profiles = _profiles(connection, billing_source) | {profile}
    mine = (attempt.c.billing_source == billing_source, attempt.c.charge_id == charge_id)
    attempts = _rows(
        connection,
        select(attempt, batch.c.file_name, batch.c.state.label("batch_state"), batch.c.run_id, batch.c.created_at,
               batch.c.delivered_at)
        .join(batch, batch.c.batch_id == attempt.c.batch_id)
        .where(*mine)
        .order_by(attempt.c.attempt_no),
    )  # fmt: skip
    numbers = [row["invoice_number"] for row in attempts]
    batches = [row["batch_id"] for row in attempts]
    runs = [row["run_id"] for row in attempts]
    rejected = _rejected(connection, billing_source, charge_id)
    passed = _passed(connection, profiles, charge_id)
    customers = {row["customer_id"] for row in (*attempts, *rejected, *passed) if row["customer_id"]}
    files = [row["file_name"] for row in attempts]
    return Records(
        charge_id=charge_id,
        attempts=attempts,
        outcomes=_rows(connection, select(outcome).where(outcome.c.invoice_number.in_(numbers))),
        lines=_lines(connection, numbers),
        testimonies=_rows(connection, select(testimony).where(testimony.c.invoice_number.in_(numbers))),
        plans=_rows(connection, select(next_attempt).where(next_attempt.c.invoice_number.in_(numbers))
                    .order_by(next_attempt.c.invoice_number, next_attempt.c.version)),
        breaks=_rows(connection, select(recon_break).where(recon_break.c.invoice_number.in_(numbers))),
        rejected=rejected,
        passed=passed,
        quarantine=_one(connection, select(quarantine).where(*_about(quarantine, billing_source, charge_id))),
        holds=_holds(connection, billing_source, {
            "charge": {charge_id}, "customer": customers, "batch": set(files), "profile": profiles,
        }),
        closed=_one(connection, select(closed_charge).where(*_about(closed_charge, billing_source, charge_id))),
        events=_events(connection, profiles, batches, {charge_id, *numbers, *files}),
        brakes=_rows(connection, select(brake).where(brake.c.run_id.in_(runs), brake.c.kind != "none")),
        approvals=_rows(connection, select(approval).where(approval.c.run_id.in_(runs))),
        proposals=_proposals(connection, profiles, {charge_id, *numbers}),
        questions=_rows(connection, select(status_question).where(status_question.c.subject.in_(numbers))
                        .order_by(status_question.c.question_id)),
        notices=_rows(connection, select(batch_notice, batch.c.file_name)
                      .join(batch, batch.c.batch_id == batch_notice.c.batch_id)
                      .where(batch_notice.c.batch_id.in_(batches)).order_by(batch_notice.c.batch_id)),
    )  # fmt: skip


def _profiles(connection: Connection, billing_source: str) -> set[str]:
    tables = (batch, quarantine, hold)
    each = [select(table.c.profile).where(table.c.billing_source == billing_source) for table in tables]
    return set(connection.scalars(union(*each)))


def _about(table: Any, billing_source: str, charge_id: str) -> tuple[Any, Any]:
    return table.c.billing_source == billing_source, table.c.charge_id == charge_id


def _rejected(connection: Connection, billing_source: str, charge_id: str) -> list[Row]:
    return _rows(
        connection,
        select(quarantined_charge, *_OF_RUN[1:])
        .join(run, run.c.run_id == quarantined_charge.c.run_id)
        .where(*_about(quarantined_charge, billing_source, charge_id))
        .order_by(quarantined_charge.c.run_id, quarantined_charge.c.row_no),
    )


def _passed(connection: Connection, profiles: set[str], charge_id: str) -> list[Row]:
    return _rows(
        connection,
        select(run_charge, *_OF_RUN[1:])
        .join(run, run.c.run_id == run_charge.c.run_id)
        .where(run_charge.c.charge_id == charge_id, run.c.profile.in_(profiles))
        .order_by(run_charge.c.run_id, run_charge.c.row_no),
    )


def _lines(connection: Connection, numbers: Sequence[str]) -> list[Row]:
    return _rows(
        connection,
        select(report_line, report_file.c.file_name, report_file.c.ingested_at, report_file.c.written_back_at)
        .join(report_file, report_file.c.report_id == report_line.c.report_id)
        .where(report_line.c.invoice_number.in_(numbers))
        .order_by(report_line.c.report_id, report_line.c.line_no),
    )


def _holds(connection: Connection, billing_source: str, subjects: Mapping[str, set[str]]) -> list[Row]:
    each = [and_(hold.c.scope == scope, hold.c.subject.in_(names)) for scope, names in subjects.items() if names]
    where = (hold.c.billing_source == billing_source, or_(*each))
    return _rows(connection, select(hold).where(*where).order_by(hold.c.hold_id))


def _events(connection: Connection, profiles: set[str], batches: Sequence[int], subjects: set[str]) -> list[Row]:
    about = or_(event.c.batch_id.in_(batches), and_(event.c.batch_id.is_(None), event.c.subject.in_(subjects)))
    where = (event.c.profile.in_(profiles), about)
    return _rows(connection, select(event).where(*where).order_by(event.c.at, event.c.profile, event.c.seq))


def _proposals(connection: Connection, profiles: set[str], subjects: set[str]) -> list[Row]:
    where = (proposal.c.profile.in_(profiles), proposal.c.subject.in_(subjects))
    return _rows(connection, select(proposal).where(*where).order_by(proposal.c.proposal_id))


def _rows(connection: Connection, statement: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def _one(connection: Connection, statement: Select[Any]) -> Row | None:
    return next(iter(_rows(connection, statement)), None)
