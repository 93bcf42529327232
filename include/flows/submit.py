"""Submit, first half: read the charges that are due, check them, and claim what may go out."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pandas as pd  # noqa: TID253 - frames flow through here

from include.billing.due_charges import read_due_charges
from include.billing.outcomes import check_outcomes_table
from include.domain.calendar import decide_execute_date
from include.domain.file_names import FileNameTemplate, NameFact
from include.domain.invoice_numbers import charge_stem
from include.domain.states import RunKind, RunState
from include.flows.context import FlowContext
from include.flows.memory import refuse_if_forgetful
from include.ledger.books import NO_CURRENCY, Line
from include.ledger.bulk import insert_frame
from include.ledger.claims import BatchPlan, Reading, batches_of_run, claim, rehearse
from include.ledger.layouts import keep_layout
from include.ledger.runs import Run, RunRequest
from include.ledger.store import Workspace
from include.ledger.work_tables import staged_charge
from include.schemas.due_charges import DueChargeRules, validate_due_charges
from include.schemas.layout import Layout


def extract_and_claim(context: FlowContext, run: Run) -> list[int]:
    """Read the view in chunks, check and stage every row, then decide and claim in one transaction.

    Returns:
        Ids of the batches of this run, in order; those of its first claim when it has claimed before.

    Raises:
        BillingError: The view or the table of outcomes does not keep the contract, or cannot be read.
        LedgerError: The ledger refused; nothing was claimed.
        ConfigError: The layout or a setting cannot be used.
        KeyFileError: No public key of DOKU is valid for the execute date.
    """
    if run.state is not RunState.OPEN:
        with context.ledger.read() as connection:
            return batches_of_run(connection, run.run_id)
    with _staged_day(context, run.business_date) as (workspace, plan, read):
        context.step("claim: everything staged")
        batch_ids = claim(workspace, run, plan, read, context.clock())
    context.step("claim: committed")
    return batch_ids


def rehearse_day(context: FlowContext, business_date: date) -> list[Line]:
    """The books that a dry run for a day would have now; nothing is kept. Raises as `extract_and_claim`."""
    request = RunRequest(
        RunKind.SUBMIT, context.profile.name, "rehearsal", business_date, today=business_date, dry_run=True
    )
    with _staged_day(context, business_date) as (workspace, plan, read):
        return rehearse(workspace, request, plan, read, context.clock())


@contextmanager
def _staged_day(context: FlowContext, business_date: date) -> Iterator[tuple[Workspace, BatchPlan, Reading]]:
    """Read the day's charges into the temporary tables of a workspace, checked."""
    layout = context.batch_layout()
    plan = _plan(context, business_date, layout)
    # What could stop the sending is found out before anything is claimed.
    context.public_key(plan.execute_date)
    check_outcomes_table(context.billing(), context.profile.billing.outcomes)
    _keep(context, layout)
    read: dict[str, tuple[int, int]] = {}
    rules = DueChargeRules.of(context.profile, layout, business_date)
    with context.ledger.workspace() as workspace:
        for frame in _due_charges(context, business_date):
            staged = _staged(validate_due_charges(frame, rules), context.profile.billing_source)
            _count(staged, read)
            with workspace.stage() as connection:
                insert_frame(connection, staged_charge, staged)
        refuse_if_forgetful(context, workspace)
        yield workspace, plan, read


def _plan(context: FlowContext, business_date: date, layout: Layout) -> BatchPlan:
    profile = context.profile
    template = FileNameTemplate(profile.batch.file_name)
    execute_date = decide_execute_date(business_date, context.clock(), profile.batch.cutoff, profile.zone)

    def file_name(day: date, sequence: int) -> str:
        facts: dict[str, NameFact] = {
            "merchant": profile.merchant,
            "business_date": day,
            "execute_date": execute_date,
            "sequence": sequence,
        }
        return template.render(facts)

    return BatchPlan(
        merchant=profile.merchant,
        billing_source=profile.billing_source,
        profile=profile.name,
        execute_date=execute_date,
        remote_folder=profile.remote_folder,
        layout_digest=layout.digest,
        max_rows=profile.limits.max_rows_per_batch,
        max_total=profile.limits.max_amount_per_batch,
        release_by_person=profile.quarantine.release == "by_person",
        file_name=file_name,
    )


def _keep(context: FlowContext, layout: Layout) -> None:
    with context.ledger.write() as connection:
        keep_layout(
            connection, digest=layout.digest, name=layout.name, kind=layout.kind, text=layout.text, at=context.clock()
        )


def _due_charges(context: FlowContext, business_date: date) -> Any:
    billing = context.profile.billing
    return read_due_charges(
        context.billing(),
        view=billing.view,
        columns=billing.columns,
        due_by=business_date,
        chunk_rows=billing.chunk_rows,
    )


def _staged(checked: pd.DataFrame, billing_source: str) -> pd.DataFrame:
    """The checked frame and the stem of each charge's invoice numbers (null for a row without an id)."""
    ids = checked["charge_id"].astype(object).tolist()
    stems = [charge_stem(billing_source, charge) if isinstance(charge, str) else None for charge in ids]
    return checked.assign(stem=pd.Series(stems, index=checked.index, dtype=checked["charge_id"].dtype))


def _count(staged: pd.DataFrame, read: dict[str, tuple[int, int]]) -> None:
    amounts = staged["amount"].groupby(staged["currency"].fillna(NO_CURRENCY), dropna=False)
    for currency, counted in amounts.agg(["count", "sum"]).iterrows():
        count, amount = read.get(str(currency), (0, 0))
        read[str(currency)] = (count + int(counted["count"]), amount + int(counted["sum"]))
