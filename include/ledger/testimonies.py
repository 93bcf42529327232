"""What witnesses other than reports say of an attempt, and what it decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, Date, bindparam, insert, select, text, update

from include.domain.states import BatchState, OutcomeStatus
from include.ledger.breaks import judge_attempts, judge_charges, resolve_missing
from include.ledger.plans import cancel_plan_of_paid
from include.ledger.tables import outcome, testimony
from include.ledger.types import UtcDateTime

_ATTEMPT: Final = """
    SELECT a.invoice_number, a.charge_id, a.attempt_no, a.amount, a.currency, a.execute_date, a.batch_id, b.file_name,
           b.state AS batch_state,
           (SELECT o.status FROM outcome o WHERE o.invoice_number = a.invoice_number
            ORDER BY o.strength DESC LIMIT 1) AS status
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id
    WHERE a.profile = :profile AND a.invoice_number = :invoice_number
"""

_SETTLED: Final = """
    UPDATE recon_break SET state = 'resolved', closed_by = :by, closed_at = :at, closed_reason = :why
    WHERE profile = :profile AND invoice_number = :invoice_number AND state <> 'resolved'
      AND (kind = 'missing_line' OR kind = 'partial_approval' AND :status IN ('declined', 'withdrawn'))
"""
# A part that was collected is money that is missing, until a person says of the break how much of it.


@dataclass(frozen=True)
class AttemptNow:
    """An attempt as it is now; amount in smallest units, `status` None where it has no outcome yet."""

    invoice_number: str
    charge_id: str
    attempt_no: int
    amount: int
    currency: str
    execute_date: date
    batch_id: int
    file_name: str
    batch_state: BatchState
    status: OutcomeStatus | None


@dataclass(frozen=True)
class Testimony:
    """What a witness says of an attempt.

    Attributes:
        amount: Smallest units, where the witness says it.
        answer: What DOKU answered beside, as columns of an outcome: response_code, approval_code, ...
    """

    invoice_number: str
    witness: str
    status: OutcomeStatus
    said_by: str
    said_at: datetime
    evidence: str
    confirmed_by: str | None = None
    amount: int | None = None
    answer: Mapping[str, str | None] = field(default_factory=dict)


def find_attempt(connection: Connection, profile: str, invoice_number: str) -> AttemptNow | None:
    """An attempt of a profile, as it is now."""
    terms = {"profile": profile, "invoice_number": invoice_number}
    statement = text(dedent(_ATTEMPT)).columns(execute_date=Date)
    row = connection.execute(statement, terms).mappings().one_or_none()
    if row is None:
        return None
    status = OutcomeStatus(row["status"]) if row["status"] else None
    return AttemptNow(**{**row, "batch_state": BatchState(row["batch_state"]), "status": status})


def keep_testimony(connection: Connection, profile: str, said: Testimony, why: str) -> None:
    """Keep it, and let it decide; breaks that waited for it are resolved, and those that it opens are opened.

    Args:
        connection: In a writing transaction, with matching of this profile locked by the caller.
        profile: Whose attempt it is.
        said: What is said.
        why: For the breaks that it resolves.
    """
    values = {name: getattr(said, name) for name in Testimony.__dataclass_fields__ if name != "answer"}
    connection.execute(insert(testimony).values({**values, "status": str(said.status), "profile": profile}))
    seen = {"invoice_number": said.invoice_number, "status": str(said.status)}
    where = (outcome.c.invoice_number == said.invoice_number, outcome.c.status == said.status)
    if connection.execute(select(outcome.c.status).where(*where)).first() is None:
        proof = f"{said.said_by}: {said.evidence}"
        connection.execute(
            insert(outcome).values(
                **seen, decided_at=said.said_at, witness=said.witness, proof=proof, amount=said.amount, **said.answer
            )
        )
    if said.status in (OutcomeStatus.PAID, OutcomeStatus.REVERSED):
        cancel_plan_of_paid(connection, said.invoice_number, said.said_at)
    terms = {"profile": profile, **seen, "by": said.said_by, "why": why}
    moment = bindparam("at", value=said.said_at, type_=UtcDateTime)
    connection.execute(text(dedent(_SETTLED)).bindparams(moment), terms)
    connection.execute(
        text("CREATE TEMPORARY TABLE judged AS SELECT invoice_number FROM attempt WHERE invoice_number = :number"),
        {"number": said.invoice_number},
    )
    judge_attempts(connection, profile, said.said_at)
    judge_charges(connection, profile, said.said_at)
    resolve_missing(connection, profile, said.said_at)


def untold_testimonies(connection: Connection, profile: str) -> list[tuple[int, str]]:
    """(id, invoice number) of the testimonies that the merchant was not told of, oldest first."""
    where = (testimony.c.profile == profile, testimony.c.told_at.is_(None))
    statement = select(testimony.c.testimony_id, testimony.c.invoice_number).where(*where)
    return [(int(row[0]), row[1]) for row in connection.execute(statement.order_by(testimony.c.testimony_id))]


def note_told(connection: Connection, testimony_id: int, at: datetime) -> None:
    """The merchant knows what it decided."""
    connection.execute(update(testimony).where(testimony.c.testimony_id == testimony_id).values(told_at=at))
