"""Last step: the merchant's table `doku_tokens` says what DOKU gives. Safe to repeat."""

from collections.abc import Mapping
from typing import Any, Final

from include.billing.tokens_table import upsert_tokens
from include.billing.upsert import UpsertCounts
from include.domain.states import RunState
from include.flows.context import FlowContext
from include.flows.tokens.customers import account_of
from include.ledger.runs import Run, advance_run, find_run
from include.ledger.tokens import note_tokens_told, untold_tokens

_PAGE: Final = 400


def tell_tokens(context: FlowContext, run: Run) -> UpsertCounts:
    """Write what the merchant's table does not say yet, and close the run.

    Raises:
        BillingError: The table does not keep the contract, or cannot be written.
    """
    counts, account = UpsertCounts(), account_of(context)
    while page := untold_tokens(context.ledger, account, _PAGE):
        context.step("tokens: before the merchant is told")
        rows = (_for_billing(row) for row in page)
        counts += upsert_tokens(context.billing(), rows, table=context.profile.billing.tokens, now=context.clock())
        context.step("tokens: merchant told")
        note_tokens_told(context.ledger, account, page, context.clock())
        context.step("tokens: told and noted")
    with context.ledger.write() as connection:
        if find_run(connection, run.run_id, for_update=True).state is not RunState.CLOSED:
            advance_run(connection, run.run_id, state=RunState.CLOSED, closed_at=context.clock())
    return counts


def _for_billing(row: Mapping[str, Any]) -> dict[str, Any]:
    same = ("billing_source", "profile", "customer_id", "token", "channel", "masked_card", "network", "lost_at")
    return {
        **{name: row[name] for name in same},
        "status": str(row["state"]),
        "chosen": int(row["chosen"]),
        "first_seen": row["first_seen_at"],
        "last_seen": row["last_seen_at"],
    }
