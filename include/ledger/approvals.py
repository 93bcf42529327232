"""Brakes and approvals of a run: what was judged, and what a person answered to exactly that."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from include.domain.brakes import Brake
from include.domain.states import BatchState, RunKind
from include.ledger.events import Note, add_decision
from include.ledger.once import insert_new
from include.ledger.tables import approval, attempt, batch, brake, quarantined_charge, run, run_balance

PASSED = "none"
"""Kind of the row that says that a run pulled no brake."""


@dataclass(frozen=True)
class Load:
    """What a run would send, exactly: an approval holds for this and for nothing else.

    Attributes:
        count: Attempts in all batches of the run that are not withdrawn.
        total: Their amounts, in smallest units.
        plaintext_digest: SHA-256 (hex) over the plaintext digests of those batches, in order.
    """

    count: int
    total: int
    plaintext_digest: str


@dataclass(frozen=True)
class Answer:
    """A person's answer: "approved" or "refused"."""

    answer: str
    answered_by: str
    words: str


def load_of_run(connection: Connection, run_id: int) -> Load:
    """What the run would send. Batches that are not sealed yet count with an empty digest."""
    where = (batch.c.run_id == run_id, batch.c.state != BatchState.WITHDRAWN)
    columns = (
        (batch.c.line_count - batch.c.withdrawn_count).label("count_left"),
        (batch.c.total_amount - batch.c.withdrawn_amount).label("amount_left"),
        batch.c.plaintext_digest,
    )
    rows = connection.execute(select(*columns).where(*where).order_by(batch.c.batch_id)).all()
    digest = hashlib.sha256("".join(row.plaintext_digest or "" for row in rows).encode("ascii")).hexdigest()
    return Load(sum(row.count_left for row in rows), sum(row.amount_left for row in rows), digest)


def judged(connection: Connection, run_id: int, load: Load) -> list[Brake] | None:
    """The brakes that a run has pulled with that load; None if it was not judged yet."""
    where = (brake.c.run_id == run_id, brake.c.plaintext_digest == load.plaintext_digest)
    rows = connection.execute(select(brake.c.kind, brake.c.words).where(*where).order_by(brake.c.kind)).all()
    return [Brake(row.kind, row.words) for row in rows if row.kind != PASSED] if rows else None


def keep_judgement(
    connection: Connection, profile: str, run_id: int, load: Load, brakes: Sequence[Brake], now: datetime
) -> None:
    """Store what a run was judged, once."""
    pulled = list(brakes) or [Brake(PASSED, "no brake")]
    rows = [
        {"run_id": run_id, "plaintext_digest": load.plaintext_digest, "kind": one.kind, "count": load.count,
         "total": load.total, "words": one.words, "pulled_at": now}
        for one in pulled
    ]  # fmt: skip
    if insert_new(connection, brake, rows) and brakes:
        details = {"count": load.count, "total": load.total, "brakes": {one.kind: one.words for one in brakes}}
        add_decision(connection, profile, "brake", f"run {run_id}", Note(now, "brakes", run_id, details))


def answer_to(connection: Connection, run_id: int, load: Load) -> Answer | None:
    """The answer that a person gave to exactly this load, if any."""
    where = (
        approval.c.run_id == run_id,
        approval.c.plaintext_digest == load.plaintext_digest,
        approval.c.count == load.count,
        approval.c.total == load.total,
    )
    found = connection.execute(
        select(approval.c.answer, approval.c.answered_by, approval.c.words).where(*where)
    ).first()
    return Answer(*found) if found else None


def refusal_of(connection: Connection, run_id: int) -> Answer | None:
    """A person's refusal of a run, whatever it would have sent then: what is left of it is refused too."""
    where = (approval.c.run_id == run_id, approval.c.answer == "refused")
    found = connection.execute(select(approval.c.answer, approval.c.answered_by, approval.c.words).where(*where))
    first = found.first()
    return Answer(*first) if first else None


def keep_answer(connection: Connection, profile: str, run_id: int, load: Load, answer: Answer, now: datetime) -> bool:
    """Store a person's answer; the first one stands. False when there was one already."""
    values = {
        "run_id": run_id,
        "plaintext_digest": load.plaintext_digest,
        "count": load.count,
        "total": load.total,
        "answer": answer.answer,
        "answered_by": answer.answered_by,
        "answered_at": now,
        "words": answer.words,
    }
    if not insert_new(connection, approval, [values]):
        return False
    details = {"answer": answer.answer, "count": load.count, "total": load.total, "words": answer.words,
               "plaintext": load.plaintext_digest}  # fmt: skip
    add_decision(connection, profile, "approval", f"run {run_id}", Note(now, answer.answered_by, run_id, details))
    return True


def largest_and_most_per_customer(connection: Connection, run_id: int) -> tuple[int, int]:
    """Of a run's attempts: the largest amount, and the most charges of one customer."""
    of_run = select(batch.c.batch_id).where(batch.c.run_id == run_id, batch.c.state != BatchState.WITHDRAWN)
    counted = (
        select(func.max(attempt.c.amount).label("largest"), func.count().label("charges"))
        .where(attempt.c.batch_id.in_(of_run))
        .group_by(attempt.c.customer_id)
        .subquery()
    )
    largest, most = connection.execute(select(func.max(counted.c.largest), func.max(counted.c.charges))).one()
    return int(largest or 0), int(most or 0)


def listed_and_quarantined(connection: Connection, run_id: int) -> tuple[int, int]:
    """Rows that a run read, and how many of them it quarantined."""
    listed = select(func.sum(run_balance.c.count)).where(run_balance.c.run_id == run_id, run_balance.c.term == "rows")
    quarantined = select(func.count()).where(quarantined_charge.c.run_id == run_id)
    return int(connection.scalar(listed) or 0), int(connection.scalar(quarantined) or 0)


def history(connection: Connection, profile: str, before_run_id: int, runs: int) -> list[tuple[int, int]]:
    """(count, total) of the profile's last runs that sent something, newest first."""
    sent = (
        select(func.sum(batch.c.line_count).label("charges"), func.sum(batch.c.total_amount).label("total"))
        .join(run, run.c.run_id == batch.c.run_id)
        .where(
            run.c.profile == profile,
            run.c.kind == RunKind.SUBMIT,
            run.c.run_id < before_run_id,
            batch.c.state.in_([BatchState.DELIVERED, BatchState.RECONCILED]),
        )
        .group_by(run.c.run_id)
        .order_by(run.c.run_id.desc())
        .limit(runs)
    )
    return [(int(row.charges), int(row.total)) for row in connection.execute(sent)]
