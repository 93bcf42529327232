"""Brakes and approval: before anything of a run is sent, its figures are judged; a person may let it go on.

The ledger decides, not Airflow: the delivery itself asks for the judgement and for the approval, so that a task marked
as success by hand lets nothing through.
"""

from dataclasses import dataclass
from datetime import datetime

from include.domain.brakes import Brake, BrakeLimits, Figures, judge
from include.domain.errors import ApprovalMissing, ApprovalRefused, NotAllowed
from include.domain.money import for_people
from include.domain.states import BEFORE_LEAVING
from include.flows.context import FlowContext
from include.flows.people import is_nobody, same_person
from include.flows.withdraw import withdraw_batch
from include.ledger.approvals import (
    Answer,
    Load,
    answer_to,
    history,
    judged,
    keep_answer,
    keep_judgement,
    largest_and_most_per_customer,
    listed_and_quarantined,
    load_of_run,
    refusal_of,
)
from include.ledger.batches import find_batch
from include.ledger.claims import batches_of_run
from include.ledger.plans import waiting_for_setup
from include.ledger.runs import Run, find_run


@dataclass(frozen=True)
class Judgement:
    """What a run would send and which brakes that pulls; `answer` is a person's, if there is one."""

    run_id: int
    load: Load
    brakes: list[Brake]
    answer: Answer | None

    @property
    def may_go(self) -> bool:
        """Nothing to ask, or asked and approved."""
        return not self.brakes if self.answer is None else self.answer.answer == "approved"


def judge_run(context: FlowContext, run_id: int) -> Judgement:
    """Judge a run's load once; later calls find the judgement, as long as the load is the same."""
    context.step("brakes: before the run is judged")
    with context.ledger.write() as connection:
        load = load_of_run(connection, run_id)
        brakes = judged(connection, run_id, load)
        if brakes is None:
            largest, most = largest_and_most_per_customer(connection, run_id)
            listed, quarantined = listed_and_quarantined(connection, run_id)
            runs = context.profile.brakes.history_runs
            figures = Figures(
                count=load.count,
                total=load.total,
                largest=largest,
                listed=listed,
                quarantined=quarantined,
                most_per_customer=most,
                history=history(connection, context.profile.name, run_id, runs),
                key_ends=max(key.valid_until for key in context.profile.batch.public_keys),
                today=context.today,
                setup_declines=len(waiting_for_setup(connection, context.profile.name)),
            )
            brakes = judge(figures, _limits(context))
            keep_judgement(connection, context.profile.name, run_id, load, brakes, context.clock())
        found = Judgement(run_id, load, brakes, answer_to(connection, run_id, load))
    context.step("brakes: judged")
    return found


def refuse_unless_approved(context: FlowContext, run_id: int) -> None:
    """Called by the delivery itself.

    Raises:
        ApprovalMissing: A brake was pulled and nobody approved exactly this load.
        ApprovalRefused: A person refused it.
    """
    with context.ledger.read() as connection:
        refusal = refusal_of(connection, run_id)
    if refusal is not None:
        raise ApprovalRefused(f"{refusal.answered_by} refused this run: {refusal.words or 'no reason given'}.")
    found = judge_run(context, run_id)
    if found.may_go:
        return
    raise ApprovalMissing(
        f"A brake stopped this run before delivery ({in_words(context, found)}). Nothing was sent. "
        f"Look at the figures, then `python -m include.cli approve --profile {context.profile.name} --run-id {run_id} "
        "--by NAME --why WORDS --apply` and clear the delivery; or clear `approve`, with what follows it, and answer "
        "in Airflow (Browse > Required Actions)."
    )


def answer_run(
    context: FlowContext, run_id: int, *, by: str, approve: bool, words: str, shown: str | None = None
) -> Judgement:
    """Store a person's answer to what the run would send now; a refusal withdraws its batches.

    Args:
        shown: Digest of the load that the person was shown, if that was a while ago.

    Raises:
        NotAllowed: Nobody in particular; who started the run where the profile asks for four eyes; or another load was
            shown than would be sent now.
    """
    with context.ledger.read() as connection:
        run = find_run(connection, run_id)
        refusal = refusal_of(connection, run_id)
    _refuse_answer(context, run, by, approve=approve)
    if refusal is not None:  # it is of the whole run, and stands; withdrawing may have broken off
        with context.ledger.read() as connection:
            load = load_of_run(connection, run_id)
            brakes = judged(connection, run_id, load) or []
        withdraw_run(context, run_id, f"{refusal.answered_by} refused it: {refusal.words}")
        return Judgement(run_id, load, brakes, refusal)
    found = judge_run(context, run_id)
    if approve and shown is not None and shown != found.load.plaintext_digest:
        raise NotAllowed(
            f"What run {run_id} would send has changed since {by} was asked ({in_words(context, found)}). Nothing was "
            "approved. Clear `approve`, with what follows it, to be asked about the present figures."
        )
    answer = Answer("approved" if approve else "refused", by, words)
    context.step("approve: before the answer is kept")
    with context.ledger.write() as connection:
        keep_answer(connection, context.profile.name, run_id, found.load, answer, context.clock())
    context.step("approve: answer kept")
    found = judge_run(context, run_id)
    if found.answer is not None and found.answer.answer == "refused":
        withdraw_run(context, run_id, f"{found.answer.answered_by} refused it: {found.answer.words}")
    return found


def approve(context: FlowContext, *, run_id: int, by: str, why: str) -> str:
    """Let a run go on that a brake stopped; raises as `answer_run`."""
    return _answered(context, run_id, by, why, approve=True)


def refuse(context: FlowContext, *, run_id: int, by: str, why: str) -> str:
    """Refuse a run that a brake stopped: its batches are withdrawn; raises as `answer_run`."""
    return _answered(context, run_id, by, why, approve=False)


def _answered(context: FlowContext, run_id: int, by: str, why: str, *, approve: bool) -> str:
    found = answer_run(context, run_id, by=by, approve=approve, words=why)
    said = f"{found.answer.answer} by {found.answer.answered_by}" if found.answer else "no answer"
    return f"Run {run_id}: {said}; {in_words(context, found)}"


def withdraw_run(context: FlowContext, run_id: int, why: str) -> list[str]:
    """Withdraw the batches of a run that have not left; their names."""
    with context.ledger.read() as connection:
        batches = [find_batch(connection, batch_id) for batch_id in batches_of_run(connection, run_id)]
    waiting = [batch for batch in batches if batch.state in BEFORE_LEAVING]
    return [batch.file_name for batch in waiting if withdraw_batch(context, batch.batch_id, run_id, why)]


def answer_by(context: FlowContext, run_id: int) -> datetime:
    """Until when a run waits for an answer: the first cut-off of its batches, in the profile's timezone."""
    with context.ledger.read() as connection:
        batches = [find_batch(connection, batch_id) for batch_id in batches_of_run(connection, run_id)]
    ends = [context.calendar.cutoff_of(batch.execute_date) for batch in batches]
    return min(ends, default=context.clock())


def in_words(context: FlowContext, found: Judgement) -> str:
    """The figures and the brakes, for a person."""
    amount = for_people(found.load.total, context.profile.limits.currencies[0])
    return f"{found.load.count:,} charges, {amount}: " + "; ".join(f"{one.kind}: {one.words}" for one in found.brakes)


def _refuse_answer(context: FlowContext, run: Run, by: str, *, approve: bool) -> None:
    if is_nobody(by):
        raise NotAllowed(
            "An approval needs a name: an anonymous user never approves. Log in as a person and try again."
        )
    if approve and context.profile.brakes.four_eyes and same_person(run.started_by or "", by):
        raise NotAllowed(f"{by} started this run and may not approve it (brakes.four_eyes). Ask somebody else.")


def _limits(context: FlowContext) -> BrakeLimits:
    brakes = context.profile.brakes
    return BrakeLimits(
        max_count=brakes.max_count,
        max_total=brakes.max_total,
        max_single=brakes.max_single,
        max_quarantined_share=brakes.max_quarantined_share,
        max_per_customer=brakes.max_per_customer,
        unusual_factor=brakes.unusual_factor,
        history_least=brakes.history_least,
        key_expires_within_days=brakes.key_expires_within_days,
        max_setup_declines=brakes.max_setup_declines,
    )
