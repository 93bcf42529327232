"""Last task of reconcile."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from include.domain.errors import ReportRefused
from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class CloseBooksOperator(FlowOperator):
    """Prove that the books of the batches that this run worked on tie, store them, and fail if a report was refused.

    :param ingested: What `IngestReportsOperator` returned.
    """

    template_fields: Sequence[str] = (*FlowOperator.template_fields, "ingested")

    def __init__(self, *, ingested: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ingested = ingested

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, Any]:
        """Close the run; returns count and amount by batch and term."""
        from include.flows.reconcile import close_reconcile_run
        from plugins.runs import ledger_run

        run = ledger_run(flow, RunKind.RECONCILE, context)
        books = close_reconcile_run(flow, run)
        for line in books:
            self.log.info("%s", line)
        refused = dict(self.ingested or {}).get("refused") or []
        if refused:
            raise ReportRefused.because(refused)
        return {"run_id": run.run_id, "lines": len(books)}
