"""Last but one task of reconcile."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class SummariseOperator(FlowOperator):
    """Keep a summary for people (a page and a CSV file) of each business date that this run changed."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, str]:
        """Summarise; returns the kept page by business date."""
        from include.flows.summarise import summarise
        from plugins.runs import ledger_run

        made = summarise(flow, ledger_run(flow, RunKind.RECONCILE, context).run_id)
        for one in made:
            self.log.info("Summary of %s: %s and %s", one.business_date, one.page, one.sheet)
        return {one.business_date.isoformat(): one.page for one in made}
