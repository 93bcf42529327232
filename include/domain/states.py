"""The closed vocabularies of the ledger. A value is stored as it is written here and never renamed."""

from enum import StrEnum
from typing import Final


class RunKind(StrEnum):
    """What a run does."""

    SUBMIT = "submit"
    RECONCILE = "reconcile"
    RECURRING = "recurring"
    TOKENS = "tokens"


class RunState(StrEnum):
    """How far a run has come."""

    OPEN = "open"
    CLAIMED = "claimed"
    CLOSED = "closed"


class BatchState(StrEnum):
    """The life of a batch.

    claimed -> sealed -> delivering -> renaming -> delivered -> reconciled.

    While it is `delivering`, bytes go to a temporary name that DOKU does not pick up: whatever happens, nothing became
    visible. `renaming` is entered before the one moment at which the file may become visible; after it, only the server
    (or a report, or a person) can say what happened, and until then the delivery is `unknown`. A batch that provably
    never became visible may be `withdrawn`.
    """

    CLAIMED = "claimed"
    SEALED = "sealed"
    DELIVERING = "delivering"
    RENAMING = "renaming"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    RECONCILED = "reconciled"
    WITHDRAWN = "withdrawn"


BATCH_TRANSITIONS: Final[dict[BatchState | None, frozenset[BatchState]]] = {
    None: frozenset({BatchState.CLAIMED}),
    BatchState.CLAIMED: frozenset({BatchState.SEALED, BatchState.WITHDRAWN}),
    # sealed -> claimed: a charge of it is gone or changed; it is sealed anew without.
    BatchState.SEALED: frozenset({BatchState.CLAIMED, BatchState.DELIVERING, BatchState.WITHDRAWN}),
    # delivering -> delivering: another try takes over from one that broke off; the older one can then no longer rename.
    # renaming -> sealed: the server answered that it did not rename.
    BatchState.DELIVERING: frozenset(
        {BatchState.DELIVERING, BatchState.RENAMING, BatchState.SEALED, BatchState.WITHDRAWN}
    ),
    BatchState.RENAMING: frozenset({BatchState.DELIVERED, BatchState.UNKNOWN, BatchState.SEALED}),
    BatchState.UNKNOWN: frozenset({BatchState.DELIVERED, BatchState.SEALED, BatchState.WITHDRAWN}),
    BatchState.DELIVERED: frozenset({BatchState.RECONCILED, BatchState.WITHDRAWN}),
    BatchState.RECONCILED: frozenset(),
    BatchState.WITHDRAWN: frozenset(),
}
"""Which state may follow which; None is "not there yet"."""

BEFORE_LEAVING: Final = (BatchState.CLAIMED, BatchState.SEALED, BatchState.DELIVERING)
"""States in which nothing of a batch can have become visible at the server."""


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


class NextAction(StrEnum):
    """What becomes of a charge after an attempt of it was declined.

    `retry` waits for its day; `after_change`, `merchant_setup` and `ask` wait for somebody; the others are the end, but
    that a charge which was `withdrawn` by the merchant goes on when it is listed again.
    """

    RETRY = "retry"
    AFTER_CHANGE = "after_change"
    MERCHANT_SETUP = "merchant_setup"
    ASK = "ask"
    NEVER = "never"
    MANDATE_ENDED = "mandate_ended"
    EXHAUSTED = "exhausted"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"


class ReportState(StrEnum):
    """How far a report has come."""

    FETCHED = "fetched"
    INGESTED = "ingested"
    WRITTEN_BACK = "written_back"
    REFUSED = "refused"


class LineClass(StrEnum):
    """The one class that each report line ends in."""

    ANSWER = "answer"
    REPEAT = "repeat"
    AMOUNT_DIFFERS = "amount_differs"
    UNEXPECTED = "unexpected"
    OTHER_PROFILE = "other_profile"


class BreakState(StrEnum):
    """The life of a break."""

    OPEN = "open"
    EXPLAINED = "explained"
    RESOLVED = "resolved"


UNRESOLVED: Final = (BreakState.OPEN, BreakState.EXPLAINED)
"""Somebody still has to do something about such a break."""


class BreakKind(StrEnum):
    """What reconciliation could not tie."""

    AMOUNT_DIFFERS = "amount_differs"
    CONFLICT = "conflict"
    UNEXPECTED = "unexpected"
    OTHER_PROFILE = "other_profile"
    MISSING_LINE = "missing_line"
    PARTIAL_APPROVAL = "partial_approval"
    PARTIAL_REFUND = "partial_refund"
    UNLISTED_CODE = "unlisted_code"
    WITNESSES_DISAGREE = "witnesses_disagree"
    PAID_WHILE_IN_FLIGHT = "paid_while_in_flight"
    COLLECTED_TWICE = "collected_twice"
    UNEXPECTED_CHARGE = "unexpected_charge"
    MISSING_CHARGE = "missing_charge"
    AMOUNT_CHANGED = "amount_changed"


ALARMS: Final = (BreakKind.COLLECTED_TWICE, BreakKind.PAID_WHILE_IN_FLIGHT)
"""Breaks that cost a customer money: the highest alert."""


class ProposalState(StrEnum):
    """The life of a decision that needs four eyes."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


class ScheduleKind(StrEnum):
    """When DOKU charges a bill (DOKU: EXECUTETYPE DAY, DATE, FULLDATE)."""

    DAY = "day"
    DATE = "date"
    DATES = "dates"


class BillState(StrEnum):
    """The life of a bill.

    wanted -> asked -> active -> cancelling -> cancelled; `refused` when its registration failed, `ended` after its last
    day. DOKU charges it from `active` until DOKU has taken the cancellation.
    """

    WANTED = "wanted"
    ASKED = "asked"
    ACTIVE = "active"
    REFUSED = "refused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    ENDED = "ended"


CHARGED_BY_DOKU: Final = (BillState.ACTIVE, BillState.CANCELLING)
"""Bills that DOKU charges by itself: their charges stay out of batches."""


class RegistrationFileState(StrEnum):
    """The life of a file that registers bills: as that of a batch, and shorter.

    sealed -> renaming -> delivered; `unknown` when nobody can say, until the server or a person does; `withdrawn` when
    it provably never became visible, and its bills go into another file.
    """

    SEALED = "sealed"
    RENAMING = "renaming"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    WITHDRAWN = "withdrawn"


class NotificationKind(StrEnum):
    """What DOKU tells or asks; part of the path that it calls."""

    PAYMENT = "payment"
    REGISTRATION = "registration"
    CARD_UPDATE = "card_update"
    REPORT_READY = "report_ready"
    AMOUNT = "amount"


class NotificationState(StrEnum):
    """How far a notification of the inbox has come; `failed` waits for a person."""

    RECEIVED = "received"
    DONE = "done"
    IGNORED = "ignored"
    FAILED = "failed"


class TokenState(StrEnum):
    """Whether DOKU still gives a customer's token."""

    ACTIVE = "active"
    LOST = "lost"


class TokenChoice(StrEnum):
    """What a profile's rule makes of a customer's active tokens.

    `unfit`: none is of a channel or network that may be charged, or is what the merchant wishes; `ambiguous`: several
    are left, and none of them is taken.
    """

    CHOSEN = "chosen"
    NONE = "none"
    UNFIT = "unfit"
    AMBIGUOUS = "ambiguous"
