"""The closed vocabularies of the ledger. A value is stored as it is written here and never renamed."""

from enum import StrEnum
from typing import Final


class RunKind(StrEnum):
    """What a run does."""

    SUBMIT = "submit"
    RECONCILE = "reconcile"


class RunState(StrEnum):
    """How far a run has come."""

    OPEN = "open"
    CLAIMED = "claimed"
    CLOSED = "closed"


class BatchState(StrEnum):
    """The life of a batch.

    claimed -> sealed -> delivering -> delivered -> reported -> reconciled; a batch that provably never became visible
    at the server ends as withdrawn; one whose delivery nobody can judge yet is unknown until the server or a person
    answers.
    """

    CLAIMED = "claimed"
    SEALED = "sealed"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"
    RECONCILED = "reconciled"
    WITHDRAWN = "withdrawn"


BATCH_TRANSITIONS: Final[dict[BatchState | None, frozenset[BatchState]]] = {
    None: frozenset({BatchState.CLAIMED}),
    BatchState.CLAIMED: frozenset({BatchState.SEALED, BatchState.WITHDRAWN}),
    BatchState.SEALED: frozenset({BatchState.DELIVERING, BatchState.WITHDRAWN}),
    # delivering -> sealed: the upload provably never reached its final name, so it is as if it had not begun.
    BatchState.DELIVERING: frozenset({BatchState.DELIVERED, BatchState.UNKNOWN, BatchState.SEALED}),
    BatchState.UNKNOWN: frozenset({BatchState.DELIVERED, BatchState.SEALED, BatchState.WITHDRAWN}),
    BatchState.DELIVERED: frozenset({BatchState.RECONCILED, BatchState.WITHDRAWN}),
    BatchState.RECONCILED: frozenset(),
    BatchState.WITHDRAWN: frozenset(),
}
"""Which state may follow which; None is "not there yet"."""


class OutcomeStatus(StrEnum):
    """What became of an attempt (design: words)."""

    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    PAID = "paid"
    REVERSED = "reversed"


STRENGTH: Final[dict[OutcomeStatus, int]] = {
    OutcomeStatus.UNKNOWN: 1,
    OutcomeStatus.WITHDRAWN: 2,
    OutcomeStatus.DECLINED: 3,
    OutcomeStatus.PAID: 4,
    OutcomeStatus.REVERSED: 5,
}
"""An attempt may gather several witnessed outcomes; the strongest is the one it has. So the order in which reports come
does not matter, and none is ever overwritten."""


class Fate(StrEnum):
    """What a run did with a listed charge that it neither sent nor quarantined."""

    SETTLED = "settled"
    HELD = "held"
    DEFERRED = "deferred"
    IN_FLIGHT = "in_flight"


class ReportState(StrEnum):
    """How far a report has come."""

    FETCHED = "fetched"
    INGESTED = "ingested"
    RECONCILED = "reconciled"
    WRITTEN_BACK = "written_back"
    REFUSED = "refused"


class LineClass(StrEnum):
    """The one class that each report line ends in."""

    ANSWER = "answer"
    REPEAT = "repeat"
    AMOUNT_DIFFERS = "amount_differs"
    CONFLICT = "conflict"
    UNEXPECTED = "unexpected"
    OTHER_PROFILE = "other_profile"


class BreakState(StrEnum):
    """The life of a break."""

    OPEN = "open"
    EXPLAINED = "explained"
    RESOLVED = "resolved"
