"""Fifth task of recurring."""

from typing import TYPE_CHECKING, Any

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class TellChargesOperator(FlowOperator):
    """Tell the merchant's `doku_charge_outcomes` what became of DOKU's charges. Safe to repeat."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:  # noqa: ARG002 - one form for all operators
        """Write; returns how many rows were inserted, changed and left as they were."""
        from dataclasses import asdict

        from include.flows.recurring.tell import tell_charges

        counts = asdict(tell_charges(flow))
        self.log.info("Outcomes of charges written: %s", counts)
        return counts
