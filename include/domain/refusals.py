"""Why a request to the notification paths is refused: the status of the answer, and a sentence that repeats nothing."""

from enum import StrEnum
from typing import Final


class Refusal(StrEnum):
    """The reason, as it is counted. A value is stored as it is written here and never renamed."""

    PATH = "path"
    METHOD = "method"
    HEADERS = "headers"
    CONTENT_TYPE = "content_type"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    BROKEN_OFF = "broken_off"
    FORM = "form"
    SIGNATURE = "signature"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    UNREADABLE = "unreadable"
    BUSY = "busy"
    NOT_SET_UP = "not_set_up"
    LEDGER = "ledger"
    NO_AMOUNT = "no_amount"
    NO_SUCH_BILL = "no_such_bill"
    MISTAKE = "mistake"


STATUS: Final[dict[Refusal, int]] = {
    Refusal.PATH: 404,
    Refusal.METHOD: 405,
    Refusal.HEADERS: 400,
    Refusal.CONTENT_TYPE: 415,
    Refusal.TOO_LARGE: 413,
    Refusal.TOO_SLOW: 408,
    Refusal.BROKEN_OFF: 400,
    Refusal.FORM: 400,
    Refusal.SIGNATURE: 401,
    Refusal.TOO_OLD: 401,
    Refusal.TOO_NEW: 401,
    Refusal.UNREADABLE: 400,
    Refusal.BUSY: 503,
    Refusal.NOT_SET_UP: 503,
    Refusal.LEDGER: 503,
    Refusal.NO_AMOUNT: 503,
    Refusal.NO_SUCH_BILL: 404,
    Refusal.MISTAKE: 503,
}
"""What the sender is answered. 503 is for what is no fault of the sender's: DOKU sends such a notification again."""

SENTENCE: Final[dict[Refusal, str]] = {
    Refusal.PATH: "Nothing is here.",
    Refusal.METHOD: "Only POST is taken here.",
    Refusal.HEADERS: "A header is missing, is given twice or cannot be one.",
    Refusal.CONTENT_TYPE: "This type of content is not taken here.",
    Refusal.TOO_LARGE: "This is larger than what is taken here.",
    Refusal.TOO_SLOW: "The content did not come in time.",
    Refusal.BROKEN_OFF: "The content did not come whole.",
    Refusal.FORM: "The content is not a form.",
    Refusal.SIGNATURE: "The signature does not fit.",
    Refusal.TOO_OLD: "This was signed too long ago.",
    Refusal.TOO_NEW: "This was signed in the future.",
    Refusal.UNREADABLE: "The content does not say what it has to.",
    Refusal.BUSY: "Too much at once. Send it again later.",
    Refusal.NOT_SET_UP: "This cannot be taken now. Send it again later.",
    Refusal.LEDGER: "This cannot be taken now. Send it again later.",
    Refusal.NO_AMOUNT: "No amount can be given now. Ask again later.",
    Refusal.NO_SUCH_BILL: "No amount is to be asked for this.",
    Refusal.MISTAKE: "This cannot be taken now. Send it again later.",
}


class Refused(Exception):
    """A request is refused. It carries nothing of what was sent."""

    def __init__(self, reason: Refusal) -> None:
        self.reason = reason
        super().__init__(str(reason))
