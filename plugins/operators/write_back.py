"""Sixth task of reconcile."""

from typing import TYPE_CHECKING, Any

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class WriteBackOperator(FlowOperator):
    """Tell the merchant's `doku_charge_outcomes` what it has not been told yet. Safe to repeat."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:  # noqa: ARG002 - one form for all operators
        """Write; returns how many rows were inserted, changed and left as they were."""
        from dataclasses import asdict

        from include.flows.reconcile import write_back

        counts = asdict(write_back(flow))
        self.log.info("Outcomes written: %s", counts)
        return counts
