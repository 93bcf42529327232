"""Reading the merchant's view `doku_token_customers`: whose tokens are asked for, and which one the merchant wishes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from include.billing.views import Contract, read_texts

COLUMNS: Final = ("customer_id", "billing_number", "channel", "masked_card")
"""The canonical names; all but the customer id may be missing."""

_CONTRACT: Final = Contract(COLUMNS, COLUMNS[1:], "billing.token_customers")


@dataclass(frozen=True)
class TokenCustomer:
    """One row of the view, as text; None where the view has nothing.

    Attributes:
        channel, masked_card: Which of several tokens the merchant wishes to be charged.
    """

    customer_id: str | None
    billing_number: str | None
    channel: str | None
    masked_card: str | None


def read_token_customers(engine: Engine, *, view: str, chunk_rows: int) -> Iterator[list[TokenCustomer]]:
    """The view's rows in chunks, in the order of customers. Raises as `views.read_texts`."""
    for rows in read_texts(engine, view, _CONTRACT, order_by="customer_id", chunk_rows=chunk_rows):
        yield [TokenCustomer(**row) for row in rows]
