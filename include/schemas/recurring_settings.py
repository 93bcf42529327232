"""Settings of a profile for Recurring: bills that DOKU charges on its own schedule."""

import re
from datetime import date, time
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from include.domain.date_pattern import DatePattern
from include.schemas.bulk_settings import BulkSettings
from include.schemas.strict import StrictModel

_ID_PART: Final = re.compile(r"\{(?:(billing_number)|day:([^{}]+))\}")


class CheckoutSettings(StrictModel):
    """The browser post by which a customer registers a card, in the older interface."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = Field(default="/Suite/Receive", description="Certain")
    bill_type: Literal["S", "I", "D", "P", "B"] = Field(
        default="P", description="S shopping, I instalment, D donation, P payment, B billing"
    )
    first_amount: Annotated[int, Field(gt=0, le=999_999_999)] = Field(
        default=10_000,
        description="Of a varying bill: what is charged once at registration, in major units; assumed",
    )


class RecurringSettings(StrictModel):
    """How bills are registered, and what is expected of them."""

    dialect: Literal["json", "onecheckout"] = Field(
        default="json", description="json: field paths from a file; onecheckout: DOKU's older form-encoded interface"
    )
    fields: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$")] = Field(
        default="assumed-json", description="Name of the file with the paths of DOKU's JSON; for dialect json"
    )
    schedule: str = Field(
        default="*/15 * * * *", description="When the DAG runs (cron); also woken by notifications; empty: only so"
    )
    changes: Literal["call", "person"] = Field(
        default="call",
        description="Other terms of a registered bill: DOKU is told by a call, or by a person in DOKU's dashboard; "
        "always a person where the dialect's file has no such call",
    )
    cancellations: Literal["call", "person"] = Field(
        default="call", description="The same of a registered bill that is not wanted any more"
    )
    link_hours: Annotated[float, Field(gt=0, le=366 * 24)] | Literal[False] = Field(
        default=False,
        description="A customer who has not registered so long after the checkout link was asked for gets another one; "
        "false: only when a person asks for it",
    )
    calls_at_a_time: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=500, description="Most calls to DOKU about bills in one run; the next one goes on"
    )
    checkout: CheckoutSettings = Field(default_factory=CheckoutSettings)
    bulk: BulkSettings | None = Field(default=None, description="Bills are registered in bulk by files over SFTP, too")
    match_days: Annotated[int, Field(ge=0, le=27)] = Field(
        default=10, description="A charge belongs to the last expected day that is at most so many days before it"
    )
    same_day_until: time = Field(
        default=time(0),
        description="A bill that is registered before this local time is charged that very day; assumed",
    )
    expected_hours: Annotated[float, Field(gt=0, le=31 * 24)] = Field(
        default=36,
        description="After the beginning of its day: an expected charge has come. What has not is asked for; assumed",
    )
    ask_by: Annotated[str, Field(max_length=100)] = Field(
        default="",
        description="The id by which DOKU is asked for an expected charge, as {billing_number}/{day:yyyy-MM-dd}; "
        "empty: it is not asked for; whether such charges can be asked for is not published",
    )
    ask_declined: bool = Field(
        default=False,
        description="Ask once more for a charge that was declined, after match_days: DOKU may have tried again",
    )
    amounts: Literal["asked", "pushed"] = Field(
        default="asked", description="asked: DOKU asks for the amount of a varying bill; pushed: it is sent beforehand"
    )
    amounts_view: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$")] = Field(
        default="doku_bill_amounts", description="The merchant's view of amounts of varying bills"
    )
    amount_days: Annotated[int, Field(ge=0, le=60)] = Field(
        default=10, description="How many days before its day the amount of a charge may be asked for, or is pushed"
    )
    unexpected_most: Annotated[int, Field(ge=0)] | Literal[False] = Field(
        default=10, description="More open breaks of charges that nobody expected than this: the watchdog tells at once"
    )

    @field_validator("ask_by")
    @classmethod
    def _names_a_day(cls, text: str) -> str:
        """As {billing_number}/{day:yyyy-MM-dd}."""
        if text:
            rest = _ID_PART.sub(lambda found: DatePattern(found[2]).write(date(2000, 1, 1)) if found[2] else "", text)
            if "{" in rest or "}" in rest or "{billing_number}" not in text:
                raise ValueError("takes {billing_number} and {day:yyyyMMdd}, and needs the first")
        return text

    def asked_by(self, billing_number: str, day: date) -> str:
        """What DOKU is asked by for the charge of a bill on a day; empty: it is not asked."""
        return _ID_PART.sub(lambda found: DatePattern(found[2]).write(day) if found[2] else billing_number, self.ask_by)
