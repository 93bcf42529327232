"""What the merchant wants of a bill: a row of `doku_bills`, read."""

import hashlib
import json
from dataclasses import dataclass
from typing import Final, Literal

from include.domain.bill_schedule import BillSchedule
from include.domain.states import ScheduleKind

Registration = Literal["link", "bulk"]

EXECUTE_TYPES: Final = {ScheduleKind.DAY: "DAY", ScheduleKind.DATE: "DATE", ScheduleKind.DATES: "FULLDATE"}
"""DOKU's words for the kinds of schedules [LEG, certain]."""


@dataclass(frozen=True)
class BillTerms:
    """A bill as the merchant wants it.

    Attributes:
        amount: Smallest units; None: it varies, and DOKU asks for it.
        wanted: False: it shall be cancelled.
        registration: The customer by a checkout link, or in bulk by a file.
    """

    billing_number: str
    customer_id: str
    amount: int | None
    currency: str
    schedule: BillSchedule
    description: str | None
    registration: Registration
    wanted: bool
    customer_name: str | None = None
    email: str | None = None
    phone: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what DOKU has to be told: the same as long as nothing of it changes."""
        schedule = self.schedule
        said = [
            self.customer_id, self.amount, self.currency, schedule.kind, schedule.on_text, schedule.months_text,
            schedule.starts_on.isoformat(), schedule.ends_on.isoformat() if schedule.ends_on else None,
            self.description,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()
