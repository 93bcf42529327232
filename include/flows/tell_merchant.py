"""What `doku_charge_outcomes` is told, and when: claims before delivery, outcomes and withdrawals after."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from include.billing.outcomes import Columns, UpsertCounts, upsert_outcome_columns, upsert_outcomes
from include.domain.ahead import ahead
from include.domain.money import to_major
from include.flows.context import FlowContext
from include.ledger.batches import Batch, find_batch, update_batch
from include.ledger.testimonies import note_told, untold_testimonies
from include.ledger.writeback import (
    ColumnPage,
    Telling,
    Told,
    claims_of_batch,
    note_decisions_told,
    outcome_of_attempt,
    outcomes_of_batch,
    untold_decision_columns,
    untold_decisions,
)


def tell(context: FlowContext, rows: Iterator[Mapping[str, Any]], *, of_bills: bool = False) -> UpsertCounts:
    """Write rows of the ledger into the billing database: amounts in major units, and which ledger says so.

    Of an attempt the strongest status counts, of a bill's charge (`of_bills`) the latest: see `upsert_outcomes`.
    """
    if context.rehearsing:
        return UpsertCounts()
    return upsert_outcomes(
        context.billing(),
        (_for_billing(context, row) for row in rows),
        table=context.profile.billing.outcomes,
        now=context.clock(),
        of_bills=of_bills,
    )


def tell_all(context: FlowContext, telling: Telling) -> UpsertCounts:
    """The same for all of a batch or a report. Between two PostgreSQL servers columns travel, and a page is read while
    the one before is written.
    """  # noqa: D205 - the first sentence says it
    if context.rehearsing or not _as_columns(context):
        return tell(context, telling.rows())
    with ahead(telling.columns()) as pages:
        return _tell_columns(context, pages, new=telling.new)


def _as_columns(context: FlowContext) -> bool:
    return {context.ledger.engine.dialect.name, context.billing().dialect.name} == {"postgresql"}


def _tell_columns(context: FlowContext, pages: Iterable[ColumnPage], *, new: bool = False) -> UpsertCounts:
    constants = {"ledger_id": context.ledger.ledger_id}
    return upsert_outcome_columns(
        context.billing(),
        (Columns(page.count, page.arrays, constants, new) for page in pages),
        table=context.profile.billing.outcomes,
        now=context.clock(),
    )


def tell_claims(context: FlowContext, batch: Batch) -> None:
    """The claims of a batch, before anything of it leaves. Safe to repeat; done once for what is left of the batch."""
    if batch.claims_written_at is not None:
        return
    tell_all(context, claims_of_batch(context.ledger, batch.batch_id))
    context.step("deliver: claims told, not noted")
    with context.ledger.write() as connection:
        if find_batch(connection, batch.batch_id).withdrawn_count == batch.withdrawn_count:
            update_batch(connection, batch.batch_id, claims_written_at=context.clock())


def tell_withdrawal(context: FlowContext, batch: Batch) -> None:
    """That a batch's attempts are withdrawn. Safe to repeat; done once, and also where its claims were never told."""
    if batch.withdrawal_written_at is not None:
        return
    context.step("withdraw: before the merchant is told")
    tell_all(context, outcomes_of_batch(context.ledger, batch.batch_id))
    context.step("withdraw: merchant told")
    with context.ledger.write() as connection:
        update_batch(connection, batch.batch_id, withdrawal_written_at=context.clock())
    context.step("withdraw: told and noted")


def tell_testimonies(context: FlowContext) -> UpsertCounts:
    """What people and other witnesses settled, as far as the merchant has not been told of it. Safe to repeat."""
    counts = UpsertCounts()
    with context.ledger.read() as connection:
        untold = untold_testimonies(connection, context.profile.name)
    for testimony_id, invoice_number in untold:
        context.step("settle: before the merchant is told")
        counts += tell(context, outcome_of_attempt(context.ledger, invoice_number))
        context.step("settle: merchant told")
        with context.ledger.write() as connection:
            note_told(connection, testimony_id, context.clock())
        context.step("settle: told and noted")
    return counts


def tell_decisions(context: FlowContext) -> UpsertCounts:
    """What comes next (`next_attempt_on`), as far as the merchant has not been told of it. Safe to repeat.

    Returns:
        How many rows were changed by it; those that were written with their outcome already do not count.
    """
    counts = UpsertCounts()
    while not context.rehearsing:
        step = _tell_decided_columns if _as_columns(context) else _tell_decided_rows
        found = step(context)
        if found is None:
            break
        counts += UpsertCounts(inserted=found[0].inserted, changed=found[0].changed)
        context.step("plan next: merchant told")
        note_decisions_told(context.ledger, found[1], context.clock())
        context.step("plan next: told and noted")
    return counts


def _tell_decided_rows(context: FlowContext) -> tuple[UpsertCounts, Told] | None:
    page = untold_decisions(context.ledger, context.profile.name)
    if not page:
        return None
    context.step("plan next: before the merchant is told")
    told = {name: [row[name] for row in page] for name in ("invoice_number", "position")}
    return tell(context, iter(page)), told


def _tell_decided_columns(context: FlowContext) -> tuple[UpsertCounts, Told] | None:
    found = untold_decision_columns(context.ledger, context.profile.name)
    if found is None:
        return None
    page, told = found
    context.step("plan next: before the merchant is told")
    return _tell_columns(context, [page]), told


def _for_billing(context: FlowContext, row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in row.items() if name != "position"}
    values["amount"] = to_major(values["amount"], values["currency"])
    return {**values, "ledger_id": context.ledger.ledger_id}
