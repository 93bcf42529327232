"""A business day as a list of acts: what the tasks of the DAGs do, one after the other, each safe to do again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from include.domain.alert_text import Notice
from include.domain.errors import ApprovalMissing, ApprovalRefused, DeliveryRefused, DeliveryUnknown, LedgerError
from include.domain.states import RunKind
from include.domain.watch import Watcher
from include.flows.approve import answer_run, judge_run
from include.flows.ask_status import ask_status
from include.flows.close import close_submit_run
from include.flows.context import FlowContext
from include.flows.deliver import deliver
from include.flows.fetch import fetch_reports, look_for_reports
from include.flows.housekeeping import tidy
from include.flows.ingest import ingest_fetched
from include.flows.notify import notify_delivered
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import close_reconcile_run, conclude_batches, write_back
from include.flows.seal import render_and_seal
from include.flows.submit import extract_and_claim
from include.flows.summarise import summarise
from include.flows.watch import watch
from include.ledger.claims import batches_of_run
from include.ledger.runs import Run, RunRequest, open_run
from tests.stack import by_flows
from tests.stack.scene import Scene

Step = Callable[[str], None]

ROUNDS = 4
"""How often reconciliation looks before a batch may stay open."""


def no_step(name: str) -> None:
    """Nothing happens."""


@dataclass
class Stage:
    """Where an act is played.

    Attributes:
        scene: The merchant.
        doku: Lets DOKU's simulator work once; returns when it has.
        step: Told of each step of the flows.
        waits: Seconds for which a flow may really wait, each time that it wants to.
        day: The business date of the runs, as days after the scene's.
        hour: Local time (Asia/Jakarta) on that day.
        run: Tells runs of the same day apart: part of their external ids.
        ended: What stayed undecided: the words of errors that wait for a person.
    """

    scene: Scene
    doku: Callable[[], None]
    step: Step = no_step
    waits: float = 0.0
    day: int = 0
    hour: float = 7.0
    run: str = "run"
    ended: list[str] = field(default_factory=list)

    @property
    def business_date(self) -> date:
        return self.scene.business_date + timedelta(days=self.day)

    def now(self) -> datetime:
        """The present moment of this stage."""
        midnight = datetime(self.business_date.year, self.business_date.month, self.business_date.day, tzinfo=UTC)
        return midnight + timedelta(hours=self.hour - 7)

    @contextmanager
    def context(self) -> Iterator[FlowContext]:
        with by_flows.context_of(self.scene, self.now) as context:
            yield replace(context, step=self.step, wait=lambda seconds: _wait(min(seconds, self.waits)))

    def open(self, context: FlowContext, kind: RunKind) -> Run:
        request = RunRequest(
            kind=kind, profile=self.scene.profile, external_id=f"{kind}-{self.day}-{self.run}",
            business_date=self.business_date, today=context.today,
        )  # fmt: skip
        return open_run(context.ledger, request, context.clock())


def _wait(seconds: float) -> None:
    import time

    if seconds:
        time.sleep(seconds)


def claim(stage: Stage) -> None:
    with stage.context() as context:
        extract_and_claim(context, stage.open(context, RunKind.SUBMIT))


def seal(stage: Stage) -> None:
    for context, run, batch_id in _batches(stage):
        render_and_seal(context, batch_id, run.run_id)


def deliver_all(stage: Stage) -> None:
    """Each batch by itself, as mapped tasks do: one that fails does not stop the others."""
    for context, run, batch_id in _batches(stage):
        try:
            deliver(context, batch_id, run.run_id)
        except (DeliveryUnknown, DeliveryRefused, ApprovalMissing, ApprovalRefused) as caught:
            stage.ended.append(f"{type(caught).__name__}: {caught.message}")


def close(stage: Stage) -> None:
    with stage.context() as context:
        try:
            close_submit_run(context, stage.open(context, RunKind.SUBMIT))
        except (DeliveryUnknown, LedgerError) as caught:
            stage.ended.append(f"{type(caught).__name__}: {caught.message}")


def approve(stage: Stage) -> None:
    _answer(stage, True)


def refuse(stage: Stage) -> None:
    _answer(stage, False)


def judge(stage: Stage) -> None:
    with stage.context() as context:
        judge_run(context, stage.open(context, RunKind.SUBMIT).run_id)


def doku_works(stage: Stage) -> None:
    stage.doku()


def fetch(stage: Stage) -> None:
    with stage.context() as context:
        first = look_for_reports(context)
        fetch_reports(context, [seen.file_name for seen in look_for_reports(context).stable_since(first)])


def ingest(stage: Stage) -> None:
    with stage.context() as context:
        ingest_fetched(context)


def conclude(stage: Stage) -> None:
    with stage.context() as context:
        conclude_batches(context, stage.open(context, RunKind.RECONCILE).run_id)


def plan_next(stage: Stage) -> None:
    with stage.context() as context:
        plan_next_attempts(context, stage.open(context, RunKind.RECONCILE).run_id)


def tell_outcomes(stage: Stage) -> None:
    with stage.context() as context:
        write_back(context)


def close_reconcile(stage: Stage) -> None:
    with stage.context() as context:
        close_reconcile_run(context, stage.open(context, RunKind.RECONCILE))


def reconcile(stage: Stage) -> None:
    """DOKU works, then one whole run of reconciliation; again while batches are open."""
    for number in range(ROUNDS):
        stage.doku()
        with stage.context() as context:
            run = replace(stage, run=f"{stage.run}-{number}").open(context, RunKind.RECONCILE)
            first = look_for_reports(context)
            fetch_reports(context, [seen.file_name for seen in look_for_reports(context).stable_since(first)])
            ingest_fetched(context)
            concluded = conclude_batches(context, run.run_id)
            plan_next_attempts(context, run.run_id)
            write_back(context)
            close_reconcile_run(context, run)
        if not concluded.waiting and number:  # twice at least: reports may come again
            return


def notify(stage: Stage) -> None:
    with stage.context() as context:
        notify_delivered(context)


def ask(stage: Stage) -> None:
    with stage.context() as context:
        ask_status(context)


def keep_what_nobody_names(stage: Stage) -> None:
    """What is left of a try that was killed between keeping a file and naming it."""
    with stage.context() as context:
        context.artefacts.keep(f"sealed/{context.profile.name}/{stage.now():%Y-%m-%d}", "TKN_LEFT.TXT", [b"nobody's"])


def tidy_up(stage: Stage) -> None:
    with stage.context() as context:
        tidy(context)


def look(stage: Stage) -> None:
    """The watchdog; whom it tells write down what they were told."""

    def tell(channel: str, notice: Notice) -> None:
        with (stage.scene.root / "told.txt").open("a", encoding="utf-8") as file:
            file.write(f"{notice.key} {notice.state} {notice.kind}\n")

    with stage.context() as context:
        watch(context, Watcher.OUTSIDE, tell)


def summarise_day(stage: Stage) -> None:
    with stage.context() as context:
        summarise(context, stage.open(context, RunKind.RECONCILE).run_id)


def _answer(stage: Stage, approve: bool) -> None:
    with stage.context() as context:
        run = stage.open(context, RunKind.SUBMIT)
        answer_run(context, run.run_id, by="Siti", approve=approve, words="looked at the figures")


def _batches(stage: Stage) -> Iterator[tuple[FlowContext, Run, int]]:
    with stage.context() as context:
        run = stage.open(context, RunKind.SUBMIT)
        with context.ledger.read() as connection:
            batch_ids = batches_of_run(connection, run.run_id)
        for batch_id in batch_ids:
            yield context, run, batch_id
