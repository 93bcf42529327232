"""Last task of recurring."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class CloseChargesOperator(FlowOperator):
    """Prove that the books of DOKU's charges tie, for the days that this run worked on, and store them."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, Any]:
        """Close the run; returns its number and how many lines its books have."""
        from include.flows.recurring.books import close_recurring_run
        from plugins.runs import ledger_run

        run = ledger_run(flow, RunKind.RECURRING, context)
        lines = close_recurring_run(flow, run)
        for line in lines:
            self.log.info("%s", line)
        return {"run_id": run.run_id, "lines": len(lines)}
