"""Last task of tokens."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class TellTokensOperator(FlowOperator):
    """Write the tokens to the merchant's table."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """Write; returns how many rows were inserted, changed and left as they were."""
        from include.flows.tokens.tell import tell_tokens
        from plugins.runs import ledger_run

        counts = tell_tokens(flow, ledger_run(flow, RunKind.TOKENS, context))
        self.log.info("Rows inserted: %d; changed: %d", counts.inserted, counts.changed)
        return {"inserted": counts.inserted, "changed": counts.changed, "same": counts.same}
