"""Batches and their attempts, as the flows read them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from textwrap import dedent
from typing import Any, Final

import pandas as pd  # noqa: TID253 - hands out frames
import pyarrow as pa  # noqa: TID253
from sqlalchemy import Connection, RowMapping, Select, exists, func, insert, literal, or_, select, text, update

from include.domain.errors import LedgerError, NotAllowed
from include.domain.states import BatchState, OutcomeStatus
from include.ledger.bill_charges import DOKU_MAY_CHARGE
from include.ledger.bulk import read_copied
from include.ledger.store import Ledger
from include.ledger.tables import attempt, batch, event, outcome
from include.schemas.copy_out import copied

OPEN_STATES = (BatchState.RENAMING, BatchState.UNKNOWN, BatchState.DELIVERED)
"""Batches that a report may still answer."""

BEFORE_IT_LEFT = "look_again"
"""Witness of attempts that were withdrawn one by one: their charge was gone or changed before the batch left."""

LINE_COLUMNS = (
    "line_no",
    "invoice_number",
    "charge_id",
    "customer_id",
    "billing_number",
    "token",
    "amount",
    "currency",
    "execute_date",
    "due_date",
    "channel",
    "description",
)
"""What a batch line may be rendered from (`include.schemas.batch_lines`)."""


@dataclass(frozen=True)
class Batch:
    """One batch; amounts in smallest units, digests SHA-256 in hex."""

    batch_id: int
    profile: str
    billing_source: str
    run_id: int
    merchant: str
    business_date: date
    sequence: int
    execute_date: date
    currency: str
    file_name: str
    remote_folder: str
    layout_digest: str
    line_count: int
    total_amount: int
    withdrawn_count: int
    withdrawn_amount: int
    state: BatchState
    created_at: datetime
    looked_at: datetime | None
    plaintext_digest: str | None
    envelope_digest: str | None
    envelope_size: int | None
    key_fingerprint: str | None
    artefact: str | None
    delivery_try: str | None
    claims_written_at: datetime | None
    withdrawal_written_at: datetime | None


def find_batch(connection: Connection, batch_id: int) -> Batch:
    """The batch of that id. LedgerError when there is none."""
    found = connection.execute(select(batch).where(batch.c.batch_id == batch_id)).mappings().one_or_none()
    if found is None:
        raise LedgerError(f"The ledger knows no batch {batch_id}.")
    return _batch(found)


def find_batch_named(connection: Connection, profile: str, file_name: str) -> Batch:
    """The batch of a file name. LedgerError when the profile has none of that name."""
    where = (batch.c.profile == profile, batch.c.file_name == file_name)
    found = connection.execute(select(batch).where(*where)).mappings().one_or_none()
    if found is None:
        raise LedgerError(f"The ledger knows no batch file {file_name} of profile {profile}.")
    return _batch(found)


def all_batches(connection: Connection, profile: str) -> list[Batch]:
    """All batches of a profile, oldest first."""
    statement = select(batch).where(batch.c.profile == profile).order_by(batch.c.batch_id)
    return [_batch(row) for row in connection.execute(statement).mappings()]


def batches_in(connection: Connection, profile: str, states: Sequence[BatchState]) -> list[Batch]:
    """A profile's batches in some states, oldest first."""
    where = (batch.c.profile == profile, batch.c.state.in_(states))
    statement = select(batch).where(*where).order_by(batch.c.batch_id)
    return [_batch(row) for row in connection.execute(statement).mappings()]


def batches_worked_on(connection: Connection, profile: str, run_id: int, states: Sequence[BatchState]) -> list[Batch]:
    """A profile's batches that are in some states or whose state a run changed, oldest first."""
    changed = select(event.c.batch_id).where(event.c.run_id == run_id)
    where = (batch.c.profile == profile, or_(batch.c.state.in_(states), batch.c.batch_id.in_(changed)))
    statement = select(batch).where(*where).order_by(batch.c.batch_id)
    return [_batch(row) for row in connection.execute(statement).mappings()]


def update_batch(connection: Connection, batch_id: int, **columns: object) -> None:
    """Set columns of a batch that are not its state (a state changes by `events.enter`)."""
    connection.execute(update(batch).where(batch.c.batch_id == batch_id).values(**columns))


def withdrawn_of(connection: Connection, batch_id: int) -> tuple[int, int]:
    """How many attempts of a batch are withdrawn, and their amounts."""
    statement = (
        select(func.count(), func.coalesce(func.sum(attempt.c.amount), 0))
        .join(outcome, outcome.c.invoice_number == attempt.c.invoice_number)
        .where(attempt.c.batch_id == batch_id, outcome.c.status == OutcomeStatus.WITHDRAWN)
    )
    count, amount = connection.execute(statement).one()
    return int(count), int(amount)


def line_frames(ledger: Ledger, batch_id: int, rows: int = 50_000) -> Iterator[pd.DataFrame]:
    """The attempts of a batch in line order, without those that were withdrawn before it left.

    Yields:
        Arrow-backed frames of at most `rows` rows with `LINE_COLUMNS`; `line_no` counts the lines of the file, from 1.
    """
    columns = [attempt.c[name] for name in LINE_COLUMNS]
    gone = exists().where(
        outcome.c.invoice_number == attempt.c.invoice_number,
        outcome.c.status == OutcomeStatus.WITHDRAWN,
        outcome.c.witness == BEFORE_IT_LEFT,
    )
    chosen = select(*columns).where(attempt.c.batch_id == batch_id, ~gone).order_by(attempt.c.line_no)
    by_copy = ledger.engine.dialect.name == "postgresql"
    lines = 0
    for table in _by_copy(ledger, chosen, rows) if by_copy else _by_pages(ledger, chosen, rows):
        numbers = pa.array(range(lines + 1, lines + 1 + table.num_rows), pa.int64())
        yield table.set_column(0, "line_no", numbers).to_pandas(types_mapper=pd.ArrowDtype)
        lines += table.num_rows


def _by_pages(ledger: Ledger, chosen: Select[Any], rows: int) -> Iterator[Any]:
    """Any database: a page after the other, so that no read stays open."""
    last = 0
    while True:
        with ledger.read() as connection:
            found = connection.execute(chosen.where(attempt.c.line_no > last).limit(rows)).all()
        if not found:
            return
        values = zip(LINE_COLUMNS, zip(*found, strict=True), strict=True)
        yield pa.table({name: pa.array(column, _arrow_type(name)) for name, column in values})
        last = int(found[-1].line_no)


def _by_copy(ledger: Ledger, chosen: Select[Any], rows: int) -> Iterator[Any]:
    """PostgreSQL: by COPY, as CSV that Arrow parses."""
    with ledger.read() as connection:
        connection.execute(text("SET LOCAL datestyle = 'ISO, YMD'"))
        compiled = str(chosen.compile(connection, compile_kwargs={"literal_binds": True})).replace("%%", "%")
        statement = f"COPY ({compiled}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
        with closing(copied(connection.connection.driver_connection, statement, rows)) as pieces:
            for data in pieces:
                yield read_copied(data, {name: _arrow_type(name) for name in LINE_COLUMNS})


def withdraw_attempts(connection: Connection, batch_id: int, proof: str, at: datetime, by: str = "delivery") -> None:
    """Give every attempt of a batch the outcome `withdrawn`: it provably never reached DOKU, its charges are free.

    Those that were withdrawn one by one before keep the outcome that they have.

    Args:
        connection: In a writing transaction, with matching of the batch's profile locked by the caller.
        proof: What shows it, in words.
        by: The witness: the delivery itself, or a person.

    Raises:
        NotAllowed: As `refuse_if_reported`.
    """
    already = exists().where(
        outcome.c.invoice_number == attempt.c.invoice_number, outcome.c.status == OutcomeStatus.WITHDRAWN
    )
    rows = select(
        attempt.c.invoice_number,
        literal(OutcomeStatus.WITHDRAWN.value),
        literal(at, type_=outcome.c.decided_at.type),
        literal(by),
        literal(proof),
    ).where(attempt.c.batch_id == batch_id, ~already)
    columns = ["invoice_number", "status", "decided_at", "witness", "proof"]
    connection.execute(insert(outcome).from_select(columns, rows))
    refuse_if_reported(connection, batch_id)


_REPORTED: Final = """
    SELECT b.file_name, count(DISTINCT a.invoice_number) AS attempts, min(a.invoice_number) AS example
    FROM attempt a JOIN batch b ON b.batch_id = a.batch_id
    JOIN outcome o ON o.invoice_number = a.invoice_number AND o.status = 'withdrawn'
    JOIN report_line l ON l.invoice_number = a.invoice_number AND l.line_class = 'unexpected'
    JOIN recon_break k ON k.invoice_number = a.invoice_number AND k.kind = 'unexpected' AND k.state <> 'resolved'
    WHERE a.batch_id = :batch_id AND l.status <> 'declined'
    GROUP BY b.file_name
"""


def refuse_if_reported(connection: Connection, batch_id: int) -> None:
    """Of a batch of which attempts were just withdrawn: a line that came before it left may say that one was charged.

    Raises:
        NotAllowed: It does, and nobody has resolved the break that it is.
    """
    found = connection.execute(text(dedent(_REPORTED)), {"batch_id": batch_id}).one_or_none()
    if found is not None:
        raise NotAllowed(
            f"A report speaks of {found.attempts} attempts of {found.file_name} ({found.example}) as if DOKU had "
            "charged them; withdrawn, they would be attempted again. Nothing was withdrawn. Ask DOKU, then resolve the "
            "breaks (`unexpected`) with its answer, and try again."
        )


def answered_of(connection: Connection, batch_id: int) -> int:
    """How many attempts of a batch have an outcome that somebody witnessed after it left."""
    statement = (
        select(func.count(attempt.c.invoice_number.distinct()))
        .join(outcome, outcome.c.invoice_number == attempt.c.invoice_number)
        .where(attempt.c.batch_id == batch_id, outcome.c.witness != BEFORE_IT_LEFT)
    )
    return int(connection.scalar(statement) or 0)


PAID_BEFORE: Final = """
    a.attempt_no > 1 AND EXISTS (
        SELECT 1 FROM attempt e JOIN outcome p ON p.invoice_number = e.invoice_number
        WHERE e.billing_source = a.billing_source AND e.charge_id = a.charge_id AND e.attempt_no < a.attempt_no
          AND p.status IN ('paid', 'reversed'))
"""
"""Of an attempt `a`: an earlier one of its charge turned out to be paid. It must not leave."""

STOPPED_SINCE: Final = """
    (a.token_fingerprint IN (SELECT i.token_fingerprint FROM stopped_instrument i)
     OR EXISTS (SELECT 1 FROM ended_mandate m WHERE m.billing_source = a.billing_source
                AND m.customer_id = a.customer_id AND m.billing_number = coalesce(a.billing_number, '')))
"""
"""Of an attempt `a`: an answer to another one said never again of its card or account, or that the customer revoked the
agreement. It must not leave either."""


BILLED_BY_DOKU: Final = f"""
    EXISTS (SELECT 1 FROM bill d WHERE d.billing_source = a.billing_source AND d.billing_number = a.billing_number
            AND {DOKU_MAY_CHARGE.strip()})
"""  # noqa: S608 - no value of anybody's is put in
"""Of an attempt `a`: DOKU charges its bill by itself, or may. It must not leave either: the customer would pay
twice."""


def must_not_leave(connection: Connection, batch_id: int) -> int:
    """How many attempts of a batch must not leave, as is known by now: paid before, stopped, or billed by DOKU."""
    # Each reason by itself: together they would have to be looked into for every attempt.
    statement = f"""
        SELECT count(*) FROM (
            SELECT a.invoice_number FROM attempt a WHERE a.batch_id = :batch_id AND {PAID_BEFORE}
            UNION
            SELECT a.invoice_number FROM attempt a
            JOIN stopped_instrument i ON i.token_fingerprint = a.token_fingerprint WHERE a.batch_id = :batch_id
            UNION
            SELECT a.invoice_number FROM attempt a
            JOIN ended_mandate m ON m.billing_source = a.billing_source AND m.customer_id = a.customer_id
                AND m.billing_number = coalesce(a.billing_number, '') WHERE a.batch_id = :batch_id
            UNION
            SELECT a.invoice_number FROM attempt a WHERE a.batch_id = :batch_id AND {BILLED_BY_DOKU}
        ) stays
        WHERE NOT EXISTS (
            SELECT 1 FROM outcome o WHERE o.invoice_number = stays.invoice_number AND o.status = 'withdrawn')
    """  # noqa: S608 - no value of anybody's is put in
    return int(connection.scalar(text(dedent(statement)), {"batch_id": batch_id}) or 0)


def _arrow_type(name: str) -> object:
    if name in ("line_no", "amount"):
        return pa.int64()
    return pa.date32() if name.endswith("_date") else pa.string()


def _batch(row: RowMapping) -> Batch:
    names = Batch.__dataclass_fields__
    values = {name: row[name] for name in names}
    return Batch(**{**values, "state": BatchState(values["state"])})
