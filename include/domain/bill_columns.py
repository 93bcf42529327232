"""The columns of the merchant's view `doku_bills`, and what can be wrong with a row of it."""

from collections.abc import Mapping
from typing import Final

REQUIRED: Final = (
    "billing_number",
    "customer_id",
    "amount",
    "currency",
    "schedule",
    "schedule_on",
    "starts_on",
    "registration",
    "status",
)
"""Columns that the view must have; `amount` may be null: it varies."""

OPTIONAL: Final = ("months", "ends_on", "description", "customer_name", "email", "phone")
"""Columns that the view may have; null where it has not."""

COLUMNS: Final = (*REQUIRED, *OPTIONAL)
"""All of them, in the order in which frames hold them and reasons are listed."""

LENGTHS: Final[Mapping[str, int]] = {
    "billing_number": 200,
    "customer_id": 200,
    "amount": 100,
    "currency": 20,
    "schedule": 20,
    "schedule_on": 4000,
    "starts_on": 30,
    "registration": 20,
    "status": 20,
    "months": 100,
    "ends_on": 30,
    "description": 256,
    "customer_name": 200,
    "email": 200,
    "phone": 50,
}
"""Most characters of each; what DOKU takes may be less, and is the dialect's or the layout's to say."""

REASONS: Final[Mapping[str, str]] = {
    "missing": "The value is empty. Fill it in the view, or leave the bill out of it.",
    "too_long": "The value is longer than a bill's may be. Shorten it in the view.",
    "control_character": "The value has a control character (line end, tab, NUL, ...). Remove it in the database.",
    "card_number": "The value holds a card number. Remove it from the billing database at once.",
    "unreadable": "The value is not a plain decimal or an ISO date (150000.00, 2026-01-31). Correct the view.",
    "not_whole": "The amount has a fraction of the currency's smallest unit. Round it at its source.",
    "not_positive": "The amount is zero or less. For an amount that varies the view has null.",
    "over_limit": "The amount is above the profile's limit for one charge (limits.max_amount_per_charge).",
    "not_allowed": "The profile does not collect this currency (limits.currencies).",
    "unknown_word": "The word is none of those that this column knows: schedule day, date or dates; registration link "
    "or bulk; status wanted or cancelled.",
    "no_schedule": "The days are not those of a schedule: MON..SUN for day, 1..28 for date, ISO dates for dates; "
    "months JAN..DEC, and none for dates; the end not before the start.",
    "other_profile": "Another profile of this billing database has a bill of that number. Leave it out of one view.",
    "other_customer": "The bill belongs to another customer. A bill never changes hands: give the new one a number of "
    "its own.",
    "repeated": "The view has the billing number more than once, and the rows differ. Leave one of them.",
}
"""What each reason code means, and what a person can do."""


def in_words(reasons: str) -> str:
    """The reasons of a row ("column:code;column:code") in sentences, without any value of it."""
    parts = (part.partition(":") for part in reasons.split(";"))
    return " ".join(f"{column}: {REASONS[code]}" for column, _, code in parts)
