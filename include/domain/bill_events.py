"""What DOKU's notifications say of bills, whichever dialect they came in."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class RegistrationResult:
    """A bill was registered, or its registration failed.

    Attributes:
        at: As DOKU says it, with a timezone; None where it does not.
    """

    billing_number: str
    customer_id: str | None
    succeeded: bool
    token: str | None = field(default=None, repr=False)
    masked_card: str | None = None
    code: str | None = None
    message: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class CardUpdate(RegistrationResult):
    """The customer gave another card for a bill, or tried to."""


@dataclass(frozen=True)
class PaymentResult:
    """What became of one transaction of a bill.

    Attributes:
        reference: DOKU's own reference of the transaction; one reference is one transaction, however often it is told.
        response_code: Four characters, as reports have them; None where there is none.
        succeeded: What DOKU says apart from the code (a status word); None where it does not.
        word: That status word as it came, in capitals (SUCCESS, FAILED, VOIDED, ...); None where there is none.
        amount: Smallest units of the currency; None where it does not say.
        paid_at: As DOKU says it, with a timezone.
    """

    reference: str
    billing_number: str
    customer_id: str | None
    response_code: str | None
    succeeded: bool | None
    amount: int | None
    currency: str
    paid_at: datetime | None = None
    response_message: str | None = None
    approval_code: str | None = None
    masked_card: str | None = None
    bank: str | None = None
    channel: str | None = None
    token: str | None = field(default=None, repr=False)
    word: str | None = None


@dataclass(frozen=True)
class ReportReady:
    """A report lies in the outbound folder; a hint, and never proof of payment. Source: the Batch Upload page."""

    file_name: str
    status: str


@dataclass(frozen=True)
class AmountAsked:
    """DOKU asks what to charge for a bill whose amount varies."""

    billing_number: str
    customer_id: str | None


@dataclass(frozen=True)
class NotOfABill:
    """A message that says nothing about a bill; `why` for the inbox."""

    why: str


BillEvent = RegistrationResult | CardUpdate | PaymentResult | ReportReady | AmountAsked | NotOfABill
