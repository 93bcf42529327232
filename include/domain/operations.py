"""What people may ask for by hand, and what each operation needs to know: one list for Airflow and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Field:
    """One thing that an operation needs to know.

    Attributes:
        words: For a form, and for a command's help.
        kind: Text or a whole number.
        choices: The only values there are, where that is so.
        flag: How the command line asks for it, where not by its place.
        optional: May be left out.
    """

    name: str
    words: str
    kind: Literal["text", "integer"] = "text"
    choices: tuple[str, ...] = ()
    flag: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Operation:
    """Something that a person may ask for."""

    name: str
    words: str
    fields: tuple[Field, ...]

    @property
    def command(self) -> str:
        """Its name on the command line."""
        return self.name.replace("_", "-")


_SCOPE: Final = Field("scope", "What is held", choices=("charge", "customer", "batch", "profile"))
_SUBJECT: Final = Field("subject", "Charge id, customer id, batch file name or profile name")
_CHARGE: Final = Field("charge_id", "The charge's id")
_FILE: Final = Field("file_name", "The file's own name")
_RUN: Final = Field("run_id", "The run's number", kind="integer", flag="--run-id")
_INVOICE: Final = Field(
    "invoice_number", "The attempt's invoice number; of a bill, the charge id or DOKU's reference of the transaction"
)
_BREAK: Final = Field("number", "The break's number, as `breaks` lists it", kind="integer")
_BILL: Final = Field("billing_number", "The bill's number")
_NOTIFICATION: Final = Field("notification", "The notification's number, as `inbox` lists it", kind="integer")
_PROPOSAL: Final = Field("proposal", "The proposal's number, as `proposals` lists it", kind="integer")
_CUSTOMERS: Final = Field("customers", "How many customers lose all their tokens, as the run said it", kind="integer")
_OUTCOME: Final = Field(
    "outcome", "What became of the attempt", choices=("paid", "declined", "withdrawn", "reversed"), flag="--as"
)
_EVIDENCE: Final = Field("evidence", "What shows it: who said so, when, where it can be read", flag="--evidence")
_REASON: Final = Field(
    "reason", "Why no attempt is made any more", choices=("paid_elsewhere", "written_off"), flag="--reason"
)
_DIFFERENCE: Final = Field(
    "difference", "Of amounts that differ: what was reported stands, or is void", choices=("stands", "void"),
    flag="--difference", optional=True,
)  # fmt: skip

OPERATIONS: Final[Mapping[str, Operation]] = {
    one.name: one
    for one in (
        Operation("hold", "hold a charge, a customer, a batch or the whole profile, from now on", (_SCOPE, _SUBJECT)),
        Operation("lift", "end a hold", (_SCOPE, _SUBJECT)),
        Operation("release", "release a charge from quarantine; the next run checks it again", (_CHARGE,)),
        Operation("cancel", "close a charge: no attempt is made any more", (_CHARGE,)),
        Operation("close", "close a charge that was paid elsewhere or is written off", (_CHARGE, _REASON)),
        Operation("approve", "let a run go on that a brake stopped", (_RUN,)),
        Operation("refuse", "refuse a run that a brake stopped: its batches are withdrawn", (_RUN,)),
        Operation("withdraw", "withdraw a batch that has not left", (_FILE,)),
        Operation("resend", "deliver a batch now that the server does not have and that has not left", (_FILE,)),
        Operation("arrived", "DOKU has a file whose delivery is unknown: it is delivered", (_FILE,)),
        Operation(
            "never_arrived", "DOKU never got a file whose delivery is unknown: its attempts are withdrawn", (_FILE,)
        ),
        Operation("file_refused", "DOKU refused or lost a delivered file: its attempts are withdrawn", (_FILE,)),
        Operation(
            "reopen", "read a refused report again, once a wrong key, layout or limit of ours is mended", (_FILE,)
        ),
        Operation(
            "reingest", "read a report again that was taken in, once a code is listed or a ledger mended", (_FILE,)
        ),
        Operation("setup_mended", "the set-up at DOKU is right again: what was declined for it is tried again", ()),
        Operation(
            "settle",
            "say, with evidence, what became of an attempt, or of a charge of a bill",
            (_INVOICE, _OUTCOME, _EVIDENCE),
        ),
        Operation(
            "accept_token_losses", "it is right that so many customers lose all their tokens at once", (_CUSTOMERS,)
        ),
        Operation("cancel_bill", "end a bill, whatever the merchant's view says of it now", (_BILL,)),
        Operation("bill_ended", "say, with evidence, that DOKU does not charge a bill any more", (_BILL, _EVIDENCE)),
        Operation("bill_updated", "DOKU was told the new terms of a bill in its dashboard", (_BILL,)),
        Operation("ask_again", "ask DOKU anew for a bill that is not registered: another checkout link", (_BILL,)),
        Operation("registration_arrived", "DOKU has a registration file whose delivery is unknown", (_FILE,)),
        Operation(
            "registration_never_arrived", "DOKU never got a registration file: its bills go into the next", (_FILE,)
        ),
        Operation("take_in_again", "take in a notification that failed, once its cause is mended", (_NOTIFICATION,)),
        Operation("confirm", "carry out what another person proposed (four eyes)", (_PROPOSAL,)),
        Operation("drop", "take a proposal off the table", (_PROPOSAL,)),
        Operation("explain_break", "the cause of a break is known; it waits for what mends it", (_BREAK,)),
        Operation("resolve_break", "a break is done with", (_BREAK, _DIFFERENCE)),
    )
}
"""By name."""
