"""Second task of reconcile."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class FetchReportsOperator(FlowOperator):
    """Fetch reports into the artefact store, once by their content.

    :param file_names: Names in DOKU's folder of reports, as the sensor found them.
    """

    template_fields: Sequence[str] = (*FlowOperator.template_fields, "file_names")

    def __init__(self, *, file_names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_names = file_names

    def run_flow(self, flow: "FlowContext", context: Any) -> list[int]:  # noqa: ARG002 - one form for all operators
        """Fetch; returns the ledger's ids of the reports."""
        from include.flows.fetch import fetch_reports

        report_ids = fetch_reports(flow, [str(name) for name in self.file_names or ()])
        self.log.info("Fetched reports: %s", report_ids or "none")
        return report_ids
