"""What `doku_charge_outcomes` is told, and when: claims before delivery, outcomes and withdrawals after."""

from collections.abc import Iterator, Mapping
from typing import Any

from include.billing.outcomes import UpsertCounts, upsert_outcomes
from include.domain.money import to_major
from include.flows.context import FlowContext
from include.ledger.batches import Batch, find_batch, update_batch
from include.ledger.writeback import claims_of_batch, outcomes_of_batch


def tell(context: FlowContext, rows: Iterator[Mapping[str, Any]]) -> UpsertCounts:
    """Write rows of the ledger into the billing database: amounts in major units, and which ledger says so."""
    return upsert_outcomes(
        context.billing(),
        (_for_billing(context, row) for row in rows),
        table=context.profile.billing.outcomes,
        now=context.clock(),
    )


def tell_claims(context: FlowContext, batch: Batch) -> None:
    """The claims of a batch, before anything of it leaves. Safe to repeat; done once for what is left of the batch."""
    if batch.claims_written_at is not None:
        return
    tell(context, claims_of_batch(context.ledger, batch.batch_id))
    context.step("deliver: claims told, not noted")
    with context.ledger.write() as connection:
        if find_batch(connection, batch.batch_id).withdrawn_count == batch.withdrawn_count:
            update_batch(connection, batch.batch_id, claims_written_at=context.clock())


def tell_withdrawal(context: FlowContext, batch: Batch) -> None:
    """That a batch's attempts are withdrawn. Safe to repeat; done once, and also where its claims were never told."""
    if batch.withdrawal_written_at is not None:
        return
    context.step("withdraw: before the merchant is told")
    tell(context, outcomes_of_batch(context.ledger, batch.batch_id))
    context.step("withdraw: merchant told")
    with context.ledger.write() as connection:
        update_batch(connection, batch.batch_id, withdrawal_written_at=context.clock())
    context.step("withdraw: told and noted")


def _for_billing(context: FlowContext, row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name != "position"}
    values["amount"] = to_major(values["amount"], values["currency"])
    return {**values, "ledger_id": context.ledger.ledger_id}
