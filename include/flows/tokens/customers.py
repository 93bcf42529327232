"""First step: whose tokens are asked for, from the merchant's view."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from include.billing.token_customers import TokenCustomer, read_token_customers
from include.billing.tokens_table import check_tokens_table
from include.domain.masking import without_card_numbers
from include.domain.tokens import Wish
from include.flows.context import FlowContext
from include.ledger.runs import Run
from include.ledger.tokens import Account, list_customers, listed_customers

LONGEST_CUSTOMER_ID: Final = 50
"""Of the older version of this call (certain); of the newer one it is not published."""

SEVERAL: Final = "(several wishes)"
"""Stands for wishes that contradict each other: it fits no token, so that none is chosen for such a customer."""


@dataclass(frozen=True)
class Listed:
    """What the view lists.

    Attributes:
        customers: To ask for.
        unusable: Rows without an id that DOKU could know: empty, too long, or with control characters.
        contradictory: Customers listed several times with different wishes.
    """

    customers: int
    unusable: int
    contradictory: int


def account_of(context: FlowContext) -> Account:
    """Whose tokens a profile asks for."""
    return Account(context.profile.billing_source, context.profile.name)


def list_token_customers(context: FlowContext, run: Run) -> Listed:
    """Read the view in chunks and note each customer once. Safe to repeat.

    Raises:
        BillingError: The view or the table of tokens does not keep the contract, or cannot be read.
    """
    billing, account = context.profile.billing, account_of(context)
    check_tokens_table(context.billing(), billing.tokens)
    customers = unusable = contradictory = 0
    for chunk in read_token_customers(context.billing(), view=billing.token_customers, chunk_rows=billing.chunk_rows):
        rows = list(_usable(chunk, by_number=context.profile.tokens.ask_by == "billing_number"))
        unusable += len(chunk) - len(rows)
        with context.ledger.write() as connection:
            ids = sorted({customer_id for customer_id, _ in rows})
            before = listed_customers(connection, account, run.run_id, ids)
            wishes = dict(before)
            for customer_id, wish in rows:
                wishes[customer_id] = _agreed(wishes.get(customer_id, wish), wish)
            list_customers(connection, account, run.run_id, wishes)
        customers += len(wishes) - len(before)
        contradictory += sum(_contradicts(wish) and not _contradicts(before.get(one)) for one, wish in wishes.items())
        context.step("tokens: a part of the customers listed")
    return Listed(customers, unusable, contradictory)


def count_token_customers(context: FlowContext) -> int:
    """How many rows the view has now. Raises as `list_token_customers`."""
    billing = context.profile.billing
    check_tokens_table(context.billing(), billing.tokens)
    chunks = read_token_customers(context.billing(), view=billing.token_customers, chunk_rows=billing.chunk_rows)
    return sum(len(chunk) for chunk in chunks)


def _usable(chunk: Iterable[TokenCustomer], *, by_number: bool) -> Iterable[tuple[str, Wish]]:
    for row in chunk:
        known_by = (row.billing_number if by_number else row.customer_id) or ""
        if 0 < len(known_by) <= LONGEST_CUSTOMER_ID and known_by.isprintable():
            yield known_by, Wish(_wish(row.channel, 200), _wish(row.masked_card, 30))


def _wish(text: str | None, length: int) -> str | None:
    return without_card_numbers((text or "").strip())[:length] or None


def _agreed(one: Wish, other: Wish) -> Wish:
    return Wish(
        one.channel if one.channel == other.channel else SEVERAL,
        one.masked_card if one.masked_card == other.masked_card else SEVERAL,
    )


def _contradicts(wish: Wish | None) -> bool:
    return wish is not None and SEVERAL in (wish.channel, wish.masked_card)
