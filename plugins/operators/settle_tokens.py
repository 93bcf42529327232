"""Third task of tokens."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class SettleTokensOperator(FlowOperator):
    """Take as lost what DOKU does not give any more, unless that is unusual, and choose by the profile's rule."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """Settle; returns the counts of the run."""
        from include.flows.tokens.settle import settle_tokens
        from plugins.runs import ledger_run

        figures = settle_tokens(flow, ledger_run(flow, RunKind.TOKENS, context))
        self.log.info("Tokens: %s", ", ".join(f"{name} {count:,}" for name, count in figures.items()))
        return figures
