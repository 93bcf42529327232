"""Last task of submit."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class RecordOperator(FlowOperator):
    """Prove that the books of the run tie, store them, and fail if a batch has not left."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, Any]:
        """Close the run; returns count and amount by term."""
        from include.flows.close import close_submit_run
        from include.ledger.books import totals
        from plugins.runs import ledger_run

        run = ledger_run(flow, RunKind.SUBMIT, context)
        figures = {
            f"{currency} {term}": {"count": count, "amount": amount}
            for (currency, term), (count, amount) in totals(close_submit_run(flow, run)).items()
        }
        for name, value in figures.items():
            self.log.info("%s: %s charges, %s", name, value["count"], value["amount"])
        return {"run_id": run.run_id, "business_date": run.business_date.isoformat(), "books": figures}
