"""What an expected charge of a bill is known by: its billing number and its day."""

from datetime import date
from typing import Final

_SLASH: Final = "/"


def charge_id_of(billing_number: str, expected_on: date) -> str:
    """The charge id of a bill and an expected local day: `B-1/2026-11-20`."""
    return f"{billing_number}{_SLASH}{expected_on.isoformat()}"


def bill_and_day_of(charge_id: str) -> tuple[str, date] | None:
    """The billing number and the day of such a charge id; None for any other id."""
    billing_number, slash, day = charge_id.rpartition(_SLASH)
    try:
        expected_on = date.fromisoformat(day)
    except ValueError:
        return None
    return (billing_number, expected_on) if slash and charge_id == charge_id_of(billing_number, expected_on) else None
