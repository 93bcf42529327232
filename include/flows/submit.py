"""Submit, first half: read the charges that are due, check them, and claim what may go out."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from include.billing.outcomes import check_outcomes_table
from include.domain.errors import NotAllowed
from include.domain.file_names import FileNameTemplate, NameFact
from include.domain.states import RunKind, RunState
from include.flows.context import FlowContext
from include.flows.manifests import refuse_if_restored
from include.flows.memory import refuse_if_forgetful
from include.flows.overdue import withdraw_overdue
from include.flows.plan_next import claim_terms
from include.flows.staging import stage_due_charges
from include.ledger.books import Line
from include.ledger.claims import BatchPlan, Reading, batches_of_run, claim, rehearse
from include.ledger.layouts import keep_layout
from include.ledger.runs import Run, RunRequest
from include.ledger.store import Workspace
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
    refuse_far_ahead(context, run.business_date)
    context.step("claim: run opened")
    refuse_if_restored(context)
    if run.may_send:
        withdraw_overdue(context, run.run_id)
    with _staged_day(context, run.business_date) as (workspace, plan, read):
        context.step("claim: everything staged")
        batch_ids = claim(workspace, run, plan, read, context.clock())
    context.step("claim: committed")
    return batch_ids


def refuse_far_ahead(context: FlowContext, business_date: date) -> None:
    """A date mistyped by a year would claim a year of charges. NotAllowed beyond `limits.max_days_ahead`."""
    ahead = (business_date - context.today).days
    if ahead > context.profile.limits.max_days_ahead:
        raise NotAllowed(
            f"Business date {business_date} is {ahead} days ahead, more than limits.max_days_ahead "
            f"({context.profile.limits.max_days_ahead}) of profile {context.profile.name}. Nothing was claimed."
        )


def rehearse_day(context: FlowContext, business_date: date, after: date | None = None) -> list[Line]:
    """The books that a dry run for a day would have now; nothing is kept. Raises as `extract_and_claim`.

    Args:
        business_date: The day.
        after: Charges due by this day are left to an earlier date.
    """
    request = RunRequest(
        kind=RunKind.SUBMIT,
        profile=context.profile.name,
        external_id="rehearsal",
        business_date=business_date,
        today=business_date,
        dry_run=True,
        send_past_after=after,
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
    context.step("claim: layout kept")
    with context.ledger.workspace() as workspace:
        read = stage_due_charges(context, workspace, business_date, layout)
        refuse_if_forgetful(context, workspace)
        yield workspace, plan, read


def _plan(context: FlowContext, business_date: date, layout: Layout) -> BatchPlan:
    profile = context.profile
    template = FileNameTemplate(profile.batch.file_name)
    execute_date = context.calendar.execute_date(business_date, context.clock())

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
        again=claim_terms(context, execute_date),
    )


def _keep(context: FlowContext, layout: Layout) -> None:
    with context.ledger.write() as connection:
        keep_layout(
            connection, digest=layout.digest, name=layout.name, kind=layout.kind, text=layout.text, at=context.clock()
        )
