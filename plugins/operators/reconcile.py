"""Fourth task of reconcile."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class ReconcileOperator(FlowOperator):
    """Conclude the batches whose every attempt is answered, whatever their date."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, list[str]]:
        """Conclude; returns the names of the batches that are reconciled now and of those that wait."""
        from include.flows.reconcile import conclude_batches
        from plugins.runs import ledger_run

        concluded = conclude_batches(flow, ledger_run(flow, RunKind.RECONCILE, context).run_id)
        self.log.info("Reconciled: %s; waiting: %s", concluded.reconciled or "none", concluded.waiting or "none")
        return {"reconciled": list(concluded.reconciled), "waiting": list(concluded.waiting)}
