"""Fifth task of reconcile."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class PlanNextAttemptsOperator(FlowOperator):
    """Decide what becomes of each charge that was declined, and when it is tried again."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """Decide; returns how many decisions of each action were made."""
        from include.flows.plan_next import plan_next_attempts
        from plugins.runs import ledger_run

        made = dict(plan_next_attempts(flow, ledger_run(flow, RunKind.RECONCILE, context).run_id))
        self.log.info("Decided on declined charges: %s", made or "none")
        return made
