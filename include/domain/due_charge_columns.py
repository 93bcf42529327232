"""The columns of the merchant's view `doku_due_charges` (design: the two databases)."""

from typing import Final

REQUIRED: Final = (
    "charge_id",
    "customer_id",
    "billing_number",
    "token",
    "amount",
    "currency",
    "due_date",
    "channel",
    "description",
)
"""Columns that the view must have, by whatever name the profile maps them."""

OPTIONAL: Final = ("network", "billing_period", "attempt_no")
"""Columns that the view may have; null where it has not."""

COLUMNS: Final = (*REQUIRED, *OPTIONAL)
"""All of them, in the order in which frames hold them and reasons are listed."""
