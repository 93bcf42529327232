"""Telling DOKU that a batch file is there: which batches, under which request id, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, exists, insert, select, update

from include.domain.states import BatchState
from include.ledger.inbox_tables import batch_notice
from include.ledger.tables import attempt, batch, outcome

_NO_REFUSAL: Final = frozenset({401, 403, 408, 409, 425, 429})
"""Answers after which the same request may still be taken as the first one: keys, time, patience."""


@dataclass(frozen=True)
class Untold:
    """A delivered batch that DOKU has not been told of; `words` why not, where it was tried."""

    batch_id: int
    file_name: str
    delivered_at: datetime
    words: str | None


def untold_batches(connection: Connection, profile: str, since: datetime) -> list[Untold]:
    """The batches of a profile that were delivered since then, which no report answers and DOKU was not told of."""
    columns = (batch.c.batch_id, batch.c.file_name, batch.c.delivered_at, batch_notice.c.words)
    tied = batch.outerjoin(batch_notice, batch_notice.c.batch_id == batch.c.batch_id)
    answered = exists().where(
        attempt.c.batch_id == batch.c.batch_id,
        outcome.c.invoice_number == attempt.c.invoice_number,
        outcome.c.witness == "report",
    )
    where = (
        batch.c.profile == profile,
        batch.c.state == BatchState.DELIVERED,
        batch.c.delivered_at >= since,
        batch_notice.c.answered_at.is_(None),
        ~answered,
    )
    rows = connection.execute(select(*columns).select_from(tied).where(*where).order_by(batch.c.batch_id))
    return [Untold(int(row.batch_id), row.file_name, row.delivered_at, row.words) for row in rows]


def begin_try(connection: Connection, batch_id: int, id_of: Callable[[int], str], now: datetime) -> str | None:
    """Note that DOKU is about to be told, and under which request id; None: it was told.

    The id stays the same, so that DOKU takes it once however often it is told, until DOKU says no to it: a no is
    repeated to the same id for ever, and nothing was taken by it.

    Args:
        connection: In a writing transaction, with the batch locked by the caller.
        id_of: The id for a number of earlier tries.
    """
    row = connection.execute(select(batch_notice).where(batch_notice.c.batch_id == batch_id)).mappings().one_or_none()
    if row is None:
        values = {"batch_id": batch_id, "request_id": id_of(0), "tries": 1, "tried_at": now}
        connection.execute(insert(batch_notice).values(values))
        return id_of(0)
    if row["answered_at"] is not None:
        return None
    status = row["http_status"]
    refused = status is not None and 400 <= status < 500 and status not in _NO_REFUSAL
    request_id = id_of(row["tries"]) if refused else row["request_id"]
    changes = {"request_id": request_id, "tries": row["tries"] + 1, "tried_at": now, "http_status": None}
    connection.execute(update(batch_notice).where(batch_notice.c.batch_id == batch_id).values(changes))
    return str(request_id)


def note_answer(
    connection: Connection,
    batch_id: int,
    request_id: str,
    *,
    http_status: int | None,
    words: str,
    told_at: datetime | None,
) -> None:
    """What DOKU answered to a try; `told_at`: it took it then. A later try's words, or that it was told, stay."""
    same = (
        batch_notice.c.batch_id == batch_id,
        batch_notice.c.request_id == request_id,
        batch_notice.c.answered_at.is_(None),
    )
    changes = {"http_status": http_status, "words": words, "answered_at": told_at}
    connection.execute(update(batch_notice).where(*same).values(changes))
