"""Third task of reconcile."""

from typing import TYPE_CHECKING, Any

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class IngestReportsOperator(FlowOperator):
    """Take in every report that was fetched and not yet taken in, each in whole or not at all.

    A report that is refused does not stop the others; the last task of the run fails for it, with the reason.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, Any]:  # noqa: ARG002 - one form for all operators
        """Ingest; returns lines by class for each report, and why reports were refused."""
        from include.flows.ingest import ingest_fetched

        ingested = ingest_fetched(flow)
        for report in ingested:
            self.log.info("%s: %s", report.file_name, report.refused_reason or report.classes)
        return {
            "taken_in": {report.file_name: report.classes for report in ingested if not report.refused_reason},
            "refused": [report.refused_reason for report in ingested if report.refused_reason],
        }
