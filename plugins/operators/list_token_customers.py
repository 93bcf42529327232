"""First task of tokens."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class ListTokenCustomersOperator(FlowOperator):
    """Read from the merchant's view whose tokens are asked for."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """List; returns how many customers there are, and how many rows cannot be used."""
        from include.flows.tokens.customers import list_token_customers
        from plugins.runs import ledger_run

        listed = list_token_customers(flow, ledger_run(flow, RunKind.TOKENS, context))
        self.log.info("Customers to ask for: %d; rows that cannot be used: %d", listed.customers, listed.unusable)
        if listed.contradictory:
            self.log.warning(
                "Customers listed with wishes that contradict each other: %d; none of their tokens is chosen",
                listed.contradictory,
            )
        return {
            "customers": listed.customers, "unusable": listed.unusable, "contradictory": listed.contradictory,
        }  # fmt: skip
