"""Telling DOKU that a batch file is there (`http.notify_after_delivery`): a courtesy, of which nothing depends.

Before DOKU is told the ledger keeps the request id, so that however often it is told, after a kill or by two at once,
DOKU takes it once. What goes wrong is noted and shown; the batch is delivered all the same.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from include.domain.errors import ApiError, ConfigError
from include.flows.context import FlowContext
from include.ledger.notices import Untold, begin_try, note_answer, untold_batches
from include.ledger.store import lock

WORTH_TELLING: Final = timedelta(days=1)
"""A file that lies there for longer was seen by DOKU, or a report on it is late: both are other matters."""

_NAMESPACE: Final = uuid.UUID("7d2f0f7e-52b4-4b6e-9a7a-3a0c2c1d9f01")


@dataclass(frozen=True)
class Notified:
    """What a round of telling came to: files that DOKU took notice of, and why others were not taken, in words."""

    told: tuple[str, ...]
    failed: tuple[str, ...]
    clock_problem: str | None = None


def notify_delivered(context: FlowContext) -> Notified:
    """Tell DOKU of the profile's batch files that were delivered within a day and that it was not told of.

    Nothing where the profile does not tell. Safe to repeat.

    Raises:
        LedgerError: The ledger cannot be used.
    """
    if not context.profile.http.notify_after_delivery:
        return Notified((), ())
    with context.ledger.read() as connection:
        untold = untold_batches(connection, context.profile.name, context.clock() - WORTH_TELLING)
    told, failed = [], []
    for one in untold:
        problem = _tell(context, one)
        if problem is None:
            told.append(one.file_name)
        else:
            failed.append(f"{one.file_name}: {problem}")
    return Notified(tuple(told), tuple(failed), _clock_problem(context) if told else None)


def _tell(context: FlowContext, one: Untold) -> str | None:
    """Tell DOKU of one file; why it did not take notice, or None."""

    def id_of(refused: int) -> str:
        # By what the file is, not by chance: a ledger restored from a backup tells it under the same id again.
        name = f"{context.ledger.ledger_id}/{context.profile.remote_folder}/{one.file_name}/{refused}"
        return str(uuid.uuid5(_NAMESPACE, name))

    with context.ledger.write() as connection:
        lock(connection, f"notify:{one.batch_id}")
        request_id = begin_try(connection, one.batch_id, id_of, context.clock())
    if request_id is None:
        return None
    context.step("notify: before DOKU is told")
    status, words = None, "DOKU took notice"
    problem: str | None = None
    try:
        answer = context.api().notify_batch(one.file_name, request_id)
        status = answer.http_status
    except (ApiError, ConfigError) as caught:
        status, problem = getattr(caught, "http_status", None), caught.message
    context.step("notify: told, not noted")
    with context.ledger.write() as connection:
        told_at = context.clock() if problem is None else None
        note_answer(connection, one.batch_id, request_id, http_status=status, words=problem or words, told_at=told_at)
    context.step("notify: noted")
    return problem


def _clock_problem(context: FlowContext) -> str | None:
    return context.api().clock_problem
