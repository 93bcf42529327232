"""Second task of tokens."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class AskForTokensOperator(FlowOperator):
    """Ask DOKU for each customer's tokens, some at a time."""

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """Ask; returns how many questions were answered and how many were not."""
        from include.flows.tokens.ask import ask_for_tokens
        from plugins.runs import ledger_run

        answers = ask_for_tokens(flow, ledger_run(flow, RunKind.TOKENS, context))
        self.log.info("Questions answered: %d; without an answer: %d", answers.answered, answers.unanswered)
        return {"answered": answers.answered, "unanswered": answers.unanswered}
