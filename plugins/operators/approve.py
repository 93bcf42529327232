"""Third task of submit: brakes, and a person's answer to them."""

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import TaskAwaitingInput

from include.domain.states import RunKind
from plugins.errors import errors_in_words

if TYPE_CHECKING:
    from include.flows.approve import Judgement
    from include.flows.context import FlowContext
    from include.ledger.runs import Run

APPROVE = "Approve"
REFUSE = "Refuse"
WHY = {"why": Param("", type="string", title="Why", description="Kept with your answer")}


class ApproveOperator(HITLOperator):
    """Judges what the run would send; asks a person if a brake is pulled, and records the answer in the ledger.

    A run that pulls no brake goes on at once. No answer before the cut-off is a refusal: the batches are withdrawn. The
    answer that counts is the one in the ledger, for exactly this count, total and content; the delivery asks the ledger
    and not this task, so that marking this task as success lets nothing through.

    :param profile: Name of the profile to work for.
    """

    template_fields: Collection[str] = ("profile",)

    def __init__(self, *, profile: str, **kwargs: Any) -> None:
        kwargs.pop("params", None)  # the DAG's own: a person is only asked why
        super().__init__(
            subject="A brake stopped this run before delivery",
            body="",
            options=[APPROVE, REFUSE],
            defaults=REFUSE,
            params=WHY,
            response_timeout=timedelta(hours=24),  # replaced by the cut-off when the figures are known
            **kwargs,
        )
        self.profile = profile

    def execute(self, context: Any) -> Any:
        """Judge; then go on, or wait for a person."""
        from include.flows.approve import judge_run
        from plugins.flow_context import flow_context_of
        from plugins.runs import ledger_run

        with errors_in_words(), flow_context_of(self.profile) as flow:
            run = ledger_run(flow, RunKind.SUBMIT, context)
            found = judge_run(flow, run.run_id)
            if found.may_go:
                self.log.info("No brake is pulled: %s charges go on", found.load.count)
                return {"brakes": [], "count": found.load.count}
            if found.answer is not None:
                return {"brakes": [one.kind for one in found.brakes], "answer": found.answer.answer}
            self._ask(flow, run, found)
        try:
            return super().execute(context)
        except TaskAwaitingInput as waiting:
            shown = {"shown": found.load.plaintext_digest}
            raise TaskAwaitingInput(method_name=waiting.method_name, timeout=waiting.timeout, kwargs=shown) from None

    def execute_complete(self, context: Any, event: dict[str, Any], shown: str | None = None) -> Any:
        """Record what the person said to what was shown; nothing said in time is a refusal."""
        from include.flows.approve import answer_run, withdraw_run
        from plugins.flow_context import flow_context_of
        from plugins.runs import ledger_run

        with errors_in_words(), flow_context_of(self.profile) as flow:
            run = ledger_run(flow, RunKind.SUBMIT, context)
            if "error" in event or not event.get("responded_by_user"):
                names = withdraw_run(flow, run.run_id, "nobody approved it before the cut-off")
                return {"answer": "refused", "answered_by": None, "withdrawn": names}
            person = event["responded_by_user"]
            found = answer_run(
                flow,
                run.run_id,
                by=str(person.get("name") or person.get("id") or ""),
                approve=event["chosen_options"] == [APPROVE],
                words=str((event.get("params_input") or {}).get("why") or ""),
                shown=shown,
            )
            answer = found.answer
            return {"answer": answer.answer if answer else None, "answered_by": answer.answered_by if answer else None}

    def _ask(self, flow: "FlowContext", run: "Run", found: "Judgement") -> None:
        from include.domain.money import for_people
        from include.flows.approve import answer_by

        until = answer_by(flow, found.run_id)
        currency = flow.profile.limits.currencies[0]
        lines = "\n".join(f"- **{one.kind}**: {one.words}" for one in found.brakes)
        figures = f"{found.load.count:,} charges, {for_people(found.load.total, currency)}"
        self.subject = f"{flow.profile.title}, {run.business_date}: {figures}"
        self.body = (
            f"Run {run.run_id} of profile `{flow.profile.name}` stopped before delivery:\n\n{lines}\n\n"
            f"Nothing was sent. Approve to send exactly this ({figures}, content {found.load.plaintext_digest[:16]}), "
            f"or refuse to withdraw its batches. Without an answer by {until:%Y-%m-%d %H:%M} "
            f"({flow.profile.timezone}) it counts as refused."
        )
        self.response_timeout = max(until - flow.clock(), timedelta(seconds=1))
