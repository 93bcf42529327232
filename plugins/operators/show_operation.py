"""First task of operate."""

from typing import TYPE_CHECKING, Any

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class ShowOperationOperator(FlowOperator):
    """Show what the operation would do now, by the code that would do it; nothing of it is done.

    Fails where the operation would be refused, with the reason.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> str:
        """Rehearse; returns the digest of the effect. Its words are in the log."""
        from include.flows.operate import rehearse
        from plugins.asked import asked_of

        asked = asked_of(context)
        effect = rehearse(flow, asked.operation, asked.about, by=asked.by, why=asked.why)
        self.log.info("%s would do this: %s", asked.operation, effect.says)
        for change in effect.changes:
            self.log.info("  %s", change)
        return effect.digest
